#include "gateway/rest.h"

#include "base/must.h"
#include "gateway/answer.h"
#include "gateway/inside.h"
#include "gateway/output.h"
#include "gateway/pending.h"
#include "sys/fd.h"

static const struct rest_route routes[] = {
	/* clang-format off */
	{ STR("GET"), STR("/v1/health"), ASK_REST, API_HEALTH,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("POST"), STR("/v1/runs"), ASK_REST, API_RUN_OPEN,
	    false, false, REST_BODY, {}, {} },
	{ STR("GET"), STR("/v1/runs"), ASK_REST, API_RUN_LIST,
	    false, false, REST_NO_BODY,
	    { { STR("all"), REST_BOOL }, { STR("tag"), REST_TEXT },
		{ STR("limit"), REST_NUMBER } }, {} },
	{ STR("GET"), STR("/v1/runs/{run}"), ASK_REST, API_RUN_GET,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("GET"), STR("/v1/runs/{run}/wait"), ASK_REST, API_RUN_WAIT,
	    false, false, REST_NO_BODY,
	    { { STR("timeout_ms"), REST_NUMBER } }, {} },
	{ STR("POST"), STR("/v1/runs/{run}/stop"), ASK_REST, API_RUN_STOP,
	    false, false, REST_MAY_BODY, {}, {} },
	{ STR("POST"), STR("/v1/stop"), ASK_REST, API_STOP_ALL,
	    false, false, REST_MAY_BODY, {}, {} },
	{ STR("GET"), STR("/v1/runs/{run}/tools"), ASK_REST, API_TOOL_LIST,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("POST"), STR("/v1/runs/{run}/calls"), ASK_REST, API_OPS,
	    true, false, REST_BODY, {}, {} },
	{ STR("GET"), STR("/v1/runs/{run}/events"), ASK_REST, API_EVENT_LIST,
	    false, false, REST_NO_BODY,
	    { { STR("from"), REST_NUMBER }, { STR("limit"), REST_NUMBER },
		{ STR("kind"), REST_TEXT } }, {} },
	{ STR("POST"), STR("/v1/runs/{run}/faults"), ASK_REST, API_FAULTS,
	    false, false, REST_BODY, {}, {} },
	{ STR("POST"), STR("/v1/runs/{run}/snapshots"), ASK_REST, API_SNAPSHOT,
	    false, false, REST_MAY_BODY, {}, {} },
	{ STR("GET"), STR("/v1/runs/{run}/snapshots"), ASK_REST,
	    API_SNAPSHOT_LIST, false, false, REST_NO_BODY, {}, {} },
	{ STR("DELETE"), STR("/v1/runs/{run}/snapshots"), ASK_REST,
	    API_SNAPSHOT_REMOVE, false, false, REST_NO_BODY,
	    { { STR("snapshot"), REST_TEXT } }, {} },
	{ STR("POST"), STR("/v1/snapshots/gc"), ASK_REST, API_SNAPSHOT_GC,
	    false, false, REST_MAY_BODY, {}, {} },
	{ STR("GET"), STR("/v1/runs/{run}/output"), ASK_OUTPUT, API_RUN_GET,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("GET"), STR("/v1/approvals"), ASK_REST, API_APPROVAL_LIST,
	    false, false, REST_NO_BODY,
	    { { STR("state"), REST_TEXT } }, {} },
	{ STR("GET"), STR("/v1/approvals/stats"), ASK_REST,
	    API_APPROVAL_STATS, false, false, REST_NO_BODY,
	    { { STR("days"), REST_NUMBER } }, {} },
	{ STR("POST"), STR("/v1/approvals/{approval}/links"), ASK_REST,
	    API_APPROVAL_LINK, false, false, REST_BODY, {}, {} },
	{ STR("GET"), STR("/v1/approvals/{approval}"), ASK_REST,
	    API_APPROVAL_GET, false, false, REST_NO_BODY, {}, {} },
	{ STR("POST"), STR("/v1/approvals/{approval}/decide"), ASK_REST,
	    API_APPROVAL_DECIDE, false, false, REST_BODY, {}, {} },
	{ STR("POST"), STR("/v1/sandboxes"), ASK_REST, API_RUN_OPEN,
	    false, false, REST_BODY, {}, STR("\"sandbox\":true") },
	{ STR("GET"), STR("/v1/sandboxes"), ASK_REST, API_RUN_LIST,
	    false, false, REST_NO_BODY,
	    { { STR("tag"), REST_TEXT } }, STR("\"sandboxes\":true") },
	{ STR("GET"), STR("/v1/sandboxes/{run}"), ASK_REST, API_RUN_GET,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("DELETE"), STR("/v1/sandboxes/{run}"), ASK_REST, API_RUN_STOP,
	    false, false, REST_MAY_BODY, {}, {} },
	{ STR("POST"), STR("/v1/sandboxes/{run}/pause"), ASK_REST, API_PAUSE,
	    false, false, REST_MAY_BODY, {}, {} },
	{ STR("POST"), STR("/v1/sandboxes/{run}/resume"), ASK_REST, API_RESUME,
	    false, false, REST_MAY_BODY, {}, {} },
	{ STR("GET"), STR("/v1/sandboxes/{run}/stat"), ASK_REST, API_STAT,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("GET"), STR("/v1/secrets"), ASK_REST, API_SECRET_LIST,
	    false, false, REST_NO_BODY, { { STR("run"), REST_TEXT } }, {} },
	{ STR("POST"), STR("/v1/secrets/check"), ASK_REST, API_SECRET_CHECK,
	    false, false, REST_BODY, {}, {} },
	{ STR("POST"), STR("/v1/secrets/revoke"), ASK_REST, API_SECRET_REVOKE,
	    false, false, REST_BODY, {}, {} },
	{ STR("POST"), STR("/v1/kill"), ASK_REST, API_KILL,
	    false, false, REST_BODY, {}, {} },
	{ STR("POST"), STR("/v1/tokens"), ASK_REST, API_TOKEN_CREATE,
	    false, false, REST_BODY, {}, {} },
	{ STR("GET"), STR("/v1/tokens"), ASK_REST, API_TOKEN_LIST,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("DELETE"), STR("/v1/tokens/{token}"), ASK_REST,
	    API_TOKEN_REVOKE, false, false, REST_NO_BODY, {}, {} },
	{ STR("GET"), STR("/v1/retention"), ASK_REST, API_RETENTION_LIST,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("POST"), STR("/v1/retention"), ASK_REST, API_RETENTION_SET,
	    false, false, REST_BODY, {}, {} },
	{ STR("GET"), STR("/v1/pins"), ASK_REST, API_PIN_LIST,
	    false, false, REST_NO_BODY,
	    { { STR("state"), REST_TEXT }, { STR("server"), REST_TEXT } }, {} },
	{ STR("GET"), STR("/v1/pins/{pin}"), ASK_REST, API_PIN_GET,
	    false, false, REST_NO_BODY, {}, {} },
	{ STR("POST"), STR("/v1/pins/{pin}/decide"), ASK_REST, API_PIN_DECIDE,
	    false, false, REST_BODY, {}, {} },
	{ STR("POST"), STR("/v1/calls"), ASK_REST, API_OPS,
	    true, true, REST_BODY, {}, {} },
	{ STR("GET"), STR("/v1/tools"), ASK_REST, API_TOOL_LIST,
	    false, true, REST_NO_BODY, {}, {} },
	/* clang-format on */
};

