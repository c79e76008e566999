#include "tools/role.h"

#include <signal.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "codec/json.h"
#include "ipc/links.h"
#include "sys/confine.h"
#include "sys/fd.h"
#include "sys/loop.h"
#include "tools/server.h"

struct role_state {
	struct links links;
	struct server *servers[RUNS_MAX]; /* the first n_servers */
	size_t n_servers;
};

static int start(struct role_state *s, int supervisor_fd, struct err *e);
static void on_broker_frame(struct peer *p, const struct frame *f);
static void on_server_open(struct role_state *s, const struct frame *f);
static void on_server_call(struct role_state *s, const struct frame *f);
static void on_server_leave(struct role_state *s, const struct msg_server *m);
static void on_server_close(struct role_state *s, const struct msg_server *m);
static void on_listed(void *arg, uint64_t id, bool ok, struct str payload);
static void on_result(void *arg, uint64_t id, uint64_t call,
    enum server_result kind, struct str payload);
static void on_progress(
    void *arg, uint64_t id, uint64_t call, struct str payload);
static void on_updated(void *arg, uint64_t id, struct str uri);
static void on_line(void *arg, uint64_t id, int fd);
static void on_server_cancel(
    struct role_state *s, const struct msg_server_part *m);
static struct server **find(struct role_state *s, uint64_t id);

int
tools_role_main(int supervisor_fd)
{
	struct role_state *s = calloc(1, sizeof(*s));
	struct err e = {};
	int status = 0;

	log_init("tools", LOG_WARN);
	must(s != NULL);
	if (start(s, supervisor_fd, &e) < 0 ||
	    loop_run(s->links.loop, NULL, NULL, &e) < 0) {
		log_error("stops why=\"%s\"", e.text);
		status = 1;
	}
	while (s->n_servers > 0)
		server_free(s->servers[--s->n_servers]);
	links_close(&s->links);
	free(s);
	return status;
}

static int
start(struct role_state *s, int supervisor_fd, struct err *e)
{
	if (links_open(
		&s->links, ROLE_TOOLS, supervisor_fd, on_broker_frame, e) < 0)
		return -1;
	/* A server that does not read is an error of write(2). */
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return err_sys(e, "signal");
	if (confine_role(CONFINE_TOOLS, NULL, e) < 0)
		return -1;
	return links_ready(&s->links, e);
}

static void
on_broker_frame(struct peer *p, const struct frame *f)
{
	struct role_state *s = LOOP_OF(p, struct role_state, links.broker);

	if (f->type == MSG_SERVER_OPEN)
		on_server_open(s, f);
	else if (f->type == MSG_SERVER_CALL)
		on_server_call(s, f);
	else if (f->type == MSG_SERVER_CANCEL)
		on_server_cancel(s, f->body);
	else if (f->type == MSG_SERVER_LEAVE)
		on_server_leave(s, f->body);
	else if (f->type == MSG_SERVER_CLOSE)
		on_server_close(s, f->body);
	else
		must_fail("a message of the routes", __FILE__, __LINE__);
}

static void
on_server_open(struct role_state *s, const struct frame *f)
{
	const struct server_hear hear = { s, on_listed, on_result, on_progress,
		on_updated, on_line };
	const struct msg_server *m = f->body;
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	int theirs[3] = { -1, -1, -1 };
	struct server *made = NULL;
	struct err e = {};

	if (find(s, m->server) != NULL)
		(void)err_set(&e, "this server is there already");
	else if (s->n_servers == RUNS_MAX)
		(void)err_set(&e,
		    "%d tool servers are open, the most that "
		    "can be",
		    RUNS_MAX);
	else if (f->payload.n > 0)
		made = server_new_http(s->links.loop, m->server, &hear,
		    json_parse(f->payload, NULL, &a, &e, NULL), &e);
	else
		made = server_new(s->links.loop, m->server, &hear, theirs, &e);
	if (made == NULL) {
		on_listed(s, m->server, false, str_of(e.text));
		return;
	}
	s->servers[s->n_servers++] = made;
	if (theirs[0] < 0)
		return; /* it is elsewhere */
	(void)peer_send(&s->links.broker, MSG_SERVER_PIPES, m, STR(""), theirs,
	    3); /* a broker that is gone ends us */
	for (int i = 0; i < 3; i++)
		fd_fini(&theirs[i]);
}

static void
on_server_call(struct role_state *s, const struct frame *f)
{
	const struct msg_server_call *m = f->body;
	struct server **at = find(s, m->server);

	if (at != NULL)
		server_call(*at, m->call, (enum server_ask)m->ask, f->payload,
		    m->timeout_ms);
	else
		on_result(s, m->server, m->call, SERVER_NO_ANSWER,
		    STR("{\"code\":\"server_ended\",\"error\":\"The tool "
			"server has ended; the call was not made.\","
			"\"suggested_next_step\":\"Try again.\"}"));
}

static void
on_server_cancel(struct role_state *s, const struct msg_server_part *m)
{
	struct server **at = find(s, m->server);

	if (at != NULL)
		server_cancel(*at, m->call);
}

static void
on_server_leave(struct role_state *s, const struct msg_server *m)
{
	struct server **at = find(s, m->server);

	if (at != NULL)
		server_leave(*at);
	else
		on_listed(s, m->server, false, STR("it has ended"));
}

static void
on_server_close(struct role_state *s, const struct msg_server *m)
{
	struct server **at = find(s, m->server);

	if (at == NULL)
		return; /* it did not open */
	server_free(*at);
	*at = s->servers[--s->n_servers];
}

/* The broker is told, and closes it when it is of no use any more. */
static void
on_listed(void *arg, uint64_t id, bool ok, struct str payload)
{
	struct role_state *s = arg;
	struct msg_server_listed m = { .server = id, .ok = ok };

	(void)peer_send(&s->links.broker, MSG_SERVER_LISTED, &m, payload, NULL,
	    0); /* a broker that is gone ends us */
}

static void
on_result(void *arg, uint64_t id, uint64_t call, enum server_result kind,
    struct str payload)
{
	struct role_state *s = arg;
	struct msg_server_result m = {
		.server = id, .call = call, .kind = kind
	};

	(void)peer_send(&s->links.broker, MSG_SERVER_RESULT, &m, payload, NULL,
	    0); /* as above */
}

static void
on_progress(void *arg, uint64_t id, uint64_t call, struct str payload)
{
	struct role_state *s = arg;
	struct msg_server_part m = { .server = id, .call = call };

	(void)peer_send(&s->links.broker, MSG_SERVER_PROGRESS, &m, payload,
	    NULL, 0); /* as above */
}

static void
on_updated(void *arg, uint64_t id, struct str uri)
{
	struct role_state *s = arg;
	const struct msg_server m = { .server = id };

	(void)peer_send(&s->links.broker, MSG_SERVER_UPDATED, &m, uri, NULL,
	    0); /* as above */
}

static void
on_line(void *arg, uint64_t id, int fd)
{
	struct role_state *s = arg;
	const struct msg_server m = { .server = id };
	own_fd int mine = fd;

	(void)peer_send(&s->links.broker, MSG_SERVER_LINE, &m, STR(""), &mine,
	    1); /* as above */
}

static struct server **
find(struct role_state *s, uint64_t id)
{
	for (size_t i = 0; i < s->n_servers; i++)
		if (server_id(s->servers[i]) == id)
			return &s->servers[i];
	return NULL;
}
