#include "core/http_fields.h"

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/http1.h"

enum {
	PLACES_MAX = 64, /* objects within objects that are looked at */
	NAMES_MAX = 64, /* annotations in one schema */
	FIELD_PARSE_BYTES = 64 * 1024, /* for a number */
};

/* A walk along "properties", and the arguments beside it. */
struct place {
	const struct json *schema, *args;
};

struct walk {
	struct buf *out; /* NULL: nothing is written */
	const struct json *fields; /* to be held against; NULL: none are */
	struct str name; /* of the one that differs */
	struct str names[NAMES_MAX];
	size_t n_names;
	const char *fault;
};

static const struct str key = { "x-mcp-header", 12 };

static void walk_schema(
    struct walk *w, const struct json *schema, const struct json *args);
static void take(struct walk *w, const struct json *name,
    const struct json *schema, const struct json *value);
static void compare(struct walk *w, struct str name, const struct json *value);
static bool says(struct str field, const struct json *value);
static bool is_among(const struct walk *w, struct str name);
static size_t count_keys(const struct json *schema);

void
http_fields_write(struct buf *out, struct str method, const struct json *params,
    const struct json *schema)
{
	static const struct {
		struct str method, member;
	} named[] = {
		{ STR("tools/call"), STR("name") },
		{ STR("prompts/get"), STR("name") },
		{ STR("resources/read"), STR("uri") },
	};
	struct walk w = { .out = out };

	buf_add_c(out, "Mcp-Method: ");
	buf_add_str(out, method);
	buf_add_c(out, "\r\n");
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (!str_eq(method, named[i].method))
			continue;
		buf_add_c(out, "Mcp-Name: ");
		http_field_put(
		    out, json_str(json_get(params, named[i].member)));
		buf_add_c(out, "\r\n");
	}
	if (schema != NULL)
		walk_schema(&w, schema, json_get(params, STR("arguments")));
}

const char *
http_fields_fault(const struct json *schema)
{
	struct walk w = {};

	walk_schema(&w, schema, NULL);
	/* One that is elsewhere says nothing about an argument. */
	if (w.fault == NULL && count_keys(schema) != w.n_names)
		return "an x-mcp-header in its inputSchema is not at an "
		       "argument";
	return w.fault;
}

const char *
http_fields_differ(const struct json *schema, const struct json *args,
    const struct json *fields, struct str *name)
{
	struct walk w = { .fields = fields };

	walk_schema(&w, schema, args);
	*name = w.name;
	return w.fault;
}

void
http_field_put(struct buf *out, struct str value)
{
	bool plain = !(
	    str_starts(value, STR("=?base64?")) && str_ends(value, STR("?=")));

	for (size_t i = 0; i < value.n && plain; i++)
		plain = value.p[i] >= ' ' && value.p[i] <= '~';
	if (value.n > 0 && (value.p[0] == ' ' || value.p[value.n - 1] == ' '))
		plain = false;
	if (plain) {
		buf_add_str(out, value);
		return;
	}
	buf_add_c(out, "=?base64?");
	base64_encode(out, value, BASE64_STANDARD);
	buf_add_c(out, "?=");
}

static void
walk_schema(struct walk *w, const struct json *schema, const struct json *args)
{
	struct place places[PLACES_MAX] = { { schema, args } };
	size_t n = 1;

	for (size_t i = 0; i < n && w->fault == NULL; i++) {
		const struct json *all =
		    json_get(places[i].schema, STR("properties"));

		if (!json_is(all, JSON_OBJECT))
			continue;
		for (const struct json *k = json_first(all);
		     k != NULL && w->fault == NULL; k = json_next(all, k)) {
			const struct json *one = json_value(k);
			const struct json *value =
			    json_get(places[i].args, json_str(k));
			const struct json *name = json_get(one, key);

			if (name != NULL)
				take(w, name, one, value);
			if (!json_is(
				json_get(one, STR("properties")), JSON_OBJECT))
				continue;
			/* What is deeper is not counted, and so refused. */
			if (n < PLACES_MAX)
				places[n++] = (struct place){ one, value };
		}
	}
}

