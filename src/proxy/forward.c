#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "proxy/forward_int.h"
#include "proxy/h2.h"
#include "proxy/tls.h"

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000LL

static void on_client(struct stream *s, uint32_t events);
static void on_server(struct stream *s, uint32_t events);
static void on_timer(struct loop_timer *t);
static void on_hush(struct loop_timer *t);
static void hush_over(struct forward *f);
static void pump(struct forward *f);
static bool step(struct forward *f);
static bool read_client(struct forward *f);
static bool read_server(struct forward *f);
static bool write_out(struct forward *f, struct stream *s, struct buf *b);
static bool may_read_client(struct forward *f);
static bool may_read_server(struct forward *f);
static bool read_some(
    struct forward *f, struct stream *s, struct buf *b, bool *ended);
static bool relay(struct forward *f);
static bool shake(struct forward *f);
static void answer_as_told(struct forward *f,
    const struct msg_egress_verdict *v, const struct json *answer);
static void told_field(const struct forward *f, struct buf *fields,
    struct str name, struct str value);
static void set_wants(struct forward *f);
static void set_timer(struct forward *f);
static void set_hush(struct forward *f);
static bool is_held(struct forward *f);

void
forward_start(struct forward *f, struct str ahead)
{
	must(f->ops != NULL && f->loop != NULL && stream_is_open(&f->client));
	f->phase = FORWARD_HEAD;
	f->client_ready = true;
	f->client.on_ready = on_client;
	f->server.on_ready = on_server;
	f->timer.on_time = on_timer;
	f->hush.on_time = on_hush;
	f->in.max = f->out.max = FORWARD_BUFFER_BYTES + HTTP_MAX_HEAD_BYTES;
	f->to_server.max = f->from_server.max = f->in.max;
	buf_add_str(&f->in, ahead);
	pump(f);
}

void
forward_stop(struct forward *f, bool hard)
{
	loop_timer_clear(f->loop, &f->timer);
	loop_timer_clear(f->loop, &f->hush);
	stream_close(&f->client, hard);
	stream_close(&f->server, hard);
	buf_fini(&f->in);
	buf_fini(&f->out);
	buf_fini(&f->to_server);
	buf_fini(&f->from_server);
	filter_free(f->filter);
	f->filter = NULL;
	spoil_over(f);
	buf_fini(&f->content);
	buf_fini(&f->gathered);
	buf_fini(&f->held);
	kept_reset(f);
	buf_fini(&f->trailers);
	buf_fini(&f->asked_trailers);
	buf_fini(&f->head_text);
	buf_fini(&f->roots);
	f->phase = FORWARD_CLOSED;
}

void
forward_verdict(struct forward *f, const struct msg_egress_verdict *v,
    const struct json *doc)
{
	struct err e = {};

	if (f->phase != FORWARD_ASKED && f->phase != FORWARD_WAITS)
		return; /* the client has hung up, or waited too long */
	if (v->verdict == EGRESS_WAIT) {
		held_wait(f, v);
		pump(f);
		return;
	}
	if (v->verdict != EGRESS_ALLOW) {
		answer_as_told(f, v, json_get(doc, STR("answer")));
		pump(f);
		return;
	}
	if (filter_new(&f->filter, doc, v->flags, f->watch, &e) < 0) {
		f->last = true;
		forward_refuse(f, 503, "no_filter", e.text);
		pump(f);
		return;
	}
	if (!spoil_begin(f, json_get(doc, STR("fault")))) {
		pump(f);
		return;
	}
	f->once = (v->flags & EGRESS_ONCE) != 0;
	f->kept.on = (v->flags & EGRESS_RECORD_BODY) != 0 && !f->upgrade;
	held_release(f);
	f->max_body = v->max_body;
	f->bytes_per_s = v->bytes_per_s;
	if (f->head.body == HTTP1_BODY_LENGTH && f->head.length > f->max_body) {
		f->last = true;
		forward_refuse(f, 413, "body_too_large",
		    "the request's body is over the rule's max_body");
		pump(f);
		return;
	}
	f->standing[0] = '\0';
	if ((v->flags & EGRESS_STANDING) != 0 &&
	    str_copy(f->head.method, f->standing, sizeof(f->standing)) == 0) {
		memcpy(f->standing_host, f->to_host, sizeof(f->standing_host));
		f->standing_port = f->to_port;
	}
	request_go(f);
	pump(f);
}

