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
#include "core/policy_diff.h"
#include "policy_gen.h"

#define HEAD "{'policy':1,'workflow':'w','stage':5,"
#define S "'servers':{'s':{'command':['p']"
#define T "'tools':{'t':{'risk':'read'"

static struct policy_problems problems;

/* ' stands for ". */
static struct policy *
compile(const char *text)
{
	own_buf struct buf doc = {};

	buf_add_c(&doc, text);
	for (size_t i = 0; i < doc.n; i++) {
		if (doc.p[i] == '\'')
			doc.p[i] = '"';
	}
	return policy_new(buf_str(&doc), POLICY_JSON, &problems);
}

static void
each_change_has_its_direction(void **state)
{
	static const struct {
		const char *a, *b, *path;
		enum policy_change ab, ba; /* from a to b, and back */
	} rows[] = {
		{ HEAD "'tools':{}}", HEAD T "}}}", "tools.t", POLICY_LOOSER,
		    POLICY_TIGHTER },
		{ HEAD T "}}}", HEAD T ",'mode':'approve'}}}", "tools.t.mode",
		    POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD T "}}}", HEAD T ",'args':{'required':['x']}}}}",
		    "tools.t.args", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD T ",'args':{'required':['y']}}}}",
		    HEAD T ",'args':{'required':['x']}}}}", "tools.t.args",
		    POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD T ",'args':{'type':'object','required':['x']}}}}",
		    HEAD T ",'args':{'required':['x'],'type':'object'}}}}", "",
		    POLICY_CHANGES, POLICY_CHANGES },
		{ HEAD T "}}}",
		    HEAD T ",'when':[{'if':'args.n > 1.0','then':'block'}]}}}",
		    "tools.t.when", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD T ",'when':[{'if':'args.n > 2.0','then':'block'}]}}}",
		    HEAD T ",'when':[{'if':'args.n > 1.0','then':'block'}]}}}",
		    "tools.t.when", POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD T ",'mode':'approve'}}}",
		    HEAD T ",'mode':'approve','when':[{'if':'args.n < 1.0',"
			   "'then':'allow','from_stage':2}]}}}",
		    "tools.t.when", POLICY_LOOSER, POLICY_CHANGED },
		{ HEAD T "}}}", HEAD T ",'exec':{'command':['/p']}}}}",
		    "tools.t.exec", POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD T ",'exec':{'command':['/q']}}}}",
		    HEAD T ",'exec':{'command':['/p']}}}}", "tools.t.exec",
		    POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD T "}}}", HEAD T ",'labels_out':['pii']}}}",
		    "tools.t.labels_out", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD T "}}}", HEAD T ",'clearance':['pii']}}}",
		    "tools.t.clearance", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD T "}}}", HEAD T ",'redact':{'args':['$.x']}}}}",
		    "tools.t.redact.args", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD T ",'mode':'approve'}}}",
		    HEAD "'approvals':{'default':{'quorum':2}}," T
			 ",'mode':'approve'}}}",
		    "tools.t.approval", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD "'tools':{'a.*':{'risk':'read'}}}",
		    HEAD "'tools':{'a.*':{'risk':'read'},'b.*':{'risk':"
			 "'read'}}}",
		    "tools.b.*", POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{'a.*':{'risk':'read'}}}",
		    HEAD "'tools':{'a.*':{'risk':'read'},'a.b*':{'risk':"
			 "'read'}}}",
		    "tools.a.b*", POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD "'tools':{}}",
		    HEAD "'tools':{},'flow':[{'id':'f','if_labels':['x'],"
			 "'then':'block'}]}",
		    "flow.f", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD "'tools':{}}", HEAD "'tools':{},'scopes':['a:b']}",
		    "scopes", POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{}}", HEAD "'tools':{},'actor':'x'}", "actor",
		    POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD "'tools':{}}",
		    HEAD "'tools':{},'budgets':{'max_tool_calls':5}}",
		    "budgets.max_tool_calls", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD "'tools':{}}",
		    HEAD "'tools':{},'sandbox':{'io_mb_per_s':5}}",
		    "sandbox.io_mb_per_s", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD "'tools':{}}",
		    HEAD "'tools':{},'sandbox':{'required':['time_ns']}}",
		    "sandbox.required", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD "'tools':{}}",
		    HEAD "'tools':{},'sandbox':{'commands':{'allow':['a']}}}",
		    "sandbox.commands.allow", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD "'tools':{}}",
		    HEAD "'tools':{},'sandbox':{'protect':{'allow_read':"
			 "['.env']}}}",
		    "sandbox.protect", POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{}}",
		    HEAD "'tools':{},'egress':{'rules':[{'host':'a.test'}]}}",
		    "egress.rules", POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{},'egress':{'rules':[{'host':'*.a.test'}]}}",
		    HEAD "'tools':{},'egress':{'rules':[{'host':'*.a.test'},"
			 "{'host':'b.a.test','max_body':5}]}}",
		    "egress.rules", POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD T "}}}",
		    HEAD T "}},'faults':{'seed':1,'rules':[{'tool':'t',"
			   "'nth':1,'kind':'timeout'}]}}",
		    "faults", POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD "'tools':{},'secrets':{'S':{'from':'canary:hex'}}}",
		    HEAD "'tools':{}}", "secrets.S", POLICY_LOOSER,
		    POLICY_TIGHTER },
		{ HEAD "'tools':{}}", HEAD "'tools':{}," S "}}}", "servers.s",
		    POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{}," S "}}}",
		    HEAD "'tools':{}," S ",'network':true}}}",
		    "servers.s.network", POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{}," S "}}}",
		    HEAD "'tools':{}," S ",'mounts':['workspace']}}}",
		    "servers.s.mounts", POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{}," S "}}}",
		    HEAD "'tools':{}," S ",'memory_mb':16}}}",
		    "servers.s.memory_mb", POLICY_TIGHTER, POLICY_LOOSER },
		{ HEAD "'tools':{}," S ",'restarts':3}}}",
		    HEAD "'tools':{}," S ",'restarts':4}}}",
		    "servers.s.restarts", POLICY_LOOSER, POLICY_TIGHTER },
		{ HEAD "'tools':{}," S "}}}",
		    HEAD "'tools':{},'servers':{'s':{'command':['q']}}}",
		    "servers.s.command", POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD "'tools':{}," S "}}}",
		    HEAD "'tools':{}," S ",'env':{'A':'b'}}}}", "servers.s.env",
		    POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD "'tools':{}," S "}}}",
		    HEAD "'tools':{}," S ",'capture':{'with':['t']}}}}",
		    "servers.s.capture", POLICY_CHANGED, POLICY_CHANGED },
		{ HEAD "'tools':{}," S "}}}",
		    HEAD "'tools':{}," S ",'restarts':3}}}", "", POLICY_CHANGES,
		    POLICY_CHANGES },
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(rows); i++) {
		bool back = i % 2 == 1;
		struct policy *a =
		    compile(back ? rows[i / 2].b : rows[i / 2].a);
		struct policy *b =
		    compile(back ? rows[i / 2].a : rows[i / 2].b);
		enum policy_change is = back ? rows[i / 2].ba : rows[i / 2].ab;
		struct policy_diff d;

		if (a == NULL || b == NULL)
			fail_msg("row %zu: %s: %s", i / 2,
			    problems.item[0].path, problems.item[0].text);
		policy_diff_make(&d, a, b);
		if (is == POLICY_CHANGES ? d.n != 0
					 : d.n != 1 || d.item[0].change != is ||
			    strcmp(d.item[0].path, rows[i / 2].path) != 0)
			fail_msg("row %zu%s: %u differences, %s %s: %s", i / 2,
			    back ? " back" : "", d.n,
			    d.n > 0 ? policy_change_name(d.item[0].change) : "",
			    d.n > 0 ? d.item[0].path : "",
			    d.n > 0 ? d.item[0].text : "");
		policy_diff_fini(&d);
		policy_free(a);
		policy_free(b);
	}
}

