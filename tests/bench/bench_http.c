/*
 * bench_http: what a small request over a kept connection takes.
 *
 * usage: bench_http serve PORT [CERTIFICATE KEY]
 *        bench_http get ADDRESS PORT TARGET HOST N    one after the other
 *        bench_http load ADDRESS PORT TARGET HOST CONNECTIONS N
 *        bench_http hold ADDRESS PORT TARGET HOST CONNECTIONS
 *        bench_http pour PORT BYTES
 *        bench_http drain ADDRESS PORT
 *
 * The server answers every request with the same 200 and nothing else to do;
 * with a certificate, over TLS. TARGET is what the request line names: a path,
 * or a URL for a proxy at ADDRESS. `get` prints the times as JSON, `load`
 * requests per second. `hold` says "begun", and after a line of input opens
 * connections and has one request answered on each, says "held N" and after
 * another line has one more answered on each.
 *
 * `pour` sends so many bytes to who connects; `drain` says "begun", waits for a
 * line of input, takes them, says "drained BYTES SECONDS" and waits for the end
 * of its input.
 *
 * BENCH_TLS=1: the client speaks TLS, and trusts what OpenSSL finds.
 * BENCH_DIAL=1: a connection for each request, for servers that keep none. One
 * that is closed without an answer is dialled anew, and does not count.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/must.h"
#include "sample.h"
#include "sys/fd.h"

enum {
	BATCH = 64,
	READ_BYTES = 16384,
	CONNECTIONS_MAX = 20000,
	HELD_BY_ONE = 1000,
	POUR_BYTES = 256 * 1024
};

/* One connection; ssl is NULL where none is spoken. */
struct conn {
	int fd;
	SSL *ssl;
	bool closes; /* the client wants no other answer */
	uint32_t tail; /* of a server: the last four bytes of its request */
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			     "Content-Length: 12\r\n\r\nhello there\n";

static int serve(char **argv, SSL_CTX *ctx);
static void serve_one(struct conn *c);
static int get(char **argv);
static int load(char **argv);
static void tell_lost(uint64_t lost);
static int hold(char **argv);
static int hold_some(
    char **argv, struct str request, uint64_t n, int up, int down);
static int pour(char **argv);
static int drain(char **argv);
static int listen_at(const char *port);
static bool told(void);
static int dial(struct conn *c, char **argv, struct err *e);
static void hang_up(struct conn *c);
static ssize_t conn_read(struct conn *c, char *p, size_t n);
static bool conn_write(struct conn *c, struct str s);
static void request_put(struct buf *b, const char *target, const char *host);
static int one(struct conn *c, struct str request, struct err *e);
static SSL_CTX *server_ctx(const char *certificate, const char *key);

static SSL_CTX *tls; /* of a client that speaks it, else NULL */
static bool redial;

int
main(int argc, char **argv)
{
	const struct rlimit most = { CONNECTIONS_MAX + 64,
		CONNECTIONS_MAX + 64 };

	(void)signal(SIGPIPE, SIG_IGN); /* write(2) says so */
	(void)setrlimit(RLIMIT_NOFILE, &most); /* connecting says so */
	if (getenv("BENCH_TLS") != NULL) {
		tls = SSL_CTX_new(TLS_client_method());
		must(tls != NULL && SSL_CTX_set_default_verify_paths(tls) == 1);
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
		(void)SSL_CTX_clear_mode(tls, SSL_MODE_AUTO_RETRY);
	}
	redial = getenv("BENCH_DIAL") != NULL;
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv + 2, NULL);
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		return serve(argv + 2, server_ctx(argv[3], argv[4]));
	if (argc == 7 && strcmp(argv[1], "get") == 0)
		return get(argv + 2);
	if (argc == 8 && strcmp(argv[1], "load") == 0)
		return load(argv + 2);
	if (argc == 7 && strcmp(argv[1], "hold") == 0)
		return hold(argv + 2);
	if (argc == 4 && strcmp(argv[1], "pour") == 0)
		return pour(argv + 2);
	if (argc == 4 && strcmp(argv[1], "drain") == 0)
		return drain(argv + 2);
	fputs("usage: bench_http serve PORT [CERTIFICATE KEY]\n"
	      "       bench_http get ADDRESS PORT TARGET HOST N\n"
	      "       bench_http load ADDRESS PORT TARGET HOST CONNECTIONS N\n"
	      "       bench_http hold ADDRESS PORT TARGET HOST CONNECTIONS\n"
	      "       bench_http pour PORT BYTES\n"
	      "       bench_http drain ADDRESS PORT\n",
	    stderr);
	return 2;
}

