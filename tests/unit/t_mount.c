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
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/mount.h"
#include "sys/ns.h"

enum { NOBODY = 65534 };

/* What a child found. */
enum { DONE, REPORTED, WRONG };

static int calls, fail_at;

/* Nothing is mounted where a test fails: the call itself is not made. */
long __wrap_syscall(long nr, ...);
long __real_syscall(long nr, ...);
long
__wrap_syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (++calls == fail_at) {
		errno = EIO;
		return -1;
	}
	return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

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

/* In a child with a mount namespace of its own: what it returns. */
static int
aside(int (*what)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		uid_t uid = geteuid();
		struct err e;

		if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0)
			_exit(77);
		if (uid != 0 && ns_map_self(uid, getegid(), &e) < 0)
			_exit(77);
		_exit(what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_true(
	    WEXITSTATUS(status) == DONE || WEXITSTATUS(status) == REPORTED);
	return WEXITSTATUS(status);
}

static int
reported(const struct err *e)
{
	return calls == fail_at && e->sys == EIO ? REPORTED : WRONG;
}

/* A tmpfs becomes "/", with a read-only copy of /usr in it. One call fails, or
 * none: then DONE. */
static int
build_and_pivot(void)
{
	const struct mount_option options[] = {
		{ "size", "1m" },
		{ "mode", "755" },
	};
	own_fd int root = -1, usr = -1;
	struct err e = {};

	calls = 0;
	if (mount_private(&e) < 0)
		return reported(&e);
	root = mount_new("tmpfs", options, 2, MOUNT_NOSUID, &e);
	if (root < 0 || mount_attach(root, AT_FDCWD, "/", &e) < 0)
		return reported(&e);
	if (fchdir(root) < 0 || mkdir("usr", 0755) < 0)
		return WRONG;
	usr = mount_copy(AT_FDCWD, "/usr", true, MOUNT_RDONLY, -1, &e);
	if (usr < 0 || mount_attach(usr, AT_FDCWD, "usr", &e) < 0 ||
	    mount_restrict(root, MOUNT_RDONLY, &e) < 0 || mount_pivot(&e) < 0)
		return reported(&e);

	if (access("/usr/bin/env", X_OK) < 0 || access("/etc", F_OK) == 0 ||
	    mkdir("/x", 0755) == 0 || errno != EROFS)
		return WRONG;
	if (open("/usr/x", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EROFS)
		return WRONG;
	return DONE;
}

static void
a_new_root_holds_what_was_put_there_and_nothing_else(void **state)
{
	(void)state;
	for (fail_at = 1; aside(build_and_pivot) != DONE; fail_at++)
		assert_true(fail_at < 50);
	/* 13 calls can fail, and each was noticed. */
	assert_int_equal(fail_at, 14);
}

static void
an_idmapped_copy_shifts_the_owner_and_hides_others(void **state)
{
	char dir[] = "/tmp/paddock-t-mount-XXXXXX", path[64];
	own_fd int ns = -1, copy = -1, folder = -1;
	struct stat st;
	struct err e = {};
	struct ns_helper helper;

	(void)state;
	fail_at = 0;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/other", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_int_equal(chown(dir, 1000, 1000), 0);
	ns = ns_idmap(1000, 0x70000001, 1000, 0x70000002, &helper, &e);
	ns_reap(&helper);
	if (ns < 0)
		fail_msg("%s", e.text);
	folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	copy = mount_copy(folder, "", false, 0, ns, &e);
	if (copy >= 0) {
		assert_int_equal(fstat(copy, &st), 0);
		assert_int_equal(st.st_uid, 0x70000001);
		assert_int_equal(st.st_gid, 0x70000002);
		assert_int_equal(fstatat(copy, "other", &st, 0), 0);
		assert_int_equal(st.st_uid, NOBODY);
	} else {
		/* Not every file system can: it has to say so. */
		assert_int_equal(e.sys, EINVAL);
	}
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
a_failing_idmap_leaves_no_process(void **state)
{
	int before = open_fds();

	(void)state;
	fail_at = 0;
	for (int i = 0; i < 2; i++) {
		struct err e = {};
		struct ns_helper helper;

		/* The second id has no owner outside: the kernel refuses. */
		assert_int_equal(
		    ns_idmap(1000, UINT32_MAX, 1000, 1, &helper, &e), -1);
		ns_reap(&helper);
		assert_true(e.text[0] != '\0');
		assert_int_equal(open_fds(), before);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	}
}

static int
confine(void)
{
	int abi, dir = open("/usr", O_PATH | O_CLOEXEC);
	own_fd int rules = -1;
	struct err e = {};

	calls = fail_at; /* this one does not count */
	abi = landlock_abi();
	if (abi == 0)
		return 77;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return WRONG;
	calls = 0;
	rules = landlock_new(abi, 0, &e);
	if (rules < 0 ||
	    landlock_allow(rules, abi, AT_FDCWD, "/usr", LANDLOCK_READ, &e) <
		0 ||
	    landlock_allow(rules, abi, AT_FDCWD, "/etc/passwd",
		LANDLOCK_READ | LANDLOCK_WRITE, &e) < 0 ||
	    landlock_enforce(rules, &e) < 0)
		return reported(&e);
	if (open("/usr/bin/env", O_RDONLY) < 0 ||
	    open("/etc/passwd", O_RDONLY) < 0)
		return WRONG;
	/* Beside it, and through a descriptor from before. */
	if (open("/etc/hostname", O_RDONLY) >= 0 ||
	    open("/tmp/paddock-x", O_WRONLY | O_CREAT, 0600) >= 0 ||
	    openat(dir, "../etc/hostname", O_RDONLY) >= 0)
		return WRONG;
	return DONE;
}

static void
landlock_leaves_what_was_allowed_and_nothing_else(void **state)
{
	(void)state;
	for (fail_at = 1; aside(confine) != DONE; fail_at++)
		assert_true(fail_at < 50);
	assert_int_equal(fail_at, 5); /* new, allow twice, enforce */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_new_root_holds_what_was_put_there_and_nothing_else),
		cmocka_unit_test(
		    an_idmapped_copy_shifts_the_owner_and_hides_others),
		cmocka_unit_test(a_failing_idmap_leaves_no_process),
		cmocka_unit_test(
		    landlock_leaves_what_was_allowed_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
