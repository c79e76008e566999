/* What archives of strangers cannot do, with and without the confinement. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "image/tree.h"
#include "image/unpack.h"
#include "image/untar.h"
#include "sys/fd.h"
#include "tar_rig.h"

/* Most entries of the tables need only their first members. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { ROW_ENTRIES = 6, MARK_BYTES = 7 };

static int calls, fail_at; /* fail_at 0: never */

long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f);
int __real_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode);
int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __real_symlinkat(const char *to, int dir, const char *path);
int __wrap_symlinkat(const char *to, int dir, const char *path);
int __real_linkat(int d, const char *a, int e, const char *b, int flags);
int __wrap_linkat(int d, const char *a, int e, const char *b, int flags);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_futimens(int fd, const struct timespec t[2]);
int __wrap_futimens(int fd, const struct timespec t[2]);
ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);

static bool
fails(void)
{
	if (++calls != fail_at)
		return false;
	errno = EIO;
	return true;
}

long
__wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	return fails() ? -1 : __real_syscall(nr, a, b, c, d, e, f);
}

int
__wrap_mkdirat(int dir, const char *path, mode_t mode)
{
	return fails() ? -1 : __real_mkdirat(dir, path, mode);
}

int
__wrap_unlinkat(int dir, const char *path, int flags)
{
	return fails() ? -1 : __real_unlinkat(dir, path, flags);
}

int
__wrap_symlinkat(const char *to, int dir, const char *path)
{
	return fails() ? -1 : __real_symlinkat(to, dir, path);
}

int
__wrap_linkat(int d, const char *a, int e, const char *b, int flags)
{
	return fails() ? -1 : __real_linkat(d, a, e, b, flags);
}

int
__wrap_fchmod(int fd, mode_t mode)
{
	return fails() ? -1 : __real_fchmod(fd, mode);
}

int
__wrap_futimens(int fd, const struct timespec t[2])
{
	return fails() ? -1 : __real_futimens(fd, t);
}

ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return fails() ? -1 : __real_pwrite64(fd, p, n, at);
}

int
__wrap_ftruncate64(int fd, off_t size)
{
	return fails() ? -1 : __real_ftruncate64(fd, size);
}

/* A destination between files that nothing may touch. */
struct place {
	char path[64];
	int top, dest;
};

static void
place_make(struct place *p)
{
	struct err e;

	(void)snprintf(p->path, sizeof(p->path), "/tmp/paddock-untar-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	assert_int_equal(chmod(p->path, 0755), 0);
	p->top = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->top >= 0);
	assert_int_equal(mkdirat(p->top, "dest", 0755), 0);
	assert_int_equal(mkdirat(p->top, "outside", 0777), 0);
	assert_int_equal(fchmodat(p->top, "outside", 0777, 0), 0);
	for (int i = 0; i < 2; i++) {
		int fd = openat(p->top, i == 0 ? "marker" : "outside/marker",
		    O_WRONLY | O_CREAT | O_EXCL, 0666);

		assert_true(fd >= 0);
		assert_int_equal(fchmod(fd, 0666), 0);
		assert_int_equal(write(fd, "marker\n", MARK_BYTES), MARK_BYTES);
		(void)close(fd);
	}
	p->dest = openat(p->top, "dest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->dest >= 0);
	if (unpack_own(p->dest, &e) < 0)
		fail_msg("%s", e.text);
}

static int
names_in(int top, const char *path)
{
	int fd = openat(top, path, O_RDONLY | O_DIRECTORY), n = 0;
	DIR *d = fdopendir(fd);

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n - 2;
}

static void
assert_untouched(const struct place *p)
{
	static const char *const markers[] = { "marker", "outside/marker" };

	assert_int_equal(names_in(p->top, "."), 3);
	assert_int_equal(names_in(p->top, "outside"), 1);
	for (size_t i = 0; i < 2; i++) {
		char text[64];
		struct stat st;
		int fd = openat(p->top, markers[i], O_RDONLY | O_NOFOLLOW);

		assert_true(fd >= 0);
		assert_int_equal(
		    read(fd, text, sizeof(text)), (ssize_t)MARK_BYTES);
		assert_memory_equal(text, "marker\n", MARK_BYTES);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_nlink, 1);
		assert_int_equal(st.st_mode & 07777, 0666);
		(void)close(fd);
	}
}

