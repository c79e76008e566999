/*
 * The caller's side of writing: numbers, hashes, and rows for the queue.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/id.h"
#include "store/inside.h"
#include "store/store.h"

/* Items that go on the queue together. */
struct chain {
	struct item *first, *last;
	size_t count, bytes;
	bool failed;
};

static struct param text(struct str s);
static struct param blob(struct str s);
static struct param hash(const struct hash *h);
static struct param number(int64_t v);
static struct param name(const char *id);
static bool begins(enum event_kind kind);
static uint64_t append(struct store *s, struct chain *c, struct event *ev);
static void hash_content(struct store *s, struct event *ev);
static struct item *add(struct store *s, struct chain *c,
    enum statement statement, const struct param *params, size_t n);
static void add_blob(
    struct store *s, struct chain *c, uint64_t run, const struct event_blob *b);
static struct hash *recent(struct store *s, const struct hash *h);
static void remember(struct store *s, const struct event_blob *b);
static void forget(struct store *s, struct chain *c, enum statement which,
    const struct store_kept *kept);
static int put(struct store *s, struct chain *c);
static void add_record(struct store *s, struct chain *c, const struct event *ev,
    struct str bytes, struct hash *h);
static void count_record(
    struct store *s, const struct event *ev, const struct hash *h);

uint64_t
store_append(struct store *s, struct event *ev)
{
	struct chain c = {};

	must(s->lock_fd >= 0);
	if (atomic_load(&s->full) && begins(ev->kind))
		return 0;
	return append(s, &c, ev);
}

/* With what is in the chain already, in one transaction. */
static uint64_t
append(struct store *s, struct chain *c, struct event *ev)
{
	struct hash h;

	if (store_next(s, ev) < 0) {
		items_free(c->first);
		return 0;
	}
	hash_content(s, ev);
	buf_reset(&s->scratch);
	event_write(&s->scratch, ev);
	if (s->scratch.failed) {
		items_free(c->first);
		return 0;
	}
	add_blob(s, c, ev->run, &ev->args);
	add_blob(s, c, ev->run, &ev->out);
	add_record(s, c, ev, buf_str(&s->scratch), &h);
	if (put(s, c) < 0)
		return 0;
	remember(s, &ev->args);
	remember(s, &ev->out);
	count_record(s, ev, &h);
	return ev->seq;
}

uint64_t
store_put_rule(struct store *s, const struct store_rule *r, struct event *ev,
    struct err *e)
{
	struct chain c = {};
	uint64_t seq;

	if (keep_set(&s->keep, s->dir, r, e) < 0)
		return 0;
	if (r->level == STORE_KEEP_RAW && r->after_s == 0)
		add(s, &c, ST_RULE_GONE, (struct param[]){ text(r->tenant) },
		    1);
	else
		add(s, &c, ST_RULE,
		    (struct param[]){
			text(r->tenant), number(r->level), number(r->after_s) },
		    3);
	seq = append(s, &c, ev);
	if (seq == 0)
		(void)err_set(e, "the store takes no more records");
	return seq;
}

uint64_t
store_forget(struct store *s, uint64_t run, struct event *ev)
{
	static const enum statement all[] = { ST_FORGET_BLOBS,
		ST_FORGET_BLOB_RUN, ST_FORGET_APPROVALS, ST_FORGET_DRAFTS,
		ST_FORGET_IDEM };
	struct chain c = {};
	char id[ID_BYTES];

	must(s->lock_fd >= 0);
	if (atomic_load(&s->full))
		return 0;
	id_text('r', run, id);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		add(s, &c, all[i], (struct param[]){ name(id) }, 1);
	add(s, &c, ST_REMOVED,
	    (struct param[]){ name(id), number((int64_t)s->seq + 1) }, 2);
	return append(s, &c, ev);
}

int
store_next(struct store *s, struct event *ev)
{
	struct sum *sum = NULL;

	ev->seq = s->seq + 1;
	if (ev->run != 0)
		sum = ev->kind == EVENT_RUN_OPENED
		    ? sums_new(&s->sums, ev->run)
		    : sums_find(&s->sums, ev->run);
	if (sum == NULL && ev->kind == EVENT_RUN_OPENED)
		return -1; /* out of memory */
	if (ev->kind == EVENT_RUN_CLOSED && sum != NULL) {
		ev->sum_n = sum->n;
		ev->sum = sum->h;
	}
	return 0;
}

