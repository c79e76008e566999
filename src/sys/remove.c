#include "sys/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"

/* One that is gone through, below that of up. */
struct folder {
	struct folder *up;
	DIR *dir; /* NULL: closed */
	char name[NAME_MAX + 1];
};

static struct folder *enter(
    struct folder *up, int at, const char *name, bool ours, struct err *e);
static struct folder *leave(struct folder *f);
static const char *next_in(DIR *dir);

int
remove_all(int dir, const char *name, size_t depth, bool ours, struct err *e)
{
	struct folder *f = NULL;
	size_t n = 0;
	int r = 0, at = dir;
	const char *next = name;

	must(depth <= REMOVE_DEPTH_MAX);
	for (;;) {
		if (next != NULL && unlinkat(at, next, 0) < 0 &&
		    errno != ENOENT) {
			struct folder *below = NULL;

			if (errno != EISDIR && errno != EPERM)
				(void)err_sys(e, "remove %s", next);
			else if (n == depth)
				(void)err_set(e, "%s lies too deep", next);
			else
				below = enter(f, at, next, ours, e);
			if (below == NULL) {
				r = -1;
				break;
			}
			f = below;
			n++;
		}
		if (f == NULL)
			break;
		next = next_in(f->dir);
		if (next != NULL) {
			at = dirfd(f->dir);
			continue;
		}
		(void)closedir(f->dir); /* only read */
		f->dir = NULL;
		at = f->up != NULL ? dirfd(f->up->dir) : dir;
		if (unlinkat(at, f->name, AT_REMOVEDIR) < 0) {
			r = err_sys(e, "rmdir %s", f->name);
			break;
		}
		f = leave(f);
		n--;
	}
	while (f != NULL)
		f = leave(f);
	return r;
}

/* NULL with e. */
static struct folder *
enter(struct folder *up, int at, const char *name, bool ours, struct err *e)
{
	own_fd int fd = -1;
	struct folder *f;
	DIR *dir;

	if (ours && fchmodat(at, name, 0700, 0) < 0) {
		(void)err_sys(e, "remove %s", name);
		return NULL;
	}
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		(void)err_sys(e, "remove %s", name);
		return NULL;
	}
	(void)fd_take(&fd);
	f = malloc(sizeof(*f));
	must(f != NULL);
	f->up = up;
	f->dir = dir;
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	return f;
}

/* The one above it. */
static struct folder *
leave(struct folder *f)
{
	struct folder *up = f->up;

	if (f->dir != NULL)
		(void)closedir(f->dir); /* only read */
	free(f);
	return up;
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
