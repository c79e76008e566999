#include "tools/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sys/fd.h"

static void on_in(struct loop_watch *w, uint32_t events);
static void on_out(struct loop_watch *w, uint32_t events);
static void on_complaints(struct loop_watch *w, uint32_t events);
static bool take(struct pipes *p, struct str bytes);
static void flush(struct pipes *p);
static void end_soon(struct pipes *p, const char *why);
static void on_ending(struct loop_timer *t);
static void close_watch(struct pipes *p, struct loop_watch *w);
static int watch(struct pipes *p, struct loop_watch *w, int *fd, struct err *e);

int
pipes_open(
    struct pipes *p, struct loop *loop, int theirs[static 3], struct err *e)
{
	int pair[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int r = 0;

	p->loop = loop;
	p->in = (struct loop_watch){ -1, EPOLLIN, on_in };
	p->out = (struct loop_watch){ -1, 0, on_out };
	p->complaints = (struct loop_watch){ -1, EPOLLIN, on_complaints };
	p->ending.on_time = on_ending;
	p->line.max = SERVER_MAX_LINE_BYTES + SERVER_READ_BYTES;
	p->waiting.max = SERVER_MAX_OUT_BYTES;
	for (int i = 0; i < 3 && r == 0; i++) {
		if (pipe2(pair[i], O_CLOEXEC) < 0)
			r = err_sys(e, "pipe2");
	}
	if (r == 0 &&
	    (watch(p, &p->out, &pair[0][1], e) < 0 ||
		watch(p, &p->in, &pair[1][0], e) < 0 ||
		watch(p, &p->complaints, &pair[2][0], e) < 0))
		r = -1;
	if (r == 0) {
		theirs[0] = fd_take(&pair[0][0]);
		theirs[1] = fd_take(&pair[1][1]);
		theirs[2] = fd_take(&pair[2][1]);
	} else {
		pipes_close(p);
	}
	for (int i = 0; i < 3; i++) {
		fd_fini(&pair[i][0]);
		fd_fini(&pair[i][1]);
	}
	return r;
}

void
pipes_close(struct pipes *p)
{
	close_watch(p, &p->in);
	close_watch(p, &p->out);
	close_watch(p, &p->complaints);
	loop_timer_clear(p->loop, &p->ending);
	buf_fini(&p->line);
	buf_fini(&p->waiting);
}

void
pipes_write(struct pipes *p, struct str line)
{
	if (p->out.fd < 0)
		return;
	buf_add_str(&p->waiting, line);
	buf_add_byte(&p->waiting, '\n');
	if (p->waiting.failed) {
		end_soon(p, "it does not read what it is asked");
		return;
	}
	flush(p);
}

/* As much as one round gives: others have servers, too. */
static void
on_in(struct loop_watch *w, uint32_t events)
{
	struct pipes *p = LOOP_OF(w, struct pipes, in);
	static char bytes[SERVER_READ_BYTES];
	ssize_t n = read(w->fd, bytes, sizeof(bytes));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		p->on_end(p, "it closed its standard output");
		return;
	}
	if (!take(p, (struct str){ bytes, (size_t)n }))
		p->on_end(p, "it wrote a message without an end");
}

/* False when it does not get to the end of a line. */
static bool
take(struct pipes *p, struct str bytes)
{
	while (bytes.n > 0 && p->in.fd >= 0) {
		size_t end = str_find(bytes, '\n');
		bool whole = end < bytes.n;

		if (p->skipped > 0) {
			p->skipped += end;
		} else if (p->line.n + end > SERVER_MAX_LINE_BYTES) {
			p->skipped = p->line.n + end;
			buf_reset(&p->line);
		} else {
			buf_add(&p->line, bytes.p, end);
		}
		bytes.p += end + whole;
		bytes.n -= end + whole;
		if (p->skipped > SERVER_MAX_SKIP_BYTES || p->line.failed)
			return false;
		if (!whole)
			continue;
		if (p->skipped > 0) {
			p->skipped = 0;
			p->on_long_line(p);
		} else {
			/* Taken over: a callback may close the pipes. */
			own_buf struct buf line = p->line;

			p->line = (struct buf){ .max = line.max };
			if (line.n > 0 && line.p[line.n - 1] == '\r')
				line.n--;
			if (line.n > 0)
				p->on_line(p, buf_str(&line));
		}
	}
	return true;
}

static void
on_out(struct loop_watch *w, uint32_t events)
{
	(void)events;
	flush(LOOP_OF(w, struct pipes, out));
}

/* The newest end of it, for the one who asks why a server does not work. */
static void
on_complaints(struct loop_watch *w, uint32_t events)
{
	struct pipes *p = LOOP_OF(w, struct pipes, complaints);
	static char bytes[SERVER_READ_BYTES];
	ssize_t n = read(w->fd, bytes, sizeof(bytes));
	size_t more, keep;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_watch(p, w);
		return;
	}
	more = (size_t)n < sizeof(p->last_words) ? (size_t)n
						 : sizeof(p->last_words);
	keep = p->n_last_words + more > sizeof(p->last_words)
	    ? sizeof(p->last_words) - more
	    : p->n_last_words;
	memmove(p->last_words, p->last_words + p->n_last_words - keep, keep);
	memcpy(p->last_words + keep, bytes + (size_t)n - more, more);
	p->n_last_words = keep + more;
}

static void
flush(struct pipes *p)
{
	struct err e = {};

	while (p->waiting.n > 0) {
		ssize_t n = write(p->out.fd, p->waiting.p, p->waiting.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			end_soon(p, "it closed its standard input");
			return;
		}
		if (n < 0)
			break;
		buf_drop(&p->waiting, (size_t)n);
	}
	if (loop_want(p->loop, &p->out, p->waiting.n > 0 ? EPOLLOUT : 0, &e) <
	    0)
		end_soon(p, "the pipe to it cannot be watched");
}

/* In the loop's next round: who writes is in the middle of something. */
static void
end_soon(struct pipes *p, const char *why)
{
	p->why = why;
	close_watch(p, &p->out);
	loop_timer_set(p->loop, &p->ending, loop_now_ns(p->loop));
}

static void
on_ending(struct loop_timer *t)
{
	struct pipes *p = LOOP_OF(t, struct pipes, ending);

	p->on_end(p, p->why);
}

static void
close_watch(struct pipes *p, struct loop_watch *w)
{
	int fd = loop_remove(p->loop, w);

	fd_fini(&fd);
}

/* Takes *fd over. */
static int
watch(struct pipes *p, struct loop_watch *w, int *fd, struct err *e)
{
	if (fd_nonblock(*fd, e) < 0)
		return -1;
	w->fd = fd_take(fd);
	if (loop_add(p->loop, w, e) < 0) {
		fd_fini(&w->fd);
		return -1;
	}
	return 0;
}
