/* core/fault.h, and "faults" of a policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "core/fault.h"

static struct policy *
policy_with(const char *faults)
{
	own_buf struct buf text = {};
	static struct policy_problems problems;
	struct policy *p;

	buf_printf(&text,
	    "{\"policy\":1,\"workflow\":\"w\",\"tools\":{\"kb.search\":"
	    "{\"risk\":\"read\"}},\"faults\":%s}",
	    faults);
	p = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (p == NULL)
		fail_msg(
		    "%s: %s", problems.item[0].path, problems.item[0].text);
	return p;
}

static void
refuses(const char *faults, const char *path, const char *says)
{
	own_buf struct buf text = {};
	static struct policy_problems problems;

	buf_printf(&text,
	    "{\"policy\":1,\"workflow\":\"w\",\"tools\":{\"kb.search\":"
	    "{\"risk\":\"read\"}},\"faults\":%s}",
	    faults);
	assert_null(policy_new(buf_str(&text), POLICY_JSON, &problems));
	assert_string_equal(problems.item[0].path, path);
	if (strstr(problems.item[0].text, says) == NULL)
		fail_msg("%s", problems.item[0].text);
}

/* The calls from 1 to n that are hit, as a text. */
static void
hit_calls(const struct policy *p, uint64_t seed, uint32_t n, struct buf *out)
{
	uint32_t seen[POLICY_FAULTS_MAX] = {}, hits[POLICY_FAULTS_MAX] = {};
	struct fault_hit hit;

	for (uint32_t i = 1; i <= n; i++) {
		if (fault_choose(p->faults, p->n_faults, seed, FAULT_AT_CALL,
			STR("kb.search"), seen, hits, &hit))
			buf_printf(out, "%u:%u ", i, hit.number);
	}
}

static void
a_rule_hits_the_calls_that_it_says(void **state)
{
	static const struct {
		const char *rules, *calls;
	} rows[] = {
		{ "[{\"tool\":\"kb.*\",\"kind\":\"empty\",\"nth\":3}]",
		    "3:0 " },
		{ "[{\"tool\":\"kb.*\",\"kind\":\"empty\",\"after\":4}]",
		    "5:0 6:0 " },
		{ "[{\"tool\":\"kb.*\",\"kind\":\"empty\",\"count\":2}]",
		    "1:0 2:0 " },
		{ "[{\"tool\":\"kb.*\",\"kind\":\"empty\",\"after\":1,"
		  "\"count\":1}]",
		    "2:0 " },
		{ "[{\"tool\":\"x.*\",\"kind\":\"empty\"}]", "" },
		/* The first that hits counts; others still count the call. */
		{ "[{\"tool\":\"kb.*\",\"kind\":\"empty\",\"nth\":2},"
		  "{\"tool\":\"*search\",\"kind\":\"malformed\",\"after\":4}]",
		    "2:0 5:1 6:1 " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {}, got = {};
		struct policy *p;

		buf_printf(&text, "{\"rules\":%s}", rows[i].rules);
		p = policy_with(buf_c(&text));
		hit_calls(p, 1, 6, &got);
		assert_string_equal(buf_c(&got), rows[i].calls);
		policy_free(p);
	}
}

/* What it answers for a host, and how it is told from a tool's. */
static void
a_rule_is_about_one_point_only(void **state)
{
	static const enum fault_point at[] = { FAULT_AT_REQUEST, FAULT_AT_CALL,
		FAULT_AT_APPROVAL };
	static const uint32_t http[] = { 502, 409, 502 };
	struct policy *p =
	    policy_with("{\"rules\":[{\"host\":\"*\",\"kind\":\"dns\"},"
			"{\"tool\":\"*\",\"kind\":\"conflict\"},"
			"{\"tool\":\"*\",\"kind\":\"approval_denied\"}]}");
	uint32_t seen[POLICY_FAULTS_MAX] = {}, hits[POLICY_FAULTS_MAX] = {};
	struct fault_hit hit;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(fault_choose(p->faults, p->n_faults, 1, at[i],
		    STR("api.test"), seen, hits, &hit));
		assert_int_equal(hit.number, i);
		assert_int_equal(seen[i], 1);
		assert_int_equal(fault_http_status(hit.rule), http[i]);
	}
	policy_free(p);
}

