#include "cli/recorded.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"

/* A proposal that has no decision yet: calls of a run overlap. */
struct proposal {
	uint32_t step; /* 0: free */
	bool redacted, kept;
	struct hash args;
};

/* More than a run has connections; behind that the oldest is given up. */
enum {
	PROPOSALS = 2 * HTTP_MAX_CONNECTIONS_PER_RUN,
	NS_PER_S = 1000 * 1000 * 1000,
};

/* A call that has no end yet. */
struct started {
	uint32_t step; /* 0: free */
	bool known; /* as struct verdict has it, or a person said yes */
};

/* Whose end brings labels: of a call that goes by without being read again. */
struct called {
	uint64_t reading; /* which; another's is none */
	uint32_t step;
	const struct policy_tool *row; /* NULL: the policy has none */
	char tool[NAME_MAX_BYTES];
};

struct reading {
	uint64_t number; /* of all of this process */
	struct store *store;
	uint64_t run;
	const struct policy *policy;
	int (*on)(void *arg, const struct recorded_call *c, struct err *e);
	void *arg;
	struct err *e;
	bool failed;
	struct labels labels;
	struct prov *prov; /* NULL: the policy does not ask */
	struct started started[PROPOSALS];
	struct proposal open[PROPOSALS];
	struct called called[PROPOSALS]; /* at its step's remainder */
	/* Memory that the next run has again. */
	struct buf places; /* struct store_place each */
	struct arena record, args; /* of the record at hand, and of its call */
	struct buf blob;
};

static uint64_t kinds_for(const struct reading *r);
static int read_places(struct reading *r, struct err *e);
static bool ended_unread(struct reading *r, const struct store_place *at);
static void note_called(struct reading *r, const struct store_row *row);
static void on_record(void *arg, const struct store_row *row);
static void proposed(
    struct reading *r, const struct store_row *row, const struct json *j);
static int decided(
    struct reading *r, const struct store_row *row, const struct json *j);
static void told(
    struct reading *r, const struct store_row *row, const struct json *j);
static struct started *started_of(struct reading *r, uint32_t step);
static void note_started(struct reading *r, const struct recorded_call *c);
static void labels_recorded(struct labels *l, const struct json *list);
static struct proposal *proposal_of(struct reading *r, uint32_t step);
static struct proposal *oldest(struct reading *r);

int
recorded_calls(struct store *s, uint64_t run, const struct policy *p,
    int (*on)(void *arg, const struct recorded_call *c, struct err *e),
    void *arg, struct err *e)
{
	static struct reading r; /* large, and one at a time */
	int status;

	r.number++;
	r.store = s;
	r.run = run;
	r.policy = p;
	r.on = on;
	r.arg = arg;
	r.e = e;
	r.failed = false;
	r.labels.n = 0;
	r.labels.overflowed = false;
	r.prov = p != NULL && p->locates ? prov_new() : NULL;
	memset(r.started, 0, sizeof(r.started));
	memset(r.open, 0, sizeof(r.open));
	r.places.max = SIZE_MAX / 4; /* of one run, which is on a disk */
	r.blob.max = JSON_MAX_BYTES + 1;
	buf_reset(&r.places);
	status = store_places(s, run, kinds_for(&r), &r.places, e);
	if (status == 0)
		status = read_places(&r, e);
	prov_free(r.prov);
	return status;
}

/* Most records say nothing here; they are not worth reading. */
static uint64_t
kinds_for(const struct reading *r)
{
	uint64_t kinds = 1ULL << EVENT_TOOL_PROPOSED |
	    1ULL << EVENT_POLICY_DECISION | 1ULL << EVENT_EGRESS_DECISION;

	if (r->policy != NULL)
		kinds |=
		    1ULL << EVENT_TOOL_FINISHED | 1ULL << EVENT_DRAFT_COMMITTED;
	if (r->prov != NULL)
		kinds |= 1ULL << EVENT_CONTEXT_INPUT |
		    1ULL << EVENT_APPROVAL_DECIDED;
	return kinds;
}

