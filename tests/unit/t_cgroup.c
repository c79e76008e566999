/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_count.h"
#include "sys/cgroup.h"
#include "sys/fd.h"

enum { MIB = 1024 * 1024 };

int __wrap_open64(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __real_openat64(int dir, const char *path, int flags, ...);

WRAP(int, mkdir, (const char *p, mode_t m), (p, m))
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))

int
__wrap_open64(const char *path, int flags, ...)
{
	return fails_now() ? -1 : __real_open64(path, flags);
}

int
__wrap_openat64(int dir, const char *path, int flags, ...)
{
	return fails_now() ? -1 : __real_openat64(dir, path, flags);
}

static struct cgroup_place place;

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

/* Groups in one controller's directory whose name starts so. */
static int
groups(int c, const char *prefix)
{
	DIR *d = place.has[c] ? opendir(place.dir[c]) : NULL;
	struct dirent *entry;
	int n = 0;

	while (d != NULL && (entry = readdir(d)) != NULL)
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	if (d != NULL)
		(void)closedir(d);
	return n;
}

static void
skip_unless_writable(void)
{
	if (!cgroup_probe(&place, CGROUP_MEMORY) ||
	    !cgroup_probe(&place, CGROUP_PIDS))
		skip();
}

/* In a child that is in the group: the exit status, or 128 and the signal. */
static int
run_in(const struct cgroup *g, int (*what)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct err e;

		_exit(cgroup_enter(g, &e) < 0 ? 99 : what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int
take_memory(void)
{
	char *p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < 64 * MIB; i += 4096)
		p[i] = 1;
	return 0;
}

static int
fork_often(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return errno == EAGAIN ? 0 : 1;
		if (pid == 0) {
			(void)pause();
			_exit(0);
		}
		/* The group's end is theirs: a signal at our own. */
	}
	return 2;
}

static int
fork_until_refused(void)
{
	int r;

	/* Its children are killed with its process group. */
	(void)setpgid(0, 0);
	r = fork_often();
	(void)signal(SIGTERM, SIG_IGN);
	(void)kill(0, SIGTERM);
	return r;
}

static void
the_memory_limit_kills_and_is_counted(void **state)
{
	const struct cgroup_limits limits = { .memory_bytes = 16 * MIB };
	struct cgroup_usage used;
	struct cgroup g;
	struct err e = {};

	(void)state;
	skip_unless_writable();
	assert_int_equal(cgroup_make(&place, 1, &limits, &g, &e), 0);
	assert_true(g.has[CGROUP_MEMORY] && !g.has[CGROUP_PIDS]);
	if (place.kind == CGROUP_V1) {
		assert_int_equal(run_in(&g, take_memory), 128 + SIGKILL);
		cgroup_usage_read(&g, &used);
		assert_true(used.oom_kills >= 1);
		assert_true(used.memory_max_bytes > 8 * MIB);
		assert_true(used.memory_max_bytes <= 16 * MIB);
	}
	cgroup_remove(&g);
	assert_int_equal(groups(CGROUP_MEMORY, place.owner), 0);
}

static void
the_pids_limit_refuses_and_is_counted(void **state)
{
	const struct cgroup_limits limits = { .pids_max = 5 };
	struct cgroup_usage used;
	struct cgroup g;
	struct err e = {};

	(void)state;
	skip_unless_writable();
	assert_int_equal(cgroup_make(&place, 2, &limits, &g, &e), 0);
	if (place.kind == CGROUP_V1) {
		assert_int_equal(run_in(&g, fork_until_refused), 0);
		cgroup_usage_read(&g, &used);
		assert_true(used.pids_refused >= 1);
	}
	cgroup_remove(&g); /* waits for the last exit */
	assert_int_equal(groups(CGROUP_PIDS, place.owner), 0);
}

