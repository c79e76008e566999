/*
 * Requests that fail on purpose. Before they leave: the proxy answers as it
 * does when a host cannot be reached, or as that host would. Or behind it: the
 * host does what was asked, and the proxy changes its answer, or keeps it back
 * (proxy/spoil.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/egress_int.h"
#include "broker/fault.h"
#include "codec/json.h"

/* A request that waits: it is judged then, or answered. */
struct late {
	struct late *next;
	struct loop_timer timer;
	struct msg_egress_ask m;
	struct buf payload;
	uint32_t step;
	struct policy_fault rule; /* its texts stay as long as the run does */
};

static struct late *lates;

static void on_due(struct loop_timer *t);
static void forget(struct late *w);
static void answer(struct run *r, const struct egress_ask *ask, uint64_t number,
    uint32_t step, const struct policy_fault *f);
static void spoil(struct run *r, const struct egress_ask *ask,
    const struct fault_hit *hit, struct msg_egress_verdict *out);

bool
faults_request(struct run *r, const struct msg_egress_ask *m,
    struct str payload, const struct egress_ask *ask,
    struct msg_egress_verdict *out)
{
	static struct egress_verdict v; /* large, and used by one at a time */
	struct fault_hit hit;
	struct late *w;
	uint64_t seq;
	int64_t ms;

	if (ask->level != LEVEL_REQUEST)
		return false;
	egress_decide(r->policy, ask, &r->labels, &v);
	if (v.kind != VERDICT_ALLOW || v.needs_more || v.inspect)
		return false;
	/* It has a step, which its decision shares. */
	r->steps++;
	if (!faults_hit(
		r, FAULT_AT_REQUEST, str_of(ask->host), r->steps, &hit, &seq)) {
		r->steps--;
		return false;
	}
	if (seq != 0 && fault_spoils(hit.rule)) {
		spoil(r, ask, &hit, out);
		return true;
	}
	ms = hit.rule->kind == FAULT_HANG && hit.delay_ms == 0
	    ? FAULT_HANG_REQUEST_MS
	    : hit.delay_ms;
	if (seq == 0 || ms == 0) {
		answer(r, ask, out->ask, r->steps, hit.rule);
		return true;
	}
	w = calloc(1, sizeof(*w));
	must(w != NULL);
	w->m = *m;
	buf_add_str(&w->payload, payload);
	w->step = r->steps;
	w->rule = *hit.rule;
	w->timer.on_time = on_due;
	w->next = lates;
	lates = w;
	loop_timer_set(broker.loop, &w->timer, clock_mono_ns() + ms * 1000000);
	return true;
}

void
faults_proxy_lost(void)
{
	while (lates != NULL)
		forget(lates);
}

static void
on_due(struct loop_timer *t)
{
	static struct egress_ask ask; /* large, and used by one at a time */
	struct late *w = LOOP_OF(t, struct late, timer);
	own_arena struct arena a = {};
	struct run *r = run_find(w->m.run);
	struct err e = {};
	const struct json *asked =
	    json_parse(buf_str(&w->payload), NULL, &a, &e, NULL);

	if (r == NULL || w->rule.kind == FAULT_LATENCY ||
	    (r->state != RUN_OPEN && r->state != RUN_OPENING) ||
	    asked == NULL ||
	    egress_ask_parse(asked, (enum egress_level)w->m.kind, &ask, &e) <
		0) {
		egress_ask_late(&w->m, buf_str(&w->payload));
	} else {
		egress_state(r);
		answer(r, &ask, w->m.ask, w->step, &w->rule);
	}
	forget(w);
}

static void
forget(struct late *w)
{
	struct late **at = &lates;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	loop_timer_clear(broker.loop, &w->timer);
	buf_fini(&w->payload);
	free(w);
}

/* Rates and budgets hold: it is sent. */
static void
spoil(struct run *r, const struct egress_ask *ask, const struct fault_hit *hit,
    struct msg_egress_verdict *out)
{
	static struct egress_verdict v;
	const uint32_t step = r->steps;

	egress_judge(r, ask, false, &v, out);
	r->egress->fault = hit;
	(void)egress_answer(r, ask, step, &v, out); /* or it is told no */
	r->egress->fault = NULL;
}

void
egress_fault_write(
    struct buf *out, const struct egress_ask *ask, const struct fault_hit *hit)
{
	const struct policy_fault *f = hit->rule;

	buf_printf(out, "\"bytes\":%u,\"bytes_set\":%s,\"encoding\":", f->bytes,
	    f->bytes_set ? "true" : "false");
	json_put_str(out, f->encoding);
	buf_printf(out,
	    ",\"events\":%u,\"format\":%u,\"kind\":\"%s\",\"ms\":%u,"
	    "\"per_s\":%u,\"share\":%u,\"skew_s\":%lld,\"at\":",
	    f->events, (unsigned)fault_format_of(f, ask->path),
	    fault_kind_name(f->kind), hit->delay_ms, f->per_s,
	    f->share_permille, (long long)f->skew_s);
	json_put_str(out, f->at);
	buf_add_c(out, ",\"text\":");
	json_put_str(out, f->text);
	buf_add_c(out, ",\"to\":");
	json_put_str(out, f->to);
}

static void
answer(struct run *r, const struct egress_ask *ask, uint64_t number,
    uint32_t step, const struct policy_fault *f)
{
	static struct egress_verdict v;
	struct msg_egress_verdict m = {
		.run = r->id,
		.ask = number,
		.verdict = EGRESS_RESPOND,
		.max_body = UINT64_MAX,
		.rule = UINT32_MAX,
		.status = fault_http_status(f),
	};
	own_buf struct buf body = {}, payload = {}, fields = {};
	const enum fault_format format = fault_format_of(f, ask->path);
	bool model = fault_is_status(f) && format != FAULT_FORMAT_PLAIN;

	egress_decide(r->policy, ask, &r->labels, &v);
	v.kind = VERDICT_SIMULATE;
	(void)str_copy(STR("fault"), v.code, sizeof(v.code));
	(void)str_copy(STR("faults"), v.where, sizeof(v.where));
	(void)snprintf(v.reason, sizeof(v.reason),
	    "%s on purpose; nothing was sent", fault_kind_name(f->kind));
	if (egress_record(r, number, step, ask, &v) == 0) {
		egress_refuse(&v, "store_failed", v.where,
		    "the store takes no more records");
		m.status = 503;
		model = false;
	}
	if (model) {
		m.status =
		    fault_model_error(&body, &fields, f, format, ask->path);
	} else if (f->kind != FAULT_EMPTY) {
		fault_error_write(&body, f);
		if (f->retry_after_s > 0)
			buf_printf(&fields, ",\"retry-after\":\"%u\"",
			    f->retry_after_s);
	}
	buf_add_c(&payload, "{\"answer\":{\"body\":");
	json_put_str(&payload, buf_str(&body));
	buf_add_c(
	    &payload, ",\"headers\":{\"content-type\":\"application/json\"");
	buf_add_str(&payload, buf_str(&fields));
	buf_printf(&payload, "},\"status\":%u}}", m.status);
	(void)peer_send(&broker.proxy, MSG_EGRESS_VERDICT, &m,
	    buf_str(&payload), NULL,
	    0); /* a proxy that is gone has hung up on the agent */
}
