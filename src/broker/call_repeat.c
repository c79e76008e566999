/*
 * The same call once more: what a key says has been done already, and what we
 * try again by ourselves. Nothing is tried again that could be done twice,
 * unless the policy says that twice is as once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/approval.h"
#include "broker/call_int.h"
#include "broker/idem.h"
#include "broker/record.h"
#include "core/backoff.h"

static void blocked(struct verdict *v, const struct policy_tool *row,
    const char *code, const char *reason, const char *next_step);
static bool passes(
    struct str code, uint64_t *retry_after_ms, const struct json *result);
static void on_again(struct loop_timer *t);

enum repeat
call_repeats(struct run *r, struct str tool, const struct json *args,
    struct str own_key, const struct hash *args_hash, struct verdict *v,
    struct earlier *out)
{
	const struct policy_tool *row = v->tool;
	bool simulated = v->kind == VERDICT_SIMULATE ||
	    (v->kind == VERDICT_APPROVE && v->approved == VERDICT_SIMULATE);
	const char *why;

	out->has_key = false;
	if (!call_runs(v) && v->kind != VERDICT_APPROVE)
		return REPEAT_NO;
	if (!idem_key_of(
		r, row, tool, args, own_key, simulated, &out->key, &why)) {
		if (why == NULL)
			return REPEAT_NO;
		blocked(v, row, "rule_error", why,
		    "Give the arguments that the tool's key is made of.");
		return REPEAT_BLOCKED;
	}
	out->has_key = true;
	switch (idem_find(
	    &out->key, args_hash, &out->step, &out->kind, &out->result)) {
	case IDEM_NEW:
		return REPEAT_NO;
	case IDEM_DONE:
		v->n_reasons = 1;
		(void)snprintf(v->reasons[0], sizeof(v->reasons[0]),
		    "step %u has done it: its result is given again",
		    out->step);
		(void)snprintf(v->code, sizeof(v->code), "repeated");
		return REPEAT_DONE;
	case IDEM_UNDER_WAY:
		blocked(v, row, "in_progress",
		    "a call with the same key is under way",
		    "Wait for that call to be answered.");
		return REPEAT_BLOCKED;
	case IDEM_OTHER_CALL:
		blocked(v, row, "idempotency_conflict",
		    "a call with the same key and other arguments was made",
		    "Use the result of that call, or another key.");
		return REPEAT_BLOCKED;
	case IDEM_NO_END:
		if (row != NULL && row->retry.repeatable)
			return REPEAT_NO;
		blocked(v, row, "unknown_end",
		    "a call with the same key began, and it is not known "
		    "whether it had an effect",
		    "Read the state of things, and ask a person.");
		return REPEAT_BLOCKED;
	case IDEM_FAILED:
		break;
	}
	blocked(v, row, "store_failed",
	    "it cannot be told whether the call was made before",
	    "An operator must look at the disk.");
	return REPEAT_BLOCKED;
}

bool
call_repeats_approved(struct run *r, struct call *c, const struct approval *a)
{
	own_arena struct arena arena = {};
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(c->tool));
	own_buf struct buf result = {};
	enum reply_kind kind = REPLY_TOOL_ERROR;
	struct err e = {};
	const struct json *args =
	    json_parse(buf_str(&c->args), NULL, &arena, &e, NULL);
	const char *why;
	uint32_t step;

	c->has_idem = idem_key_of(r, row, str_of(c->tool), args,
	    str_of(a->own_key), c->simulated, &c->idem, &why);
	if (!c->has_idem && why == NULL)
		return false;
	switch (c->has_idem
		? idem_find(&c->idem, &c->args_hash, &step, &kind, &result)
		: IDEM_FAILED) {
	case IDEM_NEW:
		return false;
	case IDEM_DONE:
		break;
	case IDEM_NO_END:
		if (row != NULL && row->retry.repeatable)
			return false;
		buf_add_c(&result,
		    "{\"code\":\"unknown_end\",\"error\":\"A call with the "
		    "same key began, and its end is not known: nothing was "
		    "done.\"}");
		break;
	case IDEM_UNDER_WAY:
	case IDEM_OTHER_CALL:
	case IDEM_FAILED:
		buf_add_c(&result,
		    "{\"code\":\"idempotency_conflict\",\"error\":\"Another "
		    "call with the same key was made meanwhile: nothing was "
		    "done.\"}");
		break;
	}
	c->has_idem = false; /* the other one's */
	c->not_begun = true;
	call_finish(c, kind, buf_str(&result), false, "repeated");
	return true;
}

