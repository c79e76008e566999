#include "sandbox/build.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/must.h"
#include "sandbox/control.h"
#include "sandbox/filter.h"
#include "sandbox/net.h"
#include "sandbox/rpc.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/ns.h"

enum { LISTEN_BACKLOG = 128 };

static int build(struct build *b, struct err *e);
static int close_others(const struct build *b, struct err *e);
static int enter_group(const struct cgroup *g, struct build *b, struct err *e);
static bool is_shared(const struct sandbox_spec *s);
static int join_caller(struct build *b, struct err *e);
static int without_group(struct build *b, struct err *e);
static int take_stdio(struct build *b, struct err *e);
static int make_rules(struct build *b, struct err *e);
static int out_of_the_way(int *fd, struct err *e);
static int put_at(int from, int at, struct err *e);
static int give_pipe(int fd, uid_t uid, gid_t gid, struct err *e);
static int make_listeners(struct build *b, int out[], struct err *e);
static int set_limits(struct build *b, struct err *e);
static int set_landlock(struct build *b, struct err *e);
static int say_built(
    const struct build *b, const int *listeners, struct err *e);
static int become_init(struct build *b, struct err *e);

int
build_run(void *arg)
{
	/* A copy: the original lies in the caller's memory. */
	struct build b = *(const struct build *)arg;
	struct control_report report = { .kind = CONTROL_FAILED };
	struct err e = {};

	(void)build(&b, &e); /* comes back only with an error */
	report.value = (uint32_t)e.sys;
	memcpy(report.text, e.text, sizeof(report.text));
	(void)send(b.control, &report, sizeof(report), MSG_NOSIGNAL);
	return 1;
}

/*
 * The order matters: what needs a right comes before its loss, what costs
 * memory after the cgroup, and the filter last, since it forbids the rest.
 */
