/*
 * broker/rerun_int.h: what the sources of rerun.h share among themselves.
 *
 *     rerun.c         a call that is asked now, and the one that it is like
 *     rerun_open.c    the request for such a run
 *     rerun_read.c    the record
 *     rerun_answer.c  what the agent was told then, once more
 */
#ifndef BROKER_RERUN_INT_H
#define BROKER_RERUN_INT_H

#include "base/arena.h"
#include "broker/rerun.h"

/* A call as it was recorded; texts lie in the memory of its rerun. */
struct rerun_call {
	uint32_t step;
	bool served; /* it was asked for again */
	bool told; /* a divergence names it */
	bool has_args, has_out, redacted;
	struct hash key, args, out;
	struct str tool, verdict, rule, code, reason, next_step;
	struct str status, origin; /* of its end */
	struct str draft; /* what was said of a draft: JSON */
	struct str approval, decided; /* its name, and the last vote */
	struct str decided_why;
	struct str stop; /* of a budget: JSON */
	struct str stop_reason;
};

struct rerun {
	uint64_t run;
	char text[ID_BYTES]; /* of the run */
	bool strict, had_world;
	bool exits; /* it had a command, which came to its end */
	uint32_t exit_status;
	struct hash policy;

	struct rerun_call *calls; /* by their steps */
	uint32_t n, cap;
	struct arena memory;
	const struct str *ignore; /* paths of arguments */
	uint32_t n_ignore;

	uint32_t next; /* behind the last that was found in its order */
	uint32_t asked, matched, diverged, redacted;
	bool ends, unrecorded;
	struct buf why; /* the structured stop */
	struct err *e; /* while it is read */
	bool failed;
};

/* The next one in the order of the record, or NULL. */
struct rerun_call *rerun_next(struct rerun *x);
/* What a recorded call is found by; args: the reference to its arguments. */
struct hash rerun_key(
    const struct rerun *x, struct str tool, const struct json *args);
/* Answers and records the end. False: the record does not say what it was. */
bool rerun_answer(struct run *r, uint64_t asker, const struct policy_tool *row,
    const struct rerun_call *then, const struct json *args);

#endif
