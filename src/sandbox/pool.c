#include "sandbox/pool.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/fd.h"

enum {
	KEY_FOLDER = 1 << 0,
	KEY_WRITE_BACK = 1 << 1,
	KEY_RPC = 1 << 2,
	KEY_KEEP = 1 << 3,
	KEY_FREEZABLE = 1 << 4,
	KEY_EXPLAIN = 1 << 5,
	KEY_IMAGE = 1 << 6,
	KEY_ROOT = 1 << 7,
	KEY_NET = 1 << 8,
	KEY_JUDGED = 1 << 9,
};
enum { PLACE, ACCOUNT, HOME, WORDS };
#define MS ((int64_t)1000 * 1000)

static bool key_of(
    const struct sandbox_spec *s, uint64_t tenant, struct pool_key *key);
static struct pool_shape *shape_find(struct pool *p, const struct pool_key *key,
    const struct sandbox_spec *spec);
static struct pool_shape *shape_new(struct pool *p, const struct pool_key *key,
    const struct sandbox_spec *spec);
static void key_over(const struct sandbox_spec *s, const struct pool_key *any,
    struct pool_key *over);
static bool start_shape(struct pool *p, const struct pool_key *key,
    const struct sandbox_spec *spec, int64_t now_ns,
    const struct pool_folder *folder, struct sandbox *out);
static bool is_again(struct pool *p, const struct pool_key *over,
    const struct sandbox_spec *spec);
static bool is_plain(const struct pool_key *key);
static void words_of(
    const struct sandbox_spec *s, const char *word[static WORDS]);
static bool words_same(
    const struct pool_shape *shape, const struct sandbox_spec *spec);
static int shape_fill(struct pool_shape *shape, const struct pool_key *key,
    const struct sandbox_spec *spec);
static int open_folder(const struct pool_key *key, const char *path);
static void shape_empty(struct pool *p, struct pool_shape *shape);
static bool take(struct pool *p, struct pool_shape *shape,
    const struct sandbox_spec *spec, struct sandbox *out);
static bool park(struct pool *p, struct pool_shape *shape);
static bool take_slot(struct pool *p, uint32_t *slot);

void
pool_init(struct pool *p, const struct sandbox_host *host)
{
	memset(p, 0, sizeof(*p));
	p->host = host;
}

void
pool_fini(struct pool *p)
{
	for (size_t i = 0; i < POOL_SHAPES_MAX; i++)
		shape_empty(p, &p->shape[i]);
}

int
pool_start(struct pool *p, uint64_t tenant, const struct sandbox_spec *spec,
    int64_t now_ns, struct sandbox *out, struct err *e)
{
	struct sandbox_spec s = *spec;
	struct pool_key key, over;

	if (p->host->root && key_of(spec, tenant, &key)) {
		key_over(spec, &key, &over);
		if (over.folder.ino != 0 &&
		    start_shape(p, &over, spec, now_ns, &over.folder, out))
			return 0;
		if (start_shape(p, &key, spec, now_ns, &over.folder, out))
			return 0;
	}
	p->misses++;
	if (!take_slot(p, &s.slot))
		return err_set(e, "over %d sandboxes", SANDBOX_SLOTS);
	if (sandbox_start(p->host, &s, out, e) < 0) {
		pool_give_slot(p, s.slot);
		return -1;
	}
	return 0;
}

/*
 * From the stock of that shape; false when there is none now. One that is not
 * known becomes known: over a folder, when that is asked for again.
 */
static bool
start_shape(struct pool *p, const struct pool_key *key,
    const struct sandbox_spec *spec, int64_t now_ns,
    const struct pool_folder *folder, struct sandbox *out)
{
	struct pool_shape *shape = shape_find(p, key, spec);
	bool first;

	if (shape == NULL && (key->folder.ino == 0 || is_again(p, key, spec)))
		shape = shape_new(p, key, spec);
	if (shape == NULL)
		return false;
	first = shape->asked_ns == 0;
	shape->asked_ns = now_ns;
	shape->last = *folder;
	if (take(p, shape, spec, out)) {
		p->hits++;
		return true;
	}
	/* More of what was asked for faster than it was made. */
	if (!first && shape->want < POOL_SHAPE_MAX)
		shape->want *= 2;
	return false;
}

