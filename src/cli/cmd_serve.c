#include "cli/commands.h"

#include <errno.h>
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
    "usage: paddock serve [--state DIR] [--listen ADDRESS:PORT]\n"
    "\n"
    "Runs the daemon in the foreground until SIGTERM or Ctrl-C, which stop "
    "all\n"
    "runs in good order. A second signal kills them.\n"
    "\n"
    "  --state DIR             where it keeps its state and its socket\n"
    "  --listen ADDRESS:PORT   also answer over TCP on this machine, to those\n"
    "                          who show the token in DIR/operator.token\n"
    "\n"
    "example: paddock serve --listen 127.0.0.1:7070\n";

static const struct option options[] = {
	{ "state", required_argument, NULL, 'S' },
	{ "listen", required_argument, NULL, 'l' },
	ARGS_HELP,
	{},
};

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
	sigset_t set;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'l')
			spec.listen = optarg;
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
