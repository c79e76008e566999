/*
 * People's side of approvals: what they see, and what they may decide.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "broker/approval_int.h"
#include "broker/call.h"
#include "broker/draft.h"
#include "broker/egress.h"
#include "broker/record.h"
#include "broker/who.h"

struct decision {
	struct approval *a;
	struct run *r;
	const struct caller *who;
	uint64_t call;
	const struct json *args;
};

/* Rows of the store, as somebody may see them. */
struct rows {
	const struct caller *who;
	struct buf *out;
};

static bool may_vote(const struct decision *d, bool again_is_bad);
static bool same_vote(const struct approval *a, const char *name);
static void approve(struct decision *d);
static bool take_edit(struct decision *d);
static void note_decision(
    struct approval *a, const char *by, const char *verdict);
static bool edit_allowed(const struct policy_approval *rule, struct str key);
static bool still_allowed(const struct decision *d, struct str args);
static void execute(struct decision *d);
static void reject(struct decision *d, bool terminate);
static void escalate(struct decision *d);
static void answer(const struct decision *d);
static bool on_row(void *arg, const struct store_approval *row);
static void write_row(struct buf *out, const struct store_approval *row);
static void detail_write(
    struct buf *out, const struct approval *a, bool stored);

void
approval_list(const struct caller *who, uint64_t call, const struct json *args)
{
	own_buf struct buf out = {};
	struct rows rows = { who, &out };
	struct str state = json_str(json_get(args, STR("state")));
	struct err e = {};

	if (state.n == 0)
		state = STR("pending");
	buf_add_c(&out, "{\"approvals\":[");
	if (str_eq(state, STR("pending"))) {
		for (const struct approval *a = broker.approvals; a != NULL;
		     a = a->next) {
			if (a->state != APPROVAL_PENDING ||
			    !caller_sees_run(who, a->run))
				continue;
			if (out.p[out.n - 1] != '[')
				buf_add_byte(&out, ',');
			approval_write(&out, a);
		}
	} else if (store_approvals(broker.store, 0,
		       str_eq(state, STR("all")) ? STR("") : state, on_row,
		       &rows, &e) < 0) {
		reply_error(call, 500, "store_failed", e.text,
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	buf_add_c(&out, "]}");
	reply(call, REPLY_OK, 200, buf_str(&out));
}

void
approval_get(const struct caller *who, uint64_t call, const struct json *args)
{
	own_buf struct buf out = {};
	struct rows rows = { who, &out };
	uint64_t id = 0;
	const struct approval *a = NULL;
	struct err e = {};

	if (id_parse('a', json_str(json_get(args, STR("approval"))), &id) == 0)
		a = approval_find(id);
	if (who->approval != 0 && who->approval != id)
		id = 0;
	if (id != 0 && a != NULL && caller_sees_run(who, a->run))
		approval_write(&out, a);
	else if (a == NULL && id != 0 &&
	    store_approvals(broker.store, id, STR(""), on_row, &rows, &e) < 0) {
		reply_error(call, 500, "store_failed", e.text,
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	if (out.n == 0) {
		reply_error(call, 404, "unknown_approval",
		    "There is no such approval.",
		    "`paddock approvals` lists those that are pending.");
		return;
	}
	reply(call, REPLY_OK, 200, buf_str(&out));
}

void
approval_decide(
    const struct caller *who, uint64_t call, const struct json *args)
{
	static const char *const known[] = { "approve", "approve_edited",
		"reject", "escalate", "terminate" };
	struct str verdict = json_str(json_get(args, STR("verdict")));
	struct decision d = { .who = who, .call = call, .args = args };
	uint64_t id = 0;
	int which = -1;

	for (int i = 0; i < 5; i++) {
		if (str_eq_c(verdict, known[i]))
			which = i;
	}
	if (which < 0) {
		reply_error(call, 400, "bad_verdict",
		    "`verdict` is none of the known ones.",
		    "Say approve, approve_edited, reject, escalate or "
		    "terminate.");
		return;
	}
	if (id_parse('a', json_str(json_get(args, STR("approval"))), &id) == 0)
		d.a = approval_find(id);
	d.r = d.a != NULL ? run_find(d.a->run) : NULL;
	/* Another tenant's is as unknown as none at all. */
	if (d.a == NULL || d.r == NULL || !caller_sees_run(who, d.r->id) ||
	    (who->approval != 0 && who->approval != id)) {
		reply_error(call, 404, "unknown_approval",
		    "No such approval is open.",
		    "`paddock approvals --all` lists them all.");
		return;
	}
	if (d.a->state != APPROVAL_PENDING) {
		char text[96];

		(void)snprintf(text, sizeof(text), "It is %s already.",
		    approval_state_name(d.a->state));
		reply_error(
		    call, 409, "decided", text, "Nothing is left to decide.");
		return;
	}
	if (who->approval != 0 && which != 0 && which != 2) {
		reply_error(call, 403, "forbidden",
		    "A reply link says approve or reject.",
		    "Use a token of your own for anything else.");
		return;
	}
	if (which <= 1 && d.r->box.paused) {
		/* Nothing of it happens until it goes on. */
		reply_error(call, 409, "paused", "The run is paused.",
		    "Resume it first, with `paddock resume`; a no is taken "
		    "now.");
		return;
	}
	/* A no may follow a yes, and an edit begins the votes anew. */
	if (!may_vote(&d, which == 0))
		return;
	(void)str_copy(json_str(json_get(args, STR("reason"))), d.a->reason,
	    sizeof(d.a->reason)); /* a longer one is left out */
	if (which == 0 || (which == 1 && take_edit(&d)))
		approve(&d);
	else if (which == 2 || which == 4)
		reject(&d, which == 4);
	else if (which == 3)
		escalate(&d);
}

void
approval_write(struct buf *out, const struct approval *a)
{
	own_buf struct buf body = {};
	struct store_approval row = {
		.id = a->id,
		.run = a->run,
		.step = a->step,
		.tool = str_of(a->tool),
		.state = str_of(approval_state_name(a->state)),
		.args = buf_str(&a->args),
		.args_hash = a->hash,
		.requested_ns = a->requested_ns,
		.deadline_ns = a->deadline_ns,
	};

	detail_write(&body, a, false);
	row.body = buf_str(&body);
	write_row(out, &row);
}

int
approval_store(const struct approval *a)
{
	const struct run *r = run_find(a->run);
	own_buf struct buf body = {};
	struct store_approval row = {
		.id = a->id,
		.run = a->run,
		.step = a->step,
		.tool = str_of(a->tool),
		.state = str_of(approval_state_name(a->state)),
		.args = buf_str(&a->args_shown),
		.args_hash = a->hash,
		.requested_ns = a->requested_ns,
		.deadline_ns = a->deadline_ns,
	};

	detail_write(&body, a, true);
	row.body = buf_str(&body);
	if (r != NULL)
		row.policy = r->policy->version;
	return store_put_approval(broker.store, &row);
}

bool
approval_record(struct approval *a, const struct run *r, const char *by,
    const char *verdict, bool edited)
{
	struct event ev = record_of(r, EVENT_APPROVAL_DECIDED);
	own_buf struct buf body = {};
	char hex[HASH_HEX_BYTES];

	if (strcmp(by, "paddock") != 0)
		note_decision(a, by, verdict);
	hash_hex(&a->hash, hex);
	buf_printf(&body, "{\"approval\":\"%s\",\"by\":", a->text);
	json_put_str(&body, str_of(by));
	buf_printf(&body, ",\"call_sha256\":\"%s\",\"edited\":%s", hex,
	    edited ? "true" : "false");
	if (a->reason[0] != '\0') {
		buf_add_c(&body, ",\"reason\":");
		json_put_str(&body, str_of(a->reason));
	}
	if (a->escalated) {
		buf_add_c(&body, ",\"rule\":");
		json_put_str(&body, a->rule->name);
	}
	buf_printf(
	    &body, ",\"verdict\":\"%s\",\"votes\":%u}", verdict, a->n_votes);
	ev.step = a->step;
	ev.tool = str_of(a->tool);
	ev.tier = str_of(risk_name(a->risk));
	ev.body = buf_str(&body);
	return record_add(&ev) != 0;
}

/* Who decided what, and how long after it was asked. */
static void
note_decision(struct approval *a, const char *by, const char *verdict)
{
	buf_add_c(&a->decisions, a->decisions.n > 0 ? ",{\"by\":" : "{\"by\":");
	json_put_str(&a->decisions, str_of(by));
	buf_printf(&a->decisions, ",\"ms\":%lld,\"verdict\":\"%s\"}",
	    (long long)((clock_utc_ns() - a->requested_ns) / 1000000), verdict);
}

/* Separation of duty: rows of the policy, not of this function. */
static bool
may_vote(const struct decision *d, bool again_is_bad)
{
	const struct policy_approval *rule = d->a->rule;
	const struct identity *actor = &d->r->policy->identity;
	const struct identity *who = d->who->who;
	bool has_role = rule->n_from_roles == 0;
	const char *why = NULL;

	for (uint32_t i = 0; i < rule->n_from_roles; i++)
		has_role |= identity_has_role(who, rule->from_roles[i]);
	if (rule->distinct_from_actor &&
	    (str_eq_c(actor->actor, d->who->name) ||
		(str_eq(actor->actor, who->actor) &&
		    caller_sees(d->who, actor->tenant))))
		why = "The actor of a run cannot decide its approvals.";
	else if (rule->distinct_from_requester &&
	    caller_same_person(d->r->requester, d->who->name))
		why = "Who opened the run cannot decide this approval.";
	else if (!has_role)
		why = "This approval needs a role that you do not have.";
	else if (again_is_bad && same_vote(d->a, d->who->name))
		why = "You have voted on it already.";
	if (why == NULL)
		return true;
	reply_error(d->call, 403, "not_yours_to_decide", why,
	    "Somebody else has to decide; the policy's `approvals` say who.");
	return false;
}

static bool
same_vote(const struct approval *a, const char *name)
{
	for (uint32_t i = 0; i < a->n_votes; i++) {
		if (caller_same_person(a->votes[i], name))
			return true;
	}
	return false;
}

static void
approve(struct decision *d)
{
	struct approval *a = d->a;
	bool edited = !hash_eq(&a->hash, &a->asked_hash);

	if (!still_allowed(d, buf_str(&a->args)))
		return;
	if (d->who->approval != 0)
		approval_link_spend(d->who->who);
	if (a->n_votes < VOTES_MAX)
		memcpy(a->votes[a->n_votes++], d->who->name, NAME_MAX_BYTES);
	if (!approval_record(a, d->r, d->who->name,
		edited ? "approve_edited" : "approve", edited)) {
		reply_error(d->call, 503, "store_failed",
		    "The store takes no more records: nothing was done.",
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	if (a->n_votes < a->rule->quorum) {
		(void)approval_store(a); /* its records say the same */
		answer(d);
		return;
	}
	execute(d);
}

/*
 * Replaces the arguments by the reviewer's. Only what the policy names may
 * differ; votes for the old ones do not count for the new.
 */
static bool
take_edit(struct decision *d)
{
	struct approval *a = d->a;
	const struct json *edit = json_get(d->args, STR("arguments"));
	own_arena struct arena arena = {};
	own_buf struct buf edited = {};
	struct err e = {};
	const struct json *was =
	    json_parse(buf_str(&a->args), NULL, &arena, &e, NULL);
	const struct policy_tool *row =
	    policy_tool_find(d->r->policy, str_of(a->tool));
	char text[200];

	if (a->ask != 0) {
		reply_error(d->call, 400, "bad_edit",
		    "What an agent sends out cannot be edited.",
		    "Approve it as it is, or reject it with a reason.");
		return false;
	}
	if (!json_is(edit, JSON_OBJECT) || was == NULL || row == NULL) {
		reply_error(d->call, 400, "bad_edit",
		    "`arguments`, an object, is missing.",
		    "Give all arguments, the changed ones changed.");
		return false;
	}
	for (const struct json *k = json_first(edit); k != NULL;
	     k = json_next(edit, k)) {
		const struct json *old = json_get(was, json_str(k));

		if ((old != NULL && json_equal(old, json_value(k))) ||
		    edit_allowed(a->rule, json_str(k)))
			continue;
		(void)snprintf(text, sizeof(text),
		    "The argument `%.*s` may not be edited.",
		    (int)(json_str(k).n > 100 ? 100 : json_str(k).n),
		    json_str(k).p);
		reply_error(d->call, 400, "bad_edit", text,
		    "The policy's `approvals` name in `edit` what may.");
		return false;
	}
	for (const struct json *k = json_first(was); k != NULL;
	     k = json_next(was, k)) {
		if (json_get(edit, json_str(k)) == NULL &&
		    !edit_allowed(a->rule, json_str(k))) {
			reply_error(d->call, 400, "bad_edit",
			    "An argument that may not be edited is missing.",
			    "Give all arguments, the changed ones changed.");
			return false;
		}
	}
	json_write(&edited, edit);
	if (!still_allowed(d, buf_str(&edited)))
		return false;
	buf_reset(&a->args);
	buf_add_str(&a->args, buf_str(&edited));
	buf_reset(&a->args_shown);
	redact_write(
	    &a->args_shown, edit, row->redact_args, row->n_redact_args);
	a->hash = call_hash(str_of(a->tool), buf_str(&a->args));
	a->n_votes = 0;
	return true;
}

static bool
edit_allowed(const struct policy_approval *rule, struct str key)
{
	for (uint32_t i = 0; i < rule->n_edit; i++) {
		if (str_eq(rule->edit[i], key))
			return true;
	}
	return false;
}

/* Time has passed since it was asked: everything is checked again. */
static bool
still_allowed(const struct decision *d, struct str args)
{
	static struct verdict v;
	own_arena struct arena arena = {};
	struct err e = {};
	struct policy_call pc = {
		.tool = str_of(d->a->tool),
		.args = json_parse(args, NULL, &arena, &e, NULL),
		.labels = &d->r->labels,
		.now_s = clock_utc_ns() / 1000000000,
		.prov = d->r->prov,
	};
	const char *why = NULL;

	if (d->a->ask != 0)
		why = egress_not_now(d->r, d->a);
	else
		policy_decide(d->r->policy, &pc, &v);
	if (d->r->state != RUN_OPEN)
		why = "The run is not open any more.";
	else if (clock_utc_ns() > d->a->deadline_ns && !d->a->unlimited)
		why = "Its deadline has passed.";
	else if (d->a->ask == 0 && v.kind == VERDICT_BLOCK)
		why = "The policy blocks the call as it is now.";
	if (why == NULL)
		return true;
	reply_error(d->call, 409, "not_allowed_any_more", why,
	    "Reject it, or wait for it to expire.");
	return false;
}

static void
execute(struct decision *d)
{
	approval_end(d->a, d->r, APPROVAL_APPROVED);
	answer(d);
	if (d->a->draft != 0) {
		draft_approved(d->r, d->a);
		approval_answer_all(d->a);
	} else if (d->a->ask != 0)
		egress_approved(d->r, d->a);
	else
		call_execute_approved(d->r, d->a);
}

static void
reject(struct decision *d, bool terminate)
{
	(void)approval_record(d->a, d->r, d->who->name,
	    terminate ? "terminate" : "reject",
	    false); /* a full store makes no yes of a no */
	approval_end(d->a, d->r, APPROVAL_REJECTED);
	answer(d);
	if (terminate)
		run_stop(d->r, "terminated_by_reviewer", STR(""), false);
	else
		approval_not_extended(d->a, d->r);
}

static void
escalate(struct decision *d)
{
	approval_escalate(d->a, d->r, d->who->name);
	answer(d);
}

static void
answer(const struct decision *d)
{
	own_buf struct buf out = {};

	approval_write(&out, d->a);
	reply(d->call, REPLY_OK, 200, buf_str(&out));
}

static bool
on_row(void *arg, const struct store_approval *row)
{
	const struct rows *rows = arg;
	struct buf *out = rows->out;

	if (!caller_sees_run(rows->who, row->run))
		return true;
	if (out->n > 0 && out->p[out->n - 1] != '[')
		buf_add_byte(out, ',');
	write_row(out, row);
	return true;
}

static void
write_row(struct buf *out, const struct store_approval *row)
{
	char id[ID_BYTES], run[ID_BYTES], hex[HASH_HEX_BYTES];

	id_text('a', row->id, id);
	id_text('r', row->run, run);
	hash_hex(&row->args_hash, hex);
	buf_printf(out, "{\"approval\":\"%s\",\"arguments\":", id);
	buf_add_str(out, row->args);
	buf_printf(out,
	    ",\"call_sha256\":\"%s\",\"deadline_ms\":%lld,"
	    "\"detail\":",
	    hex, (long long)(row->deadline_ns / 1000000));
	buf_add_str(out, row->body.n > 0 ? row->body : STR("{}"));
	buf_printf(out, ",\"requested_ms\":%lld,\"run\":\"%s\",\"state\":",
	    (long long)(row->requested_ns / 1000000), run);
	json_put_str(out, row->state);
	buf_printf(out, ",\"step\":%u,\"tool\":", row->step);
	json_put_str(out, row->tool);
	buf_add_byte(out, '}');
}

static void
detail_write(struct buf *out, const struct approval *a, bool stored)
{
	buf_add_c(out, "{\"decisions\":[");
	buf_add_str(out, buf_str(&a->decisions));
	if (a->draft != 0) {
		char id[ID_BYTES];

		id_text('d', a->draft, id);
		buf_printf(out, "],\"draft\":\"%s\"", id);
	} else {
		buf_add_byte(out, ']');
	}
	buf_printf(out, ",\"edited\":%s,\"escalated\":%s,",
	    hash_eq(&a->hash, &a->asked_hash) ? "false" : "true",
	    a->escalated ? "true" : "false");
	buf_add(out, a->why.p, a->preview_at);
	approval_preview_write(out, a, stored);
	buf_add(out, a->why.p + a->preview_at, a->why.n - a->preview_at);
	buf_add_c(out, ",\"level\":{\"from_roles\":[");
	for (uint32_t i = 0; i < a->rule->n_from_roles; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, a->rule->from_roles[i]);
	}
	buf_add_c(out, "],\"name\":");
	json_put_str(out, a->rule->name);
	buf_printf(out, ",\"quorum\":%u}", a->rule->quorum);
	if (a->reason[0] != '\0') {
		buf_add_c(out, ",\"reason\":");
		json_put_str(out, str_of(a->reason));
	}
	buf_add_c(out, ",\"votes\":[");
	for (uint32_t i = 0; i < a->n_votes; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, str_of(a->votes[i]));
	}
	buf_add_c(out, "]}");
}
