/*
 * sandbox/filter.h: the system calls that a program inside may make.
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include "sys/seccomp.h"

extern const struct seccomp_policy sandbox_filter;

#endif
