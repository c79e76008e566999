#include "proxy/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "codec/http1.h"
#include "codec/json.h"
#include "proxy/proxy.h"
#include "proxy/stream.h"

enum { READ_BYTES = 16 * 1024, NS_PER_MS = 1000000 };

struct fetch {
	struct fetch *next;
	struct proxy *proxy;
	uint64_t id;
	uint32_t max_bytes;
	struct dial dial;
	struct stream stream;
	struct loop_timer late;
	char host[WEB_TARGET_HOST_BYTES + 1];
	struct buf roots; /* PEM, or "" */
	struct buf request;
	size_t sent;
	bool shaken; /* the handshake is over */
	struct buf got;
	size_t at; /* bytes of got that are read */
	bool has_head;
	struct http1_body body;
	struct buf content;
	uint32_t status, max_age_s;
};

static int take(struct fetch *f, struct str payload, struct err *e);
static void on_dialled(struct dial *d, int fd, const char *why);
static void on_stream(struct stream *s, uint32_t events);
static void on_late(struct loop_timer *t);
static int go_on(struct fetch *f, struct err *e);
static int send_some(struct fetch *f, struct err *e);
static int read_some(struct fetch *f, struct err *e);
static int read_answer(struct fetch *f, struct err *e);
static uint32_t max_age(const struct http1_head *h);
static void finish(struct fetch *f, const char *why);
static void fetch_free(struct fetch *f);

void
fetch_begin(struct proxy *p, const struct msg_fetch *m, struct str payload)
{
	struct fetch *f = calloc(1, sizeof(*f));
	struct err e = {};

	must(f != NULL);
	f->proxy = p;
	f->id = m->id;
	f->max_bytes = m->max_bytes;
	f->max_age_s = FETCH_AGE_UNKNOWN;
	f->late.on_time = on_late;
	f->got.max = HTTP_MAX_HEAD_BYTES + READ_BYTES;
	f->dial.watch.fd = -1;
	f->next = p->fetches;
	p->fetches = f;
	if (take(f, payload, &e) < 0) {
		finish(f, e.text);
		return;
	}
	loop_timer_set(p->loop, &f->late,
	    loop_now_ns(p->loop) + (int64_t)m->timeout_ms * NS_PER_MS);
	f->dial.owner = f;
	f->dial.on_done = on_dialled;
	dial_start(&f->dial, &p->dialer, f->host, m->port);
}

void
fetch_fini(struct proxy *p)
{
	while (p->fetches != NULL) {
		struct fetch *f = p->fetches;

		p->fetches = f->next;
		fetch_free(f);
	}
}

/* The broker has checked all of it; what does not fit is refused once more. */
static int
take(struct fetch *f, struct str payload, struct err *e)
{
	own_arena struct arena a = {};
	const struct json *doc = json_parse(payload, NULL, &a, e, NULL);
	const struct json *addrs = json_get(doc, STR("addrs"));
	struct str body = json_str(json_get(doc, STR("body")));
	struct str host = json_str(json_get(doc, STR("host")));

	if (doc == NULL)
		return -1;
	if (host.n == 0 || str_copy(host, f->host, sizeof(f->host)) < 0)
		return err_set(e, "no host");
	for (const struct json *x = json_first(addrs); x != NULL;
	     x = json_next(addrs, x)) {
		if (f->dial.n_pins == EGRESS_ADDRS_MAX ||
		    cidr_parse(json_str(x), &f->dial.pins[f->dial.n_pins]) < 0)
			return err_set(e, "addresses that are none");
		f->dial.n_pins++;
	}
	buf_add_str(&f->roots, json_str(json_get(doc, STR("roots"))));
	buf_printf(&f->request, "%.*s %.*s HTTP/1.1\r\nHost: %.*s\r\n",
	    STR_FMT(json_str(json_get(doc, STR("method")))),
	    STR_FMT(json_str(json_get(doc, STR("path")))),
	    STR_FMT(json_str(json_get(doc, STR("authority")))));
	buf_add_str(&f->request, json_str(json_get(doc, STR("fields"))));
	buf_add_c(&f->request,
	    "Accept-Encoding: identity\r\nConnection: close\r\n"
	    "User-Agent: paddock\r\n");
	if (body.n > 0)
		buf_printf(&f->request, "Content-Length: %zu\r\n", body.n);
	buf_add_c(&f->request, "\r\n");
	buf_add_str(&f->request, body);
	return f->request.failed || f->roots.failed
	    ? err_set(e, "out of memory")
	    : 0;
}

static void
on_dialled(struct dial *d, int fd, const char *why)
{
	struct fetch *f = d->owner;
	struct err e = {};

	if (fd < 0) {
		finish(f, why);
		return;
	}
	f->stream.on_ready = on_stream;
	if (stream_open_take(&f->stream, f->proxy->loop, fd, &e) < 0 ||
	    tls_dial(&f->stream, f->host, false, buf_str(&f->roots), &e) < 0) {
		finish(f, e.text);
		return;
	}
	on_stream(&f->stream, 0);
}

static void
on_stream(struct stream *s, uint32_t events)
{
	struct fetch *f = LOOP_OF(s, struct fetch, stream);
	struct err e = {};

	(void)events;
	switch (go_on(f, &e)) {
	case 0:
		return; /* it waits */
	case 1:
		finish(f, NULL);
		return;
	default:
		finish(f, e.text);
		return;
	}
}

