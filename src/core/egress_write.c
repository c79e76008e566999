#include <string.h>

#include "base/limits.h"
#include "core/egress.h"

static bool about(const struct egress_verdict *v, uint32_t i);
static struct str place_value(const struct egress_ask *ask, struct str name);
static struct str segment(struct str path, uint64_t n);
static struct str parameter(struct str query, struct str name);
static void put_in_json(struct buf *out, struct str s);
static bool rule_looks(const struct egress_rule *r);

void
egress_labels(const struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *v, struct labels *out)
{
	static const struct str head = { "untrusted:", 10 };
	struct str host = str_of(ask->host);
	bool trusted = true;
	own_buf struct buf label = {};

	/* What it answers is labelled as a tool's result. */
	if (ask->to_server != NULL)
		return;
	for (uint32_t i = 0; i < p->n_egress; i++) {
		const struct egress_rule *r = &p->egress[i];
		bool says = r->respond != NULL;

		if (!about(v, i))
			continue;
		for (uint32_t k = 0; k < r->n_labels_out; k++) {
			if (str_eq_c(r->labels_out[k], "trusted"))
				says = true;
			else
				labels_add(out, r->labels_out[k]);
		}
		trusted = trusted && says;
	}
	if (trusted)
		return;
	/* The end of a long name says more than its start. */
	if (head.n + host.n >= LABEL_BYTES) {
		size_t cut = head.n + host.n - (LABEL_BYTES - 1);

		host = (struct str){ host.p + cut, host.n - cut };
	}
	buf_add_str(&label, head);
	buf_add_str(&label, host);
	labels_add(out, buf_str(&label));
}

void
egress_respond_write(struct buf *out, const struct egress_respond *r,
    const struct egress_ask *ask, uint64_t n)
{
	struct str rest = r->body;

	while (rest.n > 0) {
		size_t at = 0, end = 0;
		struct str name;

		while (at + 1 < rest.n &&
		    (rest.p[at] != '{' || rest.p[at + 1] != '{'))
			at++;
		if (at + 1 >= rest.n) {
			buf_add_str(out, rest);
			return;
		}
		for (end = at + 2; end + 1 < rest.n &&
		     (rest.p[end] != '}' || rest.p[end + 1] != '}');
		     end++)
			continue;
		if (end + 1 >= rest.n) {
			buf_add_str(out, rest);
			return;
		}
		buf_add(out, rest.p, at);
		name = (struct str){ rest.p + at + 2, end - at - 2 };
		if (str_eq(name, STR("n")))
			buf_add_u64(out, n);
		else if (r->is_json)
			put_in_json(out, place_value(ask, name));
		else
			buf_add_str(out, place_value(ask, name));
		rest = (struct str){ rest.p + end + 2, rest.n - end - 2 };
	}
}

bool
egress_inspects(const struct policy *p)
{
	for (uint32_t i = 0; i < p->n_egress; i++) {
		const struct egress_rule *r = &p->egress[i];

		if (rule_looks(r) ||
		    (r->tls != TLS_PIN && (p->stage < 5 || p->n_flow > 0)))
			return true;
	}
	return false;
}

void
egress_ca_write(struct buf *out, const struct policy *p)
{
	const uint32_t tls = 1U << PROTO_HTTPS | 1U << PROTO_WSS;
	bool any = false;

	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < p->n_egress; i++) {
		const struct egress_rule *r = &p->egress[i];
		bool again = r->tls == TLS_PIN || (r->protos & tls) == 0;

		for (uint32_t k = 0; k < i && !again; k++)
			again = p->egress[k].tls != TLS_PIN &&
			    (p->egress[k].protos & tls) != 0 &&
			    str_eq(p->egress[k].host, r->host);
		if (again)
			continue;
		buf_add_c(out, any ? "," : "");
		any = true;
		json_put_str(out, r->host);
	}
	buf_add_byte(out, ']');
}

