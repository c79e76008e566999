/*
 * The identity of a run: as the document has it, as whoever opens the run
 * completes it, and as expressions see it.
 */
#include "base/limits.h"
#include "core/policy_int.h"

enum { FIXED = 4 }; /* fields that every identity has */

static struct expr_value texts(
    struct arena *a, const struct str *list, uint32_t n);
static struct str keep(struct policy *p, struct str s);
static void keep_attribute(struct policy *p,
    const struct identity_attribute *from, struct identity_attribute *to);

void
policy_parse_attributes(struct reader *r, const struct spot *root)
{
	struct policy *p = r->p;
	struct spot s;

	if (!read_member(root, "attributes", &s) || !read_object(r, &s))
		return;
	if (identity_attributes_add(&p->identity, s.v, &p->arena) < 0 &&
	    !p->arena.failed)
		problem(r, &s,
		    "must be up to %d names like \"customer\", none of tenant, "
		    "actor, roles and scopes, each with a text of 1 to %d "
		    "bytes "
		    "or a list of up to %d",
		    ATTRIBUTES_MAX, ATTRIBUTE_MAX_BYTES, ATTRIBUTE_LIST_MAX);
}

void
policy_identity_value(struct policy *p)
{
	const struct identity *id = &p->identity;
	const uint32_t n = FIXED + id->n_attributes;
	struct expr_field *f = arena_alloc(&p->arena, n * sizeof(*f));
	struct expr_record *r = arena_alloc(&p->arena, sizeof(*r));

	if (f == NULL || r == NULL)
		return;
	f[0] = (struct expr_field){ STR("tenant"), expr_of_str(id->tenant) };
	f[1] = (struct expr_field){ STR("actor"), expr_of_str(id->actor) };
	f[2] = (struct expr_field){ STR("roles"),
		texts(&p->arena, id->roles, id->n_roles) };
	f[3] = (struct expr_field){ STR("scopes"),
		texts(&p->arena, id->scopes, id->n_scopes) };
	for (uint32_t i = 0; i < id->n_attributes; i++)
		f[FIXED + i] = (struct expr_field){ id->attributes[i].name,
			id->attributes[i].is_list
			    ? texts(&p->arena, id->attributes[i].values,
				  id->attributes[i].n)
			    : expr_of_str(id->attributes[i].values[0]) };
	*r = (struct expr_record){ n, f };
	p->identity_value =
	    (struct expr_value){ .type = EXPR_RECORD, .record = r };
}

int
policy_identity_default(struct policy *p, const struct identity *who)
{
	struct identity *id = &p->identity;

	if (!p->tenant_written)
		id->tenant = keep(p, who->tenant);
	if (!p->actor_written)
		id->actor = keep(p, who->actor);
	if (!p->roles_written) {
		id->n_roles = who->n_roles;
		for (uint32_t i = 0; i < who->n_roles; i++)
			id->roles[i] = keep(p, who->roles[i]);
	}
	if (id->n_attributes == 0) {
		id->n_attributes = who->n_attributes;
		for (uint32_t i = 0; i < who->n_attributes; i++)
			keep_attribute(
			    p, &who->attributes[i], &id->attributes[i]);
	}
	policy_identity_value(p);
	return p->arena.failed ? -1 : 0;
}

static struct expr_value
texts(struct arena *a, const struct str *list, uint32_t n)
{
	struct expr_value *items = arena_alloc(a, n * sizeof(*items));

	for (uint32_t i = 0; items != NULL && i < n; i++)
		items[i] = expr_of_str(list[i]);
	return (struct expr_value){
		.type = EXPR_LIST, .n = items != NULL ? n : 0, .items = items
	};
}

static struct str
keep(struct policy *p, struct str s)
{
	const char *copy = arena_copy(&p->arena, s);

	return (struct str){ copy, copy != NULL ? s.n : 0 };
}

static void
keep_attribute(struct policy *p, const struct identity_attribute *from,
    struct identity_attribute *to)
{
	struct str *values = arena_alloc(&p->arena, from->n * sizeof(*values));

	*to = (struct identity_attribute){ .name = keep(p, from->name),
		.is_list = from->is_list };
	if (values == NULL)
		return;
	for (uint32_t i = 0; i < from->n; i++)
		values[i] = keep(p, from->values[i]);
	to->n = from->n;
	to->values = values;
}
