#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/egress.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEAD "{\"policy\":1,\"workflow\":\"w\",\"stage\":5,\"tools\":{},"
#define RULES(list) HEAD "\"egress\":{\"rules\":[" list "]}}"

static struct policy_problems problems;
static const struct labels no_labels;

static struct policy *
policy_of(const char *text)
{
	struct policy *p = policy_new(str_of(text), POLICY_JSON, &problems);

	if (p == NULL)
		print_error(
		    "%s: %s\n", problems.item[0].path, problems.item[0].text);
	assert_non_null(p);
	return p;
}

/* ask is an object; level is seen from its proto. */
static void
decide_with(const struct policy *p, const char *ask,
    const struct labels *labels, struct egress_verdict *v)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *json = json_parse(str_of(ask), NULL, &a, &e, NULL);
	struct str proto = json_str(json_get(json, STR("proto")));
	enum egress_level level = str_eq(proto, STR("tcp")) ? LEVEL_CONNECT
	    : str_eq(proto, STR("tls"))			    ? LEVEL_TLS
							    : LEVEL_REQUEST;
	static struct egress_ask q;

	assert_non_null(json);
	if (egress_ask_parse(json, level, &q, &e) < 0)
		fail_msg("%s: %s", ask, e.text);
	egress_decide(p, &q, labels, v);
}

static void
decide(const struct policy *p, const char *ask, struct egress_verdict *v)
{
	decide_with(p, ask, &no_labels, v);
}

#define REQ(host, method, path)                                    \
	"{\"host\":\"" host "\",\"port\":443,\"proto\":\"https\"," \
	"\"method\":\"" method "\",\"path\":\"" path               \
	"\",\"content_length\":0}"

static void
what_no_rule_names_does_not_go_out(void **state)
{
	static const char rules[] = RULES(
	    "{\"host\":\"docs.example.com\",\"methods\":[\"GET\"],\"paths\":"
	    "[\"/a/**\"],\"query\":{\"q\":\"*\"}},"
	    "{\"host\":\"*.wild.example.com\"},"
	    "{\"host\":\"db.example.com\",\"port\":5432,\"proto\":\"tcp\"}");
	static const struct {
		const char *ask, *code;
		enum verdict_kind kind;
	} rows[] = {
		{ REQ("docs.example.com", "GET", "/a/b"), "allowed",
		    VERDICT_ALLOW },
		{ REQ("DOCS.example.com.", "GET", "/a/b"), "allowed",
		    VERDICT_ALLOW },
		{ REQ("example.com", "GET", "/a/b"), "no_rule", VERDICT_BLOCK },
		{ REQ("xdocs.example.com", "GET", "/a/b"), "no_rule",
		    VERDICT_BLOCK },
		{ REQ("docs.example.com", "POST", "/a/b"), "method",
		    VERDICT_BLOCK },
		{ REQ("docs.example.com", "GET", "/b"), "path", VERDICT_BLOCK },
		{ REQ("docs.example.com", "GET", "/a/../b"), "path_ambiguous",
		    VERDICT_BLOCK },
		{ REQ("docs.example.com", "GET", "/a/%2e%2e/b"),
		    "path_ambiguous", VERDICT_BLOCK },
		{ REQ("wild.example.com", "GET", "/"), "no_rule",
		    VERDICT_BLOCK },
		{ REQ("a.b.wild.example.com", "DELETE", "/"), "allowed",
		    VERDICT_ALLOW },
		{ "{\"host\":\"docs.example.com\",\"port\":443,\"proto\":"
		  "\"https\",\"method\":\"GET\",\"path\":\"/a/\",\"query\":"
		  "\"q=1\"}",
		    "allowed", VERDICT_ALLOW },
		{ "{\"host\":\"docs.example.com\",\"port\":443,\"proto\":"
		  "\"https\",\"method\":\"GET\",\"path\":\"/a/\",\"query\":"
		  "\"q=1&x=2\"}",
		    "query", VERDICT_BLOCK },
		{ "{\"host\":\"docs.example.com\",\"port\":444,\"proto\":"
		  "\"https\",\"method\":\"GET\",\"path\":\"/a/\"}",
		    "port", VERDICT_BLOCK },
		{ "{\"host\":\"docs.example.com\",\"port\":443,\"proto\":"
		  "\"wss\",\"method\":\"GET\",\"path\":\"/a/\"}",
		    "proto", VERDICT_BLOCK },
		{ "{\"host\":\"db.example.com\",\"port\":5432,\"proto\":"
		  "\"tcp\"}",
		    "allowed", VERDICT_ALLOW },
		{ "{\"host\":\"db.example.com\",\"port\":5433,\"proto\":"
		  "\"tcp\"}",
		    "port", VERDICT_BLOCK },
		{ "{\"host\":\"db.example.com\",\"port\":5432,\"proto\":"
		  "\"http\",\"method\":\"GET\",\"path\":\"/\"}",
		    "proto", VERDICT_BLOCK },
	};
	struct policy *p = policy_of(rules);
	struct egress_verdict v;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		decide(p, rows[i].ask, &v);
		if (v.kind != rows[i].kind || strcmp(v.code, rows[i].code) != 0)
			print_error(
			    "%s: %s %s\n", rows[i].ask, v.code, v.reason);
		assert_int_equal(v.kind, rows[i].kind);
		assert_string_equal(v.code, rows[i].code);
	}
	policy_free(p);
}

