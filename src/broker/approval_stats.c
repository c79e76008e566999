/*
 * How people decide: whoever says yes to nearly everything within a moment does
 * not read what is asked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/approval.h"
#include "broker/who.h"
#include "core/rights.h"

enum { MOMENT_MS = 3000 };

struct decider {
	char name[NAME_MAX_BYTES];
	uint32_t decided, approved, in_a_moment;
	uint64_t ms[STATS_DECISIONS_MAX];
};

struct tally {
	const struct caller *who;
	int64_t since_ns;
	uint64_t last_run; /* whose tenant was asked for */
	bool sees_last;
	uint32_t waiting, expired;
	uint32_t n;
	struct decider *all; /* everybody, then each by himself */
};

static bool on_row(void *arg, const struct store_approval *row);
static void count(struct tally *t, struct str by, uint64_t ms, bool yes);
static void count_one(struct decider *d, uint64_t ms, bool yes);
static void put(struct buf *out, struct decider *d);
static int by_size(const void *a, const void *b);

void
approval_stats(const struct caller *who, uint64_t call, const struct json *args)
{
	struct tally t = { .who = who };
	own_buf struct buf out = {};
	struct err e = {};
	uint64_t days = 30;

	if (json_u64(json_get(args, STR("days")), &days) < 0 || days > 36500)
		days = 30;
	t.since_ns = clock_utc_ns() - (int64_t)days * 24 * 3600 * 1000000000;
	t.all = calloc(1 + STATS_PEOPLE_MAX, sizeof(*t.all));
	must(t.all != NULL);
	t.n = 1;
	if (store_approvals(broker.store, 0, STR(""), on_row, &t, &e) < 0) {
		free(t.all);
		reply_error(call, 500, "store_failed", e.text,
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	buf_add_byte(&out, '{');
	put(&out, &t.all[0]);
	buf_add_c(&out, ",\"by\":[");
	for (uint32_t i = 1; i < t.n; i++) {
		buf_add_c(&out, i > 1 ? ",{" : "{");
		put(&out, &t.all[i]);
		buf_add_c(&out, ",\"who\":");
		json_put_str(&out, str_of(t.all[i].name));
		buf_add_byte(&out, '}');
	}
	buf_printf(&out, "],\"days\":%llu,\"expired\":%u,\"waiting\":%u}",
	    (unsigned long long)days, t.expired, t.waiting);
	free(t.all);
	reply(call, REPLY_OK, 200, buf_str(&out));
}

static bool
on_row(void *arg, const struct store_approval *row)
{
	struct tally *t = arg;
	own_arena struct arena a = {};
	const struct json *body, *list;
	struct err e = {};

	if (row->requested_ns < t->since_ns)
		return true;
	if (row->run != t->last_run) {
		t->last_run = row->run;
		t->sees_last = caller_sees(t->who, RIGHTS_ALL_TENANTS) ||
		    caller_sees_run(t->who, row->run);
	}
	if (!t->sees_last)
		return true;
	t->waiting += str_eq(row->state, STR("pending"));
	t->expired += str_eq(row->state, STR("expired"));
	body = json_parse(row->body, NULL, &a, &e, NULL);
	list = json_get(body, STR("decisions"));
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		struct str verdict = json_str(json_get(x, STR("verdict")));
		uint64_t ms;

		if (json_u64(json_get(x, STR("ms")), &ms) < 0 ||
		    str_eq(verdict, STR("escalate")))
			continue;
		count(t, json_str(json_get(x, STR("by"))), ms,
		    str_starts(verdict, STR("approve")));
	}
	return true;
}

static void
count(struct tally *t, struct str by, uint64_t ms, bool yes)
{
	uint32_t i = 1;

	count_one(&t->all[0], ms, yes);
	while (i < t->n && !str_eq_c(by, t->all[i].name))
		i++;
	if (i == t->n) {
		/* So many people decide nothing together. */
		if (t->n == 1 + STATS_PEOPLE_MAX ||
		    str_copy(by, t->all[i].name, NAME_MAX_BYTES) < 0)
			return;
		t->n++;
	}
	count_one(&t->all[i], ms, yes);
}

/* The median is of the last ones, however many there were. */
static void
count_one(struct decider *d, uint64_t ms, bool yes)
{
	d->ms[d->decided++ % STATS_DECISIONS_MAX] = ms;
	d->approved += yes;
	d->in_a_moment += ms < MOMENT_MS;
}

static void
put(struct buf *out, struct decider *d)
{
	uint32_t n =
	    d->decided < STATS_DECISIONS_MAX ? d->decided : STATS_DECISIONS_MAX;

	buf_printf(
	    out, "\"approved\":%u,\"decided\":%u", d->approved, d->decided);
	if (n > 0) {
		qsort(d->ms, n, sizeof(d->ms[0]), by_size);
		buf_printf(out, ",\"median_ms\":%llu",
		    (unsigned long long)d->ms[(n - 1) / 2]);
	}
	buf_printf(out, ",\"under_3s\":%u", d->in_a_moment);
}

static int
by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}
