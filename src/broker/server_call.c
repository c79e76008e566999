#include <stdlib.h>

#include "base/must.h"
#include "broker/api.h"
#include "broker/call_int.h"
#include "broker/capture.h"
#include "broker/server_int.h"

/* Who came before the tools were known: a call, or one who lists them. */
struct early {
	struct early *next;
	/* NULL: it calls a tool. */
	void (*again)(uint64_t call, uint64_t run, struct str what);
	struct msg_tool_call call; /* call.call alone, for one who lists */
	struct buf payload; /* and which list */
};

static bool any_unknown(const struct run *r);
static void hold(struct run *r, const struct msg_tool_call *m,
    struct str payload,
    void (*again)(uint64_t call, uint64_t run, struct str what));
static void early_free(struct early *h);
static void begin(const struct run *r, struct tool_server *s, struct call *c);
static bool refuse_changed(const struct run *r, struct call *c);
static void send(
    const struct run *r, const struct tool_server *s, struct call *c);
static struct tool_server *server_of(
    const struct run *r, struct str tool, enum server_ask *ask);

void
server_call_make(struct run *r, struct call *c, int64_t *ms)
{
	enum server_ask ask;
	struct tool_server *s = server_of(r, str_of(c->tool), &ask);

	must(s != NULL); /* decided so, and tools are only added */
	c->server = s;
	if (*ms > s->row->timeout_ms)
		*ms = s->row->timeout_ms;
	c->server_ms = (uint64_t)*ms;
	c->unsent = true;
	if (s->state == SERVER_READY && s->busy == NULL)
		begin(r, s, c);
}

void
server_call_send(struct call *c)
{
	const struct run *r = run_find(c->run);

	must(r != NULL); /* open calls keep their run */
	if (r->state != RUN_OPEN && r->state != RUN_OPENING) {
		must(call_take(c->number) == c);
		c->not_begun = true;
		call_finish(
		    c, REPLY_STOPPED, buf_str(&r->stop_json), false, "blocked");
		return;
	}
	if (refuse_changed(r, c))
		return;
	c->unsent = false;
	call_rearm(c, (int64_t)c->server_ms + SERVER_LATE_MS);
	send(r, c->server, c);
}

void
server_call_over(struct call *c)
{
	struct tool_server *s = c->server;

	capture_free(c->capture);
	c->capture = NULL;
	if (s->busy != c)
		return;
	s->busy = NULL;
	if (s->state == SERVER_READY)
		server_calls_send(s);
}

uint32_t
server_cap_ms(const struct run *r, struct str tool)
{
	enum server_ask ask;
	const struct tool_server *s = server_of(r, tool, &ask);

	must(s != NULL); /* decided so, and tools are only added */
	return s->row->timeout_ms;
}

bool
server_is_over(const struct call *c)
{
	return c->server != NULL && c->server->state == SERVER_ENDED;
}

void
server_calls_send(struct tool_server *s)
{
	const struct run *r = run_find(s->run);
	struct call *first = NULL, *next;

	must(r != NULL); /* it owns the server */
	for (struct call *c = call_first_of(s); c != NULL; c = next) {
		next = call_next_of(c, s);
		if (!c->unsent || refuse_changed(r, c))
			continue;
		if (s->row->capture == NULL)
			begin(r, s, c);
		else if (first == NULL || c->number < first->number)
			first = c;
	}
	if (first != NULL && s->busy == NULL)
		begin(r, s, first);
}

bool
servers_hold_call(
    struct run *r, const struct msg_tool_call *m, struct str payload)
{
	if (!any_unknown(r))
		return false;
	hold(r, m, payload, NULL);
	return true;
}

bool
servers_hold_list(struct run *r, uint64_t call, struct str what,
    void (*again)(uint64_t call, uint64_t run, struct str what))
{
	const struct msg_tool_call m = { .call = call };

	if (!any_unknown(r))
		return false;
	hold(r, &m, what, again);
	return true;
}

/* In the order in which they came. */
void
servers_release(struct run *r)
{
	while (r->early != NULL && !any_unknown(r)) {
		struct early *h = r->early;

		r->early = h->next;
		r->n_early--;
		if (h->again != NULL)
			h->again(h->call.call, r->id, buf_str(&h->payload));
		else
			on_tool_call(&h->call, buf_str(&h->payload));
		early_free(h);
	}
}

