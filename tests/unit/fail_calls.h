/*
 * fail_calls.h: lets the n-th system call of the sandbox's builder fail.
 */
#ifndef UNIT_FAIL_CALLS_H
#define UNIT_FAIL_CALLS_H

#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail_count.h"

/*
 * In the caller and in the child alike: they share memory until the child
 * executes a program, so one counter counts both.
 */
WRAP(int, mkdir, (const char *p, mode_t m), (p, m))
WRAP(int, mknod, (const char *p, mode_t m, dev_t d), (p, m, d))
WRAP(int, symlink, (const char *a, const char *b), (a, b))
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(int, fstat64, (int fd, struct stat64 *st), (fd, st))
WRAP(int, fchdir, (int fd), (fd))
WRAP(int, chdir, (const char *p), (p))
WRAP(int, chroot, (const char *p), (p))
WRAP(int, chown, (const char *p, uid_t u, gid_t g), (p, u, g))
WRAP(int, access, (const char *p, int m), (p, m))
WRAP(pid_t, setsid, (void), ())
WRAP(int, unshare, (int flags), (flags))
WRAP(int, sethostname, (const char *p, size_t n), (p, n))
WRAP(int, dup2, (int a, int b), (a, b))
WRAP(int, socket, (int a, int b, int c), (a, b, c))
WRAP(int, socketpair, (int a, int b, int c, int v[2]), (a, b, c, v))
WRAP(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, listen, (int fd, int n), (fd, n))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
WRAP(int, sigprocmask, (int h, const sigset_t *a, sigset_t *b), (h, a, b))

int __wrap_open64(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int
__wrap_open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails_now() ? -1 : __real_open64(path, flags, mode);
}

int __wrap_prctl(int what, ...);
int __real_prctl(int what, ...);
int
__wrap_prctl(int what, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, what);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	return fails_now() ? -1 : __real_prctl(what, a[0], a[1], a[2], a[3]);
}

long __wrap_syscall(long nr, ...);
long __real_syscall(long nr, ...);
long
__wrap_syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return fails_now()
	    ? -1
	    : __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#endif
