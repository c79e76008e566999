#include "supervisor/giveback.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/fd.h"

enum {
	TELL_FD = 3,
	UPPER_FD,
	FOLDER_FD,
	MOUNT_FD, /* first of planted_folder.fd */
	FIRST_FREE = 16, /* above all of them */
	WHY_END = UINT8_MAX, /* not of enum commit_why */
	WHY_PLANTED = UINT8_MAX - 1, /* likewise */
};

/* One packet. */
struct told {
	uint8_t why;
	char text[PATH_MAX]; /* with a NUL */
};
_Static_assert(MOUNT_FD + MOUNTS_MAX <= FIRST_FREE, "room for all");

/* In the process that writes. */
static bool unsaid;

static void write_main(int tell, int upper, int folder,
    const struct protect *protect, struct planted planted);
static void tell_planted(void *arg, const char *path);
static void tell_path(void *arg, enum commit_why why, const char *path);
static void say(int fd, unsigned why, const char *text);
static void on_heard(struct loop_watch *watch, uint32_t events);

int
giveback_start(struct giveback *w, int upper, int folder,
    const struct protect *protect, const struct planted *planted, struct err *e)
{
	own_fd int ours = -1, theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	w->heard = (struct loop_watch){
		.fd = ours,
		.events = EPOLLIN,
		.on_ready = on_heard,
	};
	if (loop_add(w->loop, &w->heard, e) < 0)
		return -1;
	w->pid = fork();
	if (w->pid == 0)
		write_main(theirs, upper, folder, protect, *planted);
	if (w->pid < 0) {
		w->pid = 0;
		(void)err_sys(e, "fork");
		(void)loop_remove(w->loop, &w->heard);
		return -1;
	}
	(void)fd_take(&ours);
	return 0;
}

void
giveback_fini(struct giveback *w)
{
	if (w->pid == 0)
		return;
	(void)close(
	    loop_remove(w->loop, &w->heard)); /* it is told EPIPE, goes on */
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	w->pid = 0;
}

/* planted is a copy: the descriptors in it get new numbers. */
static void
write_main(int tell, int upper, int folder, const struct protect *protect,
    struct planted planted)
{
	struct commit c = { .protect = *protect, .tell = tell_path };
	struct err e = {};
	bool ok = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0;
	int *fd[3 + MOUNTS_MAX] = { &tell, &upper, &folder };
	int n = 3;

	for (unsigned i = 0; i < planted.n; i++)
		fd[n++] = &planted.folder[i].fd;
	for (int i = 0; ok && i < n; i++) {
		if (*fd[i] < 0)
			continue;
		*fd[i] = fcntl(*fd[i], F_DUPFD_CLOEXEC, FIRST_FREE);
		ok = *fd[i] >= 0;
	}
	for (int i = 0; ok && i < n; i++) {
		if (*fd[i] < 0)
			(void)close(TELL_FD + i); /* if it is there */
		else
			ok = dup2(*fd[i], TELL_FD + i) >= 0;
		*fd[i] = *fd[i] < 0 ? -1 : TELL_FD + i;
	}
	ok = ok && fd_close_from(TELL_FD + n, &e) == 0;
	ok = ok && (geteuid() != 0 || setgroups(0, NULL) == 0);
	if (!ok)
		_exit(1);
	(void)planted_tell(&planted, tell_planted, NULL);
	if (upper >= 0 && commit_folder(&c, upper, folder, &e) < 0)
		say(TELL_FD, WHY_END, e.text);
	else
		say(TELL_FD, WHY_END,
		    unsaid ? "not all of what became of it was told" : "");
	_exit(0);
}

static void
tell_planted(void *arg, const char *path)
{
	(void)arg;
	say(TELL_FD, WHY_PLANTED, path);
}

static void
tell_path(void *arg, enum commit_why why, const char *path)
{
	(void)arg;
	say(TELL_FD, why, path);
}

static void
say(int fd, unsigned why, const char *text)
{
	struct told m = { .why = (uint8_t)why };
	size_t n = strnlen(text, sizeof(m.text) - 1);

	memcpy(m.text, text, n);
	/* What is begun is done, whoever listens; but the end is no good one
	 * when a name was lost on the way. */
	if (send(fd, &m, offsetof(struct told, text) + n + 1, MSG_NOSIGNAL) < 0)
		unsaid = true;
}

static void
on_heard(struct loop_watch *watch, uint32_t events)
{
	struct giveback *w = LOOP_OF(watch, struct giveback, heard);
	struct told m;
	ssize_t n = recv(watch->fd, &m, sizeof(m), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 1)
		m.text[n - 2] = '\0';
	if (n > 1 && m.why == WHY_PLANTED) {
		w->on_planted(w, m.text);
		return;
	}
	if (n > 1 && m.why != WHY_END) {
		w->on_told(w, (enum commit_why)m.why, m.text);
		return;
	}
	giveback_fini(w);
	w->on_end(w,
	    n <= 1 ? "the process that looks after it has ended"
		: m.text[0] != '\0' ? m.text
				    : NULL);
}
