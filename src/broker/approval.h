/*
 * broker/approval.h: calls that a person decides.
 *
 * Bound to the SHA-256 of name and arguments, the policy version and a
 * deadline; decided by somebody who is not the actor; executed once.
 */
#ifndef BROKER_APPROVAL_H
#define BROKER_APPROVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/run.h"
#include "core/policy.h"

enum approval_state {
	APPROVAL_PENDING,
	APPROVAL_APPROVED, /* being executed */
	APPROVAL_REJECTED,
	APPROVAL_EXPIRED,
	APPROVAL_CANCELLED,
	APPROVAL_EXECUTED,
	APPROVAL_FAILED,
};

enum { VOTES_MAX = 16, HOLDERS_MAX = 8 };

/* A request that is held until the decision, or for APPROVAL_HOLD_MS. */
struct holder {
	uint64_t call; /* the gateway's number; 0: free */
	struct loop_timer until;
	struct approval *of;
};

struct approval {
	struct approval *next;
	uint64_t id;
	char text[ID_BYTES];
	uint64_t run;
	uint32_t step;
	enum approval_state state;
	bool escalated; /* by a person, or by time */
	bool unlimited; /* its deadline has passed, and it still waits */
	char tool[NAME_MAX_BYTES];
	enum risk risk;
	bool simulated; /* a rule says so, whatever a person says */
	enum budget_kind extends; /* by a yes; BUDGET_KINDS: none */
	char own_key[NAME_MAX_BYTES]; /* the caller's; "": none */
	uint64_t draft; /* whose commit a yes allows; 0: the call itself */
	uint64_t ask; /* 0: a tool call; else what wants to leave: egress.h */
	/* Of the run's policy; of whom it was escalated to, once it was. */
	const struct policy_approval *rule;
	/* Failures on purpose: its deadline is a no; and until when (of the
	 * monotonic clock) the agent waits for it itself. */
	bool denied;
	int64_t late_until_ns;
	struct buf args; /* canonical; after an edit, the edited ones */
	struct buf args_shown; /* redacted as the policy says, for the store */
	struct hash hash; /* call_hash of what is executed */
	struct hash asked_hash; /* of what was asked: differs after an edit */
	struct buf why; /* "labels":...,"reasons":...: members of detail */
	size_t preview_at; /* in why: where "preview":... would stand */
	struct buf preview; /* what the call would change, or "" */
	bool preview_hidden; /* not for the store */
	int64_t requested_ns, deadline_ns; /* UTC */
	struct loop_timer deadline;
	uint32_t n_votes;
	char votes[VOTES_MAX][NAME_MAX_BYTES];
	struct buf decisions; /* {"by","ms","verdict"},...: of people */
	char reason[256]; /* of a rejection */
	struct holder holders[HOLDERS_MAX];
	enum reply_kind kind; /* of the result, once there is one */
	struct buf result;
};

/* What a new one is about; the texts are copied. */
struct approval_about {
	uint32_t step;
	uint64_t ask; /* see struct approval */
	struct str tool;
	enum risk risk;
	bool simulated;
	enum budget_kind extends; /* as in struct approval */
	struct str own_key;
	uint64_t draft;
	const struct policy_approval *rule;
	struct str args, args_shown; /* canonical; and for the store */
	struct hash hash;
	struct str why; /* as in struct approval */
	size_t preview_at; /* likewise */
};

/* One more, pending and recorded. NULL: the store takes no more records. */
struct approval *approval_open(
    struct run *r, const struct approval_about *about);
/* A pending one is not needed any more; by and why are for the record. */
void approval_withdraw(struct run *r, uint64_t id, const char *why);

/* What a yes is for, besides the call. */
struct approval_ask {
	enum budget_kind extends; /* as in struct approval */
	struct str own_key;
	uint64_t draft;
};

/*
 * Asks for one, or joins a pending one for the very same call: then false.
 * asker is held.
 */
bool approval_request(struct run *r, uint32_t step, uint64_t asker,
    const struct verdict *v, const struct approval_ask *ask, struct str tool,
    const struct json *args, struct str canonical, const struct hash *hash);

/* MSG_WORLD_TRIED: approval_preview.c. */
void on_world_tried(const struct msg_world_tried *m, struct str payload);

/* A call that names an approval of its own run, or approval.wait. */
void approval_hold(
    struct run *r, uint64_t asker, struct str id_text, const struct hash *hash);

/* The approved call has ended. */
void approval_finished(uint64_t id, enum reply_kind kind, struct str result);

/* API: list, one, decide. Each answers by itself. */
void approval_list(
    const struct caller *who, uint64_t call, const struct json *args);
void approval_get(
    const struct caller *who, uint64_t call, const struct json *args);
void approval_decide(
    const struct caller *who, uint64_t call, const struct json *args);

/* approval_link.c: makes a token for one person's answer. */
void approval_link(
    const struct caller *who, uint64_t call, const struct json *args);
/*
 * The same for {"actor", "roles"} that an operator has written down: appends
 * {"path","secret","who"}. -1 with e.
 */
int approval_link_make(struct approval *a, const struct run *r,
    const struct json *args, const char *by, struct buf *out, struct err *e);
/* Whose answer it is, and to what; or NULL: no link that is good. */
const struct identity *approval_link_use(const struct hash *token,
    uint64_t *approval, char name[static NAME_MAX_BYTES]);
/* He has answered: who is what approval_link_use gave. */
void approval_link_spend(const struct identity *who);

/* How people decide: approval_stats.c. */
void approval_stats(
    const struct caller *who, uint64_t call, const struct json *args);

/* A run is ending: what is pending is cancelled. */
void approval_cancel_run(struct run *r);
void approval_free_run(uint64_t run);
void approval_gone(uint64_t call);

const char *approval_state_name(enum approval_state s);

#endif
