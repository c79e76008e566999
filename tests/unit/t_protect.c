/* Which names are secrets, and which are run by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/protect.h"

static void
names_are_known_at_any_depth_and_in_any_case(void **state)
{
	static const struct {
		const char *path;
		enum protect_is is;
	} rows[] = {
		{ ".env", PROTECT_SECRET },
		{ "a/b/.env.local", PROTECT_SECRET },
		{ "a/.Env", PROTECT_SECRET },
		{ ".env.example", PROTECT_FREE },
		{ "env", PROTECT_FREE },
		{ ".environment", PROTECT_FREE },
		{ ".ssh", PROTECT_SECRET },
		{ "x/.config/gcloud", PROTECT_SECRET },
		{ "gcloud", PROTECT_FREE }, /* half a pattern */
		{ ".git", PROTECT_FREE },
		{ ".git/hooks", PROTECT_RUN_BY_OTHERS },
		{ "vendor/x/.GIT/Hooks", PROTECT_RUN_BY_OTHERS },
		{ "a.git/hooks", PROTECT_FREE }, /* whole names only */
		{ "hooks", PROTECT_FREE },
		{ "x.code-workspace", PROTECT_RUN_BY_OTHERS },
		{ "", PROTECT_FREE },
	};
	const struct protect none = {};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    protect_name(&none, str_of(rows[i].path)), rows[i].is);
}

static void
what_lies_below_is_protected_with_it(void **state)
{
	const struct protect none = {};

	(void)state;
	assert_int_equal(protect_path(&none, STR("a/.git/hooks/pre-commit")),
	    PROTECT_RUN_BY_OTHERS);
	assert_int_equal(
	    protect_path(&none, STR(".ssh/sub/known")), PROTECT_SECRET);
	assert_int_equal(
	    protect_path(&none, STR("a/hooks/pre-commit")), PROTECT_FREE);
	assert_true(protect_above(&none, STR("a/.git")));
	assert_true(protect_above(&none, STR(".Config")));
	assert_false(protect_above(&none, STR("a/git")));
}

static void
the_operators_rules_come_first_each_for_its_own_kind(void **state)
{
	static const struct protect_rule rules[] = {
		{ PROTECT_ALLOW_READ, "/.env" },
		{ PROTECT_ALLOW_WRITE, ".ssh" }, /* writing is not reading */
		{ PROTECT_ALLOW_WRITE, ".git/config" },
		{ PROTECT_DENY_WRITE, "Makefile" },
		{ PROTECT_DENY_READ, "*.pem" },
	};
	const struct protect p = { rules, 5, false };

	(void)state;
	assert_int_equal(protect_name(&p, STR(".env")), PROTECT_FREE);
	assert_int_equal(protect_name(&p, STR("a/.env")), PROTECT_SECRET);
	assert_int_equal(protect_name(&p, STR(".ssh")), PROTECT_SECRET);
	assert_int_equal(protect_name(&p, STR("a/.git/config")), PROTECT_FREE);
	assert_int_equal(
	    protect_name(&p, STR("a/makefile")), PROTECT_RUN_BY_OTHERS);
	assert_int_equal(protect_name(&p, STR("a/x.pem")), PROTECT_SECRET);
	assert_int_equal(protect_name(&p, STR("x.pem/y")), PROTECT_FREE);
}

static void
a_wrong_pattern_is_told(void **state)
{
	static const char *const bad[] = { "", "/", "a//b", "a/", "..",
		"a/../b", "./a", "a\nb", "\x7f" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(protect_pattern_bad(str_of(bad[i])));
	assert_null(protect_pattern_bad(STR("/a")));
	assert_null(protect_pattern_bad(STR(".git/hooks")));
	assert_null(protect_pattern_bad(STR("*.pem")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_known_at_any_depth_and_in_any_case),
		cmocka_unit_test(what_lies_below_is_protected_with_it),
		cmocka_unit_test(
		    the_operators_rules_come_first_each_for_its_own_kind),
		cmocka_unit_test(a_wrong_pattern_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
