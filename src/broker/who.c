#include "broker/who.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/approval.h"
#include "broker/bearer.h"
#include "broker/run.h"
#include "broker/token.h"
#include "core/rights.h"
#include "ipc/api.h"

static const struct identity operator_identity = {
	.tenant = { "*", 1 },
	.actor = { "operator", 8 },
	.n_roles = 1,
	.roles = { { "operator", 8 } },
};

static bool on_row(void *arg, const struct store_run *row);
static bool is_operator_name(const char *name);

struct caller
caller_of(enum door door, uint32_t uid, uint64_t run, const struct hash *token)
{
	struct caller c = { .door = door };
	const struct run *r = NULL;

	if (door == DOOR_UNIX) {
		(void)snprintf(c.name, sizeof(c.name), "uid:%u", uid);
		/* As root the owner is root, and we are not. */
		if (uid == 0 || uid == getuid())
			c.who = &operator_identity;
		else
			c.who = bearer_uid(uid, c.name);
		c.known = c.who != NULL;
		return c;
	}
	if (door == DOOR_TOKEN && hash_eq(token, &broker.operator_token)) {
		c.known = true;
		c.who = &operator_identity;
		(void)snprintf(c.name, sizeof(c.name), "operator-token");
		return c;
	}
	if (door == DOOR_TOKEN) {
		r = run_find_token(token);
		if (r == NULL)
			c.who = token_use(token, c.name);
		if (r == NULL && c.who == NULL)
			c.who = bearer_use(token, c.name);
		if (r == NULL && c.who == NULL)
			c.who = approval_link_use(token, &c.approval, c.name);
	} else if (door == DOOR_RUN) {
		r = run_find(run);
	}
	c.run = r != NULL ? r->id : 0;
	c.known = r != NULL || c.who != NULL;
	if (r != NULL)
		(void)snprintf(c.name, sizeof(c.name), "%.*s",
		    STR_FMT(r->policy->identity.actor));
	return c;
}

bool
caller_may(const struct caller *c, struct str scope)
{
	/* Who has a link to an approval has its two scopes and no other. */
	if (c->approval != 0)
		return str_starts(scope, STR("approvals:"));
	return c->who != NULL && rights_may(c->who, scope);
}

bool
caller_sees(const struct caller *c, struct str tenant)
{
	return c->who != NULL && rights_sees(c->who, tenant);
}

bool
caller_sees_run(const struct caller *c, uint64_t run)
{
	const struct run *r = run_find(run);
	char tenant[NAME_MAX_BYTES] = "";
	struct err e = {};

	if (r != NULL)
		return caller_sees(c, r->policy->identity.tenant);
	/* 0 would be all of them. */
	return run != 0 &&
	    store_runs(broker.store, run, false, 1, on_row, tenant, &e) == 0 &&
	    tenant[0] != '\0' && caller_sees(c, str_of(tenant));
}

bool
caller_same_person(const char *a, const char *b)
{
	return strcmp(a, b) == 0 ||
	    (is_operator_name(a) && is_operator_name(b));
}

bool
caller_may_open(const struct caller *c, uint64_t call, struct policy *policy)
{
	struct str beyond, tenant = policy->identity.tenant;
	char text[256];

	if (str_eq(c->who->tenant, RIGHTS_ALL_TENANTS))
		return true;
	if (policy_identity_default(policy, c->who) < 0) {
		reply_error(call, 503, "no_memory", "Out of memory.",
		    "Try again in a moment.");
		return false;
	}
	if (!caller_sees(c, policy->identity.tenant)) {
		(void)snprintf(text, sizeof(text),
		    "You belong to the tenant %.*s, and the policy is of %.*s.",
		    STR_FMT(c->who->tenant), STR_FMT(tenant));
		reply_error(call, 403, "other_tenant", text,
		    "Leave `tenant` out of the policy, or name your own.");
		return false;
	}
	if (policy->n_secrets > 0 && !caller_may(c, STR("secrets:use"))) {
		reply_error(call, 403, "forbidden",
		    "The policy names secrets, and they are all tenants'.",
		    "Ask an operator for the scope secrets:use.");
		return false;
	}
	beyond = rights_beyond(&policy->identity, c->who);
	if (beyond.n == 0 || caller_may(c, STR("runs:delegate")))
		return true;
	(void)snprintf(text, sizeof(text),
	    "The policy's identity has %.*s, and you have not.",
	    STR_FMT(beyond));
	reply_error(call, 403, "beyond_you", text,
	    "Leave it out, or ask an operator for the scope runs:delegate.");
	return false;
}

static bool
on_row(void *arg, const struct store_run *row)
{
	char *tenant = arg;

	/* One that does not fit is no tenant of ours: it stays empty. */
	(void)str_copy(row->tenant, tenant, NAME_MAX_BYTES);
	return false;
}

/* All others have a slash in theirs. */
static bool
is_operator_name(const char *name)
{
	return strcmp(name, "operator-token") == 0 ||
	    strncmp(name, "uid:", 4) == 0;
}
