/* codec/json_diff.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/json_diff.h"

struct told {
	struct buf text;
	uint32_t n, most;
};

static bool
on_place(void *arg, struct str path, const struct json *a, const struct json *b)
{
	struct told *t = arg;

	buf_add_str(&t->text, path);
	buf_add_byte(&t->text, ' ');
	if (a != NULL)
		json_write(&t->text, a);
	buf_add_byte(&t->text, '|');
	if (b != NULL)
		json_write(&t->text, b);
	buf_add_byte(&t->text, '\n');
	return ++t->n < t->most;
}

/* Expects the differences of two texts; at most so many are taken. */
static void
differ(const char *a, const char *b, uint32_t most, const char *want)
{
	own_arena struct arena arena = {};
	struct told t = { .most = most };
	struct err e = {};
	const struct json *x = json_parse(str_of(a), NULL, &arena, &e, NULL);
	const struct json *y = json_parse(str_of(b), NULL, &arena, &e, NULL);

	uint32_t n;

	assert_non_null(x);
	assert_non_null(y);
	n = json_diff(x, y, on_place, &t);
	assert_int_equal(n, t.n);
	assert_string_equal(buf_c(&t.text), want);
	buf_fini(&t.text);
}

static void
equal_values_have_no_difference(void **state)
{
	(void)state;
	differ("{\"a\":[1,{\"b\":null}]}", "{ \"a\": [1.0, {\"b\": null}] }", 9,
	    "");
	differ("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", 9, "");
	differ("[]", "[]", 9, "");
}

static void
each_place_is_told_with_both_values(void **state)
{
	(void)state;
	differ("1", "2", 9, "$ 1|2\n");
	differ("{\"a\":1,\"c\":3}", "{\"b\":2,\"c\":4}", 9,
	    "$.a 1|\n$.b |2\n$.c 3|4\n");
	differ("{\"a\":{\"b\":[1,2,3]}}", "{\"a\":{\"b\":[1,5]}}", 9,
	    "$.a.b[1] 2|5\n$.a.b[2] 3|\n");
	differ("{\"a\":[]}", "{\"a\":{}}", 9, "$.a []|{}\n");
	differ("{\"a b\":1}", "{\"\":1}", 9, "$[\"\"] |1\n$[\"a b\"] 1|\n");
}

static void
a_member_that_one_has_is_one_place(void **state)
{
	(void)state;
	differ("{\"a\":{\"b\":{\"c\":[1,2]}}}", "{}", 9,
	    "$.a {\"b\":{\"c\":[1,2]}}|\n");
}

static void
members_are_told_in_the_order_of_the_canonical_form(void **state)
{
	(void)state;
	/* U+10000 is before U+FFFF in UTF-16, and behind it in UTF-8. */
	differ("{\"\xef\xbf\xbf\":1,\"\xf0\x90\x80\x80\":1}", "{}", 9,
	    "$[\"\xf0\x90\x80\x80\"] 1|\n$[\"\xef\xbf\xbf\"] 1|\n");
}

static void
it_ends_when_it_is_told_to(void **state)
{
	(void)state;
	differ("[1,2,3,4]", "[5,6,7,8]", 2, "$[0] 1|5\n$[1] 2|6\n");
}

static void
what_is_not_there_differs_from_what_is(void **state)
{
	own_arena struct arena arena = {};
	struct told t = { .most = 9 };
	struct err e = {};

	(void)state;
	assert_int_equal(json_diff(NULL, NULL, on_place, &t), 0);
	assert_int_equal(
	    json_diff(json_parse(STR("[]"), NULL, &arena, &e, NULL), NULL,
		on_place, &t),
	    1);
	assert_string_equal(buf_c(&t.text), "$ []|\n");
	buf_fini(&t.text);
}

static void
the_deepest_document_is_looked_at_to_its_end(void **state)
{
	own_buf struct buf a = {}, b = {}, want = {};

	(void)state;
	buf_add_byte(&want, '$');
	for (int i = 0; i < JSON_MAX_DEPTH; i++) {
		buf_add_byte(&a, '[');
		buf_add_byte(&b, '[');
		buf_add_c(&want, "[0]");
	}
	buf_add_byte(&a, '1');
	buf_add_byte(&b, '2');
	for (int i = 0; i < JSON_MAX_DEPTH; i++) {
		buf_add_byte(&a, ']');
		buf_add_byte(&b, ']');
	}
	buf_add_c(&want, " 1|2\n");
	differ(buf_c(&a), buf_c(&b), 9, buf_c(&want));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_values_have_no_difference),
		cmocka_unit_test(each_place_is_told_with_both_values),
		cmocka_unit_test(a_member_that_one_has_is_one_place),
		cmocka_unit_test(
		    members_are_told_in_the_order_of_the_canonical_form),
		cmocka_unit_test(it_ends_when_it_is_told_to),
		cmocka_unit_test(what_is_not_there_differs_from_what_is),
		cmocka_unit_test(the_deepest_document_is_looked_at_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
