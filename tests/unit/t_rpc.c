/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <sys/ioctl.h>

#include "rpc_rig.h"

enum { MANY = 200, SEEDS = 300 };

static struct rpc_request
exec_of(unsigned argc)
{
	return (struct rpc_request){
		.kind = RPC_EXEC,
		.flags = RPC_EXEC_PIPES,
		.argc = argc,
	};
}

static void
streams_and_ends_are_the_command_s(void **state)
{
	static const struct {
		const char *line, *in, *out, *err;
		int status;
	} rows[] = {
		{ "exit 0", "", "", "", 0 },
		{ "exit 7", "", "", "", 7 << 8 },
		{ "kill -9 $$", "", "", "", 9 },
		{ "cat; echo two >&2", "one", "one", "two\n", 0 },
		/* Pipes made inside belong to who is inside. */
		{ "echo a >/dev/stdout; echo b >/dev/stderr", "", "a\n", "b\n",
		    0 },
	};

	(void)state;
	box_open();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const argv[] = { "sh", "-c", rows[i].line, NULL };
		own_buf struct buf out = {}, err = {};
		struct err e = {};
		struct rpc_reply end;
		int fds[RPC_MAX_FDS];
		uint64_t id = exec_piped(argv, fds);

		assert_int_equal(
		    fd_write_all(fds[0], rows[i].in, strlen(rows[i].in), &e),
		    0);
		fd_fini(&fds[0]);
		read_end(fds[1], &out);
		read_end(fds[2], &err);
		assert_string_equal(buf_c(&out), rows[i].out);
		assert_string_equal(buf_c(&err), rows[i].err);
		end = hear(id, RPC_EXITED, NULL);
		assert_int_equal(end.status, rows[i].status);
		assert_true(end.memory_max_bytes > 100 * 1024);
		fd_fini(&fds[1]);
		fd_fini(&fds[2]);
	}
	box_close();
}

static void
descriptors_given_are_the_streams(void **state)
{
	const char *const strings[] = { "", "sh", "-c", "cat; echo x >&2" };
	struct rpc_request q = { .kind = RPC_EXEC, .argc = 3 };
	own_buf struct buf out = {};
	int in[2], both[2], fds[3];
	struct err e = {};
	uint64_t id;

	(void)state;
	box_open();
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
	fds[0] = in[0];
	fds[1] = both[1];
	fds[2] = both[1];
	id = ask_with(q, strings, 4, fds, 3);
	fd_fini(&in[0]);
	fd_fini(&both[1]);
	(void)hear(id, RPC_STARTED, NULL);
	assert_int_equal(fd_write_all(in[1], "hello ", 6, &e), 0);
	fd_fini(&in[1]);
	read_end(both[0], &out);
	assert_string_equal(buf_c(&out), "hello x\n");
	fd_fini(&both[0]);
	assert_int_equal(hear(id, RPC_EXITED, NULL).status, 0);
	box_close();
}

static void
two_hundred_commands_run_at_once(void **state)
{
	static uint64_t ids[MANY];
	static int ins[MANY];
	const char *const strings[] = { "", "cat" };

	(void)state;
	box_open();
	for (int i = 0; i < MANY; i++)
		ids[i] = ask_with(exec_of(1), strings, 2, NULL, 0);
	for (int i = 0; i < MANY; i++) {
		int fds[RPC_MAX_FDS];

		(void)hear(ids[i], RPC_STARTED, fds);
		ins[i] = fds[0];
		(void)close(fds[1]);
		(void)close(fds[2]);
	}
	/* None has ended: each waits for its input. */
	for (int i = 0; i < MANY; i++)
		fd_fini(&ins[i]);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(hear(ids[i], RPC_EXITED, NULL).status, 0);
	box_close();
}

