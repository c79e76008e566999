/*
 * core/swap.h: replaces words in a stream without changing its length.
 *
 * Pure. What may still become a word is held back until it is known: at most
 * the longest word in its longest form. A word is replaced in the form it was
 * found in (core/scan.h): base64 of the one becomes base64 of the other. The
 * new text is cut or filled up with 'x' to the length of the old, so that a
 * Content-Length and the frames of HTTP/2 stay true.
 *
 * Of hits that end at the same byte the first and longest counts; a hit that
 * ends later writes over an earlier one. No byte of a hit is left as it was.
 */
#ifndef CORE_SWAP_H
#define CORE_SWAP_H

#include "base/buf.h"
#include "core/scan.h"

struct swap {
	struct scan *scan; /* borrowed */
	const struct str *to; /* per word of scan; borrowed */
	uint64_t *hits; /* per word of scan: counted up; borrowed, or NULL */
	struct buf hold; /* not given out yet; starts at byte `from` */
	uint64_t from;
	uint64_t last_from, last_to; /* of the hit before */
};

/*
 * Writes n bytes of `to` in this form. shift is for SCAN_BASE64: as in struct
 * scan_hit.
 */
void swap_write(
    char *p, size_t n, struct str to, enum scan_form form, uint32_t shift);

/* Wipes what was held. scan and to are their owner's. */
void swap_fini(struct swap *s);
/* Appends to out what is certain. -1 when memory is gone. */
int swap_feed(struct swap *s, struct str bytes, struct buf *out);
/* The stream is over: appends the rest. */
int swap_end(struct swap *s, struct buf *out);

#endif
