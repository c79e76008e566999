/*
 * Transcripts: what an agent did elsewhere, a run on each line.
 *
 * Nothing was decided there that paddock could vouch for, so a call has no
 * policy.decision: it was asked for, and it ended, as `dec.action` imported.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/limits.h"
#include "core/id.h"
#include "store/import.h"
#include "store/inside.h"

enum { NS_PER_US = 1000, READ_BYTES = 256 * 1024, BYTES_PER_MIB = 1 << 20 };

struct transcripts {
	struct import *im;
	struct err *e;
	int fd;
	struct buf text; /* read, and not taken yet */
	uint64_t bytes, line;
	bool ended;

	/* of the run at hand */
	struct arena memory;
	uint64_t run;
	struct event who; /* what all its records have */
	struct buf mark; /* `body` of all but the first */
	struct buf blob;
	int64_t opened_ns, t_ns;
};

/* Which members an object may have: anything else is a mistake. */
struct member {
	const char *name;
	const struct json *value;
};

static int next_line(struct transcripts *t, struct str *out, size_t *took);
static int take_run(struct transcripts *t, struct str line);
static int open_run(struct transcripts *t, struct str line, struct str name);
static int take_user(struct transcripts *t, const struct json *user);
static int take_call(
    struct transcripts *t, const struct json *call, uint32_t step);
static int take_result(struct transcripts *t, struct event *ev,
    const struct json *result, const struct json *error);
static int close_run(struct transcripts *t, uint32_t steps, struct str name);
static int members(struct transcripts *t, const struct json *o,
    struct member *list, size_t n, const char *what);
static int text_of(struct transcripts *t, const struct json *v,
    const char *what, bool needed, struct str *out);
static int time_of(struct transcripts *t, const struct json *v, bool needed);
static int append(struct transcripts *t, struct event *ev);

int
import_transcripts(struct import *im, int fd, struct err *e)
{
	struct transcripts t = { .im = im, .e = e, .fd = fd };
	uint64_t runs = 0;
	struct str line = {};
	size_t took = 0;
	int got;

	t.text.max = JSON_MAX_BYTES + READ_BYTES + 1;
	t.blob.max = JSON_MAX_BYTES * 2;
	while ((got = next_line(&t, &line, &took)) > 0) {
		if (str_trim(line).n > 0) {
			if (runs++ == IMPORT_MAX_RUNS)
				got = err_set(e, "over %d runs: split the file",
				    IMPORT_MAX_RUNS);
			else
				got = take_run(&t, line);
		}
		if (got < 0) {
			(void)err_add(e, "line %" PRIu64, t.line);
			break;
		}
		buf_drop(&t.text, took);
	}
	if (got == 0 && runs == 0)
		got = err_set(e, "it holds no run");
	arena_fini(&t.memory);
	buf_fini(&t.text);
	buf_fini(&t.mark);
	buf_fini(&t.blob);
	return got;
}

/* 1: a line, and how many bytes it takes with its end; 0: none is left. */
static int
next_line(struct transcripts *t, struct str *out, size_t *took)
{
	size_t looked = 0;

	for (;;) {
		struct str fresh = { t->text.p + looked, t->text.n - looked };
		size_t end = fresh.n > 0 ? str_find(fresh, '\n') : 0;
		char *at;
		ssize_t n;

		if (end < fresh.n || (t->ended && t->text.n > 0)) {
			*out = (struct str){ t->text.p, looked + end };
			*took = looked + end + (end < fresh.n ? 1 : 0);
			t->line++;
			return 1;
		}
		if (t->ended)
			return 0;
		looked = t->text.n;
		at = looked <= JSON_MAX_BYTES
		    ? buf_reserve(&t->text, READ_BYTES)
		    : NULL;
		if (at == NULL)
			return err_set(t->e,
			    "line %" PRIu64 " is longer than the %d MiB that "
			    "a run may have",
			    t->line + 1, JSON_MAX_BYTES / BYTES_PER_MIB);
		n = read(t->fd, at, READ_BYTES);
		if (n < 0)
			return err_sys(t->e, "read");
		t->ended = n == 0;
		t->text.n += (size_t)n;
		t->bytes += (uint64_t)n;
		if (t->bytes / BYTES_PER_MIB >= IMPORT_MAX_MIB)
			return err_set(t->e,
			    "it is over the %d GiB that a file may have: split "
			    "it",
			    IMPORT_MAX_MIB / 1024);
	}
}

