/*
 * probe/kernel.c: processes, namespaces, rights, system calls.
 */
#include "probe/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { SECRET_READ_BYTES = 1 << 20 };

/* Whether f's bytes hold the secret; argument is its start, so that this
 * process's own command line is no find. */
static int
file_holds(const char *path, const char *secret)
{
	static char text[SECRET_READ_BYTES];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

	if (fd >= 0)
		(void)close(fd);
	return n > 0 && memmem(text, (size_t)n, secret, strlen(secret)) != NULL;
}

/* The variable PADDOCK_SECRET of whoever started us. */
static int
parent_environment(const char *argument)
{
	char path[300];
	struct dirent *d;
	DIR *proc = opendir("/proc");

	(void)argument;
	if (getenv("PADDOCK_SECRET") != NULL)
		return open_("our own environment");
	if (proc == NULL)
		return held("no /proc");
	while ((d = readdir(proc)) != NULL) {
		if (d->d_name[0] < '0' || d->d_name[0] > '9')
			continue;
		(void)snprintf(
		    path, sizeof(path), "/proc/%s/environ", d->d_name);
		if (file_holds(path, "PADDOCK_SECRET="))
			return open_("%s", path);
	}
	return held("no environment holds it");
}

/* Some can be opened by their mode, and then say nothing. */
static bool
can_look(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte;
	bool can = fd >= 0 &&
	    (read(fd, &byte, 1) >= 0 || errno == EISDIR || errno == EINVAL);

	if (fd >= 0)
		(void)close(fd); /* read only */
	return can;
}

static int
pid_1_files(const char *argument)
{
	static const char *const names[] = { "environ", "mem", "maps", "fd/3",
		"root/etc", "cwd/.", "ns/mnt", "exe", "stack", "syscall" };
	char path[64];

	for (size_t i = 0; i < COUNT(names); i++) {
		(void)snprintf(path, sizeof(path), "/proc/1/%s", names[i]);
		if (strcmp(argument, "control") == 0 ? try_open(path, O_RDONLY)
						     : can_look(path))
			return open_("%s", path);
	}
	return held("/proc/1");
}

/* argument: the pid of a process of the host, that is ours outside. */
static int
host_process(const char *argument)
{
	pid_t pid = (pid_t)strtol(argument, NULL, 10);
	struct dirent *d;
	DIR *proc = opendir("/proc");
	int seen = 0;

	if (kill(pid, 0) == 0)
		return open_("process %d can be signalled", (int)pid);
	if (syscall(SYS_pidfd_open, pid, 0) >= 0)
		return open_("process %d has a pidfd", (int)pid);
	while (proc != NULL && (d = readdir(proc)) != NULL)
		seen += d->d_name[0] >= '0' && d->d_name[0] <= '9';
	/* PID 1, this one, and a shell or two. */
	if (seen > 5)
		return open_("%d processes can be seen", seen);
	return held("%d processes seen", seen);
}

/* PID 1 shares our uid: it has to survive us all the same. */
static int
signal_pid_1(const char *argument)
{
	struct rlimit cpu;

	(void)argument;
	/* Whether it may: outside, PID 1 is the machine's. */
	if (kill(1, 0) == 0)
		return open_("PID 1 can be signalled");
	if (syscall(SYS_prlimit64, 1, RLIMIT_CPU, NULL, &cpu) == 0)
		return open_("PID 1 shows its limits");
	return held("PID 1");
}

static int
trace(const char *argument)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { &byte, 1 };
	pid_t child = fork();

	(void)argument;
	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	if (ptrace(PTRACE_SEIZE, 1, NULL, NULL) == 0)
		return open_("PID 1 is traced");
	if (ptrace(PTRACE_SEIZE, child, NULL, NULL) == 0) {
		(void)kill(child, SIGKILL);
		return open_("ptrace");
	}
	if (process_vm_readv(child, &local, 1, &remote, 1, 0) == 1) {
		(void)kill(child, SIGKILL);
		return open_("process_vm_readv");
	}
	(void)kill(child, SIGKILL);
	return held("ptrace");
}

