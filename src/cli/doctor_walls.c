/* Which wall stands on a machine, and what would make it: a row per wall. */
#include "cli/doctor.h"

#include "base/must.h"
#include "base/walls.h"

enum { LANDLOCK_ABI_SCOPE = 6 }; /* signals and abstract sockets */

static void
say(struct doctor_wall *w, bool here, const char *why, const char *remedy)
{
	w->stands = here ? DOCTOR_WALL_HERE : DOCTOR_WALL_MISSING;
	w->why = here ? NULL : why;
	w->remedy = here ? NULL : remedy;
}

/* One that hangs on what is asked for, if the machine gives it at all. */
static void
say_asked(struct doctor_wall *w, bool can, const char *when, const char *remedy)
{
	w->stands = can ? DOCTOR_WALL_ASKED : DOCTOR_WALL_MISSING;
	w->why = when;
	w->remedy = can ? NULL : remedy;
}

static void
say_space(struct doctor_wall *w, const struct machine *m, enum machine_ns ns,
    const char *why, const char *remedy)
{
	say(w, m->ns[ns], why, remedy);
}

/* What a group keeps, or what does for it without one. */
static void
say_limit(
    struct doctor_wall *w, const struct machine *m, enum sandbox_wall wall)
{
	static const char *const group =
	    "run as root, or in a group of its own: systemd-run --user --scope "
	    "-p Delegate=yes paddock ...";

	if (wall == WALL_MEMORY && !m->cgroup_writable[CGROUP_MEMORY])
		say(w, m->memory_watch,
		    "no group can be had, and PID 1 cannot count all memory",
		    group);
	else if (wall == WALL_CPU && !m->cgroup_writable[CGROUP_CPU])
		say_asked(w, true,
		    "no group can be had: whole processors are kept, and a "
		    "part of one is refused",
		    NULL);
	else
		say(w, true, NULL, NULL);
}