void
forward_cut(struct forward *f, const char *why)
{
	if (f->phase == FORWARD_CLOSED)
		return;
	request_over(f, why);
	forward_close(f, true);
	pump(f);
}

void
forward_connected(struct forward *f, int fd, const char *why)
{
	struct err e = {};

	if (f->phase != FORWARD_DIALS) {
		if (fd >= 0) {
			struct stream late = { .on_ready = on_server };

			if (stream_open_take(&late, f->loop, fd, &e) == 0)
				stream_close(&late, false);
		}
		return;
	}
	if (fd < 0) {
		forward_refuse(f, 502, "not_reached", why);
	} else if (stream_open_take(&f->server, f->loop, fd, &e) < 0) {
		forward_refuse(f, 503, "no_room", e.text);
	} else {
		memcpy(f->server_host, f->to_host, sizeof(f->server_host));
		f->server_port = f->to_port;
		f->reused = false;
		f->shaking = f->https;
		if (!f->https)
			request_begin(f);
		else if (tls_dial(&f->server, f->to_host, f->h2 && !f->upgrade,
			     buf_str(&f->roots), &e) < 0)
			forward_refuse(f, 502, "tls_failed", e.text);
	}
	pump(f);
}

void
forward_joined(struct forward *f)
{
	must(f->phase == FORWARD_DIALS && stream_is_open(&f->server));
	memcpy(f->server_host, f->to_host, sizeof(f->server_host));
	f->server_port = f->to_port;
	f->reused = true; /* by others */
	f->server_ready = true;
	request_begin(f);
	pump(f);
}

/* A denial, or what a rule answers in the place of a server. */
static void
answer_as_told(struct forward *f, const struct msg_egress_verdict *v,
    const struct json *answer)
{
	own_buf struct buf fields = {}, body = {}, clean = {};
	const struct json *headers = json_get(answer, STR("headers"));
	const struct json *kept = json_get(answer, STR("fields"));
	const struct json *encoded = json_get(answer, STR("body_b64"));
	struct err e = {};

	for (const struct json *k = json_first(headers); k != NULL;
	     k = json_next(headers, k))
		told_field(f, &fields, json_str(k), json_str(json_value(k)));
	for (const struct json *k = json_first(kept); k != NULL;
	     k = json_next(kept, k)) {
		const struct json *name = json_first(k);

		if (name != NULL)
			told_field(f, &fields, json_str(name),
			    json_str(json_next(k, name)));
	}
	if (encoded == NULL)
		buf_add_str(&body, json_str(json_get(answer, STR("body"))));
	else if (base64_decode(&body, json_str(encoded), BASE64_STANDARD, &e) <
	    0)
		buf_reset(&body);
	/* It may be another run's, which had another secret. */
	(void)filter_watch_hide(f->watch, buf_str(&body), &clean);
	if (clean.failed)
		buf_reset(&clean);
	answer_own(f,
	    v->status >= 200 && v->status <= 599 ? (uint16_t)v->status : 403,
	    buf_str(&fields), STR(""), buf_str(&clean));
	request_over(f, NULL);
}

/* Framing is ours to say, and a value is one line. */
static void
told_field(const struct forward *f, struct buf *fields, struct str name,
    struct str value)
{
	own_buf struct buf clean = {};

	if (!http1_is_token(name) ||
	    str_eq_nocase(name, STR("content-length")) ||
	    str_eq_nocase(name, STR("connection")) ||
	    str_eq_nocase(name, STR("transfer-encoding")) ||
	    str_find(value, '\n') < value.n || str_find(value, '\r') < value.n)
		return;
	buf_add_str(fields, name);
	buf_add_c(fields, ": ");
	(void)filter_watch_hide(f->watch, value, &clean);
	buf_add_str(fields, clean.failed ? STR("") : buf_str(&clean));
	buf_add_c(fields, "\r\n");
}