static enum verdict_kind
verdict(const struct policy *p, const char *tool, const char *args,
    const char *label, struct verdict *v)
{
	static struct labels labels;
	own_arena struct arena a = {};
	struct err e = {};
	struct policy_call c = { .tool = str_of(tool), .labels = &labels };

	labels = (struct labels){};
	if (label[0] != '\0')
		labels_add(&labels, str_of(label));
	c.args = json_parse(str_of(args), NULL, &a, &e, NULL);
	assert_non_null(c.args);
	policy_decide(p, &c, v);
	return v->would;
}

/* A change here and there, so that many pairs are near to each other. */
static void
put_near(struct buf *a, struct buf *b)
{
	own_buf struct buf head = {};
	uint32_t stage = pick(5) + 1;
	uint64_t from;

	buf_printf(&head, "{'policy':1,'workflow':'w','stage':%u%s", stage,
	    pick(2) == 0 ? ",'scopes':['s:*']" : "");
	from = seed;
	put_doc(a, buf_c(&head), 3, false);
	if (pick(2) == 0) {
		put_doc(b, buf_c(&head), 3, false);
		return;
	}
	/* The same but for one word. */
	seed = from;
	put_doc(b, buf_c(&head), 3, false);
	for (int i = 0; i < 8; i++) {
		const char *was = modes[pick(5)], *is = modes[pick(5)];
		char *at = strstr(buf_c(b), was);
		own_buf struct buf rest = {};

		for (uint32_t n = pick(4); n > 0 && at != NULL; n--) {
			char *next = strstr(at + 1, was);

			if (next == NULL)
				break;
			at = next;
		}
		if (at == NULL)
			continue;
		buf_add_c(&rest, at + strlen(was));
		b->n = (size_t)(at - b->p);
		buf_add_c(b, is);
		buf_add_str(b, buf_str(&rest));
		return;
	}
}

