#include "image/untar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/inflate.h"
#include "image/tree.h"
#include "sys/fd.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh." /* aufs's own files, and the opaque mark */
#define WHITEOUT_OPAQUE ".wh..wh..opq"

enum { NAME_SHOWN = 200 };

struct run {
	int dir;
	bool layer;
	const struct untar_limits *limits;
	struct untar_count *count;
	struct inflate stream;
	struct archive *tar;
	struct pathset brought; /* by this layer */
	char path[TREE_PATH_BYTES]; /* of the entry at hand */
};

static int start(struct run *r, struct err *e);
static int entries(struct run *r, struct err *e);
static int fail_archive(struct run *r, struct err *e);
static la_ssize_t on_read(struct archive *a, void *arg, const void **p);
static int one(struct run *r, struct archive_entry *ae, struct err *e);
static int put(struct run *r, struct archive_entry *ae, struct err *e);
static int put_dir(struct run *r, struct archive_entry *ae, int parent,
    const char *leaf, struct err *e);
static int put_file(struct run *r, struct archive_entry *ae, int parent,
    const char *leaf, struct err *e);
static int put_symlink(struct run *r, const char *target, int parent,
    const char *leaf, struct err *e);
static int put_link(struct run *r, const char *target, int parent,
    const char *leaf, struct err *e);
static int copy_data(struct run *r, int fd, uint64_t size, struct err *e);
static int write_at(int fd, const char *p, size_t n, off_t at, struct err *e);
static int whiteout(struct run *r, struct err *e);
static int whiteout_one(struct run *r, const char *path, struct err *e);
static void count_dropped(struct run *r, struct archive_entry *ae);
static struct timespec mtime_of(struct archive_entry *ae);

int
untar(const struct untar_source *source, int dir, bool layer,
    const struct untar_limits *limits, struct untar_count *count,
    struct hash *unpacked, struct err *e)
{
	struct run r = {
		.dir = dir,
		.layer = layer,
		.limits = limits,
		.count = count,
	};
	int result;

	*count = (struct untar_count){};
	result = inflate_init(&r.stream, source, limits, e);
	if (result == 0)
		result = start(&r, e);
	if (result == 0)
		result = entries(&r, e);
	if (result == 0)
		*unpacked = digest_end(&r.stream.digest);
	if (r.tar != NULL)
		(void)archive_read_free(r.tar); /* nothing to lose */
	inflate_fini(&r.stream);
	pathset_fini(&r.brought);
	return result;
}

void
untar_count_add(struct untar_count *a, const struct untar_count *b)
{
	a->entries += b->entries;
	a->files += b->files;
	a->dirs += b->dirs;
	a->links += b->links;
	a->bytes += b->bytes;
	a->removed += b->removed;
	a->special += b->special;
	a->setid += b->setid;
	a->caps += b->caps;
	a->xattrs += b->xattrs;
	a->mounts += b->mounts;
}

static int
start(struct run *r, struct err *e)
{
	r->tar = archive_read_new();
	if (r->tar == NULL)
		return err_set(e, "libarchive: out of memory");
	/* No filter: inflate.h has taken off the only one there may be. */
	if (archive_read_support_format_tar(r->tar) != ARCHIVE_OK ||
	    archive_read_append_filter(r->tar, ARCHIVE_FILTER_NONE) !=
		ARCHIVE_OK ||
	    archive_read_open(r->tar, r, NULL, on_read, NULL) != ARCHIVE_OK)
		return fail_archive(r, e);
	return 0;
}

static int
entries(struct run *r, struct err *e)
{
	const void *rest;
	ssize_t n;

	for (;;) {
		struct archive_entry *ae;
		int got = archive_read_next_header(r->tar, &ae);

		if (got == ARCHIVE_EOF)
			break;
		/* A warning is about what we do not use: names of owners. */
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN) {
			(void)fail_archive(r, e);
			if (r->path[0] == '\0')
				return -1;
			return err_add(e, "after %.*s", NAME_SHOWN, r->path);
		}
		if (++r->count->entries > r->limits->entries)
			return err_set(e, "more than %llu entries, the limit",
			    (unsigned long long)r->limits->entries);
		if (one(r, ae, e) < 0)
			return -1;
	}
	/* Behind the end of a tar there is padding: it has a part in the
	 * digest. */
	while ((n = inflate_next(&r->stream, &rest)) > 0)
		continue;
	if (n < 0)
		*e = r->stream.e;
	return n < 0 ? -1 : 0;
}

static int
fail_archive(struct run *r, struct err *e)
{
	const char *why = archive_error_string(r->tar);

	if (r->stream.failed)
		*e = r->stream.e;
	else
		(void)err_set(e, "%s", why == NULL ? "damaged" : why);
	return -1;
}

static la_ssize_t
on_read(struct archive *a, void *arg, const void **p)
{
	struct run *r = arg;
	ssize_t n = inflate_next(&r->stream, p);

	if (n < 0)
		archive_set_error(a, EIO, "cannot be read");
	return n;
}

