/*
 * What an agent was told then, told once more. A call that was executed has its
 * answer in the record; a refusal is written from what was decided.
 */
#include <inttypes.h>

#include "base/must.h"
#include "broker/call_int.h"
#include "broker/record.h"
#include "broker/rerun_int.h"
#include "codec/json.h"

static bool answer_kept(struct run *r, uint64_t asker,
    const struct policy_tool *row, const struct rerun_call *then,
    const struct rerun_call *of);
static enum reply_kind kind_of(const struct rerun_call *c, struct str answer);
static void answer_refused(
    struct run *r, uint64_t asker, const struct rerun_call *then);
static bool answer_approval(struct run *r, uint64_t asker,
    const struct rerun_call *then, const struct json *args);
static const struct rerun_call *earlier(
    const struct rerun *x, const struct rerun_call *c);
static void finish(struct run *r, const struct rerun_call *then,
    struct str status, struct str out, bool redacted);

bool
rerun_answer(struct run *r, uint64_t asker, const struct policy_tool *row,
    const struct rerun_call *then, const struct json *args)
{
	const struct rerun_call *of = then;

	if (str_eq(then->code, STR("repeated")) && !then->has_out)
		of = earlier(r->rerun, then);
	if (of != NULL && of->has_out)
		return answer_kept(r, asker, row, then, of);
	if (then->draft.n > 0) {
		finish(r, then, STR("ok"), then->draft, false);
		call_tell(asker, REPLY_OK, then->draft);
		return true;
	}
	if (then->stop.n > 0) {
		own_buf struct buf reason = {};

		buf_add_str(&reason, then->stop_reason);
		run_stop(r, buf_c(&reason), then->stop, false);
		call_tell(asker, REPLY_STOPPED, then->stop);
		return true;
	}
	if (then->approval.n > 0)
		return answer_approval(r, asker, then, args);
	if (!str_eq(then->verdict, STR("block")))
		return false;
	answer_refused(r, asker, then);
	return true;
}

static bool
answer_kept(struct run *r, uint64_t asker, const struct policy_tool *row,
    const struct rerun_call *then, const struct rerun_call *of)
{
	own_buf struct buf out = {};
	struct err e = {};
	enum reply_kind kind;

	if (store_blob(broker.store, &of->out, &out, &e) < 0)
		return false;
	kind = kind_of(of, buf_str(&out));
	if (of->redacted)
		r->rerun->redacted++;
	if (row != NULL && kind != REPLY_STOPPED)
		policy_result_labels(row, then->tool, &r->labels);
	finish(r, then, of->status, buf_str(&out), of->redacted);
	call_tell(asker, kind, buf_str(&out));
	return true;
}

/* A tool server's answer has a `content`; what stands for one has not. */
static enum reply_kind
kind_of(const struct rerun_call *c, struct str answer)
{
	own_arena struct arena a = {};
	struct err e = {};
	const bool good =
	    str_eq(c->status, STR("ok")) || str_eq(c->status, STR("simulated"));
	const bool server = str_eq(c->origin, STR("server")) ||
	    str_eq(c->origin, STR("fault")) ||
	    str_eq(c->origin, STR("recorded"));
	const struct json *v;

	if (str_eq(c->status, STR("blocked")))
		return REPLY_STOPPED;
	v = server ? json_parse(answer, NULL, &a, &e, NULL) : NULL;
	if (json_is(json_get(v, STR("content")), JSON_ARRAY))
		return good ? REPLY_CONTENT : REPLY_CONTENT_ERROR;
	return good ? REPLY_OK : REPLY_TOOL_ERROR;
}

static void
answer_refused(struct run *r, uint64_t asker, const struct rerun_call *then)
{
	own_buf struct buf out = {};

	buf_add_c(&out, "{\"code\":");
	json_put_str(&out, then->code);
	buf_add_c(&out, ",\"reason\":");
	json_put_str(&out, then->reason.n > 0 ? then->reason : then->code);
	buf_add_c(&out, ",\"rule\":");
	json_put_str(&out, then->rule);
	buf_printf(&out,
	    ",\"status\":\"refused\",\"step\":%" PRIu32
	    ",\"suggested_next_step\":",
	    then->step);
	json_put_str(&out, then->next_step);
	buf_add_c(&out, ",\"tool\":");
	json_put_str(&out, then->tool);
	buf_add_byte(&out, '}');
	call_tell(asker, REPLY_REFUSED, buf_str(&out));
	(void)r;
}

/* What had no end of its own: the words are those of approval.c. */
static bool
answer_approval(struct run *r, uint64_t asker, const struct rerun_call *then,
    const struct json *args)
{
	const bool late = str_eq(then->decided, STR("expire"));
	const struct str draft = json_str(json_get(args, STR("draft_id")));
	own_buf struct buf out = {};

	(void)r;
	buf_add_c(&out, "{\"approval_id\":");
	json_put_str(&out, then->approval);
	if (str_starts(then->decided, STR("approve")) && draft.n > 0) {
		buf_add_c(&out, ",\"draft_id\":");
		json_put_str(&out, draft);
		buf_add_c(&out,
		    ",\"status\":\"approved\",\"suggested_next_step\":\"Commit "
		    "the draft with commit_approved_draft.\"}");
		call_tell(asker, REPLY_OK, buf_str(&out));
		return true;
	}
	if (!late && !str_eq(then->decided, STR("reject")))
		return false;
	buf_printf(&out, ",\"code\":\"%s\",\"reason\":",
	    late ? "approval_expired" : "rejected");
	json_put_str(&out,
	    late ? STR("Nobody decided before the deadline.")
		: then->decided_why.n > 0 ? then->decided_why
					  : STR("A reviewer said no."));
	buf_printf(&out,
	    ",\"status\":\"refused\",\"step\":%" PRIu32
	    ",\"suggested_next_step\":\"%s\",\"tool\":",
	    then->step,
	    late ? "Work on without it, or tell the user that nobody "
		   "decided in time."
		 : "Do not try the same again; work on without it.");
	json_put_str(&out, then->tool);
	buf_add_byte(&out, '}');
	call_tell(asker, REPLY_REFUSED, buf_str(&out));
	return true;
}

/* The call whose answer was given again then. */
static const struct rerun_call *
earlier(const struct rerun *x, const struct rerun_call *c)
{
	for (const struct rerun_call *e = x->calls; e < c; e++) {
		if (e->has_out && hash_eq(&e->key, &c->key))
			return e;
	}
	return NULL;
}

static void
finish(struct run *r, const struct rerun_call *then, struct str status,
    struct str out, bool redacted)
{
	struct event ev = record_of(r, EVENT_TOOL_FINISHED);

	ev.step = r->steps;
	ev.tool = then->tool;
	ev.action = STR("simulated");
	ev.status = status;
	ev.out.bytes = out;
	ev.out.redacted = redacted;
	ev.effect = STR("none");
	ev.origin = STR("recorded");
	if (record_add(&ev) == 0)
		r->rerun->unrecorded = true;
}
