/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/exec_log.h"

static void
add(struct exec_log *l, unsigned stream, const char *text)
{
	char *to = exec_log_room(l, strlen(text) + 10);

	assert_non_null(to);
	memcpy(to, text, strlen(text));
	exec_log_add(l, stream, strlen(text));
}

static void
pieces_are_read_in_order_by_each_reader(void **state)
{
	struct exec_log l = {};
	struct exec_cursor a = {}, b = {};
	struct exec_piece p;
	bool missed;

	(void)state;
	assert_false(exec_log_next(&l, &a, &p, &missed));
	add(&l, 0, "one");
	add(&l, 1, "two");
	assert_true(exec_log_next(&l, &a, &p, &missed));
	assert_true(str_eq_c(p.data, "one"));
	assert_int_equal(p.stream, 0);
	assert_int_equal(p.number, 0);
	assert_true(exec_log_next(&l, &a, &p, &missed));
	assert_true(str_eq_c(p.data, "two"));
	assert_int_equal(p.stream, 1);
	assert_false(exec_log_next(&l, &a, &p, &missed));
	assert_int_equal(exec_log_ahead(&l, &a), 0);
	add(&l, 0, "three");
	assert_true(exec_log_next(&l, &a, &p, &missed));
	assert_int_equal(p.number, 2);
	assert_true(exec_log_next(&l, &b, &p, &missed));
	assert_true(str_eq_c(p.data, "one"));
	assert_false(missed);
	exec_log_fini(&l);
}

static void
the_oldest_go_and_a_reader_hears_of_it(void **state)
{
	struct exec_log l = {};
	struct exec_cursor slow = {}, at;
	struct exec_piece p;
	bool missed;
	char text[16];

	(void)state;
	for (int i = 0; i < 100; i++) {
		(void)snprintf(text, sizeof(text), "%07d", i);
		add(&l, 0, text);
		exec_log_trim(&l, 150, NULL);
		assert_true(l.kept.n <= 300);
	}
	assert_true(l.first > 0);
	assert_int_equal(l.dropped_bytes, l.first * 7);
	assert_true(exec_log_next(&l, &slow, &p, &missed));
	assert_true(missed);
	assert_int_equal(p.number, l.first);
	(void)snprintf(text, sizeof(text), "%07d", (int)l.first);
	assert_true(str_eq_c(p.data, text));
	assert_true(exec_log_next(&l, &slow, &p, &missed));
	assert_false(missed);

	/* Coming back: at a piece, before the first, behind the last. */
	at = exec_log_find(&l, 99);
	assert_true(exec_log_next(&l, &at, &p, &missed));
	assert_true(str_eq_c(p.data, "0000099") && !missed);
	at = exec_log_find(&l, 1);
	assert_int_equal(at.number, l.first);
	at = exec_log_find(&l, 0);
	assert_true(exec_log_next(&l, &at, &p, &missed));
	assert_true(missed);
	at = exec_log_find(&l, 5000);
	assert_int_equal(at.number, 100);
	assert_false(exec_log_next(&l, &at, &p, &missed));
	exec_log_fini(&l);
}

static void
what_a_reader_needs_is_not_dropped(void **state)
{
	struct exec_log l = {};
	struct exec_cursor c = {};
	struct exec_piece p;
	bool missed;

	(void)state;
	add(&l, 0, "first");
	assert_true(exec_log_next(&l, &c, &p, &missed));
	for (int i = 0; i < 50; i++) {
		add(&l, 0, "another");
		exec_log_trim(&l, 10, &c);
	}
	assert_int_equal(l.first, 1);
	assert_int_equal(l.n, 51);
	for (int i = 0; i < 50; i++) {
		assert_true(exec_log_next(&l, &c, &p, &missed));
		assert_false(missed);
	}
	exec_log_trim(&l, 10, &c);
	assert_int_equal(l.first, 51);
	assert_int_equal(l.kept.n, 0);
	exec_log_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_read_in_order_by_each_reader),
		cmocka_unit_test(the_oldest_go_and_a_reader_hears_of_it),
		cmocka_unit_test(what_a_reader_needs_is_not_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
