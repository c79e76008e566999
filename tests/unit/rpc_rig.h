/*
 * tests/unit/rpc_rig.h: a real sandbox, and the outer end of its rpc socket.
 *
 * Included once by each of the programs that drive it. Every wait has a limit.
 */
#ifndef TESTS_RPC_RIG_H
#define TESTS_RPC_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "sandbox/control.h"
#include "sandbox/rpc_client.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"

enum {
	WAIT_MS = 20 * 1000,
	KEPT_MAX = 1024, /* replies that came before they were asked for */
	NOBODY = 65534,
};

static struct sandbox_host host;
static struct sandbox box;
static uint64_t last_id;
static struct kept {
	struct rpc_reply r;
	int fds[RPC_MAX_FDS];
	bool used;
} kept[KEPT_MAX];
static const char *const box_env[] = { "PATH=/usr/bin:/bin", "BASE=yes",
	"OVER=old", NULL };

static void
box_open_spec(struct sandbox_spec *spec)
{
	struct err e = {};

	spec->envp = box_env;
	spec->rpc = true;
	if (sandbox_start(&host, spec, &box, &e) < 0)
		fail_msg("%s", e.text);
}

/* A sandbox without a command, with an empty work folder. */
static void
box_open(void)
{
	struct sandbox_spec spec = {
		.stdio = { -1, -1, -1 },
		.workspace_fd = -1,
		.limits = { .memory_bytes = 512 << 20,
		    .disk_bytes = 16 << 20,
		    .inodes = 4000,
		    .pids_max = 1024,
		    .nofile = 1024 },
	};

	box_open_spec(&spec);
}

static void
box_close(void)
{
	sandbox_fini(&box);
	for (int i = 0; i < KEPT_MAX; i++) {
		for (int k = 0; kept[i].used && k < RPC_MAX_FDS; k++)
			fd_fini(&kept[i].fds[k]);
		kept[i].used = false;
	}
}

/* PID 1 is there and answers. */
__attribute__((unused)) static bool
box_is_alive(void)
{
	struct pollfd wait = { .fd = box.pidfd, .events = POLLIN };

	return poll(&wait, 1, 0) == 0;
}

static uint64_t
ask_with(struct rpc_request q, const char *const *strings, unsigned n,
    const int *fds, unsigned n_fds)
{
	struct pollfd wait = { .fd = box.rpc, .events = POLLOUT };
	struct err e = {};

	q.id = ++last_id;
	while (rpc_send(box.rpc, &q, strings, n, fds, n_fds, &e) < 0) {
		if (e.sys != EAGAIN)
			fail_msg("%s", e.text);
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
	}
	return q.id;
}

/* The reply of this kind to this request; fds may be NULL: none is expected. */
static struct rpc_reply
hear(uint64_t id, enum rpc_reply_kind kind, int fds[RPC_MAX_FDS])
{
	int got_fds[RPC_MAX_FDS];
	struct pollfd wait = { .fd = box.rpc, .events = POLLIN };
	struct err e = {};

	for (;;) {
		struct rpc_reply got;
		int r, free_at = -1;

		for (int i = 0; i < KEPT_MAX; i++) {
			struct kept *k = &kept[i];

			if (!k->used || k->r.id != id || k->r.kind != kind)
				continue;
			k->used = false;
			for (int f = 0; f < RPC_MAX_FDS; f++) {
				if (fds != NULL)
					fds[f] = k->fds[f];
				else
					assert_int_equal(k->fds[f], -1);
			}
			return k->r;
		}
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		r = rpc_receive(box.rpc, &got, got_fds, &e);
		if (r < 0)
			fail_msg("%s", e.text);
		if (r == 0)
			continue;
		/* What never comes is told at once. */
		if (got.id == id && got.kind == RPC_FAILED &&
		    kind != RPC_FAILED)
			fail_msg("failed: %s", got.text);
		for (int i = 0; i < KEPT_MAX && free_at < 0; i++)
			free_at = kept[i].used ? -1 : i;
		assert_true(free_at >= 0);
		kept[free_at] = (struct kept){ .r = got, .used = true };
		memcpy(kept[free_at].fds, got_fds, sizeof(got_fds));
	}
}

/* All that comes, up to the end. */
static void
read_end(int fd, struct buf *out)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	for (;;) {
		char *at = buf_reserve(out, 65536);
		ssize_t n;

		assert_non_null(at);
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		n = read(fd, at, 65536);
		if (n == 0 || (n < 0 && errno == EIO)) /* a terminal's end */
			return;
		assert_true(n > 0);
		out->n += (size_t)n;
	}
}