static void
on_client(struct stream *s, uint32_t events)
{
	struct forward *f = LOOP_OF(s, struct forward, client);

	f->client_ready = true;
	/* Both ways are closed: nobody is there for an answer. */
	if ((events & (EPOLLERR | EPOLLHUP)) != 0 && f->out.n == 0 &&
	    (f->phase == FORWARD_ASKED || f->phase == FORWARD_GATHERS ||
		f->phase == FORWARD_WAITS || f->phase == FORWARD_DIALS ||
		f->phase == FORWARD_PASSES || f->phase == FORWARD_RELAYS)) {
		request_over(f, "the client has gone");
		forward_close(f, true);
	}
	pump(f);
}

static void
on_server(struct stream *s, uint32_t events)
{
	struct forward *f = LOOP_OF(s, struct forward, server);

	(void)events;
	f->server_ready = true;
	pump(f);
}

static void
on_timer(struct loop_timer *t)
{
	struct forward *f = LOOP_OF(t, struct forward, timer);

	if (f->holds) {
		pump(f); /* there may be some allowance again */
		return;
	}
	switch (f->phase) {
	case FORWARD_HEAD:
		if (f->out.n > 0)
			forward_close(f, true); /* it takes no answer */
		else if (f->in.n > 0)
			request_late(f);
		else
			forward_close(f, false); /* idle */
		break;
	case FORWARD_GATHERS:
		forward_refuse(
		    f, 408, "too_slow", "the body did not come in time");
		break;
	case FORWARD_ASKED:
		forward_refuse(
		    f, 504, "not_decided", "nobody has decided in time");
		break;
	case FORWARD_DIALS:
	case FORWARD_PASSES:
		if (f->answering) {
			request_over(f, "no progress for too long");
			forward_close(f, true);
		} else {
			forward_refuse(f, 504, "no_answer",
			    "the server did not answer in time");
		}
		break;
	case FORWARD_RELAYS:
		request_over(f, "no progress for too long");
		forward_close(f, true);
		break;
	case FORWARD_FLUSHES:
	case FORWARD_LINGERS:
		forward_close(f, true);
		break;
	case FORWARD_WAITS: /* the broker knows for how long */
	case FORWARD_CLOSED:
		return;
	}
	pump(f);
}

static void
on_hush(struct loop_timer *t)
{
	struct forward *f = LOOP_OF(t, struct forward, hush);

	/* More may be there, which the loop has not come to yet. */
	f->server_ready = f->hush_due = true;
	pump(f);
}

/* Nothing more is there. */
static void
hush_over(struct forward *f)
{
	f->hush_due = false;
	if (!may_read_server(f))
		return; /* set_hush begins anew */
	answer_rest(f, f->hushed);
	if (!f->hushed && f->filter != NULL && filter_answer_holds(f->filter)) {
		f->hushed = true;
		loop_timer_set(f->loop, &f->hush,
		    clock_mono_ns() + (int64_t)FILTER_BEGUN_MS * NS_PER_MS);
	}
}

/* Of an answer whose length is known, what is held comes with its end. */
void
forward_hush(struct forward *f)
{
	f->hushed = f->deaf = f->hush_due = false;
	if (filter_answer_holds(f->filter) &&
	    (f->phase == FORWARD_RELAYS || f->answer.kind != HTTP1_BODY_LENGTH))
		loop_timer_set(f->loop, &f->hush,
		    clock_mono_ns() + FILTER_HUSH_MS * NS_PER_MS);
	else
		loop_timer_clear(f->loop, &f->hush);
}

/*
 * A pause is the server's only while it is listened to. Else a client that
 * takes nothing for a while, or a rule's rate, would make one in the middle of
 * a secret, whose beginning would go out.
 */
static void
set_hush(struct forward *f)
{
	if (f->filter == NULL || !f->answering)
		return;
	if (!may_read_server(f)) {
		loop_timer_clear(f->loop, &f->hush);
		f->deaf = true;
	} else if (f->deaf) {
		forward_hush(f);
	}
}

/*
 * Moves whatever can be moved. Callbacks of the owner may come back here: the
 * outermost call goes on for them.
 */
