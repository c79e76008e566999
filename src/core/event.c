#include "core/event.h"

#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "core/id.h"

enum { NS_PER_US = 1000 };

static const char *const kinds[] = {
	[EVENT_RUN_OPENED] = "run.opened",
	[EVENT_RUN_CLOSED] = "run.closed",
	[EVENT_TOOL_PROPOSED] = "tool.proposed",
	[EVENT_POLICY_DECISION] = "policy.decision",
	[EVENT_APPROVAL_REQUESTED] = "approval.requested",
	[EVENT_APPROVAL_DECIDED] = "approval.decided",
	[EVENT_TOOL_STARTED] = "tool.started",
	[EVENT_TOOL_FINISHED] = "tool.finished",
	[EVENT_DRAFT_CREATED] = "draft.created",
	[EVENT_EGRESS_DECISION] = "egress.decision",
	[EVENT_BUDGET_STOP] = "budget.stop",
	[EVENT_KILL] = "kill",
	[EVENT_NOTE] = "note",
	[EVENT_RUN_PAUSED] = "run.paused",
	[EVENT_RUN_RESUMED] = "run.resumed",
	[EVENT_SANDBOX_DENIED] = "sandbox.denied",
	[EVENT_EGRESS_DONE] = "egress.done",
	[EVENT_EGRESS_LEAK] = "egress.leak",
	[EVENT_SECRET_REVOKED] = "secret.revoked",
	[EVENT_FAULT_INJECTED] = "fault.injected",
	[EVENT_CONTEXT_INPUT] = "context.input",
	[EVENT_DRAFT_COMMITTED] = "draft.committed",
	[EVENT_TOOL_RETRIED] = "tool.retried",
	[EVENT_BUDGET_EXTENDED] = "budget.extended",
	[EVENT_SNAPSHOT_TAKEN] = "snapshot.taken",
	[EVENT_FORK_OPENED] = "fork.opened",
	[EVENT_PAGE_CAPTURED] = "page.captured",
};

static const char *const stages[] = {
	[1] = "observe",
	[2] = "draft",
	[3] = "approve",
	[4] = "narrow",
	[5] = "broad",
};

enum { STAGES = sizeof(stages) / sizeof(stages[0]) };

/* Members of an object that may turn out to have none. */
struct members {
	struct buf *out;
	struct str head; /* what opens the object, before its first member */
	bool any;
};

static void put_dec(struct buf *out, const struct event *ev);
static void put_res(struct buf *out, const struct event *ev);
static void put_sum(struct buf *out, const struct event *ev);
static void put_tool(struct buf *out, const struct event *ev);
static void put_who(struct buf *out, const struct event *ev);
static void member(struct members *m, struct str key);
static void text(struct members *m, struct str key, struct str value);
static void blob(struct members *m, struct str key, const struct event_blob *b);
static void end(struct members *m);
static void put_int(struct buf *out, int64_t v);
static struct str preview(struct str s);

/*
 * The members come in the order of RFC 8785, which here is that of their
 * bytes: nothing is sorted and nothing is measured at run time.
 */
void
event_write(struct buf *out, const struct event *ev)
{
	char run[ID_BYTES];

	id_text('r', ev->run, run);
	buf_add_str(out, STR("{\"body\":"));
	buf_add_str(out, ev->body.n > 0 ? ev->body : STR("{}"));
	put_dec(out, ev);
	buf_add_str(out, STR(",\"kind\":\""));
	buf_add_c(out, event_kind_name(ev->kind));
	buf_add_str(out, STR("\",\"mono\":"));
	put_int(out, ev->mono_ns / NS_PER_US);
	put_res(out, ev);
	buf_add_str(out, STR(",\"run\":\""));
	buf_add_c(out, run);
	buf_add_str(out, STR("\",\"seq\":"));
	buf_add_u64(out, ev->seq);
	buf_add_str(out, STR(",\"step\":"));
	buf_add_u64(out, ev->step);
	put_sum(out, ev);
	buf_add_str(out, STR(",\"t\":"));
	put_int(out, ev->t_ns / NS_PER_US);
	put_tool(out, ev);
	if (ev->ms >= 0) {
		buf_add_str(out, STR(",\"use\":{\"ms\":"));
		put_int(out, ev->ms);
		buf_add_byte(out, '}');
	}
	buf_add_str(out, STR(",\"v\":1"));
	if (ev->policy.n > 0) {
		buf_add_str(out, STR(",\"ver\":{\"policy\":"));
		json_put_str(out, ev->policy);
		buf_add_byte(out, '}');
	}
	put_who(out, ev);
	buf_add_byte(out, '}');
}

const char *
event_kind_name(enum event_kind k)
{
	must(k >= EVENT_RUN_OPENED && k < EVENT_KINDS);
	return kinds[k];
}

