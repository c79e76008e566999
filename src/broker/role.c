#include "broker/role.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/api.h"
#include "broker/bearer.h"
#include "broker/approval.h"
#include "broker/box.h"
#include "broker/broker.h"
#include "broker/call.h"
#include "broker/capture.h"
#include "broker/command.h"
#include "broker/egress.h"
#include "broker/follow.h"
#include "broker/export.h"
#include "broker/fetch.h"
#include "broker/inside.h"
#include "broker/kill.h"
#include "broker/pin.h"
#include "broker/retention.h"
#include "broker/run.h"
#include "broker/fork.h"
#include "broker/server.h"
#include "broker/snap.h"
#include "broker/subscribe.h"
#include "broker/token.h"
#include "codec/json.h"
#include "sys/confine.h"
#include "sys/fd.h"

struct broker broker;

static int set_up(int supervisor_fd, struct err *e);
static int load_operator_token(struct err *e);
static void on_frame(struct peer *p, const struct frame *f);
static void on_supervisor_gone(struct peer *p, const char *why);
static void on_edge_gone(struct peer *p, const char *why);
static void on_wire(const struct frame *f);
static void on_durable(struct loop_watch *w, uint32_t events);
static void tell_room(void);
static void close_everything(void);

int
broker_role_main(int supervisor_fd)
{
	struct msg_ready ready = { .role = ROLE_BROKER };
	struct err e = {};

	log_init("broker", LOG_WARN);
	if (set_up(supervisor_fd, &e) < 0) {
		log_error("cannot start why=\"%s\"", e.text);
		return 1;
	}
	ready.pid = (uint32_t)getpid();
	(void)peer_send(&broker.supervisor, MSG_READY, &ready, STR(""), NULL,
	    0); /* a broken link ends the loop */
	snap_keep();
	retention_begin();
	if (loop_run(broker.loop, NULL, NULL, &e) < 0)
		log_error("event loop failed why=\"%s\"", e.text);
	if (store_close(broker.store, &e) < 0) {
		log_error("store not closed why=\"%s\"", e.text);
		return 1;
	}
	return 0;
}

static int
set_up(int supervisor_fd, struct err *e)
{
	static struct {
		struct peer *peer;
		enum role other;
	} links[] = {
		{ &broker.supervisor, ROLE_SUPERVISOR },
		{ &broker.gateway, ROLE_GATEWAY },
		{ &broker.proxy, ROLE_PROXY },
		{ &broker.world, ROLE_WORLD },
		{ &broker.tools, ROLE_TOOLS },
	};

	/* The supervisor has made the store our working directory. */
	if (confine_role(CONFINE_BROKER, ".", e) < 0)
		return -1;
	broker.loop = loop_new(e);
	if (broker.loop == NULL)
		return -1;
	broker.store = store_open(".", e);
	if (broker.store == NULL)
		return err_add(e, "store");
	if (load_operator_token(e) < 0 || token_load(e) < 0 ||
	    snap_load(e) < 0 || pin_load(e) < 0 || run_recover(e) < 0)
		return -1;
	broker.durable_last = &broker.durable_first;
	broker.store_watch = (struct loop_watch){
		.fd = store_event_fd(broker.store),
		.events = EPOLLIN,
		.on_ready = on_durable,
	};
	if (loop_add(broker.loop, &broker.store_watch, e) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		struct peer *p = links[i].peer;

		p->self = ROLE_BROKER;
		p->other = links[i].other;
		p->loop = broker.loop;
		p->on_frame = on_frame;
		p->on_gone = p->other == ROLE_SUPERVISOR ? on_supervisor_gone
							 : on_edge_gone;
		peer_init(p);
	}
	return peer_open_take(&broker.supervisor, supervisor_fd, e);
}

/* The hash alone: the token's text never comes here. */
static int
load_operator_token(struct err *e)
{
	own_buf struct buf hex = {};

	if (file_read("operator.hash", &hex, HASH_HEX_BYTES, e) < 0)
		return -1;
	if (hash_from_hex(buf_str(&hex), &broker.operator_token) < 0)
		return err_set(e,
		    "operator.hash is damaged; remove operator.token and "
		    "start again to make a new one");
	return 0;
}

