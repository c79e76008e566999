/*
 * tar_rig.h: archives written by hand, entry by entry, as nobody should.
 */
#ifndef TAR_RIG_H
#define TAR_RIG_H

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum { TAR_BLOCK = 512 };

struct tar_entry {
	const char *name;
	char type; /* as in ustar: '0' file, '1' hard link, '2', '5' ... */
	const char *text; /* content, or where a link leads */
	unsigned mode;
	size_t says_bytes; /* the size it declares; 0: what it has */
	const char *xattr; /* a pax attribute that it has */
};

static inline void
tar_pad(struct buf *b)
{
	while (b->n % TAR_BLOCK != 0)
		buf_add_byte(b, '\0');
}

static inline void
tar_header(struct buf *b, const char *name, char type, const char *link,
    size_t size, unsigned mode)
{
	char h[TAR_BLOCK] = {};
	unsigned sum = 0;

	(void)snprintf(h, 100, "%s", name);
	(void)snprintf(h + 100, 8, "%07o", mode & 07777);
	(void)snprintf(h + 108, 8, "%07o", 0);
	(void)snprintf(h + 116, 8, "%07o", 0);
	(void)snprintf(h + 124, 12, "%011o", (unsigned)size & 0x3fffffff);
	(void)snprintf(h + 136, 12, "%011o", 1700000000);
	memset(h + 148, ' ', 8);
	h[156] = type;
	(void)snprintf(h + 157, 100, "%s", link);
	memcpy(h + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum);
	buf_add(b, h, sizeof(h));
}

/* "LENGTH KEY=VALUE\n", LENGTH counting itself: at most two digits here. */
static inline void
tar_pax(struct buf *b, const char *key, const char *value)
{
	char record[100];
	size_t n = strlen(key) + strlen(value) + 3;

	n += n + 1 >= 10 ? 2 : 1;
	(void)snprintf(record, sizeof(record), "%zu %s=%s\n", n, key, value);
	tar_header(b, "pax", 'x', "", n, 0644);
	buf_add(b, record, n);
	tar_pad(b);
}

static inline void
tar_add(struct buf *b, const struct tar_entry *t)
{
	const char *text = t->text == NULL ? "" : t->text;
	size_t n = t->type == '0' ? strlen(text) : 0;

	if (t->xattr != NULL)
		tar_pax(b, t->xattr, "x");
	/* The long name of GNU tar. */
	if (strlen(t->name) >= 100) {
		tar_header(
		    b, "././@LongLink", 'L', "", strlen(t->name) + 1, 0644);
		buf_add(b, t->name, strlen(t->name) + 1);
		tar_pad(b);
	}
	tar_header(b, t->name, t->type, t->type == '0' ? "" : text,
	    t->says_bytes > 0 ? t->says_bytes : n,
	    t->mode != 0 ? t->mode : 0644);
	if (n > 0)
		buf_add(b, text, n);
	tar_pad(b);
}

static inline void
tar_end(struct buf *b)
{
	static const char zeros[2 * TAR_BLOCK];

	buf_add(b, zeros, sizeof(zeros));
}

#endif
