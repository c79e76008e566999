/*
 * "servers": programs that offer tools, and how each is started. What their
 * tools may do is said in "tools", as for every other tool.
 */
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

static const char *const none[] = { NULL };

static bool says(const struct policy_part *part);
static bool same_in(
    const struct policy_part *part, struct str name, const struct json *v);
static void parse_server(
    struct reader *r, const struct spot *s, struct policy_server *out);
static void check_kind(struct reader *r, const struct spot *s);
static void parse_words(
    struct reader *r, const struct spot *s, const char *name, struct list *out);
static void parse_places(
    struct reader *r, const struct spot *s, struct policy_server *out);
static bool name_ok(struct str s);
static bool variable_ok(struct str s);

void
policy_parse_servers(struct reader *r, const struct spot *root)
{
	struct policy_server *rows;
	struct spot servers;
	uint32_t n = 0;

	if (!read_member(root, "servers", &servers) ||
	    !read_object(r, &servers))
		return;
	if (servers.v->n > TOOL_SERVERS_MAX) {
		problem(r, &servers, "has %u members; at most %d are allowed",
		    servers.v->n, TOOL_SERVERS_MAX);
		return;
	}
	rows = arena_alloc(&r->p->arena, servers.v->n * sizeof(*rows));
	if (rows == NULL)
		return;
	for (const struct json *k = json_first(servers.v); k != NULL;
	     k = json_next(servers.v, k), n++) {
		struct spot s = {
			.up = &servers, .v = json_value(k), .key = json_str(k)
		};

		rows[n] = (struct policy_server){ .name = json_str(k),
			.json = json_value(k) };
		if (!name_ok(json_str(k)))
			problem_key(r, &servers, k,
			    "the name of a server must be 1 to %d letters, "
			    "digits, '_' and '-'; its tools are \"NAME.tool\"",
			    SERVER_NAME_BYTES);
		if (str_eq(json_str(k), STR("approval")))
			problem_key(r, &servers, k,
			    "`approval.wait` is a tool of paddock's own; name "
			    "the server differently");
		parse_server(r, &s, &rows[n]);
	}
	r->p->servers = rows;
	r->p->n_servers = n;
}

void
policy_parse_pin(
    struct reader *r, const struct spot *tool, struct policy_tool *t)
{
	char shown[SHOWN_BYTES];
	struct spot pin;
	struct str s;

	if (!read_member(tool, "pin", &pin))
		return;
	s = json_str(pin.v);
	if (!command_is_digest(s)) {
		value_show(pin.v, shown);
		problem(r, &pin,
		    "must be \"sha256:\" and 64 digits, not %s; the "
		    "`server` notes of a run's trace have them",
		    shown);
		return;
	}
	if (str_find(t->name, '*') < t->name.n) {
		problem(r, &pin,
		    "is the definition of one tool; write a row for it by its "
		    "name");
		return;
	}
	t->pin = (struct str){ s.p + s.n - 64, 64 };
}

bool
policy_read_env(struct reader *r, const struct spot *s, struct list *out)
{
	struct spot env;
	struct str *list;
	uint32_t n = 0;

	if (!read_member(s, "env", &env) || !read_object(r, &env))
		return false;
	if (env.v->n > SERVER_ARGV_MAX) {
		problem(r, &env, "has %u variables; at most %d are allowed",
		    env.v->n, SERVER_ARGV_MAX);
		return false;
	}
	list = arena_alloc(&r->p->arena, env.v->n * sizeof(*list));
	if (list == NULL)
		return false;
	for (const struct json *k = json_first(env.v); k != NULL;
	     k = json_next(env.v, k)) {
		struct str name = json_str(k), value = json_str(json_value(k));
		char *pair;

		if (!variable_ok(name) ||
		    !json_is(json_value(k), JSON_STRING) ||
		    !policy_word_ok(value)) {
			problem_key(r, &env, k,
			    "must be a variable's name (letters, digits and "
			    "'_', not PADDOCK_*) with a text");
			continue;
		}
		pair = arena_alloc(&r->p->arena, name.n + 1 + value.n);
		if (pair == NULL)
			return false;
		memcpy(pair, name.p, name.n);
		pair[name.n] = '=';
		if (value.n > 0)
			memcpy(pair + name.n + 1, value.p, value.n);
		list[n++] = (struct str){ pair, name.n + 1 + value.n };
	}
	*out = (struct list){ list, n };
	return true;
}

