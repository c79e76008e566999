#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/schema_int.h"

struct compiler {
	struct schema *s;
	struct schema_fault *fault;
	uint32_t n_nodes;
	bool failed;
};

static struct node *node_of(struct compiler *c, const struct json *at);
static void read_node(struct compiler *c, struct node *n);
static void read_keyword(
    struct compiler *c, struct node *n, struct str key, const struct json *v);
static bool read_number(
    struct compiler *c, struct node *n, struct str key, const struct json *v);
static bool read_count(
    struct compiler *c, struct node *n, struct str key, const struct json *v);
static bool read_schema(
    struct compiler *c, struct node *n, struct str key, const struct json *v);
static bool read_list(
    struct compiler *c, struct node *n, struct str key, const struct json *v);
static bool read_named(
    struct compiler *c, struct node *n, struct str key, const struct json *v);
static bool read_other(
    struct compiler *c, struct node *n, struct str key, const struct json *v);
static bool note_only(struct str key);
static void read_types(
    struct compiler *c, struct node *n, const struct json *v);
static void read_needs(
    struct compiler *c, struct node *n, const struct json *v);
static bool is_names(const struct json *v);
static struct node *follow(struct compiler *c, const struct json *ref);
static const struct json *step_into(const struct json *v, struct str part);
static const struct json *find_anchor(struct compiler *c, struct str name);
static pcre2_code *pattern_of(
    struct compiler *c, struct str text, const struct json *at);
static void *scratch(struct compiler *c, size_t n);
static void wrong(struct compiler *c, const struct json *at, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

struct schema *
schema_new(const struct json *doc, struct schema_fault *fault)
{
	struct schema *s = calloc(1, sizeof(*s));
	struct compiler c = { .s = s, .fault = fault };

	*fault = (struct schema_fault){ .at = doc };
	if (s == NULL) {
		(void)snprintf(
		    fault->text, sizeof(fault->text), "no memory for a schema");
		return NULL;
	}
	s->doc = doc;
	s->by_place = scratch(&c, doc->skip * sizeof(struct node *));
	if (schema_matcher(&s->match, &s->limits) < 0)
		wrong(&c, doc, "no memory for its patterns");
	if (!c.failed)
		s->root = node_of(&c, doc);
	/* Reading one finds more: each is read once, wherever it is named. */
	for (struct node *n = s->nodes; n != NULL && !c.failed;) {
		if (!n->read) {
			n->read = true;
			read_node(&c, n);
			n = s->nodes; /* new ones are put in front */
		} else {
			n = n->next;
		}
	}
	if (!c.failed)
		return s;
	schema_free(s);
	return NULL;
}

void
schema_free(struct schema *s)
{
	if (s == NULL)
		return;
	for (struct node *n = s->nodes; n != NULL; n = n->next) {
		pcre2_code_free(n->pattern);
		for (uint32_t i = 0; i < n->patterns.n; i++)
			pcre2_code_free(n->patterns.p[i].pattern);
	}
	pcre2_match_data_free(s->match);
	pcre2_match_context_free(s->limits);
	arena_fini(&s->arena);
	buf_fini(&s->scratch);
	free(s);
}

/* The node of the schema that is this value of the document. */
static struct node *
node_of(struct compiler *c, const struct json *at)
{
	struct node **place, *n;

	if (c->failed)
		return NULL;
	place = &c->s->by_place[at - c->s->doc];
	if (*place != NULL)
		return *place;
	if (!json_is(at, JSON_OBJECT) && !json_is(at, JSON_TRUE) &&
	    !json_is(at, JSON_FALSE)) {
		wrong(c, at, "a schema is an object, true or false, not %s",
		    json_type_name(at->type));
		return NULL;
	}
	if (++c->n_nodes > SCHEMA_MAX_NODES) {
		wrong(c, at, "has over %d schemas in it: make it simpler",
		    SCHEMA_MAX_NODES);
		return NULL;
	}
	n = scratch(c, sizeof(*n));
	if (n == NULL)
		return NULL;
	n->at = at;
	n->max_length = n->max_items = n->max_properties = UINT64_MAX;
	n->max_contains = UINT64_MAX;
	n->min_contains = 1;
	n->next = c->s->nodes;
	c->s->nodes = *place = n;
	return n;
}

static void
read_node(struct compiler *c, struct node *n)
{
	if (json_is(n->at, JSON_FALSE))
		n->flags |= NEVER;
	if (!json_is(n->at, JSON_OBJECT))
		return;
	for (const struct json *key = json_first(n->at);
	     key != NULL && !c->failed; key = json_next(n->at, key))
		read_keyword(c, n, json_str(key), json_value(key));
}

static void
read_keyword(
    struct compiler *c, struct node *n, struct str key, const struct json *v)
{
	if (read_number(c, n, key, v) || read_count(c, n, key, v) ||
	    read_schema(c, n, key, v) || read_list(c, n, key, v) ||
	    read_named(c, n, key, v) || read_other(c, n, key, v) ||
	    note_only(key))
		return;
	wrong(c, v,
	    "`%.*s` is no keyword of JSON Schema 2020-12 that is enforced "
	    "here: remove it",
	    STR_FMT(key));
}

/* Each of these returns true when the keyword was its own. */
static bool
read_number(
    struct compiler *c, struct node *n, struct str key, const struct json *v)
{
	const struct {
		const char *name;
		double *to;
		uint32_t flag;
	} known[] = {
		{ "maximum", &n->maximum, HAS_MAXIMUM },
		{ "minimum", &n->minimum, HAS_MINIMUM },
		{ "exclusiveMaximum", &n->under, HAS_UNDER },
		{ "exclusiveMinimum", &n->over, HAS_OVER },
		{ "multipleOf", &n->multiple, HAS_MULTIPLE },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!str_eq_c(key, known[i].name))
			continue;
		if (!json_is(v, JSON_NUMBER) ||
		    (known[i].flag == HAS_MULTIPLE && v->num <= 0)) {
			wrong(c, v, "`%s` must be a number%s", known[i].name,
			    known[i].flag == HAS_MULTIPLE ? " above 0" : "");
			return true;
		}
		*known[i].to = v->num;
		n->flags |= known[i].flag;
		return true;
	}
	return false;
}

