/*
 * bench_sandbox PADDOCK NOOP [--runs N] [--held N] [--killed N]
 *
 * Drives the builder of sandboxes directly, as the supervisor does: started
 * cold, taken from a stock of parked ones, many a second, held, and killed all
 * at once. NOOP is a static program that does nothing; PADDOCK the small half.
 * Each run has a bare spawn of NOOP beside it. As root.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "sample.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"

enum {
	HELD_MAX = SANDBOX_SLOTS,
	WARM = 10,
	BATCH = 16, /* of each kind, parked while they are measured */
	COLD = 2 * BATCH, /* slot of one that is not parked */
	WORKERS_MAX = 4,
	PAUSE_NS = 3 * 1000 * 1000, /* the one before is taken down */
	CALM_NS = 1000 * 1000 * 1000, /* what is freed later is free */
};

static struct bench {
	const char *noop;
	char dir[64]; /* the work folder; it holds a copy of NOOP */
	int folder;
	uint64_t runs, held, killed;
	bool as_daemon; /* served, and with listeners */
	struct sandbox_host host;
	struct sandbox sb[HELD_MAX];
} bench = { .runs = 300, .held = 2000, .killed = 500, .folder = -1 };

static int read_options(int argc, char **argv, const char **paddock);
static int set_up(const char *paddock, struct err *e);
static struct sandbox_spec spec_of(const char *const *argv, uint32_t slot);
static int start(
    uint32_t slot, const char *const *argv, struct sandbox *sb, struct err *e);
static int park(uint32_t slot, bool placed, struct sandbox *sb, struct err *e);
static int wake_timed(
    struct sandbox *sb, int64_t *ended, int64_t *all, struct err *e);
static int wake(struct sandbox *sb, const char *const *argv, struct err *e);
static int finish(struct sandbox *sb, struct err *e);
static int bare(int64_t *ns, struct err *e);
static int latency(struct err *e);
static int throughput(bool parked, int workers, struct err *e);
static int held(struct err *e);
static int killed(struct err *e);
static void rest(int64_t ns);
static uint64_t kib_of(const char *path, const char *key);

static const char *const noop_argv[] = { "/work/noop", NULL };
static const char *const sleep_argv[] = { "/usr/bin/sleep", "1000", NULL };
static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };

int
main(int argc, char **argv)
{
	const char *paddock;
	struct err e = {};
	int r;

	if (read_options(argc, argv, &paddock) < 0) {
		fprintf(stderr,
		    "usage: bench_sandbox PADDOCK NOOP [--runs N] [--held N] "
		    "[--killed N]\n");
		return 2;
	}
	r = set_up(paddock, &e);
	if (r == 0)
		r = latency(&e);
	for (int workers = 1; r == 0 && workers <= WORKERS_MAX; workers *= 2) {
		r = throughput(false, workers, &e);
		if (r == 0)
			r = throughput(true, workers, &e);
	}
	if (r == 0 && bench.held > 0)
		r = held(&e);
	if (r == 0 && bench.killed > 0)
		r = killed(&e);
	if (bench.folder >= 0) {
		(void)unlinkat(bench.folder, "noop", 0);
		(void)rmdir(bench.dir);
	}
	if (r < 0) {
		fprintf(stderr, "bench_sandbox: %s\n", e.text);
		return 1;
	}
	return 0;
}

static int
read_options(int argc, char **argv, const char **paddock)
{
	const struct {
		const char *name;
		uint64_t *out;
	} rows[] = {
		{ "--runs", &bench.runs },
		{ "--held", &bench.held },
		{ "--killed", &bench.killed },
	};

	if (argc < 3)
		return -1;
	*paddock = argv[1];
	bench.noop = argv[2];
	for (int i = 3; i + 1 < argc; i += 2) {
		size_t k = 0;

		while (k < 3 && strcmp(argv[i], rows[k].name) != 0)
			k++;
		if (k == 3 || str_to_u64(str_of(argv[i + 1]), rows[k].out) < 0)
			return -1;
	}
	return argc % 2 == 1 && bench.held <= HELD_MAX &&
		bench.killed <= HELD_MAX
	    ? 0
	    : -1;
}

