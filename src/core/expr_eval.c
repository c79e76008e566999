/*
 * The stack machine. An error is a value: operators hand it on, && and || may
 * do without it. Only an evaluation that takes too many steps ends at once,
 * so that nothing can hide that.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/expr_int.h"
#include "core/schema_int.h"

/* exists or all, under way. */
struct loop {
	struct expr_value over; /* what it goes over */
	struct expr_value item;
	const struct json *next; /* of a document */
	uint32_t done; /* items that were handed out */
	uint32_t n_items, n_text; /* of the scratch, before each item */
	bool all;
};

struct machine {
	const struct expr_env *env;
	uint32_t depth;
	struct expr_value stack[EXPR_MAX_STACK];
	struct loop loops[EXPR_MAX_LOOPS];
	struct expr_scratch scratch;
};

static const char too_long[] = "the expression takes too many steps";

static uint32_t run(struct machine *m, uint32_t at);
static bool takes_none(enum op op);
static void run_operator(struct machine *m, enum op op, struct expr_value *top);
static struct expr_value both(
    const struct expr_value *a, const struct expr_value *b, bool decides);
static struct expr_value list(struct machine *m, uint32_t n);
static struct expr_value matches(struct expr_scratch *s,
    const pcre2_code *pattern, const struct expr_value *v);
static bool loop_begin(
    struct loop *l, struct expr_scratch *s, struct expr_value *top, bool all);
static bool loop_next(struct loop *l);
static bool is_bool(const struct expr_value *v, bool value);
static struct expr_value of_bool(bool b);

struct expr_value
expr_eval(struct expr *x, const struct expr_env *env)
{
	/* Its 8 KiB are left as they are: this is done at every call, and
	 * nothing is read that was not written. */
	struct machine m __attribute__((uninitialized));

	m.env = env;
	m.depth = 0;
	m.scratch.x = x;
	m.scratch.steps = EXPR_MAX_STEPS;
	m.scratch.n_items = m.scratch.n_text = 0;
	for (uint32_t at = 0; at < x->n_code;) {
		if (!expr_spend(&m.scratch, 1))
			return expr_error(too_long);
		at = run(&m, at);
		if (m.scratch.steps == 0)
			return expr_error(too_long);
	}
	must(m.depth == 1);
	return m.stack[0];
}

enum expr_truth
expr_test(struct expr *x, const struct expr_env *env, const char **why)
{
	struct expr_value v = expr_eval(x, env);

	if (v.type == EXPR_BOOL)
		return v.boolean ? EXPR_TRUE : EXPR_FALSE;
	if (why != NULL)
		*why = v.type == EXPR_ERROR
		    ? v.error
		    : "the result is neither true nor false";
	return EXPR_FAILED;
}

struct expr_value
expr_of_json(const struct json *v)
{
	struct expr_value out = {};

	switch ((enum json_type)v->type) {
	case JSON_NULL:
		out.type = EXPR_NULL;
		break;
	case JSON_FALSE:
	case JSON_TRUE:
		return of_bool(v->type == JSON_TRUE);
	case JSON_NUMBER:
		out.type = EXPR_DOUBLE;
		out.d = v->num;
		break;
	case JSON_STRING:
		return expr_of_str(json_str(v));
	case JSON_ARRAY:
	case JSON_OBJECT:
		out.type = EXPR_JSON;
		out.json = v;
		break;
	}
	return out;
}

struct expr_value
expr_of_str(struct str s)
{
	return (struct expr_value){ .type = EXPR_STRING, .s = s };
}

struct expr_value
expr_of_int(int64_t i)
{
	return (struct expr_value){ .type = EXPR_INT, .i = i };
}

struct expr_value
expr_error(const char *why)
{
	return (struct expr_value){ .type = EXPR_ERROR, .error = why };
}

bool
expr_spend(struct expr_scratch *s, size_t steps)
{
	if (steps >= s->steps) {
		s->steps = 0;
		return false;
	}
	s->steps -= (uint32_t)steps;
	return true;
}

