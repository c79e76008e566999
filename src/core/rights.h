/*
 * core/rights.h: what somebody may ask of the daemon: scopes, and the roles
 * that stand for some of them.
 *
 *     operator   every scope; of one tenant: all but secrets:use
 *     runner     opens, sees, stops and reaches into runs, and calls tools
 *     approver   sees runs, sees and decides approvals
 *     viewer     sees runs and approvals
 *
 * Other roles give nothing here: they are names for policies, as in
 * `from_roles`. Pure.
 */
#ifndef CORE_RIGHTS_H
#define CORE_RIGHTS_H

#include "core/identity.h"

/* The tenant of whoever belongs to none, and sees all. */
#define RIGHTS_ALL_TENANTS STR("*")

/* A scope that is held, or that a role stands for. */
bool rights_may(const struct identity *i, struct str scope);
/* Is what belongs to this tenant there for i? */
bool rights_sees(const struct identity *i, struct str tenant);
/*
 * What inner has and outer has not: a tenant, role, scope or attribute, for
 * people; "" when inner is no more than outer. An actor of its own is more.
 */
struct str rights_beyond(
    const struct identity *inner, const struct identity *outer);

/* May be an actor, a role or an attribute; with tenant set, a tenant. */
bool rights_name_ok(struct str s, bool tenant);
bool rights_scope_ok(struct str s);

#endif
