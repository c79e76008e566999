/*
 * The decision. Every rule is looked at, and what each adds only restricts,
 * so that their order cannot matter: verdicts and risks by the larger, limits
 * by the smaller, flags by "or", addresses by what all pins have in common.
 */
#include "core/egress.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

/* How far the nearest rule came: what the refusal names. */
enum fit {
	FIT_NONE,
	FIT_HOST,
	FIT_PORT,
	FIT_PROTO,
	FIT_METHOD,
	FIT_PATH,
	FIT_ALL,
};

static enum fit rule_fit(
    const struct egress_rule *r, const struct egress_ask *ask);
static bool port_fits(const struct egress_rule *r, uint16_t port);
static bool proto_fits(
    const struct egress_rule *r, const struct egress_ask *ask);
static bool query_fits(const struct egress_rule *r, struct str query);
static bool is_plain(const struct egress_rule *r);
static void add_rule(struct egress_verdict *v, const struct egress_ask *ask,
    const struct egress_rule *r, uint32_t i);
static void add_addrs(struct egress_verdict *v, const struct egress_rule *r);
static uint32_t parts_of(const struct policy *p, const struct egress_ask *ask);
static void check_pins(const struct policy *p, const struct egress_ask *ask,
    struct egress_verdict *v);
static void check_body(struct egress_verdict *v, const struct egress_ask *ask,
    const struct egress_rule *r, uint32_t i);
static bool reads_only(const struct egress_ask *ask);
static bool type_fits(struct str pattern, struct str type);
static void decide_level(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *v);
static void decide_tls(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *v);
static void hold(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *v);
static void check_target(
    const struct egress_ask *ask, struct egress_verdict *v);
static bool may_stand(const struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *v);
static void no_rule(
    struct egress_verdict *v, enum fit best, const struct egress_ask *ask);
static void block(struct egress_verdict *v, const char *code, const char *where,
    const char *reason, const char *next);
static void where_write(
    char out[static RULE_BYTES], uint32_t rule, const char *member);

void
egress_decide(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *out)
{
	enum fit best[POLICY_PARTS_MAX] = {}, least = FIT_ALL;
	const uint32_t parts = parts_of(p, ask);
	uint32_t n;
	const struct egress_rule *rules = egress_rules(p, ask, &n);

	*out = (struct egress_verdict){
		.kind = VERDICT_ALLOW,
		.max_body = UINT64_MAX,
		.rule = UINT32_MAX,
		.risk = RISK_READ,
	};
	for (uint32_t i = 0; i < n; i++) {
		const struct egress_rule *r = &rules[i];
		enum fit fit = rule_fit(r, ask);

		if (fit > best[r->part])
			best[r->part] = fit;
		if (fit != FIT_ALL)
			continue;
		add_rule(out, ask, r, i);
		/* What nobody reads could be anything that the rule is for. */
		if (r->risk_written) {
			if (r->risk > out->risk)
				out->risk = r->risk;
		} else if (r->respond == NULL && !reads_only(ask)) {
			if (out->risk < RISK_EXTERNAL_WRITE)
				out->risk = RISK_EXTERNAL_WRITE;
		}
	}
	/* Each part of the policy has to let it out. */
	for (uint32_t i = 0; i < POLICY_PARTS_MAX; i++) {
		if ((parts >> i & 1) != 0 && best[i] < least)
			least = best[i];
	}
	if (least != FIT_ALL || parts == 0) {
		no_rule(out, parts == 0 ? FIT_NONE : least, ask);
	} else {
		check_pins(p, ask, out);
		for (uint32_t i = 0; i < n; i++) {
			if ((out->rules[i / 64] >> (i % 64) & 1) != 0)
				check_body(out, ask, &rules[i], i);
		}
		check_target(ask, out);
		if (out->kind != VERDICT_BLOCK)
			decide_level(p, ask, labels, out);
	}
	/* Its rule stands in its entry. */
	if (ask->to_server != NULL)
		(void)snprintf(out->where, sizeof(out->where), "servers.%.*s",
		    STR_FMT(ask->to_server->name));
}

