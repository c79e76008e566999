/*
 * gateway/command.h: commands of a sandbox that are tool calls.
 *
 * The broker has decided and recorded them, and asks for one by MSG_COMMAND; it
 * runs as what people start does (exec.h), is watched by nobody, and is
 * answered by MSG_COMMAND_END, exactly once.
 */
#ifndef GATEWAY_COMMAND_H
#define GATEWAY_COMMAND_H

#include "gateway/exec.h"

/* MSG_COMMAND */
void command_begin(
    struct gateway *g, const struct msg_command *m, struct str payload);
/* MSG_COMMAND_KILL: it ends soon, if it has not. */
void command_kill(struct gateway *g, const struct msg_command *m);

/* For exec.c: it has ended, or (r not NULL, or the sandbox gone) not begun. */
void command_over(const struct exec *x);
void command_not_begun(const struct exec *x, const struct rpc_reply *r);

#endif
