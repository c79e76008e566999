/*
 * sandbox/walls.c: whether the walls that a run requires stand, and what its
 * limits are called.
 */
#include "base/err.h"
#include "sandbox/build.h"
#include "sandbox/sandbox.h"

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
build_check_posture(uint32_t posture, const struct sandbox_spec *s,
    const struct sandbox_limits *l, struct err *e)
{
	uint32_t required = s->required | WALLS_ALWAYS;

	/* No limit, no wall to keep it. */
	if (l->cpu_milli == 0)
		required &= ~(uint32_t)WALL_CPU;
	for (unsigned i = 0; i < WALL_COUNT; i++) {
		uint32_t wall = 1U << i;

		if ((required & wall) == 0 || (posture & wall) != 0 ||
		    (posture & instead_of(wall)) != 0)
			continue;
		return err_set(e,
		    "the run requires the wall %s, which this machine does "
		    "not give: see paddock doctor",
		    wall_name(wall));
	}
	return 0;
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
