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

const struct str *
identity_attribute(const struct identity *i, struct str name)
{
	for (uint32_t k = 0; k < i->n_attributes; k++) {
		if (str_eq(i->attributes[k].name, name))
			return &i->attributes[k].value;
	}
	return NULL;
}

bool
identity_attribute_ok(struct str name)
{
	static const struct str ours[] = { STR("tenant"), STR("actor"),
		STR("roles"), STR("scopes") };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (str_eq(name, ours[i]))
			return false;
	}
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && c != '_' &&
		    (i == 0 || !(c >= '0' && c <= '9')))
			return false;
	}
	return name.n > 0 && name.n < NAME_MAX_BYTES;
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
