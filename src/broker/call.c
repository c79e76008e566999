#include "broker/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/approval.h"
#include "broker/box.h"
#include "broker/export.h"
#include "broker/record.h"

static struct call *in_world; /* what the world is answering */

#define STORE_FAILED                                                           \
	"{\"error\":{\"code\":\"store_failed\",\"message\":\"The store takes " \
	"no "                                                                  \
	"more records: nothing was done.\",\"suggested_next_step\":\"An "      \
	"operator must look at the disk.\"}}"

static struct run *run_of(const struct msg_tool_call *m, struct caller *who);
static void propose(
    struct run *r, uint64_t asker, struct str tool, const struct json *args);
static void decide(
    struct run *r, struct str tool, const struct json *args, struct verdict *v);
static bool runs(const struct verdict *v);
static struct call *call_new(struct run *r, uint64_t asker, struct str tool,
    struct buf *args, const struct hash *hash, const struct verdict *v);
static bool record_proposal(struct run *r, struct str tool,
    const struct policy_tool *row, const struct json *args,
    struct str canonical);
static uint64_t record_start(struct run *r, const struct call *c);
static bool may_retry(struct run *r, const struct policy_tool *row,
    struct str tool, const struct hash *hash);
static struct tool_use *use_of(struct run *r, struct str tool);
static void note_failure(struct run *r, const struct call *c);
static bool record_decision(
    struct run *r, uint32_t step, struct str tool, const struct verdict *v);
static void propose_export(struct run *r, struct call *c,
    const struct verdict *v, const struct json *args);
static void on_export(struct run *r, struct call *c, bool whole);
static void refuse(struct run *r, uint32_t step, uint64_t asker,
    struct str tool, const struct verdict *v);
static void make_draft(struct run *r, uint32_t step, uint64_t asker,
    struct str tool, struct str args, const struct hash *hash);
static void execute(struct run *r, struct call *c);
static void to_world(struct run *r, struct call *c);
static void finish(struct call *c, enum reply_kind kind, struct str result,
    bool wrote, const char *status);
static void tell(struct call *c);
static void answer(struct call *c);
static void on_timeout(struct loop_timer *t);
static bool has_tool(const struct run *r, struct str tool);
static bool durable_first(enum risk risk, uint64_t approval);
static void wait_durable(struct call *c, uint64_t seq);
static struct call *take_from_world(uint64_t number);
static void call_free(struct call *c);

void
on_tool_call(const struct msg_tool_call *m, struct str payload)
{
	static struct arena arena; /* one request at a time */
	const struct json *call, *args;
	struct caller who;
	struct run *r = run_of(m, &who);
	struct str tool;
	struct err e = {};

	if (r == NULL) {
		reply_error(m->call, who.known ? 404 : 401, "unknown_run",
		    "No open run belongs to this call.",
		    "Call from inside the sandbox, or send the run's token.");
		return;
	}
	if (r->state != RUN_OPEN && r->state != RUN_OPENING) {
		reply(m->call, REPLY_STOPPED, 409,
		    r->stop_json.n > 0
			? buf_str(&r->stop_json)
			: STR("{\"reason\":\"run_closed\",\"status\":"
			      "\"stopped\"}"));
		return;
	}
	if (box_holds(r, m, payload))
		return;
	box_touch(r);
	arena_reset(&arena);
	call = json_parse(payload, NULL, &arena, &e, NULL);
	tool = json_str(json_get(call, STR("name")));
	args = json_get(call, STR("arguments"));
	if (tool.n == 0 || tool.n >= NAME_MAX_BYTES ||
	    !json_is(args, JSON_OBJECT)) {
		reply_error(m->call, 400, "bad_call",
		    "A call needs a name and an object of arguments.",
		    "Send {\"name\":\"kb.search\",\"arguments\":{}}.");
		return;
	}
	if (payload.n > CALL_MAX_ARGS_BYTES) {
		reply_error(m->call, 413, "arguments_too_large",
		    "The arguments are over the limit of 1 MiB.",
		    "Put the data into a file and pass its name.");
		return;
	}
	if (r->calls_open >= RUN_PENDING_MAX) {
		reply_error(m->call, 429, "too_many_calls",
		    "Too many calls of this run are under way.",
		    "Wait for some of them to be answered.");
		return;
	}
	if (str_eq(tool, STR("approval.wait"))) {
		approval_hold(r, m->call,
		    json_str(json_get(args, STR("approval_id"))), NULL);
		return;
	}
	if (json_get(call, STR("state")) != NULL) {
		own_buf struct buf canonical = {};
		struct hash hash;

		json_write(&canonical, args);
		hash = call_hash(tool, buf_str(&canonical));
		approval_hold(
		    r, m->call, json_str(json_get(call, STR("state"))), &hash);
		return;
	}
	propose(r, m->call, tool, args);
}

