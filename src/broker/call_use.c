#include <stdlib.h>

#include "base/must.h"
#include "broker/call_int.h"

static struct tool_use *use_of(struct run *r, struct str tool);

bool
call_may_retry(struct run *r, const struct policy_tool *row, struct str tool,
    const struct hash *hash)
{
	uint64_t most = r->budget.limit[BUDGET_RETRIES];
	struct tool_use *use = use_of(r, tool);

	if (row != NULL && row->retries != UINT32_MAX && row->retries < most)
		most = row->retries;
	if (use == NULL || !use->has_failed || !hash_eq(&use->failed, hash))
		return true;
	use->retries++;
	if (use->retries > r->budget.used[BUDGET_RETRIES] &&
	    use->retries <= most)
		r->budget.used[BUDGET_RETRIES] = use->retries;
	return use->retries <= most;
}

void
call_note_failure(struct run *r, const struct call *c)
{
	struct tool_use *u = use_of(r, str_of(c->tool));

	if (u == NULL)
		return;
	u->has_failed = c->kind != REPLY_OK;
	u->failed = c->args_hash;
	if (c->kind == REPLY_OK)
		u->retries = 0;
}

/* NULL when the run has used more tools than are counted. */
static struct tool_use *
use_of(struct run *r, struct str tool)
{
	struct tool_use *u;

	for (uint32_t i = 0; i < r->n_uses; i++) {
		if (str_eq_c(tool, r->uses[i].name))
			return &r->uses[i];
	}
	if (r->n_uses == TOOLS_USED_MAX)
		return NULL;
	u = realloc(r->uses, (r->n_uses + 1) * sizeof(*u));
	must(u != NULL);
	r->uses = u;
	u = &r->uses[r->n_uses++];
	*u = (struct tool_use){};
	must(str_copy(tool, u->name, sizeof(u->name)) == 0);
	return u;
}
