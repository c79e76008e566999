#include "supervisor/layer_early.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "supervisor/layer_int.h"
#include "sys/fd.h"

enum {
	CHUNK_BYTES = 1 << 20, /* copied before leases are looked at again */
	FILE_BITS = 0777, /* no set-id bit */
	SETTLED_MS = 50, /* since its last change: more than a clock's tick */
	NAME_BYTES = 16,
};

/* Of one file, in the order of their copies' names. */
struct early {
	struct stat st; /* before it was copied */
	int fd; /* leased; -1: no longer */
};

struct layer_early {
	int dir; /* borrowed */
	int signals;
	sigset_t before;
	uid_t owner;
	gid_t group;
	size_t n;
	struct early *all;
	/* Numbers of all, plus one, by the inode's number. */
	uint32_t slot[2 * SNAPSHOT_EARLY_MAX];
};

static int early_one(struct walk *w, void *arg, const char *name,
    const struct stat *st, struct err *e);
static bool early_file(
    struct layer_early *a, int dir, const char *name, const struct stat *st);
static bool copy(
    struct layer_early *a, int from, const struct stat *st, const char *name);
static bool lease(int fd, uid_t owner, int kind);
static void give_back(struct layer_early *a);
static void end_lease(struct early *f);
static bool is_settled(const struct stat *st);
static size_t slot_of(const struct layer_early *a, const struct stat *st);

struct layer_early *
layer_early_new(int upper, int dir, uid_t owner, gid_t group)
{
	struct layer_early *a = calloc(1, sizeof(*a));
	struct walk *w = calloc(1, sizeof(*w));
	struct layer_sum sum = {};
	struct err ignored = {};
	sigset_t set;

	if (a == NULL || w == NULL) {
		free(a);
		free(w);
		return NULL;
	}
	a->dir = dir;
	a->owner = owner;
	a->group = group;
	a->all = calloc(SNAPSHOT_EARLY_MAX, sizeof(*a->all));
	/* The second is for when there are more than fit in the queue. */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGRTMIN);
	(void)sigaddset(&set, SIGIO);
	(void)sigprocmask(SIG_BLOCK, &set, &a->before);
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w->sum = &sum;
	/* What is not copied now is copied later, and said to fail there. */
	if (a->signals >= 0 && a->all != NULL)
		(void)layer_walk(w, upper, early_one, NULL, a, &ignored);
	free(w);
	return a;
}

void
layer_early_wait(struct layer_early *a, int fd)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
		{ .fd = a->signals, .events = POLLIN } };

	for (;;) {
		const int n = poll(p, 2, -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && p[1].revents != 0)
			give_back(a);
		if (n > 0 && p[0].revents != 0)
			return;
	}
}

bool
layer_early_find(
    const struct layer_early *a, const struct stat *st, size_t *number)
{
	const uint32_t i = a->slot[slot_of(a, st)];
	const struct early *f = i > 0 ? &a->all[i - 1] : NULL;

	/* One that somebody waits for is another type already. */
	if (f == NULL || f->fd < 0 || fcntl(f->fd, F_GETLEASE) != F_RDLCK ||
	    f->st.st_size != st->st_size || st->st_nlink != 1 ||
	    memcmp(&f->st.st_mtim, &st->st_mtim, sizeof(st->st_mtim)) != 0 ||
	    memcmp(&f->st.st_ctim, &st->st_ctim, sizeof(st->st_ctim)) != 0)
		return false;
	*number = i - 1;
	return true;
}

void
layer_early_free(struct layer_early *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n; i++)
		end_lease(&a->all[i]);
	give_back(a); /* takes what is queued */
	fd_fini(&a->signals);
	(void)sigprocmask(SIG_SETMASK, &a->before, NULL);
	free(a->all);
	free(a);
}

static int
early_one(struct walk *w, void *arg, const char *name, const struct stat *st,
    struct err *e)
{
	struct layer_early *a = arg;
	const struct level *l = &w->levels[w->depth - 1];
	const size_t n = strlen(w->path);

	if (S_ISDIR(st->st_mode)) {
		own_fd int from = openat(dirfd(l->from), name, LAYER_OPEN_DIR);

		if (from < 0)
			return 0; /* it has gone meanwhile */
		w->path[n] = '/';
		return layer_push(w, fd_take(&from), n + 1, e);
	}
	if (S_ISREG(st->st_mode) && st->st_nlink == 1 && is_settled(st) &&
	    !early_file(a, dirfd(l->from), name, st))
		return err_set(e, "as many as there may be");
	return 0;
}

