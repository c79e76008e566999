/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "codec/base64.h"
#include "core/leak.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct hash key = { { 1, 2, 3 } };
static const struct str values[] = { STR("s3cret+/\"key%A"),
	STR("ghp_9fK2mQ7xR4tY8wB1zL6nC3vD5sJ0pH2aEuGi"), STR("hunter22") };

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

static bool
look(struct leak_set *s, struct str in, size_t step, struct leak_hit *hit)
{
	struct leak_stream *l = leak_stream_new(s);
	bool found = false;

	assert_non_null(l);
	for (size_t at = 0; at < in.n && !found; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		found = leak_stream_feed(l, piece, hit);
	}
	leak_stream_free(l);
	return found;
}

static void
every_form_is_found_however_the_stream_is_cut(void **state)
{
	static const struct {
		const char *in;
		uint32_t print;
		enum leak_form form;
		bool reversed;
	} rows[] = {
		{ "a s3cret+/\"key%A b", 0, LEAK_PLAIN, false },
		{ "s3crs3cret+/\"key%A", 0, LEAK_PLAIN, false },
		{ "xA%yek\"/+terc3sx", 0, LEAK_PLAIN, true },
		{ "k=s3cret%2B%2f%22key%25A&", 0, LEAK_URL, false },
		{ "%73%33%63%72%65%74%2B%2F%22%6B%65%79%25%41", 0, LEAK_URL,
		    false },
		{ "%%4%73%33cret%2B/\"key%25A", 0, LEAK_URL, false },
		{ "{\"k\":\"s3cret+\\/\\\"key%A\"}", 0, LEAK_JSON, false },
		{ "\\u00733cret\\u002b/\\u0022key%A", 0, LEAK_JSON, false },
		{ "733363726574 2b2f226b65792541", 0, LEAK_HEX, false },
		{ "f733363726574 2B2F226B65792541", 0, LEAK_HEX, false },
		{ "\\x68\\x75\\x6e\\x74\\x65\\x72\\x32\\x32", 2, LEAK_HEX,
		    false },
		{ "32:32:72:65:74:6e:75:68", 2, LEAK_HEX, true },
		{ "x hunter22", 2, LEAK_PLAIN, false },
	};
	struct leak_set *s = set_of();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step < 40; step++) {
			struct leak_hit hit;

			if (!look(s, str_of(rows[i].in), step, &hit))
				fail_msg("%s is not found", rows[i].in);
			assert_int_equal(hit.print, rows[i].print);
			assert_int_equal(hit.form, rows[i].form);
			assert_int_equal(hit.reversed, rows[i].reversed);
			assert_true(hit.to <= strlen(rows[i].in));
		}
	}
	leak_set_free(s);
}

/* With 0 to 9 bytes of others before it, and as many behind it. */
static void
base64_is_found_at_every_alignment(void **state)
{
	static const enum base64_kind kinds[] = { BASE64_STANDARD, BASE64_URL };
	struct leak_set *s = set_of();

	(void)state;
	for (size_t v = 0; v < COUNT(values); v++) {
		for (size_t shift = 0; shift < 100; shift++) {
			own_buf struct buf plain = {}, coded = {}, split = {};
			struct leak_hit hit;

			for (size_t i = 0; i < shift / 10; i++)
				buf_add_byte(&plain, (char)(i * 37));
			buf_add_str(&plain, values[v]);
			for (size_t i = 0; i < shift % 10; i++)
				buf_add_byte(&plain, (char)(i * 91));
			buf_add_c(&coded, "{\"x\": \"");
			base64_encode(
			    &coded, buf_str(&plain), kinds[shift % 2]);
			for (size_t i = 0; i < coded.n; i++) {
				buf_add_byte(&split, coded.p[i]);
				if (i % 19 == 18)
					buf_add_c(&split, "\r\n");
			}
			assert_true(look(s, buf_str(&coded), 7, &hit));
			assert_int_equal(hit.print, v);
			assert_int_equal(hit.form, LEAK_BASE64);
			assert_true(look(s, buf_str(&split), 3, &hit));
			assert_int_equal(hit.print, v);
		}
	}
	leak_set_free(s);
}

static void
what_only_looks_like_it_is_not_found(void **state)
{
	struct leak_set *s = set_of();
	own_buf struct buf noise = {};
	uint64_t x = 88172645463325252ULL;
	struct leak_hit hit;

	(void)state;
	assert_false(look(s,
	    STR("s3cret+/\"key%B s3cret+/ hunter2 unter22 "
		"ghp_9fK2mQ7xR4tY8wB1zL6nC3vD5sJ0pH2aEuG"),
	    5, &hit));
	for (int i = 0; i < 1000000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf_add_byte(&noise, (char)x);
	}
	assert_false(noise.failed);
	assert_false(look(s, buf_str(&noise), 4096, &hit));
	leak_set_free(s);
}

/* The window of the longest has gone over the whole ring. */
static void
the_longest_value_is_found(void **state)
{
	char text[SCAN_MAX_WORD_BYTES];
	own_buf struct buf in = {};
	struct leak_print p;
	struct leak_key k;
	struct leak_set *s;
	struct leak_hit hit;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * i % 23);
	leak_key_init(&k, &key);
	leak_print_of(&k, (struct str){ text, sizeof(text) }, &p);
	s = leak_set_new(&key, &p, 1);
	assert_non_null(s);
	buf_add_c(&in, "before");
	buf_add(&in, text, sizeof(text));
	assert_true(look(s, buf_str(&in), 1000, &hit));
	assert_int_equal(hit.to, in.n);
	leak_set_free(s);
	p.bytes = SCAN_MAX_WORD_BYTES + 1;
	assert_null(leak_set_new(&key, &p, 1));
	p.bytes = SCAN_MIN_WORD_BYTES - 1;
	assert_null(leak_set_new(&key, &p, 1));
}

static void
a_stream_that_is_reset_does_not_go_on(void **state)
{
	struct leak_set *s = set_of();
	struct leak_stream *l = leak_stream_new(s);
	struct leak_hit hit;

	(void)state;
	assert_false(leak_stream_feed(l, STR("hunter"), &hit));
	leak_stream_reset(l);
	assert_false(leak_stream_feed(l, STR("22"), &hit));
	leak_stream_reset(l);
	assert_true(leak_stream_feed(l, STR("hunter22"), &hit));
	/* The set outlives its owner's hold as long as a stream has it. */
	leak_set_free(s);
	leak_stream_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_found_however_the_stream_is_cut),
		cmocka_unit_test(base64_is_found_at_every_alignment),
		cmocka_unit_test(what_only_looks_like_it_is_not_found),
		cmocka_unit_test(the_longest_value_is_found),
		cmocka_unit_test(a_stream_that_is_reset_does_not_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
