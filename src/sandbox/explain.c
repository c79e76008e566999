#include "sandbox/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sandbox/filter.h"
#include "sys/fd.h"

enum { TEXT_BYTES = EXPLAIN_TEXT_BYTES, PAGE_BYTES = 4096 };

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
	{ SYS_truncate, "truncate", 0, SHOW_PATH },
	{ SYS_ftruncate, "ftruncate", 0, SHOW_NOTHING },
	{ SYS_mkdir, "mkdir", 0, SHOW_PATH },
	{ SYS_mkdirat, "mkdirat", 1, SHOW_PATH },
	{ SYS_rmdir, "rmdir", 0, SHOW_PATH },
	{ SYS_unlink, "unlink", 0, SHOW_PATH },
	{ SYS_unlinkat, "unlinkat", 1, SHOW_PATH },
	{ SYS_rename, "rename", 0, SHOW_PATH },
	{ SYS_renameat, "renameat", 1, SHOW_PATH },
	{ SYS_renameat2, "renameat2", 1, SHOW_PATH },
	{ SYS_link, "link", 0, SHOW_PATH },
	{ SYS_linkat, "linkat", 1, SHOW_PATH },
	{ SYS_symlink, "symlink", 1, SHOW_PATH },
	{ SYS_symlinkat, "symlinkat", 2, SHOW_PATH },
	{ SYS_execve, "execve", 0, SHOW_PATH },
	{ SYS_execveat, "execveat", 1, SHOW_PATH },
	{ SYS_bind, "bind", 0, SHOW_NOTHING },
	{ SYS_connect, "connect", 0, SHOW_NOTHING },
	{ SYS_kill, "kill", 0, SHOW_NUMBER },
	{ SYS_tgkill, "tgkill", 0, SHOW_NUMBER },
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
static void look_as(uid_t uid);
static void describe(const struct seccomp_notif *n, struct denied *out);

int
explain_init(struct explain *x, bool json, struct err *e)
{
	int n;

	*x = (struct explain){ .json = json };
	/* The one that refuses most: what comes here was refused by one. */
	n = sandbox_filter_compile(
	    FILTER_COUNTED | FILTER_PINNED, x->filter, e);
	if (n < 0)
		return -1;
	x->n = (size_t)n;
	return 0;
}

bool
explain_next(struct explain *x, int fd, struct denied *out)
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
	uint32_t action;
	bool known, there = true;

	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &ask) < 0)
		return false; /* it was killed meanwhile */
	known = x->denied++ < EXPLAIN_REPORTS_MAX;
	if (known) {
		look_as(x->as);
		describe(&ask.n, out);
		look_as(0);
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
	out->error = -answer.r.error;
	return known && there;
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

const char *
explain_call_name(unsigned nr)
{
	const struct call *c = nr <= INT_MAX ? find_call((int)nr) : NULL;

	return c == NULL ? NULL : c->name;
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

/*
 * /proc goes by the user of the file system: ptrace(2), access mode. A change
 * of it makes this process one that may not be looked into itself, which who
 * maps the ids of user namespaces has to be.
 */
static void
look_as(uid_t uid)
{
	const int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

	if (geteuid() != 0)
		return;
	(void)setfsgid(uid); /* the same number, in a sandbox of root's */
	(void)setfsuid(uid);
	(void)prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
}

static void
describe(const struct seccomp_notif *n, struct denied *out)
{
	const struct call *call = find_call(n->data.nr);

	*out = (struct denied){
		.pid = n->pid,
		.argument = has_rule(n->data.nr),
	};
	read_comm((pid_t)n->pid, out->comm);
	if (call == NULL) {
		(void)snprintf(
		    out->call, sizeof(out->call), "call_%d", n->data.nr);
		return;
	}
	(void)snprintf(out->call, sizeof(out->call), "%s", call->name);
	if (call->shown == SHOW_PATH) {
		out->is_path = read_path(
		    (pid_t)n->pid, n->data.args[call->arg], out->about);
		if (!out->is_path)
			out->about[0] = '\0';
	} else if (call->shown == SHOW_NUMBER) {
		(void)snprintf(out->about, sizeof(out->about), "0x%llx",
		    (unsigned long long)n->data.args[call->arg]);
	}
}

void
explain_tell(const struct explain *x, const struct denied *d)
{
	const char *rule = d->wall != NULL ? d->rule
	    : d->argument		   ? "argument"
					   : "call";

	(void)fputs(x->json ? "{\"denied\":{" : "paddock: denied: ", stderr);
	if (d->pid != 0) {
		(void)fprintf(stderr,
		    x->json ? "\"pid\":%u,\"comm\":\"" : "pid %u (", d->pid);
		explain_put_text(d->comm);
		(void)fputs(x->json ? "\"," : "): ", stderr);
	}
	(void)fprintf(stderr, x->json ? "\"call\":\"%s" : "%s", d->call);
	if (d->is_path) {
		(void)fputs(x->json ? "\",\"path\":\"" : " \"", stderr);
		explain_put_text(d->about);
		(void)fputs(x->json ? "" : "\"", stderr);
	} else if (d->about[0] != '\0') {
		(void)fputs(x->json ? "\",\"argument\":\"" : " ", stderr);
		explain_put_text(d->about);
	}
	(void)fprintf(stderr,
	    x->json ? "\",\"wall\":\"%s\",\"rule\":\"" : " by %s, for its ",
	    d->wall != NULL ? d->wall : "seccomp");
	explain_put_text(rule);
	if (x->json)
		(void)fprintf(stderr, "\",\"errno\":%d}}\n", d->error);
	else
		(void)fprintf(stderr, "%s%s\n", d->error != 0 ? ": " : "",
		    d->error != 0 ? strerror(d->error) : "");
}

void
explain_put_text(const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ||
		    *c == '"' || *c == '\\')
			(void)fprintf(stderr, "\\u%04x", (unsigned char)*c);
		else
			(void)fputc(*c, stderr);
	}
}
