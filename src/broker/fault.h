/*
 * broker/fault.h: failures on purpose, in a run.
 *
 * Rules come from its policy, from the request that opens it (`faults`, or
 * `fork.faults`), and from people while it is open; those that are added are
 * on its record. All that a rule hits is, too, before anything comes of it.
 */
#ifndef BROKER_FAULT_H
#define BROKER_FAULT_H

#include "broker/run.h"
#include "core/fault.h"

struct approval;
struct caller;
struct egress_ask;

/* Adds rules: a list. -1 with e: one of them is none; then none is added. */
int faults_add(
    struct run *r, const struct json *rules, const char *by, struct err *e);
/* What was added before the run was on record. False: not kept. */
bool faults_record(struct run *r);
void faults_free(struct run *r);
/* POST /v1/runs/{run}/faults */
void faults_api(const struct caller *who, uint64_t call, struct run *r,
    const struct json *args);

/* The run has rules. */
bool faults_any(const struct run *r);
/* True with the rule that hits: it is on record, unless *seq is 0. */
bool faults_hit(struct run *r, enum fault_point at, struct str name,
    uint32_t step, struct fault_hit *out, uint64_t *seq);

/* A tool's own answer: some rules need older ones (broker/stale.h). */
void faults_answered(
    struct run *r, struct str tool, struct str args, struct str answer);

/* A new approval: it may be answered by us, or late. */
void faults_approval(struct run *r, struct approval *a);

/*
 * egress_fault.c. A request that the policy allows, before rates and budgets:
 * true when it is answered, or waits and comes again.
 */
bool faults_request(struct run *r, const struct msg_egress_ask *m,
    struct str payload, const struct egress_ask *ask,
    struct msg_egress_verdict *out);
/* The proxy is gone, and with it what waited. */
void faults_proxy_lost(void);

#endif
