/* "servers" of a policy: what is taken, what is refused, and who may add. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/policy.h"

#define HEAD                                                             \
	"{\"policy\":1,\"workflow\":\"w\",\"tools\":{\"s.*\":{\"risk\":" \
	"\"read\"}},"

static struct policy *
make(const char *text, struct policy_problems *p)
{
	*p = (struct policy_problems){};
	return policy_new(str_of(text), POLICY_JSON, p);
}

static void
a_server_has_what_is_written_and_defaults(void **state)
{
	struct policy_problems problems;
	struct policy *p = make(HEAD
	    "\"sandbox\":{\"mounts\":[{\"from\":\"a\",\"to\":\"/a\"}]},"
	    "\"servers\":{\"s\":{\"command\":[\"x\",\"\",\"x\"],\"env\":{"
	    "\"A\":\"b=c\"},\"mounts\":[\"/a\",\"workspace\"],"
	    "\"restarts\":0}}}",
	    &problems);
	const struct policy_server *s;

	(void)state;
	assert_non_null(p);
	assert_int_equal(p->n_servers, 1);
	s = &p->servers[0];
	assert_int_equal(s->n_command, 3);
	assert_true(str_eq_c(s->env[0], "A=b=c"));
	assert_int_equal(s->n_mounts, 2);
	assert_int_equal(s->restarts, 0);
	assert_int_equal(s->start_ms, SERVER_START_MS);
	assert_false(s->bare);
	policy_free(p);
}

static void
a_url_is_a_rule_of_its_own(void **state)
{
	static const struct {
		const char *url, *host, *path;
		uint16_t port;
		bool https;
		const char *addrs;
	} rows[] = {
		{ "https://mcp.example.com/v1/mcp", "mcp.example.com",
		    "/v1/mcp", 443, true, NULL },
		{ "https://mcp.example.com", "mcp.example.com", "/", 443, true,
		    NULL },
		{ "http://10.0.0.1:8080/mcp", "10.0.0.1", "/mcp", 8080, false,
		    "[\"10.0.0.0/8\"]" },
		{ "http://127.0.0.1:1/mcp", "127.0.0.1", "/mcp", 1, false,
		    "[\"127.0.0.1/32\"]" },
		{ "https://[2001:db8::0:1]:8443/", "2001:db8::1", "/", 8443,
		    true, "[\"2001:db8::1/128\"]" },
		{ "https://[2001:db8::1]/x", "2001:db8::1", "/x", 443, true,
		    "[\"2001:db8::/32\"]" },
		{ "https://1.1.1.1/x", "1.1.1.1", "/x", 443, true, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {};
		struct policy_problems problems;
		const struct policy_server *s;
		struct policy *p;

		buf_printf(&text, HEAD "\"servers\":{\"s\":{\"url\":\"%s\"",
		    rows[i].url);
		if (rows[i].addrs != NULL)
			buf_printf(&text, ",\"addrs\":%s", rows[i].addrs);
		buf_add_c(&text, "}}}");
		p = make(buf_c(&text), &problems);
		assert_non_null(p);
		s = &p->servers[0];
		assert_non_null(s->rule);
		assert_true(str_eq_c(s->rule->host, rows[i].host));
		assert_true(str_eq_c(s->path, rows[i].path));
		assert_true(str_eq_c(s->rule->paths[0], rows[i].path));
		assert_int_equal(s->rule->ports[0], rows[i].port);
		assert_true(s->https == rows[i].https);
		assert_int_equal(p->n_egress, 0);
		policy_free(p);
	}
}

static void
what_cannot_be_is_refused_where_it_stands(void **state)
{
	static const struct {
		const char *servers, *path;
	} rows[] = {
		{ "[]", "servers" },
		{ "{\"s\":{}}", "servers.s" },
		{ "{\"a.b\":{\"command\":[\"x\"]}}", "servers.a.b" },
		{ "{\"approval\":{\"command\":[\"x\"]}}", "servers.approval" },
		{ "{\"s\":{\"command\":[]}}", "servers.s.command" },
		{ "{\"s\":{\"command\":[\"\"]}}", "servers.s.command[0]" },
		{ "{\"s\":{\"command\":\"x\"}}", "servers.s.command" },
		{ "{\"s\":{\"command\":[\"x\\u0000\"]}}",
		    "servers.s.command[0]" },
		{ "{\"s\":{\"command\":[\"x\"],\"env\":{\"A-B\":\"\"}}}",
		    "servers.s.env.A-B" },
		{ "{\"s\":{\"command\":[\"x\"],\"env\":{\"PADDOCK_X\":\"\"}}}",
		    "servers.s.env.PADDOCK_X" },
		{ "{\"s\":{\"command\":[\"x\"],\"mounts\":[\"/b\"]}}",
		    "servers.s.mounts" },
		{ "{\"s\":{\"command\":[\"x\"],\"network\":1}}",
		    "servers.s.network" },
		{ "{\"s\":{\"command\":[\"x\"],\"internet\":true}}",
		    "servers.s.internet" },
		{ "{\"s\":{\"command\":[\"x\"],\"timeout_ms\":0}}",
		    "servers.s.timeout_ms" },
		{ "{\"s\":{\"command\":[\"x\"],\"url\":\"https://a.b/\"}}",
		    "servers.s.url" },
		{ "{\"s\":{\"command\":[\"x\"],\"addrs\":[\"10.0.0.1/32\"]}}",
		    "servers.s.addrs" },
		{ "{\"s\":{\"url\":\"https://a.b/\",\"network\":true}}",
		    "servers.s.network" },
		{ "{\"s\":{\"url\":\"https://a.b/\",\"secrets\":[\"X\"]}}",
		    "servers.s.secrets" },
		{ "{\"s\":{\"url\":\"https://a.b/\",\"addrs\":[\"x\"]}}",
		    "servers.s.addrs" },
		{ "{\"s\":{\"url\":\"http://127.0.0.1:7/\"}}",
		    "servers.s.url" },
		{ "{\"s\":{\"url\":\"http://127.0.0.2/\",\"addrs\":["
		  "\"127.0.0.1/32\"]}}",
		    "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://1.1.1.1/\",\"addrs\":["
		  "\"127.0.0.1/32\"]}}",
		    "servers.s.url" },
		{ "{\"s\":{\"url\":\"http://localhost/\",\"addrs\":["
		  "\"127.0.0.1/32\"]}}",
		    "servers.s.url" },
		{ "{\"s\":{\"url\":\"http://a.localhost/\"}}",
		    "servers.s.url" },
		{ "{\"s\":{\"url\":7}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"ftp://a.b/\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://A.b/\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://u@a.b/\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://*.a.b/\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b:0/\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b:65536/\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b:/\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b/x?y=1\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b/x#y\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b/../x\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b/x y\"}}", "servers.s.url" },
		{ "{\"s\":{\"url\":\"https://a.b/**\"}}", "servers.s.url" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {};
		struct policy_problems problems;

		buf_printf(&text, HEAD "\"servers\":%s}", rows[i].servers);
		assert_null(make(buf_c(&text), &problems));
		assert_true(problems.n >= 1);
		assert_string_equal(problems.item[0].path, rows[i].path);
	}
}

static void
a_capture_says_what_shows_the_page_and_around_which_calls(void **state)
{
	struct policy_problems problems;
	struct policy *p = make(HEAD
	    "\"servers\":{\"s\":{\"command\":[\"x\"],\"network\":true,"
	    "\"capture\":{\"with\":[{\"tool\":\"shot\",\"args\":{\"b\": 1.0,"
	    "\"a\":[]}},\"text\"],\"on_failure\":\"record\",\"after\":false"
	    "}},\"t\":{\"command\":[\"x\"],\"capture\":{\"with\":[\"x\"],"
	    "\"of\":[\"click*\",\"go\"],\"timeout_ms\":5}},\"u\":{"
	    "\"command\":[\"x\"]}}}",
	    &problems);
	const struct policy_capture *c;

	(void)state;
	assert_non_null(p);
	assert_int_equal(p->n_servers, 3);
	c = p->servers[0].capture;
	assert_true(p->servers[0].network && !p->servers[1].network);
	assert_int_equal(c->n_with, 2);
	assert_true(str_eq_c(c->with[0].tool, "shot"));
	assert_true(str_eq_c(c->with[0].args, "{\"a\":[],\"b\":1}"));
	assert_true(str_eq_c(c->with[1].args, "{}"));
	assert_true(c->before && !c->after && c->record_only);
	assert_int_equal(c->timeout_ms, CAPTURE_MS);
	assert_false(policy_captures(c, STR("click"), RISK_READ));
	assert_true(policy_captures(c, STR("click"), RISK_DRAFT));
	c = p->servers[1].capture;
	assert_true(c->before && c->after && !c->record_only);
	assert_int_equal(c->timeout_ms, 5);
	assert_true(policy_captures(c, STR("clicks"), RISK_READ));
	assert_true(policy_captures(c, STR("go"), RISK_READ));
	assert_false(policy_captures(c, STR("type"), RISK_DESTRUCTIVE));
	assert_null(p->servers[2].capture);
	assert_false(policy_captures(NULL, STR("go"), RISK_DESTRUCTIVE));
	policy_free(p);
}

static void
a_capture_that_cannot_be_is_refused_where_it_stands(void **state)
{
	static const struct {
		const char *capture, *path;
	} rows[] = {
		{ "1", "" },
		{ "{}", "" },
		{ "{\"with\":[]}", ".with" },
		{ "{\"with\":[\"a\",\"a\",\"a\",\"a\",\"a\"]}", ".with" },
		{ "{\"with\":[\"a b\"]}", ".with[0]" },
		{ "{\"with\":[\"a\",7]}", ".with[1]" },
		{ "{\"with\":[{\"args\":{}}]}", ".with[0]" },
		{ "{\"with\":[{\"tool\":\"a\",\"args\":[]}]}",
		    ".with[0].args" },
		{ "{\"with\":[{\"tool\":\"a\",\"x\":1}]}", ".with[0].x" },
		{ "{\"with\":[\"a\"],\"of\":\"*\"}", ".of" },
		{ "{\"with\":[\"a\"],\"before\":false,\"after\":false}", "" },
		{ "{\"with\":[\"a\"],\"on_failure\":\"allow\"}",
		    ".on_failure" },
		{ "{\"with\":[\"a\"],\"timeout_ms\":60001}", ".timeout_ms" },
		{ "{\"with\":[\"a\"],\"when\":1}", ".when" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {}, path = {};
		struct policy_problems problems;

		buf_printf(&text,
		    HEAD "\"servers\":{\"s\":{\"command\":[\"x\"],"
			 "\"capture\":%s}}}",
		    rows[i].capture);
		buf_printf(&path, "servers.s.capture%s", rows[i].path);
		assert_null(make(buf_c(&text), &problems));
		assert_true(problems.n >= 1);
		assert_string_equal(problems.item[0].path, buf_c(&path));
	}
}

static void
a_pin_is_a_digest_of_one_tool(void **state)
{
	struct policy_problems problems;
	static const char digest[] = "sha256:0123456789abcdef0123456789abcdef"
				     "0123456789abcdef0123456789abcdef";

	(void)state;
	for (int i = 0; i < 3; i++) {
		own_buf struct buf text = {};
		struct policy *p;

		buf_add_c(
		    &text, "{\"policy\":1,\"workflow\":\"w\",\"tools\":{");
		if (i == 1)
			buf_printf(&text,
			    "\"s.*\":{\"risk\":\"read\",\"pin\":"
			    "\"%s\"}",
			    digest);
		else
			buf_printf(&text,
			    "\"s.a\":{\"risk\":\"read\",\"pin\":"
			    "\"%.*s\"}",
			    i == 0 ? 71 : 70, digest);
		buf_add_c(&text, "}}");
		p = make(buf_c(&text), &problems);
		assert_true((p != NULL) == (i == 0));
		if (p != NULL)
			assert_int_equal(p->tools[0].pin.n, 64);
		policy_free(p);
	}
}

static void
who_extends_a_policy_adds_no_server_and_changes_none(void **state)
{
	static const struct {
		const char *base, *own;
		int servers; /* -1: it is refused */
	} rows[] = {
		{ "\"servers\":{\"s\":{\"command\":[\"x\"]}}", "", 1 },
		{ "\"servers\":{\"s\":{\"command\":[\"x\"]}}",
		    "\"servers\":{\"s\":{\"command\":[\"x\"]}},", 1 },
		{ "\"servers\":{\"s\":{\"command\":[\"x\"]}}",
		    "\"servers\":{},", 0 },
		{ "\"servers\":{\"s\":{\"command\":[\"x\"]}}",
		    "\"servers\":{\"s\":{\"command\":[\"y\"]}},", -1 },
		{ "\"stage\":1", "\"servers\":{\"s\":{\"command\":[\"x\"]}},",
		    -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {};
		struct policy_problems problems;
		struct policy *p;

		buf_printf(&text, HEAD "%s\"extends\":[" HEAD "%s}]}",
		    rows[i].own, rows[i].base);
		p = make(buf_c(&text), &problems);
		assert_true((p != NULL) == (rows[i].servers >= 0));
		if (p != NULL)
			assert_int_equal(p->n_servers, rows[i].servers);
		policy_free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_has_what_is_written_and_defaults),
		cmocka_unit_test(a_url_is_a_rule_of_its_own),
		cmocka_unit_test(what_cannot_be_is_refused_where_it_stands),
		cmocka_unit_test(
		    a_capture_says_what_shows_the_page_and_around_which_calls),
		cmocka_unit_test(
		    a_capture_that_cannot_be_is_refused_where_it_stands),
		cmocka_unit_test(a_pin_is_a_digest_of_one_tool),
		cmocka_unit_test(
		    who_extends_a_policy_adds_no_server_and_changes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
