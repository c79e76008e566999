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
#include "base/walls.h"
#include "core/policy.h"
#include "policy_compile.h"

static void
a_full_document_is_taken_as_written(void **state)
{
	static const char doc[] =
	    "{ 'policy': 1, 'workflow': 'support', 'version': '14',\n"
	    "  'tenant': 'acme', 'actor': 'bot', 'roles': ['r1', 'r2'],\n"
	    "  'scopes': ['tickets:*'], 'stage': 4, 'mode': 'shadow',\n"
	    "  'defaults': { 'unlisted': 'block', 'on_error': 'block',\n"
	    "    'by_risk': { 'internal_write': 'allow' } },\n"
	    "  'tools': {\n"
	    "    'a': { 'risk': 'internal_write' },\n"
	    "    'b': { 'risk': 'external_write', 'mode': 'approve',\n"
	    "      'approval': 'two', 'scopes': ['tickets:x'],\n"
	    "      'labels_out': ['pii'], 'trusted_fields': ['$.id'],\n"
	    "      'redact': { 'args': ['$.to'], 'result': ['$..mail'] },\n"
	    "      'retries': 1, 'timeout_ms': 8000, 'reversible': true } },\n"
	    "  'flow': [ { 'id': 'f', 'if_labels': ['untrusted:*', 'pii'],\n"
	    "      'risk_at_least': 'draft', 'then': 'block',\n"
	    "      'reason': 'no' } ],\n"
	    "  'budgets': { 'max_runtime_ms': 1000, 'max_tool_calls': 3,\n"
	    "    'max_retries_per_tool': 0, 'on_exceed': 'stop' },\n"
	    "  'sandbox': { 'image': 'host', 'cpu': 0.5, 'memory_mb': 64,\n"
	    "    'cpu_weight': 50, 'io_mb_per_s': 3,\n"
	    "    'pids': 10, 'disk_mb': 5, 'inodes': 100, 'wall_ms': 7,\n"
	    "    'open_files': 64,\n"
	    "    'required': ['landlock_fs', 'idmap'],\n"
	    "    'limits': 'required', 'ports': [80, 8000],\n"
	    "    'commands': { 'allow': [], 'block': ['rm'] } },\n"
	    "  'egress': { 'default': 'deny', 'private_ranges': 'deny' },\n"
	    "  'approvals': { 'two': { 'quorum': 2, 'from_roles': ['fin'],\n"
	    "    'distinct_from': ['requester'], 'deadline_s': 60,\n"
	    "    'on_timeout': 'halt', 'edit': ['amount'] } } }";
	char got[2048];
	struct policy *p = compile(doc, POLICY_JSON, got, sizeof(got));
	const struct policy_tool *b;

	(void)state;
	assert_string_equal(got, "");
	assert_true(str_eq_c(p->workflow, "support"));
	assert_true(str_eq_c(p->version_name, "14"));
	assert_true(str_eq_c(p->identity.tenant, "acme"));
	assert_true(str_eq_c(p->identity.actor, "bot"));
	assert_int_equal(p->identity.n_roles, 2);
	assert_true(identity_has_role(&p->identity, STR("r2")));
	assert_false(identity_has_role(&p->identity, STR("agent")));
	assert_int_equal(p->stage, 4);
	assert_int_equal(p->mode, POLICY_SHADOW);
	assert_false(p->short_form);
	assert_int_equal(p->by_risk[RISK_DESTRUCTIVE], VERDICT_BLOCK);
	assert_int_equal(p->n_tools, 2);
	assert_int_equal(p->tools[0].mode, VERDICT_ALLOW);
	assert_false(p->tools[0].mode_written);
	assert_int_equal(p->tools[0].retries, UINT32_MAX);
	assert_int_equal(p->tools[0].timeout_ms, POLICY_TOOL_TIMEOUT_MS);
	b = policy_tool_find(p, STR("b"));
	assert_ptr_equal(b, &p->tools[1]);
	assert_int_equal(b->mode, VERDICT_APPROVE);
	assert_true(b->mode_written && b->reversible);
	assert_int_equal(b->retries, 1);
	assert_int_equal(b->timeout_ms, 8000);
	assert_true(str_eq_c(b->scopes[0], "tickets:x"));
	assert_true(str_eq_c(b->labels_out[0], "pii"));
	assert_true(str_eq_c(b->trusted_fields[0], "$.id"));
	assert_true(str_eq_c(b->redact_args[0], "$.to"));
	assert_true(str_eq_c(b->redact_result[0], "$..mail"));
	assert_true(str_eq_c(b->approval->name, "two"));
	assert_int_equal(b->approval->quorum, 2);
	assert_int_equal(b->approval->deadline_ms, 60000);
	assert_int_equal(b->approval->on_timeout, ON_TIMEOUT_HALT);
	assert_true(b->approval->distinct_from_requester);
	assert_false(b->approval->distinct_from_actor);
	assert_true(str_eq_c(b->approval->from_roles[0], "fin"));
	assert_true(str_eq_c(b->approval->edit[0], "amount"));
	assert_int_equal(p->n_approvals, 2);
	assert_true(str_eq_c(p->tools[0].approval->name, "default"));
	assert_int_equal(p->tools[0].approval->quorum, 1);
	assert_true(p->tools[0].approval->distinct_from_actor);
	assert_int_equal(p->n_flow, 1);
	assert_int_equal(p->flow[0].n_if_labels, 2);
	assert_int_equal(p->flow[0].risk_at_least, RISK_DRAFT);
	assert_int_equal(p->flow[0].then, VERDICT_BLOCK);
	assert_true(str_eq_c(p->flow[0].reason, "no"));
	assert_int_equal(p->budgets.limit[BUDGET_RUNTIME_MS], 1000);
	assert_int_equal(p->budgets.limit[BUDGET_TOOL_CALLS], 3);
	assert_int_equal(p->budgets.limit[BUDGET_RETRIES], 0);
	assert_int_equal(p->sandbox.cpu_milli, 500);
	assert_int_equal(p->sandbox.cpu_weight, 50);
	assert_int_equal(p->sandbox.io_bytes_per_s, 3 << 20);
	assert_int_equal(p->sandbox.memory_bytes, 64 << 20);
	assert_int_equal(p->sandbox.disk_bytes, 5 << 20);
	assert_int_equal(p->sandbox.pids, 10);
	assert_int_equal(p->sandbox.inodes, 100);
	assert_int_equal(p->sandbox.open_files, 64);
	assert_int_equal(p->sandbox.wall_ms, 7);
	assert_true(p->sandbox.limits_required);
	assert_int_equal(
	    p->sandbox.walls_required, WALL_LANDLOCK_FS | WALL_IDMAP);
	policy_free(p);
}

