/* Arguments: docs/POLICY.md, then the example's short and full policy. */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/walls.h"
#include "core/policy.h"
#include "sys/fd.h"

static const char *doc_path, *short_path, *full_path;
static struct policy_problems problems;

static struct policy *
compile(const char *what, struct str text, enum policy_format format)
{
	struct policy *p = policy_new(text, format, &problems);

	if (p == NULL)
		fail_msg("%s: %u:%u: %s: %s", what, problems.item[0].line,
		    problems.item[0].column, problems.item[0].path,
		    problems.item[0].text);
	return p;
}

static struct policy *
compile_file(const char *path, enum policy_format format)
{
	own_buf struct buf text = {};
	struct err e = {};

	if (file_read(path, &text, 1 << 20, &e) < 0)
		fail_msg("%s", e.text);
	return compile(path, buf_str(&text), format);
}

/* The text between two lines of fences, or an empty one at the end. */
static struct str
next_block(struct str *rest, const char *fence)
{
	const char *from = strstr(rest->p, fence), *to;

	if (from == NULL)
		return (struct str){};
	from += strlen(fence);
	to = strstr(from, "\n```\n");
	assert_non_null(to);
	rest->p = to + 4;
	return (struct str){ from, (size_t)(to - from) };
}

static void
every_example_of_the_reference_is_a_policy(void **state)
{
	static const struct {
		const char *fence;
		enum policy_format format;
	} kinds[] = { { "\n```json\n", POLICY_JSON },
		{ "\n```yaml\n", POLICY_YAML } };
	own_buf struct buf text = {};
	struct err e = {};

	(void)state;
	if (file_read(doc_path, &text, 1 << 20, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct str rest = { buf_c(&text), text.n }, block;
		int n = 0;

		while ((block = next_block(&rest, kinds[i].fence)).n > 0) {
			policy_free(compile(doc_path, block, kinds[i].format));
			n++;
		}
		assert_true(n > 0);
	}
}

/* Both forms of the example decide alike at the start of a run. */
static void
the_example_says_the_same_in_both_forms(void **state)
{
	static const struct {
		const char *tool;
		enum verdict_kind kind;
	} rows[] = {
		{ "kb.search", VERDICT_ALLOW },
		{ "ticket.list", VERDICT_ALLOW },
		{ "ticket.read", VERDICT_ALLOW },
		{ "customer.find", VERDICT_ALLOW },
		{ "billing.invoices", VERDICT_ALLOW },
		{ "ticket.reply_draft", VERDICT_ALLOW },
		{ "billing.refund", VERDICT_BLOCK },
		{ "email.send", VERDICT_APPROVE },
		{ "files.read", VERDICT_BLOCK },
	};
	static const struct labels none;
	struct policy *p[] = { compile_file(short_path, POLICY_JSON),
		compile_file(full_path, POLICY_YAML) };

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			struct policy_call call = { str_of(rows[k].tool), NULL,
				&none, 0, NULL };
			struct verdict v;

			policy_decide(p[i], &call, &v);
			assert_int_equal(v.kind, rows[k].kind);
		}
	}
	assert_true(str_eq(p[0]->workflow, p[1]->workflow));
	assert_true(str_eq(p[0]->identity.tenant, p[1]->identity.tenant));
	for (int k = BUDGET_RUNTIME_MS; k < BUDGET_KINDS; k++)
		assert_int_equal(
		    p[0]->budgets.limit[k], p[1]->budgets.limit[k]);
	policy_free(p[0]);
	policy_free(p[1]);
}

/* What is between this line of the reference and the next of its level. */
static struct str
section(struct buf *doc, const char *heading)
{
	const char *from = strstr(buf_c(doc), heading), *to;

	assert_non_null(from);
	from += strlen(heading);
	to = strstr(from, "\n## ");
	return (struct str){ from,
		to != NULL ? (size_t)(to - from) : strlen(from) };
}

