/*
 * /v1/sandboxes/{run}/ports/{port}/{path}: a request to a web server inside.
 *
 * Both messages are parsed by the one parser there is and written anew
 * (port_head.h), so that nobody behind can see other messages than we do. Each
 * request has a connection of its own to the port, and is the last one on the
 * client's.
 *
 * Each way has a buffer, and who sends waits when that is full. Behind an
 * upgrade to WebSocket both ways are bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "gateway/answer.h"
#include "gateway/port_head.h"
#include "gateway/port_way.h"

enum { READ_BYTES = 16 * 1024 };

enum stage {
	STAGE_CONNECT, /* no connection to the port yet */
	STAGE_HEAD, /* no head of its answer yet */
	STAGE_BODY,
	STAGE_TUNNEL, /* bytes, both ways */
};

struct relay {
	struct port_way way;
	enum stage stage;
	struct loop_timer late; /* the head of the answer is */
	bool upgrade; /* the client asks for a WebSocket */
	bool to_head;
	struct http1_body request, answer; /* decoders */
	bool request_chunked, answer_chunked; /* as we frame them */
	bool in_ended; /* the client sends no more */
	bool in_passed; /* and the port has been told, or takes no more */
	bool out_ended; /* the port sends no more */
	struct buf in, out; /* to the port, to the client */
	struct buf raw; /* of the answer, up to its head's end */
};

static void on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS]);
static void on_inner(struct loop_watch *w, uint32_t events);
static void on_taken(struct visit *v, uint32_t events);
static void on_gone(struct visit *v);
static void on_late(struct loop_timer *t);
static void move(struct relay *t);
static bool take_in(struct relay *t);
static bool give_in(struct relay *t);
static bool take_out(struct relay *t);
static bool give_out(struct relay *t);
static bool head_take(struct relay *t);
static bool body_take(struct relay *t, struct str bytes);
static bool is_over(const struct relay *t);
static void want(struct relay *t);
static void inner_want(struct relay *t, uint32_t events);
static bool fail(struct relay *t, uint16_t status, const char *why);
static void settle(struct relay *t, const char *why);
static void drop(struct relay *t);

int
port_http_check(struct client *cl, const struct json *args)
{
	uint16_t port;

	return port_named(cl, args, &port) ? 0 : -1;
}

void
port_http(struct client *cl, const struct inside_request *q)
{
	static const struct visit_ops ops = { on_taken, NULL, on_gone };
	struct relay *t;
	uint16_t port;
	struct err e = {};

	if (!port_named(cl, q->args, &port))
		return; /* not reached: port_http_check has looked */
	t = calloc(1, sizeof(*t));
	must(t != NULL);
	t->late.on_time = on_late;
	t->way.ask.on_reply = on_reply;
	t->way.inner.on_ready = on_inner;
	if (port_way_begin(&t->way, cl, q, port, &e) < 0) {
		free(t);
		answer_error(cl, 503, e.text);
		return;
	}
	t->to_head = str_eq(cl->conn.head.method, STR("HEAD"));
	t->upgrade = port_head_websocket(&cl->conn.head);
	http1_body_init(&t->request, &cl->conn.head, UINT64_MAX);
	t->request_chunked = t->request.kind == HTTP1_BODY_CHUNKED;
	port_head_request(
	    &t->in, &cl->conn.head, &t->request, port, t->upgrade);
	visit_begin(&t->way.visit, cl, &ops);
	if (cl->conn.head.expect_continue && t->request.kind != HTTP1_BODY_NONE)
		http_conn_send(
		    &cl->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"), STR(""));
	http_take(&cl->conn);
	if (t->way.visit.client != NULL)
		http_taken_want(&cl->conn, 0);
}

static void
on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS])
{
	struct relay *t = LOOP_OF(a, struct relay, way.ask);
	struct client *cl = t->way.visit.client;
	struct loop *loop = t->way.gateway->loop;

	switch (port_way_take(&t->way, r, fds)) {
	case PORT_WAITS:
		return;
	case PORT_REFUSED:
		drop(t);
		if (cl != NULL) {
			http_give_back(&cl->conn);
			inside_answer_error(cl, r);
		}
		return;
	case PORT_CONNECTED:
		break;
	}
	t->stage = STAGE_HEAD;
	loop_timer_set(loop, &t->late,
	    loop_now_ns(loop) + (int64_t)PORT_HTTP_HEAD_MS * 1000000);
	move(t);
}

static void
on_inner(struct loop_watch *w, uint32_t events)
{
	(void)events;
	move(LOOP_OF(w, struct relay, way.inner));
}

