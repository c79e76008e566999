#include "broker/rerun.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/call_int.h"
#include "broker/egress_int.h"
#include "broker/record.h"
#include "broker/rerun_int.h"
#include "codec/json_diff.h"

enum {
	TOLD_BYTES = 2048, /* of a value in a note */
	TOLD_PLACES = 16, /* of one difference */
	TOLD_MISSING = 32, /* calls by name; there may be more */
};

struct places {
	struct buf *out;
	uint32_t n;
};

static struct hash key_of(
    const struct rerun *x, struct str tool, const struct json *args);
static struct hash key_with(struct str tool, const struct hash *args);
static struct rerun_call *find(struct rerun *x, const struct hash *key);
static struct rerun_call *like(struct rerun *x, struct str tool);
static bool record(struct run *r, struct str tool,
    const struct policy_tool *row, const struct json *args,
    const struct rerun_call *then, struct str code);
static void diverge(struct run *r, const char *class, struct str tool,
    const struct json *args, const struct rerun_call *then);
static void put_value(struct buf *out, const char *name, const struct json *v);
static bool on_place(void *arg, struct str path, const struct json *then,
    const struct json *now);
static void add_note(struct run *r, struct str body);
static void refuse(struct run *r, uint64_t asker, struct str tool);

void
rerun_call(
    struct run *r, uint64_t asker, struct str tool, const struct json *args)
{
	static const uint64_t one_call[BUDGET_KINDS] = {
		[BUDGET_TOOL_CALLS] = 1,
	};
	struct rerun *x = r->rerun;
	const struct policy_tool *row = policy_tool_find(r->policy, tool);
	own_buf struct buf shown = {};
	own_arena struct arena a = {};
	const struct json *asked;
	struct rerun_call *then, *other;
	struct err e = {};
	struct hash key;
	bool fits, in_order;

	/* Its own budget alone: windows that runs share pay for what is done.
	 */
	fits = budget_charge(&r->budget, one_call) == BUDGET_KINDS;
	r->steps++;
	x->asked++;
	redact_write(&shown, args, row != NULL ? row->redact_args : NULL,
	    row != NULL ? row->n_redact_args : 0);
	asked = json_parse(buf_str(&shown), NULL, &a, &e, NULL);
	if (asked == NULL || shown.n > CALL_MAX_ARGS_BYTES) {
		reply_error(asker, 413, "arguments_too_large",
		    "The arguments are over the limit of 1 MiB.",
		    "Put the data into a file and pass its name.");
		return;
	}
	key = key_of(x, tool, asked);
	then = find(x, &key);
	in_order = then != NULL && (uint32_t)(then - x->calls) >= x->next;
	if (x->strict &&
	    (then == NULL || (uint32_t)(then - x->calls) != x->next))
		then = NULL;
	if (!record(r, tool, row, args, then,
		then != NULL ? then->code : STR("not_recorded"))) {
		reply(asker, REPLY_BAD, 503, STR(STORE_FAILED));
		return;
	}
	if (!fits) {
		run_stop_budget(r, BUDGET_TOOL_CALLS,
		    r->budget.used[BUDGET_TOOL_CALLS], NULL);
		reply(asker, REPLY_STOPPED, 409, buf_str(&r->stop_json));
		return;
	}
	if (then == NULL) {
		other = x->strict ? rerun_next(x) : like(x, tool);
		diverge(r,
		    other != NULL && str_eq(other->tool, tool)	? "changed_args"
			: other != NULL				? "other_call"
			: row != NULL && row->risk == RISK_READ ? "new_read"
								: "new_write",
		    tool, asked, other);
		if (other != NULL && !x->strict)
			other->told = true;
		rerun_settle(r);
		if (x->strict)
			reply(
			    asker, REPLY_STOPPED, 409, buf_str(&r->stop_json));
		else
			refuse(r, asker, tool);
		return;
	}
	if (!in_order)
		diverge(r, "reorder", tool, asked, then);
	then->served = true;
	if (in_order)
		x->next = (uint32_t)(then - x->calls) + 1;
	if (rerun_answer(r, asker, row, then, args)) {
		x->matched++;
		return;
	}
	diverge(r, "not_kept", tool, asked, then);
	rerun_settle(r);
	if (x->strict)
		reply(asker, REPLY_STOPPED, 409, buf_str(&r->stop_json));
	else
		refuse(r, asker, tool);
}

