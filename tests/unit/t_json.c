/*
 * codec/json.h, reading. Writing is in t_json_write.c; json_oracle.test.js
 * compares both with another implementation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/json.h"

/* A row of a table of documents that are refused. */
struct refused {
	const char *why;
	const char *text;
	size_t bad; /* byte at which it goes wrong */
	const char *says; /* part of the error */
};

static const char *canonical(struct str text, const struct json_limits *limits);
static void refuses(const struct refused *rows, size_t n);
static void fill(struct buf *b, const char *piece, size_t times);

/* The canonical form, or the error's text. Valid until the next call. */
static const char *
canonical(struct str text, const struct json_limits *limits)
{
	static struct buf b;
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v = json_parse(text, limits, &a, &e, NULL);

	buf_reset(&b);
	if (v == NULL)
		buf_add_c(&b, e.text);
	else
		json_write(&b, v);
	return buf_c(&b);
}

static void
refuses(const struct refused *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		own_arena struct arena a = {};
		struct err e = {};
		size_t bad = SIZE_MAX;

		if (json_parse(str_of(rows[i].text), NULL, &a, &e, &bad) !=
		    NULL)
			fail_msg("%s: accepted", rows[i].why);
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("%s: says %s", rows[i].why, e.text);
		if (bad != rows[i].bad)
			fail_msg("%s: at byte %zu", rows[i].why, bad);
	}
}

static void
fill(struct buf *b, const char *piece, size_t times)
{
	for (size_t i = 0; i < times; i++)
		buf_add_c(b, piece);
}

