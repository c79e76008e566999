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
#include "core/egress.h"
#include "core/policy.h"
#include "policy_gen.h"

#define HEAD "{'policy':1,'workflow':'w','extends':['base@3'],"
#define BASE_HEAD "{'policy':1,'workflow':'base','version':'3','stage':5,"

static struct policy_problems problems;
static struct policy_bases bases;
static struct buf texts[POLICY_PARTS_MAX];

/* ' stands for ". */
static void
quote(struct buf *out, const char *text)
{
	buf_reset(out);
	buf_add_c(out, text);
	for (size_t i = 0; i < out->n; i++) {
		if (out->p[i] == '\'')
			out->p[i] = '"';
	}
}

static void
have(const char *name, const char *text)
{
	struct policy_base *b = &bases.item[bases.n];

	assert_true(bases.n < POLICY_PARTS_MAX);
	assert_int_equal(str_copy(str_of(name), b->name, sizeof(b->name)), 0);
	quote(&texts[bases.n], text);
	b->text = buf_str(&texts[bases.n++]);
	b->format = POLICY_JSON;
}

static struct policy *
compile(const char *text)
{
	own_buf struct buf doc = {};

	quote(&doc, text);
	return policy_new_over(buf_str(&doc), POLICY_JSON, &bases, &problems);
}

static struct policy *
over(const char *base, const char *text)
{
	struct policy *p;

	bases.n = 0;
	have("base@3", base);
	p = compile(text);
	if (p == NULL)
		print_error("%u:%u: %s: %s\n", problems.item[0].line,
		    problems.item[0].column, problems.item[0].path,
		    problems.item[0].text);
	assert_non_null(p);
	return p;
}

static enum verdict_kind
verdict(const struct policy *p, const char *tool, const char *args,
    const char *label, struct verdict *v)
{
	static struct labels labels;
	own_arena struct arena a = {};
	struct err e = {};
	own_buf struct buf text = {};
	struct policy_call c = { .tool = str_of(tool), .labels = &labels };

	labels = (struct labels){};
	if (label[0] != '\0')
		labels_add(&labels, str_of(label));
	quote(&text, args);
	c.args = json_parse(buf_str(&text), NULL, &a, &e, NULL);
	assert_non_null(c.args);
	policy_decide(p, &c, v);
	return v->would;
}

static void
what_a_document_does_not_say_its_base_says(void **state)
{
	struct policy *p = over(BASE_HEAD
	    "'scopes':['t:*','kb:read'],'actor':'bot',"
	    "'budgets':{'max_tool_calls':7},'sandbox':{'memory_mb':256},"
	    "'tools':{'kb.*':{'risk':'read','scopes':['kb:read']},"
	    "'mail':{'risk':'external_write','mode':'approve'}}}",
	    HEAD "'scopes':['kb:read']}");
	struct verdict v;

	(void)state;
	assert_int_equal(p->stage, 5);
	assert_int_equal(p->budgets.limit[BUDGET_TOOL_CALLS], 7);
	assert_int_equal(p->sandbox.memory_bytes, 256 << 20);
	assert_true(str_eq_c(p->identity.actor, "bot"));
	assert_int_equal(p->identity.n_scopes, 1);
	assert_int_equal(verdict(p, "kb.search", "{}", "", &v), VERDICT_ALLOW);
	assert_int_equal(verdict(p, "mail", "{}", "", &v), VERDICT_APPROVE);
	assert_string_equal(v.rule, "base@3 tools.mail.mode");
	assert_int_equal(verdict(p, "other", "{}", "", &v), VERDICT_BLOCK);
	policy_free(p);
}

