#include "init/request.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fd.h"

/* Fields of struct rpc_request that a kind uses. */
enum field {
	USES_RANGE = 1 << 0, /* offset */
	USES_MAX = 1 << 1,
	USES_TARGET = 1 << 2,
	USES_COUNTS = 1 << 3, /* argc, envc */
	USES_MODE = 1 << 4,
	USES_SIGNO = 1 << 5,
	USES_SIZE = 1 << 6, /* rows, cols */
	USES_PORT = 1 << 7,
};

static const struct {
	unsigned fields;
	unsigned flags;
	unsigned strings; /* EXEC: besides argc and envc */
	unsigned fds;
} rules[RPC_KINDS] = {
	[RPC_EXEC] = { USES_COUNTS | USES_SIZE,
	    RPC_EXEC_TTY | RPC_EXEC_PIPES | RPC_EXEC_BARE_ENV, 1, 3 },
	[RPC_SIGNAL] = { USES_TARGET | USES_SIGNO, 0, 0, 0 },
	[RPC_WINSIZE] = { USES_TARGET | USES_SIZE, 0, 0, 0 },
	[RPC_FILE_GET] = { USES_RANGE | USES_MAX, 0, 1, 1 },
	[RPC_FILE_PUT] = { USES_MODE | USES_MAX,
	    RPC_PUT_TRUNCATE | RPC_PUT_APPEND | RPC_PUT_ATOMIC | RPC_PUT_NEW, 1,
	    1 },
	[RPC_FILE_LS] = { 0, RPC_RECURSIVE, 1, 1 },
	[RPC_FILE_STAT] = { 0, RPC_FOLLOW, 1, 1 },
	[RPC_FILE_MKDIR] = { USES_MODE, RPC_PARENTS, 1, 0 },
	[RPC_FILE_RM] = { 0, RPC_RECURSIVE, 1, 0 },
	[RPC_FILE_RENAME] = { 0, RPC_NO_REPLACE, 2, 0 },
	[RPC_FILE_WATCH] = { 0, 0, 1, 1 },
	[RPC_PORT] = { USES_PORT, 0, 0, 0 },
	[RPC_PROCESSES] = { 0, 0, 0, 1 },
};

static void take_fds(struct msghdr *m, struct request *r);
static bool is_right(const struct request *r);
static bool fields_are_right(const struct rpc_request *q);
static bool payload_is_right(const struct request *r);
static bool fds_are_right(const struct request *r);
static bool is_replaced(
    const char *base, const char *const *env, unsigned n_env);

enum request_got
request_receive(int fd, struct request *r)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * RPC_MAX_FDS)];
	} control;
	struct iovec parts[2] = {
		{ .iov_base = &r->q, .iov_len = sizeof(r->q) },
		{ .iov_base = r->payload, .iov_len = RPC_MAX_PAYLOAD_BYTES },
	};
	struct msghdr m = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	r->n_fds = 0;
	r->n = 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? REQUEST_NONE
							 : REQUEST_WRONG;
	take_fds(&m, r);
	r->no_room = (m.msg_flags & MSG_CTRUNC) != 0;
	if ((m.msg_flags & MSG_TRUNC) == 0 && (size_t)n >= sizeof(r->q)) {
		r->n = (size_t)n - sizeof(r->q);
		if (is_right(r))
			return REQUEST_WHOLE;
	}
	request_fini(r);
	return REQUEST_WRONG;
}

void
request_fini(struct request *r)
{
	while (r->n_fds > 0)
		fd_fini(&r->fds[--r->n_fds]);
}

const char *
request_command(const struct request *r, char *const *base_env, struct start *s)
{
	const char *at = r->payload;
	const char **argv = s->strings;
	const char **env = argv + r->q.argc + 1;
	const char **out;

	s->cwd = at;
	at += strlen(at) + 1;
	for (unsigned i = 0; i < r->q.argc; i++) {
		argv[i] = at;
		at += strlen(at) + 1;
	}
	argv[r->q.argc] = NULL;
	for (unsigned i = 0; i < r->q.envc; i++) {
		env[i] = at;
		if (at[0] == '=' || strchr(at, '=') == NULL)
			return "environment: a string is not NAME=value";
		at += strlen(at) + 1;
	}
	out = env + r->q.envc;
	if ((r->q.flags & RPC_EXEC_BARE_ENV) == 0) {
		unsigned n = 0;

		for (; base_env[n] != NULL; n++) {
			if (n == RPC_MAX_BASE_ENV)
				return "environment: the sandbox's own is too "
				       "large to be added to";
			if (!is_replaced(base_env[n], env, r->q.envc))
				*out++ = base_env[n];
		}
	}
	*out = NULL;
	s->argv = argv;
	s->envp = env;
	return NULL;
}

