/*
 * probe/selftest.c: each probe runs under `paddock exec`, as users have it.
 *
 * What the probes are to reach outside is made here first: a file, a process,
 * sockets. The inner half is this program again, at its place in the sandbox,
 * with the argument --inside; it writes a line per probe.
 */
#include "probe/selftest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "probe/probe.h"
#include "sandbox/control.h"
#include "sys/fd.h"

#define INSIDE "--inside"

enum {
	ARGS_MAX = 96,
	TEXT_MAX = 32 * 1024, /* what one sandbox may write */
	GROUPS = 4,
};

struct selftest {
	bool json, quick;
	char folder[64]; /* of the host; the marker lies in it */
	char work[96]; /* the work folder, below it */
	char marker[96];
	char inside[ARGS_MAX][128]; /* arguments with values of this machine */
	unsigned n[GROUPS][PROBE_OUTCOMES];
	int listener, datagrams, abstract;
};

static const char usage_text[] =
    "usage: paddock selftest [--quick] [--json]\n"
    "\n"
    "Tries to get out of a sandbox on this machine, in every way that suits\n"
    "any machine, and says what holds. docs/ESCAPES.md lists the attempts.\n"
    "\n"
    "  --quick   without those that use up memory, disk and processes\n"
    "  --json    a line per attempt, and one with the figures\n"
    "\n"
    "The exit status is 1 when anything is open.\n"
    "\n"
    "example: paddock selftest --quick\n";

static const char *const groups[GROUPS] = { "files", "processes", "network",
	"limits" };

static int parse(int argc, char **argv, struct selftest *t);
static int inside(int argc, char **argv);
static int prepare(struct selftest *t);
static int listen_here(struct selftest *t, uint16_t *port, uint16_t *udp_port);
static void clean(struct selftest *t);
static int try_plain(struct selftest *t);
static int try_bombs(struct selftest *t);
static int try_host(struct selftest *t);
static int run(struct selftest *t, const char *const options[],
    const char *const args[], char text[static TEXT_MAX]);
static void take_lines(struct selftest *t, char *text);
static void count(
    struct selftest *t, const struct probe *p, const struct probe_result *r);
static int tell(const struct selftest *t, int64_t started_ns);
static int failed(const char *what);

int
selftest_main(int argc, char **argv)
{
	static struct selftest t;
	int64_t started_ns = clock_mono_ns();
	int r;

	if (argc > 1 && strcmp(argv[1], INSIDE) == 0)
		return inside(argc - 1, argv + 1);
	r = parse(argc, argv, &t);
	if (r >= 0)
		return r;
	t.listener = -1;
	t.datagrams = -1;
	t.abstract = -1;
	r = prepare(&t);
	if (r == 0)
		r = try_plain(&t);
	if (r == 0)
		r = try_host(&t);
	if (r == 0 && !t.quick)
		r = try_bombs(&t);
	clean(&t);
	return r == 0 ? tell(&t, started_ns) : 1;
}

/* -1 to go on, else the exit status. */
static int
parse(int argc, char **argv, struct selftest *t)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0) {
			(void)fputs(usage_text, stdout);
			return 0;
		}
		if (strcmp(argv[i], "--json") == 0) {
			t->json = true;
		} else if (strcmp(argv[i], "--quick") == 0) {
			t->quick = true;
		} else {
			(void)fprintf(stderr,
			    "paddock: selftest: unknown option %s\n"
			    "Try: paddock selftest --help\n",
			    argv[i]);
			return 2;
		}
	}
	return -1;
}

/* In the sandbox: a line per probe, in the order of the arguments. */
static int
inside(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');
		const struct probe *p;
		struct probe_result r;

		if (equals != NULL)
			*equals = '\0';
		p = probe_find(argv[i]);
		if (p == NULL)
			return 2;
		probe_run(p, equals != NULL ? equals + 1 : "", &r);
		for (char *c = r.detail; *c != '\0'; c++) {
			if (*c == '\t' || *c == '\n')
				*c = ' ';
		}
		(void)printf(
		    "%s\t%d\t%d\t%s\n", p->name, r.outcome, r.error, r.detail);
		(void)fflush(stdout);
	}
	return 0;
}

