/*
 * Plain streams, and two of them as a relay: the ends that are ours are over
 * TCP, so that a reset is one.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/proxy.h"
#include "sys/fd.h"

#define NS_PER_MS 1000000LL

enum { LIMIT_MS = 5000, LARGE = 3 * 1024 * 1024 };

/* The far end of one side of the relay. */
struct end {
	struct loop_watch watch;
	struct buf heard;
	size_t to_say; /* bytes of a known pattern */
	size_t said;
	bool ends; /* when all is said */
	bool ended, cut; /* the relay has; with a reset */
};

static struct rig {
	struct loop *loop;
	struct proxy *proxy;
	struct proxy_door door;
	struct flow *flow;
	struct end client, server;
	struct loop_timer limit;
	bool (*until)(void);
	int n_ready;
	uint32_t ready;
} rig;

static char
pattern(size_t i)
{
	return (char)(i * 7 + i / 251);
}

static void
on_limit(struct loop_timer *t)
{
	(void)t;
	fail_msg("nothing moves: client heard %zu, server heard %zu",
	    rig.client.heard.n, rig.server.heard.n);
}

static void
on_end(struct loop_watch *w, uint32_t events)
{
	struct end *x = LOOP_OF(w, struct end, watch);
	char bytes[16384];
	ssize_t n;

	(void)events;
	while (x->said < x->to_say) {
		size_t most = x->to_say - x->said;

		if (most > sizeof(bytes))
			most = sizeof(bytes);
		for (size_t i = 0; i < most; i++)
			bytes[i] = pattern(x->said + i);
		n = send(w->fd, bytes, most, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		x->said += (size_t)n;
	}
	if (x->said == x->to_say && x->ends) {
		x->ends = false;
		(void)shutdown(w->fd, SHUT_WR);
	}
	errno = 0;
	while ((n = recv(w->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		buf_add(&x->heard, bytes, (size_t)n);
	if (n == 0 || errno != EAGAIN) {
		x->cut |= n < 0;
		x->ended = true;
	}
	(void)loop_want(rig.loop, w,
	    EPOLLET | EPOLLIN | (x->said < x->to_say ? EPOLLOUT : 0),
	    &(struct err){});
}

static void
tcp_pair(int out[static 2])
{
	own_fd int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t n = sizeof(at);

	assert_int_equal(bind(listener, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
	out[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(out[0], (struct sockaddr *)&at, n), 0);
	out[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(out[1] >= 0);
}

static int
end_open(struct end *x)
{
	struct err e = {};
	int pair[2];

	tcp_pair(pair);
	x->watch = (struct loop_watch){
		.fd = pair[0],
		.events = EPOLLIN,
		.on_ready = on_end,
	};
	x->heard.max = 2 * (size_t)LARGE;
	assert_int_equal(loop_add(rig.loop, &x->watch, &e), 0);
	return pair[1];
}

static void
end_close(struct end *x)
{
	int fd = loop_remove(rig.loop, &x->watch);

	fd_fini(&fd);
	buf_fini(&x->heard);
}

static void
on_ready(struct stream *s, uint32_t events)
{
	(void)s;
	rig.n_ready++;
	rig.ready |= events;
}

static int
start(void **state)
{
	struct err e = {};
	struct proxy *p = calloc(1, sizeof(*p));
	struct flow *f = calloc(1, sizeof(*f));
	int fd;

	(void)state;
	assert_non_null(p);
	assert_non_null(f);
	rig = (struct rig){ .proxy = p, .flow = f };
	rig.loop = p->loop = loop_new(&e);
	rig.limit.on_time = on_limit;
	rig.door.proxy = p;
	rig.door.flows = f;
	rig.door.n_flows = 1;
	p->flows[0] = f;
	f->proxy = p;
	f->door = &rig.door;
	f->up.pipe[0] = f->up.pipe[1] = -1;
	f->down.pipe[0] = f->down.pipe[1] = -1;
	f->verdict.max_body = UINT64_MAX;
	f->client.on_ready = f->server.on_ready = on_ready;
	fd = end_open(&rig.client);
	assert_int_equal(stream_open_take(&f->client, rig.loop, fd, &e), 0);
	fd = end_open(&rig.server);
	assert_int_equal(stream_open_take(&f->server, rig.loop, fd, &e), 0);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	if (rig.proxy->flows[0] != NULL)
		flow_close(rig.flow, false, NULL);
	flow_reap(rig.proxy);
	relay_pipes_free(rig.proxy);
	end_close(&rig.client);
	end_close(&rig.server);
	loop_free(rig.loop);
	free(rig.proxy);
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

static bool
over(void)
{
	return rig.proxy->flows[0] == NULL;
}

static bool
over_and_heard(void)
{
	return over() && rig.client.ended && rig.server.ended;
}

static bool
server_has_some(void)
{
	return rig.server.heard.n > 0;
}

static bool
server_ended(void)
{
	return rig.server.ended;
}

static bool
all_said(void)
{
	return rig.server.heard.n == rig.client.to_say &&
	    rig.client.heard.n == rig.server.to_say;
}

static bool
was_ready(void)
{
	return rig.n_ready > 0;
}

static void
heard_is(const struct end *x, size_t n)
{
	assert_int_equal(x->heard.n, n);
	for (size_t i = 0; i < n; i++) {
		if (x->heard.p[i] != pattern(i))
			fail_msg("byte %zu is another", i);
	}
}

static void
says(struct end *x, size_t n, bool ends)
{
	x->to_say = n;
	x->ends = ends;
	on_end(&x->watch, 0);
}

static void
bytes_pass_both_ways_whole_and_the_end_after_them(void **state)
{
	(void)state;
	says(&rig.client, LARGE, true);
	says(&rig.server, LARGE + 1, true);
	relay_start(rig.flow);
	wait_for(over_and_heard);
	heard_is(&rig.server, LARGE);
	heard_is(&rig.client, LARGE + 1);
	assert_false(rig.client.cut);
	assert_false(rig.server.cut);
	assert_int_equal(rig.flow->sent, LARGE);
	assert_int_equal(rig.flow->received, LARGE + 1);
}

static void
one_that_has_said_all_still_hears(void **state)
{
	(void)state;
	relay_start(rig.flow);
	says(&rig.client, 3, true);
	wait_for(server_ended);
	assert_false(over());
	says(&rig.server, LARGE, true);
	wait_for(over_and_heard);
	heard_is(&rig.client, LARGE);
	assert_false(rig.client.cut);
}

static void
idle_connection_holds_no_pipe(void **state)
{
	(void)state;
	relay_start(rig.flow);
	says(&rig.client, 1000, false);
	says(&rig.server, 1000, false);
	wait_for(all_said);
	assert_int_equal(rig.flow->up.pipe[0], -1);
	assert_int_equal(rig.flow->down.pipe[0], -1);
	assert_true(rig.proxy->n_pipes >= 1);
}

static void
as_much_as_is_allowed_may_be_said_and_answered(void **state)
{
	(void)state;
	rig.flow->verdict.max_body = 1000;
	relay_start(rig.flow);
	says(&rig.client, 1000, true);
	wait_for(server_ended);
	assert_false(rig.server.cut);
	says(&rig.server, 5000, true);
	wait_for(over_and_heard);
	heard_is(&rig.server, 1000);
	heard_is(&rig.client, 5000);
	assert_false(rig.client.cut);
}

static void
one_byte_more_ends_it_with_a_reset_and_does_not_pass(void **state)
{
	(void)state;
	rig.flow->verdict.max_body = 1000;
	relay_start(rig.flow);
	says(&rig.client, 1001, false);
	wait_for(over_and_heard);
	assert_true(rig.server.heard.n <= 1000);
	assert_true(rig.client.cut);
	assert_true(rig.server.cut);
}

static void
reset_of_one_end_is_a_reset_at_the_other(void **state)
{
	static const struct linger at_once = { .l_onoff = 1 };
	int fd;

	(void)state;
	relay_start(rig.flow);
	says(&rig.client, 10, false);
	wait_for(server_has_some);
	fd = loop_remove(rig.loop, &rig.client.watch);
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
	    0);
	fd_fini(&fd);
	rig.client.watch.fd = -1;
	wait_for(server_ended);
	assert_true(rig.server.cut);
	assert_true(over());
}

static void
speed_is_held_to_what_was_allowed(void **state)
{
	int64_t from = clock_mono_ns();

	(void)state;
	/* A tenth of a second's share is 10,000; one call moves more. */
	rig.flow->verdict.bytes_per_s = 100 * 1000;
	relay_start(rig.flow);
	for (int i = 0; i < 4; i++) {
		says(&rig.client, rig.client.to_say + 11000, i == 3);
		rig.server.to_say = 0;
		wait_for(all_said);
	}
	assert_true(clock_mono_ns() - from >= 250 * NS_PER_MS);
	assert_false(rig.server.cut);
}

static void
a_plain_stream_reads_writes_and_waits(void **state)
{
	struct stream *s = &rig.flow->client;
	char bytes[8];

	(void)state;
	errno = 0;
	assert_int_equal(stream_read(s, bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EAGAIN);
	says(&rig.client, 3, false);
	stream_want(s, EPOLLIN);
	wait_for(was_ready);
	assert_int_equal(rig.ready, EPOLLIN);
	assert_int_equal(stream_read(s, bytes, sizeof(bytes)), 3);
	assert_int_equal(stream_write(s, "yes", 3), 3);
	stream_end(s);
	stream_want(s, 0);
	rig.until = NULL;
	while (!rig.client.ended)
		on_end(&rig.client.watch, 0);
	assert_int_equal(rig.client.heard.n, 3);
	assert_false(rig.client.cut);
	assert_true(stream_is_open(s));
}

static void
a_hard_close_is_a_reset_and_a_soft_one_an_end(void **state)
{
	(void)state;
	stream_close(&rig.flow->client, true);
	stream_close(&rig.flow->server, false);
	while (!rig.client.ended || !rig.server.ended) {
		on_end(&rig.client.watch, 0);
		on_end(&rig.server.watch, 0);
	}
	assert_true(rig.client.cut);
	assert_false(rig.server.cut);
	assert_false(stream_is_open(&rig.flow->client));
	/* Again is nothing. */
	stream_close(&rig.flow->client, true);
	stream_want(&rig.flow->client, EPOLLIN);
	stream_end(&rig.flow->client);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_pass_both_ways_whole_and_the_end_after_them),
		TEST(one_that_has_said_all_still_hears),
		TEST(idle_connection_holds_no_pipe),
		TEST(as_much_as_is_allowed_may_be_said_and_answered),
		TEST(one_byte_more_ends_it_with_a_reset_and_does_not_pass),
		TEST(reset_of_one_end_is_a_reset_at_the_other),
		TEST(speed_is_held_to_what_was_allowed),
		TEST(a_plain_stream_reads_writes_and_waits),
		TEST(a_hard_close_is_a_reset_and_a_soft_one_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
