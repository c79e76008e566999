/*
 * The headers of 2026-07-28 repeat what the body says, so that something in
 * between can route without a JSON parser. A request in which the two differ
 * would be two requests: one for whoever reads the headers, one for us.
 */
#include "codec/base64.h"
#include "gateway/mcp.h"

static int value_check(struct client *cl, const struct rpc *m,
    const char *header, struct str body_value);
static int decode(struct str value, struct buf *out);
static int params_check(struct client *cl, const struct rpc *m);
static bool is_decodable(struct str value);

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
	if ((reads || str_eq(m->method, STR("tools/call")) ||
		str_eq(m->method, STR("prompts/get"))) &&
	    json_is(name, JSON_STRING) &&
	    value_check(cl, m, "Mcp-Name", json_str(name)) < 0)
		return -1;
	return params_check(cl, m);
}

static int
value_check(struct client *cl, const struct rpc *m, const char *header,
    struct str body_value)
{
	own_buf struct buf plain = { .max = HTTP_MAX_LINE_BYTES };
	const struct str *value;

	if (mcp_header(cl, str_of(header), &value) < 0) {
		mcp_error(cl, 400, m, MCP_HEADER_MISMATCH,
		    "header %s is there more than once", header);
		return -1;
	}
	if (value == NULL) {
		/* Of a notification none is required, and none may lie. */
		if (m->id == NULL)
			return 0;
		mcp_error(cl, 400, m, MCP_HEADER_MISMATCH,
		    "header %s is missing", header);
		return -1;
	}

	/* The usual value is plain text, compared where it stands. */
	if (str_eq(*value, body_value) && !str_starts(*value, STR("=?")))
		return 0;
	if (decode(*value, &plain) < 0 ||
	    !str_eq(buf_str(&plain), body_value)) {
		mcp_error(cl, 400, m, MCP_HEADER_MISMATCH,
		    "header %s is not what the body says", header);
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
 * No tool of ours marks an argument with x-mcp-header, so no Mcp-Param-
 * header has a counterpart in the body. One that cannot be read is refused
 * all the same: somebody in between may have read something into it.
 */
static int
params_check(struct client *cl, const struct rpc *m)
{
	static const struct str prefix = STR("Mcp-Param-");
	const struct http1_head *h = &cl->conn.head;

	for (uint32_t i = 0; i < h->n; i++) {
		struct str name = h->field[i].name;

		if (name.n <= prefix.n ||
		    !str_eq_nocase((struct str){ name.p, prefix.n }, prefix))
			continue;
		if (!is_decodable(h->field[i].value)) {
			mcp_error(cl, 400, m, MCP_HEADER_MISMATCH,
			    "header %.*s cannot be decoded", STR_FMT(name));
			return -1;
		}
	}
	return 0;
}

static bool
is_decodable(struct str value)
{
	own_buf struct buf plain = { .max = HTTP_MAX_LINE_BYTES };

	return decode(value, &plain) == 0;
}
