/*
 * init/watch_sockets.c: what sockets hold, by the kernel's own account.
 */
#include "init/watch.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

enum {
	ROOM_BYTES = 32 * 1024,
	ALL_STATES = -1,
	SOCKET_BYTES = 2048, /* of an empty one */
};

struct ask {
	struct nlmsghdr head;
	union {
		struct unix_diag_req of_unix;
		struct inet_diag_req_v2 of_inet;
	};
};

static uint64_t add_kind(int diag, int family, int protocol, uint64_t *told);
static size_t write_ask(struct ask *out, int family, int protocol);
static uint64_t add_one(struct nlmsghdr *m, int family, uint64_t *told);

uint64_t
watch_sockets(int diag, uint64_t *told)
{
	static const struct {
		int family, protocol;
	} kinds[] = {
		{ AF_UNIX, 0 },
		{ AF_INET, IPPROTO_TCP },
		{ AF_INET6, IPPROTO_TCP },
		{ AF_INET, IPPROTO_UDP },
		{ AF_INET6, IPPROTO_UDP },
	};
	uint64_t bytes = 0;

	*told = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		bytes +=
		    add_kind(diag, kinds[i].family, kinds[i].protocol, told);
	return bytes;
}

/* A kernel that cannot tell of them answers with an error. */
static uint64_t
add_kind(int diag, int family, int protocol, uint64_t *told)
{
	static _Alignas(struct nlmsghdr) char room[ROOM_BYTES];
	uint64_t bytes = 0;
	struct ask ask;
	size_t n = write_ask(&ask, family, protocol);

	if (send(diag, &ask, n, MSG_DONTWAIT) < 0)
		return 0;
	for (;;) {
		ssize_t got = recv(diag, room, sizeof(room), MSG_DONTWAIT);
		struct nlmsghdr *m = (void *)room;
		ssize_t left = got;

		if (got <= 0)
			return bytes;
		for (; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
			if (m->nlmsg_type == NLMSG_DONE ||
			    m->nlmsg_type == NLMSG_ERROR)
				return bytes;
			bytes += add_one(m, family, told);
		}
	}
}

static size_t
write_ask(struct ask *out, int family, int protocol)
{
	const bool is_unix = family == AF_UNIX;
	const size_t n =
	    NLMSG_LENGTH(is_unix ? sizeof(out->of_unix) : sizeof(out->of_inet));

	*out = (struct ask){
		.head = {
			.nlmsg_len = (uint32_t)n,
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
	};
	if (is_unix)
		out->of_unix = (struct unix_diag_req){
			.sdiag_family = AF_UNIX,
			.udiag_states = (uint32_t)ALL_STATES,
			.udiag_show = UDIAG_SHOW_MEMINFO,
		};
	else
		out->of_inet = (struct inet_diag_req_v2){
			.sdiag_family = (uint8_t)family,
			.sdiag_protocol = (uint8_t)protocol,
			.idiag_ext = 1U << (INET_DIAG_SKMEMINFO - 1),
			.idiag_states = (uint32_t)ALL_STATES,
		};
	return n;
}

static uint64_t
add_one(struct nlmsghdr *m, int family, uint64_t *told)
{
	const size_t fixed = family == AF_UNIX ? sizeof(struct unix_diag_msg)
					       : sizeof(struct inet_diag_msg);
	const int wanted =
	    family == AF_UNIX ? UNIX_DIAG_MEMINFO : INET_DIAG_SKMEMINFO;
	char *data = NLMSG_DATA(m);
	struct rtattr *a = (void *)(data + NLMSG_ALIGN(fixed));
	int left = (int)m->nlmsg_len - (int)NLMSG_SPACE(fixed);

	for (; left > 0 && RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		uint32_t of[SK_MEMINFO_BACKLOG + 1];

		if (a->rta_type != wanted || RTA_PAYLOAD(a) < sizeof(of))
			continue;
		memcpy(of, RTA_DATA(a), sizeof(of));
		(*told)++;
		return SOCKET_BYTES + (uint64_t)of[SK_MEMINFO_RMEM_ALLOC] +
		    of[SK_MEMINFO_WMEM_ALLOC] + of[SK_MEMINFO_WMEM_QUEUED] +
		    of[SK_MEMINFO_FWD_ALLOC] + of[SK_MEMINFO_OPTMEM] +
		    of[SK_MEMINFO_BACKLOG];
	}
	return 0;
}
