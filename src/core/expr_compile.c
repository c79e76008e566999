/*
 * From tokens to a program, in one pass: operands are written out as they
 * come, operators wait on a stack of their own until what binds less tightly
 * comes by. So nesting costs an entry of that stack, not a call.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/expr_int.h"
#include "core/schema_int.h"

/* Something that waits for its end. */
enum wait {
	WAIT_BINARY, /* or a unary operator: op */
	WAIT_THEN, /* between ? and : */
	WAIT_ELSE, /* behind : */
	WAIT_PAREN,
	WAIT_INDEX,
	WAIT_LIST,
	WAIT_CALL, /* of a function or method: op */
	WAIT_HAS,
	WAIT_MATCHES,
	WAIT_LOOP,
};

struct waiting {
	enum wait kind;
	enum op op;
	uint8_t binds; /* how tightly: of WAIT_BINARY */
	uint16_t at; /* in the text */
	uint16_t patch; /* the instruction that has to learn where this ends */
	uint16_t begin; /* the first instruction inside */
	uint16_t n; /* operands so far; of a loop: its number */
	uint16_t need; /* operands of a call */
};

/* How tightly operators bind. */
enum { BIND_OR = 1, BIND_AND, BIND_ORDER, BIND_SUM, BIND_PRODUCT, BIND_UNARY };

struct compiler {
	struct lexer l;
	struct arena *arena;
	struct expr_fault *fault;
	uint32_t known;
	struct expr *x;
	uint32_t max; /* instructions, and constants */
	struct instr *code;
	struct expr_value *constants;
	uint32_t depth; /* of the stack of values, at this place */
	uint32_t n_waiting, n_loops;
	struct waiting waiting[EXPR_MAX_STACK];
	struct str loops[EXPR_MAX_LOOPS]; /* what their items are called */
};

static int compile(struct compiler *c);
static int operand(struct compiler *c, bool *again);
static int operator(struct compiler *c, bool *again);
static int name(struct compiler *c, bool *again);
static int call(struct compiler *c, struct str what, uint32_t at, bool *again);
static int member(struct compiler *c, bool *again);
static int method(
    struct compiler *c, struct str what, uint32_t at, bool *again);
static int loop(struct compiler *c, enum op op, uint32_t at, bool *again);
static int binary(struct compiler *c, bool *again);
static int question(struct compiler *c);
static int colon(struct compiler *c);
static int comma(struct compiler *c, bool *again);
static int closing(struct compiler *c);
static int close_call(struct compiler *c, struct waiting *w);
static int close_has(struct compiler *c, const struct waiting *w);
static int close_matches(struct compiler *c, const struct waiting *w);
static int unwind(struct compiler *c, uint8_t binds);
static int wait_for(struct compiler *c, struct waiting w);
static int emit(struct compiler *c, enum op op, uint32_t a, uint32_t at);
static int constant(struct compiler *c, struct expr_value v, uint32_t *number);
static void patch_here(struct compiler *c, uint32_t which, bool b);
static const char *beyond_re2(struct str pattern);

struct expr *
expr_new(
    struct str text, uint32_t known, struct arena *a, struct expr_fault *fault)
{
	/* No token makes more instructions than it has bytes. */
	const uint32_t max =
	    (uint32_t)(text.n < EXPR_MAX_CODE ? text.n + 1 : EXPR_MAX_CODE);
	struct compiler c = {
		.l = { .text = text, .arena = a, .fault = fault },
		.arena = a,
		.fault = fault,
		.known = known,
		.max = max,
	};
	struct expr *x = arena_alloc(a, sizeof(*x));

	*fault = (struct expr_fault){};
	if (text.n > EXPR_MAX_BYTES) {
		(void)expr_fault_set(fault, 0,
		    "has %zu bytes; at most %d are allowed", text.n,
		    EXPR_MAX_BYTES);
		return NULL;
	}
	c.code = arena_alloc(a, max * sizeof(*c.code));
	c.constants = arena_alloc(a, max * sizeof(*c.constants));
	if (a->failed) {
		(void)expr_fault_set(fault, 0, "no memory left");
		return NULL;
	}
	x->code = c.code;
	x->constants = c.constants;
	c.x = x;
	if (compile(&c) < 0) {
		expr_free(x);
		return NULL;
	}
	return x;
}

