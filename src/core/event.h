/*
 * core/event.h: one record of the trace, as it is stored.
 *
 * A pure function from a struct to canonical JSON (docs/design of the trace:
 * docs/TRACE.md has the schema): what the chain hashes is these bytes.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"

enum event_kind {
	EVENT_RUN_OPENED = 1,
	EVENT_RUN_CLOSED,
	EVENT_TOOL_PROPOSED,
	EVENT_POLICY_DECISION,
	EVENT_APPROVAL_REQUESTED,
	EVENT_APPROVAL_DECIDED,
	EVENT_TOOL_STARTED,
	EVENT_TOOL_FINISHED,
	EVENT_DRAFT_CREATED,
	EVENT_EGRESS_DECISION,
	EVENT_BUDGET_STOP,
	EVENT_KILL,
	EVENT_NOTE,
	EVENT_RUN_PAUSED,
	EVENT_RUN_RESUMED,
	EVENT_SANDBOX_DENIED,
	EVENT_EGRESS_DONE,
	EVENT_EGRESS_LEAK,
	EVENT_SECRET_REVOKED,
	EVENT_FAULT_INJECTED,
	EVENT_CONTEXT_INPUT,
	EVENT_BUDGET_EXTENDED,
	EVENT_TOOL_RETRIED,
	EVENT_SNAPSHOT_TAKEN,
	EVENT_FORK_OPENED,
	EVENT_DRAFT_COMMITTED,
	EVENT_PAGE_CAPTURED,
	EVENT_KINDS,
};

/* Bytes that an event refers to: kept in the store by their hash. */
struct event_blob {
	struct str
	    bytes; /* redacted canonical JSON, or as below; n = 0: none */
	struct hash hash; /* of bytes; set by the store */
	bool redacted; /* something was replaced before storing */
	bool picture; /* no text: nothing of it is shown in the record */
	/* Set by the store, as a tenant's rule wants it (store/keep.h). */
	bool bare; /* nothing of it is shown in the record */
	bool hash_only; /* it is not kept; hash is keyed */
	bool salted; /* hash is of salt and bytes, which are kept together */
	struct hash salt;
};

/* Empty texts and NULL pointers are left out of the record. */
struct event {
	uint64_t seq; /* set by the store */
	uint64_t run; /* core/id.h; 0: the daemon's own */
	uint32_t step; /* of the run, from 1; all events of a call share it */
	int64_t t_ns; /* UTC */
	int64_t mono_ns;
	enum event_kind kind;

	struct str tenant, actor, role; /* who */
	struct str workflow;
	uint32_t stage; /* 1..5, 0: left out */
	struct str policy; /* version, hex */

	struct str tool; /* name */
	struct str tier; /* "external_write" */
	struct event_blob args;

	struct str verdict; /* "approve" */
	struct str action; /* "executed", "waiting", ... */
	struct str rule, code, reason;
	struct str prov; /* canonical JSON: where the arguments come from */

	struct str status; /* of the result: "ok", "error", "blocked", ... */
	struct event_blob out;
	struct str effect; /* "none", "overlay", "real" */
	struct str origin; /* "fake", ... */

	/* Of run.closed: the run's other records, how many and a hash over
	 * theirs. Set by the store; 0: left out. */
	uint64_t sum_n;
	struct hash sum;

	int64_t ms; /* how long it took; < 0: left out */
	struct str body; /* further members: a canonical JSON object, or "" */
};

/* Appends the record, RFC 8785. */
void event_write(struct buf *out, const struct event *ev);
const char *event_kind_name(enum event_kind k); /* "tool.proposed" */
/* 0, or -1. */
int event_kind_parse(struct str s, enum event_kind *out);

#endif
