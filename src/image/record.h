/*
 * image/record.h: the two files of the image store, as they are read.
 *
 * image.json says what an image is, index.json what images are called. Pure:
 * for roles that are handed the bytes and may not look for them.
 */
#ifndef IMAGE_RECORD_H
#define IMAGE_RECORD_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "image/config.h"
#include "image/name.h"

#define IMAGE_RECORD_FILE "image.json"
#define IMAGE_NAMES_FILE "index.json"

struct image_record {
	const char *form; /* "oci", "docker", "directory" */
	int64_t created_utc_ns; /* the import */
	uint64_t files, bytes;
	struct image_config config;
};

/* What is in it lies in the arena; text is not needed afterwards. */
int image_record_parse(
    struct image_record *r, struct str text, struct arena *a, struct err *e);

struct images_name {
	char name[IMAGE_NAME_BYTES];
	struct hash digest;
};

/* The names, in memory; the index is small. */
struct images_index {
	struct images_name *names;
	size_t n;
};

#define own_index __attribute__((cleanup(images_index_fini)))

int images_index_parse(struct images_index *x, struct str text, struct err *e);
void images_index_fini(struct images_index *x);
/* name is NAME or NAME:TAG. -1 when none is called so. */
int images_index_find(const struct images_index *x, struct str name,
    struct hash *digest, struct err *e);

#endif
