#include "sandbox/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "sys/fd.h"

enum {
	BACKLOG = 256,
	LOOPBACK_INDEX = 1, /* the first device of every namespace */
	MANGLE = -150, /* NF_IP_PRI_MANGLE, before routing */
	BATCH_BYTES = 2048,
	DADDR_OFFSET = 16, /* in an IPv4 header */
	PORT_DNS = 53,
	SEQ_ROUTE = 1,
	SEQ_RULE = 5,
};

/* Netlink messages, one behind the other. */
struct batch {
	_Alignas(NLMSG_ALIGNTO) char p[BATCH_BYTES];
	size_t n;
	size_t message; /* where the last one begins */
};

static int add_route(struct err *e);
static int add_rule(struct err *e);
static void put_rule(struct batch *b);
static void begin(struct batch *b, uint16_t type, uint16_t flags, uint32_t seq);
static void begin_nf(
    struct batch *b, uint16_t type, uint16_t flags, uint32_t seq);
static size_t nest(struct batch *b, uint16_t type);
static void nest_end(struct batch *b, size_t at);
static size_t expr(struct batch *b, size_t *elem, const char *name);
static void expr_end(struct batch *b, size_t data, size_t elem);
static void put(struct batch *b, uint16_t type, const void *p, size_t n);
static void put_u32(struct batch *b, uint16_t type, uint32_t v);
static void put_text(struct batch *b, uint16_t type, const char *text);
static void load_immediate(
    struct batch *b, uint32_t reg, const void *p, size_t n);
static void compare_byte(struct batch *b, uint32_t op, uint8_t with);
static int ask(
    int protocol, const struct batch *b, uint32_t last_seq, struct err *e);
static int open_socket(
    int type, uint32_t address, uint16_t port, int option, struct err *e);

int
net_open(int out[static NET_SOCKETS], bool *any, struct err *e)
{
	struct err no_rule = {};
	own_fd int tcp = -1, udp = -1, dns = -1;

	if (add_route(e) < 0)
		return err_add(e, "a route for every address");
	*any = add_rule(&no_rule) == 0;
	tcp = *any ? open_socket(SOCK_STREAM, INADDR_LOOPBACK, NET_TCP_PORT,
			 IP_TRANSPARENT, e)
		   : open_socket(SOCK_STREAM, INADDR_ANY, NET_PLAIN_PORT, 0, e);
	if (tcp < 0)
		return -1;
	udp = open_socket(SOCK_DGRAM, INADDR_ANY, PORT_DNS, IP_PKTINFO, e);
	if (udp < 0)
		return -1;
	dns = open_socket(SOCK_STREAM, INADDR_ANY, PORT_DNS, 0, e);
	if (dns < 0)
		return -1;
	out[NET_TCP] = fd_take(&tcp);
	out[NET_DNS_UDP] = fd_take(&udp);
	out[NET_DNS_TCP] = fd_take(&dns);
	return 0;
}

/* ip route add local default dev lo */
static int
add_route(struct err *e)
{
	struct batch b = {};
	const struct rtmsg route = {
		.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_LOCAL,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_HOST,
		.rtm_type = RTN_LOCAL,
	};
	const uint32_t device = LOOPBACK_INDEX;

	begin(&b, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE, SEQ_ROUTE);
	memcpy(b.p + b.n, &route, sizeof(route));
	b.n += NLMSG_ALIGN(sizeof(route));
	put(&b, RTA_OIF, &device, sizeof(device));
	return ask(NETLINK_ROUTE, &b, SEQ_ROUTE, e);
}

/*
 * table ip paddock { chain in {
 *	type filter hook prerouting priority mangle;
 *	meta l4proto tcp ip daddr != 127.0.0.0/8
 *		tproxy to 127.0.0.1:NET_TCP_PORT accept } }
 */
