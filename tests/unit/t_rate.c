/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include "core/rate.h"

#define S INT64_C(1000000000)

static uint64_t seed;

static uint32_t
pick(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

static void
a_burst_goes_at_once_and_then_one_per_share(void **state)
{
	const struct rate_rule rule = { 60 * 1000, 3 };
	struct rate r = {};

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(rate_take(&rule, &r, 5 * S));
	assert_false(rate_take(&rule, &r, 5 * S));
	assert_int_equal(rate_wait(&rule, &r, 5 * S), 20 * S);
	assert_false(rate_take(&rule, &r, 25 * S - 1));
	assert_true(rate_take(&rule, &r, 25 * S));
	assert_false(rate_take(&rule, &r, 25 * S));
	for (int i = 0; i < 3; i++)
		assert_true(rate_take(&rule, &r, 1000 * S));
	assert_false(rate_take(&rule, &r, 1000 * S));
}

/* Tokens that drip into a bucket, counted in shares of nanoseconds. */
static void
it_is_a_bucket_that_fills_evenly(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 400; i++) {
		struct rate_rule rule;
		struct rate r = {};
		int64_t share, full, level, now = 1, last = 1;

		seed = i;
		rule = (struct rate_rule){ 1 + pick(5000), 1 + pick(20) };
		share = (int64_t)rule.period_ms * 1000000 / rule.burst;
		full = (int64_t)rule.period_ms * 1000000;
		level = full;
		for (int k = 0; k < 300; k++) {
			bool may;

			now += pick(2) == 0 ? pick(1000)
					    : (int64_t)pick(2000) * 500000;
			level += now - last;
			if (level > full)
				level = full;
			last = now;
			may = level >= share;
			if (may)
				level -= share;
			assert_int_equal(rate_wait(&rule, &r, now) == 0, may);
			assert_int_equal(rate_take(&rule, &r, now), may);
		}
	}
}

static void
a_breaker_opens_within_the_window_and_sees_after_a_while(void **state)
{
	const struct breaker_rule rule = { 3, 10 * 1000, 30 * 1000 };
	struct breaker b = {};

	(void)state;
	breaker_end(&rule, &b, 1 * S, true, false);
	breaker_end(&rule, &b, 2 * S, true, false);
	breaker_end(&rule, &b, 3 * S, false, false);
	/* The first is out of the window by now. */
	breaker_end(&rule, &b, 12 * S, true, false);
	assert_int_equal(breaker_wait(&b, 12 * S), 0);
	assert_false(breaker_begin(&rule, &b, 12 * S));
	breaker_end(&rule, &b, 12 * S, true, false);
	assert_int_equal(breaker_wait(&b, 12 * S), 30 * S);
	assert_int_equal(breaker_wait(&b, 42 * S - 1), 1);
	/* What had begun before says nothing. */
	breaker_end(&rule, &b, 20 * S, false, false);
	assert_true(breaker_wait(&b, 41 * S) > 0);
	/* One goes, the others wait for it. */
	assert_int_equal(breaker_wait(&b, 42 * S), 0);
	assert_true(breaker_begin(&rule, &b, 42 * S));
	assert_true(breaker_wait(&b, 42 * S) > 0);
	breaker_end(&rule, &b, 43 * S, true, true);
	assert_int_equal(breaker_wait(&b, 43 * S), 30 * S);
	assert_true(breaker_begin(&rule, &b, 73 * S));
	breaker_end(&rule, &b, 74 * S, false, true);
	assert_int_equal(breaker_wait(&b, 74 * S), 0);
	assert_false(breaker_begin(&rule, &b, 74 * S));
}

/* Against all failures in a list, looked through each time. */
static void
it_opens_when_a_list_of_failures_says_so(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		int64_t list[200], now = 1;
		struct breaker_rule rule;
		struct breaker b = {};
		int n = 0;

		seed = i;
		rule = (struct breaker_rule){ 1 + pick(BREAKER_FAILURES_MAX),
			1 + pick(3000), 1000 };
		while (n < 200) {
			uint32_t within = 0;

			now += (int64_t)pick(900) * 1000000;
			list[n++] = now;
			breaker_end(&rule, &b, now, true, false);
			for (int k = 0; k < n; k++)
				within += now - list[k] <=
				    (int64_t)rule.window_ms * 1000000;
			assert_int_equal(b.open, within >= rule.failures);
			if (b.open)
				break;
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_goes_at_once_and_then_one_per_share),
		cmocka_unit_test(it_is_a_bucket_that_fills_evenly),
		cmocka_unit_test(
		    a_breaker_opens_within_the_window_and_sees_after_a_while),
		cmocka_unit_test(it_opens_when_a_list_of_failures_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
