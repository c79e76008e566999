/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/policy.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct labels labels;

/* ' stands for ". */
static struct policy *
compile(const char *text)
{
	static struct policy_problems list;
	own_buf struct buf doc = {};
	struct policy *p;

	buf_add_c(&doc, text);
	for (size_t i = 0; i < doc.n; i++) {
		if (doc.p[i] == '\'')
			doc.p[i] = '"';
	}
	p = policy_new(buf_str(&doc), POLICY_JSON, &list);
	if (p == NULL)
		fail_msg("%u:%u: %s: %s", list.item[0].line,
		    list.item[0].column, list.item[0].path, list.item[0].text);
	return p;
}

static struct verdict
decide(const struct policy *p, const char *tool)
{
	struct policy_call call = { str_of(tool), NULL, &labels, 0, NULL };
	struct verdict v;

	memset(&v, 0xa5, sizeof(v)); /* nothing may be left as it was */
	policy_decide(p, &call, &v);
	return v;
}

static void
set_labels(const char *list)
{
	memset(&labels, 0, sizeof(labels));
	for (const char *at = list; *at != '\0';) {
		size_t n = strcspn(at, ",");

		labels_add(&labels, (struct str){ at, n });
		at += n + (at[n] == ',');
	}
}

#define HEAD "{'policy':1,'workflow':'w','actor':'bot','scopes':['t:*'],"
#define FLOW                                                             \
	"'flow':[{'id':'taint','if_labels':['untrusted:*'],"             \
	"'risk_at_least':'external_write','then':'approve'},"            \
	"{'id':'both','if_labels':['untrusted:*','pii'],'then':'block'," \
	"'risk_at_least':'internal_write','reason':'leak'}],"
#define TOOLS                                                               \
	"'tools':{'r':{'risk':'read'},'d':{'risk':'draft'},"                \
	"'i':{'risk':'internal_write','mode':'allow'},"                     \
	"'e':{'risk':'external_write','mode':'allow'},"                     \
	"'x':{'risk':'destructive','mode':'allow'},"                        \
	"'rev':{'risk':'external_write','mode':'allow','reversible':true}," \
	"'ask':{'risk':'external_write'},'no':{'risk':'destructive'},"      \
	"'sim':{'risk':'internal_write'},"                                  \
	"'dm':{'risk':'read','mode':'draft'},"                              \
	"'held':{'risk':'read','scopes':['t:a']},"                          \
	"'lost':{'risk':'read','scopes':['t:a','u:b']}}}"

