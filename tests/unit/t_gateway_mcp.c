#include "gateway_rig.h"

#define META                                                            \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"       \
	"\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\"" \
	":{}}"
#define V "MCP-Protocol-Version: 2026-07-28\r\n"
#define CALL_HEADERS \
	JSON_TYPE BOTH V "Mcp-Method: tools/call\r\nMcp-Name: kb.search\r\n"
#define LISTEN(uris)                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":"           \
	"\"subscriptions/listen\",\"params\":{\"notifications\":{" \
	"\"resourceSubscriptions\":" uris "}," META "}}"
#define CALL(rest)                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"," \
	"\"params\":{\"name\":\"kb.search\"," META rest "}}"
#define INFO                                                          \
	"\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\"" \
	":\"paddock\",\"version\":\"0.1.0\"}"

static struct rig rig;

static int
start(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_start(&rig);
	return 0;
}

/* Streams begin, and show signs of life, within the time of a test. */
static int
start_quick(void **state)
{
	(void)state;
	rig_init(&rig);
	rig.times = (struct gateway_times){ 20, 20, 20 };
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

/* Sends a POST to /mcp of the run's door and returns the connection. */
static int
post(const char *fields, const char *body)
{
	int fd = rig_connect(rig.run_port);

	rig_request(fd, "POST /mcp", rig.run_port, fields, body);
	return fd;
}

/* Reads on until got has the text. */
static void
read_until(int fd, struct buf *got, const char *text)
{
	char c;

	while (!rig_has(got, text)) {
		assert_true(rig_byte(fd, &c));
		buf_add_byte(got, c);
	}
}

/* Begins a session; fields becomes the header lines of its requests. */
static void
session_open(char *fields, size_t cap)
{
	struct rig_answer a = {};
	own_fd int fd = post(JSON_TYPE BOTH,
	    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\","
	    "\"params\":{\"protocolVersion\":\"2025-11-25\"}}");
	const char *id;

	rig_answer(fd, &a);
	assert_int_equal(a.status, 200);
	id = strstr(buf_c(&a.head), "Mcp-Session-Id: ");
	assert_non_null(id);
	(void)snprintf(fields, cap, JSON_TYPE BOTH "%.*s\r\n", 16 + 32, id);
	rig_answer_fini(&a);
}

static void
the_error_is(const struct rig_answer *a, const char *why, int status, int code)
{
	own_arena struct arena arena = {};
	struct err e = {};
	const struct json *doc =
	    json_parse(buf_str(&a->body), NULL, &arena, &e, NULL);
	const struct json *c = json_at(doc, "error", "code", NULL);

	if (a->status != status || c == NULL || (int)c->num != code)
		print_error("%s: %d %.*s\n", why, a->status,
		    STR_FMT(buf_str(&a->body)));
	assert_int_equal(a->status, status);
	assert_non_null(c);
	assert_int_equal((int)c->num, code);
}

static void
modern_request_is_refused_with_the_code_that_says_why(void **state)
{
	static const struct {
		const char *why, *fields, *body;
		int status, code;
	} rows[] = {
		{ "no JSON", JSON_TYPE V, "{", 400, -32700 },
		{ "a key twice", JSON_TYPE V, "{\"a\":1,\"a\":1}", 400,
		    -32700 },
		{ "a batch", JSON_TYPE BOTH, "[]", 400, -32600 },
		{ "no JSON-RPC", JSON_TYPE BOTH, "{}", 400, -32600 },
		{ "an old JSON-RPC", JSON_TYPE BOTH,
		    "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", 400,
		    -32600 },
		{ "id null", JSON_TYPE BOTH,
		    "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
		    400, -32600 },
		{ "id a fraction", JSON_TYPE BOTH,
		    "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", 400,
		    -32600 },
		{ "no method", JSON_TYPE BOTH, "{\"jsonrpc\":\"2.0\",\"id\":1}",
		    400, -32600 },
		{ "params a list", JSON_TYPE BOTH V,
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
		    "\"params\":[]}",
		    400, -32602 },
		{ "no _meta", JSON_TYPE BOTH V "Mcp-Method: tools/list\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
		    400, -32602 },
		{ "version no text",
		    JSON_TYPE BOTH V "Mcp-Method: tools/list\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
		    "\"params\":{\"_meta\":{"
		    "\"io.modelcontextprotocol/protocolVersion\":7}}}",
		    400, -32602 },
		{ "no capabilities",
		    JSON_TYPE BOTH V "Mcp-Method: tools/list\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
		    "\"params\":{\"_meta\":{"
		    "\"io.modelcontextprotocol/protocolVersion\":"
		    "\"2026-07-28\"}}}",
		    400, -32602 },
		{ "a version of the future",
		    JSON_TYPE BOTH "MCP-Protocol-Version: 2031-01-01\r\n"
				   "Mcp-Method: tools/list\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
		    "\"params\":{\"_meta\":{"
		    "\"io.modelcontextprotocol/protocolVersion\":"
		    "\"2031-01-01\","
		    "\"io.modelcontextprotocol/clientCapabilities\":{}}}}",
		    400, -32022 },
		{ "a header of the future alone",
		    JSON_TYPE BOTH "MCP-Protocol-Version: 2031-01-01\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
		    400, -32022 },
		{ "another version in the header",
		    JSON_TYPE BOTH "MCP-Protocol-Version: 2025-11-25\r\n"
				   "Mcp-Method: tools/call\r\n"
				   "Mcp-Name: kb.search\r\n",
		    CALL(""), 400, -32020 },
		{ "no version header",
		    JSON_TYPE BOTH "Mcp-Method: tools/call\r\n"
				   "Mcp-Name: kb.search\r\n",
		    CALL(""), 400, -32020 },
		{ "version header twice", CALL_HEADERS V, CALL(""), 400,
		    -32020 },
		{ "no Mcp-Method", JSON_TYPE BOTH V "Mcp-Name: kb.search\r\n",
		    CALL(""), 400, -32020 },
		{ "another Mcp-Method",
		    JSON_TYPE BOTH V "Mcp-Method: tools/list\r\n"
				     "Mcp-Name: kb.search\r\n",
		    CALL(""), 400, -32020 },
		{ "Mcp-Method in other case",
		    JSON_TYPE BOTH V "Mcp-Method: Tools/Call\r\n"
				     "Mcp-Name: kb.search\r\n",
		    CALL(""), 400, -32020 },
		{ "Mcp-Method twice", CALL_HEADERS "Mcp-Method: tools/call\r\n",
		    CALL(""), 400, -32020 },
		{ "no Mcp-Name", JSON_TYPE BOTH V "Mcp-Method: tools/call\r\n",
		    CALL(""), 400, -32020 },
		{ "another Mcp-Name",
		    JSON_TYPE BOTH V "Mcp-Method: tools/call\r\n"
				     "Mcp-Name: billing.refund\r\n",
		    CALL(""), 400, -32020 },
		{ "Mcp-Name of broken base64",
		    JSON_TYPE BOTH V "Mcp-Method: tools/call\r\n"
				     "Mcp-Name: =?base64?a?=\r\n",
		    CALL(""), 400, -32020 },
		{ "Mcp-Param of broken base64",
		    CALL_HEADERS "Mcp-Param-Region: =?base64?*?=\r\n", CALL(""),
		    400, -32020 },
		{ "Mcp-Param with bytes of another set",
		    CALL_HEADERS "Mcp-Param-Region: \xc3\xa9\r\n", CALL(""),
		    400, -32020 },
		{ "an unknown method",
		    JSON_TYPE BOTH V "Mcp-Method: roots/list\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		    "\"roots/list\",\"params\":{" META "}}",
		    404, -32601 },
		{ "initialize is of the past",
		    JSON_TYPE BOTH V "Mcp-Method: initialize\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\","
		    "\"params\":{" META "}}",
		    404, -32601 },
		{ "ping is of the past",
		    JSON_TYPE BOTH V "Mcp-Method: ping\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\","
		    "\"params\":{" META "}}",
		    404, -32601 },
		{ "a call of no tool",
		    JSON_TYPE BOTH V "Mcp-Method: tools/call\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
		    "\"params\":{" META "}}",
		    400, -32602 },
		{ "arguments a list", CALL_HEADERS, CALL(",\"arguments\":[]"),
		    400, -32602 },
		{ "a state that is no text", CALL_HEADERS,
		    CALL(",\"requestState\":7"), 400, -32602 },
		{ "a cursor", JSON_TYPE BOTH V "Mcp-Method: tools/list\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\","
		    "\"params\":{\"cursor\":\"x\"," META "}}",
		    400, -32602 },
		{ "a Mcp-Name that the body has not", CALL_HEADERS,
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
		    "\"params\":{" META "}}",
		    400, -32020 },
		{ "a Mcp-Param twice",
		    CALL_HEADERS "Mcp-Param-A: 1\r\nmcp-param-a: 1\r\n",
		    CALL(""), 400, -32020 },
		{ "listening to nothing",
		    JSON_TYPE BOTH V "Mcp-Method: subscriptions/listen\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		    "\"subscriptions/listen\",\"params\":{" META "}}",
		    400, -32602 },
		{ "listening to a text",
		    JSON_TYPE BOTH V "Mcp-Method: subscriptions/listen\r\n",
		    LISTEN("\"notes://one\""), 400, -32602 },
		{ "listening to a number",
		    JSON_TYPE BOTH V "Mcp-Method: subscriptions/listen\r\n",
		    LISTEN("[1]"), 400, -32602 },
		{ "not JSON by its type", BOTH V "Content-Type: text/plain\r\n",
		    "{}", 415, -32000 },
		{ "no type", BOTH V, "{}", 415, -32000 },
		{ "two types", JSON_TYPE JSON_TYPE V, "{}", 415, -32000 },
		{ "no body", JSON_TYPE V, NULL, 411, -32000 },
		{ "takes no answer of ours",
		    JSON_TYPE V "Accept: text/html\r\n"
				"Mcp-Method: tools/call\r\n"
				"Mcp-Name: kb.search\r\n",
		    CALL(""), 406, -32000 },
	};
	struct rig_frame f = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rig_answer a = {};
		own_fd int fd = -1;

		fd = post(rows[i].fields, rows[i].body);
		rig_answer(fd, &a);
		the_error_is(&a, rows[i].why, rows[i].status, rows[i].code);
		rig_answer_fini(&a);
		if (rows[i].code != -32020)
			continue;
		/* The broker is told, for the record, and of nothing else. */
		rig_take_frame(&rig, rig.broker, MSG_BAD_REQUEST, &f);
		assert_true(rig_has(&f.payload, "\"header_mismatch\""));
	}
	assert_false(rig_readable(rig.broker, RIG_QUIET_MS));
	rig_frame_fini(&f);
}

