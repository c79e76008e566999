#include "image/images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "codec/json.h"
#include "image/digest.h"
#include "image/tree.h"
#include "sys/dir.h"
#include "sys/fd.h"

#define DIR_NAME "images"
#define RECORD IMAGE_RECORD_FILE
#define TMP "tmp-"
#define PREFIX "sha256-"

struct found {
	struct str start; /* "sha256:..." */
	struct hash digest;
	size_t n;
};

static int open_dir(
    struct images *s, const char *state_dir, bool make, struct err *e);
static int sweep(const struct images *s, struct err *e);
static int on_found(void *arg, const struct hash *digest, struct err *e);
static int read_record(struct image *i, struct err *e);
static int remove_image(
    const struct images *s, const struct hash *digest, struct err *e);
static int sync_dir(int dir, struct err *e);

int
images_open(struct images *s, const char *state_dir, struct err *e)
{
	return open_dir(s, state_dir, false, e);
}

int
images_change(struct images *s, const char *state_dir, void (*waits)(void *arg),
    void *arg, struct err *e)
{
	if (open_dir(s, state_dir, true, e) < 0)
		return -1;
	s->lock = tree_open(s->dir, "lock", O_RDWR | O_CREAT, 0600, e);
	if (s->lock < 0)
		return -1;
	if (flock(s->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK && waits != NULL)
			waits(arg);
		while (flock(s->lock, LOCK_EX) < 0)
			if (errno != EINTR)
				return err_sys(e, "lock the image store");
	}
	return sweep(s, e);
}

void
images_fini(struct images *s)
{
	fd_fini(&s->lock);
	fd_fini(&s->dir);
}

void
images_dir_name(const struct hash *h, char out[static IMAGES_DIR_BYTES])
{
	char hex[HASH_HEX_BYTES];

	hash_hex(h, hex);
	(void)snprintf(out, IMAGES_DIR_BYTES, PREFIX "%s", hex);
}

