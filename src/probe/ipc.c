/*
 * probe/ipc.c: other processes' memory, queues, sockets and clocks.
 */
#include "probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { MODE = 0666 };

/* Makes one of each under the key until standard input ends. */
static int
sysv_server(const char *argument)
{
	key_t key = (key_t)strtol(argument, NULL, 10);
	int shm = shmget(key, 4096, IPC_CREAT | MODE);
	int msg = msgget(key, IPC_CREAT | MODE);
	int sem = semget(key, 1, IPC_CREAT | MODE);

	(void)puts(shm >= 0 && msg >= 0 && sem >= 0 ? "ready" : "failed");
	(void)fflush(stdout);
	(void)getchar();
	(void)shmctl(shm, IPC_RMID, NULL);
	(void)msgctl(msg, IPC_RMID, NULL);
	(void)semctl(sem, 0, IPC_RMID);
	return 0;
}

/* argument: the key of what another has made. */
static int
sysv_objects(const char *argument)
{
	key_t key = (key_t)strtol(argument, NULL, 10);

	if (shmget(key, 0, 0) >= 0)
		return open_("a memory segment of key %d", (int)key);
	if (msgget(key, 0) >= 0)
		return open_("a queue of key %d", (int)key);
	if (semget(key, 0, 0) >= 0)
		return open_("a semaphore of key %d", (int)key);
	return held("nothing of key %d", (int)key);
}

/* A socket that has a name in the file system: argument is its path. */
static int
path_socket(const char *argument)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || strlen(argument) >= sizeof(to.sun_path))
		return not_here("no socket of this name");
	memcpy(to.sun_path, argument, strlen(argument));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return open_("connected to %s", argument);
	return held("connect to %s", argument);
}

/* The other side of it, until standard input ends. */
static int
path_server(const char *argument)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || strlen(argument) >= sizeof(at.sun_path))
		return 2;
	memcpy(at.sun_path, argument, strlen(argument));
	(void)unlink(argument);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, 8) < 0 || chmod(argument, 0777) < 0)
		return 2;
	(void)puts("ready");
	(void)fflush(stdout);
	(void)getchar();
	(void)unlink(argument);
	return 0;
}

/* The sockets of services that many machines have, at their usual places. */
static int
usual_sockets(const char *argument)
{
	static const char *const paths[] = { "/run/docker.sock",
		"/var/run/docker.sock", "/run/dbus/system_bus_socket",
		"/run/systemd/private", "/run/containerd/containerd.sock",
		"/run/podman/podman.sock", "/run/user/1000/bus",
		"/run/systemd/journal/socket", "/dev/log" };
	struct stat st;

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (stat(paths[i], &st) == 0)
			return open_("%s is there", paths[i]);
	}
	return held("none of %zu sockets", COUNT(paths));
}

/*
 * A filter of one's own, with a listener: whoever answers it could let a call
 * go on. The stricter filter still has the last word.
 */
static int
own_filter(const char *argument)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { COUNT(code), code };

	(void)argument;
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog) < 0 &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return held("no filter of one's own");
	if (syscall(SYS_mount, NULL, "/nowhere", "tmpfs", 0, NULL) < 0 &&
	    errno != EPERM)
		return open_("mount is looked at: %s", strerror(errno));
	return held("a filter that allows changes nothing");
}

/* Pairs of calls that reach into another process without tracing it. */
static int
reach_into(const char *argument)
{
	/* Whoever forked us has it at the same place, and lives on. */
	static char byte;
	struct iovec local = { &byte, 1 }, remote = { &byte, 1 };
	pid_t parent = getppid();
	long fd;

	(void)argument;
	if (syscall(SYS_process_vm_writev, parent, &local, 1, &remote, 1, 0) >
	    0)
		return open_("process_vm_writev");
	fd = syscall(SYS_pidfd_open, parent, 0);
	if (fd >= 0 && syscall(SYS_pidfd_getfd, fd, 1, 0) >= 0)
		return open_("pidfd_getfd");
	if (syscall(SYS_kcmp, parent, getpid(), 0, 0, 0) >= 0)
		return open_("kcmp");
	return held("another process of ours");
}

static int
clocks_and_names(const char *argument)
{
	/* In the future by nothing: the clock stays, should it work. */
	struct timespec now;

	(void)argument;
	if (sethostname("probe", 5) == 0)
		return open_("sethostname");
	if (syscall(SYS_setdomainname, "probe", 5) == 0)
		return open_("setdomainname");
	if (clock_gettime(CLOCK_REALTIME, &now) == 0 &&
	    clock_settime(CLOCK_REALTIME, &now) == 0)
		return open_("clock_settime");
	return held("the clock and the names");
}

/* Programs from memory, and from where only data should lie. */
static int
memory_program(const char *argument)
{
	static const char script[] = "#!/bin/sh\nexit 0\n";
	static const char *const argv[] = { "probe", NULL };
	long fd = syscall(SYS_memfd_create, "probe", 0);
	int status = 0;
	pid_t pid;

	(void)argument;
	if (fd < 0 || write((int)fd, script, sizeof(script) - 1) < 0)
		return held("memfd_create");
	pid = fork();
	if (pid == 0) {
		(void)syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return held("execute a file in memory");
	return known("programs may come from memory: no policy forbids it");
}

/* What can be learnt of the machine by looking and by timing. */
static int
side_channels(const char *argument)
{
	static const char *const paths[] = { "/proc/stat", "/proc/loadavg",
		"/proc/meminfo", "/proc/interrupts", "/proc/vmstat",
		"/proc/cpuinfo" };
	char names[128] = "";
	size_t n = 0;

	(void)argument;
	for (size_t i = 0; i < COUNT(paths); i++) {
		if (!try_open(paths[i], O_RDONLY) ||
		    strlen(names) + strlen(paths[i]) + 2 > sizeof(names))
			continue;
		(void)snprintf(names + strlen(names),
		    sizeof(names) - strlen(names), " %s", paths[i] + 6);
		n++;
	}
	if (n == 0)
		return held("no figures of the machine");
	return known("time stamps, and in /proc:%s", names);
}

/* argument: a folder that holds the sockets of a daemon. */
static int
daemon_api(const char *argument)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/paddock.sock", argument);
	if (stat(path, &st) == 0)
		return open_("%s is there", path);
	(void)snprintf(path, sizeof(path), "%s/operator.token", argument);
	if (try_open(path, O_RDONLY))
		return open_("%s can be read", path);
	return held("the daemon in %s", argument);
}

const struct probe probes_ipc[] = {
	{ 34, "sysv_objects", sysv_objects, 0 },
	{ 34, "sysv_server", sysv_server, PROBE_SERVER },
	{ 51, "path_socket", path_socket, 0 },
	{ 51, "path_server", path_server, PROBE_SERVER },
	{ 51, "usual_sockets", usual_sockets, PROBE_PLAIN },
	{ 41, "own_filter", own_filter, PROBE_PLAIN },
	{ 26, "reach_into", reach_into, PROBE_PLAIN },
	{ 43, "clocks_and_names", clocks_and_names, PROBE_PLAIN },
	{ 37, "memory_program", memory_program, PROBE_PLAIN },
	{ 76, "side_channels", side_channels, PROBE_PLAIN },
	{ 77, "daemon_api", daemon_api, 0 },
	{},
};
