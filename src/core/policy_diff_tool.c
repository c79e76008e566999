/*
 * The rows of two policies. A name is compared by the row that each policy has
 * for it. Patterns are compared one by one where both policies have the same
 * ones, because then each tool falls to the same; a pattern more or less may
 * take tools from other rows, and is compared only where it meets none.
 */
#include <string.h>

#include "base/limits.h"
#include "core/policy_diff_int.h"

static void diff_row(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_pattern(struct differ *x, const struct policy_tool *t,
    const struct policy *in, const struct policy *other, bool is_new);
static void diff_verdict(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_args(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_pace(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_repeats(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_costs(struct differ *x, struct str name,
    const struct policy_cost *a, const struct policy_cost *b);
static void diff_exec(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_paths(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_owner(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_clearance(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static void diff_destination(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static bool spares_known(const struct policy *p);
static void diff_when(struct differ *x, struct str name,
    const struct policy_tool *a, const struct policy_tool *b);
static uint32_t rules_only(const struct policy_tool *in,
    const struct policy_tool *other, bool exceptions);
static bool asks_labels(const struct policy *p);
static bool stage_counts(const struct differ *x, const struct policy_tool *t);
static const struct policy_tool *pattern_find(
    const struct policy *p, const struct policy_tool *t);
static bool is_pattern(struct str name);
static const struct policy_tool *row_at(
    const struct policy_tool *t, uint32_t i);
static uint32_t n_rows(const struct policy_tool *t);

void
diff_tools(struct differ *x)
{
	for (uint32_t i = 0; i < x->b->n_tools; i++) {
		const struct policy_tool *t = &x->b->tools[i];

		if (is_pattern(t->name))
			diff_pattern(x, t, x->b, x->a, true);
		else
			diff_row(
			    x, t->name, policy_tool_find(x->a, t->name), t);
	}
	for (uint32_t i = 0; i < x->a->n_tools; i++) {
		const struct policy_tool *t = &x->a->tools[i];
		const struct policy_tool *now;

		if (is_pattern(t->name)) {
			diff_pattern(x, t, x->a, x->b, false);
			continue;
		}
		now = policy_tool_find(x->b, t->name);
		/* A row of its own has been compared above. */
		if (now == NULL || is_pattern(now->name))
			diff_row(x, t->name, t, now);
	}
}

static void
diff_row(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	static const struct labels none;
	struct verdict v;

	if (a == NULL && b == NULL)
		return;
	if (a == NULL || b == NULL) {
		policy_decide_row(a == NULL ? x->b : x->a, a == NULL ? b : a,
		    NULL, &none, &v);
		diff_add(x, a == NULL ? POLICY_LOOSER : POLICY_TIGHTER, "tools",
		    name, "", "%s, was %s",
		    a == NULL ? verdict_name(v.would) : "not listed",
		    a == NULL ? "not listed" : verdict_name(v.would));
		return;
	}
	diff_verdict(x, name, a, b);
	diff_args(x, name, a, b);
	diff_when(x, name, a, b);
	diff_owner(x, name, a, b);
	diff_paths(x, name, a, b);
	diff_clearance(x, name, a, b);
	diff_approval(x, "tools", name, a->approval, b->approval);
	diff_lists(x, "tools", name, "labels_out",
	    (struct texts){ a->labels_out, a->n_labels_out },
	    (struct texts){ b->labels_out, b->n_labels_out },
	    asks_labels(x->a) || asks_labels(x->b) ? POLICY_CHANGED
						   : POLICY_TIGHTER);
	diff_destination(x, name, a, b);
	diff_lists(x, "tools", name, "redact.args",
	    (struct texts){ a->redact_args, a->n_redact_args },
	    (struct texts){ b->redact_args, b->n_redact_args }, POLICY_TIGHTER);
	diff_lists(x, "tools", name, "redact.result",
	    (struct texts){ a->redact_result, a->n_redact_result },
	    (struct texts){ b->redact_result, b->n_redact_result },
	    POLICY_TIGHTER);
	diff_pace(x, name, a, b);
	diff_costs(x, name, a->costs, b->costs);
	diff_repeats(x, name, a, b);
	diff_exec(x, name, a, b);
	if (a->retries != b->retries)
		diff_add(x,
		    b->retries > a->retries ? POLICY_LOOSER : POLICY_TIGHTER,
		    "tools", name, "retries", "%s retries than before",
		    b->retries > a->retries ? "more" : "fewer");
	if (a->timeout_ms != b->timeout_ms)
		diff_add(x,
		    b->timeout_ms > a->timeout_ms ? POLICY_LOOSER
						  : POLICY_TIGHTER,
		    "tools", name, "timeout_ms", "%u, was %u", b->timeout_ms,
		    a->timeout_ms);
}

/* What is said of every call, before arguments and labels are looked at. */
static void
diff_verdict(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	static const struct labels none;
	struct verdict was, is;

	policy_decide_row(x->a, a, NULL, &none, &was);
	policy_decide_row(x->b, b, NULL, &none, &is);
	if (is.would != was.would)
		diff_add(x,
		    is.would < was.would ? POLICY_LOOSER : POLICY_TIGHTER,
		    "tools", name, "mode", "%s, was %s (%s)",
		    verdict_name(is.would), verdict_name(was.would),
		    is.would < was.would ? was.rule : is.rule);
	else if (is.would == VERDICT_APPROVE && is.approved != was.approved)
		diff_add(x,
		    is.approved < was.approved ? POLICY_LOOSER : POLICY_TIGHTER,
		    "tools", name, "mode", "a yes leads to %s, before to %s",
		    verdict_name(is.approved), verdict_name(was.approved));
	/* Another mode below the same cap is in an exception's place. */
	else if (a->mode != b->mode)
		diff_add(x, b->mode < a->mode ? POLICY_LOOSER : POLICY_TIGHTER,
		    "tools", name, "mode", "%s, was %s", verdict_name(b->mode),
		    verdict_name(a->mode));
	if (a->risk != b->risk)
		diff_add(x, b->risk < a->risk ? POLICY_LOOSER : POLICY_TIGHTER,
		    "tools", name, "risk", "%s, was %s", risk_name(b->risk),
		    risk_name(a->risk));
}

static void
diff_args(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	uint32_t n = n_rows(a);
	bool same = n == n_rows(b), had = false, has = false;

	for (uint32_t i = 0; i < n; i++)
		had |= row_at(a, i)->args != NULL;
	for (uint32_t i = 0; i < n_rows(b); i++)
		has |= row_at(b, i)->args != NULL;
	for (uint32_t i = 0; same && i < n; i++) {
		const struct json *was =
		    json_get(row_at(a, i)->json, STR("args"));
		const struct json *is =
		    json_get(row_at(b, i)->json, STR("args"));

		same = (was == NULL) == (is == NULL) &&
		    (was == NULL || json_equal(was, is));
	}
	if (same || (!had && !has))
		return;
	if (!had)
		diff_add(x, POLICY_TIGHTER, "tools", name, "args",
		    "arguments have a schema now");
	else if (!has)
		diff_add(x, POLICY_LOOSER, "tools", name, "args",
		    "arguments have no schema any more");
	else
		diff_add(x, POLICY_CHANGED, "tools", name, "args",
		    "the schema is another one, which is not compared");
}

static void
diff_pace(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	for (uint32_t i = 0; n_rows(a) == n_rows(b) && i < n_rows(a); i++) {
		const struct rate_rule *was = &row_at(a, i)->rate;
		const struct rate_rule *is = &row_at(b, i)->rate;
		const struct breaker_rule *old = &row_at(a, i)->breaker;
		const struct breaker_rule *now = &row_at(b, i)->breaker;

		if (was->period_ms != is->period_ms || was->burst != is->burst)
			diff_add(x,
			    was->period_ms == 0	     ? POLICY_TIGHTER
				: is->period_ms == 0 ? POLICY_LOOSER
				: is->period_ms != was->period_ms
				? POLICY_CHANGED
				: is->burst > was->burst ? POLICY_LOOSER
							 : POLICY_TIGHTER,
			    "tools", name, "rate", "another rate");
		if (old->failures != now->failures ||
		    old->window_ms != now->window_ms ||
		    old->open_ms != now->open_ms)
			diff_add(x,
			    old->failures == 0	     ? POLICY_TIGHTER
				: now->failures == 0 ? POLICY_LOOSER
						     : POLICY_CHANGED,
			    "tools", name, "breaker", "another breaker");
	}
}

/* What is done twice, and by whom. */
static void
diff_repeats(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	if (!str_eq(a->idem_text, b->idem_text) ||
	    a->idem_within != b->idem_within)
		diff_add(x,
		    a->idem == NULL	  ? POLICY_TIGHTER
			: b->idem == NULL ? POLICY_LOOSER
					  : POLICY_CHANGED,
		    "tools", name, "idempotency", "%s",
		    a->idem == NULL	  ? "no call is made twice now"
			: b->idem == NULL ? "calls may be made twice"
					  : "other calls are the same");
	else if (a->idem_ms != b->idem_ms)
		diff_add(x,
		    a->idem_ms < b->idem_ms ? POLICY_TIGHTER : POLICY_LOOSER,
		    "tools", name, "idempotency.window",
		    a->idem_ms < b->idem_ms ? "no call is made twice for longer"
					    : "calls may be made twice sooner");
	if (!str_eq(a->commit, b->commit))
		diff_add(x, POLICY_CHANGED, "tools", name, "commit",
		    "drafts become other calls");
	if (a->retry.times != b->retry.times)
		diff_add(x,
		    b->retry.times > a->retry.times ? POLICY_LOOSER
						    : POLICY_TIGHTER,
		    "tools", name, "retry", "%u times, were %u", b->retry.times,
		    a->retry.times);
	if (a->retry.repeatable != b->retry.repeatable)
		diff_add(x,
		    b->retry.repeatable ? POLICY_LOOSER : POLICY_TIGHTER,
		    "tools", name, "retry", "what may be done twice is %s",
		    b->retry.repeatable ? "more" : "less");
}

/* What costs more is sooner over. */
static void
diff_costs(struct differ *x, struct str name, const struct policy_cost *a,
    const struct policy_cost *b)
{
	static const struct policy_cost nothing[BUDGET_KINDS];

	a = a != NULL ? a : nothing;
	b = b != NULL ? b : nothing;
	for (int k = BUDGET_MODEL_CALLS; k < BUDGET_KINDS; k++) {
		const char *member = budget_cost_member((enum budget_kind)k);

		if (!str_eq(a[k].at, b[k].at))
			diff_add(x, POLICY_CHANGED, "tools", name, "costs",
			    "%s is counted in another way", member);
		else if (a[k].most != b[k].most)
			diff_add(x,
			    b[k].most < a[k].most ? POLICY_LOOSER
						  : POLICY_TIGHTER,
			    "tools", name, "costs", "%s %s than before", member,
			    b[k].most < a[k].most ? "less" : "more");
	}
}

/* Which of two programs does more nobody can tell. */
static void
diff_exec(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	const struct json *was = NULL, *is = NULL;

	for (uint32_t i = 0; i < n_rows(a) && was == NULL; i++)
		was = json_get(row_at(a, i)->json, STR("exec"));
	for (uint32_t i = 0; i < n_rows(b) && is == NULL; i++)
		is = json_get(row_at(b, i)->json, STR("exec"));
	if (was == NULL && is == NULL)
		return;
	if (was == NULL || is == NULL)
		diff_add(x, POLICY_CHANGED, "tools", name, "exec", "%s",
		    is != NULL ? "a command does it now"
			       : "no command does it any more");
	else if (!json_equal(was, is))
		diff_add(x, POLICY_CHANGED, "tools", name, "exec",
		    "the command is another one, which is not compared");
}

static void
diff_paths(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	for (uint32_t i = 0; n_rows(a) == n_rows(b) && i < n_rows(a); i++) {
		const struct policy_paths *was = row_at(a, i)->paths;
		const struct policy_paths *is = row_at(b, i)->paths;

		if (policy_paths_same(was, is))
			continue;
		diff_add(x,
		    was == NULL	     ? POLICY_TIGHTER
			: is == NULL ? POLICY_LOOSER
				     : POLICY_CHANGED,
		    "tools", name, "paths", "%s",
		    was == NULL	     ? "calls may name listed paths only"
			: is == NULL ? "calls may name any path"
				     : "other paths may be named, which are "
				       "not compared");
	}
}

static void
diff_owner(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	for (uint32_t i = 0; n_rows(a) == n_rows(b) && i < n_rows(a); i++) {
		const struct policy_tool *was = row_at(a, i);
		const struct policy_tool *is = row_at(b, i);

		if (str_eq(was->owner_text, is->owner_text))
			continue;
		if (was->owner == NULL)
			diff_add(x, POLICY_TIGHTER, "tools", name, "owner",
			    "calls must be about the identity's own now");
		else if (is->owner == NULL)
			diff_add(x, POLICY_LOOSER, "tools", name, "owner",
			    "calls may be about anybody's");
		else
			diff_add(x, POLICY_CHANGED, "tools", name, "owner",
			    "the condition is another one, which is not "
			    "compared");
	}
}

static void
diff_clearance(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	if (n_rows(a) != n_rows(b)) {
		diff_add(x, POLICY_CHANGED, "tools", name, "",
		    "other parts of the policy have a row");
		return;
	}
	for (uint32_t i = 0; i < n_rows(a); i++) {
		const struct policy_tool *was = row_at(a, i);
		const struct policy_tool *is = row_at(b, i);

		if (was->cleared != is->cleared)
			diff_add(x,
			    is->cleared ? POLICY_TIGHTER : POLICY_LOOSER,
			    "tools", name, "clearance",
			    is->cleared ? "labels have to be cleared now"
					: "any label is cleared now");
		else
			diff_lists(x, "tools", name, "clearance",
			    (struct texts){ was->clearance, was->n_clearance },
			    (struct texts){ is->clearance, is->n_clearance },
			    POLICY_LOOSER);
	}
}

/*
 * One more destination restricts, and one fewer is less; but which calls are
 * in the user's words depends on them, too.
 */
static void
diff_destination(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	bool spares = spares_known(x->a) || spares_known(x->b);

	diff_lists(x, "tools", name, "destination",
	    (struct texts){ a->destination, a->n_destination },
	    (struct texts){ b->destination, b->n_destination },
	    spares ? POLICY_CHANGED : POLICY_TIGHTER);
	diff_lists(x, "tools", name, "trusted_fields",
	    (struct texts){ a->trusted_fields, a->n_trusted_fields },
	    (struct texts){ b->trusted_fields, b->n_trusted_fields },
	    POLICY_CHANGED);
	if (a->leaves != b->leaves)
		diff_add(x,
		    spares	    ? POLICY_CHANGED
			: b->leaves ? POLICY_TIGHTER
				    : POLICY_LOOSER,
		    "tools", name, "leaves",
		    b->leaves ? "every argument is a destination now"
			      : "not every argument is a destination now");
	if (a->untrusted_destination != b->untrusted_destination &&
	    (a->leaves || a->n_destination > 0))
		diff_add(x,
		    b->untrusted_destination < a->untrusted_destination
			? POLICY_LOOSER
			: POLICY_TIGHTER,
		    "tools", name, "untrusted_destination", "%s, was %s",
		    verdict_name(b->untrusted_destination),
		    verdict_name(a->untrusted_destination));
}

static bool
spares_known(const struct policy *p)
{
	for (uint32_t i = 0; i < p->n_flow; i++) {
		if (p->flow[i].except_known)
			return true;
	}
	return false;
}

/*
 * Rules are the same when their texts are. One that comes or goes has its
 * direction, but an exception that goes takes the errors along that it blocked
 * calls with, and rules that both come and go may be one that was rewritten.
 */
static void
diff_when(struct differ *x, struct str name, const struct policy_tool *a,
    const struct policy_tool *b)
{
	uint32_t came, went;

	if (n_rows(a) != n_rows(b))
		return; /* told by its clearance */
	if ((stage_counts(x, a) || stage_counts(x, b)))
		diff_add(x, POLICY_CHANGED, "tools", name, "when",
		    "another stage has other rules, which are not compared");
	for (uint32_t i = 0; i < n_rows(a); i++) {
		const struct policy_tool *was = row_at(a, i);
		const struct policy_tool *is = row_at(b, i);

		came = rules_only(is, was, false);
		went = rules_only(was, is, false);
		if (came > 0 && went > 0)
			diff_add(x, POLICY_CHANGED, "tools", name, "when",
			    "other rules restrict, which are not compared");
		else if (came + went > 0)
			diff_add(x, came > 0 ? POLICY_TIGHTER : POLICY_LOOSER,
			    "tools", name, "when", "%u rule%s %s", came + went,
			    came + went == 1 ? "" : "s",
			    came > 0 ? "more restrict" : "fewer restrict");
		came = rules_only(is, was, true);
		went = rules_only(was, is, true);
		if (came > 0 && went == 0)
			diff_add(x, POLICY_LOOSER, "tools", name, "when",
			    "%u exception%s more", came, came == 1 ? "" : "s");
		else if (went > 0)
			diff_add(x, POLICY_CHANGED, "tools", name, "when",
			    "the exceptions are others, which are not "
			    "compared");
	}
}

static uint32_t
rules_only(const struct policy_tool *in, const struct policy_tool *other,
    bool exceptions)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < in->n_when; i++) {
		const struct policy_when *w = &in->when[i];
		bool there = false;

		for (uint32_t k = 0; k < other->n_when && !there; k++) {
			const struct policy_when *o = &other->when[k];

			there = o->exception == w->exception &&
			    o->then == w->then &&
			    o->from_stage == w->from_stage &&
			    str_eq(o->text, w->text);
		}
		n += w->exception == exceptions && !there;
	}
	return n;
}

/* What a tool's result brings may be what another tool's rule asks about. */
static bool
asks_labels(const struct policy *p)
{
	for (uint32_t i = 0; i < p->n_tools; i++) {
		for (uint32_t k = 0; k < n_rows(&p->tools[i]); k++) {
			if (row_at(&p->tools[i], k)->n_when > 0)
				return true;
		}
	}
	return false;
}

/* A rule is in force at one of the two stages only. */
static bool
stage_counts(const struct differ *x, const struct policy_tool *t)
{
	for (uint32_t i = 0; i < n_rows(t); i++) {
		for (uint32_t k = 0; k < row_at(t, i)->n_when; k++) {
			uint32_t from = row_at(t, i)->when[k].from_stage;

			if ((x->a->stage < from) != (x->b->stage < from))
				return true;
		}
	}
	return false;
}

static void
diff_pattern(struct differ *x, const struct policy_tool *t,
    const struct policy *in, const struct policy *other, bool is_new)
{
	const struct policy_tool *same = pattern_find(other, t);
	static const struct labels none;
	struct verdict v;

	if (same != NULL) {
		if (is_new)
			diff_row(x, t->name, same, t);
		return;
	}
	for (uint32_t i = 0; i < other->n_tools; i++) {
		struct str name = other->tools[i].name;

		/* Names have rows of their own, but in a policy of parts. */
		if (other->n_parts == 0 && in->n_parts == 0 &&
		    (!is_pattern(name) || !policy_patterns_meet(name, t->name)))
			continue;
		diff_add(x, POLICY_CHANGED, "tools", t->name, "",
		    "%s pattern beside %.*s: whose tools it takes is not "
		    "compared",
		    is_new ? "a new" : "a removed", STR_FMT(name));
		return;
	}
	policy_decide_row(in, t, NULL, &none, &v);
	diff_add(x, is_new ? POLICY_LOOSER : POLICY_TIGHTER, "tools", t->name,
	    "", "%s, was %s", is_new ? verdict_name(v.would) : "not listed",
	    is_new ? "not listed" : verdict_name(v.would));
}

static const struct policy_tool *
pattern_find(const struct policy *p, const struct policy_tool *t)
{
	for (uint32_t i = 0; i < p->n_tools; i++) {
		const struct policy_tool *one = &p->tools[i];
		bool same =
		    n_rows(one) == n_rows(t) && str_eq(one->name, t->name);

		for (uint32_t k = 0; same && k < n_rows(t); k++)
			same = str_eq(row_at(one, k)->name, row_at(t, k)->name);
		if (same)
			return one;
	}
	return NULL;
}

bool
diff_approval_same(
    const struct policy_approval *a, const struct policy_approval *b)
{
	struct policy_diff none = {};
	struct differ x = { .d = &none };
	bool same;

	diff_approval(&x, "", STR(""), a, b);
	same = none.n == 0;
	policy_diff_fini(&none);
	return same;
}

void
diff_approval(struct differ *x, const char *group, struct str name,
    const struct policy_approval *a, const struct policy_approval *b)
{
	struct texts was = { a->from_roles, a->n_from_roles };
	struct texts is = { b->from_roles, b->n_from_roles };

	if (a->quorum != b->quorum)
		diff_add(x,
		    b->quorum < a->quorum ? POLICY_LOOSER : POLICY_TIGHTER,
		    group, name, "approval", "%u votes, were %u", b->quorum,
		    a->quorum);
	if ((was.n == 0) != (is.n == 0))
		diff_add(x, is.n == 0 ? POLICY_LOOSER : POLICY_TIGHTER, group,
		    name, "approval", "%s may vote",
		    is.n == 0 ? "any role" : "only some roles");
	else
		diff_lists(x, group, name, "approval.from_roles", was, is,
		    POLICY_LOOSER);
	if (a->distinct_from_actor != b->distinct_from_actor)
		diff_add(x,
		    a->distinct_from_actor ? POLICY_LOOSER : POLICY_TIGHTER,
		    group, name, "approval", "the actor %s vote",
		    a->distinct_from_actor ? "may" : "may not");
	if (a->distinct_from_requester != b->distinct_from_requester)
		diff_add(x,
		    a->distinct_from_requester ? POLICY_LOOSER : POLICY_TIGHTER,
		    group, name, "approval", "who opened the run %s vote",
		    a->distinct_from_requester ? "may" : "may not");
	if (a->deadline_ms != b->deadline_ms)
		diff_add(x,
		    b->deadline_ms > a->deadline_ms ? POLICY_LOOSER
						    : POLICY_TIGHTER,
		    group, name, "approval", "the deadline is %s",
		    b->deadline_ms > a->deadline_ms ? "later" : "sooner");
	if (a->on_timeout != b->on_timeout ||
	    !str_eq(a->escalate_name, b->escalate_name))
		diff_add(x, POLICY_CHANGED, group, name, "approval",
		    "something else is done when nobody decides");
	diff_lists(x, group, name, "approval.edit",
	    (struct texts){ a->edit, a->n_edit },
	    (struct texts){ b->edit, b->n_edit }, POLICY_LOOSER);
}

static bool
is_pattern(struct str name)
{
	return str_find(name, '*') < name.n;
}

/* The rows that decide: of its parts, or it alone. */
static const struct policy_tool *
row_at(const struct policy_tool *t, uint32_t i)
{
	return t->n_rows > 0 ? t->rows[i] : t;
}

static uint32_t
n_rows(const struct policy_tool *t)
{
	return t->n_rows > 0 ? t->n_rows : 1;
}
