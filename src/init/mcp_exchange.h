/*
 * init/mcp_exchange.h: one request of the MCP bridge and its answer, over a
 * connection that may serve the next request afterwards.
 *
 * Nothing here blocks. The owner polls fd for exchange_events and hands what
 * is ready to exchange_ready, until the state is EXCHANGE_DONE:
 *
 *     x->out holds the request;
 *     exchange_start(x, url, &e);
 *     while (x->state != EXCHANGE_DONE)
 *             ... poll ..., exchange_ready(x, revents, &e);
 *     ... x->status, x->content ...
 *     exchange_end(x);
 */
#ifndef INIT_MCP_EXCHANGE_H
#define INIT_MCP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "codec/http1.h"
#include "codec/sse.h"
#include "init/mcp_url.h"

enum exchange_state {
	EXCHANGE_FREE, /* no connection */
	EXCHANGE_IDLE, /* a connection, and no request */
	EXCHANGE_CONNECT,
	EXCHANGE_OPEN, /* the request goes out, the answer comes in */
	EXCHANGE_DONE, /* the answer is whole */
};

struct exchange {
	enum exchange_state state;
	int fd; /* -1 when FREE */
	struct buf out; /* the request */
	size_t sent; /* bytes of out that are gone */
	bool deaf; /* the server takes no more of it */
	struct buf in; /* received, not yet looked at */

	bool has_head; /* of the answer: what follows is valid */
	uint16_t status;
	bool keep_alive;
	bool is_json, is_events; /* what Content-Type says */
	char session[BRIDGE_MAX_SESSION_BYTES]; /* Mcp-Session-Id, or "" */
	struct http1_body body;
	struct buf content; /* of the body, unless it is events */
	struct sse events;

	/* Called from exchange_ready with the data of each event. */
	void (*on_event)(struct exchange *x, struct str data);
};

/* x is all zero but fd = -1. Frees everything, closes the connection. */
void exchange_fini(struct exchange *x);

/*
 * Sends x->out, over the connection that is there if it is still good, else
 * over a new one. -1 with e: nothing was sent, x is FREE.
 */
int exchange_start(struct exchange *x, const struct mcp_url *to, struct err *e);

/* What to poll x->fd for: 0 when there is nothing to wait for. */
short exchange_events(const struct exchange *x);

/*
 * Goes on. -1 with e: it failed, and may or may not have had an effect unless
 * it was still EXCHANGE_CONNECT. The owner calls exchange_close then, and also
 * when an idle connection becomes ready: the server has closed it.
 */
int exchange_ready(struct exchange *x, short revents, struct err *e);

/* After EXCHANGE_DONE: IDLE, or FREE when the connection cannot be kept. */
void exchange_end(struct exchange *x);
/* FREE, whatever it was. */
void exchange_close(struct exchange *x);

#endif
