/*
 * "tools", "flow" and "approvals": the rows that decisions are made of.
 */
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"
#include "core/suggest.h"

static const char *const nothing[] = { NULL };
static const char untrusted[] = "untrusted:";

static void parse_approval(
    struct reader *r, const struct spot *s, struct policy_approval *a);
static void parse_tool(
    struct reader *r, const struct spot *s, struct policy_tool *t);
static void parse_tool_name(
    struct reader *r, const struct spot *tools, const struct json *key);
static void parse_tool_mode(
    struct reader *r, const struct spot *s, struct policy_tool *t);
static void parse_tool_approval(
    struct reader *r, const struct spot *s, struct policy_tool *t);
static void parse_breaker(
    struct reader *r, const struct spot *s, struct policy_tool *t);
static void parse_tool_args(
    struct reader *r, const struct spot *s, struct policy_tool *t);
static void parse_tool_lists(
    struct reader *r, const struct spot *s, struct policy_tool *t);
static void parse_tool_destination(
    struct reader *r, const struct spot *s, struct policy_tool *t);
static void check_trusted(
    struct reader *r, const struct spot *s, const struct policy_tool *t);
static void check_commits(struct reader *r, const struct spot *tools);
static void check_globs(struct reader *r, const struct spot *tools);
static bool same_glob(struct str a, struct str b);
static void parse_rule(
    struct reader *r, const struct spot *s, struct policy_flow *f);

void
policy_parse_approvals(struct reader *r, const struct spot *root)
{
	struct policy *p = r->p;
	struct policy_approval *rows;
	struct spot all = {};
	bool own = false; /* the document has its own "default" */
	uint32_t n = 0;

	if (!read_member(root, "approvals", &all) || p->short_form ||
	    !read_object(r, &all))
		all.v = NULL;
	if (all.v != NULL && all.v->n > POLICY_APPROVALS_MAX) {
		problem(r, &all, "has %u entries; at most %d are allowed",
		    all.v->n, POLICY_APPROVALS_MAX);
		all.v = NULL;
	}
	rows = arena_alloc(
	    &p->arena, ((all.v != NULL ? all.v->n : 0) + 1) * sizeof(*rows));
	if (rows == NULL)
		return;
	for (const struct json *key = all.v != NULL ? json_first(all.v) : NULL;
	     key != NULL; key = json_next(all.v, key)) {
		struct spot s = {
			.up = &all, .v = json_value(key), .key = json_str(key)
		};
		const char *fault = entry_fault(ENTRY_NAME, s.key);

		if (fault != NULL)
			problem_key(r, &all, key,
			    "the name of an approval must be %s", fault);
		rows[n].name = s.key;
		parse_approval(r, &s, &rows[n++]);
		own = own || str_eq_c(s.key, "default");
	}
	if (!own) {
		rows[n++] = (struct policy_approval){
			.name = STR("default"),
			.quorum = 1,
			.distinct_from_actor = true,
			.deadline_ms = APPROVAL_DEADLINE_MS,
		};
	}
	policy_link_approvals(r, &all, rows, n);
	p->approvals = rows;
	p->n_approvals = n;
}

const struct policy_approval *
policy_approval_find(const struct policy *p, struct str name)
{
	for (uint32_t i = 0; i < p->n_approvals; i++) {
		if (str_eq(p->approvals[i].name, name))
			return &p->approvals[i];
	}
	return NULL;
}

static void
parse_approval(
    struct reader *r, const struct spot *s, struct policy_approval *a)
{
	static const char *const known[] = { "quorum", "from_roles",
		"distinct_from", "deadline_s", "on_timeout", "edit",
		"escalate_to", "preview", "reuse", NULL };
	static const char *const later[] = { "channels", NULL };
	/* A yes is for one call, always: this says so to who reads it. */
	static const char *const reuses[] = { "once", NULL };
	static const char *const previews[] = { "none", "fork", NULL };
	static const char *const timeouts[] = { "deny", "halt", "escalate",
		NULL };
	uint64_t quorum = 1, deadline_s = APPROVAL_DEADLINE_MS / 1000;
	uint32_t on_timeout = ON_TIMEOUT_DENY, preview = 0, reuse = 0;
	struct list list;
	struct spot distinct;