static void
tls_is_opened_only_when_a_rule_must_see_the_request(void **state)
{
	static const char rules[] = RULES(
	    "{\"host\":\"plain.example.com\"},"
	    "{\"host\":\"seen.example.com\",\"methods\":[\"GET\"]},"
	    "{\"host\":\"pin.example.com\",\"tls\":\"pin\"},"
	    "{\"host\":\"both.example.com\",\"tls\":\"pin\"},"
	    "{\"host\":\"both.example.com\",\"paths\":[\"/x\"]},"
	    "{\"host\":\"raw.example.com\",\"port\":443,\"proto\":\"tcp\"}");
	static const struct {
		const char *host, *sni, *code;
		bool splice, inspect, pin;
	} rows[] = {
		{ "plain.example.com", "plain.example.com", "allowed", true,
		    false, false },
		{ "plain.example.com", "Plain.Example.com", "allowed", true,
		    false, false },
		{ "plain.example.com", "seen.example.com", "sni_mismatch",
		    false, false, false },
		{ "plain.example.com", "", "no_sni", false, false, false },
		{ "seen.example.com", "seen.example.com", "", false, true,
		    false },
		{ "pin.example.com", "pin.example.com", "allowed", true, false,
		    true },
		{ "both.example.com", "both.example.com", "pin_conflict", false,
		    false, true },
		{ "raw.example.com", "", "allowed", true, false, false },
		{ "none.example.com", "none.example.com", "no_rule", false,
		    false, false },
	};
	struct policy *p = policy_of(rules);
	struct egress_verdict v;
	char ask[256];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		(void)snprintf(ask, sizeof(ask),
		    "{\"host\":\"%s\",\"port\":443,\"proto\":\"tls\",\"sni\":"
		    "\"%s\"}",
		    rows[i].host, rows[i].sni);
		decide(p, ask, &v);
		assert_string_equal(v.code, rows[i].code);
		assert_int_equal(v.splice, rows[i].splice);
		assert_int_equal(v.inspect, rows[i].inspect);
		assert_int_equal(v.pin, rows[i].pin);
		assert_int_equal(v.kind,
		    v.splice || v.inspect ? VERDICT_ALLOW : VERDICT_BLOCK);
	}
	policy_free(p);
}

