/*
 * broker/fork.h: runs that begin where another one was.
 *
 * A fork is a run of its own: opened, recorded and closed like any other. It
 * begins on the files of a snapshot, with the labels, and with what was used
 * of the budgets, of that moment. Its record is on disk, and its files are
 * what their list says, before anything of it runs. Approvals, secret leases
 * and receipts are the parent's: the fork asks for its own.
 */
#ifndef BROKER_FORK_H
#define BROKER_FORK_H

#include "broker/run.h"
#include "ipc/msg.h"

struct caller;
struct snap;

struct fork {
	uint64_t parent, snapshot;
	uint32_t step; /* of the parent */
	uint64_t layer[SNAPSHOT_LAYERS_MAX]; /* the newest first */
	uint32_t n_layers;
	uint32_t checked; /* of these: they are what their lists say */
	bool waits; /* for a check of the next of them to begin, */
	uint64_t check; /* or for this one to end */
	bool ready; /* all of them, and the record is on disk */
	uint64_t seq; /* of its fork.opened */
	/* As the snapshot's document has it. */
	bool files; /* the parent had a sandbox */
	bool has_world;
	struct buf revoked; /* where secrets come from that were, a line each */
	int world; /* a memfd with its data, once that is checked; or -1 */
	bool has_base;
	uint64_t dev, ino; /* of the work folder */
};

/*
 * The member `fork` of a request: the fork and its policy, which is the
 * parent's, or the request's, with what `fork` changes of it. False when it has
 * been answered.
 */
bool fork_take(const struct caller *who, uint64_t call, const struct json *args,
    struct fork **out, struct policy **policy);

void fork_free(struct fork *f); /* NULL is nothing */
/* One that begins at this snapshot of a run. */
struct fork *fork_new(uint64_t parent, const struct snap *s);

/* Gives the new run what it goes on with. -1 with e: it may not begin. */
int fork_apply(struct run *r, struct err *e);
/* Where its parent was in what it replays, unless the request names another.
 * -1 with e. */
int fork_replay(struct run *r, struct err *e);
/* The snapshots, for MSG_SANDBOX_START. -1 with e: it is another folder. */
int fork_start_take(struct run *r, struct err *e);
/* Its record; run_fork_go follows. False: the store takes no more. */
bool fork_record(struct run *r);

/* fork_revoked.c: what was revoked in its parent. -1 with e. */
int fork_revoked_take(struct run *r, struct err *e);
bool fork_revoked(const struct run *r, const struct policy_secret *p);
/* On the fork's own record, too. False: the store takes no more. */
bool fork_revoked_record(struct run *r);

/* Records up to this one are on disk. */
void fork_durable(uint64_t seq);
/* MSG_SNAPSHOT_TOLD of SNAPSHOT_CHECK. */
void fork_checked(const struct msg_snapshot_told *m, const struct frame *f);

#endif
