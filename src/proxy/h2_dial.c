/*
 * Towards a server: what is written as HTTP/1.1 is sent as HTTP/2, and its
 * answer read as HTTP/1.1. One request at a time: a forward has a connection
 * of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "proxy/h2_int.h"

/* What a stream's `h2` is. */
struct dialled {
	struct h2_wire wire;
	void (*on_ready)(struct stream *s, uint32_t events); /* the owner's */
	uint32_t wants;
	struct loop_timer again; /* something is ready that no socket tells */
	int32_t id; /* of the request under way; 0: none */

	struct buf head; /* of the request, as it comes */
	struct http1_head parsed;
	struct http1_body body;
	struct buf content; /* of its body, not yet sent */
	struct buf trailers; /* behind that */
	bool sends, waits; /* a body; and the session for more of it */
	bool to_head;

	struct h2_head coming;
	bool answered; /* the final head is there */
	bool chunked;
	struct buf in; /* the answer, as HTTP/1.1 */
	size_t held; /* bytes of content in it, for its window */
	bool cut; /* the request was ended by the server */
};

static ssize_t h2_read(struct stream *s, void *p, size_t n);
static ssize_t h2_write(struct stream *s, const void *p, size_t n);
static void h2_want(struct stream *s, uint32_t events);
static void h2_end(struct stream *s);
static void h2_close(struct stream *s, bool hard);
static void on_below(struct stream *s, uint32_t events);
static void on_again(struct loop_timer *t);
static void pump(struct dialled *d);
static uint32_t ready(const struct dialled *d);
static ssize_t take_head(struct dialled *d, const char *p, size_t n);
static ssize_t take_body(struct dialled *d, const char *p, size_t n);
static int begin(struct dialled *d);
static ssize_t on_send(nghttp2_session *session, int32_t id, uint8_t *p,
    size_t n, uint32_t *flags, nghttp2_data_source *source, void *arg);
static int send_trailers(struct dialled *d);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg);
static int on_frame(
    nghttp2_session *session, const nghttp2_frame *frame, void *arg);
static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
    const uint8_t *p, size_t n, void *arg);
static int on_stream_close(
    nghttp2_session *session, int32_t id, uint32_t error, void *arg);
static void answer_head(struct dialled *d, bool whole);
static void answer_end(struct dialled *d);
static void dialled_free(struct dialled *d);

static const struct stream_ops h2_ops = {
	.read = h2_read,
	.write = h2_write,
	.want = h2_want,
	.end = h2_end,
	.close = h2_close,
};

int
h2_dial(struct stream *s, struct err *e)
{
	struct dialled *d = calloc(1, sizeof(*d));
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = h2_option();
	int rc;

	must(d != NULL && option != NULL);
	must(nghttp2_session_callbacks_new(&cb) == 0);
	d->wire.stream = s;
	d->wire.below = s->ops;
	d->again.on_time = on_again;
	d->in.max = 2 * H2_WINDOW_BYTES + 4 * HTTP_MAX_HEAD_BYTES;
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    cb, on_stream_close);
	rc = nghttp2_session_client_new3(
	    &d->wire.session, cb, d, option, h2_memory());
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	if (rc != 0 || h2_settings(d->wire.session, e) < 0) {
		dialled_free(d);
		return rc != 0 ? err_set(e, "HTTP/2: %s", nghttp2_strerror(rc))
			       : -1;
	}
	d->on_ready = s->on_ready;
	s->on_ready = on_below;
	s->h2 = d;
	s->ops = &h2_ops;
	return 0;
}

static ssize_t
h2_read(struct stream *s, void *p, size_t n)
{
	struct dialled *d = s->h2;

	if (d->in.n == 0)
		h2_wire_pump(&d->wire);
	if (d->in.n == 0) {
		if (!d->cut && !d->wire.ended) {
			errno = EAGAIN;
			return -1;
		}
		/* In the middle of an answer it is no orderly end. */
		errno = ECONNRESET;
		return d->cut || d->id != 0 ? -1 : 0;
	}
	n = n < d->in.n ? n : d->in.n;
	memcpy(p, d->in.p, n);
	buf_drop(&d->in, n);
	if (d->in.n == 0 && d->held > 0) {
		(void)nghttp2_session_consume_connection(
		    d->wire.session, d->held);
		if (d->id != 0)
			(void)nghttp2_session_consume_stream(
			    d->wire.session, d->id, d->held);
		d->held = 0;
		h2_wire_send(&d->wire);
	}
	return (ssize_t)n;
}

static ssize_t
h2_write(struct stream *s, const void *p, size_t n)
{
	struct dialled *d = s->h2;
	ssize_t took;

	if (d->wire.ended || d->cut) {
		errno = EPIPE;
		return -1;
	}
	if (d->sends && !d->body.done)
		took = take_body(d, p, n);
	else if (d->id == 0)
		took = take_head(d, p, n);
	else
		took = 0; /* the next request, before this one is answered */
	if (took > 0)
		h2_wire_send(&d->wire);
	if (took == 0) {
		errno = EAGAIN;
		return -1;
	}
	return took;
}

