/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "codec/base64.h"
#include "core/scan.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct str secret = { "s3cret+/\"key%A", 14 };

struct found {
	unsigned forms; /* all that were found */
	uint32_t words;
	uint64_t from, to; /* of the last */
};

static void
on_hit(void *arg, const struct scan_hit *hit)
{
	struct found *f = arg;

	f->forms |= hit->form;
	f->words |= 1U << hit->word;
	f->from = hit->from;
	f->to = hit->to;
}

static struct found
look(const struct scan_word *words, size_t n, struct str in, size_t step)
{
	void *mem = calloc(1, scan_need(words, n));
	struct scan *s = scan_new(mem, words, n);
	struct found f = {};
	struct scan_sink sink = { on_hit, &f };

	assert_non_null(s);
	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		scan_feed(s, piece, &sink);
		assert_true(scan_safe(s) <= at + piece.n);
	}
	scan_end(s, &sink);
	free(mem);
	return f;
}

static void
every_form_is_found_however_the_stream_is_cut(void **state)
{
	static const struct {
		const char *why;
		const char *in;
		unsigned form; /* one that must be among those found; 0 none */
		uint64_t from, to;
	} rows[] = {
		{ "as it is", "a s3cret+/\"key%A b", SCAN_PLAIN, 2, 16 },
		{ "at the very end", "s3cret+/\"key%A", SCAN_PLAIN, 0, 14 },
		{ "its start is there twice", "s3crs3cret+/\"key%A", SCAN_PLAIN,
		    4, 18 },
		{ "backwards", "xA%yek\"/+terc3sx", SCAN_REVERSED, 1, 15 },
		{ "URL, what must be", "k=s3cret%2B%2f%22key%25A&", SCAN_URL, 2,
		    24 },
		{ "URL, all of it",
		    "%73%33%63%72%65%74%2B%2F%22%6B%65%79%25%41", SCAN_URL, 0,
		    42 },
		{ "URL, an escape before that is none",
		    "%%4%73%33cret%2B/\"key%25A", SCAN_URL, 3, 25 },
		{ "JSON", "{\"k\":\"s3cret+\\/\\\"key%A\"}", SCAN_JSON, 6, 22 },
		{ "JSON by number", "\\u0073\\u0033cret\\u002B/\\u0022key%A",
		    SCAN_JSON, 0, 34 },
		{ "JSON, an escape before that is none",
		    "\\u00\\u0073"
		    "3cret+/\\\"key%A",
		    SCAN_JSON, 4, 24 },
		{ "hexadecimal", "x7333637265742b2f226b65792541", SCAN_HEX, 1,
		    29 },
		{ "hexadecimal, large", "7333637265742B2F226B65792541x",
		    SCAN_HEX, 0, 28 },
		{ "all but the last byte", "s3cret+/\"key%B", 0, 0, 0 },
	};
	struct scan_word word = { secret, SCAN_ALL };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str in = str_of(rows[i].in);

		for (size_t step = 1; step <= in.n; step++) {
			struct found f = look(&word, 1, in, step);

			if (rows[i].form == 0) {
				assert_int_equal(f.forms, 0);
				continue;
			}
			if ((f.forms & rows[i].form) == 0)
				fail_msg("%s: not found in pieces of %zu",
				    rows[i].why, step);
			assert_int_equal(f.from, rows[i].from);
			assert_int_equal(f.to, rows[i].to);
		}
	}
}

static void
base64_is_found_at_every_place_and_in_both_alphabets(void **state)
{
	struct scan_word word = { secret, SCAN_BASE64 };

	(void)state;
	for (size_t before = 0; before < 7; before++) {
		for (size_t after = 0; after < 4; after++) {
			for (int kind = 0; kind < 2; kind++) {
				own_buf struct buf raw = {};
				own_buf struct buf text = {};

				buf_add(&raw, "\xfb\xef\xbe\xff\xfe z", before);
				buf_add_str(&raw, secret);
				buf_add(&raw, "???", after);
				base64_encode(&text, buf_str(&raw),
				    kind == 0 ? BASE64_STANDARD : BASE64_URL);
				assert_int_equal(
				    look(&word, 1, buf_str(&text), 5).forms,
				    SCAN_BASE64);
			}
		}
	}
	/* "user:s3cret..." cut by MIME, escaped by JSON and for a URL */
	assert_int_equal(
	    look(&word, 1, STR("czNjcmV\r\n0Ky8ia2V5JUE="), 3).forms,
	    SCAN_BASE64);
	assert_int_equal(look(&word, 1, STR("czNjcmV0K\\y8ia2V5JUE="), 3).forms,
	    SCAN_BASE64);
	assert_int_equal(
	    look(&word, 1, STR("czNjcmV0%4By8ia2V5JUE%3D"), 3).forms,
	    SCAN_BASE64);
	assert_int_equal(
	    look(&word, 1, STR("czNjcm\n\n\n\n\nV0Ky8ia2V5JUE="), 3).forms, 0);
}

static void
words_are_told_apart_and_may_lie_in_one_another(void **state)
{
	struct scan_word words[] = {
		{ STR("abcdefgh-long"), SCAN_PLAIN },
		{ STR("abcdefgh"), SCAN_PLAIN },
		{ STR("efgh-long"), SCAN_PLAIN },
		{ STR("fgh-lonx"), SCAN_PLAIN },
	};

	(void)state;
	assert_int_equal(look(words, 4, STR("abcdefgh-long"), 4).words, 7);
	assert_int_equal(look(words, 4, STR("abcdefgh-lonx"), 1).words, 10);
	assert_int_equal(look(words, 4, STR("abcdefg"), 4).words, 0);
	assert_int_equal(look(words, 0, STR("abcdefgh"), 4).words, 0);
}

static void
words_that_are_too_short_or_too_many_are_refused(void **state)
{
	struct scan_word many[SCAN_MAX_WORDS + 1];
	struct scan_word shortest = { STR("1234567"), SCAN_ALL };
	void *mem = calloc(1, scan_need(&shortest, 1));

	(void)state;
	assert_null(scan_new(mem, &shortest, 1));
	free(mem);
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct scan_word){ STR("12345678"), SCAN_ALL };
	mem = calloc(1, scan_need(many, COUNT(many)));
	assert_null(scan_new(mem, many, COUNT(many)));
	assert_non_null(scan_new(mem, many, SCAN_MAX_WORDS));
	free(mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_found_however_the_stream_is_cut),
		cmocka_unit_test(
		    base64_is_found_at_every_place_and_in_both_alphabets),
		cmocka_unit_test(
		    words_are_told_apart_and_may_lie_in_one_another),
		cmocka_unit_test(
		    words_that_are_too_short_or_too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
