/* A world whose file fails at its 1st, 2nd, 3rd ... access. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "world/world.h"

static int calls, fail_at, fail_errno; /* fail_at 0: never */

ssize_t __real_pread64(int fd, void *p, size_t n, off_t at);
ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t at);
int __real_fstat64(int fd, struct stat *st);
int __real_ftruncate64(int fd, off_t size);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_ftruncate64(int fd, off_t size);

static bool
fails(void)
{
	if (++calls != fail_at)
		return false;
	errno = fail_errno;
	return true;
}

ssize_t
__wrap_pread64(int fd, void *p, size_t n, off_t at)
{
	return fails() ? -1 : __real_pread64(fd, p, n, at);
}

ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return fails() ? -1 : __real_pwrite64(fd, p, n, at);
}

int
__wrap_fstat64(int fd, struct stat *st)
{
	return fails() ? -1 : __real_fstat64(fd, st);
}

int
__wrap_ftruncate64(int fd, off_t size)
{
	return fails() ? -1 : __real_ftruncate64(fd, size);
}

static const char document[] =
    "{\"world\":1,\"now\":\"2026-03-02T09:00:00Z\",\"tickets\":[{\"id\":"
    "\"T-1\",\"from\":\"a@example.com\",\"status\":\"open\",\"subject\":"
    "\"s\",\"body\":\"b\",\"created_at\":\"2026-03-01T08:00:00Z\"}]}";

static struct world *
open_world(int *out_fd, struct err *e)
{
	*out_fd = memfd_create("world", MFD_CLOEXEC);
	assert_true(*out_fd >= 0);
	return world_new_take(*out_fd, str_of(document), e);
}

static void
a_world_that_cannot_open_says_why_and_leaks_nothing(void **state)
{
	struct world *w = NULL;
	int fd;

	(void)state;
	fail_errno = EIO;
	for (fail_at = 1; fail_at < 1000; fail_at++) {
		struct err e = {};

		calls = 0;
		w = open_world(&fd, &e);
		if (calls < fail_at)
			break;
		/* Some failures are survived: a cache is not emptied. */
		if (w == NULL) {
			assert_true(e.text[0] != '\0');
			assert_int_equal(fcntl(fd, F_GETFD), -1);
		}
		world_free(w);
	}
	fail_at = 0;
	assert_non_null(w);
	assert_true(calls > 5); /* it was really put to the test */
	world_free(w);
}

/* Returns what world_call returned; out holds the answer. */
static int
draft(struct world *w, const char *body, struct buf *out)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	struct err e = {};
	bool wrote = true;
	int r;

	buf_printf(&text, "{\"ticket\":\"T-1\",\"body\":\"%s\"}", body);
	r = world_call(w, STR("ticket.reply_draft"),
	    json_parse(buf_str(&text), NULL, &a, &e, NULL), 0, out, &wrote);
	assert_int_equal(wrote, r == 0);
	(void)buf_c(out);
	return r;
}

static void
a_commit_that_fails_closes_the_world(void **state)
{
	static const struct {
		int number;
		const char *code;
	} rows[] = {
		{ EIO, "\"code\":\"unavailable\"" },
		{ ENOSPC, "\"code\":\"storage_full\"" },
	};

	static const char lost[] =
	    "{\"code\":\"unavailable\",\"error\":\"the service failed in the "
	    "middle of an earlier write\"";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int failures = 0;
		bool done = false;

		for (int at = 1; !done; at++) {
			own_buf struct buf out = {};
			struct err e = {};
			struct world *w;
			int fd;

			fail_at = 0;
			w = open_world(&fd, &e);
			assert_non_null(w);
			/* It is awake, and what it needs is read. */
			assert_int_equal(draft(w, "one", &out), 0);
			fail_errno = rows[i].number;
			calls = 0;
			fail_at = at;
			done = draft(w, "two", &out) == 0;
			fail_at = 0;
			if (done) {
				assert_true(calls < at);
				assert_int_equal(draft(w, "three", &out), 0);
				assert_non_null(
				    strstr(buf_c(&out), "\"DRAFT-3\""));
			} else {
				failures++;
				assert_non_null(
				    strstr(buf_c(&out), rows[i].code));
				assert_int_equal(draft(w, "three", &out), 1);
				assert_non_null(strstr(buf_c(&out), lost));
			}
			world_free(w);
		}
		assert_true(failures > 0);
	}
}

/* What it wrote is there afterwards, and is written once. */
static void
a_world_that_cannot_wake_says_so_and_wakes_later(void **state)
{
	struct err e = {};
	struct world *w;
	bool woke = false;
	int fd;

	(void)state;
	fail_at = 0;
	w = open_world(&fd, &e);
	assert_non_null(w);
	fail_errno = EIO;
	for (int at = 1; !woke; at++) {
		own_buf struct buf out = {};
		own_arena struct arena a = {};
		bool wrote;
		int r;

		world_doze(w);
		assert_false(world_is_awake(w));
		calls = 0;
		fail_at = at;
		r = world_call(w, STR("ticket.list"),
		    json_parse(STR("{}"), NULL, &a, &e, NULL), 0, &out, &wrote);
		woke = calls < at;
		fail_at = 0;
		assert_true(r == 0 || strstr(buf_c(&out), "unavailable"));
		assert_true(at > 1 || r != 0);
	}
	for (int i = 1; i <= 3; i++) {
		own_buf struct buf out = {};
		char id[32];

		world_doze(w);
		assert_int_equal(draft(w, "text", &out), 0);
		(void)snprintf(id, sizeof(id), "\"DRAFT-%d\"", i);
		assert_non_null(strstr(buf_c(&out), id));
	}
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_world_that_cannot_open_says_why_and_leaks_nothing),
		cmocka_unit_test(a_commit_that_fails_closes_the_world),
		cmocka_unit_test(
		    a_world_that_cannot_wake_says_so_and_wakes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
