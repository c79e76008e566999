/*
 * cli/cmd_policy.h: what the subcommands of `paddock policy` share.
 */
#ifndef CLI_CMD_POLICY_H
#define CLI_CMD_POLICY_H

#include "base/buf.h"
#include "core/policy.h"

int cmd_policy_test(int argc, char **argv);
int cmd_policy_diff(int argc, char **argv);
int cmd_policy_learn(int argc, char **argv);

/* The file's policy, or NULL after its problems went to standard error. */
struct policy *policy_or_say(const char *path);
/* Compact JSON, indented, to standard output. Returns the exit status. */
int policy_json_out(const struct buf *compact);

#endif
