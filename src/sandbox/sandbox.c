#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/build.h"
#include "sandbox/control.h"
#include "sandbox/filter.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/ns.h"

enum {
	NEWTIME = 0x80, /* CLONE_NEWTIME, by clone3 only */
	/* Host uids of sandboxes: 28 bits, from a range that neither useradd
	 * nor the sub-id files of a distribution reach. */
	UID_FIRST = 0x70000000,
	UID_OWNERS = 1 << 18,
	/* What a process needs besides the files that it keeps in memory. */
	MEMORY_BESIDE_DISK = 4 * 1024 * 1024,
};
#define MIB ((uint64_t)1024 * 1024)

static const struct {
	uint32_t wall;
	const char *name;
} walls[] = {
	{ WALL_MOUNT_NS, "mount_ns" },
	{ WALL_PID_NS, "pid_ns" },
	{ WALL_NET_NS, "net_ns" },
	{ WALL_IPC_NS, "ipc_ns" },
	{ WALL_UTS_NS, "uts_ns" },
	{ WALL_CGROUP_NS, "cgroup_ns" },
	{ WALL_TIME_NS, "time_ns" },
	{ WALL_PRIVATE_UID, "private_uid" },
	{ WALL_USER_NS, "user_ns" },
	{ WALL_CAPS, "caps" },
	{ WALL_NO_NEW_PRIVS, "no_new_privs" },
	{ WALL_SECCOMP, "seccomp" },
	{ WALL_LANDLOCK_FS, "landlock_fs" },
	{ WALL_LANDLOCK_SCOPE, "landlock_scope" },
	{ WALL_KEYRING, "keyring" },
	{ WALL_MEMORY, "memory" },
	{ WALL_PIDS, "pids" },
	{ WALL_CPU, "cpu" },
	{ WALL_RLIMITS, "rlimits" },
	{ WALL_DISK, "disk" },
	{ WALL_OVERLAY, "overlay" },
	{ WALL_IDMAP, "idmap" },
	{ WALL_PROC_FULL, "proc_full" },
};
_Static_assert(sizeof(walls) / sizeof(walls[0]) == WALL_COUNT, "a name each");

static bool path_is_free(const char *path);
static int check_spec(const struct sandbox_spec *spec, struct err *e);
static int check_limits(struct sandbox_limits *l, struct err *e);
static int holds_all_ids(bool *all, struct err *e);
static int prepare(const struct sandbox_host *h, const struct sandbox_spec *s,
    struct sandbox *sb, struct build *b, struct ns_helper *helper,
    struct err *e);
static int spawn(struct sandbox *sb, struct build *b, struct err *e);
static int hear_built(struct sandbox *sb, struct err *e);
static int take_listeners(struct sandbox *sb, struct msghdr *m, struct err *e);
static int check_posture(
    const struct sandbox *sb, uint32_t required, struct err *e);
static bool hear_end(struct sandbox *sb, struct sandbox_end *end);

int
sandbox_host_init(struct sandbox_host *h, int binary_fd, struct err *e)
{
	bool all_ids;
	int n;

	*h = (struct sandbox_host){
		.uid = geteuid(),
		.gid = getegid(),
		.binary_fd = binary_fd,
		.landlock_abi = landlock_abi(),
	};
	if (h->uid == 0) {
		if (holds_all_ids(&all_ids, e) < 0)
			return -1;
		if (!all_ids)
			return err_set(e,
			    "user 0 of a user namespace without the ids from "
			    "%u on: run paddock as an ordinary user instead",
			    UID_FIRST);
		h->root = true;
	}
	n = seccomp_compile(&sandbox_filter, h->filter, SECCOMP_PROGRAM_MAX, e);
	if (n < 0)
		return -1;
	h->n_filter = (size_t)n;
	return cgroup_place_init(&h->cgroups, e);
}

void
sandbox_host_fini(struct sandbox_host *h)
{
	*h = (struct sandbox_host){ .binary_fd = -1 };
}

struct sandbox_limits
sandbox_limits_default(void)
{
	struct sandbox_limits l = {
		.memory_bytes = 2048 * MIB,
		.pids_max = 512,
		.nofile = 1024,
	};
	struct sysinfo machine;

	if (sysinfo(&machine) == 0) {
		uint64_t half =
		    (uint64_t)machine.totalram * machine.mem_unit / 2;

		if (half < l.memory_bytes)
			l.memory_bytes = half;
	}
	return l;
}

