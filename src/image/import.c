#include "image/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "image/account.h"
#include "image/digest.h"
#include "image/images.h"
#include "image/plan.h"
#include "image/pull.h"
#include "image/tree.h"
#include "image/unpack.h"
#include "image/walk.h"
#include "sys/fd.h"

enum { PIECE_BYTES = 128 * 1024 };

/* One import under way. */
struct work {
	const struct import *in;
	struct imported *out;
	struct images store;
	char tmp[IMAGES_TMP_BYTES]; /* "" when there is none */
	int tmp_dir;
	struct untar_limits left; /* of the whole image */
};

/* One archive on its way to the process that unpacks it. */
struct stream {
	struct unpack unpack;
	struct digest digest; /* of what was fed */
	uint64_t bytes, total;
	const struct work *work;
	const char *what;
	struct err e; /* of a failed send */
	bool failed;
};

static int from_source(struct work *w, struct err *e);
static int from_layout(
    struct work *w, int dir, enum plan_form form, struct err *e);
static int from_tree(struct work *w, int dir, struct err *e);
static int stage(struct work *w, int archive, int *dir, struct err *e);
static int put_layers(
    struct work *w, const struct plan *p, int dir, struct err *e);
static int find_account(struct work *w, struct plan *p, struct err *e);
static int put_layer(struct work *w, const struct plan_layer *l, int dir,
    int rootfs, const char *what, struct err *e);
static int put_stream(struct work *w, int fd, int dir, bool layer,
    const char *what, struct hash *blob, struct hash *unpacked, uint64_t *bytes,
    struct err *e);
static int feed(void *arg, const void *p, size_t n);
static int make_dir(struct work *w, const char *name, struct err *e);
static void spend(struct work *w, const struct untar_count *c);
static int choose_name(struct work *w, const char *hint, struct err *e);
static int set_name(struct work *w, struct err *e);
static int keep(
    struct work *w, const struct image_config *config, struct err *e);
static void on_wait(void *arg);
static int with_store(
    struct work *w, int (*build)(struct work *w, struct err *e), struct err *e);
static int pull_source(struct work *w, struct err *e);

int
image_import(const struct import *i, struct imported *out, struct err *e)
{
	struct work w = { .in = i, .out = out, .tmp_dir = -1 };

	if (with_store(&w, from_source, e) < 0)
		return err_add(e, "import %.200s", i->source);
	return 0;
}

int
image_pull(const struct import *i, struct imported *out, struct err *e)
{
	struct work w = { .in = i, .out = out, .tmp_dir = -1 };

	if (with_store(&w, pull_source, e) < 0)
		return err_add(e, "pull %.200s", i->source);
	return 0;
}

/* Whatever build does, nothing half-built is left. */
static int
with_store(
    struct work *w, int (*build)(struct work *w, struct err *e), struct err *e)
{
	char name[IMAGE_NAME_BYTES];
	struct err undo;
	int r;

	*w->out = (struct imported){};
	w->left = unpack_limits();
	w->store = (struct images){ -1, -1 };
	/* Before an hour of unpacking, not after. */
	if (w->in->name != NULL &&
	    image_name_parse(str_of(w->in->name), name, e) < 0)
		return -1;
	r = images_change(&w->store, w->in->state_dir, on_wait, w, e);
	if (r == 0) {
		w->tmp_dir = images_tmp(&w->store, w->tmp, e);
		r = w->tmp_dir < 0 ? -1 : build(w, e);
	}
	fd_fini(&w->tmp_dir);
	if (w->tmp[0] != '\0' && tree_remove(w->store.dir, w->tmp, &undo) < 0 &&
	    r == 0) {
		*e = undo;
		r = -1;
	}
	images_fini(&w->store);
	return r;
}

