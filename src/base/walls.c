#include "base/walls.h"

#include <stddef.h>

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

const char *
wall_name(uint32_t wall)
{
	for (size_t i = 0; i < WALL_COUNT; i++) {
		if (walls[i].wall == wall)
			return walls[i].name;
	}
	return NULL;
}

uint32_t
wall_find(struct str name)
{
	for (size_t i = 0; i < WALL_COUNT; i++) {
		if (str_eq_c(name, walls[i].name))
			return walls[i].wall;
	}
	return 0;
}

void
walls_write(struct buf *out, uint32_t set)
{
	const char *comma = "";

	for (size_t i = 0; i < WALL_COUNT; i++) {
		if ((set & walls[i].wall) == 0)
			continue;
		buf_printf(out, "%s\"%s\"", comma, walls[i].name);
		comma = ",";
	}
}