int
sandbox_start(const struct sandbox_host *h, const struct sandbox_spec *spec,
    struct sandbox *out, struct err *e)
{
	struct sandbox_spec s = *spec;
	struct build b = {
		.host = h,
		.spec = &s,
		.idmap = -1,
		.control = -1,
		.rpc = -1,
		.root = -1,
	};
	struct ns_helper helper;
	int r;

	helper.pid = -1;
	*out = (struct sandbox){
		.pidfd = -1, .control = -1, .rpc = -1, .open = true
	};
	for (int i = 0; i < SANDBOX_LISTENERS_MAX; i++)
		out->listener[i] = -1;
	if (s.hostname == NULL)
		s.hostname = "sandbox";
	if (s.workspace_path == NULL)
		s.workspace_path = "/workspace";
	if (s.chdir_path == NULL)
		s.chdir_path = s.workspace_path;
	out->limits = s.limits;
	r = check_spec(&s, e);
	if (r == 0)
		r = check_limits(&out->limits, e);
	if (r == 0)
		r = prepare(h, &s, out, &b, &helper, e);
	if (r == 0)
		r = spawn(out, &b, e);
	fd_fini(&b.control);
	fd_fini(&b.rpc);
	fd_fini(&b.idmap);
	if (r == 0)
		r = hear_built(out, e);
	/* No limit, no wall to keep it. */
	if (out->limits.cpu_milli == 0)
		s.required &= ~(uint32_t)WALL_CPU;
	if (r == 0)
		r = check_posture(out, s.required | WALLS_ALWAYS, e);
	ns_reap(&helper);
	if (r < 0)
		sandbox_fini(out);
	else
		cgroup_close(&out->cgroup);
	return r;
}

