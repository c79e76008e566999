/*
 * The first byte is the size of the pieces; the rest is a stream.
 *
 * Holds: the same events whole or cut; an event's name and data hold no CR,
 * its name no LF either; written out again, the events read the same.
 */
#include "base/must.h"
#include "codec/sse.h"

enum { MAX_EVENT = 512 };

/* Appends each event as a stream of its own form; false when it failed. */
static bool
read_all(struct str in, size_t step, struct buf *out)
{
	own_sse struct sse s = { .data = { .max = MAX_EVENT } };
	struct sse_event ev;

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		if (sse_feed(&s, piece) < 0)
			return false;
		while (sse_next(&s, &ev)) {
			struct str rest = ev.data;
			size_t end;

			must(ev.name.n > 0 && ev.data.n <= MAX_EVENT);
			must(str_find(ev.name, '\n') == ev.name.n);
			must(str_find(ev.name, '\r') == ev.name.n);
			must(str_find(ev.data, '\r') == ev.data.n);
			must(str_find(ev.id, '\0') == ev.id.n);
			buf_add_c(out, "id: ");
			buf_add_str(out, ev.id);
			buf_add_c(out, "\nevent: ");
			buf_add_str(out, ev.name);
			do {
				end = str_find(rest, '\n');
				buf_add_c(out, "\ndata: ");
				buf_add(out, rest.p, end);
				rest.p += end + (end < rest.n);
				rest.n -= end;
			} while (rest.n-- > 0);
			buf_add_c(out, "\n\n");
		}
	}
	return !s.failed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_buf struct buf whole = {};
	own_buf struct buf cut = {};
	own_buf struct buf again = {};
	struct str in;
	bool ok;

	if (size < 1)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	ok = read_all(in, in.n + 1, &whole);
	must(read_all(in, 1 + (size_t)data[0], &cut) == ok);
	must(str_eq(buf_str(&whole), buf_str(&cut)));
	must(read_all(buf_str(&whole), 7, &again));
	must(str_eq(buf_str(&whole), buf_str(&again)));
	return 0;
}