bool
images_has(const struct images *s, const struct hash *h)
{
	char name[IMAGES_DIR_BYTES];
	struct stat st;

	images_dir_name(h, name);
	return fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One import at a time, so its number tells them apart. */
int
images_tmp(
    const struct images *s, char name[static IMAGES_TMP_BYTES], struct err *e)
{
	(void)snprintf(name, IMAGES_TMP_BYTES, TMP "%d", getpid());
	if (mkdirat(s->dir, name, 0700) < 0)
		return err_sys(e, "mkdir images/%s", name);
	return tree_open(s->dir, name, O_RDONLY | O_DIRECTORY, 0, e);
}

int
images_keep(const struct images *s, const char *tmp, const struct hash *digest,
    struct err *e)
{
	char name[IMAGES_DIR_BYTES];

	images_dir_name(digest, name);
	/* A million files: the whole file system once, not each of them. */
	if (syncfs(s->dir) < 0)
		return err_sys(e, "sync the image store");
	if (renameat(s->dir, tmp, s->dir, name) < 0)
		return err_sys(e, "rename images/%s", tmp);
	return sync_dir(s->dir, e);
}

int
images_resolve(const struct images *s, struct str name, struct hash *digest,
    bool *by_digest, struct err *e)
{
	own_index struct images_index x = {};

	*by_digest = image_name_is_digest(name);
	if (*by_digest) {
		struct found f = { .start = name };

		if (images_each(s, on_found, &f, e) < 0)
			return -1;
		if (f.n == 0)
			return err_set(
			    e, "no image with digest %.*s", STR_FMT(name));
		if (f.n > 1)
			return err_set(e, "%zu images with digest %.*s...", f.n,
			    STR_FMT(name));
		*digest = f.digest;
		return 0;
	}
	if (images_index_read(s, &x, e) < 0)
		return -1;
	return images_index_find(&x, name, digest, e);
}

int
images_each(const struct images *s,
    int (*on)(void *arg, const struct hash *digest, struct err *e), void *arg,
    struct err *e)
{
	int fd, r = 0;
	DIR *d;

	if (s->dir < 0)
		return 0;
	fd = tree_open(s->dir, "", O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0)
		return -1;
	d = fdopendir(fd);
	if (d == NULL) {
		fd_fini(&fd);
		return err_sys(e, "read the image store");
	}
	for (;;) {
		struct dirent *x;
		struct hash h;
		struct str name;

		errno = 0;
		x = readdir(d);
		if (x == NULL && errno != 0)
			r = err_sys(e, "read the image store");
		if (x == NULL)
			break;
		name = str_of(x->d_name);
		if (!str_starts(name, STR(PREFIX)))
			continue;
		name.p += strlen(PREFIX);
		name.n -= strlen(PREFIX);
		if (hash_from_hex(name, &h) == 0 && (r = on(arg, &h, e)) < 0)
			break;
	}
	(void)closedir(d); /* read only */
	return r;
}

int
images_get(const struct images *s, const struct hash *digest, struct image *out,
    struct err *e)
{
	own_fd int dir = -1, rootfs = -1, lock = -1;
	char name[IMAGES_DIR_BYTES];
	struct stat st;

	images_dir_name(digest, name);
	dir = tree_open(s->dir, name, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0)
		return err_add(e, "image");
	lock = tree_open_file(dir, RECORD, e);
	if (lock < 0)
		return err_add(e, "image %s", name);
	/* Whoever removes it holds the lock until the name is gone. */
	if (flock(lock, LOCK_SH | LOCK_NB) < 0)
		return err_sys(e, "image %s is being removed", name);
	if (fstat(lock, &st) < 0)
		return err_sys(e, "fstat image.json");
	if (st.st_nlink == 0)
		return err_set(e, "image %s was removed", name);
	rootfs = tree_open(dir, "rootfs", O_PATH | O_DIRECTORY, 0, e);
	if (rootfs < 0)
		return err_add(e, "image %s", name);
	if (fstat(rootfs, &st) < 0)
		return err_sys(e, "fstat rootfs");
	*out = (struct image){
		.rootfs_fd = fd_take(&rootfs),
		.lock_fd = fd_take(&lock),
		.uid = st.st_uid,
		.gid = st.st_gid,
		.digest = *digest,
		.memory.max_bytes = IMAGE_PLAN_BYTES,
	};
	if (read_record(out, e) < 0) {
		fd_fini(&out->rootfs_fd);
		fd_fini(&out->lock_fd);
		arena_fini(&out->memory);
		*out = (struct image){};
		return err_add(e, "image %s", name);
	}
	return 0;
}

int
images_remove(const struct images *s, struct str name, struct hash *digest,
    bool *gone, struct err *e)
{
	own_index struct images_index x = {};
	char whole[IMAGE_NAME_BYTES] = "";
	size_t kept = 0, others = 0;
	bool by_digest;

	if (images_resolve(s, name, digest, &by_digest, e) < 0 ||
	    (!by_digest && image_name_parse(name, whole, e) < 0) ||
	    images_index_read(s, &x, e) < 0)
		return -1;
	for (size_t i = 0; i < x.n; i++) {
		bool same = hash_eq(&x.names[i].digest, digest);

		if (same && (by_digest || strcmp(x.names[i].name, whole) == 0))
			continue;
		others += same;
		x.names[kept++] = x.names[i];
	}
	x.n = kept;
	*gone = others == 0;
	/* The files first: a name without them would be worse than the other
	 * way round. */
	if (*gone && remove_image(s, digest, e) < 0)
		return -1;
	return images_index_write(s, &x, e);
}

int
images_record(int dir, const struct hash *digest, const char *form,
    const struct image_config *config, const struct untar_count *count,
    int64_t now_utc_ns, struct err *e)
{
	own_buf struct buf b = {};
	char text[DIGEST_TEXT_BYTES];

	digest_text(digest, text);
	buf_printf(&b,
	    "{\"version\":1,\"digest\":\"%s\",\"form\":\"%s\","
	    "\"created_ms\":%" PRId64 ",\"files\":%" PRIu64
	    ",\"bytes\":%" PRIu64 ",\"config\":",
	    text, form, now_utc_ns / 1000000,
	    count->files + count->dirs + count->links, count->bytes);
	image_config_write(config, &b);
	buf_printf(&b,
	    ",\"dropped\":{\"special\":%" PRIu64 ",\"setid\":%" PRIu64
	    ",\"capabilities\":%" PRIu64 ",\"attributes\":%" PRIu64
	    ",\"mounts\":%" PRIu64 "}}\n",
	    count->special, count->setid, count->caps, count->xattrs,
	    count->mounts);
	return tree_replace_file(dir, RECORD, &b, e);
}

static int
open_dir(struct images *s, const char *state_dir, bool make, struct err *e)
{
	own_fd int state = -1;

	*s = (struct images){ -1, -1 };
	if (make && dir_make_path(state_dir, e) < 0)
		return -1;
	state = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (state < 0 && errno == ENOENT)
		return 0;
	if (state < 0)
		return err_sys(e, "open %s", state_dir);
	if (make && mkdirat(state, DIR_NAME, 0700) < 0 && errno != EEXIST)
		/* cppcheck-suppress resourceLeak ; own_fd closes it */
		return err_sys(e, "mkdir %s/" DIR_NAME, state_dir);
	s->dir = openat(
	    state, DIR_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->dir < 0 && (make || errno != ENOENT))
		return err_sys(e, "open %s/" DIR_NAME, state_dir);
	return 0;
}

/* With the lock held, nothing that is half done is anybody's. */
static int
sweep(const struct images *s, struct err *e)
{
	int fd = tree_open(s->dir, "", O_RDONLY | O_DIRECTORY, 0, e);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;
	int r = 0;

	if (d == NULL) {
		fd_fini(&fd);
		return err_sys(e, "read the image store");
	}
	while (r == 0 && (x = readdir(d)) != NULL)
		if (strncmp(x->d_name, TMP, strlen(TMP)) == 0)
			r = tree_remove(s->dir, x->d_name, e);
	(void)closedir(d); /* read only */
	return r;
}

static int
on_found(void *arg, const struct hash *digest, struct err *e)
{
	struct found *f = arg;
	char text[DIGEST_TEXT_BYTES];

	(void)e; /* it cannot fail */
	digest_text(digest, text);
	if (!str_starts(str_of(text), f->start))
		return 0;
	f->digest = *digest;
	f->n++;
	return 0;
}

static int
read_record(struct image *i, struct err *e)
{
	own_buf struct buf text = { .max = JSON_MAX_BYTES + 1 };

	if (fd_read_all(i->lock_fd, &text, JSON_MAX_BYTES, e) < 0)
		return err_add(e, RECORD);
	return image_record_parse(&i->is, buf_str(&text), &i->memory, e);
}

static int
remove_image(const struct images *s, const struct hash *digest, struct err *e)
{
	char name[IMAGES_DIR_BYTES], tmp[IMAGES_TMP_BYTES];
	own_fd int dir = -1, lock = -1;

	images_dir_name(digest, name);
	dir = tree_open(s->dir, name, O_PATH | O_DIRECTORY, 0, e);
	/* A name whose files are gone can still be removed. */
	if (dir < 0)
		return e->sys == ENOENT ? 0 : err_add(e, "image");
	lock = tree_open_file(dir, RECORD, e);
	if (lock < 0 && e->sys != ENOENT)
		return err_add(e, "image %s", name);
	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, "lock image %s", name);
		return err_set(
		    e, "image %.19s is in use by a run; stop it first", name);
	}
	(void)snprintf(tmp, sizeof(tmp), TMP "rm-%d", getpid());
	if (renameat(s->dir, name, s->dir, tmp) < 0)
		return err_sys(e, "rename images/%s", name);
	/* Before the lock is let go: who waits for it sees that it is gone. */
	if (unlinkat(dir, RECORD, 0) < 0 && errno != ENOENT)
		return err_sys(e, "remove %s", RECORD);
	return tree_remove(s->dir, tmp, e);
}

static int
sync_dir(int dir, struct err *e)
{
	if (fsync(dir) < 0)
		return err_sys(e, "fsync a directory");
	return 0;
}
