/*
 * The verdict on one call. Every rule that restricts it speaks; the most
 * restrictive holds, and of equals the one that spoke first. Runs at every
 * call: texts are put together by copying, never by printf, and what a rule
 * says is declared behind the test whether it speaks, since the compiler zeroes
 * whatever is declared.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/command.h"
#include "core/policy_int.h"

/* Enough pieces for the longest sentence below. */
enum { PIECES_MAX = 8 };

/* What a rule says. Pieces end at the first empty one. */
struct speech {
	enum verdict_kind kind;
	const char *code;
	struct str rule[PIECES_MAX];
	struct str reason[PIECES_MAX];
};

static void decide_row(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct verdict *out);
static void decide_alone(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct verdict *out);
static void decide_parts(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct verdict *out);
static void decide_tool(const struct policy_tool *t,
    const struct when_verdict *when, struct verdict *out);
static void decide_risk(const struct policy_tool *t, struct verdict *out);
static void decide_when(const struct policy_tool *t,
    const struct when_verdict *when, struct verdict *out);
static void decide_clearance(const struct policy_tool *t,
    const struct labels *labels, struct verdict *out);
static void decide_stage(
    uint32_t stage, const struct policy_tool *t, struct verdict *out);
static enum verdict_kind stage_cap(uint32_t stage, const struct policy_tool *t);
static void decide_scopes(
    const struct policy *p, const struct policy_tool *t, struct verdict *out);
static void decide_owner(const struct policy *p, const struct policy_tool *t,
    const struct json *args, struct verdict *out);
static void decide_args(
    const struct policy_tool *t, const struct json *args, struct verdict *out);
static void decide_paths(
    const struct policy_tool *t, const struct json *args, struct verdict *out);
static void decide_exec(
    const struct policy_tool *t, const struct json *args, struct verdict *out);
static void decide_request(
    const struct policy *p, const struct policy_call *c, struct verdict *out);
static void look(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct prov_args *out);
static bool tainted(const struct labels *labels);
static void decide_destination(const struct policy_tool *t,
    const struct policy_call *c, struct verdict *out);
static void decide_flow(const struct policy *p, const struct policy_tool *t,
    const struct labels *labels, struct verdict *out);
static void decide_unlisted(struct verdict *out);
static void put_rule(
    struct str *pieces, const struct policy_tool *t, const char *member);
static void speak(struct verdict *out, const struct speech *s);
static char *note(struct verdict *out, enum verdict_kind kind, bool *holds);
static void next_step(struct verdict *out);
static void join(char *out, size_t cap, const struct str *pieces);

void
policy_decide(
    const struct policy *p, const struct policy_call *c, struct verdict *out)
{
	decide_row(p, policy_tool_find(p, c->tool), c, out);
}

void
policy_decide_row(const struct policy *p, const struct policy_tool *t,
    const struct json *args, const struct labels *labels, struct verdict *out)
{
	struct policy_call c = {
		.tool = t != NULL ? t->name : STR(""),
		.args = args,
		.labels = labels,
	};

	decide_row(p, t, &c, out);
}

static void
decide_row(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct verdict *out)
{
	out->kind = out->would = out->approved = VERDICT_ALLOW;
	out->rule[0] = out->code[0] = out->next_step[0] = '\0';
	out->n_reasons = 0;
	out->tool = t;
	out->risk = t != NULL ? t->risk : RISK_DESTRUCTIVE;
	look(p, t, c, &out->prov);
	out->known = out->prov.known || !tainted(c->labels);
	if (t == NULL)
		decide_unlisted(out);
	else if (t->n_rows > 0)
		decide_parts(p, t, c, out);
	else
		decide_alone(p, t, c, out);
	out->kind = p->mode == POLICY_ENFORCE ? out->would : VERDICT_ALLOW;
	if (out->kind != VERDICT_ALLOW)
		next_step(out);
}

