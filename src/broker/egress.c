/*
 * From the proxy's question to the verdict, and from its end to the record.
 *
 * What only reads is answered while its record is written, as a tool that
 * reads is; anything else goes out when its decision is on disk.
 */
#include "broker/egress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/egress_int.h"
#include "broker/fault.h"
#include "broker/record.h"
#include "broker/secret.h"
#include "broker/spend.h"
#include "broker/server.h"
#include "codec/json.h"

/* A verdict that waits for its record. */
struct waiting {
	struct waiting *next;
	uint64_t seq;
	struct msg_egress_verdict m;
	struct buf payload;
};

static struct waiting *first, **last = &first;

/* A question that waits for a secret that is read anew. */
struct asked {
	struct asked *next;
	struct msg_egress_ask m;
	struct buf payload;
};

static struct asked *held;

static void ask_again(
    const struct msg_egress_ask *m, struct str payload, bool again, bool late);
static bool guard(struct run *r, const struct msg_egress_ask *m,
    struct str payload, struct egress_ask *ask, bool again);
static bool take_rate(
    struct run *r, const struct egress_verdict *v, uint32_t *of);
static void take_budget(
    struct run *r, const struct egress_ask *ask, struct egress_verdict *v);
static void take_costs(struct run *r, struct egress_verdict *v);
static void over_budget(
    struct run *r, struct egress_verdict *v, const struct over *o);
static void write_ca(struct buf *out, const struct policy *p,
    const struct egress_ask *ask, const struct egress_verdict *v);
static void write_rules(struct buf *out, const struct egress_verdict *v);
static void write_secrets(struct buf *out, struct run *r,
    const struct egress_ask *ask, const struct egress_verdict *v);
static void wipe(struct buf *payload);
static void write_denied(struct buf *out, const struct egress_ask *ask,
    const struct egress_verdict *v);
static void write_canned(struct buf *out, struct run *r,
    const struct egress_ask *ask, const struct egress_respond *a);
static void write_answer(struct buf *out, struct str body, uint32_t status,
    const struct egress_respond *a, const char *type);
static void deny_unread(const struct msg_egress_ask *m, const char *why);
static void send(
    const struct msg_egress_verdict *m, struct buf *payload, uint64_t wait_seq);

void
on_egress_ask(const struct msg_egress_ask *m, struct str payload)
{
	ask_again(m, payload, false, false);
}

void
egress_ask_late(const struct msg_egress_ask *m, struct str payload)
{
	ask_again(m, payload, false, true);
}

void
egress_again(uint64_t run)
{
	struct asked **at = &held, *q;

	egress_held_again(run);
	while ((q = *at) != NULL) {
		if (q->m.run != run) {
			at = &q->next;
			continue;
		}
		*at = q->next;
		ask_again(&q->m, buf_str(&q->payload), true, false);
		buf_fini(&q->payload);
		free(q);
	}
}

/* again: it has waited for a secret, and does not do so once more. late: and
 * so for a failure on purpose. */
static void
ask_again(
    const struct msg_egress_ask *m, struct str payload, bool again, bool late)
{
	static struct egress_ask ask; /* large, and used by one at a time */
	static struct egress_verdict v;
	own_arena struct arena a = {};
	struct run *r = run_find(m->run);
	struct err e = {};
	const struct json *asked = json_parse(payload, NULL, &a, &e, NULL);
	struct msg_egress_verdict out = {
		.run = m->run,
		.ask = m->ask,
		.max_body = UINT64_MAX,
		.rule = UINT32_MAX,
	};

	if (asked == NULL || m->kind > EGRESS_REQUEST ||
	    egress_ask_parse(asked, (enum egress_level)m->kind, &ask, &e) < 0) {
		if (r != NULL && r->state != RUN_CLOSED)
			egress_record_nonsense(r, e.text);
		deny_unread(m, "the proxy could not name what was asked for");
		return;
	}
	if (r == NULL ||
	    (r->state != RUN_OPEN && r->state != RUN_OPENING &&
		!(server_is_leaving(r, m->server) &&
		    str_eq(ask.method, STR("DELETE"))))) {
		deny_unread(m, "the run is ending");
		return;
	}
	box_touch(r);
	egress_state(r);
	if (m->server != 0) {
		ask.server = server_name(r, m->server);
		ask.to_server = server_over_http(r, m->server);
		if (ask.server.n == 0) {
			deny_unread(m, "the tool server is ending");
			return;
		}
	}
	if (r->secrets != NULL && !guard(r, m, payload, &ask, again))
		return;
	if (r->replay != NULL && egress_replayed(r, m, &ask, &v, &out))
		return;
	if (!late && faults_any(r) && faults_request(r, m, payload, &ask, &out))
		return;
	egress_judge(r, &ask, false, &v, &out);
	if (v.kind != VERDICT_APPROVE || !egress_hold(r, m, payload, &ask, &v))
		(void)egress_answer(
		    r, &ask, 0, &v, &out); /* or the proxy is told no */
}