static int
add_rule(struct err *e)
{
	struct batch b = {};
	size_t hook;

	begin(&b, NFNL_MSG_BATCH_BEGIN, 0, SEQ_RULE - 3);
	const struct nfgenmsg batch = { .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	memcpy(b.p + b.n, &batch, sizeof(batch));
	b.n += NLMSG_ALIGN(sizeof(batch));

	begin_nf(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE, SEQ_RULE - 2);
	put_text(&b, NFTA_TABLE_NAME, "paddock");

	begin_nf(&b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, SEQ_RULE - 1);
	put_text(&b, NFTA_CHAIN_TABLE, "paddock");
	put_text(&b, NFTA_CHAIN_NAME, "in");
	hook = nest(&b, NFTA_CHAIN_HOOK);
	put_u32(&b, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
	put_u32(&b, NFTA_HOOK_PRIORITY, (uint32_t)MANGLE);
	nest_end(&b, hook);
	put_text(&b, NFTA_CHAIN_TYPE, "filter");

	begin_nf(&b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK,
	    SEQ_RULE);
	put_rule(&b);

	begin(&b, NFNL_MSG_BATCH_END, 0, SEQ_RULE + 1);
	memcpy(b.p + b.n, &batch, sizeof(batch));
	b.n += NLMSG_ALIGN(sizeof(batch));
	((struct nlmsghdr *)(void *)(b.p + b.message))->nlmsg_len =
	    (uint32_t)(b.n - b.message);
	return ask(NETLINK_NETFILTER, &b, SEQ_RULE, e);
}

static void
put_rule(struct batch *b)
{
	const uint8_t address[4] = { 127, 0, 0, 1 };
	const uint16_t port = htons(NET_TCP_PORT);
	size_t list, elem, data, value, verdict;

	put_text(b, NFTA_RULE_TABLE, "paddock");
	put_text(b, NFTA_RULE_CHAIN, "in");
	list = nest(b, NFTA_RULE_EXPRESSIONS);

	data = expr(b, &elem, "meta");
	put_u32(b, NFTA_META_DREG, NFT_REG_1);
	put_u32(b, NFTA_META_KEY, NFT_META_L4PROTO);
	expr_end(b, data, elem);
	compare_byte(b, NFT_CMP_EQ, IPPROTO_TCP);

	data = expr(b, &elem, "payload");
	put_u32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_u32(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	put_u32(b, NFTA_PAYLOAD_OFFSET, DADDR_OFFSET);
	put_u32(b, NFTA_PAYLOAD_LEN, 1);
	expr_end(b, data, elem);
	compare_byte(b, NFT_CMP_NEQ, address[0]);

	load_immediate(b, NFT_REG_1, address, sizeof(address));
	load_immediate(b, NFT_REG_2, &port, sizeof(port));
	data = expr(b, &elem, "tproxy");
	put_u32(b, NFTA_TPROXY_FAMILY, NFPROTO_IPV4);
	put_u32(b, NFTA_TPROXY_REG_ADDR, NFT_REG_1);
	put_u32(b, NFTA_TPROXY_REG_PORT, NFT_REG_2);
	expr_end(b, data, elem);

	data = expr(b, &elem, "immediate");
	put_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	value = nest(b, NFTA_IMMEDIATE_DATA);
	verdict = nest(b, NFTA_DATA_VERDICT);
	put_u32(b, NFTA_VERDICT_CODE, NF_ACCEPT);
	nest_end(b, verdict);
	nest_end(b, value);
	expr_end(b, data, elem);
	nest_end(b, list);
}

static void
load_immediate(struct batch *b, uint32_t reg, const void *p, size_t n)
{
	size_t elem, data = expr(b, &elem, "immediate"), value;

	put_u32(b, NFTA_IMMEDIATE_DREG, reg);
	value = nest(b, NFTA_IMMEDIATE_DATA);
	put(b, NFTA_DATA_VALUE, p, n);
	nest_end(b, value);
	expr_end(b, data, elem);
}

static void
compare_byte(struct batch *b, uint32_t op, uint8_t with)
{
	size_t elem, data = expr(b, &elem, "cmp"), value;

	put_u32(b, NFTA_CMP_SREG, NFT_REG_1);
	put_u32(b, NFTA_CMP_OP, op);
	value = nest(b, NFTA_CMP_DATA);
	put(b, NFTA_DATA_VALUE, &with, 1);
	nest_end(b, value);
	expr_end(b, data, elem);
}

/* The one before it is complete now. */
static void
begin(struct batch *b, uint16_t type, uint16_t flags, uint32_t seq)
{
	struct nlmsghdr head = {
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
		.nlmsg_seq = seq,
	};

	if (b->n > 0)
		((struct nlmsghdr *)(void *)(b->p + b->message))->nlmsg_len =
		    (uint32_t)(b->n - b->message);
	must(b->n + sizeof(head) <= BATCH_BYTES);
	b->message = b->n;
	memcpy(b->p + b->n, &head, sizeof(head));
	b->n += sizeof(head);
}

static void
begin_nf(struct batch *b, uint16_t type, uint16_t flags, uint32_t seq)
{
	const struct nfgenmsg family = { .nfgen_family = NFPROTO_IPV4 };

	begin(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, seq);
	memcpy(b->p + b->n, &family, sizeof(family));
	b->n += NLMSG_ALIGN(sizeof(family));
}

static size_t
nest(struct batch *b, uint16_t type)
{
	size_t at = b->n;

	put(b, type | NLA_F_NESTED, NULL, 0);
	return at;
}

static void
nest_end(struct batch *b, size_t at)
{
	((struct nlattr *)(void *)(b->p + at))->nla_len = (uint16_t)(b->n - at);
}

static size_t
expr(struct batch *b, size_t *elem, const char *name)
{
	*elem = nest(b, NFTA_LIST_ELEM);
	put_text(b, NFTA_EXPR_NAME, name);
	return nest(b, NFTA_EXPR_DATA);
}

static void
expr_end(struct batch *b, size_t data, size_t elem)
{
	nest_end(b, data);
	nest_end(b, elem);
}

static void
put(struct batch *b, uint16_t type, const void *p, size_t n)
{
	const struct nlattr head = {
		.nla_type = type,
		.nla_len = (uint16_t)(NLA_HDRLEN + n),
	};

	must(b->n + NLA_HDRLEN + NLA_ALIGN(n) <= BATCH_BYTES);
	memcpy(b->p + b->n, &head, sizeof(head));
	if (n > 0)
		memcpy(b->p + b->n + NLA_HDRLEN, p, n);
	b->n += NLA_HDRLEN + NLA_ALIGN(n);
}

static void
put_u32(struct batch *b, uint16_t type, uint32_t v)
{
	uint32_t net = htonl(v);

	put(b, type, &net, sizeof(net));
}

static void
put_text(struct batch *b, uint16_t type, const char *text)
{
	put(b, type, text, strlen(text) + 1);
}

/* Sends it all and waits for the answer to last_seq, or the first error. */
static int
ask(int protocol, const struct batch *b, uint32_t last_seq, struct err *e)
{
	own_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	_Alignas(NLMSG_ALIGNTO) char in[BATCH_BYTES * 2];
	struct nlmsghdr *last = NULL;
	struct batch out = *b;
	ssize_t n;

	if (fd < 0)
		return err_sys(e, "netlink socket %d", protocol);
	last = (struct nlmsghdr *)(void *)(out.p + out.message);
	last->nlmsg_len = (uint32_t)(out.n - out.message);
	if (send(fd, out.p, out.n, 0) != (ssize_t)out.n)
		return err_sys(e, "send to netlink %d", protocol);
	for (;;) {
		n = recv(fd, in, sizeof(in), 0);
		if (n < 0)
			return err_sys(e, "answer of netlink %d", protocol);
		for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)in;
		     NLMSG_OK(h, (uint32_t)n); h = NLMSG_NEXT(h, n)) {
			const struct nlmsgerr *r = NLMSG_DATA(h);

			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			if (r->error != 0) {
				errno = -r->error;
				return err_sys(e, "netlink %d message %u",
				    protocol, h->nlmsg_seq);
			}
			if (h->nlmsg_seq == last_seq)
				return 0;
		}
	}
}

/* option: one of the level of IP to be set to 1, or 0. */
static int
open_socket(
    int type, uint32_t address, uint16_t port, int option, struct err *e)
{
	own_fd int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(address),
	};
	const int on = 1;

	if (fd < 0)
		return err_sys(e, "socket");
	if (option != 0 &&
	    setsockopt(fd, IPPROTO_IP, option, &on, sizeof(on)) < 0)
		return err_sys(e, "setsockopt %d of port %u", option, port);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return err_sys(e, "bind port %u", port);
	if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
		return err_sys(e, "listen on port %u", port);
	return fd_take(&fd);
}
