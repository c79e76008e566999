#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "proxy/forward_int.h"

static void begin(struct forward *f);
static void refuse_head(
    struct forward *f, uint16_t status, const char *code, const char *why);
static void wipe(struct buf *b, size_t from);
static void keep_head(struct forward *f, size_t n);
static void rebase(struct str *s, const char *from, const char *to);
static bool is_standing(const struct forward *f);
static int write_head(struct forward *f, struct err *e);
static int send_content(
    struct forward *f, bool whole, uint16_t *status, struct err *e);
static int send_signed(struct forward *f, struct str trailers, struct err *e);
static void put_body(
    struct forward *f, struct str bytes, bool whole, struct str trailers);

bool
request_take(struct forward *f)
{
	struct err e = {};
	uint16_t status = 400;
	const char *why;
	ssize_t n;

	if (f->in.n == 0 || f->out.n > 0)
		return false;
	n = http1_request(f->in.p, f->in.n, &f->head, &status, &e);
	if (n == 0 && !f->client_ended)
		return false;
	begin(f);
	if (n <= 0) {
		refuse_head(f, n == 0 ? 400 : status, "bad_request",
		    n == 0 ? "the request was cut off" : e.text);
		return true;
	}
	keep_head(f, (size_t)n);
	f->last = !f->head.keep_alive || f->head.minor == 0;
	f->to_head = str_eq(f->head.method, STR("HEAD"));
	if (str_eq(f->head.method, STR("CONNECT"))) {
		f->last = true;
		forward_refuse(f, 405, "no_tunnel",
		    "CONNECT is for the proxy port, and the first request "
		    "there");
		return true;
	}
	f->upgrade = head_is_upgrade(&f->head);
	status = head_route(f, &why);
	if (status != 0) {
		f->last = true;
		forward_refuse(f, status, "bad_request", why);
		return true;
	}
	f->head.target = f->path;
	if (is_standing(f)) {
		f->by_standing = true;
		if (filter_new(&f->filter, NULL, 0, f->watch, &e) < 0)
			forward_refuse(f, 503, "no_filter", e.text);
		else
			request_go(f);
	} else {
		request_ask(f);
	}
	return true;
}

void
request_late(struct forward *f)
{
	begin(f);
	refuse_head(f, 408, "too_slow", "the request did not come in time");
}

bool
request_pass(struct forward *f)
{
	struct err e = {};
	uint16_t status = 400;
	size_t take;
	ssize_t n;

	if (f->request.done || f->to_server.n >= FORWARD_READ_BYTES)
		return false;
	if (f->in.n == 0) {
		if (!f->client_ended)
			return false;
		request_over(f, "the client has gone");
		forward_close(f, true);
		return true;
	}
	/* More than a buffer's worth when it has waited for a person. */
	take = f->in.n < FORWARD_BUFFER_BYTES ? f->in.n : FORWARD_BUFFER_BYTES;
	buf_reset(&f->content);
	n = http1_body_feed(
	    &f->request, f->in.p, take, &f->content, &status, &e);
	if (n < 0) {
		f->last = true;
		if (status == 413)
			forward_refuse(f, 413, "body_too_large",
			    "the request's body is over the rule's max_body");
		else
			forward_refuse(f, status, "bad_request", e.text);
		return true;
	}
	f->sent += f->content.n;
	forward_count(f, f->content.n);
	kept_request(f, buf_str(&f->content));
	status = 403;
	if (send_content(f, f->request.done, &status, &e) < 0) {
		f->last = true;
		forward_refuse(
		    f, status, status == 403 ? "leak" : "bad_trailer", e.text);
		return true;
	}
	buf_drop(&f->in, (size_t)n);
	return n > 0;
}

void
request_go(struct forward *f)
{
	if (stream_is_open(&f->server) && !f->server_ended && !f->upgrade &&
	    !f->once && f->server_port == f->to_port &&
	    strcmp(f->server_host, f->to_host) == 0) {
		f->reused = true;
		request_begin(f);
		return;
	}
	forward_drop_server(f, false);
	f->phase = FORWARD_DIALS;
	f->ops->dial(f);
}

