#include "sandbox/planted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/folder.h"
#include "sys/fd.h"

/* What a file was like: whoever writes it, or puts another one in its place,
 * cannot keep all of this. */
struct planted_file {
	size_t path; /* where in planted_folder.paths */
	uint64_t ino;
	int64_t size;
	struct timespec changed; /* ctime, which nobody can set */
};

struct level {
	DIR *dir;
	size_t path_n; /* of its path, with the '/' */
	bool inside; /* at or below a protected name */
	bool is_git;
};

struct walk {
	struct planted_folder *of;
	const struct protect *protect;
	/* Each file found; -1 with e ends the walk. */
	int (*on_file)(struct walk *w, const struct stat *st, struct err *e);
	void (*tell)(void *arg, const char *path);
	void *arg;
	uint32_t told;
	unsigned long entries;
	size_t depth;
	struct level levels[GUARD_DEPTH_MAX];
	char path[PATH_MAX];
};

static int walk(struct walk *w, struct err *e);
static int step(struct walk *w, struct err *e);
static int look_at(struct walk *w, const char *name, struct err *e);
static bool is_protected(
    const struct walk *w, const struct level *l, const char *name, bool is_dir);
static int enter(struct walk *w, int at, const char *name, size_t path_n,
    bool inside, struct err *e);
static int remember(struct walk *w, const struct stat *st, struct err *e);
static int compare(struct walk *w, const struct stat *st, struct err *e);
static void tell_one(struct walk *w, const char *what);
static int by_path(const void *a, const void *b, void *paths);

int
planted_begin(struct planted *p, const struct sandbox_spec *spec, struct err *e)
{
	*p = (struct planted){ .protect = spec->protect };
	for (unsigned i = 0; i < spec->n_mounts; i++) {
		const struct sandbox_mount *m = &spec->mounts[i];
		struct planted_folder *f = &p->folder[p->n];
		struct walk w = {
			.of = f,
			.protect = &p->protect,
			.on_file = remember,
		};

		if (m->mode != SANDBOX_RW)
			continue;
		f->fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
		if (f->fd < 0) {
			planted_fini(p);
			return err_sys(e, "dup");
		}
		p->n++;
		f->to = strdup(m->to);
		if (f->to == NULL || walk(&w, e) < 0) {
			if (f->to == NULL)
				(void)err_set(e, "out of memory");
			planted_fini(p);
			return err_add(e, "mount at %s", m->to);
		}
		if (f->n > 0)
			qsort_r(f->files, f->n, sizeof(*f->files), by_path,
			    f->paths.p);
	}
	return 0;
}

uint32_t
planted_tell(
    struct planted *p, void (*tell)(void *arg, const char *path), void *arg)
{
	uint32_t told = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct walk w = {
			.of = &p->folder[i],
			.protect = &p->protect,
			.on_file = compare,
			.tell = tell,
			.arg = arg,
		};
		struct err e = {};

		if (walk(&w, &e) < 0)
			tell_one(&w, e.text);
		told += w.told;
	}
	return told;
}

void
planted_fini(struct planted *p)
{
	while (p->n > 0) {
		struct planted_folder *f = &p->folder[--p->n];

		fd_fini(&f->fd);
		free(f->to);
		free(f->files);
		buf_fini(&f->paths);
	}
	*p = (struct planted){};
}

static int
walk(struct walk *w, struct err *e)
{
	int r = enter(w, w->of->fd, ".", 0, false, e);

	while (r == 0 && w->depth > 0)
		r = step(w, e);
	while (w->depth > 0)
		(void)closedir(w->levels[--w->depth].dir); /* only read */
	return r;
}

/* The next entry of the innermost folder. */
static int
step(struct walk *w, struct err *e)
{
	struct level *l = &w->levels[w->depth - 1];
	const struct dirent *x;

	errno = 0;
	x = readdir(l->dir);
	if (x == NULL && errno != 0)
		return err_sys(e, "read a folder");
	if (x == NULL) {
		(void)closedir(l->dir); /* only read */
		w->depth--;
		return 0;
	}
	if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
		return 0;
	return look_at(w, x->d_name, e);
}

