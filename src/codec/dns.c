#include "codec/dns.h"

#include <string.h>

#include "base/must.h"

enum {
	HEAD = 12,
	TAIL = 4, /* type and class */
	POINTER = 0xc0,
	FLAG_ANSWER = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_AUTHORITATIVE = 0x0400,
	FLAG_DESIRED = 0x0100, /* recursion; copied */
	FLAG_AVAILABLE = 0x0080,
	RECORD = 16, /* pointer, type, class, ttl, length, IPv4 address */
};

static int name_parse(
    const uint8_t *p, size_t n, size_t *at, char out[static DNS_NAME_BYTES]);
static int name_byte(uint8_t b);
static uint16_t get16(const uint8_t *p);
static void put16(uint8_t *p, unsigned v);

int
dns_query_parse(const uint8_t *p, size_t n, struct dns_query *q)
{
	size_t at = HEAD;

	*q = (struct dns_query){ .question_end = HEAD };
	if (n < HEAD)
		return -1;
	q->id = get16(p);
	q->flags = get16(p + 2);
	if ((q->flags & FLAG_ANSWER) != 0)
		return -1;
	if ((q->flags & FLAG_OPCODE) != 0)
		return DNS_NOTIMP;
	/* Exactly one question; an answer or authority in a query is odd. */
	if (get16(p + 4) != 1 || get16(p + 6) != 0 || get16(p + 8) != 0)
		return DNS_FORMERR;
	if (name_parse(p, n, &at, q->name) < 0 || n - at < TAIL) {
		q->name[0] = '\0';
		return DNS_FORMERR;
	}
	q->type = get16(p + at);
	q->class = get16(p + at + 2);
	q->question_end = at + TAIL;
	return 0;
}

size_t
dns_answer_write(const uint8_t *p, const struct dns_query *q,
    enum dns_answer what, const uint8_t address[static 4], uint32_t ttl_s,
    uint8_t *out, size_t cap)
{
	const bool address_too = what == DNS_ADDRESS;
	size_t n = q->question_end;

	must(n >= HEAD && n + RECORD <= cap);
	memcpy(out, p, n);
	put16(out + 2,
	    FLAG_ANSWER | FLAG_AUTHORITATIVE | FLAG_AVAILABLE |
		(q->flags & (FLAG_DESIRED | FLAG_OPCODE)) |
		((unsigned)what & 0xf));
	if (address_too || what == DNS_NODATA)
		out[3] &= 0xf0;
	put16(out + 4, n > HEAD);
	put16(out + 6, address_too);
	put16(out + 8, 0);
	put16(out + 10, 0);
	if (!address_too)
		return n;
	put16(out + n, POINTER << 8 | HEAD);
	put16(out + n + 2, DNS_A);
	put16(out + n + 4, DNS_IN);
	put16(out + n + 6, ttl_s >> 16);
	put16(out + n + 8, ttl_s & 0xffff);
	put16(out + n + 10, 4);
	memcpy(out + n + 12, address, 4);
	return n + RECORD;
}

/* One label after the other; at moves behind the empty one at the end. */
static int
name_parse(
    const uint8_t *p, size_t n, size_t *at, char out[static DNS_NAME_BYTES])
{
	size_t used = 0;

	for (int labels = 0; labels <= DNS_LABELS_MAX; labels++) {
		size_t len;

		if (*at >= n)
			return -1;
		len = p[(*at)++];
		if (len == 0) {
			out[used] = '\0';
			return 0;
		}
		if (len > DNS_LABEL_BYTES || len > n - *at)
			return -1;
		if (used + (used > 0) + len >= DNS_NAME_BYTES)
			return -1;
		if (used > 0)
			out[used++] = '.';
		for (size_t i = 0; i < len; i++) {
			int c = name_byte(p[(*at)++]);

			if (c < 0)
				return -1;
			out[used++] = (char)c;
		}
	}
	return -1;
}

/* The byte in lower case, or -1: a name of a host has no other. */
static int
name_byte(uint8_t b)
{
	if (b >= 'A' && b <= 'Z')
		return b + ('a' - 'A');
	if ((b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || b == '-' ||
	    b == '_')
		return b;
	return -1;
}

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