static int
build(struct build *b, struct err *e)
{
	const struct sandbox_spec *spec = b->spec;
	const struct sandbox_host *h = b->host;
	int listeners[SANDBOX_LISTENERS_MAX];
	struct sock_filter filter[SECCOMP_PROGRAM_MAX];
	const unsigned kind = (spec->fake_root ? FILTER_FAKE_ROOT : 0U) |
	    (is_shared(spec) ? FILTER_NO_UNIX : 0U) |
	    (spec->judged ? FILTER_TRACER : 0U);
	own_fd int self = -1;
	int n_filter = 0, late, r;
	sigset_t none;

	(void)umask(0);
	if (close_others(b, e) < 0)
		return -1;
	if (!b->beside && enter_group(b->cgroup, b, e) < 0)
		return -1;
	if (!h->root) {
		if (ns_map_self(b->uid, b->gid, e) < 0)
			return -1;
		b->posture |= WALL_USER_NS;
	}
	if (take_stdio(b, e) < 0)
		return -1;
	if (sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return err_sys(e, "sethostname %s", spec->hostname);
	if (spec->fake_root) {
		self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (self < 0)
			return err_sys(e, "open /proc/self");
	}
	if (root_begin(b, e) < 0)
		return err_add(e, "root file system");
	if (ns_keyring_cut(e) == 0)
		b->posture |= WALL_KEYRING;
	if (ns_own_core(e) == 0)
		b->posture |= WALL_CORE;
	if (ns_drop_bounding(e) < 0)
		return -1;
	/* Compiled while the caller makes the group, in the hope of one. */
	if (h->n_filter == 0 || spec->explain || kind != 0)
		n_filter = sandbox_filter_compile(kind, filter, e);
	if (n_filter < 0 || (b->beside && join_caller(b, e) < 0))
		return -1;
	late = without_group(b, e);
	if (late < 0)
		return -1;
	if (late > 0)
		n_filter =
		    sandbox_filter_compile(kind | (unsigned)late, filter, e);
	if (n_filter < 0)
		return -1;
	if (make_listeners(b, listeners, e) < 0)
		return err_add(e, "listener inside");
	if (root_finish(b, e) < 0)
		return err_add(e, "root file system");
	/* For the caller to see how full it is. */
	b->disk = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (b->disk < 0)
		return err_sys(e, "open /tmp");
	if (!b->beside) {
		b->mount_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (b->mount_ns < 0)
			return err_sys(e, "open /proc/self/ns/mnt");
	}
	if (!spec->park && chdir(spec->chdir_path) < 0)
		return err_sys(e, "chdir %s", spec->chdir_path);
	if (setsid() < 0)
		return err_sys(e, "setsid");
	if (spec->fake_root) {
		if (ns_fake_root(self, h->root, b->uid, b->gid, e) < 0)
			return -1;
		fd_fini(&self);
		b->posture |= WALL_USER_NS;
	} else if (ns_drop_rights(h->root ? b->uid : (uid_t)-1, b->gid, e) <
	    0) {
		return -1;
	}
	b->posture |= WALL_CAPS | (h->root ? WALL_PRIVATE_UID : 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "no_new_privs");
	b->posture |= WALL_NO_NEW_PRIVS;
	if (set_limits(b, e) < 0 || set_landlock(b, e) < 0)
		return -1;
	/* A change of uid clears it: only now. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, "parent-death signal");
	(void)umask(022);
	(void)sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_sys(e, "sigprocmask");

	b->posture |= WALL_SECCOMP;
	if (spec->explain) {
		seccomp_ask(filter, (size_t)n_filter);
		r = b->notify = seccomp_listen(filter, (size_t)n_filter, e);
	} else if (n_filter > 0) {
		r = seccomp_install(filter, (size_t)n_filter, e);
	} else {
		r = seccomp_install(h->filter, h->n_filter, e);
	}
	if (r < 0)
		return -1;
	if (build_check_posture(b->posture, spec, b->limits, e) < 0 ||
	    say_built(b, listeners, e) < 0)
		return -1;
	return become_init(b, e);
}

/*
 * A caller with a thousand sandboxes has more files open than this one may
 * have, and a builder beside its caller has to notice when that is gone: all
 * is closed that is not needed here.
 */
static int
close_others(const struct build *b, struct err *e)
{
	const struct sandbox_spec *spec = b->spec;
	int keep[14 + 2 * MOUNTS_MAX + SNAPSHOT_LAYERS_MAX +
	    CGROUP_CONTROLLERS] = { 0, 1, 2, b->control, b->rpc, b->idmap,
		spec->workspace_fd, b->host->binary_fd, b->image_idmap, b->work,
		spec->image ? spec->image_fd : -1 };
	const size_t n = sizeof(keep) / sizeof(keep[0]);
	size_t used = 11;
	int from = 0;

	for (int i = 0; i < 3; i++) {
		if (spec->stdio[i] > 2)
			keep[used++] = spec->stdio[i];
	}
	for (unsigned i = 0; i < spec->n_mounts; i++) {
		keep[used++] = spec->mounts[i].fd;
		keep[used++] = b->mount_idmap[i];
	}
	for (unsigned i = 0; i < spec->n_layers; i++)
		keep[used++] = spec->layers[i];
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (b->cgroup->place != NULL)
			keep[used++] = b->cgroup->fd[c];
	}
	must(used <= n);
	for (;;) {
		int next = INT_MAX;

		for (size_t i = 0; i < used; i++) {
			if (keep[i] >= from && keep[i] < next)
				next = keep[i];
		}
		if (next > from &&
		    syscall(SYS_close_range, from, next - 1, 0) < 0)
			return err_sys(e, "close_range");
		if (next == INT_MAX)
			return 0;
		from = next + 1;
	}
}

static int
enter_group(const struct cgroup *g, struct build *b, struct err *e)
{
	if (cgroup_enter(g, e) < 0)
		return -1;
	/* Now, so that its root is the group just entered. */
	if (unshare(CLONE_NEWCGROUP) == 0)
		b->posture |= WALL_CGROUP_NS;
	return 0;
}

/* Whether a folder inside is the host's own: a socket that a server of the
 * host puts there later would be a way out to it. */
static bool
is_shared(const struct sandbox_spec *s)
{
	for (unsigned i = 0; i < s->n_mounts; i++) {
		if (s->mounts[i].mode == SANDBOX_RW)
			return true;
	}
	return false;
}

/* Waits for what the caller makes at the same time. */
static int
join_caller(struct build *b, struct err *e)
{
	struct cgroup group = *b->cgroup;
	struct control_go go = {};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * GIFTS)];
	} control;
	struct iovec part = { .iov_base = &go, .iov_len = sizeof(go) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	int fd[GIFTS], gift[GIFTS];
	struct cmsghdr *c;
	size_t n = 0;

	if (recvmsg(b->control, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(go))
		return err_set(e, "the caller is gone");
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fd, CMSG_DATA(c), n * sizeof(int));
	}
	for (unsigned i = 0, k = 0; i < GIFTS; i++)
		gift[i] = (go.has & 1U << i) != 0 && k < n ? fd[k++] : -1;

	b->posture |= go.walls;
	b->idmap = gift[GIFT_IDMAP];
	b->image_idmap = gift[GIFT_IMAGE_IDMAP];
	for (unsigned i = 0; i < MOUNTS_MAX; i++)
		b->mount_idmap[i] = gift[GIFT_MOUNT + i];
	if (gift[GIFT_NET] >= 0 && setns(gift[GIFT_NET], CLONE_NEWNET) < 0)
		return err_sys(e, "enter the network namespace");
	if (group.place == NULL) {
		group.place = &b->host->cgroups;
		for (int i = 0; i < CGROUP_CONTROLLERS; i++)
			group.fd[i] = gift[GIFT_GROUP + i];
	}
	return enter_group(&group, b, e);
}

