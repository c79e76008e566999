#include "sandbox/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sandbox/filter.h"
#include "sys/fd.h"

enum { TEXT_BYTES = 256, PAGE_BYTES = 4096 };

/* What a first glance at the arguments is to show. */
enum shown { SHOW_NOTHING, SHOW_PATH, SHOW_NUMBER };

struct call {
	long nr;
	const char *name;
	unsigned arg;
	enum shown shown;
};

/* Those that programs try; any other one is told by its number. */
static const struct call calls[] = {
	{ SYS_open, "open", 0, SHOW_PATH },
	{ SYS_openat, "openat", 1, SHOW_PATH },
	{ SYS_creat, "creat", 0, SHOW_PATH },
	{ SYS_chmod, "chmod", 0, SHOW_PATH },
	{ SYS_fchmod, "fchmod", 0, SHOW_NUMBER },
	{ SYS_fchmodat, "fchmodat", 1, SHOW_PATH },
	{ 452, "fchmodat2", 1, SHOW_PATH },
	{ SYS_mknod, "mknod", 0, SHOW_PATH },
	{ SYS_mknodat, "mknodat", 1, SHOW_PATH },
	{ SYS_mount, "mount", 1, SHOW_PATH },
	{ SYS_umount2, "umount2", 0, SHOW_PATH },
	{ SYS_pivot_root, "pivot_root", 0, SHOW_PATH },
	{ SYS_chroot, "chroot", 0, SHOW_PATH },
	{ SYS_fsopen, "fsopen", 0, SHOW_PATH },
	{ SYS_open_tree, "open_tree", 1, SHOW_PATH },
	{ SYS_move_mount, "move_mount", 1, SHOW_PATH },
	{ 442, "mount_setattr", 1, SHOW_PATH },
	{ SYS_name_to_handle_at, "name_to_handle_at", 1, SHOW_PATH },
	{ SYS_open_by_handle_at, "open_by_handle_at", 0, SHOW_NOTHING },
	{ SYS_swapon, "swapon", 0, SHOW_PATH },
	{ SYS_swapoff, "swapoff", 0, SHOW_PATH },
	{ SYS_acct, "acct", 0, SHOW_PATH },
	{ SYS_socket, "socket", 0, SHOW_NUMBER },
	{ SYS_socketpair, "socketpair", 0, SHOW_NUMBER },
	{ SYS_clone, "clone", 0, SHOW_NUMBER },
	{ SYS_unshare, "unshare", 0, SHOW_NUMBER },
	{ SYS_setns, "setns", 0, SHOW_NUMBER },
	{ SYS_prctl, "prctl", 0, SHOW_NUMBER },
	{ SYS_personality, "personality", 0, SHOW_NUMBER },
	{ SYS_ioctl, "ioctl", 1, SHOW_NUMBER },
	{ SYS_prlimit64, "prlimit64", 0, SHOW_NUMBER },
	{ SYS_ptrace, "ptrace", 0, SHOW_NUMBER },
	{ SYS_process_vm_readv, "process_vm_readv", 0, SHOW_NUMBER },
	{ SYS_process_vm_writev, "process_vm_writev", 0, SHOW_NUMBER },
	{ SYS_pidfd_getfd, "pidfd_getfd", 0, SHOW_NUMBER },
	{ SYS_kcmp, "kcmp", 0, SHOW_NUMBER },
	{ SYS_add_key, "add_key", 0, SHOW_NOTHING },
	{ SYS_request_key, "request_key", 0, SHOW_NOTHING },
	{ SYS_keyctl, "keyctl", 0, SHOW_NUMBER },
	{ SYS_bpf, "bpf", 0, SHOW_NUMBER },
	{ SYS_perf_event_open, "perf_event_open", 0, SHOW_NOTHING },
	{ SYS_userfaultfd, "userfaultfd", 0, SHOW_NOTHING },
	{ SYS_io_uring_setup, "io_uring_setup", 0, SHOW_NUMBER },
	{ SYS_io_uring_enter, "io_uring_enter", 0, SHOW_NOTHING },
	{ SYS_io_uring_register, "io_uring_register", 0, SHOW_NOTHING },
	{ SYS_init_module, "init_module", 0, SHOW_NOTHING },
	{ SYS_finit_module, "finit_module", 0, SHOW_NOTHING },
	{ SYS_delete_module, "delete_module", 0, SHOW_NOTHING },
	{ SYS_kexec_load, "kexec_load", 0, SHOW_NOTHING },
	{ SYS_reboot, "reboot", 0, SHOW_NOTHING },
	{ SYS_syslog, "syslog", 0, SHOW_NUMBER },
	{ SYS_settimeofday, "settimeofday", 0, SHOW_NOTHING },
	{ SYS_clock_settime, "clock_settime", 0, SHOW_NUMBER },
	{ SYS_clock_adjtime, "clock_adjtime", 0, SHOW_NUMBER },
	{ SYS_adjtimex, "adjtimex", 0, SHOW_NOTHING },
	{ SYS_sethostname, "sethostname", 0, SHOW_NOTHING },
	{ SYS_setdomainname, "setdomainname", 0, SHOW_NOTHING },
	{ SYS_set_mempolicy, "set_mempolicy", 0, SHOW_NUMBER },
	{ SYS_mbind, "mbind", 0, SHOW_NOTHING },
	{ SYS_migrate_pages, "migrate_pages", 0, SHOW_NUMBER },
	{ SYS_move_pages, "move_pages", 0, SHOW_NUMBER },
	{ SYS_fanotify_init, "fanotify_init", 0, SHOW_NOTHING },
	{ SYS_quotactl, "quotactl", 0, SHOW_NOTHING },
	{ SYS_vhangup, "vhangup", 0, SHOW_NOTHING },
	{ SYS_modify_ldt, "modify_ldt", 0, SHOW_NOTHING },
	{ SYS_iopl, "iopl", 0, SHOW_NOTHING },
	{ SYS_ioperm, "ioperm", 0, SHOW_NOTHING },
};
enum { N_CALLS = sizeof(calls) / sizeof(calls[0]) };

