/*
 * `paddock token`: API tokens of people and services.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/sub.h"
#include "cli/term.h"
#include "core/id.h"

static const char help[] =
    "usage: paddock token create | ls | revoke\n"
    "\n"
    "Tokens by which people and services ask the daemon over HTTP.\n"
    "\n"
    "  create              a new one; it is shown once\n"
    "  ls                  whose there are, never the tokens themselves\n"
    "  revoke TOKEN        it is good no more, from now on\n"
    "\n"
    "example: paddock token create --tenant acme --actor alice --roles "
    "approver\n";

static const char create_help[] =
    "usage: paddock token create --tenant T --actor A [--roles R,...]\n"
    "                            [--scopes S,...] [--attribute K=V]\n"
    "                            [--ttl TIME] [--json]\n"
    "\n"
    "Makes a token and prints it, once: what is kept is its SHA-256.\n"
    "\n"
    "  --tenant T          whose runs it is for; '*' for all of them\n"
    "  --actor A           who has it\n"
    "  --roles R,...       operator, runner, approver, viewer, or names that\n"
    "                      policies have in from_roles\n"
    "  --scopes S,...      such as runs:read or runs:*\n"
    "  --attribute K=V     what policies may ask as identity.K; may be given\n"
    "                      many times\n"
    "  --ttl TIME          how long it is good: 900s, 15m, 12h, 30d; 30d if\n"
    "                      not given\n"
    "  --json              the answer as JSON\n" CLIENT_HELP "\n"
    "example: paddock token create --tenant acme --actor ci --roles runner "
    "--ttl 12h\n";

static const char ls_help[] =
    "usage: paddock token ls [--json]\n"
    "\n"
    "Lists tokens, also those that ended within a month: whose, what for, how\n"
    "long, when last used.\n"
    "\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock token ls\n";

static const char revoke_help[] =
    "usage: paddock token revoke TOKEN...\n"
    "\n"
    "Ends tokens at once: open connections that came with them are closed.\n"
    "TOKEN is a name that `ls` shows.\n"
    "\n"
    "  --json              the answers as JSON\n" CLIENT_HELP "\n"
    "example: paddock token revoke t-7k3m9q2v5w1x\n";

static const struct option create_options[] = {
	{ "tenant", required_argument, NULL, 't' },
	{ "actor", required_argument, NULL, 'a' },
	{ "roles", required_argument, NULL, 'r' },
	{ "scopes", required_argument, NULL, 's' },
	{ "attribute", required_argument, NULL, 'A' },
	{ "ttl", required_argument, NULL, 'l' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const struct option ls_options[] = {
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

/* What create was told. */
struct wanted {
	const char *tenant, *actor;
	struct buf roles, scopes; /* JSON: members of a list */
	struct buf attributes; /* JSON: members of an object */
	uint64_t ttl_s;
	bool json;
	struct client_options where;
};

static int cmd_create(int argc, char **argv);
static int cmd_ls(int argc, char **argv);
static int cmd_revoke(int argc, char **argv);
static int read_create(struct args *a, struct wanted *w);
static int create(const struct wanted *w, struct err *e);
static int list(const struct client_options *o, bool json, struct err *e);
static int revoke_one(
    const struct client *c, const char *id, bool json, struct err *e);
static void put_list(struct buf *out, const char *text);
static int put_attribute(struct buf *out, const char *text);
static int seconds(const char *text, uint64_t *out);
static void put_row(struct term_table *tab, const struct json *t);
static void join(struct buf *out, const struct json *list);
static void put_time(struct buf *out, const struct json *t, const char *name);

int
cmd_token(int argc, char **argv)
{
	static const struct sub subs[] = {
		{ "create", cmd_create },
		{ "ls", cmd_ls },
		{ "revoke", cmd_revoke },
		{},
	};

	return sub_main(argc, argv, help, subs);
}

static int
cmd_create(int argc, char **argv)
{
	struct wanted w = { .ttl_s = TOKEN_TTL_S };
	struct args a;
	struct err e;
	int status;

	args_init(&a, argc, argv, create_help, create_options);
	a.name = "token create";
	status = read_create(&a, &w);
	if (status < 0)
		status = create(&w, &e) < 0 ? out_fail(&e) : EXIT_DONE;
	buf_fini(&w.roles);
	buf_fini(&w.scopes);
	buf_fini(&w.attributes);
	return status;
}

