#include "base/pubkey.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/sign.h"

enum { P256_BYTES = 32, RSA_MIN_BYTES = 256, RSA_MAX_BYTES = 1024 };

struct pubkey {
	EVP_PKEY *key; /* NULL: Ed25519 */
	bool is_ec;
	uint8_t ed25519[SIGN_KEY_BYTES];
};

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld);
static int der_of(struct str signature, uint8_t **out);

struct pubkey *
pubkey_rsa(struct str modulus, struct str exponent, struct err *e)
{
	struct pubkey *k = NULL;
	OSSL_PARAM_BLD *bld;
	BIGNUM *n, *x;

	if (modulus.n < RSA_MIN_BYTES || modulus.n > RSA_MAX_BYTES ||
	    (uint8_t)modulus.p[0] < 0x80) {
		(void)err_set(e, "an RSA key has not 2048 to 8192 bits");
		return NULL;
	}
	if (exponent.n == 0 || exponent.n > 4 ||
	    (exponent.p[exponent.n - 1] & 1) == 0 ||
	    (exponent.n == 1 && exponent.p[0] < 3)) {
		(void)err_set(e, "an RSA key's exponent is none");
		return NULL;
	}
	n = BN_bin2bn((const uint8_t *)modulus.p, (int)modulus.n, NULL);
	x = BN_bin2bn((const uint8_t *)exponent.p, (int)exponent.n, NULL);
	bld = OSSL_PARAM_BLD_new();
	must(n != NULL && x != NULL && bld != NULL);
	must(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, x) == 1);
	k = calloc(1, sizeof(*k));
	must(k != NULL);
	k->key = from_params("RSA", bld);
	BN_free(n);
	BN_free(x);
	OSSL_PARAM_BLD_free(bld);
	if (k->key != NULL)
		return k;
	free(k);
	(void)err_set(e, "an RSA key is none");
	return NULL;
}

struct pubkey *
pubkey_p256(struct str x, struct str y, struct err *e)
{
	uint8_t point[1 + 2 * P256_BYTES] = { 4 }; /* SEC 1: not compressed */
	EVP_PKEY_CTX *ctx = NULL;
	struct pubkey *k;
	OSSL_PARAM_BLD *bld;
	bool good;

	must(x.n == P256_BYTES && y.n == P256_BYTES);
	memcpy(point + 1, x.p, P256_BYTES);
	memcpy(point + 1 + P256_BYTES, y.p, P256_BYTES);
	bld = OSSL_PARAM_BLD_new();
	must(bld != NULL);
	must(OSSL_PARAM_BLD_push_utf8_string(
		 bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(
		bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1);
	k = calloc(1, sizeof(*k));
	must(k != NULL);
	k->is_ec = true;
	k->key = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	if (k->key != NULL)
		ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
	good = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (good)
		return k;
	pubkey_free(k);
	(void)err_set(e, "a P-256 key is no point of its curve");
	return NULL;
}

struct pubkey *
pubkey_ed25519(struct str key, struct err *e)
{
	struct pubkey *k;

	if (key.n != SIGN_KEY_BYTES) {
		(void)err_set(e, "an Ed25519 key has not 32 bytes");
		return NULL;
	}
	k = calloc(1, sizeof(*k));
	must(k != NULL);
	memcpy(k->ed25519, key.p, SIGN_KEY_BYTES);
	return k;
}

void
pubkey_free(struct pubkey *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

bool
pubkey_check(const struct pubkey *k, struct str text, struct str signature)
{
	const uint8_t *sig = (const uint8_t *)signature.p;
	size_t n = signature.n;
	uint8_t *der = NULL;
	EVP_PKEY_CTX *how = NULL; /* the context's own */
	EVP_MD_CTX *ctx;
	bool good;

	if (k->key == NULL)
		return signature.n == SIGN_BYTES &&
		    sign_check(k->ed25519, text, sig);
	if (k->is_ec) {
		int len = der_of(signature, &der);

		if (len <= 0)
			return false;
		sig = der;
		n = (size_t)len;
	}
	ctx = EVP_MD_CTX_new();
	must(ctx != NULL);
	good =
	    EVP_DigestVerifyInit(ctx, &how, EVP_sha256(), NULL, k->key) == 1 &&
	    (k->is_ec ||
		EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PADDING) == 1) &&
	    EVP_DigestVerify(ctx, sig, n, (const uint8_t *)text.p, text.n) == 1;
	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	ERR_clear_error();
	return good;
}

static EVP_PKEY *
from_params(const char *type, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	must(params != NULL && ctx != NULL);
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	ERR_clear_error();
	return key;
}

/* JWS has r and s side by side (RFC 7518 section 3.4), OpenSSL a sequence. */
static int
der_of(struct str signature, uint8_t **out)
{
	const uint8_t *p = (const uint8_t *)signature.p;
	ECDSA_SIG *sig;
	BIGNUM *r, *s;
	int n = -1;

	if (signature.n != 2 * P256_BYTES)
		return -1;
	sig = ECDSA_SIG_new();
	r = BN_bin2bn(p, P256_BYTES, NULL);
	s = BN_bin2bn(p + P256_BYTES, P256_BYTES, NULL);
	must(sig != NULL && r != NULL && s != NULL);
	must(ECDSA_SIG_set0(sig, r, s) == 1); /* takes both */
	n = i2d_ECDSA_SIG(sig, out);
	ECDSA_SIG_free(sig);
	return n;
}