static void
pump(struct forward *f)
{
	if (f->pumping) {
		f->pump_again = true;
		return;
	}
	f->pumping = true;
	do {
		f->pump_again = false;
		while (f->phase != FORWARD_CLOSED && step(f))
			;
		if (f->phase != FORWARD_CLOSED && f->hush_due) {
			hush_over(f);
			f->pump_again = true;
		}
	} while (f->pump_again && f->phase != FORWARD_CLOSED);
	f->pumping = false;
	if (f->phase == FORWARD_CLOSED) {
		forward_stop(f, false);
		f->ops->closed(f);
		return;
	}
	set_wants(f);
	set_timer(f);
	set_hush(f);
}

/* True when something has moved. */
static bool
step(struct forward *f)
{
	bool moved = false;

	if (f->phase == FORWARD_DIALS && f->shaking)
		moved |= shake(f);
	moved |= read_client(f);
	if (f->phase == FORWARD_HEAD)
		moved |= request_take(f);
	if (f->phase == FORWARD_GATHERS)
		moved |= held_gather(f);
	if (f->phase == FORWARD_WAITS && f->client_ended) {
		/* Nobody would hear of it: it is not done. */
		request_over(f, "the client has gone");
		forward_close(f, true);
		return true;
	}
	if (f->phase == FORWARD_PASSES)
		moved |= request_pass(f);
	if (stream_is_open(&f->server) && !f->shaking) {
		moved |= write_out(f, &f->server, &f->to_server);
		moved |= read_server(f);
	}
	if (f->phase == FORWARD_PASSES && !f->answering)
		moved |= answer_take(f);
	if (f->phase == FORWARD_PASSES && f->answering)
		moved |= answer_pass(f);
	if (f->phase == FORWARD_RELAYS)
		moved |= relay(f);
	if (f->phase != FORWARD_CLOSED)
		moved |= write_out(f, &f->client, &f->out);
	if (f->phase == FORWARD_FLUSHES && f->out.n == 0) {
		/* A reset would destroy what has not been read yet. */
		if (f->client_ended || f->cut_hard) {
			forward_close(f, f->cut_hard);
		} else {
			stream_end(&f->client);
			f->phase = FORWARD_LINGERS;
		}
		return true;
	}
	if (f->phase == FORWARD_LINGERS) {
		buf_reset(&f->in);
		if (f->client_ended) {
			forward_close(f, false);
			return true;
		}
	}
	return moved;
}

static bool
read_client(struct forward *f)
{
	bool moved;

	if (!f->client_ready || !may_read_client(f))
		return false;
	moved = read_some(f, &f->client, &f->in, &f->client_ended);
	if (f->client_ended && f->phase == FORWARD_HEAD && f->in.n == 0)
		forward_close(f, false);
	return moved || f->client_ended;
}

/* Not while a request waits: who sends more waits, too. */
static bool
may_read_client(struct forward *f)
{
	if (f->client_ended || is_held(f) || f->in.n >= FORWARD_BUFFER_BYTES)
		return false;
	if (f->phase == FORWARD_HEAD || f->phase == FORWARD_LINGERS ||
	    f->phase == FORWARD_GATHERS || f->phase == FORWARD_WAITS)
		return true;
	return (f->phase == FORWARD_PASSES || f->phase == FORWARD_RELAYS) &&
	    f->to_server.n == 0;
}

static bool
read_server(struct forward *f)
{
	bool moved;

	if (!f->server_ready || !may_read_server(f))
		return false;
	moved = read_some(f, &f->server, &f->from_server, &f->server_ended);
	if (!f->server_ended)
		return moved;
	if (f->phase == FORWARD_HEAD || f->phase == FORWARD_ASKED ||
	    f->phase == FORWARD_GATHERS || f->phase == FORWARD_WAITS)
		forward_drop_server(f, false); /* between requests: it may */
	return true;
}

static bool
may_read_server(struct forward *f)
{
	return !f->server_ended && f->out.n == 0 && !is_held(f) &&
	    f->from_server.n < FORWARD_BUFFER_BYTES;
}