static int
take_run(struct transcripts *t, struct str line)
{
	enum { ACTOR, CALLS, ROLE, RUN, TENANT, TIME, USER, WORKFLOW };
	struct member m[] = {
		[ACTOR] = { "actor", NULL },
		[CALLS] = { "calls", NULL },
		[ROLE] = { "role", NULL },
		[RUN] = { "run", NULL },
		[TENANT] = { "tenant", NULL },
		[TIME] = { "time", NULL },
		[USER] = { "user", NULL },
		[WORKFLOW] = { "workflow", NULL },
	};
	const struct json *o;
	struct str name = {};
	uint32_t step = 0;

	arena_reset(&t->memory);
	o = json_parse(line, NULL, &t->memory, t->e, NULL);
	t->who = (struct event){ .ms = -1 };
	if (o == NULL ||
	    members(t, o, m, sizeof(m) / sizeof(m[0]), "a run") < 0 ||
	    text_of(t, m[RUN].value, "run", true, &name) < 0 ||
	    text_of(t, m[ACTOR].value, "actor", false, &t->who.actor) < 0 ||
	    text_of(t, m[ROLE].value, "role", false, &t->who.role) < 0 ||
	    text_of(t, m[TENANT].value, "tenant", false, &t->who.tenant) < 0 ||
	    text_of(t, m[WORKFLOW].value, "workflow", false, &t->who.workflow) <
		0 ||
	    time_of(t, m[TIME].value, true) < 0)
		return -1;
	if (m[CALLS].value == NULL || !json_is(m[CALLS].value, JSON_ARRAY))
		return err_set(t->e, "`calls` must be an array of calls");
	if (m[CALLS].value->n > IMPORT_MAX_CALLS)
		return err_set(
		    t->e, "over %d calls: split the run", IMPORT_MAX_CALLS);
	if (t->who.actor.n == 0)
		t->who.actor = STR("agent");
	if (t->who.workflow.n == 0)
		t->who.workflow = STR(IMPORT_MODE);
	if (open_run(t, line, name) < 0 || take_user(t, m[USER].value) < 0)
		return -1;
	for (const struct json *x = json_first(m[CALLS].value); x != NULL;
	     x = json_next(m[CALLS].value, x)) {
		if (take_call(t, x, ++step) < 0)
			return err_add(t->e, "call %" PRIu32, step);
	}
	return close_run(t, step, name);
}

static int
open_run(struct transcripts *t, struct str line, struct str name)
{
	own_buf struct buf body = {};
	struct event ev = t->who;
	struct hash h = hash_of(line.p, line.n);
	char hex[HASH_HEX_BYTES];

	if (import_name(t->im, line, &t->run, t->e) < 0)
		return -1;
	t->who.run = ev.run = t->run;
	hash_hex(&h, hex);
	buf_printf(&body,
	    "{\"imported\":{\"digest\":\"%s\",\"from\":\"transcript\","
	    "\"line\":%" PRIu64 ",\"run\":",
	    hex, t->line);
	json_put_str(&body, name);
	buf_add_c(&body, "}}");
	buf_reset(&t->mark);
	buf_printf(&t->mark, "{\"imported\":{\"line\":%" PRIu64 "}}", t->line);
	ev.kind = EVENT_RUN_OPENED;
	ev.body = buf_str(&body);
	ev.t_ns = t->opened_ns = t->t_ns;
	return append(t, &ev);
}

static int
take_user(struct transcripts *t, const struct json *user)
{
	struct event ev = t->who;

	if (user == NULL || json_is(user, JSON_NULL))
		return 0;
	if (!json_is(user, JSON_STRING))
		return err_set(t->e, "`user` must be a text");
	if (json_str(user).n == 0)
		return 0;
	buf_reset(&t->blob);
	json_write(&t->blob, user);
	ev.kind = EVENT_CONTEXT_INPUT;
	ev.origin = STR("user");
	ev.out.bytes = buf_str(&t->blob);
	ev.body = buf_str(&t->mark);
	ev.t_ns = t->t_ns;
	return append(t, &ev);
}

