/*
 * sys/confine.h: what a role can still do, a row per role in confine.c.
 *
 * A role calls confine_role once, before it reads a byte that is not ours:
 * its own uid (when started as root), an empty root directory or Landlock
 * paths, no capabilities, no_new_privs, rlimits, a seccomp list.
 */
#ifndef SYS_CONFINE_H
#define SYS_CONFINE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum confine_role {
	CONFINE_SUPERVISOR,
	CONFINE_BROKER,
	CONFINE_GATEWAY,
	CONFINE_PROXY,
	CONFINE_WORLD,
	CONFINE_TOOLS,
	CONFINE_AUDIT, /* sandbox/audit.h */
	CONFINE_ROLES,
};

/* The uid and gid of a role when paddock is started as root. */
uid_t confine_uid(enum confine_role r);

/*
 * dir: the one directory that the role may still use (the broker's state), or
 * NULL. Returns 0, or -1 with e: then the role must end.
 */
int confine_role(enum confine_role r, const char *dir, struct err *e);

#endif
