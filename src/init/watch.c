#include "init/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "init/init.h"
#include "sandbox/control.h"
#include "sys/fd.h"

enum {
	MIB = 1024 * 1024,
	KIB = 1024,
	PATH_BYTES = 640, /* two names of a directory */
	STATUS_BYTES = 8192, /* of one process; the rest says nothing to us */
	SLEEP_MIN_US = 1000,
	SLEEP_MAX_US = 100000,
	/* What one processor can take in a microsecond: 8 GB/s, more than
	 * clearing pages allows on any machine so far. */
	FILL_BYTES_PER_US = 8000,
	/* A pipe beyond what a user's pipes may hold together has two pages
	 * (pipe(7)); a table of descriptors has room for 64 at first. */
	PIPE_BYTES = 2 * 4096,
	FDS_FREE = 64,
	YOUNG_TICKS = 5, /* hundredths of a second */
	EXACT_LOOKS = 2,
	FORKED_NO_EXEC = 0x40, /* PF_FORKNOEXEC of the kernel */
	ALIKE_BYTES = MIB, /* a child that was just forked has no more */
};

struct process {
	uint64_t pid;
	struct watch_status s;
	uint64_t part_bytes; /* of anon_bytes, when looked at exactly */
	bool lends; /* its memory to a child of vfork */
};

struct watch {
	uint64_t limit_bytes;
	uint64_t socket_bytes;
	unsigned processors;
	DIR *proc;
	int disk; /* /tmp */
	int diag; /* CONTROL_DIAG_FD, or -1 */
	struct process *of;
	size_t n, cap;
};

static struct watch watch;

static void *watch_main(void *arg);
static int look(struct watch *w, bool exactly, uint64_t *total);
static int add_processes(struct watch *w, bool exactly, uint64_t *total);
static int add_process(struct watch *w, const char *name);
static int read_status(int proc, const char *name, struct watch_status *out);
static int read_threads(int proc, const char *name, struct watch_status *out);
static bool is_borrower(struct watch *w, const struct process *p);
static bool is_young(int proc, uint64_t pid);
static uint64_t own_part(int proc, const struct process *p);
static int add_files(const struct watch *w, uint64_t *total);
static int add_sockets(const struct watch *w, bool exactly, uint64_t *total);
static int read_file(int dir, const char *path, char *out, size_t room);
static uint64_t field(const char *text, const char *name);

int
watch_start(uint64_t limit_bytes)
{
	/* Before anything else gets this number. */
	const int diag = fcntl(CONTROL_DIAG_FD, F_SETFD, FD_CLOEXEC) < 0
	    ? -1
	    : CONTROL_DIAG_FD;
	int pair[2];
	socklen_t n = sizeof(int);
	pthread_t thread;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int holds = 0, r;

	/* A pair: some sandboxes have no other UNIX sockets. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	r = getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &holds, &n);
	fd_fini(&pair[0]);
	fd_fini(&pair[1]);
	if (r < 0)
		return -1;
	watch = (struct watch){
		.limit_bytes = limit_bytes,
		/* The last message may begin below the bound and end above
		 * it; or, of TCP, once each way. */
		.socket_bytes = 2 * (uint64_t)holds,
		.processors = processors > 0 ? (unsigned)processors : 1,
		.proc = opendir("/proc"),
		.disk = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.diag = diag,
	};
	if (watch.proc == NULL || watch.disk < 0)
		return -1;
	return pthread_create(&thread, NULL, watch_main, &watch) == 0 ? 0 : -1;
}

static void *
watch_main(void *arg)
{
	struct watch *w = arg;

	for (;;) {
		struct timespec t = {};
		uint64_t total = 0, us;
		bool known = look(w, false, &total) == 0;

		/* Processes are read one after the other: one that has been
		 * copied or is gone meanwhile counts twice. So that is asked
		 * again before anything is ended for it. */
		for (int i = 0;
		     i < EXACT_LOOKS && known && total >= w->limit_bytes; i++)
			known = look(w, true, &total) == 0;
		/* What cannot be counted is too much. */
		if (!known || total >= w->limit_bytes) {
			init_report(CONTROL_MEMORY, (int)(total / MIB));
			_exit(0);
		}
		us = (w->limit_bytes - total) / FILL_BYTES_PER_US /
		    w->processors;
		if (us < SLEEP_MIN_US)
			us = SLEEP_MIN_US;
		if (us > SLEEP_MAX_US)
			us = SLEEP_MAX_US;
		t.tv_nsec = (long)us * 1000;
		(void)nanosleep(&t, NULL);
	}
	return NULL;
}

