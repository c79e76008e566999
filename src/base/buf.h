/*
 * base/buf.h: bytes that grow, up to a limit that the owner names.
 *
 * Adding past the limit, or past memory, sets `failed` and adds nothing more:
 * write many pieces, look once at the end. own_buf frees on every way out.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

struct buf {
	char *p; /* NULL until something is added */
	size_t n; /* bytes in use */
	size_t cap; /* bytes allocated */
	size_t max; /* 0 means BUF_DEFAULT_MAX_BYTES */
	bool failed;
};

#define own_buf __attribute__((cleanup(buf_fini)))

void buf_fini(struct buf *b);
void buf_reset(struct buf *b); /* empty, memory kept, not failed */
/* For buf_add: makes room first, or fails. */
void buf_add_more(struct buf *b, const void *p, size_t n);

/*
 * Inline because every byte that is written goes through it. Less than the
 * room that is left is always within the limit: see grow in buf.c.
 */
static inline void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	if (b->p == NULL || b->failed || n >= b->cap - b->n) {
		buf_add_more(b, p, n);
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static inline void
buf_add_byte(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_add_str(struct buf *b, struct str s);
void buf_add_c(struct buf *b, const char *c_string);
void buf_add_u64(struct buf *b, uint64_t v); /* decimal */
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for n more bytes at p + n: NULL when over the limit. */
char *buf_reserve(struct buf *b, size_t n);
/* Drops the first n bytes. */
void buf_drop(struct buf *b, size_t n);
struct str buf_str(const struct buf *b);
/* The text with a NUL behind it (not counted), "" when failed or empty. */
const char *buf_c(struct buf *b);

#endif