/*
 * What keeps the limits that no group keeps. Returns what the filter has to do
 * for it.
 */
static int
without_group(struct build *b, struct err *e)
{
	const uint64_t cpu = b->limits->cpu_milli;
	struct err weaker;
	int filter = 0;

	/* Half a processor is one, and says so. */
	if ((b->posture & WALL_CPU) == 0 && cpu > 0 &&
	    ns_pin((unsigned)((cpu + 999) / 1000), &weaker) == 0) {
		filter |= FILTER_PINNED;
		b->posture |= cpu % 1000 == 0 ? WALL_CPU_SET : 0;
	}
	if ((b->posture & WALL_MEMORY) != 0)
		return filter;
	if (root_no_zero(e) < 0)
		return -1;
	/* For what nobody counts: locks, for one. */
	(void)ns_first_to_go(&weaker);
	/* Without it each socket counts as full. */
	b->diag =
	    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	/* Else the watch stands, and a socket may hold more. */
	if (ns_tcp_buffers(COUNTED_TCP_BYTES, &weaker) == 0)
		b->posture |= WALL_MEMORY_WATCH;
	return filter | FILTER_COUNTED;
}

/*
 * Standard streams to 0..2. A directory among them would lead out, past the
 * mount namespace.
 */
static int
take_stdio(struct build *b, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int from = b->spec->stdio[i];
		own_fd int null = -1;

		if (from < 0) {
			null = open("/dev/null", O_RDWR | O_CLOEXEC);
			if (null < 0)
				return err_sys(e, "open /dev/null");
			from = null;
		}
		if (build_check_stream(i, from, b, e) < 0)
			return -1;
		if (from == i) {
			if (fd_cloexec(i, false, e) < 0)
				return -1;
		} else if (dup2(from, i) < 0) {
			return err_sys(e, "dup2 standard stream %d", i);
		}
	}
	return 0;
}

int
build_check_stream(int i, int fd, const struct build *b, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "standard stream %d", i);
	if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		return err_set(e,
		    "standard stream %d is a %s: it would lead out", i,
		    S_ISDIR(st.st_mode) ? "directory" : "disk");
	if (b->host->root && S_ISFIFO(st.st_mode))
		return give_pipe(fd, b->uid, b->gid, e);
	return 0;
}

/* An anonymous pipe has no name and no other user: its new owner may open
 * /dev/stdout, which opens the pipe once more. */
static int
give_pipe(int fd, uid_t uid, gid_t gid, struct err *e)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_sys(e, "fstatfs a standard stream");
	if (fs.f_type == PIPEFS_MAGIC && fchown(fd, uid, gid) < 0)
		return err_sys(e, "give a pipe to the sandbox");
	return 0;
}

