#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy.h"

static struct policy_problems list;
static struct labels labels;

static struct policy *
compile(struct str text)
{
	own_buf struct buf doc = {};

	buf_add_str(&doc, text);
	for (size_t i = 0; i < doc.n; i++) {
		if (doc.p[i] == '`')
			doc.p[i] = '"';
	}
	return policy_new(buf_str(&doc), POLICY_JSON, &list);
}

#define HEAD "{`policy`:1,`workflow`:`w`,`actor`:`bot`,`roles`:[`clerk`],"

/* A policy of one tool, t, with more members. */
static struct policy *
policy_of(unsigned stage, const char *members)
{
	own_buf struct buf doc = {};
	struct policy *p;

	buf_printf(&doc, HEAD "`stage`:%u,`tools`:{`t`:{%s}}}", stage, members);
	p = compile(buf_str(&doc));
	if (p == NULL)
		fail_msg("%s: %s: %s", members, list.item[0].path,
		    list.item[0].text);
	return p;
}

static struct verdict
decide(const struct policy *p, const char *args)
{
	own_arena struct arena a = {};
	struct err e = {};
	struct verdict v;
	struct policy_call call = { STR("t"),
		json_parse(str_of(args), NULL, &a, &e, NULL), &labels, 1000,
		NULL };

	assert_non_null(call.args);
	policy_decide(p, &call, &v);
	return v;
}

static const char refund[] =
    "`risk`:`external_write`,`mode`:`approve`,`reversible`:true,`when`:["
    "{`if`:`args.amount <= 25 && !labels.untrusted`,`then`:`allow`,"
    "`from_stage`:4},"
    "{`if`:`args.invoice.startsWith('INV-LIVE')`,`then`:`block`,"
    "`reason`:`live_invoice`}]";

static void
a_rule_blocks_what_it_names_and_an_exception_spares_an_approval(void **state)
{
	static const struct {
		unsigned stage;
		const char *labels, *args;
		enum verdict_kind want;
		const char *code, *rule;
	} rows[] = {
		{ 4, "", "{\"amount\":5,\"invoice\":\"I\"}", VERDICT_ALLOW,
		    "allowed", "tools.t.when" },
		{ 4, "", "{\"amount\":26,\"invoice\":\"I\"}", VERDICT_APPROVE,
		    "tool_mode", "tools.t.mode" },
		{ 4, "untrusted:kb", "{\"amount\":5,\"invoice\":\"I\"}",
		    VERDICT_APPROVE, "tool_mode", "tools.t.mode" },
		{ 4, "", "{\"amount\":5,\"invoice\":\"INV-LIVE-1\"}",
		    VERDICT_BLOCK, "when", "tools.t.when" },
		{ 3, "", "{\"amount\":5,\"invoice\":\"I\"}", VERDICT_APPROVE,
		    "tool_mode", "tools.t.mode" },
		{ 1, "", "{\"amount\":5,\"invoice\":\"I\"}", VERDICT_APPROVE,
		    "tool_mode", "tools.t.mode" },
		/* Not to be known is a no. */
		{ 4, "", "{\"amount\":5}", VERDICT_BLOCK, "rule_error",
		    "tools.t.when" },
		{ 4, "", "{\"amount\":\"5\",\"invoice\":\"I\"}", VERDICT_BLOCK,
		    "rule_error", "tools.t.when" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy *p = policy_of(rows[i].stage, refund);
		struct verdict v;

		labels.n = 0;
		if (rows[i].labels[0] != '\0')
			labels_add(&labels, str_of(rows[i].labels));
		v = decide(p, rows[i].args);
		assert_int_equal(v.kind, rows[i].want);
		assert_string_equal(v.code, rows[i].code);
		assert_string_equal(v.rule, rows[i].rule);
		policy_free(p);
	}
	labels.n = 0;
}

static void
an_exception_lifts_nothing_but_the_mode_of_its_row(void **state)
{
	static const char *const others[] = {
		"`scopes`:[`held:by-nobody`]",
		"`clearance`:[]",
		"`args`:{`required`:[`more`]}",
	};
	static const char flow[] = HEAD
	    "`stage`:5,`flow`:[{`id`:`f`,`if_labels`:[`untrusted:*`],"
	    "`then`:`block`}],`tools`:{`t`:{`risk`:`read`,`mode`:`approve`,"
	    "`when`:[{`if`:`true`,`then`:`allow`,`from_stage`:1}]}}}";
	struct policy *p;

	(void)state;
	labels.n = 0;
	labels_add(&labels, STR("untrusted:kb"));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		own_buf struct buf members = {};

		buf_printf(&members,
		    "`risk`:`read`,`mode`:`approve`,%s,"
		    "`when`:[{`if`:`true`,`then`:`allow`,`from_stage`:1}]",
		    others[i]);
		p = policy_of(5, buf_c(&members));
		assert_int_equal(decide(p, "{}").kind, VERDICT_BLOCK);
		policy_free(p);
	}
	p = compile(str_of(flow));
	assert_non_null(p);
	assert_int_equal(decide(p, "{}").kind, VERDICT_BLOCK);
	labels.n = 0;
	assert_int_equal(decide(p, "{}").kind, VERDICT_ALLOW);
	policy_free(p);
	/* Nor the cap of a stage. */
	p = policy_of(1,
	    "`risk`:`external_write`,`mode`:`approve`,"
	    "`when`:[{`if`:`true`,`then`:`allow`,`from_stage`:1}]");
	assert_int_equal(decide(p, "{}").kind, VERDICT_SIMULATE);
	policy_free(p);
}

