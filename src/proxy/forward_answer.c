#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "codec/json.h"
#include "proxy/forward_int.h"

static void begin_answer(
    struct forward *f, struct http1_head *h, size_t head_bytes);
static void pass_content(struct forward *f, size_t n);
static void put_content(struct forward *f, const struct buf *clean);
static void put_last_chunk(struct forward *f, struct str bytes);
static void server_lost(struct forward *f, const char *why);

bool
answer_take(struct forward *f)
{
	struct http1_head h;
	struct err e = {};
	uint16_t status;
	ssize_t n;

	if (f->from_server.n == 0 && !f->server_ended)
		return false;
	n = http1_response(
	    f->from_server.p, f->from_server.n, f->to_head, &h, &status, &e);
	if (n == 0 && !f->server_ended)
		return false;
	if (n <= 0) {
		if (f->from_server.n == 0)
			server_lost(f, "the server has hung up");
		else
			forward_refuse(f, 502, "bad_answer",
			    n == 0 ? "the server's answer was cut off"
				   : e.text);
		return true;
	}
	if (h.status == 101 && (!f->upgrade || !head_is_upgrade(&h))) {
		forward_refuse(f, 502, "bad_answer",
		    "the server switched to a protocol that nobody asked for");
		return true;
	}
	begin_answer(f, &h, (size_t)n);
	return true;
}

bool
answer_pass(struct forward *f)
{
	struct err e = {};
	uint16_t status;
	ssize_t n = 0;

	if (f->spoil != NULL) {
		if (f->out.n > 0 || spoil_waits_ns(f, clock_mono_ns()) > 0)
			return false;
		if (spoil_pass(f) || f->answer.done)
			return f->spoil == NULL || f->out.n > 0;
	}
	if (f->answer.done) {
		answer_over(f);
		return true;
	}
	/* Behind the head, if that has not gone yet: in one piece with it. */
	if (f->out.n >= FORWARD_READ_BYTES ||
	    (f->from_server.n == 0 && !f->server_ended))
		return false;
	buf_reset(&f->content);
	if (f->from_server.n > 0) {
		n = http1_body_feed(&f->answer, f->from_server.p,
		    f->from_server.n, &f->content, &status, &e);
	} else if (f->answer.kind == HTTP1_BODY_UNTIL_CLOSE && !f->server_cut) {
		f->answer.done = true;
	} else {
		n = -1;
		(void)err_set(&e, "the server's answer was cut off");
	}
	/* The client must not take a part for the whole. */
	if (n < 0) {
		request_over(f, e.text);
		forward_close(f, true);
		return true;
	}
	f->received += f->content.n;
	forward_count(f, f->content.n);
	pass_content(f, (size_t)n);
	return true;
}

void
forward_refuse(
    struct forward *f, uint16_t status, const char *code, const char *why)
{
	own_buf struct buf b = {};

	if (f->phase == FORWARD_CLOSED)
		return;
	if (f->answering) {
		request_over(f, why); /* in the middle of an answer */
		forward_close(f, true);
		return;
	}
	buf_printf(&b, "{\"error\":\"%s\",\"message\":", code);
	json_put_str(&b, str_of(why));
	buf_add_c(&b,
	    ",\"suggested_next_step\":\"Mend the request, or go on without "
	    "this host.\"}");
	answer_own(f, status, STR(""), STR("application/json"), buf_str(&b));
	request_over(f, why);
}

void
answer_own(struct forward *f, uint16_t status, struct str fields,
    struct str type, struct str body)
{
	/* What the client goes on to send would be taken for a request. */
	f->last |= f->head.body != HTTP1_BODY_NONE || f->upgrade;
	buf_reset(&f->out);
	f->out.max += body.n + fields.n;
	head_write_own(
	    status, fields, type, body, f->last, f->to_head, &f->out);
	/* What the server has of this request is not the whole of it. */
	if (f->phase == FORWARD_PASSES || f->phase == FORWARD_DIALS)
		forward_drop_server(f, true);
	f->phase = f->last ? FORWARD_FLUSHES : FORWARD_HEAD;
}

void
put_chunk(struct buf *out, struct str bytes, bool last)
{
	if (bytes.n > 0) {
		buf_printf(out, "%zx\r\n", bytes.n);
		buf_add_str(out, bytes);
		buf_add_c(out, "\r\n");
	}
	if (last)
		buf_add_c(out, "0\r\n\r\n");
}