void
request_begin(struct forward *f)
{
	struct err e = {};

	f->phase = FORWARD_PASSES;
	f->answering = false;
	http1_body_init(&f->request, &f->head, f->max_body);
	trailers_expect(f);
	if (f->filter != NULL && !f->retried) {
		/* A buffer that grows would leave copies of secrets behind. */
		(void)buf_reserve(&f->to_server, f->to_server.max);
		if (filter_has(f->filter, STR("")) && f->from_server.n == 0) {
			(void)buf_reserve(&f->from_server, f->from_server.max);
			(void)buf_reserve(&f->content, FORWARD_BUFFER_BYTES);
		}
		if (filter_request_head(f->filter, &f->head, &e) < 0) {
			forward_refuse(f, 403, "leak", e.text);
			return;
		}
		f->gathers = filter_wants_body(f->filter);
		/* Without a body there is nothing to wait for. */
		if (f->gathers && f->request.done) {
			if (send_signed(f, STR(""), &e) < 0)
				forward_refuse(f, 403, "leak", e.text);
			return;
		}
	}
	if (!f->gathers && write_head(f, &e) < 0)
		forward_refuse(f, 431, "bad_request", e.text);
}

void
request_over(struct forward *f, const char *error)
{
	struct forward_end end = {
		.sent = f->sent,
		.received = f->received,
		.ns = clock_mono_ns() - f->asked_ns,
		.status = f->status,
		.flags = f->by_standing ? EGRESS_DONE_STANDING : 0,
		.error = error,
		.method = f->head.method,
		.filter = f->filter,
		.kept = error == NULL ? kept_whole(f) : NULL,
	};

	if (f->asked_ns == 0)
		return; /* told already */
	f->asked_ns = 0;
	if (f->request.kind != HTTP1_BODY_NONE &&
	    f->request.total > f->request.max)
		end.flags |= EGRESS_DONE_OVER;
	head_split(f->path, &end.path, &end.query);
	f->ops->told(f, &end);

	/* The secrets of this request are wiped with it, and what an echo may
	 * have left in buffers. Behind an error nothing of them is used. */
	if (f->filter != NULL &&
	    (filter_has(f->filter, STR("")) ||
		filter_answer_found(f->filter))) {
		wipe(&f->to_server, error != NULL ? 0 : f->to_server.n);
		wipe(&f->from_server, error != NULL ? 0 : f->from_server.n);
		wipe(&f->content, 0);
	}
	loop_timer_clear(f->loop, &f->hush);
	f->hush_due = f->deaf = false;
	filter_free(f->filter);
	f->filter = NULL;
	spoil_over(f);
	if (f->gathered.n > 0)
		explicit_bzero(f->gathered.p, f->gathered.n);
	buf_reset(&f->gathered);
	buf_fini(&f->held);
	if (f->asked_trailers.cap > 0)
		explicit_bzero(f->asked_trailers.p, f->asked_trailers.cap);
	buf_reset(&f->asked_trailers);
	kept_reset(f);
}

/* One more request: nothing of the one before is left. */
static void
begin(struct forward *f)
{
	f->sent = f->received = 0;
	f->status = 0;
	f->answering = f->last = f->upgrade = f->to_head = f->retried = false;
	f->unchunk = f->rechunk = f->gathers = false;
	f->server_last = f->by_standing = f->once = f->cut_hard = false;
	f->body_sha256[0] = '\0';
	f->head_ns = 0;
	f->asked_ns = clock_mono_ns();
	f->path = STR("");
}

/* There is no head: what follows cannot be told from it. */
static void
refuse_head(
    struct forward *f, uint16_t status, const char *code, const char *why)
{
	f->last = true;
	f->head = (struct http1_head){};
	forward_refuse(f, status, code, why);
}

/* All memory of the buffer from this byte on. */
static void
wipe(struct buf *b, size_t from)
{
	if (b->p != NULL)
		explicit_bzero(b->p + from, b->cap - from);
}

