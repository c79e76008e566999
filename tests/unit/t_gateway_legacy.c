#include "gateway_rig.h"

#define MESSAGE(id, method, params)                               \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method \
	"\",\"params\":" params "}"
#define NOTE(method, params) \
	"{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":" params "}"

static struct rig rig;

static int
start(void **state)
{
	(void)state;
	rig_init(&rig);
	rig.times.progress_ms = 20;
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

static int
send_to(int port, const char *line, const char *fields, const char *body)
{
	int fd = rig_connect(port);

	rig_request(fd, line, port, fields, body);
	return fd;
}

static int
post(const char *fields, const char *body)
{
	return send_to(rig.run_port, "POST /mcp", fields, body);
}

/* Begins a session; fields becomes the header lines of its requests. */
static void
session_open(int port, const char *token, char fields[static 320])
{
	struct rig_answer a = {};
	own_buf struct buf b = {};
	own_fd int fd = -1;
	const char *id;

	buf_printf(&b, JSON_TYPE BOTH "%s", token);
	fd = send_to(port, "POST /mcp", buf_c(&b),
	    MESSAGE("0", "initialize", "{\"protocolVersion\":\"2025-11-25\"}"));
	rig_answer(fd, &a);
	assert_int_equal(a.status, 200);
	id = strstr(buf_c(&a.head), "Mcp-Session-Id: ");
	assert_non_null(id);
	(void)snprintf(
	    fields, 320, JSON_TYPE BOTH "%.*s\r\n%s", 16 + 32, id, token);
	rig_answer_fini(&a);
}

static void
initialize_agrees_on_a_version_and_opens_a_session(void **state)
{
	static const struct {
		const char *asked, *given;
	} rows[] = {
		{ "2025-11-25", "2025-11-25" },
		{ "2025-06-18", "2025-06-18" },
		{ "2025-03-26", "2025-03-26" },
		{ "2024-11-05", "2025-11-25" },
		{ "2099-01-01", "2025-11-25" },
	};
	struct rig_answer a = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_buf struct buf body = {}, want = {};
		own_fd int fd = -1;

		buf_printf(&body,
		    MESSAGE("\"i\"", "initialize",
			"{\"protocolVersion\":\"%s\",\"capabilities\":{}}"),
		    rows[i].asked);
		buf_printf(&want,
		    "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"result\":{"
		    "\"capabilities\":{\"completions\":{},\"logging\":{},"
		    "\"prompts\":{\"listChanged\":true},\"resources\":{"
		    "\"listChanged\":true,\"subscribe\":true},"
		    "\"tools\":{\"listChanged\":"
		    "true}},"
		    "\"protocolVersion\":\"%s\",\"serverInfo\":{\"name\":"
		    "\"paddock\",\"version\":\"0.1.0\"}}}",
		    rows[i].given);
		fd = post(JSON_TYPE BOTH, buf_c(&body));
		rig_answer(fd, &a);
		rig_body_is(&a, 200, buf_c(&want));
		assert_true(rig_has(&a.head, "Mcp-Session-Id: "));
	}
	rig_answer_fini(&a);
}

static void
session_answers_what_its_era_knows(void **state)
{
	static const struct {
		const char *why, *line, *more, *body;
		int status;
		const char *has;
	} rows[] = {
		{ "ping", "POST /mcp", "", MESSAGE("1", "ping", "{}"), 200,
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}" },
		{ "a log level", "POST /mcp", "",
		    MESSAGE("1", "logging/setLevel", "{\"level\":\"debug\"}"),
		    200, "\"result\":{}" },
		{ "it is ready", "POST /mcp", "",
		    NOTE("notifications/initialized", "{}"), 202, "" },
		{ "an answer", "POST /mcp", "",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 202, "" },
		{ "its version", "POST /mcp",
		    "MCP-Protocol-Version: 2025-06-18\r\n",
		    MESSAGE("1", "ping", "{}"), 200, "" },
		{ "a version that we lack", "POST /mcp",
		    "MCP-Protocol-Version: 2024-11-05\r\n",
		    MESSAGE("1", "ping", "{}"), 400, "\"supported\":[" },
		{ "what we do not offer", "POST /mcp", "",
		    MESSAGE("1", "roots/list", "{}"), 200, "-32601" },
		{ "a batch", "POST /mcp", "",
		    "[" MESSAGE("1", "ping", "{}") "]", 400,
		    "batches are not taken" },
		{ "a call of nothing", "POST /mcp", "",
		    MESSAGE("1", "tools/call", "{}"), 200, "-32602" },
	};
	struct rig_answer a = {};
	char session[320];

	(void)state;
	session_open(rig.run_port, "", session);
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_buf struct buf fields = {};
		own_fd int fd = -1;

		buf_printf(&fields, "%s%s", session, rows[i].more);
		fd = send_to(
		    rig.run_port, rows[i].line, buf_c(&fields), rows[i].body);
		rig_answer(fd, &a);
		if (a.status != rows[i].status)
			print_error("%s\n", rows[i].why);
		assert_int_equal(a.status, rows[i].status);
		assert_true(
		    *rows[i].has == '\0' || rig_has(&a.body, rows[i].has));
	}
	rig_answer_fini(&a);
}