static int
look_at(struct walk *w, const char *name, struct err *e)
{
	const struct level *l = &w->levels[w->depth - 1];
	size_t n = strlen(name);
	struct stat st;
	bool in;

	if (++w->entries > GUARD_ENTRIES_MAX)
		return err_set(e,
		    "over %d files: too many to look for what other programs "
		    "execute",
		    GUARD_ENTRIES_MAX);
	if (l->path_n + n + 2 > sizeof(w->path))
		return err_set(e, "path over %d bytes", PATH_MAX);
	memcpy(w->path + l->path_n, name, n + 1);
	if (fstatat(dirfd(l->dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "stat %s", w->path);
	in = is_protected(w, l, name, S_ISDIR(st.st_mode));
	if (!S_ISDIR(st.st_mode))
		return in ? w->on_file(w, &st, e) : 0;
	n += l->path_n;
	w->path[n] = '/';
	if (enter(w, dirfd(l->dir), name, n + 1, in, e) == 0)
		return 0;
	w->path[n] = '\0';
	/* Closed to us: what is in it cannot be told, so the folder is. A
	 * stranger's mount in it is not seen inside. */
	if (e->sys == EACCES)
		return w->on_file(w, &st, e);
	return e->sys == EXDEV || e->sys == ENOENT ? 0 : -1;
}

static bool
is_protected(
    const struct walk *w, const struct level *l, const char *name, bool is_dir)
{
	const struct str path = str_of(w->path);

	/* A link or a file where a folder belongs leads elsewhere. */
	return l->inside || protect_name(w->protect, path) != PROTECT_FREE ||
	    (!is_dir && protect_above(w->protect, path)) ||
	    (l->is_git &&
		(strcmp(name, "hooks") == 0 || strcmp(name, "config") == 0));
}

/* By its name from the one above, never through a link or into a mount. */
static int
enter(struct walk *w, int at, const char *name, size_t path_n, bool inside,
    struct err *e)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	own_fd int fd = -1;
	DIR *dir;

	if (w->depth == GUARD_DEPTH_MAX)
		return err_set(
		    e, "over %d folders below each other", GUARD_DEPTH_MAX);
	fd = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
	if (fd < 0)
		return err_sys(e, "open %s", name);
	dir = fdopendir(fd);
	if (dir == NULL)
		return err_sys(e, "open %s", name);
	w->levels[w->depth++] = (struct level){
		.dir = dir,
		.path_n = path_n,
		.inside = inside,
		.is_git = folder_is_git(fd),
	};
	(void)fd_take(&fd); /* the directory's own now */
	return 0;
}

static int
remember(struct walk *w, const struct stat *st, struct err *e)
{
	struct planted_folder *f = w->of;

	if (f->n == PLANTED_FILES_MAX)
		return err_set(e,
		    "over %d files that other programs execute; choose a "
		    "folder below it",
		    PLANTED_FILES_MAX);
	if (f->n == f->cap) {
		size_t cap = f->cap > 0 ? 2 * f->cap : 64;
		void *more = realloc(f->files, cap * sizeof(*f->files));

		if (more == NULL)
			return err_set(e, "out of memory");
		f->files = more;
		f->cap = cap;
	}
	f->files[f->n++] = (struct planted_file){
		.path = f->paths.n,
		.ino = st->st_ino,
		.size = st->st_size,
		.changed = st->st_ctim,
	};
	buf_add(&f->paths, w->path, strlen(w->path) + 1);
	return f->paths.failed ? err_set(e, "out of memory") : 0;
}

static int
compare(struct walk *w, const struct stat *st, struct err *e)
{
	const struct planted_folder *f = w->of;
	size_t low = 0, high = f->n;

	(void)e;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct planted_file *x = &f->files[mid];
		int order = strcmp(w->path, f->paths.p + x->path);

		if (order == 0) {
			/* A closed folder's time changes with its entries. */
			if (x->ino == st->st_ino && x->size == st->st_size &&
			    x->changed.tv_sec == st->st_ctim.tv_sec &&
			    x->changed.tv_nsec == st->st_ctim.tv_nsec)
				return 0;
			break;
		}
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	tell_one(w, w->path);
	return 0;
}

static void
tell_one(struct walk *w, const char *what)
{
	char full[2 * PATH_MAX];

	(void)snprintf(full, sizeof(full), "%s%s%s", w->of->to,
	    what == w->path ? "/" : ": ", what);
	w->told++;
	w->tell(w->arg, full);
}

static int
by_path(const void *a, const void *b, void *paths)
{
	const struct planted_file *x = a, *y = b;
	const char *text = paths;

	return strcmp(text + x->path, text + y->path);
}