void
servers_gone_asker(uint64_t call)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (struct early **at = &r->early; *at != NULL;) {
			struct early *h = *at;

			if (h->call.call != call) {
				at = &h->next;
				continue;
			}
			*at = h->next;
			r->n_early--;
			early_free(h);
		}
	}
}

void
servers_hold_free(struct run *r)
{
	while (r->early != NULL) {
		struct early *h = r->early;

		r->early = h->next;
		early_free(h);
	}
}

static bool
any_unknown(const struct run *r)
{
	if (r->state != RUN_OPEN && r->state != RUN_OPENING)
		return false;
	for (const struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (!s->known)
			return true;
	}
	return false;
}

static void
hold(struct run *r, const struct msg_tool_call *m, struct str payload,
    void (*again)(uint64_t call, uint64_t run, struct str what))
{
	struct early *h, **at = &r->early;

	if (r->n_early >= RUN_PENDING_MAX) {
		reply_error(m->call, 429, "too_many_calls",
		    "Too many calls of this run wait for its tool servers.",
		    "Wait for some of them to be answered.");
		return;
	}
	h = calloc(1, sizeof(*h));
	must(h != NULL);
	h->again = again;
	h->call = *m;
	buf_add_str(&h->payload, payload);
	while (*at != NULL)
		at = &(*at)->next;
	*at = h;
	r->n_early++;
}

static void
early_free(struct early *h)
{
	buf_fini(&h->payload);
	free(h);
}

/* It has its turn. */
static void
begin(const struct run *r, struct tool_server *s, struct call *c)
{
	if (s->row->capture != NULL) {
		s->busy = c;
		if (capture_before(s, c))
			return;
		/* It may have waited for another one. */
		call_rearm(c, (int64_t)c->server_ms + SERVER_LATE_MS);
	}
	c->unsent = false;
	send(r, s, c);
}

/* It was decided about what the tool was said to be then. */
static bool
refuse_changed(const struct run *r, struct call *c)
{
	if (server_offers(r, str_of(c->tool)) != OFFER_QUARANTINED)
		return false;
	must(call_take(c->number) == c);
	c->not_begun = true;
	call_finish(c, REPLY_TOOL_ERROR,
	    STR("{\"code\":\"quarantined\",\"error\":\"The tool server "
		"describes the tool otherwise than it did when the call was "
		"decided; the call was not made.\","
		"\"suggested_next_step\":\"List the tools and use one of "
		"them.\"}"),
	    false, "error");
	return true;
}

static struct tool_server *
server_of(const struct run *r, struct str tool, enum server_ask *ask)
{
	const struct offered *o;
	struct tool_server *s = server_lists_find(r, tool, ask);

	if (s != NULL)
		return s;
	*ask = SERVER_ASK_TOOL;
	return server_tools_find(r, tool, &o);
}

/* By the server's own name: without the server's, unless it is bare. */
static void
send(const struct run *r, const struct tool_server *s, struct call *c)
{
	struct msg_server_call m = {
		.server = s->id, .call = c->number, .timeout_ms = c->server_ms
	};
	struct str name = str_of(c->tool);
	own_buf struct buf payload = {};
	enum server_ask ask;

	if (server_of(r, name, &ask) != s)
		ask = SERVER_ASK_TOOL; /* it has it no more, and says so */
	m.ask = ask;
	if (ask != SERVER_ASK_TOOL) {
		buf_add_str(&payload, buf_str(&c->args));
	} else {
		if (!s->row->bare) {
			name.p += s->row->name.n + 1;
			name.n -= s->row->name.n + 1;
		}
		buf_add_c(&payload, "{\"arguments\":");
		buf_add_str(&payload, buf_str(&c->args));
		buf_add_c(&payload, ",\"name\":");
		json_put_str(&payload, name);
		buf_add_byte(&payload, '}');
	}
	(void)peer_send(&broker.tools, MSG_SERVER_CALL, &m, buf_str(&payload),
	    NULL, 0); /* a role that is gone ends its calls */
}
