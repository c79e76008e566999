/*
 * codec/sse.h: reads server-sent events (WHATWG HTML, section 9.2.6).
 *
 * Pure: bytes go in with sse_feed, whole events come out of sse_next:
 *
 *     if (sse_feed(&s, bytes) < 0)
 *             ... one event is over the limit: give up
 *     while (sse_next(&s, &ev))
 *             ...
 *
 * Taking all events before feeding again keeps what is held to one event.
 */
#ifndef CODEC_SSE_H
#define CODEC_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* All zero is ready for use. The owner may set in.max and data.max. */
struct sse {
	struct buf in; /* not yet looked at, from at on */
	struct buf name, data, id; /* of the event that is coming */
	size_t at; /* bytes of in that are done */
	size_t looked; /* bytes of in behind at that hold no line end */
	bool has_data;
	bool has_retry; /* retry_ms is what a stream said last */
	uint32_t retry_ms; /* at most an hour: more means that */
	bool after_cr; /* a LF at the start belongs to the CR before */
	bool failed; /* over a limit, or memory is gone: for good */
};

struct sse_event {
	struct str name; /* "message" when the event named none */
	struct str data; /* lines joined by LF */
	struct str id; /* the last one seen */
};

#define own_sse __attribute__((cleanup(sse_fini)))

void sse_fini(struct sse *s);
/* -1 when a line or an event is over the limit, now or in sse_next before. */
int sse_feed(struct sse *s, struct str bytes);
/*
 * True with *ev filled in, valid until the next call; false: feed more. An
 * event over the limit is never given out in part: s->failed says so.
 */
bool sse_next(struct sse *s, struct sse_event *ev);

#endif
