/*
 * sys/cgroup.h: a group of processes with limits on memory, number and CPU.
 *
 * Two kinds of kernel, one interface. Groups are made below the caller's own,
 * so that whatever bounds the caller bounds them too, and are named
 * paddock-NS-PID-TIME-N: the pid namespace and the pid of the process that
 * made them, and when, so that the leftovers of the dead can be told.
 *
 * v1 (also hybrid): a directory per controller. A process moves itself by
 * writing "0" to the `tasks` file: tens of microseconds, where a move by
 * cgroup.procs waits for an RCU grace period (a global percpu rwsem).
 * v2: one directory, entered at birth through CLONE_INTO_CGROUP.
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
	CGROUP_CONTROLLERS,
};

enum cgroup_kind { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

enum { CGROUP_PATH_MAX = 512, CGROUP_OWNER_MAX = 64, CGROUP_NAME_MAX = 80 };

/* Where groups may be made: found once per process. */
struct cgroup_place {
	enum cgroup_kind kind;
	bool
	    has[CGROUP_CONTROLLERS]; /* named by the kernel; see cgroup_probe */
	/* Parent directories; with v2 all three are the same. */
	char dir[CGROUP_CONTROLLERS][CGROUP_PATH_MAX];
	char owner[CGROUP_OWNER_MAX]; /* "paddock-NS-PID-TIME" */
};

struct cgroup_limits { /* 0: no limit */
	uint64_t memory_bytes;
	uint64_t pids_max;
	uint64_t cpu_milli;
};

struct cgroup {
	const struct cgroup_place *place; /* borrowed; NULL when not made */
	bool has[CGROUP_CONTROLLERS]; /* limits that are set */
	char name[CGROUP_NAME_MAX];
	/* v1: a `tasks` file per controller, for the child to write "0" to.
	 * v2: the directory in [0]. -1 where there is none. */
	int fd[CGROUP_CONTROLLERS];
};

struct cgroup_usage {
	uint64_t memory_max_bytes;
	uint64_t oom_kills;
	uint64_t pids_refused;
};

/* Reads /proc/self/cgroup. A machine without cgroups gives CGROUP_NONE. */
int cgroup_place_init(struct cgroup_place *p, struct err *e);

/*
 * Makes the group of this name suffix with these limits. A controller that
 * cannot be written is left out, and says so in has[]; only a half-made group
 * (a limit refused after mkdir worked) is an error.
 */
int cgroup_make(const struct cgroup_place *p, unsigned n,
    const struct cgroup_limits *limits, struct cgroup *out, struct err *e);

/* v1: moves the calling process (which has one thread) into the group. */
int cgroup_enter(const struct cgroup *g, struct err *e);

void cgroup_usage_read(const struct cgroup *g, struct cgroup_usage *out);

/* Closes the descriptors, keeps the directories. */
void cgroup_close(struct cgroup *g);

/* Closes, and removes the directories, waiting for the last exit if need be. */
void cgroup_remove(struct cgroup *g);

/* Removes groups whose owner is dead. Returns how many names were removed. */
unsigned cgroup_sweep(const struct cgroup_place *p);

/* True where a directory can be made and removed again. For `doctor`. */
bool cgroup_probe(const struct cgroup_place *p, enum cgroup_controller c);

#endif
