/*
 * proxy/stream.h: one end of a connection, as bytes that come and go without
 * waiting.
 *
 * A plain one is a socket (stream_open_take below). TLS is another set of
 * operations over the same socket. The owner embeds it, sets on_ready, says
 * with stream_want what it waits for, and is called from the loop; a callback
 * may close any stream, its own included. Who relays two plain ones may use
 * their descriptors and splice(2).
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "sys/loop.h"

struct stream;

struct stream_ops {
	/* As recv(2) and send(2): -1 with errno EAGAIN when it has to wait. */
	ssize_t (*read)(struct stream *s, void *p, size_t n);
	ssize_t (*write)(struct stream *s, const void *p, size_t n);
	/* EPOLLIN, EPOLLOUT, EPOLLRDHUP: what on_ready is to tell. */
	void (*want)(struct stream *s, uint32_t events);
	/* Nothing more will be written; what was is delivered. */
	void (*end)(struct stream *s);
	/* hard: with a reset, so that the peer cannot take it for an end. */
	void (*close)(struct stream *s, bool hard);
	/* `to`, closed and with on_ready set, takes its place; s is closed. -1:
	 * both are, and the socket, too. */
	int (*move)(struct stream *s, struct stream *to, struct err *e);
};

struct stream {
	const struct stream_ops *ops; /* NULL: closed */
	struct loop *loop;
	struct loop_watch watch; /* its socket */
	/* EPOLLERR and EPOLLHUP are told, too. With TLS what is told is what
	 * the socket has: both ways are tried. */
	void (*on_ready)(struct stream *s, uint32_t events);
	void *tls; /* for other operations than the plain ones */
	void *h2; /* likewise; they use those of TLS */
};

/* Takes a connected, non-blocking socket. -1: it is closed. */
int stream_open_take(
    struct stream *s, struct loop *loop, int fd, struct err *e);

static inline bool
stream_is_open(const struct stream *s)
{
	return s->ops != NULL;
}

static inline ssize_t
stream_read(struct stream *s, void *p, size_t n)
{
	return s->ops->read(s, p, n);
}

static inline ssize_t
stream_write(struct stream *s, const void *p, size_t n)
{
	return s->ops->write(s, p, n);
}

static inline void
stream_want(struct stream *s, uint32_t events)
{
	if (s->ops != NULL)
		s->ops->want(s, events);
}

static inline void
stream_end(struct stream *s)
{
	if (s->ops != NULL)
		s->ops->end(s);
}

static inline void
stream_close(struct stream *s, bool hard)
{
	if (s->ops != NULL)
		s->ops->close(s, hard);
}

#endif
