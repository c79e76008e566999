#include "gateway_rig.h"

#define META                                                            \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"       \
	"\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\"" \
	":{}}"
#define V "MCP-Protocol-Version: 2026-07-28\r\n"
#define CALL_HEADERS \
	JSON_TYPE BOTH V "Mcp-Method: tools/call\r\nMcp-Name: kb.search\r\n"
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
		    JSON_TYPE BOTH V "Mcp-Method: resources/list\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		    "\"resources/list\",\"params\":{" META "}}",
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
		{ "listening to nothing",
		    JSON_TYPE BOTH V "Mcp-Method: subscriptions/listen\r\n",
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
		    "\"subscriptions/listen\",\"params\":{" META "}}",
		    400, -32602 },
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

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rig_answer a = {};
		own_fd int fd = -1;

		fd = post(rows[i].fields, rows[i].body);
		rig_answer(fd, &a);
		the_error_is(&a, rows[i].why, rows[i].status, rows[i].code);
		rig_answer_fini(&a);
	}
	assert_false(rig_readable(rig.broker, RIG_QUIET_MS));
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
		    "\"name\":\"kb.search\"}" },
		{ "no arguments are none", CALL_HEADERS, CALL(""),
		    "{\"arguments\":{},\"name\":\"kb.search\"}" },
		{ "the state of an earlier answer", CALL_HEADERS,
		    CALL(",\"requestState\":\"a-7k3m9q2v5w1x\""),
		    "{\"arguments\":{},\"name\":\"kb.search\","
		    "\"state\":\"a-7k3m9q2v5w1x\"}" },
		{ "the name in base64",
		    JSON_TYPE BOTH V "Mcp-Method: tools/call\r\n"
				     "Mcp-Name: =?base64?a2Iuc2VhcmNo?=\r\n",
		    CALL(""), "{\"arguments\":{},\"name\":\"kb.search\"}" },
		{ "names of headers in any case",
		    JSON_TYPE BOTH "mcp-protocol-version: 2026-07-28\r\n"
				   "MCP-METHOD: tools/call\r\n"
				   "mcp-name: kb.search\r\n",
		    CALL(""), "{\"arguments\":{},\"name\":\"kb.search\"}" },
		{ "a Mcp-Param that no tool knows",
		    CALL_HEADERS "Mcp-Param-Region: us-west1\r\n", CALL(""),
		    "{\"arguments\":{},\"name\":\"kb.search\"}" },
	};
	struct rig_frame f = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rig_answer a = {};
		struct msg_tool_call m;
		own_fd int fd = post(rows[i].fields, rows[i].body);
		static const struct hash none;

		rig_take_frame(rig.broker, MSG_TOOL_CALL, &f);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    modern_request_is_refused_with_the_code_that_says_why,
		    start, stop),
		cmocka_unit_test_setup_teardown(
		    modern_call_reaches_the_broker_as_one_canonical_value,
		    start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
