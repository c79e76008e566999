/*
 * A gateway in a process of its own, between real sockets and a broker that
 * the test plays. Every wait has an end: a test fails, it does not hang.
 */
#ifndef GATEWAY_RIG_H
#define GATEWAY_RIG_H

/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codec/http1.h"
#include "codec/json.h"
#include "core/id.h"
#include "gateway/gateway.h"
#include "ipc/route.h"
#include "sys/fd.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TOKEN "Authorization: Bearer run-token-1\r\n"
#define JSON_TYPE "Content-Type: application/json\r\n"
#define BOTH "Accept: application/json, text/event-stream\r\n"

enum { RIG_RUN = 7821, RIG_WAIT_MS = 5000, RIG_QUIET_MS = 30 };

struct rig {
	enum role role; /* that is tested */
	struct http_limits limits;
	struct gateway_times times;
	pid_t pid;
	int supervisor, broker;
	int run_port, tcp_port; /* of the run's door, of people's */
	struct sockaddr_un local;
	socklen_t local_n;
};

/* A frame as the broker gets it. */
struct rig_frame {
	struct msg_head head;
	_Alignas(8) char body[128];
	struct buf payload;
	int fds[IPC_MAX_FDS];
	size_t n_fds;
};

struct rig_answer {
	int status;
	struct buf head;
	struct buf body;
	bool ended; /* the server has closed */
};