static void
the_most_restrictive_of_all_parts_holds(void **state)
{
	struct policy *p = over(BASE_HEAD
	    "'tools':{'t':{'risk':'read','labels_out':['a','trusted'],"
	    "'redact':{'args':['$.x']},'timeout_ms':5000,'approval':'two',"
	    "'clearance':['ok*'],'args':{'required':['x']},"
	    "'when':[{'if':'args.x > 5.0','then':'block'}]}},"
	    "'flow':[{'id':'f','if_labels':['ok:2'],'then':'approve'}],"
	    "'approvals':{'two':{'quorum':2,'from_roles':['a','b'],"
	    "'edit':['x']}}}",
	    HEAD "'tools':{'t':{'risk':'draft','labels_out':['b'],"
		 "'redact':{'args':['$.y']},'timeout_ms':400,'mode':'allow',"
		 "'args':{'required':['y']},'approval':'one'}},"
		 "'approvals':{'one':{'from_roles':['b','c'],"
		 "'on_timeout':'halt','edit':['x','y']}}}");
	const struct policy_tool *t = policy_tool_find(p, STR("t"));
	struct verdict v;

	(void)state;
	assert_non_null(t);
	assert_int_equal(t->risk, RISK_DRAFT);
	assert_int_equal(t->timeout_ms, 400);
	assert_int_equal(t->n_redact_args, 2);
	assert_int_equal(t->n_labels_out, 2); /* nobody says trusted alone */
	assert_int_equal(t->approval->quorum, 2);
	assert_int_equal(t->approval->n_from_roles, 1);
	assert_true(str_eq_c(t->approval->from_roles[0], "b"));
	assert_int_equal(t->approval->on_timeout, ON_TIMEOUT_HALT);
	assert_int_equal(t->approval->n_edit, 1);
	assert_int_equal(
	    verdict(p, "t", "{'x':1,'y':1}", "", &v), VERDICT_ALLOW);
	assert_int_equal(
	    verdict(p, "t", "{'x':6,'y':1}", "", &v), VERDICT_BLOCK);
	assert_string_equal(v.rule, "base@3 tools.t.when");
	assert_int_equal(verdict(p, "t", "{'x':1}", "", &v), VERDICT_BLOCK);
	assert_string_equal(v.rule, "tools.t.args");
	assert_int_equal(verdict(p, "t", "{'y':1}", "", &v), VERDICT_BLOCK);
	assert_string_equal(v.rule, "base@3 tools.t.args");
	assert_int_equal(
	    verdict(p, "t", "{'x':1,'y':1}", "no", &v), VERDICT_BLOCK);
	assert_string_equal(v.code, "clearance");
	assert_int_equal(
	    verdict(p, "t", "{'x':1,'y':1}", "ok:2", &v), VERDICT_APPROVE);
	policy_free(p);
}

static void
a_command_of_a_base_stays_its_command(void **state)
{
	static const char *const rows[] = {
		HEAD "'tools':{'x':{'risk':'draft'}}}",
		HEAD "'tools':{'x*':{'risk':'read'}}}",
		HEAD "'tools':{'x':{'risk':'read','exec':{'command':['/x']}}}}",
		HEAD "'stage':1}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p = over(BASE_HEAD
		    "'tools':{'x':{'risk':'read','exec':{'command':['/x']}}}}",
		    rows[i]);

		assert_non_null(policy_tool_find(p, STR("x"))->exec);
		policy_free(p);
	}
}

static void
patterns_of_parts_meet(void **state)
{
	struct policy *p = over(BASE_HEAD
	    "'tools':{'*.read':{'risk':'read'},'files.*':{'risk':'draft',"
	    "'mode':'approve'},'files.rm':{'risk':'destructive'}}}",
	    HEAD "'tools':{'files.*':{'risk':'draft'},"
		 "'a*':{'risk':'read','mode':'simulate'}}}");
	static const struct {
		const char *tool;
		enum verdict_kind is;
	} rows[] = {
		{ "files.read", VERDICT_APPROVE }, /* the longer of the base */
		{ "files.mv", VERDICT_APPROVE }, { "files.rm", VERDICT_BLOCK },
		{ "kb.read", VERDICT_ALLOW }, /* of the base alone */
		{ "a.read", VERDICT_SIMULATE },
		{ "a.write", VERDICT_BLOCK }, /* no pattern of the base */
	};
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (verdict(p, rows[i].tool, "{}", "", &v) != rows[i].is)
			fail_msg(
			    "%s is %s", rows[i].tool, verdict_name(v.would));
	}
	policy_free(p);
}

