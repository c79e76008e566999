#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "proxy/tls.h"
#include "sys/fd.h"

#define HOSTS "[\"*.example.com\",\"a.example\",\"192.0.2.7\",\"2001:db8::7\"]"

enum { LIMIT_MS = 5000, LARGE = 3 * 1024 * 1024 };

/* A server's end and a client's, and what each has heard. */
static struct rig {
	struct loop *loop;
	struct stream server, client;
	struct tls_ca *ca;
	struct buf pem, heard;
	struct loop_timer limit;
	const char *to_send;
	size_t n_send, sent;
	bool ended;
	enum tls_progress server_is, client_is;
	struct err client_why;
	int end; /* what the client's last read gave */
	int end_errno;
} rig;

static void
on_limit(struct loop_timer *t)
{
	(void)t;
	fail_msg("the streams have stopped");
}

/* Both shake hands; then the server sends and the client hears. */
static void
on_server(struct stream *s, uint32_t events)
{
	struct err e = {};

	(void)events;
	if (rig.server_is != TLS_READY)
		rig.server_is = tls_handshake(s, &e);
	while (rig.server_is == TLS_READY && rig.sent < rig.n_send) {
		ssize_t n = stream_write(
		    s, rig.to_send + rig.sent, rig.n_send - rig.sent);

		if (n <= 0)
			break;
		rig.sent += (size_t)n;
	}
	if (rig.server_is == TLS_FAILED) {
		stream_close(s, true);
		return;
	}
	if (rig.server_is == TLS_READY && rig.sent == rig.n_send &&
	    !rig.ended) {
		rig.ended = true;
		stream_end(s);
	}
	stream_want(s,
	    (rig.server_is != TLS_READY ? EPOLLIN : 0) |
		(rig.server_is == TLS_READY && rig.sent < rig.n_send ? EPOLLOUT
								     : 0));
}

static void
on_client(struct stream *s, uint32_t events)
{
	char bytes[5000];
	ssize_t n = -1;

	(void)events;
	if (rig.client_is != TLS_READY)
		rig.client_is = tls_handshake(s, &rig.client_why);
	errno = 0;
	while (rig.client_is == TLS_READY &&
	    (n = stream_read(s, bytes, sizeof(bytes))) > 0)
		buf_add(&rig.heard, bytes, (size_t)n);
	if (rig.client_is == TLS_FAILED ||
	    (rig.client_is == TLS_READY && (n == 0 || errno != EAGAIN))) {
		rig.end = (int)n;
		rig.end_errno = errno;
		loop_stop(rig.loop);
		return;
	}
	stream_want(s, EPOLLIN);
}

static int
start(void **state)
{
	struct err e = {};
	int pair[2];

	(void)state;
	rig = (struct rig){ .to_send = "hello", .n_send = 5, .end = 7 };
	rig.heard.max = 2 * (size_t)LARGE;
	rig.loop = loop_new(&e);
	rig.limit.on_time = on_limit;
	rig.server = (struct stream){ .on_ready = on_server };
	rig.client = (struct stream){ .on_ready = on_client };
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(
	    stream_open_take(&rig.server, rig.loop, pair[0], &e), 0);
	assert_int_equal(
	    stream_open_take(&rig.client, rig.loop, pair[1], &e), 0);
	rig.ca = tls_ca_new(STR(HOSTS), &e);
	assert_non_null(rig.ca);
	tls_ca_pem(rig.ca, &rig.pem);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	stream_close(&rig.server, false);
	stream_close(&rig.client, false);
	tls_ca_free(rig.ca);
	buf_fini(&rig.pem);
	buf_fini(&rig.heard);
	loop_free(rig.loop);
	return 0;
}

static void
run(void)
{
	struct err e = {};

	stream_want(&rig.server, EPOLLIN);
	stream_want(&rig.client, EPOLLIN | EPOLLOUT);
	loop_timer_set(rig.loop, &rig.limit,
	    clock_mono_ns() + (int64_t)LIMIT_MS * 1000000);
	assert_int_equal(loop_run(rig.loop, NULL, NULL, &e), 0);
	loop_timer_clear(rig.loop, &rig.limit);
}

