#include "broker/server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "base/walls.h"
#include "broker/call.h"
#include "broker/record.h"
#include "broker/run_int.h"
#include "broker/server_int.h"
#include "broker/subscribe.h"
#include "image/config.h"
#include "sys/fd.h"

enum { NS_PER_MS = 1000 * 1000 };

static int prepare(struct tool_server *s, const struct run *r,
    const struct image_config *image, struct err *e);
static bool sees(const struct tool_server *s, struct str place);
static int take_workspace(
    struct tool_server *s, const struct run *r, struct err *e);
static int take_mounts(
    struct tool_server *s, const struct run *r, struct err *e);
static int keep(struct tool_server *s, int fd, struct err *e);
static void add_word(struct tool_server *s, struct str word);
static void start(struct tool_server *s, const struct run *r);
static void down(struct tool_server *s, struct run *r, struct str why);
static void left(struct tool_server *s, struct run *r);
static bool lives(const struct run *r);
static void drop_sandbox(struct tool_server *s);
static void on_timer(struct loop_timer *t);
static void sweep(struct run *r);
static bool record_ready(
    struct tool_server *s, const struct run *r, struct str body);
static void record_down(
    const struct tool_server *s, const struct run *r, struct str why);

int
servers_take(struct run *r, const struct image_config *image, struct err *e)
{
	struct tool_server **last = &r->servers;

	for (uint32_t i = 0; i < r->policy->n_servers; i++) {
		struct tool_server *s = calloc(1, sizeof(*s));

		must(s != NULL);
		s->run = r->id;
		s->row = &r->policy->servers[i];
		s->timer.on_time = on_timer;
		s->state = SERVER_ENDED; /* until it is started */
		s->ca_fd = -1;
		*last = s;
		last = &s->next;
		if (prepare(s, r, image, e) < 0)
			return err_add(
			    e, "tool server %.*s", STR_FMT(s->row->name));
	}
	return 0;
}

void
servers_start(struct run *r)
{
	for (struct tool_server *s = r->servers; s != NULL; s = s->next)
		start(s, r);
}

void
servers_end(struct run *r)
{
	subscribe_end_run(r);
	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		s->state = SERVER_ENDED;
		s->leaving = false;
		s->known = true;
		loop_timer_clear(broker.loop, &s->timer);
		drop_sandbox(s);
		server_calls_end(
		    s, "The run ended before the tool server answered", false);
	}
	servers_release(r);
}

bool
servers_leave(struct run *r)
{
	bool any = false;

	if (r->has_left)
		return false;
	r->has_left = true;
	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		const struct msg_server m = { .server = s->id };

		if (s->state != SERVER_READY || s->row->rule == NULL ||
		    s->row->api != NULL)
			continue;
		any = s->leaving = true;
		(void)peer_send(&broker.tools, MSG_SERVER_LEAVE, &m, STR(""),
		    NULL, 0); /* a role that is gone has no session */
	}
	return any;
}

bool
server_is_leaving(const struct run *r, uint64_t server)
{
	for (const struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (s->id == server && s->leaving)
			return r->state != RUN_CLOSED;
	}
	return false;
}

bool
servers_gone(const struct run *r)
{
	for (const struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (s->sandbox)
			return false;
	}
	return true;
}

void
servers_free(struct run *r)
{
	while (r->servers != NULL) {
		struct tool_server *s = r->servers;

		r->servers = s->next;
		loop_timer_clear(broker.loop, &s->timer);
		server_tools_free(s);
		server_lists_free(s);
		server_net_close(s);
		buf_fini(&s->words);
		while (s->n_fds > 0)
			fd_fini(&s->fds[--s->n_fds]);
		free(s);
	}
	servers_hold_free(r);
}

void
on_server_pipes(const struct msg_server *m, const struct frame *f)
{
	struct tool_server *s = server_find(m->server, NULL);
	int fds[3 + 1 + MOUNTS_MAX + 1];
	size_t n = 0;

	if (s == NULL || s->state != SERVER_STARTING || s->sandbox)
		return; /* it was stopped meanwhile */
	for (size_t i = 0; i < 3; i++)
		fds[n++] = f->fds[i];
	for (size_t i = 0; i < s->n_fds; i++)
		fds[n++] = s->fds[i];
	if (s->ca_fd >= 0) {
		s->start.flags |= START_CA;
		fds[n++] = s->ca_fd;
	}
	s->start.run = s->id;
	s->sandbox = true;
	(void)peer_send(&broker.supervisor, MSG_SANDBOX_START, &s->start,
	    buf_str(&s->words), fds, n); /* its loss ends us */
	fd_fini(&s->ca_fd);
}

