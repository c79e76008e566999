#include "sys/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/fd.h"

enum {
	ALL_BELOW = 0x8000, /* AT_RECURSIVE */
	DETACH = 2, /* MNT_DETACH; <sys/mount.h> and <linux/mount.h> clash */
	REC_PRIVATE = (1 << 14) | (1 << 18), /* MS_REC | MS_PRIVATE */
};

int
mount_new(const char *type, const struct mount_option *options,
    size_t n_options, unsigned flags, struct err *e)
{
	own_fd int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_sys(e, "fsopen %s", type);
	for (size_t i = 0; i < n_options; i++) {
		const struct mount_option *o = &options[i];
		unsigned how =
		    o->value != NULL ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

		if (syscall(SYS_fsconfig, fs, how, o->key, o->value, 0) < 0)
			return err_sys(e, "%s option %s=%s", type, o->key,
			    o->value != NULL ? o->value : "");
	}
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, "make a %s", type);
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, flags);
	if (fd < 0)
		return err_sys(e, "fsmount %s", type);
	return fd;
}

int
mount_copy(int dirfd, const char *path, bool all, unsigned flags, int userns_fd,
    struct err *e)
{
	unsigned below = all ? ALL_BELOW : 0;
	struct mount_attr attr = {
		.attr_set = flags,
		.userns_fd = userns_fd >= 0 ? (uint64_t)userns_fd : 0,
	};
	own_fd int fd = (int)syscall(SYS_open_tree, dirfd, path,
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | below);

	if (fd < 0)
		return err_sys(e, "open_tree %s", path);
	if (userns_fd >= 0)
		attr.attr_set |= MOUNT_ATTR_IDMAP;
	if (attr.attr_set != 0 &&
	    syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | below, &attr,
		sizeof(attr)) < 0)
		return err_sys(e, "mount_setattr %s", path);
	return fd_take(&fd);
}

int
mount_restrict(int fd, unsigned flags, struct err *e)
{
	struct mount_attr attr = { .attr_set = flags };

	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr,
		sizeof(attr)) < 0)
		return err_sys(e, "mount_setattr");
	return 0;
}

int
mount_rdonly(const char *path, bool rdonly, struct err *e)
{
	struct mount_attr attr = {
		.attr_set = rdonly ? MOUNT_RDONLY : 0,
		.attr_clr = rdonly ? 0 : MOUNT_RDONLY,
	};

	if (syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attr, sizeof(attr)) <
	    0)
		return err_sys(e, "mount_setattr %s", path);
	return 0;
}

int
mount_attach(int mount, int dirfd, const char *path, struct err *e)
{
	if (syscall(SYS_move_mount, mount, "", dirfd, path,
		MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, "move_mount to %s", path);
	return 0;
}

int
mount_cover(int mount, int target, struct err *e)
{
	if (syscall(SYS_move_mount, mount, "", target, "",
		MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_sys(e, "move_mount over a file");
	return 0;
}

int
mount_move(const char *from, const char *to, struct err *e)
{
	if (syscall(SYS_move_mount, AT_FDCWD, from, AT_FDCWD, to, 0) < 0)
		return err_sys(e, "move_mount %s to %s", from, to);
	return 0;
}

int
mount_private(struct err *e)
{
	if (syscall(SYS_mount, NULL, "/", NULL, REC_PRIVATE, NULL) < 0)
		return err_sys(e, "make mounts private");
	return 0;
}

int
mount_pivot(struct err *e)
{
	/* The same directory twice: the old root lies on top of the new one,
	 * where it can be taken off. pivot_root(2) */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, "pivot_root");
	if (syscall(SYS_umount2, ".", DETACH) < 0)
		return err_sys(e, "umount the old root");
	if (chdir("/") < 0)
		return err_sys(e, "chdir /");
	return 0;
}

int
mount_go_in(struct err *e)
{
	if (chroot(".") < 0)
		return err_sys(e, "chroot");
	if (chdir("/") < 0)
		return err_sys(e, "chdir /");
	return 0;
}