static bool
read_count(
    struct compiler *c, struct node *n, struct str key, const struct json *v)
{
	const struct {
		const char *name;
		uint64_t *to;
	} known[] = {
		{ "maxLength", &n->max_length },
		{ "minLength", &n->min_length },
		{ "maxItems", &n->max_items },
		{ "minItems", &n->min_items },
		{ "maxContains", &n->max_contains },
		{ "minContains", &n->min_contains },
		{ "maxProperties", &n->max_properties },
		{ "minProperties", &n->min_properties },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!str_eq_c(key, known[i].name))
			continue;
		if (json_u64(v, known[i].to) < 0)
			wrong(c, v, "`%s` must be a whole number, 0 or more",
			    known[i].name);
		return true;
	}
	return false;
}

static bool
read_schema(
    struct compiler *c, struct node *n, struct str key, const struct json *v)
{
	const struct {
		const char *name;
		struct node **to;
		bool tracks;
	} known[] = {
		{ "not", &n->not_, false },
		{ "if", &n->if_, false },
		{ "then", &n->then_, false },
		{ "else", &n->else_, false },
		{ "items", &n->items, false },
		{ "contains", &n->contains, false },
		{ "additionalProperties", &n->additional, false },
		{ "propertyNames", &n->names, false },
		{ "unevaluatedItems", &n->other_items, true },
		{ "unevaluatedProperties", &n->other_properties, true },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!str_eq_c(key, known[i].name))
			continue;
		*known[i].to = node_of(c, v);
		c->s->tracks |= known[i].tracks;
		return true;
	}
	return false;
}

static bool
read_list(
    struct compiler *c, struct node *n, struct str key, const struct json *v)
{
	struct branches *to = str_eq_c(key, "allOf") ? &n->all_of
	    : str_eq_c(key, "anyOf")		     ? &n->any_of
	    : str_eq_c(key, "oneOf")		     ? &n->one_of
	    : str_eq_c(key, "prefixItems")	     ? &n->prefix
						     : NULL;
	struct branch *all;

	if (to == NULL)
		return false;
	if (!json_is(v, JSON_ARRAY) || v->n == 0) {
		wrong(c, v, "`%.*s` must be a list of schemas, not empty",
		    STR_FMT(key));
		return true;
	}
	all = scratch(c, v->n * sizeof(*all));
	if (all == NULL)
		return true;
	to->p = all;
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x))
		all[to->n++].node = node_of(c, x);
	return true;
}

static bool
read_named(
    struct compiler *c, struct node *n, struct str key, const struct json *v)
{
	struct branches *to = str_eq_c(key, "properties") ? &n->properties
	    : str_eq_c(key, "patternProperties")	  ? &n->patterns
	    : str_eq_c(key, "dependentSchemas")		  ? &n->dependent
							  : NULL;
	struct branch *all;

