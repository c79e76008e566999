#include "broker/api.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "broker/approval.h"
#include "broker/box.h"
#include "broker/broker.h"
#include "broker/follow.h"
#include "broker/inside.h"
#include "broker/run.h"
#include "broker/secret_api.h"
#include "codec/json.h"
#include "core/id.h"

/* Who may ask: an operator, and for some things an agent about its own run. */
enum { MAY_OPERATOR = 1, MAY_AGENT = 2, MAY_ANYONE = 4 };

struct request {
	const struct caller *who;
	uint64_t call;
	const struct json *args;
	const struct frame *frame;
	uint64_t run; /* of args.run, or the agent's own; 0: none named */
};

/* Events that are being listed. */
struct page {
	struct buf *out;
	struct str kind; /* the start of the kinds that are wanted */
};

static void do_health(const struct request *q);
static void do_run_open(const struct request *q);
static void do_run_list(const struct request *q);
static void do_run_get(const struct request *q);
static void do_run_wait(const struct request *q);
static void do_run_stop(const struct request *q);
static void do_stop_all(const struct request *q);
static void do_tool_list(const struct request *q);
static void do_event_list(const struct request *q);
static void do_event_stream(const struct request *q);
static void do_approval_list(const struct request *q);
static void do_approval_get(const struct request *q);
static void do_approval_decide(const struct request *q);
static void do_exec(const struct request *q);
static void do_file(const struct request *q);
static void do_port(const struct request *q);
static void do_pause(const struct request *q);
static void do_resume(const struct request *q);
static void do_stat(const struct request *q);
static void do_secret_list(const struct request *q);
static void do_secret_check(const struct request *q);
static void do_secret_revoke(const struct request *q);

static const struct {
	const char *name; /* for people */
	unsigned may;
	bool needs_run;
	void (*handler)(const struct request *q);
} table[API_OPS] = {
	[API_HEALTH] = { "health", MAY_ANYONE, false, do_health },
	[API_RUN_OPEN] = { "open a run", MAY_OPERATOR, false, do_run_open },
	[API_RUN_LIST] = { "list runs", MAY_OPERATOR, false, do_run_list },
	[API_RUN_GET] = { "see a run", MAY_OPERATOR, true, do_run_get },
	[API_RUN_WAIT] = { "wait for a run", MAY_OPERATOR, true, do_run_wait },
	[API_RUN_STOP] = { "stop a run", MAY_OPERATOR, true, do_run_stop },
	[API_STOP_ALL] = { "stop all runs", MAY_OPERATOR, false, do_stop_all },
	[API_TOOL_LIST] = { "list tools", MAY_OPERATOR | MAY_AGENT, true,
	    do_tool_list },
	[API_EVENT_LIST] = { "read events", MAY_OPERATOR, true, do_event_list },
	[API_EVENT_STREAM] = { "follow events", MAY_OPERATOR, true,
	    do_event_stream },
	[API_APPROVAL_LIST] = { "list approvals", MAY_OPERATOR, false,
	    do_approval_list },
	[API_APPROVAL_GET] = { "see an approval", MAY_OPERATOR, false,
	    do_approval_get },
	[API_APPROVAL_DECIDE] = { "decide an approval", MAY_OPERATOR, false,
	    do_approval_decide },
	[API_EXEC] = { "run a command in a sandbox", MAY_OPERATOR, true,
	    do_exec },
	[API_FILE] = { "touch files of a sandbox", MAY_OPERATOR, true,
	    do_file },
	[API_PORT] = { "reach a port of a sandbox", MAY_OPERATOR, true,
	    do_port },
	[API_PAUSE] = { "pause a sandbox", MAY_OPERATOR, true, do_pause },
	[API_RESUME] = { "resume a sandbox", MAY_OPERATOR, true, do_resume },
	[API_STAT] = { "measure a sandbox", MAY_OPERATOR, true, do_stat },
	[API_SECRET_LIST] = { "list secrets", MAY_OPERATOR, false,
	    do_secret_list },
	[API_SECRET_CHECK] = { "check a secret", MAY_OPERATOR, false,
	    do_secret_check },
	[API_SECRET_REVOKE] = { "revoke a secret", MAY_OPERATOR, false,
	    do_secret_revoke },
};

struct run_list {
	struct buf *out;
	struct str tag; /* "key=value" or "key" that it asks for; or "" */
};

static int find_run(struct request *q);
static bool on_run_row(void *arg, const struct store_run *row);
static bool on_event_row(void *arg, const struct store_row *row);
static void begin_list(struct buf *out, const char *name);
static void add_item(struct buf *out);

