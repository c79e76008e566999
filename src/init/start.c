#include "init/start.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init/raw.h"
#include "sys/fd.h"

/* Kernel's sigset_t, which is smaller than the library's. */
enum { SIGSET_BYTES = 8 };

static int child_run(void *start);
static long take_streams(const struct start *s);
static long execute(struct start *s);
static long execute_in(struct start *s, const char *dir, size_t n);
static long execute_judged(struct start *s);
static long hold(long fd);
static void resolve(struct start *s, long fd);

pid_t
start_command(struct start *s)
{
	own_fd int watch = -1;
	int pair[2];
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	watch = pair[0];
	s->failed = 0;
	s->stage = "clone";
	/* Its own table of descriptors: what we close stays open there. */
	if (s->tracer != NULL)
		pid = tracer_clone(
		    s->tracer, child_run, s->stack + sizeof(s->stack), s);
	else
		pid = clone(child_run, s->stack + sizeof(s->stack),
		    CLONE_VM | SIGCHLD, s);
	fd_fini(&pair[1]);
	if (pid > 0)
		s->watch = fd_take(&watch);
	return pid;
}

/*
 * In the child. PID 1 runs at the same time in the same memory, errno
 * included: system calls are made here without the library.
 */
static int
child_run(void *arg)
{
	const unsigned char no_signals[SIGSET_BYTES] = {};
	struct start *s = arg;
	long r;

	s->stage = "setsid";
	r = raw_call(SYS_setsid, 0, 0, 0, 0, 0);
	if (r >= 0) {
		s->stage = "standard streams";
		r = take_streams(s);
	}
	if (r >= 0 && s->cwd[0] != '\0') {
		s->stage = "chdir";
		r = raw_call(SYS_chdir, (long)s->cwd, 0, 0, 0, 0);
	}
	if (r >= 0) {
		s->stage = "signals";
		r = raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)no_signals,
		    0, SIGSET_BYTES, 0);
	}
	if (r >= 0) {
		s->stage = "execute";
		r = execute(s);
	}
	s->failed = (int)-r;
	return 127;
}

static long
take_streams(const struct start *s)
{
	long r = 0;

	for (int i = 0; i < 3 && r >= 0; i++) {
		if (s->stdio[i] == i)
			r = raw_call(SYS_fcntl, i, F_SETFD, 0, 0, 0);
		else
			r = raw_call(SYS_dup3, s->stdio[i], i, 0, 0, 0);
	}
	if (r >= 0 && s->tty)
		r = raw_call(SYS_ioctl, 0, TIOCSCTTY, 0, 0, 0);
	return r;
}

/*
 * Only a path that is missing lets the search go on; of several reasons, that
 * of a file which is there is the one to tell.
 */
static long
execute(struct start *s)
{
	static const char usual[] = "/usr/local/bin:/usr/bin:/bin";
	const char *dir = usual;
	long r, told = -ENOENT;

	if (strchr(s->argv[0], '/') != NULL)
		return execute_in(s, "", 0);
	for (size_t i = 0; s->envp[i] != NULL; i++) {
		if (strncmp(s->envp[i], "PATH=", 5) == 0) {
			dir = s->envp[i] + 5;
			break;
		}
	}
	for (;;) {
		size_t n = strcspn(dir, ":");

		/* An empty element is no place: a name that anyone may have
		 * put into the working folder is not looked up there. */
		if (n > 0 && s->argv[0][0] != '\0') {
			r = execute_in(s, dir, n);
			if (r != -ENOENT && r != -ENOTDIR && r != -EACCES &&
			    r != -ENAMETOOLONG)
				return r;
			if (r == -EACCES)
				told = r;
		}
		if (dir[n] == '\0')
			return told;
		dir += n + 1;
	}
}

static long
execute_in(struct start *s, const char *dir, size_t n)
{
	size_t name = strlen(s->argv[0]);

	if (n + 1 + name + 1 > sizeof(s->path))
		return -ENAMETOOLONG;
	memcpy(s->path, dir, n);
	if (n > 0)
		s->path[n++] = '/';
	memcpy(s->path + n, s->argv[0], name + 1);
	if (s->judge == NULL || s->judge->rules == NULL)
		return raw_call(SYS_execve, (long)s->path, (long)s->argv,
		    (long)s->envp, 0, 0);
	return execute_judged(s);
}

/* What was judged is executed: the descriptor, and not the path again. */
static long
execute_judged(struct start *s)
{
	bool script;
	long fd = raw_call(SYS_openat, AT_FDCWD, (long)s->path,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0);
	long r;

	if (fd < 0)
		return fd;
	r = hold(fd);
	if (r == 0)
		r = judge_file(s->judge, &s->room, (int)fd, s->path, &script);
	if (r == 0 && !script)
		resolve(s, fd);
	if (r == 0 && script)
		r = raw_call(SYS_execve, (long)s->path, (long)s->argv,
		    (long)s->envp, 0, 0);
	else if (r == 0)
		r = raw_call(SYS_execveat, fd, (long)"", (long)s->argv,
		    (long)s->envp, AT_EMPTY_PATH);
	(void)raw_call(SYS_close, fd, 0, 0, 0, 0);
	return r;
}

/*
 * A file that the sandbox may write could be overwritten between judgement and
 * execution. A read lease is not to be had while anybody has it open for
 * writing; who opens it later makes the kernel send SIGIO, of which this
 * process dies before it executes. fcntl(2), "Leases".
 */
static long
hold(long fd)
{
	struct stat st;
	long r =
	    raw_call(SYS_newfstatat, fd, (long)"", (long)&st, AT_EMPTY_PATH, 0);
	long uid = raw_call(SYS_geteuid, 0, 0, 0, 0, 0);

	if (r < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_uid != (uid_t)uid && (st.st_mode & 022) == 0))
		return r;
	r = raw_call(SYS_fcntl, fd, F_SETLEASE, F_RDLCK, 0, 0);
	/* Another's, whose number is that of owners who have none here. */
	if (r == -EACCES && (st.st_mode & 022) == 0)
		return 0;
	return r == -EAGAIN ? -ETXTBSY : r;
}

/* What is told: the file, and not the link that led to it. */
static void
resolve(struct start *s, long fd)
{
	static const char self[] = "/proc/self/fd/";
	char link[sizeof(self) + 8];
	size_t at = sizeof(link) - 1;
	long n;

	link[at] = '\0';
	for (; fd > 0 || link[at] == '\0'; fd /= 10)
		link[--at] = (char)('0' + fd % 10);
	at -= sizeof(self) - 1;
	memcpy(link + at, self, sizeof(self) - 1);
	n = raw_call(SYS_readlinkat, AT_FDCWD, (long)(link + at), (long)s->path,
	    sizeof(s->path) - 1, 0);
	if (n > 0)
		s->path[n] = '\0';
}
