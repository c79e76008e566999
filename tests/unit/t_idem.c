/* Keys of calls, and what tenants have spent, over the time that they are
 * kept: by a clock that the test turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "base/clock.h"
#include "base/limits.h"
#include "broker/broker.h"
#include "broker/call_int.h"
#include "broker/idem.h"
#include "broker/spend.h"
#include "store_dir.h"

static const int64_t ms_ns = 1000 * 1000;
static const int64_t day_ms = 24 * 3600 * 1000;
static int64_t now_ms;

int64_t __wrap_clock_utc_ns(void);

int64_t
__wrap_clock_utc_ns(void)
{
	return now_ms * ms_ns;
}

/* All that was queued is on disk. */
static void
settle(void)
{
	struct event ev = { .run = 1, .step = 1, .kind = EVENT_NOTE };
	struct err e = {};

	assert_int_equal(
	    wait_durable(broker.store, store_append(broker.store, &ev), &e), 0);
}

static enum idem_found
look(const struct call *c)
{
	enum reply_kind kind;
	own_buf struct buf result = {};
	uint32_t step = 0;

	return idem_find(&c->idem, &c->args_hash, &step, &kind, &result);
}

static struct call
call_of(const struct run *r, uint8_t key, uint64_t kept_ms)
{
	return (struct call){ .run = r->id,
		.step = 3,
		.idem.hash.b[0] = key,
		.idem.kept_ms = kept_ms };
}

static void
a_key_holds_for_its_window_and_not_longer(void **state)
{
	const uint64_t kept_ms = 7 * (uint64_t)day_ms;
	struct store_dir d;
	struct run r = { .id = 5 };
	struct call c = call_of(&r, 1, kept_ms);
	struct call other = call_of(&r, 1, kept_ms);

	(void)state;
	dir_make(&d);
	broker.store = dir_open(&d);
	now_ms = 1800000000000;
	assert_int_equal(look(&c), IDEM_NEW);
	assert_true(idem_begin(&r, &c));
	assert_int_equal(look(&c), IDEM_UNDER_WAY);
	/* It takes a day. What is under way has no end to count from. */
	now_ms += 30 * day_ms;
	assert_int_equal(look(&c), IDEM_UNDER_WAY);
	buf_add_c(&c.result, "{}");
	idem_end(&c, true, true, buf_str(&c.result));
	other.args_hash.b[0] = 1;
	for (int in_memory = 1; in_memory >= 0; in_memory--) {
		now_ms += (int64_t)kept_ms / 2 - in_memory;
		assert_int_equal(look(&c), IDEM_DONE);
		assert_int_equal(look(&other), IDEM_OTHER_CALL);
		settle();
		if (in_memory)
			idem_free_run(r.id);
	}
	now_ms += 2;
	assert_int_equal(look(&c), IDEM_NEW);
	assert_int_equal(look(&other), IDEM_NEW);
	/* Somebody else begins it then, and dies. */
	assert_true(idem_begin(&r, &other));
	settle();
	idem_free_run(r.id);
	assert_int_equal(look(&other), IDEM_NO_END);
	dir_close(broker.store);
	buf_fini(&c.result);
	dir_remove(&d);
}

static void
a_key_of_a_run_holds_as_long_as_that_and_is_on_no_disk(void **state)
{
	struct store_dir d;
	struct run r = { .id = 6 };
	struct call c = call_of(&r, 2, 0);

	(void)state;
	dir_make(&d);
	broker.store = dir_open(&d);
	now_ms = 1800000000000;
	assert_true(idem_begin(&r, &c));
	idem_end(&c, true, true, STR("{}"));
	now_ms += 400 * day_ms;
	assert_int_equal(look(&c), IDEM_DONE);
	settle();
	dir_close(broker.store);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM idem"), 0);
	idem_free_run(r.id);
	dir_remove(&d);
}

/* A key that is still promised outlives any number of others. */
static void
no_key_goes_within_its_window(void **state)
{
	struct store_dir d;
	struct run r = { .id = 7 };
	struct call kept = call_of(&r, 3, 90 * (uint64_t)day_ms);

	(void)state;
	dir_make(&d);
	broker.store = dir_open(&d);
	now_ms = 1800000000000;
	assert_true(idem_begin(&r, &kept));
	idem_end(&kept, true, true, STR("{}"));
	for (int day = 0; day < 89; day++) {
		for (uint8_t i = 0; i < 8; i++) {
			struct call c = call_of(&r, 4, 3600 * 1000);

			c.idem.hash.b[1] = (uint8_t)day;
			c.idem.hash.b[2] = i;
			assert_true(idem_begin(&r, &c));
			idem_end(&c, true, true, STR("{}"));
		}
		now_ms += day_ms;
	}
	settle();
	idem_free_run(r.id);
	assert_int_equal(look(&kept), IDEM_DONE);
	dir_close(broker.store);
	/* Of the others there are those of the last two days. */
	assert_true(dir_number(&d, "SELECT count(*) FROM idem") <= 1 + 3 * 8);
	dir_remove(&d);
}

static const struct budget_window windows[] = {
	{ .scope = BUDGET_OF_TENANT,
	    .window_ms = 24 * 3600 * 1000,
	    .limit = { [BUDGET_TOOL_CALLS] = 10 } },
};

/* Takes n calls of the day's ten for a tenant. False: there are not so many. */
static bool
take(struct policy *p, struct str tenant, uint64_t n)
{
	uint64_t cost[BUDGET_KINDS] = { [BUDGET_TOOL_CALLS] = n };
	struct run r = { .id = 8, .policy = p };
	struct over over;
	struct err e = {};
	bool taken;

	p->identity.tenant = tenant;
	for (int k = 0; k < BUDGET_KINDS; k++)
		r.budget.limit[k] = 1000;
	assert_int_equal(spend_open(&r, &e), 0);
	taken = spend_take(&r, cost, &over);
	spend_free(&r);
	return taken;
}

static void
what_was_spent_counts_until_its_window_is_over(void **state)
{
	struct policy p = { .windows = windows, .n_windows = 1 };
	struct store_dir d;
	pid_t pid;
	int status;

	(void)state;
	dir_make(&d);
	/* A day of UTC begins here. */
	now_ms = 20000 * day_ms;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		broker.store = dir_open(&d);
		assert_true(take(&p, STR("a"), 7));
		assert_false(take(&p, STR("a"), 7));
		assert_true(take(&p, STR("b"), 7));
		dir_close(broker.store);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Another daemon goes on from there. */
	broker.store = dir_open(&d);
	now_ms += day_ms - 1;
	assert_false(take(&p, STR("a"), 4));
	assert_true(take(&p, STR("a"), 3));
	now_ms++;
	assert_true(take(&p, STR("a"), 10));
	assert_false(take(&p, STR("a"), 1));
	/* Many others come and go; none of them gives anything back. */
	for (int i = 0; i < 3000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "t%d", i);
		assert_true(take(&p, str_of(name), 10));
		assert_false(take(&p, str_of(name), 1));
	}
	assert_false(take(&p, STR("a"), 1));
	now_ms += 3 * day_ms;
	for (int i = 0; i < 1000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "u%d", i);
		assert_true(take(&p, str_of(name), 1));
	}
	settle();
	dir_close(broker.store);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM spent"), 1000);
	dir_remove(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_holds_for_its_window_and_not_longer),
		cmocka_unit_test(
		    a_key_of_a_run_holds_as_long_as_that_and_is_on_no_disk),
		cmocka_unit_test(no_key_goes_within_its_window),
		cmocka_unit_test(
		    what_was_spent_counts_until_its_window_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
