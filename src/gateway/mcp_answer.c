#include <stdarg.h>
#include <stdio.h>

#include "base/must.h"
#include "gateway/answer.h"
#include "gateway/mcp.h"
#include "gateway/pending.h"

static struct buf *message_begin(struct client *cl, const struct rpc *m);
static void error_put(struct buf *b, enum mcp_code code, struct str message);
static void call_result_put(
    struct client *cl, enum reply_kind kind, struct str payload, struct buf *b);
static void plain_error_put(
    struct client *cl, struct buf *b, enum reply_kind kind, struct str payload);
static void content_put(struct client *cl, struct str payload, struct buf *b);
static void pending_result_put(struct buf *b, struct str payload);
static uint16_t bad_put(
    struct client *cl, struct buf *b, uint16_t http, struct str payload);
static struct buf *pending_begin_message(struct client *cl);
static bool is_mismatch(const struct json *error);
static uint16_t status_of_bad(uint16_t http);

void
mcp_error(struct client *cl, uint16_t status, const struct rpc *m,
    enum mcp_code code, const char *fmt, ...)
{
	struct buf *b = message_begin(cl, m);
	char text[ERR_TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error_put(b, code, str_of(text));
	buf_add_str(b, STR("}}"));
	answer_json(cl, status, buf_str(b));
}

void
mcp_error_version(
    struct client *cl, const struct rpc *m, struct str requested, bool modern)
{
	struct buf *b = message_begin(cl, m);

