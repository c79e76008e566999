#include "store/order.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "codec/json.h"
#include "core/id.h"
#include "store/db.h"
#include "store/sums.h"

/* One call, while its records pass by. */
struct step {
	uint32_t number;
	enum event_kind last; /* of the records of a call; 0: none yet */
	uint64_t decision; /* number of its last policy.decision */
	bool drafted;
};

/* One run. */
struct progress {
	char id[ID_BYTES];
	uint64_t number;
	uint64_t first;
	uint64_t last; /* without the ends of calls */
	uint64_t opened, closed;
	struct step step;
};

struct order {
	sqlite3 *db;
	struct store_verdict *v;
	sqlite3_stmt *body, *row;
	struct arena memory;
	uint64_t looked_at;
};

static int scan(struct order *o, uint64_t run, struct err *e);
static int on_record(struct order *o, struct progress *p, uint64_t seq,
    enum event_kind kind, struct err *e);
static bool may_follow(enum event_kind kind, enum event_kind last);
static int may_finish(
    struct order *o, const struct step *s, uint64_t seq, struct err *e);
static int on_run_end(struct order *o, struct progress *p, struct err *e);
static int rows_without_records(struct order *o, struct err *e);
static int record(
    struct order *o, uint64_t seq, struct json const **out, struct err *e);
