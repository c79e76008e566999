#include "init/serve.h"
#include "init/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "init/init.h"
#include "init/serve_int.h"
#include "sandbox/control.h"
#include "sys/fd.h"
#include "sys/landlock.h"

enum {
	WAIT_CONTROL = 0, /* places in the table of poll */
	WAIT_RPC,
	WAIT_CHILD,
	WAIT_STARTS,
	/* However many processes stop and end, others are heard, too. */
	CHILDREN_AT_ONCE = 64,
	WAIT_MAX = WAIT_STARTS + RPC_MAX_STARTING,
};

static struct serve serve;

static void *shared_room(size_t n);
static void *serving_thread(void *arg);
static void fork_workers(struct serve *s) __attribute__((noreturn));
static int enter_domain(struct err *e);
static void start_main(struct serve *s);
static void drop_streams(void);
static void wait_for_events(struct serve *s, struct pollfd wait[WAIT_MAX]);
static int poll_time(const struct serve *s);
static void on_children(struct serve *s);
static void on_control(struct serve *s);
static void tell_all(struct serve *s);
static void tell_main(struct serve *s);
static bool tell_exec(struct serve *s, struct exec *x);
static bool tell_job(struct serve *s, struct job *j);

int
serve_main(
    char **argv, char **envp, bool keep, struct relay *relay, int sigchld_fd)
{
	struct serve *s = &serve;
	pthread_t thread;
	void *shared;

	s->argv = argv;
	s->envp = envp;
	judge_take(&s->judge, envp);
	s->keep = keep;
	s->rpc = RPC_FD;
	s->child = sigchld_fd;
	s->relay = relay;
	s->ask = eventfd(0, EFD_CLOEXEC);
	s->done = eventfd(0, EFD_CLOEXEC);
	shared = shared_room(sizeof(*s->results) * RPC_MAX_WORKERS);
	if (s->ask < 0 || s->done < 0 || shared == MAP_FAILED)
		return 2;
	s->results = shared;
	if (pthread_create(&thread, NULL, serving_thread, s) != 0)
		return 2;
	fork_workers(s);
}

/*
 * Where memory is counted (FILTER_COUNTED) two processes can share no other
 * than that of a file, which takes room from the sandbox's: RPC_SHARED_BYTES.
 */