static void
a_hello_that_may_hide_its_name_is_never_passed_on_unread(void **state)
{
	static const char rules[] = RULES(
	    "{\"host\":\"plain.example.com\"},"
	    "{\"host\":\"seen.example.com\",\"methods\":[\"GET\"]},"
	    "{\"host\":\"pin.example.com\",\"tls\":\"pin\"},"
	    "{\"host\":\"raw.example.com\",\"port\":443,\"proto\":\"tcp\"}");
	static const char no_ca[] = RULES("{\"host\":\"plain.example.com\"}");
	static const struct {
		const char *why, *rules, *host, *code;
		bool splice, inspect;
	} rows[] = {
		{ "it can be opened", rules, "plain.example.com", "", false,
		    true },
		{ "it is opened anyway", rules, "seen.example.com", "", false,
		    true },
		{ "it must not be opened", rules, "pin.example.com", "ech",
		    false, false },
		{ "nobody judges it by its name", rules, "raw.example.com",
		    "allowed", true, false },
		{ "the run has no CA", no_ca, "plain.example.com", "ech", false,
		    false },
	};
	struct egress_verdict v;
	char ask[256];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p = policy_of(rows[i].rules);

		(void)snprintf(ask, sizeof(ask),
		    "{\"ech\":true,\"host\":\"%s\",\"port\":443,\"proto\":"
		    "\"tls\",\"sni\":\"%s\"}",
		    rows[i].host, rows[i].host);
		decide(p, ask, &v);
		assert_string_equal(v.code, rows[i].code);
		assert_int_equal(v.splice, rows[i].splice);
		assert_int_equal(v.inspect, rows[i].inspect);
		policy_free(p);
	}
}

static void
stage_and_flow_hold_what_goes_out(void **state)
{
	static const char stage1[] =
	    "{\"policy\":1,\"workflow\":\"w\",\"tools\":{},\"egress\":"
	    "{\"rules\":[{\"host\":\"a.example.com\"},{\"host\":"
	    "\"r.example.com\",\"respond\":{\"json\":{}}},{\"host\":"
	    "\"s.example.com\",\"risk\":\"read\"}]}}";
	static const char flow[] =
	    HEAD "\"flow\":[{\"id\":\"leak\",\"if_labels\":[\"pii\"],\"then\":"
		 "\"block\",\"risk_at_least\":\"external_write\"}],"
		 "\"egress\":{\"rules\":[{\"host\":\"a.example.com\"}]}}";
	struct policy *p = policy_of(stage1);
	struct labels labels = {};
	struct egress_verdict v;

	(void)state;
	decide(p, REQ("a.example.com", "GET", "/"), &v);
	assert_int_equal(v.kind, VERDICT_ALLOW);
	assert_true(v.standing);
	decide(p, REQ("a.example.com", "POST", "/"), &v);
	assert_int_equal(v.kind, VERDICT_BLOCK);
	assert_string_equal(v.code, "stage_cap");
	decide(p, REQ("s.example.com", "POST", "/"), &v);
	assert_int_equal(v.kind, VERDICT_ALLOW);
	decide(p, REQ("r.example.com", "POST", "/"), &v);
	assert_int_equal(v.kind, VERDICT_SIMULATE);
	assert_non_null(v.respond);
	/* Opened, because it may not be passed on unread. */
	decide(p,
	    "{\"host\":\"a.example.com\",\"port\":443,\"proto\":\"tls\","
	    "\"sni\":\"a.example.com\"}",
	    &v);
	assert_true(v.inspect && !v.splice);
	policy_free(p);

	p = policy_of(flow);
	decide(p, REQ("a.example.com", "POST", "/"), &v);
	assert_int_equal(v.kind, VERDICT_ALLOW);
	labels_add(&labels, STR("pii"));
	decide_with(p, REQ("a.example.com", "POST", "/"), &labels, &v);
	assert_int_equal(v.kind, VERDICT_BLOCK);
	assert_string_equal(v.code, "flow");
	assert_string_equal(v.where, "flow.leak");
	policy_free(p);
}

