/* What a tool server says, as far as no pipe is needed to read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/definition.h"
#include "core/http_fields.h"
#include "tools/result.h"

static const struct json *
parse(struct arena *a, const char *text)
{
	struct err e = {};
	const struct json *v = json_parse(str_of(text), NULL, a, &e, NULL);

	if (v == NULL)
		fail_msg("%s", e.text);
	return v;
}

static void
definitions_are_sorted_canonical_and_without_what_was_not_reviewed(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf out = {};
	struct definitions d = {};
	struct err e = {};

	(void)state;
	assert_int_equal(
	    definitions_add(&d,
		parse(&a,
		    "[{\"title\":\"shown\",\"name\":\"b\",\"inputSchema\":{"
		    "\"type\":\"object\",\"properties\":{}},\"icons\":[]},"
		    "{\"name\":\"a\",\"description\":\"d\",\"inputSchema\":{}}"
		    "]"),
		&e),
	    0);
	definitions_write(&out, &d);
	assert_string_equal(buf_c(&out),
	    "\"tools\":[{\"description\":\"d\","
	    "\"inputSchema\":{},\"name\":\"a\"},{\"inputSchema\":{"
	    "\"properties\":{},\"type\":\"object\"},\"name\":\"b\"}]");
	definitions_fini(&d);
}

static void
a_head_repeats_what_its_message_says(void **state)
{
	static const struct {
		const char *method, *params, *schema, *want;
	} rows[] = {
		{ "tools/list", "{}", NULL, "Mcp-Method: tools/list\r\n" },
		{ "prompts/get", "{\"name\":\"p\"}", NULL,
		    "Mcp-Method: prompts/get\r\nMcp-Name: p\r\n" },
		{ "resources/read", "{\"uri\":\"a://\u00e9\"}", NULL,
		    "Mcp-Method: resources/read\r\n"
		    "Mcp-Name: =?base64?YTovL8Op?=\r\n" },
		/* What would be taken for encoded is. */
		{ "tools/call", "{\"name\":\"=?base64?eA==?=\"}", NULL,
		    "Mcp-Method: tools/call\r\n"
		    "Mcp-Name: =?base64?PT9iYXNlNjQ/ZUE9PT89?=\r\n" },
		{ "tools/call",
		    "{\"arguments\":{\"a\":\"x\",\"b\":true,\"c\":42,"
		    "\"d\":null,\"f\":{\"g\":\" h\\r\\n\"},\"q\":1},"
		    "\"name\":\"t\"}",
		    "{\"properties\":{\"a\":{\"type\":\"string\","
		    "\"x-mcp-header\":\"A\"},\"b\":{\"type\":\"boolean\","
		    "\"x-mcp-header\":\"B\"},\"c\":{\"type\":\"integer\","
		    "\"x-mcp-header\":\"C\"},\"d\":{\"type\":\"string\","
		    "\"x-mcp-header\":\"D\"},\"e\":{\"type\":\"string\","
		    "\"x-mcp-header\":\"E\"},\"f\":{\"properties\":{\"g\":{"
		    "\"type\":\"string\",\"x-mcp-header\":\"G\"}}},\"q\":{"
		    "\"type\":\"integer\"}}}",
		    "Mcp-Method: tools/call\r\nMcp-Name: t\r\n"
		    "Mcp-Param-A: x\r\nMcp-Param-B: true\r\n"
		    "Mcp-Param-C: 42\r\nMcp-Param-G: =?base64?IGgNCg==?=\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		own_buf struct buf out = {};

		http_fields_write(&out, str_of(rows[i].method),
		    parse(&a, rows[i].params),
		    rows[i].schema != NULL ? parse(&a, rows[i].schema) : NULL);
		assert_string_equal(buf_c(&out), rows[i].want);
	}
}