void
egress_durable(uint64_t seq)
{
	while (first != NULL && first->seq <= seq) {
		struct waiting *w = first;

		first = w->next;
		if (first == NULL)
			last = &first;
		send(&w->m, &w->payload, 0);
		free(w);
	}
}

void
egress_proxy_lost(void)
{
	while (first != NULL) {
		struct waiting *w = first;

		first = w->next;
		wipe(&w->payload);
		free(w);
	}
	last = &first;
	faults_proxy_lost();
	while (held != NULL) {
		struct asked *q = held;

		held = q->next;
		buf_fini(&q->payload);
		free(q);
	}
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		egress_withdraw_all(r, "the proxy ended; nothing was sent");
		egress_end_asks(r,
		    "the proxy ended; it is not known what was "
		    "sent");
	}
}

void
egress_judge(struct run *r, const struct egress_ask *ask, bool approved,
    struct egress_verdict *v, struct msg_egress_verdict *m)
{
	bool counts;
	uint32_t of = UINT32_MAX;

	r->egress->over = (struct over){ .kind = BUDGET_KINDS };
	egress_decide(r->policy, ask, &r->labels, v);
	/* Each request is one that a rule of faults may be about. */
	v->standing = v->standing && !faults_any(r);
	if (v->kind == VERDICT_APPROVE && approved) {
		v->kind = v->respond != NULL ? VERDICT_SIMULATE : VERDICT_ALLOW;
		v->splice = ask->level != LEVEL_REQUEST;
		(void)str_copy(STR("approved"), v->code, sizeof(v->code));
	} else if (v->kind == VERDICT_APPROVE) {
		return; /* nothing is taken before a person says yes */
	}
	counts = v->kind != VERDICT_BLOCK &&
	    (ask->level == LEVEL_REQUEST || v->splice);
	/* A server's own rule has neither rate nor costs. */
	if (counts && ask->to_server == NULL && !take_rate(r, v, &of)) {
		v->rule = of;
		egress_refuse(
		    v, "rate", "egress.rules", "the rule's rate is used up");
	}
	if (counts && ask->to_server == NULL && v->kind == VERDICT_ALLOW)
		take_costs(r, v);
	if (counts && v->kind == VERDICT_ALLOW)
		take_budget(r, ask, v);
	m->rule = v->rule;
	m->max_body = v->max_body;
	m->bytes_per_s = v->bytes_per_s;
	m->flags = (v->splice ? EGRESS_SPLICE : 0) |
	    (v->inspect ? EGRESS_INSPECT : 0) | (v->pin ? EGRESS_PIN : 0) |
	    (v->standing ? EGRESS_STANDING : 0) |
	    (v->strip_html ? EGRESS_STRIP_HTML : 0) |
	    (v->record ? EGRESS_RECORD_BODY : 0) |
	    (v->n_addrs > 0 ? EGRESS_PRIVATE_OK : 0) |
	    (r->secrets != NULL ? EGRESS_LEAK_CHECK : 0) |
	    (approved ? EGRESS_ONCE : 0);
}

/*
 * Before anything is recorded or looked up: it holds no secret, and those that
 * may go out with it are still good. False: it is answered, or waits.
 */
static bool
guard(struct run *r, const struct msg_egress_ask *m, struct str payload,
    struct egress_ask *ask, bool again)
{
	static struct egress_verdict v;
	struct msg_egress_verdict out = { .run = m->run, .ask = m->ask };
	struct leak_hit hit;
	struct str place, leak = egress_leak_take(r, ask, &place, &hit);
	char text[REASON_BYTES];
	enum lease lease;

