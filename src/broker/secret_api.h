/*
 * broker/secret_api.h: what an operator may see and do about secrets. Never a
 * value.
 */
#ifndef BROKER_SECRET_API_H
#define BROKER_SECRET_API_H

#include "broker/broker.h"
#include "codec/json.h"
#include "core/policy.h"

/* API_SECRET_LIST: of all open runs, or of one. run 0: all. */
void secret_list(const struct caller *who, uint64_t call, uint64_t run);
/* API_SECRET_CHECK {"from":"file:NAME"}: answers when the store has been read.
 */
void secret_check(uint64_t call, const struct json *args);
void secret_checked(const struct msg_secret_found *m, const struct frame *f);
/* API_SECRET_REVOKE {"name" or "from", "run"?}. */
void secret_revoke(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args);
/* A secret of a run is no more, by whose word. False: the store takes no more
 * records. */
bool secret_record_revoked(
    struct run *r, const struct policy_secret *p, struct str by);

#endif
