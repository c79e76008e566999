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
#include "sys/fd.h"
#include "sys/loop.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { MS = 1000000 };

/* Time stands still but when the loop waits for it: no test sleeps. */
static int64_t fake_now_ns;
static int calls, fail_at, fail_errno;

int64_t __wrap_clock_mono_ns(void);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
int __wrap_epoll_wait(int ep, struct epoll_event *ev, int max, int ms);
int __real_epoll_create1(int flags);
int __real_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev);
int __real_epoll_wait(int ep, struct epoll_event *ev, int max, int ms);

static bool
fails_now(void)
{
	if (++calls != fail_at)
		return false;
	errno = fail_errno;
	return true;
}

int64_t
__wrap_clock_mono_ns(void)
{
	return fake_now_ns;
}

int
__wrap_epoll_create1(int flags)
{
	return fails_now() ? -1 : __real_epoll_create1(flags);
}

int
__wrap_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	return fails_now() ? -1 : __real_epoll_ctl(ep, op, fd, ev);
}

int
__wrap_epoll_wait(int ep, struct epoll_event *ev, int max, int ms)
{
	int n;

	if (fails_now())
		return -1;
	/* Two seconds stand for ever: a test that waits for nothing fails. */
	n = __real_epoll_wait(ep, ev, max, ms < 0 ? 2000 : 0);
	assert_true(n > 0 || ms >= 0);
	if (n == 0)
		fake_now_ns += (int64_t)ms * MS;
	return n;
}

struct peer {
	struct loop_watch watch;
	struct loop *loop;
	int ready; /* times called */
	uint32_t events; /* of the last call */
	struct peer *victim; /* removed and freed by the first call */
	int stop_after;
};

static int open_fds;

static int
setup(void **state)
{
	struct err e = {};

	fake_now_ns = 1000 * MS;
	calls = fail_at = 0;
	fail_errno = EIO;
	open_fds = dup(0);
	(void)close(open_fds);
	*state = loop_new(&e);
	return *state == NULL;
}

static int
teardown(void **state)
{
	int next;

	loop_free(*state);
	next = dup(0);
	(void)close(next);
	return next != open_fds; /* a descriptor was left behind */
}

static struct peer *
peer_new(struct loop *l, int fd, uint32_t events)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct err e = {};

	assert_non_null(p);
	p->loop = l;
	p->watch.fd = fd;
	p->watch.events = events;
	assert_int_equal(loop_add(l, &p->watch, &e), 0);
	return p;
}

static void
peer_free(struct peer *p)
{
	int fd = loop_remove(p->loop, &p->watch);

	assert_int_equal(p->watch.fd, -1);
	if (fd >= 0)
		assert_int_equal(close(fd), 0);
	memset(p, 0xee, sizeof(*p)); /* a late callback would be seen */
	free(p);
}

static void
on_ready(struct loop_watch *w, uint32_t events)
{
	struct peer *p = LOOP_OF(w, struct peer, watch);

	p->ready++;
	p->events = events;
	if (p->ready == p->stop_after)
		loop_stop(p->loop);
}

static void
on_ready_kill(struct loop_watch *w, uint32_t events)
{
	struct peer *p = LOOP_OF(w, struct peer, watch);

	on_ready(w, events);
	if (p->victim != NULL)
		peer_free(p->victim);
	p->victim = NULL;
	loop_stop(p->loop);
}

static void
on_ready_die(struct loop_watch *w, uint32_t events)
{
	struct peer *p = LOOP_OF(w, struct peer, watch);

	(void)events;
	loop_stop(p->loop);
	peer_free(p);
}

static void
watch_is_told_what_is_ready(void **state)
{
	struct loop *l = *state;
	struct err e = {};
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	struct peer *p = peer_new(l, fd[0], EPOLLIN);

	p->watch.on_ready = on_ready;
	p->stop_after = 1;
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(p->events, EPOLLIN);

	/* Other interest: the byte is still there, but nobody asks for it. */
	assert_int_equal(loop_want(l, &p->watch, EPOLLOUT, &e), 0);
	assert_int_equal(p->watch.events, EPOLLOUT);
	p->stop_after = 2;
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(p->events, EPOLLOUT);

	/* The same interest again costs no call. */
	calls = 0;
	assert_int_equal(loop_want(l, &p->watch, EPOLLOUT, &e), 0);
	assert_int_equal(calls, 0);

	assert_int_equal(close(fd[1]), 0);
	p->stop_after = 3;
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_true(p->events & EPOLLHUP);
	peer_free(p);
}

