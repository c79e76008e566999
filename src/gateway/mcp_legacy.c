/*
 * MCP 2025-03-26, 2025-06-18 and 2025-11-25: initialize opens a session, its
 * name comes back in a header, DELETE ends it. A GET is a stream for messages
 * of ours: that a list has changed.
 */
#include "gateway/answer.h"
#include "gateway/mcp.h"
#include "gateway/pending.h"
#include "gateway/session.h"

static struct session *session_of(struct client *cl, const struct rpc *m);
static bool version_ok(struct client *cl, const struct rpc *m);
static void initialize(struct client *cl, const struct rpc *m);
static void empty_result(struct client *cl, const struct rpc *m);
static void cancel(
    struct client *cl, const struct session *s, const struct rpc *m);

void
mcp_legacy_post(struct client *cl, const struct rpc *m)
{
	struct session *s;

	if (str_eq(m->method, STR("initialize")) && m->id != NULL) {
		initialize(cl, m);
		return;
	}
	if (!version_ok(cl, m))
		return;
	s = session_of(cl, m);
	if (s == NULL)
		return;
	if (m->id == NULL || m->method.n == 0) {
		if (str_eq(m->method, STR("notifications/cancelled")))
			cancel(cl, s, m);
		http_reply(&cl->conn, 202, STR(""), STR(""), STR(""));
	} else if (str_eq(m->method, STR("tools/call"))) {
		mcp_call(cl, m, false);
	} else if (mcp_list_of(m->method) != NULL) {
		mcp_list(cl, m, false, mcp_list_of(m->method));
	} else if (mcp_subscribe(cl, m, s) || mcp_ask(cl, m, false)) {
		/* Asked, or told what is wrong with it. */
	} else if (str_eq(m->method, STR("ping")) ||
	    str_eq(m->method, STR("logging/setLevel"))) {
		empty_result(cl, m);
	} else {
		mcp_error(cl, 200, m, MCP_METHOD_NOT_FOUND,
		    "there is no method %.*s", STR_FMT(m->method));
	}
	if (cl->pending.what != ASK_NOTHING)
		cl->pending.session = s;
}

void
mcp_legacy_get(struct client *cl)
{
	const struct str *id = http1_get(&cl->conn.head, STR("Mcp-Session-Id"));
	struct session *s;
	struct pending *p;

	if (id == NULL) {
		answer_error_fields(cl, 405,
		    "there is a stream for sessions only",
		    STR("Allow: POST\r\n"));
		return;
	}
	if (!version_ok(cl, NULL))
		return;
	s = session_of(cl, NULL);
	if (s == NULL)
		return;
	if (!answer_accepts(cl, STR("text/event-stream"))) {
		mcp_refuse(cl, 406, "Accept must name text/event-stream");
		return;
	}
	p = pending_begin(cl, ASK_MCP_LISTEN);
	p->takes_stream = true;
	p->acknowledged = true; /* it knows what a session is told */
	p->wants = LISTS_TOOLS | LISTS_RESOURCES | LISTS_PROMPTS;
	p->session = s;
	mcp_stream_begin(cl);
	mcp_tell_waiting(cl, s);
	if (cl->conn.phase != HTTP_DEAD)
		pending_wake(cl, cl->gateway->times.progress_ms);
}

void
mcp_legacy_delete(struct client *cl)
{
	const struct str *id = http1_get(&cl->conn.head, STR("Mcp-Session-Id"));
	struct session *s;

	if (id == NULL) {
		answer_error_fields(cl, 405, "only a session can be ended",
		    STR("Allow: POST\r\n"));
		return;
	}
	s = session_of(cl, NULL);
	if (s == NULL)
		return;
	session_free(cl->gateway, s);
	http_reply(&cl->conn, 204, STR(""), STR(""), STR(""));
}

/* NULL when the client has been told that it has none. */
static struct session *
session_of(struct client *cl, const struct rpc *m)
{
	const struct str *id;
	struct session *s;

	if (mcp_header(cl, STR("Mcp-Session-Id"), &id) < 0 || id == NULL) {
		mcp_error(cl, 400, m, MCP_SERVER_ERROR,
		    "one header Mcp-Session-Id is needed; initialize gives "
		    "it");
		return NULL;
	}
	s = session_find(cl->gateway, &cl->caller, *id);
	if (s == NULL)
		mcp_error(cl, 404, m, MCP_SESSION_NOT_FOUND,
		    "there is no such session: initialize again");
	return s;
}

/* Without the header it is 2025-03-26, which did not know it. */
static bool
version_ok(struct client *cl, const struct rpc *m)
{
	const struct str *header;

	if (mcp_header(cl, STR("MCP-Protocol-Version"), &header) == 0 &&
	    (header == NULL || mcp_is_legacy(*header)))
		return true;
	mcp_error_version(cl, m, *header, false);
	return false;
}

static void
initialize(struct client *cl, const struct rpc *m)
{
	const struct json *asked = json_get(m->params, STR("protocolVersion"));
	own_buf struct buf fields = {};
	struct session *s;
	struct err e = {};
	struct buf *b;

	if (!json_is(asked, JSON_STRING)) {
		mcp_error(cl, 400, m, MCP_INVALID_PARAMS,
		    "params.protocolVersion must be a string");
		return;
	}
	s = session_new(cl->gateway, &cl->caller, &e);
	if (s == NULL) {
		mcp_error(cl, 503, m, MCP_INTERNAL_ERROR, "%s", e.text);
		return;
	}
	b = mcp_result_begin(cl, m);
	buf_add_str(b,
	    STR("\"capabilities\":{\"completions\":{},\"logging\":{},"
		"\"prompts\":{\"listChanged\":true},\"resources\":{"
		"\"listChanged\":true,\"subscribe\":true},\"tools\":{"
		"\"listChanged\":true}},\"protocolVersion\":"));
	/* A version that we lack is answered with our newest of that era;
	 * the client goes on or goes away. */
	json_put_str(b,
	    mcp_is_legacy(json_str(asked)) ? json_str(asked)
					   : STR("2025-11-25"));
	buf_add_str(b, STR(",\"serverInfo\":"));
	mcp_server_info_put(b);
	buf_printf(&fields, "Mcp-Session-Id: %s\r\n", s->id);
	mcp_result_end(cl, b, buf_str(&fields));
}

static void
empty_result(struct client *cl, const struct rpc *m)
{
	struct buf *b = mcp_result_begin(cl, m);

	mcp_result_end(cl, b, STR(""));
}

/*
 * The request that is meant waits on another connection of the session. It
 * gets no JSON-RPC answer, as the specification wants, but HTTP must have one.
 */
static void
cancel(struct client *cl, const struct session *s, const struct rpc *m)
{
	const struct json *id = json_get(m->params, STR("requestId"));
	struct gateway *g = cl->gateway;
	own_buf struct buf text = {};

	if (!json_is(id, JSON_STRING) && !json_is(id, JSON_NUMBER))
		return;
	json_write(&text, id);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *other = g->clients[i];
		bool streaming;

		if (other == NULL || other->pending.call == 0 ||
		    other->pending.session != s ||
		    !str_eq(buf_str(&other->pending.id), buf_str(&text)))
			continue;
		streaming = other->pending.streaming;
		pending_cancel(other);
		if (streaming)
			http_stream_end(&other->conn);
		else
			http_reply(
			    &other->conn, 202, STR(""), STR(""), STR(""));
	}
}