	a->quorum = 1;
	a->distinct_from_actor = true;
	if (!read_object(r, s))
		return;
	read_known(r, s, known, later, NOT_YET);
	(void)read_whole(r, s, "quorum",
	    (struct range){ 1, POLICY_QUORUM_MAX, "votes" }, &quorum);
	a->quorum = (uint32_t)quorum;
	(void)read_whole(r, s, "deadline_s",
	    (struct range){ 1, APPROVAL_DEADLINE_MAX_MS / 1000, "seconds" },
	    &deadline_s);
	a->deadline_ms = deadline_s * 1000;
	(void)read_word(r, s, "on_timeout", timeouts, &on_timeout);
	a->on_timeout = (enum on_timeout)on_timeout;
	(void)read_word(r, s, "preview", previews, &preview);
	a->preview = preview == 1;
	(void)read_word(r, s, "reuse", reuses, &reuse);
	(void)read_name(r, s, "escalate_to", &a->escalate_name);
	if (read_list(r, s, "from_roles", ENTRY_NAME,
		sizeof(a->from_roles) / sizeof(a->from_roles[0]), &list)) {
		for (uint32_t i = 0; i < list.n; i++)
			a->from_roles[i] = list.p[i];
		a->n_from_roles = list.n;
	}
	if (read_list(r, s, "edit", ENTRY_ARGUMENT,
		sizeof(a->edit) / sizeof(a->edit[0]), &list)) {
		for (uint32_t i = 0; i < list.n; i++)
			a->edit[i] = list.p[i];
		a->n_edit = list.n;
	}
	if (!read_list(r, s, "distinct_from", ENTRY_NAME, 2, &list) ||
	    !read_member(s, "distinct_from", &distinct))
		return;
	a->distinct_from_actor = false;
	for (uint32_t i = 0; i < list.n; i++) {
		if (str_eq_c(list.p[i], "actor"))
			a->distinct_from_actor = true;
		else if (str_eq_c(list.p[i], "requester"))
			a->distinct_from_requester = true;
		else
			problem(r, &distinct,
			    "holds \"%.*s\"; it may hold \"actor\" and "
			    "\"requester\"",
			    STR_FMT(list.p[i]));
	}
}

void
policy_parse_tools(struct reader *r, const struct spot *root)
{
	struct policy_tool *rows;
	struct spot tools;

	if (!read_member(root, "tools", &tools)) {
		/* Those of its bases, then. */
		if (json_get(root->v, STR("extends")) != NULL)
			return;
		read_missing(r, root, "tools",
		    "list the tools, since one that is not listed is blocked");
		return;
	}
	if (!read_object(r, &tools))
		return;
	if (tools.v->n > TOOLS_MAX) {
		problem(r, &tools, "has %u tools; at most %d are allowed",
		    tools.v->n, TOOLS_MAX);
		return;
	}
	rows = arena_alloc(&r->p->arena, tools.v->n * sizeof(*rows));
	if (rows == NULL || r->p->approvals == NULL)
		return;
	r->p->tools = rows; /* policy_free frees what they hold */
	for (const struct json *key = json_first(tools.v); key != NULL;
	     key = json_next(tools.v, key)) {
		struct policy_tool *t = &rows[r->p->n_tools++];
		struct spot s = {
			.up = &tools, .v = json_value(key), .key = json_str(key)
		};

		parse_tool_name(r, &tools, key);
		t->name = s.key;
		/* What does not say it has that of the whole. */
		if (json_get(root->v, STR("extends")) == NULL ||
		    json_get(root->v, STR("stage")) != NULL || r->p->short_form)
			t->stage = r->p->stage;
		t->of = r->p->name;
		t->json = s.v;
		parse_tool(r, &s, t);
	}
	policy_paths_inherit(r->p, rows);
	policy_openapi_check(r, &tools);
	check_globs(r, &tools);
	check_commits(r, &tools);
}

