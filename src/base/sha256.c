#include "base/sha256.h"

#include <string.h>

static void take_block(struct sha256 *s, const uint8_t *p);
static uint32_t turn(uint32_t v, int n);

/* FIPS 180-4, section 4.2.2: of the cube roots of the first 64 primes. */
static const uint32_t k[64] = { 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
	0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
	0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
	0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138,
	0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624,
	0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
	0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f,
	0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2 };

void
sha256_init(struct sha256 *s)
{
	/* Section 5.3.3: of the square roots of the first 8 primes. */
	static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372,
		0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(s->state, first, sizeof(first));
	s->n = 0;
}

void
sha256_add(struct sha256 *s, const void *p, size_t n)
{
	const uint8_t *at = p;
	size_t held = s->n % SHA256_BLOCK;

	s->n += n;
	if (held > 0) {
		size_t some = SHA256_BLOCK - held < n ? SHA256_BLOCK - held : n;

		memcpy(s->block + held, at, some);
		at += some;
		n -= some;
		if (held + some < SHA256_BLOCK)
			return;
		take_block(s, s->block);
	}
	for (; n >= SHA256_BLOCK; n -= SHA256_BLOCK, at += SHA256_BLOCK)
		take_block(s, at);
	if (n > 0)
		memcpy(s->block, at, n);
}

/* Section 5.1.1: a 1, zeros, and the length in bits in 8 bytes. */
void
sha256_end(struct sha256 *s, uint8_t out[static SHA256_BYTES])
{
	static const uint8_t pad[SHA256_BLOCK] = { 0x80 };
	uint8_t bits[8];
	size_t held = s->n % SHA256_BLOCK;

	for (int i = 0; i < 8; i++)
		bits[i] = (uint8_t)(s->n * 8 >> (56 - 8 * i));
	sha256_add(s, pad,
	    held < SHA256_BLOCK - sizeof(bits)
		? SHA256_BLOCK - sizeof(bits) - held
		: 2 * SHA256_BLOCK - sizeof(bits) - held);
	sha256_add(s, bits, sizeof(bits));
	for (int i = 0; i < SHA256_BYTES; i++)
		out[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* Section 6.2.2. */
static void
take_block(struct sha256 *s, const uint8_t *p)
{
	uint32_t w[64];
	uint32_t a = s->state[0], b = s->state[1], c = s->state[2],
		 d = s->state[3], e = s->state[4], f = s->state[5],
		 g = s->state[6], h = s->state[7];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
		    (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		    (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^
			w[i - 15] >> 3) +
		    (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
	/* In variables of their own they stay in registers. */
	for (int i = 0; i < 64; i++) {
		uint32_t one = h + k[i] + w[i] +
		    (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +
		    ((e & f) ^ (~e & g));
		uint32_t two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +
		    ((a & b) ^ (a & c) ^ (b & c));

		h = g;
		g = f;
		f = e;
		e = d + one;
		d = c;
		c = b;
		b = a;
		a = one + two;
	}
	s->state[0] += a;
	s->state[1] += b;
	s->state[2] += c;
	s->state[3] += d;
	s->state[4] += e;
	s->state[5] += f;
	s->state[6] += g;
	s->state[7] += h;
}

static uint32_t
turn(uint32_t v, int n)
{
	return v >> n | v << (32 - n);
}
