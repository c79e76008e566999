#include "core/addr.h"

#include <stdio.h>
#include <string.h>

enum { V4_MAPPED_AT = 12, GROUPS = 8 };

static int v4_parse(struct str s, uint8_t out[static 4]);
static int v6_parse(struct str s, uint8_t out[static 16]);
static int group_parse(struct str s, uint8_t out[static 2]);
static bool has_prefix(const uint8_t *p, const uint8_t *prefix, unsigned bits);
static void plain(const struct cidr *in, struct cidr *out);
static bool carried(const struct addr *a, struct addr *out);
static const char *v4_denied(const uint8_t b[static 4]);

/* IPv6 ranges that are no one's on the public Internet, or that end up in
 * IPv4 by a way that cannot be judged from the address. */
static const struct {
	uint8_t byte[8];
	uint8_t bits;
	const char *what;
} denied6[] = {
	{ { 0xfd, 0x00, 0x0e, 0xc2 }, 32, "metadata" },
	{ { 0xfc }, 7, "private" }, { { 0xfe, 0x80 }, 10, "link-local" },
	{ { 0xfe, 0xc0 }, 10, "private" }, /* site-local, RFC 3879 */
	{ { 0xff }, 8, "multicast" },
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, "translated" },
	{ { 0x20, 0x01, 0x00, 0x00 }, 32, "tunnelled" }, /* Teredo */
	{ { 0x20, 0x01, 0x00, 0x10 }, 28, "reserved" }, /* ORCHID */
	{ { 0x20, 0x01, 0x00, 0x20 }, 28, "reserved" },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, "documentation" },
	{ { 0x3f, 0xff, 0x00 }, 20, "documentation" },
	{ { 0x01, 0x00 }, 64, "reserved" }, /* discard-only, RFC 6666 */
	{ { 0x5f, 0x00 }, 16, "reserved" }, /* segment routing */
};

static const struct {
	uint8_t byte[4];
	uint8_t bits;
	const char *what;
} denied4[] = {
	/* Metadata services first: the name says more than "link-local". */
	{ { 169, 254, 169, 254 }, 32, "metadata" },
	{ { 169, 254, 170, 2 }, 32, "metadata" },
	{ { 168, 63, 129, 16 }, 32, "metadata" },
	{ { 100, 100, 100, 200 }, 32, "metadata" },
	{ { 192, 0, 0, 192 }, 32, "metadata" }, { { 0 }, 8, "this network" },
	{ { 10 }, 8, "private" },
	{ { 100, 64 }, 10, "private" }, /* carrier-grade NAT */
	{ { 127 }, 8, "loopback" }, { { 169, 254 }, 16, "link-local" },
	{ { 172, 16 }, 12, "private" }, { { 192, 0, 0 }, 24, "reserved" },
	{ { 192, 0, 2 }, 24, "documentation" },
	{ { 192, 88, 99 }, 24, "reserved" }, /* 6to4 relays */
	{ { 192, 168 }, 16, "private" },
	{ { 198, 18 }, 15, "reserved" }, /* benchmarks, and our names */
	{ { 198, 51, 100 }, 24, "documentation" },
	{ { 203, 0, 113 }, 24, "documentation" }, { { 224 }, 4, "multicast" },
	{ { 240 }, 4, "reserved" }, /* and 255.255.255.255 */
};

int
addr_parse(struct str s, struct addr *out)
{
	*out = (struct addr){};
	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']') {
		s = (struct str){ s.p + 1, s.n - 2 };
		out->v6 = true;
		return v6_parse(s, out->byte);
	}
	out->v6 = str_find(s, ':') < s.n;
	return out->v6 ? v6_parse(s, out->byte) : v4_parse(s, out->byte);
}

int
cidr_parse(struct str s, struct cidr *out)
{
	size_t slash = str_find(s, '/');
	struct str text = { s.p, slash };
	uint64_t bits;

	if (addr_parse(text, &out->addr) < 0)
		return -1;
	out->bits = out->addr.v6 ? 128 : 32;
	if (slash == s.n)
		return 0;
	text = (struct str){ s.p + slash + 1, s.n - slash - 1 };
	if (text.n == 0 || text.n > 3 || str_to_u64(text, &bits) < 0 ||
	    bits > out->bits)
		return -1;
	for (unsigned i = (unsigned)bits; i < out->bits; i++) {
		if ((out->addr.byte[i / 8] & (0x80 >> (i % 8))) != 0)
			return -1;
	}
	out->bits = (uint8_t)bits;
	return 0;
}

