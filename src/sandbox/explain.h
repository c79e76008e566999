/*
 * sandbox/explain.h: says which calls the filter refused, and why.
 *
 * With sandbox_spec.explain a refused call is not answered by the kernel at
 * once: it is put before the caller of sandbox_start, who gives the same
 * answer a little later and has looked at it meanwhile. No call is ever let
 * go on. When nobody answers any more the kernel refuses with ENOSYS: what is
 * refused stays refused, whatever becomes of the one who explains.
 */
#ifndef SANDBOX_EXPLAIN_H
#define SANDBOX_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "sys/seccomp.h"

struct explain {
	bool json;
	unsigned long denied; /* all of them; EXPLAIN_REPORTS_MAX are told */
	size_t n;
	struct sock_filter filter[SECCOMP_PROGRAM_MAX];
};

int explain_init(struct explain *x, bool json, struct err *e);

/* One refused call: fd, the listener, is readable. A line on standard error. */
void explain_next(struct explain *x, int fd);

/* How many there were, when that is more than was told. */
void explain_end(const struct explain *x);

#endif