static void
one_too_many_is_refused_and_the_rest_goes_on(void **state)
{
	const char *const strings[] = { "", "cat" };
	static uint64_t ids[RPC_MAX_EXECS + 1];
	static int ins[RPC_MAX_EXECS + 1];
	own_buf struct buf out = {};
	struct rpc_reply r;

	(void)state;
	box_open();
	/* The place of the sandbox's own command is free here. */
	for (int i = 0; i < RPC_MAX_EXECS + 1; i++) {
		int fds[RPC_MAX_FDS];

		ids[i] = ask_with(exec_of(1), strings, 2, NULL, 0);
		(void)hear(ids[i], RPC_STARTED, fds);
		ins[i] = fds[0]; /* an end that is held keeps the command */
		(void)close(fds[1]);
		(void)close(fds[2]);
	}
	r = hear(ask_with(exec_of(1), strings, 2, NULL, 0), RPC_FAILED, NULL);
	assert_int_equal(r.error, EAGAIN);
	for (int i = 0; i < RPC_MAX_EXECS + 1; i++)
		fd_fini(&ins[i]);
	for (int i = 0; i < RPC_MAX_EXECS + 1; i++)
		(void)hear(ids[i], RPC_EXITED, NULL);
	assert_int_equal(shell("echo ok", &out), 0);
	assert_string_equal(buf_c(&out), "ok\n");
	box_close();
}

static void
a_terminal_has_its_size_and_can_be_resized(void **state)
{
	const char *const strings[] = { "", "sh", "-c",
		("stty size; trap 'stty size; exit 3' WINCH; echo ready; "
		 "while :; do sleep 0.05; done") };
	struct rpc_request q = { .kind = RPC_EXEC,
		.flags = RPC_EXEC_TTY,
		.argc = 3,
		.rows = 33,
		.cols = 99 };
	own_buf struct buf out = {};
	int fds[RPC_MAX_FDS];
	uint64_t id;

	(void)state;
	box_open();
	id = ask_with(q, strings, 4, NULL, 0);
	(void)hear(id, RPC_STARTED, fds);
	assert_int_equal(fds[1], -1);
	read_until(fds[0], &out, "ready");
	assert_non_null(strstr(buf_c(&out), "33 99"));
	q = (struct rpc_request){
		.kind = RPC_WINSIZE, .target = id, .rows = 10, .cols = 20
	};
	assert_int_equal(doing(q, NULL, NULL).error, 0);
	read_until(fds[0], &out, "10 20");
	assert_int_equal(hear(id, RPC_EXITED, NULL).status, 3 << 8);
	/* With the command its terminal is gone, and so is its id. */
	assert_int_equal(doing(q, NULL, NULL).error, ESRCH);
	fd_fini(&fds[0]);
	box_close();
}

static void
a_key_in_the_terminal_interrupts(void **state)
{
	const char *const strings[] = { "", "sh", "-c",
		"trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done" };
	struct rpc_request q = {
		.kind = RPC_EXEC, .flags = RPC_EXEC_TTY, .argc = 3
	};
	own_buf struct buf out = {};
	int fds[RPC_MAX_FDS];
	uint64_t id;

	(void)state;
	box_open();
	id = ask_with(q, strings, 4, NULL, 0);
	(void)hear(id, RPC_STARTED, fds);
	read_until(fds[0], &out, "ready");
	assert_int_equal(write(fds[0], "\3", 1), 1);
	assert_int_equal(hear(id, RPC_EXITED, NULL).status, 9 << 8);
	fd_fini(&fds[0]);
	box_close();
}

static void
a_signal_reaches_the_whole_group(void **state)
{
	static const char *const argv[] = { "sh", "-c",
		"sleep 1000 & echo ready; wait", NULL };
	struct rpc_request q = { .kind = RPC_SIGNAL, .signo = SIGTERM };
	own_buf struct buf out = {};
	int fds[RPC_MAX_FDS];

	(void)state;
	box_open();
	q.target = exec_piped(argv, fds);
	read_until(fds[1], &out, "ready");
	assert_int_equal(doing(q, NULL, NULL).error, 0);
	assert_int_equal(hear(q.target, RPC_EXITED, NULL).status, SIGTERM);
	read_end(fds[1], &out); /* sleep has gone too, or this never ends */
	assert_int_equal(doing(q, NULL, NULL).error, ESRCH);
	for (int i = 0; i < 3; i++)
		fd_fini(&fds[i]);
	box_close();
}

static void
a_background_process_survives_and_can_be_signalled_by_a_later_command(
    void **state)
{
	own_buf struct buf out = {};

	(void)state;
	box_open();
	assert_int_equal(
	    shell("sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/pid", &out), 0);
	assert_int_equal(
	    shell("kill -0 $(cat /tmp/pid) && kill $(cat /tmp/pid) && "
		  "while kill -0 $(cat /tmp/pid) 2>/dev/null; do :; done; "
		  "echo gone",
		&out),
	    0);
	assert_string_equal(buf_c(&out), "gone\n");
	box_close();
}

