#include "sandbox/mounts.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/place.h"
#include "sandbox/build.h"
#include "sys/fd.h"
#include "sys/mount.h"

enum { DATA_FLAGS = MOUNT_NOSUID | MOUNT_NODEV };

static int make_one(struct build *b, unsigned i, int folder, struct err *e);
static int lay_under(
    const struct build *b, const char *at, int *mount, struct err *e);
static bool take_mode(struct str word, struct sandbox_mount *m);
static struct str cut_last(struct str *s);

int
mounts_parse(const char *text, struct str *from, struct str *to,
    struct sandbox_mount *m, struct err *e)
{
	struct str rest = str_of(text), last = cut_last(&rest);
	const char *fault;

	m->mode = SANDBOX_RO;
	m->noexec = false;
	if (take_mode(last, m)) {
		last = cut_last(&rest);
	} else if (last.n > 0 && last.p[0] != '/' && rest.n > 0 &&
	    str_find(rest, ':') < rest.n) {
		return err_set(e,
		    "%s: unknown mode %.*s: expected ro, overlay or rw, and "
		    ",noexec behind it if wanted",
		    text, (int)(last.n > 64 ? 64 : last.n), last.p);
	}
	if (rest.n == 0 || last.n == 0)
		return err_set(e,
		    "%s: expected FROM:TO or FROM:TO:MODE, such as "
		    "./data:/data:ro",
		    text);
	*from = rest;
	*to = last;
	fault = place_fault(last);
	return fault != NULL
	    ? err_set(e, "%s: the path inside must be %s", text, fault)
	    : 0;
}

const char *
mounts_mode_name(enum sandbox_mount_mode mode)
{
	switch (mode) {
	case SANDBOX_RO:
		return "ro";
	case SANDBOX_OVERLAY:
		return "overlay";
	case SANDBOX_RW:
		return "rw";
	}
	return "unknown";
}

int
mounts_check(const struct sandbox_spec *s, struct err *e)
{
	if (s->n_mounts > MOUNTS_MAX)
		return err_set(e, "%u mounts: at most %d are allowed",
		    s->n_mounts, MOUNTS_MAX);
	if (s->n_mounts > 0 && s->park)
		return err_set(e, "a parked sandbox has no mounts");
	for (unsigned i = 0; i < s->n_mounts; i++) {
		const struct sandbox_mount *m = &s->mounts[i];
		struct str to = str_of(m->to);
		const char *fault = place_fault(to);

		if (fault != NULL)
			return err_set(
			    e, "mount at %s: must be %s", m->to, fault);
		if (m->mode != SANDBOX_RO && m->mode != SANDBOX_OVERLAY &&
		    m->mode != SANDBOX_RW)
			return err_set(e, "mount at %s: unknown mode", m->to);
		for (unsigned k = 0; k < i; k++) {
			struct str other = str_of(s->mounts[k].to);

			if (place_below(to, other) || place_below(other, to))
				return err_set(e,
				    "mounts at %s and %s lie in each other; "
				    "give each a place of its own",
				    s->mounts[k].to, m->to);
		}
		/* An empty work folder gives way to one that is mounted. */
		if (s->workspace_fd < 0 && str_eq_c(to, s->workspace_path))
			continue;
		if (place_below(to, str_of(s->workspace_path)) ||
		    place_below(str_of(s->workspace_path), to))
			return err_set(e,
			    "mount at %s: the work folder is at %s; mount it "
			    "beside that, such as at /data",
			    m->to, s->workspace_path);
	}
	return 0;
}

int
mounts_make(struct build *b, struct err *e)
{
	for (unsigned i = 0; i < b->spec->n_mounts; i++) {
		const struct sandbox_mount *m = &b->spec->mounts[i];
		own_fd int here = root_open_here(m->fd, e);

		if (here < 0 || make_one(b, i, here, e) < 0)
			return err_add(e, "mount at %s", m->to);
	}
	return 0;
}

int
mounts_add(struct build *b, bool made, const char *own, struct err *e)
{
	for (unsigned i = 0; i < b->spec->n_mounts; i++) {
		const struct sandbox_mount *m = &b->spec->mounts[i];
		enum guard_what what = m->mode == SANDBOX_RO ? GUARD_READ_ONLY
		    : m->mode == SANDBOX_RW		     ? GUARD_SHARED
							     : GUARD_OVERLAY;

		if ((!made && root_put_path(m->to + 1, e) < 0) ||
		    mount_attach(b->mount[i], AT_FDCWD, m->to + 1, e) < 0 ||
		    guard_folder(b, b->mount[i], what, own, e) < 0)
			return err_add(e, "mount at %s", m->to);
		fd_fini(&b->mount[i]); /* attached */
	}
	return 0;
}