/* One row per rule: what it decides, its name, what the agent is told. */
static void
the_most_restrictive_rule_holds(void **state)
{
	static const struct {
		const char *why, *doc, *labels, *tool;
		enum verdict_kind kind;
		const char *rule, *code, *reason, *next;
	} rows[] = {
		{ "default for read", HEAD "'stage':5," TOOLS, "", "r",
		    VERDICT_ALLOW, "defaults.by_risk.read", "allowed",
		    "the policy says allow for tools of risk read", "" },
		{ "mode as written", HEAD "'stage':5," TOOLS, "", "e",
		    VERDICT_ALLOW, "tools.e.mode", "allowed",
		    "the policy says allow for e", "" },
		{ "default that asks", HEAD "'stage':5," TOOLS, "", "ask",
		    VERDICT_APPROVE, "defaults.by_risk.external_write",
		    "risk_default",
		    "the policy says approve for tools of risk "
		    "external_write",
		    "A person must approve this call: wait for the answer, "
		    "and do not send it again." },
		{ "default that blocks", HEAD "'stage':5," TOOLS, "", "no",
		    VERDICT_BLOCK, "defaults.by_risk.destructive",
		    "risk_default",
		    "the policy says block for tools of risk destructive",
		    "Go on without no, and tell the user that a person has "
		    "to do that step." },
		{ "what is simulated looks real", HEAD "'stage':5," TOOLS, "",
		    "sim", VERDICT_SIMULATE, "defaults.by_risk.internal_write",
		    "risk_default",
		    "the policy says simulate for tools of risk "
		    "internal_write",
		    "" },
		{ "draft", HEAD "'stage':5," TOOLS, "", "dm", VERDICT_DRAFT,
		    "tools.dm.mode", "tool_mode",
		    "the policy says draft for dm",
		    "The draft is stored and nothing has been sent: tell the "
		    "user that it waits." },
		{ "unlisted", HEAD "'stage':5," TOOLS, "", "nope",
		    VERDICT_BLOCK, "defaults.unlisted", "unlisted_tool",
		    "the policy lists no such tool",
		    "Use one of the listed tools; this one cannot be called." },
		{ "a scope of the family", HEAD "'stage':5," TOOLS, "", "held",
		    VERDICT_ALLOW, "defaults.by_risk.read", "allowed",
		    "the policy says allow for tools of risk read", "" },
		{ "a scope that is missing", HEAD "'stage':5," TOOLS, "",
		    "lost", VERDICT_BLOCK, "scope u:b", "missing_scope",
		    "lost needs the scope u:b, which bot does not hold",
		    "Go on without lost, or ask the user to have the scope "
		    "granted for another run." },
		{ "flow: no label", HEAD "'stage':5," FLOW TOOLS, "pii", "e",
		    VERDICT_ALLOW, "tools.e.mode", "allowed",
		    "the policy says allow for e", "" },
		{ "flow: its label", HEAD "'stage':5," FLOW TOOLS,
		    "untrusted:kb", "e", VERDICT_APPROVE, "flow.taint", "flow",
		    "the run holds data labelled untrusted:*, so e is held to "
		    "approve",
		    "A person must approve this call: wait for the answer, "
		    "and do not send it again." },
		{ "flow: below its risk", HEAD "'stage':5," FLOW TOOLS,
		    "untrusted:kb", "i", VERDICT_ALLOW, "tools.i.mode",
		    "allowed", "the policy says allow for i", "" },
		{ "flow: both labels", HEAD "'stage':5," FLOW TOOLS,
		    "pii,untrusted:kb", "i", VERDICT_BLOCK, "flow.both", "flow",
		    "leak",
		    "Go on without i, which this run may not use after what "
		    "it has read; leave that step to a person." },
		{ "stage cap", HEAD "'stage':1," TOOLS, "", "d",
		    VERDICT_SIMULATE, "stage 1 cap", "stage_cap",
		    "stage 1 caps draft tools at simulate", "" },
		{ "stage 4 says why", HEAD "'stage':4," TOOLS, "", "e",
		    VERDICT_APPROVE, "stage 4 cap", "stage_cap",
		    "stage 4 caps external_write tools at approve unless they "
		    "are reversible",
		    "A person must approve this call: wait for the answer, "
		    "and do not send it again." },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p = compile(rows[i].doc);
		struct verdict v;

		set_labels(rows[i].labels);
		v = decide(p, rows[i].tool);
		if (v.kind != rows[i].kind || strcmp(v.rule, rows[i].rule) != 0)
			fail_msg("%s: %s by %s", rows[i].why,
			    verdict_name(v.kind), v.rule);
		assert_int_equal(v.would, v.kind);
		assert_string_equal(v.code, rows[i].code);
		assert_string_equal(v.reasons[0], rows[i].reason);
		assert_string_equal(v.next_step, rows[i].next);
		assert_int_equal(
		    v.risk, v.tool != NULL ? v.tool->risk : RISK_DESTRUCTIVE);
		policy_free(p);
	}
}

static void
each_stage_allows_what_its_row_says(void **state)
{
	static const char tools[] = { 'r', 'd', 'i', 'e', 'x', 'R' };
	/* A allow, S simulate, P approve; R is external and reversible. */
	static const char *const rows[] = { "ASSSSS", "AASSSS", "AAAPSP",
		"AAPPPA", "AAAAAA" };

	(void)state;
	set_labels("");
	for (size_t stage = 1; stage <= COUNT(rows); stage++) {
		char doc[1024];
		struct policy *p;

		(void)snprintf(
		    doc, sizeof(doc), HEAD "'stage':%zu," TOOLS, stage);
		p = compile(doc);
		for (size_t t = 0; t < COUNT(tools); t++) {
			char name[4] = { tools[t] };
			struct verdict v =
			    decide(p, tools[t] == 'R' ? "rev" : name);
			char got = v.kind == VERDICT_ALLOW ? 'A'
			    : v.kind == VERDICT_SIMULATE   ? 'S'
			    : v.kind == VERDICT_APPROVE	   ? 'P'
							   : '?';

			if (got != rows[stage - 1][t])
				fail_msg(
				    "stage %zu, %c: %c", stage, tools[t], got);
		}
		policy_free(p);
	}
}

