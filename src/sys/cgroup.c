#include "sys/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/cgroup_int.h"
#include "sys/fd.h"

enum {
	CPU_PERIOD_US = 100 * 1000,
	TICKS_PER_S = 100, /* USER_HZ: the unit of /proc/PID/stat */
	/* A killed process leaves its group a moment after it is reaped. */
	REMOVE_TRIES = 200,
	LEAVE_TRIES = 2000, /* at the end nobody waits for anything else */
	REMOVE_WAIT_NS = 1000 * 1000,
};

static const char mount_dir[] = CGROUP_MOUNT;
static const char prefix[] = "paddock-";
static const char *const names[CGROUP_CONTROLLERS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
	[CGROUP_IO] = "blkio",
	[CGROUP_FREEZER] = "freezer",
};

static uint64_t start_time(const char *pid);
static void place_v1(struct cgroup_place *p, char *line);
static bool wants(const struct cgroup_limits *l, enum cgroup_controller c);
static int set_limit(const struct cgroup_place *p, int dirfd,
    enum cgroup_controller c, const struct cgroup_limits *l);
static int set_cpu(bool v1, int dirfd, const struct cgroup_limits *l);
static int make_beside(struct cgroup *g, struct err *e);
static int make_v1(
    const struct cgroup_limits *l, struct cgroup *g, struct err *e);
static int make_v1_controller(enum cgroup_controller c,
    const struct cgroup_limits *l, struct cgroup *g, struct err *e);
static int make_v2(
    const struct cgroup_limits *l, struct cgroup *g, struct err *e);
static unsigned sweep_dir(const struct cgroup_place *p, const char *parent);
static void leave_dir(const struct cgroup_place *p, const char *parent);
static bool remove_dir(const char *parent, const char *name);
static bool remove_patiently(const char *parent, const char *name, int tries);
static bool owner_lives(const struct cgroup_place *p, const char *name);

int
cgroup_place_init(struct cgroup_place *p, struct err *e)
{
	char text[CGROUP_FILE_MAX];
	char *rest = text, *line, *unified = NULL;
	struct timespec now;
	struct stat ns;

	*p = (struct cgroup_place){};
	if (stat("/proc/self/ns/pid", &ns) < 0)
		return err_sys(e, "stat /proc/self/ns/pid");
	if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
		return err_sys(e, "clock_gettime");
	(void)snprintf(p->owner, sizeof(p->owner), "%s%lu-%d-%llu", prefix,
	    (unsigned long)ns.st_ino, (int)getpid(),
	    (unsigned long long)now.tv_sec * TICKS_PER_S +
		(unsigned long long)now.tv_nsec / (1000000000 / TICKS_PER_S));

	if (cgroup_file_read("/proc/self/cgroup", text) < 0) {
		if (errno == ENOENT)
			return 0; /* a kernel without cgroups */
		return err_sys(e, "read /proc/self/cgroup");
	}
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "0::", 3) == 0)
			unified = line + 3;
		else
			place_v1(p, line);
	}
	if (p->kind == CGROUP_NONE && unified != NULL)
		cgroup_place_v2(p, unified);
	else if (unified != NULL)
		cgroup_place_beside(p, unified);
	return 0;
}

int
cgroup_make(const struct cgroup_place *p, unsigned n,
    const struct cgroup_limits *limits, struct cgroup *out, struct err *e)
{
	int r = 0;

	*out = (struct cgroup){ .place = p, .beside_fd = -1 };
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		out->fd[c] = -1;
	(void)snprintf(out->name, sizeof(out->name), "%s-%u", p->owner, n);
	switch (p->kind) {
	case CGROUP_NONE:
		break;
	case CGROUP_V1:
		r = make_v1(limits, out, e);
		break;
	case CGROUP_V2:
		r = make_v2(limits, out, e);
		break;
	}
	if (r < 0)
		cgroup_remove(out);
	return r;
}

int
cgroup_enter(const struct cgroup *g, struct err *e)
{
	if (g->place == NULL || g->place->kind != CGROUP_V1)
		return 0;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (g->fd[c] >= 0 && write(g->fd[c], "0", 1) < 0)
			return err_sys(e, "enter cgroup %s", names[c]);
	}
	return 0;
}

