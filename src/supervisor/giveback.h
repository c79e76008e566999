/*
 * supervisor/giveback.h: writes the changes of a sandbox that has ended back to
 * its work folder (sandbox/commit.h), and looks for what it has planted in
 * folders that it wrote for good (sandbox/planted.h), in a process of its own,
 * so that no disk, however slow, holds the supervisor up.
 *
 * That process has nothing but these folders, and ends with its parent.
 */
#ifndef SUPERVISOR_GIVEBACK_H
#define SUPERVISOR_GIVEBACK_H

#include <sys/types.h>

#include "base/err.h"
#include "sandbox/commit.h"
#include "sandbox/planted.h"
#include "sys/loop.h"

struct giveback {
	struct loop *loop;
	pid_t pid; /* 0: none */
	struct loop_watch heard; /* what it tells; its own */
	/* A file that is told; then the end, with NULL or what went wrong. */
	void (*on_told)(
	    struct giveback *w, enum commit_why why, const char *path);
	void (*on_planted)(struct giveback *w, const char *path);
	void (*on_end)(struct giveback *w, const char *why);
};

/*
 * upper, folder and what planted holds stay the caller's; with upper -1
 * nothing is written. 0: on_end will be called.
 */
int giveback_start(struct giveback *w, int upper, int folder,
    const struct protect *protect, const struct planted *planted,
    struct err *e);

/* Waits for it; neither function is called any more. */
void giveback_fini(struct giveback *w);

#endif