static void
h2_want(struct stream *s, uint32_t events)
{
	struct dialled *d = s->h2;

	d->wants = events;
	if ((ready(d) & events) != 0 && d->again.at_ns == 0)
		loop_timer_set(s->loop, &d->again, loop_now_ns(s->loop));
	/* Frames that open windows come whoever wants to read. */
	d->wire.below->want(s,
	    (d->wire.ended ? 0 : EPOLLIN) | (d->wire.out.n > 0 ? EPOLLOUT : 0));
}

static void
h2_end(struct stream *s)
{
	struct dialled *d = s->h2;

	d->wire.below->end(s);
}

static void
h2_close(struct stream *s, bool hard)
{
	struct dialled *d = s->h2;
	const struct stream_ops *below = d->wire.below;

	if (!hard && !d->wire.ended &&
	    nghttp2_session_terminate_session(
		d->wire.session, NGHTTP2_NO_ERROR) == 0)
		h2_wire_send(&d->wire);
	loop_timer_clear(s->loop, &d->again);
	s->on_ready = d->on_ready;
	s->h2 = NULL;
	s->ops = below;
	dialled_free(d);
	below->close(s, hard);
}

static void
on_below(struct stream *s, uint32_t events)
{
	struct dialled *d = s->h2;

	(void)events;
	pump(d);
}

static void
on_again(struct loop_timer *t)
{
	struct dialled *d = LOOP_OF(t, struct dialled, again);
	uint32_t events = ready(d) & d->wants;

	if (events != 0)
		d->on_ready(d->wire.stream, events);
}

static void
pump(struct dialled *d)
{
	struct stream *s = d->wire.stream;
	uint32_t events;

	h2_wire_pump(&d->wire);
	events = ready(d) & d->wants;
	if (events != 0)
		d->on_ready(s, events);
	else
		h2_want(s, d->wants);
}

static uint32_t
ready(const struct dialled *d)
{
	bool over = d->wire.ended || d->cut;

	return (d->in.n > 0 || over ? EPOLLIN : 0) |
	    (over || d->content.n < H2_WINDOW_BYTES ? EPOLLOUT : 0);
}

/* Returns the bytes taken; -1: it is no request. */
static ssize_t
take_head(struct dialled *d, const char *p, size_t n)
{
	size_t had = d->head.n;
	struct err e = {};
	uint16_t status;
	ssize_t got;

	d->head.max = 2 * HTTP_MAX_HEAD_BYTES;
	buf_add(&d->head, p, n);
	if (d->head.failed) {
		errno = EPIPE;
		return -1;
	}
	got = http1_request(d->head.p, d->head.n, &d->parsed, &status, &e);
	if (got == 0)
		return (ssize_t)n;
	if (got < 0 || begin(d) < 0) {
		d->cut = true;
		errno = EPIPE;
		return -1;
	}
	explicit_bzero(d->head.p, d->head.cap);
	buf_reset(&d->head);
	return got - (ssize_t)had;
}

static ssize_t
take_body(struct dialled *d, const char *p, size_t n)
{
	struct err e = {};
	uint16_t status;
	ssize_t got;

	if (d->content.n >= H2_WINDOW_BYTES)
		return 0;
	got = http1_body_feed(&d->body, p, n, &d->content, &status, &e);
	if (got < 0) {
		d->cut = true;
		errno = EPIPE;
		return -1;
	}
	if (d->waits && (d->content.n > 0 || d->body.done)) {
		d->waits = false;
		(void)nghttp2_session_resume_data(d->wire.session, d->id);
	}
	return got;
}

/* The request in d->parsed, to the server. */
static int
begin(struct dialled *d)
{
	const struct http1_head *h = &d->parsed;
	const struct str *host = http1_get(h, STR("host"));
	const struct str *type = http1_get(h, STR("content-type"));
	/* Never in a table: a secret would stay there. */
	const uint8_t flags = NGHTTP2_NV_FLAG_NO_INDEX;
	nghttp2_nv nv[H2_FIELDS_MAX + 5];
	const nghttp2_data_provider body = { .read_callback = on_send };
	size_t n = 0;

	nv[n++] = h2_nv(STR(":method"), h->method, 0);
	nv[n++] = h2_nv(STR(":scheme"), STR("https"), 0);
	nv[n++] =
	    h2_nv(STR(":authority"), host != NULL ? *host : STR(""), flags);
	nv[n++] = h2_nv(STR(":path"), h->target, flags);
	n = h2_fields(h, &d->head, nv, n, flags);
	/* It ended at the client's connection; servers of gRPC want it. */
	if (type != NULL && str_starts(*type, STR("application/grpc")))
		nv[n++] = h2_nv(STR("te"), STR("trailers"), 0);
	http1_body_init(&d->body, h, UINT64_MAX);
	if (h->body == HTTP1_BODY_CHUNKED) {
		/* At once: what grows leaves copies of secrets behind. */
		(void)buf_reserve(&d->trailers, HTTP_MAX_TRAILER_BYTES);
		d->body.trailers = &d->trailers;
	}
	d->sends = h->body != HTTP1_BODY_NONE;
	d->to_head = str_eq(h->method, STR("HEAD"));
	d->answered = d->chunked = d->waits = false;
	buf_reset(&d->content);
	buf_reset(&d->trailers);
	h2_head_reset(&d->coming);
	d->id = nghttp2_submit_request(
	    d->wire.session, NULL, nv, n, d->sends ? &body : NULL, NULL);
	if (d->id > 0)
		return 0;
	d->id = 0;
	return -1;
}