void
expr_free(struct expr *x)
{
	if (x == NULL)
		return;
	for (uint32_t i = 0; i < x->n_patterns; i++)
		pcre2_code_free(x->patterns[i]);
	x->n_patterns = 0;
	pcre2_match_data_free(x->match);
	pcre2_match_context_free(x->limits);
	x->match = NULL;
	x->limits = NULL;
}

static int
compile(struct compiler *c)
{
	bool want = true; /* an operand comes next */

	if (expr_lex(&c->l) < 0)
		return -1;
	while (!want || c->l.token != TOKEN_END) {
		bool again = want; /* what comes after this token */

		if (!want && c->l.token == TOKEN_END)
			break;
		if ((want ? operand(c, &again) : operator(c, &again)) < 0)
			return -1;
		want = again;
	}
	if (want)
		return expr_fault_set(c->fault, c->l.token_at,
		    c->l.text.n == 0 ? "is empty" : "ends too early");
	if (unwind(c, 0) < 0)
		return -1;
	if (c->n_waiting > 0)
		return expr_fault_set(c->fault, c->waiting[c->n_waiting - 1].at,
		    c->waiting[c->n_waiting - 1].kind == WAIT_THEN
			? "there is no : to this ?"
			: "this bracket is not closed");
	must(c->depth == 1);
	return 0;
}

/* The token begins an operand, or stands in front of one. */
static int
operand(struct compiler *c, bool *again)
{
	uint32_t at = c->l.token_at, number = 0;
	struct waiting *top;

	switch (c->l.token) {
	case TOKEN_VALUE:
		*again = false;
		if (c->l.beyond) {
			top = c->n_waiting > 0 ? &c->waiting[c->n_waiting - 1]
					       : NULL;
			if (top == NULL || top->op != OP_NEGATE ||
			    top->kind != WAIT_BINARY)
				return expr_fault_set(c->fault, at,
				    "the number has more than 63 bits");
			c->n_waiting--; /* the value has its sign */
		}
		if (constant(c, c->l.value, &number) < 0 ||
		    emit(c, OP_PUSH, number, at) < 0)
			return -1;
		return expr_lex(&c->l);
	case TOKEN_NAME:
		return name(c, again);
	case TOKEN_NOT:
	case TOKEN_MINUS:
		if (wait_for(c,
			(struct waiting){ .kind = WAIT_BINARY,
			    .op = c->l.token == TOKEN_NOT ? OP_NOT : OP_NEGATE,
			    .binds = BIND_UNARY,
			    .at = (uint16_t)at }) < 0)
			return -1;
		return expr_lex(&c->l);
	case TOKEN_OPEN:
	case TOKEN_OPEN_LIST:
		if (wait_for(c,
			(struct waiting){ .kind = c->l.token == TOKEN_OPEN
				? WAIT_PAREN
				: WAIT_LIST,
			    .at = (uint16_t)at }) < 0)
			return -1;
		return expr_lex(&c->l);
	case TOKEN_CLOSE_LIST:
		/* [] */
		top = c->n_waiting > 0 ? &c->waiting[c->n_waiting - 1] : NULL;
		if (top == NULL || top->kind != WAIT_LIST || top->n > 0)
			break;
		*again = false;
		c->n_waiting--;
		if (emit(c, OP_LIST, 0, at) < 0)
			return -1;
		return expr_lex(&c->l);
	case TOKEN_DOT:
		return expr_fault_set(
		    c->fault, at, "a name stands before the point");
	case TOKEN_END:
	case TOKEN_PLUS:
	case TOKEN_STAR:
	case TOKEN_SLASH:
	case TOKEN_PERCENT:
	case TOKEN_EQ:
	case TOKEN_NE:
	case TOKEN_LT:
	case TOKEN_LE:
	case TOKEN_GT:
	case TOKEN_GE:
	case TOKEN_IN:
	case TOKEN_AND:
	case TOKEN_OR:
	case TOKEN_QUESTION:
	case TOKEN_COLON:
	case TOKEN_COMMA:
	case TOKEN_CLOSE:
		break;
	}
	return expr_fault_set(c->fault, at, "a value is missing here");
}

