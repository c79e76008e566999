#include "gateway_rig.h"
#include "proxy/proxy.h"

static struct rig rig;

static int
serve(struct rig *r, int fd)
{
	struct proxy *p = calloc(1, sizeof(*p));
	struct err e = {};
	int status = 99;

	(void)r;
	if (p != NULL && proxy_init(p, &e) == 0 &&
	    peer_open_take(&p->supervisor, fd, &e) == 0 &&
	    proxy_run(p, &e) == 0)
		status = p->status;
	proxy_fini(p);
	free(p);
	return status;
}

static int
start(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_fork(&rig, ROLE_PROXY, serve);
	rig_door(&rig);
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
answer(uint64_t ask, uint32_t verdict, struct str payload)
{
	struct msg_egress_verdict v = {
		.run = RIG_RUN,
		.ask = ask,
		.verdict = verdict,
		.status = 403,
	};

	rig_send_frame(
	    rig.broker, MSG_EGRESS_VERDICT, &v, sizeof(v), payload, -1);
}

static void
each_request_is_asked_about_as_it_would_be_sent(void **state)
{
	static const struct {
		const char *why, *request, *payload;
	} rows[] = {
		{ "a URL",
		    "GET http://Docs.Example.com/a/b?token=1 HTTP/1.1\r\n"
		    "Host: docs.example.com\r\n\r\n",
		    "{\"content_length\":0,\"host\":\"docs.example.com\","
		    "\"method\":\"GET\",\"path\":\"/a/b\",\"port\":80,"
		    "\"proto\":\"http\",\"query\":\"token=1\","
		    "\"via\":\"absolute\"}" },
		{ "a port",
		    "GET http://a.example:8080/ HTTP/1.1\r\n"
		    "Host: A.Example.:8080\r\n\r\n",
		    "{\"content_length\":0,\"host\":\"a.example\","
		    "\"method\":\"GET\",\"path\":\"/\",\"port\":8080,"
		    "\"proto\":\"http\",\"via\":\"absolute\"}" },
		{ "no path, a query",
		    "DELETE http://a.example?x=/y HTTP/1.1\r\n"
		    "Host: a.example\r\n\r\n",
		    "{\"content_length\":0,\"host\":\"a.example\","
		    "\"method\":\"DELETE\",\"path\":\"/\",\"port\":80,"
		    "\"proto\":\"http\",\"query\":\"x=/y\","
		    "\"via\":\"absolute\"}" },
		{ "an address",
		    "GET http://[::1]:81/ HTTP/1.1\r\nHost: [::1]:81\r\n"
		    "\r\n",
		    "{\"content_length\":0,\"host\":\"::1\","
		    "\"method\":\"GET\",\"path\":\"/\",\"port\":81,"
		    "\"proto\":\"http\",\"via\":\"absolute\"}" },
		{ "a tunnel",
		    "CONNECT A.example:443 HTTP/1.1\r\nHost: a\r\n"
		    "\r\n",
		    "{\"host\":\"a.example\",\"port\":443,\"proto\":"
		    "\"tcp\",\"via\":\"connect\"}" },
		{ "a body",
		    "POST http://a.example/x HTTP/1.1\r\nHost: a.example\r\n"
		    "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\n"
		    "abc",
		    "{\"content_length\":3,\"content_type\":\"text/plain\","
		    "\"host\":\"a.example\",\"method\":\"POST\","
		    "\"path\":\"/x\",\"port\":80,\"proto\":\"http\","
		    "\"via\":\"absolute\"}" },
	};
	struct rig_frame f = {};
	struct rig_answer a = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_fd int fd = rig_connect(rig.run_port);
		struct msg_egress_ask m;

		rig_write(fd, str_of(rows[i].request));
		rig_take_frame(&rig, rig.broker, MSG_EGRESS_ASK, &f);
		rig_payload_is(&f, rows[i].payload);
		memcpy(&m, f.body, sizeof(m));
		assert_int_equal(m.run, RIG_RUN);
		answer(m.ask, EGRESS_DENY,
		    STR("{\"answer\":{\"body\":\"{\\\"error\\\":"
			"\\\"policy_denied\\\"}\"}}"));
		rig_answer(fd, &a);
		rig_body_is(&a, 403, "{\"error\":\"policy_denied\"}");
	}
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
what_is_no_proxy_request_is_told_so(void **state)
{
	static const struct {
		const char *why, *request;
		int status;
	} rows[] = {
		{ "a path", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "a star", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "no port to connect to",
		    "CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "port 0",
		    "GET http://a.example:0/ HTTP/1.1\r\nHost: a\r\n"
		    "\r\n",
		    400 },
		{ "a port too large",
		    "GET http://a.example:65536/ HTTP/1.1\r\nHost: a\r\n\r\n",
		    400 },
		{ "a user",
		    "GET http://u@a.example/ HTTP/1.1\r\nHost: a\r\n"
		    "\r\n",
		    400 },
		{ "TLS by the proxy",
		    "GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n"
		    "\r\n",
		    400 },
		{ "two names",
		    "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n"
		    "\r\n",
		    421 },
		{ "another scheme",
		    "GET ftp://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
		{ "no HTTP", "\x16\x03\x01\x02\x00\r\n\r\n", 400 },
		{ "two lengths",
		    "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1"
		    "\r\nContent-Length: 2\r\n\r\n",
		    400 },
	};

	struct rig_frame f = {};
	int told = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_fd int fd = rig_connect(rig.run_port);

		rig_write(fd, str_of(rows[i].request));
		rig_status_is(fd, rows[i].status);
	}
	/* The broker is told of refusals, and asked nothing. */
	while (rig_readable(rig.broker, RIG_QUIET_MS)) {
		struct msg_egress_done m;

		rig_take_frame(&rig, rig.broker, MSG_EGRESS_DONE, &f);
		memcpy(&m, f.body, sizeof(m));
		assert_int_equal(m.ask, 0);
		told++;
	}
	assert_true(told > 0);
	rig_frame_fini(&f);
}

static void
long_target_is_refused_before_the_broker_sees_it(void **state)
{
	own_buf struct buf b = {};
	own_fd int fd = rig_connect(rig.run_port);

	(void)state;
	buf_add_str(&b, STR("GET http://a.example/"));
	for (int i = 0; i < EGRESS_MAX_ASK_BYTES; i++)
		buf_add_byte(&b, 'x');
	buf_add_str(&b, STR(" HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_write(fd, buf_str(&b));
	rig_status_is(fd, 414);
}

static void
an_address_of_this_machine_is_not_dialled_though_it_is_allowed(void **state)
{
	own_fd int fd = rig_connect(rig.run_port);
	struct rig_frame f = {};
	struct rig_answer a = {};
	struct msg_egress_verdict v = {
		.run = RIG_RUN,
		.max_body = UINT64_MAX,
		.verdict = EGRESS_ALLOW,
		.flags = EGRESS_SPLICE,
	};

	(void)state;
	rig_write(fd, STR("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_take_frame(&rig, rig.broker, MSG_EGRESS_ASK, &f);
	memcpy(&v.ask, f.body + 8, sizeof(v.ask));
	rig_send_frame(
	    rig.broker, MSG_EGRESS_VERDICT, &v, sizeof(v), STR("{}"), -1);
	rig_answer(fd, &a);
	assert_int_equal(a.status, 502);
	assert_true(rig_has(&a.body, "loopback"));
	assert_true(rig_has(&a.head, "Connection: close"));
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
who_waits_is_told_when_the_broker_has_gone(void **state)
{
	own_fd int fd = -1;
	struct rig_frame f = {};

	(void)state;
	rig_init(&rig);
	rig_fork(&rig, ROLE_PROXY, serve);
	rig_door(&rig);
	fd = rig_connect(rig.run_port);
	rig_write(fd, STR("CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_take_frame(&rig, rig.broker, MSG_EGRESS_ASK, &f);
	(void)close(rig.broker);
	rig_status_is(fd, 503);
	rig_wait_end(&rig, 1);
	(void)close(rig.supervisor);
	rig_frame_fini(&f);
}

static void
closed_door_takes_its_connections_with_it(void **state)
{
	own_fd int fd = rig_connect(rig.run_port);
	struct msg_door door = { .run = RIG_RUN };
	struct rig_frame f = {};

	(void)state;
	rig_write(fd, STR("CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_take_frame(&rig, rig.broker, MSG_EGRESS_ASK, &f);
	rig_send_frame(
	    rig.broker, MSG_DOOR_CLOSE, &door, sizeof(door), STR(""), -1);
	assert_true(rig_is_closed(fd));
	rig_frame_fini(&f);
}

static void
a_run_has_so_many_connections_and_the_last_ones_are_for_others(void **state)
{
	const int64_t s = 1000000000;
	struct admit a;

	(void)state;
	admit_init(&a, STR("{\"connections\":3,\"connections_per_s\":2}"));
	assert_null(admit_one(&a, 0, 5000, s));
	assert_null(admit_one(&a, 1, 5000, s));
	assert_non_null(strstr(admit_one(&a, 2, 5000, s), "a second"));
	assert_null(admit_one(&a, 2, 5000, s + s / 2));
	assert_non_null(strstr(admit_one(&a, 3, 5000, 9 * s), "allows"));
	assert_int_equal(admit_told(&a, 9 * s), 2);
	assert_non_null(admit_one(&a, 3, 5000, 9 * s));
	assert_int_equal(admit_told(&a, 9 * s + 1), 0);
	assert_int_equal(admit_told(&a, 10 * s), 1);

	admit_init(&a, STR(""));
	assert_int_equal(a.most, EGRESS_CONNECTIONS);
	assert_int_equal(a.per_s, EGRESS_CONNECTIONS_PER_S);
	assert_null(admit_one(&a, EGRESS_FLOWS_FEW - 1, EGRESS_FLOWS_KEPT, s));
	assert_non_null(strstr(
	    admit_one(&a, EGRESS_FLOWS_FEW, EGRESS_FLOWS_KEPT, s), "room"));
	assert_null(admit_one(&a, EGRESS_FLOWS_FEW, EGRESS_FLOWS_KEPT + 1, s));
	assert_non_null(strstr(admit_one(&a, 0, 0, s), "room"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    each_request_is_asked_about_as_it_would_be_sent, start,
		    stop),
		cmocka_unit_test_setup_teardown(
		    what_is_no_proxy_request_is_told_so, start, stop),
		cmocka_unit_test_setup_teardown(
		    long_target_is_refused_before_the_broker_sees_it, start,
		    stop),
		cmocka_unit_test_setup_teardown(
		    an_address_of_this_machine_is_not_dialled_though_it_is_allowed,
		    start, stop),
		cmocka_unit_test(
		    a_run_has_so_many_connections_and_the_last_ones_are_for_others),
		cmocka_unit_test(who_waits_is_told_when_the_broker_has_gone),
		cmocka_unit_test_setup_teardown(
		    closed_door_takes_its_connections_with_it, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
