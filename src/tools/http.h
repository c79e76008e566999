/*
 * tools/http.h: the way to a tool server over HTTP: one POST for each message,
 * whose answer is one message, or a stream of events that ends with it.
 *
 *     http_post -> on_message ... (more of the stream) -> on_message, the
 * answer
 *               -> on_fail: there is none, and will be none
 *
 * A connection is one end of a pair of sockets; the other goes to the proxy,
 * which knows where it leads. What is sent is sent once: a connection that
 * breaks is never tried again, as nobody knows how far it came. A stream of
 * the older eras that breaks off is taken up where it was (GET with
 * Last-Event-ID), which sends nothing a second time.
 *
 * Nothing is followed, unpacked or guessed: a redirect, a content coding and an
 * answer of another type are errors. Who answers more than the limits is cut
 * off.
 */
#ifndef TOOLS_HTTP_H
#define TOOLS_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/http1.h"
#include "codec/sse.h"
#include "sys/loop.h"

struct exchange;

/* Why a request has no answer. */
struct http_fault {
	uint16_t status; /* of HTTP; 0: no answer of HTTP either */
	const char *code; /* "answer_too_large", ... as a call's end has it */
	struct str why;
};

struct http_answer {
	uint16_t status;
	struct str type; /* Content-Type, without what stands behind it */
	uint64_t retry_after_s; /* 0: it says none */
	struct str body;
};

struct http {
	struct loop *loop;
	struct buf host, path; /* of every request */
	struct buf session; /* Mcp-Session-Id, or "" */
	bool takes_session; /* the next answer's is ours */
	struct exchange *exchanges; /* oldest first */
	struct exchange *gate; /* until it is over others wait, or NULL */
	size_t n_open; /* that have a connection */
	int kept[SERVER_LINES_KEPT]; /* connections without one; the first */
	size_t n_kept;
	struct loop_timer sweep; /* what has ended is freed */
	bool closed;

	void (*on_line)(struct http *h, int fd); /* for the proxy; take it */
	/* A message of the server's; it may close h. */
	void (*on_message)(struct http *h, struct str json);
	/* Of http_ask: whatever its status is, whole; borrowed. */
	void (*on_answer)(
	    struct http *h, uint64_t id, const struct http_answer *a);
	void (*on_fail)(
	    struct http *h, uint64_t id, const struct http_fault *f);
	/* The session that there was is over. Behind it nothing works. */
	void (*on_session_end)(struct http *h);
};

/* The callbacks, loop, host and path are set. */
void http_init(struct http *h);
/* Safe in every callback; nothing is told any more. */
void http_close(struct http *h);
void http_fini(struct http *h);

/*
 * A message. id: of a request, which is answered once by on_message or
 * on_fail; 0: no answer is wanted. fields: lines of the head, each with its
 * end.
 */
void http_post(
    struct http *h, uint64_t id, struct str fields, struct str message);
/*
 * Likewise, without an answer; what is sent behind it waits until the server
 * has taken it. Connections have no order among each other.
 */
void http_post_first(struct http *h, struct str fields, struct str message);
/*
 * Any other request, answered once by on_answer or on_fail. fields: lines of
 * the head but for Host and Content-Length.
 */
void http_ask(struct http *h, uint64_t id, struct str method, struct str target,
    struct str fields, struct str body);
/* A stream of what the server has to say by itself, if it has one. */
void http_listen(struct http *h, struct str fields);
/* The request has its answer, or nobody wants one: its stream may end. */
void http_done(struct http *h, uint64_t id);
/* Nobody wants it, and the server is to notice: its stream is cut. */
void http_cut(struct http *h, uint64_t id);

#endif
