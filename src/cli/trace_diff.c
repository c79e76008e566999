/*
 * paddock diff RUN RUN: where two runs part, as a tree of what was first.
 *
 * Calls are compared in the order in which they were proposed. Where the tools
 * differ, a call that only one of the runs made is looked for a few calls
 * ahead; else both made another one. Of a run and its fork those are compared
 * that came after the snapshot which the fork began with; two forks of one run
 * begin at the same place.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "cli/out.h"
#include "cli/trace_cmd.h"
#include "codec/json.h"
#include "codec/json_diff.h"
#include "core/id.h"

enum {
	LIMIT_DEFAULT = 20, /* of branches of the tree */
	AHEAD = 16, /* calls that one run may have made besides */
	PLACES = 8, /* told of one value */
	SHOWN_BYTES = 60, /* of a value */
};

/* One call of a run, with texts of its own. */
struct step {
	uint32_t step;
	char *tool, *verdict, *rule, *status;
	bool has_args, has_out;
	struct hash args, out;
	struct hash same_args, same_out; /* what they are compared by */
};

struct side {
	char id[ID_BYTES];
	uint64_t run;
	struct store_run head; /* without its texts */
	char *texts[6]; /* of the head, see heads */
	char policy[HASH_HEX_BYTES];
	struct step *steps;
	size_t n, cap;
	uint64_t parent; /* of a fork; else 0 */
	uint32_t at; /* the parent's step that it began at */
	struct arena memory;
	struct store *store;
	struct err *e;
	bool failed;
};

static const char *const heads[6] = { "workflow", "tenant", "actor", "command",
	"status", "stop_reason" };

struct comparing {
	struct trace *t;
	struct side side[2];
	struct buf out;
	uint32_t told, most;
	bool any; /* a place of the branch at hand was told */
	uint32_t places;
	const char *what; /* "asked", "answered" */
	bool first; /* of the JSON list */
};

static int compare(struct comparing *g, char *const *names, struct err *e);
static int read_side(
    struct comparing *g, struct side *s, const char *name, struct err *e);
static bool on_head(void *arg, const struct store_run *r);
static bool on_first(void *arg, const struct store_row *row);
static void tell_forks(struct comparing *g);
static void skip_steps(struct side *s, uint32_t until);
static void step_fini(struct step *x);
static bool on_record(void *arg, const struct store_row *row);
static struct step *step_of(struct side *s, uint32_t number);
static void keep(char **out, struct str s);
static void compare_heads(struct comparing *g);
static void compare_steps(struct comparing *g);
static int only_of(const struct side *a, size_t i, const struct side *b,
    size_t k, bool (*same)(const struct step *a, const struct step *b));
static bool same_tool(const struct step *a, const struct step *b);
static bool same_call(const struct step *a, const struct step *b);
static void compare_step(
    struct comparing *g, const struct step *a, const struct step *b);
static void compare_values(struct comparing *g, const char *what, bool has_a,
    const struct hash *a, bool has_b, const struct hash *b);
static bool on_place(
    void *arg, struct str path, const struct json *a, const struct json *b);
static void branch(
    struct comparing *g, const struct step *a, const struct step *b);
static void leaf(
    struct comparing *g, const char *what, struct str a, struct str b);
static void put_cut(struct buf *out, struct str s);
static bool full(struct comparing *g);
static void side_fini(struct side *s);

int
trace_diff(const char *state, char *const *names, bool json, uint32_t limit)
{
	struct trace t = { .args.name = "diff", .state = state, .json = json };
	struct comparing g = {
		.t = &t,
		.most = limit > 0 ? limit : LIMIT_DEFAULT,
		.first = true,
	};
	struct err e;
	int status;

	if (trace_open(&t, NULL, &e) < 0)
		return out_fail(&e);
	status = compare(&g, names, &e);
	side_fini(&g.side[0]);
	side_fini(&g.side[1]);
	buf_fini(&g.out);
	return trace_finish(&t, status, &e);
}

static int
compare(struct comparing *g, char *const *names, struct err *e)
{
	int status;

	for (size_t i = 0; i < 2; i++) {
		if (read_side(g, &g->side[i], names[i], e) < 0)
			return -1;
	}
	if (g->t->json)
		buf_printf(&g->out, "{\"a\":\"%s\",\"b\":\"%s\"", g->side[0].id,
		    g->side[1].id);
	else
		buf_printf(
		    &g->out, "A %s\nB %s\n", g->side[0].id, g->side[1].id);
	tell_forks(g);
	compare_heads(g);
	compare_steps(g);
	if (g->t->json)
		buf_printf(&g->out, "],\"same\":%s}\n",
		    g->told == 0 ? "true" : "false");
	else if (g->told == 0)
		buf_add_c(&g->out, "no difference\n");
	status = out_write(&g->out);
	if (status == EXIT_DONE && !g->t->json && full(g))
		out_note("there may be more: --limit N shows more");
	return status == EXIT_DONE && g->told > 0 ? EXIT_FAILED : status;
}

