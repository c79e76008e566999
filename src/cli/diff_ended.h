/*
 * cli/diff_ended.h: what the records hold of the files of a run that has ended.
 *
 * The overlay of its work folder is gone with it. What stayed are mounts that
 * it wrote for good, and of the files there those that other programs execute
 * were looked for at the end (sandbox/planted.h) and are on record.
 */
#ifndef CLI_DIFF_ENDED_H
#define CLI_DIFF_ENDED_H

#include "cli/client.h"

/*
 * Both call planted() with each name that is on record, in their order; *n is
 * how many there were, which may be more. 0, or -1 with e.
 */
struct diff_ended {
	void (*planted)(void *arg, struct str name);
	void (*mounts)(void *arg, const struct json *list);
	void *arg;
};

/* As the daemon tells it; row is what it says of the run. */
int diff_ended_ask(const struct diff_ended *d, const struct client *c,
    const char *run, const struct json *row, uint64_t *n, struct err *e);

/*
 * Without a daemon, from the store of this state directory (NULL: the usual
 * one). Calls mounts() as well, which the daemon's row has.
 */
int diff_ended_read(const struct diff_ended *d, const char *state, uint64_t run,
    uint64_t *n, struct err *e);

#endif
