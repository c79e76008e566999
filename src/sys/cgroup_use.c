/*
 * A group that is in use: measuring it, freezing it, and taking out what a
 * dead owner left in one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "sys/cgroup.h"
#include "sys/cgroup_int.h"
#include "sys/fd.h"

enum {
	NS_PER_US = 1000,
	NS_PER_MS = 1000 * 1000,
	RETRY_NS = 1000 * 1000, /* v1 has no event for the frozen state */
	EMPTY_ROUNDS = 8, /* a fork that was under way is found in the next */
};

static const char *v2_dir(const struct cgroup_place *p);
static uint64_t number(
    const char *dir, const char *name, const char *file, const char *key);
static uint32_t some_avg10(const char *dir, const char *name, const char *file);
static int freeze_v2(
    const struct cgroup *g, bool frozen, int64_t until_ns, struct err *e);
static int freeze_v1(
    const struct cgroup *g, bool frozen, int64_t until_ns, struct err *e);
static int disk_of(dev_t device, char *out, size_t cap);
static int group_write(
    const char *dir, const char *name, const char *file, const char *text);

void
cgroup_usage_read(const struct cgroup *g, struct cgroup_usage *out)
{
	const struct cgroup_place *p = g->place;
	const bool v1 = p != NULL && p->kind == CGROUP_V1;
	const char *dir;

	*out = (struct cgroup_usage){};
	if (g->has[CGROUP_MEMORY]) {
		dir = p->dir[CGROUP_MEMORY];
		out->memory_bytes = number(dir, g->name,
		    v1 ? "memory.usage_in_bytes" : "memory.current", "");
		out->memory_max_bytes = number(dir, g->name,
		    v1 ? "memory.max_usage_in_bytes" : "memory.peak", "");
		out->oom_kills = number(dir, g->name,
		    v1 ? "memory.oom_control" : "memory.events", "oom_kill ");
	}
	if (g->has[CGROUP_PIDS]) {
		dir = p->dir[CGROUP_PIDS];
		out->pids = number(dir, g->name, "pids.current", "");
		out->pids_refused = number(dir, g->name, "pids.events", "max ");
	}
	if (g->has[CGROUP_CPU]) {
		dir = p->dir[CGROUP_CPU];
		out->throttled_ns = v1
		    ? number(dir, g->name, "cpu.stat", "throttled_time ")
		    : number(dir, g->name, "cpu.stat", "throttled_usec ") *
			NS_PER_US;
	}
	out->cpu_ns = cgroup_cpu_ns(g);
}

uint64_t
cgroup_cpu_ns(const struct cgroup *g)
{
	const struct cgroup_place *p = g->place;

	/* Every group of v2 counts time, with or without a controller. */
	if (p != NULL && (g->beside || p->kind == CGROUP_V2))
		return number(v2_dir(p), g->name, "cpu.stat", "usage_usec ") *
		    NS_PER_US;
	/* Where cpu and cpuacct are mounted as one. */
	return g->has[CGROUP_CPU]
	    ? number(p->dir[CGROUP_CPU], g->name, "cpuacct.usage", "")
	    : 0;
}

void
cgroup_pressure_read(const struct cgroup *g, struct cgroup_pressure *out)
{
	const struct cgroup_place *p = g->place;
	char path[CGROUP_FULL_MAX];

	*out = (struct cgroup_pressure){};
	if (g->beside || (p != NULL && p->kind == CGROUP_V2)) {
		(void)snprintf(path, sizeof(path), "%s/%s/cpu.pressure",
		    v2_dir(p), g->name);
		if (access(path, R_OK) == 0) {
			const char *dir = v2_dir(p);

			out->known = true;
			out->cpu = some_avg10(dir, g->name, "cpu.pressure");
			out->memory =
			    some_avg10(dir, g->name, "memory.pressure");
			out->io = some_avg10(dir, g->name, "io.pressure");
			return;
		}
	}
	if (access("/proc/pressure/cpu", R_OK) < 0)
		return;
	out->known = true;
	out->of_machine = true;
	out->cpu = some_avg10("/proc", "pressure", "cpu");
	out->memory = some_avg10("/proc", "pressure", "memory");
	out->io = some_avg10("/proc", "pressure", "io");
}

