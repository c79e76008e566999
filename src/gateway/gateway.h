/*
 * gateway/gateway.h: what the parts of the gateway share.
 *
 * One struct gateway per process. A connection is a struct client, and has at
 * most one question open: to the broker, or a stream that only we end. All
 * scratch memory of a request is the gateway's and is used again by the next.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/limits.h"
#include "core/id.h"
#include "ipc/http_server.h"
#include "ipc/msg.h"
#include "ipc/peer.h"

struct inside;
struct inside_route;
struct output;
struct session;
struct visit;

enum {
	CLIENTS_MAX = HTTP_MAX_CONNECTIONS + HTTP_RESERVED_CONNECTIONS +
	    HTTP_SURPLUS_CONNECTIONS,
	SESSION_BUCKETS = 1024,
	SESSION_ID_BYTES = 33, /* 128 random bits in hexadecimal, and NUL */
};

/* Waits in the doors; base/limits.h says why. A test may lower them. */
struct gateway_times {
	uint32_t held_ms;
	uint32_t progress_ms;
	uint32_t stream_ms;
};

struct gateway {
	struct loop *loop;
	struct peer supervisor;
	struct peer broker;
	struct http_server http;
	struct gateway_times times;
	struct doorway *doors;
	int status; /* of the process, when the loop has stopped */

	struct client *clients[CLIENTS_MAX]; /* by slot */
	uint16_t free_slots[CLIENTS_MAX];
	size_t n_free;
	uint64_t n_calls; /* numbers given out */

	struct session *sessions[SESSION_BUCKETS];
	size_t n_sessions;
	uint64_t session_uses;

	struct inside *insides; /* sandboxes that can be reached into */
	size_t exec_bytes; /* of output that their commands keep */

	struct output *outputs;
	size_t n_unnamed; /* of them, whose run is not known yet */

	struct arena arena; /* the document of the request at hand */
	struct buf payload; /* for the broker */
	struct buf body; /* for the client */
};

/* A listener, and what it says of those who connect to it. */
struct doorway {
	struct http_listener listener;
	struct doorway *next;
	enum door kind; /* DOOR_RUN, or the kind a peer without token has */
	uint64_t run; /* DOOR_RUN */
};

/* Who asks, as the broker is told. */
struct caller {
	enum door door;
	uint64_t run; /* DOOR_RUN: its own; else one that the path names */
	struct hash token; /* DOOR_TOKEN */
	uint32_t uid; /* at a Unix socket, else UINT32_MAX */
};

enum question {
	ASK_NOTHING,
	ASK_MCP_CALL,
	ASK_MCP_TOOLS,
	ASK_MCP_DOOR, /* may the caller come in? then the request */
	ASK_MCP_LISTEN, /* a stream of ours, for what others tell */
	ASK_MCP_SUBSCRIBE,
	ASK_REST,
	ASK_OUTPUT, /* may the caller see the run? then its output */
	ASK_EVENTS,
	ASK_INSIDE, /* for a grant; then gateway/inside.h */
};

/* What a client waits for. */
struct pending {
	enum question what;
	uint64_t call; /* 0: the broker is not asked */
	bool modern; /* MCP 2026-07-28, else the older ones */
	bool takes_json, takes_stream; /* what Accept allows */
	bool streaming;
	bool plain; /* no tool's: what goes wrong is an error of JSON-RPC */
	bool keeps; /* the answer says for how long it holds, when modern */
	struct buf id; /* JSON-RPC, as JSON */
	struct buf uri; /* of resources/read, as JSON */
	struct buf progress_token; /* as JSON; empty: not asked for */
	uint64_t progress;
	bool told; /* the tool itself says how far it has come */
	uint32_t wants; /* ASK_MCP_LISTEN: LISTS_* */
	bool acknowledged; /* ASK_MCP_LISTEN: it knows what it is told */
	struct session *session; /* NULL: none, or it has ended */
	uint64_t run; /* ASK_OUTPUT, ASK_INSIDE */
	const struct inside_route *route; /* ASK_INSIDE */
	struct loop_timer timer;
};

struct client {
	struct http_conn conn; /* first */
	struct gateway *gateway;
	uint16_t slot;
	struct caller caller;
	struct pending pending;
	uint64_t attached; /* the call whose run ends with us; 0: none */
	struct visit *visit; /* what it does inside; NULL: nothing */
};

extern const struct gateway_times gateway_default_times;

/* Everything but the links; limits and times are copied. */
int gateway_init(struct gateway *g, const struct http_limits *limits,
    const struct gateway_times *times, struct err *e);
void gateway_fini(struct gateway *g);
/* Sends READY and serves until the loop is stopped. */
int gateway_run(struct gateway *g, struct err *e);

static inline struct gateway *
gateway_of(struct http_server *s)
{
	return LOOP_OF(s, struct gateway, http);
}

#endif
