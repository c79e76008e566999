#include "tools/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "tools/result.h"
#include "tools/server_int.h"

enum {
	METHOD_NOT_FOUND = -32601,
	INVALID_PARAMS = -32602,
	NO_RESOURCE = -32002, /* before 2026-07-28 */
	ID_BYTES_MAX = MCP_MAX_ID_BYTES,
};

static void send(struct server *s, const struct ask *a, const char *method,
    struct str params, struct str message);
static void on_line(struct pipes *p, struct str line);
static void on_long_line(struct pipes *p);
static void on_end(struct pipes *p, const char *why);
static void on_answer(struct server *s, const struct json *m);
static void on_request(struct server *s, const struct json *m, struct str name);
static void on_call_answer(struct server *s, uint64_t call,
    enum server_ask what, const struct json *result, const struct json *error);
static void on_call_error(struct server *s, uint64_t call, enum server_ask what,
    const struct json *error);
static void on_late(struct loop_timer *t);
static void fail_calls(
    struct server *s, const char *code, const char *why, bool sent);
static void put_meta(struct buf *out, const struct ask *a, bool modern);
static void unplug(struct server *s);
static void put_last_words(struct buf *out, const struct pipes *p);

/* A message is one line; the rest is what every document may have. */
const struct json_limits server_json_limits = {
	.max_bytes = SERVER_MAX_LINE_BYTES,
	.max_depth = JSON_MAX_DEPTH,
	.max_values = JSON_MAX_VALUES,
	.max_members = JSON_MAX_MEMBERS,
};

struct server *
server_new(struct loop *loop, uint64_t id, const struct server_hear *hear,
    int theirs[static 3], struct err *e)
{
	struct server *s = server_alloc(loop, id, hear);

	s->pipes.on_line = on_line;
	s->pipes.on_long_line = on_long_line;
	s->pipes.on_end = on_end;
	if (pipes_open(&s->pipes, loop, theirs, e) < 0) {
		free(s);
		return NULL;
	}
	server_open(s);
	return s;
}

struct server *
server_alloc(struct loop *loop, uint64_t id, const struct server_hear *hear)
{
	struct server *s = calloc(1, sizeof(*s));

	must(s != NULL);
	s->id = id;
	s->loop = loop;
	s->hear = *hear;
	s->arena.max_bytes = WORLD_MAX_PARSE_BYTES;
	return s;
}

void
server_free(struct server *s)
{
	unplug(s);
	while (s->asks != NULL)
		server_ask_free(server_take(s, s->asks->id));
	server_watch_free(s);
	if (s->over_http)
		http_fini(&s->http);
	server_api_free(s->api);
	for (size_t i = 0; i < DEFINITION_KINDS; i++)
		definitions_fini(&s->lists[i]);
	buf_fini(&s->info);
	arena_fini(&s->arena);
	free(s);
}

uint64_t
server_id(const struct server *s)
{
	return s->id;
}

void
server_call(struct server *s, uint64_t call, enum server_ask ask,
    struct str params, uint64_t timeout_ms)
{
	static const char *const methods[SERVER_ASKS] = {
		[SERVER_ASK_TOOL] = "tools/call",
		[SERVER_ASK_RESOURCE] = "resources/read",
		[SERVER_ASK_PROMPT] = "prompts/get",
		[SERVER_ASK_COMPLETION] = "completion/complete",
	};
	struct ask *a;

	must(ask < SERVER_ASKS);

	if (s->over || !s->open) {
		server_call_fail(s, call, "server_ended",
		    STR("The tool server cannot be talked to; the call was "
			"not made."));
		return;
	}
	if (timeout_ms > POLICY_TOOL_TIMEOUT_MAX_MS)
		timeout_ms = POLICY_TOOL_TIMEOUT_MAX_MS;
	if (methods[ask] == NULL) {
		server_watch_call(s, call, ask, params, timeout_ms);
		return;
	}
	if (s->api != NULL) {
		server_api_call(s, call, params, timeout_ms);
		return;
	}
	a = server_ask(s, ASK_CALL, methods[ask], params, (int64_t)timeout_ms);
	a->call = call;
	a->what = ask;
}

