/*
 * codec/jwt.h: signed tokens (JWT, RFC 7519, in the compact form of RFC 7515)
 * and the public keys they are signed with (JWK sets, RFC 7517).
 *
 * Only signatures that a public key can check: RS256, ES256, EdDSA with
 * Ed25519. "none" and the HMAC algorithms do not exist here, so a public key
 * can never be taken for an HMAC's. Keys that a token brings along (jwk, jku,
 * x5c) are not looked at. Nothing here checks a signature or a time.
 *
 * Pure: all memory comes from the caller's arena.
 */
#ifndef CODEC_JWT_H
#define CODEC_JWT_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/json.h"

enum jwt_alg {
	JWT_RS256, /* RSA, PKCS #1 v1.5, SHA-256 */
	JWT_ES256, /* ECDSA over P-256, SHA-256; 64 bytes, r and s */
	JWT_EDDSA, /* Ed25519 */
	JWT_ALGS,
};

struct jwt {
	enum jwt_alg alg;
	struct str kid; /* "": none */
	const struct json *header, *claims; /* objects */
	struct str signed_text; /* what the signature is over; in the token */
	struct str signature; /* its bytes */
};

/* token is borrowed for as long as *out is used. 0, or -1 with e. */
int jwt_parse(
    struct str token, struct arena *a, struct jwt *out, struct err *e);
/* Has the form of one: two dots. Then jwt_parse says whether it is one. */
bool jwt_looks_like(struct str token);

/* A member of a set; bytes without leading zeros, but for coordinates. */
struct jwk {
	struct str kid; /* "": none */
	enum jwt_alg alg;
	struct str n, e; /* RS256 */
	struct str x, y; /* ES256: 32 bytes each; EdDSA: x only */
};

struct jwk_set {
	struct jwk *keys;
	uint32_t n;
};

/*
 * {"keys":[...]}. Keys for other algorithms or for encryption are left out; a
 * private key in it, two keys of one name, or a damaged one is an error.
 */
int jwk_set_parse(
    struct str text, struct arena *a, struct jwk_set *out, struct err *e);
/*
 * The key that the token names or, when it names none, the only one of its
 * algorithm. NULL: none. A key is for one algorithm.
 */
const struct jwk *jwk_find(const struct jwk_set *set, const struct jwt *t);

const char *jwt_alg_name(enum jwt_alg alg); /* "RS256" */

#endif
