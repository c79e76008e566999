/*
 * Recorded calls, judged by another policy. The labels of a run are those that
 * it would have had under that policy, and the time is the recorded one.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "cli/out.h"
#include "cli/policy_file.h"
#include "cli/recorded.h"
#include "cli/replay.h"
#include "codec/json.h"
#include "core/id.h"

enum {
	NS_PER_S = 1000 * 1000 * 1000,
	TELL_AFTER_NS = NS_PER_S, /* that it takes a while */
};

/* In the order in which they are told. */
enum change { LOOSER, TIGHTER, UNKNOWN, SAME, CHANGES };

static const char *const change_names[CHANGES] = { "looser", "tighter",
	"unknown", "same" };

/* Calls of one tool that went from one verdict to another. */
struct row {
	char *tool;
	enum change change;
	enum verdict_kind was, is;
	uint64_t n;
	/* Of the first of them. */
	uint64_t run;
	uint32_t step;
	char rule[RULE_BYTES], reason[REASON_BYTES];
};

struct judging {
	const struct policy *policy;
	const char *workflow;
	struct buf runs; /* uint64_t each */
	struct row *rows;
	size_t n_rows, cap;
	uint64_t calls, of[CHANGES], redacted;
};

static int find_runs(struct judging *g, struct trace *t, char *const *names,
    int n, struct err *e);
static bool on_run(void *arg, const struct store_run *r);
static int judge_runs(struct judging *g, struct trace *t, struct err *e);
static int on_call(void *arg, const struct recorded_call *c, struct err *e);
static struct row *row_of(struct judging *g, struct str tool,
    enum change change, enum verdict_kind was, enum verdict_kind is);
static int by_change(const void *a, const void *b);
static int put_text(
    struct buf *out, struct trace *t, const struct judging *g, struct err *e);
static void put_json(struct buf *out, const struct judging *g);
static uint64_t run_count(const struct judging *g);

int
replay_policy(struct trace *t, const char *policy, const char *workflow,
    char *const *names, int n, struct err *e)
{
	static struct policy_problems problems;
	own_buf struct buf out = {};
	struct judging g = { .workflow = workflow };
	struct policy *p = policy_file_read(policy, &problems);
	int status;

	if (p == NULL) {
		policy_file_show(&out, policy, &problems);
		(void)!write(STDERR_FILENO, buf_str(&out).p, out.n);
		return EXIT_FAILED;
	}
	g.policy = p;
	status = store_read_as_of_now(t->store, e);
	if (status == 0)
		status = find_runs(&g, t, names, n, e);
	if (status == 0)
		status = judge_runs(&g, t, e);
	if (status == 0) {
		if (g.n_rows > 0)
			qsort(g.rows, g.n_rows, sizeof(*g.rows), by_change);
		if (t->json)
			put_json(&out, &g);
		else
			status = put_text(&out, t, &g, e);
	}
	if (status == 0)
		status = out_write(&out);
	if (status == EXIT_DONE && g.of[LOOSER] > 0)
		status = EXIT_FAILED;
	for (size_t i = 0; i < g.n_rows; i++)
		free(g.rows[i].tool);
	free(g.rows);
	buf_fini(&g.runs);
	policy_free(p);
	return status;
}

static int
find_runs(struct judging *g, struct trace *t, char *const *names, int n,
    struct err *e)
{
	if (n == 1 && strcmp(names[0], "all") == 0) {
		if (store_runs(t->store, 0, false, 0, on_run, g, e) < 0)
			return -1;
		if (g->runs.n == 0)
			return err_set(e,
			    g->workflow != NULL
				? "no run of the workflow %s here"
				: "nothing has run here yet",
			    g->workflow);
		return g->runs.failed ? err_set(e, "too many runs") : 0;
	}
	for (int i = 0; i < n; i++) {
		uint64_t run = 0;

		if (trace_find(t, names[i], &run, e) < 0)
			return -1;
		buf_add(&g->runs, &run, sizeof(run));
	}
	return 0;
}

