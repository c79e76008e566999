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
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_calls.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"
#include "sys/ns.h"

static struct sandbox_host host;
static int binary = -1, folder = -1;
static char folder_path[] = "/tmp/paddock-t-sandbox-XXXXXX";

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

/* Groups of ours under the memory controller, or none. */
static int
groups(void)
{
	const char *dir = host.cgroups.dir[CGROUP_MEMORY];
	struct dirent *d;
	DIR *all = dir[0] != '\0' ? opendir(dir) : NULL;
	int n = 0;

	while (all != NULL && (d = readdir(all)) != NULL)
		n += strncmp(d->d_name, host.cgroups.owner,
			 strlen(host.cgroups.owner)) == 0;
	if (all != NULL)
		(void)closedir(all);
	return n;
}

static struct sandbox_spec
spec_of(const char *const *argv)
{
	static const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };

	return (struct sandbox_spec){
		.argv = argv,
		.envp = envp,
		.stdio = { -1, -1, -1 },
		.workspace_fd = folder,
		.workspace_path = "/workspace",
		.limits = { .memory_bytes = 256 << 20 },
	};
}

static void
wait_for(const struct sandbox *sb)
{
	struct pollfd wait = { .fd = sb->pidfd, .events = POLLIN };

	assert_int_equal(poll(&wait, 1, 10000), 1);
}

static void
a_command_runs_and_its_end_is_told(void **state)
{
	static const struct {
		const char *argv[4];
		enum sandbox_end_kind kind;
		int code;
	} rows[] = {
		{ { "/bin/true" }, END_EXIT, 0 },
		{ { "sh", "-c", "exit 7" }, END_EXIT, 7 },
		{ { "sh", "-c", "kill -9 $$" }, END_SIGNAL, SIGKILL },
		{ { "no-such-program" }, END_NOT_STARTED, ENOENT },
		{ { "/usr" }, END_NOT_STARTED, EACCES },
	};
	int before = open_fds();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sandbox_spec spec = spec_of(rows[i].argv);
		struct sandbox_end end;
		struct sandbox sb;
		struct err e = {};

		if (sandbox_start(&host, &spec, &sb, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(sb.posture & WALLS_ALWAYS, WALLS_ALWAYS);
		wait_for(&sb);
		assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
		assert_int_equal(end.kind, rows[i].kind);
		assert_int_equal(end.code, rows[i].code);
		assert_int_equal(end.limit, LIMIT_NONE);
		sandbox_fini(&sb);
		assert_int_equal(open_fds(), before);
		assert_int_equal(groups(), 0);
	}
}

static void
fail_each_call(void)
{
	static const char *const argv[] = { "/bin/true", NULL };
	struct sandbox_spec spec = spec_of(argv);
	int before = open_fds();
	uint32_t full = 0;

	spec.n_listen = 1;
	spec.listen_port[0] = 8000;
	spec.rpc = true;
	for (fail_at = 0;; fail_at++) {
		struct sandbox_end end;
		struct sandbox sb;
		struct err e = {};
		int r;

		calls = 0;
		counting = true;
		r = sandbox_start(&host, &spec, &sb, &e);
		counting = false;
		if (r == 0) {
			wait_for(&sb);
			/* The first round fails nothing, and shows it all. */
			if (fail_at == 0)
				full = sb.posture;
			assert_int_equal(
			    sb.posture & WALLS_ALWAYS, WALLS_ALWAYS);
			assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
			if (end.kind != END_EXIT || end.code != 0)
				assert_int_equal(end.kind, END_NOT_STARTED);
		} else {
			assert_true(e.text[0] != '\0');
		}
		sandbox_fini(&sb);
		assert_int_equal(open_fds(), before);
		assert_int_equal(groups(), 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		if (fail_at > calls) {
			assert_int_equal(r, 0);
			assert_int_equal(sb.posture, 0);
			break;
		}
	}
	/* The walls of a round without failure are those of the first. */
	assert_int_equal(full & WALLS_ALWAYS, WALLS_ALWAYS);
	assert_true(fail_at > 150);
}

static void
each_call_that_fails_is_reported_or_shows_in_the_posture(void **state)
{
	struct ground *ground = host.ground;

	(void)state;
	fail_each_call();
	host.ground = NULL; /* as where there is none, or an image */
	fail_each_call();
	host.ground = ground;
}

static void
a_listener_inside_is_handed_out(void **state)
{
	static const char *const argv[] = { "bash", "-c",
		"exec 3<>/dev/tcp/127.0.0.1/8000; echo hello >&3; read a <&3;"
		"test \"$a\" = back",
		NULL };
	struct sandbox_spec spec = spec_of(argv);
	struct sandbox_end end;
	struct sandbox sb;
	struct pollfd wait = { .events = POLLIN };
	char text[16] = "";
	struct err e = {};
	int fd;

	(void)state;
	spec.n_listen = 1;
	spec.listen_port[0] = 8000;
	if (sandbox_start(&host, &spec, &sb, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(sb.n_listen, 1);
	wait.fd = sb.listener[0];
	assert_int_equal(poll(&wait, 1, 10000), 1);
	fd = accept(sb.listener[0], NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 6);
	assert_string_equal(text, "hello\n");
	assert_int_equal(send(fd, "back\n", 5, 0), 5);
	wait_for(&sb);
	assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
	assert_int_equal(end.kind, END_EXIT);
	assert_int_equal(end.code, 0);
	(void)close(fd);
	sandbox_fini(&sb);
}

static void
a_kill_is_quick_and_its_first_reason_stays(void **state)
{
	static const char *const argv[] = { "sleep", "1000", NULL };
	struct sandbox_spec spec = spec_of(argv);
	struct sandbox_end end;
	struct sandbox sb;
	struct err e = {};

	(void)state;
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), 0);
	sandbox_kill(&sb, LIMIT_WALL);
	sandbox_kill(&sb, LIMIT_STOPPED);
	wait_for(&sb);
	assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
	assert_int_equal(end.limit, LIMIT_WALL);
	assert_int_equal(end.kind, END_SIGNAL);
	sandbox_fini(&sb);

	/* Also without a reap: fini alone leaves nothing. */
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), 0);
	sandbox_fini(&sb);
	assert_int_equal(groups(), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
a_signal_is_passed_on(void **state)
{
	static const char *const argv[] = { "sleep", "1000", NULL };
	struct sandbox_spec spec = spec_of(argv);
	struct sandbox_end end;
	struct sandbox sb;
	struct err e = {};

	(void)state;
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), 0);
	assert_int_equal(sandbox_signal(&sb, SIGTERM, &e), 0);
	wait_for(&sb);
	assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
	assert_int_equal(end.kind, END_SIGNAL);
	assert_int_equal(end.code, SIGTERM);
	assert_int_equal(end.limit, LIMIT_NONE);
	sandbox_fini(&sb);
}

