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
#include "broker/inside.h"
#include "broker/record.h"
#include "broker/run.h"
#include "broker/run_int.h"
#include "sys/fd.h"

/* Members of `sandbox` of a policy that a request without one may have. */
static const char *const plain_members[] = { "cpu", "disk_mb", "image",
	"memory_mb", "pids", "ports" };
enum { N_PLAIN = sizeof(plain_members) / sizeof(plain_members[0]) };

static bool members_known(uint64_t call, const struct json *args);
static struct policy *take_policy(uint64_t call, const struct json *args);
static bool plain_check(
    uint64_t call, const struct json *args, bool has_policy);
static void plain_policy_write(struct buf *out, const struct json *args);
static void answer_problems(uint64_t call, const struct policy_problems *all);
static struct run *make(
    const struct caller *who, uint64_t call, struct policy *policy);
static int take_command(struct run *r, const struct json *args,
    const struct frame *f, struct err *e);
static int add_env(
    struct buf *out, const struct json *env, uint32_t *n, struct err *e);
static bool env_name_ok(struct str name);
static void add_word(struct buf *out, struct str word);
static void describe_command(struct run *r, const struct json *argv);
static bool make_token(struct run *r, char text[static 80]);
static bool record_opened(struct run *r, const char *world);
static int start_world(struct run *r, const struct json *world, struct err *e);
static int send_world(struct run *r, struct err *e);
static void start_sandbox(struct run *r);
static void opened(struct run *r);
static void list_tools(struct run *r, struct str definitions);
static void fail(struct run *r, uint32_t http, const char *code,
    const char *message, const char *next_step);

