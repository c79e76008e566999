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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/cgroup.h"

enum { MIB = 1024 * 1024 };

static int calls, fail_at;
static bool counting;

static bool
fails_now(void)
{
	if (!counting || ++calls != fail_at)
		return false;
	errno = EIO;
	return true;
}

int __wrap_mkdir(const char *path, mode_t mode);
int __real_mkdir(const char *path, mode_t mode);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
int __wrap_open64(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __real_openat64(int dir, const char *path, int flags, ...);

int
__wrap_mkdir(const char *path, mode_t mode)
{
	return fails_now() ? -1 : __real_mkdir(path, mode);
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	return fails_now() ? -1 : __real_write(fd, p, n);
}

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
	};
	struct err e = {};

	if (cgroup_place_init(&place, &e) < 0) {
		(void)fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
