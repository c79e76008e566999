/*
 * sandbox/pool.h: sandboxes that are built before they are needed.
 *
 * A parked sandbox stands ready for runs of one shape: the same tenant, the
 * same limits, a work folder of the same owner; and where there is an image,
 * the same one, with the work folder in the same place. It is used once, by one
 * run, and never goes back; what one tenant has caused to be parked, no other
 * takes. So the pool changes when a sandbox is built, and nothing else.
 *
 * A folder that is asked for twice in a row gets stock of its own, parked over
 * it: for those a run brings no mount. What is in the folder is looked at when
 * the run comes, as it is for all others.
 *
 * It learns from what is asked: a shape that was started lately is kept in
 * stock, more of it when the stock was found empty, and nothing of it a while
 * after the last. pool_tend does this, a little at a time, when its owner has
 * nothing better to do. What is parked dies with its owner, as all sandboxes.
 *
 * All storage is in the struct. Only root's sandboxes can be parked; for all
 * others pool_start is sandbox_start.
 */
#ifndef SANDBOX_POOL_H
#define SANDBOX_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "sandbox/sandbox.h"

/* The mount is the one by which the run has it. */
struct pool_folder {
	uint64_t dev, ino, mount;
};

/* Compared as bytes: no padding. */
struct pool_key {
	uint64_t tenant;
	struct sandbox_limits limits; /* but the wall-clock limit */
	uint32_t owner; /* of the work folder */
	uint32_t group;
	uint64_t image_dev, image_ino; /* of its root directory; 0: none */
	struct pool_folder folder; /* that it is parked over; 0: any */
	uint16_t port[SANDBOX_PORTS_MAX];
	uint32_t n_listen;
	uint32_t flags;
};
_Static_assert(sizeof(struct pool_key) ==
	sizeof(struct sandbox_limits) + 64 + 2 * SANDBOX_PORTS_MAX,
    "padding");

struct pool_shape {
	struct pool_key key;
	int64_t asked_ns; /* last; 0: free */
	/* The image's root directory, which keeps its number from being
	 * another's; or -1. */
	int image_fd; /* own */
	/* With an image or over a folder, what one is built with: own; the
	 * place inside, account, home, the folder's path on the host, a NUL
	 * behind each. No file of it is held open: the folder's disk can be
	 * taken away at any time. */
	char *text;
	struct pool_folder last; /* that was asked for */
	unsigned want;
	unsigned have;
};

struct pool_parked {
	struct sandbox sb;
	struct pool_shape *shape; /* NULL: free */
};

struct pool {
	const struct sandbox_host *host;
	struct pool_shape shape[POOL_SHAPES_MAX];
	struct pool_parked parked[POOL_PARKED_MAX];
	bool used[SANDBOX_SLOTS];
	uint32_t next_slot; /* where the search for a free one starts */
	uint64_t hits, misses;
};

/* The host struct is borrowed, and sandbox_host_many was called. */
void pool_init(struct pool *p, const struct sandbox_host *host);

/* Ends what is parked. */
void pool_fini(struct pool *p);

/*
 * As sandbox_start, for a run of this tenant, but the slot is the pool's to
 * choose: give out->slot back with pool_give_slot after sandbox_fini.
 */
int pool_start(struct pool *p, uint64_t tenant, const struct sandbox_spec *spec,
    int64_t now_ns, struct sandbox *out, struct err *e);
void pool_give_slot(struct pool *p, uint32_t slot);

/*
 * One step: parks one that is missing, or ends those that nobody asked for.
 * Takes as long as building one. Returns when to call it again, or 0: not
 * before the next pool_start.
 */
int64_t pool_tend(struct pool *p, int64_t now_ns);

unsigned pool_count(const struct pool *p); /* parked now */

#endif
