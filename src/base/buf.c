#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"

enum { FIRST_BYTES = 256 };

static char *grow(struct buf *b, size_t n, size_t extra);

void
buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){};
}

void
buf_reset(struct buf *b)
{
	b->n = 0;
	b->failed = false;
}

void
buf_add_more(struct buf *b, const void *p, size_t n)
{
	char *at = buf_reserve(b, n);

	if (at == NULL || n == 0)
		return;
	memcpy(at, p, n);
	b->n += n;
}

void
buf_add_str(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}

void
buf_add_c(struct buf *b, const char *c_string)
{
	buf_add(b, c_string, strlen(c_string));
}

void
buf_add_u64(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_add(b, digits + at, sizeof(digits) - at);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int need;
	char *at;

	va_start(ap, fmt);
	need = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (need < 0) {
		b->failed = true;
		return;
	}
	at = grow(b, (size_t)need, 1);
	if (at == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(at, (size_t)need + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)need;
}

char *
buf_reserve(struct buf *b, size_t n)
{
	return grow(b, n, 0);
}

void
buf_drop(struct buf *b, size_t n)
{
	must(n <= b->n);
	b->n -= n;
	if (b->n > 0)
		memmove(b->p, b->p + n, b->n);
}

struct str
buf_str(const struct buf *b)
{
	if (b->p == NULL)
		return STR("");
	return (struct str){ b->p, b->n };
}

const char *
buf_c(struct buf *b)
{
	char *end = grow(b, 0, 1);

	if (end == NULL)
		return "";
	*end = '\0';
	return b->p;
}

/*
 * Room for n bytes within the limit, and for extra (a NUL) that does not count
 * to it. Returns the place behind those in use, or NULL.
 */
static char *
grow(struct buf *b, size_t n, size_t extra)
{
	size_t max = b->max > 0 ? b->max : BUF_DEFAULT_MAX_BYTES;
	size_t cap = b->cap > 0 ? b->cap : FIRST_BYTES;
	char *p;

	if (b->failed)
		return NULL;
	if (b->n > max || n > max - b->n) {
		b->failed = true;
		return NULL;
	}
	n += extra;
	if (b->p != NULL && n <= b->cap - b->n)
		return b->p + b->n;
	while (cap - b->n < n)
		cap *= 2;
	/* Room for the limit and a NUL, and never more: see buf_add. */
	if (cap > max + 1)
		cap = max + 1;
	p = realloc(b->p, cap);
	if (p == NULL) {
		b->failed = true;
		return NULL;
	}
	b->p = p;
	b->cap = cap;
	return b->p + b->n;
}