static int
set_up(const char *paddock, struct err *e)
{
	struct rlimit files;
	own_buf struct buf program = { .max = 1 << 20 };
	own_fd int out = -1;
	int binary = open(paddock, O_PATH | O_CLOEXEC);

	if (geteuid() != 0)
		return err_set(e, "only root parks sandboxes");
	if (binary < 0)
		return err_sys(e, "open %s", paddock);
	/* As many as there are. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)snprintf(bench.dir, sizeof(bench.dir), "/tmp/paddock-b-XXXXXX");
	if (mkdtemp(bench.dir) == NULL)
		return err_sys(e, "mkdtemp");
	bench.folder = open(bench.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (bench.folder < 0)
		return err_sys(e, "open %s", bench.dir);
	if (file_read(bench.noop, &program, 1 << 20, e) < 0)
		return -1;
	out =
	    openat(bench.folder, "noop", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (out < 0 || fd_write_all(out, program.p, program.n, e) < 0)
		return err_sys(e, "copy %s", bench.noop);
	if (sandbox_host_init(&bench.host, binary, e) < 0)
		return -1;
	return sandbox_host_many(&bench.host, e);
}

static struct sandbox_spec
spec_of(const char *const *argv, uint32_t slot)
{
	return (struct sandbox_spec){
		.argv = argv,
		.envp = env,
		.stdio = { -1, -1, -1 },
		.workspace_fd = bench.folder,
		.workspace_path = "/work",
		.limits = { .pids_max = 64 },
		.listen_port = { 8080, 8081 },
		.n_listen = bench.as_daemon ? 2 : 0,
		.net = bench.as_daemon,
		.rpc = bench.as_daemon,
		.slot = slot,
		.required = WALL_OVERLAY | WALL_LANDLOCK_FS,
	};
}

static int
start(uint32_t slot, const char *const *argv, struct sandbox *sb, struct err *e)
{
	struct sandbox_spec s = spec_of(argv, slot);

	return sandbox_start(&bench.host, &s, sb, e);
}

/* placed: over its folder, or for any of this owner. */
static int
park(uint32_t slot, bool placed, struct sandbox *sb, struct err *e)
{
	struct sandbox_spec s = spec_of(NULL, slot);

	s.required = 0;
	s.workspace_fd = placed ? bench.folder : -1;
	s.park = true;
	s.folder = true;
	return sandbox_start(&bench.host, &s, sb, e);
}

static int
wake(struct sandbox *sb, const char *const *argv, struct err *e)
{
	struct sandbox_spec s = spec_of(argv, sb->slot);

	return sandbox_wake(&bench.host, sb, &s, e);
}

/* The end as the supervisor sees it, and then what it does afterwards. */
static int
finish(struct sandbox *sb, struct err *e)
{
	struct sandbox_end end;

	if (sandbox_reap(sb, &end, e) < 0)
		return -1;
	sandbox_fini(sb);
	if (end.kind != END_EXIT || end.code != 0)
		return err_set(e, "ended with %d, %d", end.kind, end.code);
	return 0;
}

static int
bare(int64_t *ns, struct err *e)
{
	char name[] = "noop", *argv[] = { name, NULL };
	int64_t began = clock_mono_ns();
	int status, rc;
	pid_t pid;

	rc = posix_spawn(&pid, bench.noop, NULL, NULL, argv, environ);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "%s", bench.noop);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	*ns = clock_mono_ns() - began;
	return 0;
}

/* Up to the command's report, which is what a caller waits for, and up to the
 * end of everything. */
static int
wake_timed(struct sandbox *sb, int64_t *ended, int64_t *all, struct err *e)
{
	int64_t began = clock_mono_ns();
	struct pollfd wait = { .events = POLLIN };

	if (wake(sb, noop_argv, e) < 0)
		return err_add(e, "wake");
	wait.fd = sb->control;
	(void)poll(&wait, 1, -1);
	*ended = clock_mono_ns() - began;
	if (finish(sb, e) < 0)
		return err_add(e, "parked");
	*all = clock_mono_ns() - began;
	return 0;
}

