/*
 * core/budget.h: what a run may still spend.
 *
 * Pure: no clock, no I/O, no allocation. The broker owns one per run and
 * charges it before the effect, so that a crash can only overcount.
 */
#ifndef CORE_BUDGET_H
#define CORE_BUDGET_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum budget_kind {
	BUDGET_RUNTIME_MS, /* wall time, less waiting for people */
	BUDGET_TOOL_CALLS,
	BUDGET_RETRIES, /* of one tool, with the same arguments */
	BUDGET_UPLOAD_BYTES, /* of bodies and raw connections, outwards */
	BUDGET_KINDS,
};

struct budget {
	uint64_t limit[BUDGET_KINDS]; /* UINT64_MAX: none */
	uint64_t used[BUDGET_KINDS];
};

/* No limits, nothing used. */
void budget_init(struct budget *b);

/*
 * Charge all of cost, or nothing. Returns BUDGET_KINDS if it fits, else the
 * first kind that does not: the caller turns that into the stop reason.
 */
enum budget_kind budget_charge(
    struct budget *b, const uint64_t cost[static BUDGET_KINDS]);

/*
 * For what is measured rather than charged: used becomes at least value.
 * Returns true while that is within the limit.
 */
bool budget_reach(struct budget *b, enum budget_kind k, uint64_t value);

/* "tool_call_budget_exceeded", ... (POLICY.md section 3). */
const char *budget_reason(enum budget_kind k);

/*
 * Appends the structured stop as canonical JSON:
 * {"reason":...,"status":"stopped","suggested_next_step":...,
 *  "tool_calls_used":30}
 */
void budget_write_stop(
    struct buf *out, const struct budget *b, enum budget_kind k);

#endif
