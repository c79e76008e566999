#include "sys/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/seccomp.h"

/*
 * The uids of the roles, as root. High and of no meaning to any distribution's
 * allocation; sandboxes take theirs from 0x70000000 up.
 */
enum { UID_BASE = 0x6fff0000 };

enum files {
	FILES_HOST, /* as it is: who builds sandboxes must see the host */
	FILES_DIR, /* one directory */
	FILES_NONE,
};

/* What a role may call beside the calls that every role makes. */
enum calls {
	CALLS_NONE = 0,
	CALLS_FILES = 1 << 0, /* open, sync, lock and remove files */
	CALLS_ACCEPT = 1 << 1, /* take connections, make pipes */
	CALLS_THREAD = 1 << 2, /* start a thread */
	CALLS_DIAL = 1 << 4, /* TCP and UDP sockets that connect; splice */
	CALLS_PIPE = 1 << 5, /* make pipes */
	CALLS_ANY = 1 << 3, /* all but a few: who builds sandboxes */
};

struct row {
	const char *name;
	uid_t uid; /* 0: keeps it */
	enum files files;
	unsigned calls;
	uint64_t nofile; /* descriptors */
	uint64_t fsize; /* bytes of the largest file, memfds included */
	uint64_t nproc; /* processes and threads of its uid */
};

enum {
	MIB = 1024 * 1024,
	/* A gateway: connections, a pair of pipes, two doors and what leads
	 * inside for a run, and three streams of some commands. */
	GATEWAY_FILES = HTTP_MAX_CONNECTIONS + 8 * RUNS_MAX,
	/* Two ends of a connection, pipes of those that are held up, and four
	 * sockets of each run. */
	PROXY_FILES = 4 * EGRESS_FLOWS_MAX + 4 * RUNS_MAX,
	BROKER_FILES = 8 * RUNS_MAX, /* doors and world of each run */
	/* Two a daemon, and the uid is that of every daemon's broker here. */
	BROKER_THREADS = 512,
	/* A database of each run, one below it, and what arrives. */
	WORLD_FILES = 3 * RUNS_MAX,
	/* Three pipes of each server, or connections of one over HTTP. */
	TOOLS_FILES = 4 * RUNS_MAX + EGRESS_FLOWS_MAX,
	SMALL_FILE = 2 * IPC_MAX_PAYLOAD_BYTES, /* a message's memfd */
	GATEWAY_FILE = EXPORT_MAX_BYTES, /* and what is exported at once */
	WORLD_FILE = 512 * MIB, /* the database of one run */
	NO_LIMIT = 0,
};

static const struct row rows[CONFINE_ROLES] = {
	/* name, uid, files, calls, descriptors, file bytes, processes */
	/* Its limit of descriptors is the most that a role it starts can
	 * have. */
	[CONFINE_SUPERVISOR] = { "supervisor", 0, FILES_HOST, CALLS_ANY,
	    PROXY_FILES, NO_LIMIT, NO_LIMIT },
	[CONFINE_BROKER] = { "broker", UID_BASE + 1, FILES_DIR,
	    CALLS_FILES | CALLS_THREAD, BROKER_FILES, NO_LIMIT,
	    BROKER_THREADS },
	[CONFINE_GATEWAY] = { "gateway", UID_BASE + 2, FILES_NONE, CALLS_ACCEPT,
	    GATEWAY_FILES, GATEWAY_FILE, 1 },
	[CONFINE_PROXY] = { "proxy", UID_BASE + 3, FILES_NONE,
	    CALLS_ACCEPT | CALLS_DIAL, PROXY_FILES, SMALL_FILE, 1 },
	[CONFINE_WORLD] = { "world", UID_BASE + 4, FILES_NONE, CALLS_NONE,
	    WORLD_FILES, WORLD_FILE, 1 },
	[CONFINE_TOOLS] = { "tools", UID_BASE + 5, FILES_NONE, CALLS_PIPE,
	    TOOLS_FILES, SMALL_FILE, 1 },
	/* Two sockets. */
	[CONFINE_AUDIT] = { "audit", UID_BASE + 6, FILES_NONE, CALLS_NONE, 16,
	    SMALL_FILE, 1 },
};

