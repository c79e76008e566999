#include "broker/approval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/approval_hook.h"
#include "broker/approval_int.h"
#include "broker/call.h"
#include "broker/draft.h"
#include "broker/egress.h"
#include "broker/export.h"
#include "broker/fault.h"
#include "broker/record.h"
#include "broker/spend.h"

static void note_refused(
    struct run *r, const struct hash *hash, const char *code, uint64_t id);
static struct approval *find_same(
    const struct run *r, const struct hash *hash, uint64_t draft);
static size_t make_why(struct buf *out, const struct run *r, uint32_t step,
    struct str tool, const struct verdict *v,
    const struct policy_approval *rule);
static void hold(struct approval *a, uint64_t call);
static void on_hold_over(struct loop_timer *t);
static void on_deadline(struct loop_timer *t);
static void answer(const struct approval *a, uint64_t call);
static void answer_draft(const struct approval *a, uint64_t call);
static void answer_pending(const struct approval *a, uint64_t call);
static void approval_free(struct approval *a);

bool
approval_request(struct run *r, uint32_t step, uint64_t asker,
    const struct verdict *v, const struct approval_ask *ask, struct str tool,
    const struct json *args, struct str canonical, const struct hash *hash)
{
	const struct policy_approval *rule = v->tool->approval;
	struct approval *a = find_same(r, hash, ask->draft);
	own_buf struct buf shown = {}, why = {};
	size_t preview_at;

	/* Asking again for what is being decided does not make it two. */
	if (a != NULL) {
		hold(a, asker);
		return false;
	}
	/* Who may decide such a call, and who may give a run more. */
	if (ask->extends != BUDGET_KINDS)
		rule = policy_approval_both(
		    &r->rules, rule, r->policy->budget_approval);
	redact_write(
	    &shown, args, v->tool->redact_args, v->tool->n_redact_args);
	preview_at = make_why(&why, r, step, tool, v, rule);
	a = approval_open(r,
	    &(struct approval_about){
		.step = step,
		.tool = tool,
		.risk = v->risk,
		.simulated = v->approved == VERDICT_SIMULATE,
		.extends = ask->extends,
		.own_key = ask->own_key,
		.draft = ask->draft,
		.rule = rule,
		.args = canonical,
		.args_shown = buf_str(&shown),
		.hash = *hash,
		.why = buf_str(&why),
		.preview_at = preview_at,
	    });
	if (a == NULL) {
		reply_error(asker, 503, "store_failed",
		    "The store takes no more records: nothing was done.",
		    "An operator must look at the disk.");
		return false;
	}
	faults_approval(r, a);
	hold(a, asker);
	if (a->rule->preview && !export_is(tool))
		approval_preview(a, r, v->tool);
	return true;
}

struct approval *
approval_open(struct run *r, const struct approval_about *about)
{
	struct approval *a = calloc(1, sizeof(*a));
	struct event ev = record_of(r, EVENT_APPROVAL_REQUESTED);
	own_buf struct buf body = {};

	must(a != NULL);
	a->id = random_id();
	id_text('a', a->id, a->text);
	a->run = r->id;
	a->step = about->step;
	a->ask = about->ask;
	must(str_copy(about->tool, a->tool, sizeof(a->tool)) == 0);
	a->risk = about->risk;
	a->simulated = about->simulated;
	a->extends = about->extends;
	a->draft = about->draft;
	must(str_copy(about->own_key, a->own_key, sizeof(a->own_key)) == 0);
	a->rule = about->rule;
	buf_add_str(&a->args, about->args);
	buf_add_str(&a->args_shown, about->args_shown);
	a->hash = a->asked_hash = about->hash;
	buf_add_str(&a->why, about->why);
	a->preview_at = about->preview_at;
	a->requested_ns = clock_utc_ns();
	a->deadline_ns =
	    a->requested_ns + (int64_t)a->rule->deadline_ms * 1000000;
	a->deadline.on_time = on_deadline;
	loop_timer_set(broker.loop, &a->deadline,
	    clock_mono_ns() + (int64_t)a->rule->deadline_ms * 1000000);
	a->next = broker.approvals;
	broker.approvals = a;

	buf_printf(&body,
	    "{\"approval\":\"%s\",\"deadline_ms\":%lld,"
	    "\"quorum\":%u}",
	    a->text, (long long)(a->deadline_ns / 1000000), a->rule->quorum);
	ev.step = a->step;
	ev.tool = about->tool;
	ev.tier = str_of(risk_name(a->risk));
	ev.body = buf_str(&body);
	if (record_add(&ev) == 0 || approval_store(a) < 0) {
		a->state = APPROVAL_CANCELLED;
		loop_timer_clear(broker.loop, &a->deadline);
		return NULL;
	}
	run_wait_begin(r);
	approval_hooks_tell(a, r);
	return a;
}

