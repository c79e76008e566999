/* codec/json.h, writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/json.h"

/* Expects that text's canonical form is want. */
static void
becomes(const char *text, const char *want)
{
	own_arena struct arena a = {};
	own_buf struct buf b = {};
	struct err e = {};
	const struct json *v = json_parse(str_of(text), NULL, &a, &e, NULL);

	if (v == NULL)
		fail_msg("%s: %s", text, e.text);
	json_write(&b, v);
	assert_string_equal(buf_c(&b), want);
}

static void
numbers_are_written_as_in_appendix_b_of_rfc_8785(void **state)
{
	static const struct {
		uint64_t bits;
		const char *text;
	} rows[] = {
		{ 0x0000000000000000, "0" },
		{ 0x8000000000000000, "0" },
		{ 0x0000000000000001, "5e-324" },
		{ 0x8000000000000001, "-5e-324" },
		{ 0x7fefffffffffffff, "1.7976931348623157e+308" },
		{ 0xffefffffffffffff, "-1.7976931348623157e+308" },
		{ 0x4340000000000000, "9007199254740992" },
		{ 0xc340000000000000, "-9007199254740992" },
		{ 0x4430000000000000, "295147905179352830000" },
		{ 0x44b52d02c7e14af5, "9.999999999999997e+22" },
		{ 0x44b52d02c7e14af6, "1e+23" },
		{ 0x44b52d02c7e14af7, "1.0000000000000001e+23" },
		{ 0x444b1ae4d6e2ef4e, "999999999999999700000" },
		{ 0x444b1ae4d6e2ef4f, "999999999999999900000" },
		{ 0x444b1ae4d6e2ef50, "1e+21" },
		{ 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
		{ 0x3eb0c6f7a0b5ed8d, "0.000001" },
		{ 0x41b3de4355555553, "333333333.3333332" },
		{ 0x41b3de4355555554, "333333333.33333325" },
		{ 0x41b3de4355555555, "333333333.3333333" },
		{ 0x41b3de4355555556, "333333333.3333334" },
		{ 0x41b3de4355555557, "333333333.33333343" },
		{ 0xbecbf647612f3696, "-0.0000033333333333333333" },
		{ 0x43143ff3c1cb0959, "1424953923781206.2" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf b = {};
		double v;

		memcpy(&v, &rows[i].bits, sizeof(v));
		json_put_num(&b, v);
		assert_string_equal(buf_c(&b), rows[i].text);
	}
}

static void
numbers_take_every_form_of_ecmascript(void **state)
{
	static const struct {
		const char *why, *text, *want;
	} rows[] = {
		{ "integer", "120", "120" },
		{ "amount", "19.99", "19.99" },
		{ "one decimal", "-0.5", "-0.5" },
		{ "zeros behind go", "1.500", "1.5" },
		{ "zeros in front of decimals stay", "12.05", "12.05" },
		{ "six decimals", "3.000001", "3.000001" },
		{ "seven decimals", "3.0000001", "3.0000001" },
		{ "largest quick one", "99999999999999.9", "99999999999999.9" },
		{ "no exponent yet", "1e-6", "0.000001" },
		{ "exponent", "1e-7", "1e-7" },
		{ "exponent and digits", "1.25e-7", "1.25e-7" },
		{ "16 digits", "0.1234567890123456", "0.1234567890123456" },
		{ "17 digits", "0.30000000000000004", "0.30000000000000004" },
		{ "exponent of two digits", "1.5e22", "1.5e+22" },
		{ "2^-44: not the nearest 16 digits but the next",
		    "5.684341886080802e-14", "5.684341886080802e-14" },
		{ "smallest normal", "2.2250738585072014e-308",
		    "2.2250738585072014e-308" },
		{ "largest subnormal", "2.225073858507201e-308",
		    "2.225073858507201e-308" },
		{ "subnormal of one digit", "1e-323", "1e-323" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		becomes(rows[i].text, rows[i].want);
}

static void
members_are_sorted_by_utf16_units_as_the_rfcs_sample(void **state)
{
	(void)state;
	/* RFC 8785 section 3.2.3 */
	becomes("{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
		"\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\","
		"\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\","
		"\"\\u0080\":\"Control\","
		"\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
	    "{\"\\r\":\"Carriage Return\",\"1\":\"One\","
	    "\"\xc2\x80\":\"Control\","
	    "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\","
	    "\"\xe2\x82\xac\":\"Euro Sign\","
	    "\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
	    "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
	becomes("{\"ab\":1,\"a\":2,\"\":3,\"b\":4,\"aa\":5}",
	    "{\"\":3,\"a\":2,\"aa\":5,\"ab\":1,\"b\":4}");
	becomes("{\"a\xf0\x9f\x98\x80\":1,\"a\xee\x80\x80\":2,"
		"\"a\xed\x9f\xbf\":3,\"a\xf0\x9f\x98\x81\":4}",
	    "{\"a\xed\x9f\xbf\":3,\"a\xf0\x9f\x98\x80\":1,"
	    "\"a\xf0\x9f\x98\x81\":4,\"a\xee\x80\x80\":2}");
}

static void
the_example_of_rfc_8785_comes_out_as_there(void **state)
{
	(void)state;
	/* Section 3.2.2, but for the number of 33 digits: it is above 2^53. */
	becomes("{\"numbers\": [4.50, 2e-3, 0.000000000000000000000000001],"
		"\"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c"
		"\\\\\\\"\\/\",\"literals\": [null, true, false]}",
	    "{\"literals\":[null,true,false],"
	    "\"numbers\":[4.5,0.002,1e-27],"
	    "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

static void
objects_of_every_size_are_sorted(void **state)
{
	(void)state;
	for (uint32_t n = 0; n <= 600; n = n < 60 ? n + 1 : n + 180) {
		own_buf struct buf in = {};
		own_buf struct buf want = {};

		buf_add_c(&in, "[{");
		buf_add_c(&want, "[{");
		for (uint32_t i = 0; i < n; i++) {
			/* 601 is prime: each key comes once. */
			buf_printf(&in, "%s\"%03u\":{\"b\":0,\"a\":1}",
			    i > 0 ? "," : "", (i + 1) * 367 % 601);
		}
		for (uint32_t key = 0, i = 0; key < 601; key++) {
			for (uint32_t j = 0; j < n; j++) {
				if ((j + 1) * 367 % 601 == key)
					buf_printf(&want,
					    "%s\"%03u\":{\"a\":1,\"b\":0}",
					    i++ > 0 ? "," : "", key);
			}
		}
		buf_add_c(&in, "},{\"y\":1,\"x\":2}]");
		buf_add_c(&want, "},{\"x\":2,\"y\":1}]");
		becomes(buf_c(&in), buf_c(&want));
	}
}

static void
a_document_of_the_full_depth_is_written(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	for (int i = 0; i < JSON_MAX_DEPTH; i++)
		buf_add_c(&b, i % 2 == 0 ? "[" : "{\"a\":");
	buf_add_c(&b, "1");
	for (int i = JSON_MAX_DEPTH; i > 0; i--)
		buf_add_c(&b, i % 2 == 1 ? "]" : "}");
	becomes(buf_c(&b), buf_c(&b));
}

static void
pretty_keeps_the_order_and_indents_by_two(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf b = {};
	struct err e = {};
	const struct json *v =
	    json_parse(STR("{\"b\":[1,{\"z\":[],\"a\":{}}],\"a\":\"x\"}"), NULL,
		&a, &e, NULL);

	(void)state;
	assert_non_null(v);
	json_write_pretty(&b, v);
	assert_string_equal(buf_c(&b),
	    "{\n"
	    "  \"b\": [\n"
	    "    1,\n"
	    "    {\n"
	    "      \"z\": [],\n"
	    "      \"a\": {}\n"
	    "    }\n"
	    "  ],\n"
	    "  \"a\": \"x\"\n"
	    "}");
}

static void
a_part_of_a_document_can_be_written_alone(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf b = {};
	struct err e = {};
	const struct json *v = json_parse(
	    STR("{\"x\":{\"b\":[1],\"a\":2},\"y\":3}"), NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	json_write(&b, json_get(v, STR("x")));
	buf_add_byte(&b, ' ');
	json_write(&b, json_at(v, "x", "b", NULL));
	buf_add_byte(&b, ' ');
	json_write(&b, json_get(v, STR("y")));
	assert_string_equal(buf_c(&b), "{\"a\":2,\"b\":[1]} [1] 3");
}

static void
only_what_must_be_escaped_is(void **state)
{
	static const struct {
		struct str in;
		const char *want;
	} rows[] = {
		{ { "", 0 }, "\"\"" },
		{ { NULL, 0 }, "\"\"" },
		{ { "a\"b\\c/d", 7 }, "\"a\\\"b\\\\c/d\"" },
		{ { "\b\f\n\r\t", 5 }, "\"\\b\\f\\n\\r\\t\"" },
		{ { "\0\x01\x0b\x1f\x7f", 5 },
		    "\"\\u0000\\u0001\\u000b\\u001f\x7f\"" },
		{ { "caf\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80", 14 },
		    "\"caf\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80\"" },
		{ { "long enough for words\nof eight bytes", 36 },
		    "\"long enough for words\\nof eight bytes\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf b = {};

		json_put_str(&b, rows[i].in);
		assert_string_equal(buf_c(&b), rows[i].want);
	}
}

static void
bytes_that_are_not_utf8_become_the_replacement_character(void **state)
{
	static const struct {
		struct str in;
		const char *want;
	} rows[] = {
		{ { "a\xff"
		    "b",
		      3 },
		    "\"a\xef\xbf\xbd"
		    "b\"" },
		{ { "\xc3", 1 }, "\"\xef\xbf\xbd\"" },
		{ { "\xed\xa0\x80", 3 },
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ { "\xc3\xa9\x80\n", 4 }, "\"\xc3\xa9\xef\xbf\xbd\\n\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf b = {};

		json_put_str(&b, rows[i].in);
		assert_string_equal(buf_c(&b), rows[i].want);
	}
}

static void
a_full_buffer_at_any_step_is_told_and_not_overrun(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf whole = {};
	struct err e = {};
	const struct json *v = json_parse(
	    STR("{\"k\\n\":[1,2.5,1e300,null,true,false],\"\xc3\xa9\":{}}"),
	    NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	json_write(&whole, v);
	assert_false(whole.failed);
	for (size_t max = 1; max < whole.n; max++) {
		own_buf struct buf b = { .max = max };

		json_write(&b, v);
		assert_true(b.failed);
		assert_true(b.n <= max);
		assert_int_equal(memcmp(b.p, whole.p, b.n), 0);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    numbers_are_written_as_in_appendix_b_of_rfc_8785),
		cmocka_unit_test(numbers_take_every_form_of_ecmascript),
		cmocka_unit_test(
		    members_are_sorted_by_utf16_units_as_the_rfcs_sample),
		cmocka_unit_test(the_example_of_rfc_8785_comes_out_as_there),
		cmocka_unit_test(objects_of_every_size_are_sorted),
		cmocka_unit_test(a_document_of_the_full_depth_is_written),
		cmocka_unit_test(pretty_keeps_the_order_and_indents_by_two),
		cmocka_unit_test(a_part_of_a_document_can_be_written_alone),
		cmocka_unit_test(only_what_must_be_escaped_is),
		cmocka_unit_test(
		    bytes_that_are_not_utf8_become_the_replacement_character),
		cmocka_unit_test(
		    a_full_buffer_at_any_step_is_told_and_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
