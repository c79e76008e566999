#include "codec/json_number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"

enum {
	U64_DIGITS = 19, /* so many always fit in 64 bits */
	EXACT_POWER = 22, /* the largest power of ten that a double holds */
	EXPONENT_MAX = 100 * 1000, /* larger ones count as this one */
};

/* 2^53 - 1, Number.MAX_SAFE_INTEGER */
static const uint64_t max_whole = 9007199254740991;

/* What a number is made of: digits times 10 to the power of exponent. */
struct number {
	uint64_t digits; /* wrong when there are more than U64_DIGITS */
	uint32_t count; /* of digits, without zeros in front */
	int64_t exponent;
	bool negative;
	bool integer; /* written without point and exponent */
};

/* Digits of a decimal: 0.d1d2d3... times 10 to the power of point. */
struct decimal {
	char digit[18];
	int n;
	int point;
};

static int scan_number(
    struct str text, size_t *at, struct number *n, struct err *e);
static int number_value(
    struct str text, const struct number *n, double *out, struct err *e);
static bool is_digit(int c);
static int peek(struct str text, size_t at);
static bool put_short(struct buf *b, double v);
static void shortest(double v, struct decimal *d);
static bool round_trips(
    double v, int digits, bool neighbour, struct decimal *d);
static void put_decimal(struct buf *b, const struct decimal *d);

int
json_number(struct str text, size_t *len, double *out, struct err *e)
{
	struct number n = {};
	double value = 0;

	*len = 0;
	if (scan_number(text, len, &n, e) < 0)
		return -1;
	if (number_value((struct str){ text.p, *len }, &n, &value, e) < 0) {
		*len = 0;
		return -1;
	}
	*out = n.negative ? -value : value;
	return 0;
}

void
json_put_num(struct buf *b, double v)
{
	struct decimal d;

	must(isfinite(v));
	if (v < 0) {
		buf_add_byte(b, '-');
		v = -v;
	}
	if (v <= 9007199254740991.0 && v == (double)(uint64_t)v) {
		buf_add_u64(b, (uint64_t)v); /* -0 too is written 0 */
		return;
	}
	if (put_short(b, v))
		return;
	shortest(v, &d);
	put_decimal(b, &d);
}

/*
 * RFC 8259 section 6. *at goes from 0 to behind the number, or to the byte at
 * fault.
 */
static int
scan_number(struct str text, size_t *at, struct number *n, struct err *e)
{
	size_t from;

	n->negative = peek(text, 0) == '-';
	n->integer = true;
	*at = n->negative;
	if (!is_digit(peek(text, *at)))
		return err_set(e, "a digit must follow the minus sign");
	if (peek(text, *at) == '0' && is_digit(peek(text, *at + 1)))
		return err_set(e,
		    "a number starts with 0; remove the leading zeros, or make "
		    "it a string");
	for (int c; is_digit(c = peek(text, *at)); ++*at) {
		n->digits = n->digits * 10 + (uint64_t)(c - '0');
		n->count += c > '0' || n->count > 0;
	}
	if (peek(text, *at) == '.') {
		n->integer = false;
		from = ++*at;
		for (int c; is_digit(c = peek(text, *at)); ++*at) {
			n->digits = n->digits * 10 + (uint64_t)(c - '0');
			n->count += c > '0' || n->count > 0;
			n->exponent--;
		}
		if (*at == from)
			return err_set(
			    e, "a digit must follow the decimal point");
	}
	if (peek(text, *at) == 'e' || peek(text, *at) == 'E') {
		int exponent = 0;
		bool minus;

		n->integer = false;
		++*at;
		minus = peek(text, *at) == '-';
		*at += minus || peek(text, *at) == '+';
		from = *at;
		for (int c; is_digit(c = peek(text, *at)); ++*at) {
			if (exponent < EXPONENT_MAX)
				exponent = exponent * 10 + (c - '0');
		}
		if (*at == from)
			return err_set(
			    e, "a digit must follow the exponent's e");
		n->exponent += minus ? -exponent : exponent;
	}
	return 0;
}