static const struct call *find_call(int nr);
static bool has_rule(int nr);
static void read_comm(pid_t pid, char out[static TEXT_BYTES]);
static bool read_path(pid_t pid, uint64_t at, char out[static TEXT_BYTES]);
static void tell(const struct explain *x, const struct seccomp_notif *n,
    const char *comm, const char *path, int error);
static void put_text(const char *text);

int
explain_init(struct explain *x, bool json, struct err *e)
{
	int n;

	*x = (struct explain){ .json = json };
	n = seccomp_compile(&sandbox_filter, x->filter, SECCOMP_PROGRAM_MAX, e);
	if (n < 0)
		return -1;
	x->n = (size_t)n;
	return 0;
}

void
explain_next(struct explain *x, int fd)
{
	/* A newer kernel's may be longer; it fills in what we know first. */
	union {
		struct seccomp_notif n;
		char room[1024];
	} ask = {};
	union {
		struct seccomp_notif_resp r;
		char room[1024];
	} answer = {};
	char comm[TEXT_BYTES] = "", path[TEXT_BYTES] = "";
	const struct call *call;
	uint32_t action;
	bool known, there = true;

	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &ask) < 0)
		return; /* it was killed meanwhile */
	call = find_call(ask.n.data.nr);
	known = x->denied++ < EXPLAIN_REPORTS_MAX;
	if (known) {
		read_comm((pid_t)ask.n.pid, comm);
		if (call != NULL && call->shown == SHOW_PATH &&
		    !read_path(
			(pid_t)ask.n.pid, ask.n.data.args[call->arg], path))
			path[0] = '\0';
		/* Only now is it sure that the pid was still this one. */
		there = ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &ask.n.id) == 0;
	}
	/* What the filter says: always an error, never "go on". */
	action = seccomp_decide(x->filter, x->n, &ask.n.data);
	answer.r.id = ask.n.id;
	answer.r.error = -EPERM;
	if ((action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO &&
	    (action & SECCOMP_RET_DATA) != 0)
		answer.r.error = -(int)(action & SECCOMP_RET_DATA);
	(void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	if (known && there)
		tell(x, &ask.n, comm, path, -answer.r.error);
}

void
explain_end(const struct explain *x)
{
	if (x->denied <= EXPLAIN_REPORTS_MAX)
		return;
	(void)fprintf(stderr,
	    x->json ? "{\"denied_calls\":%lu,\"told\":%d}\n"
		    : "paddock: denied: %lu calls in all, the first %d are "
		      "told\n",
	    x->denied, EXPLAIN_REPORTS_MAX);
}

static const struct call *
find_call(int nr)
{
	for (size_t i = 0; i < N_CALLS; i++) {
		if (calls[i].nr == nr)
			return &calls[i];
	}
	return NULL;
}

/* True when the call itself is allowed, and this one was refused for what it
 * asks. */
static bool
has_rule(int nr)
{
	for (size_t i = 0; i < sandbox_filter.n_rules; i++) {
		if (sandbox_filter.rules[i].nr == (uint32_t)nr)
			return true;
	}
	return false;
}

static void
read_comm(pid_t pid, char out[static TEXT_BYTES])
{
	char path[64];
	own_fd int fd = -1;
	ssize_t n = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, out, TEXT_BYTES - 1);
	out[n > 0 ? n - (out[n - 1] == '\n') : 0] = '\0';
}

