#include "sandbox/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/place.h"
#include "sys/fd.h"

static int path_of(int fd, char out[static PATH_MAX], struct err *e);
static int check_path(const char *path, struct err *e);
static int check_above(int fd, struct err *e);
static const char *kind_of(mode_t mode);

int
folder_open(int at, const char *path, const char *what,
    char real[static PATH_MAX], struct err *e)
{
	own_fd int fd = openat(at, path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_sys(e, "%s %s", what, path);
	if (folder_check(fd, &st, e) < 0 || path_of(fd, real, e) < 0)
		return err_add(e, "%s %s", what, path);
	return fd_take(&fd);
}

int
folder_check(int fd, struct stat *out, struct err *e)
{
	char path[PATH_MAX];

	if (fstat(fd, out) < 0)
		return err_sys(e, "fstat");
	if (!S_ISDIR(out->st_mode))
		return err_set(e, "%s: only a folder can be seen inside",
		    kind_of(out->st_mode));
	if (out->st_nlink == 0)
		return err_set(e, "the folder was removed");
	if (path_of(fd, path, e) < 0 || check_path(path, e) < 0)
		return -1;
	return check_above(fd, e);
}

bool
folder_is_state(int dir)
{
	struct stat st;

	return fstatat(dir, "operator.token", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) &&
	    fstatat(dir, "store", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode);
}

bool
folder_is_git(int dir)
{
	return faccessat(dir, "HEAD", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	    faccessat(dir, "objects", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	    faccessat(dir, "refs", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
path_of(int fd, char out[static PATH_MAX], struct err *e)
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	if (n < 0)
		return err_sys(e, "readlink %s", link);
	out[n] = '\0';
	return 0;
}

static int
check_path(const char *path, struct err *e)
{
	static const char *const never[] = { "/proc", "/sys", "/dev/pts",
		"/boot" };
	static const char *const whole[] = { "/", "/etc", "/usr", "/var",
		"/run", "/dev", "/home" };

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		if (place_below(str_of(path), str_of(never[i])))
			return err_set(
			    e, "choose a folder with files of yours");
	}
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		if (strcmp(path, whole[i]) == 0)
			return err_set(e,
			    "the sandbox would see too much; choose one "
			    "below it");
	}
	return 0;
}

/* The folder itself, and each one above it, up to the root directory. */
static int
check_above(int fd, struct err *e)
{
	own_fd int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (int depth = 0; depth < PATH_MAX / 2; depth++) {
		struct stat here, above;
		int up;

		if (at < 0)
			return err_sys(e, "open the folder above");
		if (folder_is_state(at))
			return err_set(e,
			    "this is where paddock keeps its state; choose "
			    "another folder");
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0 || fstat(at, &here) < 0 || fstat(up, &above) < 0) {
			int r = err_sys(e, "open the folder above");

			fd_fini(&up);
			return r;
		}
		fd_fini(&at);
		at = up;
		if (here.st_dev == above.st_dev && here.st_ino == above.st_ino)
			return 0;
	}
	return err_set(e, "the folder lies too deep");
}

static const char *
kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFSOCK:
		return "a socket";
	case S_IFIFO:
		return "a pipe";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	case S_IFREG:
		return "a file";
	default:
		return "no folder";
	}
}
