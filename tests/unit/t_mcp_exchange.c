/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "init/mcp_exchange.h"
#include "sys/fd.h"

enum { PATIENCE_MS = 5000 };

static int calls, fail_at, fail_errno;

int __real_socket(int domain, int type, int protocol);
int __real_setsockopt(
    int fd, int level, int name, const void *value, socklen_t n);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __real_connect(int fd, const struct sockaddr *a, socklen_t n);
ssize_t __real_send(int fd, const void *p, size_t n, int flags);
ssize_t __real_recv(int fd, void *p, size_t n, int flags);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_setsockopt(
    int fd, int level, int name, const void *value, socklen_t n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t n);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);

static bool
fails_now(void)
{
	if (++calls != fail_at)
		return false;
	errno = fail_errno;
	return true;
}

int
__wrap_socket(int domain, int type, int protocol)
{
	return fails_now() ? -1 : __real_socket(domain, type, protocol);
}

int
__wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	return fails_now() ? -1 : __real_setsockopt(fd, level, name, value, n);
}

int
__wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
	return fails_now() ? -1 : __real_getsockopt(fd, level, name, value, n);
}

int
__wrap_connect(int fd, const struct sockaddr *a, socklen_t n)
{
	return fails_now() ? -1 : __real_connect(fd, a, n);
}

ssize_t
__wrap_send(int fd, const void *p, size_t n, int flags)
{
	return fails_now() ? -1 : __real_send(fd, p, n, flags);
}

ssize_t
__wrap_recv(int fd, void *p, size_t n, int flags)
{
	return fails_now() ? -1 : __real_recv(fd, p, n, flags);
}

static int
open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		int copy = dup(fd);

		if (copy < 0)
			continue;
		count++;
		assert_int_equal(close(copy), 0);
	}
	return count;
}

/* A listening socket on a free port, and its address. */
static int
listen_on(struct mcp_url *to)
{
	struct sockaddr_in *a = (struct sockaddr_in *)&to->addr;
	int fd = __real_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to->addr_bytes = sizeof(*a);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&to->addr, to->addr_bytes), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(
	    getsockname(fd, (struct sockaddr *)&to->addr, &to->addr_bytes), 0);
	return fd;
}

static int
wait_for(struct exchange *x, struct err *e)
{
	struct pollfd p = { .fd = x->fd, .events = exchange_events(x) };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	return exchange_ready(x, p.revents, e);
}

/* One exchange with a server that is played here. *peer is its connection. */
static int
exchange_once(struct exchange *x, int door, const struct mcp_url *to, int *peer,
    const char *answer, struct err *e)
{
	char request[16];

	buf_reset(&x->out);
	buf_add_c(&x->out, "REQUEST");
	if (exchange_start(x, to, e) < 0)
		return -1;
	while (x->state == EXCHANGE_CONNECT || x->sent < x->out.n) {
		if (wait_for(x, e) < 0)
			return -1;
	}
	if (*peer < 0)
		*peer = accept(door, NULL, NULL);
	assert_int_equal(read(*peer, request, sizeof(request)), 7);
	assert_int_equal(write(*peer, answer, strlen(answer)), strlen(answer));
	while (x->state != EXCHANGE_DONE) {
		if (wait_for(x, e) < 0)
			return -1;
	}
	return 0;
}

static const char answer[] =
    "HTTP/1.1 100 Continue\r\n\r\n"
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    "Mcp-Session-Id: abc\r\nContent-Length: 2\r\n\r\n{}";

static void
every_failing_call_is_reported_and_leaks_no_fd(void **state)
{
	struct mcp_url to = {};
	own_fd int door = listen_on(&to);
	int before = open_fds();

	(void)state;
	fail_errno = EIO;
	for (fail_at = 1;; fail_at++) {
		struct exchange x = { .fd = -1 };
		struct err e = {};
		own_fd int peer = -1;
		int r;

		calls = 0;
		r = exchange_once(&x, door, &to, &peer, answer, &e);
		if (r < 0) {
			assert_int_equal(e.sys, EIO);
			/* Its connection waits there, if it got so far. */
			if (peer < 0 && calls > 3)
				peer = accept(door, NULL, NULL);
		}
		exchange_fini(&x);
		fd_fini(&peer);
		assert_int_equal(open_fds(), before);
		if (r == 0)
			break;
	}
	/* socket, setsockopt, connect, perhaps getsockopt, send, recv */
	assert_true(fail_at == 6 || fail_at == 7);
	fail_at = 0;
}

