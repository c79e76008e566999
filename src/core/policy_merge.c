/*
 * One policy of several parts. Numbers and lists become the most restrictive
 * of all; rows of tools are put side by side, so that each part decides on its
 * own (policy_decide.c); rules of flow and egress are all there, and each part
 * has to let out what leaves (egress.c).
 */
#include <string.h>

#include "base/limits.h"
#include "core/egress.h"
#include "core/policy_int.h"

static bool says(const struct policy_part *part, const char *member);
static void merge_fields(struct policy *m, const struct policy_parts *x);
static void merge_identity(struct policy *m, const struct policy_parts *x);
static void merge_attributes(struct identity *id, const struct identity *one);
static void merge_sandbox(struct policy *m, const struct policy_parts *x);
static void merge_lists(struct policy *m, const struct policy_parts *x);
static void merge_protect(
    struct reader *r, struct policy *m, const struct policy_parts *x);
static void merge_approvals(
    struct reader *r, struct policy *m, const struct policy_parts *x);
static void merge_flow(struct policy *m, const struct policy_parts *x);
static void merge_secrets(struct policy *m, const struct policy_parts *x);
static void merge_egress(
    struct reader *r, struct policy *m, const struct policy_parts *x);
static const struct policy_approval *egress_approval(struct reader *r,
    struct policy *m, const struct policy_parts *x,
    const struct egress_rule *rule, uint32_t part);
static void merge_tools(
    struct reader *r, struct policy *m, const struct policy_parts *x);
static bool has_text(const struct str *list, uint32_t n, struct str s);

void
policy_merge(struct reader *r, const struct policy_parts *x)
{
	struct policy *m = r->p;
	const struct policy *own = x->part[0].r.p;

	m->workflow = own->workflow;
	/* What a base wants to fail, fails where it is used by itself. */
	m->faults = own->faults;
	m->n_faults = own->n_faults;
	m->fault_seed = own->fault_seed;
	m->fault_seeded = own->fault_seeded;
	m->version_name = own->version_name;
	merge_fields(m, x);
	merge_identity(m, x);
	merge_sandbox(m, x);
	merge_protect(r, m, x);
	merge_approvals(r, m, x);
	for (uint32_t i = 0; i < x->n; i++)
		m->locates |= x->part[i].r.p->locates;
	merge_flow(m, x);
	merge_secrets(m, x);
	policy_servers_merge(m, x);
	policy_budgets_merge(m, x);
	merge_egress(r, m, x);
	if (r->problems->n == 0 && !m->arena.failed)
		merge_tools(r, m, x);
	if (!m->arena.failed)
		policy_identity_value(m);
}

/* What extends others and does not write a member says nothing about it. */
static bool
says(const struct policy_part *part, const char *member)
{
	return !part->extends || json_get(part->root.v, str_of(member)) != NULL;
}

static void
merge_fields(struct policy *m, const struct policy_parts *x)
{
	const uint64_t mib = UINT64_C(1024) * 1024;
	uint64_t beside = SANDBOX_BESIDE_DISK_MB * mib;

	for (uint32_t i = 0; i < policy_n_fields; i++) {
		const struct policy_field *f = &policy_fields[i];
		bool any = false;
		uint64_t v = 0;

		for (uint32_t k = 0; k < x->n; k++) {
			const struct policy_part *part = &x->part[k];
			uint64_t one = policy_field_get(part->r.p, f);

			if (part->extends &&
			    policy_field_written(part->root.v, f) == NULL)
				continue;
			if (!any || policy_field_looser(f, v, one))
				v = one;
			any = true;
		}
		policy_field_set(m, f, v);
	}
	if (m->sandbox.disk_bytes + beside > m->sandbox.memory_bytes)
		m->sandbox.disk_bytes = m->sandbox.memory_bytes / 2;
}

/* Who acts is the document's own, or a base's; scopes are those of all. */
static void
merge_identity(struct policy *m, const struct policy_parts *x)
{
	struct identity *id = &m->identity;
	bool scopes = false;

	*id = x->part[0].r.p->identity;
	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy_part *part = &x->part[i];
		const struct identity *one = &part->r.p->identity;
		struct identity both = {};

		if (!m->tenant_written && part->r.p->tenant_written) {
			id->tenant = one->tenant;
			m->tenant_written = true;
		}
		if (!m->actor_written && part->r.p->actor_written) {
			id->actor = one->actor;
			m->actor_written = true;
		}
		if (!m->roles_written && part->r.p->roles_written) {
			id->n_roles = one->n_roles;
			memcpy(id->roles, one->roles, sizeof(id->roles));
			m->roles_written = true;
		}
		merge_attributes(id, one);
		if (!says(part, "scopes"))
			continue;
		both = *id;
		both.n_scopes = 0;
		if (!scopes)
			both = *one;
		for (uint32_t k = 0; scopes && k < id->n_scopes; k++) {
			if (identity_has_scope(one, id->scopes[k]))
				both.scopes[both.n_scopes++] = id->scopes[k];
		}
		for (uint32_t k = 0; scopes && k < one->n_scopes; k++) {
			if (identity_has_scope(id, one->scopes[k]) &&
			    !identity_has_scope(&both, one->scopes[k]) &&
			    both.n_scopes < SCOPES_MAX)
				both.scopes[both.n_scopes++] = one->scopes[k];
		}
		id->n_scopes = both.n_scopes;
		memcpy(id->scopes, both.scopes, sizeof(id->scopes));
		scopes = true;
	}
}

