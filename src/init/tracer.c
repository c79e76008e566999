#include "init/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "init/raw.h"
#include "sandbox/control.h"
#include "sys/fd.h"

enum {
	SIGSET_BYTES = 8, /* the kernel's */
	OPTIONS = PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK |
	    PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE,
	PROC_PATH_BYTES = 32,
	COMM_BYTES = 16,
	ARGS_BYTES = 256, /* told of a command line */
};

static int seed_main(void *tracer);
static long seed_filter(void);
static int until_done(struct tracer *t, pid_t *child);
static void on_exec(struct tracer *t, pid_t pid);
static long judge_program(struct tracer *t, int fd, const struct stat *st);
static bool is_fixed(const struct stat *st);
static bool was_seen(const struct tracer *t, const struct stat *st);
static void refuse(struct tracer *t, pid_t pid, long why);
static size_t read_proc(pid_t pid, const char *name, char *out, size_t room);

int
tracer_start(struct tracer *t, const struct judge *j)
{
	int e;

	*t = (struct tracer){ .judge = j };
	/* As long as there is nobody else inside. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -1;
	t->seed = clone(seed_main, t->stack + sizeof(t->stack),
	    CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, t);
	e = t->seed < 0 ||
		ptrace(PTRACE_SEIZE, t->seed, NULL, (void *)(long)OPTIONS) < 0
	    ? errno
	    : 0;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -1;
	if (e != 0) {
		errno = e;
		return -1;
	}
	t->seized = 1;
	(void)syscall(SYS_futex, &t->seized, FUTEX_WAKE, 1, NULL, NULL, 0);
	if (until_done(t, NULL) < 0)
		return -1;
	if (t->made < 0) {
		errno = (int)-t->made;
		return -1;
	}
	return 0;
}

pid_t
tracer_clone(struct tracer *t, int (*run)(void *arg), char *top, void *arg)
{
	pid_t child = 0;

	t->run = run;
	t->arg = arg;
	t->top = top;
	t->done = 0;
	/* Without it nothing can be started: the sandbox is over. */
	if (ptrace(PTRACE_CONT, t->seed, NULL, NULL) < 0 ||
	    until_done(t, &child) < 0)
		_exit(2);
	if (t->made < 0) {
		errno = (int)-t->made;
		return -1;
	}
	return child;
}

bool
tracer_stopped(struct tracer *t, pid_t pid, int status)
{
	int signo;

	if (t->seed == 0 || !WIFSTOPPED(status))
		return false;
	signo = WSTOPSIG(status);
	/* The seed moves when it is asked to, and else not. */
	if (pid == t->seed)
		return true;
	/* Who was killed meanwhile needs nothing: no call's end matters. */
	switch (status >> 16) {
	case PTRACE_EVENT_EXEC:
		on_exec(t, pid);
		return true;
	case PTRACE_EVENT_STOP:
		if (signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN ||
		    signo == SIGTTOU)
			(void)ptrace(PTRACE_LISTEN, pid, NULL, NULL);
		else
			(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
		return true;
	case 0:
		(void)ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signo);
		return true;
	default:
		(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
		return true;
	}
}

/*
 * The seed. It shares PID 1's memory, errno included, and runs while PID 1
 * waits for it: but for its first steps, where it calls the kernel only.
 */
static int
seed_main(void *arg)
{
	const unsigned char no_signals[SIGSET_BYTES] = {};
	struct tracer *t = arg;
	long r;

	while (t->seized == 0)
		(void)raw_call(
		    SYS_futex, (long)&t->seized, FUTEX_WAIT, 0, 0, 0);
	r = raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)no_signals, 0,
	    SIGSET_BYTES, 0);
	if (r == 0)
		r = seed_filter();
	for (;;) {
		t->made = r;
		t->done = 1;
		/* Stops here until there is something to do. */
		(void)raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0),
		    SIGUSR1, 0, 0, 0);
		if (t->done != 0)
			continue;
		r = clone(
		    t->run, t->top, CLONE_VM | CLONE_PARENT | SIGCHLD, t->arg);
		r = r < 0 ? -errno : r;
	}
	return 0;
}

