#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/must.h"

/* One context for the life of a thread: making one costs more than hashing a
 * record. */
static _Thread_local EVP_MD_CTX *ctx;
static _Thread_local EVP_MD *md;

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
	unsigned len = 0;

	if (ctx == NULL) {
		/* EVP_sha256() would be looked up again by each init: a third
		 * of the time. crypto(7), "Performance" */
		md = EVP_MD_fetch(NULL, "SHA256", NULL);
		ctx = EVP_MD_CTX_new();
		must(ctx != NULL && md != NULL);
	}
	must(EVP_DigestInit_ex(ctx, md, NULL) == 1);
	for (size_t i = 0; i < n; i++)
		must(EVP_DigestUpdate(ctx, pieces[i].p, pieces[i].n) == 1);
	must(EVP_DigestFinal_ex(ctx, h.b, &len) == 1 && len == HASH_BYTES);
	return h;
}

void
hash_end_thread(void)
{
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	ctx = NULL;
	md = NULL;
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