bool
rerun_is_of(const struct rerun *x, uint64_t run)
{
	return x->run == run;
}

struct rerun_call *
rerun_next(struct rerun *x)
{
	return x->next < x->n ? &x->calls[x->next] : NULL;
}

struct hash
rerun_key(const struct rerun *x, struct str tool, const struct json *args)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	struct err e = {};
	struct hash h = {}, content = {};
	const struct json *v;

	(void)hash_from_hex(json_str(json_get(args, STR("h"))), &h);
	(void)store_content_hash(broker.store, args, &content);
	if (x->n_ignore == 0)
		return key_with(tool, &content);
	if (store_blob(broker.store, &h, &text, &e) < 0)
		return key_with(tool, &content);
	v = json_parse(buf_str(&text), NULL, &a, &e, NULL);
	return v != NULL ? key_of(x, tool, v) : key_with(tool, &content);
}

static struct hash
key_of(const struct rerun *x, struct str tool, const struct json *args)
{
	own_buf struct buf text = {};
	struct hash h;

	redact_write(&text, args, x->ignore, x->n_ignore);
	h = hash_of(text.p, text.n);
	return key_with(tool, &h);
}

static struct hash
key_with(struct str tool, const struct hash *args)
{
	/* The NUL keeps a name's end from being a hash's start. */
	const struct str pieces[] = { tool, { "", 1 },
		{ (const char *)args->b, sizeof(args->b) } };

	return hash_of_pieces(pieces, 3);
}

/* In front of those that were passed over, whatever comes next. */
static struct rerun_call *
find(struct rerun *x, const struct hash *key)
{
	for (uint32_t pass = 0; pass < 2; pass++) {
		const uint32_t from = pass == 0 ? x->next : 0;
		const uint32_t to = pass == 0 ? x->n : x->next;

		for (uint32_t i = from; i < to; i++) {
			if (!x->calls[i].served &&
			    hash_eq(&x->calls[i].key, key))
				return &x->calls[i];
		}
	}
	return NULL;
}

static struct rerun_call *
like(struct rerun *x, struct str tool)
{
	for (uint32_t i = 0; i < x->n; i++) {
		struct rerun_call *c = &x->calls[i];

		if (!c->served && !c->told && str_eq(c->tool, tool))
			return c;
	}
	return NULL;
}

/* As a call that is decided; then NULL: it is refused. */
static bool
record(struct run *r, struct str tool, const struct policy_tool *row,
    const struct json *args, const struct rerun_call *then, struct str code)
{
	struct event ev = record_of(r, EVENT_POLICY_DECISION);
	own_buf struct buf canonical = {}, body = {};

	json_write(&canonical, args);
	if (!call_record_proposal(r, tool, row, args, buf_str(&canonical)))
		return false;
	buf_add_c(&body, "{\"labels\":");
	labels_write(&body, &r->labels);
	if (then != NULL)
		buf_printf(&body, ",\"replayed\":%" PRIu32, then->step);
	buf_add_byte(&body, '}');
	ev.step = r->steps;
	ev.tool = tool;
	ev.tier = str_of(risk_name(row != NULL ? row->risk : RISK_DESTRUCTIVE));
	ev.verdict = then != NULL && then->verdict.n > 0 ? then->verdict
	    : then != NULL				 ? STR("simulate")
							 : STR("block");
	ev.action = str_eq(ev.verdict, STR("block")) ? STR("blocked")
						     : STR("simulated");
	ev.rule = then != NULL ? then->rule : STR("replay");
	ev.code = code;
	ev.reason = then != NULL
	    ? then->reason
	    : STR("the run that this one is answered from made no such call");
	ev.body = buf_str(&body);
	return record_add(&ev) != 0;
}

