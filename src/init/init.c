#include "init/init.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "init/relay.h"
#include "init/serve.h"
#include "init/watch.h"
#include "sandbox/control.h"
#include "sandbox/rpc.h"
#include "sys/fd.h"
#include "sys/landlock.h"

static int next_number(struct str *s, uint64_t *out);
static void become_command(char **argv, char **envp, volatile int *failed);
static int run(char **argv, char **envp, struct relay *relay, int sigchld_fd);
static bool pass_signal(pid_t command);
static bool reap(pid_t command, struct relay *relay);

int
init_main(char **argv, char **envp)
{
	struct init init;
	int r = init_prepare(argv[1], &init);

	return r != 0 ? r : init_run(&init, argv + 2, envp);
}

int
init_prepare(const char *mode, struct init *init)
{
	struct str word = str_of(mode), limit;
	struct str name = { word.p, str_find(word, ':') };
	struct err e = {};
	sigset_t all;

	*init = (struct init){ .keep = str_eq_c(name, CONTROL_KEEP) };
	init->serves = init->keep || str_eq_c(name, CONTROL_SERVE);
	limit = (struct str){ name.p + name.n, word.n - name.n };
	if ((!init->serves && !str_eq_c(name, CONTROL_RUN)) ||
	    next_number(&limit, &init->output_bytes) < 0 ||
	    next_number(&limit, &init->memory_bytes) < 0 || limit.n > 0 ||
	    getpid() != 1 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    fd_cloexec(CONTROL_FD, true, &e) < 0)
		return 2;
	if (init->serves && fd_cloexec(RPC_FD, true, &e) < 0)
		return 2;
	/* What the caller ignores is its own affair. */
	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL); /* not for KILL and STOP */
	(void)sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return 2;
	(void)sigemptyset(&all);
	(void)sigaddset(&all, SIGCHLD);
	init->sigchld_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return init->sigchld_fd < 0 ? 2 : 0;
}

int
init_run(const struct init *init, char **command, char **envp)
{
	struct relay relay;

	if (!init->serves && command[0] == NULL)
		return 2;
	if (relay_start(&relay, init->output_bytes) < 0)
		return 2;
	/* Behind the relay's fork: what it begins is PID 1's alone. */
	if (init->memory_bytes > 0 && watch_start(init->memory_bytes) < 0)
		return 2;
	if (init->serves)
		return serve_main(
		    command, envp, init->keep, &relay, init->sigchld_fd);
	return run(command, envp, &relay, init->sigchld_fd);
}

/* ":N" at the beginning, if there is anything. */
static int
next_number(struct str *s, uint64_t *out)
{
	struct str word;

	if (s->n == 0)
		return 0;
	if (s->p[0] != ':')
		return -1;
	*s = (struct str){ s->p + 1, s->n - 1 };
	word = (struct str){ s->p, str_find(*s, ':') };
	*s = (struct str){ s->p + word.n, s->n - word.n };
	return str_to_u64(word, out);
}

/* One command, and nothing beside it. */
static int
run(char **argv, char **envp, struct relay *relay, int sigchld_fd)
{
	struct pollfd wait[2] = {
		{ .fd = CONTROL_FD, .events = POLLIN },
		{ .fd = sigchld_fd, .events = POLLIN },
	};
	volatile int failed = 0;
	/* PID 1 must not wait for a copy of its memory that nobody uses, and
	 * the child only calls the kernel. NOLINTNEXTLINE */
	pid_t command = vfork();

	if (command == 0) {
		become_command(argv, envp, &failed); /* NOLINT: as above */
		_exit(127);
	}
	if (command < 0)
		failed = errno;
	if (failed != 0) {
		init_report(CONTROL_NOT_STARTED, failed);
		return 0;
	}

	for (;;) {
		struct signalfd_siginfo info;

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return 2;
		/* Children first: the end is what the caller waits for. */
		if (wait[1].revents != 0) {
			/* Which child does not matter: all are asked. */
			if (read(wait[1].fd, &info, sizeof(info)) > 0 &&
			    reap(command, relay))
				return 0;
		}
		if (wait[0].revents != 0 && !pass_signal(command))
			return 0;
	}
}

/* In the child of vfork, which shares the parent's memory until execve. */
static void
become_command(char **argv, char **envp, volatile int *failed)
{
	struct err e = {};
	sigset_t none;
	int abi = landlock_abi();

	/* A domain below PID 1's: no signal reaches up. */
	if (abi >= 6) {
		own_fd int scope = landlock_new(abi, LANDLOCK_ONLY_SCOPES, &e);

		if (scope < 0 || landlock_enforce(scope, &e) < 0) {
			*failed = e.sys;
			return;
		}
	}
	(void)setsid();
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execvpe(argv[0], argv, envp);
	*failed = errno;
}

void
init_report(enum control_kind kind, int value)
{
	const struct control_report r = {
		.kind = kind,
		.value = (uint32_t)value,
	};

	/* Without a caller nobody wants to know. */
	(void)send(CONTROL_FD, &r, sizeof(r), MSG_NOSIGNAL);
}

/* False when the caller is gone. */
static bool
pass_signal(pid_t command)
{
	struct control_request r;
	ssize_t n = recv(CONTROL_FD, &r, sizeof(r), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (n == (ssize_t)sizeof(r) && r.signo > 0 && r.signo < NSIG)
		(void)kill(-command, (int)r.signo);
	return true;
}

/* True when the command itself has ended. */
static bool
reap(pid_t command, struct relay *relay)
{
	bool ended = false;
	int status, end = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		relay_reaped(relay, pid, status);
		if (pid != command)
			continue;
		end = status;
		ended = true;
	}
	if (ended) {
		relay_finish(relay);
		init_report(CONTROL_ENDED, end);
	}
	return ended;
}
