/*
 * core/egress.h: may this connection, or this request, leave the sandbox?
 *
 * The proxy reads what a sandbox sends and asks; the broker decides with
 * egress_decide, which is pure. A rule is *about* a request when its host,
 * port, protocol, methods, paths and query all fit; nothing goes out that no
 * rule is about. The limits of every rule that is about it hold: the smallest
 * body, the slowest rate, all labels, the most restrictive verdict. So the
 * order of rules means nothing, and no rule loosens what another forbids.
 *
 * Whoever asks about bytes that nobody reads (raw TCP, TLS that is not
 * opened) asks for the most that could be in them: risk external_write. A
 * request that only reads (GET, HEAD, OPTIONS) has the risk read, another one
 * external_write, unless the rule names a risk. Stage and flow rules hold for
 * that risk as they do for a tool's.
 */
#ifndef CORE_EGRESS_H
#define CORE_EGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"
#include "core/addr.h"
#include "core/labels.h"
#include "core/policy.h"
#include "core/rate.h"

enum { HOST_BYTES = 256 }; /* 253 characters, a NUL */

enum egress_proto {
	PROTO_TCP, /* bytes that nobody reads */
	PROTO_TLS, /* a ClientHello has been read; https or wss, it is not
		    * known yet which */
	PROTO_HTTP,
	PROTO_HTTPS,
	PROTO_WS,
	PROTO_WSS,
	PROTOS,
};

/* What is asked: the level comes with the message (ipc/msg.h). */
enum egress_level {
	LEVEL_CONNECT,
	LEVEL_TLS,
	LEVEL_REQUEST,
};

/*
 * One question. host is a name, or an address as text where the sandbox used
 * one: lower case, without a dot at its end.
 */
struct egress_ask {
	enum egress_level level;
	enum egress_proto proto;
	uint16_t port;
	bool host_is_addr;
	struct addr addr; /* of the host, when it is one */
	char host[HOST_BYTES];
	struct str sni; /* p is NULL when the hello has none */
	bool ech; /* the hello may hide another name than sni */
	struct str method, path, query; /* query without '?'; p NULL: none */
	struct str content_type, content_encoding;
	uint64_t content_length; /* UINT64_MAX: not known */
	struct str body_sha256; /* 64 digits, of a body that has been read */
	struct str body_text; /* its beginning, when that is text */
	struct str via, to;
	/* Set by who knows, not by the reader: */
	struct str server; /* tool server that it is of; p NULL: the run's own
			    * sandbox */
	const struct policy_server *to_server; /* it goes to one over HTTP:
						* that one's rule holds, and no
						* other */
};

/*
 * Reads the payload of MSG_EGRESS_ASK:
 * {"body_sha256"?,"body_text"?,"content_encoding"?,"content_length"?,
 *  "content_type"?,"ech"?,"host","method"?,"path"?,"port","proto","query"?,
 *  "sni"?,"to"?,"via"?}. proto is "tcp", "tls", "http", "https", "ws" or "wss".
 * -1 when it is no question.
 * The texts point into v.
 */
int egress_ask_parse(const struct json *v, enum egress_level level,
    struct egress_ask *out, struct err *e);

struct egress_verdict {
	/* allow, simulate (answer with respond), approve or block. */
	enum verdict_kind kind;
	bool splice; /* pass the bytes on unread */
	bool inspect; /* LEVEL_TLS: open it, and ask about each request */
	bool pin;
	bool standing; /* see EGRESS_STANDING */
	bool strip_html;
	bool record; /* keep the answer in the trace */
	bool needs_more; /* LEVEL_CONNECT: read on, and ask again */
	enum risk risk;
	uint64_t max_body; /* UINT64_MAX: no limit */
	uint64_t bytes_per_s; /* 0: no limit */
	/* Which rules are about it, a bit each, and the one that decided. */
	uint64_t rules[EGRESS_RULES_MAX / 64];
	uint32_t rule; /* UINT32_MAX: none */
	const struct egress_respond *respond;
	bool asks; /* a rule wants a person's yes */
	const struct policy_approval *approval; /* who gives it; never NULL
						 * with VERDICT_APPROVE */
	/* Only these may be dialled; none: any that is public. */
	uint32_t n_addrs;
	struct cidr addrs[EGRESS_ADDRS_MAX];
	char code[48]; /* "no_rule", "method", "body_too_large", ... */
	char where[RULE_BYTES]; /* "egress.rules[3].methods" */
	char reason[REASON_BYTES];
	char next_step[REASON_BYTES];
};

void egress_decide(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *out);

/* The rules that may be about it; v->rules has a bit for each. */
const struct egress_rule *egress_rules(
    const struct policy *p, const struct egress_ask *ask, uint32_t *n);
/* True when the rules about it let this secret go out with it. */
bool egress_may_have(const struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *v, struct str name);

/* Takes one request of the rule's rate; false when none is left. */
bool egress_rate_take(
    const struct egress_rule *r, struct rate *rate, int64_t now_ns);

/* True when the rule names this host (and, with addr, this address). */
bool egress_host_match(struct str pattern, struct str host);
/*
 * Path patterns: '*' stands for any characters but '/', "**" for any at all.
 * The path must be plain, as path_plain has it.
 */
bool egress_path_match(struct str pattern, struct str path);
/*
 * True when every server will see the same path: it starts with '/', and has
 * no empty, "." or ".." part, no backslash, nothing encoded that need not be,
 * and no encoded '/', '\\' or NUL.
 */
bool egress_path_plain(struct str path);

/* The labels that the answer brings, as policy_result_labels does. */
void egress_labels(const struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *v, struct labels *out);

/*
 * The body of a canned answer with its places filled in: {{host}},
 * {{method}}, {{path}}, {{path.2}}, {{query.NAME}} and {{n}}.
 */
void egress_respond_write(struct buf *out, const struct egress_respond *r,
    const struct egress_ask *ask, uint64_t n);

/* True when some rule looks into TLS: the run needs a CA of its own. */
bool egress_inspects(const struct policy *p);
/* ["*.example.com",...]: hosts whose TLS may be opened. */
void egress_ca_write(struct buf *out, const struct policy *p);
/* The payload of MSG_DOOR_OPEN to the proxy. */
void egress_door_write(struct buf *out, const struct policy *p);

/*
 * egress_url.c. A URL for the record: the values of its query are digests, and
 * where a rule for the host says redact.path, also the parts of its path that
 * the rule's patterns do not spell out. salt is the run's.
 */
void egress_url_write(struct buf *out, const struct policy *p,
    const struct egress_ask *ask, const struct hash *salt);
void egress_path_write(struct buf *out, const struct policy *p,
    const struct egress_ask *ask, const struct hash *salt);
/*
 * What tells one request from another when an answer is looked for again:
 * method, protocol, host, port, path and query, a line each.
 */
void egress_key_write(struct buf *out, const struct egress_ask *ask);
/* True for what stands for a part of a path there. */
bool egress_is_digest(struct str part);

const char *egress_proto_name(enum egress_proto p); /* "https" */

#endif