	/* What nobody refers to is checked all the same. */
	if (to == NULL && !str_eq_c(key, "$defs") &&
	    !str_eq_c(key, "definitions"))
		return false;
	if (!json_is(v, JSON_OBJECT)) {
		wrong(
		    c, v, "`%.*s` must be an object of schemas", STR_FMT(key));
		return true;
	}
	all = scratch(c, (to == NULL ? 0 : v->n) * sizeof(*all));
	for (const struct json *k = json_first(v); k != NULL && !c->failed;
	     k = json_next(v, k)) {
		struct node *node = node_of(c, json_value(k));

		if (to == NULL || all == NULL)
			continue;
		to->p = all;
		all[to->n] =
		    (struct branch){ .name = json_str(k), .node = node };
		if (to == &n->patterns)
			all[to->n].pattern = pattern_of(c, json_str(k), k);
		to->n++;
	}
	return true;
}

static bool
read_other(
    struct compiler *c, struct node *n, struct str key, const struct json *v)
{
	if (str_eq_c(key, "type")) {
		read_types(c, n, v);
	} else if (str_eq_c(key, "enum")) {
		if (!json_is(v, JSON_ARRAY))
			wrong(c, v, "`enum` must be a list");
		n->choices = v;
	} else if (str_eq_c(key, "const")) {
		n->constant = v;
	} else if (str_eq_c(key, "required")) {
		if (!is_names(v))
			wrong(c, v, "`required` must be a list of names");
		n->required = v;
	} else if (str_eq_c(key, "dependentRequired")) {
		read_needs(c, n, v);
	} else if (str_eq_c(key, "uniqueItems")) {
		if (!json_is(v, JSON_TRUE) && !json_is(v, JSON_FALSE))
			wrong(c, v, "`uniqueItems` must be true or false");
		n->flags |= json_is(v, JSON_TRUE) ? UNIQUE_ITEMS : 0;
	} else if (str_eq_c(key, "pattern")) {
		if (!json_is(v, JSON_STRING))
			wrong(c, v, "`pattern` must be a text");
		else
			n->pattern = pattern_of(c, json_str(v), v);
	} else if (str_eq_c(key, "$ref")) {
		n->ref = follow(c, v);
	} else if (str_eq_c(key, "$id")) {
		if (n->at != c->s->doc)
			wrong(c, v,
			    "`$id` of a schema within another is not "
			    "supported: refer to it by \"#/...\"");
	} else if (str_eq_c(key, "$schema")) {
		if (!str_eq(json_str(v),
			STR("https://json-schema.org/draft/2020-12/schema")))
			wrong(c, v,
			    "is no \"https://json-schema.org/draft/2020-12/"
			    "schema\"");
	} else {
		return false;
	}
	return true;
}

/* What says something to people, and nothing about values. */
static bool
note_only(struct str key)
{
	static const char *const known[] = { "title", "description", "default",
		"deprecated", "readOnly", "writeOnly", "examples", "format",
		"contentEncoding", "contentMediaType", "contentSchema",
		"$comment", "$anchor" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq_c(key, known[i]))
			return true;
	return false;
}

static void
read_types(struct compiler *c, struct node *n, const struct json *v)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} known[] = {
		{ "null", TYPE_NULL },
		{ "boolean", TYPE_BOOLEAN },
		{ "number", TYPE_NUMBER },
		{ "integer", TYPE_INTEGER },
		{ "string", TYPE_STRING },
		{ "array", TYPE_ARRAY },
		{ "object", TYPE_OBJECT },
	};
	const struct json *x = json_is(v, JSON_ARRAY) ? json_first(v) : v;

	if (x == NULL)
		wrong(c, v, "`type` must name one type at least");
	while (x != NULL) {
		uint32_t bit = 0;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (json_is(x, JSON_STRING) &&
			    str_eq_c(json_str(x), known[i].name))
				bit = known[i].bit;
		if (bit == 0)
			wrong(c, x,
			    "must be a type: null, boolean, number, integer, "
			    "string, array or object");
		n->types |= bit;
		x = json_is(v, JSON_ARRAY) ? json_next(v, x) : NULL;
	}
}

