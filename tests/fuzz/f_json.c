/*
 * The first byte chooses: bit 0 small limits, bit 1 little memory. The rest is
 * a document.
 *
 * Holds: what is refused is refused with a place inside the text and one line
 * of reason; what is read is within the limits, its tape whole and its views
 * valid; the canonical form and the indented one are read again as an equal
 * value, and the canonical form of that is the same bytes. Any bytes at all,
 * written as a string, are read again.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "codec/json_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits small_limits = {
	.max_bytes = 256,
	.max_depth = 4,
	.max_values = 24,
	.max_members = 5,
};

/* Limits under which everything but bytes and values is refused as usual. */
static const struct json_limits wide_limits = {
	.max_bytes = SIZE_MAX,
	.max_depth = JSON_MAX_DEPTH,
	.max_values = UINT32_MAX,
	.max_members = JSON_MAX_MEMBERS,
};

static void
place_is_inside(struct str text, size_t at)
{
	uint32_t line, column;

	must(at <= text.n);
	json_place(text, at, &line, &column);
	must(line >= 1 && column >= 1);
	must((size_t)line + column <= text.n + 2);
}

static void
string_is_utf8(struct str s)
{
	for (size_t at = 0, len; at < s.n; at += len) {
		len = json_text_utf8(s.p + at, s.n - at);
		must(len > 0);
	}
}

static bool
is_container(const struct json *v)
{
	return v->type == JSON_ARRAY || v->type == JSON_OBJECT;
}

/* The tape from v on, each container against the walk over it. */
static void
tape_is_whole(
    struct str text, const struct json *v, const struct json_limits *limits)
{
	const struct json *end[JSON_MAX_DEPTH];
	uint32_t depth = 0;

	must(v->skip <= limits->max_values);
	for (const struct json *x = v; x < v + v->skip; x++) {
		uint32_t n = 0;

		while (depth > 0 && x == end[depth - 1])
			depth--;
		must(x == v || x->at > x[-1].at);
		place_is_inside(text, x->at);
		must(x->at < text.n);
		if (x->type == JSON_STRING)
			string_is_utf8(json_str(x));
		if (!is_container(x)) {
			must(x->skip == 1);
			continue;
		}
		must(depth < limits->max_depth);
		must(depth == 0 || x + x->skip <= end[depth - 1]);
		end[depth++] = x + x->skip;
		for (const struct json *i = json_first(x); i != NULL;
		     i = json_next(x, i), n++) {
			must(i < x + x->skip);
			if (x->type == JSON_ARRAY)
				continue;
			must(i->type == JSON_STRING);
			must(json_get(x, json_str(i)) == json_value(i));
		}
		must(n == x->n);
		must(x->type != JSON_OBJECT || n <= limits->max_members);
	}
}

static void
written_forms_read_as_the_same(const struct json *v)
{
	own_arena struct arena a = { .max_bytes = SIZE_MAX / 2 };
	own_buf struct buf first = {};
	own_buf struct buf second = {};
	own_buf struct buf pretty = {};
	struct err e = {};
	const struct json *x, *y;

	json_write(&first, v);
	json_write_pretty(&pretty, v);
	must(!first.failed && !pretty.failed);
	x = json_parse(buf_str(&first), &wide_limits, &a, &e, NULL);
	y = json_parse(buf_str(&pretty), &wide_limits, &a, &e, NULL);
	must(x != NULL && y != NULL);
	must(json_equal(v, x) && json_equal(x, v) && json_equal(x, y));
	json_write(&second, x);
	must(str_eq(buf_str(&first), buf_str(&second)));
}

static void
any_bytes_can_be_a_string(struct str bytes)
{
	own_arena struct arena a = {};
	own_buf struct buf b = {};
	own_buf struct buf again = {};
	struct err e = {};
	const struct json *v;

	json_put_str(&b, bytes);
	must(!b.failed);
	v = json_parse(buf_str(&b), NULL, &a, &e, NULL);
	must(json_is(v, JSON_STRING));
	json_put_str(&again, json_str(v));
	must(str_eq(buf_str(&b), buf_str(&again)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_arena struct arena a = {};
	const struct json_limits *limits;
	const struct json *v;
	struct err e = {};
	struct str text;
	size_t bad = SIZE_MAX;

	if (size < 1)
		return 0;
	text = (struct str){ (const char *)data + 1, size - 1 };
	limits = (data[0] & 1) != 0 ? &small_limits : &json_default_limits;
	if ((data[0] & 2) != 0)
		a.max_bytes = 16 + (size_t)(data[0] >> 2) * 64;

	v = json_parse(text, limits, &a, &e, &bad);
	must(a.max_bytes == 0 || a.used_bytes <= a.max_bytes + 15);
	if (v != NULL) {
		must(text.n <= limits->max_bytes && e.text[0] == '\0');
		must(is_container(v) || v->skip == 1);
		tape_is_whole(text, v, limits);
		written_forms_read_as_the_same(v);
	} else {
		place_is_inside(text, bad);
		must(strncmp(e.text, "line ", 5) == 0);
		must(strchr(e.text, '\n') == NULL);
		must(strchr(e.text, '\x1b') == NULL);
	}
	any_bytes_can_be_a_string(text);
	return 0;
}
