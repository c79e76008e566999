/*
 * Fails the 1st, 2nd, 3rd ... allocation: a policy is compiled whole or not at
 * all, and what is to be hidden is never written because memory is short.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy.h"

static int calls, fail_at; /* 0: none fails */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool
fails(void)
{
	return ++calls == fail_at;
}

void *
__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static int
compile_by_failures(const char *text, enum policy_format format)
{
	static struct policy_problems list;
	struct policy *p = NULL;
	int n = 0;

	while (p == NULL) {
		assert_true(n < 1000);
		calls = 0;
		fail_at = ++n;
		p = policy_new(str_of(text), format, &list);
		fail_at = 0;
		if (p != NULL)
			break;
		assert_true(list.n > 0);
		assert_true(str_starts(
		    str_of(list.item[0].text), STR("no memory left")));
	}
	assert_int_equal(list.n, 0);
	policy_free(p);
	return n;
}

static void
a_policy_is_whole_or_not_there(void **state)
{
	own_buf struct buf big = {};

	(void)state;
	buf_add_c(&big, "{\"policy\":1,\"workflow\":\"w\",\"tools\":{");
	for (int i = 0; i < 500; i++)
		buf_printf(
		    &big, "%s\"t%d\":{\"risk\":\"read\"}", i > 0 ? "," : "", i);
	buf_add_c(&big, "}}");
	/* The policy, its arena's blocks, the canonical text as it grows. */
	assert_true(compile_by_failures(buf_c(&big), POLICY_JSON) > 6);
	/* JSON is YAML: here the marks grow, too. */
	assert_true(compile_by_failures(buf_c(&big), POLICY_YAML) > 12);
}

static void
nothing_hidden_is_shown_for_want_of_memory(void **state)
{
	static const struct str paths[] = { { "$.a", 3 }, { "$..c", 4 } };
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v =
	    json_parse(STR("{\"a\":\"secret\",\"b\":{\"c\":\"secret\"}}"), NULL,
		&a, &e, NULL);
	int failures = 0;

	(void)state;
	assert_non_null(v);
	for (int n = 1;; n++) {
		own_buf struct buf out = {};

		calls = 0;
		fail_at = n;
		redact_write(&out, v, paths, 2);
		fail_at = 0;
		assert_true(
		    out.n == 0 || memmem(out.p, out.n, "secret", 6) == NULL);
		if (!out.failed)
			break;
		failures++;
	}
	assert_true(failures >= 2); /* the copy, and what is written */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_is_whole_or_not_there),
		cmocka_unit_test(nothing_hidden_is_shown_for_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
