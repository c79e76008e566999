#include "image/walk.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "image/tree.h"
#include "sys/fd.h"

enum {
	LEVELS = IMAGE_MAX_DEPTH + 2,
	NAMES_MAX_BYTES = 256 * 1024 * 1024, /* a million of full length */
	NAME_SHOWN = 200,
	PIECE_BYTES = 256 * 1024,
	XATTR_BYTES = 64, /* security.capability has 24 */
};

/* A directory on the way, and its names in order. */
struct level {
	int fd;
	struct buf names; /* each with its NUL */
	const char **sorted;
	size_t n, next;
	size_t path_n;
};

struct walk {
	const struct walk_sink *sink;
	struct untar_count *count;
	struct archive *tar;
	struct archive_entry_linkresolver *links;
	struct level levels[LEVELS];
	size_t n;
	char path[TREE_PATH_BYTES];
	struct stat top, avoid;
	uint64_t entries;
	bool refused; /* by the sink */
	char piece[PIECE_BYTES];
};

static int start(struct walk *w, struct err *e);
static int fail_archive(struct walk *w, struct err *e);
static la_ssize_t on_write(
    struct archive *a, void *arg, const void *p, size_t n);
static int enter(
    struct walk *w, int dir, const char *name, size_t path_n, struct err *e);
static int read_names(struct level *l, struct err *e);
static int compare(const void *a, const void *b);
static void leave(struct walk *w);
static int one(struct walk *w, const char *name, struct err *e);
static int put(struct walk *w, int dir, const char *name, const struct stat *st,
    struct err *e);
static int put_entry(
    struct walk *w, struct archive_entry *ae, int fd, struct err *e);
static int put_data(struct walk *w, int fd, uint64_t size, struct err *e);

int
walk_tar(int dir, int avoid_dir, const struct walk_sink *sink,
    struct untar_count *count, struct err *e)
{
	struct walk *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL)
		return err_set(e, "read the directory: out of memory");
	w->sink = sink;
	w->count = count;
	e->text[0] = '\0';
	if (fstat(avoid_dir, &w->avoid) < 0 || fstat(dir, &w->top) < 0)
		r = err_sys(e, "fstat");
	else
		r = start(w, e);
	if (r == 0)
		r = enter(w, dir, "", 0, e);
	while (r == 0 && w->n > 0) {
		struct level *l = &w->levels[w->n - 1];

		if (l->next == l->n)
			leave(w);
		else
			r = one(w, l->sorted[l->next++], e);
	}
	if (r == 0 && archive_write_close(w->tar) != ARCHIVE_OK)
		r = fail_archive(w, e);
	while (w->n > 0)
		leave(w);
	/* A failed archive would try to write its end: to nobody. */
	w->refused = w->refused || r < 0;
	if (w->links != NULL)
		archive_entry_linkresolver_free(w->links);
	if (w->tar != NULL)
		(void)archive_write_free(w->tar); /* closed above */
	free(w);
	return r;
}

static int
start(struct walk *w, struct err *e)
{
	w->tar = archive_write_new();
	w->links = archive_entry_linkresolver_new();
	if (w->tar == NULL || w->links == NULL)
		return err_set(e, "libarchive: out of memory");
	archive_entry_linkresolver_set_strategy(
	    w->links, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE);
	if (archive_write_set_format_pax(w->tar) != ARCHIVE_OK ||
	    /* Names are bytes, whatever the locale. */
	    archive_write_set_options(w->tar, "hdrcharset=BINARY") !=
		ARCHIVE_OK ||
	    archive_write_open(w->tar, w, NULL, on_write, NULL) != ARCHIVE_OK)
		return fail_archive(w, e);
	return 0;
}

static int
fail_archive(struct walk *w, struct err *e)
{
	const char *why = archive_error_string(w->tar);

	if (w->refused)
		e->text[0] = '\0';
	else
		(void)err_set(e, "%.*s: %s", NAME_SHOWN, w->path,
		    why == NULL ? "libarchive failed" : why);
	return -1;
}

static la_ssize_t
on_write(struct archive *a, void *arg, const void *p, size_t n)
{
	struct walk *w = arg;

	if (!w->refused && w->sink->write(w->sink->arg, p, n) != 0)
		w->refused = true;
	if (w->refused) {
		archive_set_error(a, EIO, "nobody reads");
		return -1;
	}
	return (la_ssize_t)n;
}

static int
enter(struct walk *w, int dir, const char *name, size_t path_n, struct err *e)
{
	struct level *l;
	own_fd int fd = -1;

	if (w->n == LEVELS)
		return err_set(e, "%.*s...: deeper than %d directories",
		    NAME_SHOWN, w->path, IMAGE_MAX_DEPTH);
	fd = tree_open(dir, name, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0)
		return err_add(e, "%.*s", NAME_SHOWN, w->path);
	l = &w->levels[w->n++];
	*l = (struct level){
		.fd = fd_take(&fd),
		.names.max = NAMES_MAX_BYTES,
		.path_n = path_n,
	};
	if (read_names(l, e) < 0)
		return err_add(e, "%.*s", NAME_SHOWN, w->path);
	return 0;
}

