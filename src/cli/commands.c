#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/out.h"
#include "core/suggest.h"

/* The other half of the program answers these before we are asked. */
#define IN_SMALL_HALF NULL

static const struct command {
	const char *group; /* heading of `help`, before its first row */
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "Run something", "run", "run a command under a policy", cmd_run },
	{ NULL, "exec", "run a command in a sandbox of its own, or in a run's",
	    cmd_exec },
	{ NULL, "mcp", "MCP over standard input and output, inside a run",
	    IN_SMALL_HALF },
	{ NULL, "serve", "run the daemon", cmd_serve },

	{ "Sandboxes", "sandbox", "make, list and remove sandboxes that stay",
	    cmd_sandbox },
	{ NULL, "files", "get, put, list and watch files of a run", cmd_files },
	{ NULL, "diff", "what a run has changed in its work folder", cmd_diff },
	{ NULL, "port", "reach a TCP port inside a sandbox", cmd_port },
	{ NULL, "snapshot", "keep what an open run has come to", cmd_snapshot },
	{ NULL, "fork", "open runs that begin where another one was",
	    cmd_fork },

	{ "Watch and stop", "ps", "list runs", cmd_ps },
	{ NULL, "top", "what sandboxes use, as it changes", cmd_top },
	{ NULL, "pause", "freeze runs where they are", cmd_pause },
	{ NULL, "resume", "let paused runs go on", cmd_resume },
	{ NULL, "stop", "stop runs in good order", cmd_stop },
	{ NULL, "kill", "kill runs at once, whatever else is broken",
	    cmd_kill },

	{ "Decide", "approvals", "list what waits for a person",
	    cmd_approvals },
	{ NULL, "approve", "let a waiting call go ahead, once", cmd_approve },
	{ NULL, "reject", "refuse a waiting call", cmd_reject },
	{ NULL, "server", "what tool servers say, and whether it is accepted",
	    cmd_server },
	{ NULL, "token", "tokens of people and services", cmd_token },

	{ "Look closer", "trace", "show and verify what runs did", cmd_trace },
	{ NULL, "replay", "step through a run, or judge it by another policy",
	    cmd_replay },
	{ NULL, "egress", "what runs wanted to reach", cmd_egress },
	{ NULL, "secret", "secrets of runs, never their values", cmd_secret },
	{ NULL, "policy", "check, explain and test policies", cmd_policy },
	{ NULL, "image", "root directories for sandboxes", cmd_image },
	{ NULL, "doctor", "what this machine can enforce", cmd_doctor },
	{ NULL, "selftest", "try to get out of a sandbox on this machine",
	    IN_SMALL_HALF },
	{ NULL, "version", "print the version", IN_SMALL_HALF },
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int help(void);
static int unknown(const char *name);

int
command_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";

	if (strcmp(name, "help") == 0 && argc > 2) {
		/* `help run` is `run --help`. */
		static char option[] = "--help";

		argv[1] = argv[2];
		argv[2] = option;
		argc = 3;
		name = argv[1];
	}
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 ||
	    strcmp(name, "-h") == 0) {
		int status = help();

		return argc > 1 ? status : EXIT_USAGE;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (commands[i].run != IN_SMALL_HALF)
			return commands[i].run(argc - 1, argv + 1);
		out_note("%s is part of the program paddock, not of paddockd: "
			 "paddock %s",
		    name, name);
		return EXIT_USAGE;
	}
	return unknown(name);
}

static int
unknown(const char *name)
{
	struct suggest s = suggest_for(str_of(name));

	for (size_t i = 0; i < N_COMMANDS; i++)
		suggest_try(&s, str_of(commands[i].name));
	if (s.best.n > 0)
		out_note("unknown command %s; did you mean %.*s? (paddock "
			 "help)",
		    name, STR_FMT(s.best));
	else
		out_note("unknown command %s; see paddock help", name);
	return EXIT_USAGE;
}

static int
help(void)
{
	own_buf struct buf b = {};

	buf_add_c(&b,
	    "paddock runs AI agents inside an enforced boundary.\n"
	    "\n"
	    "usage: paddock COMMAND [OPTIONS] [ARGUMENTS]\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (commands[i].group != NULL)
			buf_printf(&b, "\n%s\n", commands[i].group);
		buf_printf(
		    &b, "  %-10s  %s\n", commands[i].name, commands[i].help);
	}
	buf_add_c(&b,
	    "\n"
	    "paddock COMMAND --help says more; paddock(1) says all.\n");
	return out_write(&b);
}
