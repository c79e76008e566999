/*
 * sandbox/commit.h: writes what a sandbox has changed back to its work folder.
 *
 * With sandbox_spec.write_back a sandbox works on an overlay as any other, and
 * never on the folder itself: so no socket or pipe of the host in it can be
 * reached, and nothing is changed before the end. Then what lies in the upper
 * directory is copied, by the side that was never inside: file by file, each
 * under its name at once or not at all. What protect.h says is not written by
 * a sandbox is left out, by the names that files have in the end, and told.
 *
 * As root all changes are made with the rights of the folder's owner.
 */
#ifndef SANDBOX_COMMIT_H
#define SANDBOX_COMMIT_H

#include <stdint.h>

#include "base/err.h"
#include "sandbox/protect.h"

enum commit_why {
	COMMIT_PROTECTED, /* not written: sandbox/protect.h */
	COMMIT_FLAGGED, /* likewise, but written: protect.flag */
	COMMIT_SPECIAL, /* not written: no file, folder or link */
	COMMIT_UNREADABLE, /* not written: its mode forbids to read it */
};

struct commit {
	struct protect protect;
	/* For each path, relative to the folder; chosen by whoever was
	 * inside. */
	void (*tell)(void *arg, enum commit_why why, const char *path);
	void *arg;
	uint64_t changed; /* files, links and folders written or removed */
	uint64_t refused; /* of the paths told: those that were not written */
};

/*
 * upper is sandbox.upper of one whose processes have ended; folder a
 * descriptor of the folder it was started with. 0, or -1 with e: then part
 * of it may be written.
 */
int commit_folder(struct commit *c, int upper, int folder, struct err *e);

/* "protected" ...: why, as traces spell it. */
const char *commit_why_name(enum commit_why why);

#endif