void
approval_withdraw(struct run *r, uint64_t id, const char *why)
{
	struct approval *a = approval_find(id);

	if (a == NULL || a->state != APPROVAL_PENDING)
		return;
	(void)str_copy(str_of(why), a->reason, sizeof(a->reason));
	(void)approval_record(a, r, "paddock", "withdraw", false);
	approval_end(a, r, APPROVAL_CANCELLED);
}

void
approval_hold(
    struct run *r, uint64_t asker, struct str id_text_, const struct hash *hash)
{
	struct approval *a = NULL;
	uint64_t id = 0;

	if (id_parse('a', id_text_, &id) == 0)
		a = approval_find(id);
	/* Another run's approval is as unknown as none at all. */
	if (a == NULL || a->run != r->id) {
		note_refused(r, hash, "unknown_approval", 0);
		reply_error(asker, 404, "unknown_approval",
		    "This run has no such approval.",
		    "Give the approval_id that the call answered.");
		return;
	}
	if (hash != NULL && !hash_eq(hash, &a->asked_hash)) {
		note_refused(r, hash, "another_call", id);
		reply_error(asker, 409, "another_call",
		    "That approval was asked for another call.",
		    "Repeat the call with the very same name and arguments.");
		return;
	}
	if (a->state == APPROVAL_PENDING ||
	    (a->state == APPROVAL_APPROVED && a->draft == 0))
		hold(a, asker);
	else
		answer(a, asker);
}

/*
 * Of a call that came with the state of another, or with none of ours. An
 * honest client gives back what it was given, so the first are worth a look;
 * who tries for ever fills no store.
 */
static void
note_refused(
    struct run *r, const struct hash *hash, const char *code, uint64_t id)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};
	char text[ID_BYTES];

	if (hash == NULL || r->states_refused >= APPROVAL_REFUSED_MAX)
		return;
	r->states_refused++;
	buf_add_byte(&body, '{');
	if (id != 0) {
		id_text('a', id, text);
		buf_printf(&body, "\"approval\":\"%s\",", text);
	}
	buf_printf(&body, "\"code\":\"%s\",\"note\":\"state_refused\"}", code);
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* nothing was done */
}

void
approval_finished(uint64_t id, enum reply_kind kind, struct str result)
{
	struct approval *a = approval_find(id);

	if (a == NULL)
		return;
	a->kind = kind;
	buf_add_str(&a->result, result);
	a->state = reply_is_result(kind) ? APPROVAL_EXECUTED : APPROVAL_FAILED;
	(void)approval_store(a); /* its records say the same */
	approval_answer_all(a);
}

void
approval_cancel_run(struct run *r)
{
	for (struct approval *a = broker.approvals; a != NULL; a = a->next) {
		if (a->run == r->id && a->state == APPROVAL_PENDING)
			approval_end(a, r, APPROVAL_CANCELLED);
	}
}

void
approval_free_run(uint64_t run)
{
	struct approval **at = &broker.approvals;

	while (*at != NULL) {
		struct approval *a = *at;

		if (a->run != run) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		approval_free(a);
	}
}

void
approval_gone(uint64_t call)
{
	for (struct approval *a = broker.approvals; a != NULL; a = a->next) {
		for (int i = 0; i < HOLDERS_MAX; i++) {
			struct holder *h = &a->holders[i];

			if (h->call == call && call != 0) {
				h->call = 0;
				loop_timer_clear(broker.loop, &h->until);
			}
		}
	}
}

struct approval *
approval_find(uint64_t id)
{
	for (struct approval *a = broker.approvals; a != NULL; a = a->next) {
		if (a->id == id)
			return a;
	}
	return NULL;
}

void
approval_end(struct approval *a, struct run *r, enum approval_state state)
{
	must(a->state == APPROVAL_PENDING && state != APPROVAL_PENDING);
	a->state = state;
	loop_timer_clear(broker.loop, &a->deadline);
	approval_hooks_end(a);
	run_wait_end(r);
	(void)approval_store(a); /* its records say the same */
	if (state == APPROVAL_APPROVED)
		return;
	if (a->ask != 0)
		egress_refused(r, a);
	else if (a->draft != 0)
		draft_refused(r, a);
	else
		export_forget(a->run, a->step);
	approval_answer_all(a);
}

