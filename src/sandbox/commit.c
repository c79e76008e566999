#include "sandbox/commit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"
#include "sys/remove.h"

enum {
	MODE_BITS = 0777, /* no set-id bit is ever written back */
	OPEN_DIR = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

/* Where everything is written first: a name that nobody else has. */
static const char *const temp = ".paddock-write-back";

struct level {
	DIR *from; /* in the upper directory */
	int to; /* in the folder */
	size_t path_n; /* of its path, with the '/' */
	bool is_git; /* git takes it for a repository, when all is written */
	bool was_git;
};

struct walk {
	struct commit *c;
	uid_t owner; /* of the folder; ours, if we are not root */
	gid_t group;
	size_t depth;
	struct level levels[COMMIT_DEPTH_MAX];
	char path[PATH_MAX];
};

static int step(struct walk *w, struct err *e);
static bool left_out(
    struct walk *w, const struct level *l, const char *name, mode_t mode);
static bool told(struct walk *w, enum commit_why why, bool refused);
static int put_dir(
    struct walk *w, const struct level *l, const char *name, struct err *e);
static int leave_dir(struct walk *w, struct err *e);
static int put_file(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e);
static int put_link(const struct walk *w, const struct level *l,
    const char *name, struct err *e);
static int put_in_place(const struct walk *w, const struct level *l,
    const char *name, struct err *e);
static int push(
    struct walk *w, int from_taken, int to_taken, size_t path_n, struct err *e);
static bool is_opaque(int dir);
static bool has(int dir, const char *name);
static void as_owner(const struct walk *w, bool owner);

int
commit_folder(struct commit *c, int upper, int folder, struct err *e)
{
	own_fd int from = openat(upper, ".", OPEN_DIR);
	own_fd int to = openat(folder, ".", OPEN_DIR);
	struct walk w = { .c = c };
	struct stat st;
	int r;

	if (from < 0 || to < 0 || fstat(to, &st) < 0)
		return err_sys(e, "open the work folder");
	w.owner = st.st_uid;
	w.group = st.st_gid;
	/* What a crash of us has left. */
	as_owner(&w, true);
	(void)unlinkat(to, temp, 0);
	as_owner(&w, false);
	r = push(&w, fd_take(&from), fd_take(&to), 0, e);
	while (r == 0 && w.depth > 0)
		r = step(&w, e);
	while (w.depth > 0) {
		struct level *l = &w.levels[--w.depth];

		(void)closedir(l->from); /* only read */
		(void)close(l->to); /* a directory: nothing to lose */
	}
	return r;
}

const char *
commit_why_name(enum commit_why why)
{
	switch (why) {
	case COMMIT_PROTECTED:
		return "protected";
	case COMMIT_FLAGGED:
		return "flagged";
	case COMMIT_SPECIAL:
		return "special";
	case COMMIT_UNREADABLE:
		return "unreadable";
	}
	return "unknown";
}

/* The next entry of the innermost folder. */
static int
step(struct walk *w, struct err *e)
{
	struct level *l = &w->levels[w->depth - 1];
	const struct dirent *x;
	struct stat st;
	size_t n;
	int r = 0;

	errno = 0;
	x = readdir(l->from);
	if (x == NULL && errno != 0)
		return err_sys(e, "read what was changed");
	if (x == NULL)
		return leave_dir(w, e);
	if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
		return 0;
	n = strlen(x->d_name);
	if (l->path_n + n + 2 > sizeof(w->path))
		return err_set(e, "write back: path over %d bytes", PATH_MAX);
	memcpy(w->path + l->path_n, x->d_name, n + 1);
	if (fstatat(dirfd(l->from), x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "write back %s", w->path);
	if (left_out(w, l, x->d_name, st.st_mode))
		return 0;
	w->c->changed++;
	if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {
		as_owner(w, true);
		r = remove_all(l->to, x->d_name, COMMIT_DEPTH_MAX, false, e);
		as_owner(w, false);
	} else if (S_ISDIR(st.st_mode)) {
		r = put_dir(w, l, x->d_name, e);
	} else if (S_ISREG(st.st_mode)) {
		r = put_file(w, l, x->d_name, &st, e);
	} else if (S_ISLNK(st.st_mode)) {
		r = put_link(w, l, x->d_name, e);
	} else {
		w->c->changed--;
		(void)told(w, COMMIT_SPECIAL, true);
	}
	return r < 0 ? err_add(e, "write back %s", w->path) : 0;
}

/* True when it is not to be written. Tells, where it was protected. */
static bool
left_out(struct walk *w, const struct level *l, const char *name, mode_t mode)
{
	const struct protect *p = &w->c->protect;
	struct str path = str_of(w->path);
	enum protect_is is = protect_name(p, path);

	/* A link or a file where a folder belongs leads elsewhere. */
	if (is == PROTECT_FREE && !S_ISDIR(mode) && !S_ISCHR(mode) &&
	    protect_above(p, path))
		is = PROTECT_RUN_BY_OTHERS;
	if (is == PROTECT_FREE && l->is_git &&
	    (strcmp(name, "hooks") == 0 || strcmp(name, "config") == 0))
		is = PROTECT_RUN_BY_OTHERS;
	/* What makes a folder of any name a repository, that was none. */
	if (is == PROTECT_FREE && l->is_git && !l->was_git &&
	    strcmp(name, "HEAD") == 0 &&
	    !(l->path_n >= 5 &&
		strncmp(w->path + l->path_n - 5, ".git/", 5) == 0))
		is = PROTECT_RUN_BY_OTHERS;
	if (is == PROTECT_FREE)
		return false;
	if (is == PROTECT_RUN_BY_OTHERS && p->flag)
		return told(w, COMMIT_FLAGGED, false);
	return told(w, COMMIT_PROTECTED, true);
}

static bool
told(struct walk *w, enum commit_why why, bool refused)
{
	w->c->tell(w->c->arg, why, w->path);
	w->c->refused += refused;
	return refused;
}

/* The same folder in both, which is then walked. */
static int
put_dir(struct walk *w, const struct level *l, const char *name, struct err *e)
{
	own_fd int from = openat(dirfd(l->from), name, OPEN_DIR), to = -1;
	size_t n = strlen(w->path);
	int r = 0;

	if (from < 0 && errno == EACCES) {
		w->c->changed--;
		(void)told(w, COMMIT_UNREADABLE, true);
		return 0;
	}
	if (from < 0)
		return err_sys(e, "open");
	as_owner(w, true);
	to = openat(l->to, name, OPEN_DIR);
	if (to < 0 ? errno == ENOTDIR || errno == ELOOP : is_opaque(from)) {
		/* Nothing of what was there is seen inside. */
		fd_fini(&to);
		r = remove_all(l->to, name, COMMIT_DEPTH_MAX, false, e);
	} else if (to < 0 && errno != ENOENT) {
		r = err_sys(e, "open");
	}
	if (r == 0 && to < 0) {
		if (mkdirat(l->to, name, 0700) < 0)
			r = err_sys(e, "mkdir");
		else
			to = openat(l->to, name, OPEN_DIR);
	}
	as_owner(w, false);
	if (r < 0)
		return -1;
	if (to < 0)
		return err_sys(e, "open");
	w->path[n] = '/';
	return push(w, fd_take(&from), fd_take(&to), n + 1, e);
}

/* All in it is written: its own mode and time last. */
static int
leave_dir(struct walk *w, struct err *e)
{
	struct level *l = &w->levels[--w->depth];
	own_fd int to = l->to;
	struct stat st;
	int r = 0;

	if (fstat(dirfd(l->from), &st) < 0)
		r = err_sys(e, "fstat");
	(void)closedir(l->from); /* only read */
	if (r < 0 || w->depth == 0)
		return r;
	as_owner(w, true);
	if (fchmod(to, st.st_mode & MODE_BITS) < 0 ||
	    futimens(to, (struct timespec[]){ st.st_atim, st.st_mtim }) < 0)
		r = err_sys(e, "write back the mode of a folder");
	as_owner(w, false);
	return r;
}

static int
put_file(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e)
{
	own_fd int from = openat(dirfd(l->from), name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	own_fd int to = -1;
	int r = 0;

	if (from < 0 && errno == EACCES) {
		w->c->changed--;
		(void)told(w, COMMIT_UNREADABLE, true);
		return 0;
	}
	if (from < 0)
		return err_sys(e, "open");
	as_owner(w, true);
	to = openat(l->to, temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		r = err_sys(e, "create %s", temp);
	else if (fd_copy_sparse(from, to, st->st_size, e) < 0)
		r = -1;
	else if (fchmod(to, st->st_mode & MODE_BITS) < 0 ||
	    futimens(to, (struct timespec[]){ st->st_atim, st->st_mtim }) < 0)
		r = err_sys(e, "mode");
	else
		r = put_in_place(w, l, name, e);
	if (r < 0)
		(void)unlinkat(l->to, temp, 0); /* may not be there */
	as_owner(w, false);
	return r;
}

static int
put_link(const struct walk *w, const struct level *l, const char *name,
    struct err *e)
{
	char target[PATH_MAX];
	ssize_t n =
	    readlinkat(dirfd(l->from), name, target, sizeof(target) - 1);
	int r = 0;

	if (n < 0)
		return err_sys(e, "readlink");
	target[n] = '\0';
	as_owner(w, true);
	if (symlinkat(target, l->to, temp) < 0)
		r = err_sys(e, "symlink");
	else
		r = put_in_place(w, l, name, e);
	if (r < 0)
		(void)unlinkat(l->to, temp, 0); /* may not be there */
	as_owner(w, false);
	return r;
}

/* From the temporary name; over whatever has the name by now. */
static int
put_in_place(const struct walk *w, const struct level *l, const char *name,
    struct err *e)
{
	(void)w;
	if (renameat(l->to, temp, l->to, name) == 0)
		return 0;
	if (errno != EISDIR && errno != EEXIST && errno != ENOTEMPTY)
		return err_sys(e, "rename");
	if (remove_all(l->to, name, COMMIT_DEPTH_MAX, false, e) < 0)
		return -1;
	if (renameat(l->to, temp, l->to, name) < 0)
		return err_sys(e, "rename");
	return 0;
}

static int
push(struct walk *w, int from_taken, int to_taken, size_t path_n, struct err *e)
{
	own_fd int from = from_taken, to = to_taken;
	struct level *l = &w->levels[w->depth];
	static const char *const parts[] = { "HEAD", "objects", "refs" };

	if (w->depth == COMMIT_DEPTH_MAX)
		return err_set(
		    e, "over %d folders below each other", COMMIT_DEPTH_MAX);
	*l = (struct level){
		.to = to,
		.path_n = path_n,
		.is_git = true,
		.was_git = true,
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const bool was = has(to, parts[i]);

		l->was_git &= was;
		l->is_git &= was || has(from, parts[i]);
	}
	l->from = fdopendir(from);
	if (l->from == NULL)
		return err_sys(e, "open a folder");
	(void)fd_take(&from);
	(void)fd_take(&to);
	w->depth++;
	return 0;
}

/* overlayfs.rst: nothing of the folder below shows through this one. */
static bool
is_opaque(int dir)
{
	char value = 0;

	return (fgetxattr(dir, "trusted.overlay.opaque", &value, 1) == 1 ||
		   fgetxattr(dir, "user.overlay.opaque", &value, 1) == 1) &&
	    value == 'y';
}

static bool
has(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * As root: the owner's rights for what is done in the folder, root's again for
 * what lies in the sandbox. setfsuid(2) takes the capabilities that overrule
 * modes away with the user, and gives them back with it.
 */
static void
as_owner(const struct walk *w, bool owner)
{
	int saved = errno;

	if (geteuid() != 0)
		return;
	if (owner)
		(void)setfsgid(w->group);
	(void)setfsuid(owner ? w->owner : 0);
	if (!owner)
		(void)setfsgid(0);
	must(!owner || (uid_t)setfsuid((uid_t)-1) == w->owner);
	errno = saved;
}
