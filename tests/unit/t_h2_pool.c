/*
 * Who shares which connection: servers are the other ends of sockets, and say
 * by frames that are written here how many requests they take at once.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/addr.h"
#include "proxy/h2_int.h"

#define NS_PER_MS 1000000LL

enum { LIMIT_MS = 5000, ALL = 8, SOON_MS = 30 };

/* One who needs a connection. */
struct who {
	struct h2_want want;
	struct stream s;
	char addr[ADDR_TEXT_BYTES];
	int turns; /* how often it was told to seek again */
	int server; /* the other end of what it has dialled */
};

static struct {
	struct loop *loop;
	struct h2_pool *pool;
	struct who who[ALL];
	struct loop_timer limit, pause;
	bool (*until)(void);
	const struct who *awaited;
	int turns;
	bool paused;
} rig;

static void
on_limit(struct loop_timer *t)
{
	(void)t;
	fail_msg("nothing moves");
}

static void
on_pause(struct loop_timer *t)
{
	(void)t;
	rig.paused = true;
}

static void
on_ready(struct stream *s, uint32_t events)
{
	(void)s;
	(void)events;
}

static void
on_turn(struct h2_want *w)
{
	LOOP_OF(w, struct who, want)->turns++;
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
	loop_timer_set(
	    rig.loop, &rig.limit, clock_mono_ns() + LIMIT_MS * NS_PER_MS);
	if (!until())
		assert_int_equal(loop_run(rig.loop, on_round, NULL, &e), 0);
	loop_timer_clear(rig.loop, &rig.limit);
}

static bool
has_paused(void)
{
	return rig.paused;
}

/* Whatever is going to happen has happened. */
static void
settle(void)
{
	rig.paused = false;
	loop_timer_set(
	    rig.loop, &rig.pause, clock_mono_ns() + SOON_MS * NS_PER_MS);
	wait_for(has_paused);
}

static bool
was_called(void)
{
	return rig.awaited->turns >= rig.turns;
}

static void
is_called(const struct who *x, int turns)
{
	rig.awaited = x;
	rig.turns = turns;
	wait_for(was_called);
	assert_int_equal(x->turns, turns);
}

static int
start(void **state)
{
	struct err e = {};

	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.loop = loop_new(&e);
	rig.pool = h2_pool_new(rig.loop);
	rig.limit.on_time = on_limit;
	rig.pause.on_time = on_pause;
	for (int i = 0; i < ALL; i++) {
		rig.who[i].want.on_turn = on_turn;
		rig.who[i].s.on_ready = on_ready;
		rig.who[i].server = -1;
	}
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	for (int i = 0; i < ALL; i++) {
		h2_pool_leave(&rig.who[i].want, false);
		stream_close(&rig.who[i].s, false);
	}
	h2_pool_free(rig.pool);
	for (int i = 0; i < ALL; i++)
		if (rig.who[i].server >= 0)
			(void)close(rig.who[i].server);
	loop_free(rig.loop);
	return 0;
}

static void
seeks(struct who *x, enum h2_turn turn)
{
	assert_int_equal(
	    h2_pool_seek(rig.pool, &x->want, &x->s, x->addr), turn);
	assert_int_equal(stream_is_open(&x->s), turn == H2_JOINED);
}

/* It has dialled, and the server speaks HTTP/2. */
static void
reaches(struct who *x, const char *addr)
{
	struct err e = {};
	int pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	x->server = pair[1];
	assert_int_equal(stream_open_take(&x->s, rig.loop, pair[0], &e), 0);
	assert_int_equal(h2_pool_add(rig.pool, &x->want, &x->s, addr, &e), 0);
	assert_true(stream_is_open(&x->s));
}

/* SETTINGS: so many requests at once. RFC 9113 section 6.5 */
static void
server_takes(const struct who *x, uint8_t n)
{
	const uint8_t frame[] = { 0, 0, 6, 4, 0, 0, 0, 0, 0, /* its head */
		0, 3, 0, 0, 0, n };

	assert_int_equal(
	    send(x->server, frame, sizeof(frame), 0), sizeof(frame));
}

/* GOAWAY: none beyond those that are there. RFC 9113 section 6.8 */
static void
server_takes_no_more(const struct who *x)
{
	const uint8_t frame[] = { 0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff,
		0xff, 0, 0, 0, 0 };

	assert_int_equal(
	    send(x->server, frame, sizeof(frame), 0), sizeof(frame));
}

#define A (&rig.who[0])
#define B (&rig.who[1])
#define C (&rig.who[2])
#define D (&rig.who[3])
#define E (&rig.who[4])

static void
others_wait_until_the_server_has_said_how_many_it_takes(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	seeks(B, H2_WAIT);
	seeks(C, H2_WAIT);
	reaches(A, "192.0.2.1");
	settle();
	assert_int_equal(B->turns, 0);
	seeks(D, H2_WAIT); /* the connection is there, and not settled */
	server_takes(A, 100);
	is_called(B, 1);
	is_called(C, 1);
	is_called(D, 1);
	seeks(B, H2_JOINED);
	assert_string_equal(B->addr, "192.0.2.1");
	seeks(C, H2_JOINED);
	seeks(D, H2_JOINED);
}

