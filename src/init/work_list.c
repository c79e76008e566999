/*
 * init/work_list.c: what is there, as JSON lines.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/json_text.h"
#include "init/work.h"
#include "sys/fd.h"

enum {
	LINES_BYTES = 32 * 1024, /* written together */
	STAT_BYTES = 1024, /* /proc/N/stat: 52 numbers */
	ARGV0_BYTES = 256, /* of a process: enough to know it */
};
#define SIZE_SHOWN_MAX (((uint64_t)1 << 53) - 1)

/* An open directory, and how much of the name before it is its path. */
struct level {
	DIR *dir;
	size_t path_n;
};

struct listing {
	const struct work *w;
	struct buf lines;
	unsigned entries;
	size_t depth;
	char path[PATH_MAX]; /* of the current entry, from the top */
	struct level levels[RPC_MAX_DEPTH];
};

static int walk(struct listing *l, struct err *e);
static int show(
    struct listing *l, const char *name, size_t path_n, struct err *e);
static int descend(
    struct listing *l, const char *name, size_t path_n, struct err *e);
static void add_skipped(struct listing *l, const char *why);
static void add_entry(struct buf *b, int dir, const char *name,
    const char *shown, const struct stat *st);
static const char *type_name(mode_t mode);
static bool is_utf8(struct str s);
static void add_process(struct buf *b, int proc, const char *number);
static ssize_t read_part(
    int proc, const char *number, const char *file, char *out, size_t cap);

int
work_put_lines(const struct work *w, struct buf *lines, struct err *e)
{
	if (lines->failed)
		return err_set(e, "out of memory");
	if (lines->n > 0 && work_put(w, lines->p, lines->n, e) < 0)
		return -1;
	buf_reset(lines);
	return 0;
}

void
work_add_text(struct buf *line, const char *key, const char *text)
{
	struct str s = str_of(text);

	buf_printf(line, "\"%s\":", key);
	json_put_str(line, s);
	if (is_utf8(s))
		return;
	buf_printf(line, ",\"%s_b64\":\"", key);
	base64_encode(line, s, BASE64_STANDARD);
	buf_add_byte(line, '"');
}

int
work_ls(const struct work *w, struct err *e)
{
	static struct listing l;
	own_fd int top =
	    open(w->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	int r;

	l.w = w;
	if (top < 0)
		return err_sys(e, "open %s", w->path);
	l.levels[0].dir = fdopendir(top);
	if (l.levels[0].dir == NULL)
		return err_sys(e, "open %s", w->path);
	(void)fd_take(&top); /* the stream has it now */
	l.depth = 1;
	r = walk(&l, e);
	if (r == 0)
		r = work_put_lines(w, &l.lines, e);
	while (l.depth > 0)
		(void)closedir(l.levels[--l.depth].dir);
	buf_fini(&l.lines);
	return r;
}

int
work_stat(const struct work *w, struct err *e)
{
	bool follow = (w->q->flags & RPC_FOLLOW) != 0;
	own_buf struct buf line = {};
	struct stat st;

	if (fstatat(AT_FDCWD, w->path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) <
	    0)
		return err_sys(e, "stat %s", w->path);
	w->out->size = (uint64_t)st.st_size;
	add_entry(&line, AT_FDCWD, w->path, w->path, &st);
	return work_put_lines(w, &line, e);
}

int
work_processes(const struct work *w, struct err *e)
{
	DIR *proc = opendir("/proc");
	own_buf struct buf lines = {};
	const struct dirent *d;
	unsigned n = 0;
	int r = 0;

	if (proc == NULL)
		return err_sys(e, "open /proc");
	while (r == 0 && n < RPC_MAX_PROCESSES && (d = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)d->d_name[0]) ||
		    strtol(d->d_name, NULL, 10) == getpid())
			continue;
		add_process(&lines, dirfd(proc), d->d_name);
		n++;
		if (lines.n > LINES_BYTES)
			r = work_put_lines(w, &lines, e);
	}
	(void)closedir(proc);
	return r < 0 ? r : work_put_lines(w, &lines, e);
}

/* Depth first, never through a link. */
static int
walk(struct listing *l, struct err *e)
{
	while (l->depth > 0) {
		struct level *at = &l->levels[l->depth - 1];
		const struct dirent *d;
		int n;

		work_alive();
		errno = 0;
		d = readdir(at->dir);
		if (d == NULL && errno != 0)
			return err_sys(e, "read %s", l->w->path);
		if (d == NULL) {
			(void)closedir(at->dir);
			l->depth--;
			continue;
		}
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (l->entries++ == RPC_MAX_ENTRIES) {
			buf_add_c(&l->lines, "{\"truncated\":\"entries\"}\n");
			return 0;
		}
		n = snprintf(l->path + at->path_n, sizeof(l->path) - at->path_n,
		    "%s%s", at->path_n > 0 ? "/" : "", d->d_name);
		if (n < 0 || (size_t)n >= sizeof(l->path) - at->path_n) {
			l->path[at->path_n] = '\0'; /* too long to be named */
			add_skipped(l, "depth");
			continue;
		}
		if (show(l, d->d_name, at->path_n + (size_t)n, e) < 0)
			return -1;
	}
	return 0;
}

