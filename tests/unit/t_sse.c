/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include "codec/sse.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
events_are_the_same_however_the_stream_is_cut(void **state)
{
	static const struct {
		const char *why;
		struct str in;
		const char *want; /* name=data; of each event */
	} rows[] = {
		{ "one", STR("data: a\n\n"), "message=a;" },
		{ "no blank behind the colon", STR("data:a\n\n"),
		    "message=a;" },
		{ "one blank is dropped, not two", STR("data:  a\n\n"),
		    "message= a;" },
		{ "CRLF", STR("data: a\r\n\r\ndata: b\r\n\r\n"),
		    "message=a;message=b;" },
		{ "CR", STR("data: a\r\rdata: b\r\r"), "message=a;message=b;" },
		{ "two lines", STR("data: a\ndata: b\n\n"), "message=a\nb;" },
		{ "empty first line", STR("data\ndata: b\n\n"),
		    "message=\nb;" },
		{ "empty data is an event", STR("data:\n\n"), "message=;" },
		{ "a name", STR("event: x\ndata: a\n\ndata: b\n\n"),
		    "x=a;message=b;" },
		{ "a name without data is nothing",
		    STR("event: x\n\ndata: b\n\n"), "message=b;" },
		{ "comments, retry and others",
		    STR(": hi\nretry: 5\nodd\nx: y\ndata: a\n\n"),
		    "message=a;" },
		{ "cut off", STR("data: a\n\ndata: b\n"), "message=a;" },
		{ "blank lines", STR("\n\n\r\n\r\rdata: a\n\n\n"),
		    "message=a;" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step <= rows[i].in.n; step++) {
			own_sse struct sse s = {};
			own_buf struct buf got = {};
			struct sse_event ev;

			for (size_t at = 0; at < rows[i].in.n; at += step) {
				struct str piece = { rows[i].in.p + at,
					rows[i].in.n - at };

				if (piece.n > step)
					piece.n = step;
				assert_int_equal(sse_feed(&s, piece), 0);
				while (sse_next(&s, &ev)) {
					buf_add_str(&got, ev.name);
					buf_add_byte(&got, '=');
					buf_add_str(&got, ev.data);
					buf_add_byte(&got, ';');
				}
			}
			assert_string_equal(buf_c(&got), rows[i].want);
		}
	}
}

static void
a_retry_of_digits_alone_is_taken(void **state)
{
	static const struct {
		const char *text;
		bool has;
		uint32_t ms;
	} rows[] = {
		{ "retry: 500\n", true, 500 },
		{ "retry: 0\n", true, 0 },
		{ "retry: 5\nretry: x\n", true, 5 },
		{ "retry: 99999999999999999999\n", true, 60 * 60 * 1000 },
		{ "retry: -5\n", false, 0 },
		{ "retry:\n", false, 0 },
		{ ": retry: 5\n", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_sse struct sse s = {};
		struct sse_event ev;

		assert_int_equal(sse_feed(&s, str_of(rows[i].text)), 0);
		assert_false(sse_next(&s, &ev));
		assert_true(s.has_retry == rows[i].has);
		assert_int_equal(s.retry_ms, rows[i].ms);
	}
}

static void
id_stays_until_another_comes(void **state)
{
	own_sse struct sse s = {};
	struct sse_event ev;

	(void)state;
	assert_int_equal(sse_feed(&s,
			     STR("id: 7\ndata: a\n\ndata: b\n\n"
				 "id: x\0y\ndata: c\n\nid\ndata: d\n\n")),
	    0);
	assert_true(sse_next(&s, &ev) && str_eq_c(ev.id, "7"));
	assert_true(sse_next(&s, &ev) && str_eq_c(ev.id, "7"));
	assert_true(sse_next(&s, &ev) && str_eq_c(ev.id, "7"));
	assert_true(sse_next(&s, &ev) && str_eq_c(ev.id, ""));
	assert_false(sse_next(&s, &ev));
}

static void
event_over_the_limit_is_not_given_in_part(void **state)
{
	own_sse struct sse s = { .data = { .max = 4 } };
	own_sse struct sse line = { .in = { .max = 8 } };
	struct sse_event ev;

	(void)state;
	assert_int_equal(sse_feed(&s, STR("data: abcd\n\n")), 0);
	assert_true(sse_next(&s, &ev) && str_eq_c(ev.data, "abcd"));
	assert_int_equal(sse_feed(&s, STR("data: abc\ndata: d\n\n")), 0);
	assert_false(sse_next(&s, &ev));
	assert_true(s.failed);
	assert_int_equal(sse_feed(&s, STR("data: a\n\n")), -1);
	assert_false(sse_next(&s, &ev));

	assert_int_equal(sse_feed(&line, STR("data: a")), 0);
	assert_false(sse_next(&line, &ev));
	assert_int_equal(sse_feed(&line, STR("bc")), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_the_same_however_the_stream_is_cut),
		cmocka_unit_test(a_retry_of_digits_alone_is_taken),
		cmocka_unit_test(id_stays_until_another_comes),
		cmocka_unit_test(event_over_the_limit_is_not_given_in_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
