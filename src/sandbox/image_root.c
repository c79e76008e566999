/*
 * sandbox/image_root.c: a root directory that is an image's.
 *
 * /                overlay: the image below, read-only; scratch above
 * /dev, /proc      ours
 * /tmp, /dev/shm   scratch
 * /etc             the image's, with names and accounts of the sandbox
 * /run/paddock     the program itself
 * work folder      as without an image
 *
 * An image is a stranger's: /dev or /etc may be a symbolic link in it, or
 * missing. So nothing is ever made through it. What the sandbox itself needs
 * is made in the upper directory, which is new and empty, before there is an
 * overlay: a directory there hides whatever is no directory below it, and a
 * file there hides everything. (Documentation/filesystems/overlayfs.rst)
 * After that, mounts go to places whose every part is a directory of ours.
 *
 * All of it is prepared where root.c makes a root without an image. The parts
 * are copied over from there, and the rest stays out of sight.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sandbox/build.h"
#include "sandbox/net.h"
#include "sys/fd.h"
#include "sys/mount.h"

/* Below the hidden scratch, where no name of the image is. */
#define PLACE "tmp/image/"
#define UPPER PLACE "upper/"

enum {
	LAYER_FLAGS = MOUNT_NOSUID | MOUNT_NODEV | MOUNT_RDONLY,
};

static int make_layers(const struct build *b, int image, struct err *e);
static int make_places(const struct build *b, struct err *e);
static int make_place(const struct build *b, const char *work, struct err *e);
static int make_names(const struct build *b, int image, struct err *e);
static int add_accounts(const struct build *b, int image, const char *path,
    const char *ours, struct err *e);
static int make_dir(const struct build *b, const char *path, struct err *e);
static int make_file(
    const struct build *b, const char *path, const char *text, struct err *e);
static int keep_scratch(struct build *b, int old, struct err *e);
static int move_in(const char *from, const char *path, int old, struct err *e);

int
image_root(struct build *b, int old, int work_taken, struct err *e)
{
	own_fd int work = work_taken, image = -1, layer = -1, root = -1;

	image = root_open_here(b->spec->image_fd, e);
	if (image < 0)
		return -1;
	if (make_layers(b, image, e) < 0)
		return -1;
	layer = mount_copy(
	    image, "", !b->host->root, LAYER_FLAGS, b->image_idmap, e);
	if (layer < 0)
		return b->image_idmap < 0
		    ? -1
		    : err_add(e,
			  "its file system cannot shift owners; keep the "
			  "state directory on another");
	if (root_overlay(b, PLACE, &layer, e) < 0)
		return -1;
	/* The copies of its parts are to be read-only as it is. */
	if (mount_restrict(old, MOUNT_RDONLY, e) < 0)
		return -1;
	root = fd_take(&layer);
	if (mount_attach(root, AT_FDCWD, PLACE "root", e) < 0)
		return -1;
	if (fchdir(root) < 0)
		return err_sys(e, "fchdir to the new root");
	if (move_in("dev", "dev", old, e) < 0 ||
	    move_in("proc", "proc", old, e) < 0 ||
	    move_in("run/paddock", "run/paddock", old, e) < 0)
		return -1;
	if (b->spec->park && keep_scratch(b, old, e) < 0)
		return -1;
	if (move_in("tmp/tmp", "tmp", old, e) < 0)
		return -1;
	if (work >= 0 && !mounts_have_work(b->spec) &&
	    mount_attach(work, AT_FDCWD, b->workspace_path + 1, e) < 0)
		return -1;
	if (b->spec->workspace_fd >= 0 && !b->spec->park &&
	    guard_folder(b, work, GUARD_OVERLAY, "run/paddock", e) < 0)
		return err_add(e, "work folder");
	if (mounts_add(b, true, "run/paddock", e) < 0)
		return -1;
	/* The host's root, then what lies around this one: in one step the
	 * host's would stay, with the other on top of it. */
	if (fchdir(old) < 0)
		return err_sys(e, "fchdir to the outer root");
	if (mount_pivot(e) < 0)
		return -1;
	if (fchdir(root) < 0)
		return err_sys(e, "fchdir to the new root");
	return mount_pivot(e);
}

/* All that is in the upper directory before the first program runs. */
static int
make_layers(const struct build *b, int image, struct err *e)
{
	struct stat st;

	if (fstat(image, &st) < 0)
		return err_sys(e, "fstat");
	if (mkdir(PLACE, 0700) < 0 || mkdir(PLACE "lower", 0700) < 0 ||
	    mkdir(PLACE "inner", 0700) < 0 || mkdir(PLACE "root", 0700) < 0)
		return err_sys(e, "mkdir");
	if (make_dir(b, UPPER, e) < 0)
		return -1;
	if (chmod(UPPER, (st.st_mode & 0777) | 0700) < 0)
		return err_sys(e, "chmod");
	if (make_places(b, e) < 0)
		return -1;
	return make_names(b, image, e);
}

