/*
 * sys/loop.h: the event loop of a role: epoll, timers, and nothing else.
 *
 * Single-threaded. Watches and timers live in the caller's structs, so adding
 * one cannot fail for want of memory. A callback may remove any watch or
 * timer, its own included, and may free the struct that holds it.
 */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;

struct loop_watch {
	int fd; /* borrowed; -1 when not watched */
	uint32_t events; /* EPOLLIN, EPOLLOUT */
	/* events holds what is ready, EPOLLHUP and EPOLLERR included. */
	void (*on_ready)(struct loop_watch *w, uint32_t events);
};

struct loop_timer {
	int64_t at_ns; /* monotonic; 0 when not set */
	struct loop_timer *before, *after; /* the loop's */
	void (*on_time)(struct loop_timer *t);
};

/* The struct that holds a watch or a timer: LOOP_OF(w, struct conn, watch). */
#define LOOP_OF(p, type, member) \
	((type *)(void *)((char *)(p) - __builtin_offsetof(type, member)))

/* NULL with e filled in. */
struct loop *loop_new(struct err *e);
void loop_free(struct loop *l);

/* w->fd, w->events and w->on_ready are set by the caller. 0, or -1. */
int loop_add(struct loop *l, struct loop_watch *w, struct err *e);
/*
 * Changes what is waited for. Nothing happens when it is the same. EPOLLHUP
 * and EPOLLERR come even with 0: who wants no event at all removes the watch.
 */
int loop_want(
    struct loop *l, struct loop_watch *w, uint32_t events, struct err *e);
/*
 * Forgets w and sets w->fd to -1, returning the descriptor that it was, still
 * open, for the caller to close. -1 when w was not watched.
 */
int loop_remove(struct loop *l, struct loop_watch *w);

/*
 * (Re)sets the timer to go off once, at_ns on the monotonic clock or up to a
 * millisecond later. A timer set to now by its own callback goes off in the
 * next round. Timers of one time go off in the order in which they were set.
 */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_ns);
void loop_timer_clear(struct loop *l, struct loop_timer *t);

/*
 * Runs until loop_stop, and then to the end of the round. After each round of
 * events on_round (may be NULL) is called: the place for work that is done once
 * for many events. -1 when epoll fails.
 */
int loop_run(
    struct loop *l, void (*on_round)(void *arg), void *arg, struct err *e);
void loop_stop(struct loop *l);
/* The monotonic time of the current round. */
int64_t loop_now_ns(const struct loop *l);

#endif
