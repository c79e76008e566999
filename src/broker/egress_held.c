/*
 * What waits for a person before it leaves. The proxy keeps the request, and
 * its body as far as EGRESS_HELD_BODY_BYTES; here the question is kept, to be
 * judged anew when there is an answer, since labels, rates and secrets may be
 * others by then. It is sent once: the approval is bound to a digest of the
 * request, body included, and the proxy gets one verdict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "broker/approval.h"
#include "broker/call.h"
#include "broker/egress_int.h"
#include "broker/secret.h"
#include "codec/json.h"

static uint32_t held_by_all;

static bool ask_for_yes(struct run *r, struct egress_held *h,
    const struct egress_ask *ask, struct egress_verdict *v);
static void put_args(struct buf *out, const struct run *r,
    const struct egress_ask *ask, const struct egress_verdict *v, bool clear);
static void put_member(struct buf *out, const char *name, struct str value);
static size_t put_why(
    struct buf *out, const struct run *r, const struct egress_verdict *v);
static void show_body(
    struct approval *a, const struct run *r, const struct egress_ask *ask);
static void tell_wait(const struct run *r, const struct egress_held *h,
    uint32_t flags, uint64_t max_body);
static void refuse(
    struct run *r, struct egress_held *h, const char *code, const char *reason);
static bool parse(
    const struct egress_held *h, struct arena *a, struct egress_ask *out);
static void go_on(
    struct run *r, uint64_t number, uint64_t approval, bool again);
static struct egress_held *find(const struct run *r, uint64_t ask);
static void drop(struct run *r, struct egress_held *h);

bool
egress_hold(struct run *r, const struct msg_egress_ask *m, struct str payload,
    const struct egress_ask *ask, struct egress_verdict *v)
{
	bool whole = (m->flags & EGRESS_ASK_WHOLE) != 0 ||
	    ask->level != LEVEL_REQUEST || ask->content_length == 0;
	uint64_t most = v->max_body < EGRESS_HELD_BODY_BYTES
	    ? v->max_body
	    : EGRESS_HELD_BODY_BYTES;
	struct egress_held *h = find(r, m->ask);

	if (h == NULL &&
	    (r->egress->n_held >= EGRESS_HELD_PER_RUN ||
		held_by_all >= EGRESS_HELD_MAX)) {
		egress_refuse(v, "too_many_waiting", v->where,
		    "too many requests wait for a person already");
		return false;
	}
	if (ask->level == LEVEL_REQUEST && ask->content_length > most &&
	    ask->content_length != UINT64_MAX) {
		egress_refuse(v, "body_too_large", v->where,
		    "the body is too large to wait for a person");
		if (h != NULL)
			drop(r, h);
		return false;
	}
	if (h == NULL) {
		h = calloc(1, sizeof(*h));
		must(h != NULL);
		h->ask = m->ask;
		h->level = ask->level;
		h->next = r->egress->held;
		r->egress->held = h;
		r->egress->n_held++;
		held_by_all++;
	}
	buf_reset(&h->payload);
	buf_add_str(&h->payload, payload);
	if (!whole) {
		tell_wait(r, h, EGRESS_GATHER, most);
		return true;
	}
	if (h->approval == 0 && !ask_for_yes(r, h, ask, v)) {
		drop(r, h);
		return false;
	}
	tell_wait(r, h, 0, most);
	return true;
}

const char *
egress_not_now(struct run *r, const struct approval *a)
{
	static struct egress_ask ask; /* large, and used by one at a time */
	static struct egress_verdict v;
	own_arena struct arena arena = {};
	struct egress_held *h = find(r, a->ask);

	if (h == NULL || !parse(h, &arena, &ask))
		return "Who asked for it has gone.";
	egress_decide(r->policy, &ask, &r->labels, &v);
	return v.kind == VERDICT_BLOCK
	    ? "The policy blocks the request as it is now."
	    : NULL;
}

void
egress_approved(struct run *r, const struct approval *a)
{
	go_on(r, a->ask, a->id, false);
}

void
egress_held_again(uint64_t run)
{
	struct run *r = run_find(run);
	struct egress_held *h, *next;

	if (r == NULL || r->egress == NULL)
		return;
	for (h = r->egress->held; h != NULL; h = next) {
		next = h->next;
		if (h->renews)
			go_on(r, h->ask, h->approval, true);
	}
}

