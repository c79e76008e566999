/*
 * soak_sandbox PADDOCK CYCLES
 *
 * Starts and ends so many sandboxes, cold, parked, killed and by `paddock
 * exec` in turns, and compares what the machine holds before and after. What
 * grows by more than one for ten cycles is a leak; less is other people's. As
 * root. SIGTERM ends it early, with the comparison. Exit status 0, 1: something
 * was left, 77: not root.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "sandbox/pool.h"
#include "sys/fd.h"

enum {
	WARM = 50, /* cycles that fill caches first */
	CALM_TRIES = 300, /* the kernel clears away behind our back */
	CALM_WAIT_NS = 100 * 1000 * 1000,
	SLAB_FREE_KIB = 32 * 1024, /* growth that says nothing */
};

enum kind {
	DESCRIPTORS, /* ours, exactly */
	CHILDREN,
	MOUNTS,
	GROUPS,
	UIDS, /* processes of our sandboxes */
	NETNS, /* of the machine, by the kernel's caches */
	MOUNT_OBJECTS,
	SLAB_KIB,
	KINDS,
};

static const struct {
	const char *name;
	bool exact;
} kinds[KINDS] = {
	{ "descriptors", true },
	{ "children", true },
	{ "mounts", true },
	{ "cgroups", true },
	{ "processes inside", true },
	{ "network namespaces", false },
	{ "mount objects", false },
	{ "kernel memory, KiB", false },
};

static struct soak {
	const char *paddock;
	char dir[64];
	int folder;
	uint64_t cycles;
	uint32_t uid; /* of the first slot */
	struct sandbox_host host;
	struct pool pool;
} soak = { .folder = -1 };

static bool is_asked_to_end(void);
static int set_up(struct err *e);
static int cycle(uint64_t n, struct err *e);
static int run_one(bool kill_it, struct err *e);
static int run_exec(struct err *e);
static int measure(int64_t out[KINDS], struct err *e);
static int64_t count_entries(const char *dir, const char *prefix);
static int64_t count_uids(void);
static int64_t slab_objects(const char *text, const char *name);
static bool is_calm(const int64_t before[], const int64_t after[]);

int
main(int argc, char **argv)
{
	const struct timespec wait = { .tv_nsec = CALM_WAIT_NS };
	int64_t before[KINDS], after[KINDS], began;
	sigset_t end;
	uint64_t done = 0;
	struct err e = {};
	int r = 0;

	if (argc != 3 || str_to_u64(str_of(argv[2]), &soak.cycles) < 0) {
		fprintf(stderr, "usage: soak_sandbox PADDOCK CYCLES\n");
		return 2;
	}
	if (geteuid() != 0)
		return 77;
	(void)sigemptyset(&end);
	(void)sigaddset(&end, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &end, NULL);
	/* Waking a parked sandbox goes to "/". */
	soak.paddock = realpath(argv[1], NULL);
	if (soak.paddock == NULL) {
		perror(argv[1]);
		return 1;
	}
	r = set_up(&e);
	for (uint64_t i = 0; r == 0 && i < WARM; i++)
		r = cycle(i, &e);
	pool_fini(&soak.pool);
	pool_init(&soak.pool, &soak.host);
	if (r == 0)
		r = measure(before, &e);
	began = clock_mono_ns();
	for (; r == 0 && done < soak.cycles && !is_asked_to_end(); done++)
		r = cycle(done, &e);
	soak.cycles = done;
	pool_fini(&soak.pool);
	for (int i = 0; r == 0 && i < CALM_TRIES; i++) {
		r = measure(after, &e);
		if (r == 0 && is_calm(before, after))
			break;
		(void)nanosleep(&wait, NULL);
	}
	(void)rmdir(soak.dir);
	if (r < 0) {
		fprintf(stderr, "soak_sandbox: %s\n", e.text);
		return 1;
	}
	printf("%llu cycles in %.1f s; %llu parked ones taken\n",
	    (unsigned long long)soak.cycles,
	    (double)(clock_mono_ns() - began) / 1e9,
	    (unsigned long long)soak.pool.hits);
	for (int k = 0; k < KINDS; k++)
		printf("%-20s %10lld -> %lld\n", kinds[k].name,
		    (long long)before[k], (long long)after[k]);
	if (!is_calm(before, after)) {
		fprintf(stderr, "soak_sandbox: something was left\n");
		return 1;
	}
	return 0;
}

static bool
is_asked_to_end(void)
{
	sigset_t waits;

	return sigpending(&waits) == 0 && sigismember(&waits, SIGTERM) == 1;
}

