/*
 * The two records of what leaves: egress.decision before, egress.done after.
 * Both have the same step, and the URL with its query's values digested.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/approval.h"
#include "broker/egress_int.h"
#include "broker/record.h"
#include "broker/spend.h"
#include "codec/json.h"

enum { NS_PER_MS = 1000 * 1000 };

static void put_labels_added(
    struct buf *out, const struct labels *before, const struct labels *after);
static void record_refused(struct run *r, const struct json *told);
static void record_not_judged(
    struct run *r, struct str code, struct str why, struct str body);
static const char *tls_word(
    const struct egress_ask *ask, const struct egress_verdict *v);
static void keep_open(struct run *r, uint64_t number, uint32_t step,
    const struct egress_ask *ask, const struct egress_verdict *v);
static struct egress_open **find(struct run *r, uint64_t number);
static void end_one(struct run *r, struct egress_open **at);
static void record_done(struct run *r, const struct egress_open *o,
    const struct msg_egress_done *m, const struct json *told,
    const char *error);
static void write_url(struct buf *out, const struct run *r,
    const struct egress_open *o, const struct json *told);
static void put_copy(
    struct buf *out, const char *name, const struct json *v, bool *any);

void
egress_state(struct run *r)
{
	if (r->egress != NULL)
		return;
	r->egress = calloc(1, sizeof(*r->egress));
	must(r->egress != NULL);
	r->egress->over.kind = BUDGET_KINDS;
	for (size_t i = 0; i < HASH_BYTES; i += sizeof(uint64_t)) {
		uint64_t random = random_id();

		memcpy(r->egress->salt.b + i, &random, sizeof(random));
	}
}

uint64_t
egress_record(struct run *r, uint64_t number, uint32_t step,
    const struct egress_ask *ask, const struct egress_verdict *v)
{
	static const char *const levels[] = { "connection", "tls", "request" };
	static struct labels before; /* large, and used by one at a time */
	struct event ev = record_of(r, EVENT_EGRESS_DECISION);
	own_buf struct buf body = {};
	uint64_t seq;

	before = r->labels;
	if (v->kind != VERDICT_BLOCK && v->kind != VERDICT_APPROVE &&
	    !v->inspect)
		egress_labels(r->policy, ask, v, &r->labels);
	buf_add_c(&body, "{");
	if (r->egress->approval != 0) {
		char id[ID_BYTES];

		id_text('a', r->egress->approval, id);
		buf_printf(&body, "\"approval\":\"%s\",", id);
	}
	buf_add_c(&body, "\"host\":");
	json_put_str(&body, str_of(ask->host));
	buf_printf(&body, ",\"kind\":\"%s\",\"labels\":", levels[ask->level]);
	labels_write(&body, &before);
	put_labels_added(&body, &before, &r->labels);
	if (ask->method.n > 0) {
		buf_add_c(&body, ",\"method\":");
		json_put_str(&body, ask->method);
	}
	if (v->kind == VERDICT_BLOCK && v->next_step[0] != '\0') {
		buf_add_c(&body, ",\"next_step\":");
		json_put_str(&body, str_of(v->next_step));
	}
	if (ask->path.n > 0) {
		own_buf struct buf path = {};

		egress_path_write(&path, r->policy, ask, &r->egress->salt);
		buf_add_c(&body, ",\"path\":");
		json_put_str(&body, buf_str(&path));
	}
	buf_printf(&body, ",\"port\":%u,\"proto\":\"%s\"", ask->port,
	    egress_proto_name(ask->proto));
	if (ask->server.n > 0) {
		buf_add_c(&body, ",\"server\":");
		json_put_str(&body, ask->server);
	}
	if (v->standing)
		buf_add_c(&body, ",\"standing\":true");
	buf_printf(&body, ",\"tls\":\"%s\"", tls_word(ask, v));
	if (ask->to.n > 0) {
		buf_add_c(&body, ",\"to\":");
		json_put_str(&body, ask->to);
	}
	buf_add_c(&body, ",\"url\":");
	{
		own_buf struct buf url = {};

		egress_url_write(&url, r->policy, ask, &r->egress->salt);
		json_put_str(&body, buf_str(&url));
	}
	if (ask->via.n > 0) {
		buf_add_c(&body, ",\"via\":");
		json_put_str(&body, ask->via);
	}
	buf_add_byte(&body, '}');
	ev.step = step != 0 ? step : ++r->steps;
	ev.tier = str_of(risk_name(v->risk));
	ev.verdict = str_of(verdict_name(v->kind));
	ev.action = v->kind == VERDICT_BLOCK ? STR("blocked")
	    : v->kind == VERDICT_SIMULATE    ? STR("simulated")
	    : v->kind == VERDICT_APPROVE     ? STR("waiting")
	    : v->inspect		     ? STR("opened")
					     : STR("sent");
	ev.rule = str_of(v->where);
	ev.code = str_of(v->code);
	ev.reason = str_of(v->reason);
	ev.body = buf_str(&body);
	seq = body.failed ? 0 : record_add(&ev);
	if (seq != 0 && v->kind == VERDICT_ALLOW)
		keep_open(r, number, ev.step, ask, v);
	r->egress->taking = 0;
	return seq;
}

