/*
 * store/keep.h: what of a tenant's content is kept, and for how long.
 *
 * A tenant's rule has a level, for what records refer to from now on, and an
 * age of closed runs at which what is kept of them is removed. Without a rule
 * content is kept as it comes, by its SHA-256, and once for everybody.
 *
 * With one, nothing of content stands in records but hashes, and those say
 * nothing to who guesses: content that is not kept has an HMAC with a key of
 * the tenant's; what is kept has a salt, made with that key of the run and of
 * the content, and its hash is over both. Salt and content are removed
 * together, and what was removed cannot be told from a guess any more. No two
 * runs share such content, so what is removed of one is nobody else's.
 *
 * What a snapshot is made of keeps its plain hash and stays as long as its
 * record: forks are checked by it.
 */
#ifndef STORE_KEEP_H
#define STORE_KEEP_H

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/limits.h"
#include "core/event.h"
#include "store/store.h"

#define TENANT_KEY_FILE "tenant.key"

struct keep_rule {
	char tenant[NAME_MAX_BYTES + 1]; /* "*": who has no other */
	enum store_level level;
	uint32_t after_s; /* of a closed run; 0: for ever */
	struct hash key; /* the tenant's; of "*" not used */
};

struct keep {
	struct keep_rule *rules;
	uint32_t n;
	bool has_master;
	struct hash master; /* of which the tenants' keys are made */
	struct buf masked[2]; /* arguments and result of one record */
};

/* Reads the rules of a store, and the key when it is there. -1 with e. */
int keep_load(struct keep *k, const char *dir, sqlite3 *db, struct err *e);
void keep_fini(struct keep *k);
/* The tenant's own rule, or that of "*"; NULL: neither is there. */
const struct keep_rule *keep_rule(const struct keep *k, struct str tenant);
/* Sets one; raw for ever takes it away. Makes the key that it needs. */
int keep_set(
    struct keep *k, const char *dir, const struct store_rule *r, struct err *e);
/* Sets what the rule makes of arguments (0) or result (1): its hash, too. */
void keep_apply(struct keep *k, const struct keep_rule *rule,
    const struct event *ev, int which, struct event_blob *b);

#endif