bool
cgroup_can_freeze(const struct cgroup *g)
{
	return g->beside || g->has[CGROUP_FREEZER] ||
	    (g->place != NULL && g->place->kind == CGROUP_V2);
}

int
cgroup_freeze(const struct cgroup *g, bool frozen, struct err *e)
{
	int64_t until_ns =
	    clock_mono_ns() + (int64_t)CGROUP_FREEZE_MS * NS_PER_MS;
	int r;

	if (!cgroup_can_freeze(g))
		return err_set(e,
		    "no cgroup that can be frozen is to be had here; paddock "
		    "doctor says why");
	r = g->has[CGROUP_FREEZER] ? freeze_v1(g, frozen, until_ns, e)
				   : freeze_v2(g, frozen, until_ns, e);
	if (r < 0 && frozen)
		cgroup_thaw_killed(g);
	return r;
}

void
cgroup_thaw_killed(const struct cgroup *g)
{
	const struct cgroup_place *p = g->place;

	/* What fails here fails when the group is removed, and is seen then. */
	if (g->has[CGROUP_FREEZER])
		(void)group_write(
		    p->dir[CGROUP_FREEZER], g->name, "freezer.state", "THAWED");
	else if (cgroup_can_freeze(g))
		(void)group_write(v2_dir(p), g->name, "cgroup.freeze", "0");
}

/*
 * v1 holds back reads, and writes past the page cache: what is written through
 * it belongs to nobody when the kernel writes it out. v2 holds back both.
 */
int
cgroup_io_limit(
    const struct cgroup *g, dev_t device, uint64_t bytes_per_s, struct err *e)
{
	unsigned long long bytes = bytes_per_s;
	char disk[32], text[128];
	const char *dir;

	if (!g->has[CGROUP_IO])
		return err_set(e, "no cgroup limits disks here");
	if (disk_of(device, disk, sizeof(disk)) < 0)
		return err_set(e, "the work folder is on no disk");
	dir = g->place->dir[CGROUP_IO];
	if (g->place->kind == CGROUP_V2) {
		(void)snprintf(text, sizeof(text), "%s rbps=%llu wbps=%llu",
		    disk, bytes, bytes);
		if (group_write(dir, g->name, "io.max", text) < 0)
			return err_sys(e, "limit the disk %s", disk);
		return 0;
	}
	(void)snprintf(text, sizeof(text), "%s %llu", disk, bytes);
	if (group_write(dir, g->name, "blkio.throttle.read_bps_device", text) <
		0 ||
	    group_write(dir, g->name, "blkio.throttle.write_bps_device", text) <
		0)
		return err_sys(e, "limit the disk %s", disk);
	return 0;
}

void
cgroup_empty(const struct cgroup_place *p, const char *parent, const char *name)
{
	const char *v2 = v2_dir(p);
	char path[CGROUP_FULL_MAX], text[CGROUP_FILE_MAX];

	/* Since Linux 5.14; frozen ones are taken, too. */
	if (v2[0] != '\0' && group_write(v2, name, "cgroup.kill", "1") == 0)
		return;
	for (int round = 0; round < EMPTY_ROUNDS; round++) {
		char *rest = text, *line;

		(void)snprintf(path, sizeof(path), "%s/%.*s/cgroup.procs",
		    parent, CGROUP_NAME_MAX, name);
		if (cgroup_file_read(path, text) < 0 || text[0] == '\0')
			return;
		while ((line = strsep(&rest, "\n")) != NULL) {
			pid_t pid = (pid_t)strtol(line, NULL, 10);

			if (pid > 1)
				(void)kill(pid, SIGKILL); /* gone is fine */
		}
		/* v1 keeps a frozen process from dying: freezer-subsystem. */
		if (p->kind == CGROUP_V1 && p->has[CGROUP_FREEZER])
			(void)group_write(p->dir[CGROUP_FREEZER], name,
			    "freezer.state", "THAWED");
	}
}

/* Where groups of v2 are made; "" when nowhere. */
static const char *
v2_dir(const struct cgroup_place *p)
{
	return p->kind == CGROUP_V2 ? p->dir[0] : p->beside;
}