static void
session_belongs_to_who_opened_it(void **state)
{
	static const char other[] = "Authorization: Bearer another-1\r\n";
	char mine[320], theirs[320], foreign[640];
	own_fd int no_session =
	    post(JSON_TYPE BOTH, MESSAGE("1", "ping", "{}"));
	own_fd int unknown = post(JSON_TYPE BOTH
	    "Mcp-Session-Id: 00112233445566778899aabbccddeeff\r\n",
	    MESSAGE("1", "ping", "{}"));
	own_fd int fd = -1, fd2 = -1, fd3 = -1;
	const char *id;

	(void)state;
	rig_status_is(no_session, 400);
	rig_status_is(unknown, 404);
	session_open(rig.run_port, "", mine);
	session_open(rig.tcp_port, TOKEN, theirs);

	/* The run's session shown at the people's door, by a token. */
	(void)snprintf(foreign, sizeof(foreign), "%s%s", mine, TOKEN);
	fd = send_to(
	    rig.tcp_port, "POST /mcp", foreign, MESSAGE("1", "ping", "{}"));
	rig_status_is(fd, 404);

	/* A token's session shown with another token. */
	id = strstr(theirs, "Mcp-Session-Id");
	assert_non_null(id);
	(void)snprintf(
	    foreign, sizeof(foreign), JSON_TYPE "%.*s\r\n%s", 48, id, other);
	fd2 = send_to(
	    rig.tcp_port, "POST /mcp", foreign, MESSAGE("1", "ping", "{}"));
	rig_status_is(fd2, 404);
	fd3 = send_to(
	    rig.tcp_port, "POST /mcp", theirs, MESSAGE("1", "ping", "{}"));
	rig_status_is(fd3, 200);
}

static void
too_many_sessions_push_out_the_least_used(void **state)
{
	char first[320], second[320], other[320];
	own_fd int a = -1, b = -1;

	(void)state;
	session_open(rig.run_port, "", first);
	session_open(rig.run_port, "", second);
	a = post(first, MESSAGE("1", "ping", "{}")); /* used again */
	rig_status_is(a, 200);
	for (int i = 0; i < MCP_MAX_SESSIONS_PER_RUN - 1; i++)
		session_open(rig.run_port, "", other);
	rig_request(
	    a, "POST /mcp", rig.run_port, first, MESSAGE("1", "ping", "{}"));
	rig_status_is(a, 200);
	b = post(second, MESSAGE("1", "ping", "{}"));
	rig_status_is(b, 404);
}

static void
deleted_session_ends_with_its_stream(void **state)
{
	char session[320], c;
	own_fd int stream = -1, del = -1, again = -1;
	own_buf struct buf got = {};

	(void)state;
	session_open(rig.run_port, "", session);
	stream = send_to(rig.run_port, "GET /mcp", session, NULL);
	while (!rig_has(&got, ": waiting")) {
		assert_true(rig_byte(stream, &c));
		buf_add_byte(&got, c);
	}
	assert_true(rig_has(&got, "200 OK"));
	del = send_to(rig.run_port, "DELETE /mcp", session, NULL);
	rig_status_is(del, 204);
	while (!rig_has(&got, "\r\n0\r\n\r\n")) {
		assert_true(rig_byte(stream, &c));
		buf_add_byte(&got, c);
	}
	again = post(session, MESSAGE("1", "ping", "{}"));
	rig_status_is(again, 404);
}

static void
cancelled_call_is_told_to_the_broker(void **state)
{
	char session[320];
	struct rig_frame f = {};
	own_fd int call = -1, note = -1, stranger = -1;
	uint64_t number;
	char other[320];

	(void)state;
	session_open(rig.run_port, "", session);
	session_open(rig.run_port, "", other);
	call = post(session, MESSAGE("7", "tools/call", "{\"name\":\"t\"}"));
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	number = rig_call(&f);

	/* Of another session, the same id is another request. */
	stranger =
	    post(other, NOTE("notifications/cancelled", "{\"requestId\":7}"));
	rig_status_is(stranger, 202);
	assert_false(rig_readable(rig.broker, RIG_QUIET_MS));

	note =
	    post(session, NOTE("notifications/cancelled", "{\"requestId\":7}"));
	rig_status_is(note, 202);
	rig_take_frame(&rig, rig.broker, MSG_CANCEL, &f);
	assert_int_equal(rig_call(&f), number);
	rig_take_frame(&rig, rig.broker, MSG_GONE, &f);
	assert_int_equal(rig_call(&f), number);
	rig_status_is(call, 202);
	rig_frame_fini(&f);
}

static void
tools_are_listed_without_what_later_versions_added(void **state)
{
	char session[320];
	struct rig_frame f = {};
	struct rig_answer a = {};
	own_fd int fd = -1;

	(void)state;
	session_open(rig.run_port, "", session);
	fd = post(session, MESSAGE("3", "tools/list", "{}"));
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{\"tools\":[]}"));
	rig_answer(fd, &a);
	rig_body_is(&a, 200,
	    "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"tools\":[]}}");
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
closed_door_ends_its_sessions(void **state)
{
	struct msg_door door = { .run = RIG_RUN };
	char session[320];
	own_fd int fd = -1;

	(void)state;
	session_open(rig.run_port, "", session);
	fd = send_to(rig.run_port, "GET /mcp", session, NULL);
	rig_send_frame(
	    rig.broker, MSG_DOOR_CLOSE, &door, sizeof(door), STR(""), -1);
	for (;;) {
		char c;

		if (!rig_byte(fd, &c))
			break;
	}
	rig_door(&rig);
	(void)close(fd);
	fd = post(session, MESSAGE("1", "ping", "{}"));
	rig_status_is(fd, 404);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(initialize_agrees_on_a_version_and_opens_a_session),
		TEST(session_answers_what_its_era_knows),
		TEST(session_belongs_to_who_opened_it),
		TEST(too_many_sessions_push_out_the_least_used),
		TEST(deleted_session_ends_with_its_stream),
		TEST(cancelled_call_is_told_to_the_broker),
		TEST(tools_are_listed_without_what_later_versions_added),
		TEST(closed_door_ends_its_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
