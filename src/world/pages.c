#include "world/pages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"

enum { COPY_BYTES = 16 * PAGE_BYTES, WORD_BITS = 64 };

static bool is_below(const struct pages *p, uint64_t page);
static ssize_t read_all(int fd, void *to, size_t n, off_t at);
static int write_all(int fd, const void *from, size_t n, off_t at);
static int write_page(
    struct pages *p, const void *from, size_t n, uint64_t page, size_t skip);

int
pages_init(struct pages *p, int fd, int base, struct err *e)
{
	struct stat st;

	*p = (struct pages){ .fd = fd, .base = base };
	if (base < 0)
		return 0;
	if (fstat(base, &st) < 0)
		return err_sys(e, "fstat what is below");
	must(st.st_size % PAGE_BYTES == 0);
	if (ftruncate(fd, st.st_size) < 0)
		return err_sys(e, "ftruncate");
	p->base_n = (uint32_t)(st.st_size / PAGE_BYTES);
	p->own = calloc(p->base_n / WORD_BITS + 1, sizeof(*p->own));
	must(p->own != NULL);
	return 0;
}

void
pages_fini(struct pages *p)
{
	free(p->own);
	*p = (struct pages){ .fd = -1, .base = -1 };
}

ssize_t
pages_read(const struct pages *p, void *to, size_t n, off_t at)
{
	const size_t want = n;
	char *out = to;

	if (p->base_n == 0)
		return read_all(p->fd, to, n, at);
	while (n > 0) {
		const uint64_t page = (uint64_t)at / PAGE_BYTES;
		const size_t skip = (size_t)at % PAGE_BYTES;
		const size_t part =
		    n < PAGE_BYTES - skip ? n : PAGE_BYTES - skip;
		const ssize_t got = read_all(
		    is_below(p, page) ? p->base : p->fd, out, part, at);

		if (got < 0)
			return -1;
		out += got;
		at += got;
		n -= (size_t)got;
		if ((size_t)got < part)
			break;
	}
	return (ssize_t)(want - n);
}

int
pages_write(struct pages *p, const void *from, size_t n, off_t at)
{
	const char *in = from;

	if (p->base_n == 0)
		return write_all(p->fd, from, n, at);
	while (n > 0) {
		const uint64_t page = (uint64_t)at / PAGE_BYTES;
		const size_t skip = (size_t)at % PAGE_BYTES;
		const size_t part =
		    n < PAGE_BYTES - skip ? n : PAGE_BYTES - skip;

		if (write_page(p, in, part, page, skip) < 0)
			return -1;
		in += part;
		at += (off_t)part;
		n -= part;
	}
	return 0;
}

int
pages_truncate(struct pages *p, off_t size)
{
	if (size % PAGE_BYTES != 0) {
		errno = EINVAL;
		return -1;
	}
	if (ftruncate(p->fd, size) < 0)
		return -1;
	if ((uint64_t)size / PAGE_BYTES < p->base_n)
		p->base_n = (uint32_t)(size / PAGE_BYTES);
	return 0;
}

int
pages_copy(const struct pages *p, int to, struct err *e)
{
	static char part[COPY_BYTES];
	off_t at = 0;
	ssize_t n;

	while ((n = pages_read(p, part, sizeof(part), at)) > 0) {
		if (write_all(to, part, (size_t)n, at) < 0)
			return err_sys(e, "copy the database");
		at += n;
	}
	return n < 0 ? err_sys(e, "read the database") : 0;
}

static bool
is_below(const struct pages *p, uint64_t page)
{
	return page < p->base_n &&
	    (p->own[page / WORD_BITS] >> page % WORD_BITS & 1) == 0;
}

/* Less than n at the end of the file only. */
static ssize_t
read_all(int fd, void *to, size_t n, off_t at)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t got =
		    pread(fd, (char *)to + done, n - done, at + (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static int
write_all(int fd, const void *from, size_t n, off_t at)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t put = pwrite(
		    fd, (const char *)from + done, n - done, at + (off_t)done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			errno = put < 0 ? errno : EIO;
			return -1;
		}
		done += (size_t)put;
	}
	return 0;
}

/* A page is its own when all of it is there, and not before. */
static int
write_page(
    struct pages *p, const void *from, size_t n, uint64_t page, size_t skip)
{
	const off_t at = (off_t)(page * PAGE_BYTES);
	const bool below = is_below(p, page);
	char whole[PAGE_BYTES];

	if (below && n < PAGE_BYTES) {
		if (read_all(p->base, whole, sizeof(whole), at) != PAGE_BYTES)
			return -1;
		memcpy(whole + skip, from, n);
		from = whole;
		n = PAGE_BYTES;
		skip = 0;
	}
	if (write_all(p->fd, from, n, at + (off_t)skip) < 0)
		return -1;
	if (below)
		p->own[page / WORD_BITS] |= UINT64_C(1) << page % WORD_BITS;
	return 0;
}