/* The number behind the first line that starts with key; 0 when none does. */
static uint64_t
number(const char *dir, const char *name, const char *file, const char *key)
{
	char path[CGROUP_FULL_MAX];
	char text[CGROUP_FILE_MAX], *rest = text, *line;
	size_t n = strlen(key);

	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, name, file);
	if (cgroup_file_read(path, text) < 0)
		return 0;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, key, n) == 0)
			return strtoull(line + n, NULL, 10);
	}
	return 0;
}

/* "some avg10=6.27 avg60=...": hundredths of a percent; 0 when not told. */
static uint32_t
some_avg10(const char *dir, const char *name, const char *file)
{
	char path[CGROUP_FULL_MAX], text[CGROUP_FILE_MAX];
	unsigned whole = 0, part = 0;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, name, file);
	if (cgroup_file_read(path, text) < 0 ||
	    sscanf(text, "some avg10=%u.%2u", &whole, &part) < 1)
		return 0;
	return whole * 100 + part;
}

/*
 * cgroup.events tells a change as POLLPRI, but only one after the last read:
 * so it is read before each wait. cgroup-v2.rst, "cgroup.events"
 */
static int
freeze_v2(const struct cgroup *g, bool frozen, int64_t until_ns, struct err *e)
{
	const char *dir = v2_dir(g->place);
	const char *want = frozen ? "frozen 1" : "frozen 0";
	char path[CGROUP_FULL_MAX], text[CGROUP_FILE_MAX];
	own_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/%s/cgroup.events", dir, g->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (group_write(dir, g->name, "cgroup.freeze", frozen ? "1" : "0") < 0)
		return err_sys(e, "freeze the cgroup %s", g->name);
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLPRI };
		int64_t left_ns = until_ns - clock_mono_ns();
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

		if (n < 0)
			return err_sys(e, "read %s", path);
		text[n] = '\0';
		if (strstr(text, want) != NULL)
			return 0;
		if (left_ns <= 0)
			return err_set(e,
			    "not %s within %d ms: a process hangs "
			    "in the kernel",
			    frozen ? "frozen" : "thawed", CGROUP_FREEZE_MS);
		if (poll(&wait, 1, (int)(left_ns / NS_PER_MS) + 1) < 0 &&
		    errno != EINTR)
			return err_sys(e, "poll %s", path);
	}
}

static int
freeze_v1(const struct cgroup *g, bool frozen, int64_t until_ns, struct err *e)
{
	const struct timespec pause = { .tv_nsec = RETRY_NS };
	const char *dir = g->place->dir[CGROUP_FREEZER];
	const char *want = frozen ? "FROZEN" : "THAWED";
	char path[CGROUP_FULL_MAX], text[CGROUP_FILE_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s/freezer.state", dir, g->name);
	for (;;) {
		/* Again and again: what was forked meanwhile is caught so. */
		if (group_write(dir, g->name, "freezer.state", want) < 0)
			return err_sys(e, "freeze the cgroup %s", g->name);
		if (cgroup_file_read(path, text) < 0)
			return err_sys(e, "read %s", path);
		if (strncmp(text, want, strlen(want)) == 0)
			return 0;
		if (clock_mono_ns() >= until_ns)
			return err_set(e,
			    "not %s within %d ms: a process hangs "
			    "in the kernel",
			    frozen ? "frozen" : "thawed", CGROUP_FREEZE_MS);
		(void)nanosleep(&pause, NULL);
	}
}

/* "8:0" for the partition 8:1: limits are of whole disks. */
static int
disk_of(dev_t device, char *out, size_t cap)
{
	char path[96], text[CGROUP_FILE_MAX];
	size_t n;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition",
	    major(device), minor(device));
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s",
	    major(device), minor(device),
	    access(path, F_OK) == 0 ? "../dev" : "dev");
	if (cgroup_file_read(path, text) < 0)
		return -1;
	n = strcspn(text, "\n");
	return str_copy((struct str){ text, n }, out, cap);
}

static int
group_write(
    const char *dir, const char *name, const char *file, const char *text)
{
	char path[CGROUP_FULL_MAX];

	(void)snprintf(
	    path, sizeof(path), "%s/%.*s/%s", dir, CGROUP_NAME_MAX, name, file);
	return cgroup_file_write(AT_FDCWD, path, text);
}