static void
a_tool_carries_only_labels_it_is_cleared_for(void **state)
{
	struct policy *p =
	    policy_of(5, "`risk`:`read`,`clearance`:[`pii`,`untrusted:*`]");
	struct verdict v;

	(void)state;
	labels.n = 0;
	labels_add(&labels, STR("pii"));
	labels_add(&labels, STR("untrusted:kb"));
	assert_int_equal(decide(p, "{}").kind, VERDICT_ALLOW);
	labels_add(&labels, STR("secret"));
	v = decide(p, "{}");
	assert_int_equal(v.kind, VERDICT_BLOCK);
	assert_string_equal(v.code, "clearance");
	assert_non_null(strstr(v.reasons[0], "secret"));
	labels.n = 0;
	labels.overflowed = true;
	assert_int_equal(decide(p, "{}").kind, VERDICT_BLOCK);
	labels.overflowed = false;
	policy_free(p);
}

static void
who_and_what_and_when_can_be_asked(void **state)
{
	static const char *const conditions[] = {
		"'clerk' in identity.roles",
		"identity.actor == 'bot' && identity.tenant == 'default'",
		"tool.name == 't' && tool.risk == 'read'",
		"run.stage == 5 && run.workflow == 'w'",
		"now == 1000",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]);
	     i++) {
		own_buf struct buf members = {};
		struct policy *p;

		buf_printf(&members,
		    "`risk`:`read`,`when`:[{`if`:`%s`,`then`:`block`}]",
		    conditions[i]);
		p = policy_of(5, buf_c(&members));
		assert_string_equal(decide(p, "{}").code, "when");
		policy_free(p);
	}
}

static void
rules_that_cannot_be_meant_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "`when`:[{`if`:`args.x >`,`then`:`block`}]",
		    "ends too early" },
		{ "`when`:[{`if`:`http.host == ''`,`then`:`block`}]",
		    "not known here" },
		{ "`when`:[{`then`:`block`}]", "`if` is missing" },
		{ "`when`:[{`if`:`true`}]", "`then` is missing" },
		{ "`when`:[{`if`:`true`,`then`:`allow`}]", "does nothing" },
		{ "`mode`:`approve`,`when`:[{`if`:`true`,`then`:`allow`}]",
		    "from_stage" },
		{ "`mode`:`block`,`when`:[{`if`:`true`,`then`:`approve`,"
		  "`from_stage`:5}]",
		    "nothing lifts a block" },
		{ "`when`:[{`if`:true,`then`:`block`}]", "must be a text" },
		{ "`when`:{}", "must be a list" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		own_buf struct buf doc = {};

		buf_printf(
		    &doc, HEAD "`tools`:{`t`:{`risk`:`read`,%s}}}", bad[i][0]);
		assert_null(compile(buf_str(&doc)));
		if (strstr(list.item[0].text, bad[i][1]) == NULL)
			fail_msg("%s: %s", bad[i][0], list.item[0].text);
	}
}

