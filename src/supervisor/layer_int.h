/*
 * supervisor/layer_int.h: how the sources of layer.h go through directories.
 */
#ifndef SUPERVISOR_LAYER_INT_H
#define SUPERVISOR_LAYER_INT_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "supervisor/layer.h"

enum {
	LAYER_OPEN_DIR = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	LAYER_OPEN_FILE = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	LAYER_MARK_BYTES = 1024, /* of a redirect: a path below the root */
	LAYER_MARKS = 4,
};

/* overlayfs.rst: of which only the kind that it looks at can do anything. */
extern const char *const layer_marks[LAYER_MARKS];

struct level {
	DIR *from;
	size_t path_n; /* of its path, with the '/' */
};

struct walk {
	struct layer_sum *sum;
	uint64_t logical; /* bytes in files, with holes */
	size_t depth;
	struct level levels[COMMIT_DEPTH_MAX];
	char path[PATH_MAX];
};

/*
 * Calls on for each entry below from, with its path in w; for a folder it calls
 * layer_push to go on inside. leave, if there is one, is for a folder that is
 * done. -1 with e: what failed, with the path.
 */
int layer_walk(struct walk *w, int from,
    int (*on)(struct walk *w, void *arg, const char *name,
	const struct stat *st, struct err *e),
    int (*leave)(
	struct walk *w, void *arg, const struct level *l, struct err *e),
    void *arg, struct err *e);
int layer_push(struct walk *w, int from_taken, size_t path_n, struct err *e);
/* What is to be hashed has an end, and a hole is hashed like all else. -1 with
 * e: with this file they are more than may be. */
int layer_count(uint64_t *bytes, const struct stat *st, struct err *e);

#endif
