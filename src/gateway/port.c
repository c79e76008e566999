/*
 * /v1/sandboxes/{run}/ports/{port}: the connection becomes one to a TCP port
 * inside. Each way has a buffer, and waits when that is full; each end is
 * passed on, and when both have come it is over.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "gateway/answer.h"
#include "gateway/port_way.h"

/* One direction. */
struct half {
	size_t at, n; /* of bytes: what waits */
	bool ended; /* nothing more comes */
	bool passed; /* and that has been passed on */
	char bytes[TUNNEL_BYTES];
};

struct tunnel {
	struct port_way way;
	struct half in, out; /* to the port, from it */
};

static void on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS]);
static void on_inner(struct loop_watch *w, uint32_t events);
static void on_taken(struct visit *v, uint32_t events);
static void on_gone(struct visit *v);
static void move(struct tunnel *t);
static bool half_move(struct tunnel *t, struct half *h, bool inwards);
static void settle(struct tunnel *t);

int
port_check(struct client *cl, const struct json *args)
{
	const struct str *to = http1_get(&cl->conn.head, STR("Upgrade"));
	uint16_t port;

	if (!port_named(cl, args, &port))
		return -1;
	if (to != NULL && str_eq_nocase(*to, STR("tcp")))
		return 0;
	answer_error(cl, 400,
	    "a port is reached with Connection: Upgrade and Upgrade: tcp");
	return -1;
}

void
port_connect(struct client *cl, const struct inside_request *q)
{
	static const struct visit_ops ops = { on_taken, NULL, on_gone };
	struct tunnel *t;
	uint16_t port;
	struct err e = {};

	if (!port_named(cl, q->args, &port))
		return; /* not reached: port_check has looked */
	t = calloc(1, sizeof(*t));
	must(t != NULL);
	t->way.ask.on_reply = on_reply;
	t->way.inner.on_ready = on_inner;
	if (port_way_begin(&t->way, cl, q, port, &e) < 0) {
		free(t);
		answer_error(cl, 503, e.text);
		return;
	}
	visit_begin(&t->way.visit, cl, &ops);
}

static void
on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS])
{
	struct tunnel *t = LOOP_OF(a, struct tunnel, way.ask);
	struct client *cl = t->way.visit.client;

	switch (port_way_take(&t->way, r, fds)) {
	case PORT_WAITS:
		return;
	case PORT_REFUSED:
		free(t);
		if (cl != NULL)
			inside_answer_error(cl, r);
		return;
	case PORT_CONNECTED:
		break;
	}
	http_switch(&cl->conn, STR("Connection: Upgrade\r\nUpgrade: tcp\r\n"));
	if (t->way.visit.client != NULL)
		move(t);
}

static void
on_inner(struct loop_watch *w, uint32_t events)
{
	(void)events;
	move(LOOP_OF(w, struct tunnel, way.inner));
}

static void
on_taken(struct visit *v, uint32_t events)
{
	(void)events;
	move(LOOP_OF(v, struct tunnel, way.visit));
}

static void
on_gone(struct visit *v)
{
	settle(LOOP_OF(v, struct tunnel, way.visit));
}

/* As much as goes, and then waits for what stopped it. */
static void
move(struct tunnel *t)
{
	struct client *cl = t->way.visit.client;
	uint32_t inner = 0, outer = 0;
	struct err e = {};

	/* Either of them may unblock the other by what it finds. */
	if (!half_move(t, &t->in, true) || !half_move(t, &t->out, false)) {
		http_conn_close(&cl->conn);
		return;
	}
	if (t->in.passed && t->out.passed) {
		visit_end(&t->way.visit);
		http_conn_finish(&cl->conn);
		settle(t);
		return;
	}
	if (t->in.n > 0)
		inner |= EPOLLOUT;
	else if (!t->in.ended)
		outer |= EPOLLIN;
	if (t->out.n > 0)
		outer |= EPOLLOUT;
	else if (!t->out.ended)
		inner |= EPOLLIN;
	if (loop_want(t->way.gateway->loop, &t->way.inner, inner, &e) < 0)
		http_conn_close(&cl->conn);
	else
		http_taken_want(&cl->conn, outer);
}

/* False when an end is broken. */
static bool
half_move(struct tunnel *t, struct half *h, bool inwards)
{
	struct http_conn *c = &t->way.visit.client->conn;
	ssize_t r;

	/* One buffer, and then the others: a fast sender is not alone. */
	if (h->n == 0 && !h->ended) {
		r = inwards ? http_taken_read(c, h->bytes, sizeof(h->bytes))
			    : recv(t->way.inner.fd, h->bytes, sizeof(h->bytes),
				  MSG_DONTWAIT);
		if (r < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		h->ended = r == 0;
		h->at = 0;
		h->n = r > 0 ? (size_t)r : 0;
	}
	while (h->n > 0) {
		r = inwards ? send(t->way.inner.fd, h->bytes + h->at, h->n,
				  MSG_NOSIGNAL | MSG_DONTWAIT)
			    : http_taken_write(c, h->bytes + h->at, h->n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == EAGAIN;
		h->at += (size_t)r;
		h->n -= (size_t)r;
		t->way.moved_bytes += (uint64_t)r;
	}
	if (h->ended && !h->passed) {
		h->passed = true;
		if (inwards)
			(void)shutdown(
			    t->way.inner.fd, SHUT_WR); /* gone: fine */
		else
			http_taken_end(c);
	}
	return true;
}

static void
settle(struct tunnel *t)
{
	if (port_way_end(&t->way, NULL))
		free(t);
}
