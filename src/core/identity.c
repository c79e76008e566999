#include "core/identity.h"

static bool holds(struct str held, struct str scope);

bool
identity_has_role(const struct identity *i, struct str role)
{
	for (uint32_t k = 0; k < i->n_roles; k++) {
		if (str_eq(i->roles[k], role))
			return true;
	}
	return false;
}

bool
identity_has_scope(const struct identity *i, struct str scope)
{
	for (uint32_t k = 0; k < i->n_scopes; k++) {
		if (holds(i->scopes[k], scope))
			return true;
	}
	return false;
}

static bool
holds(struct str held, struct str scope)
{
	if (str_eq(held, scope))
		return true;
	if (!str_ends(held, STR(":*")))
		return false;
	/* With the colon, so that "tickets:*" holds no "tickets". */
	held.n--;
	return scope.n > held.n && str_starts(scope, held);
}
