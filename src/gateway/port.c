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
#include "gateway/inside.h"
#include "sys/fd.h"

/* One direction. */
struct half {
	size_t at, n; /* of bytes: what waits */
	bool ended; /* nothing more comes */
	bool passed; /* and that has been passed on */
	char bytes[TUNNEL_BYTES];
};

struct tunnel {
	struct visit visit;
	struct gateway *gateway;
	uint64_t run, grant, moved_bytes;
	struct inside_ask ask;
	bool asked; /* there will be an answer */
	struct loop_watch inner; /* fd -1: none */
	struct half in, out; /* to the port, from it */
};

static void on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS]);
static void on_inner(struct loop_watch *w, uint32_t events);
static void on_taken(struct visit *v, uint32_t events);
static void on_gone(struct visit *v);
static void move(struct tunnel *t);
static bool half_move(struct tunnel *t, struct half *h, bool inwards);
static void settle(struct tunnel *t, const char *why);

int
port_check(struct client *cl, const struct json *args)
{
	const struct str *to = http1_get(&cl->conn.head, STR("Upgrade"));
	uint64_t port;

	if (json_u64(json_get(args, STR("port")), &port) < 0 || port < 1 ||
	    port > UINT16_MAX) {
		answer_error(cl, 404, "a port is a number from 1 to 65535");
		return -1;
	}
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
	struct tunnel *t = calloc(1, sizeof(*t));
	struct rpc_request r = { .kind = RPC_PORT };
	uint64_t port = 0;
	struct err e = {};

	must(t != NULL);
	(void)json_u64(json_get(q->args, STR("port")), &port);
	r.port = (uint16_t)port;
	t->gateway = cl->gateway;
	t->run = q->in->run;
	t->grant = q->grant;
	t->inner.fd = -1;
	t->ask.on_reply = on_reply;
	if (inside_send(q->in, &t->ask, &r, q->grant, NULL, 0, NULL, 0, &e) <
	    0) {
		settle(t, e.text);
		answer_error(cl, 503, e.text);
		return;
	}
	t->asked = true;
	visit_begin(&t->visit, cl, &ops);
}

static void
on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS])
{
	struct tunnel *t = LOOP_OF(a, struct tunnel, ask);
	struct client *cl = t->visit.client;
	struct err e = {};

	if (r == NULL || r->kind != RPC_STARTED) {
		const char *why = r == NULL ? "the sandbox has ended" : r->text;

		t->asked = false;
		if (t->inner.fd >= 0) {
			/* It is connected; a lost sandbox closes it itself. */
			return;
		}
		visit_end(&t->visit);
		settle(t, why);
		if (cl != NULL)
			inside_answer_error(cl, r);
		return;
	}
	if (cl == NULL || fds[0] < 0 || t->inner.fd >= 0)
		return;
	t->inner = (struct loop_watch){
		.fd = fds[0],
		.events = EPOLLIN,
		.on_ready = on_inner,
	};
	if (fd_nonblock(fds[0], &e) < 0 ||
	    loop_add(t->gateway->loop, &t->inner, &e) < 0) {
		t->inner.fd = -1;
		return;
	}
	fds[0] = -1;
	http_switch(&cl->conn, STR("Connection: Upgrade\r\nUpgrade: tcp\r\n"));
	if (t->visit.client != NULL)
		move(t);
}

static void
on_inner(struct loop_watch *w, uint32_t events)
{
	(void)events;
	move(LOOP_OF(w, struct tunnel, inner));
}

static void
on_taken(struct visit *v, uint32_t events)
{
	(void)events;
	move(LOOP_OF(v, struct tunnel, visit));
}

static void
on_gone(struct visit *v)
{
	settle(LOOP_OF(v, struct tunnel, visit), NULL);
}

/* As much as goes, and then waits for what stopped it. */
static void
move(struct tunnel *t)
{
	struct client *cl = t->visit.client;
	uint32_t inner = 0, outer = 0;
	struct err e = {};

	/* Either of them may unblock the other by what it finds. */
	if (!half_move(t, &t->in, true) || !half_move(t, &t->out, false)) {
		http_conn_close(&cl->conn);
		return;
	}
	if (t->in.passed && t->out.passed) {
		visit_end(&t->visit);
		http_conn_finish(&cl->conn);
		settle(t, NULL);
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
	if (loop_want(t->gateway->loop, &t->inner, inner, &e) < 0)
		http_conn_close(&cl->conn);
	else
		http_taken_want(&cl->conn, outer);
}

/* False when an end is broken. */
static bool
half_move(struct tunnel *t, struct half *h, bool inwards)
{
	struct http_conn *c = &t->visit.client->conn;
	ssize_t r;

	/* One buffer, and then the others: a fast sender is not alone. */
	if (h->n == 0 && !h->ended) {
		r = inwards ? http_taken_read(c, h->bytes, sizeof(h->bytes))
			    : recv(t->inner.fd, h->bytes, sizeof(h->bytes),
				  MSG_DONTWAIT);
		if (r < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		h->ended = r == 0;
		h->at = 0;
		h->n = r > 0 ? (size_t)r : 0;
	}
	while (h->n > 0) {
		r = inwards ? send(t->inner.fd, h->bytes + h->at, h->n,
				  MSG_NOSIGNAL | MSG_DONTWAIT)
			    : http_taken_write(c, h->bytes + h->at, h->n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == EAGAIN;
		h->at += (size_t)r;
		h->n -= (size_t)r;
		t->moved_bytes += (uint64_t)r;
	}
	if (h->ended && !h->passed) {
		h->passed = true;
		if (inwards)
			(void)shutdown(t->inner.fd, SHUT_WR); /* gone: fine */
		else
			http_taken_end(c);
	}
	return true;
}

/* Lets go of it, unless an answer is still to come. why NULL: it worked. */
static void
settle(struct tunnel *t, const char *why)
{
	own_buf struct buf b = {};
	int fd = loop_remove(t->gateway->loop, &t->inner);

	fd_fini(&fd);
	if (t->grant != 0 && why != NULL) {
		inside_failed(t->gateway, t->run, t->grant, why);
	} else if (t->grant != 0) {
		buf_printf(
		    &b, "{\"bytes\":%llu}", (unsigned long long)t->moved_bytes);
		inside_done(t->gateway, t->run, t->grant, buf_str(&b));
	}
	t->grant = 0; /* said once */
	if (!t->asked)
		free(t);
}
