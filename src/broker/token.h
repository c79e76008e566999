/*
 * broker/token.h: API tokens of people and services.
 *
 * A token is 256 random bits, shown once; what stays is its SHA-256, which
 * cannot be turned back and needs no salt. It has a tenant ("*": all), an
 * actor, roles, scopes and attributes, and an end. Who revokes one hears of it
 * when that is on disk; every connection that came with it is hung up on, as
 * when it expires.
 */
#ifndef BROKER_TOKEN_H
#define BROKER_TOKEN_H

#include "broker/broker.h"
#include "codec/json.h"

/* What the store holds of them. */
int token_load(struct err *e);

/*
 * Whose it is, or NULL: none that is good now. Its use is noted; name is filled
 * in as struct caller has it.
 */
const struct identity *token_use(
    const struct hash *token, char name[static NAME_MAX_BYTES]);

/* API: each answers by itself. */
void token_create(
    const struct caller *who, uint64_t call, const struct json *args);
void token_list(uint64_t call);
void token_revoke(
    const struct caller *who, uint64_t call, const struct json *args);

/* The disk has moved: who waits for that is answered. */
void token_durable(uint64_t seq);

#endif