/* A place of our own, and what is to be out of reach. */
static int
prepare(struct selftest *t)
{
	static const char secret[] = "of the host";
	const char *tmp = getenv("TMPDIR");
	own_fd int fd = -1;
	int n = snprintf(t->folder, sizeof(t->folder),
	    "%s/paddock-selftest-XXXXXX", tmp != NULL ? tmp : "/tmp");

	if (n >= (int)sizeof(t->folder) || mkdtemp(t->folder) == NULL) {
		t->folder[0] = '\0';
		return failed("make a folder");
	}
	(void)snprintf(t->work, sizeof(t->work), "%s/work", t->folder);
	(void)snprintf(t->marker, sizeof(t->marker), "%s/marker", t->folder);
	if (mkdir(t->work, 0755) < 0 || chmod(t->folder, 0755) < 0)
		return failed("make a work folder");
	fd = open(t->marker, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, secret, sizeof(secret)) < 0)
		return failed("write a file");
	if (setenv("PADDOCK_SECRET", "of the caller", 1) < 0)
		return failed("setenv");
	return 0;
}

/* A TCP listener, a UDP socket and an abstract one that nobody answers on. */
static int
listen_here(struct selftest *t, uint16_t *port, uint16_t *udp_port)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_in udp = at;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(at);

	t->datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	t->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t->abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1,
	    "paddock-selftest-%d", (int)getpid());
	if (t->listener < 0 || t->abstract < 0 || t->datagrams < 0 ||
	    bind(t->datagrams, (struct sockaddr *)&udp, sizeof(udp)) < 0 ||
	    getsockname(t->datagrams, (struct sockaddr *)&udp, &size) < 0 ||
	    bind(t->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(t->listener, 8) < 0 ||
	    getsockname(t->listener, (struct sockaddr *)&at, &size) < 0 ||
	    bind(t->abstract, (struct sockaddr *)&name,
		(socklen_t)(sizeof(name.sun_family) + 1 +
		    strlen(name.sun_path + 1))) < 0 ||
	    listen(t->abstract, 8) < 0)
		return failed("listen on a socket");
	*port = ntohs(at.sin_port);
	*udp_port = ntohs(udp.sin_port);
	return 0;
}

static void
clean(struct selftest *t)
{
	fd_fini(&t->listener);
	fd_fini(&t->datagrams);
	fd_fini(&t->abstract);
	if (t->folder[0] == '\0')
		return;
	(void)unlink(t->marker);
	(void)rmdir(t->work);
	(void)rmdir(t->folder);
}

/* All that need no limit of their own, in one sandbox. */
static int
try_plain(struct selftest *t)
{
	static const char *const options[] = { NULL };
	static char text[TEXT_MAX];
	const char *args[ARGS_MAX + 1];
	const struct probe *p = NULL;
	const int pid = (int)getpid();
	uint16_t port = 0, udp_port = 0;
	size_t n = 0, made = 0;

	if (listen_here(t, &port, &udp_port) < 0)
		return -1;
	for (size_t i = 0; (p = probe_at(i)) != NULL && n < ARGS_MAX; i++) {
		if ((p->flags & PROBE_PLAIN) != 0)
			args[n++] = p->name;
	}
#define ADD(...)                                                            \
	(void)snprintf(t->inside[made], sizeof(t->inside[0]), __VA_ARGS__); \
	args[n++] = t->inside[made++]
	if (n + 10 > ARGS_MAX)
		return failed("name all probes");
	ADD("read_path=%s", t->marker);
	ADD("link_out=%s", t->marker);
	ADD("read_path=/proc/%d/environ", pid);
	ADD("host_process=%d", pid);
	ADD("abstract_socket=paddock-selftest-%d", pid);
	ADD("connect_to=127.0.0.1:%u", port);
	ADD("udp_listener=127.0.0.1:%u", udp_port);
	ADD("connect_to=169.254.169.254:80");
	ADD("connect_to=192.0.2.1:80");
	ADD("udp_packet=192.0.2.1");
#undef ADD
	args[n] = NULL;
	if (run(t, options, args, text) != 0)
		return failed("start a sandbox");
	take_lines(t, text);
	return 0;
}