const struct egress_rule *
egress_rules(const struct policy *p, const struct egress_ask *ask, uint32_t *n)
{
	*n = ask->to_server != NULL ? 1 : p->n_egress;
	return ask->to_server != NULL ? ask->to_server->rule : p->egress;
}

/* A server's rule is the same in all parts that have the server. */
static uint32_t
parts_of(const struct policy *p, const struct egress_ask *ask)
{
	return ask->to_server != NULL ? 1 : p->egress_parts;
}

bool
egress_may_have(const struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *v, struct str name)
{
	uint32_t parts = 0; /* that have a rule about it with this secret */
	uint32_t n;
	const struct egress_rule *rules = egress_rules(p, ask, &n);

	for (uint32_t i = 0; i < n; i++) {
		if ((v->rules[i / 64] >> (i % 64) & 1) == 0)
			continue;
		for (uint32_t k = 0; k < rules[i].n_secrets; k++) {
			if (str_eq(rules[i].secrets[k], name))
				parts |= UINT32_C(1) << rules[i].part;
		}
	}
	return parts != 0 && parts == parts_of(p, ask);
}

bool
egress_rate_take(const struct egress_rule *r, struct rate *rate, int64_t now_ns)
{
	return rate_take(
	    &(struct rate_rule){ r->rate_ms, r->rate_burst }, rate, now_ns);
}

static enum fit
rule_fit(const struct egress_rule *r, const struct egress_ask *ask)
{
	bool any = r->n_methods == 0;

	if (!egress_host_match(r->host, str_of(ask->host)))
		return FIT_NONE;
	if (!port_fits(r, ask->port))
		return FIT_HOST;
	if (!proto_fits(r, ask))
		return FIT_PORT;
	if (ask->level != LEVEL_REQUEST)
		return FIT_ALL;
	for (uint32_t i = 0; i < r->n_methods && !any; i++)
		any = str_eq(r->methods[i], ask->method);
	if (!any)
		return FIT_PROTO;
	any = r->n_paths == 0;
	for (uint32_t i = 0; i < r->n_paths && !any; i++)
		any = egress_path_plain(ask->path) &&
		    egress_path_match(r->paths[i], ask->path);
	if (!any)
		return FIT_METHOD;
	return query_fits(r, ask->query) ? FIT_ALL : FIT_PATH;
}

/* A rule without ports is for those of its protocols. */
static bool
port_fits(const struct egress_rule *r, uint16_t port)
{
	const uint32_t clear = 1U << PROTO_HTTP | 1U << PROTO_WS;
	const uint32_t tls = 1U << PROTO_HTTPS | 1U << PROTO_WSS;

	for (uint32_t i = 0; i < r->n_ports; i++) {
		if (r->ports[i] == port)
			return true;
	}
	return r->n_ports == 0 &&
	    ((port == 80 && (r->protos & clear) != 0) ||
		(port == 443 && (r->protos & tls) != 0));
}

static bool
proto_fits(const struct egress_rule *r, const struct egress_ask *ask)
{
	const uint32_t tls = 1U << PROTO_HTTPS | 1U << PROTO_WSS;

	switch (ask->proto) {
	case PROTO_TCP:
		return true; /* what it will be is not known yet */
	case PROTO_TLS:
		return (r->protos & (tls | 1U << PROTO_TCP)) != 0;
	case PROTO_HTTP:
	case PROTO_HTTPS:
	case PROTO_WS:
	case PROTO_WSS:
		return (r->protos & 1U << ask->proto) != 0;
	case PROTOS:
		break;
	}
	return false;
}

/* Each parameter has a name of the list and a value of its pattern. */
static bool
query_fits(const struct egress_rule *r, struct str query)
{
	if (!r->query_listed)
		return true;
	while (query.n > 0) {
		size_t end = str_find(query, '&');
		struct str one = { query.p, end };
		size_t eq = str_find(one, '=');
		struct str name = { one.p, eq };
		struct str value = { one.p + eq, one.n - eq };
		bool known = false;

		if (value.n > 0) {
			value.p++;
			value.n--;
		}
		for (uint32_t i = 0; i < r->n_query && !known; i++)
			known = str_eq(r->query_names[i], name) &&
			    str_glob(r->query_values[i], value);
		if (!known)
			return false;
		query.p += end;
		query.n -= end;
		if (query.n > 0) {
			query.p++;
			query.n--;
			if (query.n == 0)
				return false; /* an empty one at the end */
		}
	}
	return true;
}

