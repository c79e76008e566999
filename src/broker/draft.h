/*
 * broker/draft.h: read, draft, commit. A tool X whose row has "commit": "Y"
 * has three tools more, which are ours:
 *
 *     X.create_draft            keeps the arguments of a call of Y
 *     X.request_approval        asks a person about the draft; waits
 *     X.commit_approved_draft   makes that call, once
 *
 * A draft is bound to its hash and to its run. What is committed is what was
 * approved, and the policy has the last word on it. Two commits of one draft
 * are one call: the later one reads what the first came to.
 */
#ifndef BROKER_DRAFT_H
#define BROKER_DRAFT_H

#include "broker/call_int.h"

/* False: tool is none of these. Else it is answered, now or later. */
bool draft_call(
    struct run *r, uint64_t asker, struct str tool, const struct json *args);
/* Of an approval whose `draft` is set: a yes, and anything else. */
void draft_approved(struct run *r, const struct approval *a);
void draft_refused(struct run *r, const struct approval *a);
/* The call that c->draft became has ended; happened: it may have an effect. */
void draft_ended(struct run *r, const struct call *c, bool happened);
/* Appends ,{definition},... of the tools that a row makes of `commit`. */
void draft_list(struct buf *out, const struct policy_tool *row,
    const struct json *definition);
/* Appends the drafts that are not committed, for a snapshot. */
void drafts_write(struct buf *out, const struct run *r);
/*
 * Gives a fork its parent's drafts, each under a name of its own and under the
 * parent's. What was approved is to be asked for again. -1 with e: one is not
 * what the snapshot says.
 */
int drafts_resume(struct run *r, const struct json *drafts, struct err *e);
/* Stores all of them. False: the store takes no more. */
bool drafts_store(const struct run *r);
void draft_free_run(struct run *r);

#endif
