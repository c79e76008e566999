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

/* True when the tool is not called at all, or nothing is sent. */
bool fault_instead(const struct policy_fault *f);
/* True when a host is asked, and its real answer changed, or kept back. */
bool fault_spoils(const struct policy_fault *f);
/* True when that needs the whole answer. */
bool fault_spoils_whole(const struct policy_fault *f);
/* True when who asked has not got what it asked for: it may try again. */
bool fault_fails(enum fault_kind k);
/* True when the tool's own answer is not given out. */
bool fault_hides(const struct policy_fault *f);
/* The service answers so. */
bool fault_is_status(const struct policy_fault *f);
/* The code in the answer: "timeout", "http_429". */
const char *fault_code(const struct policy_fault *f, char out[static 16]);

/* What a host that fails so answers, or a proxy in front of it. */
uint32_t fault_http_status(const struct policy_fault *f);

/* Appends what the agent is told in place of an answer: canonical JSON. */
void fault_error_write(struct buf *out, const struct policy_fault *f);
/* fault_body.c */

/* Appends the answer, a canonical JSON text, as the fault leaves it: canonical
 * JSON; -1: as it was. */
int fault_result_write(
    struct buf *out, const struct policy_fault *f, struct str answer);
/* Likewise of the whole body of a host's answer, whatever it is. */
int fault_body_write(
    struct buf *out, const struct policy_fault *f, struct str body);

/* fault_model.c */

/* Whose shape the rule has for a request to this path. */
enum fault_format fault_format_of(
    const struct policy_fault *f, struct str path);
/*
 * What that API answers when it fails so: the body, and members of an object
 * of fields ("name":"value",...). The status; 0: it has no form of its own.
 */
uint32_t fault_model_error(struct buf *body, struct buf *fields,
    const struct policy_fault *f, enum fault_format format, struct str path);
/* Appends the whole body of a model's answer, as the fault leaves it; -1: as
 * it was, or it is none. events: it is a stream of them. */
int fault_model_answer(struct buf *out, const struct policy_fault *f,
    struct str body, bool events);
/* Appends the event by which a stream ends that fails. */
void fault_model_event(struct buf *out, enum fault_format format);

const char *fault_kind_name(enum fault_kind k); /* "lost_ack" */
/* FAULT_KINDS: no such word. */
enum fault_kind fault_kind_of(struct str word);
/* True for kinds that a rule with `tool`, or with `host`, can have. */
bool fault_may_be(enum fault_kind k, bool of_host);
uint32_t fault_kind_status(enum fault_kind k);

#endif
