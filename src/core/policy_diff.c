#include "core/policy_diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/walls.h"
#include "core/egress.h"
#include "core/policy_diff_int.h"

static void diff_fields(struct differ *x);
static void diff_identity(struct differ *x);
static void diff_flow(struct differ *x);
static void diff_rule(
    struct differ *x, const struct policy_flow *a, const struct policy_flow *b);
static void diff_sandbox(struct differ *x);
static void diff_ports(struct differ *x);
static void diff_mounts(struct differ *x, const struct policy *from,
    const struct policy *other, enum policy_change c);
static void diff_egress(struct differ *x);
static bool rules_same(
    const struct egress_rule *a, const struct egress_rule *b);
static bool has_rule(const struct policy *p, const struct egress_rule *rule);
static bool is_alone(const struct policy *p, const struct egress_rule *rule);
static void diff_secrets(struct differ *x);
static void diff_faults(struct differ *x);
static void diff_windows(struct differ *x);
static const struct budget_window *same_window(
    const struct policy *p, const struct budget_window *w);
static int by_change(const void *a, const void *b);

void
policy_diff_make(
    struct policy_diff *d, const struct policy *a, const struct policy *b)
{
	struct differ x = { d, a, b };

	*d = (struct policy_diff){};
	diff_fields(&x);
	diff_identity(&x);
	diff_tools(&x);
	diff_flow(&x);
	diff_sandbox(&x);
	diff_servers(&x);
	diff_egress(&x);
	diff_secrets(&x);
	diff_faults(&x);
	diff_windows(&x);
	if (d->n > 0)
		qsort(d->item, d->n, sizeof(d->item[0]), by_change);
}

void
policy_diff_fini(struct policy_diff *d)
{
	free(d->item);
	*d = (struct policy_diff){};
}

const char *
policy_change_name(enum policy_change c)
{
	static const char *const names[POLICY_CHANGES] = { "looser", "tighter",
		"changed" };

	must(c < POLICY_CHANGES);
	return names[c];
}

void
diff_add(struct differ *x, enum policy_change c, const char *group,
    struct str name, const char *member, const char *fmt, ...)
{
	struct policy_diff *d = x->d;
	struct policy_difference *one;
	va_list ap;

	if (d->n == d->cap) {
		d->cap = d->cap == 0 ? 16 : 2 * d->cap;
		d->item = realloc(d->item, d->cap * sizeof(d->item[0]));
		must(d->item != NULL);
	}
	one = &d->item[d->n++];
	*one = (struct policy_difference){ .change = c };
	d->of[c]++;
	(void)snprintf(one->path, sizeof(one->path), "%s%s%.*s%s%s", group,
	    group[0] != '\0' && name.n > 0 ? "." : "", STR_FMT(name),
	    (group[0] != '\0' || name.n > 0) && member[0] != '\0' ? "." : "",
	    member);
	va_start(ap, fmt);
	(void)vsnprintf(one->text, sizeof(one->text), fmt, ap);
	va_end(ap);
}

bool
diff_has(struct texts list, struct str s)
{
	for (uint32_t i = 0; i < list.n; i++) {
		if (str_eq(list.p[i], s))
			return true;
	}
	return false;
}

void
diff_lists(struct differ *x, const char *group, struct str name,
    const char *member, struct texts a, struct texts b, enum policy_change more)
{
	for (uint32_t i = 0; i < b.n; i++) {
		if (!diff_has(a, b.p[i]))
			diff_add(x, more, group, name, member,
			    "\"%.*s\" was not there", STR_FMT(b.p[i]));
	}
	if (more != POLICY_CHANGED)
		more = more == POLICY_LOOSER ? POLICY_TIGHTER : POLICY_LOOSER;
	for (uint32_t i = 0; i < a.n; i++) {
		if (!diff_has(b, a.p[i]))
			diff_add(x, more, group, name, member,
			    "\"%.*s\" is gone", STR_FMT(a.p[i]));
	}
}