static void
what_is_not_written_is_strict(void **state)
{
	char got[256];
	struct policy *p = compile("{'policy':1,'workflow':'w','tools':{}}",
	    POLICY_JSON, got, sizeof(got));

	(void)state;
	assert_string_equal(got, "");
	assert_int_equal(p->stage, 1);
	assert_int_equal(p->mode, POLICY_ENFORCE);
	assert_int_equal(p->identity.n_scopes, 0);
	/* Where no cgroup can be written, rlimits hold: a policy that needs
	 * more than that says "required". */
	assert_false(p->sandbox.limits_required);
	assert_int_equal(p->sandbox.walls_required, 0);
	assert_int_equal(p->sandbox.disk_bytes, p->sandbox.memory_bytes / 2);
	for (int k = 0; k < BUDGET_MODEL_CALLS; k++)
		assert_true(p->budgets.limit[k] < UINT64_MAX);
	policy_free(p);
}

static void
the_short_form_holds_as_written(void **state)
{
	static const char doc[] =
	    "{ 'workflow': 'w', 'tenant_id': 'acme',\n"
	    "  'max_runtime_seconds': 120, 'max_tool_calls': 25, 'tools': {\n"
	    "  'r': { 'risk': 'read', 'allowed': true, 'scopes': ['a:x'] },\n"
	    "  'd': { 'risk': 'draft', 'allowed': true, 'scopes': ['a:x',\n"
	    "         'b'] },\n"
	    "  'n': { 'risk': 'external_write', 'allowed': false },\n"
	    "  'p': { 'risk': 'destructive', 'approval_required': true },\n"
	    "  'q': { 'risk': 'read', 'allowed': true,\n"
	    "         'approval_required': true },\n"
	    "  'i': { 'risk': 'internal_write' } } }";
	static const enum verdict_kind modes[] = { VERDICT_ALLOW, VERDICT_ALLOW,
		VERDICT_BLOCK, VERDICT_APPROVE, VERDICT_APPROVE,
		VERDICT_SIMULATE };
	char got[1024];
	struct policy *p = compile(doc, POLICY_JSON, got, sizeof(got));

	(void)state;
	assert_string_equal(got, "");
	assert_true(p->short_form);
	assert_true(str_eq_c(p->identity.tenant, "acme"));
	assert_true(str_eq_c(p->identity.actor, "agent"));
	assert_true(identity_has_role(&p->identity, STR("agent")));
	assert_int_equal(p->identity.n_scopes, 2);
	assert_true(identity_has_scope(&p->identity, STR("a:x")));
	assert_true(identity_has_scope(&p->identity, STR("b")));
	assert_true(str_eq_c(p->version_name, "0"));
	assert_int_equal(p->stage, 5);
	assert_int_equal(p->budgets.limit[BUDGET_RUNTIME_MS], 120000);
	assert_int_equal(p->budgets.limit[BUDGET_TOOL_CALLS], 25);
	for (size_t i = 0; i < COUNT(modes); i++)
		assert_int_equal(p->tools[i].mode, modes[i]);
	policy_free(p);
}

