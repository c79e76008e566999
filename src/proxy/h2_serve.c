/*
 * Towards a client: each request that comes by HTTP/2 goes down a lane as one
 * of HTTP/1.1. A lane is kept for the next request, as a connection would be:
 * behind it there is one to the server.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "proxy/h2_int.h"

#define NS_PER_MS 1000000LL

struct h2_lane {
	struct h2_serve *serve;
	struct h2_lane *next;
	struct stream *stream; /* the owner's; NULL: not opened, or closed */
	uint32_t wants;
	uint32_t round; /* when it was told last */
	int32_t id; /* of the request; 0: idle */
	bool over; /* nothing comes by it any more */

	struct buf in; /* the request, as HTTP/1.1 */
	size_t held; /* bytes of content in it, for its window */
	uint64_t left; /* of its length */
	bool chunked, to_head;

	struct buf head; /* of the answer, as it comes */
	bool answered; /* the final head is sent */
	struct http1_body body;
	struct buf content, trailers;
	bool ended; /* the body is */
	bool waits; /* the session for more of it */
};

struct h2_serve {
	struct h2_wire wire;
	const struct h2_serve_ops *ops;
	void *owner;
	struct h2_lane *lanes;
	struct loop_timer work; /* something to send, or to tell */
	struct loop_timer idle;
	struct h2_head coming; /* one head at a time: RFC 9113 section 6.10 */
	uint32_t round;
	bool freed, working;
};

static void on_ready(struct stream *s, uint32_t events);
static void on_work(struct loop_timer *t);
static void on_idle(struct loop_timer *t);
static void work(struct h2_serve *h);
static void sweep(struct h2_serve *h);
static void kick(struct h2_serve *h);
static uint32_t ready(const struct h2_lane *l);
static struct h2_lane *lane_of(struct h2_serve *h, int32_t id);
static struct h2_lane *lane_get(struct h2_serve *h);
static void lane_free(struct h2_lane *l);
static void reset(struct h2_serve *h, int32_t id, uint32_t error);
static void request_begin(struct h2_serve *h, int32_t id, bool whole);
static void request_end(struct h2_lane *l, const struct h2_head *trailers);
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
static ssize_t on_send(nghttp2_session *session, int32_t id, uint8_t *p,
    size_t n, uint32_t *flags, nghttp2_data_source *source, void *arg);
static int send_trailers(struct h2_lane *l);
static ssize_t lane_read(struct stream *s, void *p, size_t n);
static ssize_t lane_write(struct stream *s, const void *p, size_t n);
static void lane_want(struct stream *s, uint32_t events);
static void lane_end(struct stream *s);
static void lane_close(struct stream *s, bool hard);
static ssize_t answer_head(struct h2_lane *l, const char *p, size_t n);
static ssize_t answer_body(struct h2_lane *l, const char *p, size_t n);
static void answer_more(struct h2_lane *l);

static const struct stream_ops lane_ops = {
	.read = lane_read,
	.write = lane_write,
	.want = lane_want,
	.end = lane_end,
	.close = lane_close,
};

struct h2_serve *
h2_serve_new(struct stream *s, const struct h2_serve_ops *ops, void *owner,
    struct err *e)
{
	struct h2_serve *h = calloc(1, sizeof(*h));
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = h2_option();
	int rc;

	must(h != NULL && option != NULL);
	must(nghttp2_session_callbacks_new(&cb) == 0);
	h->wire.stream = s;
	h->wire.below = s->ops;
	h->ops = ops;
	h->owner = owner;
	h->work.on_time = on_work;
	h->idle.on_time = on_idle;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    cb, on_stream_close);
	rc = nghttp2_session_server_new3(
	    &h->wire.session, cb, h, option, h2_memory());
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	if (rc != 0 || h2_settings(h->wire.session, e) < 0) {
		h2_wire_fini(&h->wire);
		free(h);
		if (rc != 0)
			(void)err_set(e, "HTTP/2: %s", nghttp2_strerror(rc));
		return NULL;
	}
	s->on_ready = on_ready;
	s->h2 = h;
	kick(h);
	return h;
}

