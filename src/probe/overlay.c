/*
 * probe/overlay.c: links, attributes and layers: files that are more than
 * they seem.
 */
#include "probe/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* argument: a file of the host, or none: the one that everybody knows. */
static int
link_out(const char *argument)
{
	const char *target = argument[0] != '\0' ? argument : "/etc/passwd";
	int writes;

	(void)unlink("probe-link");
	if (symlink(target, "probe-link") < 0)
		return not_here("no place for a link");
	writes = try_open("probe-link", O_WRONLY);
	(void)unlink("probe-link");
	if (writes)
		return open_("%s can be written through a link", target);
	return held("%s through a link", target);
}

static int
cgroup_files(const char *argument)
{
	static const char *const paths[] = {
		"/sys/fs/cgroup/cgroup.procs",
		"/sys/fs/cgroup/memory/release_agent",
		"/sys/fs/cgroup/rdma/release_agent",
		"/sys/fs/cgroup/pids/notify_on_release",
		"/sys/fs/cgroup/memory/cgroup.procs",
		"/sys/fs/cgroup/unified/cgroup.procs",
		"/sys/fs/cgroup/cgroup.subtree_control",
	};

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (try_open(paths[i], O_WRONLY))
			return open_("%s for writing", paths[i]);
	}
	/* CVE-2022-0492: the right to mount one comes with a namespace. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWNS) == 0 &&
	    (syscall(SYS_mount, "none", "/tmp", "cgroup", 0, "rdma") == 0 ||
		syscall(SYS_mount, "none", "/tmp", "cgroup2", 0, NULL) == 0))
		return open_("mounted a cgroup hierarchy");
	return held("no file of a cgroup");
}

/* Set-id bits of files that are there already count for nothing. */
static int
set_id_mounts(const char *argument)
{
	static const char *const paths[] = { "/", "/usr", "/tmp", "/dev/shm",
		"/dev", "/proc", "." };
	struct statvfs fs;

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (statvfs(paths[i], &fs) == 0 && (fs.f_flag & ST_NOSUID) == 0)
			return open_("%s honours set-id bits", paths[i]);
	}
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return open_("a program may gain rights");
	errno = 0;
	return held("set-id bits of %zu mounts", COUNT(paths));
}

/* CVE-2021-4034: a program that is started without even its own name. */
static int
empty_argv(const char *argument)
{
	static const char *const programs[] = { "/usr/bin/pkexec",
		"/usr/bin/su", "/usr/bin/sudo", "/usr/bin/passwd",
		"/usr/bin/mount" };
	struct stat st;
	size_t there = 0;

	(void)argument;
	for (size_t i = 0; i < COUNT(programs); i++) {
		struct statvfs fs;

		if (stat(programs[i], &st) < 0 || (st.st_mode & S_ISUID) == 0)
			continue;
		there++;
		if (statvfs(programs[i], &fs) < 0 ||
		    (fs.f_flag & ST_NOSUID) == 0)
			return open_("%s is set-user-id here", programs[i]);
	}
	errno = 0;
	if (there == 0)
		return not_here("no set-user-id program in this image");
	return held("%zu set-user-id programs are ordinary ones", there);
}

/* A capability on a file, and what only an overlay's own mount may write. */
static int
file_attributes(const char *argument)
{
	/* struct vfs_cap_data, revision 2: cap_sys_admin, permitted. */
	static const unsigned char cap[20] = { 1, 0, 0, 2, 0, 0, 0x20 };
	static const char *const names[] = { "security.capability",
		"trusted.overlay.redirect", "trusted.overlay.opaque",
		"trusted.overlay.metacopy" };
	int fd = open("probe-attr", O_WRONLY | O_CREAT, 0755), error = 0;

	(void)argument;
	if (fd < 0)
		return not_here("no place for a file");
	(void)close(fd);
	for (size_t i = 0; i < COUNT(names); i++) {
		if (setxattr("probe-attr", names[i], cap, sizeof(cap), 0) < 0) {
			error = errno;
			continue;
		}
		(void)unlink("probe-attr");
		return open_("%s can be set", names[i]);
	}
	(void)unlink("probe-attr");
	errno = error;
	return held("%zu attributes", COUNT(names));
}

/* Marks that make an overlay show other directories than are there. */
static int
overlay_marks(const char *argument)
{
	static const struct {
		const char *name, *value;
	} marks[] = {
		{ "user.overlay.redirect", "/../../etc" },
		{ "user.overlay.redirect", "../../../../etc" },
		{ "user.overlay.origin", "x" },
		{ "user.overlay.opaque", "y" },
		{ "user.overlay.metacopy", "x" },
		{ "user.overlay.whiteout", "y" },
	};
	int seen = 0;

	(void)argument;
	if (mkdir("probe-marks", 0755) < 0)
		return not_here("no place for a directory");
	for (size_t i = 0; i < COUNT(marks); i++)
		(void)setxattr("probe-marks", marks[i].name, marks[i].value,
		    strlen(marks[i].value), 0);
	/* Looked up anew by its other name. */
	if (rename("probe-marks", "probe-marked") == 0) {
		DIR *d = opendir("probe-marked");

		while (d != NULL && readdir(d) != NULL)
			seen++;
		if (d != NULL)
			(void)closedir(d);
	}
	(void)rmdir("probe-marks");
	(void)rmdir("probe-marked");
	if (mknod("probe-white", S_IFCHR, makedev(0, 0)) == 0) {
		(void)unlink("probe-white");
		return open_("made a whiteout");
	}
	if (seen > 2)
		return open_("%d entries of another directory", seen - 2);
	return held("marks change nothing");
}

/* A file of the host that is reached through what this has open. */
static int
handed_down(const char *argument)
{
	char path[64];

	(void)argument;
	for (int fd = 0; fd < 3; fd++) {
		for (int up = 0; up < 2; up++) {
			(void)snprintf(path, sizeof(path),
			    "/proc/self/fd/%d/%s", fd, up ? ".." : "etc");
			if (try_open(path, O_RDONLY))
				return open_("%s leads somewhere", path);
		}
	}
	if (fchdir(0) == 0 || fchdir(1) == 0 || fchdir(2) == 0)
		return open_("a standard stream is a directory");
	return held("standard streams lead nowhere");
}

const struct probe probes_overlay[] = {
	{ 3, "link_out", link_out, PROBE_PLAIN },
	{ 14, "cgroup_files", cgroup_files, PROBE_PLAIN },
	{ 19, "set_id_mounts", set_id_mounts, PROBE_PLAIN },
	{ 19, "empty_argv", empty_argv, PROBE_PLAIN },
	{ 20, "file_attributes", file_attributes, PROBE_PLAIN },
	{ 21, "overlay_marks", overlay_marks, PROBE_PLAIN },
	{ 16, "handed_down", handed_down, PROBE_PLAIN },
	{},
};
