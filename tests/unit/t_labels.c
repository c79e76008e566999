/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/labels.h"
#include "core/policy.h"

/* 16 KiB: too large for a test's stack frame to hold several. */
static struct labels set;

static const char *
written(void)
{
	static char text[LABELS_MAX * (LABEL_BYTES + 4)];
	own_buf struct buf out = {};

	labels_write(&out, &set);
	(void)snprintf(text, sizeof(text), "%s", buf_c(&out));
	return text;
}

static void
clear(void)
{
	memset(&set, 0, sizeof(set));
}

static void
labels_are_kept_sorted_and_once(void **state)
{
	(void)state;
	clear();
	assert_string_equal(written(), "[]");
	labels_add(&set, STR("pii"));
	labels_add(&set, STR("untrusted:b"));
	labels_add(&set, STR("untrusted:a"));
	labels_add(&set, STR("pii"));
	labels_add(&set, STR("injection:suspect"));
	assert_string_equal(written(),
	    "[\"injection:suspect\",\"pii\",\"untrusted:a\","
	    "\"untrusted:b\"]");
	assert_false(set.overflowed);
}

static void
a_pattern_matches_some_label_of_the_set(void **state)
{
	(void)state;
	clear();
	assert_false(labels_match(&set, STR("*")));
	labels_add(&set, STR("untrusted:kb.search"));
	labels_add(&set, STR("pii"));
	assert_true(labels_match(&set, STR("untrusted:*")));
	assert_true(labels_match(&set, STR("pii")));
	assert_true(labels_match(&set, STR("*")));
	assert_false(labels_match(&set, STR("pi")));
	assert_false(labels_match(&set, STR("untrusted:")));
	assert_false(labels_match(&set, STR("secret*")));
}

/* What the set cannot hold counts as everything: unknown means no. */
static void
a_set_that_is_full_matches_every_pattern(void **state)
{
	char text[32];

	(void)state;
	clear();
	for (int i = 0; i < LABELS_MAX; i++) {
		(void)snprintf(text, sizeof(text), "l%d", (i * 91) % 1000);
		labels_add(&set, str_of(text));
	}
	assert_int_equal(set.n, LABELS_MAX);
	assert_false(set.overflowed);
	for (uint32_t i = 1; i < set.n; i++)
		assert_true(strcmp(set.text[i - 1], set.text[i]) < 0);
	labels_add(&set, str_of(set.text[5])); /* it is there */
	assert_false(set.overflowed);
	assert_false(labels_match(&set, STR("pii")));
	labels_add(&set, STR("zzz"));
	assert_true(set.overflowed);
	assert_true(labels_match(&set, STR("pii")));
	assert_int_equal(strncmp(written(), "[\"*\",\"l", 7), 0);
}

static void
a_label_too_long_or_with_a_nul_overflows(void **state)
{
	char text[LABEL_BYTES + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	clear();
	labels_add(&set, (struct str){ text, LABEL_BYTES - 1 });
	assert_false(set.overflowed);
	labels_add(&set, (struct str){ text, LABEL_BYTES });
	assert_true(set.overflowed);
	assert_int_equal(set.n, 1);
	clear();
	labels_add(&set, (struct str){ "a\0b", 3 });
	assert_true(set.overflowed);
	assert_string_equal(written(), "[\"*\"]");
}

static void
a_result_is_untrusted_unless_its_row_says_otherwise(void **state)
{
	static const struct str pii[] = { { "pii", 3 } };
	static const struct str trusted[] = { { "trusted", 7 },
		{ "clock", 5 } };
	struct policy_tool plain = {};
	struct policy_tool more = { .labels_out = pii, .n_labels_out = 1 };
	struct policy_tool own = { .labels_out = trusted, .n_labels_out = 2 };
	char name[NAME_MAX_BYTES];

	(void)state;
	clear();
	policy_result_labels(&plain, STR("kb.search"), &set);
	assert_string_equal(written(), "[\"untrusted:kb.search\"]");
	policy_result_labels(&more, STR("a"), &set);
	policy_result_labels(NULL, STR("b"), &set);
	assert_string_equal(written(),
	    "[\"pii\",\"untrusted:a\",\"untrusted:b\","
	    "\"untrusted:kb.search\"]");
	clear();
	policy_result_labels(&own, STR("clock.now"), &set);
	assert_string_equal(written(), "[\"clock\"]");
	clear();
	memset(name, 'n', sizeof(name));
	policy_result_labels(&plain, (struct str){ name, 53 }, &set);
	assert_false(set.overflowed);
	policy_result_labels(&plain, (struct str){ name, 54 }, &set);
	assert_true(set.overflowed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_kept_sorted_and_once),
		cmocka_unit_test(a_pattern_matches_some_label_of_the_set),
		cmocka_unit_test(a_set_that_is_full_matches_every_pattern),
		cmocka_unit_test(a_label_too_long_or_with_a_nul_overflows),
		cmocka_unit_test(
		    a_result_is_untrusted_unless_its_row_says_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
