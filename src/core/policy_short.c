/*
 * The short form: five members. It has no identity, stage or scopes of its
 * own: what it says about a tool holds as written (stage 5), and the run holds
 * the scopes that its tools need.
 */
#include "base/limits.h"
#include "core/policy_int.h"

static void know(struct reader *r, const struct spot *root);
static void hold_scopes(struct reader *r, const struct spot *root);

void
policy_parse_short(struct reader *r, const struct spot *root)
{
	struct policy *p = r->p;
	uint64_t seconds;

	know(r, root);
	p->version_name = STR("0");
	p->stage = 5;
	p->mode = POLICY_ENFORCE;
	p->tenant_written =
	    read_name(r, root, "tenant_id", &p->identity.tenant);
	if (read_whole(r, root, "max_runtime_seconds",
		(struct range){ 1, POLICY_RUN_MAX_MS / 1000, "seconds" },
		&seconds))
		p->budgets.limit[BUDGET_RUNTIME_MS] = seconds * 1000;
	(void)read_whole(r, root, "max_tool_calls",
	    (struct range){ 1, POLICY_CALLS_MAX, "calls" },
	    &p->budgets.limit[BUDGET_TOOL_CALLS]);
	policy_parse_sandbox(r, root); /* for its defaults */
	policy_parse_approvals(r, root);
	policy_parse_tools(r, root);
	p->budget_approval = policy_approval_find(p, STR("default"));
	hold_scopes(r, root);
}

/* Members of the full form get their own remedy. */
static void
know(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "workflow", "tenant_id",
		"max_runtime_seconds", "max_tool_calls", "tools", NULL };
	static const char *const full[] = { "version", "tenant", "actor",
		"roles", "attributes", "scopes", "stage", "mode", "defaults",
		"flow", "budgets", "sandbox", "egress", "approvals", "extends",
		"secrets", "models", "faults", "data", "shadow", NULL };

	read_known(r, root, known, full,
	    "belongs to the full form: add \"policy\": 1");
}

static void
hold_scopes(struct reader *r, const struct spot *root)
{
	struct identity *id = &r->p->identity;

	for (uint32_t i = 0; i < r->p->n_tools; i++) {
		const struct policy_tool *t = &r->p->tools[i];

		for (uint32_t k = 0; k < t->n_scopes; k++) {
			if (identity_has_scope(id, t->scopes[k]))
				continue;
			if (id->n_scopes == SCOPES_MAX) {
				problem(r, root,
				    "the tools need more than %d different "
				    "scopes; write the full form",
				    SCOPES_MAX);
				return;
			}
			id->scopes[id->n_scopes++] = t->scopes[k];
		}
	}
}