static void
diff_fields(struct differ *x)
{
	for (uint32_t i = 0; i < policy_n_fields; i++) {
		const struct policy_field *f = &policy_fields[i];
		uint64_t a = policy_field_get(x->a, f);
		uint64_t b = policy_field_get(x->b, f);
		bool looser = policy_field_looser(f, b, a);
		char path[96];

		if (a == b)
			continue;
		(void)snprintf(path, sizeof(path), "%s%s%s%s%s", f->path[0],
		    f->path[1] != NULL ? "." : "",
		    f->path[1] != NULL ? f->path[1] : "",
		    f->path[2] != NULL ? "." : "",
		    f->path[2] != NULL ? f->path[2] : "");
		/* A lower stage may simulate what was asked about, and the
		 * rows have what their risk is by default: told there. */
		diff_add(x,
		    f->path[1] == NULL && !looser &&
			    str_eq_c(STR("stage"), f->path[0])
			? POLICY_TIGHTER
			: looser ? POLICY_LOOSER
				 : POLICY_TIGHTER,
		    "", str_of(path), "", "%llu, was %llu",
		    (unsigned long long)b, (unsigned long long)a);
	}
}

static void
diff_identity(struct differ *x)
{
	const struct identity *a = &x->a->identity, *b = &x->b->identity;
	own_buf struct buf was = {}, is = {};

	if (!str_eq(a->tenant, b->tenant) ||
	    x->a->tenant_written != x->b->tenant_written)
		diff_add(x, POLICY_CHANGED, "tenant", STR(""), "",
		    "%.*s, was %.*s", STR_FMT(b->tenant), STR_FMT(a->tenant));
	if (!str_eq(a->actor, b->actor) ||
	    x->a->actor_written != x->b->actor_written)
		diff_add(x, POLICY_CHANGED, "actor", STR(""), "",
		    "%.*s, was %.*s", STR_FMT(b->actor), STR_FMT(a->actor));
	identity_attributes_write(&was, a);
	identity_attributes_write(&is, b);
	if (!str_eq(buf_str(&was), buf_str(&is)))
		diff_add(x, POLICY_CHANGED, "attributes", STR(""), "",
		    "they are others");
	diff_lists(x, "roles", STR(""), "",
	    (struct texts){ a->roles, a->n_roles },
	    (struct texts){ b->roles, b->n_roles }, POLICY_CHANGED);
	if (!str_eq(x->a->workflow, x->b->workflow))
		diff_add(x, POLICY_CHANGED, "workflow", STR(""), "",
		    "%.*s, was %.*s", STR_FMT(x->b->workflow),
		    STR_FMT(x->a->workflow));
	for (uint32_t i = 0; i < b->n_scopes; i++) {
		if (!identity_has_scope(a, b->scopes[i]))
			diff_add(x, POLICY_LOOSER, "scopes", STR(""), "",
			    "\"%.*s\" was not held", STR_FMT(b->scopes[i]));
	}
	for (uint32_t i = 0; i < a->n_scopes; i++) {
		if (!identity_has_scope(b, a->scopes[i]))
			diff_add(x, POLICY_TIGHTER, "scopes", STR(""), "",
			    "\"%.*s\" is not held any more",
			    STR_FMT(a->scopes[i]));
	}
}

static void
diff_flow(struct differ *x)
{
	for (uint32_t i = 0; i < x->b->n_flow; i++) {
		const struct policy_flow *b = &x->b->flow[i], *a = NULL;

		for (uint32_t k = 0; k < x->a->n_flow && a == NULL; k++) {
			if (str_eq(x->a->flow[k].id, b->id))
				a = &x->a->flow[k];
		}
		if (a == NULL)
			diff_add(x, POLICY_TIGHTER, "flow", b->id, "",
			    "a new rule: %s", verdict_name(b->then));
		else
			diff_rule(x, a, b);
	}
	for (uint32_t i = 0; i < x->a->n_flow; i++) {
		const struct policy_flow *a = &x->a->flow[i];
		bool there = false;

		for (uint32_t k = 0; k < x->b->n_flow && !there; k++)
			there = str_eq(x->b->flow[k].id, a->id);
		if (!there)
			diff_add(x, POLICY_LOOSER, "flow", a->id, "",
			    "the rule is gone: %s", verdict_name(a->then));
	}
}

