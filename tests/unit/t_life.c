/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sandbox.h"

enum { MANY = 40 };

static struct sandbox sb[MANY];
static struct sandbox *list[MANY];

/* So many processes that wait for nothing, as sandboxes. */
static void
begin(void)
{
	for (int i = 0; i < MANY; i++) {
		sb[i] = (struct sandbox){ .pid = fork() };
		assert_true(sb[i].pid >= 0);
		while (sb[i].pid == 0)
			(void)pause();
		sb[i].pidfd = (int)syscall(SYS_pidfd_open, sb[i].pid, 0);
		assert_true(sb[i].pidfd >= 0);
		list[i] = &sb[i];
	}
}

static void
all_died_of_it(void)
{
	int status;

	for (int i = 0; i < MANY; i++) {
		assert_int_equal(waitpid(sb[i].pid, &status, 0), sb[i].pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);
		assert_int_equal(sb[i].killed_for, LIMIT_STOPPED);
		assert_int_equal(close(sb[i].pidfd), 0);
	}
}

static void
all_are_killed_and_the_killer_is_no_longer_first(void **state)
{
	const int before = sched_getscheduler(0);

	(void)state;
	begin();
	sandbox_kill_all(list, MANY, LIMIT_STOPPED);
	assert_int_equal(sched_getscheduler(0), before);
	all_died_of_it();
}

/* On one processor: who wakes up to die can only take it from the killer. */
static void
none_has_the_processor_before_the_last_is_killed(void **state)
{
	const struct sched_param first = { .sched_priority = 1 }, none = {};
	struct rusage then, now;
	cpu_set_t all, one;

	(void)state;
	if (sched_setscheduler(0, SCHED_FIFO, &first) < 0)
		skip(); /* nobody may be first here, and it is best effort */
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	begin();
	assert_int_equal(getrusage(RUSAGE_SELF, &then), 0);
	sandbox_kill_all(list, MANY, LIMIT_STOPPED);
	assert_int_equal(getrusage(RUSAGE_SELF, &now), 0);
	/* Once to step back, and once for a tick of the clock. */
	assert_in_range(now.ru_nivcsw - then.ru_nivcsw, 0, 2);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	all_died_of_it();
}

/* As a daemon of an operator who wants it ahead of all else. */
static void
a_killer_that_is_first_anyway_stays_so(void **state)
{
	const struct sched_param first = { .sched_priority = 2 }, none = {};
	struct sched_param now;

	(void)state;
	if (sched_setscheduler(0, SCHED_RR, &first) < 0)
		skip(); /* nobody may be first here, and it is best effort */
	begin();
	sandbox_kill_all(list, MANY, LIMIT_STOPPED);
	assert_int_equal(sched_getscheduler(0), SCHED_RR);
	assert_int_equal(sched_getparam(0, &now), 0);
	assert_int_equal(now.sched_priority, 2);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
	all_died_of_it();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    all_are_killed_and_the_killer_is_no_longer_first),
		cmocka_unit_test(
		    none_has_the_processor_before_the_last_is_killed),
		cmocka_unit_test(a_killer_that_is_first_anyway_stays_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