/* One document in three spellings has one version. */
static void
the_version_is_that_of_the_canonical_bytes(void **state)
{
	static const struct {
		enum policy_format format;
		const char *doc;
	} rows[] = {
		{ POLICY_JSON,
		    "{'workflow':'w','tools':{'a':{'risk':'read'}},"
		    "'max_tool_calls':16}" },
		{ POLICY_JSON,
		    "// a comment\n{ 'max_tool_calls': 1.6e1, /* more */\n"
		    "'tools': { 'a': { 'risk': 'r\\u0065ad' } },\n"
		    "'workflow': 'w' }" },
		{ POLICY_YAML,
		    "%YAML 1.2\n---\ntools:\n  a: {risk: read}\n"
		    "workflow: \"w\"\nmax_tool_calls: 0x10\n...\n" },
	};
	static const char canonical[] =
	    "{\"max_tool_calls\":16,\"tools\":{\"a\":{\"risk\":\"read\"}},"
	    "\"workflow\":\"w\"}";
	struct hash want = hash_of(canonical, sizeof(canonical) - 1);
	char got[256];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p =
		    compile(rows[i].doc, rows[i].format, got, sizeof(got));

		assert_string_equal(got, "");
		assert_true(str_eq_c(p->canonical, canonical));
		assert_true(hash_eq(&p->version, &want));
		policy_free(p);
	}
}

