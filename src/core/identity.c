#include "core/identity.h"

static bool holds(struct str held, struct str scope);
static bool same_texts(
    const struct str *a, uint32_t n_a, const struct str *b, uint32_t n_b);

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

const struct identity_attribute *
identity_attribute(const struct identity *i, struct str name)
{
	for (uint32_t k = 0; k < i->n_attributes; k++) {
		if (str_eq(i->attributes[k].name, name))
			return &i->attributes[k];
	}
	return NULL;
}

bool
identity_same(const struct identity *a, const struct identity *b)
{
	if (!str_eq(a->tenant, b->tenant) || !str_eq(a->actor, b->actor) ||
	    !same_texts(a->roles, a->n_roles, b->roles, b->n_roles) ||
	    !same_texts(a->scopes, a->n_scopes, b->scopes, b->n_scopes) ||
	    a->n_attributes != b->n_attributes)
		return false;
	for (uint32_t i = 0; i < a->n_attributes; i++) {
		const struct identity_attribute *x = &a->attributes[i];
		const struct identity_attribute *y = &b->attributes[i];

		if (!str_eq(x->name, y->name) || x->is_list != y->is_list ||
		    !same_texts(x->values, x->n, y->values, y->n))
			return false;
	}
	return true;
}

static bool
same_texts(const struct str *a, uint32_t n_a, const struct str *b, uint32_t n_b)
{
	if (n_a != n_b)
		return false;
	for (uint32_t i = 0; i < n_a; i++) {
		if (!str_eq(a[i], b[i]))
			return false;
	}
	return true;
}

bool
identity_attribute_within(
    const struct identity_attribute *a, const struct identity_attribute *all)
{
	if (a->is_list != all->is_list)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		uint32_t k = 0;

		while (k < all->n && !str_eq(a->values[i], all->values[k]))
			k++;
		if (k == all->n)
			return false;
	}
	return true;
}

int
identity_attribute_add(
    struct identity *i, struct str name, const struct json *v, struct arena *a)
{
	const struct json *x = v;
	struct str *values;
	const char *copy;
	uint32_t n = 1;

	if (i->n_attributes == ATTRIBUTES_MAX || !identity_attribute_ok(name) ||
	    identity_attribute(i, name) != NULL)
		return -1;
	if (json_is(v, JSON_ARRAY)) {
		n = v->n;
		x = json_first(v);
	}
	if (n > ATTRIBUTE_LIST_MAX)
		return -1;
	values = arena_alloc(a, n * sizeof(*values));
	if (values == NULL)
		return -1;
	for (uint32_t k = 0; k < n; k++) {
		struct str s = json_str(x);

		copy = arena_copy(a, s);
		if (s.n == 0 || s.n > ATTRIBUTE_MAX_BYTES || copy == NULL)
			return -1;
		values[k] = (struct str){ copy, s.n };
		x = k + 1 < n ? json_next(v, x) : NULL;
	}
	copy = arena_copy(a, name);
	if (copy == NULL)
		return -1;
	i->attributes[i->n_attributes++] = (struct identity_attribute){
		.name = { copy, name.n },
		.is_list = json_is(v, JSON_ARRAY),
		.n = n,
		.values = values,
	};
	return 0;
}

int
identity_attributes_add(
    struct identity *i, const struct json *object, struct arena *a)
{
	if (object == NULL)
		return 0;
	if (!json_is(object, JSON_OBJECT))
		return -1;
	for (const struct json *k = json_first(object); k != NULL;
	     k = json_next(object, k)) {
		if (identity_attribute_add(i, json_str(k), json_value(k), a) <
		    0)
			return -1;
	}
	return 0;
}

void
identity_attributes_write(struct buf *out, const struct identity *i)
{
	buf_add_byte(out, '{');
	for (uint32_t n = 0; n < i->n_attributes; n++) {
		const struct identity_attribute *a = &i->attributes[n];

		buf_add_c(out, n > 0 ? "," : "");
		json_put_str(out, a->name);
		buf_add_c(out, a->is_list ? ":[" : ":");
		for (uint32_t k = 0; k < a->n; k++) {
			buf_add_c(out, k > 0 ? "," : "");
			json_put_str(out, a->values[k]);
		}
		buf_add_c(out, a->is_list ? "]" : "");
	}
	buf_add_byte(out, '}');
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
