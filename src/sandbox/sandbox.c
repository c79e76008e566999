#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/build.h"
#include "sandbox/control.h"
#include "sandbox/filter.h"
#include "sandbox/folder.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/ns.h"

enum {
	NEWTIME = 0x80, /* CLONE_NEWTIME, by clone3 only */
	/* Host uids of sandboxes: 28 bits, from a range that neither useradd
	 * nor the sub-id files of a distribution reach. */
	UID_FIRST = 0x70000000,
	UID_OWNERS = 1 << 17,
};

/* Of the user namespaces that shift owners. */
struct helpers {
	struct ns_helper work, image, mount[MOUNTS_MAX];
};

static int holds_all_ids(bool *all, struct err *e);
static int prepare(const struct sandbox_host *h, const struct sandbox_spec *s,
    struct sandbox *sb, struct build *b, struct helpers *helpers,
    struct err *e);
static void reap_helpers(struct helpers *helpers);
static int make_group(struct sandbox *sb, struct build *b, struct err *e);
static int make_idmaps(struct build *b, struct helpers *helpers, struct err *e);
static int make_image_idmap(
    struct build *b, struct ns_helper *helper, struct err *e);
static int make_mount_idmap(
    struct build *b, unsigned i, struct ns_helper *helper, struct err *e);
static int check_mounts(struct build *b, struct err *e);
static int choose_ground(struct build *b, struct err *e);
static int spawn(struct sandbox *sb, struct build *b, struct err *e);
static pid_t spawn_with(
    uint64_t flags, struct sandbox *sb, struct build *b, struct err *e);
static int work_beside(struct sandbox *sb, struct build *b,
    struct helpers *helpers, struct err *e);
static int say_go(
    const struct sandbox *sb, const struct build *b, int net, struct err *e);
static int hear_built(
    struct sandbox *sb, const struct sandbox_spec *s, struct err *e);
static int take_fds(struct sandbox *sb, struct msghdr *m,
    const struct sandbox_spec *s, struct err *e);

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
	struct err ignored;

	if (n < 0)
		return -1;
	h->n_filter = (size_t)n;
	h->mount_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (h->mount_ns < 0)
		return err_sys(e, "open /proc/self/ns/mnt");
	/* Without it each takes longer, and gets the same. */
	if (h->root)
		h->ground = ground_new(h->mount_ns, h->binary_fd, &ignored);
	return 0;
}

void
sandbox_host_fini(struct sandbox_host *h)
{
	cgroup_leave(&h->cgroups);
	cgroup_place_fini(&h->cgroups);
	ground_free(h->ground);
	if (h->n_filter > 0)
		fd_fini(&h->mount_ns);
	*h = (struct sandbox_host){ .binary_fd = -1, .mount_ns = -1 };
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
		.work = -1,
		.root = -1,
		.disk = -1,
		.upper = -1,
		.scratch = -1,
		.mount_ns = -1,
		.rules = -1,
		.diag = -1,
		.beside = s.init != NULL,
	};
	struct helpers helpers;
	int r;

	helpers.work.pid = helpers.image.pid = -1;
	for (int i = 0; i < MOUNTS_MAX; i++) {
		helpers.mount[i].pid = -1;
		b.mount_idmap[i] = b.mount[i] = -1;
	}
	*out = (struct sandbox){
		.pidfd = -1,
		.control = -1,
		.rpc = -1,
		.notify = -1,
		.disk = -1,
		.upper = -1,
		.mount_ns = -1,
		.park = { -1, -1, s.owner, s.group, false, 0, 0, 0 },
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
	r = build_check_spec(&s, e);
	if (r == 0)
		r = build_check_limits(&out->limits, e);
	if (r == 0)
		r = prepare(h, &s, out, &b, &helpers, e);
	if (r == 0)
		r = choose_ground(&b, e);
	if (r == 0)
		r = spawn(out, &b, e);
	fd_fini(&b.work);
	fd_fini(&b.control);
	fd_fini(&b.rpc);
	if (r == 0 && b.beside)
		r = work_beside(out, &b, &helpers, e);
	if (s.park && !out->park.placed)
		out->park.idmap = fd_take(&b.idmap);
	fd_fini(&b.idmap);
	fd_fini(&b.image_idmap);
	for (int i = 0; i < MOUNTS_MAX; i++)
		fd_fini(&b.mount_idmap[i]);
	if (r == 0)
		r = hear_built(out, &s, e);
	reap_helpers(&helpers);
	if (r < 0)
		sandbox_fini(out);
	else
		cgroup_close(&out->cgroup);
	return r;
}