static void
limits_of_all_rules_hold_together(void **state)
{
	static const char rules[] = RULES(
	    "{\"host\":\"a.example.com\",\"max_body\":100},"
	    "{\"host\":\"a.example.com\",\"max_body\":50,\"addrs\":"
	    "[\"10.0.0.0/8\"]},"
	    "{\"host\":\"a.example.com\",\"addrs\":[\"10.1.2.3/32\","
	    "\"11.0.0.1\"]},"
	    "{\"host\":\"a.example.com\",\"paths\":[\"/admin/**\"],\"mode\":"
	    "\"block\"},"
	    "{\"host\":\"j.example.com\",\"content_types\":["
	    "\"application/json\",\"text/*\"],\"uploads\":false}");
	static const struct {
		const char *type, *code;
	} rows[] = {
		{ "application/json", "allowed" },
		{ "Application/JSON; charset=utf-8", "allowed" },
		{ "text/plain", "allowed" },
		{ "text/", "content_type" },
		{ "multipart/form-data; boundary=x", "content_type" },
		{ "", "content_type" },
	};
	struct policy *p = policy_of(rules);
	struct egress_verdict v;
	char ask[300];

	(void)state;
	decide(p,
	    "{\"host\":\"a.example.com\",\"port\":443,\"proto\":\"https\","
	    "\"method\":\"POST\",\"path\":\"/x\",\"content_length\":50}",
	    &v);
	assert_int_equal(v.kind, VERDICT_ALLOW);
	assert_int_equal(v.max_body, 50);
	assert_int_equal(v.n_addrs, 1);
	assert_int_equal(v.addrs[0].bits, 32);
	decide(p,
	    "{\"host\":\"a.example.com\",\"port\":443,\"proto\":\"https\","
	    "\"method\":\"POST\",\"path\":\"/x\",\"content_length\":51}",
	    &v);
	assert_string_equal(v.code, "body_too_large");
	assert_string_equal(v.where, "egress.rules[1].max_body");
	decide(p, REQ("a.example.com", "GET", "/admin/x"), &v);
	assert_string_equal(v.code, "blocked");
	assert_string_equal(v.where, "egress.rules[3].mode");
	for (size_t i = 0; i < COUNT(rows); i++) {
		(void)snprintf(ask, sizeof(ask),
		    "{\"host\":\"j.example.com\",\"port\":443,\"proto\":"
		    "\"https\",\"method\":\"POST\",\"path\":\"/\","
		    "\"content_type\":\"%s\"}",
		    rows[i].type);
		decide(p, ask, &v);
		assert_string_equal(v.code, rows[i].code);
	}
	policy_free(p);
}

static void
address_in_place_of_a_name_needs_a_pin_when_it_is_not_public(void **state)
{
	static const char rules[] = RULES(
	    "{\"host\":\"10.1.2.3\"},{\"host\":\"::1\"},"
	    "{\"host\":\"93.184.216.34\"},{\"host\":\"10.1.2.4\",\"addrs\":"
	    "[\"10.1.2.4/32\"]}");
	struct policy *p = policy_of(rules);
	struct egress_verdict v;

	(void)state;
	decide(p, REQ("10.1.2.3", "GET", "/"), &v);
	assert_string_equal(v.code, "private_address");
	decide(p, REQ("[0:0::1]", "GET", "/"), &v);
	assert_string_equal(v.code, "private_address");
	decide(p, REQ("93.184.216.34", "GET", "/"), &v);
	assert_int_equal(v.kind, VERDICT_ALLOW);
	decide(p, REQ("10.1.2.4", "GET", "/"), &v);
	assert_int_equal(v.kind, VERDICT_ALLOW);
	policy_free(p);
}

