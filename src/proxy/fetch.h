/*
 * proxy/fetch.h: a request that the daemon itself makes, for the broker: an
 * issuer's keys, a message about an approval.
 *
 * One connection, one request, one answer. HTTPS only; the name is resolved
 * and its addresses are judged as those of a sandbox's requests are, and a
 * redirect is an answer like any other: it is not followed. What comes back is
 * the status, how long it may be kept, and as many bytes as were asked for; an
 * answer of more is none.
 */
#ifndef PROXY_FETCH_H
#define PROXY_FETCH_H

#include "ipc/msg.h"
#include "proxy/dial.h"

struct fetch;
struct proxy;

/* payload: as ipc/msg.h says. Answers with MSG_FETCHED, once. */
void fetch_begin(
    struct proxy *p, const struct msg_fetch *m, struct str payload);
/* All are dropped. */
void fetch_fini(struct proxy *p);

#endif
