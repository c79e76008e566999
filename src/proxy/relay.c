/*
 * proxy/relay.c: bytes from one socket to the other, by splice(2): they stay in
 * the kernel. A pipe is needed for as long as bytes are in it, so idle
 * connections have none.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/flow.h"
#include "proxy/proxy.h"
#include "sys/fd.h"

enum { ROUNDS = 8, TENTHS = 10, TENTH_NS = 100 * 1000 * 1000 };

static void on_client(struct stream *s, uint32_t events);
static void on_server(struct stream *s, uint32_t events);
static void on_pace(struct loop_timer *t);
static void on_idle(struct loop_timer *t);
static void pump_both(struct flow *f);
static int pump(struct flow *f, bool up);
static ssize_t peek_end(int fd);
static size_t allowance(const struct flow *f, bool up);
static int pipe_get(struct proxy *p, int out[static 2]);
static void pipe_put(struct proxy *p, struct flow_way *way);
static void want(struct flow *f);
static bool paced(const struct flow *f);

void
relay_start(struct flow *f)
{
	f->state = FLOW_RELAY;
	f->client.on_ready = on_client;
	f->server.on_ready = on_server;
	f->pace.on_time = on_pace;
	f->timer.on_time = on_idle;
	if (f->verdict.bytes_per_s > 0)
		loop_timer_set(
		    f->proxy->loop, &f->pace, clock_mono_ns() + TENTH_NS);
	pump_both(f);
}

void
relay_fini(struct flow *f)
{
	loop_timer_clear(f->proxy->loop, &f->pace);
	pipe_put(f->proxy, &f->up);
	pipe_put(f->proxy, &f->down);
}

void
relay_pipes_free(struct proxy *p)
{
	while (p->n_pipes > 0) {
		p->n_pipes--;
		fd_fini(&p->pipes[p->n_pipes][0]);
		fd_fini(&p->pipes[p->n_pipes][1]);
	}
}

static void
on_client(struct stream *s, uint32_t events)
{
	struct flow *f = LOOP_OF(s, struct flow, client);

	(void)events;
	pump_both(f);
}

static void
on_server(struct stream *s, uint32_t events)
{
	struct flow *f = LOOP_OF(s, struct flow, server);

	(void)events;
	pump_both(f);
}

static void
on_pace(struct loop_timer *t)
{
	struct flow *f = LOOP_OF(t, struct flow, pace);

	f->moved = 0;
	loop_timer_set(f->proxy->loop, t, clock_mono_ns() + TENTH_NS);
	pump_both(f);
}

static void
on_idle(struct loop_timer *t)
{
	flow_close(LOOP_OF(t, struct flow, timer), true, "idle for too long");
}

static void
pump_both(struct flow *f)
{
	int up = pump(f, true), down = up < 0 ? -1 : pump(f, false);

	if (down < 0) {
		bool over = f->verdict.max_body != UINT64_MAX &&
		    f->sent >= f->verdict.max_body;

		flow_close(f, true, over ? "more than max_body" : "reset");
		return;
	}
	if (f->up.ended && f->down.ended) {
		flow_close(f, false, NULL);
		return;
	}
	loop_timer_set(f->proxy->loop, &f->timer,
	    loop_now_ns(f->proxy->loop) + (int64_t)EGRESS_IDLE_MS * 1000000);
	want(f);
}

/* One direction, until it would wait. -1: the connection is broken. */
static int
pump(struct flow *f, bool up)
{
	struct flow_way *way = up ? &f->up : &f->down;
	int from = (up ? &f->client : &f->server)->watch.fd;
	int to = (up ? &f->server : &f->client)->watch.fd;
	const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

	for (int i = 0; i < ROUNDS && !way->ended; i++) {
		size_t most = allowance(f, up);
		ssize_t n;

		if (way->pipe[0] < 0 && pipe_get(f->proxy, way->pipe) < 0)
			return -1;
		if (way->n == 0) {
			if (paced(f))
				break;
			n = most > 0 ? splice(from, NULL, way->pipe[1], NULL,
					   most, flags)
				     : peek_end(from);
			if (n < 0 && errno == EAGAIN)
				break;
			if (n < 0)
				return -1;
			if (n == 0) {
				way->ended = true;
				stream_end(up ? &f->server : &f->client);
				break;
			}
			way->n = (size_t)n;
			f->moved += (uint64_t)n;
			*(up ? &f->sent : &f->received) += (uint64_t)n;
		}
		n = splice(way->pipe[0], NULL, to, NULL, way->n, flags);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return -1;
		way->n -= (size_t)n;
	}
	if (way->n == 0)
		pipe_put(f->proxy, way);
	return 0;
}

/* As much was sent as may be: the end may come, and no byte more. */
static ssize_t
peek_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		errno = EMSGSIZE;
	return n > 0 ? -1 : n;
}

static size_t
allowance(const struct flow *f, bool up)
{
	uint64_t left = f->verdict.max_body - f->sent;

	if (!up || left > EGRESS_PIPE_BYTES)
		return EGRESS_PIPE_BYTES;
	return (size_t)left;
}

static bool
paced(const struct flow *f)
{
	return f->verdict.bytes_per_s > 0 &&
	    f->moved > f->verdict.bytes_per_s / TENTHS;
}

static int
pipe_get(struct proxy *p, int out[static 2])
{
	if (p->n_pipes > 0) {
		p->n_pipes--;
		out[0] = p->pipes[p->n_pipes][0];
		out[1] = p->pipes[p->n_pipes][1];
		return 0;
	}
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0) {
		out[0] = out[1] = -1;
		return -1;
	}
	/* Where a user may have no larger ones, the usual size does. */
	(void)fcntl(out[1], F_SETPIPE_SZ, EGRESS_PIPE_BYTES);
	return 0;
}

/* One that still holds bytes is never used again. */
static void
pipe_put(struct proxy *p, struct flow_way *way)
{
	if (way->pipe[0] < 0)
		return;
	if (way->n == 0 && p->n_pipes < EGRESS_PIPES_KEPT) {
		p->pipes[p->n_pipes][0] = way->pipe[0];
		p->pipes[p->n_pipes][1] = way->pipe[1];
		p->n_pipes++;
		way->pipe[0] = way->pipe[1] = -1;
		return;
	}
	fd_fini(&way->pipe[0]);
	fd_fini(&way->pipe[1]);
	way->n = 0;
}

static void
want(struct flow *f)
{
	const bool wait = paced(f);
	uint32_t client = 0, server = 0;

	if (f->up.n > 0)
		server |= EPOLLOUT;
	else if (!f->up.ended && !wait)
		client |= EPOLLIN;
	if (f->down.n > 0)
		client |= EPOLLOUT;
	else if (!f->down.ended && !wait)
		server |= EPOLLIN;
	stream_want(&f->client, client);
	stream_want(&f->server, server);
}
