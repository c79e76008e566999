#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/ambient.h"
#include "broker/approval.h"
#include "broker/call.h"
#include "broker/call_int.h"
#include "broker/capture.h"
#include "broker/command.h"
#include "broker/draft.h"
#include "broker/export.h"
#include "broker/idem.h"
#include "broker/record.h"
#include "broker/server.h"
#include "broker/subscribe.h"

static struct call *in_world; /* what world or servers are answering */
static bool ending; /* all of them end now */

static const struct json *parse(struct str result);
static void tell(struct call *c);
static void answer(struct call *c);
static bool happened(const struct call *c, const char *status, bool wrote);
static void on_timeout(struct loop_timer *t);
static void to_server(
    struct run *r, struct call *c, const struct policy_tool *row);

void
on_world_result(const struct msg_world_result *m, struct str payload)
{
	struct call *c = call_take(m->call);

	if (c == NULL)
		return; /* timed out, and answered then */
	if (call_fault_after(c, m->ok != 0, m->wrote != 0, payload))
		return;
	call_finish(c, m->ok ? REPLY_OK : REPLY_TOOL_ERROR, payload,
	    m->wrote != 0, m->ok ? "ok" : "error");
}

void
on_server_result(const struct msg_server_result *m, struct str payload)
{
	const enum server_result kind = (enum server_result)m->kind;
	struct call *c;

	if (capture_result(m, payload) || subscribe_result(m, payload))
		return;
	c = call_take(m->call);
	if (c == NULL)
		return; /* timed out, and answered then */
	if (!capture_after(c, kind, payload))
		call_server_answered(c, kind, payload);
}

void
call_server_answered(
    struct call *c, enum server_result kind, struct str payload)
{
	if (call_fault_after(c, kind == SERVER_DONE, true, payload))
		return;
	switch (kind) {
	case SERVER_DONE:
		call_finish(c, REPLY_CONTENT, payload, true, "ok");
		return;
	case SERVER_DONE_ERROR:
		call_finish(c, REPLY_CONTENT_ERROR, payload, true, "error");
		return;
	case SERVER_NO_ANSWER:
		break;
	}
	call_finish(c, REPLY_TOOL_ERROR, payload, true, "unknown");
}

struct call *
call_first_of(const struct tool_server *s)
{
	struct call *c = in_world;

	while (c != NULL && (c->server != s || c->command != 0))
		c = c->next;
	return c;
}

struct call *
call_next_of(const struct call *c, const struct tool_server *s)
{
	do
		c = c->next;
	while (c != NULL && c->server != s);
	return (struct call *)(uintptr_t)c;
}

struct call *
call_first_command(const struct call *c)
{
	struct call *next = c != NULL ? c->next : in_world;

	while (next != NULL && next->command == 0)
		next = next->next;
	return next;
}

void
server_calls_end(struct tool_server *s, const char *why, bool stays)
{
	struct call *next;

	capture_server_gone(s);
	for (struct call *c = call_first_of(s); c != NULL; c = next) {
		own_buf struct buf out = {};
		const bool unsent = c->unsent;

		next = call_next_of(c, s);
		if (unsent && stays)
			continue;
		buf_add_c(&out, "{\"code\":\"server_ended\",\"error\":\"");
		buf_add_c(&out, why);
		buf_add_c(&out,
		    unsent ? "; the call was not made."
			   : "; it is not known whether the call had an "
			     "effect.");
		buf_add_c(&out,
		    "\",\"suggested_next_step\":\"Read the state of things "
		    "before trying again.\"}");
		c = call_take(c->number);
		must(c != NULL);
		c->not_begun = unsent;
		if (!unsent)
			(void)capture_after(c, SERVER_NO_ANSWER,
			    STR("")); /* that there is none */
		call_finish(c, REPLY_TOOL_ERROR, buf_str(&out), !unsent,
		    unsent ? "error" : "unknown");
	}
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
			call_to_world(r, c);
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
	struct call *c;

	ending = true;
	while ((c = call_first_of(NULL)) != NULL) {
		c = call_take(c->number);

		call_finish(c, REPLY_TOOL_ERROR,
		    STR("{\"code\":\"unknown\",\"error\":\"The tool's service "
			"ended before it answered; it is not known whether "
			"the call had an effect.\",\"suggested_next_step\":"
			"\"Ask a person to check before trying again.\"}"),
		    false, "unknown");
	}
	ending = false;
}

