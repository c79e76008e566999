#include "cli/sub.h"

#include <string.h>

#include "base/buf.h"
#include "cli/args.h"
#include "core/suggest.h"

static int missing(const struct args *a, const struct sub *subs);
static int unknown(
    const struct args *a, const char *name, const struct sub *subs);
static void put_names(
    struct buf *out, const struct sub *subs, const char *last);

int
sub_main(int argc, char **argv, const char *help, const struct sub *subs)
{
	static const struct option none[] = { ARGS_HELP, {} };
	const struct sub *s = sub_find(argc, argv, subs);
	struct args a;
	int c;

	if (s != NULL)
		return s->run(argc - 1, argv + 1);
	args_init(&a, argc, argv, help, none);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
	}
	return args_count(&a) == 0 ? missing(&a, subs)
				   : unknown(&a, args_rest(&a)[0], subs);
}

const struct sub *
sub_find(int argc, char **argv, const struct sub *subs)
{
	for (const struct sub *s = subs; argc > 1 && s->name != NULL; s++) {
		if (strcmp(argv[1], s->name) == 0)
			return s;
	}
	return NULL;
}

static int
missing(const struct args *a, const struct sub *subs)
{
	own_buf struct buf names = {};

	put_names(&names, subs, " or ");
	return args_bad(a, "%s is missing", buf_c(&names));
}

static int
unknown(const struct args *a, const char *name, const struct sub *subs)
{
	struct suggest near = suggest_for(str_of(name));
	own_buf struct buf names = {};

	for (const struct sub *s = subs; s->name != NULL; s++)
		suggest_try(&near, str_of(s->name));
	if (near.best.n > 0)
		return args_bad(a, "unknown subcommand %s; did you mean %.*s?",
		    name, STR_FMT(near.best));
	put_names(&names, subs, ", ");
	return args_bad(
	    a, "unknown subcommand %s; there are %s", name, buf_c(&names));
}

/* "a, b or c": last stands before the last one. */
static void
put_names(struct buf *out, const struct sub *subs, const char *last)
{
	for (const struct sub *s = subs; s->name != NULL; s++) {
		if (s != subs)
			buf_add_c(out, s[1].name == NULL ? last : ", ");
		buf_add_c(out, s->name);
	}
}
