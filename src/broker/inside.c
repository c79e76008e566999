#include "broker/inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/record.h"
#include "broker/who.h"
#include "codec/json.h"

struct grant {
	struct grant *next;
	uint64_t number;
	uint64_t call; /* the gateway's, that asked for it */
	const char *ended; /* the note that its end leaves */
	int64_t started_ns; /* monotonic */
};

/* What may be asked, by the member "do". */
struct deed {
	const char *name;
	const char *note; /* of its record; NULL: none, and grant 0 */
	const char *ended; /* of its end's; NULL: there is no end to wait for */
	struct str members[4]; /* that the record repeats, sorted */
};

static const struct deed exec_deeds[] = {
	{ "start", "command.started", "command.finished",
	    { STR("argv"), STR("background"), STR("cwd"), STR("tty") } },
	{ "signal", "command.signalled", NULL, { STR("exec"), STR("signal") } },
	{ "kill", "command.signalled", NULL, { STR("exec") } },
	{ "list", NULL, NULL, {} },
	{ "output", NULL, NULL, {} },
	{},
};

static const struct deed file_deeds[] = {
	{ "get", "file.read", "file.closed", { STR("path") } },
	{ "put", "file.written", "file.closed", { STR("path") } },
	{ "rm", "file.removed", NULL, { STR("path"), STR("recursive") } },
	{ "mkdir", "file.made", NULL, { STR("path") } },
	{ "rename", "file.renamed", NULL, { STR("from"), STR("to") } },
	{ "ls", NULL, NULL, {} },
	{ "stat", NULL, NULL, {} },
	{ "watch", NULL, NULL, {} },
	{},
};

static const struct deed port_deeds[] = {
	{ "connect", "port.opened", "port.closed", { STR("port") } },
	{ "request", "port.asked", "port.answered",
	    { STR("method"), STR("path"), STR("port") } },
	{},
};

static struct run *run_with_sandbox(uint64_t call, uint64_t run);
static const struct deed *deed_find(
    uint64_t call, const struct deed *deeds, const struct json *args);
static void allow(struct run *r, const char *by, uint64_t call,
    const struct deed *d, const struct json *args);
static uint64_t grant_new(struct run *r, uint64_t call, const char *ended);
static void record_start(struct run *r, const char *by, const struct deed *d,
    const struct json *args, uint64_t grant);
static void record_end(
    const struct run *r, const struct grant *g, const struct json *end);

void
inside_exec(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args)
{
	const struct deed *d = deed_find(call, exec_deeds, args);
	struct run *r = d != NULL ? run_with_sandbox(call, run) : NULL;

	if (r == NULL)
		return;
	if (d == &exec_deeds[0] &&
	    !inside_may_start(r, who->name, call, json_get(args, STR("argv"))))
		return;
	allow(r, who->name, call, d, args);
}

void
inside_file(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args)
{
	const struct deed *d = deed_find(call, file_deeds, args);
	struct run *r = d != NULL ? run_with_sandbox(call, run) : NULL;

	if (r != NULL)
		allow(r, who->name, call, d, args);
}

void
inside_port(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args)
{
	const struct deed *d = deed_find(call, port_deeds, args);
	struct run *r = d != NULL ? run_with_sandbox(call, run) : NULL;
	uint64_t port = 0;
	char text[160];

	if (r == NULL)
		return;
	if (json_u64(json_get(args, STR("port")), &port) == 0 &&
	    policy_port_decide(r->policy, port)) {
		allow(r, who->name, call, d, args);
		return;
	}
	(void)snprintf(text, sizeof(text),
	    "The policy does not open port %llu of the sandbox.",
	    (unsigned long long)port);
	reply_error(call, 403, "port_not_open", text,
	    "Name it in `sandbox.ports` of the policy; for a sandbox without "
	    "a policy, give `ports` when it is made.");
}

void
on_inside_done(const struct msg_inside_done *m, struct str payload)
{
	own_arena struct arena a = {};
	struct run *r = run_find(m->run);
	const struct json *end;
	struct err e = {};

	if (r == NULL)
		return;
	end = json_parse(payload, NULL, &a, &e, NULL);
	for (struct grant **p = &r->grants; *p != NULL; p = &(*p)->next) {
		struct grant *g = *p;

		if (g->number != m->grant)
			continue;
		box_touch(r);
		record_end(r, g, end);
		*p = g->next;
		r->n_grants--;
		free(g);
		return;
	}
}

