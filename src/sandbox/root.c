/*
 * sandbox/root.c: the file system of a sandbox, made from nothing.
 *
 * /                tmpfs, read-only in the end: /etc, /dev and empty places
 * /usr             the host's, read-only; /bin, /lib and so on as on the host
 * /tmp, /dev/shm   one tmpfs with the limits of bytes and inodes ("scratch")
 * /proc            of this pid namespace, read-only
 * work folder      overlay: the folder below, scratch above
 *
 * What is the same for all sandboxes of a caller, share_* makes: in the root
 * itself, or once on the ground (ground.h), from where it is taken.
 *
 * Paths without a leading slash are relative to the new root, which is the
 * working directory; those with one are the
 * host's, or of the ground, until the end of root_finish.
 */
#include "sandbox/build.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/place.h"
#include "sandbox/control.h"
#include "sandbox/net.h"
#include "sys/fd.h"
#include "sys/mount.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum {
	MOUNT_OPTION_BYTES = 256, /* fsconfig(2): of a text, with its NUL */
	ROOT_FLAGS = MOUNT_NOSUID | MOUNT_NOEXEC,
	DATA_FLAGS = MOUNT_NOSUID | MOUNT_NODEV,
};

/* Relative to the new root, as all else here. */
static const char *const binary_path = &CONTROL_BINARY[1];

/* Of the host, as it is; the first are links or directories beside /usr. */
static const char *const shared_paths[] = { "/bin", "/sbin", "/lib", "/lib32",
	"/lib64", "/libx32", "/usr", "/etc/ld.so.cache", "/etc/alternatives",
	"/etc/ssl", "/etc/localtime",
	"/etc/java-17-openjdk" /* Debian's Java reads it first */ };

enum { BESIDE_USR = 6, FIRST_OF_ETC = BESIDE_USR + 1 };

/* What differs in /etc is here where the rest of it is shared. */
#define NAMES_DIR "run/names"

static const char *const names_files[] = { "passwd", "group", "hosts",
	"resolv.conf" };

static int make_root(int *root, struct err *e);
static int make_system(bool taken, struct err *e);
static int make_etc(const struct build *b, struct err *e);
static int make_names(const struct build *b, const char *dir, struct err *e);
static int share_etc(struct err *e);
static int make_own(const struct build *b, struct err *e);
static int share_own(int binary_fd, struct err *e);
static int make_dev(const struct build *b, struct err *e);
static int share_dev(bool root, struct err *e);
static int make_proc(struct build *b, struct err *e);
static int make_scratch(struct build *b, struct err *e);
static int make_work(struct build *b, int *work, struct err *e);
static int add_workspace(struct build *b, int *work, struct err *e);
static int make_layers(const struct build *b, const char *at,
    const struct stat *folder, bool shifted, struct err *e);
static int give_upper(const struct build *b, const char *path,
    const struct stat *folder, bool shifted, struct err *e);
static int put_overlay(
    struct build *b, const char *at, int *mount, struct err *e);
static int keep_upper(struct build *b, const char *path, struct err *e);
static int put_snapshots(
    struct build *b, const char *at, char *lowers, size_t size, struct err *e);
static int lay_overlay(const struct build *b, const char *at,
    const char *snapshots, int *mount, struct err *e);
static int put_file(const char *path, const char *text, struct err *e);
static int put_dir(const char *path, mode_t mode, struct err *e);
static int put_mount(int mount, const char *path, struct err *e);
static int put_system(const char *from, const char *path, struct err *e);
static int put_copy(
    const char *from, const char *path, unsigned flags, struct err *e);

int
root_begin(struct build *b, struct err *e)
{
	/* On the ground nothing is shared with other namespaces. */
	if (b->ground == NULL && mount_private(e) < 0)
		return -1;
	if (make_root(&b->root, e) < 0 || put_dir("run", 0755, e) < 0)
		return -1;
	if (!b->spec->image &&
	    (make_system(b->ground != NULL, e) < 0 || make_etc(b, e) < 0))
		return -1;
	if (make_dev(b, e) < 0 || make_proc(b, e) < 0 || make_scratch(b, e) < 0)
		return -1;
	return make_own(b, e);
}

