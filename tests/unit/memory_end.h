/*
 * The far ends of streams, in memory only: what each says comes in pieces, one
 * when it is its turn, and what it hears is kept. No descriptor, no waiting:
 * for fuzzers, and for tests that have thousands of connections.
 */
#ifndef MEMORY_END_H
#define MEMORY_END_H

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/must.h"
#include "proxy/stream.h"

struct memory_end {
	struct memory_end *next;
	struct stream *near; /* whose far end it is; NULL: it is closed */
	struct str to_say;
	size_t piece; /* the most that is said at once */
	bool turn; /* a piece may be read */
	bool stays; /* it does not close when it has said all */
	struct buf *heard; /* NULL: nobody listens */
};

static struct memory_end *memory_ends; /* that are open */

static inline struct memory_end *
memory_end_of(const struct stream *s)
{
	struct memory_end *x = memory_ends;

	while (x != NULL && x->near != s)
		x = x->next;
	must(x != NULL);
	return x;
}

static inline ssize_t
memory_read(struct stream *s, void *p, size_t n)
{
	struct memory_end *x = memory_end_of(s);

	if (x->to_say.n == 0 && !x->stays)
		return 0;
	if (x->to_say.n == 0 || !x->turn) {
		errno = EAGAIN;
		return -1;
	}
	x->turn = false;
	n = n < x->to_say.n ? n : x->to_say.n;
	n = n < x->piece ? n : x->piece;
	memcpy(p, x->to_say.p, n);
	x->to_say.p += n;
	x->to_say.n -= n;
	return (ssize_t)n;
}

static inline ssize_t
memory_write(struct stream *s, const void *p, size_t n)
{
	struct memory_end *x = memory_end_of(s);

	if (x->heard != NULL)
		buf_add(x->heard, p, n);
	return (ssize_t)n;
}

static inline void
memory_want(struct stream *s, uint32_t events)
{
	(void)s;
	(void)events;
}

static inline void
memory_ended(struct stream *s)
{
	(void)s;
}

static inline void
memory_close(struct stream *s, bool hard)
{
	struct memory_end *x = memory_end_of(s), **at = &memory_ends;

	(void)hard;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	x->near = NULL;
	s->ops = NULL;
}

static inline int
memory_move(struct stream *s, struct stream *to, struct err *e)
{
	struct memory_end *x = memory_end_of(s);

	(void)e;
	to->ops = s->ops;
	to->loop = s->loop;
	s->ops = NULL;
	x->near = to;
	return 0;
}

/* s becomes an open stream whose far end this is. */
static inline void
memory_end_open(struct memory_end *x, struct stream *s, struct loop *loop)
{
	static const struct stream_ops ops = {
		.read = memory_read,
		.write = memory_write,
		.want = memory_want,
		.end = memory_ended,
		.close = memory_close,
		.move = memory_move,
	};

	s->loop = loop;
	s->ops = &ops;
	x->near = s;
	x->next = memory_ends;
	memory_ends = x;
}

#endif