static int
one(struct run *r, struct archive_entry *ae, struct err *e)
{
	const char *name = archive_entry_pathname(ae);
	const char *leaf;

	if (name == NULL)
		name = archive_entry_pathname_utf8(ae);
	if (name == NULL)
		return err_set(e, "entry %llu: no name that can be read",
		    (unsigned long long)r->count->entries);
	if (tree_path(str_of(name), r->path, e) < 0)
		return err_add(
		    e, "entry %llu", (unsigned long long)r->count->entries);
	leaf = strrchr(r->path, '/');
	leaf = leaf == NULL ? r->path : leaf + 1;
	if (r->layer && strncmp(leaf, WHITEOUT, strlen(WHITEOUT)) == 0) {
		if (whiteout(r, e) < 0)
			return err_add(e, "%.*s", NAME_SHOWN, r->path);
		return 0;
	}
	if (put(r, ae, e) < 0)
		return err_add(
		    e, "%.*s", NAME_SHOWN, r->path[0] == '\0' ? "." : r->path);
	return 0;
}

static int
put(struct run *r, struct archive_entry *ae, struct err *e)
{
	const char *hard = archive_entry_hardlink(ae);
	const char *soft = archive_entry_symlink(ae);
	mode_t type = archive_entry_filetype(ae);
	own_fd int parent = -1;
	const char *leaf;
	int result;

	if (hard == NULL)
		hard = archive_entry_hardlink_utf8(ae);
	if (soft == NULL)
		soft = archive_entry_symlink_utf8(ae);
	if (hard == NULL && type != AE_IFREG && type != AE_IFDIR &&
	    type != AE_IFLNK) {
		r->count->special++;
		return 0;
	}
	if (r->path[0] == '\0') {
		if (hard != NULL || type != AE_IFDIR)
			return err_set(e, "the root is no directory");
		return 0; /* its attributes are ours */
	}
	parent = tree_parent(r->dir, r->path, true, &leaf, e);
	if (parent < 0)
		return -1;
	if (hard != NULL)
		result = put_link(r, hard, parent, leaf, e);
	else if (type == AE_IFDIR)
		result = put_dir(r, ae, parent, leaf, e);
	else if (type == AE_IFREG)
		result = put_file(r, ae, parent, leaf, e);
	else
		result = put_symlink(r, soft, parent, leaf, e);
	if (result == 0 && hard == NULL)
		count_dropped(r, ae);
	if (result == 0 && r->layer)
		result = pathset_add(&r->brought, str_of(r->path), e);
	return result;
}

static int
put_dir(struct run *r, struct archive_entry *ae, int parent, const char *leaf,
    struct err *e)
{
	/* Its owner is the only one there is: without these bits nobody
	 * could unpack into it, or remove it. */
	mode_t mode = (archive_entry_perm(ae) & 01777) | 0700;
	own_fd int fd = -1;
	struct stat st;

	if (mkdirat(parent, leaf, 0700) < 0) {
		if (errno != EEXIST)
			return err_sys(e, "mkdir");
		if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(e, "stat");
		/* A directory adds to the one that is there. */
		if (!S_ISDIR(st.st_mode) &&
		    (unlinkat(parent, leaf, 0) < 0 ||
			mkdirat(parent, leaf, 0700) < 0))
			return err_sys(e, "mkdir");
	}
	fd = tree_open(parent, leaf, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0)
		return -1;
	if (fchmod(fd, mode) < 0)
		return err_sys(e, "chmod");
	r->count->dirs++;
	return 0;
}

