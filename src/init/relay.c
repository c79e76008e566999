#include "init/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/init.h"
#include "sandbox/control.h"
#include "sys/fd.h"

enum {
	STREAMS = 2,
	FIRST = 1, /* standard output */
	CHUNK_BYTES = 64 * 1024,
	EXIT_OVER = 3, /* the limit is reached */
	FDS_OF_INIT = 32, /* PID 1 has no more open at its start */
};

struct stream {
	int from;
	bool terminal;
	bool last_c2; /* the last byte may begin a control character */
};

static void relay_main(
    const int from[STREAMS], int go_on, uint64_t limit_bytes);
static bool pass_on(struct stream *s, int to, uint64_t *left);
static void clean(struct stream *s, unsigned char *p, size_t n);

int
relay_start(struct relay *r, uint64_t limit_bytes)
{
	int pipes[STREAMS + 1][2], from[STREAMS];

	*r = (struct relay){ .go_on = -1 };
	if (limit_bytes == 0)
		return 0;
	for (int i = 0; i <= STREAMS; i++) {
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			return -1; /* PID 1 ends now, and closes them */
	}
	for (int i = 0; i < STREAMS; i++)
		from[i] = pipes[i][0];
	r->pid = fork();
	if (r->pid == 0) {
		for (int i = 0; i <= STREAMS; i++)
			(void)close(pipes[i][1]); /* the other side's */
		relay_main(from, pipes[STREAMS][0], limit_bytes);
	}
	if (r->pid < 0)
		return -1;
	for (int i = 0; i < STREAMS; i++) {
		if (dup2(pipes[i][1], FIRST + i) < 0)
			return -1;
		(void)close(pipes[i][0]); /* the relay's */
		(void)close(pipes[i][1]); /* is at its place */
	}
	(void)close(pipes[STREAMS][0]); /* the relay's */
	r->go_on = pipes[STREAMS][1];
	return 0;
}

void
relay_reaped(const struct relay *r, pid_t pid, int status)
{
	if (r->pid == 0 || pid != r->pid)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	/* Killed, by want of memory for one: what is printed now is lost. */
	init_report(CONTROL_OUTPUT, 0);
	_exit(0);
}

void
relay_finish(struct relay *r)
{
	own_fd int null = -1;
	int status;

	if (r->pid == 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < STREAMS && null >= 0; i++)
		(void)dup2(null, FIRST + i);
	fd_fini(&r->go_on);
	while (waitpid(r->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return; /* it was waited for, and had ended well */
	}
	relay_reaped(r, r->pid, status);
	r->pid = 0;
}

/* Until both are closed; or, when the command has ended, until both are empty:
 * what it left behind may hold them open for ever. */
static void
relay_main(const int from[STREAMS], int go_on, uint64_t limit_bytes)
{
	struct stream stream[STREAMS];
	struct pollfd wait[STREAMS + 1] = {
		{ .fd = from[0], .events = POLLIN },
		{ .fd = from[1], .events = POLLIN },
		{ .fd = go_on },
	};
	uint64_t left = limit_bytes;

	/* PID 1's sockets are not to stay open here. */
	for (int fd = CONTROL_FD; fd < FDS_OF_INIT; fd++) {
		if (fd != from[0] && fd != from[1] && fd != go_on)
			(void)close(fd); /* most are not there */
	}
	(void)signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < STREAMS; i++)
		stream[i] =
		    (struct stream){ from[i], isatty(FIRST + i) == 1, false };
	for (;;) {
		bool some = false;
		int ready =
		    poll(wait, STREAMS + 1, wait[STREAMS].fd < 0 ? 0 : -1);

		if (ready < 0 && errno != EINTR)
			_exit(EXIT_OVER);
		for (int i = 0; ready > 0 && i < STREAMS; i++) {
			if (wait[i].revents == 0)
				continue;
			some = true;
			if (!pass_on(&stream[i], FIRST + i, &left))
				wait[i].fd = -1;
		}
		if (wait[STREAMS].revents != 0)
			wait[STREAMS].fd = -1; /* once more, and no waiting */
		else if (!some && wait[STREAMS].fd < 0)
			_exit(0);
	}
}

/* False at the end of the stream. */
static bool
pass_on(struct stream *s, int to, uint64_t *left)
{
	static unsigned char room[CHUNK_BYTES];
	ssize_t n = read(s->from, room, sizeof(room));
	size_t all, done = 0;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	all = (uint64_t)n < *left ? (size_t)n : (size_t)*left;
	if (s->terminal)
		clean(s, room, all);
	while (done < all) {
		ssize_t w = write(to, room + done, all - done);

		if (w < 0 && errno == EAGAIN)
			(void)poll(
			    &(struct pollfd){ .fd = to, .events = POLLOUT }, 1,
			    -1);
		else if (w < 0 && errno != EINTR)
			return false; /* its reader is gone: so is the pipe */
		else if (w > 0)
			done += (size_t)w;
	}
	*left -= all;
	if (all < (size_t)n)
		_exit(EXIT_OVER);
	return true;
}

/* C0 but for what lays text out, DEL, and C1, which is two bytes in UTF-8. */
static void
clean(struct stream *s, unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const bool c1 = s->last_c2 && p[i] >= 0x80 && p[i] <= 0x9f;

		s->last_c2 = p[i] == 0xc2;
		if (c1 || p[i] == 0x7f ||
		    (p[i] < 0x20 && p[i] != '\n' && p[i] != '\r' &&
			p[i] != '\t' && p[i] != '\b'))
			p[i] = '?';
	}
}