static void
begin(const char *server, const char *client, struct str roots)
{
	struct err e = {};

	assert_int_equal(
	    tls_serve(&rig.server, rig.ca, server, true, STR(""), &e), 0);
	assert_int_equal(tls_dial(&rig.client, client, true, roots, &e), 0);
}

static void
a_run_trusts_the_certificates_of_its_own_ca(void **state)
{
	(void)state;
	begin("api.example.com", "api.example.com", buf_str(&rig.pem));
	run();
	assert_int_equal(rig.client_is, TLS_READY);
	assert_int_equal(rig.end, 0);
	assert_true(str_eq_c(buf_str(&rig.heard), "hello"));
	assert_true(tls_chose_h2(&rig.client) && tls_chose_h2(&rig.server));
}

static void
an_address_is_a_name_too(void **state)
{
	(void)state;
	begin("192.0.2.7", "192.0.2.7", buf_str(&rig.pem));
	run();
	assert_int_equal(rig.end, 0);
}

static void
a_ca_vouches_for_the_hosts_of_its_rules_alone(void **state)
{
	static const struct {
		const char *hosts, *name;
		bool good;
	} rows[] = {
		{ HOSTS, "api.example.com", true },
		{ HOSTS, "a.b.example.com", true },
		{ HOSTS, "192.0.2.7", true },
		{ HOSTS, "2001:db8::7", true },
		{ HOSTS, "api.example.org", false },
		{ HOSTS, "notexample.com", false },
		{ HOSTS, "192.0.2.8", false },
		{ HOSTS, "2001:db8::8", false },
		{ "[\"a.example\"]", "a.example", true },
		{ "[\"a.example\"]", "b.example", false },
		{ "[\"a.example\"]", "192.0.2.7", false },
		{ "[\"a.example\"]", "2001:db8::7", false },
		{ "[\"192.0.2.7\"]", "192.0.2.7", true },
		{ "[\"192.0.2.7\"]", "a.example", false },
		{ "[\"192.0.2.7\"]", "2001:db8::7", false },
		{ "[]", "a.example", false },
		{ "[]", "192.0.2.7", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = {};

		stop(state);
		start(state);
		tls_ca_free(rig.ca);
		rig.ca = tls_ca_new(str_of(rows[i].hosts), &e);
		assert_non_null(rig.ca);
		buf_reset(&rig.pem);
		tls_ca_pem(rig.ca, &rig.pem);
		begin(rows[i].name, rows[i].name, buf_str(&rig.pem));
		run();
		assert_int_equal(
		    rig.client_is, rows[i].good ? TLS_READY : TLS_FAILED);
		if (!rows[i].good)
			assert_non_null(
			    strstr(rig.client_why.text, "subtree violation"));
	}
}

static void
another_name_is_refused_with_the_reason(void **state)
{
	(void)state;
	begin("api.example.com", "www.example.com", buf_str(&rig.pem));
	run();
	assert_int_equal(rig.client_is, TLS_FAILED);
	assert_non_null(strstr(rig.client_why.text, "hostname mismatch"));
	assert_int_equal(rig.heard.n, 0);
}

static void
another_runs_ca_is_refused(void **state)
{
	own_buf struct buf pem = {};
	struct err e = {};
	struct tls_ca *other = tls_ca_new(STR(HOSTS), &e);

	(void)state;
	tls_ca_pem(other, &pem);
	begin("api.example.com", "api.example.com", buf_str(&pem));
	run();
	assert_int_equal(rig.client_is, TLS_FAILED);
	tls_ca_free(other);
}

static void
the_machines_roots_do_not_know_a_runs_ca(void **state)
{
	(void)state;
	begin("api.example.com", "api.example.com", STR(""));
	run();
	assert_int_equal(rig.client_is, TLS_FAILED);
	assert_non_null(strstr(rig.client_why.text, "certificate"));
}

static void
much_passes_whole_and_ends_in_order(void **state)
{
	char *much = malloc(LARGE);

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		much[i] = (char)(i * 7 + i / 251);
	rig.to_send = much;
	rig.n_send = LARGE;
	begin("a.example", "a.example", buf_str(&rig.pem));
	run();
	assert_int_equal(rig.end, 0);
	assert_int_equal(rig.heard.n, LARGE);
	assert_memory_equal(rig.heard.p, much, LARGE);
	free(much);
}

/* Cut without close_notify: it may have been somebody in between. */
static void
a_stream_that_is_cut_has_no_orderly_end(void **state)
{
	(void)state;
	rig.n_send = 0;
	begin("a.example", "a.example", buf_str(&rig.pem));
	for (int i = 0; i < 10 && rig.client_is != TLS_READY; i++) {
		struct err e = {};

		rig.client_is = tls_handshake(&rig.client, &rig.client_why);
		rig.server_is = tls_handshake(&rig.server, &e);
	}
	assert_int_equal(rig.server_is, TLS_READY);
	assert_int_equal(shutdown(rig.server.watch.fd, SHUT_RDWR), 0);
	on_client(&rig.client, 0);
	assert_int_equal(rig.end, -1);
	assert_int_equal(rig.end_errno, ECONNRESET);
}

static void
what_was_read_ahead_is_part_of_the_stream(void **state)
{
	char hello[4096];
	struct err e = {};
	ssize_t n;

	(void)state;
	assert_int_equal(
	    tls_dial(&rig.client, "a.example", false, buf_str(&rig.pem), &e),
	    0);
	assert_int_equal(
	    tls_handshake(&rig.client, &rig.client_why), TLS_WAITS);
	n = recv(rig.server.watch.fd, hello, sizeof(hello), MSG_DONTWAIT);
	assert_true(n > 100);
	assert_int_equal(tls_serve(&rig.server, rig.ca, "a.example", true,
			     (struct str){ hello, (size_t)n }, &e),
	    0);
	run();
	assert_int_equal(rig.end, 0);
	assert_true(str_eq_c(buf_str(&rig.heard), "hello"));
	assert_false(tls_chose_h2(&rig.client));
}

static void
a_ca_keeps_the_certificates_of_so_many_names_and_no_more(void **state)
{
	struct err e = {};

	(void)state;
	for (int i = 0; i < TLS_LEAVES_MAX + 20; i++) {
		char name[32];
		int pair[2];
		struct stream s = { .on_ready = on_server };

		(void)snprintf(name, sizeof(name), "h%d.example.com", i);
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
		    0);
		assert_int_equal(
		    stream_open_take(&s, rig.loop, pair[0], &e), 0);
		assert_int_equal(
		    tls_serve(&s, rig.ca, name, true, STR(""), &e), 0);
		stream_close(&s, true);
		fd_fini(&pair[1]);
	}
	/* The first has been dropped, and is made anew. */
	begin("h0.example.com", "h0.example.com", buf_str(&rig.pem));
	run();
	assert_int_equal(rig.end, 0);
}

