/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <string.h>

#include "ipc/kill.h"

static void
a_line_and_a_file_name_the_same(void **state)
{
	static const struct {
		const char *line, *file;
		enum kill_what what;
		const char *name;
	} rows[] = {
		{ "kill-all\n", "all", KILL_ALL, "" },
		{ "kill-all\n", "kill", KILL_ALL, "" },
		{ "kill r-7k3m9q2v5w1x\n", "r-7k3m9q2v5w1x", KILL_RUN,
		    "r-7k3m9q2v5w1x" },
		{ "kill-tenant acme\n", "tenant-acme", KILL_TENANT, "acme" },
		{ "kill-workflow a-b\n", "workflow-a-b", KILL_WORKFLOW, "a-b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kill_order a, b;

		assert_int_equal(kill_parse_line(str_of(rows[i].line), &a), 0);
		assert_int_equal(kill_parse_file(str_of(rows[i].file), &b), 0);
		assert_int_equal(a.what, rows[i].what);
		assert_string_equal(a.name, rows[i].name);
		assert_true(kill_same(&a, &b));
	}
}

static void
what_is_not_understood_kills_nothing(void **state)
{
	static const char *const lines[] = { "", "\n", "kill", "kill-all",
		"kill \n", "kill r-1\n", "kill-tenant \n", "kill-tenant",
		"kill-all x\n", "KILL-ALL\n", "kill-everything x\n" };
	static const char *const files[] = { "", "tenant-", "workflow-", "r-",
		"tenant", "nobody", "All" };
	char name[NAME_MAX_BYTES + 16];
	struct kill_order k;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(kill_parse_line(str_of(lines[i]), &k), -1);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		assert_int_equal(kill_parse_file(str_of(files[i]), &k), -1);
	assert_int_equal(
	    kill_order_make(KILL_TENANT, (struct str){ "a\0b", 3 }, &k), -1);
	memset(name, 'a', sizeof(name));
	assert_int_equal(kill_order_make(KILL_TENANT,
			     (struct str){ name, NAME_MAX_BYTES }, &k),
	    -1);
	assert_int_equal(kill_order_make(KILL_ALL, STR("x"), &k), -1);
}

static void
an_order_hits_what_it_names(void **state)
{
	const uint64_t acme = kill_number(STR("acme"));
	const uint64_t w = kill_number(STR("w"));
	struct kill_order k;

	(void)state;
	assert_int_equal(kill_order_make(KILL_ALL, STR(""), &k), 0);
	assert_true(kill_hits(&k, 1, 2, 3));
	assert_int_equal(kill_order_make(KILL_TENANT, STR("acme"), &k), 0);
	assert_true(kill_hits(&k, 1, acme, w));
	assert_false(kill_hits(&k, 1, w, acme));
	assert_int_equal(kill_order_make(KILL_WORKFLOW, STR("w"), &k), 0);
	assert_true(kill_hits(&k, 1, acme, w));
	assert_false(kill_hits(&k, 1, w, acme));
	assert_int_equal(
	    kill_order_make(KILL_RUN, STR("r-000000000001"), &k), 0);
	assert_true(kill_hits(&k, 1, acme, w));
	assert_false(kill_hits(&k, 2, acme, w));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_and_a_file_name_the_same),
		cmocka_unit_test(what_is_not_understood_kills_nothing),
		cmocka_unit_test(an_order_hits_what_it_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