/* Takes n bytes from `in`; the head's views then point into head_text. */
static void
keep_head(struct forward *f, size_t n)
{
	struct http1_head *h = &f->head;
	const char *from = f->in.p;

	buf_reset(&f->head_text);
	buf_add(&f->head_text, from, n);
	must(!f->head_text.failed);
	rebase(&h->method, from, f->head_text.p);
	rebase(&h->target, from, f->head_text.p);
	for (uint32_t i = 0; i < h->n; i++) {
		rebase(&h->field[i].name, from, f->head_text.p);
		rebase(&h->field[i].value, from, f->head_text.p);
	}
	buf_drop(&f->in, n);
}

static void
rebase(struct str *s, const char *from, const char *to)
{
	s->p = to + (s->p - from);
}

void
request_ask(struct forward *f)
{
	own_buf struct buf b = {};

	head_ask(f, &b);
	if (b.failed || b.n + EGRESS_ASK_REST_BYTES > EGRESS_MAX_ASK_BYTES) {
		f->last = true;
		forward_refuse(
		    f, 414, "too_long", "the target is too long to be judged");
		return;
	}
	f->phase = FORWARD_ASKED;
	f->ops->ask(f, &b);
}

/* No rule looks at what differs from the request that was asked about. */
static bool
is_standing(const struct forward *f)
{
	return f->standing[0] != '\0' && f->head.body == HTTP1_BODY_NONE &&
	    !f->upgrade && str_eq_c(f->head.method, f->standing) &&
	    strcmp(f->to_host, f->standing_host) == 0 &&
	    f->to_port == f->standing_port;
}

static int
write_head(struct forward *f, struct err *e)
{
	head_write_request(f, &f->to_server);
	return f->to_server.failed
	    ? err_set(e, "the head is too large to be sent on")
	    : 0;
}

/*
 * f->content, as the filter has it; in chunks of our own where it came in
 * chunks. Behind the last one go the trailers, judged before that is sent.
 */
static int
send_content(struct forward *f, bool whole, uint16_t *status, struct err *e)
{
	own_buf struct buf out = {}, trailers = {};
	struct str content = buf_str(&f->content);
	int got = 0;

	if (f->filter != NULL) {
		(void)buf_reserve(&out, content.n + FILTER_HOLD_BYTES);
		got = filter_request_body(f->filter, content, whole, &out, e);
		content = buf_str(&out);
	}
	if (got == 0 && whole)
		got = trailers_judge(f, &trailers, status, e);
	if (got == 0 && f->gathers) {
		buf_add_str(&f->gathered, content);
		if (f->gathered.failed ||
		    f->gathered.n > FILTER_MAX_SIGNED_BYTES)
			got = err_set(e, "too large a body to be signed anew");
		else if (whole)
			got = send_signed(f, buf_str(&trailers), e);
	} else if (got == 0) {
		put_body(f, content, whole, buf_str(&trailers));
	}
	if (out.cap > 0)
		explicit_bzero(out.p, out.cap);
	if (trailers.cap > 0)
		explicit_bzero(trailers.p, trailers.cap);
	return got;
}

/* The body is whole: its digest goes into the head, which goes first. */
static int
send_signed(struct forward *f, struct str trailers, struct err *e)
{
	struct str body = buf_str(&f->gathered);

	f->gathers = false;
	if (filter_request_sign(f->filter, &f->head, body, e) < 0)
		return -1;
	f->to_server.max += body.n;
	if (write_head(f, e) < 0)
		return -1;
	put_body(f, body, true, trailers);
	return 0;
}

static void
put_body(struct forward *f, struct str bytes, bool whole, struct str trailers)
{
	if (f->head.body != HTTP1_BODY_CHUNKED) {
		buf_add_str(&f->to_server, bytes);
		return;
	}
	put_chunk(&f->to_server, bytes, false);
	if (!whole)
		return;
	buf_add_c(&f->to_server, "0\r\n");
	buf_add_str(&f->to_server, trailers);
	buf_add_c(&f->to_server, "\r\n");
}
