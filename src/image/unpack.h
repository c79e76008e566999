/*
 * image/unpack.h: the confined process that unpacks archives.
 *
 * The caller feeds it packed bytes and never looks into them. The process has
 * the destination as its root directory (as root), Landlock (the destination
 * and nothing else), no capability, the uid of the destination's owner, no
 * new privileges, a seccomp list without execve, sockets and open(2) by plain
 * name, and rlimits. What it says at the end is checked like any stranger's.
 */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "image/untar.h"

/*
 * The uid and gid that own all files of all images when paddock is root: the
 * process that unpacks is neither root nor anybody else. Beside the roles'.
 */
enum { UNPACK_UID = 0x6fff0010 };

struct unpack {
	pid_t pid; /* 0: none */
	int link;
};

#define own_unpack __attribute__((cleanup(unpack_fini)))

/* The limits of base/limits.h, as of an image that has used up nothing. */
struct untar_limits unpack_limits(void);

/*
 * Gives an empty directory to UNPACK_UID, where that exists: not without
 * root, nor in a user namespace that does not map it.
 */
int unpack_own(int dir, struct err *e);

/* Starts the process for one archive. dir: see untar(). */
int unpack_start(struct unpack *u, int dir, bool layer,
    const struct untar_limits *limits, struct err *e);

/* 0, or 1: it takes no more, unpack_end() says why. */
int unpack_feed(struct unpack *u, const void *p, size_t n, struct err *e);

/* The archive is whole: waits for the process. */
int unpack_end(struct unpack *u, struct untar_count *count,
    struct hash *unpacked, struct err *e);

/* Kills the process if it still runs. */
void unpack_fini(struct unpack *u);

#endif
