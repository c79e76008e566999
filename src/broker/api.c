#include "broker/api.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "broker/approval.h"
#include "broker/bearer.h"
#include "broker/box.h"
#include "broker/broker.h"
#include "broker/command.h"
#include "broker/fault.h"
#include "broker/follow.h"
#include "broker/inside.h"
#include "broker/kill.h"
#include "broker/pin.h"
#include "broker/retention.h"
#include "broker/run.h"
#include "broker/secret_api.h"
#include "broker/server.h"
#include "broker/snap.h"
#include "broker/subscribe.h"
#include "broker/token.h"
#include "broker/who.h"
#include "codec/json.h"
#include "core/id.h"
#include "core/rights.h"
#include "ipc/api.h"

struct request {
	const struct caller *who;
	uint64_t call;
	const struct json *args;
	const struct frame *frame;
	const struct hash *token; /* that it came with; zeros: none */
	uint64_t door_run; /* whose door it came by, by name; 0: by none */
	/* Of args.run, of that door, or the agent's own; 0: none named. */
	uint64_t run;
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
static void do_subscribe(const struct request *q);
static void do_unsubscribe(const struct request *q);
static void do_event_list(const struct request *q);
static void do_event_stream(const struct request *q);
static void do_approval_list(const struct request *q);
static void do_approval_get(const struct request *q);
static void do_approval_decide(const struct request *q);
static void do_approval_link(const struct request *q);
static void do_approval_stats(const struct request *q);
static void do_exec(const struct request *q);
static void do_file(const struct request *q);
static void do_port(const struct request *q);
static void do_pause(const struct request *q);
static void do_resume(const struct request *q);
static void do_stat(const struct request *q);
static void do_faults(const struct request *q);
static void do_snapshot(const struct request *q);
static void do_snapshot_list(const struct request *q);
static void do_snapshot_remove(const struct request *q);
static void do_snapshot_gc(const struct request *q);
static void do_secret_list(const struct request *q);
static void do_secret_check(const struct request *q);
static void do_secret_revoke(const struct request *q);
static void do_kill(const struct request *q);
static void do_token_create(const struct request *q);
static void do_token_list(const struct request *q);
static void do_token_revoke(const struct request *q);
static void do_retention_list(const struct request *q);
static void do_retention_set(const struct request *q);
static void do_pin_list(const struct request *q);
static void do_pin_get(const struct request *q);
static void do_pin_decide(const struct request *q);
static void do_mcp_door(const struct request *q);

static void (*const handlers[API_OPS])(const struct request *q) = {
	[API_HEALTH] = do_health,
	[API_RUN_OPEN] = do_run_open,
	[API_RUN_LIST] = do_run_list,
	[API_RUN_GET] = do_run_get,
	[API_RUN_WAIT] = do_run_wait,
	[API_RUN_STOP] = do_run_stop,
	[API_STOP_ALL] = do_stop_all,
	[API_TOOL_LIST] = do_tool_list,
	[API_SUBSCRIBE] = do_subscribe,
	[API_UNSUBSCRIBE] = do_unsubscribe,
	[API_EVENT_LIST] = do_event_list,
	[API_EVENT_STREAM] = do_event_stream,
	[API_APPROVAL_LIST] = do_approval_list,
	[API_APPROVAL_GET] = do_approval_get,
	[API_APPROVAL_DECIDE] = do_approval_decide,
	[API_APPROVAL_LINK] = do_approval_link,
	[API_APPROVAL_STATS] = do_approval_stats,
	[API_EXEC] = do_exec,
	[API_FILE] = do_file,
	[API_PORT] = do_port,
	[API_PAUSE] = do_pause,
	[API_RESUME] = do_resume,
	[API_STAT] = do_stat,
	[API_FAULTS] = do_faults,
	[API_SNAPSHOT] = do_snapshot,
	[API_SNAPSHOT_LIST] = do_snapshot_list,
	[API_SNAPSHOT_REMOVE] = do_snapshot_remove,
	[API_SNAPSHOT_GC] = do_snapshot_gc,
	[API_SECRET_LIST] = do_secret_list,
	[API_SECRET_CHECK] = do_secret_check,
	[API_SECRET_REVOKE] = do_secret_revoke,
	[API_KILL] = do_kill,
	[API_TOKEN_CREATE] = do_token_create,
	[API_TOKEN_LIST] = do_token_list,
	[API_TOKEN_REVOKE] = do_token_revoke,
	[API_RETENTION_LIST] = do_retention_list,
	[API_RETENTION_SET] = do_retention_set,
	[API_PIN_LIST] = do_pin_list,
	[API_PIN_GET] = do_pin_get,
	[API_PIN_DECIDE] = do_pin_decide,
	[API_MCP_DOOR] = do_mcp_door,
};

struct run_list {
	const struct caller *who;
	struct buf *out;
	struct str tag; /* "key=value" or "key" that it asks for; or "" */
};

static bool may(const struct caller *who, const struct api_rule *rule);
static void refuse(const struct request *q, const struct api_rule *rule);
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
	struct request q = { .who = &who,
		.call = m->call,
		.frame = f,
		.token = &m->token,
		.door_run = m->door != DOOR_RUN ? m->run : 0 };
	struct err e = {};
	const struct api_rule *rule;

