#include "cli/doctor.h"

#include <stdio.h>
#include <string.h>

enum {
	LANDLOCK_ABI_SCOPE = 6, /* signals and abstract sockets */
	LANDLOCK_ABI_TOLD = 7, /* denials, to the kernel's audit */
	/* Namespaces without which there is no sandbox at all. */
	NS_NEEDED = 1 << MACHINE_NS_MOUNT | 1 << MACHINE_NS_PID |
	    1 << MACHINE_NS_NET | 1 << MACHINE_NS_IPC | 1 << MACHINE_NS_UTS,
	NS_WISHED = 1 << MACHINE_NS_CGROUP | 1 << MACHINE_NS_TIME,
};

/* Those that every run has a limit of. */
static const char *const controllers[] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids",
	[CGROUP_CPU] = "cpu",
};
enum { CONTROLLERS = sizeof(controllers) / sizeof(controllers[0]) };

static void find_container(const struct machine *m, struct doctor_finding *f);
static void find_kernel(const struct machine *m, struct doctor_finding *f);
static void find_user(const struct machine *m, struct doctor_finding *f);
static void find_namespaces(const struct machine *m, struct doctor_finding *f);
static void find_userns(const struct machine *m, struct doctor_finding *f);
static void find_seccomp(const struct machine *m, struct doctor_finding *f);
static void find_landlock(const struct machine *m, struct doctor_finding *f);
static void find_audit(const struct machine *m, struct doctor_finding *f);
static void find_cgroup(const struct machine *m, struct doctor_finding *f);
static void find_overlay(const struct machine *m, struct doctor_finding *f);
static void find_idmap(const struct machine *m, struct doctor_finding *f);
static void find_nftables(const struct machine *m, struct doctor_finding *f);
static void find_core(const struct machine *m, struct doctor_finding *f);
static void find_terminal(const struct machine *m, struct doctor_finding *f);
static void list_ns(
    const struct machine *m, bool there, unsigned which, char *out, size_t cap);
static void list_cgroup(
    const struct machine *m, bool there, char *out, size_t cap);
static void add(char *out, size_t cap, const char *word);

size_t
doctor_findings(
    const struct machine *m, struct doctor_finding out[static DOCTOR_FINDINGS])
{
	static const struct {
		const char *name;
		void (*find)(const struct machine *, struct doctor_finding *);
	} rows[] = {
		{ "kernel", find_kernel },
		{ "container", find_container },
		{ "user", find_user },
		{ "namespaces", find_namespaces },
		{ "user namespaces", find_userns },
		{ "seccomp", find_seccomp },
		{ "landlock", find_landlock },
		{ "landlock denials", find_audit },
		{ "cgroup", find_cgroup },
		{ "overlay", find_overlay },
		{ "idmapped mounts", find_idmap },
		{ "nftables", find_nftables },
		{ "core scheduling", find_core },
		{ "typed input", find_terminal },
	};
	const size_t n = sizeof(rows) / sizeof(rows[0]);

	_Static_assert(
	    sizeof(rows) / sizeof(rows[0]) <= DOCTOR_FINDINGS, "room");
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct doctor_finding){ .name = rows[i].name };
		rows[i].find(m, &out[i]);
	}
	return n;
}

int
doctor_admits(const struct machine *m, const struct policy *p, struct err *e)
{
	char missing[160] = "", groups[64] = "";

	list_ns(m, false, NS_NEEDED, missing, sizeof(missing));
	if (missing[0] != '\0')
		return err_set(e,
		    "no sandbox can be made here without these namespaces: %s",
		    missing);
	if (m->powerless)
		return err_set(e,
		    "no sandbox can be made here by root without "
		    "CAP_SYS_ADMIN: run paddock as an ordinary user");
	if (!m->seccomp)
		return err_set(
		    e, "no sandbox can be made here without seccomp");
	if (doctor_admits_walls(m, p, e) < 0)
		return -1;
	if (!p->sandbox.limits_required)
		return 0;
	/* The number of processes is kept by rlimits as well. */
	if (!m->cgroup_writable[CGROUP_MEMORY] && !m->memory_watch)
		add(groups, sizeof(groups), controllers[CGROUP_MEMORY]);
	/* Whole processors can be had by staying on them. */
	if (!m->cgroup_writable[CGROUP_CPU] && p->sandbox.cpu_milli % 1000 != 0)
		add(groups, sizeof(groups), controllers[CGROUP_CPU]);
	if (groups[0] != '\0')
		return err_set(e,
		    "the policy requires limits kept by a cgroup, and none "
		    "can be had for: %s",
		    groups);
	return 0;
}

