/*
 * proxy/proxy.h: what the parts of the proxy share.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "ipc/http_server.h"
#include "ipc/msg.h"
#include "ipc/peer.h"
#include "proxy/dial.h"
#include "proxy/dns.h"
#include "proxy/flow.h"
#include "proxy/names.h"

enum {
	PROXY_CLIENTS_MAX = HTTP_MAX_CONNECTIONS + HTTP_SURPLUS_CONNECTIONS,
};

struct proxy {
	struct loop *loop;
	struct peer supervisor;
	struct peer broker;
	struct http_server http;
	struct proxy_door *doors;
	int status; /* of the process, when the loop has stopped */
	struct proxy_client *clients[PROXY_CLIENTS_MAX]; /* by slot */
	uint16_t free_slots[PROXY_CLIENTS_MAX];
	size_t n_free;
	uint64_t n_asks; /* numbers given out */
	struct flow *flows[EGRESS_FLOWS_MAX]; /* by slot */
	uint16_t free_flows[EGRESS_FLOWS_MAX];
	size_t n_free_flows;
	struct flow *dead_flows; /* to be freed */
	struct dialer dialer;
	int pipes[EGRESS_PIPES_KEPT][2]; /* empty ones, for relays */
	size_t n_pipes;
	struct buf payload; /* for the broker */
	struct buf body; /* for the client */
};

/* The sockets inside a sandbox: whoever comes by them is of that run. */
struct proxy_door {
	struct http_listener listener; /* first; of requests, by adoption */
	struct proxy_door *next;
	uint64_t run;
	struct proxy *proxy;
	struct loop_watch port; /* of the proxy: CONNECT, SOCKS5, HTTP */
	struct loop_watch any; /* connections to any address */
	struct names names;
	struct dns_stub dns;
	struct flow *flows;
	uint32_t n_flows;
};

struct proxy_client {
	struct http_conn conn; /* first */
	struct proxy *proxy;
	uint16_t slot;
	uint64_t ask; /* 0: waits for nothing */
};

/* Where a request wants to go. */
struct destination {
	struct str host;
	uint16_t port;
	struct str path; /* without the query; "" for CONNECT */
};

/* Everything but the links. */
int proxy_init(
    struct proxy *p, const struct http_limits *limits, struct err *e);
void proxy_fini(struct proxy *p);
/* Sends READY and serves until the loop is stopped. */
int proxy_run(struct proxy *p, struct err *e);

/* ask.c: the ops of its connections, and the broker's answer to one. */
extern const struct http_ops ask_ops;
void ask_on_verdict(
    struct proxy *p, const struct msg_egress_verdict *v, struct str payload);
/* The broker is gone: all who wait are told. */
void ask_fail_all(struct proxy *p);

/* destination.c: -1 with what is wrong with the target. */
int destination_parse(
    const struct http1_head *h, struct destination *out, const char **why);

#endif