/* A yes to an approval does not lift what another rule holds down. */
static void
an_approval_leads_to_what_the_other_rules_allow(void **state)
{
	static const struct {
		int stage;
		enum verdict_kind approved;
	} rows[] = { { 1, VERDICT_SIMULATE }, { 2, VERDICT_SIMULATE },
		{ 3, VERDICT_ALLOW }, { 4, VERDICT_ALLOW },
		{ 5, VERDICT_ALLOW } };

	(void)state;
	set_labels("");
	for (size_t i = 0; i < COUNT(rows); i++) {
		char doc[1024];
		struct policy *p;
		struct verdict v;

		(void)snprintf(
		    doc, sizeof(doc), HEAD "'stage':%d," TOOLS, rows[i].stage);
		p = compile(doc);
		v = decide(p, "ask");
		assert_int_equal(v.kind, VERDICT_APPROVE);
		assert_int_equal(v.approved, rows[i].approved);
		policy_free(p);
	}
}

static void
other_modes_pass_and_say_what_would_be(void **state)
{
	static const char *const modes[] = { "shadow", "record" };

	(void)state;
	set_labels("");
	for (size_t i = 0; i < COUNT(modes); i++) {
		char doc[1024];
		struct policy *p;
		struct verdict v;

		(void)snprintf(doc, sizeof(doc),
		    HEAD "'stage':5,'mode':'%s'," TOOLS, modes[i]);
		p = compile(doc);
		v = decide(p, "ask");
		assert_int_equal(v.kind, VERDICT_ALLOW);
		assert_int_equal(v.would, VERDICT_APPROVE);
		assert_string_equal(v.next_step, "");
		v = decide(p, "nope");
		assert_int_equal(v.kind, VERDICT_ALLOW);
		assert_int_equal(v.would, VERDICT_BLOCK);
		assert_string_equal(v.rule, "defaults.unlisted");
		policy_free(p);
	}
}

static void
every_rule_that_speaks_is_among_the_reasons(void **state)
{
	struct policy *p = compile(
	    HEAD "'stage':2," FLOW
		 "'tools':{'t':{'risk':'external_write','mode':'approve',"
		 "'scopes':['a','b','c','d','e','f','g']}}}");
	struct verdict v;

	(void)state;
	set_labels("untrusted:a");
	v = decide(p, "t");
	assert_int_equal(v.kind, VERDICT_BLOCK);
	assert_string_equal(v.rule, "scope a");
	assert_int_equal(v.n_reasons, REASONS_MAX);
	assert_string_equal(
	    v.reasons[0], "t needs the scope a, which bot does not hold");
	assert_string_equal(
	    v.reasons[1], "stage 2 caps external_write tools at simulate");
	assert_string_equal(v.reasons[2], "the policy says approve for t");
	policy_free(p);
}

/* A full list of reasons still holds the one that decided. */
static void
the_reason_that_holds_is_never_dropped(void **state)
{
	own_buf struct buf doc = {};
	struct policy *p;
	struct verdict v;

	(void)state;
	buf_add_c(&doc, HEAD "'stage':5,'flow':[");
	for (int i = 0; i < 20; i++)
		buf_printf(&doc,
		    "%s{'id':'f%d','if_labels':['a'],'then':'%s',"
		    "'reason':'r%d'}",
		    i > 0 ? "," : "", i, i == 19 ? "block" : "approve", i);
	buf_add_c(&doc, "]," TOOLS);
	p = compile(buf_c(&doc));
	set_labels("a");
	v = decide(p, "r");
	assert_string_equal(v.rule, "flow.f19");
	assert_int_equal(v.n_reasons, REASONS_MAX);
	assert_string_equal(v.reasons[0], "r19");
	policy_free(p);
}