static void
bytes_that_are_no_tls_end_the_stream(void **state)
{
	struct err e = {};

	(void)state;
	assert_int_equal(tls_serve(&rig.server, rig.ca, "a", true,
			     STR("GET / HTTP/1.1\r\n"), &e),
	    0);
	assert_int_equal(tls_handshake(&rig.server, &e), TLS_FAILED);
	assert_int_equal(stream_read(&rig.server, &e, 1), -1);
	assert_int_equal(errno, ECONNRESET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_trusts_the_certificates_of_its_own_ca),
		TEST(an_address_is_a_name_too),
		TEST(a_ca_vouches_for_the_hosts_of_its_rules_alone),
		TEST(another_name_is_refused_with_the_reason),
		TEST(another_runs_ca_is_refused),
		TEST(the_machines_roots_do_not_know_a_runs_ca),
		TEST(much_passes_whole_and_ends_in_order),
		TEST(a_stream_that_is_cut_has_no_orderly_end),
		TEST(what_was_read_ahead_is_part_of_the_stream),
		TEST(a_ca_keeps_the_certificates_of_so_many_names_and_no_more),
		TEST(bytes_that_are_no_tls_end_the_stream),
	};
	struct err e = {};
	int failed;

	if (tls_init(&e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_fini();
	return failed;
}