static void
modern_call_reaches_the_broker_as_one_canonical_value(void **state)
{
	static const struct {
		const char *why, *fields, *body, *payload;
	} rows[] = {
		{ "members sorted, numbers as ECMAScript has them",
		    CALL_HEADERS,
		    CALL(",\"arguments\":{\"z\":1.50,\"a\":[1e2,true]}"),
		    "{\"arguments\":{\"a\":[100,true],\"z\":1.5},"
		    "\"heads\":{},\"name\":\"kb.search\"}" },
		{ "no arguments are none", CALL_HEADERS, CALL(""),
		    "{\"arguments\":{},\"heads\":{},\"name\":\"kb.search\"}" },
		{ "the state of an earlier answer", CALL_HEADERS,
		    CALL(",\"requestState\":\"a-7k3m9q2v5w1x\""),
		    "{\"arguments\":{},\"heads\":{},\"name\":\"kb.search\","
		    "\"state\":\"a-7k3m9q2v5w1x\"}" },
		{ "the name in base64",
		    JSON_TYPE BOTH V "Mcp-Method: tools/call\r\n"
				     "Mcp-Name: =?base64?a2Iuc2VhcmNo?=\r\n",
		    CALL(""),
		    "{\"arguments\":{},\"heads\":{},\"name\":\"kb.search\"}" },
		{ "names of headers in any case",
		    JSON_TYPE BOTH "mcp-protocol-version: 2026-07-28\r\n"
				   "MCP-METHOD: tools/call\r\n"
				   "mcp-name: kb.search\r\n",
		    CALL(""),
		    "{\"arguments\":{},\"heads\":{},\"name\":\"kb.search\"}" },
		{ "fields Mcp-Param-* decoded, in order, for the broker to "
		  "judge",
		    CALL_HEADERS "Mcp-Param-Region: us-west1\r\n"
				 "mcp-param-AREA: =?base64?dXM=?=\r\n",
		    CALL(""),
		    "{\"arguments\":{},\"heads\":{\"area\":\"us\","
		    "\"region\":\"us-west1\"},\"name\":\"kb.search\"}" },
		{ "none of a pipe, which has no head",
		    CALL_HEADERS "Paddock-From-Pipe: 1\r\n", CALL(""),
		    "{\"arguments\":{},\"name\":\"kb.search\"}" },
	};
	struct rig_frame f = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rig_answer a = {};
		struct msg_tool_call m;
		own_fd int fd = post(rows[i].fields, rows[i].body);
		static const struct hash none;

		rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
		rig_payload_is(&f, rows[i].payload);
		memcpy(&m, f.body, sizeof(m));
		assert_int_equal(m.run, RIG_RUN);
		assert_int_equal(m.door, DOOR_RUN);
		assert_int_equal(m.uid, UINT32_MAX);
		assert_memory_equal(&m.token, &none, sizeof(none));
		rig_reply(&rig, m.call, REPLY_OK, 200, STR("{\"hits\":[]}"));
		rig_answer(fd, &a);
		rig_body_is(&a, 200,
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{" INFO
		    "},\"resultType\":\"complete\",\"content\":[{\"type\":"
		    "\"text\",\"text\":\"{\\\"hits\\\":[]}\"}],"
		    "\"structuredContent\":{\"hits\":[]},\"isError\":false"
		    "}}");
		rig_answer_fini(&a);
	}
	rig_frame_fini(&f);
}