struct doctor_wall
doctor_wall(const struct machine *m, uint32_t wall)
{
	struct doctor_wall w = { .name = wall_name(wall) };

	must(w.name != NULL);
	switch ((enum sandbox_wall)wall) {
	case WALL_MOUNT_NS:
		say_space(&w, m, MACHINE_NS_MOUNT, "no mount namespace",
		    "see namespaces above");
		break;
	case WALL_PID_NS:
		say_space(&w, m, MACHINE_NS_PID, "no PID namespace",
		    "see namespaces above");
		break;
	case WALL_NET_NS:
		say_space(&w, m, MACHINE_NS_NET, "no network namespace",
		    "see namespaces above");
		break;
	case WALL_IPC_NS:
		say_space(&w, m, MACHINE_NS_IPC, "no IPC namespace",
		    "see namespaces above");
		break;
	case WALL_UTS_NS:
		say_space(&w, m, MACHINE_NS_UTS, "no UTS namespace",
		    "see namespaces above");
		break;
	case WALL_CGROUP_NS:
		say_space(&w, m, MACHINE_NS_CGROUP, "no cgroup namespace",
		    "Linux 4.6 or newer with CONFIG_CGROUPS");
		break;
	case WALL_TIME_NS:
		say_space(&w, m, MACHINE_NS_TIME, "no time namespace",
		    "Linux 5.6 or newer with CONFIG_TIME_NS");
		break;
	case WALL_PRIVATE_UID:
		say(&w, m->root, "only root can give ids away",
		    "start the daemon as root");
		break;
	case WALL_USER_NS:
		if (!m->root)
			say(&w, m->ns[MACHINE_NS_USER], "no user namespace",
			    "see user namespaces above");
		else
			say_asked(&w, true,
			    "as root with sandbox.user \"root\" in the policy",
			    NULL);
		break;
	case WALL_SECCOMP:
		say(&w, m->seccomp, "no filters for system calls",
		    "a kernel with CONFIG_SECCOMP_FILTER");
		break;
	case WALL_CAPS:
	case WALL_NO_NEW_PRIVS:
	case WALL_RLIMITS:
	case WALL_DISK:
	case WALL_PIDS: /* by RLIMIT_NPROC, where no group can be had */
		say(&w, true, NULL, NULL);
		break;
	case WALL_LANDLOCK_FS:
		say(&w, m->landlock_abi >= 1, "this kernel has no Landlock",
		    "Linux 5.13 or newer with landlock in its list of security "
		    "modules (lsm=landlock,...)");
		break;
	case WALL_LANDLOCK_SCOPE:
		say(&w, m->landlock_abi >= LANDLOCK_ABI_SCOPE,
		    "Landlock before Linux 6.12 does not know signals and "
		    "sockets",
		    "Linux 6.12 or newer with landlock in its list of security "
		    "modules (lsm=landlock,...)");
		break;
	case WALL_KEYRING:
		say(&w, m->keyring, "no keyring of its own can be had",
		    "a kernel with CONFIG_KEYS; in a container a filter that "
		    "lets keyctl through");
		break;
	case WALL_MEMORY:
	case WALL_CPU:
		say_limit(&w, m, (enum sandbox_wall)wall);
		break;
	case WALL_OVERLAY:
		say_asked(&w, m->root ? m->overlay : m->overlay_in_userns,
		    "with a work folder",
		    "the kernel module overlay; without root Linux 5.11 or "
		    "newer");
		break;
	case WALL_IDMAP:
		say_asked(&w, m->idmapped_mounts,
		    m->root ? "with a work folder that another user owns"
			    : "not without root, where it is not needed",
		    m->root ? "a work folder on ext4, xfs, btrfs or tmpfs, "
			      "Linux 5.12 or newer"
			    : "do not require it, or start the daemon as root");
		break;
	case WALL_PROC_FULL:
		say(&w, !m->proc_masked,
		    "/proc is partly covered, as in a container",
		    "an uncovered /proc: systempaths=unconfined, unmask=ALL "
		    "or procMount Unmasked");
		break;
	case WALL_CORE:
		say(&w, m->core,
		    "no core scheduling, or no cores with several threads",
		    "Linux 5.14 or newer with CONFIG_SCHED_CORE on a machine "
		    "that shows its threads");
		break;
	case WALL_MEMORY_WATCH:
		say(&w, m->memory_watch && !m->cgroup_writable[CGROUP_MEMORY],
		    m->memory_watch ? "a group keeps the limit instead"
				    : "PID 1 cannot count all memory here",
		    "require memory, which either of them keeps");
		break;
	case WALL_CPU_SET:
		say_asked(&w, !m->cgroup_writable[CGROUP_CPU],
		    m->cgroup_writable[CGROUP_CPU]
			? "a group keeps the limit instead"
			: "with a limit of whole processors",
		    "require cpu, which either of them keeps");
		break;
	case WALL_COMMANDS:
		say_asked(&w, true, "with lists in sandbox.commands", NULL);
		break;
	case WALLS_ALWAYS:
	case WALLS_ASKED:
	case WALL_COUNT:
		break;
	}
	return w;
}

/* Whether a run of p has what its wall hangs on. The work folder, and who owns
 * it, is known when it starts. */
static bool
is_asked(const struct machine *m, const struct policy *p, uint32_t wall)
{
	const struct policy_sandbox *s = &p->sandbox;

	if (wall == WALL_USER_NS)
		return !m->root || s->user_root;
	if (wall == WALL_COMMANDS)
		return s->commands_listed || s->n_commands_block > 0;
	if (wall == WALL_CPU_SET && s->cpu_milli == 0)
		return false;
	if (wall == WALL_CPU || wall == WALL_CPU_SET)
		return s->cpu_milli % 1000 == 0;
	return true;
}

int
doctor_admits_walls(
    const struct machine *m, const struct policy *p, struct err *e)
{
	for (unsigned i = 0; i < WALL_COUNT; i++) {
		const uint32_t wall = 1U << i;
		struct doctor_wall w;

		if ((p->sandbox.walls_required & wall) == 0)
			continue;
		w = doctor_wall(m, wall);
		if (w.stands == DOCTOR_WALL_HERE ||
		    (w.stands == DOCTOR_WALL_ASKED && is_asked(m, p, wall)))
			continue;
		if (w.stands == DOCTOR_WALL_ASKED)
			return err_set(e,
			    "the policy requires the wall %s, which stands "
			    "only so: %s",
			    w.name, w.why);
		return err_set(e,
		    "the policy requires the wall %s, which this machine does "
		    "not give: %s; remedy: %s",
		    w.name, w.why, w.remedy);
	}
	return 0;
}