/* False when no more can be. */
static bool
early_file(
    struct layer_early *a, int dir, const char *name, const struct stat *st)
{
	own_fd int fd = -1;
	char own[NAME_BYTES];
	struct early *f = &a->all[a->n];

	if (a->n == SNAPSHOT_EARLY_MAX)
		return false;
	fd = openat(dir, name, LAYER_OPEN_FILE);
	if (fd < 0)
		return errno != EMFILE && errno != ENFILE;
	if (fcntl(fd, F_SETSIG, SIGRTMIN) < 0 ||
	    !lease(fd, st->st_uid, F_RDLCK))
		return true; /* somebody has it open to write */
	/* What it is from now on, and not what it was before the lease. */
	if (fstat(fd, &f->st) < 0 || f->st.st_ino != st->st_ino ||
	    !is_settled(&f->st))
		return true;
	(void)snprintf(own, sizeof(own), "%zu", a->n);
	if (!copy(a, fd, &f->st, own)) {
		(void)unlinkat(a->dir, own, 0); /* the folder goes as a whole */
		return true;
	}
	f->fd = fd_take(&fd);
	a->slot[slot_of(a, &f->st)] = (uint32_t)++a->n;
	return true;
}

/* fcntl(2): a lease is given to the file's owner, or for CAP_LEASE, which is
 * not ours. */
static bool
lease(int fd, uid_t owner, int kind)
{
	bool done;

	(void)setfsuid(owner); /* or it stays, and the lease is refused */
	done = fcntl(fd, F_SETLEASE, kind) == 0;
	(void)setfsuid(geteuid());
	return done;
}

static bool
copy(struct layer_early *a, int from, const struct stat *st, const char *name)
{
	static char part[CHUNK_BYTES];
	own_fd int to = openat(a->dir, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct err ignored = {};
	off_t at = 0;
	ssize_t n;

	/* A file with holes is larger than what is written of it. */
	if (to < 0 || st->st_blocks * 512 < st->st_size)
		return false;
	while ((n = pread(from, part, sizeof(part), at)) > 0) {
		if (fd_write_all(to, part, (size_t)n, &ignored) < 0)
			return false;
		at += n;
		if (fcntl(from, F_GETLEASE) != F_RDLCK)
			return false;
		give_back(a);
	}
	return n == 0 && at == st->st_size &&
	    (geteuid() != 0 || fchown(to, a->owner, a->group) == 0) &&
	    fchmod(to, st->st_mode & FILE_BITS) == 0 &&
	    futimens(to, (struct timespec[]){ st->st_mtim, st->st_mtim }) == 0;
}

/* Whose lease somebody waits for: it is copied later. */
static void
give_back(struct layer_early *a)
{
	struct signalfd_siginfo s[16];
	bool any = false;

	while (read(a->signals, s, sizeof(s)) > 0)
		any = true;
	for (size_t i = 0; any && i < a->n; i++) {
		if (a->all[i].fd >= 0 &&
		    fcntl(a->all[i].fd, F_GETLEASE) != F_RDLCK)
			end_lease(&a->all[i]);
	}
}

/* By its name, and not with the last descriptor, which others may have. */
static void
end_lease(struct early *f)
{
	if (f->fd >= 0)
		(void)lease(f->fd, f->st.st_uid, F_UNLCK); /* or it has none */
	fd_fini(&f->fd);
}

static bool
is_settled(const struct stat *st)
{
	struct timespec now;
	int64_t ms;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return false;
	ms = (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000 +
	    (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
	return ms >= SETTLED_MS;
}

/* Its own, or the free one where it would be: there are twice as many. */
static size_t
slot_of(const struct layer_early *a, const struct stat *st)
{
	const size_t slots = sizeof(a->slot) / sizeof(a->slot[0]);
	size_t i = (size_t)st->st_ino * 2654435761U % slots;

	while (a->slot[i] != 0 &&
	    (a->all[a->slot[i] - 1].st.st_ino != st->st_ino ||
		a->all[a->slot[i] - 1].st.st_dev != st->st_dev))
		i = (i + 1) % slots;
	return i;
}
