/*
 * "owner" of a tool, and with it the calls of all tasks of tau-bench's retail
 * domain: the customer whose task it is may make them, no other one may.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/policy.h"
#include "sys/fd.h"

static const char *file;

/* What of the retail tools is about somebody, and how that is told. */
#define WRITE(name)                                                   \
	"'" name "':{'risk':'external_write','mode':'allow','owner':" \
	"'$.order_id in identity.orders'},"
#define PAY(name)                                                     \
	"'" name "':{'risk':'external_write','mode':'allow','owner':" \
	"'$.order_id in identity.orders && $.payment_method_id in "   \
	"identity.payments'},"

static const char retail[] =
    "{'policy':1,'workflow':'retail','stage':5,'tools':{"
    "'find_user_id_by_email':{'risk':'read','owner':"
    "'$.email == identity.email'},"
    "'find_user_id_by_name_zip':{'risk':'read','owner':"
    "'$.first_name == identity.first_name && $.last_name == "
    "identity.last_name && $.zip == identity.zip'},"
    "'get_user_details':{'risk':'read','owner':"
    "'$.user_id == identity.customer'},"
    "'modify_user_address':{'risk':'external_write','mode':'allow',"
    "'owner':'$.user_id == identity.customer'},"
    "'get_order_details':{'risk':'read','owner':"
    "'$.order_id in identity.orders'},"
    /* clang-format off */
    WRITE("cancel_pending_order")
    WRITE("modify_pending_order_address")
    PAY("modify_pending_order_items")
    PAY("modify_pending_order_payment")
    PAY("exchange_delivered_order_items")
    PAY("return_delivered_order_items")
    /* clang-format on */
    "'get_product_details':{'risk':'read'},"
    "'list_all_product_types':{'risk':'read'},"
    "'calculate':{'risk':'read'},"
    "'transfer_to_human_agents':{'risk':'read'}},'attributes':";

/* A policy in which ' stands for ". NULL: it has problems. */
static struct policy *
policy_of(const char *text, struct policy_problems *problems)
{
	struct buf b = {};
	struct policy *p;

	for (const char *c = text; *c != '\0'; c++)
		buf_add_byte(&b, *c == '\'' ? '"' : *c);
	p = policy_new(buf_str(&b), POLICY_JSON, problems);
	buf_fini(&b);
	return p;
}

static void
decide(const struct policy *p, struct str tool, const struct json *args,
    struct verdict *v)
{
	static const struct labels none;

	policy_decide(p,
	    &(struct policy_call){
		.tool = tool, .args = args, .labels = &none },
	    v);
}

static void
a_call_is_blocked_unless_it_is_known_whose_it_is(void **state)
{
	static const struct {
		const char *why, *owner, *args;
		enum verdict_kind kind;
	} rows[] = {
		{ "his", "$.id == identity.customer", "{\"id\":\"c1\"}",
		    VERDICT_ALLOW },
		{ "spelled out", "args.id == identity.customer",
		    "{\"id\":\"c1\"}", VERDICT_ALLOW },
		{ "another's", "$.id == identity.customer", "{\"id\":\"c2\"}",
		    VERDICT_BLOCK },
		{ "nobody's", "$.id == identity.customer", "{}",
		    VERDICT_BLOCK },
		{ "no text", "$.id == identity.customer", "{\"id\":[\"c1\"]}",
		    VERDICT_BLOCK },
		{ "no such attribute", "$.id == identity.region",
		    "{\"id\":\"c1\"}", VERDICT_BLOCK },
		{ "one of his", "$.id in identity.orders", "{\"id\":\"o2\"}",
		    VERDICT_ALLOW },
		{ "none of his", "$.id in identity.orders", "{\"id\":\"o3\"}",
		    VERDICT_BLOCK },
		{ "all of them his", "$.ids.all(x, x in identity.orders)",
		    "{\"ids\":[\"o1\",\"o2\"]}", VERDICT_ALLOW },
		{ "one of them another's", "$.ids.all(x, x in identity.orders)",
		    "{\"ids\":[\"o1\",\"o3\"]}", VERDICT_BLOCK },
		{ "no condition", "$.id", "{\"id\":\"c1\"}", VERDICT_BLOCK },
		{ "his tenant's", "$.t == identity.tenant", "{\"t\":\"acme\"}",
		    VERDICT_ALLOW },
		{ "another tenant's", "$.t == identity.tenant",
		    "{\"t\":\"bank\"}", VERDICT_BLOCK },
		{ "a dollar in a text", "$.id == '$.id'", "{\"id\":\"$.id\"}",
		    VERDICT_ALLOW },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_problems problems = {};
		struct arena a = {};
		struct buf text = {};
		struct verdict v;
		struct err e = {};
		struct policy *p;

		buf_add_c(&text,
		    "{\"policy\":1,\"workflow\":\"w\",\"tenant\":\"acme\","
		    "\"stage\":5,\"attributes\":{\"customer\":\"c1\","
		    "\"orders\":[\"o1\",\"o2\"]},\"tools\":{\"t\":{\"risk\":"
		    "\"read\",\"owner\":");
		json_put_str(&text, str_of(rows[i].owner));
		buf_add_c(&text, "}}}");
		p = policy_new(buf_str(&text), POLICY_JSON, &problems);
		if (p == NULL)
			fail_msg("%s: %s", rows[i].why, problems.item[0].text);
		decide(p, STR("t"),
		    json_parse(str_of(rows[i].args), NULL, &a, &e, NULL), &v);
		if (v.kind != rows[i].kind)
			fail_msg("%s: %s", rows[i].why, v.reasons[0]);
		if (v.kind == VERDICT_BLOCK)
			assert_string_equal(v.code, "not_owner");
		policy_free(p);
		buf_fini(&text);
		arena_fini(&a);
	}
}