static void
place_remove(struct place *p)
{
	struct err e;

	(void)close(p->dest);
	(void)close(p->top);
	p->top = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (tree_remove(p->top, p->path + strlen("/tmp/"), &e) < 0)
		fail_msg("%s", e.text);
	(void)close(p->top);
}

struct source {
	struct str rest;
	size_t piece;
};

static ssize_t
on_read(void *arg, const void **p)
{
	struct source *s = arg;
	size_t n = s->rest.n < s->piece ? s->rest.n : s->piece;

	*p = s->rest.p;
	s->rest = (struct str){ s->rest.p + n, s->rest.n - n };
	return (ssize_t)n;
}

/* In this process: the walks alone have to hold. */
static int
here(const struct place *p, struct str tar, bool layer,
    const struct untar_limits *l, struct untar_count *c, struct err *e)
{
	struct source s = { tar, 1000 };
	const struct untar_source source = { on_read, &s };
	struct hash unpacked;

	return untar(&source, p->dest, layer, l, c, &unpacked, e);
}

/* As it is done: in the confined process. */
static int
confined(const struct place *p, struct str tar, bool layer,
    const struct untar_limits *l, struct untar_count *c, struct err *e)
{
	own_unpack struct unpack u = {};
	struct hash unpacked;

	if (unpack_start(&u, p->dest, layer, l, e) < 0 ||
	    unpack_feed(&u, tar.p, tar.n, e) < 0)
		return -1;
	return unpack_end(&u, c, &unpacked, e);
}

static int (*const both[])(const struct place *p, struct str tar, bool layer,
    const struct untar_limits *l, struct untar_count *c,
    struct err *e) = { here, confined };

static const struct untar_limits small = {
	.entries = 100,
	.bytes = 100 * 1000,
	.file_bytes = 50 * 1000,
	.ratio = 50,
	.ratio_free_bytes = 200 * 1000,
};

static void
make_tar(struct buf *b, const struct tar_entry *entries)
{
	for (size_t i = 0; i < ROW_ENTRIES && entries[i].name != NULL; i++)
		tar_add(b, &entries[i]);
	tar_end(b);
	assert_false(b->failed);
}

