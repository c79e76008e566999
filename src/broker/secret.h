/*
 * broker/secret.h: the secrets of one run, and the fakes that stand for them.
 *
 * A secret's value is in locked memory (sys/locked.h), one region each. The
 * sandbox gets a placeholder, "pdk_" with eight characters of the run and
 * random ones: as long as the value, so that putting in the value changes no
 * length, but never under SECRET_MIN_BODY_BYTES. The value leaves here by
 * secrets_grant only, for the proxy and for one request that the policy has
 * allowed. What has expired or was revoked is wiped at once, and is granted no
 * more, also in a run that is going on.
 *
 * What no request may hold is known to the proxy by prints (core/leak.h): those
 * of all secrets, and of canaries: baits that look like credentials, and are
 * their own placeholders.
 */
#ifndef BROKER_SECRET_H
#define BROKER_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Where the proxy may put it: see proxy/filter.h. */
struct secret_use {
	struct str header, format, query, access_key; /* n is 0: not there */
	bool body;
};

enum secret_state {
	SECRET_READY,
	SECRET_EXPIRED,
	SECRET_REVOKED,
	SECRET_UNKNOWN,
	SECRET_BAIT, /* a canary: there to be found, never granted */
};

struct leak_set; /* core/leak.h */
struct secrets;

/* run is the text of its identifier. NULL when memory is gone. */
struct secrets *secrets_new(struct str run);
void secrets_free(struct secrets *s); /* wipes; NULL is nothing */

/*
 * Keeps a value. Times are on the caller's clock; expires_ns 0 is never. -1
 * with e when the value is none that can be kept: too short to be told from
 * chance, too long, not printable ASCII, or not locked in memory.
 */
int secrets_add(struct secrets *s, struct str name, struct str value,
    const struct secret_use *use, int64_t now_ns, int64_t expires_ns,
    struct err *e);

/* Makes a canary of this kind ("aws", "github", ...). */
int secrets_add_canary(
    struct secrets *s, struct str name, struct str kind, struct err *e);
/*
 * Another value in the place of one that has expired, under the placeholder
 * that is there. Refused when it is revoked, or when its length must stay (what
 * goes into bodies) and does not.
 */
int secrets_renew(struct secrets *s, struct str name, struct str value,
    int64_t now_ns, int64_t expires_ns, struct err *e);

/* What the sandbox gets instead; p is NULL when there is no such secret. */
struct str secrets_placeholder(const struct secrets *s, struct str name);

/* Bytes that secrets_grant appends for all of them together, at most. */
size_t secrets_grant_bytes(const struct secrets *s);
/*
 * Appends the object of one secret for MSG_EGRESS_VERDICT and counts the use.
 * out has room for secrets_grant_bytes already (buf_reserve): were it to grow,
 * a copy would stay behind. The caller wipes it. Nothing is appended when the
 * state is another than SECRET_READY.
 */
enum secret_state secrets_grant(
    struct secrets *s, struct str name, int64_t now_ns, struct buf *out);

/* As secrets_grant would find it: what has expired is wiped. */
enum secret_state secrets_state(
    struct secrets *s, struct str name, int64_t now_ns);
/*
 * The name of the secret that this host's name tells, p NULL if none does: as
 * it is, backwards or in hexadecimal digits, in either case, whatever dots and
 * dashes are between. A name is asked for before any byte is sent to it.
 */
struct str secrets_in_host(const struct secrets *s, struct str host);
/* What finds any of them, for as long as none is added or renewed; and whose
 * print the i-th is. */
struct leak_set *secrets_leaks(const struct secrets *s);
struct str secrets_name(const struct secrets *s, uint32_t i);
uint32_t secrets_count(const struct secrets *s);
/* For MSG_EGRESS_WATCH: {"key":"...","words":[{"bytes","digest","head","name",
 * "placeholder"?,"tail"}, ...]}. */
void secrets_write_prints(const struct secrets *s, struct buf *out);

/* Wipes the value. False when there is no such secret. */
bool secrets_revoke(struct secrets *s, struct str name);
/* Wipes what has expired; returns when the next one does, or 0. */
int64_t secrets_expire(struct secrets *s, int64_t now_ns);

struct secret_facts {
	enum secret_state state;
	uint64_t uses, age_s;
	uint64_t expires_s; /* 0: never, or it has */
	int64_t unused_s; /* since the last use; -1: none yet */
};
struct secret_facts secrets_facts(
    struct secrets *s, struct str name, int64_t now_ns);
const char *secret_state_name(enum secret_state state); /* "revoked" */

#endif