int
sandbox_signal(const struct sandbox *sb, int signo, struct err *e)
{
	const struct control_request r = { .signo = (uint32_t)signo };

	if (send(sb->control, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, "pass on signal %d", signo);
	return 0;
}

int
sandbox_rpc_renew(struct sandbox *sb, struct err *e)
{
	struct control_request r = {};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec part = { .iov_base = &r, .iov_len = sizeof(r) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	own_fd int outer = -1, inner = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	outer = pair[0];
	inner = pair[1];
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(inner));
	memcpy(CMSG_DATA(&control.head), &inner, sizeof(inner));
	if (sendmsg(sb->control, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, "give the sandbox an rpc socket");
	fd_fini(&sb->rpc);
	sb->rpc = fd_take(&outer);
	return 0;
}

void
sandbox_kill(struct sandbox *sb, enum sandbox_limit why)
{
	if (sb->killed_for == LIMIT_NONE)
		sb->killed_for = why;
	/* PID 1 of a pid namespace takes everything in it along. */
	if (sb->pidfd >= 0)
		(void)syscall(
		    SYS_pidfd_send_signal, sb->pidfd, SIGKILL, NULL, 0);
}

void
sandbox_stat(const struct sandbox *sb, struct cgroup_usage *out)
{
	cgroup_usage_read(&sb->cgroup, out);
}

int
sandbox_reap(struct sandbox *sb, struct sandbox_end *end, struct err *e)
{
	struct cgroup_usage used;
	struct rusage times;
	bool heard, served;
	int status;

	*end = (struct sandbox_end){};
	while (wait4(sb->pid, &status, 0, &times) < 0) {
		if (errno != EINTR)
			return err_sys(e, "wait for the sandbox");
	}
	end->wall_ns = (uint64_t)(clock_mono_ns() - sb->started_ns);
	/* PID 1 has waited for all others: their times are in its own. */
	end->cpu_ns = ((uint64_t)times.ru_utime.tv_sec +
			  (uint64_t)times.ru_stime.tv_sec) *
		1000000000 +
	    ((uint64_t)times.ru_utime.tv_usec +
		(uint64_t)times.ru_stime.tv_usec) *
		1000;
	sb->pid = 0;
	fd_fini(&sb->pidfd);

	/* Without a report PID 1 itself was killed, or had nothing to say: it
	 * served (spec.rpc), and its caller went away. */
	served = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	end->kind = served ? END_EXIT : END_SIGNAL;
	end->code = served ? 0 : SIGKILL;
	heard = hear_end(sb, end);
	cgroup_usage_read(&sb->cgroup, &used);
	if (!heard && !served && sb->killed_for == LIMIT_NONE &&
	    used.oom_kills == 0)
		end->kind = END_LOST;
	end->memory_max_bytes = used.memory_max_bytes;
	end->oom_kills = used.oom_kills;
	end->pids_refused = used.pids_refused;
	end->limit = sb->killed_for;
	if (end->limit == LIMIT_NONE && used.oom_kills > 0)
		end->limit = LIMIT_MEMORY;
	if (end->limit == LIMIT_NONE && used.pids_refused > 0)
		end->limit = LIMIT_PIDS;
	return 0;
}

void
sandbox_fini(struct sandbox *sb)
{
	if (!sb->open)
		return;
	if (sb->pid > 0) {
		sandbox_kill(sb, LIMIT_STOPPED);
		while (waitpid(sb->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	fd_fini(&sb->pidfd);
	fd_fini(&sb->control);
	fd_fini(&sb->rpc);
	for (unsigned i = 0; i < SANDBOX_LISTENERS_MAX; i++)
		fd_fini(&sb->listener[i]);
	cgroup_remove(&sb->cgroup);
	*sb = (struct sandbox){ .pidfd = -1, .control = -1, .rpc = -1 };
}

unsigned
sandbox_sweep(const struct sandbox_host *h)
{
	return cgroup_sweep(&h->cgroups);
}

const char *
sandbox_path_for(const char *host_path)
{
	return path_is_free(host_path) ? host_path : "/workspace";
}

const char *
sandbox_wall_name(uint32_t wall)
{
	for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		if (walls[i].wall == wall)
			return walls[i].name;
	}
	return NULL;
}

const char *
sandbox_limit_name(enum sandbox_limit limit)
{
	switch (limit) {
	case LIMIT_NONE:
		return "none";
	case LIMIT_WALL:
		return "wall_time_exceeded";
	case LIMIT_MEMORY:
		return "memory_exceeded";
	case LIMIT_PIDS:
		return "pids_exceeded";
	case LIMIT_STOPPED:
		return "stopped";
	case LIMIT_COUNT:
		break;
	}
	return "unknown";
}

/* Absolute, plain (a ".." would lead out while the root is built), and not
 * where the sandbox has something of its own. */
static bool
path_is_free(const char *path)
{
	static const char *const taken[] = { "/usr", "/etc", "/dev", "/proc",
		"/sys", "/run", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/libx32", "/var/tmp" };

	if (path[0] != '/' || path[1] == '\0' || strcmp(path, "/tmp") == 0 ||
	    strcmp(path, "/var") == 0)
		return false;
	for (const char *p = path; *p != '\0'; p++) {
		const char *part = p + 1;
		size_t n = strcspn(part, "/");

		if (*p == '/' &&
		    (n == 0 || (n == 1 && part[0] == '.') ||
			(n == 2 && part[0] == '.' && part[1] == '.')))
			return false;
	}
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		size_t n = strlen(taken[i]);

		if (strncmp(path, taken[i], n) == 0 &&
		    (path[n] == '/' || path[n] == '\0'))
			return false;
	}
	return true;
}

static int
check_spec(const struct sandbox_spec *s, struct err *e)
{
	if (s->argv == NULL ? !s->rpc
			    : s->argv[0] == NULL || s->argv[0][0] == '\0')
		return err_set(e, "no command");
	if (!path_is_free(s->workspace_path))
		return err_set(e,
		    "work folder inside: %s is taken, or no absolute path",
		    s->workspace_path);
	for (int i = 0; i < 3; i++) {
		int fd = s->stdio[i];

		if (fd >= 0 && fd < 3 && fd != i)
			return err_set(e,
			    "standard stream %d: descriptor %d is another's "
			    "place",
			    i, fd);
	}
	if (s->slot >= SANDBOX_SLOTS)
		return err_set(
		    e, "slot %u is over %d", s->slot, SANDBOX_SLOTS - 1);
	if (s->n_listen > SANDBOX_LISTENERS_MAX)
		return err_set(e, "over %d listeners", SANDBOX_LISTENERS_MAX);
	if (strlen(s->hostname) >= SANDBOX_HOST_NAME_MAX)
		return err_set(e, "host name over %d characters",
		    SANDBOX_HOST_NAME_MAX - 1);
	return 0;
}

/* Fills in what is 0. Files live in memory: they get less than all of it, so
 * that a full disk is an error to the program, and not its end. */
static int
check_limits(struct sandbox_limits *l, struct err *e)
{
	const struct sandbox_limits usual = sandbox_limits_default();

	if (l->memory_bytes == 0)
		l->memory_bytes = usual.memory_bytes;
	if (l->pids_max == 0)
		l->pids_max = usual.pids_max;
	if (l->nofile == 0)
		l->nofile = usual.nofile;
	if (l->disk_bytes == 0)
		l->disk_bytes = l->memory_bytes / 2;
	/* A file costs the kernel about a KiB beside its pages. */
	if (l->inodes == 0)
		l->inodes = l->memory_bytes / (16 * 1024);
	if (l->memory_bytes < 2 * MEMORY_BESIDE_DISK)
		return err_set(e,
		    "memory limit of %llu bytes: at least %d are needed",
		    (unsigned long long)l->memory_bytes,
		    2 * MEMORY_BESIDE_DISK);
	if (l->disk_bytes > l->memory_bytes - MEMORY_BESIDE_DISK)
		return err_set(e,
		    "disk limit of %llu bytes: the memory limit has to be at "
		    "least 4 MiB above it",
		    (unsigned long long)l->disk_bytes);
	if (l->pids_max < 2)
		return err_set(e, "pids limit of %llu: at least 2 are needed",
		    (unsigned long long)l->pids_max);
	return 0;
}

/* Whether this user namespace holds all ids that sandboxes may get. */
static int
holds_all_ids(bool *all, struct err *e)
{
	own_fd int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	unsigned long long inside, outside, count;
	char text[256];
	ssize_t n;

	if (fd < 0)
		return err_sys(e, "open /proc/self/uid_map");
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_sys(e, "read /proc/self/uid_map");
	text[n] = '\0';
	*all = sscanf(text, "%llu %llu %llu", &inside, &outside, &count) == 3 &&
	    inside == 0 &&
	    count >= (unsigned long long)UID_FIRST + UID_OWNERS * SANDBOX_SLOTS;
	return 0;
}

/* What the child needs and the caller has to make. */
static int
prepare(const struct sandbox_host *h, const struct sandbox_spec *s,
    struct sandbox *sb, struct build *b, struct ns_helper *helper,
    struct err *e)
{
	const struct cgroup_limits limits = {
		.memory_bytes = sb->limits.memory_bytes,
		.pids_max = sb->limits.pids_max,
		.cpu_milli = sb->limits.cpu_milli,
	};
	int pair[2];

	b->limits = &sb->limits;
	b->cgroup = &sb->cgroup;
	b->workspace_path = s->workspace_path;
	b->uid = h->uid;
	b->gid = h->gid;
	if (h->root) {
		b->uid = UID_FIRST +
		    (uint32_t)(getpid() % UID_OWNERS) * SANDBOX_SLOTS + s->slot;
		b->gid = b->uid;
	}
	sb->uid = b->uid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	sb->control = pair[0];
	b->control = pair[1];
	if (s->rpc) {
		if (socketpair(
			AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			return err_sys(e, "socketpair");
		sb->rpc = pair[0];
		b->rpc = pair[1];
	}
	if (cgroup_make(&h->cgroups, s->slot, &limits, &sb->cgroup, e) < 0)
		return -1;
	b->posture |= sb->cgroup.has[CGROUP_MEMORY] ? WALL_MEMORY : 0;
	b->posture |= sb->cgroup.has[CGROUP_PIDS] ? WALL_PIDS : 0;
	b->posture |= sb->cgroup.has[CGROUP_CPU] ? WALL_CPU : 0;

	if (s->workspace_fd < 0)
		return 0;
	if (fstat(s->workspace_fd, &b->workspace) < 0)
		return err_sys(e, "work folder");
	if (!S_ISDIR(b->workspace.st_mode))
		return err_set(e, "work folder is not a directory");
	if (h->root) {
		/* A kernel without user namespaces has no shifted mounts
		 * either: that shows in the posture. */
		struct err ignored;

		b->idmap = ns_idmap(b->workspace.st_uid, b->uid,
		    b->workspace.st_gid, b->gid, helper, &ignored);
	}
	return 0;
}

static int
spawn(struct sandbox *sb, struct build *b, struct err *e)
{
	const uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
	    CLONE_NEWIPC | CLONE_NEWUTS;
	const uint64_t user = b->host->root ? 0 : CLONE_NEWUSER;
	int into =
	    b->cgroup->place != NULL && b->cgroup->place->kind == CGROUP_V2
	    ? b->cgroup->fd[0]
	    : -1;

	b->posture |= WALL_PID_NS | WALL_NET_NS | WALL_IPC_NS | WALL_UTS_NS |
	    WALL_TIME_NS;
	sb->started_ns = clock_mono_ns();
	sb->pid =
	    ns_spawn(flags | user | NEWTIME, into, build_run, b, &sb->pidfd, e);
	if (sb->pid < 0 && e->sys == EINVAL) {
		/* A kernel without time namespaces knows no such flag. */
		b->posture &= ~(uint32_t)WALL_TIME_NS;
		sb->pid =
		    ns_spawn(flags | user, into, build_run, b, &sb->pidfd, e);
	}
	if (sb->pid >= 0)
		return 0;
	sb->pid = 0;
	if (e->sys == EPERM && !b->host->root)
		return err_add(e,
		    "this machine gives ordinary users no user namespaces "
		    "(try sysctl kernel.unprivileged_userns_clone=1 and "
		    "kernel.apparmor_restrict_unprivileged_userns=0)");
	if (e->sys == EPERM)
		return err_add(e,
		    "root without CAP_SYS_ADMIN, as in a "
		    "container, cannot make namespaces");
	return -1;
}

/* The first report: built, or why not. The other end is closed here, so the
 * end of the child ends the wait. */
static int
hear_built(struct sandbox *sb, struct err *e)
{
	struct control_report report;
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * SANDBOX_LISTENERS_MAX)];
	} control;
	struct iovec part = { .iov_base = &report, .iov_len = sizeof(report) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	do
		n = recvmsg(sb->control, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "hear from the sandbox");
	if (take_listeners(sb, &m, e) < 0)
		return -1;
	if (n != (ssize_t)sizeof(report))
		return err_set(e,
		    "the sandbox ended while it was built "
		    "(out of memory?)");
	report.text[sizeof(report.text) - 1] = '\0';
	if (report.kind == CONTROL_FAILED) {
		e->sys = (int)report.value;
		memcpy(e->text, report.text, sizeof(e->text));
		return -1;
	}
	if (report.kind != CONTROL_BUILT)
		return err_set(e, "the sandbox sent a wrong report");
	sb->posture = report.value;
	return 0;
}

static int
take_listeners(struct sandbox *sb, struct msghdr *m, struct err *e)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (c == NULL)
		return 0;
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len <= CMSG_LEN(0))
		return err_set(e, "the sandbox sent no descriptors");
	sb->n_listen = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(sb->listener, CMSG_DATA(c), sb->n_listen * sizeof(int));
	return 0;
}

static int
check_posture(const struct sandbox *sb, uint32_t required, struct err *e)
{
	for (unsigned i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		uint32_t wall = walls[i].wall;

		if ((required & wall) == 0 || (sb->posture & wall) != 0)
			continue;
		return err_set(e,
		    "the run requires the wall %s, which this machine does "
		    "not give: see paddock doctor",
		    walls[i].name);
	}
	return 0;
}

/* The last report, which lies in the socket since before the end. False when
 * there is none. */
static bool
hear_end(struct sandbox *sb, struct sandbox_end *end)
{
	struct control_report r;
	bool heard = false;

	while (recv(sb->control, &r, sizeof(r), MSG_DONTWAIT) ==
	    (ssize_t)sizeof(r)) {
		int status = (int)r.value;

		heard |= r.kind != CONTROL_BUILT;
		if (r.kind == CONTROL_NOT_STARTED || r.kind == CONTROL_FAILED) {
			end->kind = END_NOT_STARTED;
			end->code = status;
		} else if (r.kind == CONTROL_ENDED && WIFSIGNALED(status)) {
			end->kind = END_SIGNAL;
			end->code = WTERMSIG(status);
		} else if (r.kind == CONTROL_ENDED) {
			end->kind = END_EXIT;
			end->code = WEXITSTATUS(status);
		}
	}
	return heard;
}
