/*
 * broker/spend.h: what a run takes of its budgets, and of those that it shares
 * with other runs of its tenant or workflow.
 *
 * Taken before the effect, settled behind it: a crash can only overcount. What
 * is shared is kept in the store, in the order of the records, so that what a
 * record on disk stands for has been counted on disk, and a daemon that starts
 * again goes on from there (store_put_spent). It is read when a run opens that
 * shares it; of a window that is over nothing is kept.
 */
#ifndef BROKER_SPEND_H
#define BROKER_SPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "broker/run.h"

/* Which budget had too little. */
struct over {
	enum budget_kind kind; /* BUDGET_KINDS: none */
	const struct budget_window *window; /* NULL: the run's own */
};

/*
 * Of a run that opens, whose tenant and workflow are known; and its end. -1
 * with e: what others have spent cannot be read.
 */
int spend_open(struct run *r, struct err *e);
void spend_free(struct run *r);

/* Takes all of cost, or nothing: then *o says what had too little. */
bool spend_take(
    struct run *r, const uint64_t cost[static BUDGET_KINDS], struct over *o);
/* Whatever the limits are. */
void spend_more(struct run *r, enum budget_kind k, uint64_t n);
void spend_less(struct run *r, enum budget_kind k, uint64_t n);
/* What is left for the run, in its own budget and all that it shares. */
uint64_t spend_left(struct run *r, enum budget_kind k);
/* True when more of this kind is used than there is: *o says where. */
bool spend_is_over(struct run *r, enum budget_kind k, struct over *o);

/* What costs take, and n calls; costs may be NULL. */
void spend_cost(const struct policy_cost *costs, uint64_t calls,
    uint64_t out[static BUDGET_KINDS]);
/*
 * Sets what was taken for costs right by the result (NULL: there is none, and
 * it stays taken), and appends what it came to as {"pages":3,...}.
 */
void spend_settle(struct run *r, const struct policy_cost *costs,
    const struct json *result, struct buf *out);
/* Nothing of it has happened: all is given back. */
void spend_undo(struct run *r, const struct policy_cost *costs);

/* "budgets.per_tenant.max_pages". */
void spend_rule(const struct over *o, char out[static RULE_BYTES]);
/* True when a person may be asked for more: it would then be enough. */
bool spend_may_ask(const struct run *r, const struct over *o,
    const uint64_t cost[static BUDGET_KINDS]);
/* As much again as the policy gives; on the record of that step. */
bool spend_extend(
    struct run *r, enum budget_kind k, uint64_t approval, uint32_t step);
/* Stops the run, which is told why. */
void spend_stop(struct run *r, const struct over *o);

#endif