static void
orphans_are_reaped_and_pid_1_is_out_of_reach(void **state)
{
	own_buf struct buf out = {};

	(void)state;
	box_open();
	for (int i = 0; i < 20; i++)
		assert_int_equal(
		    shell("(true &) ; (sh -c 'true &' &)", &out), 0);
	/* A zombie has no executable; this shell and PID 1 are all there is. */
	assert_int_equal(
	    shell("while grep -l '^State:.Z' /proc/[0-9]*/status; do "
		  "sleep 0.02; done >/dev/null 2>&1; echo none; "
		  "kill -9 1 2>&1; kill -TERM 1 2>&1; "
		  "cat /proc/1/environ 2>&1",
		&out),
	    1 << 8);
	assert_non_null(strstr(buf_c(&out), "none\n"));
	assert_null(strstr(buf_c(&out), "PATH="));
	if ((box.posture & WALL_LANDLOCK_SCOPE) != 0)
		assert_non_null(strstr(buf_c(&out), "not permitted"));
	assert_true(box_is_alive());
	box_close();
}

static void
what_cannot_start_says_why(void **state)
{
	static const struct {
		const char *cwd, *name;
		unsigned error;
		const char *text;
	} rows[] = {
		{ "", "no-such-program", ENOENT, "no-such-program" },
		{ "", "/no/such/program", ENOENT, "/no/such/program" },
		{ "", "/usr", EACCES, "/usr" },
		{ "", "", ENOENT, "execute" },
		{ "", "./data", ENOEXEC, "data" },
		{ "/no/such/folder", "true", ENOENT, "chdir /no/such" },
		{ "", "a\nb\033", ENOENT, "a?b?" },
	};
	own_buf struct buf out = {};

	(void)state;
	box_open();
	assert_int_equal(shell("echo x >data; chmod +x data", &out), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const strings[] = { rows[i].cwd, rows[i].name };
		struct rpc_reply r =
		    hear(ask_with(exec_of(1), strings, 2, NULL, 0), RPC_FAILED,
			NULL);

		assert_int_equal(r.error, rows[i].error);
		if (strstr(r.text, rows[i].text) == NULL)
			fail_msg("%s", r.text);
	}
	box_close();
}

static void
folder_and_environment_are_as_asked(void **state)
{
	const char *const strings[] = { "/tmp", "sh", "-c",
		"pwd; echo $BASE $OVER $NEW $PATH", "OVER=new", "NEW=1" };
	struct rpc_request q = exec_of(3);
	own_buf struct buf out = {}, bare = {};
	const char *const wrong[] = { "", "true", "NOVALUE" };
	int fds[RPC_MAX_FDS];
	struct rpc_reply r;

	(void)state;
	box_open();
	q.envc = 2;
	(void)hear(ask_with(q, strings, 6, NULL, 0), RPC_STARTED, fds);
	read_end(fds[1], &out);
	assert_string_equal(buf_c(&out), "/tmp\nyes new 1 /usr/bin:/bin\n");
	for (int i = 0; i < 3; i++)
		fd_fini(&fds[i]);

	q.flags |= RPC_EXEC_BARE_ENV;
	(void)hear(ask_with(q, strings, 6, NULL, 0), RPC_STARTED, fds);
	read_end(fds[1], &bare);
	assert_non_null(strstr(buf_c(&bare), "/tmp\nnew 1 "));
	assert_null(strstr(buf_c(&bare), "yes"));
	for (int i = 0; i < 3; i++)
		fd_fini(&fds[i]);

	q = exec_of(1);
	q.envc = 1;
	r = hear(ask_with(q, wrong, 3, NULL, 0), RPC_FAILED, NULL);
	assert_int_equal(r.error, EINVAL);
	box_close();
}

static void
arguments_over_the_limit_are_refused_before_they_are_sent(void **state)
{
	static char huge[RPC_MAX_PAYLOAD_BYTES];
	const char *const strings[] = { "", "true", huge };
	struct rpc_request q = exec_of(2);
	own_buf struct buf out = {};
	struct err e = {};

	(void)state;
	box_open();
	memset(huge, 'x', sizeof(huge) - 1);
	assert_int_equal(rpc_send(box.rpc, &q, strings, 3, NULL, 0, &e), -1);
	assert_int_equal(e.sys, E2BIG);
	/* The largest that fits is run: "", "true" and this. */
	huge[sizeof(huge) - 1 - 6] = '\0';
	assert_int_equal(hear(ask_with(exec_of(2), strings, 3, NULL, 0),
			     RPC_STARTED, (int[RPC_MAX_FDS]){})
			     .kind,
	    RPC_STARTED);
	assert_int_equal(shell("echo ok", &out), 0);
	box_close();
}

