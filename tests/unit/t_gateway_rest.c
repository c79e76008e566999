#include <fcntl.h>
#include <sys/stat.h>

#include "gateway_rig.h"

#define RUN "r-7k3m9q2v5w1x"
#define APPROVAL "a-7k3m9q2v5w1x"

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

static void
every_route_becomes_one_canonical_object(void **state)
{
	static const struct {
		const char *line, *body;
		enum api_op op;
		const char *payload;
	} rows[] = {
		{ "GET /v1/health", NULL, API_HEALTH, "{}" },
		{ "POST /v1/runs", "{\"policy_text\":\"p\",\"attach\":false}",
		    API_RUN_OPEN, "{\"attach\":false,\"policy_text\":\"p\"}" },
		{ "GET /v1/runs?limit=5&all=true", NULL, API_RUN_LIST,
		    "{\"all\":true,\"limit\":5}" },
		{ "GET /v1/runs/" RUN, NULL, API_RUN_GET,
		    "{\"run\":\"" RUN "\"}" },
		{ "GET /v1/runs/" RUN "/wait?timeout_ms=1000", NULL,
		    API_RUN_WAIT, "{\"run\":\"" RUN "\",\"timeout_ms\":1000}" },
		{ "POST /v1/runs/" RUN "/stop", "{\"reason\":\"x\"}",
		    API_RUN_STOP, "{\"reason\":\"x\",\"run\":\"" RUN "\"}" },
		{ "POST /v1/runs/" RUN "/stop", NULL, API_RUN_STOP,
		    "{\"run\":\"" RUN "\"}" },
		{ "POST /v1/stop", NULL, API_STOP_ALL, "{}" },
		{ "GET /v1/runs/" RUN "/tools", NULL, API_TOOL_LIST,
		    "{\"run\":\"" RUN "\"}" },
		{ "GET /v1/runs/" RUN "/events?from=3&limit=10", NULL,
		    API_EVENT_LIST,
		    "{\"from\":3,\"limit\":10,\"run\":\"" RUN "\"}" },
		{ "GET /v1/approvals?state=pen%64ing", NULL, API_APPROVAL_LIST,
		    "{\"state\":\"pending\"}" },
		{ "GET /v1/approvals/" APPROVAL, NULL, API_APPROVAL_GET,
		    "{\"approval\":\"" APPROVAL "\"}" },
		{ "POST /v1/approvals/" APPROVAL "/decide",
		    "{\"verdict\":\"approve\",\"reason\":\"ok\"}",
		    API_APPROVAL_DECIDE,
		    "{\"approval\":\"" APPROVAL
		    "\",\"reason\":\"ok\",\"verdict\":\"approve\"}" },
	};
	struct rig_frame f = {};
	struct rig_answer a = {};
	struct msg_api m;
	own_fd int fd = rig_connect_local(&rig);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		rig_request(fd, rows[i].line, 0,
		    rows[i].body != NULL ? JSON_TYPE : "", rows[i].body);
		rig_take_frame(&rig, rig.broker, MSG_API, &f);
		memcpy(&m, f.body, sizeof(m));
		if (m.op != rows[i].op)
			print_error("%s\n", rows[i].line);
		assert_int_equal(m.op, rows[i].op);
		assert_int_equal(m.door, DOOR_UNIX);
		assert_int_equal(m.uid, getuid());
		assert_int_equal(m.run, 0);
		rig_payload_is(&f, rows[i].payload);
		rig_reply(&rig, m.call, REPLY_OK, 200 + (uint32_t)i % 2,
		    STR("{\"a\":1}"));
		rig_answer(fd, &a);
		rig_body_is(&a, 200 + (int)i % 2, "{\"a\":1}");
	}
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
bad_request_says_what_is_wrong_and_what_to_do(void **state)
{
	static const struct {
		const char *why, *line, *fields, *body;
		int status;
		const char *has;
	} rows[] = {
		{ "no such path", "GET /v1/nothing", "", NULL, 404,
		    "not_found" },
		{ "no such version", "GET /v2/runs", "", NULL, 404, "" },
		{ "a path that goes on", "GET /v1/runs/" RUN "/", "", NULL, 404,
		    "" },
		{ "a path with an empty part", "GET /v1//runs", "", NULL, 404,
		    "" },
		{ "no name of a run", "GET /v1/runs/r-0", "", NULL, 404,
		    "not the name of a run" },
		{ "a name of another kind", "GET /v1/runs/" APPROVAL, "", NULL,
		    404, "" },
		{ "a path of sandboxes", "GET /v1/tools", "", NULL, 404, "" },
		{ "not its method", "DELETE /v1/runs", "", NULL, 405,
		    "method_not_allowed" },
		{ "a method of elsewhere", "PATCH /v1/health", "", NULL, 405,
		    "" },
		{ "an unknown argument", "GET /v1/runs?x=1", "", NULL, 400,
		    "unknown argument" },
		{ "an argument twice", "GET /v1/runs?limit=1&limit=2", "", NULL,
		    400, "" },
		{ "a number that is none", "GET /v1/runs?limit=-1", "", NULL,
		    400, "" },
		{ "a number over 2^53", "GET /v1/runs?limit=9007199254740993",
		    "", NULL, 400, "" },
		{ "neither true nor false", "GET /v1/runs?all=1", "", NULL, 400,
		    "" },
		{ "a cut % sequence", "GET /v1/approvals?state=%6", "", NULL,
		    400, "" },
		{ "a body where none is", "GET /v1/runs", JSON_TYPE, "{}", 400,
		    "" },
		{ "no body", "POST /v1/runs", JSON_TYPE, NULL, 411,
		    "length_required" },
		{ "no JSON by its type", "POST /v1/runs",
		    "Content-Type: text/plain\r\n", "{}", 415, "" },
		{ "no JSON", "POST /v1/runs", JSON_TYPE, "{\"a\":}", 400,
		    "line 1" },
		{ "no object", "POST /v1/runs", JSON_TYPE, "[]", 400, "" },
		{ "the path's name again", "POST /v1/runs/" RUN "/stop",
		    JSON_TYPE, "{\"run\":\"" RUN "\"}", 400, "repeats" },
		{ "a call of nothing", "POST /v1/runs/" RUN "/calls", JSON_TYPE,
		    "{}", 400, "" },
		{ "a call with more", "POST /v1/runs/" RUN "/calls", JSON_TYPE,
		    "{\"name\":\"t\",\"run\":\"x\"}", 400, "" },
		{ "a call with a query", "POST /v1/runs/" RUN "/calls?x=1",
		    JSON_TYPE, "{\"name\":\"t\"}", 400, "" },
		{ "descriptors that did not come", "POST /v1/runs",
		    JSON_TYPE "Paddock-Descriptors: 3\r\n", "{\"argv\":[]}",
		    400, "Paddock-Descriptors" },
		{ "a whole URL", "GET http://localhost/v1/runs", "", NULL, 400,
		    "" },
		{ "a foreign page", "GET /v1/runs",
		    "Origin: http://evil.example\r\n", NULL, 403, "" },
		{ "a token of odd letters", "GET /v1/runs",
		    "Authorization: Bearer a,b\r\n", NULL, 401, "" },
		{ "another scheme", "GET /v1/runs",
		    "Authorization: Basic eDp5\r\n", NULL, 401, "" },
		{ "two tokens", "GET /v1/runs", TOKEN TOKEN, NULL, 401, "" },
	};
	struct rig_answer a = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_fd int fd = rig_connect_local(&rig);

		rig_request(fd, rows[i].line, 0, rows[i].fields, rows[i].body);
		rig_answer(fd, &a);
		if (a.status != rows[i].status ||
		    !rig_has(&a.body, "\"suggested_next_step\":"))
			print_error("%s: %d %.*s\n", rows[i].why, a.status,
			    STR_FMT(buf_str(&a.body)));
		assert_int_equal(a.status, rows[i].status);
		assert_true(rig_has(&a.body, "{\"error\":{\"code\":\""));
		assert_true(rig_has(&a.body, "\"suggested_next_step\":"));
		assert_true(
		    *rows[i].has == '\0' || rig_has(&a.body, rows[i].has));
		assert_true(a.status != 405 || rig_has(&a.head, "Allow: "));
		assert_true(a.status != 401 ||
		    rig_has(&a.head, "WWW-Authenticate: Bearer"));
	}
	assert_false(rig_readable(rig.broker, RIG_QUIET_MS));
	rig_answer_fini(&a);
}

