/*
 * core/expr.h: expressions over a call, a subset of CEL.
 *
 * An expression is compiled once, when its policy is, into a short program for
 * a stack machine, and is then evaluated against a handful of values. It has
 * no loops but `exists` and `all` over at most EXPR_MAX_ITEMS items, and every
 * evaluation is cut short after EXPR_MAX_STEPS steps. Nothing recurses over
 * the text, the program or the values.
 *
 * Types and operators are CEL's (cel-spec, langdef.md): there are no implicit
 * conversions, but numbers of different types can be compared; a number of
 * JSON is a double. An error is a value: `false && error` is false and
 * `true || error` is true, whichever comes first. docs/POLICY.md lists what
 * there is; what is not there is refused when the expression is compiled.
 *
 * Pure: no I/O, no clock. Not for two threads at once: scratch memory belongs
 * to the expression.
 */
#ifndef CORE_EXPR_H
#define CORE_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "codec/json.h"
#include "core/labels.h"

enum expr_type {
	EXPR_UNSET, /* of a variable: not known here */
	EXPR_NULL,
	EXPR_BOOL,
	EXPR_INT,
	EXPR_UINT,
	EXPR_DOUBLE,
	EXPR_STRING,
	EXPR_LIST, /* written in the expression */
	EXPR_JSON, /* a list or an object of a document */
	EXPR_RECORD, /* named values, by whoever evaluates */
	EXPR_LABELS, /* of a run: every name is a member, true or false */
	EXPR_ERROR,
};

struct expr_value {
	enum expr_type type;
	uint32_t n; /* of a list: its items; of an error: where in the text */
	union {
		bool boolean;
		int64_t i;
		uint64_t u;
		double d;
		struct str s;
		const struct expr_value *items;
		const struct json *json;
		const struct expr_record *record;
		const struct labels *labels;
		const char *error; /* "there is no member of that name" */
	};
};

struct expr_field {
	struct str name;
	struct expr_value value;
};

struct expr_record {
	uint32_t n;
	const struct expr_field *fields;
};

/* What an expression may name. */
enum expr_var {
	EXPR_ARGS, /* of the call */
	EXPR_LABELS_VAR, /* of the run */
	EXPR_RUN,
	EXPR_IDENTITY,
	EXPR_TOOL,
	EXPR_HTTP, /* a request out of the sandbox */
	EXPR_NOW, /* seconds since 1970, an int */
	EXPR_VARS,
};

struct expr_env {
	struct expr_value var[EXPR_VARS];
};

struct expr;

/* What is wrong with a text, and at which of its bytes. */
struct expr_fault {
	uint32_t at;
	char text[160];
};

/*
 * Compiles text, which is UTF-8 and must outlive the result, as must a. known
 * has a bit for each enum expr_var that there will be: others are refused. NULL
 * with fault filled in.
 */
struct expr *expr_new(
    struct str text, uint32_t known, struct arena *a, struct expr_fault *fault);
void expr_free(struct expr *x); /* x may be NULL */

/*
 * The value, which is EXPR_ERROR when there is none. It borrows from x, until
 * the next evaluation, and from env.
 */
struct expr_value expr_eval(struct expr *x, const struct expr_env *env);

enum expr_truth { EXPR_FALSE, EXPR_TRUE, EXPR_FAILED };
/*
 * For conditions. What is no boolean has failed; *why (unless NULL) then says
 * in what way.
 */
enum expr_truth expr_test(
    struct expr *x, const struct expr_env *env, const char **why);

/* A value of a document, as expressions see it. */
struct expr_value expr_of_json(const struct json *v);
struct expr_value expr_of_str(struct str s);
struct expr_value expr_of_int(int64_t i);

#endif
