#include "codec/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "codec/json_number.h"
#include "codec/json_text.h"

enum {
	FIRST_NODES = 16, /* of the tape, and one more per 8 bytes of text */
	FEW_MEMBERS = 16, /* compared pair by pair, not sorted */
	SHOWN_BYTES = 48, /* of the text, in an error */
};

const struct json_limits json_default_limits = {
	.max_bytes = JSON_MAX_BYTES,
	.max_depth = JSON_MAX_DEPTH,
	.max_values = JSON_MAX_VALUES,
	.max_members = JSON_MAX_MEMBERS,
};

/* A container that is being read. */
struct open {
	uint32_t node; /* its place on the tape */
	/*
	 * One bit per hash of a key so far. Two keys with the same bit make
	 * the object a suspect: its keys are compared when it closes.
	 */
	bool suspect;
	uint64_t seen;
};

struct parser {
	struct str text;
	size_t at; /* the next byte */
	struct json *tape;
	uint32_t used, cap; /* nodes */
	uint32_t depth;
	struct json_limits limits;
	struct arena *arena;
	struct err *e;
	size_t *bad;
	struct open stack[JSON_MAX_DEPTH];
};

/* What parse_value has read, when it does not fail. */
enum { WHOLE = 0, BEGUN = 1 };

static int parse_whole(struct parser *p);
static int parse_value(struct parser *p);
static int after_value(struct parser *p);
static int parse_container(struct parser *p, enum json_type type);
static int parse_key(struct parser *p);
static int close_container(struct parser *p);
static int check_keys(struct parser *p, const struct json *object);
static int fail_twice(struct parser *p, const struct json *key);
static int parse_string(struct parser *p);
static int check_escape(struct parser *p, size_t at, size_t *len);
static int fail_open_string(struct parser *p);
static int parse_word(struct parser *p, struct str word, enum json_type type);
static int parse_number(struct parser *p);
static struct json *add_node(struct parser *p, enum json_type type);
static void skip_space(struct parser *p);
static int peek(const struct parser *p);
static int fail_value(struct parser *p);
static void show(struct str text, char out[static SHOWN_BYTES + 4]);
static int fail(struct parser *p, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));

const struct json *
json_parse(struct str text, const struct json_limits *limits, struct arena *a,
    struct err *e, size_t *bad)
{
	struct parser p = {
		.text = text,
		.limits = limits != NULL ? *limits : json_default_limits,
		.arena = a,
		.e = e,
		.bad = bad,
	};

	if (p.limits.max_depth > JSON_MAX_DEPTH)
		p.limits.max_depth = JSON_MAX_DEPTH;
	if (p.limits.max_bytes > INT32_MAX)
		p.limits.max_bytes = INT32_MAX; /* json.at has 32 bits */
	if (parse_whole(&p) < 0)
		return NULL;
	return p.tape;
}

void
json_place(struct str text, size_t at, uint32_t *line, uint32_t *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < at && i < text.n; i++) {
		if (text.p[i] == '\n') {
			++*line;
			*column = 1;
		} else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
			++*column; /* a character counts at its first byte */
		}
	}
}

static int
parse_whole(struct parser *p)
{
	if (p->text.n > p->limits.max_bytes)
		return fail(p, p->limits.max_bytes,
		    "the document has %zu bytes, allowed are %zu; make it "
		    "shorter",
		    p->text.n, p->limits.max_bytes);
	if (str_starts(p->text, STR("\xef\xbb\xbf")))
		return fail(p, 0,
		    "the document starts with a byte order mark; save it "
		    "without one");
	skip_space(p);
	if (p->at == p->text.n)
		return fail(p, p->at,
		    "the document is empty; write a value, such as {}");
	do {
		int r = parse_value(p);

		if (r == WHOLE)
			r = after_value(p);
		if (r < 0)
			return -1;
	} while (p->depth > 0);
	if (p->at < p->text.n)
		return fail(p, p->at,
		    "more text after the end of the document; remove it");
	return 0;
}

/*
 * The value at p->at. WHOLE, or BEGUN when it is a container with something
 * in it: the next call reads its first element or member's value. Or -1.
 */
