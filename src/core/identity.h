/*
 * core/identity.h: who acts. For a run it is fixed when the run opens and
 * comes from the policy that an operator named; for a person or a service it
 * comes from the socket or the verified token. Never from a message.
 */
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"

/* What else is known of somebody: which customer, whose orders. */
struct identity_attribute {
	struct str name;
	bool is_list;
	uint32_t n; /* 1, unless it is a list */
	const struct str *values;
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

/* Every part of it, in the same order. */
bool identity_same(const struct identity *a, const struct identity *b);
bool identity_has_role(const struct identity *i, struct str role);
/*
 * True when the identity holds the scope: the same text, or a held scope that
 * ends in ":*" and starts the same ("tickets:*" holds "tickets:read").
 */
bool identity_has_scope(const struct identity *i, struct str scope);
/* May be an attribute: a name that expressions can spell, and none of ours. */
bool identity_attribute_ok(struct str name);
const struct identity_attribute *identity_attribute(
    const struct identity *i, struct str name); /* or NULL */
/* Is all of one in the other? */
bool identity_attribute_within(
    const struct identity_attribute *a, const struct identity_attribute *all);
/*
 * Adds one more, copied into a: v is a text or a list of texts, each of 1 to
 * ATTRIBUTE_MAX_BYTES. -1: it is none, or there are too many.
 */
int identity_attribute_add(
    struct identity *i, struct str name, const struct json *v, struct arena *a);
/* The same for all members of an object; NULL has none. */
int identity_attributes_add(
    struct identity *i, const struct json *object, struct arena *a);
/* Appends {"customer":"c1","orders":["o1"]}. */
void identity_attributes_write(struct buf *out, const struct identity *i);

#endif
