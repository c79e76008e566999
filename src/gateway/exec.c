#include "gateway/exec.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "gateway/command.h"
#include "sys/fd.h"

#define NS_PER_MS 1000000

static void on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS]);
static int streams_open(
    struct exec *x, int fds[static RPC_MAX_FDS], struct err *e);
static int stream_open(struct exec *x, unsigned i, int *fd, struct err *e);
static void on_output(struct loop_watch *w, uint32_t events);
static bool output_read(struct exec_stream *s);
static void stream_close(struct exec_stream *s);
static void on_input_room(struct loop_watch *w, uint32_t events);
static void input_write(struct exec *x);
static void input_close(struct exec *x);
static void drain(struct exec *x);
static void on_drain_late(struct loop_timer *t);
static void finish(struct exec *x);
static const struct exec_cursor *slowest_reader(const struct exec *x);
static void count(struct exec *x);
static void make_room(struct inside *in);
static void exec_free(struct exec *x);

struct exec *
exec_new(struct inside *in, uint64_t grant, struct rpc_request *q,
    const char *const *strings, unsigned n_strings, struct err *e)
{
	struct exec *x = calloc(1, sizeof(*x));

	must(x != NULL);
	x->of = in;
	x->number = grant;
	x->tty = (q->flags & RPC_EXEC_TTY) != 0;
	x->in.fd = -1;
	x->pending.max = EXEC_STDIN_BYTES + EXEC_FRAME_MAX_BYTES;
	x->drain.on_time = on_drain_late;
	for (unsigned i = 0; i < EXEC_STREAMS; i++) {
		x->out[i].exec = x;
		x->out[i].watch.fd = -1;
	}
	x->ask.on_reply = on_reply;
	if (inside_send(in, &x->ask, q, grant, strings, n_strings, NULL, 0, e) <
	    0) {
		free(x);
		return NULL;
	}
	make_room(in);
	x->next = in->execs;
	in->execs = x;
	return x;
}

struct exec *
exec_find(struct inside *in, uint64_t number)
{
	for (struct exec *x = in->execs; x != NULL; x = x->next) {
		if (x->number == number)
			return x;
	}
	return NULL;
}

void
exec_free_all(struct inside *in)
{
	while (in->execs != NULL)
		exec_free(in->execs);
}

bool
exec_input(struct exec *x, struct str bytes)
{
	if (x->in_ends || x->exited || (x->started && x->in.fd < 0))
		return true; /* nobody reads it: it is lost */
	buf_add_str(&x->pending, bytes);
	must(!x->pending.failed);
	if (x->started)
		input_write(x);
	return x->pending.n < EXEC_STDIN_BYTES;
}

void
exec_input_end(struct exec *x)
{
	static const char end_of_transmission = 4; /* VEOF, termios(3) */

	if (x->in_ends)
		return;
	/* A terminal has one line for both directions: it cannot be closed. */
	if (x->tty) {
		(void)exec_input(x, (struct str){ &end_of_transmission, 1 });
		return;
	}
	x->in_ends = true;
	if (x->started)
		input_write(x);
}

bool
exec_is_over(const struct exec *x)
{
	return x->output_limit > 0 && x->output_bytes > x->output_limit;
}

void
exec_show(struct exec *x)
{
	x->busy++;
	for (struct exec_view *v = x->views; v != NULL; v = v->next) {
		if (v->visit.client != NULL)
			exec_view_show(v);
	}
	x->busy--;
}

void
exec_settle(struct exec *x)
{
	bool owned = x->background;

	if (x->busy > 0)
		return;
	for (struct exec_view **p = &x->views; *p != NULL;) {
		struct exec_view *v = *p;

		if (v->visit.client != NULL) {
			owned |= v->owner;
			p = &v->next;
			continue;
		}
		*p = v->next;
		buf_fini(&v->in);
		buf_fini(&v->out);
		free(v);
	}
	if (!owned && !x->exited && !x->killed) {
		x->killed = true;
		if (x->started)
			inside_signal(x->of, x->number, SIGKILL);
	}
	if (x->over && x->views == NULL && !x->background)
		exec_free(x);
	else if (!x->over)
		exec_resume(x);
}

