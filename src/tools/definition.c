#include "tools/definition.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

static const char *fault_of(
    const struct definitions *d, const struct json *tool, size_t *place);
static void write_one(struct buf *out, const struct json *tool);
static void refuse(
    struct definitions *d, const struct json *tool, const char *why);
static bool find(const struct definitions *d, struct str name, size_t *place);

void
definitions_fini(struct definitions *d)
{
	definitions_reset(d);
	free(d->v);
	buf_fini(&d->refused);
	*d = (struct definitions){};
}

void
definitions_reset(struct definitions *d)
{
	for (size_t i = 0; i < d->n; i++)
		buf_fini(&d->v[i].json);
	buf_reset(&d->refused);
	d->n = d->bytes = d->n_refused = 0;
}

int
definitions_add(struct definitions *d, const struct json *tools, struct err *e)
{
	if (!json_is(tools, JSON_ARRAY))
		return err_set(e, "its list of tools is none");
	if (d->v == NULL) {
		d->v = calloc(SERVER_TOOLS_MAX, sizeof(*d->v));
		if (d->v == NULL)
			return err_set(e, "out of memory");
	}
	for (const struct json *t = json_first(tools); t != NULL;
	     t = json_next(tools, t)) {
		size_t place = 0;
		const char *fault = fault_of(d, t, &place);
		own_buf struct buf json = { .max = SERVER_DEFINITION_BYTES };
		struct definition *row;

		if (d->n + d->n_refused >= SERVER_TOOLS_MAX)
			return err_set(
			    e, "it has over %d tools", SERVER_TOOLS_MAX);
		if (fault == NULL) {
			write_one(&json, t);
			if (json.failed)
				fault = "the definition is over 64 KiB";
		}
		if (fault != NULL) {
			refuse(d, t, fault);
			continue;
		}
		d->bytes += json.n;
		if (d->bytes > SERVER_LIST_BYTES)
			return err_set(e,
			    "its definitions are over %d bytes together",
			    SERVER_LIST_BYTES);
		memmove(&d->v[place + 1], &d->v[place],
		    (d->n - place) * sizeof(*d->v));
		row = &d->v[place];
		*row = (struct definition){ .json = json };
		json = (struct buf){};
		must(str_copy(json_str(json_get(t, STR("name"))), row->name,
			 sizeof(row->name)) == 0);
		d->n++;
	}
	return 0;
}

void
definitions_write(struct buf *out, const struct definitions *d)
{
	buf_add_c(out, "\"refused\":[");
	buf_add_str(out, buf_str(&d->refused));
	buf_add_c(out, "],\"tools\":[");
	for (size_t i = 0; i < d->n; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		buf_add_str(out, buf_str(&d->v[i].json));
	}
	buf_add_byte(out, ']');
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

/* NULL when the tool can be offered; *place is where it belongs then. */
static const char *
fault_of(const struct definitions *d, const struct json *tool, size_t *place)
{
	const struct json *name = json_get(tool, STR("name"));
	const struct json *text = json_get(tool, STR("description"));
	const struct json *in = json_get(tool, STR("inputSchema"));
	const struct json *out = json_get(tool, STR("outputSchema"));
	const struct json *notes = json_get(tool, STR("annotations"));
	const struct json *type = json_get(in, STR("type"));

	if (!json_is(name, JSON_STRING) || !definition_name_ok(json_str(name)))
		return "its name is not 1 to 128 letters, digits and "
		       "characters of _.-";
	if (find(d, json_str(name), place))
		return "there is another of this name";
	if (text != NULL && !json_is(text, JSON_STRING))
		return "its description is no text";
	if (!json_is(in, JSON_OBJECT) ||
	    (type != NULL && !str_eq(json_str(type), STR("object"))))
		return "its inputSchema is not that of an object";
	if (out != NULL && !json_is(out, JSON_OBJECT))
		return "its outputSchema is no object";
	if (notes != NULL && !json_is(notes, JSON_OBJECT))
		return "its annotations are no object";
	return NULL;
}

/* Names in the order of RFC 8785, so that all of it is canonical. */
static void
write_one(struct buf *out, const struct json *tool)
{
	static const char *const members[] = { "annotations", "description",
		"inputSchema", "name", "outputSchema" };
	char before = '{';

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const struct json *v = json_get(tool, str_of(members[i]));

		if (v == NULL)
			continue;
		buf_add_byte(out, before);
		before = ',';
		json_put_str(out, str_of(members[i]));
		buf_add_byte(out, ':');
		json_write(out, v);
	}
	buf_add_byte(out, '}');
}

static void
refuse(struct definitions *d, const struct json *tool, const char *why)
{
	struct str name = json_str(json_get(tool, STR("name")));

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
		int cmp = str_cmp(str_of(d->v[mid].name), name);

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
