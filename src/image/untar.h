/*
 * image/untar.h: an archive of strangers becomes files beneath a directory.
 *
 * Runs in the confined process of image/unpack.h, and holds by itself: names
 * are checked (image/tree.h), no symbolic link is followed, nothing is made
 * but directories, regular files, hard links and symbolic links. The setuid
 * and setgid bits, extended attributes, ACLs and owners are dropped; devices,
 * FIFOs and sockets are left out; all of that is counted. A directory can
 * always be entered and changed by its owner, and a file read.
 *
 * In a layer, .wh.NAME and .wh..wh..opq remove what lower layers left.
 */
#ifndef IMAGE_UNTAR_H
#define IMAGE_UNTAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/hash.h"

/* What is left to spend for this archive. */
struct untar_limits {
	uint64_t entries;
	uint64_t bytes; /* of all files */
	uint64_t file_bytes; /* of one file, holes included */
	uint32_t ratio; /* unpacked to packed */
	uint64_t ratio_free_bytes; /* unpacked, before the ratio counts */
};

struct untar_count {
	uint64_t entries; /* all of them, also those left out */
	uint64_t files, dirs, links; /* links: hard and symbolic */
	uint64_t bytes; /* content written */
	uint64_t removed; /* by whiteouts */
	uint64_t special; /* devices, FIFOs, sockets: left out */
	uint64_t setid; /* files that lost such a bit */
	uint64_t caps; /* files that lost capabilities */
	uint64_t xattrs; /* entries that lost other attributes or ACLs */
	uint64_t mounts; /* of a directory: other file systems, left out */
};

/* Where the packed bytes come from: n > 0 at *p, 0 at the end, or -1. */
struct untar_source {
	ssize_t (*read)(void *arg, const void **p);
	void *arg;
};

/*
 * Unpacks gzip, zstd or plain tar, by content, beneath the directory dir.
 * *unpacked is the SHA-256 of the tar. On -1 the text names the entry.
 */
int untar(const struct untar_source *source, int dir, bool layer,
    const struct untar_limits *limits, struct untar_count *count,
    struct hash *unpacked, struct err *e);

/* Adds b to a, field by field. */
void untar_count_add(struct untar_count *a, const struct untar_count *b);

#endif