static const struct rest_route *route_find(
    struct client *cl, struct str path, struct str arg[static REST_PATH_MAX]);
static bool path_matches(
    struct str pattern, struct str path, struct str arg[static REST_PATH_MAX]);
static void allow_put(struct client *cl, struct str path, struct buf *fields);
static int body_read(
    struct client *cl, const struct rest_route *r, const struct json **body);
static void ask(struct client *cl, const struct rest_route *r, struct str arg,
    const struct json *body);
static void ask_inside(
    struct client *cl, const struct rest_route *r, struct str run);
static void begin_inside(struct client *cl, const struct inside_route *r,
    uint64_t run, struct str granted);
static void tool_call(
    struct client *cl, struct str run, const struct json *body);
static void run_open(struct client *cl, const struct json *body);
static int fds_take(struct client *cl, const struct json *body,
    int fds[static HTTP_MAX_FDS], struct output **out);
static void events_begin(struct client *cl);

const struct rest_route *
rest_route_at(size_t i)
{
	const size_t n = sizeof(routes) / sizeof(routes[0]);
	size_t n_inside;
	const struct inside_route *inside = inside_routes(&n_inside);

	if (i < n)
		return &routes[i];
	return i - n < n_inside ? &inside[i - n].rest : NULL;
}

void
rest_request(struct client *cl)
{
	struct str path = cl->conn.head.target;
	struct str query = STR(""), arg[REST_PATH_MAX] = {};
	const struct rest_route *r;
	const struct json *body = NULL;
	size_t mark = str_find(path, '?');

	if (mark < path.n)
		query = (struct str){ path.p + mark + 1, path.n - mark - 1 };
	path.n = mark;
	r = route_find(cl, path, arg);
	if (r == NULL || body_read(cl, r, &body) < 0)
		return;
	if (r->call && query.n > 0) {
		answer_error(cl, 400, "this path takes no query");
		return;
	}
	if (!r->call && rest_args(cl, r, arg, query, body) < 0)
		return;
	ask(cl, r, arg[0], body);
}