static void
a_schema_with_an_annotation_that_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *properties;
		bool good;
	} rows[] = {
		{ "{}", true },
		{ "{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"R\"}}",
		    true },
		{ "{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"\"}}",
		    false },
		{ "{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"a b\"}}",
		    false },
		{ "{\"a\":{\"type\":\"string\",\"x-mcp-header\":"
		  "\"a\\r\\nX: y\"}}",
		    false },
		{ "{\"a\":{\"type\":\"string\",\"x-mcp-header\":7}}", false },
		{ "{\"a\":{\"type\":\"number\",\"x-mcp-header\":\"R\"}}",
		    false },
		{ "{\"a\":{\"type\":\"object\",\"x-mcp-header\":\"R\"}}",
		    false },
		{ "{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"R\"},"
		  "\"b\":{\"type\":\"string\",\"x-mcp-header\":\"r\"}}",
		    false },
		/* Not at an argument that is always there to be looked at. */
		{ "{\"a\":{\"items\":{\"type\":\"string\",\"x-mcp-header\":"
		  "\"R\"},\"type\":\"array\"}}",
		    false },
		/* A text that looks like one. */
		{ "{\"a\":{\"description\":\"\\\"x-mcp-header\\\":1\"}}",
		    true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		own_buf struct buf text = {};

		buf_printf(&text, "{\"properties\":%s}", rows[i].properties);
		assert_true((http_fields_fault(parse(&a, buf_c(&text))) ==
				NULL) == rows[i].good);
	}
}

static void
fields_that_a_call_came_with_say_what_its_arguments_do(void **state)
{
	static const char schema[] =
	    "{\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":"
	    "\"Area\"},\"n\":{\"type\":\"integer\",\"x-mcp-header\":\"N\"},"
	    "\"in\":{\"properties\":{\"b\":{\"type\":\"boolean\","
	    "\"x-mcp-header\":\"Sure\"}}}}}";
	static const struct {
		const char *args, *fields;
		const char *name, *why; /* NULL: they agree */
	} rows[] = {
		{ "{}", "{}", NULL, NULL },
		{ "{\"a\":\"x\"}", "{\"area\":\"x\"}", NULL, NULL },
		{ "{\"a\":\"\"}", "{\"area\":\"\"}", NULL, NULL },
		{ "{\"n\":42}", "{\"n\":\"42\"}", NULL, NULL },
		{ "{\"n\":42}", "{\"n\":\"42.0\"}", NULL, NULL },
		{ "{\"in\":{\"b\":true}}", "{\"sure\":\"true\"}", NULL, NULL },
		{ "{\"a\":null}", "{}", NULL, NULL },
		{ "{}", "{\"other\":\"x\"}", NULL, NULL },
		{ "{\"a\":\"x\"}", "{\"area\":\"y\"}", "Area",
		    "is not what the body says" },
		{ "{\"a\":\"x\"}", "{\"area\":\"X\"}", "Area",
		    "is not what the body says" },
		{ "{\"a\":\"x\"}", "{}", "Area", "is missing" },
		{ "{\"a\":null}", "{\"area\":\"\"}", "Area",
		    "says what the body does not" },
		{ "{}", "{\"sure\":\"false\"}", "Sure",
		    "says what the body does not" },
		{ "{\"n\":42}", "{\"n\":\"\\\"42\\\"\"}", "N",
		    "is not what the body says" },
		{ "{\"n\":42}", "{\"n\":\"42 \\u0000\"}", "N",
		    "is not what the body says" },
		{ "{\"in\":{\"b\":true}}", "{\"sure\":\"1\"}", "Sure",
		    "is not what the body says" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		struct str name;
		const char *why = http_fields_differ(parse(&a, schema),
		    parse(&a, rows[i].args), parse(&a, rows[i].fields), &name);

		if (rows[i].why == NULL) {
			assert_null(why);
			continue;
		}
		assert_string_equal(why, rows[i].why);
		assert_true(str_eq_c(name, rows[i].name));
	}
}

static void
tools_that_cannot_be_offered_are_refused_one_by_one(void **state)
{
	static const char *const bad[] = {
		"{}",
		"7",
		"{\"name\":7,\"inputSchema\":{}}",
		"{\"name\":\"\",\"inputSchema\":{}}",
		"{\"name\":\"a b\",\"inputSchema\":{}}",
		"{\"name\":\"a/b\",\"inputSchema\":{}}",
		"{\"name\":\"good\",\"inputSchema\":{}}", /* twice */
		"{\"name\":\"x\"}",
		"{\"name\":\"x\",\"inputSchema\":true}",
		"{\"name\":\"x\",\"inputSchema\":{\"type\":\"array\"}}",
		"{\"name\":\"x\",\"inputSchema\":{\"type\":[\"object\"]}}",
		"{\"name\":\"x\",\"inputSchema\":{},\"description\":1}",
		"{\"name\":\"x\",\"inputSchema\":{},\"outputSchema\":1}",
		"{\"name\":\"x\",\"inputSchema\":{},\"annotations\":[]}",
	};
	struct definitions d = {};
	struct err e = {};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		own_arena struct arena a = {};
		own_buf struct buf list = {};

		definitions_reset(&d);
		buf_printf(&list, "[{\"name\":\"good\",\"inputSchema\":{}},%s]",
		    bad[i]);
		assert_int_equal(
		    definitions_add(&d, parse(&a, buf_c(&list)), &e), 0);
		assert_int_equal(d.n, 1);
		assert_int_equal(d.n_refused, 1);
	}
	definitions_fini(&d);
}

