/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <string.h>

#include "codec/json.h"
#include "core/budget.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
a_charge_is_taken_whole_or_not_at_all(void **state)
{
	static const struct {
		const char *why;
		uint64_t limit[BUDGET_KINDS], used[BUDGET_KINDS];
		uint64_t cost[BUDGET_KINDS];
		enum budget_kind short_of;
	} rows[] = {
		{ "fits exactly", { 10, 5, 1 }, { 8, 4, 0 }, { 2, 1, 1 },
		    BUDGET_KINDS },
		{ "one call too many", { 10, 5, 1 }, { 0, 5, 0 }, { 0, 1, 0 },
		    BUDGET_TOOL_CALLS },
		{ "the first kind is told", { 1, 1, 1 }, { 1, 1, 1 },
		    { 1, 1, 1 }, BUDGET_RUNTIME_MS },
		{ "one kind that does not fit stops all", { 10, 5, 1 },
		    { 0, 0, 1 }, { 3, 1, 1 }, BUDGET_RETRIES },
		{ "wraps around", { 10, 5, 1 }, { 1, 0, 0 },
		    { UINT64_MAX, 0, 0 }, BUDGET_RUNTIME_MS },
		{ "nothing at the limit", { 10, 5, 1 }, { 10, 5, 1 },
		    { 0, 0, 0 }, BUDGET_KINDS },
		{ "measured past its limit", { 10, 5, 1 }, { 11, 0, 0 },
		    { 0, 1, 0 }, BUDGET_RUNTIME_MS },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct budget b;

		memcpy(b.limit, rows[i].limit, sizeof(b.limit));
		memcpy(b.used, rows[i].used, sizeof(b.used));
		if (budget_charge(&b, rows[i].cost) != rows[i].short_of)
			fail_msg("%s", rows[i].why);
		for (int k = 0; k < BUDGET_KINDS; k++)
			assert_int_equal(b.used[k],
			    rows[i].used[k] +
				(rows[i].short_of == BUDGET_KINDS
					? rows[i].cost[k]
					: 0));
	}
}

static void
a_new_budget_has_no_limit(void **state)
{
	const uint64_t huge[BUDGET_KINDS] = { UINT64_MAX, UINT64_MAX,
		UINT64_MAX, UINT64_MAX };
	const uint64_t one[BUDGET_KINDS] = { 0, 1, 0 };
	struct budget b;

	(void)state;
	budget_init(&b);
	assert_int_equal(budget_charge(&b, huge), BUDGET_KINDS);
	/* Even no limit does not wrap. */
	assert_int_equal(budget_charge(&b, one), BUDGET_TOOL_CALLS);
}

static void
what_is_measured_only_grows(void **state)
{
	struct budget b = { .limit = { 100, 5, 1 } };

	(void)state;
	assert_true(budget_reach(&b, BUDGET_RUNTIME_MS, 60));
	assert_true(budget_reach(&b, BUDGET_RUNTIME_MS, 30));
	assert_int_equal(b.used[BUDGET_RUNTIME_MS], 60);
	assert_true(budget_reach(&b, BUDGET_RUNTIME_MS, 100));
	assert_false(budget_reach(&b, BUDGET_RUNTIME_MS, 101));
	/* A clock that goes back does not open the run again. */
	assert_false(budget_reach(&b, BUDGET_RUNTIME_MS, 1));
}

static void check_stop(uint64_t used, enum budget_kind k,
    const struct budget_window *w, const char *want);