bool
mounts_have_work(const struct sandbox_spec *s)
{
	for (unsigned i = 0; s->workspace_fd < 0 && i < s->n_mounts; i++) {
		if (strcmp(s->mounts[i].to, s->workspace_path) == 0)
			return true;
	}
	return false;
}

static int
make_one(struct build *b, unsigned i, int folder, struct err *e)
{
	const struct sandbox_mount *m = &b->spec->mounts[i];
	const bool shared = m->mode == SANDBOX_RW;
	const unsigned flags = DATA_FLAGS | (m->noexec ? MOUNT_NOEXEC : 0U) |
	    (shared ? 0U : MOUNT_RDONLY);
	/* A user namespace may not take apart what is mounted together. */
	const bool all = !b->host->root && !shared;
	int *idmap = &b->mount_idmap[i];
	own_fd int mount = mount_copy(folder, "", all, flags, *idmap, e);
	char at[20];
	int r;

	if (mount < 0 && shared)
		return err_add(e,
		    *idmap >= 0
			? "its file system cannot shift owners: use overlay"
			: "other file systems may be mounted in it: use "
			  "overlay, or choose a folder below it");
	if (mount < 0 && *idmap >= 0) {
		/* Then its files are as free for the agent as they are for
		 * strangers. */
		fd_fini(idmap);
		mount = mount_copy(folder, "", all, flags, -1, e);
	}
	if (mount < 0)
		return -1;
	if (!shared) {
		(void)snprintf(at, sizeof(at), "tmp/m%u/", i);
		if (mkdir(at, 0700) < 0)
			return err_sys(e, "mkdir %s", at);
		r = m->mode == SANDBOX_RO
		    ? lay_under(b, at, &mount, e)
		    : root_lay_over(
			  b, at, &b->mount_stat[i], *idmap >= 0, &mount, e);
		if (r < 0 ||
		    (m->noexec && mount_restrict(mount, MOUNT_NOEXEC, e) < 0))
			return -1;
	}
	b->mount[i] = fd_take(&mount);
	return 0;
}

/*
 * An overlay that nothing can be written to, since it has no upper directory:
 * two lower ones are the fewest then. overlayfs.rst, "Multiple lower layers"
 */
static int
lay_under(const struct build *b, const char *at, int *mount, struct err *e)
{
	char lower[32], none[32], both[64];
	const struct mount_option options[] = {
		{ "lowerdir", both },
		{ "redirect_dir", "nofollow" },
		{ "metacopy", "off" },
		{ "userxattr", NULL },
	};
	const size_t n =
	    sizeof(options) / sizeof(options[0]) - (b->host->root ? 1 : 0);
	int fd;

	(void)snprintf(lower, sizeof(lower), "%slower", at);
	(void)snprintf(none, sizeof(none), "%snone", at);
	(void)snprintf(both, sizeof(both), "%s:%s", lower, none);
	if (mkdir(lower, 0755) < 0 || mkdir(none, 0755) < 0)
		return err_sys(e, "mkdir %s", at);
	if (mount_attach(*mount, AT_FDCWD, lower, e) < 0)
		return -1;
	fd = mount_new("overlay", options, n, DATA_FLAGS | MOUNT_RDONLY, e);
	if (fd < 0)
		return -1;
	fd_fini(mount); /* attached, below the overlay */
	*mount = fd;
	return 0;
}

static bool
take_mode(struct str word, struct sandbox_mount *m)
{
	static const enum sandbox_mount_mode modes[] = { SANDBOX_RO,
		SANDBOX_OVERLAY, SANDBOX_RW };
	struct str name = { word.p, str_find(word, ',') };

	if (name.n < word.n) {
		struct str flag = { word.p + name.n + 1, word.n - name.n - 1 };

		if (!str_eq_c(flag, "noexec"))
			return false;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!str_eq_c(name, mounts_mode_name(modes[i])))
			continue;
		m->mode = modes[i];
		m->noexec = name.n < word.n;
		return true;
	}
	return false;
}

/* What stands behind the last ':', which is cut off with it. */
static struct str
cut_last(struct str *s)
{
	size_t at = s->n;
	struct str last;

	while (at > 0 && s->p[at - 1] != ':')
		at--;
	last = (struct str){ s->p + at, s->n - at };
	s->n = at > 0 ? at - 1 : 0;
	return last;
}
