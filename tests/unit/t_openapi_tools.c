/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "core/openapi.h"
#include "core/schema.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEAD "{'openapi':'3.0.3','paths':{"
#define HEAD_31 "{'openapi':'3.1.0','paths':{"

/* ' stands for ". */
static const struct json *
parse(struct arena *a, const char *text)
{
	own_buf struct buf doc = {};
	struct err e = {};
	const struct json *v;
	const char *copy;

	buf_add_c(&doc, text);
	for (size_t i = 0; i < doc.n; i++) {
		if (doc.p[i] == '\'')
			doc.p[i] = '"';
	}
	copy = arena_copy(a, buf_str(&doc));
	v = json_parse((struct str){ copy, doc.n }, NULL, a, &e, NULL);
	if (v == NULL)
		fail_msg("%s: %s", text, e.text);
	return v;
}

/* The one operation of a document. */
static const struct openapi_op *
one(struct openapi *api, struct arena *a, const char *text)
{
	struct err e = {};

	if (openapi_read(api, parse(a, text), a, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	if (api->n_refused > 0)
		fail_msg("%s: %s", text, api->refused[0].why);
	assert_int_equal(api->n_ops, 1);
	return &api->ops[0];
}

static void
each_operation_is_a_tool_with_the_risk_of_its_method(void **state)
{
	static const char text[] =
	    HEAD "'/a':{'get':{'operationId':'getA','summary':'S'},'post':{},"
		 "'put':{},'patch':{},'delete':{},'head':{},'options':{},"
		 "'trace':{}},"
		 "'/a/{id}/b-c.d':{'parameters':[{'name':'id','in':'path'}],"
		 "'get':{'description':'D'}}}}";
	static const struct {
		const char *name, *method;
		enum risk risk;
	} rows[] = {
		{ "getA", "GET", RISK_READ },
		{ "head_a", "HEAD", RISK_READ },
		{ "options_a", "OPTIONS", RISK_READ },
		{ "post_a", "POST", RISK_INTERNAL_WRITE },
		{ "put_a", "PUT", RISK_INTERNAL_WRITE },
		{ "patch_a", "PATCH", RISK_INTERNAL_WRITE },
		{ "delete_a", "DELETE", RISK_DESTRUCTIVE },
		{ "get_a_id_b-c_d", "GET", RISK_READ },
	};
	own_arena struct arena a = {};
	struct openapi api;
	struct err e = {};

	(void)state;
	assert_int_equal(openapi_read(&api, parse(&a, text), &a, &e), 0);
	assert_int_equal(api.n_refused, 0);
	assert_int_equal(api.n_ops, COUNT(rows));
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct openapi_op *op =
		    openapi_find(&api, str_of(rows[i].name));

		if (op == NULL)
			fail_msg("no %s", rows[i].name);
		assert_true(str_eq_c(op->method, rows[i].method));
		assert_int_equal(op->risk, rows[i].risk);
	}
	assert_true(
	    str_eq_c(openapi_find(&api, STR("getA"))->description, "S"));
}

static void
what_is_no_one_request_is_refused(void **state)
{
	static const struct {
		const char *path, *op, *why;
	} rows[] = {
		{ "/a", "{'operationId':'a b'}", "no name of a tool" },
		{ "/a",
		    "{'parameters':[{'name':'x','in':'cookie',"
		    "'required':true}]}",
		    "cookie" },
		{ "/a/{x}", "{}", "no parameter of it" },
		{ "/a/{x", "{}", "no parameter of it" },
		{ "/a", "{'parameters':[{'name':'x','in':'path'}]}",
		    "no place" },
		{ "/a/{x}/{x}", "{'parameters':[{'name':'x','in':'path'}]}",
		    "or two" },
		{ "/a/../b", "{}", "more than one way" },
		{ "//host/a", "{}", "more than one way" },
		{ "/a?b", "{}", "more than one way" },
		{ "/a%2fb", "{}", "more than one way" },
		{ "a", "{}", "more than one way" },
		{ "/a", "{'parameters':[{'name':'body','in':'query'}]}",
		    "called `body`" },
		{ "/a/{x}",
		    "{'parameters':[{'name':'x','in':'path'},"
		    "{'name':'x','in':'query'}]}",
		    "one name" },
		{ "/a", "{'parameters':[{'name':'x y','in':'header'}]}",
		    "no such name" },
		{ "/a",
		    "{'parameters':[{'name':'Host','in':'header',"
		    "'required':true}]}",
		    "no argument may say" },
		{ "/a",
		    "{'parameters':[{'name':'x','in':'query','style':"
		    "'matrix'}]}",
		    "style" },
		{ "/a/{x}",
		    "{'parameters':[{'name':'x','in':'path','style':"
		    "'label'}]}",
		    "style" },
		{ "/a", "{'parameters':[{'name':'x','in':'body'}]}",
		    "no place that there is" },
		{ "/a", "{'parameters':[{'$ref':'other.json#/x'}]}",
		    "elsewhere" },
		{ "/a", "{'parameters':[{'$ref':'#/nowhere'}]}", "elsewhere" },
		{ "/a",
		    "{'requestBody':{'content':{'multipart/form-data':{}}"
		    "}}",
		    "neither JSON" },
		{ "/a", "{'requestBody':{'$ref':'http://h/x'}}", "elsewhere" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		own_buf struct buf text = {};
		struct openapi api;
		struct err e = {};

		buf_printf(
		    &text, HEAD "'%s':{'post':%s}}}", rows[i].path, rows[i].op);
		assert_int_equal(
		    openapi_read(&api, parse(&a, buf_c(&text)), &a, &e), 0);
		if (api.n_ops != 0 || api.n_refused != 1 ||
		    strstr(api.refused[0].why, rows[i].why) == NULL)
			fail_msg("%s %s: %s", rows[i].path, rows[i].op,
			    api.n_refused > 0 ? api.refused[0].why : "taken");
	}
}

static void
arguments_make_this_request_and_no_other(void **state)
{
#define P(name, more) "{'name':'" name "'," more "}"
#define SEG \
	HEAD "'/t/{id}':{'get':{'parameters':[" P("id", "'in':'path'") "]}}}}"
#define QUERY(more) \
	HEAD "'/t':{'get':{'parameters':[" P("q", "'in':'query'" more) "]}}}}"
#define FIELD \
	HEAD "'/t':{'get':{'parameters':[" P("X-A", "'in':'header'") "]}}}}"
#define BODY(type) \
	HEAD "'/t':{'post':{'requestBody':{'content':{'" type "':{}}}}}}}"
	static const struct {
		const char *doc, *base, *args;
		const char *target, *fields, *body; /* target NULL: refused */
	} rows[] = {
		{ SEG, "/", "{'id':'a-1'}", "/t/a-1", "", "" },
		{ SEG, "/v1", "{'id':7}", "/v1/t/7", "", "" },
		{ SEG, "/v1/", "{'id':'a b'}", "/v1/t/a%20b", "", "" },
		{ SEG, "/", "{'id':'a?b=c'}", "/t/a%3Fb%3Dc", "", "" },
		{ SEG, "/", "{'id':'a#b'}", "/t/a%23b", "", "" },
		{ SEG, "/", "{'id':'a;b=c'}", "/t/a%3Bb%3Dc", "", "" },
		{ SEG, "/", "{'id':'h:80@x'}", "/t/h%3A80%40x", "", "" },
		{ SEG, "/", "{'id':['a','b&c']}", "/t/a,b%26c", "", "" },
		{ SEG, "/", "{'id':'\303\251'}", "/t/%C3%A9", "", "" },
		{ SEG, "/", "{'id':'..'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'.'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'../x'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'a/b'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'//host'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'a\\\\b'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'%2e%2e'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'a\\r\\nX: y'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':'a\\u0000'}", NULL, "one way", "" },
		{ SEG, "/", "{'id':''}", NULL, "is empty", "" },
		{ SEG, "/", "{'id':[]}", NULL, "is empty", "" },
		{ SEG, "/", "{'id':{'a':1}}", NULL, "must be a text", "" },
		{ SEG, "/", "{}", NULL, "is missing", "" },
		{ SEG, "/", "{'id':'a','x':1}", NULL, "no argument x", "" },
		{ SEG, "/", "{'id':'a','body':1}", NULL, "no argument", "" },
		{ QUERY(""), "/", "{'q':'a b&c=d+e#f\\r\\n'}",
		    "/t?q=a%20b%26c%3Dd%2Be%23f%0D%0A", "", "" },
		{ QUERY(""), "/", "{'q':['a','b']}", "/t?q=a&q=b", "", "" },
		{ QUERY(""), "/", "{'q':{'x':1}}", NULL, "must be a text", "" },
		{ QUERY(""), "/", "{'q':null}", "/t", "", "" },
		{ QUERY(",'explode':false"), "/", "{'q':['a,','b']}",
		    "/t?q=a%2C,b", "", "" },
		{ QUERY(",'style':'spaceDelimited','explode':false"), "/",
		    "{'q':['a','b']}", "/t?q=a%20b", "", "" },
		{ QUERY(",'style':'pipeDelimited','explode':false"), "/",
		    "{'q':[1,true]}", "/t?q=1%7Ctrue", "", "" },
		{ QUERY(",'style':'deepObject'"), "/",
		    "{'q':{'a]&x=':'y','b':2}}",
		    "/t?q%5Ba%5D%26x%3D%5D=y&q%5Bb%5D=2", "", "" },
		{ QUERY(",'content':{'application/json':{}}"), "/",
		    "{'q':{'a':[1]}}", "/t?q=%7B%22a%22%3A%5B1%5D%7D", "", "" },
		{ FIELD, "/", "{'X-A':'b c'}", "/t", "X-A: b c\r\n", "" },
		{ FIELD, "/", "{'X-A':['b',2]}", "/t", "X-A: b,2\r\n", "" },
		{ FIELD, "/", "{'X-A':'b\\r\\nHost: evil'}", NULL, "no field",
		    "" },
		{ FIELD, "/", "{'X-A':'b\\u0000'}", NULL, "no field", "" },
		{ FIELD, "/", "{'X-A':'\303\251'}", NULL, "no field", "" },
		{ BODY("application/json"), "/", "{'body':{'b':1,'a':'x'}}",
		    "/t", "Content-Type: application/json\r\n",
		    "{'a':'x','b':1}" },
		{ BODY("application/merge-patch+json"), "/", "{'body':null}",
		    "/t", "Content-Type: application/merge-patch+json\r\n",
		    "null" },
		{ BODY("application/json"), "/", "{}", "/t", "", "" },
		{ BODY("application/x-www-form-urlencoded"), "/",
		    "{'body':{'a':'x&y','b':[1,2]}}", "/t",
		    "Content-Type: application/x-www-form-urlencoded\r\n",
		    "a=x%26y&b=1&b=2" },
		{ BODY("application/x-www-form-urlencoded"), "/",
		    "{'body':'a=b'}", NULL, "no object", "" },
		{ BODY("text/plain"), "/", "{'body':'a\\nb'}", "/t",
		    "Content-Type: text/plain\r\n", "a\nb" },
		{ BODY("text/plain"), "/", "{'body':1}", NULL, "no text", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		own_buf struct buf fields = {}, body = {};
		struct openapi_request q = {};
		struct openapi api;
		struct err e = {};
		int r = openapi_write(&q, one(&api, &a, rows[i].doc),
		    str_of(rows[i].base), parse(&a, rows[i].args), &e);

		if (rows[i].target == NULL) {
			if (r == 0 || strstr(e.text, rows[i].fields) == NULL)
				fail_msg("%s: %s %s", rows[i].args,
				    buf_c(&q.target), e.text);
			openapi_request_fini(&q);
			continue;
		}
		buf_add_c(&fields, "Accept: application/json\r\n");
		buf_add_c(&fields, rows[i].fields);
		buf_add_c(&body, rows[i].body);
		for (size_t k = 0; k < body.n; k++) {
			if (body.p[k] == '\'')
				body.p[k] = '"';
		}
		if (r < 0 || strcmp(buf_c(&q.target), rows[i].target) != 0 ||
		    !str_eq(buf_str(&q.fields), buf_str(&fields)) ||
		    !str_eq(buf_str(&q.body), buf_str(&body)))
			fail_msg("%s: %s\n%s%s %s", rows[i].args,
			    buf_c(&q.target), buf_c(&q.fields), buf_c(&q.body),
			    e.text);
		openapi_request_fini(&q);
	}
}

static void
its_schema_is_one_of_2020_12_and_says_the_same(void **state)
{
#define ARG(schema)                                                           \
	HEAD "'/t':{'post':{'parameters':[{'name':'x','in':"                  \
	     "'query','required':true,'schema':" schema "}]}}},'components':" \
	     "{'schemas':{'N':{'type':'object','example':1,'properties':{'"   \
	     "next':"                                                         \
	     "{'$ref':'#/components/schemas/N'},'v':{'type':'integer'}}}}}}"
	static const struct {
		const char *doc, *args;
		bool good;
	} rows[] = {
		{ ARG("{'type':'string','example':'y','xml':{}}"), "{'x':'a'}",
		    true },
		{ ARG("{'type':'string'}"), "{'x':1}", false },
		{ ARG("{'type':'string'}"), "{}", false },
		{ ARG("{'type':'string'}"), "{'x':'a','y':1}", false },
		{ ARG("{'type':'string','nullable':true}"), "{'x':null}",
		    true },
		{ ARG("{'type':'number','minimum':1,'exclusiveMinimum':true}"),
		    "{'x':1}", false },
		{ ARG("{'type':'number','minimum':1,'exclusiveMinimum':false}"),
		    "{'x':1}", true },
		{ ARG("{'maximum':1,'exclusiveMaximum':true}"), "{'x':1}",
		    false },
		{ ARG("{'$ref':'#/components/schemas/N'}"),
		    "{'x':{'next':{'next':{'v':1}}}}", true },
		{ ARG("{'$ref':'#/components/schemas/N'}"),
		    "{'x':{'next':{'next':{'v':'1'}}}}", false },
		{ ARG("{'properties':{'type':{'type':'string'},'example':"
		      "{'type':'string'}}}"),
		    "{'x':{'type':1}}", false },
		{ ARG("{'anyOf':[{'type':'string'},{'type':'array','items':"
		      "{'type':'integer'}}]}"),
		    "{'x':[1,'2']}", false },
		{ ARG("{'enum':['a',{'$ref':1}]}"), "{'x':{'$ref':1}}", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		own_buf struct buf text = {};
		struct schema_fault fault;
		struct openapi api;
		struct err e = {};
		const struct json *doc;
		struct schema *s;

		assert_int_equal(
		    openapi_input(&text, &api, one(&api, &a, rows[i].doc)), 0);
		doc = json_parse(buf_str(&text), NULL, &a, &e, NULL);
		if (doc == NULL)
			fail_msg("%s: %s", buf_c(&text), e.text);
		s = schema_new(doc, &fault);
		if (s == NULL)
			fail_msg("%s: %s", buf_c(&text), fault.text);
		if ((schema_check(s, parse(&a, rows[i].args), NULL) ==
			SCHEMA_VALID) != rows[i].good)
			fail_msg("%s: %s", buf_c(&text), rows[i].args);
		schema_free(s);
	}
}

static void
a_schema_that_leads_elsewhere_is_none(void **state)
{
	static const char *const rows[] = {
		ARG("{'$ref':'http://h/x.json'}"),
		ARG("{'$ref':'#/components/schemas/No'}"),
		ARG("{'$ref':'#/components/schemas/N/properties/v'}"),
		ARG("{'items':{'$ref':'x.json'}}"),
		ARG("{'$dynamicRef':'#x'}"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		own_buf struct buf text = {};
		struct openapi api;

		if (openapi_input(&text, &api, one(&api, &a, rows[i])) == 0)
			fail_msg("%s", buf_c(&text));
	}
}

static void
what_is_no_such_document_is_told(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "{}", "3.0.x or 3.1.x" },
		{ "{'swagger':'2.0','paths':{}}", "3.0.x or 3.1.x" },
		{ "{'openapi':'3.0.0'}", "`paths`" },
		{ "[]", "3.0.x" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		struct openapi api;
		struct err e = {};

		assert_int_equal(
		    openapi_read(&api, parse(&a, rows[i].text), &a, &e), -1);
		assert_non_null(strstr(e.text, rows[i].says));
	}
}

static void
references_are_followed_so_far_and_no_further(void **state)
{
	static const char text[] = HEAD_31
	    "'/t':{'get':{'parameters':[{'$ref':'#/components/parameters/a~1b'}"
	    "]}},'/u':{'get':{'parameters':[{'$ref':'#/components/parameters/"
	    "loop'}]}}},'components':{'parameters':{'a/b':{'$ref':"
	    "'#/components/parameters/x'},'x':{'name':'q','in':'query'},"
	    "'loop':{'$ref':'#/components/parameters/loop'}}}}";
	own_arena struct arena a = {};
	struct openapi api;
	struct err e = {};

	(void)state;
	assert_int_equal(openapi_read(&api, parse(&a, text), &a, &e), 0);
	assert_int_equal(api.n_ops, 1);
	assert_int_equal(api.n_refused, 1);
	assert_true(str_eq_c(api.ops[0].params[0].name, "q"));
}

#define DOC                                                            \
	"{'openapi':'3.1.0','paths':{'/a':{'get':{'operationId':'g'}," \
	"'post':{'operationId':'p'},'delete':{'operationId':'d'}}}}"
#define POLICY(doc, tools)                                 \
	"{'policy':1,'workflow':'w','stage':5,'servers':{" \
	"'s':{'url':'https://a.example/v1','openapi':" doc \
	"}},'tools':{" tools "}}"

static struct policy_problems problems;

static struct policy *
compile(const char *text, struct policy_bases *bases)
{
	own_buf struct buf doc = {};

	buf_add_c(&doc, text);
	for (size_t i = 0; i < doc.n; i++) {
		if (doc.p[i] == '\'')
			doc.p[i] = '"';
	}
	return policy_new_over(buf_str(&doc), POLICY_JSON, bases, &problems);
}

static void
a_row_has_the_risk_of_its_operation_unless_it_says_another(void **state)
{
	static const struct {
		const char *tools, *tool;
		enum risk risk;
	} rows[] = {
		{ "'s.g':{}", "s.g", RISK_READ },
		{ "'s.p':{}", "s.p", RISK_INTERNAL_WRITE },
		{ "'s.d':{}", "s.d", RISK_DESTRUCTIVE },
		{ "'s.d':{'risk':'read'}", "s.d", RISK_READ },
		{ "'s.*':{'risk':'destructive'}", "s.g", RISK_DESTRUCTIVE },
		{ "'s.*':{'risk':'read'},'s.p':{},'s.d':{}", "s.d",
		    RISK_DESTRUCTIVE },
	};
	static const char *const bad[] = {
		"'s.*':{'risk':'read'}",
		"'s.*':{'risk':'internal_write'}",
		"'*d':{'risk':'read'}",
		"'s.x':{}",
		"'s.*':{}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_buf struct buf text = {};
		struct policy *p;

		buf_printf(&text, POLICY(DOC, "%s"), rows[i].tools);
		p = compile(buf_c(&text), NULL);
		if (p == NULL)
			fail_msg(
			    "%s: %s", rows[i].tools, problems.item[0].text);
		assert_int_equal(
		    policy_tool_find(p, str_of(rows[i].tool))->risk,
		    rows[i].risk);
		policy_free(p);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		own_buf struct buf text = {};

		buf_printf(&text, POLICY(DOC, "%s"), bad[i]);
		if (compile(buf_c(&text), NULL) != NULL)
			fail_msg("taken: %s", bad[i]);
	}
}

static void
a_file_stands_whole_in_the_place_of_its_name(void **state)
{
	static struct policy_bases bases;
	static const struct labels none;
	own_buf struct buf doc = {};
	struct policy *p, *whole = compile(POLICY(DOC, "'s.g':{}"), NULL);
	struct policy_call c = { .tool = STR("s.g"), .labels = &none };
	own_arena struct arena a = {};
	struct verdict v;

	(void)state;
	assert_non_null(whole);
	bases = (struct policy_bases){};
	assert_null(compile(POLICY("'api.json'", "'s.g':{}"), &bases));
	assert_string_equal(bases.wanted, "api.json");
	assert_true(bases.wants_file);
	buf_add_c(&doc, DOC);
	for (size_t i = 0; i < doc.n; i++) {
		if (doc.p[i] == '\'')
			doc.p[i] = '"';
	}
	bases.n = 1;
	assert_int_equal(str_copy(STR("api.json"), bases.item[0].name,
			     sizeof(bases.item[0].name)),
	    0);
	bases.item[0].text = buf_str(&doc);
	p = compile(POLICY("'api.json'", "'s.g':{}"), &bases);
	if (p == NULL)
		fail_msg(
		    "%s: %s", problems.item[0].path, problems.item[0].text);
	assert_true(hash_eq(&p->version, &whole->version));
	c.args = parse(&a, "{'x':1}");
	policy_decide(p, &c, &v);
	assert_int_equal(v.kind, VERDICT_BLOCK);
	assert_string_equal(v.rule, "servers.s.openapi");
	policy_free(p);
	policy_free(whole);
	assert_null(compile(POLICY("'api.json'", "'s.g':{}"), NULL));
	assert_non_null(strstr(problems.item[0].text, "command line"));
	assert_null(compile(POLICY("'../api.json'", "'s.g':{}"), &bases));
	bases.item[0].text = STR("{\n nope }");
	assert_null(compile(POLICY("'api.json'", "'s.g':{}"), &bases));
	assert_non_null(strstr(problems.item[0].text, "api.json:2:2"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_operation_is_a_tool_with_the_risk_of_its_method),
		cmocka_unit_test(what_is_no_one_request_is_refused),
		cmocka_unit_test(arguments_make_this_request_and_no_other),
		cmocka_unit_test(
		    its_schema_is_one_of_2020_12_and_says_the_same),
		cmocka_unit_test(a_schema_that_leads_elsewhere_is_none),
		cmocka_unit_test(what_is_no_such_document_is_told),
		cmocka_unit_test(references_are_followed_so_far_and_no_further),
		cmocka_unit_test(
		    a_row_has_the_risk_of_its_operation_unless_it_says_another),
		cmocka_unit_test(a_file_stands_whole_in_the_place_of_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