void
exec_resume(struct exec *x)
{
	const struct exec_cursor *c = slowest_reader(x);
	struct err e = {};

	/* What is left behind an end is no more than a pipe holds. */
	if (c != NULL && !x->exited &&
	    exec_log_ahead(&x->log, c) >= EXEC_AHEAD_BYTES)
		return;
	for (unsigned i = 0; i < EXEC_STREAMS; i++) {
		struct exec_stream *s = &x->out[i];

		if (!s->paused || s->watch.fd < 0)
			continue;
		s->paused = false;
		s->watch.events = EPOLLIN;
		if (loop_add(x->of->gateway->loop, &s->watch, &e) < 0) {
			(void)close(s->watch.fd);
			s->watch.fd = -1;
		}
	}
}

static void
on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS])
{
	struct exec *x = LOOP_OF(a, struct exec, ask);
	struct err e = {};

	x->busy++;
	if (r != NULL && r->kind == RPC_STARTED && !x->started) {
		x->started = true;
		memcpy(x->program, r->text, sizeof(x->program));
		if (streams_open(x, fds, &e) < 0 || x->killed)
			inside_signal(x->of, x->number, SIGKILL);
		for (struct exec_view *v = x->views; v != NULL; v = v->next) {
			if (v->visit.client != NULL)
				exec_view_started(v);
		}
		input_write(x);
	} else if (r != NULL && r->kind == RPC_EXITED && x->started) {
		int status = (int)r->status;

		x->exited = true;
		x->signo = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
		x->status = x->signo != 0 ? 128 + x->signo
					  : (uint32_t)WEXITSTATUS(status);
		x->cpu_us = r->cpu_us;
		x->memory_max_bytes = r->memory_max_bytes;
		drain(x);
	} else if (r == NULL || r->kind != RPC_STARTED) {
		bool began = x->started;

		x->exited = true;
		x->status = 137; /* nothing else ends it with the sandbox */
		x->signo = SIGKILL;
		inside_failed(x->of->gateway, x->of->run, x->number,
		    r != NULL ? r->text : "the sandbox has ended");
		for (struct exec_view *v = x->views; !began && v != NULL;
		     v = v->next) {
			if (v->visit.client != NULL)
				exec_view_failed(v, r);
		}
		if (!began && x->call != 0)
			command_not_begun(x, r);
		x->background &= began;
		x->over = !began;
		if (began)
			finish(x);
	}
	x->busy--;
	exec_settle(x);
}

/* The terminal's master, or ends of three pipes. */
static int
streams_open(struct exec *x, int fds[static RPC_MAX_FDS], struct err *e)
{
	if (x->tty) {
		if (fds[0] < 0)
			return err_set(e, "no terminal came");
		x->in.fd = dup(fds[0]);
		if (stream_open(x, 0, &fds[0], e) < 0)
			return -1;
	} else {
		if (stream_open(x, 0, &fds[1], e) < 0 ||
		    stream_open(x, 1, &fds[2], e) < 0)
			return -1;
		x->in.fd = fd_take(&fds[0]);
	}
	if (x->in.fd < 0 || fd_nonblock(x->in.fd, e) < 0)
		return err_set(e, "no input came");
	x->in.on_ready = on_input_room;
	x->in.events = 0;
	return loop_add(x->of->gateway->loop, &x->in, e);
}

static int
stream_open(struct exec *x, unsigned i, int *fd, struct err *e)
{
	struct exec_stream *s = &x->out[i];

	if (*fd < 0)
		return err_set(e, "no output came");
	s->watch = (struct loop_watch){
		.fd = *fd,
		.events = EPOLLIN,
		.on_ready = on_output,
	};
	if (fd_nonblock(*fd, e) < 0 ||
	    loop_add(x->of->gateway->loop, &s->watch, e) < 0) {
		s->watch.fd = -1;
		return -1;
	}
	*fd = -1;
	return 0;
}

