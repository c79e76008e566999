/*
 * "budgets", and "costs": what calls and requests take of them. What is not
 * known before is taken at its most, and settled by what the result says.
 */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "core/json_path.h"
#include "core/policy_int.h"

static void parse_limits(
    struct reader *r, const struct spot *s, uint64_t *limit);
static void parse_windows(struct reader *r, const struct spot *budgets);
static void parse_window(struct reader *r, const struct spot *budgets,
    enum budget_scope scope, struct budget_window *out, uint32_t *n);
static void parse_approval(struct reader *r, const struct spot *budgets);
static bool parse_cost(struct reader *r, const struct spot *costs,
    enum budget_kind k, bool has_result, struct policy_cost *out);
static bool read_usd(
    struct reader *r, const struct spot *o, const char *name, uint64_t *nusd);

static const struct range costs[BUDGET_KINDS] = {
	[BUDGET_MODEL_CALLS] = { 0, POLICY_COST_MAX, "calls" },
	[BUDGET_MODEL_TOKENS] = { 0, POLICY_COST_MAX, "tokens" },
	[BUDGET_PAGES] = { 0, POLICY_COST_MAX, "pages" },
	[BUDGET_DOCUMENTS] = { 0, POLICY_COST_MAX, "documents" },
	[BUDGET_SUBTASKS] = { 0, POLICY_COST_MAX, "subtasks" },
};

void
policy_parse_budgets(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "max_runtime_ms", "max_tool_calls",
		"max_retries_per_tool", "max_upload_bytes", "max_model_calls",
		"max_model_tokens", "max_cost_usd", "max_pages",
		"max_documents", "max_subtasks", "per_tenant", "per_workflow",
		"on_exceed", "approval", NULL };
	static const char *const later[] = { NULL };
	static const char *const words[] = { "stop", "approve", NULL };
	uint64_t *limit = r->p->budgets.limit;
	uint32_t word = 0;
	struct spot budgets;

	r->p->budget_approval = policy_approval_find(r->p, STR("default"));
	if (!read_member(root, "budgets", &budgets) ||
	    !read_object(r, &budgets))
		return;
	read_known(r, &budgets, known, later, NOT_YET);
	(void)read_whole(r, &budgets, "max_runtime_ms",
	    (struct range){ 1, POLICY_RUN_MAX_MS, "milliseconds" },
	    &limit[BUDGET_RUNTIME_MS]);
	(void)read_whole(r, &budgets, "max_tool_calls",
	    (struct range){ 1, POLICY_CALLS_MAX, "calls" },
	    &limit[BUDGET_TOOL_CALLS]);
	(void)read_whole(r, &budgets, "max_retries_per_tool",
	    (struct range){ 0, POLICY_RETRIES_MAX, "retries" },
	    &limit[BUDGET_RETRIES]);
	(void)read_whole(r, &budgets, "max_upload_bytes",
	    (struct range){ 0, EGRESS_BODY_MAX_BYTES, "bytes" },
	    &limit[BUDGET_UPLOAD_BYTES]);
	parse_limits(r, &budgets, limit);
	(void)read_word(r, &budgets, "on_exceed", words, &word);
	r->p->extends_budgets = word == 1;
	parse_approval(r, &budgets);
	parse_windows(r, &budgets);
}

/* Those of what `costs` name. */
static void
parse_limits(struct reader *r, const struct spot *s, uint64_t *limit)
{
	for (int k = BUDGET_MODEL_CALLS; k < BUDGET_KINDS; k++) {
		const char *member = budget_member((enum budget_kind)k);

		if (k == BUDGET_COST_NUSD)
			(void)read_usd(r, s, member, &limit[k]);
		else
			(void)read_whole(r, s, member, costs[k], &limit[k]);
	}
}

static void
parse_approval(struct reader *r, const struct spot *budgets)
{
	struct str name;
	struct spot at;

	if (!read_name(r, budgets, "approval", &name) ||
	    !read_member(budgets, "approval", &at))
		return;
	if (!r->p->extends_budgets)
		problem(
		    r, &at, "does nothing without `on_exceed`: \"approve\"");
	r->p->budget_approval = policy_approval_find(r->p, name);
	if (r->p->budget_approval == NULL)
		problem(r, &at,
		    "there is no approval \"%.*s\"; describe it in "
		    "`approvals`",
		    STR_FMT(name));
}

static void
parse_windows(struct reader *r, const struct spot *budgets)
{
	struct budget_window *rows =
	    arena_alloc(&r->p->arena, BUDGET_SCOPES * sizeof(*rows));
	uint32_t n = 0;

	if (rows == NULL)
		return;
	parse_window(r, budgets, BUDGET_OF_TENANT, rows, &n);
	parse_window(r, budgets, BUDGET_OF_WORKFLOW, rows, &n);
	r->p->windows = rows;
	r->p->n_windows = n;
}

static void
parse_window(struct reader *r, const struct spot *budgets,
    enum budget_scope scope, struct budget_window *rows, uint32_t *n)
{
	static const char *const known[] = { "window", "max_tool_calls",
		"max_upload_bytes", "max_model_calls", "max_model_tokens",
		"max_cost_usd", "max_pages", "max_documents", "max_subtasks",
		NULL };
	static const char *const later[] = { NULL };
	struct budget_window *w = &rows[*n];
	uint32_t word = 0;
	struct spot s;