static int
read_names(struct level *l, struct err *e)
{
	int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;
	size_t at = 0;

	if (d == NULL) {
		fd_fini(&fd);
		return err_sys(e, "read the directory");
	}
	while (errno = 0, (x = readdir(d)) != NULL) {
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		buf_add(&l->names, x->d_name, strlen(x->d_name) + 1);
		l->n++;
	}
	if (errno != 0)
		(void)err_sys(e, "read the directory");
	else
		e->text[0] = '\0';
	(void)closedir(d); /* read only */
	if (e->text[0] != '\0')
		return -1;
	l->sorted = calloc(l->n + 1, sizeof(*l->sorted));
	if (l->names.failed || l->sorted == NULL)
		return err_set(e, "too many names");
	for (size_t i = 0; i < l->n; i++) {
		l->sorted[i] = l->names.p + at;
		at += strlen(l->sorted[i]) + 1;
	}
	qsort(l->sorted, l->n, sizeof(*l->sorted), compare);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void
leave(struct walk *w)
{
	struct level *l = &w->levels[--w->n];

	fd_fini(&l->fd);
	buf_fini(&l->names);
	free(l->sorted);
}

static int
one(struct walk *w, const char *name, struct err *e)
{
	struct level *l = &w->levels[w->n - 1];
	size_t n = l->path_n, name_n = strlen(name);
	struct stat st;

	if (n + 1 + name_n >= sizeof(w->path))
		return err_set(e, "%.*s...: the name is longer than %d bytes",
		    NAME_SHOWN, w->path, IMAGE_MAX_PATH_BYTES);
	if (n > 0)
		w->path[n++] = '/';
	memcpy(w->path + n, name, name_n + 1);
	n += name_n;
	if (++w->entries > IMAGE_MAX_ENTRIES)
		return err_set(e, "%.*s: more than %d entries, the limit",
		    NAME_SHOWN, w->path, IMAGE_MAX_ENTRIES);
	if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "%.*s", NAME_SHOWN, w->path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
	    !S_ISLNK(st.st_mode)) {
		w->count->special++;
		return 0;
	}
	if (S_ISDIR(st.st_mode) && st.st_dev == w->avoid.st_dev &&
	    st.st_ino == w->avoid.st_ino)
		return err_set(
		    e, "%.*s is the image store itself", NAME_SHOWN, w->path);
	if (put(w, l->fd, name, &st, e) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		return 0;
	/* /proc and the like: not a part of this tree. */
	if (st.st_dev != w->top.st_dev) {
		w->count->mounts++;
		return 0;
	}
	return enter(w, l->fd, name, n, e);
}

static int
put(struct walk *w, int dir, const char *name, const struct stat *lst,
    struct err *e)
{
	struct archive_entry *ae = NULL, *spare = NULL;
	char target[TREE_PATH_BYTES], caps[XATTR_BYTES];
	own_fd int fd = -1;
	struct stat st = *lst;
	ssize_t n;
	int r;

	if (S_ISREG(st.st_mode)) {
		fd = tree_open_file(dir, name, e);
		if (fd < 0)
			return err_add(e, "%.*s", NAME_SHOWN, w->path);
		if (fstat(fd, &st) < 0)
			return err_sys(e, "%.*s", NAME_SHOWN, w->path);
	}
	ae = archive_entry_new();
	if (ae == NULL)
		return err_set(e, "libarchive: out of memory");
	archive_entry_copy_pathname(ae, w->path);
	archive_entry_set_mode(ae, st.st_mode);
	archive_entry_set_mtime(ae, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	archive_entry_set_dev(ae, st.st_dev);
	archive_entry_set_ino64(ae, (la_int64_t)st.st_ino);
	archive_entry_set_nlink(ae, (unsigned)st.st_nlink);
	archive_entry_set_size(ae, S_ISREG(st.st_mode) ? st.st_size : 0);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dir, name, target, sizeof(target) - 1);
		if (n < 0) {
			archive_entry_free(ae);
			return err_sys(e, "%.*s", NAME_SHOWN, w->path);
		}
		target[n] = '\0';
		archive_entry_copy_symlink(ae, target);
	}
	/* So that whoever unpacks can count it; it is not kept. */
	if (fd >= 0) {
		n = fgetxattr(fd, "security.capability", caps, sizeof(caps));
		if (n > 0)
			archive_entry_xattr_add_entry(
			    ae, "security.capability", caps, (size_t)n);
	}
	/* The second name of a file becomes a hard link to the first. */
	archive_entry_linkify(w->links, &ae, &spare);
	r = put_entry(w, ae, fd, e);
	archive_entry_free(ae);
	if (spare != NULL)
		archive_entry_free(spare);
	return r;
}

static int
put_entry(struct walk *w, struct archive_entry *ae, int fd, struct err *e)
{
	uint64_t size = 0;

	if (archive_entry_hardlink(ae) != NULL)
		archive_entry_set_size(ae, 0);
	else if (fd >= 0)
		size = (uint64_t)archive_entry_size(ae);
	if (archive_write_header(w->tar, ae) < ARCHIVE_WARN)
		return fail_archive(w, e);
	return size > 0 ? put_data(w, fd, size, e) : 0;
}

static int
put_data(struct walk *w, int fd, uint64_t size, struct err *e)
{
	while (size > 0) {
		size_t want = size < PIECE_BYTES ? (size_t)size : PIECE_BYTES;
		ssize_t n = read(fd, w->piece, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "%.*s", NAME_SHOWN, w->path);
		if (n == 0)
			return err_set(e, "%.*s: it shrank while it was read",
			    NAME_SHOWN, w->path);
		if (archive_write_data(w->tar, w->piece, (size_t)n) != n)
			return fail_archive(w, e);
		size -= (uint64_t)n;
	}
	return 0;
}
