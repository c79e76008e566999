/*
 * sandbox/container.c: whether this process is in a container already, and
 * what its walls leave us. Containers take away what sandboxes are made of;
 * `paddock doctor` tells what to ask back for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/machine.h"
#include "sys/fd.h"

enum { FILE_BYTES = 64 * 1024, CAP_SYS_ADMIN_BIT = 21 };

static enum machine_container find(void);
static bool read_file(const char *path, char out[static FILE_BYTES]);
static bool masks_proc(char *mounts);

void
machine_container_probe(struct machine *m)
{
	static char text[FILE_BYTES];
	const char *at;

	m->container = find();
	if (read_file("/proc/self/status", text)) {
		at = strstr(text, "\nCapEff:");
		if (at != NULL)
			m->sys_admin = (strtoull(at + 8, NULL, 16) &
					   1ULL << CAP_SYS_ADMIN_BIT) != 0;
		at = strstr(text, "\nSeccomp:");
		if (at != NULL)
			m->filtered = strtol(at + 9, NULL, 10) == 2;
	}
	m->proc_masked =
	    read_file("/proc/self/mountinfo", text) && masks_proc(text);
	if (read_file("/proc/self/attr/apparmor/current", text) &&
	    strncmp(text, "unconfined", 10) != 0)
		(void)snprintf(m->profile, sizeof(m->profile), "%.*s",
		    (int)strcspn(text, " \n"), text);
}

const char *
machine_container_name(enum machine_container c)
{
	switch (c) {
	case MACHINE_CONTAINER_NONE:
		return "none";
	case MACHINE_CONTAINER_DOCKER:
		return "docker";
	case MACHINE_CONTAINER_PODMAN:
		return "podman";
	case MACHINE_CONTAINER_KUBERNETES:
		return "kubernetes";
	case MACHINE_CONTAINER_OTHER:
		return "container";
	}
	return "container";
}

/* By the marks that the makers of containers leave, the surest first. */
static enum machine_container
find(void)
{
	static const struct {
		const char *word;
		enum machine_container kind;
	} groups[] = {
		{ "kubepods", MACHINE_CONTAINER_KUBERNETES },
		{ "/docker", MACHINE_CONTAINER_DOCKER },
		{ "libpod", MACHINE_CONTAINER_PODMAN },
		{ "/lxc", MACHINE_CONTAINER_OTHER },
	};
	static char text[FILE_BYTES];

	if (getenv("KUBERNETES_SERVICE_HOST") != NULL)
		return MACHINE_CONTAINER_KUBERNETES;
	if (access("/run/.containerenv", F_OK) == 0)
		return MACHINE_CONTAINER_PODMAN;
	if (access("/.dockerenv", F_OK) == 0)
		return MACHINE_CONTAINER_DOCKER;
	if (read_file("/proc/self/cgroup", text)) {
		for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
			if (strstr(text, groups[i].word) != NULL)
				return groups[i].kind;
	}
	if (access("/run/systemd/container", F_OK) == 0 ||
	    getenv("container") != NULL)
		return MACHINE_CONTAINER_OTHER;
	return MACHINE_CONTAINER_NONE;
}

static bool
read_file(const char *path, char out[static FILE_BYTES])
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r = 1;

	while (fd >= 0 && n < FILE_BYTES - 1 && r > 0) {
		r = read(fd, out + n, FILE_BYTES - 1 - n);
		if (r > 0)
			n += (size_t)r;
	}
	out[n] = '\0';
	return fd >= 0;
}

/* The fifth word of a line of mountinfo is where it is mounted. */
static bool
masks_proc(char *mounts)
{
	char *line;

	while ((line = strsep(&mounts, "\n")) != NULL) {
		const char *place = NULL;

		for (int i = 0; i < 5 && line != NULL; i++)
			place = strsep(&line, " ");
		if (line != NULL && strncmp(place, "/proc/", 6) == 0 &&
		    strcmp(place, "/proc/sys/fs/binfmt_misc") != 0)
			return true;
	}
	return false;
}
