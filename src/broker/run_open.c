/*
 * Opening a run: check everything first, then make the world, then the
 * sandbox, then the doors. Whatever fails on the way closes the run again,
 * with the reason on record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/ambient.h"
#include "broker/command.h"
#include "broker/egress.h"
#include "broker/export.h"
#include "broker/fault.h"
#include "broker/fork.h"
#include "broker/inside.h"
#include "broker/kill.h"
#include "broker/policies.h"
#include "broker/record.h"
#include "broker/rerun.h"
#include "broker/run.h"
#include "broker/run_int.h"
#include "broker/draft.h"
#include "broker/server.h"
#include "broker/spend.h"
#include "broker/who.h"
#include "core/egress.h"
#include "image/config.h"
#include "sys/fd.h"

static const char see_members[] =
    "See docs/openapi.json for the members of a run.";

static bool members_known(uint64_t call, const struct json *args);
static const struct json *image_command(
    const struct image_config *image, struct arena *a, struct err *e);
static struct run *make(
    const struct caller *who, uint64_t call, struct policy *policy);
static bool make_token(struct run *r, char text[static 80]);
static bool record_opened(struct run *r, const char *world);
static int start_world(struct run *r, const struct json *world, struct err *e);
static int send_world(struct run *r, struct err *e);
static void start_sandbox(struct run *r);
static void record_walls(const struct run *r);
static void opened(struct run *r);
static void list_tools(struct run *r, struct str definitions);
static void fail(struct run *r, uint32_t http, const char *code,
    const char *message, const char *next_step);

void
run_open(const struct caller *who, uint64_t call, const struct json *args,
    const struct frame *f)
{
	struct policy *policy, *added;
	const struct json *faults = json_get(args, STR("faults"));
	struct fork *fork = NULL;
	struct run *r;
	struct err e = {};

	if (broker.quitting || broker.quit_when_idle) {
		reply_error(call, 503, "ending", "This daemon is ending.",
		    "Try again in a moment.");
		return;
	}
	if (broker.n_runs >= RUNS_MAX) {
		reply_error(call, 503, "too_many_runs",
		    "As many runs are open as one node takes.",
		    "Stop one: `paddock ps`, `paddock stop RUN`.");
		return;
	}
	if (!members_known(call, args))
		return;
	if (json_get(args, STR("fork")) != NULL) {
		faults = json_at(args, "fork", "faults", NULL);
		if (!fork_take(who, call, args, &fork, &policy))
			return;
	} else {
		policy = json_get(args, STR("replay")) != NULL
		    ? rerun_policy_take(who, call, args, &fork)
		    : run_policy_take(call, args);
		if (policy == NULL)
			return;
	}
	if (!caller_may_open(who, call, policy) || kill_refuses(call, policy) ||
	    !run_mounts_take(call, args, policy, &added)) {
		policy_free(policy);
		fork_free(fork);
		return;
	}
	r = make(who, call, policy);
	r->added = added;
	r->fork = fork;
	if (json_bool(json_get(args, STR("attach")), false))
		r->attached = call;
	r->stays = json_bool(json_get(args, STR("sandbox")), false);
	for (size_t i = 0; i < f->n_fds; i++)
		r->start_fds[r->n_start_fds++] = fd_take(&f->fds[i]);
	if (spend_open(r, &e) < 0) {
		run_refuse(r, 500, "store_failed", e.text,
		    "An operator must look at the disk.");
		return;
	}
	if (fork != NULL && fork_apply(r, &e) < 0) {
		run_refuse(r, 409, "no_fork", e.text,
		    "See docs/SNAPSHOTS.md for what a fork can be.");
		return;
	}
	if (box_take(r, args, &e) < 0 || egress_replay_take(r, args, &e) < 0 ||
	    rerun_take(r, json_get(args, STR("replay")), &e) < 0 ||
	    (faults != NULL && faults_add(r, faults, "", &e) < 0) ||
	    (fork != NULL && fork_replay(r, &e) < 0) ||
	    run_input_take(r, args, &e) < 0) {
		run_refuse(r, 400, "bad_request", e.text, see_members);
		return;
	}
	if (r->policy->n_secrets > 0 && r->rerun == NULL &&
	    (r->stays || json_get(args, STR("argv")) != NULL ||
		servers_want_secrets(r->policy))) {
		json_write(&r->request, args);
		run_secrets_ask(r);
		return;
	}
	run_open_image(r, args);
}

void
run_open_image(struct run *r, const struct json *args)
{
	if (!str_eq(r->policy->sandbox.image, STR("host")) &&
	    (r->stays || json_get(args, STR("argv")) != NULL)) {
		/* What came lies in the frame's memory, and is needed when
		 * the image is there. */
		json_write(&r->request, args);
		run_image_ask(r);
		return;
	}
	run_go_on(r, args, NULL, NULL);
}

