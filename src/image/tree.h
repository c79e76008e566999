/*
 * image/tree.h: a tree of files beneath a directory's descriptor.
 *
 * Every walk is openat2(2) with RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS and
 * RESOLVE_NO_SYMLINKS: whatever an image put there, a walk ends beneath the
 * directory or in an error. Symbolic links are data; none is followed.
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"
#include "image/pathset.h"

enum { TREE_PATH_BYTES = IMAGE_MAX_PATH_BYTES + 1 };

/*
 * The name of an archive's entry as a path: without "./", double and last
 * slashes. "" is the directory itself. Refused: ".." and absolute names (but
 * "/" is the directory itself), names that are too long or too deep.
 */
int tree_path(struct str name, char out[static TREE_PATH_BYTES], struct err *e);

/* openat2 as above. path "" is dir itself. The descriptor, or -1. */
int tree_open(int dir, const char *path, int flags, mode_t mode, struct err *e);

/* A regular file for reading, all of it beneath dir; -1 for all else. */
int tree_open_file(int dir, const char *path, struct err *e);

/*
 * Writes the file name, by way of tmp-NAME: whenever the machine stops, it has
 * either its old content or the new.
 */
int tree_replace_file(int dir, const char *name, struct buf *b, struct err *e);

/*
 * The directory that path's last part belongs into, as an O_PATH descriptor;
 * *leaf is that part. make: missing directories are made, mode 0755.
 */
int tree_parent(
    int dir, const char *path, bool make, const char **leaf, struct err *e);

/* Removes name, file or whole tree, from dir. Nothing there is no error. */
int tree_remove(int dir, const char *name, struct err *e);

/*
 * Removes what the directory dir + path holds, but not what keep has: a path
 * there is path, "/" and what follows. keep may be NULL.
 */
int tree_clear(
    int dir, const char *path, const struct pathset *keep, struct err *e);

#endif
