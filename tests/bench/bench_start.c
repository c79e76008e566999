/*
 * bench_start SOCKET PADDOCK N
 *
 * What a sandbox costs through the daemon that listens on SOCKET. N times, by
 * turns: PADDOCK, the small static program, is started by posix_spawn to print
 * its version, and waited for; a sandbox is opened, the same is run there up to
 * the answer, and the sandbox is removed. Between them is a pause in which the
 * daemon parks the next one, and the kernel takes the last one down. One kept
 * connection. Prints JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "base/str.h"
#include "sample.h"
#include "sys/fd.h"

enum {
	ANSWER_BYTES = 64 * 1024,
	WARM = 10,
	PAUSE_NS = 40 * 1000 * 1000,
	ANSWER_S = 20,
};

/* What is measured of each round. */
enum part { BARE, OPEN, COMMAND, BOTH, OVER, COMMAND_OVER, PARTS };

static const char *const names[PARTS] = { "bare", "open", "command", "both",
	"over", "command_over" };

static int dial(const char *path, struct err *e);
static int round_trip(
    int fd, const char *program, int64_t ns[static PARTS], struct err *e);
static int bare(const char *program, int64_t *ns, struct err *e);
static int ask(int fd, const char *method, const char *target, const char *body,
    char answer[static ANSWER_BYTES], int64_t *ns, struct err *e);

int
main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	own_buf struct buf out = {};
	struct sample took[PARTS] = {};
	int64_t ns[PARTS];
	struct err e = {};
	own_fd int fd = -1;
	uint64_t n;

	if (argc != 4 || str_to_u64(str_of(argv[3]), &n) < 0 || n == 0) {
		fprintf(stderr, "usage: bench_start SOCKET PADDOCK N\n");
		return 2;
	}
	fd = dial(argv[1], &e);
	for (uint64_t i = 0; fd >= 0 && i < n + WARM; i++) {
		if (round_trip(fd, argv[2], ns, &e) < 0)
			break;
		for (int k = 0; i >= WARM && k < PARTS; k++)
			sample_add(&took[k], ns[k]);
		(void)nanosleep(&pause, NULL);
	}
	if (e.text[0] != '\0') {
		fprintf(stderr, "bench_start: %s\n", e.text);
		return 1;
	}
	for (int k = 0; k < PARTS; k++) {
		buf_printf(&out, "%s\"%s\":", k == 0 ? "{" : ",", names[k]);
		sample_json(&took[k], &out);
		sample_fini(&took[k]);
	}
	printf("%s}\n", buf_c(&out));
	return 0;
}

static int
round_trip(int fd, const char *program, int64_t ns[static PARTS], struct err *e)
{
	static char answer[ANSWER_BYTES];
	char run[64], target[128];
	static const char command[] =
	    "{\"argv\":[\"/run/paddock/paddock\",\"version\"]}";
	const char *at;
	int64_t ignored;

	if (bare(program, &ns[BARE], e) < 0)
		return -1;
	if (ask(fd, "POST", "/v1/sandboxes", "{}", answer, &ns[OPEN], e) < 0)
		return -1;
	at = strstr(answer, "\"run\":\"");
	if (at == NULL || sscanf(at, "\"run\":\"%63[^\"]", run) != 1)
		return err_set(e, "no run: %s", answer);
	(void)snprintf(target, sizeof(target), "/v1/sandboxes/%s/exec", run);
	if (ask(fd, "POST", target, command, answer, &ns[COMMAND], e) < 0)
		return -1;
	if (strstr(answer, "\"exit_status\":0") == NULL)
		return err_set(e, "the command failed: %s", answer);
	(void)snprintf(target, sizeof(target), "/v1/sandboxes/%s", run);
	if (ask(fd, "DELETE", target, NULL, answer, &ignored, e) < 0)
		return -1;
	ns[BOTH] = ns[OPEN] + ns[COMMAND];
	ns[OVER] = ns[BOTH] - ns[BARE];
	ns[COMMAND_OVER] = ns[COMMAND] - ns[BARE];
	return 0;
}

static int
dial(const char *path, struct err *e)
{
	own_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval most = { .tv_sec = ANSWER_S };
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (fd < 0)
		return err_sys(e, "socket");
	if (str_copy(str_of(path), at.sun_path, sizeof(at.sun_path)) < 0)
		return err_set(e, "%s: too long", path);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return err_sys(e, "connect to %s", path);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	return fd_take(&fd);
}

static int
bare(const char *program, int64_t *ns, struct err *e)
{
	char name[] = "paddock", word[] = "version";
	char *argv[] = { name, word, NULL };
	posix_spawn_file_actions_t quiet;
	int64_t began = clock_mono_ns();
	int status, rc;
	pid_t pid;

	must(posix_spawn_file_actions_init(&quiet) == 0);
	must(posix_spawn_file_actions_addopen(
		 &quiet, 1, "/dev/null", O_WRONLY, 0) == 0);
	rc = posix_spawn(&pid, program, &quiet, NULL, argv, environ);
	must(posix_spawn_file_actions_destroy(&quiet) == 0);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "%s", program);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	*ns = clock_mono_ns() - began;
	return 0;
}

/* The body of an answer that is not an error, with a NUL. */
static int
ask(int fd, const char *method, const char *target, const char *body,
    char answer[static ANSWER_BYTES], int64_t *ns, struct err *e)
{
	own_buf struct buf request = {};
	int64_t began = clock_mono_ns();
	size_t n = 0, length = 0;
	char *head = NULL;
	const char *at;

	buf_printf(&request,
	    "%s %s HTTP/1.1\r\nHost: localhost\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    method, target, body != NULL ? strlen(body) : 0,
	    body != NULL ? body : "");
	if (send(fd, request.p, request.n, MSG_NOSIGNAL) != (ssize_t)request.n)
		return err_sys(e, "send");
	while (head == NULL || n < (size_t)(head + 4 - answer) + length) {
		ssize_t r = recv(fd, answer + n, ANSWER_BYTES - 1 - n, 0);

		if (r <= 0)
			return err_set(e, "%s %s: no answer", method, target);
		n += (size_t)r;
		answer[n] = '\0';
		head = strstr(answer, "\r\n\r\n");
		at = head != NULL ? strstr(answer, "Content-Length: ") : NULL;
		if (at != NULL)
			length = strtoul(at + 16, NULL, 10);
	}
	*ns = clock_mono_ns() - began;
	if (n < 12 || answer[9] != '2')
		return err_set(e, "%s %s: %s", method, target, answer);
	memmove(answer, head + 4, n - (size_t)(head + 4 - answer) + 1);
	return 0;
}
