#include "sys/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "sys/fd.h"

enum {
	CAPS_MAX = 64,
	STACK_BYTES = 512 * 1024, /* a child's: arguments of ARG_MAX size fit */
};

/* There in sanitized builds only. */
void __asan_unpoison_memory_region(void const volatile *p, size_t n)
    __attribute__((weak));

static void forget_frames(const void *stack, size_t n);
static long clone_onto(
    struct clone_args *args, size_t size, int (*child)(void *), void *arg);
static int wait_for_end(void *arg);
static int write_map(
    pid_t pid, const char *file, const char *text, struct err *e);
static int write_map_at(
    int self, const char *file, const char *text, struct err *e);

pid_t
ns_spawn(uint64_t flags, int cgroup_fd, int (*child)(void *), void *arg,
    int *pidfd, struct err *e)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD | CLONE_VM | CLONE_VFORK,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack_size = STACK_BYTES,
	};
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	void *stack;
	long pid;

	/* Fresh each time: nothing of an earlier child lies in it. */
	stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return err_sys(e, "mmap a stack");
	forget_frames(stack, STACK_BYTES);
	args.stack = (uint64_t)(uintptr_t)stack;
	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid = clone_onto(&args, sizeof(args), child, arg);
	(void)munmap(stack, STACK_BYTES);
	/* The child's change of uid counts for the memory it borrowed. */
	if (dumpable == 1)
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (pid < 0) {
		errno = (int)-pid;
		return err_sys(e, "clone3");
	}
	return (pid_t)pid;
}

pid_t
ns_fork(uint64_t flags, int cgroup_fd, int *pidfd, struct err *e)
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
	return (pid_t)pid;
}

int
ns_own_net(struct err *e)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(e, "make a network namespace");
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open /proc/self/ns/net");
	return fd;
}

int
ns_idmap(uid_t from_uid, uid_t to_uid, gid_t from_gid, gid_t to_gid,
    struct ns_helper *helper, struct err *e)
{
	struct clone_args args = {
		/* CLONE_FILES: it opens nothing, and who holds a thousand
		 * sandboxes has thousands of descriptors to copy. */
		.flags = CLONE_NEWUSER | CLONE_VM | CLONE_FILES,
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)helper->stack,
		.stack_size = sizeof(helper->stack),
	};
	own_fd int fd = -1;
	char text[64];
	pid_t pid;
	int r;

	helper->pid = -1;
	/* A namespace has to have a process in it while it gets its maps. */
	pid = (pid_t)clone_onto(&args, sizeof(args), wait_for_end, NULL);
	if (pid < 0) {
		errno = -pid;
		return err_sys(e, "clone3 a user namespace");
	}
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
	helper->pid = pid;
	return r == 0 ? fd_take(&fd) : -1;
}