static void
on_frame(struct peer *p, const struct frame *f)
{
	switch ((enum msg_type)f->type) {
	case MSG_WIRE:
		on_wire(f);
		return;
	case MSG_QUIT: {
		const struct msg_quit *m = f->body;

		if (m->when_idle) {
			broker.quit_when_idle = true;
			broker_maybe_quit();
		} else {
			close_everything();
		}
		return;
	}
	case MSG_SANDBOX_STARTED:
		on_sandbox_started(f->body, f);
		return;
	case MSG_SANDBOX_EXITED:
		on_sandbox_exited(f->body);
		return;
	case MSG_SANDBOX_TOLD:
		on_sandbox_told(f->body, f->payload);
		return;
	case MSG_SNAPSHOT_TOLD:
		on_snapshot_told(f->body, f);
		return;
	case MSG_IMAGE_FOUND:
		on_image_found(f->body, f);
		return;
	case MSG_SECRET_FOUND:
		on_secret_found(f->body, f);
		return;
	case MSG_TOOL_CALL:
		on_tool_call(f->body, f->payload);
		return;
	case MSG_API:
		on_api(f->body, f);
		return;
	case MSG_KILL:
		on_kill(f->body);
		return;
	case MSG_BEARER:
		on_bearer(f->body, f->payload);
		return;
	case MSG_IDENTITY:
		on_identity(f->body, f);
		return;
	case MSG_CANCEL: {
		const struct msg_gone *m = f->body;

		server_call_cancel(m->call);
		command_cancel(m->call);
		return;
	}
	case MSG_BAD_REQUEST:
		on_bad_request(f->body, f->payload);
		return;
	case MSG_GONE: {
		const struct msg_gone *m = f->body;

		box_gone(m->call);
		inside_gone(m->call);
		servers_gone_asker(m->call);
		subscribe_gone(m->call);
		call_gone(m->call);
		approval_gone(m->call);
		follow_gone(m->call);
		return;
	}
	case MSG_WORLD_OPENED:
		on_world_opened(f->body, f->payload);
		return;
	case MSG_WORLD_TRIED:
		on_world_tried(f->body, f->payload);
		return;
	case MSG_WORLD_SAVED:
		on_world_saved(f->body, f->payload);
		return;
	case MSG_WORLD_RESULT:
		on_world_result(f->body, f->payload);
		return;
	case MSG_SERVER_PIPES:
		on_server_pipes(f->body, f);
		return;
	case MSG_SERVER_LINE:
		on_server_line(f->body, f);
		return;
	case MSG_SERVER_LISTED:
		on_server_listed(f->body, f->payload);
		return;
	case MSG_SERVER_PROGRESS:
		on_server_progress(f->body, f->payload);
		return;
	case MSG_SERVER_UPDATED:
		on_server_updated(f->body, f->payload);
		return;
	case MSG_SERVER_RESULT:
		on_server_result(f->body, f->payload);
		return;
	case MSG_EGRESS_ASK:
		on_egress_ask(f->body, f->payload);
		return;
	case MSG_EGRESS_DONE:
		on_egress_done(f->body, f->payload);
		return;
	case MSG_FETCHED:
		on_fetched(f->body, f->payload);
		return;
	case MSG_CA:
		on_ca(f->body, f->payload);
		return;
	case MSG_INSIDE_DONE:
		on_inside_done(f->body, f->payload);
		return;
	case MSG_COMMAND_END:
		on_command_end(f->body, f->payload);
		return;
	case MSG_EXPORT_READ:
		on_export_read(f->body, f);
		return;
	case MSG_SANDBOX_DENIED:
		on_sandbox_denied(f->body, f->payload);
		return;
	case MSG_COMMAND:
	case MSG_COMMAND_KILL:
	case MSG_EXPORT:
	case MSG_READY:
	case MSG_LISTEN:
	case MSG_SANDBOX_START:
	case MSG_SANDBOX_KILL:
	case MSG_KILLED:
	case MSG_SANDBOX_ASK:
	case MSG_SNAPSHOT_ASK:
	case MSG_IMAGE_FIND:
	case MSG_SECRET_FIND:
	case MSG_DOOR_OPEN:
	case MSG_DOOR_CLOSE:
	case MSG_CA_NEW:
	case MSG_REPLY:
	case MSG_EVENT:
	case MSG_TOKEN_GONE:
	case MSG_LISTS:
	case MSG_WORLD_OPEN:
	case MSG_WORLD_CALL:
	case MSG_WORLD_CLOSE:
	case MSG_WORLD_TRY:
	case MSG_WORLD_SAVE:
	case MSG_SERVER_OPEN:
	case MSG_SERVER_CALL:
	case MSG_SERVER_CANCEL:
	case MSG_SERVER_LEAVE:
	case MSG_SERVER_CLOSE:
	case MSG_EGRESS_VERDICT:
	case MSG_EGRESS_REVOKE:
	case MSG_EGRESS_WATCH:
	case MSG_FETCH:
	case MSG_TYPES:
		log_error("no route for %s from %s", msg_name(f->type),
		    role_name(p->other));
		must(false); /* no route leads here */
	}
}

/* Without the supervisor nothing can be watched: record that, and end. */
static void
on_supervisor_gone(struct peer *p, const char *why)
{
	(void)p;
	log_warn("supervisor gone why=\"%s\"", why);
	call_supervisor_lost();
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		struct msg_sandbox_exited m = { .run = r->id,
			.cause = CAUSE_LOST };

		if (r->state == RUN_CLOSED)
			continue;
		run_stop(r, "supervisor_lost", STR(""), true);
		if (r->sandbox_sent)
			on_sandbox_exited(&m);
	}
	loop_stop(broker.loop);
}

/*
 * An edge role died, or broke the rules: the supervisor starts another. What
 * a peer did wrong is on the record, because it may have been made to.
 */
