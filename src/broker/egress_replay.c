/*
 * A run whose requests are answered as an earlier run's were. Of that one the
 * keys of the answers that its trace has kept are read once, when the run
 * opens; an answer is fetched from the store when it is asked for. Nothing
 * goes out for it. The policy is asked first: what it refuses stays refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "broker/egress_int.h"
#include "broker/rerun.h"
#include "codec/json.h"

struct entry {
	struct hash key, blob;
	uint32_t step;
	bool served;
	char url[256]; /* as far as it fits, for people */
};

struct egress_replay {
	uint64_t run;
	char text[ID_BYTES]; /* of the run */
	bool pass; /* what was not recorded goes out */
	bool all; /* nothing ever goes out, whoever says yes */
	bool strict; /* and each is given once, in its order */
	uint32_t next; /* of a strict one */
	uint32_t answered;
	uint32_t unkept; /* requests whose answer the record has not */
	bool more; /* than are kept */
	uint32_t n;
	struct entry *entries; /* in the order of their records */
};

static int load(struct egress_replay *p, struct err *e);
static bool judge_all(struct run *r, const struct egress_ask *ask,
    struct egress_verdict *v, struct msg_egress_verdict *out);
static struct entry *next_of(struct egress_replay *p);
static int by_step(const void *a, const void *b);
static bool on_run(void *arg, const struct store_run *row);
static bool on_done(void *arg, const struct store_row *row);
static struct hash key_of(const char *run, struct str text, struct str body);
static struct entry *find(struct egress_replay *p, const struct hash *key);
static void serve(struct run *r, const struct egress_ask *ask,
    struct egress_verdict *v, struct msg_egress_verdict *m, struct str answer);

int
egress_replay_take(struct run *r, const struct json *args, struct err *e)
{
	struct str name = json_str(json_get(args, STR("replay_http")));
	struct str miss = json_str(json_get(args, STR("replay_miss")));
	struct egress_replay *p;

	if (miss.n > 0 && !str_eq_c(miss, "refuse") && !str_eq_c(miss, "pass"))
		return err_set(e, "`replay_miss` is neither refuse nor pass");
	if (json_get(args, STR("replay_http")) == NULL)
		return miss.n == 0
		    ? 0
		    : err_set(e, "`replay_miss` needs `replay_http`");
	p = calloc(1, sizeof(*p));
	must(p != NULL);
	r->replay = p; /* freed with the run */
	p->pass = str_eq_c(miss, "pass");
	if (!str_eq_c(name, "last") &&
	    (id_parse('r', name, &p->run) < 0 || p->run == 0))
		return err_set(e, "`replay_http` is no run's name");
	return load(p, e);
}

void
egress_replay_write(struct buf *out, const struct egress_replay *p)
{
	bool any = false;

	if (p == NULL)
		return;
	buf_printf(out, "{\"miss\":\"%s\",\"run\":\"%s\",\"served\":[",
	    p->pass ? "pass" : "refuse", p->text);
	for (uint32_t i = 0; i < p->n; i++) {
		if (!p->entries[i].served)
			continue;
		buf_printf(out, any ? ",%u" : "%u", i);
		any = true;
	}
	buf_add_c(out, "]}");
}

int
egress_replay_resume(struct run *r, const struct json *at, struct err *e)
{
	const struct json *served = json_get(at, STR("served"));
	struct egress_replay *p;

	if (at == NULL || r->replay != NULL)
		return 0;
	p = calloc(1, sizeof(*p));
	must(p != NULL);
	r->replay = p; /* freed with the run */
	p->pass = str_eq_c(json_str(json_get(at, STR("miss"))), "pass");
	if (id_parse('r', json_str(json_get(at, STR("run"))), &p->run) < 0 ||
	    p->run == 0 || !json_is(served, JSON_ARRAY))
		return err_set(e, "what it replays is not named");
	if (load(p, e) < 0)
		return -1;
	for (const struct json *x = json_first(served); x != NULL;
	     x = json_next(served, x)) {
		uint64_t i;

		if (json_u64(x, &i) < 0 || i >= p->n)
			return err_set(
			    e, "it replays more than %s has", p->text);
		p->entries[i].served = true;
	}
	return 0;
}

