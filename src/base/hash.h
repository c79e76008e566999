/*
 * base/hash.h: SHA-256 (FIPS 180-4, by OpenSSL) and hexadecimal text.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { HASH_BYTES = 32, HASH_HEX_BYTES = 65 /* with the NUL */ };

struct hash {
	uint8_t b[HASH_BYTES];
};

struct hash hash_of(const void *p, size_t n);
/* The hash of the pieces one after the other. */
struct hash hash_of_pieces(const struct str *pieces, size_t n);
/* The hash of what comes bit by bit. end gives it and frees the hasher. */
struct hasher;
struct hasher *hasher_new(void);
void hasher_add(struct hasher *h, const void *p, size_t n);
struct hash hasher_end_free(struct hasher *h);
/* HMAC-SHA-256 (RFC 2104). */
struct hash hash_hmac(struct str key, struct str text);
bool hash_eq(const struct hash *a, const struct hash *b); /* constant time */
void hash_hex(const struct hash *h, char out[static HASH_HEX_BYTES]);
/* Lower or upper case, 64 digits. Returns 0, or -1. */
int hash_from_hex(struct str hex, struct hash *out);

#endif
