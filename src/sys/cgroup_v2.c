/*
 * sys/cgroup_v2.c: where in a v2 tree groups may be made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/cgroup_int.h"
#include "sys/fd.h"

static const char mount_dir[] = CGROUP_MOUNT;
/* What groups are made with; v2 freezes without one. */
static const char *const names[] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
	[CGROUP_IO] = "io",
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static bool enable_v2(const char *dir);
static void pass_on(const char *dir);
static bool move_down(const struct cgroup_place *p, const char *dir);
static bool is_this_program(const char *pid);

/*
 * A v2 group that holds processes cannot give controllers to groups below it,
 * unless it is the machine's root. So: our own group, when it holds nothing but
 * this program, which then moves one down (a service or scope with Delegate=,
 * a container); else the first one above that can and that we may write.
 */
void
cgroup_place_v2(struct cgroup_place *p, const char *own)
{
	char dir[CGROUP_PATH_MAX], text[CGROUP_FILE_MAX];
	char path[CGROUP_PATH_MAX + 32], *rest = text, *name;

	if (snprintf(dir, sizeof(dir), "%s%s", mount_dir,
		strcmp(own, "/") == 0 ? "" : own) >= (int)sizeof(dir) ||
	    access(dir, F_OK) < 0)
		memcpy(dir, mount_dir, sizeof(mount_dir));
	if (!enable_v2(dir)) {
		p->moved = move_down(p, dir);
		while (!enable_v2(dir)) {
			char *slash = strrchr(dir, '/');

			if (strlen(dir) < sizeof(mount_dir) || slash == NULL)
				return;
			*slash = '\0';
		}
	}
	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
	if (cgroup_file_read(path, text) < 0)
		return;
	p->kind = CGROUP_V2;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		memcpy(p->dir[c], dir, sizeof(dir));
	while ((name = strsep(&rest, " \n")) != NULL) {
		for (int c = 0; c < NAMES; c++)
			p->has[c] |= strcmp(name, names[c]) == 0;
	}
}

void
cgroup_place_fini(struct cgroup_place *p)
{
	char self[CGROUP_FULL_MAX], path[CGROUP_FULL_MAX];
	char text[CGROUP_FILE_MAX], *rest = text, *pid;
	own_fd int dir = -1;

	if (!p->moved)
		return;
	p->moved = false;
	dir = open(p->dir[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(self, sizeof(self), "%s/%s-self", p->dir[0], p->owner);
	(void)snprintf(
	    path, sizeof(path), "%s/%s-self/cgroup.procs", p->dir[0], p->owner);
	if (dir < 0 || cgroup_file_read(path, text) < 0)
		return;
	for (int c = 0; c < NAMES; c++) {
		char off[16];

		(void)snprintf(off, sizeof(off), "-%s", names[c]);
		(void)cgroup_file_write(dir, "cgroup.subtree_control", off);
	}
	while ((pid = strsep(&rest, "\n")) != NULL) {
		if (*pid != '\0')
			(void)cgroup_file_write(dir, "cgroup.procs", pid);
	}
	(void)rmdir(self); /* not empty: it is swept up later */
}

/*
 * A hybrid's v2 hierarchy has no controllers to give, so that a group may lie
 * below one with processes. It need not be where the v1 groups are.
 */
void
cgroup_place_beside(struct cgroup_place *p, const char *own)
{
	char path[CGROUP_PATH_MAX + 32];
	int n = snprintf(p->beside, sizeof(p->beside), "%s/unified%s",
	    mount_dir, strcmp(own, "/") == 0 ? "" : own);

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", p->beside);
	if (n >= (int)sizeof(p->beside) || access(path, W_OK) < 0)
		p->beside[0] = '\0';
}

/* Passes the controllers on to the groups below dir, first from the top to it
 * where that is wanting. True when at least one arrives. */
static bool
enable_v2(const char *dir)
{
	char path[CGROUP_PATH_MAX + 32], text[CGROUP_FILE_MAX];

	if (access(dir, W_OK) < 0)
		return false;
	/* Service managers enable what they use themselves: seldom cpu. */
	for (size_t i = sizeof(mount_dir) - 1; i < strlen(dir); i++) {
		char above[CGROUP_PATH_MAX];

		if (dir[i] != '/')
			continue;
		memcpy(above, dir, i);
		above[i] = '\0';
		pass_on(above);
	}
	pass_on(dir);
	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
	return cgroup_file_read(path, text) == 0 && text[0] != '\0' &&
	    text[0] != '\n';
}

/*
 * What is refused is missing below, and seen there. A group with processes
 * would take those controllers that work on threads, and no process could
 * enter the groups below it any more: cgroup-v2.rst, "Threads".
 */
static void
pass_on(const char *dir)
{
	own_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char text[CGROUP_FILE_MAX], path[CGROUP_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	if (cgroup_file_read(path, text) < 0)
		return;
	/* Only the machine's root has no type, and may hold both. */
	if (text[0] != '\0' && faccessat(fd, "cgroup.type", F_OK, 0) == 0)
		return;
	for (int c = 0; c < NAMES && fd >= 0; c++) {
		(void)snprintf(text, sizeof(text), "+%s", names[c]);
		(void)cgroup_file_write(fd, "cgroup.subtree_control", text);
	}
}

/*
 * Moves all of this program out of dir, into a group that is left behind empty
 * and swept up later. Nothing moves when anything else lives there.
 */
static bool
move_down(const struct cgroup_place *p, const char *dir)
{
	char path[CGROUP_FULL_MAX];
	char text[CGROUP_FILE_MAX], copy[CGROUP_FILE_MAX];
	char *rest = copy, *pid;
	own_fd int below = -1;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	/* A list that does not fit is not ours alone. */
	if (cgroup_file_read(path, text) < 0 ||
	    strlen(text) == sizeof(text) - 1)
		return false;
	memcpy(copy, text, sizeof(copy));
	while ((pid = strsep(&rest, "\n")) != NULL) {
		if (*pid != '\0' && !is_this_program(pid))
			return false;
	}
	(void)snprintf(path, sizeof(path), "%s/%s-self", dir, p->owner);
	if (mkdir(path, 0755) < 0)
		return false;
	below = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	rest = text;
	while ((pid = strsep(&rest, "\n")) != NULL) {
		/* Who has ended meanwhile need not move. */
		if (*pid != '\0')
			(void)cgroup_file_write(below, "cgroup.procs", pid);
	}
	return true;
}

static bool
is_this_program(const char *pid)
{
	char path[64];
	struct stat own, other;

	(void)snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 &&
	    own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}