/* Memory, time, the loop, messages: what every role does. */
static const uint32_t calls_all[] = { SYS_read, SYS_write, SYS_readv,
	SYS_writev, SYS_pread64, SYS_pwrite64, SYS_recvmsg, SYS_sendmsg,
	SYS_recvfrom, SYS_sendto, SYS_epoll_create1, SYS_epoll_ctl,
	SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_poll, SYS_ppoll,
	SYS_close, SYS_fcntl, SYS_lseek, SYS_fstat, SYS_newfstatat, SYS_dup,
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_mlock,
	SYS_brk, SYS_futex, SYS_clock_gettime, SYS_clock_nanosleep,
	SYS_nanosleep, SYS_gettimeofday, SYS_getpid, SYS_gettid, SYS_getuid,
	SYS_geteuid, SYS_getgid, SYS_getegid, SYS_tgkill, SYS_rt_sigaction,
	SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_exit,
	SYS_exit_group, SYS_getrandom, SYS_restart_syscall, SYS_sched_yield,
	SYS_sched_getaffinity, SYS_memfd_create, SYS_ftruncate, SYS_eventfd2,
	SYS_uname, SYS_sysinfo, SYS_getrlimit, SYS_rseq, SYS_set_robust_list };

static const uint32_t calls_files[] = { SYS_openat, SYS_open, SYS_stat,
	SYS_lstat, SYS_statx, SYS_access, SYS_faccessat, SYS_faccessat2,
	SYS_getcwd, SYS_unlink, SYS_unlinkat, SYS_mkdir, SYS_mkdirat,
	SYS_rename, SYS_renameat, SYS_openat2, SYS_fsync, SYS_fdatasync,
	SYS_fallocate, SYS_flock, SYS_fchmod, SYS_fchown, SYS_readlink,
	SYS_readlinkat, SYS_getdents64, SYS_pwritev, SYS_preadv, SYS_fstatfs,
	SYS_statfs };

static const uint32_t calls_accept[] = { SYS_accept4, SYS_getsockname,
	SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_shutdown,
	SYS_pipe2,
	/* Files for a sandbox: gateway/files.c says why it is no pipe. */
	SYS_socketpair };

/* And connections that the proxy gets the other end of. */
static const uint32_t calls_pipe[] = { SYS_pipe2, SYS_socketpair };

static const uint32_t calls_dial[] = { SYS_connect, SYS_splice };

/*
 * Never needed to build a sandbox; the rest is bounded by capabilities.
 * ptrace(2) is PID 1's of sandboxes, which has no other filter above its own
 * (init/tracer.h); the role itself holds no right to it.
 */
static const uint32_t calls_never[] = { SYS_bpf, SYS_perf_event_open,
	SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
	SYS_io_uring_register, SYS_kexec_load, SYS_kexec_file_load,
	SYS_init_module, SYS_finit_module, SYS_delete_module,
	SYS_process_vm_readv, SYS_process_vm_writev, SYS_open_by_handle_at,
	SYS_iopl, SYS_ioperm, SYS_swapon, SYS_swapoff, SYS_reboot, SYS_acct,
	SYS_syslog, SYS_quotactl, SYS_lookup_dcookie, SYS_modify_ldt };

/* What is left of root for building sandboxes, and for killing many at once:
 * sandbox_kill_all puts itself first. */
static const int caps_kept[] = { CAP_CHOWN, CAP_DAC_OVERRIDE,
	CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID,
	CAP_SETPCAP, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT,
	CAP_SYS_ADMIN, CAP_SYS_NICE, CAP_SYS_RESOURCE, CAP_MKNOD };

static int set_rlimits(const struct row *r, bool root, struct err *e);
static int set_rlimit(int what, uint64_t value, struct err *e);
static int set_root_dir(const struct row *r, const char *dir, struct err *e);
static int set_uid(const struct row *r, struct err *e);
static int set_caps(bool supervisor, struct err *e);
static int set_landlock(const struct row *r, const char *dir, struct err *e);
static int set_seccomp(const struct row *r, struct err *e);
static size_t add_calls(struct seccomp_rule *rules, size_t n,
    const uint32_t *nrs, size_t n_nrs, uint32_t action);

uid_t
confine_uid(enum confine_role r)
{
	return rows[r].uid;
}

