/*
 * The first byte: bit 0, the answer is to HEAD; bit 1, the client is of
 * HTTP/1.0; the second the size of the pieces in which bodies come; then two
 * bytes: how many of the rest the client says. What is left is what the server
 * inside says.
 *
 * Holds: what crosses is read by the one parser as the same message, with the
 * same content and the same end; nothing else follows it; and no field crosses
 * that is between neighbours, or that is for this server or this browser alone.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "gateway/port_head.h"

enum {
	PORT = 8000,
	ADDED_FIELDS = 6, /* more than are written besides */
	ADDED_BYTES = 600,
};

static const struct str neighbours[] = { STR("Keep-Alive"),
	STR("Proxy-Connection"), STR("Proxy-Authorization"),
	STR("Proxy-Authenticate"), STR("TE"), STR("Trailer") };
static const struct str of_requests[] = { STR("Expect"), STR("Authorization"),
	STR("Cookie"), STR("Paddock-Descriptors") };
static const struct str of_answers[] = { STR("Set-Cookie"),
	STR("Clear-Site-Data"), STR("Strict-Transport-Security"),
	STR("Alt-Svc"), STR("Service-Worker-Allowed"),
	STR("WWW-Authenticate") };

static bool
is_in(struct str name, const struct str *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq_nocase(list[i], name))
			return true;
	}
	return false;
}

/* One that the writer puts there itself. */
static bool
is_own(struct str name)
{
	static const struct str own[] = { STR("Host"),
		STR("X-Forwarded-Prefix"), STR("Connection"), STR("Upgrade"),
		STR("Content-Length"), STR("Transfer-Encoding"),
		STR("Content-Security-Policy"), STR("X-Content-Type-Options") };

	return is_in(name, own, sizeof(own) / sizeof(own[0]));
}

/* The fields of out that are not the writer's are those of in, in order. */
static void
fields_are_of(const struct http1_head *out, const struct http1_head *in)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < out->n; i++) {
		const struct http1_field *f = &out->field[i];

		must(!is_in(f->name, neighbours,
		    sizeof(neighbours) / sizeof(neighbours[0])));
		if (is_own(f->name))
			continue;
		while (k < in->n &&
		    (!str_eq(in->field[k].name, f->name) ||
			!str_eq(in->field[k].value, f->value)))
			k++;
		must(k++ < in->n);
	}
}

/* What Connection lists is between neighbours, too. */
static void
nothing_listed_is_in(const struct http1_head *out, const struct http1_head *in)
{
	for (uint32_t i = 0; i < in->n; i++) {
		struct str list = in->field[i].value;

		if (!str_eq_nocase(in->field[i].name, STR("Connection")))
			continue;
		while (list.n > 0) {
			size_t n = str_find(list, ',');
			struct str name = str_trim((struct str){ list.p, n });

			must(is_own(name) || http1_get(out, name) == NULL);
			n += n < list.n;
			list = (struct str){ list.p + n, list.n - n };
		}
	}
}

/* What the decoder gives of all of it at once. */
static int
content_of(
    const struct http1_head *h, struct str bytes, struct buf *out, bool *done)
{
	struct http1_body body;
	uint16_t status;
	struct err e = {};
	ssize_t n = 0;

	http1_body_init(&body, h, UINT64_MAX);
	if (!body.done && bytes.n > 0)
		n = http1_body_feed(&body, bytes.p, bytes.n, out, &status, &e);
	*done = body.done;
	/* Behind the end of what was written nothing may stand. */
	return n < 0 ? -1 : body.done && (size_t)n != bytes.n ? 1 : 0;
}

/* Appends the body, a piece at a time; -1 when it is none. */
static int
pieces_put(struct http1_body *body, bool chunked, struct str bytes,
    size_t piece, struct buf *out)
{
	uint16_t status;
	struct err e = {};

	/* One without content has an end all the same. */
	while (!body->done && bytes.n > 0) {
		struct str one = { bytes.p, bytes.n < piece ? bytes.n : piece };

		if (port_content(body, chunked, one, out, &status, &e) < 0)
			return -1;
		bytes.p += one.n;
		bytes.n -= one.n;
	}
	return 0;
}

/* The same content, with an end where there was one. */
static void
content_is_the_same(const struct http1_head *in, struct str was,
    const struct http1_head *out, struct str is, bool until_close)
{
	own_buf struct buf a = {}, b = {};
	bool done_a, done_b;

	must(content_of(in, was, &a, &done_a) >= 0);
	must(content_of(out, is, &b, &done_b) == 0);
	must(str_eq(buf_str(&a), buf_str(&b)));
	if (!until_close)
		must(done_a == done_b);
}

