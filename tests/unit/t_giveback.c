/* The process that gives a folder back, with every call of it failing once:
 * in the supervisor, and in the process itself. */
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
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_calls.h"
#include "fail_files.h"
#include "supervisor/giveback.h"
#include "sys/fd.h"

WRAP(pid_t, fork, (void), ())
WRAP(int, setgroups, (size_t n, const gid_t *g), (n, g))
WRAP(ssize_t, send, (int fd, const void *p, size_t n, int f), (fd, p, n, f))
WRAP(ssize_t, recv, (int fd, void *p, size_t n, int f), (fd, p, n, f))

/* Taking out a descriptor that is in cannot fail: sys/loop.c relies on it. */
int __wrap_epoll_ctl(int set, int what, int fd, struct epoll_event *v);
int __real_epoll_ctl(int set, int what, int fd, struct epoll_event *v);
int
__wrap_epoll_ctl(int set, int what, int fd, struct epoll_event *v)
{
	return what != EPOLL_CTL_DEL && fails_now()
	    ? -1
	    : __real_epoll_ctl(set, what, fd, v);
}

/* The libraries call it as fcntl64, with one argument here. */
int __wrap_fcntl64(int fd, int what, ...);
int __real_fcntl64(int fd, int what, ...);
int
__wrap_fcntl64(int fd, int what, ...)
{
	long arg;
	va_list ap;

	va_start(ap, what);
	arg = va_arg(ap, long);
	va_end(ap);
	return fails_now() ? -1 : __real_fcntl64(fd, what, arg);
}

/* The other process has a counter of its own, and leaves it here. */
static int *calls_there;

_Noreturn void __wrap__exit(int status);
_Noreturn void __real__exit(int status);
void
__wrap__exit(int status)
{
	*calls_there = calls;
	__real__exit(status);
}

static char top[] = "/var/tmp/paddock-t-giveback-XXXXXX";
static struct loop *loop;
static unsigned told, planted_told, ended;
static char why_ended[256];

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
put(const char *name, const char *text)
{
	char path[256];
	own_fd int fd = -1;
	struct err e;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	if (text == NULL) {
		assert_int_equal(mkdir(path, 0755), 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text), &e), 0);
}

static int
at(const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static bool
is_there(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	return __real_access(path, F_OK) == 0;
}

static void
on_told(struct giveback *w, enum commit_why why, const char *path)
{
	(void)w;
	assert_int_equal(why, COMMIT_PROTECTED);
	assert_string_equal(path, ".mcp.json");
	told++;
}

static void
on_planted(struct giveback *w, const char *path)
{
	(void)w;
	assert_true(path[0] == '/');
	planted_told++;
}

static void
on_end(struct giveback *w, const char *why)
{
	assert_int_equal(w->pid, 0);
	(void)snprintf(why_ended, sizeof(why_ended), "%s", why ? why : "");
	ended++;
	loop_stop(loop);
}

/* A file to write back, one that is not, and one that was planted. */
static int
make_all(void **state)
{
	struct err e;

	(void)state;
	calls_there = mmap(NULL, sizeof(*calls_there), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (calls_there == MAP_FAILED || mkdtemp(top) == NULL)
		return -1;
	put("upper", NULL);
	put("upper/new", "new\n");
	put("upper/.mcp.json", "evil\n");
	put("work", NULL);
	put("rw", NULL);
	put("rw/file", "mine\n");
	loop = loop_new(&e);
	return loop != NULL ? 0 : -1;
}

static int
remove_all(void **state)
{
	char command[128];

	(void)state;
	loop_free(loop);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command); /* NOLINT(cert-env33-c): a path of ours */
}

static void
no_call_that_fails_is_taken_for_an_end(void **state)
{
	own_fd int upper = at("upper"), work = at("work"), rw = at("rw");
	const struct sandbox_mount m = { rw, "/m", SANDBOX_RW, false };
	const struct sandbox_spec spec = { .mounts = &m, .n_mounts = 1 };
	const struct protect protect = {};
	struct planted planted;
	int here = 0, there = 0;
	struct err e = {};
	int before;

	(void)state;
	assert_int_equal(planted_begin(&planted, &spec, &e), 0);
	put("rw/.bashrc", "evil\n");
	before = open_fds();
	for (fail_at = 1;; fail_at++) {
		struct giveback w = {
			.loop = loop,
			.on_told = on_told,
			.on_planted = on_planted,
			.on_end = on_end,
		};
		int r;

		told = planted_told = ended = 0;
		calls = *calls_there = 0;
		counting = true;
		r = giveback_start(&w, upper, work, &protect, &planted, &e);
		if (r == 0)
			assert_int_equal(loop_run(loop, NULL, NULL, &e), 0);
		counting = false;
		/* Nothing is left: descriptors, processes, halves of files. */
		assert_int_equal(open_fds(), before);
		assert_int_equal(waitpid(-1, NULL, 0), -1);
		assert_int_equal(errno, ECHILD);
		assert_false(is_there("work/.paddock-write-back"));
		assert_false(is_there("work/.mcp.json"));
		if (r < 0) {
			assert_int_equal(e.sys, EIO);
			assert_int_equal(ended, 0);
			continue;
		}
		assert_int_equal(ended, 1);
		here = calls;
		there = *calls_there;
		if (why_ended[0] != '\0')
			continue;
		/* An end without a reason is one of which all is known. */
		assert_true(planted_told >= 1);
		assert_int_equal(told, 1);
		assert_true(is_there("work/new"));
		if (fail_at > here && fail_at > there)
			break;
	}
	assert_int_equal(planted_told, 1);
	assert_true(here >= 5); /* socketpair, epoll_ctl, fork, recv ... */
	assert_true(there > 40);
	planted_fini(&planted);
}

/* As when the supervisor ends: it waits, and nobody is told. */
static void
one_that_is_given_up_ends_without_a_listener(void **state)
{
	own_fd int upper = at("upper"), work = at("work");
	const struct protect protect = {};
	const struct planted none = {};
	const int before = open_fds();
	struct giveback w = {
		.loop = loop,
		.on_told = on_told,
		.on_planted = on_planted,
		.on_end = on_end,
	};
	struct err e = {};

	(void)state;
	told = ended = 0;
	assert_int_equal(unlinkat(work, "new", 0), 0);
	assert_int_equal(
	    giveback_start(&w, upper, work, &protect, &none, &e), 0);
	giveback_fini(&w);
	assert_int_equal(w.pid, 0);
	assert_int_equal(told + ended, 0);
	assert_true(is_there("work/new"));
	assert_int_equal(open_fds(), before);
	giveback_fini(&w); /* once more is nothing */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_that_fails_is_taken_for_an_end),
		cmocka_unit_test(one_that_is_given_up_ends_without_a_listener),
	};

	return cmocka_run_group_tests(tests, make_all, remove_all);
}
