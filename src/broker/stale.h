/*
 * broker/stale.h: what calls of tools gave before, for rules of the kind
 * stale_read: the agent then gets an older answer to the same call.
 *
 * Kept only of tools that such a rule is about, and only what differs from the
 * answer before; of each call the last FAULT_STALE_VERSIONS.
 */
#ifndef BROKER_STALE_H
#define BROKER_STALE_H

#include "base/str.h"
#include "core/policy.h"

struct run;

/* tool and args: of the call that gave this answer. */
void stale_keep(struct run *r, const struct policy_fault *rules, uint32_t n,
    struct str tool, struct str args, struct str answer);
/* The answer of `lag` versions ago; p NULL: there was none. */
struct str stale_find(
    const struct run *r, struct str tool, struct str args, uint32_t lag);
void stale_free(struct run *r);

#endif
