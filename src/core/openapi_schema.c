/*
 * The arguments of an operation as a JSON Schema 2020-12. Schemas of 3.0 are
 * another dialect (nullable, boolean exclusiveMinimum), and both may hold what
 * says nothing about values: only keywords that are known go over. Each schema
 * that is referred to becomes one of $defs, once.
 */
#include <string.h>

#include "base/limits.h"
#include "core/openapi.h"

enum place { AT_SCHEMA, AT_MAP, AT_LIST };

/* A container that is being written. */
struct level {
	const struct json *of, *at; /* at: its next member or element */
	enum place place;
	bool any; /* something of it is written */
};

struct writing {
	struct buf *out;
	const struct openapi *api;
	struct str defs[OPENAPI_DEFS_MAX]; /* that are referred to */
	uint32_t n_defs;
	bool bad; /* a reference leads elsewhere, or it is too deep */
	struct level level[SCHEMA_MAX_DEPTH];
	uint32_t depth;
};

enum keyword_kind { PLAIN, ONE, MAP, LIST };

static const struct {
	struct str name;
	enum keyword_kind kind;
} keywords[] = {
	{ STR("type"), PLAIN },
	{ STR("title"), PLAIN },
	{ STR("description"), PLAIN },
	{ STR("default"), PLAIN },
	{ STR("enum"), PLAIN },
	{ STR("const"), PLAIN },
	{ STR("format"), PLAIN },
	{ STR("pattern"), PLAIN },
	{ STR("minLength"), PLAIN },
	{ STR("maxLength"), PLAIN },
	{ STR("minItems"), PLAIN },
	{ STR("maxItems"), PLAIN },
	{ STR("uniqueItems"), PLAIN },
	{ STR("minContains"), PLAIN },
	{ STR("maxContains"), PLAIN },
	{ STR("minProperties"), PLAIN },
	{ STR("maxProperties"), PLAIN },
	{ STR("required"), PLAIN },
	{ STR("dependentRequired"), PLAIN },
	{ STR("minimum"), PLAIN },
	{ STR("maximum"), PLAIN },
	{ STR("exclusiveMinimum"), PLAIN },
	{ STR("exclusiveMaximum"), PLAIN },
	{ STR("multipleOf"), PLAIN },
	{ STR("items"), ONE },
	{ STR("additionalProperties"), ONE },
	{ STR("not"), ONE },
	{ STR("if"), ONE },
	{ STR("then"), ONE },
	{ STR("else"), ONE },
	{ STR("contains"), ONE },
	{ STR("propertyNames"), ONE },
	{ STR("unevaluatedItems"), ONE },
	{ STR("unevaluatedProperties"), ONE },
	{ STR("properties"), MAP },
	{ STR("patternProperties"), MAP },
	{ STR("dependentSchemas"), MAP },
	{ STR("allOf"), LIST },
	{ STR("anyOf"), LIST },
	{ STR("oneOf"), LIST },
	{ STR("prefixItems"), LIST },
};

static void write_schema(struct writing *w, const struct json *schema);
static void write_member(
    struct writing *w, struct level *l, const struct json *key);
static bool write_special(
    struct writing *w, struct level *l, const struct json *key);
static void write_ref(struct writing *w, struct level *l, struct str ref);
static void write_name(struct writing *w, struct level *l, struct str name);
static void enter(struct writing *w, const struct json *v, enum place place);
static void write_argument(struct writing *w, bool first, struct str name,
    struct str description, const struct json *schema);

int
openapi_input(
    struct buf *out, const struct openapi *api, const struct openapi_op *op)
{
	static struct writing w; /* large, and used for one at a time */
	const struct json *schemas =
	    json_at(api->doc, "components", "schemas", NULL);
	bool any = false;

	w = (struct writing){ .out = out, .api = api };
	buf_add_c(out, "{\"type\":\"object\",\"properties\":{");
	for (uint32_t i = 0; i < op->n_params; i++)
		write_argument(&w, i == 0, op->params[i].name,
		    op->params[i].description, op->params[i].schema);
	if (op->body != OPENAPI_NO_BODY)
		write_argument(&w, op->n_params == 0, STR("body"), STR(""),
		    op->body_schema);
	buf_add_c(out, "},\"required\":[");
	for (uint32_t i = 0; i < op->n_params; i++) {
		if (!op->params[i].required)
			continue;
		buf_add_c(out, any ? "," : "");
		json_put_str(out, op->params[i].name);
		any = true;
	}
	if (op->body != OPENAPI_NO_BODY && op->body_required)
		buf_add_c(out, any ? ",\"body\"" : "\"body\"");
	buf_add_c(out, "],\"additionalProperties\":false");
	for (uint32_t i = 0; i < w.n_defs && !w.bad; i++) {
		const struct json *def = json_get(schemas, w.defs[i]);

		buf_add_c(out, i == 0 ? ",\"$defs\":{" : ",");
		json_put_str(out, w.defs[i]);
		buf_add_byte(out, ':');
		w.bad |= def == NULL;
		write_schema(&w, def);
	}
	buf_add_c(out, w.n_defs > 0 ? "}}" : "}");
	return w.bad || out->failed || out->n > OPENAPI_SCHEMA_BYTES ? -1 : 0;
}

static void
write_argument(struct writing *w, bool first, struct str name,
    struct str description, const struct json *schema)
{
	bool says =
	    json_get(schema, STR("description")) != NULL || description.n == 0;

