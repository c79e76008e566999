#include "supervisor/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/limits.h"
#include "supervisor/digest.h"
#include "supervisor/layer_early.h"
#include "supervisor/layer_int.h"
#include "sys/fd.h"
#include "sys/remove.h"

enum {
	OPEN_DIR = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	OPEN_FILE = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	SMALL_BYTES = 64 * 1024, /* read and written at once */
	FILE_BITS = 0777, /* no set-id bit */
	DIR_BITS = 01777,
	MARK_BYTES = 1024, /* of a redirect: a path below the root */
	MARKS = 4,
	NAMES_BYTES = 4096, /* of a file's attributes */
};

/* overlayfs.rst: of which only the kind that it looks at can do anything. */
static const char *const marks[MARKS] = { "trusted.overlay.opaque",
	"trusted.overlay.redirect", "user.overlay.opaque",
	"user.overlay.redirect" };

/* A file with several names, and the first of them that was copied. */
struct layer_link {
	dev_t dev;
	ino_t ino;
	char *path;
};

/* One line, and the path that it is sorted by. */
struct line {
	size_t at, n, path, path_n;
};

struct list {
	struct buf text, paths;
	size_t n, room;
	struct line *line;
};

static int copy_one(struct walk *w, void *arg, const char *name,
    const struct stat *st, struct err *e);
static int copy_dir(
    struct walk *w, const struct level *l, const char *name, struct err *e);
static int copy_marks(int from, int to, struct err *e);
static int leave_dir(struct walk *w, const struct level *l, struct err *e);
static int copy_file(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e);
static int copy_bytes(int from, int to, const struct stat *st, struct err *e);
static int copy_link(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e);
static int again(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e);
static int count(struct walk *w, const struct stat *st, struct err *e);
static int list_top(struct list *list, int layer, struct err *e);
static int list_one(struct walk *w, void *arg, const char *name,
    const struct stat *st, struct err *e);
static int list_dir(struct walk *w, struct list *list, const struct level *l,
    const char *name, const struct stat *st, struct err *e);
static int list_file(struct list *list, const struct level *l, const char *name,
    const struct stat *st, struct err *e);
static int list_link(
    struct list *list, const struct level *l, const char *name, struct err *e);
static int hash_file(int fd, size_t n, struct hash *out, struct err *e);
static int check_attributes(int fd, struct err *e);
static int add_line(
    struct list *list, const char *path, size_t at, struct err *e);
static void put_mode(struct buf *out, const struct stat *st);
static void put_text(struct buf *out, const char *s);
static int by_path(const void *a, const void *b, void *paths);

int
layer_copy(int upper, int to, struct layer_early *early, uid_t owner,
    gid_t group, struct layer_sum *sum, struct err *e)
{
	struct walk *w = calloc(1, sizeof(*w));
	own_fd int root = openat(to, ".", OPEN_DIR);
	int r = -1;

	if (w == NULL || root < 0) {
		free(w);
		return err_sys(e, "open the snapshot");
	}
	*sum = (struct layer_sum){};
	w->sum = sum;
	w->early = early;
	w->owner = owner;
	w->group = group;
	w->root = root;
	r = layer_walk(w, upper, to, copy_one, leave_dir, NULL, e);
	for (size_t i = 0; i < w->n_links; i++)
		free(w->links[i].path);
	free(w->links);
	free(w);
	return r;
}

int
layer_list(int layer, struct buf *out, struct err *e)
{
	struct walk *w = calloc(1, sizeof(*w));
	struct layer_sum sum = {};
	struct list list = { .text.max = SNAPSHOT_LIST_BYTES,
		.paths.max = SNAPSHOT_LIST_BYTES };
	int r = -1;

	if (w == NULL)
		return err_set(e, "out of memory");
	w->sum = &sum;
	r = list_top(&list, layer, e);
	if (r == 0)
		r = layer_walk(w, layer, -1, list_one, NULL, &list, e);
	if (r == 0 && list.n > 0)
		qsort_r(list.line, list.n, sizeof(list.line[0]), by_path,
		    list.paths.p);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		buf_add(out, list.text.p + list.line[i].at, list.line[i].n);
	if (r == 0 && out->failed)
		r = err_set(e, "over %d bytes of names", SNAPSHOT_LIST_BYTES);
	free(list.line);
	buf_fini(&list.text);
	buf_fini(&list.paths);
	free(w);
	return r;
}