static void
odd_questions_are_none(void **state)
{
	static const char *const rows[] = {
		"[]",
		"{\"host\":\"a\",\"port\":0,\"proto\":\"tcp\"}",
		"{\"host\":\"a\",\"port\":65536,\"proto\":\"tcp\"}",
		"{\"host\":\"\",\"port\":1,\"proto\":\"tcp\"}",
		"{\"host\":\"a..b\",\"port\":1,\"proto\":\"tcp\"}",
		"{\"host\":\"a b\",\"port\":1,\"proto\":\"tcp\"}",
		"{\"host\":\"2130706433\",\"port\":1,\"proto\":\"tcp\"}",
		"{\"host\":\"0x7f.1\",\"port\":1,\"proto\":\"tcp\"}",
		"{\"host\":\"127.0.0.01\",\"port\":1,\"proto\":\"tcp\"}",
		"{\"host\":\"a.0x7f\",\"port\":1,\"proto\":\"tcp\"}",
		"{\"host\":\"a\",\"port\":1,\"proto\":\"http\"}",
		"{\"host\":\"a\",\"port\":1,\"proto\":\"quic\"}",
	};
	struct egress_ask q;
	struct err e = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		const struct json *v =
		    json_parse(str_of(rows[i]), NULL, &a, &e, NULL);

		assert_non_null(v);
		assert_int_equal(
		    egress_ask_parse(v, LEVEL_CONNECT, &q, &e), -1);
	}
}

static void
paths_match_as_people_read_them(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} rows[] = {
		{ "/", "/", true },
		{ "/a", "/a/", false },
		{ "/a/*", "/a/b", true },
		{ "/a/*", "/a/b/c", false },
		{ "/a/*", "/a/", true },
		{ "/a/**", "/a/b/c", true },
		{ "/a/**", "/a", false },
		{ "/*/x", "/a/x", true },
		{ "/**/x", "/a/b/x", true },
		{ "/**/x", "/x", false },
		{ "/a*c*e", "/abcde", true },
		{ "/**a*b/c", "/aab/ab/c", true },
		{ "/v*/t/**/end", "/v1/t/a/end/b/end", true },
		{ "/v*/t/**/end", "/v1/t/a/end/b/en", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (egress_path_match(str_of(rows[i].pattern),
			str_of(rows[i].path)) != rows[i].match)
			fail_msg("%s %s", rows[i].pattern, rows[i].path);
	}
}

static void
canned_answer_has_its_places_filled_in(void **state)
{
	static const char rules[] =
	    RULES("{\"host\":\"pay.example.com\",\"respond\":{\"status\":201,"
		  "\"json\":{\"id\":\"sim_{{n}}\",\"of\":\"{{path.2}}\","
		  "\"q\":\"{{query.a}}\",\"x\":\"{{no}}\"}}}");
	struct policy *p = policy_of(rules);
	struct egress_ask ask = { .path = { "/v1/a\"b", 7 },
		.query = { "z=1&a=%22", 9 } };
	own_buf struct buf out = {};

	(void)state;
	egress_respond_write(&out, p->egress[0].respond, &ask, 7);
	assert_string_equal(buf_c(&out),
	    "{\"id\":\"sim_7\",\"of\":\"a\\\"b\",\"q\":\"%22\",\"x\":\"\"}");
	policy_free(p);
}

