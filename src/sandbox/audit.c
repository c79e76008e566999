#include "sandbox/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "sys/audit.h"
#include "sys/confine.h"
#include "sys/fd.h"

enum { RECORDS_FD = 0, TELL_FD = 1 };

static void become_reader(int binary, int records, int tell);
static int hear(struct audit_join *j, struct err *e);
static int tell_all(struct audit_join *j);
static bool ends(const char *text, size_t cap);

int
audit_reader_start(
    struct audit_reader *r, int binary, int records, struct err *e)
{
	own_fd int ours = -1, theirs = -1;
	int pair[2];

	*r = (struct audit_reader){ .fd = -1, .pid = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	r->pid = fork();
	if (r->pid < 0)
		return err_sys(e, "fork");
	if (r->pid == 0) {
		become_reader(binary, records, theirs);
		_exit(1);
	}
	r->fd = fd_take(&ours);
	return 0;
}

int
audit_reader_next(const struct audit_reader *r, struct audit_denied *out)
{
	ssize_t n = recv(r->fd, out, sizeof(*out), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != (ssize_t)sizeof(*out) || !ends(out->comm, sizeof(out->comm)) ||
	    !ends(out->blockers, sizeof(out->blockers)) ||
	    !ends(out->about, sizeof(out->about)))
		return -1;
	return 1;
}

void
audit_reader_end(struct audit_reader *r)
{
	fd_fini(&r->fd);
	if (r->pid <= 0)
		return;
	(void)kill(r->pid, SIGKILL);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->pid = -1;
}

static bool
ends(const char *text, size_t cap)
{
	return memchr(text, '\0', cap) != NULL;
}

/* In the child: nothing of this process goes along but the two sockets. */
static void
become_reader(int binary, int records, int tell)
{
	static char name[] = AUDIT_READER_NAME;
	char *argv[] = { name, NULL }, *envp[] = { NULL };
	const int pid = (int)getppid();
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct err e = {};

	/* Above what they are put at, and this one below the others. */
	binary = fcntl(binary, F_DUPFD_CLOEXEC, 10);
	records = fcntl(records, F_DUPFD_CLOEXEC, 10);
	tell = fcntl(tell, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || binary < 0 || records < 0 || tell < 0 ||
	    dup2(records, RECORDS_FD) < 0 || dup2(tell, TELL_FD) < 0 ||
	    dup2(null, 2) < 0 ||
	    syscall(SYS_close_range, 3, (unsigned)(binary - 1), 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != pid)
		return;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd_close_from(binary + 1, &e) < 0)
		return;
	(void)syscall(SYS_execveat, binary, "", argv, envp, AT_EMPTY_PATH);
}

int
audit_main(void)
{
	static struct audit_join j; /* too large for the stack */
	struct pollfd wait[2] = {
		{ .fd = RECORDS_FD, .events = POLLIN },
		{ .fd = TELL_FD }, /* its end: nobody listens any more */
	};
	struct err e = {};

	if (audit_hear(RECORDS_FD, &e) < 0 ||
	    confine_role(CONFINE_AUDIT, NULL, &e) < 0)
		return 1;
	for (;;) {
		int n = poll(wait, 2, audit_join_waits(&j) ? 20 : -1);

		if ((n < 0 && errno != EINTR) || wait[1].revents != 0)
			return 0;
		if (n > 0 && wait[0].revents != 0 && hear(&j, &e) < 0)
			return 1;
		if (tell_all(&j) < 0)
			return 0;
	}
}

/* One record. What is lost (ENOBUFS) is lost. */
static int
hear(struct audit_join *j, struct err *e)
{
	static union {
		struct nlmsghdr head;
		char bytes[AUDIT_RECORD_BYTES];
	} m;
	struct audit_record r;
	struct sockaddr_nl from = {};
	socklen_t size = sizeof(from);
	struct str text;
	ssize_t n = recvfrom(RECORDS_FD, &m, sizeof(m), MSG_DONTWAIT,
	    (struct sockaddr *)&from, &size);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS
		    ? 0
		    : err_sys(e, "hear audit");
	/* From the kernel, and nobody else. */
	if (from.nl_pid != 0 || n < NLMSG_HDRLEN)
		return 0;
	text = (struct str){ m.bytes + NLMSG_HDRLEN, (size_t)n - NLMSG_HDRLEN };
	if (audit_record_parse(m.head.nlmsg_type, text, &r) == 0)
		audit_join_add(j, &r, clock_mono_ns() / 1000000);
	return 0;
}

/* Who listens may be slow: then it hears less. -1 when it is gone. */
static int
tell_all(struct audit_join *j)
{
	struct audit_denied d;

	while (audit_join_next(j, clock_mono_ns() / 1000000, &d)) {
		if (send(TELL_FD, &d, sizeof(d), MSG_NOSIGNAL | MSG_DONTWAIT) <
			0 &&
		    errno != EAGAIN)
			return -1;
	}
	return 0;
}