int
layer_compare(struct str want, struct str got, struct err *e)
{
	while (want.n > 0 || got.n > 0) {
		const struct str a = { want.p, str_find(want, '\n') };
		const struct str b = { got.p, str_find(got, '\n') };

		if (a.n != b.n || (a.n > 0 && memcmp(a.p, b.p, a.n) != 0))
			return err_set(e,
			    "the snapshot was changed: it should have %.*s, "
			    "and has %.*s",
			    (int)(a.n > 0 ? (a.n < 90 ? a.n : 90) : 7),
			    a.n > 0 ? a.p : "nothing",
			    (int)(b.n > 0 ? (b.n < 90 ? b.n : 90) : 7),
			    b.n > 0 ? b.p : "nothing");
		want.p += a.n < want.n ? a.n + 1 : a.n;
		want.n -= a.n < want.n ? a.n + 1 : a.n;
		got.p += b.n < got.n ? b.n + 1 : b.n;
		got.n -= b.n < got.n ? b.n + 1 : b.n;
	}
	return 0;
}

int
layer_remove(int dir, const char *name, struct err *e)
{
	/* Its list and itself lie above the deepest folder that is copied. */
	return remove_all(dir, name, COMMIT_DEPTH_MAX + 4, true, e);
}

/* Each entry of all folders below from; leave for a folder that is done. */
int
layer_walk(struct walk *w, int from, int to,
    int (*on)(struct walk *w, void *arg, const char *name,
	const struct stat *st, struct err *e),
    int (*leave)(struct walk *w, const struct level *l, struct err *e),
    void *arg, struct err *e)
{
	own_fd int top = openat(from, ".", OPEN_DIR);
	own_fd int into = to < 0 ? -1 : openat(to, ".", OPEN_DIR);
	int r = 0;

	if (top < 0 || (to >= 0 && into < 0))
		return err_sys(e, "open the files");
	r = layer_push(w, fd_take(&top), fd_take(&into), 0, e);
	while (r == 0 && w->depth > 0) {
		struct level *l = &w->levels[w->depth - 1];
		const struct dirent *x;
		struct stat st;
		size_t n;

		errno = 0;
		x = readdir(l->from);
		if (x == NULL && errno != 0) {
			r = err_sys(e, "read a folder");
			break;
		}
		if (x == NULL) {
			if (leave != NULL)
				r = leave(w, l, e);
			(void)closedir(l->from); /* only read */
			fd_fini(&l->to);
			w->depth--;
			continue;
		}
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		n = strlen(x->d_name);
		if (l->path_n + n + 2 > sizeof(w->path)) {
			r = err_set(e, "a path over %d bytes", PATH_MAX);
			break;
		}
		memcpy(w->path + l->path_n, x->d_name, n + 1);
		if (fstatat(dirfd(l->from), x->d_name, &st,
			AT_SYMLINK_NOFOLLOW) < 0)
			r = err_sys(e, "stat");
		else if (++w->sum->entries > SNAPSHOT_ENTRIES_MAX)
			r = err_set(e, "over %d files", SNAPSHOT_ENTRIES_MAX);
		else
			r = on(w, arg, x->d_name, &st, e);
		if (r < 0)
			(void)err_add(e, "%s", w->path);
	}
	while (w->depth > 0) {
		struct level *l = &w->levels[--w->depth];

		(void)closedir(l->from); /* only read */
		fd_fini(&l->to);
	}
	return r;
}

int
layer_push(
    struct walk *w, int from_taken, int to_taken, size_t path_n, struct err *e)
{
	own_fd int from = from_taken, to = to_taken;
	struct level *l = &w->levels[w->depth];

	if (w->depth == COMMIT_DEPTH_MAX)
		return err_set(
		    e, "over %d folders below each other", COMMIT_DEPTH_MAX);
	*l = (struct level){ .to = to, .path_n = path_n };
	l->from = fdopendir(from);
	if (l->from == NULL)
		return err_sys(e, "open a folder");
	(void)fd_take(&from);
	(void)fd_take(&to);
	w->depth++;
	return 0;
}

