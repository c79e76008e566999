#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/base64.h"

static void
the_vectors_of_rfc_4648_go_both_ways(void **state)
{
	static const struct {
		struct str bytes;
		const char *standard, *url;
	} rows[] = {
		{ { "", 0 }, "", "" },
		{ { "f", 1 }, "Zg==", "Zg" },
		{ { "fo", 2 }, "Zm8=", "Zm8" },
		{ { "foo", 3 }, "Zm9v", "Zm9v" },
		{ { "foob", 4 }, "Zm9vYg==", "Zm9vYg" },
		{ { "fooba", 5 }, "Zm9vYmE=", "Zm9vYmE" },
		{ { "foobar", 6 }, "Zm9vYmFy", "Zm9vYmFy" },
		{ { "\x14\xfb\x9c\x03\xd9\x7e", 6 }, "FPucA9l+", "FPucA9l-" },
		{ { "\xff\xff\xff\xff", 4 }, "/////w==", "_____w" },
		{ { "\0\0", 2 }, "AAA=", "AAA" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf b = {};
		struct err e = {};

		base64_encode(&b, rows[i].bytes, BASE64_STANDARD);
		assert_string_equal(buf_c(&b), rows[i].standard);
		buf_reset(&b);
		base64_encode(&b, rows[i].bytes, BASE64_URL);
		assert_string_equal(buf_c(&b), rows[i].url);
		buf_reset(&b);
		assert_int_equal(base64_decode(&b, str_of(rows[i].standard),
				     BASE64_STANDARD, &e),
		    0);
		assert_true(str_eq(buf_str(&b), rows[i].bytes));
		buf_reset(&b);
		assert_int_equal(
		    base64_decode(&b, str_of(rows[i].url), BASE64_URL, &e), 0);
		assert_true(str_eq(buf_str(&b), rows[i].bytes));
	}
}

static void
every_byte_at_every_place_survives(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 4; n++) {
		for (int c = 0; c < 256; c++) {
			for (int kind = 0; kind < 2; kind++) {
				own_buf struct buf text = {};
				own_buf struct buf back = {};
				struct err e = {};
				char bytes[4];

				memset(bytes, 0xa5, sizeof(bytes));
				bytes[n - 1] = (char)c;
				base64_encode(&text, (struct str){ bytes, n },
				    (enum base64_kind)kind);
				assert_int_equal(
				    base64_decode(&back, buf_str(&text),
					(enum base64_kind)kind, &e),
				    0);
				assert_int_equal(back.n, n);
				assert_memory_equal(back.p, bytes, n);
			}
		}
	}
}

static void
text_that_is_not_the_one_form_is_refused_and_adds_nothing(void **state)
{
	static const struct {
		const char *why;
		struct str text;
		enum base64_kind kind;
		const char *says;
	} rows[] = {
		{ "no padding", { "Zg", 2 }, BASE64_STANDARD, "multiple of 4" },
		{ "half of it", { "Zg=", 3 }, BASE64_STANDARD, "multiple" },
		{ "too much", { "Zg======", 8 }, BASE64_STANDARD, "char" },
		{ "only padding", { "====", 4 }, BASE64_STANDARD, "char" },
		{ "padding inside", { "Zg==Zg==", 8 }, BASE64_STANDARD,
		    "character 3 " },
		{ "one character", { "Z===", 4 }, BASE64_STANDARD, "char" },
		{ "unused bits", { "Zh==", 4 }, BASE64_STANDARD,
		    "character 2 of the base64 text has unused bits" },
		{ "unused bits", { "Zm9=", 4 }, BASE64_STANDARD,
		    "character 3 of the base64 text has unused bits" },
		{ "white space", { "Zm9v\n\n\n\n", 8 }, BASE64_STANDARD,
		    "character 5 " },
		{ "the other alphabet", { "FPucA9l-", 8 }, BASE64_STANDARD,
		    "character 8 " },
		{ "NUL", { "Zm\0v", 4 }, BASE64_STANDARD, "character 3 " },
		{ "eight bits", { "Zm\xc1v", 4 }, BASE64_STANDARD,
		    "character 3 " },
		{ "padded", { "Zg==", 4 }, BASE64_URL, "character 3 " },
		{ "one character", { "Z", 1 }, BASE64_URL, "too many" },
		{ "five", { "Zm9vY", 5 }, BASE64_URL, "too many" },
		{ "unused bits", { "Zh", 2 }, BASE64_URL, "unused bits" },
		{ "the other alphabet", { "FPucA9l+", 8 }, BASE64_URL,
		    "character 8 " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf b = {};
		struct err e = {};

		buf_add_c(&b, "before");
		if (base64_decode(&b, rows[i].text, rows[i].kind, &e) != -1)
			fail_msg("%s: accepted", rows[i].why);
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].why, e.text);
		assert_string_equal(buf_c(&b), "before");
	}
}

static void
a_full_buffer_is_told(void **state)
{
	own_buf struct buf b = { .max = 8 };
	struct err e = {};

	(void)state;
	base64_encode(&b, STR("seven by"), BASE64_STANDARD);
	assert_true(b.failed);
	buf_reset(&b);
	assert_int_equal(
	    base64_decode(&b, STR("AAAAAAAAAAAAAAAA"), BASE64_STANDARD, &e),
	    -1);
	assert_non_null(strstr(e.text, "too long"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_4648_go_both_ways),
		cmocka_unit_test(every_byte_at_every_place_survives),
		cmocka_unit_test(
		    text_that_is_not_the_one_form_is_refused_and_adds_nothing),
		cmocka_unit_test(a_full_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