/* True when nothing in the rule needs the request to be seen. */
static bool
is_plain(const struct egress_rule *r)
{
	return r->n_methods == 0 && r->n_paths == 0 && !r->query_listed &&
	    r->n_types == 0 && !r->no_uploads && !r->strip_html &&
	    r->n_secrets == 0 && !r->record && r->respond == NULL &&
	    r->tls != TLS_INSPECT &&
	    (r->protos & (1U << PROTO_HTTPS | 1U << PROTO_TCP)) != 0;
}

static void
add_rule(struct egress_verdict *v, const struct egress_ask *ask,
    const struct egress_rule *r, uint32_t i)
{
	/* Before the request is seen, a rule about some requests says nothing
	 * about the connection but that it has to be opened. */
	bool sure = ask->level == LEVEL_REQUEST ||
	    (r->n_methods == 0 && r->n_paths == 0 && !r->query_listed);

	v->rules[i / 64] |= UINT64_C(1) << (i % 64);
	if (v->rule == UINT32_MAX)
		v->rule = i;
	if (r->max_body < v->max_body)
		v->max_body = r->max_body;
	if (r->bytes_per_s > 0 &&
	    (v->bytes_per_s == 0 || r->bytes_per_s < v->bytes_per_s))
		v->bytes_per_s = r->bytes_per_s;
	v->strip_html = v->strip_html || r->strip_html;
	v->record = v->record || r->record;
	if (r->mode == VERDICT_BLOCK && sure && v->kind != VERDICT_BLOCK) {
		where_write(v->where, i, "mode");
		v->rule = i;
		block(v, "blocked", v->where, "a rule blocks it",
		    "Go on without it, and tell the user.");
	}
	if (r->respond != NULL && ask->level == LEVEL_REQUEST &&
	    v->kind != VERDICT_BLOCK) {
		if (v->respond != NULL)
			block(v, "two_answers", "egress.rules",
			    "two rules answer this request",
			    "Ask the operator to keep one of the two rules.");
		v->respond = r->respond;
		v->rule = i;
	}
	if (r->mode == VERDICT_APPROVE && sure)
		v->asks = true;
	if (r->approval != NULL &&
	    (v->approval == NULL || r->approval->quorum > v->approval->quorum))
		v->approval = r->approval;
	add_addrs(v, r);
}

/* What all pins have in common: of two ranges that meet, one is in the other.
 */
static void
add_addrs(struct egress_verdict *v, const struct egress_rule *r)
{
	struct cidr both[EGRESS_ADDRS_MAX];
	uint32_t n = 0;

	if (r->n_addrs == 0)
		return;
	if (v->n_addrs == 0) {
		memcpy(v->addrs, r->addrs, r->n_addrs * sizeof(v->addrs[0]));
		v->n_addrs = r->n_addrs;
		return;
	}
	for (uint32_t i = 0; i < v->n_addrs; i++) {
		for (uint32_t k = 0; k < r->n_addrs; k++) {
			bool in = cidr_covers(&r->addrs[k], &v->addrs[i]);

			if (n == EGRESS_ADDRS_MAX)
				break; /* fewer are allowed: that is safe */
			if (in || cidr_covers(&v->addrs[i], &r->addrs[k]))
				both[n++] = in ? v->addrs[i] : r->addrs[k];
		}
	}
	if (n == 0) {
		block(v, "addrs_conflict", "egress.rules",
		    "rules pin this host to different addresses",
		    "Ask the operator to pin it to the same ones.");
		return;
	}
	memcpy(v->addrs, both, n * sizeof(both[0]));
	v->n_addrs = n;
}

/* A part that pins no address means public ones: another's pin is none. */
static void
check_pins(const struct policy *p, const struct egress_ask *ask,
    struct egress_verdict *v)
{
	uint32_t n, pinned = 0; /* parts */
	const struct egress_rule *rules = egress_rules(p, ask, &n);