/* A server's way is its entry's alone, and the run's rules are not its. */
static void
a_server_over_http_has_its_own_rule_and_no_other(void **state)
{
	static const char text[] = HEAD
	    "\"egress\":{\"rules\":[{\"host\":\"docs.example.com\"}]},"
	    "\"servers\":{\"s\":{\"url\":\"https://mcp.example.com/v1\"}}}";
	static const struct {
		const char *host, *method, *path;
		bool server; /* it is that of the server */
		enum verdict_kind kind;
	} rows[] = {
		{ "mcp.example.com", "POST", "/v1", true, VERDICT_ALLOW },
		{ "mcp.example.com", "GET", "/v1", true, VERDICT_ALLOW },
		{ "mcp.example.com", "PUT", "/v1", true, VERDICT_BLOCK },
		{ "mcp.example.com", "POST", "/v1/x", true, VERDICT_BLOCK },
		{ "mcp.example.com", "POST", "/", true, VERDICT_BLOCK },
		{ "docs.example.com", "GET", "/", true, VERDICT_BLOCK },
		{ "docs.example.com", "GET", "/", false, VERDICT_ALLOW },
		{ "mcp.example.com", "POST", "/v1", false, VERDICT_BLOCK },
	};
	struct policy *p = policy_of(text);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct egress_ask q = { .level = LEVEL_REQUEST,
			.proto = PROTO_HTTPS,
			.port = 443,
			.method = str_of(rows[i].method),
			.path = str_of(rows[i].path),
			.content_type = STR("application/json"),
			.content_length = 10,
			.to_server = rows[i].server ? p->servers : NULL };
		struct egress_verdict v;
		struct labels out = {};

		(void)snprintf(q.host, sizeof(q.host), "%s", rows[i].host);
		egress_decide(p, &q, &no_labels, &v);
		assert_int_equal(v.kind, rows[i].kind);
		assert_false(v.standing && rows[i].server);
		if (!rows[i].server)
			continue;
		assert_string_equal(v.where, "servers.s");
		egress_labels(p, &q, &v, &out);
		assert_int_equal(out.n, 0);
	}
	policy_free(p);
}

static void
url_in_the_record_shows_no_value(void **state)
{
	struct egress_ask ask = { .proto = PROTO_HTTPS,
		.port = 8443,
		.host = "a.example.com",
		.path = { "/x", 2 },
		.query = { "token=s3cret&q=s3cret&lone", 26 } };
	const struct hash salt = { { 1 } };
	own_buf struct buf out = {};
	struct policy *p = policy_of(RULES("{\"host\":\"a.example.com\"}"));
	const char *first, *second;

	(void)state;
	egress_url_write(&out, p, &ask, &salt);
	policy_free(p);
	assert_null(strstr(buf_c(&out), "s3cret"));
	assert_null(strstr(buf_c(&out), "lone"));
	first = strstr(buf_c(&out), "token=~");
	second = strstr(buf_c(&out), "q=~");
	assert_non_null(first);
	assert_non_null(second);
	assert_memory_equal(first + 7, second + 3, 12);
	assert_memory_equal(
	    buf_c(&out), "https://a.example.com:8443/x?token=~", 36);
}

/* "~" stands for a digest. */
static void
path_in_the_record_shows_what_patterns_spell_out(void **state)
{
	static const struct {
		const char *rules, *path, *shown;
	} rows[] = {
		{ RULES(
		      "{\"host\":\"a.b.example.com\",\"paths\":[\"/u/*/x\"]}"),
		    "/u/1/x", "/u/1/x" },
		{ RULES("{\"host\":\"a.b.example.com\",\"redact\":{\"path\":"
			"true}}"),
		    "/u/1/", "/~/~/" },
		{ RULES("{\"host\":\"a.b.example.com\",\"paths\":[\"/u/*/"
			"x\",\"/v/**\"],"
			"\"redact\":{\"path\":true}}"),
		    "/u/1/x", "/u/~/x" },
		{ RULES("{\"host\":\"a.b.example.com\",\"paths\":[\"/v/**/x\"],"
			"\"redact\":{\"path\":true}}"),
		    "/v/1/x", "/v/~/~" },
		{ RULES("{\"host\":\"*.b.example.com\",\"paths\":[\"/v/*\"],"
			"\"redact\":{\"path\":true}},{\"host\":\"a.b.example."
			"com\"}"),
		    "/v/v", "/v/~" },
		{ RULES("{\"host\":\"c.b\",\"redact\":{\"path\":true}}"),
		    "/v/1", "/v/1" },
		{ RULES("{\"host\":\"a.b.example.com\",\"paths\":[\"/v/*\"],"
			"\"redact\":{\"path\":true}}"),
		    "/v/*", "/v/~" },
	};
	const struct hash salt = { { 1 } };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy *p = policy_of(rows[i].rules);
		struct egress_ask ask = { .host = "a.b.example.com",
			.path = str_of(rows[i].path) };
		own_buf struct buf out = {}, shown = {};
		struct str rest;

		egress_path_write(&out, p, &ask, &salt);
		for (rest = buf_str(&out); rest.n > 0;) {
			size_t end = str_find(rest, '/');
			struct str part = { rest.p, end };

			if (egress_is_digest(part))
				part.n = 1;
			buf_add_str(&shown, part);
			if (end < rest.n)
				buf_add_byte(&shown, '/');
			rest.p += end + (end < rest.n);
			rest.n -= end + (end < rest.n);
		}
		assert_string_equal(buf_c(&shown), rows[i].shown);
		policy_free(p);
	}
}