void
run_open(const struct caller *who, uint64_t call, const struct json *args,
    const struct frame *f)
{
	const struct json *world = json_get(args, STR("world"));
	struct policy *policy;
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
	policy = take_policy(call, args);
	if (policy == NULL)
		return;
	r = make(who, call, policy);
	if (json_bool(json_get(args, STR("attach")), false))
		r->attached = call;
	if (box_take(r, args, &e) < 0) {
		run_forget(r);
		reply_error(call, 400, "bad_request", e.text,
		    "See docs/openapi.json for the members of a run.");
		return;
	}
	if (json_get(args, STR("argv")) != NULL &&
	    !inside_may_start(
		r, who->name, call, json_get(args, STR("argv")))) {
		run_forget(r);
		return;
	}
	if (take_command(r, args, f, &e) < 0) {
		run_forget(r);
		reply_error(call, 400, "bad_command", e.text,
		    "See docs/openapi.json for the members of a run.");
		return;
	}
	if (world != NULL && !json_is(world, JSON_OBJECT)) {
		run_forget(r);
		reply_error(call, 400, "bad_world", "`world` is not an object.",
		    "See docs/WORLD.md.");
		return;
	}
	if (!record_opened(r, world != NULL ? "seeded" : "none")) {
		run_forget(r);
		reply_error(call, 503, "store_failed",
		    "The store takes no more records.",
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	if (world == NULL) {
		start_sandbox(r);
	} else if (start_world(r, world, &e) < 0) {
		fail(r, 500, "world_failed", e.text, "Try again.");
	}
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
	if (f->n_fds == 3) {
		r->door_fd = fd_take(&f->fds[0]);
		r->proxy_fd = fd_take(&f->fds[1]);
		r->rpc_fd = fd_take(&f->fds[2]);
	}
	r->posture = m->posture;
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
		"env", "idle_ms", "image", "memory_mb", "pids", "policy",
		"policy_format", "policy_name", "policy_text", "ports",
		"sandbox", "tags", "ttl_ms", "workspace", "world",
		"write_back" };

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

/* The policy as text (lines and columns then are its author's) or object. */
static struct policy *
take_policy(uint64_t call, const struct json *args)
{
	static struct policy_problems problems;
	const struct json *text = json_get(args, STR("policy_text"));
	const struct json *object = json_get(args, STR("policy"));
	struct str format = json_str(json_get(args, STR("policy_format")));
	own_buf struct buf canonical = {};
	struct policy *p;

	if (!plain_check(call, args, text != NULL || object != NULL))
		return NULL;
	if (text == NULL && object == NULL &&
	    json_bool(json_get(args, STR("sandbox")), false)) {
		plain_policy_write(&canonical, args);
		p = policy_new(buf_str(&canonical), POLICY_JSON, &problems);
		if (p == NULL)
			answer_problems(call, &problems);
		return p;
	}
	if ((text != NULL) == (object != NULL) ||
	    (text != NULL && !json_is(text, JSON_STRING)) ||
	    (object != NULL && !json_is(object, JSON_OBJECT))) {
		reply_error(call, 400, "no_policy",
		    "A run needs exactly one policy.",
		    "Give `policy`, an object, or `policy_text` with "
		    "`policy_format` \"json\" or \"yaml\".");
		return NULL;
	}
	if (object != NULL)
		json_write(&canonical, object);
	p = policy_new(object != NULL ? buf_str(&canonical) : json_str(text),
	    str_eq(format, STR("yaml")) ? POLICY_YAML : POLICY_JSON, &problems);
	if (p == NULL)
		answer_problems(call, &problems);
	return p;
}

/* Limits are the policy's; without one they may stand beside `sandbox`. */
static bool
plain_check(uint64_t call, const struct json *args, bool has_policy)
{
	bool plain = json_bool(json_get(args, STR("sandbox")), false);
	char text[160];

	if (plain && json_get(args, STR("argv")) != NULL) {
		reply_error(call, 400, "bad_request",
		    "A sandbox that stays takes no `argv`.",
		    "Make it without, and run commands in it with POST "
		    "/v1/sandboxes/{run}/exec.");
		return false;
	}
	for (size_t i = 0; i < N_PLAIN; i++) {
		if (json_get(args, str_of(plain_members[i])) == NULL ||
		    (plain && !has_policy))
			continue;
		(void)snprintf(text, sizeof(text),
		    "`%s` is for a sandbox without a policy.",
		    plain_members[i]);
		reply_error(call, 400, "bad_request", text,
		    "Write it into `sandbox` of the policy.");
		return false;
	}
	return true;
}

/* What a sandbox has that is not opened under a policy: no tools, no way out,
 * and as much time as a policy can give. */
static void
plain_policy_write(struct buf *out, const struct json *args)
{
	buf_printf(out,
	    "{\"budgets\":{\"max_runtime_ms\":%d},\"policy\":1,"
	    "\"sandbox\":{",
	    POLICY_RUN_MAX_MS);
	for (size_t i = 0; i < N_PLAIN; i++) {
		const struct json *v = json_get(args, str_of(plain_members[i]));

		if (v == NULL)
			continue;
		buf_printf(out, "\"%s\":", plain_members[i]);
		json_write(out, v);
		buf_add_byte(out, ',');
	}
	buf_printf(out,
	    "\"wall_ms\":%d},\"stage\":5,\"tools\":{},"
	    "\"workflow\":\"sandbox\"}",
	    POLICY_RUN_MAX_MS);
}

static void
answer_problems(uint64_t call, const struct policy_problems *all)
{
	const uint32_t kept =
	    (uint32_t)(sizeof(all->item) / sizeof(all->item[0]));
	own_buf struct buf out = {};

	buf_add_c(&out,
	    "{\"error\":{\"code\":\"bad_policy\",\"message\":\"The policy has "
	    "problems.\",\"problems\":[");
	for (uint32_t i = 0; i < all->n && i < kept; i++) {
		const struct policy_problem *p = &all->item[i];

		buf_printf(&out,
		    "%s{\"column\":%u,\"line\":%u,\"path\":", i > 0 ? "," : "",
		    p->column, p->line);
		json_put_str(&out, str_of(p->path));
		buf_add_c(&out, ",\"text\":");
		json_put_str(&out, str_of(p->text));
		buf_add_byte(&out, '}');
	}
	buf_add_c(&out,
	    "],\"suggested_next_step\":\"Mend them; `paddock policy check "
	    "FILE` shows the same list.\"}}");
	reply(call, REPLY_BAD, 400, buf_str(&out));
}

static struct run *
make(const struct caller *who, uint64_t call, struct policy *policy)
{
	struct run *r = calloc(1, sizeof(*r));

	must(r != NULL);
	r->id = random_id();
	id_text('r', r->id, r->text);
	r->policy = policy;
	hash_hex(&policy->version, r->policy_hex);
	r->budget = policy->budgets;
	memcpy(r->requester, who->name, sizeof(r->requester));
	r->open_call = call;
	r->door_fd = r->proxy_fd = r->rpc_fd = -1;
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

/* Turns argv, env and the descriptors into a MSG_SANDBOX_START. */
static int
take_command(struct run *r, const struct json *args, const struct frame *f,
    struct err *e)
{
	const struct policy_sandbox *limits = &r->policy->sandbox;
	const struct json *argv = json_get(args, STR("argv"));
	struct str folder = json_str(json_get(args, STR("workspace")));
	struct msg_sandbox_start *m = &r->start_msg;
	const struct str tenant = r->policy->identity.tenant;
	const struct hash hash = hash_of(tenant.p, tenant.n);
	const bool image = !str_eq(limits->image, STR("host"));
	size_t n_stdio = argv != NULL ? 3 : 0, n_image = image ? 2 : 0;

	memcpy(&m->tenant, hash.b, sizeof(m->tenant));
	r->stays = json_bool(json_get(args, STR("sandbox")), false);
	if (argv == NULL && !r->stays) {
		(void)snprintf(r->command, sizeof(r->command), "(outside)");
		return 0;
	}
	if (argv == NULL)
		(void)snprintf(r->command, sizeof(r->command), "(sandbox)");
	else if (!json_is(argv, JSON_ARRAY) || argv->n == 0)
		return err_set(e, "`argv` is not a list of texts, or is empty");
	for (const struct json *w = json_first(argv); w != NULL;
	     w = json_next(argv, w)) {
		struct str word = json_str(w);

		if (!json_is(w, JSON_STRING) || str_find(word, '\0') != word.n)
			return err_set(
			    e, "`argv` holds something that is not a text");
		add_word(&r->start, word);
		m->argc++;
	}
	if (argv != NULL)
		describe_command(r, argv);
	if (add_env(&r->start, json_get(args, STR("env")), &m->envc, e) < 0)
		return -1;
	/* Images are the user's: we cannot open one here. */
	if (image && f->n_fds < n_stdio + n_image)
		return err_set(e,
		    "image \"%.*s\": only `paddock run` can start a run in an "
		    "image, since it sends a descriptor of it",
		    STR_FMT(limits->image));
	if (f->n_fds != n_stdio + n_image && f->n_fds != n_stdio + n_image + 1)
		return err_set(e, "%zu descriptors came, not %zu or %zu",
		    f->n_fds, n_stdio + n_image, n_stdio + n_image + 1);
	if (f->n_fds > n_stdio + n_image) {
		if (folder.n == 0 || folder.p[0] != '/' ||
		    str_find(folder, '\0') != folder.n)
			return err_set(
			    e, "`workspace` is not an absolute path");
		m->flags |= START_WORKSPACE;
		buf_add_str(&r->workspace, folder);
		add_word(&r->start, folder);
	}
	if (json_bool(json_get(args, STR("write_back")), false))
		m->flags |= START_WRITE_BACK;
	if (image)
		m->flags |= START_IMAGE;
	if (limits->limits_required)
		m->flags |= START_LIMITS_REQUIRED;
	if (r->start.failed || r->start.n > ARGV_MAX_BYTES)
		return err_set(e, "command and environment are over %d bytes",
		    ARGV_MAX_BYTES);
	for (size_t i = 0; i < f->n_fds; i++)
		r->start_fds[i] = fd_take(&f->fds[i]);
	r->n_start_fds = f->n_fds;
	m->run = r->id;
	m->memory_bytes = limits->memory_bytes;
	m->disk_bytes = limits->disk_bytes;
	m->inodes = limits->inodes;
	m->wall_ms = limits->wall_ms;
	m->cpu_milli = limits->cpu_milli;
	m->cpu_weight = limits->cpu_weight;
	m->io_bytes_per_s = limits->io_bytes_per_s;
	m->pids = limits->pids;
	r->has_sandbox = true;
	return 0;
}

/* What every run has, then what its opener adds. */
static int
add_env(struct buf *out, const struct json *env, uint32_t *n, struct err *e)
{
	static const char *const always[] = {
		("PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:"
		 "/sbin:/run/paddock"),
		"LANG=C.UTF-8",
		"HOME=/tmp",
		"NO_PROXY=127.0.0.1,localhost",
		"no_proxy=127.0.0.1,localhost",
	};
	enum { MAY_DIFFER = 3 }; /* the first ones */
	char text[96];

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		const struct str word = str_of(always[i]);
		const struct str name = { word.p, str_find(word, '=') };

		if (i < MAY_DIFFER && env != NULL &&
		    json_is(env, JSON_OBJECT) && json_get(env, name) != NULL)
			continue;
		add_word(out, word);
		++*n;
	}
	(void)snprintf(text, sizeof(text),
	    "PADDOCK_MCP_URL=http://127.0.0.1:%d/mcp", RUN_DOOR_PORT);
	add_word(out, str_of(text));
	++*n;
	static const char *const proxies[] = { "HTTP_PROXY", "HTTPS_PROXY",
		"http_proxy", "https_proxy" };
	for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
		(void)snprintf(text, sizeof(text), "%s=http://127.0.0.1:%d",
		    proxies[i], RUN_PROXY_PORT);
		add_word(out, str_of(text));
		++*n;
	}
	if (env == NULL)
		return 0;
	if (!json_is(env, JSON_OBJECT))
		return err_set(e, "`env` is not an object");
	for (const struct json *k = json_first(env); k != NULL;
	     k = json_next(env, k)) {
		struct str name = json_str(k), value = json_str(json_value(k));

		if (!env_name_ok(name))
			return err_set(e,
			    "`env`: \"%.*s\" is not a name that may be set",
			    (int)(name.n > 64 ? 64 : name.n), name.p);
		if (!json_is(json_value(k), JSON_STRING) ||
		    str_find(value, '\0') != value.n)
			return err_set(e, "`env`: the value of %.*s is no text",
			    (int)name.n, name.p);
		buf_add_str(out, name);
		buf_add_byte(out, '=');
		add_word(out, value);
		++*n;
	}
	return 0;
}

/* Letters, digits and underscores; PADDOCK_* is ours to set. */
static bool
env_name_ok(struct str name)
{
	if (name.n == 0 || name.n > NAME_MAX_BYTES ||
	    str_starts(name, STR("PADDOCK_")))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			c == '_' || (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return true;
}

static void
add_word(struct buf *out, struct str word)
{
	buf_add_str(out, word);
	buf_add_byte(out, '\0');
}

static void
describe_command(struct run *r, const struct json *argv)
{
	size_t n = 0;

	for (const struct json *w = json_first(argv); w != NULL;
	     w = json_next(argv, w)) {
		struct str word = json_str(w);
		int more = snprintf(r->command + n, sizeof(r->command) - n,
		    "%s%.*s", n > 0 ? " " : "",
		    (int)(word.n > 200 ? 200 : word.n), word.p);

		if (more < 0 || (size_t)more >= sizeof(r->command) - n)
			return;
		n += (size_t)more;
	}
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

	buf_add_c(&body, "{\"command\":");
	json_put_str(&body, str_of(r->command));
	buf_add_c(&body, ",\"opened_by\":");
	json_put_str(&body, str_of(r->requester));
	if (r->box.tags.n > 0) {
		buf_add_c(&body, ",\"tags\":");
		buf_add_str(&body, buf_str(&r->box.tags));
	}
	buf_printf(&body, ",\"world\":\"%s\"}", world);
	ev.body = buf_str(&body);
	return store_put_policy(broker.store, &r->policy->version,
		   r->policy->canonical) == 0 &&
	    run_store(r) == 0 && record_add(&ev) != 0;
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
	own_fd int fd = -1;

	if (!peer_is_open(&broker.world))
		return 0;
	fd = memfd_create("world", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "memfd_create");
	if (peer_send(&broker.world, MSG_WORLD_OPEN, &m, buf_str(&r->world),
		&fd, 1) < 0)
		return 0;
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
		if (r->state == RUN_OPENING && r->world.n > 0 &&
		    send_world(r, &e) < 0)
			fail(r, 500, "world_failed", e.text, "Try again.");
	}
}

static void
start_sandbox(struct run *r)
{
	if (!r->has_sandbox) {
		opened(r);
		return;
	}
	r->sandbox_sent = true;
	(void)peer_send(&broker.supervisor, MSG_SANDBOX_START, &r->start_msg,
	    buf_str(&r->start), r->start_fds,
	    r->n_start_fds); /* its loss ends us */
	run_drop_start(r);
}

/* All parts are there: the run's clock starts, and its opener hears of it. */
static void
opened(struct run *r)
{
	own_buf struct buf out = {};
	char token[80];

	r->state = RUN_OPEN;
	r->opened_mono_ns = clock_mono_ns();
	run_arm_runtime(r);
	box_opened(r);
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
	for (const struct json *t = json_first(tools); t != NULL;
	     t = json_next(tools, t)) {
		struct str name = json_str(json_get(t, STR("name")));
		const struct policy_tool *row =
		    policy_tool_find(r->policy, name);

		if (str_copy(name, r->tools[r->n_tools].name, NAME_MAX_BYTES) <
		    0)
			continue;
		r->n_tools++;
		if (row == NULL || row->mode == VERDICT_BLOCK)
			continue;
		buf_add_byte(&r->listed, ',');
		json_write(&r->listed, t);
	}
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
