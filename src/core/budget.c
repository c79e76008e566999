#include "core/budget.h"

#include "base/must.h"
#include "codec/json.h"

static const char *used_name(enum budget_kind k);

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

const char *
budget_reason(enum budget_kind k)
{
	switch (k) {
	case BUDGET_RUNTIME_MS:
		return "runtime_budget_exceeded";
	case BUDGET_TOOL_CALLS:
		return "tool_call_budget_exceeded";
	case BUDGET_RETRIES:
		return "retry_budget_exceeded";
	case BUDGET_UPLOAD_BYTES:
		return "upload_budget_exceeded";
	case BUDGET_KINDS:
		break;
	}
	must_fail("a kind of budget", __FILE__, __LINE__);
}

void
budget_write_stop(struct buf *out, const struct budget *b, enum budget_kind k)
{
	/* Where the name of what was used stands among the others, which are
	 * in the order of RFC 8785. */
	bool before_status = k != BUDGET_TOOL_CALLS && k != BUDGET_UPLOAD_BYTES;

	buf_add_c(out, "{\"reason\":");
	json_put_str(out, str_of(budget_reason(k)));
	if (before_status)
		buf_printf(out, ",\"%s\":%llu", used_name(k),
		    (unsigned long long)b->used[k]);
	buf_add_c(out,
	    ",\"status\":\"stopped\",\"suggested_next_step\":"
	    "\"Ask user to narrow the task or request approval for extended "
	    "run.\"");
	if (!before_status)
		buf_printf(out, ",\"%s\":%llu", used_name(k),
		    (unsigned long long)b->used[k]);
	buf_add_c(out, "}");
}

static const char *
used_name(enum budget_kind k)
{
	switch (k) {
	case BUDGET_RUNTIME_MS:
		return "runtime_ms_used";
	case BUDGET_TOOL_CALLS:
		return "tool_calls_used";
	case BUDGET_RETRIES:
		return "retries_used";
	case BUDGET_UPLOAD_BYTES:
		return "upload_bytes_used";
	case BUDGET_KINDS:
		break;
	}
	must_fail("a kind of budget", __FILE__, __LINE__);
}
