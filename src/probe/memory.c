/*
 * probe/memory.c: memory by every way there is, and other things that the
 * kernel keeps for a process.
 */
#include "probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	MIB = 1024 * 1024,
	TRIED_MIB = 300, /* the tests' limit is 64 */
	HELD_MIB = 20, /* by one of many processes */
	SMALL_MAPS = 200000, /* the kernel's own limit is 65530 */
	SPARSE_GIB = 128, /* a page table page for each 2 MiB */
	CHILDREN = 600, /* the tests' limit is 64, the usual one 512 */
	SIGNALS = 50000, /* 16384, and of descriptors 1024 */
	CRASHES = 20,
	DEPTH = 5000, /* the tests' limit is 4096 */
};

/* A file in memory is charged to whoever writes it. */
static int
memory_file(const char *argument)
{
	static char block[MIB];
	long fd = syscall(SYS_memfd_create, "probe", 0);
	int n = 0;

	(void)argument;
	(void)signal(SIGXFSZ, SIG_IGN);
	memset(block, 1, sizeof(block));
	while (fd >= 0 && n < TRIED_MIB &&
	    write((int)fd, block, sizeof(block)) == MIB)
		n++;
	if (n == TRIED_MIB)
		return open_("%d MiB in a memory file", n);
	return held("%d MiB in a memory file", n);
}

static int
shared_memory(const char *argument)
{
	char *p = mmap(NULL, (size_t)TRIED_MIB * MIB, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)argument;
	if (p == MAP_FAILED)
		return held("%d MiB shared", TRIED_MIB);
	memset(p, 1, (size_t)TRIED_MIB * MIB);
	return open_("%d MiB shared", TRIED_MIB);
}

static void *
hold(void *ready)
{
	char *p = mmap(NULL, (size_t)HELD_MIB * MIB, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	memset(p, 1, (size_t)HELD_MIB * MIB);
	if (write(*(int *)ready, "", 1) != 1)
		_exit(1);
	for (;;)
		(void)pause();
	return NULL;
}

static void
hold_in_a_thread(int ready)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, hold, &ready) != 0)
		_exit(1);
	for (;;)
		(void)syscall(SYS_exit, 0);
}

/* The other way to shared memory without a file of one's own. */
static int
shared_zero(const char *argument)
{
	int fd = open("/dev/zero", O_RDWR);
	char *p;

	(void)argument;
	if (fd < 0)
		return held("open /dev/zero");
	p = mmap(NULL, (size_t)TRIED_MIB * MIB, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return held("%d MiB shared", TRIED_MIB);
	memset(p, 1, (size_t)TRIED_MIB * MIB);
	return open_("%d MiB shared", TRIED_MIB);
}

/* Many processes, each of which holds less than the limit. The first thread
 * of each ends, and the memory is held by another. */
static int
many_holders(const char *argument)
{
	pid_t children[TRIED_MIB / HELD_MIB];
	int n = 0, alive = 0, ready[2];
	char byte;

	(void)argument;
	if (pipe(ready) < 0)
		return not_here("no pipe");
	for (; n < TRIED_MIB / HELD_MIB; n++) {
		children[n] = fork();
		if (children[n] == 0)
			hold_in_a_thread(ready[1]);
		if (children[n] < 0 || read(ready[0], &byte, 1) != 1)
			break;
	}
	/* Those that were killed meanwhile hold nothing. */
	for (int i = 0; i < n; i++) {
		alive += waitpid(children[i], NULL, WNOHANG) == 0;
		(void)kill(children[i], SIGKILL);
		(void)waitpid(children[i], NULL, 0);
	}
	if (alive == TRIED_MIB / HELD_MIB)
		return open_("%d MiB in %d processes", n * HELD_MIB, n);
	return held("%d MiB in %d processes", alive * HELD_MIB, alive);
}

static int
small_maps(const char *argument)
{
	int n = 0;

	(void)argument;
	/* Every other one of another kind, so that none are joined. */
	for (; n < SMALL_MAPS; n++) {
		char *p =
		    mmap(NULL, 4096, n % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			break;
	}
	if (n == SMALL_MAPS)
		return open_("%d mappings", n);
	return held("%d mappings", n);
}

/* One byte every 2 MiB costs a page and a page of tables. */
static int
page_tables(const char *argument)
{
	size_t size = (size_t)SPARSE_GIB << 30;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)argument;
	if (p == MAP_FAILED)
		return held("%d GiB of addresses", SPARSE_GIB);
	(void)madvise(p, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += 2 * MIB)
		p[at] = 1;
	return open_("%d GiB of addresses touched", SPARSE_GIB);
}

static int
pipe_buffers(const char *argument)
{
	static char block[64 * 1024];
	int n = 0, ends[2];

	(void)argument;
	memset(block, 1, sizeof(block));
	while (n < TRIED_MIB * 16 && pipe(ends) == 0) {
		(void)fcntl(ends[1], F_SETPIPE_SZ, MIB);
		(void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
		while (write(ends[1], block, sizeof(block)) > 0)
			n++;
	}
	if (n >= TRIED_MIB * 16)
		return open_("%d MiB in pipes", n / 16);
	return held("%d MiB in pipes", n / 16);
}

static int
socket_buffers(const char *argument)
{
	static char block[32 * 1024];
	int n = 0, ends[2], most = 16 * MIB;

	(void)argument;
	memset(block, 1, sizeof(block));
	while (n < TRIED_MIB * 32 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0) {
		(void)setsockopt(
		    ends[0], SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
		while (send(ends[0], block, sizeof(block), MSG_NOSIGNAL) > 0)
			n++;
	}
	if (n >= TRIED_MIB * 32)
		return open_("%d MiB in sockets", n / 32);
	return held("%d MiB in sockets", n / 32);
}

static void *
wait_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		(void)pause();
	return NULL;
}

static int
thread_bomb(const char *argument)
{
	pthread_attr_t attr;
	pthread_t thread;
	int n = 0;

	(void)argument;
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 64 * 1024);
	while (n < CHILDREN &&
	    pthread_create(&thread, &attr, wait_for_ever, NULL) == 0)
		n++;
	if (n == CHILDREN)
		return open_("%d threads", n);
	errno = EAGAIN;
	return held("%d threads", n);
}

/* The dead count, too, until somebody asks for them. */
static int
zombies(const char *argument)
{
	int n = 0;

	(void)argument;
	for (; n < CHILDREN; n++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0)
			break;
	}
	if (n == CHILDREN)
		return open_("%d dead children", n);
	return held("%d dead children", n);
}

