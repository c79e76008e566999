#include "broker/follow.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"

enum {
	PAGE = 500, /* records sent in one go before others get a turn */
	WAIT_MAX_MS = 60 * 1000, /* the client asks again */
};

struct asker {
	struct asker *next;
	uint64_t call;
	uint64_t run;
	struct loop_timer until;
};

struct stream {
	struct stream *next;
	uint64_t call;
	uint64_t run;
	uint32_t step; /* of the last record sent */
	uint64_t seq;
	bool more; /* the page was full: there is more on disk */
	bool wants[EVENT_KINDS];
};

static void on_until(struct loop_timer *t);
static void asker_free(struct asker *a);
static void lease_begin(uint64_t run);
static void answer_run(uint64_t call, uint64_t run);
static bool on_run_row(void *arg, const struct store_run *row);
static bool has_news(const struct stream *s);
static void stream_send(struct stream *s);
static bool on_event_row(void *arg, const struct store_row *row);
static void stream_end(struct stream *s);

void
follow_end(uint64_t call, uint64_t run, const struct json *args)
{
	struct run *r = run_find(run);
	struct asker *a;
	uint64_t ms = WAIT_MAX_MS;

	if (json_u64(json_get(args, STR("timeout_ms")), &ms) < 0 ||
	    ms > WAIT_MAX_MS)
		ms = WAIT_MAX_MS;
	if (r == NULL || ms == 0) {
		answer_run(call, run);
		return;
	}
	loop_timer_clear(broker.loop, &r->orphan);
	a = calloc(1, sizeof(*a));
	must(a != NULL);
	a->call = call;
	a->run = run;
	a->until.on_time = on_until;
	loop_timer_set(
	    broker.loop, &a->until, clock_mono_ns() + (int64_t)ms * 1000000);
	a->next = broker.askers;
	broker.askers = a;
}

void
follow_events(uint64_t call, uint64_t run, const struct json *args)
{
	struct stream *s = calloc(1, sizeof(*s));
	uint64_t from = 0;

	must(s != NULL);
	s->call = call;
	s->run = run;
	if (json_u64(json_get(args, STR("from")), &from) == 0 &&
	    from <= UINT32_MAX)
		s->step = (uint32_t)from;
	for (int k = 1; k < EVENT_KINDS; k++)
		s->wants[k] =
		    str_starts(str_of(event_kind_name((enum event_kind)k)),
			json_str(json_get(args, STR("kind"))));
	s->next = broker.streams;
	broker.streams = s;
	store_hurry(broker.store);
	stream_send(s);
}

void
follow_run_closed(struct run *r)
{
	struct asker *next;
	struct stream *after;

	for (struct asker *a = broker.askers; a != NULL; a = next) {
		next = a->next;
		if (a->run == r->id) {
			answer_run(a->call, a->run);
			asker_free(a);
		}
	}
	for (struct stream *s = broker.streams; s != NULL; s = after) {
		after = s->next;
		if (s->run == r->id)
			stream_send(s);
	}
}

void
follow_durable(void)
{
	struct stream *next;

	for (struct stream *s = broker.streams; s != NULL; s = next) {
		next = s->next;
		if (has_news(s))
			stream_send(s);
	}
}

/* False when the disk holds nothing new that the stream wants: no look-up. */
static bool
has_news(const struct stream *s)
{
	for (int k = 1; k < EVENT_KINDS; k++) {
		if (s->wants[k] && broker.last_of[k] > s->seq)
			return true;
	}
	return false;
}

void
follow_gone(uint64_t call)
{
	struct asker *next;
	struct stream *after;

	for (struct asker *a = broker.askers; a != NULL; a = next) {
		next = a->next;
		if (a->call == call) {
			const uint64_t run = a->run;

			asker_free(a);
			lease_begin(run);
		}
	}
	for (struct stream *s = broker.streams; s != NULL; s = after) {
		after = s->next;
		if (s->call == call)
			stream_end(s);
	}
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->attached == call && call != 0)
			run_stop(r, "client_gone", STR(""), true);
	}
}