int
store_append_bytes(struct store *s, const struct event *ev, struct str bytes)
{
	struct chain c = {};
	struct hash h;

	must(s->lock_fd >= 0 && ev->seq == s->seq + 1);
	add_record(s, &c, ev, bytes, &h);
	if (put(s, &c) < 0)
		return -1;
	count_record(s, ev, &h);
	return 0;
}

int
store_put_blob(struct store *s, const struct hash *h, struct str bytes)
{
	struct event_blob b = { .bytes = bytes, .hash = *h };
	struct chain c = {};

	add_blob(s, &c, 0, &b);
	if (c.count > 0 && put(s, &c) < 0)
		return -1;
	remember(s, &b);
	return 0;
}

int
store_put_salted(struct store *s, const struct hash *h, struct str bytes)
{
	struct chain c = {};

	must(bytes.n >= HASH_BYTES);
	add(s, &c, ST_BLOB,
	    (struct param[]){ hash(h),
		blob(
		    (struct str){ bytes.p + HASH_BYTES, bytes.n - HASH_BYTES }),
		blob((struct str){ bytes.p, HASH_BYTES }) },
	    3);
	/* If it is a run's of this log, it is not that one's alone any more. */
	add(s, &c, ST_SHARE_BLOB, (struct param[]){ hash(h) }, 1);
	return put(s, &c);
}

/* The row of a record, and with run.closed its run's head; *h: its hash. */
static void
add_record(struct store *s, struct chain *c, const struct event *ev,
    struct str bytes, struct hash *h)
{
	static const char record = '\0';
	struct str pieces[3] = { { &record, 1 },
		{ (const char *)s->head.b, HASH_BYTES }, bytes };
	struct item *it;
	char run[ID_BYTES];

	*h = hash_of_pieces(pieces, 3);
	id_text('r', ev->run, run);
	it = add(s, c, ST_EVENT,
	    (struct param[]){ number((int64_t)ev->seq), name(run),
		number(ev->step), number(ev->t_ns / 1000), number(ev->kind),
		text(ev->tool), blob(bytes), hash(h) },
	    8);
	if (it != NULL) {
		it->seq = ev->seq;
		it->hash = *h;
	}
	if (ev->kind == EVENT_RUN_CLOSED)
		add(s, c, ST_RUN_HEAD, (struct param[]){ hash(h), name(run) },
		    2);
}

/* Once it is queued. */
static void
count_record(struct store *s, const struct event *ev, const struct hash *h)
{
	struct sum *sum = ev->run != 0 ? sums_find(&s->sums, ev->run) : NULL;

	s->seq = ev->seq;
	s->head = *h;
	/* A call that was under way may still end: that is not summed. */
	if (ev->kind == EVENT_RUN_CLOSED)
		sums_drop(&s->sums, ev->run);
	else if (sum != NULL)
		sum_add(sum, h);
}

bool
store_is_behind(const struct store *s)
{
	return s->seq > store_durable(s) + STORE_BEHIND_EVENTS;
}

int
store_put_run(struct store *s, const struct store_run *r)
{
	struct chain c = {};
	char id[ID_BYTES];
	static const struct hash none;
	bool closed = !hash_eq(&r->head, &none);

	id_text('r', r->id, id);
	add(s, &c, ST_RUN,
	    (struct param[]){ name(id), text(r->tenant), text(r->actor),
		text(r->role), text(r->workflow), number(r->stage),
		text(r->mode), hash(&r->policy), number(r->opened_ns),
		number(r->closed_ns), text(r->status), text(r->stop_reason),
		closed ? hash(&r->head) : (struct param){ .n = SIZE_MAX },
		number(r->steps), text(r->command), number(r->exit_status) },
	    16);
	return put(s, &c);
}

int
store_put_approval(struct store *s, const struct store_approval *a)
{
	struct chain c = {};
	char id[ID_BYTES], run[ID_BYTES];

	id_text('a', a->id, id);
	id_text('r', a->run, run);
	add(s, &c, ST_APPROVAL,
	    (struct param[]){ name(id), name(run), number(a->step),
		text(a->tool), text(a->state), blob(a->args),
		hash(&a->args_hash), hash(&a->policy), blob(a->body),
		number(a->requested_ns), number(a->deadline_ns) },
	    11);
	return put(s, &c);
}

int
store_put_draft(struct store *s, uint64_t id, uint64_t run, struct str tool,
    struct str args, const struct hash *args_hash)
{
	struct chain c = {};
	char draft[ID_BYTES], of[ID_BYTES];

	id_text('d', id, draft);
	id_text('r', run, of);
	add(s, &c, ST_DRAFT,
	    (struct param[]){ name(draft), name(of), text(tool), blob(args),
		hash(args_hash) },
	    5);
	return put(s, &c);
}

