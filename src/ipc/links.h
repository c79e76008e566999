/*
 * ipc/links.h: the two links of a role that nobody else speaks to.
 *
 * One to the supervisor, which hands over the one to the broker. The role ends
 * with either: without the broker there are no runs, and without the
 * supervisor there is no broker.
 */
#ifndef IPC_LINKS_H
#define IPC_LINKS_H

#include "base/err.h"
#include "ipc/peer.h"
#include "sys/loop.h"

struct links {
	struct loop *loop;
	struct peer supervisor, broker;
};

/*
 * Makes the loop, and takes the descriptor. on_frame: what the broker says, of
 * l->broker. 0, or -1 with e; then links_close all the same.
 */
int links_open(struct links *l, enum role self, int supervisor_fd,
    void (*on_frame)(struct peer *p, const struct frame *f), struct err *e);
/* Tells the supervisor that the role is confined and hears. */
int links_ready(struct links *l, struct err *e);
void links_close(struct links *l);

#endif
