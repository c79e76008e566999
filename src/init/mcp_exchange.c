#include "init/mcp_exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "sys/fd.h"

static int connect_start(
    struct exchange *x, const struct mcp_url *to, struct err *e);
static bool idle_is_good(const struct exchange *x);
static void answer_reset(struct exchange *x);
static int send_some(struct exchange *x, struct err *e);
static int receive_some(struct exchange *x, struct err *e);
static int on_close(struct exchange *x, struct err *e);
static int answer_take(struct exchange *x, struct err *e);
static int head_take(struct exchange *x, struct err *e);
static bool media_is(const struct str *value, struct str type);

void
exchange_fini(struct exchange *x)
{
	exchange_close(x);
	buf_fini(&x->out);
	buf_fini(&x->in);
	buf_fini(&x->content);
	sse_fini(&x->events);
}

int
exchange_start(struct exchange *x, const struct mcp_url *to, struct err *e)
{
	answer_reset(x);
	if (x->state == EXCHANGE_IDLE && !idle_is_good(x))
		exchange_close(x);
	if (x->state == EXCHANGE_IDLE)
		x->state = EXCHANGE_OPEN;
	else if (connect_start(x, to, e) < 0)
		return -1;
	if (x->state == EXCHANGE_OPEN && send_some(x, e) < 0) {
		exchange_close(x);
		return -1;
	}
	return 0;
}

short
exchange_events(const struct exchange *x)
{
	switch (x->state) {
	case EXCHANGE_FREE:
	case EXCHANGE_DONE:
		return 0;
	case EXCHANGE_IDLE:
		return POLLIN;
	case EXCHANGE_CONNECT:
		return POLLOUT;
	case EXCHANGE_OPEN:
		return x->sent < x->out.n && !x->deaf ? POLLIN | POLLOUT
						      : POLLIN;
	}
	return 0;
}

int
exchange_ready(struct exchange *x, short revents, struct err *e)
{
	if (x->state == EXCHANGE_CONNECT) {
		socklen_t n = sizeof(int);
		int error = 0;

		if (revents == 0)
			return 0;
		if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
			return err_sys(e, "getsockopt");
		if (error != 0) {
			errno = error;
			return err_sys(e, "connect");
		}
		x->state = EXCHANGE_OPEN;
		return send_some(x, e);
	}
	if (x->state != EXCHANGE_OPEN)
		return 0;
	if ((revents & POLLOUT) && send_some(x, e) < 0)
		return -1;
	if (revents & (POLLIN | POLLHUP | POLLERR))
		return receive_some(x, e);
	return 0;
}

void
exchange_end(struct exchange *x)
{
	/* Bytes behind the answer belong to no request of ours. */
	if (x->keep_alive && x->sent == x->out.n && x->in.n == 0)
		x->state = EXCHANGE_IDLE;
	else
		exchange_close(x);
}

void
exchange_close(struct exchange *x)
{
	fd_fini(&x->fd);
	x->state = EXCHANGE_FREE;
}