static void
a_new_rpc_socket_is_given_whole_or_not_at_all(void **state)
{
	static const char *const argv[] = { "sleep", "1000", NULL };
	struct sandbox_spec spec = spec_of(argv);
	struct sandbox sb;
	struct err e = {};
	int before;

	(void)state;
	spec.rpc = true;
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), 0);
	before = open_fds();
	for (fail_at = 1;; fail_at++) {
		const int old = sb.rpc;
		int r;

		calls = 0;
		counting = true;
		r = sandbox_rpc_renew(&sb, &e);
		counting = false;
		assert_int_equal(open_fds(), before);
		if (r == 0)
			break;
		assert_int_equal(e.sys, EIO);
		assert_int_equal(sb.rpc, old);
	}
	assert_int_equal(fail_at, 3); /* socketpair and sendmsg can fail */
	sandbox_fini(&sb);
	/* The pidfd, both sockets, the file system that is measured and the
	 * mount namespace. */
	assert_int_equal(open_fds(), before - 5);
}

static void
a_wall_that_is_required_and_missing_refuses_the_run(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	struct sandbox_spec spec = spec_of(argv);
	struct sandbox sb;
	struct err e = {};

	(void)state;
	/* Either kind of identity excludes the other. */
	spec.required = host.root ? WALL_USER_NS : WALL_PRIVATE_UID;
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), -1);
	assert_non_null(strstr(e.text, host.root ? "user_ns" : "private_uid"));
	assert_int_equal(groups(), 0);

	/* A limit that is not asked for needs no wall. */
	spec.required = WALL_CPU;
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), 0);
	sandbox_fini(&sb);
}

