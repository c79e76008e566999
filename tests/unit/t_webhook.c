/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <string.h>

#include "core/issuer.h"
#include "core/webhook.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
a_url_is_taken_apart(void **state)
{
	static const struct {
		const char *json, *host, *path;
		uint16_t port;
	} rows[] = {
		{ "{\"url\":\"https://a.example\"}", "a.example", "/", 443 },
		{ "{\"url\":\"https://a.example/x?y=z\"}", "a.example",
		    "/x?y=z", 443 },
		{ "{\"url\":\"https://10.0.0.1:8443/\"}", "10.0.0.1", "/",
		    8443 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		struct err e = {};
		struct web_target t;

		assert_int_equal(
		    web_target_read(
			json_parse(str_of(rows[i].json), NULL, &a, &e, NULL),
			&t, &e),
		    0);
		assert_true(str_eq_c(t.host, rows[i].host));
		assert_true(str_eq_c(t.path, rows[i].path));
		assert_int_equal(t.port, rows[i].port);
	}
}

static void
what_leads_elsewhere_than_it_says_is_refused(void **state)
{
	static const struct {
		const char *json, *says;
	} rows[] = {
		{ "{}", "https://" },
		{ "{\"url\":\"http://a\"}", "https://" },
		{ "{\"url\":\"HTTPS://a\"}", "https://" },
		{ "{\"url\":\"https://\"}", "host" },
		{ "{\"url\":\"https://A.example\"}", "lower case" },
		{ "{\"url\":\"https://user@a.example\"}", "lower case" },
		{ "{\"url\":\"https://[::1]/\"}", "url" },
		{ "{\"url\":\"https://a.example:0\"}", "port" },
		{ "{\"url\":\"https://a.example:65536\"}", "port" },
		{ "{\"url\":\"https://a.example:x\"}", "port" },
		{ "{\"url\":\"https://a.example/ b\"}", "byte" },
		{ "{\"url\":\"https://a.example/\\r\\nHost: b\"}", "byte" },
		{ "{\"url\":\"https://a.example/#x\"}", "byte" },
		{ "{\"url\":\"https://a\",\"addrs\":\"10.0.0.1\"}", "list" },
		{ "{\"url\":\"https://a\",\"addrs\":[\"10.1\"]}", "addrs" },
		{ "{\"url\":\"https://a\",\"roots\":\"../x\"}", "beside" },
		{ "{\"url\":\"https://a\",\"roots\":\".x\"}", "beside" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		struct err e = {};
		struct web_target t;

		assert_int_equal(
		    web_target_read(
			json_parse(str_of(rows[i].json), NULL, &a, &e, NULL),
			&t, &e),
		    -1);
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].json, e.text);
	}
}

static void
who_is_told_is_as_written(void **state)
{
	static const struct str text =
	    STR("{\"webhooks\":[{\"url\":\"https://a\",\"key\":\"k\"},"
		"{\"url\":\"https://b\",\"key\":\"k\",\"tenant\":\"acme\","
		"\"approvals\":[\"x\",\"y\"]}]}");
	own_arena struct arena a = {};
	struct err e = {};
	struct issuers all;

	(void)state;
	assert_int_equal(issuers_parse(text, &a, &all, &e), 0);
	assert_int_equal(all.hooks.n, 2);
	assert_true(
	    webhook_wants(&all.hooks.list[0], STR("bank"), STR("default")));
	assert_true(webhook_wants(&all.hooks.list[1], STR("acme"), STR("y")));
	assert_false(webhook_wants(&all.hooks.list[1], STR("bank"), STR("y")));
	assert_false(
	    webhook_wants(&all.hooks.list[1], STR("acme"), STR("default")));
}

static void
what_is_wrong_with_one_is_told(void **state)
{
	static const struct {
		const char *hook, *says;
	} rows[] = {
		{ "1", "webhooks[0]" },
		{ "{\"url\":\"https://a\"}", "key" },
		{ "{\"url\":\"https://a\",\"key\":\"a/b\"}", "key" },
		{ "{\"url\":\"https://a\",\"key\":\"k\",\"x\":1}",
		    "unknown member x" },
		{ "{\"url\":\"https://a\",\"key\":\"k\",\"tenant\":\"*\"}",
		    "tenant" },
		{ "{\"url\":\"https://a\",\"key\":\"k\",\"approvals\":[]}",
		    "approvals" },
		{ "{\"url\":\"https://a\",\"key\":\"k\",\"approvals\":[1]}",
		    "approvals" },
		{ "{\"url\":\"https://a\",\"key\":\"k\",\"links\":[{}]}",
		    "actor" },
		{ "{\"url\":\"https://a\",\"key\":\"k\",\"links\":[{\"actor\":"
		  "\"a\",\"roles\":\"b\"}]}",
		    "roles" },
		{ "{\"url\":\"https://a\",\"key\":\"k\",\"links\":{}}",
		    "list" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_arena struct arena a = {};
		own_buf struct buf text = {};
		struct err e = {};
		struct issuers all;

		buf_printf(&text, "{\"webhooks\":[%s]}", rows[i].hook);
		assert_int_equal(
		    issuers_parse(buf_str(&text), &a, &all, &e), -1);
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].hook, e.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_taken_apart),
		cmocka_unit_test(what_leads_elsewhere_than_it_says_is_refused),
		cmocka_unit_test(who_is_told_is_as_written),
		cmocka_unit_test(what_is_wrong_with_one_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