static int
connect_start(struct exchange *x, const struct mcp_url *to, struct err *e)
{
	const struct sockaddr *addr = (const struct sockaddr *)&to->addr;
	own_fd int fd = -1;
	int on = 1;

	fd = socket(
	    addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	/* A request goes out in one piece: waiting to fill a packet only
	 * delays the last one. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return err_sys(e, "TCP_NODELAY");
	x->state = EXCHANGE_OPEN;
	if (connect(fd, addr, to->addr_bytes) < 0) {
		x->state = EXCHANGE_FREE;
		if (errno != EINPROGRESS)
			return err_sys(e, "connect");
		x->state = EXCHANGE_CONNECT;
	}
	x->fd = fd_take(&fd);
	return 0;
}

/* Nothing to read: neither the end nor bytes that nobody asked for. */
static bool
idle_is_good(const struct exchange *x)
{
	char byte;
	ssize_t n = recv(x->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void
answer_reset(struct exchange *x)
{
	x->sent = 0;
	x->deaf = false;
	buf_reset(&x->in);
	x->has_head = false;
	x->status = 0;
	x->keep_alive = false;
	x->is_json = x->is_events = false;
	x->session[0] = '\0';
	buf_reset(&x->content);
	sse_fini(&x->events);
	x->events = (struct sse){ .in = { .max = JSON_MAX_BYTES },
		.data = { .max = JSON_MAX_BYTES } };
}

static int
send_some(struct exchange *x, struct err *e)
{
	while (x->sent < x->out.n && !x->deaf) {
		ssize_t n = send(x->fd, x->out.p + x->sent, x->out.n - x->sent,
		    MSG_NOSIGNAL);

		if (n >= 0) {
			x->sent += (size_t)n;
		} else if (errno == EAGAIN) {
			return 0;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			/* Its answer may be here: it refused without reading
			 * to the end. Reading finds out. */
			x->deaf = true;
		} else if (errno != EINTR) {
			return err_sys(e, "send");
		}
	}
	return 0;
}

static int
receive_some(struct exchange *x, struct err *e)
{
	char *at = buf_reserve(&x->in, BRIDGE_READ_BYTES);
	ssize_t n;

	if (at == NULL)
		return err_set(e, "no memory for the answer");
	n = recv(x->fd, at, BRIDGE_READ_BYTES, 0);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		return err_sys(e, "receive");
	}
	if (n == 0)
		return on_close(x, e);
	x->in.n += (size_t)n;
	return answer_take(x, e);
}

static int
on_close(struct exchange *x, struct err *e)
{
	x->keep_alive = false;
	if (x->has_head && x->body.kind == HTTP1_BODY_UNTIL_CLOSE) {
		x->state = EXCHANGE_DONE;
		return 0;
	}
	return err_set(e, "the server closed the connection %s",
	    x->has_head ? "in the middle of its answer" : "without an answer");
}

/* Takes what it can from x->in. */
static int
answer_take(struct exchange *x, struct err *e)
{
	struct sse_event ev;
	uint16_t status;
	ssize_t n;

	while (!x->has_head) {
		if (x->in.n == 0)
			return 0;
		n = head_take(x, e);
		if (n <= 0)
			return (int)n;
	}
	n = http1_body_feed(
	    &x->body, x->in.p, x->in.n, &x->content, &status, e);
	if (n < 0)
		return err_add(e, "the answer's body");
	buf_drop(&x->in, (size_t)n);
	if (x->is_events) {
		if (sse_feed(&x->events, buf_str(&x->content)) < 0)
			return err_set(
			    e, "an event over %d bytes", JSON_MAX_BYTES);
		buf_reset(&x->content);
		while (sse_next(&x->events, &ev)) {
			if (str_eq_c(ev.name, "message"))
				x->on_event(x, ev.data);
		}
	}
	if (x->body.done)
		x->state = EXCHANGE_DONE;
	return 0;
}

/* 1 when a head was taken, 0 when more bytes are needed, or -1. */
static int
head_take(struct exchange *x, struct err *e)
{
	struct http1_head h;
	const struct str *value;
	uint16_t status;
	ssize_t n = http1_response(x->in.p, x->in.n, false, &h, &status, e);

	if (n < 0)
		return err_add(e, "the answer's head");
	if (n == 0)
		return 0;
	if (h.status == 101)
		return err_set(e, "the server switched protocols");
	if (h.status >= 200) {
		x->has_head = true;
		x->status = h.status;
		x->keep_alive = h.keep_alive;
		value = http1_get(&h, STR("content-type"));
		x->is_json = media_is(value, STR("application/json"));
		x->is_events = h.status == 200 &&
		    media_is(value, STR("text/event-stream"));
		value = http1_get(&h, STR("mcp-session-id"));
		if (value != NULL &&
		    str_copy(*value, x->session, sizeof(x->session)) < 0)
			return err_set(e, "Mcp-Session-Id over %zu bytes",
			    sizeof(x->session) - 1);
		/* A stream may last for days; each event has its limit. */
		http1_body_init(&x->body, &h,
		    x->is_events ? UINT64_MAX : HTTP_MAX_BODY_BYTES);
	}
	buf_drop(&x->in, (size_t)n);
	return 1;
}

/* The type without its parameters, such as "; charset=utf-8". */
static bool
media_is(const struct str *value, struct str type)
{
	struct str s;

	if (value == NULL)
		return false;
	s = (struct str){ value->p, str_find(*value, ';') };
	return str_eq_nocase(str_trim(s), type);
}