	arena_reset(&arena);
	q.args = json_parse(f->payload, NULL, &arena, &e, NULL);
	if (!json_is(q.args, JSON_OBJECT) || m->op >= API_OPS) {
		reply_error(m->call, 400, "bad_request", e.text,
		    "Send an object; see docs/openapi.json.");
		return;
	}
	rule = api_rule((enum api_op)m->op);
	if (!may(&who, rule)) {
		refuse(&q, rule);
		return;
	}
	if (find_run(&q) < 0)
		return;
	if (rule->needs_run && q.run == 0) {
		reply_error(m->call, 400, "bad_request",
		    "The member `run` is missing.",
		    "Name a run, as in \"r-7k3m9q2v5w1x\".");
		return;
	}
	handlers[m->op](&q);
}

/* The one place where a request is held against what its asker may. */
static bool
may(const struct caller *who, const struct api_rule *rule)
{
	if (rule->scope.n == 0)
		return true;
	if (who->who == NULL)
		return who->known && rule->agent;
	return caller_may(who, rule->scope) &&
	    (who->approval == 0 || rule->by_link) &&
	    (!rule->all_tenants || caller_sees(who, RIGHTS_ALL_TENANTS));
}

static void
refuse(const struct request *q, const struct api_rule *rule)
{
	const char *fault = bearer_fault(q->token);
	char text[128], next[ERR_TEXT_BYTES + 32];

	(void)snprintf(text, sizeof(text), "You may not %s.", rule->name);
	if (!q->who->known && fault[0] != '\0')
		(void)snprintf(next, sizeof(next),
		    "Send a token that is good: %s.", fault);
	else if (!q->who->known)
		(void)snprintf(next, sizeof(next),
		    "Send a token that is good: `paddock token create`.");
	else if (q->who->who == NULL)
		(void)snprintf(next, sizeof(next), "Ask an operator.");
	else
		(void)snprintf(next, sizeof(next),
		    "It takes the scope %.*s%s. Ask an operator.",
		    STR_FMT(rule->scope),
		    rule->all_tenants ? " and the tenant *" : "");
	reply_error(q->call, q->who->known ? 403 : 401,
	    q->who->known ? "forbidden" : "unauthorized", text, next);
}

/* The run that is asked about. An agent can name its own only. */
static int
find_run(struct request *q)
{
	const struct json *named = json_get(q->args, STR("run"));

	q->run = q->door_run != 0 ? q->door_run : q->who->run;
	if (named == NULL && q->door_run == 0)
		return 0;
	if (named != NULL && id_parse('r', json_str(named), &q->run) < 0) {
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
	/* Another tenant's run is as unknown as none at all. */
	if (q->who->who != NULL && !caller_sees(q->who, RIGHTS_ALL_TENANTS) &&
	    !caller_sees_run(q->who, q->run)) {
		reply_error(q->call, 404, "unknown_run",
		    "There is no such run.",
		    "List runs with `paddock ps --all` or GET /v1/runs.");
		return -1;
	}
	return 0;
}

static void
do_health(const struct request *q)
{
	own_buf struct buf out = {};
	struct err why = {};
	unsigned n = 0;

	if (store_is_full(broker.store, &why)) {
		reply_error(q->call, 503, "store_full",
		    "The store has no room: nothing new begins until it has.",
		    "Make room where the daemon keeps its state; it goes on by "
		    "itself.");
		return;
	}
	/* What others do is nothing for who belongs to one tenant. */
	if (!caller_sees(q->who, RIGHTS_ALL_TENANTS)) {
		reply(q->call, REPLY_OK, 200, STR("{\"status\":\"ok\"}"));
		return;
	}
	/* One that has closed stays until its end is on disk. */
	for (const struct run *r = broker.runs; r != NULL; r = r->next)
		n += r->state != RUN_CLOSED;
	buf_printf(&out,
	    "{\"open_runs\":%u,\"records\":%llu,\"records_made\":%llu,"
	    "\"status\":\"ok\"}",
	    n, (unsigned long long)store_durable(broker.store),
	    (unsigned long long)store_made(broker.store));
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
		if ((r->state == RUN_CLOSED && !all) ||
		    !caller_sees(q->who, r->policy->identity.tenant))
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
		&(struct run_list){ q->who, &out, tag }, &e) < 0) {
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

	if (run_find(row->id) != NULL || !caller_sees(list->who, row->tenant))
		return true; /* listed already, and fresher; or not his */
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
		if (r->state == RUN_CLOSED ||
		    !caller_sees(q->who, r->policy->identity.tenant))
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
	struct run *r = run_find(q->run);

	struct str list = json_str(json_get(q->args, STR("list")));

	if (list.n == 0)
		list = STR("tools");
	if (r == NULL || !servers_hold_list(r, q->call, list, api_tool_list))
		api_tool_list(q->call, q->run, list);
}

