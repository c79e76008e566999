/* broker/stale.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "broker/run_int.h"
#include "broker/stale.h"

static const struct policy_fault rules[] = {
	{ .tool = { "kb.*", 4 }, .kind = FAULT_EMPTY },
	{ .tool = { "ticket.*", 8 }, .kind = FAULT_STALE_READ },
};

static void
keep(struct run *r, const char *tool, const char *args, const char *answer)
{
	stale_keep(r, rules, 2, str_of(tool), str_of(args), str_of(answer));
}

static void
an_older_answer_is_one_that_was_another(void **state)
{
	static struct run r; /* large */
	static const struct {
		const char *tool, *args;
		uint32_t lag;
		const char *want; /* NULL: none */
	} rows[] = {
		{ "ticket.read", "1", 1, "v2" },
		{ "ticket.read", "1", 2, "v1" },
		{ "ticket.read", "1", 3, NULL }, /* nothing is older */
		{ "ticket.read", "2", 1, NULL }, /* other arguments */
		{ "ticket.list", "1", 1, NULL }, /* another tool */
		{ "kb.search", "1", 1, NULL }, /* no rule is about it */
	};

	(void)state;
	keep(&r, "ticket.read", "1", "v1");
	keep(&r, "ticket.read", "1", "v2");
	keep(&r, "ticket.read", "1", "v2"); /* the same is no other version */
	keep(&r, "ticket.read", "1", "v3");
	keep(&r, "ticket.read", "2", "w1");
	keep(&r, "kb.search", "1", "a");
	keep(&r, "kb.search", "1", "b");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct str got = stale_find(&r, str_of(rows[i].tool),
		    str_of(rows[i].args), rows[i].lag);

		if (rows[i].want == NULL)
			assert_null(got.p);
		else
			assert_true(str_eq_c(got, rows[i].want));
	}
	stale_free(&r);
	assert_null(r.stale);
}

static void
no_more_is_kept_than_the_limits_say(void **state)
{
	static struct run r; /* large */
	static char large[FAULT_STALE_BYTES + 2];
	char text[16];

	(void)state;
	for (int i = 0; i < FAULT_STALE_VERSIONS + 3; i++) {
		(void)snprintf(text, sizeof(text), "v%d", i);
		keep(&r, "ticket.read", "1", text);
	}
	(void)snprintf(text, sizeof(text), "v%d", 3);
	assert_true(str_eq_c(stale_find(&r, STR("ticket.read"), STR("1"),
				 FAULT_STALE_VERSIONS - 1),
	    text));
	assert_null(
	    stale_find(&r, STR("ticket.read"), STR("1"), FAULT_STALE_VERSIONS)
		.p);
	memset(large, 'x', sizeof(large) - 1);
	keep(&r, "ticket.read", "1", large);
	assert_false(
	    str_eq_c(stale_find(&r, STR("ticket.read"), STR("1"), 0), large));
	for (int i = 0; i < FAULT_STALE_CALLS + 5; i++) {
		(void)snprintf(text, sizeof(text), "a%d", i);
		keep(&r, "ticket.read", text, "v");
	}
	assert_null(stale_find(&r, STR("ticket.read"), str_of(text), 0).p);
	stale_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_older_answer_is_one_that_was_another),
		cmocka_unit_test(no_more_is_kept_than_the_limits_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