static void
replies_become_results_as_the_era_wants_them(void **state)
{
	static const struct {
		const char *why;
		enum reply_kind kind;
		uint32_t http;
		const char *payload;
		bool modern;
		int status;
		const char *has, *has_not;
	} rows[] = {
		{ "a tool's error", REPLY_TOOL_ERROR, 200, "{\"a\":1}", true,
		    200, "\"structuredContent\":{\"a\":1},\"isError\":true",
		    "\"error\":" },
		{ "a refusal", REPLY_REFUSED, 403,
		    "{\"reason\":\"x\",\"status\":\"refused\"}", true, 200,
		    "\"isError\":true", "\"error\":" },
		{ "a stop", REPLY_STOPPED, 409, "{\"status\":\"stopped\"}",
		    false, 200,
		    "\"structuredContent\":{\"status\":\"stopped\"},"
		    "\"isError\":true",
		    "resultType" },
		{ "an approval is waited for", REPLY_PENDING, 202,
		    "{\"approval_id\":\"a-7k3m9q2v5w1x\","
		    "\"status\":\"pending_approval\"}",
		    true, 200,
		    "\"resultType\":\"input_required\","
		    "\"requestState\":\"a-7k3m9q2v5w1x\"",
		    "inputRequests" },
		{ "the same for older clients", REPLY_PENDING, 202,
		    "{\"approval_id\":\"a-7k3m9q2v5w1x\","
		    "\"status\":\"pending_approval\"}",
		    false, 200,
		    "\"structuredContent\":{\"approval_id\":"
		    "\"a-7k3m9q2v5w1x\",\"status\":\"pending_approval\"},"
		    "\"isError\":false",
		    "input_required" },
		{ "a bad call", REPLY_BAD, 400,
		    "{\"error\":{\"code\":\"bad_arguments\",\"message\":"
		    "\"no invoice\",\"suggested_next_step\":\"s\"}}",
		    true, 200,
		    "\"error\":{\"code\":-32602,\"message\":\"no invoice\","
		    "\"data\":{\"code\":\"bad_arguments\"",
		    "result" },
		{ "a failure", REPLY_BAD, 500,
		    "{\"error\":{\"code\":\"x\",\"message\":\"disk\","
		    "\"suggested_next_step\":\"s\"}}",
		    false, 200, "\"code\":-32603,\"message\":\"disk\"",
		    "result" },
		{ "an unknown token", REPLY_BAD, 401,
		    "{\"error\":{\"code\":\"unauthorized\",\"message\":\"who\""
		    ",\"suggested_next_step\":\"s\"}}",
		    true, 401, "\"code\":-32602", "result" },
		{ "text with quotes is escaped once", REPLY_OK, 200,
		    "{\"t\":\"say \\\"hi\\\"\\n\"}", true, 200,
		    "\"text\":\"{\\\"t\\\":\\\"say "
		    "\\\\\\\"hi\\\\\\\"\\\\n\\\"}\"",
		    "\"error\":" },
	};
	struct rig_frame f = {};
	struct rig_answer a = {};
	char session[256];

	(void)state;
	session_open(session, sizeof(session));
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_fd int fd = rows[i].modern
		    ? post(CALL_HEADERS, CALL(""))
		    : post(session,
			  "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":"
			  "\"tools/call\",\"params\":{\"name\":\"t\"}}");

		rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
		rig_reply(&rig, rig_call(&f), rows[i].kind, rows[i].http,
		    str_of(rows[i].payload));
		rig_answer(fd, &a);
		if (a.status != rows[i].status ||
		    !rig_has(&a.body, rows[i].has) ||
		    rig_has(&a.body, rows[i].has_not))
			print_error("%s: %d %.*s\n", rows[i].why, a.status,
			    STR_FMT(buf_str(&a.body)));
		assert_int_equal(a.status, rows[i].status);
		assert_true(rig_has(&a.body, rows[i].has));
		assert_false(rig_has(&a.body, rows[i].has_not));
	}
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
discovery_and_tools_are_what_2026_wants(void **state)
{
	struct rig_frame f = {};
	struct rig_answer a = {};
	struct msg_api m;
	own_fd int fd = post(JSON_TYPE BOTH V "Mcp-Method: server/discover\r\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":\"d\",\"method\":\"server/discover\","
	    "\"params\":{" META "}}");

	(void)state;
	rig_answer(fd, &a);
	rig_body_is(&a, 200,
	    "{\"jsonrpc\":\"2.0\",\"id\":\"d\",\"result\":{" INFO "},"
	    "\"cacheScope\":\"private\",\"capabilities\":{\"completions\":"
	    "{},\"prompts\":{\"listChanged\":true},\"resources\":{"
	    "\"listChanged\":true,\"subscribe\":true},"
	    "\"tools\":{\"listChanged\":true}},"
	    "\"resultType\":\"complete\",\"supportedVersions\":"
	    "[\"2026-07-28\"],\"ttlMs\":60000}}");

	/* On the same connection: it is kept. */
	rig_request(fd, "POST /mcp", rig.run_port,
	    JSON_TYPE BOTH V "Mcp-Method: tools/list\r\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\","
	    "\"params\":{" META "}}");
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	rig_payload_is(&f, "{\"list\":\"tools\"}");
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.op, API_TOOL_LIST);
	assert_int_equal(m.run, RIG_RUN);
	assert_int_equal(m.fds, 0);
	rig_reply(&rig, m.call, REPLY_OK, 200,
	    STR("{\"tools\":[{\"name\":\"kb.search\"}]}"));
	rig_answer(fd, &a);
	rig_body_is(&a, 200,
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{" INFO "},"
	    "\"cacheScope\":\"private\",\"resultType\":\"complete\","
	    "\"ttlMs\":60000,\"tools\":[{\"name\":\"kb.search\"}]}}");
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
modern_client_has_no_session_no_get_and_no_answer_to_notes(void **state)
{
	static const struct {
		const char *why, *line, *fields, *body;
		int status;
	} rows[] = {
		{ "GET", "GET /mcp", V "Accept: text/event-stream\r\n", NULL,
		    405 },
		{ "DELETE", "DELETE /mcp", V, NULL, 405 },
		{ "PUT", "PUT /mcp", V JSON_TYPE, "{}", 405 },
		{ "a notification", "POST /mcp",
		    V JSON_TYPE BOTH "Mcp-Method: notifications/x\r\n",
		    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\","
		    "\"params\":{" META "}}",
		    202 },
		{ "a notification that lies", "POST /mcp",
		    V JSON_TYPE BOTH "Mcp-Method: tools/call\r\n",
		    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\","
		    "\"params\":{" META "}}",
		    400 },
		{ "an answer to no question", "POST /mcp", V JSON_TYPE BOTH,
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 400 },
		{ "a session header is ignored", "POST /mcp",
		    V JSON_TYPE BOTH "Mcp-Session-Id: x\r\n"
				     "Mcp-Method: server/discover\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		    "\"server/discover\",\"params\":{" META "}}",
		    200 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_fd int fd = rig_connect(rig.run_port);

		rig_request(fd, rows[i].line, rig.run_port, rows[i].fields,
		    rows[i].body);
		rig_status_is(fd, rows[i].status);
	}
}

static void
listening_is_acknowledged_and_stays_open_until_closed(void **state)
{
	struct rig_frame f = {};
	own_buf struct buf got = {};
	own_fd int fd =
	    post(JSON_TYPE BOTH V "Mcp-Method: subscriptions/listen\r\n",
		"{\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":"
		"\"subscriptions/listen\",\"params\":{\"notifications\":"
		"{\"toolsListChanged\":true}," META "}}");

	(void)state;
	read_until(fd, &got,
	    "data: {\"jsonrpc\":\"2.0\",\"method\":"
	    "\"notifications/subscriptions/acknowledged\",\"params\":{"
	    "\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"s1\"},"
	    "\"notifications\":{\"toolsListChanged\":true}}}\n\n");
	assert_true(rig_has(&got, "Content-Type: text/event-stream"));
	read_until(fd, &got, ": waiting");
	assert_false(rig_readable(rig.broker, 0));
	rig_frame_fini(&f);
}

/* The broker says of what; what it tells by that number is tagged. */
static void
a_listener_is_told_of_the_resources_that_the_broker_agreed_to(void **state)
{
	struct rig_frame f = {};
	own_buf struct buf got = {};
	struct msg_event ev = {};
	int fd = post(JSON_TYPE BOTH V "Mcp-Method: subscriptions/listen\r\n",
	    LISTEN("[\"notes://one\",\"notes://two\"]"));
	struct msg_api m;
	struct msg_gone gone;

	(void)state;
	rig_take_frame(&rig, rig.broker, MSG_API, &f);
	memcpy(&m, f.body, sizeof(m));
	assert_int_equal(m.op, API_SUBSCRIBE);
	rig_payload_is(&f, "{\"uris\":[\"notes://one\",\"notes://two\"]}");
	rig_reply(&rig, m.call, REPLY_OK, 200,
	    STR("{\"refused\":[],\"uris\":[\"notes://one\"]}"));
	ev.call = m.call;
	rig_send_frame(rig.broker, MSG_EVENT, &ev, sizeof(ev),
	    STR("{\"uri\":\"notes://one\"}"), -1);
	read_until(fd, &got,
	    "\"notifications\":{\"resourceSubscriptions\":["
	    "\"notes://one\"]}}}\n\n");
	read_until(fd, &got,
	    "\"method\":\"notifications/resources/updated\",\"params\":{"
	    "\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"s1\"},"
	    "\"uri\":\"notes://one\"}}\n\n");
	rig_frame_fini(&f);
	fd_fini(&fd);
	rig_take_frame(&rig, rig.broker, MSG_GONE, &f);
	memcpy(&gone, f.body, sizeof(gone));
	assert_int_equal(gone.call, m.call);
	rig_frame_fini(&f);
}

static void
held_call_becomes_a_stream_with_progress(void **state)
{
	struct rig_frame f = {};
	own_buf struct buf got = {};
	own_fd int fd = post(CALL_HEADERS,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
	    "\"params\":{\"name\":\"kb.search\",\"_meta\":{"
	    "\"progressToken\":\"p7\","
	    "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
	    "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");

	(void)state;
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	read_until(fd, &got,
	    "\"method\":\"notifications/progress\",\"params\":{"
	    "\"progressToken\":\"p7\",\"progress\":2,");
	assert_true(rig_has(&got, "X-Accel-Buffering: no"));
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{\"n\":1}"));
	read_until(fd, &got, "\"isError\":false}}\n\n");
	read_until(fd, &got, "\r\n0\r\n\r\n");

	/* The connection serves on. */
	rig_request(fd, "POST /mcp", rig.run_port, JSON_TYPE BOTH,
	    "{\"jsonrpc\":\"2.0\"}");
	rig_status_is(fd, 400);
	rig_frame_fini(&f);
}

