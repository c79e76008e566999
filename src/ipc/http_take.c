#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/must.h"
#include "ipc/http_server.h"

void
http_take(struct http_conn *c)
{
	if (c->phase == HTTP_DEAD)
		return;
	must(c->phase == HTTP_ASKED && c->out.n == 0);
	c->phase = HTTP_TAKEN;
	c->last = true;
	c->deadline_ns = 0;
}

void
http_switch(struct http_conn *c, struct str fields)
{
	struct buf *b = &c->server->scratch;

	if (c->phase == HTTP_DEAD)
		return;
	must(c->phase == HTTP_ASKED);
	buf_reset(b);
	buf_add_str(b, STR("HTTP/1.1 101 Switching Protocols\r\n"));
	buf_add_str(b, fields);
	buf_add_str(b, STR("\r\n"));
	must(!b->failed);
	http_conn_send(c, buf_str(b), STR(""));
	/* A client that leaves no room for these few bytes reads nothing. */
	if (c->phase != HTTP_DEAD && c->out.n > 0)
		http_conn_close(c);
	http_take(c);
}

ssize_t
http_taken_read(struct http_conn *c, void *p, size_t n)
{
	ssize_t r;

	must(c->phase == HTTP_TAKEN);
	if (c->used < c->in.n) {
		if (n > c->in.n - c->used)
			n = c->in.n - c->used;
		memcpy(p, c->in.p + c->used, n);
		c->used += n;
		return (ssize_t)n;
	}
	if (c->next.n > 0) {
		if (n > c->next.n)
			n = c->next.n;
		memcpy(p, c->next.p, n);
		buf_drop(&c->next, n);
		return (ssize_t)n;
	}
	do {
		r = recv(c->watch.fd, p, n, MSG_DONTWAIT);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		c->ended = true;
	return r;
}

ssize_t
http_taken_write(struct http_conn *c, const void *p, size_t n)
{
	ssize_t r;

	must(c->phase == HTTP_TAKEN);
	do {
		r = send(c->watch.fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (r < 0 && errno == EINTR);
	return r;
}

void
http_taken_end(struct http_conn *c)
{
	must(c->phase == HTTP_TAKEN);
	(void)shutdown(c->watch.fd, SHUT_WR); /* gone already: fine */
}

void
http_taken_want(struct http_conn *c, uint32_t events)
{
	struct err e = {};

	if (c->phase != HTTP_TAKEN)
		return;
	if (c->ended) /* it stays so: it would be told again and again */
		events &= ~(uint32_t)(EPOLLIN | EPOLLRDHUP);
	/* It fails only for want of kernel memory: an edge may be lost, and
	 * with it this one connection. */
	if (loop_want(c->server->loop, &c->watch, events, &e) < 0)
		http_conn_close(c);
}

void
http_conn_finish(struct http_conn *c)
{
	if (c->phase == HTTP_DEAD)
		return;
	must(c->phase == HTTP_TAKEN);
	c->phase = HTTP_ASKED;
	http_conn_answered(c); /* the last answer: lingers, and closes */
}

void
http_give_back(struct http_conn *c)
{
	if (c->phase == HTTP_TAKEN)
		c->phase = HTTP_ASKED;
}