static int
read_places(struct reading *r, struct err *e)
{
	for (size_t i = 0; i < r->places.n; i += sizeof(struct store_place)) {
		struct store_place at;

		memcpy(&at, r->places.p + i, sizeof(at));
		if (ended_unread(r, &at))
			continue;
		if (store_event(r->store, at.seq, on_record, r, e) < 0 ||
		    r->failed)
			return -1;
	}
	return 0;
}

/*
 * The end of a call says nothing here but which tool has ended, and that is the
 * one that was proposed; but for a draft that is committed, where it is the one
 * that the draft is for.
 */
static bool
ended_unread(struct reading *r, const struct store_place *at)
{
	struct called *c = &r->called[at->step % PROPOSALS];

	if (at->kind == EVENT_DRAFT_COMMITTED) {
		c->reading = 0;
		return true;
	}
	if (at->kind != EVENT_TOOL_FINISHED || r->prov != NULL ||
	    c->reading != r->number || c->step != at->step)
		return false;
	if (c->row != NULL)
		policy_result_labels(c->row, str_of(c->tool), &r->labels);
	return true;
}

static void
note_called(struct reading *r, const struct store_row *row)
{
	struct called *c = &r->called[row->step % PROPOSALS];

	c->reading = r->number;
	c->step = row->step;
	c->row =
	    r->policy != NULL ? policy_tool_find(r->policy, row->tool) : NULL;
	if (str_copy(row->tool, c->tool, sizeof(c->tool)) < 0)
		c->reading = 0;
}

static void
on_record(void *arg, const struct store_row *row)
{
	struct reading *r = arg;
	const struct json *j;
	int status = 0;

	if (row->kind == EVENT_TOOL_FINISHED) {
		const struct policy_tool *t = r->policy != NULL
		    ? policy_tool_find(r->policy, row->tool)
		    : NULL;

		if (t != NULL)
			policy_result_labels(t, row->tool, &r->labels);
		if (r->prov == NULL)
			return;
	}
	arena_reset(&r->record);
	j = json_parse(row->body, NULL, &r->record, r->e, NULL);
	if (j == NULL) {
		(void)err_add(r->e, "record %" PRIu64, row->seq);
		status = -1;
	} else if (row->kind == EVENT_TOOL_FINISHED ||
	    row->kind == EVENT_CONTEXT_INPUT ||
	    row->kind == EVENT_APPROVAL_DECIDED) {
		told(r, row, j);
	} else if (row->kind == EVENT_TOOL_PROPOSED) {
		proposed(r, row, j);
		/* In a transcript that was imported nothing decides. */
		if (json_at(j, "body", "imported", "line", NULL) != NULL)
			status = decided(r, row, j);
	} else if (row->kind == EVENT_POLICY_DECISION) {
		status = decided(r, row, j);
	} else {
		labels_recorded(
		    &r->labels, json_at(j, "body", "labels_added", NULL));
	}
	r->failed = status < 0;
}

/* What the run was told, for the calls that follow. */
static void
told(struct reading *r, const struct store_row *row, const struct json *j)
{
	const struct policy_tool *t = policy_tool_find(r->policy, row->tool);
	struct started *s = row->step > 0 ? started_of(r, row->step) : NULL;
	struct hash hash;
	const struct json *v = NULL;
	struct err ignored;

	if (row->kind == EVENT_APPROVAL_DECIDED) {
		if (s != NULL &&
		    str_starts(json_str(json_at(j, "body", "verdict", NULL)),
			STR("approve")))
			s->known = true;
		return;
	}
	arena_reset(&r->args);
	buf_reset(&r->blob);
	if (hash_from_hex(
		json_str(json_at(j, "res", "out", "h", NULL)), &hash) == 0 &&
	    store_blob(r->store, &hash, &r->blob, &ignored) == 0 &&
	    r->blob.n <= PROV_PARSE_BYTES)
		v = json_parse(
		    buf_str(&r->blob), NULL, &r->args, &ignored, NULL);
	if (v != NULL && row->kind == EVENT_CONTEXT_INPUT) {
		prov_user(r->prov, json_str(v));
	} else if (v != NULL) {
		struct str status = json_str(json_at(j, "res", "status", NULL));
		bool good = str_eq(status, STR("ok")) ||
		    str_eq(status, STR("simulated"));

		prov_result(r->prov, row->step, good ? t : NULL, v,
		    s != NULL && s->known);
	}
	if (s != NULL)
		*s = (struct started){};
}

