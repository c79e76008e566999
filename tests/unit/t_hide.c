/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "codec/base64.h"
#include "core/hide.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct hash key = { { 4, 5, 6 } };
static const struct str values[] = { STR("s3cret+/\"key%A0"),
	STR("ghp_9fK2mQ7xR4tY8wB1zL6nC3vD5sJ0pH2aEuGi"), STR("hunter22"),
	STR("xx-hunter22-yy"), STR("bait-for-thieves") };
static const struct str fakes[] = { STR("pdk_11111111_abcd"),
	STR("pdk_22222222_abcdefghijklmnopqrstuvwxyz0"),
	STR("pdk_33333333_abc"), STR("pdk_44444444_abc"), { NULL, 0 } };

static struct leak_set *
set_of(void)
{
	struct leak_print prints[COUNT(values)];
	struct leak_key k;

	leak_key_init(&k, &key);
	for (size_t i = 0; i < COUNT(values); i++)
		leak_print_of(&k, values[i], &prints[i]);
	return leak_set_new(&key, prints, COUNT(prints));
}

/* In pieces of step; how many were replaced. */
static uint64_t
hide_all(struct leak_set *set, struct str in, size_t step, struct buf *out)
{
	struct hide h;
	uint64_t hits;

	assert_int_equal(hide_init(&h, set, fakes), 0);
	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		assert_int_equal(hide_feed(&h, piece, false, out), 0);
	}
	assert_int_equal(hide_feed(&h, STR(""), true, out), 0);
	hits = h.hits;
	hide_fini(&h);
	assert_int_equal(out->n, in.n);
	return hits;
}

static void
a_value_is_replaced_in_the_form_that_it_has_however_it_is_cut(void **state)
{
	static const struct {
		const char *in, *want; /* NULL: something else */
		uint64_t hits;
	} rows[] = {
		{ "a s3cret+/\"key%A0 b", "a pdk_11111111_ab b", 1 },
		{ "k=s3cret%2B%2f%22key%25A0&", "k=pdk_11111111_abcdxxxxxx&",
		    1 },
		{ "{\"k\":\"s3cret+\\/\\\"key%A0\"}",
		    "{\"k\":\"pdk_11111111_abcd\"}", 1 },
		{ "\\u0068unter22.", "pdk_33333333_.", 1 },
		{ "32:32:72:65:74:6e:75:68;", NULL, 1 },
		{ "is 22retnuh.", NULL, 1 },
		{ "hunter22hunter22", "pdk_3333pdk_3333", 2 },
		{ "huntehunter22", "huntepdk_3333", 1 },
		{ "<xx-hunter22-yy>", "<pdk_44444444_a>", 2 },
		{ "bait-for-thieves", "bait-for-thieves", 0 },
		{ "hunter2 s3cret+/ ghp_", "hunter2 s3cret+/ ghp_", 0 },
		{ "", "", 0 },
	};
	struct leak_set *s = set_of();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str in = str_of(rows[i].in);

		for (size_t step = 1; step <= in.n + 1; step++) {
			own_buf struct buf out = {};
			uint64_t hits = hide_all(s, in, step, &out);

			assert_int_equal(hits, rows[i].hits);
			if (rows[i].want != NULL)
				assert_string_equal(buf_c(&out), rows[i].want);
			else
				assert_memory_not_equal(out.p, in.p, in.n);
		}
	}
	leak_set_free(s);
}

