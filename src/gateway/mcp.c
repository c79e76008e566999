#include "gateway/mcp.h"

#include <stdio.h>

#include "gateway/answer.h"
#include "gateway/pending.h"

static void post(struct client *cl);
static int rpc_read(struct client *cl, struct rpc *m);
static bool is_id(const struct json *id);
static bool is_modern(const struct client *cl, const struct rpc *m);

void
mcp_request(struct client *cl)
{
	struct str method = cl->conn.head.method;

	if (str_eq(method, STR("POST")))
		post(cl);
	else if (str_eq(method, STR("GET")))
		mcp_legacy_get(cl);
	else if (str_eq(method, STR("DELETE")))
		mcp_legacy_delete(cl);
	else
		answer_error_fields(cl, 405, "an MCP endpoint takes POST",
		    STR("Allow: POST, GET, DELETE\r\n"));
}

void
mcp_request_of(struct client *cl, struct str run)
{
	struct buf *b = &cl->gateway->payload;

	/* An agent inside knows one run. */
	if (cl->caller.door == DOOR_RUN) {
		mcp_refuse(cl, 404, "there is nothing at this path");
		return;
	}
	if (id_parse('r', run, &cl->caller.run) < 0) {
		mcp_refuse(cl, 404,
		    "not the name of a run: /mcp/r-7k3m9q2v5w1x is the door of "
		    "the run of that name");
		return;
	}
	/* To the broker, 0 is none that was named. */
	if (cl->caller.run == 0) {
		mcp_refuse(cl, 404, "There is no such run.");
		return;
	}
	buf_reset(b);
	buf_add_c(b, "{}");
	(void)pending_begin(cl, ASK_MCP_DOOR);
	if (pending_api(cl, API_MCP_DOOR, NULL, 0) < 0) {
		pending_end(cl);
		mcp_refuse(cl, 503, "the broker is not there");
	}
}

void
mcp_on_door(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	char text[ERR_TEXT_BYTES];
	const struct json *error;

	pending_end(cl);
	if (kind == REPLY_OK) {
		mcp_request(cl);
		return;
	}
	error = json_get(json_parse(payload, NULL, &a, &e, NULL), STR("error"));
	(void)snprintf(text, sizeof(text), "%.*s %.*s",
	    STR_FMT(json_str(json_get(error, STR("message")))),
	    STR_FMT(json_str(json_get(error, STR("suggested_next_step")))));
	mcp_refuse(cl, http, text);
}

void
mcp_call(struct client *cl, const struct rpc *m, bool modern)
{
	const struct json *name = json_get(m->params, STR("name"));
	const struct json *args = json_get(m->params, STR("arguments"));
	const struct json *state = json_get(m->params, STR("requestState"));
	struct buf *b = &cl->gateway->payload;

	if (!json_is(name, JSON_STRING)) {
		mcp_error(cl, modern ? 400 : 200, m, MCP_INVALID_PARAMS,
		    "params.name must be the tool's name");
		return;
	}
	if (args != NULL && !json_is(args, JSON_OBJECT)) {
		mcp_error(cl, modern ? 400 : 200, m, MCP_INVALID_PARAMS,
		    "params.arguments must be an object");
		return;
	}
	if (!modern)
		state = NULL;
	if (state != NULL && !json_is(state, JSON_STRING)) {
		mcp_error(cl, 400, m, MCP_INVALID_PARAMS,
		    "params.requestState must be a string");
		return;
	}

	/* Canonical: these are in the order of RFC 8785. */
	buf_reset(b);
	buf_add_str(b, STR("{\"arguments\":"));
	if (args != NULL)
		json_write(b, args);
	else
		buf_add_str(b, STR("{}"));
	buf_add_byte(b, ',');
	if (modern)
		mcp_params_put(cl, b);
	buf_add_str(b, STR("\"name\":"));
	json_write(b, name);
	if (state != NULL) {
		buf_add_str(b, STR(",\"state\":"));
		json_write(b, state);
	}
	buf_add_byte(b, '}');

	if (mcp_question(cl, m, modern, ASK_MCP_CALL) != NULL)
		mcp_question_send(cl);
}

void
mcp_question_send(struct client *cl)
{
	if (pending_call(cl, cl->caller.run) < 0)
		mcp_fail(cl, 503, "the broker is not there");
	else
		pending_wake(cl, cl->gateway->times.held_ms);
}

void
mcp_list(struct client *cl, const struct rpc *m, bool modern, const char *list)
{
	struct buf *b = &cl->gateway->payload;

	if (json_get(m->params, STR("cursor")) != NULL) {
		mcp_error(cl, modern ? 400 : 200, m, MCP_INVALID_PARAMS,
		    "there is one page of %s: no cursor is valid", list);
		return;
	}
	buf_reset(b);
	buf_printf(b, "{\"list\":\"%s\"}", list);
	if (mcp_question(cl, m, modern, ASK_MCP_TOOLS) == NULL)
		return;
	if (pending_api(cl, API_TOOL_LIST, NULL, 0) < 0)
		mcp_fail(cl, 503, "the broker is not there");
	else
		pending_wake(cl, cl->gateway->times.held_ms);
}