static void
a_list_has_an_end(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf list = {};
	struct definitions d = {};
	struct err e = {};

	(void)state;
	buf_add_byte(&list, '[');
	for (int i = 0; i <= SERVER_TOOLS_MAX; i++)
		buf_printf(&list, "%s{\"name\":\"t%d\",\"inputSchema\":{}}",
		    i > 0 ? "," : "", i);
	buf_add_byte(&list, ']');
	assert_int_equal(definitions_add(&d, parse(&a, buf_c(&list)), &e), -1);
	assert_int_equal(definitions_add(&d, parse(&a, "{}"), &e), -1);
	definitions_fini(&d);
}

static void
a_definition_that_is_too_long_is_refused(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf list = {};
	struct definitions d = {};
	struct err e = {};

	(void)state;
	buf_add_c(&list,
	    "[{\"name\":\"x\",\"inputSchema\":{},"
	    "\"description\":\"");
	for (int i = 0; i < SERVER_DEFINITION_BYTES; i++)
		buf_add_byte(&list, 'd');
	buf_add_c(&list, "\"}]");
	assert_int_equal(definitions_add(&d, parse(&a, buf_c(&list)), &e), 0);
	assert_int_equal(d.n, 0);
	assert_int_equal(d.n_refused, 1);
	definitions_fini(&d);
}

static void
results_are_taken_as_they_are_or_not_at_all(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: it is none */
		bool is_error;
	} rows[] = {
		{ "{}", "{\"content\":[],\"isError\":false}", false },
		{ "{\"isError\":true,\"_meta\":{\"a\":1},\"content\":[{"
		  "\"type\":\"text\",\"text\":\"t\"}]}",
		    "{\"content\":[{\"text\":\"t\",\"type\":\"text\"}],"
		    "\"isError\":true}",
		    true },
		{ "{\"resultType\":\"complete\",\"structuredContent\":{\"b\":1,"
		  "\"a\":2}}",
		    "{\"content\":[],\"isError\":false,\"structuredContent\":{"
		    "\"a\":2,\"b\":1}}",
		    false },
		{ "{\"resultType\":\"input_required\"}", NULL, false },
		{ "{\"resultType\":7}", NULL, false },
		{ "[]", NULL, false },
		{ "{\"content\":{}}", NULL, false },
		{ "{\"content\":[7]}", NULL, false },
		{ "{\"content\":[{\"type\":\"text\"}]}", NULL, false },
		{ "{\"content\":[{\"type\":\"html\",\"text\":\"\"}]}", NULL,
		    false },
		{ "{\"isError\":1}", NULL, false },
		{ "{\"structuredContent\":[]}", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		own_buf struct buf out = {};
		bool is_error = false;
		struct err e = {};
		int r = result_take(&out, parse(&a, rows[i].in), &is_error, &e);

		assert_int_equal(r, rows[i].out != NULL ? 0 : -1);
		if (rows[i].out == NULL)
			continue;
		assert_string_equal(buf_c(&out), rows[i].out);
		assert_int_equal(is_error, rows[i].is_error);
	}
}

