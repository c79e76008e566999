/*
 * cli/approvals_more.h: what `paddock approvals` has beside the list.
 */
#ifndef CLI_APPROVALS_MORE_H
#define CLI_APPROVALS_MORE_H

#include "base/buf.h"

int cmd_approvals_stats(int argc, char **argv);
int cmd_approvals_link(int argc, char **argv);
int cmd_approvals_answer(int argc, char **argv);
int cmd_approvals_notify(int argc, char **argv);

/* Appends "a,b" as ["a","b"]. */
void approvals_put_roles(struct buf *out, struct str roles);

#endif
