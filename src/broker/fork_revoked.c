/*
 * A secret that was revoked in a run is revoked in its forks, whenever that
 * was: before the snapshot, after it, or when the run had a fork already. What
 * counts is where the secret comes from, not what a policy calls it.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "broker/fork.h"
#include "broker/record.h"
#include "broker/run.h"
#include "broker/secret.h"
#include "broker/secret_api.h"
#include "codec/json.h"

static void add_open(struct buf *out, const struct run *parent);
static bool on_row(void *arg, const struct store_row *row);
static void put_from(struct buf *out, const struct policy_secret *p);

/* Of a parent that is closed its records say it. */
int
fork_revoked_take(struct run *r, struct err *e)
{
	const struct run *parent = run_find(r->fork->parent);

	if (r->policy->n_secrets == 0)
		return 0;
	if (parent != NULL) {
		add_open(&r->fork->revoked, parent);
		return 0;
	}
	return store_events(
	    broker.store, r->fork->parent, 0, 0, on_row, &r->fork->revoked, e);
}

bool
fork_revoked(const struct run *r, const struct policy_secret *p)
{
	own_buf struct buf from = {};

	if (r->fork == NULL)
		return false;
	put_from(&from, p);
	for (struct str s = buf_str(&r->fork->revoked); s.n > 0;) {
		const size_t n = str_find(s, '\n');

		if (str_eq((struct str){ s.p, n }, buf_str(&from)))
			return true;
		s.p += n < s.n ? n + 1 : n;
		s.n -= n < s.n ? n + 1 : n;
	}
	return false;
}

bool
fork_revoked_record(struct run *r)
{
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		const struct policy_secret *p = &r->policy->secrets[i];

		if (r->secrets != NULL && p->from != SECRET_CANARY &&
		    secrets_state(r->secrets, p->name, clock_mono_ns()) ==
			SECRET_REVOKED &&
		    !secret_record_revoked(r, p, STR("fork")))
			return false;
	}
	return true;
}

static void
add_open(struct buf *out, const struct run *parent)
{
	for (uint32_t i = 0; i < parent->policy->n_secrets; i++) {
		const struct policy_secret *p = &parent->policy->secrets[i];

		if (parent->secrets == NULL || p->from == SECRET_CANARY ||
		    secrets_state(parent->secrets, p->name, clock_mono_ns()) !=
			SECRET_REVOKED)
			continue;
		put_from(out, p);
		buf_add_byte(out, '\n');
	}
}

static bool
on_row(void *arg, const struct store_row *row)
{
	own_arena struct arena a = {};
	struct buf *out = arg;
	struct err e = {};

	if (row->kind != EVENT_SECRET_REVOKED)
		return true;
	buf_add_str(out,
	    json_str(json_at(json_parse(row->body, NULL, &a, &e, NULL), "body",
		"from", NULL)));
	buf_add_byte(out, '\n');
	return true;
}

static void
put_from(struct buf *out, const struct policy_secret *p)
{
	buf_printf(out, "%s:%.*s", secret_from_name(p->from), STR_FMT(p->at));
}
