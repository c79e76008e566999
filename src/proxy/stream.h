/*
 * proxy/stream.h: one non-blocking stream of bytes, plain or within TLS.
 *
 * Its owner says what it waits for (stream_want) and is called (on_ready) when
 * trying again may help: on_ready tells nothing else, so the owner reads until
 * EAGAIN, or until it has enough and waits for room. With TLS a read may have
 * to write and a write to read; that is the stream's own affair.
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "sys/loop.h"

struct stream_tls; /* proxy/tls.h */

struct stream {
	struct loop *loop;
	struct loop_watch watch; /* fd -1: not open */
	struct loop_timer again; /* bytes wait that no descriptor tells of */
	struct stream_tls *tls; /* NULL: plain */
	bool wants_in, wants_out;
	bool shut; /* nothing more will be written */
	void (*on_ready)(struct stream *s);
};

/* loop and on_ready are set by the caller. */
void stream_init(struct stream *s);
/* Takes a connected, or connecting, socket over. */
int stream_open_take(struct stream *s, int fd, struct err *e);
/* Closes it; TLS says so to the other end if it can without waiting. */
void stream_close(struct stream *s);
bool stream_is_open(const struct stream *s);

/*
 * As recv(2) and send(2) without waiting: 0 from a read is the orderly end,
 * -1 sets errno, EAGAIN when there is nothing to do now. The end of a TLS
 * stream without its close_notify is ECONNRESET: it may have been cut.
 */
ssize_t stream_read(struct stream *s, void *p, size_t n);
ssize_t stream_write(struct stream *s, const void *p, size_t n);
/* Nothing more will be written; what was is still sent. */
void stream_shut(struct stream *s);

/* What the owner waits for. Neither: only the end of both ways is heard. */
void stream_want(struct stream *s, bool in, bool out);

#endif
