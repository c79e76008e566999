#include "broker/box.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker/call.h"
#include "broker/record.h"
#include "broker/run.h"
#include "broker/who.h"

/* A tool call that waits for its run to go on. */
struct held {
	struct held *next;
	struct msg_tool_call m;
	struct buf payload;
};

/* What the record of an opening says beside the run's row. */
struct opened {
	struct buf *tags, *image;
};

/* What its last record says of one. */
struct closed {
	uint64_t planted;
	struct buf *walls;
};

enum {
	NS_PER_MS = 1000 * 1000,
	/* CPU time that is no work: a server that waits wakes up, too. */
	IDLE_CPU_PART = 1000,
};

static void ask(const struct run *r, uint64_t call, enum sandbox_ask what);
static void answer_run(uint64_t call, const struct run *r);
static void answer_stat(const struct msg_sandbox_told *m, const struct run *r);
static void set_paused(struct run *r, bool paused);
static void release(struct run *r);
static int take_ms(
    const struct json *args, struct str name, uint64_t *out, struct err *e);
static int take_tags(struct run *r, const struct json *tags, struct err *e);
static bool tag_ok(struct str s, bool key);
static void on_ttl(struct loop_timer *t);
static void on_idle(struct loop_timer *t);
static void arm_idle(struct run *r);
static void stop_late(
    struct run *r, const char *reason, uint64_t limit_ms, const char *next);
static void put_percent(struct buf *out, uint32_t hundredths);
static bool on_closed_row(void *arg, const struct store_row *row);
static bool on_opened_row(void *arg, const struct store_row *row);

void
box_ask(const struct caller *who, uint64_t call, uint64_t run,
    enum sandbox_ask what)
{
	struct run *r = run_find(run);

	if (r == NULL || r->state == RUN_CLOSED) {
		reply_error(call, 404, "unknown_run", "No such run is open.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
		return;
	}
	if (r->state != RUN_OPEN && what != ASK_STAT) {
		reply_error(call, 409, "not_open",
		    r->state == RUN_OPENING ? "The run is being opened."
					    : "The run is being stopped.",
		    "Look at its status with GET /v1/runs/{run}.");
		return;
	}
	if (!r->sandbox_sent) {
		reply_error(call, 409, "no_sandbox",
		    "The run has no sandbox: its agent lives elsewhere.",
		    "Stop the run instead, with `paddock stop`.");
		return;
	}
	if (what == ASK_STAT) {
		ask(r, call, what);
		return;
	}
	if (r->box.asked) {
		reply_error(call, 409, "busy",
		    "The sandbox is being paused or resumed.",
		    "Ask again in a moment.");
		return;
	}
	if (r->box.paused == (what == ASK_FREEZE)) {
		answer_run(call, r);
		return;
	}
	memcpy(r->box.by, who->name, sizeof(r->box.by));
	r->box.asked = true;
	ask(r, call, what);
}

void
on_sandbox_told(const struct msg_sandbox_told *m, struct str payload)
{
	struct run *r = run_find(m->run);
	bool changes;

	if (r == NULL || r->state == RUN_CLOSED) {
		reply_error(m->call, 404, "unknown_run", "The run has ended.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
		return;
	}
	/* Who measures it while a snapshot is taken does not pause it. */
	changes = r->box.asked && r->snapping == 0 && m->call != 0;
	if (changes && m->ok && (m->frozen != 0) != r->box.paused) {
		r->box.asked = false;
		set_paused(r, m->frozen != 0);
		answer_run(m->call, r);
		return;
	}
	if (!m->ok) {
		own_buf struct buf why = {};

		buf_add_str(&why, payload);
		r->box.asked = r->snapping != 0;
		reply_error(m->call, 409, "not_possible", buf_c(&why),
		    "`paddock doctor` says what this machine gives.");
		return;
	}
	if (m->call != 0) {
		answer_stat(m, r);
		return;
	}
	/* Our own question: has it worked since it was last seen? */
	if (r->state != RUN_OPEN || r->box.paused || r->box.idle_ms == 0)
		return;
	if ((m->flags & TOLD_CPU) != 0 &&
	    m->cpu_ns - r->box.cpu_seen_ns >
		r->box.idle_ms * (NS_PER_MS / IDLE_CPU_PART)) {
		r->box.cpu_seen_ns = m->cpu_ns;
		box_touch(r);
		arm_idle(r);
		return;
	}
	stop_late(r, "idle_timeout", r->box.idle_ms,
	    "Open another run, with a longer idle_ms if it is to wait.");
}

int
box_take(struct run *r, const struct json *args, struct err *e)
{
	r->box.ttl.on_time = on_ttl;
	r->box.idle.on_time = on_idle;
	if (take_ms(args, STR("ttl_ms"), &r->box.ttl_ms, e) < 0 ||
	    take_ms(args, STR("idle_ms"), &r->box.idle_ms, e) < 0)
		return -1;
	return take_tags(r, json_get(args, STR("tags")), e);
}

void
box_opened(struct run *r)
{
	if (r->box.ttl_ms > 0)
		loop_timer_set(broker.loop, &r->box.ttl,
		    clock_mono_ns() + (int64_t)r->box.ttl_ms * NS_PER_MS);
	box_touch(r);
	arm_idle(r);
}

void
box_touch(struct run *r)
{
	r->box.touched_ns = clock_mono_ns();
}

void
box_end(struct run *r)
{
	loop_timer_clear(broker.loop, &r->box.ttl);
	loop_timer_clear(broker.loop, &r->box.idle);
	release(r);
	buf_fini(&r->box.tags);
}

bool
box_holds(struct run *r, const struct msg_tool_call *m, struct str payload)
{
	struct held *h, **at = &r->box.held;

	if (!r->box.paused || r->state != RUN_OPEN)
		return false;
	/* What lies inside is frozen: it asked before. */
	if (m->door != DOOR_RUN || r->box.n_held >= RUN_PENDING_MAX) {
		reply_error(m->call, 409, "paused", "The run is paused.",
		    "Call again when it has been resumed.");
		return true;
	}
	h = calloc(1, sizeof(*h));
	must(h != NULL);
	h->m = *m;
	buf_add_str(&h->payload, payload);
	while (*at != NULL)
		at = &(*at)->next;
	*at = h;
	r->box.n_held++;
	return true;
}

void
box_gone(uint64_t call)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (struct held **at = &r->box.held; *at != NULL;) {
			struct held *h = *at;

			if (h->m.call != call) {
				at = &h->next;
				continue;
			}
			*at = h->next;
			r->box.n_held--;
			buf_fini(&h->payload);
			free(h);
		}
	}
}

