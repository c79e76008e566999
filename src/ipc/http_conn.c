#include "ipc/http_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "ipc/http_server.h"
#include "sys/fd.h"

enum {
	READ_BYTES = 16 * 1024, /* a request of common size in one call */
	CONTROL_FDS = 16, /* room for more than may come, to close them */
};

#define NS_PER_MS 1000000

static void on_ready(struct loop_watch *w, uint32_t events);
static void on_time(struct loop_timer *t);
static void run(struct http_conn *c);
static bool head_take(struct http_conn *c);
static void body_begin(struct http_conn *c, size_t head_bytes);
static void body_take(struct http_conn *c, struct str bytes);
static void request_hand_over(struct http_conn *c);
static void request_clear(struct http_conn *c);
static ssize_t receive(struct http_conn *c, char *to, size_t n);
static void read_head(struct http_conn *c);
static void read_body(struct http_conn *c);
static void read_away(struct http_conn *c);
static void on_end(struct http_conn *c);
static void hung_up(struct http_conn *c, uint32_t events);
static void flush(struct http_conn *c);
static void linger(struct http_conn *c);
static void refuse(struct http_conn *c, uint16_t status, const char *why);
static void deadline_set(struct http_conn *c, uint32_t ms);
static void want(struct http_conn *c, uint32_t events);
static bool account(struct http_conn *c);

void
http_conn_start(struct http_conn *c)
{
	c->watch.on_ready = on_ready;
	c->timer.on_time = on_time;
	c->in.max = HTTP_MAX_HEAD_BYTES + READ_BYTES;
	c->next.max = (size_t)2 * READ_BYTES;
	c->content.max = HTTP_MAX_BODY_BYTES;
	c->out.max = c->server->limits.out_bytes + HTTP_MAX_HEAD_BYTES;
	c->last = c->surplus;
	/* A connection that sends nothing has as long as one that does. */
	deadline_set(c, c->server->limits.head_ms);
	want(c, EPOLLIN | EPOLLRDHUP);
}

void
http_conn_close(struct http_conn *c)
{
	struct http_server *s = c->server;

	if (c->phase == HTTP_DEAD)
		return;
	c->phase = HTTP_DEAD;
	s->ops->on_close(c);
	(void)close(loop_remove(s->loop, &c->watch));
	loop_timer_clear(s->loop, &c->timer);
	for (size_t i = 0; i < c->n_fds; i++)
		fd_fini(&c->fds[i]);
	buf_fini(&c->in);
	buf_fini(&c->next);
	buf_fini(&c->content);
	buf_fini(&c->out);
	s->bytes -= c->counted_bytes;
	if (c->surplus) {
		s->n_surplus--;
	} else {
		s->n_conns--;
		c->listener->n_conns--;
	}
	if (c->before != NULL)
		c->before->after = c->after;
	else
		s->first = c->after;
	if (c->after != NULL)
		c->after->before = c->before;
	c->before = NULL;
	c->after = s->dead;
	s->dead = c;
}

size_t
http_conn_take_fds(struct http_conn *c, int out[static HTTP_MAX_FDS])
{
	size_t n = c->n_fds;

	for (size_t i = 0; i < n; i++)
		out[i] = fd_take(&c->fds[i]);
	c->n_fds = 0;
	return n;
}

/* The whole answer is in the kernel or in out: on to what follows. */
void
http_conn_answered(struct http_conn *c)
{
	if (c->phase == HTTP_DEAD)
		return;
	if (c->out.n > 0) {
		c->phase = HTTP_FLUSH;
		deadline_set(c, c->server->limits.body_ms);
		return;
	}
	if (c->last || c->ended) {
		linger(c);
		return;
	}
	request_clear(c);
	run(c);
}