/* A draft becomes a call of a tool that has a row of its own. */
static void
check_commits(struct reader *r, const struct spot *tools)
{
	const struct json *key = json_first(tools->v);

	for (uint32_t i = 0; i < r->p->n_tools;
	     i++, key = json_next(tools->v, key)) {
		const struct policy_tool *t = &r->p->tools[i];
		struct spot s = {
			.up = tools, .v = json_value(key), .key = json_str(key)
		};
		struct spot at;

		if (t->commit.n == 0 || !read_member(&s, "commit", &at))
			continue;
		if (str_find(t->name, '*') < t->name.n)
			problem(r, &at,
			    "is for a tool by its name, not for a pattern");
		if (json_get(tools->v, t->commit) == NULL)
			problem(r, &at,
			    "`tools` has no row \"%.*s\", so no draft could "
			    "be committed; list it",
			    STR_FMT(t->commit));
	}
}

/* A name's label must fit; a pattern must not stand for every tool. */
static void
parse_tool_name(
    struct reader *r, const struct spot *tools, const struct json *key)
{
	const uint32_t max = LABEL_BYTES - sizeof(untrusted);
	struct str name = json_str(key);
	const char *fault = entry_fault(ENTRY_PATTERN, name);
	size_t stars = 0;

	if (fault != NULL) {
		problem_key(
		    r, tools, key, "the name of a tool must be %s", fault);
		return;
	}
	if (name.n > max)
		problem_key(r, tools, key,
		    "the name of a tool may have %u bytes, so that its label "
		    "\"%s<tool>\" fits; this one has %zu",
		    max, untrusted, name.n);
	while (stars < name.n && name.p[stars] == '*')
		stars++;
	if (stars == name.n)
		problem_key(r, tools, key,
		    "this pattern stands for every tool, so that none would "
		    "be unlisted; name a part, such as \"files.*\"");
}

static void
parse_tool(struct reader *r, const struct spot *s, struct policy_tool *t)
{
	static const char *const known[] = { "risk", "mode", "allowed",
		"approval_required", "approval", "scopes", "labels_out",
		"trusted_fields", "redact", "retries", "timeout_ms",
		"reversible", "args", "when", "clearance", "owner", "rate",
		"breaker", "pin", "destination", "leaves",
		"untrusted_destination", "costs", "idempotency", "retry",
		"commit", "exec", "paths", NULL };
	static const char *const later[] = { "faults", NULL };
	uint64_t retries = UINT32_MAX, timeout_ms = POLICY_TOOL_TIMEOUT_MS;
	uint32_t risk = RISK_DESTRUCTIVE;

	t->approval = &r->p->approvals[r->p->n_approvals - 1];
	if (!read_object(r, s))
		return;
	read_known(r, s, known, later, NOT_YET);
	if (policy_openapi_risk(r->p, t->name, &t->risk))
		risk = t->risk;
	else if (json_get(s->v, STR("risk")) == NULL)
		read_missing(r, s, "risk",
		    "one of read, draft, internal_write, external_write, "
		    "destructive");
	(void)read_word(r, s, "risk", risk_words, &risk);
	t->risk = (enum risk)risk;
	parse_tool_mode(r, s, t);
	parse_tool_approval(r, s, t);
	parse_tool_lists(r, s, t);
	parse_tool_destination(r, s, t);
	(void)read_whole(r, s, "retries",
	    (struct range){ 0, POLICY_RETRIES_MAX, "retries" }, &retries);
	t->retries = (uint32_t)retries;
	(void)read_whole(r, s, "timeout_ms",
	    (struct range){ 1, POLICY_TOOL_TIMEOUT_MAX_MS, "milliseconds" },
	    &timeout_ms);
	t->timeout_ms = (uint32_t)timeout_ms;
	(void)read_bool(r, s, "reversible", &t->reversible);
	policy_parse_rate(r, s, &t->rate);
	parse_breaker(r, s, t);
	t->costs = policy_parse_costs(r, s, true);
	policy_parse_idempotency(r, s, t);
	policy_parse_retry(r, s, t);
	(void)read_name(r, s, "commit", &t->commit);
	parse_tool_args(r, s, t);
	policy_parse_owner(r, s, t);
	policy_parse_paths(r, s, t);
	policy_parse_pin(r, s, t);
	policy_parse_exec(r, s, t);
	policy_parse_when(r, s, t);
}

