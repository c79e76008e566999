/*
 * The first byte is the size of the pieces; the rest is a page.
 *
 * Holds: the same text whole or cut; the text has no control characters and
 * none without a shape; what stands inside of a hidden element that is closed
 * by nothing is not in the text.
 */
#include "base/must.h"
#include "codec/html_text.h"

static void
read_all(struct str in, size_t step, struct buf *out, uint64_t *hidden)
{
	own_html struct html_text t = {};

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		must(html_feed(&t, piece, out) == 0);
	}
	must(html_end(&t, out) == 0);
	*hidden = t.hidden_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_buf struct buf whole = {};
	own_buf struct buf cut = {};
	own_buf struct buf page = {};
	own_buf struct buf none = {};
	uint64_t a, b;
	struct str in;

	if (size < 1)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	read_all(in, in.n + 1, &whole, &a);
	read_all(in, 1 + (size_t)data[0], &cut, &b);
	must(str_eq(buf_str(&whole), buf_str(&cut)));
	must(a == b);
	for (size_t i = 0; i < whole.n; i++) {
		must((uint8_t)whole.p[i] >= 0x20 || whole.p[i] == '\n' ||
		    whole.p[i] == '\t' || whole.p[i] == '\r' ||
		    whole.p[i] == '\f');
		must(i + 2 >= whole.n ||
		    memcmp(whole.p + i, "\xe2\x80\x8b", 3) != 0);
	}
	/* Only an end tag of its own name could end it. */
	buf_add_c(&page, "<zzzz hidden>");
	buf_add_str(&page, in);
	for (size_t i = 0; i + 4 <= in.n; i++) {
		if (str_eq_nocase((struct str){ in.p + i, 4 }, STR("zzzz")))
			return 0;
	}
	read_all(buf_str(&page), page.n, &none, &a);
	must(none.n == 0);
	return 0;
}
