/* Memory that is counted where no group of processes counts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init/init.h"
#include "init/watch.h"
#include "sys/fd.h"

/* watch_start, which is not called here, reports through it. */
void
init_report(enum control_kind kind, int value)
{
	(void)kind;
	(void)value;
}

static void
a_process_is_read_from_its_status(void **state)
{
	static const struct {
		const char *why, *text;
		struct watch_status want;
	} rows[] = {
		{ "all that counts",
		    "Name:\tcc1\nState:\tR (running)\nPPid:\t7\nFDSize:\t256\n"
		    "VmRSS:\t 900 kB\nRssAnon:\t     512 kB\nRssFile:\t 3 kB\n"
		    "VmPTE:\t 40 kB\nVmSwap:\t 100 kB\nThreads:\t3\n",
		    { 612 << 10, 40 << 10, 256, 3, 7, 1, 0 } },
		{ "it waits for a child of vfork",
		    "Name:\tx\nState:\tD (disk sleep)\nPPid:\t1\nRssAnon:\t4 "
		    "kB\n"
		    "Threads:\t1\n",
		    { 4 << 10, 0, 0, 1, 1, 1, 1 } },
		{ "its first thread has ended, others have not",
		    "Name:\tx\nState:\tZ (zombie)\nPPid:\t1\nFDSize:\t0\n"
		    "Threads:\t2\n",
		    { 0, 0, 0, 2, 1, 0, 0 } },
		{ "a name that looks like a line (the kernel escapes it)",
		    "Name:\t\\nRssAnon: 9\nPPid:\t1\nThreads:\t1\n",
		    { 0, 0, 0, 1, 1, 0, 0 } },
		{ "nothing", "", {} },
		{ "cut off", "Name:\tx\nRssAnon:", {} },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct watch_status got;

		watch_status_parse(rows[i].text, &got);
		assert_int_equal(got.anon_bytes, rows[i].want.anon_bytes);
		assert_int_equal(got.tables_bytes, rows[i].want.tables_bytes);
		assert_int_equal(got.fds, rows[i].want.fds);
		assert_int_equal(got.threads, rows[i].want.threads);
		assert_int_equal(got.parent, rows[i].want.parent);
		assert_int_equal(got.waits, rows[i].want.waits);
		if (strcmp(rows[i].why, "cut off") != 0)
			assert_int_equal(
			    got.has_memory, rows[i].want.has_memory);
	}
}

static void
what_lies_in_a_socket_is_told_by_the_kernel(void **state)
{
	static char block[16 * 1024];
	own_fd int diag = -1;
	uint64_t before, after, told = 0, more = 0, sent = 0;
	int ends[2];

	(void)state;
	/* Where nobody else's sockets come and go. */
	if (unshare(CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		skip();
	diag = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	assert_true(diag >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	before = watch_sockets(diag, &told);
	if (told == 0)
		skip(); /* this kernel has no unix_diag */
	while (send(ends[0], block, sizeof(block), MSG_DONTWAIT) > 0)
		sent += sizeof(block);
	after = watch_sockets(diag, &more);
	assert_true(sent > 100 * 1024);
	assert_true(after >= before + sent);
	assert_int_equal(more, told);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_read_from_its_status),
		cmocka_unit_test(what_lies_in_a_socket_is_told_by_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