void
h2_serve_free(struct h2_serve *h)
{
	if (h == NULL)
		return;
	h->freed = true;
	/* Their streams hear of it, and close them, later. */
	for (struct h2_lane *l = h->lanes, *next; l != NULL; l = next) {
		next = l->next;
		l->serve = NULL;
		l->over = true;
		l->id = 0;
		if (l->stream != NULL)
			l->stream->on_ready(l->stream, EPOLLIN | EPOLLHUP);
		else
			lane_free(l);
	}
	h->lanes = NULL;
	loop_timer_clear(h->wire.stream->loop, &h->work);
	loop_timer_clear(h->wire.stream->loop, &h->idle);
	stream_close(h->wire.stream, false);
	h2_wire_fini(&h->wire);
	h2_head_fini(&h->coming);
	/* One that is at work in a call above us frees it there. */
	if (!h->working)
		free(h);
}

void
h2_lane_open(struct h2_lane *l, struct stream *s)
{
	must(l->stream == NULL && !stream_is_open(s) && s->on_ready != NULL);
	l->stream = s;
	s->loop = l->serve->wire.stream->loop;
	s->h2 = l;
	s->ops = &lane_ops;
}

static void
on_ready(struct stream *s, uint32_t events)
{
	(void)events;
	work(s->h2);
}

static void
on_work(struct loop_timer *t)
{
	work(LOOP_OF(t, struct h2_serve, work));
}

/* Between requests, or in the middle of a head that does not end. */
static void
on_idle(struct loop_timer *t)
{
	struct h2_serve *h = LOOP_OF(t, struct h2_serve, idle);

	(void)nghttp2_session_terminate_session(
	    h->wire.session, NGHTTP2_NO_ERROR);
	h2_wire_send(&h->wire);
	h->wire.ended = true;
	work(h);
}

/* Moves what can be moved, and tells the lanes. */
static void
work(struct h2_serve *h)
{
	struct stream *s = h->wire.stream;
	struct h2_lane *l;
	bool busy = false;

	if (h->working)
		return; /* the outermost call goes on */
	h->working = true;
	h2_wire_pump(&h->wire);
	h->round++;
	/* Who is told may close any lane: begin anew after each. */
	do {
		for (l = h->lanes; l != NULL; l = l->next)
			if (l->stream != NULL && l->round != h->round &&
			    ((l->over && l->id == 0) ||
				(ready(l) & l->wants) != 0))
				break;
		if (l == NULL)
			break;
		l->round = h->round;
		l->stream->on_ready(l->stream,
		    l->over ? EPOLLIN | EPOLLHUP : ready(l) & l->wants);
	} while (!h->freed);
	h->working = false;
	if (h->freed) {
		free(h);
		return;
	}
	h2_wire_send(&h->wire);
	if (h->wire.ended) {
		h->ops->closed(h->owner);
		return;
	}
	sweep(h);
	h2_wire_send(&h->wire);
	for (l = h->lanes; l != NULL; l = l->next)
		busy |= l->id != 0;
	if (busy)
		loop_timer_clear(s->loop, &h->idle);
	else
		loop_timer_set(s->loop, &h->idle,
		    loop_now_ns(s->loop) + HTTP_IDLE_TIMEOUT_MS * NS_PER_MS);
	stream_want(s, EPOLLIN | (h->wire.out.n > 0 ? EPOLLOUT : 0));
}

/*
 * Lanes that nobody uses at either end. A client that is answered in full, and
 * goes on to send, is told to stop. RFC 9113 section 8.1
 */
static void
sweep(struct h2_serve *h)
{
	for (struct h2_lane *l = h->lanes, *next; l != NULL; l = next) {
		next = l->next;
		if (l->stream != NULL)
			continue;
		if (l->id == 0)
			lane_free(l);
		else if (l->ended && l->content.n == 0)
			reset(h, l->id, NGHTTP2_NO_ERROR);
	}
}

/* Once more, soon, and not within the call that found something to do. */
static void
kick(struct h2_serve *h)
{
	struct loop *loop = h->wire.stream->loop;

	if (h->work.at_ns == 0)
		loop_timer_set(loop, &h->work, loop_now_ns(loop));
}

static uint32_t
ready(const struct h2_lane *l)
{
	return (l->in.n > 0 || l->over ? EPOLLIN : 0) |
	    (l->over || l->content.n < H2_WINDOW_BYTES ? EPOLLOUT : 0);
}

