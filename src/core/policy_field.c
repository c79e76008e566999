/*
 * The members of a document that are one number, or a word or flag that is
 * kept as one, and which way each is tighter. Whoever compares two policies
 * goes by this table: what extends tightens, and what `policy diff` tells.
 */
#include <stddef.h>
#include <string.h>

#include "base/must.h"
#include "core/policy_int.h"

#define PLACE(member) \
	offsetof(struct policy, member), sizeof(((struct policy *)NULL)->member)
#define LIMIT(kind) PLACE(budgets.limit[kind])

const struct policy_field policy_fields[] = {
	{ { "stage" }, PLACE(stage), TIGHTER_LESS },
	/* enforce, shadow, record */
	{ { "mode" }, PLACE(mode), TIGHTER_LESS },
	{ { "defaults", "by_risk", "read" }, PLACE(by_risk[RISK_READ]),
	    TIGHTER_MORE },
	{ { "defaults", "by_risk", "draft" }, PLACE(by_risk[RISK_DRAFT]),
	    TIGHTER_MORE },
	{ { "defaults", "by_risk", "internal_write" },
	    PLACE(by_risk[RISK_INTERNAL_WRITE]), TIGHTER_MORE },
	{ { "defaults", "by_risk", "external_write" },
	    PLACE(by_risk[RISK_EXTERNAL_WRITE]), TIGHTER_MORE },
	{ { "defaults", "by_risk", "destructive" },
	    PLACE(by_risk[RISK_DESTRUCTIVE]), TIGHTER_MORE },
	{ { "defaults", "untrusted_destination" }, PLACE(untrusted_destination),
	    TIGHTER_MORE },
	{ { "budgets", "max_runtime_ms" }, LIMIT(BUDGET_RUNTIME_MS),
	    TIGHTER_LESS },
	{ { "budgets", "max_tool_calls" }, LIMIT(BUDGET_TOOL_CALLS),
	    TIGHTER_LESS },
	{ { "budgets", "max_retries_per_tool" }, LIMIT(BUDGET_RETRIES),
	    TIGHTER_LESS },
	{ { "budgets", "max_upload_bytes" }, LIMIT(BUDGET_UPLOAD_BYTES),
	    TIGHTER_LESS },
	{ { "budgets", "max_model_calls" }, LIMIT(BUDGET_MODEL_CALLS),
	    TIGHTER_LESS },
	{ { "budgets", "max_model_tokens" }, LIMIT(BUDGET_MODEL_TOKENS),
	    TIGHTER_LESS },
	{ { "budgets", "max_cost_usd" }, LIMIT(BUDGET_COST_NUSD),
	    TIGHTER_LESS },
	{ { "budgets", "max_pages" }, LIMIT(BUDGET_PAGES), TIGHTER_LESS },
	{ { "budgets", "max_documents" }, LIMIT(BUDGET_DOCUMENTS),
	    TIGHTER_LESS },
	/* stop, approve */
	{ { "budgets", "on_exceed" }, PLACE(extends_budgets), TIGHTER_LESS },
	{ { "budgets", "max_subtasks" }, LIMIT(BUDGET_SUBTASKS), TIGHTER_LESS },
	{ { "sandbox", "cpu" }, PLACE(sandbox.cpu_milli), TIGHTER_LESS },
	{ { "sandbox", "cpu_weight" }, PLACE(sandbox.cpu_weight),
	    TIGHTER_LESS },
	{ { "sandbox", "io_mb_per_s" }, PLACE(sandbox.io_bytes_per_s),
	    TIGHTER_LIMIT },
	{ { "sandbox", "memory_mb" }, PLACE(sandbox.memory_bytes),
	    TIGHTER_LESS },
	{ { "sandbox", "disk_mb" }, PLACE(sandbox.disk_bytes), TIGHTER_LESS },
	{ { "sandbox", "pids" }, PLACE(sandbox.pids), TIGHTER_LESS },
	{ { "sandbox", "inodes" }, PLACE(sandbox.inodes), TIGHTER_LESS },
	{ { "sandbox", "open_files" }, PLACE(sandbox.open_files),
	    TIGHTER_LESS },
	{ { "sandbox", "wall_ms" }, PLACE(sandbox.wall_ms), TIGHTER_LESS },
	{ { "sandbox", "output_mb" }, PLACE(sandbox.output_bytes),
	    TIGHTER_LIMIT },
	{ { "sandbox", "limits" }, PLACE(sandbox.limits_required),
	    TIGHTER_MORE },
	{ { "sandbox", "user" }, PLACE(sandbox.user_root), TIGHTER_LESS },
	{ { "sandbox", "explain" }, PLACE(sandbox.explain), TIGHTER_MORE },
	{ { "sandbox", "protect", "mode" }, PLACE(sandbox.protect_flag),
	    TIGHTER_LESS },
	{ { "egress", "max_connections" }, PLACE(egress_connections),
	    TIGHTER_LESS },
	{ { "egress", "max_connections_per_s" },
	    PLACE(egress_connections_per_s), TIGHTER_LESS },
};
const uint32_t policy_n_fields =
    sizeof(policy_fields) / sizeof(policy_fields[0]);

uint64_t
policy_field_get(const struct policy *p, const struct policy_field *f)
{
	const char *at = (const char *)p + f->offset;
	uint64_t wide;
	uint32_t half;

	if (f->width == sizeof(bool))
		return *(const bool *)at ? 1 : 0;
	if (f->width == sizeof(half)) {
		memcpy(&half, at, sizeof(half));
		return half;
	}
	must(f->width == sizeof(wide));
	memcpy(&wide, at, sizeof(wide));
	return wide;
}

void
policy_field_set(struct policy *p, const struct policy_field *f, uint64_t v)
{
	char *at = (char *)p + f->offset;
	uint32_t half = (uint32_t)v;

	if (f->width == sizeof(bool)) {
		*(bool *)at = v != 0;
	} else if (f->width == sizeof(half)) {
		memcpy(at, &half, sizeof(half));
	} else {
		must(f->width == sizeof(v));
		memcpy(at, &v, sizeof(v));
	}
}

const struct json *
policy_field_written(const struct json *document, const struct policy_field *f)
{
	const struct json *v = document;

	for (int i = 0; i < 3 && f->path[i] != NULL; i++)
		v = json_get(v, str_of(f->path[i]));
	return v;
}

bool
policy_field_looser(const struct policy_field *f, uint64_t a, uint64_t b)
{
	switch (f->tighter) {
	case TIGHTER_LESS:
		return a > b;
	case TIGHTER_MORE:
		return a < b;
	case TIGHTER_LIMIT:
		/* 0 - 1 is the largest number there is. */
		return a - 1 > b - 1;
	}
	must_fail("a field", __FILE__, __LINE__);
}
