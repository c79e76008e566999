#include "store/told.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"

#define DASH "\xe2\x80\x94 " /* U+2014 and a space: a signature's line */

/* Lines of a note before its first signature: origin, size, root, "". */
enum { HEAD_LINES = 4 };

static int read_end(int fd, struct buf *last, off_t *whole, struct err *e);
static size_t find_last(struct str text, bool at_line, struct str *note);

int
told_open(const char *dir, struct buf *last, struct err *e)
{
	own_buf struct buf path = {};
	own_fd int fd = -1;
	off_t whole = 0;
	struct stat st;

	buf_printf(&path, "%s/" CHECKPOINTS_FILE, dir);
	fd = open(buf_c(&path),
	    O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "open %s", buf_c(&path));
	if (read_end(fd, last, &whole, e) < 0)
		return err_add(e, "%s", buf_c(&path));
	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat %s", buf_c(&path));
	if (st.st_size > whole && ftruncate(fd, whole) < 0)
		return err_sys(e, "truncate %s", buf_c(&path));
	return fd_take(&fd);
}

int
told_add(int fd, struct str note, struct err *e)
{
	const off_t before = lseek(fd, 0, SEEK_END);

	if (before < 0)
		return err_sys(e, "seek " CHECKPOINTS_FILE);
	if (fd_write_all(fd, note.p, note.n, e) == 0)
		return 1;
	(void)err_add(e, "write " CHECKPOINTS_FILE);
	if (ftruncate(fd, before) < 0)
		return err_sys(e, "truncate " CHECKPOINTS_FILE);
	return e->sys == ENOSPC || e->sys == EDQUOT ? 0 : -1;
}

int
told_last(const char *dir, struct buf *last, struct err *e)
{
	own_buf struct buf path = {};
	own_fd int fd = -1;
	off_t whole;

	buf_printf(&path, "%s/" CHECKPOINTS_FILE, dir);
	fd = open(buf_c(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : err_sys(e, "open %s", buf_c(&path));
	if (read_end(fd, last, &whole, e) < 0)
		return err_add(e, "%s", buf_c(&path));
	return 0;
}

struct str
told_whole(struct str text)
{
	struct str note;

	if (text.n > 0 && text.p[text.n - 1] != '\n')
		text.n = find_last(text, true, &note);
	return text;
}

/* *whole: where the last whole note ends. */
static int
read_end(int fd, struct buf *last, off_t *whole, struct err *e)
{
	own_buf struct buf text = {};
	struct str note = {};
	struct stat st;
	off_t from;
	size_t end;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat");
	from = st.st_size > TOLD_END_BYTES ? st.st_size - TOLD_END_BYTES : 0;
	if (lseek(fd, from, SEEK_SET) < 0)
		return err_sys(e, "seek");
	/* A daemon may add to it meanwhile. */
	if (fd_read_all(fd, &text, 2 * TOLD_END_BYTES, e) < 0)
		return -1;
	end = find_last(buf_str(&text), from == 0, &note);
	if (end == 0 && from > 0)
		return err_set(e,
		    "there is no checkpoint in its last %d bytes: move it away",
		    TOLD_END_BYTES);
	buf_add_str(last, note);
	*whole = from + (off_t)end;
	return 0;
}

/* Where the last whole note ends, 0 for none. at_line: text begins a line. */
static size_t
find_last(struct str text, bool at_line, struct str *note)
{
	size_t starts[HEAD_LINES] = {}, lines = 0, at = 0, end = 0;

	if (!at_line)
		at = str_find(text, '\n') + 1;
	while (at < text.n) {
		struct str rest = { text.p + at, text.n - at };
		size_t n = str_find(rest, '\n');

		if (n == rest.n)
			break;
		if (str_starts(rest, STR(DASH)) && lines >= HEAD_LINES) {
			size_t first = starts[lines % HEAD_LINES];

			end = at + n + 1;
			*note = (struct str){ text.p + first, end - first };
		}
		starts[lines++ % HEAD_LINES] = at;
		at += n + 1;
	}
	return end;
}
