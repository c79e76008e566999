/*
 * sandbox/place.c: small files that are put into one sandbox before anything
 * runs in it, such as a .netrc with what stands for a secret.
 *
 * The folders above are made where they are missing. Nothing is followed or
 * replaced: in a stranger's image a name may be a link.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sandbox/build.h"
#include "sys/fd.h"

static int place(const struct build *b, int base,
    const struct sandbox_file *file, struct err *e);
static int enter(
    const struct build *b, int at, const char *name, struct err *e);

int
root_add_files(const struct build *b, const char *root, struct err *e)
{
	own_fd int base = -1;

	if (b->spec->n_files == 0)
		return 0;
	base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return err_sys(e, "open %s", root);
	for (size_t i = 0; i < b->spec->n_files; i++) {
		if (place(b, base, &b->spec->files[i], e) < 0)
			return err_add(
			    e, "put %s into it", b->spec->files[i].path);
	}
	return 0;
}

static int
place(const struct build *b, int base, const struct sandbox_file *file,
    struct err *e)
{
	char path[SECRET_PATH_BYTES];
	own_fd int at = -1, fd = -1;
	char *name = path + 1, *end;

	if (file->path[0] != '/' || strlen(file->path) >= sizeof(path))
		return err_set(e, "no absolute path");
	memcpy(path, file->path, strlen(file->path) + 1);
	at = fcntl(base, F_DUPFD_CLOEXEC, 3);
	if (at < 0)
		return err_sys(e, "dup");
	for (; (end = strchr(name, '/')) != NULL; name = end + 1) {
		int next;

		*end = '\0';
		next = enter(b, at, name, e);
		if (next < 0)
			return -1;
		fd_fini(&at);
		at = next;
	}
	fd = openat(at, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "create %s", name);
	if (fd_write_all(fd, file->content, strlen(file->content), e) < 0)
		return -1;
	if (fchmod(fd, 0600) < 0 ||
	    (b->host->root && fchown(fd, b->uid, b->gid) < 0))
		return err_sys(e, "chown %s", name);
	return 0;
}

/* The folder of this name, made if it is missing. */
static int
enter(const struct build *b, int at, const char *name, struct err *e)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	bool made = mkdirat(at, name, 0755) == 0;
	int error = errno;
	int fd = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));

	if (fd < 0 && !made && errno == ENOENT)
		errno = error; /* why there is none */
	if (fd < 0)
		return err_sys(e, "open %s", name);
	if (made && b->host->root &&
	    fchownat(fd, "", b->uid, b->gid, AT_EMPTY_PATH) < 0) {
		(void)err_sys(e, "chown %s", name);
		fd_fini(&fd);
		return -1;
	}
	return fd;
}