const char *
doctor_state_name(enum doctor_state s)
{
	switch (s) {
	case DOCTOR_OK:
		return "ok";
	case DOCTOR_INFO:
		return "info";
	case DOCTOR_WEAKER:
		return "weaker";
	case DOCTOR_MISSING:
		return "missing";
	}
	return "unknown";
}

const char *
doctor_stands_name(enum doctor_stands s)
{
	switch (s) {
	case DOCTOR_WALL_HERE:
		return "here";
	case DOCTOR_WALL_ASKED:
		return "asked";
	case DOCTOR_WALL_MISSING:
		return "missing";
	}
	return "unknown";
}

static void
find_kernel(const struct machine *m, struct doctor_finding *f)
{
	(void)snprintf(f->found, sizeof(f->found), "Linux %s", m->kernel);
}

static void
find_container(const struct machine *m, struct doctor_finding *f)
{
	static const char *const remedies[] = {
		[MACHINE_CONTAINER_DOCKER] =
		    "docker run --security-opt seccomp=unconfined "
		    "--security-opt apparmor=unconfined --security-opt "
		    "systempaths=unconfined, with paddock as an ordinary user",
		[MACHINE_CONTAINER_PODMAN] =
		    "podman run --security-opt seccomp=unconfined "
		    "--security-opt unmask=ALL --security-opt label=disable, "
		    "with paddock as an ordinary user",
		[MACHINE_CONTAINER_KUBERNETES] =
		    "securityContext: seccompProfile Unconfined, procMount "
		    "Unmasked, with hostUsers: false; see docs/ROOTLESS.md",
		[MACHINE_CONTAINER_OTHER] =
		    "allow nested namespaces in the container's settings",
	};
	/* A user namespace gets no /proc that shows more than ours. */
	bool able = !m->powerless && (m->root || !m->proc_masked);

	if (m->container == MACHINE_CONTAINER_NONE) {
		(void)snprintf(f->found, sizeof(f->found), "none around us");
		return;
	}
	for (unsigned i = 0; i < MACHINE_NS_COUNT; i++)
		able &= (NS_NEEDED & 1U << i) == 0 || m->ns[i];
	(void)snprintf(f->found, sizeof(f->found), "%s%s%s%s%s%s",
	    machine_container_name(m->container),
	    m->sys_admin ? "" : ", without CAP_SYS_ADMIN",
	    m->filtered ? ", under its seccomp filter" : "",
	    m->proc_masked ? ", /proc partly covered" : "",
	    m->profile[0] != '\0' ? ", AppArmor profile " : "", m->profile);
	if (able) {
		f->state = DOCTOR_INFO;
		f->effect = "it leaves what sandboxes are made of";
		return;
	}
	f->state = DOCTOR_MISSING;
	f->effect = "it takes away what sandboxes are made of; nothing is run "
		    "with less";
	f->remedy = remedies[m->container];
}

static void
find_user(const struct machine *m, struct doctor_finding *f)
{
	if (m->root) {
		(void)snprintf(f->found, sizeof(f->found),
		    "root: each sandbox and role gets a uid of its own");
		return;
	}
	if (m->powerless) {
		f->state = DOCTOR_MISSING;
		(void)snprintf(
		    f->found, sizeof(f->found), "root without CAP_SYS_ADMIN");
		f->effect = "no sandbox can be made by this user";
		f->remedy = "run paddock as an ordinary user, or give the "
			    "container CAP_SYS_ADMIN";
		return;
	}
	f->state = DOCTOR_WEAKER;
	(void)snprintf(f->found, sizeof(f->found),
	    "not root: a user namespace holds each sandbox");
	f->effect = "sandboxes and the parts of the daemon share one uid";
	f->remedy = "start the daemon as root";
}

static void
find_namespaces(const struct machine *m, struct doctor_finding *f)
{
	char missing[160] = "";

	list_ns(m, true, NS_NEEDED | NS_WISHED, f->found, sizeof(f->found));
	list_ns(m, false, NS_NEEDED, missing, sizeof(missing));
	if (missing[0] != '\0') {
		(void)snprintf(
		    f->found, sizeof(f->found), "missing: %s", missing);
		f->state = DOCTOR_MISSING;
		f->effect = "no sandbox can be made";
		f->remedy = m->root
		    ? "a kernel with all namespaces, or in a container the "
		      "right to make them (CAP_SYS_ADMIN)"
		    : "let users make user namespaces (sysctl "
		      "kernel.unprivileged_userns_clone=1, "
		      "kernel.apparmor_restrict_unprivileged_userns=0, "
		      "user.max_user_namespaces), or run as root";
		return;
	}
	if (m->ns[MACHINE_NS_CGROUP] && m->ns[MACHINE_NS_TIME])
		return;
	f->state = DOCTOR_WEAKER;
	f->effect = "a run can see the host's cgroup names or clock offsets";
	f->remedy = "Linux 5.6 or newer";
}

