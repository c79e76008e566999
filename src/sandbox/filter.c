/*
 * sandbox/filter.c: the system calls that a program inside may make.
 *
 * A list of what is allowed; all else fails with EPERM. What ordinary
 * programs try first and can do without fails with ENOSYS, so that they take
 * the older way. Rows are in the order of x86-64's numbers.
 */
#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ALLOW(name)                                       \
	{                                                 \
		.nr = SYS_##name, .action = SECCOMP_ALLOW \
	}
#define ABSENT(name)                                              \
	{                                                         \
		.nr = SYS_##name, .action = SECCOMP_ERRNO(ENOSYS) \
	}
/* The tests say when; otherwise the action is this one. */
#define ALLOW_UNLESS(name, t)                                            \
	{                                                                \
		.nr = SYS_##name, .action = SECCOMP_ALLOW, .tests = (t), \
		.n_tests = COUNT(t)                                      \
	}
#define DENY_UNLESS(name, t)                                      \
	{                                                         \
		.nr = SYS_##name, .action = SECCOMP_ERRNO(EPERM), \
		.tests = (t), .n_tests = COUNT(t)                 \
	}
#define IS(a, v)                                                \
	{                                                       \
		(a), SECCOMP_EQ, UINT32_MAX, (v), SECCOMP_ALLOW \
	}

enum {
	SET_ID_BITS = S_ISUID | S_ISGID,
	TYPE_BITS = 0xf, /* of a socket's type; the rest are flags */
	MAKES_FILE = O_CREAT | 020000000, /* O_TMPFILE without O_DIRECTORY */
	NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
	    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | 0x80,
	PROTO_TCP = 6,
	PROTO_UDP = 17,

	/* Newer than the oldest headers this builds with. */
	SYS_process_mrelease_ = 448,
	SYS_futex_waitv_ = 449,
	SYS_cachestat_ = 451,
	SYS_fchmodat2_ = 452,
	SYS_map_shadow_stack_ = 453,
	SYS_futex_wake_ = 454,
	SYS_futex_wait_ = 455,
	SYS_futex_requeue_ = 456,
	SYS_mseal_ = 462,
};

/*
 * TCP and UDP over IP, and UNIX sockets. Not MPTCP (262), which Landlock's TCP
 * rules do not see; not vsock, which no namespace holds; not netlink, packet,
 * ALG and all others, whose code is seldom walked.
 */
#define INET_TESTS                                                            \
	{ 0, SECCOMP_GT, UINT32_MAX, AF_INET6, SECCOMP_ERRNO(EAFNOSUPPORT) }, \
	    { 1, SECCOMP_GT, TYPE_BITS, SOCK_DGRAM, SECCOMP_ERRNO(EPERM) },   \
	    { 2, SECCOMP_GT, UINT32_MAX, PROTO_UDP,                           \
		    SECCOMP_ERRNO(EPROTONOSUPPORT) },                         \
	    { 2, SECCOMP_EQ, UINT32_MAX, 1, SECCOMP_ERRNO(EPROTONOSUPPORT) }, \
	    IS(0, AF_INET), IS(0, AF_INET6),                                  \
	{                                                                     \
		0, SECCOMP_NE, 0, 1, SECCOMP_ERRNO(EAFNOSUPPORT)              \
	}
static const struct seccomp_test socket_tests[] = { IS(0, AF_UNIX),
	INET_TESTS };
static const struct seccomp_test inet_tests[] = { INET_TESTS };
static const struct seccomp_test socketpair_tests[] = { IS(0, AF_UNIX) };

/* clone3 hides its flags behind a pointer and is absent; this shows them. */
static const struct seccomp_test clone_tests[] = {
	{ 0, SECCOMP_EQ, NEW_NAMESPACES, 0, SECCOMP_ALLOW },
};

/* Typing into the terminal that started us, and changing its line's rules. */
static const struct seccomp_test ioctl_tests[] = {
	{ 1, SECCOMP_EQ, UINT32_MAX, 0x5412, SECCOMP_ERRNO(EPERM) }, /* STI */
	{ 1, SECCOMP_EQ, UINT32_MAX, 0x541c, SECCOMP_ERRNO(EPERM) }, /* LINUX */
	{ 1, SECCOMP_EQ, UINT32_MAX, 0x5423, SECCOMP_ERRNO(EPERM) }, /* SETD */
};

/*
 * A file made here may be seen outside, with an owner that counts there: no
 * set-user-id and no set-group-id bits, and no device nodes (the overlay's
 * whiteout is one that needs no right).
 */
