/*
 * sys/cgroup.h: a group of processes with limits on memory, number, CPU and
 * disk traffic, which can be frozen and measured as one.
 *
 * Two kinds of kernel, one interface. Groups are made below the caller's own,
 * so that whatever bounds the caller bounds them too, and are named
 * paddock-NS-PID-TIME-N: the pid namespace and the pid of the process that
 * made them, and when, so that the leftovers of the dead can be told.
 *
 * v1 (also hybrid): a directory per controller. A process moves itself by
 * writing "0" to the `tasks` file: tens of microseconds, where a move by
 * cgroup.procs waits for an RCU grace period (a global percpu rwsem).
 * v2: one directory, entered at birth through CLONE_INTO_CGROUP. A group with
 * processes in it can have none below it that are bounded: a caller that is
 * alone in its group moves one down, another one makes its groups beside its
 * own, where it may.
 * Hybrid: v1, and beside it a v2 directory without controllers, which is what
 * freezes, measures CPU time and pressure, and kills what a crash left.
 */
#ifndef SYS_CGROUP_H
#define SYS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_CPU,
	CGROUP_IO,
	CGROUP_FREEZER, /* of v1, where there is no v2 beside it */
	CGROUP_CONTROLLERS,
};

enum cgroup_kind { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

/* A process that does not stop for so long hangs in the kernel. */
enum { CGROUP_FREEZE_MS = 200 };

enum { CGROUP_PATH_MAX = 512, CGROUP_OWNER_MAX = 64, CGROUP_NAME_MAX = 80 };

/* Where groups may be made: found once per process. */
struct cgroup_place {
	enum cgroup_kind kind;
	bool
	    has[CGROUP_CONTROLLERS]; /* named by the kernel; see cgroup_probe */
	/* Parent directories; with v2 all are the same. */
	char dir[CGROUP_CONTROLLERS][CGROUP_PATH_MAX];
	char beside[CGROUP_PATH_MAX]; /* v2 beside v1; "" when there is none */
	char owner[CGROUP_OWNER_MAX]; /* "paddock-NS-PID-TIME" */
	bool moved; /* v2: this program is in dir[0]/OWNER-self now */
};

struct cgroup_limits { /* 0: no limit */
	uint64_t memory_bytes;
	uint64_t pids_max;
	uint64_t cpu_milli;
	uint64_t cpu_weight; /* share when all want the CPU: 1 to 10000, 100 */
	bool io; /* no limit yet: a group that cgroup_io_limit works on */
	bool freezable; /* no limit: a group that cgroup_freeze works on */
};

struct cgroup {
	const struct cgroup_place *place; /* borrowed; NULL when not made */
	bool has[CGROUP_CONTROLLERS]; /* limits that are set */
	bool beside; /* hybrid: the group is in place->beside, too */
	char name[CGROUP_NAME_MAX];
	/* v1: a `tasks` file per controller, for the child to write "0" to.
	 * v2: the directory in [0]. -1 where there is none. */
	int fd[CGROUP_CONTROLLERS];
	int beside_fd; /* hybrid: the v2 directory, for CLONE_INTO_CGROUP */
};

struct cgroup_usage { /* 0 where the kernel does not tell */
	uint64_t memory_bytes;
	uint64_t memory_max_bytes;
	uint64_t oom_kills;
	uint64_t pids;
	uint64_t pids_refused;
	uint64_t cpu_ns;
	uint64_t throttled_ns;
};

/* Part of the last 10 seconds in which something waited for it. */
struct cgroup_pressure {
	uint32_t cpu; /* hundredths of a percent */
	uint32_t memory;
	uint32_t io;
	bool known;
	bool of_machine; /* not of the group: of everything together */
};

/* Reads /proc/self/cgroup. A machine without cgroups gives CGROUP_NONE. */
int cgroup_place_init(struct cgroup_place *p, struct err *e);
/* Goes back to the group that this program came from, if it moved. */
void cgroup_place_fini(struct cgroup_place *p);

/*
 * Makes the group of this name suffix with these limits. A controller that
 * cannot be written is left out, and says so in has[]; only a half-made group
 * (a limit refused after mkdir worked) is an error.
 */
int cgroup_make(const struct cgroup_place *p, unsigned n,
    const struct cgroup_limits *limits, struct cgroup *out, struct err *e);

/* v1: moves the calling process (which has one thread) into the group. */
int cgroup_enter(const struct cgroup *g, struct err *e);

/* The directory that a child is to be born into, or -1: cgroup_enter does. */
int cgroup_birth_fd(const struct cgroup *g);

void cgroup_usage_read(const struct cgroup *g, struct cgroup_usage *out);
uint64_t cgroup_cpu_ns(const struct cgroup *g); /* of that; 0: not told */
void cgroup_pressure_read(const struct cgroup *g, struct cgroup_pressure *out);

/*
 * Stops every process of the group where it is, or lets it go on, and waits
 * until that is so: at most CGROUP_FREEZE_MS. -1 with e: the group goes on.
 */
int cgroup_freeze(const struct cgroup *g, bool frozen, struct err *e);
/* True where cgroup_freeze can work. */
bool cgroup_can_freeze(const struct cgroup *g);
/* Lets those go on that a signal has been sent to; waits for nothing. */
void cgroup_thaw_killed(const struct cgroup *g);

/*
 * Bounds reads, and again writes, of the disk that the device is on. -1 with e
 * when that cannot be had: no disk, such as a tmpfs, or no controller.
 */
int cgroup_io_limit(
    const struct cgroup *g, dev_t device, uint64_t bytes_per_s, struct err *e);

/* Closes the descriptors, keeps the directories. */
void cgroup_close(struct cgroup *g);

/* Closes, and removes the directories, waiting for the last exit if need be. */
void cgroup_remove(struct cgroup *g);

/*
 * What cgroup_remove could not wait for, once all of this process's groups are
 * empty and no more are made.
 */
void cgroup_leave(const struct cgroup_place *p);
/*
 * Removes groups whose owner is dead, with whoever is still in them. Returns
 * how many names were removed.
 */
unsigned cgroup_sweep(const struct cgroup_place *p);

/* True where a directory can be made and removed again. For `doctor`. */
bool cgroup_probe(const struct cgroup_place *p, enum cgroup_controller c);

#endif