struct hash
call_hash(struct str tool, struct str args)
{
	/* The NUL keeps a name's end from being an argument's start. */
	const struct str pieces[] = { tool, { "", 1 }, args };

	return hash_of_pieces(pieces, 3);
}

void
on_world_result(const struct msg_world_result *m, struct str payload)
{
	struct call *c = take_from_world(m->call);

	if (c == NULL)
		return; /* timed out, and answered then */
	finish(c, m->ok ? REPLY_OK : REPLY_TOOL_ERROR, payload, m->wrote != 0,
	    m->ok ? "ok" : "error");
}

void
call_durable(uint64_t seq)
{
	struct call **at = &broker.durable_first;

	while (*at != NULL) {
		struct call *c = *at;
		struct run *r = run_find(c->run);

		if (c->wait_seq > seq) {
			at = &c->next_durable;
			continue;
		}
		*at = c->next_durable;
		if (*at == NULL)
			broker.durable_last = at;
		must(r != NULL); /* open calls keep their run */
		if (c->finished)
			answer(c);
		else
			to_world(r, c);
	}
}

void
call_gone(uint64_t asker)
{
	for (struct call *c = in_world; c != NULL; c = c->next) {
		if (c->asker == asker)
			c->asker = 0;
	}
	for (struct call *c = broker.durable_first; c != NULL;
	     c = c->next_durable) {
		if (c->asker == asker)
			c->asker = 0;
	}
}

void
call_world_lost(void)
{
	while (in_world != NULL) {
		struct call *c = take_from_world(in_world->number);

		finish(c, REPLY_TOOL_ERROR,
		    STR("{\"code\":\"unknown\",\"error\":\"The tool's service "
			"ended before it answered; it is not known whether "
			"the call had an effect.\",\"suggested_next_step\":"
			"\"Ask a person to check before trying again.\"}"),
		    false, "unknown");
	}
}

void
call_supervisor_lost(void)
{
	struct call *next;
	struct call *c = broker.durable_first;

	broker.durable_first = NULL;
	broker.durable_last = &broker.durable_first;
	for (; c != NULL; c = next) {
		next = c->next_durable;
		if (c->finished)
			wait_durable(c, c->wait_seq);
		else
			finish(c, REPLY_TOOL_ERROR,
			    STR("{\"code\":\"not_begun\",\"error\":\"The run "
				"ended before the call began.\","
				"\"suggested_next_step\":\"Open another run."
				"\"}"),
			    false, "blocked");
	}
	call_world_lost();
}

void
call_execute_approved(struct run *r, const struct approval *a)
{
	struct call *c = calloc(1, sizeof(*c));

	must(c != NULL);
	c->run = r->id;
	c->step = a->step;
	memcpy(c->tool, a->tool, sizeof(c->tool));
	buf_add_str(&c->args, buf_str(&a->args));
	c->args_hash = a->hash;
	c->risk = a->risk;
	c->simulated = a->simulated;
	c->approval = a->id;
	r->calls_open++;
	execute(r, c);
}

/* The run comes from the listener or the token, never from the message. */
static struct run *
run_of(const struct msg_tool_call *m, struct caller *who)
{
	*who = caller_of((enum door)m->door, m->uid, m->run, &m->token);
	if (!who->known)
		return NULL;
	/* An operator may call in a run's place: what is named is the run. */
	if (who->run == 0)
		return run_find(m->run);
	if (m->run != 0 && m->run != who->run)
		return NULL;
	return run_find(who->run);
}

