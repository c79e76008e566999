#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "core/expr.h"

enum { KNOWN = 1 << EXPR_ARGS | 1 << EXPR_LABELS_VAR | 1 << EXPR_NOW };

static struct labels labels;

/* 't', 'f', or 'e' for an error; args are JSON. */
static char
test_of(const char *text, const char *args)
{
	own_arena struct arena a = {};
	struct expr_fault fault;
	struct expr_env env = {};
	struct err e = {};
	struct expr *x = expr_new(str_of(text), KNOWN, &a, &fault);
	const struct json *v = json_parse(str_of(args), NULL, &a, &e, NULL);
	enum expr_truth got;

	if (x == NULL)
		fail_msg("%s: %u: %s", text, fault.at, fault.text);
	assert_non_null(v);
	env.var[EXPR_ARGS] = expr_of_json(v);
	env.var[EXPR_LABELS_VAR] =
	    (struct expr_value){ .type = EXPR_LABELS, .labels = &labels };
	got = expr_test(x, &env, NULL);
	expr_free(x);
	return got == EXPR_FAILED ? 'e' : got == EXPR_TRUE ? 't' : 'f';
}

static const char *
fault_of(const char *text)
{
	static struct expr_fault fault;
	own_arena struct arena a = {};
	struct expr *x = expr_new(str_of(text), KNOWN, &a, &fault);

	if (x != NULL)
		fail_msg("%s compiles", text);
	return fault.text;
}

static void
operators_bind_as_in_cel(void **state)
{
	(void)state;
	assert_int_equal(test_of("1 + 2 * 3 == 7", "{}"), 't');
	assert_int_equal(test_of("(1 + 2) * 3 == 9", "{}"), 't');
	assert_int_equal(test_of("10 - 3 - 2 == 5", "{}"), 't');
	assert_int_equal(test_of("-2 - -3 == 1", "{}"), 't');
	assert_int_equal(test_of("true || false && false", "{}"), 't');
	assert_int_equal(
	    test_of("false ? true : true ? false : true", "{}"), 'f');
	assert_int_equal(test_of("true ? false : false || true", "{}"), 'f');
	assert_int_equal(test_of("!(1 in [2, 3]) && 2 in [2]", "{}"), 't');
	assert_int_equal(
	    test_of("-9223372036854775808 < -9223372036854775807", "{}"), 't');
}

static void
numbers_of_json_are_doubles(void **state)
{
	(void)state;
	assert_int_equal(test_of("args.n <= 25", "{\"n\":25}"), 't');
	assert_int_equal(test_of("args.n == 25", "{\"n\":25}"), 't');
	assert_int_equal(test_of("args.n in [1, 25]", "{\"n\":25}"), 't');
	assert_int_equal(test_of("args.n + 1 == 26", "{\"n\":25}"), 'e');
	assert_int_equal(test_of("args.n + 1.0 == 26", "{\"n\":25}"), 't');
	assert_int_equal(test_of("int(args.n) + 1 == 26", "{\"n\":25}"), 't');
	assert_int_equal(test_of("9223372036854775807 + 1 > 0", "{}"), 'e');
	assert_int_equal(test_of("1 / 0 == 1", "{}"), 'e');
	assert_int_equal(
	    test_of("9007199254740992 == 9007199254740991.0", "{}"), 'f');
}

static void
errors_are_absorbed_where_the_answer_is_known(void **state)
{
	(void)state;
	assert_int_equal(test_of("args.x || true", "{}"), 't');
	assert_int_equal(test_of("true || args.x", "{}"), 't');
	assert_int_equal(test_of("args.x && false", "{}"), 'f');
	assert_int_equal(test_of("args.x && true", "{}"), 'e');
	assert_int_equal(test_of("args.x || false", "{}"), 'e');
	assert_int_equal(test_of("args.x ? true : true", "{}"), 'e');
	assert_int_equal(test_of("1 && false", "{}"), 'f');
	assert_int_equal(
	    test_of("[1, 2].exists(i, i == 2 || args.x)", "{}"), 't');
	assert_int_equal(test_of("[1, 2].all(i, args.x)", "{}"), 'e');
	assert_int_equal(
	    test_of("has(args.x) || has(args.y.z)", "{\"y\":{\"z\":null}}"),
	    't');
	assert_int_equal(test_of("has(args.x.y)", "{}"), 'e');
}

static void
texts_lists_and_maps_have_their_methods(void **state)
{
	const char *args = "{\"s\":\"INV-1\",\"l\":[1,[2]],\"m\":{\"a\":1},"
			   "\"u\":\"\xc3\xbc\"}";

	(void)state;
	assert_int_equal(test_of("args.s.startsWith('INV-') && "
				 "args.s.endsWith(\"1\") && "
				 "args.s.contains('V') && size(args.u) == 1",
			     args),
	    't');
	assert_int_equal(test_of("args.s.matches('^INV-[0-9]+$')", args), 't');
	assert_int_equal(test_of("args.l == [1, [2]]", args), 't');
	assert_int_equal(test_of("args.l[1][0] == 2", args), 't');
	assert_int_equal(test_of("args.l[2] == 2", args), 'e');
	assert_int_equal(
	    test_of("'a' in args.m && args['m'].size() == 1", args), 't');
	assert_int_equal(test_of("args.m.all(k, k == 'a')", args), 't');
	assert_int_equal(
	    test_of("args.s + ':' + string(int(args.l[0])) == 'INV-1:1'", args),
	    't');
	assert_int_equal(
	    test_of("[[1], [2]].all(l, l.exists(i, i > 0))", args), 't');
}