static ssize_t
on_send(nghttp2_session *session, int32_t id, uint8_t *p, size_t n,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct dialled *d = arg;

	(void)session;
	(void)source;
	if (id != d->id)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (d->content.n == 0 && !d->body.done) {
		d->waits = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	n = n < d->content.n ? n : d->content.n;
	if (n > 0) {
		memcpy(p, d->content.p, n);
		buf_drop(&d->content, n);
		explicit_bzero(d->content.p + d->content.n, n);
	}
	if (d->content.n == 0 && d->body.done) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (d->trailers.n > 0) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (send_trailers(d) != 0)
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
	}
	return (ssize_t)n;
}

static int
send_trailers(struct dialled *d)
{
	nghttp2_nv nv[H2_FIELDS_MAX];
	struct http1_head h = {};
	size_t n;

	http1_trailers(buf_str(&d->trailers), &h);
	n = h2_fields(&h, &d->trailers, nv, 0, NGHTTP2_NV_FLAG_NO_INDEX);
	return nghttp2_submit_trailer(d->wire.session, d->id, nv, n);
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg)
{
	struct dialled *d = arg;

	(void)session;
	(void)flags;
	if (frame->hd.stream_id == d->id)
		h2_head_add(&d->coming,
		    (struct str){ (const char *)name, name_n },
		    (struct str){ (const char *)value, value_n });
	return d->coming.bad ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct dialled *d = arg;
	bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	(void)session;
	if (d->id == 0 || frame->hd.stream_id != d->id)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && !d->answered)
		answer_head(d, whole);
	if ((frame->hd.type == NGHTTP2_HEADERS ||
		frame->hd.type == NGHTTP2_DATA) &&
	    whole)
		answer_end(d);
	return d->in.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int
on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct dialled *d = arg;

	(void)flags;
	if (id != d->id || !d->answered || n == 0) {
		(void)nghttp2_session_consume(session, id, n);
		return 0;
	}
	d->held += n;
	if (d->chunked)
		buf_printf(&d->in, "%zx\r\n", n);
	buf_add(&d->in, p, n);
	if (d->chunked)
		buf_add_c(&d->in, "\r\n");
	return d->in.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct dialled *d = arg;

	(void)session;
	if (id != d->id)
		return 0;
	/* Without an answer that is whole, the rest is missing. */
	d->cut |= error != NGHTTP2_NO_ERROR || !d->body.done;
	d->id = 0;
	return 0;
}

/* A head that is whole, as HTTP/1.1. */
static void
answer_head(struct dialled *d, bool whole)
{
	struct h2_head *h = &d->coming;
	bool bodyless = h->status < 200 || h->status == 204 ||
	    h->status == 304 || d->to_head;

	d->answered = h->status >= 200;
	d->chunked = d->answered && !whole && !bodyless && !h->has_length;
	buf_printf(
	    &d->in, "HTTP/1.1 %u %s\r\n", h->status, http1_reason(h->status));
	buf_add_str(&d->in, buf_str(&h->fields));
	if (d->chunked)
		buf_add_c(&d->in, "Transfer-Encoding: chunked\r\n");
	else if (whole && !bodyless && !h->has_length)
		buf_add_c(&d->in, "Content-Length: 0\r\n");
	buf_add_c(&d->in, "\r\n");
	h2_head_reset(h);
}

static void
answer_end(struct dialled *d)
{
	if (d->chunked) {
		buf_add_c(&d->in, "0\r\n");
		buf_add_str(&d->in, buf_str(&d->coming.fields));
		buf_add_c(&d->in, "\r\n");
	}
	d->chunked = false;
}

static void
dialled_free(struct dialled *d)
{
	struct buf *const all[] = { &d->head, &d->content, &d->trailers,
		&d->in };

	h2_wire_fini(&d->wire);
	h2_head_fini(&d->coming);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i]->cap > 0)
			explicit_bzero(all[i]->p, all[i]->cap);
		buf_fini(all[i]);
	}
	free(d);
}
