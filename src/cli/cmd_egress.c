#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/state.h"
#include "codec/json.h"
#include "core/egress.h"
#include "core/id.h"
#include "store/store.h"

static const char help[] =
    "usage: paddock egress log RUN | suggest RUN [--json]\n"
    "\n"
    "Shows what a run wanted to reach, also while a daemon runs.\n"
    "\n"
    "  log RUN             each connection and request: verdict, URL, rule\n"
    "  suggest RUN         the smallest rules that would have allowed what\n"
    "                      was refused, for a person to review; nothing is\n"
    "                      changed\n"
    "  --json              log: the records, one a line; suggest: only the\n"
    "                      rules\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "RUN is a run's name or `last`.\n"
    "example: paddock egress suggest last\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

enum { SUGGEST_MAX = 256, PARTS_MAX = 32 };

/* What was refused of one host, port and protocol. */
struct wanted {
	char host[256], proto[8];
	uint64_t port;
	uint32_t n_methods, n_paths;
	char methods[PARTS_MAX][24];
	char paths[PARTS_MAX][160];
	bool more; /* than are kept */
};

struct egress_reading {
	bool json;
	uint64_t run;
	struct buf out;
	uint32_t n;
	bool more;
	struct wanted *wanted;
};

static int read_run(struct egress_reading *r, const char *state,
    const char *name, bool suggest, struct err *e);
static bool on_run(void *arg, const struct store_run *row);
static bool on_log(void *arg, const struct store_row *row);
static bool on_refused(void *arg, const struct store_row *row);
static void put_path(struct buf *out, struct str path);
static void add_part(
    char *parts, size_t bytes, uint32_t *n, struct str part, bool *more);
static void put_rules(struct egress_reading *r);
static void put_list(struct buf *out, const char *name, const char *parts,
    size_t bytes, uint32_t n);
static void put_cell(struct buf *out, struct str s);

int
cmd_egress(int argc, char **argv)
{
	static struct wanted wanted[SUGGEST_MAX];
	struct egress_reading r = { .wanted = wanted };
	const char *state = NULL;
	struct args a;
	struct err e = {};
	char *const *rest;
	bool suggest;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'j')
			r.json = true;
		if (c == 'S')
			state = optarg;
	}
	status = args_need(&a, 2, 2, "log or suggest, and RUN");
	if (status != 0)
		return status;
	rest = args_rest(&a);
	suggest = strcmp(rest[0], "suggest") == 0;
	if (!suggest && strcmp(rest[0], "log") != 0)
		return args_bad(&a, "%s: neither log nor suggest", rest[0]);
	if (read_run(&r, state, rest[1], suggest, &e) < 0) {
		buf_fini(&r.out);
		return out_fail(&e);
	}
	if (suggest)
		put_rules(&r);
	status = out_write(&r.out);
	buf_fini(&r.out);
	if (suggest && r.n == 0)
		out_note("nothing was refused for want of a rule");
	if (r.more)
		out_note("more was refused than is shown");
	return status;
}

static int
read_run(struct egress_reading *r, const char *state, const char *name,
    bool suggest, struct err *e)
{
	bool last = strcmp(name, "last") == 0;
	own_buf struct buf dir = {};
	struct store *store;
	struct err other = {};
	uint64_t id = 0;
	int status;

	if (!last && (id_parse('r', str_of(name), &id) < 0 || id == 0))
		return err_set(e,
		    "%s is no run's name, such as r-7k3m9q2v5w1x, nor `last`",
		    name);
	if (state_store(state, &dir, e) < 0)
		return -1;
	store = store_open_read(buf_c(&dir), e);
	if (store == NULL)
		return -1;
	status = store_runs(store, id, false, 1, on_run, r, e);
	if (status == 0 && r->run == 0)
		status = err_set(
		    e, "no run %s here: paddock ps --all lists the runs", name);
	if (status == 0)
		status = store_events(
		    store, r->run, 0, 0, suggest ? on_refused : on_log, r, e);
	if (store_close(store, &other) < 0 && status == 0) {
		*e = other;
		status = -1;
	}
	return status;
}

static bool
on_run(void *arg, const struct store_run *row)
{
	struct egress_reading *r = arg;

	r->run = row->id;
	return false;
}

static bool
on_log(void *arg, const struct store_row *row)
{
	struct egress_reading *r = arg;
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *j, *body, *dec;
	bool done = row->kind == EVENT_EGRESS_DONE;

	if (!done && row->kind != EVENT_EGRESS_DECISION)
		return true;
	if (r->json) {
		out_json_text(&r->out, row->body, STDOUT_FILENO);
		buf_add_byte(&r->out, '\n');
		return !r->out.failed;
	}
	j = json_parse(row->body, NULL, &a, &e, NULL);
	body = json_get(j, STR("body"));
	dec = json_get(j, STR("dec"));
	out_time(&r->out, row->t_ns);
	buf_printf(&r->out, "  %4u  ", row->step);
	if (done) {
		uint64_t status = 0, sent = 0, received = 0;

		(void)json_u64(json_get(body, STR("status")), &status);
		(void)json_u64(json_get(body, STR("sent")), &sent);
		(void)json_u64(json_get(body, STR("received")), &received);
		buf_printf(&r->out, "done      %llu, %llu sent, %llu received",
		    (unsigned long long)status, (unsigned long long)sent,
		    (unsigned long long)received);
		put_cell(&r->out, json_str(json_get(body, STR("addr"))));
		put_cell(&r->out, json_str(json_get(body, STR("error"))));
	} else {
		struct str action = json_str(json_get(dec, STR("action")));

		buf_printf(&r->out, "%-9.*s", STR_FMT(action));
		put_cell(&r->out, json_str(json_get(body, STR("method"))));
		put_cell(&r->out, json_str(json_get(body, STR("url"))));
		put_cell(&r->out, json_str(json_get(dec, STR("rule"))));
		put_cell(&r->out, json_str(json_get(dec, STR("reason"))));
		/* Of a raw connection the agent saw a reset, and no more. */
		put_cell(&r->out, json_str(json_get(body, STR("next_step"))));
	}
	buf_add_byte(&r->out, '\n');
	return !r->out.failed;
}