void
egress_record_nonsense(struct run *r, const char *why)
{
	record_not_judged(r, STR("not_judged"), str_of(why), STR(""));
}

void
on_egress_done(const struct msg_egress_done *m, struct str payload)
{
	own_arena struct arena a = {};
	struct run *r = run_find(m->run);
	struct err e = {};
	const struct json *told = json_parse(payload, NULL, &a, &e, NULL);
	struct egress_open **at, *o;
	struct over over;
	uint64_t covered;

	if (r != NULL && r->state != RUN_CLOSED &&
	    (m->ask == 0 || (m->flags & EGRESS_DONE_REFUSED) != 0)) {
		record_refused(r, told);
		return;
	}
	if (r == NULL || r->egress == NULL)
		return;
	at = find(r, m->ask);
	if (at == NULL &&
	    egress_withdraw(r, m->ask,
		(m->flags & EGRESS_DONE_OVER) != 0 ? "body_too_large"
						   : "withdrawn",
		json_str(json_get(told, STR("error")))))
		return;
	if (at == NULL)
		return; /* ended on the record when the run closed */
	o = *at;
	covered = m->sent < o->taken ? m->sent : o->taken;
	o->taken -= covered;
	for (const struct json *x = json_first(json_get(told, STR("leaks")));
	     x != NULL; x = json_next(json_get(told, STR("leaks")), x))
		egress_leak_record(r, o->step,
		    json_str(json_get(x, STR("name"))),
		    json_str(json_get(x, STR("form"))),
		    json_str(json_get(x, STR("place"))));
	for (const struct json *x = json_first(json_get(told, STR("patterns")));
	     x != NULL; x = json_next(json_get(told, STR("patterns")), x))
		egress_pattern_record(r, o->step,
		    json_str(json_get(x, STR("name"))),
		    json_str(json_get(x, STR("place"))));
	spend_more(r, BUDGET_UPLOAD_BYTES, m->sent - covered);
	if ((m->flags & (EGRESS_DONE_MORE | EGRESS_DONE_CLOSED)) !=
	    EGRESS_DONE_CLOSED) {
		record_done(r, o, m, told, NULL);
		o->told = o->standing;
	}
	if ((m->flags & EGRESS_DONE_MORE) == 0 &&
	    (!o->standing || (m->flags & EGRESS_DONE_CLOSED) != 0))
		end_one(r, at);
	if (spend_is_over(r, BUDGET_UPLOAD_BYTES, &over))
		spend_stop(r, &over);
}

void
egress_end_asks(struct run *r, const char *error)
{
	static const struct msg_egress_done nothing;

	while (r->egress != NULL && r->egress->open != NULL) {
		struct egress_open *o = r->egress->open;

		if (!o->told)
			record_done(r, o, &nothing, NULL, error);
		end_one(r, &r->egress->open);
	}
}

bool
egress_settle(struct run *r, struct loop_timer *t)
{
	if (r->egress == NULL || r->egress->n_open + r->egress->n_held == 0)
		return false;
	r->egress->settles = t;
	loop_timer_set(broker.loop, t,
	    clock_mono_ns() + (int64_t)EGRESS_SETTLE_MS * NS_PER_MS);
	return true;
}

void
egress_settled(struct run *r)
{
	struct egress *g = r->egress;

	if (g->n_open + g->n_held > 0 || g->settles == NULL)
		return;
	loop_timer_set(broker.loop, g->settles, clock_mono_ns());
	g->settles = NULL;
}

