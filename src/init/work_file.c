/*
 * init/work_file.c: the content of one regular file, out and in.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/work.h"
#include "sys/fd.h"

static int open_regular(const char *path, struct stat *st, struct err *e);
static int put_in_place(const struct work *w, struct err *e);
static int put_beside(const struct work *w, struct err *e);
static int fill(const struct work *w, int file, struct err *e);
static int write_file(
    const struct work *w, int file, const char *at, size_t n, struct err *e);
static int name_beside(const char *path, char *out, size_t cap, struct err *e);

static char copy[RPC_COPY_BYTES];

int
work_get_file(const struct work *w, struct err *e)
{
	uint64_t left = w->q->max_bytes, at = w->q->offset;
	struct stat st = {};
	own_fd int file = open_regular(w->path, &st, e);

	if (file < 0)
		return -1;
	w->out->size = (uint64_t)st.st_size;
	if (at > INT64_MAX) {
		errno = EINVAL;
		return err_sys(e, "offset of %s", w->path);
	}
	while (left > 0) {
		size_t most = left < sizeof(copy) ? left : sizeof(copy);
		ssize_t n;

		work_alive();
		n = pread(file, copy, most, (off_t)at);
		if (n < 0)
			return err_sys(e, "read %s", w->path);
		if (n == 0)
			return 0;
		if (work_put(w, copy, (size_t)n, e) < 0)
			return -1;
		at += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return 0;
}

int
work_put_file(const struct work *w, struct err *e)
{
	const unsigned other = RPC_PUT_TRUNCATE | RPC_PUT_APPEND | RPC_PUT_NEW;

	if ((w->q->flags & RPC_PUT_ATOMIC) == 0)
		return put_in_place(w, e);
	if ((w->q->flags & other) != 0)
		return err_set(e, "atomic goes with no other flag");
	return put_beside(w, e);
}

/*
 * Looked at first without being opened: an open can set off a device, or wake
 * up the other end of a FIFO. Then the same inode, by the link in /proc.
 */
static int
open_regular(const char *path, struct stat *st, struct err *e)
{
	own_fd int place = open(path, O_PATH | O_CLOEXEC);
	char link[64];
	int fd;

	if (place < 0)
		return err_sys(e, "open %s", path);
	if (fstat(place, st) < 0)
		return err_sys(e, "stat %s", path);
	if (S_ISDIR(st->st_mode)) {
		errno = EISDIR;
		return err_sys(e, "open %s", path);
	}
	if (!S_ISREG(st->st_mode))
		return err_set(e, "%s is not a regular file", path);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
	fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	return fd;
}

static int
put_in_place(const struct work *w, struct err *e)
{
	const unsigned flags = w->q->flags;
	int how = O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	own_fd int file = -1;
	struct stat st;

	/* Not opened if it is something else; what takes its place in between
	 * is opened, without waiting, and found out. */
	if (stat(w->path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(e, "%s is not a regular file", w->path);
	if ((flags & RPC_PUT_APPEND) != 0)
		how |= O_APPEND;
	if ((flags & RPC_PUT_NEW) != 0)
		how |= O_EXCL;
	file = open(w->path, how, (mode_t)w->q->mode);
	if (file < 0)
		return err_sys(e, "open %s", w->path);
	if (fstat(file, &st) < 0)
		return err_sys(e, "stat %s", w->path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, "%s is not a regular file", w->path);
	if ((flags & RPC_PUT_TRUNCATE) != 0 && ftruncate(file, 0) < 0)
		return err_sys(e, "truncate %s", w->path);
	return fill(w, file, e);
}

static int
put_beside(const struct work *w, struct err *e)
{
	char temp[PATH_MAX];
	own_fd int file = -1;

	if (name_beside(w->path, temp, sizeof(temp), e) < 0)
		return -1;
	file = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    (mode_t)w->q->mode);
	if (file < 0)
		return err_sys(e, "make a file beside %s", w->path);
	if (fill(w, file, e) < 0)
		goto out;
	if (rename(temp, w->path) < 0) {
		(void)err_sys(e, "rename to %s", w->path);
		goto out;
	}
	return 0;
out:
	(void)unlink(temp); /* the error to tell is the one before */
	return -1;
}

/* Up to the end of the caller's stream. */
static int
fill(const struct work *w, int file, struct err *e)
{
	for (;;) {
		ssize_t n;

		if (work_wait(w, e) < 0)
			return -1;
		n = read(w->fd, copy, sizeof(copy));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return err_sys(e, "read from the caller");
		if (n == 0)
			break;
		if ((uint64_t)n > w->q->max_bytes - w->out->bytes) {
			errno = EFBIG;
			return err_sys(e, "over %llu bytes for %s",
			    (unsigned long long)w->q->max_bytes, w->path);
		}
		if (write_file(w, file, copy, (size_t)n, e) < 0)
			return -1;
	}
	return 0;
}

static int
write_file(
    const struct work *w, int file, const char *at, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t r;

		work_alive();
		r = write(file, at, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "write %s", w->path);
		at += r;
		n -= (size_t)r;
		w->out->bytes += (uint64_t)r;
	}
	return 0;
}

/* In the same directory, so that it can be renamed. */
static int
name_beside(const char *path, char *out, size_t cap, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int dir = slash != NULL ? (int)(slash - path) + 1 : 0;
	uint64_t number;
	int n;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return err_sys(e, "getrandom");
	n = snprintf(out, cap, "%.*s.paddock-%016llx", dir, path,
	    (unsigned long long)number);
	if (n < 0 || (size_t)n >= cap) {
		errno = ENAMETOOLONG;
		return err_sys(e, "name beside %s", path);
	}
	return 0;
}
