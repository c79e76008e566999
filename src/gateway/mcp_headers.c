/*
 * The headers of 2026-07-28 repeat what the body says, so that something in
 * between can route without a JSON parser. A request in which the two differ
 * would be two requests: one for whoever reads the headers, one for us.
 */
#include <stdarg.h>
#include <stdio.h>

#include "codec/base64.h"
#include "gateway/mcp.h"

static int value_check(struct client *cl, const struct rpc *m,
    const char *header, struct str body_value);
static int decode(struct str value, struct buf *out);
static int params_check(struct client *cl, const struct rpc *m);
static bool is_decodable(struct str value);
static bool is_param(struct str name);
static char to_lower(char c);
static bool comes_before(struct str a, struct str b);

static const struct str prefix = STR("Mcp-Param-");

int
mcp_headers_check(struct client *cl, const struct rpc *m)
{
	const bool reads = str_eq(m->method, STR("resources/read"));
	const struct json *name;

	if (value_check(cl, m, "MCP-Protocol-Version",
		json_str(json_get(m->meta, MCP_META_VERSION))) < 0 ||
	    value_check(cl, m, "Mcp-Method", m->method) < 0)
		return -1;
	name = json_get(m->params, reads ? STR("uri") : STR("name"));
	if (reads || str_eq(m->method, STR("tools/call")) ||
	    str_eq(m->method, STR("prompts/get"))) {
		if (json_is(name, JSON_STRING)) {
			if (value_check(cl, m, "Mcp-Name", json_str(name)) < 0)
				return -1;
		} else if (http1_get(&cl->conn.head, STR("Mcp-Name")) != NULL) {
			mcp_mismatch(cl, m,
			    "header Mcp-Name says what the body does not");
			return -1;
		}
	}
	return params_check(cl, m);
}

static int
value_check(struct client *cl, const struct rpc *m, const char *header,
    struct str body_value)
{
	own_buf struct buf plain = { .max = HTTP_MAX_LINE_BYTES };
	const struct str *value;

	if (mcp_header(cl, str_of(header), &value) < 0) {
		mcp_mismatch(
		    cl, m, "header %s is there more than once", header);
		return -1;
	}
	if (value == NULL) {
		/* Of a notification none is required, and none may lie. */
		if (m->id == NULL)
			return 0;
		mcp_mismatch(cl, m, "header %s is missing", header);
		return -1;
	}

	/* The usual value is plain text, compared where it stands. */
	if (str_eq(*value, body_value) && !str_starts(*value, STR("=?")))
		return 0;
	if (decode(*value, &plain) < 0 ||
	    !str_eq(buf_str(&plain), body_value)) {
		mcp_mismatch(
		    cl, m, "header %s is not what the body says", header);
		return -1;
	}
	return 0;
}

/* Plain visible ASCII, or =?base64?...?= around UTF-8. */
static int
decode(struct str value, struct buf *out)
{
	static const struct str head = STR("=?base64?"), tail = STR("?=");
	struct err e = {};

	if (str_starts(value, head) && str_ends(value, tail) &&
	    value.n >= head.n + tail.n) {
		value.p += head.n;
		value.n -= head.n + tail.n;
		return base64_decode(out, value, BASE64_STANDARD, &e);
	}
	for (size_t i = 0; i < value.n; i++) {
		if ((value.p[i] < ' ' && value.p[i] != '\t') ||
		    value.p[i] > '~')
			return -1;
	}
	buf_add_str(out, value);
	return out->failed ? -1 : 0;
}

/*
 * Which of them an argument has is for the broker to know, as each tool's
 * definition says. What cannot be read, or is there twice, is refused here,
 * whoever's it is: somebody in between may have read something into it.
 */
static int
params_check(struct client *cl, const struct rpc *m)
{
	const struct http1_head *h = &cl->conn.head;
	size_t n = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		struct str name = h->field[i].name;

		if (!is_param(name))
			continue;
		if (http1_count(h, name) != 1) {
			mcp_mismatch(cl, m,
			    "header %.*s is there more than once",
			    STR_FMT(name));
			return -1;
		}
		if (!is_decodable(h->field[i].value)) {
			mcp_mismatch(cl, m, "header %.*s cannot be decoded",
			    STR_FMT(name));
			return -1;
		}
		if (++n > MCP_PARAMS_MAX) {
			mcp_mismatch(cl, m,
			    "there are over %d headers Mcp-Param-*",
			    MCP_PARAMS_MAX);
			return -1;
		}
	}
	return 0;
}

/*
 * By their names, in the order of RFC 8785. The bridge of `paddock mcp` reads
 * lines of a pipe, which has no head, and knows of no tool's definition: what
 * it does not send is not missing.
 */
void
mcp_params_put(struct client *cl, struct buf *b)
{
	const struct http1_head *h = &cl->conn.head;
	struct str names[MCP_PARAMS_MAX];
	size_t n = 0;

	for (uint32_t i = 0; i < h->n && n < MCP_PARAMS_MAX; i++) {
		struct str name = h->field[i].name;
		size_t at = n;

		if (!is_param(name))
			continue;
		while (at > 0 && comes_before(name, names[at - 1])) {
			names[at] = names[at - 1];
			at--;
		}
		names[at] = name;
		n++;
	}
	if (n == 0 && http1_get(h, STR(MCP_FROM_PIPE)) != NULL)
		return;
	buf_add_c(b, "\"heads\":{");
	for (size_t i = 0; i < n; i++) {
		own_buf struct buf plain = { .max = HTTP_MAX_LINE_BYTES };
		char lower[HTTP_MAX_LINE_BYTES];
		struct str name = { names[i].p + prefix.n,
			names[i].n - prefix.n };

		for (size_t k = 0; k < name.n && k < sizeof(lower); k++)
			lower[k] = to_lower(name.p[k]);
		buf_add_c(b, i > 0 ? "," : "");
		json_put_str(b, (struct str){ lower, name.n });
		buf_add_byte(b, ':');
		(void)decode(*http1_get(h, names[i]), &plain); /* looked at */
		json_put_str(b, buf_str(&plain));
	}
	buf_add_c(b, "},");
}

void
mcp_mismatch(struct client *cl, const struct rpc *m, const char *fmt, ...)
{
	struct gateway *g = cl->gateway;
	const struct msg_tool_call told = {
		.run = cl->caller.run,
		.token = cl->caller.token,
		.uid = cl->caller.uid,
		.door = cl->caller.door,
	};
	own_buf struct buf body = {};
	char text[ERR_TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_add_c(&body, "{\"code\":\"header_mismatch\",\"why\":");
	json_put_str(&body, str_of(text));
	buf_add_byte(&body, '}');
	(void)peer_send(&g->broker, MSG_BAD_REQUEST, &told, buf_str(&body),
	    NULL, 0); /* without a broker nothing is recorded, or done */
	mcp_error(cl, 400, m, MCP_HEADER_MISMATCH, "%s", text);
}

static bool
is_param(struct str name)
{
	return name.n > prefix.n &&
	    str_eq_nocase((struct str){ name.p, prefix.n }, prefix);
}

static char
to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool
comes_before(struct str a, struct str b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++) {
		if (to_lower(a.p[i]) != to_lower(b.p[i]))
			return to_lower(a.p[i]) < to_lower(b.p[i]);
	}
	return a.n < b.n;
}

static bool
is_decodable(struct str value)
{
	own_buf struct buf plain = { .max = HTTP_MAX_LINE_BYTES };

	return decode(value, &plain) == 0;
}