/* Whether the last one for any folder was for this. */
static bool
is_again(struct pool *p, const struct pool_key *over,
    const struct sandbox_spec *spec)
{
	struct pool_key any = *over;
	const struct pool_shape *shape;

	any.folder = (struct pool_folder){};
	shape = shape_find(p, &any, spec);
	return shape != NULL &&
	    memcmp(&shape->last, &over->folder, sizeof(shape->last)) == 0;
}

void
pool_give_slot(struct pool *p, uint32_t slot)
{
	p->used[slot] = false;
}

int64_t
pool_tend(struct pool *p, int64_t now_ns)
{
	const int64_t keep_ns = POOL_KEEP_MS * MS;
	struct pool_shape *missing = NULL;
	int64_t next = 0;

	for (size_t i = 0; i < POOL_SHAPES_MAX; i++) {
		struct pool_shape *s = &p->shape[i];

		if (s->asked_ns == 0)
			continue;
		if (now_ns - s->asked_ns >= keep_ns) {
			shape_empty(p, s);
			continue;
		}
		if (next == 0 || s->asked_ns + keep_ns < next)
			next = s->asked_ns + keep_ns;
		/* The one asked for last is the likeliest; of two that the
		 * same run asked for, that over its folder. */
		if (s->have < s->want &&
		    (missing == NULL || s->asked_ns > missing->asked_ns ||
			(s->asked_ns == missing->asked_ns &&
			    s->key.folder.ino != 0)))
			missing = s;
	}
	if (missing == NULL || pool_count(p) == POOL_PARKED_MAX)
		return next;
	/* A machine that cannot build one now is not asked all the time. */
	if (!park(p, missing))
		return now_ns + keep_ns;
	return now_ns + POOL_FILL_MS * MS;
}

unsigned
pool_count(const struct pool *p)
{
	unsigned n = 0;

	for (size_t i = 0; i < POOL_PARKED_MAX; i++)
		n += p->parked[i].shape != NULL;
	return n;
}

/* False where a run is too special to be prepared for. */
static bool
key_of(const struct sandbox_spec *s, uint64_t tenant, struct pool_key *key)
{
	struct stat folder = {}, image = {};

	if (s->hostname != NULL || s->init != NULL || s->park ||
	    s->n_mounts > 0 || s->n_layers > 0 ||
	    s->n_listen > SANDBOX_PORTS_MAX)
		return false;
	if (s->workspace_fd >= 0 && fstat(s->workspace_fd, &folder) < 0)
		return false;
	if (s->image && fstat(s->image_fd, &image) < 0)
		return false;
	memset(key, 0, sizeof(*key));
	key->image_dev = image.st_dev;
	key->image_ino = image.st_ino;
	key->tenant = tenant;
	key->limits = s->limits;
	key->limits.wall_ms = 0;
	key->owner = folder.st_uid;
	key->group = folder.st_gid;
	key->n_listen = s->n_listen;
	memcpy(key->port, s->listen_port, s->n_listen * sizeof(key->port[0]));
	key->flags = (s->workspace_fd >= 0 ? KEY_FOLDER : 0) |
	    (s->write_back ? KEY_WRITE_BACK : 0) | (s->rpc ? KEY_RPC : 0) |
	    (s->keep ? KEY_KEEP : 0) | (s->freezable ? KEY_FREEZABLE : 0) |
	    (s->explain ? KEY_EXPLAIN : 0) | (s->image ? KEY_IMAGE : 0) |
	    (s->fake_root ? KEY_ROOT : 0) | (s->net ? KEY_NET : 0) |
	    (s->judged ? KEY_JUDGED : 0);
	return true;
}

/* The key of those that are parked over this run's folder; where it has none,
 * or the kernel does not tell, the same key. */
static void
key_over(const struct sandbox_spec *s, const struct pool_key *any,
    struct pool_key *over)
{
	struct statx st;

