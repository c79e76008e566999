#include "cli/commands.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/daemon.h"
#include "cli/out.h"
#include "cli/state.h"
#include "sys/fd.h"

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
static int stay(struct daemon *d, int signals, struct err *e);

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
	sigset_t set;
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

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		(void)err_sys(&e, "signalfd");
		return out_fail(&e);
	}
	if (daemon_start(&d, &spec, &e) < 0)
		return out_fail(&e);
	out_note("serving on %s/paddock.sock", spec.state);
	if (spec.listen != NULL)
		out_note("serving on http://%s, token in %s/operator.token",
		    spec.listen, spec.state);
	return stay(&d, signals, &e) < 0 ? out_fail(&e) : EXIT_DONE;
}

/* The other half of the program knows how: it lies as role.c of the supervisor
 * says. Its table goes to standard error. */
static int
selftest(struct err *e)
{
	static const char *const places[] = { "paddock", "../../bin/paddock" };
	char self[PATH_MAX], path[PATH_MAX + 32], how[64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	int status;
	pid_t pid;

	if (n < 0)
		return err_sys(e, "read /proc/self/exe");
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	pid = fork();
	if (pid < 0)
		return err_sys(e, "fork");
	for (size_t i = 0; pid == 0 && i < 2; i++) {
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		(void)snprintf(path, sizeof(path), "%s/%s", self, places[i]);
		(void)execl(path, "paddock", "selftest", "--quick", NULL);
	}
	if (pid == 0)
		_exit(127);
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
		out_note(told ? "killing all runs"
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