static int
look(struct watch *w, bool exactly, uint64_t *total)
{
	*total = 0;
	if (add_processes(w, exactly, total) < 0 || add_files(w, total) < 0)
		return -1;
	return add_sockets(w, exactly, total);
}

static int
add_processes(struct watch *w, bool exactly, uint64_t *total)
{
	const struct dirent *d;

	w->n = 0;
	rewinddir(w->proc);
	for (;;) {
		errno = 0;
		d = readdir(w->proc);
		if (d == NULL)
			break;
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' &&
		    add_process(w, d->d_name) < 0)
			return -1;
	}
	if (errno != 0)
		return -1;
	for (size_t i = 0; i < w->n; i++) {
		struct process *p = &w->of[i];

		p->part_bytes = p->s.anon_bytes;
		if (exactly)
			p->part_bytes = own_part(dirfd(w->proc), p);
		if (exactly && is_borrower(w, p))
			continue;
		*total += p->part_bytes + p->s.tables_bytes;
		if (p->s.fds > FDS_FREE)
			*total += (p->s.fds - FDS_FREE) * PIPE_BYTES;
	}
	return 0;
}

static int
add_process(struct watch *w, const char *name)
{
	struct process p = { .pid = strtoull(name, NULL, 10) };
	int r = read_status(dirfd(w->proc), name, &p.s);

	if (r == 0 && !p.s.has_memory && p.s.threads > 1)
		r = read_threads(dirfd(w->proc), name, &p.s);
	if (r < 0)
		/* It has ended meanwhile. */
		return errno == ENOENT || errno == ESRCH ? 0 : -1;
	if (!p.s.has_memory)
		return 0;
	if (w->n == w->cap) {
		size_t cap = w->cap == 0 ? 64 : 2 * w->cap;
		void *of = realloc(w->of, cap * sizeof(*w->of));

		if (of == NULL)
			return -1;
		w->of = of;
		w->cap = cap;
	}
	w->of[w->n++] = p;
	return 0;
}

static int
read_status(int proc, const char *name, struct watch_status *out)
{
	char path[PATH_BYTES], text[STATUS_BYTES];

	(void)snprintf(path, sizeof(path), "%.600s/status", name);
	if (read_file(proc, path, text, sizeof(text)) < 0)
		return -1;
	watch_status_parse(text, out);
	return 0;
}

/* The first thread has ended, and others have not: they have the memory. */
static int
read_threads(int proc, const char *name, struct watch_status *out)
{
	const struct dirent *d;
	char path[PATH_BYTES];
	DIR *task;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/task", name);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	task = fd >= 0 ? fdopendir(fd) : NULL;
	if (task == NULL) {
		fd_fini(&fd);
		return -1;
	}
	while (!out->has_memory && (d = readdir(task)) != NULL) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		(void)snprintf(
		    path, sizeof(path), "%s/task/%s", name, d->d_name);
		(void)read_status(proc, path, out); /* it may end, too */
	}
	(void)closedir(task);
	return 0;
}

void
watch_status_parse(const char *text, struct watch_status *out)
{
	*out = (struct watch_status){
		.anon_bytes =
		    (field(text, "RssAnon:") + field(text, "VmSwap:")) * KIB,
		.tables_bytes = field(text, "VmPTE:") * KIB,
		.fds = field(text, "FDSize:"),
		.threads = field(text, "Threads:"),
		.parent = field(text, "PPid:"),
		.has_memory = strstr(text, "\nRssAnon:") != NULL,
		.waits = strstr(text, "\nState:\tD") != NULL,
	};
}

