/*
 * The first bytes are the size of the pieces, a form and a word; the rest is a
 * stream.
 *
 * Holds: the same hit whole or cut; whatever core/scan.h, which has the word,
 * finds in the forms that leave no bit of it out is found without the word; and
 * base64 of it is, whatever is around it.
 */
#include <stdlib.h>

#include "base/must.h"
#include "codec/base64.h"
#include "core/leak.h"
#include "core/scan.h"

enum {
	WORD = 8,
	FORMS = SCAN_PLAIN | SCAN_REVERSED | SCAN_URL | SCAN_JSON | SCAN_HEX
};

static void
on_hit(void *arg, const struct scan_hit *hit)
{
	uint64_t *to = arg;

	if (*to == 0 || hit->to < *to)
		*to = hit->to;
}

static uint64_t
by_scan(struct str word, struct str in)
{
	struct scan_word w = { word, FORMS };
	void *mem = calloc(1, scan_need(&w, 1));
	struct scan *s;
	uint64_t to = 0;
	struct scan_sink sink = { on_hit, &to };

	must(mem != NULL);
	s = scan_new(mem, &w, 1);
	must(s != NULL);
	scan_feed(s, in, &sink);
	free(mem);
	return to;
}

static uint64_t
by_leak(struct leak_set *set, struct str in, size_t step)
{
	struct leak_stream *l = leak_stream_new(set);
	struct leak_hit hit = {};
	bool found = false;

	must(l != NULL);
	for (size_t at = 0; at < in.n && !found; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		found = leak_stream_feed(l, piece, &hit);
	}
	leak_stream_free(l);
	must(!found || (hit.to >= WORD && hit.to <= in.n));
	return found ? hit.to : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hash key = { { 42 } };
	own_buf struct buf plain = {}, coded = {};
	struct leak_print print;
	struct leak_set *set;
	struct leak_key k;
	struct str word, in;
	uint64_t whole, scan;
	size_t step, at;

	if (size < 2 + WORD)
		return 0;
	step = 1 + (size_t)data[0];
	word = (struct str){ (const char *)data + 2, WORD };
	in = (struct str){ (const char *)data + 2 + WORD, size - 2 - WORD };
	leak_key_init(&k, &key);
	leak_print_of(&k, word, &print);
	set = leak_set_new(&key, &print, 1);
	must(set != NULL);

	whole = by_leak(set, in, in.n + 1);
	must(by_leak(set, in, step) == whole);
	scan = by_scan(word, in);
	must(scan == 0 || (whole != 0 && whole <= scan));

	at = in.n > 0 ? data[1] % in.n : 0;
	buf_add(&plain, in.p, at);
	buf_add_str(&plain, word);
	buf_add(&plain, in.p + at, in.n - at);
	base64_encode(&coded, buf_str(&plain),
	    data[1] % 2 == 0 ? BASE64_STANDARD : BASE64_URL);
	must(by_leak(set, buf_str(&coded), step) != 0);
	leak_set_free(set);
	return 0;
}
