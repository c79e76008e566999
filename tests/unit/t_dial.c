/*
 * From a name to a connection, with a resolver that says what a test wants.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/dial.h"
#include "sys/fd.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { LIMIT_MS = 15000, HEAD = 12, AAAA = 28 };

static struct rig {
	struct loop *loop;
	struct dialer dialer;
	struct dial dial;
	struct loop_watch resolver;
	struct loop_timer limit;
	int listener;
	uint16_t port;
	/* The answer: these addresses, or a code, or nothing, or rubbish. */
	const char *addrs[4];
	int rcode;
	bool silent, loops, runs;
	int n_asked, n_done, fd;
	const char *why;
} rig;

static size_t
record_write(uint8_t *out, const struct addr *a)
{
	const uint8_t size = a->v6 ? 16 : 4;
	const uint8_t head[12] = { 0xc0, HEAD, 0, a->v6 ? AAAA : 1, 0, 1, 0, 0,
		0, 0, 0, size };

	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), a->byte, size);
	return sizeof(head) + size;
}

static void
on_query(struct loop_watch *w, uint32_t events)
{
	struct sockaddr_in from;
	socklen_t from_n = sizeof(from);
	uint8_t b[1024];
	ssize_t n = recvfrom(
	    w->fd, b, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_n);
	size_t end = HEAD;

	(void)events;
	if (n <= HEAD)
		return;
	rig.n_asked++;
	if (rig.silent)
		return;
	while (b[end] != 0)
		end += b[end] + 1U;
	end += 5;
	b[2] = 0x81;
	b[3] = (uint8_t)(0x80 | rig.rcode);
	memset(b + 6, 0, 6);
	if (rig.loops) {
		static const uint8_t loop[] = { 0xc0, 0, 0, 1, 0, 1, 0, 0, 0, 0,
			0, 4, 127, 0, 0, 1 };

		/* A name that is a pointer to itself. */
		memcpy(b + end, loop, sizeof(loop));
		b[end] = (uint8_t)(0xc0 | end >> 8);
		b[end + 1] = (uint8_t)end;
		b[7] = 1;
		end += sizeof(loop);
	}
	for (size_t i = 0; i < COUNT(rig.addrs) && rig.addrs[i] != NULL; i++) {
		struct addr a;
		bool v6 = b[HEAD] != 0 && rig.addrs[i] != NULL &&
		    strchr(rig.addrs[i], ':') != NULL;
		size_t type = 0;

		while (b[HEAD + type] != 0)
			type += b[HEAD + type] + 1U;
		if ((b[HEAD + type + 2] == AAAA) != v6)
			continue;
		assert_int_equal(addr_parse(str_of(rig.addrs[i]), &a), 0);
		end += record_write(b + end, &a);
		b[7]++;
	}
	(void)sendto(w->fd, b, end, 0, (struct sockaddr *)&from, from_n);
}

static void
on_done(struct dial *d, int fd, const char *why)
{
	assert_null(d->dialer);
	assert_true((fd < 0) == (why != NULL));
	rig.n_done++;
	rig.fd = fd;
	rig.why = why;
	if (rig.runs)
		loop_stop(rig.loop);
}

static void
on_limit(struct loop_timer *t)
{
	(void)t;
	fail_msg("the dial has no end");
}

static int
bound(int type, uint16_t *port)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t n = sizeof(at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static int
start(void **state)
{
	char at[32];
	struct err e = {};
	uint16_t port;

	(void)state;
	rig = (struct rig){ .fd = -1, .limit = { .on_time = on_limit } };
	rig.loop = loop_new(&e);
	rig.resolver = (struct loop_watch){
		.fd = bound(SOCK_DGRAM, &port),
		.events = EPOLLIN,
		.on_ready = on_query,
	};
	assert_int_equal(loop_add(rig.loop, &rig.resolver, &e), 0);
	(void)snprintf(at, sizeof(at), "127.0.0.1:%u", port);
	assert_int_equal(setenv("PADDOCK_RESOLVER", at, 1), 0);
	assert_int_equal(dialer_init(&rig.dialer, rig.loop, &e), 0);
	rig.listener = bound(SOCK_STREAM, &rig.port);
	assert_int_equal(listen(rig.listener, 8), 0);
	rig.dial.on_done = on_done;
	return 0;
}

static int
stop(void **state)
{
	int fd = loop_remove(rig.loop, &rig.resolver);

	(void)state;
	dialer_fini(&rig.dialer);
	fd_fini(&fd);
	fd_fini(&rig.listener);
	fd_fini(&rig.fd);
	loop_free(rig.loop);
	return 0;
}

static void
pin(const char *range)
{
	assert_int_equal(
	    cidr_parse(str_of(range), &rig.dial.pins[rig.dial.n_pins++]), 0);
}

static void
dial(const char *host)
{
	struct err e = {};

	dial_start(&rig.dial, &rig.dialer, host, rig.port);
	if (rig.n_done > 0)
		return;
	loop_timer_set(
	    rig.loop, &rig.limit, clock_mono_ns() + LIMIT_MS * 1000000LL);
	rig.runs = true;
	assert_int_equal(loop_run(rig.loop, NULL, NULL, &e), 0);
	rig.runs = false;
	loop_timer_clear(rig.loop, &rig.limit);
}

static void
reached(const char *address)
{
	char text[ADDR_TEXT_BYTES];
	int fd = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC);

	assert_int_equal(rig.n_done, 1);
	assert_true(rig.fd >= 0);
	assert_true(fd >= 0);
	fd_fini(&fd);
	addr_write(&rig.dial.to, text);
	assert_string_equal(text, address);
}

