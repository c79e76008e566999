/*
 * A client's bridge and a server's, back to back over a socketpair: what goes
 * in as HTTP/1.1 at one end comes out as HTTP/1.1 at the other.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "proxy/h2_int.h"
#include "sys/fd.h"

#define NS_PER_MS 1000000LL

enum { LIMIT_MS = 5000, LANES_MAX = 4, CLIENTS = 1 };

/* An HTTP/1.1 end: what it heard, and what it still has to say. */
struct end {
	struct stream s;
	struct buf heard, to_say;
	bool ended, cut;
};

static struct rig {
	struct loop *loop;
	struct stream below; /* of the server's bridge */
	struct h2_serve *serve;
	struct end client, lane[LANES_MAX];
	int n_lanes, n_closed;
	bool no_lanes;
	struct loop_timer limit;
	bool (*until)(void);
} rig;

static void
on_limit(struct loop_timer *t)
{
	(void)t;
	fail_msg("nothing moves: client heard \"%.*s\", server heard \"%.*s\"",
	    (int)rig.client.heard.n, rig.client.heard.p,
	    (int)rig.lane[0].heard.n, rig.lane[0].heard.p);
}

static void
end_move(struct end *x)
{
	char bytes[3000];
	ssize_t n;

	while (stream_is_open(&x->s) && x->to_say.n > 0) {
		n = stream_write(&x->s, x->to_say.p, x->to_say.n);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			x->cut = true;
			buf_reset(&x->to_say);
			break;
		}
		buf_drop(&x->to_say, (size_t)n);
	}
	while (stream_is_open(&x->s) && !x->ended) {
		n = stream_read(&x->s, bytes, sizeof(bytes));
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			x->ended = true;
			x->cut |= n < 0;
			break;
		}
		buf_add(&x->heard, bytes, (size_t)n);
	}
	stream_want(
	    &x->s, (x->ended ? 0 : EPOLLIN) | (x->to_say.n > 0 ? EPOLLOUT : 0));
}

static void
on_end(struct stream *s, uint32_t events)
{
	(void)events;
	end_move(LOOP_OF(s, struct end, s));
}

static void
on_lane(void *owner, struct h2_lane *lane)
{
	struct end *x = &rig.lane[rig.n_lanes];

	assert_ptr_equal(owner, &rig);
	if (rig.no_lanes || rig.n_lanes == LANES_MAX)
		return;
	rig.n_lanes++;
	x->s.on_ready = on_end;
	x->heard.max = x->to_say.max = 64 * 1024 * 1024;
	h2_lane_open(lane, &x->s);
	end_move(x);
}

static void
on_closed(void *owner)
{
	assert_ptr_equal(owner, &rig);
	rig.n_closed++;
	h2_serve_free(rig.serve);
	rig.serve = NULL;
}

static const struct h2_serve_ops ops = { .lane = on_lane, .closed = on_closed };

static void
on_nothing(struct stream *s, uint32_t events)
{
	(void)s;
	(void)events;
}

/* Only the server's bridge; the other end of the socket is the caller's. */
static int
start_serve(void)
{
	struct err e = {};
	int pair[2];

	rig = (struct rig){};
	rig.loop = loop_new(&e);
	rig.limit.on_time = on_limit;
	rig.below.on_ready = on_nothing;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(
	    stream_open_take(&rig.below, rig.loop, pair[0], &e), 0);
	rig.serve = h2_serve_new(&rig.below, &ops, &rig, &e);
	assert_non_null(rig.serve);
	return pair[1];
}