void
rest_on_reply(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload)
{
	struct gateway *g = cl->gateway;
	uint64_t call = cl->pending.call, run = cl->pending.run;
	enum question what = cl->pending.what;

	if (what == ASK_EVENTS && kind == REPLY_OK) {
		events_begin(cl);
		return;
	}
	if (what == ASK_EVENTS && cl->pending.streaming) {
		/* Too late for a status: the stream ends without a word. */
		pending_end(cl);
		http_stream_end(&cl->conn);
		return;
	}
	if (what == ASK_INSIDE && kind == REPLY_OK) {
		const struct inside_route *r = cl->pending.route;

		pending_end(cl);
		begin_inside(cl, r, run, payload);
		return;
	}
	pending_end(cl);
	if (cl->attached == call && kind != REPLY_OK)
		cl->attached = 0;
	cl->conn.keep_idle = cl->attached != 0;
	if (what == ASK_OUTPUT && kind == REPLY_OK) {
		buf_reset(&g->body);
		if (output_put(g, run, &g->body) < 0)
			answer_error(cl, 404,
			    "no output of this run is kept: its output goes "
			    "to who opened it, or it ended long ago");
		else
			answer_json(cl, 200, buf_str(&g->body));
		return;
	}
	answer_json(cl, http, payload);
}

/* One record as a server-sent event; {"kind":...,"seq":...} names it. */
void
rest_on_event(struct client *cl, struct str record, bool last)
{
	struct gateway *g = cl->gateway;
	struct buf *b = &g->body;
	const struct json *doc;
	struct err e = {};
	struct str kind;
	uint64_t seq;

	events_begin(cl);
	if (record.n > 0) {
		arena_reset(&g->arena);
		doc = json_parse(record, NULL, &g->arena, &e, NULL);
		kind = json_str(json_get(doc, STR("kind")));
		buf_reset(b);
		if (http1_is_token(kind)) {
			buf_add_str(b, STR("event: "));
			buf_add_str(b, kind);
			buf_add_byte(b, '\n');
		}
		if (json_u64(json_get(doc, STR("seq")), &seq) == 0)
			buf_printf(b, "id: %llu\n", (unsigned long long)seq);
		buf_add_str(b, STR("data: "));
		buf_add_str(b, record);
		buf_add_str(b, STR("\n\n"));
		if (b->failed)
			http_conn_close(&cl->conn);
		else
			http_stream_write(&cl->conn, buf_str(b));
	}
	if (last && cl->conn.phase != HTTP_DEAD) {
		pending_end(cl);
		http_stream_end(&cl->conn);
	}
}

void
rest_on_time(struct client *cl)
{
	if (!cl->pending.streaming) {
		events_begin(cl);
		return;
	}
	http_stream_write(&cl->conn, STR(": waiting\n\n"));
	if (cl->conn.phase != HTTP_DEAD)
		pending_wake(cl, cl->gateway->times.progress_ms);
}