static void
on_edge_gone(struct peer *p, const char *why)
{
	own_buf struct buf body = {};
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};

	if (broker.quitting)
		return;
	log_warn("peer gone peer=%s why=\"%s\"", role_name(p->other), why);
	buf_add_c(&body, "{\"note\":\"peer_gone\",\"peer\":");
	json_put_str(&body, str_of(role_name(p->other)));
	buf_add_c(&body, ",\"why\":");
	json_put_str(&body, str_of(why));
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	(void)store_append(
	    broker.store, &ev); /* a note: nothing waits for it */

	if (p->other == ROLE_WORLD) {
		call_world_lost();
		run_world_lost();
	}
	if (p->other == ROLE_TOOLS)
		servers_lost();
	if (p->other == ROLE_GATEWAY) {
		follow_gateway_lost();
		subscribe_gateway_lost();
		export_gateway_lost();
		commands_lost(NULL);
	}
	if (p->other == ROLE_PROXY) {
		egress_proxy_lost();
		fetch_proxy_lost();
	}
}

static void
on_wire(const struct frame *f)
{
	const struct msg_wire *m = f->body;
	struct peer *p = m->role == ROLE_GATEWAY ? &broker.gateway
	    : m->role == ROLE_PROXY		 ? &broker.proxy
	    : m->role == ROLE_WORLD		 ? &broker.world
	    : m->role == ROLE_TOOLS		 ? &broker.tools
						 : NULL;
	struct err e = {};

	if (p == NULL)
		return;
	/* The end of the one before may be behind this in what we read. */
	if (peer_is_open(p)) {
		peer_close(p);
		on_edge_gone(p, "another has taken its place");
	}
	if (peer_open_wire(p, f, &e) < 0) {
		log_error("link to %s why=\"%s\"", role_name(p->other), e.text);
		return;
	}
	if (p == &broker.world)
		run_world_back();
	else if (p != &broker.tools)
		run_doors_again(p);
	if (p == &broker.proxy)
		run_proxy_back();
}

static void
on_durable(struct loop_watch *w, uint32_t events)
{
	struct err e = {};

	(void)w;
	(void)events;
	if (store_check(broker.store, &e) < 0) {
		/* What is not in the store did not happen: nothing goes on. */
		log_error("store failed why=\"%s\"", e.text);
		loop_stop(broker.loop);
		return;
	}
	tell_room();
	call_durable(store_durable(broker.store));
	capture_durable(store_durable(broker.store));
	egress_durable(store_durable(broker.store));
	token_durable(store_durable(broker.store));
	pin_durable(store_durable(broker.store));
	fork_durable(store_durable(broker.store));
	snap_durable(store_durable(broker.store));
	follow_durable();
	run_sweep();
	broker_maybe_quit();
}

/* Says once that the disk is full, and once that it no longer is. */
static void
tell_room(void)
{
	struct err why = {};
	bool full = store_is_full(broker.store, &why);

	if (full == broker.store_full)
		return;
	broker.store_full = full;
	if (full)
		log_warn("store is full, nothing new begins until there is "
			 "room why=\"%s\"",
		    why.text);
	else
		log_warn("store has room again");
}

static void
close_everything(void)
{
	struct run *next;

	broker.quitting = true;
	for (struct run *r = broker.runs; r != NULL; r = next) {
		next = r->next;
		run_stop(r, "paddock_stopped", STR(""), true);
	}
	broker_maybe_quit();
}

void
broker_maybe_quit(void)
{
	if ((broker.quitting || broker.quit_when_idle) && broker.n_runs == 0)
		loop_stop(broker.loop);
}

void
reply(uint64_t call, enum reply_kind kind, uint32_t http, struct str json)
{
	struct msg_reply m = { .call = call, .kind = kind, .http = http };

	if (call == 0)
		return;
	if (json.n > IPC_MAX_PAYLOAD_BYTES) {
		reply_error(call, 500, "answer_too_large",
		    "The answer is over the limit of a message.",
		    "Ask for less at a time.");
		return;
	}
	(void)peer_send(&broker.gateway, MSG_REPLY, &m, json, NULL,
	    0); /* a gateway that is gone has hung up on the asker too */
}

void
reply_error(uint64_t call, uint32_t http, const char *code, const char *message,
    const char *next_step)
{
	own_buf struct buf out = {};

	buf_add_c(&out, "{\"error\":{\"code\":");
	json_put_str(&out, str_of(code));
	buf_add_c(&out, ",\"message\":");
	json_put_str(&out, str_of(message));
	buf_add_c(&out, ",\"suggested_next_step\":");
	json_put_str(&out, str_of(next_step));
	buf_add_c(&out, "}}");
	reply(call, REPLY_BAD, http, buf_str(&out));
}

bool
reply_is_result(enum reply_kind kind)
{
	return kind == REPLY_OK || kind == REPLY_CONTENT;
}

uint64_t
random_id(void)
{
	uint64_t id = 0;

	while (id == 0) {
		must(getrandom(&id, sizeof(id), 0) == sizeof(id));
		id &= (UINT64_C(1) << 60) - 1;
	}
	return id;
}