int
cgroup_birth_fd(const struct cgroup *g)
{
	if (g->place == NULL)
		return -1;
	return g->place->kind == CGROUP_V2 ? g->fd[0] : g->beside_fd;
}

void
cgroup_close(struct cgroup *g)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (g->place != NULL)
			fd_fini(&g->fd[c]);
	}
	if (g->place != NULL)
		fd_fini(&g->beside_fd);
}

void
cgroup_remove(struct cgroup *g)
{
	if (g->place == NULL)
		return; /* never made */
	cgroup_close(g);
	if (g->place->kind == CGROUP_V2)
		(void)remove_dir(g->place->dir[0], g->name);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (g->place->kind == CGROUP_V1 && g->has[c])
			(void)remove_dir(g->place->dir[c], g->name);
	}
	if (g->beside)
		(void)remove_dir(g->place->beside, g->name);
	*g = (struct cgroup){};
}

unsigned
cgroup_sweep(const struct cgroup_place *p)
{
	unsigned removed = 0;

	/* Each by itself: a caller's groups of different controllers need not
	 * be the ones that the dead had. */
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (p->has[c] && (c == 0 || p->kind == CGROUP_V1))
			removed += sweep_dir(p, p->dir[c]);
	}
	if (p->beside[0] != '\0')
		removed += sweep_dir(p, p->beside);
	return removed;
}

void
cgroup_leave(const struct cgroup_place *p)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (p->has[c] && (c == 0 || p->kind == CGROUP_V1))
			leave_dir(p, p->dir[c]);
	}
	if (p->beside[0] != '\0')
		leave_dir(p, p->beside);
}

static void
leave_dir(const struct cgroup_place *p, const char *parent)
{
	const size_t same = strlen(p->owner);
	DIR *dir = opendir(parent);
	struct dirent *d;

	if (dir == NULL)
		return;
	while ((d = readdir(dir)) != NULL) {
		if (strncmp(d->d_name, p->owner, same) == 0 &&
		    d->d_name[same] == '-' &&
		    strcmp(d->d_name + same, "-self") != 0)
			(void)remove_patiently(parent, d->d_name, LEAVE_TRIES);
	}
	(void)closedir(dir); /* read only: nothing to lose */
}

/* Takes a name that is found there out of all the others as well. */
static unsigned
sweep_dir(const struct cgroup_place *p, const char *parent)
{
	DIR *dir = opendir(parent);
	unsigned removed = 0;
	struct dirent *d;

	if (dir == NULL)
		return 0;
	while ((d = readdir(dir)) != NULL) {
		if (owner_lives(p, d->d_name))
			continue;
		/* Who has moved down may go on without its owner. */
		if (str_ends(str_of(d->d_name), STR("-self"))) {
			removed +=
			    unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR) == 0;
			continue;
		}
		cgroup_empty(p, parent, d->d_name);
		for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
			if (p->has[c] && strcmp(p->dir[c], parent) != 0)
				(void)remove_dir(p->dir[c], d->d_name);
		}
		if (p->beside[0] != '\0')
			(void)remove_dir(p->beside, d->d_name);
		removed += remove_dir(parent, d->d_name);
	}
	(void)closedir(dir); /* read only: nothing to lose */
	return removed;
}

bool
cgroup_probe(const struct cgroup_place *p, enum cgroup_controller c)
{
	char path[CGROUP_FULL_MAX];

	if (!p->has[c])
		return false;
	(void)snprintf(path, sizeof(path), "%s/%s-probe", p->dir[c], p->owner);
	return mkdir(path, 0755) == 0 && rmdir(path) == 0;
}

int
cgroup_file_read(const char *path, char out[static CGROUP_FILE_MAX])
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r;

	if (fd < 0)
		return -1;
	do {
		r = read(fd, out + n, CGROUP_FILE_MAX - 1 - n);
		if (r < 0)
			return -1;
		n += (size_t)r;
	} while (r > 0);
	out[n] = '\0';
	return 0;
}