static void
decide_alone(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct verdict *out)
{
	struct when_verdict when;

	policy_when_decide(p, t, c, &when);
	decide_tool(t, &when, out);
	decide_stage(p->stage, t, out);
	decide_scopes(p, t, out);
	decide_owner(p, t, c->args, out);
	decide_args(t, c->args, out);
	decide_paths(t, c->args, out);
	decide_exec(t, c->args, out);
	decide_request(p, c, out);
	decide_clearance(t, c->labels, out);
	decide_when(t, &when, out);
	decide_destination(t, c, out);
	decide_flow(p, t, c->labels, out);
}

/* The rules of all parts, in the same order. */
static void
decide_parts(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct verdict *out)
{
	struct when_verdict when[POLICY_PARTS_MAX];
	const struct policy_tool *const *rows = t->rows;
	uint32_t n = t->n_rows;

	for (uint32_t i = 0; i < n; i++) {
		policy_when_decide(p, rows[i], c, &when[i]);
		decide_tool(rows[i], &when[i], out);
	}
	for (uint32_t i = 0; i < n; i++) {
		decide_stage(p->stage, rows[i], out);
		/* A lower stage may simulate what asked before. */
		if (rows[i]->stage != p->stage && rows[i]->stage > 0)
			decide_stage(rows[i]->stage, rows[i], out);
	}
	decide_scopes(p, t, out);
	for (uint32_t i = 0; i < n; i++)
		decide_owner(p, rows[i], c->args, out);
	for (uint32_t i = 0; i < n; i++)
		decide_args(rows[i], c->args, out);
	for (uint32_t i = 0; i < n; i++)
		decide_paths(rows[i], c->args, out);
	decide_exec(t, c->args, out);
	decide_request(p, c, out);
	for (uint32_t i = 0; i < n; i++)
		decide_clearance(rows[i], c->labels, out);
	for (uint32_t i = 0; i < n; i++)
		decide_when(rows[i], &when[i], out);
	decide_destination(t, c, out);
	decide_flow(p, t, c->labels, out);
}

void
policy_result_labels(
    const struct policy_tool *t, struct str tool, struct labels *l)
{
	static const struct str head = { "untrusted:", 10 };
	char text[LABEL_BYTES];
	bool trusted = false;

	for (uint32_t i = 0; t != NULL && i < t->n_labels_out; i++) {
		if (str_eq_c(t->labels_out[i], "trusted"))
			trusted = true;
		else
			labels_add(l, t->labels_out[i]);
	}
	if (trusted)
		return;
	if (head.n + tool.n >= sizeof(text)) {
		l->overflowed = true; /* as labels_add would say */
		return;
	}
	memcpy(text, head.p, head.n);
	if (tool.n > 0)
		memcpy(text + head.n, tool.p, tool.n);
	labels_add(l, (struct str){ text, head.n + tool.n });
}

static void
decide_tool(const struct policy_tool *t, const struct when_verdict *when,
    struct verdict *out)
{
	if (when->mode_by == NULL && !t->mode_written) {
		decide_risk(t, out);
		return;
	}

	struct speech s = { .kind = when->mode };

	if (when->mode_by != NULL) {
		s.code = when->mode == VERDICT_ALLOW ? "allowed" : "when";
		put_rule(s.rule, t, ".when");
		s.reason[0] = when->mode_by->reason;
		if (s.reason[0].n == 0) {
			s.reason[0] = STR("the policy says ");
			s.reason[1] = str_of(verdict_name(when->mode));
			s.reason[2] = STR(" for calls with ");
			s.reason[3] = when->mode_by->text;
		}
	} else {
		s.code = t->mode == VERDICT_ALLOW ? "allowed" : "tool_mode";
		put_rule(s.rule, t, ".mode");
		s.reason[0] = STR("the policy says ");
		s.reason[1] = str_of(verdict_name(t->mode));
		s.reason[2] = STR(" for ");
		s.reason[3] = t->name;
	}
	speak(out, &s);
}

/*
 * What most calls come to has few wordings, which are kept whole and at their
 * full room: two copies of a known length in place of seven pieces.
 */