static void
rules_that_cannot_be_meant_are_refused(void **state)
{
	static const struct {
		const char *rule, *text;
	} rows[] = {
		{ "{}", "`host` is missing" },
		{ "{\"host\":\"*\"}", "no host" },
		{ "{\"host\":\"*.com\"}", "too wide" },
		{ "{\"host\":\"*.co.uk\"}", "too wide" },
		{ "{\"host\":\"*.github.io\"}", "too wide" },
		{ "{\"host\":\"a.*.example.com\"}", "no host" },
		{ "{\"host\":\"A.example.com\"}", "no host" },
		{ "{\"host\":\"127.1\"}", "not an address" },
		{ "{\"host\":\"a\",\"proto\":\"tcp\"}", "names its port" },
		{ "{\"host\":\"a\",\"port\":1,\"proto\":\"tcp\",\"methods\":"
		  "[\"GET\"]}",
		    "nobody reads raw TCP" },
		{ "{\"host\":\"a\",\"port\":1,\"proto\":[\"tcp\",\"http\"]}",
		    "write two rules" },
		{ "{\"host\":\"a\",\"tls\":\"pin\",\"paths\":[\"/\"]}",
		    "never opened" },
		{ "{\"host\":\"a\",\"methods\":[\"get\"]}", "capitals" },
		{ "{\"host\":\"a\",\"paths\":[\"/a/../b\"]}", "without dots" },
		{ "{\"host\":\"a\",\"addrs\":[\"10.1.2.3/8\"]}", "no address" },
		{ "{\"host\":\"a\",\"respond\":{\"headers\":{\"connection\":"
		  "\"x\"}}}",
		    "no header" },
		{ "{\"host\":\"a\",\"respond\":{},\"mode\":\"block\"}",
		    "contradicts" },
		{ "{\"host\":\"a\",\"rate\":{\"per\":\"1m\"}}",
		    "`burst` is missing" },
		{ "{\"host\":\"a\",\"port\":80,\"ports\":[1]}", "keep one" },
		{ "{\"host\":\"a\",\"pathz\":[]}", "did you mean `paths`" },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		(void)snprintf(text, sizeof(text), "%s%s]}}",
		    HEAD "\"egress\":{\"rules\":[", rows[i].rule);
		assert_null(policy_new(str_of(text), POLICY_JSON, &problems));
		if (strstr(problems.item[0].text, rows[i].text) == NULL)
			fail_msg("%s: %s", rows[i].rule, problems.item[0].text);
	}
}