static void
propose(struct run *r, uint64_t asker, struct str tool, const struct json *args)
{
	static struct verdict v; /* large, and used by one call at a time */
	static const uint64_t one_call[BUDGET_KINDS] = {
		[BUDGET_TOOL_CALLS] = 1,
	};
	const struct policy_tool *row = policy_tool_find(r->policy, tool);
	own_buf struct buf canonical = {};
	enum budget_kind short_of = budget_charge(&r->budget, one_call);
	struct call *early = NULL;
	struct hash hash;
	bool recorded;

	r->steps++;
	json_write(&canonical, args);
	if (canonical.failed || canonical.n > CALL_MAX_ARGS_BYTES) {
		reply_error(asker, 413, "arguments_too_large",
		    "The arguments are over the limit of 1 MiB.",
		    "Put the data into a file and pass its name.");
		return;
	}
	hash = call_hash(tool, buf_str(&canonical));
	if (short_of == BUDGET_KINDS && !may_retry(r, row, tool, &hash))
		short_of = BUDGET_RETRIES;
	if (short_of == BUDGET_KINDS) {
		decide(r, tool, args, &v);
		/*
		 * What changes nothing need not wait for its records: the
		 * world reads while they are written.
		 */
		if (runs(&v) && !durable_first(v.risk, 0) && !export_is(tool)) {
			early = call_new(r, asker, tool, &canonical, &hash, &v);
			to_world(r, early);
		}
	}
	recorded = record_proposal(r, tool, row, args,
	    early != NULL ? buf_str(&early->args) : buf_str(&canonical));
	if (short_of != BUDGET_KINDS) {
		run_stop_budget(r, short_of);
		reply(asker, REPLY_STOPPED, 409, buf_str(&r->stop_json));
		return;
	}
	recorded = recorded && record_decision(r, r->steps, tool, &v);
	if (early != NULL) {
		early->unrecorded = !recorded || record_start(r, early) == 0;
		return;
	}
	if (!recorded) {
		reply(asker, REPLY_BAD, 503, STR(STORE_FAILED));
		return;
	}
	if (export_is(tool) && (runs(&v) || v.kind == VERDICT_APPROVE)) {
		propose_export(r,
		    call_new(r, asker, tool, &canonical, &hash, &v), &v, args);
		return;
	}
	switch (v.kind) {
	case VERDICT_BLOCK:
		refuse(r, r->steps, asker, tool, &v);
		return;
	case VERDICT_DRAFT:
		make_draft(
		    r, r->steps, asker, tool, buf_str(&canonical), &hash);
		return;
	case VERDICT_APPROVE:
		approval_request(r, r->steps, asker, &v, tool, args,
		    buf_str(&canonical), &hash);
		return;
	case VERDICT_ALLOW:
	case VERDICT_SIMULATE:
		execute(r, call_new(r, asker, tool, &canonical, &hash, &v));
		return;
	case VERDICTS:
		must(false);
	}
}

/* What is to leave is read first: that is what a person is shown. */
static void
propose_export(struct run *r, struct call *c, const struct verdict *v,
    const struct json *args)
{
	struct err e = {};

	/* Whatever the policy calls it, it changes what is outside. */
	if (c->risk < RISK_EXTERNAL_WRITE)
		c->risk = RISK_EXTERNAL_WRITE;
	if (export_check(args, &e) < 0) {
		own_buf struct buf why = {};

		buf_add_c(&why, "{\"code\":\"bad_arguments\",\"error\":");
		json_put_str(&why, str_of(e.text));
		buf_add_c(
		    &why, ",\"suggested_next_step\":\"Mend the paths.\"}");
		c->not_begun = true;
		finish(c, REPLY_TOOL_ERROR, buf_str(&why), false, "error");
		return;
	}
	if (v->kind == VERDICT_APPROVE) {
		c->verdict = malloc(sizeof(*c->verdict));
		must(c->verdict != NULL);
		*c->verdict = *v;
	}
	export_read(r, c, on_export);
}

