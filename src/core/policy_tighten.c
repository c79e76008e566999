/*
 * What a document writes that is looser than one it extends. It could have no
 * effect, since every part decides; so it is a mistake, and is told where it
 * stands. That nothing is loosened does not rest on these checks.
 */
#include <string.h>

#include "base/limits.h"
#include "core/egress.h"
#include "core/policy_int.h"

struct pair {
	struct reader *r;
	const struct spot *root; /* of the document */
	const struct policy *mine, *base;
	const struct json *theirs; /* the base's document */
	bool whole; /* the base extends nothing: what it leaves out counts */
};

#define ONLY "a policy may only tighten what it extends"

static void check_fields(struct pair *x);
static void check_identity(struct pair *x);
static void check_name(
    struct pair *x, const char *member, struct str mine, struct str theirs);
static void check_tools(struct pair *x);
static void check_tool(
    struct pair *x, const struct spot *s, const struct policy_tool *t);
static const struct policy_tool *same_row(
    const struct policy *base, struct str name);
static bool may_meet(const struct policy *base, struct str name);
static void check_approvals(struct pair *x);
static void check_sandbox(struct pair *x);
static bool mount_in(
    const struct policy_sandbox *s, const struct policy_mount *m);
static void check_egress(struct pair *x);
static bool rule_in(const struct policy *base, const struct egress_rule *rule);
static bool addrs_in(const struct policy *base, const struct egress_rule *rule);
static bool ca_in(const struct policy *base, const struct egress_rule *rule);
static void check_secrets(struct pair *x);
static bool in_list(const struct str *list, uint32_t n, struct str s);

void
policy_tighten(struct policy_parts *x)
{
	for (uint32_t i = 1; i < x->n; i++) {
		struct pair pair = {
			.r = &x->part[0].r,
			.root = &x->part[0].root,
			.mine = x->part[0].r.p,
			.base = x->part[i].r.p,
			.theirs = x->part[i].root.v,
			.whole = !x->part[i].extends,
		};

		check_fields(&pair);
		check_identity(&pair);
		check_approvals(&pair);
		check_tools(&pair);
		check_sandbox(&pair);
		check_egress(&pair);
		check_secrets(&pair);
		policy_servers_tighten(
		    &x->part[0], &x->part[i], !x->part[i].extends);
	}
}

static void
check_fields(struct pair *x)
{
	for (uint32_t i = 0; i < policy_n_fields; i++) {
		const struct policy_field *f = &policy_fields[i];
		const struct json *theirs = policy_field_written(x->theirs, f);
		struct spot s[4] = { *x->root };
		char shown[SHOWN_BYTES] = "";
		uint32_t n = 0;

		while (n < 3 && f->path[n] != NULL &&
		    read_member(&s[n], f->path[n], &s[n + 1]))
			n++;
		if ((n < 3 && f->path[n] != NULL) ||
		    (theirs == NULL && !x->whole) ||
		    !policy_field_looser(f, policy_field_get(x->mine, f),
			policy_field_get(x->base, f)))
			continue;
		if (theirs != NULL)
			value_show(theirs, shown);
		problem(x->r, &s[n], "is looser than in %.*s, which %s%s: %s",
		    STR_FMT(x->base->name),
		    theirs != NULL ? "says " : "leaves it at its default",
		    shown, ONLY);
	}
}

static void
check_identity(struct pair *x)
{
	const struct identity *mine = &x->mine->identity;
	const struct identity *theirs = &x->base->identity;
	struct spot list;

	check_name(x, "tenant", mine->tenant, theirs->tenant);
	check_name(x, "actor", mine->actor, theirs->actor);
	for (uint32_t i = 0; read_member(x->root, "roles", &list) &&
	     json_get(x->theirs, STR("roles")) != NULL && i < mine->n_roles;
	     i++) {
		if (!identity_has_role(theirs, mine->roles[i]))
			problem(x->r, &list,
			    "holds \"%.*s\", which %.*s does not: %s",
			    STR_FMT(mine->roles[i]), STR_FMT(x->base->name),
			    ONLY);
	}
	for (uint32_t i = 0; read_member(x->root, "attributes", &list) &&
	     i < mine->n_attributes;
	     i++) {
		const struct identity_attribute *a = &mine->attributes[i];
		const struct identity_attribute *held =
		    identity_attribute(theirs, a->name);

		if (held != NULL && !identity_attribute_within(a, held))
			problem(x->r, &list,
			    "gives \"%.*s\" more than %.*s does: %s",
			    STR_FMT(a->name), STR_FMT(x->base->name), ONLY);
	}
	if (!read_member(x->root, "scopes", &list) ||
	    (!x->whole && json_get(x->theirs, STR("scopes")) == NULL))
		return;
	for (uint32_t i = 0; i < mine->n_scopes; i++) {
		if (!identity_has_scope(theirs, mine->scopes[i]))
			problem(x->r, &list,
			    "holds \"%.*s\", which %.*s does not: %s",
			    STR_FMT(mine->scopes[i]), STR_FMT(x->base->name),
			    ONLY);
	}
}

