/*
 * sandbox/planted.h: what a sandbox has left under protected names in a folder
 * that it writes for good.
 *
 * guard.c covers what is there before the command starts. What comes to be
 * under such a name later cannot be covered: git init makes .git/hooks, a
 * folder is renamed to .git, a file that has a second name elsewhere is
 * written by that one. So each folder is gone through before the start and
 * after the end, by the side that was never inside, and every file at or below
 * a protected name that is new, or not what it was, is told: whoever opens the
 * folder next executes it.
 *
 * What somebody else has changed there meanwhile is told as well: a file does
 * not say who wrote it.
 */
#ifndef SANDBOX_PLANTED_H
#define SANDBOX_PLANTED_H

#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "sandbox/sandbox.h"

struct planted_file;

/* All zero is empty, and fine for planted_fini. */
struct planted {
	struct protect protect; /* its rules are borrowed */
	unsigned n;
	struct planted_folder {
		int fd; /* its own */
		char *to; /* where inside */
		struct planted_file *files; /* by path, when looked through */
		size_t n, cap;
		struct buf paths;
	} folder[MOUNTS_MAX];
};

/*
 * Looks through each folder of the spec that is SANDBOX_RW, and remembers.
 * Rules of spec.protect have to stay. -1 with e and nothing of it.
 */
int planted_begin(
    struct planted *p, const struct sandbox_spec *spec, struct err *e);

/*
 * Once more, when nothing inside runs any more: tell gets each path as it was
 * inside, chosen by whoever was there. What cannot be looked through is told
 * like a file that is new. The number of those told.
 */
uint32_t planted_tell(
    struct planted *p, void (*tell)(void *arg, const char *path), void *arg);

void planted_fini(struct planted *p);

#endif