static int
start(void **state)
{
	struct err e = {};
	int fd = start_serve();

	(void)state;
	rig.client.s.on_ready = on_end;
	rig.client.heard.max = rig.client.to_say.max = 64 * 1024 * 1024;
	assert_int_equal(stream_open_take(&rig.client.s, rig.loop, fd, &e), 0);
	assert_int_equal(h2_dial(&rig.client.s, &e), 0);
	end_move(&rig.client);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	stream_close(&rig.client.s, false);
	h2_serve_free(rig.serve);
	for (int i = 0; i < rig.n_lanes; i++) {
		stream_close(&rig.lane[i].s, false);
		buf_fini(&rig.lane[i].heard);
		buf_fini(&rig.lane[i].to_say);
	}
	buf_fini(&rig.client.heard);
	buf_fini(&rig.client.to_say);
	loop_free(rig.loop);
	return 0;
}

static void
on_round(void *arg)
{
	(void)arg;
	if (rig.until())
		loop_stop(rig.loop);
}

static void
wait_for(bool (*until)(void))
{
	struct err e = {};

	rig.until = until;
	if (until())
		return;
	loop_timer_set(
	    rig.loop, &rig.limit, clock_mono_ns() + LIMIT_MS * NS_PER_MS);
	assert_int_equal(loop_run(rig.loop, on_round, NULL, &e), 0);
	loop_timer_clear(rig.loop, &rig.limit);
}

static struct end *awaited;
static size_t n_awaited;

static bool
has_heard(void)
{
	return awaited->heard.n >= n_awaited || awaited->ended;
}

static void
hears(struct end *x, const char *text)
{
	awaited = x;
	n_awaited = strlen(text);
	wait_for(has_heard);
	buf_add_byte(&x->heard, '\0');
	assert_string_equal(x->heard.p, text);
	buf_reset(&x->heard);
}

static void
hears_much(struct end *x, const char *head, const char *body, size_t n)
{
	size_t n_head = strlen(head);

	awaited = x;
	n_awaited = n_head + n;
	wait_for(has_heard);
	assert_int_equal(x->heard.n, n_head + n);
	assert_memory_equal(x->heard.p, head, n_head);
	assert_memory_equal(x->heard.p + n_head, body, n);
	buf_reset(&x->heard);
}

static void
say(struct end *x, const char *text)
{
	buf_add_c(&x->to_say, text);
	end_move(x);
}

static bool
client_ended(void)
{
	return rig.client.ended;
}

static bool
lane_ended(void)
{
	return rig.lane[0].ended;
}

static bool
has_closed(void)
{
	return rig.n_closed > 0;
}

#define GET "GET /a?b=c HTTP/1.1\r\nHost: h.example\r\nX-One: 1\r\n\r\n"
#define GET_OUT "GET /a?b=c HTTP/1.1\r\nHost: h.example\r\nx-one: 1\r\n\r\n"
#define OK5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define OK5_OUT "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

static void
requests_follow_each_other_in_one_lane(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		say(&rig.client, GET);
		hears(&rig.lane[0], GET_OUT);
		say(&rig.lane[0], OK5);
		hears(&rig.client, OK5_OUT);
	}
	assert_int_equal(rig.n_lanes, 1);
}

static void
a_stream_of_grpc_passes_both_ways_with_its_trailers(void **state)
{
	(void)state;
	say(&rig.client,
	    "POST /pkg.Svc/Do HTTP/1.1\r\nHost: h.example\r\n"
	    "Content-Type: application/grpc\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	hears(&rig.lane[0],
	    "POST /pkg.Svc/Do HTTP/1.1\r\nHost: h.example\r\n"
	    "content-type: application/grpc\r\nte: trailers\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	say(&rig.lane[0],
	    "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n");
	hears(&rig.client,
	    "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n");
	say(&rig.client, "1\r\nd\r\n0\r\nX-Sum: 7\r\n\r\n");
	/* Whoever reads the lane judges them. */
	hears(&rig.lane[0], "1\r\nd\r\n0\r\nx-sum: 7\r\n\r\n");
	say(&rig.lane[0],
	    "1\r\nz\r\n0\r\nGrpc-Status: 0\r\n"
	    "grpc-message: fine\r\n\r\n");
	hears(&rig.client,
	    "1\r\nz\r\n0\r\ngrpc-status: 0\r\n"
	    "grpc-message: fine\r\n\r\n");
	say(&rig.client, GET);
	hears(&rig.lane[0], GET_OUT);
	assert_int_equal(rig.n_lanes, 1);
}

