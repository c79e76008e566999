/*
 * base/walls.h: the walls of a sandbox, a bit each, and what they are called.
 *
 * The names stand in policies, in records and in what users read; the bits are
 * of this version alone, and are kept nowhere.
 */
#ifndef BASE_WALLS_H
#define BASE_WALLS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/*
 * The walls. A bit in the posture says that the wall stands for this sandbox;
 * a bit in spec.required says that the run is refused without it.
 */
enum sandbox_wall {
	WALL_MOUNT_NS = 1 << 0, /* nothing of the host's tree */
	WALL_PID_NS = 1 << 1,
	WALL_NET_NS = 1 << 2, /* loopback at most */
	WALL_IPC_NS = 1 << 3,
	WALL_UTS_NS = 1 << 4,
	WALL_CGROUP_NS = 1 << 5,
	WALL_TIME_NS = 1 << 6,
	WALL_PRIVATE_UID = 1 << 7, /* a host uid that nothing else has */
	WALL_USER_NS = 1 << 8, /* rootless, or with fake_root */
	WALL_CAPS = 1 << 9, /* none, and an empty bounding set; with
			     * fake_root those of ns_fake_root */
	WALL_NO_NEW_PRIVS = 1 << 10,
	WALL_SECCOMP = 1 << 11,
	WALL_LANDLOCK_FS = 1 << 12,
	WALL_LANDLOCK_SCOPE = 1 << 13, /* signals and abstract sockets, ABI 6 */
	WALL_KEYRING = 1 << 14, /* a session keyring of its own */
	WALL_MEMORY = 1 << 15, /* limit kept by a cgroup */
	WALL_PIDS = 1 << 16, /* limit kept by a cgroup */
	WALL_CPU = 1 << 17, /* limit kept by a cgroup */
	WALL_RLIMITS = 1 << 18, /* always; the fall-back of the three above */
	WALL_DISK = 1 << 19, /* bytes and inodes, by the tmpfs */
	WALL_OVERLAY = 1 << 20, /* writes to the work folder vanish */
	WALL_IDMAP = 1 << 21, /* as root: the folder's owner is the agent */
	WALL_PROC_FULL =
	    1 << 22, /* /proc with system files, read-only, masked */
	WALL_CORE = 1 << 23, /* no stranger on the same core meanwhile */
	WALL_MEMORY_WATCH = 1
	    << 24, /* instead of WALL_MEMORY: PID 1 counts, init/watch.h */
	WALL_CPU_SET = 1 << 25, /* instead of WALL_CPU, of whole processors:
				 * it runs on so many, and no others */

	WALL_COMMANDS = 1 << 26, /* each program that is executed is judged:
				  * where there are lists, init/tracer.h */

	/* Where one of these is missing there is no sandbox at all. */
	WALLS_ALWAYS = WALL_MOUNT_NS | WALL_PID_NS | WALL_NET_NS | WALL_IPC_NS |
	    WALL_UTS_NS | WALL_CAPS | WALL_NO_NEW_PRIVS | WALL_SECCOMP |
	    WALL_RLIMITS | WALL_DISK,
	/* These stand by what a sandbox is asked for, and not by the machine:
	 * a run's tool server is not required to have them. */
	WALLS_ASKED = WALL_USER_NS | WALL_OVERLAY | WALL_IDMAP | WALL_COMMANDS,
	WALL_COUNT = 27,
};

/* "mount_ns", "landlock_fs" ... for one bit; NULL when it is not a wall. */
const char *wall_name(uint32_t wall);
/* The bit of a name; 0 when none is called so. */
uint32_t wall_find(struct str name);
/* Appends "mount_ns","landlock_fs": a list in JSON, without its brackets. */
void walls_write(struct buf *out, uint32_t walls);

#endif