static int
pending_signals(const char *argument)
{
	union sigval value = { .sival_int = 1 };
	sigset_t all;
	int n = 0;

	(void)argument;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	while (n < SIGNALS && sigqueue(getpid(), SIGRTMIN, value) == 0)
		n++;
	if (n == SIGNALS)
		return open_("%d signals pending", n);
	return held("%d signals pending", n);
}

static int
kernel_objects(const char *argument)
{
	timer_t timer;
	int n = 0, timers = 0;

	(void)argument;
	while (n < SIGNALS && eventfd(0, 0) >= 0)
		n++;
	while (timers < SIGNALS &&
	    timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0)
		timers++;
	if (n == SIGNALS || timers == SIGNALS)
		return open_("%d events, %d timers", n, timers);
	return held("%d events, %d timers", n, timers);
}

/* A process that crashes leaves no file, and starts no helper. */
static int
core_dumps(const char *argument)
{
	int cores = 0, status;
	struct rlimit limit;

	(void)argument;
	for (int i = 0; i < CRASHES; i++) {
		pid_t pid = fork();

		if (pid == 0)
			abort();
		if (pid > 0 && waitpid(pid, &status, 0) == pid)
			cores += WCOREDUMP(status) != 0;
	}
	if (cores > 0 || getrlimit(RLIMIT_CORE, &limit) < 0 ||
	    limit.rlim_max > 0)
		return open_("%d core dumps", cores);
	errno = 0;
	return held("%d crashes", CRASHES);
}

/* Directories in directories; each is an inode. */
static int
deep_folders(const char *argument)
{
	int n = 0, error;

	if (argument[0] != '\0' && chdir(argument) < 0)
		return not_here("no folder %s", argument);
	for (; n < DEPTH; n++) {
		if (mkdir("probe-deep", 0755) < 0 || chdir("probe-deep") < 0)
			break;
	}
	error = errno;
	for (int i = 0; i < n; i++) {
		if (chdir("..") < 0 || rmdir("probe-deep") < 0)
			break;
	}
	errno = error;
	if (n == DEPTH)
		return open_("%d levels", n);
	return held("%d levels", n);
}

/* Room that is asked for, and not written. */
static int
reserved_space(const char *argument)
{
	int fd = open("probe-room", O_WRONLY | O_CREAT, 0600), r;

	(void)argument;
	(void)signal(SIGXFSZ, SIG_IGN);
	if (fd < 0)
		return not_here("no place for a file");
	r = fallocate(fd, 0, 0, (off_t)TRIED_MIB * MIB);
	(void)unlink("probe-room");
	if (r == 0)
		return open_("%d MiB reserved", TRIED_MIB);
	return held("%d MiB reserved", TRIED_MIB);
}

/* Memory and files that nobody has written yet hold nothing of anybody. */
static int
used_memory(const char *argument)
{
	enum { LOOKED_AT = 16 * MIB };
	static const char zero[4096];
	char block[4096];
	char *p = mmap(NULL, LOOKED_AT, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("probe-used", O_RDWR | O_CREAT | O_TRUNC, 0600);

	(void)argument;
	if (p == MAP_FAILED || fd < 0 || ftruncate(fd, LOOKED_AT) < 0)
		return not_here("no memory or no place for a file");
	(void)unlink("probe-used");
	for (size_t at = 0; at < LOOKED_AT; at += sizeof(zero)) {
		if (memcmp(p + at, zero, sizeof(zero)) != 0)
			return open_("new memory is not empty");
		if (pread(fd, block, sizeof(block), (off_t)at) !=
			(ssize_t)sizeof(block) ||
		    memcmp(block, zero, sizeof(zero)) != 0)
			return open_("a new file is not empty");
	}
	errno = 0;
	return held(
	    "%d MiB of memory and of a file are empty", LOOKED_AT / MIB);
}

const struct probe probes_memory[] = {
	{ 22, "used_memory", used_memory, PROBE_PLAIN },
	{ 58, "memory_file", memory_file, 0 },
	{ 58, "shared_memory", shared_memory, 0 },
	{ 58, "shared_zero", shared_zero, 0 },
	{ 58, "many_holders", many_holders, 0 },
	{ 58, "small_maps", small_maps, 0 },
	{ 58, "page_tables", page_tables, 0 },
	{ 58, "pipe_buffers", pipe_buffers, 0 },
	{ 58, "socket_buffers", socket_buffers, 0 },
	{ 57, "thread_bomb", thread_bomb, 0 },
	{ 65, "zombies", zombies, 0 },
	{ 62, "pending_signals", pending_signals, 0 },
	{ 62, "kernel_objects", kernel_objects, 0 },
	{ 68, "core_dumps", core_dumps, PROBE_PLAIN },
	{ 60, "deep_folders", deep_folders, 0 },
	{ 61, "reserved_space", reserved_space, 0 },
	{},
};