static void
refused(const char *why)
{
	assert_int_equal(rig.n_done, 1);
	assert_int_equal(rig.fd, -1);
	assert_string_equal(rig.why, why);
	/* Nobody has come. */
	assert_int_equal(accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC), -1);
}

static void
pinned_address_of_a_name_is_dialled(void **state)
{
	(void)state;
	rig.addrs[0] = "127.0.0.1";
	pin("127.0.0.1/32");
	dial("api.example.com");
	reached("127.0.0.1");
}

static void
literal_address_needs_no_resolver(void **state)
{
	(void)state;
	pin("127.0.0.0/8");
	dial("127.0.0.1");
	reached("127.0.0.1");
	assert_int_equal(rig.n_asked, 0);
}

static void
address_that_is_not_public_is_not_dialled(void **state)
{
	static const char *const rows[] = { "127.0.0.1", "0.0.0.0", "10.1.2.3",
		"192.168.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
		"::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
		"2002:7f00:1::", "fe80::1", "fd00:ec2::254" };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addr a;

		rig.addrs[0] = rows[i];
		rig.n_done = 0;
		dial("rebound.example.com");
		assert_int_equal(addr_parse(str_of(rows[i]), &a), 0);
		assert_non_null(addr_denied(&a));
		refused(addr_denied(&a));
		/* As a literal it is none other. */
		rig.n_done = 0;
		dial(rows[i]);
		refused(addr_denied(&a));
	}
}

static void
of_several_only_those_that_passed_are_dialled(void **state)
{
	(void)state;
	rig.addrs[0] = "10.0.0.1";
	rig.addrs[1] = "127.0.0.1";
	rig.addrs[2] = "169.254.169.254";
	pin("127.0.0.1/32");
	dial("mixed.example.com");
	reached("127.0.0.1");
	assert_int_equal(rig.dial.n_addrs, 1);
}

static void
next_address_is_tried_when_one_refuses(void **state)
{
	(void)state;
	rig.addrs[0] = "127.0.0.9"; /* nobody listens there */
	rig.addrs[1] = "127.0.0.1";
	pin("127.0.0.0/8");
	dial("two.example.com");
	reached("127.0.0.1");
}

static void
pins_leave_no_other_address(void **state)
{
	(void)state;
	rig.addrs[0] = "93.184.216.34";
	pin("127.0.0.1/32");
	dial("moved.example.com");
	refused("not pinned");
}

static void
nobody_there_is_said_so(void **state)
{
	(void)state;
	rig.addrs[0] = "127.0.0.9";
	pin("127.0.0.0/8");
	dial("gone.example.com");
	refused("unreachable");
}

static void
name_that_does_not_exist_is_said_so(void **state)
{
	(void)state;
	rig.rcode = 3;
	dial("none.example.com");
	refused("the name cannot be resolved");
}

static void
answer_that_runs_in_a_circle_is_none(void **state)
{
	(void)state;
	rig.loops = true;
	pin("127.0.0.0/8");
	dial("loop.example.com");
	refused("the name cannot be resolved");
}

static void
resolver_that_is_silent_is_given_up(void **state)
{
	int64_t from = clock_mono_ns();

	(void)state;
	rig.silent = true;
	dial("late.example.com");
	refused("the name cannot be resolved");
	assert_true(rig.n_asked >= 2);
	assert_true(clock_mono_ns() - from >= 1000000000LL);
}

static void
dial_that_is_stopped_is_never_done(void **state)
{
	(void)state;
	rig.addrs[0] = "127.0.0.1";
	pin("127.0.0.1/32");
	dial_start(&rig.dial, &rig.dialer, "api.example.com", rig.port);
	dial_stop(&rig.dial);
	dial_stop(&rig.dial); /* idle already */
	assert_int_equal(rig.n_done, 0);
	/* The answer of the lookup comes, and is nobody's. */
	dial("api.example.com");
	reached("127.0.0.1");
}

static void
servers_that_are_no_addresses_are_told_of(void **state)
{
	struct dialer d;
	struct err e = {};

	(void)state;
	assert_int_equal(setenv("PADDOCK_RESOLVER", "nowhere:x", 1), 0);
	assert_int_equal(dialer_init(&d, rig.loop, &e), -1);
	assert_non_null(strstr(e.text, "PADDOCK_RESOLVER=nowhere:x"));
	dialer_fini(&d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pinned_address_of_a_name_is_dialled),
		TEST(literal_address_needs_no_resolver),
		TEST(address_that_is_not_public_is_not_dialled),
		TEST(of_several_only_those_that_passed_are_dialled),
		TEST(next_address_is_tried_when_one_refuses),
		TEST(pins_leave_no_other_address),
		TEST(nobody_there_is_said_so),
		TEST(name_that_does_not_exist_is_said_so),
		TEST(answer_that_runs_in_a_circle_is_none),
		TEST(resolver_that_is_silent_is_given_up),
		TEST(dial_that_is_stopped_is_never_done),
		TEST(servers_that_are_no_addresses_are_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
