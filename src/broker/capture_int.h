/*
 * broker/capture_int.h: what the sources of capture.h share.
 *
 *     capture.c         when a server is asked what its page looks like
 *     capture_record.c  what becomes of its answers
 */
#ifndef BROKER_CAPTURE_INT_H
#define BROKER_CAPTURE_INT_H

#include "base/buf.h"
#include "broker/capture.h"

struct capture {
	struct capture *next;
	struct call *c;
	bool after; /* the call has been answered */
	bool failed; /* one of this side's is missing */
	uint32_t at; /* of the tools of `with`: the one that is asked */
	uint64_t number; /* ours, of that question; 0: none */
	int64_t asked_ns; /* monotonic */
	uint64_t seq; /* the newest record of it */
	uint64_t wait_seq; /* the call is sent when this is on disk; or 0 */
	enum server_result kind; /* of the call's own answer */
	struct buf held; /* which waits */
};

/* Records an answer, part by part, and sets failed. */
void capture_take(
    struct capture *k, enum server_result kind, struct str payload);
/* Records that there is none, and why; sets failed. */
void capture_record_none(struct capture *k, struct str why);

#endif
