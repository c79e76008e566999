#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/out.h"
#include "sys/beside.h"
#include "sys/fd.h"
#include "sys/secret_env.h"

enum {
	READY_FD = 3, /* the daemon writes one line */
	LIFE_FD = 4, /* the daemon sees its end */
	CLEAR_FD = 16, /* above both, and above what a shell leaves open */
	PATIENCE_MS = 1000, /* after this, say what is being waited for */
	START_TIMEOUT_MS = 60 * 1000, /* a store of many GiB may need repair */
	END_TIMEOUT_MS = 20 * 1000, /* runs are stopped, records written */
	LINE_BYTES = 1024,
};

_Noreturn static void child(
    const struct daemon_spec *spec, const char *program, int ready, int life);
static int wait_ready(int ready, const char *state, struct err *e);
static int pipe_high(int *reader, int *writer, struct err *e);

int
daemon_start(struct daemon *d, const struct daemon_spec *spec, struct err *e)
{
	own_fd int ready = -1, ready_in = -1, life = -1, life_out = -1;
	const char *program = spec->program;
	char path[BESIDE_BYTES];
	struct err late;
	int status;

	*d = (struct daemon){ .pidfd = -1, .lifeline = -1 };
	if (program == NULL) {
		if (beside_path("paddock-supervisor", NULL, path, e) < 0)
			return err_add(e, "start the daemon");
		program = path;
	}
	if (pipe_high(&ready, &ready_in, e) < 0 ||
	    pipe_high(&life, &life_out, e) < 0)
		return err_add(e, "start the daemon");
	d->pid = fork();
	if (d->pid < 0) {
		d->pid = 0;
		return err_sys(e, "start the daemon: fork");
	}
	if (d->pid == 0)
		child(spec, program, ready_in, life);
	secret_env_wipe(); /* the daemon has them now */
	fd_fini(&ready_in);
	d->lifeline = fd_take(&life_out);
	d->pidfd = (int)syscall(SYS_pidfd_open, d->pid, 0);
	if (d->pidfd < 0) {
		(void)err_sys(e, "start the daemon: pidfd_open");
		daemon_end(d);
		return -1;
	}
	if (wait_ready(ready, spec->state, e) == 0)
		return 0;
	fd_fini(&d->lifeline);
	if (daemon_wait(d, END_TIMEOUT_MS, &status, &late) < 0)
		daemon_end(d);
	return -1;
}

void
daemon_end(struct daemon *d)
{
	struct err e = {};
	int status;

	if (d->pid == 0)
		return;
	fd_fini(&d->lifeline);
	if (d->pidfd >= 0 && daemon_wait(d, END_TIMEOUT_MS, &status, &e) == 0)
		return;
	out_note("the daemon (pid %d) does not end; it is killed", d->pid);
	(void)kill(d->pid, SIGKILL); /* ESRCH: it ended just now */
	while (waitpid(d->pid, &status, 0) < 0 && errno == EINTR)
		;
	fd_fini(&d->pidfd);
	d->pid = 0;
	(void)daemon_sweep();
}

/* Between fork and exec: nothing but system calls. */
_Noreturn static void
child(const struct daemon_spec *spec, const char *program, int ready, int life)
{
	const char *argv[9] = { "paddock-supervisor", "--role", "supervisor",
		"--state", spec->state };
	size_t n = 5;
	sigset_t none;
	int null;

	if (spec->embedded)
		argv[n++] = "--embedded";
	if (spec->listen != NULL) {
		argv[n++] = "--listen";
		argv[n++] = spec->listen;
	}
	(void)setsid(); /* fails only for a group's leader: we are new */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	/* Its standard output is not ours: a pipe there would never end. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(ready, READY_FD) < 0 ||
	    dup2(life, LIFE_FD) < 0 ||
	    syscall(SYS_close_range, LIFE_FD + 1, ~0U, 0) < 0)
		_exit(127);
	(void)execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Reads the one line: "ready ...", or "error: why". */
static int
wait_ready(int ready, const char *state, struct err *e)
{
	int64_t start_ns = clock_mono_ns();
	bool said = false;
	char line[LINE_BYTES] = "";
	size_t n = 0;

	while (n < sizeof(line) - 1 && memchr(line, '\n', n) == NULL) {
		struct pollfd p = { .fd = ready, .events = POLLIN };
		int64_t past_ms = (clock_mono_ns() - start_ns) / 1000000;
		ssize_t got;

		if (past_ms >= START_TIMEOUT_MS)
			return err_set(e,
			    "the daemon did not become ready within %d s",
			    START_TIMEOUT_MS / 1000);
		if (!said && past_ms >= PATIENCE_MS) {
			out_note("the daemon is starting in %s ...", state);
			said = true;
		}
		got = poll(&p, 1, PATIENCE_MS);
		if (got <= 0) {
			if (got < 0 && errno != EINTR)
				return err_sys(e, "poll");
			continue;
		}
		got = read(ready, line + n, sizeof(line) - 1 - n);
		if (got < 0 && errno != EINTR)
			return err_sys(e, "read from the daemon");
		if (got == 0)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (str_starts(str_of(line), STR("ready")))
		return 0;
	if (str_starts(str_of(line), STR("error: ")))
		return err_set(e, "%s", line + 7);
	return err_set(e, "the daemon ended before it was ready");
}

/*
 * Both ends above the numbers that the child puts them at, or dup2 there could
 * overwrite one with the other.
 */
static int
pipe_high(int *reader, int *writer, struct err *e)
{
	int low[2];
	int saved;

	if (pipe2(low, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	*reader = fcntl(low[0], F_DUPFD_CLOEXEC, CLEAR_FD);
	*writer = fcntl(low[1], F_DUPFD_CLOEXEC, CLEAR_FD);
	saved = errno;
	(void)close(low[0]); /* pipes: nothing is lost */
	(void)close(low[1]);
	errno = saved;
	if (*reader < 0 || *writer < 0)
		return err_sys(e, "fcntl F_DUPFD_CLOEXEC");
	return 0;
}