static uint32_t random_state = 1;

static uint32_t
below(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

static const char *const conditions[] = { "true", "false", "args.n > 1",
	"args.n <= 1", "labels.untrusted", "!labels.pii", "args.missing",
	"has(args.missing)", "tool.risk == 'read'" };
enum { CONDITIONS = sizeof(conditions) / sizeof(conditions[0]), RULES = 6 };

struct made {
	unsigned stage, risk, mode, n;
	unsigned cond[RULES], then[RULES], from[RULES], order[RULES];
};

/* A policy with the rules in the order that m has, without rule `without`. */
static struct policy *
build(const struct made *m, unsigned without)
{
	own_buf struct buf doc = {};
	struct policy *p;
	bool first = true;

	buf_printf(&doc,
	    "{`policy`:1,`workflow`:`w`,`stage`:%u,`tools`:{`t`:{`risk`:"
	    "`%s`,`mode`:`%s`,`when`:[",
	    m->stage, risk_name(m->risk), verdict_name(m->mode));
	for (unsigned i = 0; i < m->n; i++) {
		unsigned k = m->order[i];

		if (k == without)
			continue;
		buf_printf(&doc, "%s{`if`:`%s`,`then`:`%s`,`from_stage`:%u}",
		    first ? "" : ",", conditions[m->cond[k]],
		    verdict_name(m->then[k]), m->from[k]);
		first = false;
	}
	buf_add_c(&doc, "]}}}");
	p = compile(buf_str(&doc));
	if (p == NULL)
		fail_msg("%s: %s", buf_c(&doc), list.item[0].text);
	return p;
}

static enum verdict_kind
verdict_of(const struct made *m, unsigned without)
{
	struct policy *p = build(m, without);
	enum verdict_kind got = decide(p, "{\"n\":1}").kind;

	policy_free(p);
	return got;
}

/*
 * Of policies made at random: whatever order the rules have, the verdict is
 * the same; a rule that is no exception never loosens it by being there; and
 * an exception never makes it less than what all others say.
 */
static void
no_rule_loosens_another_and_their_order_does_not_matter(void **state)
{
	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct made m = { .stage = 1 + below(5),
			.risk = below(RISKS),
			.mode = below(VERDICTS),
			.n = 1 + below(RULES) };
		enum verdict_kind all, fewer;

		for (unsigned i = 0; i < m.n; i++) {
			m.cond[i] = below(CONDITIONS);
			m.from[i] = 1 + below(5);
			m.order[i] = i;
			do
				m.then[i] = below(VERDICTS);
			while ((m.mode == VERDICT_BLOCK &&
				   m.then[i] < VERDICT_BLOCK) ||
			    (m.mode == VERDICT_ALLOW &&
				m.then[i] == VERDICT_ALLOW));
		}
		labels.n = 0;
		if (below(2) == 0)
			labels_add(&labels, STR("untrusted:x"));
		all = verdict_of(&m, RULES);
		for (unsigned i = 0; i < m.n; i++) {
			fewer = verdict_of(&m, i);
			if (m.then[i] >= m.mode)
				assert_true(fewer <= all);
			else
				assert_true(all >= m.then[i] || all == fewer);
		}
		for (unsigned i = m.n - 1; i > 0; i--) {
			unsigned k = below(i + 1), swap = m.order[i];

			m.order[i] = m.order[k];
			m.order[k] = swap;
		}
		assert_int_equal(verdict_of(&m, RULES), all);
	}
	labels.n = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_rule_blocks_what_it_names_and_an_exception_spares_an_approval),
		cmocka_unit_test(
		    an_exception_lifts_nothing_but_the_mode_of_its_row),
		cmocka_unit_test(a_tool_carries_only_labels_it_is_cleared_for),
		cmocka_unit_test(who_and_what_and_when_can_be_asked),
		cmocka_unit_test(rules_that_cannot_be_meant_are_refused),
		cmocka_unit_test(
		    no_rule_loosens_another_and_their_order_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