static void
a_work_folder_hides_nothing_and_leads_nowhere(void **state)
{
	static const struct {
		const char *host, *inside;
	} rows[] = {
		{ "/home/ann/job", "/home/ann/job" },
		{ "/tmp/job", "/tmp/job" },
		{ "/usr.local", "/usr.local" },
		{ "/tmp", "/workspace" },
		{ "/", "/workspace" },
		{ "", "/workspace" },
		{ "job", "/workspace" },
		{ "/usr/src", "/workspace" },
		{ "/etc", "/workspace" },
		{ "/run/paddock", "/workspace" },
		{ "/a/../../etc", "/workspace" },
		{ "/a/..", "/workspace" },
		{ "/a/./b", "/workspace" },
		{ "/a//b", "/workspace" },
		{ "/a/", "/workspace" },
		{ "/a/..b/.c", "/a/..b/.c" },
	};
	static const char *const argv[] = { "/bin/true", NULL };
	struct sandbox_spec spec = spec_of(argv);
	struct sandbox sb;
	struct err e = {};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(
		    sandbox_path_for(rows[i].host), rows[i].inside);
	spec.workspace_path = "/a/../../etc";
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), -1);
	spec.workspace_path = "/workspace";
	spec.stdio[0] = 1;
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), -1);
	assert_non_null(strstr(e.text, "another's place"));
}

static void
a_core_of_its_own_is_a_wall_where_the_kernel_gives_one(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	struct sandbox_spec spec = spec_of(argv);
	struct sandbox_end end;
	struct sandbox sb;
	struct err e = {};
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		_exit(ns_own_core(&e) == 0 ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	spec.required = WALL_CORE;
	if (WEXITSTATUS(status) != 0) {
		assert_int_equal(sandbox_start(&host, &spec, &sb, &e), -1);
		assert_non_null(strstr(e.text, "the wall core"));
		return;
	}
	assert_int_equal(sandbox_start(&host, &spec, &sb, &e), 0);
	assert_true((sb.posture & WALL_CORE) != 0);
	assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
	sandbox_fini(&sb);
}

static void
every_wall_and_limit_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WALL_COUNT; i++)
		assert_non_null(wall_name(1U << i));
	assert_null(wall_name(1U << WALL_COUNT));
	assert_int_equal(wall_find(STR("time_ns")), WALL_TIME_NS);
	assert_int_equal(wall_find(STR("time")), 0);
	assert_int_equal(wall_find(STR("")), 0);
	for (int i = 0; i < LIMIT_COUNT; i++)
		assert_string_not_equal(
		    sandbox_limit_name((enum sandbox_limit)i), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_runs_and_its_end_is_told),
		cmocka_unit_test(
		    each_call_that_fails_is_reported_or_shows_in_the_posture),
		cmocka_unit_test(a_listener_inside_is_handed_out),
		cmocka_unit_test(a_kill_is_quick_and_its_first_reason_stays),
		cmocka_unit_test(a_signal_is_passed_on),
		cmocka_unit_test(a_new_rpc_socket_is_given_whole_or_not_at_all),
		cmocka_unit_test(
		    a_wall_that_is_required_and_missing_refuses_the_run),
		cmocka_unit_test(a_work_folder_hides_nothing_and_leads_nowhere),
		cmocka_unit_test(
		    a_core_of_its_own_is_a_wall_where_the_kernel_gives_one),
		cmocka_unit_test(every_wall_and_limit_has_a_name),
	};
	const char *program = getenv("PADDOCK");
	struct err e = {};
	int failed;

	if (program == NULL)
		return 77;
	binary = open(program, O_PATH | O_CLOEXEC);
	if (binary < 0 || sandbox_host_init(&host, binary, &e) < 0 ||
	    sandbox_host_many(&host, &e) < 0) {
		(void)fprintf(stderr, "%s: %s\n", program, e.text);
		return 1;
	}
	if (mkdtemp(folder_path) == NULL)
		return 1;
	folder = open(folder_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder_path);
	return failed;
}