void
rest_fail(struct client *cl, uint16_t status, const char *why)
{
	bool streaming = cl->pending.streaming;

	cl->attached = 0;
	pending_end(cl);
	if (streaming)
		http_stream_end(&cl->conn);
	else
		answer_error(cl, status, why);
}

/* NULL when the client has been told that there is none. */
static const struct rest_route *
route_find(
    struct client *cl, struct str path, struct str arg[static REST_PATH_MAX])
{
	bool in_run = cl->caller.door == DOOR_RUN;
	own_buf struct buf fields = {};
	const struct rest_route *r;

	for (size_t i = 0; (r = rest_route_at(i)) != NULL; i++) {
		if (r->in_run == in_run &&
		    str_eq(r->method, cl->conn.head.method) &&
		    path_matches(r->path, path, arg))
			return r;
	}
	allow_put(cl, path, &fields);
	if (fields.n > 0)
		answer_error_fields(
		    cl, 405, "not a method of this path", buf_str(&fields));
	else
		answer_error(cl, 404, "there is nothing at this path");
	return NULL;
}

/* Part by part; one in braces takes any that is not empty. */
static bool
path_matches(
    struct str pattern, struct str path, struct str arg[static REST_PATH_MAX])
{
	unsigned n = 0;

	while (pattern.n > 0 && path.n > 0) {
		size_t a = str_find(pattern, '/'), b = str_find(path, '/');
		struct str part = { path.p, b };

		if (a > 0 && pattern.p[0] == '{') {
			if (b == 0 || n == REST_PATH_MAX)
				return false;
			arg[n++] = part;
		} else if (!str_eq((struct str){ pattern.p, a }, part)) {
			return false;
		}
		if ((a == pattern.n) != (b == path.n))
			return false;
		/* A slash at the end has an empty path behind it. */
		a += a < pattern.n;
		b += b < path.n;
		pattern = (struct str){ pattern.p + a, pattern.n - a };
		path = (struct str){ path.p + b, path.n - b };
		if (str_eq(pattern, STR("{path}"))) {
			arg[n] = path;
			return n < REST_PATH_MAX;
		}
		if ((pattern.n == 0) != (path.n == 0))
			return false;
	}
	return pattern.n == 0 && path.n == 0;
}

static void
allow_put(struct client *cl, struct str path, struct buf *fields)
{
	struct str arg[REST_PATH_MAX];
	const struct rest_route *r;

	for (size_t i = 0; (r = rest_route_at(i)) != NULL; i++) {
		if (r->in_run != (cl->caller.door == DOOR_RUN) ||
		    !path_matches(r->path, path, arg))
			continue;
		buf_add_str(
		    fields, fields->n == 0 ? STR("Allow: ") : STR(", "));
		buf_add_str(fields, r->method);
	}
	if (fields->n > 0)
		buf_add_str(fields, STR("\r\n"));
}

static int
body_read(
    struct client *cl, const struct rest_route *r, const struct json **body)
{
	struct gateway *g = cl->gateway;
	struct err e = {};

	if (r->body == REST_BYTES)
		return 0;
	if (r->body == REST_STREAM) {
		if (cl->conn.head.body != HTTP1_BODY_NONE)
			return 0;
		answer_error(cl, 411, "this request takes a body");
		return -1;
	}
	if (r->body == REST_NO_BODY && cl->conn.body.n > 0) {
		answer_error(cl, 400, "this request takes no body");
		return -1;
	}
	if (r->body == REST_BODY && cl->conn.head.body == HTTP1_BODY_NONE) {
		answer_error(cl, 411, "this request takes a body");
		return -1;
	}
	if (r->body == REST_NO_BODY ||
	    (r->body == REST_MAY_BODY && cl->conn.body.n == 0))
		return 0;
	if (!answer_is_json(cl)) {
		answer_error(cl, 415, "Content-Type must be application/json");
		return -1;
	}
	arena_reset(&g->arena);
	*body = json_parse(cl->conn.body, NULL, &g->arena, &e, NULL);
	if (*body == NULL) {
		answer_error(cl, 400, e.text);
		return -1;
	}
	if (!json_is(*body, JSON_OBJECT)) {
		answer_error(cl, 400, "the body must be a JSON object");
		return -1;
	}
	return 0;
}