	error_put(b, MCP_UNSUPPORTED_VERSION,
	    STR("this protocol version is not spoken here"));
	buf_add_str(b, STR(",\"data\":{\"supported\":[\"2026-07-28\""));
	/* A modern request names its version itself: of the older ones there
	 * are none that it could name. */
	if (!modern)
		buf_add_str(
		    b, STR(",\"2025-11-25\",\"2025-06-18\",\"2025-03-26\""));
	buf_add_str(b, STR("],\"requested\":"));
	json_put_str(b, requested);
	buf_add_str(b, STR("}}}"));
	answer_json(cl, 400, buf_str(b));
}

void
mcp_refuse(struct client *cl, uint16_t status, const char *why)
{
	struct buf *b = message_begin(cl, NULL);

	error_put(b, MCP_SERVER_ERROR, str_of(why));
	buf_add_str(b, STR("}}"));
	http_reply(&cl->conn, status,
	    status == 401 ? STR("WWW-Authenticate: Bearer\r\n") : STR(""),
	    STR("application/json"), buf_str(b));
}

struct buf *
mcp_result_begin(struct client *cl, const struct rpc *m)
{
	struct buf *b = message_begin(cl, m);

	buf_add_str(b, STR("\"result\":{"));
	return b;
}

void
mcp_server_info_put(struct buf *b)
{
	buf_add_str(b,
	    STR("{\"name\":\"paddock\",\"version\":\"" PADDOCK_VERSION "\"}"));
}

void
mcp_result_end(struct client *cl, struct buf *b, struct str fields)
{
	buf_add_str(b, STR("}}"));
	must(!b->failed);
	http_reply(&cl->conn, 200, fields, STR("application/json"), buf_str(b));
}

void
mcp_on_call(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload)
{
	struct buf *b = pending_begin_message(cl);
	uint16_t status = 200;

	switch (kind) {
	case REPLY_OK:
	case REPLY_TOOL_ERROR:
	case REPLY_REFUSED:
	case REPLY_STOPPED:
		if (cl->pending.plain) {
			plain_error_put(cl, b, kind, payload);
			break;
		}
		call_result_put(cl, kind, payload, b);
		break;
	case REPLY_PENDING:
		if (cl->pending.modern)
			pending_result_put(b, payload);
		else if (cl->pending.plain)
			plain_error_put(cl, b, kind, payload);
		else
			call_result_put(cl, kind, payload, b);
		break;
	case REPLY_CONTENT:
	case REPLY_CONTENT_ERROR:
		content_put(cl, payload, b);
		break;
	case REPLY_BAD:
		status = bad_put(cl, b, http, payload);
		break;
	}
	mcp_answer(cl, status, b);
}

void
mcp_on_tools(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload)
{
	struct buf *b = pending_begin_message(cl);
	uint16_t status = 200;

	if (kind == REPLY_OK && payload.n > 2 && payload.p[0] == '{') {
		buf_add_str(b, STR("\"result\":{"));
		if (cl->pending.modern) {
			buf_add_str(
			    b, STR("\"_meta\":{\"" MCP_META_SERVER "\":"));
			mcp_server_info_put(b);
			buf_printf(b,
			    "},\"cacheScope\":\"private\",\"resultType\":"
			    "\"complete\",\"ttlMs\":%d,",
			    MCP_LIST_TTL_MS);
		}
		/* {"tools":[...]}, in the broker's order: by name. */
		buf_add(b, payload.p + 1, payload.n - 1);
		buf_add_byte(b, '}');
	} else {
		status = bad_put(cl, b, http, payload);
	}
	mcp_answer(cl, status, b);
}

void
mcp_say_result(struct client *cl, struct str result)
{
	struct buf *b = pending_begin_message(cl);

	buf_add_c(b, "\"result\":");
	buf_add_str(b, result);
	buf_add_byte(b, '}');
	mcp_answer(cl, 200, b);
}

void
mcp_say_error(struct client *cl, enum mcp_code code, struct str text,
    const struct json *data)
{
	struct buf *b = pending_begin_message(cl);

	error_put(b, code, text);
	if (data != NULL) {
		buf_add_c(b, ",\"data\":");
		json_write(b, data);
	}
	buf_add_c(b, "}}");
	mcp_answer(cl, 200, b);
}

void
mcp_on_refused(struct client *cl, uint16_t http, struct str payload)
{
	struct buf *b = pending_begin_message(cl);

	mcp_answer(cl, bad_put(cl, b, http, payload), b);
}

void
mcp_fail(struct client *cl, uint16_t status, const char *why)
{
	struct buf *b;

	if (cl->pending.what == ASK_MCP_LISTEN && cl->pending.streaming) {
		pending_end(cl);
		http_stream_end(&cl->conn);
		return;
	}
	b = pending_begin_message(cl);
	error_put(b, MCP_INTERNAL_ERROR, str_of(why));
	buf_add_str(b, STR("}}"));
	mcp_answer(cl, status, b);
}

void
mcp_stream_begin(struct client *cl)
{
	if (cl->pending.streaming)
		return;
	cl->pending.streaming = true;
	http_stream_begin(&cl->conn,
	    STR("Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"),
	    STR("text/event-stream"));
}

void
mcp_stream_message(struct client *cl, struct str message)
{
	own_buf struct buf b = {};

	/* JSON as we write it has no line ends, so it is one data line. */
	buf_add_str(&b, STR("event: message\ndata: "));
	buf_add_str(&b, message);
	buf_add_str(&b, STR("\n\n"));
	if (b.failed)
		http_conn_close(&cl->conn);
	else
		http_stream_write(&cl->conn, buf_str(&b));
}

void
mcp_answer(struct client *cl, uint16_t status, struct buf *b)
{
	bool stream = cl->pending.streaming || !cl->pending.takes_json;

	if (b->failed) {
		b = pending_begin_message(cl);
		error_put(b, MCP_INTERNAL_ERROR,
		    STR("the result is larger than one answer can be"));
		buf_add_str(b, STR("}}"));
	}
	if (!stream) {
		pending_end(cl);
		answer_json(cl, status, buf_str(b));
		return;
	}
	mcp_stream_begin(cl);
	mcp_stream_message(cl, buf_str(b));
	pending_end(cl);
	http_stream_end(&cl->conn);
}

/* Signs of life while the broker holds the call. */
void
mcp_on_time(struct client *cl)
{
	struct pending *p = &cl->pending;
	struct buf *b = &cl->gateway->body;

	if (!p->takes_stream)
		return;
	if (!p->streaming) {
		mcp_stream_begin(cl);
	} else if (p->progress_token.n > 0 && !p->told) {
		buf_reset(b);
		buf_add_str(b,
		    STR("{\"jsonrpc\":\"2.0\",\"method\":"
			"\"notifications/progress\",\"params\":{"
			"\"progressToken\":"));
		buf_add_str(b, buf_str(&p->progress_token));
		buf_printf(b,
		    ",\"progress\":%llu,\"message\":\"waiting for the "
		    "answer\"}}",
		    (unsigned long long)++p->progress);
		mcp_stream_message(cl, buf_str(b));
	} else {
		/* A comment: keeps what is in between from giving up. */
		http_stream_write(&cl->conn, STR(": waiting\n\n"));
	}
	if (cl->conn.phase != HTTP_DEAD)
		pending_wake(cl, cl->gateway->times.progress_ms);
}

static struct buf *
message_begin(struct client *cl, const struct rpc *m)
{
	struct buf *b = &cl->gateway->body;

	buf_reset(b);
	buf_add_str(b, STR("{\"jsonrpc\":\"2.0\",\"id\":"));
	if (m != NULL && m->id != NULL)
		json_write(b, m->id);
	else
		buf_add_str(b, STR("null"));
	buf_add_byte(b, ',');
	return b;
}

static struct buf *
pending_begin_message(struct client *cl)
{
	struct buf *b = &cl->gateway->body;

	buf_reset(b);
	buf_add_str(b, STR("{\"jsonrpc\":\"2.0\",\"id\":"));
	buf_add_str(b, buf_str(&cl->pending.id));
	buf_add_byte(b, ',');
	return b;
}

static void
error_put(struct buf *b, enum mcp_code code, struct str message)
{
	buf_printf(b, "\"error\":{\"code\":%d,\"message\":", (int)code);
	json_put_str(b, message);
}

/*
 * What has no result that says why it has none. payload is an object with
 * "reason" or "error", or with neither.
 */
static void
plain_error_put(
    struct client *cl, struct buf *b, enum reply_kind kind, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);
	struct str code = json_str(json_get(doc, STR("code")));
	struct str text = json_str(json_get(doc, STR("reason")));
	/* A method that was left standing is nobody's. */
	const bool no_such = cl->pending.keeps &&
	    (str_eq(code, STR("not_found")) ||
		str_eq(json_str(json_get(doc, STR("tool"))),
		    STR("resources/read")));

