#include "codec/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json_text.h"

/* Members whose order fits on the stack; more take memory. */
enum { FEW_MEMBERS = 256 };

/* A container that is being written. */
struct open {
	const struct json *v;
	const struct json *next; /* element or key, in the order of the text */
	uint32_t done; /* elements or members written */
	uint32_t order; /* where its sorted keys start in writer.order */
};

struct writer {
	struct buf *b;
	bool pretty;
	uint32_t depth;
	uint32_t *order; /* NULL: the order of the text */
	uint32_t used; /* of order */
	struct open stack[JSON_MAX_DEPTH];
};

/* Digits of a decimal: 0.d1d2d3... times 10 to the power of point. */
struct decimal {
	char digit[18];
	int n;
	int point;
};

static void write_tree(struct writer *w, const struct json *v);
static void put_value(struct writer *w, const struct json *v);
static void put_step(struct writer *w);
static void put_indent(struct writer *w);
static void put_escape(struct buf *b, unsigned char c);
static bool put_short(struct buf *b, double v);
static void shortest(double v, struct decimal *d);
static bool round_trips(
    double v, int digits, bool neighbour, struct decimal *d);
static void put_decimal(struct buf *b, const struct decimal *d);

void
json_write(struct buf *b, const struct json *v)
{
	uint32_t few[FEW_MEMBERS];
	own_buf struct buf many = { .max = SIZE_MAX / 4 };
	struct writer w = { .b = b, .order = few };
	/* Members take two nodes each, so no more than this are open. */
	size_t most = v->skip / 2;

	if (most > FEW_MEMBERS) {
		void *p = buf_reserve(&many, most * sizeof(w.order[0]));

		if (p == NULL) {
			b->failed = true;
			return;
		}
		w.order = p;
	}
	write_tree(&w, v);
}

void
json_write_pretty(struct buf *b, const struct json *v)
{
	struct writer w = { .b = b, .pretty = true };

	write_tree(&w, v);
}

void
json_put_str(struct buf *b, struct str s)
{
	size_t at = 0, from = 0; /* from: the first byte not yet added */

	buf_add_byte(b, '"');
	while (at < s.n) {
		unsigned char c;
		size_t len;

		at += json_text_plain(s.p + at, s.n - at);
		if (at == s.n)
			break;
		c = (unsigned char)s.p[at];
		len = c < 0x80 ? 0 : json_text_utf8(s.p + at, s.n - at);
		if (len > 0) {
			at += len;
			continue;
		}
		buf_add(b, s.p + from, at - from);
		if (c < 0x80)
			put_escape(b, c);
		else
			buf_add_c(b, "\xef\xbf\xbd"); /* U+FFFD */
		from = ++at;
	}
	if (at > from)
		buf_add(b, s.p + from, at - from);
	buf_add_byte(b, '"');
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

static void
write_tree(struct writer *w, const struct json *v)
{
	put_value(w, v);
	while (w->depth > 0 && !w->b->failed)
		put_step(w);
}

/* Writes a scalar whole; of a container the start, and leaves it open. */
static void
put_value(struct writer *w, const struct json *v)
{
	switch ((enum json_type)v->type) {
	case JSON_NULL:
		buf_add(w->b, "null", 4);
		return;
	case JSON_FALSE:
		buf_add(w->b, "false", 5);
		return;
	case JSON_TRUE:
		buf_add(w->b, "true", 4);
		return;
	case JSON_NUMBER:
		json_put_num(w->b, v->num);
		return;
	case JSON_STRING:
		json_put_str(w->b, json_str(v));
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	buf_add_byte(w->b, v->type == JSON_ARRAY ? '[' : '{');
	must(w->depth < JSON_MAX_DEPTH); /* the parser saw to it */
	w->stack[w->depth++] = (struct open){
		.v = v,
		.next = v + 1,
		.order = w->used,
	};
	if (w->order != NULL && v->type == JSON_OBJECT) {
		json_sort(v, w->order + w->used);
		w->used += v->n;
	}
}

/* The next element or member of the innermost container, or its end. */
static void
put_step(struct writer *w)
{
	struct open *o = &w->stack[w->depth - 1];
	bool object = o->v->type == JSON_OBJECT;
	const struct json *x = o->next;

	if (o->done == o->v->n) {
		w->used = o->order;
		w->depth--;
		if (o->done > 0)
			put_indent(w);
		buf_add_byte(w->b, object ? '}' : ']');
		return;
	}
	if (o->done > 0)
		buf_add_byte(w->b, ',');
	put_indent(w);
	if (object) {
		if (w->order != NULL)
			x = o->v + w->order[o->order + o->done];
		json_put_str(w->b, json_str(x));
		buf_add(w->b, ": ", w->pretty ? 2 : 1);
		x = json_value(x);
	}
	o->next = x + x->skip;
	o->done++;
	put_value(w, x);
}

static void
put_indent(struct writer *w)
{
	if (!w->pretty)
		return;
	buf_add_byte(w->b, '\n');
	for (uint32_t i = 0; i < w->depth; i++)
		buf_add(w->b, "  ", 2);
}

/* c is ASCII and may not stand for itself. */
static void
put_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	char long_form[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
		if ((unsigned char)names[i] == c) {
			buf_add_byte(b, '\\');
			buf_add_byte(b, names[i + 1]);
			return;
		}
	}
	buf_add(b, long_form, sizeof(long_form));
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