static void
do_subscribe(const struct request *q)
{
	struct run *r = run_find(q->run);

	if (r == NULL ||
	    !servers_hold_list(r, q->call, q->frame->payload, subscribe))
		subscribe(q->call, q->run, q->frame->payload);
}

static void
do_unsubscribe(const struct request *q)
{
	unsubscribe(q->call, q->run, q->frame->payload);
}

void
api_tool_list(uint64_t call, uint64_t run, struct str list)
{
	own_buf struct buf out = {};
	const struct run *r = run_find(run);

	if (r == NULL) {
		reply_error(call, 404, "unknown_run", "No such run is open.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
		return;
	}
	if (!str_eq(list, STR("tools"))) {
		buf_add_byte(&out, '{');
		json_put_str(&out, list);
		buf_add_c(&out, ":[");
		servers_write_list(&out, r, list);
		buf_add_c(&out, "]}");
		reply(call, REPLY_OK, 200, buf_str(&out));
		return;
	}
	buf_add_c(&out, "{\"tools\":");
	if (r->listed.n > 0)
		buf_add(&out, r->listed.p, r->listed.n - 1); /* without "]" */
	else
		buf_add_byte(&out, '[');
	commands_write_tools(&out, r);
	servers_write_tools(&out, r);
	buf_add_c(&out, "]}");
	reply(call, REPLY_OK, 200, buf_str(&out));
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
	approval_list(q->who, q->call, q->args);
}

static void
do_approval_get(const struct request *q)
{
	approval_get(q->who, q->call, q->args);
}

static void
do_approval_decide(const struct request *q)
{
	approval_decide(q->who, q->call, q->args);
}

static void
do_approval_link(const struct request *q)
{
	approval_link(q->who, q->call, q->args);
}

static void
do_approval_stats(const struct request *q)
{
	approval_stats(q->who, q->call, q->args);
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
do_faults(const struct request *q)
{
	faults_api(q->who, q->call, run_find(q->run), q->args);
}

static void
do_snapshot(const struct request *q)
{
	snap_take(q->who, q->call, q->run);
}

static void
do_snapshot_list(const struct request *q)
{
	snap_list(q->call, q->run);
}

static void
do_snapshot_remove(const struct request *q)
{
	snap_remove(q->who, q->call, q->run, q->args);
}

static void
do_snapshot_gc(const struct request *q)
{
	snap_gc(q->call);
}

static void
do_secret_list(const struct request *q)
{
	secret_list(q->who, q->call, q->run);
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
do_kill(const struct request *q)
{
	kill_api(q->who, q->call, q->args);
}

static void
do_token_create(const struct request *q)
{
	token_create(q->who, q->call, q->args);
}

static void
do_token_list(const struct request *q)
{
	token_list(q->call);
}

static void
do_token_revoke(const struct request *q)
{
	token_revoke(q->who, q->call, q->args);
}

static void
do_retention_list(const struct request *q)
{
	retention_list(q->call);
}

static void
do_retention_set(const struct request *q)
{
	retention_set(q->who, q->call, q->args);
}

static void
do_pin_list(const struct request *q)
{
	pin_list(q->who, q->call, q->args);
}

static void
do_pin_get(const struct request *q)
{
	pin_get(q->who, q->call, q->args);
}

static void
do_pin_decide(const struct request *q)
{
	pin_decide(q->who, q->call, q->args);
}

/* Calls that come by it are held against their own scope, each. */
static void
do_mcp_door(const struct request *q)
{
	const struct run *r = run_find(q->run);

	if (r == NULL || r->state == RUN_CLOSED)
		reply_error(q->call, 404, "unknown_run", "No such run is open.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
	else
		reply(q->call, REPLY_OK, 200, STR("{}"));
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