static void *
shared_room(size_t n)
{
	own_fd int fd = -1;
	void *p = mmap(
	    NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	_Static_assert(
	    sizeof(struct work_result) * RPC_MAX_WORKERS <= RPC_SHARED_BYTES,
	    "life.c leaves room for it");
	if (p != MAP_FAILED)
		return p;
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	/* All of it now: later there may be no room. */
	if (fd < 0 || fallocate(fd, 0, 0, (off_t)n) < 0)
		return MAP_FAILED;
	return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/* One at a time: who asks waits for the answer. */
static void
fork_workers(struct serve *s)
{
	for (;;) {
		uint64_t n;

		if (read(s->ask, &n, sizeof(n)) != sizeof(n))
			continue;
		s->forked = fork();
		if (s->forked == 0)
			work_main(&s->work);
		if (s->forked < 0)
			s->forked = -errno;
		n = 1;
		(void)!write(s->done, &n, sizeof(n)); /* always has room */
	}
}

/* Its end is the end of PID 1. */
static void *
serving_thread(void *arg)
{
	struct serve *s = arg;
	struct pollfd wait[WAIT_MAX];
	struct err e = {};

	if (enter_domain(&e) < 0) {
		init_report(CONTROL_NOT_STARTED, e.sys);
		_exit(0);
	}
	if (s->judge.rules != NULL && tracer_start(&s->tracer, &s->judge) < 0) {
		init_report(CONTROL_NOT_STARTED, errno);
		_exit(0);
	}
	if (s->argv[0] != NULL)
		start_main(s);
	drop_streams();
	for (;;) {
		wait_for_events(s, wait);
		/* Children first: ends are what callers wait for. */
		if (wait[WAIT_CHILD].revents != 0 || s->more)
			on_children(s);
		for (unsigned i = 0; i < s->execs.n_used; i++) {
			struct exec *x = &s->execs.execs[i];
			long at;

			if (x->state != EXEC_STARTING)
				continue;
			at = WAIT_STARTS + (x->start - s->execs.starts);
			if (wait[at].revents != 0) {
				exec_decide(&s->execs, x);
				s->untold = true;
			}
		}
		if (wait[WAIT_CONTROL].revents != 0)
			on_control(s);
		if (wait[WAIT_RPC].revents != 0) {
			s->blocked = false;
			s->untold = true;
		}
		if (s->untold)
			tell_all(s);
		tell_main(s);
		if (wait[WAIT_RPC].revents != 0)
			serve_frames(s);
	}
	return NULL;
}

/* Below PID 1's own: no signal reaches up. Without it there is the pid
 * namespace, whose PID 1 takes none either. */
static int
enter_domain(struct err *e)
{
	int abi = landlock_abi();
	own_fd int scope = -1;

	if (abi < 6)
		return 0;
	scope = landlock_new(abi, LANDLOCK_ONLY_SCOPES, e);
	return scope < 0 ? -1 : landlock_enforce(scope, e);
}

static void
start_main(struct serve *s)
{
	struct exec *x = exec_new(&s->execs);
	struct start *st = exec_start_new(&s->execs);

	/* The tables are empty: there is room. */
	x->is_main = true;
	x->start = st;
	for (int i = 0; i < 3; i++)
		st->stdio[i] = i;
	st->tty = false;
	st->cwd = "";
	st->judge = &s->judge;
	st->tracer = s->tracer.seed != 0 ? &s->tracer : NULL;
	st->argv = (const char *const *)s->argv;
	st->envp = (const char *const *)s->envp;
	s->main = x;
	if (exec_begin(&s->execs, x) < 0) {
		init_report(CONTROL_NOT_STARTED, errno);
		if (!s->keep)
			_exit(0);
		exec_free(x);
		s->main = NULL;
	}
	s->last_start_ns = clock_mono_ns();
}

/* The command has them: its readers are to see the end when it ends. */
static void
drop_streams(void)
{
	own_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3 && null >= 0; i++)
		(void)dup3(null, i, O_CLOEXEC);
}

static void
wait_for_events(struct serve *s, struct pollfd wait[WAIT_MAX])
{
	short rpc = 0;

	if (s->blocked)
		rpc = POLLOUT;
	else if (serve_may_read(s))
		rpc = POLLIN;
	wait[WAIT_CONTROL] =
	    (struct pollfd){ .fd = CONTROL_FD, .events = POLLIN };
	/* Not at all when there is nothing to do: its end alone would be
	 * reported again and again. */
	wait[WAIT_RPC] =
	    (struct pollfd){ .fd = rpc != 0 ? s->rpc : -1, .events = rpc };
	wait[WAIT_CHILD] = (struct pollfd){ .fd = s->child, .events = POLLIN };
	for (unsigned i = 0; i < s->execs.n_starts; i++)
		wait[WAIT_STARTS + i] =
		    (struct pollfd){ .fd = s->execs.starts[i].watch };
	while (poll(wait, WAIT_STARTS + s->execs.n_starts,
		   s->more ? 0 : poll_time(s)) < 0 &&
	    errno == EINTR)
		continue;
}

bool
serve_may_read(const struct serve *s)
{
	return s->rpc >= 0 && !s->blocked && !s->answered && poll_time(s) < 0;
}

/* Milliseconds until the file system counts as stuck; -1: no need to wait. */
static int
poll_time(const struct serve *s)
{
	int64_t waited_ms;

	if (s->execs.n_starting < RPC_MAX_STARTING)
		return -1;
	waited_ms = (clock_mono_ns() - s->last_start_ns) / 1000000;
	return waited_ms < RPC_START_STUCK_MS
	    ? (int)(RPC_START_STUCK_MS - waited_ms)
	    : -1;
}

static void
on_children(struct serve *s)
{
	struct signalfd_siginfo info;
	struct rusage used;
	int status, left = CHILDREN_AT_ONCE;
	pid_t pid = 0;

	/* Which child does not matter: all are asked. */
	(void)!read(s->child, &info, sizeof(info));
	while (left-- > 0 && (pid = wait4(-1, &status, WNOHANG, &used)) > 0) {
		struct exec *x;

		if (tracer_stopped(&s->tracer, pid, status))
			continue;
		/* Nothing could be started any more. */
		if (pid == s->tracer.seed)
			_exit(2);
		x = exec_of_pid(&s->execs, pid);
		relay_reaped(s->relay, pid, status);

		s->untold = true;
		if (x != NULL)
			exec_end(&s->execs, x, status, &used);
		for (int i = 0; x == NULL && i < RPC_MAX_WORKERS; i++) {
			struct job *j = &s->jobs[i];

			if (j->used && !j->ended && j->pid == pid) {
				j->ended = true;
				j->status = status;
			}
		}
	}
	s->more = pid > 0;
}

/*
 * A signal for the command, or, with a descriptor, another rpc socket. The
 * end of the caller is the end of everything.
 */
static void
on_control(struct serve *s)
{
	struct control_request r = {};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = &r, .iov_len = sizeof(r) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(CONTROL_FD, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		_exit(0);
	if (c != NULL && c->cmsg_level == SOL_SOCKET &&
	    c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int))) {
		serve_close_rpc(s);
		memcpy(&s->rpc, CMSG_DATA(c), sizeof(s->rpc));
	}
	if (n != (ssize_t)sizeof(r) || r.signo == 0 || r.signo >= NSIG ||
	    s->main == NULL || s->main->pid <= 0)
		return;
	/* Before it has a session of its own there is no such group. */
	if (kill(-s->main->pid, (int)r.signo) < 0)
		(void)kill(s->main->pid, (int)r.signo);
}

