/* What the facts about a machine mean for runs on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/walls.h"
#include "cli/doctor.h"

/* A machine on which every wall stands, for root or for somebody else. */
static struct machine
good(bool root)
{
	struct machine m = {
		.root = root,
		.landlock_abi = 7,
		.seccomp = true,
		.seccomp_notify = true,
		.cgroup_kind = CGROUP_V2,
		.overlay = true,
		.overlay_in_userns = true,
		.idmapped_mounts = root,
		.nftables = true,
		.core = true,
		.memory_watch = true,
		.keyring = true,
		.audit = AUDIT_STATE_ON,
		.audit_heard = true,
		.kernel = "6.1.0",
	};

	for (int i = 0; i < MACHINE_NS_COUNT; i++)
		m.ns[i] = true;
	for (int i = 0; i < CGROUP_CONTROLLERS; i++)
		m.cgroup_writable[i] = true;
	return m;
}

static struct doctor_finding
find(const struct machine *m, const char *name)
{
	struct doctor_finding all[DOCTOR_FINDINGS];
	size_t n = doctor_findings(m, all);

	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i];
	fail_msg("no finding called %s", name);
	return (struct doctor_finding){};
}

static void
nothing_is_wrong_with_a_good_machine(void **state)
{
	struct machine m = good(true);
	struct doctor_finding all[DOCTOR_FINDINGS];
	size_t n = doctor_findings(&m, all);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(all[i].state, DOCTOR_OK);
		assert_true(all[i].found[0] != '\0');
		assert_null(all[i].effect);
		assert_null(all[i].remedy);
	}
}

static void
no_time(struct machine *m)
{
	m->ns[MACHINE_NS_TIME] = false;
}
static void
no_net(struct machine *m)
{
	m->ns[MACHINE_NS_NET] = false;
}
static void
no_user(struct machine *m)
{
	m->ns[MACHINE_NS_USER] = false;
}
static void
no_seccomp(struct machine *m)
{
	m->seccomp = false;
}
static void
no_landlock(struct machine *m)
{
	m->landlock_abi = 0;
}
static void
old_landlock(struct machine *m)
{
	m->landlock_abi = 5;
}
static void
no_overlay(struct machine *m)
{
	m->overlay = false;
}
static void
no_idmap(struct machine *m)
{
	m->idmapped_mounts = false;
}
static void
no_nftables(struct machine *m)
{
	m->nftables = false;
}
static void
no_core(struct machine *m)
{
	m->core = false;
}
static void
no_memory_group(struct machine *m)
{
	m->cgroup_writable[CGROUP_MEMORY] = false;
	m->cgroup_writable[CGROUP_PIDS] = false;
}
static void
no_memory_at_all(struct machine *m)
{
	no_memory_group(m);
	m->memory_watch = false;
}
static void
typed_input(struct machine *m)
{
	m->tiocsti = true;
}

static void
no_overlay_for_users(struct machine *m)
{
	m->overlay_in_userns = false;
}

static void
no_cpu_group(struct machine *m)
{
	m->cgroup_writable[CGROUP_CPU] = false;
}

static void
no_keyring(struct machine *m)
{
	m->keyring = false;
}

static void
covered_proc(struct machine *m)
{
	m->proc_masked = true;
}

static void
no_audit(struct machine *m)
{
	m->audit = AUDIT_STATE_OFF;
	m->audit_heard = false;
}

static void
audit_of_others(struct machine *m)
{
	m->audit = AUDIT_STATE_HIDDEN;
	m->audit_heard = false;
}