static int
take_call(struct transcripts *t, const struct json *call, uint32_t step)
{
	enum { ARGUMENTS, ERROR, NAME, RESULT, TIME };
	struct member m[] = {
		[ARGUMENTS] = { "arguments", NULL },
		[ERROR] = { "error", NULL },
		[NAME] = { "name", NULL },
		[RESULT] = { "result", NULL },
		[TIME] = { "time", NULL },
	};
	struct event ev = t->who;

	if (members(t, call, m, sizeof(m) / sizeof(m[0]), "a call") < 0 ||
	    text_of(t, m[NAME].value, "name", true, &ev.tool) < 0 ||
	    time_of(t, m[TIME].value, false) < 0)
		return -1;
	if (!json_is(m[ARGUMENTS].value, JSON_OBJECT))
		return err_set(t->e, "`arguments` must be an object");
	buf_reset(&t->blob);
	json_write(&t->blob, m[ARGUMENTS].value);
	ev.step = step;
	ev.kind = EVENT_TOOL_PROPOSED;
	ev.args.bytes = buf_str(&t->blob);
	ev.body = buf_str(&t->mark);
	ev.t_ns = t->t_ns;
	if (append(t, &ev) < 0)
		return -1;
	ev.kind = EVENT_TOOL_FINISHED;
	ev.args = (struct event_blob){};
	ev.action = STR(IMPORT_MODE);
	ev.origin = STR(IMPORT_MODE);
	t->im->calls++;
	return take_result(t, &ev, m[RESULT].value, m[ERROR].value);
}

static int
take_result(struct transcripts *t, struct event *ev, const struct json *result,
    const struct json *error)
{
	bool failed = error != NULL && !json_is(error, JSON_NULL);

	if (failed && !json_is(error, JSON_STRING))
		return err_set(t->e, "`error` must be a text, or null");
	ev->status = failed  ? STR("error")
	    : result != NULL ? STR("ok")
			     : STR("unknown");
	if (result == NULL && failed)
		result = error;
	buf_reset(&t->blob);
	if (result != NULL) {
		json_write(&t->blob, result);
		ev->out.bytes = buf_str(&t->blob);
	}
	return append(t, ev);
}

static int
close_run(struct transcripts *t, uint32_t steps, struct str name)
{
	struct event ev = t->who;
	struct store_run row = { .id = t->run,
		.tenant = ev.tenant,
		.actor = ev.actor,
		.role = ev.role,
		.workflow = ev.workflow,
		.mode = STR(IMPORT_MODE),
		.status = STR(IMPORT_MODE),
		.steps = steps,
		.command = name,
		.closed_ns = t->t_ns > 0 ? t->t_ns : 1 };

	row.opened_ns = t->opened_ns;
	ev.kind = EVENT_RUN_CLOSED;
	ev.body = buf_str(&t->mark);
	ev.t_ns = t->t_ns;
	if (append(t, &ev) < 0)
		return -1;
	if (store_put_run(t->im->store, &row) < 0)
		return import_refused(t->im, t->e);
	t->im->runs++;
	t->im->last = t->run;
	if (t->im->on_run != NULL)
		t->im->on_run(t->im);
	return 0;
}

static int
members(struct transcripts *t, const struct json *o, struct member *list,
    size_t n, const char *what)
{
	if (!json_is(o, JSON_OBJECT))
		return err_set(t->e, "%s must be an object", what);
	for (const struct json *k = json_first(o); k != NULL;
	     k = json_next(o, k)) {
		size_t i = 0;

		while (i < n && !str_eq_c(json_str(k), list[i].name))
			i++;
		if (i == n)
			return err_set(t->e,
			    "`%.*s` is no member of %s: docs/TRACE.md has them",
			    STR_FMT(json_str(k)), what);
		list[i].value = json_value(k);
	}
	return 0;
}

static int
text_of(struct transcripts *t, const struct json *v, const char *what,
    bool needed, struct str *out)
{
	*out = json_str(v);
	if (v == NULL && !needed)
		return 0;
	if (!json_is(v, JSON_STRING) || out->n == 0 || out->n > NAME_MAX_BYTES)
		return err_set(t->e, "`%s` must be a text of 1 to %d bytes",
		    what, NAME_MAX_BYTES);
	return 0;
}

/* Of a run, and of a call that has one. */
static int
time_of(struct transcripts *t, const struct json *v, bool needed)
{
	uint64_t us = 0;

	if (v == NULL && !needed)
		return 0;
	if (json_u64(v, &us) < 0 || us > INT64_MAX / NS_PER_US)
		return err_set(
		    t->e, "`time` must be a number of microseconds since 1970");
	t->t_ns = (int64_t)us * NS_PER_US;
	return 0;
}

static int
append(struct transcripts *t, struct event *ev)
{
	if (t->blob.failed)
		return err_set(t->e, "arguments or a result are too long");
	if (store_append(t->im->store, ev) == 0)
		return import_refused(t->im, t->e);
	t->im->records++;
	return 0;
}
