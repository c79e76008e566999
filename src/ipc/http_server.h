/*
 * ipc/http_server.h: the listeners and connections of a role that serves
 * HTTP/1.1, and how much of everything they may take.
 *
 * The gateway and the proxy both use it, so that no two of them can read a
 * request differently. It decides nothing: every whole request goes to the
 * role through struct http_ops.
 */
#ifndef IPC_HTTP_SERVER_H
#define IPC_HTTP_SERVER_H

#include "ipc/http_conn.h"

/* base/limits.h says why; a test may lower them. */
struct http_limits {
	uint32_t head_ms;
	uint32_t body_ms;
	uint32_t idle_ms;
	uint32_t linger_ms;
	uint32_t conns; /* of runs, all together */
	uint32_t conns_per_run;
	uint32_t reserve; /* more, for people's listeners */
	size_t out_bytes; /* waiting to be read by one client */
	size_t bytes; /* of buffers, all together */
};

extern const struct http_limits http_default_limits;

struct http_listener {
	struct http_server *server;
	struct http_listener *next;
	struct loop_watch watch;
	uint32_t n_conns;
	bool people; /* of people: has the reserve to itself */
	bool local; /* a Unix socket: peers have a uid and descriptors */
	uint16_t port; /* TCP: where it listens */
};

struct http_server {
	struct loop *loop;
	const struct http_ops *ops;
	struct http_limits limits;
	struct http_listener *listeners;
	struct http_conn *first; /* open */
	struct http_conn *dead; /* to be freed */
	uint32_t n_conns;
	uint32_t n_surplus;
	size_t bytes; /* of all buffers */
	struct loop_timer pause; /* no descriptors left: accept later */
	struct buf scratch; /* an answer's head */
};

void http_server_init(struct http_server *s, struct loop *loop,
    const struct http_ops *ops, const struct http_limits *limits);
/* Closes everything. Listeners' own storage is the caller's. */
void http_server_fini(struct http_server *s);

/* Takes fd over. l->people is set by the caller, the rest is found out. */
int http_listener_open_take(
    struct http_server *s, struct http_listener *l, int fd, struct err *e);
/* Closes the listener and all its connections. */
void http_listener_close(struct http_listener *l);

/* Frees what was closed. Called by the role after each round of events. */
void http_server_reap(struct http_server *s);

#endif