static int
cmd_ls(int argc, char **argv)
{
	struct client_options o = {};
	bool json = false;
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, ls_help, ls_options);
	a.name = "token ls";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'j')
			json = true;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 0, 0, "");
	if (status != 0)
		return status;
	return list(&o, json, &e) < 0 ? out_fail(&e) : EXIT_DONE;
}

static int
cmd_revoke(int argc, char **argv)
{
	own_client struct client client = {};
	struct client_options o = {};
	bool json = false;
	struct args a;
	struct err e;
	uint64_t id;
	int c, status;

	args_init(&a, argc, argv, revoke_help, ls_options);
	a.name = "token revoke";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'j')
			json = true;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 1, ARGS_MANY, "the name of a TOKEN");
	if (status != 0)
		return status;
	for (int i = 0; i < args_count(&a); i++) {
		if (id_parse('t', str_of(args_rest(&a)[i]), &id) < 0)
			return args_bad(&a,
			    "that is not the name of a token, such as "
			    "t-7k3m9q2v5w1x");
	}
	if (client_init(&client, &o, &e) < 0)
		return out_fail(&e);
	for (int i = 0; i < args_count(&a); i++) {
		if (revoke_one(&client, args_rest(&a)[i], json, &e) < 0)
			status = out_fail(&e);
	}
	return status;
}

/* -1 to go on, else the exit status. */
static int
read_create(struct args *a, struct wanted *w)
{
	int c, status;

	while ((c = args_next(a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a->exit;
		case 't':
			w->tenant = optarg;
			break;
		case 'a':
			w->actor = optarg;
			break;
		case 'r':
			put_list(&w->roles, optarg);
			break;
		case 's':
			put_list(&w->scopes, optarg);
			break;
		case 'A':
			if (put_attribute(&w->attributes, optarg) < 0)
				return args_bad(
				    a, "--attribute %s: not K=V", optarg);
			break;
		case 'l':
			if (seconds(optarg, &w->ttl_s) < 0)
				return args_bad(a,
				    "--ttl %s: a number and s, m, h or d, at "
				    "most %dd",
				    optarg, TOKEN_TTL_MAX_S / (24 * 3600));
			break;
		case 'j':
			w->json = true;
			break;
		default:
			(void)client_option(&w->where, c, optarg);
		}
	}
	status = args_need(a, 0, 0, "");
	if (status != 0)
		return status;
	if (w->tenant == NULL)
		return args_bad(a, "--tenant is missing");
	if (w->actor == NULL)
		return args_bad(a, "--actor is missing");
	return -1;
}

static int
create(const struct wanted *w, struct err *e)
{
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, out = {};
	struct client_request q = { .method = "POST", .target = "/v1/tokens" };
	struct str secret;

	buf_add_c(&body, "{\"actor\":");
	json_put_str(&body, str_of(w->actor));
	buf_add_c(&body, ",\"attributes\":{");
	buf_add_str(&body, buf_str(&w->attributes));
	buf_add_c(&body, "},\"roles\":[");
	buf_add_str(&body, buf_str(&w->roles));
	buf_add_c(&body, "],\"scopes\":[");
	buf_add_str(&body, buf_str(&w->scopes));
	buf_add_c(&body, "],\"tenant\":");
	json_put_str(&body, str_of(w->tenant));
	buf_printf(&body, ",\"ttl_s\":%" PRIu64 "}", w->ttl_s);
	q.body = buf_str(&body);
	if (client_init(&c, &w->where, e) < 0 || client_ask(&c, &q, &r, e) < 0)
		return -1;
	if (w->json)
		return out_json(r.json) == EXIT_DONE
		    ? 0
		    : err_set(e, "the token could not be shown: revoke it");
	secret = json_str(json_get(r.json, STR("secret")));
	buf_add_str(&out, secret);
	buf_add_byte(&out, '\n');
	out_note("%.*s, shown this once:",
	    STR_FMT(json_str(json_get(r.json, STR("token")))));
	return out_write(&out) == EXIT_DONE
	    ? 0
	    : err_set(e, "the token could not be shown: revoke it");
}

static int
list(const struct client_options *o, bool json, struct err *e)
{
	static const struct term_cell head[] = {
		{ STR("TOKEN"), TERM_BOLD, false },
		{ STR("TENANT"), TERM_BOLD, false },
		{ STR("ACTOR"), TERM_BOLD, false },
		{ STR("ROLES, SCOPES"), TERM_BOLD, false },
		{ STR("STATE"), TERM_BOLD, false },
		{ STR("UNTIL"), TERM_BOLD, false },
		{ STR("LAST USED"), TERM_BOLD, false },
	};
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	const struct client_request q = { .method = "GET",
		.target = "/v1/tokens" };
	struct term_table tab = {};
	const struct json *all;
	struct term t;
	int rc;

	if (client_init(&c, o, e) < 0 || client_ask(&c, &q, &r, e) < 0)
		return -1;
	all = json_get(r.json, STR("tokens"));
	if (json)
		return out_json(all) == EXIT_DONE
		    ? 0
		    : err_set(e, "the list is not complete");
	if (json_first(all) == NULL) {
		out_note("there are no tokens; operator.token is none of them");
		return 0;
	}
	term_init(&t, STDOUT_FILENO);
	term_row(&tab, head, sizeof(head) / sizeof(head[0]));
	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x))
		put_row(&tab, x);
	rc = term_table_write(&t, &tab, &out, e);
	term_table_fini(&tab);
	if (rc < 0)
		return -1;
	return out_write(&out) == EXIT_DONE
	    ? 0
	    : err_set(e, "the list is not complete");
}

