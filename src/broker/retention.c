#include "broker/retention.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/broker.h"
#include "broker/egress.h"
#include "broker/fork.h"
#include "broker/rerun.h"
#include "broker/run.h"
#include "broker/snap.h"
#include "broker/who.h"
#include "codec/json.h"
#include "core/id.h"
#include "core/rights.h"

enum { NS_PER_MS = 1000 * 1000 };

static struct {
	struct loop_timer timer;
	uint64_t cursor; /* in the rows of runs */
	uint32_t removed; /* in this step */
	bool stopped; /* the store takes no more */
} retention;

static void on_time(struct loop_timer *t);
static void again_in(int64_t ms);
static bool on_due(void *arg, const struct store_due *d);
static bool is_referred_to(uint64_t run);
static bool on_rule(void *arg, const struct store_rule *r);
static void put_rule(struct buf *out, const struct store_rule *r);
static bool rule_take(
    uint64_t call, const struct json *args, struct store_rule *out);

void
retention_begin(void)
{
	retention.timer.on_time = on_time;
	again_in(KEEP_STEP_MS);
}

static void
on_time(struct loop_timer *t)
{
	struct err e = {};

	(void)t;
	retention.removed = 0;
	retention.stopped = false;
	if (!store_is_behind(broker.store) &&
	    store_due(broker.store, clock_utc_ns(), &retention.cursor,
		KEEP_STEP_ROWS, on_due, NULL, &e) < 0) {
		log_error("retention failed why=\"%s\"", e.text);
		retention.cursor = 0;
	}
	again_in(retention.cursor == 0 || retention.stopped ? KEEP_PASS_MS
							    : KEEP_STEP_MS);
}

static void
again_in(int64_t ms)
{
	loop_timer_set(
	    broker.loop, &retention.timer, clock_mono_ns() + ms * NS_PER_MS);
}

static bool
on_due(void *arg, const struct store_due *d)
{
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};
	own_buf struct buf body = {};
	char run[ID_BYTES];

	(void)arg;
	if (is_referred_to(d->run))
		return true;
	id_text('r', d->run, run);
	buf_printf(&body,
	    "{\"after_s\":%u,\"bytes\":%llu,\"contents\":%llu,"
	    "\"note\":\"content_removed\",\"of\":\"%s\",\"tenant\":",
	    d->after_s, (unsigned long long)d->bytes,
	    (unsigned long long)d->contents, run);
	json_put_str(&body, d->tenant);
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	if (store_forget(broker.store, d->run, &ev) == 0) {
		retention.stopped = true;
		return false;
	}
	return ++retention.removed < KEEP_STEP_RUNS;
}

static bool
is_referred_to(uint64_t run)
{
	struct err e = {};

	if (run_find(run) != NULL || snap_at(run, UINT32_MAX) != NULL ||
	    snap_is_pending(run))
		return true;
	for (const struct run *r = broker.runs; r != NULL; r = r->next) {
		if ((r->fork != NULL && r->fork->parent == run) ||
		    (r->rerun != NULL && rerun_is_of(r->rerun, run)) ||
		    (r->replay != NULL && egress_replay_is_of(r->replay, run)))
			return true;
	}
	/* What cannot be read may be asked for. */
	return store_is_asked(broker.store, run, &e) != 0;
}

void
retention_list(uint64_t call)
{
	own_buf struct buf out = {};

	buf_add_c(&out, "{\"rules\":[");
	store_rules(broker.store, on_rule, &out);
	buf_add_c(&out, "]}");
	reply(call, REPLY_OK, 200, buf_str(&out));
}

static bool
on_rule(void *arg, const struct store_rule *r)
{
	struct buf *out = arg;

	if (out->p[out->n - 1] != '[')
		buf_add_byte(out, ',');
	put_rule(out, r);
	return true;
}

static void
put_rule(struct buf *out, const struct store_rule *r)
{
	buf_printf(out,
	    "{\"after_s\":%u,\"keep\":\"%s\",\"tenant\":", r->after_s,
	    store_level_name(r->level));
	json_put_str(out, r->tenant);
	buf_add_byte(out, '}');
}

void
retention_set(const struct caller *who, uint64_t call, const struct json *args)
{
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};
	own_buf struct buf body = {}, out = {};
	struct store_rule r = {};
	struct err e = {};

	if (!rule_take(call, args, &r))
		return;
	buf_printf(&body, "{\"after_s\":%u,\"by\":", r.after_s);
	json_put_str(&body, str_of(who->name));
	buf_printf(&body,
	    ",\"keep\":\"%s\",\"note\":\"retention_set\",\"tenant\":",
	    store_level_name(r.level));
	json_put_str(&body, r.tenant);
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	if (store_put_rule(broker.store, &r, &ev, &e) == 0) {
		reply_error(call, 503, "store_failed", e.text,
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	store_hurry(broker.store);
	retention.cursor = 0;
	again_in(KEEP_STEP_MS);
	put_rule(&out, &r);
	reply(call, REPLY_OK, 200, buf_str(&out));
}

static bool
rule_take(uint64_t call, const struct json *args, struct store_rule *out)
{
	static const char *const known[] = { "after_s", "keep", "tenant" };
	const struct json *after = json_get(args, STR("after_s"));
	const struct json *keep = json_get(args, STR("keep"));
	own_buf struct buf text = {};
	uint64_t after_s = 0;

	for (const struct json *k = json_first(args); k != NULL;
	     k = json_next(args, k)) {
		bool is = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			is |= str_eq_c(json_str(k), known[i]);
		if (!is && text.n == 0)
			buf_printf(&text, "Unknown member `%.*s`.",
			    (int)(json_str(k).n > 64 ? 64 : json_str(k).n),
			    json_str(k).p);
	}
	out->tenant = json_str(json_get(args, STR("tenant")));
	if (text.n == 0 && !str_eq(out->tenant, STR("*")) &&
	    !rights_name_ok(out->tenant, true))
		buf_add_c(&text, "`tenant` is not a tenant's name, nor `*`.");
	if (text.n == 0 && store_level_parse(json_str(keep), &out->level) < 0)
		buf_add_c(&text, "`keep` is not `raw`, `redacted` or `hash`.");
	if (text.n == 0 && after != NULL &&
	    (json_u64(after, &after_s) < 0 || after_s > KEEP_AFTER_MAX_S))
		buf_printf(&text,
		    "`after_s` is not a number of seconds from 0 to %d.",
		    KEEP_AFTER_MAX_S);
	if (text.n > 0) {
		reply_error(call, 400, "bad_request", buf_c(&text),
		    "See docs/TRACE.md for what is kept of content.");
		return false;
	}
	out->after_s = (uint32_t)after_s;
	return true;
}