static void
an_archive_that_leads_out_is_refused_and_names_its_entry(void **state)
{
	static char deep[2 * 200 + 1], longer[301];
	const struct {
		const char *why;
		struct tar_entry e[ROW_ENTRIES];
		const char *error[2]; /* both are in the text */
	} rows[] = {
		{ "parent", { { "../marker", '0', "evil" } },
		    { "../marker", ".." } },
		{ "parent in the middle", { { "a/../../marker", '0', "evil" } },
		    { "a/../../marker", ".." } },
		{ "parent at the end", { { "a/..", '5' } }, { "a/..", ".." } },
		{ "absolute", { { "/tmp/evil", '0', "evil" } },
		    { "/tmp/evil", "absolute" } },
		{ "absolute with more slashes", { { "//tmp/evil", '0', "x" } },
		    { "//tmp/evil", "absolute" } },
		{ "file through a symbolic link",
		    { { "l", '2', "../outside" }, { "l/marker", '0', "evil" } },
		    { "l/marker", "symbolic link" } },
		{ "file through an absolute symbolic link",
		    { { "l", '2', "/tmp" }, { "l/evil", '0', "evil" } },
		    { "l/evil", "symbolic link" } },
		{ "file through a link in the middle",
		    { { "l", '2', ".." }, { "l/outside/new", '0', "evil" } },
		    { "l/outside/new", "symbolic link" } },
		{ "link through a link",
		    { { "a", '2', "." }, { "a/b", '2', ".." } },
		    { "a/b", "symbolic link" } },
		{ "directory through a symbolic link",
		    { { "l", '2', "../outside" }, { "l/d", '5' } },
		    { "l/d", "symbolic link" } },
		{ "through the process's own link",
		    { { "l", '2', "/proc/self/cwd" }, { "l/x", '0', "evil" } },
		    { "l/x", "symbolic link" } },
		{ "hard link with ..", { { "h", '1', "../marker" } },
		    { "h", ".." } },
		{ "absolute hard link", { { "h", '1', "/etc/passwd" } },
		    { "h", "absolute" } },
		{ "hard link through a symbolic link",
		    { { "l", '2', "../outside" }, { "h", '1', "l/marker" } },
		    { "h", "symbolic link" } },
		{ "hard link to nothing", { { "h", '1', "gone" } },
		    { "h", "gone" } },
		{ "hard link to a directory",
		    { { "d", '5' }, { "h", '1', "d" } }, { "h", "no file" } },
		{ "hard link to itself",
		    { { "h", '0', "x" }, { "h", '1', "h" } },
		    { "h", "itself" } },
		{ "symbolic link to nothing", { { "l", '2', "" } },
		    { "l", "nothing" } },
		{ "whiteout of ..", { { "a/.wh...", '0', "" } },
		    { "a/.wh...", "whiteout" } },
		{ "whiteout of .", { { ".wh..", '0', "" } },
		    { ".wh..", "whiteout" } },
		{ "whiteout of nothing", { { ".wh.", '0', "" } },
		    { ".wh.", "whiteout" } },
		{ "whiteout through a symbolic link",
		    { { "l", '2', "../outside" }, { "l/.wh.marker", '0', "" } },
		    { "l/.wh.marker", "symbolic link" } },
		{ "opaque through a symbolic link",
		    { { "l", '2', "../outside" },
			{ "l/d/.wh..wh..opq", '0', "" } },
		    { "l/d/.wh..wh..opq", "symbolic link" } },
		{ "the root is a file", { { ".", '0', "evil" } },
		    { ".", "root" } },
		{ "the root is a link", { { ".", '2', "/etc" } },
		    { ".", "root" } },
		{ "a file as a directory",
		    { { "f", '0', "x" }, { "f/x", '0', "evil" } },
		    { "f/x", "directory" } },
		{ "too deep", { { deep, '0', "x" } }, { "a/a/a", "deeper" } },
		{ "a name over 255 bytes", { { longer, '0', "x" } },
		    { "nnn", "longer" } },
		{ "a file over its limit",
		    { { "big", '0', "x", 0, 60 * 1000 } }, { "big", "50000" } },
		{ "content that is not there",
		    { { "short", '0', "x", 0, 40 * 1000 } },
		    { "short", "runcated" } },
	};

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(deep); i += 2)
		memcpy(deep + i, "a/", 2);
	memset(longer, 'n', sizeof(longer) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t way = 0; way < 2; way++) {
			own_buf struct buf tar = {};
			struct untar_count c;
			struct place p;
			struct err e = {};

			place_make(&p);
			make_tar(&tar, rows[i].e);
			if (both[way](
				&p, buf_str(&tar), true, &small, &c, &e) == 0)
				fail_msg("%s: accepted", rows[i].why);
			if (strstr(e.text, rows[i].error[0]) == NULL ||
			    strstr(e.text, rows[i].error[1]) == NULL)
				fail_msg("%s: %s", rows[i].why, e.text);
			assert_untouched(&p);
			place_remove(&p);
		}
	}
}

