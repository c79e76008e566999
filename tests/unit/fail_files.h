/*
 * fail_files.h: the same as fail_calls.h, which comes before it, for the calls
 * by which folders are gone through and files written.
 */
#ifndef UNIT_FAIL_FILES_H
#define UNIT_FAIL_FILES_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>

#include "fail_calls.h"

WRAP(int, fstatat64, (int d, const char *p, struct stat64 *st, int f),
    (d, p, st, f))
WRAP(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
WRAP(int, fchmod, (int fd, mode_t m), (fd, m))
WRAP(int, futimens, (int fd, const struct timespec t[2]), (fd, t))
WRAP(int, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP(ssize_t, sendfile64, (int o, int i, off64_t *at, size_t n), (o, i, at, n))
WRAP(int, symlinkat, (const char *a, int d, const char *b), (a, d, b))
WRAP(int, renameat, (int d, const char *a, int f, const char *b), (d, a, f, b))

struct dirent64 *__wrap_readdir64(DIR *d);
struct dirent64 *__real_readdir64(DIR *d);
struct dirent64 *
__wrap_readdir64(DIR *d)
{
	return fails_now() ? NULL : __real_readdir64(d);
}

int __wrap_openat64(int dir, const char *path, int flags, ...);
int __real_openat64(int dir, const char *path, int flags, ...);
int
__wrap_openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails_now() ? -1 : __real_openat64(dir, path, flags, mode);
}

#endif