void
box_stop(struct run *r, const char *reason, uint64_t grace_ms)
{
	bool first = r->state == RUN_OPEN;
	bool gentle =
	    grace_ms > 0 && first && r->sandbox_sent && !r->box.paused;

	run_stop(r, reason, STR(""), !gentle);
	if (!gentle || r->state != RUN_STOPPING)
		return;
	ask(r, 0, ASK_TERMINATE);
	loop_timer_set(broker.loop, &r->grace,
	    clock_mono_ns() + (int64_t)grace_ms * NS_PER_MS);
}

void
box_opened_read(uint64_t run, struct buf *tags, struct buf *image)
{
	struct opened found = { tags, image };
	struct err e = {};

	/* A store that cannot be read shows that to who lists the runs. */
	(void)store_events(broker.store, run, 0, 1, on_opened_row, &found, &e);
	if (tags->n == 0)
		buf_add_c(tags, "{}");
}

uint64_t
box_closed_read(uint64_t run, uint32_t steps, struct buf *walls)
{
	struct closed found = { .walls = walls };
	struct err e = {};

	/* As above. */
	(void)store_events(
	    broker.store, run, steps + 1, 0, on_closed_row, &found, &e);
	return found.planted;
}

bool
box_tags_have(struct str tags, struct str tag)
{
	own_arena struct arena a = {};
	struct err e = {};
	size_t eq = str_find(tag, '=');
	const struct json *all = json_parse(tags, NULL, &a, &e, NULL);
	const struct json *value = json_get(all, (struct str){ tag.p, eq });

	if (eq == tag.n)
		return value != NULL;
	return value != NULL &&
	    str_eq(json_str(value),
		(struct str){ tag.p + eq + 1, tag.n - eq - 1 });
}

static void
ask(const struct run *r, uint64_t call, enum sandbox_ask what)
{
	struct msg_sandbox_ask m = { .run = r->id, .call = call, .what = what };

	(void)peer_send(&broker.supervisor, MSG_SANDBOX_ASK, &m, STR(""), NULL,
	    0); /* the supervisor's loss ends us and the sandbox */
}

static void
answer_run(uint64_t call, const struct run *r)
{
	own_buf struct buf out = {};

	run_write(&out, r);
	reply(call, REPLY_OK, 200, buf_str(&out));
}