/* Each in a small sandbox of its own, whose end may be the answer. */
static int
try_bombs(struct selftest *t)
{
	static const char *const options[] = { "--memory", "64", "--disk", "16",
		"--pids", "64", NULL };
	static const char *const bombs[] = { "memory_bomb=300", "memory_file",
		"shared_memory", "page_tables", "pipe_buffers",
		"socket_buffers", "fork_bomb", "thread_bomb", "zombies",
		"disk_fill=/tmp", "disk_fill=.", "disk_fill=/dev/shm",
		"inode_fill=/tmp", "inode_fill=.", "sparse_file=.",
		"reserved_space", "pending_signals", "kernel_objects" };
	static char text[TEXT_MAX];

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		const char *const args[] = { bombs[i], NULL };
		struct probe_result r = { .outcome = PROBE_HELD };
		char name[32];
		int status;

		(void)snprintf(name, sizeof(name), "%.*s",
		    (int)strcspn(bombs[i], "="), bombs[i]);
		status = run(t, options, args, text);
		if (text[0] != '\0') {
			take_lines(t, text);
			continue;
		}
		/* The whole run was ended for it, PID 1 and all. */
		(void)snprintf(
		    r.detail, sizeof(r.detail), "the run ended: %d", status);
		if (status != 128 + SIGKILL)
			r.outcome = PROBE_OPEN;
		count(t, probe_find(name), &r);
	}
	return 0;
}

/* What only the outside can tell: is anything left, or changed? */
static int
try_host(struct selftest *t)
{
	static const char *const options[] = { NULL };
	const struct probe left = { 36, "orphan", NULL, 0 };
	const struct probe same = { 2, "host_file", NULL, 0 };
	struct probe_result r = { .outcome = PROBE_HELD };
	static char text[TEXT_MAX];
	char mark[48], arg[64], path[300], line[256];
	const char *const args[] = { arg, NULL };
	struct dirent *d;
	struct stat st;
	DIR *proc;

	(void)snprintf(mark, sizeof(mark), "selftest-%d", (int)getpid());
	(void)snprintf(arg, sizeof(arg), "orphan=%s", mark);
	(void)run(t, options, args, text);
	proc = opendir("/proc");
	if (proc == NULL)
		return failed("open /proc");
	(void)snprintf(r.detail, sizeof(r.detail), "no process is left");
	while ((d = readdir(proc)) != NULL) {
		own_fd int fd = -1;
		ssize_t n = -1;

		(void)snprintf(
		    path, sizeof(path), "/proc/%s/cmdline", d->d_name);
		if (d->d_name[0] >= '0' && d->d_name[0] <= '9')
			fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			n = read(fd, line, sizeof(line));
		if (n > 0 &&
		    memmem(line, (size_t)n, mark, strlen(mark)) != NULL) {
			r.outcome = PROBE_OPEN;
			(void)snprintf(r.detail, sizeof(r.detail),
			    "process %.16s is left", d->d_name);
		}
	}
	(void)closedir(proc); /* read only: nothing to lose */
	count(t, &left, &r);

	r.outcome = PROBE_HELD;
	(void)snprintf(r.detail, sizeof(r.detail), "the marker is unchanged");
	if (stat(t->marker, &st) < 0 || st.st_size != sizeof("of the host")) {
		r.outcome = PROBE_OPEN;
		(void)snprintf(
		    r.detail, sizeof(r.detail), "the marker was written");
	}
	count(t, &same, &r);
	return 0;
}

/*
 * `paddock exec OPTIONS --dir WORK -- paddock selftest --inside ARGS`. The exit
 * status, with what it wrote in text; -1 when it could not be started.
 */