static void
what_is_missing_is_told_with_its_weight(void **state)
{
	static const struct {
		const char *name;
		void (*change)(struct machine *m);
		bool root;
		enum doctor_state state;
		bool remedy;
	} rows[] = {
		{ "namespaces", no_time, true, DOCTOR_WEAKER, true },
		{ "namespaces", no_net, true, DOCTOR_MISSING, true },
		{ "namespaces", no_net, false, DOCTOR_MISSING, true },
		{ "user namespaces", no_user, true, DOCTOR_INFO, false },
		{ "user namespaces", no_user, false, DOCTOR_MISSING, true },
		{ "seccomp", no_seccomp, true, DOCTOR_MISSING, true },
		{ "landlock", no_landlock, true, DOCTOR_WEAKER, true },
		{ "landlock", old_landlock, true, DOCTOR_WEAKER, true },
		{ "landlock denials", no_audit, true, DOCTOR_INFO, true },
		{ "landlock denials", audit_of_others, false, DOCTOR_INFO,
		    true },
		{ "landlock denials", old_landlock, true, DOCTOR_INFO, true },
		{ "cgroup", no_cpu_group, true, DOCTOR_WEAKER, true },
		{ "overlay", no_overlay, true, DOCTOR_WEAKER, true },
		/* Who is not root needs it in a user namespace ... */
		{ "overlay", no_overlay_for_users, false, DOCTOR_WEAKER, true },
		/* ... and root does not. */
		{ "overlay", no_overlay_for_users, true, DOCTOR_OK, false },
		{ "idmapped mounts", no_idmap, true, DOCTOR_WEAKER, true },
		{ "idmapped mounts", no_idmap, false, DOCTOR_INFO, false },
		{ "nftables", no_nftables, true, DOCTOR_INFO, false },
		{ "core scheduling", no_core, true, DOCTOR_INFO, true },
		{ "typed input", typed_input, true, DOCTOR_INFO, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine m = good(rows[i].root);
		struct doctor_finding f;

		rows[i].change(&m);
		f = find(&m, rows[i].name);
		assert_int_equal(f.state, rows[i].state);
		assert_int_equal(f.remedy != NULL, rows[i].remedy);
		/* A wall that is missing without a word about it is a lie. */
		if (f.state == DOCTOR_WEAKER || f.state == DOCTOR_MISSING)
			assert_non_null(f.effect);
	}
}

static void
the_names_of_what_is_missing_are_told(void **state)
{
	struct machine m = good(true);

	(void)state;
	m.ns[MACHINE_NS_PID] = m.ns[MACHINE_NS_NET] = false;
	assert_string_equal(find(&m, "namespaces").found, "missing: pid net");
	m.cgroup_writable[CGROUP_PIDS] = false;
	assert_string_equal(
	    find(&m, "cgroup").found, "v2: memory cpu; not writable: pids");
	m.cgroup_kind = CGROUP_NONE;
	memset(m.cgroup_writable, 0, sizeof(m.cgroup_writable));
	assert_string_equal(
	    find(&m, "cgroup").found, "none: not writable: memory pids cpu");
}

static void
a_policy_is_refused_for_what_it_requires_and_only_that(void **state)
{
	static const struct {
		void (*change)(struct machine *m);
		bool limits_required;
		uint32_t cpu_milli;
		const char *refusal; /* NULL: admitted */
		uint32_t walls;
	} rows[] = {
		{ NULL, true, 500, NULL, 0 },
		{ no_landlock, true, 500, NULL, 0 }, /* weaker, and recorded */
		{ no_cpu_group, false, 500, NULL, 0 }, /* none will do */
		{ no_cpu_group, true, 500, "and none can be had for: cpu", 0 },
		{ no_cpu_group, true, 2000, NULL, 0 }, /* whole processors */
		{ no_cpu_group, true, 0, NULL, 0 }, /* no limit to keep */
		/* Counted by PID 1, and by the kernel for each user id. */
		{ no_memory_group, true, 0, NULL, 0 },
		{ no_memory_at_all, true, 0, "can be had for: memory", 0 },
		{ no_memory_at_all, false, 0, NULL, 0 },
		{ no_net, false, 0, "namespaces: net", 0 },
		{ no_seccomp, false, 0, "seccomp", 0 },
		{ NULL, false, 0, NULL,
		    WALL_LANDLOCK_FS | WALL_LANDLOCK_SCOPE },
		{ no_landlock, false, 0, "wall landlock_fs", WALL_LANDLOCK_FS },
		{ no_landlock, false, 0, "wall landlock_scope",
		    WALL_LANDLOCK_SCOPE },
		{ no_core, false, 0, "wall core", WALL_CORE },
		{ no_keyring, false, 0, "wall keyring", WALL_KEYRING },
		{ no_time, false, 0, "wall time_ns", WALL_TIME_NS },
		{ covered_proc, false, 0, "wall proc_full", WALL_PROC_FULL },
		{ no_overlay, false, 0, "wall overlay", WALL_OVERLAY },
		{ no_idmap, false, 0, "wall idmap", WALL_IDMAP },
		{ no_idmap, false, 0, NULL, WALL_OVERLAY },
		/* Either of two does. */
		{ no_memory_group, false, 0, NULL, WALL_MEMORY | WALL_PIDS },
		{ no_memory_at_all, false, 0, "wall memory", WALL_MEMORY },
		{ no_memory_group, false, 0, NULL, WALL_MEMORY_WATCH },
		{ NULL, false, 0, "require memory", WALL_MEMORY_WATCH },
		{ no_cpu_group, false, 2000, NULL, WALL_CPU | WALL_CPU_SET },
		{ no_cpu_group, false, 1500, "wall cpu", WALL_CPU },
		{ NULL, false, 2000, "require cpu", WALL_CPU_SET },
		/* What this policy does not ask for. */
		{ NULL, false, 0, "wall user_ns", WALL_USER_NS },
		{ NULL, false, 0, "sandbox.commands", WALL_COMMANDS },
		{ NULL, false, 0, NULL, WALLS_ALWAYS | WALL_PRIVATE_UID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy p = {
			.sandbox.limits_required = rows[i].limits_required,
			.sandbox.cpu_milli = rows[i].cpu_milli,
			.sandbox.walls_required = rows[i].walls,
		};
		struct machine m = good(true);
		struct err e = {};
		int got;

		if (rows[i].change != NULL)
			rows[i].change(&m);
		got = doctor_admits(&m, &p, &e);
		assert_int_equal(got, rows[i].refusal == NULL ? 0 : -1);
		if (rows[i].refusal != NULL)
			assert_non_null(strstr(e.text, rows[i].refusal));
	}
}

/* Whatever the machine: each has an answer, and what is missing a remedy. */
static void
every_wall_has_an_answer(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WALL_COUNT; i++) {
		const struct machine nothing = {}, all = good(true);
		const struct doctor_wall none = doctor_wall(&nothing, 1U << i);
		const struct doctor_wall w = doctor_wall(&all, 1U << i);
		const uint32_t instead = WALL_MEMORY_WATCH | WALL_CPU_SET;

		assert_string_equal(w.name, wall_name(1U << i));
		assert_int_equal(
		    w.stands == DOCTOR_WALL_MISSING, (1U << i & instead) != 0);
		assert_int_equal(w.why == NULL, w.stands == DOCTOR_WALL_HERE);
		assert_int_equal(
		    none.why == NULL, none.stands == DOCTOR_WALL_HERE);
		assert_int_equal(
		    none.remedy != NULL, none.stands == DOCTOR_WALL_MISSING);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_wrong_with_a_good_machine),
		cmocka_unit_test(what_is_missing_is_told_with_its_weight),
		cmocka_unit_test(the_names_of_what_is_missing_are_told),
		cmocka_unit_test(
		    a_policy_is_refused_for_what_it_requires_and_only_that),
		cmocka_unit_test(every_wall_has_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
