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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/build.h"
#include "sandbox/control.h"
#include "sandbox/filter.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/ns.h"
#include "sys/tree.h"

enum {
	NEWTIME = 0x80, /* CLONE_NEWTIME, by clone3 only */
	/* Host uids of sandboxes: 28 bits, from a range that neither useradd
	 * nor the sub-id files of a distribution reach. */
	UID_FIRST = 0x70000000,
	UID_OWNERS = 1 << 17,
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

static void measure(const struct sandbox *sb, struct sandbox_usage *out);
static bool path_is_free(const char *path);
static int check_spec(const struct sandbox_spec *spec, struct err *e);
static int check_limits(struct sandbox_limits *l, struct err *e);
static int holds_all_ids(bool *all, struct err *e);
static int prepare(const struct sandbox_host *h, const struct sandbox_spec *s,
    struct sandbox *sb, struct build *b, struct ns_helper *helper,
    struct ns_helper *image_helper, struct err *e);
static int make_group(struct sandbox *sb, struct build *b, struct err *e);
static void make_idmap(struct build *b, struct ns_helper *helper);
static int make_image_idmap(
    struct build *b, struct ns_helper *helper, struct err *e);
static int spawn(struct sandbox *sb, struct build *b, struct err *e);
static pid_t spawn_with(
    uint64_t flags, struct sandbox *sb, struct build *b, struct err *e);
static int work_beside(struct sandbox *sb, struct build *b,
    struct ns_helper *helper, struct ns_helper *image_helper, struct err *e);
static int say_go(
    const struct sandbox *sb, const struct build *b, int net, struct err *e);
static int hear_built(
    struct sandbox *sb, const struct sandbox_spec *s, struct err *e);
static int take_fds(struct sandbox *sb, struct msghdr *m,
    const struct sandbox_spec *s, struct err *e);
static bool hear_end(struct sandbox *sb, struct sandbox_end *end);

int
sandbox_host_init(struct sandbox_host *h, int binary_fd, struct err *e)
{
	bool all_ids = false;

	*h = (struct sandbox_host){
		.uid = geteuid(),
		.gid = getegid(),
		.binary_fd = binary_fd,
		.mount_ns = -1,
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
	return cgroup_place_init(&h->cgroups, e);
}

int
sandbox_host_many(struct sandbox_host *h, struct err *e)
{
	int n =
	    seccomp_compile(&sandbox_filter, h->filter, SECCOMP_PROGRAM_MAX, e);

	if (n < 0)
		return -1;
	h->n_filter = (size_t)n;
	h->mount_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (h->mount_ns < 0)
		return err_sys(e, "open /proc/self/ns/mnt");
	return 0;
}

void
sandbox_host_fini(struct sandbox_host *h)
{
	cgroup_place_fini(&h->cgroups);
	if (h->n_filter > 0)
		fd_fini(&h->mount_ns);
	*h = (struct sandbox_host){ .binary_fd = -1, .mount_ns = -1 };
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
		.notify = -1,
		.host = h,
		.spec = &s,
		.idmap = -1,
		.image_idmap = -1,
		.control = -1,
		.rpc = -1,
		.root = -1,
		.disk = -1,
		.upper = -1,
		.scratch = -1,
		.mount_ns = -1,
		.rules = -1,
		.beside = s.init != NULL,
	};
	struct ns_helper helper, image_helper;
	int r;

	helper.pid = image_helper.pid = -1;
	*out = (struct sandbox){
		.pidfd = -1,
		.control = -1,
		.rpc = -1,
		.notify = -1,
		.disk = -1,
		.upper = -1,
		.mount_ns = -1,
		.park = { -1, -1, s.owner, s.group },
		.slot = s.slot,
		.open = true,
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
		r = prepare(h, &s, out, &b, &helper, &image_helper, e);
	if (r == 0)
		r = spawn(out, &b, e);
	fd_fini(&b.control);
	fd_fini(&b.rpc);
	if (r == 0 && b.beside)
		r = work_beside(out, &b, &helper, &image_helper, e);
	if (s.park)
		out->park.idmap = fd_take(&b.idmap);
	fd_fini(&b.idmap);
	fd_fini(&b.image_idmap);
	if (r == 0)
		r = hear_built(out, &s, e);
	/* No limit, no wall to keep it. */
	if (out->limits.cpu_milli == 0)
		s.required &= ~(uint32_t)WALL_CPU;
	if (r == 0)
		r = sandbox_check_posture(out, s.required | WALLS_ALWAYS, e);
	ns_reap(&helper);
	ns_reap(&image_helper);
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
	/* In v1 a frozen process dies when it is thawed, and not before. */
	if (sb->frozen)
		cgroup_thaw_killed(&sb->cgroup);
}

void
sandbox_stat(const struct sandbox *sb, struct sandbox_usage *out)
{
	measure(sb, out);
	if (out->group.cpu_ns == 0 && sb->pid > 0)
		out->group.cpu_ns = tree_cpu_ns(sb->pid);
	cgroup_pressure_read(&sb->cgroup, &out->pressure);
}

static void
measure(const struct sandbox *sb, struct sandbox_usage *out)
{
	struct statfs fs;

	*out = (struct sandbox_usage){ .frozen = sb->frozen };
	cgroup_usage_read(&sb->cgroup, &out->group);
	if (sb->disk < 0 || fstatfs(sb->disk, &fs) < 0)
		return;
	out->disk_bytes =
	    (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	out->inodes = fs.f_files - fs.f_ffree;
	out->disk_full = fs.f_bfree == 0 || fs.f_ffree == 0;
}

int
sandbox_io_limit(const struct sandbox *sb, int workspace_fd, struct err *e)
{
	struct stat st;

	if (fstat(workspace_fd, &st) < 0)
		return err_sys(e, "work folder");
	return cgroup_io_limit(
	    &sb->cgroup, st.st_dev, sb->limits.io_bytes_per_s, e);
}

int
sandbox_freeze(struct sandbox *sb, bool frozen, struct err *e)
{
	if (sb->frozen == frozen)
		return 0;
	if (cgroup_freeze(&sb->cgroup, frozen, e) < 0)
		return -1;
	sb->frozen = frozen;
	return 0;
}

void
sandbox_settle(struct sandbox *sb)
{
	measure(sb, &sb->used);
	cgroup_pressure_read(&sb->cgroup, &sb->used.pressure);
	sb->settled = true;
}

int
sandbox_reap(struct sandbox *sb, struct sandbox_end *end, struct err *e)
{
	const struct sandbox_usage *used = &sb->used;
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
	if (!sb->settled)
		sandbox_settle(sb);
	if (!heard && !served && sb->killed_for == LIMIT_NONE &&
	    used->group.oom_kills == 0)
		end->kind = END_LOST;
	/* What ended with PID 1 was waited for by nobody. */
	if (used->group.cpu_ns > end->cpu_ns)
		end->cpu_ns = used->group.cpu_ns;
	end->memory_max_bytes = used->group.memory_max_bytes;
	end->oom_kills = used->group.oom_kills;
	end->pids_refused = used->group.pids_refused;
	end->throttled_ns = used->group.throttled_ns;
	end->disk_bytes = used->disk_bytes;
	end->inodes = used->inodes;
	end->disk_full = used->disk_full;
	end->pressure = used->pressure;
	if (sb->killed_for != LIMIT_NONE)
		end->limit = sb->killed_for;
	if (end->limit == LIMIT_NONE && end->oom_kills > 0)
		end->limit = LIMIT_MEMORY;
	if (end->limit == LIMIT_NONE && end->pids_refused > 0)
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
	fd_fini(&sb->disk);
	fd_fini(&sb->upper);
	fd_fini(&sb->notify);
	fd_fini(&sb->mount_ns);
	fd_fini(&sb->park.scratch);
	fd_fini(&sb->park.idmap);
	for (unsigned i = 0; i < SANDBOX_LISTENERS_MAX; i++)
		fd_fini(&sb->listener[i]);
	cgroup_remove(&sb->cgroup);
	*sb = (struct sandbox){
		.notify = -1,
		.pidfd = -1,
		.control = -1,
		.rpc = -1,
		.disk = -1,
		.upper = -1,
		.mount_ns = -1,
		.park = { -1, -1, 0, 0 },
	};
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
	case LIMIT_OUTPUT:
		return "output_limit";
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
	bool none =
	    s->argv == NULL || s->argv[0] == NULL || s->argv[0][0] == '\0';

	if (s->park ? false : none && (!s->rpc || s->argv != NULL))
		return err_set(e, "no command");
	if (!path_is_free(s->workspace_path))
		return err_set(e,
		    "work folder inside: %s is taken, or no absolute path",
		    s->workspace_path);
	if (s->park && (s->init != NULL || s->workspace_fd >= 0))
		return err_set(e, "a parked sandbox has no run yet");
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
	if (s->n_listen > SANDBOX_PORTS_MAX)
		return err_set(e, "over %d listeners", SANDBOX_PORTS_MAX);
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
    struct ns_helper *image_helper, struct err *e)
{
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
	/* Of the second version a process is born into its group. */
	if ((!b->beside || h->cgroups.kind == CGROUP_V2) &&
	    make_group(sb, b, e) < 0)
		return -1;
	if (s->workspace_fd >= 0 && fstat(s->workspace_fd, &b->workspace) < 0)
		return err_sys(e, "work folder");
	if (s->workspace_fd >= 0 && !S_ISDIR(b->workspace.st_mode))
		return err_set(e, "work folder is not a directory");
	if (s->park) {
		b->workspace.st_uid = s->owner;
		b->workspace.st_gid = s->group;
	}
	if (s->image && fstat(s->image_fd, &b->image) < 0)
		return err_sys(e, "image");
	if (s->image && !S_ISDIR(b->image.st_mode))
		return err_set(e, "image is not a directory");
	if (b->beside)
		return 0;
	make_idmap(b, helper);
	return make_image_idmap(b, image_helper, e);
}

static int
make_group(struct sandbox *sb, struct build *b, struct err *e)
{
	const struct cgroup_limits limits = {
		.memory_bytes = sb->limits.memory_bytes,
		.pids_max = sb->limits.pids_max,
		.cpu_milli = sb->limits.cpu_milli,
		.cpu_weight = sb->limits.cpu_weight,
		.io = sb->limits.io_bytes_per_s > 0,
		.freezable = b->spec->freezable,
	};

	if (cgroup_make(
		&b->host->cgroups, b->spec->slot, &limits, &sb->cgroup, e) < 0)
		return -1;
	b->posture |= sb->cgroup.has[CGROUP_MEMORY] ? WALL_MEMORY : 0;
	b->posture |= sb->cgroup.has[CGROUP_PIDS] ? WALL_PIDS : 0;
	b->posture |= sb->cgroup.has[CGROUP_CPU] ? WALL_CPU : 0;
	return 0;
}

/* A kernel without user namespaces has no shifted mounts either: that shows
 * in the posture. */
static void
make_idmap(struct build *b, struct ns_helper *helper)
{
	struct err ignored;

	if (b->host->root && (b->spec->workspace_fd >= 0 || b->spec->folder))
		b->idmap = ns_idmap(b->workspace.st_uid, b->uid,
		    b->workspace.st_gid, b->gid, helper, &ignored);
}

/* Not to go without: a folder's files may be a stranger's, but who is not the
 * owner of a root directory has little use for it. */
static int
make_image_idmap(struct build *b, struct ns_helper *helper, struct err *e)
{
	if (!b->host->root || !b->spec->image)
		return 0;
	b->image_idmap = ns_idmap(
	    b->image.st_uid, b->uid, b->image.st_gid, b->gid, helper, e);
	return b->image_idmap < 0 ? err_add(e, "image") : 0;
}

static int
spawn(struct sandbox *sb, struct build *b, struct err *e)
{
	uint64_t flags =
	    CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;

	if (!b->host->root)
		flags |= CLONE_NEWUSER | CLONE_NEWNET;
	else if (!b->beside)
		flags |= CLONE_NEWNET;

	b->posture |= WALL_PID_NS | WALL_IPC_NS | WALL_UTS_NS | WALL_TIME_NS;
	b->posture |= (flags & CLONE_NEWNET) != 0 ? WALL_NET_NS : 0;
	sb->started_ns = clock_mono_ns();
	sb->pid = spawn_with(flags | NEWTIME, sb, b, e);
	if (sb->pid < 0 && e->sys == EINVAL) {
		/* A kernel without time namespaces knows no such flag. */
		b->posture &= ~(uint32_t)WALL_TIME_NS;
		sb->pid = spawn_with(flags, sb, b, e);
	}
	if (sb->pid >= 0)
		return 0;
	sb->pid = 0;
	if (e->sys == ENOSPC)
		return err_add(e,
		    "no more namespaces are allowed here (sysctl "
		    "user.max_user_namespaces and its like)");
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

static pid_t
spawn_with(uint64_t flags, struct sandbox *sb, struct build *b, struct err *e)
{
	int into = b->cgroup->place != NULL ? cgroup_birth_fd(b->cgroup) : -1;
	pid_t pid;

	if (!b->beside)
		return ns_spawn(flags, into, build_run, b, &sb->pidfd, e);
	pid = ns_fork(flags, into, &sb->pidfd, e);
	if (pid == 0)
		_exit(build_run(b));
	return pid;
}

/*
 * What takes long and needs the machine's other processor: the network
 * namespace, half the price of all of them, the group, and the user namespace
 * of the work folder.
 */
static int
work_beside(struct sandbox *sb, struct build *b, struct ns_helper *helper,
    struct ns_helper *image_helper, struct err *e)
{
	own_fd int net = -1;

	b->posture = 0;
	if (b->host->root) {
		net = ns_own_net(e);
		if (net < 0)
			return -1;
		b->posture |= WALL_NET_NS;
	}
	make_idmap(b, helper);
	if (make_image_idmap(b, image_helper, e) < 0)
		return -1;
	if (sb->cgroup.place == NULL && make_group(sb, b, e) < 0)
		return -1;
	return say_go(sb, b, net, e);
}

static int
say_go(const struct sandbox *sb, const struct build *b, int net, struct err *e)
{
	const bool v1 = b->host->cgroups.kind == CGROUP_V1;
	struct control_go go = { .walls = b->posture };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * GIFTS)];
	} control = {};
	struct iovec part = { .iov_base = &go, .iov_len = sizeof(go) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	int gift[GIFTS] = { net, b->idmap, b->image_idmap };
	int fd[GIFTS];
	size_t n = 0;

	for (int i = 0; i < CGROUP_CONTROLLERS; i++)
		gift[GIFT_GROUP + i] = v1 ? sb->cgroup.fd[i] : -1;
	for (unsigned i = 0; i < GIFTS; i++) {
		if (gift[i] < 0)
			continue;
		go.has |= 1U << i;
		fd[n++] = gift[i];
	}
	if (n > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fd, n * sizeof(int));
	}
	/* Where the builder has failed, its own report says why. */
	if (sendmsg(sb->control, &m, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return err_sys(e, "tell the builder to go on");
	return 0;
}

/* The first report: built, or why not. The other end is closed here, so the
 * end of the child ends the wait. */
static int
hear_built(struct sandbox *sb, const struct sandbox_spec *s, struct err *e)
{
	struct control_report report;
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * BUILT_FDS_MAX)];
	} control;
	struct iovec part = { .iov_base = &report, .iov_len = sizeof(report) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	/* A builder that fails before it has read what say_go sent resets the
	 * connection: that is told once, its report comes after. */
	do
		n = recvmsg(sb->control, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return err_sys(e, "hear from the sandbox");
	if (take_fds(sb, &m, s, e) < 0)
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
take_fds(struct sandbox *sb, struct msghdr *m, const struct sandbox_spec *s,
    struct err *e)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fds[BUILT_FDS_MAX];
	unsigned n;

	if (c == NULL)
		return 0;
	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len <= CMSG_LEN(0))
		return err_set(e, "the sandbox sent no descriptors");
	n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	if (s->explain)
		sb->notify = fds[--n];
	if (s->init == NULL)
		sb->mount_ns = fds[--n];
	if (s->park)
		sb->park.scratch = fds[--n];
	if (s->write_back && s->workspace_fd >= 0)
		sb->upper = fds[--n];
	sb->disk = fds[--n];
	sb->n_listen = n;
	memcpy(sb->listener, fds, n * sizeof(int));
	return 0;
}

int
sandbox_check_posture(
    const struct sandbox *sb, uint32_t required, struct err *e)
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
		} else if (r.kind == CONTROL_OUTPUT) {
			end->kind = END_SIGNAL;
			end->code = SIGKILL;
			end->limit = LIMIT_OUTPUT;
			end->output_bytes = sb->limits.output_bytes;
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
