/*
 * The first byte chooses: bit 0 YAML, the rest is a document.
 *
 * Holds: no policy or problems, never both and never neither; problems sorted
 * and inside the text; a policy's canonical bytes compile to the same policy;
 * every verdict is at least as strict as the tool's own mode, and in enforce
 * mode a tool that has no row is blocked, whatever the labels.
 */
#include <string.h>

#include "base/must.h"
#include "core/policy.h"

static struct policy_problems problems, again_problems;
static struct labels labels;

static void
problems_are_in_order(const struct policy_problems *list, struct str text)
{
	const uint32_t cap = sizeof(list->item) / sizeof(list->item[0]);
	uint32_t lines = 1;

	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n' || text.p[i] == '\r' ||
		    (unsigned char)text.p[i] == 0x85 ||
		    (unsigned char)text.p[i] == 0xe2;
	for (uint32_t i = 0; i < list->n && i < cap; i++) {
		const struct policy_problem *one = &list->item[i];

		must(one->text[0] != '\0');
		must(one->line >= 1 && one->column >= 1);
		must(one->line <= lines + 1);
		must(memchr(one->path, '\0', sizeof(one->path)) != NULL);
		must(i == 0 || one->line > one[-1].line ||
		    (one->line == one[-1].line &&
			one->column >= one[-1].column));
	}
}

static void
verdict_holds(const struct policy *p, struct str tool)
{
	struct policy_call call = { tool, NULL, &labels, 0, NULL };
	struct verdict v;

	policy_decide(p, &call, &v);
	must(v.tool == policy_tool_find(p, tool));
	must(v.rule[0] != '\0' && v.code[0] != '\0');
	must(v.n_reasons >= 1 && v.n_reasons <= REASONS_MAX);
	if (v.tool == NULL)
		must(v.would == VERDICT_BLOCK);
	else
		must(v.would >= v.tool->mode);
	must(v.kind == (p->mode == POLICY_ENFORCE ? v.would : VERDICT_ALLOW));
	if (p->mode == POLICY_ENFORCE && v.tool == NULL)
		must(v.kind == VERDICT_BLOCK);
}

static void
policy_holds(const struct policy *p)
{
	static const struct str names[] = { { "", 0 }, { "*", 1 },
		{ "no such tool", 12 }, { "\0", 1 }, { "zq9.zq9/zq9", 11 } };
	struct policy *again;

	for (int round = 0; round < 2; round++) {
		memset(&labels, 0, sizeof(labels));
		if (round > 0)
			labels_add(&labels, STR("untrusted:x"));
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			verdict_holds(p, names[i]);
		for (uint32_t i = 0; i < p->n_tools; i++) {
			verdict_holds(p, p->tools[i].name);
			policy_result_labels(
			    &p->tools[i], p->tools[i].name, &labels);
		}
	}
	policy_notes(p, &problems);
	again = policy_new(p->canonical, POLICY_JSON, &again_problems);
	must(again != NULL);
	must(hash_eq(&p->version, &again->version));
	must(again->n_tools == p->n_tools && again->stage == p->stage);
	policy_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *p;
	struct str text;

	if (size == 0)
		return 0;
	text = (struct str){ (const char *)data + 1, size - 1 };
	p = policy_new(
	    text, data[0] & 1 ? POLICY_YAML : POLICY_JSON, &problems);
	must((p == NULL) == (problems.n > 0));
	if (p == NULL) {
		problems_are_in_order(&problems, text);
		return 0;
	}
	policy_holds(p);
	policy_free(p);
	return 0;
}