/* Step 0: a free one. NULL: there is none, so nothing of it is known. */
static struct started *
started_of(struct reading *r, uint32_t step)
{
	for (size_t i = 0; i < PROPOSALS; i++) {
		if (r->started[i].step == step)
			return &r->started[i];
	}
	return NULL;
}

/* Whether this policy would take the call for the user's own. */
static void
note_started(struct reading *r, const struct recorded_call *c)
{
	static struct verdict v;
	struct started *s = started_of(r, 0);

	if (s == NULL || c->args == NULL)
		return;
	policy_decide(r->policy,
	    &(struct policy_call){
		c->tool, c->args, c->labels, c->t_ns / NS_PER_S, c->prov },
	    &v);
	*s = (struct started){ c->step, v.known };
}

static void
proposed(struct reading *r, const struct store_row *row, const struct json *j)
{
	const struct json *args = json_at(j, "tool", "args", NULL);
	struct proposal *p = proposal_of(r, 0);

	note_called(r, row);
	if (p == NULL)
		p = oldest(r);
	p->step = row->step;
	p->kept =
	    hash_from_hex(json_str(json_get(args, STR("h"))), &p->args) == 0;
	p->redacted =
	    str_eq(json_str(json_get(args, STR("kept"))), STR("redacted"));
}

static int
decided(struct reading *r, const struct store_row *row, const struct json *j)
{
	struct proposal *p = row->step > 0 ? proposal_of(r, row->step) : NULL;
	struct recorded_call c = {
		.run = r->run,
		.step = row->step,
		.t_ns = row->t_ns,
		.tool = row->tool,
		.labels = &r->labels,
		.prov = r->prov,
		.rule = json_str(json_at(j, "dec", "rule", NULL)),
		.code = json_str(json_at(j, "dec", "code", NULL)),
		.action = json_str(json_at(j, "dec", "action", NULL)),
	};
	struct err ignored;

	if (p == NULL)
		return 0; /* of edited arguments: judged for a reviewer */
	/* A replay repeats the verdicts of the run that it is answered from,
	 * and that one is judged by itself. */
	if (json_at(j, "body", "would", NULL) == NULL &&
	    (json_at(j, "body", "replayed", NULL) != NULL ||
		str_eq(c.rule, STR("replay")))) {
		*p = (struct proposal){};
		return 0;
	}
	if (row->kind == EVENT_TOOL_PROPOSED)
		c.verdict = VERDICT_ALLOW; /* it was made: docs/TRACE.md */
	else if (verdict_parse(json_str(json_at(j, "body", "would", NULL)),
		     &c.verdict) < 0)
		return err_set(
		    r->e, "record %" PRIu64 " has no verdict", row->seq);
	if (r->policy == NULL) {
		r->labels = (struct labels){};
		labels_recorded(&r->labels, json_at(j, "body", "labels", NULL));
	}
	c.redacted = p->redacted;
	arena_reset(&r->args);
	buf_reset(&r->blob);
	if (p->kept && store_blob(r->store, &p->args, &r->blob, &ignored) == 0)
		c.args = json_parse(
		    buf_str(&r->blob), NULL, &r->args, &ignored, NULL);
	*p = (struct proposal){};
	if (r->prov != NULL)
		note_started(r, &c);
	return r->on(r->arg, &c, r->e);
}

/* "*" stands for labels that were too many to keep. */
static void
labels_recorded(struct labels *l, const struct json *list)
{
	if (!json_is(list, JSON_ARRAY))
		return;
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		if (str_eq(json_str(x), STR("*")))
			l->overflowed = true;
		else
			labels_add(l, json_str(x));
	}
}

/* step 0: a free one. */
static struct proposal *
proposal_of(struct reading *r, uint32_t step)
{
	for (size_t i = 0; i < PROPOSALS; i++) {
		if (r->open[i].step == step)
			return &r->open[i];
	}
	return NULL;
}

static struct proposal *
oldest(struct reading *r)
{
	struct proposal *first = &r->open[0];

	for (size_t i = 1; i < PROPOSALS; i++) {
		if (r->open[i].step < first->step)
			first = &r->open[i];
	}
	return first;
}
