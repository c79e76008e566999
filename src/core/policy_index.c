/*
 * From a tool's name to its row: a table for names (open addressing, at most
 * half full, built once), then the patterns one by one. Nobody but the
 * policy's author chooses what is in the table, so a plain hash will do.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "core/policy_int.h"

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
		/* Insertion: longest first, and of one length as written. */
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
	uint32_t at;

	/* No row is for a name that no policy could write. */
	if (entry_fault(ENTRY_NAME, tool) != NULL)
		return NULL;
	at = name_hash(tool) & p->index_mask;
	for (; p->index[at] != 0; at = (at + 1) & p->index_mask) {
		const struct policy_tool *t = &p->tools[p->index[at] - 1];

		if (str_eq(t->name, tool))
			return t;
	}
	for (uint32_t i = 0; i < p->n_globs; i++) {
		const struct policy_tool *t = &p->tools[p->globs[i]];
		char first = t->name.p[0];

		if ((first == tool.p[0] || first == '*') &&
		    str_glob(t->name, tool))
			return t;
	}
	return NULL;
}

/* FNV-1a. */
static uint32_t
name_hash(struct str name)
{
	uint32_t h = UINT32_C(2166136261);

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * UINT32_C(16777619);
	return h;
}

static bool
before(struct str a, struct str b)
{
	return a.n > b.n;
}

static bool
is_glob(struct str name)
{
	return str_find(name, '*') < name.n;
}