/* Of what both name it is what both hold; nothing, if they differ. */
static void
merge_attributes(struct identity *id, const struct identity *one)
{
	for (uint32_t i = 0; i < one->n_attributes; i++) {
		const struct identity_attribute *theirs = &one->attributes[i];
		struct identity_attribute *mine = NULL;

		for (uint32_t k = 0; k < id->n_attributes; k++) {
			if (str_eq(id->attributes[k].name, theirs->name))
				mine = &id->attributes[k];
		}
		if (mine == NULL && id->n_attributes < ATTRIBUTES_MAX)
			id->attributes[id->n_attributes++] = *theirs;
		else if (mine == NULL ||
		    identity_attribute_within(mine, theirs))
			continue;
		else if (identity_attribute_within(theirs, mine))
			*mine = *theirs;
		else
			*mine = (struct identity_attribute){ .name = mine->name,
				.is_list = true };
	}
}

static void
merge_sandbox(struct policy *m, const struct policy_parts *x)
{
	bool image = false, mounts = false;

	m->sandbox.image = STR("host");
	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy_sandbox *s = &x->part[i].r.p->sandbox;
		const struct json *v =
		    json_get(x->part[i].root.v, STR("sandbox"));

		m->sandbox.walls_required |= s->walls_required;
		if (!image && json_get(v, STR("image")) != NULL) {
			m->sandbox.image = s->image;
			image = true;
		}
		/* Those of a base are all that there may be. */
		if (!mounts &&
		    (!x->part[i].extends ||
			json_get(v, STR("mounts")) != NULL)) {
			m->sandbox.mounts = s->mounts;
			m->sandbox.n_mounts = s->n_mounts;
			mounts = true;
		}
	}
	merge_lists(m, x);
}

/* Commands that all allow or one blocks, ports that all open. */
static void
merge_lists(struct policy *m, const struct policy_parts *x)
{
	struct policy_sandbox *s = &m->sandbox;
	uint32_t n_block = 0;
	bool ports = false;
	uint16_t *open;
	struct str *allow, *block;

	for (uint32_t i = 0; i < x->n; i++)
		n_block += x->part[i].r.p->sandbox.n_commands_block;
	block = arena_alloc(&m->arena, n_block * sizeof(*block));
	allow = arena_alloc(&m->arena, POLICY_LIST_MAX * sizeof(*allow));
	open = arena_alloc(&m->arena, POLICY_LIST_MAX * sizeof(*open));
	if (block == NULL || allow == NULL || open == NULL)
		return;
	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy_part *part = &x->part[i];
		const struct policy_sandbox *one = &part->r.p->sandbox;
		bool says_ports = !part->extends ||
		    json_at(part->root.v, "sandbox", "ports", NULL) != NULL;
		uint32_t kept = 0;

		for (uint32_t k = 0; k < one->n_commands_block; k++) {
			if (!has_text(block, s->n_commands_block,
				one->commands_block[k]))
				block[s->n_commands_block++] =
				    one->commands_block[k];
		}
		if (one->commands_listed && !s->commands_listed) {
			s->n_commands_allow = one->n_commands_allow;
			for (uint32_t k = 0; k < one->n_commands_allow; k++)
				allow[k] = one->commands_allow[k];
		} else if (one->commands_listed) {
			for (uint32_t k = 0; k < s->n_commands_allow; k++) {
				if (has_text(one->commands_allow,
					one->n_commands_allow, allow[k]))
					allow[kept++] = allow[k];
			}
			s->n_commands_allow = kept;
		}
		s->commands_listed |= one->commands_listed;
		if (says_ports && !ports) {
			s->n_ports = one->n_ports;
			for (uint32_t k = 0; k < one->n_ports; k++)
				open[k] = one->ports[k];
		} else if (says_ports) {
			kept = 0;
			for (uint32_t k = 0; k < s->n_ports; k++) {
				if (policy_port_decide(part->r.p, open[k]))
					open[kept++] = open[k];
			}
			s->n_ports = kept;
		}
		ports |= says_ports;
	}
	s->commands_allow = allow;
	s->commands_block = block;
	s->ports = open;
}