static struct h2_lane *
lane_of(struct h2_serve *h, int32_t id)
{
	struct h2_lane *l = h->lanes;

	while (l != NULL && l->id != id)
		l = l->next;
	return l;
}

/* An idle one, or a new one. NULL: the owner has no room. */
static struct h2_lane *
lane_get(struct h2_serve *h)
{
	struct h2_lane *l = h->lanes;

	while (l != NULL && (l->id != 0 || l->over || l->stream == NULL))
		l = l->next;
	if (l != NULL)
		return l;
	l = calloc(1, sizeof(*l));
	must(l != NULL);
	l->serve = h;
	l->in.max = 4 * H2_WINDOW_BYTES + 4 * HTTP_MAX_HEAD_BYTES;
	l->head.max = 2 * HTTP_MAX_HEAD_BYTES;
	l->next = h->lanes;
	h->lanes = l;
	return l;
}

static void
lane_free(struct h2_lane *l)
{
	struct h2_lane **at;

	if (l->serve != NULL) {
		for (at = &l->serve->lanes; *at != l; at = &(*at)->next)
			;
		*at = l->next;
	}
	buf_fini(&l->in);
	buf_fini(&l->head);
	buf_fini(&l->content);
	buf_fini(&l->trailers);
	free(l);
}

static void
reset(struct h2_serve *h, int32_t id, uint32_t error)
{
	(void)nghttp2_submit_rst_stream(
	    h->wire.session, NGHTTP2_FLAG_NONE, id, error);
}

/* h->coming is the head of a request. whole: it has no body. */
static void
request_begin(struct h2_serve *h, int32_t id, bool whole)
{
	struct h2_head *c = &h->coming;
	struct h2_lane *l;
	bool opened;

	if (c->bad || str_eq(buf_str(&c->method), STR("CONNECT"))) {
		reset(h, id, NGHTTP2_HTTP_1_1_REQUIRED);
		return;
	}
	l = lane_get(h);
	opened = l->stream == NULL;
	l->id = id;
	l->to_head = str_eq(buf_str(&c->method), STR("HEAD"));
	l->chunked = !whole && !c->has_length;
	l->left = c->has_length ? c->length : 0;
	l->answered = l->ended = l->waits = false;
	l->held = 0;
	buf_reset(&l->head);
	buf_reset(&l->content);
	buf_reset(&l->trailers);
	buf_add_str(&l->in, buf_str(&c->method));
	buf_add_byte(&l->in, ' ');
	buf_add_str(&l->in, buf_str(&c->path));
	buf_add_c(&l->in, " HTTP/1.1\r\nHost: ");
	buf_add_str(&l->in, buf_str(&c->authority));
	buf_add_c(&l->in, "\r\n");
	buf_add_str(&l->in, buf_str(&c->fields));
	if (c->cookie.n > 0) {
		buf_add_c(&l->in, "Cookie: ");
		buf_add_str(&l->in, buf_str(&c->cookie));
		buf_add_c(&l->in, "\r\n");
	}
	if (l->chunked)
		buf_add_c(&l->in, "Transfer-Encoding: chunked\r\n");
	buf_add_c(&l->in, "\r\n");
	if (!opened)
		return;
	h->ops->lane(h->owner, l);
	if (l->stream == NULL) {
		reset(h, id, NGHTTP2_REFUSED_STREAM);
		lane_free(l);
	}
}

/*
 * trailers: what came behind the body, or NULL. Those that are no field for a
 * trailer are written, too: the forward refuses them, and says why.
 */
