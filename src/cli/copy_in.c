#include "cli/copy_in.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "sys/fd.h"

/* An open folder, and how much of the name before an entry is its path. */
struct level {
	DIR *dir;
	size_t path_n;
};

struct walk {
	const struct copy_in *to;
	size_t depth;
	char path[PATH_MAX]; /* of the current entry, from the top */
	struct level levels[COPY_MAX_DEPTH];
};

static int enter(struct walk *w, int fd, size_t path_n, struct err *e);
static int show(struct walk *w, const char *name, size_t n, struct err *e);

int
copy_in_walk(const char *top, const struct copy_in *to, struct err *e)
{
	static struct walk w; /* too large for the stack */
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	w.to = to;
	w.depth = 0;
	if (fd < 0)
		return err_sys(e, "%s", top);
	r = enter(&w, fd, 0, e);
	while (r == 0 && w.depth > 0) {
		struct level *at = &w.levels[w.depth - 1];
		const struct dirent *d;
		int n;

		errno = 0;
		d = readdir(at->dir);
		if (d == NULL && errno != 0) {
			r = err_sys(e, "read %s", top);
		} else if (d == NULL) {
			(void)closedir(at->dir);
			w.depth--;
		} else if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0) {
			n = snprintf(w.path + at->path_n,
			    sizeof(w.path) - at->path_n, "%s%s",
			    at->path_n > 0 ? "/" : "", d->d_name);
			if (n < 0 || (size_t)n >= sizeof(w.path) - at->path_n)
				to->on_other(to->arg, str_of(d->d_name),
				    "its path is too long");
			else
				r = show(
				    &w, d->d_name, at->path_n + (size_t)n, e);
		}
	}
	while (w.depth > 0)
		(void)closedir(w.levels[--w.depth].dir);
	return r;
}

/* Takes fd over. */
static int
enter(struct walk *w, int fd, size_t path_n, struct err *e)
{
	DIR *dir = fdopendir(fd);

	if (dir == NULL) {
		(void)close(fd);
		return err_sys(e, "open a folder");
	}
	w->levels[w->depth++] = (struct level){ dir, path_n };
	return 0;
}

/* Opened without following or waiting, and only then looked at. */
static int
show(struct walk *w, const char *name, size_t n, struct err *e)
{
	const struct copy_in *to = w->to;
	struct str path = { w->path, n };
	own_fd int fd = openat(dirfd(w->levels[w->depth - 1].dir), name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		to->on_other(to->arg, path,
		    errno == ELOOP ? "symlink" : strerror(errno));
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", name);
	if (S_ISREG(st.st_mode))
		return to->on_file(to->arg, path, fd, &st, e);
	if (!S_ISDIR(st.st_mode)) {
		to->on_other(to->arg, path, "neither file nor folder");
		return 0;
	}
	if (w->depth == COPY_MAX_DEPTH) {
		to->on_other(to->arg, path, "it is too deep");
		return 0;
	}
	if (to->on_folder(to->arg, path, e) < 0)
		return -1;
	return enter(w, fd_take(&fd), n, e);
}