bool
call_ending(void)
{
	return ending;
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
			call_wait_durable(c, c->wait_seq);
		else
			call_finish(c, REPLY_TOOL_ERROR,
			    STR("{\"code\":\"not_begun\",\"error\":\"The run "
				"ended before the call began.\","
				"\"suggested_next_step\":\"Open another run."
				"\"}"),
			    false, "blocked");
	}
	call_world_lost();
	commands_lost(NULL);
	for (struct run *r = broker.runs; r != NULL; r = r->next)
		servers_end(r);
}

void
call_execute_approved(struct run *r, const struct approval *a)
{
	struct call *c = calloc(1, sizeof(*c));
	struct over over;

	must(c != NULL);
	c->run = r->id;
	c->step = a->step;
	memcpy(c->tool, a->tool, sizeof(c->tool));
	buf_add_str(&c->args, buf_str(&a->args));
	c->args_hash = a->hash;
	c->risk = a->risk;
	c->simulated = a->simulated;
	c->approval = a->id;
	c->known = true;
	c->started_ns = clock_mono_ns(); /* a person's time is not its own */
	r->calls_open++;
	if (call_repeats_approved(r, c, a))
		return;
	c->charged = call_afford_approved(r, a, &over);
	if (!c->charged) {
		spend_stop(r, &over);
		c->not_begun = true;
		call_finish(
		    c, REPLY_STOPPED, buf_str(&r->stop_json), false, "blocked");
		return;
	}
	call_execute(r, c);
}

void
call_execute(struct run *r, struct call *c)
{
	/* That it begins is in the store no later than its record. */
	bool begins = !c->has_idem || idem_begin(r, c);
	uint64_t seq = begins ? call_record_start(r, c) : 0;

	if (seq == 0) {
		c->kind = REPLY_BAD;
		buf_add_c(&c->result, STORE_FAILED);
		answer(c);
		return;
	}
	if (call_durable_first(c->risk, c->approval) ||
	    !call_world_has(r, str_of(c->tool)))
		call_wait_durable(c, seq);
	else
		call_to_world(r, c);
}