static void
take(struct walk *w, const struct json *name, const struct json *schema,
    const struct json *value)
{
	struct str type = json_str(json_get(schema, STR("type")));
	struct str s = json_str(name);
	own_buf struct buf text = {};

	if (!http1_is_token(s) || s.n > NAME_MAX_BYTES)
		w->fault = "an x-mcp-header in its inputSchema is no name of a "
			   "field";
	else if (is_among(w, s) || w->n_names == NAMES_MAX)
		w->fault = "an x-mcp-header in its inputSchema is there twice, "
			   "or there are too many";
	else if (!str_eq_c(type, "string") && !str_eq_c(type, "integer") &&
	    !str_eq_c(type, "boolean"))
		w->fault = "an x-mcp-header in its inputSchema is at an "
			   "argument that is no string, integer or boolean";
	if (w->fault != NULL)
		return;
	w->names[w->n_names++] = s;
	if (w->fields != NULL)
		compare(w, s, value);
	if (w->out == NULL || value == NULL || json_is(value, JSON_NULL) ||
	    json_is(value, JSON_OBJECT) || json_is(value, JSON_ARRAY))
		return;
	buf_add_c(w->out, "Mcp-Param-");
	buf_add_str(w->out, s);
	buf_add_c(w->out, ": ");
	if (json_is(value, JSON_STRING))
		buf_add_str(&text, json_str(value));
	else
		json_write(&text, value);
	http_field_put(w->out, buf_str(&text));
	buf_add_c(w->out, "\r\n");
}

static void
compare(struct walk *w, struct str name, const struct json *value)
{
	const struct json *field = NULL;

	if (json_is(value, JSON_NULL) || json_is(value, JSON_OBJECT) ||
	    json_is(value, JSON_ARRAY))
		value = NULL; /* no field can say it */
	for (const struct json *k = json_first(w->fields);
	     k != NULL && field == NULL; k = json_next(w->fields, k)) {
		if (str_eq_nocase(json_str(k), name))
			field = json_value(k);
	}
	if (value == NULL && field != NULL)
		w->fault = "says what the body does not";
	else if (value != NULL && field == NULL)
		w->fault = "is missing";
	else if (value != NULL && !says(json_str(field), value))
		w->fault = "is not what the body says";
	if (w->fault != NULL)
		w->name = name;
}

/* A number may be written in more than one way: 42 and 42.0 */
static bool
says(struct str field, const struct json *value)
{
	own_arena struct arena a = { .max_bytes = FIELD_PARSE_BYTES };
	own_buf struct buf text = {};
	struct err e = {};
	const struct json *number;

	if (json_is(value, JSON_STRING))
		return str_eq(field, json_str(value));
	json_write(&text, value);
	if (str_eq(field, buf_str(&text)))
		return true;
	if (!json_is(value, JSON_NUMBER) || field.n > NAME_MAX_BYTES)
		return false;
	number = json_parse(field, NULL, &a, &e, NULL);
	return json_is(number, JSON_NUMBER) && number->num == value->num;
}

static bool
is_among(const struct walk *w, struct str name)
{
	for (size_t i = 0; i < w->n_names; i++) {
		if (str_eq_nocase(w->names[i], name))
			return true;
	}
	return false;
}

/* In canonical text a quote stands in front of a name, never within a text. */
static size_t
count_keys(const struct json *schema)
{
	static const struct str quoted = { "\"x-mcp-header\":", 15 };
	own_buf struct buf text = {};
	size_t n = 0;

	json_write(&text, schema);
	for (size_t i = 0; i + quoted.n <= text.n; i++)
		n += str_eq((struct str){ text.p + i, quoted.n }, quoted);
	return n;
}
