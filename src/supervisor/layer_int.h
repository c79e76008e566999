/*
 * supervisor/layer_int.h: how the sources of layer.h go through directories.
 */
#ifndef SUPERVISOR_LAYER_INT_H
#define SUPERVISOR_LAYER_INT_H

#include <dirent.h>
#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "supervisor/layer.h"

struct level {
	DIR *from;
	int to; /* -1 where nothing is written */
	size_t path_n; /* of its path, with the '/' */
};

struct layer_link;

struct walk {
	struct layer_sum *sum;
	uid_t owner;
	gid_t group;
	int root; /* of what is written */
	struct layer_early *early; /* what was copied beforehand, or NULL */
	uint64_t logical; /* bytes in files, with holes */
	size_t n_links;
	struct layer_link *links;
	size_t depth;
	struct level levels[COMMIT_DEPTH_MAX];
	char path[PATH_MAX];
};

/*
 * Calls on for each entry below from, with its path in w; for a folder it calls
 * layer_push to go on inside. leave, if there is one, is for a folder that is
 * done. -1 with e: what failed, with the path.
 */
int layer_walk(struct walk *w, int from, int to,
    int (*on)(struct walk *w, void *arg, const char *name,
	const struct stat *st, struct err *e),
    int (*leave)(struct walk *w, const struct level *l, struct err *e),
    void *arg, struct err *e);
int layer_push(
    struct walk *w, int from_taken, int to_taken, size_t path_n, struct err *e);

#endif
