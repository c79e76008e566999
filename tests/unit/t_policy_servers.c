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
		{ "{\"s\":{\"command\":[\"x\"],\"network\":true}}",
		    "servers.s.network" },
		{ "{\"s\":{\"command\":[\"x\"],\"timeout_ms\":0}}",
		    "servers.s.timeout_ms" },
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
		cmocka_unit_test(what_cannot_be_is_refused_where_it_stands),
		cmocka_unit_test(a_pin_is_a_digest_of_one_tool),
		cmocka_unit_test(
		    who_extends_a_policy_adds_no_server_and_changes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
