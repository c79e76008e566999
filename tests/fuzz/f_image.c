/*
 * The first byte chooses layer or plain; the rest is an archive, unpacked in
 * this process: the walks alone have to hold.
 *
 * Holds: it returns; nothing beside the destination is made, changed or
 * removed; what was written is within the limits; a refusal has a reason; the
 * tree can be removed again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "image/tree.h"
#include "image/untar.h"
#include "sys/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LAYER = 1, PIECE_BYTES = 700 };

struct source {
	const uint8_t *p;
	size_t n;
};

static int top = -1;
static char top_path[] = "/dev/shm/paddock-f-image-XXXXXX";
static struct stat marker_before, top_before;

static void
remove_top(void)
{
	struct err e;
	int shm = open("/dev/shm", O_PATH | O_DIRECTORY);

	(void)tree_remove(shm, top_path + strlen("/dev/shm/"), &e);
	(void)close(shm);
}

static void
make_top(void)
{
	int fd;

	must(mkdtemp(top_path) != NULL);
	must(atexit(remove_top) == 0);
	top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(top, "marker", O_WRONLY | O_CREAT | O_EXCL, 0666);
	must(top >= 0 && fd >= 0 && write(fd, "x", 1) == 1);
	(void)close(fd);
	must(mkdirat(top, "dest", 0755) == 0);
	must(fstatat(top, "marker", &marker_before, 0) == 0);
	must(fstat(top, &top_before) == 0);
}

static ssize_t
on_read(void *arg, const void **p)
{
	struct source *s = arg;
	size_t n = s->n < PIECE_BYTES ? s->n : PIECE_BYTES;

	*p = s->p;
	s->p += n;
	s->n -= n;
	return (ssize_t)n;
}

static bool
same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    a->st_nlink == b->st_nlink && a->st_mode == b->st_mode &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct untar_limits limits = {
		.entries = 64,
		.bytes = 64 * 1024,
		.file_bytes = 1024 * 1024,
		.ratio = 20,
		.ratio_free_bytes = 1024 * 1024,
	};
	struct source s = { data + 1, size - 1 };
	const struct untar_source source = { on_read, &s };
	struct untar_count c;
	struct stat marker, now;
	struct err e = {};
	struct hash h;
	int dest;

	if (size < 1)
		return 0;
	if (top < 0)
		make_top();
	dest = openat(top, "dest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dest >= 0);
	if (untar(&source, dest, (data[0] & LAYER) != 0, &limits, &c, &h, &e) <
	    0)
		must(e.text[0] != '\0');
	must(c.entries <= limits.entries + 1 && c.bytes <= limits.bytes);
	must(c.files + c.dirs + c.links + c.special <= c.entries);
	must(fstatat(top, "marker", &marker, 0) == 0);
	must(fstat(top, &now) == 0);
	must(same(&marker, &marker_before) && same(&now, &top_before));
	must(tree_clear(dest, "", NULL, &e) == 0);
	(void)close(dest);
	return 0;
}