/* Descriptors of PID 1 as the host sees them. */
static int
pid_1_fds(void)
{
	char path[64];
	int n = 0;

	/* Its directory is closed to all but root: it is not dumpable. */
	for (int fd = 0; fd < 1024; fd++) {
		char target[16];

		(void)snprintf(
		    path, sizeof(path), "/proc/%d/fd/%d", (int)box.pid, fd);
		n += readlink(path, target, sizeof(target)) >= 0;
	}
	return n;
}

static void
no_descriptor_stays_behind(void **state)
{
	const char *const missing[] = { "", "no-such-program" };
	const char *const one[] = { "", "true" };
	struct rpc_request tty = {
		.kind = RPC_EXEC, .flags = RPC_EXEC_TTY, .argc = 1
	};
	struct rpc_request given = { .kind = RPC_EXEC, .argc = 1 };
	own_buf struct buf out = {};
	int before, fds[RPC_MAX_FDS], streams[3];

	(void)state;
	if (!host.root)
		skip();
	box_open();
	assert_int_equal(shell("echo first", &out), 0);
	before = pid_1_fds();
	assert_true(before >= 5);
	for (int i = 0; i < 20; i++) {
		uint64_t id;

		assert_int_equal(shell("true", &out), 0);
		(void)hear(ask_with(exec_of(1), missing, 2, NULL, 0),
		    RPC_FAILED, NULL);
		(void)hear(
		    ask_with(tty, missing, 2, NULL, 0), RPC_FAILED, NULL);
		id = ask_with(tty, one, 2, NULL, 0);
		(void)hear(id, RPC_STARTED, fds);
		(void)hear(id, RPC_EXITED, NULL);
		fd_fini(&fds[0]);
		for (int k = 0; k < 3; k++)
			streams[k] = open("/dev/null", O_RDWR | O_CLOEXEC);
		id = ask_with(given, one, 2, streams, 3);
		(void)hear(id, RPC_EXITED, NULL);
		id = ask_with(given, missing, 2, streams, 3);
		(void)hear(id, RPC_FAILED, NULL);
		for (int k = 0; k < 3; k++)
			fd_fini(&streams[k]);
		(void)fetch(
		    (struct rpc_request){ .kind = RPC_PROCESSES }, NULL, &out);
		(void)doing((struct rpc_request){ .kind = RPC_PORT, .port = 9 },
		    NULL, NULL);
	}
	assert_int_equal(pid_1_fds(), before);
	box_close();
}

/* Each on a sandbox of its own socket: after it the socket is closed, and
 * PID 1 is as well as before. */