/* One entry, and, when it is a directory to be listed, into it. */
static int
show(struct listing *l, const char *name, size_t path_n, struct err *e)
{
	int dir = dirfd(l->levels[l->depth - 1].dir);
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0; /* it went away meanwhile */
		buf_add_byte(&l->lines, '{');
		work_add_text(&l->lines, "name", l->path);
		buf_add_c(&l->lines, ",\"type\":\"unknown\"}\n");
		return 0;
	}
	add_entry(&l->lines, dir, name, l->path, &st);
	if (l->lines.n > LINES_BYTES && work_put_lines(l->w, &l->lines, e) < 0)
		return -1;
	if (S_ISDIR(st.st_mode) && (l->w->q->flags & RPC_RECURSIVE) != 0)
		return descend(l, name, path_n, e);
	return 0;
}

static int
descend(struct listing *l, const char *name, size_t path_n, struct err *e)
{
	own_fd int fd = -1;
	const char *why = "depth";
	struct level *next;

	if (l->depth < RPC_MAX_DEPTH) {
		why = "access";
		fd = openat(dirfd(l->levels[l->depth - 1].dir), name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK |
			O_CLOEXEC);
	}
	if (fd < 0) {
		add_skipped(l, why);
		return 0;
	}
	next = &l->levels[l->depth];
	next->dir = fdopendir(fd);
	if (next->dir == NULL)
		return err_sys(e, "open %s", name);
	(void)fd_take(&fd); /* the stream has it now */
	next->path_n = path_n;
	l->depth++;
	return 0;
}

/* What lies in the folder l->path, or part of it, is not listed. */
static void
add_skipped(struct listing *l, const char *why)
{
	buf_printf(&l->lines, "{\"truncated\":\"%s\",", why);
	work_add_text(&l->lines, "name", l->path);
	buf_add_c(&l->lines, "}\n");
}

static void
add_entry(struct buf *b, int dir, const char *name, const char *shown,
    const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_size;
	char target[PATH_MAX];
	ssize_t n;

	buf_add_byte(b, '{');
	work_add_text(b, "name", shown);
	buf_printf(b,
	    ",\"type\":\"%s\",\"size\":%llu,\"mode\":%u,"
	    "\"mtime_ns\":\"%lld%09ld\"",
	    type_name(st->st_mode),
	    (unsigned long long)(size > SIZE_SHOWN_MAX ? SIZE_SHOWN_MAX : size),
	    (unsigned)st->st_mode & 07777, (long long)st->st_mtim.tv_sec,
	    (long)st->st_mtim.tv_nsec);
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(dir, name, target, sizeof(target) - 1);
		if (n >= 0) {
			target[n] = '\0';
			buf_add_byte(b, ',');
			work_add_text(b, "target", target);
		}
	}
	buf_add_c(b, "}\n");
}

static const char *
type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	}
	return "unknown";
}

static bool
is_utf8(struct str s)
{
	for (size_t at = 0; at < s.n;) {
		size_t n = 1;

		if ((unsigned char)s.p[at] >= 0x80)
			n = json_text_utf8(s.p + at, s.n - at);
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

/* Nothing when it ended meanwhile. proc(5) has the fields of stat. */
static void
add_process(struct buf *b, int proc, const char *number)
{
	char stat[STAT_BYTES], argv0[ARGV0_BYTES];
	const char *name, *after;
	char *end, state;
	long ppid, rss;

	if (read_part(proc, number, "stat", stat, sizeof(stat)) <= 0)
		return;
	/* The name in parentheses may hold anything, also parentheses. */
	name = strchr(stat, '(');
	end = strrchr(stat, ')');
	if (name == NULL || end == NULL || end < name)
		return;
	after = end + 1;
	/* Field 3, 4 and 24: state, parent, pages. */
	if (sscanf(after,
		" %c %ld %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		"%*s %*s %*s %*s %*s %*s %ld",
		&state, &ppid, &rss) != 3)
		return;
	if (read_part(proc, number, "cmdline", argv0, sizeof(argv0)) <= 0) {
		*end = '\0'; /* a process that is over has no arguments */
		(void)snprintf(argv0, sizeof(argv0), "%s", name + 1);
	}
	buf_printf(b, "{\"pid\":%s,\"ppid\":%ld,\"state\":\"%c\",", number,
	    ppid, state);
	work_add_text(b, "argv0", argv0);
	buf_printf(
	    b, ",\"rss\":%lld}\n", (long long)rss * sysconf(_SC_PAGESIZE));
}

static ssize_t
read_part(int proc, const char *number, const char *file, char *out, size_t cap)
{
	char path[64];
	own_fd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", number, file);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, cap - 1);
	if (n >= 0)
		out[n] = '\0';
	return n;
}