static int
load(struct egress_replay *p, struct err *e)
{
	if (store_runs(broker.store, p->run, false, 1, on_run, p, e) < 0)
		return -1;
	if (p->text[0] == '\0')
		return err_set(e, "`replay_http` names no run of this store");
	if (store_events(broker.store, p->run, 0, 0, on_done, p, e) < 0)
		return -1;
	if (p->more)
		return err_set(e, "%s has more than %d answers", p->text,
		    EGRESS_REPLAY_MAX);
	return p->n > 0 ? 0
			: err_set(e,
			      "%s has no answers: no rule of its policy said "
			      "\"record\": true, or it is still open",
			      p->text);
}

int
egress_replay_all(struct run *r, uint64_t run, bool strict, struct err *e)
{
	struct egress_replay *p;

	if (r->replay != NULL)
		return err_set(
		    e, "`replay` and `replay_http` do not go together");
	p = calloc(1, sizeof(*p));
	must(p != NULL);
	r->replay = p; /* freed with the run */
	p->run = run;
	p->all = true;
	p->strict = strict;
	id_text('r', run, p->text);
	if (store_events(broker.store, p->run, 0, 0, on_done, p, e) < 0)
		return -1;
	if (p->more)
		return err_set(e, "%s has more than %d answers", p->text,
		    EGRESS_REPLAY_MAX);
	/* Records come as requests ended; they were asked by their steps. */
	if (p->n > 0)
		qsort(p->entries, p->n, sizeof(*p->entries), by_step);
	return 0;
}

uint32_t
egress_replay_left(const struct run *r, uint32_t *kept, uint32_t *answered)
{
	const struct egress_replay *p = r->replay;
	uint32_t left = 0;

	for (uint32_t i = 0; i < p->n; i++)
		left += !p->entries[i].served;
	*kept = p->n;
	*answered = p->answered;
	return left;
}

bool
egress_replayed(struct run *r, const struct msg_egress_ask *m,
    const struct egress_ask *ask, struct egress_verdict *v,
    struct msg_egress_verdict *out)
{
	struct egress_replay *p = r->replay;
	own_buf struct buf text = {}, answer = {};
	struct entry *found = NULL;
	struct err e = {};
	struct hash key;

	egress_decide(r->policy, ask, &r->labels, v);
	if (p->all && v->kind == VERDICT_APPROVE && judge_all(r, ask, v, out))
		return true;
	/* What leads to another question is not the end of it. */
	if (v->kind != VERDICT_ALLOW || v->needs_more || v->inspect)
		return false;
	if (ask->level == LEVEL_REQUEST && ask->content_length != 0 &&
	    (m->flags & EGRESS_ASK_WHOLE) == 0) {
		out->verdict = EGRESS_WAIT;
		out->flags = EGRESS_GATHER;
		out->max_body = v->max_body;
		(void)peer_send(&broker.proxy, MSG_EGRESS_VERDICT, out,
		    STR("{}"), NULL,
		    0); /* a proxy that is gone has hung up on the agent */
		return true;
	}
	if (ask->level == LEVEL_REQUEST) {
		egress_key_write(&text, ask);
		key = key_of(p->text, buf_str(&text), ask->body_sha256);
		found = find(p, &key);
	}
	if (found == NULL && p->pass)
		return false;
	if (found == NULL && p->all) {
		const struct entry *next = next_of(p);

		rerun_request(r, ask, p->unkept > 0,
		    next != NULL ? next->step : 0,
		    next != NULL ? str_of(next->url) : STR(""));
	}
	if (found == NULL ||
	    store_blob(broker.store, &found->blob, &answer, &e) < 0) {
		egress_refuse(v, "not_recorded", "replay_http",
		    found != NULL ? "the recorded answer is gone"
			: ask->level == LEVEL_REQUEST
			? "the recorded run has no answer to this request"
			: "nobody reads this connection, so that it cannot be "
			  "answered from a recorded run");
		(void)egress_answer(r, ask, 0, v, out); /* or it is told no */
		if (p->all)
			rerun_settle(r);
		return true;
	}
	found->served = true;
	p->answered++;
	serve(r, ask, v, out, buf_str(&answer));
	return true;
}

bool
egress_replay_is_of(const struct egress_replay *p, uint64_t run)
{
	return p->run == run;
}

void
egress_replay_free(struct egress_replay *p)
{
	if (p != NULL)
		free(p->entries);
	free(p);
}

void
egress_replay_key(const struct run *r, struct str text, struct str body_sha256,
    char out[static HASH_HEX_BYTES])
{
	struct hash h = key_of(r->text, text, body_sha256);

	hash_hex(&h, out);
}

static bool
on_run(void *arg, const struct store_run *row)
{
	struct egress_replay *p = arg;

	p->run = row->id;
	id_text('r', row->id, p->text);
	return false;
}

