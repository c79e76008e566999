/*
 * sys/locked.h: memory for secrets: never swapped, never in a core dump, not
 * inherited by a fork, and wiped before it is given back.
 */
#ifndef SYS_LOCKED_H
#define SYS_LOCKED_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/* Taken from the front, given back whole. All zero is empty. */
struct locked {
	char *p;
	size_t n; /* bytes in use */
	size_t cap;
};

#define own_locked __attribute__((cleanup(locked_fini)))

/* Room for cap bytes, rounded up to pages. -1: nothing is held. */
int locked_init(struct locked *l, size_t cap, struct err *e);
void locked_fini(struct locked *l);
/* n zeroed bytes, aligned to 16; NULL when there is no room. */
void *locked_alloc(struct locked *l, size_t n);
/* A copy of s with a NUL behind it; p is NULL when there is no room. */
struct str locked_copy(struct locked *l, struct str s);

#endif
