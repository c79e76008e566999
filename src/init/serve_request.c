#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "init/request.h"
#include "init/serve_int.h"
#include "sys/fd.h"

/* Then it is the turn of children and the control socket. */
enum { FRAMES_AT_ONCE = 32 };

static void on_request(struct serve *s, struct request *r, struct start *st);
static void on_exec(struct serve *s, struct request *r, struct start *st);
static int make_terminal(struct exec *x, const struct rpc_request *q);
static int make_pipes(struct exec *x);
static void close_inner(const struct start *st, unsigned flags);
static void on_signal(struct serve *s, const struct rpc_request *q);
static void on_winsize(struct serve *s, const struct rpc_request *q);
static void on_work(struct serve *s, struct request *r);
static void answer(
    struct serve *s, const struct rpc_request *q, int error, const char *text);

void
serve_frames(struct serve *s)
{
	for (int i = 0; i < FRAMES_AT_ONCE && serve_may_read(s); i++) {
		struct start *st = exec_start_new(&s->execs);
		struct request r;

		r.payload = st != NULL ? st->payload : s->spare;
		switch (request_receive(s->rpc, &r)) {
		case REQUEST_NONE:
			return;
		case REQUEST_WRONG:
			serve_close_rpc(s);
			return;
		case REQUEST_WHOLE:
			on_request(s, &r, st);
			request_fini(&r);
			break;
		}
	}
}

static void
on_request(struct serve *s, struct request *r, struct start *st)
{
	if (r->no_room) {
		answer(s, &r->q, EMFILE, "too many open files in PID 1");
		return;
	}
	switch ((enum rpc_kind)r->q.kind) {
	case RPC_EXEC:
		on_exec(s, r, st);
		return;
	case RPC_SIGNAL:
		on_signal(s, &r->q);
		return;
	case RPC_WINSIZE:
		on_winsize(s, &r->q);
		return;
	case RPC_FILE_GET:
	case RPC_FILE_PUT:
	case RPC_FILE_LS:
	case RPC_FILE_STAT:
	case RPC_FILE_MKDIR:
	case RPC_FILE_RM:
	case RPC_FILE_RENAME:
	case RPC_FILE_WATCH:
	case RPC_PORT:
	case RPC_PROCESSES:
		on_work(s, r);
		return;
	case RPC_KINDS:
		return;
	}
}

static void
on_exec(struct serve *s, struct request *r, struct start *st)
{
	const struct rpc_request *q = &r->q;
	struct exec *x;
	const char *wrong;
	int made = 0;

	if (exec_find(&s->execs, q->id) != NULL) {
		serve_close_rpc(s); /* answers could not be told apart */
		return;
	}
	x = st != NULL ? exec_new(&s->execs) : NULL;
	if (x == NULL) {
		answer(s, q, EAGAIN,
		    st == NULL ? "commands do not get started: the file system "
				 "hangs"
			       : "too many commands at once");
		return;
	}
	wrong = request_command(r, s->envp, st);
	if (wrong != NULL) {
		answer(s, q, EINVAL, wrong);
		return;
	}
	x->id = q->id;
	x->start = st;
	st->judge = &s->judge;
	st->tracer = s->tracer.seed != 0 ? &s->tracer : NULL;
	st->tty = (q->flags & RPC_EXEC_TTY) != 0;
	if (st->tty)
		made = make_terminal(x, q);
	else if ((q->flags & RPC_EXEC_PIPES) != 0)
		made = make_pipes(x);
	else
		memcpy(st->stdio, r->fds, sizeof(st->stdio));
	if (made < 0 || exec_begin(&s->execs, x) < 0) {
		int error = errno;

		answer(s, q, error, strerror(error));
		exec_free(x);
	}
	if (made == 0)
		close_inner(st, q->flags);
	s->last_start_ns = clock_mono_ns();
}

