#include "broker/spend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/record.h"
#include "core/json_path.h"

enum {
	NAME_BYTES = 2 * NAME_MAX_BYTES + 32,
	NS_PER_MS = 1000 * 1000,
	BUCKETS = 1024,
	SWEPT = 4, /* buckets, when something is added */
};

static const double nano = 1e9;

/* What the runs of one tenant or workflow have spent in one window. */
struct spent {
	struct spent *next;
	uint32_t runs; /* that are open and share it */
	uint64_t window_ms;
	int64_t start_ms;
	int64_t told_ms; /* the window that its row is of, or 0 */
	uint64_t used[BUDGET_KINDS];
	char name[NAME_BYTES]; /* "tenant acme 1d": no name has a space */
};

static struct spent *buckets[BUCKETS];
static uint32_t next_swept;

static struct spent *find(struct str name);
static struct spent *make(struct str name, uint64_t window_ms);
static int load(struct spent *s, struct err *e);
static struct spent **bucket_of(struct str name);
static void sweep(void);
static struct spent *shared(struct run *r, uint32_t i);
static int64_t now_ms(void);
static bool first_of(const struct run *r, uint32_t i);
static void keep(struct spent *s);
static uint64_t sum(uint64_t a, uint64_t b);
static bool measure(enum budget_kind k, const struct policy_cost *c,
    const struct json *result, uint64_t *out);
static void on_value(void *arg, const struct json *at);

int
spend_open(struct run *r, struct err *e)
{
	const struct policy *p = r->policy;

	if (p->n_windows == 0)
		return 0;
	r->shares = calloc(p->n_windows, sizeof(struct spent *));
	must(r->shares != NULL);
	for (uint32_t i = 0; i < p->n_windows; i++) {
		const struct budget_window *w = &p->windows[i];
		char name[NAME_BYTES];
		struct spent *s;

		if (w->scope == BUDGET_OF_TENANT)
			(void)snprintf(name, sizeof(name), "tenant %.*s %s",
			    STR_FMT(p->identity.tenant),
			    budget_window_word(w->window_ms));
		else
			(void)snprintf(name, sizeof(name),
			    "workflow %.*s %.*s %s",
			    STR_FMT(p->identity.tenant), STR_FMT(p->workflow),
			    budget_window_word(w->window_ms));
		s = find(str_of(name));
		if (s == NULL) {
			sweep();
			s = make(str_of(name), w->window_ms);
			if (load(s, e) < 0) {
				*bucket_of(str_of(name)) = s->next;
				free(s);
				return err_add(e, "what was spent");
			}
		}
		r->shares[i] = s;
		s->runs++;
	}
	return 0;
}

void
spend_free(struct run *r)
{
	for (uint32_t i = 0; r->shares != NULL && i < r->policy->n_windows; i++)
		if (r->shares[i] != NULL)
			r->shares[i]->runs--;
	free(r->shares);
	r->shares = NULL;
}

bool
spend_take(
    struct run *r, const uint64_t cost[static BUDGET_KINDS], struct over *o)
{
	for (uint32_t i = 0; i < r->policy->n_windows; i++) {
		const struct budget_window *w = &r->policy->windows[i];
		const struct spent *s = shared(r, i);

		for (int k = 0; k < BUDGET_KINDS; k++) {
			if (cost[k] == 0 ||
			    (s->used[k] <= w->limit[k] &&
				cost[k] <= w->limit[k] - s->used[k]))
				continue;
			*o = (struct over){ (enum budget_kind)k, w };
			return false;
		}
	}
	*o = (struct over){ budget_charge(&r->budget, cost), NULL };
	if (o->kind != BUDGET_KINDS)
		return false;
	for (uint32_t i = 0; i < r->policy->n_windows; i++) {
		struct spent *s = r->shares[i];

		if (!first_of(r, i))
			continue;
		for (int k = 0; k < BUDGET_KINDS; k++)
			s->used[k] = sum(s->used[k], cost[k]);
		keep(s);
	}
	return true;
}

void
spend_more(struct run *r, enum budget_kind k, uint64_t n)
{
	r->budget.used[k] = sum(r->budget.used[k], n);
	for (uint32_t i = 0; n > 0 && i < r->policy->n_windows; i++) {
		struct spent *s = shared(r, i);

		if (!first_of(r, i))
			continue;
		s->used[k] = sum(s->used[k], n);
		keep(s);
	}
}

void
spend_less(struct run *r, enum budget_kind k, uint64_t n)
{
	uint64_t *used = &r->budget.used[k];

	*used -= n < *used ? n : *used;
	/* A window that began meanwhile has not been charged with it. */
	for (uint32_t i = 0; n > 0 && i < r->policy->n_windows; i++) {
		struct spent *s = shared(r, i);

		if (!first_of(r, i))
			continue;
		s->used[k] -= n < s->used[k] ? n : s->used[k];
		keep(s);
	}
}

