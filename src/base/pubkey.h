/*
 * base/pubkey.h: signatures of others, checked by OpenSSL. A key is for one
 * algorithm only, which the key says and no message.
 */
#ifndef BASE_PUBKEY_H
#define BASE_PUBKEY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct pubkey;

/* NULL with e: a modulus of less than 2048 bits or over 8192, an exponent that
 * is even, below 3 or over 32 bits. */
struct pubkey *pubkey_rsa(
    struct str modulus, struct str exponent, struct err *e);
/* NULL with e: no point of the curve. 32 bytes each. */
struct pubkey *pubkey_p256(struct str x, struct str y, struct err *e);
struct pubkey *pubkey_ed25519(struct str key, struct err *e);
void pubkey_free(struct pubkey *k); /* k may be NULL */

/*
 * RSA: PKCS #1 v1.5 with SHA-256; P-256: ECDSA with SHA-256, r and s of 32
 * bytes each; Ed25519. False for whatever is no good signature.
 */
bool pubkey_check(
    const struct pubkey *k, struct str text, struct str signature);

#endif
