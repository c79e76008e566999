#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker/call_int.h"

static struct tool_use *use_of(struct run *r, struct str tool);
static struct row_use *pace_of(struct run *r, const struct policy_tool *row);
static void hold_back(const struct run *r, struct verdict *v,
    const struct policy_tool *row, const char *member, const char *code,
    const char *why, int64_t wait_ns);
static const struct policy_tool *row_at(
    const struct policy_tool *t, uint32_t i);
static uint32_t rows_of(const struct policy_tool *t);

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

bool
call_pace(struct run *r, struct verdict *v)
{
	const struct policy_tool *t = v->tool;
	int64_t now = clock_mono_ns();
	bool probe = false;

	if (t == NULL || v->would == VERDICT_BLOCK)
		return false;
	for (uint32_t i = 0; i < rows_of(t); i++) {
		const struct policy_tool *row = row_at(t, i);
		struct row_use *use = pace_of(r, row);
		int64_t wait;

		if (use == NULL)
			continue;
		wait = rate_wait(&row->rate, &use->rate, now);
		if (wait > 0)
			hold_back(r, v, row, "rate", "rate_limited",
			    "the policy allows fewer calls in this time", wait);
		wait = breaker_wait(&use->breaker, now);
		if (wait > 0 && v->would != VERDICT_BLOCK)
			hold_back(r, v, row, "breaker", "breaker_open",
			    "it has failed too often just now", wait);
	}
	/* None is taken of what another one holds back. */
	for (uint32_t i = 0; i < rows_of(t) && v->would != VERDICT_BLOCK; i++) {
		const struct policy_tool *row = row_at(t, i);
		struct row_use *use = pace_of(r, row);

		if (use == NULL)
			continue;
		(void)rate_take(&row->rate, &use->rate, now);
		/* What waits for a person is not on its way to see. */
		if (v->kind == VERDICT_ALLOW || v->kind == VERDICT_SIMULATE)
			probe |=
			    breaker_begin(&row->breaker, &use->breaker, now);
	}
	return probe;
}

/* The rule speaks as those of policy_decide do, and none restricts more. */
static void
hold_back(const struct run *r, struct verdict *v, const struct policy_tool *row,
    const char *member, const char *code, const char *why, int64_t wait_ns)
{
	const int64_t second = 1000 * 1000 * 1000;
	long long seconds = (wait_ns + second - 1) / second;

	v->would = VERDICT_BLOCK;
	if (r->policy->mode == POLICY_ENFORCE)
		v->kind = VERDICT_BLOCK;
	(void)snprintf(v->rule, sizeof(v->rule), "%.*s%stools.%.*s.%s",
	    STR_FMT(row->of), row->of.n > 0 ? " " : "", STR_FMT(row->name),
	    member);
	(void)snprintf(v->code, sizeof(v->code), "%s", code);
	v->n_reasons = 1;
	(void)snprintf(v->reasons[0], sizeof(v->reasons[0]), "%s", why);
	(void)snprintf(v->next_step, sizeof(v->next_step),
	    "Wait %lld s, and call it again then if it is still needed.",
	    seconds);
}

/* NULL when the row has neither rate nor breaker. */
static struct row_use *
pace_of(struct run *r, const struct policy_tool *row)
{
	struct row_use *all;

	if (row->rate.period_ms == 0 && row->breaker.failures == 0)
		return NULL;
	for (uint32_t i = 0; i < r->n_row_uses; i++) {
		if (r->row_uses[i].row == row)
			return &r->row_uses[i];
	}
	all = realloc(r->row_uses, (r->n_row_uses + 1) * sizeof(*all));
	must(all != NULL);
	r->row_uses = all;
	all[r->n_row_uses] = (struct row_use){ .row = row };
	return &all[r->n_row_uses++];
}

/* Its own row, or those of the policy's parts. */
static const struct policy_tool *
row_at(const struct policy_tool *t, uint32_t i)
{
	return t->n_rows > 0 ? t->rows[i] : t;
}

static uint32_t
rows_of(const struct policy_tool *t)
{
	return t->n_rows > 0 ? t->n_rows : 1;
}

void
call_note_failure(struct run *r, const struct call *c)
{
	const struct policy_tool *t =
	    policy_tool_find(r->policy, str_of(c->tool));
	struct tool_use *u = use_of(r, str_of(c->tool));

	for (uint32_t i = 0; t != NULL && i < rows_of(t); i++) {
		struct row_use *use = pace_of(r, row_at(t, i));

		if (use != NULL)
			breaker_end(&row_at(t, i)->breaker, &use->breaker,
			    clock_mono_ns(), !reply_is_result(c->kind),
			    c->probe);
	}
	if (u == NULL)
		return;
	u->has_failed = !reply_is_result(c->kind);
	u->failed = c->args_hash;
	if (!u->has_failed)
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