static void
a_failing_call_leaves_no_group_and_no_descriptor(void **state)
{
	const struct cgroup_limits limits = {
		.memory_bytes = 16 * MIB,
		.pids_max = 5,
		.cpu_milli = 500,
	};
	int before = open_fds();

	(void)state;
	skip_unless_writable();
	for (fail_at = 0;; fail_at++) {
		struct cgroup g;
		struct err e = {};
		int r;

		calls = 0;
		counting = true;
		r = cgroup_make(&place, 3, &limits, &g, &e);
		counting = false;
		if (r < 0)
			assert_int_equal(e.sys, EIO);
		/* Where the call was optional, the group says what it has. */
		cgroup_remove(&g);
		assert_int_equal(open_fds(), before);
		for (int c = 0; c < CGROUP_CONTROLLERS; c++)
			assert_int_equal(groups(c, place.owner), 0);
		if (fail_at > calls) {
			assert_int_equal(r, 0);
			break;
		}
	}
	assert_true(fail_at > 8);
}

static void
the_sweep_takes_what_the_dead_left_and_nothing_else(void **state)
{
	char reused[64], ours[64];
	const struct {
		const char *what;
		const char *name; /* behind "paddock-NS-" */
		bool stays;
	} rows[] = {
		{ "a pid that cannot be", "4194305-100-0", false },
		{ "our pid, when it was another's", reused, false },
		{ "our pid", ours, true },
		{ "no number at all", "x", true },
	};
	char ns[CGROUP_OWNER_MAX], path[CGROUP_PATH_MAX + 128];
	struct cgroup alive;
	struct err e = {};
	char *dash;

	(void)state;
	skip_unless_writable();
	(void)snprintf(reused, sizeof(reused), "%d-1-0", (int)getpid());
	(void)snprintf(ours, sizeof(ours), "%d-99999999999-0", (int)getpid());
	(void)snprintf(ns, sizeof(ns), "%s", place.owner);
	dash = strchr(ns + sizeof("paddock-") - 1, '-');
	assert_non_null(dash);
	dash[1] = '\0';

	assert_int_equal(
	    cgroup_make(&place, 4,
		&(struct cgroup_limits){ .memory_bytes = MIB }, &alive, &e),
	    0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s%s",
		    place.dir[CGROUP_MEMORY], ns, rows[i].name);
		(void)rmdir(path); /* of a test that was killed */
		assert_int_equal(mkdir(path, 0755), 0);
	}
	(void)cgroup_sweep(&place);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool there;

		(void)snprintf(path, sizeof(path), "%s/%s%s",
		    place.dir[CGROUP_MEMORY], ns, rows[i].name);
		there = access(path, F_OK) == 0;
		(void)rmdir(path);
		if (there != rows[i].stays)
			fail_msg("%s", rows[i].what);
	}
	assert_int_equal(groups(CGROUP_MEMORY, place.owner), 1);
	cgroup_remove(&alive);
	assert_int_equal(groups(CGROUP_MEMORY, place.owner), 0);
}

/* A child in the group that counts, as long as it may, in shared memory. */
struct counter {
	pid_t pid;
	volatile uint64_t *n;
};

static void
count_in(const struct cgroup *g, struct counter *c)
{
	char text[32];

	c->n = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(c->n != MAP_FAILED);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		struct err e;

		if (cgroup_enter(g, &e) < 0)
			_exit(99);
		for (;;)
			++*c->n;
	}
	/* What a child is born into when it is cloned. */
	if (cgroup_birth_fd(g) >= 0) {
		own_fd int fd = openat(
		    cgroup_birth_fd(g), "cgroup.procs", O_WRONLY | O_CLOEXEC);

		(void)snprintf(text, sizeof(text), "%d", (int)c->pid);
		assert_true(fd >= 0);
		assert_true(write(fd, text, strlen(text)) > 0);
	}
	for (int i = 0; *c->n == 0; i++) {
		assert_true(i < 5000);
		(void)poll(NULL, 0, 1);
	}
}

