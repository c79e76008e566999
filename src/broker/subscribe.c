#include "broker/subscribe.h"

#include <stdlib.h>

#include "base/must.h"
#include "broker/call_int.h"
#include "broker/record.h"
#include "broker/server_int.h"

/* One request, until each of its resources is settled. */
struct sub_ask {
	uint64_t call;
	uint64_t run;
	uint64_t holder;
	uint32_t waiting; /* resources that a server is asked about */
	struct buf refused; /* {...},{...} */
};

struct sub {
	struct sub *next;
	uint64_t run;
	struct tool_server *server;
	struct buf uri;
	uint64_t holder;
	uint64_t number; /* of the question to the server; 0: none */
	struct sub_ask *ask; /* that waits for it; NULL: it is open */
};

static struct sub *subs; /* of all runs */

static void begin(struct run *r, struct sub_ask *ask, const struct json *uri);
static const char *refusal(struct run *r, struct sub_ask *ask, struct str uri,
    struct tool_server **server);
static bool may_read(struct run *r, const struct tool_server *s, struct str uri,
    struct verdict *v);
static struct sub *find(const struct run *r, uint64_t holder, struct str uri);
static struct sub *peer_of(const struct sub *sub);
static uint64_t ask_server(const struct sub *sub, enum server_ask what);
static struct sub_ask *open_one(struct sub *sub);
static void refuse(struct run *r, struct sub_ask *ask,
    const struct tool_server *s, struct str uri, const char *code,
    struct str reason);
static void settled(struct sub_ask *ask);
static void answer(struct sub_ask *ask);
static void drop(struct sub *sub, const char *why);
static void tell(struct run *r, struct sub *sub);
static void note(const struct run *r, const struct tool_server *s,
    struct str uri, const char *state, const char *code, struct str why);
static const struct json *parse(struct arena *a, struct str text);

void
subscribe(uint64_t call, uint64_t run, struct str payload)
{
	own_arena struct arena a = {};
	const struct json *args = parse(&a, payload);
	const struct json *uris = json_get(args, STR("uris"));
	struct run *r = run_find(run);
	struct sub_ask *ask;

	if (r == NULL || (r->state != RUN_OPEN && r->state != RUN_OPENING)) {
		reply_error(call, 404, "unknown_run", "No such run is open.",
		    "List open runs with `paddock ps` or GET /v1/runs.");
		return;
	}
	if (!json_is(uris, JSON_ARRAY) || uris->n > SUBSCRIPTIONS_MAX) {
		reply_error(call, 400, "bad_request",
		    "A client can be told of 64 resources.",
		    "Send fewer URIs.");
		return;
	}
	ask = calloc(1, sizeof(*ask));
	must(ask != NULL);
	ask->call = ask->holder = call;
	ask->run = run;
	(void)json_u64(json_get(args, STR("holder")), &ask->holder);
	ask->waiting = 1; /* until all have been looked at */
	for (const struct json *u = json_first(uris); u != NULL;
	     u = json_next(uris, u))
		begin(r, ask, u);
	settled(ask);
}

void
unsubscribe(uint64_t call, uint64_t run, struct str payload)
{
	own_arena struct arena a = {};
	const struct json *args = parse(&a, payload);
	const struct json *uris = json_get(args, STR("uris"));
	const struct run *r = run_find(run);
	uint64_t holder;

	if (r != NULL && json_is(uris, JSON_ARRAY) &&
	    json_u64(json_get(args, STR("holder")), &holder) == 0) {
		for (const struct json *u = json_first(uris); u != NULL;
		     u = json_next(uris, u)) {
			struct sub *sub = find(r, holder, json_str(u));

			if (sub != NULL && sub->ask == NULL)
				drop(sub, "the client wants no more of it");
		}
	}
	reply(call, REPLY_OK, 200, STR("{\"refused\":[],\"uris\":[]}"));
}

void
subscribe_gone(uint64_t number)
{
	struct sub *next;

	for (struct sub *sub = subs; sub != NULL; sub = next) {
		next = sub->next;
		if (sub->ask != NULL && sub->ask->call == number)
			sub->ask->call = 0;
		if (sub->holder == number)
			drop(sub, "the client has gone");
	}
}

