/*
 * core/expr_int.h: a compiled expression, as its files share it.
 *
 * expr_lex.c makes tokens of the text, expr_compile.c a program of the tokens,
 * expr_eval.c runs it, and expr_value.c knows what operators do.
 */
#ifndef CORE_EXPR_INT_H
#define CORE_EXPR_INT_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/expr.h"

enum expr_token {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_VALUE, /* a literal */
	TOKEN_NOT,
	TOKEN_MINUS,
	TOKEN_PLUS,
	TOKEN_STAR,
	TOKEN_SLASH,
	TOKEN_PERCENT,
	TOKEN_EQ,
	TOKEN_NE,
	TOKEN_LT,
	TOKEN_LE,
	TOKEN_GT,
	TOKEN_GE,
	TOKEN_IN,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_QUESTION,
	TOKEN_COLON,
	TOKEN_DOT,
	TOKEN_COMMA,
	TOKEN_OPEN, /* ( */
	TOKEN_CLOSE,
	TOKEN_OPEN_LIST, /* [ */
	TOKEN_CLOSE_LIST,
};

struct lexer {
	struct str text;
	uint32_t at; /* of the byte behind the token */
	struct arena *arena; /* for texts with escapes */
	struct expr_fault *fault;
	enum expr_token token;
	uint32_t token_at;
	struct str name; /* of TOKEN_NAME */
	struct expr_value value; /* of TOKEN_VALUE */
	/* The value is 9223372036854775808: only a minus may go before it. */
	bool beyond;
};

/* Goes to the next token. -1 with the fault filled in. */
int expr_lex(struct lexer *l);
int expr_fault_set(struct expr_fault *f, uint32_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Operands are on the stack, the last one on top. */
enum op {
	OP_PUSH, /* constants[a] */
	OP_VAR, /* variable a */
	OP_SLOT, /* the item of loop a */
	OP_FIELD, /* the member constants[a] */
	OP_HAS, /* whether there is one */
	OP_INDEX,
	OP_NOT,
	OP_NEGATE,
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_MOD,
	OP_EQ,
	OP_NE,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_IN,
	OP_AND_SKIP, /* goes to a when the top is false */
	OP_AND,
	OP_OR_SKIP, /* goes to a when the top is true */
	OP_OR,
	OP_CHOOSE, /* takes the top: on when true, a when false, else b */
	OP_GOTO, /* a */
	OP_LIST, /* of the a on top */
	OP_SIZE,
	OP_STARTS,
	OP_ENDS,
	OP_CONTAINS,
	OP_MATCHES, /* patterns[a] */
	OP_TO_INT,
	OP_TO_UINT,
	OP_TO_DOUBLE,
	OP_TO_STRING,
	OP_LOOP_EXISTS, /* begins loop a over the top; b: behind its end */
	OP_LOOP_ALL,
	OP_NEXT, /* the next item of loop a, or goes to b */
	OP_STEP, /* the body of loop a has its value; back to b */
};

struct instr {
	uint8_t op; /* enum op */
	uint16_t a, b;
	uint16_t at; /* in the text */
};

struct expr {
	uint32_t n_code, n_constants, n_patterns;
	const struct instr *code;
	const struct expr_value *constants;
	pcre2_code **patterns;
	pcre2_match_data *match;
	pcre2_match_context *limits;
	char *texts; /* EXPR_MAX_TEXT_BYTES for what + and string() make */
};

/* What one evaluation may still use. */
struct expr_scratch {
	struct expr *x;
	uint32_t steps; /* left */
	uint32_t n_items, n_text; /* in use */
	struct expr_value items[EXPR_MAX_ITEMS];
};

struct expr_value expr_error(const char *why);
/* Takes steps; false when there are not as many. */
bool expr_spend(struct expr_scratch *s, size_t steps);

/* expr_value.c: an operand that is an error is the result. */
struct expr_value expr_field(
    struct expr_scratch *s, const struct expr_value *v, struct str name);
struct expr_value expr_has(
    struct expr_scratch *s, const struct expr_value *v, struct str name);
struct expr_value expr_index(struct expr_scratch *s, const struct expr_value *v,
    const struct expr_value *at);
struct expr_value expr_in(struct expr_scratch *s, const struct expr_value *x,
    const struct expr_value *in);
struct expr_value expr_equal(struct expr_scratch *s, const struct expr_value *a,
    const struct expr_value *b);
struct expr_value expr_order(struct expr_scratch *s, enum op op,
    const struct expr_value *a, const struct expr_value *b);
struct expr_value expr_size(struct expr_scratch *s, const struct expr_value *v);
struct expr_value expr_text_op(struct expr_scratch *s, enum op op,
    const struct expr_value *a, const struct expr_value *b);
/* expr_number.c */
struct expr_value expr_arithmetic(struct expr_scratch *s, enum op op,
    const struct expr_value *a, const struct expr_value *b);
struct expr_value expr_negate(const struct expr_value *v);
struct expr_value expr_convert(
    struct expr_scratch *s, enum op op, const struct expr_value *v);
bool expr_is_number(const struct expr_value *v);
/* <0, 0, >0, or 2 when one is no number (NaN). */
int expr_number_cmp(const struct expr_value *a, const struct expr_value *b);

#endif
