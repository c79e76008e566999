/*
 * What a tool server says its tools are, and what it answers to a call: the
 * same document as a list of tools, as params and as each kind of result.
 *
 * Holds: what is taken over is canonical JSON, and taken again it stays what it
 * is; names are in order and once; no head of a request can be ended by what a
 * message says, no name of a field in it comes twice, and who checks it finds
 * that it says what the message does.
 */
#include "base/must.h"
#include "codec/base64.h"
#include "core/http_fields.h"
#include "tools/definition.h"
#include "tools/result.h"

static const struct json *
parse(struct str text, struct arena *a)
{
	struct err e = {};

	return json_parse(text, NULL, a, &e, NULL);
}

static void
check_canonical(struct str text, struct arena *a)
{
	own_buf struct buf again = {};
	const struct json *v = parse(text, a);

	must(v != NULL);
	json_write(&again, v);
	must(str_eq(buf_str(&again), text));
}

static void
check_list(const struct json *v, enum definition_kind kind, struct arena *a)
{
	struct definitions d = { .kind = kind, .mirrored = true };
	struct definitions twice = { .kind = kind, .mirrored = true };
	own_buf struct buf text = {}, again = {};
	struct err e = {};

	if (definitions_add(&d, v, &e) == 0) {
		buf_add_byte(&text, '{');
		definitions_write(&text, &d);
		buf_add_byte(&text, '}');
		check_canonical(buf_str(&text), a);
		for (size_t i = 1; i < d.n; i++)
			must(str_cmp(buf_str(&d.v[i - 1].name),
				 buf_str(&d.v[i].name)) < 0);
		must(definitions_add(&twice,
			 json_get(parse(buf_str(&text), a),
			     str_of(definitions_member(&d))),
			 &e) == 0);
		must(twice.n == d.n && twice.n_refused == 0);
		buf_add_byte(&again, '{');
		definitions_write(&again, &twice);
		buf_add_byte(&again, '}');
		must(str_eq(buf_str(&text), buf_str(&again)));
	}
	definitions_fini(&d);
	definitions_fini(&twice);
}

static void
check_result(const struct json *v, enum server_ask ask, struct arena *a)
{
	own_buf struct buf out = {}, again = {};
	bool failed = false, still = false;
	struct err e = {};
	const struct json *taken;

	if ((ask == SERVER_ASK_TOOL ? result_take(&out, v, &failed, &e)
				    : result_take_other(&out, ask, v, &e)) < 0)
		return;
	check_canonical(buf_str(&out), a);
	taken = parse(buf_str(&out), a);
	must((ask == SERVER_ASK_TOOL
		     ? result_take(&again, taken, &still, &e)
		     : result_take_other(&again, ask, taken, &e)) == 0);
	must(failed == still && str_eq(buf_str(&out), buf_str(&again)));
}

/* Lines of "Name: value", and each name once. */
static void
check_head(struct str head)
{
	struct str names[256];
	size_t n = 0;

	while (head.n > 0) {
		size_t end = str_find(head, '\r');
		size_t colon = str_find(head, ':');

		must(end + 1 < head.n && head.p[end + 1] == '\n');
		must(colon > 0 && colon < end);
		for (size_t i = 0; i < end; i++)
			must(head.p[i] >= ' ' && head.p[i] <= '~');
		for (size_t i = 0; i < n; i++)
			must(!str_eq_nocase(
			    names[i], (struct str){ head.p, colon }));
		must(n < sizeof(names) / sizeof(names[0]));
		names[n++] = (struct str){ head.p, colon };
		head.p += end + 2;
		head.n -= end + 2;
	}
}

/* What a head repeats is what who checks it wants. */
static void
check_agrees(struct str head, const struct json *args,
    const struct json *schema, struct arena *a)
{
	static const struct str param = STR("Mcp-Param-");
	own_buf struct buf fields = {};
	struct err e = {};
	struct str name;

	buf_add_byte(&fields, '{');
	while (head.n > 0) {
		size_t end = str_find(head, '\r');
		size_t colon = str_find(head, ':');
		struct str value = { head.p + colon + 2, end - colon - 2 };
		own_buf struct buf plain = {};

		if (value.n >= 11 && str_starts(value, STR("=?base64?")) &&
		    str_ends(value, STR("?="))) {
			value.p += 9;
			value.n -= 11;
			must(base64_decode(
				 &plain, value, BASE64_STANDARD, &e) == 0);
		} else {
			buf_add_str(&plain, value);
		}
		if (str_starts(head, param)) {
			buf_add_c(&fields, fields.n > 1 ? "," : "");
			json_put_str(&fields,
			    (struct str){ head.p + param.n, colon - param.n });
			buf_add_byte(&fields, ':');
			json_put_str(&fields, buf_str(&plain));
		}
		head.p += end + 2;
		head.n -= end + 2;
	}
	buf_add_byte(&fields, '}');
	must(http_fields_differ(
		 schema, args, parse(buf_str(&fields), a), &name) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_arena struct arena a = { .max_bytes = 64 << 20 };
	const struct str in = { (const char *)data, size };
	const struct json *v = parse(in, &a), *schema;
	own_buf struct buf head = {};

	if (v == NULL)
		return 0;
	for (int k = 0; k < DEFINITION_KINDS; k++)
		check_list(v, (enum definition_kind)k, &a);
	for (int k = 0; k < SERVER_ASKS; k++)
		check_result(v, (enum server_ask)k, &a);
	schema = json_get(v, STR("schema"));
	if (schema != NULL && http_fields_fault(schema) != NULL)
		schema = NULL;
	http_fields_write(&head, STR("tools/call"), v, schema);
	check_head(buf_str(&head));
	if (schema != NULL)
		check_agrees(
		    buf_str(&head), json_get(v, STR("arguments")), schema, &a);
	return 0;
}