static void
a_frame_against_the_rules_closes_the_socket_only(void **state)
{
	static const char huge[RPC_MAX_PAYLOAD_BYTES + 1];
	const struct rpc_request ok = exec_of(1);
	const struct {
		const char *why;
		struct rpc_request q;
		const char *bytes;
		size_t n;
		int fd; /* of a directory: -2; of a pipe: -3 */
	} rows[] = {
		{ "kind 0", { .kind = 0 }, "", 0, -1 },
		{ "unknown kind", { .kind = RPC_KINDS }, "", 0, -1 },
		{ "unknown flag", { .kind = RPC_PORT, .port = 1, .flags = 1 },
		    "", 0, -1 },
		{ "no NUL", ok, "\0true", 5, -1 },
		{ "too few strings", ok, "\0", 1, -1 },
		{ "too many strings", ok, "\0true\0x", 8, -1 },
		{ "no argument", { .kind = RPC_EXEC, .flags = RPC_EXEC_PIPES },
		    "\0", 1, -1 },
		{ "counts that wrap around",
		    { .kind = RPC_EXEC,
			.flags = RPC_EXEC_PIPES,
			.argc = 2,
			.envc = UINT32_MAX },
		    "\0true", 6, -1 },
		{ "no descriptors", { .kind = RPC_EXEC, .argc = 1 }, "\0true",
		    6, -1 },
		{ "a descriptor too many", ok, "\0true", 6, -3 },
		{ "a directory to list into", { .kind = RPC_FILE_LS }, "/", 2,
		    -2 },
		{ "a terminal and pipes",
		    { .kind = RPC_EXEC,
			.argc = 1,
			.flags = RPC_EXEC_PIPES | RPC_EXEC_TTY },
		    "\0true", 6, -1 },
		{ "set-user-id bits", { .kind = RPC_FILE_MKDIR, .mode = 04755 },
		    "x", 2, -1 },
		{ "a signal that is none",
		    { .kind = RPC_SIGNAL, .signo = 1000 }, "", 0, -1 },
		{ "port 0", { .kind = RPC_PORT }, "", 0, -1 },
		{ "a frame over the limit", ok, huge, sizeof(huge), -1 },
		{ "a field that is not used",
		    { .kind = RPC_PORT, .port = 1, .offset = 1 }, "", 0, -1 },
	};
	struct sandbox_spec spec = { .stdio = { -1, -1, -1 },
		.workspace_fd = -1 };
	own_buf struct buf out = {};
	static const char *const argv[] = { "sh", "-c",
		"echo ready; read line; echo $line; exit 5", NULL };
	int fds[RPC_MAX_FDS];

	(void)state;
	box_open_spec(&spec);
	(void)exec_piped(argv, fds);
	read_until(fds[1], &out, "ready");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pollfd wait = { .fd = box.rpc, .events = POLLIN };
		union {
			struct cmsghdr head;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control = {};
		struct rpc_request q = rows[i].q;
		struct iovec parts[2] = {
			{ &q, sizeof(q) },
			{ (void *)(uintptr_t)rows[i].bytes, rows[i].n },
		};
		struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
		own_fd int dir = open("/", O_RDONLY | O_CLOEXEC);
		struct rpc_reply r;
		int none[RPC_MAX_FDS];
		struct err e = {};

		if (rows[i].fd != -1) {
			int fd = rows[i].fd == -2 ? dir : fds[1];

			m.msg_control = control.bytes;
			m.msg_controllen = sizeof(control.bytes);
			control.head.cmsg_level = SOL_SOCKET;
			control.head.cmsg_type = SCM_RIGHTS;
			control.head.cmsg_len = CMSG_LEN(sizeof(fd));
			memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		}
		assert_true(sendmsg(box.rpc, &m, MSG_NOSIGNAL) > 0);
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		if (rpc_receive(box.rpc, &r, none, &e) != -1)
			fail_msg("%s was answered", rows[i].why);
		assert_true(box_is_alive());
		/* The next gateway gets a socket of its own. */
		assert_int_equal(sandbox_rpc_renew(&box, &e), 0);
	}
	/* A command that was there before is there still. */
	assert_int_equal(write(fds[0], "still\n", 6), 6);
	read_until(fds[1], &out, "still");
	for (int i = 0; i < 3; i++)
		fd_fini(&fds[i]);
	buf_reset(&out);
	assert_int_equal(shell("echo ok", &out), 0);
	assert_string_equal(buf_c(&out), "ok\n");
	box_close();
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u; /* Numerical Recipes */
	return *seed >> 8;
}

static void
random_frames_never_end_pid_1(void **state)
{
	static unsigned char frame[4096];
	own_buf struct buf out = {};
	struct err e = {};

	(void)state;
	box_open();
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		const struct rpc_request ping = { .kind = RPC_SIGNAL,
			.signo = 1 };
		struct pollfd wait = { .fd = box.rpc, .events = POLLIN };
		uint32_t s = seed;
		size_t n = next_random(&s) % sizeof(frame);

		for (size_t i = 0; i < n; i++)
			frame[i] = (unsigned char)next_random(&s);
		/* Half of them look like a request at first. */
		if (seed % 2 == 0 && n >= sizeof(struct rpc_request)) {
			struct rpc_request q = {
				.id = seed,
				.kind = next_random(&s) % (RPC_KINDS + 1),
				.flags = 1u << next_random(&s) % 12,
				.argc = next_random(&s) % 4,
				.mode = next_random(&s) % 01000,
				.port = (uint16_t)(next_random(&s) % 3),
			};

			memcpy(frame, &q, sizeof(q));
		}
		assert_true(send(box.rpc, frame, n, MSG_NOSIGNAL) >= 0);
		/* Answered, this one or the one before, or closed. */
		(void)rpc_send(box.rpc, &ping, NULL, 0, NULL, 0, &e);
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		assert_int_equal(sandbox_rpc_renew(&box, &e), 0);
	}
	assert_true(box_is_alive());
	assert_int_equal(shell("echo ok", &out), 0);
	assert_string_equal(buf_c(&out), "ok\n");
	box_close();
}

