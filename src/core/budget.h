/*
 * core/budget.h: what a run may still spend.
 *
 * Pure: no clock, no I/O, no allocation. The broker owns one per run, and one
 * per tenant or workflow and window (broker/spend.h), and charges them before
 * the effect, so that a crash can only overcount.
 */
#ifndef CORE_BUDGET_H
#define CORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum budget_kind {
	BUDGET_RUNTIME_MS, /* wall time, less waiting for people */
	BUDGET_TOOL_CALLS,
	BUDGET_RETRIES, /* of one tool, with the same arguments */
	BUDGET_UPLOAD_BYTES, /* of bodies and raw connections, outwards */
	BUDGET_MODEL_CALLS, /* these and below: what `costs` of a rule say */
	BUDGET_MODEL_TOKENS,
	BUDGET_COST_NUSD, /* nano-dollars */
	BUDGET_PAGES,
	BUDGET_DOCUMENTS,
	BUDGET_SUBTASKS,
	BUDGET_KINDS,
};

struct budget {
	uint64_t limit[BUDGET_KINDS]; /* UINT64_MAX: none */
	uint64_t used[BUDGET_KINDS];
};

/* Whose runs share a budget. */
enum budget_scope {
	BUDGET_OF_TENANT,
	BUDGET_OF_WORKFLOW, /* of one tenant */
	BUDGET_SCOPES,
};

/*
 * What the runs of one tenant or workflow may spend in one window of time.
 * Windows stand one behind the other and begin at whole multiples of their
 * length since 1970, so that every daemon has the same ones.
 */
struct budget_window {
	enum budget_scope scope;
	uint64_t window_ms;
	uint64_t limit[BUDGET_KINDS]; /* UINT64_MAX: none */
};

/* Of a kind that `costs` of tools and egress rules may name. */
static inline bool
budget_is_cost(enum budget_kind k)
{
	return k >= BUDGET_MODEL_CALLS && k < BUDGET_KINDS;
}

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

/* "max_tool_calls": the member of "budgets". */
const char *budget_member(enum budget_kind k);
/* "usd": the member of "costs", of a kind that may be there. */
const char *budget_cost_member(enum budget_kind k);
/* "tool_call_budget_exceeded", ... (docs/POLICY.md). */
const char *budget_reason(enum budget_kind k);
const char *budget_scope_name(enum budget_scope s); /* "tenant" */
/* "1m", "1h", "1d", "7d" and NULL; and how long each is. */
extern const char *const budget_window_words[];
extern const uint64_t budget_window_ms[];
const char *budget_window_word(uint64_t window_ms);

/*
 * Appends the structured stop as canonical JSON:
 * {"reason":...,"status":"stopped","suggested_next_step":...,
 *  "tool_calls_used":30}
 * With a window it is that of w, and the names of both are there, too. Money
 * is told in dollars.
 */
void budget_write_stop(struct buf *out, uint64_t used, enum budget_kind k,
    const struct budget_window *w);

#endif
