/*
 * world/pages.h: the file of one database, above pages that others have too.
 *
 * Of what a world's document says, a run changes little. Worlds of one
 * document have one file below them that nobody writes any more; each has a
 * file of its own on top, which is a hole wherever it has written nothing.
 */
#ifndef WORLD_PAGES_H
#define WORLD_PAGES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum { PAGE_BYTES = 4096 };

struct pages {
	int fd; /* its own file; borrowed */
	int base; /* what is below it, or -1; borrowed */
	uint32_t base_n; /* pages of that which are still seen */
	uint64_t *own; /* a bit for each of those that it has written */
};

/*
 * base -1: the file is all there is. Else fd is empty, and base is a whole
 * number of pages that do not change. 0, or -1 with e; fini is due either way.
 */
int pages_init(struct pages *p, int fd, int base, struct err *e);
void pages_fini(struct pages *p);

/* How many bytes were there to read, or -1 with errno. */
ssize_t pages_read(const struct pages *p, void *to, size_t n, off_t at);
/* 0, or -1 with errno: then a page has its old bytes or its new ones. */
int pages_write(struct pages *p, const void *from, size_t n, off_t at);
/* To a whole number of pages. What is cut off does not come back. */
int pages_truncate(struct pages *p, off_t size);
/* All of it into an empty file. 0, or -1 with e. */
int pages_copy(const struct pages *p, int to, struct err *e);

#endif
