/*
 * The first bytes are the size of the pieces and a word; the rest is a stream.
 *
 * Holds: the same hits and the same bytes whole or cut; the length stays; with
 * the plain form only, what comes out is what a naive replacement gives.
 */
#include <stdlib.h>

#include "base/must.h"
#include "core/swap.h"

enum { WORD = 8 };

static uint64_t
swap_all(unsigned forms, struct str word, struct str to, struct str in,
    size_t step, struct buf *out)
{
	struct scan_word w = { word, forms };
	void *mem = calloc(1, scan_need(&w, 1));
	uint64_t hits = 0;
	struct swap s = { .to = &to, .hits = &hits };

	must(mem != NULL);
	s.scan = scan_new(mem, &w, 1);
	must(s.scan != NULL);
	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		must(swap_feed(&s, piece, out) == 0);
		must(s.hold.n <= (WORD + 1) * 12 * 5);
	}
	must(swap_end(&s, out) == 0);
	must(s.hold.n == 0);
	swap_fini(&s);
	free(mem);
	return hits;
}

/* Every place of the word, by looking at every place. */
static void
naive(struct str word, struct str to, struct str in, struct buf *out)
{
	buf_add_str(out, in);
	for (size_t i = 0; i + word.n <= in.n; i++) {
		if (memcmp(in.p + i, word.p, word.n) == 0)
			memcpy(out->p + i, to.p, to.n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char to_text[WORD + 1] =
	    "\x01\x02\x03\x04\x05\x06\x07\x08";
	struct str to = { to_text, WORD };
	own_buf struct buf whole = {};
	own_buf struct buf cut = {};
	own_buf struct buf all = {};
	own_buf struct buf all_cut = {};
	own_buf struct buf want = {};
	struct str word, in;
	size_t step;

	if (size < 1 + WORD)
		return 0;
	step = 1 + (size_t)data[0];
	word = (struct str){ (const char *)data + 1, WORD };
	in = (struct str){ (const char *)data + 1 + WORD, size - 1 - WORD };

	swap_all(SCAN_PLAIN, word, to, in, in.n + 1, &whole);
	swap_all(SCAN_PLAIN, word, to, in, step, &cut);
	naive(word, to, in, &want);
	must(str_eq(buf_str(&whole), buf_str(&want)));
	must(str_eq(buf_str(&cut), buf_str(&want)));

	must(swap_all(SCAN_ALL, word, to, in, in.n + 1, &all) ==
	    swap_all(SCAN_ALL, word, to, in, step, &all_cut));
	must(str_eq(buf_str(&all), buf_str(&all_cut)));
	must(all.n == in.n);
	return 0;
}