static int
make_listeners(struct build *b, int out[], struct err *e)
{
	struct err none;
	bool any;
	const struct sandbox_spec *spec = b->spec;

	/* Programs talk to themselves over it; its other end is in here. */
	if (ns_loopback_up(e) < 0)
		return -1;
	for (unsigned i = 0; i < spec->n_listen; i++) {
		struct sockaddr_in at = {
			.sin_family = AF_INET,
			.sin_port = htons(spec->listen_port[i]),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		};

		/* Left open on failure: this process ends then. */
		out[i] = socket(
		    AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (out[i] < 0)
			return err_sys(e, "socket");
		if (bind(out[i], (struct sockaddr *)&at, sizeof(at)) < 0)
			return err_sys(e, "bind port %u", spec->listen_port[i]);
		if (listen(out[i], LISTEN_BACKLOG) < 0)
			return err_sys(e, "listen");
	}
	b->n_listeners = spec->n_listen;
	/* Without them less gets to the proxy, and nothing gets past it. */
	if (spec->net && net_open(out + spec->n_listen, &any, &none) == 0)
		b->n_listeners += NET_SOCKETS;
	return 0;
}

/* A hard limit that is lower already stays: raising needs a right. */
static int
set_limits(struct build *b, struct err *e)
{
	const struct sandbox_limits *l = b->limits;
	const bool memory = (b->posture & WALL_MEMORY) != 0;
	const bool pids = (b->posture & WALL_PIDS) != 0;
	const struct {
		int what;
		const char *name;
		uint64_t value;
	} rows[] = {
		{ RLIMIT_CORE, "core", 0 },
		{ RLIMIT_NOFILE, "nofile", l->nofile },
		/* Private to the uid, so it bounds this sandbox only. A group
		 * refuses one earlier, since it counts what it refused. */
		{ RLIMIT_NPROC, "nproc", l->pids_max + pids },
		{ RLIMIT_FSIZE, "fsize", l->disk_bytes },
		{ RLIMIT_MEMLOCK, "memlock", 64 * 1024 },
		{ RLIMIT_MSGQUEUE, "msgqueue", 800 * 1024 },
		/* Of all processes together; timers count, too. */
		{ RLIMIT_SIGPENDING, "sigpending", 16384 },
		/* For each process: all there is without a memory cgroup. */
		{ RLIMIT_DATA, "data",
		    memory ? RLIM_INFINITY : l->memory_bytes },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rlimit64 now, set;

		if (syscall(SYS_prlimit64, 0, rows[i].what, NULL, &now) < 0)
			return err_sys(e, "getrlimit %s", rows[i].name);
		set.rlim_max =
		    rows[i].value < now.rlim_max ? rows[i].value : now.rlim_max;
		set.rlim_cur = set.rlim_max;
		if (syscall(SYS_prlimit64, 0, rows[i].what, &set, NULL) < 0)
			return err_sys(e, "setrlimit %s", rows[i].name);
	}
	b->posture |= WALL_RLIMITS | (b->spec->judged ? WALL_COMMANDS : 0U);
	return 0;
}

/*
 * A second wall: what is not below the new root, such as a file of the host
 * behind a descriptor that should not be here, is out of reach.
 */
static int
set_landlock(struct build *b, struct err *e)
{
	const int abi = b->host->landlock_abi;

	if (abi == 0)
		return 0;
	if (make_rules(b, e) < 0)
		return -1;
	b->posture |= WALL_LANDLOCK_FS | (abi >= 6 ? WALL_LANDLOCK_SCOPE : 0);
	if (build_folder_comes(b->spec))
		return 0; /* PID 1 adds it, and enforces them */
	if (landlock_enforce_strangers(b->rules, abi, b->spec->explain, e) < 0)
		return -1;
	fd_fini(&b->rules);
	return 0;
}

static int
make_rules(struct build *b, struct err *e)
{
	const int abi = b->host->landlock_abi;
	const struct {
		const char *path;
		unsigned access;
	} rows[] = {
		{ "/",
		    LANDLOCK_READ | LANDLOCK_EXECUTE |
			(b->spec->image ? LANDLOCK_WRITE : 0U) },
		{ "/dev", LANDLOCK_WRITE | LANDLOCK_DEVICE },
		{ "/tmp", LANDLOCK_WRITE },
		{ b->workspace_path, LANDLOCK_WRITE },
	};
	const size_t n =
	    sizeof(rows) / sizeof(rows[0]) - build_folder_comes(b->spec);
	own_fd int rules = -1;

	rules = landlock_new(abi, LANDLOCK_SCOPES, e);
	if (rules < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (landlock_allow(rules, abi, AT_FDCWD, rows[i].path,
			rows[i].access, e) < 0)
			return -1;
	}
	for (unsigned i = 0; i < b->spec->n_mounts; i++) {
		const struct sandbox_mount *m = &b->spec->mounts[i];

		if (m->mode != SANDBOX_RO &&
		    landlock_allow(
			rules, abi, AT_FDCWD, m->to, LANDLOCK_WRITE, e) < 0)
			return -1;
	}
	b->rules = fd_take(&rules);
	return 0;
}

static int
say_built(const struct build *b, const int *listeners, struct err *e)
{
	struct control_report report = {
		.kind = CONTROL_BUILT,
		.value = b->posture,
	};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * BUILT_FDS_MAX)];
	} control = {};
	struct iovec part = { .iov_base = &report, .iov_len = sizeof(report) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[BUILT_FDS_MAX];
	unsigned n = b->n_listeners;

	memcpy(fds, listeners, n * sizeof(int));
	fds[n++] = b->disk;
	if (b->upper >= 0)
		fds[n++] = b->upper;
	if (b->spec->park)
		fds[n++] = b->scratch;
	if (b->mount_ns >= 0)
		fds[n++] = b->mount_ns;
	if (b->notify >= 0)
		fds[n++] = b->notify;
	message.msg_control = control.bytes;
	message.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	if (sendmsg(b->control, &message, MSG_NOSIGNAL) < 0)
		return err_sys(e, "report to the caller");
	return 0;
}

