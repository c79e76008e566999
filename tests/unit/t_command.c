/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/command.h"
#include "core/policy.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct policy_problems problems;

/* ' stands for ". */
static void
quote(struct buf *out, const char *text)
{
	buf_add_c(out, text);
	for (size_t i = 0; i < out->n; i++) {
		if (out->p[i] == '\'')
			out->p[i] = '"';
	}
}

/* A policy whose tool t has these words, and the arguments a, b, c. */
static struct policy *
compile(const char *words, const char *more)
{
	own_buf struct buf text = {}, doc = {};

	buf_printf(&text,
	    "{'policy':1,'workflow':'w','stage':5,'tools':{'t':{'risk':'read',"
	    "'args':{'properties':{'a':{},'b':{},'c':{}}},"
	    "'exec':{'command':%s%s}}}}",
	    words, more);
	quote(&doc, buf_c(&text));
	return policy_new(buf_str(&doc), POLICY_JSON, &problems);
}

static void
a_template_makes_these_words_of_arguments(void **state)
{
	static const struct {
		const char *why, *words, *args, *argv;
	} rows[] = {
		{ "as it stands", "['/p','-x','--']", "{}",
		    "['/p','-x','--']" },
		{ "a value is a word", "['/p',{'arg':'a'}]", "{'a':'x y;$(z)'}",
		    "['/p','x y;$(z)']" },
		{ "an empty one, too", "['/p',{'arg':'a'}]", "{'a':''}",
		    "['/p','']" },
		{ "numbers as they are written", "['/p',{'arg':'a'}]",
		    "{'a':1e3}", "['/p','1000']" },
		{ "true and false", "['/p',{'arg':'a'},{'arg':'b'}]",
		    "{'a':true,'b':false}", "['/p','true','false']" },
		{ "what is not there is left out", "['/p',{'arg':'a'},'z']",
		    "{}", "['/p','z']" },
		{ "and so is null", "['/p',{'arg':'a'},'z']", "{'a':null}",
		    "['/p','z']" },
		{ "a list is so many words", "['/p',{'arg':'a'}]",
		    "{'a':['x',2,'']}", "['/p','x','2','']" },
		{ "an empty one is none", "['/p',{'arg':'a'}]", "{'a':[]}",
		    "['/p']" },
		{ "behind a beginning", "['/p',{'arg':'a','before':'--n='}]",
		    "{'a':-5}", "['/p','--n=-5']" },
		{ "each of a list", "['/p',{'arg':'a','before':'-I'}]",
		    "{'a':['x','y']}", "['/p','-Ix','-Iy']" },
		{ "a flag that is up", "['/p',{'arg':'a','flag':'-v'}]",
		    "{'a':true}", "['/p','-v']" },
		{ "a flag that is down", "['/p',{'arg':'a','flag':'-v'}]",
		    "{'a':false}", "['/p']" },
		{ "a dash where it may be", "['/p',{'arg':'a','dash':true}]",
		    "{'a':'-rf'}", "['/p','-rf']" },
		{ "an argument twice", "['/p',{'arg':'a'},{'arg':'a'}]",
		    "{'a':'x'}", "['/p','x','x']" },
		{ "no dash", "['/p',{'arg':'a'}]", "{'a':'-rf'}",
		    "a begins with '-'" },
		{ "nor behind --", "['/p','--',{'arg':'a'}]", "{'a':'-rf'}",
		    "a begins with '-'" },
		{ "nor in a list", "['/p',{'arg':'a'}]", "{'a':['x','-']}",
		    "a begins with '-'" },
		{ "nor of a number", "['/p',{'arg':'a'}]", "{'a':-1}",
		    "a begins with '-'" },
		{ "no object", "['/p',{'arg':'b'}]", "{'b':{}}", "b must be" },
		{ "no list in a list", "['/p',{'arg':'b'}]", "{'b':[['x']]}",
		    "b must be" },
		{ "no null in a list", "['/p',{'arg':'b'}]", "{'b':[null]}",
		    "b must be" },
		{ "no NUL", "['/p',{'arg':'b'}]", "{'b':'x\\u0000y'}",
		    "b holds a NUL" },
		{ "a flag is no text", "['/p',{'arg':'a','flag':'-v'}]",
		    "{'a':'true'}", "a must be true or false" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p = compile(rows[i].words, "");
		const struct command_tool *c;
		own_arena struct arena a = {};
		own_buf struct buf text = {}, got = {}, want = {};
		struct command_fault fault;
		const struct json *args;
		struct err e = {};

		if (p == NULL)
			fail_msg("%s: %s", rows[i].why, problems.item[0].text);
		c = p->tools[0].exec;
		assert_non_null(c);
		quote(&text, rows[i].args);
		args = json_parse(buf_str(&text), NULL, &a, &e, NULL);
		assert_non_null(args);
		fault = command_check(c, args);
		if (fault.text != NULL) {
			buf_add_str(&got, fault.arg);
			buf_add_byte(&got, ' ');
			buf_add_c(&got, fault.text);
			if (!str_starts(buf_str(&got), str_of(rows[i].argv)))
				fail_msg("%s: %s", rows[i].why, buf_c(&got));
			policy_free(p);
			continue;
		}
		command_write(&got, c, args);
		buf_add_c(&want, "{'argv':");
		buf_add_c(&want, rows[i].argv);
		buf_add_c(&want, ",'cwd':'','env':{},'stdin':''}");
		text.n = 0;
		quote(&text, buf_c(&want));
		if (!str_eq(buf_str(&got), buf_str(&text)))
			fail_msg("%s: %s", rows[i].why, buf_c(&got));
		policy_free(p);
	}
}

static void
too_much_for_a_command_is_refused(void **state)
{
	struct policy *p = compile("['/p',{'arg':'a'}]", ",'stdin':'b'");
	static const struct {
		const char *head;
		size_t n;
		const char *piece, *tail;
		bool good;
	} rows[] = {
		{ "{\"a\":\"", COMMAND_TOOL_BYTES_MAX, "x", "\"}", true },
		{ "{\"a\":\"", COMMAND_TOOL_BYTES_MAX + 1, "x", "\"}", false },
		{ "{\"a\":[1", COMMAND_TOOL_WORDS_MAX - 1, ",1", "]}", true },
		{ "{\"a\":[1", COMMAND_TOOL_WORDS_MAX, ",1", "]}", false },
		{ "{\"b\":\"", EXEC_STDIN_BYTES, "x", "\"}", true },
		{ "{\"b\":\"", EXEC_STDIN_BYTES + 1, "x", "\"}", false },
	};

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_buf struct buf text = {};
		own_arena struct arena a = {};
		struct err e = {};
		const struct json *args;

		buf_add_c(&text, rows[i].head);
		for (size_t k = 0; k < rows[i].n; k++)
			buf_add_c(&text, rows[i].piece);
		buf_add_c(&text, rows[i].tail);
		args = json_parse(buf_str(&text), NULL, &a, &e, NULL);
		assert_non_null(args);
		assert_int_equal(
		    command_check(p->tools[0].exec, args).text == NULL,
		    rows[i].good);
	}
	policy_free(p);
}

