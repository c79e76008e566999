/*
 * broker/pin.h: what the tools of a tenant's servers were said to be.
 *
 * A model believes a tool's description, so who changes one changes what agents
 * do. The first definition of a tool that a tenant's run sees under a server's
 * name is accepted as it is, and kept: across runs, and restarts of the daemon.
 * One that differs is not offered, in any run of the tenant, until a person has
 * looked at both and said yes; then it takes the other's place, which counts as
 * changed from there on.
 *
 *     (new) -> first_seen --another is seen--> changed --yes--> approved
 *                                                     --no---> rejected
 *
 * A server is known by its name in policies: another program under the name of
 * a known one has to be looked at, too. A policy's `pin` comes before all this.
 *
 * What is here is an index, loaded at the start; definitions are in the store.
 * They are queued for it before the record of what the server offers, so that
 * no call of a tool is made before they are on disk.
 */
#ifndef BROKER_PIN_H
#define BROKER_PIN_H

#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "codec/json.h"
#include "core/id.h"

struct caller;

enum pin_verdict {
	PIN_GOOD,
	PIN_CHANGED, /* a person has not looked at it yet */
	PIN_REJECTED, /* one has, and said no */
	PIN_FLIPPED, /* it was another one earlier in this run */
	PIN_OTHER, /* not the one that the policy names */
	PIN_FULL, /* there is no room to remember what it was said to be */
};

/* Whose definition it is. tool is the server's own name for it. */
struct pin_of {
	struct str tenant, server, tool;
};

/* Reads what is known. -1 with e: the store. */
int pin_load(struct err *e);

/*
 * A run sees a definition: text is canonical, hash its SHA-256. What is new is
 * remembered. One of PIN_GOOD, PIN_CHANGED, PIN_REJECTED, PIN_FULL.
 */
enum pin_verdict pin_judge(const struct pin_of *of, uint64_t run,
    const struct hash *hash, struct str text);
/* Its name, "p-7k3m9q2v5w1x"; "" when nothing is known. */
const char *pin_name(const struct pin_of *of);

/* API_PIN_LIST {"state"?, "server"?}, API_PIN_GET {"pin"}. */
void pin_list(const struct caller *who, uint64_t call, const struct json *args);
void pin_get(const struct caller *who, uint64_t call, const struct json *args);
/*
 * API_PIN_DECIDE {"pin", "verdict", "sha256", "decisions", "reason"?}: about
 * the definition that the decider has seen, and as nobody has decided since.
 */
void pin_decide(
    const struct caller *who, uint64_t call, const struct json *args);
/* Answers that waited for the disk. */
void pin_durable(uint64_t seq);

#endif
