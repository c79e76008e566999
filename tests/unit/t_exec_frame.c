/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/exec_frame.h"

static void
what_is_put_is_parsed_however_it_is_cut(void **state)
{
	own_buf struct buf b = {};
	struct exec_frame f;
	struct err e = {};
	size_t first;

	(void)state;
	exec_frame_put(&b, FRAME_STDOUT, STR("hello"));
	first = b.n;
	exec_frame_put(&b, FRAME_STDIN_EOF, STR(""));
	for (size_t n = 0; n < first; n++) {
		/* A copy of its own size: one byte too far is found. */
		char *part = malloc(n + 1);

		assert_non_null(part);
		memcpy(part, b.p, n);
		assert_int_equal(exec_frame_parse(part, n, &f, &e), 0);
		free(part);
	}
	assert_int_equal(exec_frame_parse(b.p, b.n, &f, &e), (int)first);
	assert_int_equal(f.type, FRAME_STDOUT);
	assert_true(str_eq_c(f.data, "hello"));
	assert_int_equal(exec_frame_parse(b.p + first, b.n - first, &f, &e), 5);
	assert_int_equal(f.type, FRAME_STDIN_EOF);
	assert_int_equal(f.data.n, 0);
}

static void
what_is_no_frame_is_refused_at_its_first_bytes(void **state)
{
	static const struct {
		const char *what;
		const char bytes[5];
		size_t n;
		ssize_t got;
	} rows[] = {
		{ "nothing", "", 0, 0 },
		{ "an unknown type, by one byte", { 7 }, 1, -1 },
		{ "a negative type", { -1 }, 1, -1 },
		{ "a length that fits", { 0, 0, 0, 1, 0 }, 5, 0 },
		{ "the largest length", { 0, 0, 1, 0, 0 }, 5, 0 },
		{ "one more", { 0, 0, 1, 0, 1 }, 5, -1 },
		{ "four gigabytes", { 0, -1, -1, -1, -1 }, 5, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct exec_frame f;
		struct err e = {};
		ssize_t got =
		    exec_frame_parse(rows[i].bytes, rows[i].n, &f, &e);

		if (got != rows[i].got)
			print_error("%s\n", rows[i].what);
		assert_int_equal(got, rows[i].got);
		assert_int_equal(e.text[0] != '\0', got < 0);
	}
}

static void
a_window_size_goes_there_and_back(void **state)
{
	own_buf struct buf b = {};
	struct exec_frame f;
	struct err e = {};
	uint16_t rows = 0, cols = 0;

	(void)state;
	exec_frame_put_winsize(&b, 65535, 256);
	assert_int_equal(exec_frame_parse(b.p, b.n, &f, &e), 9);
	assert_int_equal(exec_frame_winsize(&f, &rows, &cols), 0);
	assert_int_equal(rows, 65535);
	assert_int_equal(cols, 256);
	f.data.n = 3;
	assert_int_equal(exec_frame_winsize(&f, &rows, &cols), -1);
	f.data.n = 4;
	f.type = FRAME_STDIN;
	assert_int_equal(exec_frame_winsize(&f, &rows, &cols), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_parsed_however_it_is_cut),
		cmocka_unit_test(
		    what_is_no_frame_is_refused_at_its_first_bytes),
		cmocka_unit_test(a_window_size_goes_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
