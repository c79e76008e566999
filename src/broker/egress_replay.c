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
#include "codec/json.h"

struct entry {
	struct hash key, blob;
	bool served;
};

struct egress_replay {
	uint64_t run;
	char text[ID_BYTES]; /* of the run */
	bool pass; /* what was not recorded goes out */
	bool more; /* than are kept */
	uint32_t n;
	struct entry *entries; /* in the order of their records */
};

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
	if (found == NULL ||
	    store_blob(broker.store, &found->blob, &answer, &e) < 0) {
		egress_refuse(v, "not_recorded", "replay_http",
		    found != NULL ? "the recorded answer is gone"
			: ask->level == LEVEL_REQUEST
			? "the recorded run has no answer to this request"
			: "nobody reads this connection, so that it cannot be "
			  "answered from a recorded run");
		(void)egress_answer(r, ask, 0, v, out); /* or it is told no */
		return true;
	}
	found->served = true;
	serve(r, ask, v, out, buf_str(&answer));
	return true;
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
	    hash_from_hex(
		json_str(json_at(doc, "res", "out", "h", NULL)), &one.blob) < 0)
		return true;
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

	for (uint32_t i = 0; i < p->n; i++) {
		if (!hash_eq(&p->entries[i].key, key))
			continue;
		last = &p->entries[i];
		if (!last->served)
			return last;
	}
	return last;
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
