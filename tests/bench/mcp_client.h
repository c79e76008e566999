/*
 * mcp_client.h: a blocking MCP client that does as little as it can beside
 * waiting, so that what it measures is the server.
 *
 * One request at a time over one kept connection, written with one call. The
 * clock runs from before that call until the answer's JSON is whole; it is
 * parsed and checked after that.
 */
#ifndef BENCH_MCP_CLIENT_H
#define BENCH_MCP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/sse.h"

enum mcp_speech {
	MCP_SPEAK_LEGACY, /* 2025-11-25 over HTTP: initialize, session */
	MCP_SPEAK_MODERN, /* 2026-07-28 over HTTP: neither */
	MCP_SPEAK_STDIO, /* 2025-11-25, a line each way */
};

struct mcp_client {
	enum mcp_speech speech;
	int in, out; /* the same socket, or two pipes */
	pid_t server; /* of ours, or 0 */
	struct str host, path; /* in the URL */
	struct buf fields; /* header lines of every request */
	struct buf request; /* as sent last */
	struct buf got; /* the last answer, as received */
	struct buf content; /* its body without chunks */
	struct sse sse;
	struct str json; /* the JSON-RPC message in it */
	struct buf event; /* that message, when it came as an event */
	uint64_t id; /* of the last request */
	bool stale; /* the answers are recorded: their ids are old */
};

#define own_mcp __attribute__((cleanup(mcp_client_fini)))

void mcp_client_fini(struct mcp_client *c);
/* url is http://ADDRESS:PORT/PATH and outlives c; token is "" for none. */
int mcp_client_http(struct mcp_client *c, enum mcp_speech speech,
    struct str url, struct str token, struct err *e);
int mcp_client_stdio(struct mcp_client *c, char **argv, struct err *e);
/*
 * A connection to who answers at once with the bytes of the last answer to
 * like, a process of its own on loopback: what a round trip costs here when
 * nothing is done in between. It ends with the connection.
 */
int mcp_client_floor(
    struct mcp_client *c, const struct mcp_client *like, struct err *e);
/* args is a JSON object. The answer must be a result without isError. */
int mcp_client_call(struct mcp_client *c, struct str tool, struct str args,
    int64_t *ns, struct err *e);
/* The halves of a call over HTTP, so that others are asked in between. */
int mcp_client_ask(
    struct mcp_client *c, struct str tool, struct str args, struct err *e);
int mcp_client_hear(struct mcp_client *c, struct err *e);

#endif