/* What one denies is denied; allowed again is what all allow. */
static void
merge_protect(struct reader *r, struct policy *m, const struct policy_parts *x)
{
	struct policy_sandbox *s = &m->sandbox;
	struct str *rules =
	    arena_alloc(&m->arena, PROTECT_RULES_MAX * sizeof(*rules));

	if (rules == NULL)
		return;
	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy_sandbox *one = &x->part[i].r.p->sandbox;

		for (uint32_t k = 0; k < one->n_rules; k++) {
			struct str rule = one->rules[k];
			bool all = true;

			for (uint32_t q = 0; q < x->n && rule.p[0] >= 'a';
			     q++) {
				const struct policy_sandbox *other =
				    &x->part[q].r.p->sandbox;

				if (!x->part[q].extends &&
				    !has_text(
					other->rules, other->n_rules, rule))
					all = false;
			}
			if (!all || has_text(rules, s->n_rules, rule))
				continue;
			if (s->n_rules == PROTECT_RULES_MAX) {
				problem(r, &x->part[0].root,
				    "protects more than %d patterns with what "
				    "it extends; name fewer",
				    PROTECT_RULES_MAX);
				return;
			}
			rules[s->n_rules++] = rule;
		}
	}
	s->rules = rules;
}

const struct policy_approval *
policy_approval_both(struct arena *arena, const struct policy_approval *a,
    const struct policy_approval *b)
{
	/* As enum on_timeout: to stop the run is more than to refuse. */
	static const int strict[] = { 1, 2, 0 };
	struct policy_approval *c;

	if (a == b)
		return a;
	c = arena_alloc(arena, sizeof(*c));
	if (c == NULL)
		return a;
	*c = *a;
	if (str_eq_c(a->name, "default") || b->quorum > a->quorum)
		c->name = b->name;
	if (b->quorum > c->quorum)
		c->quorum = b->quorum;
	if (a->n_from_roles == 0) {
		c->n_from_roles = b->n_from_roles;
		memcpy(c->from_roles, b->from_roles, sizeof(c->from_roles));
	} else if (b->n_from_roles > 0) {
		c->n_from_roles = 0;
		for (uint32_t i = 0; i < a->n_from_roles; i++) {
			if (has_text(b->from_roles, b->n_from_roles,
				a->from_roles[i]))
				c->from_roles[c->n_from_roles++] =
				    a->from_roles[i];
		}
		/* No role is called so: nobody may vote. */
		if (c->n_from_roles == 0)
			c->from_roles[c->n_from_roles++] = STR("");
	}
	c->preview |= b->preview;
	c->distinct_from_actor |= b->distinct_from_actor;
	c->distinct_from_requester |= b->distinct_from_requester;
	if (b->deadline_ms < c->deadline_ms)
		c->deadline_ms = b->deadline_ms;
	if (strict[b->on_timeout] > strict[c->on_timeout])
		c->on_timeout = b->on_timeout;
	/* To whom one of them would hand it may be less than the other asks:
	 * then it stays pending. */
	c->escalate_to = NULL;
	c->escalate_name = STR("");
	c->n_edit = 0;
	for (uint32_t i = 0; i < a->n_edit; i++) {
		if (has_text(b->edit, b->n_edit, a->edit[i]))
			c->edit[c->n_edit++] = a->edit[i];
	}
	return c;
}

/* By name; each is then as strict as all that are called so. */
static void
merge_approvals(
    struct reader *r, struct policy *m, const struct policy_parts *x)
{
	struct policy_approval *rows;
	uint32_t most = 0;

	for (uint32_t i = 0; i < x->n; i++)
		most += x->part[i].r.p->n_approvals;
	rows = arena_alloc(&m->arena, most * sizeof(*rows));
	if (rows == NULL)
		return;
	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy *p = x->part[i].r.p;

		for (uint32_t k = 0; k < p->n_approvals; k++) {
			const struct policy_approval *a = &p->approvals[k];
			uint32_t at = 0;

			/* "default" is in every part, said or not. */
			if (str_eq_c(a->name, "default") &&
			    x->part[i].extends &&
			    json_at(x->part[i].root.v, "approvals", "default",
				NULL) == NULL)
				continue;
			while (at < m->n_approvals &&
			    !str_eq(rows[at].name, a->name))
				at++;
			if (at == m->n_approvals)
				rows[m->n_approvals++] = *a;
			else
				rows[at] = *policy_approval_both(
				    &m->arena, &rows[at], a);
			if (rows[at].n_from_roles > 0 &&
			    rows[at].from_roles[0].n == 0)
				problem(r, &x->part[0].root,
				    "nobody could vote in the approval "
				    "\"%.*s\": its roles and those of what it "
				    "extends have none in common",
				    STR_FMT(a->name));
		}
	}
	m->approvals = rows;
}

