/*
 * gateway/mcp.h: the Model Context Protocol over streamable HTTP, at /mcp.
 *
 * Two eras, told apart by the request: one of 2026-07-28 carries its version
 * in params._meta and has no session; the ones before (2025-03-26 to
 * 2025-11-25) begin with initialize and name their session in a header. Of
 * both we offer tools, and what else tool servers have. Every message is a POST
 * with an answer of its own: JSON, or an event stream when the broker holds the
 * call for longer.
 *
 * At /mcp is the run whose listener or token it is. People and services with
 * tokens of their own name a run, /mcp/RUN: then the broker is asked first, for
 * each message, whether they may come in there.
 */
#ifndef GATEWAY_MCP_H
#define GATEWAY_MCP_H

#include "codec/json.h"
#include "gateway/gateway.h"

enum mcp_code { /* JSON-RPC, and what MCP adds to it */
	MCP_NO_RESOURCE = -32002, /* legacy */
	MCP_PARSE_ERROR = -32700,
	MCP_INVALID_REQUEST = -32600,
	MCP_METHOD_NOT_FOUND = -32601,
	MCP_INVALID_PARAMS = -32602,
	MCP_INTERNAL_ERROR = -32603,
	MCP_SERVER_ERROR = -32000, /* legacy: whatever has no other code */
	MCP_SESSION_NOT_FOUND = -32001, /* legacy */
	MCP_HEADER_MISMATCH = -32020,
	MCP_UNSUPPORTED_VERSION = -32022,
};

#define MCP_MODERN STR("2026-07-28")
#define MCP_META_VERSION STR("io.modelcontextprotocol/protocolVersion")
#define MCP_META_CAPABILITIES STR("io.modelcontextprotocol/clientCapabilities")
#define MCP_META_SERVER "io.modelcontextprotocol/serverInfo"
/* The bridge of `paddock mcp` says this of each request: init/mcp_message.c */
#define MCP_FROM_PIPE "Paddock-From-Pipe"
#define MCP_META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"

/* One JSON-RPC message of a client. id NULL: a notification. */
struct rpc {
	const struct json *id;
	const struct json *params; /* NULL, or an object */
	const struct json *meta; /* params._meta: NULL, or an object */
	struct str method; /* "": an answer to a question of ours */
};

void mcp_request(struct client *cl);
/* At /mcp/RUN: run is what stands there. */
void mcp_request_of(struct client *cl, struct str run);
void mcp_on_door(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload);
/* A run has closed: nothing more comes by its door. */
void mcp_on_run_end(struct gateway *g, uint64_t run);
void mcp_on_call(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload);
void mcp_on_tools(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload);
/* A subscription that the broker does not even look at. */
void mcp_on_refused(struct client *cl, uint16_t http, struct str payload);
void mcp_on_time(struct client *cl);
/* mcp_notify.c: payload as in MSG_SERVER_PROGRESS. */
void mcp_on_progress(struct client *cl, struct str payload);
/* All who listen to this run's lists are told. */
void mcp_on_lists(struct gateway *g, const struct msg_lists *m);
/* Of params.notifications: what it asks for and we have, LISTS_*. */
uint32_t mcp_wants(const struct json *notifications);
/* Appends {"toolsListChanged":true,...}; uris: an array, or NULL. */
void mcp_wants_put(struct buf *b, uint32_t wants, const struct json *uris);

/*
 * mcp_subscribe.c: resources/subscribe and its end: false for all others. The
 * answer comes as mcp_on_subscribed.
 */
bool mcp_subscribe(struct client *cl, const struct rpc *m, struct session *s);
void mcp_on_subscribed(struct client *cl, struct str payload);
/* What a listener wants to be told of; mcp_on_listening follows. */
bool mcp_listen_ask(struct client *cl, const struct json *uris);
void mcp_on_listening(struct client *cl, struct str payload);
/* The first message of a listener's stream; uris: an array, or NULL. */
void mcp_acknowledge(struct client *cl, const struct json *uris);
/* A resource of that holder: a listener cl, or, without one, a session. */
void mcp_on_updated(
    struct gateway *g, uint64_t holder, struct client *cl, struct str payload);
/* What a session was not told because it had no stream. */
void mcp_tell_waiting(struct client *cl, struct session *s);
/* Ends what cl waits for with an error. */
void mcp_fail(struct client *cl, uint16_t status, const char *why);
/* An answer to what was not read as a message: an error without id. */
void mcp_refuse(struct client *cl, uint16_t status, const char *why);

/* mcp_modern.c, mcp_legacy.c: one message of that era. */
void mcp_modern_post(struct client *cl, const struct rpc *m);
void mcp_legacy_post(struct client *cl, const struct rpc *m);
void mcp_legacy_get(struct client *cl);
void mcp_legacy_delete(struct client *cl);

/* mcp.c, mcp_ask.c: what both eras do in the same way. m has an id. */
void mcp_call(struct client *cl, const struct rpc *m, bool modern);
/* One of the lists: "tools", as mcp_list_of says. */
void mcp_list(
    struct client *cl, const struct rpc *m, bool modern, const char *list);
/* NULL, or the list that the method asks for. */
const char *mcp_list_of(struct str method);
/* resources/read, prompts/get, completion/complete: false for all others. */
bool mcp_ask(struct client *cl, const struct rpc *m, bool modern);

/* mcp_answer.c */
void mcp_error(struct client *cl, uint16_t status, const struct rpc *m,
    enum mcp_code code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* -32022 with the versions that there are. */
void mcp_error_version(
    struct client *cl, const struct rpc *m, struct str requested, bool modern);
/* {"jsonrpc":"2.0","id":...,"result":{ ... is the caller's to close. */
struct buf *mcp_result_begin(struct client *cl, const struct rpc *m);
void mcp_server_info_put(struct buf *b);
/* A result that is known at once. */
void mcp_result_end(struct client *cl, struct buf *b, struct str fields);
/* Begins the event stream of a question, once. */
void mcp_stream_begin(struct client *cl);
void mcp_stream_message(struct client *cl, struct str message);
/* The answer to a question: {...}, or an error with data, if any. */
void mcp_say_result(struct client *cl, struct str result);
void mcp_say_error(struct client *cl, enum mcp_code code, struct str text,
    const struct json *data);
/* The question's answer, in b or as a last event; ends the question. */
void mcp_answer(struct client *cl, uint16_t status, struct buf *b);

/* mcp_headers.c: 0, or -1 when the request has been answered with -32020. */
int mcp_headers_check(struct client *cl, const struct rpc *m);
/* Answers with -32020; the broker is told, and records it. */
void mcp_mismatch(struct client *cl, const struct rpc *m, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends "heads":{...}, of MSG_TOOL_CALL, or nothing. */
void mcp_params_put(struct client *cl, struct buf *b);
/* The only value of a header; -1 when there are several. NULL when none. */
int mcp_header(
    const struct client *cl, struct str name, const struct str **value);

/*
 * The question to the broker that g->payload is. NULL when the client takes
 * no answer that we have, and has been told.
 */
struct pending *mcp_question(
    struct client *cl, const struct rpc *m, bool modern, enum question what);
void mcp_question_send(struct client *cl);

bool mcp_is_legacy(struct str version);

#endif