static void
what_a_command_reads_and_ends_with_is_the_policys(void **state)
{
	struct policy *p = compile("['/p']",
	    ",'stdin':'a','cwd':'/w','env':{'K':'v=w'},'good':[0,255]");
	static const char args[] = "{\"a\":{\"z\":1,\"b\":\"x\"}}";
	own_arena struct arena a = {};
	own_buf struct buf got = {};
	struct err e = {};
	const struct command_tool *c;

	(void)state;
	assert_non_null(p);
	c = p->tools[0].exec;
	command_write(&got, c, json_parse(str_of(args), NULL, &a, &e, NULL));
	assert_string_equal(buf_c(&got),
	    "{\"argv\":[\"/p\"],\"cwd\":\"/w\",\"env\":{\"K\":\"v=w\"},"
	    "\"stdin\":\"{\\\"b\\\":\\\"x\\\",\\\"z\\\":1}\"}");
	assert_true(command_is_good(c, 0));
	assert_true(command_is_good(c, 255));
	assert_false(command_is_good(c, 1));
	assert_false(command_is_good(c, 256));
	assert_false(command_is_good(c, UINT64_MAX));
	policy_free(p);
}

static void
a_call_that_makes_no_command_is_blocked(void **state)
{
	struct policy *p = compile("['/p',{'arg':'a'}]", "");
	static const struct labels none;
	static const char args[] = "{\"a\":\"-x\"}";
	own_arena struct arena a = {};
	struct err e = {};
	struct policy_call c = { .tool = STR("t"), .labels = &none };
	struct verdict v;

	(void)state;
	assert_non_null(p);
	c.args = json_parse(str_of(args), NULL, &a, &e, NULL);
	policy_decide(p, &c, &v);
	assert_int_equal(v.kind, VERDICT_BLOCK);
	assert_string_equal(v.code, "invalid_arguments");
	assert_string_equal(v.rule, "tools.t.exec");
	policy_free(p);
}

static void
a_bad_template_is_told_where_it_stands(void **state)
{
	static const struct {
		const char *words, *more, *path, *says;
	} rows[] = {
		{ "['p']", "", "command[0]", "absolute path" },
		{ "[]", "", "command", "not 1 to" },
		{ "[{'arg':'a'}]", "", "command[0]", "absolute path" },
		{ "['/p',{'arg':'d'}]", "", "command[1].arg", "not described" },
		{ "['/p',{}]", "", "command[1]", "`arg` is missing" },
		{ "['/p',5]", "", "command[1]", "must be a text" },
		{ "['/p',{'arg':'a','flag':'-x','dash':true}]", "",
		    "command[1].flag", "neither" },
		{ "['/p',{'arg':'a','shell':true}]", "", "command[1].shell",
		    "unknown member" },
		{ "['/p']", ",'cwd':'w'", "cwd", "absolute path" },
		{ "['/p']", ",'stdin':'d'", "stdin", "not described" },
		{ "['/p']", ",'good':[256]", "good", "exit status" },
		{ "['/p']", ",'env':{'PADDOCK_X':'y'}", "env.PADDOCK_X",
		    "variable" },
		{ "['/p']", ",'output_bytes':0", "output_bytes", "from 1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p = compile(rows[i].words, rows[i].more);
		own_buf struct buf path = {};

		buf_printf(&path, "tools.t.exec.%s", rows[i].path);
		if (p != NULL)
			fail_msg("taken: %s%s", rows[i].words, rows[i].more);
		if (strstr(problems.item[0].text, rows[i].says) == NULL ||
		    strcmp(problems.item[0].path, buf_c(&path)) != 0)
			fail_msg("%s%s: %s: %s", rows[i].words, rows[i].more,
			    problems.item[0].path, problems.item[0].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_template_makes_these_words_of_arguments),
		cmocka_unit_test(too_much_for_a_command_is_refused),
		cmocka_unit_test(
		    what_a_command_reads_and_ends_with_is_the_policys),
		cmocka_unit_test(a_call_that_makes_no_command_is_blocked),
		cmocka_unit_test(a_bad_template_is_told_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