void
addr_write(const struct addr *a, char out[static ADDR_TEXT_BYTES])
{
	const uint8_t *b = a->byte;
	unsigned best = GROUPS, best_n = 1, n = 0;
	size_t at = 0;

	if (!a->v6) {
		(void)snprintf(out, ADDR_TEXT_BYTES, "%u.%u.%u.%u", b[0], b[1],
		    b[2], b[3]);
		return;
	}
	/* RFC 5952: the longest run of zeros, the first of equal ones, and
	 * never a single one. */
	for (unsigned i = 0; i <= GROUPS; i++) {
		if (i < GROUPS && b[2 * i] == 0 && b[2 * i + 1] == 0) {
			n++;
			continue;
		}
		if (n > best_n) {
			best_n = n;
			best = i - n;
		}
		n = 0;
	}
	for (unsigned i = 0; i < GROUPS; i++) {
		const char *colon =
		    i == 0 || (best < GROUPS && i == best + best_n) ? "" : ":";

		if (i == best) {
			at += (size_t)snprintf(
			    out + at, ADDR_TEXT_BYTES - at, "::");
			i += best_n - 1;
			continue;
		}
		at += (size_t)snprintf(out + at, ADDR_TEXT_BYTES - at, "%s%x",
		    colon, (unsigned)b[2 * i] << 8 | b[2 * i + 1]);
	}
}

void
cidr_write(const struct cidr *c, char out[static ADDR_TEXT_BYTES])
{
	size_t n;

	addr_write(&c->addr, out);
	n = str_of(out).n;
	(void)snprintf(out + n, ADDR_TEXT_BYTES - n, "/%u", c->bits);
}

bool
addr_eq(const struct addr *a, const struct addr *b)
{
	return a->v6 == b->v6 && memcmp(a->byte, b->byte, 16) == 0;
}

bool
cidr_has(const struct cidr *c, const struct addr *a)
{
	struct cidr one = { *a, a->v6 ? 128 : 32 };

	return cidr_covers(c, &one);
}

bool
cidr_covers(const struct cidr *outer, const struct cidr *inner)
{
	struct cidr o, i;

	plain(outer, &o);
	plain(inner, &i);
	return o.addr.v6 == i.addr.v6 && i.bits >= o.bits &&
	    has_prefix(i.addr.byte, o.addr.byte, o.bits);
}

const char *
addr_denied(const struct addr *a)
{
	static const uint8_t zeros[16];
	struct addr v4;

	if (!a->v6)
		return v4_denied(a->byte);
	if (memcmp(a->byte, zeros, 15) == 0 && a->byte[15] <= 1)
		return a->byte[15] == 1 ? "loopback" : "this network";
	for (size_t i = 0; i < sizeof(denied6) / sizeof(denied6[0]); i++) {
		if (has_prefix(a->byte, denied6[i].byte, denied6[i].bits))
			return denied6[i].what;
	}
	return carried(a, &v4) ? v4_denied(v4.byte) : NULL;
}

bool
addr_may_dial(const struct addr *a, const struct cidr *pins, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (cidr_has(&pins[i], a))
			return true;
	}
	return n == 0 && addr_denied(a) == NULL;
}

/* Four numbers up to 255 without leading zeros, which some read as octal. */
static int
v4_parse(struct str s, uint8_t out[static 4])
{
	for (int i = 0; i < 4; i++) {
		size_t n = str_find(s, '.');
		uint64_t v;

		if (n == 0 || n > 3 || (n > 1 && s.p[0] == '0') ||
		    (i < 3) != (n < s.n) ||
		    str_to_u64((struct str){ s.p, n }, &v) < 0 || v > 255)
			return -1;
		out[i] = (uint8_t)v;
		if (i < 3)
			s = (struct str){ s.p + n + 1, s.n - n - 1 };
	}
	return 0;
}

