/*
 * core/webhook.h: who is told of approvals that wait, of identity/config.json.
 *
 *     {"url": "https://chat.example.com/hook", "key": "hook.key",
 *      "tenant": "acme", "approvals": ["finance"],
 *      "links": [{"actor": "bea", "roles": ["finance"]}]}
 *
 * Pure.
 */
#ifndef CORE_WEBHOOK_H
#define CORE_WEBHOOK_H

#include "base/limits.h"
#include "core/web_target.h"

struct webhook {
	struct web_target to;
	struct str key; /* the name of the file with the key of signatures */
	struct str tenant; /* "": all of them */
	struct str approvals[WEBHOOK_APPROVALS_MAX]; /* by the rules' names */
	uint32_t n_approvals; /* 0: all */
	const struct json *links; /* for whom; NULL: nobody */
};

struct webhooks {
	struct webhook list[WEBHOOKS_MAX];
	uint32_t n;
};

/* v is the list, or NULL. -1 with e, which names the member. */
int webhooks_read(const struct json *v, struct webhooks *out, struct err *e);

/* Is it told of approvals by this rule in this tenant? */
bool webhook_wants(
    const struct webhook *w, struct str tenant, struct str approval);

#endif