/* Only what a rule could have allowed: the rest no rule would mend. */
static bool
on_refused(void *arg, const struct store_row *row)
{
	static const char *const mended[] = { "no_rule", "port", "proto",
		"method", "path" };
	struct egress_reading *r = arg;
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *j, *body;
	struct str code, host, proto;
	struct wanted *w = NULL;
	uint64_t port = 0;
	bool fits = false;

	if (row->kind != EVENT_EGRESS_DECISION)
		return true;
	j = json_parse(row->body, NULL, &a, &e, NULL);
	body = json_get(j, STR("body"));
	code = json_str(json_at(j, "dec", "code", NULL));
	for (size_t i = 0; i < sizeof(mended) / sizeof(mended[0]); i++)
		fits = fits || str_eq_c(code, mended[i]);
	host = json_str(json_get(body, STR("host")));
	proto = json_str(json_get(body, STR("proto")));
	if (str_eq(proto, STR("tls")))
		proto = STR("https");
	if (!fits || host.n == 0 ||
	    json_u64(json_get(body, STR("port")), &port) < 0)
		return true;
	for (uint32_t i = 0; i < r->n && w == NULL; i++) {
		if (r->wanted[i].port == port &&
		    str_eq_c(host, r->wanted[i].host) &&
		    str_eq_c(proto, r->wanted[i].proto))
			w = &r->wanted[i];
	}
	if (w == NULL && r->n == SUGGEST_MAX) {
		r->more = true;
		return true;
	}
	if (w == NULL) {
		w = &r->wanted[r->n++];
		w->port = port;
		if (str_copy(host, w->host, sizeof(w->host)) < 0 ||
		    str_copy(proto, w->proto, sizeof(w->proto)) < 0) {
			r->n--;
			return true;
		}
	}
	add_part(w->methods[0], sizeof(w->methods[0]), &w->n_methods,
	    json_str(json_get(body, STR("method"))), &w->more);
	{
		own_buf struct buf path = {};

		put_path(&path, json_str(json_get(body, STR("path"))));
		add_part(w->paths[0], sizeof(w->paths[0]), &w->n_paths,
		    buf_str(&path), &w->more);
	}
	r->more = r->more || w->more;
	return true;
}

/* A part that is on the record as a digest may be any. */
static void
put_path(struct buf *out, struct str path)
{
	while (path.n > 0) {
		size_t end = str_find(path, '/');
		struct str part = { path.p, end };

		buf_add_str(out, egress_is_digest(part) ? STR("*") : part);
		if (end == path.n)
			return;
		buf_add_byte(out, '/');
		path = (struct str){ path.p + end + 1, path.n - end - 1 };
	}
}

static void
add_part(char *parts, size_t bytes, uint32_t *n, struct str part, bool *more)
{
	if (part.n == 0)
		return;
	for (uint32_t i = 0; i < *n; i++) {
		if (str_eq_c(part, parts + i * bytes))
			return;
	}
	if (*n == PARTS_MAX || str_copy(part, parts + *n * bytes, bytes) < 0) {
		*more = true;
		return;
	}
	(*n)++;
}

static void
put_rules(struct egress_reading *r)
{
	if (!r->json)
		buf_add_c(&r->out, "\"egress\": { \"rules\": ");
	buf_add_c(&r->out, "[");
	for (uint32_t i = 0; i < r->n; i++) {
		const struct wanted *w = &r->wanted[i];

		buf_add_c(
		    &r->out, i > 0 ? ",\n  {\"host\":" : "\n  {\"host\":");
		json_put_str(&r->out, str_of(w->host));
		buf_printf(&r->out,
		    ",\"port\":%llu,\"proto\":", (unsigned long long)w->port);
		json_put_str(&r->out, str_of(w->proto));
		put_list(&r->out, "methods", w->methods[0],
		    sizeof(w->methods[0]), w->n_methods);
		put_list(&r->out, "paths", w->paths[0], sizeof(w->paths[0]),
		    w->n_paths);
		buf_add_byte(&r->out, '}');
	}
	buf_add_c(&r->out, r->n > 0 ? "\n]" : "]");
	buf_add_c(&r->out, r->json ? "\n" : " }\n");
}

static void
put_list(struct buf *out, const char *name, const char *parts, size_t bytes,
    uint32_t n)
{
	if (n == 0)
		return;
	buf_printf(out, ",\"%s\":[", name);
	for (uint32_t i = 0; i < n; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, str_of(parts + i * bytes));
	}
	buf_add_byte(out, ']');
}

/* Behind two spaces; nothing in it moves a terminal. */
static void
put_cell(struct buf *out, struct str s)
{
	if (s.n == 0)
		return;
	buf_add_c(out, "  ");
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		buf_add_byte(out, c >= 0x20 && c < 0x7f ? c : '?');
	}
}