void
http_conn_send(struct http_conn *c, struct str head, struct str body)
{
	struct iovec iov[2] = { { .iov_len = head.n }, { .iov_len = body.n } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = body.n > 0 ? 2 : 1 };
	size_t sent = 0;
	ssize_t r;

	if (c->phase == HTTP_DEAD)
		return;
	if (c->out.n == 0) {
		/* sendmsg(2) does not write to what it sends. */
		memcpy(&iov[0].iov_base, &head.p, sizeof(head.p));
		memcpy(&iov[1].iov_base, &body.p, sizeof(body.p));
		do {
			r = sendmsg(
			    c->watch.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		} while (r < 0 && errno == EINTR);
		if (r < 0 && errno != EAGAIN) {
			http_conn_close(c);
			return;
		}
		sent = r > 0 ? (size_t)r : 0;
	}
	if (sent < head.n) {
		buf_add(&c->out, head.p + sent, head.n - sent);
		sent = head.n;
	}
	if (sent - head.n < body.n)
		buf_add(&c->out, body.p + (sent - head.n),
		    body.n - (sent - head.n));
	if (c->out.failed || !account(c)) {
		http_conn_close(c);
		return;
	}
	if (c->out.n == 0)
		return;
	want(c, EPOLLOUT | (c->ended ? 0 : EPOLLRDHUP));
	if (c->phase == HTTP_STREAM && c->deadline_ns == 0)
		deadline_set(c, c->server->limits.body_ms);
}

static void
on_ready(struct loop_watch *w, uint32_t events)
{
	struct http_conn *c = LOOP_OF(w, struct http_conn, watch);

	if ((events & EPOLLERR) != 0) {
		http_conn_close(c);
		return;
	}
	if (c->phase == HTTP_TAKEN) {
		c->server->ops->on_taken(c, events);
		return;
	}
	if ((events & EPOLLOUT) != 0) {
		flush(c);
		if (c->phase == HTTP_DEAD)
			return;
	}
	switch (c->phase) {
	case HTTP_HEAD:
		if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0)
			read_head(c);
		return;
	case HTTP_BODY:
		if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0)
			read_body(c);
		return;
	case HTTP_ASKED:
	case HTTP_STREAM:
	case HTTP_FLUSH:
		if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0)
			hung_up(c, events);
		else if ((events & EPOLLIN) != 0)
			/* The next request: it waits for its turn. */
			want(c, (c->watch.events & ~(uint32_t)EPOLLIN));
		return;
	case HTTP_LINGER:
		read_away(c);
		return;
	case HTTP_TAKEN:
	case HTTP_DEAD:
		return;
	}
}

/*
 * One timer serves all deadlines: a later one is only noted, and looked up
 * when the timer goes off. So a request costs no change of timers.
 */
static void
on_time(struct loop_timer *t)
{
	struct http_conn *c = LOOP_OF(t, struct http_conn, timer);

	if (c->deadline_ns == 0)
		return;
	if (loop_now_ns(c->server->loop) < c->deadline_ns) {
		loop_timer_set(c->server->loop, t, c->deadline_ns);
		return;
	}
	c->deadline_ns = 0;
	switch (c->phase) {
	case HTTP_HEAD:
		if (c->in.n > 0)
			refuse(c, 408, "the head did not come in time");
		else
			http_conn_close(c);
		return;
	case HTTP_BODY:
		refuse(c, 408, "the body did not come in time");
		return;
	case HTTP_STREAM:
	case HTTP_FLUSH:
	case HTTP_LINGER:
		http_conn_close(c);
		return;
	case HTTP_ASKED:
	case HTTP_TAKEN:
	case HTTP_DEAD:
		return;
	}
}

/* Works off what has been received, until something has to be waited for. */
static void
run(struct http_conn *c)
{
	if (c->running)
		return;
	c->running = true;
	while (c->phase == HTTP_HEAD && c->in.n > 0 && head_take(c))
		;
	c->running = false;
	if (c->phase == HTTP_HEAD || c->phase == HTTP_BODY)
		want(c, EPOLLIN | EPOLLRDHUP);
	if (c->phase == HTTP_HEAD && c->in.n == 0) {
		if (c->keep_idle)
			c->deadline_ns = 0;
		else
			deadline_set(c, c->server->limits.idle_ms);
	}
}

/* False when the head is not whole yet. */
static bool
head_take(struct http_conn *c)
{
	const struct http_ops *ops = c->server->ops;
	struct err e = {};
	uint16_t status = 400;
	ssize_t r = http1_request(c->in.p, c->in.n, &c->head, &status, &e);

	if (r <= 0) {
		/* Not one of its fields is to be believed, and what they
		 * point at moves when more of the head comes. */
		c->head.method = STR("");
		c->head.n = 0;
	}
	if (r == 0)
		return false;
	if (r < 0) {
		refuse(c, status, e.text);
		return true;
	}
	if (!c->head.keep_alive)
		c->last = true;
	if (c->surplus) {
		refuse(c, 503, "too many connections");
		return true;
	}
	if (c->head.body != HTTP1_BODY_NONE && ops->takes_body != NULL &&
	    ops->takes_body(c)) {
		/* Where the next request would begin is the role's to know. */
		c->last = true;
		c->used = (size_t)r;
		c->body = STR("");
		request_hand_over(c);
		return true;
	}
	if (c->head.body == HTTP1_BODY_LENGTH &&
	    c->head.length > HTTP_MAX_BODY_BYTES) {
		refuse(c, 413, "the body is over the limit");
		return true;
	}
	body_begin(c, (size_t)r);
	return true;
}

