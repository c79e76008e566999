/*
 * cli/policy_view.h: what a run under a policy can read, write and execute.
 *
 * The members of `sandbox` as they were compiled, so that what is shown is what
 * is enforced, defaults included.
 */
#ifndef CLI_POLICY_VIEW_H
#define CLI_POLICY_VIEW_H

#include "base/buf.h"
#include "core/policy.h"

/* Appends an object. */
void policy_view_json(struct buf *out, const struct policy_sandbox *s);

/* Appends lines for people. */
void policy_view_text(struct buf *out, const struct policy_sandbox *s);

#endif
