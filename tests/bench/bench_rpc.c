/*
 * bench_rpc [--runs N] [--json] PADDOCK NOOP
 *
 * What PID 1 adds to the start of a command in a running sandbox. A static
 * program that ends at once is run inside, from the request to the report of
 * its end; and here, by fork and execve, and by posix_spawn, from the call to
 * the end of waitpid. They take turns; the difference is of each pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sample.h"
#include "sandbox/rpc_client.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"

enum {
	WARM = 20, /* runs that are not counted */
	WAIT_MS = 10 * 1000,
};

enum way { INSIDE, FORKED, SPAWNED, WAYS };

static const char *const names[WAYS] = { "exec by PID 1", "fork and execve",
	"posix_spawn" };

struct bench {
	uint64_t runs;
	bool json;
	char *noop;
	char inside[4096]; /* where the sandbox sees it */
	int null;
	struct sandbox box;
	struct sample took[WAYS];
	struct sample started; /* up to RPC_STARTED */
	struct sample added[WAYS]; /* INSIDE less this one */
};

static int open_box(struct bench *b, const char *program, struct err *e);
static int run(struct bench *b, struct err *e);
static int once(struct bench *b, enum way way, uint64_t i, int64_t *ns,
    int64_t *started, struct err *e);
static int run_inside(
    struct bench *b, uint64_t id, int64_t *started_at, struct err *e);
static void print(struct bench *b);

int
main(int argc, char **argv)
{
	static struct bench b = { .runs = 2000 };
	struct err e = {};
	int at = 1, r;

	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--json") == 0)
			b.json = true;
		else if (strcmp(argv[at], "--runs") != 0 || ++at == argc ||
		    str_to_u64(str_of(argv[at]), &b.runs) < 0 || b.runs == 0)
			at = argc;
	}
	if (argc - at != 2) {
		fprintf(stderr,
		    "usage: bench_rpc [--runs N] [--json] PADDOCK NOOP\n");
		return 2;
	}
	b.noop = argv[at + 1];
	r = open_box(&b, argv[at], &e);
	if (r == 0)
		r = run(&b, &e);
	sandbox_fini(&b.box);
	if (r < 0) {
		fprintf(stderr, "bench_rpc: %s\n", e.text);
		return 1;
	}
	print(&b);
	for (int i = 0; i < WAYS; i++) {
		sample_fini(&b.took[i]);
		sample_fini(&b.added[i]);
	}
	sample_fini(&b.started);
	return 0;
}

/* The folder of the no-op is the work folder inside. */
static int
open_box(struct bench *b, const char *program, struct err *e)
{
	static struct sandbox_host host;
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	struct sandbox_spec spec = {
		.envp = env,
		.stdio = { -1, -1, -1 },
		.rpc = true,
	};
	own_fd int binary = open(program, O_PATH | O_CLOEXEC);
	own_fd int folder = -1;
	char dir[4096];
	char *slash;

	(void)snprintf(dir, sizeof(dir), "%s", b->noop);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		return err_set(e, "%s: a path with a folder is needed", dir);
	(void)snprintf(b->inside, sizeof(b->inside), "/workspace%s", slash);
	*slash = '\0';
	folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	b->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (binary < 0 || folder < 0 || b->null < 0)
		return err_sys(e, "open %s and %s", program, dir);
	spec.workspace_fd = folder;
	if (sandbox_host_init(&host, binary, e) < 0)
		return -1;
	return sandbox_start(&host, &spec, &b->box, e);
}

static int
run(struct bench *b, struct err *e)
{
	for (uint64_t i = 0; i < WARM + b->runs; i++) {
		int64_t ns[WAYS], started = 0;

		for (int way = 0; way < WAYS; way++) {
			if (once(b, (enum way)way, i, &ns[way], &started, e) <
			    0)
				return err_add(e, "%s", names[way]);
		}
		if (i < WARM)
			continue;
		sample_add(&b->started, started);
		for (int way = 0; way < WAYS; way++) {
			sample_add(&b->took[way], ns[way]);
			sample_add(&b->added[way], ns[INSIDE] - ns[way]);
		}
	}
	return 0;
}

static int
once(struct bench *b, enum way way, uint64_t i, int64_t *ns, int64_t *started,
    struct err *e)
{
	char *const argv[] = { b->noop, NULL };
	char *const envp[] = { NULL };
	int64_t began = clock_mono_ns();
	int status, rc = 0;
	pid_t pid = -1;

	switch (way) {
	case INSIDE:
		if (run_inside(b, i + 1, started, e) < 0)
			return -1;
		*started -= began;
		*ns = clock_mono_ns() - began;
		return 0;
	case FORKED:
		pid = fork();
		if (pid == 0) {
			(void)execve(b->noop, argv, envp);
			_exit(127);
		}
		if (pid < 0)
			return err_sys(e, "fork");
		break;
	case SPAWNED:
		rc = posix_spawn(&pid, b->noop, NULL, NULL, argv, envp);
		break;
	case WAYS:
		return -1;
	}
	if (rc != 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		return err_set(e, "%s did not run", b->noop);
	*ns = clock_mono_ns() - began;
	return 0;
}

static int
run_inside(struct bench *b, uint64_t id, int64_t *started_at, struct err *e)
{
	const struct rpc_request q = { .id = id, .kind = RPC_EXEC, .argc = 1 };
	const char *const strings[] = { "", b->inside };
	const int streams[3] = { b->null, b->null, b->null };
	struct pollfd wait = { .fd = b->box.rpc, .events = POLLIN };

	if (rpc_send(b->box.rpc, &q, strings, 2, streams, 3, e) < 0)
		return -1;
	for (;;) {
		int fds[RPC_MAX_FDS];
		struct rpc_reply r;
		int got;

		if (poll(&wait, 1, WAIT_MS) != 1)
			return err_set(e, "no answer");
		got = rpc_receive(b->box.rpc, &r, fds, e);
		if (got < 0)
			return -1;
		if (got == 0)
			continue;
		if (r.kind == RPC_STARTED) {
			*started_at = clock_mono_ns();
			continue;
		}
		if (r.kind == RPC_EXITED && r.status == 0)
			return 0;
		return err_set(e, "%s (status %#x)", r.text, r.status);
	}
}

static void
print(struct bench *b)
{
	own_buf struct buf out = {};

	if (!b->json) {
		sample_head();
		for (int i = 0; i < WAYS; i++)
			sample_row(&b->took[i], names[i]);
		sample_row(&b->started, "its start alone");
		sample_row(&b->added[FORKED], "added to fork and execve");
		sample_row(&b->added[SPAWNED], "added to posix_spawn");
		return;
	}
	buf_add_c(&out, "{\"inside\":");
	sample_json(&b->took[INSIDE], &out);
	buf_add_c(&out, ",\"forked\":");
	sample_json(&b->took[FORKED], &out);
	buf_add_c(&out, ",\"spawned\":");
	sample_json(&b->took[SPAWNED], &out);
	buf_add_c(&out, ",\"started\":");
	sample_json(&b->started, &out);
	buf_add_c(&out, ",\"added_to_fork\":");
	sample_json(&b->added[FORKED], &out);
	buf_add_c(&out, ",\"added_to_spawn\":");
	sample_json(&b->added[SPAWNED], &out);
	printf("%s}\n", buf_c(&out));
}
