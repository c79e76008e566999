#include "image/unpack.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "image/jail.h"
#include "sys/fd.h"

enum { CHUNK_BYTES = 128 * 1024, REPORT_MARK = 0x70616464 };

#define MIB ((uint64_t)1024 * 1024)

/* What the process says last. */
struct report {
	uint32_t mark;
	int32_t ok; /* 1, or 0: text says why */
	struct untar_count count;
	struct hash unpacked;
	char text[ERR_TEXT_BYTES];
};

/* The pieces that come over the link. */
struct feed {
	char piece[CHUNK_BYTES];
};

_Noreturn static void child(
    int link, int dir, bool layer, const struct untar_limits *limits);
static ssize_t on_read(void *arg, const void **p);
static int read_report(int fd, struct report *r);
static int explain(int status, struct err *e);

struct untar_limits
unpack_limits(void)
{
	return (struct untar_limits){
		.entries = IMAGE_MAX_ENTRIES,
		.bytes = IMAGE_MAX_MB * MIB,
		.file_bytes = IMAGE_MAX_FILE_MB * MIB,
		.ratio = IMAGE_MAX_RATIO,
		.ratio_free_bytes = IMAGE_RATIO_FREE_MB * MIB,
	};
}

int
unpack_own(int dir, struct err *e)
{
	/* EINVAL: the uid is not mapped here. */
	if (geteuid() == 0 && fchown(dir, UNPACK_UID, UNPACK_UID) < 0 &&
	    errno != EINVAL)
		return err_sys(e, "give the directory to uid %d", UNPACK_UID);
	return 0;
}

int
unpack_start(struct unpack *u, int dir, bool layer,
    const struct untar_limits *limits, struct err *e)
{
	own_fd int ours = -1, theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return err_sys(e, "fork");
	if (pid == 0)
		child(theirs, dir, layer, limits);
	u->pid = pid;
	u->link = fd_take(&ours);
	return 0;
}

int
unpack_feed(struct unpack *u, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t sent = send(u->link, at, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		/* It has failed and gone: the report waits to be read. */
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 1;
		if (sent < 0)
			return err_sys(e, "send to the process that unpacks");
		at += sent;
		n -= (size_t)sent;
	}
	return 0;
}

int
unpack_end(struct unpack *u, struct untar_count *count, struct hash *unpacked,
    struct err *e)
{
	struct report r;
	bool whole;
	int status;

	(void)shutdown(u->link, SHUT_WR); /* fails when it has gone */
	whole = read_report(u->link, &r) == 0;
	while (waitpid(u->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	u->pid = 0;
	fd_fini(&u->link);
	if (!whole || r.mark != REPORT_MARK ||
	    memchr(r.text, '\0', sizeof(r.text)) == NULL)
		return explain(status, e);
	if (r.ok != 1)
		return err_set(e, "%s", r.text);
	if (status != 0)
		return explain(status, e);
	*count = r.count;
	*unpacked = r.unpacked;
	return 0;
}

void
unpack_fini(struct unpack *u)
{
	if (u->pid > 0) {
		(void)kill(u->pid, SIGKILL); /* gone already is as good */
		while (waitpid(u->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		fd_fini(&u->link);
	}
	u->pid = 0;
}

_Noreturn static void
child(int link, int dir, bool layer, const struct untar_limits *limits)
{
	static struct feed feed;
	const struct untar_source source = { on_read, &feed };
	const struct untar_limits l = *limits;
	struct report r = { .mark = REPORT_MARK };
	struct err e = {};

	/* In a copy of the parent's memory: none of it is used any more but
	 * what is here. */
	if (jail_enter(link, dir, l.file_bytes, &e) == 0 &&
	    untar(&source, JAIL_DIR, layer, &l, &r.count, &r.unpacked, &e) == 0)
		r.ok = 1;
	memcpy(r.text, e.text, sizeof(r.text));
	if (fd_write_all(JAIL_LINK, &r, sizeof(r), &e) < 0)
		_exit(1);
	_exit(0);
}

static ssize_t
on_read(void *arg, const void **p)
{
	struct feed *f = arg;
	ssize_t n;

	do {
		n = read(JAIL_LINK, f->piece, sizeof(f->piece));
	} while (n < 0 && errno == EINTR);
	*p = f->piece;
	return n;
}

static int
read_report(int fd, struct report *r)
{
	size_t have = 0;

	while (have < sizeof(*r)) {
		ssize_t n = read(fd, (char *)r + have, sizeof(*r) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		have += (size_t)n;
	}
	return 0;
}

/* It ended without a word. */
static int
explain(int status, struct err *e)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return err_set(e, "unpacking took more than %d s of CPU",
		    IMAGE_UNPACK_CPU_S);
	if (WIFSIGNALED(status))
		return err_set(e, "the process that unpacks was killed: %s",
		    strsignal(WTERMSIG(status)));
	return err_set(e, "the process that unpacks ended with status %d",
	    WIFEXITED(status) ? WEXITSTATUS(status) : status);
}