void
on_api(const struct msg_api *m, const struct frame *f)
{
	static struct arena arena; /* one request at a time */
	struct caller who =
	    caller_of((enum door)m->door, m->uid, m->run, &m->token);
	struct request q = { .who = &who, .call = m->call, .frame = f };
	struct err e = {};
	unsigned rights = MAY_ANYONE;

	arena_reset(&arena);
	q.args = json_parse(f->payload, NULL, &arena, &e, NULL);
	if (!json_is(q.args, JSON_OBJECT) || m->op >= API_OPS) {
		reply_error(m->call, 400, "bad_request", e.text,
		    "Send an object; see docs/openapi.json.");
		return;
	}
	if (who.known)
		rights |= who.run == 0 ? MAY_OPERATOR : MAY_AGENT;
	if ((table[m->op].may & rights) == 0) {
		char text[128];

		(void)snprintf(
		    text, sizeof(text), "You may not %s.", table[m->op].name);
		reply_error(m->call, who.known ? 403 : 401,
		    who.known ? "forbidden" : "unauthorized", text,
		    who.known ? "Ask an operator."
			      : "Send the operator's or the run's token.");
		return;
	}
	if (find_run(&q) < 0)
		return;
	if (table[m->op].needs_run && q.run == 0) {
		reply_error(m->call, 400, "bad_request",
		    "The member `run` is missing.",
		    "Name a run, as in \"r-7k3m9q2v5w1x\".");
		return;
	}
	table[m->op].handler(&q);
}

struct caller
caller_of(enum door door, uint32_t uid, uint64_t run, const struct hash *token)
{
	struct caller c = { .door = door };
	const struct run *r = NULL;

	if (door == DOOR_UNIX) {
		/* The socket's mode let only its owner and root in. As root
		 * the owner is root, and we are not. */
		c.known = uid == 0 || uid == getuid();
		(void)snprintf(c.name, sizeof(c.name), "uid:%u", uid);
		return c;
	}
	if (door == DOOR_TOKEN && hash_eq(token, &broker.operator_token)) {
		c.known = true;
		(void)snprintf(c.name, sizeof(c.name), "operator-token");
		return c;
	}
	if (door == DOOR_TOKEN)
		r = run_find_token(token);
	else if (door == DOOR_RUN)
		r = run_find(run);
	c.run = r != NULL ? r->id : 0;
	c.known = r != NULL;
	if (r != NULL)
		(void)snprintf(c.name, sizeof(c.name), "%.*s",
		    STR_FMT(r->policy->identity.actor));
	return c;
}

/* The run that is asked about. An agent can name its own only. */
static int
find_run(struct request *q)
{
	const struct json *named = json_get(q->args, STR("run"));

	q->run = q->who->run;
	if (named == NULL)
		return 0;
	if (id_parse('r', json_str(named), &q->run) < 0) {
		reply_error(q->call, 400, "bad_request",
		    "The member `run` is not the name of a run.",
		    "A run looks like \"r-7k3m9q2v5w1x\"; `paddock ps --all` "
		    "lists them.");
		return -1;
	}
	if (q->who->run != 0 && q->run != q->who->run) {
		reply_error(q->call, 403, "forbidden",
		    "That is not your own run.", "Leave `run` out.");
		return -1;
	}
	return 0;
}

static void
do_health(const struct request *q)
{
	own_buf struct buf out = {};
	unsigned n = 0;

	/* One that has closed stays until its end is on disk. */
	for (const struct run *r = broker.runs; r != NULL; r = r->next)
		n += r->state != RUN_CLOSED;
	buf_printf(&out,
	    "{\"open_runs\":%u,\"records\":%llu,\"status\":\"ok\"}", n,
	    (unsigned long long)store_durable(broker.store));
	reply(q->call, REPLY_OK, 200, buf_str(&out));
}

static void
do_run_open(const struct request *q)
{
	run_open(q->who, q->call, q->args, q->frame);
}

static void
do_run_list(const struct request *q)
{
	own_buf struct buf out = {};
	uint64_t limit = 100;
	bool all = json_bool(json_get(q->args, STR("all")), false);
	struct str tag = json_str(json_get(q->args, STR("tag")));
	bool sandboxes = json_bool(json_get(q->args, STR("sandboxes")), false);
	struct err e = {};

	if (json_u64(json_get(q->args, STR("limit")), &limit) < 0 ||
	    limit > 1000)
		limit = 100;
	begin_list(&out, "runs");
	for (const struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->state == RUN_CLOSED && !all)
			continue;
		if (sandboxes && (!r->has_sandbox || r->state == RUN_CLOSED))
			continue;
		if (tag.n > 0 && !box_tags_have(buf_str(&r->box.tags), tag))
			continue;
		add_item(&out);
		run_write(&out, r);
	}
	if (all &&
	    store_runs(broker.store, 0, false, (uint32_t)limit, on_run_row,
		&(struct run_list){ &out, tag }, &e) < 0) {
		reply_error(q->call, 500, "store_failed", e.text,
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	buf_add_c(&out, "]}");
	reply(q->call, REPLY_OK, 200, buf_str(&out));
}

static bool
on_run_row(void *arg, const struct store_run *row)
{
	const struct run_list *list = arg;

	if (run_find(row->id) != NULL)
		return true; /* listed already, and fresher */
	if (list->tag.n > 0) {
		own_buf struct buf tags = {}, image = {};

		box_opened_read(row->id, &tags, &image);
		if (!box_tags_have(buf_str(&tags), list->tag))
			return true;
	}
	add_item(list->out);
	run_row_write(list->out, row);
	return true;
}

static void
do_run_get(const struct request *q)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *now =
	    json_parse(STR("{\"timeout_ms\":0}"), NULL, &a, &e, NULL);

	follow_end(q->call, q->run, now);
}