static const struct seccomp_test mode_1_tests[] = {
	{ 1, SECCOMP_EQ, SET_ID_BITS, 0, SECCOMP_ALLOW },
};
static const struct seccomp_test mode_2_tests[] = {
	{ 2, SECCOMP_EQ, SET_ID_BITS, 0, SECCOMP_ALLOW },
};
static const struct seccomp_test open_tests[] = {
	{ 1, SECCOMP_EQ, MAKES_FILE, 0, SECCOMP_ALLOW },
	{ 2, SECCOMP_EQ, SET_ID_BITS, 0, SECCOMP_ALLOW },
};
static const struct seccomp_test openat_tests[] = {
	{ 2, SECCOMP_EQ, MAKES_FILE, 0, SECCOMP_ALLOW },
	{ 3, SECCOMP_EQ, SET_ID_BITS, 0, SECCOMP_ALLOW },
};
static const struct seccomp_test mknod_tests[] = {
	{ 1, SECCOMP_EQ, S_IFMT, S_IFCHR, SECCOMP_ERRNO(EPERM) },
	{ 1, SECCOMP_EQ, S_IFMT, S_IFBLK, SECCOMP_ERRNO(EPERM) },
	{ 1, SECCOMP_EQ, SET_ID_BITS, 0, SECCOMP_ALLOW },
};
static const struct seccomp_test mknodat_tests[] = {
	{ 2, SECCOMP_EQ, S_IFMT, S_IFCHR, SECCOMP_ERRNO(EPERM) },
	{ 2, SECCOMP_EQ, S_IFMT, S_IFBLK, SECCOMP_ERRNO(EPERM) },
	{ 2, SECCOMP_EQ, SET_ID_BITS, 0, SECCOMP_ALLOW },
};

/* Linux, without and with a fixed layout, SVR4 likewise; "what is it now". */
static const struct seccomp_test personality_tests[] = {
	IS(0, 0x0),
	IS(0, 0x8),
	IS(0, 0x20000),
	IS(0, 0x20008),
	IS(0, 0xffffffff),
};

/* Its own limits only: PID 1 has the same uid. */
static const struct seccomp_test own_pid_tests[] = { IS(0, 0) };

static const struct seccomp_test prctl_tests[] = {
	IS(0, PR_SET_PDEATHSIG), IS(0, PR_GET_PDEATHSIG),
	IS(0, PR_GET_DUMPABLE), IS(0, PR_SET_DUMPABLE), IS(0, PR_GET_KEEPCAPS),
	IS(0, PR_SET_NAME), IS(0, PR_GET_NAME), IS(0, PR_GET_SECCOMP),
	IS(0, PR_SET_SECCOMP), IS(0, PR_CAPBSET_READ), IS(0, PR_GET_SECUREBITS),
	IS(0, PR_SET_TIMERSLACK), IS(0, PR_GET_TIMERSLACK),
	IS(0, PR_SET_CHILD_SUBREAPER), IS(0, PR_GET_CHILD_SUBREAPER),
	IS(0, PR_SET_NO_NEW_PRIVS), IS(0, PR_GET_NO_NEW_PRIVS),
	IS(0, PR_GET_TID_ADDRESS), IS(0, PR_SET_THP_DISABLE),
	IS(0, PR_GET_THP_DISABLE), IS(0, PR_CAP_AMBIENT),
	IS(0, PR_GET_SPECULATION_CTRL), IS(0, PR_SET_SPECULATION_CTRL),
	IS(0, 65), /* PR_SET_MDWE */
	IS(0, 66), /* PR_GET_MDWE */
	IS(0, 0x53564d41), /* PR_SET_VMA */
};

