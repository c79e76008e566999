/*
 * Answers that stop in the middle of a secret that the proxy has a print of:
 * whoever makes the pause, the client gets the placeholder.
 */
#include "forward_rig.h"

#include "watch_rig.h"

#define VALUE "tk_live_9fQ2xL7v"
#define FAKE "pdk_12345678_abc"
#define GET "GET /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
#define UNTIL_CLOSE "HTTP/1.1 200 OK\r\n\r\n"
#define UNTIL_CLOSE_OUT "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

enum {
	LINE = sizeof(VALUE), /* one and a line end */
	LINES = 8000,
	LONG_MS = FILTER_HUSH_MS + FILTER_BEGUN_MS + 200,
};

static struct filter_watch watch;
static struct loop_timer clock_timer;
static bool time_is_over;
static struct str to_say; /* by the server, as it can */

static void
on_clock(struct loop_timer *t)
{
	(void)t;
	time_is_over = true;
}

static bool
is_over(void)
{
	return time_is_over;
}

static void
pass_ms(int64_t ms)
{
	time_is_over = false;
	clock_timer.on_time = on_clock;
	loop_timer_set(
	    rig.loop, &clock_timer, clock_mono_ns() + ms * NS_PER_MS);
	wait_for(is_over);
}

/* The server says some more; true when the client has heard the end. */
static bool
all_is_said(void)
{
	ssize_t n = to_say.n == 0 ? 0
				  : send(server()->watch.fd, to_say.p, to_say.n,
					MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		to_say.p += n;
		to_say.n -= (size_t)n;
		if (to_say.n == 0)
			half_close(server());
	}
	return rig.client.ended;
}

static void
watches(void)
{
	watch_take(&watch, "KEY", STR(VALUE), FAKE);
	rig.f.watch = &watch;
}

static int
finish(void **state)
{
	int rc = stop(state);

	filter_watch_fini(&watch);
	return rc;
}

/* So many other bytes, and so many lines. */
static void
lines_put(struct buf *b, int ahead, const char *text, int n)
{
	while (ahead-- > 0)
		buf_add_byte(b, '.');
	while (n-- > 0)
		buf_printf(b, "%s\n", text);
}

/* Each line is the placeholder, none has a byte of the value. */
static void
client_has_placeholders(int ahead, int lines)
{
	own_buf struct buf want = { .max = 4 * 1024 * 1024 };

	buf_add_c(&want, UNTIL_CLOSE_OUT);
	lines_put(&want, ahead, FAKE, lines);
	assert_int_equal(rig.client.heard.n, want.n);
	for (size_t i = 0; i < want.n; i++) {
		if (rig.client.heard.p[i] != want.p[i])
			fail_msg("at %zu: %.40s", i, rig.client.heard.p + i);
	}
}

/* What the client was to be sent can go no further. */
static bool
is_stuck(void)
{
	(void)all_is_said();
	return rig.f.out.n > 0;
}

static void
takes_nothing_for(int64_t ms, int ahead)
{
	own_buf struct buf b = { .max = 4 * 1024 * 1024 };
	const int small = 4096;
	struct err e = {};

	watches();
	assert_int_equal(setsockopt(rig.f.client.watch.fd, SOL_SOCKET,
			     SO_SNDBUF, &small, sizeof(small)),
	    0);
	say(&rig.client, GET);
	server_hears(GET);
	lines_put(&b, ahead, VALUE, LINES);
	to_say = buf_str(&b);
	say(server(), UNTIL_CLOSE);
	assert_int_equal(loop_want(rig.loop, &rig.client.watch, 0, &e), 0);
	wait_for(is_stuck);
	pass_ms(ms);
	assert_int_equal(rig.client.heard.n, 0);
	assert_int_equal(
	    loop_want(rig.loop, &rig.client.watch, EPOLLIN, &e), 0);
	wait_for(all_is_said);
	client_has_placeholders(ahead, LINES);
}

/* Wherever in a value it stops: how many bytes are ahead says where. */
static void
a_client_that_takes_nothing_makes_no_pause(void **state)
{
	for (int ahead = 0; ahead < LINE; ahead++) {
		takes_nothing_for(2 * FILTER_HUSH_MS, ahead);
		(void)finish(state);
		(void)start(state);
	}
	takes_nothing_for(LONG_MS, LINE / 2);
}

static void
a_rules_rate_makes_no_pause(void **state)
{
	enum { PER_S = 100000, FEW = 2 * PER_S / LINE, STEP = 5 };
	for (int ahead = 0; ahead < LINE; ahead += STEP) {
		own_buf struct buf b = { .max = 4 * 1024 * 1024 };

		watches();
		rig.verdict.bytes_per_s = PER_S;
		say(&rig.client, GET);
		server_hears(GET);
		lines_put(&b, ahead, VALUE, FEW);
		to_say = buf_str(&b);
		say(server(), UNTIL_CLOSE);
		wait_for(all_is_said);
		client_has_placeholders(ahead, FEW);
		(void)finish(state);
		(void)start(state);
	}
}

static void
a_length_that_is_known_is_waited_for(void **state)
{
	static const char head[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n";

	(void)state;
	watches();
	for (int part = 1; part <= 12; part += 11) {
		say(&rig.client, GET);
		server_hears(GET);
		say(server(), head);
		hears(&rig.client, head);
		say(server(), "so ");
		assert_int_equal(
		    send(server()->watch.fd, VALUE, (size_t)part, MSG_NOSIGNAL),
		    part);
		pass_ms(LONG_MS);
		assert_true(rig.client.heard.n <= 3);
		say(server(), &VALUE[part]);
		say(server(), ".");
		hears(&rig.client, "so " FAKE ".");
	}
	/* The end of the connection brings nothing of it either. */
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), head);
	hears(&rig.client, head);
	say(server(), "tk_live_");
	pass_ms(100);
	end_close(server());
	wait_for(client_ended);
	assert_int_equal(rig.client.heard.n, 0);
}

static void
without_a_length_a_server_that_pauses_is_waited_for_a_while(void **state)
{
	(void)state;
	watches();
	say(&rig.client, GET);
	server_hears(GET);
	say(server(), UNTIL_CLOSE);
	hears(&rig.client, UNTIL_CLOSE_OUT);
	say(server(), "so tk_live_9");
	hears(&rig.client, "so ");
	pass_ms(FILTER_BEGUN_MS / 2);
	assert_int_equal(rig.client.heard.n, 0);
	say(server(), &VALUE[9]);
	hears(&rig.client, FAKE);
	/* What is nobody's beginning goes on, for who waits for it. */
	say(server(), "> ");
	hears(&rig.client, "> ");
}

#define PAUSE_TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PAUSE_TEST(a_client_that_takes_nothing_makes_no_pause),
		PAUSE_TEST(a_rules_rate_makes_no_pause),
		PAUSE_TEST(a_length_that_is_known_is_waited_for),
		PAUSE_TEST(
		    without_a_length_a_server_that_pauses_is_waited_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
