/*
 * core/hide.h: replaces in a stream what only prints are known of.
 *
 * Pure. As core/swap.h, for whoever has no values but prints of them
 * (core/leak.h): a value that is found is replaced by its placeholder, in the
 * form that it has, and no length changes. In base64 the bits that it shares
 * with its neighbours stay, at most four at either end.
 *
 * What may be the beginning of a value is held back until it is known. Of the
 * last LEAK_WINDOW - 1 bytes that is never known; more of them are one, or look
 * so by chance. Who waits for them gets them by hide_rest, and then so many of
 * a value's first bytes may have gone out.
 */
#ifndef CORE_HIDE_H
#define CORE_HIDE_H

#include <stdbool.h>

#include "base/buf.h"
#include "core/leak.h"

struct hide {
	struct leak_stream *leaks; /* tracked; owned */
	/* Per print: what stands for it. One without stays as it is: a bait,
	 * which everybody may see. Borrowed. */
	const struct str *to;
	uint64_t hits; /* replaced so far */
	struct buf hold; /* not given out yet; starts at byte `from` */
	uint64_t from;
};

/* -1 when memory is gone. */
int hide_init(struct hide *h, struct leak_set *set, const struct str *to);
void hide_fini(struct hide *h); /* wipes */
/* Appends to out what is certain; with last, all. -1 when memory is gone. */
int hide_feed(struct hide *h, struct str bytes, bool last, struct buf *out);
/* Appends what is held back: all of it, or what is no known beginning. */
int hide_rest(struct hide *h, bool all, struct buf *out);

#endif
