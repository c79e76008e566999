#include "supervisor/layer_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/must.h"
#include "supervisor/layer_early.h"
#include "supervisor/layer_int.h"
#include "sys/fd.h"

enum {
	SMALL_BYTES = 64 * 1024, /* read into memory */
	FILE_BITS = 0777, /* no set-id bit */
	DIR_BITS = 01777,
	NAME_BYTES = 16, /* of what lies beside */
};

enum kind {
	KIND_FOLDER, /* what follows is in it, */
	KIND_LEAVE, /* until here */
	KIND_EARLY, /* at is the number of its copy */
	KIND_SMALL, /* at is where it is in the pile */
	KIND_LARGE, /* at is the number of its copy beside */
	KIND_AGAIN, /* a further name: at is where the first one's path is */
	KIND_LINK, /* at is where its target is */
	KIND_GONE,
};

struct item {
	enum kind kind;
	mode_t mode;
	struct timespec mtime;
	size_t name; /* where it is in the texts */
	size_t at;
	size_t n; /* bytes in the pile, or marks */
};

/* A file with several names, and the first of them. */
struct link {
	dev_t dev;
	ino_t ino;
	size_t path; /* in the texts */
};

struct layer_plan {
	int beside;
	struct layer_early *early;
	bool rehearses;
	uint64_t logical; /* bytes in files, with holes */
	size_t n, room, larges, n_links;
	struct item *item;
	struct link *link;
	/* Names, a NUL behind each; of a mark its number, a size_t, its value.
	 */
	struct buf text;
	struct buf pile; /* what is in small files */
};

/* Where a layer is being made. */
struct making {
	const struct layer_plan *p;
	int root;
	uid_t owner;
	gid_t group;
	size_t depth;
	int dir[COMMIT_DEPTH_MAX + 1];
};

static int note_one(struct walk *w, void *arg, const char *name,
    const struct stat *st, struct err *e);
static int note_leave(
    struct walk *w, void *arg, const struct level *l, struct err *e);
static int note_file(struct layer_plan *p, struct walk *w, const char *name,
    const struct stat *st, struct item *x, struct err *e);
static int note_again(struct layer_plan *p, const struct walk *w,
    const struct stat *st, struct item *x, struct err *e);
static int note_large(struct layer_plan *p, int from, const struct stat *st,
    struct item *x, struct err *e);
static int note_link(struct layer_plan *p, int dir, const char *name,
    struct item *x, struct err *e);
static int add_item(struct layer_plan *p, const struct item *x, struct err *e);
static size_t add_text(struct layer_plan *p, const char *s);
static int make_one(
    struct making *m, const struct item *x, const char *name, struct err *e);
static int make_folder(struct making *m, const char *name, struct err *e);
static int make_leave(struct making *m, const struct item *x, struct err *e);
static int make_small(struct making *m, int dir, const struct item *x,
    const char *name, struct err *e);
static int make_moved(struct making *m, int dir, const struct item *x,
    const char *name, struct err *e);
static int make_link(struct making *m, int dir, const struct item *x,
    const char *name, struct err *e);
static int put_owner(
    const struct making *m, int fd, const struct item *x, struct err *e);

struct layer_plan *
layer_plan_new(int beside, struct layer_early *early)
{
	struct layer_plan *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->beside = beside;
	p->early = early;
	p->text.max = SNAPSHOT_LIST_BYTES;
	p->pile.max = SNAPSHOT_PILE_BYTES + 2 * SMALL_BYTES;
	return p;
}

void
layer_rehearse(struct layer_plan *p, int upper)
{
	struct layer_sum sum;
	struct err ignored = {};

	p->rehearses = true;
	/* What fails now and fails again is said then. */
	(void)layer_note(p, upper, &sum, &ignored);
	p->rehearses = false;
	p->n = p->larges = p->n_links = 0;
	p->logical = 0;
	buf_reset(&p->text);
	buf_reset(&p->pile);
}