static void
interrupted_and_empty_calls_go_on(void **state)
{
	static const int harmless[] = { EAGAIN, EINTR };
	struct mcp_url to = {};
	own_fd int door = listen_on(&to);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct exchange x = { .fd = -1 };
		own_fd int peer = -1;
		struct err e = {};
		int first;

		fail_at = 0;
		calls = 0;
		assert_int_equal(
		    exchange_once(&x, door, &to, &peer, answer, &e), 0);
		first = calls;
		exchange_end(&x);

		/* The second one is recv (is it good), send, recv. */
		fail_errno = harmless[i];
		for (fail_at = first + 1; fail_at <= first + 3; fail_at++) {
			calls = first;
			assert_int_equal(
			    exchange_once(&x, door, &to, &peer, answer, &e), 0);
			exchange_end(&x);
			assert_int_equal(x.state, EXCHANGE_IDLE);
		}
		fail_at = 0;
		exchange_fini(&x);
	}
}

static void
connection_is_kept_while_both_sides_want_it(void **state)
{
	static const struct {
		const char *answer;
		bool kept;
	} rows[] = {
		{ answer, true },
		{ "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "2\r\n{}\r\n0\r\n\r\n",
		    true },
		{ "HTTP/1.1 200 OK\r\nConnection: close\r\n"
		  "Content-Length: 0\r\n\r\n",
		    false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false },
		{ "HTTP/1.1 204 No Content\r\n\r\nmore", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mcp_url to = {};
		own_fd int door = listen_on(&to);
		struct exchange x = { .fd = -1 };
		own_fd int peer = -1;
		struct err e = {};

		assert_int_equal(
		    exchange_once(&x, door, &to, &peer, rows[i].answer, &e), 0);
		if (rows[i].answer == answer) {
			assert_int_equal(x.status, 200);
			assert_true(x.is_json);
			assert_string_equal(x.session, "abc");
			assert_true(str_eq_c(buf_str(&x.content), "{}"));
		}
		exchange_end(&x);
		assert_int_equal(x.state == EXCHANGE_IDLE, rows[i].kept);
		assert_int_equal(x.fd >= 0, rows[i].kept);

		/* When the server has gone, the next one connects anew. */
		fd_fini(&peer);
		assert_int_equal(
		    exchange_once(&x, door, &to, &peer, answer, &e), 0);
		exchange_fini(&x);
	}
}

static void
answers_that_are_wrong_are_refused(void **state)
{
	static const struct {
		const char *answer;
		const char *why;
	} rows[] = {
		{ "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "LF without CR" },
		{ "HTTP/1.1 101 Switching\r\n\r\n", "switched protocols" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n",
		    "body over the limit" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "0x2\r\n",
		    "chunk size" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mcp_url to = {};
		own_fd int door = listen_on(&to);
		struct exchange x = { .fd = -1 };
		own_fd int peer = -1;
		struct err e = {};

		assert_int_equal(
		    exchange_once(&x, door, &to, &peer, rows[i].answer, &e),
		    -1);
		assert_non_null(strstr(e.text, rows[i].why));
		exchange_fini(&x);
	}
}

static void
body_without_a_length_ends_with_the_connection(void **state)
{
	struct mcp_url to = {};
	own_fd int door = listen_on(&to);
	struct exchange x = { .fd = -1 };
	own_fd int peer = -1;
	struct err e = {};

	(void)state;
	buf_add_c(&x.out, "REQUEST");
	assert_int_equal(exchange_start(&x, &to, &e), 0);
	while (x.state == EXCHANGE_CONNECT)
		assert_int_equal(wait_for(&x, &e), 0);
	peer = accept(door, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(write(peer, "HTTP/1.1 200 OK\r\n\r\n{", 20), 20);
	assert_int_equal(wait_for(&x, &e), 0);
	assert_int_equal(x.state, EXCHANGE_OPEN);
	assert_int_equal(write(peer, "}", 1), 1);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	while (x.state != EXCHANGE_DONE)
		assert_int_equal(wait_for(&x, &e), 0);
	assert_true(str_eq_c(buf_str(&x.content), "{}"));
	exchange_end(&x);
	assert_int_equal(x.state, EXCHANGE_FREE);
	exchange_fini(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_failing_call_is_reported_and_leaks_no_fd),
		cmocka_unit_test(interrupted_and_empty_calls_go_on),
		cmocka_unit_test(connection_is_kept_while_both_sides_want_it),
		cmocka_unit_test(answers_that_are_wrong_are_refused),
		cmocka_unit_test(
		    body_without_a_length_ends_with_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