int
store_put_policy(
    struct store *s, const struct hash *version, struct str canonical)
{
	struct chain c = {};

	add(s, &c, ST_POLICY,
	    (struct param[]){ hash(version), blob(canonical) }, 2);
	return put(s, &c);
}

int
store_put_token(struct store *s, const struct store_token *t)
{
	struct chain c = {};
	char run[ID_BYTES];

	id_text('r', t->run, run);
	add(s, &c, ST_TOKEN,
	    (struct param[]){ hash(&t->hash), text(t->tenant), text(t->actor),
		text(t->role), name(run) },
	    5);
	return put(s, &c);
}

int
store_put_snapshot(struct store *s, uint64_t id, struct str body)
{
	struct chain c = {};
	char text_of[ID_BYTES];

	id_text('s', id, text_of);
	add(s, &c, ST_SNAPSHOT, (struct param[]){ name(text_of), blob(body) },
	    2);
	return put(s, &c);
}

int
store_put_api_token(struct store *s, const struct hash *token, struct str body)
{
	struct chain c = {};

	add(s, &c, ST_API_TOKEN, (struct param[]){ hash(token), blob(body) },
	    2);
	return put(s, &c);
}

int
store_put_spent(struct store *s, struct str name_, int64_t start_ms,
    struct str body, const struct store_kept *kept)
{
	struct chain c = {};

	add(s, &c, ST_SPENT,
	    (struct param[]){ text(name_), number(start_ms), blob(body),
		number(kept->until_ms) },
	    4);
	forget(s, &c, ST_SPENT_FORGET, kept);
	return put(s, &c);
}

int
store_put_pin(struct store *s, const struct store_pin *p)
{
	struct chain c = {};

	if (p->body.n == 0)
		add(s, &c, ST_PIN_GONE, (struct param[]){ hash(&p->key) }, 1);
	else
		add(s, &c, ST_PIN,
		    (struct param[]){ hash(&p->key), blob(p->body) }, 2);
	for (int slot = 0; slot < PIN_SLOTS; slot++) {
		if (p->moves[slot])
			add(s, &c, ST_PIN_TEXT_MOVE,
			    (struct param[]){ number(slot), hash(&p->key),
				number(PIN_SLOTS - 1 - slot) },
			    3);
		if (p->drops[slot] || p->body.n == 0)
			add(s, &c, ST_PIN_TEXT_GONE,
			    (struct param[]){ hash(&p->key), number(slot) }, 2);
		if (p->text[slot].n > 0)
			add(s, &c, ST_PIN_TEXT,
			    (struct param[]){ hash(&p->key), number(slot),
				blob(p->text[slot]) },
			    3);
	}
	return put(s, &c);
}

int
store_put_idem(struct store *s, const struct store_idem *row, struct str result,
    const struct store_kept *kept)
{
	struct chain c = {};
	char run[ID_BYTES];

	id_text('r', row->run, run);
	add(s, &c, ST_IDEM,
	    (struct param[]){ hash(&row->key), hash(&row->args), name(run),
		number(row->step), number(row->state), number(row->kind),
		blob(result), number(kept->until_ms) },
	    8);
	forget(s, &c, ST_IDEM_FORGET, kept);
	return put(s, &c);
}

static void
forget(struct store *s, struct chain *c, enum statement which,
    const struct store_kept *kept)
{
	if (kept->forget_ms > 0)
		add(s, c, which,
		    (struct param[]){
			number(kept->forget_ms), number(STORE_FORGET_ROWS) },
		    2);
}

static struct param
text(struct str s)
{
	return (struct param){ s.n > 0 ? s.p : "", s.n, 0, true };
}

static struct param
blob(struct str s)
{
	return (struct param){ s.n > 0 ? s.p : "", s.n, 0, false };
}

static struct param
hash(const struct hash *h)
{
	return (struct param){ h->b, HASH_BYTES, 0, false };
}

static struct param
number(int64_t v)
{
	return (struct param){ .number = v };
}

static struct param
name(const char *id)
{
	return text(str_of(id));
}

/*
 * The first record of a run, a call, a draft, a request that leaves or a
 * snapshot. All others belong to something that has begun, and whose end must
 * be kept.
 */
static bool
begins(enum event_kind kind)
{
	return kind == EVENT_RUN_OPENED || kind == EVENT_TOOL_PROPOSED ||
	    kind == EVENT_DRAFT_CREATED || kind == EVENT_EGRESS_DECISION ||
	    kind == EVENT_SNAPSHOT_TAKEN;
}