/* again: its secrets have been read anew, if they could be. */
static void
go_on(struct run *r, uint64_t number, uint64_t approval, bool again)
{
	static struct egress_ask ask;
	static struct egress_verdict v;
	own_arena struct arena arena = {};
	struct msg_egress_verdict m = {
		.run = r->id,
		.ask = number,
		.max_body = UINT64_MAX,
		.rule = UINT32_MAX,
	};
	struct egress_held *h = find(r, number);
	enum lease lease;
	uint32_t step;
	bool done;

	if (h == NULL || !parse(h, &arena, &ask)) {
		approval_finished(approval, REPLY_TOOL_ERROR, STR("{}"));
		return;
	}
	egress_decide(r->policy, &ask, &r->labels, &v);
	lease = egress_leases(r, &ask, &v, again);
	h->renews = lease == LEASE_WAITS;
	if (h->renews)
		return; /* egress_held_again goes on */
	step = h->step;
	r->egress->approval = approval;
	if (lease == LEASE_GOOD)
		egress_judge(r, &ask, true, &v, &m);
	done = egress_answer(r, &ask, step, &v, &m);
	r->egress->approval = 0;
	drop(r, h); /* behind the last use of what ask points into */
	/* What goes out ends with the report of its end. */
	if (!done || v.kind != VERDICT_ALLOW)
		approval_finished(approval,
		    done && v.kind == VERDICT_SIMULATE ? REPLY_OK
						       : REPLY_TOOL_ERROR,
		    STR("{}"));
}

void
egress_refused(struct run *r, const struct approval *a)
{
	struct egress_held *h = r->egress != NULL ? find(r, a->ask) : NULL;
	bool said = a->reason[0] != '\0';

	if (h == NULL)
		return; /* withdrawn by the proxy, which knows */
	if (a->state == APPROVAL_REJECTED)
		refuse(
		    r, h, "rejected", said ? a->reason : "a reviewer said no");
	else if (a->state == APPROVAL_EXPIRED)
		refuse(r, h, "approval_expired",
		    "nobody decided before the deadline");
	else
		refuse(r, h, "stopped", "the run is ending");
}

bool
egress_withdraw(struct run *r, uint64_t ask, const char *code, struct str why)
{
	struct egress_held *h = find(r, ask);
	char text[REASON_BYTES];
	uint64_t approval;

	if (h == NULL)
		return false;
	why.n = why.n < sizeof(text) ? why.n : sizeof(text) - 1;
	if (why.n == 0 || str_copy(why, text, sizeof(text)) < 0)
		(void)snprintf(text, sizeof(text), "the client has gone");
	approval = h->approval;
	refuse(r, h, code, text);
	if (approval != 0)
		approval_withdraw(r, approval, text);
	return true;
}

void
egress_withdraw_all(struct run *r, const char *why)
{
	while (r->egress != NULL && r->egress->held != NULL)
		(void)egress_withdraw(
		    r, r->egress->held->ask, "withdrawn", str_of(why));
}

void
egress_held_free(struct run *r)
{
	while (r->egress->held != NULL)
		drop(r, r->egress->held);
}

/* Records that it waits, and opens the approval. */
static bool
ask_for_yes(struct run *r, struct egress_held *h, const struct egress_ask *ask,
    struct egress_verdict *v)
{
	const struct str tool = ask->level == LEVEL_REQUEST
	    ? STR("egress.request")
	    : STR("egress.connection");
	own_buf struct buf clear = {}, shown = {}, why = {};
	struct approval *a = NULL;
	size_t preview_at;
	uint64_t seq;

	put_args(&clear, r, ask, v, true);
	put_args(&shown, r, ask, v, false);
	preview_at = put_why(&why, r, v);
	seq = egress_record(r, h->ask, 0, ask, v);
	h->step = r->steps;
	if (seq != 0)
		a = approval_open(r,
		    &(struct approval_about){
			.step = h->step,
			.ask = h->ask,
			.tool = tool,
			.risk = v->risk,
			.simulated = v->respond != NULL,
			.extends = BUDGET_KINDS,
			.rule = v->approval,
			.args = buf_str(&shown),
			.args_shown = buf_str(&shown),
			.hash = call_hash(tool, buf_str(&clear)),
			.why = buf_str(&why),
			.preview_at = preview_at,
		    });
	if (a == NULL) {
		egress_refuse(v, "store_failed", v->where,
		    "the store takes no more records");
		return false;
	}
	h->approval = a->id;
	show_body(a, r, ask);
	return true;
}

/* Canonical. clear: all of it, which is what a yes is bound to; else what a
 * person and the record see. */