/* Where something is mounted. */
static int
make_places(const struct build *b, struct err *e)
{
	if (make_dir(b, UPPER "dev", e) < 0 ||
	    make_dir(b, UPPER "proc", e) < 0 ||
	    make_dir(b, UPPER "tmp", e) < 0 ||
	    make_dir(b, UPPER "run", e) < 0 ||
	    make_dir(b, UPPER "run/paddock", e) < 0)
		return -1;
	for (unsigned i = 0; i < b->spec->n_mounts; i++) {
		if (make_place(b, b->spec->mounts[i].to + 1, e) < 0)
			return err_add(e, "mount");
	}
	if (make_place(b, b->workspace_path + 1, e) < 0)
		return err_add(e, "work folder");
	return 0;
}

static int
make_place(const struct build *b, const char *work, struct err *e)
{
	char path[PATH_MAX];
	size_t base;
	int n;

	/* /tmp is another mount in the end: one below it is made there. */
	base = strncmp(work, "tmp/", 4) == 0 ? strlen("tmp/") : strlen(UPPER);
	n = snprintf(path, sizeof(path), "%s%s",
	    base == strlen(UPPER) ? UPPER : "tmp/", work);
	if (n >= (int)sizeof(path))
		return err_set(e, "%s: path too long", work);
	for (char *p = path + base; (p = strchr(p + 1, '/')) != NULL;) {
		*p = '\0';
		if (make_dir(b, path, e) < 0)
			return -1;
		*p = '/';
	}
	return make_dir(b, path, e);
}

/* What the C library looks up, without the image's own idea of the network. */
static int
make_names(const struct build *b, int image, struct err *e)
{
	char text[PATH_MAX + 256];
	const char *account = b->spec->account, *home = b->spec->home;

	if (account == NULL || *account == '\0')
		account = "agent";
	if (home == NULL || *home == '\0')
		home = "/tmp";
	if (make_dir(b, UPPER "etc", e) < 0 ||
	    make_file(b, "etc/resolv.conf", b->spec->net ? NET_RESOLV_CONF : "",
		e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text),
	    "127.0.0.1 localhost %s\n::1 localhost\n", b->spec->hostname);
	if (make_file(b, "etc/hosts", text, e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%s\n", b->spec->hostname);
	if (make_file(b, "etc/hostname", text, e) < 0)
		return -1;
	/* The first of several entries counts. */
	(void)snprintf(text, sizeof(text), "%s:x:%u:%u:%s:%s:/bin/sh\n",
	    account, b->uid, b->gid, account, home);
	if (add_accounts(b, image, "etc/passwd", text, e) < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%s:x:%u:\n", account, b->gid);
	return add_accounts(b, image, "etc/group", text, e);
}

/*
 * Ours, then the image's. A link in it is followed within it; what is no file
 * or too long is left out.
 */
static int
add_accounts(const struct build *b, int image, const char *path,
    const char *ours, struct err *e)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	char text[IMAGE_ACCOUNTS_BYTES + PATH_MAX + 512];
	size_t n = strlen(ours), start = n;
	struct stat st;
	own_fd int fd = -1;
	ssize_t got = 0;

	memcpy(text, ours, n);
	fd = (int)syscall(SYS_openat2, image, path, &how, sizeof(how));
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= IMAGE_ACCOUNTS_BYTES) {
		while (n - start < IMAGE_ACCOUNTS_BYTES &&
		    (got = read(
			 fd, text + n, IMAGE_ACCOUNTS_BYTES - (n - start))) > 0)
			n += (size_t)got;
		if (got < 0)
			return err_sys(e, "read %s of the image", path);
	}
	if (n == start)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    strcmp(path, "etc/passwd") == 0
			? "root:x:0:0:root:/:/sbin/nologin\n"
			: "root:x:0:\n");
	text[n] = '\0';
	return make_file(b, path, text, e);
}

/* One that is there is ours, too. All belong to who the image belongs to. */
static int
make_dir(const struct build *b, const char *path, struct err *e)
{
	if (mkdir(path, 0755) < 0)
		return errno == EEXIST ? 0 : err_sys(e, "mkdir %s", path);
	if (b->host->root && chown(path, b->uid, b->gid) < 0)
		return err_sys(e, "chown %s", path);
	return 0;
}

static int
make_file(
    const struct build *b, const char *path, const char *text, struct err *e)
{
	char full[64];
	own_fd int fd = -1;

	(void)snprintf(full, sizeof(full), UPPER "%s", path);
	fd = open(
	    full, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, "create /%s", path);
	if (b->host->root && fchown(fd, b->uid, b->gid) < 0)
		return err_sys(e, "chown /%s", path);
	if (fd_write_all(fd, text, strlen(text), e) < 0)
		return err_add(e, "/%s", path);
	return 0;
}

/* What lies around this root goes away, and the work folder is still to come:
 * its overlay finds the scratch below /tmp, as in a root without an image. */
static int
keep_scratch(struct build *b, int old, struct err *e)
{
	own_fd int scratch = mount_copy(old, "tmp", false, 0, -1, e);

	if (scratch < 0 || mount_attach(scratch, AT_FDCWD, "tmp", e) < 0)
		return -1;
	fd_fini(&b->scratch);
	b->scratch = fd_take(&scratch);
	return 0;
}

/* With all that is mounted below it. */
static int
move_in(const char *from, const char *path, int old, struct err *e)
{
	own_fd int part = mount_copy(old, from, true, 0, -1, e);

	if (part < 0)
		return -1;
	return mount_attach(part, AT_FDCWD, path, e);
}