void
run_go_on(struct run *r, const struct json *args,
    const struct image_config *image, struct arena *a)
{
	const struct json *world = json_get(args, STR("world"));
	const struct json *argv = json_get(args, STR("argv"));
	own_arena struct arena empty = {};
	struct err e = {};

	if (image != NULL && json_is(argv, JSON_ARRAY) && argv->n == 0) {
		argv = image_command(image, a, &e);
		if (argv == NULL) {
			run_refuse(r, 400, "bad_command", e.text,
			    "Give `argv`, or an image that has a command.");
			return;
		}
	}
	if (argv != NULL &&
	    !inside_may_start(r, r->requester, r->open_call, argv)) {
		run_forget(r);
		return;
	}
	if (run_start_take(r, args, argv, image, &e) < 0) {
		run_refuse(r, 400, "bad_command", e.text, see_members);
		return;
	}
	if (r->rerun == NULL && servers_take(r, image, &e) < 0) {
		run_refuse(r, 400, "bad_server", e.text,
		    "See docs/MCP.md for what a policy says of its tool "
		    "servers.");
		return;
	}
	if (world != NULL && !json_is(world, JSON_OBJECT)) {
		run_refuse(r, 400, "bad_world", "`world` is not an object.",
		    "See docs/WORLD.md.");
		return;
	}
	/* An empty one: it lists tools, and is never called. */
	if (r->rerun != NULL && r->fork == NULL && rerun_had_world(r->rerun))
		world = json_parse(
		    STR("{\"now\":\"2000-01-01T00:00:00Z\",\"world\":1}"), NULL,
		    &empty, &e, NULL);
	if (r->fork != NULL && r->fork->files && !r->has_sandbox) {
		run_refuse(r, 400, "bad_request",
		    "The parent has a sandbox, so its fork has one: it goes "
		    "on with files.",
		    "Give `argv`, or make it with POST /v1/sandboxes.");
		return;
	}
	if (r->fork != NULL && r->fork->has_world && world != NULL) {
		run_refuse(r, 400, "bad_request",
		    "The parent has a world, and its fork goes on with that.",
		    "Leave `world` out.");
		return;
	}
	if (!record_opened(r,
		world != NULL				    ? "seeded"
		    : r->fork != NULL && r->fork->has_world ? "forked"
							    : "none")) {
		run_refuse(r, 503, "store_failed",
		    "The store takes no more records.",
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	if (r->fork != NULL) { /* run_fork_go follows */
		if (world != NULL)
			json_write(&r->world, world);
		return;
	}
	servers_start(r); /* beside what follows */
	if (world == NULL) {
		start_sandbox(r);
	} else if (start_world(r, world, &e) < 0) {
		fail(r, 500, "world_failed", e.text, "Try again.");
	}
}

void
run_fork_go(struct run *r)
{
	struct err e = {};

	servers_start(r); /* beside what follows */
	if (r->world.n == 0 && r->fork->world < 0)
		start_sandbox(r);
	else if (send_world(r, &e) < 0)
		fail(r, 500, "world_failed", e.text, "Try again.");
}

void
run_fork_fail(struct run *r, const char *why)
{
	fail(r, 409, "snapshot_damaged", why,
	    "Take another snapshot, or fork an earlier one: `paddock snapshot "
	    "ls RUN`.");
}

void
run_refuse(struct run *r, uint32_t http, const char *code, const char *message,
    const char *next_step)
{
	uint64_t call = r->open_call;

	run_forget(r);
	reply_error(call, http, code, message, next_step);
}

void
on_world_opened(const struct msg_world_opened *m, struct str payload)
{
	struct run *r = run_find(m->run);
	own_buf struct buf text = {};

	if (r == NULL || r->state != RUN_OPENING)
		return;
	if (!m->ok) {
		buf_add_str(&text, payload);
		r->has_world = false;
		fail(r, 400, "bad_world", buf_c(&text),
		    "Mend the world document; docs/WORLD.md has its form.");
		return;
	}
	list_tools(r, payload);
	start_sandbox(r);
}

void
on_sandbox_started(const struct msg_sandbox_started *m, const struct frame *f)
{
	struct run *r = run_find(m->run);
	struct msg_sandbox_kill kill = { .run = m->run };

	if (server_started(m, f))
		return;
	if (r != NULL)
		fd_fini(&r->image_fd); /* the sandbox holds it now */
	if (r == NULL || r->state == RUN_CLOSED) {
		/* Stopped while it was being made. */
		if (m->ok)
			(void)peer_send(&broker.supervisor, MSG_SANDBOX_KILL,
			    &kill, STR(""), NULL, 0); /* its loss ends us */
		return;
	}
	if (!m->ok) {
		own_buf struct buf text = {};

		buf_add_str(&text, f->payload);
		r->sandbox_sent = false;
		fail(r, 500, "sandbox_failed", buf_c(&text),
		    "`paddock doctor` says what this machine gives.");
		return;
	}
	if (f->n_fds >= 3) {
		r->door_fd = fd_take(&f->fds[0]);
		while (r->n_net_fds < f->n_fds - 2) {
			r->net_fds[r->n_net_fds] =
			    fd_take(&f->fds[1 + r->n_net_fds]);
			r->n_net_fds++;
		}
		r->rpc_fd = fd_take(&f->fds[f->n_fds - 1]);
	}
	r->posture = m->posture;
	record_walls(r);
	if (r->state == RUN_STOPPING) {
		(void)peer_send(&broker.supervisor, MSG_SANDBOX_KILL, &kill,
		    STR(""), NULL, 0); /* its loss ends us */
		return;
	}
	run_doors_open(r, &broker.gateway);
	run_doors_open(r, &broker.proxy);
	opened(r);
}

static bool
members_known(uint64_t call, const struct json *args)
{
	static const char *const names[] = { "argv", "attach", "cpu", "disk_mb",
		"env", "faults", "fork", "idle_ms", "image", "memory_mb",
		"mount_folders", "mounts", "pids", "policy", "policy_format",
		"policy_name", "policy_text", "ports", "prompt", "replay",
		"replay_http", "replay_miss", "sandbox", "tags", "ttl_ms",
		"workspace", "world", "write_back" };

	for (const struct json *k = json_first(args); k != NULL;
	     k = json_next(args, k)) {
		char text[200];
		bool known = false;

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			known |= str_eq_c(json_str(k), names[i]);
		if (known)
			continue;
		(void)snprintf(text, sizeof(text), "Unknown member `%.*s`.",
		    (int)(json_str(k).n > 100 ? 100 : json_str(k).n),
		    json_str(k).p);
		reply_error(call, 400, "bad_request", text,
		    "See docs/openapi.json for the members of a run.");
		return false;
	}
	return true;
}

static struct run *
make(const struct caller *who, uint64_t call, struct policy *policy)
{
	struct run *r = calloc(1, sizeof(*r));

	must(r != NULL);
	r->id = random_id();
	id_text('r', r->id, r->text);
	r->policy = policies_take(policy);
	hash_hex(&r->policy->version, r->policy_hex);
	r->budget = r->policy->budgets;
	memcpy(r->requester, who->name, sizeof(r->requester));
	r->open_call = call;
	r->door_fd = r->rpc_fd = r->image_fd = -1;
	r->opened_ns = clock_utc_ns();
	r->opened_mono_ns = clock_mono_ns();
	r->runtime.on_time = run_on_runtime;
	r->grace.on_time = run_on_grace;
	r->orphan.on_time = run_on_orphan;
	(void)snprintf(r->status, sizeof(r->status), "open");
	r->next = broker.runs;
	broker.runs = r;
	broker.n_runs++;
	return r;
}

/* What the image itself says it runs, as a request would. */
static const struct json *
image_command(const struct image_config *image, struct arena *a, struct err *e)
{
	const char *const *const lists[] = { image->entrypoint, image->cmd };
	own_buf struct buf text = {};
	const char *kept;

	buf_add_byte(&text, '[');
	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (size_t i = 0; lists[l][i] != NULL; i++) {
			if (text.n > 1)
				buf_add_byte(&text, ',');
			json_put_str(&text, str_of(lists[l][i]));
		}
	}
	if (text.n == 1) {
		(void)err_set(
		    e, "`argv` is empty, and the image names no command");
		return NULL;
	}
	buf_add_byte(&text, ']');
	kept = arena_copy(a, buf_str(&text));
	if (kept == NULL) {
		(void)err_set(e, "the command of the image is too long");
		return NULL;
	}
	return json_parse((struct str){ kept, text.n }, NULL, a, e, NULL);
}

/* An agent outside proves which run it is with this; only its hash stays. */
static bool
make_token(struct run *r, char text[static 80])
{
	char hex[HASH_HEX_BYTES];
	struct hash random;
	struct store_token t = { .run = r->id };

	must(getrandom(random.b, sizeof(random.b), 0) == sizeof(random.b));
	hash_hex(&random, hex);
	(void)snprintf(text, 80, "pdr_%s", hex);
	r->token = hash_of(text, strlen(text));
	r->has_token = true;
	t.hash = r->token;
	t.tenant = r->policy->identity.tenant;
	t.actor = r->policy->identity.actor;
	t.role = STR("agent");
	return store_put_token(broker.store, &t) == 0;
}

static bool
record_opened(struct run *r, const char *world)
{
	own_buf struct buf body = {};
	struct event ev = record_of(r, EVENT_RUN_OPENED);

	buf_add_byte(&body, '{');
	if (r->policy->identity.n_attributes > 0) {
		buf_add_c(&body, "\"attributes\":");
		identity_attributes_write(&body, &r->policy->identity);
		buf_add_byte(&body, ',');
	}
	buf_add_c(&body, "\"command\":");
	json_put_str(&body, str_of(r->command));
	if (r->has_image)
		run_image_write(&body, r);
	buf_add_str(&body, buf_str(&r->mounts));
	buf_add_c(&body, ",\"opened_by\":");
	json_put_str(&body, str_of(r->requester));
	if (r->rerun != NULL)
		rerun_write(&body, r->rerun);
	if (r->box.tags.n > 0) {
		buf_add_c(&body, ",\"tags\":");
		buf_add_str(&body, buf_str(&r->box.tags));
	}
	buf_printf(&body, ",\"world\":\"%s\"}", world);
	ev.body = buf_str(&body);
	r->recorded = store_put_policy(broker.store, &r->policy->version,
			  r->policy->canonical) == 0 &&
	    record_add(&ev) != 0 && run_store(r) == 0 && run_input_record(r) &&
	    faults_record(r) && (r->fork == NULL || fork_record(r));
	return r->recorded;
}

static int
start_world(struct run *r, const struct json *world, struct err *e)
{
	json_write(&r->world, world);
	if (r->world.failed || r->world.n > IPC_MAX_PAYLOAD_BYTES)
		return err_set(e, "the world document is over %d bytes",
		    IPC_MAX_PAYLOAD_BYTES);
	return send_world(r, e);
}

/* Without a link the document waits for one: see run_world_back. */
static int
send_world(struct run *r, struct err *e)
{
	struct msg_world_open m = { .run = r->id };
	struct fork *saved =
	    r->fork != NULL && r->fork->world >= 0 ? r->fork : NULL;
	own_fd int fd = -1;

	if (!peer_is_open(&broker.world))
		return 0;
	if (saved != NULL) {
		m.saved = 1;
		fd = fd_take(&saved->world);
	} else {
		fd = memfd_create("world", MFD_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(e, "memfd_create");
	if (peer_send(&broker.world, MSG_WORLD_OPEN, &m, buf_str(&r->world),
		&fd, 1) < 0) {
		if (saved != NULL)
			saved->world = fd_take(&fd);
		return 0;
	}
	r->has_world = true;
	buf_fini(&r->world);
	return 0;
}

void
run_world_back(void)
{
	struct run *next;

	for (struct run *r = broker.runs; r != NULL; r = next) {
		struct err e = {};

		next = r->next;
		if (r->state == RUN_OPENING &&
		    (r->fork == NULL ? r->world.n > 0
				     : r->fork->ready &&
				(r->world.n > 0 || r->fork->world >= 0)) &&
		    send_world(r, &e) < 0)
			fail(r, 500, "world_failed", e.text, "Try again.");
	}
}

void
run_proxy_back(void)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->state == RUN_OPENING && r->ca_asked && !r->has_ca)
			start_sandbox(r);
	}
}

