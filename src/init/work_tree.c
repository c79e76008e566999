/*
 * init/work_tree.c: names: make a directory, remove, rename.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init/work.h"
#include "sys/fd.h"

enum { NO_REPLACE = 1 }; /* RENAME_NOREPLACE of linux/fs.h */

/* A directory that is being emptied, and its name in the one above. */
struct level {
	DIR *dir;
	char name[NAME_MAX + 1];
};

struct removal {
	size_t depth;
	struct level levels[RPC_MAX_DEPTH];
};

static int make_parents(const struct work *w, struct err *e);
static int remove_tree(const struct work *w, struct err *e);
static int remove_next(struct removal *r, const char *path, struct err *e);
static int enter(
    struct removal *r, int parent, const char *name, struct err *e);

int
work_mkdir(const struct work *w, struct err *e)
{
	struct stat st;

	if ((w->q->flags & RPC_PARENTS) == 0) {
		if (mkdir(w->path, (mode_t)w->q->mode) < 0)
			return err_sys(e, "mkdir %s", w->path);
		return 0;
	}
	if (make_parents(w, e) < 0)
		return -1;
	if (stat(w->path, &st) < 0)
		return err_sys(e, "stat %s", w->path);
	if (!S_ISDIR(st.st_mode)) {
		errno = EEXIST;
		return err_sys(e, "mkdir %s", w->path);
	}
	return 0;
}

int
work_rm(const struct work *w, struct err *e)
{
	if (unlink(w->path) == 0)
		return 0;
	if (errno != EISDIR)
		return err_sys(e, "remove %s", w->path);
	if ((w->q->flags & RPC_RECURSIVE) != 0)
		return remove_tree(w, e);
	if (rmdir(w->path) < 0)
		return err_sys(e, "remove %s", w->path);
	return 0;
}

int
work_rename(const struct work *w, struct err *e)
{
	unsigned how = (w->q->flags & RPC_NO_REPLACE) != 0 ? NO_REPLACE : 0;

	if (syscall(SYS_renameat2, AT_FDCWD, w->path, AT_FDCWD, w->to, how) < 0)
		return err_sys(e, "rename %s to %s", w->path, w->to);
	return 0;
}

/* Every directory on the way, and the last one; those that are there stay. */
static int
make_parents(const struct work *w, struct err *e)
{
	char part[PATH_MAX];
	size_t n = strlen(w->path);

	if (n >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return err_sys(e, "mkdir");
	}
	for (size_t i = 1; i <= n; i++) {
		if (w->path[i] != '/' && w->path[i] != '\0')
			continue;
		memcpy(part, w->path, i);
		part[i] = '\0';
		work_alive();
		if (mkdir(part, (mode_t)w->q->mode) < 0 && errno != EEXIST)
			return err_sys(e, "mkdir %s", part);
	}
	return 0;
}

/* Depth first, never through a link: each directory is opened from the one
 * above. */
static int
remove_tree(const struct work *w, struct err *e)
{
	static struct removal r;
	int done;

	if (enter(&r, AT_FDCWD, w->path, e) < 0)
		return -1;
	do
		done = remove_next(&r, w->path, e);
	while (done == 0 && r.depth > 0);
	while (r.depth > 0)
		(void)closedir(r.levels[--r.depth].dir);
	return done;
}

/* One entry, or the directory itself when it has none left. */
static int
remove_next(struct removal *r, const char *path, struct err *e)
{
	struct level *l = &r->levels[r->depth - 1];
	const int dir = dirfd(l->dir);
	const struct dirent *d;

	work_alive();
	errno = 0;
	d = readdir(l->dir);
	if (d == NULL && errno != 0)
		return err_sys(e, "read %s", l->name);
	if (d == NULL) {
		(void)closedir(l->dir);
		r->depth--;
		if (r->depth == 0 ? rmdir(path) < 0
				  : unlinkat(dirfd(r->levels[r->depth - 1].dir),
					l->name, AT_REMOVEDIR) < 0)
			return err_sys(e, "remove %s", l->name);
		return 0;
	}
	if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
		return 0;
	if (unlinkat(dir, d->d_name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_sys(e, "remove %s", d->d_name);
	return enter(r, dir, d->d_name, e);
}

static int
enter(struct removal *r, int parent, const char *name, struct err *e)
{
	struct level *l = &r->levels[r->depth];
	own_fd int fd = -1;

	if (r->depth == RPC_MAX_DEPTH) {
		errno = E2BIG;
		return err_sys(
		    e, "%s: over %d folders deep", name, RPC_MAX_DEPTH);
	}
	fd = openat(parent, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", name);
	l->dir = fdopendir(fd);
	if (l->dir == NULL)
		return err_sys(e, "open %s", name);
	(void)fd_take(&fd); /* the stream has it now */
	/* Cut only for the topmost, whose name is the request's path. */
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	r->depth++;
	return 0;
}