	egress_decide(r->policy, ask, &r->labels, &v);
	if (leak.p != NULL) {
		(void)snprintf(text, sizeof(text),
		    "the %.*s holds %.*s (%s), which must not go out",
		    STR_FMT(place), STR_FMT(leak), leak_form_name(hit.form));
		egress_refuse(&v, "leak", "secrets", text);
	} else {
		lease = egress_leases(r, ask, &v, again);
		if (lease == LEASE_GOOD)
			return true;
		if (lease == LEASE_WAITS) {
			struct asked *q = calloc(1, sizeof(*q));

			must(q != NULL);
			q->m = *m;
			buf_add_str(&q->payload, payload);
			q->next = held;
			held = q;
			return false;
		}
	}
	out.rule = v.rule;
	(void)egress_answer(r, ask, 0, &v, &out); /* or the proxy is told no */
	if (leak.p != NULL)
		egress_leak_record(
		    r, r->steps, leak, str_of(leak_form_name(hit.form)), place);
	return false;
}

enum lease
egress_leases(struct run *r, const struct egress_ask *ask,
    struct egress_verdict *v, bool again)
{
	if (r->secrets == NULL || v->kind == VERDICT_BLOCK ||
	    ask->level != LEVEL_REQUEST ||
	    (ask->proto != PROTO_HTTPS && ask->proto != PROTO_WSS))
		return LEASE_GOOD;
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		struct err why = {};
		enum lease got;

		if (!egress_may_have(
			r->policy, ask, v, r->policy->secrets[i].name))
			continue;
		got = run_secret_lease(r, i, again, &why);
		if (got == LEASE_WAITS)
			return got;
		if (got == LEASE_OVER) {
			egress_refuse(
			    v, "secret_not_ready", "secrets", why.text);
			return got;
		}
	}
	return LEASE_GOOD;
}

static bool
take_rate(struct run *r, const struct egress_verdict *v, uint32_t *of)
{
	int64_t now = clock_mono_ns();

	for (uint32_t i = 0; i < r->policy->n_egress; i++) {
		if ((v->rules[i / 64] >> (i % 64) & 1) == 0)
			continue;
		*of = i;
		if (!egress_rate_take(
			&r->policy->egress[i], &r->egress->rates[i], now))
			return false;
	}
	return true;
}

/*
 * Bytes are taken before they are sent. Where nobody can say how many there
 * will be, all that are left are taken until the end says it.
 */
static void
take_budget(
    struct run *r, const struct egress_ask *ask, struct egress_verdict *v)
{
	uint64_t limit = r->budget.limit[BUDGET_UPLOAD_BYTES];
	uint64_t used = r->budget.used[BUDGET_UPLOAD_BYTES];
	uint64_t own = used < limit ? limit - used : 0;
	uint64_t left = spend_left(r, BUDGET_UPLOAD_BYTES), take;
	struct over over;

	take = ask->level == LEVEL_REQUEST && ask->content_length != UINT64_MAX
	    ? ask->content_length
	    : (left < v->max_body ? left : v->max_body);
	if (take > left) {
		const uint64_t cost[BUDGET_KINDS] = {
			[BUDGET_UPLOAD_BYTES] = take,
		};

		must(!spend_take(r, cost, &over));
		over_budget(r, v, &over);
		return;
	}
	if (take < v->max_body)
		v->max_body = take;
	/* The limit that everybody has is there against mistakes: connections
	 * beside each other may reach it together, and end the run then. */
	if (limit == EGRESS_BODY_MAX_BYTES && left == own &&
	    ask->content_length == UINT64_MAX)
		take = 0;
	r->egress->taking = take;
	spend_more(r, BUDGET_UPLOAD_BYTES, take);
}

/* Of all rules that are about it, the most of each kind. */
static void
take_costs(struct run *r, struct egress_verdict *v)
{
	uint64_t cost[BUDGET_KINDS] = {};
	bool any = false;
	struct over over;

	for (uint32_t i = 0; i < r->policy->n_egress; i++) {
		const struct policy_cost *costs = r->policy->egress[i].costs;

		if (costs == NULL || (v->rules[i / 64] >> (i % 64) & 1) == 0)
			continue;
		any = true;
		for (int k = 0; k < BUDGET_KINDS; k++) {
			if (costs[k].most > cost[k])
				cost[k] = costs[k].most;
		}
	}
	if (any && !spend_take(r, cost, &over))
		over_budget(r, v, &over);
}

/* Refused; the run is stopped when that is answered. */
static void
over_budget(struct run *r, struct egress_verdict *v, const struct over *o)
{
	char rule[RULE_BYTES];

	spend_rule(o, rule);
	egress_refuse(v, budget_reason(o->kind), rule,
	    o->kind == BUDGET_UPLOAD_BYTES
		? "the run may not send so many bytes any more"
		: "the budget has too little left for the request");
	r->egress->over = *o;
}