static void
the_stop_is_canonical_json_with_the_reason(void **state)
{
#define NEXT                                                                \
	"\"suggested_next_step\":\"Ask user to narrow the task or request " \
	"approval for extended run.\""
	static const char *const want[BUDGET_KINDS] = {
		"{\"reason\":\"runtime_budget_exceeded\",\"runtime_ms_used\":7,"
		"\"status\":\"stopped\"," NEXT "}",
		"{\"reason\":\"tool_call_budget_exceeded\","
		"\"status\":\"stopped\"," NEXT ",\"tool_calls_used\":30}",
		"{\"reason\":\"retry_budget_exceeded\",\"retries_used\":2,"
		"\"status\":\"stopped\"," NEXT "}",
		"{\"reason\":\"upload_budget_exceeded\","
		"\"status\":\"stopped\"," NEXT ",\"upload_bytes_used\":9}",
		"{\"model_calls_used\":3,"
		"\"reason\":\"model_call_budget_exceeded\","
		"\"status\":\"stopped\"," NEXT "}",
		"{\"model_tokens_used\":60000,"
		"\"reason\":\"model_token_budget_exceeded\","
		"\"status\":\"stopped\"," NEXT "}",
		"{\"cost_usd_used\":1.5,\"reason\":\"cost_budget_exceeded\","
		"\"status\":\"stopped\"," NEXT "}",
		"{\"pages_used\":4,\"reason\":\"page_budget_exceeded\","
		"\"status\":\"stopped\"," NEXT "}",
		"{\"documents_used\":50,"
		"\"reason\":\"document_budget_exceeded\","
		"\"status\":\"stopped\"," NEXT "}",
		"{\"reason\":\"subtask_budget_exceeded\","
		"\"status\":\"stopped\",\"subtasks_used\":1," NEXT "}",
	};
	static const uint64_t used[BUDGET_KINDS] = { 7, 30, 2, 9, 3, 60000,
		1500000000, 4, 50, 1 };

	(void)state;
	for (int k = 0; k < BUDGET_KINDS; k++)
		check_stop(used[k], (enum budget_kind)k, NULL, want[k]);
}

static void
the_stop_of_a_shared_budget_says_whose_it_is(void **state)
{
	const struct budget_window day = { .scope = BUDGET_OF_TENANT,
		.window_ms = 24 * 3600 * 1000 };
	const struct budget_window hour = { .scope = BUDGET_OF_WORKFLOW,
		.window_ms = 3600 * 1000 };

	(void)state;
#define LATER                                                                 \
	"\"suggested_next_step\":\"Ask user to wait for the next window, or " \
	"an operator for a larger budget.\""
	check_stop(2500000, BUDGET_COST_NUSD, &day,
	    "{\"cost_usd_used\":0.0025,\"reason\":\"cost_budget_exceeded\","
	    "\"scope\":\"tenant\",\"status\":\"stopped\"," LATER
	    ",\"window\":\"1d\"}");
	check_stop(8, BUDGET_TOOL_CALLS, &hour,
	    "{\"reason\":\"tool_call_budget_exceeded\","
	    "\"scope\":\"workflow\",\"status\":\"stopped\"," LATER
	    ",\"tool_calls_used\":8,\"window\":\"1h\"}");
}

static void
check_stop(uint64_t used, enum budget_kind k, const struct budget_window *w,
    const char *want)
{
	own_buf struct buf out = {}, again = {};
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v;

	budget_write_stop(&out, used, k, w);
	assert_string_equal(buf_c(&out), want);
	v = json_parse(buf_str(&out), NULL, &a, &e, NULL);
	assert_non_null(v);
	json_write(&again, v);
	assert_string_equal(buf_c(&again), want);
}

static void
every_kind_has_names_of_its_own(void **state)
{
	(void)state;
	for (int k = 0; k < BUDGET_KINDS; k++) {
		for (int o = 0; o < k; o++) {
			assert_string_not_equal(
			    budget_member((enum budget_kind)k),
			    budget_member((enum budget_kind)o));
			assert_string_not_equal(
			    budget_reason((enum budget_kind)k),
			    budget_reason((enum budget_kind)o));
		}
	}
	for (int i = 0; budget_window_words[i] != NULL; i++)
		assert_string_equal(budget_window_word(budget_window_ms[i]),
		    budget_window_words[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_charge_is_taken_whole_or_not_at_all),
		cmocka_unit_test(a_new_budget_has_no_limit),
		cmocka_unit_test(what_is_measured_only_grows),
		cmocka_unit_test(the_stop_is_canonical_json_with_the_reason),
		cmocka_unit_test(the_stop_of_a_shared_budget_says_whose_it_is),
		cmocka_unit_test(every_kind_has_names_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
