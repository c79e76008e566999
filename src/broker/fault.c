#include "broker/fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/approval_int.h"
#include "broker/record.h"
#include "broker/run_int.h"
#include "broker/stale.h"
#include "broker/who.h"

struct faults {
	struct arena memory; /* of the texts of rules that were added */
	uint32_t n;
	/* The policy's, then those that were added; they do not move. */
	struct policy_fault rule[POLICY_FAULTS_MAX];
	struct buf untold; /* rules that are not on record yet: JSON, ... */
};

static struct faults *own(struct run *r);
static int take(struct faults *f, const struct policy *p, struct err *e);
static bool tell(struct run *r, struct str rules, const char *by);
static uint64_t seed_of(const struct run *r);

int
faults_add(
    struct run *r, const struct json *rules, const char *by, struct err *e)
{
	static struct policy_problems problems;
	own_buf struct buf text = {}, list = {};
	struct faults *f = own(r);
	struct policy *p;
	int status;

	if (!json_is(rules, JSON_ARRAY) || rules->n == 0)
		return err_set(e, "`faults` is no list of rules");
	for (const struct json *x = json_first(rules); x != NULL;
	     x = json_next(rules, x)) {
		if (list.n > 0)
			buf_add_byte(&list, ',');
		json_write(&list, x);
	}
	/* A policy's parser reads them, so they mean what they mean there. */
	buf_add_c(&text, "{\"faults\":{\"rules\":[");
	buf_add_str(&text, buf_str(&list));
	buf_add_c(
	    &text, "]},\"policy\":1,\"tools\":{},\"workflow\":\"faults\"}");
	p = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (p == NULL)
		return err_set(
		    e, "%s %s", problems.item[0].path, problems.item[0].text);
	status = take(f, p, e);
	policy_free(p);
	if (status < 0)
		return -1;
	if (!r->recorded) {
		if (f->untold.n > 0)
			buf_add_byte(&f->untold, ',');
		buf_add_str(&f->untold, buf_str(&list));
		return 0;
	}
	return tell(r, buf_str(&list), by)
	    ? 0
	    : err_set(e, "the store takes no more records");
}

bool
faults_record(struct run *r)
{
	return r->faults == NULL || r->faults->untold.n == 0 ||
	    tell(r, buf_str(&r->faults->untold), r->requester);
}

void
faults_free(struct run *r)
{
	stale_free(r);
	if (r->faults == NULL)
		return;
	arena_fini(&r->faults->memory);
	buf_fini(&r->faults->untold);
	free(r->faults);
}

void
faults_api(const struct caller *who, uint64_t call, struct run *r,
    const struct json *args)
{
	struct err e = {};

	if (r == NULL || r->state != RUN_OPEN) {
		reply_error(call, 409, "not_open", "The run is not open.",
		    "Open another one; it may have `faults` from the start.");
		return;
	}
	if (faults_add(r, json_get(args, STR("rules")), who->name, &e) < 0) {
		reply_error(call, 400, "bad_faults", e.text,
		    "See docs/POLICY.md, *Failures on purpose*.");
		return;
	}
	reply(call, REPLY_OK, 200, STR("{\"added\":true}"));
}

bool
faults_any(const struct run *r)
{
	return r->faults != NULL ? r->faults->n > 0 : r->policy->n_faults > 0;
}

void
faults_answered(
    struct run *r, struct str tool, struct str args, struct str answer)
{
	if (r->faults != NULL)
		stale_keep(
		    r, r->faults->rule, r->faults->n, tool, args, answer);
	else
		stale_keep(r, r->policy->faults, r->policy->n_faults, tool,
		    args, answer);
}

bool
faults_hit(struct run *r, enum fault_point at, struct str name, uint32_t step,
    struct fault_hit *out, uint64_t *seq)
{
	const struct policy_fault *rules =
	    r->faults != NULL ? r->faults->rule : r->policy->faults;
	const uint32_t n =
	    r->faults != NULL ? r->faults->n : r->policy->n_faults;
	struct event ev;
	own_buf struct buf body = {};

	if (n == 0 ||
	    !fault_choose(rules, n, seed_of(r), at, name, r->fault_seen,
		r->fault_hits, out))
		return false;
	ev = record_of(r, EVENT_FAULT_INJECTED);
	buf_printf(&body, "{\"call\":%u,\"kind\":\"%s\",\"ms\":%u,", out->call,
	    fault_kind_name(out->rule->kind), out->delay_ms);
	if (out->rule->retry_after_s > 0)
		buf_printf(
		    &body, "\"retry_after_s\":%u,", out->rule->retry_after_s);
	buf_printf(&body, "\"rule\":%u,\"seed\":\"%llu\"}", out->number,
	    (unsigned long long)seed_of(r));
	ev.step = step;
	ev.tool = at == FAULT_AT_REQUEST ? STR("") : name;
	ev.body = buf_str(&body);
	*seq = record_add(&ev);
	return true;
}

void
faults_approval(struct run *r, struct approval *a)
{
	struct fault_hit hit;
	uint64_t seq;
	int64_t at;

	if (!faults_hit(
		r, FAULT_AT_APPROVAL, str_of(a->tool), a->step, &hit, &seq))
		return;
	at = clock_mono_ns() + (int64_t)hit.delay_ms * 1000000;
	if (hit.rule->kind == FAULT_APPROVAL_LATE) {
		a->late_until_ns = at;
		return;
	}
	a->denied = hit.rule->kind == FAULT_APPROVAL_DENIED;
	loop_timer_set(broker.loop, &a->deadline, at);
}

static struct faults *
own(struct run *r)
{
	if (r->faults != NULL)
		return r->faults;
	r->faults = calloc(1, sizeof(*r->faults));
	must(r->faults != NULL);
	r->faults->n = r->policy->n_faults;
	if (r->faults->n > 0)
		memcpy(r->faults->rule, r->policy->faults,
		    r->faults->n * sizeof(r->faults->rule[0]));
	return r->faults;
}

static int
take(struct faults *f, const struct policy *p, struct err *e)
{
	if (f->n + p->n_faults > POLICY_FAULTS_MAX)
		return err_set(e,
		    "a run has at most %d rules of faults, and "
		    "this one has %u",
		    POLICY_FAULTS_MAX, f->n);
	for (uint32_t i = 0; i < p->n_faults; i++) {
		struct policy_fault *to = &f->rule[f->n + i];
		struct str *const texts[] = { &to->tool, &to->host, &to->at,
			&to->text, &to->to, &to->argument };

		*to = p->faults[i];
		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
			texts[k]->p = arena_copy(&f->memory, *texts[k]);
			if (texts[k]->p == NULL)
				return err_set(e, "the rules are too long");
		}
	}
	f->n += p->n_faults;
	return 0;
}

static bool
tell(struct run *r, struct str rules, const char *by)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};

	buf_add_c(&body, "{\"by\":");
	json_put_str(&body, str_of(by));
	buf_add_c(&body, ",\"note\":\"faults.added\",\"rules\":[");
	buf_add_str(&body, rules);
	buf_add_c(&body, "]}");
	ev.step = r->steps;
	ev.body = buf_str(&body);
	return record_add(&ev) != 0;
}

static uint64_t
seed_of(const struct run *r)
{
	return r->policy->fault_seeded ? r->policy->fault_seed : r->id;
}