void
subscribe_gateway_lost(void)
{
	while (subs != NULL) {
		if (subs->ask != NULL)
			subs->ask->call = 0;
		drop(subs, "the role that speaks to clients ended");
	}
}

bool
subscribe_result(const struct msg_server_result *m, struct str payload)
{
	own_arena struct arena a = {};
	const struct json *why = parse(&a, payload);
	bool any = false;
	struct sub *next;

	for (struct sub *sub = subs; sub != NULL; sub = next) {
		struct run *r = run_find(sub->run);

		next = sub->next;
		if (sub->number != m->call || m->call == 0)
			continue;
		must(r != NULL); /* its subscriptions end with it */
		any = true;
		sub->number = 0;
		if (m->kind == SERVER_DONE && sub->ask != NULL) {
			settled(open_one(sub));
		} else if (m->kind == SERVER_DONE) {
			tell(r, sub); /* it may have changed meanwhile */
		} else if (sub->ask != NULL) {
			refuse(r, sub->ask, sub->server, buf_str(&sub->uri),
			    "not_supported",
			    json_str(json_get(why, STR("error"))));
			drop(sub, NULL);
		} else {
			drop(sub,
			    "the tool server, started again, does not tell");
		}
	}
	return any;
}

void
on_server_updated(const struct msg_server *m, struct str uri)
{
	struct run *r = NULL;
	const struct tool_server *s = server_find(m->server, &r);
	struct sub *next;

	if (s == NULL || (r->state != RUN_OPEN && r->state != RUN_OPENING))
		return;
	for (struct sub *sub = subs; sub != NULL; sub = next) {
		next = sub->next;
		if (sub->server == s && sub->ask == NULL &&
		    str_eq(buf_str(&sub->uri), uri))
			tell(r, sub);
	}
}

void
subscribe_server_ready(struct tool_server *s)
{
	for (struct sub *sub = subs; sub != NULL; sub = sub->next) {
		const struct sub *other;

		if (sub->server != s || sub->number != 0)
			continue;
		other = peer_of(sub);
		sub->number = other != NULL && other->number != 0
		    ? other->number
		    : ask_server(sub, SERVER_ASK_SUBSCRIBE);
	}
}

void
subscribe_server_down(struct tool_server *s, bool stays)
{
	struct sub *next;

	for (struct sub *sub = subs; sub != NULL; sub = next) {
		next = sub->next;
		if (sub->server != s)
			continue;
		sub->number = 0;
		if (sub->ask != NULL) {
			refuse(run_find(sub->run), sub->ask, s,
			    buf_str(&sub->uri), "server_ended",
			    STR("The tool server ended before it agreed."));
			drop(sub, NULL);
		} else if (!stays) {
			drop(sub, "the tool server ended");
		}
	}
}

void
subscribe_end_run(struct run *r)
{
	struct sub *next;

	for (struct sub *sub = subs; sub != NULL; sub = next) {
		next = sub->next;
		if (sub->run != r->id)
			continue;
		if (sub->ask != NULL)
			refuse(r, sub->ask, sub->server, buf_str(&sub->uri),
			    "run_closed", STR("The run has ended."));
		drop(sub, "the run ended");
	}
}

/* One resource of a request. */
static void
begin(struct run *r, struct sub_ask *ask, const struct json *uri)
{
	struct tool_server *s = NULL;
	const struct sub *other;
	struct sub *sub;

	if (find(r, ask->holder, json_str(uri)) != NULL)
		return; /* it has that */
	if (refusal(r, ask, json_str(uri), &s) != NULL)
		return;
	sub = calloc(1, sizeof(*sub));
	must(sub != NULL);
	sub->run = r->id;
	sub->server = s;
	buf_add_str(&sub->uri, json_str(uri));
	sub->holder = ask->holder;
	sub->ask = ask;
	sub->next = subs;
	subs = sub;
	r->n_subscribed++;
	other = peer_of(sub);
	if (other != NULL && other->ask == NULL) {
		(void)open_one(sub);
		return;
	}
	ask->waiting++;
	sub->number = other != NULL ? other->number
				    : ask_server(sub, SERVER_ASK_SUBSCRIBE);
}

/* NULL: it may be told. Else it has been put on the list of the refused. */
static const char *
refusal(struct run *r, struct sub_ask *ask, struct str uri,
    struct tool_server **server)
{
	static struct verdict v; /* large, and used for one at a time */
	const char *code = "not_found";
	struct str why = STR("No tool server of the run has this resource.");
	struct tool_server *s = server_of_uri(r, uri);

