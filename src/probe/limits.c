/*
 * probe/limits.c: taking more than one's share.
 */
#include "probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MIB = 1024 * 1024,
	FORKS = 300, /* the tests' limit is 64 */
	DISK_MIB = 200, /* 16 */
	FILES = 30000, /* 4096 */
	DESCRIPTORS = 5000, /* 1024 */
};

static int
fork_bomb(const char *argument)
{
	static pid_t children[FORKS];
	int n = 0;

	(void)argument;
	for (; n < FORKS; n++) {
		children[n] = fork();
		if (children[n] == 0) {
			(void)pause();
			_exit(0);
		}
		if (children[n] < 0)
			break;
	}
	for (int i = 0; i < n; i++) {
		(void)kill(children[i], SIGKILL);
		(void)waitpid(children[i], NULL, 0);
	}
	if (n == FORKS)
		return open_("%d processes", n);
	errno = EAGAIN;
	return held("%d processes", n);
}

/* argument: MiB. The kernel's answer is a kill, or no memory. */
static int
memory_bomb(const char *argument)
{
	size_t n = (size_t)strtoul(argument, NULL, 10) * MIB;
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return held("mmap %zu bytes", n);
	memset(p, 1, n);
	return open_("%zu bytes written", n);
}

/* argument: the folder. */
static int
disk_fill(const char *argument)
{
	static char block[MIB];
	char path[256];
	int fd, n = 0, error;

	memset(block, 1, sizeof(block));
	(void)snprintf(path, sizeof(path), "%s/probe-fill", argument);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		return not_here("nothing to try it on");
	(void)signal(SIGXFSZ, SIG_IGN);
	while (n < DISK_MIB && write(fd, block, sizeof(block)) == MIB)
		n++;
	error = errno;
	(void)unlink(path);
	errno = error;
	if (n == DISK_MIB)
		return open_("%d MiB in %s", n, argument);
	return held("%d MiB in %s", n, argument);
}

static int
inode_fill(const char *argument)
{
	char path[300];
	int n = 0, error;

	for (; n < FILES; n++) {
		int fd;

		(void)snprintf(path, sizeof(path), "%s/probe-%d", argument, n);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			break;
		(void)close(fd);
	}
	error = errno;
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/probe-%d", argument, i);
		(void)unlink(path);
	}
	errno = error;
	if (n == FILES)
		return open_("%d files in %s", n, argument);
	return held("%d files in %s", n, argument);
}

static int
sparse_file(const char *argument)
{
	char path[256];
	int fd, r;

	(void)snprintf(path, sizeof(path), "%s/probe-sparse", argument);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	(void)signal(SIGXFSZ, SIG_IGN);
	r = ftruncate(fd, (off_t)1 << 40);
	(void)unlink(path);
	if (r == 0)
		return open_("a file of 1 TiB");
	return held("a file of 1 TiB");
}

static int
descriptor_fill(const char *argument)
{
	int n = 0;

	(void)argument;
	while (n < DESCRIPTORS && dup(0) >= 0)
		n++;
	if (n == DESCRIPTORS)
		return open_("%d descriptors", n);
	return held("%d descriptors", n);
}

static int
lock_memory(const char *argument)
{
	void *p = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argument;
	if (p != MAP_FAILED && mlock(p, 16 * MIB) == 0)
		return open_("16 MiB locked");
	return held("mlock");
}

const struct probe probes_limits[] = {
	{ 57, "fork_bomb", fork_bomb, 0 },
	{ 58, "memory_bomb", memory_bomb, 0 },
	{ 59, "disk_fill", disk_fill, 0 },
	{ 60, "inode_fill", inode_fill, 0 },
	{ 61, "sparse_file", sparse_file, 0 },
	{ 62, "descriptor_fill", descriptor_fill, PROBE_PLAIN },
	{ 58, "lock_memory", lock_memory, PROBE_PLAIN },
	{},
};
