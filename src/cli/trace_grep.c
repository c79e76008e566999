/*
 * paddock trace grep: where a text stands in what was recorded.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/out.h"
#include "cli/trace_cmd.h"
#include "codec/json.h"
#include "core/event.h"
#include "core/id.h"

static const char help[] =
    "usage: paddock trace grep TEXT [RUN...] [--kind KIND] [--tool TOOL]\n"
    "                          [--ignore-case] [--limit N] [--json]\n"
    "\n"
    "Finds a text in the records of runs, and in the arguments and results\n"
    "that they refer to; in all runs, newest first, if none is named.\n"
    "Exit status 0: found, 1: not found, or not to be read.\n"
    "\n"
    "  -i, --ignore-case   A to Z are the same as a to z\n"
    "  --kind KIND         only records of this kind, such as tool.finished\n"
    "  --tool TOOL         only records of this tool; may hold *\n"
    "  --limit N           at most N records; 100 if not given\n"
    "  --json              a line of JSON for each\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "RUN is a run's name, `last`, or a file that `trace export` wrote.\n"
    "example: paddock trace grep INV-0388 last\n";

static const struct option options[] = {
	{ "ignore-case", no_argument, NULL, 'i' },
	{ "json", no_argument, NULL, 'j' },
	{ "kind", required_argument, NULL, 'K' },
	{ "limit", required_argument, NULL, 'n' },
	{ "state", required_argument, NULL, 'S' },
	{ "tool", required_argument, NULL, 'T' },
	ARGS_HELP,
	{},
};

enum {
	LIMIT_DEFAULT = 100,
	/* Shown before and behind what was found. */
	BEFORE_BYTES = 40,
	BEHIND_BYTES = 100,
};

struct grep {
	struct trace *t;
	struct str text;
	enum event_kind kind; /* 0: any */
	struct buf runs; /* uint64_t each */
	struct arena memory;
	struct buf out, blob;
	uint32_t found, most;
	bool full, failed;
	struct err *e;
};

static int grep(struct trace *t, char *const *names, int n, struct err *e);
static bool on_run(void *arg, const struct store_run *r);
static bool on_record(void *arg, const struct store_row *row);
static const char *look(
    struct grep *g, const struct store_row *row, struct str *in, size_t *at);
static bool find(const struct grep *g, struct str in, size_t *at);
static void put(struct grep *g, const struct store_row *row, const char *where,
    struct str in, size_t at);