	if (text.n == 0)
		text = json_str(json_get(doc, STR("error")));
	if (text.n == 0)
		text = kind == REPLY_PENDING
		    ? STR("a person has to decide this: ask again later")
		    : STR("refused without a reason");
	error_put(b,
	    no_such && !cl->pending.modern ? MCP_NO_RESOURCE
		: kind == REPLY_PENDING	   ? MCP_SERVER_ERROR
					   : MCP_INVALID_PARAMS,
	    text);
	if (json_is(doc, JSON_OBJECT) && doc->n > 0) {
		buf_add_str(b, STR(",\"data\":"));
		buf_add(b, payload.p, payload.n - 1);
		if (cl->pending.uri.n > 0 && !cl->pending.uri.failed) {
			buf_add_c(b, ",\"uri\":");
			buf_add_str(b, buf_str(&cl->pending.uri));
		}
		buf_add_byte(b, '}');
	}
	buf_add_str(b, STR("}}"));
}

/*
 * A tool server's own answer, as the tools role checked it: {"content",...} of
 * a tool. What else is called by tools/call becomes a tool's result.
 */
static void
content_put(struct client *cl, struct str payload, struct buf *b)
{
	must(payload.n > 2 && payload.p[0] == '{');
	if (!cl->pending.plain && !str_starts(payload, STR("{\"content\":"))) {
		call_result_put(cl, REPLY_OK, payload, b);
		return;
	}
	buf_add_str(b, STR("\"result\":{"));
	if (cl->pending.modern) {
		buf_add_str(b, STR("\"_meta\":{\"" MCP_META_SERVER "\":"));
		mcp_server_info_put(b);
		buf_add_c(b, "},");
		if (cl->pending.keeps)
			buf_add_c(b, "\"cacheScope\":\"private\",");
		buf_add_c(b, "\"resultType\":\"complete\",");
		if (cl->pending.keeps)
			buf_add_c(b, "\"ttlMs\":0,");
	}
	buf_add(b, payload.p + 1, payload.n - 1);
	buf_add_byte(b, '}');
}