static void
what_is_not_told_as_looser_has_no_lower_verdict(void **state)
{
	static const char *const tools[] = { "a.x", "a.y", "b.x", "b.y", "b",
		"a.zx", "c.x", "c.y", "c" };
	static const char *const args[] = { "{}", "{\"n\":3,\"s\":\"ab\"}",
		"{\"n\":0,\"s\":\"\"}" };
	static const char *const labels[] = { "", "pii", "untrusted:a.x" };
	uint32_t tighter = 0, looser = 0;

	(void)state;
	for (uint32_t i = 0; i < 6000; i++) {
		own_buf struct buf ta = {}, tb = {};
		struct policy_diff d = {};
		struct policy *a, *b;
		bool less = false;

		seed = i;
		put_near(&ta, &tb);
		a = compile(buf_c(&ta));
		b = compile(buf_c(&tb));
		if (a != NULL && b != NULL)
			policy_diff_make(&d, a, b);
		for (size_t k = 0;
		     a != NULL && b != NULL && k < COUNT(tools) * 9; k++) {
			struct verdict va, vb;

			verdict(a, tools[k / 9], args[k % 3], labels[k / 3 % 3],
			    &va);
			verdict(b, tools[k / 9], args[k % 3], labels[k / 3 % 3],
			    &vb);
			less |= vb.would < va.would;
			if (less && d.of[POLICY_LOOSER] == 0 &&
			    d.of[POLICY_CHANGED] == 0)
				fail_msg("seed %u: %s %s [%s] was %s, is %s, "
					 "and nothing is told\n%s\n%s",
				    i, tools[k / 9], args[k % 3],
				    labels[k / 3 % 3], verdict_name(va.would),
				    verdict_name(vb.would), buf_c(&ta),
				    buf_c(&tb));
		}
		looser += less;
		tighter += d.n > 0 && d.of[POLICY_LOOSER] == 0 &&
		    d.of[POLICY_CHANGED] == 0;
		policy_diff_fini(&d);
		policy_free(a);
		policy_free(b);
	}
	/* Both happen often enough for this to say something. */
	assert_true(looser > 200);
	assert_true(tighter > 200);
}

static void
the_same_policy_has_no_difference(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		own_buf struct buf text = {};
		struct policy_diff d = {};
		struct policy *a, *b;

		seed = i;
		put_doc(
		    &text, "{'policy':1,'workflow':'w','stage':4", 3, false);
		a = compile(buf_c(&text));
		text.n = 0;
		seed = i;
		put_doc(&text, "{'policy':1,'workflow':'w','stage':4", 3, true);
		b = compile(buf_c(&text));
		if (a != NULL) {
			policy_diff_make(&d, a, b);
			assert_int_equal(d.n, 0);
		}
		policy_diff_fini(&d);
		policy_free(a);
		policy_free(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_has_its_direction),
		cmocka_unit_test(the_same_policy_has_no_difference),
		cmocka_unit_test(
		    what_is_not_told_as_looser_has_no_lower_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
