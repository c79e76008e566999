/*
 * core/identity.h: who acts. For a run it is fixed when the run opens and
 * comes from the policy that an operator named; for a person or a service it
 * comes from the socket or the verified token. Never from a message.
 */
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/str.h"

/* What else is known of somebody, such as whose customer they are. */
struct identity_attribute {
	struct str name, value;
};

struct identity {
	struct str tenant;
	struct str actor;
	uint32_t n_roles;
	uint32_t n_scopes;
	struct str roles[SCOPES_MAX];
	struct str scopes[SCOPES_MAX];
	uint32_t n_attributes;
	struct identity_attribute attributes[ATTRIBUTES_MAX];
};

bool identity_has_role(const struct identity *i, struct str role);
/*
 * True when the identity holds the scope: the same text, or a held scope that
 * ends in ":*" and starts the same ("tickets:*" holds "tickets:read").
 */
bool identity_has_scope(const struct identity *i, struct str scope);
/* May be an attribute: a name that expressions can spell, and none of ours. */
bool identity_attribute_ok(struct str name);
/* The value of an attribute, or NULL. */
const struct str *identity_attribute(const struct identity *i, struct str name);

#endif
