/*
 * sandbox/net.h: the network of a sandbox whose way out is a proxy.
 *
 * The namespace has the loopback interface only. Every IPv4 address is made
 * local to it (`local default dev lo`), and one rule of nftables hands each TCP
 * connection that does not go to 127.0.0.0/8 to one listener, whatever its
 * address and port. So a proxy outside sees every attempt, reads where it
 * wanted to go with getsockname(2), and decides. UDP other than DNS finds no
 * socket and is refused by the kernel at once, as is IPv6, which has no route.
 *
 * Where the kernel has no nftables or no TPROXY, the listener is on port 443
 * of all addresses instead; what else wants out must use the proxy's port.
 */
#ifndef SANDBOX_NET_H
#define SANDBOX_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* In this order in struct sandbox.listener, behind those of spec.listen_port.
 */
enum net_socket {
	NET_TCP, /* listener for connections to any address */
	NET_DNS_UDP, /* port 53 of any address, IP_PKTINFO set */
	NET_DNS_TCP, /* likewise, a listener */
	NET_SOCKETS,
};

enum {
	NET_TCP_PORT = 15001, /* 127.0.0.1; where the rule sends it all */
	NET_PLAIN_PORT = 443, /* any address; without the rule */
};

/* The stub answers at every address; one question at a time is enough. */
#define NET_RESOLV_CONF "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"

/*
 * In the namespace, with CAP_NET_ADMIN in it: route, rule and sockets, in under
 * half a millisecond. Loopback is up already. Sets out, or returns -1 with e
 * and nothing left open. *any tells whether every port is seen.
 */
int net_open(int out[static NET_SOCKETS], bool *any, struct err *e);

#endif