	*over = *any;
	if (s->workspace_fd < 0 ||
	    syscall(SYS_statx, s->workspace_fd, "", AT_EMPTY_PATH,
		STATX_INO | STATX_MNT_ID, &st) < 0 ||
	    (st.stx_mask & STATX_MNT_ID) == 0)
		return;
	over->folder = (struct pool_folder){
		.dev = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor,
		.ino = st.stx_ino,
		.mount = st.stx_mnt_id,
	};
}

/* By its path, but only if it is that very one still; or -1. */
static int
open_folder(const struct pool_key *key, const char *path)
{
	own_fd int fd =
	    open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const struct sandbox_spec s = { .workspace_fd = fd };
	struct pool_key now;

	key_over(&s, key, &now);
	if (fd < 0 ||
	    memcmp(&now.folder, &key->folder, sizeof(now.folder)) != 0)
		return -1;
	return fd_take(&fd);
}

static struct pool_shape *
shape_find(
    struct pool *p, const struct pool_key *key, const struct sandbox_spec *spec)
{
	for (size_t i = 0; i < POOL_SHAPES_MAX; i++) {
		struct pool_shape *s = &p->shape[i];

		if (s->asked_ns != 0 &&
		    memcmp(&s->key, key, sizeof(*key)) == 0 &&
		    words_same(s, spec))
			return s;
	}
	return NULL;
}

/* In the place of the one that was not asked for longest. */
static struct pool_shape *
shape_new(
    struct pool *p, const struct pool_key *key, const struct sandbox_spec *spec)
{
	struct pool_shape *s = &p->shape[0];

	for (size_t i = 1; i < POOL_SHAPES_MAX; i++) {
		if (p->shape[i].asked_ns < s->asked_ns)
			s = &p->shape[i];
	}
	shape_empty(p, s);
	if (shape_fill(s, key, spec) < 0)
		return NULL; /* a cold start is all it loses */
	s->key = *key;
	s->want = POOL_SHAPE_FIRST;
	return s;
}

static bool
is_plain(const struct pool_key *key)
{
	return (key->flags & KEY_IMAGE) == 0 && key->folder.ino == 0;
}

static void
words_of(const struct sandbox_spec *s, const char *word[static WORDS])
{
	word[PLACE] =
	    s->workspace_path != NULL ? s->workspace_path : "/workspace";
	word[ACCOUNT] = s->image && s->account != NULL ? s->account : "";
	word[HOME] = s->image && s->home != NULL ? s->home : "";
}

static bool
words_same(const struct pool_shape *shape, const struct sandbox_spec *spec)
{
	const char *word[WORDS], *at = shape->text;

	if (is_plain(&shape->key))
		return true;
	words_of(spec, word);
	for (size_t i = 0; i < WORDS; i++) {
		if (strcmp(word[i], at) != 0)
			return false;
		at += strlen(at) + 1;
	}
	return true;
}

/* What the shape is built with, besides its key. */
static int
shape_fill(struct pool_shape *shape, const struct pool_key *key,
    const struct sandbox_spec *spec)
{
	char link[64], path[PATH_MAX] = "";
	const char *word[WORDS];
	own_fd int image = -1;
	struct buf text = {};

	shape->image_fd = -1;
	if (is_plain(key))
		return 0;
	if (spec->image) {
		image = fcntl(spec->image_fd, F_DUPFD_CLOEXEC, 3);
		if (image < 0)
			return -1;
	}
	if (key->folder.ino != 0) {
		(void)snprintf(
		    link, sizeof(link), "/proc/self/fd/%d", spec->workspace_fd);
		if (readlink(link, path, sizeof(path) - 1) < 0)
			return -1;
	}
	words_of(spec, word);
	for (size_t i = 0; i < WORDS; i++)
		buf_add(&text, word[i], strlen(word[i]) + 1);
	buf_add(&text, path, strlen(path) + 1);
	if (text.failed) {
		buf_fini(&text);
		return -1;
	}
	shape->image_fd = fd_take(&image);
	shape->text = text.p;
	return 0;
}