static void bad(struct order *o, enum store_fault fault, uint64_t seq,
    uint64_t run, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

int
order_check(sqlite3 *db, uint64_t run, struct store_verdict *v, struct err *e)
{
	struct order o = { .db = db, .v = v };
	int rc = -1;

	if (db_prepare(db, "SELECT body, hash FROM event WHERE seq = ?",
		&o.body, e) == 0 &&
	    db_prepare(db, "SELECT head FROM run WHERE id = ?", &o.row, e) == 0)
		rc = scan(&o, run, e);
	if (rc == 0 && run == 0 && o.looked_at != v->records)
		bad(&o, STORE_BAD_RECORD, 0, 0,
		    "the index lists %" PRIu64 " records of %" PRIu64,
		    o.looked_at, v->records);
	if (rc == 0 && run == 0)
		rc = rows_without_records(&o, e);
	db_stmt_fini(&o.body);
	db_stmt_fini(&o.row);
	arena_fini(&o.memory);
	return rc;
}

int
order_check_sum(
    sqlite3 *db, uint64_t run, struct store_verdict *v, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	own_arena struct arena a = {};
	const struct json *sum;
	struct order o = { .db = db, .v = v };
	struct sum own;
	char id[ID_BYTES], hex[HASH_HEX_BYTES];
	uint64_t n = 0;
	int got;

	id_text('r', run, id);
	if (db_prepare(db,
		"SELECT seq, body FROM event WHERE run = ? AND kind = ?", &st,
		e) < 0)
		return -1;
	if (sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_int(st, 2, EVENT_RUN_CLOSED) != SQLITE_OK)
		return db_err(db, e, "bind");
	got = db_step(st, e);
	if (got <= 0)
		return got;
	sum =
	    json_get(json_parse(db_str(st, 1), NULL, &a, e, NULL), STR("sum"));
	if (sum == NULL)
		return 0; /* older than sums */
	if (sum_read(db, run, db_u64(st, 0), &own, e) < 0)
		return -1;
	hash_hex(&own.h, hex);
	if (json_u64(json_get(sum, STR("n")), &n) < 0 || n != own.n ||
	    !str_eq_c(json_str(json_get(sum, STR("h"))), hex))
		bad(&o, STORE_TRUNCATED, db_u64(st, 0), run,
		    "the run had %" PRIu64 " records before it, and has "
		    "%" PRIu64 ", or others",
		    n, own.n);
	return 0;
}

static int
scan(struct order *o, uint64_t run, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	struct progress p = {};
	char id[ID_BYTES] = "";
	int got;

	if (run != 0)
		id_text('r', run, id);
	if (db_prepare(o->db,
		run != 0 ? "SELECT run, step, seq, kind FROM event"
			   " INDEXED BY event_run WHERE run = ?"
			   " ORDER BY run, step, seq"
			 : "SELECT run, step, seq, kind FROM event"
			   " INDEXED BY event_run ORDER BY run, step, seq",
		&st, e) < 0)
		return -1;
	if (run != 0 &&
	    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_err(o->db, e, "bind");
	while ((got = db_step(st, e)) > 0) {
		struct str name = db_str(st, 0);
		uint32_t step = (uint32_t)db_u64(st, 1);

		o->looked_at++;
		if (!str_eq(name, str_of(p.id))) {
			if (on_run_end(o, &p, e) < 0)
				return -1;
			p = (struct progress){ .number = db_id(st, 0, 'r') };
			id_text('r', p.number, p.id);
		}
		if (step != p.step.number)
			p.step = (struct step){ .number = step };
		/* The first pass has seen that it is a kind. */
		if (on_record(o, &p, db_u64(st, 2),
			(enum event_kind)sqlite3_column_int(st, 3), e) < 0)
			return -1;
	}
	return got < 0 ? -1 : on_run_end(o, &p, e);
}

static int
on_record(struct order *o, struct progress *p, uint64_t seq,
    enum event_kind kind, struct err *e)
{
	struct step *s = &p->step;
	int may;

	if (p->first == 0 || seq < p->first)
		p->first = seq;
	/* A call that is under way when its run ends ends after it. */
	if (seq > p->last && kind != EVENT_TOOL_FINISHED)
		p->last = seq;
	switch (kind) {
	case EVENT_RUN_OPENED:
		if (p->opened != 0)
			bad(o, STORE_ORDER_INVALID, seq, p->number,
			    "its run was opened before, by record %" PRIu64,
			    p->opened);
		p->opened = seq;
		return 0;
	case EVENT_RUN_CLOSED:
		if (p->closed == 0 || seq < p->closed)
			p->closed = seq;
		return 0;
	case EVENT_DRAFT_CREATED:
		s->drafted = true;
		return 0;
	case EVENT_EGRESS_DECISION:
		/* The first one may be what is asked about; a later one says
		 * what became of that. */
		if (s->last == 0)
			s->last = kind;
		return 0;
	case EVENT_EGRESS_DONE:
		if (s->last == EVENT_APPROVAL_REQUESTED)
			bad(o, STORE_ORDER_INVALID, seq, p->number,
			    "%s follows %s", event_kind_name(kind),
			    event_kind_name(s->last));
		return 0;
	case EVENT_TOOL_RETRIED:
		if (s->last != EVENT_TOOL_STARTED)
			bad(o, STORE_ORDER_INVALID, seq, p->number,
			    "%s is not within its call", event_kind_name(kind));
		return 0;
	case EVENT_EGRESS_LEAK:
	case EVENT_SECRET_REVOKED:
	case EVENT_FAULT_INJECTED:
	case EVENT_CONTEXT_INPUT:
	case EVENT_DRAFT_COMMITTED:
	case EVENT_BUDGET_EXTENDED:
	case EVENT_SNAPSHOT_TAKEN:
	case EVENT_FORK_OPENED:
	case EVENT_PAGE_CAPTURED:
	case EVENT_BUDGET_STOP:
	case EVENT_KILL:
	case EVENT_NOTE:
	case EVENT_RUN_PAUSED:
	case EVENT_RUN_RESUMED:
	case EVENT_SANDBOX_DENIED:
		return 0;
	case EVENT_TOOL_PROPOSED:
	case EVENT_POLICY_DECISION:
	case EVENT_APPROVAL_REQUESTED:
	case EVENT_APPROVAL_DECIDED:
	case EVENT_TOOL_STARTED:
	case EVENT_TOOL_FINISHED:
	case EVENT_KINDS:
		break;
	}
	may = may_follow(kind, s->last);
	if (may && kind == EVENT_TOOL_FINISHED && s->last != EVENT_TOOL_STARTED)
		may = may_finish(o, s, seq, e);
	if (may < 0)
		return -1;
	if (!may && s->last == 0)
		bad(o, STORE_ORDER_INVALID, seq, p->number,
		    "%s is the first of its call", event_kind_name(kind));
	else if (!may)
		bad(o, STORE_ORDER_INVALID, seq, p->number, "%s follows %s",
		    event_kind_name(kind), event_kind_name(s->last));
	if (kind == EVENT_POLICY_DECISION)
		s->decision = seq;
	s->last = kind;
	return 0;
}

/* last 0: kind would be the first of its call. */
static bool
may_follow(enum event_kind kind, enum event_kind last)
{
	static const uint32_t after[EVENT_KINDS] = {
		[EVENT_TOOL_PROPOSED] = 1U << 0,
		/* Edited arguments are judged again. */
		[EVENT_POLICY_DECISION] =
		    1U << EVENT_TOOL_PROPOSED | 1U << EVENT_APPROVAL_DECIDED,
		[EVENT_APPROVAL_REQUESTED] =
		    1U << EVENT_POLICY_DECISION | 1U << EVENT_EGRESS_DECISION,
		/* Each vote is one. */
		[EVENT_APPROVAL_DECIDED] = 1U << EVENT_APPROVAL_REQUESTED |
		    1U << EVENT_APPROVAL_DECIDED,
		[EVENT_TOOL_STARTED] =
		    1U << EVENT_POLICY_DECISION | 1U << EVENT_APPROVAL_DECIDED,
		[EVENT_TOOL_FINISHED] = 1U << EVENT_TOOL_PROPOSED |
		    1U << EVENT_POLICY_DECISION |
		    1U << EVENT_APPROVAL_REQUESTED |
		    1U << EVENT_APPROVAL_DECIDED | 1U << EVENT_TOOL_STARTED,
	};

	return kind < EVENT_KINDS && (after[kind] >> last & 1) != 0;
}

/*
 * May a call end that nothing says was started? Only without a real effect,
 * and when it failed, or when the verdict let nothing start. 1, 0, or -1.
 */
static int
may_finish(struct order *o, const struct step *s, uint64_t seq, struct err *e)
{
	const struct json *r = NULL;
	struct str verdict, action;

	if (record(o, seq, &r, e) < 0)
		return -1;
	if (str_eq(json_str(json_at(r, "res", "effect", NULL)), STR("real")))
		return 0;
	if (s->drafted ||
	    !str_eq(json_str(json_at(r, "res", "status", NULL)), STR("ok")))
		return 1;
	action = json_str(json_at(r, "dec", "action", NULL));
	if (str_eq(action, STR("imported")) || /* paddock decided nothing */
	    str_eq(action, STR("drafted")) ||
	    str_eq(action, STR("simulated")) || str_eq(action, STR("blocked")))
		return 1;
	if (s->decision == 0)
		return 0;
	if (record(o, s->decision, &r, e) < 0)
		return -1;
	verdict = json_str(json_at(r, "dec", "verdict", NULL));
	return str_eq(verdict, STR("draft")) ||
	    str_eq(verdict, STR("simulate")) || str_eq(verdict, STR("block"));
}

static int
on_run_end(struct order *o, struct progress *p, struct err *e)
{
	struct hash head, end = {};
	int got;

	if (p->first == 0 || p->number == 0)
		return 0; /* before the first run, or the daemon's own */
	o->v->runs++;
	if (p->opened > p->first)
		bad(o, STORE_ORDER_INVALID, p->opened, p->number,
		    "its run has record %" PRIu64 " before it was opened",
		    p->first);
	if (p->closed != 0 && p->closed < p->last)
		bad(o, STORE_ORDER_INVALID, p->closed, p->number,
		    "it closes its run, and record %" PRIu64 " comes later",
		    p->last);

	(void)sqlite3_reset(o->row); /* its last step was looked at */
	if (sqlite3_bind_text(o->row, 1, p->id, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_err(o->db, e, "bind");
	got = db_step(o->row, e);
	if (got <= 0)
		return got;
	if (sqlite3_column_type(o->row, 0) == SQLITE_NULL) {
		if (p->closed != 0)
			bad(o, STORE_TRUNCATED, p->closed, p->number,
			    "its run has lost the head that it is");
		return 0;
	}
	if (p->closed == 0) {
		bad(o, STORE_TRUNCATED, p->last, p->number,
		    "its run has a head, but no run.closed record");
		return 0;
	}
	if (record(o, p->closed, NULL, e) < 0)
		return -1;
	(void)db_hash(o->body, 1, &end); /* the first pass has seen it */
	if (db_hash(o->row, 0, &head) < 0 || !hash_eq(&head, &end))
		bad(o, STORE_HASH_MISMATCH, p->closed, p->number,
		    "its hash is not the head that its run has");
	return 0;
}

static int
rows_without_records(struct order *o, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(o->db,
		"SELECT id FROM run WHERE head IS NOT NULL AND NOT EXISTS"
		" (SELECT 1 FROM event WHERE event.run = run.id) LIMIT 1",
		&st, e) < 0)
		return -1;
	got = db_step(st, e);
	if (got > 0)
		bad(o, STORE_TRUNCATED, o->v->records + 1, db_id(st, 0, 'r'),
		    "a run has a head and no records");
	return got < 0 ? -1 : 0;
}

/* Steps o->body to a record and, unless out is NULL, parses it. */
static int
record(struct order *o, uint64_t seq, struct json const **out, struct err *e)
{
	int got;

	(void)sqlite3_reset(o->body); /* its last step was looked at */
	if (sqlite3_bind_int64(o->body, 1, (int64_t)seq) != SQLITE_OK)
		return db_err(o->db, e, "bind");
	got = db_step(o->body, e);
	if (got < 0)
		return -1;
	if (got == 0)
		return err_set(
		    e, "record %" PRIu64 " is in the index only", seq);
	if (out == NULL)
		return 0;
	arena_reset(&o->memory);
	*out = json_parse(db_str(o->body, 0), NULL, &o->memory, e, NULL);
	return *out == NULL ? -1 : 0;
}

/* The lowest number is the first bad record, whichever is found first. */
static void
bad(struct order *o, enum store_fault fault, uint64_t seq, uint64_t run,
    const char *fmt, ...)
{
	struct store_verdict *v = o->v;
	va_list ap;

	if (v->fault != STORE_SOUND && v->seq <= seq)
		return;
	v->fault = fault;
	v->seq = seq;
	v->run = run;
	va_start(ap, fmt);
	(void)vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
}
