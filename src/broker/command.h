/*
 * broker/command.h: tool calls that are commands of the run's own sandbox, for
 * tools whose row has `exec` (core/command.h).
 *
 *     decision, started: on disk -> command.started -> MSG_COMMAND -> gateway
 *     -> PID 1 ... -> command.finished, MSG_COMMAND_END -> finished
 *
 * A command can do what the sandbox can, and no more. It is granted and on the
 * record as those that people start are (inside.h). What is late, or not wanted
 * any more, is killed.
 */
#ifndef BROKER_COMMAND_H
#define BROKER_COMMAND_H

#include "broker/call.h"

/* True when the policy says that calls of the tool are commands. */
bool command_is(const struct run *r, struct str tool);
/* True when the policy has such tools. */
bool commands_any(const struct policy *p);
/* The call: its records are where they have to be. Takes c over. */
void command_make(struct run *r, struct call *c, const struct policy_tool *row);
/* MSG_COMMAND_END */
void on_command_end(const struct msg_command_end *m, struct str payload);
/* The call's time is over, or nobody wants it. */
void command_stop(const struct call *c);
/* Who asked wants it no more. */
void command_cancel(uint64_t asker);
/* What is under way has no known end: of a run, or (NULL) of all. */
void commands_lost(const struct run *r);

/* Appends ,{...} for each such tool that the policy lets the agent see. */
void commands_write_tools(struct buf *out, const struct run *r);

#endif