/* The files are here as they will be written, or are not to be had. */
static void
on_export(struct run *r, struct call *c, bool whole)
{
	c->not_begun = !whole || export_is_empty(r, c->step);
	if (r->state != RUN_OPEN && r->state != RUN_OPENING) {
		finish(
		    c, REPLY_STOPPED, buf_str(&r->stop_json), false, "blocked");
	} else if (!whole) {
		finish(c, REPLY_TOOL_ERROR,
		    STR("{\"code\":\"not_read\",\"error\":\"The files could "
			"not be read, or too many exports wait for a "
			"decision.\",\"suggested_next_step\":\"Ask again "
			"later.\"}"),
		    false, "error");
	} else if (export_is_empty(r, c->step)) {
		own_buf struct buf why = {};

		buf_add_c(&why,
		    "{\"code\":\"nothing_read\",\"error\":\"None of the files "
		    "could be read.\",\"found\":");
		export_preview(&why, r, c->step);
		buf_add_c(&why,
		    ",\"suggested_next_step\":\"Name regular files of the work "
		    "folder, together below 16 MiB.\"}");
		export_forget(r->id, c->step);
		finish(c, REPLY_TOOL_ERROR, buf_str(&why), false, "error");
	} else if (c->verdict == NULL) {
		execute(r, c);
	} else {
		own_arena struct arena a = {};
		struct err e = {};
		const struct json *args =
		    json_parse(buf_str(&c->args), NULL, &a, &e, NULL);

		if (!approval_request(r, c->step, c->asker, c->verdict,
			str_of(c->tool), args, buf_str(&c->args),
			&c->args_hash))
			export_forget(r->id, c->step);
		must(r->calls_open > 0);
		r->calls_open--;
		call_free(c);
	}
}

/* The policy's verdict; a tool that nothing provides is blocked. */
static void
decide(
    struct run *r, struct str tool, const struct json *args, struct verdict *v)
{
	struct policy_call pc = { tool, args, &r->labels,
		clock_utc_ns() / 1000000000 };

	policy_decide(r->policy, &pc, v);
	if (v->kind == VERDICT_BLOCK || v->kind == VERDICT_DRAFT ||
	    has_tool(r, tool))
		return;
	v->kind = VERDICT_BLOCK;
	(void)snprintf(v->rule, sizeof(v->rule), "no executor");
	(void)snprintf(v->code, sizeof(v->code), "unknown_tool");
	v->n_reasons = 1;
	(void)snprintf(v->reasons[0], sizeof(v->reasons[0]),
	    "nothing in this run provides the tool");
	(void)snprintf(v->next_step, sizeof(v->next_step),
	    "List the tools and use one of them.");
}

/* True when the verdict lets an executor run, at once. */
static bool
runs(const struct verdict *v)
{
	return v->kind == VERDICT_ALLOW || v->kind == VERDICT_SIMULATE;
}

/* A call that will be executed. Takes the arguments over. */
static struct call *
call_new(struct run *r, uint64_t asker, struct str tool, struct buf *args,
    const struct hash *hash, const struct verdict *v)
{
	struct call *c = calloc(1, sizeof(*c));

	must(c != NULL);
	c->asker = asker;
	c->run = r->id;
	c->step = r->steps;
	must(str_copy(tool, c->tool, sizeof(c->tool)) == 0);
	c->args = *args;
	*args = (struct buf){};
	c->args_hash = *hash;
	c->risk = v->risk;
	c->simulated = v->kind == VERDICT_SIMULATE;
	c->started_ns = clock_mono_ns();
	r->calls_open++;
	return c;
}

/* The call as it was asked, redacted as the policy says. */
static bool
record_proposal(struct run *r, struct str tool, const struct policy_tool *row,
    const struct json *args, struct str canonical)
{
	struct event ev = record_of(r, EVENT_TOOL_PROPOSED);
	own_buf struct buf shown = {};

	ev.step = r->steps;
	ev.tool = tool;
	ev.tier = str_of(risk_name(row != NULL ? row->risk : RISK_DESTRUCTIVE));
	ev.args.bytes = canonical;
	if (row != NULL && row->n_redact_args > 0) {
		redact_write(
		    &shown, args, row->redact_args, row->n_redact_args);
		ev.args.bytes = buf_str(&shown);
		ev.args.redacted = !str_eq(ev.args.bytes, canonical);
	}
	return !shown.failed && record_add(&ev) != 0;
}

/*
 * The very call that failed last, once more, is a retry. Each tool has so
 * many in one run.
 */
