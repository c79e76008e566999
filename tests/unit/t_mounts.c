/* Folders beside the work folder, what is protected in them, and what is left
 * when a call fails on the way. */
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_calls.h"
#include "fail_files.h"
#include "sandbox/commit.h"
#include "sandbox/folder.h"
#include "sandbox/mounts.h"
#include "sandbox/planted.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"

enum { OWNER = 12345 };

static struct sandbox_host host;
static int binary = -1;
static char top[] = "/var/tmp/paddock-t-mounts-XXXXXX";
static const char *const folders[] = { "work", "ro", "overlay", "rw", "image" };

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

static void
put(const char *in, const char *name, const char *text)
{
	char path[256];
	own_fd int fd = -1;
	struct err e;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", top, in, name);
	if (text == NULL) {
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	} else {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		assert_int_equal(fd_write_all(fd, text, strlen(text), &e), 0);
	}
	if (geteuid() == 0)
		assert_int_equal(chown(path, OWNER, OWNER), 0);
}

static int
at(const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int
make_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		put(folders[i], "", NULL);
		put(folders[i], ".env", "secret\n");
		put(folders[i], ".git", NULL);
		put(folders[i], ".git/config", "[core]\n");
		put(folders[i], "sub", NULL);
		put(folders[i], "sub/.netrc", "secret\n");
	}
	return 0;
}

static int
remove_all(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command); /* NOLINT(cert-env33-c): a path of ours */
}