static void
do_run_wait(const struct request *q)
{
	follow_end(q->call, q->run, q->args);
}

static void
do_run_stop(const struct request *q)
{
	struct run *r = run_find(q->run);
	own_buf struct buf out = {};
	struct str reason = json_str(json_get(q->args, STR("reason")));
	uint64_t grace_ms = 0;
	char text[64];

	if (r == NULL || r->state == RUN_CLOSED) {
		reply_error(q->call, 404, "unknown_run", "No such run is open.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
		return;
	}
	if (reason.n == 0 || str_copy(reason, text, sizeof(text)) < 0)
		(void)strncpy(text, "stopped_by_operator", sizeof(text));
	if (json_u64(json_get(q->args, STR("grace_ms")), &grace_ms) < 0)
		grace_ms = 0;
	if (grace_ms > RUN_STOP_GRACE_MAX_MS)
		grace_ms = RUN_STOP_GRACE_MAX_MS;
	box_stop(r, text, grace_ms);
	run_write(&out, r);
	reply(q->call, REPLY_OK, 200, buf_str(&out));
}

static void
do_stop_all(const struct request *q)
{
	own_buf struct buf out = {};
	unsigned n = 0;
	struct run *next;

	for (struct run *r = broker.runs; r != NULL; r = next) {
		next = r->next;
		if (r->state == RUN_CLOSED)
			continue;
		run_stop(r, "stopped_by_operator", STR(""), true);
		n++;
	}
	buf_printf(&out, "{\"stopped\":%u}", n);
	reply(q->call, REPLY_OK, 200, buf_str(&out));
}

static void
do_tool_list(const struct request *q)
{
	own_buf struct buf out = {};
	const struct run *r = run_find(q->run);

	if (r == NULL) {
		reply_error(q->call, 404, "unknown_run", "No such run is open.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
		return;
	}
	buf_add_c(&out, "{\"tools\":");
	buf_add_str(&out, r->listed.n > 0 ? buf_str(&r->listed) : STR("[]"));
	buf_add_byte(&out, '}');
	reply(q->call, REPLY_OK, 200, buf_str(&out));
}

static void
do_event_list(const struct request *q)
{
	own_buf struct buf out = {};
	struct page page = { .out = &out,
		.kind = json_str(json_get(q->args, STR("kind"))) };
	uint64_t from = 0, limit = 200;
	struct err e = {};

	if (json_u64(json_get(q->args, STR("from")), &from) < 0 ||
	    from > UINT32_MAX)
		from = 0;
	if (json_u64(json_get(q->args, STR("limit")), &limit) < 0 ||
	    limit > 1000)
		limit = 200;
	begin_list(&out, "events");
	if (store_events(broker.store, q->run, (uint32_t)from, (uint32_t)limit,
		on_event_row, &page, &e) < 0) {
		reply_error(q->call, 500, "store_failed", e.text,
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	buf_add_c(&out, "]}");
	reply(q->call, REPLY_OK, 200, buf_str(&out));
}

static bool
on_event_row(void *arg, const struct store_row *row)
{
	struct page *page = arg;

	if (!str_starts(str_of(event_kind_name(row->kind)), page->kind))
		return true;
	add_item(page->out);
	buf_add_str(page->out, row->body);
	return true;
}

static void
do_event_stream(const struct request *q)
{
	follow_events(q->call, q->run, q->args);
}

static void
do_approval_list(const struct request *q)
{
	approval_list(q->call, q->args);
}

static void
do_approval_get(const struct request *q)
{
	approval_get(q->call, q->args);
}

static void
do_approval_decide(const struct request *q)
{
	approval_decide(q->who, q->call, q->args);
}

static void
do_exec(const struct request *q)
{
	inside_exec(q->who, q->call, q->run, q->args);
}

static void
do_file(const struct request *q)
{
	inside_file(q->who, q->call, q->run, q->args);
}

static void
do_port(const struct request *q)
{
	inside_port(q->who, q->call, q->run, q->args);
}

static void
do_pause(const struct request *q)
{
	box_ask(q->who, q->call, q->run, ASK_FREEZE);
}

static void
do_resume(const struct request *q)
{
	box_ask(q->who, q->call, q->run, ASK_THAW);
}

static void
do_stat(const struct request *q)
{
	box_ask(q->who, q->call, q->run, ASK_STAT);
}

static void
do_secret_list(const struct request *q)
{
	secret_list(q->call, q->run);
}

static void
do_secret_check(const struct request *q)
{
	secret_check(q->call, q->args);
}

static void
do_secret_revoke(const struct request *q)
{
	secret_revoke(q->who, q->call, q->run, q->args);
}

static void
begin_list(struct buf *out, const char *name)
{
	buf_printf(out, "{\"%s\":[", name);
}

/* A comma, unless the list has just begun. */
static void
add_item(struct buf *out)
{
	if (out->n > 0 && out->p[out->n - 1] != '[')
		buf_add_byte(out, ',');
}