static void
find_userns(const struct machine *m, struct doctor_finding *f)
{
	if (m->ns[MACHINE_NS_USER]) {
		(void)snprintf(
		    f->found, sizeof(f->found), "without privileges");
		return;
	}
	(void)snprintf(f->found, sizeof(f->found), "none without privileges");
	f->state = m->root ? DOCTOR_INFO : DOCTOR_MISSING;
	f->effect = m->root ? "as root they are not needed"
			    : "no sandbox can be made without root";
	f->remedy = m->root ? NULL
			    : "sysctl kernel.unprivileged_userns_clone=1, or "
			      "run as root";
}

static void
find_seccomp(const struct machine *m, struct doctor_finding *f)
{
	(void)snprintf(f->found, sizeof(f->found), "%s%s",
	    m->seccomp ? "filters" : "none",
	    m->seccomp_notify ? ", notification" : "");
	if (m->seccomp)
		return;
	f->state = DOCTOR_MISSING;
	f->effect = "no sandbox can be made";
	f->remedy = "a kernel with CONFIG_SECCOMP_FILTER";
}

static void
find_landlock(const struct machine *m, struct doctor_finding *f)
{
	if (m->landlock_abi == 0) {
		(void)snprintf(f->found, sizeof(f->found), "none");
		f->state = DOCTOR_WEAKER;
		f->effect = "the second wall around files is not there";
		f->remedy = "Linux 5.13 or newer with landlock in its list of "
			    "security modules (lsm=landlock,...)";
		return;
	}
	(void)snprintf(f->found, sizeof(f->found), "ABI %d", m->landlock_abi);
	if (m->landlock_abi >= LANDLOCK_ABI_SCOPE)
		return;
	f->state = DOCTOR_WEAKER;
	f->effect = "signals and abstract sockets are kept apart by "
		    "namespaces alone";
	f->remedy = "Linux 6.12 or newer";
}

static void
find_audit(const struct machine *m, struct doctor_finding *f)
{
	const bool able = m->landlock_abi >= LANDLOCK_ABI_TOLD;
	const char *found = NULL;

	switch (m->audit) {
	case AUDIT_STATE_NONE:
		found = "no audit in this kernel, or none for a container";
		f->remedy = "a kernel with CONFIG_AUDIT, and paddock outside "
			    "of containers";
		break;
	case AUDIT_STATE_HIDDEN:
		found = "audit is not for this user";
		f->remedy = "start the daemon as root, outside of containers";
		break;
	case AUDIT_STATE_OFF:
		found = "auditing is off on this machine";
		f->remedy = "auditctl -e 1, then start the daemon anew; the "
			    "whole machine is audited then";
		break;
	case AUDIT_STATE_ON:
		found = "audit cannot be heard";
		f->remedy = "start the daemon as root with CAP_AUDIT_READ";
		break;
	}
	if (!able) {
		found = "this kernel does not tell them";
		f->remedy = "Linux 6.15 or newer, with Landlock";
	}
	if (able && m->audit_heard) {
		(void)snprintf(
		    f->found, sizeof(f->found), "told by the kernel's audit");
		f->remedy = NULL;
		return;
	}
	(void)snprintf(f->found, sizeof(f->found), "%s", found);
	f->state = DOCTOR_INFO;
	f->effect = "`explain` tells nothing of what Landlock refuses";
}

