#include "supervisor/keyfile.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sys/fd.h"

static int open_at(
    int folder, const char *name, struct stat *st, struct err *e);
static int open_folder(const char *state, bool systemd, struct err *e);
static int open_in(const char *state, const char *folder, struct err *e);
static bool is_ours(const struct stat *st);
static size_t read_up_to(int fd, char *bytes, size_t cap);

int
keyfile_read(const char *state, bool systemd, const char *name, struct err *e)
{
	own_fd int folder = open_folder(state, systemd, e), fd = -1;
	char bytes[SECRET_FILE_MAX_BYTES + 1];
	struct stat st = {};
	size_t n;
	int out;

	if (folder < 0)
		return -1;
	fd = open_at(folder, name, &st, e);
	if (fd < 0)
		return -1;
	/* systemd gives its group a way in, and the owner of none to others. */
	if ((st.st_mode & (systemd ? 0007 : 0077)) != 0)
		return err_set(
		    e, "%s can be read by others: chmod 600 it", name);
	n = read_up_to(fd, bytes, sizeof(bytes));
	out = n < sizeof(bytes)
	    ? fd_sealed(bytes, n, e)
	    : err_set(e, "%s is over %d bytes", name, SECRET_FILE_MAX_BYTES);
	explicit_bzero(bytes, sizeof(bytes));
	return out;
}

int
keyfile_read_command(
    const char *state, const char *name, char *text, size_t cap, struct err *e)
{
	own_fd int folder = open_folder(state, false, e), at = -1, fd = -1;
	struct stat st = {};
	size_t n;

	if (folder < 0)
		return -1;
	at = openat(
	    folder, "commands", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (at < 0)
		return err_sys(e, "open secrets/commands");
	fd = open_at(at, name, &st, e);
	if (fd < 0)
		return -1;
	if (!is_ours(&st))
		return err_set(e,
		    "%s can be written by others: chmod 600 it, and own it",
		    name);
	n = read_up_to(fd, text, cap);
	if (n == cap || memchr(text, '\0', n) != NULL)
		return err_set(
		    e, "%s is no text of less than %zu bytes", name, cap);
	text[n] = '\0';
	return 0;
}

int
keyfile_read_identity(const char *state, const char *name, struct err *e)
{
	own_fd int folder = open_in(state, "identity", e), fd = -1;
	own_buf struct buf text = {};
	struct stat st = {};

	if (folder < 0)
		return -1;
	fd = open_at(folder, name, &st, e);
	if (fd < 0)
		return -1;
	if (!is_ours(&st))
		return err_set(e,
		    "%s can be written by others: chmod 600 it, and own it",
		    name);
	if (fd_read_all(fd, &text, JWKS_MAX_BYTES, e) < 0)
		return err_add(e, "%s", name);
	return fd_sealed(text.p != NULL ? text.p : "", text.n, e);
}

static int
open_at(int folder, const char *name, struct stat *st, struct err *e)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	own_fd int fd =
	    (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));

	if (fd < 0)
		return err_sys(e, "open %s", name);
	if (fstat(fd, st) < 0)
		return err_sys(e, "fstat %s", name);
	if (!S_ISREG(st->st_mode))
		return err_set(e, "%s is not a regular file", name);
	return fd_take(&fd);
}

static size_t
read_up_to(int fd, char *bytes, size_t cap)
{
	size_t n = 0;
	ssize_t got;

	while (n < cap && (got = read(fd, bytes + n, cap - n)) > 0)
		n += (size_t)got;
	return n;
}

static int
open_folder(const char *state, bool systemd, struct err *e)
{
	const char *path = getenv("CREDENTIALS_DIRECTORY");
	int fd;

	if (!systemd)
		return open_in(state, "secrets", e);
	if (path == NULL)
		return err_set(e, "the daemon has no $CREDENTIALS_DIRECTORY");
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, "open %s", path);
}

static int
open_in(const char *state, const char *folder, struct err *e)
{
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	own_fd int at = open(state, flags);
	int fd;

	if (at < 0)
		return err_sys(e, "open %s", state);
	fd = openat(at, folder, flags | O_NOFOLLOW);
	return fd >= 0 ? fd : err_sys(e, "open %s/%s", state, folder);
}

static bool
is_ours(const struct stat *st)
{
	return (st->st_mode & 0022) == 0 &&
	    (st->st_uid == 0 || st->st_uid == geteuid());
}
