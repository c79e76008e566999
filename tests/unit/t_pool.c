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

		/* For any folder, and then twice over this one. */
		for (uint64_t hits = pool.hits; pool.hits < hits + 3;) {
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

/*
 * What a run can leave in a network namespace without a right, and without a
 * socket that stays: counters, which tell how much was sent, and IPv6 flow
 * labels, whose 20 bits are the sender's to choose, which no counter shows, and
 * which anybody there can read for a minute after their socket is gone. The
 * next run of the same tenant finds none of it, parked or cold.
 */
static void
what_a_run_leaves_in_its_network_is_not_in_the_next_ones(void **state)
{
	static const char leave[] =
	    "import socket, struct\n"
	    "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
	    "u.bind(('127.0.0.1', 0))\n"
	    "u.sendto(b'x', u.getsockname())\n"
	    "u.recv(1)\n"
	    "if not open('/proc/net/snmp').read().count('Udp: 1 '): exit(3)\n"
	    "try: s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
	    "except OSError: exit(0)\n" /* a machine without IPv6 */
	    "to = socket.inet_pton(socket.AF_INET6, '::1')\n"
	    "s.setsockopt(socket.IPPROTO_IPV6, 32, to + struct.pack('>I',\n"
	    "    0x54321) + struct.pack('<BBHHHI', 0, 3, 1, 60, 60, 0))\n"
	    "s.close()\n"
	    "left = open('/proc/net/ip6_flowlabel').read()\n"
	    "exit(0 if left.count('54321') == 1 else 4)\n";
	static const char look[] =
	    "import os\n"
	    "if not open('/proc/net/snmp').read().count('Udp: 0 '): exit(3)\n"
	    "labels = '/proc/net/ip6_flowlabel'\n"
	    "if os.path.exists(labels):\n"
	    "    exit(open(labels).read().count('54321'))\n";
	static const char *const first[] = { "python3", "-c", leave, NULL };
	static const char *const second[] = { "python3", "-c", look, NULL };
	const struct sandbox_spec leaves = spec_of(first);
	const struct sandbox_spec looks = spec_of(second);

	(void)state;
	pool_init(&pool, &host);
	for (int i = 0; i < 2; i++) {
		uint64_t hits = pool.hits;
		struct sandbox_end end = run(1, &leaves);

		assert_int_equal(end.kind, END_EXIT);
		assert_int_equal(end.code, 0);
		if (i > 0)
			fill();
		end = run(1, &looks);
		assert_int_equal(end.kind, END_EXIT);
		assert_int_equal(end.code, 0);
		assert_int_equal(pool.hits, hits + (uint64_t)i);
	}
	pool_fini(&pool);
}

/* A stock of those that are parked over the folder. */
static void
park_over_folder(const struct sandbox_spec *spec)
{
	pool_init(&pool, &host);
	(void)run(1, spec);
	(void)run(1, spec);
	fill();
	for (size_t i = 0; i < POOL_PARKED_MAX; i++) {
		if (pool.parked[i].shape != NULL &&
		    pool.parked[i].sb.park.placed)
			return;
	}
	fail_msg("none is parked over the folder");
}

static void
one_over_its_folder_sees_what_is_there_when_the_run_comes(void **state)
{
	static const char *const argv[] = { "sh", "-c",
		"test $(cat new) = now && test ! -e old && test ! -r new.key "
		"&& "
		"test -d sub && echo x > new && rm -r sub && echo y > mine",
		NULL };
	struct protect_rule secret = { PROTECT_DENY_READ, "new.key" };
	struct sandbox_spec spec = spec_of(argv);
	uint64_t hits;
	int fd;

	(void)state;
	fd = openat(folder, "old", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	(void)close(fd);
	spec.protect = (struct protect){ &secret, 1, false };
	park_over_folder(&spec);
	assert_int_equal(unlinkat(folder, "old", 0), 0);
	fd = openat(folder, "new.key", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(mkdirat(folder, "sub", 0777), 0);
	fd = openat(folder, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	assert_int_equal(write(fd, "now\n", 4), 4);
	(void)close(fd);
	hits = pool.hits;
	assert_int_equal(run(1, &spec).code, 0);
	assert_int_equal(pool.hits, hits + 1);
	/* And nothing of the first run, nor did anything come out. */
	assert_int_equal(run(1, &spec).code, 0);
	assert_int_equal(pool.hits, hits + 2);
	assert_int_equal(faccessat(folder, "mine", F_OK, 0), -1);
	assert_int_equal(unlinkat(folder, "new", 0), 0);
	assert_int_equal(unlinkat(folder, "new.key", 0), 0);
	assert_int_equal(unlinkat(folder, "sub", AT_REMOVEDIR), 0);
	pool_fini(&pool);
}

static void
one_over_a_folder_serves_no_other_folder_place_or_mode(void **state)
{
	static const char *const argv[] = { "sh", "-c", "test ! -e mark",
		NULL };
	char path[] = "/tmp/paddock-t-pool2-XXXXXX";
	struct sandbox_spec mine = spec_of(argv), other;
	own_fd int second = -1, mark = -1;
	int before;

	(void)state;
	assert_non_null(mkdtemp(path));
	second = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mark = openat(folder, "mark", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(second >= 0 && mark >= 0);
	before = open_fds();
	park_over_folder(&mine);
	other = mine;
	other.workspace_fd = second;
	assert_int_equal(run(1, &other).code, 0);
	assert_int_equal(run(1, &other).code, 0);
	other = mine;
	other.workspace_path = "/elsewhere";
	assert_int_equal(run(1, &other).code, 1);
	assert_int_equal(run(2, &mine).code, 1);
	/* Its upper directory has the mode of before. */
	assert_int_equal(fchmod(folder, 0500), 0);
	for (int i = 0; i < POOL_SHAPE_FIRST + 1; i++)
		assert_int_equal(run(1, &mine).code, 1);
	assert_int_equal(fchmod(folder, 0700), 0);
	for (size_t i = 0; i < POOL_PARKED_MAX; i++)
		assert_true(pool.parked[i].shape == NULL ||
		    !pool.parked[i].sb.park.placed);
	assert_int_equal(unlinkat(folder, "mark", 0), 0);
	/* A folder that is gone gives its stock up. */
	other.workspace_fd = second;
	other.workspace_path = path;
	(void)run(1, &other);
	(void)run(1, &other);
	assert_int_equal(rmdir(path), 0);
	fill();
	for (size_t i = 0; i < POOL_PARKED_MAX; i++)
		assert_true(pool.parked[i].shape == NULL ||
		    pool.parked[i].shape->text == NULL ||
		    strstr(pool.parked[i].shape->text, path) == NULL);
	pool_fini(&pool);
	assert_int_equal(open_fds(), before);
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
	struct sandbox_spec spec = spec_of(argv);
	int64_t again;

	(void)state;
	spec.workspace_fd = -1;
	spec.workspace_path = NULL;
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
fail_each_call(bool over)
{
	static const char *const argv[] = { "/bin/true", NULL };
	const struct sandbox_spec spec = spec_of(argv);
	int before = open_fds();
	unsigned cold = 0;

	for (fail_at = 1;; fail_at++) {
		struct pollfd wait = { .events = POLLIN };
		struct sandbox_end end;
		struct sandbox sb = {};
		struct err e = {};
		uint32_t slot;
		int r;

		pool_init(&pool, &host);
		(void)run(1, &spec);
		if (over)
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
	assert_true(fail_at > (over ? 6 : 20));
	assert_true(cold == 0 || cold < (unsigned)fail_at);
}

static void
each_call_that_fails_ends_in_a_cold_start_or_an_error(void **state)
{
	(void)state;
	fail_each_call(false);
	fail_each_call(true);
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
		cmocka_unit_test(
		    what_a_run_leaves_in_its_network_is_not_in_the_next_ones),
		cmocka_unit_test(
		    one_over_its_folder_sees_what_is_there_when_the_run_comes),
		cmocka_unit_test(
		    one_over_a_folder_serves_no_other_folder_place_or_mode),
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