unsigned
sandbox_sweep(const struct sandbox_host *h)
{
	return cgroup_sweep(&h->cgroups);
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
    struct sandbox *sb, struct build *b, struct helpers *helpers, struct err *e)
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
	if (s->park && s->workspace_fd >= 0) {
		if (b->workspace.st_uid != s->owner ||
		    b->workspace.st_gid != s->group)
			return err_set(e, "work folder of another owner");
		sb->park.placed = true;
		sb->park.dev = b->workspace.st_dev;
		sb->park.ino = b->workspace.st_ino;
		sb->park.mode = b->workspace.st_mode;
	} else if (s->park) {
		b->workspace.st_uid = s->owner;
		b->workspace.st_gid = s->group;
	}
	if (s->n_layers > 0 && s->workspace_fd < 0 &&
	    fstat(s->layers[0], &b->workspace) < 0)
		return err_sys(e, "snapshot");
	if (s->image && fstat(s->image_fd, &b->image) < 0)
		return err_sys(e, "image");
	if (s->image && !S_ISDIR(b->image.st_mode))
		return err_set(e, "image is not a directory");
	if (check_mounts(b, e) < 0)
		return -1;
	return b->beside ? 0 : make_idmaps(b, helpers, e);
}

static int
check_mounts(struct build *b, struct err *e)
{
	for (unsigned i = 0; i < b->spec->n_mounts; i++) {
		const struct sandbox_mount *m = &b->spec->mounts[i];

		if (folder_check(m->fd, &b->mount_stat[i], e) < 0)
			return err_add(e, "mount at %s", m->to);
		if (b->host->root && m->mode == SANDBOX_RW &&
		    b->mount_stat[i].st_uid == 0)
			return err_set(e,
			    "mount at %s: a folder of root's is not written "
			    "from inside: use overlay, or give the folder to "
			    "a user of its own",
			    m->to);
	}
	return 0;
}

static void
reap_helpers(struct helpers *helpers)
{
	ns_reap(&helpers->work);
	ns_reap(&helpers->image);
	for (int i = 0; i < MOUNTS_MAX; i++)
		ns_reap(&helpers->mount[i]);
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
static int
make_idmaps(struct build *b, struct helpers *helpers, struct err *e)
{
	struct err ignored;

	if (!b->host->root)
		return 0;
	if (b->spec->workspace_fd >= 0 || b->spec->folder ||
	    b->spec->n_layers > 0)
		b->idmap = ns_idmap(b->workspace.st_uid, b->uid,
		    b->workspace.st_gid, b->gid, &helpers->work, &ignored);
	for (unsigned i = 0; i < b->spec->n_mounts; i++) {
		if (make_mount_idmap(b, i, &helpers->mount[i], e) < 0)
			return -1;
	}
	return make_image_idmap(b, &helpers->image, e);
}

/* What is written to one that is the host's own needs an owner there. */
static int
make_mount_idmap(
    struct build *b, unsigned i, struct ns_helper *helper, struct err *e)
{
	const struct sandbox_mount *m = &b->spec->mounts[i];
	const struct stat *st = &b->mount_stat[i];

	b->mount_idmap[i] =
	    ns_idmap(st->st_uid, b->uid, st->st_gid, b->gid, helper, e);
	return b->mount_idmap[i] < 0 && m->mode == SANDBOX_RW
	    ? err_add(e, "mount at %s", m->to)
	    : 0;
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

/*
 * The ground has neither the host's folders nor its /proc: for what needs them
 * the sandbox is built at home. A file that is put into a sandbox may have its
 * place in what is shared; of a parked one that cannot be written by then.
 */
static int
choose_ground(struct build *b, struct err *e)
{
	const struct sandbox_spec *s = b->spec;

	if (b->host->ground == NULL || b->beside || s->image || s->fake_root ||
	    s->n_mounts > 0 || s->n_layers > 0 ||
	    (s->n_files > 0 && !s->park) || (b->posture & WALL_MEMORY) == 0)
		return 0;
	if (s->workspace_fd >= 0) {
		b->work = root_copy_work(b, s->workspace_fd, e);
		if (b->work < 0)
			return err_add(e, "work folder");
	}
	b->ground = b->host->ground;
	return 0;
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

	if (b->ground != NULL && ground_enter(b->ground, e) < 0)
		return -1;
	if (!b->beside) {
		pid = ns_spawn(flags, into, build_run, b, &sb->pidfd, e);
		if (b->ground != NULL)
			ground_leave(b->ground);
		return pid;
	}
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
work_beside(
    struct sandbox *sb, struct build *b, struct helpers *helpers, struct err *e)
{
	own_fd int net = -1;

	b->posture = 0;
	if (b->host->root) {
		net = ns_own_net(e);
		if (net < 0)
			return -1;
		b->posture |= WALL_NET_NS;
	}
	if (make_idmaps(b, helpers, e) < 0)
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

	for (int i = 0; i < MOUNTS_MAX; i++)
		gift[GIFT_MOUNT + i] = b->mount_idmap[i];
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
	if (build_keeps_upper(s) && !build_folder_comes(s))
		sb->upper = fds[--n];
	sb->disk = fds[--n];
	sb->n_listen = n;
	memcpy(sb->listener, fds, n * sizeof(int));
	return 0;
}