static void
resources_templates_and_prompts_are_listed_as_tools_are(void **state)
{
	static const struct {
		enum definition_kind kind;
		const char *list, *out;
		size_t refused;
	} rows[] = {
		{ DEFINITION_RESOURCE,
		    "[{\"uri\":\"b:2\",\"name\":\"n\",\"title\":\"t\"},"
		    "{\"uri\":\"a:1\",\"name\":\"m\",\"size\":7},"
		    "{\"uri\":\"a:1\",\"name\":\"again\"},"
		    "{\"uri\":\"none\",\"name\":\"x\"},"
		    "{\"uri\":\"a: \",\"name\":\"x\"},{\"uri\":\"c:1\"}]",
		    "\"resources\":[{\"name\":\"m\",\"size\":7,\"uri\":"
		    "\"a:1\"},{\"name\":\"n\",\"uri\":\"b:2\"}]",
		    4 },
		{ DEFINITION_TEMPLATE,
		    "[{\"uriTemplate\":\"a:{x}\",\"name\":\"n\","
		    "\"mimeType\":1},{\"uriTemplate\":\"a:{y}\","
		    "\"name\":\"n\"}]",
		    "\"resourceTemplates\":[{\"name\":\"n\","
		    "\"uriTemplate\":\"a:{y}\"}]",
		    1 },
		{ DEFINITION_PROMPT,
		    "[{\"name\":\"p\",\"arguments\":[{\"name\":\"a\"}]},"
		    "{\"name\":\"q\",\"arguments\":[{}]},"
		    "{\"name\":\"r s\"}]",
		    "\"prompts\":[{\"arguments\":[{\"name\":\"a\"}],"
		    "\"name\":\"p\"}]",
		    2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		own_buf struct buf out = {};
		struct definitions d = { .kind = rows[i].kind };
		struct err e = {};

		assert_int_equal(
		    definitions_add(&d, parse(&a, rows[i].list), &e), 0);
		definitions_write(&out, &d);
		assert_string_equal(buf_c(&out), rows[i].out);
		assert_int_equal(d.n_refused, rows[i].refused);
		definitions_fini(&d);
	}
}

static void
other_results_have_their_form_or_are_none(void **state)
{
	static const struct {
		enum server_ask ask;
		const char *in;
		bool good;
	} rows[] = {
		{ SERVER_ASK_RESOURCE,
		    "{\"contents\":[{\"text\":\"\",\"uri\":\"a:1\"}]}", true },
		{ SERVER_ASK_RESOURCE,
		    "{\"contents\":[{\"blob\":\"\",\"text\":\"\","
		    "\"uri\":\"a:1\"}]}",
		    false },
		{ SERVER_ASK_RESOURCE, "{\"contents\":[{\"text\":\"\"}]}",
		    false },
		{ SERVER_ASK_RESOURCE, "{}", false },
		{ SERVER_ASK_PROMPT,
		    "{\"messages\":[{\"content\":{\"text\":\"\",\"type\":"
		    "\"text\"},\"role\":\"user\"}]}",
		    true },
		{ SERVER_ASK_PROMPT,
		    "{\"messages\":[{\"content\":{\"text\":\"\",\"type\":"
		    "\"text\"},\"role\":\"system\"}]}",
		    false },
		{ SERVER_ASK_COMPLETION, "{\"completion\":{\"values\":[]}}",
		    true },
		{ SERVER_ASK_COMPLETION, "{\"completion\":{\"values\":[1]}}",
		    false },
		{ SERVER_ASK_COMPLETION,
		    "{\"completion\":{\"values\":[]},\"resultType\":"
		    "\"input_required\"}",
		    false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		own_buf struct buf out = {};
		struct err e = {};

		assert_int_equal(result_take_other(&out, rows[i].ask,
				     parse(&a, rows[i].in), &e),
		    rows[i].good ? 0 : -1);
		if (rows[i].good)
			assert_string_equal(buf_c(&out), rows[i].in);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    definitions_are_sorted_canonical_and_without_what_was_not_reviewed),
		cmocka_unit_test(a_head_repeats_what_its_message_says),
		cmocka_unit_test(
		    a_schema_with_an_annotation_that_cannot_be_is_refused),
		cmocka_unit_test(
		    fields_that_a_call_came_with_say_what_its_arguments_do),
		cmocka_unit_test(
		    tools_that_cannot_be_offered_are_refused_one_by_one),
		cmocka_unit_test(a_list_has_an_end),
		cmocka_unit_test(a_definition_that_is_too_long_is_refused),
		cmocka_unit_test(results_are_taken_as_they_are_or_not_at_all),
		cmocka_unit_test(
		    resources_templates_and_prompts_are_listed_as_tools_are),
		cmocka_unit_test(other_results_have_their_form_or_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
