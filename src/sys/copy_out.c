#include "sys/copy_out.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sys/fd.h"

enum { BLOCK = 4096 }; /* of zeros that may be a hole */

static int dir_open(int at, const char *name, struct err *e);
static int parent_open(
    int root, struct str name, bool make, char last[static 256], struct err *e);
static bool is_zero(const char *p, size_t n);
static int hole_end(struct copy *c, struct err *e);

int
copy_name_check(struct str name, struct err *e)
{
	size_t depth = 0;

	if (name.n == 0 || name.n > COPY_NAME_BYTES)
		return err_set(e, "a name of %zu bytes", name.n);
	while (name.n > 0) {
		size_t n = str_find(name, '/');
		struct str part = { name.p, n };

		if (n == 0 || n > 255 || str_eq(part, STR(".")) ||
		    str_eq(part, STR("..")) || str_find(part, '\0') < n)
			return err_set(e, "a name that leads elsewhere");
		if (++depth > COPY_MAX_DEPTH)
			return err_set(
			    e, "over %d folders deep", COPY_MAX_DEPTH);
		n += n < name.n;
		if (n == name.n && name.p[n - 1] == '/')
			return err_set(e, "a name that ends in a slash");
		name = (struct str){ name.p + n, name.n - n };
	}
	return 0;
}

int
copy_mkdir(int root, struct str name, struct err *e)
{
	char last[256];
	own_fd int dir = parent_open(root, name, true, last, e);
	own_fd int made = -1;

	if (dir < 0)
		return -1;
	if (mkdirat(dir, last, 0755) < 0 && errno != EEXIST)
		return err_sys(e, "make the folder %s", last);
	/* What was there may be anything, also a link. */
	made = dir_open(dir, last, e);
	return made < 0 ? -1 : 0;
}

int
copy_begin(struct copy *c, int root, struct str name, struct err *e)
{
	uint64_t random;

	*c = (struct copy){ .dir = -1, .fd = -1 };
	c->dir = parent_open(root, name, true, c->name, e);
	if (c->dir < 0)
		return -1;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		fd_fini(&c->dir);
		return err_sys(e, "getrandom");
	}
	(void)snprintf(c->temporary, sizeof(c->temporary), ".paddock-%016llx",
	    (unsigned long long)random);
	c->fd = openat(c->dir, c->temporary,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (c->fd < 0) {
		fd_fini(&c->dir);
		return err_sys(e, "make a file");
	}
	return 0;
}

int
copy_write(struct copy *c, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		size_t part = BLOCK - (size_t)(c->bytes % BLOCK);

		if (part > n)
			part = n;

		if (is_zero(p, part)) {
			c->hole_bytes += part;
		} else if (hole_end(c, e) < 0 ||
		    fd_write_all(c->fd, p, part, e) < 0) {
			return -1;
		}
		c->bytes += part;
		p += part;
		n -= part;
	}
	return 0;
}

int
copy_finish(struct copy *c, mode_t mode, struct err *e)
{
	struct stat st;

	if (ftruncate(c->fd, (off_t)c->bytes) < 0)
		return err_sys(e, "set the size of %s", c->name);
	if (fchmod(c->fd, mode & 0777) < 0)
		return err_sys(e, "set the mode of %s", c->name);
	/* Replaced is what a file of ours can stand for, and only that. */
	if (fstatat(c->dir, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISREG(st.st_mode))
		return err_set(
		    e, "%s is there already, and is no regular file", c->name);
	if (renameat(c->dir, c->temporary, c->dir, c->name) < 0)
		return err_sys(e, "put %s in its place", c->name);
	fd_fini(&c->fd);
	fd_fini(&c->dir);
	return 0;
}

void
copy_abort(struct copy *c)
{
	if (c->fd >= 0)
		(void)unlinkat(c->dir, c->temporary, 0); /* best effort */
	fd_fini(&c->fd);
	fd_fini(&c->dir);
}

static int
dir_open(int at, const char *name, struct err *e)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, at, name, &how, sizeof(how));

	return fd < 0 ? err_sys(e, "open the folder %s", name) : (int)fd;
}

/* The folder that holds name's last part, step by step. */
static int
parent_open(
    int root, struct str name, bool make, char last[static 256], struct err *e)
{
	own_fd int at = -1;

	if (copy_name_check(name, e) < 0)
		return -1;
	at = fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (at < 0)
		return err_sys(e, "dup");
	for (;;) {
		size_t n = str_find(name, '/');
		int next;

		(void)str_copy((struct str){ name.p, n }, last, 256);
		if (n == name.n)
			return fd_take(&at);
		if (make && mkdirat(at, last, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "make the folder %s", last);
		next = dir_open(at, last, e);
		if (next < 0)
			return -1;
		fd_fini(&at);
		at = next;
		name = (struct str){ name.p + n + 1, name.n - n - 1 };
	}
}

static bool
is_zero(const char *p, size_t n)
{
	return p[0] == '\0' && memcmp(p, p + 1, n - 1) == 0;
}

static int
hole_end(struct copy *c, struct err *e)
{
	if (c->hole_bytes > 0 && lseek(c->fd, (off_t)c->bytes, SEEK_SET) < 0)
		return err_sys(e, "leave a hole");
	c->hole_bytes = 0;
	return 0;
}