static bool
on_run(void *arg, const struct store_run *r)
{
	struct judging *g = arg;

	if (g->workflow == NULL || str_eq_c(r->workflow, g->workflow))
		buf_add(&g->runs, &r->id, sizeof(r->id));
	return true;
}

static int
judge_runs(struct judging *g, struct trace *t, struct err *e)
{
	int64_t told = clock_mono_ns();
	uint64_t n = run_count(g);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t run;
		char id[ID_BYTES];

		memcpy(&run, g->runs.p + i * sizeof(run), sizeof(run));
		if (recorded_calls(t->store, run, g->policy, on_call, g, e) <
		    0) {
			id_text('r', run, id);
			return err_add(e, "run %s", id);
		}
		if (clock_mono_ns() - told > TELL_AFTER_NS &&
		    isatty(STDERR_FILENO)) {
			out_note("%" PRIu64 " of %" PRIu64 " runs", i + 1, n);
			told = clock_mono_ns();
		}
	}
	return 0;
}

static int
on_call(void *arg, const struct recorded_call *c, struct err *e)
{
	static struct verdict v;
	struct judging *g = arg;
	enum change change = UNKNOWN;
	struct row *row;

	(void)e;
	/* Not zeroed whole: that would take longer than the decision. */
	v.would = c->verdict;
	v.rule[0] = v.reasons[0][0] = '\0';
	if (c->args != NULL) {
		policy_decide(g->policy,
		    &(struct policy_call){ c->tool, c->args, c->labels,
			c->t_ns / NS_PER_S, c->prov },
		    &v);
		change = v.would < c->verdict ? LOOSER
		    : v.would > c->verdict    ? TIGHTER
					      : SAME;
	} else {
		(void)str_copy(STR("its arguments are no longer kept"),
		    v.reasons[0], sizeof(v.reasons[0]));
	}
	g->calls++;
	g->of[change]++;
	g->redacted += c->redacted;
	row = row_of(g, c->tool, change, c->verdict, v.would);
	if (row->n++ == 0) {
		row->run = c->run;
		row->step = c->step;
		(void)str_copy(str_of(v.rule), row->rule, sizeof(row->rule));
		(void)str_copy(
		    str_of(v.reasons[0]), row->reason, sizeof(row->reason));
	}
	return 0;
}

static struct row *
row_of(struct judging *g, struct str tool, enum change change,
    enum verdict_kind was, enum verdict_kind is)
{
	struct row *row;

	for (size_t i = 0; i < g->n_rows; i++) {
		row = &g->rows[i];
		if (row->change == change && row->was == was && row->is == is &&
		    str_eq_c(tool, row->tool))
			return row;
	}
	if (g->n_rows == g->cap) {
		g->cap = g->cap > 0 ? 2 * g->cap : 64;
		g->rows = realloc(g->rows, g->cap * sizeof(*g->rows));
		must(g->rows != NULL);
	}
	row = &g->rows[g->n_rows++];
	*row = (struct row){
		.tool = strndup(tool.p, tool.n),
		.change = change,
		.was = was,
		.is = is,
	};
	must(row->tool != NULL);
	return row;
}

static int
by_change(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->change != y->change)
		return x->change < y->change ? -1 : 1;
	return strcmp(x->tool, y->tool);
}

static int
put_text(
    struct buf *out, struct trace *t, const struct judging *g, struct err *e)
{
	static const enum term_style styles[CHANGES] = { TERM_RED, TERM_GREEN,
		TERM_YELLOW, TERM_DIM };
	struct term_table tab = {};
	int status = 0;

