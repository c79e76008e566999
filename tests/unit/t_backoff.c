/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include "core/backoff.h"

static void
each_wait_is_between_half_and_all_of_its_time(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		uint64_t whole = 200;

		for (uint32_t try = 1; try <= 8; try++) {
			uint64_t ms = backoff_ms(200, 5000, try, seed);

			assert_true(ms >= whole / 2 && ms <= whole);
			whole = whole * 2 < 5000 ? whole * 2 : 5000;
		}
	}
}

static void
the_same_seed_waits_the_same_and_others_spread(void **state)
{
	uint32_t seen[10] = {};

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		uint64_t ms = backoff_ms(1000, 1000, 1, seed);

		assert_int_equal(ms, backoff_ms(1000, 1000, 1, seed));
		seen[(ms - 500) * 10 / 501]++;
	}
	/* A tenth of them in each tenth, give or take. */
	for (int i = 0; i < 10; i++)
		assert_in_range(seen[i], 60, 140);
}

static void
the_largest_numbers_do_not_wrap(void **state)
{
	(void)state;
	assert_in_range(
	    backoff_ms(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX),
	    UINT32_MAX / 2, UINT32_MAX);
	assert_in_range(backoff_ms(1, 1, 1, 0), 1, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wait_is_between_half_and_all_of_its_time),
		cmocka_unit_test(
		    the_same_seed_waits_the_same_and_others_spread),
		cmocka_unit_test(the_largest_numbers_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