int
cgroup_file_write(int dirfd, const char *file, const char *text)
{
	own_fd int fd = openat(dirfd, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

/* When the process started, in ticks since boot; 0 when there is none. */
static uint64_t
start_time(const char *pid)
{
	char path[64], text[CGROUP_FILE_MAX];
	char *rest, *field = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if (cgroup_file_read(path, text) < 0)
		return 0;
	/* Field 2 is a name that may hold anything; 22 is the 20th behind. */
	rest = strrchr(text, ')');
	for (int i = 0; i <= 20 && rest != NULL; i++)
		field = strsep(&rest, " ");
	return field != NULL ? strtoull(field, NULL, 10) : 0;
}

/* "4:memory:/own/path": one v1 hierarchy, with one or more controllers. */
static void
place_v1(struct cgroup_place *p, char *line)
{
	char *rest = line, *list, *name;
	char own[CGROUP_PATH_MAX], root[CGROUP_PATH_MAX];

	(void)strsep(&rest, ":");
	list = strsep(&rest, ":");
	if (list == NULL || rest == NULL)
		return;
	(void)snprintf(root, sizeof(root), "%s/%s", mount_dir, list);
	/* "/" adds nothing; a path that leaves our view is not there. */
	if (snprintf(own, sizeof(own), "%s%s", root,
		strcmp(rest, "/") == 0 ? "" : rest) >= (int)sizeof(own) ||
	    access(own, F_OK) < 0)
		memcpy(own, root, sizeof(own));
	if (access(own, F_OK) < 0)
		return;
	while ((name = strsep(&list, ",")) != NULL) {
		for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
			if (strcmp(name, names[c]) != 0)
				continue;
			memcpy(p->dir[c], own, sizeof(own));
			p->has[c] = true;
			p->kind = CGROUP_V1;
		}
	}
}

static bool
wants(const struct cgroup_limits *l, enum cgroup_controller c)
{
	switch (c) {
	case CGROUP_MEMORY:
		return l->memory_bytes > 0;
	case CGROUP_PIDS:
		return l->pids_max > 0;
	case CGROUP_CPU:
		return l->cpu_milli > 0 || l->cpu_weight > 0;
	case CGROUP_IO:
		return l->io;
	case CGROUP_FREEZER:
		return l->freezable;
	case CGROUP_CONTROLLERS:
		break;
	}
	return false;
}

static int
set_limit(const struct cgroup_place *p, int dirfd, enum cgroup_controller c,
    const struct cgroup_limits *l)
{
	const bool v1 = p->kind == CGROUP_V1;
	char text[64];

	switch (c) {
	case CGROUP_MEMORY:
		(void)snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)l->memory_bytes);
		if (cgroup_file_write(dirfd,
			v1 ? "memory.limit_in_bytes" : "memory.max", text) < 0)
			return -1;
		/* No swap beside it. A kernel without swap accounting has no
		 * such file, and then there is nothing to bound. */
		(void)cgroup_file_write(dirfd,
		    v1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max",
		    v1 ? text : "0");
		if (!v1)
			(void)cgroup_file_write(dirfd, "memory.oom.group", "1");
		return 0;
	case CGROUP_PIDS:
		(void)snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)l->pids_max);
		return cgroup_file_write(dirfd, "pids.max", text);
	case CGROUP_CPU:
		return set_cpu(v1, dirfd, l);
	case CGROUP_IO: /* cgroup_io_limit */
	case CGROUP_FREEZER:
	case CGROUP_CONTROLLERS:
		break;
	}
	return 0;
}

static int
set_cpu(bool v1, int dirfd, const struct cgroup_limits *l)
{
	unsigned long long quota = l->cpu_milli * (CPU_PERIOD_US / 1000);
	char text[64];

	if (l->cpu_weight > 0) {
		/* 100 of v2 are 1024 of v1: cgroup-v2.rst, cpu.weight. */
		(void)snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)(v1 ? (l->cpu_weight * 1024 + 50) / 100
					    : l->cpu_weight));
		if (cgroup_file_write(
			dirfd, v1 ? "cpu.shares" : "cpu.weight", text) < 0)
			return -1;
	}
	if (l->cpu_milli == 0)
		return 0;
	(void)snprintf(text, sizeof(text), v1 ? "%llu" : "%llu 100000", quota);
	return cgroup_file_write(
	    dirfd, v1 ? "cpu.cfs_quota_us" : "cpu.max", text);
}

