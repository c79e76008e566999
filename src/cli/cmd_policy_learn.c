/*
 * `paddock policy learn`: from recorded runs the smallest policy that allows
 * what they did. It is the policy that they had, without the tools that they
 * did not use, with a schema where a row had none, and with a row or a mode for
 * what was done although the policy would not have allowed it. What is looser
 * than before is told by the comparison that `policy diff` makes.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "cli/cmd_policy.h"
#include "cli/learn_args.h"
#include "cli/out.h"
#include "cli/policy_file.h"
#include "cli/recorded.h"
#include "cli/trace_cmd.h"
#include "core/policy_diff.h"

static const char learn_help[] =
    "usage: paddock policy learn RUN... [--policy FILE] [--json]\n"
    "\n"
    "Proposes the smallest policy that allows what recorded runs did: the\n"
    "policy that they had, without tools that they did not use, with a schema\n"
    "of the arguments that they gave, in mode enforce. What it would newly\n"
    "allow stands in comments above it, and so does what it still holds back.\n"
    "Exits with 1 when it allows anything new, or could not be made.\n"
    "\n"
    "RUN is a run's name, `last`, or a file that `trace export` wrote.\n"
    "\n"
    "  --policy FILE       what to begin with, and to compare with\n"
    "  --json              as JSON: {\"policy\", \"looser\", \"held_back\"}\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "example: paddock policy learn last > policy.learned.json\n";

/* A tool that was called, and what came of it. */
struct used {
	struct str name;
	uint32_t n, blocked; /* calls */
	bool done; /* any was not blocked */
	bool lift; /* done although the policy says more */
	enum verdict_kind needs; /* the lowest that was done */
	struct learn_args args;
};

struct learning {
	struct trace *t;
	const struct policy *was;
	struct used **used;
	size_t n_used;
	uint32_t most_calls, calls; /* of one run */
	struct arena texts;
};

static struct policy *begin_with(
    struct learning *l, char *const *names, int n, struct err *e);
static bool on_run(void *arg, const struct store_run *r);
static int on_call(void *arg, const struct recorded_call *c, struct err *e);
static struct used *used_of(struct learning *l, struct str tool);
static bool by_action(struct str action, enum verdict_kind *out);
static void write_policy(struct buf *out, struct learning *l);
static void write_tool(
    struct buf *out, const struct learning *l, const struct used *u);
static int tell(struct learning *l, struct err *e);
static void put_held(struct buf *out, const struct learning *l,
    const struct policy *is, bool json);
static int by_name(const void *a, const void *b);

int
cmd_policy_learn(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "policy", required_argument, NULL, 'P' },
		{ "state", required_argument, NULL, 'S' },
		ARGS_HELP,
		{},
	};
	struct trace t = { .args.name = "policy learn" };
	struct learning l = { .t = &t };
	struct policy *was = NULL;
	struct err e = {};
	int status;

	if (!trace_options(&t, argc, argv, learn_help, options))
		return t.args.exit;
	status = args_need(&t.args, 1, ARGS_MANY, "RUN");
	if (status != 0)
		return status;
	if (trace_open(&t, args_rest(&t.args)[0], &e) < 0)
		return out_fail(&e);
	was = begin_with(&l, args_rest(&t.args), args_count(&t.args), &e);
	l.was = was;
	status = was != NULL ? 0 : -1;
	for (int i = 0; status == 0 && i < args_count(&t.args); i++) {
		uint64_t run = 0;

		l.calls = 0;
		if (trace_find(&t, args_rest(&t.args)[i], &run, &e) < 0 ||
		    recorded_calls(t.store, run, NULL, on_call, &l, &e) < 0)
			status = -1;
		if (l.calls > l.most_calls)
			l.most_calls = l.calls;
	}
	if (status == 0 && l.n_used == 0) {
		status = err_set(&e, "these runs have called no tool");
	} else if (status == 0) {
		qsort(l.used, l.n_used, sizeof(struct used *), by_name);
		status = tell(&l, &e);
	}
	for (size_t i = 0; i < l.n_used; i++)
		free(l.used[i]);
	free(l.used);
	arena_fini(&l.texts);
	policy_free(was);
	return trace_finish(&t, status, &e);
}