void
approval_answer_all(struct approval *a)
{
	for (int i = 0; i < HOLDERS_MAX; i++) {
		struct holder *h = &a->holders[i];
		uint64_t call = h->call;

		if (call == 0)
			continue;
		h->call = 0;
		loop_timer_clear(broker.loop, &h->until);
		answer(a, call);
	}
}

const char *
approval_state_name(enum approval_state s)
{
	static const char *const names[] = { "pending", "approved", "rejected",
		"expired", "cancelled", "executed", "failed" };

	return names[s];
}

void
approval_escalate(struct approval *a, const struct run *r, const char *by)
{
	const struct policy_approval *to = a->rule->escalate_to;

	a->escalated = true;
	if (to != NULL) {
		/* Votes were of those who may vote no longer. */
		a->rule = to;
		a->n_votes = 0;
		a->deadline_ns =
		    clock_utc_ns() + (int64_t)to->deadline_ms * 1000000;
		loop_timer_set(broker.loop, &a->deadline,
		    clock_mono_ns() + (int64_t)to->deadline_ms * 1000000);
	}
	(void)approval_record(a, r, by, "escalate", false);
	approval_hooks_tell(a, r);
	(void)approval_store(a); /* its records say the same */
}

void
approval_not_extended(const struct approval *a, struct run *r)
{
	const struct over over = { a->extends, NULL };

	if (a->extends != BUDGET_KINDS)
		spend_stop(r, &over);
}

static struct approval *
find_same(const struct run *r, const struct hash *hash, uint64_t draft)
{
	for (struct approval *a = broker.approvals; a != NULL; a = a->next) {
		if (a->run == r->id && a->state == APPROVAL_PENDING &&
		    a->draft == draft && hash_eq(&a->asked_hash, hash))
			return a;
	}
	return NULL;
}

/* What a reviewer needs besides the call itself; where a preview stands. */
static size_t
make_why(struct buf *out, const struct run *r, uint32_t step, struct str tool,
    const struct verdict *v, const struct policy_approval *rule)
{
	size_t preview_at;

	buf_add_c(out, "\"labels\":");
	labels_write(out, &r->labels);
	preview_at = out->n;
	if (export_is(tool)) {
		buf_add_c(out, ",\"preview\":");
		export_preview(out, r, step);
	}
	if (v->prov.n > 0) {
		buf_add_c(out, ",\"provenance\":");
		prov_write(out, &v->prov);
	}
	buf_printf(out, ",\"quorum\":%u,\"reasons\":[", rule->quorum);
	for (uint32_t i = 0; i < v->n_reasons; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, str_of(v->reasons[i]));
	}
	buf_printf(out, "],\"risk\":\"%s\",\"rule\":", risk_name(v->risk));
	json_put_str(out, str_of(v->rule));
	return preview_at;
}

/* Keeps the request open until the decision, or for a while. */
static void
hold(struct approval *a, uint64_t call)
{
	if (a->late_until_ns > clock_mono_ns()) {
		answer_pending(a, call);
		return;
	}
	for (int i = 0; i < HOLDERS_MAX; i++) {
		struct holder *h = &a->holders[i];

		if (h->call != 0)
			continue;
		h->call = call;
		h->of = a;
		h->until.on_time = on_hold_over;
		loop_timer_set(broker.loop, &h->until,
		    clock_mono_ns() + (int64_t)APPROVAL_HOLD_MS * 1000000);
		return;
	}
	answer_pending(a, call);
}

static void
on_hold_over(struct loop_timer *t)
{
	struct holder *h = LOOP_OF(t, struct holder, until);
	uint64_t call = h->call;

	h->call = 0;
	answer_pending(h->of, call);
}