static int
read_side(struct comparing *g, struct side *s, const char *name, struct err *e)
{
	s->e = e;
	s->store = g->t->store;
	if (trace_find(g->t, name, &s->run, e) < 0 ||
	    store_runs(g->t->store, s->run, false, 1, on_head, s, e) < 0 ||
	    store_step(g->t->store, s->run, 0, on_first, s, e) < 0 ||
	    store_events(g->t->store, s->run, 1, 0, on_record, s, e) < 0 ||
	    s->failed)
		return -1;
	id_text('r', s->run, s->id);
	return 0;
}

static bool
on_head(void *arg, const struct store_run *r)
{
	struct side *s = arg;
	const struct str texts[] = { r->workflow, r->tenant, r->actor,
		r->command, r->status, r->stop_reason };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		keep(&s->texts[i], texts[i]);
	hash_hex(&r->policy, s->policy);
	return false;
}

/* Before its first step: whether it is a fork. */
static bool
on_first(void *arg, const struct store_row *row)
{
	struct side *s = arg;
	const struct json *body;
	uint64_t at = 0;

	if (row->kind != EVENT_FORK_OPENED)
		return true;
	arena_reset(&s->memory);
	body = json_get(
	    json_parse(row->body, NULL, &s->memory, s->e, NULL), STR("body"));
	if (id_parse('r', json_str(json_get(body, STR("parent"))), &s->parent) <
		0 ||
	    json_u64(json_get(body, STR("at")), &at) < 0)
		s->parent = 0;
	s->at = (uint32_t)at;
	return false;
}

/* What both have in common is left out, and said. */
static void
tell_forks(struct comparing *g)
{
	struct side *s = g->side;
	char parent[ID_BYTES];

	for (int i = 0; i < 2; i++) {
		const struct side *f = &s[i], *other = &s[1 - i];
		const char name = (char)('A' + i);

		if (f->parent == 0)
			continue;
		id_text('r', f->parent, parent);
		if (g->t->json)
			buf_printf(&g->out,
			    ",\"%c_fork\":{\"at\":%u,\"parent\":\"%s\"}",
			    name - 'A' + 'a', f->at, parent);
		else
			buf_printf(&g->out, "%c is a fork of %s at step %u\n",
			    name, parent, f->at);
		if (f->parent == other->run)
			skip_steps(&s[1 - i], f->at);
	}
	if (g->t->json)
		buf_add_c(&g->out, ",\"differences\":[");
}

static void
skip_steps(struct side *s, uint32_t until)
{
	size_t k = 0;

	while (k < s->n && s->steps[k].step <= until)
		step_fini(&s->steps[k++]);
	if (k > 0)
		memmove(s->steps, s->steps + k, (s->n - k) * sizeof(*s->steps));
	s->n -= k;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct side *s = arg;
	const struct json *j;
	struct step *x;

	if (row->kind != EVENT_TOOL_PROPOSED &&
	    row->kind != EVENT_POLICY_DECISION &&
	    row->kind != EVENT_TOOL_FINISHED)
		return true;
	arena_reset(&s->memory);
	j = json_parse(row->body, NULL, &s->memory, s->e, NULL);
	if (j == NULL) {
		(void)err_add(s->e, "record %" PRIu64, row->seq);
		s->failed = true;
		return false;
	}
	x = step_of(s, row->step);
	keep(&x->tool, row->tool);
	if (row->kind == EVENT_TOOL_PROPOSED) {
		x->has_args =
		    hash_from_hex(
			json_str(json_at(j, "tool", "args", "h", NULL)),
			&x->args) == 0;
		(void)store_content_hash(
		    s->store, json_at(j, "tool", "args", NULL), &x->same_args);
	} else if (row->kind == EVENT_POLICY_DECISION) {
		keep(&x->verdict, json_str(json_at(j, "dec", "verdict", NULL)));
		keep(&x->rule, json_str(json_at(j, "dec", "rule", NULL)));
	} else {
		keep(&x->status, json_str(json_at(j, "res", "status", NULL)));
		x->has_out =
		    hash_from_hex(json_str(json_at(j, "res", "out", "h", NULL)),
			&x->out) == 0;
		(void)store_content_hash(
		    s->store, json_at(j, "res", "out", NULL), &x->same_out);
	}
	return true;
}