static int
enter_namespaces(const char *argument)
{
	static const char *const names[] = { "mnt", "net", "pid", "user", "ipc",
		"uts", "cgroup", "time" };
	char path[64];

	(void)argument;
	for (size_t i = 0; i < COUNT(names); i++) {
		for (int self = 0; self < 2; self++) {
			int fd;

			(void)snprintf(path, sizeof(path), "/proc/%s/ns/%s",
			    self ? "self" : "1", names[i]);
			fd = open(path, O_RDONLY);
			/* One's own user namespace is refused to all. */
			if (fd >= 0 && setns(fd, 0) == 0)
				return open_("setns %s", path);
		}
	}
	return held("setns");
}

static int
new_namespaces(const char *argument)
{
	static const uint64_t flags[] = { CLONE_NEWUSER, CLONE_NEWNS,
		CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS,
		CLONE_NEWCGROUP, 0x80, CLONE_NEWUSER | CLONE_NEWNET };

	(void)argument;
	for (size_t i = 0; i < COUNT(flags); i++) {
		struct clone_args args = {
			.flags = flags[i],
			.exit_signal = SIGCHLD,
		};
		long pid;

		/* In a child: what works here must not stay. */
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			return open_(
			    "clone3 0x%llx", (unsigned long long)flags[i]);
		if (flags[i] == 0x80)
			continue; /* clone takes it for a signal */
		pid = syscall(
		    SYS_clone, flags[i] | SIGCHLD, NULL, NULL, NULL, NULL);
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			return open_(
			    "clone 0x%llx", (unsigned long long)flags[i]);
		if (syscall(SYS_unshare, flags[i]) == 0)
			return open_(
			    "unshare 0x%llx", (unsigned long long)flags[i]);
	}
	return held("unshare, clone, clone3");
}

static int
keyrings(const char *argument)
{
	(void)argument;
	if (syscall(SYS_add_key, "user", "probe", "x", 1, -3) >= 0)
		return open_("add_key");
	if (syscall(SYS_keyctl, 0, -4, 0) >= 0)
		return open_("keyctl: the user's keyring");
	if (syscall(SYS_request_key, "user", "probe", NULL, 0) >= 0)
		return open_("request_key");
	return held("keyrings");
}

/* EPERM or ENOSYS, and not an error about the arguments, which would mean
 * that the call itself was let through. */
static int
system_calls(const char *argument)
{
	static const struct {
		long nr;
		const char *name;
		long a, b;
	} rows[] = {
		{ SYS_bpf, "bpf", 0, 0 },
		{ SYS_perf_event_open, "perf_event_open", 0, 0 },
		{ SYS_userfaultfd, "userfaultfd", 1, 0 },
		{ SYS_io_uring_setup, "io_uring_setup", 4, 0 },
		{ SYS_io_uring_enter, "io_uring_enter", -1, 0 },
		{ SYS_io_uring_register, "io_uring_register", -1, 0 },
		{ SYS_kexec_load, "kexec_load", 0, 0 },
		{ SYS_init_module, "init_module", 0, 0 },
		{ SYS_finit_module, "finit_module", -1, 0 },
		{ SYS_delete_module, "delete_module", 0, 0 },
		{ SYS_iopl, "iopl", 3, 0 },
		{ SYS_ioperm, "ioperm", 0, 1 },
		{ SYS_swapon, "swapon", 0, 0 },
		{ SYS_swapoff, "swapoff", 0, 0 },
		{ SYS_quotactl, "quotactl", 0, 0 },
		{ SYS_acct, "acct", 1, 0 },
		{ SYS_syslog, "syslog", 10, 0 },
		{ SYS_reboot, "reboot", 0, 0 },
		{ SYS_kcmp, "kcmp", 1, 1 },
		{ SYS_modify_ldt, "modify_ldt", 0, 0 },
		{ SYS_pidfd_getfd, "pidfd_getfd", -1, 0 },
		{ SYS_settimeofday, "settimeofday", 1, 0 },
		{ SYS_clock_settime, "clock_settime", 0, 1 },
		{ SYS_clock_adjtime, "clock_adjtime", 0, 1 },
		{ SYS_adjtimex, "adjtimex", 1, 0 },
		{ SYS_sethostname, "sethostname", 1, 1 },
		{ SYS_setdomainname, "setdomainname", 1, 1 },
		{ SYS_vhangup, "vhangup", 0, 0 },
		{ SYS_fanotify_init, "fanotify_init", 0, 0 },
		{ SYS_lookup_dcookie, "lookup_dcookie", 0, 0 },
		{ SYS_migrate_pages, "migrate_pages", 0, 0 },
		{ SYS_move_pages, "move_pages", 0, 0 },
		{ SYS_personality, "personality", 0x0400000, 0 },
		{ SYS_process_madvise, "process_madvise", -1, 0 },
		{ SYS_name_to_handle_at, "name_to_handle_at", -1, 0 },
		{ SYS_setns, "setns", -1, 0 },
	};

	if (strcmp(argument, "control") == 0) {
		/* Outside most would do harm; one that does none will do. */
		if (syscall(SYS_personality, 0x0400000) >= 0)
			return open_("personality");
		return held("personality");
	}
	for (size_t i = 0; i < COUNT(rows); i++) {
		long r = syscall(rows[i].nr, rows[i].a, rows[i].b, 0, 0, 0);

		if (r >= 0 || (errno != EPERM && errno != ENOSYS))
			return open_("%s: %s", rows[i].name,
			    r >= 0 ? "worked" : strerror(errno));
	}
	return held("%zu system calls", COUNT(rows));
}