static const struct seccomp_rule rules[] = {
	ALLOW(read),
	ALLOW(write),
	ALLOW(close),
	ALLOW(stat),
	ALLOW(fstat),
	ALLOW(lstat),
	ALLOW(poll),
	ALLOW(lseek),
	ALLOW(mmap),
	ALLOW(mprotect),
	ALLOW(munmap),
	ALLOW(brk),
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(pread64),
	ALLOW(pwrite64),
	ALLOW(readv),
	ALLOW(writev),
	ALLOW(access),
	ALLOW(pipe),
	ALLOW(select),
	ALLOW(sched_yield),
	ALLOW(mremap),
	ALLOW(msync),
	ALLOW(mincore),
	ALLOW(madvise),
	ALLOW(shmget),
	ALLOW(shmat),
	ALLOW(shmctl),
	ALLOW(dup),
	ALLOW(dup2),
	ALLOW(pause),
	ALLOW(nanosleep),
	ALLOW(getitimer),
	ALLOW(alarm),
	ALLOW(setitimer),
	ALLOW(getpid),
	ALLOW(sendfile),
	ALLOW(connect),
	ALLOW(accept),
	ALLOW(sendto),
	ALLOW(recvfrom),
	ALLOW(sendmsg),
	ALLOW(recvmsg),
	ALLOW(shutdown),
	ALLOW(bind),
	ALLOW(listen),
	ALLOW(getsockname),
	ALLOW(getpeername),
	ALLOW(setsockopt),
	ALLOW(getsockopt),
	ALLOW(fork),
	ALLOW(vfork),
	ALLOW(execve),
	ALLOW(exit),
	ALLOW(wait4),
	ALLOW(kill),
	ALLOW(uname),
	ALLOW(semget),
	ALLOW(semop),
	ALLOW(semctl),
	ALLOW(shmdt),
	ALLOW(msgget),
	ALLOW(msgsnd),
	ALLOW(msgrcv),
	ALLOW(msgctl),
	ALLOW(fcntl),
	ALLOW(flock),
	ALLOW(fsync),
	ALLOW(fdatasync),
	ALLOW(truncate),
	ALLOW(ftruncate),
	ALLOW(getdents),
	ALLOW(getcwd),
	ALLOW(chdir),
	ALLOW(fchdir),
	ALLOW(rename),
	ALLOW(mkdir),
	ALLOW(rmdir),
	ALLOW(link),
	ALLOW(unlink),
	ALLOW(symlink),
	ALLOW(readlink),
	ALLOW(chown),
	ALLOW(fchown),
	ALLOW(lchown),
	ALLOW(umask),
	ALLOW(gettimeofday),
	ALLOW(getrlimit),
	ALLOW(getrusage),
	ALLOW(sysinfo),
	ALLOW(times),
	ALLOW(getuid),
	ALLOW(getgid),
	ALLOW(setuid),
	ALLOW(setgid),
	ALLOW(geteuid),
	ALLOW(getegid),
	ALLOW(setpgid),
	ALLOW(getppid),
	ALLOW(getpgrp),
	ALLOW(setsid),
	ALLOW(setreuid),
	ALLOW(setregid),
	ALLOW(getgroups),
	ALLOW(setgroups),
	ALLOW(setresuid),
	ALLOW(getresuid),
	ALLOW(setresgid),
	ALLOW(getresgid),
	ALLOW(getpgid),
	ALLOW(setfsuid),
	ALLOW(setfsgid),
	ALLOW(getsid),
	ALLOW(capget),
	ALLOW(capset),
	ALLOW(rt_sigpending),
	ALLOW(rt_sigtimedwait),
	ALLOW(rt_sigqueueinfo),
	ALLOW(rt_sigsuspend),
	ALLOW(sigaltstack),
	ALLOW(utime),
	ALLOW(statfs),
	ALLOW(fstatfs),
	ALLOW(getpriority),
	ALLOW(setpriority),
	ALLOW(sched_setparam),
	ALLOW(sched_getparam),
	ALLOW(sched_setscheduler),
	ALLOW(sched_getscheduler),
	ALLOW(sched_get_priority_max),
	ALLOW(sched_get_priority_min),
	ALLOW(sched_rr_get_interval),
	ALLOW(mlock),
	ALLOW(munlock),
	ALLOW(mlockall),
	ALLOW(munlockall),
	ALLOW(arch_prctl),
	ALLOW(setrlimit),
	ALLOW(sync),
	ALLOW(gettid),
	ALLOW(readahead),
	ALLOW(setxattr),
	ALLOW(lsetxattr),
	ALLOW(fsetxattr),
	ALLOW(getxattr),
	ALLOW(lgetxattr),
	ALLOW(fgetxattr),
	ALLOW(listxattr),
	ALLOW(llistxattr),
	ALLOW(flistxattr),
	ALLOW(removexattr),
	ALLOW(lremovexattr),
	ALLOW(fremovexattr),
	ALLOW(tkill),
	ALLOW(time),
	ALLOW(futex),
	ALLOW(sched_setaffinity),
	ALLOW(sched_getaffinity),
	ALLOW(io_setup),
	ALLOW(io_destroy),
	ALLOW(io_getevents),
	ALLOW(io_submit),
	ALLOW(io_cancel),
	ALLOW(epoll_create),
	ALLOW(remap_file_pages),
	ALLOW(getdents64),
	ALLOW(set_tid_address),
	ALLOW(restart_syscall),
	ALLOW(semtimedop),
	ALLOW(fadvise64),
	ALLOW(timer_create),
	ALLOW(timer_settime),
	ALLOW(timer_gettime),
	ALLOW(timer_getoverrun),
	ALLOW(timer_delete),
	ALLOW(clock_gettime),
	ALLOW(clock_getres),
	ALLOW(clock_nanosleep),
	ALLOW(exit_group),
	ALLOW(epoll_wait),
	ALLOW(epoll_ctl),
	ALLOW(tgkill),
	ALLOW(utimes),
	ALLOW(mq_open),
	ALLOW(mq_unlink),
	ALLOW(mq_timedsend),
	ALLOW(mq_timedreceive),
	ALLOW(mq_notify),
	ALLOW(mq_getsetattr),
	ALLOW(waitid),
	ALLOW(ioprio_set),
	ALLOW(ioprio_get),
	ALLOW(inotify_init),
	ALLOW(inotify_add_watch),
	ALLOW(inotify_rm_watch),
	ALLOW(mkdirat),
	ALLOW(fchownat),
	ALLOW(futimesat),
	ALLOW(newfstatat),
	ALLOW(unlinkat),
	ALLOW(renameat),
	ALLOW(linkat),
	ALLOW(symlinkat),
	ALLOW(readlinkat),
	ALLOW(faccessat),
	ALLOW(pselect6),
	ALLOW(ppoll),
	ALLOW(set_robust_list),
	ALLOW(get_robust_list),
	ALLOW(splice),
	ALLOW(tee),
	ALLOW(sync_file_range),
	ALLOW(vmsplice),
	ALLOW(utimensat),
	ALLOW(epoll_pwait),
	ALLOW(signalfd),
	ALLOW(timerfd_create),
	ALLOW(eventfd),
	ALLOW(fallocate),
	ALLOW(timerfd_settime),
	ALLOW(timerfd_gettime),
	ALLOW(accept4),
	ALLOW(signalfd4),
	ALLOW(eventfd2),
	ALLOW(epoll_create1),
	ALLOW(dup3),
	ALLOW(pipe2),
	ALLOW(inotify_init1),
	ALLOW(preadv),
	ALLOW(pwritev),
	ALLOW(rt_tgsigqueueinfo),
	ALLOW(recvmmsg),
	ALLOW(getcpu),
	ALLOW(syncfs),
	ALLOW(sendmmsg),
	ALLOW(sched_setattr),
	ALLOW(sched_getattr),
	ALLOW(renameat2),
	ALLOW(seccomp),
	ALLOW(getrandom),
	ALLOW(memfd_create),
	ALLOW(execveat),
	ALLOW(membarrier),
	ALLOW(mlock2),
	ALLOW(copy_file_range),
	ALLOW(preadv2),
	ALLOW(pwritev2),
	ALLOW(pkey_mprotect),
	ALLOW(pkey_alloc),
	ALLOW(pkey_free),
	ALLOW(statx),
	ALLOW(rseq),
	ALLOW(pidfd_send_signal),
	ALLOW(pidfd_open),
	ALLOW(close_range),
	ALLOW(faccessat2),
	ALLOW(epoll_pwait2),
	ALLOW(landlock_create_ruleset),
	ALLOW(landlock_add_rule),
	ALLOW(landlock_restrict_self),
	ALLOW(get_mempolicy),
	{ .nr = SYS_process_mrelease_, .action = SECCOMP_ALLOW },
	{ .nr = SYS_futex_waitv_, .action = SECCOMP_ALLOW },
	{ .nr = SYS_cachestat_, .action = SECCOMP_ALLOW },
	{ .nr = SYS_map_shadow_stack_, .action = SECCOMP_ALLOW },
	{ .nr = SYS_futex_wake_, .action = SECCOMP_ALLOW },
	{ .nr = SYS_futex_wait_, .action = SECCOMP_ALLOW },
	{ .nr = SYS_futex_requeue_, .action = SECCOMP_ALLOW },
	{ .nr = SYS_mseal_, .action = SECCOMP_ALLOW },

	DENY_UNLESS(open, open_tests),
	DENY_UNLESS(openat, openat_tests),
	DENY_UNLESS(creat, mode_1_tests),
	DENY_UNLESS(chmod, mode_1_tests),
	DENY_UNLESS(fchmod, mode_1_tests),
	DENY_UNLESS(fchmodat, mode_2_tests),
	{ .nr = SYS_fchmodat2_,
	    .action = SECCOMP_ERRNO(EPERM),
	    .tests = mode_2_tests,
	    .n_tests = COUNT(mode_2_tests) },
	DENY_UNLESS(mknod, mknod_tests),
	DENY_UNLESS(mknodat, mknodat_tests),
	DENY_UNLESS(socket, socket_tests),
	DENY_UNLESS(socketpair, socketpair_tests),
	DENY_UNLESS(clone, clone_tests),
	DENY_UNLESS(prctl, prctl_tests),
	DENY_UNLESS(personality, personality_tests),
	DENY_UNLESS(prlimit64, own_pid_tests),
	ALLOW_UNLESS(ioctl, ioctl_tests),

	/* Their arguments lie behind a pointer, where no filter can look. */
	ABSENT(clone3),
	ABSENT(openat2),
};

