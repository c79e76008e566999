#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"

static void
pieces_stand_one_after_the_other(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	buf_add(&b, "a\0b", 3);
	buf_add_str(&b, STR("-"));
	buf_add_c(&b, "cd");
	buf_add_byte(&b, '\xff');
	buf_add_u64(&b, 0);
	buf_add_u64(&b, UINT64_MAX);
	buf_printf(&b, "%s=%d", "x", -7);
	buf_add(&b, NULL, 0);
	buf_add_str(&b, (struct str){});
	assert_true(str_eq(buf_str(&b),
	    STR("a\0b-cd\xff"
		"018446744073709551615x=-7")));
	assert_false(b.failed);
}

static void
an_unused_buffer_is_the_empty_text(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	assert_int_equal(buf_str(&b).n, 0);
	assert_non_null(buf_str(&b).p);
	assert_string_equal(buf_c(&b), "");
	assert_false(b.failed);
}

static void
it_grows_to_the_limit_and_not_over_it(void **state)
{
	own_buf struct buf b = { .max = 1000 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_add_byte(&b, (char)('a' + i % 26));
	assert_false(b.failed);
	assert_int_equal(b.n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(b.p[i], 'a' + i % 26);
	buf_add_byte(&b, 'x');
	assert_true(b.failed);
	assert_int_equal(b.n, 1000);
}

static void
a_full_buffer_can_still_be_read_as_a_c_string(void **state)
{
	own_buf struct buf b = { .max = 256 };

	(void)state;
	buf_printf(&b, "%0256d", 7);
	assert_false(b.failed);
	assert_int_equal(b.n, 256);
	assert_int_equal(strlen(buf_c(&b)), 256);
	assert_false(b.failed);
}

static void
after_a_failure_nothing_more_is_added(void **state)
{
	own_buf struct buf b = { .max = 4 };

	(void)state;
	buf_add_c(&b, "ab");
	buf_add_c(&b, "too long");
	buf_add_c(&b, "c");
	buf_printf(&b, "d");
	buf_add_u64(&b, 1);
	assert_true(b.failed);
	assert_true(str_eq_c(buf_str(&b), "ab"));
	assert_string_equal(buf_c(&b), "");
	assert_null(buf_reserve(&b, 1));
	buf_reset(&b);
	assert_false(b.failed);
	buf_add_c(&b, "abcd");
	assert_string_equal(buf_c(&b), "abcd");
}

static void
sizes_that_would_wrap_around_are_refused(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	buf_add_c(&b, "abc");
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
	buf_reset(&b);
	assert_null(buf_reserve(&b, SIZE_MAX - 3));
	assert_true(b.failed);
}

static void
without_a_limit_of_its_own_the_default_holds(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	assert_non_null(buf_reserve(&b, BUF_DEFAULT_MAX_BYTES));
	assert_null(buf_reserve(&b, (size_t)BUF_DEFAULT_MAX_BYTES + 1));
	assert_true(b.failed);
}

static void
reserved_room_is_used_by_counting_it(void **state)
{
	own_buf struct buf b = {};
	char *p;

	(void)state;
	buf_add_c(&b, "ab");
	p = buf_reserve(&b, 5000);
	assert_ptr_equal(p, b.p + 2);
	memset(p, 'x', 5000);
	b.n += 2;
	assert_string_equal(buf_c(&b), "abxx");
}

static void
dropping_takes_from_the_front(void **state)
{
	own_buf struct buf b = {};

	(void)state;
	buf_add_c(&b, "abcdef");
	buf_drop(&b, 0);
	buf_drop(&b, 2);
	assert_string_equal(buf_c(&b), "cdef");
	buf_drop(&b, 4);
	assert_string_equal(buf_c(&b), "");
	buf_add_c(&b, "again");
	assert_string_equal(buf_c(&b), "again");
}

static void
a_finished_buffer_is_like_a_new_one(void **state)
{
	struct buf b = { .max = 2 };

	(void)state;
	buf_add_c(&b, "abc");
	assert_true(b.failed);
	buf_fini(&b);
	assert_null(b.p);
	assert_false(b.failed);
	buf_fini(&b);
}

static void
arena_memory_is_zeroed_aligned_and_apart(void **state)
{
	own_arena struct arena a = {};
	unsigned char *before = NULL;

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (size_t n = 1; n < 3000; n += 7) {
			unsigned char *p = arena_alloc(&a, n);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xee, n);
			if (before != NULL)
				assert_int_equal(before[0], 0xee);
			before = p;
		}
		before = NULL;
		arena_reset(&a); /* the second round is in used memory */
		assert_int_equal(a.used_bytes, 0);
	}
}

static void
an_arena_gives_what_its_limit_allows_and_stays_failed(void **state)
{
	own_arena struct arena a = { .max_bytes = 64 };

	(void)state;
	assert_non_null(arena_alloc(&a, 48));
	assert_non_null(arena_alloc(&a, 16));
	assert_int_equal(a.used_bytes, 64);
	assert_false(a.failed);
	assert_null(arena_alloc(&a, 1));
	assert_true(a.failed);
	assert_null(arena_alloc(&a, 0));
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, 64));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_true(a.failed);
}

static void
an_arena_without_a_limit_of_its_own_has_the_default(void **state)
{
	own_arena struct arena a = {};

	(void)state;
	assert_non_null(arena_alloc(&a, BUF_DEFAULT_MAX_BYTES));
	assert_null(arena_alloc(&a, 1));
	assert_true(a.failed);
}

static void
an_arena_takes_pieces_larger_than_its_blocks(void **state)
{
	own_arena struct arena a = {};
	char *small, *large, *after;

	(void)state;
	small = arena_alloc(&a, 10);
	large = arena_alloc(&a, 1000 * 1000);
	after = arena_alloc(&a, 10);
	assert_non_null(small);
	assert_non_null(large);
	assert_non_null(after);
	memset(small, 1, 10);
	memset(large, 2, 1000 * 1000);
	memset(after, 3, 10);
	assert_int_equal(small[9], 1);
	assert_int_equal(large[1000 * 1000 - 1], 2);
}

static void
an_arena_copy_is_terminated(void **state)
{
	own_arena struct arena a = { .max_bytes = 32 };
	char *p = arena_copy(&a, STR("abc"));

	(void)state;
	assert_string_equal(p, "abc");
	assert_string_equal(arena_copy(&a, (struct str){}), "");
	assert_null(arena_copy(&a, STR("x")));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_stand_one_after_the_other),
		cmocka_unit_test(an_unused_buffer_is_the_empty_text),
		cmocka_unit_test(it_grows_to_the_limit_and_not_over_it),
		cmocka_unit_test(a_full_buffer_can_still_be_read_as_a_c_string),
		cmocka_unit_test(after_a_failure_nothing_more_is_added),
		cmocka_unit_test(sizes_that_would_wrap_around_are_refused),
		cmocka_unit_test(without_a_limit_of_its_own_the_default_holds),
		cmocka_unit_test(reserved_room_is_used_by_counting_it),
		cmocka_unit_test(dropping_takes_from_the_front),
		cmocka_unit_test(a_finished_buffer_is_like_a_new_one),
		cmocka_unit_test(arena_memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(
		    an_arena_gives_what_its_limit_allows_and_stays_failed),
		cmocka_unit_test(
		    an_arena_without_a_limit_of_its_own_has_the_default),
		cmocka_unit_test(an_arena_takes_pieces_larger_than_its_blocks),
		cmocka_unit_test(an_arena_copy_is_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
