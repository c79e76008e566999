#include "tools/definition.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "core/http_fields.h"

/* Names in the order of RFC 8785, so that all of it is canonical. */
static const struct kind {
	const char *list; /* the member of a result */
	const char *key;
	size_t bytes; /* of all together */
	const char *members[6];
} kinds[DEFINITION_KINDS] = {
	[DEFINITION_TOOL] = { "tools", "name", SERVER_LIST_BYTES,
	    { "annotations", "description", "inputSchema", "name",
		"outputSchema" } },
	[DEFINITION_RESOURCE] = { "resources", "uri", SERVER_OTHERS_BYTES,
	    { "description", "mimeType", "name", "size", "uri" } },
	[DEFINITION_TEMPLATE] = { "resourceTemplates", "uriTemplate",
	    SERVER_OTHERS_BYTES,
	    { "description", "mimeType", "name", "uriTemplate" } },
	[DEFINITION_PROMPT] = { "prompts", "name", SERVER_OTHERS_BYTES,
	    { "arguments", "description", "name" } },
};

static const char *fault_of(
    const struct definitions *d, const struct json *one, size_t *place);
static const char *fault_of_tool(const struct json *tool);
static const char *fault_of_other(
    const struct definitions *d, const struct json *one);
static bool arguments_ok(const struct json *list);
static bool uri_ok(struct str uri);
static void write_one(
    struct buf *out, const struct kind *k, const struct json *one);
static void refuse(
    struct definitions *d, const struct json *one, const char *why);
static bool find(const struct definitions *d, struct str name, size_t *place);

void
definitions_fini(struct definitions *d)
{
	definitions_reset(d);
	free(d->v);
	buf_fini(&d->refused);
	*d = (struct definitions){ .kind = d->kind, .mirrored = d->mirrored };
}

void
definitions_reset(struct definitions *d)
{
	for (size_t i = 0; i < d->n; i++) {
		buf_fini(&d->v[i].name);
		buf_fini(&d->v[i].json);
	}
	buf_reset(&d->refused);
	d->n = d->bytes = d->n_refused = 0;
}

int
definitions_add(struct definitions *d, const struct json *list, struct err *e)
{
	const struct kind *k = &kinds[d->kind];

	if (!json_is(list, JSON_ARRAY))
		return err_set(e, "its list of %s is none", k->list);
	if (d->v == NULL) {
		d->v = calloc(SERVER_TOOLS_MAX, sizeof(*d->v));
		if (d->v == NULL)
			return err_set(e, "out of memory");
	}
	for (const struct json *t = json_first(list); t != NULL;
	     t = json_next(list, t)) {
		size_t place = 0;
		const char *fault = fault_of(d, t, &place);
		own_buf struct buf json = { .max = SERVER_DEFINITION_BYTES };
		struct definition *row;

		if (d->n + d->n_refused >= SERVER_TOOLS_MAX)
			return err_set(
			    e, "it has over %d %s", SERVER_TOOLS_MAX, k->list);
		if (fault == NULL) {
			write_one(&json, k, t);
			if (json.failed)
				fault = "the definition is over 64 KiB";
		}
		if (fault != NULL) {
			refuse(d, t, fault);
			continue;
		}
		d->bytes += json.n;
		if (d->bytes > k->bytes)
			return err_set(e, "its %s are over %zu bytes together",
			    k->list, k->bytes);
		memmove(&d->v[place + 1], &d->v[place],
		    (d->n - place) * sizeof(*d->v));
		row = &d->v[place];
		*row = (struct definition){ .json = json };
		json = (struct buf){};
		buf_add_str(&row->name, json_str(json_get(t, str_of(k->key))));
		d->n++;
	}
	return 0;
}

void
definitions_write(struct buf *out, const struct definitions *d)
{
	buf_printf(out, "\"%s\":[", kinds[d->kind].list);
	for (size_t i = 0; i < d->n; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		buf_add_str(out, buf_str(&d->v[i].json));
	}
	buf_add_byte(out, ']');
}

const char *
definitions_member(const struct definitions *d)
{
	return kinds[d->kind].list;
}

bool
definition_name_ok(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '.' ||
			c == '-'))
			return false;
	}
	return name.n > 0 && name.n <= NAME_MAX_BYTES;
}

const struct definition *
definitions_find(const struct definitions *d, struct str name)
{
	size_t place;

	return find(d, name, &place) ? &d->v[place] : NULL;
}