static void
put_args(struct buf *out, const struct run *r, const struct egress_ask *ask,
    const struct egress_verdict *v, bool clear)
{
	own_buf struct buf url = {}, path = {};
	bool any = false;

	buf_printf(out, "{\"body_bytes\":%llu",
	    ask->level == LEVEL_REQUEST
		? (unsigned long long)egress_count(ask->content_length)
		: 0ULL);
	put_member(out, "body_sha256", ask->body_sha256);
	put_member(out, "content_type", ask->content_type);
	put_member(out, "host", str_of(ask->host));
	put_member(out, "method", ask->method);
	if (clear)
		buf_add_str(&path, ask->path);
	else
		egress_path_write(&path, r->policy, ask, &r->egress->salt);
	put_member(out, "path", buf_str(&path));
	buf_printf(out, ",\"port\":%u", ask->port);
	put_member(out, "proto", str_of(egress_proto_name(ask->proto)));
	if (clear)
		put_member(out, "query", ask->query);
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		struct str name = r->policy->secrets[i].name;

		if (!egress_may_have(r->policy, ask, v, name))
			continue;
		buf_add_c(out, any ? "," : ",\"secrets\":[");
		any = true;
		json_put_str(out, name);
	}
	buf_add_c(out, any ? "]" : "");
	if (!clear) {
		egress_url_write(&url, r->policy, ask, &r->egress->salt);
		put_member(out, "url", buf_str(&url));
	}
	buf_add_byte(out, '}');
}

static void
put_member(struct buf *out, const char *name, struct str value)
{
	if (value.n == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	json_put_str(out, value);
}

/* As for a tool call: what a reviewer needs besides the request, and where in
 * it the preview stands. */
static size_t
put_why(struct buf *out, const struct run *r, const struct egress_verdict *v)
{
	size_t preview_at;

	buf_add_c(out, "\"labels\":");
	labels_write(out, &r->labels);
	preview_at = out->n;
	buf_printf(out, ",\"quorum\":%u,\"reasons\":[", v->approval->quorum);
	json_put_str(out, str_of(v->reason));
	buf_printf(out, "],\"risk\":\"%s\",\"rule\":", risk_name(v->risk));
	json_put_str(out, str_of(v->where));
	return preview_at;
}

/*
 * The beginning of the body, for who decides while it waits: values of secrets
 * are not shown, and the store has its digest only.
 */
static void
show_body(struct approval *a, const struct run *r, const struct egress_ask *ask)
{
	own_buf struct buf text = { .max = EGRESS_MAX_ASK_BYTES };
	uint64_t hidden = 0;

	if (ask->body_text.n == 0 ||
	    egress_text_hide(r, ask->body_text, &text, &hidden) < 0)
		return;
	a->preview_hidden = true;
	buf_add_c(&a->preview, "{\"body\":");
	json_put_str(&a->preview, buf_str(&text));
	buf_printf(&a->preview, ",\"hidden\":%llu,\"more\":%s,",
	    (unsigned long long)hidden,
	    ask->content_length > ask->body_text.n ? "true" : "false");
	buf_add_c(&a->preview, "\"status\":\"request\"}");
}

static void
tell_wait(const struct run *r, const struct egress_held *h, uint32_t flags,
    uint64_t max_body)
{
	struct msg_egress_verdict m = {
		.run = r->id,
		.ask = h->ask,
		.max_body = max_body,
		.verdict = EGRESS_WAIT,
		.flags = flags,
		.rule = UINT32_MAX,
	};

	(void)peer_send(&broker.proxy, MSG_EGRESS_VERDICT, &m, STR("{}"), NULL,
	    0); /* a proxy that is gone has hung up on the agent */
}

/* It ends here: on the record, and with 403 for whoever still waits. */
static void
refuse(
    struct run *r, struct egress_held *h, const char *code, const char *reason)
{
	static struct egress_ask ask;
	static struct egress_verdict v;
	own_arena struct arena arena = {};
	struct msg_egress_verdict m = {
		.run = r->id,
		.ask = h->ask,
		.rule = UINT32_MAX,
	};

	if (parse(h, &arena, &ask)) {
		egress_decide(r->policy, &ask, &r->labels, &v);
		egress_refuse(&v, code, v.where, reason);
		m.rule = v.rule;
		r->egress->approval = h->approval;
		(void)egress_answer(
		    r, &ask, h->step, &v, &m); /* or it is told no */
		r->egress->approval = 0;
	} else {
		egress_record_nonsense(r, reason); /* it had not come whole */
	}
	drop(r, h);
}

static bool
parse(const struct egress_held *h, struct arena *a, struct egress_ask *out)
{
	struct err e = {};
	const struct json *doc =
	    json_parse(buf_str(&h->payload), NULL, a, &e, NULL);

	return doc != NULL && egress_ask_parse(doc, h->level, out, &e) == 0;
}

static struct egress_held *
find(const struct run *r, uint64_t ask)
{
	struct egress_held *h = r->egress != NULL ? r->egress->held : NULL;

	while (h != NULL && h->ask != ask)
		h = h->next;
	return h;
}

static void
drop(struct run *r, struct egress_held *h)
{
	struct egress_held **at = &r->egress->held;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	r->egress->n_held--;
	held_by_all--;
	egress_settled(r);
	buf_fini(&h->payload);
	free(h);
}
