#include "ipc/http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "sys/fd.h"

enum {
	ACCEPT_BURST = 16, /* connections taken before others get a turn */
	PAUSE_MS = 100, /* descriptors come back as connections end */
};

#define NS_PER_MS 1000000

const struct http_limits http_default_limits = {
	.head_ms = HTTP_HEAD_TIMEOUT_MS,
	.body_ms = HTTP_BODY_TIMEOUT_MS,
	.idle_ms = HTTP_IDLE_TIMEOUT_MS,
	.linger_ms = HTTP_LINGER_MS,
	.conns = HTTP_MAX_CONNECTIONS,
	.conns_per_run = HTTP_MAX_CONNECTIONS_PER_RUN,
	.reserve = HTTP_RESERVED_CONNECTIONS,
	.out_bytes = HTTP_MAX_OUT_BYTES,
	.bytes = HTTP_MAX_BUFFERED_BYTES,
};

static void on_listener(struct loop_watch *w, uint32_t events);
static bool accept_one(struct http_listener *l);
static bool is_full(const struct http_listener *l);
static uint32_t peer_uid(int fd);
static void pause_all(struct http_server *s);
static void on_pause_end(struct loop_timer *t);

void
http_server_init(struct http_server *s, struct loop *loop,
    const struct http_ops *ops, const struct http_limits *limits)
{
	must(ops->conn_bytes >= sizeof(struct http_conn));
	*s = (struct http_server){
		.loop = loop,
		.ops = ops,
		.limits = *limits,
		.pause = { .on_time = on_pause_end },
	};
}

void
http_server_fini(struct http_server *s)
{
	while (s->listeners != NULL)
		http_listener_close(s->listeners);
	while (s->first != NULL)
		http_conn_close(s->first);
	http_server_reap(s);
	loop_timer_clear(s->loop, &s->pause);
	buf_fini(&s->scratch);
}

int
http_listener_open_take(
    struct http_server *s, struct http_listener *l, int fd, struct err *e)
{
	own_fd int mine = fd;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage space;
	} at = {};
	socklen_t n = sizeof(at);

	if (getsockname(mine, &at.any, &n) < 0)
		return err_sys(e, "getsockname");
	l->local = at.any.sa_family == AF_UNIX;
	if (at.any.sa_family == AF_INET)
		l->port = ntohs(at.in.sin_port);
	if (at.any.sa_family == AF_INET6)
		l->port = ntohs(at.in6.sin6_port);
	l->server = s;
	l->n_conns = 0;
	if (fd_nonblock(mine, e) < 0)
		return -1;
	l->watch = (struct loop_watch){
		.fd = mine,
		.events = EPOLLIN,
		.on_ready = on_listener,
	};
	if (loop_add(s->loop, &l->watch, e) < 0)
		return -1;
	(void)fd_take(&mine);
	l->next = s->listeners;
	s->listeners = l;
	return 0;
}

void
http_listener_close(struct http_listener *l)
{
	struct http_server *s = l->server;
	struct http_conn *c = s->first;
	int fd = loop_remove(s->loop, &l->watch);

	fd_fini(&fd);
	for (struct http_listener **p = &s->listeners; *p != NULL;
	     p = &(*p)->next) {
		if (*p == l) {
			*p = l->next;
			break;
		}
	}
	/* From the start again: closing one may close others. */
	while (c != NULL) {
		if (c->listener == l) {
			http_conn_close(c);
			c = s->first;
		} else {
			c = c->after;
		}
	}
	for (c = s->dead; c != NULL; c = c->after) {
		if (c->listener == l)
			c->listener = NULL;
	}
}

void
http_server_reap(struct http_server *s)
{
	while (s->dead != NULL) {
		struct http_conn *c = s->dead;

		s->dead = c->after;
		free(c);
	}
}

static void
on_listener(struct loop_watch *w, uint32_t events)
{
	struct http_listener *l = LOOP_OF(w, struct http_listener, watch);

	(void)events;
	for (int i = 0; i < ACCEPT_BURST; i++) {
		if (!accept_one(l))
			return;
	}
}

/* False when there is nobody more to accept, or nothing to do it with. */
static bool
accept_one(struct http_listener *l)
{
	struct http_server *s = l->server;
	own_fd int fd = /* accept4(2) allows it: */
	    /* cppcheck-suppress nullPointer */
	    accept4(l->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct http_conn *c;
	struct err e = {};
	int on = 1;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS)
			pause_all(s);
		/* Anything else is over with this one. accept(2). */
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (is_full(l) && s->n_surplus >= HTTP_SURPLUS_CONNECTIONS)
		return true;
	c = calloc(1, s->ops->conn_bytes);
	must(c != NULL);
	c->server = s;
	c->listener = l;
	c->uid = l->local ? peer_uid(fd) : UINT32_MAX;
	c->surplus = is_full(l);
	if (!l->local)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->watch = (struct loop_watch){ .fd = fd, .events = 0 };
	if (loop_add(s->loop, &c->watch, &e) < 0) {
		free(c);
		return true;
	}
	(void)fd_take(&fd);
	if (c->surplus) {
		s->n_surplus++;
	} else {
		s->n_conns++;
		l->n_conns++;
	}
	c->after = s->first;
	if (c->after != NULL)
		c->after->before = c;
	s->first = c;
	http_conn_start(c);
	return true;
}

static bool
is_full(const struct http_listener *l)
{
	const struct http_limits *max = &l->server->limits;

	if (l->people)
		return l->server->n_conns >= max->conns + max->reserve;
	return l->server->n_conns >= max->conns ||
	    l->n_conns >= max->conns_per_run;
}

/* As connect(2) saw it: nothing that the peer sends can change it. */
static uint32_t
peer_uid(int fd)
{
	struct ucred cred = {};
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return UINT32_MAX;
	return cred.uid;
}

static void
pause_all(struct http_server *s)
{
	struct err e = {};

	for (struct http_listener *l = s->listeners; l != NULL; l = l->next)
		(void)loop_want(s->loop, &l->watch, 0, &e);
	loop_timer_set(s->loop, &s->pause,
	    loop_now_ns(s->loop) + (int64_t)PAUSE_MS * NS_PER_MS);
}

static void
on_pause_end(struct loop_timer *t)
{
	struct http_server *s = LOOP_OF(t, struct http_server, pause);
	struct err e = {};

	for (struct http_listener *l = s->listeners; l != NULL; l = l->next)
		(void)loop_want(s->loop, &l->watch, EPOLLIN, &e);
}