static void
diff_rule(
    struct differ *x, const struct policy_flow *a, const struct policy_flow *b)
{
	if (a->except_known != b->except_known)
		diff_add(x, b->except_known ? POLICY_LOOSER : POLICY_TIGHTER,
		    "flow", b->id, "except", "%s",
		    b->except_known ? "calls in the user's words are left out"
				    : "it is about every call now");
	if (a->then != b->then)
		diff_add(x, b->then < a->then ? POLICY_LOOSER : POLICY_TIGHTER,
		    "flow", b->id, "then", "%s, was %s", verdict_name(b->then),
		    verdict_name(a->then));
	if (a->risk_at_least != b->risk_at_least)
		diff_add(x,
		    b->risk_at_least > a->risk_at_least ? POLICY_LOOSER
							: POLICY_TIGHTER,
		    "flow", b->id, "risk_at_least", "%s, was %s",
		    risk_name(b->risk_at_least), risk_name(a->risk_at_least));
	/* Each has to be there: more of them, and the rule holds less often. */
	diff_lists(x, "flow", b->id, "if_labels",
	    (struct texts){ a->if_labels, a->n_if_labels },
	    (struct texts){ b->if_labels, b->n_if_labels }, POLICY_LOOSER);
}

static void
diff_sandbox(struct differ *x)
{
	const struct policy_sandbox *a = &x->a->sandbox, *b = &x->b->sandbox;
	struct texts allow_a = { a->commands_allow, a->n_commands_allow };
	struct texts allow_b = { b->commands_allow, b->n_commands_allow };
	static const struct str at = { "sandbox", 7 };

	if (!str_eq(a->image, b->image))
		diff_add(x, POLICY_CHANGED, "", at, "image", "%.*s, was %.*s",
		    STR_FMT(b->image), STR_FMT(a->image));
	if (a->commands_listed != b->commands_listed)
		diff_add(x, a->commands_listed ? POLICY_LOOSER : POLICY_TIGHTER,
		    "", at, "commands.allow",
		    a->commands_listed ? "the list is gone: any may start"
				       : "only those of the list may start");
	else
		diff_lists(x, "", at, "commands.allow", allow_a, allow_b,
		    POLICY_LOOSER);
	diff_lists(x, "", at, "commands.block",
	    (struct texts){ a->commands_block, a->n_commands_block },
	    (struct texts){ b->commands_block, b->n_commands_block },
	    POLICY_TIGHTER);
	for (uint32_t i = 0; i < WALL_COUNT; i++) {
		const uint32_t wall = 1U << i;

		if (((a->walls_required ^ b->walls_required) & wall) == 0)
			continue;
		if ((b->walls_required & wall) != 0)
			diff_add(x, POLICY_TIGHTER, "", at, "required",
			    "%s was not required", wall_name(wall));
		else
			diff_add(x, POLICY_LOOSER, "", at, "required",
			    "%s is not required any more", wall_name(wall));
	}
	/* The letter in front says which list an entry is in. */
	for (int turn = 0; turn < 2; turn++) {
		const struct policy_sandbox *in = turn == 0 ? b : a;
		const struct policy_sandbox *other = turn == 0 ? a : b;

		for (uint32_t i = 0; i < in->n_rules; i++) {
			struct str rule = in->rules[i];
			bool allows = rule.p[0] >= 'a';

			if (diff_has(
				(struct texts){ other->rules, other->n_rules },
				rule))
				continue;
			diff_add(x,
			    allows == (turn == 0) ? POLICY_LOOSER
						  : POLICY_TIGHTER,
			    "", at, "protect", "%s \"%.*s\" %s",
			    allows ? "allowing" : "denying", (int)rule.n - 1,
			    rule.p + 1,
			    turn == 0 ? "was not there" : "is gone");
		}
	}
	diff_ports(x);
	diff_mounts(x, x->b, x->a, POLICY_LOOSER);
	diff_mounts(x, x->a, x->b, POLICY_TIGHTER);
}

