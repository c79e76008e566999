#include "cli/diff_ended.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "cli/state.h"
#include "core/event.h"
#include "sandbox/commit.h"
#include "store/store.h"

enum { ANSWER_MS = 20 * 1000 }; /* one piece of an answer */

/* The records of one run, as they go by. */
struct records {
	const struct diff_ended *d;
	uint64_t told, n; /* names; how many there were */
	bool opened, closed; /* these records went by */
};

static int ask_events(struct records *r, const struct client *c,
    const char *run, uint64_t most, struct err *e);
static void take_denied(struct records *r, const struct json *record);
static bool on_record(void *arg, const struct store_row *row);

int
diff_ended_ask(const struct diff_ended *d, const struct client *c,
    const char *run, const struct json *row, uint64_t *n, struct err *e)
{
	struct records r = { .d = d };
	uint64_t most;

	*n = 0;
	if (json_u64(json_get(row, STR("planted")), n) < 0 || *n == 0)
		return 0;
	most = *n < COMMIT_TOLD_MAX ? *n : COMMIT_TOLD_MAX;
	return ask_events(&r, c, run, most, e);
}

/* A list has a limit; the stream of a run that has ended has an end. */
static int
ask_events(struct records *r, const struct client *c, const char *run,
    uint64_t most, struct err *e)
{
	own_conn struct client_conn conn = { .fd = -1 };
	char target[96];
	const struct client_request q = {
		.method = "GET",
		.target = target,
		.stream = true,
	};

	(void)snprintf(target, sizeof(target),
	    "/v1/runs/%s/events?kind=sandbox.denied", run);
	if (client_send(c, &q, &conn, e) < 0 ||
	    client_stream(&conn, ANSWER_MS, e) < 0)
		return -1;
	while (r->told < most) {
		struct pollfd p = { .fd = conn.fd, .events = POLLIN };
		struct sse_event ev;
		int got = client_event(&conn, &ev, e);

		if (got < 0)
			return err_add(e,
			    "%llu of %llu names of planted files came",
			    (unsigned long long)r->told,
			    (unsigned long long)most);
		if (got > 0) {
			own_arena struct arena a = {};
			const struct json *record =
			    json_parse(ev.data, NULL, &a, e, NULL);

			if (record == NULL)
				return err_add(e, "a record");
			take_denied(r, record);
			continue;
		}
		got = poll(&p, 1, ANSWER_MS);
		if (got == 0)
			return err_set(e, "no answer in 20 seconds");
		if (got < 0 && errno != EINTR)
			return err_sys(e, "poll");
	}
	return 0;
}

int
diff_ended_read(const struct diff_ended *d, const char *state, uint64_t run,
    uint64_t *n, struct err *e)
{
	own_buf struct buf dir = {};
	struct records r = { .d = d };
	struct err other;
	struct store *s;
	int got;

	*n = 0;
	if (state_store(state, &dir, e) < 0)
		return -1;
	s = store_open_read(buf_c(&dir), e);
	if (s == NULL)
		return -1;
	got = store_events(s, run, 0, 0, on_record, &r, e);
	if (store_close(s, &other) < 0 && got == 0) {
		*e = other;
		got = -1;
	}
	if (got == 0 && !r.opened)
		got = err_set(
		    e, "no such run here: `paddock ps --all` lists the runs");
	if (got == 0 && !r.closed)
		got = err_set(e,
		    "no daemon runs, and the run has no end on record: "
		    "`paddock serve` looks after what it has left");
	*n = r.n;
	return got < 0 ? -1 : 0;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct records *r = arg;
	own_arena struct arena a = {};
	const struct json *record, *mounts;
	struct err e;

	if (row->kind != EVENT_RUN_OPENED && row->kind != EVENT_RUN_CLOSED &&
	    row->kind != EVENT_SANDBOX_DENIED)
		return true;
	record = json_parse(row->body, NULL, &a, &e, NULL);
	if (row->kind == EVENT_SANDBOX_DENIED) {
		take_denied(r, record);
	} else if (row->kind == EVENT_RUN_OPENED) {
		r->opened = true;
		mounts = json_at(record, "body", "mounts", NULL);
		if (mounts != NULL)
			r->d->mounts(r->d->arg, mounts);
	} else {
		r->closed = true;
		/* Absent where nothing was planted. */
		(void)json_u64(json_at(record, "body", "planted", NULL), &r->n);
	}
	return true;
}

static void
take_denied(struct records *r, const struct json *record)
{
	const struct json *body = json_get(record, STR("body"));

	if (!str_eq_c(json_str(json_get(body, STR("wall"))), "mount") ||
	    !str_eq_c(json_str(json_get(body, STR("rule"))), "flagged"))
		return;
	r->told++;
	r->d->planted(r->d->arg, json_str(json_get(body, STR("about"))));
}
