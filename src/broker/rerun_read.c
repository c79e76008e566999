/*
 * The record of a run, call by call.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "broker/egress_int.h"
#include "broker/rerun_int.h"
#include "core/event.h"

static int read_options(
    struct rerun *x, const struct json *replay, struct err *e);
static bool on_run(void *arg, const struct store_run *row);
static bool on_record(void *arg, const struct store_row *row);
static void take(struct rerun *x, struct rerun_call *c,
    const struct store_row *row, const struct json *j);
static struct rerun_call *of_step(struct rerun *x, uint32_t step);
static struct rerun_call *add(struct rerun *x, const struct store_row *row);
static struct str keep(struct rerun *x, struct str s);
static struct str keep_json(struct rerun *x, const struct json *v);

int
rerun_take(struct run *r, const struct json *replay, struct err *e)
{
	struct rerun *x;

	if (replay == NULL)
		return 0;
	x = calloc(1, sizeof(*x));
	must(x != NULL);
	r->rerun = x; /* freed with the run */
	x->e = e;
	x->memory.max_bytes = RERUN_BYTES;
	if (id_parse('r', json_str(json_get(replay, STR("run"))), &x->run) < 0)
		return err_set(e, "`replay.run` is no run's name");
	if (read_options(x, replay, e) < 0 ||
	    store_runs(broker.store, x->run, false, 1, on_run, x, e) < 0 ||
	    store_events(broker.store, x->run, 0, 0, on_record, x, e) < 0 ||
	    x->failed)
		return -1;
	x->e = NULL;
	return egress_replay_all(r, x->run, x->strict, e);
}

void
rerun_free(struct rerun *x)
{
	if (x == NULL)
		return;
	free(x->calls);
	arena_fini(&x->memory);
	buf_fini(&x->why);
	free(x);
}

void
rerun_write(struct buf *out, const struct rerun *x)
{
	buf_printf(out, ",\"replay\":{\"mode\":\"%s\",\"of\":\"%s\"}",
	    x->strict ? "strict" : "lenient", x->text);
}

bool
rerun_had_world(const struct rerun *x)
{
	return x->had_world;
}

static int
read_options(struct rerun *x, const struct json *replay, struct err *e)
{
	const struct json *ignore = json_get(replay, STR("ignore"));
	struct str mode = json_str(json_get(replay, STR("mode")));
	struct str *paths;

	for (const struct json *k = json_first(replay); k != NULL;
	     k = json_next(replay, k)) {
		if (!str_eq_c(json_str(k), "run") &&
		    !str_eq_c(json_str(k), "mode") &&
		    !str_eq_c(json_str(k), "ignore"))
			return err_set(e, "unknown member `replay.%.*s`",
			    (int)(json_str(k).n > 64 ? 64 : json_str(k).n),
			    json_str(k).p);
	}
	x->strict = str_eq_c(mode, "strict");
	if (!x->strict && !str_eq_c(mode, "lenient"))
		return err_set(
		    e, "`replay.mode` is neither strict nor lenient");
	if (ignore == NULL)
		return 0;
	if (!json_is(ignore, JSON_ARRAY) || ignore->n > POLICY_LIST_MAX)
		return err_set(e, "`replay.ignore` is no list of at most %d",
		    POLICY_LIST_MAX);
	paths = arena_alloc(&x->memory, (ignore->n + 1) * sizeof(*paths));
	must(paths != NULL);
	x->ignore = paths;
	for (const struct json *v = json_first(ignore); v != NULL;
	     v = json_next(ignore, v)) {
		if (!redact_path_ok(json_str(v)))
			return err_set(e,
			    "`replay.ignore`: not a path such as $.request_id");
		paths[x->n_ignore++] = keep(x, json_str(v));
	}
	return 0;
}

static bool
on_run(void *arg, const struct store_run *row)
{
	struct rerun *x = arg;

	id_text('r', row->id, x->text);
	x->policy = row->policy;
	x->exit_status = row->exit_status;
	x->exits = str_eq(row->status, STR("closed")) &&
	    !str_starts(row->command, STR("("));
	return false;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct rerun *x = arg;
	own_arena struct arena a = {};
	const struct json *j = json_parse(row->body, NULL, &a, x->e, NULL);
	struct rerun_call *c;

	if (j == NULL) {
		x->failed = true;
		return false;
	}
	if (row->kind == EVENT_RUN_OPENED)
		x->had_world = str_eq(
		    json_str(json_at(j, "body", "world", NULL)), STR("seeded"));
	c = row->kind == EVENT_TOOL_PROPOSED ? add(x, row)
					     : of_step(x, row->step);
	if (c != NULL)
		take(x, c, row, j);
	return !x->failed;
}

