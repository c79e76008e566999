/*
 * "url" of a member of "servers": where a tool server is that is spoken to
 * over HTTP. One way to write each place, so that what the proxy judges is
 * what stands here: a host in lower case, a port where it is not the usual
 * one, a plain path, and nothing behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/egress.h"
#include "core/policy_int.h"

static const char *url_fault(
    struct reader *r, struct str text, struct server_url *out);
static const char *port_fault(struct str digits, uint16_t *out);
static bool is_ours(struct str header);
static void check_place(
    struct reader *r, const struct spot *url, const struct egress_rule *e);
static void check_secrets(
    struct reader *r, const struct spot *server, const struct egress_rule *e);

void
policy_parse_server_url(
    struct reader *r, const struct spot *server, struct policy_server *out)
{
	static const char *const programs[] = { "env", "mounts", "memory_mb",
		"pids", "network", "capture", NULL };
	struct egress_rule *rule;
	struct server_url url = {};
	char shown[SHOWN_BYTES];
	const char *fault;
	struct spot at;

	if (!read_member(server, "url", &at))
		return;
	fault = url_fault(r, json_str(at.v), &url);
	if (fault != NULL) {
		value_show(at.v, shown);
		problem(r, &at, "%s is %s", shown, fault);
		return;
	}
	for (const char *const *p = programs; *p != NULL; p++) {
		struct spot other;

		if (read_member(server, *p, &other))
			problem(r, &other,
			    "is for a program that runs here; a server with a "
			    "`url` runs elsewhere");
	}
	rule = arena_alloc(&r->p->arena, sizeof(*rule));
	if (rule == NULL)
		return;
	policy_parse_server_rule(r, server, &url, rule);
	check_place(r, &at, rule);
	check_secrets(r, server, rule);
	out->rule = rule;
	out->https = url.https;
	out->path = url.path;
}

/* NULL when it is one; then out is it. */
static const char *
url_fault(struct reader *r, struct str text, struct server_url *out)
{
	static const char *const none =
	    "no URL of a tool server: write \"https://HOST[:PORT]/PATH\", "
	    "without a user, a query or a fragment";
	struct str rest, host, port = {};
	char shown[ADDR_TEXT_BYTES];
	const char *copy, *fault;
	struct addr addr;
	size_t slash, colon;

	out->https = str_starts(text, STR("https://"));
	if (text.p == NULL ||
	    (!out->https && !str_starts(text, STR("http://"))) ||
	    text.n > POLICY_TEXT_MAX_BYTES)
		return none;
	colon = out->https ? 8 : 7;
	rest = (struct str){ text.p + colon, text.n - colon };
	slash = str_find(rest, '/');
	out->path = slash < rest.n
	    ? (struct str){ rest.p + slash, rest.n - slash }
	    : STR("/");
	if (!egress_path_plain(out->path) ||
	    str_find(out->path, '*') < out->path.n ||
	    str_find(out->path, '?') < out->path.n ||
	    str_find(out->path, '#') < out->path.n)
		return none;
	host = (struct str){ rest.p, slash };
	colon = host.n;
	while (
	    colon > 0 && host.p[colon - 1] != ':' && host.p[colon - 1] != ']')
		colon--;
	if (colon > 0 && host.p[colon - 1] == ':') {
		port = (struct str){ host.p + colon, host.n - colon };
		host.n = colon - 1;
	}
	out->port = out->https ? 443 : 80;
	fault = port.p != NULL ? port_fault(port, &out->port) : NULL;
	if (fault != NULL)
		return fault;
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct str){ host.p + 1, host.n - 2 };
	if (addr_parse(host, &addr) == 0) {
		addr_write(&addr, shown);
		host = str_of(shown);
	} else if (str_starts(host, STR("*.")) ||
	    policy_host_fault(host) != NULL) {
		return none;
	}
	copy = arena_copy(&r->p->arena, host);
	if (copy == NULL)
		return none; /* memory is gone, which is told elsewhere */
	out->host = (struct str){ copy, host.n };
	return NULL;
}

static const char *
port_fault(struct str digits, uint16_t *out)
{
	uint32_t v = 0;

	for (size_t i = 0; i < digits.n && v <= UINT16_MAX; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9' ||
		    (i == 0 && digits.p[i] == '0'))
			return "no URL of a tool server: its port is no number";
		v = v * 10 + (uint32_t)(digits.p[i] - '0');
	}
	if (v == 0 || v > UINT16_MAX)
		return "no URL of a tool server: its port is none of 1 to "
		       "65535";
	*out = (uint16_t)v;
	return NULL;
}

/*
 * This machine, and a network of one's own, are reached only where `addrs` says
 * so. That is found here for an address; for a name when it is resolved. What
 * `localhost` is would be the resolver's to say: it is written as an address.
 */
static void
check_place(
    struct reader *r, const struct spot *url, const struct egress_rule *e)
{
	char shown[SHOWN_BYTES];
	struct addr addr;
	const char *why;

	value_show(url->v, shown);
	if (str_eq_nocase(e->host, STR("localhost")) ||
	    str_ends(e->host, STR(".localhost"))) {
		problem(r, url,
		    "%s: write this machine as its address, 127.0.0.1, and "
		    "beside it \"addrs\": [\"127.0.0.1/32\"]",
		    shown);
		return;
	}
	if (addr_parse(e->host, &addr) < 0 ||
	    addr_may_dial(&addr, e->addrs, e->n_addrs))
		return;
	why = addr_denied(&addr);
	if (e->n_addrs > 0 || why == NULL)
		problem(r, url, "%s is no address that `addrs` names", shown);
	else
		problem(r, url,
		    "%s: the address is not public (%s), and a run reaches it "
		    "only where that is said: add \"addrs\": [\"%.*s/%d\"]",
		    shown, why, STR_FMT(e->host),
		    str_find(e->host, ':') < e->host.n ? 128 : 32);
}

/* What the protocol says itself, in the head of each request. */
static bool
is_ours(struct str header)
{
	static const char *const ours[] = { "accept", "content-type",
		"content-length", "host", "connection", "transfer-encoding",
		"last-event-id", NULL };

	for (const char *const *p = ours; *p != NULL; p++) {
		if (str_eq_nocase(header, str_of(*p)))
			return true;
	}
	return header.n >= 4 &&
	    str_eq_nocase((struct str){ header.p, 4 }, STR("mcp-"));
}

/*
 * Its client has neither values nor what stands for them, so that the proxy has
 * to know the whole field.
 */
static void
check_secrets(
    struct reader *r, const struct spot *server, const struct egress_rule *e)
{
	struct spot at;

	if (!read_member(server, "secrets", &at))
		return;
	for (uint32_t i = 0; i < e->n_secrets; i++) {
		for (uint32_t k = 0; k < r->p->n_secrets; k++) {
			const struct policy_secret *p = &r->p->secrets[k];

			if (!str_eq(p->name, e->secrets[i]))
				continue;
			if (is_ours(p->header))
				problem(r, &at,
				    "\"%.*s\" goes into a header that the "
				    "protocol has itself",
				    STR_FMT(p->name));
			else if (p->header.n == 0 || p->format.n == 0)
				problem(r, &at,
				    "\"%.*s\" has no `header` with a "
				    "`format` in its `inject`, where a "
				    "server gets it",
				    STR_FMT(p->name));
		}
	}
}
