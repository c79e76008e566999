#include "gateway/pending.h"

#include "base/must.h"
#include "gateway/answer.h"
#include "gateway/mcp.h"
#include "gateway/output.h"
#include "gateway/rest.h"

enum { SLOT_BITS = 16, NO_SLOT = (1 << SLOT_BITS) - 1 };
_Static_assert(
    (int)CLIENTS_MAX < (int)NO_SLOT, "a slot fits in a call's number");

#define NS_PER_MS 1000000

static void on_time(struct loop_timer *t);
static uint64_t number_take(struct client *cl);
static struct client *client_find(struct gateway *g, uint64_t call);

void
pending_init(struct client *cl)
{
	cl->pending.timer.on_time = on_time;
	cl->pending.id.max = (size_t)8 * MCP_MAX_ID_BYTES;
	cl->pending.uri.max = (size_t)8 * SERVER_URI_BYTES;
	cl->pending.progress_token.max = (size_t)8 * MCP_MAX_ID_BYTES;
}

struct pending *
pending_begin(struct client *cl, enum question what)
{
	struct pending *p = &cl->pending;

	must(p->what == ASK_NOTHING);
	p->what = what;
	p->call = 0;
	p->modern = p->streaming = false;
	p->takes_json = p->takes_stream = false;
	p->plain = p->keeps = false;
	p->progress = 0;
	p->told = false;
	p->wants = 0;
	p->acknowledged = false;
	p->session = NULL;
	p->run = 0;
	buf_reset(&p->id);
	buf_reset(&p->uri);
	buf_reset(&p->progress_token);
	return p;
}

int
pending_call(struct client *cl, uint64_t run)
{
	struct gateway *g = cl->gateway;
	struct msg_tool_call m = {
		.call = number_take(cl),
		.run = run,
		.token = cl->caller.token,
		.uid = cl->caller.uid,
		.door = cl->caller.door,
	};

	if (g->payload.failed || g->payload.n > IPC_MAX_PAYLOAD_BYTES ||
	    peer_send(&g->broker, MSG_TOOL_CALL, &m, buf_str(&g->payload), NULL,
		0) < 0)
		return -1;
	cl->pending.call = m.call;
	return 0;
}

int
pending_api(struct client *cl, enum api_op op, const int *fds, size_t n_fds)
{
	struct gateway *g = cl->gateway;
	struct msg_api m = {
		.call = number_take(cl),
		.run = cl->caller.run,
		.token = cl->caller.token,
		.uid = cl->caller.uid,
		.door = cl->caller.door,
		.op = op,
		.fds = (uint32_t)n_fds,
	};

	if (g->payload.failed || g->payload.n > IPC_MAX_PAYLOAD_BYTES ||
	    peer_send(
		&g->broker, MSG_API, &m, buf_str(&g->payload), fds, n_fds) < 0)
		return -1;
	cl->pending.call = m.call;
	return 0;
}

void
pending_end(struct client *cl)
{
	loop_timer_clear(cl->gateway->loop, &cl->pending.timer);
	cl->pending.what = ASK_NOTHING;
	cl->pending.call = 0;
	cl->pending.session = NULL;
}

void
pending_cancel(struct client *cl)
{
	struct msg_gone m = { .call = cl->pending.call };

	if (m.call != 0)
		(void)peer_send(&cl->gateway->broker, MSG_CANCEL, &m, STR(""),
		    NULL, 0); /* without a broker there is nobody to tell */
	pending_abandon(cl);
}

void
pending_abandon(struct client *cl)
{
	if (cl->pending.call != 0 && cl->pending.call != cl->attached)
		pending_gone(cl->gateway, cl->pending.call);
	if (cl->attached != 0)
		pending_gone(cl->gateway, cl->attached);
	cl->attached = 0;
	pending_end(cl);
}

void
pending_wake(struct client *cl, uint32_t ms)
{
	struct loop *l = cl->gateway->loop;

	loop_timer_set(
	    l, &cl->pending.timer, loop_now_ns(l) + (int64_t)ms * NS_PER_MS);
}

void
pending_on_reply(
    struct gateway *g, const struct msg_reply *r, struct str payload)
{
	struct client *cl = client_find(g, r->call);
	uint16_t http =
	    r->http >= 200 && r->http <= 599 ? (uint16_t)r->http : 500;

