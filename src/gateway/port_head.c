#include "gateway/port_head.h"

#include "base/must.h"

static struct str path_of(struct str target);
static void fields_put(struct buf *b, const struct http1_head *h, bool answer);
static bool is_kept_back(
    const struct http1_head *h, struct str name, bool answer);
static bool is_named(struct str list, struct str name);

bool
port_head_websocket(const struct http1_head *h)
{
	const struct str *to = http1_get(h, STR("Upgrade"));
	const struct str *how = http1_get(h, STR("Connection"));

	return h->minor == 1 && to != NULL && how != NULL &&
	    str_eq_nocase(*to, STR("websocket")) &&
	    http1_count(h, STR("Upgrade")) == 1 &&
	    is_named(*how, STR("upgrade"));
}

void
port_head_request(struct buf *b, const struct http1_head *h,
    const struct http1_body *body, uint16_t port, bool websocket)
{
	struct str path = path_of(h->target);
	struct str before = { h->target.p, (size_t)(path.p - h->target.p) };

	buf_add_str(b, h->method);
	buf_add_byte(b, ' ');
	buf_add_str(b, path);
	buf_printf(b, " HTTP/1.1\r\nHost: localhost:%u\r\n", port);
	fields_put(b, h, false);
	buf_add_str(b, STR("X-Forwarded-Prefix: "));
	buf_add_str(b, before);
	buf_add_str(b, STR("\r\n"));
	if (body->kind == HTTP1_BODY_LENGTH)
		buf_printf(b, "Content-Length: %llu\r\n",
		    (unsigned long long)body->left);
	else if (body->kind == HTTP1_BODY_CHUNKED)
		buf_add_str(b, STR("Transfer-Encoding: chunked\r\n"));
	buf_add_str(b,
	    websocket ? STR("Connection: Upgrade\r\nUpgrade: websocket\r\n")
		      : STR("Connection: close\r\n"));
	buf_add_str(b, STR("\r\n"));
}

void
port_head_answer(struct buf *out, const struct http1_head *h,
    const struct http1_body *body, bool chunked)
{
	buf_printf(
	    out, "HTTP/1.1 %u %s\r\n", h->status, http1_reason(h->status));
	fields_put(out, h, true);
	if (body->kind == HTTP1_BODY_LENGTH)
		buf_printf(out, "Content-Length: %llu\r\n",
		    (unsigned long long)body->left);
	else if (chunked)
		buf_add_str(out, STR("Transfer-Encoding: chunked\r\n"));
	/* Its pages are never pages of this server. */
	buf_add_str(out,
	    STR("Content-Security-Policy: sandbox allow-scripts allow-forms\r\n"
		"X-Content-Type-Options: nosniff\r\n"));
	buf_add_str(out,
	    h->status == 101
		? STR("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		: STR("Connection: close\r\n\r\n"));
}

int
port_content(struct http1_body *decoder, bool chunked, struct str bytes,
    struct buf *out, uint16_t *status, struct err *e)
{
	own_buf struct buf content = {};

	if (decoder->done)
		return 0;
	if (bytes.n > 0 &&
	    http1_body_feed(decoder, bytes.p, bytes.n, &content, status, e) < 0)
		return -1;
	if (!chunked) {
		buf_add_str(out, buf_str(&content));
		return 0;
	}
	if (content.n > 0) {
		buf_printf(out, "%zx\r\n", content.n);
		buf_add_str(out, buf_str(&content));
		buf_add_str(out, STR("\r\n"));
	}
	if (decoder->done)
		buf_add_str(out, STR("0\r\n\r\n"));
	return 0;
}

/* "/v1/sandboxes/RUN/ports/8000/a?b": "/a?b". The route has matched it. */
static struct str
path_of(struct str target)
{
	for (int slashes = 1; slashes <= PORT_HEAD_PARTS; slashes++) {
		size_t n;

		target = (struct str){ target.p + 1, target.n - 1 };
		n = str_find(target, '/');
		must(n < target.n);
		target = (struct str){ target.p + n, target.n - n };
	}
	return target;
}

static void
fields_put(struct buf *b, const struct http1_head *h, bool answer)
{
	for (uint32_t i = 0; i < h->n; i++) {
		const struct http1_field *f = &h->field[i];

		if (is_kept_back(h, f->name, answer))
			continue;
		buf_add_str(b, f->name);
		buf_add_str(b, STR(": "));
		buf_add_str(b, f->value);
		buf_add_str(b, STR("\r\n"));
	}
}

/*
 * What is between two neighbours (RFC 9110 section 7.6.1), what frames a
 * message, and what is nobody's business on the other side: a browser keeps
 * cookies and the like for a host, whatever the port and path.
 */
static bool
is_kept_back(const struct http1_head *h, struct str name, bool answer)
{
	static const struct str both[] = { STR("Connection"), STR("Keep-Alive"),
		STR("Proxy-Connection"), STR("Proxy-Authorization"),
		STR("Proxy-Authenticate"), STR("TE"), STR("Trailer"),
		STR("Transfer-Encoding"), STR("Upgrade"),
		STR("Content-Length") };
	static const struct str asked[] = { STR("Host"), STR("Expect"),
		STR("Authorization"), STR("Cookie"), STR("Paddock-Descriptors"),
		STR("X-Forwarded-Prefix") };
	static const struct str answered[] = { STR("Set-Cookie"),
		STR("Clear-Site-Data"), STR("Strict-Transport-Security"),
		STR("Alt-Svc"), STR("Service-Worker-Allowed"),
		STR("WWW-Authenticate"), STR("X-Content-Type-Options") };
	const struct str *more = answer ? answered : asked;
	const size_t n = answer ? sizeof(answered) / sizeof(answered[0])
				: sizeof(asked) / sizeof(asked[0]);

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
		if (str_eq_nocase(name, both[i]))
			return true;
	}
	for (size_t i = 0; i < n; i++) {
		if (str_eq_nocase(name, more[i]))
			return true;
	}
	for (uint32_t i = 0; i < h->n; i++) {
		if (str_eq_nocase(h->field[i].name, STR("Connection")) &&
		    is_named(h->field[i].value, name))
			return true;
	}
	return false;
}

/* A list of names with commas between them. */
static bool
is_named(struct str list, struct str name)
{
	while (list.n > 0) {
		size_t n = str_find(list, ',');

		if (str_eq_nocase(str_trim((struct str){ list.p, n }), name))
			return true;
		n += n < list.n;
		list = (struct str){ list.p + n, list.n - n };
	}
	return false;
}