/* Who it is for is only said once. */
static void
check_name(
    struct pair *x, const char *member, struct str mine, struct str theirs)
{
	struct spot s;

	if (!read_member(x->root, member, &s) ||
	    json_get(x->theirs, str_of(member)) == NULL || str_eq(mine, theirs))
		return;
	problem(x->r, &s, "is not that of %.*s, which is for \"%.*s\"",
	    STR_FMT(x->base->name), STR_FMT(theirs));
}

static void
check_tools(struct pair *x)
{
	const struct json *key;
	struct spot tools;

	if (!read_member(x->root, "tools", &tools))
		return;
	key = json_first(tools.v);
	for (uint32_t i = 0; i < x->mine->n_tools && key != NULL; i++) {
		struct spot s = {
			.up = &tools, .v = json_value(key), .key = json_str(key)
		};

		check_tool(x, &s, &x->mine->tools[i]);
		key = json_next(tools.v, key);
	}
}

static void
check_tool(struct pair *x, const struct spot *s, const struct policy_tool *t)
{
	const struct policy_tool *base = same_row(x->base, t->name);
	struct spot at;

	if (base == NULL) {
		if (x->whole && !may_meet(x->base, t->name))
			problem(x->r, s,
			    "%.*s lists no such tool, so it stays blocked; "
			    "remove it, since %s",
			    STR_FMT(x->base->name), ONLY);
		return;
	}
	if (t->mode_written && t->mode < base->mode &&
	    (read_member(s, "mode", &at) || read_member(s, "allowed", &at) ||
		read_member(s, "approval_required", &at)))
		problem(x->r, &at, "is looser than in %.*s, which says %s: %s",
		    STR_FMT(x->base->name), verdict_name(base->mode), ONLY);
	if (t->risk < base->risk && read_member(s, "risk", &at))
		problem(x->r, &at, "is less than in %.*s, which says %s: %s",
		    STR_FMT(x->base->name), risk_name(base->risk), ONLY);
	if (t->reversible && !base->reversible &&
	    read_member(s, "reversible", &at))
		problem(x->r, &at, "is not so in %.*s: %s",
		    STR_FMT(x->base->name), ONLY);
	if (t->retries > base->retries && read_member(s, "retries", &at))
		problem(x->r, &at, "is more than in %.*s, which says %u: %s",
		    STR_FMT(x->base->name), base->retries, ONLY);
	if (t->timeout_ms > base->timeout_ms &&
	    read_member(s, "timeout_ms", &at))
		problem(x->r, &at, "is more than in %.*s, which says %u: %s",
		    STR_FMT(x->base->name), base->timeout_ms, ONLY);
	if (in_list(t->labels_out, t->n_labels_out, STR("trusted")) &&
	    !in_list(base->labels_out, base->n_labels_out, STR("trusted")) &&
	    read_member(s, "labels_out", &at))
		problem(x->r, &at,
		    "says \"trusted\", and the row in %.*s does not: %s",
		    STR_FMT(x->base->name), ONLY);
}

/* The base's row that is about all that this name or pattern is about. */
static const struct policy_tool *
same_row(const struct policy *base, struct str name)
{
	if (str_find(name, '*') == name.n)
		return policy_row_find(base, name);
	for (uint32_t i = 0; i < base->n_tools; i++) {
		if (str_eq(base->tools[i].name, name))
			return &base->tools[i];
	}
	return NULL;
}

/* A pattern may be about tools that the base lists one by one. */
static bool
may_meet(const struct policy *base, struct str name)
{
	if (str_find(name, '*') == name.n)
		return false;
	for (uint32_t i = 0; i < base->n_tools; i++) {
		struct str theirs = base->tools[i].name;

		if (str_find(theirs, '*') < theirs.n || str_glob(name, theirs))
			return true;
	}
	return false;
}

