/*
 * broker/call_int.h: what the sources of call.h share among themselves.
 *
 *     call.c          the request, its verdict, and what each verdict does
 *     call_heads.c    requests that say two things
 *     call_record.c   the records before an effect
 *     call_use.c      how often a tool failed and was tried again
 *     call_repeat.c   the same call once more
 *     call_spend.c    what it costs
 *     call_fault.c    failures that the policy asks for
 *     call_export.c   files.export, whose files are read before the decision
 *     call_execute.c  the effect, its end, and the answer
 */
#ifndef BROKER_CALL_INT_H
#define BROKER_CALL_INT_H

#include "broker/call.h"
#include "broker/spend.h"

#define STORE_FAILED                                                           \
	"{\"error\":{\"code\":\"store_failed\",\"message\":\"The store takes " \
	"no "                                                                  \
	"more records: nothing was done.\",\"suggested_next_step\":\"An "      \
	"operator must look at the disk.\"}}"

/* The run that it is for, or NULL. */
struct run *call_run_of(const struct msg_tool_call *m, struct caller *who);
/* Of a call that came with heads. False: it has been answered. */
bool call_heads_ok(struct run *r, uint64_t asker, struct str tool,
    const struct json *args, const struct json *heads);

/* A call that will be executed. Takes the arguments over. */
struct call *call_new(struct run *r, uint64_t asker, struct str tool,
    struct buf *args, const struct hash *hash, const struct verdict *v);
void call_free(struct call *c);

/* The call as it was asked, redacted as the policy says. False: not kept. */
bool call_record_proposal(struct run *r, struct str tool,
    const struct policy_tool *row, const struct json *args,
    struct str canonical);
bool call_record_decision(
    struct run *r, uint32_t step, struct str tool, const struct verdict *v);
/* The record's number, or 0: it is not kept. */
uint64_t call_record_start(struct run *r, const struct call *c);

/*
 * False when the call is a retry, the very call that failed last once more,
 * and the tool has had all of its retries in this run.
 */
bool call_may_retry(struct run *r, const struct policy_tool *row,
    struct str tool, const struct hash *hash);
/*
 * Holds a call that would run to the rates and breakers of its tool: it is
 * blocked, or one more of them is taken. True: it is a breaker's probe.
 */
bool call_pace(struct run *r, struct verdict *v);
/* The call has ended: its tool has failed, or has not. */
void call_note_failure(struct run *r, const struct call *c);

/*
 * Reads what is to leave, then executes c, or asks a person when v says so.
 * Takes c over.
 */
void call_propose_export(struct run *r, struct call *c, const struct verdict *v,
    const struct json *args);

/* The policy's verdict; a tool that nothing provides is blocked. */
void call_decide(
    struct run *r, struct str tool, const struct json *args, struct verdict *v);
/* Answers why not. */
void call_refuse(struct run *r, uint32_t step, uint64_t asker, struct str tool,
    const struct verdict *v);
/* True when the verdict lets an executor run, at once. */
bool call_runs(const struct verdict *v);
/*
 * call_spend.c. Takes what a call that will run costs; fits says whether the
 * call itself was taken already. False: the run is over its budget, as *over
 * says. *extends is the kind that v now asks a person to extend, if any.
 */
bool call_afford(struct run *r, struct str tool, struct verdict *v, bool fits,
    struct over *over, enum budget_kind *extends);
/* What was approved is taken now. False: as above. */
bool call_afford_approved(
    struct run *r, const struct approval *a, struct over *over);
/* What c cost, by its result; appended as the body of its last record. */
void call_settle(struct run *r, const struct call *c,
    const struct policy_tool *row, struct buf *out);

/* call_repeat.c: a call that was made before. */
struct earlier {
	bool has_key;
	struct idem_key key;
	uint32_t step;
	enum reply_kind kind;
	struct buf result;
};
enum repeat {
	REPEAT_NO, /* or it has no key */
	REPEAT_DONE, /* out says what it came to */
	REPEAT_BLOCKED, /* v says why */
};
/* own_key: the caller's, or "". */
enum repeat call_repeats(struct run *r, struct str tool,
    const struct json *args, struct str own_key, const struct hash *args_hash,
    struct verdict *v, struct earlier *out);
/*
 * The same of what was approved, which was judged long ago. True: c has ended
 * with what was done before.
 */
bool call_repeats_approved(
    struct run *r, struct call *c, const struct approval *a);
/*
 * True when the tool is asked again in place of this end: result and status
 * are those of call_finish.
 */
bool call_try_again(struct run *r, struct call *c, enum reply_kind kind,
    struct str result, const char *status);
/* True while all that is under way is being ended. */
bool call_ending(void);
/* c goes on when the record is on disk. */
void call_wait_durable(struct call *c, uint64_t seq);
/* What a call came to, for who asked. */
void call_tell(uint64_t asker, enum reply_kind kind, struct str result);

/* True when the run's world has the tool, or it is our own: no server's. */
bool call_world_has(const struct run *r, struct str tool);
/* What changes more than the run's own drafts, or a person has decided. */
bool call_durable_first(enum risk risk, uint64_t approval);
/*
 * Records the start; what writes, and what a tool server does, waits until
 * that is on disk. Takes c over.
 */
void call_execute(struct run *r, struct call *c);
/* The effect itself: its records are where they have to be. Takes c over. */
void call_to_world(struct run *r, struct call *c);
/*
 * call_fault.c. True when the call fails on purpose in place of reaching the
 * tool: it is taken over. A run's kill ends it as it ends others.
 */
bool call_fault_before(struct run *r, struct call *c);
/* True when the tool's answer is held back or changed: c is taken over. */
bool call_fault_after(struct call *c, bool ok, bool wrote, struct str answer);
/* Among those that a tool answers, until call_take; on_time is due then. */
void call_await(
    struct call *c, int64_t ms, void (*on_time)(struct loop_timer *t));
/* Another time for it. */
void call_rearm(struct call *c, int64_t ms);
/* What a tool server has answered to a call that is taken. */
void call_server_answered(
    struct call *c, enum server_result kind, struct str payload);
struct call *call_take(uint64_t number); /* NULL: it has been answered */
/*
 * Records the end, and answers: when a write's end is on disk, else before, so
 * that nobody waits for a record that may be lost with us anyway.
 */
void call_finish(struct call *c, enum reply_kind kind, struct str result,
    bool wrote, const char *status);

#endif
