/*
 * The resolver that a sandbox sees: questions over real sockets, as they come.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "proxy/dns.h"
#include "sys/fd.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEAD "\0\7\1\0\0\1\0\0\0\0\0\0"
#define NAME "\3Api\7example\3com\0"
#define QUERY HEAD NAME "\0\1\0\1"
#define ADDRESS "\300\14\0\1\0\1\0\0\0\74\0\4\306\22\0\1"

enum { STEP_MS = 5, TURNS = 20 };

static struct rig {
	struct loop *loop;
	struct names *names;
	struct dns_stub stub;
	struct sockaddr_in udp, tcp;
	struct loop_timer step;
} rig;

static int
bound(int type, struct sockaddr_in *at)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = sizeof(*at);
	const int on = 1;

	*at = (struct sockaddr_in){ .sin_family = AF_INET };
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &n), 0);
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, SOMAXCONN), 0);
	else
		assert_int_equal(
		    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	return fd;
}

static void
on_step(struct loop_timer *t)
{
	(void)t;
	loop_stop(rig.loop);
}

static int
start(void **state)
{
	struct err e = {};
	int udp, tcp;

	(void)state;
	rig = (struct rig){ .step = { .on_time = on_step } };
	rig.loop = loop_new(&e);
	rig.names = calloc(1, sizeof(*rig.names));
	assert_non_null(rig.names);
	names_init(rig.names, STR("{\"hosts\":[\"api.example.com\"]}"));
	udp = bound(SOCK_DGRAM, &rig.udp);
	tcp = bound(SOCK_STREAM, &rig.tcp);
	assert_int_equal(
	    dns_stub_open_take(&rig.stub, rig.loop, rig.names, udp, tcp, &e),
	    0);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	dns_stub_close(&rig.stub);
	names_fini(rig.names);
	free(rig.names);
	loop_free(rig.loop);
	return 0;
}

/* Lets the stub work for a moment. */
static void
turn(void)
{
	struct err e = {};

	loop_timer_set(
	    rig.loop, &rig.step, clock_mono_ns() + STEP_MS * 1000000LL);
	assert_int_equal(loop_run(rig.loop, NULL, NULL, &e), 0);
}

/* What is answered: its length, 0 for an end, -1 for nothing. */
static ssize_t
hear(int fd, void *p, size_t n)
{
	ssize_t r = -1;

	for (int i = 0; i < TURNS && r < 0; i++) {
		turn();
		r = recv(fd, p, n, MSG_DONTWAIT);
	}
	return r;
}

static ssize_t
asked(struct str query, uint8_t out[static DNS_UDP_BYTES])
{
	own_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
	    connect(fd, (struct sockaddr *)&rig.udp, sizeof(rig.udp)), 0);
	assert_int_equal(send(fd, query.p, query.n, 0), query.n);
	return hear(fd, out, DNS_UDP_BYTES);
}

static int
dialled(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
	    connect(fd, (struct sockaddr *)&rig.tcp, sizeof(rig.tcp)), 0);
	return fd;
}