	output_on_reply(g, r, payload);
	if (cl == NULL)
		return;
	switch (cl->pending.what) {
	case ASK_MCP_CALL:
		mcp_on_call(cl, (enum reply_kind)r->kind, http, payload);
		return;
	case ASK_MCP_TOOLS:
		mcp_on_tools(cl, (enum reply_kind)r->kind, http, payload);
		return;
	case ASK_MCP_DOOR:
		mcp_on_door(cl, (enum reply_kind)r->kind, http, payload);
		return;
	case ASK_REST:
	case ASK_OUTPUT:
	case ASK_EVENTS:
	case ASK_INSIDE:
		rest_on_reply(cl, (enum reply_kind)r->kind, http, payload);
		return;
	case ASK_MCP_SUBSCRIBE:
	case ASK_MCP_LISTEN:
		if (r->kind != REPLY_OK)
			mcp_on_refused(cl, http, payload);
		else if (cl->pending.what == ASK_MCP_SUBSCRIBE)
			mcp_on_subscribed(cl, payload);
		else
			mcp_on_listening(cl, payload);
		return;
	case ASK_NOTHING:
		return;
	}
}

void
pending_on_event(
    struct gateway *g, const struct msg_event *ev, struct str payload)
{
	struct client *cl = client_find(g, ev->call);

	if (cl == NULL)
		mcp_on_updated(g, ev->call, NULL, payload);
	else if (cl->pending.what == ASK_EVENTS)
		rest_on_event(cl, payload, ev->last != 0);
	else if (cl->pending.what == ASK_MCP_CALL)
		mcp_on_progress(cl, payload);
	else if (cl->pending.what == ASK_MCP_LISTEN)
		mcp_on_updated(g, ev->call, cl, payload);
}

void
pending_fail_all(struct gateway *g)
{
	static const char why[] = "the broker has ended";

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *cl = g->clients[i];

		/* A question that is being sent fails in its sender's hands. */
		if (cl == NULL ||
		    (cl->pending.call == 0 &&
			cl->pending.what != ASK_MCP_LISTEN))
			continue;
		cl->attached = 0;
		switch (cl->pending.what) {
		case ASK_MCP_CALL:
		case ASK_MCP_TOOLS:
		case ASK_MCP_LISTEN:
		case ASK_MCP_SUBSCRIBE:
			mcp_fail(cl, 503, why);
			break;
		case ASK_MCP_DOOR:
			pending_end(cl);
			mcp_refuse(cl, 503, why);
			break;
		case ASK_REST:
		case ASK_OUTPUT:
		case ASK_EVENTS:
		case ASK_INSIDE:
			rest_fail(cl, 503, why);
			break;
		case ASK_NOTHING:
			break;
		}
	}
}

static void
on_time(struct loop_timer *t)
{
	struct pending *p = LOOP_OF(t, struct pending, timer);
	struct client *cl = LOOP_OF(p, struct client, pending);

	switch (p->what) {
	case ASK_MCP_CALL:
	case ASK_MCP_TOOLS:
	case ASK_MCP_LISTEN:
	case ASK_MCP_SUBSCRIBE:
		mcp_on_time(cl);
		return;
	case ASK_EVENTS:
		rest_on_time(cl);
		return;
	case ASK_NOTHING:
	case ASK_MCP_DOOR:
	case ASK_REST:
	case ASK_OUTPUT:
	case ASK_INSIDE:
		return;
	}
}

/* Never 0, and never the same again. */
static uint64_t
number_take(struct client *cl)
{
	return ++cl->gateway->n_calls << SLOT_BITS | cl->slot;
}

uint64_t
pending_number(struct gateway *g)
{
	return ++g->n_calls << SLOT_BITS | NO_SLOT;
}

static struct client *
client_find(struct gateway *g, uint64_t call)
{
	size_t slot = call & ((1 << SLOT_BITS) - 1);
	struct client *cl = slot < CLIENTS_MAX ? g->clients[slot] : NULL;

	return cl != NULL && call != 0 && cl->pending.call == call ? cl : NULL;
}

void
pending_gone(struct gateway *g, uint64_t call)
{
	struct msg_gone m = { .call = call };

	/* Without a broker there is nobody to tell. */
	(void)peer_send(&g->broker, MSG_GONE, &m, STR(""), NULL, 0);
}
