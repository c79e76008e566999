/*
 * sandbox/filter.h: the system calls that a program inside may make.
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <stdbool.h>

#include "sys/seccomp.h"

extern const struct seccomp_policy sandbox_filter;

/*
 * Compiles it, for user 0 of a user namespace with one id if fake_root: a file
 * cannot get another owner there, and who unpacks an archive is told that it
 * has. As seccomp_compile.
 */
int sandbox_filter_compile(bool fake_root,
    struct sock_filter out[static SECCOMP_PROGRAM_MAX], struct err *e);

#endif