static void
watch_may_free_itself(void **state)
{
	struct loop *l = *state;
	struct err e = {};
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	struct peer *p = peer_new(l, fd[0], EPOLLIN);

	p->watch.on_ready = on_ready_die;
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(close(fd[1]), 0);
}

/* Both are ready in one batch; whichever is told first frees the other. */
static void
watch_may_free_another_with_a_pending_event(void **state)
{
	struct loop *l = *state;
	struct err e = {};
	struct peer *p[2];
	int fd[2][2];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(fd[i]), 0);
		p[i] = peer_new(l, fd[i][0], EPOLLIN);
		p[i]->watch.on_ready = on_ready_kill;
		assert_int_equal(write(fd[i][1], "x", 1), 1);
	}
	p[0]->victim = p[1];
	p[1]->victim = p[0];
	calls = 0;
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(calls, 2); /* one wait, one removal */

	/* epoll tells in the order of arrival: the first is still here. */
	assert_int_equal(p[0]->ready, 1);
	peer_free(p[0]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(close(fd[i][1]), 0);
}

/* A removed watch's descriptor number and memory serve again at once. */
static void
on_ready_replace(struct loop_watch *w, uint32_t events)
{
	struct peer *p = LOOP_OF(w, struct peer, watch);
	struct err e = {};
	int fd;

	(void)events;
	fd = loop_remove(p->loop, &p->victim->watch);
	assert_true(fd >= 0);
	p->victim->watch.fd = fd;
	p->victim->watch.on_ready = on_ready;
	assert_int_equal(loop_add(p->loop, &p->victim->watch, &e), 0);
	p->ready++;
	assert_int_equal(loop_remove(p->loop, &p->watch), p->stop_after);
}

static void
watch_added_again_gets_only_new_events(void **state)
{
	struct loop *l = *state;
	struct err e = {};
	struct peer *p[2];
	int fd[2][2];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(fd[i]), 0);
		p[i] = peer_new(l, fd[i][0], EPOLLIN);
		assert_int_equal(write(fd[i][1], "x", 1), 1);
	}
	p[0]->watch.on_ready = on_ready_replace;
	p[0]->victim = p[1];
	p[0]->stop_after = fd[0][0]; /* the descriptor to get back */
	p[1]->watch.on_ready = on_ready_replace; /* is never called as this */
	p[1]->stop_after = 1;
	calls = 0;
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(p[0]->ready, 1);
	assert_int_equal(p[1]->ready, 1);
	assert_int_equal(calls, 5); /* wait, remove, add, remove, wait */
	assert_int_equal(loop_remove(l, &p[0]->watch), -1);
	assert_int_equal(close(fd[0][0]), 0);
	for (int i = 0; i < 2; i++) {
		peer_free(p[i]);
		assert_int_equal(close(fd[i][1]), 0);
	}
}

struct alarm {
	struct loop_timer timer;
	struct loop *loop;
	int id;
	struct alarm *clears, *frees;
	int64_t again_ns; /* set once more to this */
	bool stops;
};

static int order[16];
static int64_t order_ns[16];
static size_t order_n;

static void
on_time(struct loop_timer *t)
{
	struct alarm *a = LOOP_OF(t, struct alarm, timer);

	assert_int_equal(t->at_ns, 0);
	assert_true(order_n < COUNT(order));
	order_ns[order_n] = loop_now_ns(a->loop);
	order[order_n++] = a->id;
	if (a->clears != NULL)
		loop_timer_clear(a->loop, &a->clears->timer);
	if (a->frees != NULL) {
		loop_timer_clear(a->loop, &a->frees->timer);
		memset(a->frees, 0xee, sizeof(*a->frees));
		free(a->frees);
		a->frees = NULL;
	}
	if (a->again_ns != 0) {
		loop_timer_set(a->loop, t, a->again_ns);
		a->again_ns = 0;
	}
	if (a->stops)
		loop_stop(a->loop);
}

