/*
 * sandbox/guard.c: covers what is protected in a work folder.
 *
 * Looked for in the mount that the sandbox will see, after it is attached and
 * before anything runs in it. A secret gets a mount of an empty file or folder
 * over it that nobody may open. What other programs execute gets a mount of
 * itself, read-only. Neither can be removed, renamed or linked: a mount point
 * is busy, and a link would cross two mounts. A folder above it can be
 * renamed, and takes the mount along.
 *
 * Where paddock itself keeps its state, there is the token of its operator: it
 * is a secret whatever it is called.
 *
 * Each folder is opened by its name from the one above, never through a link.
 * The order of a folder's entries may change under us, when somebody works in
 * it on the host: who may do that may read the secret as well.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sandbox/build.h"
#include "sandbox/folder.h"
#include "sandbox/protect.h"
#include "sys/fd.h"
#include "sys/mount.h"

enum {
	COVER_FLAGS = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC,
	READ_BYTES = 4096,
};

struct level {
	int fd;
	int64_t next; /* where to go on reading */
	size_t path_n; /* of its path, with the '/' */
	bool is_git; /* a folder that git takes for a repository */
};

struct guard {
	const struct protect *protect;
	enum guard_what what;
	const char *cover_file, *cover_dir;
	unsigned long entries, covers;
	size_t depth;
	struct level levels[GUARD_DEPTH_MAX];
	char path[PATH_MAX];
};

/* getdents64(2) */
struct entry {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static int look(struct guard *g, struct err *e);
static int look_at(
    struct guard *g, const char *name, uint8_t type, bool *down, struct err *e);
static int enter(struct guard *g, int at, const char *name, struct err *e);
static int cover(
    struct guard *g, int at, const char *name, bool secret, struct err *e);
static bool is_special(int dir, const char *name, uint8_t type);

int
guard_folder(const struct build *b, int folder, enum guard_what what,
    const char *own, struct err *e)
{
	char file[64], dir[64];
	struct guard g;
	int r;

	(void)snprintf(file, sizeof(file), "%s/" GUARD_FILE, own);
	(void)snprintf(dir, sizeof(dir), "%s/" GUARD_DIR, own);
	g.protect = &b->spec->protect;
	g.what = what;
	g.cover_file = file;
	g.cover_dir = dir;
	g.entries = g.covers = 0;
	g.depth = 0;
	r = enter(&g, folder, ".", e);
	while (r == 0 && g.depth > 0)
		r = look(&g, e);
	while (g.depth > 0)
		(void)close(g.levels[--g.depth].fd); /* only read */
	return r;
}

/* Reads on in the innermost folder, up to one that is to be entered. */
static int
look(struct guard *g, struct err *e)
{
	struct level *l = &g->levels[g->depth - 1];
	_Alignas(8) char room[READ_BYTES];
	bool down = false;
	long n;

	n = syscall(SYS_getdents64, l->fd, room, sizeof(room));
	if (n < 0)
		return err_sys(e, "read a folder");
	if (n == 0) {
		(void)close(l->fd); /* only read */
		g->depth--;
		return 0;
	}
	for (long at = 0; at < n && !down;) {
		const struct entry *x = (const void *)(room + at);

		at += x->reclen;
		l->next = x->off;
		if (strcmp(x->name, ".") == 0 || strcmp(x->name, "..") == 0)
			continue;
		if (look_at(g, x->name, x->type, &down, e) < 0)
			return -1;
	}
	/* What was read behind the folder just entered is read again. */
	if (down && lseek(l->fd, l->next, SEEK_SET) < 0)
		return err_sys(e, "go on in a folder");
	return 0;
}

static int
look_at(
    struct guard *g, const char *name, uint8_t type, bool *down, struct err *e)
{
	struct level *l = &g->levels[g->depth - 1];
	size_t n = strlen(name);
	enum protect_is is;

