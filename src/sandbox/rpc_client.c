#include "sandbox/rpc_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/must.h"
#include "sys/fd.h"

union fd_room {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int) * RPC_MAX_FDS)];
};

int
rpc_send(int rpc, const struct rpc_request *q, const char *const *strings,
    unsigned n, const int *fds, unsigned n_fds, struct err *e)
{
	char payload[RPC_MAX_PAYLOAD_BYTES];
	union fd_room control = {};
	struct rpc_request copy = *q;
	struct iovec parts[2] = {
		{ .iov_base = &copy, .iov_len = sizeof(copy) },
		{ .iov_base = payload },
	};
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	size_t used = 0;

	must(n_fds <= RPC_MAX_FDS);
	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(strings[i]) + 1;

		if (len > sizeof(payload) - used) {
			errno = E2BIG;
			return err_sys(e, "arguments and environment");
		}
		memcpy(payload + used, strings[i], len);
		used += len;
	}
	parts[1].iov_len = used;
	if (n_fds > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * n_fds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len =
		    (socklen_t)CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * n_fds);
	}
	if (sendmsg(rpc, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, "ask the sandbox");
	return 0;
}

int
rpc_receive(int rpc, struct rpc_reply *out, int fds[RPC_MAX_FDS], struct err *e)
{
	union fd_room control;
	struct iovec part = { .iov_base = out, .iov_len = sizeof(*out) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c;
	ssize_t n;

	for (int i = 0; i < RPC_MAX_FDS; i++)
		fds[i] = -1;
	n = recvmsg(rpc, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_sys(e, "hear from the sandbox");
	if (n == 0)
		return err_set(e, "the sandbox has closed its rpc socket");
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL && c->cmsg_level == SOL_SOCKET &&
	    c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(0))
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	if (n == (ssize_t)sizeof(*out) &&
	    (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && out->kind > 0 &&
	    out->kind < RPC_REPLY_KINDS) {
		out->text[sizeof(out->text) - 1] = '\0';
		return 1;
	}
	for (int i = 0; i < RPC_MAX_FDS; i++)
		fd_fini(&fds[i]);
	return err_set(e, "the sandbox sent no reply of ours");
}
