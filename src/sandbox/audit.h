/*
 * sandbox/audit.h: what Landlock refused inside, told by the kernel's audit.
 *
 * Records hold what whoever is inside chose, so they are parsed in a process
 * of their own (CONFINE_AUDIT of sys/confine.h): no user's id, no files, no
 * capability, not even the one that the socket was opened with. It says what
 * it understood in fixed structs, which the one who started it trusts as
 * little as any other bytes. For reports only: what is refused stays refused,
 * heard or not.
 */
#ifndef SANDBOX_AUDIT_H
#define SANDBOX_AUDIT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "codec/audit.h"

#define AUDIT_READER_NAME "paddock-audit"

struct denied;

struct audit_reader {
	int fd; /* readable when there is something, or it has died */
	pid_t pid;
};

/* Starts the reader, our own static program at `binary`, on a socket of
 * audit_open, which stays the caller's. -1 with e: there is none. */
int audit_reader_start(
    struct audit_reader *r, int binary, int records, struct err *e);
/* 1 with *out, 0 when there is no more for now, -1 when the reader is gone. */
int audit_reader_next(const struct audit_reader *r, struct audit_denied *out);
void audit_reader_end(struct audit_reader *r);

/* The same as a denial of any wall. */
void audit_denied_take(const struct audit_denied *a, struct denied *out);

/* The reader itself: main of AUDIT_READER_NAME. */
int audit_main(void);

#endif
