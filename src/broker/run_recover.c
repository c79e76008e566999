/*
 * What a broker that died left open: its sandboxes are gone, so its runs end
 * now, on the record, and calls that had started have an unknown end.
 */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/walls.h"
#include "broker/run.h"
#include "codec/json.h"
#include "core/event.h"

enum { OPEN_MAX = RUNS_MAX };

/* A run that is open in the store. Texts are copied: rows do not last. */
struct left {
	struct store_run row;
	char text[6][NAME_MAX_BYTES * 2];
	uint32_t walls; /* that its sandbox had, as its note says */
	uint32_t planted; /* that were told before the broker was lost */
	uint32_t n_started; /* calls that started and have no end */
	struct {
		uint32_t step;
		char tool[NAME_MAX_BYTES];
	} started[RUN_PENDING_MAX];
};

static struct left left[OPEN_MAX];
static uint32_t n_left;

static bool on_run(void *arg, const struct store_run *row);
static bool on_event(void *arg, const struct store_row *row);
static bool on_approval(void *arg, const struct store_approval *a);
static void take_sandbox(struct left *l, const struct store_row *row);
static int close_left(struct left *l, struct err *e);
static struct event event_of(const struct left *l, enum event_kind kind);

int
run_recover(struct err *e)
{
	n_left = 0;
	if (store_runs(broker.store, 0, true, OPEN_MAX, on_run, NULL, e) < 0)
		return err_add(e, "recover");
	for (uint32_t i = 0; i < n_left; i++) {
		if (close_left(&left[i], e) < 0)
			return err_add(e, "recover");
	}
	if (n_left > 0) {
		log_warn("closed runs that were left open n=%u", n_left);
		if (store_approvals(broker.store, 0, STR("pending"),
			on_approval, NULL, e) < 0)
			return err_add(e, "recover");
	}
	return 0;
}

static bool
on_run(void *arg, const struct store_run *row)
{
	struct left *l = &left[n_left++];
	struct str *texts[] = { &l->row.tenant, &l->row.actor, &l->row.role,
		&l->row.workflow, &l->row.mode, &l->row.command };

	(void)arg;
	*l = (struct left){ .row = *row };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t n = texts[i]->n;

		if (n > sizeof(l->text[i]))
			n = sizeof(l->text[i]);
		if (n > 0)
			memcpy(l->text[i], texts[i]->p, n);
		*texts[i] = (struct str){ l->text[i], n };
	}
	return n_left < OPEN_MAX;
}

static bool
on_event(void *arg, const struct store_row *row)
{
	struct left *l = arg;

	if (row->step > l->row.steps)
		l->row.steps = row->step;
	if (row->kind == EVENT_TOOL_STARTED && l->n_started < RUN_PENDING_MAX) {
		l->started[l->n_started].step = row->step;
		(void)str_copy(row->tool, l->started[l->n_started].tool,
		    NAME_MAX_BYTES); /* a longer one is no tool of ours */
		l->n_started++;
	}
	if (row->kind == EVENT_NOTE || row->kind == EVENT_SANDBOX_DENIED)
		take_sandbox(l, row);
	if (row->kind != EVENT_TOOL_FINISHED)
		return true;
	for (uint32_t i = 0; i < l->n_started; i++) {
		if (l->started[i].step == row->step) {
			l->started[i] = l->started[--l->n_started];
			break;
		}
	}
	return true;
}

/* What its records say of the sandbox, which is gone. A wall that this version
 * does not know is not told. */
static void
take_sandbox(struct left *l, const struct store_row *row)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *body =
	    json_get(json_parse(row->body, NULL, &a, &e, NULL), STR("body"));
	const struct json *walls = json_get(body, STR("walls"));

	if (row->kind == EVENT_SANDBOX_DENIED) {
		l->planted +=
		    str_eq(json_str(json_get(body, STR("wall"))), STR("mount"));
		return;
	}
	if (!str_eq(json_str(json_get(body, STR("note"))),
		STR("sandbox.started")) ||
	    !json_is(walls, JSON_ARRAY))
		return;
	for (const struct json *w = json_first(walls); w != NULL;
	     w = json_next(walls, w))
		l->walls |= wall_find(json_str(w));
}

static int
close_left(struct left *l, struct err *e)
{
	own_buf struct buf body = {};
	struct event ev;

	if (store_events(
		broker.store, l->row.id, 0, UINT32_MAX, on_event, l, e) < 0)
		return -1;
	for (uint32_t i = 0; i < l->n_started; i++) {
		ev = event_of(l, EVENT_TOOL_FINISHED);
		ev.step = l->started[i].step;
		ev.tool = str_of(l->started[i].tool);
		ev.status = STR("unknown");
		ev.code = STR("broker_lost");
		if (store_append(broker.store, &ev) == 0)
			return err_set(e, "the store takes no records");
	}
	ev = event_of(l, EVENT_RUN_CLOSED);
	ev.step = l->row.steps + 1;
	buf_add_byte(&body, '{');
	if (l->planted > 0)
		buf_printf(&body, "\"planted\":%u,", l->planted);
	buf_add_c(
	    &body, "\"status\":\"stopped\",\"stop_reason\":\"broker_lost\"");
	if (l->walls != 0) {
		buf_add_c(&body, ",\"walls\":[");
		walls_write(&body, l->walls);
		buf_add_byte(&body, ']');
	}
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	if (store_append(broker.store, &ev) == 0)
		return err_set(e, "the store takes no records");
	l->row.closed_ns = ev.t_ns;
	l->row.status = STR("stopped");
	l->row.stop_reason = STR("broker_lost");
	l->row.head = store_head(broker.store);
	if (store_put_run(broker.store, &l->row) < 0)
		return err_set(e, "the store takes no records");
	return 0;
}

static struct event
event_of(const struct left *l, enum event_kind kind)
{
	return (struct event){
		.run = l->row.id,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.kind = kind,
		.tenant = l->row.tenant,
		.actor = l->row.actor,
		.role = l->row.role,
		.workflow = l->row.workflow,
		.stage = l->row.stage,
		.ms = -1,
	};
}

static bool
on_approval(void *arg, const struct store_approval *a)
{
	struct store_approval row = *a;

	(void)arg;
	row.state = STR("cancelled");
	(void)store_put_approval(broker.store, &row); /* nobody can use it */
	return true;
}
