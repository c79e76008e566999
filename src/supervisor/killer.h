/*
 * supervisor/killer.h: the kill switch: lines of kill.sock, and files that the
 * operator touches in the state directory (ipc/kill.h). It asks nobody: what
 * is meant is killed first, and the broker hears of it then. An order that the
 * broker has not taken yet, because it hangs or has died, is kept for it.
 *
 * A file holds as long as it is there: nothing that it means is started.
 */
#ifndef SUPERVISOR_KILLER_H
#define SUPERVISOR_KILLER_H

#include <stdbool.h>

#include "base/err.h"
#include "ipc/kill.h"
#include "ipc/msg.h"
#include "ipc/peer.h"
#include "supervisor/cells.h"
#include "sys/loop.h"

enum { KILL_FILES_MAX = 256, KILL_LEFT_MAX = 64 };

struct killer {
	struct loop *loop;
	struct cells *cells;
	struct peer *broker;
	const char *state; /* the directory; borrowed */
	struct loop_watch files; /* inotify */
	struct kill_order held[KILL_FILES_MAX]; /* whose files are there */
	uint32_t n_held;
	struct msg_kill left[KILL_LEFT_MAX]; /* that the broker has not taken */
	uint32_t n_left;
	uint64_t n_orders;
};

/* loop, cells, broker and state are set. Files that are there hold at once. */
int killer_open(struct killer *k, struct err *e);
void killer_close(struct killer *k);

/* A line of kill.sock. Returns how many were killed, or -1: not understood. */
int killer_line(struct killer *k, struct str line);
/* May a sandbox of these start? */
bool killer_holds(const struct killer *k, const struct msg_sandbox_start *m);

/* A new broker: it is told what holds, and what the last one has not taken. */
void killer_tell_again(struct killer *k);
void killer_taken(struct killer *k, const struct msg_killed *m);

#endif
