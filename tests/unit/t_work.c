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
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail_count.h"
#include "init/work.h"
#include "sys/fd.h"

/* What a worker does, here without a sandbox, and with each of its calls
 * failing once. */
WRAP(int, mkdir, (const char *p, mode_t m), (p, m))
WRAP(int, rmdir, (const char *p), (p))
WRAP(int, unlink, (const char *p), (p))
WRAP(int, unlinkat, (int d, const char *p, int f), (d, p, f))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, fstat64, (int fd, struct stat64 *st), (fd, st))
WRAP(int, stat64, (const char *p, struct stat64 *st), (p, st))
WRAP(int, fstatat64, (int d, const char *p, struct stat64 *st, int f),
    (d, p, st, f))
WRAP(int, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pread64, (int fd, void *p, size_t n, off64_t o), (fd, p, n, o))
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(int, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, ms))
WRAP(ssize_t, getrandom, (void *p, size_t n, unsigned f), (p, n, f))
WRAP(ssize_t, readlinkat, (int d, const char *p, char *o, size_t n),
    (d, p, o, n))
WRAP(int, inotify_init1, (int f), (f))
WRAP(int, inotify_add_watch, (int fd, const char *p, uint32_t m), (fd, p, m))

DIR *__wrap_fdopendir(int fd);
DIR *__real_fdopendir(int fd);
DIR *
__wrap_fdopendir(int fd)
{
	return fails_now() ? NULL : __real_fdopendir(fd);
}

struct dirent64 *__wrap_readdir64(DIR *d);
struct dirent64 *__real_readdir64(DIR *d);
struct dirent64 *
__wrap_readdir64(DIR *d)
{
	return fails_now() ? NULL : __real_readdir64(d);
}

int __wrap_open64(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int
__wrap_open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails_now() ? -1 : __real_open64(path, flags, mode);
}

int __wrap_openat64(int dir, const char *path, int flags, ...);
int __real_openat64(int dir, const char *path, int flags, ...);
int
__wrap_openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails_now() ? -1 : __real_openat64(dir, path, flags, mode);
}

static char top[] = "/tmp/paddock-t-work-XXXXXX";

static int
count(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

static void
write_new(const char *path, const char *text)
{
	own_fd int fd =
	    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct err e = {};

	assert_int_equal(fd_write_all(fd, text, strlen(text), &e), 0);
}

/* "t" holds a file, a link and a folder with a file; "f" is a file. */
static void
lay_out(void)
{
	assert_int_equal(system("rm -rf ./* && mkdir -p t/d && echo x >t/a && "
				"ln -s a t/l && echo y >t/d/b"),
	    0);
	write_new("f", "content");
}

static const struct row {
	const char *what;
	int (*run)(const struct work *w, struct err *e);
	struct rpc_request q;
	const char *path, *to;
	bool reads; /* from a pipe that holds "in" */
	int at_least; /* calls that can fail */
} rows[] = {
	{ "get", work_get_file, { .kind = RPC_FILE_GET, .max_bytes = 100 }, "f",
	    NULL, false, 5 },
	{ "put", work_put_file,
	    { .kind = RPC_FILE_PUT,
		.mode = 0644,
		.max_bytes = 100,
		.flags = RPC_PUT_TRUNCATE },
	    "f", NULL, true, 8 },
	{ "put beside", work_put_file,
	    { .kind = RPC_FILE_PUT,
		.mode = 0644,
		.max_bytes = 100,
		.flags = RPC_PUT_ATOMIC },
	    "f", NULL, true, 7 },
	{ "mkdir", work_mkdir, { .mode = 0755, .flags = RPC_PARENTS }, "n/m",
	    NULL, false, 3 },
	{ "rm", work_rm, { .flags = RPC_RECURSIVE }, "t", NULL, false, 12 },
	{ "ls", work_ls, { .flags = RPC_RECURSIVE }, "t", NULL, false, 12 },
	{ "stat", work_stat, { .kind = RPC_FILE_STAT }, "t/l", NULL, false, 3 },
};

static void
each_call_that_fails_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		for (fail_at = 1;; fail_at++) {
			struct work_result result = {};
			struct work w = { .q = &row->q,
				.path = row->path,
				.to = row->to,
				.out = &result };
			struct err e = {};
			int pair[2], before, r;

			lay_out();
			before = count("/proc/self/fd");
			assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
			if (row->reads)
				assert_int_equal(write(pair[1], "in", 2), 2);
			if (row->reads)
				fd_fini(&pair[1]);
			w.fd = row->reads ? pair[0] : pair[1];
			calls = 0;
			counting = true;
			r = row->run(&w, &e);
			counting = false;
			fd_fini(&pair[0]);
			fd_fini(&pair[1]);
			assert_int_equal(count("/proc/self/fd"), before);
			if (r < 0) {
				assert_int_equal(e.sys, EIO);
				assert_true(e.text[0] != '\0');
			}
			/* Nothing half done lies beside: ".", "..", f, t. */
			if (row->run == work_put_file)
				assert_int_equal(count("."), 4);
			if (fail_at > calls) {
				if (r < 0)
					fail_msg("%s: %s", row->what, e.text);
				break;
			}
		}
		if (fail_at <= row->at_least)
			fail_msg("%s has only %d calls", row->what, fail_at);
	}
	(void)alarm(0);
}

static void
an_atomic_put_that_fails_leaves_what_was_there(void **state)
{
	const struct rpc_request q = { .kind = RPC_FILE_PUT,
		.mode = 0644,
		.max_bytes = 100,
		.flags = RPC_PUT_ATOMIC };

	(void)state;
	for (fail_at = 1;; fail_at++) {
		struct work_result result = {};
		struct work w = { .q = &q, .path = "f", .out = &result };
		own_buf struct buf now = {};
		struct err e = {};
		int pair[2], r;

		lay_out();
		assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
		assert_int_equal(write(pair[1], "new", 3), 3);
		fd_fini(&pair[1]);
		w.fd = pair[0];
		calls = 0;
		counting = true;
		r = work_put_file(&w, &e);
		counting = false;
		fd_fini(&pair[0]);
		assert_int_equal(file_read("f", &now, 100, &e), 0);
		assert_string_equal(buf_c(&now), r < 0 ? "content" : "new");
		if (fail_at > calls)
			break;
	}
	(void)alarm(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_that_fails_is_told),
		cmocka_unit_test(
		    an_atomic_put_that_fails_leaves_what_was_there),
	};
	int failed;

	if (mkdtemp(top) == NULL || chdir(top) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (system("rm -rf ./*") != 0 || rmdir(top) < 0)
		return 1;
	return failed;
}
