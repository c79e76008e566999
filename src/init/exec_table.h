/*
 * init/exec_table.h: the commands under way, and what is still to be told
 * about each. Belongs to the serving thread alone.
 */
#ifndef INIT_EXEC_TABLE_H
#define INIT_EXEC_TABLE_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "init/start.h"
#include "sandbox/rpc.h"

enum exec_state {
	EXEC_FREE,
	EXEC_STARTING, /* has a struct start */
	EXEC_RUNNING,
	EXEC_ENDED,
	EXEC_FAILED, /* never ran */
};

struct exec {
	enum exec_state state;
	bool
	    is_main; /* the sandbox's own command: told by the control socket */
	bool started_told;
	uint64_t id;
	pid_t pid; /* 0 once reaped: the number is free then */
	pid_t started_pid; /* what it was */
	struct start *start;
	int master; /* of its terminal, or -1 */
	int outer[RPC_MAX_FDS]; /* to be handed out with RPC_STARTED */
	unsigned n_outer;
	char program[RPC_TEXT_BYTES]; /* what was executed, once it runs */
	struct rpc_reply last; /* RPC_EXITED or RPC_FAILED */
};

struct exec_table {
	struct exec execs[RPC_MAX_EXECS + 1]; /* and the main command */
	struct start starts[RPC_MAX_STARTING];
	unsigned n_starting;
	/* Entries from these on were never used. A start is large: one that is
	 * not needed stays memory that PID 1 has never touched, and need not
	 * give back at its end. */
	unsigned n_used, n_starts;
};

/* NULL: all in use. */
struct exec *exec_new(struct exec_table *t);
struct start *exec_start_new(struct exec_table *t);
struct exec *exec_find(struct exec_table *t, uint64_t id);
/* The exec whose command pid is or was, or NULL. */
struct exec *exec_of_pid(struct exec_table *t, pid_t pid);

/*
 * Starts what x->start describes, which is given back when it fails: then -1
 * with errno, and x is still the caller's.
 */
int exec_begin(struct exec_table *t, struct exec *x);
/* x->start->watch has hung up: it runs, or it failed. */
void exec_decide(struct exec_table *t, struct exec *x);
/* It was reaped. */
void exec_end(struct exec_table *t, struct exec *x, int status,
    const struct rusage *used);
/* Closes what it holds, and frees it. */
void exec_free(struct exec *x);

#endif
