#include "gateway/gateway.h"

#include <unistd.h>

#include "base/log.h"
#include "gateway/command.h"
#include "gateway/door.h"
#include "gateway/export.h"
#include "gateway/inside.h"
#include "gateway/mcp.h"
#include "gateway/output.h"
#include "gateway/pending.h"
#include "gateway/session.h"
#include "sys/fd.h"

enum {
	/* The tape of the largest document that json_parse takes, with what
	 * its strings and its own tables need. */
	ARENA_BYTES = 64 * 1024 * 1024,
	/* A result stands twice in an MCP answer, once of them escaped. */
	BODY_BYTES = 4 * IPC_MAX_PAYLOAD_BYTES,
};

static void on_supervisor(struct peer *p, const struct frame *f);
static void on_supervisor_gone(struct peer *p, const char *why);
static void on_broker(struct peer *p, const struct frame *f);
static void on_broker_gone(struct peer *p, const char *why);
static void on_round(void *arg);

const struct gateway_times gateway_default_times = {
	.held_ms = MCP_HELD_MS,
	.progress_ms = MCP_PROGRESS_MS,
	.stream_ms = REST_STREAM_MS,
};

int
gateway_init(struct gateway *g, const struct http_limits *limits,
    const struct gateway_times *times, struct err *e)
{
	*g = (struct gateway){ .times = *times };
	g->supervisor.watch.fd = g->broker.watch.fd = -1; /* for _fini */
	g->loop = loop_new(e);
	if (g->loop == NULL)
		return -1;
	g->supervisor = (struct peer){
		.self = ROLE_GATEWAY,
		.other = ROLE_SUPERVISOR,
		.loop = g->loop,
		.on_frame = on_supervisor,
		.on_gone = on_supervisor_gone,
	};
	g->broker = (struct peer){
		.self = ROLE_GATEWAY,
		.other = ROLE_BROKER,
		.loop = g->loop,
		.on_frame = on_broker,
		.on_gone = on_broker_gone,
	};
	peer_init(&g->supervisor);
	peer_init(&g->broker);
	http_server_init(&g->http, g->loop, &door_ops, limits);
	g->arena.max_bytes = ARENA_BYTES;
	g->payload.max = IPC_MAX_PAYLOAD_BYTES;
	g->body.max = BODY_BYTES;
	while (g->n_free < CLIENTS_MAX) {
		g->free_slots[g->n_free] =
		    (uint16_t)(CLIENTS_MAX - 1 - g->n_free);
		g->n_free++;
	}
	return 0;
}

void
gateway_fini(struct gateway *g)
{
	inside_close_all(g);
	door_close_all(g);
	http_server_fini(&g->http);
	session_free_all(g);
	output_free_all(g);
	peer_close(&g->broker);
	peer_close(&g->supervisor);
	arena_fini(&g->arena);
	buf_fini(&g->payload);
	buf_fini(&g->body);
	loop_free(g->loop);
}

int
gateway_run(struct gateway *g, struct err *e)
{
	struct msg_ready ready = {
		.role = ROLE_GATEWAY,
		.pid = (uint32_t)getpid(),
	};

	(void)peer_send(&g->supervisor, MSG_READY, &ready, STR(""), NULL, 0);
	return loop_run(g->loop, on_round, g, e);
}

static void
on_supervisor(struct peer *p, const struct frame *f)
{
	struct gateway *g = LOOP_OF(p, struct gateway, supervisor);
	struct err e = {};

	if (f->type == MSG_WIRE) {
		const struct msg_wire *m = f->body;

		if (m->role != ROLE_BROKER)
			return;
		if (peer_open_wire(&g->broker, f, &e) < 0)
			log_error("no link to the broker why=\"%s\"", e.text);
	} else if (f->type == MSG_LISTEN) {
		const struct msg_listen *m = f->body;
		enum door kind =
		    m->kind == LISTEN_UNIX ? DOOR_UNIX : DOOR_TOKEN;

		if (door_open_take(g, fd_take(&f->fds[0]), kind, 0, &e) < 0)
			log_error("listener lost why=\"%s\"", e.text);
	}
}

static void
on_supervisor_gone(struct peer *p, const char *why)
{
	struct gateway *g = LOOP_OF(p, struct gateway, supervisor);

	log_info("supervisor gone why=\"%s\"", why);
	loop_stop(g->loop);
}

static void
on_broker(struct peer *p, const struct frame *f)
{
	struct gateway *g = LOOP_OF(p, struct gateway, broker);
	struct err e = {};

	if (f->type == MSG_REPLY) {
		pending_on_reply(g, f->body, f->payload);
	} else if (f->type == MSG_EVENT) {
		pending_on_event(g, f->body, f->payload);
	} else if (f->type == MSG_LISTS) {
		mcp_on_lists(g, f->body);
	} else if (f->type == MSG_TOKEN_GONE) {
		const struct msg_token_gone *m = f->body;

		door_hang_up(g, &m->token);
	} else if (f->type == MSG_COMMAND) {
		command_begin(g, f->body, f->payload);
	} else if (f->type == MSG_COMMAND_KILL) {
		command_kill(g, f->body);
	} else if (f->type == MSG_EXPORT) {
		export_begin(g, f->body, f->payload);
	} else if (f->type == MSG_DOOR_OPEN) {
		const struct msg_door *m = f->body;

		door_close(g, m->run); /* a run has one */
		if (door_open_take(
			g, fd_take(&f->fds[0]), DOOR_RUN, m->run, &e) < 0)
			log_error("door lost why=\"%s\"", e.text);
		inside_close(g, m->run);
		if (f->n_fds > 1 &&
		    inside_open_take(
			g, fd_take(&f->fds[1]), m->run, f->payload, &e) < 0)
			log_error("sandbox lost why=\"%s\"", e.text);
	} else if (f->type == MSG_DOOR_CLOSE) {
		const struct msg_door *m = f->body;

		door_close(g, m->run);
		inside_close(g, m->run);
		session_free_run(g, m->run);
		mcp_on_run_end(g, m->run);
	}
}

/* Without a broker nothing can be answered: the supervisor starts us anew. */
static void
on_broker_gone(struct peer *p, const char *why)
{
	struct gateway *g = LOOP_OF(p, struct gateway, broker);

	log_info("broker gone why=\"%s\"", why);
	pending_fail_all(g);
	g->status = 1;
	loop_stop(g->loop);
}

static void
on_round(void *arg)
{
	struct gateway *g = arg;

	http_server_reap(&g->http);
}