int
layer_note(
    struct layer_plan *p, int upper, struct layer_sum *sum, struct err *e)
{
	struct walk *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL)
		return err_set(e, "out of memory");
	*sum = (struct layer_sum){};
	w->sum = sum;
	r = layer_walk(w, upper, note_one, note_leave, p, e);
	free(w);
	if (r == 0 && (p->text.failed || p->pile.failed))
		r = err_set(e, "over %d bytes of names", SNAPSHOT_LIST_BYTES);
	return r;
}

void
layer_plan_free(struct layer_plan *p)
{
	if (p == NULL)
		return;
	free(p->item);
	free(p->link);
	buf_fini(&p->text);
	buf_fini(&p->pile);
	free(p);
}

int
layer_make(
    const struct layer_plan *p, int to, uid_t owner, gid_t group, struct err *e)
{
	struct making m = { .p = p, .owner = owner, .group = group };
	own_fd int root = openat(to, ".", LAYER_OPEN_DIR);
	int r = 0;

	if (root < 0)
		return err_sys(e, "open the snapshot");
	m.root = root;
	m.dir[0] = openat(to, ".", LAYER_OPEN_DIR);
	if (m.dir[0] < 0)
		return err_sys(e, "open the snapshot");
	m.depth = 1;
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		const struct item *x = &p->item[i];
		const char *name = p->text.p + x->name;

		r = make_one(&m, x, name, e);
		if (r < 0)
			(void)err_add(e, "%s", name);
	}
	while (m.depth > 0)
		fd_fini(&m.dir[--m.depth]);
	return r;
}

static int
note_one(struct walk *w, void *arg, const char *name, const struct stat *st,
    struct err *e)
{
	const int dir = dirfd(w->levels[w->depth - 1].from);
	const size_t path_n = strlen(w->path);
	struct layer_plan *p = arg;
	struct item x = { .mode = st->st_mode, .mtime = st->st_mtim };

	x.name = add_text(p, name);
	if (S_ISDIR(st->st_mode)) {
		own_fd int from = openat(dir, name, LAYER_OPEN_DIR);

		x.kind = KIND_FOLDER;
		if (from < 0)
			return err_sys(e, "open");
		if (add_item(p, &x, e) < 0)
			return -1;
		w->path[path_n] = '/';
		return layer_push(w, fd_take(&from), path_n + 1, e);
	}
	if (S_ISREG(st->st_mode)) {
		if (note_file(p, w, name, st, &x, e) < 0)
			return -1;
	} else if (S_ISLNK(st->st_mode)) {
		if (note_link(p, dir, name, &x, e) < 0)
			return -1;
	} else if (S_ISCHR(st->st_mode) && st->st_rdev == 0) {
		x.kind = KIND_GONE;
	} else {
		w->sum->entries--;
		w->sum->left_out++;
		return 0;
	}
	return add_item(p, &x, e);
}

/* What a folder is comes last, as it is made: its time would change. */
static int
note_leave(struct walk *w, void *arg, const struct level *l, struct err *e)
{
	const int fd = dirfd(l->from);
	struct layer_plan *p = arg;
	struct item x = { .kind = KIND_LEAVE };
	struct stat st;

	(void)w;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat");
	x.mode = st.st_mode;
	x.mtime = st.st_mtim;
	x.name = add_text(p, ".");
	x.at = p->text.n;
	for (size_t i = 0; i < LAYER_MARKS; i++) {
		char value[LAYER_MARK_BYTES];
		const ssize_t n =
		    fgetxattr(fd, layer_marks[i], value, sizeof(value));

		if (n < 0 &&
		    (errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM))
			continue;
		if (n < 0)
			return err_sys(e, "%s", layer_marks[i]);
		buf_add(&p->text, &i, sizeof(i));
		buf_add(&p->text, &n, sizeof(n));
		buf_add(&p->text, value, (size_t)n);
		x.n++;
	}
	return add_item(p, &x, e);
}

