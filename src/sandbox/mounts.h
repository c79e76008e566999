/*
 * sandbox/mounts.h: folders that a sandbox sees beside its work folder.
 *
 * What is read-only or an overlay is seen through an overlay file system: a
 * socket or a pipe in such a folder leads nowhere, since it is not the host's
 * own any more. What is written for good (SANDBOX_RW) is the folder itself,
 * and so such a sandbox has no way to a socket by its name (FILTER_NO_UNIX),
 * and what lies there and is no file is covered.
 */
#ifndef SANDBOX_MOUNTS_H
#define SANDBOX_MOUNTS_H

#include "base/str.h"
#include "sandbox/sandbox.h"

/*
 * FROM:TO[:MODE[,noexec]], as command lines have it. to and mode are filled
 * in, and where FROM is; fd is not touched. -1 with e.
 */
int mounts_parse(const char *text, struct str *from, struct str *to,
    struct sandbox_mount *m, struct err *e);

/*
 * 0 when each has a place of its own, as one in another would be made in it;
 * else -1 with e. Of s the mounts and the work folder are looked at.
 */
int mounts_check(const struct sandbox_spec *s, struct err *e);

/* "ro", "overlay" or "rw". */
const char *mounts_mode_name(enum sandbox_mount_mode mode);

#endif