static int
set_up(struct err *e)
{
	int binary = open(soak.paddock, O_PATH | O_CLOEXEC);

	if (binary < 0)
		return err_sys(e, "open %s", soak.paddock);
	(void)snprintf(soak.dir, sizeof(soak.dir), "/tmp/paddock-soak-XXXXXX");
	if (mkdtemp(soak.dir) == NULL)
		return err_sys(e, "mkdtemp");
	soak.folder = open(soak.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (soak.folder < 0)
		return err_sys(e, "open %s", soak.dir);
	if (sandbox_host_init(&soak.host, binary, e) < 0 ||
	    sandbox_host_many(&soak.host, e) < 0)
		return -1;
	pool_init(&soak.pool, &soak.host);
	return 0;
}

/* Every third is killed; every eighth comes by the command line. */
static int
cycle(uint64_t n, struct err *e)
{
	if (n % 8 == 7)
		return run_exec(e);
	if (n % 2 == 0)
		(void)pool_tend(&soak.pool, clock_mono_ns());
	return run_one(n % 3 == 2, e);
}

static int
run_one(bool kill_it, struct err *e)
{
	static const char *const quick[] = { "/run/paddock/paddock", "version",
		NULL };
	static const char *const slow[] = { "/usr/bin/sleep", "1000", NULL };
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	const struct sandbox_spec spec = {
		.argv = kill_it ? slow : quick,
		.envp = env,
		.stdio = { -1, -1, -1 },
		.workspace_fd = soak.folder,
		.workspace_path = "/work",
		.listen_port = { 8080 },
		.n_listen = 1,
	};
	struct sandbox_end end;
	struct sandbox sb;
	uint32_t slot;
	int r;

	if (pool_start(&soak.pool, 1, &spec, clock_mono_ns(), &sb, e) < 0)
		return -1;
	slot = sb.slot;
	soak.uid = sb.uid - slot;
	if (kill_it)
		sandbox_kill(&sb, LIMIT_STOPPED);
	r = sandbox_reap(&sb, &end, e);
	sandbox_fini(&sb);
	pool_give_slot(&soak.pool, slot);
	if (r == 0 && !kill_it && (end.kind != END_EXIT || end.code != 0))
		return err_set(e, "ended with %d, %d", end.kind, end.code);
	return r;
}

static int
run_exec(struct err *e)
{
	char exec[] = "exec", dir[] = "--dir", program[] = "/usr/bin/true";
	char *argv[] = { exec, exec, dir, soak.dir, program, NULL };
	int status, rc;
	pid_t pid;

	rc = posix_spawn(&pid, soak.paddock, NULL, NULL, argv, environ);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "%s", soak.paddock);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	return status == 0 ? 0 : err_set(e, "exec: status %#x", status);
}

static int
measure(int64_t out[KINDS], struct err *e)
{
	const char *groups = soak.host.cgroups.dir[CGROUP_MEMORY];
	own_buf struct buf mounts = {}, slab = {}, memory = {};
	const char *at;

	if (file_read("/proc/self/mountinfo", &mounts, 16 << 20, e) < 0 ||
	    file_read("/proc/slabinfo", &slab, 16 << 20, e) < 0 ||
	    file_read("/proc/meminfo", &memory, 1 << 20, e) < 0)
		return -1;
	out[DESCRIPTORS] = count_entries("/proc/self/fd", "");
	out[CHILDREN] = waitpid(-1, NULL, WNOHANG) < 0 ? 0 : 1;
	out[MOUNTS] = 0;
	for (at = buf_c(&mounts); (at = strchr(at, '\n')) != NULL; at++)
		out[MOUNTS]++;
	out[GROUPS] = groups[0] != '\0'
	    ? count_entries(groups, soak.host.cgroups.owner)
	    : 0;
	out[UIDS] = count_uids();
	out[NETNS] = slab_objects(buf_c(&slab), "net_namespace ");
	out[MOUNT_OBJECTS] = slab_objects(buf_c(&slab), "mnt_cache ");
	at = strstr(buf_c(&memory), "SUnreclaim:");
	out[SLAB_KIB] =
	    at != NULL ? strtoll(at + strlen("SUnreclaim:"), NULL, 10) : 0;
	return 0;
}

static int64_t
count_entries(const char *dir, const char *prefix)
{
	DIR *all = opendir(dir);
	struct dirent *d;
	int64_t n = 0;

	while (all != NULL && (d = readdir(all)) != NULL)
		n += strncmp(d->d_name, prefix, strlen(prefix)) == 0;
	if (all != NULL)
		(void)closedir(all);
	return n;
}

static int64_t
count_uids(void)
{
	DIR *all = opendir("/proc");
	struct dirent *d;
	int64_t n = 0;

	while (all != NULL && (d = readdir(all)) != NULL) {
		struct stat st;

		n += d->d_name[0] >= '0' && d->d_name[0] <= '9' &&
		    fstatat(dirfd(all), d->d_name, &st, 0) == 0 &&
		    st.st_uid >= soak.uid &&
		    st.st_uid < soak.uid + SANDBOX_SLOTS;
	}
	if (all != NULL)
		(void)closedir(all);
	return n;
}

/* Objects in use of one of the kernel's caches; 0 where it has a shared one. */
static int64_t
slab_objects(const char *text, const char *name)
{
	for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, name, strlen(name)) == 0)
			return strtoll(at + strlen(name), NULL, 10);
		if (*at == '\0')
			break;
	}
	return 0;
}

static bool
is_calm(const int64_t before[], const int64_t after[])
{
	const int64_t some = (int64_t)soak.cycles / 10;

	for (int k = 0; k < KINDS; k++) {
		int64_t more = after[k] - before[k];

		if (kinds[k].exact
			? more != 0
			: more > some + (k == SLAB_KIB ? SLAB_FREE_KIB : 64))
			return false;
	}
	return true;
}