static void
as_many_dial_as_the_servers_limit_asks_for(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	seeks(B, H2_WAIT);
	reaches(A, "192.0.2.1");
	server_takes(A, 2);
	is_called(B, 1);
	seeks(B, H2_JOINED);
	seeks(C, H2_DIAL); /* two are on the first */
	seeks(D, H2_WAIT); /* the second is C's and D's */
	seeks(E, H2_DIAL);
	reaches(C, "192.0.2.2");
	server_takes(C, 2);
	is_called(D, 1);
	seeks(D, H2_JOINED);
	assert_string_equal(D->addr, "192.0.2.2");
}

static void
places_share_nothing(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	reaches(A, "192.0.2.1");
	server_takes(A, 100);
	settle();
	B->want.key.b[0] = 1;
	seeks(B, H2_DIAL);
	seeks(C, H2_JOINED);
}

static void
after_a_failure_each_dials_for_itself_once(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	seeks(B, H2_WAIT);
	seeks(C, H2_WAIT);
	h2_pool_leave(&A->want, true);
	is_called(B, 1);
	is_called(C, 1);
	seeks(B, H2_DIAL);
	seeks(C, H2_DIAL);
	h2_pool_leave(&B->want, true);
	h2_pool_leave(&C->want, true);
	/* That was about those who had waited. */
	seeks(D, H2_DIAL);
	seeks(E, H2_WAIT);
}

static void
who_dialled_and_went_leaves_its_place_to_the_next(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	seeks(B, H2_WAIT);
	seeks(C, H2_WAIT);
	h2_pool_leave(&A->want, false);
	is_called(B, 1);
	assert_int_equal(C->turns, 0);
	seeks(B, H2_DIAL);
	settle();
	assert_int_equal(C->turns, 0);
}

static void
a_place_without_http2_is_dialled_by_everybody(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	seeks(B, H2_WAIT);
	h2_pool_plain(rig.pool, &A->want);
	is_called(B, 1);
	seeks(B, H2_DIAL);
	seeks(C, H2_DIAL);
	seeks(D, H2_DIAL);
}

static void
who_waits_and_goes_is_not_called(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	seeks(B, H2_WAIT);
	seeks(C, H2_WAIT);
	h2_pool_leave(&B->want, false);
	reaches(A, "192.0.2.1");
	server_takes(A, 100);
	is_called(C, 1);
	assert_int_equal(B->turns, 0);
}

static void
a_request_that_ends_makes_room(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	reaches(A, "192.0.2.1");
	server_takes(A, 2);
	settle();
	seeks(B, H2_JOINED);
	seeks(C, H2_DIAL);
	seeks(D, H2_WAIT);
	stream_close(&B->s, false);
	is_called(D, 1);
	seeks(D, H2_JOINED);
	assert_string_equal(D->addr, "192.0.2.1");
}

static void
a_connection_is_kept_until_its_server_goes(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	reaches(A, "192.0.2.1");
	server_takes(A, 100);
	settle();
	stream_close(&A->s, false);
	settle();
	seeks(B, H2_JOINED); /* it was idle */
	stream_close(&B->s, false);
	(void)close(A->server);
	A->server = -1;
	settle();
	seeks(C, H2_DIAL);
}

static void
what_is_on_a_connection_that_takes_no_more_ends_there(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	reaches(A, "192.0.2.1");
	server_takes(A, 100);
	settle();
	server_takes_no_more(A);
	settle();
	assert_true(stream_is_open(&A->s));
	seeks(B, H2_DIAL);
	reaches(B, "192.0.2.2");
	server_takes(B, 100);
	settle();
	seeks(C, H2_JOINED);
	assert_string_equal(C->addr, "192.0.2.2");
	stream_close(&A->s, false);
	settle();
	seeks(D, H2_JOINED);
	assert_string_equal(D->addr, "192.0.2.2");
}

static void
a_server_that_goes_before_it_settles_calls_who_waits(void **state)
{
	(void)state;
	seeks(A, H2_DIAL);
	seeks(B, H2_WAIT);
	reaches(A, "192.0.2.1");
	(void)close(A->server);
	A->server = -1;
	is_called(B, 1);
	seeks(B, H2_DIAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(others_wait_until_the_server_has_said_how_many_it_takes),
		TEST(as_many_dial_as_the_servers_limit_asks_for),
		TEST(places_share_nothing),
		TEST(after_a_failure_each_dials_for_itself_once),
		TEST(who_dialled_and_went_leaves_its_place_to_the_next),
		TEST(a_place_without_http2_is_dialled_by_everybody),
		TEST(who_waits_and_goes_is_not_called),
		TEST(a_request_that_ends_makes_room),
		TEST(a_connection_is_kept_until_its_server_goes),
		TEST(what_is_on_a_connection_that_takes_no_more_ends_there),
		TEST(a_server_that_goes_before_it_settles_calls_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
