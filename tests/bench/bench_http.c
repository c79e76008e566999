/*
 * bench_http: what a small request over a kept connection takes.
 *
 * usage: bench_http serve PORT
 *        bench_http get ADDRESS PORT TARGET HOST N    one after the other
 *        bench_http load ADDRESS PORT TARGET HOST CONNECTIONS N
 *
 * The server answers every request with the same 200 and nothing else to do.
 * TARGET is what the request line names: a path, or a URL for a proxy at
 * ADDRESS. `get` prints the times as JSON, `load` requests per second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/must.h"
#include "sample.h"
#include "sys/fd.h"

enum { BATCH = 64, READ_BYTES = 16384, CONNECTIONS_MAX = 1024 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			     "Content-Length: 12\r\n\r\nhello there\n";

static int serve(const char *port);
static void serve_one(int epoll, int fd);
static int get(char **argv);
static int load(char **argv);
static int dial(const char *address, const char *port, struct err *e);
static void request_put(struct buf *b, const char *target, const char *host);
static int one(int fd, struct str request, struct err *e);

int
main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN); /* write(2) says so */
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 7 && strcmp(argv[1], "get") == 0)
		return get(argv + 2);
	if (argc == 8 && strcmp(argv[1], "load") == 0)
		return load(argv + 2);
	fputs("usage: bench_http serve PORT\n"
	      "       bench_http get ADDRESS PORT TARGET HOST N\n"
	      "       bench_http load ADDRESS PORT TARGET HOST CONNECTIONS N\n",
	    stderr);
	return 2;
}

static int
serve(const char *port)
{
	own_fd int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	own_fd int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event ev = { .events = EPOLLIN };
	const int on = 1;
	uint64_t number;

	must(str_to_u64(str_of(port), &number) == 0 && number <= UINT16_MAX);
	at.sin_port = htons((uint16_t)number);
	(void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(listener, SOMAXCONN) < 0) {
		perror("bench_http: listen");
		return 1;
	}
	ev.data.fd = listener;
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev) == 0);
	for (;;) {
		struct epoll_event batch[BATCH];
		int n = epoll_wait(epoll, batch, BATCH, -1);

		for (int i = 0; i < n; i++) {
			int fd = batch[i].data.fd;

			if (fd != listener) {
				serve_one(epoll, fd);
				continue;
			}
			fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			if (fd < 0)
				continue;
			(void)setsockopt(
			    fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			ev.data.fd = fd;
			must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == 0);
		}
	}
}

/* A request is small and comes whole: its last four bytes end its head. */
static void
serve_one(int epoll, int fd)
{
	char bytes[READ_BYTES];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

	if (n <= 0) {
		(void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
		(void)close(fd);
		return;
	}
	if (n >= 4 && memcmp(bytes + n - 4, "\r\n\r\n", 4) == 0)
		(void)!write(fd, answer, sizeof(answer) - 1);
}

static int
get(char **argv)
{
	own_sample struct sample times = {};
	own_buf struct buf request = {};
	own_buf struct buf out = {};
	struct err e = {};
	own_fd int fd = dial(argv[0], argv[1], &e);
	uint64_t n;

	must(str_to_u64(str_of(argv[4]), &n) == 0);
	request_put(&request, argv[2], argv[3]);
	for (uint64_t i = 0; fd >= 0 && i < n + n / 10; i++) {
		int64_t from = clock_mono_ns();

		if (one(fd, buf_str(&request), &e) < 0)
			break;
		if (i >= n / 10)
			sample_add(&times, clock_mono_ns() - from);
	}
	if (e.text[0] != '\0') {
		fprintf(stderr, "bench_http: %s\n", e.text);
		return 1;
	}
	sample_json(&times, &out);
	printf("%s\n", buf_c(&out));
	return 0;
}

static int
load(char **argv)
{
	own_buf struct buf request = {};
	own_fd int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct err e = {};
	uint64_t connections, n, sent = 0, done = 0;
	int64_t from;

	must(str_to_u64(str_of(argv[4]), &connections) == 0 &&
	    connections <= CONNECTIONS_MAX);
	must(str_to_u64(str_of(argv[5]), &n) == 0);
	request_put(&request, argv[2], argv[3]);
	from = clock_mono_ns();
	for (uint64_t i = 0; i < connections; i++) {
		struct epoll_event ev = { .events = EPOLLIN };

		ev.data.fd = dial(argv[0], argv[1], &e);
		if (ev.data.fd < 0) {
			fprintf(stderr, "bench_http: %s\n", e.text);
			return 1;
		}
		must(epoll_ctl(epoll, EPOLL_CTL_ADD, ev.data.fd, &ev) == 0);
		must(write(ev.data.fd, request.p, request.n) > 0);
		sent++;
	}
	while (done < n) {
		struct epoll_event batch[BATCH];
		int got = epoll_wait(epoll, batch, BATCH, 10000);

		if (got == 0) {
			fputs("bench_http: no answer in 10 s\n", stderr);
			return 1;
		}
		for (int i = 0; i < got; i++) {
			char bytes[READ_BYTES];
			ssize_t r =
			    recv(batch[i].data.fd, bytes, sizeof(bytes), 0);

			if (r <= 0 ||
			    (bytes[0] == 'H' &&
				(r < 12 || memcmp(bytes + 9, "200", 3) != 0))) {
				fprintf(stderr, "bench_http: %.*s\n",
				    r > 0 ? (int)r : 0, bytes);
				return 1;
			}
			/* A small answer comes whole, or its end later. */
			if (r < 6 || memcmp(bytes + r - 6, "there\n", 6) != 0)
				continue;
			done++;
			if (sent++ < n)
				must(write(batch[i].data.fd, request.p,
					 request.n) > 0);
		}
	}
	printf("%.0f\n", (double)n * 1e9 / (double)(clock_mono_ns() - from));
	return 0;
}

static int
dial(const char *address, const char *port, struct err *e)
{
	const struct addrinfo hints = { .ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM };
	const struct timeval most = { .tv_sec = 10 };
	struct addrinfo *found = NULL;
	own_fd int fd = -1;
	const int on = 1;
	int rc = getaddrinfo(address, port, &hints, &found);

	if (rc != 0)
		return err_set(e, "%s: %s", address, gai_strerror(rc));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = connect(fd, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	if (rc < 0)
		return err_sys(e, "connect to %s:%s", address, port);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	return fd_take(&fd);
}

static void
request_put(struct buf *b, const char *target, const char *host)
{
	buf_printf(b,
	    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n"
	    "Accept: */*\r\n\r\n",
	    target, host);
}

static int
one(int fd, struct str request, struct err *e)
{
	char bytes[READ_BYTES];
	size_t n = 0;

	if (write(fd, request.p, request.n) != (ssize_t)request.n)
		return err_sys(e, "write");
	for (;;) {
		ssize_t r = recv(fd, bytes + n, sizeof(bytes) - n, 0);

		if (r <= 0)
			return err_set(e, "the connection was closed");
		n += (size_t)r;
		if (n >= 12 && memcmp(bytes + 9, "200", 3) != 0)
			return err_set(e, "%.*s", (int)n, bytes);
		if (n > 6 && memcmp(bytes + n - 6, "there\n", 6) == 0)
			return 0;
	}
}
