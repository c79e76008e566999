/*
 * cli/args.h: a subcommand's options: getopt_long, and one way to complain.
 *
 *     static const struct option options[] = { { "json", no_argument, NULL,
 *         'j' }, ARGS_HELP, {} };
 *
 *     while ((c = args_next(&a)) != ARGS_END)
 *             switch (c) {
 *             case 'j': ...
 *             case ARGS_STOP: return a.exit;
 *             }
 *
 * Options may stand before and after other arguments. A command after "--" is
 * never looked at: a.command begins behind it.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	ARGS_END = -1,
	ARGS_STOP = 1, /* help was given, or a complaint: return a.exit */
	ARGS_ENV_MAX = 1024, /* of --env: ARGV_MAX_BYTES bounds their text */
	ARGS_MANY = 4096, /* as many as one likes: args_need */
};

#define ARGS_HELP                              \
	{                                      \
		"help", no_argument, NULL, 'h' \
	}

struct args {
	const char *name; /* of the subcommand, for messages */
	const char *help; /* all of its --help */
	const struct option *options; /* ends with a row of zeros */
	const char *shorts; /* as getopt takes them, ":h..."; NULL: only -h */

	int argc; /* without the command behind "--" */
	char **argv;
	char **command; /* behind "--"; NULL when there is no "--" */
	int exit;
};

/* Prepares to read argv; argv[0] is the name of the subcommand. */
void args_init(struct args *a, int argc, char **argv, const char *help,
    const struct option *options);

/* The next option's value (its argument is optarg), or ARGS_*. */
int args_next(struct args *a);

/* The --env of a command. */
struct args_env {
	const char *of[ARGS_ENV_MAX]; /* "K=V" */
	size_t n;
};

/* Takes optarg as one more. 0, or the exit after a complaint. */
int args_env_add(const struct args *a, struct args_env *env);

/* What is left after ARGS_END: the arguments that are no options. */
int args_count(const struct args *a);
char *const *args_rest(const struct args *a);

/*
 * EXIT_USAGE after one line that ends in how to get help. For what getopt
 * cannot know: too few arguments, a number that is none.
 */
int args_bad(const struct args *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Complains unless there are from min to max arguments left. 0, or the exit. */
int args_need(const struct args *a, int min, int max, const char *what);
/* Complains when name is not one that a run can have. 0, or the exit. */
int args_run(const struct args *a, const char *name);
/* Complains unless names of runs are left, one or more, or nothing. Likewise.
 */
int args_runs(const struct args *a, bool some);

#endif