/* One instruction; returns the place of the next one. */
static uint32_t
run(struct machine *m, uint32_t at)
{
	const struct expr *x = m->scratch.x;
	const struct instr *in = &x->code[at];
	struct expr_value *top = &m->stack[m->depth > 0 ? m->depth - 1 : 0];
	struct expr_value v;
	struct loop *l;

	/* The compiler counts, so that each finds what it takes. */
	must(m->depth > 0 || takes_none((enum op)in->op));
	switch ((enum op)in->op) {
	case OP_PUSH:
		m->stack[m->depth++] = x->constants[in->a];
		break;
	case OP_VAR:
		v = m->env->var[in->a];
		if (v.type == EXPR_UNSET)
			v = expr_error("a variable is not known at this call");
		m->stack[m->depth++] = v;
		break;
	case OP_SLOT:
		m->stack[m->depth++] = m->loops[in->a].item;
		break;
	case OP_FIELD:
		*top = expr_field(&m->scratch, top, x->constants[in->a].s);
		break;
	case OP_HAS:
		*top = expr_has(&m->scratch, top, x->constants[in->a].s);
		break;
	case OP_AND_SKIP:
		if (is_bool(top, false))
			return in->a;
		break;
	case OP_OR_SKIP:
		if (is_bool(top, true))
			return in->a;
		break;
	case OP_CHOOSE:
		if (top->type != EXPR_BOOL) {
			if (top->type != EXPR_ERROR)
				*top = expr_error("what stands before ? is "
						  "neither true nor false");
			return in->b;
		}
		m->depth--;
		return top->boolean ? at + 1 : in->a;
	case OP_GOTO:
		return in->a;
	case OP_LIST:
		v = list(m, in->a);
		m->depth -= in->a;
		m->stack[m->depth++] = v;
		break;
	case OP_MATCHES:
		*top = matches(&m->scratch, x->patterns[in->a], top);
		break;
	case OP_LOOP_EXISTS:
	case OP_LOOP_ALL:
		if (!loop_begin(&m->loops[in->a], &m->scratch, top,
			in->op == OP_LOOP_ALL))
			return in->b;
		break;
	case OP_NEXT:
		if (!loop_next(&m->loops[in->a]))
			return in->b;
		break;
	case OP_STEP:
		l = &m->loops[in->a];
		m->depth--;
		top[-1] = both(&top[-1], top, !l->all);
		/* What the body put together is not needed any more. */
		m->scratch.n_items = l->n_items;
		m->scratch.n_text = l->n_text;
		if (is_bool(&top[-1], !l->all))
			return x->code[in->b].b;
		return in->b;
	case OP_SIZE:
		*top = expr_size(&m->scratch, top);
		break;
	case OP_NOT:
	case OP_NEGATE:
	case OP_TO_INT:
	case OP_TO_UINT:
	case OP_TO_DOUBLE:
	case OP_TO_STRING:
	case OP_INDEX:
	case OP_ADD:
	case OP_SUB:
	case OP_MUL:
	case OP_DIV:
	case OP_MOD:
	case OP_EQ:
	case OP_NE:
	case OP_LT:
	case OP_LE:
	case OP_GT:
	case OP_GE:
	case OP_IN:
	case OP_AND:
	case OP_OR:
	case OP_STARTS:
	case OP_ENDS:
	case OP_CONTAINS:
		run_operator(m, (enum op)in->op, top);
		break;
	}
	return at + 1;
}

/* Those that do with an empty stack. */
static bool
takes_none(enum op op)
{
	return op == OP_PUSH || op == OP_VAR || op == OP_SLOT ||
	    op == OP_GOTO || op == OP_LIST || op == OP_NEXT;
}

/* Those that take one or two operands and have one result. */
static void
run_operator(struct machine *m, enum op op, struct expr_value *top)
{
	struct expr_scratch *s = &m->scratch;
	struct expr_value *a = top - 1;

	if (op == OP_AND || op == OP_OR) {
		*a = both(a, top, op == OP_OR);
		m->depth--;
		return;
	}
	if (op == OP_NOT || op == OP_NEGATE || op == OP_TO_INT ||
	    op == OP_TO_UINT || op == OP_TO_DOUBLE || op == OP_TO_STRING) {
		if (top->type == EXPR_ERROR)
			return;
		if (op == OP_NEGATE)
			*top = expr_negate(top);
		else if (op != OP_NOT)
			*top = expr_convert(s, op, top);
		else if (top->type == EXPR_BOOL)
			top->boolean = !top->boolean;
		else
			*top = expr_error("! is for what is true or false");
		return;
	}
	m->depth--;
	if (a->type == EXPR_ERROR)
		return;
	if (top->type == EXPR_ERROR) {
		*a = *top;
		return;
	}
	if (op == OP_INDEX) {
		*a = expr_index(s, a, top);
	} else if (op == OP_EQ || op == OP_NE) {
		*a = expr_equal(s, a, top);
		if (op == OP_NE && a->type == EXPR_BOOL)
			a->boolean = !a->boolean;
	} else if (op == OP_LT || op == OP_LE || op == OP_GT || op == OP_GE) {
		*a = expr_order(s, op, a, top);
	} else if (op == OP_IN) {
		*a = expr_in(s, a, top);
	} else if (op == OP_STARTS || op == OP_ENDS || op == OP_CONTAINS) {
		*a = expr_text_op(s, op, a, top);
	} else {
		*a = expr_arithmetic(s, op, a, top);
	}
}