void
inside_gone(uint64_t call)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (const struct grant *g = r->grants; g != NULL;
		     g = g->next) {
			const struct msg_inside_done m = {
				.run = r->id,
				.grant = g->number,
			};

			if (g->call != call)
				continue;
			on_inside_done(
			    &m, STR("{\"error\":\"who asked hung up\"}"));
			return;
		}
	}
}

bool
inside_may_start(
    struct run *r, const char *by, uint64_t call, const struct json *argv)
{
	struct str name = json_str(json_first(argv));
	const char *rule = "";
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};
	char text[256];

	if (policy_command_decide(r->policy, name, &rule))
		return true;
	buf_add_c(&body, "{\"argv\":");
	json_write(&body, argv);
	buf_add_c(&body, ",\"by\":");
	json_put_str(&body, str_of(by));
	buf_add_c(&body, ",\"note\":\"command.refused\",\"rule\":");
	json_put_str(&body, str_of(rule));
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	/* A run that is not open yet has no record to stand behind. */
	if (r->state == RUN_OPEN)
		(void)record_add(&ev); /* nothing was done: no reason to wait */
	(void)snprintf(text, sizeof(text),
	    "The policy (%s) is against the command %.*s.", rule,
	    (int)(name.n > 100 ? 100 : name.n), name.p);
	reply_error(call, 403, "command_blocked", text,
	    "Use a command that the policy allows.");
	return false;
}

void
inside_write_left(struct buf *out, const struct run *r)
{
	if (r->grants == NULL)
		return;
	for (const struct grant *g = r->grants; g != NULL; g = g->next) {
		buf_add_byte(out, g == r->grants ? '[' : ',');
		buf_add_u64(out, g->number);
	}
	buf_add_byte(out, ']');
}

void
inside_end_run(struct run *r)
{
	while (r->grants != NULL) {
		struct grant *g = r->grants;

		record_end(r, g, NULL);
		r->grants = g->next;
		free(g);
	}
	r->n_grants = 0;
}

void
inside_free_run(struct run *r)
{
	while (r->grants != NULL) {
		struct grant *g = r->grants;

		r->grants = g->next;
		free(g);
	}
}

