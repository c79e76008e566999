#include "supervisor/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "supervisor/keyfile.h"
#include "sys/fd.h"
#include "sys/locked.h"

#define NS_PER_MS 1000000LL

struct helper {
	struct helper *next;
	struct helpers *all;
	uint64_t run;
	uint32_t index;
	pid_t pid;
	struct loop_watch out, exit;
	struct loop_timer limit;
	struct locked mem;
	char *bytes; /* in mem */
	size_t n;
	bool ended, late, over; /* its output has; too slow; too much */
};

struct helpers {
	struct loop *loop;
	const char *state;
	struct helpers_hear hear;
	struct helper *first;
	unsigned n;
};

static int words_of(
    char *text, char *argv[static SECRET_COMMAND_WORDS + 1], struct err *e);
static int spawn(struct helper *x, char *const *argv, struct err *e);
_Noreturn static void become(int out, char *const *argv);
static void on_out(struct loop_watch *w, uint32_t events);
static void on_exit_of(struct loop_watch *w, uint32_t events);
static void on_late(struct loop_timer *t);
static void end(const struct helper *x);
static void finish(struct helper *x, int status);
static void helper_free(struct helper *x);

struct helpers *
helpers_new(struct loop *loop, const char *state, struct helpers_hear hear)
{
	struct helpers *h = calloc(1, sizeof(*h));

	must(h != NULL);
	h->loop = loop;
	h->state = state;
	h->hear = hear;
	return h;
}

void
helpers_free(struct helpers *h)
{
	if (h == NULL)
		return;
	while (h->first != NULL)
		helper_free(h->first);
	free(h);
}

int
helper_start(struct helpers *h, uint64_t run, uint32_t index, const char *name,
    struct err *e)
{
	char text[SECRET_COMMAND_BYTES + 1] = "";
	char *argv[SECRET_COMMAND_WORDS + 1];
	struct helper *x;

	if (h->n == SECRET_COMMANDS_MAX)
		return err_set(e, "%d commands are under way already",
		    SECRET_COMMANDS_MAX);
	if (keyfile_read_command(h->state, name, text, sizeof(text), e) < 0 ||
	    words_of(text, argv, e) < 0)
		return err_add(e, "secrets/commands/%s", name);
	must(argv[0] != NULL);
	x = calloc(1, sizeof(*x));
	must(x != NULL);
	x->all = h;
	x->run = run;
	x->index = index;
	x->out.fd = x->exit.fd = -1;
	x->out.on_ready = on_out;
	x->exit.on_ready = on_exit_of;
	x->out.events = x->exit.events = EPOLLIN;
	x->limit.on_time = on_late;
	x->next = h->first;
	h->first = x;
	h->n++;
	if (locked_init(&x->mem, SECRET_FILE_MAX_BYTES + 32, e) < 0 ||
	    spawn(x, argv, e) < 0) {
		helper_free(x);
		return err_add(e, "secrets/commands/%s", name);
	}
	x->bytes = locked_alloc(&x->mem, SECRET_FILE_MAX_BYTES + 1);
	must(x->bytes != NULL);
	loop_timer_set(h->loop, &x->limit,
	    clock_mono_ns() + SECRET_COMMAND_MS * NS_PER_MS);
	return 0;
}

/* One word a line; nothing in a line means anything. */
static int
words_of(char *text, char *argv[static SECRET_COMMAND_WORDS + 1], struct err *e)
{
	size_t n = 0;

	for (char *p = text; *p != '\0';) {
		char *end = strchr(p, '\n');

		if (n == SECRET_COMMAND_WORDS)
			return err_set(
			    e, "more than %d words", SECRET_COMMAND_WORDS);
		argv[n++] = p;
		if (end == NULL)
			break;
		*end = '\0';
		p = end + 1;
	}
	argv[n] = NULL;
	if (n == 0 || argv[0][0] != '/')
		return err_set(
		    e, "the first line must be a program's absolute path");
	return 0;
}

static int
spawn(struct helper *x, char *const *argv, struct err *e)
{
	struct loop *loop = x->all->loop;
	own_fd int ours = -1, theirs = -1, pidfd = -1;
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(e, "pipe2");
	ours = pair[0];
	theirs = pair[1];
	if (fd_nonblock(ours, e) < 0)
		return -1;
	x->pid = fork();
	if (x->pid < 0) {
		x->pid = 0;
		return err_sys(e, "fork");
	}
	if (x->pid == 0)
		become(theirs, argv);
	pidfd = (int)syscall(SYS_pidfd_open, x->pid, 0);
	if (pidfd < 0)
		return err_sys(e, "pidfd_open");
	x->out.fd = ours;
	if (loop_add(loop, &x->out, e) < 0) {
		x->out.fd = -1;
		return -1;
	}
	(void)fd_take(&ours);
	x->exit.fd = pidfd;
	if (loop_add(loop, &x->exit, e) < 0) {
		x->exit.fd = -1;
		return -1;
	}
	(void)fd_take(&pidfd);
	return 0;
}

