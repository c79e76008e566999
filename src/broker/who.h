/*
 * broker/who.h: who asks: what a door told, turned into rights.
 *
 * An operator is the daemon's own uid or root at the Unix socket, or whoever
 * has operator.token. Others have an API token. An agent is known by its run.
 * Everybody else is nobody, and may do nothing.
 */
#ifndef BROKER_WHO_H
#define BROKER_WHO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "core/identity.h"
#include "core/policy.h"
#include "ipc/msg.h"

struct caller {
	enum door door;
	uint64_t run; /* an agent's own run; 0: a person */
	bool known; /* false: nobody we know, no rights */
	const struct identity *who; /* of a person; NULL: an agent, nobody */
	uint64_t approval; /* may see and decide this one alone; 0: any */
	char name[NAME_MAX_BYTES]; /* "uid:0", "acme/alice", an actor */
};

struct caller caller_of(
    enum door door, uint32_t uid, uint64_t run, const struct hash *token);

/* A person who has this scope. */
bool caller_may(const struct caller *c, struct str scope);
/* Is what belongs to this tenant there for the caller? An agent: no. */
bool caller_sees(const struct caller *c, struct str tenant);
/* The same of a run, open or closed: false, too, when there is none. */
bool caller_sees_run(const struct caller *c, uint64_t run);

/*
 * One person with several names counts once: whoever is root or the daemon's
 * user can read operator.token.
 */
bool caller_same_person(const char *a, const char *b);

/*
 * A person opens a run under this policy: what of its identity the policy does
 * not name becomes the caller's. False: it names more than the caller has, and
 * call has been answered.
 */
bool caller_may_open(
    const struct caller *c, uint64_t call, struct policy *policy);

#endif