static void
tcp_needs_a_token_and_sends_its_hash_only(void **state)
{
	struct rig_frame f = {};
	struct hash want = hash_of("run-token-1", 11);
	struct msg_api m;
	own_fd int fd = rig_connect(rig.tcp_port);

	(void)state;
	rig_request(fd, "GET /v1/runs", rig.tcp_port, "", NULL);
	rig_status_is(fd, 401);
	rig_request(fd, "GET /v1/runs", rig.tcp_port, TOKEN, NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.door, DOOR_TOKEN);
	assert_memory_equal(&m.token, &want, sizeof(want));
	rig_reply(&rig, m.call, REPLY_BAD, 403,
	    STR("{\"error\":{\"code\":\"forbidden\"}}"));
	rig_status_is(fd, 403);
	rig_frame_fini(&f);
}

static void
run_has_its_own_calls_and_tools_and_nothing_else(void **state)
{
	static const char *const absent[] = { "GET /v1/runs", "GET /v1/health",
		"GET /v1/approvals", "POST /v1/stop",
		"GET /v1/runs/" RUN "/tools", "GET /" };
	struct rig_frame f = {};
	struct rig_answer a = {};
	struct msg_tool_call m;
	own_fd int fd = rig_connect(rig.run_port);

	(void)state;
	for (size_t i = 0; i < COUNT(absent); i++) {
		rig_request(fd, absent[i], rig.run_port, "", NULL);
		rig_status_is(fd, 404);
	}
	rig_request(fd, "GET /v1/tools", rig.run_port, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{\"tools\":[]}"));
	rig_status_is(fd, 200);

	/* A token shown here changes nothing: the listener says who it is. */
	rig_request(fd, "POST /v1/calls", rig.run_port, JSON_TYPE TOKEN,
	    "{\"name\":\"t\",\"arguments\":{\"b\":1,\"a\":2}}");
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	rig_payload_is(&f, "{\"arguments\":{\"a\":2,\"b\":1},\"name\":\"t\"}");
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.run, RIG_RUN);
	assert_int_equal(m.door, DOOR_RUN);
	rig_reply(&rig, m.call, REPLY_STOPPED, 409, STR("{\"s\":1}"));
	rig_answer(fd, &a);
	rig_body_is(&a, 409, "{\"s\":1}");
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
call_of_people_names_the_run_by_path(void **state)
{
	struct rig_frame f = {};
	struct msg_tool_call m;
	uint64_t run = 0;
	own_fd int fd = rig_connect_local(&rig);

	(void)state;
	assert_int_equal(id_parse('r', STR(RUN), &run), 0);
	rig_request(fd, "POST /v1/runs/" RUN "/calls", 0, JSON_TYPE,
	    "{\"state\":\"" APPROVAL "\",\"name\":\"t\"}");
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	rig_payload_is(
	    &f, "{\"arguments\":{},\"name\":\"t\",\"state\":\"" APPROVAL "\"}");
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.run, run);
	assert_int_equal(m.door, DOOR_UNIX);
	rig_reply(&rig, m.call, REPLY_OK, 200, STR("{}"));
	rig_status_is(fd, 200);
	rig_frame_fini(&f);
}

