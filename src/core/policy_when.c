/*
 * "when" of a tool: conditions on a call. A rule whose `then` is at least the
 * tool's mode restricts, as every rule does. One whose `then` is below it is
 * an exception: the author of the row says for which calls its mode is meant.
 * An exception takes the place of nothing else, and of several that hold the
 * most restrictive counts; so the order of rules does not matter.
 */
#include <stdio.h>

#include "base/limits.h"
#include "core/policy_int.h"

static void parse_when(struct reader *r, const struct spot *s,
    const struct policy_tool *t, struct policy_when *w);
static void parse_if(
    struct reader *r, const struct spot *s, struct policy_when *w);
static struct expr_value record(const struct expr_record *r);

enum {
	WHEN_KNOWS = 1 << EXPR_ARGS | 1 << EXPR_LABELS_VAR | 1 << EXPR_RUN |
	    1 << EXPR_IDENTITY | 1 << EXPR_TOOL | 1 << EXPR_NOW
};

void
policy_parse_when(
    struct reader *r, const struct spot *tool, struct policy_tool *t)
{
	struct policy_when *rows;
	struct spot list;
	uint32_t n = 0;

	if (!read_member(tool, "when", &list) || !read_array(r, &list))
		return;
	if (list.v->n > POLICY_WHEN_MAX) {
		problem(r, &list, "has %u rules; at most %d are allowed",
		    list.v->n, POLICY_WHEN_MAX);
		return;
	}
	rows = arena_alloc(&r->p->arena, list.v->n * sizeof(*rows));
	if (rows == NULL)
		return;
	t->when = rows; /* policy_free frees what they hold */
	t->n_when = list.v->n;
	for (const struct json *x = json_first(list.v); x != NULL;
	     x = json_next(list.v, x), n++) {
		struct spot s = { .up = &list, .v = x, .index = n };

		parse_when(r, &s, t, &rows[n]);
	}
}

static void
parse_when(struct reader *r, const struct spot *s, const struct policy_tool *t,
    struct policy_when *w)
{
	static const char *const known[] = { "if", "then", "reason",
		"from_stage", NULL };
	static const char *const later[] = { NULL };
	uint64_t from_stage = 1;
	uint32_t then = VERDICT_BLOCK;
	bool says_stage;
	struct spot at;

	w->then = VERDICT_BLOCK;
	if (!read_object(r, s))
		return;
	read_known(r, s, known, later, NOT_YET);
	parse_if(r, s, w);
	if (json_get(s->v, STR("then")) == NULL)
		read_missing(r, s, "then",
		    "one of allow, draft, simulate, approve, block");
	if (!read_word(r, s, "then", verdict_words, &then))
		return;
	w->then = (enum verdict_kind)then;
	w->exception = w->then < t->mode;
	says_stage = read_whole(
	    r, s, "from_stage", (struct range){ 1, 5, "" }, &from_stage);
	w->from_stage = (uint32_t)from_stage;
	(void)read_text(r, s, "reason", &w->reason);
	(void)read_member(s, "then", &at);
	if (w->exception && t->mode == VERDICT_BLOCK)
		problem(r, &at,
		    "is below the tool's mode, and nothing lifts a block; "
		    "write another `mode`, and rules that block");
	else if (w->exception && !says_stage)
		problem(r, &at,
		    "is below the tool's mode (%s): say with `from_stage` how "
		    "far the workflow must be trusted for that",
		    verdict_name(t->mode));
	else if (w->then == VERDICT_ALLOW && !w->exception)
		problem(r, &at,
		    "does nothing: the tool's mode is allow, and rules only "
		    "restrict");
}

static void
parse_if(struct reader *r, const struct spot *s, struct policy_when *w)
{
	struct expr_fault fault;
	char near[24] = "";
	struct spot at;

	if (!read_member(s, "if", &at)) {
		read_missing(
		    r, s, "if", "a condition, such as \"args.amount > 100\"");
		return;
	}
	if (!json_is(at.v, JSON_STRING)) {
		problem(r, &at, "must be a text that holds a condition");
		return;
	}
	w->text = json_str(at.v);
	w->cond = expr_new(w->text, WHEN_KNOWS, &r->p->arena, &fault);
	if (w->cond != NULL || r->p->arena.failed)
		return;
	if (fault.at > 0 && fault.at < w->text.n)
		(void)snprintf(
		    near, sizeof(near), " (character %u)", fault.at + 1);
	problem(r, &at, "%s%s", fault.text, near);
}

void
policy_when_decide(const struct policy *p, const struct policy_tool *t,
    const struct policy_call *c, struct when_verdict *out)
{
	*out = (struct when_verdict){ .mode = t->mode };
	if (t->n_when == 0 || c->args == NULL)
		return;

	const struct expr_field tool_fields[] = {
		{ STR("name"), expr_of_str(c->tool) },
		{ STR("risk"), expr_of_str(str_of(risk_name(t->risk))) },
	};
	const struct expr_field run_fields[] = {
		{ STR("workflow"), expr_of_str(p->workflow) },
		{ STR("stage"), expr_of_int(p->stage) },
	};
	const struct expr_record tool = { 2, tool_fields };
	const struct expr_record run = { 2, run_fields };
	struct expr_env env;

	env.var[EXPR_ARGS] = expr_of_json(c->args);
	env.var[EXPR_LABELS_VAR] =
	    (struct expr_value){ .type = EXPR_LABELS, .labels = c->labels };
	env.var[EXPR_RUN] = record(&run);
	env.var[EXPR_IDENTITY] = p->identity_value;
	env.var[EXPR_TOOL] = record(&tool);
	env.var[EXPR_HTTP] = (struct expr_value){};
	env.var[EXPR_NOW] =
	    c->now_s != 0 ? expr_of_int(c->now_s) : (struct expr_value){};
	for (uint32_t i = 0; i < t->n_when; i++) {
		const struct policy_when *w = &t->when[i];
		enum expr_truth is;
		const char *why;

		/*
		 * A part that rules at its own stage still rules in a policy
		 * whose stage is lower; what it lifts, it lifts at both.
		 */
		if (p->stage < w->from_stage && t->stage < w->from_stage)
			continue;
		is = expr_test(w->cond, &env, &why);
		if (is == EXPR_FAILED && out->failed == NULL) {
			out->failed = w;
			out->why = why;
		}
		if (is != EXPR_TRUE)
			continue;
		if (!w->exception &&
		    (out->then_by == NULL || w->then > out->then)) {
			out->then = w->then;
			out->then_by = w;
		} else if (w->exception && p->stage >= w->from_stage &&
		    (out->mode_by == NULL || w->then > out->mode)) {
			out->mode = w->then;
			out->mode_by = w;
		}
	}
}

static struct expr_value
record(const struct expr_record *r)
{
	return (struct expr_value){ .type = EXPR_RECORD, .record = r };
}