static int
copy_one(struct walk *w, void *arg, const char *name, const struct stat *st,
    struct err *e)
{
	const struct level *l = &w->levels[w->depth - 1];

	(void)arg;
	if (S_ISDIR(st->st_mode))
		return copy_dir(w, l, name, e);
	if (S_ISREG(st->st_mode))
		return copy_file(w, l, name, st, e);
	if (S_ISLNK(st->st_mode))
		return copy_link(w, l, name, st, e);
	/* The mark of what is gone, which takes no right to make. */
	if (S_ISCHR(st->st_mode) && st->st_rdev == 0)
		return mknodat(l->to, name, S_IFCHR, makedev(0, 0)) < 0
		    ? err_sys(e, "mark what is gone")
		    : 0;
	w->sum->entries--;
	w->sum->left_out++;
	return 0;
}

/* Its mode and time come last: leave_dir. */
static int
copy_dir(struct walk *w, const struct level *l, const char *name, struct err *e)
{
	own_fd int from = openat(dirfd(l->from), name, OPEN_DIR), to = -1;
	size_t n = strlen(w->path);

	if (from < 0)
		return err_sys(e, "open");
	if (mkdirat(l->to, name, 0700) < 0)
		return err_sys(e, "mkdir");
	to = openat(l->to, name, OPEN_DIR);
	if (to < 0)
		return err_sys(e, "open");
	w->path[n] = '/';
	return layer_push(w, fd_take(&from), fd_take(&to), n + 1, e);
}

static int
copy_marks(int from, int to, struct err *e)
{
	for (size_t i = 0; i < MARKS; i++) {
		char value[MARK_BYTES];
		ssize_t n = fgetxattr(from, marks[i], value, sizeof(value));

		if (n < 0 &&
		    (errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM))
			continue;
		if (n < 0 || fsetxattr(to, marks[i], value, (size_t)n, 0) < 0)
			return err_sys(e, "%s", marks[i]);
	}
	return 0;
}

static int
leave_dir(struct walk *w, const struct level *l, struct err *e)
{
	struct stat st;

	if (fstat(dirfd(l->from), &st) < 0)
		return err_sys(e, "fstat");
	if (copy_marks(dirfd(l->from), l->to, e) < 0)
		return -1;
	if ((geteuid() == 0 && fchown(l->to, w->owner, w->group) < 0) ||
	    fchmod(l->to, st.st_mode & DIR_BITS) < 0 ||
	    futimens(l->to, (struct timespec[]){ st.st_mtim, st.st_mtim }) < 0)
		return err_sys(e, "mode of a folder");
	return 0;
}