static void
decide_risk(const struct policy_tool *t, struct verdict *out)
{
#define RULE "defaults.by_risk."
#define SAYS(mode)                                                            \
	{                                                                     \
		SAY(mode, "read"), SAY(mode, "draft"),                        \
		    SAY(mode, "internal_write"), SAY(mode, "external_write"), \
		    SAY(mode, "destructive")                                  \
	}
#define SAY(mode, risk) "the policy says " mode " for tools of risk " risk
	static const char rules[RISKS][40] = { RULE "read", RULE "draft",
		RULE "internal_write", RULE "external_write",
		RULE "destructive" };
	static const char says[VERDICTS][RISKS][64] = { SAYS("allow"),
		SAYS("draft"), SAYS("simulate"), SAYS("approve"),
		SAYS("block") };
#undef RULE
#undef SAYS
#undef SAY
	static const char codes[2][16] = { "risk_default", "allowed" };
	bool holds;
	char *reason = note(out, t->mode, &holds);

	if (holds) {
		memcpy(out->code, codes[t->mode == VERDICT_ALLOW],
		    sizeof(codes[0]));
		memcpy(out->rule, rules[t->risk], sizeof(rules[0]));
	}
	if (reason != NULL)
		memcpy(reason, says[t->mode][t->risk], sizeof(says[0][0]));
}

static void
decide_stage(uint32_t stage, const struct policy_tool *t, struct verdict *out)
{
	static const char *const rules[] = { "stage 0 cap", "stage 1 cap",
		"stage 2 cap", "stage 3 cap", "stage 4 cap", "stage 5 cap" };
	enum verdict_kind cap = stage_cap(stage, t);

	if (cap == VERDICT_ALLOW)
		return;
	must(stage <= 5);

	struct speech s = {
		.kind = cap,
		.code = "stage_cap",
		.rule = { str_of(rules[stage]) },
		.reason = { str_of(rules[stage]), STR("s "),
		    str_of(risk_name(t->risk)), STR(" tools at "),
		    str_of(verdict_name(cap)),
		    stage == 4 ? STR(" unless they are reversible") : STR("") },
	};
	speak(out, &s);
}

/* What a stage allows at most (docs/POLICY.md has this as a table). */
static enum verdict_kind
stage_cap(uint32_t stage, const struct policy_tool *t)
{
	static const enum verdict_kind caps[3][RISKS] = {
		{ VERDICT_ALLOW, VERDICT_SIMULATE, VERDICT_SIMULATE,
		    VERDICT_SIMULATE, VERDICT_SIMULATE },
		{ VERDICT_ALLOW, VERDICT_ALLOW, VERDICT_SIMULATE,
		    VERDICT_SIMULATE, VERDICT_SIMULATE },
		{ VERDICT_ALLOW, VERDICT_ALLOW, VERDICT_ALLOW, VERDICT_APPROVE,
		    VERDICT_SIMULATE },
	};

	if (stage >= 1 && stage <= 3)
		return caps[stage - 1][t->risk];
	if (stage == 4 && t->risk > RISK_DRAFT && !t->reversible)
		return VERDICT_APPROVE;
	return VERDICT_ALLOW;
}

static void
decide_scopes(
    const struct policy *p, const struct policy_tool *t, struct verdict *out)
{
	for (uint32_t i = 0; i < t->n_scopes; i++) {
		if (identity_has_scope(&p->identity, t->scopes[i]))
			continue;
		speak(out,
		    &(struct speech){
			.kind = VERDICT_BLOCK,
			.code = "missing_scope",
			.rule = { STR("scope "), t->scopes[i] },
			.reason = { t->name, STR(" needs the scope "),
			    t->scopes[i], STR(", which "), p->identity.actor,
			    STR(" does not hold") },
		    });
	}
}