/* Types a command into the terminal that started us. The upper half of the
 * command word is ignored by the kernel: CVE-2019-7303. */
static int
type_into_terminal(const char *argument)
{
	static const unsigned long commands[] = { TIOCSTI,
		0x100000000UL | TIOCSTI, 0x541c, 0x10000541cUL };
	char name[64], byte[2] = "x";
	int number, zero = 0, slave = -1;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	(void)argument;
	if (master < 0 || ioctl(master, TIOCSPTLCK, &zero) < 0 ||
	    ioctl(master, TIOCGPTN, &number) < 0)
		return not_here("nothing to try it on");
	(void)snprintf(name, sizeof(name), "/dev/pts/%d", number);
	if (fork() != 0) {
		int status = 0;

		(void)wait(&status);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
	}
	if (setsid() < 0 || (slave = open(name, O_RDWR)) < 0)
		_exit(2);
	(void)ioctl(slave, TIOCSCTTY, 0);
	for (size_t i = 0; i < COUNT(commands); i++) {
		/* TIOCLINUX on no virtual console: ENOTTY is the kernel's. */
		if (syscall(SYS_ioctl, slave, commands[i], byte) == 0 ||
		    errno != EPERM) {
			(void)open_("ioctl 0x%lx", commands[i]);
			(void)fflush(stdout);
			_exit(1);
		}
	}
	(void)held("TIOCSTI, TIOCLINUX");
	(void)fflush(stdout);
	_exit(0);
}

static int
killed_by_sigsys(void (*call)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		call();
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	return WIFSIGNALED(status);
}

#if defined(__x86_64__)
/* getpid by the gate of 32-bit programs. */
static void
call_int80(void)
{
	long r = 20;

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory");
}
#else
static void
call_int80(void)
{
	(void)raise(SIGSYS);
}
#endif

static void
call_x32(void)
{
	(void)syscall(0x40000000 | SYS_getpid);
}

static int
foreign_calls(const char *argument)
{
	if (!killed_by_sigsys(call_int80))
		return open_("int 0x80");
	/* Most kernels have no x32 at all: no control. */
	if (strcmp(argument, "control") != 0 && !killed_by_sigsys(call_x32))
		return open_("an x32 call number");
	errno = 0;
	return held("int 0x80 and x32 are killed");
}

/* One id, which is not the host's user 0, and of a namespace that owns no
 * other: what `paddock exec --fake-root` makes. */
static bool
is_fake_root(void)
{
	unsigned long inside = 1, outside = 0, count = 0;
	FILE *f = fopen("/proc/self/uid_map", "r");
	bool one = f != NULL &&
	    fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3;

	return one && inside == 0 && outside != 0 && count == 1;
}