/* Up to where `text` is there; fails when the end is first. */
static void
read_until(int fd, struct buf *out, const char *text)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	while (strstr(buf_c(out), text) == NULL) {
		char *at = buf_reserve(out, 4096);
		ssize_t n;

		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		n = read(fd, at, 4096);
		if (n <= 0)
			fail_msg("ended before \"%s\": %s", text, buf_c(out));
		out->n += (size_t)n;
	}
}

static unsigned
count_strings(const char *const *strings)
{
	unsigned n = 0;

	while (strings[n] != NULL)
		n++;
	return n;
}

/* Starts a command with pipes: its id; fds are its outer ends. */
static uint64_t
exec_piped(const char *const *argv, int fds[RPC_MAX_FDS])
{
	const char *strings[32] = { "" };
	unsigned argc = count_strings(argv);
	struct rpc_request q = {
		.kind = RPC_EXEC,
		.flags = RPC_EXEC_PIPES,
		.argc = argc,
	};
	uint64_t id;

	memcpy(strings + 1, argv, argc * sizeof(argv[0]));
	id = ask_with(q, strings, argc + 1, NULL, 0);
	(void)hear(id, RPC_STARTED, fds);
	return id;
}

/* Runs a shell's line to its end: the wait status, and its output. */
static int
shell(const char *line, struct buf *out)
{
	const char *const argv[] = { "sh", "-c", line, NULL };
	int fds[RPC_MAX_FDS];
	uint64_t id = exec_piped(argv, fds);

	fd_fini(&fds[0]);
	read_end(fds[1], out);
	fd_fini(&fds[1]);
	fd_fini(&fds[2]);
	return (int)hear(id, RPC_EXITED, NULL).status;
}

/* A request with a stream from inside: what it delivers, and the answer. */
static struct rpc_reply
fetch(struct rpc_request q, const char *path, struct buf *out)
{
	uint64_t id;
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	id = ask_with(q, &path, path != NULL ? 1 : 0, &pair[1], 1);
	fd_fini(&pair[1]);
	read_end(pair[0], out);
	fd_fini(&pair[0]);
	return hear(id, RPC_DONE, NULL);
}

/* One without. */
static struct rpc_reply
doing(struct rpc_request q, const char *a, const char *b)
{
	const char *strings[] = { a, b };
	unsigned n = a == NULL ? 0 : b == NULL ? 1 : 2;

	return hear(ask_with(q, strings, n, NULL, 0), RPC_DONE, NULL);
}

__attribute__((unused)) static struct rpc_reply
put(struct rpc_request q, const char *path, const char *text, size_t n)
{
	uint64_t id;
	int pair[2];
	struct err e = {};

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	id = ask_with(q, &path, 1, &pair[0], 1);
	fd_fini(&pair[0]);
	/* The other side may have stopped reading: its answer tells. */
	(void)fd_write_all(pair[1], text, n, &e);
	fd_fini(&pair[1]);
	return hear(id, RPC_DONE, NULL);
}

/* A copy of the program, while there is one. */
static char copy[] = "/tmp/paddock-t-rpc-XXXXXX";
static pid_t copy_owner;

static void
rig_close(void)
{
	if (copy_owner == getpid())
		(void)unlink(copy);
}

/*
 * Finds the program, and, when told "rootless", becomes an ordinary user. The
 * exit status, or -1 to go on.
 */
static int
rig_open(int argc, char **argv)
{
	const char *program = getenv("PADDOCK");
	own_buf struct buf bytes = { .max = 64 << 20 };
	struct err e = {};
	int binary, fd;

	if (program == NULL)
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	binary = open(program, O_PATH | O_CLOEXEC);
	if (argc > 1 && strcmp(argv[1], "rootless") == 0) {
		/* A copy, since its folder may be root's alone. */
		if (geteuid() != 0)
			return 77;
		fd = mkstemp(copy);
		if (fd < 0 ||
		    file_read(program, &bytes, bytes.max - 65536, &e) < 0 ||
		    fd_write_all(fd, bytes.p, bytes.n, &e) < 0 ||
		    fchmod(fd, 0755) < 0)
			return 1;
		if (fchown(fd, NOBODY, NOBODY) < 0)
			return 1;
		copy_owner = getpid();
		(void)close(fd);
		(void)close(binary);
		binary = open(copy, O_PATH | O_CLOEXEC);
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		    setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
		    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
			return 1; /* the last gives /proc/self back */
	}
	(void)atexit(rig_close);
	if (binary < 0 || sandbox_host_init(&host, binary, &e) < 0) {
		(void)fprintf(stderr, "%s: %s\n", program, e.text);
		return 1;
	}
	return -1;
}

#endif
