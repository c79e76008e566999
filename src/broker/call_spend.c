#include <stdio.h>

#include "broker/approval.h"
#include "broker/call_int.h"
#include "broker/export.h"

static bool ask_for_more(struct run *r, struct str tool, struct verdict *v,
    const struct over *over, const uint64_t cost[static BUDGET_KINDS]);

bool
call_runs(const struct verdict *v)
{
	return v->kind == VERDICT_ALLOW || v->kind == VERDICT_SIMULATE;
}

bool
call_afford(struct run *r, struct str tool, struct verdict *v, bool fits,
    struct over *over, enum budget_kind *extends)
{
	uint64_t cost[BUDGET_KINDS];

	/* What waits for a person is taken with his yes. */
	if (fits &&
	    (!call_runs(v) || v->tool == NULL || v->tool->costs == NULL))
		return true;
	spend_cost(v->tool != NULL ? v->tool->costs : NULL, fits ? 0 : 1, cost);
	if (fits && spend_take(r, cost, over))
		return true;
	if (!ask_for_more(r, tool, v, over, cost))
		return false;
	*extends = over->kind;
	return true;
}

/* Makes the verdict one that asks. False: nobody may be asked. */
static bool
ask_for_more(struct run *r, struct str tool, struct verdict *v,
    const struct over *over, const uint64_t cost[static BUDGET_KINDS])
{
	/* What would not be done anyway is no reason to ask anybody. */
	if ((!call_runs(v) && v->kind != VERDICT_APPROVE) || v->tool == NULL ||
	    export_is(tool) || !spend_may_ask(r, over, cost))
		return false;
	if (call_runs(v)) {
		v->approved = v->kind;
		v->n_reasons = 0;
	}
	v->kind = VERDICT_APPROVE;
	spend_rule(over, v->rule);
	(void)snprintf(
	    v->code, sizeof(v->code), "%s", budget_reason(over->kind));
	if (v->n_reasons < sizeof(v->reasons) / sizeof(v->reasons[0]))
		v->n_reasons++;
	for (uint32_t i = v->n_reasons - 1; i > 0; i--)
		(void)snprintf(v->reasons[i], sizeof(v->reasons[i]), "%s",
		    v->reasons[i - 1]);
	(void)snprintf(v->reasons[0], sizeof(v->reasons[0]),
	    "%s is used up; a yes gives the run as much again",
	    budget_member(over->kind));
	return true;
}

bool
call_afford_approved(struct run *r, const struct approval *a, struct over *over)
{
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(a->tool));
	uint64_t cost[BUDGET_KINDS];

	spend_cost(row != NULL ? row->costs : NULL,
	    a->extends == BUDGET_TOOL_CALLS ? 1 : 0, cost);
	if (spend_take(r, cost, over))
		return true;
	/* One yes is for one extension, and for what it was asked for. */
	return over->window == NULL && over->kind == a->extends &&
	    spend_extend(r, a->extends, a->id, a->step) &&
	    spend_take(r, cost, over);
}

void
call_settle(struct run *r, const struct call *c, const struct policy_tool *row,
    struct buf *out)
{
	own_arena struct arena arena = {};
	struct err e = {};
	const struct json *result = NULL;

	if (!c->charged || row == NULL || row->costs == NULL)
		return;
	if (c->not_begun) {
		spend_undo(r, row->costs);
		return;
	}
	if (c->kind == REPLY_OK || c->kind == REPLY_CONTENT)
		result =
		    json_parse(buf_str(&c->result), NULL, &arena, &e, NULL);
	buf_add_c(out, "{\"costs\":");
	spend_settle(r, row->costs, result, out);
	buf_add_byte(out, '}');
}