/* Its records are near each other, at the end. */
static struct step *
step_of(struct side *s, uint32_t number)
{
	for (size_t i = s->n; i > 0; i--) {
		if (s->steps[i - 1].step == number)
			return &s->steps[i - 1];
		if (s->steps[i - 1].step < number)
			break;
	}
	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 64;
		s->steps = realloc(s->steps, s->cap * sizeof(*s->steps));
		must(s->steps != NULL);
	}
	s->steps[s->n] = (struct step){ .step = number };
	return &s->steps[s->n++];
}

/* The first counts: what came of an edited call is judged once more. */
static void
keep(char **out, struct str s)
{
	if (*out != NULL)
		return;
	*out = strndup(s.p != NULL ? s.p : "", s.n);
	must(*out != NULL);
}

static void
compare_heads(struct comparing *g)
{
	const struct side *a = &g->side[0], *b = &g->side[1];

	g->any = false;
	if (strcmp(a->policy, b->policy) != 0) {
		branch(g, NULL, NULL);
		leaf(g, "policy", str_of(a->policy), str_of(b->policy));
	}
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		if (strcmp(a->texts[i], b->texts[i]) == 0)
			continue;
		branch(g, NULL, NULL);
		leaf(g, heads[i], str_of(a->texts[i]), str_of(b->texts[i]));
	}
	if (g->any && g->t->json)
		buf_add_c(&g->out, "]}");
}

static void
compare_steps(struct comparing *g)
{
	const struct side *a = &g->side[0], *b = &g->side[1];
	size_t i = 0, k = 0;

	while ((i < a->n || k < b->n) && !full(g)) {
		const struct step *x = i < a->n ? &a->steps[i] : NULL;
		const struct step *y = k < b->n ? &b->steps[k] : NULL;
		bool only_a = k >= b->n, only_b = i >= a->n;

		g->any = false;
		if (!only_a && !only_b && strcmp(x->tool, y->tool) != 0) {
			int who = only_of(a, i, b, k, same_call);

			who = who != 0 ? who : only_of(a, i, b, k, same_tool);
			only_a = who < 0;
			only_b = who > 0;
		}
		if (only_a || only_b) {
			branch(g, only_a ? x : NULL, only_b ? y : NULL);
			leaf(g, "call", str_of(only_a ? x->tool : NULL),
			    str_of(only_b ? y->tool : NULL));
		} else {
			compare_step(g, x, y);
		}
		if (g->any && g->t->json)
			buf_add_c(&g->out, "]}");
		i += !only_b;
		k += !only_a;
	}
}

/* Whose call stands before one that both have: -1: of a, 1: of b, 0: none. */
static int
only_of(const struct side *a, size_t i, const struct side *b, size_t k,
    bool (*same)(const struct step *a, const struct step *b))
{
	for (size_t d = 1; d <= AHEAD; d++) {
		if (i + d < a->n && same(&a->steps[i + d], &b->steps[k]))
			return -1;
		if (k + d < b->n && same(&a->steps[i], &b->steps[k + d]))
			return 1;
	}
	return 0;
}

static bool
same_tool(const struct step *a, const struct step *b)
{
	return strcmp(a->tool, b->tool) == 0;
}

static bool
same_call(const struct step *a, const struct step *b)
{
	return same_tool(a, b) && a->has_args && b->has_args &&
	    hash_eq(&a->same_args, &b->same_args);
}

static void
compare_step(struct comparing *g, const struct step *a, const struct step *b)
{
	const struct {
		const char *what, *a, *b;
	} texts[] = {
		{ "call", a->tool, b->tool },
		{ "verdict", a->verdict, b->verdict },
		{ "rule", a->rule, b->rule },
		{ "status", a->status, b->status },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct str x = str_of(texts[i].a), y = str_of(texts[i].b);

		if (str_eq(x, y))
			continue;
		branch(g, a, b);
		leaf(g, texts[i].what, x, y);
	}
	if (a->has_args != b->has_args ||
	    !hash_eq(&a->same_args, &b->same_args)) {
		branch(g, a, b);
		compare_values(
		    g, "asked", a->has_args, &a->args, b->has_args, &b->args);
	}
	if (a->has_out != b->has_out || !hash_eq(&a->same_out, &b->same_out)) {
		branch(g, a, b);
		compare_values(
		    g, "answered", a->has_out, &a->out, b->has_out, &b->out);
	}
}