/* Members in the order of RFC 8785. */
static void
diverge(struct run *r, const char *class, struct str tool,
    const struct json *args, const struct rerun_call *then)
{
	own_arena struct arena a = {};
	own_buf struct buf body = {}, text = {};
	const struct json *was = NULL;
	struct places places = { &body, 0 };
	struct err e = {};

	if (then != NULL && then->has_args &&
	    store_blob(broker.store, &then->args, &text, &e) == 0)
		was = json_parse(buf_str(&text), NULL, &a, &e, NULL);
	buf_printf(&body, "{\"class\":\"%s\",\"diff\":[", class);
	if (then != NULL && str_eq(then->tool, tool))
		(void)json_diff(was, args, on_place, &places);
	buf_add_c(&body, "],\"note\":\"replay.diverged\",\"now\":{");
	put_value(&body, "args", args);
	buf_printf(&body, "\"step\":%" PRIu32 ",\"tool\":", r->steps);
	json_put_str(&body, tool);
	buf_add_byte(&body, '}');
	if (then != NULL) {
		buf_add_c(&body, ",\"then\":{");
		put_value(&body, "args", was);
		buf_printf(&body, "\"step\":%" PRIu32 ",\"tool\":", then->step);
		json_put_str(&body, then->tool);
		buf_add_byte(&body, '}');
	}
	buf_add_byte(&body, '}');
	add_note(r, buf_str(&body));
}

/* A member in front of others; too long a value is told in the call's own
 * record only. */
static void
put_value(struct buf *out, const char *name, const struct json *v)
{
	own_buf struct buf text = {};

	if (v == NULL)
		return;
	json_write(&text, v);
	if (text.n > TOLD_BYTES)
		return;
	buf_printf(out, "\"%s\":", name);
	buf_add_str(out, buf_str(&text));
	buf_add_byte(out, ',');
}

static bool
on_place(
    void *arg, struct str path, const struct json *then, const struct json *now)
{
	struct places *p = arg;

	buf_add_c(p->out, p->n++ > 0 ? ",{" : "{");
	put_value(p->out, "now", now);
	buf_add_c(p->out, "\"path\":");
	json_put_str(p->out, path);
	if (then != NULL) {
		own_buf struct buf text = {};

		json_write(&text, then);
		if (text.n <= TOLD_BYTES) {
			buf_add_c(p->out, ",\"then\":");
			buf_add_str(p->out, buf_str(&text));
		}
	}
	buf_add_byte(p->out, '}');
	return p->n < TOLD_PLACES;
}

static void
add_note(struct run *r, struct str body)
{
	struct event ev = record_of(r, EVENT_NOTE);
	struct rerun *x = r->rerun;

	x->diverged++;
	ev.step = r->steps;
	ev.body = body;
	if (record_add(&ev) == 0)
		x->unrecorded = true;
	if (x->strict && !x->ends) {
		x->ends = true;
		buf_add_c(&x->why, "{\"divergence\":");
		buf_add_str(&x->why, body);
		buf_add_c(&x->why,
		    ",\"reason\":\"replay_diverged\",\"status\":\"stopped\","
		    "\"suggested_next_step\":\"End the work: the run that "
		    "this one repeats went on otherwise.\"}");
	}
}

void
rerun_settle(struct run *r)
{
	struct rerun *x = r->rerun;

	if (x->ends && r->state == RUN_OPEN)
		run_stop(r, "replay_diverged", buf_str(&x->why), false);
}

void
rerun_request(struct run *r, const struct egress_ask *ask, bool was_kept,
    uint32_t step_then, struct str then)
{
	own_buf struct buf body = {}, url = {};

	egress_url_write(&url, r->policy, ask, &r->egress->salt);
	buf_printf(&body,
	    "{\"class\":\"%s\",\"note\":\"replay.diverged\","
	    "\"now\":{\"method\":",
	    was_kept ? "not_kept" : "new_request");
	json_put_str(&body, ask->method);
	buf_printf(&body, ",\"step\":%" PRIu32 ",\"url\":", r->steps + 1);
	json_put_str(&body, buf_str(&url));
	buf_add_byte(&body, '}');
	if (then.n > 0) {
		buf_printf(&body,
		    ",\"then\":{\"step\":%" PRIu32 ",\"url\":", step_then);
		json_put_str(&body, then);
		buf_add_byte(&body, '}');
	}
	buf_add_byte(&body, '}');
	add_note(r, buf_str(&body));
}