static void
body_begin(struct http_conn *c, size_t head_bytes)
{
	struct str rest = { c->in.p + head_bytes, c->in.n - head_bytes };

	/* The usual case: it is all here, and stays where it is. */
	if (c->head.body == HTTP1_BODY_NONE ||
	    (c->head.body == HTTP1_BODY_LENGTH && c->head.length <= rest.n)) {
		rest.n = c->head.body == HTTP1_BODY_NONE
		    ? 0
		    : (size_t)c->head.length;
		c->body = rest;
		c->used = head_bytes + rest.n;
		request_hand_over(c);
		return;
	}
	c->phase = HTTP_BODY;
	c->used = c->in.n;
	c->step_bytes = HTTP_BODY_STEP_BYTES;
	http1_body_init(&c->decoder, &c->head, HTTP_MAX_BODY_BYTES);
	deadline_set(c, c->server->limits.body_ms);
	if (c->head.expect_continue && rest.n == 0) {
		http_conn_send(
		    c, STR("HTTP/1.1 100 Continue\r\n\r\n"), STR(""));
		if (c->phase == HTTP_DEAD)
			return;
	}
	body_take(c, rest);
}

/* What is behind the body is kept for later. */
static void
body_take(struct http_conn *c, struct str bytes)
{
	struct err e = {};
	uint16_t status = 400;
	ssize_t r = http1_body_feed(
	    &c->decoder, bytes.p, bytes.n, &c->content, &status, &e);

	if (r < 0) {
		refuse(c, status, e.text);
		return;
	}
	if (c->content.failed || !account(c)) {
		refuse(c, 503, "no memory left for this request");
		return;
	}
	if (!c->decoder.done) {
		if (c->decoder.total >= c->step_bytes) {
			c->step_bytes = c->decoder.total + HTTP_BODY_STEP_BYTES;
			deadline_set(c, c->server->limits.body_ms);
		}
		return;
	}
	buf_add(&c->next, bytes.p + r, bytes.n - (size_t)r);
	must(!c->next.failed);
	c->body = buf_str(&c->content);
	request_hand_over(c);
}

static void
request_hand_over(struct http_conn *c)
{
	c->phase = HTTP_ASKED;
	c->deadline_ns = 0;
	c->server->ops->on_request(c);
}

/* Makes room for the next request, keeping what of it is here already. */
static void
request_clear(struct http_conn *c)
{
	for (size_t i = 0; i < c->n_fds; i++)
		fd_fini(&c->fds[i]);
	c->n_fds = 0;
	c->fds_lost = false;
	buf_drop(&c->in, c->used);
	c->used = 0;
	if (c->next.n > 0) {
		buf_add_str(&c->in, buf_str(&c->next));
		must(!c->in.failed);
		buf_reset(&c->next);
	}
	if (c->content.cap > HTTP_KEEP_BYTES) {
		size_t max = c->content.max;

		buf_fini(&c->content);
		c->content.max = max;
	}
	if (c->out.cap > HTTP_KEEP_BYTES) {
		size_t max = c->out.max;

		buf_fini(&c->out);
		c->out.max = max;
	}
	buf_reset(&c->content);
	buf_reset(&c->out);
	(void)account(c);
	c->phase = HTTP_HEAD;
	if (c->in.n > 0)
		deadline_set(c, c->server->limits.head_ms);
}

/* As recv(2), and collects descriptors where there can be some. */
static ssize_t
receive(struct http_conn *c, char *to, size_t n)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * CONTROL_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { to, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	if (c->listener == NULL || !c->listener->local) {
		do {
			r = recv(c->watch.fd, to, n, MSG_DONTWAIT);
		} while (r < 0 && errno == EINTR);
		return r;
	}
	m.msg_control = control.space;
	m.msg_controllen = sizeof(control.space);
	do {
		r = recvmsg(c->watch.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return r;
	if ((m.msg_flags & MSG_CTRUNC) != 0)
		c->fds_lost = true;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL;
	     h = CMSG_NXTHDR(&m, h)) {
		size_t got;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		got = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < got; i++) {
			own_fd int fd = -1;

			memcpy(
			    &fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->n_fds < HTTP_MAX_FDS)
				c->fds[c->n_fds++] = fd_take(&fd);
			else
				c->fds_lost = true;
		}
	}
	return r;
}

static void
read_head(struct http_conn *c)
{
	bool first = c->in.n == 0;
	char *to = buf_reserve(&c->in, READ_BYTES);
	ssize_t r;

	/* in has room for a head and one read more, so there is some. */
	must(to != NULL);
	r = receive(c, to, READ_BYTES);
	if (r < 0) {
		if (errno != EAGAIN)
			http_conn_close(c);
		return;
	}
	if (r == 0) {
		on_end(c);
		return;
	}
	c->in.n += (size_t)r;
	if (!account(c)) {
		refuse(c, 503, "no memory left for this connection");
		return;
	}
	run(c);
	if (first && c->phase == HTTP_HEAD && c->in.n > 0)
		deadline_set(c, c->server->limits.head_ms);
}