static void
compare_values(struct comparing *g, const char *what, bool has_a,
    const struct hash *a, bool has_b, const struct hash *b)
{
	own_buf struct buf x = {}, y = {};
	own_arena struct arena memory = {};
	struct err ignored;
	const struct json *v = NULL, *w = NULL;

	if (has_a && store_blob(g->t->store, a, &x, &ignored) == 0)
		v = json_parse(buf_str(&x), NULL, &memory, &ignored, NULL);
	if (has_b && store_blob(g->t->store, b, &y, &ignored) == 0)
		w = json_parse(buf_str(&y), NULL, &memory, &ignored, NULL);
	g->what = what;
	g->places = 0;
	if (v == NULL && w == NULL)
		leaf(g, what, str_of(has_a ? "no longer kept" : NULL),
		    str_of(has_b ? "no longer kept" : NULL));
	else
		(void)json_diff(v, w, on_place, g);
}

static bool
on_place(void *arg, struct str path, const struct json *a, const struct json *b)
{
	struct comparing *g = arg;
	own_buf struct buf x = {}, y = {}, what = {};

	if (a != NULL)
		json_write(&x, a);
	if (b != NULL)
		json_write(&y, b);
	buf_printf(&what, "%s %.*s", g->what, STR_FMT(path));
	leaf(g, buf_c(&what), buf_str(&x), buf_str(&y));
	return ++g->places < PLACES;
}

/* Once for all that differs in a step; without steps it is the runs' own. */
static void
branch(struct comparing *g, const struct step *a, const struct step *b)
{
	if (g->any)
		return;
	g->any = true;
	g->told++;
	if (g->t->json) {
		buf_add_c(&g->out, g->first ? "{" : ",{");
		g->first = false;
		if (a != NULL)
			buf_printf(&g->out, "\"step_a\":%" PRIu32 ",", a->step);
		if (b != NULL)
			buf_printf(&g->out, "\"step_b\":%" PRIu32 ",", b->step);
		buf_add_c(&g->out, "\"at\":[");
		return;
	}
	if (a == NULL && b == NULL) {
		buf_add_c(&g->out, "the runs\n");
		return;
	}
	if (a != NULL && b != NULL && a->step == b->step)
		buf_printf(&g->out, "step %" PRIu32, a->step);
	else if (a != NULL && b != NULL)
		buf_printf(&g->out, "step %" PRIu32 " of A, %" PRIu32 " of B",
		    a->step, b->step);
	else
		buf_printf(&g->out, "step %" PRIu32 " of %s only",
		    a != NULL ? a->step : b->step, a != NULL ? "A" : "B");
	buf_add_c(&g->out, "  ");
	term_put(&g->t->term, &g->out, TERM_BOLD,
	    str_of(a != NULL ? a->tool : b->tool));
	buf_add_byte(&g->out, '\n');
}

static void
leaf(struct comparing *g, const char *what, struct str a, struct str b)
{
	if (g->t->json) {
		buf_add_c(&g->out,
		    g->out.p[g->out.n - 1] == '[' ? "{\"what\":"
						  : ",{\"what\":");
		json_put_str(&g->out, str_of(what));
		buf_add_c(&g->out, ",\"a\":");
		json_put_str(&g->out, a);
		buf_add_c(&g->out, ",\"b\":");
		json_put_str(&g->out, b);
		buf_add_byte(&g->out, '}');
		return;
	}
	buf_add_c(&g->out, "    ");
	term_put(&g->t->term, &g->out, TERM_DIM, str_of(what));
	buf_add_c(&g->out, "  ");
	put_cut(&g->out, a);
	buf_add_c(&g->out, " | ");
	put_cut(&g->out, b);
	buf_add_byte(&g->out, '\n');
}

static void
put_cut(struct buf *out, struct str s)
{
	bool cut = s.n > SHOWN_BYTES;

	if (cut)
		s.n = SHOWN_BYTES;
	if (s.n == 0)
		buf_add_byte(out, '-');
	term_text(out, s);
	buf_add_c(out, cut ? "..." : "");
}

static bool
full(struct comparing *g)
{
	return g->told >= g->most;
}

static void
side_fini(struct side *s)
{
	for (size_t i = 0; i < s->n; i++)
		step_fini(&s->steps[i]);
	free(s->steps);
	for (size_t i = 0; i < sizeof(s->texts) / sizeof(s->texts[0]); i++)
		free(s->texts[i]);
	arena_fini(&s->memory);
}

static void
step_fini(struct step *x)
{
	free(x->tool);
	free(x->verdict);
	free(x->rule);
	free(x->status);
}