/* A pair in the sandbox's own devpts; -1 with errno, and nothing left. */
static int
make_terminal(struct exec *x, const struct rpc_request *q)
{
	const struct winsize size = { .ws_row = q->rows, .ws_col = q->cols };
	const int unlocked = 0;
	int slave;

	x->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (x->master < 0 || ioctl(x->master, TIOCSPTLCK, &unlocked) < 0 ||
	    ioctl(x->master, TIOCSWINSZ, &size) < 0)
		return -1;
	/* Not by its name, which is the sandbox's to change. */
	slave = ioctl(x->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		x->start->stdio[i] = slave;
	return 0;
}

static int
make_pipes(struct exec *x)
{
	for (int i = 0; i < 3; i++) {
		const int inner = i == 0 ? 0 : 1; /* standard input is read */
		int pair[2];

		if (pipe2(pair, O_CLOEXEC) < 0) {
			while (i > 0)
				fd_fini(&x->start->stdio[--i]);
			return -1;
		}
		x->start->stdio[i] = pair[inner];
		x->outer[i] = pair[1 - inner];
		x->n_outer++;
	}
	return 0;
}

/* The command has copies of the descriptors, but reads their numbers: those
 * have to stay. */
static void
close_inner(const struct start *st, unsigned flags)
{
	int n = 0;

	if ((flags & RPC_EXEC_PIPES) != 0)
		n = 3;
	else if ((flags & RPC_EXEC_TTY) != 0)
		n = 1;
	for (int i = 0; i < n; i++)
		(void)close(st->stdio[i]);
}

static void
on_signal(struct serve *s, const struct rpc_request *q)
{
	const struct exec *x = exec_find(&s->execs, q->target);
	int error = 0;

	if (x == NULL || x->pid <= 0)
		error = ESRCH;
	/* Before it has a session of its own there is no such group. */
	else if (kill(-x->pid, (int)q->signo) < 0 &&
	    kill(x->pid, (int)q->signo) < 0)
		error = errno;
	answer(s, q, error, error != 0 ? strerror(error) : "");
}

static void
on_winsize(struct serve *s, const struct rpc_request *q)
{
	const struct winsize size = { .ws_row = q->rows, .ws_col = q->cols };
	const struct exec *x = exec_find(&s->execs, q->target);
	int error = 0;

	if (x == NULL)
		error = ESRCH;
	else if (x->master < 0)
		error = ENOTTY;
	else if (ioctl(x->master, TIOCSWINSZ, &size) < 0)
		error = errno;
	answer(s, q, error, error != 0 ? strerror(error) : "");
}

static void
on_work(struct serve *s, struct request *r)
{
	struct work_result *result;
	struct job *j = NULL;
	uint64_t n = 1;

	for (int i = 0; i < RPC_MAX_WORKERS && j == NULL; i++) {
		if (!s->jobs[i].used)
			j = &s->jobs[i];
	}
	if (j == NULL) {
		answer(s, &r->q, EAGAIN, "too many file operations at once");
		return;
	}
	result = &s->results[j - s->jobs];
	*result = (struct work_result){};
	s->work = (struct work){
		.q = &r->q,
		.path = r->n > 0 ? r->payload : NULL,
		.fd = r->n_fds > 0 ? r->fds[0] : -1,
		.out = result,
	};
	if (r->q.kind == RPC_FILE_RENAME)
		s->work.to = r->payload + strlen(r->payload) + 1;
	if (r->q.kind == RPC_PORT)
		s->work.fd = s->rpc;
	(void)!write(s->ask, &n, sizeof(n)); /* always has room */
	(void)!read(s->done, &n, sizeof(n));
	if (s->forked < 0) {
		answer(s, &r->q, -s->forked, "fork a worker");
		return;
	}
	*j = (struct job){ .used = true, .id = r->q.id, .pid = s->forked };
}

/* The one answer to what is not started. */
static void
answer(
    struct serve *s, const struct rpc_request *q, int error, const char *text)
{
	struct rpc_reply r = {
		.id = q->id,
		.kind = q->kind == RPC_EXEC ? RPC_FAILED : RPC_DONE,
		.error = (uint32_t)error,
	};

	(void)snprintf(r.text, sizeof(r.text), "%s", text);
	if (serve_say(s, &r, NULL, 0))
		return;
	s->answer = r;
	s->answered = true;
}