static void
check_approvals(struct pair *x)
{
	struct spot all, s;

	if (!read_member(x->root, "approvals", &all))
		return;
	for (const struct json *key = json_first(all.v); key != NULL;
	     key = json_next(all.v, key)) {
		const struct policy_approval *mine =
		    policy_approval_find(x->mine, json_str(key));
		const struct policy_approval *base =
		    policy_approval_find(x->base, json_str(key));
		const char *what = NULL;

		s = (struct spot){
			.up = &all, .v = json_value(key), .key = json_str(key)
		};
		if (mine == NULL || base == NULL ||
		    (!x->whole &&
			json_at(x->theirs, "approvals", NULL) == NULL))
			continue;
		if (mine->quorum < base->quorum)
			what = "fewer votes";
		else if (mine->deadline_ms > base->deadline_ms)
			what = "a later deadline";
		else if (base->distinct_from_actor &&
		    !mine->distinct_from_actor)
			what = "the actor's own vote";
		else if (base->distinct_from_requester &&
		    !mine->distinct_from_requester)
			what = "the requester's own vote";
		for (uint32_t i = 0; i < mine->n_from_roles; i++) {
			if (base->n_from_roles > 0 &&
			    !in_list(base->from_roles, base->n_from_roles,
				mine->from_roles[i]))
				what = "votes of other roles";
		}
		for (uint32_t i = 0; i < mine->n_edit; i++) {
			if (!in_list(base->edit, base->n_edit, mine->edit[i]))
				what = "more to be edited";
		}
		if (what != NULL)
			problem(x->r, &s, "takes %s than %.*s: %s", what,
			    STR_FMT(x->base->name), ONLY);
	}
}

static void
check_sandbox(struct pair *x)
{
	const struct policy_sandbox *mine = &x->mine->sandbox;
	const struct policy_sandbox *base = &x->base->sandbox;
	const struct json *theirs = json_get(x->theirs, STR("sandbox"));
	struct spot s, at, list;

	if (!read_member(x->root, "sandbox", &s))
		return;
	if (read_member(&s, "image", &at) &&
	    json_get(theirs, STR("image")) != NULL &&
	    !str_eq(mine->image, base->image))
		problem(x->r, &at, "is not that of %.*s, which is \"%.*s\"",
		    STR_FMT(x->base->name), STR_FMT(base->image));
	if (read_member(&s, "commands", &at) &&
	    read_member(&at, "allow", &list) && base->commands_listed) {
		for (uint32_t i = 0; i < mine->n_commands_allow; i++) {
			struct str one = mine->commands_allow[i];

			if (!in_list(base->commands_allow,
				base->n_commands_allow, one))
				problem(x->r, &list,
				    "allows \"%.*s\", which %.*s does not: %s",
				    STR_FMT(one), STR_FMT(x->base->name), ONLY);
		}
	}
	if (read_member(&s, "ports", &at) &&
	    (x->whole || json_get(theirs, STR("ports")) != NULL)) {
		for (uint32_t i = 0; i < mine->n_ports; i++) {
			if (!policy_port_decide(x->base, mine->ports[i]))
				problem(x->r, &at,
				    "opens %u, which %.*s does not: %s",
				    mine->ports[i], STR_FMT(x->base->name),
				    ONLY);
		}
	}
	if (read_member(&s, "protect", &at)) {
		for (uint32_t i = 0; i < mine->n_rules; i++) {
			struct str one = mine->rules[i];

			if (x->whole && one.p[0] >= 'a' &&
			    !in_list(base->rules, base->n_rules, one))
				problem(x->r, &at,
				    "allows \"%.*s\" again, which %.*s does "
				    "not: %s",
				    (int)one.n - 1, one.p + 1,
				    STR_FMT(x->base->name), ONLY);
		}
	}
	if (!read_member(&s, "mounts", &at) ||
	    (!x->whole && json_get(theirs, STR("mounts")) == NULL))
		return;
	for (uint32_t i = 0; i < mine->n_mounts; i++) {
		if (!mount_in(base, &mine->mounts[i]))
			problem(x->r, &at,
			    "has \"%.*s\", which %.*s does not mount there, "
			    "or not to be written to: %s",
			    STR_FMT(mine->mounts[i].to), STR_FMT(x->base->name),
			    ONLY);
	}
}