	buf_add_c(w->out, first ? "" : ",");
	json_put_str(w->out, name);
	buf_add_byte(w->out, ':');
	if (says) {
		write_schema(w, schema);
		return;
	}
	/* Beside it, as a schema may be no object. */
	buf_add_c(w->out, "{\"description\":");
	json_put_str(w->out, description);
	buf_add_c(w->out, ",\"allOf\":[");
	write_schema(w, schema);
	buf_add_c(w->out, "]}");
}

/* Without recursion, since documents are as deep as their authors like. */
static void
write_schema(struct writing *w, const struct json *schema)
{
	w->depth = 0;
	enter(w, schema, AT_SCHEMA);
	while (w->depth > 0 && !w->bad) {
		struct level *l = &w->level[w->depth - 1];
		const struct json *x = l->at;

		if (x == NULL) {
			buf_add_byte(w->out, l->place == AT_LIST ? ']' : '}');
			w->depth--;
			continue;
		}
		l->at = json_next(l->of, x);
		switch (l->place) {
		case AT_SCHEMA:
			write_member(w, l, x);
			break;
		case AT_MAP:
			write_name(w, l, json_str(x));
			enter(w, json_value(x), AT_SCHEMA);
			break;
		case AT_LIST:
			buf_add_c(w->out, l->any ? "," : "");
			l->any = true;
			enter(w, x, AT_SCHEMA);
			break;
		}
	}
}

static void
enter(struct writing *w, const struct json *v, enum place place)
{
	bool good = json_is(v, place == AT_LIST ? JSON_ARRAY : JSON_OBJECT);

	/* A schema may be true or false; what is none says nothing. */
	if (!good) {
		if (place == AT_SCHEMA && json_is(v, JSON_FALSE))
			buf_add_c(w->out, "false");
		else
			buf_add_c(w->out, place == AT_LIST ? "[]" : "{}");
		return;
	}
	if (w->depth == SCHEMA_MAX_DEPTH) {
		w->bad = true;
		return;
	}
	buf_add_byte(w->out, place == AT_LIST ? '[' : '{');
	w->level[w->depth++] =
	    (struct level){ .of = v, .at = json_first(v), .place = place };
}

static void
write_member(struct writing *w, struct level *l, const struct json *key)
{
	struct str name = json_str(key);
	const struct json *v = json_value(key);

	if (write_special(w, l, key))
		return;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (!str_eq(keywords[i].name, name))
			continue;
		write_name(w, l, name);
		switch (keywords[i].kind) {
		case PLAIN:
			json_write(w->out, v);
			return;
		case ONE:
			enter(w, v, AT_SCHEMA);
			return;
		case MAP:
			enter(w, v, AT_MAP);
			return;
		case LIST:
			enter(w, v, AT_LIST);
			return;
		}
	}
}

/* What is otherwise in 3.0, and what leads elsewhere. True: it is done. */
static bool
write_special(struct writing *w, struct level *l, const struct json *key)
{
	static const struct {
		struct str limit, exclusive;
	} bounds[] = {
		{ STR("minimum"), STR("exclusiveMinimum") },
		{ STR("maximum"), STR("exclusiveMaximum") },
	};
	struct str name = json_str(key);
	const struct json *v = json_value(key);

	if (str_eq(name, STR("$ref"))) {
		write_ref(w, l, json_str(v));
		return true;
	}
	if (str_eq(name, STR("$dynamicRef"))) {
		w->bad = true;
		return true;
	}
	if (!w->api->is_30)
		return false;
	if (str_eq(name, STR("type")) && json_is(v, JSON_STRING) &&
	    json_bool(json_get(l->of, STR("nullable")), false)) {
		write_name(w, l, name);
		buf_add_byte(w->out, '[');
		json_write(w->out, v);
		buf_add_c(w->out, ",\"null\"]");
		return true;
	}
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		if (str_eq(name, bounds[i].exclusive))
			return true;
		if (!str_eq(name, bounds[i].limit) ||
		    !json_bool(json_get(l->of, bounds[i].exclusive), false))
			continue;
		write_name(w, l, bounds[i].exclusive);
		json_write(w->out, v);
		return true;
	}
	return false;
}

static void
write_ref(struct writing *w, struct level *l, struct str ref)
{
	static const struct str head = STR("#/components/schemas/");
	struct str name = { ref.p + head.n, ref.n - head.n };
	uint32_t i = 0;

	if (!str_starts(ref, head) || name.n == 0) {
		w->bad = true;
		return;
	}
	for (size_t k = 0; k < name.n; k++) {
		char c = name.p[k];

		/* The names that a component may have. */
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '.' || c == '_' ||
			c == '-'))
			w->bad = true;
	}
	while (i < w->n_defs && !str_eq(w->defs[i], name))
		i++;
	if (w->bad || i == OPENAPI_DEFS_MAX) {
		w->bad = true;
		return;
	}
	if (i == w->n_defs)
		w->defs[w->n_defs++] = name;
	write_name(w, l, STR("$ref"));
	buf_add_c(w->out, "\"#/$defs/");
	buf_add_str(w->out, name);
	buf_add_byte(w->out, '"');
}

static void
write_name(struct writing *w, struct level *l, struct str name)
{
	buf_add_c(w->out, l->any ? "," : "");
	l->any = true;
	json_put_str(w->out, name);
	buf_add_byte(w->out, ':');
}