static SSL_CTX *
server_ctx(const char *certificate, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL ||
	    SSL_CTX_use_certificate_file(ctx, certificate, SSL_FILETYPE_PEM) !=
		1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "bench_http: %s or %s cannot be used\n",
		    certificate, key);
		exit(1);
	}
	return ctx;
}

static int
serve(char **argv, SSL_CTX *ctx)
{
	own_fd int listener = listen_at(argv[0]);
	own_fd int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };
	const int on = 1;

	if (listener < 0)
		return 1;
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev) == 0);
	for (;;) {
		struct epoll_event batch[BATCH];
		int n = epoll_wait(epoll, batch, BATCH, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = batch[i].data.ptr;
			int fd;

			if (c != NULL) {
				serve_one(c);
				continue;
			}
			fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			if (fd < 0)
				continue;
			(void)setsockopt(
			    fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			c = calloc(1, sizeof(*c));
			must(c != NULL);
			c->fd = fd;
			/* A handshake waits for its client: there are few. */
			if (ctx != NULL) {
				c->ssl = SSL_new(ctx);
				must(c->ssl != NULL &&
				    SSL_set_fd(c->ssl, fd) == 1);
				SSL_set_accept_state(c->ssl);
				(void)SSL_clear_mode(
				    c->ssl, SSL_MODE_AUTO_RETRY);
			}
			ev.data.ptr = c;
			must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == 0);
		}
	}
}

/* A request is small: its last four bytes end its head. Some proxies send it
 * in pieces, of which the last may be an empty line alone. */
static void
serve_one(struct conn *c)
{
	static const char close_it[] = "Connection: close\r\n";
	const uint32_t head_end = 0x0d0a0d0a;
	char bytes[READ_BYTES];
	ssize_t n = conn_read(c, bytes, sizeof(bytes));

	if (n < 0)
		return;
	c->closes |=
	    memmem(bytes, (size_t)n, close_it, sizeof(close_it) - 1) != NULL;
	for (ssize_t i = n > 4 ? n - 4 : 0; i < n; i++)
		c->tail = c->tail << 8 | (unsigned char)bytes[i];
	if (n > 0 && c->tail != head_end)
		return;
	c->tail = 0;
	if (n > 0 &&
	    conn_write(c, (struct str){ answer, sizeof(answer) - 1 }) &&
	    !c->closes)
		return;
	hang_up(c);
	free(c);
}

static int
get(char **argv)
{
	own_sample struct sample times = {};
	own_buf struct buf request = {};
	own_buf struct buf out = {};
	struct err e = {};
	struct conn c = { .fd = -1 };
	uint64_t n, lost = 0;

	must(str_to_u64(str_of(argv[4]), &n) == 0);
	request_put(&request, argv[2], argv[3]);
	for (uint64_t i = 0; i < n + n / 10; i++) {
		int64_t from = clock_mono_ns();

		if (c.fd < 0 && dial(&c, argv, &e) < 0)
			break;
		if (one(&c, buf_str(&request), &e) < 0) {
			if (!redial || ++lost > n)
				break;
			e.text[0] = '\0';
			hang_up(&c);
			i--;
			continue;
		}
		if (redial)
			hang_up(&c);
		if (i >= n / 10)
			sample_add(&times, clock_mono_ns() - from);
	}
	if (e.text[0] != '\0') {
		fprintf(stderr, "bench_http: %s\n", e.text);
		return 1;
	}
	hang_up(&c);
	tell_lost(lost);
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
	struct epoll_event ev = { .events = EPOLLIN };
	uint64_t connections, n, sent = 0, done = 0, lost = 0;
	struct conn *all;
	int64_t from;

	must(str_to_u64(str_of(argv[4]), &connections) == 0 &&
	    connections <= CONNECTIONS_MAX);
	must(str_to_u64(str_of(argv[5]), &n) == 0);
	all = calloc(connections, sizeof(*all));
	must(all != NULL);
	request_put(&request, argv[2], argv[3]);
	from = clock_mono_ns();
	for (uint64_t i = 0; i < connections; i++) {
		ev.data.ptr = &all[i];
		if (dial(&all[i], argv, &e) < 0) {
			fprintf(stderr, "bench_http: %s\n", e.text);
			return 1;
		}
		must(epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &ev) == 0);
		must(conn_write(&all[i], buf_str(&request)));
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
			struct conn *c = batch[i].data.ptr;
			char bytes[READ_BYTES];
			ssize_t r = conn_read(c, bytes, sizeof(bytes));

			if (r < 0)
				continue; /* a record without any */
			bool none = r == 0 && redial && ++lost < n;

			if (!none &&
			    (r == 0 ||
				(bytes[0] == 'H' &&
				    (r < 12 ||
					memcmp(bytes + 9, "200", 3) != 0)))) {
				fprintf(stderr, "bench_http: %.*s\n", (int)r,
				    r > 0 ? bytes : "");
				return 1;
			}
			/* A small answer comes whole, or its end later. */
			if (!none &&
			    (r < 6 || memcmp(bytes + r - 6, "there\n", 6) != 0))
				continue;
			if (redial)
				hang_up(c);
			if (none)
				sent--;
			else
				done++;
			if (sent >= n)
				continue;
			sent++;
			ev.data.ptr = c;
			if (redial &&
			    (dial(c, argv, &e) < 0 ||
				epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev) <
				    0)) {
				fprintf(stderr, "bench_http: %s\n", e.text);
				return 1;
			}
			must(conn_write(c, buf_str(&request)));
		}
	}
	printf("%.0f\n", (double)n * 1e9 / (double)(clock_mono_ns() - from));
	tell_lost(lost);
	free(all);
	return 0;
}