static void
on_deadline(struct loop_timer *t)
{
	struct approval *a = LOOP_OF(t, struct approval, deadline);
	struct run *r = run_find(a->run);

	must(r != NULL); /* a run's approvals end before it does */
	if (a->denied) {
		(void)str_copy(STR("Denied on purpose: a failure that was "
				   "asked for."),
		    a->reason, sizeof(a->reason));
		(void)approval_record(a, r, "paddock", "reject", false);
		approval_end(a, r, APPROVAL_REJECTED);
		approval_not_extended(a, r);
		return;
	}
	if (a->rule->on_timeout == ON_TIMEOUT_ESCALATE) {
		a->unlimited = a->rule->escalate_to == NULL;
		approval_escalate(a, r, "paddock");
		return;
	}
	(void)approval_record(a, r, "paddock", "expire", false);
	approval_end(a, r, APPROVAL_EXPIRED);
	if (a->rule->on_timeout == ON_TIMEOUT_HALT)
		run_stop(r, "approval_expired", STR(""), false);
	else
		approval_not_extended(a, r);
}

/* What an agent reads of an approval that has ended. */
static void
answer(const struct approval *a, uint64_t call)
{
	const struct run *r = run_find(a->run);
	own_buf struct buf out = {};
	const char *code = "", *next = "";
	struct str reason = str_of(a->reason);

	switch (a->state) {
	case APPROVAL_APPROVED:
		if (a->draft != 0) {
			answer_draft(a, call);
			return;
		}
		answer_pending(a, call);
		return;
	case APPROVAL_PENDING:
		answer_pending(a, call);
		return;
	case APPROVAL_EXECUTED:
	case APPROVAL_FAILED:
		reply(call, a->kind,
		    reply_is_result(a->kind)	   ? 200
			: a->kind == REPLY_STOPPED ? 409
						   : 422,
		    buf_str(&a->result));
		return;
	case APPROVAL_CANCELLED:
		reply(call, REPLY_STOPPED, 409,
		    r != NULL && r->stop_json.n > 0
			? buf_str(&r->stop_json)
			: STR("{\"reason\":\"run_closed\",\"status\":"
			      "\"stopped\"}"));
		return;
	case APPROVAL_REJECTED:
		code = "rejected";
		next = "Do not try the same again; work on without it.";
		if (reason.n == 0)
			reason = STR("A reviewer said no.");
		break;
	case APPROVAL_EXPIRED:
		code = "approval_expired";
		next = "Work on without it, or tell the user that nobody "
		       "decided in time.";
		reason = STR("Nobody decided before the deadline.");
		break;
	}
	buf_printf(&out,
	    "{\"approval_id\":\"%s\",\"code\":\"%s\",\"reason\":", a->text,
	    code);
	json_put_str(&out, reason);
	buf_printf(&out,
	    ",\"status\":\"refused\",\"step\":%u,\"suggested_next_step\":",
	    a->step);
	json_put_str(&out, str_of(next));
	buf_add_c(&out, ",\"tool\":");
	json_put_str(&out, str_of(a->tool));
	buf_add_byte(&out, '}');
	reply(call, REPLY_REFUSED, 403, buf_str(&out));
}

/* Nothing is done before its commit. */
static void
answer_draft(const struct approval *a, uint64_t call)
{
	own_buf struct buf out = {};
	char id[ID_BYTES];

	id_text('d', a->draft, id);
	buf_printf(&out,
	    "{\"approval_id\":\"%s\",\"draft_id\":\"%s\",\"status\":"
	    "\"approved\",\"suggested_next_step\":\"Commit the draft with "
	    "commit_approved_draft.\"}",
	    a->text, id);
	reply(call, REPLY_OK, 200, buf_str(&out));
}

static void
answer_pending(const struct approval *a, uint64_t call)
{
	own_buf struct buf out = {};

	buf_printf(&out,
	    "{\"approval_id\":\"%s\",\"deadline_ms\":%lld,\"status\":"
	    "\"pending_approval\",\"step\":%u,\"suggested_next_step\":\"A "
	    "person has to decide. Ask again with approval.wait, or repeat "
	    "the call with its state.\",\"tool\":",
	    a->text, (long long)(a->deadline_ns / 1000000), a->step);
	json_put_str(&out, str_of(a->tool));
	buf_add_byte(&out, '}');
	reply(call, REPLY_PENDING, 202, buf_str(&out));
}

static void
approval_free(struct approval *a)
{
	loop_timer_clear(broker.loop, &a->deadline);
	for (int i = 0; i < HOLDERS_MAX; i++)
		loop_timer_clear(broker.loop, &a->holders[i].until);
	buf_fini(&a->args);
	buf_fini(&a->args_shown);
	buf_fini(&a->why);
	buf_fini(&a->preview);
	buf_fini(&a->decisions);
	buf_fini(&a->result);
	free(a);
}
