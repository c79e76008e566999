/*
 * proxy/flow.h: one connection of a sandbox, from its first packet to its end.
 *
 *     accepted -> asked -> (first bytes peeked at -> asked again) -> dialled
 *              -> relayed
 *
 * Nothing of the client's bytes is taken before they are judged: they are
 * peeked at where they lie, so that whoever goes on reads them from the start,
 * and ten thousand waiting connections hold no buffer. What is not allowed is
 * answered: 403 where HTTP is spoken, a reply of SOCKS, else a reset.
 */
#ifndef PROXY_FLOW_H
#define PROXY_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "core/egress.h"
#include "ipc/msg.h"
#include "proxy/dial.h"
#include "proxy/stream.h"

struct proxy;
struct json;
struct proxy_door;
struct web;

enum flow_state {
	FLOW_GREET, /* the proxy's port: CONNECT, SOCKS5, or plain HTTP? */
	FLOW_ASKED, /* the broker decides */
	FLOW_PEEK, /* allowed so far; the first bytes say what it is */
	FLOW_ASKED_TLS,
	FLOW_DIAL,
	FLOW_RELAY,
	FLOW_WEB, /* HTTP: web.h serves it */
	FLOW_REFUSED, /* waits for the first bytes, to answer in kind */
	FLOW_CLOSING, /* answered; waits for the client to have read it */
};

enum flow_via { VIA_TRANSPARENT, VIA_CONNECT, VIA_SOCKS5, VIA_TOOLS };

/* One direction of a relay. */
struct flow_way {
	int pipe[2]; /* -1: none; holds n bytes that could not go on */
	size_t n;
	bool ended; /* the source has sent all, and the sink was told */
};

struct flow {
	struct proxy *proxy;
	struct proxy_door *door;
	struct flow *before, *after; /* of the door */
	struct flow *next_dead;
	enum flow_state state;
	enum flow_via via;
	uint16_t slot;
	uint16_t port; /* that it wants */
	bool http_wanted; /* the answer to a refusal is HTTP */
	bool telling; /* MSG_EGRESS_DONE is due at its end */
	bool dead;
	bool tls;
	bool ech; /* its hello may hide another name than sni */
	char host[HOST_BYTES]; /* lower case; a name, or an address */
	char sni[HOST_BYTES];
	struct addr to; /* where it went before it came here */
	uint16_t to_port;
	struct stream client, server;
	struct loop_timer timer;
	struct loop_timer pace; /* bytes_per_s */
	size_t n_seen; /* of the bytes that lie there */
	uint64_t ask; /* the last one */
	bool waits; /* for its verdict */
	bool held; /* which a person gives */
	int64_t asked_ns;
	const char *hint; /* what can be done about its end, or NULL */
	struct msg_egress_verdict verdict;
	struct dial *dial; /* while dialling */
	struct cidr *pins; /* of the verdict; freed when dialled */
	size_t n_pins;
	uint64_t sent, received;
	uint64_t moved; /* in this tenth of a second */
	struct flow_way up, down;
	struct web *web;
	char *answer; /* to be given when the client has said what it speaks */
};

/* A connection that a listener of the door has taken. fd is taken over. */
void flow_accept_take(
    struct proxy *p, struct proxy_door *door, int fd, bool transparent);
/*
 * A connection of the tools role to a server of the door, where all requests on
 * it go: {"host","https","port"}. fd is taken over.
 */
void flow_line_take(
    struct proxy *p, struct proxy_door *door, int fd, const struct json *to);
void flow_on_verdict(
    struct proxy *p, const struct msg_egress_verdict *v, struct str payload);
/* Ends one, with or without a reset; why is for the record, or NULL. */
void flow_close(struct flow *f, bool hard, const char *why);
/* All of a door. */
void flow_close_all(struct proxy_door *door, const char *why);
/* The broker is gone: all who wait are told. */
void flow_fail_all(struct proxy *p);
const char *flow_via_name(enum flow_via via); /* "transparent" */
/* A number for the next question about this flow. */
uint64_t flow_ask_number(struct flow *f);
/* Frees what was closed; after each round of events. */
void flow_reap(struct proxy *p);

/*
 * flow_tell.c. MSG_EGRESS_DONE of the question that stands, once: at the end
 * of the flow, why being NULL when that is as it should be; or because
 * another question follows. And of a connection that was not taken.
 */
void flow_tell_end(struct flow *f, const char *why);
void flow_tell_next(struct flow *f);
void flow_tell_full(struct flow *f, const char *why);

/* relay.c: both ends are there; moves bytes until both have ended. */
void relay_start(struct flow *f);
void relay_fini(struct flow *f);
void relay_pipes_free(struct proxy *p);

#endif