static void
tell_lost(uint64_t lost)
{
	if (lost > 0)
		fprintf(stderr,
		    "bench_http: %llu connections were closed without an "
		    "answer\n",
		    (unsigned long long)lost);
}

/* Several processes: in a sandbox none has more than 1024 descriptors. */
static int
hold(char **argv)
{
	own_buf struct buf request = {};
	int up[2], down[2], status = 0;
	uint64_t n, processes;
	char line[16];

	must(str_to_u64(str_of(argv[4]), &n) == 0 && n <= CONNECTIONS_MAX);
	must(pipe2(up, O_CLOEXEC) == 0 && pipe2(down, O_CLOEXEC) == 0);
	request_put(&request, argv[2], argv[3]);
	if (!told())
		return 1;
	processes = (n + HELD_BY_ONE - 1) / HELD_BY_ONE;
	for (uint64_t i = 0; i < processes; i++) {
		uint64_t left = n - i * HELD_BY_ONE;

		if (fork() == 0) {
			status = hold_some(argv, buf_str(&request),
			    left < HELD_BY_ONE ? left : HELD_BY_ONE, up[1],
			    down[0]);
			(void)!write(up[1], status == 0 ? "." : "!", 1);
			_exit(status);
		}
	}
	(void)close(up[1]);
	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < processes; i++) {
			if (read(up[0], line, 1) != 1 || line[0] != '.')
				return 1; /* it has said why */
		}
		printf("%s %llu\n", round == 0 ? "held" : "answered",
		    (unsigned long long)n);
		(void)fflush(stdout);
		if (round == 0 && fgets(line, sizeof(line), stdin) == NULL)
			return 1;
		for (uint64_t i = 0; i < processes; i++)
			must(write(down[1], ".", 1) == 1);
	}
	while (wait(&status) > 0)
		continue;
	return status == 0 ? 0 : 1;
}

static int
hold_some(char **argv, struct str request, uint64_t n, int up, int down)
{
	static struct conn all[HELD_BY_ONE];
	struct err e = {};
	char byte;

	for (int round = 0; round < 2; round++) {
		for (uint64_t i = 0; i < n; i++) {
			if ((round == 0 && dial(&all[i], argv, &e) < 0) ||
			    one(&all[i], request, &e) < 0) {
				fprintf(stderr, "bench_http: %s\n", e.text);
				return 1;
			}
		}
		if (write(up, ".", 1) != 1 || read(down, &byte, 1) != 1)
			return 1;
	}
	return 0;
}

static int
listen_at(const char *port)
{
	own_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;
	uint64_t number;

	must(str_to_u64(str_of(port), &number) == 0 && number <= UINT16_MAX);
	at.sin_port = htons((uint16_t)number);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, SOMAXCONN) < 0) {
		perror("bench_http: listen");
		return -1;
	}
	return fd_take(&fd);
}

