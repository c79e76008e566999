/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fail_calls.h"
#include "sandbox/pool.h"
#include "sys/fd.h"

static struct sandbox_host host;
static struct pool pool;
static int binary = -1, folder = -1;
static char folder_path[] = "/tmp/paddock-t-pool-XXXXXX";
static int64_t now = 1000;

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

static struct sandbox_spec
spec_of(const char *const *argv)
{
	static const char *const envp[] = { "PATH=/usr/bin:/bin", "A=b", NULL };

	return (struct sandbox_spec){
		.argv = argv,
		.envp = envp,
		.stdio = { -1, -1, -1 },
		.workspace_fd = folder,
		.workspace_path = folder_path,
		.limits = { .memory_bytes = 256 << 20 },
	};
}

/* Runs it to its end. */
static struct sandbox_end
run(uint64_t tenant, const struct sandbox_spec *spec)
{
	struct pollfd wait = { .events = POLLIN };
	struct sandbox_end end;
	struct sandbox sb;
	struct err e = {};
	uint32_t slot;

	if (pool_start(&pool, tenant, spec, ++now, &sb, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(sb.posture & WALLS_ALWAYS, WALLS_ALWAYS);
	wait.fd = sb.pidfd;
	assert_int_equal(poll(&wait, 1, 10000), 1);
	assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
	slot = sb.slot;
	sandbox_fini(&sb);
	pool_give_slot(&pool, slot);
	return end;
}

/* Until nothing is missing. */
static void
fill(void)
{
	unsigned n;

	do {
		n = pool_count(&pool);
		(void)pool_tend(&pool, ++now);
	} while (pool_count(&pool) != n);
}

static void
a_parked_one_does_what_a_cold_one_does(void **state)
{
	static const struct {
		const char *argv[4];
		enum sandbox_end_kind kind;
		int code;
	} rows[] = {
		{ { "sh", "-c", "test $A = b && test $(pwd) = $0" }, END_EXIT,
		    1 },
		{ { "sh", "-c", "echo x > made && exit 7" }, END_EXIT, 7 },
		{ { "sh", "-c", "test ! -e made" }, END_EXIT, 0 },
		{ { "sh", "-c", "test -O . && test -w ." }, END_EXIT, 0 },
		{ { "sh", "-c", "echo x > /new" }, END_EXIT, 2 },
		{ { "sh", "-c", "echo x > /tmp/new" }, END_EXIT, 0 },
		{ { "sh", "-c", "test -e /tmp/lower" }, END_EXIT, 1 },
		{ { "sh", "-c", "kill -9 $$" }, END_SIGNAL, SIGKILL },
		{ { "no-such-program" }, END_NOT_STARTED, 2 },
		{ { "sh", "-c", "ls /proc/self/fd | grep -c ." }, END_EXIT, 0 },
	};
	int before = open_fds();

	(void)state;
	pool_init(&pool, &host);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sandbox_spec spec = spec_of(rows[i].argv);

		for (uint64_t hits = pool.hits; pool.hits == hits;) {
			struct sandbox_end end = run(1, &spec);

			assert_int_equal(end.kind, rows[i].kind);
			assert_int_equal(end.code, rows[i].code);
			fill();
			assert_true(pool_count(&pool) > 0);
		}
	}
	pool_fini(&pool);
	assert_int_equal(pool_count(&pool), 0);
	assert_int_equal(open_fds(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
what_was_parked_for_one_serves_no_other(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	const struct sandbox_spec mine = spec_of(argv);
	struct sandbox_spec other = mine;

	(void)state;
	pool_init(&pool, &host);
	(void)run(1, &mine);
	fill();
	(void)run(2, &mine);
	other.limits.pids_max = 77;
	(void)run(1, &other);
	other = mine;
	other.workspace_fd = -1;
	other.workspace_path = NULL;
	(void)run(1, &other);
	other = mine;
	other.write_back = true;
	(void)run(1, &other);
	assert_int_equal(fchown(folder, 4711, 4711), 0);
	(void)run(1, &mine);
	assert_int_equal(fchown(folder, geteuid(), getegid()), 0);
	assert_int_equal(pool.hits, 0);
	(void)run(1, &mine);
	assert_int_equal(pool.hits, 1);
	pool_fini(&pool);
}

static void
one_in_an_image_is_for_that_image_and_place(void **state)
{
	static const char *const argv[] = { "/run/paddock/paddock", "version",
		NULL };
	char dirs[2][32] = { "/tmp/paddock-t-image-XXXXXX",
		"/tmp/paddock-t-image-XXXXXX" };
	struct sandbox_spec mine = spec_of(argv), other;
	int image[2], before = open_fds();

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_non_null(mkdtemp(dirs[i]));
		image[i] = open(dirs[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(image[i] >= 0);
	}
	mine.image = true;
	mine.image_fd = image[0];
	pool_init(&pool, &host);
	assert_int_equal(run(1, &mine).code, 0);
	fill();
	assert_true(pool_count(&pool) > 0);
	other = mine;
	other.image_fd = image[1];
	(void)run(1, &other);
	other = mine;
	other.workspace_path = "/elsewhere";
	(void)run(1, &other);
	other = mine;
	other.account = "web";
	other.home = "/srv";
	(void)run(1, &other);
	other = mine;
	other.image = false;
	(void)run(1, &other);
	(void)run(2, &mine);
	assert_int_equal(pool.hits, 0);
	assert_int_equal(run(1, &mine).code, 0);
	assert_int_equal(pool.hits, 1);
	pool_fini(&pool);
	for (int i = 0; i < 2; i++) {
		fd_fini(&image[i]);
		assert_int_equal(rmdir(dirs[i]), 0);
	}
	assert_int_equal(open_fds(), before);
}

static void
stock_follows_demand_and_is_given_up_in_the_end(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	const struct sandbox_spec spec = spec_of(argv);
	int64_t again;

	(void)state;
	pool_init(&pool, &host);
	assert_int_equal(pool_tend(&pool, ++now), 0);
	(void)run(1, &spec);
	assert_int_equal(pool_count(&pool), 0);
	fill();
	assert_int_equal(pool_count(&pool), POOL_SHAPE_FIRST);
	for (int i = 0; i <= POOL_SHAPE_FIRST; i++)
		(void)run(1, &spec);
	fill();
	assert_int_equal(pool_count(&pool), 2 * POOL_SHAPE_FIRST);
	again = pool_tend(&pool, ++now);
	assert_true(again > now);
	now = again;
	assert_int_equal(pool_tend(&pool, now), 0);
	assert_int_equal(pool_count(&pool), 0);
	pool_fini(&pool);
}

static void
each_call_that_fails_ends_in_a_cold_start_or_an_error(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	const struct sandbox_spec spec = spec_of(argv);
	int before = open_fds();
	unsigned cold = 0;

	(void)state;
	for (fail_at = 1;; fail_at++) {
		struct pollfd wait = { .events = POLLIN };
		struct sandbox_end end;
		struct sandbox sb = {};
		struct err e = {};
		uint32_t slot;
		int r;

		pool_init(&pool, &host);
		(void)run(1, &spec);
		fill();
		calls = 0;
		counting = true;
		r = pool_start(&pool, 1, &spec, ++now, &sb, &e);
		counting = false;
		cold += pool.hits == 0;
		if (r == 0) {
			wait.fd = sb.pidfd;
			assert_int_equal(poll(&wait, 1, 10000), 1);
			assert_int_equal(sandbox_reap(&sb, &end, &e), 0);
			/* Without its owner shifted the folder is closed. */
			if ((sb.posture & WALL_IDMAP) == 0) {
				assert_int_equal(end.kind, END_NOT_STARTED);
			} else {
				assert_int_equal(end.kind, END_EXIT);
				assert_int_equal(end.code, 0);
			}
		} else {
			assert_true(e.text[0] != '\0');
		}
		slot = sb.slot;
		sandbox_fini(&sb);
		pool_give_slot(&pool, slot);
		pool_fini(&pool);
		assert_int_equal(open_fds(), before);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		if (fail_at > calls)
			break;
	}
	assert_true(fail_at > 20);
	assert_true(cold == 0 || cold < (unsigned)fail_at);
}

static void
parked_ones_die_with_their_owner(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	struct pollfd over = { .events = POLLIN };
	int pipe_fd[2];
	pid_t owner, parked;

	(void)state;
	assert_int_equal(pipe(pipe_fd), 0);
	owner = fork();
	assert_true(owner >= 0);
	if (owner == 0) {
		const struct sandbox_spec spec = spec_of(argv);

		pool_init(&pool, &host);
		(void)run(1, &spec);
		fill();
		parked = pool.parked[0].sb.pid;
		(void)!write(pipe_fd[1], &parked, sizeof(parked));
		(void)pause();
		_exit(0);
	}
	assert_int_equal(
	    read(pipe_fd[0], &parked, sizeof(parked)), sizeof(parked));
	over.fd = (int)syscall(SYS_pidfd_open, parked, 0);
	assert_true(over.fd >= 0);
	assert_int_equal(kill(owner, SIGKILL), 0);
	assert_int_equal(waitpid(owner, NULL, 0), owner);
	assert_int_equal(poll(&over, 1, 10000), 1);
	(void)close(over.fd);
	(void)close(pipe_fd[0]);
	(void)close(pipe_fd[1]);
	(void)sandbox_sweep(&host);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_parked_one_does_what_a_cold_one_does),
		cmocka_unit_test(what_was_parked_for_one_serves_no_other),
		cmocka_unit_test(one_in_an_image_is_for_that_image_and_place),
		cmocka_unit_test(
		    stock_follows_demand_and_is_given_up_in_the_end),
		cmocka_unit_test(
		    each_call_that_fails_ends_in_a_cold_start_or_an_error),
		cmocka_unit_test(parked_ones_die_with_their_owner),
	};
	const char *program = getenv("PADDOCK");
	struct err e = {};
	int failed;

	/* Only root parks. */
	if (program == NULL || geteuid() != 0)
		return 77;
	binary = open(program, O_PATH | O_CLOEXEC);
	if (binary < 0 || sandbox_host_init(&host, binary, &e) < 0 ||
	    sandbox_host_many(&host, &e) < 0) {
		(void)fprintf(stderr, "%s: %s\n", program, e.text);
		return 1;
	}
	if (mkdtemp(folder_path) == NULL)
		return 1;
	folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder_path);
	return failed;
}