/* Members are left out where the machine does not tell. */
static void
answer_stat(const struct msg_sandbox_told *m, const struct run *r)
{
	const struct policy_sandbox *l = &r->policy->sandbox;
	own_buf struct buf out = {};

	buf_add_byte(&out, '{');
	if ((m->flags & TOLD_CPU) != 0)
		buf_printf(&out, "\"cpu_ms\":%llu,",
		    (unsigned long long)(m->cpu_ns / NS_PER_MS));
	if ((m->flags & TOLD_DISK) != 0)
		buf_printf(&out,
		    "\"disk\":{\"bytes\":%llu,\"inodes\":%llu,"
		    "\"limit_bytes\":%llu,\"limit_inodes\":%llu},",
		    (unsigned long long)m->disk_bytes,
		    (unsigned long long)m->inodes,
		    (unsigned long long)l->disk_bytes,
		    (unsigned long long)l->inodes);
	if ((m->flags & TOLD_MEMORY) != 0)
		buf_printf(&out,
		    "\"memory\":{\"bytes\":%llu,\"limit_bytes\":%llu,"
		    "\"oom_kills\":%llu,\"peak_bytes\":%llu},",
		    (unsigned long long)m->memory_bytes,
		    (unsigned long long)l->memory_bytes,
		    (unsigned long long)m->oom_kills,
		    (unsigned long long)m->memory_peak_bytes);
	buf_printf(&out, "\"opened_ms\":%lld,\"paused\":%s",
	    (long long)(r->opened_ns / NS_PER_MS),
	    r->box.paused ? "true" : "false");
	if ((m->flags & TOLD_PIDS) != 0)
		buf_printf(&out,
		    ",\"pids\":{\"limit\":%u,\"now\":%llu,\"refused\":%llu}",
		    l->pids, (unsigned long long)m->pids,
		    (unsigned long long)m->pids_refused);
	if ((m->flags & TOLD_PRESSURE) != 0) {
		buf_add_c(&out, ",\"pressure\":{\"cpu\":");
		put_percent(&out, m->pressure_cpu);
		buf_add_c(&out, ",\"io\":");
		put_percent(&out, m->pressure_io);
		buf_add_c(&out, ",\"memory\":");
		put_percent(&out, m->pressure_memory);
		buf_printf(&out, ",\"of\":\"%s\"}",
		    (m->flags & TOLD_PRESSURE_OF_MACHINE) != 0 ? "machine"
							       : "sandbox");
	}
	buf_printf(&out, ",\"run\":\"%s\"", r->text);
	if ((m->flags & TOLD_CPU) != 0)
		buf_printf(&out, ",\"throttled_ms\":%llu",
		    (unsigned long long)(m->throttled_ns / NS_PER_MS));
	buf_add_byte(&out, '}');
	reply(m->call, REPLY_OK, 200, buf_str(&out));
}

static void
set_paused(struct run *r, bool paused)
{
	struct event ev =
	    record_of(r, paused ? EVENT_RUN_PAUSED : EVENT_RUN_RESUMED);
	own_buf struct buf body = {};

	buf_add_c(&body, "{\"by\":");
	json_put_str(&body, str_of(r->box.by));
	buf_add_byte(&body, '}');
	ev.step = r->steps;
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* it has no effect outside the sandbox */
	r->box.paused = paused;
	if (paused) {
		run_wait_begin(r);
		loop_timer_clear(broker.loop, &r->box.idle);
		return;
	}
	run_wait_end(r);
	box_touch(r);
	arm_idle(r);
	release(r);
}

/* In the order in which they came. */
static void
release(struct run *r)
{
	while (r->box.held != NULL) {
		struct held *h = r->box.held;

		r->box.held = h->next;
		r->box.n_held--;
		on_tool_call(&h->m, buf_str(&h->payload));
		buf_fini(&h->payload);
		free(h);
	}
}

static int
take_ms(const struct json *args, struct str name, uint64_t *out, struct err *e)
{
	const struct json *v = json_get(args, name);

	if (v == NULL)
		return 0;
	if (json_u64(v, out) < 0 || *out < BOX_MIN_MS ||
	    *out > POLICY_RUN_MAX_MS) {
		*out = 0;
		return err_set(e,
		    "`%.*s` is not a whole number of milliseconds from %d to "
		    "%d",
		    STR_FMT(name), BOX_MIN_MS, POLICY_RUN_MAX_MS);
	}
	return 0;
}

static int
take_tags(struct run *r, const struct json *tags, struct err *e)
{
	if (tags == NULL)
		return 0;
	if (!json_is(tags, JSON_OBJECT) || tags->n > RUN_TAGS_MAX)
		return err_set(
		    e, "`tags` is not an object of at most %d", RUN_TAGS_MAX);
	for (const struct json *k = json_first(tags); k != NULL;
	     k = json_next(tags, k)) {
		struct str value = json_str(json_value(k));

		if (!tag_ok(json_str(k), true) ||
		    !json_is(json_value(k), JSON_STRING) ||
		    !tag_ok(value, false))
			return err_set(e,
			    "`tags`: names and values are texts of up to %d "
			    "letters, digits and . _ - / :",
			    RUN_TAG_BYTES);
	}
	json_write(&r->box.tags, tags);
	return 0;
}

