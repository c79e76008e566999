/* "paths" of a tool: which files a call may name, and that nothing gets round
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/policy.h"
#include "core/policy_diff.h"

#define HEAD "{'policy':1,'workflow':'w','stage':5,'tools':{"
#define WRITES "'risk':'internal_write','mode':'allow'"

static const char policy[] = HEAD
    "'files.*':{'risk':'read','paths':{'read':['/workspace/**','/etc/*.conf'],"
    "'write':['/workspace/out/**']}},"
    "'files.read':{'risk':'read'},"
    "'files.write':{" WRITES "},"
    "'files.other':{" WRITES ",'paths':{'at':['$.file.name'],"
    "'write':['/srv/one']}},"
    "'none.read':{'risk':'read','paths':{'read':[]}},"
    "'plain.read':{'risk':'read'}}}";

static const struct {
	const char *tool, *args;
	bool allowed;
	const char *why; /* that it is so */
} rows[] = {
	{ "files.read", "{'path':'/workspace/a/b.txt'}", true, "below" },
	{ "files.read", "{'path':'/workspace'}", true, "the folder itself" },
	{ "files.read", "{'path':'/workspace/'}", true, "with its slash" },
	{ "files.read", "{'path':'/workspaces/a'}", false, "another folder" },
	{ "files.read", "{'path':'/workspace/../etc/shadow'}", false, ".." },
	{ "files.read", "{'path':'/workspace/./a'}", false, "." },
	{ "files.read", "{'path':'/workspace//a'}", false, "an empty part" },
	{ "files.read", "{'path':'/workspace/..'}", false, ".. at the end" },
	{ "files.read", "{'path':'workspace/a'}", false, "not absolute" },
	{ "files.read", "{'path':''}", false, "nothing" },
	{ "files.read", "{'path':'/workspace/a\\u0000/../../etc'}", false,
	    "a NUL" },
	{ "files.read", "{'path':7}", false, "no text" },
	{ "files.read", "{'path':['/workspace/a']}", false, "a list" },
	{ "files.read", "{}", false, "no path" },
	{ "files.read", "{'file':'/workspace/a'}", false, "one elsewhere" },
	{ "files.read", "{'paths':['/workspace/a','/workspace/b']}", true,
	    "each is listed" },
	{ "files.read", "{'paths':['/workspace/a','/etc/shadow']}", false,
	    "one is not" },
	{ "files.read", "{'path':'/workspace/a','paths':['/root/b']}", false,
	    "another argument" },
	{ "files.read", "{'path':'/etc/a.conf'}", true, "a star" },
	{ "files.read", "{'path':'/etc/a/b.conf'}", false, "not over a slash" },
	{ "files.any", "{'path':'/workspace/a'}", true, "the pattern's row" },
	{ "files.any", "{'path':'/root/a'}", false, "likewise" },
	{ "files.write", "{'path':'/workspace/out/a'}", true,
	    "what the pattern lists for writing" },
	{ "files.write", "{'path':'/workspace/a'}", false,
	    "may be read, not written" },
	{ "files.write",
	    "{'source':'/workspace/out/a','destination':'/workspace/out/b'}",
	    true, "both" },
	{ "files.write",
	    "{'source':'/workspace/out/a','destination':'/workspace/b'}", false,
	    "only one" },
	{ "files.other", "{'file':{'name':'/srv/one'}}", true, "its own" },
	{ "files.other", "{'file':{'name':'/srv/one'},'path':'/root/x'}", true,
	    "where it says that paths are" },
	{ "files.other", "{'path':'/workspace/out/a'}", false,
	    "not the pattern's" },
	{ "none.read", "{'path':'/a'}", false, "an empty list" },
	{ "plain.read", "{'path':'/etc/shadow'}", true, "no paths" },
};

static struct buf
spell(const char *text)
{
	struct buf b = {};

	for (const char *c = text; *c != '\0'; c++)
		buf_add_byte(&b, *c == '\'' ? '"' : *c);
	return b;
}

static struct policy *
policy_of(const char *text, struct policy_problems *problems)
{
	own_buf struct buf b = spell(text);

	*problems = (struct policy_problems){};
	return policy_new(buf_str(&b), POLICY_JSON, problems);
}