void
on_ca(const struct msg_door *m, struct str pem)
{
	struct run *r = run_find(m->run);
	struct err e = {};
	int fd;

	if (m->server != 0) {
		server_net_ca(m, pem);
		return;
	}
	if (r == NULL || r->state != RUN_OPENING || r->has_ca)
		return;
	fd = pem.n > 0 ? fd_sealed(pem.p, pem.n, &e) : -1;
	if (fd < 0) {
		fail(r, 500, "no_ca",
		    pem.n > 0 ? e.text : "the proxy could not make a CA",
		    "Try again, or let no rule look into TLS.");
		return;
	}
	must(r->n_start_fds < sizeof(r->start_fds) / sizeof(r->start_fds[0]));
	r->start_fds[r->n_start_fds++] = fd;
	r->start_msg.flags |= START_CA;
	r->has_ca = true;
	start_sandbox(r);
}

static void
start_sandbox(struct run *r)
{
	if (!r->has_sandbox) {
		opened(r);
		return;
	}
	if (egress_inspects(r->policy) && !r->has_ca) {
		/* on_ca comes back here. */
		const struct msg_door m = { .run = r->id };
		own_buf struct buf hosts = {};

		egress_ca_write(&hosts, r->policy);
		r->ca_asked = true;
		(void)peer_send(&broker.proxy, MSG_CA_NEW, &m, buf_str(&hosts),
		    NULL, 0); /* a new proxy is asked again */
		return;
	}
	r->sandbox_sent = true;
	(void)peer_send(&broker.supervisor, MSG_SANDBOX_START, &r->start_msg,
	    buf_str(&r->start), r->start_fds,
	    r->n_start_fds); /* its loss ends us */
	run_drop_start(r);
}

