/*
 * escape-parked exec [--memory MIB] [--disk MIB] [--pids N] [--json] --
 * COMMAND...: what `paddock exec` does with these, in a sandbox that was
 * parked first, so that the same tests attack both. PARKED names the program
 * whose inside is to be used. With OVER_FOLDER set it is one that was parked
 * over the work folder. As root.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/pool.h"
#include "sys/fd.h"

#define MIB ((uint64_t)1024 * 1024)

static int parse(char **argv, struct sandbox_limits *l, char ***command);
static int run(const struct sandbox_limits *l, char **command, struct err *e);
static int start_and_wait(
    const struct sandbox_spec *spec, struct sandbox_end *end, struct err *e);

static struct sandbox_host host;
static struct pool pool;
static bool was_over; /* the last one: parked over its folder */

int
main(int argc, char **argv)
{
	struct sandbox_limits limits = {};
	char **command;
	struct err e = {};
	int r;

	if (argc < 3 || parse(argv + 2, &limits, &command) < 0)
		return 2;
	r = run(&limits, command, &e);
	pool_fini(&pool);
	if (r < 0)
		fprintf(stderr, "escape-parked: %s\n", e.text);
	return r < 0 ? 1 : r;
}

static int
parse(char **argv, struct sandbox_limits *l, char ***command)
{
	for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++) {
		uint64_t n = 0;

		if (strcmp(*argv, "--json") == 0)
			continue;
		if (argv[1] == NULL || str_to_u64(str_of(argv[1]), &n) < 0)
			return -1;
		if (strcmp(*argv, "--memory") == 0)
			l->memory_bytes = n * MIB;
		else if (strcmp(*argv, "--disk") == 0)
			l->disk_bytes = n * MIB;
		else if (strcmp(*argv, "--pids") == 0)
			l->pids_max = n;
		else
			return -1;
		argv++;
	}
	*command = argv + 1;
	return *argv != NULL && argv[1] != NULL ? 0 : -1;
}

/* The first asks for it (two, for one over the folder), the last gets what was
 * parked in between. */
static int
run(const struct sandbox_limits *l, char **command, struct err *e)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", "HOME=/tmp",
		NULL };
	static const char *const nothing[] = { "/bin/true", NULL };
	const char *program = getenv("PARKED");
	char dir[4096];
	int binary = program != NULL ? open(program, O_PATH | O_CLOEXEC) : -1;
	own_fd int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const bool over = getenv("OVER_FOLDER") != NULL;
	struct sandbox_end end;
	struct sandbox_spec spec = {
		.argv = nothing,
		.envp = env,
		.stdio = { -1, -1, -1 },
		.workspace_fd = folder,
		.workspace_path = getcwd(dir, sizeof(dir)),
		.limits = *l,
	};

	if (binary < 0 || folder < 0 || spec.workspace_path == NULL)
		return err_set(e, "PARKED, or the folder, cannot be opened");
	spec.workspace_path = sandbox_path_for(dir);
	if (sandbox_host_init(&host, binary, e) < 0 ||
	    sandbox_host_many(&host, e) < 0)
		return -1;
	pool_init(&pool, &host);
	for (int i = 0; i < (over ? 2 : 1); i++) {
		if (start_and_wait(&spec, &end, e) < 0)
			return -1;
	}
	(void)pool_tend(&pool, clock_mono_ns());
	spec.argv = (const char *const *)command;
	for (int i = 0; i < 3; i++)
		spec.stdio[i] = i;
	if (start_and_wait(&spec, &end, e) < 0)
		return -1;
	if (pool.hits != 1 || was_over != over)
		return err_set(e, "that was not the parked one");
	return end.kind == END_EXIT ? end.code : 128 + end.code;
}

static int
start_and_wait(
    const struct sandbox_spec *spec, struct sandbox_end *end, struct err *e)
{
	struct sandbox sb;
	int r;

	if (pool_start(&pool, 1, spec, clock_mono_ns(), &sb, e) < 0)
		return -1;
	r = sandbox_reap(&sb, end, e);
	if (r == 0 && end->limit != LIMIT_NONE)
		fprintf(stderr, "paddock: stopped: %s (limit %llu MiB\n",
		    sandbox_limit_name(end->limit),
		    (unsigned long long)(sb.limits.memory_bytes / MIB));
	was_over = sb.park.placed;
	sandbox_fini(&sb);
	return r;
}
