/*
 * broker/snap.h: moments of runs that were kept, and what is known of them.
 *
 * The supervisor keeps the files (supervisor/snapshots.h). What the broker
 * knows at that step, its labels, what of the budgets is used, how often calls
 * that failed were made again, is one document, which names the list of the
 * files by its hash. Document and list are blobs of the snapshot.taken record,
 * so the chain stands for both. Approvals, secrets and receipts are in none of
 * it: what a fork has not got, it cannot use.
 */
#ifndef BROKER_SNAP_H
#define BROKER_SNAP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "broker/run.h"
#include "ipc/msg.h"
#include "ipc/peer.h"

struct caller;

struct snap {
	struct snap *next;
	uint64_t id, run;
	uint32_t step;
	/* Itself, then those below it: all that its files are made of. */
	uint64_t layer[SNAPSHOT_LAYERS_MAX];
	uint32_t n_layers;
	struct buf doc; /* canonical JSON, as it is on the record */
	uint64_t seq; /* of its record, until that is on disk and told */
	uint64_t call; /* who waits for it */
};

/* Reads what the store has of them. -1 with e. */
int snap_load(struct err *e);
/* Tells the supervisor which are kept: all others go. */
void snap_keep(void);

/* API_SNAPSHOT and its company: they answer by themselves. */
void snap_take(const struct caller *who, uint64_t call, uint64_t run);
void snap_list(uint64_t call, uint64_t run);
void snap_remove(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args);
void snap_gc(uint64_t call);

/* MSG_SNAPSHOT_TOLD. */
void on_snapshot_told(const struct msg_snapshot_told *m, const struct frame *f);
/* MSG_WORLD_SAVED: the run goes on. */
void on_world_saved(const struct msg_world_saved *m, struct str why);
/* Records up to this one are on disk. */
void snap_durable(uint64_t seq);

/* One that is on disk, or NULL. */
const struct snap *snap_find(uint64_t id);
/* One of the run is being made, or its record is not on disk yet. */
bool snap_is_pending(uint64_t run);
/* The last of a run at this step or before it, or NULL. */
const struct snap *snap_at(uint64_t run, uint32_t step);
/* A sealed memfd with the list of its files, as the record has it. -1 with e:
 * what is on record and what is kept of it are not the same. */
int snap_list_fd(const struct snap *s, struct err *e);

#endif
