#include "init/mcp_message.h"

#include "codec/base64.h"

static void session_put(struct buf *out, const struct mcp_door *d);
static void head_put(
    struct buf *out, const struct mcp_door *d, const char *method);
static void field_put(struct buf *out, const char *name, struct str value);
static bool is_plain(struct str value);
static struct str name_of(const struct mcp_message *m);

int
mcp_message_read(struct mcp_message *m, struct str text, struct arena *a,
    int *code, struct err *e)
{
	const struct json *meta;

	*m = (struct mcp_message){ .text = text };
	*code = MCP_PARSE_ERROR;
	m->root = json_parse(text, NULL, a, e, NULL);
	if (m->root == NULL)
		return -1;
	*code = MCP_INVALID_REQUEST;
	if (json_is(m->root, JSON_ARRAY))
		return err_set(e, "batches are not taken: one message a line");
	if (!json_is(m->root, JSON_OBJECT))
		return err_set(e, "a message is an object, not %s",
		    json_type_name((enum json_type)m->root->type));
	m->id = json_get(m->root, STR("id"));
	m->method = json_str(json_get(m->root, STR("method")));
	if (json_is(m->id, JSON_NULL)) {
		m->id = NULL;
		if (m->method.n > 0)
			return err_set(e, "the id of a request is not null");
	}
	if (m->id != NULL && !json_is(m->id, JSON_STRING) &&
	    !json_is(m->id, JSON_NUMBER)) {
		m->id = NULL;
		return err_set(e, "the id is neither a string nor a number");
	}
	if (m->method.n == 0 && json_get(m->root, STR("result")) == NULL &&
	    json_get(m->root, STR("error")) == NULL)
		return err_set(e, "no method, no result and no error in it");
	meta = json_at(m->root, "params", "_meta", NULL);
	m->version = json_str(
	    json_get(meta, STR("io.modelcontextprotocol/protocolVersion")));
	m->is_initialize = str_eq_c(m->method, "initialize");
	m->is_listen = str_eq_c(m->method, "subscriptions/listen");
	m->is_cancel = str_eq_c(m->method, "notifications/cancelled");
	return 0;
}

bool
mcp_message_is_request(const struct mcp_message *m)
{
	return m->method.n > 0 && m->id != NULL;
}

void
mcp_request_put(
    struct buf *out, const struct mcp_door *d, const struct mcp_message *m)
{
	struct str version = m->version;
	bool is_modern = version.n > 0;

	/* A notification of the new era may leave out its _meta. */
	if (version.n == 0 && !m->is_initialize) {
		version = str_of(d->version);
		is_modern = d->is_modern;
	}
	head_put(out, d, "POST");
	buf_add_c(out,
	    "Content-Type: application/json\r\n"
	    "Accept: application/json, text/event-stream\r\n");
	/* Not on initialize: nothing has been agreed on yet. */
	if (version.n > 0)
		field_put(out, "MCP-Protocol-Version", version);
	if (is_modern && m->method.n > 0) {
		/* No Mcp-Param-*: what a tool's arguments are to repeat is not
		 * for a bridge to know. */
		field_put(out, "Paddock-From-Pipe", STR("1"));
		field_put(out, "Mcp-Method", m->method);
		if (name_of(m).n > 0)
			field_put(out, "Mcp-Name", name_of(m));
	}
	if (!is_modern && !m->is_initialize && d->session[0] != '\0')
		field_put(out, "Mcp-Session-Id", str_of(d->session));
	buf_printf(out, "Content-Length: %zu\r\n\r\n", m->text.n);
	buf_add_str(out, m->text);
}

void
mcp_stream_put(struct buf *out, const struct mcp_door *d)
{
	head_put(out, d, "GET");
	buf_add_c(out, "Accept: text/event-stream\r\n");
	session_put(out, d);
}

void
mcp_delete_put(struct buf *out, const struct mcp_door *d)
{
	head_put(out, d, "DELETE");
	session_put(out, d);
}

/* The end of a head that belongs to the session. */
static void
session_put(struct buf *out, const struct mcp_door *d)
{
	if (d->version[0] != '\0')
		field_put(out, "MCP-Protocol-Version", str_of(d->version));
	field_put(out, "Mcp-Session-Id", str_of(d->session));
	buf_add_c(out, "\r\n");
}

void
mcp_error_put(struct buf *out, struct str id, int code, struct str text)
{
	buf_add_c(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	buf_add_str(out, id);
	buf_printf(out, ",\"error\":{\"code\":%d,\"message\":", code);
	json_put_str(out, text);
	buf_add_c(out, "}}");
}

static void
head_put(struct buf *out, const struct mcp_door *d, const char *method)
{
	buf_printf(out, "%s %.*s HTTP/1.1\r\nHost: %.*s\r\n", method,
	    STR_FMT(d->url.path), STR_FMT(d->url.authority));
	if (d->token.n > 0) {
		buf_add_c(out, "Authorization: Bearer ");
		buf_add_str(out, buf_str(&d->token));
		buf_add_c(out, "\r\n");
	}
}

/* A value that a header cannot hold goes as =?base64?...?=. */
static void
field_put(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, "%s: ", name);
	if (is_plain(value)) {
		buf_add_str(out, value);
	} else {
		buf_add_c(out, "=?base64?");
		base64_encode(out, value, BASE64_STANDARD);
		buf_add_c(out, "?=");
	}
	buf_add_c(out, "\r\n");
}

/* Visible ASCII, blanks only inside, and not what stands for base64. */
static bool
is_plain(struct str value)
{
	if (str_trim(value).n != value.n)
		return false;
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < ' ' || value.p[i] > '~')
			return false;
	}
	return !str_starts(value, STR("=?base64?")) ||
	    !str_ends(value, STR("?="));
}

/* What the request is about, of the three methods that name something. */
static struct str
name_of(const struct mcp_message *m)
{
	const struct json *params = json_get(m->root, STR("params"));

	if (str_eq_c(m->method, "tools/call") ||
	    str_eq_c(m->method, "prompts/get"))
		return json_str(json_get(params, STR("name")));
	if (str_eq_c(m->method, "resources/read"))
		return json_str(json_get(params, STR("uri")));
	return STR("");
}
