/*
 * Clients that are told when a resource has changed: resources/subscribe of
 * the older eras, for the session and on its stream; subscriptions/listen of
 * the newest, on its own answer. The broker decides who is told of what, and
 * tells us by the number of the session or of the request.
 */
#include "base/limits.h"
#include "gateway/mcp.h"
#include "gateway/pending.h"
#include "gateway/session.h"

static void updated_put(struct buf *b, const struct client *cl, struct str uri);
static struct client *stream_of(struct gateway *g, const struct session *s);
static void keep(struct session *s, struct str message);

bool
mcp_subscribe(struct client *cl, const struct rpc *m, struct session *s)
{
	const bool ends = str_eq(m->method, STR("resources/unsubscribe"));
	const struct json *uri = json_get(m->params, STR("uri"));
	struct buf *b = &cl->gateway->payload;

	if (!ends && !str_eq(m->method, STR("resources/subscribe")))
		return false;
	if (!json_is(uri, JSON_STRING) || uri->n == 0) {
		mcp_error(cl, 200, m, MCP_INVALID_PARAMS,
		    "params.uri must be a resource's URI");
		return true;
	}
	s->subscribes = true;
	buf_reset(b);
	buf_printf(
	    b, "{\"holder\":%llu,\"uris\":[", (unsigned long long)s->number);
	json_write(b, uri);
	buf_add_c(b, "]}");
	if (mcp_question(cl, m, false, ASK_MCP_SUBSCRIBE) == NULL)
		return true;
	json_write(&cl->pending.uri, uri);
	if (pending_api(cl, ends ? API_UNSUBSCRIBE : API_SUBSCRIBE, NULL, 0) <
	    0)
		mcp_fail(cl, 503, "the broker is not there");
	else
		pending_wake(cl, cl->gateway->times.held_ms);
	return true;
}

void
mcp_on_subscribed(struct client *cl, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);
	const struct json *no = json_first(json_get(doc, STR("refused")));
	struct str code = json_str(json_get(no, STR("code")));

	if (no == NULL) {
		mcp_say_result(cl, STR("{}"));
		return;
	}
	mcp_say_error(cl,
	    str_eq(code, STR("not_found")) ? MCP_NO_RESOURCE
					   : MCP_INVALID_PARAMS,
	    json_str(json_get(no, STR("reason"))), no);
}

bool
mcp_listen_ask(struct client *cl, const struct json *uris)
{
	struct buf *b = &cl->gateway->payload;

	buf_reset(b);
	buf_add_c(b, "{\"uris\":");
	json_write(b, uris);
	buf_add_byte(b, '}');
	if (pending_api(cl, API_SUBSCRIBE, NULL, 0) < 0) {
		mcp_fail(cl, 503, "the broker is not there");
		return false;
	}
	pending_wake(cl, cl->gateway->times.held_ms);
	return true;
}

void
mcp_on_listening(struct client *cl, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);

	if (!cl->pending.acknowledged)
		mcp_acknowledge(cl, json_get(doc, STR("uris")));
}

void
mcp_acknowledge(struct client *cl, const struct json *uris)
{
	struct buf *b = &cl->gateway->body;

	cl->pending.acknowledged = true;
	mcp_stream_begin(cl);
	buf_reset(b);
	buf_add_c(b,
	    "{\"jsonrpc\":\"2.0\",\"method\":"
	    "\"notifications/subscriptions/acknowledged\",\"params\":{"
	    "\"_meta\":{\"" MCP_META_SUBSCRIPTION "\":");
	buf_add_str(b, buf_str(&cl->pending.id));
	buf_add_c(b, "},\"notifications\":");
	mcp_wants_put(b, cl->pending.wants, uris);
	buf_add_c(b, "}}");
	mcp_stream_message(cl, buf_str(b));
	if (cl->conn.phase != HTTP_DEAD)
		pending_wake(cl, cl->gateway->times.progress_ms);
}

void
mcp_on_updated(
    struct gateway *g, uint64_t holder, struct client *cl, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);
	struct str uri = json_str(json_get(doc, STR("uri")));
	struct session *s = cl == NULL ? session_of_number(g, holder) : NULL;
	struct buf *b = &g->body;

	if (s != NULL)
		cl = stream_of(g, s);
	if (cl == NULL && s == NULL)
		return; /* it has gone meanwhile */
	buf_reset(b);
	updated_put(b, cl, uri);
	if (cl != NULL)
		mcp_stream_message(cl, buf_str(b));
	else
		keep(s, buf_str(b));
}

void
mcp_tell_waiting(struct client *cl, struct session *s)
{
	own_buf struct buf all = s->waiting;
	struct str rest = buf_str(&all);

	s->waiting = (struct buf){ .max = MCP_WAITING_BYTES };
	while (rest.n > 0 && cl->conn.phase != HTTP_DEAD) {
		size_t end = str_find(rest, '\n');

		mcp_stream_message(cl, (struct str){ rest.p, end });
		rest.p += end + 1;
		rest.n -= end + 1;
	}
}

/* cl is NULL, or of the older eras: nothing says which subscription it is. */
static void
updated_put(struct buf *b, const struct client *cl, struct str uri)
{
	buf_add_c(b,
	    "{\"jsonrpc\":\"2.0\",\"method\":"
	    "\"notifications/resources/updated\",\"params\":{");
	if (cl != NULL && cl->pending.modern) {
		buf_add_c(b, "\"_meta\":{\"" MCP_META_SUBSCRIPTION "\":");
		buf_add_str(b, buf_str(&cl->pending.id));
		buf_add_c(b, "},");
	}
	buf_add_c(b, "\"uri\":");
	json_put_str(b, uri);
	buf_add_c(b, "}}");
}

/* One of the session's streams: nothing is sent twice. NULL: it has none. */
static struct client *
stream_of(struct gateway *g, const struct session *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *cl = g->clients[i];

		if (cl != NULL && cl->pending.what == ASK_MCP_LISTEN &&
		    cl->pending.session == s && cl->conn.phase != HTTP_DEAD)
			return cl;
	}
	return NULL;
}

/* Once each, a line each, as long as there is room. */
static void
keep(struct session *s, struct str message)
{
	struct str rest = buf_str(&s->waiting);

	while (rest.n > 0) {
		size_t end = str_find(rest, '\n');

		if (str_eq((struct str){ rest.p, end }, message))
			return;
		rest.p += end + 1;
		rest.n -= end + 1;
	}
	if (s->waiting.n + message.n + 1 > MCP_WAITING_BYTES)
		return;
	buf_add_str(&s->waiting, message);
	buf_add_byte(&s->waiting, '\n');
}