/* NULL when call has been told why not. */
static struct run *
run_with_sandbox(uint64_t call, uint64_t run)
{
	struct run *r = run_find(run);

	if (r == NULL || r->state == RUN_CLOSED) {
		reply_error(call, 404, "unknown_run", "No such run is open.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
		return NULL;
	}
	if (r->state != RUN_OPEN) {
		reply_error(call, 409, "not_open",
		    r->state == RUN_OPENING ? "The run is still opening."
					    : "The run is ending.",
		    "Try again in a moment, or open another one.");
		return NULL;
	}
	if (r->rpc_fd < 0) {
		reply_error(call, 409, "no_sandbox",
		    "This run has no sandbox: its agent lives elsewhere.",
		    "Make a sandbox with `paddock sandbox create`.");
		return NULL;
	}
	if (r->box.paused) {
		reply_error(call, 409, "paused", "The run is paused.",
		    "Resume it first, with `paddock resume`.");
		return NULL;
	}
	box_touch(r);
	return r;
}

static const struct deed *
deed_find(uint64_t call, const struct deed *deeds, const struct json *args)
{
	struct str name = json_str(json_get(args, STR("do")));

	for (const struct deed *d = deeds; d->name != NULL; d++) {
		if (str_eq_c(name, d->name))
			return d;
	}
	reply_error(call, 400, "bad_request", "The member `do` is unknown.",
	    "Use the paths of docs/openapi.json.");
	return NULL;
}

uint64_t
inside_grant(struct run *r, const char *by, const struct json *command)
{
	const struct deed *d = &exec_deeds[0];
	uint64_t number = grant_new(r, 0, d->ended);

	if (number != 0)
		record_start(r, by, d, command, number);
	return number;
}

/* 0: as many are there as may be. */
static uint64_t
grant_new(struct run *r, uint64_t call, const char *ended)
{
	struct grant *g;

	if (r->n_grants >= INSIDE_MAX_GRANTS)
		return 0;
	g = calloc(1, sizeof(*g));
	must(g != NULL);
	g->number = ++broker.next_grant;
	g->call = call;
	g->ended = ended;
	g->started_ns = clock_mono_ns();
	g->next = r->grants;
	r->grants = g;
	r->n_grants++;
	return g->number;
}

static void
allow(struct run *r, const char *by, uint64_t call, const struct deed *d,
    const struct json *args)
{
	own_buf struct buf out = {};
	uint64_t number = 0;

	if (d->ended != NULL) {
		number = grant_new(r, call, d->ended);
		if (number == 0) {
			reply_error(call, 429, "too_many",
			    "As much is under way in this sandbox as may be.",
			    "Wait until some of it has ended.");
			return;
		}
	}
	buf_printf(&out, "{\"grant\":%llu,\"output_bytes\":%llu}",
	    (unsigned long long)number,
	    (unsigned long long)r->policy->sandbox.output_bytes);
	/* First, so that the record is written while the gateway works: it is
	 * in the queue before the next frame is read, and a broker that dies
	 * in between takes the sandbox along. */
	reply(call, REPLY_OK, 200, buf_str(&out));
	if (d->note != NULL)
		record_start(r, by, d, args, number);
}

/* {"argv":...,"by":...,"grant":...,"note":...}, as the deed has it. */
static void
record_start(struct run *r, const char *by, const struct deed *d,
    const struct json *args, uint64_t grant)
{
	const size_t n = sizeof(d->members) / sizeof(d->members[0]);
	struct event ev = record_of(r, EVENT_NOTE);
	own_arena struct arena a = {};
	own_buf struct buf text = {}, body = {};
	struct err e = {};

	buf_add_c(&text, "{\"by\":");
	json_put_str(&text, str_of(by));
	buf_printf(&text, ",\"note\":\"%s\"", d->note);
	if (grant != 0)
		buf_printf(&text, ",\"grant\":%llu", (unsigned long long)grant);
	for (size_t i = 0; i < n && d->members[i].n > 0; i++) {
		const struct json *v = json_get(args, d->members[i]);

		if (v == NULL)
			continue;
		buf_add_byte(&text, ',');
		json_put_str(&text, d->members[i]);
		buf_add_byte(&text, ':');
		json_write(&text, v);
	}
	buf_add_byte(&text, '}');
	json_write(&body, json_parse(buf_str(&text), NULL, &a, &e, NULL));
	ev.step = r->steps;
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* a full store is seen at the next call */
}

/* end NULL: the run ended first. */
static void
record_end(const struct run *r, const struct grant *g, const struct json *end)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};
	bool limited;
	uint64_t v;

	buf_add_byte(&body, '{');
	if (json_u64(json_get(end, STR("bytes")), &v) == 0)
		buf_printf(&body, "\"bytes\":%llu,", (unsigned long long)v);
	if (json_is(json_get(end, STR("error")), JSON_STRING)) {
		buf_add_c(&body, "\"error\":");
		json_put_str(&body, json_str(json_get(end, STR("error"))));
		buf_add_byte(&body, ',');
	} else if (end == NULL) {
		buf_add_c(&body, "\"error\":\"the run has ended\",");
	}
	if (json_u64(json_get(end, STR("exit_status")), &v) == 0)
		buf_printf(
		    &body, "\"exit_status\":%llu,", (unsigned long long)v);
	buf_printf(&body, "\"grant\":%llu,", (unsigned long long)g->number);
	limited = json_u64(json_get(end, STR("limit_bytes")), &v) == 0;
	if (limited)
		buf_printf(
		    &body, "\"limit_bytes\":%llu,", (unsigned long long)v);
	buf_printf(&body, "\"note\":\"%s\"", g->ended);
	if (json_is(json_get(end, STR("program")), JSON_STRING)) {
		buf_add_c(&body, ",\"program\":");
		json_put_str(&body, json_str(json_get(end, STR("program"))));
	}
	if (limited)
		buf_add_c(&body, ",\"reason\":\"output_limit\"");
	buf_add_byte(&body, '}');
	ev.step = r->steps;
	ev.ms = (clock_mono_ns() - g->started_ns) / 1000000;
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* a full store is seen at the next call */
}