static void
a_name_goes_before_a_pattern_and_a_long_one_before_a_short(void **state)
{
	static const struct {
		const char *tool, *row;
	} rows[] = {
		{ "files.read", "files.read" },
		{ "files.write", "files.*" },
		{ "files.tmp.x", "files.tmp.*" },
		{ "files.", "files.*" },
		{ "db.list", "*.list" },
		{ "db.drop", NULL },
		{ "files", NULL },
		{ "files.*", NULL },
		{ "files.a b", NULL },
		{ "files.a\nb", NULL },
		{ "", NULL },
	};
	struct policy *p = compile(
	    "{'policy':1,'workflow':'w','tools':{'files.*':{'risk':'read'},"
	    "'files.tmp.*':{'risk':'read'},'files.read':{'risk':'read'},"
	    "'*.list':{'risk':'read'}}}");
	char long_name[NAME_MAX_BYTES + 1] = "files.";

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct policy_tool *t =
		    policy_tool_find(p, str_of(rows[i].tool));

		if (rows[i].row == NULL)
			assert_null(t);
		else
			assert_true(
			    t != NULL && str_eq_c(t->name, rows[i].row));
	}
	memset(long_name + 6, 'x', sizeof(long_name) - 6);
	assert_non_null(
	    policy_tool_find(p, (struct str){ long_name, NAME_MAX_BYTES }));
	assert_null(
	    policy_tool_find(p, (struct str){ long_name, NAME_MAX_BYTES + 1 }));
	policy_free(p);
}

static void
every_one_of_many_tools_is_found(void **state)
{
	own_buf struct buf doc = {};
	struct policy *p;
	char name[32];

	(void)state;
	buf_add_c(&doc, "{'policy':1,'workflow':'w','tools':{");
	for (int i = 0; i < TOOLS_MAX; i++)
		buf_printf(
		    &doc, "%s'tool.%d':{'risk':'read'}", i > 0 ? "," : "", i);
	buf_add_c(&doc, "}}");
	p = compile(buf_c(&doc));
	for (uint32_t i = 0; i < TOOLS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "tool.%u", i);
		assert_ptr_equal(
		    policy_tool_find(p, str_of(name)), &p->tools[i]);
	}
	assert_null(policy_tool_find(p, STR("tool.1024")));
	policy_free(p);
}

/* A full set of labels matches every rule. */
static void
labels_that_overflowed_taint_the_run(void **state)
{
	struct policy *p = compile(HEAD "'stage':5," FLOW TOOLS);

	(void)state;
	set_labels("");
	labels.overflowed = true;
	assert_int_equal(decide(p, "e").kind, VERDICT_BLOCK);
	assert_int_equal(decide(p, "r").kind, VERDICT_ALLOW);
	policy_free(p);
}

static uint32_t
random_below(uint32_t n)
{
	static uint64_t x = 88172645463325252; /* xorshift, always the same */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x % n);
}

/* A document of three tools; restrictions are what tighten may add. */
struct made {
	uint32_t stage, risk[3], mode[3], scope[3];
	bool reversible[3];
	uint32_t n_flow, flow_label[6], flow_risk[6], flow_then[6];
	bool holds; /* the scope */
};

static struct policy *
made_compile(const struct made *m)
{
	static const char *const label[] = { "untrusted:*", "pii", "a" };
	own_buf struct buf doc = {};

	buf_printf(&doc, "{'policy':1,'workflow':'w','stage':%u,", m->stage);
	if (m->holds)
		buf_add_c(&doc, "'scopes':['s'],");
	buf_add_c(&doc, "'flow':[");
	for (uint32_t i = 0; i < m->n_flow; i++)
		buf_printf(&doc,
		    "%s{'id':'f%u','if_labels':['%s'],'risk_at_least':'%s',"
		    "'then':'%s'}",
		    i > 0 ? "," : "", i, label[m->flow_label[i]],
		    risk_name((enum risk)m->flow_risk[i]),
		    verdict_name((enum verdict_kind)m->flow_then[i]));
	buf_add_c(&doc, "],'tools':{");
	for (uint32_t i = 0; i < 3; i++)
		buf_printf(&doc,
		    "%s't%u':{'risk':'%s','mode':'%s','reversible':%s%s}",
		    i > 0 ? "," : "", i, risk_name((enum risk)m->risk[i]),
		    verdict_name((enum verdict_kind)m->mode[i]),
		    m->reversible[i] ? "true" : "false",
		    m->scope[i] ? ",'scopes':['s']" : "");
	buf_add_c(&doc, "}}");
	return compile(buf_c(&doc));
}

