#include "sys/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "sys/fd.h"

enum { CAPS_MAX = 64 };

static int wait_for_end(void *arg);
static int write_map(
    pid_t pid, const char *file, const char *text, struct err *e);

pid_t
ns_spawn(uint64_t flags, int cgroup_fd, int (*child)(void *), void *arg,
    int *pidfd, struct err *e)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return err_sys(e, "clone3");
	if (pid == 0)
		_exit(child(arg));
	return (pid_t)pid;
}

int
ns_idmap(
    uid_t from_uid, uid_t to_uid, gid_t from_gid, gid_t to_gid, struct err *e)
{
	own_fd int pidfd = -1, fd = -1;
	char text[64];
	int r;
	pid_t pid = ns_spawn(CLONE_NEWUSER, -1, wait_for_end, NULL, &pidfd, e);

	if (pid < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%u %u 1", from_uid, to_uid);
	r = write_map(pid, "uid_map", text, e);
	(void)snprintf(text, sizeof(text), "%u %u 1", from_gid, to_gid);
	if (r == 0)
		r = write_map(pid, "gid_map", text, e);
	if (r == 0) {
		(void)snprintf(
		    text, sizeof(text), "/proc/%d/ns/user", (int)pid);
		fd = open(text, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = err_sys(e, "open %s", text);
	}
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return r == 0 ? fd_take(&fd) : -1;
}

int
ns_map_self(uid_t uid, gid_t gid, struct err *e)
{
	char text[64];

	must(uid != 0);
	(void)snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	if (write_map(0, "uid_map", text, e) < 0)
		return -1;
	/* An ordinary user has to give up setgroups first. */
	if (write_map(0, "setgroups", "deny", e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	return write_map(0, "gid_map", text, e);
}

int
ns_drop_rights(uid_t uid, gid_t gid, struct err *e)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
	    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
	    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = {};
	int cap = 0;

	/* The kernel's last capability is the one before the first EINVAL. */
	while (cap < CAPS_MAX && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
		cap++;
	if (cap == 0 || (cap < CAPS_MAX && errno != EINVAL))
		return err_sys(
		    e, "drop capability %d from the bounding set", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(e, "clear ambient capabilities");
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		return err_sys(e, "lock securebits");

	/* System calls, not the library's: those signal all threads. */
	if (uid != (uid_t)-1) {
		must(uid != 0);
		if (syscall(SYS_setgroups, 0, NULL) < 0)
			return err_sys(e, "setgroups");
		if (syscall(SYS_setresgid, gid, gid, gid) < 0)
			return err_sys(e, "setresgid %u", gid);
		if (syscall(SYS_setresuid, uid, uid, uid) < 0)
			return err_sys(e, "setresuid %u", uid);
	}
	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(e, "capset");
	return 0;
}

int
ns_loopback_up(struct err *e)
{
	own_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_name = "lo" };

	if (fd < 0)
		return err_sys(e, "socket");
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		return err_sys(e, "bring up lo");
	return 0;
}

int
ns_keyring_cut(struct err *e)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		return err_sys(e, "join a new session keyring");
	return 0;
}

/* Until it is killed, or its parent is. */
static int
wait_for_end(void *arg)
{
	(void)arg;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return 1;
	while (pause() < 0)
		continue;
	return 0;
}

/* pid 0 is the calling process itself. */
static int
write_map(pid_t pid, const char *file, const char *text, struct err *e)
{
	char path[64];
	own_fd int fd = -1;

	if (pid == 0)
		(void)snprintf(path, sizeof(path), "/proc/self/%s", file);
	else
		(void)snprintf(
		    path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (write(fd, text, strlen(text)) < 0)
		return err_sys(e, "write %s \"%s\"", path, text);
	return 0;
}