static void
request_end(struct h2_lane *l, const struct h2_head *trailers)
{
	const struct h2_head none = {},
			     *t = trailers != NULL ? trailers : &none;

	/* HTTP/1.1 has none behind a body with a length. */
	if (t->bad || (!l->chunked && t->n > 0)) {
		reset(l->serve, l->id, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	if (!l->chunked)
		return;
	l->chunked = false;
	buf_add_c(&l->in, "0\r\n");
	buf_add_str(&l->in, buf_str(&t->fields));
	if (t->authority.n > 0) {
		buf_add_c(&l->in, "host: ");
		buf_add_str(&l->in, buf_str(&t->authority));
		buf_add_c(&l->in, "\r\n");
	}
	if (t->cookie.n > 0) {
		buf_add_c(&l->in, "cookie: ");
		buf_add_str(&l->in, buf_str(&t->cookie));
		buf_add_c(&l->in, "\r\n");
	}
	buf_add_c(&l->in, "\r\n");
}

/* Of a head that was refused in its middle nothing is left. */
static int
on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_serve *h = arg;

	(void)session;
	(void)frame;
	h2_head_reset(&h->coming);
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg)
{
	struct h2_serve *h = arg;

	(void)session;
	(void)flags;
	if (frame->hd.type == NGHTTP2_HEADERS)
		h2_head_add(&h->coming,
		    (struct str){ (const char *)name, name_n },
		    (struct str){ (const char *)value, value_n });
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_serve *h = arg;
	struct h2_lane *l;
	bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	(void)session;
	if (frame->hd.type == NGHTTP2_HEADERS &&
	    frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		request_begin(h, frame->hd.stream_id, whole);
		h2_head_reset(&h->coming);
		return 0;
	}
	l = lane_of(h, frame->hd.stream_id);
	if (frame->hd.type == NGHTTP2_HEADERS) {
		if (l != NULL)
			request_end(l, &h->coming);
		h2_head_reset(&h->coming);
	} else if (frame->hd.type == NGHTTP2_DATA && whole && l != NULL) {
		request_end(l, NULL);
	}
	return l != NULL && l->in.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int
on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct h2_serve *h = arg;
	struct h2_lane *l = lane_of(h, id);

	(void)flags;
	if (l == NULL || n == 0) {
		(void)nghttp2_session_consume(session, id, n);
		return 0;
	}
	/* More than was announced would be read as another request. */
	if (!l->chunked && n > l->left) {
		(void)nghttp2_session_consume(session, id, n);
		reset(h, id, NGHTTP2_PROTOCOL_ERROR);
		return 0;
	}
	l->held += n;
	l->left -= l->chunked ? 0 : n;
	if (l->chunked)
		buf_printf(&l->in, "%zx\r\n", n);
	buf_add(&l->in, p, n);
	if (l->chunked)
		buf_add_c(&l->in, "\r\n");
	return l->in.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct h2_serve *h = arg;
	struct h2_lane *l = lane_of(h, id);

	if (l == NULL)
		return 0;
	if (l->held > 0)
		(void)nghttp2_session_consume_connection(session, l->held);
	l->held = 0;
	l->id = 0;
	/* What was not finished leaves the lane in the middle of something. */
	if (error != NGHTTP2_NO_ERROR || !l->ended || l->in.n > 0)
		l->over = true;
	return 0;
}

static ssize_t
on_send(nghttp2_session *session, int32_t id, uint8_t *p, size_t n,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_serve *h = arg;
	struct h2_lane *l = lane_of(h, id);

	(void)session;
	(void)source;
	if (l == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (l->content.n == 0 && !l->ended) {
		l->waits = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	n = n < l->content.n ? n : l->content.n;
	if (n > 0) {
		memcpy(p, l->content.p, n);
		buf_drop(&l->content, n);
		kick(h); /* there is room again */
	}
	if (l->content.n == 0 && l->ended) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (l->trailers.n > 0) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (send_trailers(l) != 0)
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
	}
	return (ssize_t)n;
}

static int
send_trailers(struct h2_lane *l)
{
	nghttp2_nv nv[H2_FIELDS_MAX];
	struct http1_head h = {};
	size_t n;

	http1_trailers(buf_str(&l->trailers), &h);
	n = h2_fields(&h, &l->trailers, nv, 0, 0);
	return nghttp2_submit_trailer(l->serve->wire.session, l->id, nv, n);
}

static ssize_t
lane_read(struct stream *s, void *p, size_t n)
{
	struct h2_lane *l = s->h2;

	if (l->over || l->in.n == 0) {
		errno = EAGAIN;
		return l->over ? 0 : -1;
	}
	n = n < l->in.n ? n : l->in.n;
	memcpy(p, l->in.p, n);
	buf_drop(&l->in, n);
	if (l->in.n == 0 && l->held > 0) {
		(void)nghttp2_session_consume(
		    l->serve->wire.session, l->id, l->held);
		l->held = 0;
		kick(l->serve);
	}
	return (ssize_t)n;
}

static ssize_t
lane_write(struct stream *s, const void *p, size_t n)
{
	struct h2_lane *l = s->h2;
	ssize_t took;

	if (l->over || l->id == 0 || l->ended) {
		errno = EPIPE;
		return -1;
	}
	took = l->answered ? answer_body(l, p, n) : answer_head(l, p, n);
	if (took < 0) {
		reset(l->serve, l->id, NGHTTP2_INTERNAL_ERROR);
		errno = EPIPE;
	} else if (took == 0) {
		errno = EAGAIN;
		return -1;
	}
	kick(l->serve);
	return took;
}

static void
lane_want(struct stream *s, uint32_t events)
{
	struct h2_lane *l = s->h2;

	l->wants = events;
	if (l->serve != NULL && (ready(l) & events) != 0)
		kick(l->serve);
}

/* The body that ends with the connection has ended. */
static void
lane_end(struct stream *s)
{
	struct h2_lane *l = s->h2;

	if (l->serve == NULL)
		return;
	if (l->answered && !l->ended &&
	    l->body.kind == HTTP1_BODY_UNTIL_CLOSE) {
		l->ended = true;
		answer_more(l);
	}
	/* No client follows: the owner hears the end at once. */
	l->over |= l->id == 0 || l->ended;
	kick(l->serve);
}

static void
lane_close(struct stream *s, bool hard)
{
	struct h2_lane *l = s->h2;
	struct h2_serve *h = l->serve;

	if (!hard)
		lane_end(s);
	s->ops = NULL;
	s->h2 = NULL;
	l->stream = NULL;
	if (h == NULL || l->id == 0) {
		lane_free(l);
		return;
	}
	/* An answer that is whole may still be on its way: see sweep. */
	if (!l->ended)
		reset(h, l->id, NGHTTP2_INTERNAL_ERROR);
	l->over = true;
	kick(h);
}

/* Returns the bytes taken; -1: it is no answer. */
static ssize_t
answer_head(struct h2_lane *l, const char *p, size_t n)
{
	nghttp2_session *session = l->serve->wire.session;
	const nghttp2_data_provider body = { .read_callback = on_send };
	nghttp2_nv nv[H2_FIELDS_MAX + 1];
	struct http1_head h;
	char status[8];
	struct err e = {};
	size_t had = l->head.n, n_nv = 1;
	uint16_t refused;
	ssize_t got;
	int rc;

	buf_add(&l->head, p, n);
	if (l->head.failed)
		return -1;
	got =
	    http1_response(l->head.p, l->head.n, l->to_head, &h, &refused, &e);
	if (got == 0)
		return (ssize_t)n;
	if (got < 0 || h.status == 101)
		return -1;
	status[0] = (char)('0' + h.status / 100);
	status[1] = (char)('0' + h.status / 10 % 10);
	status[2] = (char)('0' + h.status % 10);
	nv[0] = h2_nv(STR(":status"), (struct str){ status, 3 }, 0);
	http1_body_init(&l->body, &h, UINT64_MAX);
	l->body.trailers = &l->trailers;
	n_nv = h2_fields(&h, &l->head, nv, n_nv, 0);
	if (h.status < 200) {
		rc = nghttp2_submit_headers(
		    session, NGHTTP2_FLAG_NONE, l->id, NULL, nv, n_nv, NULL);
	} else {
		l->answered = true;
		l->ended = l->body.done;
		rc = nghttp2_submit_response(
		    session, l->id, nv, n_nv, l->ended ? NULL : &body);
	}
	buf_reset(&l->head);
	return rc != 0 ? -1 : got - (ssize_t)had;
}

static ssize_t
answer_body(struct h2_lane *l, const char *p, size_t n)
{
	struct err e = {};
	uint16_t status;
	ssize_t got;

	if (l->content.n >= H2_WINDOW_BYTES)
		return 0;
	got = http1_body_feed(&l->body, p, n, &l->content, &status, &e);
	if (got >= 0)
		l->ended = l->body.done;
	answer_more(l);
	return got;
}

/* There is more of the answer, or its end. */
static void
answer_more(struct h2_lane *l)
{
	if (l->waits && (l->content.n > 0 || l->ended)) {
		l->waits = false;
		(void)nghttp2_session_resume_data(
		    l->serve->wire.session, l->id);
	}
}
