/*
 * `paddock policy test`: a table of calls and the verdicts that a policy
 * should have for them. A changed policy that says otherwise exits with 1.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/cmd_policy.h"
#include "cli/out.h"
#include "cli/term.h"
#include "core/suggest.h"
#include "sys/fd.h"

static const char test_help[] =
    "usage: paddock policy test FILE CASES [--json]\n"
    "\n"
    "Decides each call of a table, and tells those whose verdict is not the\n"
    "expected one. Exits with 1 when there is one. CASES is a JSON file: a\n"
    "list of\n"
    "  { \"name\": ..., \"tool\": ..., \"args\": {...}, \"labels\": [...],\n"
    "    \"prompt\": ..., \"verdict\": \"approve\", \"code\": ..., \"rule\": "
    "... }\n"
    "where tool and verdict are needed.\n"
    "\n"
    "  --json              as JSON\n"
    "\n"
    "example: paddock policy test policy.json policy.cases.json\n";

/* What a case expects, and gets. */
struct tested {
	uint32_t number; /* from 1 */
	struct str name, tool;
	const struct json *args;
	struct str verdict, code, rule, prompt;
	struct verdict got;
	bool good;
};

static int run(const char *file, const char *path, bool json);
static int read_case(
    const struct json *v, struct tested *t, struct labels *l, struct err *e);
static int read_members(const struct json *v, struct tested *t,
    const struct json **labels, struct err *e);
static bool as_expected(const struct tested *t);
static void case_text(struct buf *out, const struct tested *t);
static void case_json(struct buf *out, const struct tested *t);

int
cmd_policy_test(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		ARGS_HELP,
		{},
	};
	bool json = false;
	struct args a;
	int c, status;

	args_init(&a, argc, argv, test_help, options);
	a.name = "policy test";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		json = json || c == 'j';
	}
	status = args_need(&a, 2, 2,
	    args_count(&a) == 0 ? "the policy's file" : "the file of cases");
	if (status != 0)
		return status;
	return run(args_rest(&a)[0], args_rest(&a)[1], json);
}

static int
run(const char *file, const char *path, bool json)
{
	static struct labels labels;
	static struct tested t;
	own_arena struct arena memory = {};
	own_buf struct buf text = {}, out = {};
	const struct json *cases;
	struct policy *p;
	struct prov *prov;
	struct err e = {};
	uint32_t n = 0, bad = 0;
	int status;

	if (file_read(path, &text, JSON_MAX_BYTES, &e) < 0)
		return out_fail(&e);
	cases = json_parse(buf_str(&text), NULL, &memory, &e, NULL);
	if (cases != NULL && (!json_is(cases, JSON_ARRAY) || cases->n == 0))
		(void)err_set(&e, "the cases are not a list, or an empty one");
	else if (cases != NULL)
		e.text[0] = '\0';
	if (cases == NULL || e.text[0] != '\0') {
		(void)err_add(&e, "%s", path);
		return out_fail(&e);
	}
	p = policy_or_say(file);
	if (p == NULL)
		return EXIT_FAILED;
	if (json)
		buf_add_c(&out, "[");
	for (const struct json *v = json_first(cases); v != NULL;
	     v = json_next(cases, v), n++) {
		t = (struct tested){ .number = n + 1 };
		if (read_case(v, &t, &labels, &e) < 0) {
			(void)err_add(&e, "%s: case %u", path, n + 1);
			policy_free(p);
			return out_fail(&e);
		}
		prov = prov_new();
		prov_user(prov, t.prompt);
		policy_decide(p,
		    &(struct policy_call){ t.tool, t.args, &labels,
			clock_utc_ns() / 1000000000, prov },
		    &t.got);
		prov_free(prov);
		t.good = as_expected(&t);
		bad += !t.good;
		if (json && n > 0)
			buf_add_c(&out, ",");
		if (json)
			case_json(&out, &t);
		else if (!t.good)
			case_text(&out, &t);
	}
	policy_free(p);
	if (json)
		buf_add_c(&out, "]");
	else
		buf_printf(&out, "%u cases, %u as expected, %u not\n", n,
		    n - bad, bad);
	status = json ? policy_json_out(&out) : out_write(&out);
	return bad > 0 ? EXIT_FAILED : status;
}