uint64_t
spend_left(struct run *r, enum budget_kind k)
{
	uint64_t limit = r->budget.limit[k], used = r->budget.used[k];
	uint64_t left = used < limit ? limit - used : 0;

	for (uint32_t i = 0; i < r->policy->n_windows; i++) {
		const struct spent *s = shared(r, i);

		limit = r->policy->windows[i].limit[k];
		used = s->used[k] < limit ? limit - s->used[k] : 0;
		left = used < left ? used : left;
	}
	return left;
}

bool
spend_is_over(struct run *r, enum budget_kind k, struct over *o)
{
	for (uint32_t i = 0; i < r->policy->n_windows; i++) {
		const struct budget_window *w = &r->policy->windows[i];

		if (shared(r, i)->used[k] > w->limit[k]) {
			*o = (struct over){ k, w };
			return true;
		}
	}
	*o = (struct over){ k, NULL };
	return r->budget.used[k] > r->budget.limit[k];
}

void
spend_cost(const struct policy_cost *costs, uint64_t calls,
    uint64_t out[static BUDGET_KINDS])
{
	for (int k = 0; k < BUDGET_KINDS; k++)
		out[k] = costs != NULL ? costs[k].most : 0;
	out[BUDGET_TOOL_CALLS] = calls;
}

void
spend_settle(struct run *r, const struct policy_cost *costs,
    const struct json *result, struct buf *out)
{
	/* By name, as RFC 8785 has them. */
	static const enum budget_kind order[] = { BUDGET_DOCUMENTS,
		BUDGET_MODEL_CALLS, BUDGET_MODEL_TOKENS, BUDGET_PAGES,
		BUDGET_SUBTASKS, BUDGET_COST_NUSD };
	bool any = false;

	buf_add_byte(out, '{');
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		enum budget_kind k = order[i];
		uint64_t taken = costs[k].most, n = taken;

		if (taken == 0)
			continue;
		if (result != NULL && costs[k].at.n > 0 &&
		    measure(k, &costs[k], result, &n)) {
			if (n > taken)
				spend_more(r, k, n - taken);
			else
				spend_less(r, k, taken - n);
		}
		buf_printf(
		    out, "%s\"%s\":", any ? "," : "", budget_cost_member(k));
		json_put_num(
		    out, k == BUDGET_COST_NUSD ? (double)n / nano : (double)n);
		any = true;
	}
	buf_add_byte(out, '}');
}

void
spend_undo(struct run *r, const struct policy_cost *costs)
{
	for (int k = 0; k < BUDGET_KINDS; k++) {
		if (costs[k].most > 0)
			spend_less(r, (enum budget_kind)k, costs[k].most);
	}
}

void
spend_rule(const struct over *o, char out[static RULE_BYTES])
{
	bool of_run = o->window == NULL;

	(void)snprintf(out, RULE_BYTES, "budgets.%s%s%s%s",
	    of_run ? "" : "per_",
	    of_run ? "" : budget_scope_name(o->window->scope),
	    of_run ? "" : ".", budget_member(o->kind));
}

bool
spend_may_ask(const struct run *r, const struct over *o,
    const uint64_t cost[static BUDGET_KINDS])
{
	uint64_t more = r->policy->budgets.limit[o->kind];

	/* What is shared is not one run's to extend, and a run that waits for
	 * more time or bytes would not have to wait. */
	return r->policy->extends_budgets && o->window == NULL &&
	    (o->kind == BUDGET_TOOL_CALLS || budget_is_cost(o->kind)) &&
	    r->budget.used[o->kind] <= r->budget.limit[o->kind] &&
	    cost[o->kind] <= more;
}

bool
spend_extend(
    struct run *r, enum budget_kind k, uint64_t approval, uint32_t step)
{
	struct event ev = record_of(r, EVENT_BUDGET_EXTENDED);
	own_buf struct buf body = {};
	uint64_t limit = sum(r->budget.limit[k], r->policy->budgets.limit[k]);
	char id[ID_BYTES];

	id_text('a', approval, id);
	buf_printf(&body,
	    "{\"approval\":\"%s\",\"budget\":\"%s\",\"limit\":", id,
	    budget_member(k));
	json_put_num(&body,
	    k == BUDGET_COST_NUSD ? (double)limit / nano : (double)limit);
	buf_add_byte(&body, '}');
	ev.step = step;
	ev.body = buf_str(&body);
	if (record_add(&ev) == 0)
		return false;
	r->budget.limit[k] = limit;
	return true;
}

void
spend_stop(struct run *r, const struct over *o)
{
	uint64_t used = r->budget.used[o->kind];

	for (uint32_t i = 0; i < r->policy->n_windows; i++) {
		if (&r->policy->windows[i] == o->window)
			used = shared(r, i)->used[o->kind];
	}
	run_stop_budget(r, o->kind, used, o->window);
}

static struct spent *
find(struct str name)
{
	for (struct spent *s = *bucket_of(name); s != NULL; s = s->next) {
		if (str_eq_c(name, s->name))
			return s;
	}
	return NULL;
}