/* An operand is complete: what is done with it? */
static int
operator(struct compiler *c, bool *again)
{
	switch (c->l.token) {
	case TOKEN_DOT:
		return member(c, again);
	case TOKEN_OPEN_LIST:
		*again = true;
		if (wait_for(c,
			(struct waiting){ .kind = WAIT_INDEX,
			    .at = (uint16_t)c->l.token_at }) < 0)
			return -1;
		return expr_lex(&c->l);
	case TOKEN_QUESTION:
		*again = true;
		return question(c);
	case TOKEN_COLON:
		*again = true;
		return colon(c);
	case TOKEN_COMMA:
		return comma(c, again);
	case TOKEN_CLOSE:
	case TOKEN_CLOSE_LIST:
		return closing(c);
	case TOKEN_PLUS:
	case TOKEN_MINUS:
	case TOKEN_STAR:
	case TOKEN_SLASH:
	case TOKEN_PERCENT:
	case TOKEN_EQ:
	case TOKEN_NE:
	case TOKEN_LT:
	case TOKEN_LE:
	case TOKEN_GT:
	case TOKEN_GE:
	case TOKEN_IN:
	case TOKEN_AND:
	case TOKEN_OR:
		return binary(c, again);
	case TOKEN_END:
	case TOKEN_NAME:
	case TOKEN_VALUE:
	case TOKEN_NOT:
	case TOKEN_OPEN:
		break;
	}
	return expr_fault_set(
	    c->fault, c->l.token_at, "an operator is missing here");
}

/* A variable, the item of a loop, or a function. */
static int
name(struct compiler *c, bool *again)
{
	static const char *const vars[EXPR_VARS] = { "args", "labels", "run",
		"identity", "tool", "http", "now" };
	struct str what = c->l.name;
	uint32_t at = c->l.token_at;

	if (expr_lex(&c->l) < 0)
		return -1;
	if (c->l.token == TOKEN_OPEN)
		return call(c, what, at, again);
	*again = false;
	for (uint32_t i = c->n_loops; i-- > 0;) {
		if (str_eq(c->loops[i], what))
			return emit(c, OP_SLOT, i, at);
	}
	for (uint32_t i = 0; i < EXPR_VARS; i++) {
		if (!str_eq_c(what, vars[i]))
			continue;
		if ((c->known & 1U << i) == 0)
			return expr_fault_set(
			    c->fault, at, "`%s` is not known here", vars[i]);
		return emit(c, OP_VAR, i, at);
	}
	return expr_fault_set(c->fault, at,
	    "`%.*s` is no variable; there are args, labels, run, identity, "
	    "tool, http and now",
	    STR_FMT(what));
}

static int
call(struct compiler *c, struct str what, uint32_t at, bool *again)
{
	static const struct {
		const char *name;
		enum wait kind;
		enum op op;
		uint16_t need;
	} all[] = {
		{ "has", WAIT_HAS, OP_HAS, 1 },
		{ "size", WAIT_CALL, OP_SIZE, 1 },
		{ "matches", WAIT_MATCHES, OP_MATCHES, 2 },
		{ "int", WAIT_CALL, OP_TO_INT, 1 },
		{ "uint", WAIT_CALL, OP_TO_UINT, 1 },
		{ "double", WAIT_CALL, OP_TO_DOUBLE, 1 },
		{ "string", WAIT_CALL, OP_TO_STRING, 1 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!str_eq_c(what, all[i].name))
			continue;
		*again = true;
		if (wait_for(c,
			(struct waiting){ .kind = all[i].kind,
			    .op = all[i].op,
			    .at = (uint16_t)at,
			    .begin = (uint16_t)c->x->n_code,
			    .need = all[i].need }) < 0)
			return -1;
		return expr_lex(&c->l);
	}
	return expr_fault_set(c->fault, at,
	    "there is no function `%.*s`; there are has, size, matches, int, "
	    "uint, double and string",
	    STR_FMT(what));
}