	term_row(&tab,
	    (const struct term_cell[]){
		{ STR("CHANGE"), TERM_BOLD, false },
		{ STR("TOOL"), TERM_BOLD, false },
		{ STR("WAS"), TERM_BOLD, false },
		{ STR("WOULD BE"), TERM_BOLD, false },
		{ STR("CALLS"), TERM_BOLD, true },
		{ STR("FIRST"), TERM_BOLD, false },
		{ STR("RULE"), TERM_BOLD, false },
	    },
	    7);
	for (size_t i = 0; i < g->n_rows; i++) {
		const struct row *row = &g->rows[i];
		own_buf struct buf n = {}, first = {};
		char id[ID_BYTES];

		if (row->change == SAME)
			continue;
		id_text('r', row->run, id);
		buf_add_u64(&n, row->n);
		buf_printf(&first, "%s step %" PRIu32, id, row->step);
		term_row(&tab,
		    (const struct term_cell[]){
			{ str_of(change_names[row->change]),
			    styles[row->change], false },
			{ str_of(row->tool), TERM_BOLD, false },
			{ str_of(verdict_name(row->was)), TERM_PLAIN, false },
			{ row->change == UNKNOWN
				? STR("?")
				: str_of(verdict_name(row->is)),
			    TERM_PLAIN, false },
			{ buf_str(&n), TERM_PLAIN, true },
			{ buf_str(&first), TERM_DIM, false },
			{ str_of(row->rule), TERM_DIM, false },
		    },
		    7);
		if (row->reason[0] != '\0')
			term_note(&tab, TERM_DIM, str_of(row->reason));
	}
	if (g->of[SAME] < g->calls)
		status = term_table_write(&t->term, &tab, out, e);
	term_table_fini(&tab);
	buf_printf(out,
	    "calls: %" PRIu64 ", runs: %" PRIu64 "; %" PRIu64
	    " looser, %" PRIu64 " tighter, %" PRIu64 " the same, %" PRIu64
	    " unknown\n",
	    g->calls, run_count(g), g->of[LOOSER], g->of[TIGHTER], g->of[SAME],
	    g->of[UNKNOWN]);
	if (g->redacted > 0)
		buf_printf(out,
		    "%" PRIu64 " of them were kept without what was redacted: "
		    "conditions on that may have decided otherwise\n",
		    g->redacted);
	return status;
}

static void
put_json(struct buf *out, const struct judging *g)
{
	char id[ID_BYTES];

	buf_printf(out, "{\"calls\":%" PRIu64 ",\"changes\":[", g->calls);
	for (size_t i = 0; i < g->n_rows; i++) {
		const struct row *row = &g->rows[i];

		id_text('r', row->run, id);
		buf_printf(out,
		    "%s{\"calls\":%" PRIu64 ",\"change\":\"%s\",\"first\":{"
		    "\"run\":\"%s\",\"step\":%" PRIu32 "},\"reason\":",
		    i > 0 ? "," : "", row->n, change_names[row->change], id,
		    row->step);
		json_put_str(out, str_of(row->reason));
		buf_add_c(out, ",\"rule\":");
		json_put_str(out, str_of(row->rule));
		buf_add_c(out, ",\"tool\":");
		json_put_str(out, str_of(row->tool));
		buf_printf(out, ",\"was\":\"%s\"", verdict_name(row->was));
		if (row->change != UNKNOWN)
			buf_printf(
			    out, ",\"would\":\"%s\"", verdict_name(row->is));
		buf_add_byte(out, '}');
	}
	buf_printf(out,
	    "],\"looser\":%" PRIu64 ",\"redacted\":%" PRIu64
	    ",\"runs\":%" PRIu64 ",\"same\":%" PRIu64 ",\"tighter\":%" PRIu64
	    ",\"unknown\":%" PRIu64 "}\n",
	    g->of[LOOSER], g->redacted, run_count(g), g->of[SAME],
	    g->of[TIGHTER], g->of[UNKNOWN]);
}

static uint64_t
run_count(const struct judging *g)
{
	return g->runs.n / sizeof(uint64_t);
}