/*
 * a || b, where true decides, or a && b, where false does: of two errors the
 * first one stays.
 */
static struct expr_value
both(const struct expr_value *a, const struct expr_value *b, bool decides)
{
	if (is_bool(a, decides) || is_bool(b, decides))
		return of_bool(decides);
	if (a->type == EXPR_ERROR)
		return *a;
	if (b->type == EXPR_ERROR)
		return *b;
	if (a->type != EXPR_BOOL || b->type != EXPR_BOOL)
		return expr_error("a condition is neither true nor false");
	return of_bool(!decides);
}

static struct expr_value
list(struct machine *m, uint32_t n)
{
	struct expr_scratch *s = &m->scratch;
	struct expr_value out = {
		.type = EXPR_LIST, .n = n, .items = &s->items[s->n_items]
	};
	const struct expr_value *from = &m->stack[m->depth - n];

	for (uint32_t i = 0; i < n; i++) {
		if (from[i].type == EXPR_ERROR)
			return from[i];
	}
	if (n > EXPR_MAX_ITEMS - s->n_items)
		return expr_error("the lists have too many items");
	for (uint32_t i = 0; i < n; i++)
		s->items[s->n_items++] = from[i];
	return out;
}

static struct expr_value
matches(struct expr_scratch *s, const pcre2_code *pattern,
    const struct expr_value *v)
{
	struct expr *x = s->x;
	int got;

	if (v->type == EXPR_ERROR)
		return *v;
	if (v->type != EXPR_STRING)
		return expr_error("matches is for texts");
	if (!expr_spend(s, 64 + v->s.n))
		return expr_error(too_long);
	got = schema_pattern_match(pattern, x->match, x->limits, v->s);
	if (got < 0) {
		s->steps = 0;
		return expr_error(too_long);
	}
	return of_bool(got == 1);
}

/*
 * top becomes what is known before the first item. False when there is nothing
 * to go over: then it is an error.
 */
static bool
loop_begin(
    struct loop *l, struct expr_scratch *s, struct expr_value *top, bool all)
{
	struct expr_value n = expr_size(s, top);

	l->over = *top;
	l->done = 0;
	l->all = all;
	if (top->type == EXPR_ERROR)
		return false;
	if (n.type != EXPR_INT || top->type == EXPR_STRING) {
		*top = n.type == EXPR_ERROR && top->type == EXPR_LABELS
		    ? n
		    : expr_error("exists and all are for lists and maps");
		return false;
	}
	if (n.i > EXPR_MAX_ITEMS) {
		*top = expr_error("exists and all look at 256 items, no more");
		return false;
	}
	l->next = top->type == EXPR_JSON ? json_first(top->json) : NULL;
	l->n_items = s->n_items;
	l->n_text = s->n_text;
	*top = of_bool(all);
	return true;
}

/* Of a map these are its keys. */
static bool
loop_next(struct loop *l)
{
	uint32_t i = l->done++;

	if (l->over.type == EXPR_JSON) {
		if (l->next == NULL)
			return false;
		l->item = expr_of_json(l->next);
		l->next = json_next(l->over.json, l->next);
		return true;
	}
	if (l->over.type == EXPR_LIST && i < l->over.n) {
		l->item = l->over.items[i];
		return true;
	}
	if (l->over.type == EXPR_LABELS && i < l->over.labels->n) {
		l->item = expr_of_str(str_of(l->over.labels->text[i]));
		return true;
	}
	if (l->over.type == EXPR_RECORD && i < l->over.record->n) {
		l->item = expr_of_str(l->over.record->fields[i].name);
		return true;
	}
	return false;
}

static bool
is_bool(const struct expr_value *v, bool value)
{
	return v->type == EXPR_BOOL && v->boolean == value;
}

static struct expr_value
of_bool(bool b)
{
	return (struct expr_value){ .type = EXPR_BOOL, .boolean = b };
}
