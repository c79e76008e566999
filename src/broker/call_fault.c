/*
 * Failures that the policy asks for. A call that is hit is recorded before
 * anything else comes of it, and what the agent is told is no longer the
 * tool's: its record has the origin `fault`.
 */
#include "base/limits.h"
#include "base/must.h"
#include "broker/call_int.h"
#include "broker/fault.h"
#include "broker/stale.h"

static void lower(struct run *r, uint32_t remaining);
static void on_due(struct loop_timer *t);
static void on_late(struct loop_timer *t);
static void finish_late(struct call *c, bool ok, bool wrote, struct str answer);
static void finish_instead(struct call *c, bool wrote);

bool
call_fault_before(struct run *r, struct call *c)
{
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(c->tool));
	struct fault_hit hit;
	uint64_t seq;
	int64_t ms;

	if (c->fault_tried || !faults_any(r))
		return false;
	c->fault_tried = true;
	if (!faults_hit(r, FAULT_AT_CALL, str_of(c->tool), c->step, &hit, &seq))
		return false;
	c->fault = hit.rule;
	c->fault_delay_ms = hit.delay_ms;
	if (seq == 0)
		c->unrecorded = true;
	if (hit.rule->kind == FAULT_BUDGET_LOW) {
		lower(r, hit.rule->remaining);
		c->fault = NULL; /* the call itself goes on */
		return false;
	}
	if (hit.rule->kind == FAULT_KILL) {
		finish_instead(c, false);
		run_stop(r, "fault_kill", STR(""), true);
		return true;
	}
	if (!fault_instead(hit.rule))
		return false;
	ms = hit.delay_ms;
	if (hit.rule->kind == FAULT_HANG) {
		ms = WORLD_TIMEOUT_MS;
		if (row != NULL && row->timeout_ms > 0 && row->timeout_ms < ms)
			ms = row->timeout_ms;
	}
	if (ms == 0)
		finish_instead(c, false);
	else
		call_await(c, ms, on_due);
	return true;
}

bool
call_fault_after(struct call *c, bool ok, bool wrote, struct str answer)
{
	struct run *r = run_find(c->run);

	if (ok && r != NULL && faults_any(r))
		faults_answered(r, str_of(c->tool), buf_str(&c->args), answer);
	if (c->fault == NULL)
		return false;
	if (c->fault_delay_ms == 0) {
		finish_late(c, ok, wrote, answer);
		return true;
	}
	buf_reset(&c->late);
	buf_add_str(&c->late, answer);
	c->late_ok = ok;
	c->late_wrote = wrote;
	call_await(c, c->fault_delay_ms, on_late);
	return true;
}

/* As many calls are left, and no more. */
static void
lower(struct run *r, uint32_t remaining)
{
	const uint64_t limit = r->budget.used[BUDGET_TOOL_CALLS] + remaining;

	if (limit < r->budget.limit[BUDGET_TOOL_CALLS])
		r->budget.limit[BUDGET_TOOL_CALLS] = limit;
}

/* Without the tool. */
static void
on_due(struct loop_timer *t)
{
	struct call *c = LOOP_OF(t, struct call, timeout);

	must(call_take(c->number) == c);
	finish_instead(c, false);
}

/* With it. */
static void
on_late(struct loop_timer *t)
{
	struct call *c = LOOP_OF(t, struct call, timeout);

	must(call_take(c->number) == c);
	finish_late(c, c->late_ok, c->late_wrote, buf_str(&c->late));
}

static void
finish_late(struct call *c, bool ok, bool wrote, struct str answer)
{
	/* As a tool server gave it, unless the fault is in it. */
	enum reply_kind kind = c->server != NULL ? REPLY_CONTENT : REPLY_OK;
	const struct run *r = run_find(c->run);
	struct str old = {};
	own_buf struct buf out = {};

	if (fault_hides(c->fault)) {
		finish_instead(c, wrote);
		return;
	}
	if (ok && r != NULL && c->fault->kind == FAULT_STALE_READ)
		old = stale_find(
		    r, str_of(c->tool), buf_str(&c->args), c->fault->lag);
	/* What failed by itself has failed. */
	if (old.p != NULL) {
		buf_add_str(&out, old);
	} else if (!ok || fault_result_write(&out, c->fault, answer) < 0) {
		buf_reset(&out);
		buf_add_str(&out, answer);
	} else {
		kind = REPLY_OK;
	}
	call_finish(c, ok ? kind : REPLY_TOOL_ERROR, buf_str(&out), wrote,
	    ok ? "ok" : "error");
}

static void
finish_instead(struct call *c, bool wrote)
{
	own_buf struct buf out = {};
	const char *status = "error";

	if (c->fault->kind == FAULT_LOST_ACK)
		status = "unknown";
	else if (c->fault->kind == FAULT_TIMEOUT ||
	    c->fault->kind == FAULT_HANG)
		status = "timeout";
	fault_error_write(&out, c->fault);
	call_finish(c, REPLY_TOOL_ERROR, buf_str(&out), wrote, status);
}
