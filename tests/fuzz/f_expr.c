/*
 * The input is an expression; its variables are always the same.
 *
 * Holds: an expression or a fault inside the text, never both; a value that is
 * one of those that expressions can have, and the same one each time; a text
 * that is made is within its limit; an error has its reason.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/expr.h"

static const char args_text[] =
    "{\"amount\":25,\"s\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\","
    "\"l\":[1,2.5,\"a\",[1,[2]],null,{\"x\":true}],\"m\":{\"x\":[0,1]},"
    "\"u\":\"\xc3\xbc\"}";

static bool
same(struct expr_value a, struct expr_value b)
{
	if (a.type != b.type)
		return false;
	if (a.type == EXPR_STRING)
		return str_eq(a.s, b.s);
	if (a.type == EXPR_BOOL)
		return a.boolean == b.boolean;
	if (a.type == EXPR_INT)
		return a.i == b.i;
	return a.type != EXPR_ERROR || strcmp(a.error, b.error) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct labels labels;
	own_arena struct arena a = {};
	struct expr_env env = {};
	struct expr_fault fault;
	struct expr_value first;
	struct err e = {};
	own_buf struct buf clean = {};
	struct str text;
	struct expr *x;

	/* As a policy's texts are: UTF-8. */
	json_put_str(&clean, (struct str){ (const char *)data, size });
	text = json_str(json_parse(buf_str(&clean), NULL, &a, &e, NULL));
	x = expr_new(text, (1U << EXPR_VARS) - 1, &a, &fault);
	must((x == NULL) == (fault.text[0] != '\0'));
	must(fault.at <= text.n);
	if (x == NULL)
		return 0;
	labels.n = 0;
	labels_add(&labels, STR("untrusted:kb"));
	env.var[EXPR_ARGS] =
	    expr_of_json(json_parse(str_of(args_text), NULL, &a, &e, NULL));
	env.var[EXPR_LABELS_VAR] =
	    (struct expr_value){ .type = EXPR_LABELS, .labels = &labels };
	env.var[EXPR_NOW] = expr_of_int(1700000000);
	first = expr_eval(x, &env);
	must(first.type != EXPR_UNSET);
	if (first.type == EXPR_STRING)
		must(first.s.n <=
		    sizeof(args_text) + text.n + EXPR_MAX_TEXT_BYTES);
	if (first.type == EXPR_ERROR)
		must(first.error[0] != '\0');
	must(same(first, expr_eval(x, &env)));
	must((expr_test(x, &env, NULL) == EXPR_FAILED) ==
	    (first.type != EXPR_BOOL));
	expr_free(x);
	return 0;
}
