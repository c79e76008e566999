/*
 * cli/sub.h: a command that has subcommands: `paddock token ls`.
 *
 *     static const struct sub subs[] = { { "ls", cmd_ls }, {} };
 *
 *     return sub_main(argc, argv, help, subs);
 *
 * A handler gets its own name as argv[0], as handlers of commands do.
 */
#ifndef CLI_SUB_H
#define CLI_SUB_H

struct sub {
	const char *name; /* NULL: the end of the table */
	int (*run)(int argc, char **argv);
};

/* The one that argv[1] names, or NULL: for commands that are more than these.
 */
const struct sub *sub_find(int argc, char **argv, const struct sub *subs);

/* help is shown for --help without a subcommand. Returns the exit status. */
int sub_main(int argc, char **argv, const char *help, const struct sub *subs);

#endif
