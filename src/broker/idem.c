#include "broker/idem.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"

enum { BUCKETS = 1024, NS_PER_MS = 1000 * 1000 };

enum state {
	STATE_BEGUN = 1,
	STATE_DONE,
	STATE_NO_END,
	STATE_NEVER, /* it had no effect: the key is free again */
};

/* One key of an open run. */
struct idem {
	struct idem *next;
	struct hash key, args;
	uint64_t run;
	uint32_t step;
	enum state state;
	enum reply_kind kind;
	uint64_t kept_ms; /* 0: as long as the run is open */
	int64_t until_ms;
	struct buf result;
};

static struct idem *buckets[BUCKETS];
static uint32_t n_kept;

static struct idem **find(const struct hash *key);
static void drop(struct idem **at);
static enum idem_found judge(
    enum state state, const struct hash *theirs, const struct hash *args);
static int keep(struct idem *m, struct str result);
static int64_t now_ms(void);

bool
idem_key_of(const struct run *r, const struct policy_tool *row, struct str tool,
    const struct json *args, struct str own, bool simulated,
    struct idem_key *key, const char **why)
{
	own_buf struct buf text = {};
	enum idem_within within = IDEM_RUN;
	bool of_policy = row != NULL && row->idem != NULL;
	const struct identity *who = &r->policy->identity;
	const struct str nul = { "", 1 };
	struct str place[2] = { { r->text, strlen(r->text) }, STR("") };

	*why = NULL;
	if (!of_policy && own.n == 0)
		return false;
	if (of_policy) {
		within = row->idem_within;
		if (policy_idem_key(r->policy, row, args, &text, why) < 0)
			return false;
	} else {
		/* No key of a policy begins so. */
		buf_add_byte(&text, '=');
		buf_add_str(&text, own);
	}
	if (within != IDEM_RUN)
		place[0] = who->tenant;
	if (within == IDEM_WORKFLOW)
		place[1] = r->policy->workflow;

	const struct str pieces[] = { STR("idem"), nul,
		simulated ? STR("s") : STR("r"),
		within == IDEM_RUN	    ? STR("run")
		    : within == IDEM_TENANT ? STR("tenant")
					    : STR("workflow"),
		nul, place[0], nul, place[1], nul, tool, nul, buf_str(&text) };

	key->hash = hash_of_pieces(pieces, sizeof(pieces) / sizeof(pieces[0]));
	key->kept_ms = of_policy ? row->idem_ms : 0;
	must((key->kept_ms == 0) == (within == IDEM_RUN));
	return true;
}

enum idem_found
idem_find(const struct idem_key *key, const struct hash *args, uint32_t *step,
    enum reply_kind *kind, struct buf *result)
{
	const struct idem *m = *find(&key->hash);
	struct store_idem row;
	own_buf struct buf body = {};
	enum idem_found found;
	int64_t until_ms = 0;
	struct err e = {};
	int got;

	if (m != NULL) {
		if (m->kept_ms > 0 && m->state != STATE_BEGUN &&
		    m->until_ms < now_ms())
			return IDEM_NEW;
		*step = m->step;
		found = judge(m->state, &m->args, args);
		if (found == IDEM_DONE) {
			*kind = m->kind;
			buf_add_str(result, buf_str(&m->result));
		}
		return found;
	}
	if (key->kept_ms == 0)
		return IDEM_NEW;
	got = store_idem(broker.store, &key->hash, &row, &body, &until_ms, &e);
	if (got < 0)
		return IDEM_FAILED;
	if (got == 0 || until_ms < now_ms())
		return IDEM_NEW;
	*step = row.step;
	/* No run that is open has it, so it has ended, or never will. */
	if (row.state == STATE_BEGUN)
		row.state = STATE_NO_END;
	found = judge((enum state)row.state, &row.args, args);
	if (found == IDEM_DONE) {
		*kind = (enum reply_kind)row.kind;
		buf_add_str(result, buf_str(&body));
	}
	return found;
}

bool
idem_begin(struct run *r, const struct call *c)
{
	struct idem **at = find(&c->idem.hash), *m = *at;

	if (m == NULL) {
		if (n_kept >= IDEM_MAX)
			return false;
		m = calloc(1, sizeof(*m));
		must(m != NULL);
		*at = m;
		n_kept++;
	}
	m->key = c->idem.hash;
	m->kept_ms = c->idem.kept_ms;
	m->args = c->args_hash;
	m->run = r->id;
	m->step = c->step;
	m->state = STATE_BEGUN;
	buf_reset(&m->result);
	return keep(m, STR("")) == 0;
}

void
idem_end(const struct call *c, bool happened, bool known, struct str shown)
{
	struct idem **at = find(&c->idem.hash), *m = *at;

	if (m == NULL || m->run != c->run || m->step != c->step)
		return;
	m->kind = c->kind;
	m->state = !happened ? STATE_NEVER : known ? STATE_DONE : STATE_NO_END;
	if (m->state == STATE_DONE && c->result.n <= IDEM_RESULT_BYTES) {
		buf_add_str(&m->result, buf_str(&c->result));
	} else if (m->state == STATE_DONE) {
		buf_add_c(&m->result,
		    "{\"status\":\"done\",\"note\":\"The call was made before; "
		    "its result was too large to be kept.\"}");
		shown = buf_str(&m->result);
	}
	(void)keep(m, m->state == STATE_DONE ? shown : STR(""));
	if (m->state == STATE_NEVER)
		drop(at);
}

void
idem_free_run(uint64_t run)
{
	for (size_t i = 0; n_kept > 0 && i < BUCKETS; i++) {
		for (struct idem **at = &buckets[i]; *at != NULL;) {
			if ((*at)->run == run)
				drop(at);
			else
				at = &(*at)->next;
		}
	}
}

/* Where it is, or where it would be. */
static struct idem **
find(const struct hash *key)
{
	struct idem **at;
	uint32_t i;

	memcpy(&i, key->b, sizeof(i));
	at = &buckets[i % BUCKETS];
	while (*at != NULL && !hash_eq(&(*at)->key, key))
		at = &(*at)->next;
	return at;
}

static void
drop(struct idem **at)
{
	struct idem *m = *at;

	*at = m->next;
	n_kept--;
	buf_fini(&m->result);
	free(m);
}

static enum idem_found
judge(enum state state, const struct hash *theirs, const struct hash *args)
{
	if (state == STATE_NEVER)
		return IDEM_NEW;
	if (!hash_eq(theirs, args))
		return IDEM_OTHER_CALL;
	switch (state) {
	case STATE_BEGUN:
		return IDEM_UNDER_WAY;
	case STATE_DONE:
		return IDEM_DONE;
	case STATE_NO_END:
	case STATE_NEVER:
		break;
	}
	return IDEM_NO_END;
}

static int
keep(struct idem *m, struct str result)
{
	const int64_t now = now_ms();
	struct store_kept kept = {};
	const struct store_idem row = {
		.key = m->key,
		.args = m->args,
		.run = m->run,
		.step = m->step,
		.state = m->state,
		.kind = m->kind,
	};

	if (m->kept_ms == 0)
		return 0;
	m->until_ms = now + (int64_t)m->kept_ms;
	kept.until_ms = m->until_ms;
	/* A call that ends adds no row. */
	if (m->state == STATE_BEGUN)
		kept.forget_ms = now - FORGET_LATE_MS;
	return store_put_idem(broker.store, &row, result, &kept);
}

static int64_t
now_ms(void)
{
	return clock_utc_ns() / NS_PER_MS;
}