void
on_server_listed(const struct msg_server_listed *m, struct str payload)
{
	struct run *r = NULL;
	struct tool_server *s = server_find(m->server, &r);
	own_arena struct arena a = {};
	own_buf struct buf body = {};
	struct err e = {};
	const struct json *list;
	bool back;

	if (s == NULL ||
	    (s->state != SERVER_STARTING && s->state != SERVER_READY))
		return;
	if (!m->ok && s->leaving) {
		left(s, r);
		return;
	}
	if (!m->ok) {
		down(s, r, payload);
		return;
	}
	a.max_bytes = WORLD_MAX_PARSE_BYTES;
	list = json_parse(payload, NULL, &a, &e, NULL);
	buf_add_c(&body, "{\"era\":");
	json_put_str(&body, json_str(json_get(list, STR("era"))));
	buf_add_c(&body, ",\"note\":\"server\"");
	if (server_tools_take(s, r, list, &body) < 0 ||
	    server_lists_take(s, list, &body) < 0) {
		down(s, r, STR("its list of tools was not understood"));
		return;
	}
	buf_add_c(&body, ",\"server\":");
	json_put_str(&body, s->row->name);
	buf_add_c(&body, ",\"state\":\"ready\"}");
	if (body.failed || !record_ready(s, r, buf_str(&body))) {
		/* What it offers has to be known to whoever asks later. */
		down(s, r, STR("its tools could not be recorded"));
		return;
	}
	loop_timer_clear(broker.loop, &s->timer);
	back = s->state != SERVER_READY;
	s->state = SERVER_READY;
	if (back)
		subscribe_server_ready(s);
	server_lists_tell(s, r);
	s->known = true;
	server_calls_send(s);
	servers_release(r);
}

bool
server_started(const struct msg_sandbox_started *m, const struct frame *f)
{
	struct run *r = NULL;
	struct tool_server *s = server_find(m->run, &r);

	if (s == NULL)
		return false;
	if (m->ok) {
		/* Without a door its network is nobody's. */
		if (s->row->network &&
		    (s->state == SERVER_STARTING || s->state == SERVER_READY))
			server_net_open(s, r, f);
		return true;
	}
	s->sandbox = false;
	if (s->state == SERVER_STARTING)
		down(s, r, f->payload);
	else
		sweep(r);
	return true;
}

bool
server_exited(const struct msg_sandbox_exited *m)
{
	struct run *r = NULL;
	struct tool_server *s = server_find(m->run, &r);

	if (s == NULL)
		return false;
	s->sandbox = false;
	/* Before its pipes' end is told of, or after. */
	if (s->state == SERVER_RESTING && s->rest_until_ns <= clock_mono_ns())
		start(s, r);
	else if (s->state == SERVER_ENDED)
		sweep(r);
	return true;
}

void
servers_lost(void)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (struct tool_server *s = r->servers; s != NULL;
		     s = s->next) {
			if (s->state != SERVER_STARTING &&
			    s->state != SERVER_READY)
				continue;
			if (s->ends > 0)
				s->ends--; /* it is none of its faults */
			down(s, r, STR("the role that talks to it ended"));
		}
	}
}

