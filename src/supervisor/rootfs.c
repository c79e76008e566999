#include "supervisor/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/dir.h"
#include "sys/fd.h"

/* As image/images.h names them. */
#define STORE "images"
#define PREFIX "sha256-"
#define RECORD "image.json"
#define NAMES "index.json"
#define ROOT "rootfs"

enum { DIGITS_LEAST = 12, DIGITS_MOST = 64 };

static int open_store(const char *state_dir, int flags, struct err *e);
static int find(
    int store, struct str digits, struct hash *digest, struct err *e);
static int open_image(int store, const struct hash *digest, struct err *e);
static int hold(int image, struct err *e);

int
rootfs_open_names(const char *state_dir, struct err *e)
{
	own_fd int store = open_store(state_dir, O_PATH, e);
	own_fd int names = -1;

	if (store < 0)
		return -1;
	names = dir_open(store, NAMES, O_RDONLY | O_NONBLOCK, 0);
	if (names < 0)
		return err_sys(e, "open " STORE "/" NAMES);
	return fd_take(&names);
}

int
rootfs_open_record(const char *state_dir, struct str digits,
    struct hash *digest, struct err *e)
{
	own_fd int store = open_store(state_dir, O_RDONLY, e);
	own_fd int image = -1;

	if (store < 0 || find(store, digits, digest, e) < 0)
		return -1;
	image = open_image(store, digest, e);
	return image < 0 ? -1 : hold(image, e);
}

int
rootfs_open_root(
    const char *state_dir, const struct hash *digest, int *lock, struct err *e)
{
	own_fd int store = open_store(state_dir, O_PATH, e);
	own_fd int image = -1, root = -1, held = -1;

	if (store < 0)
		return -1;
	image = open_image(store, digest, e);
	if (image < 0)
		return -1;
	held = hold(image, e);
	if (held < 0)
		return -1;
	root = dir_open(image, ROOT, O_PATH | O_DIRECTORY, 0);
	if (root < 0)
		return err_sys(e, "open " ROOT " of the image");
	*lock = fd_take(&held);
	return fd_take(&root);
}

static int
open_store(const char *state_dir, int flags, struct err *e)
{
	own_fd int state =
	    open(state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	own_fd int store = -1;

	if (state < 0)
		return err_sys(e, "open %s", state_dir);
	store = dir_open(state, STORE, flags | O_DIRECTORY, 0);
	if (store < 0 && errno == ENOENT)
		return err_set(
		    e, "there are no images; see paddock image import");
	if (store < 0)
		return err_sys(e, "open %s/" STORE, state_dir);
	return fd_take(&store);
}

/* A whole digest needs no looking for. */
static int
find(int store, struct str digits, struct hash *digest, struct err *e)
{
	struct dirent *x;
	unsigned n = 0;
	int fd;
	DIR *d;

	if (digits.n < DIGITS_LEAST || digits.n > DIGITS_MOST)
		return err_set(e, "a digest has %d to %d digits", DIGITS_LEAST,
		    DIGITS_MOST);
	if (digits.n == DIGITS_MOST)
		return hash_from_hex(digits, digest) == 0
		    ? 0
		    : err_set(e, "not a digest");
	fd = fcntl(store, F_DUPFD_CLOEXEC, 3);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		(void)err_sys(e, "read the image store");
		fd_fini(&fd);
		return -1;
	}
	rewinddir(d);
	while ((x = readdir(d)) != NULL) {
		struct str name = str_of(x->d_name);
		struct hash h;

		if (!str_starts(name, STR(PREFIX)))
			continue;
		name.p += strlen(PREFIX);
		name.n -= strlen(PREFIX);
		if (!str_starts(name, digits) || hash_from_hex(name, &h) < 0)
			continue;
		*digest = h;
		n++;
	}
	(void)closedir(d); /* read only */
	if (n == 1)
		return 0;
	return n == 0
	    ? err_set(e, "no image with digest sha256:%.*s", STR_FMT(digits))
	    : err_set(e, "%u images with digest sha256:%.*s...", n,
		  STR_FMT(digits));
}

static int
open_image(int store, const struct hash *digest, struct err *e)
{
	char name[sizeof(PREFIX) + HASH_HEX_BYTES] = PREFIX;
	int fd;

	hash_hex(digest, name + strlen(PREFIX));
	fd = dir_open(store, name, O_PATH | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT)
		return err_set(
		    e, "no image with digest sha256:%s", name + strlen(PREFIX));
	if (fd < 0)
		return err_sys(e, "open " STORE "/%s", name);
	return fd;
}

/* Whoever removes it holds the lock until the name is gone. */
static int
hold(int image, struct err *e)
{
	own_fd int lock = dir_open(image, RECORD, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;

	if (lock < 0)
		return err_sys(e, "open " RECORD " of the image");
	if (fstat(lock, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, RECORD " of the image is no file");
	if (flock(lock, LOCK_SH | LOCK_NB) < 0 || st.st_nlink == 0)
		return err_set(e, "the image is being removed");
	return fd_take(&lock);
}
