/*
 * supervisor/cell_order.h: the sandbox that a message wants started.
 *
 * The frame is from the broker, and is checked all the same: every length and
 * every number of descriptors. The frame's memory is borrowed by what is made
 * of it, and its descriptors stay the frame's.
 */
#ifndef SUPERVISOR_CELL_ORDER_H
#define SUPERVISOR_CELL_ORDER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "ipc/peer.h"
#include "sandbox/sandbox.h"
#include "supervisor/snapshots.h"

struct cell_order {
	struct sandbox_spec spec; /* points to all that is below */
	struct sandbox_file files[SECRETS_PER_RUN_MAX];
	struct sandbox_mount mounts[MOUNTS_MAX];
	struct protect_rule *rules; /* with their text behind them */
	struct buf trust, trust_java;
	struct snapshot_layers layers;
	int root, lock; /* the image's, and what keeps it from being removed */
};

#define own_order __attribute__((cleanup(cell_order_fini)))

/* Nothing but what cell_order_fini takes. */
#define CELL_ORDER_NONE                \
	{                              \
		.root = -1, .lock = -1 \
	}

/*
 * What f wants, which is a MSG_SANDBOX_START; images are in state_dir. One
 * order at a time: the next one takes its words. -1 with e.
 */
int cell_order_take(struct cell_order *o, const struct frame *f,
    const char *state_dir, struct err *e);

void cell_order_fini(struct cell_order *o);

#endif
