/*
 * proxy/h2.h: HTTP/2 on a TLS stream, by nghttp2, as HTTP/1.1 to those who use
 * it.
 *
 * Each request that a client sends by HTTP/2 is written as one of HTTP/1.1, to
 * be read, judged and forwarded as all others are (proxy/forward.h); its
 * answer is written back as HTTP/2, trailers included. Likewise a server that
 * speaks HTTP/2 is spoken to by what looks like a connection of HTTP/1.1. So
 * there is one place that judges, and one parser in front of it.
 */
#ifndef PROXY_H2_H
#define PROXY_H2_H

#include "base/err.h"
#include "base/hash.h"
#include "proxy/stream.h"

/* A client's connection: many requests, each in a lane. */
struct h2_serve;
/* Requests one after the other, as on a connection of HTTP/1.1. */
struct h2_lane;

struct h2_serve_ops {
	/*
	 * One more lane is needed. The owner gives it a stream with
	 * h2_lane_open and reads requests from that; or it does not, and the
	 * request is refused.
	 */
	void (*lane)(void *owner, struct h2_lane *lane);
	/* The connection is over: its stream and all lanes are closed. The
	 * h2_serve is still to be freed, in this call or later. */
	void (*closed)(void *owner);
};

/*
 * s: an open TLS stream whose ends chose HTTP/2 (tls_chose_h2). It stays the
 * owner's memory; its on_ready is ours from now on.
 */
struct h2_serve *h2_serve_new(struct stream *s, const struct h2_serve_ops *ops,
    void *owner, struct err *e);
/* Closes the connection and the ends of all lanes; without `closed`. Lanes
 * that have a stream hear of it by a read that gives 0. */
void h2_serve_free(struct h2_serve *h); /* may be NULL */

/* Opens s, which is closed and has on_ready set, as the lane's other end. */
void h2_lane_open(struct h2_lane *lane, struct stream *s);

/*
 * Makes an open TLS stream that chose HTTP/2 one on which HTTP/1.1 is spoken,
 * one request at a time. 0, or -1 and the stream may be closed.
 */
int h2_dial(struct stream *s, struct err *e);

/*
 * Connections to servers that requests share: those of one run, to the same
 * place. What a place is the caller says by a digest: all that a connection
 * depends on, and every rule that is about it, goes into that.
 */
struct h2_pool;

/* Of one who needs a connection, zeroed but for on_turn. */
struct h2_want {
	struct hash key;
	void (*on_turn)(struct h2_want *w); /* to seek again */
	/* The pool's. */
	struct h2_place *place;
	struct h2_want *next;
	bool leads, called, alone;
};

enum h2_turn {
	H2_JOINED, /* s is open */
	H2_DIAL, /* then h2_pool_add, h2_pool_plain or h2_pool_leave */
	H2_WAIT, /* for on_turn, or until h2_pool_leave */
};

struct h2_pool *h2_pool_new(struct loop *loop);
/* May be NULL. Nobody waits, or has an end of what it holds. */
void h2_pool_free(struct h2_pool *p);
/* s is closed, with on_ready set. addr has room for ADDR_TEXT_BYTES, and gets
 * where the connection leads. */
enum h2_turn h2_pool_seek(
    struct h2_pool *p, struct h2_want *w, struct stream *s, char *addr);
/* The open stream s, by TLS that chose HTTP/2, is shared from now on, and the
 * first request's end of it. -1: s may be closed. */
int h2_pool_add(struct h2_pool *p, struct h2_want *w, struct stream *s,
    const char *addr, struct err *e);
/* The place speaks no HTTP/2. */
void h2_pool_plain(struct h2_pool *p, struct h2_want *w);
/* Wants nothing any more; failed: its dialling did. Nothing when it does not
 * wait or dial. */
void h2_pool_leave(struct h2_want *w, bool failed);

#endif
