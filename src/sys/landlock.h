/*
 * sys/landlock.h: which files a process may touch, by Landlock.
 *
 * A second wall behind the mount namespace and the uid. Rights that this
 * kernel does not know are left out: landlock_abi() says what is left.
 */
#ifndef SYS_LANDLOCK_H
#define SYS_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum landlock_access {
	LANDLOCK_READ = 1 << 0, /* files and directories */
	LANDLOCK_EXECUTE = 1 << 1,
	LANDLOCK_WRITE = 1 << 2, /* content; make, remove, rename, truncate */
	LANDLOCK_DEVICE = 1 << 3, /* ioctl on devices (ABI 5) */
};

enum landlock_more {
	LANDLOCK_SCOPES = 1 << 0, /* signals and abstract sockets (ABI 6) */
	LANDLOCK_NO_TCP = 1 << 1, /* neither bind nor connect (ABI 4) */
	LANDLOCK_NO_BIND = 1 << 3, /* connect, but no bind (ABI 4) */
	LANDLOCK_ONLY_SCOPES = 1 << 2, /* files are as free as they were */
};

/* The kernel's level, 0 when there is none. */
int landlock_abi(void);

/* A ruleset that forbids all files, and `more`. The descriptor, or -1. */
int landlock_new(int abi, unsigned more, struct err *e);

/* Allows `access` (of enum landlock_access) beneath dirfd + path. */
int landlock_allow(int ruleset, int abi, int dirfd, const char *path,
    unsigned access, struct err *e);

/* Confines this thread and its children. no_new_privs is set already. */
int landlock_enforce(int ruleset, struct err *e);

/*
 * Likewise, those whom nobody trusts: what is refused to programs executed
 * later is told to the kernel's audit where `told` says so, else not, and what
 * domains refuse that they make for themselves never, so that they cannot fill
 * it. Before ABI 7 nothing is told of anybody.
 */
int landlock_enforce_strangers(int ruleset, int abi, bool told, struct err *e);

#endif