static bool
holds(struct str text, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= text.n; i++) {
		if (memcmp(text.p + i, word, n) == 0)
			return true;
	}
	return false;
}

/* Of the object at `path`, whose only member is unknown: ", a, b, c,". */
static void
known_members(const char *document, const char *path, char out[static 600])
{
	const char *known = NULL;

	assert_null(policy_new(str_of(document), POLICY_JSON, &problems));
	for (uint32_t i = 0; i < problems.n && known == NULL; i++) {
		if (strcmp(problems.item[i].path, path) == 0)
			known = strstr(problems.item[i].text, "known are ");
	}
	assert_non_null(known);
	(void)snprintf(out, 600, ", %s,", known + strlen("known are "));
}

static void
the_reference_has_each_member_of_a_sandbox_and_no_other(void **state)
{
#define HEAD "{\"policy\":1,\"workflow\":\"w\",\"tools\":{},\"sandbox\":{"
	static const struct {
		const char *document, *path, *heading, *end;
	} rows[] = {
		{ HEAD "\"z\":1}}", "sandbox.z", "\n### Sandbox\n",
		    "\n`commands` has" },
		{ HEAD "\"protect\":{\"z\":1}}}", "sandbox.protect.z",
		    "\n## What a sandbox sees", "\nA pattern is" },
		{ HEAD "\"mounts\":[{\"z\":1}]}}", "sandbox.mounts[0].z",
		    "\n## Folders beside", "\nAt most 8" },
	};
#undef HEAD
	own_buf struct buf doc = {};
	struct err e = {};

	(void)state;
	if (file_read(doc_path, &doc, 1 << 20, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str text = section(&doc, rows[i].heading);
		const char *end = strstr(text.p, rows[i].end);
		char known[600], word[80];
		unsigned n = 0, named = 0;

		assert_non_null(end);
		text.n = (size_t)(end - text.p);
		known_members(rows[i].document, rows[i].path, known);
		for (const char *at = known; at[1] != '\0'; n++) {
			int len = (int)strcspn(at + 2, ",");

			(void)snprintf(
			    word, sizeof(word), "`%.*s`", len, at + 2);
			if (!holds(text, word))
				fail_msg("%s: %s is not there", rows[i].heading,
				    word);
			at += 2 + len;
		}
		/* The names in the first cell of each row. */
		for (const char *at = text.p; at < end;
		     at += strcspn(at, "\n") + 1) {
			const char *cell = at + 2, *stop;

			if (strncmp(at, "| `", 3) != 0)
				continue;
			stop = strchr(cell, '|');
			cell = strchr(cell, '`');
			while (cell != NULL && cell < stop) {
				int len = (int)strcspn(cell + 1, "`");

				(void)snprintf(word, sizeof(word), ", %.*s,",
				    len, cell + 1);
				if (strstr(known, word) == NULL)
					fail_msg("there is no%s", word + 1);
				named++;
				cell = strchr(cell + len + 2, '`');
			}
		}
		assert_int_equal(named, n);
	}
}

static void
the_reference_has_every_wall(void **state)
{
	own_buf struct buf doc = {};
	struct err e = {};
	struct str text;

	(void)state;
	if (file_read(doc_path, &doc, 1 << 20, &e) < 0)
		fail_msg("%s", e.text);
	text = section(&doc, "\n## Walls: `required`\n");
	for (uint32_t i = 0; i < WALL_COUNT; i++) {
		char word[40];

		(void)snprintf(word, sizeof(word), "`%s`", wall_name(1U << i));
		if (!holds(text, word))
			fail_msg("the wall %s is not there", word);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_example_of_the_reference_is_a_policy),
		cmocka_unit_test(the_example_says_the_same_in_both_forms),
		cmocka_unit_test(
		    the_reference_has_each_member_of_a_sandbox_and_no_other),
		cmocka_unit_test(the_reference_has_every_wall),
	};

	if (argc != 4)
		return 2;
	doc_path = argv[1];
	short_path = argv[2];
	full_path = argv[3];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