/*
 * After vfork a child has all the memory of its parent, the same and not a
 * copy, until it executes something: whoever starts many programs would seem
 * to hold twice as much. That looks like a child that was just forked, and
 * whose pages nobody shares. One that pretends has to copy them first, in the
 * little time that it is taken for such a child.
 */
static bool
is_borrower(struct watch *w, const struct process *p)
{
	for (size_t i = 0; i < w->n; i++) {
		struct process *parent = &w->of[i];

		if (parent->pid != p->s.parent)
			continue;
		if (p->part_bytes < p->s.anon_bytes / 100 * 98 ||
		    p->s.anon_bytes > parent->s.anon_bytes + ALIKE_BYTES)
			return false;
		/* While it waits for its child, it has this one and no
		 * other: however long that takes on a busy machine. */
		if (parent->s.waits && !parent->lends) {
			parent->lends = true;
			return true;
		}
		return is_young(dirfd(w->proc), p->pid);
	}
	return false;
}

static bool
is_young(int proc, uint64_t pid)
{
	char path[64], text[1024];
	unsigned long flags = 0;
	unsigned long long start = 0, now;
	struct timespec t;
	const char *rest;

	(void)snprintf(
	    path, sizeof(path), "%llu/stat", (unsigned long long)pid);
	if (read_file(proc, path, text, sizeof(text)) < 0)
		return false;
	/* Behind the name, which may hold anything: proc_pid_stat(5). */
	rest = strrchr(text, ')');
	if (rest == NULL ||
	    sscanf(rest,
		") %*c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d "
		"%*d %*d %*d %*d %*d %llu",
		&flags, &start) != 2 ||
	    (flags & FORKED_NO_EXEC) == 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &t) < 0)
		return false;
	now = (unsigned long long)t.tv_sec * 100 +
	    (unsigned long long)t.tv_nsec / 10000000;
	return now <= start + YOUNG_TICKS;
}

/* Its part of what it shares; all of it where the kernel does not tell; nothing
 * when it has ended meanwhile. */
static uint64_t
own_part(int proc, const struct process *p)
{
	char path[64], text[4096];
	struct watch_status now;

	(void)snprintf(path, sizeof(path), "%llu/smaps_rollup",
	    (unsigned long long)p->pid);
	if (read_file(proc, path, text, sizeof(text)) == 0 &&
	    strstr(text, "\nPss_Anon:") != NULL)
		return (field(text, "Pss_Anon:") + field(text, "SwapPss:")) *
		    KIB;
	(void)snprintf(path, sizeof(path), "%llu", (unsigned long long)p->pid);
	if (read_status(proc, path, &now) < 0 ||
	    (!now.has_memory && now.threads <= 1))
		return 0;
	return p->s.anon_bytes;
}

static int
add_files(const struct watch *w, uint64_t *total)
{
	struct statfs fs;

	if (fstatfs(w->disk, &fs) < 0)
		return -1;
	*total += (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	return 0;
}

/* All of the network namespace, UNIX sockets and those in flight, too. */
static int
add_sockets(const struct watch *w, bool exactly, uint64_t *total)
{
	uint64_t used, told = 0;
	char text[1024];

	if (read_file(dirfd(w->proc), "self/net/sockstat", text, sizeof(text)) <
		0 ||
	    strncmp(text, "sockets: used ", 14) != 0)
		return -1;
	used = strtoull(text + 14, NULL, 10);
	if (exactly && w->diag >= 0)
		*total += watch_sockets(w->diag, &told);
	/* One that was closed with bytes on their way is told by nobody. */
	if (used > told)
		*total += (used - told) * w->socket_bytes;
	return 0;
}

static int
read_file(int dir, const char *path, char *out, size_t room)
{
	own_fd int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;

	if (fd < 0)
		return -1;
	while (used < room - 1) {
		ssize_t n = read(fd, out + used, room - 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	out[used] = '\0';
	return 0;
}

/* The number behind a name at the beginning of a line; 0 without one. */
static uint64_t
field(const char *text, const char *name)
{
	const size_t n = strlen(name);

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0)
			return strtoull(line + n, NULL, 10);
	}
	return 0;
}