struct ask *
server_ask_new(struct server *s, enum ask_kind kind, int64_t timeout_ms)
{
	struct ask *a = calloc(1, sizeof(*a));

	must(a != NULL);
	a->server = s;
	a->id = ++s->next_id;
	a->kind = kind;
	a->late.on_time = on_late;
	a->next = s->asks;
	s->asks = a;
	loop_timer_set(
	    s->loop, &a->late, loop_now_ns(s->loop) + timeout_ms * 1000000);
	return a;
}

struct ask *
server_ask(struct server *s, enum ask_kind kind, const char *method,
    struct str params, int64_t timeout_ms)
{
	struct ask *a = server_ask_new(s, kind, timeout_ms);
	own_buf struct buf line = {};

	must(params.n >= 2 && params.p[0] == '{');
	buf_printf(&line,
	    "{\"id\":%llu,\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":{",
	    (unsigned long long)a->id, method);
	put_meta(&line, a, s->modern || kind == ASK_DISCOVER);
	if (params.n > 2 && line.p[line.n - 1] == '}')
		buf_add_byte(&line, ',');
	buf_add(&line, params.p + 1, params.n - 1);
	buf_add_byte(&line, '}');
	send(s, a, method, params, buf_str(&line));
	return a;
}

void
server_notify(struct server *s, const char *method, struct str params)
{
	own_buf struct buf line = {};

	buf_printf(&line, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\"", method);
	if (params.n > 0) {
		buf_add_c(&line, ",\"params\":");
		buf_add_str(&line, params);
	}
	buf_add_byte(&line, '}');
	send(s, NULL, method, params, buf_str(&line));
}

static void
send(struct server *s, const struct ask *a, const char *method,
    struct str params, struct str message)
{
	if (s->over_http)
		server_http_send(s, a, str_of(method), params, message);
	else
		pipes_write(&s->pipes, message);
}

/* Nothing goes to it, and nothing comes from it any more. */
static void
unplug(struct server *s)
{
	if (s->over_http)
		http_close(&s->http);
	else
		pipes_close(&s->pipes);
}

void
server_end(struct server *s, const char *why)
{
	own_buf struct buf text = {};

	if (s->over)
		return;
	s->over = true;
	fail_calls(s, "server_ended", why, true);
	server_watch_end(s, why);
	buf_add_c(&text, why);
	put_last_words(&text, &s->pipes);
	unplug(s);
	while (s->asks != NULL)
		server_ask_free(server_take(s, s->asks->id));
	s->hear.on_listed(s->hear.arg, s->id, false, buf_str(&text));
}

static void
on_line(struct pipes *p, struct str line)
{
	server_on_message(LOOP_OF(p, struct server, pipes), line);
}

void
server_on_message(struct server *s, struct str line)
{
	const struct json *m;
	struct str method;
	struct err e = {};

	arena_reset(&s->arena);
	m = json_parse(line, &server_json_limits, &s->arena, &e, NULL);
	if (!json_is(m, JSON_OBJECT)) {
		/* Some print what they think where only messages belong. */
		if (!s->over_http && line.p[0] == '{')
			fail_calls(s, "bad_answer",
			    "it wrote a message that is not JSON as it has to "
			    "be",
			    true);
		if (++s->noise > SERVER_NOISE_MAX)
			server_end(s, "it writes too much that is no message");
		return;
	}
	method = json_str(json_get(m, STR("method")));
	if (method.n == 0) {
		on_answer(s, m);
		return;
	}
	if (json_get(m, STR("id")) != NULL) {
		on_request(s, m, method);
		return;
	}
	if (str_eq(method, STR("notifications/progress")))
		server_on_progress(s, json_get(m, STR("params")));
	else if (str_eq(method, STR("notifications/resources/updated")))
		server_on_updated(s, json_get(m, STR("params")));
	else if (str_eq(
		     method, STR("notifications/subscriptions/acknowledged")))
		server_on_acknowledged(s, json_get(m, STR("params")));
	else if (str_eq(method, STR("notifications/tools/list_changed")) ||
	    str_eq(method, STR("notifications/resources/list_changed")) ||
	    str_eq(method, STR("notifications/prompts/list_changed")))
		server_list(s);
}

/* Whose answer it was nobody can say. */
static void
on_long_line(struct pipes *p)
{
	struct server *s = LOOP_OF(p, struct server, pipes);

	if (!s->open) {
		server_end(s, "it wrote a message over 3 MiB");
		return;
	}
	fail_calls(s, "answer_too_large",
	    "it wrote an answer over the limit of 3 MiB, which was cut off",
	    true);
}

static void
on_end(struct pipes *p, const char *why)
{
	server_end(LOOP_OF(p, struct server, pipes), why);
}

static void
on_answer(struct server *s, const struct json *m)
{
	const struct json *error = json_get(m, STR("error"));
	const struct json *result = json_get(m, STR("result"));
	struct ask *a;
	uint64_t id, call;
	enum server_ask what;
	enum ask_kind kind;

	if (json_u64(json_get(m, STR("id")), &id) < 0 ||
	    (a = server_take(s, id)) == NULL) {
		if (++s->noise > SERVER_NOISE_MAX)
			server_end(s, "it answers what nobody has asked");
		return;
	}
	kind = a->kind;
	call = a->call;
	what = a->what;
	if (s->over_http)
		http_done(&s->http, id);
	if (error != NULL)
		result = NULL;
	if (result != NULL)
		buf_reset(&a->uri); /* it is told of from now on */
	server_ask_free(a);
	if (kind == ASK_CALL)
		on_call_answer(s, call, what, result, error);
	else if (kind == ASK_LISTEN)
		server_listen_over(s, id,
		    STR("The tool server does not tell when its resources "
			"change."));
	else
		server_opening(s, kind, result, error);
}

static void
on_call_answer(struct server *s, uint64_t call, enum server_ask what,
    const struct json *result, const struct json *error)
{
	own_buf struct buf out = {};
	bool is_error = false;
	struct err e = {};
	int r;

	if (error != NULL) {
		on_call_error(s, call, what, error);
		return;
	}
	out.max = 2 * IPC_MAX_PAYLOAD_BYTES;
	r = what == SERVER_ASK_TOOL ? result_take(&out, result, &is_error, &e)
				    : result_take_other(&out, what, result, &e);
	if (r < 0) {
		own_buf struct buf why = {};

		buf_printf(&why,
		    "The tool server's answer cannot be passed on: %s. "
		    "Whatever the call did, it has done.",
		    e.text);
		server_call_fail(s, call, "bad_answer", buf_str(&why));
		return;
	}
	s->hear.on_result(s->hear.arg, s->id, call,
	    is_error ? SERVER_DONE_ERROR : SERVER_DONE, buf_str(&out));
}

/* Both eras' codes for a resource that is not there mean that. */
static void
on_call_error(struct server *s, uint64_t call, enum server_ask what,
    const struct json *error)
{
	const struct json *code = json_get(error, STR("code"));
	struct str text = json_str(json_get(error, STR("message")));
	bool no_such = what == SERVER_ASK_RESOURCE &&
	    json_is(code, JSON_NUMBER) &&
	    (code->num == NO_RESOURCE || code->num == INVALID_PARAMS);

	if (text.n > SERVER_ERROR_BYTES)
		text.n = SERVER_ERROR_BYTES;
	server_call_fail(s, call, no_such ? "not_found" : "server_error",
	    text.n > 0 ? text : STR("The tool server says no more."));
}

/* Nothing of ours is for it to ask: it gets what it has been given. */
static void
on_request(struct server *s, const struct json *m, struct str name)
{
	const struct json *id = json_get(m, STR("id"));
	own_buf struct buf line = { .max = ID_BYTES_MAX + 256 };

	if (++s->its_asks > SERVER_ASKS_MAX) {
		server_end(s, "it asks its client too much");
		return;
	}
	buf_add_c(&line, "{\"id\":");
	json_write(&line, id);
	if (str_eq(name, STR("ping")))
		buf_add_c(&line, ",\"jsonrpc\":\"2.0\",\"result\":{}}");
	else
		buf_printf(&line,
		    ",\"error\":{\"code\":%d,\"message\":\"this client does "
		    "nothing for its servers\"},\"jsonrpc\":\"2.0\"}",
		    METHOD_NOT_FOUND);
	if (!line.failed)
		send(s, NULL, "", STR(""), buf_str(&line));
}

static void
on_late(struct loop_timer *t)
{
	struct ask *a = LOOP_OF(t, struct ask, late);
	struct server *s = a->server;
	enum ask_kind kind = a->kind;

	if (kind == ASK_LISTEN) {
		server_listen_late(s, a);
		return;
	}
	if (kind != ASK_CALL) {
		/* A late answer to it may still be of use. */
		server_opening_late(s, kind);
		return;
	}
	server_tell_cancel(s, a, "the time for it is over");
	server_ask_fail(a, "timeout",
	    STR("The tool did not answer in time; it is not known whether the "
		"call had an effect."));
}

/* Of a server that goes on, or does not: the calls that it had been given. */
static void
fail_calls(struct server *s, const char *code, const char *why, bool sent)
{
	own_buf struct buf text = {};
	struct ask *next;

	buf_printf(&text, "The tool server did not answer: %s%s.", why,
	    sent ? "; it is not known whether the call had an effect" : "");
	for (struct ask *a = s->asks; a != NULL; a = next) {
		next = a->next;
		if (a->kind == ASK_CALL)
			server_ask_fail(a, code, buf_str(&text));
	}
}

void
server_call_fail(
    struct server *s, uint64_t call, const char *code, struct str why)
{
	own_buf struct buf out = {};