static void
read_needs(struct compiler *c, struct node *n, const struct json *v)
{
	struct needs *all;

	if (!json_is(v, JSON_OBJECT)) {
		wrong(c, v, "`dependentRequired` must be an object");
		return;
	}
	all = scratch(c, v->n * sizeof(*all));
	n->needs = all;
	for (const struct json *k = json_first(v); k != NULL && all != NULL;
	     k = json_next(v, k)) {
		if (!is_names(json_value(k))) {
			wrong(c, json_value(k), "must be a list of names");
			return;
		}
		all[n->n_needs++] =
		    (struct needs){ json_str(k), json_value(k) };
	}
}

static bool
is_names(const struct json *v)
{
	if (!json_is(v, JSON_ARRAY))
		return false;
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x))
		if (!json_is(x, JSON_STRING))
			return false;
	return true;
}

/* "#", "#/$defs/name" (RFC 6901, percent-encoded), or "#anchor". */
static struct node *
follow(struct compiler *c, const struct json *ref)
{
	struct str s = json_str(ref);
	const struct json *at = c->s->doc;

	if (s.n == 0 || s.p[0] != '#') {
		wrong(c, ref,
		    "refers to another document: only \"#...\" is supported");
		return NULL;
	}
	s = (struct str){ s.p + 1, s.n - 1 };
	if (s.n > 0 && s.p[0] != '/')
		at = find_anchor(c, s);
	while (at != NULL && s.n > 0 && s.p[0] == '/') {
		struct str part = { s.p + 1,
			str_find((struct str){ s.p + 1, s.n - 1 }, '/') };

		at = step_into(at, part);
		s = (struct str){ s.p + 1 + part.n, s.n - 1 - part.n };
	}
	if (at == NULL) {
		wrong(c, ref, "refers to nothing in this schema");
		return NULL;
	}
	return node_of(c, at);
}

/* One part of a JSON pointer in a URI: "~1" and "%2F" are both a slash. */
static const struct json *
step_into(const struct json *v, struct str part)
{
	char name[256];
	size_t n = 0;
	uint64_t index;

	for (size_t i = 0; i < part.n; i++) {
		char c = part.p[i];

		if (n == sizeof(name))
			return NULL;
		if (c == '%') {
			char hex[3] = {};
			char *end;

			if (i + 2 >= part.n)
				return NULL;
			memcpy(hex, part.p + i + 1, 2);
			c = (char)strtol(hex, &end, 16);
			if (end != hex + 2)
				return NULL;
			i += 2;
		}
		if (n > 0 && name[n - 1] == '~' && (c == '0' || c == '1'))
			name[n - 1] = c == '0' ? '\1' : '/';
		else
			name[n++] = c;
	}
	/* '\1' keeps "~01" from becoming "~1" and then a slash. */
	for (size_t i = 0; i < n; i++)
		if (name[i] == '\1')
			name[i] = '~';
	if (json_is(v, JSON_OBJECT))
		return json_get(v, (struct str){ name, n });
	if (!json_is(v, JSON_ARRAY) ||
	    str_to_u64((struct str){ name, n }, &index) < 0 || index >= v->n)
		return NULL;
	v = json_first(v);
	for (const struct json *x = v; index > 0; index--)
		v = x = x + x->skip;
	return v;
}

/* The schema with this `$anchor`, wherever in the document it is. */
static const struct json *
find_anchor(struct compiler *c, struct str name)
{
	const struct json *doc = c->s->doc;

	for (uint32_t i = 0; i < doc->skip; i++) {
		const struct json *v = doc + i;

		if (json_is(v, JSON_OBJECT) &&
		    json_is(json_get(v, STR("$anchor")), JSON_STRING) &&
		    str_eq(json_str(json_get(v, STR("$anchor"))), name))
			return v;
	}
	return NULL;
}

static pcre2_code *
pattern_of(struct compiler *c, struct str text, const struct json *at)
{
	const char *why;
	pcre2_code *code = schema_pattern(text, &why);

	if (code == NULL)
		wrong(c, at, "the pattern %s", why);
	return code;
}

static void *
scratch(struct compiler *c, size_t n)
{
	void *p = arena_alloc(&c->s->arena, n);

	if (p == NULL)
		wrong(c, c->s->doc, "takes too much memory");
	return p;
}

/* The first thing found stays. */
static void
wrong(struct compiler *c, const struct json *at, const char *fmt, ...)
{
	va_list ap;

	if (c->failed)
		return;
	c->failed = true;
	c->fault->at = at;
	va_start(ap, fmt);
	(void)vsnprintf(c->fault->text, sizeof(c->fault->text), fmt, ap);
	va_end(ap);
}