/* Not his, or not known whose: blocked either way. */
static void
decide_owner(const struct policy *p, const struct policy_tool *t,
    const struct json *args, struct verdict *out)
{
	const char *why;

	if (policy_owner_decide(p, t, args, &why) == EXPR_TRUE)
		return;
	speak(out,
	    &(struct speech){
		.kind = VERDICT_BLOCK,
		.code = "not_owner",
		.rule = { STR("tools."), t->name, STR(".owner") },
		.reason = { STR("what the call is about is not "),
		    p->identity.actor, STR("'s: "), t->owner_text,
		    why != NULL ? STR(" cannot be told: ") : STR(""),
		    str_of(why) },
	    });
}

static void
decide_paths(
    const struct policy_tool *t, const struct json *args, struct verdict *out)
{
	const char *why;

	if (t->paths == NULL)
		return;
	why = policy_paths_decide(t, args);
	if (why == NULL)
		return;
	speak(out,
	    &(struct speech){
		.kind = VERDICT_BLOCK,
		.code = "path",
		.rule = { STR("tools."), t->name, STR(".paths") },
		.reason = { STR("the call has "), str_of(why),
		    t->risk == RISK_READ ? STR(" for reading")
					 : STR(" for writing") },
	    });
}

static void
decide_args(
    const struct policy_tool *t, const struct json *args, struct verdict *out)
{
	if (t->args == NULL || args == NULL)
		return;

	struct schema_report why;

	if (schema_check(t->args, args, &why) == SCHEMA_VALID)
		return;

	struct speech s = {
		.kind = VERDICT_BLOCK,
		.code = "invalid_arguments",
		.reason = { STR("the argument "), str_of(why.path), STR(" "),
		    str_of(why.text) },
	};

	put_rule(s.rule, t, ".args");
	speak(out, &s);
}

/* What cannot be a word of a command is none. */
static void
decide_exec(
    const struct policy_tool *t, const struct json *args, struct verdict *out)
{
	if (t->exec == NULL || args == NULL)
		return;

	struct command_fault why = command_check(t->exec, args);

	if (why.text == NULL)
		return;

	struct speech s = {
		.kind = VERDICT_BLOCK,
		.code = "invalid_arguments",
		.reason = { STR("the argument "), why.arg, STR(" "),
		    str_of(why.text) },
	};

	put_rule(s.rule, t, ".exec");
	speak(out, &s);
}

/* What no request of an operation can be is none. */
static void
decide_request(
    const struct policy *p, const struct policy_call *c, struct verdict *out)
{
	const struct policy_server *server = NULL;
	char why[REASON_BYTES];

	if (p->n_servers == 0 || c->args == NULL ||
	    policy_openapi_takes(
		p, c->tool, c->args, &server, why, sizeof(why)))
		return;

	struct speech s = {
		.kind = VERDICT_BLOCK,
		.code = "invalid_arguments",
		.rule = { STR("servers."), server->name, STR(".openapi") },
		.reason = { str_of(why) },
	};

	speak(out, &s);
}

/* What cannot be evaluated is `on_error`: blocked. */
static void
decide_when(const struct policy_tool *t, const struct when_verdict *when,
    struct verdict *out)
{
	if (when->failed == NULL && when->then_by == NULL)
		return;

	struct speech s = {};

	put_rule(s.rule, t, ".when");
	if (when->failed != NULL) {
		s.kind = VERDICT_BLOCK;
		s.code = "rule_error";
		s.reason[0] = STR("the rule ");
		s.reason[1] = when->failed->text;
		s.reason[2] = STR(" cannot be evaluated: ");
		s.reason[3] = str_of(when->why);
		speak(out, &s);
	}
	if (when->then_by == NULL)
		return;
	s.kind = when->then;
	s.code = "when";
	s.reason[0] = when->then_by->reason;
	s.reason[1] = STR("");
	if (s.reason[0].n == 0) {
		s.reason[0] = STR("the policy says ");
		s.reason[1] = str_of(verdict_name(when->then));
		s.reason[2] = STR(" for calls with ");
		s.reason[3] = when->then_by->text;
	}
	speak(out, &s);
}

static void
decide_clearance(const struct policy_tool *t, const struct labels *labels,
    struct verdict *out)
{
	struct str label = STR("more labels than are kept");
	bool good = !t->cleared || !labels->overflowed;

