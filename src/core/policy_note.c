#include <stdio.h>
#include <string.h>

#include "core/egress.h"
#include "core/policy_int.h"

static void note(struct policy_problems *notes, const char *group,
    struct str name, const char *text);
static void note_tool(const struct policy *p, const struct policy_tool *t,
    struct policy_problems *notes);
static void note_unread(
    const struct egress_rule *r, uint32_t i, struct policy_problems *notes);
static void note_budget(
    const struct policy *p, enum budget_kind k, struct policy_problems *notes);
static void note_approval(const struct policy *p,
    const struct policy_approval *a, struct policy_problems *notes);

void
policy_notes(const struct policy *p, struct policy_problems *notes)
{
	notes->n = 0;
	if (p->mode != POLICY_ENFORCE)
		note(notes, "mode", STR(""),
		    "no call is refused in this mode; what would have been is "
		    "recorded");
	for (uint32_t i = 0; i < p->n_tools; i++)
		note_tool(p, &p->tools[i], notes);
	for (uint32_t i = 0; i < p->n_egress && p->n_secrets > 0; i++)
		note_unread(&p->egress[i], i, notes);
	for (int k = BUDGET_MODEL_CALLS; k < BUDGET_KINDS; k++)
		note_budget(p, (enum budget_kind)k, notes);
	for (uint32_t i = 0; i < p->n_approvals; i++)
		note_approval(p, &p->approvals[i], notes);
}

/* What holds a tool down before any data has come in. */
static void
note_tool(const struct policy *p, const struct policy_tool *t,
    struct policy_problems *notes)
{
	static const struct labels none;
	struct verdict v;
	char text[256];

	policy_decide_row(p, t, NULL, &none, &v);
	if (v.would == t->mode)
		return;
	if (strcmp(v.code, "missing_scope") == 0)
		(void)snprintf(text, sizeof(text),
		    "every call is refused: %.*s does not hold the %s",
		    STR_FMT(p->identity.actor), v.rule);
	else
		(void)snprintf(text, sizeof(text),
		    "the policy says %s, but the %s makes it %s",
		    verdict_name(t->mode), v.rule, verdict_name(v.would));
	note(notes, "tools", t->name, text);
}

/* Where a secret could come back, and nobody would see it. */
static void
note_unread(
    const struct egress_rule *r, uint32_t i, struct policy_problems *notes)
{
	char path[48];

	if (r->tls != TLS_PIN && (r->protos & 1U << PROTO_TCP) == 0)
		return;
	(void)snprintf(path, sizeof(path), "egress.rules[%u]", i);
	note(notes, path, STR(""),
	    "nobody reads what passes here: a secret of the run that the host "
	    "has from elsewhere can come back by it");
}

/* A limit that nothing is counted for holds nothing. */
static void
note_budget(
    const struct policy *p, enum budget_kind k, struct policy_problems *notes)
{
	bool limited = p->budgets.limit[k] != UINT64_MAX, counted = false;

	for (uint32_t i = 0; i < p->n_windows; i++)
		limited |= p->windows[i].limit[k] != UINT64_MAX;
	for (uint32_t i = 0; i < p->n_tools; i++)
		counted |=
		    p->tools[i].costs != NULL && p->tools[i].costs[k].most > 0;
	for (uint32_t i = 0; i < p->n_egress; i++)
		counted |= p->egress[i].costs != NULL &&
		    p->egress[i].costs[k].most > 0;
	if (limited && !counted)
		note(notes, "budgets", str_of(budget_member(k)),
		    "nothing is counted for it: no tool and no egress rule "
		    "has `costs` of this kind");
}

static void
note_approval(const struct policy *p, const struct policy_approval *a,
    struct policy_problems *notes)
{
	bool used = str_eq_c(a->name, "default");

	for (uint32_t i = 0; i < p->n_tools && !used; i++)
		used = p->tools[i].approval == a;
	for (uint32_t i = 0; i < p->n_egress && !used; i++)
		used = p->egress[i].approval == a;
	used |= p->extends_budgets && p->budget_approval == a;
	if (!used)
		note(notes, "approvals", a->name,
		    "no tool and no egress rule names it");
	if (!a->distinct_from_actor)
		note(notes, "approvals", a->name,
		    "the actor may approve its own calls");
}

static void
note(struct policy_problems *notes, const char *group, struct str name,
    const char *text)
{
	struct policy_problem one = {};

	(void)snprintf(one.path, sizeof(one.path), "%s%s%.*s", group,
	    name.n > 0 ? "." : "", STR_FMT(name));
	(void)snprintf(one.text, sizeof(one.text), "%s", text);
	problem_add(notes, &one);
}