void
egress_refuse(struct egress_verdict *v, const char *code, const char *where,
    const char *reason)
{
	v->kind = VERDICT_BLOCK;
	v->splice = v->inspect = v->standing = v->needs_more = false;
	(void)str_copy(str_of(code), v->code, sizeof(v->code));
	if (where != v->where)
		(void)str_copy(str_of(where), v->where, sizeof(v->where));
	if (reason != v->reason)
		(void)str_copy(str_of(reason), v->reason, sizeof(v->reason));
	(void)str_copy(STR("Go on without it, or tell the user what it was "
			   "for."),
	    v->next_step, sizeof(v->next_step));
}

/* Tells the proxy at once, or when the record is on disk. */
bool
egress_answer(struct run *r, const struct egress_ask *ask, uint32_t step,
    const struct egress_verdict *v, struct msg_egress_verdict *m)
{
	struct over over = r->egress->over;
	own_buf struct buf out = {};
	uint64_t seq = 0;

	/* What leads to another question has no effect yet. */
	if (!v->needs_more) {
		seq = egress_record(r, m->ask, step, ask, v);
		if (seq == 0) {
			deny_unread(&(struct msg_egress_ask){ .run = m->run,
					.ask = m->ask },
			    "the store takes no more records");
			return false;
		}
	}
	if (v->kind == VERDICT_SIMULATE) {
		m->verdict = EGRESS_RESPOND;
		m->status = v->respond->status;
		write_canned(&out, r, ask, v->respond);
	} else if (v->kind == VERDICT_ALLOW) {
		m->verdict = EGRESS_ALLOW;
		buf_add_c(&out, "{");
		for (uint32_t i = 0; i < v->n_addrs; i++) {
			char text[ADDR_TEXT_BYTES];

			cidr_write(&v->addrs[i], text);
			buf_printf(&out, "%s\"%s\"",
			    i == 0 ? "\"addrs\":[" : ",", text);
		}
		buf_add_c(&out, v->n_addrs > 0 ? "]" : "");
		write_ca(&out, r->policy, ask, v);
		write_rules(&out, v);
		if (r->egress->fault != NULL) {
			buf_add_c(&out, ",\"fault\":{");
			egress_fault_write(&out, ask, r->egress->fault);
			buf_add_byte(&out, '}');
		}
		write_secrets(&out, r, ask, v);
		buf_add_byte(&out, '}');
	} else {
		m->verdict = EGRESS_DENY;
		m->status = 403;
		write_denied(&out, ask, v);
	}
	send(m, &out,
	    m->verdict == EGRESS_ALLOW && !v->inspect &&
		    (v->risk >= RISK_INTERNAL_WRITE || r->egress->approval != 0)
		? seq
		: 0);
	r->egress->over.kind = BUDGET_KINDS;
	if (over.kind != BUDGET_KINDS)
		spend_stop(r, &over);
	return true;
}

/* Of every rule that is about it: the member behind "addrs". */
static void
write_ca(struct buf *out, const struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *v)
{
	own_buf struct buf pem = {};
	uint32_t n;
	const struct egress_rule *rules = egress_rules(p, ask, &n);

	for (uint32_t i = 0; i < n; i++) {
		if ((v->rules[i / 64] >> (i % 64) & 1) != 0)
			buf_add_str(&pem, rules[i].ca);
	}
	if (pem.n == 0)
		return;
	buf_add_c(out, v->n_addrs > 0 ? ",\"ca\":" : "\"ca\":");
	json_put_str(out, buf_str(&pem));
}

/* Who they are: requests of other rules share no connection with this one. */
static void
write_rules(struct buf *out, const struct egress_verdict *v)
{
	buf_add_c(out, out->n > 1 ? ",\"rules\":\"" : "\"rules\":\"");
	for (size_t i = 0; i < sizeof(v->rules) / sizeof(v->rules[0]); i++) {
		if (v->rules[i] != 0)
			buf_printf(out, "%zu:%llx.", i,
			    (unsigned long long)v->rules[i]);
	}
	buf_add_byte(out, '"');
}

