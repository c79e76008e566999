/*
 * From a tool's name to its row: a table for names (open addressing, at most
 * half full, built once), then the patterns one by one. Nobody but the
 * policy's author chooses what is in the table, so a plain hash will do.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

static const struct policy_tool *glob_find(
    const struct policy *p, struct str tool);
static const struct policy_tool *parts_find(
    const struct policy *p, struct str tool);
static uint32_t rows_hash(const struct policy_tool *const *rows, uint32_t n);
static uint32_t name_hash(struct str name);
static bool before(struct str a, struct str b);
static bool is_glob(struct str name);

void
policy_index(struct policy *p)
{
	uint32_t size = 4, *index, *globs;

	while (size < 2 * p->n_tools)
		size *= 2;
	index = arena_alloc(&p->arena, size * sizeof(*index));
	globs = arena_alloc(&p->arena, p->n_tools * sizeof(*globs));
	if (index == NULL || globs == NULL)
		return;
	p->index_mask = size - 1;
	for (uint32_t i = 0; i < p->n_tools; i++) {
		struct str name = p->tools[i].name;
		uint32_t at;

		if (!is_glob(name)) {
			at = name_hash(name) & p->index_mask;
			while (index[at] != 0)
				at = (at + 1) & p->index_mask;
			index[at] = i + 1;
			continue;
		}
		/* Insertion: longest first, and of one length by text. */
		at = p->n_globs++;
		while (at > 0 && before(name, p->tools[globs[at - 1]].name)) {
			globs[at] = globs[at - 1];
			at--;
		}
		globs[at] = i;
	}
	p->index = index;
	p->globs = globs;
}

const struct policy_tool *
policy_tool_find(const struct policy *p, struct str tool)
{
	/* No row is for a name that no policy could write. */
	if (entry_fault(ENTRY_NAME, tool) != NULL)
		return NULL;
	if (p->n_parts > 0)
		return parts_find(p, tool);
	return policy_row_find(p, tool);
}

const struct policy_tool *
policy_row_find(const struct policy *p, struct str tool)
{
	uint32_t at = name_hash(tool) & p->index_mask;

	for (; p->index[at] != 0; at = (at + 1) & p->index_mask) {
		const struct policy_tool *t = &p->tools[p->index[at] - 1];

		if (str_eq(t->name, tool))
			return t;
	}
	return glob_find(p, tool);
}

static const struct policy_tool *
glob_find(const struct policy *p, struct str tool)
{
	for (uint32_t i = 0; i < p->n_globs; i++) {
		const struct policy_tool *t = &p->tools[p->globs[i]];
		char first = t->name.p[0];

		if ((first == tool.p[0] || first == '*') &&
		    str_glob(t->name, tool))
			return t;
	}
	return NULL;
}

void
policy_rows_index(struct policy *p)
{
	uint32_t size = 4, *index;

	while (size < 2 * p->n_tools)
		size *= 2;
	index = arena_alloc(&p->arena, size * sizeof(*index));
	if (index == NULL)
		return;
	p->row_mask = size - 1;
	for (uint32_t i = 0; i < p->n_tools; i++) {
		const struct policy_tool *t = &p->tools[i];
		uint32_t at = rows_hash(t->rows, t->n_rows) & p->row_mask;

		while (index[at] != 0)
			at = (at + 1) & p->row_mask;
		index[at] = i + 1;
	}
	p->row_index = index;
}

/* The row that was made of what each part says about this tool. */
static const struct policy_tool *
parts_find(const struct policy *p, struct str tool)
{
	const struct policy_tool *rows[POLICY_PARTS_MAX];
	uint32_t n = 0, at;

	for (uint32_t i = 0; i < p->n_parts; i++) {
		const struct policy_tool *t =
		    policy_row_find(p->parts[i], tool);

		if (t != NULL)
			rows[n++] = t;
	}
	at = rows_hash(rows, n) & p->row_mask;
	for (; p->row_index[at] != 0; at = (at + 1) & p->row_mask) {
		const struct policy_tool *t = &p->tools[p->row_index[at] - 1];

		if (t->n_rows == n &&
		    memcmp(t->rows, rows, n * sizeof(struct policy_tool *)) ==
			0)
			return t;
	}
	return NULL;
}

/* Over the rows' names, which differ where the rows do. */
static uint32_t
rows_hash(const struct policy_tool *const *rows, uint32_t n)
{
	uint32_t h = n;

	for (uint32_t i = 0; i < n; i++)
		h = h * UINT32_C(16777619) ^ name_hash(rows[i]->name);
	return h;
}

/* Eight bytes at a time; the last eight may overlap those before. */
static uint32_t
name_hash(struct str name)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / phi */
	uint64_t h = name.n * odd, word = 0;

	for (size_t i = 0; i + sizeof(word) < name.n; i += sizeof(word)) {
		memcpy(&word, name.p + i, sizeof(word));
		h = (h ^ word) * odd;
		h ^= h >> 32;
	}
	if (name.n >= sizeof(word)) {
		memcpy(&word, name.p + name.n - sizeof(word), sizeof(word));
	} else {
		for (size_t i = 0; i < name.n; i++)
			word = word << 8 | (unsigned char)name.p[i];
	}
	h = (h ^ word) * odd;
	return (uint32_t)(h >> 32);
}

/* Not as they are written: the canonical form has another order. */
static bool
before(struct str a, struct str b)
{
	return a.n != b.n ? a.n > b.n : memcmp(a.p, b.p, a.n) < 0;
}

static bool
is_glob(struct str name)
{
	return str_find(name, '*') < name.n;
}
