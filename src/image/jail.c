#include "image/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/ns.h"
#include "sys/seccomp.h"

enum { HIGH = 32, MIB = 1024 * 1024 };

/* There in sanitized builds only, which need terabytes of addresses. */
void __asan_unpoison_memory_region(void const volatile *p, size_t n)
    __attribute__((weak));

/*
 * Memory, time, its link, and files beneath JAIL_DIR by openat2. There is no
 * open(2): what a library wants to load on the way is not there.
 */
static const uint32_t calls[] = { SYS_read, SYS_write, SYS_pwrite64, SYS_lseek,
	SYS_close, SYS_fcntl, SYS_fstat, SYS_newfstatat, SYS_openat2,
	SYS_getdents64, SYS_mkdirat, SYS_unlinkat, SYS_symlinkat, SYS_linkat,
	SYS_fchmod, SYS_ftruncate, SYS_utimensat, SYS_munmap, SYS_mremap,
	SYS_madvise, SYS_brk, SYS_futex, SYS_clock_gettime, SYS_getpid,
	SYS_gettid, SYS_tgkill, SYS_rt_sigaction, SYS_rt_sigprocmask,
	SYS_rt_sigreturn, SYS_sigaltstack, SYS_getrandom, SYS_exit,
	SYS_exit_group };

static int set_fds(int link, int dir, struct err *e);
static int set_rlimits(uint64_t file_bytes, struct err *e);
static int set_rlimit(int what, uint64_t value, struct err *e);
static int set_rights(struct err *e);
static int set_landlock(struct err *e);
static int set_seccomp(struct err *e);

int
jail_enter(int link, int dir, uint64_t file_bytes, struct err *e)
{
	/* A write past RLIMIT_FSIZE is an error, not the end. */
	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return err_sys(e, "ignore SIGXFSZ");
	/* libarchive converts names to the locale's characters; in this one
	 * they stay as they are. It is a part of glibc, not a file. */
	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* else such names are refused */
	(void)umask(0);
	if (set_fds(link, dir, e) < 0 || set_rlimits(file_bytes, e) < 0 ||
	    set_rights(e) < 0)
		return -1;
	/* After the change of uid, which would undo it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(e, "PR_SET_PDEATHSIG");
	if (prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "no_new_privs");
	if (set_landlock(e) < 0)
		return -1;
	return set_seccomp(e);
}

static int
set_fds(int link, int dir, struct err *e)
{
	own_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	own_fd int high_link = fcntl(link, F_DUPFD_CLOEXEC, HIGH);
	own_fd int high_dir = fcntl(dir, F_DUPFD_CLOEXEC, HIGH);

	if (null < 0 || high_link < 0 || high_dir < 0)
		return err_sys(e, "open /dev/null");
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		/* The sanitizers' reports are for the developer. */
		if (fd == STDERR_FILENO && __asan_unpoison_memory_region)
			continue;
		if (dup2(null, fd) < 0)
			return err_sys(e, "dup2");
	}
	if (dup2(high_link, JAIL_LINK) < 0 || dup2(high_dir, JAIL_DIR) < 0)
		return err_sys(e, "dup2");
	(void)fd_take(&null); /* the next line closes all three */
	(void)fd_take(&high_link);
	(void)fd_take(&high_dir);
	return fd_close_from(JAIL_DIR + 1, e);
}

static int
set_rlimits(uint64_t file_bytes, struct err *e)
{
	if (set_rlimit(RLIMIT_CORE, 0, e) < 0 ||
	    set_rlimit(RLIMIT_NOFILE, IMAGE_MAX_DEPTH + HIGH, e) < 0 ||
	    set_rlimit(RLIMIT_FSIZE, file_bytes, e) < 0 ||
	    set_rlimit(RLIMIT_CPU, IMAGE_UNPACK_CPU_S, e) < 0)
		return -1;
	if (__asan_unpoison_memory_region != NULL)
		return 0;
	return set_rlimit(RLIMIT_AS, (uint64_t)IMAGE_UNPACK_MEMORY_MB * MIB, e);
}

/* Lowers both limits to value, or as far as they are lower already. */
static int
set_rlimit(int what, uint64_t value, struct err *e)
{
	struct rlimit l;

	if (getrlimit(what, &l) < 0)
		return err_sys(e, "getrlimit %d", what);
	if (l.rlim_max > value)
		l.rlim_max = value;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(what, &l) < 0)
		return err_sys(e, "setrlimit %d", what);
	return 0;
}

/* As root: the destination is "/", and its owner is who we are. */
static int
set_rights(struct err *e)
{
	bool same;
	struct stat st;

	if (fchdir(JAIL_DIR) < 0 || fstat(JAIL_DIR, &st) < 0)
		return err_sys(e, "enter the destination");
	if (geteuid() != 0)
		return 0;
	if (chroot(".") < 0)
		return err_sys(e, "chroot");
	same = st.st_uid == 0;
	return ns_drop_rights(
	    same ? (uid_t)-1 : st.st_uid, same ? (gid_t)-1 : st.st_gid, e);
}

static int
set_landlock(struct err *e)
{
	int abi = landlock_abi();
	own_fd int ruleset = -1;

	/* `paddock doctor` says when the kernel has none. */
	if (abi == 0)
		return 0;
	ruleset = landlock_new(abi, LANDLOCK_SCOPES | LANDLOCK_NO_TCP, e);
	if (ruleset < 0 ||
	    landlock_allow(ruleset, abi, JAIL_DIR, ".",
		LANDLOCK_READ | LANDLOCK_WRITE, e) < 0)
		return -1;
	return landlock_enforce(ruleset, e);
}

static int
set_seccomp(struct err *e)
{
	static const struct seccomp_test no_code[] = {
		{ 2, SECCOMP_EQ, PROT_EXEC, PROT_EXEC, SECCOMP_ERRNO(EPERM) },
	};
	enum { N_CALLS = sizeof(calls) / sizeof(calls[0]) };
	struct seccomp_rule rules[N_CALLS + 2];
	static struct sock_filter program[SECCOMP_PROGRAM_MAX];
	const struct seccomp_policy p = {
		.rules = rules,
		.n_rules = N_CALLS + 2,
		.otherwise = SECCOMP_ERRNO(EPERM),
	};
	int len;

	for (size_t i = 0; i < N_CALLS; i++)
		rules[i] =
		    (struct seccomp_rule){ calls[i], SECCOMP_ALLOW, NULL, 0 };
	rules[N_CALLS] =
	    (struct seccomp_rule){ SYS_mmap, SECCOMP_ALLOW, no_code, 1 };
	rules[N_CALLS + 1] =
	    (struct seccomp_rule){ SYS_mprotect, SECCOMP_ALLOW, no_code, 1 };
	len = seccomp_compile(&p, program, SECCOMP_PROGRAM_MAX, e);
	if (len < 0)
		return -1;
	return seccomp_install(program, (size_t)len, e);
}