static void
every_kind_of_value_is_read(void **state)
{
	own_arena struct arena a = {};
	struct err e = {};
	uint64_t n = 0;
	const struct json *v = json_parse(
	    STR("\t{\"s\": \"x\", \"n\": 7, \"d\": 1.5, \"t\": true,\r\n"
		"\"f\": false, \"0\": null, \"a\": [1, [], {}], \"o\": "
		"{\"in\": {\"deep\": \"y\"}}} "),
	    NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	assert_int_equal(v->n, 8);
	assert_int_equal(v->at, 1);
	assert_true(str_eq_c(json_str(json_at(v, "s", NULL)), "x"));
	assert_int_equal(json_u64(json_get(v, STR("n")), &n), 0);
	assert_int_equal(n, 7);
	assert_true(json_get(v, STR("d"))->num == 1.5);
	assert_true(json_bool(json_get(v, STR("t")), false));
	assert_false(json_bool(json_get(v, STR("f")), true));
	assert_true(json_is(json_get(v, STR("0")), JSON_NULL));
	assert_int_equal(json_get(v, STR("a"))->n, 3);
	assert_true(
	    str_eq_c(json_str(json_at(v, "o", "in", "deep", NULL)), "y"));
}

static void
what_is_not_there_is_null_or_the_other_value(void **state)
{
	own_arena struct arena a = {};
	struct err e = {};
	uint64_t n;
	const struct json *v =
	    json_parse(STR("{\"a\":[1]}"), NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	assert_null(json_get(NULL, STR("a")));
	assert_null(json_get(v, STR("b")));
	assert_null(json_get(v, STR("")));
	assert_null(json_get(v, (struct str){}));
	assert_null(json_get(json_get(v, STR("a")), STR("a")));
	assert_null(json_at(v, "a", "b", NULL));
	assert_null(json_at(v, "x", "y", "z", NULL));
	assert_ptr_equal(json_at(v, NULL), v);
	assert_null(json_first(NULL));
	assert_null(json_first(v + 3)); /* the number */
	assert_false(json_is(NULL, JSON_NULL));
	assert_true(json_bool(NULL, true));
	assert_false(json_bool(v, false));
	assert_int_equal(json_str(v).n, 0);
	assert_int_equal(json_u64(NULL, &n), -1);
	assert_int_equal(json_u64(v, &n), -1);
}

static void
walking_meets_every_element_and_member_in_order(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf b = {};
	struct err e = {};
	const struct json *v = json_parse(
	    STR("[{},{\"z\":[1,2,[3]],\"a\":{\"b\":[]},\"m\":0},[[]],5]"), NULL,
	    &a, &e, NULL);
	const struct json *o;

	(void)state;
	assert_non_null(v);
	for (const struct json *x = json_first(v); x; x = json_next(v, x))
		buf_printf(&b, "%u@%u ", x->type, x->at);
	o = json_next(v, json_first(v));
	for (const struct json *k = json_first(o); k; k = json_next(o, k))
		buf_printf(
		    &b, "%.*s=%u ", STR_FMT(json_str(k)), json_value(k)->type);
	assert_string_equal(buf_c(&b), "6@1 6@4 5@39 3@44 z=5 a=6 m=3 ");
	assert_null(json_first(json_first(v)));
}

static void
whole_numbers_are_told_from_others(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0 },
		{ "-0", 0, 0 },
		{ "1e3", 0, 1000 },
		{ "12.50e1", 0, 125 },
		{ "9007199254740991", 0, 9007199254740991 },
		{ "-1", -1, 0 },
		{ "0.5", -1, 0 },
		{ "1e21", -1, 0 },
		{ "5e-324", -1, 0 },
		{ "\"1\"", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		struct err e = {};
		uint64_t n = 0;
		const struct json *v =
		    json_parse(str_of(rows[i].text), NULL, &a, &e, NULL);

		assert_non_null(v);
		assert_int_equal(json_u64(v, &n), rows[i].r);
		assert_int_equal(n, rows[i].value);
	}
}

static void
numbers_are_the_nearest_double(void **state)
{
	static const struct {
		const char *text;
		double value;
	} rows[] = {
		{ "19.99", 19.99 },
		{ "0.1", 0.1 },
		{ "-1.25E-2", -0.0125 },
		{ "1E+2", 100 },
		{ "9007199254740993e-16", 9007199254740993e-16 },
		{ "0.000000000000000000000000000001", 1e-30 },
		{ "123456789012345678901234567890.5e-19",
		    123456789012345678901234567890.5e-19 },
		{ "1.7976931348623157e308", 1.7976931348623157e308 },
		{ "1.7976931348623158e308", 1.7976931348623157e308 },
		{ "2.2250738585072011e-308", 2.2250738585072011e-308 },
		{ "4.9406564584124654e-324", 5e-324 },
		{ "1e22", 1e22 },
		{ "1e23", 1e23 },
		{ "8e22", 8e22 },
		{ "9007199254740991e22", 9007199254740991e22 },
		{ "0e99999", 0 },
		{ "0.0e-99999", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		struct err e = {};
		const struct json *v =
		    json_parse(str_of(rows[i].text), NULL, &a, &e, NULL);

		if (v == NULL || v->num != rows[i].value)
			fail_msg("%s: %s", rows[i].text, e.text);
	}
}

static void
minus_zero_is_kept_and_written_as_zero(void **state)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v = json_parse(STR("-0"), NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	assert_true(v->num == 0 && __builtin_signbit(v->num));
	assert_string_equal(canonical(STR("[-0,-0.0,-0e5]"), NULL), "[0,0,0]");
}

static void
every_escape_is_read(void **state)
{
	static const struct {
		const char *text, *value;
	} rows[] = {
		{ "\"\\\"\"", "\"" },
		{ "\"\\\\\"", "\\" },
		{ "\"\\/\"", "/" },
		{ "\"\\b\"", "\b" },
		{ "\"\\f\"", "\f" },
		{ "\"\\n\"", "\n" },
		{ "\"\\r\"", "\r" },
		{ "\"\\t\"", "\t" },
		{ "\"\\u0041\"", "A" },
		{ "\"\\u001f\"", "\x1f" },
		{ "\"\\u007F\"", "\x7f" },
		{ "\"\\u0080\"", "\xc2\x80" },
		{ "\"\\u07fF\"", "\xdf\xbf" },
		{ "\"\\u0800\"", "\xe0\xa0\x80" },
		{ "\"\\ud7ff\"", "\xed\x9f\xbf" },
		{ "\"\\ue000\"", "\xee\x80\x80" },
		{ "\"\\uffff\"", "\xef\xbf\xbf" },
		{ "\"\\ud800\\udc00\"", "\xf0\x90\x80\x80" },
		{ "\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf" },
		{ "\"a\\nb\\u00e9c\"",
		    "a\nb\xc3\xa9"
		    "c" },
		{ "\"\\\\u0041\"", "\\u0041" },
	};
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		v = json_parse(str_of(rows[i].text), NULL, &a, &e, NULL);
		if (v == NULL || !str_eq_c(json_str(v), rows[i].value))
			fail_msg("%s: %s", rows[i].text, e.text);
	}
	v = json_parse(STR("\"a\\u0000b\""), NULL, &a, &e, NULL);
	assert_non_null(v);
	assert_true(str_eq(json_str(v), STR("a\0b")));
}

static void
a_string_without_escapes_is_not_copied(void **state)
{
	static const char text[] = "\"caf\xc3\xa9\"";
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v = json_parse(str_of(text), NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	assert_ptr_equal(v->str, text + 1);
}

static void
malformed_documents_are_refused_with_place_and_remedy(void **state)
{
	static const struct refused rows[] = {
		{ "nothing", "", 0, "line 1, column 1: the document is empty" },
		{ "white space", " \n ", 3, "line 2, column 2: " },
		{ "byte order mark", "\xef\xbb\xbf{}", 0, "byte order mark" },
		{ "two values", "1 2", 2, "after the end of the document" },
		{ "form feed is no space", "\f1", 0, "is no value" },
		{ "no-break space",
		    "\xc2\xa0"
		    "1",
		    0, "is no value" },
		{ "capital", "True", 0, "\"True\" is no value; write true" },
		{ "cut word", "tru", 0, "\"tru\" is no value" },
		{ "long word", "truely", 4, "after the end" },
		{ "not a number", "[NaN]", 1, "\"NaN\" is no value" },
		{ "terminal codes", "[\x1b[31m]", 1, "\"?[31m\" is no value" },
		{ "infinity", "-Infinity", 1, "a digit must follow" },
		{ "plus", "+1", 0, "no plus sign; remove it" },
		{ "no digit in front", ".5", 0, "write 0 before the point" },
		{ "no digit behind", "1.", 2, "follow the decimal point" },
		{ "point and e", "1.e5", 2, "follow the decimal point" },
		{ "empty exponent", "1e", 2, "follow the exponent" },
		{ "signed empty exponent", "1e+", 3, "follow the exponent" },
		{ "leading zero", "[01]", 1, "remove the leading zeros" },
		{ "negative leading zero", "-01", 1, "leading zeros" },
		{ "hexadecimal", "0x10", 1, "after the end" },
		{ "lone minus", "-", 1, "follow the minus sign" },
		{ "single quotes", "'a'", 0, "double quotes" },
		{ "comment", "// x\n1", 0, "no comments; remove it" },
		{ "hash comment", "# x\n1", 0, "no comments; remove it" },
		{ "comma before ]", "[1,]", 3, "remove the comma" },
		{ "comma before }", "{\"a\":1,}", 7, "remove the comma" },
		{ "comma first", "[,1]", 1, "missing before the comma" },
		{ "two commas", "[1,,2]", 3, "missing before the comma" },
		{ "no comma", "[1 2]", 3, "here must stand ',' or ']'" },
		{ "no comma in object", "{\"a\":1 \"b\":2}", 7,
		    "here must stand ',' or '}'" },
		{ "wrong bracket", "[1}", 2, "',' or ']'" },
		{ "wrong brace", "{\"a\":1]", 6, "',' or '}'" },
		{ "closed twice", "[]]", 2, "after the end" },
		{ "bare key", "{a:1}", 1, "a key in double quotes" },
		{ "number as key", "{1:1}", 1, "a key in double quotes" },
		{ "no colon", "{\"a\" 1}", 5, "':'" },
		{ "no value", "{\"a\":}", 5, "missing before '}'" },
		{ "open array", "[[1]", 4, "ends inside an array" },
		{ "open object", "{\"a\":1", 6, "ends inside an object" },
		{ "open string", "\"ab", 0, "has no end" },
		{ "only a backslash", "\"\\", 0, "has no end" },
		{ "escaped end", "\"\\\"", 0, "has no end" },
		{ "newline in string", "\"a\nb\"", 2, "write \\u000a" },
		{ "unknown escape", "\"\\x41\"", 1, "unknown escape" },
		{ "upper case escape", "\"\\N\"", 1, "unknown escape" },
		{ "three digits", "\"\\u041\"", 1, "four hexadecimal" },
		{ "cut digits", "\"\\u04", 1, "four hexadecimal" },
		{ "no hexadecimal", "\"\\u00g0\"", 1, "four hexadecimal" },
		{ "signed digits", "\"\\u+041\"", 1, "four hexadecimal" },
		{ "lone high surrogate", "\"\\ud800\"", 1, "\\ud800 is one" },
		{ "lone low surrogate", "\"x\\uDFFF\"", 2, "\\udfff is one" },
		{ "high and high", "\"\\ud800\\ud800\"", 1, "surrogate" },
		{ "high and letter", "\"\\ud800\\u0041\"", 1, "surrogate" },
		{ "low and high", "\"\\udc00\\ud800\"", 1, "surrogate" },
		{ "high and cut low", "\"\\ud800\\udc0", 1, "surrogate" },
		{ "high and no u", "\"\\ud800\\ndc00\"", 1, "surrogate" },
		{ "place", "{\n  \"\xc3\xa9\": [1,\n\t\tx]}", 16,
		    "line 3, column 3: \"x\" is no value" },
		{ "column in characters", "[\"\xf0\x9f\x98\x80\", x]", 9,
		    "line 1, column 7: " },
	};

	(void)state;
	refuses(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
text_that_is_not_utf8_is_refused(void **state)
{
	static const struct refused rows[] = {
		{ "lone continuation", "\"\x80\"", 1, "0x80 is not UTF-8" },
		{ "overlong slash", "\"\xc0\xaf\"", 1, "0xc0 is not" },
		{ "overlong, two", "\"\xc1\xbf\"", 1, "0xc1 is not" },
		{ "overlong, three", "\"\xe0\x9f\xbf\"", 1, "0xe0 is not" },
		{ "overlong, four", "\"\xf0\x8f\xbf\xbf\"", 1, "0xf0 is" },
		{ "surrogate", "\"\xed\xa0\x80\"", 1, "0xed is not" },
		{ "last surrogate", "\"\xed\xbf\xbf\"", 1, "0xed is not" },
		{ "over U+10FFFF", "\"\xf4\x90\x80\x80\"", 1, "0xf4 is not" },
		{ "no such lead", "\"\xf5\x80\x80\x80\"", 1, "0xf5 is not" },
		{ "0xff", "\"ab\xff\"", 3, "0xff is not UTF-8" },
		{ "cut by the quote", "\"\xc3\"", 1, "0xc3 is not" },
		{ "cut by the end", "\"\xe2\x82", 1, "0xe2 is not" },
		{ "cut in the middle", "\"\xf0\x9f\x98z\"", 1, "0xf0 is not" },
		{ "in a key", "{\"\xfe\":1}", 2, "0xfe is not UTF-8" },
		{ "outside a string", "\xff", 0, "\"?\" is no value" },
	};

	(void)state;
	refuses(rows, sizeof(rows) / sizeof(rows[0]));
	assert_string_equal(canonical(STR("\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80"
					  "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"
					  "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
				NULL),
	    "\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
	    "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
}

static void
a_nul_byte_is_refused_everywhere(void **state)
{
	static const struct {
		struct str text;
		size_t bad;
	} rows[] = {
		{ { "\0", 1 }, 0 },
		{ { "1\0", 2 }, 1 },
		{ { "\"a\0b\"", 5 }, 2 },
		{ { "\"\\\0\"", 4 }, 1 },
		{ { "[1\0,2]", 6 }, 2 },
		{ { "{\0}", 3 }, 1 },
		{ { "nul\0", 4 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		struct err e = {};
		size_t bad = SIZE_MAX;

		assert_null(json_parse(rows[i].text, NULL, &a, &e, &bad));
		assert_int_equal(bad, rows[i].bad);
		assert_true(e.text[0] != '\0');
	}
}

static void
numbers_that_would_change_on_the_way_are_refused(void **state)
{
	static const struct refused rows[] = {
		{ "one over", "9007199254740992", 0, "2^53 - 1" },
		{ "one under", "[-9007199254740992]", 1, "2^53 - 1" },
		{ "20 digits", "18446744073709551616", 0, "2^53 - 1" },
		{ "wraps around to 5", "18446744073709551621", 0, "2^53" },
		{ "with a point", "9007199254740992.0", 0, "2^53 - 1" },
		{ "rounded up to it", "9007199254740991.5", 0, "2^53 - 1" },
		{ "with an exponent", "1e16", 0, "2^53 - 1" },
		{ "largest without one", "999999999999999900000", 0, "2^53" },
		{ "all digits of 1e21", "1000000000000000000000", 0, "2^53" },
		{ "too large", "1.7976931348623159e308", 0, "too large" },
		{ "far too large", "-1e99999999999", 0, "too large" },
		{ "half the smallest", "2.4703282292062327e-324", 0, "small" },
		{ "far too small", "1e-99999999999", 0, "too small" },
		{ "small with many digits", "0.0000000000000000001e-310", 0,
		    "too small" },
	};

	(void)state;
	refuses(rows, sizeof(rows) / sizeof(rows[0]));
	assert_string_equal(canonical(STR("[9007199254740991,-"
					  "9007199254740991,1e21,"
					  "9007199254740991.2]"),
				NULL),
	    "[9007199254740991,-9007199254740991,1e+21,9007199254740991]");
}

static void
duplicate_keys_are_refused(void **state)
{
	static const struct refused rows[] = {
		{ "two", "{\"a\":1,\"a\":1}", 7,
		    "line 1, column 8: duplicate key \"a\"; remove one of the "
		    "two" },
		{ "on another line", "{\n\"tools\": [],\n  \"tools\": []}", 17,
		    "line 3, column 3: duplicate key \"tools\"" },
		{ "empty", "{\"\":1,\"\":2}", 6, "duplicate key \"\"" },
		{ "one is escaped", "{\"a\":1,\"\\u0061\":2}", 7,
		    "duplicate key \"a\"" },
		{ "inside", "[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]", 19,
		    "duplicate key \"b\"" },
		{ "not only neighbours", "{\"a\":1,\"b\":2,\"c\":3,\"a\":4}",
		    19, "duplicate key \"a\"" },
		{ "three times", "{\"a\":1,\"a\":2,\"a\":3}", 7,
		    "duplicate key \"a\"" },
		{ "unsafe for a terminal",
		    "{\"\\u001b\\u0007\xc2\x9b\":1,\"\\u001b\\u0007\xc2\x9b\":"
		    "1}",
		    20, "duplicate key \"???\"" },
		{ "long key is cut",
		    "{\"0123456789012345678901234567890123456789012345678\":"
		    "1,\"0123456789012345678901234567890123456789012345678\":"
		    "1}",
		    55,
		    "\"012345678901234567890123456789012345678901234567...\"" },
	};

	(void)state;
	refuses(rows, sizeof(rows) / sizeof(rows[0]));
	/* The same key in different objects, and keys that start the same. */
	assert_string_equal(
	    canonical(STR("[{\"a\":1},{\"a\":{\"a\":2}},{\"ab\":1,\"a\":2,"
			  "\"abc\":3,\"b\":4}]"),
		NULL),
	    "[{\"a\":1},{\"a\":{\"a\":2}},{\"a\":2,\"ab\":1,\"abc\":3,\"b\":"
	    "4}]");
}

static void
a_duplicate_is_found_at_every_place_of_objects_of_every_size(void **state)
{
	(void)state;
	for (uint32_t n = 2; n <= 80; n++) {
		for (uint32_t twice = 0; twice + 1 < n; twice++) {
			own_arena struct arena a = {};
			own_buf struct buf b = {};
			struct err e = {};
			size_t bad = 0, last = 0;

			buf_add_c(&b, "{");
			for (uint32_t i = 0; i < n; i++) {
				uint32_t key = i + 1 < n ? i : twice;

				last = b.n;
				buf_printf(&b, "\"k%u\":%u%c", key * 37 % 89, i,
				    i + 1 < n ? ',' : '}');
			}
			assert_null(
			    json_parse(buf_str(&b), NULL, &a, &e, &bad));
			assert_int_equal(bad, last);
			assert_non_null(strstr(e.text, "duplicate key"));
		}
	}
}

static void
each_limit_holds_exactly(void **state)
{
	static const struct {
		const char *why;
		const char *text;
		struct json_limits fits; /* one less of the limit does not */
		const char *says;
	} rows[] = {
		{ "bytes", "[1, 2]", { 6, 9, 9, 9 }, "6 bytes, allowed are 5" },
		{ "depth", "[{\"a\":[]}]", { 99, 3, 9, 9 }, "more than 2" },
		{ "depth, not in a row", "[[],[[]],[]]", { 99, 3, 9, 9 },
		    "more than 2 arrays and objects" },
		{ "values", "[1,[],\"x\",null]", { 99, 9, 5, 9 },
		    "more than 4 keys and values" },
		{ "keys count", "{\"a\":1,\"b\":{}}", { 99, 9, 5, 9 },
		    "more than 4 keys and values" },
		{ "members", "{\"a\":1,\"b\":{\"x\":1,\"y\":2},\"c\":3}",
		    { 99, 9, 99, 3 }, "more than 2 members" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_limits over = rows[i].fits;
		struct str text = str_of(rows[i].text);
		own_arena struct arena a = {};
		struct err e = {};

		if (json_parse(text, &over, &a, &e, NULL) == NULL)
			fail_msg("%s: %s", rows[i].why, e.text);
		switch (i) {
		case 0:
			over.max_bytes--;
			break;
		case 1:
		case 2:
			over.max_depth--;
			break;
		case 3:
		case 4:
			over.max_values--;
			break;
		default:
			over.max_members--;
			break;
		}
		assert_null(json_parse(text, &over, &a, &e, NULL));
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].why, e.text);
	}
}

static void
the_default_limits_hold_exactly(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	/* depth */
	fill(&b, "[", JSON_MAX_DEPTH);
	fill(&b, "]", JSON_MAX_DEPTH);
	assert_true(canonical(buf_str(&b), NULL)[0] == '[');
	buf_reset(&b);
	fill(&b, "[", JSON_MAX_DEPTH + 1);
	fill(&b, "]", JSON_MAX_DEPTH + 1);
	assert_non_null(strstr(canonical(buf_str(&b), NULL), "more than 64"));

	/* bytes */
	buf_reset(&b);
	fill(&b, " ", JSON_MAX_BYTES - 1);
	buf_add_c(&b, "7");
	assert_string_equal(canonical(buf_str(&b), NULL), "7");
	buf_add_c(&b, " ");
	assert_non_null(strstr(canonical(buf_str(&b), NULL), "4194305 bytes"));

	/* members */
	buf_reset(&b);
	buf_add_c(&b, "{");
	for (int i = 0; i < JSON_MAX_MEMBERS; i++)
		buf_printf(&b, "%s\"%05d\":1", i > 0 ? "," : "", i);
	buf_add_c(&b, "}");
	assert_string_equal(canonical(buf_str(&b), NULL), buf_c(&b));
	b.n--;
	buf_add_c(&b, ",\"x\":1}");
	assert_non_null(
	    strstr(canonical(buf_str(&b), NULL), "more than 10000 members"));

	/* characters of a number */
	buf_reset(&b);
	buf_add_c(&b, "0.");
	fill(&b, "1", JSON_MAX_NUMBER_BYTES - 2);
	assert_string_equal(canonical(buf_str(&b), NULL), "0.1111111111111111");
	buf_add_c(&b, "1");
	assert_non_null(strstr(canonical(buf_str(&b), NULL),
	    "a number of 65 characters, allowed are 64"));
}

static void
a_million_values_and_no_more_are_read(void **state)
{
	own_arena struct arena a = { .max_bytes = 64 * 1024 * 1024 };
	own_buf struct buf b = {};
	struct err e = {};
	const struct json *v;

	(void)state;
	buf_add_c(&b, "[1");
	fill(&b, ",1", JSON_MAX_VALUES - 2);
	buf_add_c(&b, "]");
	v = json_parse(buf_str(&b), NULL, &a, &e, NULL);
	assert_non_null(v);
	assert_int_equal(v->n, JSON_MAX_VALUES - 1);
	assert_int_equal(v->skip, JSON_MAX_VALUES);
	b.n--;
	buf_add_c(&b, ",1]");
	arena_reset(&a);
	assert_null(json_parse(buf_str(&b), NULL, &a, &e, NULL));
	assert_non_null(strstr(e.text, "more than 1000000 keys and values"));
}

static void
no_limit_can_be_raised_over_the_depth_of_the_stack(void **state)
{
	static const struct json_limits most = { SIZE_MAX, UINT32_MAX,
		UINT32_MAX, UINT32_MAX };
	own_buf struct buf b = {};

	(void)state;
	fill(&b, "[", JSON_MAX_DEPTH + 1);
	fill(&b, "]", JSON_MAX_DEPTH + 1);
	assert_non_null(strstr(canonical(buf_str(&b), &most), "more than 64"));
}

static void
a_document_cut_at_any_byte_is_refused(void **state)
{
	static const char text[] =
	    "{\"a\": [1.5e3, -20, true, false, null, \"\\u00e9\\ud83d\\ude00"
	    "\\n\xc3\xa9\xf0\x9f\x98\x80\"], \"b\": {\"c\": {}}}";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		own_arena struct arena a = {};
		struct err e = {};
		size_t bad = SIZE_MAX;
		/* Its own block, so that a read past the end is seen. */
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, text, n);
		copy = realloc(copy, n > 0 ? n : 1);
		assert_non_null(copy);
		assert_null(
		    json_parse((struct str){ copy, n }, NULL, &a, &e, &bad));
		assert_true(bad <= n);
		assert_int_equal(strncmp(e.text, "line 1, column ", 15), 0);
		free(copy);
	}
	assert_true(canonical(str_of(text), NULL)[0] == '{');
}

static void
running_out_of_memory_at_any_step_is_an_error(void **state)
{
	own_buf struct buf b = {};
	size_t need = 0;
	bool whole = false;

	(void)state;
	/* Escaped strings, a tape that grows, and keys that are sorted. */
	buf_add_c(&b, "{");
	for (int i = 0; i < 70; i++)
		buf_printf(&b, "\"k\\n%d\":[\"\\t\",1,1,1],", i);
	buf_add_c(&b, "\"z\":1}");
	for (; !whole; need += 16) {
		own_arena struct arena a = { .max_bytes = need + 1 };
		struct err e = {};
		size_t bad = SIZE_MAX;

		whole = json_parse(buf_str(&b), NULL, &a, &e, &bad) != NULL;
		if (whole)
			break;
		assert_non_null(strstr(e.text, "no memory left"));
		assert_true(bad < b.n);
		assert_true(a.failed);
	}
	assert_in_range(need, 10000, 40000);
}

static void
places_count_lines_and_characters_and_stay_in_the_text(void **state)
{
	static const struct {
		size_t at;
		uint32_t line, column;
	} rows[] = {
		{ 0, 1, 1 },
		{ 1, 1, 2 },
		{ 3, 1, 3 }, /* behind the two bytes of an e acute */
		{ 4, 2, 1 },
		{ 5, 3, 1 },
		{ 6, 3, 2 },
		{ 7, 3, 3 },
		{ 1000, 3, 3 },
	};
	uint32_t line, column;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_place(STR("a\xc3\xa9\n\n\rb"), rows[i].at, &line, &column);
		assert_int_equal(line, rows[i].line);
		assert_int_equal(column, rows[i].column);
	}
}

static void
equal_means_the_same_value_whatever_the_order_of_members(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{ "1", "1.0", true },
		{ "0", "-0", true },
		{ "100", "1e2", true },
		{ "1", "2", false },
		{ "1", "\"1\"", false },
		{ "true", "false", false },
		{ "null", "false", false },
		{ "\"a\"", "\"\\u0061\"", true },
		{ "\"a\"", "\"b\"", false },
		{ "[]", "{}", false },
		{ "[1,2]", "[2,1]", false },
		{ "[1,[2]]", "[[1],2]", false },
		{ "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true },
		{ "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", false },
		{ "{\"a\":1}", "{\"b\":1}", false },
		{ "[{\"x\":{\"p\":[],\"q\":{}},\"y\":0}]",
		    "[{\"y\":0,\"x\":{\"q\":{},\"p\":[]}}]", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		struct err e = {};
		const struct json *x =
		    json_parse(str_of(rows[i].a), NULL, &a, &e, NULL);
		const struct json *y =
		    json_parse(str_of(rows[i].b), NULL, &a, &e, NULL);

		assert_non_null(x);
		assert_non_null(y);
		if (json_equal(x, y) != rows[i].equal ||
		    json_equal(y, x) != rows[i].equal)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
	}
}

static void
kinds_of_values_have_names_for_errors(void **state)
{
	(void)state;
	assert_string_equal(json_type_name(JSON_NULL), "null");
	assert_string_equal(json_type_name(JSON_FALSE), "false");
	assert_string_equal(json_type_name(JSON_TRUE), "true");
	assert_string_equal(json_type_name(JSON_NUMBER), "a number");
	assert_string_equal(json_type_name(JSON_STRING), "a string");
	assert_string_equal(json_type_name(JSON_ARRAY), "an array");
	assert_string_equal(json_type_name(JSON_OBJECT), "an object");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(what_is_not_there_is_null_or_the_other_value),
		cmocka_unit_test(
		    walking_meets_every_element_and_member_in_order),
		cmocka_unit_test(whole_numbers_are_told_from_others),
		cmocka_unit_test(numbers_are_the_nearest_double),
		cmocka_unit_test(minus_zero_is_kept_and_written_as_zero),
		cmocka_unit_test(every_escape_is_read),
		cmocka_unit_test(a_string_without_escapes_is_not_copied),
		cmocka_unit_test(
		    malformed_documents_are_refused_with_place_and_remedy),
		cmocka_unit_test(text_that_is_not_utf8_is_refused),
		cmocka_unit_test(a_nul_byte_is_refused_everywhere),
		cmocka_unit_test(
		    numbers_that_would_change_on_the_way_are_refused),
		cmocka_unit_test(duplicate_keys_are_refused),
		cmocka_unit_test(
		    a_duplicate_is_found_at_every_place_of_objects_of_every_size),
		cmocka_unit_test(each_limit_holds_exactly),
		cmocka_unit_test(the_default_limits_hold_exactly),
		cmocka_unit_test(a_million_values_and_no_more_are_read),
		cmocka_unit_test(
		    no_limit_can_be_raised_over_the_depth_of_the_stack),
		cmocka_unit_test(a_document_cut_at_any_byte_is_refused),
		cmocka_unit_test(running_out_of_memory_at_any_step_is_an_error),
		cmocka_unit_test(
		    places_count_lines_and_characters_and_stay_in_the_text),
		cmocka_unit_test(
		    equal_means_the_same_value_whatever_the_order_of_members),
		cmocka_unit_test(kinds_of_values_have_names_for_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
