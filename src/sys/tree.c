#include "sys/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/fd.h"

enum {
	TICK_NS = 10 * 1000 * 1000, /* USER_HZ is 100: time(7) */
	TEXT_BYTES = 4096,
};

static size_t add_children(pid_t pid, pid_t found[static TREE_MAX], size_t n);
static void text_read(const char *path, char out[static TEXT_BYTES]);
static uint64_t own_ticks(pid_t pid);

uint64_t
tree_cpu_ns(pid_t pid)
{
	pid_t found[TREE_MAX] = { pid };
	uint64_t ticks = 0;
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		ticks += own_ticks(found[i]);
		n = add_children(found[i], found, n);
	}
	return ticks * TICK_NS;
}

/* A child is its thread's: PID 1 starts commands from its second one. */
static size_t
add_children(pid_t pid, pid_t found[static TREE_MAX], size_t n)
{
	char path[64 + NAME_MAX], text[TEXT_BYTES];
	const struct dirent *d;
	DIR *tasks;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks != NULL && (d = readdir(tasks)) != NULL) {
		char *rest = text, *word;

		if (d->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/children",
		    (int)pid, d->d_name);
		text_read(path, text);
		while ((word = strsep(&rest, " ")) != NULL) {
			pid_t child = (pid_t)strtol(word, NULL, 10);

			if (child > 0 && n < TREE_MAX)
				found[n++] = child;
		}
	}
	if (tasks != NULL)
		(void)closedir(tasks); /* read only: nothing to lose */
	return n;
}

/* The file as a text; an empty one when there is none. */
static void
text_read(const char *path, char out[static TEXT_BYTES])
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, TEXT_BYTES - 1) : 0;

	out[n > 0 ? n : 0] = '\0';
}

/* utime, stime, cutime and cstime: fields 14 to 17 of proc_pid_stat(5). */
static uint64_t
own_ticks(pid_t pid)
{
	char path[64], text[TEXT_BYTES], *rest, *word;
	uint64_t ticks = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	text_read(path, text);
	/* Field 2 is a name that may hold anything. */
	rest = strrchr(text, ')');
	for (int field = 2; rest != NULL && field <= 17; field++) {
		word = strsep(&rest, " ");
		if (field >= 14)
			ticks += strtoull(word, NULL, 10);
	}
	return ticks;
}
