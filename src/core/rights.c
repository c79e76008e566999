#include "core/rights.h"

#include "core/policy_int.h"

#define SECRETS_USE STR("secrets:use")

static const struct {
	struct str role;
	struct str scopes[10];
} roles[] = {
	{ STR("runner"),
	    { STR("runs:open"), STR("runs:read"), STR("runs:stop"),
		STR("runs:exec"), STR("runs:files"), STR("runs:ports"),
		STR("calls:make"), STR("approvals:read"),
		STR("servers:read") } },
	{ STR("approver"),
	    { STR("runs:read"), STR("approvals:read"), STR("approvals:decide"),
		STR("servers:read"), STR("servers:decide") } },
	{ STR("viewer"),
	    { STR("runs:read"), STR("approvals:read"), STR("servers:read") } },
};

static bool role_gives(struct str role, struct str scope);

bool
rights_may(const struct identity *i, struct str scope)
{
	if (identity_has_scope(i, scope))
		return true;
	if (identity_has_role(i, STR("operator")))
		return str_eq(i->tenant, RIGHTS_ALL_TENANTS) ||
		    !str_eq(scope, SECRETS_USE);
	for (uint32_t k = 0; k < i->n_roles; k++) {
		if (role_gives(i->roles[k], scope))
			return true;
	}
	return false;
}

bool
rights_sees(const struct identity *i, struct str tenant)
{
	return str_eq(i->tenant, RIGHTS_ALL_TENANTS) ||
	    str_eq(i->tenant, tenant);
}

struct str
rights_beyond(const struct identity *inner, const struct identity *outer)
{
	if (!rights_sees(outer, inner->tenant))
		return inner->tenant;
	if (!str_eq(inner->actor, outer->actor))
		return inner->actor;
	for (uint32_t i = 0; i < inner->n_roles; i++) {
		if (!identity_has_role(outer, inner->roles[i]))
			return inner->roles[i];
	}
	for (uint32_t i = 0; i < inner->n_scopes; i++) {
		if (!identity_has_scope(outer, inner->scopes[i]))
			return inner->scopes[i];
	}
	for (uint32_t i = 0; i < inner->n_attributes; i++) {
		const struct identity_attribute *a = &inner->attributes[i];
		const struct identity_attribute *held =
		    identity_attribute(outer, a->name);

		if (held == NULL || !identity_attribute_within(a, held))
			return a->name;
	}
	return STR("");
}

bool
rights_name_ok(struct str s, bool tenant)
{
	/* A tenant and an actor are shown with a slash between them. */
	return s.n < NAME_MAX_BYTES && entry_fault(ENTRY_NAME, s) == NULL &&
	    (!tenant || str_find(s, '/') == s.n);
}

bool
rights_scope_ok(struct str s)
{
	return s.n < NAME_MAX_BYTES && entry_fault(ENTRY_SCOPE, s) == NULL;
}

static bool
role_gives(struct str role, struct str scope)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (!str_eq(roles[i].role, role))
			continue;
		for (int k = 0; roles[i].scopes[k].n > 0; k++) {
			if (str_eq(roles[i].scopes[k], scope))
				return true;
		}
	}
	return false;
}