static void
begin_answer(struct forward *f, struct http1_head *h, size_t head_bytes)
{
	struct head_change change = { .upgrade = h->status == 101 };
	bool until_close = h->body == HTTP1_BODY_UNTIL_CLOSE;
	struct err e = {};

	if (h->status < 200 && !change.upgrade) {
		if (f->filter != NULL)
			h->n = 0; /* nobody has searched its fields */
		if (f->head.minor > 0)
			head_write_answer(h, &change, &f->out);
		buf_drop(&f->from_server, head_bytes);
		return;
	}
	f->status = h->status;
	f->server_last = !h->keep_alive || until_close;
	http1_body_init(&f->answer, h, UINT64_MAX);
	buf_reset(&f->trailers);
	if (f->filter != NULL)
		f->answer.trailers = &f->trailers;
	if (f->filter != NULL) {
		if (filter_answer_head(f->filter, h, &e) < 0) {
			forward_refuse(f, 502, "bad_answer", e.text);
			return;
		}
		f->rechunk = h->body == HTTP1_BODY_CHUNKED ||
		    (filter_resizes(f->filter) && h->body == HTTP1_BODY_LENGTH);
	}
	f->rechunk |= f->spoil != NULL && !change.upgrade &&
	    (h->body == HTTP1_BODY_CHUNKED ||
		(h->body == HTTP1_BODY_LENGTH &&
		    f->spoil->rule.kind == FAULT_STREAM_ERROR));
	if (f->head.minor == 0 &&
	    (f->rechunk || h->body == HTTP1_BODY_CHUNKED)) {
		f->unchunk = true;
		f->rechunk = false;
	}
	f->last |= until_close || f->unchunk;
	change.close = f->last;
	change.unchunk = f->unchunk;
	change.rechunk = f->rechunk;
	f->answering = true;
	kept_head(f, h);
	if (f->spoil == NULL || !spoil_answer(f, h, &change))
		head_write_answer(h, &change, &f->out);
	buf_drop(&f->from_server, head_bytes);
	if (change.upgrade)
		f->phase = FORWARD_RELAYS;
}

/* n bytes of from_server, whose content is in f->content. */
static void
pass_content(struct forward *f, size_t n)
{
	own_buf struct buf out = {};
	struct err e = {};

	if (f->filter == NULL && f->spoil == NULL)
		kept_body(f, buf_str(&f->content));
	if (f->filter == NULL && f->spoil != NULL) {
		buf_drop(&f->from_server, n);
		spoil_content(f, buf_str(&f->content));
		return;
	}
	if (f->filter == NULL && !f->unchunk) {
		buf_add(&f->out, f->from_server.p, n);
		buf_drop(&f->from_server, n);
		return;
	}
	buf_drop(&f->from_server, n);
	if (f->filter == NULL) {
		buf_add_str(&f->out, buf_str(&f->content));
		return;
	}
	if (filter_answer_body(f->filter, buf_str(&f->content), f->answer.done,
		&out, &e) < 0) {
		request_over(f, e.text);
		forward_close(f, true);
		return;
	}
	forward_hush(f);
	put_content(f, &out);
}

void
answer_rest(struct forward *f, bool all)
{
	own_buf struct buf out = {};
	struct err e = {};

	if (f->filter == NULL || !f->answering ||
	    !filter_answer_holds(f->filter) ||
	    (f->phase != FORWARD_PASSES && f->phase != FORWARD_RELAYS))
		return;
	if (filter_answer_rest(f->filter, all, &out, &e) < 0) {
		request_over(f, e.text);
		forward_close(f, true);
		return;
	}
	if (f->phase == FORWARD_RELAYS) {
		f->out.max += out.n;
		buf_add_str(&f->out, buf_str(&out));
	} else {
		put_content(f, &out);
	}
}

/* As the filter has it. */
static void
put_content(struct forward *f, const struct buf *clean)
{
	struct str out = buf_str(clean);

	if (f->spoil != NULL) {
		spoil_content(f, out);
		return;
	}
	kept_body(f, out);
	f->out.max += out.n +
	    f->trailers.n; /* a page's text may come at once, at its end */
	if (f->rechunk && f->answer.done && f->trailers.n > 0)
		put_last_chunk(f, out);
	else if (f->rechunk)
		put_chunk(&f->out, out, f->answer.done);
	else
		buf_add_str(&f->out, out);
}

/* With the trailers: gRPC's status is one. */
static void
put_last_chunk(struct forward *f, struct str bytes)
{
	struct http1_head h = { .body = HTTP1_BODY_NONE };
	struct err e = {};

	http1_trailers(buf_str(&f->trailers), &h);
	put_chunk(&f->out, bytes, false);
	buf_add_c(&f->out, "0\r\n");
	/* Without those that cannot be searched. */
	if (filter_answer_head(f->filter, &h, &e) < 0)
		h.n = 0;
	for (uint32_t i = 0; i < h.n; i++) {
		buf_add_str(&f->out, h.field[i].name);
		buf_add_c(&f->out, ": ");
		buf_add_str(&f->out, h.field[i].value);
		buf_add_c(&f->out, "\r\n");
	}
	buf_add_c(&f->out, "\r\n");
}

/*
 * No byte of an answer has come. A connection that was kept may have been
 * closed by the server as this request was on its way: then one that only
 * reads, and has no body, is sent once more over a new one.
 */
static void
server_lost(struct forward *f, const char *why)
{
	if (f->reused && !f->retried && !f->upgrade && !f->once &&
	    f->head.body == HTTP1_BODY_NONE &&
	    (str_eq(f->head.method, STR("GET")) || f->to_head ||
		str_eq(f->head.method, STR("OPTIONS")))) {
		f->retried = true;
		forward_drop_server(f, false);
		f->phase = FORWARD_DIALS;
		f->ops->dial(f);
		return;
	}
	forward_refuse(f, 502, "no_answer", why);
}

/* Both connections go on, if both sides want it and nothing is left over. */
void
answer_over(struct forward *f)
{
	bool whole = f->request.done && f->to_server.n == 0;

	request_over(f, NULL);
	/* What is shared is chosen anew for each request. */
	if (f->server_last || f->server_ended || !whole ||
	    f->from_server.n > 0 || f->server.h2 != NULL)
		forward_drop_server(f, !whole);
	f->phase = f->last || !whole ? FORWARD_FLUSHES : FORWARD_HEAD;
	f->answering = false;
}
