#include "cli/stay.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/daemon.h"
#include "sys/fd.h"

enum { WORDS = 2 + STAY_FDS };

static int number_of(const char *text);
static int stay(struct daemon *d, int signals, struct err *e);
static void note(const char *text);

int
stay_main(int argc, char **argv)
{
	struct daemon d;
	struct err e = {};
	int n[WORDS] = {};

	for (int i = 1; i < WORDS; i++) {
		n[i] = i < argc ? number_of(argv[i]) : -1;
		if (n[i] <= 0) {
			note("this is for paddock serve itself");
			return 2;
		}
	}
	d = (struct daemon){ .pid = n[1],
		.pidfd = n[2 + STAY_PIDFD],
		.lifeline = n[2 + STAY_LIFELINE] };
	for (int i = 2; i < WORDS; i++) {
		if (fd_cloexec(n[i], true, &e) < 0) {
			note(e.text);
			return 1;
		}
	}
	if (stay(&d, n[2 + STAY_SIGNALS], &e) == 0)
		return 0;
	note(e.text);
	return 1;
}

/* Of a pid or a descriptor above standard error; 0 for what is none. */
static int
number_of(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	return *text != '\0' && *end == '\0' && n > STDERR_FILENO &&
		n <= INT_MAX
	    ? (int)n
	    : 0;
}

/* 0 when the daemon ended because it was told to, else -1 with e. */
static int
stay(struct daemon *d, int signals, struct err *e)
{
	bool told = false;
	char how[64];
	int status;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = d->pidfd, .events = POLLIN },
			{ .fd = signals, .events = POLLIN },
		};
		struct signalfd_siginfo info;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if (p[0].revents != 0)
			break;
		if (p[1].revents == 0 ||
		    read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		note(told ? "killing all runs"
			  : "stopping; a second signal kills");
		/* The daemon is our child and not reaped: its pid is its. */
		(void)kill(d->pid, told ? SIGKILL : SIGTERM);
		told = true;
	}
	if (daemon_wait(d, -1, &status, e) < 0)
		return -1;
	if (told && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	daemon_how(status, how, sizeof(how));
	if (told)
		return err_set(e, "the supervisor %s", how);
	(void)daemon_sweep();
	return err_set(e,
	    "the supervisor %s unexpectedly, and all sandboxes with it; open "
	    "runs are closed on the record at the next start",
	    how);
}

static void
note(const char *text)
{
	(void)fprintf(stderr, "paddock: %s\n", text);
}
