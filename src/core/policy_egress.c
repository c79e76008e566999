/*
 * "egress" of the full form: what may leave. core/egress.h says what a rule
 * means; here each is read, and what cannot be meant is told.
 */
#include <libpsl.h>
#include <string.h>

#include "base/limits.h"
#include "core/egress.h"
#include "core/policy_int.h"

enum { PORT_HTTP = 80, PORT_HTTPS = 443, STATUS_OK = 200 };

static const char *const none[] = { NULL };

static void parse_rule(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_approval(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_redact(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_ca(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_host(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_ports(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_protos(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_query(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_addrs(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_respond(
    struct reader *r, const struct spot *s, struct egress_rule *out);
static void parse_headers(
    struct reader *r, const struct spot *s, struct egress_respond *out);
static bool header_ok(struct str name, struct str value);
static void check_rule(
    struct reader *r, const struct spot *s, const struct egress_rule *e);
static bool sees(const struct egress_rule *e);

void
policy_parse_egress(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "default", "max_connections",
		"max_connections_per_s", "private_ranges", "rules", NULL };
	uint64_t most = EGRESS_CONNECTIONS, per_s = EGRESS_CONNECTIONS_PER_S;
	struct egress_rule *rows;
	struct spot egress, rules;
	uint32_t n = 0;

	r->p->egress_parts = 1;
	r->p->egress_connections = EGRESS_CONNECTIONS;
	r->p->egress_connections_per_s = EGRESS_CONNECTIONS_PER_S;
	if (!read_member(root, "egress", &egress) || !read_object(r, &egress))
		return;
	read_known(r, &egress, known, none, NOT_YET);
	read_only(r, &egress, "default", "deny");
	read_only(r, &egress, "private_ranges", "deny");
	(void)read_whole(r, &egress, "max_connections",
	    (struct range){ 1, EGRESS_FLOWS_MAX - EGRESS_FLOWS_KEPT, "" },
	    &most);
	(void)read_whole(r, &egress, "max_connections_per_s",
	    (struct range){ 1, EGRESS_FLOWS_MAX, "" }, &per_s);
	r->p->egress_connections = (uint32_t)most;
	r->p->egress_connections_per_s = (uint32_t)per_s;
	if (!read_member(&egress, "rules", &rules) || !read_array(r, &rules))
		return;
	if (rules.v->n > EGRESS_RULES_MAX) {
		problem(r, &rules, "has %u rules; at most %d are allowed",
		    rules.v->n, EGRESS_RULES_MAX);
		return;
	}
	rows = arena_alloc(&r->p->arena, rules.v->n * sizeof(*rows));
	if (rows == NULL)
		return;
	for (const struct json *x = json_first(rules.v); x != NULL;
	     x = json_next(rules.v, x), n++) {
		struct spot s = { .up = &rules, .v = x, .index = n };

		parse_rule(r, &s, &rows[n]);
	}
	r->p->egress = rows;
	r->p->n_egress = n;
}

static void
parse_rule(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	static const char *const known[] = { "host", "port", "ports", "proto",
		"methods", "paths", "query", "content_types", "uploads",
		"max_body", "rate", "tls", "mode", "risk", "labels_out",
		"addrs", "respond", "bytes_per_s", "strip_html", "ca", "redact",
		"secrets", "approval", "record", "costs", NULL };
	static const char *const tls[] = { "auto", "inspect", "pin", NULL };
	static const char *const modes[] = { "allow", "approve", "block",
		NULL };
	static const enum verdict_kind mode_of[] = { VERDICT_ALLOW,
		VERDICT_APPROVE, VERDICT_BLOCK };
	uint32_t word = 0, risk = 0, mode = 0;
	struct rate_rule rate = {};
	struct list list = {};
	bool uploads = true;

	*out = (struct egress_rule){ .max_body = UINT64_MAX, .json = s->v };
	if (!read_object(r, s))
		return;
	read_known(r, s, known, none, NOT_YET);
	parse_host(r, s, out);
	parse_ports(r, s, out);
	if (read_list(r, s, "methods", ENTRY_METHOD, POLICY_LIST_MAX, &list)) {
		out->methods = list.p;
		out->n_methods = list.n;
	}
	if (read_list(r, s, "paths", ENTRY_URL_PATH, POLICY_LIST_MAX, &list)) {
		out->paths = list.p;
		out->n_paths = list.n;
	}
	if (read_list(
		r, s, "content_types", ENTRY_TYPE, POLICY_LIST_MAX, &list)) {
		out->types = list.p;
		out->n_types = list.n;
	}
	if (read_list(
		r, s, "labels_out", ENTRY_LABEL, POLICY_LIST_MAX, &list)) {
		out->labels_out = list.p;
		out->n_labels_out = list.n;
	}
	if (read_list(r, s, "secrets", ENTRY_NAME, SECRETS_PER_RUN_MAX, &list))
		policy_rule_secrets(r, s, &list, out);
	parse_query(r, s, out);
	(void)read_bool(r, s, "uploads", &uploads);
	out->no_uploads = !uploads;
	(void)read_whole(r, s, "max_body",
	    (struct range){ 0, EGRESS_BODY_MAX_BYTES, "bytes" },
	    &out->max_body);
	policy_parse_rate(r, s, &rate);
	out->rate_ms = rate.period_ms;
	out->rate_burst = rate.burst;
	(void)read_whole(r, s, "bytes_per_s",
	    (struct range){ 1, EGRESS_SPEED_MAX, "bytes" }, &out->bytes_per_s);
	(void)read_bool(r, s, "strip_html", &out->strip_html);
	parse_redact(r, s, out);
	(void)read_bool(r, s, "record", &out->record);
	parse_ca(r, s, out);
	out->costs = policy_parse_costs(r, s, false);
	(void)read_word(r, s, "tls", tls, &word);
	out->tls = (enum egress_tls)word;
	(void)read_word(r, s, "mode", modes, &mode);
	out->mode = mode_of[mode];
	parse_approval(r, s, out);
	out->risk_written = read_word(r, s, "risk", risk_words, &risk);
	out->risk = (enum risk)risk;
	parse_addrs(r, s, out);
	parse_respond(r, s, out);
	parse_protos(r, s, out);
	check_rule(r, s, out);
	/* What is not opened cannot be searched for the run's secrets. */
	if (r->p->n_secrets > 0 && out->tls == TLS_AUTO &&
	    (out->protos & (1U << PROTO_HTTPS | 1U << PROTO_WSS)) != 0)
		out->tls = TLS_INSPECT;
}

/*
 * What its tools may do is said by their rows, so that this is no more than a
 * way to speak to it: whatever the stage, and whoever has read what.
 */
void
policy_parse_server_rule(struct reader *r, const struct spot *server,
    const struct server_url *url, struct egress_rule *out)
{
	static const struct str methods[] = { STR("POST"), STR("GET"),
		STR("DELETE") };
	static const struct str types[] = { STR("application/json") };
	struct list list = {};
	uint16_t *port = arena_alloc(&r->p->arena, sizeof(*port));
	struct str *path = arena_alloc(&r->p->arena, sizeof(*path));
	struct spot at;

	*out = (struct egress_rule){ .max_body = UINT64_MAX,
		.json = server->v,
		.host = url->host,
		.protos = 1U << (url->https ? PROTO_HTTPS : PROTO_HTTP),
		.methods = methods,
		.n_methods = sizeof(methods) / sizeof(methods[0]),
		.types = types,
		.n_types = 1,
		.query_listed = true,
		.tls = TLS_INSPECT,
		.mode = VERDICT_ALLOW,
		.risk_written = true,
		.risk = RISK_READ };
	if (port == NULL || path == NULL)
		return;
	*port = url->port;
	*path = url->path;
	out->ports = port;
	out->paths = path;
	out->n_ports = out->n_paths = 1;
	if (read_list(
		r, server, "secrets", ENTRY_NAME, SECRETS_PER_RUN_MAX, &list))
		policy_rule_secrets(r, server, &list, out);
	if (out->n_secrets > 0 && !url->https &&
	    read_member(server, "secrets", &at))
		problem(r, &at,
		    "a secret goes out over TLS only: write `url` with "
		    "\"https\"");
	(void)read_bool(r, server, "record", &out->record);
	parse_ca(r, server, out);
	parse_addrs(r, server, out);
}

static void
parse_approval(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	struct str name;
	struct spot at;

	if (!read_name(r, s, "approval", &name) ||
	    !read_member(s, "approval", &at))
		return;
	out->approval = policy_approval_find(r->p, name);
	if (out->approval == NULL)
		problem(r, &at,
		    "there is no approval \"%.*s\"; describe it in "
		    "`approvals`",
		    STR_FMT(name));
}

static void
parse_redact(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	static const char *const known[] = { "path", NULL };
	struct spot redact;

	if (!read_member(s, "redact", &redact) || !read_object(r, &redact))
		return;
	read_known(r, &redact, known, none, NOT_YET);
	(void)read_bool(r, &redact, "path", &out->redact_path);
}

/* Whether it is one is found out by who verifies with it, and fails closed. */
static void
parse_ca(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	struct spot ca;
	struct str pem;

	if (!read_member(s, "ca", &ca))
		return;
	pem = json_str(ca.v);
	if (!json_is(ca.v, JSON_STRING) || pem.n > EGRESS_CA_MAX_BYTES ||
	    !str_starts(pem, STR("-----BEGIN CERTIFICATE-----\n")))
		problem(r, &ca,
		    "must be certificates as PEM text, at most %d bytes: "
		    "what is in the file of the CA",
		    EGRESS_CA_MAX_BYTES);
	else
		out->ca = pem;
}

static void
parse_host(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	char shown[SHOWN_BYTES], text[ADDR_TEXT_BYTES];
	const char *fault, *copy;
	struct addr addr;
	struct spot host;

	if (!read_member(s, "host", &host)) {
		read_missing(r, s, "host", "name the host that it is about");
		return;
	}
	out->host = json_str(host.v);
	if (addr_parse(out->host, &addr) == 0) {
		addr_write(&addr, text);
		copy = arena_copy(&r->p->arena, str_of(text));
		if (copy != NULL)
			out->host = (struct str){ copy, str_of(text).n };
		return;
	}
	fault = policy_host_fault(out->host);
	if (fault == NULL)
		return;
	value_show(host.v, shown);
	problem(r, &host, "%s is %s", shown, fault);
}

const char *
policy_host_fault(struct str host)
{
	static const char *const no_name =
	    "no host: write a name in lower case, such as "
	    "\"api.example.com\" or \"*.example.com\"";
	bool wild = str_starts(host, STR("*."));
	struct str name = wild ? (struct str){ host.p + 2, host.n - 2 } : host;
	char text[HOST_BYTES];
	size_t from = 0;

	if (name.n == 0 || str_copy(name, text, sizeof(text) - 3) < 0)
		return no_name;
	for (size_t i = 0; i <= name.n; i++) {
		char c = text[i];

		if (i == name.n || c == '.') {
			if (i == from || i - from > 63)
				return no_name;
			from = i + 1;
		} else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			       c == '-' || c == '_')) {
			return no_name;
		}
	}
	if (text[name.n - 1] >= '0' && text[name.n - 1] <= '9' &&
	    strspn(text, "0123456789.") == name.n)
		return "no host: not an address as it is usually written";
	if (wild && psl_is_public_suffix(psl_builtin(), text))
		return "too wide: anybody can have a name below it; name the "
		       "hosts themselves";
	return NULL;
}

static void
parse_ports(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	struct spot ports;
	uint64_t one = 0;
	uint16_t *list;

	if (json_get(s->v, STR("port")) != NULL &&
	    read_member(s, "ports", &ports)) {
		problem(r, &ports, "stands beside `port`; keep one of the two");
		return;
	}
	if (read_whole(
		r, s, "port", (struct range){ 1, UINT16_MAX, "" }, &one)) {
		list = arena_alloc(&r->p->arena, sizeof(*list));
		if (list == NULL)
			return;
		list[0] = (uint16_t)one;
		out->ports = list;
		out->n_ports = 1;
		return;
	}
	(void)read_ports(r, s, 1, &out->ports, &out->n_ports);
}

/* One word, or a list of them. */
static void
parse_protos(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	static const char *const words[] = { "tcp", "http", "https", "ws",
		"wss", NULL };
	static const enum egress_proto of[] = { PROTO_TCP, PROTO_HTTP,
		PROTO_HTTPS, PROTO_WS, PROTO_WSS };
	struct list list = {};
	struct spot proto;
	uint32_t word;

	out->protos = 1U << PROTO_HTTP | 1U << PROTO_HTTPS;
	if (!read_member(s, "proto", &proto)) {
		/* Who may send anything may do it over a WebSocket. */
		if (!sees(out) || out->respond != NULL)
			out->protos |= 1U << PROTO_WS | 1U << PROTO_WSS;
		return;
	}
	out->protos = 0;
	if (!json_is(proto.v, JSON_ARRAY)) {
		if (read_word(r, s, "proto", words, &word))
			out->protos = 1U << of[word];
		return;
	}
	if (!read_list(r, s, "proto", ENTRY_NAME, POLICY_LIST_MAX, &list))
		return;
	for (uint32_t i = 0; i < list.n; i++) {
		for (word = 0; words[word] != NULL; word++) {
			if (str_eq_c(list.p[i], words[word]))
				break;
		}
		if (words[word] == NULL)
			problem(r, &proto,
			    "\"%.*s\" is none of tcp, http, https, ws, wss",
			    STR_FMT(list.p[i]));
		else
			out->protos |= 1U << of[word];
	}
	if (list.n == 0)
		problem(r, &proto, "is empty; name a protocol");
}

static void
parse_query(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	char shown[SHOWN_BYTES];
	struct str *names, *values;
	struct spot query;

	if (!read_member(s, "query", &query) || !read_object(r, &query))
		return;
	if (query.v->n > POLICY_LIST_MAX) {
		problem(r, &query, "has %u members; at most %d are allowed",
		    query.v->n, POLICY_LIST_MAX);
		return;
	}
	names = arena_alloc(&r->p->arena, query.v->n * sizeof(*names));
	values = arena_alloc(&r->p->arena, query.v->n * sizeof(*values));
	if (names == NULL || values == NULL)
		return;
	for (const struct json *k = json_first(query.v); k != NULL;
	     k = json_next(query.v, k)) {
		struct str value = json_str(json_value(k));

		if (!json_is(json_value(k), JSON_STRING) ||
		    json_str(k).n == 0 || value.n > POLICY_TEXT_MAX_BYTES) {
			value_show(json_value(k), shown);
			problem_key(r, &query, k,
			    "must be a pattern for the value, such as \"*\", "
			    "not %s",
			    shown);
			continue;
		}
		names[out->n_query] = json_str(k);
		values[out->n_query++] = value;
	}
	out->query_listed = true;
	out->query_names = names;
	out->query_values = values;
}

void
policy_parse_rate(struct reader *r, const struct spot *s, struct rate_rule *out)
{
	static const char *const known[] = { "per", "burst", NULL };
	static const char *const words[] = { "1s", "1m", "1h", "1d", NULL };
	static const uint64_t ms[] = { 1000, 60 * 1000, 3600 * 1000,
		24 * 3600 * 1000 };
	uint64_t burst = 0;
	struct spot rate;
	uint32_t word = 0;

	if (!read_member(s, "rate", &rate) || !read_object(r, &rate))
		return;
	read_known(r, &rate, known, none, NOT_YET);
	if (!read_word(r, &rate, "per", words, &word) &&
	    json_get(rate.v, STR("per")) == NULL)
		read_missing(r, &rate, "per", "1s, 1m, 1h or 1d");
	if (!read_whole(r, &rate, "burst",
		(struct range){ 1, EGRESS_RATE_MAX, "requests" }, &burst) &&
	    json_get(rate.v, STR("burst")) == NULL)
		read_missing(r, &rate, "burst", "so many in that time");
	*out = (struct rate_rule){ ms[word], (uint32_t)burst };
}

static void
parse_addrs(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	struct list list = {};
	struct cidr *addrs;
	struct spot at;

	if (!read_list(r, s, "addrs", ENTRY_NAME, EGRESS_ADDRS_MAX, &list) ||
	    !read_member(s, "addrs", &at))
		return;
	if (list.n == 0) {
		problem(r, &at, "is empty; name an address or leave it out");
		return;
	}
	addrs = arena_alloc(&r->p->arena, list.n * sizeof(*addrs));
	if (addrs == NULL)
		return;
	for (uint32_t i = 0; i < list.n; i++) {
		if (cidr_parse(list.p[i], &addrs[i]) < 0)
			problem(r, &at,
			    "\"%.*s\" is no address or range, such as "
			    "\"10.1.2.3/32\" or \"10.1.2.0/24\"",
			    STR_FMT(list.p[i]));
	}
	out->addrs = addrs;
	out->n_addrs = list.n;
}

static void
parse_respond(struct reader *r, const struct spot *s, struct egress_rule *out)
{
	static const char *const known[] = { "status", "headers", "body",
		"json", NULL };
	uint64_t status = STATUS_OK;
	struct egress_respond *a;
	own_buf struct buf text = { .max = POLICY_ARENA_BYTES };
	struct spot respond, body;
	const char *copy;

	if (!read_member(s, "respond", &respond) || !read_object(r, &respond))
		return;
	a = arena_alloc(&r->p->arena, sizeof(*a));
	if (a == NULL)
		return;
	*a = (struct egress_respond){};
	read_known(r, &respond, known, none, NOT_YET);
	(void)read_whole(
	    r, &respond, "status", (struct range){ 200, 599, "" }, &status);
	a->status = (uint32_t)status;
	if (read_member(&respond, "json", &body)) {
		a->is_json = true;
		json_write(&text, body.v);
		copy = arena_copy(&r->p->arena, buf_str(&text));
		if (text.failed || copy == NULL)
			r->p->arena.failed = true;
		else
			a->body = (struct str){ copy, text.n };
		if (json_get(respond.v, STR("body")) != NULL)
			problem(r, &body,
			    "stands beside `body`; keep one of the two");
	} else if (read_member(&respond, "body", &body)) {
		a->body = json_str(body.v);
		if (!json_is(body.v, JSON_STRING))
			problem(r, &body,
			    "must be a text; write `json` for a value");
	}
	if (a->body.n > EGRESS_MAX_RESPOND_BYTES)
		problem(r, &body, "has %zu bytes; at most %d are allowed",
		    a->body.n, EGRESS_MAX_RESPOND_BYTES);
	parse_headers(r, &respond, a);
	out->respond = a;
}

static void
parse_headers(
    struct reader *r, const struct spot *s, struct egress_respond *out)
{
	struct str *names, *values;
	struct spot headers;

	if (!read_member(s, "headers", &headers) || !read_object(r, &headers))
		return;
	if (headers.v->n > EGRESS_HEADERS_MAX) {
		problem(r, &headers, "has %u members; at most %d are allowed",
		    headers.v->n, EGRESS_HEADERS_MAX);
		return;
	}
	names = arena_alloc(&r->p->arena, headers.v->n * sizeof(*names));
	values = arena_alloc(&r->p->arena, headers.v->n * sizeof(*values));
	if (names == NULL || values == NULL)
		return;
	for (const struct json *k = json_first(headers.v); k != NULL;
	     k = json_next(headers.v, k)) {
		const struct json *value = json_value(k);

		if (!json_is(value, JSON_STRING) ||
		    !header_ok(json_str(k), json_str(value))) {
			problem_key(r, &headers, k,
			    "is no header that an answer may carry: a name in "
			    "lower case, and one line; length and connection "
			    "are the proxy's");
			continue;
		}
		names[out->n_headers] = json_str(k);
		values[out->n_headers++] = json_str(value);
	}
	out->names = names;
	out->values = values;
}

static bool
header_ok(struct str name, struct str value)
{
	static const char *const ours[] = { "content-length", "connection",
		"transfer-encoding", "keep-alive", "upgrade", "trailer",
		"proxy-connection", "te", NULL };

	for (const char *const *p = ours; *p != NULL; p++) {
		if (str_eq_c(name, *p))
			return false;
	}
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '_'))
			return false;
	}
	for (size_t i = 0; i < value.n; i++) {
		if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
			return false;
	}
	return name.n > 0 && name.n <= NAME_MAX_BYTES &&
	    value.n <= HTTP_MAX_LINE_BYTES;
}

/* What a rule cannot mean. */
static void
check_rule(struct reader *r, const struct spot *s, const struct egress_rule *e)
{
	const uint32_t web = 1U << PROTO_HTTP | 1U << PROTO_HTTPS |
	    1U << PROTO_WS | 1U << PROTO_WSS;
	bool tcp = (e->protos & 1U << PROTO_TCP) != 0;
	struct spot at;

	if (tcp && (e->protos & web) != 0 && read_member(s, "proto", &at))
		problem(r, &at,
		    "tcp stands beside a protocol that is read; write two "
		    "rules");
	if (tcp && e->n_ports == 0)
		read_missing(r, s, "port", "a rule for tcp names its port");
	if (tcp && (sees(e) || e->respond != NULL))
		problem(r, s,
		    "nobody reads raw TCP: methods, paths, query, "
		    "content_types, uploads, respond and tls need a proto of "
		    "the web");
	if (e->n_secrets > 0 &&
	    (e->protos & (1U << PROTO_HTTP | 1U << PROTO_WS)) != 0 &&
	    read_member(s, "secrets", &at))
		problem(r, &at,
		    "a secret goes out over TLS only: write `proto` "
		    "\"https\"");
	if (e->tls == TLS_PIN && (sees(e) || e->respond != NULL) &&
	    read_member(s, "tls", &at))
		problem(r, &at,
		    "a pinned host is never opened: leave out what needs the "
		    "request to be read");
	if (e->respond != NULL && e->mode == VERDICT_BLOCK &&
	    read_member(s, "mode", &at))
		problem(r, &at, "block contradicts `respond`");
	if (e->respond != NULL && e->n_addrs > 0 &&
	    read_member(s, "addrs", &at))
		problem(r, &at, "nothing is dialled where `respond` answers");
}

/* True when the rule is about what only a request shows. */
static bool
sees(const struct egress_rule *e)
{
	return e->n_methods > 0 || e->n_paths > 0 || e->query_listed ||
	    e->n_types > 0 || e->no_uploads || e->strip_html ||
	    e->n_secrets > 0 || e->record || e->tls == TLS_INSPECT;
}