void
egress_end_run(struct run *r)
{
	egress_withdraw_all(r, "the run ended");
	egress_end_asks(r, "the run ended");
}

void
egress_free_run(struct run *r)
{
	while (r->egress != NULL && r->egress->open != NULL)
		end_one(r, &r->egress->open);
	if (r->egress != NULL)
		egress_held_free(r);
	free(r->egress);
	r->egress = NULL;
}

/* What the proxy refused by itself, in the words of its report. */
static void
record_refused(struct run *r, const struct json *told)
{
	static const char *const kept[] = { "host", "port", "refused", "sni",
		"via" };
	struct str code = json_str(json_get(told, STR("code")));
	own_buf struct buf body = {};
	bool any = false;

	buf_add_byte(&body, '{');
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		put_copy(&body, kept[i], json_get(told, str_of(kept[i])), &any);
	buf_add_byte(&body, '}');
	record_not_judged(r, code.n > 0 ? code : STR("not_judged"),
	    json_str(json_get(told, STR("error"))), buf_str(&body));
}

static void
record_not_judged(
    struct run *r, struct str code, struct str why, struct str body)
{
	struct event ev = record_of(r, EVENT_EGRESS_DECISION);

	ev.step = ++r->steps;
	ev.verdict = STR("block");
	ev.action = STR("blocked");
	ev.rule = STR("egress");
	ev.code = code;
	ev.reason = why;
	ev.body = body;
	(void)record_add(&ev); /* the answer is no either way */
}

static void
put_labels_added(
    struct buf *out, const struct labels *before, const struct labels *after)
{
	bool any = false;

	for (uint32_t i = 0; i < after->n; i++) {
		bool had = false;

		for (uint32_t k = 0; k < before->n && !had; k++)
			had = strcmp(after->text[i], before->text[k]) == 0;
		if (had)
			continue;
		buf_add_c(out, any ? "," : ",\"labels_added\":[");
		any = true;
		json_put_str(out, str_of(after->text[i]));
	}
	buf_add_c(out, any ? "]" : "");
}

static const char *
tls_word(const struct egress_ask *ask, const struct egress_verdict *v)
{
	if (ask->proto == PROTO_HTTPS || ask->proto == PROTO_WSS || v->inspect)
		return "inspect";
	return ask->proto == PROTO_TLS && v->splice ? "splice" : "none";
}

static void
keep_open(struct run *r, uint64_t number, uint32_t step,
    const struct egress_ask *ask, const struct egress_verdict *v)
{
	struct egress *g = r->egress;
	struct egress_open *o;

	/* The oldest goes: the proxy holds fewer connections than this. */
	if (g->n_open == EGRESS_OPEN_MAX) {
		struct egress_open **at = &g->open;

		while ((*at)->next != NULL)
			at = &(*at)->next;
		end_one(r, at);
	}
	o = calloc(1, sizeof(*o));
	must(o != NULL);
	o->ask = number;
	o->step = step;
	o->approval = g->approval;
	o->standing = v->standing;
	o->taken = g->taking;
	o->proto = ask->proto;
	o->port = ask->port;
	o->v6 = ask->host_is_addr && ask->addr.v6;
	memcpy(o->host, ask->host, sizeof(o->host));
	(void)str_copy(ask->method, o->method,
	    sizeof(o->method)); /* a longer one is in the decision */
	egress_url_write(&o->url, r->policy, ask, &g->salt);
	if (v->record && ask->level == LEVEL_REQUEST)
		egress_key_write(&o->key, ask);
	o->next = g->open;
	g->open = o;
	g->n_open++;
}

static struct egress_open **
find(struct run *r, uint64_t number)
{
	for (struct egress_open **at = &r->egress->open; *at != NULL;
	     at = &(*at)->next) {
		if ((*at)->ask == number)
			return at;
	}
	return NULL;
}

/* Gives back what was taken of the budget and not used. */
static void
end_one(struct run *r, struct egress_open **at)
{
	struct egress_open *o = *at;

	spend_less(r, BUDGET_UPLOAD_BYTES, o->taken);
	*at = o->next;
	r->egress->n_open--;
	egress_settled(r);
	if (o->approval != 0)
		approval_finished(o->approval, REPLY_OK, STR("{}"));
	buf_fini(&o->url);
	buf_fini(&o->key);
	free(o);
}