/* It speaks as a rule of the row does. */
static void
blocked(struct verdict *v, const struct policy_tool *row, const char *code,
    const char *reason, const char *next_step)
{
	/* In every mode: not to do a thing twice is what the key is for. */
	v->kind = v->would = VERDICT_BLOCK;
	if (row != NULL && row->idem != NULL)
		(void)snprintf(v->rule, sizeof(v->rule),
		    "tools.%.*s.idempotency", STR_FMT(row->name));
	else
		(void)snprintf(v->rule, sizeof(v->rule), "idempotency_key");
	(void)snprintf(v->code, sizeof(v->code), "%s", code);
	v->n_reasons = 1;
	(void)snprintf(v->reasons[0], sizeof(v->reasons[0]), "%s", reason);
	(void)snprintf(v->next_step, sizeof(v->next_step), "%s", next_step);
}

bool
call_try_again(struct run *r, struct call *c, enum reply_kind kind,
    struct str result, const char *status)
{
	own_arena struct arena arena = {};
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(c->tool));
	struct event ev = record_of(r, EVENT_TOOL_RETRIED);
	own_buf struct buf body = {};
	const struct json *v;
	uint64_t cost[BUDGET_KINDS], wait_ms, after_ms = 0, seed;
	struct over over;
	struct err e = {};
	struct str code;

	if (kind != REPLY_TOOL_ERROR || row == NULL ||
	    c->tries >= row->retry.times ||
	    c->tries >= r->budget.limit[BUDGET_RETRIES] || c->unrecorded ||
	    r->state != RUN_OPEN || call_ending() ||
	    (row->risk > RISK_READ && !row->retry.repeatable && !c->has_idem))
		return false;
	v = json_parse(result, NULL, &arena, &e, NULL);
	code = json_str(json_get(v, STR("code")));
	if (!passes(code, &after_ms, v))
		return false;
	seed =
	    (r->policy->fault_seeded ? r->policy->fault_seed : r->id) ^ c->step;
	wait_ms = backoff_ms(
	    row->retry.base_ms, row->retry.max_ms, c->tries + 1, seed);
	/* Who says when to come back is not asked before. */
	if (after_ms > row->retry.max_ms)
		return false;
	if (wait_ms < after_ms)
		wait_ms = after_ms;
	spend_cost(row->costs, 0, cost);
	if (row->costs != NULL && !spend_take(r, cost, &over))
		return false;
	c->tries++;
	if (c->tries > r->budget.used[BUDGET_RETRIES])
		r->budget.used[BUDGET_RETRIES] = c->tries;
	buf_add_c(&body, "{\"code\":");
	json_put_str(&body, code);
	buf_printf(&body, ",\"status\":\"%s\",\"try\":%u,\"wait_ms\":%llu}",
	    status, c->tries, (unsigned long long)wait_ms);
	ev.step = c->step;
	ev.tool = str_of(c->tool);
	ev.body = buf_str(&body);
	c->wait_seq = record_add(&ev);
	if (c->wait_seq == 0)
		return false;
	/* Failures on purpose count it as a call of its own. */
	c->fault = NULL;
	c->fault_tried = false;
	c->fault_delay_ms = 0;
	c->server = NULL;
	c->unsent = c->not_begun = false;
	call_await(c, (int64_t)wait_ms, on_again);
	return true;
}

/* What may pass by itself, and when the answer says so. */
static bool
passes(struct str code, uint64_t *retry_after_ms, const struct json *result)
{
	static const char *const codes[] = { "timeout", "unknown",
		"server_ended", "http_408", "http_429", "http_500", "http_502",
		"http_503", "http_504", "rate_limited", "refused", "reset",
		"dns", NULL };
	uint64_t s = 0;

	if (json_u64(json_get(result, STR("retry_after_s")), &s) == 0 &&
	    s <= RETRY_LIMIT_MS)
		*retry_after_ms = s * 1000;
	for (const char *const *p = codes; *p != NULL; p++) {
		if (str_eq_c(code, *p))
			return true;
	}
	return false;
}

static void
on_again(struct loop_timer *t)
{
	struct call *c = LOOP_OF(t, struct call, timeout);
	struct run *r = run_find(c->run);

	must(call_take(c->number) == c && r != NULL);
	if (c->wait_seq > store_durable(broker.store) &&
	    call_durable_first(c->risk, c->approval))
		call_wait_durable(c, c->wait_seq);
	else
		call_to_world(r, c);
}
