/*
 * core/fault.h: failures that a policy asks for, to see what an agent does.
 *
 * Pure. Whether a call is hit follows from the seed, the rule and how many
 * calls the rule has seen in this run, and from nothing else: the same run
 * under the same seed fails in the same places.
 */
#ifndef CORE_FAULT_H
#define CORE_FAULT_H

#include "codec/json.h"
#include "core/policy.h"

struct fault_hit {
	const struct policy_fault *rule;
	uint32_t number; /* of the rule in the policy */
	uint32_t call; /* of those that the rule has seen, from 1 */
	uint32_t delay_ms;
};

/* What is about to happen, and may fail. */
enum fault_point {
	FAULT_AT_CALL, /* of a tool */
	FAULT_AT_REQUEST, /* to a host */
	FAULT_AT_APPROVAL, /* of a tool's call */
};

/* Where a rule applies; it is for a host when it names one. */
enum fault_point fault_point_of(const struct policy_fault *f);

/*
 * Counts what happens with each rule that is about it, name being the tool's
 * or the host's, in seen (one for each rule); true with the first that hits it.
 */
bool fault_choose(const struct policy_fault *rules, uint32_t n, uint64_t seed,
    enum fault_point at, struct str name, uint32_t *seen, uint32_t *hits,
    struct fault_hit *out);

/* True when the tool is not called at all. */
bool fault_instead(const struct policy_fault *f);
/* True when the tool's own answer is not given out. */
bool fault_hides(const struct policy_fault *f);
/* The code in the answer: "timeout", "http_429". */
const char *fault_code(const struct policy_fault *f, char out[static 16]);

/* What a host that fails so answers, or a proxy in front of it. */
uint32_t fault_http_status(const struct policy_fault *f);

/* Appends what the agent is told in place of an answer: canonical JSON. */
void fault_error_write(struct buf *out, const struct policy_fault *f);
/* Appends the answer, a JSON text, as the fault leaves it; -1: as it was. */
int fault_result_write(
    struct buf *out, const struct policy_fault *f, struct str answer);

const char *fault_kind_name(enum fault_kind k); /* "lost_ack" */

#endif
