#include "core/swap.h"

#include "base/must.h"

static void on_hit(void *arg, const struct scan_hit *hit);
static char new_char(
    struct str to, enum scan_form form, uint32_t shift, size_t i, size_t n);
static int give(struct swap *s, uint64_t until, struct buf *out);

void
swap_fini(struct swap *s)
{
	if (s->hold.p != NULL)
		explicit_bzero(s->hold.p, s->hold.cap);
	buf_fini(&s->hold);
}

int
swap_feed(struct swap *s, struct str bytes, struct buf *out)
{
	struct scan_sink sink = { on_hit, s };

	buf_add_str(&s->hold, bytes);
	if (s->hold.failed)
		return -1;
	scan_feed(s->scan, bytes, &sink);
	return give(s, scan_safe(s->scan), out);
}

int
swap_end(struct swap *s, struct buf *out)
{
	struct scan_sink sink = { on_hit, s };

	scan_end(s->scan, &sink);
	return give(s, s->from + s->hold.n, out);
}

void
swap_write(
    char *p, size_t n, struct str to, enum scan_form form, uint32_t shift)
{
	for (size_t i = 0; i < n; i++)
		p[i] = new_char(to, form, shift, i, n);
}

static void
on_hit(void *arg, const struct scan_hit *hit)
{
	struct swap *s = arg;
	size_t n = (size_t)(hit->to - hit->from);

	if (hit->to == s->last_to && hit->from >= s->last_from)
		return;
	must(hit->from >= s->from && hit->to <= s->from + s->hold.n);
	s->last_from = hit->from;
	s->last_to = hit->to;
	if (s->hits != NULL)
		s->hits[hit->word]++;
	swap_write(s->hold.p + (hit->from - s->from), n, s->to[hit->word],
	    hit->form, hit->shift);
}

/* The i-th of n characters of the new text, in the form of the old. */
static char
new_char(struct str to, enum scan_form form, uint32_t shift, size_t i, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	switch (form) {
	case SCAN_REVERSED:
		/* Cut as forwards: its beginning is what stays. */
		i = n - 1 - i;
		return i < to.n ? to.p[i] : 'x';
	case SCAN_HEX:
		if (i / 2 >= to.n)
			return '0';
		return digits[(uint8_t)to.p[i / 2] >> (i % 2 == 0 ? 4 : 0) &
		    15];
	case SCAN_BASE64:
		if (i >= scan_base64_chars(to.n, shift))
			return 'x';
		return scan_base64_char(to, shift, i);
	case SCAN_PLAIN:
	case SCAN_URL:
	case SCAN_JSON:
	case SCAN_ALL:
		return i < to.n ? to.p[i] : 'x';
	}
	must(false);
}

static int
give(struct swap *s, uint64_t until, struct buf *out)
{
	size_t n = (size_t)(until - s->from);

	buf_add(out, s->hold.p, n);
	buf_drop(&s->hold, n);
	s->from = until;
	return out->failed ? -1 : 0;
}
