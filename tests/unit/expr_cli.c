/*
 * Expressions as a process, for tests in other languages.
 *
 * A line of standard input is [expression, args, labels]; the line of the
 * answer is the value: true, null, "text", int 5, uint 5, double 5, list; or
 * "error", or "!" and what is wrong with the expression.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/expr.h"

static void answer(struct str line);
static void show(struct expr_value v);

int
main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0)
		answer((struct str){ line, (size_t)n });
	free(line);
	return 0;
}

static void
answer(struct str line)
{
	static struct labels labels;
	own_arena struct arena a = {};
	struct expr_fault fault;
	struct expr_env env = {};
	struct expr *x;
	struct err e = {};
	const struct json *all = json_parse(line, NULL, &a, &e, NULL);
	const struct json *text = json_first(all);
	const struct json *args;

	if (text == NULL) {
		printf("!%s\n", e.text);
		return;
	}
	args = json_next(all, text);
	labels.n = 0;
	for (const struct json *l = json_first(json_next(all, args)); l != NULL;
	     l = json_next(json_next(all, args), l))
		labels_add(&labels, json_str(l));
	env.var[EXPR_ARGS] = expr_of_json(args);
	env.var[EXPR_LABELS_VAR] =
	    (struct expr_value){ .type = EXPR_LABELS, .labels = &labels };
	env.var[EXPR_NOW] = expr_of_int(1700000000);
	x = expr_new(json_str(text),
	    1U << EXPR_ARGS | 1U << EXPR_LABELS_VAR | 1U << EXPR_NOW, &a,
	    &fault);
	if (x == NULL)
		printf("!%u: %s\n", fault.at, fault.text);
	else
		show(expr_eval(x, &env));
	expr_free(x);
}

static void
show(struct expr_value v)
{
	own_buf struct buf out = {};

	switch (v.type) {
	case EXPR_NULL:
		buf_add_c(&out, "null");
		break;
	case EXPR_BOOL:
		buf_add_c(&out, v.boolean ? "true" : "false");
		break;
	case EXPR_INT:
		buf_printf(&out, "int %lld", (long long)v.i);
		break;
	case EXPR_UINT:
		buf_printf(&out, "uint %llu", (unsigned long long)v.u);
		break;
	case EXPR_DOUBLE:
		buf_printf(&out, "double %.17g", v.d);
		break;
	case EXPR_STRING:
		json_put_str(&out, v.s);
		break;
	case EXPR_LIST:
	case EXPR_RECORD:
	case EXPR_LABELS:
		buf_add_c(&out, "list");
		break;
	case EXPR_JSON:
		buf_add_c(&out, v.json->type == JSON_ARRAY ? "list" : "map");
		break;
	case EXPR_UNSET:
		buf_add_c(&out, "unset");
		break;
	case EXPR_ERROR:
		buf_printf(&out, "error %s", v.error);
		break;
	}
	printf("%s\n", buf_c(&out));
}