static void
on_taken(struct visit *v, uint32_t events)
{
	struct relay *t = LOOP_OF(v, struct relay, way.visit);

	if (t->stage != STAGE_CONNECT)
		move(t);
	else if ((events & EPOLLHUP) != 0)
		http_conn_close(&v->client->conn);
}

static void
on_gone(struct visit *v)
{
	settle(LOOP_OF(v, struct relay, way.visit), NULL);
}

static void
on_late(struct loop_timer *timer)
{
	struct relay *t = LOOP_OF(timer, struct relay, late);

	(void)fail(t, 504, "the server inside does not answer");
}

/* As much as goes, and then waits for what stopped it. */
static void
move(struct relay *t)
{
	/* Each of them may end the relay, and says so. */
	if (!take_in(t) || !give_in(t) || !take_out(t) || !give_out(t))
		return;
	if (is_over(t)) {
		struct client *cl = t->way.visit.client;

		visit_end(&t->way.visit);
		http_conn_finish(&cl->conn);
		settle(t, NULL);
		return;
	}
	want(t);
}

/* From the client. False: there is no relay any more. */
static bool
take_in(struct relay *t)
{
	struct http_conn *c = &t->way.visit.client->conn;
	static char bytes[READ_BYTES];
	uint16_t status = 400;
	struct err e = {};
	ssize_t r;

	if (t->stage != STAGE_TUNNEL && t->request.done)
		t->in_ended = true;
	if (t->in_ended || t->in.n >= TUNNEL_BYTES)
		return true;
	r = http_taken_read(c, bytes, sizeof(bytes));
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (t->stage == STAGE_TUNNEL && r >= 0) {
		buf_add(&t->in, bytes, (size_t)r);
		t->in_ended = r == 0;
		return true;
	}
	if (r <= 0) { /* cut off: what came is not the whole */
		http_conn_close(c);
		return false;
	}
	/* Behind the body stands nothing that we would read. */
	if (port_content(&t->request, t->request_chunked,
		(struct str){ bytes, (size_t)r }, &t->in, &status, &e) < 0)
		return fail(t, status, e.text);
	return true;
}

