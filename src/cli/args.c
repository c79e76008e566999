#include "cli/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/out.h"
#include "core/id.h"
#include "core/suggest.h"

static int complain(struct args *a, int c);
static int unknown_long(struct args *a, const char *word);

void
args_init(struct args *a, int argc, char **argv, const char *help,
    const struct option *options)
{
	*a = (struct args){ .name = argv[0],
		.help = help,
		.options = options,
		.argc = argc,
		.argv = argv };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			a->argc = i;
			a->command = argv + i + 1;
			break;
		}
	}
	/* 0 rather than 1: glibc forgets what it knew of another argv. */
	optind = 0;
	opterr = 0;
}

int
args_next(struct args *a)
{
	int c = getopt_long(a->argc, a->argv,
	    a->shorts != NULL ? a->shorts : ":h", a->options, NULL);

	switch (c) {
	case -1:
		return ARGS_END;
	case 'h':
		(void)fputs(a->help, stdout);
		a->exit = fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
		return ARGS_STOP;
	case '?':
	case ':':
		return complain(a, c);
	default:
		return c;
	}
}

int
args_count(const struct args *a)
{
	return a->argc - optind;
}

char *const *
args_rest(const struct args *a)
{
	return a->argv + optind;
}

int
args_bad(const struct args *a, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	out_note("%s: %s; see paddock %s --help", a->name, text, a->name);
	return EXIT_USAGE;
}

int
args_need(const struct args *a, int min, int max, const char *what)
{
	int n = args_count(a);

	if (a->command != NULL)
		return args_bad(a, "nothing may follow --");
	if (n < min)
		return args_bad(a, "%s is missing", what);
	if (n > max)
		return args_bad(a, "unexpected argument %s", args_rest(a)[max]);
	return 0;
}

int
args_env_add(const struct args *a, struct args_env *env)
{
	const char *equals = strchr(optarg, '=');

	if (equals == NULL || equals == optarg)
		return args_bad(a, "--env %s: not NAME=VALUE", optarg);
	if (env->n == ARGS_ENV_MAX)
		return args_bad(a, "more than %d --env", ARGS_ENV_MAX);
	env->of[env->n++] = optarg;
	return 0;
}

int
args_run(const struct args *a, const char *name)
{
	uint64_t id;

	if (id_parse('r', str_of(name), &id) == 0 && id != 0)
		return 0; /* none has 0, which stands for no run */
	return args_bad(a, "%s is not the name of a run", name);
}

int
args_runs(const struct args *a, bool some)
{
	int status = args_need(a, some ? 1 : 0, some ? ARGS_MANY : 0, "RUN");

	for (int i = 0; i < args_count(a) && status == 0; i++)
		status = args_run(a, args_rest(a)[i]);
	return status;
}

static int
complain(struct args *a, int c)
{
	const char *word = a->argv[optind - 1];

	if (c == ':')
		a->exit = args_bad(a, "%s needs a value", word);
	else if (str_starts(str_of(word), STR("--")))
		a->exit = unknown_long(a, word);
	else
		a->exit = args_bad(a, "unknown option -%c", optopt);
	return ARGS_STOP;
}

static int
unknown_long(struct args *a, const char *word)
{
	struct str name = str_of(word + 2);
	struct suggest s;

	name.n = str_find(name, '=');
	s = suggest_for(name);
	for (const struct option *o = a->options; o->name != NULL; o++)
		suggest_try(&s, str_of(o->name));
	if (s.best.n == 0)
		return args_bad(a, "unknown option %s", word);
	if (str_eq(s.best, name))
		return args_bad(a, "--%.*s takes no value", STR_FMT(s.best));
	return args_bad(a, "unknown option %s; did you mean --%.*s?", word,
	    STR_FMT(s.best));
}