static void
parse_breaker(struct reader *r, const struct spot *s, struct policy_tool *t)
{
	static const char *const known[] = { "failures", "per", "open_s",
		NULL };
	static const char *const words[] = { "1s", "1m", "1h", "1d", NULL };
	static const uint64_t ms[] = { 1000, 60 * 1000, 3600 * 1000,
		24 * 3600 * 1000 };
	uint64_t failures = 0, open_s = POLICY_BREAKER_OPEN_S;
	struct spot at;
	uint32_t word = 1;

	if (!read_member(s, "breaker", &at) || !read_object(r, &at))
		return;
	read_known(r, &at, known, nothing, "");
	if (!read_whole(r, &at, "failures",
		(struct range){ 1, BREAKER_FAILURES_MAX, "failures" },
		&failures) &&
	    json_get(at.v, STR("failures")) == NULL)
		read_missing(
		    r, &at, "failures", "so many within `per` open it");
	(void)read_word(r, &at, "per", words, &word);
	(void)read_whole(r, &at, "open_s",
	    (struct range){ 1, 24 * 3600, "seconds" }, &open_s);
	t->breaker = (struct breaker_rule){ (uint32_t)failures, ms[word],
		open_s * 1000 };
}

static void
parse_tool_args(struct reader *r, const struct spot *s, struct policy_tool *t)
{
	struct schema_fault fault;
	struct spot args;

	if (!read_member(s, "args", &args))
		return;
	t->args = schema_new(args.v, &fault);
	if (t->args == NULL) {
		args.v = fault.at;
		problem(r, &args, "%s", fault.text);
	}
}

/*
 * "mode", or the short form's "allowed" and "approval_required". Both may be
 * written if they say the same.
 */
static void
parse_tool_mode(struct reader *r, const struct spot *s, struct policy_tool *t)
{
	bool allowed = false, ask = false;
	bool says_allowed = read_bool(r, s, "allowed", &allowed);
	bool says_ask = read_bool(r, s, "approval_required", &ask);
	uint32_t mode = VERDICT_ALLOW;
	bool says_mode = read_word(r, s, "mode", verdict_words, &mode);
	enum verdict_kind meant = ask ? VERDICT_APPROVE : VERDICT_ALLOW;
	struct spot at;

	if (says_allowed && !allowed)
		meant = VERDICT_BLOCK;
	if (says_allowed && !allowed && ask) {
		(void)read_member(s, "approval_required", &at);
		problem(r, &at,
		    "contradicts allowed: false, which blocks the tool; "
		    "remove one of the two");
		return;
	}
	if (says_mode && (says_allowed || ask) && mode != meant) {
		(void)read_member(s, "mode", &at);
		problem(r, &at,
		    "contradicts %s: %s, which means \"%s\"; remove one of "
		    "the two",
		    ask ? "approval_required" : "allowed",
		    ask || allowed ? "true" : "false", verdict_name(meant));
		return;
	}
	t->mode_written = says_mode || says_allowed || ask;
	if (says_mode)
		t->mode = (enum verdict_kind)mode;
	else if (t->mode_written)
		t->mode = meant;
	else
		t->mode = r->p->by_risk[t->risk];
	if (says_ask && !ask && t->mode == VERDICT_APPROVE) {
		(void)read_member(s, "approval_required", &at);
		if (says_mode)
			problem(r, &at,
			    "contradicts mode: \"approve\"; remove one of "
			    "the two");
		else
			problem(r, &at,
			    "contradicts the default for its risk, which asks "
			    "for approval; write \"allowed\": true to allow "
			    "the tool");
	}
}

static void
parse_tool_approval(
    struct reader *r, const struct spot *s, struct policy_tool *t)
{
	const struct policy *p = r->p;
	struct str name = STR("default");
	bool written = read_name(r, s, "approval", &name);
	struct suggest near;
	struct spot at;

	for (uint32_t i = 0; i < p->n_approvals; i++) {
		if (str_eq(p->approvals[i].name, name)) {
			t->approval = &p->approvals[i];
			return;
		}
	}
	near = suggest_for(name);
	for (uint32_t i = 0; i < p->n_approvals; i++)
		suggest_try(&near, p->approvals[i].name);
	if (!written || !read_member(s, "approval", &at))
		return;
	if (near.best.n > 0)
		problem(r, &at,
		    "there is no approval \"%.*s\": did you mean \"%.*s\"?",
		    STR_FMT(name), STR_FMT(near.best));
	else
		problem(r, &at,
		    "there is no approval \"%.*s\"; describe it in "
		    "`approvals`",
		    STR_FMT(name));
}

