#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "gateway_rig.h"

#define DISCOVER                                                            \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\","     \
	"\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion"  \
	"\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":" \
	"{}}}}"
#define DISCOVER_HEADERS                                      \
	JSON_TYPE BOTH "MCP-Protocol-Version: 2026-07-28\r\n" \
		       "Mcp-Method: server/discover\r\n"

/* Long enough for a busy machine to send a request in. */
enum { QUICK_MS = 250 };

static struct rig rig;

static int
start(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_start(&rig);
	return 0;
}

/* Everything that waits for a client ends within the time of a test. */
static int
start_quick(void **state)
{
	(void)state;
	rig_init(&rig);
	rig.limits.head_ms = rig.limits.body_ms = QUICK_MS;
	rig.limits.idle_ms = rig.limits.linger_ms = QUICK_MS;
	rig_start(&rig);
	return 0;
}

static int
start_small(void **state)
{
	(void)state;
	rig_init(&rig);
	rig.limits.conns = 4;
	rig.limits.conns_per_run = 2;
	rig.limits.reserve = 1;
	rig_start(&rig);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static void
what_two_parsers_could_read_differently_is_refused(void **state)
{
	static const struct {
		const char *why, *request;
		int status;
	} rows[] = {
		{ "length and chunks",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Length: 5"
		    "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		    400 },
		{ "two lengths",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Length: 0"
		    "\r\nContent-Length: 0\r\n\r\n",
		    400 },
		{ "a length with a sign",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Length: +0"
		    "\r\n\r\n",
		    400 },
		{ "a coding of other spelling",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\n"
		    "Transfer-Encoding: xchunked\r\n\r\n",
		    501 },
		{ "a bare LF", "GET /v1/health HTTP/1.1\nHost: a\n\n", 400 },
		{ "a folded line",
		    "GET /v1/health HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		    400 },
		{ "a space before the colon",
		    "GET /v1/health HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
		{ "two hosts",
		    "GET /v1/health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		    400 },
		{ "no host", "GET /v1/health HTTP/1.1\r\n\r\n", 400 },
		{ "an empty line first",
		    "\r\nGET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "a chunk extension",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n0;x=1\r\n\r\n",
		    400 },
		{ "a chunk size that is none",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n0x1\r\n",
		    400 },
		{ "another version", "GET /v1/health HTTP/2.0\r\n\r\n", 505 },
		{ "a body over the limit",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\n"
		    "Content-Length: 99999999\r\n\r\n",
		    413 },
		{ "an expectation",
		    "POST /v1/stop HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
		    417 },
	};
	struct rig_answer a = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_fd int fd = rig_connect_local(&rig);

		rig_write(fd, str_of(rows[i].request));
		rig_answer(fd, &a);
		if (a.status != rows[i].status)
			print_error("%s: %d\n", rows[i].why, a.status);
		assert_int_equal(a.status, rows[i].status);
		assert_true(rig_has(&a.body, "{\"error\":{\"code\":\""));
		assert_true(rig_has(&a.head, "Connection: close"));
		assert_true(rig_is_closed(fd));
	}
	assert_false(rig_readable(rig.broker, RIG_QUIET_MS));
	rig_answer_fini(&a);
}

static void
head_over_the_limits_is_431_or_414(void **state)
{
	own_buf struct buf fields = {}, target = {};
	own_fd int many = rig_connect_local(&rig);
	own_fd int far = rig_connect_local(&rig);

	(void)state;
	buf_add_str(&fields, STR("GET /v1/health HTTP/1.1\r\nHost: a\r\n"));
	for (int i = 0; i < HTTP_MAX_FIELDS; i++)
		buf_printf(&fields, "X-%d: 1\r\n", i);
	rig_write(many, buf_str(&fields));
	rig_status_is(many, 431);
	buf_add_str(&target, STR("GET /"));
	for (int i = 0; i < HTTP_MAX_LINE_BYTES; i++)
		buf_add_byte(&target, 'x');
	rig_write(far, buf_str(&target));
	rig_status_is(far, 414);
}

static void
request_cut_anywhere_is_the_same_request(void **state)
{
	static const char request[] =
	    "POST /v1/stop HTTP/1.1\r\nHost: a\r\n" JSON_TYPE
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "5\r\n{\"rea\r\nc\r\nson\":\"test\"}\r\n0\r\n\r\n";
	struct rig_frame f = {};
	own_fd int fd = rig_connect_local(&rig);

	(void)state;
	for (size_t cut = 1; cut < sizeof(request) - 1; cut++) {
		rig_write(fd, (struct str){ request, cut });
		/* The first part has been read when the queue is empty. */
		while (!rig_readable(fd, 0)) {
			int left = 0;

			assert_int_equal(ioctl(fd, SIOCOUTQ, &left), 0);
			if (left == 0)
				break;
		}
		rig_write(fd,
		    (struct str){ request + cut, sizeof(request) - 1 - cut });
		rig_take_frame(&rig, rig.broker, MSG_API, &f);
		rig_payload_is(&f, "{\"reason\":\"test\"}");
		rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
		rig_status_is(fd, 200);
	}
	rig_frame_fini(&f);
}

static void
pipelined_requests_are_answered_one_after_the_other(void **state)
{
	own_buf struct buf all = {};
	struct rig_frame f = {};
	struct rig_answer a = {};
	own_fd int fd = rig_connect_local(&rig);

	(void)state;
	/* Some are answered here, some by the broker, in chunks or whole. */
	for (int i = 0; i < 100; i++) {
		buf_add_str(&all,
		    STR("GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
			"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n"
			"POST /v1/stop HTTP/1.1\r\nHost: a\r\n" JSON_TYPE
			"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
			"\r\n"));
	}
	rig_write(fd, buf_str(&all));
	for (int i = 0; i < 100; i++) {
		rig_status_is(fd, 404);
		rig_take_frame(&rig, rig.broker, MSG_API, &f);
		assert_false(rig_readable(rig.broker, 0));
		rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{\"n\":1}"));
		rig_answer(fd, &a);
		rig_body_is(&a, 200, "{\"n\":1}");
		rig_take_frame(&rig, rig.broker, MSG_API, &f);
		rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{\"n\":2}"));
		rig_answer(fd, &a);
		rig_body_is(&a, 200, "{\"n\":2}");
	}
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
body_is_asked_for_when_the_client_waits_to_be_asked(void **state)
{
	static const char ok[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct rig_frame f = {};
	own_fd int fd = rig_connect_local(&rig);
	char got[sizeof(ok)] = {};

	(void)state;
	rig_write(fd,
	    STR("POST /v1/stop HTTP/1.1\r\nHost: a\r\n" JSON_TYPE
		"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
	for (size_t i = 0; i < sizeof(ok) - 1; i++)
		assert_true(rig_byte(fd, &got[i]));
	assert_string_equal(got, ok);
	rig_write(fd, STR("{}"));
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_status_is(fd, 200);
	rig_frame_fini(&f);
}

static void
slow_client_costs_a_connection_for_a_while(void **state)
{
	own_fd int silent = rig_connect_local(&rig);
	own_fd int head = rig_connect_local(&rig);
	own_fd int body = rig_connect_local(&rig);
	own_fd int idle = rig_connect_local(&rig);
	struct rig_answer a = {};

	(void)state;
	rig_write(head, STR("GET /v1/hea"));
	rig_write(body,
	    STR("POST /v1/stop HTTP/1.1\r\nHost: a\r\n" JSON_TYPE
		"Content-Length: 2\r\n\r\n{"));
	rig_write(idle, STR("GET /v1/no HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_answer(head, &a);
	assert_int_equal(a.status, 408);
	assert_true(rig_has(&a.body, "\"code\":\"timeout\""));
	rig_status_is(body, 408);
	rig_status_is(idle, 404);
	assert_true(rig_is_closed(silent));
	assert_true(rig_is_closed(idle));
	assert_true(rig_is_closed(head));
	assert_true(rig_is_closed(body));
	rig_answer_fini(&a);
}

static void
waiting_for_the_broker_has_no_limit_of_time(void **state)
{
	struct rig_frame f = {};
	own_fd int fd = rig_connect_local(&rig);

	(void)state;
	rig_request(fd, "GET /v1/health", 0, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	assert_false(rig_readable(fd, 2 * QUICK_MS));
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_status_is(fd, 200);
	rig_frame_fini(&f);
}

static void
client_that_does_not_read_its_answer_is_let_go(void **state)
{
	own_buf struct buf big = {};
	struct rig_frame f = {};
	own_fd int fd = -1;
	char c[4096];
	ssize_t n;

	(void)state;
	buf_add_str(&big, STR("{\"a\":\""));
	while (big.n < 2 * 1024 * 1024)
		buf_add_byte(&big, 'a');
	buf_add_str(&big, STR("\"}"));
	fd = rig_connect_local(&rig);
	rig_request(fd, "GET /v1/health", 0, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, buf_str(&big));
	(void)poll(NULL, 0, 3 * QUICK_MS); /* in which we do not read */
	do {
		assert_true(rig_readable(fd, RIG_WAIT_MS));
		n = recv(fd, c, sizeof(c), 0);
		if (n > 0)
			big.n -= (size_t)n < big.n ? (size_t)n : big.n;
	} while (n > 0);
	assert_true(big.n > 0); /* not all of it came */
	rig_frame_fini(&f);
}

static void
closing_only_the_sending_half_still_gets_the_answer(void **state)
{
	struct rig_frame f = {};
	own_fd int fd = rig_connect_local(&rig);
	own_fd int tcp = rig_connect(rig.tcp_port);
	own_fd int half = rig_connect_local(&rig);

	(void)state;
	rig_request(fd, "GET /v1/health", 0, "", NULL);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_status_is(fd, 200);
	assert_true(rig_is_closed(fd));

	rig_request(tcp, "GET /v1/health", rig.tcp_port, TOKEN, NULL);
	assert_int_equal(shutdown(tcp, SHUT_WR), 0);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	(void)poll(NULL, 0, RIG_QUIET_MS); /* it has been seen by now */
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_status_is(tcp, 200);

	rig_write(half, STR("GET /v1/health HTT"));
	assert_int_equal(shutdown(half, SHUT_WR), 0);
	rig_status_is(half, 400);
	rig_frame_fini(&f);
}

static void
large_head_that_never_ends_is_refused_when_its_client_does(void **state)
{
	own_fd int fd = rig_connect_local(&rig);
	char field[4096];

	(void)state;
	memset(field, 'a', sizeof(field));
	memcpy(field, "X: ", 3);
	memcpy(field + sizeof(field) - 2, "\r\n", 2);
	rig_write(fd, STR("GET /v1/health HTTP/1.1\r\nHost: x\r\n"));

	/* What the gateway has read moves each time that more of it comes. */
	for (int i = 0; i < 7; i++) {
		(void)poll(NULL, 0, RIG_QUIET_MS); /* it has been read by now */
		rig_write(fd, (struct str){ field, sizeof(field) });
	}
	(void)poll(NULL, 0, RIG_QUIET_MS);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	rig_status_is(fd, 400);
}

static void
http_1_0_closes_unless_asked_to_stay(void **state)
{
	own_fd int fd = rig_connect_local(&rig);
	struct rig_answer a = {};

	(void)state;
	rig_write(
	    fd, STR("GET /v1/no HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	rig_answer(fd, &a);
	assert_int_equal(a.status, 404);
	assert_true(rig_has(&a.head, "Connection: keep-alive"));
	rig_write(fd, STR("GET /v1/no HTTP/1.0\r\n\r\n"));
	rig_answer(fd, &a);
	assert_true(rig_has(&a.head, "Connection: close"));
	assert_true(rig_is_closed(fd));
	rig_answer_fini(&a);
}

static void
connections_over_the_limit_are_told_so(void **state)
{
	int agents[2], people[3];
	own_fd int more = -1, last = -1;
	struct rig_answer a = {};

	(void)state;
	for (size_t i = 0; i < COUNT(agents); i++) {
		agents[i] = rig_connect(rig.run_port);
		rig_request(agents[i], "POST /mcp", rig.run_port,
		    DISCOVER_HEADERS, DISCOVER);
		rig_status_is(agents[i], 200);
	}

	/* A run has two; the third is told, before it sent a whole head. */
	more = rig_connect(rig.run_port);
	rig_request(
	    more, "POST /mcp", rig.run_port, DISCOVER_HEADERS, DISCOVER);
	rig_answer(more, &a);
	assert_int_equal(a.status, 503);
	assert_true(rig_has(&a.body, "too many connections"));
	assert_true(rig_is_closed(more));

	/* People have what is left, and one that no run can take. */
	for (size_t i = 0; i < COUNT(people); i++) {
		people[i] = rig_connect_local(&rig);
		rig_request(people[i], "GET /v1/no", 0, "", NULL);
		rig_status_is(people[i], 404);
	}
	last = rig_connect_local(&rig);
	rig_request(last, "GET /v1/no", 0, "", NULL);
	rig_status_is(last, 503);

	/* A place that becomes free is given away again. */
	(void)close(agents[0]);
	(void)close(people[0]);
	people[0] = -1;
	do {
		fd_fini(&more);
		more = rig_connect(rig.run_port);
		rig_request(more, "POST /mcp", rig.run_port, DISCOVER_HEADERS,
		    DISCOVER);
		rig_answer(more, &a);
	} while (a.status == 503);
	assert_int_equal(a.status, 200);
	(void)close(agents[1]);
	for (size_t i = 0; i < COUNT(people); i++)
		fd_fini(&people[i]);
	rig_answer_fini(&a);
}

static void
many_connections_come_and_go_without_loss(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		int fds[64];

		for (size_t i = 0; i < COUNT(fds); i++) {
			fds[i] = rig_connect(rig.run_port);
			rig_request(fds[i], "POST /mcp", rig.run_port,
			    DISCOVER_HEADERS, DISCOVER);
		}
		for (size_t i = 0; i < COUNT(fds); i++) {
			rig_status_is(fds[i], 200);
			(void)close(fds[i]);
		}
	}
}

static void
who_waits_is_told_when_the_broker_has_gone(void **state)
{
	struct rig_frame f = {};
	own_fd int rest = -1, call = -1, stream = -1, quiet = -1;
	own_buf struct buf got = {};
	struct rig_answer a = {};
	char c;

	(void)state;
	rig_init(&rig);
	rig.times.stream_ms = 10;
	rig_start(&rig);
	quiet = rig_connect_local(&rig);
	rest = rig_connect_local(&rig);
	rig_request(rest, "GET /v1/health", 0, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	call = rig_connect(rig.run_port);
	rig_request(call, "POST /mcp", rig.run_port,
	    JSON_TYPE BOTH "MCP-Protocol-Version: 2026-07-28\r\n"
			   "Mcp-Method: tools/list\r\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
	    "\"params\":{\"_meta\":{"
	    "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
	    "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	stream = rig_connect_local(&rig);
	rig_request(stream, "GET /v1/runs/r-7k3m9q2v5w1x/events", 0,
	    "Accept: text/event-stream\r\n", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	while (!rig_has(&got, "\r\n\r\n")) {
		assert_true(rig_byte(stream, &c));
		buf_add_byte(&got, c);
	}
	(void)close(rig.broker);
	rig_status_is(rest, 503);
	rig_answer(call, &a);
	assert_int_equal(a.status, 503);
	assert_true(rig_has(&a.body, "\"code\":-32603"));
	while (rig_byte(stream, &c))
		buf_add_byte(&got, c);
	assert_true(rig_has(&got, "0\r\n\r\n"));
	assert_true(rig_is_closed(quiet));
	rig_wait_end(&rig, 1);
	(void)close(rig.supervisor);
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
broker_that_goes_while_it_is_asked_is_an_answer_too(void **state)
{
	struct rig_frame f = {};
	own_fd int waits = -1, asks = -1;

	(void)state;
	rig_init(&rig);
	rig_start(&rig);
	waits = rig_connect_local(&rig);
	rig_request(waits, "GET /v1/health", 0, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	asks = rig_connect_local(&rig);
	rig_request(asks, "GET /v1/no", 0, "", NULL);
	rig_status_is(asks, 404);

	/* The request is there first, so it is sent to who has gone. */
	assert_int_equal(kill(rig.pid, SIGSTOP), 0);
	rig_request(asks, "GET /v1/health", 0, "", NULL);
	(void)close(rig.broker);
	assert_int_equal(kill(rig.pid, SIGCONT), 0);
	rig_status_is(asks, 503);
	rig_status_is(waits, 503);
	rig_wait_end(&rig, 1);
	(void)close(rig.supervisor);
	rig_frame_fini(&f);
}

static void
without_a_broker_the_answer_is_503(void **state)
{
	struct msg_listen tcp = { .kind = LISTEN_TCP };
	own_fd int listener = -1, fd = -1;
	int up[2], port;
	struct err e = {};

	(void)state;
	rig_init(&rig);
	assert_int_equal(peer_pair(up, &e), 0);
	rig.pid = fork();
	if (rig.pid == 0) {
		(void)close(up[0]);
		exit(rig_serve_gateway(&rig, up[1]));
	}
	(void)close(up[1]);
	listener = rig_tcp(&port);
	rig_send_frame(up[0], MSG_LISTEN, &tcp, sizeof(tcp), STR(""), listener);
	fd = rig_connect(port);
	rig_request(fd, "GET /v1/health", port, TOKEN, NULL);
	rig_status_is(fd, 503);
	(void)close(up[0]);
	rig_wait_end(&rig, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define QUICK(name) cmocka_unit_test_setup_teardown(name, start_quick, stop)
	const struct CMUnitTest tests[] = {
		TEST(what_two_parsers_could_read_differently_is_refused),
		TEST(head_over_the_limits_is_431_or_414),
		TEST(request_cut_anywhere_is_the_same_request),
		TEST(pipelined_requests_are_answered_one_after_the_other),
		TEST(body_is_asked_for_when_the_client_waits_to_be_asked),
		QUICK(slow_client_costs_a_connection_for_a_while),
		QUICK(waiting_for_the_broker_has_no_limit_of_time),
		QUICK(client_that_does_not_read_its_answer_is_let_go),
		TEST(closing_only_the_sending_half_still_gets_the_answer),
		TEST(
		    large_head_that_never_ends_is_refused_when_its_client_does),
		TEST(http_1_0_closes_unless_asked_to_stay),
		cmocka_unit_test_setup_teardown(
		    connections_over_the_limit_are_told_so, start_small, stop),
		TEST(many_connections_come_and_go_without_loss),
		cmocka_unit_test(who_waits_is_told_when_the_broker_has_gone),
		cmocka_unit_test(
		    broker_that_goes_while_it_is_asked_is_an_answer_too),
		cmocka_unit_test(without_a_broker_the_answer_is_503),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
