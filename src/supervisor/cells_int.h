/*
 * supervisor/cells_int.h: the table of sandboxes, for the files that keep it.
 *
 * cells.c starts, asks and ends them; cell_order.c reads what a message wants
 * started; cell_tell.c passes on what is told of one that runs or has ended.
 */
#ifndef SUPERVISOR_CELLS_INT_H
#define SUPERVISOR_CELLS_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "ipc/msg.h"
#include "sandbox/audit.h"
#include "sandbox/explain.h"
#include "sandbox/planted.h"
#include "sandbox/pool.h"
#include "sandbox/sandbox.h"
#include "supervisor/cells.h"
#include "supervisor/giveback.h"
#include "sys/loop.h"

struct cell {
	struct cells *of;
	uint64_t run; /* 0: free */
	uint64_t tenant, workflow; /* kill_number of their names */
	uint64_t owner; /* of a tool server: its run; else 0 */
	struct sandbox sb;
	struct loop_watch over; /* the sandbox's pidfd, borrowed from sb */
	struct loop_timer wall;
	int64_t wall_left_ns; /* while it is frozen */
	struct cell_files files; /* but .upper */
	int image_lock; /* keeps its image from being removed; -1: none */
	int folder; /* the work folder, to be written back to; or -1 */
	bool write_back; /* it is, or could have been */
	struct planted planted; /* in mounts that are written for good */
	struct giveback giveback;
	struct msg_sandbox_exited ended; /* told when that is done */
	struct protect_rule *rules; /* own, with their text behind them */
	struct protect protect;
	struct loop_timer late; /* it has ended, and audit may say more */
	bool is_late;
	struct loop_watch denied; /* the sandbox's listener, borrowed */
	struct explain *explain; /* NULL: not asked for */
	struct loop_watch refused; /* its control socket, borrowed */
	bool judged;
};

struct cells {
	struct loop *loop;
	const struct sandbox_host *host;
	const char *state_dir;
	struct cells_hear hear;
	unsigned n;
	struct pool pool;
	struct loop_timer tend;
	int records; /* of audit_open; -1: not to be had here */
	struct loop_watch audit; /* its reader's socket */
	struct audit_reader reader; /* pid 0: not needed so far */
	struct cell cell[RUNS_MAX];
};

#endif