static void
diff_ports(struct differ *x)
{
	for (uint32_t i = 0; i < x->b->sandbox.n_ports; i++) {
		if (!policy_port_decide(x->a, x->b->sandbox.ports[i]))
			diff_add(x, POLICY_LOOSER, "sandbox", STR(""), "ports",
			    "%u was not open", x->b->sandbox.ports[i]);
	}
	for (uint32_t i = 0; i < x->a->sandbox.n_ports; i++) {
		if (!policy_port_decide(x->b, x->a->sandbox.ports[i]))
			diff_add(x, POLICY_TIGHTER, "sandbox", STR(""), "ports",
			    "%u is not open any more", x->a->sandbox.ports[i]);
	}
}

/* A folder that one mounts and the other does not, or in another way. */
static void
diff_mounts(struct differ *x, const struct policy *from,
    const struct policy *other, enum policy_change c)
{
	for (uint32_t i = 0; i < from->sandbox.n_mounts; i++) {
		const struct policy_mount *m = &from->sandbox.mounts[i];
		bool there = false, same = false;

		for (uint32_t k = 0; k < other->sandbox.n_mounts; k++) {
			const struct policy_mount *o =
			    &other->sandbox.mounts[k];

			if (!str_eq(o->to, m->to))
				continue;
			there = true;
			same = str_eq(o->from, m->from) && o->mode == m->mode &&
			    o->noexec == m->noexec;
		}
		if (!there)
			diff_add(x, c, "sandbox", STR(""), "mounts", "%.*s %s",
			    STR_FMT(m->to),
			    c == POLICY_LOOSER ? "was not mounted"
					       : "is not mounted any more");
		else if (!same && c == POLICY_LOOSER)
			diff_add(x, POLICY_CHANGED, "sandbox", STR(""),
			    "mounts", "%.*s is mounted in another way",
			    STR_FMT(m->to));
	}
}

/*
 * A rule allows, and its limits hold beside those of others: so one that comes
 * or goes is only compared where no other is about its hosts.
 */
static void
diff_egress(struct differ *x)
{
	if (x->a->egress_parts != x->b->egress_parts) {
		diff_add(x, POLICY_CHANGED, "egress", STR(""), "",
		    "which of its bases say what may leave has changed");
		return;
	}
	for (int turn = 0; turn < 2; turn++) {
		const struct policy *in = turn == 0 ? x->b : x->a;
		const struct policy *other = turn == 0 ? x->a : x->b;

		for (uint32_t i = 0; i < in->n_egress; i++) {
			const struct egress_rule *rule = &in->egress[i];
			bool alone = is_alone(in, rule) &&
			    is_alone(other, rule) && x->a->n_parts == 0 &&
			    x->b->n_parts == 0;

			if (has_rule(other, rule))
				continue;
			if (turn == 0)
				diff_add(x,
				    alone ? POLICY_LOOSER : POLICY_CHANGED,
				    "egress", STR(""), "rules",
				    "a new rule about %.*s%s",
				    STR_FMT(rule->host),
				    alone ? ""
					  : ", beside others: not compared");
			else
				diff_add(x,
				    alone ? POLICY_TIGHTER : POLICY_CHANGED,
				    "egress", STR(""), "rules",
				    "a rule about %.*s is gone%s",
				    STR_FMT(rule->host),
				    alone ? ""
					  : ", beside others: not compared");
		}
	}
}

static bool
rules_same(const struct egress_rule *a, const struct egress_rule *b)
{
	/* TLS is opened for the sake of secrets elsewhere, too. */
	if (a->part != b->part || a->tls != b->tls ||
	    !json_equal(a->json, b->json))
		return false;
	return a->approval == NULL || b->approval == NULL ||
	    diff_approval_same(a->approval, b->approval);
}

static bool
has_rule(const struct policy *p, const struct egress_rule *rule)
{
	for (uint32_t i = 0; i < p->n_egress; i++) {
		if (rules_same(&p->egress[i], rule))
			return true;
	}
	return false;
}

/* True when no other rule can be about a host of this one. */
static bool
is_alone(const struct policy *p, const struct egress_rule *rule)
{
	for (uint32_t i = 0; i < p->n_egress; i++) {
		const struct egress_rule *one = &p->egress[i];

		if (one != rule &&
		    (egress_host_match(one->host, rule->host) ||
			egress_host_match(rule->host, one->host)))
			return false;
	}
	return true;
}

