#include "sys/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"

struct folder {
	DIR *dir;
	char name[NAME_MAX + 1];
};

static int enter(
    struct folder *f, int at, const char *name, bool ours, struct err *e);
static const char *next_in(DIR *dir);

int
remove_all(int dir, const char *name, size_t depth, bool ours, struct err *e)
{
	struct folder stack[REMOVE_DEPTH_MAX];
	size_t n = 0;
	int r = 0, at = dir;
	const char *next = name;

	must(depth <= REMOVE_DEPTH_MAX);
	for (;;) {
		if (next != NULL && unlinkat(at, next, 0) < 0 &&
		    errno != ENOENT) {
			if (errno != EISDIR && errno != EPERM)
				r = err_sys(e, "remove %s", next);
			else if (n == depth)
				r = err_set(e, "%s lies too deep", next);
			else
				r = enter(&stack[n], at, next, ours, e);
			if (r < 0)
				break;
			n++;
		}
		if (n == 0)
			break;
		next = next_in(stack[n - 1].dir);
		if (next != NULL) {
			at = dirfd(stack[n - 1].dir);
			continue;
		}
		(void)closedir(stack[--n].dir); /* only read */
		at = n > 0 ? dirfd(stack[n - 1].dir) : dir;
		if (unlinkat(at, stack[n].name, AT_REMOVEDIR) < 0) {
			r = err_sys(e, "rmdir %s", stack[n].name);
			break;
		}
	}
	while (n > 0)
		(void)closedir(stack[--n].dir); /* only read */
	return r;
}

static int
enter(struct folder *f, int at, const char *name, bool ours, struct err *e)
{
	own_fd int fd = -1;

	if (ours && fchmodat(at, name, 0700, 0) < 0)
		return err_sys(e, "remove %s", name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	f->dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (f->dir == NULL)
		return err_sys(e, "remove %s", name);
	(void)fd_take(&fd);
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	return 0;
}

static const char *
next_in(DIR *dir)
{
	const struct dirent *x;

	do
		x = readdir(dir);
	while (x != NULL &&
	    (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0));
	return x != NULL ? x->d_name : NULL;
}