/* The one that the runs had, or that of --policy. */
static struct policy *
begin_with(struct learning *l, char *const *names, int n, struct err *e)
{
	static struct policy_problems problems;
	own_buf struct buf text = {};
	struct hash version = {}, first = {};
	struct policy *p;

	for (int i = 0; i < n; i++) {
		uint64_t run = 0;

		if (trace_find(l->t, names[i], &run, e) < 0 ||
		    store_runs(
			l->t->store, run, false, 1, on_run, &version, e) < 0)
			return NULL;
		if (i > 0 && l->t->policy == NULL &&
		    !hash_eq(&first, &version)) {
			(void)err_set(e,
			    "%s had another policy than %s: name with --policy "
			    "the one to begin with",
			    names[i], names[0]);
			return NULL;
		}
		first = version;
	}
	if (l->t->policy == NULL &&
	    store_policy(l->t->store, &version, &text, e) < 0)
		return NULL;
	p = l->t->policy != NULL
	    ? policy_file_read(l->t->policy, &problems)
	    : policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (p == NULL)
		(void)err_set(e, "%s: %s: %s",
		    l->t->policy != NULL ? l->t->policy : "the run's policy",
		    problems.item[0].path, problems.item[0].text);
	if (p != NULL && p->n_parts > 0) {
		(void)err_set(e,
		    "the policy extends others, whose tools cannot be left "
		    "out; name with --policy one that stands alone");
		policy_free(p);
		p = NULL;
	}
	return p;
}

static bool
on_run(void *arg, const struct store_run *r)
{
	*(struct hash *)arg = r->policy;
	return true;
}

static int
on_call(void *arg, const struct recorded_call *c, struct err *e)
{
	struct learning *l = arg;
	struct used *u = used_of(l, c->tool);
	enum verdict_kind did;

	if (u == NULL)
		return err_set(e, "out of memory");
	u->n++;
	l->calls++;
	if (!by_action(c->action, &did)) {
		u->blocked++;
		return 0;
	}
	if (!u->done || did < u->needs)
		u->needs = did;
	u->done = true;
	u->lift |= c->verdict > did;
	learn_args_add(&u->args, &l->texts, c->redacted ? NULL : c->args);
	return 0;
}

static struct used *
used_of(struct learning *l, struct str tool)
{
	struct used **all, *u;
	char *copy;

	for (size_t i = 0; i < l->n_used; i++) {
		if (str_eq(l->used[i]->name, tool))
			return l->used[i];
	}
	all = realloc(l->used, (l->n_used + 1) * sizeof(struct used *));
	if (all == NULL)
		return NULL;
	l->used = all;
	u = calloc(1, sizeof(*u));
	copy = arena_copy(&l->texts, tool);
	if (u == NULL || copy == NULL) {
		free(u);
		return NULL;
	}
	u->name = (struct str){ copy, tool.n };
	all[l->n_used++] = u;
	return u;
}

/* False for what was not done. */
static bool
by_action(struct str action, enum verdict_kind *out)
{
	static const char *const words[] = { "executed", "drafted", "simulated",
		"waiting" };

	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eq_c(action, words[i])) {
			*out = (enum verdict_kind)i;
			return true;
		}
	}
	return false;
}

/* Its members as they were, but for tools, mode and the number of calls. */
static void
write_policy(struct buf *out, struct learning *l)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v =
	    json_parse(l->was->canonical, NULL, &a, &e, NULL);
	bool any = false;

	must(v != NULL); /* it has been read before */
	buf_add_byte(out, '{');
	for (const struct json *k = json_first(v); k != NULL;
	     k = json_next(v, k)) {
		if (str_eq_c(json_str(k), "tools") ||
		    str_eq_c(json_str(k), "mode"))
			continue;
		json_put_str(out, json_str(k));
		buf_add_byte(out, ':');
		json_write(out, json_value(k));
		buf_add_byte(out, ',');
	}
	if (!l->was->short_form)
		buf_add_c(out, "\"mode\":\"enforce\",");
	buf_add_c(out, "\"tools\":{");
	for (size_t i = 0; i < l->n_used; i++) {
		if (!l->used[i]->done)
			continue;
		buf_add_c(out, any ? "," : "");
		any = true;
		write_tool(out, l, l->used[i]);
	}
	buf_add_c(out, "}}");
}

