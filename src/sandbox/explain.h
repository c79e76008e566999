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
#include <sys/types.h>

#include "base/err.h"
#include "sys/seccomp.h"

enum { EXPLAIN_TEXT_BYTES = 256, EXPLAIN_RULE_BYTES = 128 };

struct denied {
	unsigned pid; /* as seen here; 0: not known */
	char comm[EXPLAIN_TEXT_BYTES]; /* as it calls itself; may be "" */
	char call[32]; /* "mount", or "call_" and its number */
	/* The path, as it is at this moment, or the argument that decided, in
	 * hexadecimal; "": not known. */
	char about[EXPLAIN_TEXT_BYTES];
	bool is_path;
	bool argument; /* the call itself is allowed */
	int error; /* errno; 0: not known */
	/* The wall, where it is another than seccomp, and what of it. */
	const char *wall;
	char rule[EXPLAIN_RULE_BYTES];
};

struct explain {
	bool json;
	/* For root without the capability to look into every process: the
	 * sandbox's user, whose own processes may be looked into; or 0. */
	uid_t as;
	unsigned long denied; /* all of them; EXPLAIN_REPORTS_MAX are told */
	size_t n;
	struct sock_filter filter[SECCOMP_PROGRAM_MAX];
};

int explain_init(struct explain *x, bool json, struct err *e);

/* One refused call: fd, the listener, is readable. True with *out when it is
 * among the first EXPLAIN_REPORTS_MAX. */
bool explain_next(struct explain *x, int fd, struct denied *out);

/* A line on standard error. */
void explain_tell(const struct explain *x, const struct denied *d);

/* On standard error. The text was chosen by whoever is inside: nothing of it
 * reaches a terminal as it is. */
void explain_put_text(const char *text);

/* "openat", of calls that programs try; NULL for any other number. */
const char *explain_call_name(unsigned nr);

/* How many there were, when that is more than was told. */
void explain_end(const struct explain *x);

#endif