static void
parse_tool_lists(struct reader *r, const struct spot *s, struct policy_tool *t)
{
	static const char *const known[] = { "args", "result", NULL };
	struct list list = {};
	struct spot redact;

	if (read_list(r, s, "scopes", ENTRY_NAME, SCOPES_MAX, &list)) {
		t->scopes = list.p;
		t->n_scopes = list.n;
	}
	if (read_list(
		r, s, "trusted_fields", ENTRY_PATH, POLICY_LIST_MAX, &list)) {
		t->trusted_fields = list.p;
		t->n_trusted_fields = list.n;
	}
	if (read_list(
		r, s, "labels_out", ENTRY_LABEL, POLICY_LIST_MAX, &list)) {
		t->labels_out = list.p;
		t->n_labels_out = list.n;
		check_trusted(r, s, t);
	}
	/* An empty list clears it for no label at all. */
	if (read_list(r, s, "clearance", ENTRY_LABEL_PATTERN, POLICY_LIST_MAX,
		&list)) {
		t->clearance = list.p;
		t->n_clearance = list.n;
		t->cleared = true;
	}
	if (!read_member(s, "redact", &redact) || !read_object(r, &redact))
		return;
	read_known(r, &redact, known, nothing, "");
	if (read_list(r, &redact, "args", ENTRY_PATH, POLICY_LIST_MAX, &list)) {
		t->redact_args = list.p;
		t->n_redact_args = list.n;
	}
	if (read_list(
		r, &redact, "result", ENTRY_PATH, POLICY_LIST_MAX, &list)) {
		t->redact_result = list.p;
		t->n_redact_result = list.n;
	}
}

/* Where the effect lands, and what becomes of a place that a stranger named. */
static void
parse_tool_destination(
    struct reader *r, const struct spot *s, struct policy_tool *t)
{
	uint32_t word = 0;
	bool leaves = false;
	struct list list;
	struct spot at;

	t->untrusted_destination = r->p->untrusted_destination;
	if (read_list(r, s, "destination", ENTRY_PATH, POLICY_DESTINATIONS_MAX,
		&list)) {
		t->destination = list.p;
		t->n_destination = list.n;
		if (list.n == 0 && read_member(s, "destination", &at))
			problem(r, &at,
			    "is empty; name the arguments that say where the "
			    "effect lands, or remove it");
	}
	(void)read_bool(r, s, "leaves", &leaves);
	t->leaves = leaves && t->n_destination == 0;
	if (read_word(
		r, s, "untrusted_destination", destination_words, &word)) {
		t->untrusted_destination =
		    (enum verdict_kind)(word + VERDICT_APPROVE);
		if (t->n_destination == 0 && !leaves &&
		    read_member(s, "untrusted_destination", &at))
			problem(r, &at,
			    "does nothing: the tool names no `destination`");
	}
	r->p->locates = r->p->locates || t->n_destination > 0 || t->leaves ||
	    t->n_trusted_fields > 0;
}

/*
 * "trusted" takes away the label that every result gets. That is for one tool
 * that only reads what this house wrote itself, so not for a pattern, which
 * may come to match more than its author knew, and not for a tool that acts.
 */
static void
check_trusted(
    struct reader *r, const struct spot *s, const struct policy_tool *t)
{
	bool trusted = false, both = false;
	struct spot at;

	for (uint32_t i = 0; i < t->n_labels_out; i++) {
		trusted = trusted || str_eq_c(t->labels_out[i], "trusted");
		both = both || str_starts(t->labels_out[i], STR("untrusted:"));
	}
	if (!trusted || !read_member(s, "labels_out", &at))
		return;
	if (t->risk != RISK_READ)
		problem(r, &at,
		    "\"trusted\" is for tools of risk read; this one has %s",
		    risk_name(t->risk));
	else if (str_find(t->name, '*') < t->name.n)
		problem(r, &at,
		    "\"trusted\" is for a tool by its name, not for a pattern");
	else if (both)
		problem(r, &at,
		    "\"trusted\" contradicts \"untrusted:...\"; remove one of "
		    "the two");
}