static void
loosening_is_told_where_it_stands(void **state)
{
	static const char base[] =
	    "{'policy':1,'workflow':'base','version':'3','tenant':'acme','"
	    "roles':['r'],'scopes':['t:read'],'stage':3,"
	    "'tools':{'t':{'risk':'draft','mode':'approve','timeout_ms':9},"
	    "'x':{'risk':'read','exec':{'command':['/bin/x']}}},"
	    "'approvals':{'two':{'quorum':2}},"
	    "'sandbox':{'commands':{'allow':['git','/bin/x','/bin/t','/bin/"
	    "y']},"
	    "'image':'vetted'},"
	    "'secrets':{'S':{'from':'file:s','inject':{'header':'x'}}},"
	    "'egress':{'rules':[{'host':'*.example.com'}]}}";
	static const struct {
		const char *text, *path, *says;
	} rows[] = {
		{ "'stage':4", "stage", "base@3, which says 3" },
		{ "'mode':'shadow'", "mode", "leaves it at its default" },
		{ "'tenant':'other'", "tenant", "\"acme\"" },
		{ "'roles':['s']", "roles", "\"s\"" },
		{ "'scopes':['t:*']", "scopes", "\"t:*\"" },
		{ "'budgets':{'max_tool_calls':101}", "budgets.max_tool_calls",
		    "looser" },
		{ "'sandbox':{'memory_mb':513}", "sandbox.memory_mb",
		    "looser" },
		{ "'sandbox':{'io_mb_per_s':1,'user':'root'}", "sandbox.user",
		    "looser" },
		{ "'sandbox':{'commands':{'allow':['sh']}}",
		    "sandbox.commands.allow", "\"sh\"" },
		{ "'sandbox':{'ports':[80]}", "sandbox.ports", "80" },
		{ "'sandbox':{'protect':{'allow_read':['.env']}}",
		    "sandbox.protect", ".env" },
		{ "'sandbox':{'image':'mine'}", "sandbox.image", "vetted" },
		{ "'sandbox':{'mounts':[{'from':'./a','to':'/data'}]}",
		    "sandbox.mounts", "/data" },
		{ "'tools':{'t':{'risk':'read'}}", "tools.t.risk", "draft" },
		{ "'tools':{'t':{'risk':'draft','mode':'allow'}}",
		    "tools.t.mode", "approve" },
		{ "'tools':{'t':{'risk':'draft','timeout_ms':10}}",
		    "tools.t.timeout_ms", "9" },
		{ "'tools':{'u':{'risk':'draft'}}", "tools.u",
		    "lists no such tool" },
		{ "'tools':{'t':{'risk':'draft','exec':{'command':['/bin/t']}}"
		  "}",
		    "tools.t", "the same `exec` of t" },
		{ "'tools':{'x':{'risk':'read','exec':{'command':['/bin/y']}}"
		  "}",
		    "tools.x", "the same `exec` of x" },
		{ "'approvals':{'two':{'quorum':1}}", "approvals.two",
		    "fewer votes" },
		{ "'approvals':{'default':{'distinct_from':[]}}",
		    "approvals.default", "actor" },
		{ "'egress':{'rules':[{'host':'example.org'}]}",
		    "egress.rules[0].host", "no rule of base@3" },
		{ "'egress':{'rules':[{'host':'a.example.com',"
		  "'addrs':['10.0.0.1']}]}",
		    "egress.rules[0].addrs", "pin" },
		{ "'secrets':{'S':{'from':'file:x','inject':{'header':"
		  "'x'}}}",
		    "secrets.S", "not as in" },
		{ "'secrets':{'T':{'from':'file:s','inject':{'header':"
		  "'x'}}}",
		    "secrets.T", "no secret of" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_buf struct buf text = {};

		buf_printf(&text, HEAD "\n%s}", rows[i].text);
		bases.n = 0;
		have("base@3", base);
		if (compile(buf_c(&text)) != NULL)
			fail_msg("taken: %s", rows[i].text);
		if (problems.n != 1 || problems.item[0].line != 2 ||
		    strcmp(problems.item[0].path, rows[i].path) != 0 ||
		    strstr(problems.item[0].text, rows[i].says) == NULL)
			fail_msg("%s: %u problems, %u: %s: %s", rows[i].text,
			    problems.n, problems.item[0].line,
			    problems.item[0].path, problems.item[0].text);
	}
}

static void
a_base_that_cannot_be_had_is_told(void **state)
{
	static const struct {
		const char *doc, *says;
		const char *name[3], *text[3];
	} rows[] = {
		{ HEAD "'stage':1}", "is not here", {}, {} },
		{ HEAD "'stage':1}", "base@3:2:9: stage: must be", { "base@3" },
		    { "{'policy':1,'workflow':'base','version':'3','tools':{},"
		      "\n'stage':6}" } },
		{ HEAD "'stage':1}", "is \"base@4\"", { "base@3" },
		    { "{'policy':1,'workflow':'base','version':'4',"
		      "'tools':{}}" } },
		{ HEAD "'stage':1}", "short form", { "base@3" },
		    { "{'workflow':'base','tools':{}}" } },
		{ HEAD "'stage':1}", "extends itself", { "base@3", "b@1" },
		    { "{'policy':1,'workflow':'base','version':'3',"
		      "'extends':['b@1']}",
			"{'policy':1,'workflow':'b','version':'1',"
			"'extends':['base@3']}" } },
		{ "{'policy':1,'workflow':'w','extends':['w@0']}",
		    "extends itself", {}, {} },
		{ "{'policy':1,'workflow':'w','extends':['../x@0']}",
		    "must be the workflow", {}, {} },
		{ "{'policy':1,'workflow':'w','extends':[]}", "is empty", {},
		    {} },
		{ "{'policy':1,'workflow':'w','extends':'base@3'}",
		    "must be a list", {}, {} },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		bases.n = 0;
		for (size_t k = 0; k < 3 && rows[i].name[k] != NULL; k++)
			have(rows[i].name[k], rows[i].text[k]);
		if (compile(rows[i].doc) != NULL)
			fail_msg("row %zu is taken", i);
		if (problems.n == 0 || problems.item[0].line == 0 ||
		    strstr(problems.item[0].text, rows[i].says) == NULL)
			fail_msg("row %zu: %u: %s", i, problems.n,
			    problems.item[0].text);
	}
	assert_int_equal(bases.wanted[0], '\0');
	bases.n = 0;
	assert_null(compile(HEAD "'stage':1}"));
	assert_string_equal(bases.wanted, "base@3");
}

static void
bases_of_bases_have_a_limit(void **state)
{
	(void)state;
	bases.n = 0;
	for (unsigned i = 1; i <= 6; i++) {
		own_buf struct buf text = {};
		char name[8];

		(void)snprintf(name, sizeof(name), "b@%u", i);
		buf_printf(&text,
		    "{'policy':1,'workflow':'b','version':'%u',"
		    "'extends':['b@%u']}",
		    i, i + 1);
		have(name, buf_c(&text));
	}
	assert_null(compile("{'policy':1,'workflow':'w','extends':['b@1']}"));
	assert_non_null(strstr(problems.item[0].text, "deeper than 4"));
	bases.n = 0;
	have("b@1", "{'policy':1,'workflow':'b','version':'1','tools':{}}");
	assert_null(compile(
	    "{'policy':1,'workflow':'w','extends':['b@1','b@1','b@1','b@1',"
	    "'b@1','b@1','b@1','b@1','b@1','b@1','b@1','b@1','b@1','b@1',"
	    "'b@1','b@1']}"));
	assert_non_null(strstr(problems.item[0].text, "at most 15"));
}

static void
the_version_covers_every_part(void **state)
{
	struct policy *p =
	    over(BASE_HEAD "'tools':{'t':{'risk':'read'}}}", HEAD "'stage':2}");
	struct policy *other = over(
	    BASE_HEAD "'tools':{'t':{'risk':'draft'}}}", HEAD "'stage':2}");
	struct policy *again;

	(void)state;
	assert_false(hash_eq(&p->version, &other->version));
	/* What is sent on is whole: nobody needs the files again. */
	again = policy_new(p->canonical, POLICY_JSON, &problems);
	assert_non_null(again);
	assert_true(hash_eq(&p->version, &again->version));
	assert_true(str_eq(p->canonical, again->canonical));
	assert_int_equal(again->n_parts, 2);
	policy_free(again);
	policy_free(other);
	policy_free(p);
}

static bool
leaves(const struct policy *p, const char *host, const char *method,
    struct egress_verdict *v)
{
	static const struct labels none;
	struct egress_ask ask = {
		.level = LEVEL_REQUEST,
		.proto = PROTO_HTTPS,
		.port = 443,
		.method = str_of(method),
		.path = STR("/"),
	};

	assert_int_equal(str_copy(str_of(host), ask.host, sizeof(ask.host)), 0);
	egress_decide(p, &ask, &none, v);
	return v->kind == VERDICT_ALLOW;
}

static void
nothing_leaves_that_a_base_denies(void **state)
{
	struct policy *p = over(BASE_HEAD
	    "'tools':{},'egress':{'rules':[{'host':'*.example.com',"
	    "'methods':['GET'],'max_body':10},{'host':'b.example.com',"
	    "'methods':['POST']}]}}",
	    HEAD "'egress':{'rules':[{'host':'a.example.com'},"
		 "{'host':'b.example.com','methods':['GET']}]}}");
	struct policy *plain = over(BASE_HEAD
	    "'tools':{},'egress':{'rules':[{'host':'a.example.com'}]}}",
	    HEAD "'stage':5}");
	struct egress_verdict v;

	(void)state;
	assert_true(leaves(p, "a.example.com", "GET", &v));
	assert_int_equal(v.max_body, 10);
	assert_false(leaves(p, "a.example.com", "POST", &v));
	assert_string_equal(v.code, "method");
	assert_true(leaves(p, "b.example.com", "GET", &v));
	assert_false(leaves(p, "b.example.com", "POST", &v));
	assert_false(leaves(p, "c.example.com", "GET", &v));
	assert_true(leaves(plain, "a.example.com", "POST", &v));
	assert_false(leaves(plain, "b.example.com", "POST", &v));
	policy_free(plain);
	policy_free(p);
}

static void
no_document_loosens_what_it_extends(void **state)
{
	static const char *const tools[] = { "a.x", "a.y", "b.x", "b.y", "b",
		"a.zx", "c.x", "c.y", "c" };
	static const char *const args[] = { "{}", "{'n':3,'s':'ab'}",
		"{'n':0,'s':''}" };
	static const char *const labels[] = { "", "pii", "untrusted:a.x" };
	uint32_t taken = 0, looser_alone = 0;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		own_buf struct buf base = {}, doc = {}, head = {}, alone = {};
		own_buf struct buf back = {};
		struct policy *b, *p, *c, *q;
		uint64_t from;

		seed = i;
		buf_printf(&head,
		    "{'policy':1,'workflow':'base','version':'3','stage':%u%s",
		    pick(5) + 1, pick(2) == 0 ? ",'scopes':['s:*']" : "");
		put_doc(&base, buf_c(&head), 2, false);
		bases.n = 0;
		have("base@3", buf_c(&base));
		b = compile(buf_c(&base));
		buf_reset(&head);
		buf_printf(&head, "{'policy':1,'workflow':'w'%s",
		    pick(3) == 0 ? ",'stage':1" : "");
		from = seed;
		put_doc(&alone, buf_c(&head), 4, false);
		buf_add_c(&head, ",'extends':['base@3']");
		seed = from;
		put_doc(&doc, buf_c(&head), 4, false);
		seed = from;
		put_doc(&back, buf_c(&head), 4, true);
		p = compile(buf_c(&doc));
		q = compile(buf_c(&back));
		c = compile(buf_c(&alone));
		assert_int_equal(p == NULL, q == NULL);
		if (b == NULL)
			fail_msg("%s: %s", problems.item[0].text, buf_c(&base));
		for (size_t k = 0; p != NULL && k < COUNT(tools) * 9; k++) {
			const char *tool = tools[k / 9];
			const char *with = args[k % 3];
			const char *label = labels[k / 3 % 3];
			struct verdict vb, vp, vc, vq;

			verdict(b, tool, with, label, &vb);
			verdict(p, tool, with, label, &vp);
			verdict(q, tool, with, label, &vq);
			if (vp.would < vb.would ||
			    (vb.would == VERDICT_APPROVE &&
				vp.would == VERDICT_APPROVE &&
				vp.approved < vb.approved))
				fail_msg("seed %u: %s %s [%s] is %s, and %s "
					 "in the base\n%s\n%s",
				    i, tool, with, label,
				    verdict_name(vp.would),
				    verdict_name(vb.would), buf_c(&base),
				    buf_c(&doc));
			if (vp.would != vq.would)
				fail_msg("seed %u: the order matters", i);
			if (c != NULL &&
			    verdict(c, tool, with, label, &vc) < vb.would)
				looser_alone++;
		}
		taken += p != NULL;
		policy_free(b);
		policy_free(p);
		policy_free(q);
		policy_free(c);
	}
	/* The pairs are such that there is something to hold. */
	assert_true(taken > 300);
	assert_true(looser_alone > 1000);
}

static int
free_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		buf_fini(&texts[i]);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_document_does_not_say_its_base_says),
		cmocka_unit_test(the_most_restrictive_of_all_parts_holds),
		cmocka_unit_test(a_command_of_a_base_stays_its_command),
		cmocka_unit_test(patterns_of_parts_meet),
		cmocka_unit_test(loosening_is_told_where_it_stands),
		cmocka_unit_test(a_base_that_cannot_be_had_is_told),
		cmocka_unit_test(bases_of_bases_have_a_limit),
		cmocka_unit_test(the_version_covers_every_part),
		cmocka_unit_test(nothing_leaves_that_a_base_denies),
		cmocka_unit_test(no_document_loosens_what_it_extends),
	};

	return cmocka_run_group_tests(tests, NULL, free_texts);
}
