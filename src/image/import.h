/*
 * image/import.h: from what a person has to an image in the store.
 *
 * A source is a directory of files, an OCI image layout (directory or tar) or
 * what `docker save` writes (tar or unpacked), told apart by content. All or
 * nothing: what fails leaves no trace.
 */
#ifndef IMAGE_IMPORT_H
#define IMAGE_IMPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "image/name.h"
#include "image/untar.h"

struct import {
	const char *state_dir;
	const char *source; /* a file or a directory; for a pull: a reference */
	const char *name; /* NAME[:TAG], or NULL: what the source is called */
	int64_t now_utc_ns;
	/* Called often: what is under way, and how much of how much (0:
	 * unknown). May be NULL. */
	void (*progress)(
	    void *arg, const char *what, uint64_t done, uint64_t total);
	void *arg;
};

struct imported {
	char name[IMAGE_NAME_BYTES];
	struct hash digest;
	const char *form; /* "oci", "docker", "directory" */
	bool was_there; /* the same image: only the name is new */
	struct untar_count count; /* of all layers; when it was not there */
};

int image_import(const struct import *i, struct imported *out, struct err *e);

/* The same from a registry, by the program skopeo. */
int image_pull(const struct import *i, struct imported *out, struct err *e);

#endif