/* "files.*" and "files.**" are the same pattern twice. */
static void
check_globs(struct reader *r, const struct spot *tools)
{
	const struct json *key = json_first(tools->v);

	for (uint32_t i = 0; i < r->p->n_tools; i++) {
		struct str name = r->p->tools[i].name;
		bool glob = str_find(name, '*') < name.n;

		for (uint32_t k = 0; glob && k < i; k++) {
			struct str before = r->p->tools[k].name;

			if (!same_glob(before, name))
				continue;
			problem_key(r, tools, key,
			    "stands for the same tools as \"%.*s\"; remove one "
			    "of the two",
			    STR_FMT(before));
			break;
		}
		key = json_next(tools->v, key);
	}
}

/* Equal once each run of stars is one star. */
static bool
same_glob(struct str a, struct str b)
{
	size_t i = 0, k = 0;

	while (i < a.n && k < b.n) {
		if (a.p[i] != b.p[k])
			return false;
		if (a.p[i] != '*') {
			i++;
			k++;
			continue;
		}
		while (i < a.n && a.p[i] == '*')
			i++;
		while (k < b.n && b.p[k] == '*')
			k++;
	}
	return i == a.n && k == b.n;
}

void
policy_parse_flow(struct reader *r, const struct spot *root)
{
	struct policy_flow *rows;
	struct spot flow;
	uint32_t n = 0;

	if (!read_member(root, "flow", &flow) || !read_array(r, &flow))
		return;
	if (flow.v->n > POLICY_FLOW_MAX) {
		problem(r, &flow, "has %u rules; at most %d are allowed",
		    flow.v->n, POLICY_FLOW_MAX);
		return;
	}
	rows = arena_alloc(&r->p->arena, flow.v->n * sizeof(*rows));
	if (rows == NULL)
		return;
	for (const struct json *x = json_first(flow.v); x != NULL;
	     x = json_next(flow.v, x), n++) {
		struct spot s = { .up = &flow, .v = x, .index = n }, at;

		parse_rule(r, &s, &rows[n]);
		for (uint32_t i = 0; i < n; i++) {
			if (rows[n].id.n > 0 &&
			    str_eq(rows[i].id, rows[n].id) &&
			    read_member(&s, "id", &at)) {
				problem(r, &at,
				    "there is a rule \"%.*s\" already; name "
				    "this one differently",
				    STR_FMT(rows[n].id));
				break;
			}
		}
	}
	r->p->flow = rows;
	r->p->n_flow = n;
}

static void
parse_rule(struct reader *r, const struct spot *s, struct policy_flow *f)
{
	static const char *const known[] = { "id", "if_labels", "risk_at_least",
		"then", "reason", "except", NULL };
	static const char *const except[] = { "known_destination", NULL };
	/* Without "allow", which would do nothing: rules only restrict. */
	static const char *const then[] = { "draft", "simulate", "approve",
		"block", NULL };
	static const char *const needed[][2] = {
		{ "id", "name the rule, so that a refusal can name it" },
		{ "if_labels", "say which labels it is about" },
		{ "then", "one of draft, simulate, approve, block" },
	};
	uint32_t risk = RISK_READ, verdict = 0, word = 0;
	struct list labels = {};
	struct spot at;

	if (!read_object(r, s))
		return;
	read_known(r, s, known, nothing, "");
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (json_get(s->v, str_of(needed[i][0])) == NULL)
			read_missing(r, s, needed[i][0], needed[i][1]);
	}
	(void)read_name(r, s, "id", &f->id);
	(void)read_text(r, s, "reason", &f->reason);
	(void)read_word(r, s, "risk_at_least", risk_words, &risk);
	f->risk_at_least = (enum risk)risk;
	(void)read_word(r, s, "then", then, &verdict);
	f->then = (enum verdict_kind)(verdict + VERDICT_DRAFT);
	f->except_known = read_word(r, s, "except", except, &word);
	r->p->locates = r->p->locates || f->except_known;
	if (!read_list(r, s, "if_labels", ENTRY_LABEL_PATTERN, POLICY_LIST_MAX,
		&labels))
		return;
	f->if_labels = labels.p;
	f->n_if_labels = labels.n;
	if (labels.n == 0 && read_member(s, "if_labels", &at))
		problem(r, &at,
		    "is empty; name a label, or restrict the tools "
		    "themselves");
}