/* A process for each connection. */
static int
pour(char **argv)
{
	static const char zeros[POUR_BYTES];
	own_fd int listener = listen_at(argv[0]);
	uint64_t left;

	must(str_to_u64(str_of(argv[1]), &left) == 0);
	(void)signal(SIGCHLD, SIG_IGN);
	while (listener >= 0) {
		own_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 || fork() != 0)
			continue;
		while (left > 0) {
			ssize_t n = write(fd, zeros,
			    left < sizeof(zeros) ? left : sizeof(zeros));

			if (n <= 0)
				_exit(1);
			left -= (uint64_t)n;
		}
		_exit(0);
	}
	return 1;
}

static int
drain(char **argv)
{
	static char bytes[POUR_BYTES];
	struct conn c = { .fd = -1 };
	struct err e = {};
	uint64_t n = 0;
	int64_t from;
	ssize_t r;

	if (!told())
		return 1;
	from = clock_mono_ns();
	if (dial(&c, argv, &e) < 0) {
		fprintf(stderr, "bench_http: %s\n", e.text);
		return 1;
	}
	/* TCP drops what is read with MSG_TRUNC: no copy of ours. tcp(7) */
	while ((r = recv(c.fd, bytes, sizeof(bytes), MSG_TRUNC)) > 0)
		n += (uint64_t)r;
	printf("drained %llu %.6f\n", (unsigned long long)n,
	    (double)(clock_mono_ns() - from) / 1e9);
	(void)fflush(stdout);
	while (getchar() != EOF)
		continue;
	hang_up(&c);
	return 0;
}

/* Says that it is there, and waits for a line. */
static bool
told(void)
{
	char line[16];

	puts("begun");
	(void)fflush(stdout);
	return fgets(line, sizeof(line), stdin) != NULL;
}

/* argv: address and port. */
static int
dial(struct conn *c, char **argv, struct err *e)
{
	const struct addrinfo hints = { .ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM };
	const struct timeval most = { .tv_sec = 10 };
	static struct addrinfo *found; /* looked up once */
	const int on = 1;
	int rc =
	    found == NULL ? getaddrinfo(argv[0], argv[1], &hints, &found) : 0;

	if (rc != 0)
		return err_set(e, "%s: %s", argv[0], gai_strerror(rc));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, found->ai_addr, found->ai_addrlen) < 0)
		return err_sys(e, "connect to %s:%s", argv[0], argv[1]);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	if (tls == NULL)
		return 0;
	c->ssl = SSL_new(tls);
	must(c->ssl != NULL && SSL_set_fd(c->ssl, c->fd) == 1);
	must(SSL_set_tlsext_host_name(c->ssl, argv[0]) == 1);
	must(SSL_set1_host(c->ssl, argv[0]) == 1);
	if (SSL_connect(c->ssl) != 1)
		return err_set(e, "TLS with %s:%s", argv[0], argv[1]);
	return 0;
}

static void
hang_up(struct conn *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	fd_fini(&c->fd);
}

/* As recv(2); -1: later, nothing for us has come. */
static ssize_t
conn_read(struct conn *c, char *p, size_t n)
{
	int r;

	if (c->ssl == NULL) {
		ssize_t got = recv(c->fd, p, n, 0);

		return got < 0 ? 0 : got;
	}
	r = SSL_read(c->ssl, p, (int)n);
	if (r <= 0 && SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ)
		return -1;
	return r < 0 ? 0 : r;
}

static bool
conn_write(struct conn *c, struct str s)
{
	if (c->ssl != NULL)
		return SSL_write(c->ssl, s.p, (int)s.n) == (int)s.n;
	return write(c->fd, s.p, s.n) == (ssize_t)s.n;
}

static void
request_put(struct buf *b, const char *target, const char *host)
{
	buf_printf(b,
	    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n"
	    "%sAccept: */*\r\n\r\n",
	    target, host, redial ? "Connection: close\r\n" : "");
}

static int
one(struct conn *c, struct str request, struct err *e)
{
	char bytes[READ_BYTES];
	size_t n = 0;

	if (!conn_write(c, request))
		return err_sys(e, "write");
	for (;;) {
		ssize_t r = conn_read(c, bytes + n, sizeof(bytes) - n);

		if (r < 0)
			continue;
		if (r == 0)
			return err_set(e, "the connection was closed");
		n += (size_t)r;
		if (n >= 12 && memcmp(bytes + 9, "200", 3) != 0)
			return err_set(e, "%.*s", (int)n, bytes);
		if (n > 6 && memcmp(bytes + n - 6, "there\n", 6) == 0)
			return 0;
	}
}