/* All who asked have been hung up on; runs go on. */
void
follow_gateway_lost(void)
{
	struct run *after;

	while (broker.askers != NULL)
		asker_free(broker.askers);
	while (broker.streams != NULL)
		stream_end(broker.streams);
	for (struct run *r = broker.runs; r != NULL; r = after) {
		after = r->next;
		/* Whoever holds it asks again at once, if it knows its name. */
		r->leased |= r->attached != 0;
		r->attached = 0;
		lease_begin(r->id);
		/* Whoever opens it will never hear of its name. */
		if (r->open_call != 0) {
			r->open_call = 0;
			run_stop(r, "client_gone", STR(""), true);
		}
	}
}

static void
on_until(struct loop_timer *t)
{
	struct asker *a = LOOP_OF(t, struct asker, until);

	const uint64_t run = a->run;

	answer_run(a->call, run);
	asker_free(a);
	lease_begin(run);
}

/*
 * A run whose connection was lost lives as long as somebody waits for it, and
 * a little longer: who waits asks again.
 */
static void
lease_begin(uint64_t run)
{
	struct run *r = run_find(run);

	if (r == NULL || !r->leased || r->state == RUN_CLOSED)
		return;
	for (const struct asker *a = broker.askers; a != NULL; a = a->next) {
		if (a->run == run)
			return;
	}
	loop_timer_set(broker.loop, &r->orphan,
	    clock_mono_ns() + (int64_t)RUN_ORPHAN_MS * 1000000);
}

static void
asker_free(struct asker *a)
{
	struct asker **at = &broker.askers;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	loop_timer_clear(broker.loop, &a->until);
	free(a);
}

/* The run as it is: from memory, or from the store when it has closed. */
static void
answer_run(uint64_t call, uint64_t run)
{
	own_buf struct buf out = {};
	const struct run *r = run_find(run);
	struct err e = {};

	if (r != NULL) {
		run_write(&out, r);
	} else if (store_runs(
		       broker.store, run, false, 1, on_run_row, &out, &e) < 0) {
		reply_error(call, 500, "store_failed", e.text,
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	if (out.n == 0) {
		reply_error(call, 404, "unknown_run", "There is no such run.",
		    "List runs with `paddock ps --all` or GET /v1/runs.");
		return;
	}
	reply(call, REPLY_OK, 200, buf_str(&out));
}

static bool
on_run_row(void *arg, const struct store_run *row)
{
	run_row_write(arg, row);
	return false;
}

/* Sends what is on disk and not yet sent. May end and free s. */
static void
stream_send(struct stream *s)
{
	const struct run *r;
	struct err e = {};

	do {
		s->more = false;
		if (store_events(broker.store, s->run, s->step, PAGE,
			on_event_row, s, &e) < 0) {
			log_warn("events not read why=\"%s\"", e.text);
			stream_end(s);
			return;
		}
	} while (s->more);

	/* A run's last record is the last of the stream. */
	r = run_find(s->run);
	if (r == NULL ||
	    (r->state == RUN_CLOSED &&
		store_durable(broker.store) >= r->close_seq))
		stream_end(s);
}

static bool
on_event_row(void *arg, const struct store_row *row)
{
	struct stream *s = arg;
	struct msg_event m = { .call = s->call };

	if (row->seq <= s->seq)
		return true;
	if (s->wants[row->kind])
		(void)peer_send(&broker.gateway, MSG_EVENT, &m, row->body, NULL,
		    0); /* a gateway that is gone ends all streams */
	s->seq = row->seq;
	if (row->step > s->step) {
		s->step = row->step;
		s->more = true; /* look again from there */
	}
	return true;
}

static void
stream_end(struct stream *s)
{
	struct msg_event m = { .call = s->call, .last = 1 };
	struct stream **at = &broker.streams;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	(void)peer_send(
	    &broker.gateway, MSG_EVENT, &m, STR(""), NULL, 0); /* as above */
	free(s);
}