static void
merge_flow(struct policy *m, const struct policy_parts *x)
{
	struct policy_flow *rows;
	uint32_t most = 0;

	for (uint32_t i = 0; i < x->n; i++)
		most += x->part[i].r.p->n_flow;
	rows = arena_alloc(&m->arena, most * sizeof(*rows));
	for (uint32_t i = 0; rows != NULL && i < x->n; i++) {
		for (uint32_t k = 0; k < x->part[i].r.p->n_flow; k++)
			rows[m->n_flow++] = x->part[i].r.p->flow[k];
	}
	m->flow = rows;
}

/* Those of the first that says any; a bait of a base stays a bait. */
static void
merge_secrets(struct policy *m, const struct policy_parts *x)
{
	struct policy_secret *rows =
	    arena_alloc(&m->arena, (size_t)SECRETS_PER_RUN_MAX * sizeof(*rows));
	bool said = false;

	if (rows == NULL)
		return;
	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy *p = x->part[i].r.p;

		for (uint32_t k = 0; k < p->n_secrets; k++) {
			const struct policy_secret *s = &p->secrets[k];
			bool known = false;

			for (uint32_t q = 0; q < m->n_secrets && !known; q++)
				known = str_eq(rows[q].name, s->name);
			if (!known && (!said || s->from == SECRET_CANARY) &&
			    m->n_secrets < SECRETS_PER_RUN_MAX)
				rows[m->n_secrets++] = *s;
		}
		said |= says(&x->part[i], "secrets");
	}
	m->secrets = rows;
}

static void
merge_egress(struct reader *r, struct policy *m, const struct policy_parts *x)
{
	const uint32_t tls = 1U << PROTO_HTTPS | 1U << PROTO_WSS;
	struct egress_rule *rows =
	    arena_alloc(&m->arena, (size_t)EGRESS_RULES_MAX * sizeof(*rows));

	if (rows == NULL)
		return;
	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy *p = x->part[i].r.p;

		if (!says(&x->part[i], "egress"))
			continue;
		m->egress_parts |= UINT32_C(1) << i;
		for (uint32_t k = 0; k < p->n_egress; k++) {
			struct egress_rule *rule = &rows[m->n_egress];

			if (m->n_egress == EGRESS_RULES_MAX) {
				problem(r, &x->part[0].root,
				    "has more than %d egress rules with what "
				    "it extends; write fewer",
				    EGRESS_RULES_MAX);
				return;
			}
			m->n_egress++;
			*rule = p->egress[k];
			rule->part = i;
			rule->approval = egress_approval(r, m, x, rule, i);
			if (m->n_secrets > 0 && rule->tls == TLS_AUTO &&
			    (rule->protos & tls) != 0)
				rule->tls = TLS_INSPECT;
		}
	}
	m->egress = rows;
}

/*
 * One rule's approval is taken for a request that several are about: so it is
 * as strict as all that the rules of other parts could ask for.
 */
static const struct policy_approval *
egress_approval(struct reader *r, struct policy *m,
    const struct policy_parts *x, const struct egress_rule *rule, uint32_t part)
{
	const struct policy_approval *a = rule->approval;

	for (uint32_t i = 0; a != NULL && i < x->n; i++) {
		const struct policy *p = x->part[i].r.p;

		if (i == part || !says(&x->part[i], "egress"))
			continue;
		a = policy_approval_both(
		    &m->arena, a, policy_approval_find(p, STR("default")));
		for (uint32_t k = 0; k < p->n_egress; k++) {
			if (p->egress[k].approval != NULL)
				a = policy_approval_both(
				    &m->arena, a, p->egress[k].approval);
		}
	}
	if (a != NULL && a->n_from_roles > 0 && a->from_roles[0].n == 0)
		problem(r, &x->part[0].root,
		    "nobody could vote on requests to %.*s: the roles of the "
		    "approvals have none in common",
		    STR_FMT(rule->host));
	return a;
}

static void
merge_tools(struct reader *r, struct policy *m, const struct policy_parts *x)
{
	policy_merge_rows(r, x);
	if (r->problems->n > 0 || m->arena.failed)
		return;
	policy_index(m);
	policy_rows_index(m);
}

static bool
has_text(const struct str *list, uint32_t n, struct str s)
{
	for (uint32_t i = 0; i < n; i++) {
		if (str_eq(list[i], s))
			return true;
	}
	return false;
}
