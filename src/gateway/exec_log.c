#include "gateway/exec_log.h"

#include <string.h>

#include "base/must.h"

/* In front of each piece's bytes. */
struct piece_head {
	uint32_t bytes;
	uint32_t stream;
};

static struct piece_head head_at(const struct exec_log *l, uint64_t at);

char *
exec_log_room(struct exec_log *l, size_t n)
{
	char *p = buf_reserve(&l->kept, sizeof(struct piece_head) + n);

	return p != NULL ? p + sizeof(struct piece_head) : NULL;
}

void
exec_log_add(struct exec_log *l, unsigned stream, size_t n)
{
	const struct piece_head h = { (uint32_t)n, stream };

	must(n > 0 && l->kept.cap - l->kept.n >= sizeof(h) + n);
	memcpy(l->kept.p + l->kept.n, &h, sizeof(h));
	l->kept.n += sizeof(h) + n;
	l->n++;
}

void
exec_log_trim(struct exec_log *l, size_t keep, const struct exec_cursor *needed)
{
	size_t drop = 0;

	/* Moved when it has doubled, not at every read. */
	if (l->kept.n <= 2 * keep)
		return;
	while (l->kept.n - drop > keep) {
		struct piece_head h;

		if (needed != NULL && needed->at <= l->base + drop)
			break;
		h = head_at(l, l->base + drop);
		drop += sizeof(h) + h.bytes;
		l->first++;
		l->dropped_bytes += h.bytes;
	}
	l->base += drop;
	buf_drop(&l->kept, drop);
}

void
exec_log_fini(struct exec_log *l)
{
	buf_fini(&l->kept);
	*l = (struct exec_log){};
}

bool
exec_log_next(const struct exec_log *l, struct exec_cursor *c,
    struct exec_piece *out, bool *missed)
{
	struct piece_head h;

	*missed = c->at < l->base;
	if (*missed)
		*c = (struct exec_cursor){ l->first, l->base };
	if (c->at >= l->base + l->kept.n)
		return false;
	h = head_at(l, c->at);
	*out = (struct exec_piece){
		.number = c->number,
		.stream = h.stream,
		.data = { l->kept.p + (c->at - l->base) + sizeof(h), h.bytes },
	};
	c->number++;
	c->at += sizeof(h) + h.bytes;
	return true;
}

uint64_t
exec_log_ahead(const struct exec_log *l, const struct exec_cursor *c)
{
	uint64_t end = l->base + l->kept.n;

	return c->at < end ? end - c->at : 0;
}

struct exec_cursor
exec_log_find(const struct exec_log *l, uint64_t number)
{
	struct exec_cursor c = { l->first, l->base };
	struct exec_piece skipped;
	bool missed;

	if (number == 0) /* the start, so that a reader hears what is gone */
		return (struct exec_cursor){};
	while (c.number < number && exec_log_next(l, &c, &skipped, &missed))
		continue;
	return c;
}

static struct piece_head
head_at(const struct exec_log *l, uint64_t at)
{
	struct piece_head h;
	uint64_t from = at - l->base;

	must(at >= l->base && l->kept.n - from >= sizeof(h));
	memcpy(&h, l->kept.p + from, sizeof(h));
	must(l->kept.n - from - sizeof(h) >= h.bytes);
	return h;
}
