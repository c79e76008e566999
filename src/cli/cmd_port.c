/*
 * `paddock port`: a TCP port inside a sandbox, as one of this machine's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "sys/fd.h"
#include "sys/signals.h"

static const char help[] =
    "usage: paddock port RUN PORT [--listen 127.0.0.1:PORT]\n"
    "\n"
    "Listens on this machine and passes every connection on to TCP port PORT\n"
    "inside the sandbox of RUN, until it is interrupted. The policy must open\n"
    "the port (sandbox.ports). Without --listen it is the same port here, or\n"
    "any that is free; which one, is the first line of output.\n"
    "\n"
    "  --listen ADDRESS    where to listen; a loopback address\n" CLIENT_HELP
    "\n"
    "example: paddock port r-7k3m9q2v5w1x 8000\n";

enum {
	TUNNELS_MAX = 64, /* at once; more wait to be accepted */
	BACKLOG = 128,
	ANSWER_MS = 15 * 1000,
};

static const struct option options[] = {
	{ "listen", required_argument, NULL, 'l' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

/* One direction of a tunnel. */
struct half {
	int from, to; /* borrowed */
	size_t at, n;
	bool ended, passed;
	char bytes[TUNNEL_BYTES];
};

struct tunnel {
	int fds[2]; /* here, there; -1: free */
	struct half in, out;
};

static struct {
	struct client client;
	char target[96];
	struct tunnel tunnels[TUNNELS_MAX];
} port;

static int listen_at(const char *where, uint16_t number, struct err *e);
static int tell(int listener, struct err *e);
static int serve(int listener, int signals, struct err *e);
static void tunnel_open(struct tunnel *t, int listener);
static void tunnel_move(struct tunnel *t);
static void tunnel_close(struct tunnel *t);
static bool half_move(struct half *h);

int
cmd_port(int argc, char **argv)
{
	struct client_options where = {};
	const char *at = NULL;
	own_fd int listener = -1;
	own_fd int signals = -1;
	struct args a;
	struct err e;
	uint64_t number;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'l':
			at = optarg;
			break;
		default:
			(void)client_option(&where, c, optarg);
		}
	}
	status = args_need(&a, 2, 2, "RUN and PORT");
	if (status != 0)
		return status;
	status = args_run(&a, args_rest(&a)[0]);
	if (status != 0)
		return status;
	if (str_to_u64(str_of(args_rest(&a)[1]), &number) < 0 || number < 1 ||
	    number > UINT16_MAX)
		return args_bad(&a, "%s is not a port", args_rest(&a)[1]);
	(void)snprintf(port.target, sizeof(port.target),
	    "/v1/sandboxes/%s/ports/%u", args_rest(&a)[0], (unsigned)number);
	for (int i = 0; i < TUNNELS_MAX; i++)
		port.tunnels[i].fds[0] = port.tunnels[i].fds[1] = -1;

	if (client_init(&port.client, &where, &e) < 0)
		return out_fail(&e);
	listener = listen_at(at, (uint16_t)number, &e);
	if (listener >= 0)
		signals = signals_fd(SIGNALS_TO_END, &e);
	if (signals < 0)
		return out_fail(&e);
	status = tell(listener, &e);
	if (status == 0)
		status = serve(listener, signals, &e);
	for (int i = 0; i < TUNNELS_MAX; i++)
		tunnel_close(&port.tunnels[i]);
	client_fini(&port.client);
	return status < 0 ? out_fail(&e) : EXIT_DONE;
}

static int
listen_at(const char *where, uint16_t number, struct err *e)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(number),
	};
	own_fd int fd =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char host[CLIENT_HOST_BYTES];
	uint16_t chosen;
	int on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return err_sys(e, "socket");
	if (where != NULL) {
		if (client_address(str_of(where), host, &chosen, e) < 0)
			return err_add(e, "--listen");
		if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
			return err_set(e, "--listen %s: not IPv4", where);
		a.sin_port = htons(chosen);
	}
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		/* Nobody asked for this one: any will do. */
		a.sin_port = 0;
		if (where != NULL ||
		    bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
			return err_sys(e, "listen on %s",
			    where != NULL ? where : "127.0.0.1");
	}
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, "listen");
	return fd_take(&fd);
}

