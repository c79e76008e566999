/*
 * init/raw.h: system calls that leave errno alone, for a child that shares
 * PID 1's memory and runs at the same time (start.h). The result, or a
 * negative errno.
 */
#ifndef INIT_RAW_H
#define INIT_RAW_H

long raw_call(long nr, long a, long b, long c, long d, long e);

#endif
