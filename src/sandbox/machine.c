#include "sandbox/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sandbox.h"
#include "sys/fd.h"
#include "sys/landlock.h"
#include "sys/mount.h"
#include "sys/ns.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum {
	NEWTIME = 0x80, /* CLONE_NEWTIME */
	NOBODY = 65534,
};

static bool works(uint64_t flags, int (*what)(struct err *e));
static int attempt(uint64_t flags, int (*what)(struct err *e), struct err *e);
static int try_overlay(struct err *e);
static int try_nftables(struct err *e);
static int try_watch(struct err *e);
static bool has_idmap(const char *folder);
static bool has_action(uint32_t action);

static const struct {
	const char *name;
	uint64_t flag;
} spaces[MACHINE_NS_COUNT] = {
	[MACHINE_NS_MOUNT] = { "mount", CLONE_NEWNS },
	[MACHINE_NS_PID] = { "pid", CLONE_NEWPID },
	[MACHINE_NS_NET] = { "net", CLONE_NEWNET },
	[MACHINE_NS_IPC] = { "ipc", CLONE_NEWIPC },
	[MACHINE_NS_UTS] = { "uts", CLONE_NEWUTS },
	[MACHINE_NS_CGROUP] = { "cgroup", CLONE_NEWCGROUP },
	[MACHINE_NS_TIME] = { "time", NEWTIME },
	[MACHINE_NS_USER] = { "user", CLONE_NEWUSER },
};

int
machine_probe(struct machine *m, const char *folder, struct err *e)
{
	struct cgroup_place place;
	struct utsname names;
	char text[8] = "0";
	own_fd int fd = -1;
	uint64_t user;

	*m = (struct machine){};
	if (uname(&names) < 0)
		return err_sys(e, "uname");
	(void)snprintf(m->kernel, sizeof(m->kernel), "%s", names.release);

	m->root = geteuid() == 0 && works(CLONE_NEWNS, NULL);
	m->powerless = geteuid() == 0 && !m->root;
	user = m->root ? 0 : CLONE_NEWUSER;
	for (size_t i = 0; i < COUNT(spaces); i++)
		m->ns[i] = works(spaces[i].flag | user, NULL);
	m->landlock_abi = landlock_abi();
	m->seccomp = has_action(SECCOMP_RET_KILL_PROCESS);
	m->seccomp_notify = has_action(SECCOMP_RET_USER_NOTIF);
	m->overlay = works(CLONE_NEWNS | user, try_overlay);
	m->overlay_in_userns = works(CLONE_NEWNS | CLONE_NEWUSER, try_overlay);
	m->nftables = works(CLONE_NEWNET | user, try_nftables);
	m->core = works(0, ns_own_core);
	m->audit = audit_state();
	fd = audit_open(e);
	m->audit_heard = fd >= 0;
	fd_fini(&fd);
	m->keyring = works(0, ns_keyring_cut);
	m->memory_watch = works(CLONE_NEWNET | user, try_watch);
	m->idmapped_mounts =
	    m->root && has_idmap(folder != NULL ? folder : ".");

	if (cgroup_place_init(&place, e) < 0)
		return -1;
	m->cgroup_kind = place.kind;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		m->cgroup_writable[c] =
		    cgroup_probe(&place, (enum cgroup_controller)c);
		if (m->cgroup_writable[c] && m->cgroup_dir[0] == '\0')
			memcpy(
			    m->cgroup_dir, place.dir[c], sizeof(m->cgroup_dir));
	}
	cgroup_place_fini(&place);
	machine_container_probe(m);
	fd = open("/proc/sys/dev/tty/legacy_tiocsti", O_RDONLY | O_CLOEXEC);
	/* A kernel without the switch always takes it. */
	m->tiocsti =
	    fd < 0 || read(fd, text, sizeof(text)) < 1 || text[0] == '1';
	return 0;
}

const char *
machine_ns_name(enum machine_ns ns)
{
	return ns < MACHINE_NS_COUNT ? spaces[ns].name : NULL;
}

/* In a child, so that nothing of the attempt stays with us. */
static bool
works(uint64_t flags, int (*what)(struct err *e))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct err ignored;

		_exit(attempt(flags, what, &ignored) == 0 ? 0 : 1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return false;
	}
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int
attempt(uint64_t flags, int (*what)(struct err *e), struct err *e)
{
	const bool user = (flags & CLONE_NEWUSER) != 0;
	uid_t uid;

	/* A user namespace is tried as those who need it: not as root. */
	if (user && geteuid() == 0 &&
	    (setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0))
		return err_sys(e, "become nobody");
	uid = geteuid();
	if (flags != 0 && syscall(SYS_unshare, flags) < 0)
		return err_sys(e, "unshare");
	if (user && ns_map_self(uid, getegid(), e) < 0)
		return -1;
	return what != NULL ? what(e) : 0;
}

/* On a tmpfs, as sandboxes have it. */
static int
try_overlay(struct err *e)
{
	static const struct mount_option options[] = {
		{ "lowerdir", "a" },
		{ "upperdir", "b" },
		{ "workdir", "c" },
		{ "userxattr", NULL },
	};
	own_fd int scratch = -1, overlay = -1;

	if (mount_private(e) < 0)
		return -1;
	scratch = mount_new("tmpfs", NULL, 0, 0, e);
	if (scratch < 0 || mount_attach(scratch, AT_FDCWD, "/", e) < 0)
		return -1;
	if (fchdir(scratch) < 0 || mkdir("a", 0755) < 0 ||
	    mkdir("b", 0755) < 0 || mkdir("c", 0755) < 0)
		return err_sys(e, "lay out the layers");
	overlay = mount_new("overlay", options, COUNT(options), 0, e);
	return overlay < 0 ? -1 : 0;
}

/* NFT_MSG_GETGEN: the subsystem exists when it answers at all. */
static int
try_nftables(struct err *e)
{
	struct {
		struct nlmsghdr head;
		struct nfgenmsg body;
	} ask = {
		.head = {
			.nlmsg_len = sizeof(ask),
			.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 |
			    NFT_MSG_GETGEN,
			.nlmsg_flags = NLM_F_REQUEST,
		},
	};
	struct {
		struct nlmsghdr head;
		char body[1024];
	} answer;
	own_fd int fd =
	    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		return err_sys(e, "netfilter socket");
	if (send(fd, &ask, sizeof(ask), 0) < 0)
		return err_sys(e, "ask nftables");
	if (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) <
	    (ssize_t)sizeof(answer.head))
		return err_sys(e, "hear from nftables");
	if (answer.head.nlmsg_type == NLMSG_ERROR)
		return err_set(e, "no nftables");
	return 0;
}

/* What WALL_MEMORY_WATCH hangs on. */
static int
try_watch(struct err *e)
{
	return ns_tcp_buffers(COUNTED_TCP_BYTES, e);
}

/* Shifts the folder's owner to somebody else, on a copy that is dropped. */
static bool
has_idmap(const char *folder)
{
	struct err ignored;
	struct ns_helper helper;
	own_fd int ns = ns_idmap(0, NOBODY, 0, NOBODY, &helper, &ignored);
	own_fd int copy = -1;

	ns_reap(&helper);
	if (ns < 0)
		return false;
	copy = mount_copy(AT_FDCWD, folder, false, 0, ns, &ignored);
	return copy >= 0;
}

static bool
has_action(uint32_t action)
{
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