static void
events_arrive_one_by_one_until_the_last(void **state)
{
	struct rig_frame f = {};
	struct rig_answer a = {};
	struct msg_event ev = {};
	struct msg_api m;
	own_fd int fd = rig_connect_local(&rig);

	(void)state;
	rig_request(fd, "GET /v1/runs/" RUN "/events?from=2", 0,
	    "Accept: text/event-stream\r\n", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.op, API_EVENT_STREAM);
	rig_payload_is(&f, "{\"from\":2,\"run\":\"" RUN "\"}");
	ev.call = m.call;
	rig_send_frame(rig.broker, MSG_EVENT, &ev, sizeof(ev),
	    STR("{\"kind\":\"tool.proposed\",\"seq\":7,\"step\":2}"), -1);
	rig_send_frame(rig.broker, MSG_EVENT, &ev, sizeof(ev),
	    STR("{\"kind\":\"tool.finished\",\"seq\":8,\"step\":2}"), -1);
	ev.last = 1;
	rig_send_frame(rig.broker, MSG_EVENT, &ev, sizeof(ev), STR(""), -1);
	rig_answer(fd, &a);
	assert_true(rig_has(&a.head, "text/event-stream"));
	rig_body_is(&a, 200,
	    "event: tool.proposed\nid: 7\ndata: {\"kind\":\"tool.proposed\","
	    "\"seq\":7,\"step\":2}\n\nevent: tool.finished\nid: 8\ndata: "
	    "{\"kind\":\"tool.finished\",\"seq\":8,\"step\":2}\n\n");
	rig_answer_fini(&a);

	/* A refusal is an answer of its own. */
	rig_request(fd, "GET /v1/runs/" RUN "/events", 0,
	    "Accept: text/event-stream\r\n", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_BAD, 404,
	    STR("{\"error\":{\"code\":\"unknown_run\"}}"));
	rig_status_is(fd, 404);
	rig_frame_fini(&f);
}