static int
member(struct compiler *c, bool *again)
{
	struct str what;
	uint32_t at, number = 0;

	if (expr_lex(&c->l) < 0)
		return -1;
	at = c->l.token_at;
	if (c->l.token != TOKEN_NAME)
		return expr_fault_set(c->fault, at,
		    "the name of a member is missing; one that is no name is "
		    "x[\"...\"]");
	what = c->l.name;
	if (expr_lex(&c->l) < 0)
		return -1;
	if (c->l.token == TOKEN_OPEN)
		return method(c, what, at, again);
	*again = false;
	if (constant(c, expr_of_str(what), &number) < 0)
		return -1;
	return emit(c, OP_FIELD, number, at);
}

static int
method(struct compiler *c, struct str what, uint32_t at, bool *again)
{
	static const struct {
		const char *name;
		enum wait kind;
		enum op op;
		uint16_t need;
	} all[] = {
		{ "startsWith", WAIT_CALL, OP_STARTS, 2 },
		{ "endsWith", WAIT_CALL, OP_ENDS, 2 },
		{ "contains", WAIT_CALL, OP_CONTAINS, 2 },
		{ "matches", WAIT_MATCHES, OP_MATCHES, 2 },
	};

	if (str_eq_c(what, "exists"))
		return loop(c, OP_LOOP_EXISTS, at, again);
	if (str_eq_c(what, "all"))
		return loop(c, OP_LOOP_ALL, at, again);
	if (str_eq_c(what, "size")) {
		if (expr_lex(&c->l) < 0)
			return -1;
		if (c->l.token != TOKEN_CLOSE)
			return expr_fault_set(
			    c->fault, c->l.token_at, "size takes nothing here");
		*again = false;
		if (emit(c, OP_SIZE, 0, at) < 0)
			return -1;
		return expr_lex(&c->l);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!str_eq_c(what, all[i].name))
			continue;
		*again = true;
		if (wait_for(c,
			(struct waiting){ .kind = all[i].kind,
			    .op = all[i].op,
			    .at = (uint16_t)at,
			    .begin = (uint16_t)c->x->n_code,
			    .n = 1,
			    .need = all[i].need }) < 0)
			return -1;
		return expr_lex(&c->l);
	}
	return expr_fault_set(c->fault, at,
	    "there is no method `%.*s`; there are startsWith, endsWith, "
	    "contains, matches, size, exists and all",
	    STR_FMT(what));
}

/* The list is on the stack; its place is taken by the result. */
static int
loop(struct compiler *c, enum op op, uint32_t at, bool *again)
{
	uint32_t begin = c->x->n_code, number = c->n_loops;

	if (expr_lex(&c->l) < 0)
		return -1;
	if (c->l.token != TOKEN_NAME)
		return expr_fault_set(c->fault, c->l.token_at,
		    "name the item: x.exists(item, item == 1)");
	if (number == EXPR_MAX_LOOPS)
		return expr_fault_set(c->fault, at,
		    "at most %d of exists and all may stand in each other",
		    EXPR_MAX_LOOPS);
	c->loops[number] = c->l.name;
	if (expr_lex(&c->l) < 0)
		return -1;
	if (c->l.token != TOKEN_COMMA)
		return expr_fault_set(c->fault, c->l.token_at,
		    "a comma is missing behind the item's name");
	*again = true;
	if (emit(c, op, number, at) < 0 || emit(c, OP_NEXT, number, at) < 0 ||
	    wait_for(c,
		(struct waiting){ .kind = WAIT_LOOP,
		    .op = op,
		    .at = (uint16_t)at,
		    .begin = (uint16_t)begin,
		    .n = (uint16_t)number }) < 0)
		return -1;
	c->n_loops++;
	return expr_lex(&c->l);
}

