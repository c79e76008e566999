/*
 * An OpenAPI document, a NUL, and the arguments of a call.
 *
 * Holds: the schema of each tool is JSON; a request that is written has the
 * base in front, as many segments as its template, one query at most, names of
 * the document alone in it, and a head whose lines are those that are meant.
 */
#include <string.h>

#include "base/must.h"
#include "core/egress.h"
#include "core/openapi.h"

#define BASE "/v1"

static size_t
count(struct str s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

static void
check_request(const struct openapi_request *q, const struct openapi_op *op)
{
	struct str target = buf_str(&q->target), fields = buf_str(&q->fields);
	struct str path = { target.p, str_find(target, '?') };
	size_t lines = 0, values = 0;

	must(str_starts(target, STR(BASE "/")));
	must(egress_path_plain(path));
	must(count(path, '/') == 1 + count(op->path, '/'));
	must(count(target, '?') <= 1 && count(target, '#') == 0);
	for (size_t i = 0; i < target.n; i++)
		must(target.p[i] > ' ' && target.p[i] < 0x7f);
	for (size_t i = 0; i < fields.n; i++) {
		unsigned char c = (unsigned char)fields.p[i];

		lines += c == '\n';
		must(c >= ' ' || c == '\r' || c == '\n');
		must(c < 0x7f);
		must(c != '\n' || (i > 0 && fields.p[i - 1] == '\r'));
		must(
		    c != '\r' || (i + 1 < fields.n && fields.p[i + 1] == '\n'));
	}
	for (uint32_t i = 0; i < op->n_params; i++)
		values += op->params[i].in == OPENAPI_HEADER;
	/* Accept, and Content-Type where there is a body. */
	must(lines <= 2 + values);
	must(op->body != OPENAPI_NO_BODY || q->body.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = { (const char *)data, size };
	size_t n = str_find(all, '\0');
	struct str text = { all.p, n };
	struct str given = n < all.n
	    ? (struct str){ all.p + n + 1, all.n - n - 1 }
	    : STR("{}");
	own_arena struct arena a = {};
	struct openapi api;
	struct err e = {};
	const struct json *doc = json_parse(text, NULL, &a, &e, NULL);
	const struct json *args = json_parse(given, NULL, &a, &e, NULL);

	if (doc == NULL || openapi_read(&api, doc, &a, &e) < 0)
		return 0;
	must(api.n_ops + api.n_refused <= OPENAPI_OPS_MAX);
	for (uint32_t i = 0; i < api.n_ops; i++) {
		own_buf struct buf input = {};
		struct openapi_request q = {};

		if (openapi_input(&input, &api, &api.ops[i]) == 0) {
			own_arena struct arena b = {};

			must(json_is(
			    json_parse(buf_str(&input), NULL, &b, &e, NULL),
			    JSON_OBJECT));
		}
		if (args != NULL &&
		    openapi_write(&q, &api.ops[i], STR(BASE), args, &e) == 0)
			check_request(&q, &api.ops[i]);
		openapi_request_fini(&q);
	}
	return 0;
}
