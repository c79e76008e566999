/*
 * MCP 2026-07-28: no session, every request says all about itself.
 */
#include "gateway/answer.h"
#include "gateway/mcp.h"
#include "gateway/pending.h"

static int envelope_check(struct client *cl, const struct rpc *m);
static void discover(struct client *cl, const struct rpc *m);
static void listen_begin(struct client *cl, const struct rpc *m);
static bool are_texts(const struct json *uris);

static void tools_call(struct client *cl, const struct rpc *m);

static const struct method {
	struct str name;
	void (*run)(struct client *cl, const struct rpc *m);
} methods[] = {
	{ STR("server/discover"), discover },
	{ STR("subscriptions/listen"), listen_begin },
	{ STR("tools/call"), tools_call },
};

void
mcp_modern_post(struct client *cl, const struct rpc *m)
{
	if (m->method.n == 0) {
		mcp_error(cl, 400, NULL, MCP_INVALID_REQUEST,
		    "a client sends requests and notifications only");
		return;
	}
	if (envelope_check(cl, m) < 0 || mcp_headers_check(cl, m) < 0)
		return;

	/* To cancel is to close the connection; nothing else concerns us. */
	if (m->id == NULL) {
		http_reply(&cl->conn, 202, STR(""), STR(""), STR(""));
		return;
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (str_eq(m->method, methods[i].name)) {
			methods[i].run(cl, m);
			return;
		}
	}
	if (mcp_list_of(m->method) != NULL) {
		mcp_list(cl, m, true, mcp_list_of(m->method));
		return;
	}
	if (mcp_ask(cl, m, true))
		return;
	mcp_error(cl, 404, m, MCP_METHOD_NOT_FOUND, "there is no method %.*s",
	    STR_FMT(m->method));
}

static void
tools_call(struct client *cl, const struct rpc *m)
{
	mcp_call(cl, m, true);
}

/* 0, or -1 when the client has been told what is wrong. */
static int
envelope_check(struct client *cl, const struct rpc *m)
{
	const struct json *version = json_get(m->meta, MCP_META_VERSION);
	const struct str *header;

	if (!json_is(version, JSON_STRING)) {
		mcp_error(cl, 400, m, MCP_INVALID_PARAMS,
		    "params._meta must have %s", MCP_META_VERSION.p);
		return -1;
	}
	if (mcp_header(cl, STR("MCP-Protocol-Version"), &header) < 0 ||
	    (header != NULL && !str_eq(*header, json_str(version)))) {
		mcp_mismatch(cl, m,
		    "header MCP-Protocol-Version is not what the body says");
		return -1;
	}
	if (!str_eq(json_str(version), MCP_MODERN)) {
		mcp_error_version(cl, m, json_str(version), true);
		return -1;
	}
	if (m->id != NULL &&
	    !json_is(json_get(m->meta, MCP_META_CAPABILITIES), JSON_OBJECT)) {
		mcp_error(cl, 400, m, MCP_INVALID_PARAMS,
		    "params._meta must have %s, an object",
		    MCP_META_CAPABILITIES.p);
		return -1;
	}
	return 0;
}

static void
discover(struct client *cl, const struct rpc *m)
{
	struct buf *b = mcp_result_begin(cl, m);

	buf_add_str(b, STR("\"_meta\":{\"" MCP_META_SERVER "\":"));
	mcp_server_info_put(b);
	buf_printf(b,
	    "},\"cacheScope\":\"private\",\"capabilities\":{\"completions\":"
	    "{},\"prompts\":{\"listChanged\":true},\"resources\":{"
	    "\"listChanged\":true,\"subscribe\":true},\"tools\":{"
	    "\"listChanged\":true}},\"resultType\":\"complete\","
	    "\"supportedVersions\":["
	    "\"2026-07-28\"],\"ttlMs\":%d",
	    MCP_LIST_TTL_MS);
	mcp_result_end(cl, b, STR(""));
}

/*
 * One long answer. What is asked for and not agreed to is what we do not tell.
 */
static void
listen_begin(struct client *cl, const struct rpc *m)
{
	const struct json *asked = json_get(m->params, STR("notifications"));
	const struct json *uris = json_get(asked, STR("resourceSubscriptions"));
	struct pending *p;

	if (!json_is(asked, JSON_OBJECT)) {
		mcp_error(cl, 400, m, MCP_INVALID_PARAMS,
		    "params.notifications must be an object");
		return;
	}
	if (uris != NULL && !are_texts(uris)) {
		mcp_error(cl, 400, m, MCP_INVALID_PARAMS,
		    "params.notifications.resourceSubscriptions must be at "
		    "most %d URIs",
		    SUBSCRIPTIONS_MAX);
		return;
	}
	if (!answer_accepts(cl, STR("text/event-stream"))) {
		mcp_refuse(cl, 406, "Accept must name text/event-stream");
		return;
	}
	p = pending_begin(cl, ASK_MCP_LISTEN);
	p->modern = true;
	p->takes_stream = true;
	p->takes_json = answer_accepts(cl, STR("application/json"));
	p->wants = mcp_wants(asked);
	json_write(&p->id, m->id);
	if (uris != NULL && uris->n > 0)
		(void)mcp_listen_ask(cl, uris);
	else
		mcp_acknowledge(cl, NULL);
}

static bool
are_texts(const struct json *uris)
{
	if (!json_is(uris, JSON_ARRAY) || uris->n > SUBSCRIPTIONS_MAX)
		return false;
	for (const struct json *u = json_first(uris); u != NULL;
	     u = json_next(uris, u)) {
		if (!json_is(u, JSON_STRING))
			return false;
	}
	return true;
}