static int
binary(struct compiler *c, bool *again)
{
	static const struct {
		enum op op;
		uint8_t binds;
	} all[] = {
		[TOKEN_PLUS] = { OP_ADD, BIND_SUM },
		[TOKEN_MINUS] = { OP_SUB, BIND_SUM },
		[TOKEN_STAR] = { OP_MUL, BIND_PRODUCT },
		[TOKEN_SLASH] = { OP_DIV, BIND_PRODUCT },
		[TOKEN_PERCENT] = { OP_MOD, BIND_PRODUCT },
		[TOKEN_EQ] = { OP_EQ, BIND_ORDER },
		[TOKEN_NE] = { OP_NE, BIND_ORDER },
		[TOKEN_LT] = { OP_LT, BIND_ORDER },
		[TOKEN_LE] = { OP_LE, BIND_ORDER },
		[TOKEN_GT] = { OP_GT, BIND_ORDER },
		[TOKEN_GE] = { OP_GE, BIND_ORDER },
		[TOKEN_IN] = { OP_IN, BIND_ORDER },
		[TOKEN_AND] = { OP_AND, BIND_AND },
		[TOKEN_OR] = { OP_OR, BIND_OR },
	};
	enum expr_token token = c->l.token;
	struct waiting w = { .kind = WAIT_BINARY,
		.op = all[token].op,
		.binds = all[token].binds,
		.at = (uint16_t)c->l.token_at };

	*again = true;
	if (unwind(c, w.binds) < 0)
		return -1;
	w.patch = (uint16_t)c->x->n_code;
	if (token == TOKEN_AND && emit(c, OP_AND_SKIP, 0, w.at) < 0)
		return -1;
	if (token == TOKEN_OR && emit(c, OP_OR_SKIP, 0, w.at) < 0)
		return -1;
	if (wait_for(c, w) < 0)
		return -1;
	return expr_lex(&c->l);
}

static int
question(struct compiler *c)
{
	uint32_t at = c->l.token_at;

	if (unwind(c, BIND_OR) < 0)
		return -1;
	if (c->n_waiting > 0 && c->waiting[c->n_waiting - 1].kind == WAIT_THEN)
		return expr_fault_set(
		    c->fault, at, "put the choice between ? and : in brackets");
	if (wait_for(c,
		(struct waiting){ .kind = WAIT_THEN,
		    .at = (uint16_t)at,
		    .patch = (uint16_t)c->x->n_code }) < 0 ||
	    emit(c, OP_CHOOSE, 0, at) < 0)
		return -1;
	return expr_lex(&c->l);
}

static int
colon(struct compiler *c)
{
	uint32_t at = c->l.token_at;
	struct waiting *w;

	if (unwind(c, BIND_OR) < 0)
		return -1;
	w = c->n_waiting > 0 ? &c->waiting[c->n_waiting - 1] : NULL;
	if (w == NULL || w->kind != WAIT_THEN)
		return expr_fault_set(c->fault, at, "there is no ? to this :");
	w->kind = WAIT_ELSE;
	w->begin = (uint16_t)c->x->n_code; /* of the way out */
	if (emit(c, OP_GOTO, 0, at) < 0)
		return -1;
	patch_here(c, w->patch, false);
	c->depth--; /* only one of the two will have been pushed */
	return expr_lex(&c->l);
}

static int
comma(struct compiler *c, bool *again)
{
	struct waiting *w;

	if (unwind(c, 0) < 0)
		return -1;
	w = c->n_waiting > 0 ? &c->waiting[c->n_waiting - 1] : NULL;
	if (w == NULL || (w->kind != WAIT_LIST && w->kind != WAIT_MATCHES))
		return expr_fault_set(
		    c->fault, c->l.token_at, "a comma means nothing here");
	w->n++;
	*again = true;
	if (w->kind == WAIT_MATCHES) {
		if (w->n >= w->need)
			return expr_fault_set(c->fault, c->l.token_at,
			    "matches takes a text and a pattern");
		w->begin = (uint16_t)c->x->n_code; /* of the pattern */
	} else if (w->n > EXPR_MAX_STACK) {
		return expr_fault_set(c->fault, w->at,
		    "a list may have %d items here", EXPR_MAX_STACK);
	}
	return expr_lex(&c->l);
}