static void
held_call_waits_for_json_when_a_stream_is_not_taken(void **state)
{
	struct rig_frame f = {};
	own_fd int fd = post(JSON_TYPE V "Accept: application/json\r\n"
					 "Mcp-Method: tools/call\r\n"
					 "Mcp-Name: kb.search\r\n",
	    CALL(""));

	(void)state;
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	assert_false(rig_readable(fd, 4 * RIG_QUIET_MS));
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_status_is(fd, 200);
	rig_frame_fini(&f);
}

static void
client_that_takes_streams_only_gets_one(void **state)
{
	struct rig_frame f = {};
	struct rig_answer a = {};
	own_fd int fd = post(JSON_TYPE V "Accept: text/event-stream\r\n"
					 "Mcp-Method: tools/call\r\n"
					 "Mcp-Name: kb.search\r\n",
	    CALL(""));

	(void)state;
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_answer(fd, &a);
	assert_true(rig_has(&a.head, "text/event-stream"));
	assert_true(rig_has(&a.body, "event: message\ndata: {"));
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
hanging_up_cancels_the_call(void **state)
{
	struct rig_frame f = {};
	uint64_t call;
	int fd = post(CALL_HEADERS, CALL(""));

	(void)state;
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	call = rig_call(&f);
	(void)close(fd);
	rig_take_frame(&rig, rig.broker, MSG_CANCEL, &f);
	assert_int_equal(rig_call(&f), call);
	rig_take_frame(&rig, rig.broker, MSG_GONE, &f);
	assert_int_equal(rig_call(&f), call);

	/* An answer that was on its way finds nobody. */
	rig_reply(&rig, call, REPLY_OK, 200, STR("{}"));
	fd = post(CALL_HEADERS, CALL(""));
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	rig_reply(&rig, call, REPLY_OK, 200, STR("{\"old\":1}"));
	assert_true(rig_call(&f) != call);
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, STR("{}"));
	rig_status_is(fd, 200);
	(void)close(fd);
	rig_frame_fini(&f);
}

