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
#include "policy_compile.h"

/* "1:2: ..." leaves open what another library says at this place. */
static bool
same(const char *got, const char *want)
{
	size_t n = strlen(want);

	if (n >= 4 && strcmp(want + n - 4, "...\n") == 0)
		return strncmp(got, want, n - 4) == 0 &&
		    strchr(got, '\n') == got + strlen(got) - 1;
	return strcmp(got, want) == 0;
}

/* All problems at once, each once, by place, with the remedy. */
static void
each_problem_is_told_at_its_place(void **state)
{
	static const struct {
		const char *why;
		enum policy_format format;
		const char *doc, *problems;
	} rows[] = {
		{ "nothing", POLICY_JSON, "", "1:1: ...\n" },
		{ "no object", POLICY_JSON, "[]",
		    "1:1: : a policy is an object; write { \"policy\": 1, ... "
		    "}\n" },
		{ "no JSON", POLICY_JSON,
		    "{ 'policy': 1,\n"
		    "  nope }",
		    "2:3: ...\n" },
		{ "a duplicate key", POLICY_JSON,
		    "{ 'policy': 1,\n"
		    "  'policy': 1 }",
		    "2:3: ...\n" },
		{ "a comment without an end", POLICY_JSON,
		    "{ /* a\n"
		    " * b\n",
		    "1:3: : the comment that starts here has no end; close it "
		    "with */\n" },
		{ "text after a comment keeps its place", POLICY_JSON,
		    "{ 'policy': 1, /* \303\251\303\251 */ 'workflow': 'w', // "
		    "x\n"
		    "  'tools': {}, 'stage': 0 }",
		    "2:25: stage: must be a whole number from 1 to 5, not "
		    "0\n" },
		{ "a comment within a text is text", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'actor': 'a//b', 'tenant': '/*' }",
		    "2:30: tenant: must be 1 to 128 letters, digits and "
		    "characters of ._:/@+-, not \"/*\"\n" },
		{ "nothing is there", POLICY_JSON, "{}",
		    "1:1: : `tools` is missing: list the tools, since one that "
		    "is not listed is blocked\n"
		    "1:1: : `workflow` is missing: name the workflow that this "
		    "policy is for\n" },
		{ "nothing but the form", POLICY_JSON, "{ 'policy': 1 }",
		    "1:1: : `tools` is missing: list the tools, since one that "
		    "is not listed is blocked\n"
		    "1:1: : `workflow` is missing: name the workflow that this "
		    "policy is for\n" },
		{ "another form", POLICY_JSON,
		    "{ 'policy': 2, 'workflow': 'w', 'tools': {} }",
		    "1:13: policy: must be 1, not 2\n" },
		{ "a slip of the pen", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'tool': {} }",
		    "2:3: tool: unknown member \"tool\": did you mean "
		    "`tools`?\n" },
		{ "no idea what is meant", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'whatever': 1 }",
		    "2:3: whatever: unknown member \"whatever\"; known are "
		    "policy, workflow, version, tenant, actor, roles, "
		    "attributes, "
		    "scopes, "
		    "stage, mode, defaults, tools, flow, budgets, sandbox, "
		    "egress, approvals, secrets, servers, extends, "
		    "faults\n" },
		{ "not enforced", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'models': {},\n"
		    "  'data': {}, 'shadow': {} }",
		    "2:3: models: `models` is not enforced by this version: "
		    "remove it\n"
		    "3:3: data: `data` is not enforced by this version: "
		    "remove it\n"
		    "3:15: shadow: `shadow` is not enforced by this version: "
		    "remove it\n" },
		{ "a base by its name alone", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'extends': ['base@3'] }",
		    "2:15: extends[0]: \"base@3\" is not here; put the whole "
		    "document in its place, as the command line does with the "
		    "file of that name\n" },
		{ "secrets", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {}, 'secrets': {"
		    "\n'A': { 'from': 'file:../x', 'inject': {} },"
		    "\n'B': { 'from': 'env:X', 'env': 'PATH',"
		    "\n 'inject': { 'query': 'key' } },"
		    "\n'D': { 'from': 'canary:github', 'file': '/a/../b',"
		    "\n 'template': 'x' },"
		    "\n'E': { 'from': 'canary:bird', 'ttl_s': 5 } },"
		    "\n'egress': { 'rules': [ { 'host': 'a.example',"
		    "\n 'secrets': ['C', 'D'] } ] } }",
		    "2:16: secrets.A.from: must be \"file:NAME\", a file in "
		    "secrets/ of the state directory, \"systemd:NAME\", a "
		    "credential of the daemon, \"env:NAME\", its variable "
		    "PADDOCK_SECRET_NAME, \"command:NAME\", a command in "
		    "secrets/commands, or \"canary:KIND\"\n"
		    "2:39: secrets.A.inject: names no place: header, query, "
		    "body or sigv4\n"
		    "3:32: secrets.B.env: must be a variable's name in "
		    "capitals, such as \"TICKETS_TOKEN\", that is not set "
		    "already\n"
		    "5:41: secrets.D.file: must be an absolute path inside "
		    "the sandbox, such as \"/tmp/.netrc\", without \"..\"\n"
		    "6:14: secrets.D.template: must hold {}, which is what "
		    "stands for the secret\n"
		    "7:6: secrets.E: is a canary, and has no time to live\n"
		    "7:16: secrets.E.from: must be \"canary:\" and aws, "
		    "github, hex, openai or slack\n"
		    "9:13: egress.rules[0].secrets: \"C\" is none of the "
		    "policy's `secrets`\n"
		    "9:13: egress.rules[0].secrets: \"D\" is a canary: it "
		    "never goes out\n"
		    "9:13: egress.rules[0].secrets: a secret goes out over TLS "
		    "only: write `proto` \"https\"\n" },
		{ "secrets of others", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'stage': 2, 'tools': {},"
		    "\n'secrets': { 'A': { 'from': 'file:x',"
		    "\n 'inject': { 'query': 'key' }, 'on_expiry': 'renew',"
		    "\n 'workflows': ['v'], 'stages': [3, 4] },"
		    "\n'B': { 'from': 'file:x', 'inject': { 'query': 'key' },"
		    "\n 'workflows': ['w'], 'stages': [2, 9] } } }",
		    "2:19: secrets.A: has `on_expiry`, and no `ttl_s`\n"
		    "4:15: secrets.A.workflows: the secret is not for workflow "
		    "\"w\"\n"
		    "4:32: secrets.A.stages: the secret is not for stage 2\n"
		    "6:32: secrets.B.stages: must be a list of stages, 1 to "
		    "5\n" },
		{ "the short form is short", POLICY_JSON,
		    "{ 'workflow': 'w', 'tools': {},\n"
		    "  'stage': 2, 'tennant_id': 'a' }",
		    "2:3: stage: `stage` belongs to the full form: add "
		    "\"policy\": 1\n"
		    "2:15: tennant_id: unknown member \"tennant_id\": did you "
		    "mean `tenant_id`?\n" },
		{ "names", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 7, 'tools': {},\n"
		    "  'version': 14, 'tenant': '', 'actor': 'a b', 'roles': "
		    "'x' }",
		    "1:28: workflow: must be a text, not 7; put it in quotes\n"
		    "2:14: version: must be a text, not 14; put it in quotes\n"
		    "2:28: tenant: must be 1 to 128 letters, digits and "
		    "characters of ._:/@+-, not \"\"\n"
		    "2:41: actor: must be 1 to 128 letters, digits and "
		    "characters of ._:/@+-, not \"a b\"\n"
		    "2:57: roles: must be a list ([...]), not \"x\"\n" },
		{ "lists", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'roles': ['a', 1, 'a', 'b\\u0000'], 'scopes': ['x:*', "
		    "'*', 'a:**'] }",
		    "2:18: roles[1]: must be 1 to 128 letters, digits and "
		    "characters of ._:/@+-, not 1\n"
		    "2:21: roles[2]: \"a\" stands twice in the list; remove "
		    "one\n"
		    "2:26: roles[3]: must be 1 to 128 letters, digits and "
		    "characters of ._:/@+-, not \"b\\u0000\"\n"
		    "2:56: scopes[1]: must be a scope such as \"tickets:read\" "
		    "or \"tickets:*\", not \"*\"\n"
		    "2:61: scopes[2]: must be a scope such as \"tickets:read\" "
		    "or \"tickets:*\", not \"a:**\"\n" },
		{ "a control character is shown escaped", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'actor': 'a\\u001b[2J' }",
		    "2:12: actor: must be 1 to 128 letters, digits and "
		    "characters of ._:/@+-, not \"a\\u001b[2J\"\n" },
		{ "numbers", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'stage': 0,\n"
		    "  'budgets': { 'max_tool_calls': 0, 'max_runtime_ms': "
		    "604800001,\n"
		    "    'max_retries_per_tool': -1, 'on_exceed': 'ask' } "
		    "}",
		    "2:12: stage: must be a whole number from 1 to 5, not 0\n"
		    "3:34: budgets.max_tool_calls: must be a whole number from "
		    "1 to 1000000 calls, not 0\n"
		    "3:55: budgets.max_runtime_ms: must be a whole number from "
		    "1 to 604800000 milliseconds, not 604800001\n"
		    "4:29: budgets.max_retries_per_tool: must be a whole "
		    "number from 0 to 100 retries, not -1\n"
		    "4:46: budgets.on_exceed: must be stop or approve, not "
		    "\"ask\"\n" },
		{ "what is shared, and what it costs", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'budgets': {\n"
		    "  'max_cost_usd': -1, 'approval': 'x',\n"
		    "  'per_tenant': { 'window': '2d', 'max_runtime_ms': 1 },\n"
		    "  'per_workflow': { 'max_pages': 1.5 } },\n"
		    "  'tools': { 't': { 'risk': 'read', 'costs': {\n"
		    "    'usd': '1', 'pages': { 'at': 'x' },\n"
		    "    'calls': 1 } } },\n"
		    "  'egress': { 'rules': [ { 'host': 'a.test', 'costs':\n"
		    "    { 'documents': { 'at': '$.n', 'most': 2 } } } ] } }",
		    "2:19: budgets.max_cost_usd: must be a number from 0 to "
		    "1000000 dollars, not -1\n"
		    "2:35: budgets.approval: does nothing without "
		    "`on_exceed`: \"approve\"\n"
		    "2:35: budgets.approval: there is no approval \"x\"; "
		    "describe it in `approvals`\n"
		    "3:29: budgets.per_tenant.window: must be 1m, 1h, 1d or "
		    "7d, not \"2d\": did you mean \"1d\"?\n"
		    "3:35: budgets.per_tenant.max_runtime_ms: unknown member "
		    "\"max_runtime_ms\"; known are window, max_tool_calls, "
		    "max_upload_bytes, max_model_calls, max_model_tokens, "
		    "max_cost_usd, max_pages, max_documents, max_subtasks\n"
		    "4:19: budgets.per_workflow: `window` is missing: 1m, 1h, "
		    "1d or 7d\n"
		    "4:34: budgets.per_workflow.max_pages: must be a whole "
		    "number from 0 to 2000000000 pages, not 1.5\n"
		    "6:12: tools.t.costs.usd: must be a number from 0 to "
		    "1000000 dollars, not \"1\"\n"
		    "6:26: tools.t.costs.pages: `most` is missing: so much is "
		    "taken before the call\n"
		    "6:34: tools.t.costs.pages.at: must be a path such as "
		    "\"$.a.b\", \"$.a[*].b\" or \"$..b\", not \"x\"\n"
		    "7:5: tools.t.costs.calls: unknown member \"calls\"; "
		    "known are model_calls, model_tokens, usd, pages, "
		    "documents, subtasks\n"
		    "9:20: egress.rules[0].costs.documents: must be a number: "
		    "nobody reads a figure out of an answer here\n" },
		{ "numbers that are none", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'stage': '2',\n"
		    "  'budgets': { 'max_tool_calls': 2.5, 'max_runtime_ms': "
		    "null,\n"
		    "    'max_model_calls': '3' } }",
		    "2:12: stage: must be a whole number from 1 to 5, not "
		    "\"2\"\n"
		    "3:34: budgets.max_tool_calls: must be a whole number from "
		    "1 to 1000000 calls, not 2.5\n"
		    "3:57: budgets.max_runtime_ms: must be a whole number from "
		    "1 to 604800000 milliseconds, not null\n"
		    "4:24: budgets.max_model_calls: must be a whole number "
		    "from 0 to 2000000000 calls, not \"3\"\n" },
		{ "words", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'mode': 'shadwo', 'defaults': { 'unlisted': 'allow',\n"
		    "    'on_error': 'allow', 'by_risk': { 'read': 'yes', "
		    "'reed': 'allow' } } }",
		    "2:11: mode: must be enforce, shadow or record, not "
		    "\"shadwo\": did you mean \"shadow\"?\n"
		    "2:47: defaults.unlisted: \"allow\" is not enforced by "
		    "this version: write \"block\"\n"
		    "3:17: defaults.on_error: \"allow\" is not enforced by "
		    "this version: write \"block\"\n"
		    "3:47: defaults.by_risk.read: must be allow, draft, "
		    "simulate, approve or block, not \"yes\"\n"
		    "3:54: defaults.by_risk.reed: unknown member \"reed\": did "
		    "you mean `read`?\n" },
		{ "groups of another type", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'defaults': 1, 'budgets': [], 'sandbox': 'x',\n"
		    "  'approvals': 2, 'flow': {}, 'egress': null }",
		    "2:15: defaults: must be an object, not 1\n"
		    "2:29: budgets: must be an object, not an array\n"
		    "2:44: sandbox: must be an object, not \"x\"\n"
		    "3:16: approvals: must be an object, not 2\n"
		    "3:27: flow: must be a list ([...]), not an object\n"
		    "3:41: egress: must be an object, not null\n" },
		{ "egress beyond what holds anyway", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'egress': { 'default': 'allow', 'private_ranges': "
		    "'deny',\n"
		    "    'rules': [] } }",
		    "2:26: egress.default: \"allow\" is not enforced by this "
		    "version: write \"deny\"\n"
		    "" },
		{ "sandbox", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'sandbox': { 'image': 'a b c d', 'cpu': 0, 'memory_mb':"
		    " 8,\n"
		    "    'pids': 1, 'disk_mb': 0, 'inodes': 1, 'wall_ms': 0,\n"
		    "    'limits': 'none', 'mounts': {} } }",
		    "2:25: sandbox.image: must be 1 to 128 letters, digits "
		    "and characters of ._:/@+-, not \"a b c d\"\n"
		    "2:43: sandbox.cpu: must be a number from 0.01 to 1024 "
		    "CPUs, not 0\n"
		    "2:59: sandbox.memory_mb: must be a whole number from 16 "
		    "to 1048576 MiB, not 8\n"
		    "3:13: sandbox.pids: must be a whole number from 4 to "
		    "32768 processes, not 1\n"
		    "3:27: sandbox.disk_mb: must be a whole number from 1 to "
		    "1048576 MiB, not 0\n"
		    "3:40: sandbox.inodes: must be a whole number from 100 to "
		    "100000000 files, not 1\n"
		    "3:54: sandbox.wall_ms: must be a whole number from 1 to "
		    "604800000 milliseconds, not 0\n"
		    "4:15: sandbox.limits: must be required or best-effort, "
		    "not \"none\"\n"
		    "4:33: sandbox.mounts: must be a list ([...]), not an "
		    "object\n" },
		{ "mounts", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'sandbox': { 'mounts': [\n"
		    "    { 'from': '', 'to': '/../etc', 'mode': 'wr',\n"
		    "      'noexec': 1, 'as': 'x' } ] } }",
		    "3:15: sandbox.mounts[0].from: must be the path of a "
		    "folder, such as \"./data\", on one line of less than "
		    "4096 bytes, not \"\"\n"
		    "3:25: sandbox.mounts[0].to: must be an absolute path, "
		    "without . and .., doubled slashes and control "
		    "characters, of less than 4096 bytes, not \"/../etc\"\n"
		    "3:44: sandbox.mounts[0].mode: must be ro, overlay or rw, "
		    "not \"wr\": did you mean \"rw\"?\n"
		    "4:17: sandbox.mounts[0].noexec: must be true or false, "
		    "not 1\n"
		    "4:20: sandbox.mounts[0].as: unknown member \"as\"; known "
		    "are from, to, mode, noexec\n" },
		{ "mounts in each other", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'sandbox': { 'mounts': [\n"
		    "    { 'from': 'a', 'to': '/a/b' },\n"
		    "    { 'from': 'b', 'to': '/a' } ] } }",
		    "4:5: sandbox.mounts[1]: `to` and that of entry 0 lie in "
		    "each other; give each a place of its own\n" },
		{ "a mount without its ends", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'sandbox': { 'mounts': [ {} ] } }",
		    "2:28: sandbox.mounts[0]: `from` is missing: name a "
		    "folder\n"
		    "2:28: sandbox.mounts[0]: `to` is missing: say where it "
		    "is inside\n" },
		{ "ports", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'sandbox': { 'ports': [80, 65536] } }",
		    "2:30: sandbox.ports[1]: must be a TCP port from 1 to "
		    "65535, not 65536\n" },
		{ "commands", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'sandbox': { 'commands': { 'block': ['bin/sh'],\n"
		    "    'deny': [] } } }",
		    "2:40: sandbox.commands.block[0]: must be the name of a "
		    "command, such as \"git\", an absolute path, up to 128 "
		    "bytes, or \"sha256:\" and 64 digits, not \"bin/sh\"\n"
		    "3:5: sandbox.commands.deny: unknown member \"deny\"; "
		    "known are allow, block\n" },
		{ "a disk as large as memory", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'sandbox': { 'memory_mb': 64, 'disk_mb': 57 } }",
		    "2:44: sandbox.disk_mb: must be at least 8 below "
		    "memory_mb (64), because the files live in memory\n" },
		{ "tools of another type", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': [] }",
		    "1:42: tools: must be an object, not an array\n" },
		{ "a tool of another type", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': { 't': true } }",
		    "1:49: tools.t: must be an object, not true\n" },
		{ "a tool without risk", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': { 't': {} } }",
		    "1:49: tools.t: `risk` is missing: one of read, draft, "
		    "internal_write, external_write, destructive\n" },
		{ "names of tools", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {\n"
		    "  '': { 'risk': 'read' },\n"
		    "  'a b': { 'risk': 'read' },\n"
		    "  '**': { 'risk': 'read' },\n"
		    "  'a23456789b123456789c123456789d123456789e123456789f1234'"
		    ": { 'risk': 'read' } } }",
		    "2:3: tools: the name of a tool must be 1 to 128 letters, "
		    "digits and characters of ._:/@+-*\n"
		    "3:3: tools.a b: the name of a tool must be 1 to 128 "
		    "letters, digits and characters of ._:/@+-*\n"
		    "4:3: tools.**: this pattern stands for every tool, so "
		    "that none would be unlisted; name a part, such as "
		    "\"files.*\"\n"
		    "5:3: tools.a23456789b123456789c123456789d123456789e1234567"
		    "89f1234: the name of a tool may have 53 bytes, so that "
		    "its label \"untrusted:<tool>\" fits; this one has 54\n" },
		{ "the same pattern twice", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {\n"
		    "  'f.*': { 'risk': 'read' }, 'f.**': { 'risk': 'read' } } "
		    "}",
		    "2:30: tools.f.**: stands for the same tools as \"f.*\"; "
		    "remove one of the two\n" },
		{ "members of a tool", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'rate': {}, 'args': { "
		    "'typ': 1 },\n"
		    "      'commit': 'x', 'pin': 'y', 'mod': 'allow', "
		    "'reversible': 1 } } }",
		    "3:41: tools.t.rate: `burst` is missing: so many in that "
		    "time\n"
		    "3:41: tools.t.rate: `per` is missing: 1s, 1m, 1h or "
		    "1d\n"
		    "3:62: tools.t.args: `typ` is no keyword of JSON "
		    "Schema 2020-12 that is enforced here: remove it\n"
		    "4:17: tools.t.commit: `tools` has no row \"x\", so no "
		    "draft could be committed; list it\n"
		    "4:29: tools.t.pin: must be \"sha256:\" and 64 digits, "
		    "not \"y\"; the `server` notes of a run's trace have "
		    "them\n"
		    "4:34: tools.t.mod: unknown member \"mod\": did you mean "
		    "`mode`?\n"
		    "4:64: tools.t.reversible: must be true or false, not "
		    "1\n" },
		{ "what is done again", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': { 't':\n"
		    "  { 'risk': 'external_write', 'idempotency': 'args.',\n"
		    "    'retry': { 'base_ms': 0 } }, 'u':\n"
		    "  { 'risk': 'draft', 'retry': { 'times': 9 } }, 'v':\n"
		    "  { 'risk': 'read', 'idempotency': { 'within': 'all' } "
		    "} } }",
		    "2:46: tools.t.idempotency: the name of a member is "
		    "missing; one that is no name is x[\"...\"]\n"
		    "3:14: tools.t.retry: `times` is missing: how often at "
		    "most\n"
		    "3:27: tools.t.retry.base_ms: must be a whole number from "
		    "1 to 600000 milliseconds, not 0\n"
		    "4:31: tools.u.retry: the tool may have done it the first "
		    "time: say `repeatable`: true if twice is as once, or "
		    "give it an `idempotency` that it goes by itself\n"
		    "4:42: tools.u.retry.times: must be a whole number from 1 "
		    "to 8 retries, not 9\n"
		    "5:36: tools.v.idempotency: `key` is missing: an "
		    "expression over args, such as \"args.invoice\"\n"
		    "5:48: tools.v.idempotency.within: must be run, workflow "
		    "or tenant, not \"all\"\n" },
		{ "breakers", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': { 't':\n"
		    "  { 'risk': 'read', 'breaker': { 'failures': 17,\n"
		    "    'per': '2m' } }, 'u':\n"
		    "  { 'risk': 'read', 'breaker': { 'open_s': 0 } } } }",
		    "2:46: tools.t.breaker.failures: must be a whole number "
		    "from 1 to 16 failures, not 17\n"
		    "3:12: tools.t.breaker.per: must be 1s, 1m, 1h or 1d, not "
		    "\"2m\": did you mean \"1m\"?\n"
		    "4:32: tools.u.breaker: `failures` is missing: so many "
		    "within `per` open it\n"
		    "4:44: tools.u.breaker.open_s: must be a whole number "
		    "from 1 to 86400 seconds, not 0\n" },
		{ "blocked and asked for", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'allowed': false, "
		    "'approval_required': true } } }",
		    "3:72: tools.t.approval_required: contradicts allowed: "
		    "false, which blocks the tool; remove one of the two\n" },
		{ "blocked and allowed", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'allowed': false, 'mode': "
		    "'allow' } } }",
		    "3:59: tools.t.mode: contradicts allowed: false, which "
		    "means \"block\"; remove one of the two\n" },
		{ "asked for and allowed", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'approval_required': "
		    "true, 'mode': 'allow' } } }",
		    "3:68: tools.t.mode: contradicts approval_required: true, "
		    "which means \"approve\"; remove one of the two\n" },
		{ "allowed and simulated", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'allowed': true, 'mode': "
		    "'simulate' } } }",
		    "3:58: tools.t.mode: contradicts allowed: true, which "
		    "means \"allow\"; remove one of the two\n" },
		{ "not asked for but by default", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'approval_required': "
		    "false } } }",
		    "3:54: tools.t.approval_required: contradicts the default "
		    "for its risk, which asks for approval; write \"allowed\": "
		    "true to allow the tool\n" },
		{ "not asked for but by mode", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'approval_required': "
		    "false, 'mode': 'approve' } } }",
		    "3:54: tools.t.approval_required: contradicts mode: "
		    "\"approve\"; remove one of the two\n" },
		{ "an approval that is not there", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'approval': 'defualt' } } "
		    "}",
		    "3:45: tools.t.approval: there is no approval \"defualt\": "
		    "did you mean \"default\"?\n" },
		{ "an approval that nobody described", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'approval': 'finance' } } "
		    "}",
		    "3:45: tools.t.approval: there is no approval \"finance\"; "
		    "describe it in `approvals`\n" },
		{ "limits of a tool", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'retries': 101, "
		    "'timeout_ms': 0 } } }",
		    "3:44: tools.t.retries: must be a whole number from 0 to "
		    "100 retries, not 101\n"
		    "3:63: tools.t.timeout_ms: must be a whole number from 1 "
		    "to 3600000 milliseconds, not 0\n" },
		{ "redaction", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'redact': { 'args': "
		    "['a.b'], 'results': ['$.a'] },\n"
		    "      'trusted_fields': ['$[0]'] } } }",
		    "3:54: tools.t.redact.args[0]: must be a path such as "
		    "\"$.a.b\", \"$.a[*].b\" or \"$..b\", not \"a.b\"\n"
		    "3:62: tools.t.redact.results: unknown member \"results\": "
		    "did you mean `result`?\n"
		    "4:26: tools.t.trusted_fields[0]: must be a path such as "
		    "\"$.a.b\", \"$.a[*].b\" or \"$..b\", not \"$[0]\"\n" },
		{ "labels", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'labels_out': ['a label', "
		    "'a23456789b123456789c123456789d123456789e123456789f1234567"
		    "89g1234'] } } }",
		    "3:48: tools.t.labels_out[0]: must be 1 to 63 letters, "
		    "digits and characters of ._:/@+-, not \"a label\"\n"
		    "3:59: tools.t.labels_out[1]: must be 1 to 63 letters, "
		    "digits and characters of ._:/@+-, not "
		    "\"a23456789b123456789c123456789d123456789e123456789f..."
		    "\"\n" },
		{ "trusted, but it writes", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w',\n"
		    "  'tools': { 't':\n"
		    "    { 'risk': 'external_write', 'labels_out': ['trusted'] "
		    "} } }",
		    "3:47: tools.t.labels_out: \"trusted\" is for tools of "
		    "risk read; this one has external_write\n" },
		{ "trusted, but a pattern", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {\n"
		    "  'f.*': { 'risk': 'read', 'labels_out': ['trusted'] } } "
		    "}",
		    "2:42: tools.f.*.labels_out: \"trusted\" is for a tool by "
		    "its name, not for a pattern\n" },
		{ "trusted and untrusted", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {\n"
		    "  'f': { 'risk': 'read', 'labels_out': ['trusted', "
		    "'untrusted:x'] } } }",
		    "2:40: tools.f.labels_out: \"trusted\" contradicts "
		    "\"untrusted:...\"; remove one of the two\n" },
		{ "a rule without anything", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'flow': [ {} ] }",
		    "2:13: flow[0]: `id` is missing: name the rule, so that a "
		    "refusal can name it\n"
		    "2:13: flow[0]: `if_labels` is missing: say which labels "
		    "it is about\n"
		    "2:13: flow[0]: `then` is missing: one of draft, simulate, "
		    "approve, block\n" },
		{ "a rule that allows", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'flow': [ { 'id': 'a', 'if_labels': [],\n"
		    "      'then': 'allow', 'risk_at_least': 'high' } ] }",
		    "2:39: flow[0].if_labels: is empty; name a label, or "
		    "restrict the tools themselves\n"
		    "3:15: flow[0].then: must be draft, simulate, approve or "
		    "block, not \"allow\"\n"
		    "3:41: flow[0].risk_at_least: must be read, draft, "
		    "internal_write, external_write or destructive, not "
		    "\"high\"\n" },
		{ "two rules of one name", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'flow': [ { 'id': 'a', 'if_labels': ['x'], 'then': "
		    "'block' },\n"
		    "    { 'id': 'a', 'if_labels': ['y'], 'then': 'block', "
		    "'reason': '' } ] }",
		    "3:13: flow[1].id: there is a rule \"a\" already; name "
		    "this one differently\n"
		    "3:65: flow[1].reason: must be one line of 1 to 160 bytes, "
		    "not \"\"\n" },
		{ "approvals", POLICY_JSON,
		    "{ 'policy': 1, 'workflow': 'w', 'tools': {},\n"
		    "  'approvals': { 'a b': {}, 'x': { 'quorum': 0,\n"
		    "    'distinct_from': ['author'], 'deadline_s': 0, "
		    "'on_timeout': 'allow',\n"
		    "    'edit': [''], 'reuse': 'ever' } } }",
		    "2:18: approvals.a b: the name of an approval must be 1 to "
		    "128 letters, digits and characters of ._:/@+-\n"
		    "2:46: approvals.x.quorum: must be a whole number from 1 "
		    "to 20 votes, not 0\n"
		    "3:22: approvals.x.distinct_from: holds \"author\"; it may "
		    "hold \"actor\" and \"requester\"\n"
		    "3:48: approvals.x.deadline_s: must be a whole number from "
		    "1 to 604800 seconds, not 0\n"
		    "3:65: approvals.x.on_timeout: must be deny, halt or "
		    "escalate, not \"allow\"\n"
		    "4:14: approvals.x.edit[0]: must be the name of an "
		    "argument, 1 to 128 bytes, not \"\"\n"
		    "4:28: approvals.x.reuse: must be once, not \"ever\"\n" },
		{ "numbers of the short form", POLICY_JSON,
		    "{ 'workflow': 'w', 'tools': {}, 'max_tool_calls': 0,\n"
		    "  'max_runtime_seconds': '120', 'tenant_id': null }",
		    "1:51: max_tool_calls: must be a whole number from 1 to "
		    "1000000 calls, not 0\n"
		    "2:26: max_runtime_seconds: must be a whole number from 1 "
		    "to 604800 seconds, not \"120\"\n"
		    "2:46: tenant_id: must be a text, not null\n" },
		{ "empty YAML", POLICY_YAML, "",
		    "1:1: : the document is empty; write a policy, see "
		    "docs/POLICY.md\n" },
		{ "only a comment", POLICY_YAML, "# nothing\n",
		    "2:1: : the document is empty; write a policy, see "
		    "docs/POLICY.md\n" },
		{ "YAML that is none", POLICY_YAML,
		    "policy: 1\n"
		    "  workflow: [\n",
		    "2:11: ...\n" },
		{ "an anchor and an alias", POLICY_YAML,
		    "policy: &one 1\n"
		    "workflow: *one\n",
		    "1:9: : an anchor (&name) is not taken; write the value "
		    "out where it is needed\n" },
		{ "an anchor on a mapping", POLICY_YAML,
		    "tools: &t\n"
		    "  a: {}\n",
		    "1:8: : an anchor (&name) is not taken; write the value "
		    "out where it is needed\n" },
		{ "an alias that stands alone", POLICY_YAML, "a: *b\n",
		    "1:4: : an alias (*name) is not taken; write the value "
		    "out\n" },
		{ "a tag", POLICY_YAML, "policy: !!int 1\n",
		    "1:9: : a tag (!name) is not taken; quote the value if it "
		    "is a text\n" },
		{ "a tag on a list", POLICY_YAML, "roles: !set [a]\n",
		    "1:8: : a tag (!name) is not taken; remove it\n" },
		{ "a second document", POLICY_YAML,
		    "policy: 1\n"
		    "---\n"
		    "policy: 1\n",
		    "2:1: : a second document starts here; put each policy "
		    "into its own file\n" },
		{ "a key that is a list", POLICY_YAML, "[a]: 1\n",
		    "1:1: : a key must be a text, not a list or a mapping\n" },
		{ "a duplicate key in YAML", POLICY_YAML,
		    "policy: 1\n"
		    "workflow: w\n"
		    "'policy': 1\n",
		    "3:1: ...\n" },
		{ "zeros in front", POLICY_YAML,
		    "policy: 1\n"
		    "workflow: w\n"
		    "tools: {}\n"
		    "stage: 01\n",
		    "4:8: ...\n" },
		{ "no is a text", POLICY_YAML,
		    "workflow: w\n"
		    "tools:\n"
		    "  t: { risk: read, allowed: no }\n",
		    "3:29: tools.t.allowed: must be true or false, not "
		    "\"no\"\n" },
		{ "a value that is not there", POLICY_YAML,
		    "policy: 1\n"
		    "workflow:\n"
		    "tools: {}\n",
		    "2:10: workflow: must be a text, not null\n" },
		{ "the place in YAML", POLICY_YAML,
		    "policy: 1\n"
		    "workflow: w\n"
		    "tools:\n"
		    "  \303\251t: { risk: read }\n"
		    "  u:\n"
		    "    risk: read\n"
		    "    \"mode\": alow\n"
		    "stage: 0x9\n"
		    "actor: '\303\251 \303\251'\n",
		    "4:3: tools.\303\251t: the name of a tool must be 1 to 128 "
		    "letters, digits and characters of ._:/@+-*\n"
		    "7:13: tools.u.mode: must be allow, draft, simulate, "
		    "approve or block, not \"alow\": did you mean \"allow\"?\n"
		    "8:8: stage: must be a whole number from 1 to 5, not 9\n"
		    "9:8: actor: must be 1 to 128 letters, digits and "
		    "characters of ._:/@+-, not \"\303\251 \303\251\"\n" },
		{ "too deep", POLICY_YAML,
		    "a: [[[[[[[[[[[[[[[[[[[[[[[["
		    "[[[[[[[[[[[[[[[[[[[[[[[["
		    "]]]]]]]]]]]]]]]]]]]]]]]]"
		    "]]]]]]]]]]]]]]]]]]]]]]]]\n",
		    "1:51: : nested deeper than any policy is\n" },
		{ "a number without an end", POLICY_YAML,
		    "policy: .inf\n"
		    "workflow: w\n"
		    "tools: {}\n",
		    "1:9: policy: must be 1, not \".inf\"\n" },
		{ "a byte that is no UTF-8", POLICY_YAML,
		    "policy: 1\n"
		    "workflow: \377\n",
		    "2:11: ...\n" },
	};
	char got[8192];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p =
		    compile(rows[i].doc, rows[i].format, got, sizeof(got));

		policy_free(p);
		if (!same(got, rows[i].problems))
			fail_msg("%s:\n%sand not\n%s", rows[i].why, got,
			    rows[i].problems);
	}
}

/* What the limits are, one over and exactly at them. */
static void
too_many_of_a_thing_is_told(void **state)
{
	static const struct {
		const char *before, *each, *after;
		int most;
		const char *problem;
	} rows[] = {
		{ "{'policy':1,'workflow':'w','tools':{",
		    "'t%d':{'risk':'read'}", "}}", TOOLS_MAX,
		    "1:36: tools: has 1025 tools; at most 1024 are allowed\n" },
		{ "{'policy':1,'workflow':'w','tools':{},'flow':[",
		    "{'id':'f%d','if_labels':['a'],'then':'block'}", "]}",
		    POLICY_FLOW_MAX,
		    "1:46: flow: has 65 rules; at most 64 are allowed\n" },
		{ "{'policy':1,'workflow':'w','tools':{},'approvals':{",
		    "'a%d':{}", "}}", POLICY_APPROVALS_MAX,
		    "1:51: approvals: has 65 entries; at most 64 are "
		    "allowed\n" },
		{ "{'policy':1,'workflow':'w','tools':{},'scopes':[", "'s%d'",
		    "]}", SCOPES_MAX,
		    "1:48: scopes: has 65 entries; at most 64 are allowed\n" },
		{ "{'workflow':'w','tools':{'t':{'risk':'read','allowed':true,"
		  "'scopes':['x'],'labels_out':[",
		    "'l%d'", "]}}}", POLICY_LIST_MAX,
		    "1:88: tools.t.labels_out: has 65 entries; at most 64 are "
		    "allowed\n" },
	};
	char got[8192];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (int over = 0; over <= 1; over++) {
			own_buf struct buf doc = {};
			struct policy *p;

			buf_add_c(&doc, rows[i].before);
			for (int k = 0; k < rows[i].most + over; k++) {
				char name[16];
				const char *at = strstr(rows[i].each, "%d");

				(void)snprintf(name, sizeof(name), "%d", k);
				buf_add_c(&doc, k > 0 ? "," : "");
				buf_add(&doc, rows[i].each,
				    (size_t)(at - rows[i].each));
				buf_add_c(&doc, name);
				buf_add_c(&doc, at + 2);
			}
			buf_add_c(&doc, rows[i].after);
			p = compile(buf_c(&doc), POLICY_JSON, got, sizeof(got));
			policy_free(p);
			assert_string_equal(
			    got, over > 0 ? rows[i].problem : "");
		}
	}
}

static void
only_the_first_problems_are_kept_but_all_are_counted(void **state)
{
	static struct policy_problems list;
	own_buf struct buf doc = {};

	(void)state;
	buf_add_c(&doc, "{\"policy\":1,\"workflow\":\"w\",\"tools\":{\n");
	for (int i = 0; i < 100; i++)
		buf_printf(
		    &doc, "%s\"t%d\":{\"risk\":%d}\n", i > 0 ? "," : "", i, i);
	buf_add_c(&doc, "},\"stage\":7}");
	assert_null(policy_new(buf_str(&doc), POLICY_JSON, &list));
	assert_int_equal(list.n, 101);
	for (uint32_t i = 0; i < COUNT(list.item); i++)
		assert_int_equal(list.item[i].line, i + 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_problem_is_told_at_its_place),
		cmocka_unit_test(too_many_of_a_thing_is_told),
		cmocka_unit_test(
		    only_the_first_problems_are_kept_but_all_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