static void
every_name_is_a_label_or_none(void **state)
{
	(void)state;
	labels.n = 0;
	labels_add(&labels, STR("untrusted:kb"));
	labels_add(&labels, STR("pii"));
	assert_int_equal(test_of("labels.untrusted", "{}"), 't');
	assert_int_equal(test_of("labels.untrust", "{}"), 'f');
	assert_int_equal(
	    test_of("!labels.other && has(labels.pii)", "{}"), 't');
	assert_int_equal(test_of("'untrusted:kb' in labels", "{}"), 't');
	assert_int_equal(
	    test_of("labels.exists(l, l.endsWith(':kb'))", "{}"), 't');
	labels.overflowed = true;
	assert_int_equal(test_of("labels.other", "{}"), 'e');
	assert_int_equal(test_of("!labels.other", "{}"), 'e');
	labels.overflowed = false;
	labels.n = 0;
}

static void
what_takes_long_is_cut_short_whatever_stands_around_it(void **state)
{
	own_buf struct buf args = {};

	(void)state;
	buf_add_c(&args, "{\"l\":[0");
	for (int i = 1; i < 256; i++)
		buf_printf(&args, ",%d", i);
	buf_printf(&args, "],\"a\":\"%064d\"}", 0);
	assert_int_equal(test_of("args.l.all(i, args.l.all(k, i + k < 0.0 || "
				 "i + k >= 0.0)) || true",
			     buf_c(&args)),
	    'e');
	assert_int_equal(test_of("args.l.all(i, i < 256)", buf_c(&args)), 't');
	buf_reset(&args);
	buf_printf(&args, "{\"a\":\"%s\"}",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
	assert_int_equal(
	    test_of("args.a.matches('^(a+)+$') || true", buf_c(&args)), 'e');
}

static void
what_is_no_expression_is_refused_by_what_is_wrong(void **state)
{
	static const char *const bad[][2] = {
		{ "", "is empty" },
		{ "args.", "name of a member" },
		{ "args.amount <=", "ends too early" },
		{ "(args.a", "not closed" },
		{ "args.a)", "was not opened" },
		{ "[1, 2)", "does not close" },
		{ "user.name == 1", "no variable" },
		{ "http.host == 'x'", "not known here" },
		{ "args.a.lower() == 'x'", "no method" },
		{ "eval('x')", "no function" },
		{ "args.s.matches(args.p)", "must be a text" },
		{ "args.s.matches('(?=a)')", "group" },
		{ "args.s.matches('(')", "no valid regular expression" },
		{ "has(args)", "asks for a member" },
		{ "has(true ? args.a : args.b)", "asks for a member" },
		{ "args.a = 1", "write ==" },
		{ "{'a': 1}", "maps cannot be written" },
		{ "'abc", "no end" },
		{ "'\\q'", "no escape" },
		{ "9223372036854775808", "63 bits" },
		{ "1 2", "operator is missing" },
		{ "true ? 1", "no : to this ?" },
		{ "args.l.exists(1, true)", "name the item" },
		{ "args.l.map(i, i)", "no method" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *got = fault_of(bad[i][0]);

		if (strstr(got, bad[i][1]) == NULL)
			fail_msg("%s: %s", bad[i][0], got);
	}
}

static void
deep_and_long_texts_have_an_end(void **state)
{
	char text[EXPR_MAX_BYTES + 8];

	(void)state;
	memset(text, '(', sizeof(text));
	text[EXPR_MAX_BYTES] = '\0';
	assert_non_null(strstr(fault_of(text), "nested too deeply"));
	memset(text, '!', EXPR_MAX_BYTES);
	assert_non_null(strstr(fault_of(text), "nested too deeply"));
	memset(text, '1', EXPR_MAX_BYTES + 1);
	text[EXPR_MAX_BYTES + 1] = '\0';
	assert_non_null(strstr(fault_of(text), "at most"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operators_bind_as_in_cel),
		cmocka_unit_test(numbers_of_json_are_doubles),
		cmocka_unit_test(errors_are_absorbed_where_the_answer_is_known),
		cmocka_unit_test(texts_lists_and_maps_have_their_methods),
		cmocka_unit_test(every_name_is_a_label_or_none),
		cmocka_unit_test(
		    what_takes_long_is_cut_short_whatever_stands_around_it),
		cmocka_unit_test(
		    what_is_no_expression_is_refused_by_what_is_wrong),
		cmocka_unit_test(deep_and_long_texts_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
