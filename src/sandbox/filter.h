/*
 * sandbox/filter.h: the system calls that a program inside may make.
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include "sys/seccomp.h"

extern const struct seccomp_policy sandbox_filter;

enum filter_kind {
	/* For user 0 of a user namespace with one id: a file cannot get another
	 * owner there, and who unpacks an archive is told that it has. */
	FILTER_FAKE_ROOT = 1 << 0,
	/* Where no group of processes counts memory: none that could not be
	 * counted otherwise (init/watch.h). Shared memory comes from the
	 * sandbox's own files, whose size is bounded, or not at all; a socket
	 * holds what sockets hold by default; pages stay with who has them. */
	FILTER_COUNTED = 1 << 1,
	/* It stays on the processors that it was put on. */
	FILTER_PINNED = 1 << 2,
	/* UNIX sockets by socketpair only: no name leads to one. */
	FILTER_NO_UNIX = 1 << 3,
	/* PID 1 traces; who it traces has one more filter (init/tracer.h). */
	FILTER_TRACER = 1 << 4,
};

/* Compiles it, with these changes. As seccomp_compile. */
int sandbox_filter_compile(unsigned kind,
    struct sock_filter out[static SECCOMP_PROGRAM_MAX], struct err *e);

#endif