static void
question_has_its_answer(void **state)
{
	static const struct {
		const char *why;
		struct str query;
		int rcode; /* -1: no answer at all */
		bool address, question;
	} rows[] = {
		{ "an address", STR(QUERY), 0, true, true },
		{ "with EDNS behind it",
		    STR("\0\7\1\0\0\1\0\0\0\0\0\1" NAME "\0\1\0\1"
			"\0\0\51\20\0\0\0\0\0\0\0"),
		    0, true, true },
		{ "IPv6", STR(HEAD NAME "\0\34\0\1"), 0, false, true },
		{ "HTTPS", STR(HEAD NAME "\0\101\0\1"), 0, false, true },
		{ "a name that nobody may ask for",
		    STR(HEAD "\4evil\4test\0\0\1\0\1"), 3, false, true },
		{ "the root", STR(HEAD "\0\0\1\0\1"), 3, false, true },
		{ "another class", STR(HEAD NAME "\0\1\0\3"), 5, false, true },
		{ "an update", STR("\0\7\50\0\0\1\0\0\0\0\0\0" NAME "\0\1\0\1"),
		    4, false, false },
		{ "two questions",
		    STR("\0\7\1\0\0\2\0\0\0\0\0\0" NAME "\0\1\0\1" NAME
			"\0\1\0\1"),
		    1, false, false },
		{ "an answer in it",
		    STR("\0\7\1\0\0\1\0\1\0\0\0\0" NAME "\0\1\0\1"), 1, false,
		    false },
		{ "a pointer to itself", STR(HEAD "\300\14\0\1\0\1"), 1, false,
		    false },
		{ "a pointer into the head", STR(HEAD "\3abc\300\0\0\1\0\1"), 1,
		    false, false },
		{ "a label of a kind that is none",
		    STR(HEAD "\101aaaa\0\0\1\0\1"), 1, false, false },
		{ "a label that is cut off", STR(HEAD "\77abc"), 1, false,
		    false },
		{ "no type", STR(HEAD NAME "\0\1"), 1, false, false },
		{ "a NUL in a label", STR(HEAD "\3a\0b\0\0\1\0\1"), 1, false,
		    false },
		{ "a dot in a label", STR(HEAD "\3a.b\0\0\1\0\1"), 1, false,
		    false },
		{ "a head that is cut off", STR("\0\7\1\0\0\1"), -1, false,
		    false },
		{ "an answer",
		    STR("\0\7\201\200\0\1\0\0\0\0\0\0" NAME "\0\1\0\1"), -1,
		    false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t out[DNS_UDP_BYTES] = {};
		ssize_t n = asked(rows[i].query, out);
		const size_t want = sizeof(QUERY) - 1;

		if (rows[i].rcode < 0) {
			if (n != -1)
				fail_msg("%s: an answer", rows[i].why);
			continue;
		}
		if (n < 12 || (out[3] & 0xf) != rows[i].rcode ||
		    (out[2] & 0x80) == 0 || out[1] != 7)
			fail_msg("%s: %zd bytes, %d", rows[i].why, n, out[3]);
		if (out[5] != rows[i].question || out[7] != rows[i].address ||
		    out[9] != 0 || out[11] != 0)
			fail_msg("%s: counts", rows[i].why);
		if (rows[i].address &&
		    ((size_t)n != want + 16 ||
			memcmp(out + want, ADDRESS, 16) != 0))
			fail_msg("%s: address", rows[i].why);
		if (rows[i].question &&
		    memcmp(out + 12, rows[i].query.p + 12,
			(size_t)n - 12 - (rows[i].address ? 16 : 0)) != 0)
			fail_msg("%s: question", rows[i].why);
	}
}

static void
name_of_every_length_is_read_or_refused(void **state)
{
	(void)state;
	/* Labels of one letter: n of them are a name of 2n - 1. */
	for (size_t labels = 120; labels <= 140; labels++) {
		own_buf struct buf b = {};
		struct dns_query q;
		int what;

		buf_add_str(&b, STR(HEAD));
		for (size_t i = 0; i < labels; i++)
			buf_add_str(&b, STR("\1a"));
		buf_add_str(&b, STR("\0\0\1\0\1"));
		what = dns_query_parse((const uint8_t *)b.p, b.n, &q);
		assert_int_equal(what, labels <= 127 ? 0 : DNS_FORMERR);
		if (what == 0)
			assert_int_equal(strlen(q.name), 2 * labels - 1);
	}
}

static void
answer_comes_from_the_address_that_was_asked(void **state)
{
	own_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = rig.udp, from = {};
	socklen_t n = sizeof(from);
	uint8_t out[DNS_UDP_BYTES];

	(void)state;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 52);
	assert_int_equal(sendto(fd, QUERY, sizeof(QUERY) - 1, 0,
			     (struct sockaddr *)&at, sizeof(at)),
	    sizeof(QUERY) - 1);
	turn();
	assert_true(recvfrom(fd, out, sizeof(out), MSG_DONTWAIT,
			(struct sockaddr *)&from, &n) > 0);
	assert_int_equal(from.sin_addr.s_addr, at.sin_addr.s_addr);
	assert_int_equal(from.sin_port, at.sin_port);
}