	v.code[0] = '\0';
	if (r->subscribes++ >= SUBSCRIPTIONS_MADE_MAX) {
		code = "too_many";
		why = STR("The run has made as many subscriptions as it may.");
	} else if (r->n_subscribed >= SUBSCRIPTIONS_MAX) {
		code = "too_many";
		why = STR("The run's clients are told of as many resources as "
			  "they can be: end another subscription.");
	} else if (uri.n == 0 || uri.n > SERVER_URI_BYTES || s == NULL) {
		uri.n = uri.n > SERVER_URI_BYTES ? SERVER_URI_BYTES : uri.n;
	} else if (!may_read(r, s, uri, &v)) {
		code = v.code;
		why = v.n_reasons > 0 ? str_of(v.reasons[0]) : STR("refused");
		if (v.kind != VERDICT_BLOCK) {
			code = "not_at_once";
			why = STR("The resource may not be read at once and "
				  "as it is, so nobody is told when it "
				  "changes.");
		}
	} else if (s->state != SERVER_READY) {
		code = "server_ended";
		why = STR("The tool server is not there; try again later.");
	} else {
		*server = s;
		return NULL;
	}
	refuse(r, ask, s, uri, code, why);
	return code;
}

/* Whether reading it now would be allowed, without a person or a draft. */
static bool
may_read(struct run *r, const struct tool_server *s, struct str uri,
    struct verdict *v)
{
	own_arena struct arena a = {};
	own_buf struct buf tool = {}, args = {};

	buf_add_str(&tool, s->row->name);
	buf_add_c(&tool, "/resources");
	buf_add_c(&args, "{\"uri\":");
	json_put_str(&args, uri);
	buf_add_byte(&args, '}');
	call_decide(r, buf_str(&tool), parse(&a, buf_str(&args)), v);
	return v->kind == VERDICT_ALLOW;
}

static struct sub *
find(const struct run *r, uint64_t holder, struct str uri)
{
	struct sub *sub = subs;

	while (sub != NULL &&
	    (sub->run != r->id || sub->holder != holder ||
		!str_eq(buf_str(&sub->uri), uri)))
		sub = sub->next;
	return sub;
}

/* Another one to the same resource, best one that is open; or NULL. */
static struct sub *
peer_of(const struct sub *sub)
{
	struct sub *found = NULL;

	for (struct sub *o = subs; o != NULL; o = o->next) {
		if (o == sub || o->server != sub->server ||
		    !str_eq(buf_str(&o->uri), buf_str(&sub->uri)))
			continue;
		if (found == NULL || o->ask == NULL)
			found = o;
	}
	return found;
}

static uint64_t
ask_server(const struct sub *sub, enum server_ask what)
{
	const struct tool_server *s = sub->server;
	struct msg_server_call m = { .server = s->id,
		.call = ++broker.next_call,
		.timeout_ms = SUBSCRIBE_MS,
		.ask = what };
	own_buf struct buf params = {};

	buf_add_c(&params, "{\"uri\":");
	json_put_str(&params, buf_str(&sub->uri));
	buf_add_byte(&params, '}');
	(void)peer_send(&broker.tools, MSG_SERVER_CALL, &m, buf_str(&params),
	    NULL, 0); /* a role that is gone ends its servers */
	return m.call;
}

/* What asked for it has one less to wait for. */
static struct sub_ask *
open_one(struct sub *sub)
{
	struct sub_ask *ask = sub->ask;

	sub->ask = NULL;
	note(run_find(sub->run), sub->server, buf_str(&sub->uri), "open", NULL,
	    STR(""));
	return ask;
}

static void
refuse(struct run *r, struct sub_ask *ask, const struct tool_server *s,
    struct str uri, const char *code, struct str reason)
{
	must(r != NULL); /* its subscriptions end with it */
	buf_add_c(&ask->refused, ask->refused.n > 0 ? "," : "");
	buf_add_c(&ask->refused, "{\"code\":");
	json_put_str(&ask->refused, str_of(code));
	buf_add_c(&ask->refused, ",\"reason\":");
	json_put_str(&ask->refused, reason);
	buf_add_c(&ask->refused, ",\"uri\":");
	json_put_str(&ask->refused, uri);
	buf_add_byte(&ask->refused, '}');
	/* That there were too many is said once. */
	if (r->subscribes <= SUBSCRIPTIONS_MADE_MAX + 1)
		note(r, s, uri, "refused", code, reason);
}

