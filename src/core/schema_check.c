#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "core/schema_int.h"

/* Where a value is in the one that is checked, for the report. */
struct place {
	const struct place *up;
	struct str name; /* p is NULL for an item */
	uint32_t index;
};

struct check {
	struct schema *s;
	uint32_t steps, depth;
	bool costly;
	bool quiet; /* a branch is tried: nothing to report */
	bool reported;
	struct schema_report *out;
};

/*
 * What schemas of one value have looked at: a flag per member or item, in the
 * scratch of the schema from byte `at`. n is 0 when nobody asks.
 */
struct seen {
	size_t at;
	uint32_t n;
};

static bool apply(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *up);
static bool apply_node(struct check *c, const struct node *n,
    const struct json *v, const struct place *p, struct seen *seen);
static bool try_branch(struct check *c, const struct node *n,
    const struct json *v, const struct place *p, struct seen *up);
static bool check_value(struct check *c, const struct node *n,
    const struct json *v, const struct place *p);
static bool check_number(
    struct check *c, const struct node *n, double v, const struct place *p);
static bool check_string(
    struct check *c, const struct node *n, struct str s, const struct place *p);
static bool check_array(struct check *c, const struct node *n,
    const struct json *v, const struct place *p, struct seen *seen);
static bool check_object(struct check *c, const struct node *n,
    const struct json *v, const struct place *p, struct seen *seen);
static bool check_members(struct check *c, const struct node *n,
    const struct json *v, const struct place *p, struct seen *seen);
static bool check_branches(struct check *c, const struct node *n,
    const struct json *v, const struct place *p, struct seen *seen);
static bool check_rest(struct check *c, const struct node *n,
    const struct json *v, const struct place *p, struct seen *seen);
