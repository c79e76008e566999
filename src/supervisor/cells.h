/*
 * supervisor/cells.h: the sandboxes that are running, one per run.
 *
 * Storage for all of them is there from the start. What happens to one is
 * told through on_exit, once; a killed one too.
 */
#ifndef SUPERVISOR_CELLS_H
#define SUPERVISOR_CELLS_H

#include <stdint.h>

#include "base/err.h"
#include "ipc/kill.h"
#include "ipc/msg.h"
#include "ipc/peer.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"
#include "sys/loop.h"

struct cells;

enum { CELL_FDS = 3 + NET_SOCKETS };

/* What becomes of sandboxes; the texts are as in MSG_SANDBOX_DENIED. */
struct cells_hear {
	void (*on_exit)(const struct msg_sandbox_exited *m);
	void (*on_denied)(const struct msg_sandbox_denied *m, struct str texts);
};

/* The host struct is borrowed, and the name of the state directory, where the
 * images are. NULL with e. */
struct cells *cells_new(struct loop *loop, const struct sandbox_host *host,
    const char *state_dir, struct cells_hear hear, struct err *e);
/* What audit_open gave, for sandboxes that are to be explained; taken over. */
void cells_take_audit(struct cells *c, int records);
/* Kills and removes all; nothing of it is heard. */
void cells_free(struct cells *c);

/*
 * Starts what the frame (MSG_SANDBOX_START) asks. 0 with *out and the
 * descriptors of MSG_SANDBOX_STARTED, which become the caller's; or -1 with e.
 */
int cells_start(struct cells *c, const struct frame *f,
    struct msg_sandbox_started *out, int fds[static CELL_FDS], size_t *n_fds,
    struct err *e);
/*
 * MSG_SANDBOX_ASK: measures one, after it was frozen or thawed as asked. Its
 * wall time stands still while it is frozen. 0 with *out, or -1 with e.
 */
int cells_ask(struct cells *c, const struct msg_sandbox_ask *m,
    struct msg_sandbox_told *out, struct err *e);
/*
 * Freezes or thaws one, and measures nothing: what is frozen waits for whoever
 * reads counters. 1 when it was so before, 0 when it is now, or -1 with e.
 */
int cells_hold(struct cells *c, uint64_t run, bool still, struct err *e);
struct cell_files {
	int upper; /* what it has changed of the work folder; borrowed */
	uid_t owner; /* of that folder; ours, when there is none */
	gid_t group;
	uint64_t dev, ino; /* of it; 0: there is none */
};

/* What a snapshot of a run is made of. -1 with e: there is no such run. */
int cells_files(
    struct cells *c, uint64_t run, struct cell_files *out, struct err *e);
/* False when there is no such run. */
bool cells_kill(struct cells *c, uint64_t run);
/* What the order means. Returns how many. */
unsigned cells_kill_by(struct cells *c, const struct kill_order *k);
/* Kills everything, without a word to anyone yet. Returns how many. */
unsigned cells_kill_all(struct cells *c);
unsigned cells_count(const struct cells *c);

#endif
