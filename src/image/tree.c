#include "image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/dir.h"
#include "sys/fd.h"

/* Room for what lies above an image's files in the image store. */
enum { LEVELS = IMAGE_MAX_DEPTH + 8, NAME_SHOWN = 200 };

/* A directory that is being emptied. */
struct level {
	DIR *dir;
	size_t path_n; /* of its path, in struct sweep */
};

struct sweep {
	struct level levels[LEVELS];
	size_t n;
	char path[2 * TREE_PATH_BYTES];
	size_t path_n;
	const struct pathset *keep;
};

static int step(struct sweep *s, struct err *e);
static int enter(struct sweep *s, int dir, const char *name, struct err *e);
static int leave(struct sweep *s, struct err *e);
static int fail_open(const char *path, int flags, struct err *e);

int
tree_path(struct str name, char out[static TREE_PATH_BYTES], struct err *e)
{
	size_t n = 0, depth = 0;
	int shown = (int)(name.n < NAME_SHOWN ? name.n : NAME_SHOWN);

	if (name.n > 1 && name.p[0] == '/' && str_find(name, '/') == 0) {
		struct str rest = name;

		while (rest.n > 0 && rest.p[0] == '/')
			rest = (struct str){ rest.p + 1, rest.n - 1 };
		if (rest.n > 0)
			return err_set(
			    e, "%.*s: an absolute name", shown, name.p);
	}
	for (size_t i = 0; i < name.n;) {
		struct str part = { name.p + i, name.n - i };

		part.n = str_find(part, '/');
		i += part.n + 1;
		if (part.n == 0 || str_eq_c(part, "."))
			continue;
		if (str_eq_c(part, ".."))
			return err_set(
			    e, "%.*s: a name with ..", shown, name.p);
		if (part.n > NAME_MAX || n + 1 + part.n >= TREE_PATH_BYTES)
			return err_set(e,
			    "%.*s...: the name is longer than %d bytes", shown,
			    name.p,
			    part.n > NAME_MAX ? NAME_MAX
					      : IMAGE_MAX_PATH_BYTES);
		if (++depth > IMAGE_MAX_DEPTH)
			return err_set(e, "%.*s...: deeper than %d directories",
			    shown, name.p, IMAGE_MAX_DEPTH);
		if (n > 0)
			out[n++] = '/';
		memcpy(out + n, part.p, part.n);
		n += part.n;
	}
	out[n] = '\0';
	return 0;
}

int
tree_open(int dir, const char *path, int flags, mode_t mode, struct err *e)
{
	int fd = dir_open(dir, path, flags, mode);

	return fd >= 0 ? fd : fail_open(path, flags, e);
}

int
tree_open_file(int dir, const char *path, struct err *e)
{
	/* A FIFO would block; O_NONBLOCK changes nothing for a file. */
	own_fd int fd = tree_open(dir, path, O_RDONLY | O_NONBLOCK, 0, e);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat %.*s", NAME_SHOWN, path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, "%.*s: not a regular file", NAME_SHOWN, path);
	return fd_take(&fd);
}