static bool unique(struct check *c, const struct json *v);
static uint32_t types_of(const struct json *v);
static struct seen seen_new(struct check *c, const struct json *v);
static void seen_mark(struct check *c, struct seen *s, uint32_t i);
static void seen_mark_all(struct check *c, struct seen *s);
static void seen_merge(struct check *c, struct seen *to, const struct seen *s);
static bool step(struct check *c);
static bool wrong(struct check *c, const struct place *p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void path_put(const struct place *p, char *out, size_t cap);

enum schema_result
schema_check(struct schema *s, const struct json *v, struct schema_report *out)
{
	struct schema_report none = {};
	struct check c = { .s = s, .out = out != NULL ? out : &none };
	bool ok;

	*c.out = (struct schema_report){ .path = "$" };
	buf_reset(&s->scratch);
	ok = apply(&c, s->root, v, NULL, NULL);
	if (c.costly) {
		(void)snprintf(c.out->text, sizeof(c.out->text),
		    "takes too long to check");
		return SCHEMA_TOO_COSTLY;
	}
	return ok ? SCHEMA_VALID : SCHEMA_INVALID;
}

/*
 * Schemas hold and name each other, so this calls itself: at most
 * SCHEMA_MAX_DEPTH times at once, which bounds the stack, whatever the
 * document says. What it has looked at is its own until it has succeeded: then
 * it is told to `up`, the schema of the same value that holds this one.
 */
static bool
apply(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *up)
{
	size_t mark = c->s->scratch.n;
	struct seen own;
	bool ok;

	if (!step(c))
		return false;
	if (c->depth == SCHEMA_MAX_DEPTH) {
		c->costly = true;
		return false;
	}
	own = seen_new(c, v);
	c->depth++;
	ok = apply_node(c, n, v, p, &own);
	c->depth--;
	if (ok && up != NULL)
		seen_merge(c, up, &own);
	c->s->scratch.n = mark;
	return ok && !c->costly;
}

static bool
apply_node(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *seen)
{
	if ((n->flags & NEVER) != 0)
		return wrong(c, p, "is not allowed here");
	if (!check_value(c, n, v, p))
		return false;
	if (n->ref != NULL && !apply(c, n->ref, v, p, seen))
		return false;
	if (json_is(v, JSON_NUMBER) && !check_number(c, n, v->num, p))
		return false;
	if (json_is(v, JSON_STRING) && !check_string(c, n, json_str(v), p))
		return false;
	if (json_is(v, JSON_ARRAY) && !check_array(c, n, v, p, seen))
		return false;
	if (json_is(v, JSON_OBJECT) && !check_object(c, n, v, p, seen))
		return false;
	return check_branches(c, n, v, p, seen) && check_rest(c, n, v, p, seen);
}

/* A schema that may fail, and then says nothing. */
static bool
try_branch(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *up)
{
	bool quiet = c->quiet;
	bool ok;

	c->quiet = true;
	ok = apply(c, n, v, p, up);
	c->quiet = quiet;
	return ok;
}

static bool
check_value(struct check *c, const struct node *n, const struct json *v,
    const struct place *p)
{
	if (n->types != 0 && (n->types & types_of(v)) == 0) {
		const struct json *t = json_get(n->at, STR("type"));

		if (json_is(t, JSON_STRING))
			return wrong(
			    c, p, "must be of type %.*s", STR_FMT(json_str(t)));
		return wrong(c, p, "is of none of the types allowed");
	}
	if (n->constant != NULL && !json_equal(n->constant, v))
		return wrong(c, p, "is not the one value allowed");
	if (n->choices != NULL) {
		for (const struct json *x = json_first(n->choices); x != NULL;
		     x = json_next(n->choices, x)) {
			if (!step(c))
				return false;
			if (json_equal(x, v))
				return true;
		}
		return wrong(c, p, "is none of the values allowed");
	}
	return true;
}

static bool
check_number(
    struct check *c, const struct node *n, double v, const struct place *p)
{
	double times = v / n->multiple;

	if ((n->flags & HAS_MAXIMUM) != 0 && v > n->maximum)
		return wrong(c, p, "must be at most %.17g", n->maximum);
	if ((n->flags & HAS_MINIMUM) != 0 && v < n->minimum)
		return wrong(c, p, "must be at least %.17g", n->minimum);
	if ((n->flags & HAS_UNDER) != 0 && v >= n->under)
		return wrong(c, p, "must be less than %.17g", n->under);
	if ((n->flags & HAS_OVER) != 0 && v <= n->over)
		return wrong(c, p, "must be more than %.17g", n->over);
	/* A quotient out of range is no whole number. */
	if ((n->flags & HAS_MULTIPLE) != 0 &&
	    (!isfinite(times) || trunc(times) != times))
		return wrong(c, p, "must be a multiple of %.17g", n->multiple);
	return true;
}

static bool
check_string(
    struct check *c, const struct node *n, struct str s, const struct place *p)
{
	uint64_t length = 0;

	/* Code points: every byte that does not continue one. */
	for (size_t i = 0; i < s.n; i++)
		length += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	if (length > n->max_length)
		return wrong(c, p, "must have at most %llu characters",
		    (unsigned long long)n->max_length);
	if (length < n->min_length)
		return wrong(c, p, "must have at least %llu characters",
		    (unsigned long long)n->min_length);
	if (n->pattern != NULL) {
		int got = schema_pattern_match(
		    n->pattern, c->s->match, c->s->limits, s);

		c->costly |= got < 0;
		if (got <= 0)
			return wrong(c, p, "does not match the pattern");
	}
	return true;
}

static bool
check_array(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *seen)
{
	uint64_t found = 0;
	uint32_t i = 0;

	if (v->n > n->max_items)
		return wrong(c, p, "must have at most %llu items",
		    (unsigned long long)n->max_items);
	if (v->n < n->min_items)
		return wrong(c, p, "must have at least %llu items",
		    (unsigned long long)n->min_items);
	if ((n->flags & UNIQUE_ITEMS) != 0 && !unique(c, v))
		return wrong(c, p, "must not have an item twice");
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x), i++) {
		const struct node *of =
		    i < n->prefix.n ? n->prefix.p[i].node : n->items;
		struct place here = { .up = p, .index = i };

		if (of == NULL && n->contains == NULL)
			break;
		if (of != NULL) {
			if (!apply(c, of, x, &here, NULL))
				return false;
			seen_mark(c, seen, i);
		}
		if (n->contains != NULL &&
		    try_branch(c, n->contains, x, &here, NULL)) {
			found++;
			seen_mark(c, seen, i);
		}
	}
	if (n->contains != NULL && found < n->min_contains)
		return wrong(c, p, "must hold at least %llu such items",
		    (unsigned long long)n->min_contains);
	if (n->contains != NULL && found > n->max_contains)
		return wrong(c, p, "must hold at most %llu such items",
		    (unsigned long long)n->max_contains);
	return true;
}

