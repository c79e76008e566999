/*
 * proxy/spoil.h: a host's real answer, changed on purpose.
 *
 * Made from a verdict's member "fault" (MSG_EGRESS_VERDICT), for one request
 * (core/fault.h). The contents of the answer go in as the client would have
 * them, and come out slower, cut, garbled, or not at all. Kinds that need the
 * whole answer hold its head back, too.
 *
 * Pure but for its memory: time is an argument.
 */
#ifndef PROXY_SPOIL_H
#define PROXY_SPOIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/http1.h"
#include "codec/json.h"
#include "core/fault.h"

/* What comes behind what has come out. */
enum spoil_end {
	SPOIL_MORE, /* more of it, or nothing yet */
	SPOIL_WHOLE, /* the end, in order */
	SPOIL_CUT, /* nothing: the connection ends */
	SPOIL_RESET, /* likewise, with a reset */
	SPOIL_LATE, /* no answer, but that there was none in time */
};

struct spoil {
	struct policy_fault rule;
	struct arena memory; /* of its texts */
	struct buf head; /* of a whole answer: lines, without its length */
	struct buf body; /* not given out yet */
	uint64_t passed; /* bytes of content that were given out */
	uint32_t events; /* that were */
	int64_t until_ns; /* nothing comes before that */
	bool is_events; /* a stream of them */
	bool heard; /* all of it has come in */
	uint8_t line_ends; /* in a row, at the end of what was given out */
};

/* -1 with e: it is no fault. */
int spoil_init(struct spoil *s, const struct json *fault, struct err *e);
void spoil_fini(struct spoil *s);

/* The head of the answer, before it is written. */
void spoil_head(struct spoil *s, const struct http1_head *h);
/* True when the head must not be written yet: it goes to s->head. */
bool spoil_holds_head(const struct spoil *s);
/* More of the content. -1: too much to be changed. */
int spoil_take(struct spoil *s, struct str content, bool last, struct err *e);
/*
 * Appends what may go out now. Of a whole answer that comes once, with
 * SPOIL_WHOLE or SPOIL_CUT, and *length is what its head has to say.
 */
enum spoil_end spoil_give(
    struct spoil *s, int64_t now_ns, struct buf *out, size_t *length);

#endif
