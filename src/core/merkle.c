#include "core/merkle.h"

#include "base/must.h"

static struct hash node(const struct hash *left, const struct hash *right);
static void add_part(struct merkle *m, uint64_t n, const struct hash *root);

struct hash
merkle_leaf(const struct hash *record)
{
	static const char mark = 0x00;
	const struct str pieces[] = { { &mark, 1 },
		{ (const char *)record->b, HASH_BYTES } };

	return hash_of_pieces(pieces, 2);
}

size_t
merkle_parts(uint64_t size)
{
	return (size_t)__builtin_popcountll(size);
}

void
merkle_add(struct merkle *m, const struct hash *leaf)
{
	add_part(m, 1, leaf);
}

struct hash
merkle_root(const struct merkle *m)
{
	size_t n = merkle_parts(m->size);
	struct hash root;

	if (n == 0)
		return hash_of("", 0);
	root = m->part[n - 1];
	for (size_t i = n - 1; i > 0; i--)
		root = node(&m->part[i - 1], &root);
	return root;
}

void
merkle_proof_init(struct merkle_proof *p, uint64_t size)
{
	*p = (struct merkle_proof){ .size = size };
}

uint64_t
merkle_proof_gap(const struct merkle_proof *p, uint64_t until)
{
	uint64_t most, n;

	if (until > p->size)
		until = p->size;
	if (p->next >= until)
		return 0;
	most = until - p->next;
	n = p->next == 0 ? (uint64_t)1 << 63 : p->next & -p->next;
	while (n > most)
		n >>= 1;
	return n;
}

void
merkle_proof_part(struct merkle_proof *p, uint64_t n, const struct hash *root)
{
	if (n == 0 || n > merkle_proof_gap(p, p->size)) {
		p->bad = true;
		return;
	}
	add_part(&p->tree, n, root);
	p->next += n;
}

void
merkle_proof_leaf(struct merkle_proof *p, const struct hash *leaf)
{
	merkle_proof_part(p, 1, leaf);
}

bool
merkle_proof_end(const struct merkle_proof *p, const struct hash *root)
{
	struct hash own = merkle_root(&p->tree);

	return !p->bad && p->next == p->size && hash_eq(&own, root);
}

static struct hash
node(const struct hash *left, const struct hash *right)
{
	static const char mark = 0x01;
	const struct str pieces[] = { { &mark, 1 },
		{ (const char *)left->b, HASH_BYTES },
		{ (const char *)right->b, HASH_BYTES } };

	return hash_of_pieces(pieces, 3);
}

/* n is a power of 2 that divides the size: the part is joined as a carry. */
static void
add_part(struct merkle *m, uint64_t n, const struct hash *root)
{
	size_t at = merkle_parts(m->size);
	struct hash h = *root;

	must(n > 0 && (n & (n - 1)) == 0 && (m->size & (n - 1)) == 0);
	for (uint64_t bit = n; (m->size & bit) != 0; bit <<= 1)
		h = node(&m->part[--at], &h);
	m->part[at] = h;
	m->size += n;
}