static void
take_fds(struct msghdr *m, struct request *r)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	/* One header is all that this kind of socket sends. */
	if (c == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
		return;
	r->n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(r->fds, CMSG_DATA(c), r->n_fds * sizeof(int));
}

static bool
is_right(const struct request *r)
{
	if (r->q.kind == 0 || r->q.kind >= RPC_KINDS)
		return false;
	return fields_are_right(&r->q) && payload_is_right(r) &&
	    fds_are_right(r);
}

static bool
fields_are_right(const struct rpc_request *q)
{
	const unsigned uses = rules[q->kind].fields;
	const unsigned outer = RPC_EXEC_TTY | RPC_EXEC_PIPES;

	if ((q->flags & ~rules[q->kind].flags) != 0 || q->zero != 0 ||
	    (q->kind == RPC_EXEC && (q->flags & outer) == outer))
		return false;
	return ((uses & USES_RANGE) != 0 || q->offset == 0) &&
	    ((uses & USES_MAX) != 0 || q->max_bytes == 0) &&
	    ((uses & USES_TARGET) != 0 || q->target == 0) &&
	    ((uses & USES_COUNTS) != 0 || (q->argc == 0 && q->envc == 0)) &&
	    ((uses & USES_SIZE) != 0 || (q->rows == 0 && q->cols == 0)) &&
	    ((uses & USES_PORT) != 0 ? q->port != 0 : q->port == 0) &&
	    ((uses & USES_MODE) != 0 ? q->mode <= 0777 : q->mode == 0) &&
	    ((uses & USES_SIGNO) != 0 ? q->signo > 0 && q->signo < NSIG
				      : q->signo == 0);
}

/* As many strings as there have to be, and no byte behind them. */
static bool
payload_is_right(const struct request *r)
{
	size_t want = rules[r->q.kind].strings, got = 0;

	if (r->q.kind == RPC_EXEC) {
		if (r->q.argc == 0 || r->q.argc > RPC_MAX_STRINGS ||
		    r->q.envc > RPC_MAX_STRINGS - r->q.argc)
			return false;
		want += r->q.argc + r->q.envc;
	}
	for (size_t i = 0; i < r->n; i++)
		got += r->payload[i] == '\0';
	return got == want && (r->n == 0 || r->payload[r->n - 1] == '\0');
}

/*
 * A directory would lead out, past the mount namespace; so would a path
 * descriptor, or a disk. For the contents of files only a stream is needed.
 */
static bool
fds_are_right(const struct request *r)
{
	const bool exec = r->q.kind == RPC_EXEC;
	unsigned want = rules[r->q.kind].fds;

	if (exec && (r->q.flags & (RPC_EXEC_TTY | RPC_EXEC_PIPES)) != 0)
		want = 0;
	if (r->no_room)
		return true; /* it is refused for that */
	if (r->n_fds != want)
		return false;
	for (unsigned i = 0; i < r->n_fds; i++) {
		int flags = fcntl(r->fds[i], F_GETFL);
		struct stat st;

		if (flags < 0 || (flags & O_PATH) != 0 ||
		    fstat(r->fds[i], &st) < 0)
			return false;
		if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
			continue;
		if (!exec || (!S_ISCHR(st.st_mode) && !S_ISREG(st.st_mode)))
			return false;
	}
	return true;
}

static bool
is_replaced(const char *base, const char *const *env, unsigned n_env)
{
	size_t n = strcspn(base, "=");

	for (unsigned i = 0; i < n_env; i++) {
		if (strncmp(base, env[i], n) == 0 && env[i][n] == '=')
			return true;
	}
	return false;
}
