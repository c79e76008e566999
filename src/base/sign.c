#include "base/sign.h"

#include <openssl/evp.h>

#include "base/must.h"

void
sign_public(const uint8_t key[static SIGN_KEY_BYTES],
    uint8_t out[static SIGN_KEY_BYTES])
{
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, key, SIGN_KEY_BYTES);
	size_t n = SIGN_KEY_BYTES;

	must(k != NULL);
	must(EVP_PKEY_get_raw_public_key(k, out, &n) == 1 &&
	    n == SIGN_KEY_BYTES);
	EVP_PKEY_free(k);
}

void
sign_make(const uint8_t key[static SIGN_KEY_BYTES], struct str text,
    uint8_t out[static SIGN_BYTES])
{
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, key, SIGN_KEY_BYTES);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIGN_BYTES;

	must(k != NULL && ctx != NULL);
	must(EVP_DigestSignInit(ctx, NULL, NULL, NULL, k) == 1);
	must(EVP_DigestSign(ctx, out, &n, (const uint8_t *)text.p, text.n) ==
		1 &&
	    n == SIGN_BYTES);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(k);
}

bool
sign_check(const uint8_t public_key[static SIGN_KEY_BYTES], struct str text,
    const uint8_t signature[static SIGN_BYTES])
{
	EVP_PKEY *k = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, public_key, SIGN_KEY_BYTES);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = k != NULL;

	must(ctx != NULL);
	good = good && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k) == 1 &&
	    EVP_DigestVerify(ctx, signature, SIGN_BYTES,
		(const uint8_t *)text.p, text.n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(k);
	return good;
}