	for (uint32_t i = 0; t->cleared && good && i < labels->n; i++) {
		uint32_t k = 0;

		label = str_of(labels->text[i]);
		while (k < t->n_clearance && !str_glob(t->clearance[k], label))
			k++;
		good = k < t->n_clearance;
	}
	if (good)
		return;

	struct speech s = {
		.kind = VERDICT_BLOCK,
		.code = "clearance",
		.reason = { STR("the run holds data labelled "), label,
		    STR(", and "), t->name, STR(" is not cleared for it") },
	};

	put_rule(s.rule, t, ".clearance");
	speak(out, &s);
}

/* Only where it may count, or somebody keeps what the run was told. */
static void
look(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct prov_args *out)
{
	out->n = 0;
	out->known = out->astray = false;
	if (!json_is(c->args, JSON_OBJECT) || (!p->locates && c->prov == NULL))
		return;
	prov_look(c->prov, t, c->args, out);
	/* A part that names a destination must not spare another's rule. */
	for (uint32_t i = 0; t != NULL && i < t->n_rows && out->known; i++) {
		static struct prov_args one;

		prov_look(c->prov, t->rows[i], c->args, &one);
		out->known = one.known;
	}
}

static bool
tainted(const struct labels *labels)
{
	return labels_match(labels, STR("untrusted:*")) ||
	    labels_match(labels, STR("untrusted"));
}

/*
 * Who names the place where an effect lands has the effect. Before anything
 * untrusted has been read, nobody but the user can have named it.
 */
static void
decide_destination(const struct policy_tool *t, const struct policy_call *c,
    struct verdict *out)
{
	const struct prov_args *a = &out->prov;

	if (!a->astray || !tainted(c->labels))
		return;

	char from[PROV_SAID_BYTES];
	struct speech s = {
		.kind = t->untrusted_destination,
		.code = "untrusted_destination",
		.reason = { STR("one of the destinations is not known to be "
				"the user's") },
	};
	put_rule(s.rule, t, ".destination");
	if (a->first_astray < a->n) {
		prov_say(&a->arg[a->first_astray], from);
		s.reason[0] = STR("the destination ");
		s.reason[1] = str_of(a->arg[a->first_astray].path);
		s.reason[2] = STR(" comes ");
		s.reason[3] = str_of(from);
		s.reason[4] = STR(", which is not known to be the user's");
	}
	speak(out, &s);
}

static void
decide_flow(const struct policy *p, const struct policy_tool *t,
    const struct labels *labels, struct verdict *out)
{
	for (uint32_t i = 0; i < p->n_flow; i++) {
		const struct policy_flow *f = &p->flow[i];
		uint32_t k = 0;

		if (t->risk < f->risk_at_least ||
		    (f->except_known && out->prov.known))
			continue;
		while (
		    k < f->n_if_labels && labels_match(labels, f->if_labels[k]))
			k++;
		if (k < f->n_if_labels)
			continue;

		struct speech s = {
			.kind = f->then,
			.code = "flow",
			.rule = { STR("flow."), f->id },
			.reason = { STR("the run holds data labelled "),
			    f->if_labels[0],
			    f->n_if_labels > 1 ? STR(" and more, so ")
					       : STR(", so "),
			    t->name, STR(" is held to "),
			    str_of(verdict_name(f->then)) },
		};

		if (f->reason.n > 0) {
			s.reason[0] = f->reason;
			s.reason[1] = STR("");
		}
		speak(out, &s);
	}
}

static void
decide_unlisted(struct verdict *out)
{
	static const struct speech s = {
		.kind = VERDICT_BLOCK,
		.code = "unlisted_tool",
		.rule = { { "defaults.unlisted", 17 } },
		.reason = { { "the policy lists no such tool", 29 } },
	};

	speak(out, &s);
}

