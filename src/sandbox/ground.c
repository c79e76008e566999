#include "sandbox/ground.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "sandbox/build.h"
#include "sys/fd.h"

enum { PATHS_MAX = 16 };

struct ground {
	int home_ns;
	int binary_fd;
	int ns; /* -1: to be made anew */
	int mounts; /* readable with priority once the host's have changed */
	struct stat seen[2 * PATHS_MAX]; /* see look, of when it was made */
};

static int make(struct ground *g, struct err *e);
static bool is_stale(const struct ground *g);
static void look(struct stat seen[static 2 * PATHS_MAX]);
static bool differ(const struct stat *a, const struct stat *b);

struct ground *
ground_new(int home_ns, int binary_fd, struct err *e)
{
	struct ground *g = calloc(1, sizeof(*g));

	must(g != NULL);
	g->home_ns = home_ns;
	g->binary_fd = binary_fd;
	g->ns = -1;
	g->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (g->mounts < 0)
		(void)err_sys(e, "open /proc/self/mountinfo");
	if (g->mounts < 0 || make(g, e) < 0) {
		ground_free(g);
		return NULL;
	}
	return g;
}

void
ground_free(struct ground *g)
{
	if (g == NULL)
		return;
	fd_fini(&g->ns);
	fd_fini(&g->mounts);
	free(g);
}

int
ground_enter(struct ground *g, struct err *e)
{
	if (is_stale(g))
		fd_fini(&g->ns);
	if (g->ns < 0 && make(g, e) < 0)
		return err_add(e, "what sandboxes have in common");
	if (setns(g->ns, CLONE_NEWNS) < 0)
		return err_sys(e, "enter a mount namespace");
	return 0;
}

void
ground_leave(const struct ground *g)
{
	/* There is no working on from the wrong place. */
	must(setns(g->home_ns, CLONE_NEWNS) == 0);
}

static int
make(struct ground *g, struct err *e)
{
	own_fd int ns = -1;
	mode_t mask;
	int r;

	look(g->seen);
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, "make a mount namespace");
	ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	mask = umask(0);
	r = ns < 0 ? err_sys(e, "open /proc/self/ns/mnt")
		   : root_make_ground(g->binary_fd, e);
	(void)umask(mask);
	ground_leave(g);
	if (r == 0)
		g->ns = fd_take(&ns);
	return r;
}

/*
 * A directory is seen as it is; of another file that is replaced the old one
 * would be. It cannot come back under its old number meanwhile, since the
 * namespace holds it; a link can, with a new time.
 */
static bool
is_stale(const struct ground *g)
{
	struct pollfd mounts = { .fd = g->mounts, .events = POLLPRI };
	struct stat now[2 * PATHS_MAX];

	/* Each change is told once. proc_pid_mountinfo(5) */
	if (poll(&mounts, 1, 0) != 0)
		return true;
	look(now);
	for (int i = 0; i < 2 * PATHS_MAX; i++) {
		if (differ(&g->seen[i], &now[i]))
			return true;
	}
	return false;
}

/* What is shared, and of a link what it leads to; zero for nothing. */
static void
look(struct stat seen[static 2 * PATHS_MAX])
{
	const char *path;

	memset(seen, 0, 2 * PATHS_MAX * sizeof(*seen));
	for (size_t i = 0; (path = root_shared_path(i)) != NULL; i++) {
		struct stat *own = &seen[2 * i];

		must(i < PATHS_MAX);
		if (lstat(path, own) < 0)
			*own = (struct stat){};
		else if (S_ISLNK(own->st_mode) && stat(path, own + 1) < 0)
			own[1] = (struct stat){};
	}
}

static bool
differ(const struct stat *a, const struct stat *b)
{
	if (a->st_dev != b->st_dev || a->st_ino != b->st_ino ||
	    a->st_mode != b->st_mode)
		return true;
	return !S_ISDIR(a->st_mode) &&
	    (a->st_ctim.tv_sec != b->st_ctim.tv_sec ||
		a->st_ctim.tv_nsec != b->st_ctim.tv_nsec);
}
