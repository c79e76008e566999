#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

static const char help[] =
    "usage: paddock secret ls | check STORE | revoke NAME|STORE [--run RUN]\n"
    "                      [--json]\n"
    "\n"
    "What open runs hold of secrets. No value is ever shown.\n"
    "\n"
    "  ls                  names, stores, scopes, age, uses\n"
    "  check STORE         whether it can be read, and how long it is, about;\n"
    "                      STORE is file:NAME, systemd:NAME, env:NAME or\n"
    "                      command:NAME, which is run\n"
    "  revoke NAME|STORE   wipes it in open runs, and ends the requests that\n"
    "                      have it; new runs read their stores again\n"
    "  --run RUN           of this run only\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock secret revoke file:tickets.key\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "run", required_argument, NULL, 'r' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

struct wanted {
	const struct client *client;
	const char *run; /* or NULL */
	const char *what; /* NAME or STORE */
	bool json;
};

static int list(const struct wanted *w);
static int check(const struct wanted *w);
static int revoke(const struct wanted *w);
static int as_json(const struct client_reply *r, int status);
static void put_row(struct buf *out, const struct json *x);
static void put_scope(struct buf *out, const struct json *x);

int
cmd_secret(int argc, char **argv)
{
	own_client struct client client = {};
	struct client_options o = {};
	struct wanted w = { .client = &client };
	char *const *rest;
	struct args a;
	struct err e;
	int c, status;
	bool ls;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'j')
			w.json = true;
		else if (c == 'r')
			w.run = optarg;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 1, 2, "ls, check or revoke");
	if (status != 0)
		return status;
	rest = args_rest(&a);
	ls = strcmp(rest[0], "ls") == 0;
	if (!ls && strcmp(rest[0], "check") != 0 &&
	    strcmp(rest[0], "revoke") != 0)
		return args_bad(
		    &a, "%s: neither ls, check nor revoke", rest[0]);
	if (ls != (args_count(&a) == 1))
		return args_bad(
		    &a, ls ? "ls takes no name" : "%s: of what?", rest[0]);
	status = w.run != NULL ? args_run(&a, w.run) : 0;
	if (status != 0)
		return status;
	if (client_init(&client, &o, &e) < 0)
		return out_fail(&e);
	if (ls)
		return list(&w);
	w.what = rest[1];
	return strcmp(rest[0], "check") == 0 ? check(&w) : revoke(&w);
}

static int
list(const struct wanted *w)
{
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	char target[96];
	const struct client_request q = { .method = "GET", .target = target };
	const struct json *all;
	struct err e;

	(void)snprintf(target, sizeof(target), "/v1/secrets%s%s",
	    w->run != NULL ? "?run=" : "", w->run != NULL ? w->run : "");
	if (client_ask(w->client, &q, &r, &e) < 0)
		return out_fail(&e);
	if (w->json)
		return as_json(&r, EXIT_DONE);
	all = json_get(r.json, STR("secrets"));
	buf_printf(&out, "%-16s %-20s %-24s %-8s %5s %8s %8s  %s\n", "RUN",
	    "NAME", "FROM", "STATE", "USES", "AGE", "EXPIRES", "SCOPE");
	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x))
		put_row(&out, x);
	return out_write(&out);
}

static int
check(const struct wanted *w)
{
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, out = {};
	struct client_request q = { .method = "POST",
		.target = "/v1/secrets/check" };
	struct err e;
	bool good;

	buf_add_c(&body, "{\"from\":");
	json_put_str(&body, str_of(w->what));
	buf_add_byte(&body, '}');
	q.body = buf_str(&body);
	if (client_ask(w->client, &q, &r, &e) < 0)
		return out_fail(&e);
	good = json_bool(json_get(r.json, STR("readable")), false);
	if (w->json)
		return as_json(&r, good ? EXIT_DONE : EXIT_FAILED);
	if (!good) {
		(void)err_set(&e, "%s: %.*s", w->what,
		    STR_FMT(json_str(json_get(r.json, STR("why")))));
		return out_fail(&e);
	}
	buf_printf(&out, "%s can be read (%.*s)\n", w->what,
	    STR_FMT(json_str(json_get(r.json, STR("length")))));
	return out_write(&out);
}

static int
revoke(const struct wanted *w)
{
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, out = {};
	struct client_request q = { .method = "POST",
		.target = "/v1/secrets/revoke" };
	const struct json *all;
	struct err e;

	buf_add_c(
	    &body, strchr(w->what, ':') != NULL ? "{\"from\":" : "{\"name\":");
	json_put_str(&body, str_of(w->what));
	if (w->run != NULL)
		buf_printf(&body, ",\"run\":\"%s\"", w->run);
	buf_add_byte(&body, '}');
	q.body = buf_str(&body);
	if (client_ask(w->client, &q, &r, &e) < 0)
		return out_fail(&e);
	if (w->json)
		return as_json(&r, EXIT_DONE);
	all = json_get(r.json, STR("revoked"));
	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x))
		buf_printf(&out, "%.*s revoked in %.*s\n",
		    STR_FMT(json_str(json_get(x, STR("name")))),
		    STR_FMT(json_str(json_get(x, STR("run")))));
	return out_write(&out);
}

static int
as_json(const struct client_reply *r, int status)
{
	own_buf struct buf out = {};
	int wrote;

	json_write(&out, r->json);
	buf_add_byte(&out, '\n');
	wrote = out_write(&out);
	return wrote != EXIT_DONE ? wrote : status;
}

static void
put_row(struct buf *out, const struct json *x)
{
	uint64_t uses = 0, age = 0, expires = 0;
	char left[24] = "-";

	/* A daemon's own numbers: one that is missing is shown as 0. */
	(void)json_u64(json_get(x, STR("uses")), &uses);
	(void)json_u64(json_get(x, STR("age_s")), &age);
	if (json_u64(json_get(x, STR("expires_s")), &expires) == 0)
		(void)snprintf(
		    left, sizeof(left), "%llus", (unsigned long long)expires);
	buf_printf(out, "%-16.*s %-20.*s %-24.*s %-8.*s %5llu %7llus %8s  ",
	    STR_FMT(json_str(json_get(x, STR("run")))),
	    STR_FMT(json_str(json_get(x, STR("name")))),
	    STR_FMT(json_str(json_get(x, STR("from")))),
	    STR_FMT(json_str(json_get(x, STR("state")))),
	    (unsigned long long)uses, (unsigned long long)age, left);
	put_scope(out, x);
	buf_add_byte(out, '\n');
}

/* The workflows and stages that may name it. */
static void
put_scope(struct buf *out, const struct json *x)
{
	const struct json *names = json_get(x, STR("workflows"));
	const struct json *stages = json_get(x, STR("stages"));
	size_t before = out->n;

	for (const struct json *w = json_first(names); w != NULL;
	     w = json_next(names, w))
		buf_printf(out, "%s%.*s", out->n > before ? "," : "",
		    STR_FMT(json_str(w)));
	for (const struct json *s = json_first(stages); s != NULL;
	     s = json_next(stages, s)) {
		uint64_t n = 0;

		(void)json_u64(s, &n); /* as above */
		buf_printf(out, "%sstage %llu", out->n > before ? "," : "",
		    (unsigned long long)n);
	}
	if (out->n == before)
		buf_add_c(out, "any");
}