void
ns_reap(struct ns_helper *helper)
{
	while (helper->pid > 0 && waitpid(helper->pid, NULL, 0) < 0 &&
	    errno == EINTR)
		continue;
	helper->pid = -1;
	forget_frames(helper->stack, sizeof(helper->stack));
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
ns_drop_bounding(struct err *e)
{
	int cap = 0;

	/* The kernel's last capability is the one before the first EINVAL. */
	while (cap < CAPS_MAX && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
		cap++;
	if (cap == 0 || (cap < CAPS_MAX && errno != EINVAL))
		return err_sys(
		    e, "drop capability %d from the bounding set", cap);
	return 0;
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
ns_fake_root(int self, bool change_id, uid_t uid, gid_t gid, struct err *e)
{
	const unsigned long bits = SECBIT_KEEP_CAPS_LOCKED |
	    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {};
	char text[64];

	must(uid != 0);
	if (change_id) {
		/* Where ordinary users may make no user namespace, this one
		 * is still made with a capability. */
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
			return err_sys(e, "keep capabilities");
		if (syscall(SYS_setgroups, 0, NULL) < 0)
			return err_sys(e, "setgroups");
		if (syscall(SYS_setresgid, gid, gid, gid) < 0)
			return err_sys(e, "setresgid %u", gid);
		if (syscall(SYS_setresuid, uid, uid, uid) < 0)
			return err_sys(e, "setresuid %u", uid);
		if (syscall(SYS_capget, &head, data) < 0)
			return err_sys(e, "capget");
		data[0].effective = data[0].permitted;
		data[1].effective = data[1].permitted;
		if (syscall(SYS_capset, &head, data) < 0)
			return err_sys(e, "capset");
	}
	/* Else its files in /proc belong to another user now. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_sys(e, "PR_SET_DUMPABLE");
	if (unshare(CLONE_NEWUSER) < 0)
		return err_sys(e, "a user namespace for user 0 inside");
	(void)snprintf(text, sizeof(text), "0 %u 1", uid);
	if (write_map_at(self, "uid_map", text, e) < 0 ||
	    write_map_at(self, "setgroups", "deny", e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "0 %u 1", gid);
	if (write_map_at(self, "gid_map", text, e) < 0)
		return -1;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, "PR_SET_DUMPABLE");
	for (int cap = 0; cap < CAPS_MAX; cap++) {
		if (cap < 32 && (NS_ROOT_CAPS & 1U << cap) != 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			break; /* the one after the kernel's last */
		return err_sys(
		    e, "drop capability %d from the bounding set", cap);
	}
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		return err_sys(e, "lock securebits");
	data[0] = (struct __user_cap_data_struct){
		.effective = NS_ROOT_CAPS,
		.permitted = NS_ROOT_CAPS,
	};
	data[1] = (struct __user_cap_data_struct){};
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(e, "capset");
	return 0;
}

int
ns_pin(unsigned n, struct err *e)
{
	enum { CPUS_MAX = 8192 }; /* NR_CPUS of the largest kernels */
	uint8_t mask[CPUS_MAX / 8] = {}, kept[CPUS_MAX / 8] = {};
	long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	uint16_t random = 0;

	if (bytes <= 0)
		return err_sys(e, "sched_getaffinity");
	/* Not the same ones for all: any serve, so no answer is no matter. */
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	for (unsigned i = 0; i < (unsigned)bytes * 8 && n > 0; i++) {
		unsigned cpu = (i + random) % ((unsigned)bytes * 8);

		if ((mask[cpu / 8] & 1U << cpu % 8) == 0)
			continue;
		kept[cpu / 8] |= (uint8_t)(1U << cpu % 8);
		n--;
	}
	if (syscall(SYS_sched_setaffinity, 0, (size_t)bytes, kept) < 0)
		return err_sys(e, "sched_setaffinity");
	return 0;
}

int
ns_first_to_go(struct err *e)
{
	own_fd int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1000", 4) != 4)
		return err_sys(e, "write /proc/self/oom_score_adj");
	return 0;
}

int
ns_tcp_buffers(unsigned bytes, struct err *e)
{
	static const char *const files[] = { "/proc/sys/net/ipv4/tcp_rmem",
		"/proc/sys/net/ipv4/tcp_wmem" };
	char text[64];
	int n;

	/* Least, at first, most: tcp(7). */
	n = snprintf(text, sizeof(text), "4096 16384 %u", bytes);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		own_fd int fd = open(files[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, text, (size_t)n) != n)
			return err_sys(e, "write %s", files[i]);
	}
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

int
ns_own_core(struct err *e)
{
	/* PR_SCHED_CORE of linux/prctl.h, which not every libc has. */
	enum { SCHED_CORE = 62, CREATE = 1, THE_CALLER = 0 };

	if (prctl(SCHED_CORE, CREATE, 0, THE_CALLER, 0) < 0)
		return err_sys(e, "core scheduling");
	return 0;
}

/*
 * A child that ended on this stack never returned from its functions: what a
 * sanitizer marked there would stay, and be taken for an error of ours.
 */
static void
forget_frames(const void *stack, size_t n)
{
	if (__asan_unpoison_memory_region != NULL)
		__asan_unpoison_memory_region(stack, n);
}

/*
 * clone3(2) for a child on a stack of its own, which the C library cannot
 * start: calls child(arg) there and exits with its result. Returns the pid or
 * a negative errno. The kernel keeps all other registers for the child.
 */
#if defined(__x86_64__)
static long
clone_onto(
    struct clone_args *args, size_t size, int (*child)(void *), void *arg)
{
	register int (*child_r12)(void *) __asm__("r12") = child;
	register void *arg_r13 __asm__("r13") = arg;
	long r;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov %[nr_exit], %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(r)
			 : "a"(SYS_clone3), "D"(args), "S"(size),
			 "r"(child_r12),
			 "r"(arg_r13), [nr_exit] "i"(SYS_exit_group)
			 : "rcx", "r11", "memory", "cc");
	return r;
}
#elif defined(__aarch64__)
static long
clone_onto(
    struct clone_args *args, size_t size, int (*child)(void *), void *arg)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register void *x0 __asm__("x0") = args;
	register size_t x1 __asm__("x1") = size;
	register int (*child_x20)(void *) __asm__("x20") = child;
	register void *arg_x21 __asm__("x21") = arg;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x21\n\t"
			 "blr x20\n\t"
			 "mov x8, %[nr_exit]\n\t"
			 "svc #0\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(child_x20),
			 "r"(arg_x21), [nr_exit] "i"(SYS_exit_group)
			 : "x30", "memory", "cc");
	return (long)x0;
}
#else
#error "sys/ns.c: write clone_onto for this architecture"
#endif

/* Until it is killed, or its parent is. By system calls alone: it shares its
 * parent's memory, and nothing there may move. */
static int
wait_for_end(void *arg)
{
	(void)arg;
	(void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;)
		(void)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	return 0;
}

static int
write_map_at(int self, const char *file, const char *text, struct err *e)
{
	own_fd int fd = openat(self, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, "open %s", file);
	if (write(fd, text, strlen(text)) < 0)
		return err_sys(e, "write %s \"%s\"", file, text);
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