/* YAML 1.2's core schema: what is a text, and what is not. */
static void
plain_yaml_is_read_by_the_core_schema(void **state)
{
	static const struct {
		const char *yaml, *json;
	} rows[] = {
		{ "null", "null" },
		{ "~", "null" },
		{ "", "null" },
		{ "Null", "null" },
		{ "nULL", "\"nULL\"" },
		{ "true", "true" },
		{ "TRUE", "true" },
		{ "yes", "\"yes\"" },
		{ "no", "\"no\"" },
		{ "off", "\"off\"" },
		{ "'true'", "\"true\"" },
		{ "\"1\"", "\"1\"" },
		{ "12", "12" },
		{ "-12", "-12" },
		{ "+12", "12" },
		{ "0", "0" },
		{ "1.50", "1.5" },
		{ ".5", "0.5" },
		{ "5.", "5" },
		{ "-.5e1", "-5" },
		{ "1e3", "1000" },
		{ "0o17", "15" },
		{ "0xfF", "255" },
		{ "0x", "\"0x\"" },
		{ "0o8", "\"0o8\"" },
		{ "1.2.3", "\"1.2.3\"" },
		{ "1_000", "\"1_000\"" },
		{ "12:30", "\"12:30\"" },
		{ ".", "\".\"" },
		{ "e3", "\"e3\"" },
		{ "1e", "\"1e\"" },
		{ ".inf", "\".inf\"" },
		{ "2001-01-01", "\"2001-01-01\"" },
		{ "|\n    a\n    b", "\"a\\nb\\n\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		static struct policy_problems list;
		own_buf struct buf doc = {}, want = {};
		struct policy *p;

		/* Any value may stand here: problems tell it back. */
		buf_printf(&doc, "workflow: w\ntools: {}\nmax_tool_calls: %s\n",
		    rows[i].yaml);
		p = policy_new(buf_str(&doc), POLICY_YAML, &list);
		if (p != NULL) {
			buf_printf(&want,
			    "{\"max_tool_calls\":%s,\"tools\":{},"
			    "\"workflow\":\"w\"}",
			    rows[i].json);
			assert_true(str_eq(p->canonical, buf_str(&want)));
			policy_free(p);
			continue;
		}
		buf_printf(&want, "not %s", rows[i].json);
		assert_int_equal(list.n, 1);
		if (!str_ends(str_of(list.item[0].text), buf_str(&want)))
			fail_msg("%s: %s", rows[i].yaml, list.item[0].text);
	}
}

static void
a_document_over_the_limit_is_told(void **state)
{
	static struct policy_problems list;
	own_buf struct buf doc = {};

	(void)state;
	buf_add_c(&doc, "{}");
	while (doc.n <= POLICY_MAX_BYTES)
		buf_add_byte(&doc, ' ');
	assert_null(policy_new(buf_str(&doc), POLICY_JSON, &list));
	assert_int_equal(list.n, 1);
	assert_string_equal(list.item[0].text,
	    "the document has 1048577 bytes; at most 1048576 are allowed");
	assert_null(policy_new(buf_str(&doc), POLICY_YAML, &list));
	assert_int_equal(list.n, 1);
}

#define DIGEST \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void
commands_are_judged_by_every_name_they_may_have(void **state)
{
	static const struct {
		const char *what, *commands, *name, *rule;
	} rows[] = {
		{ "nothing is said", "{}", "curl", NULL },
		{ "blocked by name", "{'block':['curl']}", "curl", "block" },
		{ "by a path", "{'block':['curl']}", "/usr/bin/curl", "block" },
		{ "by a relative path", "{'block':['curl']}", "./curl",
		    "block" },
		{ "a path by its name", "{'block':['/usr/bin/curl']}", "curl",
		    "block" },
		{ "a path by another spelling", "{'block':['/usr/bin/curl']}",
		    "/usr/bin/../bin/curl", "block" },
		{ "another command", "{'block':['curl']}", "curl2", NULL },
		{ "allowed by name", "{'allow':['git']}", "git", NULL },
		{ "a name is no path", "{'allow':['git']}", "/tmp/git",
		    "allow" },
		{ "allowed by path", "{'allow':['/usr/bin/git']}",
		    "/usr/bin/git", NULL },
		{ "a path is no name", "{'allow':['/usr/bin/git']}", "git",
		    "allow" },
		{ "with a digest names say nothing",
		    "{'allow':['git','sha256:" DIGEST "']}", "./other", NULL },
		{ "a digest is no name to block",
		    "{'block':['sha256:" DIGEST "']}", "sha256:" DIGEST, NULL },
		{ "an empty list allows nothing", "{'allow':[]}", "git",
		    "allow" },
		{ "block is stronger", "{'allow':['git'],'block':['git']}",
		    "git", "block" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char doc[256], got[256];
		const char *rule = "";
		struct policy *p;
		bool may;

		(void)snprintf(doc, sizeof(doc),
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {}, "
		    "'sandbox': { 'commands': %s } }",
		    rows[i].commands);
		p = compile(doc, POLICY_JSON, got, sizeof(got));
		assert_string_equal(got, "");
		may = policy_command_decide(p, str_of(rows[i].name), &rule);
		if (may != (rows[i].rule == NULL))
			print_error("%s\n", rows[i].what);
		assert_int_equal(may, rows[i].rule == NULL);
		if (!may)
			assert_true(
			    str_ends(str_of(rule), str_of(rows[i].rule)));
		policy_free(p);
	}
}

static void
only_the_ports_that_are_listed_are_open(void **state)
{
	char got[256];
	struct policy *p = compile("{ 'policy': 1, 'workflow': 'w', "
				   "'tools': {}, 'sandbox': { 'ports': [80, "
				   "65535] } }",
	    POLICY_JSON, got, sizeof(got));

	(void)state;
	assert_string_equal(got, "");
	assert_true(policy_port_decide(p, 80));
	assert_true(policy_port_decide(p, 65535));
	assert_false(policy_port_decide(p, 0));
	assert_false(policy_port_decide(p, 81));
	assert_false(policy_port_decide(p, 65536 + 80));
	policy_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    commands_are_judged_by_every_name_they_may_have),
		cmocka_unit_test(only_the_ports_that_are_listed_are_open),
		cmocka_unit_test(a_full_document_is_taken_as_written),
		cmocka_unit_test(what_is_not_written_is_strict),
		cmocka_unit_test(the_short_form_holds_as_written),
		cmocka_unit_test(the_version_is_that_of_the_canonical_bytes),
		cmocka_unit_test(plain_yaml_is_read_by_the_core_schema),
		cmocka_unit_test(a_document_over_the_limit_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