static int
parse_value(struct parser *p)
{
	switch (peek(p)) {
	case '{':
		return parse_container(p, JSON_OBJECT);
	case '[':
		return parse_container(p, JSON_ARRAY);
	case '"':
		return parse_string(p);
	case 't':
		return parse_word(p, STR("true"), JSON_TRUE);
	case 'f':
		return parse_word(p, STR("false"), JSON_FALSE);
	case 'n':
		return parse_word(p, STR("null"), JSON_NULL);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return parse_number(p);
	default:
		return fail_value(p);
	}
}

/*
 * From the end of a value to where the next one starts, closing containers on
 * the way; to the end of the document when that was the last.
 */
static int
after_value(struct parser *p)
{
	for (;;) {
		struct json *v;
		char closer;

		skip_space(p);
		if (p->depth == 0)
			return 0;
		v = &p->tape[p->stack[p->depth - 1].node];
		v->n++;
		closer = v->type == JSON_OBJECT ? '}' : ']';
		if (peek(p) == closer) {
			if (close_container(p) < 0)
				return -1;
			continue;
		}
		if (peek(p) < 0)
			return fail(p, p->at,
			    "the document ends inside %s; close it with '%c'",
			    json_type_name(v->type), closer);
		if (peek(p) != ',')
			return fail(p, p->at,
			    "here must stand ',' or '%c', after a value in %s",
			    closer, json_type_name(v->type));
		p->at++;
		skip_space(p);
		if (peek(p) == closer)
			return fail(p, p->at,
			    "a comma stands before '%c'; remove the comma",
			    closer);
		return v->type == JSON_OBJECT ? parse_key(p) : 0;
	}
}

static int
parse_container(struct parser *p, enum json_type type)
{
	if (p->depth == p->limits.max_depth)
		return fail(p, p->at,
		    "more than %u arrays and objects inside each other; make "
		    "it flatter",
		    p->limits.max_depth);
	if (add_node(p, type) == NULL)
		return -1;
	p->stack[p->depth++] = (struct open){ .node = p->used - 1 };
	p->at++;
	skip_space(p);
	if (peek(p) == (type == JSON_OBJECT ? '}' : ']'))
		return close_container(p) < 0 ? -1 : WHOLE;
	if (type == JSON_OBJECT && parse_key(p) < 0)
		return -1;
	return BEGUN;
}

/* A member's key and the colon. */
static int
parse_key(struct parser *p)
{
	struct open *o = &p->stack[p->depth - 1];
	const struct json *key;
	uint64_t bit;

	if (peek(p) < 0)
		return fail(p, p->at,
		    "the document ends inside an object; close it with '}'");
	if (peek(p) != '"')
		return fail(p, p->at,
		    "here must stand a key in double quotes, such as \"name\"");
	if (p->tape[o->node].n == p->limits.max_members)
		return fail(p, p->at,
		    "more than %u members in one object; split it",
		    p->limits.max_members);
	if (parse_string(p) < 0)
		return -1;

	key = &p->tape[p->used - 1];
	bit = key->n;
	if (key->n > 0)
		bit = bit * 31 + (unsigned char)key->str[0] * 7 +
		    (unsigned char)key->str[key->n / 2] * 131 +
		    (unsigned char)key->str[key->n - 1] * 1031;
	bit = (uint64_t)1 << (bit * 0x9e3779b97f4a7c15 >> 58);
	o->suspect |= (o->seen & bit) != 0;
	o->seen |= bit;

	skip_space(p);
	if (peek(p) != ':')
		return fail(p, p->at, "here must stand ':', after a key");
	p->at++;
	skip_space(p);
	return 0;
}

/* p->at is at the bracket that closes the innermost container. */
static int
close_container(struct parser *p)
{
	struct open *o = &p->stack[p->depth - 1];
	struct json *v = &p->tape[o->node];

	v->skip = p->used - o->node;
	p->at++;
	p->depth--;
	return o->suspect ? check_keys(p, v) : 0;
}