/*
 * Up to a buffer's worth, of a stream that is ready. An error is an end that
 * is not orderly.
 */
static bool
read_some(struct forward *f, struct stream *s, struct buf *b, bool *ended)
{
	bool *ready = s == &f->client ? &f->client_ready : &f->server_ready;
	bool moved = false;

	while (b->n < FORWARD_BUFFER_BYTES) {
		size_t room = FORWARD_READ_BYTES;
		char *at = buf_reserve(b, room);
		ssize_t n;

		must(at != NULL);
		n = stream_read(s, at, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			*ready = false;
			break;
		}
		if (n <= 0) {
			*ended = true;
			f->server_cut |= n < 0 && s == &f->server;
			break;
		}
		b->n += (size_t)n;
		moved = true;
		if ((size_t)n < room) {
			*ready = false; /* if not, the loop will say so */
			break;
		}
	}
	return moved;
}

static bool
write_out(struct forward *f, struct stream *s, struct buf *b)
{
	size_t done = 0;

	while (done < b->n) {
		ssize_t n = stream_write(s, b->p + done, b->n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			buf_reset(b);
			if (s == &f->client) {
				request_over(f, "the client has gone");
				forward_close(f, true);
			} else {
				f->server_ended = true;
			}
			return true;
		}
		done += (size_t)n;
	}
	if (done == 0)
		return false;
	if (s == &f->server && f->filter != NULL) {
		/* What is moved up leaves a copy of secrets behind. */
		size_t end = b->n;

		buf_drop(b, done);
		explicit_bzero(b->p + b->n, end - b->n);
	} else {
		buf_drop(b, done);
	}
	return true;
}

static bool
relay(struct forward *f)
{
	bool moved = false;

	if (f->in.n > 0 && f->to_server.n == 0) {
		struct err e = {};

		if (f->filter != NULL &&
		    filter_relay(f->filter, buf_str(&f->in), &e) < 0) {
			request_over(f, e.text);
			forward_close(f, true);
			return true;
		}
		f->sent += f->in.n;
		forward_count(f, f->in.n);
		buf_add_str(&f->to_server, buf_str(&f->in));
		buf_reset(&f->in);
		moved = true;
	}
	if (f->out.n == 0 &&
	    (f->from_server.n > 0 || (f->server_ended && f->holds_back))) {
		struct err e = {};

		f->received += f->from_server.n;
		forward_count(f, f->from_server.n);
		/* Lengths stay: frames stay what they are. */
		if (f->filter == NULL) {
			buf_add_str(&f->out, buf_str(&f->from_server));
		} else if (filter_answer_body(f->filter,
			       buf_str(&f->from_server), f->server_ended,
			       &f->out, &e) < 0) {
			request_over(f, e.text);
			forward_close(f, true);
			return true;
		}
		buf_reset(&f->from_server);
		/* What may be the beginning of a secret waits for more. */
		f->holds_back = f->filter != NULL && !f->server_ended;
		if (f->filter != NULL)
			forward_hush(f);
		moved = true;
	}
	if (f->client_ended && f->in.n == 0 && f->to_server.n == 0 &&
	    !f->client_told) {
		f->client_told = true;
		stream_end(&f->server);
	}
	if (f->server_ended && f->from_server.n == 0 && f->out.n == 0) {
		request_over(f, NULL);
		forward_close(f, false);
		return true;
	}
	return moved;
}

static bool
shake(struct forward *f)
{
	struct err e = {};

	switch (tls_handshake(&f->server, &e)) {
	case TLS_WAITS:
		return false;
	case TLS_READY:
		f->shaking = false;
		if ((f->ops->shaken != NULL && f->ops->shaken(f, &e) < 0) ||
		    (tls_chose_h2(&f->server) && h2_dial(&f->server, &e) < 0))
			forward_refuse(f, 502, "tls_failed", e.text);
		else
			request_begin(f);
		return true;
	case TLS_FAILED:
		forward_refuse(f, 502, "tls_failed", e.text);
		return true;
	}
	return false;
}

