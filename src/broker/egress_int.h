/*
 * broker/egress_int.h: what the sources of egress.h share.
 */
#ifndef BROKER_EGRESS_INT_H
#define BROKER_EGRESS_INT_H

#include "broker/egress.h"
#include "broker/run.h"
#include "broker/spend.h"
#include "core/egress.h"
#include "core/fault.h"
#include "core/leak.h"

/* What was allowed and has not ended. */
struct egress_open {
	struct egress_open *next;
	uint64_t ask;
	uint32_t step;
	bool standing;
	bool told; /* of a first request of one that stands */
	uint64_t taken; /* of the upload budget */
	uint64_t approval; /* 0: none */
	enum egress_proto proto;
	uint16_t port;
	bool v6;
	char host[HOST_BYTES];
	char method[24];
	struct buf url; /* as on the record */
	struct buf key; /* egress_key_write, of one whose answer is kept */
};

/* What waits for a person, or for its body so that a person can be asked. */
struct egress_held {
	struct egress_held *next;
	uint64_t ask;
	enum egress_level level;
	uint32_t step; /* 0: its body is still being read */
	uint64_t approval; /* likewise */
	bool renews; /* approved, and waits for a secret */
	struct buf payload; /* the question */
};

struct egress {
	struct hash salt; /* of the digests in URLs */
	uint64_t n_canned;
	uint64_t taking; /* of the budget, by the ask that is being judged */
	struct over over; /* what had too little for it */
	uint32_t n_open;
	struct loop_timer *settles; /* goes off when nothing is under way */
	struct egress_open *open;
	uint32_t n_held;
	struct egress_held *held;
	uint64_t approval; /* of the ask that is being answered; 0: none */
	const struct fault_hit *fault; /* likewise; NULL: none */
	struct rate rates[EGRESS_RULES_MAX];
};

/* A count that the proxy tells, as a record can hold it: exactly as JSON. */
static inline uint64_t
egress_count(uint64_t n)
{
	const uint64_t most = (UINT64_C(1) << 53) - 1;

	return n < most ? n : most;
}

/* Makes r->egress when there is none yet. */
void egress_state(struct run *r);
/*
 * Adds the labels, records the decision, keeps what is allowed until its end.
 * step: of an earlier decision about the same, or 0. The record's number, 0
 * when the store takes no more.
 */
uint64_t egress_record(struct run *r, uint64_t number, uint32_t step,
    const struct egress_ask *ask, const struct egress_verdict *v);
/* For who has ended something: it may have been the last. */
void egress_settled(struct run *r);
/*
 * Searches what a question says for secrets and canaries, and takes out what
 * holds one, so that no record does. The name of the first, or p NULL; place
 * and hit then say where and how.
 */
struct str egress_leak_take(struct run *r, struct egress_ask *ask,
    struct str *place, struct leak_hit *hit);
/* text, or what stands for it when it holds a secret. */
struct str egress_leak_hide(const struct run *r, struct str text);
/*
 * Appends a text for the record with placeholders in the place of the run's
 * secrets, however they are written. -1: it could not be searched. *hidden is
 * how many were there.
 */
int egress_text_hide(
    const struct run *r, struct str text, struct buf *out, uint64_t *hidden);
/* One that was found on its way out, and stopped. */
void egress_leak_record(struct run *r, uint32_t step, struct str name,
    struct str form, struct str place);
/* What looked like something that should not (core/patterns.h), and went. */
void egress_pattern_record(
    struct run *r, uint32_t step, struct str name, struct str place);
/* A question that was none. */
void egress_record_nonsense(struct run *r, const char *why);
/* egress.c: the verdict, rates and budgets taken; and its answer. */
void egress_judge(struct run *r, const struct egress_ask *ask, bool approved,
    struct egress_verdict *v, struct msg_egress_verdict *m);
/* False when it could not be recorded: the proxy has been told no. */
bool egress_answer(struct run *r, const struct egress_ask *ask, uint32_t step,
    const struct egress_verdict *v, struct msg_egress_verdict *m);
void egress_refuse(struct egress_verdict *v, const char *code,
    const char *where, const char *reason);
/* The secrets that may go out with it: v is a refusal when one is over. */
enum lease egress_leases(struct run *r, const struct egress_ask *ask,
    struct egress_verdict *v, bool again);
/*
 * egress_held.c. Takes over the answer to an ask whose verdict is approve.
 * False: v is a refusal now, to be answered.
 */
bool egress_hold(struct run *r, const struct msg_egress_ask *m,
    struct str payload, const struct egress_ask *ask, struct egress_verdict *v);
/* The proxy does not wait for it any more. False: it never did. */
bool egress_withdraw(
    struct run *r, uint64_t ask, const char *code, struct str why);
/* All of them. tell: the proxy is there to hear of it. */
void egress_withdraw_all(struct run *r, const char *why);
void egress_held_free(struct run *r);
/* What was approved, and waits for a secret that was read anew. */
void egress_held_again(uint64_t run);

/*
 * egress_fault.c: members of the object that tells the proxy how the answer is
 * to be changed, without its braces.
 */
void egress_fault_write(
    struct buf *out, const struct egress_ask *ask, const struct fault_hit *hit);

/* A question that has waited long enough, as one that just came. */
void egress_ask_late(const struct msg_egress_ask *m, struct str payload);

/*
 * egress_replay.c, of a run that has r->replay. True when the ask is answered,
 * or put off, by it.
 */
bool egress_replayed(struct run *r, const struct msg_egress_ask *m,
    const struct egress_ask *ask, struct egress_verdict *v,
    struct msg_egress_verdict *out);
/* Of a whole run that is answered from `run` (broker/rerun.h). -1 with e. */
int egress_replay_all(struct run *r, uint64_t run, bool strict, struct err *e);
/* How many answers were not asked for. */
uint32_t egress_replay_left(
    const struct run *r, uint32_t *kept, uint32_t *answered);
/* What an answer of this run is found by. */
void egress_replay_key(const struct run *r, struct str text,
    struct str body_sha256, char out[static HASH_HEX_BYTES]);

/* Everything that is open ends with this error. */
void egress_end_asks(struct run *r, const char *error);

#endif