static void
client_that_does_not_read_its_events_is_let_go(void **state)
{
	own_buf struct buf record = {};
	struct rig_frame f = {};
	struct msg_event ev = {};
	struct pollfd p = { .fd = rig.broker, .events = POLLIN };
	own_fd int fd = rig_connect(rig.tcp_port);

	(void)state;
	rig_request(fd, "GET /v1/runs/" RUN "/events", rig.tcp_port,
	    TOKEN "Accept: text/event-stream\r\n", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	ev.call = rig_call(&f);
	buf_add_str(&record, STR("{\"kind\":\"x\",\"pad\":\""));
	while (record.n < 1024 * 1024)
		buf_add_byte(&record, 'p');
	buf_add_str(&record, STR("\"}"));

	/* The gateway keeps so much and no more, then says so. */
	for (int i = 0; i < 64 && poll(&p, 1, 0) == 0; i++)
		rig_send_frame(rig.broker, MSG_EVENT, &ev, sizeof(ev),
		    buf_str(&record), -1);
	rig_take_frame(&rig, rig.broker, MSG_GONE, &f);
	assert_int_equal(rig_call(&f), ev.call);
	rig_frame_fini(&f);
}

static void
slow_reader_still_gets_all_events(void **state)
{
	own_buf struct buf record = {};
	struct rig_frame f = {};
	struct rig_answer a = {};
	struct msg_event ev = {};
	own_fd int fd = rig_connect_local(&rig);
	int seen = 0;

	(void)state;
	rig_request(fd, "GET /v1/runs/" RUN "/events", 0,
	    "Accept: text/event-stream\r\n", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	ev.call = rig_call(&f);
	buf_add_str(&record, STR("{\"pad\":\""));
	while (record.n < 512 * 1024)
		buf_add_byte(&record, 'p');
	buf_add_str(&record, STR("\"}"));
	for (int i = 0; i < 6; i++) {
		ev.last = i == 5;
		rig_send_frame(rig.broker, MSG_EVENT, &ev, sizeof(ev),
		    ev.last ? STR("") : buf_str(&record), -1);
	}
	rig_answer(fd, &a);
	/* A reader this slow may get a comment between, too, to keep it. */
	for (struct str rest = buf_str(&a.body); rest.n > 0; seen++) {
		size_t at = 0;

		while (at + record.n <= rest.n &&
		    memcmp(rest.p + at, record.p, record.n) != 0)
			at += 1 +
			    str_find((struct str){ rest.p + at + 1,
					 rest.n - at - 1 },
				'{');
		if (at + record.n > rest.n)
			break;
		rest.p += at + record.n;
		rest.n -= at + record.n;
	}
	assert_int_equal(seen, 5);
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

/* Sends a request with n descriptors of a pipe's write end. */
static void
request_with_fds(
    int fd, const char *fields, const char *body, int *fds, size_t n)
{
	own_buf struct buf b = {};
	union {
		char space[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
		struct cmsghdr align;
	} control = {};
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	buf_printf(&b,
	    "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\n" JSON_TYPE
	    "%sContent-Length: %zu\r\n\r\n%s",
	    fields, strlen(body), body);
	iov = (struct iovec){ b.p, b.n };
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), b.n);
}

static void
descriptors_pass_when_as_many_came_as_are_named(void **state)
{
	static const struct {
		const char *why, *fields;
		size_t sent;
		int status; /* 0: passed on */
	} rows[] = {
		{ "three", "Paddock-Descriptors: 3\r\n", 3, 0 },
		{ "four", "Paddock-Descriptors: 4\r\n", 4, 0 },
		{ "fewer than named", "Paddock-Descriptors: 4\r\n", 3, 400 },
		{ "more than named", "Paddock-Descriptors: 3\r\n", 4, 400 },
		{ "all that can be", "Paddock-Descriptors: 12\r\n", 12, 0 },
		{ "more than can be", "Paddock-Descriptors: 13\r\n", 13, 400 },
		{ "two", "Paddock-Descriptors: 2\r\n", 2, 400 },
		{ "named twice",
		    "Paddock-Descriptors: 3\r\nPaddock-Descriptors: 3\r\n", 3,
		    400 },
	};
	struct rig_frame f = {};
	own_fd int fd = rig_connect_local(&rig);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int p[2], fds[IPC_MAX_FDS];
		struct msg_api m;
		char c;

		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		for (size_t k = 0; k < rows[i].sent; k++)
			fds[k] = p[1];
		request_with_fds(fd, rows[i].fields, "{\"argv\":[\"true\"]}",
		    fds, rows[i].sent);
		(void)close(p[1]);
		if (rows[i].status == 0) {
			rig_take_frame(&rig, rig.broker, MSG_API, &f);
			memcpy(&m, f.body, sizeof(m));
			assert_int_equal(f.n_fds, rows[i].sent);
			assert_int_equal(m.fds, rows[i].sent);
			assert_int_equal(write(f.fds[2], "x", 1), 1);
			assert_int_equal(read(p[0], &c, 1), 1);
			rig_reply(&rig, m.call, REPLY_OK, 201, STR("{}"));
			rig_status_is(fd, 201);
			rig_frame_fini(&f);
		} else {
			rig_status_is(fd, rows[i].status);
		}
		/* The end of the pipe: no copy of it is left anywhere. */
		assert_true(rig_readable(p[0], RIG_WAIT_MS));
		assert_int_equal(read(p[0], &c, 1), 0);
		(void)close(p[0]);
	}
}

static void
descriptors_nobody_asked_for_are_closed(void **state)
{
	int p[2], fds[3];
	struct rig_frame f = {};
	own_fd int fd = rig_connect_local(&rig);
	char c;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[0] = fds[1] = fds[2] = p[1];
	request_with_fds(fd, "", "{}", fds, 3);
	(void)close(p[1]);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	assert_int_equal(f.n_fds, 0);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 201, STR("{}"));
	rig_status_is(fd, 201);
	assert_true(rig_readable(p[0], RIG_WAIT_MS));
	assert_int_equal(read(p[0], &c, 1), 0);
	(void)close(p[0]);
	rig_frame_fini(&f);
}

