/*
 * image/plan.h: what an image on disk says it is made of.
 *
 * Reads the JSON of an OCI image layout or of what `docker save` writes, in a
 * directory that may be a stranger's: all of it by tree_open_file(), and each
 * blob against its digest and size. Layers are only named here; who unpacks
 * them checks them while they stream.
 */
#ifndef IMAGE_PLAN_H
#define IMAGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "image/config.h"

struct plan_layer {
	const char *path; /* beneath the directory */
	bool has_blob; /* docker's own form knows only the unpacked digest */
	struct hash blob; /* of the bytes as stored */
	uint64_t size_bytes; /* when has_blob */
	struct hash unpacked; /* of the tar within */
};

struct plan {
	struct arena memory; /* own: plan_fini() */
	const char *form; /* "oci", "docker" */
	struct hash digest; /* what the image is known by */
	struct plan_layer *layers; /* lowest first */
	size_t n_layers;
	struct image_config config;
	const char *architecture;
	const char *name; /* what its maker called it, or NULL */
};

#define own_plan __attribute__((cleanup(plan_fini)))

enum plan_form { PLAN_NONE, PLAN_OCI, PLAN_DOCKER };

void plan_fini(struct plan *p);

/* Which of both the directory holds; an OCI layout wins. */
enum plan_form plan_form(int dir);

/* name: "NAME:TAG" that chooses where there are several images, or NULL. */
int plan_read_oci(struct plan *p, int dir, const char *name, struct err *e);
int plan_read_docker(struct plan *p, int dir, const char *name, struct err *e);

/* This machine's name for itself in images: "amd64". */
const char *plan_architecture(void);

/* For both forms: the parsed file, which has at most JSON_MAX_BYTES. want:
 * its digest, or NULL; got: filled in with it, or NULL. */
const struct json *plan_json(struct plan *p, int dir, const char *path,
    const struct hash *want, struct hash *got, struct err *e);
/* The image configuration: platform, config, and each layer's unpacked digest;
 * p->layers and p->n_layers are set. */
int plan_config(struct plan *p, const struct json *v, struct err *e);
int plan_layers(struct plan *p, size_t n, struct err *e);

#endif