static void
tighten(struct made *m)
{
	uint32_t t = random_below(3);

	switch (random_below(4)) {
	case 0:
		if (m->mode[t] < VERDICT_BLOCK)
			m->mode[t] +=
			    1 + random_below(VERDICT_BLOCK - m->mode[t]);
		break;
	case 1:
		m->scope[t] = 1;
		break;
	case 2:
		m->holds = false;
		break;
	default:
		m->flow_label[m->n_flow] = random_below(3);
		m->flow_risk[m->n_flow] = random_below(RISKS);
		m->flow_then[m->n_flow] = 1 + random_below(VERDICTS - 1);
		m->n_flow++;
	}
}

static void
no_added_restriction_loosens_a_verdict(void **state)
{
	static const char *const sets[] = { "", "pii", "untrusted:x",
		"pii,untrusted:x,b" };
	static const char *const names[] = { "t0", "t1", "t2", "t3" };
	uint32_t tighter = 0;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct made m = { .stage = 1 + random_below(5),
			.holds = random_below(2) };
		struct made before;
		struct policy *a, *b;
		bool same_modes;

		for (int i = 0; i < 3; i++) {
			m.risk[i] = random_below(RISKS);
			m.mode[i] = random_below(VERDICTS);
			m.reversible[i] = random_below(2);
			m.scope[i] = random_below(2);
		}
		for (uint32_t i = random_below(3); i > 0; i--)
			tighten(&m);
		a = made_compile(&m);
		before = m;
		tighten(&m);
		same_modes = memcmp(m.mode, before.mode, sizeof(m.mode)) == 0;
		b = made_compile(&m);
		set_labels(sets[random_below(COUNT(sets))]);
		for (size_t i = 0; i < COUNT(names); i++) {
			struct verdict va = decide(a, names[i]);
			struct verdict vb = decide(b, names[i]);

			assert_true(vb.kind >= va.kind);
			/* A tool has one mode: from simulate to approve it
			 * no longer says simulate. All else adds up. */
			if (same_modes)
				assert_true(vb.approved >= va.approved);
			tighter += vb.kind > va.kind;
		}
		/* More labels do not loosen anything either. */
		for (size_t i = 0; i < COUNT(names); i++) {
			struct verdict first = decide(b, names[i]);

			labels_add(&labels, STR("untrusted:late"));
			assert_true(decide(b, names[i]).kind >= first.kind);
		}
		policy_free(a);
		policy_free(b);
	}
	assert_true(tighter > 200); /* else the rows above prove little */
}

static void
notes_name_each_rule_that_a_secret_could_come_back_by_unread(void **state)
{
	static struct policy_problems notes;
	static const char *const rules =
	    "'egress':{'rules':[{'host':'db.example.com','port':5432,"
	    "'proto':'tcp'},{'host':'api.example.com'},"
	    "{'host':'p.example.com','tls':'pin'}]}}";
	char text[1024];
	struct policy *p;

	(void)state;
	for (int secrets = 0; secrets < 2; secrets++) {
		(void)snprintf(text, sizeof(text),
		    "{'policy':1,'workflow':'w','stage':5,'tools':{},%s%s",
		    secrets != 0 ? "'secrets':{'K':{'from':'file:k',"
				   "'inject':{'header':'x'}}},"
				 : "",
		    rules);
		p = compile(text);
		policy_notes(p, &notes);
		assert_int_equal(notes.n, 2 * secrets);
		if (secrets != 0) {
			assert_string_equal(
			    notes.item[0].path, "egress.rules[0]");
			assert_string_equal(
			    notes.item[1].path, "egress.rules[2]");
		}
		policy_free(p);
	}
}

static void
notes_tell_what_is_legal_but_perhaps_not_meant(void **state)
{
	static struct policy_problems notes;
	struct policy *p = compile(
	    "{'policy':1,'workflow':'w','stage':2,'mode':'record','tools':{"
	    "'e':{'risk':'external_write','mode':'allow'},"
	    "'ok':{'risk':'read'},'s':{'risk':'read','scopes':['z']}},"
	    "'approvals':{'unused':{},'default':{'distinct_from':[]}}}");
	static const char *const want[][2] = {
		{ "approvals.default", "the actor may approve its own calls" },
		{ "approvals.unused", "no tool and no egress rule names it" },
		{ "mode",
		    "no call is refused in this mode; what would have been is "
		    "recorded" },
		{ "tools.e",
		    "the policy says allow, but the stage 2 cap makes it "
		    "simulate" },
		{ "tools.s",
		    "every call is refused: agent does not hold the scope z" },
	};

	(void)state;
	policy_notes(p, &notes);
	assert_int_equal(notes.n, COUNT(want));
	for (size_t i = 0; i < COUNT(want); i++) {
		assert_string_equal(notes.item[i].path, want[i][0]);
		assert_string_equal(notes.item[i].text, want[i][1]);
	}
	policy_free(p);
}