static void
addresses_that_are_not_public_are_denied_in_every_spelling(void **state)
{
	static const char *const denied[] = { "127.0.0.1", "0.0.0.0",
		"10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
		"169.254.169.254", "168.63.129.16", "100.100.100.200",
		"192.0.0.192", "224.0.0.1", "255.255.255.255", "198.18.0.1",
		"::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
		"::ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8",
		"2002:a00:1::", "2002:7f00:1::", "2001:0:1::", "2001:db8::1",
		"2a00::5efe:10.0.0.1", "2a00::200:5efe:127.0.0.1" };
	static const char *const fine[] = { "93.184.216.34", "8.8.8.8",
		"172.32.0.1", "172.15.255.255", "100.128.0.1", "2606:2800::1",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1" };
	static const char *const not [] = { "", "1.2.3", "1.2.3.4.5",
		"1.2.3.256", "01.2.3.4", "0x7f.0.0.1", "1.2.3.4 ", ":",
		":::", "1::2::3", "12345::", "1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9", "::1.2.3", "fe80::1%eth0", "[::1",
		"1:2:3:4:5:6:7:8::", "::g" };
	static const char *const same[] = { "::", "::1", "1::", "2001:db8::1",
		"1:0:2::3", "::2:0:0:3:0", "1.2.3.4", "1:2:3:4:5:6:7:8" };
	char text[ADDR_TEXT_BYTES];
	struct cidr c;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < COUNT(denied); i++) {
		if (addr_parse(str_of(denied[i]), &a) < 0 ||
		    addr_denied(&a) == NULL)
			fail_msg("%s", denied[i]);
		assert_false(addr_may_dial(&a, NULL, 0));
	}
	for (size_t i = 0; i < COUNT(fine); i++) {
		if (addr_parse(str_of(fine[i]), &a) < 0 ||
		    addr_denied(&a) != NULL)
			fail_msg("%s", fine[i]);
	}
	for (size_t i = 0; i < COUNT(not ); i++) {
		if (addr_parse(str_of(not [i]), &a) == 0)
			fail_msg("%s", not [i]);
	}
	for (size_t i = 0; i < COUNT(same); i++) {
		assert_int_equal(addr_parse(str_of(same[i]), &a), 0);
		addr_write(&a, text);
		assert_string_equal(text, same[i]);
	}
	assert_int_equal(cidr_parse(STR("10.1.0.0/16"), &c), 0);
	assert_int_equal(addr_parse(STR("::ffff:10.1.2.3"), &a), 0);
	assert_true(addr_may_dial(&a, &c, 1));
	assert_int_equal(addr_parse(STR("10.2.0.1"), &a), 0);
	assert_false(addr_may_dial(&a, &c, 1));
	/* A pin is all that may be dialled: what is public is not in it. */
	assert_int_equal(addr_parse(STR("8.8.8.8"), &a), 0);
	assert_false(addr_may_dial(&a, &c, 1));
	assert_int_equal(cidr_parse(STR("10.1.0.1/16"), &c), -1);
	assert_int_equal(cidr_parse(STR("10.1.0.0/33"), &c), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_no_rule_names_does_not_go_out),
		cmocka_unit_test(
		    tls_is_opened_only_when_a_rule_must_see_the_request),
		cmocka_unit_test(
		    a_hello_that_may_hide_its_name_is_never_passed_on_unread),
		cmocka_unit_test(stage_and_flow_hold_what_goes_out),
		cmocka_unit_test(limits_of_all_rules_hold_together),
		cmocka_unit_test(
		    address_in_place_of_a_name_needs_a_pin_when_it_is_not_public),
		cmocka_unit_test(odd_questions_are_none),
		cmocka_unit_test(paths_match_as_people_read_them),
		cmocka_unit_test(canned_answer_has_its_places_filled_in),
		cmocka_unit_test(
		    a_server_over_http_has_its_own_rule_and_no_other),
		cmocka_unit_test(url_in_the_record_shows_no_value),
		cmocka_unit_test(
		    path_in_the_record_shows_what_patterns_spell_out),
		cmocka_unit_test(rules_that_cannot_be_meant_are_refused),
		cmocka_unit_test(
		    addresses_that_are_not_public_are_denied_in_every_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
