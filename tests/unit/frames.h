/*
 * How a process that is asked by tests in other languages is spoken to:
 * standard input and output are frames, a length of four bytes, little endian,
 * and so many bytes.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <endian.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/must.h"

/* False at the end of the input. */
static inline bool
frame_read(struct buf *in)
{
	uint32_t n;
	char *at;

	if (fread(&n, sizeof(n), 1, stdin) != 1)
		return false;
	n = le32toh(n);
	buf_reset(in);
	at = buf_reserve(in, n);
	must(at != NULL && fread(at, 1, n, stdin) == n);
	in->n = n;
	return true;
}

static inline void
frame_write(const struct buf *out)
{
	const uint32_t n = htole32((uint32_t)out->n);

	must(!out->failed);
	must(fwrite(&n, sizeof(n), 1, stdout) == 1);
	must(fwrite(out->p, 1, out->n, stdout) == out->n);
	must(fflush(stdout) == 0);
}

#endif
