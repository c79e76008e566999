/*
 * sandbox/spec.c: whether what a caller asks for makes sense, before anything
 * is built, and what it gets that it did not name.
 */
#include <string.h>
#include <sys/sysinfo.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/place.h"
#include "sandbox/build.h"
#include "sandbox/mounts.h"
#include "sandbox/sandbox.h"

enum {
	/* What a process needs besides the files that it keeps in memory. */
	MEMORY_BESIDE_DISK = 4 * 1024 * 1024,
	CPU_LEAST_MILLI = 10,
};
#define MIB ((uint64_t)1024 * 1024)

static bool path_is_free(const char *path);

struct sandbox_limits
sandbox_limits_default(void)
{
	struct sandbox_limits l = {
		.memory_bytes = 2048 * MIB,
		.pids_max = 512,
		.nofile = SANDBOX_OPEN_FILES,
	};
	struct sysinfo machine;

	if (sysinfo(&machine) == 0) {
		uint64_t half =
		    (uint64_t)machine.totalram * machine.mem_unit / 2;

		if (half < l.memory_bytes)
			l.memory_bytes = half;
	}
	return l;
}

const char *
sandbox_path_for(const char *host_path)
{
	return path_is_free(host_path) ? host_path : "/workspace";
}

int
build_check_spec(const struct sandbox_spec *s, struct err *e)
{
	bool none =
	    s->argv == NULL || s->argv[0] == NULL || s->argv[0][0] == '\0';

	if (s->park ? false : none && (!s->rpc || s->argv != NULL))
		return err_set(e, "no command");
	if (!path_is_free(s->workspace_path))
		return err_set(e,
		    "work folder inside: %s is taken, or no absolute path",
		    s->workspace_path);
	if (s->park && s->init != NULL)
		return err_set(e, "a parked sandbox has no run yet");
	for (int i = 0; i < 3; i++) {
		int fd = s->stdio[i];

		if (fd >= 0 && fd < 3 && fd != i)
			return err_set(e,
			    "standard stream %d: descriptor %d is another's "
			    "place",
			    i, fd);
	}
	if (s->slot >= SANDBOX_SLOTS)
		return err_set(
		    e, "slot %u is over %d", s->slot, SANDBOX_SLOTS - 1);
	if (s->n_listen > SANDBOX_PORTS_MAX)
		return err_set(e, "over %d listeners", SANDBOX_PORTS_MAX);
	if (strlen(s->hostname) >= SANDBOX_HOST_NAME_MAX)
		return err_set(e, "host name over %d characters",
		    SANDBOX_HOST_NAME_MAX - 1);
	return mounts_check(s, e);
}

int
build_check_limits(struct sandbox_limits *l, struct err *e)
{
	const struct sandbox_limits usual = sandbox_limits_default();

	if (l->memory_bytes == 0)
		l->memory_bytes = usual.memory_bytes;
	if (l->pids_max == 0)
		l->pids_max = usual.pids_max;
	if (l->nofile == 0)
		l->nofile = usual.nofile;
	if (l->disk_bytes == 0)
		l->disk_bytes = l->memory_bytes / 2;
	/* A file costs the kernel about a KiB beside its pages. */
	if (l->inodes == 0)
		l->inodes = l->memory_bytes / (16 * 1024);
	if (l->memory_bytes < 2 * MEMORY_BESIDE_DISK)
		return err_set(e,
		    "memory limit of %llu bytes: at least %d are needed",
		    (unsigned long long)l->memory_bytes,
		    2 * MEMORY_BESIDE_DISK);
	if (l->disk_bytes > l->memory_bytes - MEMORY_BESIDE_DISK)
		return err_set(e,
		    "disk limit of %llu bytes: the memory limit has to be at "
		    "least 4 MiB above it",
		    (unsigned long long)l->disk_bytes);
	if (l->nofile < SANDBOX_OPEN_FILES_MIN)
		return err_set(e,
		    "limit of %llu open files: at least %d are needed",
		    (unsigned long long)l->nofile, SANDBOX_OPEN_FILES_MIN);
	/* A thousandth of a second in each tenth: the kernel keeps no less. */
	if (l->cpu_milli > 0 && l->cpu_milli < CPU_LEAST_MILLI)
		return err_set(e, "cpu limit of %g: at least %g is needed",
		    (double)l->cpu_milli / 1000,
		    (double)CPU_LEAST_MILLI / 1000);
	if (l->pids_max < 2)
		return err_set(e, "pids limit of %llu: at least 2 are needed",
		    (unsigned long long)l->pids_max);
	return 0;
}

static bool
path_is_free(const char *path)
{
	return place_fault(str_of(path)) == NULL;
}