int
tree_replace_file(int dir, const char *name, struct buf *b, struct err *e)
{
	char tmp[NAME_MAX + 1];
	own_fd int fd = -1;

	if (b->failed)
		return err_set(e, "%s: out of memory", name);
	(void)snprintf(tmp, sizeof(tmp), "tmp-%s", name);
	if (unlinkat(dir, tmp, 0) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", tmp);
	fd = tree_open(dir, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
	if (fd < 0 || fd_write_all(fd, b->p, b->n, e) < 0)
		return err_add(e, "write %s", name);
	if (fsync(fd) < 0)
		return err_sys(e, "fsync %s", name);
	if (renameat(dir, tmp, dir, name) < 0)
		return err_sys(e, "rename %s", name);
	if (fsync(dir) < 0)
		return err_sys(e, "fsync the directory of %s", name);
	return 0;
}

int
tree_parent(
    int dir, const char *path, bool make, const char **leaf, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char parent[TREE_PATH_BYTES];
	own_fd int fd = -1;
	size_t n;

	*leaf = slash == NULL ? path : slash + 1;
	n = slash == NULL ? 0 : (size_t)(slash - path);
	memcpy(parent, path, n);
	parent[n] = '\0';
	fd = dir_open(dir, parent, O_PATH | O_DIRECTORY, 0);
	if (fd >= 0)
		return fd_take(&fd);
	if (errno != ENOENT || !make)
		return fail_open(parent, O_DIRECTORY, e);

	/* Part by part, making what is missing. */
	fd = tree_open(dir, "", O_PATH | O_DIRECTORY, 0, e);
	for (size_t i = 0; fd >= 0 && i <= n;) {
		char *part = parent + i;
		size_t part_n = strcspn(part, "/");
		int next;

		part[part_n] = '\0';
		if (mkdirat(fd, part, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "mkdir %.*s", NAME_SHOWN, path);
		next = tree_open(fd, part, O_PATH | O_DIRECTORY, 0, e);
		fd_fini(&fd);
		fd = next;
		i += part_n + 1;
	}
	return fd_take(&fd);
}

int
tree_remove(int dir, const char *name, struct err *e)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(e, "remove %.*s", NAME_SHOWN, name);
	if (tree_clear(dir, name, NULL, e) < 0)
		return -1;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
		return err_sys(e, "remove %.*s", NAME_SHOWN, name);
	return 0;
}

int
tree_clear(int dir, const char *path, const struct pathset *keep, struct err *e)
{
	struct sweep s = { .keep = keep, .path_n = strlen(path) };
	int r;

	if (s.path_n >= TREE_PATH_BYTES)
		return err_set(e, "remove: the name is too long");
	memcpy(s.path, path, s.path_n + 1);
	r = enter(&s, dir, path, e);
	while (r == 0 && s.n > 0)
		r = step(&s, e);
	while (s.n > 0)
		(void)closedir(s.levels[--s.n].dir); /* read only */
	return r;
}

/* The next name of the innermost directory. */
static int
step(struct sweep *s, struct err *e)
{
	struct level *l = &s->levels[s->n - 1];
	struct dirent *d;
	size_t name_n;

	errno = 0;
	d = readdir(l->dir);
	if (d == NULL && errno != 0)
		return err_sys(e, "read a directory");
	if (d == NULL)
		return leave(s, e);
	if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
		return 0;
	name_n = strlen(d->d_name);
	if (l->path_n + 1 + name_n >= sizeof(s->path))
		return err_set(e, "remove: the name is too long");
	s->path_n = l->path_n;
	if (s->path_n > 0)
		s->path[s->path_n++] = '/';
	memcpy(s->path + s->path_n, d->d_name, name_n + 1);
	s->path_n += name_n;
	if (d->d_type != DT_DIR &&
	    (s->keep == NULL ||
		!pathset_has(s->keep, (struct str){ s->path, s->path_n }))) {
		if (unlinkat(dirfd(l->dir), d->d_name, 0) == 0)
			return 0;
		if (errno != EISDIR)
			return err_sys(e, "remove %.*s", NAME_SHOWN, s->path);
	}
	/* Not all file systems tell the type; what is kept and no directory
	 * cannot be entered, and stays. */
	if (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN)
		return enter(s, dirfd(l->dir), d->d_name, e);
	return 0;
}

static int
enter(struct sweep *s, int dir, const char *name, struct err *e)
{
	own_fd int fd = -1;
	DIR *d;

	if (s->n == LEVELS)
		return err_set(e, "remove %.*s...: deeper than %d directories",
		    NAME_SHOWN, s->path, LEVELS);
	fd = dir_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 && s->n > 0 && (errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd < 0)
		return err_sys(e, "remove %.*s", NAME_SHOWN, s->path);
	d = fdopendir(fd);
	if (d == NULL)
		return err_sys(e, "remove %.*s", NAME_SHOWN, s->path);
	(void)fd_take(&fd); /* closedir() closes it */
	s->levels[s->n++] = (struct level){ d, s->path_n };
	/* cppcheck-suppress resourceLeak ; leave() closes it */
	return 0;
}

/* The innermost directory is empty, or holds what is kept. */
static int
leave(struct sweep *s, struct err *e)
{
	size_t end = s->levels[--s->n].path_n, start = end;
	struct str path = { s->path, end };

	(void)closedir(s->levels[s->n].dir); /* read only */
	if (s->n == 0)
		return 0;
	s->path[end] = '\0';
	if (s->keep != NULL && pathset_has(s->keep, path))
		return 0;
	while (start > 0 && s->path[start - 1] != '/')
		start--;
	if (unlinkat(dirfd(s->levels[s->n - 1].dir), s->path + start,
		AT_REMOVEDIR) < 0)
		return err_sys(e, "remove %.*s", NAME_SHOWN, s->path);
	return 0;
}

/* By errno. */
static int
fail_open(const char *path, int flags, struct err *e)
{
	if (errno == ELOOP || (errno == ENOTDIR && (flags & O_DIRECTORY) != 0))
		return err_set(e,
		    "%.*s: a symbolic link or a file where a directory belongs",
		    NAME_SHOWN, path);
	return err_sys(e, "%.*s", NAME_SHOWN, path);
}