	for (uint32_t i = 0; i < n; i++) {
		if ((v->rules[i / 64] >> (i % 64) & 1) != 0 &&
		    rules[i].n_addrs > 0)
			pinned |= UINT32_C(1) << rules[i].part;
	}
	if (pinned != 0 && pinned != parts_of(p, ask))
		block(v, "addrs_conflict", "egress.rules",
		    "the policy pins this host, and what it extends does not",
		    "Ask the operator to pin it to the same addresses there.");
}

static void
check_body(struct egress_verdict *v, const struct egress_ask *ask,
    const struct egress_rule *r, uint32_t i)
{
	size_t semi = str_find(ask->content_type, ';');
	struct str type = str_trim((struct str){ ask->content_type.p, semi });
	bool has_body = ask->content_length != 0 && !reads_only(ask);
	char where[RULE_BYTES];
	bool fits = r->n_types == 0;

	if (v->kind == VERDICT_BLOCK || ask->level != LEVEL_REQUEST)
		return;
	if (ask->content_length != UINT64_MAX &&
	    ask->content_length > r->max_body) {
		where_write(where, i, "max_body");
		v->rule = i;
		block(v, "body_too_large", where,
		    "the body is larger than the rule allows",
		    "Send less at a time.");
		return;
	}
	/* Length and type of a read are those of a body that it should not
	 * have: judged when it says that there is one. */
	has_body = has_body ||
	    (ask->content_length != 0 && ask->content_length != UINT64_MAX);
	if (!has_body)
		return;
	for (uint32_t k = 0; k < r->n_types && !fits; k++)
		fits = type_fits(r->types[k], type);
	if (!fits) {
		where_write(where, i, "content_types");
		v->rule = i;
		block(v, "content_type", where,
		    "the rule does not allow a body of this type",
		    "Send another type of body, or ask for the rule to be "
		    "widened.");
		return;
	}
	if (r->no_uploads &&
	    (type.n == 0 || type_fits(STR("multipart/*"), type) ||
		type_fits(STR("application/octet-stream"), type))) {
		where_write(where, i, "uploads");
		v->rule = i;
		block(v, "upload", where, "the rule allows no uploads",
		    "Send the data as text or JSON, or leave it out.");
	}
}

static bool
reads_only(const struct egress_ask *ask)
{
	return ask->level == LEVEL_REQUEST &&
	    (ask->proto == PROTO_HTTP || ask->proto == PROTO_HTTPS) &&
	    (str_eq(ask->method, STR("GET")) ||
		str_eq(ask->method, STR("HEAD")) ||
		str_eq(ask->method, STR("OPTIONS")));
}

/* "text/plain" in any case, or "text/" and a star for all of the kind. */
static bool
type_fits(struct str pattern, struct str type)
{
	if (!str_ends(pattern, STR("/*")))
		return str_eq_nocase(pattern, type);
	pattern.n--;
	return type.n > pattern.n &&
	    str_eq_nocase(pattern, (struct str){ type.p, pattern.n });
}

static void
decide_level(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *v)
{
	bool only_tcp = true;

	if (ask->level == LEVEL_TLS) {
		decide_tls(p, ask, labels, v);
		return;
	}
	if (ask->level == LEVEL_REQUEST) {
		hold(p, ask, labels, v);
		v->standing = may_stand(p, ask, v);
		return;
	}
	for (uint32_t i = 0; i < p->n_egress; i++) {
		if ((v->rules[i / 64] >> (i % 64) & 1) != 0 &&
		    (p->egress[i].protos & 1U << PROTO_TCP) == 0)
			only_tcp = false;
	}
	/* A rule for the web wants to know what comes. */
	v->needs_more = !only_tcp;
	v->splice = only_tcp;
	if (!only_tcp)
		v->max_body = UINT64_MAX;
	else
		hold(p, ask, labels, v);
}

