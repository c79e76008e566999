/*
 * probe/net.c: the network, and sockets of every family.
 */
#include "probe/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { WAIT_MS = 1000 };

static bool
address_of(const char *argument, struct sockaddr_in *out)
{
	char address[64];
	const char *colon = strrchr(argument, ':');

	if (colon == NULL || (size_t)(colon - argument) >= sizeof(address))
		return false;
	memcpy(address, argument, (size_t)(colon - argument));
	address[colon - argument] = '\0';
	*out = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10)),
	};
	return inet_pton(AF_INET, address, &out->sin_addr) == 1;
}

static int
dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	int error = ETIMEDOUT;
	socklen_t n = sizeof(error);

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -1;
	if (poll(&wait, 1, WAIT_MS) == 1)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
	errno = error;
	return error == 0 ? 0 : -1;
}

/* "ADDRESS:PORT" */
static int
connect_to(const char *argument)
{
	struct sockaddr_in to;

	if (!address_of(argument, &to))
		return not_here("ADDRESS:PORT is wanted");
	if (dial(&to) == 0)
		return open_("connected to %s", argument);
	/* Refusal by a peer would be an answer from outside. */
	if (errno == ECONNREFUSED && strncmp(argument, "127.", 4) != 0)
		return open_("refused by %s: a packet came back", argument);
	return held("connect to %s", argument);
}

static int
udp_packet(const char *argument)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(53),
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || inet_pton(AF_INET, argument, &to.sin_addr) != 1)
		return not_here("no such address");
	if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1)
		return open_("a packet left for %s", argument);
	return held("send to %s", argument);
}

/*
 * "ADDRESS:PORT", where somebody outside holds a UDP socket. Nobody needs to
 * read there: a packet to a port that nobody holds is refused, which the
 * sender of the next one hears; udp(7), ECONNREFUSED.
 */
static int
udp_listener(const char *argument)
{
	struct sockaddr_in to;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), error = 0;
	struct pollfd wait = { .fd = fd };
	socklen_t n = sizeof(error);

	if (!address_of(argument, &to))
		return not_here("ADDRESS:PORT is wanted");
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(fd, "x", 1, 0) != 1)
		return held("send to %s", argument);
	if (poll(&wait, 1, WAIT_MS) == 1)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error == 0)
		return open_("somebody took a packet for %s", argument);
	errno = error;
	return held("packet to %s", argument);
}

static int
families(const char *argument)
{
	static const struct {
		int family, type, protocol;
		const char *name;
	} rows[] = {
		{ AF_NETLINK, SOCK_RAW, 0, "netlink route" },
		{ AF_NETLINK, SOCK_RAW, 9, "netlink audit" },
		{ AF_PACKET, SOCK_RAW, 0, "packet" },
		{ AF_INET, SOCK_RAW, 1, "raw ICMP" },
		{ AF_INET6, SOCK_RAW, 58, "raw ICMPv6" },
		{ AF_INET, SOCK_DGRAM, 1, "ping" },
		{ AF_INET, SOCK_STREAM, 262, "MPTCP" },
		{ AF_INET, SOCK_STREAM, 132, "SCTP" },
		{ AF_INET, SOCK_SEQPACKET, 132, "SCTP" },
		{ AF_INET, 6, 33, "DCCP" },
		{ AF_INET, SOCK_DGRAM, 136, "UDPLITE" },
		{ 40, SOCK_STREAM, 0, "vsock" },
		{ 38, SOCK_SEQPACKET, 0, "ALG" },
		{ 44, SOCK_RAW, 0, "XDP" },
		{ 31, SOCK_RAW, 1, "bluetooth" },
		{ 30, SOCK_RDM, 0, "TIPC" },
		{ 21, SOCK_SEQPACKET, 0, "RDS" },
		{ 29, SOCK_RAW, 1, "CAN" },
		{ 15, SOCK_RAW, 2, "key" },
	};

	(void)argument;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (socket(rows[i].family, rows[i].type, rows[i].protocol) >= 0)
			return open_("a socket of %s", rows[i].name);
	}
	return held("none of %zu families", COUNT(rows));
}

static int
abstract_address(const char *name, struct sockaddr_un *at, socklen_t *size)
{
	size_t n = strlen(name);

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (n + 1 >= sizeof(at->sun_path))
		return -1;
	memcpy(at->sun_path + 1, name, n);
	*size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int
abstract_socket(const char *argument)
{
	struct sockaddr_un to;
	socklen_t size;
	int fd = abstract_address(argument, &to, &size);

	if (fd < 0)
		return not_here("no socket");
	if (connect(fd, (struct sockaddr *)&to, size) == 0)
		return open_("connected to the abstract socket %s", argument);
	return held("abstract socket %s", argument);
}

/* The other side of it, until standard input ends. */
static int
abstract_server(const char *argument)
{
	struct sockaddr_un at;
	socklen_t size;
	int fd = abstract_address(argument, &at, &size);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) < 0 ||
	    listen(fd, 8) < 0)
		return 2;
	(void)puts("listening");
	(void)fflush(stdout);
	(void)getchar();
	return 0;
}

const struct probe probes_net[] = {
	{ 46, "connect_to", connect_to, 0 },
	{ 46, "udp_listener", udp_listener, 0 },
	{ 49, "udp_packet", udp_packet, 0 },
	{ 50, "families", families, PROBE_PLAIN },
	{ 51, "abstract_socket", abstract_socket, 0 },
	{ 51, "abstract_server", abstract_server, PROBE_SERVER },
	{},
};