static int
become_init(struct build *b, struct err *e)
{
	enum { ARGS_MAX = 4096, FIXED = 3 };
	const struct sandbox_spec *spec = b->spec;
	const char *argv[ARGS_MAX + FIXED + 1] = { CONTROL_INIT_NAME };
	const bool watched = (b->posture & WALL_MEMORY) == 0;
	char mode[64];
	int last = CONTROL_FD;
	size_t n = 1;

	if (spec->park)
		argv[n++] = CONTROL_PARK;
	(void)snprintf(mode, sizeof(mode), "%s",
	    !spec->rpc	     ? CONTROL_RUN
		: spec->keep ? CONTROL_KEEP
			     : CONTROL_SERVE);
	if (b->limits->output_bytes > 0 || watched)
		(void)snprintf(mode + strlen(mode), sizeof(mode) - strlen(mode),
		    ":%llu", (unsigned long long)b->limits->output_bytes);
	if (watched)
		(void)snprintf(mode + strlen(mode), sizeof(mode) - strlen(mode),
		    ":%llu", (unsigned long long)b->limits->memory_bytes);
	argv[n++] = mode;
	for (size_t i = 0; spec->argv != NULL && spec->argv[i] != NULL; i++) {
		if (i == ARGS_MAX)
			return err_set(e, "over %d arguments", ARGS_MAX);
		argv[n++] = spec->argv[i];
	}
	argv[n] = NULL;

	if (out_of_the_way(&b->control, e) < 0 ||
	    out_of_the_way(&b->rpc, e) < 0 ||
	    out_of_the_way(&b->rules, e) < 0 || out_of_the_way(&b->diag, e) < 0)
		return -1;
	if (put_at(b->control, CONTROL_FD, e) < 0)
		return -1;
	b->control = CONTROL_FD; /* for the report of what fails now */
	if (b->rpc >= 0) {
		last = RPC_FD;
		if (put_at(b->rpc, RPC_FD, e) < 0)
			return -1;
	}
	if (b->rules >= 0) {
		if (last == CONTROL_FD)
			(void)close(RPC_FD); /* whatever was there */
		last = CONTROL_RULES_FD;
		if (put_at(b->rules, CONTROL_RULES_FD, e) < 0)
			return -1;
	}
	if (b->diag >= 0) {
		if (put_at(b->diag, CONTROL_DIAG_FD, e) < 0 ||
		    syscall(SYS_close_range, last + 1, CONTROL_DIAG_FD - 1, 0) <
			0)
			return err_sys(e, "close_range");
		last = CONTROL_DIAG_FD;
	}
	if (fd_close_from(last + 1, e) < 0)
		return -1;
	if (b->beside && b->host->root)
		_exit(spec->init(argv, spec->envp));
	(void)syscall(SYS_execve, CONTROL_BINARY, argv, spec->envp);
	return err_sys(e, "execute %s", CONTROL_BINARY);
}

/* Above the places that descriptors are put to. */
static int
out_of_the_way(int *fd, struct err *e)
{
	if (*fd < 0 || *fd > CONTROL_DIAG_FD)
		return 0;
	*fd = fcntl(*fd, F_DUPFD_CLOEXEC, CONTROL_DIAG_FD + 1);
	if (*fd < 0)
		return err_sys(e, "dup a descriptor of PID 1");
	return 0;
}

static int
put_at(int from, int at, struct err *e)
{
	if (dup2(from, at) < 0)
		return err_sys(e, "dup2 to descriptor %d", at);
	return 0;
}