static void
decide_tls(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *v)
{
	/* Bytes that are counted are those of bodies where they can be. */
	bool only_tcp = true;
	bool see =
	    p->budgets.limit[BUDGET_UPLOAD_BYTES] < EGRESS_BODY_MAX_BYTES;

	for (uint32_t i = 0; i < p->n_egress; i++) {
		const struct egress_rule *r = &p->egress[i];

		if ((v->rules[i / 64] >> (i % 64) & 1) == 0)
			continue;
		only_tcp = only_tcp && (r->protos & 1U << PROTO_TCP) != 0;
		see = see || !is_plain(r) ||
		    (r->mode == VERDICT_APPROVE && r->tls != TLS_PIN);
		v->pin = v->pin || r->tls == TLS_PIN;
	}
	if (!only_tcp && !ask->host_is_addr &&
	    !str_eq_nocase(ask->sni, str_of(ask->host))) {
		block(v, ask->sni.n == 0 ? "no_sni" : "sni_mismatch",
		    "egress.rules",
		    ask->sni.n == 0
			? "the TLS client does not say which host it wants"
			: "the TLS client asks for another host than the one "
			  "it connected to",
		    "Connect to the host by its own name.");
		return;
	}
	if (only_tcp)
		see = false;
	if (v->pin && see) {
		block(v, "pin_conflict", "egress.rules",
		    "one rule must see the request and another one pins the "
		    "host",
		    "Ask the operator to decide for one of the two.");
		return;
	}
	/*
	 * Some clients send the extension with nothing in it (GREASE, RFC 9849
	 * section 6.2), and nobody but the server can tell: so it is opened,
	 * where a name that it may hide is never seen by any server.
	 */
	if (ask->ech && !only_tcp && !see) {
		see = !v->pin && egress_inspects(p);
		if (!see) {
			block(v, "ech", "egress.rules",
			    "the TLS client may hide which host it wants "
			    "(Encrypted Client Hello)",
			    "Turn Encrypted Client Hello off, or ask the "
			    "operator for \"tls\": \"inspect\" in the rule.");
			return;
		}
	}
	if (see) {
		v->inspect = true;
		v->max_body = UINT64_MAX; /* of each request, then */
		return;
	}
	/* Passed on unread when that is allowed whatever is in it; else
	 * opened, so that what is harmless in it can go on. */
	v->splice = true;
	hold(p, ask, labels, v);
	if (v->kind != VERDICT_ALLOW && !v->pin && !only_tcp) {
		v->kind = VERDICT_ALLOW;
		v->splice = false;
		v->inspect = true;
		v->max_body = UINT64_MAX;
	}
}

/* Stage and flow rules, by the risk, as for a tool. */
static void
hold(const struct policy *p, const struct egress_ask *ask,
    const struct labels *labels, struct egress_verdict *v)
{
	struct policy_tool row = {
		.name = str_of(ask->host),
		.risk = v->risk,
		.mode = v->asks		 ? VERDICT_APPROVE
		    : v->respond != NULL ? VERDICT_SIMULATE
					 : VERDICT_ALLOW,
		.mode_written = true,
	};
	struct verdict held;

	policy_decide_row(p, &row, NULL, labels, &held);
	v->kind = held.would;
	if (v->approval == NULL)
		v->approval = policy_approval_find(p, STR("default"));
	if (v->kind == VERDICT_APPROVE && v->asks) {
		where_write(v->where, v->rule, "mode");
		(void)snprintf(v->code, sizeof(v->code), "approval");
		(void)snprintf(v->reason, sizeof(v->reason),
		    "a rule wants a person to decide");
		v->splice = false;
		return;
	}
	if (held.would == row.mode) {
		where_write(
		    v->where, v->rule, v->respond != NULL ? "respond" : NULL);
		(void)snprintf(v->code, sizeof(v->code), "%s",
		    v->respond != NULL ? "simulated" : "allowed");
		return;
	}
	(void)snprintf(v->code, sizeof(v->code), "%s", held.code);
	(void)snprintf(v->where, sizeof(v->where), "%s", held.rule);
	(void)snprintf(v->reason, sizeof(v->reason), "%s", held.reasons[0]);
	(void)snprintf(v->next_step, sizeof(v->next_step),
	    "Tell the user that a person has to do this step.");
	/* There is nothing that could be drafted or simulated. */
	if (v->kind == VERDICT_DRAFT ||
	    (v->kind == VERDICT_SIMULATE && v->respond == NULL))
		v->kind = VERDICT_BLOCK;
	v->splice = v->splice && v->kind == VERDICT_ALLOW;
}

