/*
 * cli/replay.h: the ways of `paddock replay`.
 */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "cli/trace_cmd.h"

/* Judges the calls of runs again, by another policy. An exit status, or -1. */
int replay_policy(struct trace *t, const char *policy, const char *workflow,
    char *const *names, int n, struct err *e);
/*
 * Executes a command anew, with its answers from the record: the whole
 * subcommand, whose help it is given. An exit status.
 */
int replay_run(int argc, char **argv, const char *help);
/* Steps through one run; at is where to begin, or 0. */
int replay_steps(struct trace *t, const char *name, uint32_t at, struct err *e);

#endif
