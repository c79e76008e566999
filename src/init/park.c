#include "init/park.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "init/init.h"
#include "sandbox/control.h"
#include "sys/fd.h"
#include "sys/landlock.h"

enum { WORDS_MAX = CONTROL_WAKE_BYTES / 2 }; /* a letter and a NUL each */

struct words {
	char *at;
	char *end;
	bool broken;
};

/* Touched only when the message has come: a parked process stays small. */
static _Alignas(8) char message[CONTROL_WAKE_BYTES];
static char *list[WORDS_MAX + 8];

static ssize_t hear(int stdio[static 3]);
static char *next_word(struct words *w);
static int get_ready(bool rules, const char *work, const char *start,
    int stdio[static 3], struct err *e);
static int confine(const char *work, bool told, struct err *e);
static int fail(const struct err *e);
static void show_mode(char **argv);

int
park_main(char **argv)
{
	const struct control_wake *wake = (const void *)message;
	struct err e = {};
	struct words w;
	char **at = list, **envp, *work, *start;
	int stdio[3] = { -1, -1, -1 };
	/* First, since other files take the numbers that are free. Not there
	 * on a kernel without Landlock, or when they are in force already. */
	bool rules = fcntl(CONTROL_RULES_FD, F_GETFD) >= 0;
	struct init init;
	ssize_t n;

	if (argv[2] == NULL || init_prepare(argv[2], &init) != 0)
		return 2;
	n = hear(stdio);
	if (n <= 0)
		return 0; /* never needed */
	w = (struct words){ message + sizeof(*wake), message + n, false };
	work = next_word(&w);
	start = next_word(&w);
	if (n < (ssize_t)sizeof(*wake) || wake->argc > WORDS_MAX / 2 ||
	    wake->envc > WORDS_MAX / 2) {
		(void)err_set(&e, "a wrong message to a parked sandbox");
		return fail(&e);
	}
	show_mode(argv);
	for (uint32_t i = 0; i < wake->argc; i++)
		*at++ = next_word(&w);
	*at++ = NULL;
	envp = at;
	for (uint32_t i = 0; i < wake->envc; i++)
		*at++ = next_word(&w);
	*at = NULL;
	if (w.broken || w.at != w.end) {
		(void)err_set(&e, "a wrong message to a parked sandbox");
		return fail(&e);
	}
	if (get_ready(rules, work, start, stdio, &e) < 0)
		return fail(&e);
	return init_run(&init, list, envp);
}

/*
 * What ps shows is no longer CONTROL_PARK, but the mode behind it: the kernel
 * reads the arguments where it once laid them, one behind the other.
 */
static void
show_mode(char **argv)
{
	size_t all = (size_t)(argv[2] - argv[1]) + strlen(argv[2]);
	size_t n = strlen(argv[2]);

	memmove(argv[1], argv[2], n);
	memset(argv[1] + n, 0, all - n);
}

/* The message's length; 0 when the caller is gone. */
static ssize_t
hear(int stdio[static 3])
{
	const struct control_wake *wake = (const void *)message;
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * 3)];
	} control;
	struct iovec part = { .iov_base = message, .iov_len = sizeof(message) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *c;
	int fd[3];
	size_t got = 0, k = 0;
	ssize_t n = recvmsg(CONTROL_FD, &m, MSG_CMSG_CLOEXEC);

	if (n <= 0 || (m.msg_flags & MSG_TRUNC) != 0)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fd, CMSG_DATA(c), got * sizeof(int));
	}
	for (unsigned i = 0; i < 3; i++) {
		if ((wake->streams & 1U << i) != 0 && k < got)
			stdio[i] = fd[k++];
	}
	return n;
}

static char *
next_word(struct words *w)
{
	char *word = w->at;
	size_t left = w->at < w->end ? (size_t)(w->end - w->at) : 0;
	size_t n = strnlen(word, left);

	if (n == left) {
		w->broken = true;
		return NULL;
	}
	w->at += n + 1;
	return word;
}

static int
get_ready(bool rules, const char *work, const char *start, int stdio[static 3],
    struct err *e)
{
	const struct control_wake *wake = (const void *)message;
	struct control_request go;

	for (int i = 0; i < 3; i++) {
		if (stdio[i] < 0)
			continue;
		if (dup2(stdio[i], i) < 0)
			return err_sys(e, "dup2 standard stream %d", i);
		(void)close(stdio[i]); /* two of each are one too many */
	}
	if (recv(CONTROL_FD, &go, sizeof(go), 0) != (ssize_t)sizeof(go))
		return err_set(e, "the caller is gone");
	if (rules && confine(work, wake->explain != 0, e) < 0)
		return -1;
	if (chdir(start) < 0)
		return err_sys(e, "chdir %s", start);
	return 0;
}

/* The rules that the builder made, with the work folder in addition. */
static int
confine(const char *work, bool told, struct err *e)
{
	const int abi = landlock_abi();
	own_fd int rules = CONTROL_RULES_FD;

	if (landlock_allow(rules, abi, AT_FDCWD, work, LANDLOCK_WRITE, e) < 0)
		return -1;
	return landlock_enforce_strangers(rules, abi, told, e);
}

static int
fail(const struct err *e)
{
	struct control_report report = {
		.kind = CONTROL_FAILED,
		.value = (uint32_t)e->sys,
	};

	memcpy(report.text, e->text, sizeof(report.text));
	(void)send(CONTROL_FD, &report, sizeof(report), MSG_NOSIGNAL);
	return 1;
}