/* An address that is not public needs a pin, here as after resolution. */
static void
check_target(const struct egress_ask *ask, struct egress_verdict *v)
{
	char reason[REASON_BYTES];
	const char *what;

	if (!ask->host_is_addr || v->kind == VERDICT_BLOCK ||
	    v->respond != NULL ||
	    addr_may_dial(&ask->addr, v->addrs, v->n_addrs))
		return;
	what = addr_denied(&ask->addr);
	(void)snprintf(reason, sizeof(reason),
	    what != NULL ? "the address is not public: %s"
			 : "the address is not one that the rule pins%s",
	    what != NULL ? what : "");
	block(v, "private_address", "egress.private_ranges", reason,
	    "Ask the operator to pin the address with `addrs`, if it is "
	    "meant.");
}

/* No rule and no label can make the next such request another one. */
static bool
may_stand(const struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *v)
{
	uint32_t n;
	const struct egress_rule *rules = egress_rules(p, ask, &n);

	if (v->kind != VERDICT_ALLOW || !reads_only(ask) ||
	    ask->content_length != 0)
		return false;
	for (uint32_t i = 0; i < p->n_flow; i++) {
		if (v->risk >= p->flow[i].risk_at_least)
			return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct egress_rule *r = &rules[i];
		enum fit fit = rule_fit(r, ask);

		if (fit < FIT_METHOD)
			continue;
		if (r->n_paths > 0 || r->query_listed || r->n_types > 0 ||
		    r->no_uploads || r->max_body != UINT64_MAX ||
		    r->rate_ms > 0 || r->n_secrets > 0 || r->record ||
		    r->mode != VERDICT_ALLOW)
			return false;
	}
	return true;
}

/* The refusal names what the nearest rule lacks. */
static void
no_rule(struct egress_verdict *v, enum fit best, const struct egress_ask *ask)
{
	static const struct {
		const char *code, *where, *reason;
	} by_fit[] = {
		[FIT_NONE] = { "no_rule", "egress.default",
		    "no rule names this host" },
		[FIT_HOST] = { "port", "egress.rules",
		    "no rule for this host names this port" },
		[FIT_PORT] = { "proto", "egress.rules",
		    "no rule for this host and port names this protocol" },
		[FIT_PROTO] = { "method", "egress.rules",
		    "no rule for this host names this method" },
		[FIT_METHOD] = { "path", "egress.rules",
		    "no rule for this host and method names this path" },
		[FIT_PATH] = { "query", "egress.rules",
		    "no rule for this path names these parameters" },
		[FIT_ALL] = {},
	};

	if (best == FIT_METHOD && !egress_path_plain(ask->path)) {
		block(v, "path_ambiguous", "egress.rules",
		    "the path can be read in more than one way",
		    "Write the path without dots, doubled slashes or needless "
		    "escapes.");
		return;
	}
	block(v, by_fit[best].code, by_fit[best].where, by_fit[best].reason,
	    "Work without it, or ask an operator to add a rule: `paddock "
	    "egress suggest` prints the smallest one.");
}

static void
block(struct egress_verdict *v, const char *code, const char *where,
    const char *reason, const char *next)
{
	v->kind = VERDICT_BLOCK;
	v->splice = v->inspect = v->needs_more = v->standing = false;
	(void)snprintf(v->code, sizeof(v->code), "%s", code);
	if (where != v->where)
		(void)snprintf(v->where, sizeof(v->where), "%s", where);
	(void)snprintf(v->reason, sizeof(v->reason), "%s", reason);
	(void)snprintf(v->next_step, sizeof(v->next_step), "%s", next);
}

static void
where_write(char out[static RULE_BYTES], uint32_t rule, const char *member)
{
	(void)snprintf(out, RULE_BYTES, "egress.rules[%u]%s%s", rule,
	    member != NULL ? "." : "", member != NULL ? member : "");
}