/* In the order that struct msg_sandbox_start has. */
static int
prepare(struct tool_server *s, const struct run *r,
    const struct image_config *image, struct err *e)
{
	static const char *const usual[] = {
		"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/tmp"
	};
	const struct policy_sandbox *limits = &r->policy->sandbox;
	struct msg_sandbox_start *m = &s->start;

	if (s->row->rule != NULL)
		return 0; /* it runs elsewhere */
	for (uint32_t i = 0; i < s->row->n_command; i++)
		add_word(s, s->row->command[i]);
	m->argc = s->row->n_command;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		add_word(s, str_of(usual[i]));
	for (uint32_t i = 0; i < s->row->n_env; i++)
		add_word(s, s->row->env[i]);
	m->envc = sizeof(usual) / sizeof(usual[0]) + s->row->n_env;
	server_net_prepare(s, r);
	if (limits->limits_required)
		m->flags |= START_LIMITS_REQUIRED;
	m->required = limits->walls_required & ~(uint32_t)WALLS_ASKED;
	if (s->row->n_mounts > 0 && !r->has_sandbox)
		return err_set(e,
		    "it is to see folders of the run's sandbox, and the run "
		    "has none: open it with a command or a sandbox, or remove "
		    "`mounts`");
	if (take_workspace(s, r, e) < 0)
		return -1;
	if (image != NULL) {
		char hex[HASH_HEX_BYTES];

		m->flags |= START_IMAGE;
		hash_hex(&r->image, hex);
		add_word(s, str_of(hex));
		add_word(s, str_of(image->account));
		add_word(s, str_of(image->home));
	}
	for (uint32_t i = 0; i < limits->n_rules; i++)
		add_word(s, limits->rules[i]);
	m->rules = limits->n_rules;
	if (take_mounts(s, r, e) < 0)
		return -1;
	if (s->words.failed || s->words.n > ARGV_MAX_BYTES)
		return err_set(e, "its command and variables are over %d bytes",
		    ARGV_MAX_BYTES);
	m->tenant = r->start_msg.tenant;
	m->workflow = r->start_msg.workflow;
	m->owner = r->id;
	m->memory_bytes = s->row->memory_bytes;
	m->disk_bytes = s->row->memory_bytes / 2;
	m->inodes = limits->inodes;
	m->open_files = limits->open_files;
	m->cpu_milli = limits->cpu_milli;
	m->cpu_weight = limits->cpu_weight;
	m->pids = s->row->pids;
	return 0;
}

static bool
sees(const struct tool_server *s, struct str place)
{
	for (uint32_t i = 0; i < s->row->n_mounts; i++) {
		if (str_eq(s->row->mounts[i], place))
			return true;
	}
	return false;
}

/* Where it is in the run; what it writes there stays in its own sandbox. */
static int
take_workspace(struct tool_server *s, const struct run *r, struct err *e)
{
	if (!sees(s, STR("workspace")))
		return 0;
	if ((r->start_msg.flags & START_WORKSPACE) == 0)
		return err_set(e,
		    "it is to see the work folder, and the run has none: give "
		    "it one, or remove \"workspace\" from `mounts`");
	s->start.flags |= START_WORKSPACE;
	add_word(s, buf_str(&r->workspace));
	return keep(s, r->start_fds[r->start_msg.argc > 0 ? 3 : 0], e);
}

static int
take_mounts(struct tool_server *s, const struct run *r, struct err *e)
{
	const struct policy_sandbox *all = &r->policy->sandbox;
	const size_t first = (r->start_msg.argc > 0 ? 3 : 0) +
	    ((r->start_msg.flags & START_WORKSPACE) != 0);

	for (uint32_t i = 0; i < all->n_mounts; i++) {
		const struct policy_mount *m = &all->mounts[i];

		if (!sees(s, m->to))
			continue;
		if (keep(s, r->start_fds[first + i], e) < 0)
			return -1;
		buf_add_byte(&s->words, m->mode);
		buf_add_byte(&s->words, m->noexec ? '-' : 'x');
		add_word(s, m->to);
		s->start.mounts++;
	}
	return 0;
}

/* Another descriptor of the same folder: the run's own go when it starts. */
static int
keep(struct tool_server *s, int fd, struct err *e)
{
	int mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (mine < 0)
		return err_sys(e, "F_DUPFD_CLOEXEC");
	s->fds[s->n_fds++] = mine;
	return 0;
}

static void
add_word(struct tool_server *s, struct str word)
{
	buf_add_str(&s->words, word);
	buf_add_byte(&s->words, '\0');
}

struct tool_server *
server_find(uint64_t id, struct run **out)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (struct tool_server *s = r->servers; s != NULL;
		     s = s->next) {
			if (s->id != id)
				continue;
			if (out != NULL)
				*out = r;
			return s;
		}
	}
	return NULL;
}

static void
start(struct tool_server *s, const struct run *r)
{
	s->state = SERVER_STARTING;
	s->id = random_id();
	loop_timer_set(broker.loop, &s->timer,
	    clock_mono_ns() + (int64_t)s->row->start_ms * NS_PER_MS);
	if (s->row->rule != NULL)
		server_http_open(s, r);
	else if (!server_net_waits(s, r))
		server_begin(s);
}