static int
revoke_one(const struct client *c, const char *id, bool json, struct err *e)
{
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	char target[64];
	const struct client_request q = { .method = "DELETE",
		.target = target };

	(void)snprintf(target, sizeof(target), "/v1/tokens/%s", id);
	if (client_ask(c, &q, &r, e) < 0)
		return err_add(e, "revoke %s", id);
	if (json)
		return out_json(r.json) == EXIT_DONE
		    ? 0
		    : err_set(e, "the answer is not complete");
	buf_printf(&out, "%s revoked\n", id);
	return out_write(&out) == EXIT_DONE
	    ? 0
	    : err_set(e, "the answer is not complete");
}

/* "a,b" as "\"a\",\"b\"", behind what is there. */
static void
put_list(struct buf *out, const char *text)
{
	struct str rest = str_of(text);

	while (rest.n > 0) {
		struct str one = { rest.p, str_find(rest, ',') };
		size_t step = one.n + (one.n < rest.n);

		if (out->n > 0)
			buf_add_byte(out, ',');
		json_put_str(out, one);
		rest = (struct str){ rest.p + step, rest.n - step };
	}
}

static int
put_attribute(struct buf *out, const char *text)
{
	struct str all = str_of(text);
	size_t at = str_find(all, '=');

	if (at == 0 || at == all.n)
		return -1;
	if (out->n > 0)
		buf_add_byte(out, ',');
	json_put_str(out, (struct str){ all.p, at });
	buf_add_byte(out, ':');
	json_put_str(out, (struct str){ all.p + at + 1, all.n - at - 1 });
	return 0;
}

static int
seconds(const char *text, uint64_t *out)
{
	static const struct {
		char unit;
		uint32_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 },
		{ 'd', 24 * 3600 } };
	struct str s = str_of(text);
	uint64_t n, limit = TOKEN_TTL_MAX_S;

	if (s.n < 2 || str_to_u64((struct str){ s.p, s.n - 1 }, &n) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (s.p[s.n - 1] != units[i].unit || n == 0 ||
		    n > limit / units[i].s)
			continue;
		*out = n * units[i].s;
		return 0;
	}
	return -1;
}

static void
put_row(struct term_table *tab, const struct json *t)
{
	own_buf struct buf rights = {}, until = {}, used = {};
	struct str state = json_str(json_get(t, STR("state")));

	join(&rights, json_get(t, STR("roles")));
	join(&rights, json_get(t, STR("scopes")));
	put_time(&until, t, "expires_ms");
	put_time(&used, t, "used_ms");
	term_row(tab,
	    (const struct term_cell[]){
		{ json_str(json_get(t, STR("token"))), TERM_PLAIN, false },
		{ json_str(json_get(t, STR("tenant"))), TERM_PLAIN, false },
		{ json_str(json_get(t, STR("actor"))), TERM_PLAIN, false },
		{ buf_str(&rights), TERM_PLAIN, false },
		{ state, str_eq(state, STR("good")) ? TERM_GREEN : TERM_DIM,
		    false },
		{ buf_str(&until), TERM_DIM, false },
		{ buf_str(&used), TERM_DIM, false },
	    },
	    7);
}

static void
join(struct buf *out, const struct json *list)
{
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		if (out->n > 0)
			buf_add_byte(out, ',');
		buf_add_str(out, json_str(x));
	}
}

static void
put_time(struct buf *out, const struct json *t, const char *name)
{
	uint64_t ms;

	if (json_u64(json_get(t, str_of(name)), &ms) == 0)
		out_time(out, (int64_t)ms * 1000000);
	else
		buf_add_c(out, "never");
}