static void
get_output(int fd, struct rig_answer *a)
{
	struct rig_frame f = {};
	struct msg_api m;

	rig_request(fd, "GET /v1/runs/" RUN "/output", 0, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.op, API_RUN_GET);
	rig_payload_is(&f, "{\"run\":\"" RUN "\"}");
	rig_reply(&rig, m.call, REPLY_OK, 200, STR("{}"));
	rig_answer(fd, a);
	rig_frame_fini(&f);
}

static void
output_of_a_detached_run_is_kept_and_shown_to_who_may_see_it(void **state)
{
	static char big[OUTPUT_KEEP_BYTES];
	struct rig_frame f = {};
	struct rig_answer a = {};
	struct msg_api m;
	own_fd int fd = rig_connect_local(&rig);
	char c;

	(void)state;
	get_output(fd, &a);
	assert_int_equal(a.status, 404);
	rig_request(fd, "POST /v1/runs", 0, JSON_TYPE, "{\"argv\":[\"x\"]}");
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.fds, 3);
	assert_int_equal(f.n_fds, 3);
	assert_int_equal(read(f.fds[0], &c, 1), 0); /* no input */
	assert_int_equal(write(f.fds[1], "out \xff\n", 6), 6);
	assert_int_equal(write(f.fds[2], "err", 3), 3);
	rig_reply(&rig, m.call, REPLY_OK, 201,
	    STR("{\"run\":\"" RUN "\",\"status\":\"open\"}"));
	rig_status_is(fd, 201);
	get_output(fd, &a);
	rig_body_is(&a, 200,
	    "{\"dropped_bytes\":0,\"stderr\":\"err\",\"stdout\":\"out "
	    "\xef\xbf\xbd\\n\"}");

	/* The newest is kept, the rest is counted. */
	memset(big, 'n', sizeof(big));
	for (size_t at = 0; at < sizeof(big);) {
		ssize_t n = write(f.fds[1], big + at, sizeof(big) - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	rig_frame_fini(&f);
	do {
		rig_answer_fini(&a);
		get_output(fd, &a);
	} while (!rig_has(&a.body, "{\"dropped_bytes\":524294,"));
	assert_true(rig_has(&a.body, "nn\"}"));
	assert_false(rig_has(&a.body, "out "));

	/* Who may not see the run does not see its output. */
	rig_request(fd, "GET /v1/runs/" RUN "/output", 0, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_BAD, 403, STR("{}"));
	rig_status_is(fd, 403);
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
attached_run_ends_with_its_connection(void **state)
{
	struct rig_frame f = {};
	uint64_t opened, waiting;
	int fd = rig_connect_local(&rig);

	(void)state;
	rig_request(fd, "POST /v1/runs", 0, JSON_TYPE, "{\"attach\":true}");
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	opened = rig_call(&f);
	rig_reply(&rig, opened, REPLY_OK, 201, STR("{\"run\":\"" RUN "\"}"));
	rig_status_is(fd, 201);
	rig_request(fd, "POST /v1/runs", 0, JSON_TYPE, "{\"attach\":true}");
	rig_status_is(fd, 409);
	rig_request(fd, "GET /v1/runs/" RUN "/wait", 0, "", NULL);
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	waiting = rig_call(&f);
	(void)close(fd);
	rig_take_frame(&rig, rig.broker, MSG_GONE, &f);
	assert_int_equal(rig_call(&f), waiting);
	rig_take_frame(&rig, rig.broker, MSG_GONE, &f);
	assert_int_equal(rig_call(&f), opened);

	/* Refused, it holds nothing. */
	fd = rig_connect_local(&rig);
	rig_request(fd, "POST /v1/runs", 0, JSON_TYPE, "{\"attach\":true}");
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_reply(&rig, rig_call(&f), REPLY_BAD, 400, STR("{}"));
	rig_status_is(fd, 400);
	(void)close(fd);
	assert_false(rig_readable(rig.broker, RIG_QUIET_MS));
	rig_frame_fini(&f);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(every_route_becomes_one_canonical_object),
		TEST(bad_request_says_what_is_wrong_and_what_to_do),
		TEST(tcp_needs_a_token_and_sends_its_hash_only),
		TEST(run_has_its_own_calls_and_tools_and_nothing_else),
		TEST(call_of_people_names_the_run_by_path),
		TEST(events_arrive_one_by_one_until_the_last),
		TEST(client_that_does_not_read_its_events_is_let_go),
		TEST(slow_reader_still_gets_all_events),
		TEST(descriptors_pass_when_as_many_came_as_are_named),
		TEST(descriptors_nobody_asked_for_are_closed),
		TEST(
		    output_of_a_detached_run_is_kept_and_shown_to_who_may_see_it),
		TEST(attached_run_ends_with_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