static void
ask(struct client *cl, const struct rest_route *r, struct str arg,
    const struct json *body)
{
	enum question what = r->what;
	enum api_op op = r->op;
	struct pending *p;

	if (r->call) {
		tool_call(cl, arg, body);
		return;
	}
	if (op == API_RUN_OPEN) {
		run_open(cl, body);
		return;
	}
	if (op == API_EVENT_LIST &&
	    answer_accepts(cl, STR("text/event-stream"))) {
		op = API_EVENT_STREAM;
		what = ASK_EVENTS;
	}
	if (what == ASK_INSIDE) {
		ask_inside(cl, r, arg);
		return;
	}
	p = pending_begin(cl, what);
	if (what == ASK_OUTPUT)
		(void)id_parse('r', arg, &p->run);
	if (pending_api(cl, op, NULL, 0) < 0)
		rest_fail(cl, 503, "the broker is not there");
	else if (what == ASK_EVENTS)
		pending_wake(cl, cl->gateway->times.stream_ms);
}

/* g->payload is what the broker is asked: may the caller do this there? */
static void
ask_inside(struct client *cl, const struct rest_route *r, struct str run)
{
	const struct inside_route *route = inside_route_of(r);
	struct gateway *g = cl->gateway;
	struct err e = {};
	struct pending *p;

	arena_reset(&g->arena);
	must(route != NULL);
	if (route->check != NULL &&
	    route->check(cl,
		json_parse(buf_str(&g->payload), NULL, &g->arena, &e, NULL)) <
		0)
		return;
	p = pending_begin(cl, ASK_INSIDE);
	p->route = route;
	(void)id_parse('r', run, &p->run);
	if (pending_api(cl, r->op, NULL, 0) < 0)
		rest_fail(cl, 503, "the broker is not there");
}

/* The broker has granted it: the request is read once more, and done. */
static void
begin_inside(struct client *cl, const struct inside_route *r, uint64_t run,
    struct str granted)
{
	struct str path = cl->conn.head.target;
	struct gateway *g = cl->gateway;
	own_arena struct arena a = {};
	struct str arg[REST_PATH_MAX] = {};
	struct inside_request q = { .in = inside_find(g, run) };
	const struct json *body = NULL, *given;
	size_t mark = str_find(path, '?');
	struct err e = {};

	given = json_parse(granted, NULL, &a, &e, NULL);
	(void)json_u64(json_get(given, STR("grant")), &q.grant);
	(void)json_u64(json_get(given, STR("output_bytes")), &q.output_bytes);
	if (q.in == NULL) {
		inside_failed(g, run, q.grant, "the sandbox has ended");
		answer_error(cl, 404, "the sandbox has ended");
		return;
	}
	if (mark < path.n)
		q.query = (struct str){ path.p + mark + 1, path.n - mark - 1 };
	path.n = mark;
	/* They were good when it was asked, and have not changed. */
	if (!path_matches(r->rest.path, path, arg) ||
	    body_read(cl, &r->rest, &body) < 0 ||
	    rest_args(cl, &r->rest, arg, q.query, body) < 0)
		must(false);
	arena_reset(&g->arena);
	q.args = json_parse(buf_str(&g->payload), NULL, &g->arena, &e, NULL);
	must(q.args != NULL);
	r->start(cl, &q);
}