/* The place is named, and a rule that is broken blocks whatever else allows. */
static void
arguments_that_break_their_schema_are_blocked_with_the_place(void **state)
{
	struct policy *p = compile(
	    HEAD "'tools':{'pay':{'risk':'read','args':{'type':'object',"
		 "'required':['to'],'properties':{'to':{'pattern':'^A'},"
		 "'lines':{'items':{'maximum':5}}},"
		 "'additionalProperties':false}}}}");
	const struct {
		const char *args, *reason;
	} rows[] = {
		{ "{\"to\":\"A1\"}", NULL },
		{ "{}", "the argument $ lacks `to`" },
		{ "{\"to\":\"B\"}",
		    "the argument $.to does not match the pattern" },
		{ "{\"to\":\"A\",\"lines\":[1,9]}",
		    "the argument $.lines[1] must be at most 5" },
		{ "{\"to\":\"A\",\"x\":1}",
		    "the argument $.x is not allowed here" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		struct err e = {};
		struct verdict v;
		struct policy_call call = { STR("pay"),
			json_parse(str_of(rows[i].args), NULL, &a, &e, NULL),
			&labels, 0, NULL };

		policy_decide(p, &call, &v);
		if (rows[i].reason == NULL) {
			assert_int_equal(v.kind, VERDICT_ALLOW);
			continue;
		}
		assert_int_equal(v.kind, VERDICT_BLOCK);
		assert_string_equal(v.code, "invalid_arguments");
		assert_string_equal(v.rule, "tools.pay.args");
		assert_string_equal(v.reasons[0], rows[i].reason);
		assert_string_equal(v.next_step,
		    "Mend the arguments as the reason says, and call pay "
		    "again.");
	}
	policy_free(p);
}

static void
a_default_is_worded_by_its_verdict_and_its_risk(void **state)
{
	(void)state;
	for (int risk = 0; risk < RISKS; risk++) {
		for (int mode = 0; mode < VERDICTS; mode++) {
			const char *r = risk_name((enum risk)risk);
			const char *m = verdict_name((enum verdict_kind)mode);
			char text[512], want[128];
			struct policy *p;
			struct verdict v;

			(void)snprintf(text, sizeof(text),
			    HEAD "'stage':5,'defaults':{'by_risk':{'%s':'%s'}},"
				 "'tools':{'t':{'risk':'%s'}}}",
			    r, m, r);
			set_labels("");
			p = compile(text);
			v = decide(p, "t");
			(void)snprintf(want, sizeof(want),
			    "the policy says %s for tools of risk %s", m, r);
			assert_string_equal(v.reasons[0], want);
			(void)snprintf(
			    want, sizeof(want), "defaults.by_risk.%s", r);
			assert_string_equal(v.rule, want);
			assert_string_equal(v.code,
			    mode == VERDICT_ALLOW ? "allowed" : "risk_default");
			assert_int_equal(v.kind, mode);
			policy_free(p);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_default_is_worded_by_its_verdict_and_its_risk),
		cmocka_unit_test(
		    arguments_that_break_their_schema_are_blocked_with_the_place),
		cmocka_unit_test(the_most_restrictive_rule_holds),
		cmocka_unit_test(each_stage_allows_what_its_row_says),
		cmocka_unit_test(
		    an_approval_leads_to_what_the_other_rules_allow),
		cmocka_unit_test(other_modes_pass_and_say_what_would_be),
		cmocka_unit_test(every_rule_that_speaks_is_among_the_reasons),
		cmocka_unit_test(the_reason_that_holds_is_never_dropped),
		cmocka_unit_test(
		    a_name_goes_before_a_pattern_and_a_long_one_before_a_short),
		cmocka_unit_test(every_one_of_many_tools_is_found),
		cmocka_unit_test(labels_that_overflowed_taint_the_run),
		cmocka_unit_test(no_added_restriction_loosens_a_verdict),
		cmocka_unit_test(
		    notes_name_each_rule_that_a_secret_could_come_back_by_unread),
		cmocka_unit_test(
		    notes_tell_what_is_legal_but_perhaps_not_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