static bool
may_retry(struct run *r, const struct policy_tool *row, struct str tool,
    const struct hash *hash)
{
	uint64_t most = r->budget.limit[BUDGET_RETRIES];
	struct tool_use *use = use_of(r, tool);

	if (row != NULL && row->retries != UINT32_MAX && row->retries < most)
		most = row->retries;
	if (use == NULL || !use->has_failed || !hash_eq(&use->failed, hash))
		return true;
	use->retries++;
	if (use->retries > r->budget.used[BUDGET_RETRIES] &&
	    use->retries <= most)
		r->budget.used[BUDGET_RETRIES] = use->retries;
	return use->retries <= most;
}

/* NULL when the run has used more tools than are counted. */
static struct tool_use *
use_of(struct run *r, struct str tool)
{
	struct tool_use *u;

	for (uint32_t i = 0; i < r->n_uses; i++) {
		if (str_eq_c(tool, r->uses[i].name))
			return &r->uses[i];
	}
	if (r->n_uses == TOOLS_USED_MAX)
		return NULL;
	u = realloc(r->uses, (r->n_uses + 1) * sizeof(*u));
	must(u != NULL);
	r->uses = u;
	u = &r->uses[r->n_uses++];
	*u = (struct tool_use){};
	must(str_copy(tool, u->name, sizeof(u->name)) == 0);
	return u;
}

static void
note_failure(struct run *r, const struct call *c)
{
	struct tool_use *u = use_of(r, str_of(c->tool));

	if (u == NULL)
		return;
	u->has_failed = c->kind != REPLY_OK;
	u->failed = c->args_hash;
	if (c->kind == REPLY_OK)
		u->retries = 0;
}

static bool
record_decision(
    struct run *r, uint32_t step, struct str tool, const struct verdict *v)
{
	static const char *const actions[VERDICTS] = { "executed", "drafted",
		"simulated", "waiting", "blocked" };
	struct event ev = record_of(r, EVENT_POLICY_DECISION);
	own_buf struct buf body = {};

	ev.step = step;
	ev.tool = tool;
	ev.tier = str_of(risk_name(v->risk));
	ev.verdict = str_of(verdict_name(v->kind));
	ev.action = str_of(actions[v->kind]);
	ev.rule = str_of(v->rule);
	ev.code = str_of(v->code);
	ev.reason = v->n_reasons > 0 ? str_of(v->reasons[0]) : STR("");
	buf_add_c(&body, "{\"labels\":");
	labels_write(&body, &r->labels);
	if (v->n_reasons > 1) {
		buf_add_c(&body, ",\"reasons\":[");
		for (uint32_t i = 0; i < v->n_reasons; i++) {
			buf_add_c(&body, i > 0 ? "," : "");
			json_put_str(&body, str_of(v->reasons[i]));
		}
		buf_add_byte(&body, ']');
	}
	buf_printf(&body, ",\"would\":\"%s\"}", verdict_name(v->would));
	ev.body = buf_str(&body);
	return record_add(&ev) != 0;
}

static void
refuse(struct run *r, uint32_t step, uint64_t asker, struct str tool,
    const struct verdict *v)
{
	own_buf struct buf out = {};

	(void)r;
	buf_add_c(&out, "{\"code\":");
	json_put_str(&out, str_of(v->code));
	buf_add_c(&out, ",\"reason\":");
	json_put_str(
	    &out, v->n_reasons > 0 ? str_of(v->reasons[0]) : str_of(v->code));
	buf_add_c(&out, ",\"rule\":");
	json_put_str(&out, str_of(v->rule));
	buf_printf(&out,
	    ",\"status\":\"refused\",\"step\":%u,"
	    "\"suggested_next_step\":",
	    step);
	json_put_str(&out, str_of(v->next_step));
	buf_add_c(&out, ",\"tool\":");
	json_put_str(&out, tool);
	buf_add_byte(&out, '}');
	reply(asker, REPLY_REFUSED, 403, buf_str(&out));
}

/* Nothing leaves: the draft is stored under the hash of what it says. */
static void
make_draft(struct run *r, uint32_t step, uint64_t asker, struct str tool,
    struct str args, const struct hash *hash)
{
	struct event ev = record_of(r, EVENT_DRAFT_CREATED);
	own_buf struct buf out = {};
	uint64_t id = random_id();
	char text[ID_BYTES], hex[HASH_HEX_BYTES];

