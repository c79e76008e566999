/*
 * init/watch.h: a bound on memory where no group of processes keeps it.
 *
 * A thread of PID 1 adds up what all processes of the sandbox hold, and ends it
 * when that is more than it may be. How long it sleeps depends on the room that
 * is left: no longer than it takes all processors to fill it, and so what is
 * taken meanwhile is small.
 *
 * Counted are anonymous memory, swapped or not, page tables, what lies in
 * /tmp and everything beside it, and for each socket and descriptor as much as
 * it can hold. Other memory there is none: FILTER_COUNTED
 * (sandbox/filter.h) refuses what could not be seen from here. What one process
 * maps privately is bounded by its own limit besides (RLIMIT_DATA).
 *
 * Pages that several processes share count once where that matters: when the
 * plain sum is over the limit; and sockets are asked then.
 */
#ifndef INIT_WATCH_H
#define INIT_WATCH_H

#include <stddef.h>
#include <stdint.h>

/* What the kernel tells of one process, from its /proc/PID/status. */
struct watch_status {
	uint64_t anon_bytes; /* in memory, and in swap */
	uint64_t tables_bytes;
	uint64_t fds; /* room for so many descriptors */
	uint64_t threads;
	uint64_t parent;
	int has_memory; /* a dead one has none; nor has a dead first thread */
	int waits; /* and cannot be woken: as after vfork */
};

/* text, n bytes and a NUL, is of any length that was read. */
void watch_status_parse(const char *text, struct watch_status *out);

/*
 * What the sockets of this network namespace hold that diag, a socket of
 * sock_diag(7), tells of; *told is how many those are.
 */
uint64_t watch_sockets(int diag, uint64_t *told);

/* Reports, and ends PID 1, when all together hold so much. 0, or -1. */
int watch_start(uint64_t limit_bytes);

#endif
