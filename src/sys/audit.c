#include "sys/audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/fd.h"

enum {
	READLOG = 1 << (AUDIT_NLGRP_READLOG - 1),
	/* Linux 6.15; older headers do not have them. */
	LANDLOCK_ACCESS = 1423,
	LANDLOCK_DOMAIN = 1424,
	ANSWER_MS = 2000,
	ROOM_BYTES = 1024 * 1024, /* a burst of some thousand records */
};

static int filter(
    int fd, struct sock_filter *program, unsigned short n, struct err *e);

enum audit_state
audit_state(void)
{
	struct {
		struct nlmsghdr head;
	} ask = {
		.head = {
			.nlmsg_len = sizeof(ask),
			.nlmsg_type = AUDIT_GET,
			.nlmsg_flags = NLM_F_REQUEST,
		},
	};
	struct {
		struct nlmsghdr head;
		union {
			struct nlmsgerr error;
			struct audit_status status;
			char room[512];
		};
	} answer = {};
	own_fd int fd =
	    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (fd < 0)
		return AUDIT_STATE_NONE;
	if (send(fd, &ask, sizeof(ask), 0) < 0)
		return errno == EPERM ? AUDIT_STATE_HIDDEN : AUDIT_STATE_NONE;
	/* A thread of the kernel's answers. */
	if (poll(&wait, 1, ANSWER_MS) != 1)
		return AUDIT_STATE_NONE;
	n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (n < (ssize_t)(sizeof(answer.head) + 2 * sizeof(uint32_t)))
		return AUDIT_STATE_NONE;
	if (answer.head.nlmsg_type == NLMSG_ERROR)
		return answer.error.error == -EPERM ? AUDIT_STATE_HIDDEN
						    : AUDIT_STATE_NONE;
	if (answer.head.nlmsg_type != AUDIT_GET)
		return AUDIT_STATE_NONE;
	return answer.status.enabled != 0 ? AUDIT_STATE_ON : AUDIT_STATE_OFF;
}

int
audit_open(struct err *e)
{
	struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	const struct sockaddr_nl at = {
		.nl_family = AF_NETLINK,
		.nl_groups = READLOG,
	};
	own_fd int fd = -1;

	switch (audit_state()) {
	case AUDIT_STATE_NONE:
	case AUDIT_STATE_OFF:
		return err_set(e, "no audit, or it is off");
	case AUDIT_STATE_HIDDEN: /* who may not ask may still listen */
	case AUDIT_STATE_ON:
		break;
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (fd < 0)
		return err_sys(e, "audit socket");
	if (filter(fd, nothing, 1, e) < 0)
		return -1;
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return err_sys(e, "listen to audit");
	return fd_take(&fd);
}

int
audit_hear(int fd, struct err *e)
{
	/* A filter loads in network order; nlmsg_type is in the machine's. */
	struct sock_filter some[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
		    offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, htons(LANDLOCK_ACCESS), 3, 0),
		BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, htons(LANDLOCK_DOMAIN), 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(AUDIT_SYSCALL), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const int room = ROOM_BYTES;

	/* As much as the machine allows: what does not fit is lost. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return filter(fd, some, sizeof(some) / sizeof(some[0]), e);
}

static int
filter(int fd, struct sock_filter *program, unsigned short n, struct err *e)
{
	const struct sock_fprog p = { .len = n, .filter = program };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0)
		return err_sys(e, "filter audit records");
	return 0;
}
