/*
 * Starting the supervisor and knowing when it ends. daemon_start executes this
 * program again, which then plays a supervisor: the state directory's name
 * says how it behaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/daemon.h"

enum { READY_FD = 3, LIFE_FD = 4, LONG_MS = 10 * 1000 };

/* The supervisor's part. Returns its exit status. */
static int
play(const char *how)
{
	char byte;

	if (strcmp(how, "dies") == 0)
		return 9;
	if (strcmp(how, "refuses") == 0)
		return write(READY_FD, "error: no room\n", 15) == 15;
	/* In two pieces: the line is what counts, not the read. */
	if (write(READY_FD, "rea", 3) != 3 || write(READY_FD, "dy 0\n", 5) != 5)
		return 10;
	if (strcmp(how, "crashes") == 0)
		(void)raise(SIGKILL);
	if (getsid(0) != getpid())
		return 11; /* Ctrl-C would reach it */
	if (fcntl(LIFE_FD + 1, F_GETFD) >= 0)
		return 12; /* it was given more than it needs */
	return read(LIFE_FD, &byte, 1) == 0 ? 0 : 13;
}

static void
a_ready_daemon_ends_when_its_starter_lets_go(void **state)
{
	struct daemon_spec spec = {
		.program = "/proc/self/exe", .state = "waits", .embedded = true
	};
	struct daemon d;
	struct err e = {};
	int status = -1;

	(void)state;
	assert_int_equal(daemon_start(&d, &spec, &e), 0);
	assert_int_equal(daemon_wait(&d, 0, &status, &e), -1);
	assert_int_equal(e.sys, EAGAIN);
	assert_int_equal(close(d.lifeline), 0);
	d.lifeline = -1;
	assert_int_equal(daemon_wait(&d, LONG_MS, &status, &e), 0);
	assert_int_equal(status, 0);
	assert_int_equal(d.pid, 0);
	daemon_end(&d); /* nothing is left to end */
}

static void
ending_a_daemon_leaves_no_process_and_no_descriptor(void **state)
{
	struct daemon_spec spec = { .program = "/proc/self/exe",
		.state = "waits" };
	int before = dup(STDIN_FILENO), after;
	struct daemon d;
	struct err e = {};
	pid_t pid;

	(void)state;
	assert_int_equal(close(before), 0);
	assert_int_equal(daemon_start(&d, &spec, &e), 0);
	pid = d.pid;
	daemon_end(&d);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	after = dup(STDIN_FILENO);
	assert_int_equal(after, before);
	assert_int_equal(close(after), 0);
}

static void
a_refusal_is_the_callers_error(void **state)
{
	struct daemon_spec spec = { .program = "/proc/self/exe",
		.state = "refuses" };
	struct daemon d;
	struct err e = {};

	(void)state;
	assert_int_equal(daemon_start(&d, &spec, &e), -1);
	assert_string_equal(e.text, "no room");
	assert_int_equal(d.pid, 0);
}

static void
a_daemon_that_dies_before_it_is_ready_is_an_error(void **state)
{
	struct daemon_spec spec = { .program = "/proc/self/exe",
		.state = "dies" };
	struct daemon d;
	struct err e = {};

	(void)state;
	assert_int_equal(daemon_start(&d, &spec, &e), -1);
	assert_non_null(strstr(e.text, "before it was ready"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
a_crash_is_told_by_its_signal(void **state)
{
	struct daemon_spec spec = { .program = "/proc/self/exe",
		.state = "crashes" };
	struct daemon d;
	struct err e = {};
	char how[64];
	int status;

	(void)state;
	assert_int_equal(daemon_start(&d, &spec, &e), 0);
	assert_int_equal(daemon_wait(&d, LONG_MS, &status, &e), 0);
	daemon_how(status, how, sizeof(how));
	assert_string_equal(how, "was killed by signal 9");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ready_daemon_ends_when_its_starter_lets_go),
		cmocka_unit_test(
		    ending_a_daemon_leaves_no_process_and_no_descriptor),
		cmocka_unit_test(a_refusal_is_the_callers_error),
		cmocka_unit_test(
		    a_daemon_that_dies_before_it_is_ready_is_an_error),
		cmocka_unit_test(a_crash_is_told_by_its_signal),
	};

	if (argc >= 5 && strcmp(argv[1], "--role") == 0)
		return play(argv[4]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