static bool
on_done(void *arg, const struct store_row *row)
{
	struct egress_replay *p = arg;
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc;
	struct entry one = {};
	struct entry *grown;

	if (row->kind != EVENT_EGRESS_DONE)
		return true;
	doc = json_parse(row->body, NULL, &a, &e, NULL);
	if (hash_from_hex(
		json_str(json_at(doc, "body", "key", NULL)), &one.key) < 0 ||
	    hash_from_hex(json_str(json_at(doc, "res", "out", "h", NULL)),
		&one.blob) < 0) {
		/* Of a connection there is nothing to keep. */
		p->unkept +=
		    json_str(json_at(doc, "body", "method", NULL)).n > 0;
		return true;
	}
	one.step = row->step;
	(void)str_copy(json_str(json_at(doc, "body", "url", NULL)), one.url,
	    sizeof(one.url)); /* a longer one is not told */
	p->more = p->n == EGRESS_REPLAY_MAX;
	if (p->more)
		return false;
	grown = realloc(p->entries, (p->n + 1) * sizeof(*grown));
	must(grown != NULL);
	p->entries = grown;
	p->entries[p->n++] = one;
	return true;
}

/* Of this run alone: equal requests of two runs do not look equal. */
static struct hash
key_of(const char *run, struct str text, struct str body)
{
	own_buf struct buf all = {};

	buf_add_str(&all, text);
	buf_add_str(&all, body);
	must(!all.failed);
	return hash_hmac(str_of(run), buf_str(&all));
}

/* The next one that was not given yet, else the last one again. */
static struct entry *
find(struct egress_replay *p, const struct hash *key)
{
	struct entry *last = NULL;

	if (p->strict) {
		last = next_of(p);
		return last != NULL && hash_eq(&last->key, key) ? last : NULL;
	}
	for (uint32_t i = 0; i < p->n; i++) {
		if (!hash_eq(&p->entries[i].key, key))
			continue;
		last = &p->entries[i];
		if (!last->served)
			return last;
	}
	/* Of a whole run each is given once. */
	return p->all ? NULL : last;
}

/* The first that was not given yet. */
static struct entry *
next_of(struct egress_replay *p)
{
	while (p->next < p->n && p->entries[p->next].served)
		p->next++;
	return p->next < p->n ? &p->entries[p->next] : NULL;
}

/*
 * Nobody is asked whether something may go out that never does: it is answered
 * as what was allowed is. True: it has been.
 */
static bool
judge_all(struct run *r, const struct egress_ask *ask, struct egress_verdict *v,
    struct msg_egress_verdict *out)
{
	if (v->respond != NULL) {
		egress_judge(r, ask, true, v, out);
		(void)egress_answer(r, ask, 0, v, out); /* or it is told no */
		return true;
	}
	v->kind = VERDICT_ALLOW;
	v->needs_more = v->inspect = false;
	return false;
}

static int
by_step(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->step < y->step ? -1 : x->step > y->step;
}

static void
serve(struct run *r, const struct egress_ask *ask, struct egress_verdict *v,
    struct msg_egress_verdict *m, struct str answer)
{
	own_arena struct arena a = {};
	own_buf struct buf payload = {};
	struct err e = {};
	uint64_t status = 0;

	(void)json_u64(
	    json_get(json_parse(answer, NULL, &a, &e, NULL), STR("status")),
	    &status); /* 0 is answered as a refusal */
	v->kind = VERDICT_SIMULATE;
	(void)str_copy(STR("replayed"), v->code, sizeof(v->code));
	(void)str_copy(STR("replay_http"), v->where, sizeof(v->where));
	(void)snprintf(v->reason, sizeof(v->reason),
	    "answered as in %s; nothing was sent", r->replay->text);
	if (egress_record(r, m->ask, 0, ask, v) == 0) {
		egress_refuse(v, "store_failed", v->where,
		    "the store takes no more records");
		(void)egress_answer(r, ask, 0, v, m); /* or it is told no */
		return;
	}
	m->verdict = EGRESS_RESPOND;
	m->status = (uint32_t)status;
	buf_add_c(&payload, "{\"answer\":");
	buf_add_str(&payload, answer);
	buf_add_byte(&payload, '}');
	(void)peer_send(&broker.proxy, MSG_EGRESS_VERDICT, m, buf_str(&payload),
	    NULL, 0); /* a proxy that is gone has hung up on the agent */
}
