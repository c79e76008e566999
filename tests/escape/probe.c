/*
 * tests/escape/probe.c: one attempt to get out, by name.
 *
 *     probe NAME [ARGUMENT]
 *
 * Exit status 0: held, the attempt was refused; 1: open, it worked; 2: usage.
 * One line on standard output says what happened. escape.test.js runs each
 * inside, where it has to be held, and most outside, where it has to be open:
 * otherwise the attempt itself would prove nothing.
 */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct probe *const tables[] = { probes_files, probes_kernel,
	probes_limits, probes_net };

int
main(int argc, char **argv)
{
	const char *argument = argc > 2 ? argv[2] : "";

	if (argc < 2)
		return 2;
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct probe *p = tables[t]; p->name != NULL; p++) {
			if (strcmp(p->name, argv[1]) == 0)
				return p->run(argument);
		}
	}
	(void)fprintf(stderr, "probe: no probe %s\n", argv[1]);
	return 2;
}

int
held(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	(void)fputs("held: ", stdout);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf(" (%s)\n", strerror(saved));
	return 0;
}

int
open_(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("open: ", stdout);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)puts("");
	return 1;
}

int
try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}