/* What is left decodes to the placeholder between what was around the value. */
static void
in_base64_its_neighbours_stay_at_every_alignment(void **state)
{
	static const enum base64_kind kinds[] = { BASE64_STANDARD, BASE64_URL };
	struct leak_set *s = set_of();

	(void)state;
	for (size_t v = 0; v < 3; v++) {
		for (size_t i = 0; i < 72; i++) {
			own_buf struct buf plain = {}, coded = {}, out = {},
					   back = {};
			size_t before = i % 6, behind = i / 6 % 6;
			struct err e = {};

			for (size_t k = 0; k < before; k++)
				buf_add_byte(&plain, (char)('A' + k));
			buf_add_str(&plain, values[v]);
			for (size_t k = 0; k < behind; k++)
				buf_add_byte(&plain, (char)('a' + k));
			base64_encode(&coded, buf_str(&plain), kinds[i / 36]);
			assert_int_equal(
			    hide_all(s, buf_str(&coded), 1 + i % 5, &out), 1);
			for (size_t k = 0;
			     k < out.n && kinds[i / 36] == BASE64_URL; k++) {
				out.p[k] = out.p[k] == '+' ? '-' : out.p[k];
				out.p[k] = out.p[k] == '/' ? '_' : out.p[k];
			}
			assert_int_equal(base64_decode(&back, buf_str(&out),
					     kinds[i / 36], &e),
			    0);
			assert_int_equal(back.n, plain.n);
			assert_memory_equal(back.p, plain.p, before);
			assert_memory_equal(back.p + before + values[v].n,
			    plain.p + before + values[v].n, behind);
			assert_null(
			    memmem(back.p, back.n, values[v].p, values[v].n));
			assert_memory_equal(
			    back.p + before + 1, fakes[v].p + 1, 6);
		}
	}
	leak_set_free(s);
}

static void
an_event_goes_out_when_it_ends_and_a_beginning_is_held(void **state)
{
	struct leak_set *s = set_of();
	struct hide h;
	own_buf struct buf out = {};

	(void)state;
	assert_int_equal(hide_init(&h, s, fakes), 0);
	assert_int_equal(hide_feed(&h, STR("data: hello\n\n"), false, &out), 0);
	assert_string_equal(buf_c(&out), "data: hello\n\n");
	buf_reset(&out);
	/* Eight bytes of a value are its beginning, whatever ends there. */
	assert_int_equal(
	    hide_feed(&h, STR("data: ghp_9fK2\n\n"), false, &out), 0);
	assert_string_equal(buf_c(&out), "data: ");
	assert_int_equal(
	    hide_feed(
		&h, STR("data: more than a value has bytes\n\n"), false, &out),
	    0);
	assert_string_equal(buf_c(&out),
	    "data: ghp_9fK2\n\ndata: more than a value has bytes\n\n");
	buf_reset(&out);
	/* Fewer are anybody's, and wait until nobody has more. */
	assert_int_equal(hide_feed(&h, STR("{ghp_9f"), false, &out), 0);
	assert_true(out.n <= 1);
	assert_int_equal(hide_rest(&h, false, &out), 0);
	assert_string_equal(buf_c(&out), "{ghp_9f");
	buf_reset(&out);
	/* Now it is known what it is, and waits for longer. */
	assert_int_equal(hide_feed(&h, STR("K2mQ"), false, &out), 0);
	assert_int_equal(hide_rest(&h, false, &out), 0);
	assert_int_equal(out.n, 0);
	assert_int_equal(hide_rest(&h, true, &out), 0);
	assert_string_equal(buf_c(&out), "K2mQ");
	buf_reset(&out);
	assert_int_equal(
	    hide_feed(&h, STR("7xR4tY8wB1zL6nC3vD5sJ0pH2aEuGi}"), true, &out),
	    0);
	assert_string_equal(buf_c(&out), "pdk_22222222_abcdefghijklmnopq}");
	hide_fini(&h);
	leak_set_free(s);
}

/* However long a server goes on with what might be inside of a value. */
static void
what_is_held_has_a_limit(void **state)
{
	static char pad[1 << 16];
	struct leak_set *s = set_of();
	struct hide h;

	(void)state;
	for (int i = 0; i < 2; i++) {
		own_buf struct buf out = {};

		memset(pad, i == 0 ? ' ' : '\n', sizeof(pad));
		assert_int_equal(hide_init(&h, s, fakes), 0);
		assert_int_equal(
		    hide_feed(&h, STR("6768705f396b32"), false, &out), 0);
		for (int k = 0; k < 4; k++)
			assert_int_equal(
			    hide_feed(&h, (struct str){ pad, sizeof(pad) },
				false, &out),
			    0);
		assert_true(h.hold.n <= (size_t)LEAK_STRETCH * 64);
		hide_fini(&h);
	}
	leak_set_free(s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_value_is_replaced_in_the_form_that_it_has_however_it_is_cut),
		cmocka_unit_test(
		    in_base64_its_neighbours_stay_at_every_alignment),
		cmocka_unit_test(
		    an_event_goes_out_when_it_ends_and_a_beginning_is_held),
		cmocka_unit_test(what_is_held_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
