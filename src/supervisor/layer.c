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
#include <sys/xattr.h>
#include <unistd.h>

#include "base/limits.h"
#include "supervisor/digest.h"
#include "supervisor/layer_int.h"
#include "sys/fd.h"
#include "sys/remove.h"

enum {
	NAMES_BYTES = 4096, /* of a file's attributes */
};

const char *const layer_marks[LAYER_MARKS] = { "trusted.overlay.opaque",
	"trusted.overlay.redirect", "user.overlay.opaque",
	"user.overlay.redirect" };

/* One line, and the path that it is sorted by. */
struct line {
	size_t at, n, path, path_n;
};

struct list {
	struct buf text, paths;
	size_t n, room;
	struct line *line;
};

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
		r = layer_walk(w, layer, list_one, NULL, &list, e);
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
layer_walk(struct walk *w, int from,
    int (*on)(struct walk *w, void *arg, const char *name,
	const struct stat *st, struct err *e),
    int (*leave)(
	struct walk *w, void *arg, const struct level *l, struct err *e),
    void *arg, struct err *e)
{
	own_fd int top = openat(from, ".", LAYER_OPEN_DIR);
	int r = 0;

	if (top < 0)
		return err_sys(e, "open the files");
	r = layer_push(w, fd_take(&top), 0, e);
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
				r = leave(w, arg, l, e);
			(void)closedir(l->from); /* only read */
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
		const struct level *l = &w->levels[--w->depth];

		(void)closedir(l->from); /* only read */
	}
	return r;
}

int
layer_push(struct walk *w, int from_taken, size_t path_n, struct err *e)
{
	own_fd int from = from_taken;
	struct level *l = &w->levels[w->depth];

	if (w->depth == COMMIT_DEPTH_MAX)
		return err_set(
		    e, "over %d folders below each other", COMMIT_DEPTH_MAX);
	*l = (struct level){ .path_n = path_n };
	l->from = fdopendir(from);
	if (l->from == NULL)
		return err_sys(e, "open a folder");
	(void)fd_take(&from);
	w->depth++;
	return 0;
}

int
layer_count(uint64_t *bytes, const struct stat *st, struct err *e)
{
	const uint64_t max = (uint64_t)SNAPSHOT_MAX_MB << 20;

	if ((uint64_t)st->st_size > max - *bytes)
		return err_set(
		    e, "files of over %d MiB together", SNAPSHOT_MAX_MB);
	*bytes += (uint64_t)st->st_size;
	return 0;
}

static int
list_top(struct list *list, int layer, struct err *e)
{
	own_fd int fd = openat(layer, ".", LAYER_OPEN_DIR);
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
		r = layer_count(&w->logical, st, e) < 0
		    ? -1
		    : list_file(list, l, name, st, e);
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
	own_fd int fd = openat(dirfd(l->from), name, LAYER_OPEN_DIR);
	size_t n = strlen(w->path);

	if (fd < 0)
		return err_sys(e, "open");
	if (check_attributes(fd, e) < 0)
		return -1;
	put_mode(&list->text, st);
	for (size_t i = 0; i < LAYER_MARKS; i++) {
		char value[LAYER_MARK_BYTES + 1];
		ssize_t k =
		    fgetxattr(fd, layer_marks[i], value, LAYER_MARK_BYTES);

		if (k < 0)
			continue;
		value[k] = '\0';
		buf_printf(
		    &list->text, ",\"%s\":", strrchr(layer_marks[i], '.') + 1);
		put_text(&list->text, value);
	}
	w->path[n] = '/';
	return layer_push(w, fd_take(&fd), n + 1, e);
}

static int
list_file(struct list *list, const struct level *l, const char *name,
    const struct stat *st, struct err *e)
{
	own_fd int fd = openat(dirfd(l->from), name, LAYER_OPEN_FILE);
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

		for (size_t i = 0; i < LAYER_MARKS; i++)
			ours |= str_eq_c(name, layer_marks[i]);
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