static void
alarm_init(struct alarm *a, struct loop *l, int id)
{
	*a = (struct alarm){ .loop = l, .id = id };
	a->timer.on_time = on_time;
	order_n = 0;
}

static void
timers_go_off_in_the_order_of_their_time(void **state)
{
	static const int at_ms[] = { 50, 10, 30, 30, 70, 20, 90, 60, 10, 80 };
	static const int want[] = { 1, 8, 5, 2, 3, 0, 7, 4, 9, 6 };
	struct loop *l = *state;
	struct alarm a[COUNT(at_ms)];
	int64_t start = fake_now_ns;
	struct err e = {};

	for (int i = 0; i < (int)COUNT(at_ms); i++) {
		alarm_init(&a[i], l, i);
		loop_timer_set(l, &a[i].timer, start + at_ms[i] * MS);
	}
	a[6].stops = true;
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(order_n, COUNT(want));
	for (size_t i = 0; i < COUNT(want); i++) {
		assert_int_equal(order[i], want[i]);
		assert_int_equal(order_ns[i], start + at_ms[want[i]] * MS);
	}
}

static void
timer_is_never_early_and_moves_when_set_again(void **state)
{
	struct loop *l = *state;
	struct alarm a[3];
	int64_t start = fake_now_ns;
	struct err e = {};

	for (int i = 0; i < 3; i++)
		alarm_init(&a[i], l, i);
	/* A part of a millisecond is waited out. */
	loop_timer_set(l, &a[0].timer, start + 5 * MS + 1);
	/* From the front to the end, and cleared: twice is no harm. */
	loop_timer_set(l, &a[1].timer, start + MS);
	loop_timer_set(l, &a[1].timer, start + 20 * MS);
	a[1].stops = true;
	loop_timer_set(l, &a[2].timer, start + 2 * MS);
	loop_timer_clear(l, &a[2].timer);
	loop_timer_clear(l, &a[2].timer);
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(order_n, 2);
	assert_int_equal(order[0], 0);
	assert_int_equal(order_ns[0], start + 6 * MS);
	assert_int_equal(order[1], 1);
	assert_int_equal(order_ns[1], start + 20 * MS);
}

static void
timer_callback_may_clear_free_and_set(void **state)
{
	struct loop *l = *state;
	struct alarm a[3];
	struct alarm *doomed = malloc(sizeof(*doomed));
	int64_t start = fake_now_ns;
	struct err e = {};

	assert_non_null(doomed);
	for (int i = 0; i < 3; i++) {
		alarm_init(&a[i], l, i);
		loop_timer_set(l, &a[i].timer, start + MS);
	}
	alarm_init(doomed, l, 9);
	loop_timer_set(l, &doomed->timer, start + MS);
	a[0].clears = &a[1]; /* due in the same round */
	a[0].frees = doomed;
	a[0].again_ns = start; /* long past: the next round, not this one */
	a[2].clears = &a[2]; /* itself, after it went off */
	assert_int_equal(a[1].timer.at_ns, start + MS);
	a[2].again_ns = start + 3 * MS;
	assert_int_equal(loop_now_ns(l), start);

	/* The last time a[2] goes off is the end. */
	struct alarm last;

	alarm_init(&last, l, 7);
	last.stops = true;
	loop_timer_set(l, &last.timer, start + 4 * MS);
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(order_n, 5);
	assert_int_equal(order[0], 0);
	assert_int_equal(order[1], 2);
	assert_int_equal(order[2], 0);
	assert_int_equal(order[3], 2);
	assert_int_equal(order_ns[3], start + 3 * MS);
	assert_int_equal(order[4], 7);
}

static void
timer_in_the_past_does_not_starve_descriptors(void **state)
{
	struct loop *l = *state;
	struct alarm a;
	struct err e = {};
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	struct peer *p = peer_new(l, fd[0], EPOLLIN);

	p->watch.on_ready = on_ready;
	p->stop_after = 2;
	assert_int_equal(write(fd[1], "x", 1), 1);
	alarm_init(&a, l, 1);
	a.again_ns = -5; /* taken as long past, not as "not set" */
	loop_timer_set(l, &a.timer, 0);
	assert_int_equal(a.timer.at_ns, 1);
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(p->ready, 2);
	assert_int_equal(order_n, 2);
	assert_int_equal(close(fd[1]), 0);
	peer_free(p);
}