/* "tools.kb.search.mode", in a base "base@3 tools.kb.search.mode". */
static void
put_rule(struct str *pieces, const struct policy_tool *t, const char *member)
{
	if (t->of.n > 0) {
		*pieces++ = t->of;
		*pieces++ = STR(" ");
	}
	pieces[0] = STR("tools.");
	pieces[1] = t->name;
	pieces[2] = str_of(member);
}

static void
speak(struct verdict *out, const struct speech *s)
{
	bool holds;
	char *reason = note(out, s->kind, &holds);

	if (holds) {
		(void)str_copy(str_of(s->code), out->code, sizeof(out->code));
		join(out->rule, sizeof(out->rule), s->rule);
	}
	if (reason != NULL)
		join(reason, REASON_BYTES, s->reason);
}

/*
 * Notes one rule. The first reason is always that of the rule that holds, and
 * a full list never drops it. Returns where this one's goes, or NULL for
 * nowhere; *holds: code and rule are this one's, too.
 */
static char *
note(struct verdict *out, enum verdict_kind kind, bool *holds)
{
	bool first = out->n_reasons == 0;
	bool full = out->n_reasons == REASONS_MAX;
	uint32_t at = full ? REASONS_MAX - 1 : out->n_reasons;

	*holds = first || kind > out->would;
	out->n_reasons = at + 1;
	if (kind == VERDICT_SIMULATE)
		out->approved = VERDICT_SIMULATE;
	if (!*holds)
		return full ? NULL : out->reasons[at];
	out->would = kind;
	if (!first)
		memcpy(out->reasons[at], out->reasons[0], REASON_BYTES);
	return out->reasons[0];
}

/* For the agent: what to do now, by what was decided and why. */
static void
next_step(struct verdict *out)
{
	struct str tool = out->tool != NULL ? out->tool->name : STR("");
	struct str pieces[PIECES_MAX] = {};

	switch (out->kind) {
	case VERDICT_ALLOW:
	case VERDICT_SIMULATE: /* the agent is not to know */
	case VERDICTS:
		return;
	case VERDICT_DRAFT:
		pieces[0] = STR("The draft is stored and nothing has been "
				"sent: tell the user that it waits.");
		break;
	case VERDICT_APPROVE:
		pieces[0] = STR("A person must approve this call: wait for "
				"the answer, and do not send it again.");
		break;
	case VERDICT_BLOCK:
		if (out->tool == NULL) {
			pieces[0] = STR("Use one of the listed tools; this "
					"one cannot be called.");
			break;
		}
		pieces[0] = STR("Go on without ");
		pieces[1] = tool;
		if (strcmp(out->code, "missing_scope") == 0) {
			pieces[2] = STR(", or ask the user to have the scope "
					"granted for another run.");
		} else if (strcmp(out->code, "invalid_arguments") == 0) {
			pieces[0] = STR("Mend the arguments as the reason "
					"says, and call ");
			pieces[2] = STR(" again.");
		} else if (strcmp(out->code, "not_owner") == 0) {
			pieces[2] = STR(" for what is not theirs, and tell "
					"the user that you may not.");
		} else if (strcmp(out->code, "flow") == 0 ||
		    strcmp(out->code, "untrusted_destination") == 0 ||
		    strcmp(out->code, "clearance") == 0) {
			pieces[2] = STR(", which this run may not use after "
					"what it has read; leave that step "
					"to a person.");
		} else {
			pieces[2] = STR(", and tell the user that a person "
					"has to do that step.");
		}
		break;
	}
	join(out->next_step, sizeof(out->next_step), pieces);
}

/* Cuts what is too long, never within a character. */
static void
join(char *out, size_t cap, const struct str *pieces)
{
	size_t n = 0;

	for (int i = 0; i < PIECES_MAX && pieces[i].n > 0; i++) {
		size_t more = pieces[i].n;

		if (more > cap - 1 - n) {
			more = cap - 1 - n;
			while (more > 0 &&
			    ((unsigned char)pieces[i].p[more] & 0xc0) == 0x80)
				more--;
		}
		memcpy(out + n, pieces[i].p, more);
		n += more;
		if (more < pieces[i].n)
			break;
	}
	out[n] = '\0';
}
