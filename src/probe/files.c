/*
 * probe/files.c: files, mounts and devices of the host.
 */
#include "probe/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int
read_shadow(const char *argument)
{
	(void)argument;
	if (try_open("/etc/shadow", O_RDONLY))
		return open_("/etc/shadow");
	return held("/etc/shadow");
}

/* A file of the host, by its path. */
static int
read_path(const char *argument)
{
	if (try_open(argument, O_RDONLY))
		return open_("%s", argument);
	return held("%s", argument);
}

static int
write_system(const char *argument)
{
	static const char *const paths[] = { "/etc/x", "/usr/bin/x", "/lib/x",
		"/x", "/dev/x", "/run/x", "/run/paddock/x", "/proc/x", "/var/x",
		"/usr/local/x" };
	struct stat st;

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		int fd = open(
		    paths[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0)
			continue;
		(void)close(fd);
		(void)unlink(paths[i]);
		return open_("created %s", paths[i]);
	}
	/* As they are: where it works, nothing changes. */
	if (stat("/usr/bin", &st) == 0 &&
	    chmod("/usr/bin", st.st_mode & 07777) == 0)
		return open_("changed a system folder");
	return held("no system directory takes a file");
}

static int
hard_link(const char *argument)
{
	(void)argument;
	if (link("/usr/bin/env", "stolen") == 0)
		return open_("linked /usr/bin/env into the work folder");
	return held("link");
}

static int
mounts(const char *argument)
{
	(void)argument;
	if (syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL) == 0)
		return open_("mounted a tmpfs");
	if (syscall(SYS_mount, "/usr", "/tmp", NULL, 4096, NULL) == 0)
		return open_("made a bind mount");
	if (syscall(SYS_umount2, "/proc", 2) == 0)
		return open_("unmounted /proc");
	if (syscall(SYS_mount, NULL, "/", NULL, 32, NULL) == 0)
		return open_("remounted / writable");
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return open_("pivot_root");
	return held("mount");
}

/* The calls that came with CVE-2022-0185. */
static int
mount_fds(const char *argument)
{
	long fd;

	(void)argument;
	fd = syscall(SYS_fsopen, "tmpfs", 0);
	if (fd >= 0)
		return open_("fsopen");
	if (syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE) >= 0)
		return open_("open_tree");
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &(struct mount_attr){},
		sizeof(struct mount_attr)) == 0)
		return open_("mount_setattr");
	return held("fsopen, open_tree, mount_setattr");
}

static int
change_root(const char *argument)
{
	(void)argument;
	if (chroot(".") == 0)
		return open_("chroot");
	return held("chroot");
}

static int
file_handle(const char *argument)
{
	struct {
		unsigned bytes;
		int type;
		unsigned char f[128];
	} handle = { .bytes = 128 };
	int mount_id, dir = open("/usr", O_RDONLY);

	(void)argument;
	/* Inode 2 is the root of most file systems: "shocker". */
	if (syscall(SYS_name_to_handle_at, AT_FDCWD, "/usr", &handle, &mount_id,
		0) < 0) {
		handle.bytes = 8;
		handle.type = 1;
		handle.f[0] = 2;
	}
	if (syscall(SYS_open_by_handle_at, dir, &handle, O_RDONLY) >= 0)
		return open_("open_by_handle_at");
	return held("open_by_handle_at");
}

static int
make_device(const char *argument)
{
	(void)argument;
	if (mknod("probe-node", S_IFCHR | 0666, makedev(1, 1)) == 0) {
		(void)unlink("probe-node");
		return open_("made a device node");
	}
	if (mknod("probe-node", S_IFBLK | 0666, makedev(254, 0)) == 0 ||
	    mknod("probe-node", S_IFCHR, 0) == 0)
		return open_("made a disk node or a whiteout");
	return held("mknod");
}

static int
devices(const char *argument)
{
	static const char *const paths[] = { "/dev/vda", "/dev/sda", "/dev/mem",
		"/dev/kmsg", "/dev/port", "/dev/kvm", "/dev/fuse",
		"/dev/net/tun", "/dev/vsock", "/dev/vhost-net",
		"/dev/userfaultfd", "/dev/loop-control", "/dev/loop0",
		"/dev/tty0", "/dev/console", "/dev/rtc0" };

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (try_open(paths[i], O_RDONLY))
			return open_("%s", paths[i]);
	}
	return held("none of %zu devices", COUNT(paths));
}