static void
read_body(struct http_conn *c)
{
	static char bytes[READ_BYTES];
	ssize_t r = receive(c, bytes, sizeof(bytes));

	if (r < 0) {
		if (errno != EAGAIN)
			http_conn_close(c);
		return;
	}
	if (r == 0) {
		on_end(c);
		return;
	}
	body_take(c, (struct str){ bytes, (size_t)r });
}

static void
read_away(struct http_conn *c)
{
	static char bytes[READ_BYTES];
	ssize_t r;

	/* Descriptors that come now are closed with the connection. */
	r = receive(c, bytes, sizeof(bytes));
	if (r == 0 || (r < 0 && errno != EAGAIN))
		http_conn_close(c);
}

/* The client's last byte is read. */
static void
on_end(struct http_conn *c)
{
	c->ended = true;
	c->last = true;
	if (c->phase == HTTP_HEAD && c->in.n == 0) {
		http_conn_close(c);
		return;
	}
	refuse(c, 400, "the request ends before it is whole");
}

/*
 * A FIN: from a client that has gone, or that only said it will send no more.
 * TCP does not tell the two apart until something is written.
 */
static void
hung_up(struct http_conn *c, uint32_t events)
{
	c->ended = true;
	c->last = true;
	if ((events & EPOLLHUP) != 0 || /* both ways: nobody reads */
	    (c->phase != HTTP_FLUSH && c->server->ops->on_hangup(c))) {
		http_conn_close(c);
		return;
	}
	if (c->phase != HTTP_DEAD)
		want(c, c->out.n > 0 ? EPOLLOUT : 0);
}

static void
flush(struct http_conn *c)
{
	ssize_t r;

	if (c->out.n > 0) {
		do {
			r = send(c->watch.fd, c->out.p, c->out.n,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
		} while (r < 0 && errno == EINTR);
		if (r < 0) {
			if (errno != EAGAIN)
				http_conn_close(c);
			return;
		}
		buf_drop(&c->out, (size_t)r);
		if (c->phase == HTTP_STREAM || c->phase == HTTP_FLUSH)
			deadline_set(c, c->server->limits.body_ms);
	}
	if (c->out.n > 0)
		return;
	if (c->phase == HTTP_STREAM)
		c->deadline_ns = 0;
	want(c, c->ended ? 0 : EPOLLIN | EPOLLRDHUP);
	if (c->phase == HTTP_FLUSH)
		http_conn_answered(c);
	else if (c->phase == HTTP_STREAM && c->server->ops->on_drained != NULL)
		c->server->ops->on_drained(c);
}

/*
 * Closes our end and waits for the client to close its own. With unread bytes
 * in the socket a close(2) sends RST, which makes the client's kernel throw
 * away an answer that it has not read yet. RFC 9112 section 9.6.
 */
static void
linger(struct http_conn *c)
{
	c->phase = HTTP_LINGER;
	if (c->ended || shutdown(c->watch.fd, SHUT_WR) < 0) {
		http_conn_close(c);
		return;
	}
	want(c, EPOLLIN | EPOLLRDHUP);
	deadline_set(c, c->server->limits.linger_ms);
}

static void
refuse(struct http_conn *c, uint16_t status, const char *why)
{
	c->last = true;
	c->phase = HTTP_ASKED;
	c->deadline_ns = 0;
	c->server->ops->refuse(c, status, why);
}

static void
deadline_set(struct http_conn *c, uint32_t ms)
{
	c->deadline_ns = loop_now_ns(c->server->loop) + (int64_t)ms * NS_PER_MS;
	if (c->timer.at_ns == 0 || c->timer.at_ns > c->deadline_ns)
		loop_timer_set(c->server->loop, &c->timer, c->deadline_ns);
}

static void
want(struct http_conn *c, uint32_t events)
{
	struct err e = {};

	/* It fails only for want of kernel memory: an edge may be lost, and
	 * with it this one connection. */
	if (loop_want(c->server->loop, &c->watch, events, &e) < 0)
		http_conn_close(c);
}

/* Counts the connection's buffers. False when all together are too much. */
static bool
account(struct http_conn *c)
{
	size_t now = c->in.cap + c->next.cap + c->content.cap + c->out.cap;
	struct http_server *s = c->server;

	s->bytes += now - c->counted_bytes;
	c->counted_bytes = now;
	return s->bytes <= s->limits.bytes;
}
