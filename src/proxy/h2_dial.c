/*
 * Towards a server: a connection of HTTP/2, and the requests on it. Each of
 * them has an end that looks like a connection of HTTP/1.1: what is written
 * there is sent as HTTP/2, and the answer read as HTTP/1.1. A request has its
 * buffers for itself; of another one's it sees nothing but that it has to wait.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "proxy/h2_int.h"

/* What a stream's `h2` is. */
struct dialled {
	struct h2_link *link; /* NULL: it is over */
	struct dialled *next; /* of the link */
	struct stream *stream; /* the owner's */
	uint32_t wants;
	struct loop_timer again; /* no socket tells that it is ready */
	int32_t id; /* of the request under way; 0: none */

	struct buf head; /* of the request, as it comes */
	struct http1_head parsed;
	struct http1_body body;
	struct buf content; /* of its body, not yet sent */
	struct buf trailers; /* behind that */
	bool sends, waits; /* a body; and the session for more of it */
	bool to_head;

	bool answered; /* the final head is there */
	bool chunked;
	struct buf in; /* the answer, as HTTP/1.1 */
	size_t held; /* bytes of content in it, for its window */
	bool cut; /* the request was ended by the server */
};

struct h2_link {
	struct h2_wire wire;
	struct stream stream;
	struct dialled *asks;
	uint32_t n; /* of them */
	struct h2_head coming; /* one head at a time: RFC 9113 section 6.10 */
	struct loop_timer work; /* something to do, and not within a call */
	bool settled, draining;
	const struct h2_link_ops *ops; /* NULL: it ends with its request */
	void *owner;
};

static ssize_t h2_read(struct stream *s, void *p, size_t n);
static ssize_t h2_write(struct stream *s, const void *p, size_t n);
static void h2_want(struct stream *s, uint32_t events);
static void h2_end(struct stream *s);
static void h2_close(struct stream *s, bool hard);
static void on_link(struct stream *s, uint32_t events);
static void on_work(struct loop_timer *t);
static void on_again(struct loop_timer *t);
static void work(struct h2_link *l);
static void flush(struct h2_link *l);
static void detach(struct h2_link *l);
static void tell(struct dialled *d);
static struct dialled *ask_of(struct h2_link *l, int32_t id);
static uint32_t ready(const struct dialled *d);
static ssize_t take_head(struct dialled *d, const char *p, size_t n);
static ssize_t take_body(struct dialled *d, const char *p, size_t n);
static int begin(struct dialled *d);
static ssize_t on_send(nghttp2_session *session, int32_t id, uint8_t *p,
    size_t n, uint32_t *flags, nghttp2_data_source *source, void *arg);
static int send_trailers(struct dialled *d);
static int on_begin(
    nghttp2_session *session, const nghttp2_frame *frame, void *arg);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg);
static int on_frame(
    nghttp2_session *session, const nghttp2_frame *frame, void *arg);
static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
    const uint8_t *p, size_t n, void *arg);
static int on_stream_close(
    nghttp2_session *session, int32_t id, uint32_t error, void *arg);
static void answer_head(struct dialled *d, const struct h2_head *h, bool whole);
static void answer_end(struct dialled *d, struct str trailers);
static void give_up(struct dialled *d);
static void dialled_free(struct dialled *d);

static const struct stream_ops h2_ops = {
	.read = h2_read,
	.write = h2_write,
	.want = h2_want,
	.end = h2_end,
	.close = h2_close,
};

struct h2_link *
h2_link_new(struct stream *s, struct err *e)
{
	struct h2_link *l = calloc(1, sizeof(*l));
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = h2_option();
	int rc;

	must(l != NULL && option != NULL);
	must(nghttp2_session_callbacks_new(&cb) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    cb, on_stream_close);
	rc = nghttp2_session_client_new3(
	    &l->wire.session, cb, l, option, h2_memory());
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	l->stream.on_ready = on_link;
	if (rc != 0 || h2_settings(l->wire.session, e) < 0 ||
	    s->ops->move(s, &l->stream, e) < 0) {
		h2_wire_fini(&l->wire);
		free(l);
		if (rc != 0)
			(void)err_set(e, "HTTP/2: %s", nghttp2_strerror(rc));
		return NULL;
	}
	l->wire.stream = &l->stream;
	l->wire.below = l->stream.ops;
	l->work.on_time = on_work;
	return l;
}

void
h2_link_own(struct h2_link *l, const struct h2_link_ops *ops, void *owner)
{
	l->ops = ops;
	l->owner = owner;
}

void
h2_link_open(struct h2_link *l, struct stream *s)
{
	struct dialled *d = calloc(1, sizeof(*d));

	must(d != NULL && !stream_is_open(s) && s->on_ready != NULL);
	d->link = l;
	d->stream = s;
	d->again.on_time = on_again;
	d->in.max = 2 * H2_WINDOW_BYTES + 4 * HTTP_MAX_HEAD_BYTES;
	d->next = l->asks;
	l->asks = d;
	l->n++;
	s->loop = l->stream.loop;
	s->h2 = d;
	s->ops = &h2_ops;
	flush(l);
}