static int
from_source(struct work *w, struct err *e)
{
	own_fd int source =
	    open(w->in->source, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	own_fd int staged = -1;
	enum plan_form form;
	struct stat st;

	if (source < 0)
		return err_sys(e, "open");
	if (fstat(source, &st) < 0)
		/* cppcheck-suppress resourceLeak ; own_fd closes it */
		return err_sys(e, "fstat");
	if (S_ISDIR(st.st_mode)) {
		form = plan_form(source);
		if (form == PLAN_NONE)
			return from_tree(w, source, e);
		return from_layout(w, source, form, e);
	}
	if (!S_ISREG(st.st_mode))
		/* cppcheck-suppress resourceLeak ; own_fd closes it */
		return err_set(e, "neither a file nor a directory");
	if (stage(w, source, &staged, e) < 0)
		return -1;
	form = plan_form(staged);
	if (form == PLAN_NONE)
		return err_set(e,
		    "neither an OCI image layout nor what docker "
		    "save writes; unpack a tar of a root "
		    "directory, and import that");
	return from_layout(w, staged, form, e);
}

static int
pull_source(struct work *w, struct err *e)
{
	char layout[sizeof("/proc/self/fd//layout") + 16];
	own_fd int dir = -1;

	(void)snprintf(layout, sizeof(layout), "/proc/%d/fd/%d/layout",
	    getpid(), w->tmp_dir);
	if (pull_layout(w->in->source, layout, e) < 0)
		return -1;
	dir = tree_open(w->tmp_dir, "layout", O_RDONLY | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	return from_layout(w, dir, PLAN_OCI, e);
}

static int
from_layout(struct work *w, int dir, enum plan_form form, struct err *e)
{
	own_plan struct plan p = {};
	char name[IMAGE_NAME_BYTES];
	const char *wanted = NULL;
	int r;

	if (w->in->name != NULL) {
		if (image_name_parse(str_of(w->in->name), name, e) < 0)
			return -1;
		wanted = name;
	}
	r = form == PLAN_OCI ? plan_read_oci(&p, dir, wanted, e)
			     : plan_read_docker(&p, dir, wanted, e);
	if (r < 0)
		return -1;
	w->out->form = p.form;
	w->out->digest = p.digest;
	w->out->was_there = images_has(&w->store, &p.digest);
	if (choose_name(w, p.name, e) < 0)
		return -1;
	if (w->out->was_there)
		return set_name(w, e);
	if (put_layers(w, &p, dir, e) < 0 || find_account(w, &p, e) < 0)
		return -1;
	return keep(w, &p.config, e);
}

static int
from_tree(struct work *w, int dir, struct err *e)
{
	static const char *const none[] = { NULL };
	const struct image_config config = { none, none, none, "/", "", "",
		"" };
	struct stream s = { .work = w, .what = "files" };
	const struct walk_sink sink = { feed, &s };
	struct untar_count left_out = {}, count = {};
	own_fd int rootfs = make_dir(w, "rootfs", e);
	struct hash unpacked;
	struct err walk_e;
	int r, end;

	if (rootfs < 0 || choose_name(w, NULL, e) < 0 ||
	    digest_init(&s.digest, e) < 0)
		return -1;
	r = unpack_start(&s.unpack, rootfs, false, &w->left, e);
	if (r == 0) {
		r = walk_tar(dir, w->store.dir, &sink, &left_out, &walk_e);
		/* Who took no more has the reason; else the walk has. */
		end = r < 0 && walk_e.text[0] != '\0'
		    ? 0
		    : unpack_end(&s.unpack, &count, &unpacked, e);
		if (r < 0 && walk_e.text[0] != '\0')
			*e = walk_e;
		else if (s.failed)
			*e = s.e;
		else if (r < 0 && end == 0)
			(void)err_set(e, "the unpacking ended early");
		if (end < 0)
			r = -1;
	}
	unpack_fini(&s.unpack);
	w->out->digest = digest_end(&s.digest);
	digest_fini(&s.digest);
	if (r < 0)
		return -1;
	spend(w, &count);
	untar_count_add(&w->out->count, &left_out);
	w->out->form = "directory";
	w->out->was_there = images_has(&w->store, &w->out->digest);
	if (w->out->was_there)
		return set_name(w, e);
	return keep(w, &config, e);
}

/* The outer archive, into a directory of its own. */
static int
stage(struct work *w, int archive, int *dir, struct err *e)
{
	own_fd int staged = make_dir(w, "staged", e);
	struct hash blob, unpacked;
	struct untar_count before = w->out->count;
	uint64_t bytes;

	if (staged < 0 ||
	    put_stream(w, archive, staged, false, "archive", &blob, &unpacked,
		&bytes, e) < 0)
		return -1;
	/* The image's own limits begin with its layers. */
	w->left = unpack_limits();
	w->out->count = before;
	*dir = fd_take(&staged);
	return 0;
}

static int
put_layers(struct work *w, const struct plan *p, int dir, struct err *e)
{
	own_fd int rootfs = make_dir(w, "rootfs", e);

	if (rootfs < 0)
		return -1;
	for (size_t i = 0; i < p->n_layers; i++) {
		char what[64];

		(void)snprintf(
		    what, sizeof(what), "layer %zu of %zu", i + 1, p->n_layers);
		if (put_layer(w, &p->layers[i], dir, rootfs, what, e) < 0)
			return err_add(e, "%s", what);
	}
	return 0;
}

/* Now that all its layers are there: who its user is. */
static int
find_account(struct work *w, struct plan *p, struct err *e)
{
	own_fd int rootfs =
	    tree_open(w->tmp_dir, "rootfs", O_PATH | O_DIRECTORY, 0, e);

	if (rootfs < 0)
		return -1;
	return image_account_find(&p->config, rootfs, &p->memory, e);
}

static int
put_layer(struct work *w, const struct plan_layer *l, int dir, int rootfs,
    const char *what, struct err *e)
{
	char want[DIGEST_TEXT_BYTES], got[DIGEST_TEXT_BYTES];
	own_fd int fd = tree_open_file(dir, l->path, e);
	struct hash blob, unpacked;
	uint64_t bytes;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat");
	if (l->has_blob && (uint64_t)st.st_size != l->size_bytes)
		return err_set(e, "it should have %llu bytes and has %llu",
		    (unsigned long long)l->size_bytes,
		    (unsigned long long)st.st_size);
	if (put_stream(w, fd, rootfs, true, what, &blob, &unpacked, &bytes, e) <
	    0)
		return -1;
	if (l->has_blob && !hash_eq(&blob, &l->blob)) {
		digest_text(&l->blob, want);
		digest_text(&blob, got);
		return err_set(
		    e, "the digest should be %s and is %s", want, got);
	}
	if (!hash_eq(&unpacked, &l->unpacked)) {
		digest_text(&l->unpacked, want);
		digest_text(&unpacked, got);
		return err_set(
		    e, "the digest unpacked should be %s and is %s", want, got);
	}
	return 0;
}

/* All of the file fd, from its start, unpacked beneath dir. */
static int
put_stream(struct work *w, int fd, int dir, bool layer, const char *what,
    struct hash *blob, struct hash *unpacked, uint64_t *bytes, struct err *e)
{
	char piece[PIECE_BYTES];
	struct stream s = { .work = w, .what = what };
	struct untar_count count = {};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat");
	s.total = (uint64_t)st.st_size;
	if (digest_init(&s.digest, e) < 0)
		return -1;
	r = unpack_start(&s.unpack, dir, layer, &w->left, e);
	while (r == 0) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = err_sys(e, "read");
		if (n <= 0 || feed(&s, piece, (size_t)n) != 0)
			break;
	}
	if (s.failed) {
		*e = s.e;
		r = -1;
	}
	if (r == 0)
		r = unpack_end(&s.unpack, &count, unpacked, e);
	unpack_fini(&s.unpack);
	*blob = digest_end(&s.digest);
	*bytes = s.bytes;
	digest_fini(&s.digest);
	spend(w, &count);
	return r;
}

static int
feed(void *arg, const void *p, size_t n)
{
	struct stream *s = arg;
	const struct import *i = s->work->in;
	int r;

	digest_add(&s->digest, p, n);
	s->bytes += n;
	if (i->progress != NULL)
		i->progress(i->arg, s->what, s->bytes, s->total);
	r = unpack_feed(&s->unpack, p, n, &s->e);
	s->failed = r < 0;
	return r;
}

static int
make_dir(struct work *w, const char *name, struct err *e)
{
	own_fd int dir = -1;

	if (mkdirat(w->tmp_dir, name, 0755) < 0)
		return err_sys(e, "mkdir %s", name);
	dir = tree_open(w->tmp_dir, name, O_RDONLY | O_DIRECTORY, 0, e);
	/* The umask may have taken something away. */
	if (dir >= 0 && fchmod(dir, 0755) < 0)
		return err_sys(e, "chmod %s", name);
	if (dir < 0 || unpack_own(dir, e) < 0)
		return -1;
	return fd_take(&dir);
}

static void
spend(struct work *w, const struct untar_count *c)
{
	untar_count_add(&w->out->count, c);
	w->left.entries -=
	    c->entries < w->left.entries ? c->entries : w->left.entries;
	w->left.bytes -= c->bytes < w->left.bytes ? c->bytes : w->left.bytes;
}

/* The name asked for, else the maker's, else the file's. */
static int
choose_name(struct work *w, const char *hint, struct err *e)
{
	const char *given = w->in->name;
	char text[2 * IMAGE_NAME_BYTES];
	struct str base = str_of(w->in->source);
	const char *slash;

	while (base.n > 1 && base.p[base.n - 1] == '/')
		base.n--;
	if (given == NULL && hint != NULL &&
	    (strchr(hint, ':') != NULL || strchr(hint, '/') != NULL))
		given = hint;
	if (given == NULL) {
		slash = memrchr(base.p, '/', base.n);
		if (slash != NULL)
			base = (struct str){ slash + 1,
				base.n - (size_t)(slash + 1 - base.p) };
		if (str_ends(base, STR(".tar")))
			base.n -= strlen(".tar");
		(void)snprintf(text, sizeof(text), "%.*s%s%s", STR_FMT(base),
		    hint == NULL ? "" : ":", hint == NULL ? "" : hint);
		given = text;
	}
	if (image_name_parse(str_of(given), w->out->name, e) < 0)
		return err_add(e, "its name (choose one with --name)");
	return 0;
}

static int
set_name(struct work *w, struct err *e)
{
	return images_set_name(&w->store, w->out->name, &w->out->digest, e);
}

/* Everything is there: make it an image. */
static int
keep(struct work *w, const struct image_config *config, struct err *e)
{
	if (images_record(w->tmp_dir, &w->out->digest, w->out->form, config,
		&w->out->count, w->in->now_utc_ns, e) < 0 ||
	    tree_remove(w->tmp_dir, "staged", e) < 0 ||
	    tree_remove(w->tmp_dir, "layout", e) < 0 ||
	    images_keep(&w->store, w->tmp, &w->out->digest, e) < 0)
		return -1;
	w->tmp[0] = '\0';
	return set_name(w, e);
}

static void
on_wait(void *arg)
{
	const struct work *w = arg;

	if (w->in->progress != NULL)
		w->in->progress(w->in->arg, "waiting for another import", 0, 0);
}
