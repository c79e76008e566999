/*
 * sys/mount.h: mounts by descriptor (fsopen(2), open_tree(2) and company).
 *
 * A mount is made detached, gets its attributes, and is attached last, so it
 * is never seen half-made. Attach what you make: closing a mount that was
 * never attached waits for an RCU grace period.
 */
#ifndef SYS_MOUNT_H
#define SYS_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Attributes, as mount_setattr(2) has them. */
enum mount_flag {
	MOUNT_RDONLY = 0x1,
	MOUNT_NOSUID = 0x2,
	MOUNT_NODEV = 0x4,
	MOUNT_NOEXEC = 0x8,
};

struct mount_option {
	const char *key;
	const char *value; /* NULL: a flag */
};

/* A detached file system of this type. The descriptor, or -1. */
int mount_new(const char *type, const struct mount_option *options,
    size_t n_options, unsigned flags, struct err *e);

/*
 * A detached copy of what is mounted at dirfd + path ("" for dirfd itself),
 * with everything mounted below it when `all` is set, and these flags added
 * to all of it. userns_fd shifts the owners (an idmapped mount), or is -1.
 */
int mount_copy(int dirfd, const char *path, bool all, unsigned flags,
    int userns_fd, struct err *e);

/* Adds flags to the mount that fd is the root of. */
int mount_restrict(int fd, unsigned flags, struct err *e);

/* Makes what is mounted at path read-only, or lets it be written again. */
int mount_rdonly(const char *path, bool rdonly, struct err *e);

/* Attaches a detached mount on top of what is at dirfd + path. */
int mount_attach(int mount, int dirfd, const char *path, struct err *e);

/* Likewise on top of what this descriptor stands for, a link included. */
int mount_cover(int mount, int target, struct err *e);

/* Takes what is mounted at from to another place of this namespace. */
int mount_move(const char *from, const char *to, struct err *e);

/* Nothing that is mounted from now on is seen by other namespaces. */
int mount_private(struct err *e);

/* The mount that the working directory is the root of becomes "/", and what
 * was there before is gone. */
int mount_pivot(struct err *e);

/* Likewise for this process and those it starts, where what was there before
 * is harmless: it stays below. */
int mount_go_in(struct err *e);

#endif