static int
rights(const char *argument)
{
	/* CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID: of its own
	 * files alone. */
	const unsigned long few = is_fake_root() ? 0xdb : 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");
	int found = 0;

	(void)argument;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Cap", 3) == 0) {
			found++;
			const char *set = line + strcspn(line, "\t");
			bool passed_on = strncmp(line, "CapI", 4) == 0 ||
			    strncmp(line, "CapA", 4) == 0;

			if ((strtoul(set, NULL, 16) & ~(passed_on ? 0 : few)) !=
			    0)
				return open_("%s", line);
		}
		if (strncmp(line, "NoNewPrivs:\t0", 13) == 0)
			return open_("%s", line);
		if (strncmp(line, "Seccomp:\t", 9) == 0 && line[9] != '2')
			return open_("%s", line);
		if (strncmp(line, "Groups:", 7) == 0 &&
		    strspn(line + 7, "\t 0123456789\n") > 14)
			return open_("%s", line);
	}
	if (found != 5 || (few == 0 && (getuid() == 0 || geteuid() == 0)))
		return open_("uid %u, %d sets", getuid(), found);
	f = fopen("/proc/self/uid_map", "r");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		return open_("no uid_map");
	/* Either all ids as they are (and ours is private), or one, not 0. */
	if (few == 0 && strtoul(line, NULL, 10) == 0 && getuid() < 0x70000000)
		return open_("uid_map: %s", line);
	if (prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0) == 0)
		return open_("a right was gained");
	errno = 0;
	return held("no capability, no way to one");
}

static int
priorities(const char *argument)
{
	struct sched_param fifo = { .sched_priority = 1 };
	struct rlimit up = { RLIM_INFINITY, RLIM_INFINITY };

	(void)argument;
	if (sched_setscheduler(0, SCHED_FIFO, &fifo) == 0)
		return open_("real-time priority");
	if (setpriority(PRIO_PROCESS, 0, -20) == 0)
		return open_("nice -20");
	if (setrlimit(RLIMIT_NOFILE, &up) == 0 ||
	    setrlimit(RLIMIT_CORE, &up) == 0)
		return open_("a limit was raised");
	return held("priorities and limits");
}

/* Leaves a process behind that does all to survive; argument marks it. */
static int
orphan(const char *argument)
{
	if (fork() == 0) {
		if (setsid() >= 0 && fork() == 0) {
			for (int s = 1; s < 65; s++)
				(void)signal(s, SIG_IGN);
			for (int fd = 0; fd < 64; fd++)
				(void)close(fd);
			for (;;)
				(void)pause();
		}
		_exit(0);
	}
	(void)wait(NULL);
	(void)printf("left behind: %s\n", argument);
	return 0;
}

/* A ring does what it is told past every filter of system calls. */
static int
ring(const char *argument)
{
	/* struct io_uring_params: all zeroes will do. */
	unsigned char params[120] = {};
	long fd = syscall(SYS_io_uring_setup, 4, params);

	(void)argument;
	if (fd >= 0)
		return open_("io_uring_setup");
	return held("io_uring_setup");
}

/* Memory that is executable when it should not be; a fixed layout is allowed:
 * debuggers and some languages want it. */
static int
personalities(const char *argument)
{
	(void)argument;
	if (syscall(SYS_personality, 0x0400000) >= 0)
		return open_("READ_IMPLIES_EXEC");
	if (syscall(SYS_personality, 0x0440000) >= 0)
		return open_("READ_IMPLIES_EXEC and ADDR_NO_RANDOMIZE");
	if (syscall(SYS_modify_ldt, 1, NULL, 0) >= 0 ||
	    (errno != EPERM && errno != ENOSYS))
		return open_("modify_ldt");
	return held("personality");
}

const struct probe probes_kernel[] = {
	{ 32, "ring", ring, PROBE_PLAIN },
	{ 38, "personalities", personalities, PROBE_PLAIN },
	{ 27, "parent_environment", parent_environment, PROBE_PLAIN },
	{ 27, "pid_1_files", pid_1_files, PROBE_PLAIN },
	{ 25, "host_process", host_process, 0 },
	{ 25, "signal_pid_1", signal_pid_1, PROBE_PLAIN },
	{ 26, "trace", trace, PROBE_PLAIN },
	{ 28, "enter_namespaces", enter_namespaces, PROBE_PLAIN },
	{ 29, "new_namespaces", new_namespaces, PROBE_PLAIN },
	{ 30, "keyrings", keyrings, PROBE_PLAIN },
	{ 31, "system_calls", system_calls, PROBE_PLAIN },
	{ 33, "type_into_terminal", type_into_terminal, PROBE_PLAIN },
	{ 29, "foreign_calls", foreign_calls, PROBE_PLAIN },
	{ 44, "rights", rights, PROBE_PLAIN },
	{ 42, "priorities", priorities, PROBE_PLAIN },
	{ 36, "orphan", orphan, PROBE_SERVER },
	{},
};
