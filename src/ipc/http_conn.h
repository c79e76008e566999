/*
 * ipc/http_conn.h: one HTTP/1.1 connection of a role that serves.
 *
 * One request at a time: while a request waits for its answer, what the client
 * sends further stays unread, so a client that pipelines is held back by TCP.
 * The role embeds struct http_conn at the start of its own struct and is
 * called through struct http_ops. It answers from within on_request or later,
 * once: with http_reply, or with http_stream_begin, _write and _end. Or it
 * takes the connection (http_take), and reads and writes its bytes itself.
 *
 * What a slow or hostile client can cost is bounded by struct http_limits:
 * time for a head, a body, an answer that is not read, and bytes of all
 * connections together.
 */
#ifndef IPC_HTTP_CONN_H
#define IPC_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/http1.h"
#include "sys/loop.h"

struct http_conn;
struct http_listener;
struct http_server;

/* Descriptors that may come with a request: three streams, folders. */
enum { HTTP_MAX_FDS = 4 + MOUNTS_MAX };

enum http_phase {
	HTTP_HEAD, /* waits for a head, or for the first byte of one */
	HTTP_BODY,
	HTTP_ASKED, /* the role has the request */
	HTTP_STREAM, /* the role writes an answer piece by piece */
	HTTP_FLUSH, /* the answer is written, not yet sent */
	HTTP_TAKEN, /* the role reads and writes the bytes itself */
	HTTP_LINGER, /* our end is closed; what still comes is dropped */
	HTTP_DEAD, /* closed, to be freed by http_server_reap */
};

struct http_conn {
	struct http_server *server;
	struct http_listener *listener; /* NULL when it is gone */
	struct http_conn *before, *after; /* the server's list */
	struct loop_watch watch;
	struct loop_timer timer;
	int64_t deadline_ns; /* 0: none */
	enum http_phase phase;
	bool running; /* its requests are being worked off */
	bool last; /* no request follows on this connection */
	bool surplus; /* over the limit: is told so, and closed */
	bool ended; /* the client sends no more */
	bool chunked; /* how the stream is framed */
	bool keep_idle; /* may be idle without limit */
	bool fds_lost; /* more came than may come */
	struct buf in; /* received, from the start of the request */
	size_t used; /* bytes of in that are the request's */
	struct buf next; /* received behind the request, with content */
	struct buf content; /* of a body that did not come with its head */
	struct buf out; /* not yet taken by the kernel */
	size_t counted_bytes; /* of all four, as the server knows them */
	struct http1_body decoder;
	uint64_t step_bytes; /* content at which the deadline moves */
	int fds[HTTP_MAX_FDS];
	size_t n_fds;
	uint32_t uid; /* of the peer at a Unix socket, else UINT32_MAX */

	/* The request. Views are valid until it is answered. */
	struct http1_head head;
	struct str body;
};

struct http_ops {
	size_t conn_bytes; /* of the struct that begins with a http_conn */
	void (*on_request)(struct http_conn *c);
	/*
	 * The client has closed its end before the answer was complete. True:
	 * nobody waits, close. False: it may still read the answer.
	 */
	bool (*on_hangup)(struct http_conn *c);
	/* The connection is closed; its memory is valid for this call. */
	void (*on_close)(struct http_conn *c);
	/* Answers what was no valid request, in the role's own format. */
	void (*refuse)(struct http_conn *c, uint16_t status, const char *why);

	/* These may be NULL. */

	/*
	 * True: the role wants the body of this request as it comes. It is
	 * handed over with the head alone, and the role takes the connection
	 * to read what follows.
	 */
	bool (*takes_body)(struct http_conn *c);
	/* A stream's client has read all that was written. */
	void (*on_drained)(struct http_conn *c);
	/* What http_taken_want asked for is there, or EPOLLHUP. */
	void (*on_taken)(struct http_conn *c, uint32_t events);
};

/*
 * Answers the request. fields is whole header lines, each with its CRLF. An
 * empty type sends no Content-Type.
 */
void http_reply(struct http_conn *c, uint16_t status, struct str fields,
    struct str type, struct str body);

/* An answer of unknown length, status 200. */
void http_stream_begin(struct http_conn *c, struct str fields, struct str type);
/* A client that does not read is closed at limits.out_bytes. */
void http_stream_write(struct http_conn *c, struct str bytes);
void http_stream_end(struct http_conn *c);

/*
 * http_take.c: the request's connection becomes a stream of bytes for the
 * role, and closes when that is over. Nothing is waited for until
 * http_taken_want; what has come already is read at once.
 */
void http_take(struct http_conn *c);
/* The same, behind an answer of 101 with these header lines. */
void http_switch(struct http_conn *c, struct str fields);
/* As recv(2) and send(2), without waiting. */
ssize_t http_taken_read(struct http_conn *c, void *p, size_t n);
ssize_t http_taken_write(struct http_conn *c, const void *p, size_t n);
/* Nothing more will be written. */
void http_taken_end(struct http_conn *c);
/* EPOLLIN, EPOLLOUT, EPOLLRDHUP; EPOLLHUP comes also with 0. */
void http_taken_want(struct http_conn *c, uint32_t events);
/* The role is done: what it wrote is delivered, then the connection closes. */
void http_conn_finish(struct http_conn *c);
/* The role is done: the request can be answered, and that is the last one. */
void http_give_back(struct http_conn *c);

/* Closes at once, whatever was under way. on_close is called. */
void http_conn_close(struct http_conn *c);
/* The descriptors of the request become the caller's. Returns how many. */
size_t http_conn_take_fds(struct http_conn *c, int out[static HTTP_MAX_FDS]);

/* For http_server.c and http_reply.c. */
void http_conn_start(struct http_conn *c);
void http_conn_answered(struct http_conn *c);
void http_conn_send(struct http_conn *c, struct str head, struct str body);

#endif
