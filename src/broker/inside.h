/*
 * broker/inside.h: what a person does inside a run's sandbox.
 *
 * The broker does none of it: it decides, records, and grants, and the gateway
 * acts through the RPC socket of PID 1 (sandbox/rpc.h). A grant has a number
 * and ends with MSG_INSIDE_DONE, which is recorded, too. What only looks at
 * names and states needs a right and leaves no record: its grant is 0.
 */
#ifndef BROKER_INSIDE_H
#define BROKER_INSIDE_H

#include "broker/run.h"

/* API_EXEC, API_FILE, API_PORT of a caller that may: answers by itself. */
void inside_exec(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args);
void inside_file(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args);
void inside_port(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args);

/*
 * The same for a tool call: a command that the policy has let through, as its
 * record shows it. 0: as much is under way as may be.
 */
uint64_t inside_grant(
    struct run *r, const char *by, const struct json *command);

/* MSG_INSIDE_DONE */
void on_inside_done(const struct msg_inside_done *m, struct str payload);
/* The asker hung up before the grant could reach it: nothing was begun. */
void inside_gone(uint64_t call);

/*
 * True, or answers call that the policy is against argv[0], and records it if
 * the run is open.
 */
bool inside_may_start(
    struct run *r, const char *by, uint64_t call, const struct json *argv);

/* The grants that have not ended, for a new gateway: "[1,7]". */
void inside_write_left(struct buf *out, const struct run *r);
/* The run closes: what was granted has ended with it, and is recorded so. */
void inside_end_run(struct run *r);
void inside_free_run(struct run *r);

#endif
