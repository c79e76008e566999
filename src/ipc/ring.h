/*
 * ipc/ring.h: frames between two roles through memory that both map.
 *
 * A frame over a socket costs the kernel a buffer, two copies and two calls;
 * in a ring it costs a copy each way, and one call to wake the other end. A
 * ring is never trusted: each end keeps its own positions, believes of the
 * other's only what is possible, and copies a frame out before it looks at it.
 *
 * A ring carries no descriptors. What cannot go through it goes over the
 * socket, with a mark in the ring that says when to read it.
 */
#ifndef IPC_RING_H
#define IPC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

/* One end. */
struct ring {
	void *map; /* NULL: not open */
	struct ring_lane *out, *in; /* in the memory of both */
	char *out_bytes, *in_bytes;
	uint64_t written, read; /* bytes ever, by this end */
	bool secret; /* the frame that was taken last may hold one */
};

/* A sealed memfd for two ends. -1 with e filled in. */
int ring_new(struct err *e);

/*
 * Maps memfd, which stays the caller's, as one of its two ends: side is 0 or
 * 1. -1 for a file that is not of ring_new: one that can shrink would kill
 * whoever maps it.
 */
int ring_open(struct ring *r, int memfd, unsigned side, struct err *e);
void ring_close(struct ring *r);

/*
 * True when a frame of n bytes, 0 for the mark, would find room. If not, the
 * other end will tell of room.
 */
bool ring_fits(struct ring *r, size_t n);
/*
 * Writes a frame of 1 to IPC_MAX_FRAME_BYTES bytes, or with n_iov 0 the mark.
 * False when it does not fit. One that may hold a secret is wiped out of the
 * ring by who takes it.
 */
bool ring_put(
    struct ring *r, const struct iovec *iov, size_t n_iov, bool secret);

enum { RING_EMPTY = 0, RING_MARK = -2 };

/*
 * Copies the next frame to out, of IPC_MAX_FRAME_BYTES bytes. Returns its
 * size, RING_EMPTY, RING_MARK, or -1 with e filled in when the other end has
 * written what no ring_put writes.
 */
ssize_t ring_take(struct ring *r, char *out, struct err *e);

/*
 * True when the other end has to be woken to see what ring_put wrote: once,
 * until it has found its ring empty again. While it still takes frames it
 * comes to these by itself.
 */
bool ring_must_wake(struct ring *r);

/* True once, when the other end waits for room that ring_take has made. */
bool ring_tell_room(struct ring *r);

#endif
