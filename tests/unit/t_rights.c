/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include "core/rights.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
a_right_is_a_scope_or_comes_with_a_role(void **state)
{
	static const struct {
		const char *why, *tenant, *role, *held, *scope;
		bool may;
	} rows[] = {
		{ "nothing held", "acme", "", "", "runs:read", false },
		{ "the scope", "acme", "", "runs:read", "runs:read", true },
		{ "its family", "acme", "", "runs:*", "runs:stop", true },
		{ "a role", "acme", "viewer", "", "runs:read", true },
		{ "more than the role", "acme", "viewer", "", "runs:stop",
		    false },
		{ "runners do not decide", "acme", "runner", "",
		    "approvals:decide", false },
		{ "runners take nobody's place", "acme", "runner", "",
		    "runs:delegate", false },
		{ "approvers do not open", "acme", "approver", "", "runs:open",
		    false },
		{ "approvers decide", "acme", "approver", "",
		    "approvals:decide", true },
		{ "approvers review what servers say", "acme", "approver", "",
		    "servers:decide", true },
		{ "runners look at it", "acme", "runner", "", "servers:read",
		    true },
		{ "and do not review it", "acme", "runner", "",
		    "servers:decide", false },
		{ "a name of policies", "acme", "finance", "", "runs:read",
		    false },
		{ "a tenant's operator", "acme", "operator", "", "runs:stop",
		    true },
		{ "secrets are all tenants'", "acme", "operator", "",
		    "secrets:use", false },
		{ "unless it is said", "acme", "operator", "secrets:use",
		    "secrets:use", true },
		{ "the operator", "*", "operator", "", "secrets:use", true },
		{ "all tenants, and nothing else", "*", "viewer", "",
		    "runs:open", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identity id = { .tenant = str_of(rows[i].tenant),
			.n_roles = 1,
			.roles = { str_of(rows[i].role) },
			.n_scopes = 1,
			.scopes = { str_of(rows[i].held) } };

		if (rights_may(&id, str_of(rows[i].scope)) != rows[i].may)
			fail_msg("%s", rows[i].why);
	}
}

static void
a_tenant_sees_itself_and_a_star_sees_all(void **state)
{
	struct identity acme = { .tenant = STR("acme") };
	struct identity all = { .tenant = STR("*") };

	(void)state;
	assert_true(rights_sees(&acme, STR("acme")));
	assert_false(rights_sees(&acme, STR("acme2")));
	assert_false(rights_sees(&acme, STR("*")));
	assert_false(rights_sees(&acme, STR("")));
	assert_true(rights_sees(&all, STR("acme")));
	assert_true(rights_sees(&all, STR("*")));
}

static void
whatever_an_identity_has_more_is_found(void **state)
{
	static const struct str c1 = { "c1", 2 }, c2 = { "c2", 2 };
	static const struct str orders[] = { { "o1", 2 }, { "o2", 2 },
		{ "o3", 2 } };
	const struct identity outer = {
		.tenant = STR("acme"),
		.actor = STR("alice"),
		.n_roles = 2,
		.roles = { STR("runner"), STR("finance") },
		.n_scopes = 1,
		.scopes = { STR("tickets:*") },
		.n_attributes = 2,
		.attributes = { { STR("customer"), false, 1, &c1 },
		    { STR("orders"), true, 2, orders } },
	};
	struct identity inner = outer;

	(void)state;
	assert_int_equal(rights_beyond(&outer, &outer).n, 0);
	inner.n_roles = 0;
	inner.scopes[0] = STR("tickets:read");
	assert_int_equal(rights_beyond(&inner, &outer).n, 0);

	inner = outer;
	inner.tenant = STR("bank");
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("bank")));
	inner = outer;
	inner.actor = STR("bob");
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("bob")));
	inner = outer;
	inner.roles[1] = STR("operator");
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("operator")));
	inner = outer;
	inner.scopes[0] = STR("bank:read");
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("bank:read")));
	inner = outer;
	inner.attributes[0].values = &c2;
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("customer")));
	inner = outer;
	inner.attributes[1].n = 1;
	assert_int_equal(rights_beyond(&inner, &outer).n, 0);
	inner.attributes[1].n = 3;
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("orders")));
	inner.attributes[1].n = 1;
	inner.attributes[1].is_list = false;
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("orders")));
	inner = outer;
	inner.attributes[0].name = STR("region");
	assert_true(str_eq(rights_beyond(&inner, &outer), STR("region")));
}

static void
names_cannot_be_taken_for_others(void **state)
{
	(void)state;
	assert_true(rights_name_ok(STR("alice@example.com"), false));
	assert_true(rights_name_ok(STR("team/alice"), false));
	/* Shown as tenant/actor, it could be another's. */
	assert_false(rights_name_ok(STR("acme/a"), true));
	assert_false(rights_name_ok(STR("*"), true));
	assert_false(rights_name_ok(STR(""), false));
	assert_false(rights_name_ok(STR("a b"), false));
	assert_false(rights_name_ok(STR("a\nb"), false));
	assert_true(rights_scope_ok(STR("runs:*")));
	assert_false(rights_scope_ok(STR("*")));
	assert_true(identity_attribute_ok(STR("customer_id2")));
	assert_false(identity_attribute_ok(STR("tenant")));
	assert_false(identity_attribute_ok(STR("2x")));
	assert_false(identity_attribute_ok(STR("Name")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_right_is_a_scope_or_comes_with_a_role),
		cmocka_unit_test(a_tenant_sees_itself_and_a_star_sees_all),
		cmocka_unit_test(whatever_an_identity_has_more_is_found),
		cmocka_unit_test(names_cannot_be_taken_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