	id_text('d', id, text);
	hash_hex(hash, hex);
	buf_printf(&out,
	    "{\"call_sha256\":\"%s\",\"draft_id\":\"%s\",\"status\":\"draft\","
	    "\"suggested_next_step\":\"Nothing was sent. A person can act on "
	    "the draft.\"}",
	    hex, text);
	ev.step = step;
	ev.tool = tool;
	ev.body = buf_str(&out);
	if (store_put_draft(broker.store, id, r->id, tool, args, hash) < 0 ||
	    record_add(&ev) == 0) {
		reply_error(asker, 503, "store_failed",
		    "The store takes no more records: nothing was done.",
		    "An operator must look at the disk.");
		return;
	}
	reply(asker, REPLY_OK, 200, buf_str(&out));
}

/* Records the start; writes wait until that is on disk. */
static void
execute(struct run *r, struct call *c)
{
	uint64_t seq = record_start(r, c);

	if (seq == 0) {
		c->kind = REPLY_BAD;
		buf_add_c(&c->result, STORE_FAILED);
		answer(c);
		return;
	}
	if (durable_first(c->risk, c->approval))
		wait_durable(c, seq);
	else
		to_world(r, c);
}

static uint64_t
record_start(struct run *r, const struct call *c)
{
	struct event ev = record_of(r, EVENT_TOOL_STARTED);

	ev.step = c->step;
	ev.tool = str_of(c->tool);
	ev.tier = str_of(risk_name(c->risk));
	return record_add(&ev);
}

static void
to_world(struct run *r, struct call *c)
{
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(c->tool));
	struct msg_world_call m = {
		.run = c->run,
		.call = ++broker.next_call,
		.now_ns = clock_utc_ns(),
	};
	own_buf struct buf payload = {};
	int64_t ms = WORLD_TIMEOUT_MS;

	/* Stopped while its record went to disk: it has not begun. */
	if (r->state != RUN_OPEN && r->state != RUN_OPENING) {
		finish(
		    c, REPLY_STOPPED, buf_str(&r->stop_json), false, "blocked");
		return;
	}
	if (export_is(str_of(c->tool))) {
		own_buf struct buf out = {};
		enum reply_kind kind = export_write(r, c, &out);

		finish(c, kind, buf_str(&out), kind == REPLY_OK,
		    kind == REPLY_OK ? "ok" : "error");
		return;
	}
	if (row != NULL && row->timeout_ms > 0 && row->timeout_ms < ms)
		ms = row->timeout_ms;
	buf_add_c(&payload, "{\"arguments\":");
	buf_add_str(&payload, buf_str(&c->args));
	buf_add_c(&payload, ",\"name\":");
	json_put_str(&payload, str_of(c->tool));
	buf_add_byte(&payload, '}');
	c->number = m.call;
	c->next = in_world;
	in_world = c;
	c->timeout.on_time = on_timeout;
	loop_timer_set(
	    broker.loop, &c->timeout, loop_now_ns(broker.loop) + ms * 1000000);
	(void)peer_send(&broker.world, MSG_WORLD_CALL, &m, buf_str(&payload),
	    NULL, 0); /* a world that is gone ends its calls */
}

/*
 * Records the end, and answers: when a write's end is on disk, else before, so
 * that nobody waits for a record that may be lost with us anyway.
 */
