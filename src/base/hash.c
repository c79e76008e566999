/*
 * SHA256_Init() and its like, which OpenSSL 3 has and no longer recommends:
 * EVP's calls around them cost more than what is hashed here, most of it a
 * block or two, and a call of a tool takes nineteen
 * (docs/decisions/049-hash-calls.md).
 */
#define OPENSSL_API_COMPAT 0x10100000L
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/must.h"

struct hash
hash_of(const void *p, size_t n)
{
	struct str one = { p, n };

	return hash_of_pieces(&one, 1);
}

struct hash
hash_of_pieces(const struct str *pieces, size_t n)
{
	struct hash h;
	SHA256_CTX c;

	must(SHA256_Init(&c) == 1);
	for (size_t i = 0; i < n; i++)
		must(SHA256_Update(&c, pieces[i].p, pieces[i].n) == 1);
	must(SHA256_Final(h.b, &c) == 1);
	explicit_bzero(&c, sizeof(c)); /* it may have held a token */
	return h;
}

/* EVP_MD_CTX under a name of ours, so that no caller needs OpenSSL. */
struct hasher *
hasher_new(void)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	must(c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
	return (struct hasher *)c;
}

void
hasher_add(struct hasher *h, const void *p, size_t n)
{
	must(EVP_DigestUpdate((EVP_MD_CTX *)h, p, n) == 1);
}

struct hash
hasher_end_free(struct hasher *h)
{
	struct hash out;
	unsigned len = 0;

	must(EVP_DigestFinal_ex((EVP_MD_CTX *)h, out.b, &len) == 1 &&
	    len == HASH_BYTES);
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
	return out;
}

struct hash
hash_hmac(struct str key, struct str text)
{
	struct hash h;
	unsigned len = 0;

	must(key.n <= INT32_MAX);
	must(HMAC(EVP_sha256(), key.p, (int)key.n, (const uint8_t *)text.p,
		 text.n, h.b, &len) != NULL &&
	    len == HASH_BYTES);
	return h;
}

bool
hash_eq(const struct hash *a, const struct hash *b)
{
	return CRYPTO_memcmp(a->b, b->b, HASH_BYTES) == 0;
}
