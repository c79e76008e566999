/*
 * image/walk.h: a directory of the host as a tar stream.
 *
 * A plain directory is imported like an archive: we write one (sorted names,
 * so that the same tree has the same digest), and image/unpack.h reads it.
 * Symbolic links are not followed, other file systems are left out, devices,
 * FIFOs and sockets too.
 */
#ifndef IMAGE_WALK_H
#define IMAGE_WALK_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "image/untar.h"

struct walk_sink {
	int (*write)(void *arg, const void *p, size_t n); /* 0, or not */
	void *arg;
};

/*
 * Writes all of dir. avoid_dir must not lie in it (the image store). count
 * gets what was left out. On -1, e->text is empty when the sink refused.
 */
int walk_tar(int dir, int avoid_dir, const struct walk_sink *sink,
    struct untar_count *count, struct err *e);

#endif
