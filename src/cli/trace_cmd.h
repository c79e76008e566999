/*
 * cli/trace_cmd.h: what the subcommands of `paddock trace` share.
 */
#ifndef CLI_TRACE_CMD_H
#define CLI_TRACE_CMD_H

#include "cli/args.h"
#include "cli/term.h"
#include "store/bundle.h"
#include "store/store.h"

struct trace {
	bool json, ignore_case;
	uint32_t from, limit; /* limit 0: not given */
	const char *state, *key, *witness, *out, *policy, *workflow;
	const char *kind, *tool, *format;
	bool content;
	struct args args;
	struct store *store;
	struct term term;

	bool is_bundle; /* store is a file's that was named in place of a run */
	struct bundle bundle;
	struct store_verdict verdict; /* on that file */
};

/* False: t->args.exit is the exit status. t->args.name is set before. */
bool trace_options(struct trace *t, int argc, char **argv, const char *help,
    const struct option *table);
/*
 * Opens the store, or the bundle when name is one's: a file that is there, and
 * not a run's name. name may be NULL.
 */
int trace_open(struct trace *t, const char *name, struct err *e);
/*
 * Opens the state's store for writing, as the user that the broker runs as; no
 * daemon may have it. make: also where there is none. what: for who is refused.
 */
int trace_open_alone(
    struct trace *t, bool make, const char *what, struct err *e);
/* status: an exit status, or -1 with e. */
int trace_finish(struct trace *t, int status, const struct err *e);
/* The run of that name, which may be `last`, or a bundle's. */
int trace_find(struct trace *t, const char *name, uint64_t *out, struct err *e);

/* A run's row as an object. */
void trace_run_json(struct buf *out, const struct store_run *r);
/* --key: a log's key, or a file that holds it. */
int trace_key(const char *text, struct note_key *out, struct err *e);

int cmd_trace_verify(int argc, char **argv);
int cmd_trace_export(int argc, char **argv);
int cmd_trace_checkpoint(int argc, char **argv);
int cmd_trace_grep(int argc, char **argv);
int cmd_trace_import(int argc, char **argv);
int cmd_trace_blob(int argc, char **argv);
int cmd_trace_key(int argc, char **argv);
int cmd_trace_retain(int argc, char **argv);
int cmd_trace_gc(int argc, char **argv);
int cmd_trace_recovery(int argc, char **argv);

/* Where two runs part; limit 0: 20 branches. Exit status 0: nowhere, 1. */
int trace_diff(
    const char *state, char *const *names, bool json, uint32_t limit);

#endif
