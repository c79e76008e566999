#include "cli/egress_explain.h"

#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/term.h"
#include "core/egress.h"

/* A URL, cut up. */
struct target {
	struct str method, scheme, host, path, query;
	struct str port; /* digits, "" */
};

static int take_target(struct str call, struct target *out, struct err *e);
static int make_doc(struct buf *out, const struct target *t,
    const struct json *more, enum egress_level level, struct err *e);
static int decide(const struct policy *p, const struct target *t,
    const struct json *more, const struct labels *labels,
    struct egress_verdict *v, const char **tls, struct err *e);
static int decide_level(const struct policy *p, const struct target *t,
    const struct json *more, const struct labels *labels,
    enum egress_level level, struct egress_verdict *v, struct err *e);
static void put_text(struct buf *out, struct str call,
    const struct egress_verdict *v, const char *tls,
    const struct labels *labels);
static void put_json(struct buf *out, struct str call,
    const struct egress_verdict *v, const char *tls,
    const struct labels *labels);
static void put_rules(struct buf *out, const struct egress_verdict *v);
static void put_line(const struct term *t, struct buf *out, const char *name,
    enum term_style style, struct str value);
static void put_member(struct buf *out, const char *name, const char *value);

bool
egress_explain_is(struct str call)
{
	for (size_t i = 0; i + 2 < call.n; i++) {
		if (memcmp(call.p + i, "://", 3) == 0)
			return true;
	}
	return false;
}

int
egress_explain(const struct policy *p, struct str call, const struct json *more,
    const struct labels *labels, bool json, struct buf *out, struct err *e)
{
	static struct egress_verdict v; /* large */
	const char *tls = NULL;
	struct target t;

	if (take_target(call, &t, e) < 0 ||
	    decide(p, &t, more, labels, &v, &tls, e) < 0)
		return -1;
	if (json)
		put_json(out, call, &v, tls, labels);
	else
		put_text(out, call, &v, tls, labels);
	return 0;
}

/* [METHOD ]SCHEME://HOST[:PORT][/PATH][?QUERY] */
static int
take_target(struct str call, struct target *out, struct err *e)
{
	size_t space = str_find(call, ' ');
	struct str rest = call;
	size_t end = 0, colon;

	*out = (struct target){ .method = STR("GET"), .path = STR("/") };
	if (space < call.n) {
		out->method = (struct str){ call.p, space };
		rest = str_trim((struct str){ call.p + space, call.n - space });
	}
	out->scheme = (struct str){ rest.p, str_find(rest, ':') };
	if (rest.n < out->scheme.n + 3 || !egress_explain_is(rest))
		return err_set(e,
		    "write a method and a URL, such as \"GET "
		    "https://api.example.com/v1/x\"");
	rest.p += out->scheme.n + 3;
	rest.n -= out->scheme.n + 3;
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
		end++;
	out->host = (struct str){ rest.p, end };
	rest = (struct str){ rest.p + end, rest.n - end };
	if (rest.n > 0 && rest.p[0] == '/')
		out->path = (struct str){ rest.p, str_find(rest, '?') };
	end = str_find(rest, '?');
	if (end < rest.n)
		out->query = (struct str){ rest.p + end + 1, rest.n - end - 1 };
	/* An address of IPv6 has colons of its own, and brackets. */
	for (colon = out->host.n; colon > 0; colon--) {
		if (out->host.p[colon - 1] == ':' ||
		    out->host.p[colon - 1] == ']')
			break;
	}
	if (colon > 0 && out->host.p[colon - 1] == ':') {
		out->port =
		    (struct str){ out->host.p + colon, out->host.n - colon };
		out->host.n = colon - 1;
	}
	if (out->host.n > 2 && out->host.p[0] == '[')
		out->host = (struct str){ out->host.p + 1, out->host.n - 2 };
	return 0;
}

/* As the proxy would ask. */
static int
make_doc(struct buf *out, const struct target *t, const struct json *more,
    enum egress_level level, struct err *e)
{
	bool clear = str_eq_c(t->scheme, "http") || str_eq_c(t->scheme, "ws");
	uint64_t port = clear ? 80 : 443, length = 0;
	const struct json *type = json_get(more, STR("content_type"));

	if (t->port.n > 0 && str_to_u64(t->port, &port) < 0)
		return err_set(e, "the URL's port is no number");
	if (t->port.n == 0 && str_eq_c(t->scheme, "tcp"))
		return err_set(e, "name a port: tcp://HOST:PORT");
	if (json_get(more, STR("content_length")) != NULL &&
	    json_u64(json_get(more, STR("content_length")), &length) < 0)
		return err_set(e, "content_length is no whole number");
	buf_printf(out, "{\"content_length\":%llu", (unsigned long long)length);
	if (type != NULL) {
		buf_add_c(out, ",\"content_type\":");
		json_write(out, type);
	}
	buf_add_c(out, ",\"host\":");
	json_put_str(out, t->host);
	buf_add_c(out, ",\"method\":");
	json_put_str(out, t->method);
	buf_add_c(out, ",\"path\":");
	json_put_str(out, t->path);
	buf_printf(out, ",\"port\":%llu,\"proto\":", (unsigned long long)port);
	json_put_str(out,
	    level == LEVEL_REQUEST   ? t->scheme
		: level == LEVEL_TLS ? STR("tls")
				     : STR("tcp"));
	if (t->query.p != NULL) {
		buf_add_c(out, ",\"query\":");
		json_put_str(out, t->query);
	}
	buf_add_c(out, ",\"sni\":");
	json_put_str(out, t->host);
	buf_add_byte(out, '}');
	return out->failed ? err_set(e, "the URL is too long") : 0;
}

