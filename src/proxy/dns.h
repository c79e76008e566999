/*
 * proxy/dns.h: the resolver that a sandbox sees: answers from names.h alone.
 */
#ifndef PROXY_DNS_H
#define PROXY_DNS_H

#include "base/err.h"
#include "proxy/names.h"
#include "sys/loop.h"

struct dns_client; /* one that came over TCP */

struct dns_stub {
	struct loop *loop;
	struct names *names; /* borrowed */
	struct loop_watch udp;
	struct loop_watch tcp; /* listener */
	struct dns_client *clients;
	uint32_t n_clients;
};

/* Takes both descriptors over; -1 for one that is not there. */
int dns_stub_open_take(struct dns_stub *s, struct loop *loop,
    struct names *names, int udp, int tcp, struct err *e);
void dns_stub_close(struct dns_stub *s);

#endif