static void
what_an_image_has_no_use_for_is_dropped_and_counted(void **state)
{
	static const struct tar_entry entries[ROW_ENTRIES] = {
		{ "null", '3', "", 0666 },
		{ "disk", '4', "", 0666 },
		{ "fifo", '6', "", 0666 },
		{ "su", '0', "x", 06755 },
		{ "ping", '0', "x", 0111, 0,
		    "SCHILY.xattr.security.capability" },
		{ "ovl", '5', "", 02000, 0,
		    "SCHILY.xattr.trusted.overlay.opaque" },
	};

	(void)state;
	for (size_t way = 0; way < 2; way++) {
		own_buf struct buf tar = {};
		struct untar_count c;
		struct place p;
		struct stat st;
		struct err e = {};

		place_make(&p);
		make_tar(&tar, entries);
		if (both[way](&p, buf_str(&tar), true, &small, &c, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(c.entries, 6);
		assert_int_equal(c.special, 3);
		assert_int_equal(c.setid, 2);
		assert_int_equal(c.caps, 1);
		assert_int_equal(c.xattrs, 1);
		assert_int_equal(names_in(p.dest, "."), 3);
		assert_int_equal(fstatat(p.dest, "su", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		assert_int_equal(fstatat(p.dest, "ping", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0511);
		assert_int_equal(fstatat(p.dest, "ovl", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
		/* One owner, and not root, where that can be. */
		if (way == 1 && geteuid() == 0)
			assert_int_equal(st.st_uid, UNPACK_UID);
		assert_untouched(&p);
		place_remove(&p);
	}
}

static void
links_are_kept_as_they_are_and_never_followed(void **state)
{
	static const struct tar_entry entries[ROW_ENTRIES] = {
		{ "l", '2', "../marker" },
		{ "h", '1', "l" }, /* a hard link to the link itself */
		{ "l", '0', "mine" }, /* replaces the link */
		{ "d", '2', "../outside" },
		{ "d", '5', "", 0700 },
		{ "d/x\x1b[2J\n", '0', "x" },
	};
	char target[32];
	struct stat st;

	(void)state;
	for (size_t way = 0; way < 2; way++) {
		own_buf struct buf tar = {};
		struct untar_count c;
		struct place p;
		struct err e = {};

		place_make(&p);
		make_tar(&tar, entries);
		if (both[way](&p, buf_str(&tar), true, &small, &c, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(
		    readlinkat(p.dest, "h", target, sizeof(target)), 9);
		assert_memory_equal(target, "../marker", 9);
		assert_int_equal(
		    fstatat(p.dest, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(S_ISREG(st.st_mode) && st.st_size == 4);
		assert_int_equal(fstatat(p.dest, "d/x\x1b[2J\n", &st, 0), 0);
		assert_untouched(&p);
		place_remove(&p);
	}
}

static void
apply(const struct place *p, const struct tar_entry *entries, size_t way)
{
	own_buf struct buf tar = {};
	struct untar_count c;
	struct err e = {};

	make_tar(&tar, entries);
	if (both[way](p, buf_str(&tar), true, &small, &c, &e) < 0)
		fail_msg("%s", e.text);
}

static bool
has(const struct place *p, const char *path)
{
	struct stat st;

	return fstatat(p->dest, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
whiteouts_remove_what_lower_layers_left_and_nothing_else(void **state)
{
	static const struct tar_entry lower[ROW_ENTRIES] = {
		{ "gone", '0', "1" },
		{ "stays", '0', "1" },
		{ "tree/a/b", '0', "1" },
		{ "opaque/old", '0', "1" },
		{ "opaque/sub/old", '0', "1" },
		{ "both/old", '0', "1" },
	};
	static const struct tar_entry upper[ROW_ENTRIES] = {
		{ ".wh.gone", '0', "" },
		{ ".wh.tree", '0', "" },
		/* What this layer brings stays, before and after the mark. */
		{ "opaque/sub/new", '0', "2" },
		{ "opaque/.wh..wh..opq", '0', "" },
		{ "opaque/late", '0', "2" },
		{ "none/.wh.nothing", '0', "" },
	};
	static const struct tar_entry third[ROW_ENTRIES] = {
		{ "both/new", '0', "3" },
		{ ".wh.both", '0', "" },
		{ ".wh..wh.plnk", '0', "aufs" },
		{ "stays", '5', "", 0755 },
		{ "stays/x", '0', "3" },
	};

	(void)state;
	for (size_t way = 0; way < 2; way++) {
		struct place p;

		place_make(&p);
		apply(&p, lower, way);
		apply(&p, upper, way);
		assert_false(has(&p, "gone") || has(&p, ".wh.gone"));
		assert_true(has(&p, "stays"));
		assert_false(has(&p, "tree"));
		assert_false(has(&p, "opaque/old"));
		assert_false(has(&p, "opaque/sub/old"));
		assert_true(
		    has(&p, "opaque/sub/new") && has(&p, "opaque/late"));
		assert_false(has(&p, "none"));
		apply(&p, third, way);
		assert_true(has(&p, "both/new") && !has(&p, "both/old"));
		assert_true(has(&p, "stays/x"));
		assert_false(has(&p, ".wh..wh.plnk"));
		assert_untouched(&p);
		place_remove(&p);
	}
}

static void
pack(struct buf *out, const struct buf *in, int (*filter)(struct archive *))
{
	struct archive *a = archive_write_new();
	struct archive_entry *ae = archive_entry_new();
	size_t room = in->n + 4096, n = 0;
	char *p = buf_reserve(out, room);

	assert_non_null(p);
	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_int_equal(filter(a), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), 0);
	assert_int_equal(archive_write_open_memory(a, p, room, &n), 0);
	archive_entry_set_filetype(ae, AE_IFREG);
	assert_int_equal(archive_write_header(a, ae), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, in->p, in->n), (ssize_t)in->n);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
	archive_entry_free(ae);
	out->n += n;
}

static void
too_much_of_anything_ends_at_its_limit(void **state)
{
	static char zeros[40 * 1000];
	own_buf struct buf many = {}, large = {}, bomb = {}, packed = {};
	const struct {
		const struct buf *tar;
		const char *error;
	} rows[] = {
		{ &many, "100 entries" },
		{ &large, "100000 bytes" },
		{ &packed, "bomb" },
	};

	(void)state;
	for (int i = 0; i < 101; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%d", i);
		tar_add(&many, &(struct tar_entry){ name, '0', "" });
	}
	tar_end(&many);
	memset(zeros, 'z', sizeof(zeros) - 1);
	for (int i = 0; i < 3; i++)
		tar_add(&large, &(struct tar_entry){ "same", '0', zeros });
	tar_end(&large);
	/* Behind the end of a tar, too. */
	tar_end(&bomb);
	for (int i = 0; i < 100; i++)
		buf_add(&bomb, zeros, sizeof(zeros));
	pack(&packed, &bomb, archive_write_add_filter_zstd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t way = 0; way < 2; way++) {
			struct untar_count c;
			struct place p;
			struct err e = {};

			place_make(&p);
			assert_int_equal(both[way](&p, buf_str(rows[i].tar),
					     true, &small, &c, &e),
			    -1);
			if (strstr(e.text, rows[i].error) == NULL)
				fail_msg("%s: %s", rows[i].error, e.text);
			place_remove(&p);
		}
	}
}

static void
gzip_and_zstd_are_told_by_content_and_unpacked_once(void **state)
{
	static const struct tar_entry entries[ROW_ENTRIES] = {
		{ "d/x", '0', "hello" },
	};
	own_buf struct buf tar = {}, gz = {}, zst = {}, twice = {};
	const struct {
		const struct buf *b;
		int result;
	} rows[] = { { &tar, 0 }, { &gz, 0 }, { &zst, 0 }, { &twice, -1 } };

	(void)state;
	make_tar(&tar, entries);
	pack(&gz, &tar, archive_write_add_filter_gzip);
	pack(&zst, &tar, archive_write_add_filter_zstd);
	pack(&twice, &gz, archive_write_add_filter_zstd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* Cut anywhere, it is damaged; nothing is outside. */
		for (size_t n = rows[i].b->n; n > 0;
		     n = n > 100 ? n - 100 : n / 2) {
			struct untar_count c;
			struct place p;
			struct err e = {};
			int r;

			place_make(&p);
			r = here(&p, (struct str){ rows[i].b->p, n }, true,
			    &small, &c, &e);
			if (n == rows[i].b->n)
				assert_int_equal(r, rows[i].result);
			if (n == rows[i].b->n && r == 0)
				assert_true(has(&p, "d/x"));
			assert_true(r == 0 || e.text[0] != '\0');
			assert_untouched(&p);
			place_remove(&p);
		}
	}
}

static int
open_fds(void)
{
	return names_in(AT_FDCWD, "/proc/self/fd");
}

static void
every_call_that_fails_is_an_error_and_leaks_nothing(void **state)
{
	static const struct tar_entry entries[ROW_ENTRIES] = {
		{ "a/b/file", '0', "hello" },
		{ "a/hard", '1', "a/b/file" },
		{ "a/soft", '2', "b" },
		{ "a/b", '5', "", 0755 },
		{ "a/.wh.none", '0', "" },
		{ "a/.wh..wh..opq", '0', "" },
	};
	int before, n;

	(void)state;
	before = open_fds();
	for (n = 1;; n++) {
		own_buf struct buf tar = {};
		struct untar_count c;
		struct place p;
		struct err e = {};
		int r;

		place_make(&p);
		make_tar(&tar, entries);
		calls = 0;
		fail_at = n;
		r = here(&p, buf_str(&tar), true, &small, &c, &e);
		fail_at = 0;
		place_remove(&p);
		assert_int_equal(open_fds(), before);
		if (r == 0)
			break;
		assert_int_equal(e.sys, EIO);
	}
	assert_in_range(n, 25, 45);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_archive_that_leads_out_is_refused_and_names_its_entry),
		cmocka_unit_test(
		    what_an_image_has_no_use_for_is_dropped_and_counted),
		cmocka_unit_test(links_are_kept_as_they_are_and_never_followed),
		cmocka_unit_test(
		    whiteouts_remove_what_lower_layers_left_and_nothing_else),
		cmocka_unit_test(too_much_of_anything_ends_at_its_limit),
		cmocka_unit_test(
		    gzip_and_zstd_are_told_by_content_and_unpacked_once),
		cmocka_unit_test(
		    every_call_that_fails_is_an_error_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