static bool
moves(const struct counter *c, int ms)
{
	uint64_t before = *c->n;

	for (int i = 0; i < ms && *c->n == before; i++)
		(void)poll(NULL, 0, 1);
	return *c->n != before;
}

static void
end_counter(struct counter *c)
{
	int status;

	(void)kill(c->pid, SIGKILL);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFSIGNALED(status));
	(void)munmap((void *)(uintptr_t)c->n, 4096);
}

/* Both ways to freeze, as far as the machine has them. */
static size_t
places(struct cgroup_place out[static 2])
{
	size_t n = 0;

	if (place.kind == CGROUP_V2 || place.beside[0] != '\0')
		out[n++] = place;
	if (place.kind == CGROUP_V1 && cgroup_probe(&place, CGROUP_FREEZER)) {
		out[n] = place;
		out[n++].beside[0] = '\0';
	}
	return n;
}

static void
a_frozen_group_stands_still_goes_on_and_can_be_killed(void **state)
{
	const struct cgroup_limits limits = {
		.memory_bytes = 16 * MIB,
		.pids_max = 5,
		.freezable = true,
	};
	struct cgroup_place all[2];
	size_t n = places(all);

	(void)state;
	skip_unless_writable();
	if (n == 0)
		skip();
	for (size_t i = 0; i < n; i++) {
		struct cgroup_usage used;
		struct counter c = {};
		struct cgroup g;
		struct err e = {};

		assert_int_equal(cgroup_make(&all[i], 5, &limits, &g, &e), 0);
		assert_true(cgroup_can_freeze(&g));
		count_in(&g, &c);
		assert_true(moves(&c, 5000));
		assert_int_equal(cgroup_freeze(&g, true, &e), 0);
		assert_false(moves(&c, 30));
		assert_int_equal(cgroup_freeze(&g, true, &e), 0); /* again */
		cgroup_usage_read(&g, &used);
		assert_int_equal(used.pids, 1);
		assert_int_equal(cgroup_freeze(&g, false, &e), 0);
		assert_true(moves(&c, 5000));

		assert_int_equal(cgroup_freeze(&g, true, &e), 0);
		(void)kill(c.pid, SIGKILL);
		cgroup_thaw_killed(&g);
		end_counter(&c);
		cgroup_remove(&g);
		for (int k = 0; k < CGROUP_CONTROLLERS; k++)
			assert_int_equal(groups(k, place.owner), 0);
	}
}

static void
a_freeze_that_fails_says_so_and_the_group_goes_on(void **state)
{
	const struct cgroup_limits limits = { .pids_max = 5,
		.freezable = true };
	struct cgroup_place all[2];
	size_t n = places(all);
	int before = open_fds();

	(void)state;
	skip_unless_writable();
	if (n == 0)
		skip();
	for (size_t i = 0; i < n; i++) {
		struct counter c = {};
		struct cgroup g;
		struct err e = {};

		assert_int_equal(cgroup_make(&all[i], 6, &limits, &g, &e), 0);
		count_in(&g, &c);
		cgroup_close(&g);
		for (fail_at = 1;; fail_at++) {
			int r;

			e = (struct err){};
			calls = 0;
			counting = true;
			r = cgroup_freeze(&g, true, &e);
			counting = false;
			assert_int_equal(open_fds(), before);
			if (r == 0)
				break;
			assert_int_equal(e.sys, EIO);
			assert_true(moves(&c, 5000));
		}
		assert_true(fail_at > 2);
		cgroup_thaw_killed(&g);
		end_counter(&c);
		cgroup_remove(&g);
	}
}

