#include "cli/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/daemon.h"
#include "cli/out.h"
#include "cli/state.h"
#include "cli/stay.h"
#include "sys/beside.h"
#include "sys/fd.h"
#include "sys/signals.h"

static const char help[] =
    "usage: paddock serve [--state DIR] [--listen ADDRESS:PORT] [--selftest]\n"
    "\n"
    "Runs the daemon in the foreground until SIGTERM or Ctrl-C, which stop "
    "all\n"
    "runs in good order. A second signal kills them.\n"
    "\n"
    "  --state DIR             where it keeps its state and its socket\n"
    "  --listen ADDRESS:PORT   also answer over TCP on this machine, to those\n"
    "                          who show the token in DIR/operator.token\n"
    "  --selftest              first try to get out of a sandbox, and do not\n"
    "                          serve when that works: paddock selftest\n"
    "\n"
    "example: paddock serve --listen 127.0.0.1:7070\n";

static const struct option options[] = {
	{ "state", required_argument, NULL, 'S' },
	{ "listen", required_argument, NULL, 'l' },
	{ "selftest", no_argument, NULL, 's' },
	ARGS_HELP,
	{},
};

static int selftest(struct err *e);
static int become_waiter(
    struct daemon *d, int signals, const char *state, struct err *e);

int
cmd_serve(int argc, char **argv)
{
	own_buf struct buf state = {};
	own_fd int signals = -1;
	struct daemon_spec spec = {};
	struct client_options o = {};
	struct daemon d;
	struct args a;
	struct err e = {};
	char host[CLIENT_HOST_BYTES];
	uint16_t port = 0;
	bool tested = false;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'l')
			spec.listen = optarg;
		else if (c == 's')
			tested = true;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 0, 0, "");
	if (status != 0)
		return status;
	if (spec.listen != NULL &&
	    client_address(str_of(spec.listen), host, &port, &e) < 0)
		return args_bad(&a, "--listen %s", e.text);
	if (state_dir(o.state, &state, &e) < 0)
		return out_fail(&e);
	spec.state = buf_c(&state);
	if (tested && selftest(&e) < 0)
		return out_fail(&e);

	signals = signals_fd(SIGNALS_TO_END, &e);
	if (signals < 0)
		return out_fail(&e);
	if (daemon_start(&d, &spec, &e) < 0)
		return out_fail(&e);
	out_note("serving on %s/paddock.sock", spec.state);
	if (spec.listen != NULL)
		out_note("serving on http://%s, token in %s/operator.token",
		    spec.listen, spec.state);
	(void)become_waiter(&d, signals, spec.state, &e);
	daemon_end(&d);
	return out_fail(&e);
}

/* The small half knows how. Its table goes to standard error. */
static int
selftest(struct err *e)
{
	char path[BESIDE_BYTES], how[64];
	int status;
	pid_t pid;

	if (beside_path("paddock", BESIDE_PADDOCK, path, e) < 0)
		return -1;
	pid = fork();
	if (pid < 0)
		return err_sys(e, "fork");
	if (pid == 0) {
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		(void)execl(path, "paddock", "selftest", "--quick", NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(e, "wait for the selftest");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	daemon_how(status, how, sizeof(how));
	return err_set(e,
	    "the selftest %s: not serving while a way out of the sandbox is "
	    "open (paddock selftest tells which)",
	    how);
}

/*
 * The small half waits for the daemon's end, in this process: what has been
 * loaded to get here is not needed for that. Returns when that fails.
 */
static int
become_waiter(struct daemon *d, int signals, const char *state, struct err *e)
{
	char path[BESIDE_BYTES], fds[STAY_FDS][16], pid[16];
	const char *argv[] = { STAY_NAME, pid, fds[STAY_PIDFD],
		fds[STAY_LIFELINE], fds[STAY_SIGNALS], "--state", state, NULL };
	const int fd[STAY_FDS] = {
		[STAY_PIDFD] = d->pidfd,
		[STAY_LIFELINE] = d->lifeline,
		[STAY_SIGNALS] = signals,
	};

	if (beside_path("paddock", BESIDE_PADDOCK, path, e) < 0)
		return -1;
	(void)snprintf(pid, sizeof(pid), "%d", d->pid);
	for (int i = 0; i < STAY_FDS; i++) {
		(void)snprintf(fds[i], sizeof(fds[i]), "%d", fd[i]);
		if (fd_cloexec(fd[i], false, e) < 0)
			return -1;
	}
	(void)execv(path, (char *const *)(uintptr_t)argv);
	return err_sys(e, "execute %s", path);
}
