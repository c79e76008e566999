#include "core/budget.h"

#include <string.h>

#include "base/must.h"
#include "codec/json.h"

void
budget_init(struct budget *b)
{
	for (int k = 0; k < BUDGET_KINDS; k++) {
		b->limit[k] = UINT64_MAX;
		b->used[k] = 0;
	}
}

enum budget_kind
budget_charge(struct budget *b, const uint64_t cost[static BUDGET_KINDS])
{
	/* Subtract rather than add: used + cost may wrap around. What was
	 * measured (budget_reach) may lie past its limit already. */
	for (int k = 0; k < BUDGET_KINDS; k++) {
		if (b->used[k] > b->limit[k] ||
		    cost[k] > b->limit[k] - b->used[k])
			return (enum budget_kind)k;
	}
	for (int k = 0; k < BUDGET_KINDS; k++)
		b->used[k] += cost[k];
	return BUDGET_KINDS;
}

bool
budget_reach(struct budget *b, enum budget_kind k, uint64_t value)
{
	must(k < BUDGET_KINDS);
	if (value > b->used[k])
		b->used[k] = value;
	return b->used[k] <= b->limit[k];
}

/* In one place: what each kind is called, by whom. */
static const struct {
	const char *member, *cost, *reason, *used;
} names[BUDGET_KINDS] = {
	[BUDGET_RUNTIME_MS] = { "max_runtime_ms", NULL,
	    "runtime_budget_exceeded", "runtime_ms_used" },
	[BUDGET_TOOL_CALLS] = { "max_tool_calls", NULL,
	    "tool_call_budget_exceeded", "tool_calls_used" },
	[BUDGET_RETRIES] = { "max_retries_per_tool", NULL,
	    "retry_budget_exceeded", "retries_used" },
	[BUDGET_UPLOAD_BYTES] = { "max_upload_bytes", NULL,
	    "upload_budget_exceeded", "upload_bytes_used" },
	[BUDGET_MODEL_CALLS] = { "max_model_calls", "model_calls",
	    "model_call_budget_exceeded", "model_calls_used" },
	[BUDGET_MODEL_TOKENS] = { "max_model_tokens", "model_tokens",
	    "model_token_budget_exceeded", "model_tokens_used" },
	[BUDGET_COST_NUSD] = { "max_cost_usd", "usd", "cost_budget_exceeded",
	    "cost_usd_used" },
	[BUDGET_PAGES] = { "max_pages", "pages", "page_budget_exceeded",
	    "pages_used" },
	[BUDGET_DOCUMENTS] = { "max_documents", "documents",
	    "document_budget_exceeded", "documents_used" },
	[BUDGET_SUBTASKS] = { "max_subtasks", "subtasks",
	    "subtask_budget_exceeded", "subtasks_used" },
};

const char *const budget_window_words[] = { "1m", "1h", "1d", "7d", NULL };
const uint64_t budget_window_ms[] = { 60 * 1000, 3600 * 1000, 24 * 3600 * 1000,
	7 * 24 * 3600 * 1000 };

const char *
budget_member(enum budget_kind k)
{
	must(k < BUDGET_KINDS);
	return names[k].member;
}

const char *
budget_cost_member(enum budget_kind k)
{
	must(budget_is_cost(k));
	return names[k].cost;
}

const char *
budget_reason(enum budget_kind k)
{
	must(k < BUDGET_KINDS);
	return names[k].reason;
}

const char *
budget_scope_name(enum budget_scope s)
{
	must(s < BUDGET_SCOPES);
	return s == BUDGET_OF_TENANT ? "tenant" : "workflow";
}

const char *
budget_window_word(uint64_t window_ms)
{
	for (int i = 0; budget_window_words[i] != NULL; i++) {
		if (budget_window_ms[i] == window_ms)
			return budget_window_words[i];
	}
	must_fail("a window", __FILE__, __LINE__);
}

void
budget_write_stop(struct buf *out, uint64_t used, enum budget_kind k,
    const struct budget_window *w)
{
	const double nano = 1e9;
	const char *name;
	bool written = false;
	size_t begin;
	/* In the order of RFC 8785; the figure's name goes among them. */
	const struct {
		const char *name, *text;
	} members[] = {
		{ "reason", budget_reason(k) },
		{ "scope", w != NULL ? budget_scope_name(w->scope) : NULL },
		{ "status", "stopped" },
		{ "suggested_next_step",
		    w != NULL
			? "Ask user to wait for the next window, or an "
			  "operator for a larger budget."
			: "Ask user to narrow the task or request approval "
			  "for extended run." },
		{ "window",
		    w != NULL ? budget_window_word(w->window_ms) : NULL },
		{ NULL, NULL },
	};

	must(k < BUDGET_KINDS);
	name = names[k].used;
	buf_add_byte(out, '{');
	begin = out->n;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (!written &&
		    (members[i].name == NULL ||
			strcmp(name, members[i].name) < 0)) {
			written = true;
			buf_printf(
			    out, "%s\"%s\":", out->n > begin ? "," : "", name);
			json_put_num(out,
			    k == BUDGET_COST_NUSD ? (double)used / nano
						  : (double)used);
		}
		if (members[i].text == NULL)
			continue;
		buf_printf(out, "%s\"%s\":", out->n > begin ? "," : "",
		    members[i].name);
		json_put_str(out, str_of(members[i].text));
	}
	buf_add_byte(out, '}');
}