static int
make_v1(const struct cgroup_limits *l, struct cgroup *g, struct err *e)
{
	if (l->freezable && g->place->beside[0] != '\0' &&
	    make_beside(g, e) < 0)
		return -1;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (!g->place->has[c] || !wants(l, (enum cgroup_controller)c))
			continue;
		/* The group beside it freezes better. */
		if (c == CGROUP_FREEZER && g->beside)
			continue;
		if (make_v1_controller((enum cgroup_controller)c, l, g, e) < 0)
			return -1;
	}
	return 0;
}

static int
make_beside(struct cgroup *g, struct err *e)
{
	char path[CGROUP_FULL_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", g->place->beside, g->name);
	if (mkdir(path, 0755) < 0)
		return 0; /* not ours to write: beside says so */
	g->beside = true;
	g->beside_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return g->beside_fd < 0 ? err_sys(e, "open %s", path) : 0;
}

static int
make_v1_controller(enum cgroup_controller c, const struct cgroup_limits *l,
    struct cgroup *g, struct err *e)
{
	char path[CGROUP_FULL_MAX];
	own_fd int dir = -1;

	(void)snprintf(path, sizeof(path), "%s/%s", g->place->dir[c], g->name);
	if (mkdir(path, 0755) < 0)
		return 0; /* not ours to write: has[] says so */
	g->has[c] = true;
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, "open %s", path);
	if (set_limit(g->place, dir, c, l) < 0)
		return err_sys(e, "set the %s limit in %s", names[c], path);
	g->fd[c] = openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
	if (g->fd[c] < 0)
		return err_sys(e, "open %s/tasks", path);
	return 0;
}

static int
make_v2(const struct cgroup_limits *l, struct cgroup *g, struct err *e)
{
	const struct cgroup_place *p = g->place;
	char path[CGROUP_FULL_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", p->dir[0], g->name);
	if (mkdir(path, 0755) < 0) {
		g->place = NULL; /* not ours to write: has[] says so */
		return 0;
	}
	g->fd[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->fd[0] < 0)
		return err_sys(e, "open %s", path);
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (!p->has[c] || !wants(l, (enum cgroup_controller)c))
			continue;
		if (set_limit(p, g->fd[0], (enum cgroup_controller)c, l) < 0)
			return err_sys(
			    e, "set the %s limit in %s", names[c], path);
		g->has[c] = true;
	}
	return 0;
}

static bool
remove_dir(const char *parent, const char *name)
{
	return remove_patiently(parent, name, REMOVE_TRIES);
}

static bool
remove_patiently(const char *parent, const char *name, int tries)
{
	const struct timespec wait = { .tv_nsec = REMOVE_WAIT_NS };
	char path[CGROUP_FULL_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", parent, name);
	for (int i = 0; i < tries; i++) {
		if (rmdir(path) == 0 || errno == ENOENT)
			return true;
		if (errno != EBUSY)
			return false;
		(void)nanosleep(&wait, NULL);
	}
	return false;
}

/* True for the living, and for every name that is not surely a dead one's. */
static bool
owner_lives(const struct cgroup_place *p, const char *name)
{
	const char *ns = p->owner + sizeof(prefix) - 1;
	size_t same = sizeof(prefix) - 1 + strcspn(ns, "-") + 1;
	char pid[16];
	const char *dash;
	uint64_t start, then;

	/* A pid means something in its own pid namespace only. */
	if (strncmp(name, p->owner, same) != 0)
		return true;
	name += same;
	dash = strchr(name, '-');
	if (dash == NULL ||
	    str_copy((struct str){ name, (size_t)(dash - name) }, pid,
		sizeof(pid)) < 0)
		return true;
	/* The owner was there when it made this; a process of the same pid
	 * that started later is another one. */
	then = strtoull(dash + 1, NULL, 10);
	start = start_time(pid);
	return then == 0 || (start != 0 && start <= then);
}
