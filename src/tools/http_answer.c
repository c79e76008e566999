/*
 * What comes back on a request: the head says which of three things the body
 * is, and only whole ones are passed on.
 */
#include "base/arena.h"
#include "base/limits.h"
#include "codec/json.h"
#include "tools/http_int.h"

enum { ERROR_TEXT_BYTES = 64 * 1024, STATUS_ACCEPTED = 202 };

static bool on_head(struct exchange *x, const struct http1_head *h);
static void take_whole(struct exchange *x, const struct http1_head *h);
static void take_session(struct exchange *x, const struct http1_head *h);
static bool is_type(const struct http1_head *h, const char *type);
static bool on_body(struct exchange *x, struct str bytes);
static bool on_events(struct exchange *x);
static void on_whole(struct exchange *x);
static void on_error(struct exchange *x);
static bool passes_as_message(struct exchange *x);
static void put_plain(struct buf *out, struct str text);

bool
answer_feed(struct exchange *x, struct str bytes)
{
	static struct http1_head h; /* large, and used for one at a time */
	struct err e = {};
	uint16_t status;
	ssize_t used;

	if (x->has_head)
		return on_body(x, bytes);
	buf_add_str(&x->in, bytes);
	for (;;) {
		used = http1_response(
		    x->in.p, x->in.n, x->to_head, &h, &status, &e);
		if (used <= 0 || h.status >= 200)
			break;
		buf_drop(&x->in, (size_t)used); /* 1xx: another one follows */
	}
	if (used == 0)
		return true;
	if (used < 0) {
		own_buf struct buf why = {};

		buf_printf(&why, "its answer is no HTTP: %s", e.text);
		exchange_fail(x, "bad_answer", buf_str(&why));
		return false;
	}
	if (!on_head(x, &h))
		return false;
	buf_drop(&x->in, (size_t)used);
	own_buf struct buf rest = x->in;

	x->in = (struct buf){};
	return on_body(x, buf_str(&rest));
}

void
answer_end(struct exchange *x)
{
	if (x->has_head && x->body.kind == HTTP1_BODY_UNTIL_CLOSE) {
		x->keep = false;
		on_whole(x);
		return;
	}
	x->keep = false;
	if (x->has_head && exchange_resume(x))
		return;
	exchange_fail(x, "server_ended",
	    STR("the connection ended before its answer did; it is not known "
		"whether the call had an effect"));
}

static bool
on_head(struct exchange *x, const struct http1_head *h)
{
	uint64_t most = SERVER_MAX_LINE_BYTES;
	bool good = h->status >= 200 && h->status < 300;

	x->has_head = true;
	x->status = h->status;
	x->keep = h->keep_alive;
	if (http1_get(h, STR("Content-Encoding")) != NULL && x->id != 0) {
		exchange_fail(x, "bad_answer",
		    STR("its answer is encoded, which was not asked for"));
		return false;
	}
	if (good && x->http->takes_session && x->id != 0)
		take_session(x, h);
	if (h->status == 404 && x->http->session.n > 0) {
		x->http->on_session_end(x->http);
		return false;
	}
	if (x->listens && (!good || !is_type(h, "text/event-stream"))) {
		exchange_over(x, false); /* it has none, which is no fault */
		return false;
	}
	if (x->whole) {
		x->kind = ANSWER_WHOLE;
		take_whole(x, h);
	} else if (!good) {
		x->kind = ANSWER_ERROR;
		most = ERROR_TEXT_BYTES;
	} else if (x->id == 0 && !x->listens) {
		x->kind = ANSWER_NONE;
	} else if (is_type(h, "text/event-stream")) {
		x->kind = ANSWER_EVENTS;
		most = SERVER_MAX_SKIP_BYTES;
	} else if (is_type(h, "application/json")) {
		x->kind = ANSWER_JSON;
	} else {
		exchange_fail(x, "bad_answer",
		    STR("its answer is neither JSON nor a stream of events"));
		return false;
	}
	http1_body_init(&x->body, h, most);
	return true;
}

/* What the head says of an answer that is passed on whole. */
static void
take_whole(struct exchange *x, const struct http1_head *h)
{
	const struct str *type = http1_get(h, STR("Content-Type"));
	const struct str *after = http1_get(h, STR("Retry-After"));

	if (type != NULL)
		buf_add_str(&x->type,
		    str_trim((struct str){ type->p, str_find(*type, ';') }));
	if (after == NULL || str_to_u64(*after, &x->retry_after_s) < 0)
		x->retry_after_s = 0; /* or it is a date */
}

/* Visible characters, as the protocol has it: it goes into a field again. */
static void
take_session(struct exchange *x, const struct http1_head *h)
{
	const struct str *id = http1_get(h, STR("Mcp-Session-Id"));

	x->http->takes_session = false;
	if (id == NULL || id->n > SERVER_SESSION_BYTES)
		return;
	for (size_t i = 0; i < id->n; i++) {
		if (id->p[i] <= ' ' || id->p[i] > '~')
			return;
	}
	buf_reset(&x->http->session);
	buf_add_str(&x->http->session, *id);
}

