/*
 * ipc/peer.h: one role's end of its link to another role.
 *
 * Frames go over a SOCK_SEQPACKET pair, and between roles that talk much
 * through a ring (ipc/ring.h) beside it. Each that arrives is checked against
 * the table of routes; the first that breaks a rule ends the link, with
 * on_gone telling why. Sending never blocks: what the other end does not take
 * at once waits in a queue of bounded size.
 */
#ifndef IPC_PEER_H
#define IPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "ipc/msg.h"
#include "ipc/ring.h"
#include "sys/loop.h"

struct peer;

/* A frame as a handler sees it. Valid for the call. */
struct frame {
	uint16_t type;
	const void *body; /* of the route's size, aligned to 8 */
	struct str payload;
	size_t n_fds;
	int *fds; /* fd_take() one to keep it; the rest is closed */
};

struct peer_frame; /* one that waits to be sent */

struct peer {
	enum role self, other;
	struct loop *loop;
	struct loop_watch watch; /* the socket; fd -1: no link */
	struct ring ring; /* not open: all goes over the socket */
	struct loop_watch bell; /* an eventfd: the other end wrote, or read */
	int other_bell; /* wakes the other end */
	struct loop_timer late; /* it has frames that it was not woken for */
	struct peer_frame *first, **last; /* waiting */
	size_t queued_bytes;
	bool lazy; /* what is sent now need not wake anybody */
	void (*on_frame)(struct peer *p, const struct frame *f);
	/* The link is closed already; why is "end of file" or a violation. */
	void (*on_gone)(struct peer *p, const char *why);
};

/* self, other, loop, on_frame and on_gone are set by the caller. */
void peer_init(struct peer *p);
/* Takes fd over and starts to read it. An earlier link is closed. */
int peer_open_take(struct peer *p, int fd, struct err *e);

/* What an end of a link with a ring consists of, in the order of MSG_WIRE. */
enum { WIRE_SOCKET, WIRE_RING, WIRE_BELL, WIRE_OTHER_BELL, WIRE_FDS };

/* As MSG_WIRE brought it: a socket, or all of a link with a ring. */
int peer_open_wire(struct peer *p, const struct frame *f, struct err *e);
/* Closes the link without on_gone. What was queued is dropped. */
void peer_close(struct peer *p);
bool peer_is_open(const struct peer *p);
/* True when there is no link, or the other end has closed. */
bool peer_at_end(const struct peer *p);

/*
 * Sends one message. fds are borrowed: they are duplicated if they must wait.
 * Returns 0, or -1 when there is no link, or it breaks now: then on_gone is
 * called later, from the loop, and callers need not act.
 */
int peer_send(struct peer *p, uint16_t type, const void *body,
    struct str payload, const int *fds, size_t n_fds);

/*
 * As peer_send, for what nobody waits for: with a ring the other end is not
 * woken for it alone, but after PEER_LAZY_MS or with the next that is sent. So
 * reports of many small things cost one wake.
 */
int peer_send_lazy(
    struct peer *p, uint16_t type, const void *body, struct str payload);

/* A connected pair of sockets for two roles, close-on-exec. */
int peer_pair(int out[static 2], struct err *e);
/* The two ends of a link with a ring. */
int peer_wire(int a[static WIRE_FDS], int b[static WIRE_FDS], struct err *e);

#endif
