#include "init/work.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "sys/fd.h"

enum { WORK_FD = 3 };

static int start(struct work *w, struct err *e);
static int run(const struct work *w, struct err *e);
static int wait_for(const struct work *w, short events, struct err *e);

void
work_main(const struct work *given)
{
	struct work w = *given;
	struct err e = {};

	if (start(&w, &e) < 0 || run(&w, &e) < 0) {
		w.out->error = (uint32_t)(e.sys != 0 ? e.sys : EINVAL);
		(void)snprintf(w.out->text, sizeof(w.out->text), "%.*s",
		    (int)sizeof(w.out->text) - 1, e.text);
	}
	w.out->done = 1;
	_exit(0);
}

void
work_alive(void)
{
	(void)alarm(RPC_IDLE_MS / 1000);
}

int
work_put(const struct work *w, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t r;

		work_alive();
		r = write(w->fd, at, n);
		if (r < 0 && errno == EAGAIN) {
			if (wait_for(w, POLLOUT, e) < 0)
				return -1;
			continue;
		}
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "write to the caller");
		at += r;
		n -= (size_t)r;
		w->out->bytes += (uint64_t)r;
	}
	work_alive();
	return 0;
}

int
work_wait(const struct work *w, struct err *e)
{
	return wait_for(w, POLLIN, e);
}

static int
start(struct work *w, struct err *e)
{
	sigset_t most;

	/* The default action of SIGALRM ends a worker that hangs. The rest
	 * stays blocked: a full disk or a closed pipe is an errno. */
	(void)sigfillset(&most);
	(void)sigdelset(&most, SIGALRM);
	if (sigprocmask(SIG_SETMASK, &most, NULL) < 0)
		return err_sys(e, "sigprocmask");
	work_alive();
	(void)prctl(PR_SET_NAME, "paddock-work");
	if (w->fd >= 0 && w->fd != WORK_FD) {
		if (dup2(w->fd, WORK_FD) < 0)
			return err_sys(e, "dup2");
		w->fd = WORK_FD;
	}
	/* Modes are as the request says. */
	(void)umask(0);
	return fd_close_from(w->fd >= 0 ? WORK_FD + 1 : WORK_FD, e);
}

static int
run(const struct work *w, struct err *e)
{
	switch ((enum rpc_kind)w->q->kind) {
	case RPC_FILE_GET:
		return work_get_file(w, e);
	case RPC_FILE_PUT:
		return work_put_file(w, e);
	case RPC_FILE_LS:
		return work_ls(w, e);
	case RPC_FILE_STAT:
		return work_stat(w, e);
	case RPC_FILE_MKDIR:
		return work_mkdir(w, e);
	case RPC_FILE_RM:
		return work_rm(w, e);
	case RPC_FILE_RENAME:
		return work_rename(w, e);
	case RPC_FILE_WATCH:
		return work_watch(w, e);
	case RPC_PORT:
		return work_port(w, e);
	case RPC_PROCESSES:
		return work_processes(w, e);
	case RPC_EXEC:
	case RPC_SIGNAL:
	case RPC_WINSIZE:
	case RPC_KINDS:
		break;
	}
	must(false); /* PID 1 has checked the kind */
	return -1;
}

/* A wait of our own is over sooner than the alarm: what is half done can
 * still be undone. */
static int
wait_for(const struct work *w, short events, struct err *e)
{
	struct pollfd wait = { .fd = w->fd, .events = events };
	int r;

	(void)alarm(0);
	do
		r = poll(&wait, 1, RPC_IDLE_MS);
	while (r < 0 && errno == EINTR);
	work_alive();
	if (r > 0)
		return 0;
	if (r == 0)
		errno = ETIMEDOUT;
	return err_sys(e, "wait for the caller");
}
