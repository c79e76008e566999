#include "broker/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/ambient.h"
#include "broker/approval.h"
#include "broker/box.h"
#include "broker/call_int.h"
#include "broker/capture.h"
#include "broker/command.h"
#include "broker/draft.h"
#include "broker/export.h"
#include "broker/fault.h"
#include "broker/record.h"
#include "broker/rerun.h"
#include "broker/server.h"
#include "broker/spend.h"
#include "broker/who.h"
#include "ipc/api.h"

static void propose(struct run *r, uint64_t asker, struct str tool,
    const struct json *args, struct str own_key);
static void block(struct verdict *v, const char *rule, const char *code,
    const char *reason, const char *next_step);
static void hold_simulated(struct verdict *v);
static void make_draft(struct run *r, uint32_t step, uint64_t asker,
    struct str tool, struct str args, const struct hash *hash);

void
on_tool_call(const struct msg_tool_call *m, struct str payload)
{
	static struct arena arena; /* one request at a time */
	own_buf struct buf named = {};
	const struct json *call, *args;
	struct caller who;
	struct run *r = call_run_of(m, &who);
	struct str tool, own_key;
	struct err e = {};

	if (r == NULL) {
		if (who.who != NULL && !caller_may(&who, API_CALL_SCOPE)) {
			reply_error(m->call, 403, "forbidden",
			    "You may not call tools.",
			    "It takes the scope calls:make. Ask an operator.");
			return;
		}
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
	if (box_holds(r, m, payload) || servers_hold_call(r, m, payload))
		return;
	box_touch(r);
	arena_reset(&arena);
	call = json_parse(payload, NULL, &arena, &e, NULL);
	if (json_get(call, STR("method")) != NULL) {
		server_call_of(r, call, &named);
		call = json_parse(buf_str(&named), NULL, &arena, &e, NULL);
	}
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
	if (!call_heads_ok(
		r, m->call, tool, args, json_get(call, STR("heads"))))
		return;
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
	own_key = json_str(json_get(call, STR("idempotency_key")));
	if (own_key.n >= NAME_MAX_BYTES) {
		reply_error(m->call, 400, "bad_call",
		    "`idempotency_key` is too long.",
		    "Give a key of at most 127 bytes.");
		return;
	}
	if (r->rerun != NULL)
		rerun_call(r, m->call, tool, args);
	else if (!draft_call(r, m->call, tool, args))
		propose(r, m->call, tool, args, own_key);
}

struct hash
call_hash(struct str tool, struct str args)
{
	/* The NUL keeps a name's end from being an argument's start. */
	const struct str pieces[] = { tool, { "", 1 }, args };

	return hash_of_pieces(pieces, 3);
}

/* The run comes from the listener or the token, never from the message. */
struct run *
call_run_of(const struct msg_tool_call *m, struct caller *who)
{
	*who = caller_of((enum door)m->door, m->uid, m->run, &m->token);
	if (!who->known)
		return NULL;
	/* An operator may call in a run's place: what is named is the run. */
	if (who->run == 0)
		return caller_may(who, API_CALL_SCOPE) &&
			caller_sees_run(who, m->run)
		    ? run_find(m->run)
		    : NULL;
	if (m->run != 0 && m->run != who->run)
		return NULL;
	return run_find(who->run);
}

static void
propose(struct run *r, uint64_t asker, struct str tool, const struct json *args,
    struct str own_key)
{
	static struct verdict v; /* large, and used by one call at a time */
	static const uint64_t one_call[BUDGET_KINDS] = {
		[BUDGET_TOOL_CALLS] = 1,
	};
	const struct policy_tool *row = policy_tool_find(r->policy, tool);
	own_buf struct buf canonical = {};
	struct earlier earlier = {};
	enum repeat repeat = REPEAT_NO;
	struct over over;
	bool fits;
	enum budget_kind extends = BUDGET_KINDS;
	struct call *early = NULL, *c;
	struct hash hash;
	bool recorded, probe = false;

	/* Not a call of the run yet: nothing is charged for it. */
	if (store_is_full(broker.store, NULL)) {
		call_tell(asker, REPLY_BAD, STR(STORE_FAILED));
		return;
	}
	fits = spend_take(r, one_call, &over);
	r->steps++;
	json_write(&canonical, args);
	if (canonical.failed || canonical.n > CALL_MAX_ARGS_BYTES) {
		reply_error(asker, 413, "arguments_too_large",
		    "The arguments are over the limit of 1 MiB.",
		    "Put the data into a file and pass its name.");
		return;
	}
	hash = call_hash(tool, buf_str(&canonical));
	if (fits && !call_may_retry(r, row, tool, &hash)) {
		fits = false;
		over = (struct over){ BUDGET_RETRIES, NULL };
	}
	if (fits || spend_may_ask(r, &over, one_call)) {
		call_decide(r, tool, args, &v);
		repeat =
		    call_repeats(r, tool, args, own_key, &hash, &v, &earlier);
		probe = fits && repeat == REPEAT_NO && call_pace(r, &v);
		if (repeat != REPEAT_DONE)
			fits = call_afford(r, tool, &v, fits, &over, &extends);
	}
	if (fits) {
		/*
		 * What changes nothing need not wait for its records: the
		 * world reads while they are written. What may fail on
		 * purpose is answered at once, and has its records before.
		 */
		if (call_runs(&v) && !call_durable_first(v.risk, 0) &&
		    repeat == REPEAT_NO && !earlier.has_key &&
		    !export_is(tool) && !ambient_is(tool) && !faults_any(r) &&
		    call_world_has(r, tool)) {
			early = call_new(r, asker, tool, &canonical, &hash, &v);
			early->probe = probe;
			early->charged = true;
			call_to_world(r, early);
		}
	}
	recorded = call_record_proposal(r, tool, row, args,
	    early != NULL ? buf_str(&early->args) : buf_str(&canonical));
	if (!fits) {
		buf_fini(&earlier.result);
		spend_stop(r, &over);
		reply(asker, REPLY_STOPPED, 409, buf_str(&r->stop_json));
		return;
	}
	recorded = recorded && call_record_decision(r, r->steps, tool, &v);
	if (early != NULL) {
		early->unrecorded =
		    !recorded || call_record_start(r, early) == 0;
		return;
	}
	if (!recorded || repeat == REPEAT_DONE) {
		call_tell(asker, recorded ? earlier.kind : REPLY_BAD,
		    recorded ? buf_str(&earlier.result) : STR(STORE_FAILED));
		buf_fini(&earlier.result);
		return;
	}
	if (export_is(tool) && (call_runs(&v) || v.kind == VERDICT_APPROVE)) {
		c = call_new(r, asker, tool, &canonical, &hash, &v);
		c->probe = probe;
		c->charged = call_runs(&v);
		c->has_idem = earlier.has_key;
		c->idem = earlier.key;
		call_propose_export(r, c, &v, args);
		return;
	}
	switch (v.kind) {
	case VERDICT_BLOCK:
		call_refuse(r, r->steps, asker, tool, &v);
		return;
	case VERDICT_DRAFT:
		make_draft(
		    r, r->steps, asker, tool, buf_str(&canonical), &hash);
		return;
	case VERDICT_APPROVE:
		approval_request(r, r->steps, asker, &v,
		    &(struct approval_ask){
			.extends = extends, .own_key = own_key },
		    tool, args, buf_str(&canonical), &hash);
		return;
	case VERDICT_ALLOW:
	case VERDICT_SIMULATE:
		c = call_new(r, asker, tool, &canonical, &hash, &v);
		c->probe = probe;
		c->charged = true;
		c->has_idem = earlier.has_key;
		c->idem = earlier.key;
		call_execute(r, c);
		return;
	case VERDICTS:
		must(false);
	}
}

void
call_decide(
    struct run *r, struct str tool, const struct json *args, struct verdict *v)
{
	struct policy_call pc = { tool, args, &r->labels,
		clock_utc_ns() / 1000000000, r->prov };
	char reason[REASON_BYTES], next[REASON_BYTES];

	policy_decide(r->policy, &pc, v);
	if (v->kind == VERDICT_BLOCK || v->kind == VERDICT_DRAFT ||
	    call_world_has(r, tool))
		return;
	if (command_is(r, tool)) {
		if (r->rpc_fd < 0)
			block(v, "no sandbox", "no_sandbox",
			    "the tool is a command, and the run has no sandbox "
			    "to execute it in",
			    "Open the run with a command or a sandbox.");
		else
			hold_simulated(v);
		return;
	}
	switch (server_offers(r, tool)) {
	case OFFER_NONE:
		block(v, "no executor", "unknown_tool",
		    "nothing in this run provides the tool",
		    "List the tools and use one of them.");
		return;
	case OFFER_QUARANTINED:
		server_quarantine_why(r, tool, reason, next);
		block(v, "pin", "quarantined", reason, next);
		return;
	case OFFER_GOOD:
		hold_simulated(v);
		return;
	}
}

/* What a server or a command does is real: nothing can do as if. */
static void
hold_simulated(struct verdict *v)
{
	if (v->kind != VERDICT_SIMULATE &&
	    (v->kind != VERDICT_APPROVE || v->approved != VERDICT_SIMULATE))
		return;
	block(v, "no simulation", "not_simulated",
	    "the policy lets the tool be simulated only, and a tool server's "
	    "or a command cannot be",
	    "Work on without it; an operator can raise the policy's stage, or "
	    "give the tool a mode.");
}

static void
block(struct verdict *v, const char *rule, const char *code, const char *reason,
    const char *next_step)
{
	v->kind = VERDICT_BLOCK;
	(void)snprintf(v->rule, sizeof(v->rule), "%s", rule);
	(void)snprintf(v->code, sizeof(v->code), "%s", code);
	v->n_reasons = 1;
	(void)snprintf(v->reasons[0], sizeof(v->reasons[0]), "%s", reason);
	(void)snprintf(v->next_step, sizeof(v->next_step), "%s", next_step);
}

/* True when the run's world has the tool, or it is our own. */
bool
call_world_has(const struct run *r, struct str tool)
{
	if (export_is(tool))
		return r->has_sandbox;
	if (command_is(r, tool))
		return false;
	if (ambient_is(tool))
		return true;
	for (uint32_t i = 0; i < r->n_tools; i++) {
		if (str_eq_c(tool, r->tools[i].name))
			return true;
	}
	return false;
}

void
call_refuse(struct run *r, uint32_t step, uint64_t asker, struct str tool,
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

struct call *
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
	c->known = v->known;
	c->started_ns = clock_mono_ns();
	r->calls_open++;
	return c;
}

void
call_free(struct call *c)
{
	loop_timer_clear(broker.loop, &c->timeout);
	buf_fini(&c->args);
	buf_fini(&c->result);
	buf_fini(&c->late);
	capture_free(c->capture);
	free(c->verdict);
	free(c);
}
