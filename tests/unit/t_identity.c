/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <string.h>

#include "core/identity.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
a_scope_is_held_by_name_or_by_its_family(void **state)
{
	static const struct {
		const char *why, *held, *scope;
		bool holds;
	} rows[] = {
		{ "the same", "tickets:read", "tickets:read", true },
		{ "another", "tickets:read", "tickets:write", false },
		{ "the family", "tickets:*", "tickets:read", true },
		{ "deeper", "tickets:*", "tickets:a:b", true },
		{ "the family is not its own member", "tickets:*",
		    "tickets:", false },
		{ "no colon, no family", "tickets:*", "ticketsread", false },
		{ "a longer word", "tickets:*", "tickets2:read", false },
		{ "a star alone holds nothing else", "*", "tickets:read",
		    false },
		{ "a star without a colon is a letter", "tick*", "tickets",
		    false },
		{ "not the other way round", "tickets:read", "tickets:*",
		    false },
		{ "nothing", "tickets:read", "", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identity id = { .n_scopes = 2,
			.scopes = { STR("other:x"), str_of(rows[i].held) } };

		if (identity_has_scope(&id, str_of(rows[i].scope)) !=
		    rows[i].holds)
			fail_msg("%s", rows[i].why);
	}
}

static void
a_role_is_held_by_name_only(void **state)
{
	struct identity id = { .n_roles = 2,
		.roles = { STR("support"), STR("finance:*") } };

	(void)state;
	assert_true(identity_has_role(&id, STR("support")));
	assert_true(identity_has_role(&id, STR("finance:*")));
	assert_false(identity_has_role(&id, STR("finance:lead")));
	assert_false(identity_has_role(&id, STR("suppor")));
	assert_false(identity_has_role(&(struct identity){}, STR("support")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scope_is_held_by_name_or_by_its_family),
		cmocka_unit_test(a_role_is_held_by_name_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