static void
the_sweep_takes_out_a_frozen_one_whose_owner_is_dead(void **state)
{
	const struct cgroup_limits limits = {
		.memory_bytes = 16 * MIB,
		.pids_max = 5,
		.freezable = true,
	};
	struct cgroup_place all[2];
	size_t n = places(all);

	(void)state;
	skip_unless_writable();
	if (n == 0)
		skip();
	for (size_t i = 0; i < n; i++) {
		struct counter c = {};
		struct cgroup g;
		struct err e = {};
		char *dash;

		/* A pid that cannot be. */
		dash = strchr(all[i].owner + sizeof("paddock-") - 1, '-');
		assert_non_null(dash);
		(void)snprintf(dash, sizeof("-4194305-100"), "-4194305-100");
		assert_int_equal(cgroup_make(&all[i], 7, &limits, &g, &e), 0);
		count_in(&g, &c);
		assert_int_equal(cgroup_freeze(&g, true, &e), 0);
		cgroup_close(&g);

		assert_true(cgroup_sweep(&place) >= 1);
		for (int k = 0; k < CGROUP_CONTROLLERS; k++)
			assert_int_equal(groups(k, all[i].owner), 0);
		end_counter(&c);
	}
}

static void
what_could_not_be_removed_at_once_is_removed_at_the_end(void **state)
{
	const struct cgroup_limits limits = { .memory_bytes = 16 * MIB };
	struct counter c = {};
	struct cgroup g;
	struct err e = {};

	(void)state;
	skip_unless_writable();
	assert_int_equal(cgroup_make(&place, 8, &limits, &g, &e), 0);
	count_in(&g, &c);
	cgroup_remove(&g); /* its process does not go */
	assert_int_equal(groups(CGROUP_MEMORY, place.owner), 1);
	end_counter(&c);
	cgroup_leave(&place);
	for (int k = 0; k < CGROUP_CONTROLLERS; k++)
		assert_int_equal(groups(k, place.owner), 0);
}

static void
what_a_group_uses_is_measured(void **state)
{
	const struct cgroup_limits limits = {
		.memory_bytes = 16 * MIB,
		.pids_max = 5,
		/* So little that a busy machine gives more. */
		.cpu_milli = 10,
		.cpu_weight = 50,
		.freezable = true,
	};
	struct cgroup_pressure pressure;
	struct cgroup_usage used = {};
	struct counter c = {};
	struct cgroup g;
	struct err e = {};

	(void)state;
	skip_unless_writable();
	if (!cgroup_probe(&place, CGROUP_CPU))
		skip();
	assert_int_equal(cgroup_make(&place, 8, &limits, &g, &e), 0);
	count_in(&g, &c);
	for (int i = 0;
	     i < 30000 && (used.throttled_ns == 0 || used.cpu_ns == 0); i++) {
		cgroup_usage_read(&g, &used);
		(void)poll(NULL, 0, 1);
	}
	assert_int_equal(used.pids, 1);
	assert_true(used.memory_max_bytes >= used.memory_bytes);
	assert_true(used.throttled_ns > 0);
	if (place.beside[0] != '\0')
		assert_true(used.cpu_ns > 0);
	cgroup_pressure_read(&g, &pressure);
	if (pressure.known)
		assert_true(pressure.cpu <= 10000);
	if (g.beside && pressure.known)
		assert_false(pressure.of_machine);
	end_counter(&c);
	cgroup_remove(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_memory_limit_kills_and_is_counted),
		cmocka_unit_test(the_pids_limit_refuses_and_is_counted),
		cmocka_unit_test(
		    a_failing_call_leaves_no_group_and_no_descriptor),
		cmocka_unit_test(
		    the_sweep_takes_what_the_dead_left_and_nothing_else),
		cmocka_unit_test(
		    a_frozen_group_stands_still_goes_on_and_can_be_killed),
		cmocka_unit_test(
		    a_freeze_that_fails_says_so_and_the_group_goes_on),
		cmocka_unit_test(
		    the_sweep_takes_out_a_frozen_one_whose_owner_is_dead),
		cmocka_unit_test(
		    what_could_not_be_removed_at_once_is_removed_at_the_end),
		cmocka_unit_test(what_a_group_uses_is_measured),
	};
	struct err e = {};

	if (cgroup_place_init(&place, &e) < 0) {
		(void)fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
