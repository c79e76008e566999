/* What the small half needs of daemon.h, too: see stay.h. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>

#include "cli/daemon.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"

int
daemon_wait(struct daemon *d, int timeout_ms, int *status, struct err *e)
{
	struct pollfd p = { .fd = d->pidfd, .events = POLLIN };
	int ready;

	do
		ready = poll(&p, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return err_sys(e, "wait for the daemon");
	if (ready == 0) {
		(void)err_set(e, "the daemon has not ended");
		e->sys = EAGAIN;
		return -1;
	}
	if (waitpid(d->pid, status, 0) < 0)
		return err_sys(e, "waitpid");
	fd_fini(&d->pidfd);
	fd_fini(&d->lifeline);
	d->pid = 0;
	/* It could not do this itself. */
	if (WIFSIGNALED(*status))
		(void)daemon_sweep();
	return 0;
}

unsigned
daemon_sweep(void)
{
	static struct sandbox_host host; /* too large for the stack */
	struct err e;
	unsigned n;

	/* No sandbox is made: there is no program for one to start. What
	 * cannot be removed now is removed by the next daemon. */
	if (sandbox_host_init(&host, -1, &e) < 0)
		return 0;
	n = sandbox_sweep(&host);
	sandbox_host_fini(&host);
	return n;
}

void
daemon_how(int status, char *text, size_t cap)
{
	if (WIFSIGNALED(status))
		(void)snprintf(
		    text, cap, "was killed by signal %d", WTERMSIG(status));
	else
		(void)snprintf(
		    text, cap, "ended with status %d", WEXITSTATUS(status));
}
