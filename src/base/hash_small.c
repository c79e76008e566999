/*
 * base/hash_small.c: the part of hash.h that supervisor, gateway and world
 * need, without OpenSSL: linked ahead of hash.c, into these three programs
 * alone (docs/decisions/035-floors.md). They hash names, tokens and the like;
 * who has files to hash calls OpenSSL (supervisor/digest.h).
 */
#include "base/hash.h"
#include "base/sha256.h"

struct hash
hash_of(const void *p, size_t n)
{
	struct str one = { p, n };

	return hash_of_pieces(&one, 1);
}

struct hash
hash_of_pieces(const struct str *pieces, size_t n)
{
	struct sha256 s;
	struct hash h = {};

	sha256_init(&s);
	for (size_t i = 0; i < n; i++)
		sha256_add(&s, pieces[i].p, pieces[i].n);
	sha256_end(&s, h.b);
	return h;
}

/* All bytes are looked at, whatever the first ones are; what the compiler knows
 * of the sum it does not know from one to the next. */
bool
hash_eq(const struct hash *a, const struct hash *b)
{
	volatile uint8_t differ = 0;

	for (int i = 0; i < HASH_BYTES; i++)
		differ = (uint8_t)(differ | (a->b[i] ^ b->b[i]));
	return differ == 0;
}