/* The caller stands still in its call, but other threads of it do not: this
 * is what it says at this moment, and good for a report only. */
static bool
read_path(pid_t pid, uint64_t at, char out[static TEXT_BYTES])
{
	/* Not past the page: what follows may not be there. */
	size_t room = PAGE_BYTES - at % PAGE_BYTES, got = 0;
	char path[64];
	own_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && got < TEXT_BYTES - 1) {
		size_t want =
		    TEXT_BYTES - 1 - got < room ? TEXT_BYTES - 1 - got : room;
		ssize_t n = pread(fd, out + got, want, (off_t)(at + got));

		if (n <= 0)
			break;
		if (memchr(out + got, '\0', (size_t)n) != NULL)
			return true;
		got += (size_t)n;
		room = PAGE_BYTES;
	}
	out[got] = '\0'; /* cut */
	return got > 0;
}

static void
tell(const struct explain *x, const struct seccomp_notif *n, const char *comm,
    const char *path, int error)
{
	const struct call *call = find_call(n->data.nr);
	const char *rule = has_rule(n->data.nr) ? "argument" : "call";

	(void)fprintf(stderr,
	    x->json ? "{\"denied\":{\"pid\":%u,\"comm\":\""
		    : "paddock: denied: pid %u (",
	    n->pid);
	put_text(comm);
	(void)fprintf(stderr, x->json ? "\",\"call\":\"" : "): ");
	if (call != NULL)
		(void)fputs(call->name, stderr);
	else
		(void)fprintf(stderr, "call_%d", n->data.nr);
	if (path[0] != '\0') {
		(void)fputs(x->json ? "\",\"path\":\"" : " \"", stderr);
		put_text(path);
		(void)fputs(x->json ? "" : "\"", stderr);
	} else if (call != NULL && call->shown == SHOW_NUMBER) {
		(void)fprintf(stderr,
		    x->json ? "\",\"argument\":\"0x%llx" : " 0x%llx",
		    (unsigned long long)n->data.args[call->arg]);
	}
	if (x->json)
		(void)fprintf(stderr,
		    "\",\"wall\":\"seccomp\",\"rule\":\"%s\",\"errno\":%d}}\n",
		    rule, error);
	else
		(void)fprintf(stderr, " by seccomp, for its %s: %s\n", rule,
		    strerror(error));
}

/* Chosen by whoever is inside: nothing of it reaches a terminal as it is. */
static void
put_text(const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ||
		    *c == '"' || *c == '\\')
			(void)fprintf(stderr, "\\u%04x", (unsigned char)*c);
		else
			(void)fputc(*c, stderr);
	}
}