static bool
mount_in(const struct policy_sandbox *s, const struct policy_mount *m)
{
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		const struct policy_mount *base = &s->mounts[i];

		/* To read is less than to write to it until the end. */
		if (str_eq(base->from, m->from) && str_eq(base->to, m->to) &&
		    (base->mode == m->mode || m->mode == 'r' ||
			(m->mode == 'o' && base->mode == 'w')) &&
		    (!base->noexec || m->noexec))
			return true;
	}
	return false;
}

static void
check_egress(struct pair *x)
{
	struct spot egress, rules;
	uint32_t i = 0;

	if (!read_member(x->root, "egress", &egress) ||
	    !read_member(&egress, "rules", &rules) ||
	    (!x->whole && json_get(x->theirs, STR("egress")) == NULL))
		return;
	for (const struct json *v = json_first(rules.v);
	     v != NULL && i < x->mine->n_egress;
	     v = json_next(rules.v, v), i++) {
		const struct egress_rule *rule = &x->mine->egress[i];
		struct spot s = { .up = &rules, .v = v, .index = i }, at;

		if (!read_member(&s, "host", &at))
			at = s;
		if (!rule_in(x->base, rule))
			problem(x->r, &at,
			    "no rule of %.*s is about this host, so nothing "
			    "goes there; remove the rule, since %s",
			    STR_FMT(x->base->name), ONLY);
		else if (!addrs_in(x->base, rule) &&
		    read_member(&s, "addrs", &at))
			problem(x->r, &at,
			    "%.*s does not pin this host to these: %s",
			    STR_FMT(x->base->name), ONLY);
		else if (!ca_in(x->base, rule) && read_member(&s, "ca", &at))
			problem(x->r, &at,
			    "%.*s does not trust it for this host: %s",
			    STR_FMT(x->base->name), ONLY);
	}
}

static bool
rule_in(const struct policy *base, const struct egress_rule *rule)
{
	for (uint32_t i = 0; i < base->n_egress; i++) {
		if (egress_host_match(base->egress[i].host, rule->host) ||
		    egress_host_match(rule->host, base->egress[i].host))
			return true;
	}
	return false;
}

static bool
addrs_in(const struct policy *base, const struct egress_rule *rule)
{
	for (uint32_t i = 0; i < rule->n_addrs; i++) {
		bool in = false;

		for (uint32_t k = 0; k < base->n_egress && !in; k++) {
			const struct egress_rule *b = &base->egress[k];

			for (uint32_t q = 0; q < b->n_addrs && !in; q++)
				in = egress_host_match(b->host, rule->host) &&
				    cidr_covers(&b->addrs[q], &rule->addrs[i]);
		}
		if (!in)
			return false;
	}
	return true;
}

static bool
ca_in(const struct policy *base, const struct egress_rule *rule)
{
	for (uint32_t i = 0; i < base->n_egress; i++) {
		if (egress_host_match(base->egress[i].host, rule->host) &&
		    str_eq(base->egress[i].ca, rule->ca))
			return true;
	}
	return rule->ca.n == 0;
}

/* What may be taken out of the house, and where it goes, is one thing. */
static void
check_secrets(struct pair *x)
{
	struct spot all;

	if (!read_member(x->root, "secrets", &all) ||
	    (!x->whole && json_get(x->theirs, STR("secrets")) == NULL))
		return;
	for (uint32_t i = 0; i < x->mine->n_secrets; i++) {
		const struct policy_secret *mine = &x->mine->secrets[i];
		const struct json *v = json_get(all.v, mine->name);
		const struct json *base =
		    json_get(json_get(x->theirs, STR("secrets")), mine->name);
		struct spot s = { .up = &all, .v = v, .key = mine->name };

		if (mine->from == SECRET_CANARY && base == NULL)
			continue;
		if (base == NULL)
			problem(x->r, &s, "is no secret of %.*s: %s",
			    STR_FMT(x->base->name), ONLY);
		else if (!json_equal(v, base))
			problem(x->r, &s,
			    "is not as in %.*s; write the same, or leave it "
			    "out",
			    STR_FMT(x->base->name));
	}
}

static bool
in_list(const struct str *list, uint32_t n, struct str s)
{
	for (uint32_t i = 0; i < n; i++) {
		if (str_eq(list[i], s))
			return true;
	}
	return false;
}