static int
v6_parse(struct str s, uint8_t out[static 16])
{
	uint8_t b[16] = {};
	size_t n = 0, gap = 17; /* bytes so far; where "::" stands */

	if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':') {
		gap = 0;
		s = (struct str){ s.p + 2, s.n - 2 };
	}
	while (s.n > 0) {
		size_t end = str_find(s, ':');
		struct str part = { s.p, end };

		if (end == s.n && str_find(part, '.') < part.n) {
			if (n > 12 || v4_parse(part, b + n) < 0)
				return -1;
			n += 4;
			break;
		}
		if (n > 14 || group_parse(part, b + n) < 0)
			return -1;
		n += 2;
		if (end == s.n)
			break;
		s = (struct str){ s.p + end + 1, s.n - end - 1 };
		if (s.n == 0)
			return -1; /* one colon at the end */
		if (s.p[0] == ':') {
			if (gap <= 16)
				return -1;
			gap = n;
			s = (struct str){ s.p + 1, s.n - 1 };
		}
	}
	if (gap > 16 ? n != 16 : n > 14)
		return -1;
	if (gap <= 16) {
		memmove(b + 16 - (n - gap), b + gap, n - gap);
		memset(b + gap, 0, 16 - n);
	}
	memcpy(out, b, 16);
	return 0;
}

static int
group_parse(struct str s, uint8_t out[static 2])
{
	unsigned v = 0;

	if (s.n == 0 || s.n > 4)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		int digit = str_hex_digit(s.p[i]);

		if (digit < 0)
			return -1;
		v = v << 4 | (unsigned)digit;
	}
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
	return 0;
}

static bool
has_prefix(const uint8_t *p, const uint8_t *prefix, unsigned bits)
{
	unsigned rest = bits % 8;

	/* A prefix in a table may have fewer bytes than bits ask for: the
	 * tables hold eight. */
	if (memcmp(p, prefix, bits / 8) != 0)
		return false;
	return rest == 0 ||
	    ((p[bits / 8] ^ prefix[bits / 8]) >> (8 - rest)) == 0;
}

/* An IPv4 address or range that is written as a mapped IPv6 one. */
static void
plain(const struct cidr *in, struct cidr *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	*out = *in;
	if (!in->addr.v6 || in->bits < 96 ||
	    memcmp(in->addr.byte, mapped, sizeof(mapped)) != 0)
		return;
	*out = (struct cidr){ .bits = in->bits - 96 };
	memcpy(out->addr.byte, in->addr.byte + V4_MAPPED_AT, 4);
}

/* The IPv4 address that an IPv6 one leads to, by one way or another. */
static bool
carried(const struct addr *a, struct addr *out)
{
	static const struct {
		uint8_t byte[12];
		uint8_t bits, at;
	} ways[] = {
		{ { [10] = 0xff, [11] = 0xff }, 96, 12 }, /* mapped */
		{ { 0 }, 96, 12 }, /* compatible, RFC 4291 2.5.5.1 */
		{ { [8] = 0xff, [9] = 0xff }, 96, 12 }, /* translated */
		{ { 0x00, 0x64, 0xff, 0x9b }, 96, 12 }, /* NAT64 */
		{ { 0x20, 0x02 }, 16, 2 }, /* 6to4 */
	};

	*out = (struct addr){};
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (has_prefix(a->byte, ways[i].byte, ways[i].bits)) {
			memcpy(out->byte, a->byte + ways[i].at, 4);
			return true;
		}
	}
	/* ISATAP, RFC 5214: any prefix, then ::0:5efe:a.b.c.d. */
	if ((a->byte[8] & 0xfd) == 0 && a->byte[9] == 0 &&
	    a->byte[10] == 0x5e && a->byte[11] == 0xfe) {
		memcpy(out->byte, a->byte + 12, 4);
		return true;
	}
	return false;
}

static const char *
v4_denied(const uint8_t b[static 4])
{
	for (size_t i = 0; i < sizeof(denied4) / sizeof(denied4[0]); i++) {
		if (has_prefix(b, denied4[i].byte, denied4[i].bits))
			return denied4[i].what;
	}
	return NULL;
}