static void
heads_without_bodies_stay_so(void **state)
{
	(void)state;
	say(&rig.client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
	hears(&rig.lane[0], "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
	say(&rig.lane[0], "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
	hears(&rig.client, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
	say(&rig.client, GET);
	hears(&rig.lane[0], GET_OUT);
	say(&rig.lane[0],
	    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	awaited = &rig.client;
	n_awaited = 60;
	wait_for(has_heard);
	buf_add_byte(&rig.client.heard, '\0');
	assert_non_null(strstr(rig.client.heard.p, "103 "));
	assert_non_null(strstr(rig.client.heard.p, "link: x\r\n\r\n"));
	assert_non_null(strstr(rig.client.heard.p, "204 "));
	assert_null(strstr(rig.client.heard.p, "onnection"));
}

static void
a_body_until_the_close_ends_its_request_only(void **state)
{
	(void)state;
	say(&rig.client, GET);
	hears(&rig.lane[0], GET_OUT);
	say(&rig.lane[0], "HTTP/1.1 200 OK\r\n\r\nall");
	hears(&rig.client,
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nall\r\n");
	stream_close(&rig.lane[0].s, false);
	hears(&rig.client, "0\r\n\r\n");
	say(&rig.client, GET);
	awaited = &rig.client;
	hears(&rig.lane[1], GET_OUT);
	say(&rig.lane[1], OK5);
	hears(&rig.client, OK5_OUT);
}

static void
an_answer_that_is_cut_is_no_whole_one(void **state)
{
	(void)state;
	say(&rig.client, GET);
	hears(&rig.lane[0], GET_OUT);
	say(&rig.lane[0], "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	hears(&rig.client, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
	stream_close(&rig.lane[0].s, true);
	wait_for(client_ended);
	assert_true(rig.client.cut);
}

static void
much_passes_whole_both_ways_and_waits_for_who_is_slow(void **state)
{
	enum { SIZE = 3 * 1024 * 1024 };
	char *much = malloc(SIZE);
	own_buf struct buf head = {};

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		much[i] = (char)(i * 31 + i / 251);
	buf_printf(&head,
	    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
	    (int)SIZE);
	say(&rig.client, buf_c(&head));
	buf_add(&rig.client.to_say, much, SIZE);
	end_move(&rig.client);
	hears_much(&rig.lane[0],
	    "POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 3145728\r\n\r\n",
	    much, SIZE);
	say(&rig.lane[0], "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n");
	buf_add(&rig.lane[0].to_say, much, SIZE);
	end_move(&rig.lane[0]);
	hears_much(&rig.client,
	    "HTTP/1.1 200 OK\r\ncontent-length: 3145728\r\n\r\n", much, SIZE);
	free(much);
}

static void
a_client_that_goes_ends_what_it_asked_for(void **state)
{
	(void)state;
	say(&rig.client, GET);
	hears(&rig.lane[0], GET_OUT);
	stream_close(&rig.client.s, true);
	wait_for(lane_ended);
	wait_for(has_closed);
}

static void
without_room_a_request_is_refused_and_the_rest_goes_on(void **state)
{
	(void)state;
	rig.no_lanes = true;
	say(&rig.client, GET);
	wait_for(client_ended);
	assert_true(rig.client.cut);
	assert_int_equal(rig.n_closed, 0);
}

static void
bytes_that_are_no_http2_end_the_connection(void **state)
{
	static const char *const said[] = {
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff"
		 "\xff\xff\xff\xff\xff\xff"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		int fd = start_serve();

		assert_true(send(fd, said[i], strlen(said[i]), 0) > 0);
		wait_for(has_closed);
		assert_int_equal(rig.n_lanes, 0);
		(void)close(fd);
		(void)stop(NULL);
	}
}

/* One request whose head is these fields, made by another session. */
static void
is_refused(const char *const fields[][2], size_t n)
{
	nghttp2_session_callbacks *cb;
	nghttp2_session *session;
	nghttp2_nv nv[8];
	const uint8_t *p;
	char bytes[4096];
	bool was_reset = false;
	ssize_t got;
	int fd = start_serve();

	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	assert_int_equal(nghttp2_session_client_new(&session, cb, NULL), 0);
	nghttp2_session_callbacks_del(cb);
	for (size_t i = 0; i < n; i++)
		nv[i] = h2_nv(str_of(fields[i][0]), str_of(fields[i][1]), 0);
	assert_int_equal(
	    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0), 0);
	assert_int_equal(
	    nghttp2_submit_request(session, NULL, nv, n, NULL, NULL), 1);
	while ((got = nghttp2_session_mem_send(session, &p)) > 0)
		assert_int_equal(send(fd, p, (size_t)got, 0), got);
	/* SETTINGS, WINDOW_UPDATE, the acknowledgement, RST_STREAM */
	while (!was_reset &&
	    (got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) != 0) {
		struct err e = {};

		for (ssize_t at = 0; got > 0 && at + 9 <= got; at += 9 +
			 (unsigned char)bytes[at + 1] * 256 +
			 (unsigned char)bytes[at + 2])
			was_reset |= bytes[at + 3] == NGHTTP2_RST_STREAM;
		if (!was_reset) {
			loop_timer_set(rig.loop, &rig.limit,
			    clock_mono_ns() + LIMIT_MS * NS_PER_MS);
			rig.until = client_ended;
			rig.client.ended = true; /* one round */
			assert_int_equal(
			    loop_run(rig.loop, on_round, NULL, &e), 0);
			loop_timer_clear(rig.loop, &rig.limit);
		}
	}
	assert_true(was_reset);
	assert_int_equal(rig.n_lanes, 0);
	nghttp2_session_del(session);
	(void)close(fd);
	(void)stop(NULL);
}

static void
heads_that_http_1_1_could_not_say_go_down_no_lane(void **state)
{
	static const char *const host[][2] = { { ":method", "GET" },
		{ ":scheme", "https" }, { ":authority", "h.example" },
		{ ":path", "/" }, { "host", "evil.example" } };
	static const char *const te[][2] = { { ":method", "GET" },
		{ ":scheme", "https" }, { ":authority", "h.example" },
		{ ":path", "/" }, { "transfer-encoding", "chunked" } };
	static const char *const connect[][2] = { { ":method", "CONNECT" },
		{ ":authority", "h.example:443" } };
	static const char *const upper[][2] = { { ":method", "GET" },
		{ ":scheme", "https" }, { ":authority", "h.example" },
		{ ":path", "/" }, { "connection", "upgrade" } };
	static const char *const line[][2] = { { ":method", "GET" },
		{ ":scheme", "https" }, { ":authority", "h.example" },
		{ ":path", "/" }, { "x", "a\r\nhost: evil.example" } };

	(void)state;
	is_refused(host, 5);
	is_refused(te, 5);
	is_refused(connect, 2);
	is_refused(upper, 5);
	is_refused(line, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_follow_each_other_in_one_lane),
		TEST(a_stream_of_grpc_passes_both_ways_with_its_trailers),
		TEST(heads_without_bodies_stay_so),
		TEST(a_body_until_the_close_ends_its_request_only),
		TEST(an_answer_that_is_cut_is_no_whole_one),
		TEST(much_passes_whole_both_ways_and_waits_for_who_is_slow),
		TEST(a_client_that_goes_ends_what_it_asked_for),
		TEST(without_room_a_request_is_refused_and_the_rest_goes_on),
		cmocka_unit_test(bytes_that_are_no_http2_end_the_connection),
		cmocka_unit_test(
		    heads_that_http_1_1_could_not_say_go_down_no_lane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