static int
run(struct selftest *t, const char *const options[], const char *const args[],
    char text[static TEXT_MAX])
{
	const char *argv[ARGS_MAX + 32] = { "paddock", "exec" };
	own_fd int out = (int)syscall(SYS_memfd_create, "selftest", 1);
	size_t n = 2, got = 0;
	ssize_t r = 0;
	int status = 0;
	pid_t pid;

	text[0] = '\0';
	for (size_t i = 0; options[i] != NULL; i++)
		argv[n++] = options[i];
	argv[n++] = "--dir";
	argv[n++] = t->work;
	argv[n++] = "--wall";
	argv[n++] = "30";
	argv[n++] = "--";
	argv[n++] = CONTROL_BINARY;
	argv[n++] = "selftest";
	argv[n++] = INSIDE;
	for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
		argv[n++] = args[i];
	argv[n] = NULL;
	if (out < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		/* Warnings about weaker limits are told by `exec` itself; a
		 * failure to start shows as the lack of any line. */
		if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0)
			_exit(126);
		if (args[1] == NULL && dup2(null, 2) < 0)
			_exit(126);
		(void)syscall(SYS_execve, "/proc/self/exe", argv, environ);
		_exit(126);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (pid < 0)
		return -1;
	while (got < TEXT_MAX - 1 && r >= 0) {
		r = pread(out, text + got, TEXT_MAX - 1 - got, (off_t)got);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	text[got] = '\0';
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* "NAME\tOUTCOME\tERRNO\tDETAIL" each, from a program inside: believed no
 * further than a number in its range. */
static void
take_lines(struct selftest *t, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		struct probe_result r = {};
		const struct probe *p = probe_find(strsep(&line, "\t"));
		const char *outcome = strsep(&line, "\t");
		const char *error = strsep(&line, "\t");
		long o;

		if (p == NULL || line == NULL)
			continue;
		o = strtol(outcome, NULL, 10);
		r.outcome = o >= 0 && o < PROBE_OUTCOMES ? (enum probe_outcome)o
							 : PROBE_OPEN;
		r.error = (int)strtol(error, NULL, 10);
		(void)snprintf(r.detail, sizeof(r.detail), "%s", line);
		count(t, p, &r);
	}
}

static void
count(struct selftest *t, const struct probe *p, const struct probe_result *r)
{
	int group = p->id <= 24 ? 0 : p->id <= 45 ? 1 : p->id <= 56 ? 2 : 3;

	t->n[group][r->outcome]++;
	if (t->json)
		probe_print(p, r);
	else if (r->outcome != PROBE_HELD)
		(void)printf("%-16s %2u %s: %s\n",
		    probe_outcome_name(r->outcome), p->id, p->name, r->detail);
}

static int
tell(const struct selftest *t, int64_t started_ns)
{
	unsigned all[PROBE_OUTCOMES] = {};
	unsigned ms =
	    (unsigned)((clock_mono_ns() - started_ns) / (1000 * 1000));

	if (!t->json)
		(void)printf("\n%-10s %5s %5s %6s %9s\n", "group", "held",
		    "open", "known", "not here");
	for (int g = 0; g < GROUPS; g++) {
		const unsigned *n = t->n[g];

		for (int o = 0; o < PROBE_OUTCOMES; o++)
			all[o] += n[o];
		if (!t->json)
			(void)printf("%-10s %5u %5u %6u %9u\n", groups[g],
			    n[PROBE_HELD], n[PROBE_OPEN], n[PROBE_KNOWN],
			    n[PROBE_NOT_HERE]);
	}
	if (t->json)
		(void)printf("{\"held\":%u,\"open\":%u,"
			     "\"known_limitation\":%u,\"not_applicable\":%u,"
			     "\"ms\":%u}\n",
		    all[PROBE_HELD], all[PROBE_OPEN], all[PROBE_KNOWN],
		    all[PROBE_NOT_HERE], ms);
	else
		(void)printf("%u of %u attempts held, %u open, in %u ms\n",
		    all[PROBE_HELD], all[PROBE_HELD] + all[PROBE_OPEN],
		    all[PROBE_OPEN], ms);
	/* Nothing tried is nothing shown. */
	return all[PROBE_OPEN] > 0 || all[PROBE_HELD] == 0 ? 1 : 0;
}

static int
failed(const char *what)
{
	(void)fprintf(stderr, "paddock: selftest: cannot %s: %s\n", what,
	    errno != 0 ? strerror(errno) : "too many");
	return -1;
}