	if (!read_member(budgets,
		scope == BUDGET_OF_TENANT ? "per_tenant" : "per_workflow",
		&s) ||
	    !read_object(r, &s))
		return;
	read_known(r, &s, known, later, NOT_YET);
	if (!read_word(r, &s, "window", budget_window_words, &word) &&
	    json_get(s.v, STR("window")) == NULL)
		read_missing(r, &s, "window", "1m, 1h, 1d or 7d");
	w->scope = scope;
	w->window_ms = budget_window_ms[word];
	for (int k = 0; k < BUDGET_KINDS; k++)
		w->limit[k] = UINT64_MAX;
	(void)read_whole(r, &s, "max_tool_calls",
	    (struct range){ 0, POLICY_COST_MAX, "calls" },
	    &w->limit[BUDGET_TOOL_CALLS]);
	(void)read_whole(r, &s, "max_upload_bytes",
	    (struct range){ 0, POLICY_COST_MAX, "bytes" },
	    &w->limit[BUDGET_UPLOAD_BYTES]);
	parse_limits(r, &s, w->limit);
	(*n)++;
}

const struct policy_cost *
policy_parse_costs(struct reader *r, const struct spot *s, bool has_result)
{
	static const char *const known[] = { "model_calls", "model_tokens",
		"usd", "pages", "documents", "subtasks", NULL };
	static const char *const later[] = { NULL };
	struct policy_cost *out;
	struct spot at;

	if (!read_member(s, "costs", &at) || !read_object(r, &at))
		return NULL;
	read_known(r, &at, known, later, NOT_YET);
	out = arena_alloc(&r->p->arena, BUDGET_KINDS * sizeof(*out));
	if (out == NULL)
		return NULL;
	for (int k = 0; k < BUDGET_KINDS; k++)
		out[k] = (struct policy_cost){};
	for (int k = BUDGET_MODEL_CALLS; k < BUDGET_KINDS; k++)
		(void)parse_cost(
		    r, &at, (enum budget_kind)k, has_result, &out[k]);
	return out;
}

/* A figure, or { "at": "$.usage.total", "most": 4000 }. */
static bool
parse_cost(struct reader *r, const struct spot *all, enum budget_kind k,
    bool has_result, struct policy_cost *out)
{
	static const char *const known[] = { "at", "most", NULL };
	static const char *const later[] = { NULL };
	const char *name = budget_cost_member(k);
	const struct spot *in = all;
	struct spot s, any;

	if (!read_member(all, name, &s))
		return false;
	if (json_is(s.v, JSON_OBJECT)) {
		read_known(r, &s, known, later, NOT_YET);
		if (!has_result)
			problem(r, &s,
			    "must be a number: nobody reads a figure out of "
			    "an answer here");
		if (!read_member(&s, "most", &any))
			read_missing(
			    r, &s, "most", "so much is taken before the call");
		if (!read_entry(r, &s, "at", ENTRY_PATH, &out->at) &&
		    json_get(s.v, STR("at")) == NULL)
			read_missing(r, &s, "at",
			    "where the result says how much it was");
		in = &s;
		name = "most";
	}
	return k == BUDGET_COST_NUSD
	    ? read_usd(r, in, name, &out->most)
	    : read_whole(r, in, name, costs[k], &out->most);
}

static bool
read_usd(
    struct reader *r, const struct spot *o, const char *name, uint64_t *nusd)
{
	char shown[SHOWN_BYTES];
	struct spot s;

	if (!read_member(o, name, &s))
		return false;
	/* Compared so that no number can overflow. */
	if (!json_is(s.v, JSON_NUMBER) || !(s.v->num >= 0) ||
	    s.v->num > POLICY_COST_MAX_USD) {
		value_show(s.v, shown);
		problem(r, &s, "must be a number from 0 to %d dollars, not %s",
		    POLICY_COST_MAX_USD, shown);
		return false;
	}
	*nusd = (uint64_t)llround(s.v->num * 1e9);
	return true;
}

const struct policy_cost *
policy_costs_both(struct arena *arena, const struct policy_cost *a,
    const struct policy_cost *b)
{
	struct policy_cost *c;

	if (a == NULL || b == NULL || a == b)
		return a != NULL ? a : b;
	c = arena_alloc(arena, BUDGET_KINDS * sizeof(*c));
	for (int k = 0; c != NULL && k < BUDGET_KINDS; k++) {
		/* What is taken for good is more than what is settled. */
		c[k] = a[k];
		if (b[k].most > a[k].most ||
		    (b[k].most == a[k].most && b[k].at.n == 0))
			c[k] = b[k];
	}
	return c;
}

void
policy_budgets_merge(struct policy *m, const struct policy_parts *x)
{
	struct budget_window *rows = arena_alloc(
	    &m->arena, (size_t)x->n * BUDGET_SCOPES * sizeof(*rows));
	bool said = false;

	m->budget_approval = policy_approval_find(m, STR("default"));
	for (uint32_t i = 0; rows != NULL && i < x->n; i++) {
		const struct policy_part *part = &x->part[i];
		const struct policy *p = part->r.p;

		for (uint32_t k = 0; k < p->n_windows; k++)
			rows[m->n_windows++] = p->windows[k];
		if (part->extends &&
		    json_at(part->root.v, "budgets", "on_exceed", NULL) == NULL)
			continue;
		/* Who asks is as strict as all that say who. */
		m->budget_approval = said
		    ? policy_approval_both(
			  &m->arena, m->budget_approval, p->budget_approval)
		    : p->budget_approval;
		said = true;
	}
	m->windows = rows;
}