static void
a_mount_is_read_from_its_end(void **state)
{
	static const struct {
		const char *text, *from, *to;
		enum sandbox_mount_mode mode;
		bool noexec;
		const char *fault; /* NULL: it is one */
	} rows[] = {
		{ "a:/b", "a", "/b", SANDBOX_RO, false, NULL },
		{ "a:/b:ro", "a", "/b", SANDBOX_RO, false, NULL },
		{ "a:/b:rw,noexec", "a", "/b", SANDBOX_RW, true, NULL },
		{ "a:/b:overlay", "a", "/b", SANDBOX_OVERLAY, false, NULL },
		{ "a:b:/c:rw", "a:b", "/c", SANDBOX_RW, false, NULL },
		{ "a:/b:/c", "a:/b", "/c", SANDBOX_RO, false, NULL },
		{ "a:/b:RW", "", "", SANDBOX_RO, false, "unknown mode RW" },
		{ "a:/b:rw,", "", "", SANDBOX_RO, false, "unknown mode" },
		{ "a:/b:rw,noexec,x", "", "", SANDBOX_RO, false, "unknown" },
		{ "a", "", "", SANDBOX_RO, false, "expected FROM:TO" },
		{ "", "", "", SANDBOX_RO, false, "expected FROM:TO" },
		{ ":/b", "", "", SANDBOX_RO, false, "expected FROM:TO" },
		{ "a:", "", "", SANDBOX_RO, false, "expected FROM:TO" },
		{ "a:ro", "", "", SANDBOX_RO, false, "expected FROM:TO" },
		{ "a:b", "", "", SANDBOX_RO, false, "absolute path" },
		{ "a:/b/../c", "", "", SANDBOX_RO, false, "without . and .." },
		{ "a:/proc/x", "", "", SANDBOX_RO, false, "of its own" },
		{ "a:/b\x1b", "", "", SANDBOX_RO, false, "control" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sandbox_mount m = {};
		struct str from, to;
		struct err e = {};

		if (mounts_parse(rows[i].text, &from, &to, &m, &e) < 0) {
			assert_non_null(rows[i].fault);
			if (strstr(e.text, rows[i].fault) == NULL)
				fail_msg("%s: %s", rows[i].text, e.text);
			continue;
		}
		if (rows[i].fault != NULL)
			fail_msg("%s: taken", rows[i].text);
		assert_true(str_eq_c(from, rows[i].from));
		assert_true(str_eq_c(to, rows[i].to));
		assert_int_equal(m.mode, rows[i].mode);
		assert_int_equal(m.noexec, rows[i].noexec);
	}
}

static void
only_a_folder_of_files_is_seen_inside(void **state)
{
	static const struct {
		const char *path, *fault;
	} rows[] = {
		{ "/", "see too much" },
		{ "/usr", "see too much" },
		{ "/proc/self", "files of yours" },
		{ "/sys/kernel", "files of yours" },
		{ "/dev/null", "a device" },
		{ "/usr/bin/env", "a file" },
		{ "/usr/share", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_fd int fd = open(rows[i].path, O_PATH | O_CLOEXEC);
		struct stat st;
		struct err e = {};

		assert_true(fd >= 0);
		if (rows[i].fault == NULL) {
			assert_int_equal(folder_check(fd, &st, &e), 0);
			continue;
		}
		assert_int_equal(folder_check(fd, &st, &e), -1);
		assert_non_null(strstr(e.text, rows[i].fault));
	}
}

/* Says no where one secret can be read. */
static const char *const argv[] = { "sh", "-c",
	"! cat .env sub/.netrc /m/*/.env /m/*/sub/.netrc 2>/dev/null | grep .",
	NULL };

static void
fail_each_call(struct sandbox_spec *spec, int at_least)
{
	const int before = open_fds();

	for (fail_at = 0;; fail_at++) {
		struct sandbox_end end;
		struct sandbox sb;
		struct err e = {};
		int r;

		calls = 0;
		counting = true;
		r = sandbox_start(&host, spec, &sb, &e);
		counting = false;
		if (r == 0) {
			struct pollfd p = { .fd = sb.pidfd, .events = POLLIN };

			assert_int_equal(poll(&p, 1, 10000), 1);
			assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
			if (end.kind != END_NOT_STARTED &&
			    (end.kind != END_EXIT || end.code != 0))
				fail_msg("call %d: a secret was read", fail_at);
		} else if (fail_at == 0) {
			fail_msg("%s", e.text);
		} else {
			assert_true(e.text[0] != '\0');
		}
		sandbox_fini(&sb);
		assert_int_equal(open_fds(), before);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		if (fail_at > calls) {
			assert_int_equal(r, 0);
			break;
		}
	}
	assert_true(fail_at > at_least);
}

static void
no_call_that_fails_uncovers_a_secret_or_leaves_a_part(void **state)
{
	static const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
	static const struct sandbox_file files[] = { { "/tmp/a/b/f", "text" } };
	own_fd int work = at("work"), ro = at("ro"), overlay = at("overlay"),
		   rw = at("rw"), image = at("image");
	const struct sandbox_mount mounts[] = {
		{ ro, "/m/ro", SANDBOX_RO, true },
		{ overlay, "/m/overlay", SANDBOX_OVERLAY, false },
		{ rw, "/m/rw", SANDBOX_RW, false },
	};
	struct sandbox_spec spec = {
		.argv = argv,
		.envp = envp,
		.stdio = { -1, -1, -1 },
		.workspace_fd = work,
		.workspace_path = "/workspace",
		.write_back = true,
		.mounts = mounts,
		.n_mounts = 3,
		.files = files,
		.n_files = 1,
		.limits = { .memory_bytes = 256 << 20 },
	};

	(void)state;
	fail_each_call(&spec, 300);
	/* There is no shell in it: what is built is all there is to see. */
	spec.image = true;
	spec.image_fd = image;
	fail_each_call(&spec, 300);
}

static unsigned told;

static void
count_path(void *arg, const char *path)
{
	(void)arg;
	assert_true(path[0] == '/');
	told++;
}

static void
what_cannot_be_looked_through_is_told(void **state)
{
	own_fd int rw = at("rw");
	const struct sandbox_mount m = { rw, "/m", SANDBOX_RW, false };
	const struct sandbox_spec spec = { .mounts = &m, .n_mounts = 1 };
	const int before = open_fds();
	struct planted p;
	struct err e = {};

	(void)state;
	for (fail_at = 1;; fail_at++) {
		int r;

		calls = 0;
		counting = true;
		r = planted_begin(&p, &spec, &e);
		counting = false;
		if (r == 0)
			break;
		assert_int_equal(e.sys, EIO);
		assert_int_equal(open_fds(), before);
	}
	assert_true(fail_at > 15);
	for (fail_at = 1;; fail_at++) {
		uint32_t n;

		calls = 0;
		told = 0;
		counting = true;
		n = planted_tell(&p, count_path, NULL);
		counting = false;
		assert_int_equal(n, told);
		if (fail_at > calls)
			break;
		assert_true(n > 0);
	}
	assert_int_equal(told, 0);
	/* The control: that one is seen. */
	put("rw", ".bashrc", "evil\n");
	assert_int_equal(planted_tell(&p, count_path, NULL), 1);
	planted_fini(&p);
	assert_int_equal(open_fds(), before);
}

static void
tell_nothing(void *arg, enum commit_why why, const char *path)
{
	(void)arg;
	(void)why;
	(void)path;
}

static void
what_is_not_written_back_in_full_is_an_error(void **state)
{
	own_fd int upper = at("overlay"), to = at("work");
	const int before = open_fds();

	(void)state;
	put("overlay", "new", "new\n");
	put("overlay", "dir", NULL);
	put("overlay", "dir/deep", "deep\n");
	for (fail_at = 1;; fail_at++) {
		struct commit c = { .tell = tell_nothing };
		struct err e = {};
		char left[256];
		int r;

		calls = 0;
		counting = true;
		r = commit_folder(&c, upper, to, &e);
		counting = false;
		assert_int_equal(open_fds(), before);
		(void)snprintf(
		    left, sizeof(left), "%s/work/.paddock-write-back", top);
		assert_int_equal(access(left, F_OK), -1);
		if (r == 0 && fail_at > calls)
			break;
		if (r == 0)
			fail_msg("call %d was ignored", fail_at);
		assert_true(e.text[0] != '\0');
	}
	assert_true(fail_at > 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_is_read_from_its_end),
		cmocka_unit_test(only_a_folder_of_files_is_seen_inside),
		cmocka_unit_test(
		    no_call_that_fails_uncovers_a_secret_or_leaves_a_part),
		cmocka_unit_test(what_cannot_be_looked_through_is_told),
		cmocka_unit_test(what_is_not_written_back_in_full_is_an_error),
	};
	const char *program = getenv("PADDOCK");
	struct err e = {};

	if (program == NULL)
		return 77;
	binary = open(program, O_PATH | O_CLOEXEC);
	if (binary < 0 || sandbox_host_init(&host, binary, &e) < 0 ||
	    sandbox_host_many(&host, &e) < 0) {
		(void)fprintf(stderr, "%s: %s\n", program, e.text);
		return 1;
	}
	if (mkdtemp(top) == NULL || chmod(top, 0755) < 0)
		return 1;
	return cmocka_run_group_tests(tests, make_all, remove_all);
}
