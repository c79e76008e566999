/*
 * The members of the document itself: who, which stage, what by default. The
 * order of reading is ours, since tools need the defaults and the approvals;
 * problems are sorted by place anyway.
 */
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

static void parse_full(struct reader *r, const struct spot *root);
static void name_part(struct policy *p);
static void parse_identity(struct reader *r, const struct spot *root);
static void parse_defaults(struct reader *r, const struct spot *root);
static void copy_list(const struct list *from, struct str *to, uint32_t *n);

void
policy_parse(struct reader *r, const struct spot *root)
{
	static const enum verdict_kind by_risk[RISKS] = {
		[RISK_READ] = VERDICT_ALLOW,
		[RISK_DRAFT] = VERDICT_ALLOW,
		[RISK_INTERNAL_WRITE] = VERDICT_SIMULATE,
		[RISK_EXTERNAL_WRITE] = VERDICT_APPROVE,
		[RISK_DESTRUCTIVE] = VERDICT_BLOCK,
	};
	struct policy *p = r->p;

	if (!json_is(root->v, JSON_OBJECT)) {
		problem(r, root,
		    "a policy is an object; write { \"policy\": 1, ... }");
		return;
	}
	p->identity.tenant = STR("default");
	p->identity.actor = STR("agent");
	p->identity.roles[0] = STR("agent");
	p->identity.n_roles = 1;
	/* What extends others and names no mode leaves it to them. */
	for (int i = 0; i < RISKS; i++)
		p->by_risk[i] = json_get(root->v, STR("extends")) != NULL
		    ? VERDICT_ALLOW
		    : by_risk[i];
	p->untrusted_destination = VERDICT_APPROVE;
	budget_init(&p->budgets);
	p->budgets.limit[BUDGET_RUNTIME_MS] = POLICY_RUN_MS;
	p->budgets.limit[BUDGET_TOOL_CALLS] = POLICY_CALLS;
	p->budgets.limit[BUDGET_RETRIES] = POLICY_RETRIES;
	p->budgets.limit[BUDGET_UPLOAD_BYTES] = EGRESS_BODY_MAX_BYTES;
	p->short_form = json_get(root->v, STR("policy")) == NULL;

	if (!read_name(r, root, "workflow", &p->workflow) &&
	    json_get(root->v, STR("workflow")) == NULL)
		read_missing(r, root, "workflow",
		    "name the workflow that this policy is for");
	if (p->short_form)
		policy_parse_short(r, root);
	else
		parse_full(r, root);
}

static void
parse_full(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "policy", "workflow", "version",
		"tenant", "actor", "roles", "attributes", "scopes", "stage",
		"mode", "defaults", "tools", "flow", "budgets", "sandbox",
		"egress", "approvals", "secrets", "servers", "extends",
		"faults", NULL };
	static const char *const later[] = { "models", "data", "shadow", NULL };
	static const char *const modes[] = { "enforce", "shadow", "record",
		NULL };
	struct policy *p = r->p;
	uint64_t one = 1, stage = 1;
	uint32_t mode = POLICY_ENFORCE;

	read_known(r, root, known, later, NOT_YET);
	(void)read_whole(r, root, "policy", (struct range){ 1, 1, "" }, &one);
	p->version_name = STR("0");
	(void)read_name(r, root, "version", &p->version_name);
	if (r->base)
		name_part(p);
	(void)read_whole(r, root, "stage", (struct range){ 1, 5, "" }, &stage);
	p->stage = (uint32_t)stage;
	(void)read_word(r, root, "mode", modes, &mode);
	p->mode = (enum policy_mode)mode;
	parse_identity(r, root);
	policy_parse_attributes(r, root);
	parse_defaults(r, root);
	policy_parse_secrets(r, root);
	policy_parse_approvals(r, root);
	policy_parse_egress(r, root); /* which names both */
	policy_parse_budgets(r, root);
	policy_parse_sandbox(r, root);
	policy_parse_servers(r, root);
	policy_parse_tools(r, root);
	policy_parse_flow(r, root);
	policy_parse_faults(r, root);
}

/* "base@3" */
static void
name_part(struct policy *p)
{
	size_t n = p->workflow.n + 1 + p->version_name.n;
	char *name = arena_alloc(&p->arena, n);

	if (name == NULL)
		return;
	if (p->workflow.n > 0)
		memcpy(name, p->workflow.p, p->workflow.n);
	name[p->workflow.n] = '@';
	memcpy(name + p->workflow.n + 1, p->version_name.p, p->version_name.n);
	p->name = (struct str){ name, n };
}

static void
parse_identity(struct reader *r, const struct spot *root)
{
	struct identity *id = &r->p->identity;
	struct list list;

	r->p->tenant_written = read_name(r, root, "tenant", &id->tenant);
	r->p->actor_written = read_name(r, root, "actor", &id->actor);
	r->p->roles_written =
	    read_list(r, root, "roles", ENTRY_NAME, SCOPES_MAX, &list);
	if (r->p->roles_written)
		copy_list(&list, id->roles, &id->n_roles);
	if (read_list(r, root, "scopes", ENTRY_SCOPE, SCOPES_MAX, &list))
		copy_list(&list, id->scopes, &id->n_scopes);
}

static void
parse_defaults(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "unlisted", "on_error", "by_risk",
		"untrusted_destination", NULL };
	static const char *const later[] = { NULL };
	struct spot defaults, by_risk;
	uint32_t word = 0;

	if (!read_member(root, "defaults", &defaults) ||
	    !read_object(r, &defaults))
		return;
	read_known(r, &defaults, known, later, NOT_YET);
	read_only(r, &defaults, "unlisted", "block");
	read_only(r, &defaults, "on_error", "block");
	if (read_word(r, &defaults, "untrusted_destination", destination_words,
		&word))
		r->p->untrusted_destination =
		    (enum verdict_kind)(word + VERDICT_APPROVE);
	if (!read_member(&defaults, "by_risk", &by_risk) ||
	    !read_object(r, &by_risk))
		return;
	read_known(r, &by_risk, risk_words, later, NOT_YET);
	for (int i = 0; i < RISKS; i++) {
		uint32_t verdict;

		if (read_word(
			r, &by_risk, risk_words[i], verdict_words, &verdict))
			r->p->by_risk[i] = (enum verdict_kind)verdict;
	}
}

static void
copy_list(const struct list *from, struct str *to, uint32_t *n)
{
	for (uint32_t i = 0; i < from->n; i++)
		to[i] = from->p[i];
	*n = from->n;
}
