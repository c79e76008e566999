/*
 * proxy/h2_int.h: what both ends of HTTP/2 share.
 */
#ifndef PROXY_H2_INT_H
#define PROXY_H2_INT_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/limits.h"
#include "codec/http1.h"
#include "proxy/h2.h"

/* A session of nghttp2 and the stream that it is spoken on. */
struct h2_wire {
	nghttp2_session *session;
	struct stream *stream;
	const struct stream_ops *below;
	struct buf out; /* made, and not yet taken by the stream */
	bool ended; /* the other end has, or it has broken the protocol */
};

/* Reads, tells the session, and writes what it has to say. */
void h2_wire_pump(struct h2_wire *w);
void h2_wire_send(struct h2_wire *w);
void h2_wire_fini(struct h2_wire *w);
/* Memory that is wiped when it is given back: heads hold secrets. */
nghttp2_mem *h2_memory(void);
/* What both ends want of a session. NULL when there is no memory. */
nghttp2_option *h2_option(void);
/* Sends our SETTINGS. */
int h2_settings(nghttp2_session *s, struct err *e);

/*
 * A connection to a server, with the requests on it (h2_dial.c). Without an
 * owner it ends with the last of them.
 */
struct h2_link;

struct h2_link_ops {
	/* Requests have come or gone, or the server has said how many it
	 * takes. May free the link. */
	void (*changed)(void *owner);
	/* It is over, and has no requests any more: to be freed. */
	void (*over)(void *owner);
};

/* Moves the open stream s into it. NULL: s may be closed. */
struct h2_link *h2_link_new(struct stream *s, struct err *e);
void h2_link_own(struct h2_link *l, const struct h2_link_ops *ops, void *owner);
/* s, closed and with on_ready set, becomes the end of one more request. */
void h2_link_open(struct h2_link *l, struct stream *s);
/* Requests that are on it hear that they were cut off. */
void h2_link_free(struct h2_link *l, bool hard);
bool h2_link_is_settled(const struct h2_link *l); /* SETTINGS have come */
uint32_t h2_link_streams(const struct h2_link *l);
uint32_t h2_link_limit(const struct h2_link *l); /* 0: it takes no more */

/* A head as it comes, field by field. */
struct h2_head {
	struct buf fields; /* lines of HTTP/1.1 */
	struct buf method, path, authority, cookie;
	uint32_t n;
	uint16_t status;
	bool has_length;
	uint64_t length;
	bool bad;
};

void h2_head_add(struct h2_head *h, struct str name, struct str value);
void h2_head_reset(struct h2_head *h);
void h2_head_fini(struct h2_head *h);

/*
 * Appends the fields of h to nv, in lower case, without those that belong to a
 * connection. h points into b, which is changed. Returns how many nv holds.
 */
size_t h2_fields(const struct http1_head *h, struct buf *b, nghttp2_nv *nv,
    size_t n, uint8_t flags);
nghttp2_nv h2_nv(struct str name, struct str value, uint8_t flags);

enum { H2_FIELDS_MAX = HTTP_MAX_FIELDS + 8 };

#endif
