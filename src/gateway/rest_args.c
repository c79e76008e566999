#include "gateway/answer.h"
#include "gateway/rest.h"

static int path_put(struct client *cl, const struct rest_route *r,
    const struct str arg[static REST_PATH_MAX], struct buf *b);
static int query_put(struct client *cl, const struct rest_route *r,
    struct str query, struct buf *b);
static int pair_put(struct client *cl, const struct rest_route *r,
    struct str name, struct str value, struct buf *b);
static int decode(struct str text, struct buf *out);

int
rest_args(struct client *cl, const struct rest_route *r,
    const struct str arg[static REST_PATH_MAX], struct str query,
    const struct json *body)
{
	struct gateway *g = cl->gateway;
	struct buf *b = &g->payload;
	own_buf struct buf text = {};
	const struct json *all;
	struct err e = {};

	for (unsigned i = 0; i < REST_PATH_MAX; i++) {
		struct str name = rest_arg_name(r, i);

		if (name.n == 0 || json_get(body, name) == NULL)
			continue;
		answer_error(cl, 400, "the body repeats what the path says");
		return -1;
	}
	buf_add_byte(&text, '{');
	buf_add_str(&text, r->adds);
	if (path_put(cl, r, arg, &text) < 0 ||
	    (r->body != REST_BYTES && query_put(cl, r, query, &text) < 0))
		return -1;
	if (text.n == 1) {
		buf_reset(b);
		if (body != NULL)
			json_write(b, body);
		else
			buf_add_str(b, STR("{}"));
		return 0;
	}
	if (body != NULL && body->n > 0) {
		buf_reset(b);
		json_write(b, body);
		if (b->failed) {
			answer_error(cl, 413, "the body is too large");
			return -1;
		}
		buf_add_byte(&text, ',');
		buf_add(&text, b->p + 1, b->n - 2);
	}
	buf_add_byte(&text, '}');

	/* One document of all, which also finds a name that is there twice. */
	all = json_parse(buf_str(&text), NULL, &g->arena, &e, NULL);
	if (all == NULL) {
		answer_error(cl, 400, e.text);
		return -1;
	}
	buf_reset(b);
	json_write(b, all);
	return 0;
}

struct str
rest_arg_name(const struct rest_route *r, unsigned i)
{
	struct str rest = r->path;

	for (;; i--) {
		size_t from = str_find(rest, '{'), to = str_find(rest, '}');

		if (from == rest.n)
			return STR("");
		if (i == 0)
			return (struct str){ rest.p + from + 1, to - from - 1 };
		rest = (struct str){ rest.p + to + 1, rest.n - to - 1 };
	}
}

int
rest_query_bytes(struct str query, struct str name, struct buf *out)
{
	while (query.n > 0) {
		size_t end = str_find(query, '&');
		struct str pair = { query.p, end };
		size_t at = str_find(pair, '=');

		if (str_eq((struct str){ pair.p, at }, name)) {
			at += at < pair.n;
			return decode(
			    (struct str){ pair.p + at, pair.n - at }, out);
		}
		end += end < query.n;
		query = (struct str){ query.p + end, query.n - end };
	}
	return -1;
}

/* Names are of runs, approvals and tokens; what follows them is a number. */
static int
path_put(struct client *cl, const struct rest_route *r,
    const struct str arg[static REST_PATH_MAX], struct buf *b)
{
	struct str name = rest_arg_name(r, 0), second = rest_arg_name(r, 1);
	struct str third = rest_arg_name(r, 2);
	uint64_t id, number;

	if (name.n == 0)
		return 0;
	if (second.n > 0) {
		if (str_to_u64(arg[1], &number) < 0 ||
		    number > 9007199254740991) {
			answer_error(cl, 404, "not a number in the path");
			return -1;
		}
		if (b->n > 1)
			buf_add_byte(b, ',');
		json_put_str(b, second);
		buf_printf(b, ":%llu", (unsigned long long)number);
	}
	if (third.n > 0) {
		buf_add_byte(b, ',');
		json_put_str(b, third);
		buf_add_byte(b, ':');
		json_put_str(b, arg[2]);
	}
	if (id_parse(name.p[0], arg[0], &id) < 0) {
		answer_error(cl, 404,
		    name.p[0] == 'r'	   ? "not the name of a run"
			: name.p[0] == 't' ? "not the name of a token"
			: name.p[0] == 'p' ? "not the name of a definition"
					   : "not the name of an approval");
		return -1;
	}
	if (b->n > 1)
		buf_add_byte(b, ',');
	json_put_str(b, name);
	buf_add_byte(b, ':');
	json_put_str(b, arg[0]);
	return 0;
}

static int
query_put(struct client *cl, const struct rest_route *r, struct str query,
    struct buf *b)
{
	while (query.n > 0) {
		size_t end = str_find(query, '&');
		struct str pair = { query.p, end };
		struct str name = { pair.p, str_find(pair, '=') };
		size_t at = name.n + (name.n < pair.n);
		struct str value = { pair.p + at, pair.n - at };

		if (pair_put(cl, r, name, value, b) < 0)
			return -1;
		end += end < query.n;
		query = (struct str){ query.p + end, query.n - end };
	}
	return 0;
}

static int
pair_put(struct client *cl, const struct rest_route *r, struct str name,
    struct str value, struct buf *b)
{
	own_buf struct buf plain = { .max = HTTP_MAX_LINE_BYTES };
	const struct rest_query *q = NULL;
	uint64_t number;

	for (int i = 0; i < REST_QUERY_MAX; i++) {
		if (r->query[i].name.n > 0 && str_eq(r->query[i].name, name))
			q = &r->query[i];
	}
	if (q == NULL) {
		answer_error(cl, 400, "the query has an unknown argument");
		return -1;
	}
	if (decode(value, &plain) < 0) {
		answer_error(cl, 400, "the query has a bad % sequence");
		return -1;
	}
	if (b->n > 1)
		buf_add_byte(b, ',');
	json_put_str(b, name);
	buf_add_byte(b, ':');
	if (q->kind == REST_TEXT) {
		json_put_str(b, buf_str(&plain));
		return 0;
	}
	if (q->kind == REST_BOOL) {
		if (!str_eq(buf_str(&plain), STR("true")) &&
		    !str_eq(buf_str(&plain), STR("false"))) {
			answer_error(cl, 400,
			    "an argument of the query is true or false");
			return -1;
		}
		buf_add_str(b, buf_str(&plain));
		return 0;
	}
	if (str_to_u64(buf_str(&plain), &number) < 0 ||
	    number > 9007199254740991) {
		answer_error(
		    cl, 400, "a number of the query is not a whole number");
		return -1;
	}
	buf_add_u64(b, number);
	return 0;
}

/* RFC 3986 section 2.1; a plus sign is a plus sign. */
static int
decode(struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '%') {
			if (text.n - i < 3 ||
			    str_hex_digit(text.p[i + 1]) < 0 ||
			    str_hex_digit(text.p[i + 2]) < 0)
				return -1;
			c = (char)(str_hex_digit(text.p[i + 1]) * 16 +
			    str_hex_digit(text.p[i + 2]));
			i += 2;
		}
		buf_add_byte(out, c);
	}
	return out->failed ? -1 : 0;
}