static void
on_late(struct loop_timer *t)
{
	finish(LOOP_OF(t, struct fetch, late), "no answer in time");
}

/* 1 when the answer is whole, 0 while it is not, -1 with e. */
static int
go_on(struct fetch *f, struct err *e)
{
	if (!f->shaken) {
		switch (tls_handshake(&f->stream, e)) {
		case TLS_WAITS:
			stream_want(&f->stream, EPOLLIN);
			return 0;
		case TLS_FAILED:
			return -1;
		case TLS_READY:
			break;
		}
		f->shaken = true;
	}
	if (send_some(f, e) < 0)
		return -1;
	return read_some(f, e);
}

static int
send_some(struct fetch *f, struct err *e)
{
	while (f->sent < f->request.n) {
		ssize_t n = stream_write(
		    &f->stream, f->request.p + f->sent, f->request.n - f->sent);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return err_sys(e, "write");
		f->sent += (size_t)n;
	}
	return 0;
}

static int
read_some(struct fetch *f, struct err *e)
{
	for (;;) {
		char *to = buf_reserve(&f->got, READ_BYTES);
		ssize_t n;
		int got;

		if (to == NULL)
			return err_set(e, "the head of the answer is too long");
		n = stream_read(&f->stream, to, READ_BYTES);
		if (n < 0 && errno == EAGAIN) {
			stream_want(&f->stream,
			    EPOLLIN | (f->sent < f->request.n ? EPOLLOUT : 0U));
			return 0;
		}
		if (n < 0)
			return err_sys(e, "read");
		if (n == 0) {
			if (f->has_head &&
			    f->body.kind == HTTP1_BODY_UNTIL_CLOSE)
				return 1;
			return err_set(e, "the answer was cut");
		}
		f->got.n += (size_t)n;
		got = read_answer(f, e);
		if (got != 0)
			return got;
	}
}

static int
read_answer(struct fetch *f, struct err *e)
{
	struct http1_head h;
	uint16_t bad;
	ssize_t n;

	while (!f->has_head) {
		n = http1_response(
		    f->got.p + f->at, f->got.n - f->at, false, &h, &bad, e);
		if (n <= 0)
			return (int)n;
		f->at += (size_t)n;
		if (h.status < 200)
			continue; /* there is another one behind it */
		f->has_head = true;
		f->status = h.status;
		f->max_age_s = max_age(&h);
		http1_body_init(&f->body, &h, f->max_bytes);
	}
	if (!f->body.done) {
		n = http1_body_feed(&f->body, f->got.p + f->at,
		    f->got.n - f->at, &f->content, &bad, e);
		if (n < 0)
			return bad == 413
			    ? err_set(e, "the answer is over %u bytes",
				  f->max_bytes)
			    : -1;
		f->at += (size_t)n;
	}
	if (f->at == f->got.n) {
		buf_reset(&f->got);
		f->at = 0;
	}
	return f->body.done ? 1 : 0;
}

/* RFC 9111 section 5.2.2. What is said in another way is not known. */
static uint32_t
max_age(const struct http1_head *h)
{
	const struct str *field = http1_get(h, STR("Cache-Control"));
	struct str rest = field != NULL ? *field : STR("");
	uint32_t age = FETCH_AGE_UNKNOWN;

	while (rest.n > 0) {
		struct str one = { rest.p, str_find(rest, ',') };
		size_t step = one.n + (one.n < rest.n);
		static const struct str name = STR("max-age=");
		uint64_t s;

		rest = (struct str){ rest.p + step, rest.n - step };
		one = str_trim(one);
		if (str_eq_nocase(one, STR("no-store")) ||
		    str_eq_nocase(one, STR("no-cache")))
			return 0;
		if (one.n <= name.n ||
		    !str_eq_nocase((struct str){ one.p, name.n }, name))
			continue;
		if (str_to_u64(
			(struct str){ one.p + name.n, one.n - name.n }, &s) < 0)
			return 0; /* stale, says the section above */
		age =
		    s < FETCH_AGE_UNKNOWN ? (uint32_t)s : FETCH_AGE_UNKNOWN - 1;
	}
	return age;
}

/* why: NULL when there is an answer. */
static void
finish(struct fetch *f, const char *why)
{
	struct proxy *p = f->proxy;
	struct msg_fetched m = { .id = f->id, .max_age_s = f->max_age_s };
	struct fetch **at = &p->fetches;

	if (why == NULL)
		m.status = f->status;
	(void)peer_send(&p->broker, MSG_FETCHED, &m,
	    why != NULL ? str_of(why) : buf_str(&f->content), NULL,
	    0); /* a broker that is gone ends us */
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	fetch_free(f);
}

static void
fetch_free(struct fetch *f)
{
	loop_timer_clear(f->proxy->loop, &f->late);
	dial_stop(&f->dial);
	stream_close(&f->stream, false);
	buf_fini(&f->roots);
	if (f->request.p != NULL)
		explicit_bzero(f->request.p, f->request.n); /* reply links */
	buf_fini(&f->request);
	buf_fini(&f->got);
	buf_fini(&f->content);
	free(f);
}
