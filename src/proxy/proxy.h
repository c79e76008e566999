/*
 * proxy/proxy.h: what the parts of the proxy share.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "ipc/msg.h"
#include "ipc/peer.h"
#include "proxy/admit.h"
#include "proxy/dial.h"
#include "proxy/dns.h"
#include "proxy/filter.h"
#include "proxy/flow.h"
#include "proxy/names.h"
#include "proxy/tls.h"

struct proxy {
	struct loop *loop;
	struct peer supervisor;
	struct peer broker;
	struct proxy_door *doors;
	struct proxy_ca *cas;
	int status; /* of the process, when the loop has stopped */
	uint64_t n_asks; /* numbers given out */
	struct flow *flows[EGRESS_FLOWS_MAX]; /* by slot */
	uint16_t free_flows[EGRESS_FLOWS_MAX];
	size_t n_free_flows;
	struct flow *dead_flows; /* to be freed */
	struct dialer dialer;
	struct fetch *fetches; /* that the daemon itself makes: fetch.h */
	int pipes[EGRESS_PIPES_KEPT][2]; /* empty ones, for relays */
	size_t n_pipes;
	struct buf payload; /* for the broker */
	struct buf body; /* for the client */
};

/* The sockets inside a sandbox: whoever comes by them is of that run. */
struct proxy_door {
	struct proxy_door *next;
	uint64_t run;
	uint64_t server; /* of the run; 0: it is the run's own */
	struct proxy *proxy;
	struct loop_watch port; /* of the proxy: CONNECT, SOCKS5, HTTP */
	struct loop_watch any; /* connections to any address */
	struct names names;
	struct dns_stub dns;
	struct flow *flows;
	uint32_t n_flows;
	struct admit admit;
	struct tls_ca *ca; /* NULL: no rule of the run opens TLS */
	struct filter_watch watch;
	struct h2_pool *h2; /* NULL: nothing has been shared yet */
};

/* A CA that was made for a sandbox whose door is not open yet. */
struct proxy_ca {
	struct proxy_ca *next;
	uint64_t run, server;
	struct tls_ca *ca;
};

/* Everything but the links. */
int proxy_init(struct proxy *p, struct err *e);
void proxy_fini(struct proxy *p);
/* Sends READY and serves until the loop is stopped. */
int proxy_run(struct proxy *p, struct err *e);

#endif
