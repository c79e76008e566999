/*
 * supervisor/identity.h: the files of identity/ in the state directory, which
 * nobody here looks into: the broker gets all of them, at its start and
 * whenever one has changed.
 */
#ifndef SUPERVISOR_IDENTITY_H
#define SUPERVISOR_IDENTITY_H

#include "base/err.h"
#include "ipc/peer.h"
#include "sys/loop.h"

struct identity_files {
	const char *state; /* the directory; borrowed */
	struct peer *broker; /* who is told of changes; set by the caller */
	struct loop *loop;
	struct loop_watch watch; /* inotify */
};

/* Makes the folder, if it is not there, and watches it. */
int identity_open(struct identity_files *x, struct loop *loop,
    const char *state, struct err *e);
/* Sends all of them. */
void identity_send(struct identity_files *x, struct peer *broker);
void identity_close(struct identity_files *x);

#endif