static void
refuse(struct run *r, uint64_t asker, struct str tool)
{
	struct verdict *v = calloc(1, sizeof(*v));

	must(v != NULL);
	(void)str_copy(STR("replay"), v->rule, sizeof(v->rule));
	(void)str_copy(STR("not_recorded"), v->code, sizeof(v->code));
	v->n_reasons = 1;
	(void)str_copy(STR("the run that this one is answered from made no "
			   "such call, or its answer is no longer kept"),
	    v->reasons[0], sizeof(v->reasons[0]));
	(void)str_copy(
	    STR("Go on without it."), v->next_step, sizeof(v->next_step));
	call_refuse(r, r->steps, asker, tool, v);
	free(v);
}

void
rerun_write_tools(struct buf *out, const struct run *r)
{
	const struct rerun *x = r->rerun;

	for (uint32_t i = 0; i < x->n; i++) {
		const struct str name = x->calls[i].tool;
		const struct policy_tool *row =
		    policy_tool_find(r->policy, name);
		bool had = call_world_has(r, name);

		for (uint32_t k = 0; k < i && !had; k++)
			had = str_eq(x->calls[k].tool, name);
		if (had || row == NULL || row->mode == VERDICT_BLOCK)
			continue;
		buf_add_c(out,
		    ",{\"description\":\"As it was recorded.\","
		    "\"inputSchema\":{\"type\":\"object\"},\"name\":");
		json_put_str(out, name);
		buf_add_byte(out, '}');
	}
}

void
rerun_end(struct run *r)
{
	struct rerun *x = r->rerun;
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {}, missing = {};
	uint32_t n_missing = 0, requests = 0, answered = 0, left;
	const bool exits = r->has_sandbox && x->exits && !x->ends &&
	    strcmp(r->status, "closed") == 0;

	for (uint32_t i = 0; i < x->n; i++) {
		if (x->calls[i].served || x->calls[i].told)
			continue;
		if (n_missing++ >= TOLD_MISSING)
			continue;
		buf_printf(&missing, "%s{\"step\":%" PRIu32 ",\"tool\":",
		    n_missing > 1 ? "," : "", x->calls[i].step);
		json_put_str(&missing, x->calls[i].tool);
		buf_add_byte(&missing, '}');
	}
	left = egress_replay_left(r, &requests, &answered);
	/* What comes behind the end of a strict one was not reached. */
	if (!x->ends) {
		x->diverged += n_missing + left;
		if (exits && x->exit_status != r->exited.status)
			x->diverged++;
	}
	buf_printf(&body,
	    "{\"asked\":%" PRIu32 ",\"calls\":%" PRIu32
	    ",\"diverged\":%" PRIu32,
	    x->asked, x->n, x->diverged);
	if (exits)
		buf_printf(&body,
		    ",\"exit_now\":%" PRIu32 ",\"exit_then\":%" PRIu32,
		    r->exited.status, x->exit_status);
	buf_printf(&body,
	    ",\"matched\":%" PRIu32 ",\"missing\":[%.*s],\"mode\":\"%s\","
	    "\"note\":\"replay.finished\",\"of\":\"%s\",\"redacted\":%" PRIu32
	    ",\"requests\":{\"answered\":%" PRIu32 ",\"kept\":%" PRIu32
	    ",\"left\":%" PRIu32 "},\"same\":%s}",
	    x->matched, STR_FMT(buf_str(&missing)),
	    x->strict ? "strict" : "lenient", x->text, x->redacted, answered,
	    requests, left, x->diverged == 0 ? "true" : "false");
	ev.step = r->steps;
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* a full store stops no end */
}
