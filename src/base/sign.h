/*
 * base/sign.h: Ed25519 (RFC 8032), by OpenSSL.
 *
 * A key is its 32 bytes, the seed of RFC 8032, section 5.1.5. Who holds one
 * keeps it out of core dumps and wipes it; nothing here keeps a copy.
 */
#ifndef BASE_SIGN_H
#define BASE_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { SIGN_KEY_BYTES = 32, SIGN_BYTES = 64 };

/* The public key of a private one. */
void sign_public(const uint8_t key[static SIGN_KEY_BYTES],
    uint8_t out[static SIGN_KEY_BYTES]);
void sign_make(const uint8_t key[static SIGN_KEY_BYTES], struct str text,
    uint8_t out[static SIGN_BYTES]);
/* False too when the public key is no point of the curve. */
bool sign_check(const uint8_t public_key[static SIGN_KEY_BYTES],
    struct str text, const uint8_t signature[static SIGN_BYTES]);

#endif
