#include "proxy/stream.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "proxy/tls.h"
#include "sys/fd.h"

static void on_event(struct loop_watch *w, uint32_t events);
static void on_again(struct loop_timer *t);

void
stream_init(struct stream *s)
{
	must(s->loop != NULL && s->on_ready != NULL);
	s->watch = (struct loop_watch){ .fd = -1 };
	s->again = (struct loop_timer){ .on_time = on_again };
	s->tls = NULL;
	s->wants_in = s->wants_out = s->shut = false;
}

int
stream_open_take(struct stream *s, int fd, struct err *e)
{
	own_fd int mine = fd;

	must(!stream_is_open(s));
	if (fd_nonblock(mine, e) < 0)
		return -1;
	s->watch = (struct loop_watch){ .fd = mine, .on_ready = on_event };
	if (loop_add(s->loop, &s->watch, e) < 0) {
		s->watch.fd = -1;
		return -1;
	}
	(void)fd_take(&mine);
	return 0;
}

void
stream_close(struct stream *s)
{
	if (!stream_is_open(s))
		return;
	loop_timer_clear(s->loop, &s->again);
	if (s->tls != NULL) {
		tls_shut(s->tls);
		tls_free(s->tls);
		s->tls = NULL;
	}
	int fd = loop_remove(s->loop, &s->watch);

	fd_fini(&fd);
	s->wants_in = s->wants_out = s->shut = false;
}

bool
stream_is_open(const struct stream *s)
{
	return s->watch.fd >= 0;
}

ssize_t
stream_read(struct stream *s, void *p, size_t n)
{
	ssize_t got;

	if (s->tls != NULL)
		return tls_read(s->tls, p, n);
	do {
		got = recv(s->watch.fd, p, n, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	return got;
}

ssize_t
stream_write(struct stream *s, const void *p, size_t n)
{
	ssize_t got;

	must(!s->shut);
	if (s->tls != NULL)
		return tls_write(s->tls, p, n);
	do {
		got = send(s->watch.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (got < 0 && errno == EINTR);
	return got;
}

void
stream_shut(struct stream *s)
{
	if (!stream_is_open(s) || s->shut)
		return;
	s->shut = true;
	if (s->tls != NULL)
		tls_shut(s->tls);
	/* ENOTCONN: the other end is gone, which is told by a read. */
	(void)shutdown(s->watch.fd, SHUT_WR);
}

void
stream_want(struct stream *s, bool in, bool out)
{
	uint32_t events = 0;
	struct err e = {};

	if (!stream_is_open(s))
		return;
	s->wants_in = in;
	s->wants_out = out;
	if (s->tls != NULL) {
		/* What is decrypted already makes no descriptor ready. */
		if (in && tls_has_bytes(s->tls) && s->again.at_ns == 0)
			loop_timer_set(
			    s->loop, &s->again, loop_now_ns(s->loop));
		events = tls_events(s->tls, in, out);
	} else {
		events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0);
	}
	if (loop_want(s->loop, &s->watch, events, &e) < 0)
		log_error("stream why=\"%s\"", e.text);
}

static void
on_event(struct loop_watch *w, uint32_t events)
{
	struct stream *s = LOOP_OF(w, struct stream, watch);

	(void)events;
	s->on_ready(s);
}

static void
on_again(struct loop_timer *t)
{
	struct stream *s = LOOP_OF(t, struct stream, again);

	s->on_ready(s);
}