/* NULL when it can be offered; *place is where it belongs then. */
static const char *
fault_of(const struct definitions *d, const struct json *one, size_t *place)
{
	const struct json *name = json_get(one, str_of(kinds[d->kind].key));
	const struct json *text = json_get(one, STR("description"));
	const char *fault;

	if (d->kind == DEFINITION_TOOL || d->kind == DEFINITION_PROMPT) {
		if (!json_is(name, JSON_STRING) ||
		    !definition_name_ok(json_str(name)))
			return "its name is not 1 to 128 letters, digits and "
			       "characters of _.-";
	} else if (!json_is(name, JSON_STRING) || !uri_ok(json_str(name))) {
		return "its URI is none, or too long";
	}
	if (find(d, json_str(name), place))
		return "there is another of this name";
	if (text != NULL && !json_is(text, JSON_STRING))
		return "its description is no text";
	if (d->kind != DEFINITION_TOOL)
		return fault_of_other(d, one);
	fault = fault_of_tool(one);
	if (fault == NULL && d->mirrored)
		fault = http_fields_fault(json_get(one, STR("inputSchema")));
	return fault;
}

static const char *
fault_of_tool(const struct json *tool)
{
	const struct json *in = json_get(tool, STR("inputSchema"));
	const struct json *out = json_get(tool, STR("outputSchema"));
	const struct json *notes = json_get(tool, STR("annotations"));
	const struct json *type = json_get(in, STR("type"));

	if (!json_is(in, JSON_OBJECT) ||
	    (type != NULL && !str_eq(json_str(type), STR("object"))))
		return "its inputSchema is not that of an object";
	if (out != NULL && !json_is(out, JSON_OBJECT))
		return "its outputSchema is no object";
	if (notes != NULL && !json_is(notes, JSON_OBJECT))
		return "its annotations are no object";
	return NULL;
}

static const char *
fault_of_other(const struct definitions *d, const struct json *one)
{
	const struct json *name = json_get(one, STR("name"));
	const struct json *type = json_get(one, STR("mimeType"));
	const struct json *size = json_get(one, STR("size"));
	const struct json *args = json_get(one, STR("arguments"));

	if (!json_is(name, JSON_STRING))
		return "its name is no text";
	if (type != NULL && !json_is(type, JSON_STRING))
		return "its mimeType is no text";
	if (size != NULL && !json_is(size, JSON_NUMBER))
		return "its size is no number";
	if (d->kind == DEFINITION_PROMPT && args != NULL && !arguments_ok(args))
		return "its arguments are not a list of names";
	return NULL;
}

/* What a prompt takes: each has a name, and may say more about itself. */
static bool
arguments_ok(const struct json *list)
{
	if (!json_is(list, JSON_ARRAY))
		return false;
	for (const struct json *a = json_first(list); a != NULL;
	     a = json_next(list, a)) {
		if (!json_is(json_get(a, STR("name")), JSON_STRING))
			return false;
	}
	return true;
}

/* A scheme, and nothing that a line or a header could end at. */
static bool
uri_ok(struct str uri)
{
	size_t scheme = str_find(uri, ':');

	for (size_t i = 0; i < uri.n; i++) {
		if ((unsigned char)uri.p[i] <= ' ' || uri.p[i] == 0x7f)
			return false;
	}
	return scheme > 0 && scheme < uri.n && uri.n <= SERVER_URI_BYTES;
}

static void
write_one(struct buf *out, const struct kind *k, const struct json *one)
{
	const size_t n = sizeof(k->members) / sizeof(k->members[0]);
	char before = '{';

	for (size_t i = 0; i < n && k->members[i] != NULL; i++) {
		const struct json *v = json_get(one, str_of(k->members[i]));

		if (v == NULL)
			continue;
		buf_add_byte(out, before);
		before = ',';
		json_put_str(out, str_of(k->members[i]));
		buf_add_byte(out, ':');
		json_write(out, v);
	}
	buf_add_byte(out, '}');
}

static void
refuse(struct definitions *d, const struct json *one, const char *why)
{
	struct str name = json_str(json_get(one, str_of(kinds[d->kind].key)));

	if (name.n > NAME_MAX_BYTES)
		name.n = NAME_MAX_BYTES; /* json_put_str mends a cut letter */
	buf_add_c(&d->refused, d->n_refused > 0 ? "," : "");
	buf_add_c(&d->refused, "{\"name\":");
	json_put_str(&d->refused, name);
	buf_add_c(&d->refused, ",\"why\":");
	json_put_str(&d->refused, str_of(why));
	buf_add_byte(&d->refused, '}');
	d->n_refused++;
}

/* True when it is there; *place is where it is, or belongs. */
static bool
find(const struct definitions *d, struct str name, size_t *place)
{
	size_t low = 0, high = d->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int cmp = str_cmp(buf_str(&d->v[mid].name), name);

		if (cmp == 0) {
			*place = mid;
			return true;
		}
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*place = low;
	return false;
}