/* The first of its bucket. */
static struct spent *
make(struct str name, uint64_t window_ms)
{
	struct spent *s = calloc(1, sizeof(*s)), **at = bucket_of(name);

	must(s != NULL && str_copy(name, s->name, sizeof(s->name)) == 0);
	s->window_ms = window_ms;
	s->next = *at;
	*at = s;
	return s;
}

/* What the store has of it. A row that cannot be read lets nothing through. */
static int
load(struct spent *s, struct err *e)
{
	own_arena struct arena a = {};
	own_buf struct buf body = {};
	const struct json *v;
	int got =
	    store_spent(broker.store, str_of(s->name), &s->start_ms, &body, e);

	if (got <= 0)
		return got;
	v = json_parse(buf_str(&body), NULL, &a, e, NULL);
	if (v == NULL)
		return -1;
	for (int k = 0; k < BUDGET_KINDS; k++)
		(void)json_u64(
		    json_get(v, str_of(budget_member((enum budget_kind)k))),
		    &s->used[k]); /* what is not there is 0 */
	return 0;
}

static struct spent **
bucket_of(struct str name)
{
	const struct hash h = hash_of(name.p, name.n);
	uint32_t i;

	memcpy(&i, h.b, sizeof(i));
	return &buckets[i % BUCKETS];
}

/* Forgets of some buckets what no run shares and whose window is over: its row
 * is no longer read for anything. */
static void
sweep(void)
{
	const int64_t now = now_ms() - FORGET_LATE_MS;

	for (int i = 0; i < SWEPT; i++) {
		struct spent **at = &buckets[next_swept++ % BUCKETS];

		while (*at != NULL) {
			struct spent *s = *at;

			if (s->runs > 0 ||
			    s->start_ms + (int64_t)s->window_ms > now) {
				at = &s->next;
				continue;
			}
			*at = s->next;
			free(s);
		}
	}
}

/* In the window that it is now. */
static struct spent *
shared(struct run *r, uint32_t i)
{
	struct spent *s = r->shares[i];
	const int64_t now = now_ms();
	int64_t start_ms = now - now % (int64_t)s->window_ms;

	/* A clock that is set back does not give anything back. */
	if (start_ms > s->start_ms) {
		s->start_ms = start_ms;
		memset(s->used, 0, sizeof(s->used));
	}
	return s;
}

/* Parts of a policy may limit the same: it is counted once. */
static bool
first_of(const struct run *r, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++) {
		if (r->shares[k] == r->shares[i])
			return false;
	}
	return true;
}

static void
keep(struct spent *s)
{
	own_buf struct buf body = {};
	struct store_kept kept = {
		.until_ms = s->start_ms + (int64_t)s->window_ms,
	};

	buf_add_byte(&body, '{');
	for (int k = 0; k < BUDGET_KINDS; k++) {
		if (s->used[k] > 0)
			buf_printf(&body, "%s\"%s\":%llu",
			    body.n > 1 ? "," : "",
			    budget_member((enum budget_kind)k),
			    (unsigned long long)s->used[k]);
	}
	buf_add_byte(&body, '}');
	/* Only one that may be new adds a row. */
	if (s->told_ms != s->start_ms)
		kept.forget_ms = now_ms() - FORGET_LATE_MS;
	/* A store that takes no more takes no record of the effect either. */
	if (store_put_spent(broker.store, str_of(s->name), s->start_ms,
		buf_str(&body), &kept) == 0)
		s->told_ms = s->start_ms;
}

static int64_t
now_ms(void)
{
	return clock_utc_ns() / NS_PER_MS;
}

/* As a record can hold it: exactly as JSON. */
static uint64_t
sum(uint64_t a, uint64_t b)
{
	const uint64_t most = (UINT64_C(1) << 53) - 1;

	if (a > most)
		return a; /* a limit that is none */
	return b > most - a ? most : a + b;
}

/* Numbers are added up; of what is counted, everything else is one. */
struct sums {
	bool counts;
	bool any;
	double total;
};

static bool
measure(enum budget_kind k, const struct policy_cost *c,
    const struct json *result, uint64_t *out)
{
	const double most = 9007199254740991.0;
	struct sums s = {
		.counts = k == BUDGET_PAGES || k == BUDGET_DOCUMENTS ||
		    k == BUDGET_SUBTASKS,
	};
	struct json_path path;

	if (json_path_parse(c->at, &path) < 0)
		return false;
	json_path_each(result, &path, on_value, &s);
	/* Nothing there is none of what is counted; else it is not known. */
	if (!s.any && !s.counts)
		return false;
	if (k == BUDGET_COST_NUSD)
		s.total *= nano;
	s.total = ceil(s.total);
	*out = s.total >= most ? (uint64_t)most : (uint64_t)s.total;
	return true;
}

static void
on_value(void *arg, const struct json *at)
{
	struct sums *s = arg;

	if (json_is(at, JSON_NUMBER)) {
		/* Nothing gives back more than was taken. */
		s->total += at->num > 0 ? at->num : 0;
		s->any = true;
	} else if (s->counts) {
		s->total += 1;
	}
}