static void
write_tool(struct buf *out, const struct learning *l, const struct used *u)
{
	const struct policy_tool *t = policy_tool_find(l->was, u->name);
	own_buf struct buf schema = {};
	bool has_args = false;

	json_put_str(out, u->name);
	buf_add_byte(out, ':');
	buf_add_byte(out, '{');
	for (const struct json *k = t != NULL ? json_first(t->json) : NULL;
	     k != NULL; k = json_next(t->json, k)) {
		struct str name = json_str(k);

		/* What is lifted is said anew, below. */
		if (u->lift &&
		    (str_eq_c(name, "mode") || str_eq_c(name, "allowed") ||
			str_eq_c(name, "approval_required") ||
			str_eq_c(name, "when") || str_eq_c(name, "args") ||
			str_eq_c(name, "clearance")))
			continue;
		has_args |= str_eq_c(name, "args");
		json_put_str(out, name);
		buf_add_byte(out, ':');
		json_write(out, json_value(k));
		buf_add_byte(out, ',');
	}
	if (u->lift || t == NULL)
		buf_printf(out, "\"mode\":\"%s\",", verdict_name(u->needs));
	if (!has_args && learn_args_write(&schema, &u->args)) {
		buf_add_c(out, "\"args\":");
		buf_add_str(out, buf_str(&schema));
		buf_add_byte(out, ',');
	}
	/* Nobody has said what it can do: the worst, until somebody does. */
	if (t == NULL)
		buf_add_c(out, "\"risk\":\"destructive\",");
	out->n--;
	buf_add_byte(out, '}');
}

static int
tell(struct learning *l, struct err *e)
{
	static struct policy_problems problems;
	own_buf struct buf text = {}, out = {}, pretty = {};
	own_arena struct arena a = {};
	struct policy_diff d = {};
	const struct json *v;
	struct policy *is;
	int status;

	write_policy(&text, l);
	v = json_parse(buf_str(&text), NULL, &a, e, NULL);
	is = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (v == NULL || is == NULL) {
		policy_free(is);
		return err_set(e, "no policy can be made of them: %s: %s",
		    problems.item[0].path, problems.item[0].text);
	}
	policy_diff_make(&d, l->was, is);
	buf_add_c(&out, l->t->json ? "{\"held_back\":[" : "");
	put_held(&out, l, is, l->t->json);
	buf_add_c(&out, l->t->json ? "],\"looser\":[" : "");
	for (uint32_t i = 0; i < d.n; i++) {
		const struct policy_difference *one = &d.item[i];
		bool narrowed = one->change != POLICY_LOOSER;

		if (narrowed)
			continue;
		if (l->t->json) {
			buf_add_c(&out, i > 0 ? ",{\"path\":" : "{\"path\":");
			json_put_str(&out, str_of(one->path));
			buf_add_c(&out, ",\"text\":");
			json_put_str(&out, str_of(one->text));
			buf_add_byte(&out, '}');
		} else {
			buf_printf(&out, "// newly allowed: %s: %s\n",
			    one->path, one->text);
		}
	}
	if (l->t->json) {
		buf_add_c(&out, "],\"policy\":");
		json_write(&out, v);
		buf_add_byte(&out, '}');
		status = policy_json_out(&out);
	} else {
		json_write_pretty(&pretty, v);
		buf_add_str(&out, buf_str(&pretty));
		buf_add_byte(&out, '\n');
		status = out_write(&out);
	}
	if (status == EXIT_DONE && d.of[POLICY_LOOSER] > 0)
		status = EXIT_FAILED;
	policy_diff_fini(&d);
	policy_free(is);
	return status;
}

/* A stage or a scope is nothing that a tool's row could lift. */
static void
put_held(struct buf *out, const struct learning *l, const struct policy *is,
    bool json)
{
	static const struct labels none;
	bool any = false;

	for (size_t i = 0; i < l->n_used; i++) {
		const struct used *u = l->used[i];
		struct policy_call c = { .tool = u->name, .labels = &none };
		static struct verdict v;

		policy_decide(is, &c, &v);
		if (!u->done || v.would <= u->needs)
			continue;
		if (!json) {
			buf_printf(out,
			    "// still held back: tools.%.*s is %s, by %s\n",
			    STR_FMT(u->name), verdict_name(v.would), v.rule);
			continue;
		}
		buf_add_c(out, any ? ",{\"rule\":" : "{\"rule\":");
		any = true;
		json_put_str(out, str_of(v.rule));
		buf_add_c(out, ",\"tool\":");
		json_put_str(out, u->name);
		buf_printf(out, ",\"verdict\":\"%s\"}", verdict_name(v.would));
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct used *x = *(struct used *const *)a;
	const struct used *y = *(struct used *const *)b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int order = memcmp(x->name.p, y->name.p, n);

	return order != 0	    ? order
	    : x->name.n < y->name.n ? -1
				    : x->name.n > y->name.n;
}
