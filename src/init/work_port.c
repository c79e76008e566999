/*
 * init/work_port.c: a connection to a server inside, for someone outside.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init/work.h"
#include "sys/fd.h"

static int dial(
    const struct sockaddr *to, socklen_t n, unsigned port, struct err *e);
static int hand_out(const struct work *w, int fd, struct err *e);

int
work_port(const struct work *w, struct err *e)
{
	const struct sockaddr_in to4 = {
		.sin_family = AF_INET,
		.sin_port = htons(w->q->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct sockaddr_in6 to6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(w->q->port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	own_fd int fd =
	    dial((const struct sockaddr *)&to4, sizeof(to4), w->q->port, e);

	if (fd < 0 && e->sys == ECONNREFUSED) {
		struct err second = {};

		/* What 127.0.0.1 said is what is told. */
		fd = dial((const struct sockaddr *)&to6, sizeof(to6),
		    w->q->port, &second);
	}
	if (fd < 0)
		return -1;
	return hand_out(w, fd, e);
}

static int
dial(const struct sockaddr *to, socklen_t n, unsigned port, struct err *e)
{
	own_fd int fd = socket(
	    to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(errno);
	int r, error = 0;

	if (fd < 0)
		return err_sys(e, "socket");
	if (connect(fd, to, n) == 0)
		return fd_take(&fd);
	if (errno != EINPROGRESS)
		return err_sys(e, "connect to port %u", port);
	do
		r = poll(&wait, 1, RPC_CONNECT_MS);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(e, "poll");
	if (r == 0)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return err_sys(e, "getsockopt");
	if (error == 0)
		return fd_take(&fd);
	errno = error;
	return err_sys(e, "connect to port %u", port);
}

/* RPC_STARTED; PID 1 says RPC_DONE when this process has ended. */
static int
hand_out(const struct work *w, int fd, struct err *e)
{
	struct rpc_reply r = { .id = w->q->id, .kind = RPC_STARTED };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec part = { .iov_base = &r, .iov_len = sizeof(r) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	work_alive();
	if (sendmsg(w->fd, &m, MSG_NOSIGNAL) < 0)
		return err_sys(e, "hand out a connection");
	return 0;
}