void
server_begin(struct tool_server *s)
{
	const struct msg_server m = { .server = s->id };

	(void)peer_send(&broker.tools, MSG_SERVER_OPEN, &m, STR(""), NULL,
	    0); /* without a link the timer ends it, and it is tried again */
}

/* The last one lets the run close. */
static void
left(struct tool_server *s, struct run *r)
{
	s->leaving = false;
	for (const struct tool_server *o = r->servers; o != NULL; o = o->next) {
		if (o->leaving)
			return;
	}
	run_left(r);
}

/* It is of no use as it is: another one, later, or none any more. */
static void
down(struct tool_server *s, struct run *r, struct str why)
{
	int64_t rest_ms = SERVER_BACKOFF_MS;

	for (uint32_t i = 0; i < s->ends && rest_ms < SERVER_BACKOFF_MAX_MS / 2;
	     i++)
		rest_ms *= 2;
	s->ends++;
	s->state = s->ends <= s->row->restarts && lives(r) ? SERVER_RESTING
							   : SERVER_ENDED;
	if (s->state == SERVER_ENDED)
		s->known = true;
	drop_sandbox(s);
	s->busy = NULL;
	subscribe_server_down(s, s->state == SERVER_RESTING);
	server_calls_end(s, "The tool server ended before it answered",
	    s->state == SERVER_RESTING);
	record_down(s, r, why);
	s->rest_until_ns = clock_mono_ns() + rest_ms * NS_PER_MS;
	if (s->state == SERVER_RESTING)
		loop_timer_set(broker.loop, &s->timer, s->rest_until_ns);
	else
		loop_timer_clear(broker.loop, &s->timer);
	servers_release(r);
}

/* What kills a run kills its servers, too: they need not come back. */
static bool
lives(const struct run *r)
{
	return r->state == RUN_OPEN || r->state == RUN_OPENING;
}

/* The number stays until the sandbox's end has been told. */
static void
drop_sandbox(struct tool_server *s)
{
	const struct msg_server close = { .server = s->id };
	const struct msg_sandbox_kill kill = { .run = s->id };

	if (s->id == 0)
		return;
	server_net_close(s);
	if (s->row->rule != NULL)
		server_http_close(s);
	(void)peer_send(&broker.tools, MSG_SERVER_CLOSE, &close, STR(""), NULL,
	    0); /* a role that is gone has closed it */
	if (s->sandbox)
		(void)peer_send(&broker.supervisor, MSG_SANDBOX_KILL, &kill,
		    STR(""), NULL, 0); /* its loss ends us and the sandbox */
}

static void
on_timer(struct loop_timer *t)
{
	struct tool_server *s = LOOP_OF(t, struct tool_server, timer);
	struct run *r = run_find(s->run);

	must(r != NULL); /* it owns us */
	if (s->state == SERVER_STARTING) {
		s->known = true; /* whoever waits has waited enough */
		down(s, r, STR("it did not list its tools in time"));
	} else if (s->state == SERVER_RESTING && !s->sandbox) {
		start(s, r); /* else its sandbox's end does it */
	}
}

/* A closed run is let go when the last of it is gone. */
static void
sweep(struct run *r)
{
	if (r->state != RUN_CLOSED)
		return;
	run_sweep();
	broker_maybe_quit();
}

/* Once for each start, and for each list that is another. */
static bool
record_ready(struct tool_server *s, const struct run *r, struct str body)
{
	const struct hash hash = hash_of(body.p, body.n);
	struct event ev = record_of(r, EVENT_NOTE);

	if (s->state == SERVER_READY && hash_eq(&hash, &s->recorded))
		return true;
	s->recorded = hash;
	ev.body = body;
	return record_add(&ev) != 0;
}

static void
record_down(const struct tool_server *s, const struct run *r, struct str why)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};

	buf_add_c(&body, "{\"note\":\"server\",\"server\":");
	json_put_str(&body, s->row->name);
	buf_printf(&body, ",\"state\":\"%s\",\"why\":",
	    s->state == SERVER_RESTING ? "restarting" : "ended");
	json_put_str(&body, why);
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* it has no effect */
	log_warn("tool server down run=%s server=%.*s why=\"%.*s\"", r->text,
	    STR_FMT(s->row->name), STR_FMT(why));
}
