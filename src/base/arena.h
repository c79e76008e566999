/*
 * base/arena.h: memory for one request, freed whole.
 *
 * Allocation past the limit, or past memory, returns NULL and stays failed;
 * the parser that asked says so to its caller.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *last;
	size_t used_bytes; /* given out since the last reset */
	size_t max_bytes; /* 0 means BUF_DEFAULT_MAX_BYTES */
	bool failed;
	bool wipe; /* its bytes, before they are given back: set by the owner */
};

#define own_arena __attribute__((cleanup(arena_fini)))

void arena_fini(struct arena *a);
/* Empty again; the newest block is kept for the next request. */
void arena_reset(struct arena *a);
/* Aligned to 16 bytes, zeroed. n may be 0. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy of s with a NUL behind it; NULL when failed. */
char *arena_copy(struct arena *a, struct str s);

#endif