static void
tell_all(struct serve *s)
{
	if (s->answered && !serve_say(s, &s->answer, NULL, 0))
		return;
	s->answered = false;
	for (unsigned i = 0; i < s->execs.n_used; i++) {
		if (!tell_exec(s, &s->execs.execs[i]))
			return;
	}
	for (int i = 0; i < RPC_MAX_WORKERS; i++) {
		if (!tell_job(s, &s->jobs[i]))
			return;
	}
	s->untold = false;
}

/* However busy the rpc socket is; PID 1 may end with it. */
static void
tell_main(struct serve *s)
{
	if (s->main == NULL || s->main->state < EXEC_ENDED)
		return;
	if (s->main->state == EXEC_FAILED)
		init_report(CONTROL_NOT_STARTED, (int)s->main->last.error);
	relay_finish(s->relay);
	if (s->main->state != EXEC_FAILED)
		init_report(CONTROL_ENDED, (int)s->main->last.status);
	if (!s->keep)
		_exit(0);
	exec_free(s->main);
	s->main = NULL;
}

/* False when it has to wait. */
static bool
tell_exec(struct serve *s, struct exec *x)
{
	const bool ran = x->state == EXEC_RUNNING || x->state == EXEC_ENDED;

	if (x->state == EXEC_FREE || x->is_main)
		return true;
	if (ran && !x->started_told) {
		struct rpc_reply r = {
			.id = x->id,
			.kind = RPC_STARTED,
			.pid = (uint32_t)x->started_pid,
		};
		const bool tty = x->master >= 0;

		memcpy(r.text, x->program, sizeof(r.text));
		if (!serve_say(s, &r, tty ? &x->master : x->outer,
			tty ? 1 : x->n_outer))
			return false;
		x->started_told = true;
		while (x->n_outer > 0)
			fd_fini(&x->outer[--x->n_outer]);
	}
	if (x->state != EXEC_ENDED && x->state != EXEC_FAILED)
		return true;
	x->last.id = x->id;
	if (!serve_say(s, &x->last, NULL, 0))
		return false;
	exec_free(x);
	return true;
}

static bool
tell_job(struct serve *s, struct job *j)
{
	const struct work_result *w = &s->results[j - s->jobs];
	struct rpc_reply r = { .id = j->id, .kind = RPC_DONE };

	if (!j->used || !j->ended)
		return true;
	r.bytes = w->bytes;
	r.size = w->size;
	r.error = w->error;
	memcpy(r.text, w->text, sizeof(r.text) - 1);
	if (w->done == 0) {
		bool idle =
		    WIFSIGNALED(j->status) && WTERMSIG(j->status) == SIGALRM;

		r.error = idle ? ETIMEDOUT : EINTR;
		(void)snprintf(r.text, sizeof(r.text), "%s",
		    idle ? "nothing moved for too long"
			 : "the worker was killed");
	}
	if (!serve_say(s, &r, NULL, 0))
		return false;
	j->used = false;
	return true;
}

bool
serve_say(
    struct serve *s, const struct rpc_reply *r, const int *fds, unsigned n_fds)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * RPC_MAX_FDS)];
	} control = {};
	struct rpc_reply copy = *r;
	struct iovec part = { .iov_base = &copy, .iov_len = sizeof(copy) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };

	if (s->rpc < 0)
		return true;
	for (char *c = copy.text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?'; /* one line, whatever a name holds */
	}
	if (n_fds > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * n_fds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len =
		    (socklen_t)CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * n_fds);
	}
	if (sendmsg(s->rpc, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return true;
	if (errno == EAGAIN || errno == EINTR) {
		s->blocked = true;
		s->untold = true;
		return false;
	}
	serve_close_rpc(s);
	return true;
}

void
serve_close_rpc(struct serve *s)
{
	fd_fini(&s->rpc);
	s->blocked = false;
	s->answered = false;
	s->untold = true; /* entries that wait are to be freed */
}
