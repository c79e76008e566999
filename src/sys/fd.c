#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	READ_BYTES = 65536,
	COPY_BYTES = 1 << 20, /* at once: a signal is not kept waiting */
	SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
};

void
fd_fini(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* nothing buffered is lost here */
	*fd = -1;
	errno = saved;
}

int
fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

int
fd_nonblock(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return err_sys(e, "fcntl F_GETFL");
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(e, "fcntl F_SETFL");
	return 0;
}

int
fd_close_from(int first, struct err *e)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) < 0)
		return err_sys(e, "close_range %d", first);
	return 0;
}

int
fd_write_all(int fd, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t r = write(fd, at, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "write");
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

int
fd_copy_sparse(int from, int to, off_t size, struct err *e)
{
	off_t at = 0;

	if (ftruncate(to, size) < 0)
		return err_sys(e, "ftruncate");
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(from, at, SEEK_HOLE);

		if (end < 0 || lseek(to, at, SEEK_SET) < 0)
			return err_sys(e, "seek");
		while (at < end) {
			size_t want = end - at < COPY_BYTES ? (size_t)(end - at)
							    : COPY_BYTES;

			if (sendfile(to, from, &at, want) <= 0)
				return err_sys(e, "copy");
		}
	}
	return errno == ENXIO ? 0 : err_sys(e, "seek");
}

int
fd_read_all(int fd, struct buf *out, size_t max, struct err *e)
{
	size_t got = 0;

	for (;;) {
		char *at = buf_reserve(out, READ_BYTES);
		ssize_t r;

		if (at == NULL)
			return err_set(e, "out of memory");
		r = read(fd, at, READ_BYTES);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "read");
		if (r == 0)
			return 0;
		out->n += (size_t)r;
		got += (size_t)r;
		if (got > max)
			return err_set(e, "over %zu bytes", max);
	}
}

int
file_read(const char *path, struct buf *out, size_t max, struct err *e)
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (fd_read_all(fd, out, max, e) < 0)
		return err_add(e, "%s", path);
	return 0;
}

int
fd_cloexec(int fd, bool on, struct err *e)
{
	if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0)
		return err_sys(e, "fcntl F_SETFD");
	return 0;
}

int
fd_sealed(const void *p, size_t n, struct err *e)
{
	own_fd int fd =
	    memfd_create("paddock", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, "memfd_create");
	if (fd_write_all(fd, p, n, e) < 0)
		return err_add(e, "memfd");
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return err_sys(e, "fcntl F_ADD_SEALS");
	return fd_take(&fd);
}

int
fd_read_sealed(int fd, struct buf *out, size_t max, struct err *e)
{
	const int need = F_SEAL_WRITE | F_SEAL_SHRINK;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	size_t done = 0, n;
	char *at;

	if (seals < 0)
		return err_sys(e, "fcntl F_GET_SEALS");
	if ((seals & need) != need)
		return err_set(e, "memfd is not sealed");
	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat memfd");
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return err_set(e, "memfd over %zu bytes", max);
	n = (size_t)st.st_size;
	at = buf_reserve(out, n);
	if (at == NULL)
		return err_set(e, "out of memory");

	/* The offset is shared with the sender: read by position. */
	while (done < n) {
		ssize_t r = pread(fd, at + done, n - done, (off_t)done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "read memfd");
		if (r == 0)
			return err_set(e, "memfd ended early");
		done += (size_t)r;
	}
	out->n += n;
	return 0;
}