/* The double nearest to the number that is text, without its sign. */
static int
number_value(
    struct str text, const struct number *n, double *out, struct err *e)
{
	/* Exact doubles: one rounding, so the result is the nearest one. */
	static const double power[EXACT_POWER + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4,
		1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
		1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
	char copy[JSON_MAX_NUMBER_BYTES + 1];
	bool exact = n->count <= U64_DIGITS && n->digits <= max_whole;
	double v;

	if (text.n > JSON_MAX_NUMBER_BYTES)
		return err_set(e,
		    "a number of %zu characters, allowed are %d; shorten it, "
		    "or make it a string",
		    text.n, JSON_MAX_NUMBER_BYTES);
	if (exact && n->exponent >= 0 && n->exponent <= EXACT_POWER) {
		v = (double)n->digits * power[n->exponent];
	} else if (exact && n->exponent < 0 && n->exponent >= -EXACT_POWER) {
		v = (double)n->digits / power[-n->exponent];
	} else {
		/* In the C locale, which no part of this program changes. */
		must(str_copy(text, copy, sizeof(copy)) == 0);
		v = fabs(strtod(copy, NULL));
	}
	if (isinf(v))
		return err_set(e,
		    "the number %.*s is too large for a double (1.8e308); "
		    "make it a string",
		    STR_FMT(text));
	if (v == 0 && n->count > 0)
		return err_set(e,
		    "the number %.*s is too small for a double (4.9e-324); "
		    "write 0, or make it a string",
		    STR_FMT(text));
	if ((n->integer && !exact) || (v > (double)max_whole && v < 1e21))
		return err_set(e,
		    "the integer %.*s is beyond 9007199254740991 (2^53 - 1) "
		    "and would change on the way; make it a string",
		    STR_FMT(text));
	*out = v;
	return 0;
}

static bool
is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* The byte at, or -1 behind the text. */
static int
peek(struct str text, size_t at)
{
	return at < text.n ? (unsigned char)text.p[at] : -1;
}

/*
 * The quick way for amounts such as 19.99: v is m / 10^k with m below 10^15.
 * Decimals of 15 digits survive a double, so no shorter text means v, and the
 * first k that fits has no zero at its end. Division of exact doubles is
 * rounded correctly: what a reader computes is v again.
 */
static bool
put_short(struct buf *b, double v)
{
	double scale = 10;

	if (v < 1e-6 || v >= 1e14)
		return false;
	for (int k = 1; k <= 6; k++, scale *= 10) {
		uint64_t whole = (uint64_t)(v * scale + 0.5);
		char part[6];

		if (whole >= 1000 * 1000 * 1000 * 1000000LL)
			return false;
		if ((double)whole / scale != v)
			continue;
		for (int i = k - 1; i >= 0; i--, whole /= 10)
			part[i] = (char)('0' + whole % 10);
		buf_add_u64(b, whole);
		buf_add_byte(b, '.');
		buf_add(b, part, (size_t)k);
		return true;
	}
	return false;
}

/* The shortest decimal that reads as v, and of those the nearest to v. */
static void
shortest(double v, struct decimal *d)
{
	/*
	 * From DBL_MIN on any 15 digits survive a double, so when 15 digits
	 * give v, their first ones up to the trailing zeros are the shortest.
	 */
	int digits = v >= DBL_MIN ? DBL_DIG : 1;
	uint64_t bits;
	bool power_of_two;

	/*
	 * Below a power of two the doubles are twice as dense as above it. So
	 * the nearest decimal, when it is below, may not read as v although
	 * the next one above does.
	 */
	memcpy(&bits, &v, sizeof(bits));
	power_of_two = bits << 12 == 0;
	while (digits < DBL_DECIMAL_DIG) {
		if (round_trips(v, digits, false, d) ||
		    (power_of_two && round_trips(v, digits, true, d)))
			break;
		digits++;
	}
	if (digits == DBL_DECIMAL_DIG)
		must(round_trips(v, digits, false, d));
	while (d->n > 1 && d->digit[d->n - 1] == '0')
		d->n--;
}

/*
 * Takes v to so many digits, or to the decimal one step above that, and says
 * if it reads as v.
 */
static bool
round_trips(double v, int digits, bool neighbour, struct decimal *d)
{
	char text[32]; /* "d.dddde-308" */
	char *e;

	(void)snprintf(text, sizeof(text), "%.*e", digits - 1, v);
	e = strchr(text, 'e');
	must(e != NULL);
	if (neighbour) {
		/* A carry out of a 9 would end in a zero: fewer digits would
		 * have done, and were tried before. */
		if (e[-1] < '0' || e[-1] >= '9')
			return false;
		e[-1]++;
	}
	if (strtod(text, NULL) != v)
		return false;
	d->n = digits;
	d->digit[0] = text[0];
	if (digits > 1)
		memcpy(d->digit + 1, text + 2, (size_t)digits - 1);
	d->point = (int)strtol(e + 1, NULL, 10) + 1;
	return true;
}

/* ECMA-262, Number::toString, with its n as d->point and its k as d->n. */
static void
put_decimal(struct buf *b, const struct decimal *d)
{
	static const char zeros[] = "000000000000000000000";
	size_t n = (size_t)d->n;

	if (d->n <= d->point && d->point <= 21) {
		buf_add(b, d->digit, n);
		buf_add(b, zeros, (size_t)(d->point - d->n));
	} else if (0 < d->point && d->point <= 21) {
		buf_add(b, d->digit, (size_t)d->point);
		buf_add_byte(b, '.');
		buf_add(b, d->digit + d->point, n - (size_t)d->point);
	} else if (-6 < d->point && d->point <= 0) {
		buf_add(b, "0.", 2);
		buf_add(b, zeros, (size_t)-d->point);
		buf_add(b, d->digit, n);
	} else {
		int exponent = d->point - 1;

		buf_add_byte(b, d->digit[0]);
		if (n > 1) {
			buf_add_byte(b, '.');
			buf_add(b, d->digit + 1, n - 1);
		}
		buf_add(b, exponent < 0 ? "e-" : "e+", 2);
		buf_add_u64(b, (uint64_t)abs(exponent));
	}
}