static void
on_output(struct loop_watch *w, uint32_t events)
{
	struct exec_stream *s = LOOP_OF(w, struct exec_stream, watch);
	struct exec *x = s->exec;
	const struct exec_cursor *c;

	(void)events;
	x->busy++;
	(void)output_read(s);
	exec_show(x);
	c = slowest_reader(x);
	if (s->watch.fd >= 0 && c != NULL && !x->exited &&
	    exec_log_ahead(&x->log, c) >= EXEC_AHEAD_BYTES) {
		int fd = loop_remove(x->of->gateway->loop, &s->watch);

		/* Even an unwatched pipe tells of its other end. */
		s->watch.fd = fd;
		s->paused = true;
	}
	if (x->exited && x->out[0].watch.fd < 0 && x->out[1].watch.fd < 0)
		finish(x);
	x->busy--;
	exec_settle(x);
}

/* One piece into the log. False when there is none now, or never again. */
static bool
output_read(struct exec_stream *s)
{
	struct exec *x = s->exec;
	struct gateway *g = x->of->gateway;
	bool follow = slowest_reader(x) != NULL;
	char *to = exec_log_room(&x->log, EXEC_READ_BYTES);
	size_t keep = follow || g->exec_bytes > EXEC_KEEP_ALL_BYTES
	    ? EXEC_KEEP_LEAST_BYTES
	    : EXEC_KEEP_BYTES;
	ssize_t r;

	must(to != NULL);
	do {
		r = read(s->watch.fd, to, EXEC_READ_BYTES);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return false;
	/* EIO: the last process has left the terminal. */
	if (r <= 0) {
		stream_close(s);
		return false;
	}
	x->output_bytes += (uint64_t)r;
	if (exec_is_over(x)) {
		/* What was printed up to there is kept. */
		uint64_t past = x->output_bytes - x->output_limit;

		r = past < (uint64_t)r ? r - (ssize_t)past : 0;
		inside_signal(x->of, x->number, SIGKILL);
	}
	if (x->call != 0)
		buf_add(&x->printed[s - x->out], to, (size_t)r);
	else if (r > 0)
		exec_log_add(&x->log, (unsigned)(s - x->out), (size_t)r);
	exec_log_trim(&x->log, keep, slowest_reader(x));
	count(x);
	return true;
}

static void
stream_close(struct exec_stream *s)
{
	int fd = s->watch.fd;

	if (!s->paused)
		(void)loop_remove(s->exec->of->gateway->loop, &s->watch);
	s->watch.fd = -1;
	s->paused = false;
	fd_fini(&fd);
}

static void
on_input_room(struct loop_watch *w, uint32_t events)
{
	struct exec *x = LOOP_OF(w, struct exec, in);

	x->busy++;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		input_close(x);
	else
		input_write(x);
	/* A client may have waited for the room. */
	for (struct exec_view *v = x->views; v != NULL; v = v->next) {
		if (v->visit.client != NULL && v->kind == VIEW_FRAMES &&
		    v->owner && v->shown)
			v->visit.ops->on_taken(&v->visit, EPOLLIN);
	}
	x->busy--;
	exec_settle(x);
}

static void
input_write(struct exec *x)
{
	struct err e = {};
	ssize_t r = 0;

	if (x->in.fd < 0)
		return;
	while (x->pending.n > 0 && r >= 0) {
		do {
			r = write(x->in.fd, x->pending.p, x->pending.n);
		} while (r < 0 && errno == EINTR);
		if (r < 0 && errno != EAGAIN) {
			input_close(x);
			return;
		}
		if (r > 0)
			buf_drop(&x->pending, (size_t)r);
	}
	if ((x->pending.n == 0 && x->in_ends) ||
	    loop_want(x->of->gateway->loop, &x->in,
		x->pending.n > 0 ? EPOLLOUT : 0, &e) < 0)
		input_close(x);
}

static void
input_close(struct exec *x)
{
	int fd = loop_remove(x->of->gateway->loop, &x->in);

	fd_fini(&fd);
	buf_reset(&x->pending);
	x->in_ends = true;
}

/*
 * The command has ended: what it wrote is in its pipes. Its children may hold
 * them open for ever, so nobody waits for an end. What a terminal still has
 * comes a little later, and then its end.
 */
static void
drain(struct exec *x)
{
	struct loop *l = x->of->gateway->loop;

	if (x->tty && x->out[0].watch.fd >= 0) {
		loop_timer_set(l, &x->drain,
		    loop_now_ns(l) + (int64_t)EXEC_DRAIN_MS * NS_PER_MS);
		exec_resume(x);
		return;
	}
	for (unsigned i = 0; i < EXEC_STREAMS; i++) {
		struct exec_stream *s = &x->out[i];

		/* A pipe holds 64 KiB; another's output may follow for ever. */
		for (int n = 0; n < 2 * EXEC_FRAME_MAX_BYTES / EXEC_READ_BYTES;
		     n++) {
			if (s->watch.fd < 0 || !output_read(s))
				break;
		}
	}
	finish(x);
}

static void
on_drain_late(struct loop_timer *t)
{
	struct exec *x = LOOP_OF(t, struct exec, drain);

	x->busy++;
	finish(x);
	x->busy--;
	exec_settle(x);
}

/* Everything is in the log: it is told, and shown. */
static void
finish(struct exec *x)
{
	own_buf struct buf b = {};

	if (x->over)
		return;
	x->over = true;
	loop_timer_clear(x->of->gateway->loop, &x->drain);
	for (unsigned i = 0; i < EXEC_STREAMS; i++) {
		if (x->out[i].watch.fd >= 0)
			stream_close(&x->out[i]);
	}
	input_close(x);
	buf_printf(&b, "{\"exit_status\":%u", x->status);
	if (exec_is_over(x))
		buf_printf(&b, ",\"limit_bytes\":%llu",
		    (unsigned long long)x->output_limit);
	buf_add_c(&b, ",\"program\":");
	json_put_str(&b, str_of(x->program));
	buf_add_byte(&b, '}');
	/* Who waits first: the record of it can come a little later. */
	exec_show(x);
	inside_done(x->of->gateway, x->of->run, x->number, buf_str(&b));
	if (x->call != 0) {
		command_over(x);
		x->background = false; /* nobody asks for it any more */
	}
}

/* The view that holds the command back; NULL: none does. */
static const struct exec_cursor *
slowest_reader(const struct exec *x)
{
	for (const struct exec_view *v = x->views; v != NULL; v = v->next) {
		if (v->owner && v->visit.client != NULL &&
		    (v->kind == VIEW_EVENTS || v->kind == VIEW_FRAMES))
			return &v->cursor;
	}
	return NULL;
}

static void
count(struct exec *x)
{
	struct gateway *g = x->of->gateway;

	g->exec_bytes += x->log.kept.cap - x->counted_bytes;
	x->counted_bytes = x->log.kept.cap;
}

/* The oldest that have ended go first. */
static void
make_room(struct inside *in)
{
	size_t kept = 0;

	for (struct exec *x = in->execs; x != NULL;) {
		struct exec *next = x->next;

		if (x->over && x->views == NULL && ++kept >= EXEC_KEEP_ENDED)
			exec_free(x);
		x = next;
	}
}

static void
exec_free(struct exec *x)
{
	struct loop *l = x->of->gateway->loop;
	struct exec **p = &x->of->execs;

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	while (x->views != NULL) {
		struct exec_view *v = x->views;

		x->views = v->next;
		if (v->visit.client != NULL) {
			struct client *cl = v->visit.client;

			visit_end(&v->visit);
			http_conn_close(&cl->conn);
		}
		buf_fini(&v->in);
		buf_fini(&v->out);
		free(v);
	}
	loop_timer_clear(l, &x->drain);
	for (unsigned i = 0; i < EXEC_STREAMS; i++) {
		if (x->out[i].watch.fd >= 0)
			stream_close(&x->out[i]);
	}
	input_close(x);
	x->of->gateway->exec_bytes -= x->counted_bytes;
	exec_log_fini(&x->log);
	buf_fini(&x->command);
	buf_fini(&x->pending);
	for (unsigned i = 0; i < EXEC_STREAMS; i++)
		buf_fini(&x->printed[i]);
	free(x);
}