static void
take(struct rerun *x, struct rerun_call *c, const struct store_row *row,
    const struct json *j)
{
	const struct json *dec = json_get(j, STR("dec"));
	const struct json *body = json_get(j, STR("body"));
	const struct json *out = json_at(j, "res", "out", NULL);

	switch (row->kind) {
	case EVENT_TOOL_PROPOSED:
		c->has_args =
		    hash_from_hex(
			json_str(json_at(j, "tool", "args", "h", NULL)),
			&c->args) == 0;
		c->key =
		    rerun_key(x, c->tool, json_at(j, "tool", "args", NULL));
		return;
	case EVENT_POLICY_DECISION:
		c->verdict = keep(x, json_str(json_get(dec, STR("verdict"))));
		c->rule = keep(x, json_str(json_get(dec, STR("rule"))));
		c->code = keep(x, json_str(json_get(dec, STR("code"))));
		c->reason = keep(x, json_str(json_get(dec, STR("reason"))));
		c->next_step =
		    keep(x, json_str(json_get(body, STR("next_step"))));
		return;
	case EVENT_TOOL_FINISHED:
		c->status =
		    keep(x, json_str(json_at(j, "res", "status", NULL)));
		c->origin =
		    keep(x, json_str(json_at(j, "res", "origin", NULL)));
		c->has_out = hash_from_hex(json_str(json_get(out, STR("h"))),
				 &c->out) == 0;
		c->redacted = str_eq(
		    json_str(json_get(out, STR("kept"))), STR("redacted"));
		return;
	case EVENT_DRAFT_CREATED:
		c->draft = keep_json(x, body);
		return;
	case EVENT_APPROVAL_REQUESTED:
		c->approval =
		    keep(x, json_str(json_get(body, STR("approval"))));
		return;
	case EVENT_APPROVAL_DECIDED:
		c->decided = keep(x, json_str(json_get(body, STR("verdict"))));
		c->decided_why =
		    keep(x, json_str(json_get(body, STR("reason"))));
		return;
	case EVENT_BUDGET_STOP:
		c->stop = keep_json(x, body);
		c->stop_reason = keep(x, json_str(json_get(dec, STR("code"))));
		return;
	case EVENT_RUN_OPENED:
	case EVENT_RUN_CLOSED:
	case EVENT_TOOL_STARTED:
	case EVENT_EGRESS_DECISION:
	case EVENT_KILL:
	case EVENT_NOTE:
	case EVENT_RUN_PAUSED:
	case EVENT_RUN_RESUMED:
	case EVENT_SANDBOX_DENIED:
	case EVENT_EGRESS_DONE:
	case EVENT_EGRESS_LEAK:
	case EVENT_SECRET_REVOKED:
	case EVENT_FAULT_INJECTED:
	case EVENT_CONTEXT_INPUT:
	case EVENT_BUDGET_EXTENDED:
	case EVENT_TOOL_RETRIED:
	case EVENT_SNAPSHOT_TAKEN:
	case EVENT_FORK_OPENED:
	case EVENT_DRAFT_COMMITTED:
	case EVENT_PAGE_CAPTURED:
	case EVENT_KINDS:
		return;
	}
}

/* The last one first: a call's records mostly stand together. */
static struct rerun_call *
of_step(struct rerun *x, uint32_t step)
{
	for (uint32_t i = x->n; i > 0 && x->calls[i - 1].step >= step; i--) {
		if (x->calls[i - 1].step == step)
			return &x->calls[i - 1];
	}
	return NULL;
}

static struct rerun_call *
add(struct rerun *x, const struct store_row *row)
{
	if (x->n == RERUN_CALLS_MAX) {
		x->failed = true;
		(void)err_set(x->e, "%s has more than %d calls", x->text,
		    RERUN_CALLS_MAX);
		return NULL;
	}
	if (x->n == x->cap) {
		x->cap = x->cap > 0 ? 2 * x->cap : 64;
		x->calls = realloc(x->calls, x->cap * sizeof(*x->calls));
		must(x->calls != NULL);
	}
	x->calls[x->n] = (struct rerun_call){
		.step = row->step,
		.tool = keep(x, row->tool),
	};
	return &x->calls[x->n++];
}

static struct str
keep(struct rerun *x, struct str s)
{
	const char *p = s.n > 0 ? arena_copy(&x->memory, s) : "";

	if (p != NULL)
		return (struct str){ p, s.n };
	if (!x->failed)
		(void)err_set(x->e, "the record of %s is over %d bytes",
		    x->text, RERUN_BYTES);
	x->failed = true;
	return STR("");
}

static struct str
keep_json(struct rerun *x, const struct json *v)
{
	own_buf struct buf text = {};

	if (v != NULL)
		json_write(&text, v);
	return keep(x, buf_str(&text));
}