static long
seed_filter(void)
{
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		/* Flags are in the low half. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_UNTRACED, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = (struct sock_filter *)(uintptr_t)code,
	};

	return raw_call(
	    SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program, 0, 0);
}

/* Until the seed is held again. *child: what it made meanwhile. */
static int
until_done(struct tracer *t, pid_t *child)
{
	for (;;) {
		unsigned long made = 0;
		int status, event;

		if (waitpid(t->seed, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (!WIFSTOPPED(status)) {
			errno = EOWNERDEAD;
			return -1;
		}
		event = status >> 16;
		if (event == PTRACE_EVENT_FORK && child != NULL &&
		    ptrace(PTRACE_GETEVENTMSG, t->seed, NULL, &made) == 0)
			*child = (pid_t)made;
		if (event == 0 && t->done != 0)
			return 0;
		/* Whatever signal it was is not for the seed. */
		if (ptrace(PTRACE_CONT, t->seed, NULL, NULL) < 0) {
			errno = EOWNERDEAD;
			return -1;
		}
	}
}

/* A program is in place. Who is refused never runs an instruction of it. */
static void
on_exec(struct tracer *t, pid_t pid)
{
	char link[PROC_PATH_BYTES];
	struct stat st;
	own_fd int fd = -1;
	ssize_t n;
	long r;

	(void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, t->path, sizeof(t->path) - 1);
	t->path[n > 0 ? n : 0] = '\0';
	t->room.text[0] = '\0';
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	r = fd < 0 || fstat(fd, &st) < 0 ? -errno : judge_program(t, fd, &st);
	if (r == 0)
		(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
	else
		refuse(t, pid, r);
}

static long
judge_program(struct tracer *t, int fd, const struct stat *st)
{
	bool script;
	long r;

	if (was_seen(t, st))
		return 0;
	r = judge_file(t->judge, &t->room, fd, t->path, &script);
	if (r == 0 && is_fixed(st)) {
		t->seen[t->next_seen] =
		    (struct tracer_seen){ st->st_dev, st->st_ino, st->st_ctim };
		t->next_seen = (t->next_seen + 1) % TRACER_SEEN;
	}
	return r;
}

/* Nobody inside may write it, nor let anyone write it. */
static bool
is_fixed(const struct stat *st)
{
	return st->st_uid != geteuid() && (st->st_mode & 022) == 0;
}

static bool
was_seen(const struct tracer *t, const struct stat *st)
{
	if (!is_fixed(st))
		return false;
	for (size_t i = 0; i < TRACER_SEEN; i++) {
		const struct tracer_seen *s = &t->seen[i];

		if (s->ino == st->st_ino && s->dev == st->st_dev &&
		    s->changed.tv_sec == st->st_ctim.tv_sec &&
		    s->changed.tv_nsec == st->st_ctim.tv_nsec)
			return true;
	}
	return false;
}

/* It is told, so many times; and dies. */
static void
refuse(struct tracer *t, pid_t pid, long why)
{
	struct control_report report = {
		.kind = CONTROL_REFUSED,
		.value = (uint32_t)pid,
	};
	char comm[COMM_BYTES + 1], args[ARGS_BYTES];
	size_t n;

	(void)read_proc(pid, "comm", comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = '\0';
	n = read_proc(pid, "cmdline", args, sizeof(args));
	for (size_t i = 0; i + 1 < n; i++)
		args[i] = args[i] == '\0' ? ' ' : args[i];
	(void)kill(pid, SIGKILL);
	if (t->told++ >= COMMANDS_TOLD_MAX)
		return;
	(void)snprintf(report.text, sizeof(report.text), "%s\n%s: %s", comm,
	    why == -EKEYREJECTED ? t->room.text : strerror((int)-why), args);
	/* PID 1 does not wait for who does not listen. */
	(void)send(
	    CONTROL_FD, &report, sizeof(report), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As much as there is room for, and a NUL. How much that is. */
static size_t
read_proc(pid_t pid, const char *name, char *out, size_t room)
{
	char path[PROC_PATH_BYTES];
	own_fd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, room - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}
