/*
 * broker/egress_int.h: what the sources of egress.h share.
 */
#ifndef BROKER_EGRESS_INT_H
#define BROKER_EGRESS_INT_H

#include "broker/egress.h"
#include "broker/run.h"
#include "core/egress.h"

/* What was allowed and has not ended. */
struct egress_open {
	struct egress_open *next;
	uint64_t ask;
	uint32_t step;
	bool standing;
	bool told; /* of a first request of one that stands */
	uint64_t taken; /* of the upload budget */
	enum egress_proto proto;
	uint16_t port;
	bool v6;
	char host[HOST_BYTES];
	char method[24];
	struct buf url; /* as on the record */
};

struct egress {
	struct hash salt; /* of the digests in URLs */
	uint64_t n_canned;
	uint64_t taking; /* of the budget, by the ask that is being judged */
	uint32_t n_open;
	struct loop_timer *settles; /* goes off when n_open is 0 */
	struct egress_open *open;
	struct egress_rate rates[EGRESS_RULES_MAX];
};

/* Makes r->egress when there is none yet. */
void egress_state(struct run *r);
/*
 * Adds the labels, records the decision, keeps what is allowed until its end.
 * The record's number, 0 when the store takes no more.
 */
uint64_t egress_record(struct run *r, uint64_t number,
    const struct egress_ask *ask, const struct egress_verdict *v);
/* A question that was none. */
void egress_record_nonsense(struct run *r, const char *why);
/* Everything that is open ends with this error. */
void egress_end_asks(struct run *r, const char *error);

#endif