static int
copy_file(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e)
{
	own_fd int from = -1, to = -1;
	int r;

	if (count(w, st, e) < 0)
		return -1;
	r = st->st_nlink > 1 ? again(w, l, name, st, e) : 0;
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (w->early != NULL && layer_early_take(w->early, st, l->to, name)) {
		w->sum->bytes += (uint64_t)st->st_blocks * 512;
		return 0;
	}
	from = openat(dirfd(l->from), name, OPEN_FILE);
	if (from < 0)
		return err_sys(e, "open");
	to = openat(l->to, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(e, "create");
	if (copy_bytes(from, to, st, e) < 0)
		return -1;
	if ((geteuid() == 0 && fchown(to, w->owner, w->group) < 0) ||
	    fchmod(to, st->st_mode & FILE_BITS) < 0 ||
	    futimens(to, (struct timespec[]){ st->st_mtim, st->st_mtim }) < 0)
		return err_sys(e, "mode");
	w->sum->bytes += (uint64_t)st->st_blocks * 512;
	return 0;
}

static int
copy_bytes(int from, int to, const struct stat *st, struct err *e)
{
	static char small[SMALL_BYTES];

	if (st->st_size <= SMALL_BYTES) {
		ssize_t n = read(from, small, sizeof(small));

		if (n < 0)
			return err_sys(e, "read");
		return fd_write_all(to, small, (size_t)n, e);
	}
	return fd_copy_sparse(from, to, st->st_size, e);
}

static int
copy_link(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e)
{
	char target[PATH_MAX];
	ssize_t n =
	    readlinkat(dirfd(l->from), name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(e, "readlink");
	target[n] = '\0';
	if (symlinkat(target, l->to, name) < 0 ||
	    (geteuid() == 0 &&
		fchownat(l->to, name, w->owner, w->group, AT_SYMLINK_NOFOLLOW) <
		    0) ||
	    utimensat(l->to, name,
		(struct timespec[]){ st->st_mtim, st->st_mtim },
		AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "symlink");
	return 0;
}

/*
 * Of a file with several names the second and all that follow are names of the
 * same copy: else one large file with many names would fill the disk. 1 when
 * that is done, 0 for its first name.
 */
static int
again(struct walk *w, const struct level *l, const char *name,
    const struct stat *st, struct err *e)
{
	struct layer_link *more;

	for (size_t i = 0; i < w->n_links; i++) {
		const struct layer_link *k = &w->links[i];

		if (k->dev != st->st_dev || k->ino != st->st_ino)
			continue;
		return linkat(w->root, k->path, l->to, name, 0) < 0
		    ? err_sys(e, "link")
		    : 1;
	}
	if (w->n_links == SNAPSHOT_LINKS_MAX)
		return err_set(
		    e, "over %d files with several names", SNAPSHOT_LINKS_MAX);
	more = realloc(w->links, (w->n_links + 1) * sizeof(*more));
	if (more == NULL)
		return err_set(e, "out of memory");
	w->links = more;
	more[w->n_links] = (struct layer_link){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.path = strdup(w->path),
	};
	if (more[w->n_links].path == NULL)
		return err_set(e, "out of memory");
	w->n_links++;
	return 0;
}

/* What is to be hashed has an end, and a hole is hashed like all else. */
static int
count(struct walk *w, const struct stat *st, struct err *e)
{
	const uint64_t max = (uint64_t)SNAPSHOT_MAX_MB << 20;

	if ((uint64_t)st->st_size > max - w->logical)
		return err_set(
		    e, "files of over %d MiB together", SNAPSHOT_MAX_MB);
	w->logical += (uint64_t)st->st_size;
	return 0;
}

static int
list_top(struct list *list, int layer, struct err *e)
{
	own_fd int fd = openat(layer, ".", OPEN_DIR);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "open the layer");
	if (check_attributes(fd, e) < 0)
		return -1;
	buf_add_c(&list->text, "{\"path\":\".\",\"type\":\"folder\"");
	put_mode(&list->text, &st);
	buf_add_c(&list->text, "}\n");
	return add_line(list, ".", 0, e);
}

static int
list_one(struct walk *w, void *arg, const char *name, const struct stat *st,
    struct err *e)
{
	const struct level *l = &w->levels[w->depth - 1];
	struct list *list = arg;
	size_t at = list->text.n;
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s", w->path);
	buf_add_c(&list->text, "{\"path\":");
	put_text(&list->text, path);
	if (S_ISDIR(st->st_mode)) {
		buf_add_c(&list->text, ",\"type\":\"folder\"");
		r = list_dir(w, list, l, name, st, e);
	} else if (S_ISREG(st->st_mode)) {
		buf_add_c(&list->text, ",\"type\":\"file\"");
		r = count(w, st, e) < 0 ? -1 : list_file(list, l, name, st, e);
	} else if (S_ISLNK(st->st_mode)) {
		buf_add_c(&list->text, ",\"type\":\"link\"");
		r = list_link(list, l, name, e);
	} else if (S_ISCHR(st->st_mode) && st->st_rdev == 0) {
		buf_add_c(&list->text, ",\"type\":\"gone\"");
		r = 0;
	} else {
		return err_set(e, "neither file nor folder nor link");
	}
	if (r < 0)
		return -1;
	buf_add_c(&list->text, "}\n");
	return add_line(list, path, at, e);
}

static int
list_dir(struct walk *w, struct list *list, const struct level *l,
    const char *name, const struct stat *st, struct err *e)
{
	own_fd int fd = openat(dirfd(l->from), name, OPEN_DIR);
	size_t n = strlen(w->path);

	if (fd < 0)
		return err_sys(e, "open");
	if (check_attributes(fd, e) < 0)
		return -1;
	put_mode(&list->text, st);
	for (size_t i = 0; i < MARKS; i++) {
		char value[MARK_BYTES + 1];
		ssize_t k = fgetxattr(fd, marks[i], value, MARK_BYTES);

		if (k < 0)
			continue;
		value[k] = '\0';
		buf_printf(&list->text, ",\"%s\":", strrchr(marks[i], '.') + 1);
		put_text(&list->text, value);
	}
	w->path[n] = '/';
	return layer_push(w, fd_take(&fd), -1, n + 1, e);
}

static int
list_file(struct list *list, const struct level *l, const char *name,
    const struct stat *st, struct err *e)
{
	own_fd int fd = openat(dirfd(l->from), name, OPEN_FILE);
	char hex[HASH_HEX_BYTES];
	struct hash h;

	if (fd < 0)
		return err_sys(e, "open");
	if (check_attributes(fd, e) < 0 ||
	    hash_file(fd, (size_t)st->st_size, &h, e) < 0)
		return -1;
	hash_hex(&h, hex);
	put_mode(&list->text, st);
	buf_printf(&list->text, ",\"sha256\":\"%s\",\"size\":%llu", hex,
	    (unsigned long long)st->st_size);
	return 0;
}

static int
list_link(
    struct list *list, const struct level *l, const char *name, struct err *e)
{
	char target[PATH_MAX];
	ssize_t n =
	    readlinkat(dirfd(l->from), name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(e, "readlink");
	target[n] = '\0';
	buf_add_c(&list->text, ",\"target\":");
	put_text(&list->text, target);
	return 0;
}

static int
hash_file(int fd, size_t n, struct hash *out, struct err *e)
{
	void *p = NULL;

	if (n == 0) {
		*out = hash_of("", 0);
		return 0;
	}
	p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "mmap");
	*out = digest_of(p, n);
	(void)munmap(p, n); /* of our own: cannot fail */
	return 0;
}

/* Anything else that overlayfs or execve would listen to is not ours. */
static int
check_attributes(int fd, struct err *e)
{
	char names[NAMES_BYTES];
	ssize_t n = flistxattr(fd, names, sizeof(names));

	if (n < 0 && errno == EOPNOTSUPP)
		return 0;
	if (n < 0)
		return err_sys(e, "listxattr");
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		const struct str name = str_of(names + at);
		bool ours = str_eq(name, STR("security.selinux"));

		for (size_t i = 0; i < MARKS; i++)
			ours |= str_eq_c(name, marks[i]);
		if (!ours)
			return err_set(e, "it has the attribute %.*s",
			    (int)(name.n > 64 ? 64 : name.n), name.p);
	}
	return 0;
}

static int
add_line(struct list *list, const char *path, size_t at, struct err *e)
{
	struct line *more;

	if (list->n == list->room) {
		list->room = list->room > 0 ? 2 * list->room : 64;
		more = realloc(list->line, list->room * sizeof(*more));
		if (more == NULL)
			return err_set(e, "out of memory");
		list->line = more;
	}
	list->line[list->n++] = (struct line){
		.at = at,
		.n = list->text.n - at,
		.path = list->paths.n,
		.path_n = strlen(path),
	};
	buf_add(&list->paths, path, strlen(path) + 1);
	return list->text.failed || list->paths.failed
	    ? err_set(e, "over %d bytes of names", SNAPSHOT_LIST_BYTES)
	    : 0;
}

static void
put_mode(struct buf *out, const struct stat *st)
{
	buf_printf(out, ",\"mode\":\"%04o\",\"mtime\":\"%lld.%09ld\"",
	    (unsigned)st->st_mode & 07777, (long long)st->st_mtim.tv_sec,
	    st->st_mtim.tv_nsec);
}

/* As JSON, whatever bytes a name has: those that are no plain ASCII, and '%',
 * as %XX. */
static void
put_text(struct buf *out, const char *s)
{
	buf_add_byte(out, '"');
	for (; *s != '\0'; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '%')
			buf_printf(out, "%%%02X", c);
		else
			buf_add_byte(out, *s);
	}
	buf_add_byte(out, '"');
}

static int
by_path(const void *a, const void *b, void *paths)
{
	const struct line *x = a, *y = b;
	const char *all = paths;

	return strcmp(all + x->path, all + y->path);
}