static void
what_is_no_owner_and_no_attribute_is_refused(void **state)
{
	static const char *const policies[] = {
		"{'policy':1,'workflow':'w','tools':{'t':{'risk':'read',"
		"'owner':7}}}",
		"{'policy':1,'workflow':'w','tools':{'t':{'risk':'read',"
		"'owner':'$.id =='}}}",
		"{'policy':1,'workflow':'w','tools':{'t':{'risk':'read',"
		"'owner':'labels.x'}}}",
		"{'policy':1,'workflow':'w','attributes':{'tenant':'x'},"
		"'tools':{}}",
		"{'policy':1,'workflow':'w','attributes':{'a':7},'tools':{}}",
		"{'policy':1,'workflow':'w','attributes':{'a':['']},"
		"'tools':{}}",
		"{'policy':1,'workflow':'w','attributes':[],'tools':{}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct policy_problems problems = {};

		if (policy_of(policies[i], &problems) != NULL)
			fail_msg("%s", policies[i]);
		assert_int_equal(problems.n, 1);
	}
}

/* The retail policy, as a run of this customer has it. */
static struct policy *
policy_for(const struct json *customer)
{
	struct policy_problems problems = {};
	struct buf text = {};
	struct policy *p;

	for (const char *c = retail; *c != '\0'; c++)
		buf_add_byte(&text, *c == '\'' ? '"' : *c);
	json_write(&text, customer);
	buf_add_byte(&text, '}');
	p = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (p == NULL)
		fail_msg(
		    "%s: %s", problems.item[0].path, problems.item[0].text);
	buf_fini(&text);
	return p;
}

static bool
has(const struct json *list, struct str s)
{
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		if (str_eq(json_str(x), s))
			return true;
	}
	return false;
}

/* From the data alone: is every object of the call the customer's? */
static bool
is_his(const struct json *customer, const struct json *args)
{
	static const char *const same[] = { "email", "first_name", "last_name",
		"zip" };

	for (const struct json *k = json_first(args); k != NULL;
	     k = json_next(args, k)) {
		struct str v = json_str(json_value(k));

		for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
			if (str_eq_c(json_str(k), same[i]) &&
			    !str_eq(
				v, json_str(json_get(customer, json_str(k)))))
				return false;
		}
		if ((str_eq_c(json_str(k), "user_id") &&
			!str_eq(v,
			    json_str(json_get(customer, STR("customer"))))) ||
		    (str_eq_c(json_str(k), "order_id") &&
			!has(json_get(customer, STR("orders")), v)) ||
		    (str_eq_c(json_str(k), "payment_method_id") &&
			!has(json_get(customer, STR("payments")), v)))
			return false;
	}
	return true;
}

static void
every_call_of_tau_bench_is_its_customers_and_nobody_elses(void **state)
{
	struct buf text = {};
	struct arena a = {};
	struct err e = {};
	const struct json *doc, *customers, *calls;
	uint32_t n = 0, own = 0, not_own = 0, others = 0, common = 0;

	(void)state;
	assert_int_equal(file_read(file, &text, JSON_MAX_BYTES, &e), 0);
	doc = json_parse(buf_str(&text), NULL, &a, &e, NULL);
	assert_non_null(doc);
	customers = json_get(doc, STR("customers"));
	calls = json_get(doc, STR("calls"));
	for (const struct json *c = json_first(customers); c != NULL;
	     c = json_next(customers, c)) {
		struct str name = json_str(json_get(c, STR("customer")));
		struct policy *p = policy_for(c);

		n++;
		for (const struct json *x = json_first(calls); x != NULL;
		     x = json_next(calls, x)) {
			const struct json *who = json_first(x);
			const struct json *tool = json_next(x, who);
			const struct json *args = json_next(x, tool);
			bool mine = str_eq(json_str(who), name);
			bool his = is_his(c, args);
			struct verdict v;

			decide(p, json_str(tool), args, &v);
			if ((v.kind == VERDICT_ALLOW) != his ||
			    (!his && strcmp(v.code, "not_owner") != 0))
				fail_msg("%.*s: %.*s of %.*s: %s",
				    STR_FMT(name), STR_FMT(json_str(tool)),
				    STR_FMT(json_str(who)), v.reasons[0]);
			own += mine && his && args->n > 0;
			not_own += mine && !his;
			others += !mine && !his;
			common += args->n == 0;
			/* What is about somebody is about one of them. */
			assert_true(mine || !his || args->n == 0);
		}
		policy_free(p);
	}
	print_message("%u customers: %u calls of their own allowed, %u of "
		      "their own tasks about others' things blocked, %u of "
		      "others blocked, %u about nobody's\n",
	    n, own, not_own, others, common);
	assert_int_equal(n, 286);
	/* Of the 15, tasks ask for others' things, or begin as another. */
	assert_int_equal(own, 875);
	assert_int_equal(not_own, 15);
	assert_int_equal(others, 253650);
	buf_fini(&text);
	arena_fini(&a);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_call_is_blocked_unless_it_is_known_whose_it_is),
		cmocka_unit_test(what_is_no_owner_and_no_attribute_is_refused),
		cmocka_unit_test(
		    every_call_of_tau_bench_is_its_customers_and_nobody_elses),
	};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: t_owner tau_retail.json\n");
		return 2;
	}
	file = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
