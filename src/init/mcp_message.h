/*
 * init/mcp_message.h: what the MCP bridge has to know about a message, and the
 * HTTP request that carries it. Pure.
 */
#ifndef INIT_MCP_MESSAGE_H
#define INIT_MCP_MESSAGE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"
#include "init/mcp_url.h"

/* JSON-RPC errors that the bridge itself answers with. */
enum {
	MCP_PARSE_ERROR = -32700,
	MCP_INVALID_REQUEST = -32600,
	MCP_SERVER_ERROR = -32000, /* the door cannot be reached, or is odd */
};

/* One message, from either side. Views of the text or the arena. */
struct mcp_message {
	struct str text;
	const struct json *root; /* an object */
	const struct json *id; /* NULL when there is none, or null */
	struct str method; /* "" for a response */
	struct str version; /* _meta's protocolVersion; "" in the old era */
	bool is_initialize;
	bool is_listen; /* subscriptions/listen: its answer never ends */
	bool is_cancel;
};

/*
 * 0, or -1 with e and *code one of the errors above: no JSON, or no single
 * message; m->id is set if it could be read. Batches, which only 2025-03-26
 * had, are refused.
 */
int mcp_message_read(struct mcp_message *m, struct str text, struct arena *a,
    int *code, struct err *e);

/* A request has to be answered: it has a method and an id. */
bool mcp_message_is_request(const struct mcp_message *m);

/* What requests have in common, and what has been agreed so far. */
struct mcp_door {
	struct mcp_url url;
	struct buf token; /* for Authorization: Bearer; empty when none */
	char session[BRIDGE_MAX_SESSION_BYTES]; /* of the old era, or "" */
	char version[BRIDGE_MAX_VERSION_BYTES]; /* in use, or "" */
	bool is_modern; /* version came from a message's _meta */
};

/* Appends the POST that carries m. out->failed tells of memory. */
void mcp_request_put(
    struct buf *out, const struct mcp_door *d, const struct mcp_message *m);
/* Appends the GET whose answer is all that the session is told. */
void mcp_stream_put(struct buf *out, const struct mcp_door *d);
/* Appends the DELETE that ends the session. */
void mcp_delete_put(struct buf *out, const struct mcp_door *d);

/* Appends an error message; id is JSON text. */
void mcp_error_put(struct buf *out, struct str id, int code, struct str text);

#endif