static void
settled(struct sub_ask *ask)
{
	if (--ask->waiting > 0)
		return;
	answer(ask);
	buf_fini(&ask->refused);
	free(ask);
}

static void
answer(struct sub_ask *ask)
{
	own_buf struct buf out = {};
	bool any = false;

	buf_add_c(&out, "{\"refused\":[");
	buf_add_str(&out, buf_str(&ask->refused));
	buf_add_c(&out, "],\"uris\":[");
	for (const struct sub *sub = subs; sub != NULL; sub = sub->next) {
		if (sub->run != ask->run || sub->holder != ask->holder ||
		    sub->ask != NULL)
			continue;
		buf_add_c(&out, any ? "," : "");
		any = true;
		json_put_str(&out, buf_str(&sub->uri));
	}
	buf_add_c(&out, "]}");
	reply(ask->call, REPLY_OK, 200, buf_str(&out));
}

/* why: for the record; NULL: it has one already. */
static void
drop(struct sub *sub, const char *why)
{
	struct run *r = run_find(sub->run);
	struct sub **at = &subs;

	must(r != NULL && r->n_subscribed > 0);
	while (*at != sub)
		at = &(*at)->next;
	*at = sub->next;
	r->n_subscribed--;
	if (sub->ask == NULL && why != NULL)
		note(r, sub->server, buf_str(&sub->uri), "closed", NULL,
		    str_of(why));
	if (peer_of(sub) == NULL && sub->server->state == SERVER_READY)
		(void)ask_server(sub, SERVER_ASK_UNSUBSCRIBE);
	if (sub->ask != NULL)
		settled(sub->ask);
	buf_fini(&sub->uri);
	free(sub);
}

/* The policy has the last word each time: a run's labels grow. */
static void
tell(struct run *r, struct sub *sub)
{
	static struct verdict v; /* large, and used for one at a time */
	const struct msg_event ev = { .call = sub->holder };
	struct event record = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {}, payload = {};

	if (!may_read(r, sub->server, buf_str(&sub->uri), &v)) {
		drop(sub, "the policy no longer lets it be read at once");
		return;
	}
	if (r->told >= SUBSCRIPTIONS_TOLD_MAX) {
		drop(sub, "the run was told as often as it may be");
		return;
	}
	r->told++;
	buf_add_c(&body, "{\"note\":\"resource_updated\",\"server\":");
	json_put_str(&body, sub->server->row->name);
	buf_add_c(&body, ",\"uri\":");
	json_put_str(&body, buf_str(&sub->uri));
	buf_add_byte(&body, '}');
	record.body = buf_str(&body);
	if (record_add(&record) == 0)
		return; /* what is not on the record is not told */
	buf_add_c(&payload, "{\"uri\":");
	json_put_str(&payload, buf_str(&sub->uri));
	buf_add_byte(&payload, '}');
	(void)peer_send(&broker.gateway, MSG_EVENT, &ev, buf_str(&payload),
	    NULL, 0); /* a gateway that is gone has no client */
}

static void
note(const struct run *r, const struct tool_server *s, struct str uri,
    const char *state, const char *code, struct str why)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};

	buf_add_byte(&body, '{');
	if (code != NULL) {
		buf_add_c(&body, "\"code\":");
		json_put_str(&body, str_of(code));
		buf_add_byte(&body, ',');
	}
	buf_add_c(&body, "\"note\":\"subscription\"");
	if (s != NULL) {
		buf_add_c(&body, ",\"server\":");
		json_put_str(&body, s->row->name);
	}
	buf_printf(&body, ",\"state\":\"%s\",\"uri\":", state);
	json_put_str(&body, uri);
	if (why.n > 0) {
		buf_add_c(&body, ",\"why\":");
		json_put_str(&body, why);
	}
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* it has no effect of its own */
}

static const struct json *
parse(struct arena *a, struct str text)
{
	struct err e = {};

	return json_parse(text, NULL, a, &e, NULL);
}
