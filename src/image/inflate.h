/*
 * image/inflate.h: the tar inside a packed stream.
 *
 * One layer of gzip or zstd, or none, told by the first bytes; never a second
 * one, and no other program. Counts both sides, so that a bomb ends early.
 */
#ifndef IMAGE_INFLATE_H
#define IMAGE_INFLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/digest.h"
#include "image/untar.h"

struct archive; /* libarchive's */

struct inflate {
	const struct untar_source *source;
	const struct untar_limits *limits;
	struct archive *packed; /* NULL: the stream is a tar as it is */
	struct digest digest; /* of what came out */
	uint64_t in_bytes, out_bytes;
	const void *first; /* read to look at, not yet given away */
	ssize_t first_n;
	struct err e; /* why it failed, when failed is set */
	bool failed;
};

#define own_inflate __attribute__((cleanup(inflate_fini)))

/* source and limits outlive it. */
int inflate_init(struct inflate *s, const struct untar_source *source,
    const struct untar_limits *limits, struct err *e);
void inflate_fini(struct inflate *s);

/* The next piece: n > 0 at *p, 0 at the end, -1: s->e says why. */
ssize_t inflate_next(struct inflate *s, const void **p);

#endif