static int
latency(struct err *e)
{
	own_sample struct sample spawn = {}, cold = {}, cold_all = {},
				 fill = {};
	own_sample struct sample warm = {}, warm_all = {}, over = {};
	own_sample struct sample placed = {}, placed_over = {};

	for (uint64_t i = 0; i < bench.runs + WARM; i++) {
		struct sandbox *sb = &bench.sb[i % BATCH],
			       *all = &bench.sb[COLD];
		struct pollfd wait = { .events = POLLIN };
		int64_t t[3], plain, in[2], any[2];

		for (uint32_t k = 0; i % BATCH == 0 && k < 2 * BATCH; k++) {
			t[0] = clock_mono_ns();
			if (park(k, k >= BATCH, &bench.sb[k], e) < 0)
				return err_add(e, "park");
			sample_add(&fill, clock_mono_ns() - t[0]);
		}
		rest(PAUSE_NS);
		if (bare(&plain, e) < 0)
			return -1;
		rest(PAUSE_NS);
		if (wake_timed(sb, &any[0], &any[1], e) < 0)
			return -1;
		rest(PAUSE_NS);
		if (wake_timed(sb + BATCH, &in[0], &in[1], e) < 0)
			return -1;
		rest(PAUSE_NS);
		t[0] = clock_mono_ns();
		if (start(COLD, noop_argv, all, e) < 0)
			return err_add(e, "start");
		wait.fd = all->control;
		(void)poll(&wait, 1, -1);
		t[1] = clock_mono_ns();
		if (finish(all, e) < 0)
			return err_add(e, "cold");
		t[2] = clock_mono_ns();
		if (i < WARM)
			continue;
		sample_add(&spawn, plain);
		sample_add(&placed, in[0]);
		sample_add(&placed_over, in[0] - plain);
		sample_add(&warm, any[0]);
		sample_add(&warm_all, any[1]);
		sample_add(&over, any[0] - plain);
		sample_add(&cold, t[1] - t[0]);
		sample_add(&cold_all, t[2] - t[0]);
	}
	for (uint32_t k = 0; k < 2 * BATCH; k++)
		sandbox_fini(&bench.sb[k]);
	sample_head();
	sample_row(&spawn, "bare spawn");
	sample_row(&placed, "parked over its folder");
	sample_row(&placed_over, "  the same, over a bare spawn");
	sample_row(&warm, "parked for any folder");
	sample_row(&over, "  the same, over a bare spawn");
	sample_row(&warm_all, "  the same, to the end of all");
	sample_row(&cold, "cold, to the command's end");
	sample_row(&cold_all, "cold, to the end of all");
	sample_row(&fill, "parking one");
	return 0;
}

/* Each worker is a process: a supervisor has one thread. */
static int
throughput(bool parked, int workers, struct err *e)
{
	const uint64_t each = bench.runs * 2 / (uint64_t)workers;
	int64_t began = clock_mono_ns();
	pid_t worker[WORKERS_MAX];
	bool failed = false;
	int status;

	for (int w = 0; w < workers; w++) {
		worker[w] = fork();
		if (worker[w] < 0)
			return err_sys(e, "fork");
		if (worker[w] > 0)
			continue;
		for (uint64_t i = 0; i < each; i++) {
			uint32_t slot = (uint32_t)w;
			struct sandbox *sb = &bench.sb[0];
			int r;

			if (parked)
				r = park(slot, true, sb, e) == 0
				    ? wake(sb, noop_argv, e)
				    : -1;
			else
				r = start(slot, noop_argv, sb, e);
			if (r < 0 || finish(sb, e) < 0) {
				fprintf(stderr, "worker: %s\n", e->text);
				_exit(1);
			}
		}
		_exit(0);
	}
	for (int w = 0; w < workers; w++) {
		if (waitpid(worker[w], &status, 0) < 0)
			return err_sys(e, "waitpid");
		failed |= status != 0;
	}
	if (failed)
		return err_set(e, "a worker failed");
	printf("%s, workers: %d: %.0f sandboxes a second\n",
	    parked ? "parked and taken" : "cold", workers,
	    (double)each * workers * 1e9 / (double)(clock_mono_ns() - began));
	return 0;
}

