#include "sys/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "sys/fd.h"

enum {
	/* Events taken from the kernel at once. More would only make timers
	 * and on_round wait longer. */
	BATCH_EVENTS = 64,
};

#define NS_PER_MS 1000000

/*
 * Timers are a ring in the order of their time, with the loop's own node as
 * its start. A role has some 2000 of them in two or three lengths: the short
 * ones belong near the front and the long ones near the end, so a place is
 * looked for from both ends and is found after a few steps. A heap would need
 * memory, or a third pointer in every timer, to be faster in no case we have.
 */
struct loop {
	int epoll;
	bool stopping;
	int64_t now_ns;
	struct loop_timer timers; /* start of the ring */
	struct loop_timer due; /* start of the ring of this round */
	struct epoll_event batch[BATCH_EVENTS];
	int batch_at; /* the next event to tell of */
	int batch_n;
};

static int events_take(struct loop *l, struct err *e);
static int wait_ms(const struct loop *l);
static void timers_run(struct loop *l);
static void ring_init(struct loop_timer *ring);
static void ring_put(struct loop_timer *before, struct loop_timer *t);
static void ring_take(struct loop_timer *t);

struct loop *
loop_new(struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		(void)err_sys(e, "event loop");
		return NULL;
	}
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		(void)err_sys(e, "epoll_create1");
		free(l);
		return NULL;
	}
	l->now_ns = clock_mono_ns();
	ring_init(&l->timers);
	ring_init(&l->due);
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	fd_fini(&l->epoll);
	free(l);
}

int
loop_add(struct loop *l, struct loop_watch *w, struct err *e)
{
	struct epoll_event ev = { .events = w->events, .data.ptr = w };

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &ev) < 0)
		return err_sys(e, "epoll_ctl add %d", w->fd);
	return 0;
}

int
loop_want(struct loop *l, struct loop_watch *w, uint32_t events, struct err *e)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (events == w->events)
		return 0;
	if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return err_sys(e, "epoll_ctl change %d", w->fd);
	w->events = events;
	return 0;
}

int
loop_remove(struct loop *l, struct loop_watch *w)
{
	int fd = w->fd;

	if (fd < 0)
		return -1;

	/* Closing would not do: a copy of the descriptor in another process
	 * keeps it in the set. epoll(7). It fails only for one closed early. */
	must(epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL) == 0);
	w->fd = -1;

	/* The rest of the batch may still speak of w, which may be gone. */
	for (int i = l->batch_at; i < l->batch_n; i++) {
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
	}
	return fd;
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_ns)
{
	struct loop_timer *front, *back;

	loop_timer_clear(l, t);
	front = l->timers.after;
	back = l->timers.before;
	t->at_ns = at_ns > 0 ? at_ns : 1; /* 0 says "not set" */

	/* Among equals the one set first goes off first. */
	while (front != &l->timers && back != &l->timers) {
		if (back->at_ns <= t->at_ns) {
			ring_put(back->after, t);
			return;
		}
		if (front->at_ns > t->at_ns) {
			ring_put(front, t);
			return;
		}
		front = front->after;
		back = back->before;
	}
	ring_put(&l->timers, t); /* the only one */
}

void
loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	(void)l; /* a ring can be left without knowing which it is */
	if (t->at_ns != 0)
		ring_take(t);
}

int
loop_run(struct loop *l, void (*on_round)(void *arg), void *arg, struct err *e)
{
	while (!l->stopping) {
		if (events_take(l, e) < 0)
			return -1;
		while (l->batch_at < l->batch_n) {
			const struct epoll_event *ev = &l->batch[l->batch_at++];
			struct loop_watch *w = ev->data.ptr;

			if (w != NULL)
				w->on_ready(w, ev->events);
		}
		timers_run(l);
		if (on_round != NULL)
			on_round(arg);
	}
	l->stopping = false;
	return 0;
}

void
loop_stop(struct loop *l)
{
	l->stopping = true;
}

int64_t
loop_now_ns(const struct loop *l)
{
	return l->now_ns;
}

static int
events_take(struct loop *l, struct err *e)
{
	int n = epoll_wait(l->epoll, l->batch, BATCH_EVENTS, wait_ms(l));

	l->batch_at = 0;
	l->batch_n = n > 0 ? n : 0;
	/* A debugger or SIGCONT interrupts it; nothing has happened then. */
	if (n < 0 && errno != EINTR)
		return err_sys(e, "epoll_wait");
	l->now_ns = clock_mono_ns();
	return 0;
}

/* Until the first timer, in whole milliseconds and never too early. */
static int
wait_ms(const struct loop *l)
{
	const struct loop_timer *first = l->timers.after;
	int64_t left_ns;

	if (first == &l->timers)
		return -1;
	/* Callbacks took time since the round began. */
	left_ns = first->at_ns - clock_mono_ns();
	if (left_ns <= 0)
		return 0;
	if (left_ns / NS_PER_MS >= INT_MAX)
		return INT_MAX;
	return (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}

/*
 * Only what is due when it starts: a callback that sets its timer to now gets
 * the next round, so that it cannot keep the loop from its descriptors.
 */
static void
timers_run(struct loop *l)
{
	struct loop_timer *t;

	while ((t = l->timers.after) != &l->timers && t->at_ns <= l->now_ns) {
		int64_t at_ns = t->at_ns;

		ring_take(t);
		t->at_ns = at_ns;
		ring_put(&l->due, t);
	}
	while ((t = l->due.after) != &l->due) {
		ring_take(t);
		t->on_time(t);
	}
}

static void
ring_init(struct loop_timer *ring)
{
	ring->before = ring->after = ring;
}

static void
ring_put(struct loop_timer *before, struct loop_timer *t)
{
	t->after = before;
	t->before = before->before;
	t->before->after = t;
	before->before = t;
}

/* t is not set any more. */
static void
ring_take(struct loop_timer *t)
{
	t->before->after = t->after;
	t->after->before = t->before;
	t->before = t->after = NULL;
	t->at_ns = 0;
}
