#include "broker/kill.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/record.h"
#include "broker/run.h"
#include "broker/who.h"
#include "core/rights.h"
#include "ipc/kill.h"

enum { HOLDS_MAX = 256 }; /* as many as the supervisor tells of */

static struct kill_order holds[HOLDS_MAX];
static uint32_t n_holds;

static void hold(const struct kill_order *k);
static void lift(const struct kill_order *k);
static unsigned stop_runs(const struct kill_order *k, const struct caller *who);
static bool hits(
    const struct kill_order *k, const struct policy *p, uint64_t run);
static bool record(const struct kill_order *k, const char *by,
    const struct msg_kill *m, unsigned runs);

void
on_kill(const struct msg_kill *m)
{
	const struct msg_killed taken = { .number = m->number };
	struct kill_order k;

	if (memchr(m->name, '\0', sizeof(m->name)) == NULL ||
	    m->what >= KILL_WHATS ||
	    kill_order_make((enum kill_what)m->what, str_of(m->name), &k) < 0) {
		log_error("an order to kill was not understood");
		return;
	}
	if ((m->flags & KILL_LIFTED) != 0)
		lift(&k);
	else if ((m->flags & KILL_HOLDS) != 0)
		hold(&k);
	if ((m->flags & KILL_AGAIN) != 0)
		return; /* told before, and on the record since then */
	if (!record(&k,
		(m->flags & (KILL_HOLDS | KILL_LIFTED)) != 0 ? "file"
							     : "kill.sock",
		m, (m->flags & KILL_LIFTED) != 0 ? 0 : stop_runs(&k, NULL)))
		log_error("a kill is not on the record");
	(void)peer_send(&broker.supervisor, MSG_KILLED, &taken, STR(""), NULL,
	    0); /* its loss ends us */
}

void
kill_api(const struct caller *who, uint64_t call, const struct json *args)
{
	struct str what = json_str(json_get(args, STR("what")));
	struct str name = json_str(json_get(args, STR("name")));
	own_buf struct buf out = {};
	struct kill_order k;
	int which = -1;
	unsigned n;

	for (int i = 0; i < KILL_WHATS; i++) {
		if (str_eq_c(what, kill_what_name((enum kill_what)i)))
			which = i;
	}
	if (which < 0 || kill_order_make((enum kill_what)which, name, &k) < 0) {
		reply_error(call, 400, "bad_request",
		    "`what` is not all, run, tenant or workflow, or `name` "
		    "does not name one.",
		    "Say {\"what\": \"tenant\", \"name\": \"acme\"}.");
		return;
	}
	/* Of another tenant nothing is there to be killed. */
	n = stop_runs(&k, who);
	if (!record(&k, who->name, NULL, n))
		log_error("a kill is not on the record");
	buf_printf(&out, "{\"killed\":%u}", n);
	reply(call, REPLY_OK, 200, buf_str(&out));
}

bool
kill_refuses(uint64_t call, const struct policy *policy)
{
	for (uint32_t i = 0; i < n_holds; i++) {
		char text[NAME_MAX_BYTES + 64];

		if (!hits(&holds[i], policy, 0))
			continue;
		(void)snprintf(text, sizeof(text),
		    "The kill switch is on: %s%s%s.",
		    kill_what_name(holds[i].what),
		    holds[i].name[0] != '\0' ? " " : "", holds[i].name);
		reply_error(call, 503, "killed", text,
		    "The operator lifts it by removing the file in the state "
		    "directory: kill, or one in kill.d.");
		return true;
	}
	return false;
}

static void
hold(const struct kill_order *k)
{
	lift(k);
	/* More than we are told of cannot be: but if so, all is held. */
	if (n_holds == HOLDS_MAX)
		(void)kill_order_make(KILL_ALL, STR(""), &holds[0]);
	else
		holds[n_holds++] = *k;
}

static void
lift(const struct kill_order *k)
{
	for (uint32_t i = 0; i < n_holds; i++) {
		if (kill_same(&holds[i], k))
			holds[i--] = holds[--n_holds];
	}
}

/* Of those that who sees; NULL: all. */
static unsigned
stop_runs(const struct kill_order *k, const struct caller *who)
{
	struct run *next;
	unsigned n = 0;

	for (struct run *r = broker.runs; r != NULL; r = next) {
		next = r->next;
		if (r->state == RUN_CLOSED || !hits(k, r->policy, r->id) ||
		    (who != NULL &&
			!caller_sees(who, r->policy->identity.tenant)))
			continue;
		run_stop(r, "killed", STR(""), true);
		n++;
	}
	return n;
}

static bool
hits(const struct kill_order *k, const struct policy *p, uint64_t run)
{
	return kill_hits(
	    k, run, kill_number(p->identity.tenant), kill_number(p->workflow));
}

/* m: what the supervisor did before; NULL: it was asked of us. */
static bool
record(const struct kill_order *k, const char *by, const struct msg_kill *m,
    unsigned runs)
{
	own_buf struct buf body = {};
	struct event ev = {
		.kind = EVENT_KILL,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};
	bool lifted = m != NULL && (m->flags & KILL_LIFTED) != 0;

	buf_add_c(&body, "{\"by\":");
	json_put_str(&body, str_of(by));
	if (m != NULL)
		buf_printf(
		    &body, ",\"done_ms\":%lld", (long long)(m->t_ns / 1000000));
	if (k->name[0] != '\0') {
		buf_add_c(&body, ",\"name\":");
		json_put_str(&body, str_of(k->name));
	}
	buf_printf(&body, ",\"reason\":\"%s\",\"runs\":%u",
	    lifted ? "kill_lifted" : "killed", runs);
	if (m != NULL)
		buf_printf(&body, ",\"sandboxes\":%u,\"took_us\":%llu",
		    m->sandboxes, (unsigned long long)(m->took_ns / 1000));
	buf_printf(&body, ",\"what\":\"%s\"}", kill_what_name(k->what));
	ev.body = buf_str(&body);
	return record_add(&ev) != 0;
}