int
confine_role(enum confine_role role, const char *dir, struct err *e)
{
	const struct row *r = &rows[role];
	bool root = geteuid() == 0;

	must((r->files == FILES_DIR) == (dir != NULL));
	/* Who maps the ids of a new user namespace must be able to open that
	 * process's files in /proc, which a dumpable parent only can. */
	if (r->files != FILES_HOST && prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(e, "confine %s: PR_SET_DUMPABLE", r->name);
	if (set_rlimits(r, root, e) < 0)
		return err_add(e, "confine %s", r->name);
	if (root && set_root_dir(r, dir, e) < 0)
		return err_add(e, "confine %s", r->name);
	if (root && r->uid != 0 && set_uid(r, e) < 0)
		return err_add(e, "confine %s", r->name);
	if (root && set_caps(r->uid == 0, e) < 0)
		return err_add(e, "confine %s", r->name);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "no_new_privs");
	if (set_landlock(r, dir, e) < 0 || set_seccomp(r, e) < 0)
		return err_add(e, "confine %s", r->name);
	return 0;
}

static int
set_rlimits(const struct row *r, bool root, struct err *e)
{
	if (set_rlimit(RLIMIT_CORE, 0, e) < 0 ||
	    set_rlimit(RLIMIT_NOFILE, r->nofile, e) < 0)
		return -1;
	if (r->fsize != NO_LIMIT && set_rlimit(RLIMIT_FSIZE, r->fsize, e) < 0)
		return -1;

	/* Rootless, all of the user's processes count: the list of calls is
	 * what keeps a role from forking then. */
	if (root && r->nproc != NO_LIMIT &&
	    set_rlimit(RLIMIT_NPROC, r->nproc, e) < 0)
		return -1;
	return 0;
}

/* Lowers both limits to value, or as far as they are lower already. */
static int
set_rlimit(int what, uint64_t value, struct err *e)
{
	struct rlimit l;

	if (getrlimit(what, &l) < 0)
		return err_sys(e, "getrlimit %d", what);
	/* Root may have more than it was given; others keep what they have. */
	if (what == RLIMIT_NOFILE && l.rlim_max < value &&
	    setrlimit(what, &(struct rlimit){ value, value }) == 0)
		return 0;
	if (l.rlim_max > value)
		l.rlim_max = value;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(what, &l) < 0)
		return err_sys(e, "setrlimit %d", what);
	return 0;
}

/* As root: chroot to the one directory, or to an empty one that is gone. */
static int
set_root_dir(const struct row *r, const char *dir, struct err *e)
{
	char empty[] = "/tmp/paddock-empty-XXXXXX";

	if (r->files == FILES_HOST)
		return 0;
	if (dir != NULL) {
		if (chroot(dir) < 0 || chdir("/") < 0)
			return err_sys(e, "chroot %s", dir);
		return 0;
	}
	if (mkdtemp(empty) == NULL)
		return err_sys(e, "mkdtemp %s", empty);
	if (chdir(empty) < 0)
		return err_sys(e, "chdir %s", empty);
	/* A removed directory stays an empty root, and takes no new entry. */
	if (rmdir(empty) < 0)
		return err_sys(e, "rmdir %s", empty);
	if (chroot(".") < 0)
		return err_sys(e, "chroot");
	return 0;
}

static int
set_uid(const struct row *r, struct err *e)
{
	gid_t gid = r->uid;

	if (setgroups(0, NULL) < 0)
		return err_sys(e, "setgroups");
	if (setresgid(gid, gid, gid) < 0)
		return err_sys(e, "setresgid %u", gid);
	if (setresuid(r->uid, r->uid, r->uid) < 0)
		return err_sys(e, "setresuid %u", r->uid);
	return 0;
}

/* No capability at all, or those that sandboxes are built with. */
static int
set_caps(bool supervisor, struct err *e)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {};
	struct __user_cap_data_struct had[2] = {};

	if (supervisor) {
		if (syscall(SYS_capget, &head, had) < 0)
			return err_sys(e, "capget");
		for (size_t i = 0; i < sizeof(caps_kept) / sizeof(caps_kept[0]);
		     i++) {
			int c = caps_kept[i];

			data[c / 32].permitted |=
			    had[c / 32].permitted & (1U << (c % 32));
		}
		for (int c = 0; c < 64; c++) {
			bool keep =
			    (data[c / 32].permitted & (1U << (c % 32))) != 0;

			if (!keep && prctl(PR_CAPBSET_READ, c) == 1 &&
			    prctl(PR_CAPBSET_DROP, c) < 0)
				return err_sys(e, "drop capability %d", c);
		}
		data[0].effective = data[0].permitted;
		data[1].effective = data[1].permitted;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(e, "capset");
	return 0;
}