	result_failed(
	    &out, code, why, "Read the state of things before trying again.");
	s->hear.on_result(
	    s->hear.arg, s->id, call, SERVER_NO_ANSWER, buf_str(&out));
}

void
server_ask_fail(struct ask *a, const char *code, struct str why)
{
	must(server_take(a->server, a->id) == a);
	server_call_fail(a->server, a->call, code, why);
	server_ask_free(a);
}

/*
 * 2026-07-28: every request says all about its client itself. A call asks to
 * be told how far it has come, under the request's own id.
 */
static void
put_meta(struct buf *out, const struct ask *a, bool modern)
{
	if (!modern && a->kind != ASK_CALL)
		return;
	buf_add_c(out, "\"_meta\":{");
	if (modern)
		buf_add_c(out,
		    "\"io.modelcontextprotocol/clientCapabilities\":{},"
		    "\"io.modelcontextprotocol/clientInfo\":{\"name\":"
		    "\"paddock\",\"version\":\"" PADDOCK_VERSION "\"},"
		    "\"io.modelcontextprotocol/protocolVersion\":"
		    "\"2026-07-28\"");
	if (a->kind == ASK_CALL)
		buf_printf(out, "%s\"progressToken\":%llu", modern ? "," : "",
		    (unsigned long long)a->id);
	buf_add_byte(out, '}');
}

void
server_ask_free(struct ask *a)
{
	loop_timer_clear(a->server->loop, &a->late);
	if (a->uri.n > 0)
		server_watch_forget(a->server, buf_str(&a->uri));
	buf_fini(&a->uri);
	free(a);
}

struct ask *
server_take(struct server *s, uint64_t id)
{
	for (struct ask **at = &s->asks; *at != NULL; at = &(*at)->next) {
		struct ask *a = *at;

		if (a->id == id) {
			*at = a->next;
			return a;
		}
	}
	return NULL;
}

/* One line of it, for people: what is no plain letter becomes a space. */
static void
put_last_words(struct buf *out, const struct pipes *p)
{
	struct str s = { p->last_words, p->n_last_words };

	s = str_trim(s);
	if (s.n == 0)
		return;
	buf_add_c(out, "; it said: ");
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		buf_add_byte(out, c >= 0x20 && c < 0x7f ? c : ' ');
	}
}