static int
sysctls(const char *argument)
{
	static const char *const paths[] = { "/proc/sys/kernel/core_pattern",
		"/proc/sys/fs/binfmt_misc/register",
		"/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/hostname",
		"/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger",
		"/proc/irq/0/smp_affinity" };

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (try_open(paths[i], O_WRONLY))
			return open_("%s for writing", paths[i]);
	}
	return held("no sysctl can be written");
}

static int
kernel_secrets(const char *argument)
{
	static const char *const paths[] = { "/proc/kcore", "/proc/kmsg",
		"/proc/timer_list", "/proc/slabinfo", "/proc/vmallocinfo",
		"/proc/kpageflags", "/proc/iomem" };
	char line[256] = "";
	FILE *f;

	(void)argument;
	for (size_t i = 0; i + 1 < COUNT(paths); i++) {
		if (try_open(paths[i], O_RDONLY))
			return open_("%s", paths[i]);
	}
	f = fopen("/proc/kallsyms", "r");
	if (f != NULL && fgets(line, sizeof(line), f) != NULL &&
	    strncmp(line, "0000000000000000", 16) != 0)
		return open_("kernel addresses: %s", line);
	f = fopen("/proc/keys", "r");
	if (f != NULL && fgets(line, sizeof(line), f) != NULL)
		return open_("/proc/keys: %s", line);
	return held("nothing of the kernel's own");
}

static int
sysfs(const char *argument)
{
	(void)argument;
	if (access("/sys/kernel", F_OK) == 0 ||
	    access("/sys/fs/cgroup", F_OK) == 0)
		return open_("/sys");
	return held("/sys");
}

static int
own_program(const char *argument)
{
	static const char *const paths[] = { "/proc/1/exe",
		"/run/paddock/paddock" };

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (try_open(paths[i], O_WRONLY) || try_open(paths[i], O_RDWR))
			return open_("%s for writing", paths[i]);
	}
	return held("the program of PID 1");
}

static int
descriptors(const char *argument)
{
	char path[64], target[256];

	(void)argument;
	for (int fd = 3; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			return open_("descriptor %d is open", fd);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (chdir(path) == 0)
			return open_("cwd is %s", path);
	}
	for (int fd = 0; fd < 3; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target)) > 0 &&
		    openat(fd, "etc", O_RDONLY) >= 0)
			return open_("standard stream %d leads out", fd);
	}
	return held("no descriptor but 0, 1, 2");
}

static int
set_id(const char *argument)
{
	int fd = open("set-id", O_WRONLY | O_CREAT | O_TRUNC, 0755);
	int chmods = fchmod(fd, 04755) == 0 || chmod("set-id", 02755) == 0;
	int creates = open("set-id-2", O_WRONLY | O_CREAT, 06755) >= 0;

	(void)argument;
	(void)unlink("set-id");
	(void)unlink("set-id-2");
	if (fd < 0)
		return not_here("nothing to try it on");
	if (chmods || creates)
		return open_("made a set-id file");
	if (syscall(SYS_setuid, 0) == 0)
		return open_("setuid 0");
	return held("set-id bits and setuid");
}

/* Reads what an id that is not ours keeps to itself: argument is its path. */
static int
private_file(const char *argument)
{
	struct stat st;

	if (stat(argument, &st) < 0)
		return not_here("nothing to try it on");
	if (try_open(argument, O_RDONLY))
		return open_("%s", argument);
	return held("%s", argument);
}

const struct probe probes_files[] = {
	{ 1, "read_shadow", read_shadow, PROBE_PLAIN },
	{ 1, "read_path", read_path, 0 },
	{ 2, "write_system", write_system, PROBE_PLAIN },
	{ 4, "hard_link", hard_link, PROBE_PLAIN },
	{ 6, "mounts", mounts, PROBE_PLAIN },
	{ 7, "mount_fds", mount_fds, PROBE_PLAIN },
	{ 5, "change_root", change_root, PROBE_PLAIN },
	{ 8, "file_handle", file_handle, PROBE_PLAIN },
	{ 9, "make_device", make_device, PROBE_PLAIN },
	{ 10, "devices", devices, PROBE_PLAIN },
	{ 11, "sysctls", sysctls, PROBE_PLAIN },
	{ 12, "kernel_secrets", kernel_secrets, PROBE_PLAIN },
	{ 13, "sysfs", sysfs, PROBE_PLAIN },
	{ 15, "own_program", own_program, PROBE_PLAIN },
	{ 16, "descriptors", descriptors, PROBE_PLAIN },
	{ 19, "set_id", set_id, PROBE_PLAIN },
	{ 23, "private_file", private_file, 0 },
	{},
};
