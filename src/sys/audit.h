/*
 * sys/audit.h: the kernel's audit, heard and never changed.
 *
 * Records are heard from the multicast group AUDIT_NLGRP_READLOG, beside
 * whoever else has them. Joining it needs CAP_AUDIT_READ in the first user
 * namespace; the socket then works without. Whether anything is recorded is
 * the machine's setting (auditctl -e), and who hears does not touch it.
 */
#ifndef SYS_AUDIT_H
#define SYS_AUDIT_H

#include "base/err.h"

enum audit_state {
	AUDIT_STATE_NONE, /* not in this kernel, or in another user namespace */
	AUDIT_STATE_HIDDEN, /* there, and this user may not ask or listen */
	AUDIT_STATE_OFF, /* nothing is recorded */
	AUDIT_STATE_ON,
};

enum audit_state audit_state(void);

/* A socket that has joined and hears nothing yet, so that nothing piles up in
 * it; or -1, also when nothing is recorded. */
int audit_open(struct err *e);

/* From now on it hears of Landlock's denials, and of the calls that met them.
 */
int audit_hear(int fd, struct err *e);

#endif