static void
call_result_put(
    struct client *cl, enum reply_kind kind, struct str payload, struct buf *b)
{
	bool is_error = kind != REPLY_OK && kind != REPLY_PENDING;

	buf_add_str(b, STR("\"result\":{"));
	if (cl->pending.modern) {
		buf_add_str(b, STR("\"_meta\":{\"" MCP_META_SERVER "\":"));
		mcp_server_info_put(b);
		buf_add_str(b, STR("},\"resultType\":\"complete\","));
	}
	buf_add_str(b, STR("\"content\":[{\"type\":\"text\",\"text\":"));
	json_put_str(b, payload);
	buf_add_str(b, STR("}]"));
	if (payload.n > 0 && payload.p[0] == '{') {
		buf_add_str(b, STR(",\"structuredContent\":"));
		buf_add_str(b, payload);
	}
	buf_add_str(b, STR(",\"isError\":"));
	buf_add_str(b, is_error ? STR("true") : STR("false"));
	buf_add_str(b, STR("}}"));
}

/*
 * The state is the approval's id and no secret: the broker holds the call
 * that it belongs to, of which run, and lets it be used once. There are no
 * inputRequests: to ask the agent's own client would be self-approval.
 */
static void
pending_result_put(struct buf *b, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);
	struct str id = json_str(json_get(doc, STR("approval_id")));

	buf_add_str(b, STR("\"result\":{\"_meta\":{\"" MCP_META_SERVER "\":"));
	mcp_server_info_put(b);
	buf_add_str(b, STR(",\"paddock/pending\":"));
	buf_add_str(b, payload);
	buf_add_str(
	    b, STR("},\"resultType\":\"input_required\",\"requestState\":"));
	json_put_str(b, id);
	buf_add_str(b, STR("}}"));
}

/*
 * payload: {"error":{"code","message","suggested_next_step"}}. Returns the
 * status of HTTP that goes with it.
 */
static uint16_t
bad_put(struct client *cl, struct buf *b, uint16_t http, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);
	const struct json *error = json_get(doc, STR("error"));
	struct str text = json_str(json_get(error, STR("message")));

	(void)cl;
	error_put(b,
	    is_mismatch(error) ? MCP_HEADER_MISMATCH
		: http >= 500  ? MCP_INTERNAL_ERROR
			       : MCP_INVALID_PARAMS,
	    text.n > 0 ? text : STR("refused without a reason"));
	if (error != NULL) {
		buf_add_str(b, STR(",\"data\":"));
		json_write(b, error);
	}
	buf_add_str(b, STR("}}"));
	return is_mismatch(error) ? 400 : status_of_bad(http);
}

static bool
is_mismatch(const struct json *error)
{
	return str_eq(
	    json_str(json_get(error, STR("code"))), STR("header_mismatch"));
}

/*
 * What a tool call is answered with stays inside JSON-RPC. Only who the
 * caller is, and whether anybody is there to ask, is a matter of HTTP.
 */
static uint16_t
status_of_bad(uint16_t http)
{
	return http == 401 || http == 403 || http == 503 ? http : 200;
}