static int
tell(int listener, struct err *e)
{
	own_buf struct buf line = {};
	struct sockaddr_in a = {};
	socklen_t n = sizeof(a);
	char host[INET_ADDRSTRLEN] = "";

	if (getsockname(listener, (struct sockaddr *)&a, &n) < 0)
		return err_sys(e, "getsockname");
	if (inet_ntop(AF_INET, &a.sin_addr, host, sizeof(host)) == NULL)
		return err_sys(e, "inet_ntop");
	buf_printf(&line, "%s:%u\n", host, ntohs(a.sin_port));
	return fd_write_all(STDOUT_FILENO, line.p, line.n, e);
}

static int
serve(int listener, int signals, struct err *e)
{
	for (;;) {
		struct pollfd p[2 + 2 * TUNNELS_MAX] = {
			{ .fd = signals, .events = POLLIN },
			{ .fd = -1, .events = POLLIN },
		};
		struct tunnel *unused = NULL;

		for (int i = 0; i < TUNNELS_MAX; i++) {
			struct tunnel *t = &port.tunnels[i];
			struct pollfd *here = &p[2 + 2 * i];

			here[0].fd = here[1].fd = -1;
			if (t->fds[0] < 0) {
				unused = t;
				continue;
			}
			if (t->in.n > 0)
				here[1].events |= POLLOUT;
			else if (!t->in.ended)
				here[0].events |= POLLIN;
			if (t->out.n > 0)
				here[0].events |= POLLOUT;
			else if (!t->out.ended)
				here[1].events |= POLLIN;
			/* Nothing to wait for is not even a hang-up. */
			for (int k = 0; k < 2; k++)
				here[k].fd =
				    here[k].events != 0 ? t->fds[k] : -1;
		}
		if (unused != NULL)
			p[1].fd = listener;
		if (poll(p, 2 + 2 * TUNNELS_MAX, -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, "poll");
		}
		if (p[0].revents != 0)
			return 0;
		for (int i = 0; i < TUNNELS_MAX; i++) {
			if (p[2 + 2 * i].revents != 0 ||
			    p[3 + 2 * i].revents != 0)
				tunnel_move(&port.tunnels[i]);
		}
		if (p[1].revents != 0)
			tunnel_open(unused, listener);
	}
}

/* A connection that cannot be passed on is closed, and said why. */
static void
tunnel_open(struct tunnel *t, int listener)
{
	own_fd int here = /* accept4(2) allows it: */
	    /* cppcheck-suppress nullPointer */
	    accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	own_conn struct client_conn conn = { .fd = -1 };
	own_reply struct client_reply reply = {};
	const struct client_request q = {
		.method = "GET",
		.target = port.target,
		.upgrade = "tcp",
	};
	struct err e;

	if (here < 0)
		return;
	if (client_send(&port.client, &q, &conn, &e) < 0 ||
	    client_head(&conn, ANSWER_MS, &reply, &e) < 0 ||
	    fd_nonblock(conn.fd, &e) < 0) {
		(void)out_fail(&e);
		return;
	}
	if (reply.status != 101 ||
	    conn.in.n - conn.used > sizeof(t->out.bytes)) {
		out_note("the daemon does not switch protocols");
		return;
	}
	must(t != NULL); /* one was free when the listener was asked */
	t->fds[0] = fd_take(&here);
	t->fds[1] = fd_take(&conn.fd);
	t->in = (struct half){ .from = t->fds[0], .to = t->fds[1] };
	t->out = (struct half){ .from = t->fds[1], .to = t->fds[0] };
	/* What the other side said at once. */
	t->out.n = conn.in.n - conn.used;
	if (t->out.n > 0)
		memcpy(t->out.bytes, conn.in.p + conn.used, t->out.n);
}

static void
tunnel_move(struct tunnel *t)
{
	if (!half_move(&t->in) || !half_move(&t->out) ||
	    (t->in.passed && t->out.passed))
		tunnel_close(t);
}

static void
tunnel_close(struct tunnel *t)
{
	fd_fini(&t->fds[0]);
	fd_fini(&t->fds[1]);
}

/* False when an end is broken. */
static bool
half_move(struct half *h)
{
	ssize_t r;

	if (h->n == 0 && !h->ended) {
		r = recv(h->from, h->bytes, sizeof(h->bytes), MSG_DONTWAIT);
		if (r < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		h->ended = r == 0;
		h->at = 0;
		h->n = r > 0 ? (size_t)r : 0;
	}
	while (h->n > 0) {
		r = send(
		    h->to, h->bytes + h->at, h->n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == EAGAIN;
		h->at += (size_t)r;
		h->n -= (size_t)r;
	}
	if (h->ended && !h->passed) {
		h->passed = true;
		(void)shutdown(h->to, SHUT_WR); /* gone already: fine */
	}
	return true;
}