const char *
mcp_list_of(struct str method)
{
	static const struct {
		const char *method, *list;
	} rows[] = {
		{ "tools/list", "tools" },
		{ "resources/list", "resources" },
		{ "resources/templates/list", "resourceTemplates" },
		{ "prompts/list", "prompts" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (str_eq_c(method, rows[i].method))
			return rows[i].list;
	}
	return NULL;
}

struct pending *
mcp_question(
    struct client *cl, const struct rpc *m, bool modern, enum question what)
{
	const struct json *token = json_get(m->meta, STR("progressToken"));
	bool stream = answer_accepts(cl, STR("text/event-stream"));
	bool json = answer_accepts(cl, STR("application/json")) ||
	    answer_accepts(cl, STR("*/*")) ||
	    answer_accepts(cl, STR("application/*")) ||
	    http1_get(&cl->conn.head, STR("Accept")) == NULL;
	struct pending *p;

	if (!json && !stream) {
		mcp_refuse(cl, 406,
		    "Accept must name application/json and "
		    "text/event-stream");
		return NULL;
	}
	p = pending_begin(cl, what);
	p->modern = modern;
	p->takes_json = json;
	p->takes_stream = stream;
	json_write(&p->id, m->id);
	if (token != NULL && is_id(token))
		json_write(&p->progress_token, token);
	return p;
}

bool
mcp_is_legacy(struct str version)
{
	return str_eq(version, STR("2025-11-25")) ||
	    str_eq(version, STR("2025-06-18")) ||
	    str_eq(version, STR("2025-03-26"));
}

int
mcp_header(const struct client *cl, struct str name, const struct str **value)
{
	*value = http1_get(&cl->conn.head, name);
	return *value != NULL && http1_count(&cl->conn.head, name) != 1 ? -1
									: 0;
}

static void
post(struct client *cl)
{
	struct rpc m = {};

	if (cl->conn.head.body == HTTP1_BODY_NONE) {
		mcp_refuse(cl, 411, "a message has a body");
		return;
	}
	if (!answer_is_json(cl)) {
		mcp_refuse(cl, 415, "Content-Type must be application/json");
		return;
	}
	if (rpc_read(cl, &m) < 0)
		return;
	if (is_modern(cl, &m))
		mcp_modern_post(cl, &m);
	else
		mcp_legacy_post(cl, &m);
}

/* 0, or -1 when the client has been told what is wrong. */
static int
rpc_read(struct client *cl, struct rpc *m)
{
	struct gateway *g = cl->gateway;
	const struct json *doc, *method, *version;
	struct err e = {};

	arena_reset(&g->arena);
	doc = json_parse(cl->conn.body, NULL, &g->arena, &e, NULL);
	if (doc == NULL) {
		mcp_error(cl, 400, NULL, MCP_PARSE_ERROR, "%s", e.text);
		return -1;
	}
	if (json_is(doc, JSON_ARRAY)) {
		mcp_error(cl, 400, NULL, MCP_INVALID_REQUEST,
		    "batches are not taken: send each message by itself");
		return -1;
	}
	version = json_get(doc, STR("jsonrpc"));
	if (!json_is(doc, JSON_OBJECT) || !json_is(version, JSON_STRING) ||
	    !str_eq(json_str(version), STR("2.0"))) {
		mcp_error(cl, 400, NULL, MCP_INVALID_REQUEST,
		    "not a JSON-RPC 2.0 message");
		return -1;
	}
	m->id = json_get(doc, STR("id"));
	if (m->id != NULL && !is_id(m->id)) {
		m->id = NULL;
		mcp_error(cl, 400, NULL, MCP_INVALID_REQUEST,
		    "id must be a string or a whole number, of at most %d "
		    "bytes",
		    MCP_MAX_ID_BYTES);
		return -1;
	}
	method = json_get(doc, STR("method"));
	if (method == NULL &&
	    (json_get(doc, STR("result")) != NULL ||
		json_get(doc, STR("error")) != NULL))
		return 0;
	m->params = json_get(doc, STR("params"));
	m->meta = json_get(m->params, STR("_meta"));
	if (!json_is(method, JSON_STRING) || json_str(method).n == 0) {
		mcp_error(
		    cl, 400, m, MCP_INVALID_REQUEST, "method must be a string");
		return -1;
	}
	m->method = json_str(method);
	if ((m->params != NULL && !json_is(m->params, JSON_OBJECT)) ||
	    (m->meta != NULL && !json_is(m->meta, JSON_OBJECT))) {
		mcp_error(cl, 400, m, MCP_INVALID_PARAMS,
		    "params and params._meta must be objects");
		return -1;
	}
	return 0;
}

static bool
is_id(const struct json *id)
{
	if (json_is(id, JSON_STRING))
		return id->n <= MCP_MAX_ID_BYTES;

	/* json_parse has refused what a double cannot hold exactly. */
	return json_is(id, JSON_NUMBER) && id->num >= -9007199254740991.0 &&
	    id->num <= 9007199254740991.0 &&
	    id->num == (double)(int64_t)id->num;
}

/*
 * The body decides; a header that names the modern version, or one that we do
 * not know, is not a legacy request that lacks something.
 */
static bool
is_modern(const struct client *cl, const struct rpc *m)
{
	const struct str *header =
	    http1_get(&cl->conn.head, STR("MCP-Protocol-Version"));

	return json_get(m->meta, MCP_META_VERSION) != NULL ||
	    (header != NULL && str_eq(*header, MCP_MODERN));
}
