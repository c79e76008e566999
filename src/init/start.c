#include "init/start.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/fd.h"

/* Kernel's sigset_t, which is smaller than the library's. */
enum { SIGSET_BYTES = 8 };

static int child_run(void *start);
static long take_streams(const struct start *s);
static long execute(struct start *s);
static long execute_in(struct start *s, const char *dir, size_t n);
static long call(long nr, long a, long b, long c, long d);

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
	pid = clone(
	    child_run, s->stack + sizeof(s->stack), CLONE_VM | SIGCHLD, s);
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
	r = call(SYS_setsid, 0, 0, 0, 0);
	if (r >= 0) {
		s->stage = "standard streams";
		r = take_streams(s);
	}
	if (r >= 0 && s->cwd[0] != '\0') {
		s->stage = "chdir";
		r = call(SYS_chdir, (long)s->cwd, 0, 0, 0);
	}
	if (r >= 0) {
		s->stage = "signals";
		r = call(SYS_rt_sigprocmask, SIG_SETMASK, (long)no_signals, 0,
		    SIGSET_BYTES);
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
			r = call(SYS_fcntl, i, F_SETFD, 0, 0);
		else
			r = call(SYS_dup3, s->stdio[i], i, 0, 0);
	}
	if (r >= 0 && s->tty)
		r = call(SYS_ioctl, 0, TIOCSCTTY, 0, 0);
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
	return call(SYS_execve, (long)s->path, (long)s->argv, (long)s->envp, 0);
}

/* A system call that leaves errno alone: the result, or a negative errno. */
static long
call(long nr, long a, long b, long c, long d)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
			 : "memory");
	return x0;
#endif
}
