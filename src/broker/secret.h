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
};

struct secrets;

/* run is the text of its identifier. NULL when memory is gone. */
struct secrets *secrets_new(struct str run);
void secrets_free(struct secrets *s); /* wipes; NULL is nothing */

/*
 * Keeps a value. expires_ns is on the caller's clock, 0 for never. -1 with e
 * when the value is none that can be kept: too short to be told from chance,
 * too long, not printable ASCII, or not locked in memory.
 */
int secrets_add(struct secrets *s, struct str name, struct str value,
    const struct secret_use *use, int64_t expires_ns, struct err *e);

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

/* Wipes the value. False when there is no such secret. */
bool secrets_revoke(struct secrets *s, struct str name);
/* Wipes what has expired; returns when the next one does, or 0. */
int64_t secrets_expire(struct secrets *s, int64_t now_ns);

/* [{"name","state","uses"}]: never a value. */
void secrets_write(const struct secrets *s, struct buf *out);
const char *secret_state_name(enum secret_state state); /* "revoked" */

#endif