static int
closing(struct compiler *c)
{
	bool list = c->l.token == TOKEN_CLOSE_LIST, opened_list;
	uint32_t at = c->l.token_at;
	struct waiting w;

	if (unwind(c, 0) < 0)
		return -1;
	if (c->n_waiting == 0)
		return expr_fault_set(
		    c->fault, at, "this bracket was not opened");
	w = c->waiting[--c->n_waiting];
	opened_list = w.kind == WAIT_LIST || w.kind == WAIT_INDEX;
	if (w.kind == WAIT_THEN)
		return expr_fault_set(
		    c->fault, w.at, "there is no : to this ?");
	if (opened_list != list)
		return expr_fault_set(c->fault, at,
		    "this bracket does not close the one that is open");
	switch (w.kind) {
	case WAIT_PAREN:
		break;
	case WAIT_INDEX:
		if (emit(c, OP_INDEX, 0, w.at) < 0)
			return -1;
		break;
	case WAIT_LIST:
		if (emit(c, OP_LIST, w.n + 1U, w.at) < 0)
			return -1;
		break;
	case WAIT_CALL:
		if (close_call(c, &w) < 0)
			return -1;
		break;
	case WAIT_HAS:
		if (close_has(c, &w) < 0)
			return -1;
		break;
	case WAIT_MATCHES:
		if (close_matches(c, &w) < 0)
			return -1;
		break;
	case WAIT_LOOP:
		c->n_loops--;
		if (emit(c, OP_STEP, w.n, w.at) < 0)
			return -1;
		c->code[c->x->n_code - 1].b = (uint16_t)(w.begin + 1);
		patch_here(c, w.begin, true);
		patch_here(c, w.begin + 1U, true);
		break;
	case WAIT_BINARY:
	case WAIT_THEN:
	case WAIT_ELSE:
		must(false);
	}
	return expr_lex(&c->l);
}

static int
close_call(struct compiler *c, struct waiting *w)
{
	if (w->n + 1U != w->need)
		return expr_fault_set(
		    c->fault, w->at, "takes %u values", w->need);
	return emit(c, w->op, 0, w->at);
}

static int
close_has(struct compiler *c, const struct waiting *w)
{
	struct instr *last = &c->code[c->x->n_code - 1];
	bool good = last->op == OP_FIELD;

	/* The last one of a choice is that of one of its ends only. */
	for (uint32_t i = w->begin; i < c->x->n_code; i++)
		good = good && c->code[i].op != OP_CHOOSE;
	if (!good)
		return expr_fault_set(
		    c->fault, w->at, "has asks for a member: has(args.note)");
	last->op = OP_HAS;
	return 0;
}

static int
close_matches(struct compiler *c, const struct waiting *w)
{
	const struct instr *last = &c->code[w->begin];
	const struct expr_value *v;
	struct expr *x = c->x;
	const char *why;

	if (w->n + 1U != w->need)
		return expr_fault_set(
		    c->fault, w->at, "matches takes a text and a pattern");
	v = &c->constants[last->a];
	if (x->n_code != w->begin + 1U || last->op != OP_PUSH ||
	    v->type != EXPR_STRING)
		return expr_fault_set(c->fault, w->at,
		    "the pattern must be a text that is written here");
	if (x->patterns == NULL) {
		x->patterns = arena_alloc(c->arena,
		    /* An array of pointers. NOLINTNEXTLINE */
		    EXPR_MAX_PATTERNS * sizeof(*x->patterns));
		if (x->patterns == NULL)
			return expr_fault_set(
			    c->fault, w->at, "no memory left");
	}
	if (x->n_patterns == EXPR_MAX_PATTERNS)
		return expr_fault_set(
		    c->fault, w->at, "there are too many patterns");
	why = beyond_re2(v->s);
	if (why != NULL)
		return expr_fault_set(
		    c->fault, last->at, "the pattern %s", why);
	x->patterns[x->n_patterns] = schema_pattern(v->s, &why);
	if (x->patterns[x->n_patterns] == NULL)
		return expr_fault_set(
		    c->fault, last->at, "the pattern %s", why);
	x->n_patterns++;
	if (x->match == NULL && schema_matcher(&x->match, &x->limits) < 0)
		return expr_fault_set(c->fault, w->at, "no memory left");
	x->n_code--;
	c->depth--;
	return emit(c, OP_MATCHES, x->n_patterns - 1, w->at);
}

