/*
 * The gateway and the proxy as they are started: confined. Everything that
 * their work needs must still be possible then.
 */
#include "gateway/role.h"
#include "gateway_rig.h"
#include "proxy/role.h"

#define RUN "r-7k3m9q2v5w1x"

static struct rig rig;

static int
serve_gateway(struct rig *r, int fd)
{
	(void)r;
	/* The leak check of a sanitizer wants to ptrace: it cannot here. */
	_exit(gateway_role_main(fd));
}

static int
serve_proxy(struct rig *r, int fd)
{
	(void)r;
	_exit(proxy_role_main(fd)); /* as above */
}

static void
confined_gateway_serves_every_door(void **state)
{
	own_buf struct buf big = {};
	struct rig_frame f = {};
	struct rig_answer a = {};
	own_fd int run = -1, tcp = -1, local = -1, stream = -1;

	(void)state;
	rig_init(&rig);
	rig_start_with(&rig, serve_gateway);

	/* A session needs randomness, a token a hash. */
	run = rig_connect(rig.run_port);
	rig_request(run, "POST /mcp", rig.run_port, JSON_TYPE BOTH,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\","
	    "\"params\":{\"protocolVersion\":\"2025-11-25\"}}");
	rig_status_is(run, 200);
	tcp = rig_connect(rig.tcp_port);
	rig_request(tcp, "GET /v1/runs", rig.tcp_port, TOKEN, NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);

	/* A payload over one frame comes as a memfd, and one goes as such. */
	buf_add_str(&big, STR("{\"a\":\""));
	while (big.n < 1024 * 1024)
		buf_add_byte(&big, 'a');
	buf_add_str(&big, STR("\"}"));
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, buf_str(&big));
	rig_answer(tcp, &a);
	assert_int_equal(a.body.n, big.n);
	local = rig_connect_local(&rig);
	rig_request(local, "POST /v1/stop", 0, JSON_TYPE, buf_c(&big));
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	assert_int_equal(f.payload.n, big.n);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_status_is(local, 200);

	/* Pipes for a run that brings none. */
	rig_request(local, "POST /v1/runs", 0, JSON_TYPE, "{\"argv\":[\"x\"]}");
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	assert_int_equal(f.n_fds, 3);
	rig_reply(
	    &rig, rig_call(&f), REPLY_OK, 201, STR("{\"run\":\"" RUN "\"}"));
	rig_status_is(local, 201);

	stream = rig_connect_local(&rig);
	rig_write(stream, STR("GET nothing HTTP/1.1\r\n\r\n"));
	rig_status_is(stream, 400);
	assert_true(rig_is_closed(stream));
	rig_stop(&rig);
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
confined_proxy_asks_and_refuses(void **state)
{
	struct msg_egress_verdict v = { .run = RIG_RUN };
	struct rig_frame f = {};
	own_fd int fd = -1;

	(void)state;
	rig_init(&rig);
	rig_fork(&rig, ROLE_PROXY, serve_proxy);
	rig_door(&rig);
	fd = rig_connect(rig.run_port);
	rig_write(fd, STR("CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n"));
	rig_take_frame(&rig, rig.broker, MSG_EGRESS_ASK, &f);
	memcpy(&v.ask, f.body + 8, sizeof(v.ask));
	rig_send_frame(
	    rig.broker, MSG_EGRESS_VERDICT, &v, sizeof(v), STR("{}"), -1);
	rig_status_is(fd, 403);
	assert_true(rig_is_closed(fd));
	rig_stop(&rig);
	rig_frame_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(confined_gateway_serves_every_door),
		cmocka_unit_test(confined_proxy_asks_and_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