/* Between fork and exec: nothing but system calls. */
_Noreturn static void
become(int out, char *const *argv)
{
	static char *const env[] = {
		(char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin:/usr/"
				    "sbin:/sbin",
		(char *)(uintptr_t) "LANG=C.UTF-8", NULL
	};
	const struct rlimit none = {};
	sigset_t all;
	int null = open("/dev/null", O_RDWR);

	(void)setsid(); /* fails only for a group's leader: we are new */
	(void)sigemptyset(&all);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0 ||
	    sigprocmask(SIG_SETMASK, &all, NULL) < 0 || chdir("/") < 0 ||
	    null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(127);
	(void)execve(argv[0], argv, env);
	_exit(127);
}

static void
on_out(struct loop_watch *w, uint32_t events)
{
	struct helper *x = LOOP_OF(w, struct helper, out);
	ssize_t n = 0;
	int fd;

	(void)events;
	while (x->n <= SECRET_FILE_MAX_BYTES &&
	    (n = read(
		 w->fd, x->bytes + x->n, SECRET_FILE_MAX_BYTES + 1 - x->n)) > 0)
		x->n += (size_t)n;
	if (x->n <= SECRET_FILE_MAX_BYTES && n < 0 &&
	    (errno == EAGAIN || errno == EINTR))
		return;
	x->over = x->n > SECRET_FILE_MAX_BYTES;
	x->ended = true;
	fd = loop_remove(x->all->loop, w);
	fd_fini(&fd);
	if (x->exit.fd < 0)
		finish(x, 0);
	else if (x->over)
		end(x); /* its pidfd tells the rest */
}

static void
on_exit_of(struct loop_watch *w, uint32_t events)
{
	struct helper *x = LOOP_OF(w, struct helper, exit);
	int status = 0, fd;

	(void)events;
	end(x); /* what it has started does not stay */
	while (waitpid(x->pid, &status, 0) < 0 && errno == EINTR)
		;
	x->pid = 0;
	fd = loop_remove(x->all->loop, w);
	fd_fini(&fd);
	/* What lies in the pipe is read at once: nobody writes any more. */
	if (!x->ended && !x->late && status == 0)
		on_out(&x->out, 0);
	else
		finish(x, status);
}

static void
on_late(struct loop_timer *t)
{
	struct helper *x = LOOP_OF(t, struct helper, limit);

	x->late = true;
	if (x->pid > 0)
		end(x); /* its pidfd tells the rest */
	else
		finish(x, 0);
}

/* It is ours until waited for; so is its group, once it has one. */
static void
end(const struct helper *x)
{
	(void)kill(-x->pid, SIGKILL);
	(void)kill(x->pid, SIGKILL);
}

static void
finish(struct helper *x, int status)
{
	struct helpers *h = x->all;
	own_fd int fd = -1;
	struct err e = {};

	if (x->late)
		(void)err_set(&e, "the command took more than %d s",
		    SECRET_COMMAND_MS / 1000);
	else if (x->over)
		(void)err_set(&e, "the command printed more than %d bytes",
		    SECRET_FILE_MAX_BYTES);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		(void)err_set(&e, "the command could not be executed");
	else if (status != 0)
		(void)err_set(&e, "the command failed (%s %d)",
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status)
					: WEXITSTATUS(status));
	else
		fd = fd_sealed(x->bytes, x->n, &e);
	h->hear.done(x->run, x->index, fd, e.text);
	helper_free(x);
}

static void
helper_free(struct helper *x)
{
	struct helpers *h = x->all;
	struct helper **at = &h->first;
	int fd;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	h->n--;
	loop_timer_clear(h->loop, &x->limit);
	if (x->out.fd >= 0) {
		fd = loop_remove(h->loop, &x->out);
		fd_fini(&fd);
	}
	if (x->exit.fd >= 0) {
		fd = loop_remove(h->loop, &x->exit);
		fd_fini(&fd);
	}
	if (x->pid > 0) {
		end(x);
		while (waitpid(x->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	locked_fini(&x->mem);
	free(x);
}