static void
query_that_is_too_long_has_no_answer_and_the_next_one_has(void **state)
{
	uint8_t out[DNS_UDP_BYTES];
	char large[2000] = QUERY;

	(void)state;
	assert_int_equal(asked((struct str){ large, sizeof(large) }, out), -1);
	assert_true(asked(STR(QUERY), out) > 0);
}

static void
over_tcp_questions_come_in_any_pieces(void **state)
{
	static const char two[] = "\0\41" QUERY "\0\41" QUERY;
	const size_t all = sizeof(two) - 1, one = 2 + 33 + 16;

	(void)state;
	assert_int_equal(sizeof(QUERY) - 1, 33);
	for (size_t piece = 1; piece <= all; piece += 11) {
		own_fd int fd = dialled();
		uint8_t out[256];
		size_t n = 0;

		for (size_t at = 0; at < all; at += piece) {
			size_t most = all - at < piece ? all - at : piece;

			assert_int_equal(send(fd, two + at, most, 0), most);
			if (at % 3 == 0)
				turn();
		}
		while (n < 2 * one) {
			ssize_t r = hear(fd, out + n, sizeof(out) - n);

			assert_true(r > 0);
			n += (size_t)r;
		}
		assert_int_equal(n, 2 * one);
		assert_memory_equal(out, out + one, one);
		assert_int_equal(out[1], 33 + 16);
	}
}

static void
over_tcp_what_is_too_long_or_no_question_ends_it(void **state)
{
	static const struct str rows[] = { STR("\2\1"), STR("\377\377xxxx"),
		STR("\0\0"), STR("\0\4abcd") };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_fd int fd = dialled();
		char out[64];

		assert_int_equal(send(fd, rows[i].p, rows[i].n, 0), rows[i].n);
		assert_true(hear(fd, out, sizeof(out)) == 0);
		assert_int_equal(rig.stub.n_clients, 0);
	}
}

static void
over_tcp_some_may_wait_and_no_more(void **state)
{
	int fds[EGRESS_DNS_TCP_MAX + 4];
	uint8_t out[DNS_UDP_BYTES];

	(void)state;
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = dialled();
	for (size_t i = 0; i < COUNT(fds); i++)
		turn();
	assert_int_equal(rig.stub.n_clients, EGRESS_DNS_TCP_MAX);
	assert_true(hear(fds[COUNT(fds) - 1], out, sizeof(out)) <= 0);
	/* Those who wait keep nobody from asking by UDP. */
	assert_true(asked(STR(QUERY), out) > 0);
	(void)close(fds[0]);
	turn();
	assert_int_equal(rig.stub.n_clients, EGRESS_DNS_TCP_MAX - 1);
	for (size_t i = 1; i < COUNT(fds); i++)
		(void)close(fds[i]);
}

static void
stub_may_lack_either_socket(void **state)
{
	struct dns_stub none;
	struct err e = {};

	(void)state;
	assert_int_equal(
	    dns_stub_open_take(&none, rig.loop, rig.names, -1, -1, &e), 0);
	dns_stub_close(&none);
	none = (struct dns_stub){};
	dns_stub_close(&none); /* one that was never opened */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(question_has_its_answer),
		TEST(name_of_every_length_is_read_or_refused),
		TEST(answer_comes_from_the_address_that_was_asked),
		TEST(query_that_is_too_long_has_no_answer_and_the_next_one_has),
		TEST(over_tcp_questions_come_in_any_pieces),
		TEST(over_tcp_what_is_too_long_or_no_question_ends_it),
		TEST(over_tcp_some_may_wait_and_no_more),
		TEST(stub_may_lack_either_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
