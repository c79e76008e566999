#include "supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "sys/beside.h"
#include "sys/fd.h"

enum {
	LINK_FD = 3, /* what a role reads its messages from */
	/* A role that dies this often within the window will not get well. */
	RESTARTS_MAX = 5,
};

static const int64_t WINDOW_NS = 10LL * 1000 * 1000 * 1000;

__attribute__((noreturn)) static void become(
    const char *role, int program, int link, const char *dir);
static void on_pidfd(struct loop_watch *w, uint32_t events);

int
child_init(struct child *c, enum role role, struct loop *loop, struct err *e)
{
	char name[32];

	c->role = role;
	c->exit.fd = -1;
	c->link.self = ROLE_SUPERVISOR;
	c->link.other = role;
	c->link.loop = loop;
	peer_init(&c->link);
	(void)snprintf(name, sizeof(name), "paddock-%s", role_name(role));
	c->program = beside_open(name, NULL, e);
	return c->program < 0 ? -1 : 0;
}

int
child_start(struct child *c, const char *dir, struct err *e)
{
	int pair[2];
	own_fd int mine = -1;
	own_fd int theirs = -1;
	own_fd int pidfd = -1;
	pid_t pid;

	must(c->pid == 0);
	if (peer_pair(pair, e) < 0)
		return -1;
	mine = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return err_sys(e, "fork %s", role_name(c->role));
	if (pid == 0)
		become(role_name(c->role), c->program, theirs, dir);

	c->pid = pid;
	c->ready = false;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		child_kill(c);
		return err_sys(e, "pidfd_open %s", role_name(c->role));
	}
	c->exit = (struct loop_watch){
		.fd = pidfd,
		.events = EPOLLIN,
		.on_ready = on_pidfd,
	};
	if (loop_add(c->link.loop, &c->exit, e) < 0 ||
	    peer_open_take(&c->link, fd_take(&mine), e) < 0) {
		child_kill(c);
		return err_add(e, "start %s", role_name(c->role));
	}
	(void)fd_take(&pidfd);
	c->starts++;
	return 0;
}

bool
child_may_restart(struct child *c, int64_t now_ns)
{
	if (now_ns - c->window_ns > WINDOW_NS) {
		c->window_ns = now_ns;
		c->starts = 0;
	}
	return c->starts < RESTARTS_MAX;
}

void
child_kill(struct child *c)
{
	peer_close(&c->link);
	if (c->exit.fd >= 0) {
		int pidfd = loop_remove(c->link.loop, &c->exit);

		fd_fini(&pidfd);
	}
	if (c->pid > 0) {
		(void)kill(c->pid, SIGKILL); /* ours until waited for */
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	c->pid = 0;
	c->ready = false;
}

/* In the child: never returns. Only async-signal-safe calls. */
static void
become(const char *role, int program, int link, const char *dir)
{
	char name[32] = "paddock-";
	char *const argv[] = { name, (char[]){ "--role" }, (char[16]){}, NULL };
	sigset_t none;
	int null;

	(void)strncpy(argv[2], role, 15);
	(void)strncat(name, role, 15);
	if (dir != NULL && chdir(dir) < 0)
		_exit(126);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0)
		_exit(126);
	/* The starter's descriptors are above it: see set_up of role.c. */
	must(program > LINK_FD);
	if (link == LINK_FD) {
		if (fcntl(link, F_SETFD, 0) < 0)
			_exit(126);
	} else if (dup2(link, LINK_FD) < 0) {
		_exit(126);
	}
	/* The program itself is executed by a descriptor. */
	if (syscall(SYS_close_range, LINK_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(126);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
	_exit(127);
}

static void
on_pidfd(struct loop_watch *w, uint32_t events)
{
	struct child *c = LOOP_OF(w, struct child, exit);
	int pidfd, status = 0;

	(void)events;
	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	pidfd = loop_remove(c->link.loop, w);
	fd_fini(&pidfd);
	c->pid = 0;
	c->ready = false;
	peer_close(&c->link);
	c->on_exit(c, status);
}