static void
try_request(struct str said, size_t piece)
{
	static struct http1_head head, out;
	struct http1_head *in = &head;
	own_buf struct buf b = {};
	struct http1_body body;
	struct str path, rest;
	uint16_t status;
	struct err e = {};
	bool websocket;
	ssize_t n = http1_request(said.p, said.n, in, &status, &e);

	if (n <= 0 || in->n + ADDED_FIELDS > HTTP_MAX_FIELDS ||
	    n + ADDED_BYTES > HTTP_MAX_HEAD_BYTES)
		return;
	/* As the route has it. */
	path = in->target;
	path.n = str_find(path, '?');
	if (path.n == 0 || path.p[0] != '/')
		return;
	for (int i = 0; i < PORT_HEAD_PARTS; i++) {
		size_t at;

		path = (struct str){ path.p + 1, path.n - 1 };
		at = str_find(path, '/');
		if (at == path.n)
			return;
		path = (struct str){ path.p + at, path.n - at };
	}
	path.n = (size_t)(in->target.p + in->target.n - path.p);

	websocket = port_head_websocket(in);
	http1_body_init(&body, in, UINT64_MAX);
	port_head_request(&b, in, &body, PORT, websocket);
	rest = (struct str){ said.p + n, said.n - (size_t)n };
	if (pieces_put(
		&body, body.kind == HTTP1_BODY_CHUNKED, rest, piece, &b) < 0)
		return;

	n = http1_request(b.p, b.n, &out, &status, &e);
	must(n > 0);
	must(str_eq(out.method, in->method) && str_eq(out.target, path));
	must(http1_count(&out, STR("Host")) == 1);
	must(str_eq(*http1_get(&out, STR("Host")), STR("localhost:8000")));
	must(http1_count(&out, STR("X-Forwarded-Prefix")) == 1);
	must(http1_count(&out, STR("Connection")) == 1);
	must((http1_get(&out, STR("Upgrade")) != NULL) == websocket);
	for (uint32_t i = 0; i < out.n; i++)
		must(!is_in(out.field[i].name, of_requests,
		    sizeof(of_requests) / sizeof(of_requests[0])));
	fields_are_of(&out, in);
	nothing_listed_is_in(&out, in);
	content_is_the_same(
	    in, rest, &out, (struct str){ b.p + n, b.n - (size_t)n }, false);
}

static void
try_answer(struct str said, size_t piece, bool to_head, bool old_client)
{
	static struct http1_head in, out;
	own_buf struct buf b = {};
	struct http1_body body;
	struct str rest;
	uint16_t status;
	struct err e = {};
	bool chunked, until_close;
	ssize_t n = http1_response(said.p, said.n, to_head, &in, &status, &e);

	if (n <= 0 || in.n + ADDED_FIELDS > HTTP_MAX_FIELDS ||
	    n + ADDED_BYTES > HTTP_MAX_HEAD_BYTES || in.status < 200)
		return;
	http1_body_init(&body, &in, UINT64_MAX);
	until_close = body.kind == HTTP1_BODY_UNTIL_CLOSE;
	chunked =
	    !old_client && (until_close || body.kind == HTTP1_BODY_CHUNKED);
	port_head_answer(&b, &in, &body, chunked);
	rest = (struct str){ said.p + n, said.n - (size_t)n };
	if (pieces_put(&body, chunked, rest, piece, &b) < 0)
		return;
	if (until_close && chunked)
		buf_add_str(&b, STR("0\r\n\r\n"));

	n = http1_response(b.p, b.n, to_head, &out, &status, &e);
	must(n > 0);
	must(out.status == in.status);
	must(http1_count(&out, STR("Connection")) == 1);
	must(http1_get(&out, STR("Upgrade")) == NULL);
	must(http1_count(&out, STR("X-Content-Type-Options")) == 1);
	must(http1_count(&out, STR("Content-Security-Policy")) ==
		1 + http1_count(&in, STR("Content-Security-Policy")) ||
	    http1_get(&in, STR("Connection")) != NULL);
	for (uint32_t i = 0; i < out.n; i++)
		must(!is_in(out.field[i].name, of_answers,
		    sizeof(of_answers) / sizeof(of_answers[0])));
	fields_are_of(&out, &in);
	nothing_listed_is_in(&out, &in);
	content_is_the_same(&in, rest, &out,
	    (struct str){ b.p + n, b.n - (size_t)n },
	    until_close || (old_client && body.kind == HTTP1_BODY_CHUNKED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str client, server;
	size_t n, piece;

	if (size < 4 || size > 60000)
		return 0;
	n = ((size_t)data[2] << 8 | data[3]) % (size - 3);
	piece = 1 + (size_t)data[1] * 8;
	client = (struct str){ (const char *)data + 4, n };
	server = (struct str){ (const char *)data + 4 + n, size - 4 - n };
	try_request(client, piece);
	try_answer(server, piece, (data[0] & 1) != 0, (data[0] & 2) != 0);
	return 0;
}
