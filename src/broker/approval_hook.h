/*
 * broker/approval_hook.h: tells others of approvals that wait: a signed POST
 * over HTTPS with the approval as the API shows it, and a reply link for each
 * of those whom the operator names.
 *
 * identity/config.json says whom, and the proxy makes the connection
 * (broker/fetch.h). What is not taken with a status of 2xx is sent again behind
 * a wait that doubles, as long as the approval waits. Each that was delivered
 * or given up is on the run's record.
 */
#ifndef BROKER_APPROVAL_HOOK_H
#define BROKER_APPROVAL_HOOK_H

#include "broker/approval.h"
#include "core/webhook.h"

/* What a hook's files hold; borrowed until the next approval_hooks_set. */
struct approval_hook {
	const struct webhook *row;
	struct str key, roots;
};

/*
 * From now on these, which are borrowed; what is under way for one that is
 * there no more, by URL, is dropped.
 */
void approval_hooks_set(const struct approval_hook *hooks, uint32_t n);

/* It has come to wait, or waits for others now. */
void approval_hooks_tell(struct approval *a, const struct run *r);
/* It waits no more. */
void approval_hooks_end(const struct approval *a);

#endif
