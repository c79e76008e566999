/*
 * cli/recorded.h: the calls of a run, put together from its records.
 *
 * A call is told when its decision passes by, with the arguments as they are
 * kept; labels_of() goes on with what a policy says that results bring, so that
 * the same records can be judged again by another policy.
 */
#ifndef CLI_RECORDED_H
#define CLI_RECORDED_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/labels.h"
#include "core/policy.h"
#include "store/store.h"

struct recorded_call {
	uint64_t run;
	uint32_t step;
	int64_t t_ns; /* of the decision */
	struct str tool;
	const struct json *args; /* NULL: no longer kept */
	bool redacted; /* they are not what the policy judged */
	const struct prov *prov; /* what it had been told; may be NULL */
	const struct labels *labels; /* of the run when it was judged */
	enum verdict_kind verdict; /* that a policy which enforces has */
	struct str rule, code;
	struct str action; /* "executed", "blocked", "imported", ... */
};

/*
 * Calls on() for each call of the run in the order of the decisions, until it
 * returns -1. What points into the call is valid until on() returns.
 *
 * p: labels are those that the run would have under this policy: what results
 * bring by its rows, and what connections brought, as recorded. NULL: as
 * recorded. 0, or -1 with e.
 */
int recorded_calls(struct store *s, uint64_t run, const struct policy *p,
    int (*on)(void *arg, const struct recorded_call *c, struct err *e),
    void *arg, struct err *e);

#endif
