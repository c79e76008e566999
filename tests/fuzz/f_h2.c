/*
 * Bit 0 of the first byte: what is said by a server, else by a client; the
 * second is the size of the pieces in which it comes; then two bytes: how much
 * of the rest are frames. What is left is said as HTTP/1.1 at the other end.
 *
 * Holds: before a request is answered nothing comes down its lane but that one
 * request, so that no byte of it can be taken for another; a head that comes
 * out is one that the parser of HTTP/1.1 reads to its end, or refuses; and
 * what a server says comes out as answers, or ends the connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "codec/http1.h"
#include "proxy/h2.h"

#include "../unit/memory_end.h"

enum { LANES_MAX = 8, TURNS_MAX = 4000 };

struct lane {
	struct stream s;
	struct buf heard;
	struct str answer;
	bool whole, ended;
};

static struct {
	struct memory_end peer; /* who says the frames */
	struct str answer;
	struct stream below;
	struct lane lanes[LANES_MAX];
	int n_lanes;
	bool closed;
} rig;

static struct http1_head head;

/* One request, whole or not, and nothing behind it. */
static void
is_one_request(struct lane *x)
{
	own_buf struct buf content = {};
	struct http1_body body;
	struct err e = {};
	uint16_t status;
	ssize_t n = http1_request(x->heard.p, x->heard.n, &head, &status, &e);

	if (n <= 0)
		return;
	must(head.body != HTTP1_BODY_UNTIL_CLOSE && head.minor == 1);
	http1_body_init(&body, &head, UINT64_MAX);
	n += http1_body_feed(&body, x->heard.p + n, x->heard.n - (size_t)n,
	    &content, &status, &e);
	must(n == (ssize_t)x->heard.n);
	x->whole = body.done;
}

static void
on_lane_ready(struct stream *s, uint32_t events)
{
	struct lane *x = LOOP_OF(s, struct lane, s);
	char bytes[512];
	ssize_t n = 1;

	(void)events;
	while (stream_is_open(s) && !x->ended &&
	    (n = stream_read(s, bytes, sizeof(bytes))) > 0) {
		buf_add(&x->heard, bytes, (size_t)n);
		is_one_request(x);
	}
	x->ended |= n == 0;
	if (x->whole && x->answer.n > 0) {
		n = stream_write(s, x->answer.p, x->answer.n);
		if (n > 0) {
			x->answer.p += n;
			x->answer.n -= (size_t)n;
		}
		if (x->answer.n == 0 || (n < 0 && errno != EAGAIN))
			x->ended = true;
	}
	/* A lane for one request: what it becomes after that is its own. */
	if (x->ended)
		stream_close(s, x->answer.n > 0);
	else
		stream_want(s, EPOLLIN | (x->whole ? EPOLLOUT : 0));
}

/* The first answer among the bytes, and those before it that are on the way. */
static struct str
one_answer(struct str s)
{
	own_buf struct buf content = {};
	struct http1_body body;
	struct err e = {};
	uint16_t status;
	size_t at = 0;
	ssize_t n;

	do {
		n = http1_response(
		    s.p + at, s.n - at, false, &head, &status, &e);
		if (n <= 0)
			return s;
		at += (size_t)n;
	} while (head.status < 200);
	http1_body_init(&body, &head, UINT64_MAX);
	n = http1_body_feed(&body, s.p + at, s.n - at, &content, &status, &e);
	return n < 0 ? s : (struct str){ s.p, at + (size_t)n };
}

static void
on_lane(void *owner, struct h2_lane *lane)
{
	struct lane *x;

	(void)owner;
	if (rig.n_lanes == LANES_MAX)
		return;
	x = &rig.lanes[rig.n_lanes++];
	x->s.on_ready = on_lane_ready;
	x->answer = one_answer(rig.answer);
	h2_lane_open(lane, &x->s);
	on_lane_ready(&x->s, 0);
}

static void
on_closed(void *owner)
{
	(void)owner;
	rig.closed = true;
}

static const struct h2_serve_ops ops = { .lane = on_lane, .closed = on_closed };

static void
on_nothing(struct stream *s, uint32_t events)
{
	(void)s;
	(void)events;
}

static void
serve(void)
{
	static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				    "\0\0\0\4\0\0\0\0"; /* SETTINGS */
	own_buf struct buf all = {};
	struct err e = {};
	struct h2_serve *h = h2_serve_new(&rig.below, &ops, NULL, &e);

	must(h != NULL);
	buf_add(&all, magic, sizeof(magic)); /* its NUL is the last byte */
	buf_add_str(&all, rig.peer.to_say);
	rig.peer.to_say = buf_str(&all);
	for (int i = 0; i < TURNS_MAX && !rig.closed; i++) {
		rig.peer.turn = true;
		rig.below.on_ready(&rig.below, EPOLLIN);
	}
	h2_serve_free(h);
	for (int i = 0; i < rig.n_lanes; i++) {
		stream_close(&rig.lanes[i].s, true);
		buf_fini(&rig.lanes[i].heard);
	}
}

static void
dial(void)
{
	own_buf struct buf heard = {};
	char bytes[512];
	struct err e = {};
	ssize_t n = 1;

	must(h2_dial(&rig.below, &e) == 0);
	n = stream_write(&rig.below, rig.answer.p, rig.answer.n);
	if (n <= 0)
		(void)stream_write(
		    &rig.below, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
	for (int i = 0; i < TURNS_MAX; i++) {
		rig.peer.turn = true;
		if (rig.peer.near != NULL)
			rig.peer.near->on_ready(rig.peer.near, EPOLLIN);
		n = stream_read(&rig.below, bytes, sizeof(bytes));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n > 0)
			buf_add(&heard, bytes, (size_t)n);
	}
	stream_close(&rig.below, false);
	if (heard.n > 0) {
		uint16_t status;

		(void)http1_response(
		    heard.p, heard.n, false, &head, &status, &e);
		must(heard.n > 9 && memcmp(heard.p, "HTTP/1.1 ", 9) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct err e = {};
	size_t n;

	if (loop == NULL)
		loop = loop_new(&e);
	if (size < 4 || size > 30000)
		return 0;
	memset(&rig, 0, sizeof(rig));
	n = ((size_t)data[2] << 8 | data[3]) % (size - 3);
	memory_ends = NULL;
	rig.peer = (struct memory_end){
		.to_say = { (const char *)data + 4, n },
		.piece = 1 + (size_t)data[1] * 8,
	};
	rig.answer = (struct str){ (const char *)data + 4 + n, size - 4 - n };
	rig.below = (struct stream){ .on_ready = on_nothing };
	memory_end_open(&rig.peer, &rig.below, loop);
	if ((data[0] & 1) != 0)
		dial();
	else
		serve();
	return 0;
}
