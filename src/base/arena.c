#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

/* Most hold little: a schema of a tool, one message. */
enum { FIRST_BYTES = 2000, BLOCK_BYTES = 16 * 1024, ALIGN = 16 };

struct arena_block {
	struct arena_block *before;
	size_t cap;
	size_t used;
	size_t pad;
	_Alignas(16) char bytes[];
};

static struct arena_block *grow(struct arena *a, size_t n);

void
arena_fini(struct arena *a)
{
	while (a->last != NULL) {
		struct arena_block *b = a->last;

		a->last = b->before;
		if (a->wipe)
			explicit_bzero(b->bytes, b->used);
		free(b);
	}
	a->used_bytes = 0;
	a->failed = false;
}

void
arena_reset(struct arena *a)
{
	struct arena_block *keep = a->last;

	if (keep != NULL) {
		a->last = keep->before;
		keep->before = NULL;
		keep->used = 0;
	}
	arena_fini(a);
	a->last = keep;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	size_t max = a->max_bytes > 0 ? a->max_bytes : BUF_DEFAULT_MAX_BYTES;
	struct arena_block *b = a->last;
	void *p;

	if (a->failed)
		return NULL;
	if (n > max || a->used_bytes > max - n) {
		a->failed = true;
		return NULL;
	}
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (b == NULL || b->cap - b->used < n)
		b = grow(a, n);
	if (b == NULL) {
		a->failed = true;
		return NULL;
	}
	p = b->bytes + b->used;
	b->used += n;
	a->used_bytes += n;
	memset(p, 0, n);
	return p;
}

char *
arena_copy(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (p != NULL && s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

static struct arena_block *
grow(struct arena *a, size_t n)
{
	size_t least = a->last == NULL ? FIRST_BYTES : BLOCK_BYTES;
	size_t cap = n > least ? n : least;
	struct arena_block *b = malloc(sizeof(*b) + cap);

	if (b == NULL)
		return NULL;
	b->before = a->last;
	b->cap = cap;
	b->used = 0;
	a->last = b;
	return b;
}
