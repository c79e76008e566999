/*
 * docs/openapi.json and the table of routes say the same: each route is
 * described, with its query, and nothing is described that does not exist.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>

#include "gateway/rest.h"
#include "ipc/api.h"
#include "sys/fd.h"

static const char *file;

struct doc {
	struct buf text;
	struct arena arena;
	const struct json *paths;
};

static void
doc_read(struct doc *d)
{
	const struct json *all;
	struct err e = {};

	assert_int_equal(file_read(file, &d->text, JSON_MAX_BYTES, &e), 0);
	all = json_parse(buf_str(&d->text), NULL, &d->arena, &e, NULL);
	if (all == NULL)
		print_error("%s\n", e.text);
	assert_non_null(all);
	assert_true(str_eq_c(json_str(json_get(all, STR("openapi"))), "3.1.0"));
	d->paths = json_get(all, STR("paths"));
	assert_non_null(d->paths);
}

static void
doc_fini(struct doc *d)
{
	buf_fini(&d->text);
	arena_fini(&d->arena);
}

/* "GET" as the document has it: "get". */
static const struct json *
operation(const struct doc *d, const struct rest_route *r)
{
	const struct json *path = json_get(d->paths, r->path);
	const struct json *k;

	for (k = json_first(path); k != NULL; k = json_next(path, k)) {
		if (str_eq_nocase(json_str(k), r->method))
			return json_value(k);
	}
	return NULL;
}

static bool
has_query(const struct json *op, struct str name)
{
	const struct json *all = json_get(op, STR("parameters"));
	const struct json *x;

	for (x = json_first(all); x != NULL; x = json_next(all, x)) {
		if (str_eq(json_str(json_get(x, STR("name"))), name) &&
		    str_eq_c(json_str(json_get(x, STR("in"))), "query"))
			return true;
	}
	return false;
}

static size_t
count_query(const struct json *op)
{
	const struct json *all = json_get(op, STR("parameters"));
	const struct json *x;
	size_t n = 0;

	for (x = json_first(all); x != NULL; x = json_next(all, x))
		n += str_eq_c(json_str(json_get(x, STR("in"))), "query");
	return n;
}

static void
every_route_is_described_with_its_query_and_body(void **state)
{
	struct doc d = {};
	const struct rest_route *r;

	(void)state;
	doc_read(&d);
	for (size_t i = 0; (r = rest_route_at(i)) != NULL; i++) {
		const struct json *op = operation(&d, r);
		const struct json *body;
		size_t queries = 0;

		if (op == NULL)
			print_error("%.*s %.*s\n", STR_FMT(r->method),
			    STR_FMT(r->path));
		assert_non_null(op);
		for (int k = 0; k < REST_QUERY_MAX; k++) {
			if (r->query[k].name.n == 0)
				continue;
			assert_true(has_query(op, r->query[k].name));
			queries++;
		}
		assert_int_equal(count_query(op), queries);
		body = json_get(op, STR("requestBody"));
		assert_int_equal(body != NULL, r->body != REST_NO_BODY);
		assert_int_equal(
		    json_bool(json_get(body, STR("required")), false),
		    r->body == REST_BODY);
		assert_non_null(json_at(op, "responses", "default", NULL));
	}
	doc_fini(&d);
}

static void
every_operation_says_which_scope_it_takes(void **state)
{
	struct doc d = {};
	const struct rest_route *r;

	(void)state;
	doc_read(&d);
	for (size_t i = 0; (r = rest_route_at(i)) != NULL; i++) {
		const struct json *op = operation(&d, r);
		struct str said =
		    json_str(json_get(op, STR("x-paddock-scope")));
		bool all = json_bool(
		    json_get(op, STR("x-paddock-all-tenants")), false);

		if (r->in_run) {
			/* At a run's own door its agent is who asks. */
			assert_int_equal(said.n, 0);
			assert_true(r->call || api_rule(r->op)->agent);
		} else if (r->call) {
			assert_true(str_eq(said, API_CALL_SCOPE));
		} else {
			assert_true(str_eq(said, api_rule(r->op)->scope));
			assert_int_equal(all, api_rule(r->op)->all_tenants);
		}
	}
	doc_fini(&d);
}

/* Health is all that nobody at all may ask. */
static void
every_operation_but_health_takes_a_scope(void **state)
{
	(void)state;
	for (int op = 0; op < API_OPS; op++) {
		if (op != API_HEALTH)
			assert_true(api_rule((enum api_op)op)->scope.n > 0);
	}
}

static void
nothing_is_described_that_does_not_exist(void **state)
{
	struct doc d = {};
	size_t n = 0, described = 0;

	(void)state;
	doc_read(&d);
	while (rest_route_at(n) != NULL)
		n++;
	for (const struct json *p = json_first(d.paths); p != NULL;
	     p = json_next(d.paths, p))
		described += json_value(p)->n;
	assert_int_equal(described, n);
	doc_fini(&d);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_route_is_described_with_its_query_and_body),
		cmocka_unit_test(every_operation_says_which_scope_it_takes),
		cmocka_unit_test(every_operation_but_health_takes_a_scope),
		cmocka_unit_test(nothing_is_described_that_does_not_exist),
	};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: t_openapi openapi.json\n");
		return 2;
	}
	file = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