/* What is passed on unread is decided before there is a request. */
static int
decide(const struct policy *p, const struct target *t, const struct json *more,
    const struct labels *labels, struct egress_verdict *v, const char **tls,
    struct err *e)
{
	if (str_eq_c(t->scheme, "tcp"))
		return decide_level(p, t, more, labels, LEVEL_CONNECT, v, e);
	if (decide_level(p, t, more, labels, LEVEL_CONNECT, v, e) < 0)
		return -1;
	if (!v->needs_more)
		return 0;
	if (str_eq_c(t->scheme, "https") || str_eq_c(t->scheme, "wss")) {
		if (decide_level(p, t, more, labels, LEVEL_TLS, v, e) < 0)
			return -1;
		*tls = v->splice ? "splice" : "inspect";
		if (!v->inspect)
			return 0;
	}
	return decide_level(p, t, more, labels, LEVEL_REQUEST, v, e);
}

static int
decide_level(const struct policy *p, const struct target *t,
    const struct json *more, const struct labels *labels,
    enum egress_level level, struct egress_verdict *v, struct err *e)
{
	static struct egress_ask ask; /* large */
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	const struct json *doc;

	if (make_doc(&text, t, more, level, e) < 0)
		return -1;
	doc = json_parse(buf_str(&text), NULL, &a, e, NULL);
	if (doc == NULL || egress_ask_parse(doc, level, &ask, e) < 0)
		return -1;
	egress_decide(p, &ask, labels, v);
	return 0;
}

static void
put_text(struct buf *out, struct str call, const struct egress_verdict *v,
    const char *tls, const struct labels *labels)
{
	own_buf struct buf line = {};
	struct term t;

	term_init(&t, STDOUT_FILENO);
	put_line(&t, out, "request", TERM_BOLD, call);
	put_line(&t, out, "verdict",
	    term_style_of(str_of(verdict_name(v->kind))),
	    str_of(verdict_name(v->kind)));
	put_line(&t, out, "rule", TERM_PLAIN, str_of(v->where));
	put_line(&t, out, "code", TERM_PLAIN, str_of(v->code));
	if (v->reason[0] != '\0')
		put_line(&t, out, "because", TERM_PLAIN, str_of(v->reason));
	if (v->next_step[0] != '\0')
		put_line(
		    &t, out, "next step", TERM_PLAIN, str_of(v->next_step));
	put_line(&t, out, "risk", TERM_PLAIN, str_of(risk_name(v->risk)));
	if (tls != NULL)
		put_line(&t, out, "tls", TERM_PLAIN, str_of(tls));
	put_rules(&line, v);
	put_line(&t, out, "rules", TERM_PLAIN, buf_str(&line));
	buf_reset(&line);
	labels_write(&line, labels);
	put_line(&t, out, "labels", TERM_PLAIN, buf_str(&line));
}

static void
put_json(struct buf *out, struct str call, const struct egress_verdict *v,
    const char *tls, const struct labels *labels)
{
	buf_add_c(out, "{\"request\":");
	json_put_str(out, call);
	put_member(out, "verdict", verdict_name(v->kind));
	put_member(out, "rule", v->where);
	put_member(out, "code", v->code);
	put_member(out, "reason", v->reason);
	put_member(out, "suggested_next_step", v->next_step);
	put_member(out, "risk", risk_name(v->risk));
	put_member(out, "tls", tls != NULL ? tls : "none");
	buf_add_c(out, ",\"rules\":");
	put_rules(out, v);
	buf_add_c(out, ",\"labels\":");
	labels_write(out, labels);
	buf_add_byte(out, '}');
}

/* Those that are about it: their limits hold together. */
static void
put_rules(struct buf *out, const struct egress_verdict *v)
{
	bool any = false;

	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < EGRESS_RULES_MAX; i++) {
		if ((v->rules[i / 64] >> (i % 64) & 1) == 0)
			continue;
		buf_printf(out, "%s%u", any ? "," : "", i);
		any = true;
	}
	buf_add_byte(out, ']');
}

static void
put_line(const struct term *t, struct buf *out, const char *name,
    enum term_style style, struct str value)
{
	buf_printf(out, "%-10s ", name);
	term_put(t, out, style, value);
	buf_add_c(out, "\n");
}

static void
put_member(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, ",\"%s\":", name);
	json_put_str(out, str_of(value));
}