int
cmd_trace_grep(int argc, char **argv)
{
	struct trace t = { .args.name = "trace grep", .args.shorts = ":hi" };
	char *const *names;
	struct err e;
	int n, status;

	if (!trace_options(&t, argc, argv, help, options))
		return t.args.exit;
	status = args_need(&t.args, 1, ARGS_MANY, "TEXT");
	if (status != 0)
		return status;
	names = args_rest(&t.args) + 1;
	n = args_count(&t.args) - 1;
	if (trace_open(&t, n > 0 ? names[0] : NULL, &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, grep(&t, names, n, &e), &e);
}

static int
grep(struct trace *t, char *const *names, int n, struct err *e)
{
	struct grep g = {
		.t = t,
		.text = str_of(args_rest(&t->args)[0]),
		.most = t->limit > 0 ? t->limit : LIMIT_DEFAULT,
		.e = e,
	};
	int status = 0;

	if (g.text.n == 0)
		return err_set(e, "the text to find is empty");
	if (t->kind != NULL && event_kind_parse(str_of(t->kind), &g.kind) < 0)
		return err_set(e,
		    "--kind %s: no such kind; docs/TRACE.md lists them",
		    t->kind);
	if (n == 0 && store_runs(t->store, 0, false, 0, on_run, &g, e) < 0)
		status = -1;
	for (int i = 0; status == 0 && i < n; i++) {
		uint64_t run = 0;

		status = trace_find(t, names[i], &run, e);
		buf_add(&g.runs, &run, sizeof(run));
	}
	for (size_t at = 0; status == 0 && !g.full && at < g.runs.n;
	     at += sizeof(uint64_t)) {
		uint64_t run;

		memcpy(&run, g.runs.p + at, sizeof(run));
		status = store_events(t->store, run, 0, 0, on_record, &g, e);
		if (status == 0 && g.failed)
			status = -1;
		if (status == 0)
			status = out_write(&g.out);
		buf_reset(&g.out);
	}
	if (status == 0 && g.full)
		out_note("there is more: --limit N shows more records");
	arena_fini(&g.memory);
	buf_fini(&g.runs);
	buf_fini(&g.out);
	buf_fini(&g.blob);
	if (status != 0)
		return status;
	return g.found > 0 ? EXIT_DONE : EXIT_FAILED;
}

static bool
on_run(void *arg, const struct store_run *r)
{
	struct grep *g = arg;

	buf_add(&g->runs, &r->id, sizeof(r->id));
	return true;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct grep *g = arg;
	const char *where;
	struct str in;
	size_t at;

	if ((g->kind != 0 && row->kind != g->kind) ||
	    (g->t->tool != NULL && !str_glob(str_of(g->t->tool), row->tool)))
		return true;
	where = look(g, row, &in, &at);
	if (g->failed)
		return false;
	if (where == NULL)
		return true;
	if (g->found == g->most) {
		g->full = true;
		return false;
	}
	g->found++;
	put(g, row, where, in, at);
	return true;
}

/* What is referred to first: a preview of it stands in the record, too. */
static const char *
look(struct grep *g, const struct store_row *row, struct str *in, size_t *at)
{
	static const struct {
		const char *name, *a, *b;
	} refs[] = {
		{ "asked", "tool", "args" },
		{ "answered", "res", "out" },
	};
	const struct json *j;

	arena_reset(&g->memory);
	j = json_parse(row->body, NULL, &g->memory, g->e, NULL);
	if (j == NULL) {
		(void)err_add(g->e, "record %" PRIu64, row->seq);
		g->failed = true;
		return NULL;
	}
	for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
		const struct json *ref = json_at(j, refs[i].a, refs[i].b, NULL);
		struct err ignored;
		struct hash h;

		buf_reset(&g->blob);
		if ((json_get(ref, STR("preview")) == NULL &&
			json_get(ref, STR("salted")) == NULL) ||
		    hash_from_hex(json_str(json_get(ref, STR("h"))), &h) < 0 ||
		    store_blob(g->t->store, &h, &g->blob, &ignored) < 0)
			continue;
		*in = buf_str(&g->blob);
		if (find(g, *in, at))
			return refs[i].name;
	}
	*in = row->body;
	return find(g, *in, at) ? "record" : NULL;
}

static bool
find(const struct grep *g, struct str in, size_t *at)
{
	if (!g->t->ignore_case) {
		const char *p = memmem(in.p, in.n, g->text.p, g->text.n);

		*at = p != NULL ? (size_t)(p - in.p) : 0;
		return p != NULL;
	}
	for (size_t i = 0; i + g->text.n <= in.n; i++) {
		if (str_eq_nocase(
			(struct str){ in.p + i, g->text.n }, g->text)) {
			*at = i;
			return true;
		}
	}
	return false;
}

static void
put(struct grep *g, const struct store_row *row, const char *where,
    struct str in, size_t at)
{
	size_t from = at > BEFORE_BYTES ? at - BEFORE_BYTES : 0;
	size_t end = at + g->text.n;
	size_t to = in.n - end > BEHIND_BYTES ? end + BEHIND_BYTES : in.n;
	const struct term *term = &g->t->term;
	char id[ID_BYTES];

	id_text('r', row->run, id);
	if (g->t->json) {
		buf_add_c(&g->out, "{\"kind\":");
		json_put_str(&g->out, str_of(event_kind_name(row->kind)));
		buf_printf(&g->out,
		    ",\"run\":\"%s\",\"seq\":%" PRIu64 ",\"step\":%" PRIu32
		    ",\"text\":",
		    id, row->seq, row->step);
		json_put_str(&g->out, (struct str){ in.p + from, to - from });
		buf_add_c(&g->out, ",\"tool\":");
		json_put_str(&g->out, row->tool);
		buf_printf(&g->out, ",\"where\":\"%s\"}\n", where);
		return;
	}
	term_put(term, &g->out, TERM_BOLD, str_of(id));
	buf_printf(&g->out, " step %" PRIu32 "  %s", row->step,
	    event_kind_name(row->kind));
	if (row->tool.n > 0) {
		buf_add_c(&g->out, " ");
		term_text(&g->out, row->tool);
	}
	buf_printf(&g->out, "  %s: %s", where, from > 0 ? "..." : "");
	term_text(&g->out, (struct str){ in.p + from, at - from });
	term_put(term, &g->out, TERM_RED, (struct str){ in.p + at, g->text.n });
	term_text(&g->out, (struct str){ in.p + end, to - end });
	buf_add_c(&g->out, to < in.n ? "...\n" : "\n");
}
