/*
 * cli/egress_explain.h: what a policy says of a request that wants to leave,
 * such as "GET https://api.example.com/v1/x" or "tcp://db.internal:5432".
 */
#ifndef CLI_EGRESS_EXPLAIN_H
#define CLI_EGRESS_EXPLAIN_H

#include <stdbool.h>

#include "base/err.h"
#include "codec/json.h"
#include "core/policy.h"

/* True when a call of `policy explain` is of this kind. */
bool egress_explain_is(struct str call);
/*
 * Appends lines for people, or a JSON object. more: {"content_length",
 * "content_type"} of a body, each optional. -1: call is no such request.
 */
int egress_explain(const struct policy *p, struct str call,
    const struct json *more, const struct labels *labels, bool json,
    struct buf *out, struct err *e);

#endif
