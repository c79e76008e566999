/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/tree.h"

enum { WORK_MS = 60, NS_PER_MS = 1000 * 1000 };

/* As long as it takes to have used so much time. */
static void
work(void)
{
	struct rusage used;

	do
		(void)getrusage(RUSAGE_SELF, &used);
	while (used.ru_utime.tv_sec * 1000 + used.ru_utime.tv_usec / 1000 +
		used.ru_stime.tv_sec * 1000 + used.ru_stime.tv_usec / 1000 <
	    WORK_MS);
}

struct start {
	int told[2]; /* the child has worked, and stays */
	int hold[2]; /* the thread stays until this is closed */
	pid_t child;
};

static void
start_child(struct start *s)
{
	s->child = fork();
	if (s->child != 0)
		return;
	work();
	(void)!write(s->told[1], "", 1);
	for (;;)
		(void)pause();
}

/* A child is its thread's for as long as that is there. */
static void *
start_and_stay(void *start)
{
	struct start *s = start;
	char byte;

	start_child(s);
	(void)!read(s->hold[0], &byte, 1);
	return NULL;
}

static void
whatever_thread_started_it_a_child_counts(void **state)
{
	const uint64_t most = (uint64_t)(WORK_MS - 20) * NS_PER_MS;

	(void)state;
	for (int by_thread = 0; by_thread < 2; by_thread++) {
		uint64_t before = tree_cpu_ns(getpid());
		struct start s = {};
		pthread_t thread;
		char byte;

		assert_int_equal(pipe(s.told), 0);
		assert_int_equal(pipe(s.hold), 0);
		if (by_thread == 0)
			start_child(&s);
		else
			assert_int_equal(
			    pthread_create(&thread, NULL, start_and_stay, &s),
			    0);
		assert_int_equal(read(s.told[0], &byte, 1), 1);
		assert_true(tree_cpu_ns(getpid()) >= before + most);
		assert_true(s.child > 0);
		assert_int_equal(kill(s.child, SIGKILL), 0);
		assert_int_equal(waitpid(s.child, NULL, 0), s.child);
		(void)close(s.hold[1]);
		if (by_thread == 1)
			assert_int_equal(pthread_join(thread, NULL), 0);
		/* Waited for, it counts as ours. */
		assert_true(tree_cpu_ns(getpid()) >= before + most);
		(void)close(s.hold[0]);
		(void)close(s.told[0]);
		(void)close(s.told[1]);
	}
}

static void
what_is_not_there_has_used_nothing(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(tree_cpu_ns(pid), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_thread_started_it_a_child_counts),
		cmocka_unit_test(what_is_not_there_has_used_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
