/*
 * base/sha256.h: SHA-256 (FIPS 180-4) for PID 1, which is static and has no
 * OpenSSL (docs/decisions/011-digests-in-pid-1.md), and for roles that hash
 * little (hash_small.c). No library is called, so that a child that shares
 * memory with PID 1 may use it.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64 };

struct sha256 {
	uint32_t state[8];
	uint64_t n; /* bytes so far */
	uint8_t block[SHA256_BLOCK]; /* what is not a whole one yet */
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_end(struct sha256 *s, uint8_t out[static SHA256_BYTES]);

#endif