static int
read_case(
    const struct json *v, struct tested *t, struct labels *l, struct err *e)
{
	static const struct json nothing = { .type = JSON_OBJECT, .skip = 1 };
	const struct json *labels = NULL;
	enum verdict_kind kind;

	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "it is no object");
	if (read_members(v, t, &labels, e) < 0)
		return -1;
	if (t->args == NULL)
		t->args = &nothing;
	if (!json_is(t->args, JSON_OBJECT))
		return err_set(e, "args is no object");
	if (t->tool.n == 0)
		return err_set(e, "the tool is missing");
	if (verdict_parse(t->verdict, &kind) < 0)
		return err_set(e,
		    "verdict must be allow, draft, simulate, approve or "
		    "block");
	l->n = 0;
	l->overflowed = false;
	if (labels != NULL && !json_is(labels, JSON_ARRAY))
		return err_set(e, "labels is no list");
	for (const struct json *x = labels != NULL ? json_first(labels) : NULL;
	     x != NULL; x = json_next(labels, x)) {
		if (!json_is(x, JSON_STRING) || json_str(x).n == 0)
			return err_set(e, "a label is no text");
		labels_add(l, json_str(x));
	}
	return 0;
}

static int
read_members(const struct json *v, struct tested *t, const struct json **labels,
    struct err *e)
{
	static const char *const names[] = { "name", "tool", "verdict", "code",
		"rule", "prompt", "args", "labels" };
	struct str *texts[] = { &t->name, &t->tool, &t->verdict, &t->code,
		&t->rule, &t->prompt };
	enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

	for (const struct json *key = json_first(v); key != NULL;
	     key = json_next(v, key)) {
		const struct json *value = json_value(key);
		struct suggest near = suggest_for(json_str(key));
		size_t i = 0;

		while (i < sizeof(names) / sizeof(names[0]) &&
		    !str_eq_c(json_str(key), names[i]))
			suggest_try(&near, str_of(names[i++]));
		if (i < TEXTS && !json_is(value, JSON_STRING))
			return err_set(e, "%s is no text", names[i]);
		if (i < TEXTS)
			*texts[i] = json_str(value);
		else if (i == TEXTS)
			t->args = value;
		else if (i == TEXTS + 1)
			*labels = value;
		else if (near.best.n > 0)
			return err_set(e,
			    "unknown member \"%.*s\": did you mean %.*s?",
			    STR_FMT(json_str(key)), STR_FMT(near.best));
		else
			return err_set(e, "unknown member \"%.*s\"",
			    STR_FMT(json_str(key)));
	}
	return 0;
}

/* What the policy would do, whatever its mode lets through. */
static bool
as_expected(const struct tested *t)
{
	return str_eq_c(t->verdict, verdict_name(t->got.would)) &&
	    (t->code.n == 0 || str_eq_c(t->code, t->got.code)) &&
	    (t->rule.n == 0 || str_eq_c(t->rule, t->got.rule));
}

static void
case_text(struct buf *out, const struct tested *t)
{
	buf_printf(out, "case %u", t->number);
	if (t->name.n > 0) {
		buf_add_c(out, " (");
		term_text(out, t->name);
		buf_add_c(out, ")");
	}
	buf_add_c(out, ": ");
	term_text(out, t->tool);
	buf_add_c(out, ": expected ");
	term_text(out, t->verdict);
	if (t->code.n > 0) {
		buf_add_c(out, " ");
		term_text(out, t->code);
	}
	if (t->rule.n > 0) {
		buf_add_c(out, " by ");
		term_text(out, t->rule);
	}
	buf_printf(
	    out, ", got %s %s by ", verdict_name(t->got.would), t->got.code);
	term_text(out, str_of(t->got.rule));
	buf_add_c(out, ": ");
	term_text(out, str_of(t->got.reasons[0]));
	buf_add_c(out, "\n");
}

static void
case_json(struct buf *out, const struct tested *t)
{
	buf_printf(out, "{\"case\":%u,\"ok\":%s,\"name\":", t->number,
	    t->good ? "true" : "false");
	json_put_str(out, t->name);
	buf_add_c(out, ",\"tool\":");
	json_put_str(out, t->tool);
	buf_add_c(out, ",\"expected\":");
	json_put_str(out, t->verdict);
	buf_printf(
	    out, ",\"verdict\":\"%s\",\"code\":", verdict_name(t->got.would));
	json_put_str(out, str_of(t->got.code));
	buf_add_c(out, ",\"rule\":");
	json_put_str(out, str_of(t->got.rule));
	buf_add_c(out, ",\"reason\":");
	json_put_str(out, str_of(t->got.reasons[0]));
	buf_add_c(out, "}");
}
