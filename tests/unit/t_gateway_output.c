/*
 * Pipes for a run: whichever call fails, it is told and nothing is left open.
 */
#include <dirent.h>
#include <fcntl.h>

#include "gateway/output.h"
#include "gateway_rig.h"

static int calls, fail_at = -1;

int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags);
int __real_fd_nonblock(int fd, struct err *e);
int __wrap_fd_nonblock(int fd, struct err *e);
int __real_loop_add(struct loop *l, struct loop_watch *w, struct err *e);
int __wrap_loop_add(struct loop *l, struct loop_watch *w, struct err *e);

static bool
fails(void)
{
	return calls++ == fail_at;
}

int
__wrap_pipe2(int fds[2], int flags)
{
	if (fails()) {
		errno = EMFILE;
		return -1;
	}
	return __real_pipe2(fds, flags);
}

int
__wrap_fd_nonblock(int fd, struct err *e)
{
	return fails() ? err_set(e, "injected") : __real_fd_nonblock(fd, e);
}

int
__wrap_loop_add(struct loop *l, struct loop_watch *w, struct err *e)
{
	return fails() ? err_set(e, "injected") : __real_loop_add(l, w, e);
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

static void
output_reports_every_failure_and_leaks_no_descriptor(void **state)
{
	struct gateway *g = calloc(1, sizeof(*g));
	struct err e = {};
	int before, fds[OUTPUT_FDS];

	(void)state;
	assert_non_null(g);
	assert_int_equal(
	    gateway_init(g, &http_default_limits, &gateway_default_times, &e),
	    0);
	before = open_fds();
	for (fail_at = 0;; fail_at++) {
		calls = 0;
		e = (struct err){};
		if (output_new(g, fds, &e) != NULL)
			break;
		assert_true(e.text[0] != '\0');
		assert_int_equal(open_fds(), before);
		assert_null(g->outputs);
		assert_int_equal(g->n_unnamed, 0);
	}
	/* Three pipes, and two ends to read from. */
	assert_int_equal(fail_at, 7);
	fail_at = -1;
	for (int i = 0; i < OUTPUT_FDS; i++)
		fd_fini(&fds[i]);
	output_free_all(g);
	assert_int_equal(open_fds(), before);
	gateway_fini(g);
	free(g);
}

static void
one_round(void *arg)
{
	const struct gateway *g = arg;

	loop_stop(g->loop);
}

static void
only_so_many_ended_runs_keep_their_output(void **state)
{
	struct gateway *g = calloc(1, sizeof(*g));
	own_buf struct buf b = {};
	struct err e = {};

	(void)state;
	assert_non_null(g);
	assert_int_equal(
	    gateway_init(g, &http_default_limits, &gateway_default_times, &e),
	    0);
	for (uint64_t i = 1; i <= OUTPUT_KEEP_RUNS + 10; i++) {
		own_buf struct buf payload = {};
		struct msg_reply r = { .call = i, .kind = REPLY_OK };
		int fds[OUTPUT_FDS];
		struct output *o = output_new(g, fds, &e);
		char run[ID_BYTES];

		assert_non_null(o);
		output_set_call(o, i);
		id_text('r', i, run);
		buf_printf(&payload, "{\"run\":\"%s\"}", run);
		output_on_reply(g, &r, buf_str(&payload));
		for (int k = 0; k < OUTPUT_FDS; k++)
			fd_fini(&fds[k]);
		/* Both pipes are at their end: one round closes them. */
		assert_int_equal(loop_run(g->loop, one_round, g, &e), 0);
	}
	assert_int_equal(output_put(g, 1, &b), -1);
	assert_int_equal(output_put(g, OUTPUT_KEEP_RUNS + 10, &b), 0);
	assert_true(str_eq_c(buf_str(&b),
	    "{\"dropped_bytes\":0,\"stderr\":\"\",\"stdout\":\"\"}"));
	gateway_fini(g);
	free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    output_reports_every_failure_and_leaks_no_descriptor),
		cmocka_unit_test(only_so_many_ended_runs_keep_their_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