int
event_kind_parse(struct str s, enum event_kind *out)
{
	for (int k = EVENT_RUN_OPENED; k < EVENT_KINDS; k++) {
		if (str_eq_c(s, kinds[k])) {
			*out = (enum event_kind)k;
			return 0;
		}
	}
	return -1;
}

static void
put_dec(struct buf *out, const struct event *ev)
{
	struct members m = { out, STR(",\"dec\":{"), false };

	text(&m, STR("\"action\":"), ev->action);
	text(&m, STR("\"code\":"), ev->code);
	if (ev->prov.n > 0) {
		member(&m, STR("\"prov\":"));
		buf_add_str(out, ev->prov);
	}
	text(&m, STR("\"reason\":"), ev->reason);
	text(&m, STR("\"rule\":"), ev->rule);
	text(&m, STR("\"verdict\":"), ev->verdict);
	end(&m);
}

static void
put_res(struct buf *out, const struct event *ev)
{
	struct members m = { out, STR(",\"res\":{"), false };

	text(&m, STR("\"effect\":"), ev->effect);
	text(&m, STR("\"origin\":"), ev->origin);
	blob(&m, STR("\"out\":"), &ev->out);
	text(&m, STR("\"status\":"), ev->status);
	end(&m);
}

static void
put_sum(struct buf *out, const struct event *ev)
{
	char hex[HASH_HEX_BYTES];

	if (ev->sum_n == 0)
		return;
	hash_hex(&ev->sum, hex);
	buf_add_str(out, STR(",\"sum\":{\"h\":\""));
	buf_add(out, hex, HASH_HEX_BYTES - 1);
	buf_add_str(out, STR("\",\"n\":"));
	buf_add_u64(out, ev->sum_n);
	buf_add_byte(out, '}');
}

static void
put_tool(struct buf *out, const struct event *ev)
{
	struct members m = { out, STR(",\"tool\":{"), false };

	blob(&m, STR("\"args\":"), &ev->args);
	text(&m, STR("\"name\":"), ev->tool);
	text(&m, STR("\"tier\":"), ev->tier);
	end(&m);
}

static void
put_who(struct buf *out, const struct event *ev)
{
	struct members m = { out, STR(",\"who\":{"), false };

	text(&m, STR("\"actor\":"), ev->actor);
	text(&m, STR("\"role\":"), ev->role);
	if (ev->stage > 0 && ev->stage < STAGES)
		text(&m, STR("\"stage\":"), str_of(stages[ev->stage]));
	text(&m, STR("\"tenant\":"), ev->tenant);
	text(&m, STR("\"workflow\":"), ev->workflow);
	if (m.any)
		end(&m);
	else
		buf_add_str(out, STR(",\"who\":{}")); /* never left out */
}

static void
member(struct members *m, struct str key)
{
	if (m->any)
		buf_add_byte(m->out, ',');
	else
		buf_add_str(m->out, m->head);
	m->any = true;
	buf_add_str(m->out, key);
}

static void
text(struct members *m, struct str key, struct str value)
{
	if (value.n == 0)
		return;
	member(m, key);
	json_put_str(m->out, value);
}

static void
blob(struct members *m, struct str key, const struct event_blob *b)
{
	char hex[HASH_HEX_BYTES];

	if (b->bytes.n == 0)
		return;
	hash_hex(&b->hash, hex);
	member(m, key);
	buf_add_str(m->out, STR("{\"h\":\""));
	buf_add(m->out, hex, HASH_HEX_BYTES - 1);
	buf_add_str(m->out, STR("\",\"kept\":"));
	buf_add_str(m->out,
	    b->hash_only      ? STR("\"hash\"")
		: b->redacted ? STR("\"redacted\"")
			      : STR("\"raw\""));
	buf_add_str(m->out, STR(",\"n\":"));
	buf_add_u64(m->out, b->bytes.n);
	if (!b->picture && !b->bare) {
		buf_add_str(m->out, STR(",\"preview\":"));
		json_put_str(m->out, preview(b->bytes));
	}
	if (b->salted)
		buf_add_str(m->out, STR(",\"salted\":true"));
	buf_add_byte(m->out, '}');
}

static void
end(struct members *m)
{
	if (m->any)
		buf_add_byte(m->out, '}');
}

static void
put_int(struct buf *out, int64_t v)
{
	if (v < 0)
		buf_add_byte(out, '-');
	buf_add_u64(out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

/* The start of s, cut where a character ends. */
static struct str
preview(struct str s)
{
	size_t n = s.n;

	if (n <= EVENT_PREVIEW_BYTES)
		return s;
	n = EVENT_PREVIEW_BYTES;
	/* A character has at most three bytes after its first. */
	for (int back = 0; back < 3 && ((uint8_t)s.p[n] & 0xc0) == 0x80; back++)
		n--;
	return (struct str){ s.p, n };
}
