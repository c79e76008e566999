/*
 * broker/idem.h: calls that are the same thing asked for again.
 *
 * A tool's `idempotency` (or the caller's own key) names what a call does. The
 * first call with a key is executed; one more with the same key and arguments
 * gets what that one came to, one with other arguments is refused, and so is
 * one whose first call began and has no known end. That a call has begun is in
 * the store before the record of its start, so that no crash makes it two.
 *
 * A key of a run is kept in memory, for there is no such run after a crash. Of
 * a workflow or tenant it is kept as long as the policy's window, counted from
 * the end of the call; then it is as if it had not been made, and its row goes
 * when others come (store_put_idem).
 */
#ifndef BROKER_IDEM_H
#define BROKER_IDEM_H

#include "broker/call_int.h"

enum idem_found {
	IDEM_NEW, /* nothing has been done with this key */
	IDEM_UNDER_WAY,
	IDEM_DONE,
	IDEM_OTHER_CALL, /* the key is of another call */
	IDEM_NO_END, /* it began, and nobody knows what came of it */
	IDEM_FAILED, /* the store could not be asked */
};

/*
 * Fills in the key of a call: own is the caller's, row says the tool's. False:
 * it has none, or (*why is not NULL) cannot have one.
 */
bool idem_key_of(const struct run *r, const struct policy_tool *row,
    struct str tool, const struct json *args, struct str own, bool simulated,
    struct idem_key *key, const char **why);
/*
 * What is known of a key. With IDEM_DONE *kind and result (appended) are what
 * it came to, and *step says when.
 */
enum idem_found idem_find(const struct idem_key *key, const struct hash *args,
    uint32_t *step, enum reply_kind *kind, struct buf *result);
/* c, which has a key, begins. False: the store takes no more, or too many. */
bool idem_begin(struct run *r, const struct call *c);
/* It has ended as its result says; shown is what may be stored of that. */
void idem_end(
    const struct call *c, bool happened, bool known, struct str shown);
/* The run is freed: what is on disk need not be in memory. */
void idem_free_run(uint64_t run);

#endif