/*
 * Instead of those above with FILTER_COUNTED. memfd_create, System V's objects
 * and anonymous shared mappings (the test sees MAP_SHARED_VALIDATE, too) live
 * on a file system of the kernel's own that has no size; /dev/zero, mapped,
 * would be one more (root_no_zero). A thread with descriptors of its own would
 * hide them; pages given to a pipe would belong to nobody.
 */
static const struct seccomp_test counted_mmap[] = {
	{ 3, SECCOMP_EQ, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS,
	    SECCOMP_ERRNO(EPERM) },
};
static const struct seccomp_test counted_clone[] = {
	{ 0, SECCOMP_EQ, CLONE_THREAD | CLONE_FILES, CLONE_THREAD,
	    SECCOMP_ERRNO(EPERM) },
	{ 0, SECCOMP_EQ, NEW_NAMESPACES, 0, SECCOMP_ALLOW },
};
/* Larger buffers are a wish: who asks for them is told that they are there. */
static const struct seccomp_test counted_setsockopt[] = {
	{ 1, SECCOMP_NE, UINT32_MAX, SOL_SOCKET, SECCOMP_ALLOW },
	{ 2, SECCOMP_EQ, UINT32_MAX, SO_SNDBUF, SECCOMP_ERRNO(0) },
	{ 2, SECCOMP_EQ, UINT32_MAX, SO_RCVBUF, SECCOMP_ERRNO(0) },
};

