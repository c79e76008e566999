#include "image/account.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "sys/fd.h"

/* name:password:uid:gid:comment:home:shell. passwd(5) */
enum { NAME, UID = 2, HOME = 5, FIELDS = 7 };

static int read_accounts(int rootfs, struct buf *text, struct err *e);
static bool split(struct str line, struct str field[static FIELDS]);

int
image_account_find(
    struct image_config *c, int rootfs, struct arena *a, struct err *e)
{
	own_buf struct buf text = {};
	struct str who = str_of(c->user);
	struct str rest;

	who.n = str_find(who, ':'); /* behind it stands a group */
	if (who.n == 0)
		return 0;
	if (read_accounts(rootfs, &text, e) < 0)
		return -1;
	for (rest = buf_str(&text); rest.n > 0;) {
		struct str line = { rest.p, str_find(rest, '\n') };
		struct str field[FIELDS];
		size_t taken = line.n < rest.n ? line.n + 1 : line.n;

		rest.p += taken;
		rest.n -= taken;
		if (!split(line, field) ||
		    (!str_eq(field[NAME], who) && !str_eq(field[UID], who)))
			continue;
		if (!image_account_ok(field[NAME]) ||
		    !image_home_ok(field[HOME]))
			continue;
		c->account = arena_copy(a, field[NAME]);
		c->home = arena_copy(a, field[HOME]);
		if (c->account == NULL || c->home == NULL)
			return err_set(e, "etc/passwd: out of memory");
		return 0;
	}
	return 0;
}

/* A link in the image is followed within it, and nowhere else. */
static int
read_accounts(int rootfs, struct buf *text, struct err *e)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	own_fd int fd =
	    (int)syscall(SYS_openat2, rootfs, "etc/passwd", &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > IMAGE_ACCOUNTS_BYTES)
		return 0;
	return fd_read_all(fd, text, IMAGE_ACCOUNTS_BYTES, e);
}

static bool
split(struct str line, struct str field[static FIELDS])
{
	for (int i = 0; i < FIELDS; i++) {
		size_t n = str_find(line, ':');

		if (n == line.n && i < FIELDS - 1)
			return false;
		field[i] = (struct str){ line.p, n };
		line.p += n == line.n ? n : n + 1;
		line.n -= n == line.n ? n : n + 1;
	}
	return line.n == 0;
}
