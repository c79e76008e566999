/*
 * core/merkle.h: the Merkle tree of a log, RFC 6962 section 2.1.
 *
 * A leaf is SHA-256(0x00 || hash of a record in the chain), a node
 * SHA-256(0x01 || left || right). A tree that only grows is kept as the roots
 * of its full parts, largest first: one for each bit of its size.
 *
 * A proof shows that some leaves are in a tree of which only the root is
 * known: it holds the roots of the largest parts that have none of them, in
 * the order of the leaves. It has at most about log2(size) hashes for a leaf,
 * and far fewer where leaves are neighbours.
 */
#ifndef CORE_MERKLE_H
#define CORE_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

enum { MERKLE_PARTS = 64 }; /* bits of a size */

struct merkle {
	uint64_t size; /* leaves */
	struct hash part[MERKLE_PARTS]; /* as many as size has bits set */
};

struct hash merkle_leaf(const struct hash *record);
/* The number of parts, and of hashes that are used in m->part. */
size_t merkle_parts(uint64_t size);
void merkle_add(struct merkle *m, const struct hash *leaf);
/* SHA-256 of nothing for the empty tree. */
struct hash merkle_root(const struct merkle *m);

/*
 * A walk over the leaves of a tree from the first to the last, for making a
 * proof and for checking one.
 */
struct merkle_proof {
	uint64_t size;
	uint64_t next; /* the leaf that comes next */
	struct merkle tree; /* of what is before it */
	bool bad;
};

void merkle_proof_init(struct merkle_proof *p, uint64_t size);
/*
 * How many leaves the largest part has that begins at p->next, ends before
 * leaf `until` and within the tree: a power of 2 that divides next, or 0 when
 * next is until.
 */
uint64_t merkle_proof_gap(const struct merkle_proof *p, uint64_t until);
/* Adds a part of n leaves, which merkle_proof_gap gave, by its root. */
void merkle_proof_part(
    struct merkle_proof *p, uint64_t n, const struct hash *root);
/* Adds the leaf that comes next. */
void merkle_proof_leaf(struct merkle_proof *p, const struct hash *leaf);
/* Is all of the tree there, and this its root? */
bool merkle_proof_end(const struct merkle_proof *p, const struct hash *root);

#endif
