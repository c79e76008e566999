/*
 * core/rate.h: how often, and whether at all for the moment.
 *
 * A rate is GCRA: so many at once, and then one for each share of the period.
 * A breaker stops calls of what keeps failing: it opens after so many failures
 * within a window, refuses for a while, then lets one call through to see.
 *
 * Pure: the time is an argument, in nanoseconds of a clock that never goes
 * back. The owner keeps one state per rule; all zeros is a new one.
 */
#ifndef CORE_RATE_H
#define CORE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct rate_rule {
	uint64_t period_ms; /* 0: no limit */
	uint32_t burst; /* from 1 */
};

struct rate {
	int64_t full_ns; /* when all of it is there again */
};

/* How long until one may be taken; 0: now. */
int64_t rate_wait(
    const struct rate_rule *rule, const struct rate *r, int64_t now_ns);
/* Takes one; false when none is left. */
bool rate_take(const struct rate_rule *rule, struct rate *r, int64_t now_ns);

struct breaker_rule {
	uint32_t failures; /* 0: there is no breaker */
	uint64_t window_ms;
	uint64_t open_ms;
};

struct breaker {
	uint32_t n; /* failures that are remembered */
	uint32_t next; /* where the next one goes */
	int64_t failed_ns[BREAKER_FAILURES_MAX];
	bool open;
	int64_t until_ns; /* open: when one is let through */
};

/* How long until a call may begin; 0: now. */
int64_t breaker_wait(const struct breaker *b, int64_t now_ns);
/* A call begins. True: it is the one that is let through to see. */
bool breaker_begin(
    const struct breaker_rule *rule, struct breaker *b, int64_t now_ns);
/* It has ended; probe is what breaker_begin said of it. */
void breaker_end(const struct breaker_rule *rule, struct breaker *b,
    int64_t now_ns, bool failed, bool probe);

#endif
