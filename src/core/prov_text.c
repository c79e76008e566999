#include "core/prov_text.h"

#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "codec/base64.h"

enum {
	GRAMS = 4096, /* of PROV_MIN_BYTES bytes, by their hash */
	BASE64_MIN_BYTES = 16, /* shorter ones are words */
	HITS_MAX = 256, /* places of a value that are looked at */
	NOWHERE = 0xffff,
};

_Static_assert(
    (int)PROV_VALUE_BYTES < (int)NOWHERE, "places of a value are 16 bits");
_Static_assert(PROV_MIN_BYTES == 4, "a gram is four bytes");

static size_t space_at(struct str text, size_t at);
static bool words_at(struct str text, size_t at, size_t n);
static bool found_whole(struct str text, struct str value);
static bool is_word(struct str text, size_t at);
static bool unescape(struct buf *out, struct str text);
static size_t reference(struct buf *out, struct str text);
static bool unbase64(struct buf *out, struct str text);
static uint32_t gram(const char *p);

void
prov_fold(struct buf *out, struct str text)
{
	const size_t start = out->n;
	bool space = false;

	for (size_t i = 0; i < text.n;) {
		size_t skip = space_at(text, i);
		char c = text.p[i];

		if (skip > 0) {
			space = true;
			i += skip;
			continue;
		}
		if (space && out->n > start)
			buf_add_byte(out, ' ');
		space = false;
		buf_add_byte(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
		i++;
	}
}

/* Bytes of white space there: ASCII's, or U+00A0. */
static size_t
space_at(struct str text, size_t at)
{
	unsigned char c = (unsigned char)text.p[at];

	if (c <= ' ' || c == 0x7f)
		return 1;
	return c == 0xc2 && at + 1 < text.n &&
		(unsigned char)text.p[at + 1] == 0xa0
	    ? 2
	    : 0;
}

bool
prov_decode(struct buf *out, struct str text)
{
	own_buf struct buf plain = { .max = 4 * (size_t)PROV_RESULT_BYTES };

	if (!unescape(&plain, text) && !unbase64(&plain, text))
		return false;
	prov_fold(out, buf_str(&plain));
	return !plain.failed;
}

bool
prov_holds(struct str text, struct str value)
{
	size_t at = 0;
	bool parts = false;

	if (found_whole(text, value))
		return true;
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == ' ')
			parts = true;
		else if (strchr("0123456789-:./", c) == NULL)
			return false;
	}
	while (parts && at < value.n) {
		struct str rest = { value.p + at, value.n - at };
		struct str part = { rest.p, str_find(rest, ' ') };

		if (!found_whole(text, part))
			return false;
		at += part.n + 1;
	}
	return parts;
}

static bool
found_whole(struct str text, struct str value)
{
	const char *from = text.p;

	if (value.n < PROV_MIN_BYTES || text.n == 0)
		return false;
	/* A text of one letter must not cost the square of its length. */
	for (int hits = 0; hits < HITS_MAX; hits++) {
		size_t left = text.n - (size_t)(from - text.p);
		const char *hit = memmem(from, left, value.p, value.n);

		if (hit == NULL)
			return false;
		if (words_at(text, (size_t)(hit - text.p), value.n))
			return true;
		from = hit + 1;
	}
	return false;
}

/* True when no word goes on at either end. */
static bool
words_at(struct str text, size_t at, size_t n)
{
	size_t behind = at + n;

	/* What ends a sentence is no part of its last word. */
	if (behind < text.n && strchr(".:?!", text.p[behind]) != NULL &&
	    (behind + 1 == text.n || !is_word(text, behind + 1)))
		behind = text.n;
	return (at == 0 || !is_word(text, at - 1)) &&
	    (behind >= text.n || !is_word(text, behind));
}

/*
 * Whatever may be part of a name, an address or a URL. Bytes of other scripts
 * are, and typographic quotes, which are U+2018 to U+201D, are not.
 */
static bool
is_word(struct str text, size_t at)
{
	unsigned char c = (unsigned char)text.p[at];

	if (c < 0x80)
		return strchr(" \"'`()<>[]{},;|", (char)c) == NULL;
	for (size_t back = 0; back <= 2 && back <= at; back++) {
		const char *p = text.p + at - back;

		if (text.n - (at - back) >= 3 &&
		    memcmp(p, "\xe2\x80", 2) == 0 &&
		    (unsigned char)p[2] >= 0x98 && (unsigned char)p[2] <= 0x9d)
			return false;
	}
	return true;
}