static int
note_file(struct layer_plan *p, struct walk *w, const char *name,
    const struct stat *st, struct item *x, struct err *e)
{
	const size_t n = (size_t)st->st_size;
	own_fd int from = -1;
	ssize_t got;
	char *at;

	if (layer_count(&p->logical, st, e) < 0)
		return -1;
	if (st->st_nlink > 1) {
		const int r = note_again(p, w, st, x, e);

		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	w->sum->bytes += (uint64_t)st->st_blocks * 512;
	if (p->early != NULL && layer_early_find(p->early, st, &x->at)) {
		x->kind = KIND_EARLY;
		return 0;
	}
	from =
	    openat(dirfd(w->levels[w->depth - 1].from), name, LAYER_OPEN_FILE);
	if (from < 0)
		return err_sys(e, "open");
	if (n > SMALL_BYTES || p->pile.n + n > SNAPSHOT_PILE_BYTES)
		return note_large(p, from, st, x, e);
	at = buf_reserve(&p->pile, n + 1);
	if (at == NULL)
		return err_set(e, "out of memory");
	got = read(from, at, n);
	if (got < 0)
		return err_sys(e, "read");
	if ((size_t)got != n)
		return err_set(e, "it became shorter");
	x->kind = KIND_SMALL;
	x->at = p->pile.n;
	x->n = n;
	p->pile.n += n;
	return 0;
}

/*
 * Of a file with several names the second and all that follow are names of the
 * same copy: else one large file with many names would fill the disk. 1 when
 * that is done, 0 for its first name.
 */
static int
note_again(struct layer_plan *p, const struct walk *w, const struct stat *st,
    struct item *x, struct err *e)
{
	struct link *more;

	for (size_t i = 0; i < p->n_links; i++) {
		if (p->link[i].dev != st->st_dev ||
		    p->link[i].ino != st->st_ino)
			continue;
		x->kind = KIND_AGAIN;
		x->at = p->link[i].path;
		return 1;
	}
	if (p->n_links == SNAPSHOT_LINKS_MAX)
		return err_set(
		    e, "over %d files with several names", SNAPSHOT_LINKS_MAX);
	more = realloc(p->link, (p->n_links + 1) * sizeof(*more));
	if (more == NULL)
		return err_set(e, "out of memory");
	p->link = more;
	more[p->n_links++] = (struct link){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.path = add_text(p, w->path),
	};
	return 0;
}

static int
note_large(struct layer_plan *p, int from, const struct stat *st,
    struct item *x, struct err *e)
{
	char own[NAME_BYTES];
	own_fd int to = -1;

	x->kind = KIND_LARGE;
	x->at = p->larges++;
	if (p->rehearses)
		return 0;
	(void)snprintf(own, sizeof(own), "l%zu", x->at);
	to = openat(p->beside, own,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(e, "create");
	return fd_copy_sparse(from, to, st->st_size, e);
}

static int
note_link(struct layer_plan *p, int dir, const char *name, struct item *x,
    struct err *e)
{
	char target[PATH_MAX];
	const ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(e, "readlink");
	target[n] = '\0';
	x->kind = KIND_LINK;
	x->at = add_text(p, target);
	return 0;
}

static int
add_item(struct layer_plan *p, const struct item *x, struct err *e)
{
	if (p->n == p->room) {
		const size_t room = p->room > 0 ? 2 * p->room : 256;
		struct item *more = realloc(p->item, room * sizeof(*more));

		if (more == NULL)
			return err_set(e, "out of memory");
		p->item = more;
		p->room = room;
	}
	p->item[p->n++] = *x;
	return 0;
}

static size_t
add_text(struct layer_plan *p, const char *s)
{
	const size_t at = p->text.n;

	buf_add(&p->text, s, strlen(s) + 1);
	return at;
}

static int
make_one(
    struct making *m, const struct item *x, const char *name, struct err *e)
{
	const int dir = m->dir[m->depth - 1];

	switch (x->kind) {
	case KIND_FOLDER:
		return make_folder(m, name, e);
	case KIND_LEAVE:
		return make_leave(m, x, e);
	case KIND_SMALL:
		return make_small(m, dir, x, name, e);
	case KIND_EARLY:
	case KIND_LARGE:
		return make_moved(m, dir, x, name, e);
	case KIND_AGAIN:
		return linkat(m->root, m->p->text.p + x->at, dir, name, 0) < 0
		    ? err_sys(e, "link")
		    : 0;
	case KIND_LINK:
		return make_link(m, dir, x, name, e);
	case KIND_GONE:
		/* Which takes no right to make. */
		return mknodat(dir, name, S_IFCHR, makedev(0, 0)) < 0
		    ? err_sys(e, "mark what is gone")
		    : 0;
	}
	return 0;
}

/* Its mode and time come last: make_leave. */
static int
make_folder(struct making *m, const char *name, struct err *e)
{
	const int dir = m->dir[m->depth - 1];
	int fd;

	must(m->depth <= COMMIT_DEPTH_MAX);
	if (mkdirat(dir, name, 0700) < 0)
		return err_sys(e, "mkdir");
	fd = openat(dir, name, LAYER_OPEN_DIR);
	if (fd < 0)
		return err_sys(e, "open");
	m->dir[m->depth++] = fd;
	return 0;
}

static int
make_leave(struct making *m, const struct item *x, struct err *e)
{
	own_fd int fd = m->dir[--m->depth];
	const char *at = m->p->text.p + x->at;

	for (size_t i = 0; i < x->n; i++) {
		size_t mark, n;

		memcpy(&mark, at, sizeof(mark));
		memcpy(&n, at + sizeof(mark), sizeof(n));
		at += sizeof(mark) + sizeof(n);
		if (fsetxattr(fd, layer_marks[mark], at, n, 0) < 0)
			return err_sys(e, "%s", layer_marks[mark]);
		at += n;
	}
	return put_owner(m, fd, x, e);
}

static int
make_small(struct making *m, int dir, const struct item *x, const char *name,
    struct err *e)
{
	own_fd int to = openat(dir, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (to < 0)
		return err_sys(e, "create");
	if (fd_write_all(to, m->p->pile.p + x->at, x->n, e) < 0)
		return -1;
	return put_owner(m, to, x, e);
}

static int
make_moved(struct making *m, int dir, const struct item *x, const char *name,
    struct err *e)
{
	const bool early = x->kind == KIND_EARLY;
	own_fd int fd = -1;
	char own[NAME_BYTES];

	(void)snprintf(own, sizeof(own), "%s%zu", early ? "" : "l", x->at);
	if (renameat(m->p->beside, own, dir, name) < 0)
		return err_sys(e, "rename");
	if (early)
		return 0; /* it has all but its name */
	fd = openat(dir, name, LAYER_OPEN_FILE);
	return fd < 0 ? err_sys(e, "open") : put_owner(m, fd, x, e);
}

static int
make_link(struct making *m, int dir, const struct item *x, const char *name,
    struct err *e)
{
	if (symlinkat(m->p->text.p + x->at, dir, name) < 0 ||
	    (geteuid() == 0 &&
		fchownat(dir, name, m->owner, m->group, AT_SYMLINK_NOFOLLOW) <
		    0) ||
	    utimensat(dir, name, (struct timespec[]){ x->mtime, x->mtime },
		AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "symlink");
	return 0;
}

static int
put_owner(const struct making *m, int fd, const struct item *x, struct err *e)
{
	const mode_t bits = S_ISDIR(x->mode) ? DIR_BITS : FILE_BITS;

	if ((geteuid() == 0 && fchown(fd, m->owner, m->group) < 0) ||
	    fchmod(fd, x->mode & bits) < 0 ||
	    futimens(fd, (struct timespec[]){ x->mtime, x->mtime }) < 0)
		return err_sys(e, "mode");
	return 0;
}