const char *
root_shared_path(size_t i)
{
	return i < COUNT(shared_paths) ? shared_paths[i] : NULL;
}

int
root_make_ground(int binary_fd, struct err *e)
{
	static const char *const apart[] = { "etc", "dev", "run/paddock" };
	own_fd int root = -1;

	if (mount_private(e) < 0 || make_root(&root, e) < 0 ||
	    put_dir("run", 0755, e) < 0 || make_system(false, e) < 0)
		return -1;
	/* A mount each, so that a root takes it as a whole. */
	for (size_t i = 0; i < COUNT(apart); i++) {
		if (put_dir(apart[i], 0755, e) < 0 ||
		    put_copy(apart[i], apart[i], 0, e) < 0)
			return -1;
	}
	if (share_etc(e) < 0 || share_dev(true, e) < 0 ||
	    share_own(binary_fd, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(names_files); i++) {
		char from[64], to[64];

		(void)snprintf(
		    to, sizeof(to), "/" NAMES_DIR "/%s", names_files[i]);
		(void)snprintf(from, sizeof(from), "etc/%s", names_files[i]);
		if (symlink(to, from) < 0)
			return err_sys(e, "symlink %s", from);
	}
	for (size_t i = 0; i < COUNT(apart); i++) {
		if (mount_rdonly(apart[i], true, e) < 0)
			return -1;
	}
	if (mount_restrict(root, ROOT_FLAGS | MOUNT_RDONLY, e) < 0)
		return -1;
	return mount_pivot(e);
}

/* The program itself, and what covers others. */
static int
make_own(const struct build *b, struct err *e)
{
	if (put_dir("run/paddock", 0755, e) < 0)
		return -1;
	return b->ground != NULL ? mount_move("/run/paddock", "run/paddock", e)
				 : share_own(b->host->binary_fd, e);
}

static int
share_own(int binary_fd, struct err *e)
{
	own_fd int self = -1, binary = -1;

	if (put_file(binary_path, "", e) < 0)
		return -1;
	if (put_dir(&PLACE_TRUST_DIR[1], 0755, e) < 0 ||
	    put_dir("run/paddock/" GUARD_DIR, 0, e) < 0 ||
	    put_file("run/paddock/" GUARD_FILE, "", e) < 0)
		return -1;
	if (chmod("run/paddock/" GUARD_FILE, 0) < 0)
		return err_sys(e, "chmod");
	self = root_open_here(binary_fd, e);
	if (self < 0)
		return err_add(e, "the program itself");
	binary = mount_copy(self, "", false, DATA_FLAGS | MOUNT_RDONLY, -1, e);
	if (binary < 0 || put_mount(binary, binary_path, e) < 0)
		return err_add(e, "the program itself");
	return 0;
}

int
root_finish(struct build *b, struct err *e)
{
	own_fd int root = b->root, work = -1;

	b->root = -1;
	if (make_work(b, &work, e) < 0 || mounts_make(b, e) < 0)
		return -1;
	b->posture |= WALL_MOUNT_NS | WALL_DISK;
	if (b->spec->image) {
		if (image_root(b, root, fd_take(&work), e) < 0)
			return err_add(e, "image");
		return root_add_trust(b, "/", e);
	}
	if (add_workspace(b, &work, e) < 0 || root_add_trust(b, ".", e) < 0)
		return -1;
	if (mount_restrict(root, ROOT_FLAGS | MOUNT_RDONLY, e) < 0)
		return -1;
	/* On the ground an empty root lies below it, and nobody inside may
	 * change the root directory: no wait to take that off. */
	return b->ground != NULL ? mount_go_in(e) : mount_pivot(e);
}

/* On top of the host's "/", which this namespace leaves at the end. */
static int
make_root(int *out, struct err *e)
{
	const struct mount_option options[] = {
		{ "size", "1m" },
		{ "nr_inodes", "512" },
		{ "mode", "755" },
	};
	own_fd int root =
	    mount_new("tmpfs", options, COUNT(options), ROOT_FLAGS, e);

	if (root < 0)
		return -1;
	if (mount_attach(root, AT_FDCWD, "/", e) < 0)
		return -1;
	if (fchdir(root) < 0)
		return err_sys(e, "fchdir to the new root");
	*out = fd_take(&root);
	return 0;
}

/* /usr, and beside it the links or directories that lead there; on the ground
 * they are for the taking. */
static int
make_system(bool taken, struct err *e)
{
	const char *const *beside = shared_paths;
	int (*take)(const char *from, const char *to, struct err *e) =
	    taken ? mount_move : put_system;

	if (put_dir("usr", 0755, e) < 0 || take("/usr", "usr", e) < 0)
		return -1;
	for (size_t i = 0; i < BESIDE_USR; i++) {
		const char *inside = beside[i] + 1;
		char target[PATH_MAX];
		ssize_t n = readlink(beside[i], target, sizeof(target) - 1);

		if (n >= 0) {
			target[n] = '\0';
			if (symlink(target, inside) < 0)
				return err_sys(e, "symlink %s", inside);
		} else if (errno == EINVAL) { /* a directory of its own */
			if (put_dir(inside, 0755, e) < 0 ||
			    take(beside[i], inside, e) < 0)
				return -1;
		} else if (errno != ENOENT) {
			return err_sys(e, "readlink %s", beside[i]);
		}
	}
	return 0;
}

static int
make_etc(const struct build *b, struct err *e)
{
	if (put_dir("etc", 0755, e) < 0)
		return -1;
	if (b->ground == NULL)
		return make_names(b, "etc", e) < 0 ? -1 : share_etc(e);
	if (mount_move("/etc", "etc", e) < 0 || put_dir(NAMES_DIR, 0755, e) < 0)
		return -1;
	return make_names(b, NAMES_DIR, e);
}

/* names_files, which say who the sandbox is. */
static int
make_names(const struct build *b, const char *dir, struct err *e)
{
	char text[COUNT(names_files)][512], path[64];

	(void)snprintf(text[0], sizeof(text[0]),
	    "root:x:0:0:root:%s\n"
	    "agent:x:%u:%u:agent:/tmp:/bin/sh\n"
	    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
	    b->spec->fake_root ? "/tmp:/bin/sh" : "/:/usr/sbin/nologin", b->uid,
	    b->gid);
	(void)snprintf(text[1], sizeof(text[1]),
	    "root:x:0:\nagent:x:%u:\nnogroup:x:65534:\n", b->gid);
	(void)snprintf(text[2], sizeof(text[2]),
	    "127.0.0.1 localhost %s\n::1 localhost\n", b->spec->hostname);
	(void)snprintf(text[3], sizeof(text[3]), "%s",
	    b->spec->net ? NET_RESOLV_CONF : "");
	for (size_t i = 0; i < COUNT(names_files); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", dir, names_files[i]);
		if (put_file(path, text[i], e) < 0)
			return -1;
	}
	return 0;
}

/* Nothing of the host's /etc but what the programs of its /usr depend on. */
static int
share_etc(struct err *e)
{
	if (put_file("etc/nsswitch.conf",
		"passwd: files\ngroup: files\nhosts: files dns\n", e) < 0)
		return -1;
	for (size_t i = FIRST_OF_ETC; i < COUNT(shared_paths); i++) {
		struct stat st;
		const char *inside = shared_paths[i] + 1;
		char target[PATH_MAX];
		ssize_t n =
		    readlink(shared_paths[i], target, sizeof(target) - 1);
		int r;

		/* A link into /usr, as that of the time zone is, leads to the
		 * same inside, and costs no mount. */
		if (n > 0 && strncmp(target, "/usr/", 5) == 0) {
			target[n] = '\0';
			if (symlink(target, inside) < 0)
				return err_sys(e, "symlink %s", inside);
			continue;
		}
		if (stat(shared_paths[i], &st) < 0)
			continue; /* a host without it has programs without */
		r = S_ISDIR(st.st_mode) ? put_dir(inside, 0755, e)
					: put_file(inside, "", e);
		if (r < 0 ||
		    put_copy(shared_paths[i], inside,
			DATA_FLAGS | MOUNT_NOEXEC | MOUNT_RDONLY, e) < 0)
			return -1;
	}
	return 0;
}

static int
make_dev(const struct build *b, struct err *e)
{
	const struct mount_option pts[] = {
		{ "mode", "620" },
		{ "ptmxmode", "666" },
	};
	own_fd int devpts = -1;
	int r;

	if (put_dir("dev", 0755, e) < 0)
		return -1;
	r = b->ground != NULL ? mount_move("/dev", "dev", e)
			      : share_dev(b->host->root, e);
	if (r < 0)
		return -1;
	devpts = mount_new(
	    "devpts", pts, COUNT(pts), MOUNT_NOSUID | MOUNT_NOEXEC, e);
	if (devpts < 0 || put_mount(devpts, "dev/pts", e) < 0)
		return -1;
	return 0;
}

static int
share_dev(bool root, struct err *e)
{
	static const struct {
		const char *path; /* the host's, for want of mknod */
		unsigned minor;
	} nodes[] = {
		{ "/dev/null", 3 },
		{ "/dev/zero", 5 },
		{ "/dev/full", 7 },
		{ "/dev/random", 8 },
		{ "/dev/urandom", 9 },
	};
	static const struct {
		const char *target, *path;
	} links[] = {
		{ "/proc/self/fd", "dev/fd" },
		{ "/proc/self/fd/0", "dev/stdin" },
		{ "/proc/self/fd/1", "dev/stdout" },
		{ "/proc/self/fd/2", "dev/stderr" },
		{ "pts/ptmx", "dev/ptmx" },
	};

	if (put_dir("dev/pts", 0755, e) < 0 || put_dir("dev/shm", 0755, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(nodes); i++) {
		const char *inside = nodes[i].path + 1;

		/* Numbers of memory devices: devices.txt of the kernel. */
		if (root &&
		    mknod(inside, S_IFCHR | 0666, makedev(1, nodes[i].minor)) ==
			0)
			continue;
		if (put_file(inside, "", e) < 0 ||
		    put_copy(nodes[i].path, inside, ROOT_FLAGS, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < COUNT(links); i++) {
		if (symlink(links[i].target, links[i].path) < 0)
			return err_sys(e, "symlink %s", links[i].path);
	}
	return 0;
}

/* /dev/full reads like it, and has no memory to map. */
int
root_no_zero(struct err *e)
{
	return put_copy("/dev/full", "dev/zero", ROOT_FLAGS, e);
}

/*
 * Read-only, so that no sysctl and no other file of the kernel can be
 * written, whoever its owner is. What says more about the machine than a
 * program needs, and is readable for all, is covered. A kernel that hides parts
 * of /proc from the caller allows only one without system files.
 */
static int
make_proc(struct build *b, struct err *e)
{
	static const char *const covered[] = { "proc/keys", "proc/key-users",
		"proc/kallsyms" };
	const struct mount_option pids_only[] = { { "subset", "pid" } };
	const unsigned flags =
	    MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC;
	own_fd int proc = mount_new("proc", NULL, 0, flags, e);

	if (put_dir("proc", 0555, e) < 0)
		return -1;
	if (proc < 0 && e->sys == EPERM) {
		proc = mount_new("proc", pids_only, 1, flags, e);
		if (proc < 0)
			return err_add(e,
			    "the caller's own /proc is partly covered, as in "
			    "a container: see paddock doctor");
		return put_mount(proc, "proc", e);
	}
	if (proc < 0 || put_mount(proc, "proc", e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(covered); i++) {
		if (access(covered[i], F_OK) < 0)
			continue;
		if (put_copy("dev/null", covered[i],
			b->ground != NULL ? 0 : ROOT_FLAGS | MOUNT_RDONLY,
			e) < 0)
			return -1;
	}
	b->posture |= WALL_PROC_FULL;
	return 0;
}

/*
 * Lies under /tmp: the parts in use are mounted elsewhere, /tmp itself last
 * of all, on top of the whole, so that the overlay's own directories cannot
 * be reached from inside.
 */
static int
make_scratch(struct build *b, struct err *e)
{
	char size[32], inodes[32];
	const struct mount_option options[] = {
		{ "size", size },
		{ "nr_inodes", inodes },
		{ "mode", "755" },
	};
	own_fd int scratch = -1, shm = -1;

	(void)snprintf(size, sizeof(size), "%llu",
	    (unsigned long long)b->limits->disk_bytes);
	(void)snprintf(inodes, sizeof(inodes), "%llu",
	    (unsigned long long)b->limits->inodes);
	scratch = mount_new("tmpfs", options, COUNT(options), DATA_FLAGS, e);
	if (scratch < 0 || put_dir("tmp", 0755, e) < 0 ||
	    put_mount(scratch, "tmp", e) < 0)
		return -1;
	if (put_dir("tmp/tmp", 01777, e) < 0 ||
	    put_dir("tmp/shm", 01777, e) < 0)
		return -1;
	shm = mount_copy(AT_FDCWD, "tmp/shm", false, 0, -1, e);
	if (shm < 0 || put_mount(shm, "dev/shm", e) < 0)
		return -1;
	/* A usual place for temporary files, and the only one under /var. */
	if (put_dir("var", 0755, e) < 0)
		return -1;
	if (symlink("/tmp", "var/tmp") < 0)
		return err_sys(e, "symlink var/tmp");
	return 0;
}

/* The folder, or an empty one; -1 for one that is still to come. */
static int
make_work(struct build *b, int *work, struct err *e)
{
	const struct sandbox_spec *spec = b->spec;
	own_fd int folder = -1;

	if (spec->park)
		b->scratch = open("tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (spec->park && b->scratch < 0)
		return err_sys(e, "open tmp");
	if (spec->workspace_fd >= 0) {
		*work = b->work; /* on the ground there is no such path */
		b->work = -1;
		folder =
		    *work >= 0 ? -1 : root_open_here(spec->workspace_fd, e);
		if (*work < 0 && folder < 0)
			return err_add(e, "work folder");
		if (*work < 0)
			*work = root_copy_work(b, folder, e);
		if (*work >= 0 && put_overlay(b, "tmp/", work, e) < 0)
			return err_add(e, "overlay over %s", b->workspace_path);
	} else if (spec->n_layers > 0) {
		if (put_overlay(b, "tmp/", work, e) < 0)
			return err_add(e, "snapshot");
	} else if (!spec->folder) {
		if (put_dir("tmp/work", 0755, e) < 0)
			return -1;
		if (b->host->root && chown("tmp/work", b->uid, b->gid) < 0)
			return err_sys(e, "chown the work folder");
		*work = mount_copy(AT_FDCWD, "tmp/work", false, 0, -1, e);
		if (build_keeps_upper(spec) && keep_upper(b, "tmp/work", e) < 0)
			return -1;
	}
	if (build_folder_comes(spec))
		return make_layers(b, "tmp/", &b->workspace, b->idmap >= 0, e);
	if (*work < 0)
		return err_add(e, "work folder %s", b->workspace_path);
	return 0;
}

/* First /tmp: the folder may lie below it. */
static int
add_workspace(struct build *b, int *work, struct err *e)
{
	own_fd int tmp = mount_copy(AT_FDCWD, "tmp/tmp", false, 0, -1, e);

	if (tmp < 0 || put_mount(tmp, "tmp", e) < 0)
		return -1;
	if (*work < 0)
		return 0; /* root_add_work */
	if (!mounts_have_work(b->spec) &&
	    (root_put_path(b->workspace_path + 1, e) < 0 ||
		put_mount(*work, b->workspace_path + 1, e) < 0))
		return -1;
	/* Of a parked one what is there when the run comes. */
	if (b->spec->workspace_fd >= 0 && !b->spec->park &&
	    guard_folder(b, *work, GUARD_OVERLAY, "run/paddock", e) < 0)
		return err_add(e, "work folder %s", b->workspace_path);
	return mounts_add(b, false, "run/paddock", e);
}

int
root_copy_work(struct build *b, int folder, struct err *e)
{
	const unsigned flags = DATA_FLAGS | MOUNT_RDONLY;
	const bool all = !b->host->root;
	int work = mount_copy(folder, "", all, flags, b->idmap, e);

	if (work >= 0 && b->idmap >= 0)
		b->posture |= WALL_IDMAP;
	if (work < 0 && b->idmap >= 0) {
		/* Not every file system can. Then its files are as free for
		 * the agent as they are for strangers. */
		fd_fini(&b->idmap);
		work = mount_copy(folder, "", all, flags, -1, e);
	}
	return work;
}

int
root_add_work(struct build *b, int work_taken, struct err *e)
{
	own_fd int work = work_taken;
	const char *path = b->workspace_path;

	if (fchdir(b->scratch) < 0)
		return err_sys(e, "fchdir to the scratch");
	if (put_overlay(b, "", &work, e) < 0)
		return err_add(e, "overlay over %s", path);
	/* In an image the place is there, and only there it is safe. */
	if (!b->spec->image &&
	    (mount_rdonly("/", false, e) < 0 || root_put_path(path, e) < 0 ||
		mount_rdonly("/", true, e) < 0))
		return -1;
	if (put_mount(work, path, e) < 0)
		return -1;
	return guard_folder(b, work, GUARD_OVERLAY, "/run/paddock", e);
}

int
root_guard_work(struct build *b, struct err *e)
{
	own_fd int work = open(
	    b->workspace_path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (work < 0)
		return err_sys(e, "open %s", b->workspace_path);
	return guard_folder(b, work, GUARD_OVERLAY, "/run/paddock", e);
}

/* A hidden place below `at`, where the scratch is. */
static int
make_layers(const struct build *b, const char *at, const struct stat *folder,
    bool shifted, struct err *e)
{
	static const char *const names[] = { "lower", "inner", "upper" };
	char path[32];

	for (size_t i = 0; i < COUNT(names); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", at, names[i]);
		if (put_dir(path, 0755, e) < 0)
			return -1;
	}
	return give_upper(b, path, folder, shifted, e);
}

/* The folder itself is the upper one: give it the same owner. */
static int
give_upper(const struct build *b, const char *path, const struct stat *folder,
    bool shifted, struct err *e)
{
	if (b->host->root &&
	    chown(path, shifted ? b->uid : folder->st_uid,
		shifted ? b->gid : folder->st_gid) < 0)
		return err_sys(e, "chown the overlay");
	return 0;
}

/* Puts the overlay over the folder at the hidden place below `at`. */
static int
put_overlay(struct build *b, const char *at, int *mount, struct err *e)
{
	const struct stat *folder = &b->workspace;
	const bool shifted = b->idmap >= 0;
	char path[16], snapshots[MOUNT_OPTION_BYTES] = "";

	(void)snprintf(path, sizeof(path), "%supper", at);
	if (!b->layered && make_layers(b, at, folder, shifted, e) < 0)
		return -1;
	/* It was made for an owner that turned out not to be shifted. */
	if (b->layered && !shifted &&
	    give_upper(b, path, folder, shifted, e) < 0)
		return -1;
	if (chmod(path, b->workspace.st_mode & 0777) < 0)
		return err_sys(e, "chmod the overlay");
	if (put_snapshots(b, at, snapshots, sizeof(snapshots), e) < 0)
		return -1;
	if (shifted != (b->idmap >= 0))
		return err_set(e,
		    "the file system of the snapshots cannot shift owners; "
		    "keep the state directory on another");
	if (lay_overlay(b, at, snapshots, mount, e) < 0)
		return -1;
	if (build_keeps_upper(b->spec) && keep_upper(b, path, e) < 0)
		return -1;
	b->posture |= WALL_OVERLAY;
	return 0;
}

static int
keep_upper(struct build *b, const char *path, struct err *e)
{
	b->upper = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return b->upper < 0 ? err_sys(e, "open %s", path) : 0;
}

/* Each at a place of its own; their names, as a mount option lists them. */
static int
put_snapshots(
    struct build *b, const char *at, char *lowers, size_t size, struct err *e)
{
	size_t used = 0;

	for (unsigned i = 0; i < b->spec->n_layers; i++) {
		own_fd int here = root_open_here(b->spec->layers[i], e);
		own_fd int layer = -1;
		char path[32];
		int n;

		(void)snprintf(path, sizeof(path), "%ssnap%u", at, i);
		if (here < 0 || put_dir(path, 0700, e) < 0)
			return -1;
		layer = root_copy_work(b, here, e);
		if (layer < 0 || put_mount(layer, path, e) < 0)
			return -1;
		n = snprintf(
		    lowers + used, size - used, "%s%s", i > 0 ? ":" : "", path);
		if ((size_t)n >= size - used)
			return err_set(e, "too many snapshots in a row");
		used += (size_t)n;
	}
	return 0;
}

int
root_lay_over(const struct build *b, const char *at, const struct stat *folder,
    bool shifted, int *mount, struct err *e)
{
	char path[32];

	if (make_layers(b, at, folder, shifted, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%supper", at);
	if (chmod(path, folder->st_mode & 0777) < 0)
		return err_sys(e, "chmod the overlay");
	return root_overlay(b, at, mount, e);
}

int
root_overlay(const struct build *b, const char *at, int *mount, struct err *e)
{
	return lay_overlay(b, at, "", mount, e);
}

/* With snapshots above what *mount is; with these alone it may be -1. */
static int
lay_overlay(const struct build *b, const char *at, const char *snapshots,
    int *mount, struct err *e)
{
	const char *comma = *snapshots != '\0' && *mount >= 0 ? ":" : "";
	char lower[32], upper[32], inner[32], lowers[MOUNT_OPTION_BYTES];
	/* Attributes of our own making: the user's kind is all that a user
	 * namespace may write, and cannot say where a directory moved. What is
	 * to be written back says all by itself: commit.c. */
	const struct mount_option options[] = {
		{ "lowerdir", lowers },
		{ "upperdir", upper },
		{ "workdir", inner },
		!b->host->root ? (struct mount_option){ "userxattr", NULL }
		    : b->spec->write_back
		    ? (struct mount_option){ "redirect_dir", "off" }
		    : (struct mount_option){ "redirect_dir", "on" },
		{ "metacopy", "off" },
	};
	int fd;

	(void)snprintf(lower, sizeof(lower), "%slower", at);
	(void)snprintf(upper, sizeof(upper), "%supper", at);
	(void)snprintf(inner, sizeof(inner), "%sinner", at);
	if (snprintf(lowers, sizeof(lowers), "%s%s%s", snapshots, comma,
		*mount >= 0 ? lower : "") >= (int)sizeof(lowers))
		return err_set(e, "too many snapshots in a row");
	if (*mount >= 0 && put_mount(*mount, lower, e) < 0)
		return -1;
	fd = mount_new("overlay", options, COUNT(options), DATA_FLAGS, e);
	if (fd < 0)
		return -1;
	fd_fini(mount); /* attached, below the overlay */
	*mount = fd;
	return 0;
}

int
root_open_here(int fd, struct err *e)
{
	char link[64], path[PATH_MAX];
	struct stat want, got;
	own_fd int here = -1;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return err_sys(e, "readlink %s", link);
	path[n] = '\0';
	here = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (here < 0)
		return err_sys(e, "open %s", path);
	if (fstat(fd, &want) < 0 || fstat(here, &got) < 0)
		return err_sys(e, "fstat %s", path);
	if (want.st_dev != got.st_dev || want.st_ino != got.st_ino)
		return err_set(e, "%s was replaced by another file", path);
	return fd_take(&here);
}

static int
put_file(const char *path, const char *text, struct err *e)
{
	own_fd int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	size_t n = strlen(text);

	if (fd < 0)
		return err_sys(e, "create %s", path);
	if (n > 0 && fd_write_all(fd, text, n, e) < 0)
		return err_add(e, "%s", path);
	return 0;
}

/* The mode as given: the umask is 0 here. */
static int
put_dir(const char *path, mode_t mode, struct err *e)
{
	if (mkdir(path, mode) < 0)
		return err_sys(e, "mkdir %s", path);
	return 0;
}

int
root_put_path(const char *path, struct err *e)
{
	char part[PATH_MAX];

	for (size_t i = 1; i < sizeof(part); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_sys(e, "mkdir %s", part);
		if (path[i] == '\0')
			return 0;
	}
	return err_set(e, "%s: path too long", path);
}

static int
put_mount(int mount, const char *path, struct err *e)
{
	return mount_attach(mount, AT_FDCWD, path, e);
}

static int
put_copy(const char *from, const char *path, unsigned flags, struct err *e)
{
	own_fd int fd = mount_copy(AT_FDCWD, from, true, flags, -1, e);

	if (fd < 0)
		return -1;
	return put_mount(fd, path, e);
}

static int
put_system(const char *from, const char *path, struct err *e)
{
	return put_copy(from, path, DATA_FLAGS | MOUNT_RDONLY, e);
}