/* Fails when two keys are the same. */
static int
check_keys(struct parser *p, const struct json *object)
{
	const struct json *few[FEW_MEMBERS], *twice = NULL;
	uint32_t n = 0, *order;

	if (object->n <= FEW_MEMBERS) {
		for (const struct json *k = json_first(object); k != NULL;
		     k = json_next(object, k)) {
			for (uint32_t i = 0; i < n; i++) {
				if (str_eq(json_str(k), json_str(few[i])))
					return fail_twice(p, k);
			}
			few[n++] = k;
		}
		return 0;
	}

	/* Sorted, so that no choice of keys takes quadratic time. */
	order = arena_alloc(p->arena, object->n * sizeof(order[0]));
	if (order == NULL)
		return fail(p, object->at,
		    "no memory left to compare the keys of this object");
	json_sort(object, order);
	for (uint32_t i = 1; i < object->n; i++) {
		const struct json *k = object + order[i];

		/* Equal ones are in the order of the text. */
		if (str_eq(json_str(object + order[i - 1]), json_str(k)) &&
		    (twice == NULL || k < twice))
			twice = k;
	}
	return twice != NULL ? fail_twice(p, twice) : 0;
}

static int
fail_twice(struct parser *p, const struct json *key)
{
	char shown[SHOWN_BYTES + 4];

	show(json_str(key), shown);
	return fail(
	    p, key->at, "duplicate key \"%s\"; remove one of the two", shown);
}

static int
parse_string(struct parser *p)
{
	size_t from = p->at + 1, at = from, len;
	const char *text = p->text.p;
	bool escaped = false;
	struct json *v;
	char *copy;

	for (;; at += len) {
		at += json_text_plain(text + at, p->text.n - at);
		if (at == p->text.n)
			return fail_open_string(p);
		if (text[at] == '"')
			break;
		if (text[at] == '\\') {
			escaped = true;
			if (check_escape(p, at, &len) < 0)
				return -1;
			continue;
		}
		if ((unsigned char)text[at] < 0x20)
			return fail(p, at,
			    "a control character stands in a string; write "
			    "\\u%04x instead",
			    (unsigned char)text[at]);
		len = json_text_utf8(text + at, p->text.n - at);
		if (len == 0)
			return fail(p, at,
			    "the byte 0x%02x is not UTF-8; save the document "
			    "as UTF-8",
			    (unsigned char)text[at]);
	}
	v = add_node(p, JSON_STRING);
	if (v == NULL)
		return -1;
	v->str = text + from;
	v->n = (uint32_t)(at - from);
	if (escaped) {
		copy = arena_alloc(p->arena, v->n);
		if (copy == NULL)
			return fail(p, p->at, "no memory left for this string");
		v->n = (uint32_t)json_text_unescape(
		    copy, (struct str){ text + from, v->n });
		v->str = copy;
	}
	p->at = at + 1;
	return 0;
}

/* The escape at the backslash at; *len becomes its length. */
static int
check_escape(struct parser *p, size_t at, size_t *len)
{
	int c = at + 1 < p->text.n ? (unsigned char)p->text.p[at + 1] : -1;
	int high, low = -1;

	*len = 2;
	if (c < 0)
		return fail_open_string(p);
	if (c != 'u') {
		if (strchr("\"\\/bfnrt", c) == NULL || c == '\0')
			return fail(p, at,
			    "an unknown escape; write \\\\ for a backslash");
		return 0;
	}
	*len = 6;
	high = json_text_hex4(p->text, at + 2);
	if (high < 0)
		return fail(p, at, "four hexadecimal digits must follow \\u");
	if (high < 0xd800 || high > 0xdfff)
		return 0;
	*len = 12;
	if (p->text.n - at >= 12 && p->text.p[at + 6] == '\\' &&
	    p->text.p[at + 7] == 'u')
		low = json_text_hex4(p->text, at + 8);
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return fail(p, at,
		    "\\u%04x is one half of a surrogate pair; write both, "
		    "high before low",
		    (unsigned)high);
	return 0;
}

static int
fail_open_string(struct parser *p)
{
	return fail(p, p->at,
	    "the string that starts here has no end; close it with a double "
	    "quote");
}

static int
parse_word(struct parser *p, struct str word, enum json_type type)
{
	struct str rest = { p->text.p + p->at, p->text.n - p->at };

	if (!str_starts(rest, word))
		return fail_value(p);
	if (add_node(p, type) == NULL)
		return -1;
	p->at += word.n;
	return 0;
}