static inline int
rig_tcp(int *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static inline void
rig_send_frame(int fd, uint16_t type, const void *body, size_t n,
    struct str payload, int passed)
{
	struct msg_head h = { .type = type, .payload = (uint32_t)payload.n };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov[3] = { { &h, sizeof(h) }, { .iov_len = n },
		{ .iov_len = payload.n } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 3 };
	own_fd int memfd = -1;
	struct err e = {};

	memcpy(&iov[1].iov_base, &body, sizeof(body));
	memcpy(&iov[2].iov_base, &payload.p, sizeof(payload.p));
	if (payload.n > IPC_MAX_FRAME_BYTES - 256) {
		memfd = fd_sealed(payload.p, payload.n, &e);
		assert_true(memfd >= 0);
		h.flags = MSG_MEMFD;
		m.msg_iovlen = 2;
		passed = memfd;
	}
	if (passed >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	assert_true(sendmsg(fd, &m, MSG_NOSIGNAL) > 0);
}

/* False when nothing comes within wait_ms. */
static inline bool
rig_readable(int fd, int wait_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, wait_ms) == 1;
}

static inline void
rig_frame_fini(struct rig_frame *f)
{
	buf_fini(&f->payload);
	for (size_t i = 0; i < f->n_fds; i++)
		fd_fini(&f->fds[i]);
	f->n_fds = 0;
}

static inline void
rig_take_frame(
    const struct rig *rig, int fd, uint16_t type, struct rig_frame *f)
{
	static char bytes[IPC_MAX_FRAME_BYTES];
	union {
		char space[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	const struct route *r;
	struct err e = {};
	size_t n;
	ssize_t got;

	rig_frame_fini(f);
	assert_true(rig_readable(fd, RIG_WAIT_MS));
	got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	assert_true(got >= (ssize_t)sizeof(f->head));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c)) {
		f->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(f->fds, CMSG_DATA(c), f->n_fds * sizeof(int));
	}
	memcpy(&f->head, bytes, sizeof(f->head));
	if (f->head.type != type)
		print_error(
		    "got %s, not %s\n", msg_name(f->head.type), msg_name(type));
	assert_int_equal(f->head.type, type);
	n = (size_t)got - sizeof(f->head);
	if ((f->head.flags & MSG_MEMFD) != 0) {
		f->n_fds--;
		assert_int_equal(fd_read_sealed(f->fds[f->n_fds], &f->payload,
				     IPC_MAX_PAYLOAD_BYTES, &e),
		    0);
		fd_fini(&f->fds[f->n_fds]);
	} else {
		n -= f->head.payload;
		buf_add(
		    &f->payload, bytes + sizeof(f->head) + n, f->head.payload);
	}

	/* What the role sends is what the routes allow. */
	r = route_find(
	    rig->role, type == MSG_READY ? ROLE_SUPERVISOR : ROLE_BROKER, type);
	assert_non_null(r);
	assert_int_equal(n, r->body_bytes);
	memcpy(f->body, bytes + sizeof(f->head), n);
}

static inline void
rig_payload_is(const struct rig_frame *f, const char *want)
{
	if (!str_eq_c(buf_str(&f->payload), want))
		print_error("payload %.*s\n", STR_FMT(buf_str(&f->payload)));
	assert_true(str_eq_c(buf_str(&f->payload), want));
}

/* Starts a role with a link to its supervisor and to the broker: the test. */
static inline void
rig_fork(struct rig *r, enum role role, int (*serve)(struct rig *r, int fd))
{
	struct msg_wire wire = { .role = ROLE_BROKER };
	struct rig_frame ready = {};
	int up[2], side[2];
	struct err e = {};

	r->role = role;
	assert_int_equal(peer_pair(up, &e), 0);
	assert_int_equal(peer_pair(side, &e), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		(void)close(up[0]);
		(void)close(side[0]);
		(void)close(side[1]);
		exit(serve(r, up[1])); /* with the sanitizers' leak check */
	}
	(void)close(up[1]);
	r->supervisor = up[0];
	r->broker = side[0];
	rig_take_frame(r, r->supervisor, MSG_READY, &ready);
	rig_frame_fini(&ready);
	rig_send_frame(
	    r->supervisor, MSG_WIRE, &wire, sizeof(wire), STR(""), side[1]);
	(void)close(side[1]);
}

/* Gives the role the door of a run. */
static inline void
rig_door(struct rig *r)
{
	struct msg_door door = { .run = RIG_RUN };
	own_fd int fd = rig_tcp(&r->run_port);

	rig_send_frame(
	    r->broker, MSG_DOOR_OPEN, &door, sizeof(door), STR(""), fd);
}

static inline int
rig_serve_gateway(struct rig *r, int fd)
{
	struct gateway *g = calloc(1, sizeof(*g));
	struct err e = {};
	int status = 99;

	if (g != NULL && gateway_init(g, &r->limits, &r->times, &e) == 0 &&
	    peer_open_take(&g->supervisor, fd, &e) == 0 &&
	    gateway_run(g, &e) == 0)
		status = g->status;
	gateway_fini(g);
	free(g);
	return status;
}

/* A gateway with a door of each kind. */
static inline void
rig_start_with(struct rig *r, int (*serve)(struct rig *r, int fd))
{
	struct msg_listen tcp = { .kind = LISTEN_TCP };
	struct msg_listen local = { .kind = LISTEN_UNIX };
	own_fd int tcp_fd = -1, local_fd = -1;

	rig_fork(r, ROLE_GATEWAY, serve);
	rig_door(r);
	tcp_fd = rig_tcp(&r->tcp_port);
	rig_send_frame(
	    r->supervisor, MSG_LISTEN, &tcp, sizeof(tcp), STR(""), tcp_fd);

	/* Bound to no name, the kernel finds one: no file to leave behind. */
	local_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r->local = (struct sockaddr_un){ .sun_family = AF_UNIX };
	r->local_n = sizeof(r->local);
	assert_int_equal(
	    bind(local_fd, (struct sockaddr *)&r->local, sizeof(sa_family_t)),
	    0);
	assert_int_equal(listen(local_fd, 128), 0);
	assert_int_equal(
	    getsockname(local_fd, (struct sockaddr *)&r->local, &r->local_n),
	    0);
	rig_send_frame(r->supervisor, MSG_LISTEN, &local, sizeof(local),
	    STR(""), local_fd);
}

/* The same with r's limits and times, and not confined. */
static inline void
rig_start(struct rig *r)
{
	rig_start_with(r, rig_serve_gateway);
}

static inline void
rig_init(struct rig *r)
{
	*r = (struct rig){
		.limits = http_default_limits,
		.times = gateway_default_times,
	};
}

static inline void
rig_wait_end(struct rig *r, int want)
{
	int status = -1;

	for (int i = 0; i < RIG_WAIT_MS; i++) {
		if (waitpid(r->pid, &status, WNOHANG) == r->pid)
			break;
		(void)poll(NULL, 0, 1);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want);
}

/* The supervisor ends the link; the gateway must end well, with no leak. */
static inline void
rig_stop(struct rig *r)
{
	(void)close(r->supervisor);
	rig_wait_end(r, 0);
	(void)close(r->broker);
}

static inline int
rig_connect(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline int
rig_connect_local(const struct rig *r)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(
	    connect(fd, (const struct sockaddr *)&r->local, r->local_n), 0);
	return fd;
}

static inline void
rig_write(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		assert_true(n > 0);
		s = (struct str){ s.p + n, s.n - (size_t)n };
	}
}