void
policy_servers_tighten(
    const struct policy_part *own, const struct policy_part *base, bool whole)
{
	/* Problems are kept behind the reader: the part's copy will do. */
	struct reader r = own->r;
	struct spot all;

	if (!read_member(&own->root, "servers", &all) ||
	    (!whole && json_get(base->root.v, STR("servers")) == NULL))
		return;
	for (uint32_t i = 0; i < own->r.p->n_servers; i++) {
		struct str name = own->r.p->servers[i].name;
		struct spot s = {
			.up = &all, .v = json_get(all.v, name), .key = name
		};

		if (!same_in(base, name, s.v))
			problem(&r, &s,
			    "is not as in %.*s: a policy may only tighten what "
			    "it extends",
			    STR_FMT(base->r.p->name));
	}
}

void
policy_servers_merge(struct policy *m, const struct policy_parts *x)
{
	const struct policy_part *first = NULL;
	struct policy_server *rows;

	for (uint32_t i = 0; i < x->n && first == NULL; i++) {
		if (says(&x->part[i]))
			first = &x->part[i];
	}
	if (first == NULL)
		return;
	rows = arena_alloc(&m->arena, first->r.p->n_servers * sizeof(*rows));
	if (rows == NULL)
		return;
	for (uint32_t i = 0; i < first->r.p->n_servers; i++) {
		const struct policy_server *one = &first->r.p->servers[i];
		const struct json *v = json_get(
		    json_get(first->root.v, STR("servers")), one->name);
		bool in_all = true;

		for (uint32_t k = 0; k < x->n && in_all; k++)
			in_all = !says(&x->part[k]) ||
			    same_in(&x->part[k], one->name, v);
		if (in_all)
			rows[m->n_servers++] = *one;
	}
	m->servers = rows;
}

/* What extends others and does not write it says nothing about it. */
static bool
says(const struct policy_part *part)
{
	return !part->extends || json_get(part->root.v, STR("servers")) != NULL;
}

static bool
same_in(const struct policy_part *part, struct str name, const struct json *v)
{
	const struct json *theirs =
	    json_get(json_get(part->root.v, STR("servers")), name);

	return theirs != NULL && json_equal(theirs, v);
}

static void
parse_server(struct reader *r, const struct spot *s, struct policy_server *out)
{
	static const char *const known[] = { "command", "url", "openapi", "env",
		"mounts", "prefix", "start_ms", "timeout_ms", "restarts",
		"memory_mb", "pids", "network", "capture", "secrets", "addrs",
		"ca", "record", NULL };
	uint64_t start_ms = SERVER_START_MS;
	uint64_t timeout_ms = POLICY_TOOL_TIMEOUT_MAX_MS;
	uint64_t restarts = SERVER_RESTARTS, memory_mb = SANDBOX_MEMORY_MB;
	uint64_t pids = SANDBOX_PIDS;
	bool prefix = true;
	struct list command = {}, env = {};

	if (!read_object(r, s))
		return;
	read_known(r, s, known, none, NOT_YET);
	check_kind(r, s);
	policy_parse_server_url(r, s, out);
	policy_parse_openapi(r, s, out);
	parse_words(r, s, "command", &command);
	out->command = command.p;
	out->n_command = command.n;
	(void)policy_read_env(r, s, &env);
	out->env = env.p;
	out->n_env = env.n;
	parse_places(r, s, out);
	(void)read_bool(r, s, "prefix", &prefix);
	(void)read_whole(r, s, "start_ms",
	    (struct range){ 1, SERVER_START_MAX_MS, "milliseconds" },
	    &start_ms);
	(void)read_whole(r, s, "timeout_ms",
	    (struct range){ 1, POLICY_TOOL_TIMEOUT_MAX_MS, "milliseconds" },
	    &timeout_ms);
	(void)read_whole(r, s, "restarts",
	    (struct range){ 0, SERVER_RESTARTS_MAX, "restarts" }, &restarts);
	(void)read_whole(r, s, "memory_mb",
	    (struct range){ 16, SANDBOX_MEMORY_MAX_MB, "MiB" }, &memory_mb);
	(void)read_whole(r, s, "pids",
	    (struct range){ 4, SANDBOX_PIDS_MAX, "processes" }, &pids);
	out->bare = !prefix;
	(void)read_bool(r, s, "network", &out->network);
	policy_parse_capture(r, s, out);
	out->start_ms = (uint32_t)start_ms;
	out->timeout_ms = (uint32_t)timeout_ms;
	out->restarts = (uint32_t)restarts;
	out->memory_bytes = memory_mb * 1024 * 1024;
	out->pids = (uint32_t)pids;
}

