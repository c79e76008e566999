/*
 * broker/rerun.h: a run that is answered out of the record of an earlier one.
 *
 * Its command is executed anew, and whatever it asks for is looked up: nothing
 * of what a call stands for is executed, no tool server is started, no secret
 * is fetched, and no request leaves. So such a run can do nothing but compute.
 *
 * A call is found by its tool and its arguments, as they are recorded. Strict:
 * each call must be the next one of the record; the first that is not ends the
 * run. Lenient: recorded calls are found in any order, once each, what was
 * never asked before is refused, and both are noted. What is noted is a
 * divergence: a record of kind `note` in the run that is answered.
 */
#ifndef BROKER_RERUN_H
#define BROKER_RERUN_H

#include "broker/run.h"

struct egress_ask;
struct rerun;

/*
 * Reads the record of the run that `replay` of a request names; r->rerun stays
 * NULL when it names none. *version is the policy of that run, for a request
 * that brings none. -1 with e.
 */
int rerun_take(struct run *r, const struct json *replay, struct err *e);
void rerun_free(struct rerun *x);
/*
 * The policy of a request with `replay`: its own, or that of the run which it
 * names. *fork: where that one began, when it was a fork. NULL: it has been
 * answered.
 */
struct policy *rerun_policy_take(const struct caller *who, uint64_t call,
    const struct json *args, struct fork **fork);

/* It is answered out of that run's record. */
bool rerun_is_of(const struct rerun *x, uint64_t run);

/* Appends ,"replay":{...}: which record, and how. */
void rerun_write(struct buf *out, const struct rerun *x);
/* It saw a world: its tools are listed, by one that is empty. */
bool rerun_had_world(const struct rerun *x);

/* Records a call and answers it. */
void rerun_call(
    struct run *r, uint64_t asker, struct str tool, const struct json *args);
/*
 * A request that the record has no answer to is about to be refused. then: the
 * URL of the one that would be the next, or "".
 */
void rerun_request(struct run *r, const struct egress_ask *ask, bool was_kept,
    uint32_t step_then, struct str then);
/* After that was answered: a strict one ends here. */
void rerun_settle(struct run *r);
/* Appends ,{...} for each tool that was called and that nobody lists now. */
void rerun_write_tools(struct buf *out, const struct run *r);
/* The run ends: what came of it goes on record. */
void rerun_end(struct run *r);

#endif