static const struct seccomp_rule counted[] = {
	ALLOW_UNLESS(mmap, counted_mmap),
	ALLOW_UNLESS(setsockopt, counted_setsockopt),
	DENY_UNLESS(clone, counted_clone),
	{ .nr = SYS_vmsplice, .action = SECCOMP_ERRNO(EPERM) },
	ABSENT(memfd_create),
	ABSENT(shmget),
	ABSENT(semget),
	ABSENT(msgget),
};

const struct seccomp_policy sandbox_filter = {
	.rules = rules,
	.n_rules = COUNT(rules),
	.otherwise = SECCOMP_ERRNO(EPERM),
};

int
sandbox_filter_compile(unsigned kind,
    struct sock_filter out[static SECCOMP_PROGRAM_MAX], struct err *e)
{
	static const struct seccomp_rule tracer = ALLOW(ptrace);
	struct seccomp_rule changed[COUNT(rules) + 1];
	const struct seccomp_policy policy = {
		.rules = changed,
		.n_rules = COUNT(rules) + ((kind & FILTER_TRACER) != 0),
		.otherwise = sandbox_filter.otherwise,
	};

	for (size_t i = 0; i < COUNT(rules); i++) {
		uint32_t nr = rules[i].nr;

		changed[i] = rules[i];
		if ((kind & FILTER_FAKE_ROOT) != 0 &&
		    (nr == SYS_chown || nr == SYS_lchown || nr == SYS_fchown ||
			nr == SYS_fchownat))
			changed[i].action = SECCOMP_ERRNO(0);
		if ((kind & FILTER_PINNED) != 0 && nr == SYS_sched_setaffinity)
			changed[i].action = SECCOMP_ERRNO(EPERM);
		for (size_t k = 0;
		     (kind & FILTER_COUNTED) != 0 && k < COUNT(counted); k++) {
			if (counted[k].nr == nr)
				changed[i] = counted[k];
		}
		if ((kind & FILTER_NO_UNIX) != 0 && nr == SYS_socket) {
			changed[i].tests = inet_tests;
			changed[i].n_tests = COUNT(inet_tests);
		}
	}
	changed[COUNT(rules)] = tracer;
	return seccomp_compile(&policy, out, SECCOMP_PROGRAM_MAX, e);
}