void
forward_drop_server(struct forward *f, bool hard)
{
	stream_close(&f->server, hard);
	buf_reset(&f->from_server);
	buf_reset(&f->to_server);
	f->server_ended = f->server_cut = f->shaking = false;
	f->server_ready = false;
	f->server_host[0] = '\0';
}

/* The rest is done by pump, at the end of its turn. */
void
forward_close(struct forward *f, bool hard)
{
	stream_close(&f->client, hard);
	forward_drop_server(f, hard);
	f->phase = FORWARD_CLOSED;
}

/*
 * What is ready and cannot be taken now is not waited for; all else is, so
 * that in the common case nothing has to be changed between requests.
 */
static void
set_wants(struct forward *f)
{
	bool in = !f->client_ended && (!f->client_ready || may_read_client(f));

	stream_want(
	    &f->client, (in ? EPOLLIN : 0) | (f->out.n > 0 ? EPOLLOUT : 0));
	if (!stream_is_open(&f->server))
		return;
	if (f->shaking) {
		/* TLS knows when that means the other way. */
		stream_want(&f->server, EPOLLIN);
		return;
	}
	in = !f->server_ended && (!f->server_ready || may_read_server(f));
	stream_want(&f->server,
	    (in ? EPOLLIN : 0) | (f->to_server.n > 0 ? EPOLLOUT : 0));
}

static void
set_timer(struct forward *f)
{
	int64_t now = loop_now_ns(f->loop), ms = 0;

	f->holds = is_held(f);
	if (f->spoil != NULL && spoil_waits_ns(f, clock_mono_ns()) > 0) {
		f->holds = true;
		ms = spoil_waits_ns(f, clock_mono_ns()) / NS_PER_MS + 1;
	} else if (f->holds) {
		/* Until the debt is paid. */
		ms = (-f->allowance) * 1000 / (int64_t)f->bytes_per_s + 1;
	} else {
		switch (f->phase) {
		case FORWARD_HEAD:
			if (f->out.n > 0) {
				ms = EGRESS_STALLED_MS;
				break;
			}
			if (f->in.n == 0) {
				ms = HTTP_IDLE_TIMEOUT_MS;
				break;
			}
			/* From its first byte, however slowly others follow. */
			if (f->head_ns == 0)
				f->head_ns = now;
			ms = HTTP_HEAD_TIMEOUT_MS;
			now = f->head_ns;
			break;
		case FORWARD_ASKED:
			ms = EGRESS_VERDICT_MS;
			break;
		case FORWARD_GATHERS:
			ms = HTTP_BODY_TIMEOUT_MS;
			break;
		case FORWARD_WAITS:
			loop_timer_clear(f->loop, &f->timer);
			return;
		case FORWARD_DIALS:
		case FORWARD_PASSES:
		case FORWARD_RELAYS:
		case FORWARD_FLUSHES:
			ms = EGRESS_STALLED_MS;
			break;
		case FORWARD_LINGERS:
			if (f->timer.at_ns != 0 && f->lingers)
				return; /* however much still comes */
			f->lingers = true;
			ms = HTTP_LINGER_MS;
			break;
		case FORWARD_CLOSED:
			return;
		}
	}
	loop_timer_set(f->loop, &f->timer, now + ms * NS_PER_MS);
}

void
forward_count(struct forward *f, size_t bytes)
{
	if (f->bytes_per_s > 0)
		f->allowance -= (int64_t)bytes;
}

/* True while more has passed than the rule's rate, or a failure on purpose,
 * allows. */
static bool
is_held(struct forward *f)
{
	int64_t now, most;

	if (f->spoil != NULL && spoil_waits_ns(f, clock_mono_ns()) > 0)
		return true;
	if (f->bytes_per_s == 0)
		return false;
	now = clock_mono_ns();
	most = (int64_t)f->bytes_per_s; /* a second's worth at once */
	if (f->allowance_ns == 0)
		f->allowance = most;
	else
		f->allowance += (int64_t)((double)(now - f->allowance_ns) *
		    (double)f->bytes_per_s / (double)NS_PER_S);
	f->allowance_ns = now;
	if (f->allowance > most)
		f->allowance = most;
	return f->allowance < 0;
}
