/*
 * Numbers in expressions: int and uint have 64 bits and never wrap around,
 * double is IEEE 754's. Only numbers of one type are added; any two can be
 * compared, by their value.
 */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "core/expr_int.h"

static struct expr_value int_op(enum op op, int64_t a, int64_t b);
static struct expr_value uint_op(enum op op, uint64_t a, uint64_t b);
static struct expr_value double_op(enum op op, double a, double b);
static struct expr_value concat(
    struct expr_scratch *s, struct str a, struct str b);
static struct expr_value to_string(
    struct expr_scratch *s, const struct expr_value *v);
static int cmp_int_double(int64_t i, double d);
static int cmp_uint_double(uint64_t u, double d);
static struct expr_value of_uint(uint64_t u);
static struct expr_value of_double(double d);
static struct expr_value overflow(void);

struct expr_value
expr_arithmetic(struct expr_scratch *s, enum op op, const struct expr_value *a,
    const struct expr_value *b)
{
	if (a->type == b->type) {
		if (a->type == EXPR_INT)
			return int_op(op, a->i, b->i);
		if (a->type == EXPR_UINT)
			return uint_op(op, a->u, b->u);
		if (a->type == EXPR_DOUBLE && op != OP_MOD)
			return double_op(op, a->d, b->d);
		if (a->type == EXPR_STRING && op == OP_ADD)
			return concat(s, a->s, b->s);
	}
	if (expr_is_number(a) && expr_is_number(b) && a->type != b->type)
		return expr_error("numbers of two types are not added; numbers "
				  "of arguments are doubles: write 1.0, not 1");
	return expr_error("these cannot be added, or the like");
}

struct expr_value
expr_negate(const struct expr_value *v)
{
	if (v->type == EXPR_DOUBLE)
		return of_double(-v->d);
	if (v->type != EXPR_INT)
		return expr_error("- is for an int or a double");
	return v->i == INT64_MIN ? overflow() : expr_of_int(-v->i);
}

/* int(), uint(), double(), string() */
struct expr_value
expr_convert(struct expr_scratch *s, enum op op, const struct expr_value *v)
{
	if (op == OP_TO_STRING)
		return to_string(s, v);
	if (!expr_is_number(v))
		return expr_error("int, uint and double take a number");
	if (op == OP_TO_DOUBLE) {
		if (v->type == EXPR_INT)
			return of_double((double)v->i);
		return v->type == EXPR_UINT ? of_double((double)v->u) : *v;
	}
	if (op == OP_TO_INT) {
		if (v->type == EXPR_UINT)
			return v->u > INT64_MAX ? overflow()
						: expr_of_int((int64_t)v->u);
		if (v->type == EXPR_INT)
			return *v;
		if (!(fabs(v->d) < 0x1p63))
			return overflow();
		return expr_of_int((int64_t)v->d);
	}
	if (v->type == EXPR_INT)
		return v->i < 0 ? overflow() : of_uint((uint64_t)v->i);
	if (v->type == EXPR_UINT)
		return *v;
	if (!(v->d >= 0 && v->d < 0x1p64))
		return overflow();
	return of_uint((uint64_t)v->d);
}

bool
expr_is_number(const struct expr_value *v)
{
	return v->type == EXPR_INT || v->type == EXPR_UINT ||
	    v->type == EXPR_DOUBLE;
}

int
expr_number_cmp(const struct expr_value *a, const struct expr_value *b)
{
	int order;

	if (a->type == EXPR_DOUBLE && b->type == EXPR_DOUBLE) {
		if (isnan(a->d) || isnan(b->d))
			return 2;
		return (a->d > b->d) - (a->d < b->d);
	}
	if (a->type == EXPR_DOUBLE) {
		order = b->type == EXPR_INT ? cmp_int_double(b->i, a->d)
					    : cmp_uint_double(b->u, a->d);
		return order == 2 ? 2 : -order;
	}
	if (b->type == EXPR_DOUBLE)
		return a->type == EXPR_INT ? cmp_int_double(a->i, b->d)
					   : cmp_uint_double(a->u, b->d);
	if (a->type == EXPR_INT && b->type == EXPR_INT)
		return (a->i > b->i) - (a->i < b->i);
	if (a->type == EXPR_INT && a->i < 0)
		return -1;
	if (b->type == EXPR_INT && b->i < 0)
		return 1;
	return (a->u > b->u) - (a->u < b->u);
}

