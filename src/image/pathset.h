/*
 * image/pathset.h: which paths a layer has brought.
 *
 * A whiteout removes what lower layers left, never what its own layer holds,
 * in whatever order the two stand. A path is kept as half of its SHA-256: an
 * image cannot make two of them meet, and a million take 32 MiB.
 */
#ifndef IMAGE_PATHSET_H
#define IMAGE_PATHSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct pathset_slot {
	uint64_t half[2]; /* both 0: empty */
};

struct pathset {
	struct pathset_slot *slots;
	size_t cap, n; /* cap is a power of two, or 0 */
};

#define own_pathset __attribute__((cleanup(pathset_fini)))

void pathset_fini(struct pathset *s);
/* Adds path and every directory above it. */
int pathset_add(struct pathset *s, struct str path, struct err *e);
bool pathset_has(const struct pathset *s, struct str path);

#endif
