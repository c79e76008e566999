/*
 * cli/policy_file.h: a policy from a file, and what is wrong with it.
 */
#ifndef CLI_POLICY_FILE_H
#define CLI_POLICY_FILE_H

#include "base/buf.h"
#include "core/policy.h"

/*
 * The policy in the file: YAML when its name ends in .yaml or .yml, else JSON.
 * What it extends by name is read from files beside it.
 * NULL when it cannot be read or is none: list says why. policy_free().
 */
struct policy *policy_file_read(const char *path, struct policy_problems *list);
/* Appends a line per problem, as compilers write them: FILE:LINE:COLUMN: ... */
void policy_file_show(
    struct buf *out, const char *path, const struct policy_problems *list);

#endif