static int
put_file(struct run *r, struct archive_entry *ae, int parent, const char *leaf,
    struct err *e)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		mtime_of(ae) };
	la_int64_t size = archive_entry_size(ae);
	own_fd int fd = -1;

	if (size < 0 || (uint64_t)size > r->limits->file_bytes)
		return err_set(e, "larger than %llu bytes, the limit",
		    (unsigned long long)r->limits->file_bytes);
	fd = tree_open(parent, leaf, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
	/* Most names are new; what is there makes room. */
	if (fd < 0 && e->sys == EEXIST && tree_remove(parent, leaf, e) == 0)
		fd = tree_open(
		    parent, leaf, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
	if (fd < 0)
		return -1;
	if (copy_data(r, fd, (uint64_t)size, e) < 0)
		return -1;
	if (fchmod(fd, (archive_entry_perm(ae) & 0777) | 0400) < 0)
		return err_sys(e, "chmod");
	if (futimens(fd, times) < 0)
		return err_sys(e, "set the time");
	r->count->files++;
	return 0;
}

/* Data, as data: where it leads is the sandbox's business. */
static int
put_symlink(struct run *r, const char *target, int parent, const char *leaf,
    struct err *e)
{
	if (target == NULL || *target == '\0')
		return err_set(e, "a symbolic link to nothing");
	if (tree_remove(parent, leaf, e) < 0)
		return -1;
	if (symlinkat(target, parent, leaf) < 0)
		return err_sys(e, "symlink");
	r->count->links++;
	return 0;
}

/* To what this archive, or a lower layer, has brought. */
static int
put_link(struct run *r, const char *target, int parent, const char *leaf,
    struct err *e)
{
	char path[TREE_PATH_BYTES];
	const char *target_leaf;
	own_fd int target_parent = -1;
	struct stat st;

	if (tree_path(str_of(target), path, e) < 0)
		return err_add(e, "hard link");
	if (path[0] == '\0' || strcmp(path, r->path) == 0)
		return err_set(e, "a hard link to itself");
	target_parent = tree_parent(r->dir, path, false, &target_leaf, e);
	if (target_parent < 0)
		return err_add(e, "hard link");
	if (fstatat(target_parent, target_leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "hard link to %.*s", NAME_SHOWN, path);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(
		    e, "hard link to %.*s, which is no file", NAME_SHOWN, path);
	if (tree_remove(parent, leaf, e) < 0)
		return -1;
	/* Without AT_SYMLINK_FOLLOW: the link itself, not what it names. */
	if (linkat(target_parent, target_leaf, parent, leaf, 0) < 0)
		return err_sys(e, "hard link to %.*s", NAME_SHOWN, path);
	r->count->links++;
	return 0;
}

/* Holes stay holes. */
static int
copy_data(struct run *r, int fd, uint64_t size, struct err *e)
{
	uint64_t end = 0;

	for (;;) {
		const void *p;
		size_t n;
		la_int64_t at;
		int got = archive_read_data_block(r->tar, &p, &n, &at);

		if (got == ARCHIVE_EOF)
			break;
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
			return fail_archive(r, e);
		if (at < 0 || (uint64_t)at > size || n > size - (uint64_t)at)
			return err_set(e, "more content than it declares");
		if (n > r->limits->bytes - r->count->bytes)
			return err_set(e,
			    "all files: more than %llu bytes, "
			    "the limit",
			    (unsigned long long)r->limits->bytes);
		r->count->bytes += n;
		if (write_at(fd, p, n, at, e) < 0)
			return -1;
		end = (uint64_t)at + n;
	}
	/* A hole at the end. */
	if (end != size && ftruncate(fd, (off_t)size) < 0)
		return err_sys(e, "set the size");
	return 0;
}

static int
write_at(int fd, const char *p, size_t n, off_t at, struct err *e)
{
	while (n > 0) {
		ssize_t wrote = pwrite(fd, p, n, at);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return err_sys(e, "write");
		p += wrote;
		n -= (size_t)wrote;
		at += wrote;
	}
	return 0;
}

static int
whiteout(struct run *r, struct err *e)
{
	char *leaf = strrchr(r->path, '/');
	char path[TREE_PATH_BYTES];
	own_fd int parent = -1;
	const char *name;
	size_t above;

	leaf = leaf == NULL ? r->path : leaf + 1;
	above = (size_t)(leaf - r->path);
	memcpy(path, r->path, above);
	if (strcmp(leaf, WHITEOUT_OPAQUE) == 0) {
		path[above > 0 ? above - 1 : 0] = '\0';
		return whiteout_one(r, path, e);
	}
	if (strncmp(leaf, WHITEOUT_META, strlen(WHITEOUT_META)) == 0)
		return 0;
	name = leaf + strlen(WHITEOUT);
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, "a whiteout that names nothing");
	memcpy(path + above, name, strlen(name) + 1);
	if (pathset_has(&r->brought, str_of(path)))
		return whiteout_one(r, path, e);

	/* What is not there need not be removed. */
	parent = tree_parent(r->dir, path, false, &name, e);
	if (parent < 0)
		return e->sys == ENOENT ? 0 : -1;
	r->count->removed++;
	return tree_remove(parent, name, e);
}

/* Lower layers' part of a directory that this layer has, too. */
static int
whiteout_one(struct run *r, const char *path, struct err *e)
{
	struct stat st;
	own_fd int fd = tree_open(r->dir, path, O_PATH, 0, e);

	if (fd < 0)
		return e->sys == ENOENT ? 0 : -1;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat");
	if (!S_ISDIR(st.st_mode))
		return 0; /* this layer's file hides the lower one already */
	r->count->removed++;
	return tree_clear(r->dir, path, &r->brought, e);
}

static void
count_dropped(struct run *r, struct archive_entry *ae)
{
	const char *name;
	const void *value;
	size_t n;
	bool caps = false, other = archive_entry_acl_types(ae) != 0;

	if ((archive_entry_perm(ae) & (S_ISUID | S_ISGID)) != 0 &&
	    archive_entry_filetype(ae) != AE_IFLNK)
		r->count->setid++;
	(void)archive_entry_xattr_reset(ae);
	while (archive_entry_xattr_next(ae, &name, &value, &n) == ARCHIVE_OK) {
		if (strcmp(name, "security.capability") == 0)
			caps = true;
		else
			other = true;
	}
	r->count->caps += caps;
	r->count->xattrs += other;
}

static struct timespec
mtime_of(struct archive_entry *ae)
{
	struct timespec t = { .tv_nsec = UTIME_OMIT };

	if (archive_entry_mtime_is_set(ae) == 0)
		return t;
	t.tv_sec = archive_entry_mtime(ae);
	t.tv_nsec = archive_entry_mtime_nsec(ae);
	if (t.tv_nsec < 0 || t.tv_nsec > 999999999)
		t.tv_nsec = 0;
	return t;
}
