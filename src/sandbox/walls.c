/*
 * sandbox/walls.c: what walls and limits are called, and whether those that
 * a run requires stand.
 */
#include "base/err.h"
#include "sandbox/build.h"
#include "sandbox/sandbox.h"

static const struct {
	uint32_t wall;
	const char *name;
} walls[] = {
	{ WALL_MOUNT_NS, "mount_ns" },
	{ WALL_PID_NS, "pid_ns" },
	{ WALL_NET_NS, "net_ns" },
	{ WALL_IPC_NS, "ipc_ns" },
	{ WALL_UTS_NS, "uts_ns" },
	{ WALL_CGROUP_NS, "cgroup_ns" },
	{ WALL_TIME_NS, "time_ns" },
	{ WALL_PRIVATE_UID, "private_uid" },
	{ WALL_USER_NS, "user_ns" },
	{ WALL_CAPS, "caps" },
	{ WALL_NO_NEW_PRIVS, "no_new_privs" },
	{ WALL_SECCOMP, "seccomp" },
	{ WALL_LANDLOCK_FS, "landlock_fs" },
	{ WALL_LANDLOCK_SCOPE, "landlock_scope" },
	{ WALL_KEYRING, "keyring" },
	{ WALL_MEMORY, "memory" },
	{ WALL_PIDS, "pids" },
	{ WALL_CPU, "cpu" },
	{ WALL_RLIMITS, "rlimits" },
	{ WALL_DISK, "disk" },
	{ WALL_OVERLAY, "overlay" },
	{ WALL_IDMAP, "idmap" },
	{ WALL_PROC_FULL, "proc_full" },
	{ WALL_CORE, "core" },
	{ WALL_MEMORY_WATCH, "memory_watch" },
	{ WALL_CPU_SET, "cpu_set" },
	{ WALL_COMMANDS, "commands" },
};
_Static_assert(sizeof(walls) / sizeof(walls[0]) == WALL_COUNT, "a name each");

/* Another wall that keeps the same limit. The number of processes is kept by
 * RLIMIT_NPROC, of a uid or user namespace that is this sandbox's alone. */
static uint32_t
instead_of(uint32_t wall)
{
	if (wall == WALL_MEMORY)
		return WALL_MEMORY_WATCH;
	if (wall == WALL_CPU)
		return WALL_CPU_SET;
	return wall == WALL_PIDS ? WALL_RLIMITS : 0;
}

int
sandbox_check_posture(
    const struct sandbox *sb, uint32_t required, struct err *e)
{
	for (unsigned i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		uint32_t wall = walls[i].wall;

		if ((required & wall) == 0 || (sb->posture & wall) != 0 ||
		    (sb->posture & instead_of(wall)) != 0)
			continue;
		return err_set(e,
		    "the run requires the wall %s, which this machine does "
		    "not give: see paddock doctor",
		    walls[i].name);
	}
	return 0;
}

const char *
sandbox_wall_name(uint32_t wall)
{
	for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		if (walls[i].wall == wall)
			return walls[i].name;
	}
	return NULL;
}

const char *
sandbox_limit_name(enum sandbox_limit limit)
{
	switch (limit) {
	case LIMIT_NONE:
		return "none";
	case LIMIT_WALL:
		return "wall_time_exceeded";
	case LIMIT_MEMORY:
		return "memory_exceeded";
	case LIMIT_PIDS:
		return "pids_exceeded";
	case LIMIT_OUTPUT:
		return "output_limit";
	case LIMIT_STOPPED:
		return "stopped";
	case LIMIT_COUNT:
		break;
	}
	return "unknown";
}