static void
a_call_names_listed_files_or_is_blocked(void **state)
{
	struct policy_problems problems;
	struct policy *p = policy_of(policy, &problems);
	static const struct labels none;

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = spell(rows[i].args);
		own_arena struct arena a = {};
		static struct verdict v;
		struct err e = {};
		const struct policy_call c = {
			.tool = str_of(rows[i].tool),
			.args = json_parse(buf_str(&text), NULL, &a, &e, NULL),
			.labels = &none,
		};

		assert_non_null(c.args);
		policy_decide(p, &c, &v);
		if ((v.kind == VERDICT_ALLOW) != rows[i].allowed)
			fail_msg("%s %s: %s", rows[i].tool, rows[i].args,
			    rows[i].why);
		assert_true(rows[i].allowed || strcmp(v.code, "path") == 0);
	}
	policy_free(p);
}

/* Longer than any path: refused, and not cut. */
static void
a_path_that_is_too_long_is_not_looked_at(void **state)
{
	struct policy_problems problems;
	struct policy *p = policy_of(policy, &problems);
	static const struct labels none;
	static struct verdict v;

	(void)state;
	assert_non_null(p);
	for (size_t n = POLICY_PATH_BYTES - 2; n < POLICY_PATH_BYTES + 2; n++) {
		own_buf struct buf text = {};
		own_arena struct arena a = {};
		struct err e = {};
		struct policy_call c = { .tool = STR("files.read"),
			.labels = &none };

		buf_add_c(&text, "{\"path\":\"/workspace/");
		for (size_t i = strlen("/workspace/"); i < n; i++)
			buf_add_byte(&text, 'a');
		buf_add_c(&text, "\"}");
		c.args = json_parse(buf_str(&text), NULL, &a, &e, NULL);
		policy_decide(p, &c, &v);
		assert_int_equal(
		    v.kind == VERDICT_ALLOW, n < POLICY_PATH_BYTES);
	}
	policy_free(p);
}

static void
what_is_wrong_with_paths_is_said_at_its_place(void **state)
{
	static const struct {
		const char *paths, *says;
	} bad[] = {
		{ "{}", "`read` is missing" },
		{ "{'read':['relative']}", "tools.t.paths.read" },
		{ "{'read':['/a'],'at':['path']}", "tools.t.paths.at" },
		{ "{'red':['/a']}", "did you mean `read`" },
		{ "[]", "tools.t.paths" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct policy_problems problems;
		own_buf struct buf text = {}, all = {};

		buf_printf(&text, HEAD "'t':{'risk':'read','paths':%s}}}",
		    bad[i].paths);
		assert_null(policy_of(buf_c(&text), &problems));
		for (uint32_t k = 0; k < problems.n; k++)
			buf_printf(&all, "%s: %s\n", problems.item[k].path,
			    problems.item[k].text);
		if (strstr(buf_c(&all), bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].paths, buf_c(&all));
	}
}

static void
a_policy_that_lets_go_of_paths_is_looser(void **state)
{
	struct policy_problems problems;
	struct policy *with = policy_of(policy, &problems);
	struct policy *without = policy_of(HEAD
	    "'files.*':{'risk':'read'},'files.read':{'risk':'read'},"
	    "'files.write':{" WRITES "},'files.other':{" WRITES "},"
	    "'none.read':{'risk':'read'},'plain.read':{'risk':'read'}}}",
	    &problems);

	(void)state;
	assert_non_null(with);
	assert_non_null(without);
	for (int back = 0; back < 2; back++) {
		const struct policy *a = back ? without : with;
		const struct policy *b = back ? with : without;
		struct policy_diff all = {};
		uint32_t n = 0;

		policy_diff_make(&all, a, b);
		for (uint32_t i = 0; i < all.n; i++) {
			if (strstr(all.item[i].path, ".paths") == NULL)
				continue;
			n++;
			assert_int_equal(all.item[i].change,
			    back ? POLICY_TIGHTER : POLICY_LOOSER);
		}
		assert_int_equal(n, 5);
		policy_diff_fini(&all);
	}
	policy_free(with);
	policy_free(without);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_names_listed_files_or_is_blocked),
		cmocka_unit_test(a_path_that_is_too_long_is_not_looked_at),
		cmocka_unit_test(what_is_wrong_with_paths_is_said_at_its_place),
		cmocka_unit_test(a_policy_that_lets_go_of_paths_is_looser),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