static void
diff_secrets(struct differ *x)
{
	for (int turn = 0; turn < 2; turn++) {
		const struct policy *in = turn == 0 ? x->b : x->a;
		const struct policy *other = turn == 0 ? x->a : x->b;

		for (uint32_t i = 0; i < in->n_secrets; i++) {
			const struct policy_secret *s = &in->secrets[i];
			const struct policy_secret *o = NULL;
			/* A bait more is more that is watched. */
			bool more = (turn == 0) == (s->from != SECRET_CANARY);

			for (uint32_t k = 0; k < other->n_secrets; k++) {
				if (str_eq(other->secrets[k].name, s->name))
					o = &other->secrets[k];
			}
			if (o == NULL)
				diff_add(x,
				    more ? POLICY_LOOSER : POLICY_TIGHTER,
				    "secrets", s->name, "", "%s",
				    turn == 0 ? "was not there" : "is gone");
			else if (turn == 0 && !json_equal(o->json, s->json))
				diff_add(x, POLICY_CHANGED, "secrets", s->name,
				    "", "is another one, or goes elsewhere");
		}
	}
}

/* What fails on purpose allows nothing, but answers are others. */
static void
diff_faults(struct differ *x)
{
	own_arena struct arena arena = {};
	struct err e = {};
	const struct json *a = json_get(
	    json_parse(x->a->canonical, &policy_json_limits, &arena, &e, NULL),
	    STR("faults"));
	const struct json *b = json_get(
	    json_parse(x->b->canonical, &policy_json_limits, &arena, &e, NULL),
	    STR("faults"));

	if ((a == NULL) != (b == NULL) || (a != NULL && !json_equal(a, b)))
		diff_add(x, POLICY_CHANGED, "faults", STR(""), "",
		    "other calls fail on purpose");
}

/* One more restricts; of one that both have, each figure is compared. */
static void
diff_windows(struct differ *x)
{
	for (int turn = 0; turn < 2; turn++) {
		const struct policy *in = turn == 0 ? x->b : x->a;
		const struct policy *other = turn == 0 ? x->a : x->b;

		for (uint32_t i = 0; i < in->n_windows; i++) {
			const struct budget_window *w = &in->windows[i];
			const struct budget_window *o = same_window(other, w);
			const char *at = w->scope == BUDGET_OF_TENANT
			    ? "budgets.per_tenant"
			    : "budgets.per_workflow";

			if (o == NULL)
				diff_add(x,
				    turn == 0 ? POLICY_TIGHTER : POLICY_LOOSER,
				    "", str_of(at), "", "%s for each %s",
				    turn == 0 ? "is new" : "is gone",
				    budget_window_word(w->window_ms));
			for (int k = 0;
			     turn == 0 && o != NULL && k < BUDGET_KINDS; k++) {
				if (w->limit[k] == o->limit[k])
					continue;
				diff_add(x,
				    w->limit[k] > o->limit[k] ? POLICY_LOOSER
							      : POLICY_TIGHTER,
				    "", str_of(at),
				    budget_member((enum budget_kind)k),
				    "%llu, was %llu",
				    (unsigned long long)w->limit[k],
				    (unsigned long long)o->limit[k]);
			}
		}
	}
	if (x->a->budget_approval != NULL && x->b->budget_approval != NULL &&
	    x->a->extends_budgets && x->b->extends_budgets)
		diff_approval(x, "budgets", STR(""), x->a->budget_approval,
		    x->b->budget_approval);
}

static const struct budget_window *
same_window(const struct policy *p, const struct budget_window *w)
{
	for (uint32_t i = 0; i < p->n_windows; i++) {
		if (p->windows[i].scope == w->scope &&
		    p->windows[i].window_ms == w->window_ms)
			return &p->windows[i];
	}
	return NULL;
}

static int
by_change(const void *a, const void *b)
{
	const struct policy_difference *x = a, *y = b;

	if (x->change != y->change) {
		/* Looser, then what might be, then tighter. */
		static const int order[POLICY_CHANGES] = { 0, 2, 1 };

		return order[x->change] - order[y->change];
	}
	return strcmp(x->path, y->path);
}