/* Now, and not with its end alone: that may be written by another broker, who
 * has only what is on record. */
static void
record_walls(const struct run *r)
{
	own_buf struct buf body = {};
	struct event ev = record_of(r, EVENT_NOTE);

	buf_add_c(&body, "{\"note\":\"sandbox.started\"");
	run_walls_write(&body, r);
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	if (record_add(&ev) == 0)
		log_error("walls not recorded run=%s", r->text);
}

/* All parts are there: the run's clock starts, and its opener hears of it. */
static void
opened(struct run *r)
{
	own_buf struct buf out = {}, ambient = {};
	char token[80];

	r->state = RUN_OPEN;
	r->opened_mono_ns = clock_mono_ns();
	run_arm_runtime(r);
	box_opened(r);
	ambient_list(&ambient, r->policy);
	if (r->listed.n == 0 &&
	    (r->servers != NULL || commands_any(r->policy) ||
		r->rerun != NULL || ambient.n > 0 ||
		(r->has_sandbox &&
		    policy_tool_find(r->policy, STR("files.export")) != NULL)))
		list_tools(r, STR("[]")); /* there is no world to have any */
	if (!r->has_sandbox && !make_token(r, token)) {
		fail(r, 503, "store_failed", "The store takes no more records.",
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	run_write(&out, r);
	if (r->has_token) {
		must(out.n > 0 && out.p[out.n - 1] == '}');
		out.n--;
		buf_printf(&out, ",\"token\":\"%s\"}", token);
	}
	reply(r->open_call, REPLY_OK, 201, buf_str(&out));
	r->open_call = 0;
}

/*
 * The agent sees the tools of its world that its policy lists and does not
 * block outright, and approval.wait for what a person decides.
 */
static void
list_tools(struct run *r, struct str definitions)
{
	static const char wait[] =
	    "{\"description\":\"Wait for a person's decision on an earlier "
	    "call and read its result. Give the approval_id that the call "
	    "answered.\",\"inputSchema\":{\"additionalProperties\":false,"
	    "\"properties\":{\"approval_id\":{\"type\":\"string\"}},"
	    "\"required\":[\"approval_id\"],\"type\":\"object\"},"
	    "\"name\":\"approval.wait\"}";
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *tools = json_parse(definitions, NULL, &a, &e, NULL);
	const struct policy_tool *row;

	if (!json_is(tools, JSON_ARRAY)) {
		log_error(
		    "tools of the world not understood why=\"%s\"", e.text);
		return;
	}
	r->tools = calloc(tools->n + 1, sizeof(*r->tools));
	must(r->tools != NULL);
	/* In front: its name sorts before those of every fake service. */
	buf_add_byte(&r->listed, '[');
	buf_add_c(&r->listed, wait);
	row = policy_tool_find(r->policy, STR("files.export"));
	if (r->has_sandbox && row != NULL && row->mode != VERDICT_BLOCK) {
		buf_add_byte(&r->listed, ',');
		buf_add_c(&r->listed, export_definition);
	}
	ambient_list(&r->listed, r->policy);
	for (const struct json *t = json_first(tools); t != NULL;
	     t = json_next(tools, t)) {
		struct str name = json_str(json_get(t, STR("name")));

		row = policy_tool_find(r->policy, name);
		if (str_copy(name, r->tools[r->n_tools].name, NAME_MAX_BYTES) <
		    0)
			continue;
		r->n_tools++;
		if (row == NULL || row->mode == VERDICT_BLOCK)
			continue;
		buf_add_byte(&r->listed, ',');
		json_write(&r->listed, t);
	}
	for (const struct json *t = json_first(tools); t != NULL;
	     t = json_next(tools, t)) {
		for (uint32_t i = 0; i < r->policy->n_tools; i++) {
			row = &r->policy->tools[i];
			if (row->commit.n > 0 &&
			    str_eq(row->commit,
				json_str(json_get(t, STR("name")))))
				draft_list(&r->listed, row, t);
		}
	}
	if (r->rerun != NULL)
		rerun_write_tools(&r->listed, r);
	buf_add_byte(&r->listed, ']');
}

/* Opening did not work: the run closes as failed, its opener reads why. */
static void
fail(struct run *r, uint32_t http, const char *code, const char *message,
    const char *next_step)
{
	uint64_t call = r->open_call;

	r->open_call = 0;
	(void)snprintf(r->status, sizeof(r->status), "failed");
	(void)snprintf(r->stop_reason, sizeof(r->stop_reason), "%s", code);
	run_close(r);
	reply_error(call, http, code, message, next_step);
}