static void
large_arguments_and_results_pass_whole(void **state)
{
	enum { N = 3 * 1024 * 1024 };
	own_buf struct buf body = {}, result = {};
	struct rig_frame f = {};
	struct rig_answer a = {};
	own_fd int fd = -1;

	(void)state;
	f.payload.max = IPC_MAX_PAYLOAD_BYTES;
	buf_add_str(&body,
	    STR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
		"\"params\":{\"name\":\"kb.search\"," META
		",\"arguments\":{\"q\":\""));
	for (int i = 0; i < N; i++)
		buf_add_byte(&body, 'q');
	buf_add_str(&body, STR("\"}}}"));
	fd = post(CALL_HEADERS, buf_c(&body));
	rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
	assert_int_equal(f.payload.n, N + 52);
	buf_add_str(&result, STR("{\"r\":\""));
	for (int i = 0; i < N; i++)
		buf_add_byte(&result, 'r');
	buf_add_str(&result, STR("\"}"));
	rig_reply(&rig, rig_call(&f), REPLY_OK, 200, buf_str(&result));
	rig_answer(fd, &a);
	assert_int_equal(a.status, 200);
	assert_true(a.body.n > 2 * N);
	rig_answer_fini(&a);
	rig_frame_fini(&f);
}

static void
foreign_pages_are_refused_by_host_and_origin(void **state)
{
	static const struct {
		const char *why, *host, *origin;
		int status;
	} rows[] = {
		{ "localhost", "localhost:%d", NULL, 200 },
		{ "LOCALHOST", "LOCALHOST:%d", NULL, 200 },
		{ "an address of 127/8", "127.1.2.3:%d", NULL, 200 },
		{ "IPv6", "[::1]:%d", NULL, 200 },
		{ "a page of here", "localhost:%d", "http://localhost:3000",
		    200 },
		{ "a page of here, by TLS", "localhost:%d", "https://127.0.0.1",
		    200 },
		{ "a name", "evil.example:%d", NULL, 403 },
		{ "a name that begins well", "localhost.evil.example:%d", NULL,
		    403 },
		{ "a name that looks like one", "127.0.0.1.evil.example:%d",
		    NULL, 403 },
		{ "another address", "192.168.1.1:%d", NULL, 403 },
		{ "an octal part", "127.0.0.256:%d", NULL, 403 },
		{ "three parts", "127.0.1:%d", NULL, 403 },
		{ "no port", "localhost", NULL, 403 },
		{ "another port", "localhost:1", NULL, 403 },
		{ "a foreign page", "localhost:%d", "http://evil.example",
		    403 },
		{ "a page of nowhere", "localhost:%d", "null", 403 },
		{ "a page of a file", "localhost:%d", "file://localhost", 403 },
		{ "two origins", "localhost:%d",
		    "http://localhost\r\nOrigin: http://evil.example", 403 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		static const char body[] =
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		    "\"server/discover\",\"params\":{" META "}}";
		own_fd int fd = rig_connect(rig.run_port);
		own_buf struct buf b = {};
		char host[64];

		/* The one directive is the port's. */
		(void)snprintf(host, sizeof(host), "%s", rows[i].host);
		if (strstr(host, "%d") != NULL)
			(void)snprintf(
			    strstr(host, "%d"), 8, "%d", rig.run_port);
		buf_printf(&b,
		    "POST /mcp HTTP/1.1\r\nHost: %s\r\n" JSON_TYPE BOTH V
		    "Mcp-Method: server/discover\r\nContent-Length: %zu\r\n",
		    host, sizeof(body) - 1);
		if (rows[i].origin != NULL)
			buf_printf(&b, "Origin: %s\r\n", rows[i].origin);
		buf_printf(&b, "\r\n%s", body);
		rig_write(fd, buf_str(&b));
		rig_status_is(fd, rows[i].status);
	}
}

static void
outside_a_sandbox_a_token_says_which_run(void **state)
{
	static const char body[] = CALL("");
	struct rig_frame f = {};
	struct msg_tool_call m;
	struct hash want = hash_of("run-token-1", 11);

	(void)state;
	for (int local = 0; local < 2; local++) {
		own_fd int fd =
		    local ? rig_connect_local(&rig) : rig_connect(rig.tcp_port);

		rig_request(fd, "POST /mcp", rig.tcp_port, CALL_HEADERS, body);
		rig_status_is(fd, 401);
		rig_request(
		    fd, "POST /mcp", rig.tcp_port, CALL_HEADERS TOKEN, body);
		rig_take_frame(&rig, rig.broker, MSG_TOOL_CALL, &f);
		memcpy(&m, f.body, sizeof(m));
		assert_int_equal(m.run, 0);
		assert_int_equal(m.door, DOOR_TOKEN);
		assert_memory_equal(&m.token, &want, sizeof(want));
		assert_int_equal(m.uid, local ? getuid() : UINT32_MAX);
		rig_reply(&rig, m.call, REPLY_OK, 200, STR("{}"));
		rig_status_is(fd, 200);
	}
	rig_frame_fini(&f);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define QUICK(name) cmocka_unit_test_setup_teardown(name, start_quick, stop)
	const struct CMUnitTest tests[] = {
		TEST(modern_request_is_refused_with_the_code_that_says_why),
		TEST(modern_call_reaches_the_broker_as_one_canonical_value),
		TEST(replies_become_results_as_the_era_wants_them),
		TEST(discovery_and_tools_are_what_2026_wants),
		TEST(
		    modern_client_has_no_session_no_get_and_no_answer_to_notes),
		QUICK(listening_is_acknowledged_and_stays_open_until_closed),
		QUICK(
		    a_listener_is_told_of_the_resources_that_the_broker_agreed_to),
		QUICK(held_call_becomes_a_stream_with_progress),
		QUICK(held_call_waits_for_json_when_a_stream_is_not_taken),
		TEST(client_that_takes_streams_only_gets_one),
		TEST(hanging_up_cancels_the_call),
		TEST(large_arguments_and_results_pass_whole),
		TEST(foreign_pages_are_refused_by_host_and_origin),
		TEST(outside_a_sandbox_a_token_says_which_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