static int
held(struct err *e)
{
	uint64_t before, slab_before, own_before, slab, after;
	int64_t ns;

	rest(CALM_NS);
	before = kib_of("/proc/meminfo", "MemAvailable:");
	slab_before = kib_of("/proc/meminfo", "Slab:");
	own_before = kib_of("/proc/self/smaps_rollup", "Pss:");
	for (uint32_t i = 0; i < bench.held; i++) {
		if (park(i, true, &bench.sb[i], e) < 0)
			return err_add(e, "park number %u", i);
	}
	rest(CALM_NS);
	after = kib_of("/proc/meminfo", "MemAvailable:");
	slab = kib_of("/proc/meminfo", "Slab:");
	printf("%llu parked: %.0f KiB each (slab %.0f)\n",
	    (unsigned long long)bench.held,
	    ((double)before - (double)after) / (double)bench.held,
	    ((double)slab - (double)slab_before) / (double)bench.held);
	printf("who holds them: %llu KiB, %llu before\n",
	    (unsigned long long)kib_of("/proc/self/smaps_rollup", "Pss:"),
	    (unsigned long long)own_before);
	ns = clock_mono_ns();
	if (wake(&bench.sb[0], noop_argv, e) < 0 || finish(&bench.sb[0], e) < 0)
		return -1;
	printf("one of them taken, to the end of all: %.0f us\n",
	    (double)(clock_mono_ns() - ns) / 1000);
	for (uint32_t i = 1; i < bench.held; i++)
		sandbox_kill(&bench.sb[i], LIMIT_STOPPED);
	for (uint32_t i = 1; i < bench.held; i++)
		sandbox_fini(&bench.sb[i]);
	return 0;
}

/* Until the last process is gone, and until the last trace of them is. As the
 * daemon's sandboxes they have listeners, which are kept elsewhere. */
static int
killed(struct err *e)
{
	struct sandbox *all[HELD_MAX];
	int64_t t[3];

	bench.as_daemon = true;
	for (uint32_t i = 0; i < bench.killed; i++)
		all[i] = &bench.sb[i];
	for (uint32_t i = 0; i < bench.killed; i++) {
		if (park(i, true, &bench.sb[i], e) < 0 ||
		    wake(&bench.sb[i], sleep_argv, e) < 0)
			return err_add(e, "number %u", i);
	}
	rest(CALM_NS / 2);
	t[0] = clock_mono_ns();
	sandbox_kill_all(all, bench.killed, LIMIT_STOPPED);
	t[1] = clock_mono_ns();
	for (uint32_t i = 0; i < bench.killed; i++) {
		struct pollfd over = { bench.sb[i].pidfd, POLLIN, 0 };

		(void)poll(&over, 1, -1);
	}
	t[2] = clock_mono_ns();
	for (uint32_t i = 0; i < bench.killed; i++)
		sandbox_fini(&bench.sb[i]);
	printf("%llu running, all killed: %.1f ms, all over: %.1f ms, "
	       "removed: %.1f ms\n",
	    (unsigned long long)bench.killed, (double)(t[1] - t[0]) / 1e6,
	    (double)(t[2] - t[0]) / 1e6,
	    (double)(clock_mono_ns() - t[0]) / 1e6);
	return 0;
}

static void
rest(int64_t ns)
{
	const struct timespec wait = { ns / CALM_NS, ns % CALM_NS };

	(void)nanosleep(&wait, NULL);
}

static uint64_t
kib_of(const char *path, const char *key)
{
	own_buf struct buf text = {};
	struct err e;
	const char *at;

	if (file_read(path, &text, 65536, &e) < 0)
		return 0;
	at = strstr(buf_c(&text), key);
	return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}
