/*
 * init/mcp_bridge.h: the loop of `paddock mcp`: lines in, POSTs out, answers
 * back as lines.
 *
 * Messages go out in the order of their lines. One that is not a request, and
 * initialize, is answered before the next one goes out: a request must not
 * overtake the message that makes it valid. Requests overtake one another.
 */
#ifndef INIT_MCP_BRIDGE_H
#define INIT_MCP_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "init/mcp_exchange.h"
#include "init/mcp_message.h"

struct bridge;

/* One message on its way to the door, and what is known of its answer. */
struct bridge_call {
	struct exchange x;
	struct bridge *bridge;
	struct buf id; /* as JSON; empty when no answer is owed */
	bool is_initialize;
	bool is_listen;
	bool is_modern; /* closing the connection cancels it */
	bool is_ordered; /* the next message waits for it */
	bool is_stream; /* what a session of the old era is told */
	bool is_delete; /* ends the session: nobody asks how it went */
	int64_t deadline_ns; /* 0: none */
};

struct bridge {
	struct mcp_door door;
	struct bridge_call calls[BRIDGE_MAX_CALLS];
	struct buf in; /* standard input, not yet looked at */
	size_t looked; /* bytes at its start that hold no line end */
	bool skips_line; /* the rest of a line that was too long */
	bool ended; /* standard input */
	bool broken; /* standard output */
	bool gave_up; /* answers were still missing at the end */
	bool wants_stream; /* a session has begun, and has none yet */
	int64_t drain_ns; /* when the wait for answers ends; 0: no end yet */
	struct arena arena; /* of the message in hand */
};

void bridge_init(struct bridge *b);
/* Closes all connections and forgets the token. */
void bridge_fini(struct bridge *b);

/*
 * Runs until standard input has ended and its answers are written, and the
 * session, if there is one, is closed. -1 with e when standard output is gone
 * or answers did not come within BRIDGE_DRAIN_MS; each got an error then.
 */
int bridge_run(struct bridge *b, struct err *e);

/* A line on standard error, for the operator. */
void bridge_complain(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

#endif