static int
parse_number(struct parser *p)
{
	struct str rest = { p->text.p + p->at, p->text.n - p->at };
	struct json *v;
	size_t len = 0;
	double value = 0;

	if (json_number(rest, &len, &value, p->e) < 0)
		return fail(p, p->at + len, "%s", p->e->text);
	v = add_node(p, JSON_NUMBER);
	if (v == NULL)
		return -1;
	v->num = value;
	p->at += len;
	return 0;
}

/* A node for the value at p->at, at the end of the tape. */
static struct json *
add_node(struct parser *p, enum json_type type)
{
	struct json *v;

	if (p->used == p->limits.max_values) {
		(void)fail(p, p->at,
		    "more than %u keys and values; make the document shorter",
		    p->limits.max_values);
		return NULL;
	}
	if (p->used == p->cap) {
		size_t cap = p->cap > 0 ? (size_t)p->cap * 2
					: FIRST_NODES + p->text.n / 8;

		if (cap > p->limits.max_values)
			cap = p->limits.max_values;
		v = arena_alloc(p->arena, cap * sizeof(*v));
		if (v == NULL) {
			(void)fail(p, p->at,
			    "no memory left; make the document shorter");
			return NULL;
		}
		if (p->used > 0)
			memcpy(v, p->tape, p->used * sizeof(*v));
		p->tape = v;
		p->cap = (uint32_t)cap;
	}
	v = &p->tape[p->used++];
	v->type = (uint8_t)type;
	v->skip = 1;
	v->at = (uint32_t)p->at;
	return v;
}

static void
skip_space(struct parser *p)
{
	size_t at = p->at;

	while (at < p->text.n &&
	    (p->text.p[at] == ' ' || p->text.p[at] == '\n' ||
		p->text.p[at] == '\r' || p->text.p[at] == '\t'))
		at++;
	p->at = at;
}

/* The byte at p->at, or -1 at the end of the text. */
static int
peek(const struct parser *p)
{
	return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : -1;
}

/* No value starts at p->at: says why, for the mistakes people make. */
static int
fail_value(struct parser *p)
{
	static const struct {
		char c;
		const char *text;
	} known[] = {
		{ '\'',
		    "a string stands in double quotes, not in single ones" },
		{ '/', "JSON has no comments; remove it" },
		{ '#', "JSON has no comments; remove it" },
		{ '+', "a number has no plus sign; remove it" },
		{ '.',
		    "a number starts with a digit; write 0 before the point" },
		{ ',', "a value is missing before the comma" },
		{ ']', "a value is missing before ']'" },
		{ '}', "a value is missing before '}'" },
	};
	char shown[SHOWN_BYTES + 4];
	struct str word = { p->text.p + p->at, 0 };

	if (peek(p) < 0)
		return fail(
		    p, p->at, "the document ends where a value must stand");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (word.p[0] == known[i].c)
			return fail(p, p->at, "%s", known[i].text);
	}
	do
		word.n++;
	while (word.n < p->text.n - p->at &&
	    strchr(" \t\r\n,:]}\"", word.p[word.n]) == NULL);
	show(word, shown);
	return fail(p, p->at,
	    "\"%s\" is no value; write true, false, null, a number, or a "
	    "string "
	    "in double quotes",
	    shown);
}

/*
 * The start of a text for an error, on one line: what a terminal might obey or
 * is not UTF-8 becomes '?'.
 */
static void
show(struct str text, char out[static SHOWN_BYTES + 4])
{
	size_t n = 0, at = 0;

	while (at < text.n) {
		const char *c = text.p + at;
		size_t len = json_text_utf8(c, text.n - at);
		/* U+0080 to U+009F are control characters too. */
		bool bad = len == 0 || (unsigned char)*c < 0x20 || *c == 0x7f ||
		    (*c == '\xc2' && (unsigned char)c[1] < 0xa0);

		len = len > 0 ? len : 1;
		if (n + len > SHOWN_BYTES) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		if (bad)
			out[n++] = '?';
		else
			memcpy(out + n, c, len);
		n += bad ? 0 : len;
		at += len;
	}
	out[n] = '\0';
}

static int
fail(struct parser *p, size_t at, const char *fmt, ...)
{
	char what[ERR_TEXT_BYTES];
	uint32_t line, column;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (p->bad != NULL)
		*p->bad = at;
	json_place(p->text, at, &line, &column);
	return err_set(p->e, "line %u, column %u: %s", line, column, what);
}
