#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct str none; /* no pointer at all */

static void
a_c_string_becomes_its_bytes_and_null_the_empty_text(void **state)
{
	(void)state;
	assert_int_equal(str_of("abc").n, 3);
	assert_int_equal(str_of("").n, 0);
	assert_int_equal(str_of(NULL).n, 0);
	assert_non_null(str_of(NULL).p);
	assert_int_equal(STR("a\0b").n, 3);
}

static void
equal_means_the_same_bytes(void **state)
{
	static const struct {
		const char *why;
		struct str a, b;
		bool equal, nocase;
	} rows[] = {
		{ "same", { "abc", 3 }, { "abc", 3 }, true, true },
		{ "other case", { "aBz", 3 }, { "AbZ", 3 }, false, true },
		{ "start", { "abc", 3 }, { "ab", 2 }, false, false },
		{ "behind a NUL", { "a\0b", 3 }, { "a\0c", 3 }, false, false },
		{ "empty", { "", 0 }, { NULL, 0 }, true, true },
		{ "next to the letters", { "@[`{", 4 }, { "`{@[", 4 }, false,
		    false },
		{ "not ASCII", { "\xc9", 1 }, { "\xe9", 1 }, false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (str_eq(rows[i].a, rows[i].b) != rows[i].equal ||
		    str_eq_nocase(rows[i].a, rows[i].b) != rows[i].nocase)
			fail_msg("%s", rows[i].why);
	}
	assert_true(str_eq_c(STR("abc"), "abc"));
	assert_false(str_eq_c(STR("abc\0"), "abc"));
	assert_true(str_eq_c(none, ""));
}

static void
starts_and_ends_compare_whole_affixes(void **state)
{
	(void)state;
	assert_true(str_starts(STR("billing.refund"), STR("billing.")));
	assert_false(str_starts(STR("billing"), STR("billing.")));
	assert_false(str_starts(STR("xbilling."), STR("billing.")));
	assert_true(str_starts(none, none));
	assert_true(str_ends(STR("a.json"), STR(".json")));
	assert_false(str_ends(STR("json"), STR(".json")));
	assert_false(str_ends(STR("a.jsonx"), STR(".json")));
	assert_true(str_ends(STR("abc"), STR("")));
}

static void
order_is_by_unsigned_bytes_shorter_first(void **state)
{
	static const struct str sorted[] = { { "", 0 }, { "\0", 1 }, { "a", 1 },
		{ "a\0", 2 }, { "ab", 2 }, { "b", 1 }, { "\x7f", 1 },
		{ "\x80", 1 }, { "\xff", 1 } };

	(void)state;
	for (size_t i = 0; i < COUNT(sorted); i++) {
		for (size_t j = 0; j < COUNT(sorted); j++) {
			int r = str_cmp(sorted[i], sorted[j]);

			assert_int_equal((r > 0) - (r < 0), (i > j) - (i < j));
		}
	}
	assert_int_equal(str_cmp(none, STR("")), 0);
}

static void
find_gives_the_first_index_or_the_length(void **state)
{
	(void)state;
	assert_int_equal(str_find(STR("a=b=c"), '='), 1);
	assert_int_equal(str_find(STR("abc"), '='), 3);
	assert_int_equal(str_find(STR("ab\0c"), '\0'), 2);
	assert_int_equal(str_find(STR("a\xff"), '\xff'), 1);
	assert_int_equal(str_find(none, 'a'), 0);
	/* Not in the NUL that the literal has behind it. */
	assert_int_equal(str_find(STR("abc"), '\0'), 3);
}

static void
trim_takes_spaces_and_tabs_only(void **state)
{
	(void)state;
	assert_true(str_eq_c(str_trim(STR(" \t a b\t ")), "a b"));
	assert_true(str_eq_c(str_trim(STR("\na\r")), "\na\r"));
	assert_int_equal(str_trim(STR(" \t ")).n, 0);
	assert_int_equal(str_trim(none).n, 0);
}

static void
a_number_is_digits_that_fit_in_64_bits(void **state)
{
	static const struct {
		const char *why;
		struct str text;
		int r;
		uint64_t value;
	} rows[] = {
		{ "zero", { "0", 1 }, 0, 0 },
		{ "zeros in front", { "007", 3 }, 0, 7 },
		{ "largest", { "18446744073709551615", 20 }, 0, UINT64_MAX },
		{ "sum overflows", { "18446744073709551616", 20 }, -1, 99 },
		{ "product overflows", { "99999999999999999999", 20 }, -1, 99 },
		{ "wraps around", { "36893488147419103232", 20 }, -1, 99 },
		{ "empty", { "", 0 }, -1, 99 },
		{ "plus", { "+1", 2 }, -1, 99 },
		{ "minus", { "-1", 2 }, -1, 99 },
		{ "space", { " 1", 2 }, -1, 99 },
		{ "behind it", { "1 ", 2 }, -1, 99 },
		{ "NUL", { "1\0", 2 }, -1, 99 },
		{ "hexadecimal", { "0x1", 3 }, -1, 99 },
		{ "below 0", { "/", 1 }, -1, 99 },
		{ "above 9", { ":", 1 }, -1, 99 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 99; /* stays when it fails */

		if (str_to_u64(rows[i].text, &v) != rows[i].r ||
		    v != rows[i].value)
			fail_msg("%s", rows[i].why);
	}
}

static void
a_copy_is_whole_and_terminated_or_refused(void **state)
{
	char dst[4] = "zzz";

	(void)state;
	assert_int_equal(str_copy(STR("abcd"), dst, sizeof(dst)), -1);
	assert_int_equal(str_copy(STR("a\0b"), dst, sizeof(dst)), -1);
	assert_int_equal(str_copy(STR("a"), dst, 0), -1);
	assert_int_equal(str_copy(none, dst, 0), -1);
	assert_string_equal(dst, "zzz");
	assert_int_equal(str_copy(STR("abc"), dst, sizeof(dst)), 0);
	assert_string_equal(dst, "abc");
	assert_int_equal(str_copy(none, dst, sizeof(dst)), 0);
	assert_string_equal(dst, "");
}

static void
a_glob_takes_a_star_for_any_bytes_and_all_else_literally(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} rows[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "*", "", true },
		{ "*", "a.b", true },
		{ "**", "a", true },
		{ "a", "a", true },
		{ "a", "ab", false },
		{ "ab", "a", false },
		{ "billing.*", "billing.refund", true },
		{ "billing.*", "billing.", true },
		{ "billing.*", "billing", false },
		{ "billing.*", "xbilling.refund", false },
		{ "*.read", "ticket.read", true },
		{ "*.read", "ticket.reads", false },
		{ "*.read", "a.read.read", true }, /* the star may grow */
		{ "a*b*c", "a--b--b--c", true },
		{ "a*b*c", "a--c--b", false },
		{ "a?c", "abc", false },
		{ "a?c", "a?c", true },
		{ "[ab]", "a", false },
		{ "a\\*", "a*", false }, /* no escapes */
		{ "*a*", "bbb", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (str_glob(str_of(rows[i].pattern), str_of(rows[i].text)) !=
		    rows[i].match)
			fail_msg("%s on %s", rows[i].pattern, rows[i].text);
	}
	assert_true(str_glob(STR("a*\0"), STR("a.b\0")));
	assert_true(str_glob(none, none));
}

static void
a_hostile_glob_takes_no_exponential_time(void **state)
{
	char text[2000], pattern[200];

	(void)state;
	/* Tried in all ways, this would take longer than the test may. */
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[sizeof(pattern) - 1] = 'b';
	assert_false(str_glob((struct str){ pattern, sizeof(pattern) },
	    (struct str){ text, sizeof(text) }));
	text[sizeof(text) - 1] = 'b';
	assert_true(str_glob((struct str){ pattern, sizeof(pattern) },
	    (struct str){ text, sizeof(text) }));
}

static void
a_hexadecimal_digit_of_either_case_has_its_value_and_nothing_else_one(
    void **state)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";

	(void)state;
	for (int c = -128; c < 128; c++) {
		const char *at = c == 0 ? NULL : strchr(digits, (char)c);

		assert_int_equal(str_hex_digit((char)c),
		    at == NULL ? -1 : (at - digits) % 16);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_c_string_becomes_its_bytes_and_null_the_empty_text),
		cmocka_unit_test(equal_means_the_same_bytes),
		cmocka_unit_test(starts_and_ends_compare_whole_affixes),
		cmocka_unit_test(order_is_by_unsigned_bytes_shorter_first),
		cmocka_unit_test(find_gives_the_first_index_or_the_length),
		cmocka_unit_test(trim_takes_spaces_and_tabs_only),
		cmocka_unit_test(a_number_is_digits_that_fit_in_64_bits),
		cmocka_unit_test(a_copy_is_whole_and_terminated_or_refused),
		cmocka_unit_test(
		    a_glob_takes_a_star_for_any_bytes_and_all_else_literally),
		cmocka_unit_test(
		    a_hexadecimal_digit_of_either_case_has_its_value_and_nothing_else_one),
		cmocka_unit_test(a_hostile_glob_takes_no_exponential_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
