#include "core/hide.h"

#include <string.h>

#include "base/must.h"
#include "core/swap.h"

static void write_over(struct hide *h, const struct leak_hit *hit);
static enum scan_form form_of(const struct leak_hit *hit);
static int give(struct hide *h, uint64_t until, struct buf *out);

int
hide_init(struct hide *h, struct leak_set *set, const struct str *to)
{
	*h = (struct hide){ .leaks = leak_stream_tracked(set), .to = to };
	return h->leaks == NULL ? -1 : 0;
}

void
hide_fini(struct hide *h)
{
	if (h->hold.p != NULL)
		explicit_bzero(h->hold.p, h->hold.cap);
	buf_fini(&h->hold);
	leak_stream_free(h->leaks);
	*h = (struct hide){};
}

int
hide_feed(struct hide *h, struct str bytes, bool last, struct buf *out)
{
	struct leak_hit hit;

	buf_add_str(&h->hold, bytes);
	if (h->hold.failed)
		return -1;
	while (leak_stream_take(h->leaks, &bytes, &hit))
		write_over(h, &hit);
	if (give(h, last ? h->from + h->hold.n : leak_stream_safe(h->leaks),
		out) < 0)
		return -1;
	if (last) {
		leak_stream_reset(h->leaks);
		h->from = 0;
	}
	return 0;
}

int
hide_rest(struct hide *h, bool all, struct buf *out)
{
	return give(
	    h, all ? h->from + h->hold.n : leak_stream_begun(h->leaks), out);
}

static void
write_over(struct hide *h, const struct leak_hit *hit)
{
	enum scan_form form = form_of(hit);
	uint64_t from = hit->from, to = hit->to;
	struct str fake = h->to[hit->print];

	if (fake.n == 0)
		return;
	h->hits++;
	if (form == SCAN_BASE64) {
		/* A group of characters that is not the value's alone. */
		from += hit->shift > 0 ? 1 : 0;
		to -= (hit->bytes + hit->shift) % 3 != 0 ? 1 : 0;
	}
	if (from < h->from)
		from = h->from; /* the rest has gone out */
	must(to <= h->from + h->hold.n);
	if (from >= to)
		return;
	swap_write(h->hold.p + (from - h->from), (size_t)(to - from), fake,
	    form, hit->shift);
}

static enum scan_form
form_of(const struct leak_hit *hit)
{
	switch (hit->form) {
	case LEAK_PLAIN:
		return hit->reversed ? SCAN_REVERSED : SCAN_PLAIN;
	case LEAK_URL:
		return SCAN_URL;
	case LEAK_JSON:
		return SCAN_JSON;
	case LEAK_HEX:
		return SCAN_HEX;
	case LEAK_BASE64:
		return SCAN_BASE64;
	case LEAK_FORMS:
		break;
	}
	must(false);
}

/* What has been given out already stays so, wherever the stream goes on. */
static int
give(struct hide *h, uint64_t until, struct buf *out)
{
	size_t n = until > h->from ? (size_t)(until - h->from) : 0;

	buf_add(out, h->hold.p, n);
	/* What is moved up leaves a copy behind. */
	buf_drop(&h->hold, n);
	if (n > 0)
		explicit_bzero(h->hold.p + h->hold.n, n);
	h->from += n;
	return out->failed ? -1 : 0;
}