static bool
check_object(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *seen)
{
	if (v->n > n->max_properties)
		return wrong(c, p, "must have at most %llu members",
		    (unsigned long long)n->max_properties);
	if (v->n < n->min_properties)
		return wrong(c, p, "must have at least %llu members",
		    (unsigned long long)n->min_properties);
	if (n->required != NULL) {
		for (const struct json *x = json_first(n->required); x != NULL;
		     x = json_next(n->required, x)) {
			if (!step(c))
				return false;
			if (json_get(v, json_str(x)) == NULL)
				return wrong(
				    c, p, "lacks `%.*s`", STR_FMT(json_str(x)));
		}
	}
	for (uint32_t i = 0; i < n->n_needs; i++) {
		const struct json *list = n->needs[i].list;

		if (json_get(v, n->needs[i].name) == NULL)
			continue;
		for (const struct json *x = json_first(list); x != NULL;
		     x = json_next(list, x)) {
			if (!step(c))
				return false;
			if (json_get(v, json_str(x)) == NULL)
				return wrong(
				    c, p, "lacks `%.*s`", STR_FMT(json_str(x)));
		}
	}
	return check_members(c, n, v, p, seen);
}

static bool
check_members(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *seen)
{
	uint32_t i = 0;

	for (const struct json *k = json_first(v); k != NULL;
	     k = json_next(v, k), i++) {
		const struct json *x = json_value(k);
		struct place here = { .up = p, .name = json_str(k) };
		bool known = false;

		if (n->names != NULL && !apply(c, n->names, k, &here, NULL))
			return false;
		for (uint32_t b = 0; b < n->properties.n; b++) {
			if (!step(c))
				return false;
			if (!str_eq(n->properties.p[b].name, here.name))
				continue;
			known = true;
			if (!apply(c, n->properties.p[b].node, x, &here, NULL))
				return false;
		}
		for (uint32_t b = 0; b < n->patterns.n; b++) {
			int got = schema_pattern_match(n->patterns.p[b].pattern,
			    c->s->match, c->s->limits, here.name);

			c->costly |= got < 0;
			if (!step(c) || c->costly)
				return false;
			if (got == 0)
				continue;
			known = true;
			if (!apply(c, n->patterns.p[b].node, x, &here, NULL))
				return false;
		}
		if (!known && n->additional != NULL) {
			known = true;
			if (!apply(c, n->additional, x, &here, NULL))
				return false;
		}
		if (known)
			seen_mark(c, seen, i);
	}
	for (uint32_t b = 0; b < n->dependent.n; b++) {
		if (json_get(v, n->dependent.p[b].name) != NULL &&
		    !apply(c, n->dependent.p[b].node, v, p, seen))
			return false;
	}
	return true;
}

static bool
check_branches(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *seen)
{
	uint32_t fits = 0;

	for (uint32_t i = 0; i < n->all_of.n; i++)
		if (!apply(c, n->all_of.p[i].node, v, p, seen))
			return false;
	/* All are tried: each may look at other members. */
	for (uint32_t i = 0; i < n->any_of.n; i++) {
		fits += try_branch(c, n->any_of.p[i].node, v, p, seen);
		if (c->costly || (fits > 0 && seen->n == 0))
			break;
	}
	if (n->any_of.n > 0 && fits == 0)
		return wrong(c, p, "fits none of the forms allowed");
	fits = 0;
	for (uint32_t i = 0; i < n->one_of.n && !c->costly; i++)
		fits += try_branch(c, n->one_of.p[i].node, v, p, seen);
	if (n->one_of.n > 0 && fits != 1)
		return wrong(c, p, "fits %s of the forms allowed",
		    fits == 0 ? "none" : "more than one");
	if (n->not_ != NULL) {
		if (try_branch(c, n->not_, v, p, NULL))
			return wrong(c, p, "is of a form that is not allowed");
	}
	if (n->if_ != NULL) {
		const struct node *then =
		    try_branch(c, n->if_, v, p, seen) ? n->then_ : n->else_;

		if (then != NULL && !apply(c, then, v, p, seen))
			return false;
	}
	return !c->costly;
}

