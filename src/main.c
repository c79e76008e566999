/*
 * main.c: what this process is to be; nothing else.
 *
 * The small, static half of paddock: the commands that have to start fast,
 * and PID 1 of every sandbox. All else is the larger half, `paddockd`, which
 * lies beside this program or in ../libexec/paddock.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/stay.h"
#include "init/init.h"
#include "init/mcp.h"
#include "init/park.h"
#include "probe/selftest.h"
#include "sandbox/audit.h"
#include "sandbox/control.h"
#include "sandbox/exec.h"

#ifndef PADDOCK_VERSION
#define PADDOCK_VERSION "unknown"
#endif

static bool is_in_run(char **argv);
static int exec_image(int argc, char **argv);
static int version(int argc, char **argv);
static int become_large_half(char **argv);

int
main(int argc, char **argv, char **envp)
{
	if (argc < 1)
		return 2;
	if (strcmp(argv[0], CONTROL_INIT_NAME) == 0)
		return argc > 1 && strcmp(argv[1], CONTROL_PARK) == 0
		    ? park_main(argv)
		    : init_main(argv, envp);
	if (strcmp(argv[0], AUDIT_READER_NAME) == 0)
		return audit_main();
	if (strcmp(argv[0], STAY_NAME) == 0)
		return stay_main(argc, argv);
	if (argc >= 2 && strcmp(argv[1], "exec") == 0 && !is_in_run(argv)) {
		int status = exec_main(argc - 1, argv + 1, init_main);

		return status == EXEC_IMAGE ? exec_image(argc, argv) : status;
	}
	if (argc >= 2 && strcmp(argv[1], "selftest") == 0)
		return selftest_main(argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[1], "mcp") == 0)
		return mcp_bridge_main(argc - 1, argv + 1);
	if (argc >= 2 &&
	    (strcmp(argv[1], "version") == 0 ||
		strcmp(argv[1], "--version") == 0))
		return version(argc, argv);
	return become_large_half(argv);
}

/* `exec --in RUN`: in the sandbox of a run, which a daemon has. */
static bool
is_in_run(char **argv)
{
	for (char **a = argv + 2; *a != NULL && strcmp(*a, "--") != 0; a++) {
		if (strcmp(*a, "--in") == 0 || strncmp(*a, "--in=", 5) == 0)
			return true;
	}
	return false;
}

static int
version(int argc, char **argv)
{
	if (argc == 2) {
		(void)puts("paddock " PADDOCK_VERSION);
		return 0;
	}
	if (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0) {
		(void)fputs("usage: paddock version\n"
			    "\n"
			    "Prints the version.\n"
			    "\n"
			    "example: paddock version\n",
		    stdout);
		return 0;
	}
	(void)fprintf(stderr,
	    "paddock: version: unknown option %s; see paddock version --help\n",
	    argv[2]);
	return 2;
}

/* The large half finds the image, and executes us again with a descriptor. */
static int
exec_image(int argc, char **argv)
{
	char **all = calloc((size_t)argc + 2, sizeof(*all));
	static char image[] = "image";
	int status;

	if (all == NULL)
		return 1;
	all[0] = argv[0];
	all[1] = image;
	memcpy(all + 2, argv + 1, (size_t)argc * sizeof(*all)); /* and NULL */
	status = become_large_half(all);
	free(all);
	return status;
}

/* The exit status when it cannot be executed. */
static int
become_large_half(char **argv)
{
	static const char *const places[] = { "paddockd",
		"../libexec/paddock/paddockd" };
	char self[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0) {
		(void)fprintf(stderr, "paddock: read /proc/self/exe: %s\n",
		    strerror(errno));
		return 1;
	}
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", self, places[i]);
		(void)execv(path, argv);
		if (errno != ENOENT) {
			(void)fprintf(stderr, "paddock: execute %s: %s\n", path,
			    strerror(errno));
			return 1;
		}
	}
	(void)fprintf(stderr,
	    "paddock: no paddockd beside %s/paddock or in "
	    "../libexec/paddock: install both programs\n",
	    self);
	return 1;
}