static void
finish(struct call *c, enum reply_kind kind, struct str result, bool wrote,
    const char *status)
{
	struct run *r = run_find(c->run);
	struct event ev;
	own_buf struct buf shown = {};
	const struct policy_tool *row;
	uint64_t seq;

	must(r != NULL); /* open calls keep their run */
	loop_timer_clear(broker.loop, &c->timeout);
	row = policy_tool_find(r->policy, str_of(c->tool));
	/* What could not be recorded is not given out. */
	if (c->unrecorded) {
		kind = REPLY_BAD;
		result = STR(STORE_FAILED);
	}
	c->kind = kind;
	buf_add_str(&c->result, result);
	c->finished = true;
	if (!c->not_begun)
		note_failure(r, c);
	if (row != NULL && kind != REPLY_STOPPED)
		policy_result_labels(row, str_of(c->tool), &r->labels);
	if (!durable_first(c->risk, c->approval))
		tell(c);

	ev = record_of(r, EVENT_TOOL_FINISHED);
	ev.step = c->step;
	ev.tool = str_of(c->tool);
	ev.tier = str_of(risk_name(c->risk));
	ev.status = c->simulated && kind == REPLY_OK ? STR("simulated")
						     : str_of(status);
	ev.out.bytes = buf_str(&c->result);
	if (row != NULL && row->n_redact_result > 0) {
		static struct arena arena; /* one result at a time */
		struct err e = {};
		const struct json *v;

		arena_reset(&arena);
		v = json_parse(buf_str(&c->result), NULL, &arena, &e, NULL);
		if (v != NULL)
			redact_write(&shown, v, row->redact_result,
			    row->n_redact_result);
		ev.out.bytes =
		    v != NULL && !shown.failed ? buf_str(&shown) : STR("");
		ev.out.redacted = !str_eq(ev.out.bytes, buf_str(&c->result));
	}
	ev.effect = wrote ? STR("overlay") : STR("none");
	ev.origin = STR("fake");
	if (export_is(str_of(c->tool))) {
		ev.effect = wrote && !c->simulated ? STR("real") : STR("none");
		ev.origin = STR("sandbox");
	}
	ev.ms = (clock_mono_ns() - c->started_ns) / 1000000;
	seq = record_add(&ev);
	if (seq != 0 && durable_first(c->risk, c->approval))
		wait_durable(c, seq);
	else
		answer(c);
}

/* Once: who has been told does not ask any more. */
static void
tell(struct call *c)
{
	static const uint32_t http[] = {
		[REPLY_OK] = 200,
		[REPLY_TOOL_ERROR] = 422,
		[REPLY_REFUSED] = 403,
		[REPLY_STOPPED] = 409,
		[REPLY_PENDING] = 202,
		[REPLY_BAD] = 503,
	};

	reply(c->asker, c->kind, http[c->kind], buf_str(&c->result));
	c->asker = 0;
}

/* The last of a call: its run may close after this. */
static void
answer(struct call *c)
{
	struct run *r = run_find(c->run);

	if (c->approval != 0)
		approval_finished(c->approval, c->kind, buf_str(&c->result));
	tell(c);
	must(r != NULL && r->calls_open > 0);
	r->calls_open--;
	call_free(c);
}

static void
on_timeout(struct loop_timer *t)
{
	struct call *c = LOOP_OF(t, struct call, timeout);
	struct call *mine = take_from_world(c->number);

	must(mine == c);
	finish(c, REPLY_TOOL_ERROR,
	    STR("{\"code\":\"timeout\",\"error\":\"The tool did not answer in "
		"time; it is not known whether the call had an effect.\","
		"\"suggested_next_step\":\"Read the state of things before "
		"trying again.\"}"),
	    false, "timeout");
}

/* True when the run's world has the tool. */
static bool
has_tool(const struct run *r, struct str tool)
{
	if (export_is(tool))
		return r->has_sandbox;
	for (uint32_t i = 0; i < r->n_tools; i++) {
		if (str_eq_c(tool, r->tools[i].name))
			return true;
	}
	return false;
}

/* What changes more than the run's own drafts, or a person has decided. */
static bool
durable_first(enum risk risk, uint64_t approval)
{
	return risk >= RISK_INTERNAL_WRITE || approval != 0;
}

static void
wait_durable(struct call *c, uint64_t seq)
{
	c->wait_seq = seq;
	c->next_durable = NULL;
	*broker.durable_last = c;
	broker.durable_last = &c->next_durable;
	store_hurry(broker.store);
}

static struct call *
take_from_world(uint64_t number)
{
	for (struct call **at = &in_world; *at != NULL; at = &(*at)->next) {
		struct call *c = *at;

		if (c->number == number) {
			*at = c->next;
			c->next = NULL;
			return c;
		}
	}
	return NULL;
}

static void
call_free(struct call *c)
{
	loop_timer_clear(broker.loop, &c->timeout);
	buf_fini(&c->args);
	buf_fini(&c->result);
	free(c->verdict);
	free(c);
}