/* The order is that of a plain sort, whatever is set, moved or cleared. */
static void
many_timers_agree_with_a_sort(void **state)
{
	enum { MANY = 300, MOVES = 5000 };
	static struct loop_timer t[MANY];
	struct loop *l = *state;
	uint32_t seed = 1;

	memset(t, 0, sizeof(t));
	for (int i = 0; i < MOVES; i++) {
		int set = 0;

		seed = seed * 1664525 + 1013904223;
		if (seed >> 30 == 0)
			loop_timer_clear(l, &t[(seed >> 8) % MANY]);
		else
			loop_timer_set(
			    l, &t[(seed >> 8) % MANY], 1 + (seed >> 20));
		if (i % 50 != 0)
			continue;
		for (int k = 0; k < MANY; k++) {
			set += t[k].at_ns != 0;
			if (t[k].at_ns == 0 || t[k].after->at_ns == 0)
				continue; /* 0: the loop's own node */
			assert_true(t[k].at_ns <= t[k].after->at_ns);
			assert_ptr_equal(t[k].after->before, &t[k]);
		}
		assert_true(set > 0 || i < 50);
	}
}

static void
count_round(void *arg)
{
	(*(int *)arg)++;
}

static void
round_is_told_once_for_many_events(void **state)
{
	struct loop *l = *state;
	struct err e = {};
	struct peer *p[3];
	int rounds = 0;
	int fd[3][2];

	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe(fd[i]), 0);
		p[i] = peer_new(l, fd[i][0], EPOLLIN);
		p[i]->watch.on_ready = on_ready;
		assert_int_equal(write(fd[i][1], "x", 1), 1);
	}
	p[0]->stop_after = 1; /* the round goes on to its end */
	assert_int_equal(loop_run(l, count_round, &rounds, &e), 0);
	assert_int_equal(rounds, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(p[i]->ready, 1);
		assert_int_equal(close(fd[i][1]), 0);
		peer_free(p[i]);
	}
	/* Stopped before it runs: it does not wait at all. */
	loop_stop(l);
	assert_int_equal(loop_run(l, count_round, &rounds, &e), 0);
	assert_int_equal(rounds, 1);
}

static void
every_failing_call_is_reported(void **state)
{
	struct loop *l = *state;
	struct err e = {};
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	fail_at = 1;
	calls = 0;
	assert_null(loop_new(&e));
	assert_int_equal(e.sys, EIO);

	struct peer p = { .loop = l,
		.watch = {
		    .fd = fd[0], .events = EPOLLIN, .on_ready = on_ready } };

	calls = 0;
	e = (struct err){};
	assert_int_equal(loop_add(l, &p.watch, &e), -1);
	assert_int_equal(e.sys, EIO);
	fail_at = 0;
	assert_int_equal(loop_add(l, &p.watch, &e), 0);

	fail_at = 1;
	calls = 0;
	e = (struct err){};
	assert_int_equal(loop_want(l, &p.watch, EPOLLOUT, &e), -1);
	assert_int_equal(e.sys, EIO);
	assert_int_equal(p.watch.events, EPOLLIN);

	calls = 0;
	e = (struct err){};
	assert_int_equal(loop_run(l, NULL, NULL, &e), -1);
	assert_int_equal(e.sys, EIO);

	/* But an interrupted wait is only a round without events. */
	calls = 0;
	fail_errno = EINTR;
	p.stop_after = 1;
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_run(l, NULL, NULL, &e), 0);
	assert_int_equal(calls, 2);
	assert_int_equal(p.ready, 1);

	assert_int_equal(loop_remove(l, &p.watch), fd[0]);
	assert_int_equal(close(fd[0]), 0);
	assert_int_equal(close(fd[1]), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(watch_is_told_what_is_ready),
		TEST(watch_may_free_itself),
		TEST(watch_may_free_another_with_a_pending_event),
		TEST(watch_added_again_gets_only_new_events),
		TEST(timers_go_off_in_the_order_of_their_time),
		TEST(timer_is_never_early_and_moves_when_set_again),
		TEST(timer_callback_may_clear_free_and_set),
		TEST(timer_in_the_past_does_not_starve_descriptors),
		TEST(many_timers_agree_with_a_sort),
		TEST(round_is_told_once_for_many_events),
		TEST(every_failing_call_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
