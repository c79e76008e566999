/*
 * broker/jwks.h: the public keys of an issuer of signed tokens, as a file of
 * identity/ has them or as they are fetched from where the operator says.
 *
 * Fetched ones are good for as long as their server says, within limits, and
 * are fetched anew then. A token that names a key which is not there has them
 * fetched before that, but never more often than refresh_s: whoever makes up
 * names of keys gets one request for all of them. While fetching fails the old
 * ones stay good for stale_s more, and then none is. What comes is taken whole
 * or not at all.
 */
#ifndef BROKER_JWKS_H
#define BROKER_JWKS_H

#include "base/pubkey.h"
#include "broker/broker.h"
#include "codec/jwt.h"
#include "core/issuer.h"

struct jwks;

/* NULL with e: the text is no set of keys for us. */
struct jwks *jwks_of_text(struct str text, struct err *e);
/*
 * To be fetched, now and again. i and roots (PEM, or "") must live as long, or
 * until jwks_keep gives others. on_change is called after they are others.
 */
struct jwks *jwks_by_url(
    const struct issuer *i, struct str roots, void (*on_change)(void));
void jwks_free(struct jwks *k); /* may be NULL */

/*
 * Takes the keys of an issuer that is asked at the same place over into what a
 * new configuration says: from is empty then. True when it has done so.
 */
bool jwks_keep(struct jwks *to, struct jwks *from);

/*
 * The key that a token names; *id tells it from all others. NULL with e: there
 * is none, and if they are fetched that may change soon.
 */
const struct pubkey *jwks_find(
    struct jwks *k, const struct jwt *t, struct hash *id, struct err *e);
bool jwks_has(const struct jwks *k, const struct hash *id);

#endif