static int
set_landlock(const struct row *r, const char *dir, struct err *e)
{
	int abi = landlock_abi();
	own_fd int ruleset = -1;

	/* `paddock doctor` says when the kernel has none. */
	if (r->files == FILES_HOST || abi == 0)
		return 0;
	ruleset = landlock_new(abi,
	    LANDLOCK_SCOPES |
		((r->calls & CALLS_DIAL) != 0 ? LANDLOCK_NO_BIND
					      : LANDLOCK_NO_TCP),
	    e);
	if (ruleset < 0)
		return -1;
	if (dir != NULL &&
	    landlock_allow(ruleset, abi, AT_FDCWD, ".",
		LANDLOCK_READ | LANDLOCK_WRITE, e) < 0)
		return -1;
	return landlock_enforce(ruleset, e);
}

static int
set_seccomp(const struct row *r, struct err *e)
{
	/* glibc tries clone3 first, and takes ENOSYS for an old kernel. */
	static const struct seccomp_test not_a_thread[] = {
		{ 0, SECCOMP_NE, CLONE_THREAD, CLONE_THREAD,
		    SECCOMP_ERRNO(EPERM) },
	};
	static const struct seccomp_test internet[] = {
		{ 0, SECCOMP_EQ, UINT32_MAX, AF_INET, SECCOMP_ALLOW },
		{ 0, SECCOMP_EQ, UINT32_MAX, AF_INET6, SECCOMP_ALLOW },
	};
	static struct seccomp_rule rules[SECCOMP_RULES_MAX];
	static struct sock_filter program[SECCOMP_PROGRAM_MAX];
	struct seccomp_policy p = { .rules = rules };
	size_t n = 0;
	int len;

#define ADD(list, action) \
	add_calls(rules, n, list, sizeof(list) / sizeof((list)[0]), action)
	if ((r->calls & CALLS_ANY) != 0) {
		n = ADD(calls_never, SECCOMP_ERRNO(EPERM));
		p.otherwise = SECCOMP_ALLOW;
	} else {
		n = ADD(calls_all, SECCOMP_ALLOW);
		if ((r->calls & CALLS_FILES) != 0)
			n = ADD(calls_files, SECCOMP_ALLOW);
		if ((r->calls & CALLS_ACCEPT) != 0)
			n = ADD(calls_accept, SECCOMP_ALLOW);
		if ((r->calls & CALLS_PIPE) != 0)
			n = ADD(calls_pipe, SECCOMP_ALLOW);
		if ((r->calls & CALLS_DIAL) != 0) {
			n = ADD(calls_dial, SECCOMP_ALLOW);
			rules[n++] = (struct seccomp_rule){ SYS_socket,
				SECCOMP_ERRNO(EPERM), internet, 2 };
		}
		if ((r->calls & CALLS_THREAD) != 0)
			rules[n++] = (struct seccomp_rule){ SYS_clone,
				SECCOMP_ALLOW, not_a_thread, 1 };
		rules[n++] = (struct seccomp_rule){ SYS_clone3,
			SECCOMP_ERRNO(ENOSYS), NULL, 0 };
		p.otherwise = SECCOMP_ERRNO(EPERM);
	}
#undef ADD
	p.n_rules = n;
	len = seccomp_compile(&p, program, SECCOMP_PROGRAM_MAX, e);
	if (len < 0)
		return -1;
	return seccomp_install(program, (size_t)len, e);
}

static size_t
add_calls(struct seccomp_rule *rules, size_t n, const uint32_t *nrs,
    size_t n_nrs, uint32_t action)
{
	must(n + n_nrs + 2 <= SECCOMP_RULES_MAX);
	for (size_t i = 0; i < n_nrs; i++)
		rules[n++] = (struct seccomp_rule){ nrs[i], action, NULL, 0 };
	return n;
}