static bool
tag_ok(struct str s, bool key)
{
	if (s.n > RUN_TAG_BYTES || (key && s.n == 0))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') ||
			str_find(STR("._-/:"), c) < sizeof("._-/:") - 1))
			return false;
	}
	return true;
}

static void
on_ttl(struct loop_timer *t)
{
	struct run *r = LOOP_OF(t, struct run, box.ttl);

	stop_late(r, "ttl_exceeded", r->box.ttl_ms,
	    "Open another run, with a longer ttl_ms if it needs one.");
}

/* Nothing was asked of it for so long: whether it works by itself is what the
 * supervisor sees. A run that waits for a person is not idle. */
static void
on_idle(struct loop_timer *t)
{
	struct run *r = LOOP_OF(t, struct run, box.idle);

	if (r->waiting > 0 || r->calls_open > 0)
		box_touch(r);
	if (clock_mono_ns() - r->box.touched_ns <
	    (int64_t)r->box.idle_ms * NS_PER_MS) {
		arm_idle(r);
		return;
	}
	if (r->sandbox_sent)
		ask(r, 0, ASK_STAT);
	else
		stop_late(r, "idle_timeout", r->box.idle_ms,
		    "Open another run, with a longer idle_ms if it is to "
		    "wait.");
}

static void
arm_idle(struct run *r)
{
	if (r->box.idle_ms > 0 && r->state == RUN_OPEN && !r->box.paused)
		loop_timer_set(broker.loop, &r->box.idle,
		    r->box.touched_ns + (int64_t)r->box.idle_ms * NS_PER_MS);
}

static void
stop_late(
    struct run *r, const char *reason, uint64_t limit_ms, const char *next)
{
	own_buf struct buf json = {};
	int64_t since = str_eq_c(STR("ttl_exceeded"), reason)
	    ? r->opened_mono_ns
	    : r->box.touched_ns;

	if (r->state != RUN_OPEN)
		return;
	buf_printf(&json,
	    "{\"limit_ms\":%llu,\"reason\":\"%s\",\"status\":\"stopped\","
	    "\"suggested_next_step\":",
	    (unsigned long long)limit_ms, reason);
	json_put_str(&json, str_of(next));
	buf_printf(&json, ",\"used_ms\":%lld}",
	    (long long)((clock_mono_ns() - since) / NS_PER_MS));
	run_stop(r, reason, buf_str(&json), r->box.paused);
}

/* 627 as 6.27, and 620 as 6.2: the shortest, as RFC 8785 wants it. */
static void
put_percent(struct buf *out, uint32_t hundredths)
{
	uint32_t part = hundredths % 100;

	buf_printf(out, "%u", hundredths / 100);
	if (part % 10 != 0)
		buf_printf(out, ".%02u", part);
	else if (part != 0)
		buf_printf(out, ".%u", part / 10);
}

static bool
on_closed_row(void *arg, const struct store_row *row)
{
	own_arena struct arena a = {};
	struct err e = {};
	struct closed *found = arg;
	const struct json *body, *walls;

	if (row->kind != EVENT_RUN_CLOSED)
		return true;
	body = json_get(json_parse(row->body, NULL, &a, &e, NULL), STR("body"));
	walls = json_get(body, STR("walls"));
	if (json_u64(json_get(body, STR("planted")), &found->planted) < 0)
		found->planted = 0;
	if (json_is(walls, JSON_ARRAY)) {
		buf_add_c(found->walls, ",\"walls\":");
		json_write(found->walls, walls);
	}
	return false;
}

/* The first record of a run has them. */
static bool
on_opened_row(void *arg, const struct store_row *row)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(row->body, NULL, &a, &e, NULL);
	const struct json *body = json_get(doc, STR("body"));
	const struct json *tags = json_get(body, STR("tags"));
	const struct json *image = json_get(body, STR("image"));
	const struct json *mounts = json_get(body, STR("mounts"));
	const struct opened *found = arg;

	if (json_is(tags, JSON_OBJECT))
		json_write(found->tags, tags);
	if (json_is(image, JSON_OBJECT)) {
		buf_add_c(found->image, ",\"image\":");
		json_write(found->image, image);
	}
	if (json_is(mounts, JSON_ARRAY)) {
		buf_add_c(found->image, ",\"mounts\":");
		json_write(found->image, mounts);
	}
	return false;
}
