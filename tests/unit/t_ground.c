/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_calls.h"
#include "sandbox/ground.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"

static struct sandbox_host host;
static int binary = -1;

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

/* <sys/mount.h> is our own here. */
static int
mount_at(const char *what, const char *at, const char *type, unsigned flags)
{
	return (int)syscall(SYS_mount, what, at, type, flags, NULL);
}

static int
unmount(const char *at)
{
	return (int)syscall(SYS_umount2, at, 0);
}

static ino_t
where(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/mnt", &st), 0);
	return st.st_ino;
}

/* The exit code of a command in a sandbox on the ground. */
static int
run(const char *script)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	static const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
	const struct sandbox_spec spec = {
		.argv = argv,
		.envp = envp,
		.stdio = { -1, -1, -1 },
		.workspace_fd = -1,
		.limits = { .memory_bytes = 256 << 20 },
	};
	struct pollfd over = { .events = POLLIN };
	struct sandbox_end end;
	struct sandbox sb;
	struct err e = {};

	if (sandbox_start(&host, &spec, &sb, &e) < 0)
		fail_msg("%s", e.text);
	over.fd = sb.pidfd;
	assert_int_equal(poll(&over, 1, 10000), 1);
	assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
	sandbox_fini(&sb);
	assert_int_equal(end.kind, END_EXIT);
	return end.code;
}

static void
who_one_is_differs_and_cannot_be_written(void **state)
{
	(void)state;
	assert_int_equal(
	    run("grep -q \"^agent:x:$(id -u):\" /etc/passwd &&"
		"grep -q localhost /etc/hosts && test -e /etc/resolv.conf &&"
		"test \"$(id -un)\" = agent"),
	    0);
	assert_int_equal(
	    run("for d in / /etc /dev /run /run/names /run/paddock /usr; do"
		" if touch $d/x 2>/dev/null || rm $d/* 2>/dev/null;"
		" then exit 1; fi; done"),
	    0);
	/* Nothing of a mount that lies below, by any name. */
	assert_int_equal(
	    run("test \"$(cd /; cd ..; pwd -P; ls | grep -c work)\" = '/\n1' &&"
		"test $(grep -c ' / / ' /proc/self/mountinfo) = 1"),
	    0);
}

static void
what_the_host_mounts_or_replaces_is_seen_by_the_next_one(void **state)
{
	char file[] = "/tmp/paddock-t-ground-XXXXXX";
	own_fd int fd = -1;

	(void)state;
	assert_int_equal(run("test -e /usr/local/paddock-t"), 1);
	assert_int_equal(mount_at("t", "/usr/local", "tmpfs", 0), 0);
	assert_int_equal(mkdir("/usr/local/paddock-t", 0755), 0);
	assert_int_equal(run("test -e /usr/local/paddock-t"), 0);
	assert_int_equal(unmount("/usr/local"), 0);
	assert_int_equal(run("test -e /usr/local/paddock-t"), 1);

	fd = mkstemp(file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "other", 5), 5);
	assert_int_equal(mount_at(file, "/etc/ld.so.cache", NULL, MS_BIND), 0);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(run("test \"$(cat /etc/ld.so.cache)\" = other"), 0);
	assert_int_equal(unmount("/etc/ld.so.cache"), 0);
	assert_int_equal(run("test \"$(cat /etc/ld.so.cache)\" = other"), 1);
	(void)unlink(file);
}

static void
whatever_fails_its_caller_is_at_home(void **state)
{
	const ino_t home = where();
	const int before = open_fds();
	int failed = 0;

	(void)state;
	/* A device that cannot be made is a copy of the host's instead. */
	for (fail_at = 1;; fail_at++) {
		struct err e = {};
		struct ground *g;

		calls = 0;
		counting = true;
		g = ground_new(host.mount_ns, binary, &e);
		counting = false;
		assert_true(where() == home);
		if (g == NULL) {
			failed++;
			assert_true(e.text[0] != '\0');
		}
		ground_free(g);
		assert_int_equal(open_fds(), before);
		if (calls < fail_at)
			break;
	}
	assert_true(failed > 60);
}

static void
there_and_back(void **state)
{
	const ino_t home = where();
	struct err e = {};

	(void)state;
	assert_non_null(host.ground);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ground_enter(host.ground, &e), 0);
		/* Nobody's home, and no process that could be looked at. */
		assert_int_equal(access("/proc/self", F_OK), -1);
		assert_int_equal(access("/root", F_OK), -1);
		assert_int_equal(access("/usr/bin", F_OK), 0);
		ground_leave(host.ground);
		assert_true(where() == home);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(who_one_is_differs_and_cannot_be_written),
		cmocka_unit_test(
		    what_the_host_mounts_or_replaces_is_seen_by_the_next_one),
		cmocka_unit_test(whatever_fails_its_caller_is_at_home),
	};
	const char *program = getenv("PADDOCK");
	struct err e = {};

	/* Mounts of our own: the machine's stay as they are. */
	if (program == NULL || geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount_at(NULL, "/", NULL, MS_REC | MS_PRIVATE) < 0)
		return 77;
	binary = open(program, O_PATH | O_CLOEXEC);
	if (binary < 0 || sandbox_host_init(&host, binary, &e) < 0 ||
	    sandbox_host_many(&host, &e) < 0) {
		(void)fprintf(stderr, "%s: %s\n", program, e.text);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