void
call_to_world(struct run *r, struct call *c)
{
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(c->tool));
	struct msg_world_call m = {
		.run = c->run,
		.now_ns = clock_utc_ns(),
	};
	own_buf struct buf payload = {};
	int64_t ms = WORLD_TIMEOUT_MS;

	/* Stopped while its record went to disk: it has not begun. */
	if (r->state != RUN_OPEN && r->state != RUN_OPENING) {
		call_finish(
		    c, REPLY_STOPPED, buf_str(&r->stop_json), false, "blocked");
		return;
	}
	if (call_fault_before(r, c))
		return;
	if (ambient_is(str_of(c->tool))) {
		own_buf struct buf out = {};
		const bool ok = ambient_answer(
		    &out, str_of(c->tool), parse(buf_str(&c->args)));

		if (!call_fault_after(c, ok, false, buf_str(&out)))
			call_finish(c, ok ? REPLY_OK : REPLY_TOOL_ERROR,
			    buf_str(&out), false, ok ? "ok" : "error");
		return;
	}
	if (export_is(str_of(c->tool))) {
		own_buf struct buf out = {};
		enum reply_kind kind = export_write(r, c, &out);

		if (call_fault_after(
			c, kind == REPLY_OK, kind == REPLY_OK, buf_str(&out)))
			return;
		call_finish(c, kind, buf_str(&out), kind == REPLY_OK,
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
	if (command_is(r, str_of(c->tool))) {
		command_make(r, c, row);
		return;
	}
	if (!call_world_has(r, str_of(c->tool))) {
		to_server(r, c, row);
		return;
	}
	call_await(c, ms, on_timeout);
	m.call = c->number;
	(void)peer_send(&broker.world, MSG_WORLD_CALL, &m, buf_str(&payload),
	    NULL, 0); /* a world that is gone ends its calls */
}

/* A server may have changed since it was decided: then nothing is done. */
static void
to_server(struct run *r, struct call *c, const struct policy_tool *row)
{
	int64_t ms = row != NULL ? row->timeout_ms : POLICY_TOOL_TIMEOUT_MS;
	int64_t cap;

	if (server_offers(r, str_of(c->tool)) != OFFER_GOOD) {
		c->not_begun = true;
		call_finish(c, REPLY_TOOL_ERROR,
		    STR("{\"code\":\"unknown_tool\",\"error\":\"The tool "
			"server does not offer the tool any more as it did; "
			"the call was not made.\",\"suggested_next_step\":"
			"\"List the tools and use one of them.\"}"),
		    false, "error");
		return;
	}
	/* Who talks to it has the first word on what is late. */
	cap = server_cap_ms(r, str_of(c->tool));
	if (ms > cap)
		ms = cap;
	call_await(c, ms + SERVER_LATE_MS, on_timeout);
	server_call_make(r, c, &ms);
	if (server_is_over(c)) {
		server_calls_end(c->server,
		    "The tool server has ended, and is not started again",
		    false);
		return;
	}
}

void
call_finish(struct call *c, enum reply_kind kind, struct str result, bool wrote,
    const char *status)
{
	struct run *r = run_find(c->run);
	struct event ev;
	own_buf struct buf shown = {}, body = {};
	const struct policy_tool *row;
	uint64_t seq;
	bool waits;

	must(r != NULL); /* open calls keep their run */
	loop_timer_clear(broker.loop, &c->timeout);
	if (c->server != NULL)
		server_call_over(c);
	if (call_try_again(r, c, kind, result, status))
		return;
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
		call_note_failure(r, c);
	call_settle(r, c, row, &body);
	if (row != NULL && kind != REPLY_STOPPED)
		policy_result_labels(row, str_of(c->tool), &r->labels);
	if (r->prov != NULL && result.n <= PROV_PARSE_BYTES) {
		const struct json *v = parse(buf_str(&c->result));

		if (v != NULL)
			prov_result(r->prov, c->step,
			    kind == REPLY_OK ? row : NULL, v, c->known);
	}
	/* So that who asks in turn asks no faster than the disk takes it. */
	waits = call_durable_first(c->risk, c->approval) ||
	    store_is_behind(broker.store);
	if (!waits)
		tell(c);

	ev = record_of(r, EVENT_TOOL_FINISHED);
	ev.step = c->step;
	ev.tool = str_of(c->tool);
	ev.tier = str_of(risk_name(c->risk));
	ev.status = c->simulated && kind == REPLY_OK ? STR("simulated")
						     : str_of(status);
	ev.out.bytes = buf_str(&c->result);
	if (row != NULL && row->n_redact_result > 0) {
		const struct json *v = parse(buf_str(&c->result));

		if (v != NULL)
			redact_write(&shown, v, row->redact_result,
			    row->n_redact_result);
		ev.out.bytes =
		    v != NULL && !shown.failed ? buf_str(&shown) : STR("");
		ev.out.redacted = !str_eq(ev.out.bytes, buf_str(&c->result));
	}
	ev.effect = wrote ? STR("overlay") : STR("none");
	ev.origin = STR("fake");
	if (c->server != NULL) {
		/* What its risk says: the server itself is not believed. */
		ev.effect =
		    wrote && c->risk > RISK_READ ? STR("real") : STR("none");
		ev.origin = STR("server");
	}
	if (c->command != 0) {
		/* What leaves the sandbox has records of its own. */
		ev.effect =
		    wrote && c->risk > RISK_READ ? STR("overlay") : STR("none");
		ev.origin = STR("sandbox");
	}
	if (export_is(str_of(c->tool))) {
		ev.effect = wrote && !c->simulated ? STR("real") : STR("none");
		ev.origin = STR("sandbox");
	}
	if (ambient_is(str_of(c->tool)))
		ev.origin = STR("paddock");
	if (c->fault != NULL)
		ev.origin = STR("fault");
	ev.ms = (clock_mono_ns() - c->started_ns) / 1000000;
	if (c->draft != 0)
		draft_ended(r, c, happened(c, status, wrote));
	if (strcmp(status, "repeated") == 0)
		ev.origin = STR("recorded");
	ev.body = buf_str(&body);
	if (c->has_idem)
		idem_end(c, happened(c, status, wrote),
		    strcmp(status, "ok") == 0 || strcmp(status, "error") == 0,
		    ev.out.bytes);
	/* An end without a beginning is none. */
	seq = c->unrecorded ? 0 : record_add(&ev);
	if (seq != 0 && waits)
		call_wait_durable(c, seq);
	else
		answer(c);
}

/* A tool that says it has changed nothing, or was not asked, has not. */
static bool
happened(const struct call *c, const char *status, bool wrote)
{
	return !c->not_begun && c->kind != REPLY_STOPPED && !c->unrecorded &&
	    (wrote || strcmp(status, "error") != 0);
}

/* One result at a time; NULL when it is none. */
static const struct json *
parse(struct str result)
{
	static struct arena arena;
	struct err e = {};

	arena_reset(&arena);
	return json_parse(result, NULL, &arena, &e, NULL);
}

bool
call_durable_first(enum risk risk, uint64_t approval)
{
	return risk >= RISK_INTERNAL_WRITE || approval != 0;
}

void
call_tell(uint64_t asker, enum reply_kind kind, struct str result)
{
	static const uint32_t http[] = {
		[REPLY_OK] = 200,
		[REPLY_TOOL_ERROR] = 422,
		[REPLY_REFUSED] = 403,
		[REPLY_STOPPED] = 409,
		[REPLY_PENDING] = 202,
		[REPLY_BAD] = 503,
		[REPLY_CONTENT] = 200,
		[REPLY_CONTENT_ERROR] = 422,
	};

	reply(asker, kind, http[kind], result);
}

/* Once: who has been told does not ask any more. */
static void
tell(struct call *c)
{
	call_tell(c->asker, c->kind, buf_str(&c->result));
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
	struct call *mine = call_take(c->number);

	must(mine == c);
	if (c->unsent) {
		c->not_begun = true;
		call_finish(c, REPLY_TOOL_ERROR,
		    STR("{\"code\":\"timeout\",\"error\":\"The tool server was "
			"busy, or away, for too long; the call was not made.\","
			"\"suggested_next_step\":\"Try again.\"}"),
		    false, "timeout");
		return;
	}
	call_finish(c, REPLY_TOOL_ERROR,
	    STR("{\"code\":\"timeout\",\"error\":\"The tool did not answer in "
		"time; it is not known whether the call had an effect.\","
		"\"suggested_next_step\":\"Read the state of things before "
		"trying again.\"}"),
	    false, "timeout");
}

void
call_wait_durable(struct call *c, uint64_t seq)
{
	c->wait_seq = seq;
	c->next_durable = NULL;
	*broker.durable_last = c;
	broker.durable_last = &c->next_durable;
	store_hurry(broker.store);
}

void
call_await(struct call *c, int64_t ms, void (*on_time)(struct loop_timer *t))
{
	c->number = ++broker.next_call;
	c->next = in_world;
	in_world = c;
	c->timeout.on_time = on_time;
	call_rearm(c, ms);
}

void
call_rearm(struct call *c, int64_t ms)
{
	loop_timer_set(
	    broker.loop, &c->timeout, loop_now_ns(broker.loop) + ms * 1000000);
}

struct call *
call_take(uint64_t number)
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