static struct expr_value
int_op(enum op op, int64_t a, int64_t b)
{
	int64_t out = 0;
	bool over = false;

	if (op == OP_DIV || op == OP_MOD) {
		if (b == 0)
			return expr_error("division by zero");
		if (a == INT64_MIN && b == -1)
			return overflow();
		return expr_of_int(op == OP_DIV ? a / b : a % b);
	}
	if (op == OP_ADD)
		over = __builtin_add_overflow(a, b, &out);
	else if (op == OP_SUB)
		over = __builtin_sub_overflow(a, b, &out);
	else
		over = __builtin_mul_overflow(a, b, &out);
	return over ? overflow() : expr_of_int(out);
}

static struct expr_value
uint_op(enum op op, uint64_t a, uint64_t b)
{
	uint64_t out = 0;
	bool over = false;

	if (op == OP_DIV || op == OP_MOD) {
		if (b == 0)
			return expr_error("division by zero");
		return of_uint(op == OP_DIV ? a / b : a % b);
	}
	if (op == OP_ADD)
		over = __builtin_add_overflow(a, b, &out);
	else if (op == OP_SUB)
		over = __builtin_sub_overflow(a, b, &out);
	else
		over = __builtin_mul_overflow(a, b, &out);
	return over ? overflow() : of_uint(out);
}

static struct expr_value
double_op(enum op op, double a, double b)
{
	if (op == OP_ADD)
		return of_double(a + b);
	if (op == OP_SUB)
		return of_double(a - b);
	if (op == OP_MUL)
		return of_double(a * b);
	/* IEEE 754 has an answer: without a trap, and the sanitizer's. */
	if (b == 0 && (a == 0 || isnan(a)))
		return of_double((double)NAN);
	if (b == 0)
		return of_double((signbit(a) != 0) == (signbit(b) != 0)
			? (double)INFINITY
			: -(double)INFINITY);
	return of_double(a / b);
}

static struct expr_value
concat(struct expr_scratch *s, struct str a, struct str b)
{
	char *out = s->x->texts + s->n_text;

	if (a.n > EXPR_MAX_TEXT_BYTES - s->n_text ||
	    b.n > EXPR_MAX_TEXT_BYTES - s->n_text - a.n)
		return expr_error("the text that + makes is too long");
	if (a.n > 0)
		memcpy(out, a.p, a.n);
	if (b.n > 0)
		memcpy(out + a.n, b.p, b.n);
	s->n_text += (uint32_t)(a.n + b.n);
	return expr_of_str((struct str){ out, a.n + b.n });
}

static struct expr_value
to_string(struct expr_scratch *s, const struct expr_value *v)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t u = v->type == EXPR_UINT ? v->u : 0;
	bool negative = v->type == EXPR_INT && v->i < 0;

	if (v->type == EXPR_STRING)
		return *v;
	if (v->type == EXPR_BOOL)
		return expr_of_str(v->boolean ? STR("true") : STR("false"));
	if (v->type != EXPR_INT && v->type != EXPR_UINT)
		return expr_error("string takes a text, a boolean, an int or "
				  "an uint: write string(int(x))");
	if (v->type == EXPR_INT)
		u = negative ? 0 - (uint64_t)v->i : (uint64_t)v->i;
	do {
		digits[--at] = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (negative)
		digits[--at] = '-';
	return concat(
	    s, (struct str){ digits + at, sizeof(digits) - at }, STR(""));
}

/* By value: a double beyond 2^53 is a whole number, and not rounded here. */
static int
cmp_int_double(int64_t i, double d)
{
	int64_t whole;

	if (isnan(d))
		return 2;
	if (d >= 0x1p63)
		return -1;
	if (d < -0x1p63)
		return 1;
	whole = (int64_t)d;
	if (i != whole)
		return i < whole ? -1 : 1;
	return ((double)whole > d) - ((double)whole < d);
}

static int
cmp_uint_double(uint64_t u, double d)
{
	uint64_t whole;

	if (isnan(d))
		return 2;
	if (d < 0)
		return 1;
	if (d >= 0x1p64)
		return -1;
	whole = (uint64_t)d;
	if (u != whole)
		return u < whole ? -1 : 1;
	return ((double)whole > d) - ((double)whole < d);
}

static struct expr_value
of_uint(uint64_t u)
{
	return (struct expr_value){ .type = EXPR_UINT, .u = u };
}

static struct expr_value
of_double(double d)
{
	return (struct expr_value){ .type = EXPR_DOUBLE, .d = d };
}

static struct expr_value
overflow(void)
{
	return expr_error("the number has no room in its type");
}