static void
find_cgroup(const struct machine *m, struct doctor_finding *f)
{
	char missing[64] = "", there[64] = "";

	list_cgroup(m, true, there, sizeof(there));
	list_cgroup(m, false, missing, sizeof(missing));
	(void)snprintf(f->found, sizeof(f->found), "%s%s%s%s%s",
	    m->cgroup_kind == CGROUP_V2	      ? "v2: "
		: m->cgroup_kind == CGROUP_V1 ? "v1: "
					      : "none: ",
	    there, missing[0] != '\0' && there[0] != '\0' ? "; " : "",
	    missing[0] != '\0' ? "not writable: " : "", missing);
	if (missing[0] == '\0')
		return;
	f->state = DOCTOR_WEAKER;
	f->effect = m->memory_watch || m->cgroup_writable[CGROUP_MEMORY]
	    ? "memory is counted by PID 1 instead, which takes away memory "
	      "shared without a file; processes are bounded by rlimits; cpu "
	      "in whole processors, and policies that require less than "
	      "one are refused"
	    : "memory is counted by PID 1 without what TCP holds, cpu in "
	      "whole processors; policies with \"limits\": \"required\" "
	      "are refused";
	f->remedy = "run as root, or by systemd-run --user --scope -p "
		    "Delegate=yes paddock ..., or as a service with "
		    "Delegate=yes";
}

static void
find_overlay(const struct machine *m, struct doctor_finding *f)
{
	bool ours = m->root ? m->overlay : m->overlay_in_userns;

	if (ours) {
		(void)snprintf(f->found, sizeof(f->found), "%s",
		    m->overlay_in_userns ? "also in user namespaces"
					 : "as root only");
		return;
	}
	(void)snprintf(f->found, sizeof(f->found), "none");
	f->state = DOCTOR_WEAKER;
	f->effect = "runs with a work folder are refused";
	f->remedy = "the kernel module overlay; without root Linux 5.11 or "
		    "newer";
}

static void
find_idmap(const struct machine *m, struct doctor_finding *f)
{
	if (!m->root) {
		(void)snprintf(
		    f->found, sizeof(f->found), "not needed without root");
		f->state = DOCTOR_INFO;
		return;
	}
	(void)snprintf(f->found, sizeof(f->found), "%s",
	    m->idmapped_mounts ? "on this file system"
			       : "not on this file system");
	if (m->idmapped_mounts)
		return;
	f->state = DOCTOR_WEAKER;
	f->effect = "files of the work folder that only their owner may read "
		    "cannot be read inside";
	f->remedy = "a work folder on ext4, xfs, btrfs or tmpfs, Linux 5.12 or "
		    "newer";
}

static void
find_nftables(const struct machine *m, struct doctor_finding *f)
{
	(void)snprintf(f->found, sizeof(f->found), "%s",
	    m->nftables ? "answers" : "does not answer");
	if (m->nftables)
		return;
	f->state = DOCTOR_INFO;
	f->effect = "not used by this version: a sandbox has no way out to "
		    "filter";
}

static void
find_core(const struct machine *m, struct doctor_finding *f)
{
	if (m->core) {
		(void)snprintf(f->found, sizeof(f->found),
		    "the threads of a core are not shared with strangers");
		return;
	}
	(void)snprintf(f->found, sizeof(f->found),
	    "not in this kernel, or no cores with several threads");
	f->state = DOCTOR_INFO;
	f->effect = "who runs beside a sandbox on the same core, if the "
		    "hardware has such threads, can time what it does";
	f->remedy = "Linux 5.14 or newer with CONFIG_SCHED_CORE on a machine "
		    "that shows its threads; else threads switched off (nosmt)";
}

static void
find_terminal(const struct machine *m, struct doctor_finding *f)
{
	(void)snprintf(f->found, sizeof(f->found), "%s",
	    m->tiocsti ? "terminals take it (legacy_tiocsti=1)"
		       : "terminals refuse it");
	if (!m->tiocsti)
		return;
	f->state = DOCTOR_INFO;
	f->effect = "inside a sandbox the system call filter refuses it";
	f->remedy = "sysctl dev.tty.legacy_tiocsti=0";
}

/* Names of those in the set which that are there, or that are not. */
static void
list_ns(
    const struct machine *m, bool there, unsigned which, char *out, size_t cap)
{
	out[0] = '\0';
	for (unsigned i = 0; i < MACHINE_NS_COUNT; i++)
		if ((which & 1U << i) != 0 && m->ns[i] == there)
			add(out, cap, machine_ns_name((enum machine_ns)i));
}

static void
list_cgroup(const struct machine *m, bool there, char *out, size_t cap)
{
	out[0] = '\0';
	for (size_t i = 0; i < CONTROLLERS; i++)
		if (m->cgroup_writable[i] == there)
			add(out, cap, controllers[i]);
}

/* A list with blanks between; what does not fit is left out. */
static void
add(char *out, size_t cap, const char *word)
{
	size_t n = strlen(out);

	(void)snprintf(out + n, cap - n, "%s%s", n > 0 ? " " : "", word);
}