uint32_t
prov_longest(struct str text, struct str value, uint32_t *at, uint64_t *steps)
{
	static uint16_t head[GRAMS], next[PROV_VALUE_BYTES];
	uint32_t best = 0;

	if (value.n < PROV_MIN_BYTES || value.n > PROV_VALUE_BYTES)
		return 0;
	memset(head, 0xff, sizeof(head));
	for (size_t k = value.n - PROV_MIN_BYTES + 1; k-- > 0;) {
		uint32_t g = gram(value.p + k);

		next[k] = head[g];
		head[g] = (uint16_t)k;
	}
	for (size_t i = 0; i + PROV_MIN_BYTES <= text.n && *steps > 0; i++) {
		uint32_t here = 0;

		--*steps;
		for (uint16_t k = head[gram(text.p + i)];
		     k != NOWHERE && *steps > 0; k = next[k]) {
			uint32_t n = 0;

			while (k + n < value.n && i + n < text.n &&
			    value.p[k + n] == text.p[i + n])
				n++;
			*steps -= n < *steps ? n + (n == 0) : *steps;
			here = n > here ? n : here;
		}
		if (here >= PROV_MIN_BYTES && here > best) {
			best = here;
			*at = (uint32_t)i;
		}
		/* A longer one cannot begin within the best one there is. */
		if (here == value.n)
			break;
	}
	return best;
}

static uint32_t
gram(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v * UINT32_C(2654435761) >> 20 & (GRAMS - 1);
}

/* %XX and references of HTML, both in one pass. */
static bool
unescape(struct buf *out, struct str text)
{
	const size_t start = out->n;
	bool any = false;

	for (size_t i = 0; i < text.n;) {
		struct str rest = { text.p + i, text.n - i };
		size_t skip = 0;

		if (rest.p[0] == '%' && rest.n >= 3) {
			int high = str_hex_digit(rest.p[1]);
			int low = str_hex_digit(rest.p[2]);

			if (high >= 0 && low >= 0) {
				buf_add_byte(out, (char)(high << 4 | low));
				skip = 3;
			}
		} else if (rest.p[0] == '&') {
			skip = reference(out, rest);
		}
		any = any || skip > 0;
		if (skip == 0)
			buf_add_byte(out, rest.p[0]);
		i += skip > 0 ? skip : 1;
	}
	if (!any)
		out->n = start;
	return any;
}

/* The bytes of a reference that names a character of ASCII, or 0. */
static size_t
reference(struct buf *out, struct str text)
{
	static const struct {
		const char *name;
		char c;
	} names[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' },
		{ "&quot;", '"' }, { "&apos;", '\'' } };
	bool hex = text.n > 3 && (text.p[2] | 0x20) == 'x';
	uint32_t c = 0;
	size_t i = hex ? 3 : 2;

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		struct str name = str_of(names[k].name);

		if (!str_starts(text, name))
			continue;
		buf_add_byte(out, names[k].c);
		return name.n;
	}
	if (text.n < 4 || text.p[1] != '#')
		return 0;
	for (; i < text.n && c < 0x80; i++) {
		int digit = str_hex_digit(text.p[i]);

		if (digit < 0 || (!hex && digit > 9))
			break;
		c = c * (hex ? 16U : 10U) + (uint32_t)digit;
	}
	if (i >= text.n || text.p[i] != ';' || c < ' ' || c >= 0x80)
		return 0;
	buf_add_byte(out, (char)c);
	return i + 1;
}

/* A text that is base64 as a whole, of something that can be read. */
static bool
unbase64(struct buf *out, struct str text)
{
	const size_t start = out->n;
	struct err e;

	if (text.n < BASE64_MIN_BYTES ||
	    (base64_decode(out, text, BASE64_STANDARD, &e) < 0 &&
		base64_decode(out, text, BASE64_URL, &e) < 0))
		return false;
	for (size_t i = start; i < out->n; i++) {
		unsigned char c = (unsigned char)out->p[i];

		if (c < ' ' && c != '\n' && c != '\r' && c != '\t') {
			out->n = start;
			return false;
		}
	}
	return out->n > start;
}
