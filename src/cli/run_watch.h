/*
 * cli/run_watch.h: stays with a run until it has ended.
 *
 * Tells of approvals as they come, turns Ctrl-C into a stop, and asks again
 * when the daemon's door is restarted in between.
 */
#ifndef CLI_RUN_WATCH_H
#define CLI_RUN_WATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/daemon.h"

struct run_watch {
	const struct client *client;
	struct daemon *daemon; /* the embedded one; pid 0 when there is none */
	const char *run; /* "r-..." */
	const char *hint; /* " --state DIR" where it is not the usual one */
	bool quiet;
	bool json; /* notices as lines of JSON */
	int signals; /* of SIGNALS_TO_END */

	/* its own */
	struct client_conn wait, events;
	bool events_begun;
	bool told; /* a signal has come */
	bool stop_wanted; /* and the daemon has not been told yet */
	struct buf shown; /* approvals that were told of */
	int64_t lost_ns; /* when the daemon was last there, 0: now */
};

/* 0 with the run's object in *r, or -1 with e: the run's end is not known. */
int run_watch(struct run_watch *w, struct client_reply *r, struct err *e);

/*
 * Tells how a run has ended, from its object; the exit status: the command's
 * own, unless the run was stopped.
 */
int run_watch_end(const struct json *v, const char *id, bool json);

/* A line of JSON on standard error, safe for a terminal. */
void run_watch_json(struct str line);

#endif