static bool
give_in(struct relay *t)
{
	while (t->in.n > 0 && !t->in_passed) {
		ssize_t r = send(t->way.inner.fd, t->in.p, t->in.n,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			return true;
		/* It may have answered, and not want the rest. */
		if (r < 0)
			t->in_passed = true;
		else
			buf_drop(&t->in, (size_t)r);
		t->way.moved_bytes += r > 0 ? (uint64_t)r : 0;
	}
	if (t->stage == STAGE_TUNNEL && t->in_ended && !t->in_passed) {
		t->in_passed = true;
		(void)shutdown(t->way.inner.fd, SHUT_WR); /* gone: fine */
	}
	return true;
}

/* From the port. */
static bool
take_out(struct relay *t)
{
	static char bytes[READ_BYTES];
	ssize_t r;

	if (t->out_ended || t->out.n >= TUNNEL_BYTES)
		return true;
	r = recv(t->way.inner.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (r > 0) {
		switch (t->stage) {
		case STAGE_CONNECT:
			return true;
		case STAGE_HEAD:
			buf_add(&t->raw, bytes, (size_t)r);
			return head_take(t);
		case STAGE_BODY:
			return body_take(t, (struct str){ bytes, (size_t)r });
		case STAGE_TUNNEL:
			buf_add(&t->out, bytes, (size_t)r);
			return true;
		}
	}
	t->out_ended = true;
	if (t->stage == STAGE_HEAD)
		return fail(
		    t, 502, "the server inside has closed without an answer");
	if (t->stage == STAGE_BODY && !t->answer.done) {
		if (r == 0 && t->answer.kind == HTTP1_BODY_UNTIL_CLOSE) {
			t->answer.done = true;
			if (t->answer_chunked)
				buf_add_str(&t->out, STR("0\r\n\r\n"));
			return true;
		}
		http_conn_close(&t->way.visit.client->conn);
		return false;
	}
	return true;
}

/* Heads but the last (100 to 199) are for us alone. */
static bool
head_take(struct relay *t)
{
	static struct http1_head h; /* too large for the stack */
	struct http_conn *c = &t->way.visit.client->conn;
	own_buf struct buf rest = {};
	uint16_t status = 502;
	struct err e = {};
	ssize_t n;

	do {
		n = http1_response(
		    t->raw.p, t->raw.n, t->to_head, &h, &status, &e);
		if (n < 0)
			return fail(t, 502,
			    "the server inside does not answer as HTTP does");
		if (n == 0)
			return true;
		if (h.status == 101)
			break;
		if (h.status < 200)
			buf_drop(&t->raw, (size_t)n);
	} while (h.status < 200 && t->raw.n > 0);
	if (h.status < 200 && h.status != 101)
		return true;
	if (h.status == 101 && (!t->upgrade || !port_head_websocket(&h)))
		return fail(t, 502,
		    "the server inside switches to what nobody asked for");
	loop_timer_clear(t->way.gateway->loop, &t->late);
	http1_body_init(&t->answer, &h, UINT64_MAX);
	t->answer.done |= t->answer.kind == HTTP1_BODY_NONE;
	t->answer_chunked = c->head.minor == 1 &&
	    (t->answer.kind == HTTP1_BODY_CHUNKED ||
		t->answer.kind == HTTP1_BODY_UNTIL_CLOSE);
	port_head_answer(&t->out, &h, &t->answer, t->answer_chunked);
	buf_add(&rest, t->raw.p + n, t->raw.n - (size_t)n);
	buf_reset(&t->raw);
	t->stage = h.status == 101 ? STAGE_TUNNEL : STAGE_BODY;
	if (t->stage == STAGE_BODY)
		return body_take(t, buf_str(&rest));
	t->in_ended = false;
	buf_add_str(&t->out, buf_str(&rest));
	return true;
}

static bool
body_take(struct relay *t, struct str bytes)
{
	uint16_t status;
	struct err e = {};

	/* Too late for a status: cut off, it cannot pass for whole. */
	if (port_content(&t->answer, t->answer_chunked, bytes, &t->out, &status,
		&e) < 0) {
		http_conn_close(&t->way.visit.client->conn);
		return false;
	}
	return true;
}

static bool
give_out(struct relay *t)
{
	struct http_conn *c = &t->way.visit.client->conn;

	while (t->out.n > 0) {
		ssize_t r = http_taken_write(c, t->out.p, t->out.n);

		if (r < 0 && errno == EAGAIN)
			return true;
		if (r < 0) {
			http_conn_close(c);
			return false;
		}
		buf_drop(&t->out, (size_t)r);
		t->way.moved_bytes += (uint64_t)r;
	}
	return true;
}

static bool
is_over(const struct relay *t)
{
	if (t->out.n > 0)
		return false;
	return t->stage == STAGE_TUNNEL
	    ? t->out_ended
	    : t->stage == STAGE_BODY && t->answer.done;
}

static void
want(struct relay *t)
{
	uint32_t inner = 0, outer = 0;

	if (t->in.n > 0 && !t->in_passed)
		inner |= EPOLLOUT;
	if (!t->out_ended && t->out.n < TUNNEL_BYTES)
		inner |= EPOLLIN;
	if (t->out.n > 0)
		outer |= EPOLLOUT;
	if (!t->in_ended && t->in.n < TUNNEL_BYTES && !t->in_passed)
		outer |= EPOLLIN;
	inner_want(t, inner);
	if (t->way.visit.client != NULL)
		http_taken_want(&t->way.visit.client->conn, outer);
}

/* Out of the loop while nothing is wanted: its end would be told for ever. */
static void
inner_want(struct relay *t, uint32_t events)
{
	struct loop *loop = t->way.gateway->loop;
	struct err e = {};
	int r = 0;

	if (events == 0 && !t->way.held) {
		int fd = loop_remove(loop, &t->way.inner);

		t->way.inner.fd = fd;
		t->way.held = true;
	} else if (events != 0 && t->way.held) {
		t->way.inner.events = events;
		t->way.held = false;
		r = loop_add(loop, &t->way.inner, &e);
		t->way.held = r < 0;
	} else if (events != 0) {
		r = loop_want(loop, &t->way.inner, events, &e);
	}
	if (r < 0)
		http_conn_close(&t->way.visit.client->conn);
}

/* Before anything was answered. False, as the relay is over. */
static bool
fail(struct relay *t, uint16_t status, const char *why)
{
	struct client *cl = t->way.visit.client;

	if (t->stage > STAGE_HEAD) {
		http_conn_close(&cl->conn);
		return false;
	}
	visit_end(&t->way.visit);
	http_give_back(&cl->conn);
	answer_error(cl, status, why);
	settle(t, why);
	return false;
}

/* why NULL: it worked. */
static void
settle(struct relay *t, const char *why)
{
	loop_timer_clear(t->way.gateway->loop, &t->late);
	if (port_way_end(&t->way, why))
		drop(t);
}

static void
drop(struct relay *t)
{
	buf_fini(&t->in);
	buf_fini(&t->out);
	buf_fini(&t->raw);
	free(t);
}