/* {"arguments":{...},"idempotency_key":"...","name":"...","state":"..."}. */
static void
tool_call(struct client *cl, struct str run, const struct json *body)
{
	static const struct str known[] = { STR("arguments"), STR("name"),
		STR("state"), STR("idempotency_key") };
	const struct json *args = json_get(body, known[0]);
	const struct json *name = json_get(body, known[1]);
	const struct json *state = json_get(body, known[2]);
	const struct json *key = json_get(body, known[3]);
	struct buf *b = &cl->gateway->payload;
	uint64_t number = cl->caller.run;

	must(body != NULL); /* the route has REST_BODY */
	if (run.n > 0 && id_parse('r', run, &number) < 0) {
		answer_error(cl, 404, "not the name of a run");
		return;
	}
	if (!json_is(name, JSON_STRING) ||
	    (args != NULL && !json_is(args, JSON_OBJECT)) ||
	    (state != NULL && !json_is(state, JSON_STRING)) ||
	    (key != NULL && !json_is(key, JSON_STRING)) ||
	    body->n != 1u + (args != NULL) + (state != NULL) + (key != NULL)) {
		answer_error(cl, 400,
		    "a call is {\"name\": text, \"arguments\": object, "
		    "\"idempotency_key\": text, \"state\": text}; all but "
		    "`name` may be absent");
		return;
	}
	buf_reset(b);
	buf_add_str(b, STR("{\"arguments\":"));
	if (args != NULL)
		json_write(b, args);
	else
		buf_add_str(b, STR("{}"));
	if (key != NULL) {
		buf_add_str(b, STR(",\"idempotency_key\":"));
		json_write(b, key);
	}
	buf_add_str(b, STR(",\"name\":"));
	json_write(b, name);
	if (state != NULL) {
		buf_add_str(b, STR(",\"state\":"));
		json_write(b, state);
	}
	buf_add_byte(b, '}');
	(void)pending_begin(cl, ASK_REST);
	if (pending_call(cl, number) < 0)
		rest_fail(cl, 503, "the broker is not there");
}

static void
run_open(struct client *cl, const struct json *body)
{
	bool attach = json_bool(json_get(body, STR("attach")), false);
	int fds[HTTP_MAX_FDS];
	struct output *out = NULL;
	int n;

	for (int i = 0; i < HTTP_MAX_FDS; i++)
		fds[i] = -1;

	if (attach && cl->attached != 0) {
		answer_error(cl, 409, "this connection holds a run already");
		return;
	}
	n = fds_take(cl, body, fds, &out);
	if (n < 0)
		return;
	(void)pending_begin(cl, ASK_REST);
	if (pending_api(cl, API_RUN_OPEN, fds, (size_t)n) < 0) {
		if (out != NULL)
			output_free(cl->gateway, out);
		rest_fail(cl, 503, "the broker is not there");
	} else {
		if (out != NULL)
			output_set_call(out, cl->pending.call);
		if (attach)
			cl->attached = cl->pending.call;
	}
	for (int i = 0; i < HTTP_MAX_FDS; i++)
		fd_fini(&fds[i]);
}

/*
 * The command's descriptors: the client's own, when it says how many it sent,
 * else ours, when there is a command. Returns how many, or -1: it is told.
 */
static int
fds_take(struct client *cl, const struct json *body,
    int fds[static HTTP_MAX_FDS], struct output **out)
{
	const struct str *said =
	    http1_get(&cl->conn.head, STR("Paddock-Descriptors"));
	/* A sandbox without a command has folders only. */
	uint64_t least = json_get(body, STR("argv")) != NULL ? 3 : 1;
	struct err e = {};
	uint64_t n;

	if (said != NULL) {
		if (http1_count(&cl->conn.head, STR("Paddock-Descriptors")) !=
			1 ||
		    str_to_u64(*said, &n) < 0 || n < least ||
		    n > HTTP_MAX_FDS || n != cl->conn.n_fds ||
		    cl->conn.fds_lost) {
			answer_error(cl, 400,
			    "Paddock-Descriptors must be 3 or more, or 1 or "
			    "more without a command, and as many descriptors "
			    "must come with the request over a Unix socket");
			return -1;
		}
		return (int)http_conn_take_fds(&cl->conn, fds);
	}
	if (json_get(body, STR("argv")) == NULL)
		return 0;
	*out = output_new(cl->gateway, fds, &e);
	if (*out == NULL) {
		answer_error(cl, 503, e.text);
		return -1;
	}
	return OUTPUT_FDS;
}

static void
events_begin(struct client *cl)
{
	if (cl->pending.streaming)
		return;
	cl->pending.streaming = true;
	http_stream_begin(&cl->conn,
	    STR("Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"),
	    STR("text/event-stream"));
	if (cl->conn.phase != HTTP_DEAD)
		pending_wake(cl, cl->gateway->times.progress_ms);
}