void
egress_door_write(struct buf *out, const struct policy *p)
{
	bool any = false;

	buf_printf(out,
	    "{\"connections\":%u,\"connections_per_s\":%u,\"hosts\":[",
	    p->egress_connections, p->egress_connections_per_s);
	for (uint32_t i = 0; i < p->n_egress; i++) {
		const struct egress_rule *r = &p->egress[i];
		bool again = false;

		for (uint32_t k = 0; k < i && !again; k++)
			again = str_eq(p->egress[k].host, r->host);
		if (again)
			continue;
		buf_add_c(out, any ? "," : "");
		any = true;
		json_put_str(out, r->host);
	}
	buf_printf(out, "],\"inspect\":%s,\"ports\":[",
	    egress_inspects(p) ? "true" : "false");
	any = false;
	for (uint32_t port = 1; port <= UINT16_MAX && p->n_egress > 0; port++) {
		bool named = port == 80 || port == 443;

		for (uint32_t i = 0; i < p->n_egress && !named; i++) {
			const struct egress_rule *r = &p->egress[i];

			for (uint32_t k = 0; k < r->n_ports && !named; k++)
				named = r->ports[k] == port;
		}
		if (!named)
			continue;
		buf_printf(out, "%s%u", any ? "," : "", port);
		any = true;
	}
	buf_add_c(out, "]}");
}

static bool
about(const struct egress_verdict *v, uint32_t i)
{
	return (v->rules[i / 64] >> (i % 64) & 1) != 0;
}

/* "" for what is not there. */
static struct str
place_value(const struct egress_ask *ask, struct str name)
{
	uint64_t n;

	if (str_eq(name, STR("host")))
		return str_of(ask->host);
	if (str_eq(name, STR("method")))
		return ask->method;
	if (str_eq(name, STR("path")))
		return ask->path;
	if (str_starts(name, STR("path."))) {
		name = (struct str){ name.p + 5, name.n - 5 };
		return str_to_u64(name, &n) == 0 ? segment(ask->path, n)
						 : STR("");
	}
	if (str_starts(name, STR("query.")))
		return parameter(
		    ask->query, (struct str){ name.p + 6, name.n - 6 });
	return STR("");
}

/* The parts of "/a/b" are 1 and 2. */
static struct str
segment(struct str path, uint64_t n)
{
	for (uint64_t i = 0; path.n > 0; i++) {
		size_t end = str_find(path, '/');

		if (i == n)
			return (struct str){ path.p, end };
		if (end == path.n)
			break;
		path = (struct str){ path.p + end + 1, path.n - end - 1 };
	}
	return STR("");
}

static struct str
parameter(struct str query, struct str name)
{
	while (query.n > 0) {
		size_t end = str_find(query, '&');
		struct str one = { query.p, end };
		size_t eq = str_find(one, '=');

		if (eq < one.n && str_eq((struct str){ one.p, eq }, name))
			return (struct str){ one.p + eq + 1, one.n - eq - 1 };
		query.p += end + (end < query.n);
		query.n -= end + (end < query.n);
	}
	return STR("");
}

/* Inside a text of JSON: without the quotes. */
static void
put_in_json(struct buf *out, struct str s)
{
	own_buf struct buf quoted = {};

	json_put_str(&quoted, s);
	if (quoted.failed || quoted.n < 2)
		out->failed = true;
	else
		buf_add(out, quoted.p + 1, quoted.n - 2);
}

/* True when the rule wants to see requests. */
static bool
rule_looks(const struct egress_rule *r)
{
	return r->n_methods > 0 || r->n_paths > 0 || r->query_listed ||
	    r->n_types > 0 || r->no_uploads || r->strip_html ||
	    r->n_secrets > 0 || r->record || r->respond != NULL ||
	    r->tls == TLS_INSPECT ||
	    (r->mode == VERDICT_APPROVE && r->tls != TLS_PIN);
}
