#include "codec/json_text.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

static size_t put_utf8(char *dst, uint32_t c);

size_t
json_text_plain(const char *p, size_t n)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;
	size_t i = 0;

	/*
	 * Eight bytes at a time. (x - ones) & ~x & tops is not 0 when a byte
	 * of x is 0; a borrow can only mark bytes above the first such byte,
	 * and only the lowest mark counts.
	 */
	for (; n - i >= 8; i += 8) {
		uint64_t w, quote, backslash, marks;

		memcpy(&w, p + i, 8);
		w = le64toh(w);
		quote = w ^ (ones * '"');
		backslash = w ^ (ones * '\\');
		marks = (quote - ones) & ~quote;
		marks |= (backslash - ones) & ~backslash;
		marks |= (w - ones * 0x20) & ~w; /* control characters */
		marks |= w; /* not ASCII */
		marks &= tops;
		if (marks != 0)
			return i + (size_t)__builtin_ctzll(marks) / 8;
	}
	for (; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
			break;
	}
	return i;
}

size_t
json_text_utf8(const char *p, size_t n)
{
	unsigned char lead = (unsigned char)p[0];
	unsigned char low = 0x80, high = 0xbf; /* of the second byte */
	size_t len;

	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	if (lead == 0xe0)
		low = 0xa0; /* less would be overlong */
	else if (lead == 0xed)
		high = 0x9f; /* more would be a surrogate */
	else if (lead == 0xf0)
		low = 0x90; /* less would be overlong */
	else if (lead == 0xf4)
		high = 0x8f; /* more would be above U+10FFFF */
	if ((unsigned char)p[1] < low || (unsigned char)p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

int
json_text_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n, i = 0;
	unsigned char x, y;

	/* Hostile keys have long common starts: eight bytes at a time. */
	for (; n - i >= 8; i += 8) {
		if (memcmp(a.p + i, b.p + i, 8) != 0)
			break;
	}
	while (i < n && a.p[i] == b.p[i])
		i++;
	if (i == n)
		return (a.n > b.n) - (a.n < b.n);
	x = (unsigned char)a.p[i];
	y = (unsigned char)b.p[i];
	/*
	 * Bytes sort as code points do, and so do UTF-16 units but for one
	 * case: above U+FFFF (lead byte F0 and more) they are surrogates,
	 * which sort before U+E000..U+FFFF (lead bytes EE and EF).
	 */
	if (x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0))
		return x >= 0xf0 ? -1 : 1;
	return x < y ? -1 : 1;
}

int
json_text_hex4(struct str text, size_t at)
{
	int v = 0;

	if (at > text.n || text.n - at < 4)
		return -1;
	for (size_t i = at; i < at + 4; i++) {
		int one = str_hex_digit(text.p[i]);

		if (one < 0)
			return -1;
		v = v << 4 | one;
	}
	return v;
}

size_t
json_text_unescape(char *dst, struct str raw)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	size_t n = 0, at = 0;

	while (at < raw.n) {
		size_t plain =
		    str_find((struct str){ raw.p + at, raw.n - at }, '\\');
		const char *name;
		uint32_t c;

		memcpy(dst + n, raw.p + at, plain);
		n += plain;
		at += plain;
		if (at == raw.n)
			break;
		if (raw.p[at + 1] != 'u') {
			name = strchr(from, raw.p[at + 1]);
			dst[n++] =
			    name != NULL ? to[name - from] : raw.p[at + 1];
			at += 2;
			continue;
		}
		c = (uint32_t)json_text_hex4(raw, at + 2);
		at += 6;
		if (c >= 0xd800 && c <= 0xdfff) {
			uint32_t low = (uint32_t)json_text_hex4(raw, at + 2);

			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			at += 6;
		}
		n += put_utf8(dst + n, c);
	}
	return n;
}

static size_t
put_utf8(char *dst, uint32_t c)
{
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = len - 1; i > 0; i--, c >>= 6)
		dst[i] = (char)(0x80 | (c & 0x3f));
	dst[0] = (char)(lead[len] | c);
	return len;
}