/* As the tenant's rule says; what snapshots are made of has none. */
static void
hash_content(struct store *s, struct event *ev)
{
	struct event_blob *const b[] = { &ev->args, &ev->out };
	const struct keep_rule *rule = ev->kind == EVENT_SNAPSHOT_TAKEN
	    ? NULL
	    : keep_rule(&s->keep, ev->tenant);

	for (int i = 0; i < 2; i++) {
		if (rule != NULL)
			keep_apply(&s->keep, rule, ev, i, b[i]);
		else if (b[i]->bytes.n > 0)
			b[i]->hash = hash_of(b[i]->bytes.p, b[i]->bytes.n);
	}
}

/* Copies the parameters and all they point to. NULL: no memory. */
static struct item *
add(struct store *s, struct chain *c, enum statement statement,
    const struct param *params, size_t n)
{
	size_t size = sizeof(struct item) + n * sizeof(params[0]);
	struct item *it;
	char *at;

	must(n <= PARAMS_MAX);
	if (c->failed)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (params[i].p != NULL)
			size += params[i].n;
	it = item_new(s, size);
	if (it == NULL) {
		c->failed = true;
		return NULL;
	}
	*it = (struct item){ .slab = it->slab,
		.statement = statement,
		.joins = c->first != NULL,
		.bytes = size,
		.params = (uint32_t)n };
	at = (char *)&it->param[n];
	for (size_t i = 0; i < n; i++) {
		it->param[i] = params[i];
		if (params[i].p == NULL)
			continue;
		memcpy(at, params[i].p, params[i].n);
		it->param[i].p = at;
		at += params[i].n;
	}
	if (c->last != NULL)
		c->last->next = it;
	else
		c->first = it;
	c->last = it;
	c->count++;
	c->bytes += size;
	return it;
}

static void
add_blob(
    struct store *s, struct chain *c, uint64_t run, const struct event_blob *b)
{
	char id[ID_BYTES];

	if (b->bytes.n == 0 || b->hash_only ||
	    hash_eq(recent(s, &b->hash), &b->hash))
		return;
	add(s, c, ST_BLOB,
	    (struct param[]){ hash(&b->hash), blob(b->bytes),
		b->salted ? hash(&b->salt) : (struct param){} },
	    3);
	if (!b->salted)
		return;
	id_text('r', run, id);
	add(s, c, ST_BLOB_RUN, (struct param[]){ name(id), hash(&b->hash) }, 2);
}

/* Where a hash is remembered: one place each, the last one stays. */
static struct hash *
recent(struct store *s, const struct hash *h)
{
	uint32_t at;

	memcpy(&at, h->b, sizeof(at));
	return &s->recent[at % STORE_RECENT_BLOBS];
}

static void
remember(struct store *s, const struct event_blob *b)
{
	if (b->bytes.n > 0 && !b->hash_only)
		*recent(s, &b->hash) = b->hash;
}

static int
put(struct store *s, struct chain *c)
{
	must(s->lock_fd >= 0);
	if (c->failed) {
		items_free(c->first);
		return -1;
	}
	return queue_put_take(s, c->first, c->last, c->count, c->bytes);
}

struct item *
item_new(struct store *s, size_t bytes)
{
	const size_t need = (bytes + 15) / 16 * 16;
	struct slab *slab = s->slab;
	struct item *it;

	if (slab == NULL || STORE_SLAB_BYTES - slab->used < need) {
		/* What is large has one to itself, and the one that is being
		 * filled stays. */
		const bool own = need > STORE_SLAB_BYTES / 4;

		slab = malloc(sizeof(*slab) + (own ? need : STORE_SLAB_BYTES));
		if (slab == NULL)
			return NULL;
		atomic_init(&slab->users, own ? 0 : 1);
		slab->used = 0;
		if (!own) {
			slab_leave(s->slab);
			s->slab = slab;
		}
	}
	it = (struct item *)(void *)(slab->bytes + slab->used);
	slab->used += (uint32_t)need;
	atomic_fetch_add_explicit(&slab->users, 1, memory_order_relaxed);
	it->slab = slab;
	return it;
}

void
items_free(struct item *first)
{
	while (first != NULL) {
		struct item *next = first->next;

		slab_leave(first->slab);
		first = next;
	}
}

void
slab_leave(struct slab *slab)
{
	if (slab != NULL &&
	    atomic_fetch_sub_explicit(&slab->users, 1, memory_order_acq_rel) ==
		1)
		free(slab);
}