static bool
is_type(const struct http1_head *h, const char *type)
{
	const struct str *v = http1_get(h, STR("Content-Type"));

	return v != NULL &&
	    str_eq_nocase(str_trim((struct str){ v->p, str_find(*v, ';') }),
		str_of(type));
}

static bool
on_body(struct exchange *x, struct str bytes)
{
	struct err e = {};
	uint16_t status;

	if (http1_body_feed(
		&x->body, bytes.p, bytes.n, &x->content, &status, &e) < 0) {
		if (status == 413 && x->kind != ANSWER_ERROR)
			exchange_fail(x, "answer_too_large",
			    STR("it answers with more than the limit of 3 MiB; "
				"whatever the call did, it has done"));
		else if (status == 413)
			on_error(x); /* what there is of it */
		else
			exchange_fail(x, "bad_answer", str_of(e.text));
		return false;
	}
	if (x->kind == ANSWER_NONE)
		buf_reset(&x->content);
	else if (x->kind == ANSWER_EVENTS && !on_events(x))
		return false;
	if (!x->body.done)
		return true;
	on_whole(x);
	return false;
}

/* False: it is over. */
static bool
on_events(struct exchange *x)
{
	struct http *h = x->http;
	struct sse_event ev;

	(void)sse_feed(&x->sse, buf_str(&x->content));
	buf_reset(&x->content);
	while (!x->over && sse_next(&x->sse, &ev)) {
		/* The first of a stream may hold nothing but its id. */
		if (ev.data.n > 0 && str_eq(ev.name, STR("message")))
			h->on_message(h, ev.data);
		if (h->closed)
			return false;
	}
	if (x->over)
		return false;
	if (x->sse.failed) {
		exchange_fail(x, "answer_too_large",
		    STR("an event of its answer is over the limit of 3 MiB; "
			"whatever the call did, it has done"));
		return false;
	}
	return true;
}

static void
on_whole(struct exchange *x)
{
	struct http *h = x->http;

	switch (x->kind) {
	case ANSWER_NONE:
		break;
	case ANSWER_JSON:
		h->on_message(h, buf_str(&x->content));
		break;
	case ANSWER_WHOLE: {
		const struct http_answer a = { x->status, buf_str(&x->type),
			x->retry_after_s, buf_str(&x->content) };

		x->answered = true;
		h->on_answer(h, x->id, &a);
		break;
	}
	case ANSWER_ERROR:
		on_error(x);
		return;
	case ANSWER_EVENTS:
		if (!x->answered && exchange_resume(x))
			return;
		break;
	}
	if (h->closed || x->over)
		return;
	if (!x->answered && x->id != 0) {
		exchange_fail(x,
		    x->kind == ANSWER_EVENTS ? "server_ended" : "bad_answer",
		    x->kind == ANSWER_EVENTS
			? STR("its stream ended without an answer; it is not "
			      "known whether the call had an effect")
			: STR("what it says is no answer to the request; "
			      "whatever the call did, it has done"));
		return;
	}
	exchange_over(x, true);
}

/*
 * A status that is an error. Its body may be the answer of JSON-RPC to the
 * request; else it is told as text, with the message that is in it, if any.
 */
static void
on_error(struct exchange *x)
{
	own_buf struct buf why = {};
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	struct err e = {};
	const struct json *v;
	struct str text;

	if (x->id == 0 || x->answered) {
		exchange_over(x, x->body.done);
		return;
	}
	if (passes_as_message(x))
		return;
	v = json_parse(buf_str(&x->content), NULL, &a, &e, NULL);
	text = json_str(json_at(v, "error", "message", NULL));
	/* The proxy's own say why in these. */
	if (text.n == 0)
		text = json_str(json_get(v, STR("reason")));
	if (text.n == 0)
		text = json_str(json_get(v, STR("message")));
	buf_printf(&why, "the answer is HTTP %u", x->status);
	if (x->status >= 300 && x->status < 400)
		buf_add_c(&why, ", a redirect, and none is followed");
	if (x->status == 401)
		buf_add_c(&why,
		    ": it wants a credential, which `secrets` of its entry "
		    "gives");
	if (text.n > 0) {
		buf_add_c(&why, ": ");
		put_plain(&why, text);
	}
	exchange_fail(x, "server_error", buf_str(&why));
}

/* True when it was one, with the id of the request. */
static bool
passes_as_message(struct exchange *x)
{
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	struct err e = {};
	const struct json *v =
	    json_parse(buf_str(&x->content), NULL, &a, &e, NULL);
	struct http *h = x->http;
	uint64_t id;

	if (!json_is(json_get(v, STR("error")), JSON_OBJECT) ||
	    json_u64(json_get(v, STR("id")), &id) < 0 || id != x->id)
		return false;
	h->on_message(h, buf_str(&x->content));
	if (!h->closed)
		exchange_over(x, x->body.done);
	return true;
}

/* One line, for people. */
static void
put_plain(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n && i < SERVER_STDERR_BYTES; i++) {
		char c = text.p[i];

		buf_add_byte(out, c >= 0x20 && c < 0x7f ? c : ' ');
	}
}