/* A request with Host and, when body is not NULL, Content-Length. */
static inline void
rig_request(
    int fd, const char *line, int port, const char *fields, const char *body)
{
	own_buf struct buf b = {};

	buf_printf(
	    &b, "%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s", line, port, fields);
	if (body != NULL)
		buf_printf(&b, "Content-Length: %zu\r\n", strlen(body));
	buf_add_str(&b, STR("\r\n"));
	if (body != NULL)
		buf_add_c(&b, body);
	rig_write(fd, buf_str(&b));
}

static inline void
rig_answer_fini(struct rig_answer *a)
{
	buf_fini(&a->head);
	buf_fini(&a->body);
	*a = (struct rig_answer){};
}

/* Reads one byte. False at the end of the connection. */
static inline bool
rig_byte(int fd, char *c)
{
	assert_true(rig_readable(fd, RIG_WAIT_MS));
	return recv(fd, c, 1, 0) == 1;
}

/* Reads a whole answer, of a length, chunked, or up to the end. */
static inline void
rig_answer(int fd, struct rig_answer *a)
{
	struct http1_head h;
	struct http1_body d;
	uint16_t status = 0;
	struct err e = {};
	ssize_t n = 0;
	char c;

	rig_answer_fini(a);
	a->body.max = 32 * 1024 * 1024;
	while (n == 0) {
		if (!rig_byte(fd, &c)) {
			a->ended = true;
			return;
		}
		buf_add_byte(&a->head, c);
		n = http1_response(
		    a->head.p, a->head.n, false, &h, &status, &e);
		assert_true(n >= 0);
	}
	a->status = h.status;
	http1_body_init(&d, &h, a->body.max);
	while (!d.done) {
		static char bytes[65536];
		size_t want =
		    d.kind == HTTP1_BODY_LENGTH && d.left < sizeof(bytes)
		    ? (size_t)d.left
		    : 1;
		ssize_t got;

		if (d.kind == HTTP1_BODY_NONE || want == 0)
			break;
		assert_true(rig_readable(fd, RIG_WAIT_MS));
		got = recv(fd, bytes, want, 0);
		if (got <= 0) {
			a->ended = true;
			break;
		}
		assert_int_equal(http1_body_feed(&d, bytes, (size_t)got,
				     &a->body, &status, &e),
		    got);
	}
}

static inline void
rig_status_is(int fd, int want)
{
	struct rig_answer a = {};

	rig_answer(fd, &a);
	if (a.status != want)
		print_error(
		    "status %d: %.*s\n", a.status, STR_FMT(buf_str(&a.body)));
	assert_int_equal(a.status, want);
	rig_answer_fini(&a);
}

static inline void
rig_body_is(const struct rig_answer *a, int status, const char *want)
{
	if (a->status != status || !str_eq_c(buf_str(&a->body), want))
		print_error("%d %.*s\n", a->status, STR_FMT(buf_str(&a->body)));
	assert_int_equal(a->status, status);
	assert_true(str_eq_c(buf_str(&a->body), want));
}

static inline bool
rig_has(const struct buf *b, const char *needle)
{
	return b->n > 0 && memmem(b->p, b->n, needle, strlen(needle)) != NULL;
}

static inline void
rig_reply(const struct rig *r, uint64_t call, enum reply_kind kind,
    uint32_t http, struct str payload)
{
	struct msg_reply m = { .call = call, .kind = kind, .http = http };

	rig_send_frame(r->broker, MSG_REPLY, &m, sizeof(m), payload, -1);
}

/* The number of the call in a frame: it is the first member of both. */
static inline uint64_t
rig_call(const struct rig_frame *f)
{
	uint64_t call;

	memcpy(&call, f->body, sizeof(call));
	return call;
}

/* True when the server has closed its end. */
static inline bool
rig_is_closed(int fd)
{
	char c;

	return !rig_byte(fd, &c);
}

#endif
