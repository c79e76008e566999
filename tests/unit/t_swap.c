/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <stdlib.h>

#include "codec/base64.h"
#include "core/swap.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct str fake = { "pdk_12345678_abc", 16 };
static const struct str real = { "sk/live\"Zz-0+9xy", 16 };

/* in with from replaced, in pieces of step; counts what was replaced. */
static uint64_t
swap_all(struct scan_word from, struct str to, struct str in, size_t step,
    struct buf *out)
{
	void *mem = calloc(1, scan_need(&from, 1));
	uint64_t hits = 0;
	struct swap s = {
		.scan = scan_new(mem, &from, 1),
		.to = &to,
		.hits = &hits,
	};

	assert_non_null(s.scan);
	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		assert_int_equal(swap_feed(&s, piece, out), 0);
	}
	assert_int_equal(swap_end(&s, out), 0);
	swap_fini(&s);
	free(mem);
	return hits;
}

static void
words_are_replaced_however_the_stream_is_cut(void **state)
{
	static const struct {
		const char *in, *want;
		uint64_t hits;
	} rows[] = {
		{ "pdk_12345678_abc", "sk/live\"Zz-0+9xy", 1 },
		{ "a=pdk_12345678_abc&b=pdk_12345678_abcpdk_12345678_abc.",
		    "a=sk/live\"Zz-0+9xy&b=sk/live\"Zz-0+9xysk/live\"Zz-0+9xy.",
		    3 },
		{ "pdk_1234pdk_12345678_abc", "pdk_1234sk/live\"Zz-0+9xy", 1 },
		{ "pdk_12345678_ab", "pdk_12345678_ab", 0 },
		{ "pdk_12345678_abd", "pdk_12345678_abd", 0 },
		{ "nothing", "nothing", 0 },
		{ "", "", 0 },
	};
	struct scan_word word = { fake, SCAN_PLAIN };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str in = str_of(rows[i].in);

		for (size_t step = 1; step <= in.n + 1; step++) {
			own_buf struct buf out = {};

			assert_int_equal(
			    swap_all(word, real, in, step, &out), rows[i].hits);
			assert_string_equal(buf_c(&out), rows[i].want);
		}
	}
}

static void
a_word_is_replaced_in_the_form_that_it_has(void **state)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{ "[sk/live\"Zz-0+9xy]", "[pdk_12345678_abc]" },
		{ "[yx9+0-zZ\"evil/ks]", "[cba_87654321_kdp]" },
		{ "[sk%2Flive%22Zz-0%2B9xy]", "[pdk_12345678_abcxxxxxx]" },
		{ "[sk\\/live\\\"Zz-0+9xy]", "[pdk_12345678_abcxx]" },
		{ "[736B2F6C697665225A7A2D302B397879]",
		    "[70646b5f31323334353637385f616263]" },
	};
	struct scan_word word = { real, SCAN_ALL };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str in = str_of(rows[i].in);

		for (size_t step = 1; step <= in.n; step++) {
			own_buf struct buf out = {};

			swap_all(word, fake, in, step, &out);
			assert_string_equal(buf_c(&out), rows[i].want);
		}
	}
}

static void
base64_of_the_one_becomes_base64_of_the_other(void **state)
{
	struct scan_word word = { real, SCAN_ALL };

	(void)state;
	for (size_t before = 0; before < 4; before++) {
		for (size_t after = 0; after < 4; after++) {
			own_buf struct buf raw = {};
			own_buf struct buf text = {};
			own_buf struct buf out = {};
			own_buf struct buf back = {};
			struct err e;

			buf_add(&raw, "user", before);
			buf_add_str(&raw, real);
			buf_add(&raw, "more", after);
			base64_encode(&text, buf_str(&raw), BASE64_STANDARD);
			assert_int_equal(
			    swap_all(word, fake, buf_str(&text), 3, &out), 1);
			assert_int_equal(out.n, text.n);
			assert_int_equal(base64_decode(&back, buf_str(&out),
					     BASE64_STANDARD, &e),
			    0);
			/* A byte that shares a character with its neighbour
			 * keeps some bits; the ones inside are all new. */
			assert_memory_equal(back.p, raw.p, before);
			assert_memory_equal(
			    back.p + before + 1, fake.p + 1, fake.n - 2);
		}
	}
}

static void
a_short_word_is_replaced_by_the_beginning(void **state)
{
	own_buf struct buf out = {};
	struct scan_word word = { STR("hunter22"), SCAN_ALL };

	(void)state;
	swap_all(word, fake, STR("[hunter22][68756e7465723232]"), 2, &out);
	assert_string_equal(buf_c(&out), "[pdk_1234][70646b5f31323334]");
}

static void
what_is_held_is_no_more_than_a_word_in_its_longest_form(void **state)
{
	struct scan_word word = { real, SCAN_ALL };
	void *mem = calloc(1, scan_need(&word, 1));
	struct swap s = { .scan = scan_new(mem, &word, 1), .to = &fake };
	own_buf struct buf out = {};
	size_t most = 0;

	(void)state;
	for (size_t i = 0; i < 100 * 1000; i++) {
		static const char text[] =
		    "sk%2\\u002f\\/736b2f6c69c2svbG\r\n\r\n\r\n\\\\\\";
		struct str one = { &text[(i * i + i / 7) % (sizeof(text) - 1)],
			1 };

		assert_int_equal(swap_feed(&s, one, &out), 0);
		if (s.hold.n > most)
			most = s.hold.n;
	}
	assert_int_equal(swap_end(&s, &out), 0);
	assert_int_equal(out.n, 100 * 1000);
	assert_true(most <= 6 * real.n);
	swap_fini(&s);
	free(mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_replaced_however_the_stream_is_cut),
		cmocka_unit_test(a_word_is_replaced_in_the_form_that_it_has),
		cmocka_unit_test(base64_of_the_one_becomes_base64_of_the_other),
		cmocka_unit_test(a_short_word_is_replaced_by_the_beginning),
		cmocka_unit_test(
		    what_is_held_is_no_more_than_a_word_in_its_longest_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
