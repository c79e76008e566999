/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/policy.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
check(const char *why, const char *in, const struct str *paths, uint32_t n,
    const char *want)
{
	own_arena struct arena a = {};
	own_buf struct buf out = {}, same = {}, before = {};
	struct err e = {};
	const struct json *v = json_parse(str_of(in), NULL, &a, &e, NULL);

	if (v == NULL)
		fail_msg("%s: %s", why, e.text);
	json_write(&before, v);
	redact_write(&out, v, paths, n);
	if (strcmp(buf_c(&out), want) != 0)
		fail_msg("%s: %s, not %s", why, buf_c(&out), want);
	/* The value itself is left alone. */
	json_write(&same, v);
	assert_string_equal(buf_c(&same), buf_c(&before));
}

#define R "\"[redacted]\""

static void
a_path_hides_what_it_leads_to_and_nothing_else(void **state)
{
	static const struct {
		const char *why, *in, *path, *want;
	} rows[] = {
		{ "a member", "{\"b\":1,\"a\":2}", "$.a",
		    "{\"a\":" R ",\"b\":1}" },
		{ "a member below", "{\"a\":{\"b\":1,\"c\":2}}", "$.a.b",
		    "{\"a\":{\"b\":" R ",\"c\":2}}" },
		{ "a container whole", "{\"a\":{\"b\":[1,{\"x\":2}]},\"z\":0}",
		    "$.a", "{\"a\":" R ",\"z\":0}" },
		{ "not there", "{\"a\":1}", "$.b", "{\"a\":1}" },
		{ "only the whole name", "{\"ab\":1}", "$.a", "{\"ab\":1}" },
		{ "nothing below a number", "{\"a\":1}", "$.a.b", "{\"a\":1}" },
		{ "each element", "{\"a\":[{\"b\":1},{\"c\":2},{\"b\":3}]}",
		    "$.a[*].b",
		    "{\"a\":[{\"b\":" R "},{\"c\":2},{\"b\":" R "}]}" },
		{ "elements themselves", "{\"a\":[1,[2],3]}", "$.a[*]",
		    "{\"a\":[" R "," R "," R "]}" },
		{ "each member too", "{\"a\":{\"x\":1,\"y\":2}}", "$.a[*]",
		    "{\"a\":{\"x\":" R ",\"y\":" R "}}" },
		{ "a list is not looked through by a name",
		    "{\"a\":[{\"b\":1}]}", "$.a.b", "{\"a\":[{\"b\":1}]}" },
		{ "anywhere",
		    "{\"b\":1,\"a\":[{\"b\":{\"b\":2}},[[{\"b\":3}]]]}", "$..b",
		    "{\"a\":[{\"b\":" R "},[[{\"b\":" R "}]]],\"b\":" R "}" },
		{ "anywhere, then below",
		    "{\"x\":{\"b\":{\"c\":1,\"d\":2}},\"c\":3}", "$..b.c",
		    "{\"c\":3,\"x\":{\"b\":{\"c\":" R ",\"d\":2}}}" },
		{ "anywhere below a name", "{\"a\":{\"x\":{\"b\":1}},\"b\":2}",
		    "$.a..b", "{\"a\":{\"x\":{\"b\":" R "}},\"b\":2}" },
		{ "all of it", "{\"a\":1}", "$", R },
		{ "all of a list", "[1,2]", "$[*]", "[" R "," R "]" },
		{ "a scalar", "5", "$.a", "5" },
		{ "an empty list", "{\"a\":[]}", "$.a[*]", "{\"a\":[]}" },
		{ "a path that is none hides all", "{\"a\":1}", "$.a[0]", R },
		{ "an empty path too", "{\"a\":1}", "", R },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str path = str_of(rows[i].path);

		check(rows[i].why, rows[i].in, &path, 1, rows[i].want);
	}
}

static void
several_paths_hide_together(void **state)
{
	static const struct str paths[] = { { "$.a", 3 }, { "$.a.b", 5 },
		{ "$..c", 4 }, { "$.d[*]", 6 } };

	(void)state;
	check("one within another",
	    "{\"a\":{\"b\":1},\"c\":1,\"d\":[{\"c\":2},2],\"e\":{\"c\":3}}",
	    paths, COUNT(paths),
	    "{\"a\":" R ",\"c\":" R ",\"d\":[" R "," R "],\"e\":{\"c\":" R
	    "}}");
	check("no paths", "{\"b\": 1, \"a\": [ ]}", NULL, 0,
	    "{\"a\":[],\"b\":1}");
}

static void
paths_have_one_form(void **state)
{
	static const struct {
		const char *path;
		bool ok;
	} rows[] = {
		{ "$", true },
		{ "$.a", true },
		{ "$.a.b", true },
		{ "$.a[*].b", true },
		{ "$..b", true },
		{ "$[*]", true },
		{ "$.caf\xc3\xa9", true },
		{ "", false },
		{ "a.b", false },
		{ "$a", false },
		{ "$.", false },
		{ "$..", false },
		{ "$...a", false },
		{ "$.a.", false },
		{ "$.a[0]", false },
		{ "$.a[", false },
		{ "$.a[*", false },
		{ "$.*", false },
		{ "$['a']", false },
		{ "$.a[*]b", false },
	};
	own_buf struct buf deep = {};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (redact_path_ok(str_of(rows[i].path)) != rows[i].ok)
			fail_msg("%s", rows[i].path);
	}
	assert_false(redact_path_ok((struct str){ "$.a\0b", 5 }));
	buf_add_c(&deep, "$");
	for (int i = 0; i < REDACT_STEPS_MAX; i++)
		buf_add_c(&deep, ".a");
	assert_true(redact_path_ok(buf_str(&deep)));
	buf_add_c(&deep, ".a");
	assert_false(redact_path_ok(buf_str(&deep)));
}

/* The 31st step is the last bit of a mask. */
static void
the_longest_path_hides(void **state)
{
	own_buf struct buf in = {}, want = {}, path = {};
	struct str p;

	(void)state;
	buf_add_c(&path, "$");
	for (int i = 0; i < REDACT_STEPS_MAX; i++) {
		buf_add_c(&path, ".a");
		buf_add_c(&in, "{\"a\":");
		buf_add_c(&want, "{\"a\":");
	}
	buf_add_c(&in, "1");
	buf_add_c(&want, R);
	for (int i = 0; i < REDACT_STEPS_MAX; i++) {
		buf_add_c(&in, "}");
		buf_add_c(&want, "}");
	}
	p = buf_str(&path);
	check("31 steps", buf_c(&in), &p, 1, buf_c(&want));
}

static void
nothing_is_written_when_memory_is_short(void **state)
{
	static const struct str path = { "$.a", 3 };
	own_arena struct arena a = {};
	own_buf struct buf out = { .max = 4 };
	struct err e = {};
	const struct json *v =
	    json_parse(STR("{\"b\":12345678}"), NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	redact_write(&out, v, &path, 1);
	assert_true(out.failed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_path_hides_what_it_leads_to_and_nothing_else),
		cmocka_unit_test(several_paths_hide_together),
		cmocka_unit_test(paths_have_one_form),
		cmocka_unit_test(the_longest_path_hides),
		cmocka_unit_test(nothing_is_written_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