void
h2_link_free(struct h2_link *l, bool hard)
{
	detach(l);
	if (!hard && !l->wire.ended &&
	    nghttp2_session_terminate_session(
		l->wire.session, NGHTTP2_NO_ERROR) == 0)
		h2_wire_send(&l->wire);
	loop_timer_clear(l->stream.loop, &l->work);
	stream_close(&l->stream, hard);
	h2_wire_fini(&l->wire);
	h2_head_fini(&l->coming);
	free(l);
}

bool
h2_link_is_settled(const struct h2_link *l)
{
	return l->settled;
}

uint32_t
h2_link_streams(const struct h2_link *l)
{
	return l->n;
}

uint32_t
h2_link_limit(const struct h2_link *l)
{
	uint32_t most = nghttp2_session_get_remote_settings(
	    l->wire.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	if (l->draining || l->wire.ended)
		return 0;
	return most < H2_LINK_STREAMS_MAX ? most : H2_LINK_STREAMS_MAX;
}

int
h2_dial(struct stream *s, struct err *e)
{
	struct h2_link *l = h2_link_new(s, e);

	if (l == NULL)
		return -1;
	h2_link_open(l, s);
	return 0;
}

static ssize_t
h2_read(struct stream *s, void *p, size_t n)
{
	struct dialled *d = s->h2;
	struct h2_link *l = d->link;

	if (d->in.n == 0) {
		if (!d->cut && l != NULL) {
			errno = EAGAIN;
			return -1;
		}
		/* In the middle of an answer it is no orderly end. */
		errno = ECONNRESET;
		return d->cut ? -1 : 0;
	}
	n = n < d->in.n ? n : d->in.n;
	memcpy(p, d->in.p, n);
	buf_drop(&d->in, n);
	if (d->in.n == 0 && d->held > 0) {
		if (l != NULL && d->id != 0) {
			(void)nghttp2_session_consume_stream(
			    l->wire.session, d->id, d->held);
			flush(l);
		}
		d->held = 0;
	}
	return (ssize_t)n;
}

static ssize_t
h2_write(struct stream *s, const void *p, size_t n)
{
	struct dialled *d = s->h2;
	ssize_t took;

	if (d->link == NULL || d->link->wire.ended || d->cut) {
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
		flush(d->link);
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
	tell(d);
}

/* Of a request's end its framing tells. */
static void
h2_end(struct stream *s)
{
	(void)s;
}

static void
h2_close(struct stream *s, bool hard)
{
	struct dialled *d = s->h2, **at;
	struct h2_link *l = d->link;
	int32_t id = d->id;

	loop_timer_clear(s->loop, &d->again);
	s->h2 = NULL;
	s->ops = NULL;
	if (l != NULL) {
		for (at = &l->asks; *at != d; at = &(*at)->next)
			;
		*at = d->next;
		l->n--;
	}
	dialled_free(d);
	if (l == NULL)
		return;
	if (l->ops == NULL && l->n == 0) {
		h2_link_free(l, hard);
		return;
	}
	if (id != 0)
		(void)nghttp2_submit_rst_stream(
		    l->wire.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	/* What follows, and whether it is kept, is decided outside. */
	loop_timer_set(l->stream.loop, &l->work, loop_now_ns(l->stream.loop));
}

static void
on_link(struct stream *s, uint32_t events)
{
	(void)events;
	work(LOOP_OF(s, struct h2_link, stream));
}

static void
on_work(struct loop_timer *t)
{
	work(LOOP_OF(t, struct h2_link, work));
}

static void
on_again(struct loop_timer *t)
{
	struct dialled *d = LOOP_OF(t, struct dialled, again);
	uint32_t events = ready(d) & d->wants;

	if (events != 0)
		d->stream->on_ready(d->stream, events);
}

/* Nobody is told within it but the owner, in the end, who may free it. */
static void
work(struct h2_link *l)
{
	h2_wire_pump(&l->wire);
	for (struct dialled *d = l->asks; d != NULL; d = d->next)
		tell(d);
	if (!l->wire.ended) {
		stream_want(
		    &l->stream, EPOLLIN | (l->wire.out.n > 0 ? EPOLLOUT : 0));
		if (l->ops != NULL)
			l->ops->changed(l->owner);
		return;
	}
	detach(l);
	if (l->ops != NULL)
		l->ops->over(l->owner);
	else
		h2_link_free(l, true);
}

/* What the session has to say; of its end `work` hears. */
static void
flush(struct h2_link *l)
{
	h2_wire_send(&l->wire);
	if (l->wire.ended)
		loop_timer_set(
		    l->stream.loop, &l->work, loop_now_ns(l->stream.loop));
	else
		stream_want(
		    &l->stream, EPOLLIN | (l->wire.out.n > 0 ? EPOLLOUT : 0));
}

/* Their ends stay the owners', and are at an end. */
static void
detach(struct h2_link *l)
{
	while (l->asks != NULL) {
		struct dialled *d = l->asks;

		l->asks = d->next;
		d->link = NULL;
		d->cut |= d->id != 0;
		tell(d);
	}
	l->n = 0;
}

static void
tell(struct dialled *d)
{
	struct loop *loop = d->stream->loop;

	if ((ready(d) & d->wants) != 0 && d->again.at_ns == 0)
		loop_timer_set(loop, &d->again, loop_now_ns(loop));
}

static struct dialled *
ask_of(struct h2_link *l, int32_t id)
{
	struct dialled *d = l->asks;

	while (d != NULL && d->id != id)
		d = d->next;
	return id != 0 ? d : NULL;
}

static uint32_t
ready(const struct dialled *d)
{
	bool over = d->link == NULL || d->cut;

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
		(void)nghttp2_session_resume_data(d->link->wire.session, d->id);
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
	d->id = nghttp2_submit_request(
	    d->link->wire.session, NULL, nv, n, d->sends ? &body : NULL, NULL);
	if (d->id > 0)
		return 0;
	d->id = 0;
	return -1;
}

static ssize_t
on_send(nghttp2_session *session, int32_t id, uint8_t *p, size_t n,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct dialled *d = ask_of(arg, id);

	(void)session;
	(void)source;
	if (d == NULL)
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
	return nghttp2_submit_trailer(d->link->wire.session, d->id, nv, n);
}

/* Of a head that was refused in its middle nothing is left. */
static int
on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_link *l = arg;

	(void)session;
	(void)frame;
	h2_head_reset(&l->coming);
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg)
{
	struct h2_link *l = arg;

	(void)session;
	(void)flags;
	if (ask_of(l, frame->hd.stream_id) != NULL)
		h2_head_add(&l->coming,
		    (struct str){ (const char *)name, name_n },
		    (struct str){ (const char *)value, value_n });
	return l->coming.bad ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_link *l = arg;
	struct dialled *d = ask_of(l, frame->hd.stream_id);
	bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	(void)session;
	l->settled |= frame->hd.type == NGHTTP2_SETTINGS &&
	    (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
	l->draining |= frame->hd.type == NGHTTP2_GOAWAY;
	if (d == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && !d->answered) {
		answer_head(d, &l->coming, whole);
		h2_head_reset(&l->coming);
	}
	if (frame->hd.type == NGHTTP2_HEADERS && whole)
		answer_end(d, buf_str(&l->coming.fields));
	else if (frame->hd.type == NGHTTP2_DATA && whole)
		answer_end(d, STR(""));
	if (d->in.failed)
		give_up(d);
	return 0;
}

static int
on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct dialled *d = ask_of(arg, id);

	(void)flags;
	if (d == NULL || !d->answered || d->cut || n == 0) {
		(void)nghttp2_session_consume(session, id, n);
		return 0;
	}
	/* The connection's window is nobody's: who reads slowly holds up no
	 * other, and what it has not read is bounded by its own. */
	(void)nghttp2_session_consume_connection(session, n);
	d->held += n;
	if (d->chunked)
		buf_printf(&d->in, "%zx\r\n", n);
	buf_add(&d->in, p, n);
	if (d->chunked)
		buf_add_c(&d->in, "\r\n");
	if (d->in.failed)
		give_up(d);
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct dialled *d = ask_of(arg, id);

	(void)session;
	if (d == NULL)
		return 0;
	/* Without an answer that is whole, the rest is missing. */
	d->cut |= error != NGHTTP2_NO_ERROR || !d->body.done;
	d->id = 0;
	return 0;
}

/* It sends more than fits: this one is over, and no other. */
static void
give_up(struct dialled *d)
{
	d->cut = true;
	(void)nghttp2_submit_rst_stream(d->link->wire.session,
	    NGHTTP2_FLAG_NONE, d->id, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* A head that is whole, as HTTP/1.1. */
static void
answer_head(struct dialled *d, const struct h2_head *h, bool whole)
{
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
}

static void
answer_end(struct dialled *d, struct str trailers)
{
	if (d->chunked) {
		buf_add_c(&d->in, "0\r\n");
		buf_add_str(&d->in, trailers);
		buf_add_c(&d->in, "\r\n");
	}
	d->chunked = false;
}

static void
dialled_free(struct dialled *d)
{
	struct buf *const all[] = { &d->head, &d->content, &d->trailers,
		&d->in };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i]->cap > 0)
			explicit_bzero(all[i]->p, all[i]->cap);
		buf_fini(all[i]);
	}
	free(d);
}
