/*
 * broker/bearer.h: people whom others know: users of this machine, by uid, and
 * holders of signed tokens (OpenID Connect), by their issuer's keys.
 *
 * The supervisor hands over the files of identity/ whenever one has changed;
 * what does not hold together lets nobody in. The gateway hands over a signed
 * token before its request, once it has the form of one; its signature is
 * checked here, before any claim is believed, and remembered by the token's
 * hash until it ends. When the files change nothing is remembered any more,
 * and whoever had come in so is hung up on.
 */
#ifndef BROKER_BEARER_H
#define BROKER_BEARER_H

#include "broker/broker.h"

void on_identity(const struct msg_identity *m, const struct frame *f);
void on_bearer(const struct msg_bearer *m, struct str token);

/* Who it is, or NULL. name is filled in as struct caller has it. */
const struct identity *bearer_uid(
    uint32_t uid, char name[static NAME_MAX_BYTES]);
const struct identity *bearer_use(
    const struct hash *token, char name[static NAME_MAX_BYTES]);
/* Why this signed token was not taken; "" when that is not known. */
const char *bearer_fault(const struct hash *token);

#endif
