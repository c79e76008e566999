#include "supervisor/snap_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "supervisor/digest.h"
#include "sys/dir.h"
#include "sys/fd.h"

#define WORLDS "worlds"
#define WORLD "world"

enum {
	SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
	NAME_BYTES = sizeof(WORLDS) + HASH_HEX_BYTES,
	/* Tries to name one while a process that prunes may remove it. */
	TRIES = 8,
	/* The pages that a world may have, and SQLite's own. */
	WORLD_BYTES_MAX = (WORLD_MAX_PAGES + 16) * 4096,
};

static int hash_file(int fd, struct hash *out, uint64_t *bytes, struct err *e);
static bool is_whole(int store, const char *name, const struct hash *want);
static int copy(int from, int to, uint64_t bytes, struct err *e);
static void put_line(struct buf *out, const struct hash *h, uint64_t bytes);

int
snap_world_keep(int store, int dir, int memfd, struct buf *line,
    uint64_t *bytes, struct err *e)
{
	own_fd int to = -1;
	char name[NAME_BYTES], hex[HASH_HEX_BYTES];
	struct hash h;

	/* From here on nobody can change it, whoever has it open. */
	if (fcntl(memfd, F_ADD_SEALS, SEALS) < 0)
		return err_sys(e, "seal the world");
	if (hash_file(memfd, &h, bytes, e) < 0)
		return -1;
	hash_hex(&h, hex);
	(void)snprintf(name, sizeof(name), WORLDS "/%s", hex);
	put_line(line, &h, *bytes);
	if (is_whole(store, name, &h) &&
	    linkat(store, name, dir, WORLD, 0) == 0)
		return 0;
	to = dir_open(dir, WORLD, O_WRONLY | O_CREAT | O_EXCL, 0400);
	if (to < 0)
		return err_sys(e, "create " WORLD);
	if (copy(memfd, to, *bytes, e) < 0)
		return -1;
	/* Another's that is broken stays with those who have it already. */
	(void)unlinkat(store, name, 0);
	for (int i = 0; i < TRIES; i++) {
		if (mkdirat(store, WORLDS, 0700) < 0 && errno != EEXIST)
			return err_sys(e, "mkdir " WORLDS);
		if (linkat(dir, WORLD, store, name, 0) == 0 || errno == EEXIST)
			return 0;
		if (errno != ENOENT)
			break;
	}
	return err_sys(e, "name the world");
}

int
snap_world_read(int dir, int memfd, struct buf *line, struct err *e)
{
	own_fd int from = dir_open(dir, WORLD, O_RDONLY, 0);
	struct hash h = {};
	struct stat st;
	uint64_t bytes = 0;

	if (from < 0 && errno == ENOENT)
		return 0;
	if (from < 0)
		return err_sys(e, "open " WORLD);
	if (fstat(from, &st) < 0)
		return err_sys(e, "fstat " WORLD);
	if (!S_ISREG(st.st_mode) || st.st_size > WORLD_BYTES_MAX)
		return err_set(e, WORLD ": not a file of at most %d bytes",
		    WORLD_BYTES_MAX);
	if (copy(from, memfd, (uint64_t)st.st_size, e) < 0 ||
	    hash_file(memfd, &h, &bytes, e) < 0)
		return err_add(e, WORLD);
	put_line(line, &h, bytes);
	return 0;
}

int
snap_world_prune(int store, struct err *e)
{
	own_fd int fd = dir_open(store, WORLDS, O_RDONLY | O_DIRECTORY, 0);
	const struct dirent *x;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open " WORLDS);
	d = fdopendir(fd);
	if (d == NULL)
		return err_sys(e, "read " WORLDS);
	(void)fd_take(&fd);
	while ((x = readdir(d)) != NULL) {
		struct stat st;

		/* Its one name is this: no snapshot has it. */
		if (fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISREG(st.st_mode) && st.st_nlink == 1)
			(void)unlinkat(
			    dirfd(d), x->d_name, 0); /* the next time, then */
	}
	(void)closedir(d); /* only read */
	(void)unlinkat(store, WORLDS, AT_REMOVEDIR); /* if it is empty */
	return 0;
}

static int
hash_file(int fd, struct hash *out, uint64_t *bytes, struct err *e)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat");
	if (st.st_size <= 0 || st.st_size > WORLD_BYTES_MAX)
		return err_set(e, "the world has %lld bytes, not 1 to %d",
		    (long long)st.st_size, WORLD_BYTES_MAX);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "mmap");
	*out = digest_of(p, (size_t)st.st_size);
	*bytes = (uint64_t)st.st_size;
	(void)munmap(p, (size_t)st.st_size); /* of our own: cannot fail */
	return 0;
}

/* What lies under its name is what the name says. */
static bool
is_whole(int store, const char *name, const struct hash *want)
{
	own_fd int fd = dir_open(store, name, O_RDONLY, 0);
	struct err ignored = {};
	struct hash h;
	uint64_t bytes;

	return fd >= 0 && hash_file(fd, &h, &bytes, &ignored) == 0 &&
	    hash_eq(&h, want);
}

static int
copy(int from, int to, uint64_t bytes, struct err *e)
{
	off_t at = 0;

	while ((uint64_t)at < bytes) {
		const ssize_t n =
		    sendfile(to, from, &at, (size_t)(bytes - (uint64_t)at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "copy the world");
		if (n == 0)
			return err_set(e, "the world became shorter");
	}
	return 0;
}

static void
put_line(struct buf *out, const struct hash *h, uint64_t bytes)
{
	char hex[HASH_HEX_BYTES];

	hash_hex(h, hex);
	buf_printf(out, "{\"bytes\":%llu,\"sha256\":\"%s\",\"world\":true}\n",
	    (unsigned long long)bytes, hex);
}