/* Writes out what binds at least as tightly, down to the last bracket. */
static int
unwind(struct compiler *c, uint8_t binds)
{
	while (c->n_waiting > 0) {
		struct waiting *w = &c->waiting[c->n_waiting - 1];

		/* It takes in all that comes: a ? b : c ? d : e || f */
		if (w->kind == WAIT_ELSE && binds == 0) {
			patch_here(c, w->patch, true);
			patch_here(c, w->begin, false);
			c->n_waiting--;
			continue;
		}
		if (w->kind != WAIT_BINARY || w->binds < binds)
			return 0;
		c->n_waiting--;
		if (emit(c, w->op, 0, w->at) < 0)
			return -1;
		if (w->op == OP_AND || w->op == OP_OR)
			patch_here(c, w->patch, false);
	}
	return 0;
}

static int
wait_for(struct compiler *c, struct waiting w)
{
	if (c->n_waiting == EXPR_MAX_STACK)
		return expr_fault_set(
		    c->fault, w.at, "the expression is nested too deeply");
	c->waiting[c->n_waiting++] = w;
	return 0;
}

static int
emit(struct compiler *c, enum op op, uint32_t a, uint32_t at)
{
	uint32_t takes = 0, gives = 0;

	switch (op) {
	case OP_PUSH:
	case OP_VAR:
	case OP_SLOT:
		gives = 1;
		break;
	case OP_LIST:
		takes = a;
		gives = 1;
		break;
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
	case OP_CHOOSE:
	case OP_STEP:
		takes = 1;
		break;
	case OP_FIELD:
	case OP_HAS:
	case OP_NOT:
	case OP_NEGATE:
	case OP_AND_SKIP:
	case OP_OR_SKIP:
	case OP_GOTO:
	case OP_SIZE:
	case OP_MATCHES:
	case OP_TO_INT:
	case OP_TO_UINT:
	case OP_TO_DOUBLE:
	case OP_TO_STRING:
	case OP_LOOP_EXISTS:
	case OP_LOOP_ALL:
	case OP_NEXT:
		break;
	}
	if (c->x->n_code == c->max || c->depth + gives > takes + EXPR_MAX_STACK)
		return expr_fault_set(
		    c->fault, at, "the expression has too many parts");
	if (c->x->texts == NULL && (op == OP_ADD || op == OP_TO_STRING)) {
		c->x->texts = arena_alloc(c->arena, EXPR_MAX_TEXT_BYTES);
		if (c->x->texts == NULL)
			return expr_fault_set(c->fault, at, "no memory left");
	}
	must(c->depth >= takes);
	c->depth += gives;
	c->depth -= takes;
	c->code[c->x->n_code++] = (struct instr){
		.op = (uint8_t)op, .a = (uint16_t)a, .at = (uint16_t)at
	};
	return 0;
}

static int
constant(struct compiler *c, struct expr_value v, uint32_t *number)
{
	if (c->x->n_constants == c->max)
		return expr_fault_set(c->fault, c->l.token_at,
		    "the expression has too many parts");
	*number = c->x->n_constants;
	c->constants[c->x->n_constants++] = v;
	return 0;
}

/* The next instruction is where instruction `which` goes. */
static void
patch_here(struct compiler *c, uint32_t which, bool b)
{
	if (b)
		c->code[which].b = (uint16_t)c->x->n_code;
	else
		c->code[which].a = (uint16_t)c->x->n_code;
}

/* CEL's patterns are RE2's: no looking around and no references back. */
static const char *
beyond_re2(struct str pattern)
{
	for (size_t i = 0; i + 1 < pattern.n; i++) {
		char next = pattern.p[i + 1];

		if (pattern.p[i] == '\\') {
			if ((next >= '1' && next <= '9') || next == 'k')
				return "refers back, which RE2 does not know";
			i++;
		} else if (pattern.p[i] == '(' && next == '?' &&
		    i + 2 < pattern.n && pattern.p[i + 2] != ':') {
			return "holds a group other than (...) and (?:...)";
		}
	}
	return NULL;
}
