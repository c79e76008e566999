/*
 * init/serve_int.h: shared by serve.c, which waits, reaps and tells, and
 * serve_request.c, which does what is asked. Of nobody else's concern.
 */
#ifndef INIT_SERVE_INT_H
#define INIT_SERVE_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/exec_table.h"
#include "init/work.h"

struct job { /* a worker */
	bool used;
	bool ended;
	uint64_t id;
	pid_t pid;
	int status;
};

struct serve {
	char **argv, **envp;
	struct judge judge; /* of envp, where it no longer is */
	struct tracer tracer; /* where there are rules */
	bool keep;
	int rpc; /* -1: closed */
	int child; /* signalfd */
	struct relay *relay;
	bool blocked; /* the rpc socket takes nothing now */
	bool more; /* children that were not asked yet */
	bool untold; /* an entry may have something to tell */
	bool answered; /* there is an answer that waits: */
	struct rpc_reply answer;
	int64_t last_start_ns;
	struct exec *main;
	struct exec_table execs;
	struct job jobs[RPC_MAX_WORKERS];
	struct work_result *results; /* of jobs; shared with the workers */
	char spare[RPC_MAX_PAYLOAD_BYTES]; /* while no struct start is free */

	/* Between the two threads: one asks, the other forks. */
	int ask, done;
	struct work work;
	pid_t forked; /* or a negative errno */
};

/* Takes what has come on the rpc socket, and does it. */
void serve_frames(struct serve *s);

/* Whether a request may be taken now: none is that cannot be answered, or,
 * for a while, started. */
bool serve_may_read(const struct serve *s);
/*
 * False when the socket takes nothing now. Without a socket all is told: what
 * can be sent to nobody is dropped.
 */
bool serve_say(
    struct serve *s, const struct rpc_reply *r, const int *fds, unsigned n_fds);
/* What runs goes on; its end is told to nobody. */
void serve_close_rpc(struct serve *s);

#endif
