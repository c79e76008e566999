/*
 * bench_spawn [--runs N] [--json] COMMAND... [--vs COMMAND...]...
 *
 * Times commands from before they are started until they have ended. They
 * take turns, so that each run of one has a run of every other beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "sample.h"

enum {
	COMMANDS_MAX = 8,
	WARM = 10, /* runs of each that are not counted */
};

struct bench {
	char **command[COMMANDS_MAX];
	struct sample took[COMMANDS_MAX];
	/* Pair by pair, the first command's time is 1. In thousandths. */
	struct sample ratio[COMMANDS_MAX];
	size_t n;
	uint64_t runs;
	bool json;
};

static int read_options(struct bench *b, char **argv);
static int once(char **argv, const posix_spawn_file_actions_t *quiet,
    int64_t *ns, struct err *e);
static int run(struct bench *b, struct err *e);
static void print_json(struct bench *b);

int
main(int argc, char **argv)
{
	static struct bench b = { .runs = 300 };
	struct err e = {};

	(void)argc;
	if (read_options(&b, argv + 1) < 0) {
		fprintf(stderr,
		    "usage: bench_spawn [--runs N] [--json] COMMAND... "
		    "[--vs COMMAND...]...\n");
		return 2;
	}
	if (run(&b, &e) < 0) {
		fprintf(stderr, "bench_spawn: %s\n", e.text);
		return 1;
	}
	if (b.json) {
		print_json(&b);
	} else {
		sample_head();
		for (size_t i = 0; i < b.n; i++)
			sample_row(&b.took[i], b.command[i][0]);
		for (size_t i = 1; i < b.n; i++)
			printf("%s takes %.2f times as long (median of pairs; "
			       "nine of ten between %.2f and %.2f)\n",
			    b.command[i][0], sample_us(&b.ratio[i], 500),
			    sample_us(&b.ratio[i], 50),
			    sample_us(&b.ratio[i], 950));
	}
	for (size_t i = 0; i < b.n; i++) {
		sample_fini(&b.took[i]);
		sample_fini(&b.ratio[i]);
	}
	return 0;
}

static int
read_options(struct bench *b, char **argv)
{
	for (; *argv != NULL; argv++) {
		if (strcmp(*argv, "--json") == 0)
			b->json = true;
		else if (strcmp(*argv, "--runs") != 0)
			break;
		else if (argv[1] == NULL ||
		    str_to_u64(str_of(*++argv), &b->runs) < 0 || b->runs == 0)
			return -1;
	}
	while (*argv != NULL) {
		if (b->n == COMMANDS_MAX || strcmp(*argv, "--vs") == 0)
			return -1;
		b->command[b->n++] = argv;
		while (*argv != NULL && strcmp(*argv, "--vs") != 0)
			argv++;
		if (*argv == NULL)
			break;
		*argv++ = NULL;
		if (*argv == NULL)
			return -1;
	}
	return b->n > 0 ? 0 : -1;
}

static int
once(char **argv, const posix_spawn_file_actions_t *quiet, int64_t *ns,
    struct err *e)
{
	int64_t began = clock_mono_ns();
	int status, rc;
	pid_t pid;

	rc = posix_spawnp(&pid, argv[0], quiet, NULL, argv, environ);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "%s", argv[0]);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	*ns = clock_mono_ns() - began;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, "%s: wait status %#x", argv[0], status);
	return 0;
}

static int
run(struct bench *b, struct err *e)
{
	posix_spawn_file_actions_t quiet; /* our output is the result's */

	(void)posix_spawn_file_actions_init(&quiet);
	(void)posix_spawn_file_actions_addopen(
	    &quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	for (uint64_t i = 0; i < WARM + b->runs; i++) {
		int64_t ns[COMMANDS_MAX];

		for (size_t k = 0; k < b->n; k++)
			if (once(b->command[k], &quiet, &ns[k], e) < 0)
				return -1;
		for (size_t k = 0; k < b->n && i >= WARM; k++) {
			sample_add(&b->took[k], ns[k]);
			/* sample_us() of a ratio in thousandths is the ratio.
			 */
			sample_add(&b->ratio[k], 1000 * ns[k] / ns[0]);
		}
	}
	(void)posix_spawn_file_actions_destroy(&quiet);
	return 0;
}

static void
print_json(struct bench *b)
{
	own_buf struct buf out = {};

	buf_add_byte(&out, '[');
	for (size_t i = 0; i < b->n; i++) {
		buf_add_c(&out, i > 0 ? ",{\"took\":" : "{\"took\":");
		sample_json(&b->took[i], &out);
		buf_printf(&out,
		    ",\"ratio\":{\"p5\":%.3f,\"p50\":%.3f,\"p95\":%.3f}}",
		    sample_us(&b->ratio[i], 50), sample_us(&b->ratio[i], 500),
		    sample_us(&b->ratio[i], 950));
	}
	printf("%s]\n", buf_c(&out));
}
