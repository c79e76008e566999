/*
 * supervisor/snapshots.h: the files of runs at moments that were kept, in
 * snapshots/ of the state directory.
 *
 * snapshots/s-.../layer is what a run had changed of its work folder
 * (supervisor/layer.h), and list beside it says what that is. Both are made
 * under a name of their own first, so a snapshot is there whole or not at all.
 * The run is frozen while it is noted what its files are, and for nothing else:
 * the layer is made, sorted, hashed and brought to the disk when it goes on.
 *
 * Each is copied, checked and removed in a process of its own, which has these
 * files and nothing else, and ends with its parent.
 */
#ifndef SUPERVISOR_SNAPSHOTS_H
#define SUPERVISOR_SNAPSHOTS_H

#include "base/err.h"
#include "base/limits.h"
#include "ipc/msg.h"
#include "ipc/peer.h"
#include "supervisor/cells.h"
#include "sys/loop.h"

struct snapshots;

struct snapshots_hear {
	/* fd: the list of one that was taken, borrowed; or -1. */
	void (*told)(
	    const struct msg_snapshot_told *m, int fd, const char *why);
};

/* cells and the name of the state directory are borrowed. */
struct snapshots *snapshots_new(struct loop *loop, struct cells *cells,
    const char *state_dir, struct snapshots_hear hear);
/* Ends what is under way; NULL is nothing. */
void snapshots_free(struct snapshots *s);

/* MSG_SNAPSHOT_ASK: tells later, or at once. */
void snapshots_ask(struct snapshots *s, const struct frame *f);

struct snapshot_layers {
	int fd[SNAPSHOT_LAYERS_MAX]; /* own */
	unsigned n;
};

/* Opens the layers of these names, the newest first. 0, or -1 with e. */
int snapshot_layers_open(const char *state_dir, const char *const *names,
    uint32_t n, struct snapshot_layers *out, struct err *e);
void snapshot_layers_fini(struct snapshot_layers *l);

#endif
