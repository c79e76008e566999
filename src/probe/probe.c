#include "probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROBE_SECONDS = 20 };

static const struct probe *const tables[] = { probes_files, probes_overlay,
	probes_kernel, probes_ipc, probes_net, probes_limits, probes_memory };

/* Of the process that tries; the caller shares the memory. */
static struct probe_result *result;

static void step_aside(void);
static void judge_end(int status, struct probe_result *r);
static int say(enum probe_outcome o, int error, const char *fmt, va_list ap);
static bool run_one(char *text);

const struct probe *
probe_at(size_t n)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct probe *p = tables[t]; p->name != NULL; p++) {
			if (n-- == 0)
				return p;
		}
	}
	return NULL;
}

const struct probe *
probe_find(const char *name)
{
	const struct probe *p = NULL;

	for (size_t n = 0; (p = probe_at(n)) != NULL; n++) {
		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

const char *
probe_outcome_name(enum probe_outcome o)
{
	switch (o) {
	case PROBE_HELD:
		return "held";
	case PROBE_OPEN:
		return "open";
	case PROBE_NOT_HERE:
		return "not_applicable";
	case PROBE_KNOWN:
		return "known_limitation";
	case PROBE_OUTCOMES:
		break;
	}
	return "unknown";
}

/* Not a pipe: what a probe finds open is to be the sandbox's doing. Where
 * memory is not shared without a file, it is of a file. */
static void *
shared_room(void)
{
	void *room = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd;

	if (room != MAP_FAILED)
		return room;
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*result)) < 0)
		return MAP_FAILED;
	room = mmap(
	    NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	return room;
}

void
probe_run(const struct probe *p, const char *argument, struct probe_result *out)
{
	int status = 0;
	pid_t pid;

	*out = (struct probe_result){ .outcome = PROBE_OPEN };
	result = shared_room();
	if (result == MAP_FAILED) {
		(void)snprintf(out->detail, sizeof(out->detail), "no memory");
		return;
	}
	if (p == NULL)
		abort();
	result->outcome = PROBE_OUTCOMES; /* until it says */
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)alarm(PROBE_SECONDS);
		step_aside();
		(void)p->run(argument);
		(void)fflush(stdout);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	*out = *result;
	(void)munmap(result, sizeof(*result));
	if (pid < 0) {
		out->outcome = PROBE_NOT_HERE;
		out->error = errno;
		(void)snprintf(out->detail, sizeof(out->detail), "no process");
	} else if (out->outcome == PROBE_OUTCOMES) {
		judge_end(status, out);
	}
}

/*
 * Where a probe works, it must not touch the mounts or the names of the
 * machine: whoever may do that may also leave them first. A sandbox refuses
 * this, and then it is the sandbox that is tried.
 */
static void
step_aside(void)
{
	enum { PRIVATE = 1 << 18, RECURSIVE = 1 << 14 };

	if (syscall(SYS_unshare, CLONE_NEWNS | CLONE_NEWUTS) == 0 &&
	    syscall(SYS_mount, NULL, "/", NULL, PRIVATE | RECURSIVE, NULL) < 0)
		_exit(2); /* on a copy that is not one */
}

/* It ended without a word: by whose hand? */
static void
judge_end(int status, struct probe_result *r)
{
	int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	r->error = 0;
	r->outcome = PROBE_OPEN;
	if (signo == SIGSYS || signo == SIGKILL || signo == SIGXCPU ||
	    signo == SIGXFSZ)
		r->outcome = PROBE_HELD;
	if (signo == 0 && WEXITSTATUS(status) != 0)
		r->outcome = PROBE_NOT_HERE;
	(void)snprintf(r->detail, sizeof(r->detail), "%s %d",
	    signo != 0 ? "ended by signal" : "ended with status",
	    signo != 0 ? signo : WEXITSTATUS(status));
}

void
probe_print(const struct probe *p, const struct probe_result *r)
{
	if (p == NULL)
		abort();
	(void)printf("{\"probe\":\"%s\",\"id\":%u,\"outcome\":\"%s\","
		     "\"detail\":\"",
	    p->name, p->id, probe_outcome_name(r->outcome));
	for (const char *c = r->detail; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
			(void)printf("\\u%04x", (unsigned char)*c);
		else
			(void)printf(
			    *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	}
	(void)printf("\",\"errno\":%d}\n", r->error);
	(void)fflush(stdout);
}

int
probe_main(int argc, char **argv)
{
	const struct probe *p = NULL;
	struct probe_result r;
	bool all = argc == 2 && strcmp(argv[1], "--all") == 0;
	bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
	int status = 0;

	if (argc < 2)
		return 2;
	for (size_t n = 0; (all || list) && (p = probe_at(n)) != NULL; n++) {
		if (list && (p->flags & PROBE_SERVER) == 0)
			(void)printf("%u %s%s\n", p->id, p->name,
			    (p->flags & PROBE_PLAIN) != 0 ? " selftest" : "");
		if (list || (p->flags & PROBE_PLAIN) == 0)
			continue;
		probe_run(p, "", &r);
		probe_print(p, &r);
		if (r.outcome == PROBE_OPEN)
			status = 1;
	}
	if (all || list)
		return status;
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (equals != NULL)
			*equals = '\0';
		p = probe_find(argv[i]);
		if (equals != NULL)
			*equals = '=';
		if (p == NULL) {
			(void)fprintf(stderr, "no probe %s\n", argv[i]);
			return 2;
		}
		if ((p->flags & PROBE_SERVER) != 0)
			return p->run(equals != NULL ? equals + 1 : "");
		if (run_one(argv[i]))
			status = 1;
	}
	return status;
}

/* "NAME" or "NAME=ARGUMENT", which is there. True when it is open. */
static bool
run_one(char *text)
{
	char *equals = strchr(text, '=');
	const struct probe *p;
	struct probe_result r;

	if (equals != NULL)
		*equals = '\0';
	p = probe_find(text);
	probe_run(p, equals != NULL ? equals + 1 : "", &r);
	probe_print(p, &r);
	return r.outcome == PROBE_OPEN;
}

static int
say(enum probe_outcome o, int error, const char *fmt, va_list ap)
{
	result->error = error;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)vsnprintf(result->detail, sizeof(result->detail), fmt, ap);
#pragma GCC diagnostic pop
	result->outcome = o;
	return o == PROBE_OPEN;
}

int
held(const char *fmt, ...)
{
	int saved = errno, r;
	va_list ap;

	va_start(ap, fmt);
	r = say(PROBE_HELD, saved, fmt, ap);
	va_end(ap);
	return r;
}

int
open_(const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = say(PROBE_OPEN, 0, fmt, ap);
	va_end(ap);
	return r;
}

int
not_here(const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = say(PROBE_NOT_HERE, 0, fmt, ap);
	va_end(ap);
	return r;
}

int
known(const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = say(PROBE_KNOWN, 0, fmt, ap);
	va_end(ap);
	return r;
}

int
try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}
