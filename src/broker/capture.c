#include "broker/capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker/call_int.h"
#include "broker/capture_int.h"
#include "broker/server_int.h"

static struct capture *all; /* of calls that are under way */

static struct capture *make(struct call *c);
static void ask(struct capture *k);
static void step(struct capture *k);
static void before_done(struct capture *k);
static void after_done(struct capture *k);
static void on_after_late(struct loop_timer *t);
static const struct policy_capture *row(const struct capture *k);
static int64_t all_ms(const struct capture *k);
static struct str own_name(const struct call *c);

bool
capture_before(struct tool_server *s, struct call *c)
{
	const struct policy_capture *row = s->row->capture;
	struct capture *k;

	if (!policy_captures(row, own_name(c), c->risk))
		return false;
	capture_free(c->capture); /* of a server that has ended */
	k = c->capture = make(c);
	if (!row->before)
		return false;
	call_rearm(c, all_ms(k) + SERVER_LATE_MS);
	ask(k);
	return true;
}

bool
capture_after(struct call *c, enum server_result kind, struct str payload)
{
	struct capture *k = c->capture;

	if (k == NULL || !row(k)->after)
		return false;
	k->after = true;
	k->at = 0;
	k->failed = false;
	if (c->server->state != SERVER_READY) {
		capture_record_none(k, STR("the tool server has ended"));
		return false;
	}
	k->kind = kind;
	buf_reset(&k->held);
	buf_add_str(&k->held, payload);
	call_await(c, all_ms(k) + SERVER_LATE_MS, on_after_late);
	ask(k);
	return true;
}

bool
capture_result(const struct msg_server_result *m, struct str payload)
{
	struct capture *k = all;

	while (k != NULL &&
	    (k->number != m->call || k->c->server->id != m->server))
		k = k->next;
	if (k == NULL)
		return false;
	k->number = 0;
	capture_take(k, (enum server_result)m->kind, payload);
	step(k);
	return true;
}

void
capture_server_gone(const struct tool_server *s)
{
	struct capture *next;

	for (struct capture *k = all; k != NULL; k = next) {
		next = k->next;
		if (k->c->server != s)
			continue;
		if (k->after && k->number != 0) {
			k->number = 0;
			capture_record_none(
			    k, STR("the tool server has ended"));
			after_done(k);
			/* That call's end may have ended others. */
			next = all;
		} else if (k->c->unsent) {
			k->c->capture = NULL;
			capture_free(k);
		}
	}
}

void
capture_durable(uint64_t seq)
{
	struct capture *k = all;

	while (k != NULL) {
		if (k->wait_seq == 0 || k->wait_seq > seq) {
			k = k->next;
			continue;
		}
		k->wait_seq = 0;
		server_call_send(k->c);
		k = all; /* it may have ended, and others with it */
	}
}

void
capture_free(struct capture *k)
{
	if (k == NULL)
		return;
	for (struct capture **at = &all; *at != NULL; at = &(*at)->next) {
		if (*at == k) {
			*at = k->next;
			break;
		}
	}
	buf_fini(&k->held);
	free(k);
}

static struct capture *
make(struct call *c)
{
	struct capture *k = calloc(1, sizeof(*k));

	must(k != NULL);
	k->c = c;
	k->next = all;
	all = k;
	return k;
}

static void
ask(struct capture *k)
{
	const struct policy_capture *p = row(k);
	const struct msg_server_call m = { .server = k->c->server->id,
		.call = ++broker.next_call,
		.timeout_ms = p->timeout_ms };
	own_buf struct buf payload = {};

	k->number = m.call;
	k->asked_ns = clock_mono_ns();
	buf_add_c(&payload, "{\"arguments\":");
	buf_add_str(&payload, p->with[k->at].args);
	buf_add_c(&payload, ",\"name\":");
	json_put_str(&payload, p->with[k->at].tool);
	buf_add_byte(&payload, '}');
	(void)peer_send(&broker.tools, MSG_SERVER_CALL, &m, buf_str(&payload),
	    NULL, 0); /* a role that is gone ends its servers */
}

/* One more has been asked: the next, or what they were asked for. */
static void
step(struct capture *k)
{
	const bool refuses = !k->after && !row(k)->record_only;

	k->at++;
	if (k->at < row(k)->n_with && !(k->failed && refuses)) {
		ask(k);
		return;
	}
	if (k->after)
		after_done(k);
	else
		before_done(k);
}

static void
before_done(struct capture *k)
{
	struct call *c = k->c;

	if (k->failed && !row(k)->record_only) {
		must(call_take(c->number) == c);
		c->not_begun = true;
		call_finish(c, REPLY_TOOL_ERROR,
		    STR("{\"code\":\"no_capture\",\"error\":\"What the page "
			"looks like before the call could not be kept, as the "
			"policy asks; the call was not made.\","
			"\"suggested_next_step\":\"Try again when the page has "
			"settled; a person can read why in the trace.\"}"),
		    false, "blocked");
		return;
	}
	/* The effect comes when what was before it is on disk. */
	k->wait_seq = k->seq;
	if (k->wait_seq == 0)
		server_call_send(c);
	else
		store_hurry(broker.store);
}

static void
after_done(struct capture *k)
{
	struct call *c = k->c;
	own_buf struct buf held = k->held;

	k->held = (struct buf){};
	must(call_take(c->number) == c);
	call_server_answered(c, k->kind, buf_str(&held));
}

/* Who talks to the server has the first word on what is late. */
static void
on_after_late(struct loop_timer *t)
{
	struct call *c = LOOP_OF(t, struct call, timeout);

	c->capture->number = 0;
	capture_record_none(c->capture, STR("it took too long"));
	after_done(c->capture);
}

static const struct policy_capture *
row(const struct capture *k)
{
	return k->c->server->row->capture;
}

/* What all of it may take. */
static int64_t
all_ms(const struct capture *k)
{
	return (int64_t)row(k)->n_with * row(k)->timeout_ms;
}

static struct str
own_name(const struct call *c)
{
	const struct policy_server *row = c->server->row;
	struct str name = str_of(c->tool);
	const size_t skip = row->name.n + 1;

	/* "SERVER/resources" and the like have it in any case. */
	if (row->bare &&
	    !(str_starts(name, row->name) && name.n > skip &&
		name.p[skip - 1] == '/'))
		return name;
	return (struct str){ name.p + skip, name.n - skip };
}