static void
the_same_seed_fails_in_the_same_places(void **state)
{
	struct policy *p =
	    policy_with("{\"seed\":7,\"rules\":[{\"tool\":"
			"\"kb.*\",\"kind\":\"empty\",\"p\":0.1}]}");
	own_buf struct buf a = {}, b = {}, other = {};
	uint32_t n = 0;

	(void)state;
	assert_true(p->fault_seeded);
	hit_calls(p, 7, 2000, &a);
	hit_calls(p, 7, 2000, &b);
	hit_calls(p, 8, 2000, &other);
	assert_string_equal(buf_c(&a), buf_c(&b));
	assert_string_not_equal(buf_c(&a), buf_c(&other));
	for (size_t i = 0; i < a.n; i++)
		n += a.p[i] == ' ';
	/* 200 are expected; five deviations of 13.4 each way. */
	assert_in_range(n, 133, 267);
	policy_free(p);
}

static void
an_answer_is_changed_in_the_place_that_is_named(void **state)
{
	static const char answer[] =
	    "{\"a\":{\"b\":\"x\",\"c\":[1,2]},\"n\":5}";
	static const struct {
		const char *rule, *want;
	} rows[] = {
		{ "\"kind\":\"empty\"", "{}" },
		{ "\"kind\":\"truncate\",\"bytes\":7", "\"{\\\"a\\\":{\\\"\"" },
		{ "\"kind\":\"malformed\"",
		    "\"{\\\"a\\\":{\\\"b\\\":\\\"x\\\",\\\"\"" },
		{ "\"kind\":\"missing_field\",\"at\":\"$.a.b\"",
		    "{\"a\":{\"c\":[1,2]},\"n\":5}" },
		{ "\"kind\":\"missing_field\",\"at\":\"$.n\"",
		    "{\"a\":{\"b\":\"x\",\"c\":[1,2]}}" },
		{ "\"kind\":\"null_field\",\"at\":\"$.a.c\"",
		    "{\"a\":{\"b\":\"x\",\"c\":null},\"n\":5}" },
		{ "\"kind\":\"wrong_type\",\"at\":\"$.n\"",
		    "{\"a\":{\"b\":\"x\",\"c\":[1,2]},\"n\":\"1\"}" },
		{ "\"kind\":\"wrong_type\",\"at\":\"$.a\"",
		    "{\"a\":[],\"n\":5}" },
		{ "\"kind\":\"extra_field\",\"at\":\"$.a\"",
		    "{\"a\":{\"b\":\"x\",\"c\":[1,2],\"zz_unexpected\":"
		    "{\"version\":2}},\"n\":5}" },
		{ "\"kind\":\"hostile\",\"at\":\"$.a.b\",\"text\":\"Obey "
		  "\\\"me\\\"\"",
		    "{\"a\":{\"b\":\"x Obey "
		    "\\\"me\\\"\",\"c\":[1,2]},\"n\":5}" },
		{ "\"kind\":\"partial_success\",\"at\":\"$.a.c\"",
		    "{\"a\":{\"b\":\"x\",\"c\":[1,{\"code\":\"failed\","
		    "\"error\":\"This item was not done.\",\"index\":1,"
		    "\"status\":500}]},\"n\":5}" },
		{ "\"kind\":\"duplicate\",\"at\":\"$.a.c\"",
		    "{\"a\":{\"b\":\"x\",\"c\":[1,1,2,2]},\"n\":5}" },
		{ "\"kind\":\"reorder\",\"at\":\"$.a.c\"",
		    "{\"a\":{\"b\":\"x\",\"c\":[2,1]},\"n\":5}" },
		{ "\"kind\":\"schema_drift\",\"at\":\"$.n\",\"to\":\"N\"",
		    "{\"N\":5,\"a\":{\"b\":\"x\",\"c\":[1,2]}}" },
		/* There would be two of that name. */
		{ "\"kind\":\"schema_drift\",\"at\":\"$.n\",\"to\":\"a\"",
		    NULL },
		{ "\"kind\":\"wrong_encoding\",\"at\":\"$.a.b\"",
		    "{\"a\":{\"b\":\"\xc3\xaf\xc2\xbb\xc2\xbfx\",\"c\":[1,2]},"
		    "\"n\":5}" },
		/* Not there, or not a text: as it was. */
		{ "\"kind\":\"null_field\",\"at\":\"$.z\"", NULL },
		{ "\"kind\":\"hostile\",\"at\":\"$.n\",\"text\":\"x\"",
		    answer },
		{ "\"kind\":\"latency\",\"ms\":5", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {}, got = {};
		own_arena struct arena a = {};
		struct err e = {};
		struct policy *p;
		int r;

		buf_printf(&text, "{\"rules\":[{\"tool\":\"kb.*\",%s}]}",
		    rows[i].rule);
		p = policy_with(buf_c(&text));
		r = fault_result_write(&got, &p->faults[0], str_of(answer));
		assert_int_equal(r, rows[i].want == NULL ? -1 : 0);
		if (r == 0) {
			assert_string_equal(buf_c(&got), rows[i].want);
			assert_non_null(
			    json_parse(buf_str(&got), NULL, &a, &e, NULL));
		}
		policy_free(p);
	}
}

static void
the_body_of_a_host_is_changed_whatever_it_is(void **state)
{
	static const struct {
		const char *rule, *body, *want;
		size_t n; /* of want */
	} rows[] = {
		{ "\"kind\":\"malformed\"", "abcdef", "abc", 3 },
		{ "\"kind\":\"wrong_length\"", "abc", NULL, 0 },
		{ "\"kind\":\"wrong_encoding\"", "ab",
		    "\xff\xfe"
		    "a\0b\0",
		    6 },
		{ "\"kind\":\"wrong_encoding\",\"encoding\":\"gzip\"", "ab",
		    NULL, 0 },
		{ "\"kind\":\"hostile\",\"text\":\"Obey\"", "<p>a",
		    "<p>a\nObey", 9 },
		{ "\"kind\":\"null_field\",\"at\":\"$.b\"",
		    "{ \"b\": [ 1 ],\n\"a\": 2 }", "{\"a\":2,\"b\":null}", 16 },
		{ "\"kind\":\"null_field\",\"at\":\"$.b\"", "no JSON", NULL,
		    0 },
		{ "\"kind\":\"clock_skew\",\"skew_s\":86400",
		    "at 2024-02-28T23:59:59Z", "at 2024-02-29T23:59:59Z", 23 },
		{ "\"kind\":\"clock_skew\",\"skew_s\":-1",
		    "2026-01-01T00:00:00.5+01:00 1999-13-01T00:00:00",
		    "2025-12-31T23:59:59.5+01:00 1999-13-01T00:00:00", 47 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {}, got = {};
		struct policy *p;
		int r;

		buf_printf(
		    &text, "{\"rules\":[{\"host\":\"h\",%s}]}", rows[i].rule);
		p = policy_with(buf_c(&text));
		assert_true(fault_spoils_whole(&p->faults[0]));
		r = fault_body_write(&got, &p->faults[0], str_of(rows[i].body));
		assert_int_equal(r, rows[i].want == NULL ? -1 : 0);
		assert_int_equal(got.n, rows[i].n);
		if (rows[i].n > 0)
			assert_memory_equal(got.p, rows[i].want, got.n);
		policy_free(p);
	}
}

/* The middle of what is drawn is the median, and half as much, and twice. */
static void
a_lognormal_latency_has_its_median(void **state)
{
	struct policy *p = policy_with(
	    "{\"rules\":[{\"tool\":\"kb.*\",\"kind\":\"latency\",\"ms\":1000,"
	    "\"dist\":\"lognormal\",\"sigma\":0.693}]}");
	uint32_t seen[POLICY_FAULTS_MAX] = {}, hits[POLICY_FAULTS_MAX] = {};
	uint32_t below = 0, beyond = 0;
	struct fault_hit hit;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		assert_true(fault_choose(p->faults, p->n_faults, 3,
		    FAULT_AT_CALL, STR("kb.search"), seen, hits, &hit));
		below += hit.delay_ms < 1000;
		/* One deviation off, either way: 31.7 % of them. */
		beyond += hit.delay_ms < 500 || hit.delay_ms > 2000;
	}
	assert_in_range(below, 420, 580);
	assert_in_range(beyond, 243, 391);
	policy_free(p);
}

/* Errors and answers of the two APIs: what is in them, and what is not. */
static void
a_model_fails_in_its_own_shape(void **state)
{
	static const struct {
		const char *rule, *path;
		uint32_t status;
		const char *body, *field;
	} rows[] = {
		{ "\"kind\":\"rate_limit\",\"retry_after_s\":7",
		    "/v1/chat/completions", 429,
		    "\"code\":\"rate_limit_exceeded\"",
		    "\"retry-after\":\"7\"" },
		{ "\"kind\":\"rate_limit\"", "/v1/messages", 429,
		    "\"type\":\"rate_limit_error\"", "\"retry-after\":\"1\"" },
		{ "\"kind\":\"overloaded\"", "/v1/messages", 529,
		    "\"type\":\"overloaded_error\"", "\"request-id\"" },
		{ "\"kind\":\"overloaded\"", "/v1/responses", 503,
		    "\"type\":\"server_error\"", "\"x-request-id\"" },
		{ "\"kind\":\"status\",\"status\":500", "/v1/messages", 500,
		    "\"type\":\"api_error\"", "\"request-id\"" },
		{ "\"kind\":\"context_length\"", "/v1/chat/completions", 400,
		    "\"code\":\"context_length_exceeded\"", "" },
		{ "\"kind\":\"context_length\"", "/v1/messages", 400,
		    "prompt is too long", "" },
		{ "\"kind\":\"quota\"", "/v1/messages", 400, "credit balance",
		    "" },
		{ "\"kind\":\"quota\"", "/v1/chat/completions", 429,
		    "\"type\":\"insufficient_quota\"", "" },
		{ "\"kind\":\"auth_expired\",\"format\":\"anthropic\"", "/x",
		    401, "\"type\":\"authentication_error\"", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {}, body = {}, fields = {};
		own_arena struct arena a = {};
		struct err e = {};
		struct policy *p;

		buf_printf(
		    &text, "{\"rules\":[{\"host\":\"h\",%s}]}", rows[i].rule);
		p = policy_with(buf_c(&text));
		assert_int_equal(
		    fault_model_error(&body, &fields, &p->faults[0],
			fault_format_of(&p->faults[0], str_of(rows[i].path)),
			str_of(rows[i].path)),
		    rows[i].status);
		assert_non_null(json_parse(buf_str(&body), NULL, &a, &e, NULL));
		assert_non_null(strstr(buf_c(&body), rows[i].body));
		assert_non_null(strstr(buf_c(&fields), rows[i].field));
		policy_free(p);
	}
}

static void
a_models_answer_is_changed_and_the_rest_of_it_stays(void **state)
{
	static const char chat[] =
	    "{\"id\":\"c1\",\"choices\":[{\"message\":{\"content\":\"hi\","
	    "\"tool_calls\":[{\"function\":{\"arguments\":\"{\\\"a\\\":1}\"}}]}"
	    "}"
	    "],\"usage\":{\"total_tokens\":3}}";
	static const char message[] =
	    "{\"type\":\"message\",\"content\":[{\"type\":\"tool_use\","
	    "\"input\":{\"a\":1}}],\"stop_reason\":\"tool_use\"}";
	static const char stream[] =
	    "event: message_start\ndata: {\"type\":\"message_start\"}\n\n"
	    "event: content_block_delta\ndata: "
	    "{\"type\":\"content_block_delta\""
	    ",\"delta\":{\"partial_json\":\"{\\\"a\\\":1}\"}}\n\n"
	    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
	    "{\"stop_reason\":\"tool_use\"}}\n\n";
	static const char chunks[] =
	    "data: {\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}"
	    "]}\n\ndata: {\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\":"
	    "\"ho\"}}]}\n\ndata: [DONE]\n\n";
	static const char response[] =
	    "{\"id\":\"r1\",\"output\":[{\"arguments\":\"{\\\"a\\\":1}\","
	    "\"type\":\"function_call\"}]}";
	static const struct {
		const char *kind, *body;
		bool events;
		const char *has[3];
		const char * not ;
	} rows[] = {
		{ "refusal", chat, false,
		    { "\"refusal\":\"I'm sorry", "\"id\":\"c1\"",
			"\"total_tokens\":3" },
		    "tool_calls" },
		{ "empty_answer", chat, false,
		    { "\"content\":\"\"", "\"finish_reason\":\"stop\"",
			"\"id\":\"c1\"" },
		    "hi" },
		{ "bad_tool_json", chat, false,
		    { "\"arguments\":\"{\\\"a\"", "\"content\":\"hi\"", "c1" },
		    ":1}\"" },
		{ "refusal", message, false,
		    { "\"content\":[]", "\"stop_reason\":\"refusal\"", "" },
		    "tool_use" },
		{ "bad_tool_json", message, false,
		    { "\"input\":{}", "\"stop_reason\":\"max_tokens\"",
			"tool_use" },
		    "\"a\"" },
		{ "empty_answer", stream, true,
		    { "message_start", "\"stop_reason\":\"end_turn\"", "" },
		    "content_block" },
		{ "bad_tool_json", stream, true,
		    { "\"partial_json\":\"{\\\"a\"", "event: message_delta",
			"tool_use" },
		    ":1}\"" },
		{ "refusal", chunks, true,
		    { "\"refusal\":\"I'm sorry", "\"finish_reason\":\"stop\"",
			"data: [DONE]" },
		    "ho\"" },
		{ "refusal", response, false,
		    { "\"type\":\"refusal\"", "\"id\":\"r1\"", "" },
		    "function_call" },
		{ "bad_tool_json", response, false,
		    { "\"arguments\":\"{\\\"a\"", "function_call", "" },
		    ":1}\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {}, got = {};
		struct policy *p;

		buf_printf(&text,
		    "{\"rules\":[{\"host\":\"h\",\"kind\":\"%s\"}]}",
		    rows[i].kind);
		p = policy_with(buf_c(&text));
		assert_int_equal(fault_model_answer(&got, &p->faults[0],
				     str_of(rows[i].body), rows[i].events),
		    0);
		for (int k = 0; k < 3; k++) {
			if (strstr(buf_c(&got), rows[i].has[k]) == NULL)
				fail_msg("row %zu has no %s: %s", i,
				    rows[i].has[k], buf_c(&got));
		}
		if (strstr(buf_c(&got), rows[i].not ) != NULL)
			fail_msg("row %zu: %s", i, buf_c(&got));
		/* What is no answer of a model stays. */
		buf_reset(&got);
		assert_int_equal(fault_model_answer(
				     &got, &p->faults[0], STR("<html>"), false),
		    -1);
		policy_free(p);
	}
}

static void
an_error_is_json_with_a_code(void **state)
{
	struct policy *p = policy_with(
	    "{\"rules\":[{\"tool\":\"kb.*\",\"kind\":\"rate_limit\","
	    "\"retry_after_s\":2}]}");
	own_buf struct buf got = {};

	(void)state;
	assert_true(fault_instead(&p->faults[0]));
	fault_error_write(&got, &p->faults[0]);
	assert_string_equal(buf_c(&got),
	    "{\"code\":\"http_429\",\"error\":\"The service answered 429 Too "
	    "Many Requests.\",\"retry_after_s\":2,\"suggested_next_step\":"
	    "\"Wait before trying again, or go on without it.\"}");
	policy_free(p);
}

static void
what_a_rule_cannot_mean_is_refused(void **state)
{
	(void)state;
	refuses("{}", "faults", "`rules` is missing");
	refuses("{\"rules\":[{\"kind\":\"empty\"}]}", "faults.rules[0]",
	    "`tool` is missing");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"tiemout\"}]}",
	    "faults.rules[0].kind", "timeout");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"latency\"}]}",
	    "faults.rules[0]", "`ms` is missing");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"empty\",\"p\":0}]}",
	    "faults.rules[0].p", "from 0.001 to 1");
	refuses(
	    "{\"rules\":[{\"tool\":\"a\",\"kind\":\"empty\",\"at\":\"x\"}]}",
	    "faults.rules[0].at", "members of the answer");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"empty\","
		"\"effect\":\"applied\"}]}",
	    "faults.rules[0].effect", "for \"timeout\"");
	refuses("{\"rules\":[{\"host\":\"a\",\"kind\":\"empty\","
		"\"tool\":\"a\"}]}",
	    "faults.rules[0].host", "not go together");
	refuses("{\"rules\":[{\"host\":\"a\",\"kind\":\"stale_read\"}]}",
	    "faults.rules[0].kind", "not for a host");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"bandwidth\","
		"\"bytes_per_s\":9}]}",
	    "faults.rules[0].kind", "is for a host");
	refuses("{\"rules\":[{\"host\":\"a\",\"kind\":\"slicer\",\"ms\":1}]}",
	    "faults.rules[0]", "`bytes` is missing");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"schema_drift\","
		"\"at\":\"$.a\"}]}",
	    "faults.rules[0]", "`to` is missing");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"clock_skew\"}]}",
	    "faults.rules[0]", "`skew_s` is missing");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"clock_skew\","
		"\"skew_s\":1e12}]}",
	    "faults.rules[0].skew_s", "ten years");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"latency\",\"ms\":5,"
		"\"dist\":\"lognormal\",\"jitter_ms\":5}]}",
	    "faults.rules[0].jitter_ms", "for \"uniform\"");
	refuses("{\"rules\":[{\"host\":\"a\",\"kind\":\"kill\"}]}",
	    "faults.rules[0].kind", "not for a host");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"tls\"}]}",
	    "faults.rules[0].kind", "is for a host");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"budget_low\"}]}",
	    "faults.rules[0]", "`remaining` is missing");
	refuses("{\"rules\":[{\"tool\":\"a\",\"kind\":\"hostile\"}]}",
	    "faults.rules[0]", "`text` is missing");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_hits_the_calls_that_it_says),
		cmocka_unit_test(a_rule_is_about_one_point_only),
		cmocka_unit_test(the_same_seed_fails_in_the_same_places),
		cmocka_unit_test(
		    an_answer_is_changed_in_the_place_that_is_named),
		cmocka_unit_test(the_body_of_a_host_is_changed_whatever_it_is),
		cmocka_unit_test(a_lognormal_latency_has_its_median),
		cmocka_unit_test(a_model_fails_in_its_own_shape),
		cmocka_unit_test(
		    a_models_answer_is_changed_and_the_rest_of_it_stays),
		cmocka_unit_test(an_error_is_json_with_a_code),
		cmocka_unit_test(what_a_rule_cannot_mean_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