static void
record_done(struct run *r, const struct egress_open *o,
    const struct msg_egress_done *m, const struct json *told, const char *error)
{
	struct event ev = record_of(r, EVENT_EGRESS_DONE);
	own_buf struct buf body = {}, url = {}, answer = {};
	const struct json *kept = json_get(told, STR("kept"));
	struct str method = json_str(json_get(told, STR("method")));
	const struct json *why = json_get(told, STR("error"));
	bool any = false;

	buf_add_byte(&body, '{');
	put_copy(&body, "addr", json_get(told, STR("addr")), &any);
	if (error != NULL) {
		buf_add_c(&body, any ? ",\"error\":" : "\"error\":");
		json_put_str(&body, str_of(error));
		any = true;
	} else {
		put_copy(&body, "error", why, &any);
	}
	put_copy(&body, "hidden", json_get(told, STR("hidden")), &any);
	put_copy(
	    &body, "hidden_text", json_get(told, STR("hidden_text")), &any);
	put_copy(&body, "hint", json_get(told, STR("hint")), &any);
	if (o->key.n > 0 && kept != NULL) {
		char key[HASH_HEX_BYTES];

		egress_replay_key(r, buf_str(&o->key),
		    json_str(json_get(told, STR("kept_request"))), key);
		buf_printf(&body, "%s\"key\":\"%s\"", any ? "," : "", key);
		json_write(&answer, kept);
		ev.out.bytes = buf_str(&answer);
		any = true;
	}
	put_copy(&body, "leaks", json_get(told, STR("leaks")), &any);
	buf_add_c(&body, any ? ",\"method\":" : "\"method\":");
	json_put_str(&body, method.n > 0 ? method : str_of(o->method));
	if ((m->flags & EGRESS_DONE_OVER) != 0)
		buf_add_c(&body, ",\"over\":true");
	any = true;
	buf_printf(&body, ",\"received\":%llu",
	    (unsigned long long)egress_count(m->received));
	put_copy(&body, "scrubbed", json_get(told, STR("scrubbed")), &any);
	put_copy(&body, "secrets", json_get(told, STR("secrets")), &any);
	buf_printf(&body, ",\"sent\":%llu,\"status\":%u",
	    (unsigned long long)egress_count(m->sent), m->status);
	put_copy(&body, "tls", json_get(told, STR("tls")), &any);
	buf_add_c(&body, ",\"url\":");
	write_url(&url, r, o, told);
	json_put_str(&body, buf_str(&url));
	buf_add_byte(&body, '}');
	ev.step = o->step;
	ev.status = error != NULL				? STR("unknown")
	    : why != NULL || (m->flags & EGRESS_DONE_OVER) != 0 ? STR("error")
								: STR("ok");
	/* A connection that was opened, and whose requests were answered out
	 * of a record, has reached nobody. */
	ev.effect =
	    r->rerun != NULL && m->sent == 0 ? STR("none") : STR("real");
	ev.origin = STR("network");
	ev.ms = (int64_t)(m->ns / NS_PER_MS);
	ev.body = buf_str(&body);
	(void)record_add(
	    &ev); /* it has happened: a full store stops the next */
}

/* A standing request has its own path and query. */
static void
write_url(struct buf *out, const struct run *r, const struct egress_open *o,
    const struct json *told)
{
	const struct json *path = json_get(told, STR("path"));
	struct egress_ask ask = {
		.proto = o->proto,
		.port = o->port,
		.host_is_addr = o->v6,
		.addr.v6 = o->v6,
		.path = egress_leak_hide(r, json_str(path)),
		.query =
		    egress_leak_hide(r, json_str(json_get(told, STR("query")))),
	};

	if (path == NULL) {
		buf_add_str(out, buf_str(&o->url));
		return;
	}
	memcpy(ask.host, o->host, sizeof(ask.host));
	egress_url_write(out, r->policy, &ask, &r->egress->salt);
}

static void
put_copy(struct buf *out, const char *name, const struct json *v, bool *any)
{
	if (v == NULL)
		return;
	buf_printf(out, "%s\"%s\":", *any ? "," : "", name);
	json_write(out, v);
	*any = true;
}