/* A program that runs here, or a place that is spoken to: one of the two. */
static void
check_kind(struct reader *r, const struct spot *s)
{
	static const char *const places[] = { "secrets", "addrs", "ca",
		"record", NULL };
	bool here = json_get(s->v, STR("command")) != NULL;
	struct spot at;

	if (read_member(s, "url", &at)) {
		if (here)
			problem(r, &at,
			    "stands beside `command`; keep one of the two");
		return;
	}
	if (!here)
		read_missing(r, s, "command",
		    "the program and its arguments, such as "
		    "[\"mcp-server-files\", \"/workspace\"]; or `url`, for "
		    "a server that runs elsewhere");
	for (const char *const *p = places; *p != NULL; p++) {
		if (read_member(s, *p, &at))
			problem(r, &at,
			    "is for a server with a `url`; a program that runs "
			    "here has the run's `egress` and `network`");
	}
}

/* Unlike other lists, the same word may stand there twice. */
static void
parse_words(
    struct reader *r, const struct spot *s, const char *name, struct list *out)
{
	struct spot words;
	struct str *list;
	uint32_t n = 0;

	if (!read_member(s, name, &words) || !read_array(r, &words))
		return;
	if (words.v->n < 1 || words.v->n > SERVER_ARGV_MAX) {
		problem(r, &words, "has %u words, not 1 to %d", words.v->n,
		    SERVER_ARGV_MAX);
		return;
	}
	list = arena_alloc(&r->p->arena, words.v->n * sizeof(*list));
	if (list == NULL)
		return;
	for (const struct json *x = json_first(words.v); x != NULL;
	     x = json_next(words.v, x), n++) {
		struct spot entry = { .up = &words, .v = x, .index = n };

		list[n] = json_str(x);
		if (!json_is(x, JSON_STRING) || !policy_word_ok(list[n]) ||
		    (n == 0 && list[n].n == 0)) {
			problem(r, &entry,
			    "must be a text without NUL of less than %d bytes",
			    SERVER_WORD_BYTES);
			return;
		}
	}
	*out = (struct list){ list, n };
}

/* Only what the run itself sees. */
static void
parse_places(struct reader *r, const struct spot *s, struct policy_server *out)
{
	const struct policy_sandbox *sandbox = &r->p->sandbox;
	struct list list = {};
	struct spot at;

	if (!read_list(r, s, "mounts", ENTRY_FOLDER, MOUNTS_MAX + 1, &list) ||
	    !read_member(s, "mounts", &at))
		return;
	for (uint32_t i = 0; i < list.n; i++) {
		bool known = str_eq(list.p[i], STR("workspace"));

		for (uint32_t k = 0; k < sandbox->n_mounts && !known; k++)
			known = str_eq(sandbox->mounts[k].to, list.p[i]);
		if (!known)
			problem(r, &at,
			    "\"%.*s\" is neither \"workspace\" nor the `to` of "
			    "one of sandbox.mounts",
			    STR_FMT(list.p[i]));
	}
	out->mounts = list.p;
	out->n_mounts = list.n;
}

static bool
name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return s.n > 0 && s.n <= SERVER_NAME_BYTES;
}

static bool
variable_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			c == '_' || (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0 && s.n <= NAME_MAX_BYTES &&
	    !str_starts(s, STR("PADDOCK_"));
}

bool
policy_word_ok(struct str s)
{
	return s.n < SERVER_WORD_BYTES && str_find(s, '\0') == s.n;
}