/* For this one request, over TLS, of the rules that are about it. */
static void
write_secrets(struct buf *out, struct run *r, const struct egress_ask *ask,
    const struct egress_verdict *v)
{
	bool any = false;

	if (r->secrets == NULL || ask->level != LEVEL_REQUEST ||
	    (ask->proto != PROTO_HTTPS && ask->proto != PROTO_WSS))
		return;
	if (buf_reserve(out, secrets_grant_bytes(r->secrets) + 32) == NULL)
		return; /* without them the placeholders go out */
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		struct str name = r->policy->secrets[i].name;
		size_t before = out->n;

		if (!egress_may_have(r->policy, ask, v, name))
			continue;
		if (any)
			buf_add_byte(out, ',');
		else
			buf_add_c(out,
			    out->n > 1 ? ",\"secrets\":[" : "\"secrets\":[");
		if (secrets_grant(r->secrets, name, clock_mono_ns(), out) ==
		    SECRET_READY)
			any = true;
		else
			out->n = before;
	}
	if (any)
		buf_add_byte(out, ']');
}

/* It may hold secrets. */
static void
wipe(struct buf *payload)
{
	if (payload->p != NULL)
		explicit_bzero(payload->p, payload->n);
	buf_fini(payload);
}

static void
write_denied(struct buf *out, const struct egress_ask *ask,
    const struct egress_verdict *v)
{
	own_buf struct buf body = {};

	buf_add_c(&body, "{\"code\":");
	json_put_str(&body, str_of(v->code));
	buf_add_c(&body, ",\"error\":\"policy_denied\",\"host\":");
	json_put_str(&body, str_of(ask->host));
	buf_add_c(&body, ",\"method\":");
	json_put_str(&body, ask->method);
	buf_add_c(&body, ",\"path\":");
	json_put_str(&body, ask->path);
	buf_add_c(&body, ",\"reason\":");
	json_put_str(&body, str_of(v->reason));
	buf_add_c(&body, ",\"rule_missing\":");
	json_put_str(&body, str_of(v->where));
	buf_add_c(&body, ",\"suggested_next_step\":");
	json_put_str(&body, str_of(v->next_step));
	buf_add_byte(&body, '}');
	write_answer(out, buf_str(&body), 403, NULL, "application/json");
}

static void
write_canned(struct buf *out, struct run *r, const struct egress_ask *ask,
    const struct egress_respond *a)
{
	own_buf struct buf body = { .max = EGRESS_MAX_RESPOND_BYTES };

	egress_respond_write(&body, a, ask, ++r->egress->n_canned);
	/* One that grew past the limit: an answer all the same. */
	if (body.failed)
		buf_reset(&body);
	write_answer(out, buf_str(&body), a->status, a,
	    a->is_json ? "application/json" : "text/plain; charset=utf-8");
}

static void
write_answer(struct buf *out, struct str body, uint32_t status,
    const struct egress_respond *a, const char *type)
{
	bool typed = false;

	buf_add_c(out, "{\"answer\":{\"body\":");
	json_put_str(out, body);
	buf_add_c(out, ",\"headers\":{");
	for (uint32_t i = 0; a != NULL && i < a->n_headers; i++) {
		typed = typed || str_eq_c(a->names[i], "content-type");
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, a->names[i]);
		buf_add_byte(out, ':');
		json_put_str(out, a->values[i]);
	}
	if (!typed)
		buf_printf(out, "%s\"content-type\":\"%s\"",
		    a != NULL && a->n_headers > 0 ? "," : "", type);
	buf_printf(out, "},\"status\":%u}}", status);
}

/* For a question that cannot be recorded as one. */
static void
deny_unread(const struct msg_egress_ask *m, const char *why)
{
	static const struct egress_ask nothing;
	static struct egress_verdict v;
	struct msg_egress_verdict out = {
		.run = m->run,
		.ask = m->ask,
		.verdict = EGRESS_DENY,
		.rule = UINT32_MAX,
		.status = 403,
	};
	own_buf struct buf payload = {};

	egress_refuse(&v, "not_judged", "egress", why);
	write_denied(&payload, &nothing, &v);
	send(&out, &payload, 0);
}

/* Takes the payload over. wait_seq 0: now. */
static void
send(const struct msg_egress_verdict *m, struct buf *payload, uint64_t wait_seq)
{
	struct waiting *w;

	if (wait_seq == 0 || wait_seq <= store_durable(broker.store)) {
		(void)peer_send(&broker.proxy, MSG_EGRESS_VERDICT, m,
		    buf_str(payload), NULL,
		    0); /* a proxy that is gone has hung up on the agent */
		wipe(payload);
		return;
	}
	w = calloc(1, sizeof(*w));
	must(w != NULL);
	w->m = *m;
	w->seq = wait_seq;
	w->payload = *payload;
	*payload = (struct buf){};
	*last = w;
	last = &w->next;
	store_hurry(broker.store);
}