/* unevaluatedItems and unevaluatedProperties: what nobody has looked at. */
static bool
check_rest(struct check *c, const struct node *n, const struct json *v,
    const struct place *p, struct seen *seen)
{
	const struct node *of = json_is(v, JSON_ARRAY) ? n->other_items
	    : json_is(v, JSON_OBJECT)		       ? n->other_properties
						       : NULL;
	uint32_t i = 0;

	if (of == NULL)
		return true;
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x), i++) {
		struct place here = { .up = p, .index = i };
		const struct json *value = x;

		if (c->s->scratch.p[seen->at + i] != 0)
			continue;
		if (json_is(v, JSON_OBJECT)) {
			here.name = json_str(x);
			value = json_value(x);
		}
		if (!apply(c, of, value, &here, NULL))
			return false;
	}
	seen_mark_all(c, seen);
	return true;
}

static bool
unique(struct check *c, const struct json *v)
{
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x)) {
		for (const struct json *y = json_next(v, x); y != NULL;
		     y = json_next(v, y)) {
			if (!step(c) || json_equal(x, y))
				return false;
		}
	}
	return true;
}

static uint32_t
types_of(const struct json *v)
{
	switch ((enum json_type)v->type) {
	case JSON_NULL:
		return TYPE_NULL;
	case JSON_FALSE:
	case JSON_TRUE:
		return TYPE_BOOLEAN;
	case JSON_NUMBER:
		return trunc(v->num) == v->num ? TYPE_NUMBER | TYPE_INTEGER
					       : TYPE_NUMBER;
	case JSON_STRING:
		return TYPE_STRING;
	case JSON_ARRAY:
		return TYPE_ARRAY;
	case JSON_OBJECT:
		return TYPE_OBJECT;
	}
	return 0;
}

/* Flags for a value, none set; nothing when no schema asks for them. */
static struct seen
seen_new(struct check *c, const struct json *v)
{
	struct buf *b = &c->s->scratch;
	struct seen s = { .at = b->n };
	char *at;

	if (!c->s->tracks ||
	    (!json_is(v, JSON_ARRAY) && !json_is(v, JSON_OBJECT)))
		return (struct seen){};
	at = buf_reserve(b, v->n + 1);
	if (at == NULL) {
		c->costly = true;
		return (struct seen){};
	}
	memset(at, 0, v->n + 1);
	b->n += v->n + 1;
	s.n = v->n + 1; /* not 0, even of an empty one: somebody asks */
	return s;
}

static void
seen_mark(struct check *c, struct seen *s, uint32_t i)
{
	if (s->n > 0)
		c->s->scratch.p[s->at + i] = 1;
}

static void
seen_mark_all(struct check *c, struct seen *s)
{
	if (s->n > 0)
		memset(c->s->scratch.p + s->at, 1, s->n);
}

static void
seen_merge(struct check *c, struct seen *to, const struct seen *s)
{
	for (uint32_t i = 0; i < to->n && i < s->n; i++)
		c->s->scratch.p[to->at + i] |= c->s->scratch.p[s->at + i];
}

static bool
step(struct check *c)
{
	if (++c->steps > SCHEMA_MAX_STEPS)
		c->costly = true;
	return !c->costly;
}

/* Always false. The first is reported, unless a branch was only tried. */
static bool
wrong(struct check *c, const struct place *p, const char *fmt, ...)
{
	va_list ap;

	if (c->quiet || c->reported)
		return false;
	c->reported = true;
	path_put(p, c->out->path, sizeof(c->out->path));
	va_start(ap, fmt);
	(void)vsnprintf(c->out->text, sizeof(c->out->text), fmt, ap);
	va_end(ap);
	return false;
}

/* "$.lines[3].amount"; what does not fit is cut at the front. */
static void
path_put(const struct place *p, char *out, size_t cap)
{
	size_t at = cap - 1;
	char part[96];

	out[at] = '\0';
	for (; p != NULL; p = p->up) {
		int n = p->name.p != NULL
		    ? snprintf(part, sizeof(part), ".%.*s", STR_FMT(p->name))
		    : snprintf(part, sizeof(part), "[%u]", p->index);
		size_t bytes =
		    (size_t)n < sizeof(part) ? (size_t)n : sizeof(part) - 1;

		if (bytes + 1 > at)
			break;
		at -= bytes;
		memcpy(out + at, part, bytes);
	}
	out[--at] = '$';
	memmove(out, out + at, cap - at);
}