static void
a_caller_that_does_not_read_costs_nothing_but_its_answers(void **state)
{
	const struct rpc_request q = {
		.kind = RPC_SIGNAL, .target = 77, .signo = 1
	};
	own_buf struct buf out = {};
	struct err e = {};
	unsigned sent = 0, got = 0;

	(void)state;
	box_open();
	/* Until neither direction takes any more. */
	for (int idle = 0; idle < 20;) {
		struct pollfd wait = { .fd = box.rpc, .events = POLLOUT };

		if (rpc_send(box.rpc, &q, NULL, 0, NULL, 0, &e) == 0) {
			sent++;
			idle = 0;
		} else {
			assert_int_equal(e.sys, EAGAIN);
			idle += poll(&wait, 1, 10) == 0;
		}
	}
	assert_true(box_is_alive());
	while (got < sent) {
		struct pollfd wait = { .fd = box.rpc, .events = POLLIN };
		int fds[RPC_MAX_FDS];
		struct rpc_reply r;

		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		if (rpc_receive(box.rpc, &r, fds, &e) == 1) {
			assert_int_equal(r.error, ESRCH);
			got++;
		}
	}
	assert_int_equal(shell("echo ok", &out), 0);
	box_close();
}

static void
the_sandbox_s_own_command_ends_it_unless_kept(void **state)
{
	static const char *const argv[] = { "sh", "-c", "exit 4", NULL };
	struct sandbox_spec spec = {
		.argv = argv, .stdio = { -1, -1, -1 }, .workspace_fd = -1
	};
	struct control_report report = {};
	struct pollfd wait = { .events = POLLIN };
	own_buf struct buf out = {};
	struct sandbox_end end;
	struct err e = {};

	(void)state;
	box_open_spec(&spec);
	wait.fd = box.pidfd;
	assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
	assert_int_equal(sandbox_reap(&box, &end, &e), 0);
	assert_int_equal(end.kind, END_EXIT);
	assert_int_equal(end.code, 4);
	box_close();

	spec.keep = true;
	box_open_spec(&spec);
	wait.fd = box.control;
	assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
	assert_int_equal(
	    recv(box.control, &report, sizeof(report), 0), sizeof(report));
	assert_int_equal(report.kind, CONTROL_ENDED);
	assert_int_equal(report.value, 4 << 8);
	assert_int_equal(shell("echo ok", &out), 0);
	/* The end of the caller is the end of it. */
	fd_fini(&box.control);
	wait.fd = box.pidfd;
	assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
	assert_int_equal(sandbox_reap(&box, &end, &e), 0);
	assert_int_equal(end.kind, END_EXIT);
	assert_int_equal(end.code, 0);
	box_close();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_and_ends_are_the_command_s),
		cmocka_unit_test(descriptors_given_are_the_streams),
		cmocka_unit_test(two_hundred_commands_run_at_once),
		cmocka_unit_test(one_too_many_is_refused_and_the_rest_goes_on),
		cmocka_unit_test(a_terminal_has_its_size_and_can_be_resized),
		cmocka_unit_test(a_key_in_the_terminal_interrupts),
		cmocka_unit_test(a_signal_reaches_the_whole_group),
		cmocka_unit_test(
		    a_background_process_survives_and_can_be_signalled_by_a_later_command),
		cmocka_unit_test(orphans_are_reaped_and_pid_1_is_out_of_reach),
		cmocka_unit_test(what_cannot_start_says_why),
		cmocka_unit_test(folder_and_environment_are_as_asked),
		cmocka_unit_test(
		    arguments_over_the_limit_are_refused_before_they_are_sent),
		cmocka_unit_test(no_descriptor_stays_behind),
		cmocka_unit_test(
		    a_frame_against_the_rules_closes_the_socket_only),
		cmocka_unit_test(random_frames_never_end_pid_1),
		cmocka_unit_test(
		    a_caller_that_does_not_read_costs_nothing_but_its_answers),
		cmocka_unit_test(the_sandbox_s_own_command_ends_it_unless_kept),
	};
	int status = rig_open(argc, argv);

	if (status >= 0)
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