/* Killed first and waited for after, so that they end side by side. */
static void
shape_empty(struct pool *p, struct pool_shape *shape)
{
	if (shape->asked_ns == 0)
		return;
	for (size_t i = 0; i < POOL_PARKED_MAX; i++) {
		if (p->parked[i].shape == shape)
			sandbox_kill(&p->parked[i].sb, LIMIT_STOPPED);
	}
	for (size_t i = 0; i < POOL_PARKED_MAX; i++) {
		struct pool_parked *parked = &p->parked[i];
		uint32_t slot = parked->sb.slot;

		if (parked->shape != shape)
			continue;
		sandbox_fini(&parked->sb);
		pool_give_slot(p, slot);
		parked->shape = NULL;
	}
	fd_fini(&shape->image_fd);
	free(shape->text);
	memset(shape, 0, sizeof(*shape));
}

/* One that fails is of no use any more: the next, and in the end a cold start
 * which says what is wrong. */
static bool
take(struct pool *p, struct pool_shape *shape, const struct sandbox_spec *spec,
    struct sandbox *out)
{
	for (size_t i = 0; i < POOL_PARKED_MAX; i++) {
		struct pool_parked *parked = &p->parked[i];
		uint32_t slot = parked->sb.slot;
		struct err ignored = {};

		if (parked->shape != shape)
			continue;
		parked->shape = NULL;
		shape->have--;
		if (sandbox_wake(p->host, &parked->sb, spec, &ignored) == 0) {
			*out = parked->sb;
			out->limits.wall_ms = spec->limits.wall_ms;
			parked->sb = (struct sandbox){};
			return true;
		}
		sandbox_fini(&parked->sb);
		pool_give_slot(p, slot);
	}
	return false;
}

/* False where it cannot be done now. A folder that is gone takes its shape
 * along, which is fine. */
static bool
park(struct pool *p, struct pool_shape *shape)
{
	const struct pool_key *key = &shape->key;
	struct sandbox_spec s = {
		.stdio = { -1, -1, -1 },
		.workspace_fd = -1,
		.write_back = (key->flags & KEY_WRITE_BACK) != 0,
		.limits = key->limits,
		.n_listen = key->n_listen,
		.park = true,
		.folder = (key->flags & KEY_FOLDER) != 0,
		.owner = key->owner,
		.group = key->group,
		.rpc = (key->flags & KEY_RPC) != 0,
		.keep = (key->flags & KEY_KEEP) != 0,
		.freezable = (key->flags & KEY_FREEZABLE) != 0,
		.explain = (key->flags & KEY_EXPLAIN) != 0,
		.image = (key->flags & KEY_IMAGE) != 0,
		.net = (key->flags & KEY_NET) != 0,
		.image_fd = shape->image_fd,
		.fake_root = (key->flags & KEY_ROOT) != 0,
		.judged = (key->flags & KEY_JUDGED) != 0,
	};
	own_fd int folder = -1;
	const char *at;
	size_t i = 0;
	struct err ignored;

	if (!is_plain(key)) {
		s.workspace_path = shape->text;
		s.account = s.workspace_path + strlen(s.workspace_path) + 1;
		s.home = s.account + strlen(s.account) + 1;
		at = s.home + strlen(s.home) + 1;
		if (key->folder.ino != 0) {
			folder = open_folder(key, at);
			if (folder < 0) {
				shape_empty(p, shape);
				return true;
			}
			s.workspace_fd = folder;
		}
	}
	while (i < POOL_PARKED_MAX && p->parked[i].shape != NULL)
		i++;
	if (i == POOL_PARKED_MAX || !take_slot(p, &s.slot))
		return false;
	memcpy(s.listen_port, key->port, sizeof(key->port));
	if (sandbox_start(p->host, &s, &p->parked[i].sb, &ignored) < 0) {
		pool_give_slot(p, s.slot);
		return false;
	}
	p->parked[i].shape = shape;
	shape->have++;
	return true;
}

/* Round and round: a uid is not used again at once. */
static bool
take_slot(struct pool *p, uint32_t *slot)
{
	for (uint32_t i = 0; i < SANDBOX_SLOTS; i++) {
		uint32_t at = (p->next_slot + i) % SANDBOX_SLOTS;

		if (p->used[at])
			continue;
		p->used[at] = true;
		p->next_slot = at + 1;
		*slot = at;
		return true;
	}
	return false;
}
