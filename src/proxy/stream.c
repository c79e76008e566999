#include "proxy/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/must.h"
#include "sys/fd.h"

static ssize_t plain_read(struct stream *s, void *p, size_t n);
static ssize_t plain_write(struct stream *s, const void *p, size_t n);
static void plain_want(struct stream *s, uint32_t events);
static void plain_end(struct stream *s);
static void plain_close(struct stream *s, bool hard);
static int plain_move(struct stream *s, struct stream *to, struct err *e);
static void on_watch(struct loop_watch *w, uint32_t events);

static const struct stream_ops plain_ops = {
	.read = plain_read,
	.write = plain_write,
	.want = plain_want,
	.end = plain_end,
	.close = plain_close,
	.move = plain_move,
};

int
stream_open_take(struct stream *s, struct loop *loop, int fd, struct err *e)
{
	own_fd int mine = fd;
	const int on = 1;

	must(s->on_ready != NULL);
	(void)setsockopt(mine, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->loop = loop;
	s->watch = (struct loop_watch){ .fd = mine, .on_ready = on_watch };
	if (loop_add(loop, &s->watch, e) < 0)
		return -1;
	(void)fd_take(&mine);
	s->ops = &plain_ops;
	return 0;
}

static ssize_t
plain_read(struct stream *s, void *p, size_t n)
{
	return recv(s->watch.fd, p, n, MSG_DONTWAIT);
}

static ssize_t
plain_write(struct stream *s, const void *p, size_t n)
{
	return send(s->watch.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
plain_want(struct stream *s, uint32_t events)
{
	struct err e = {};

	/* EPOLLHUP is told whether wanted or not, and for ever; who waits for
	 * nothing hears of it once. */
	if (events == 0)
		events = EPOLLET;
	/* Only a descriptor that is not watched can fail here. */
	must(loop_want(s->loop, &s->watch, events, &e) == 0);
}

static void
plain_end(struct stream *s)
{
	(void)shutdown(s->watch.fd, SHUT_WR); /* gone already: fine */
}

static void
plain_close(struct stream *s, bool hard)
{
	const struct linger at_once = { .l_onoff = 1 };
	int fd = loop_remove(s->loop, &s->watch);

	if (hard)
		(void)setsockopt(
		    fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	fd_fini(&fd);
	s->ops = NULL;
}

static int
plain_move(struct stream *s, struct stream *to, struct err *e)
{
	int fd = loop_remove(s->loop, &s->watch);

	s->ops = NULL;
	return stream_open_take(to, s->loop, fd, e);
}

static void
on_watch(struct loop_watch *w, uint32_t events)
{
	struct stream *s = LOOP_OF(w, struct stream, watch);

	s->on_ready(s, events);
}