	if (++g->entries > GUARD_ENTRIES_MAX)
		return err_set(e,
		    "over %d files: too many to look for secrets among them; "
		    "choose a folder below it",
		    GUARD_ENTRIES_MAX);
	if (l->path_n + n + 2 > sizeof(g->path))
		return err_set(e, "path over %d bytes", PATH_MAX);
	memcpy(g->path + l->path_n, name, n + 1);
	is = protect_name(g->protect, (struct str){ g->path, l->path_n + n });
	if (is == PROTECT_FREE && l->is_git &&
	    (strcmp(name, "hooks") == 0 || strcmp(name, "config") == 0))
		is = PROTECT_RUN_BY_OTHERS;
	if (is == PROTECT_SECRET ||
	    (g->what == GUARD_SHARED && is_special(l->fd, name, type)))
		return cover(g, l->fd, name, true, e);
	if (is == PROTECT_RUN_BY_OTHERS && !g->protect->flag &&
	    g->what != GUARD_READ_ONLY && cover(g, l->fd, name, false, e) < 0)
		return -1;
	/* Secrets may be below what is read-only, too; not among git's own. */
	if ((type != DT_DIR && type != DT_UNKNOWN) ||
	    (l->is_git && g->what != GUARD_SHARED &&
		strcmp(name, "objects") == 0))
		return 0;
	g->path[l->path_n + n] = '/';
	n = g->depth;
	if (enter(g, l->fd, name, e) < 0)
		return -1;
	*down = g->depth > n;
	return 0;
}

/* A folder that may not be read, or is none, is left out: who could enter it
 * inside has more rights than we have now, and nobody has. */
static int
enter(struct guard *g, int at, const char *name, struct err *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	size_t n = 0;
	int fd;

	if (g->depth == GUARD_DEPTH_MAX)
		return err_set(
		    e, "over %d folders below each other", GUARD_DEPTH_MAX);
	fd = openat(at, name, flags);
	if (fd < 0) {
		if (errno == EACCES || errno == ENOTDIR || errno == ELOOP ||
		    errno == ENOENT)
			return 0;
		return err_sys(e, "open %s", name);
	}
	if (folder_is_state(fd)) {
		(void)close(fd); /* only read */
		if (g->depth > 0)
			return cover(g, at, name, true, e);
		return err_set(e,
		    "this is where paddock keeps its state; choose another "
		    "folder");
	}
	if (g->depth > 0)
		n = g->levels[g->depth - 1].path_n + strlen(name) + 1;
	g->levels[g->depth++] = (struct level){
		.fd = fd,
		.path_n = n,
		.is_git = folder_is_git(fd),
	};
	return 0;
}

static int
cover(struct guard *g, int at, const char *name, bool secret, struct err *e)
{
	own_fd int target = -1, mount = -1;
	struct stat st;

	target = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", g->path);
	if (fstat(target, &st) < 0)
		return err_sys(e, "fstat %s", g->path);
	/* A link cannot be written; what it leads to has its own name. */
	if (!secret && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return 0;
	if (++g->covers > GUARD_COVERS_MAX)
		return err_set(e, "over %d protected files", GUARD_COVERS_MAX);
	if (secret)
		mount = mount_copy(AT_FDCWD,
		    S_ISDIR(st.st_mode) ? g->cover_dir : g->cover_file, false,
		    COVER_FLAGS, -1, e);
	else
		mount = mount_copy(target, "", false, MOUNT_RDONLY, -1, e);
	if (mount < 0 || mount_cover(mount, target, e) < 0)
		return err_add(e, "protect %s", g->path);
	return 0;
}

/* Neither file nor folder nor link: behind it is who made it. */
static bool
is_special(int dir, const char *name, uint8_t type)
{
	struct stat st;

	if (type != DT_UNKNOWN)
		return type != DT_DIR && type != DT_REG && type != DT_LNK;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) &&
	    !S_ISLNK(st.st_mode);
}
