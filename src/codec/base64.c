#include "codec/base64.h"

#include <stdint.h>

static int digit_value(char c, enum base64_kind kind);

void
base64_encode(struct buf *b, struct str bytes, enum base64_kind kind)
{
	static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *digits = kind == BASE64_URL ? url : standard;
	char *out;
	size_t n = 0;

	/* Not bytes.n * 4 / 3 + 4: that may wrap around. */
	out =
	    bytes.n < SIZE_MAX / 2 ? buf_reserve(b, bytes.n / 3 * 4 + 4) : NULL;
	if (out == NULL) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < bytes.n; i += 3) {
		size_t left = bytes.n - i;
		uint32_t w = (uint32_t)(unsigned char)bytes.p[i] << 16;

		if (left > 1)
			w |= (uint32_t)(unsigned char)bytes.p[i + 1] << 8;
		if (left > 2)
			w |= (unsigned char)bytes.p[i + 2];
		out[n++] = digits[w >> 18];
		out[n++] = digits[w >> 12 & 63];
		if (left > 1)
			out[n++] = digits[w >> 6 & 63];
		else if (kind == BASE64_STANDARD)
			out[n++] = '=';
		if (left > 2)
			out[n++] = digits[w & 63];
		else if (kind == BASE64_STANDARD)
			out[n++] = '=';
	}
	b->n += n;
}

int
base64_decode(
    struct buf *b, struct str text, enum base64_kind kind, struct err *e)
{
	size_t end = text.n, n = 0;
	uint32_t w = 0; /* bits not yet put out, at the low end */
	char *out;

	if (kind == BASE64_STANDARD) {
		if (text.n % 4 != 0)
			return err_set(e,
			    "base64 text has %zu characters, which is no "
			    "multiple of 4; pad it with '='",
			    text.n);
		for (int i = 0; i < 2 && end > 0 && text.p[end - 1] == '='; i++)
			end--;
	}
	if (end % 4 == 1)
		return err_set(
		    e, "base64 text has one character too many, or too few");
	out = buf_reserve(b, end / 4 * 3 + 3);
	if (out == NULL)
		return err_set(e, "base64 text is too long");
	for (size_t i = 0; i < end; i++) {
		int v = digit_value(text.p[i], kind);

		if (v < 0)
			return err_set(e,
			    "character %zu of the base64 text is none of its "
			    "alphabet",
			    i + 1);
		w = w << 6 | (uint32_t)v;
		/* The first of four characters fills no byte. */
		if (i % 4 == 1)
			out[n++] = (char)(w >> 4 & 0xff);
		else if (i % 4 == 2)
			out[n++] = (char)(w >> 2 & 0xff);
		else if (i % 4 == 3)
			out[n++] = (char)(w & 0xff);
	}
	/* Two characters carry 4 unused bits, three carry 2. */
	if ((end % 4 == 2 && (w & 0xf) != 0) || (end % 4 == 3 && (w & 3) != 0))
		return err_set(e,
		    "character %zu of the base64 text has unused bits that "
		    "are not 0",
		    end);
	b->n += n;
	return 0;
}

/* 0 to 63, or -1. */
static int
digit_value(char c, enum base64_kind kind)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (kind == BASE64_URL ? '-' : '+'))
		return 62;
	if (c == (kind == BASE64_URL ? '_' : '/'))
		return 63;
	return -1;
}
