/*
 * `paddock server`: what the tools of tool servers were said to be, and what
 * people think of it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/server_show.h"
#include "cli/sub.h"
#include "cli/term.h"
#include "core/id.h"

static const char help[] =
    "usage: paddock server ls | show | diff | approve | reject | forget\n"
    "\n"
    "What the tools of tool servers were said to be. The first definition of "
    "a\n"
    "tool is accepted; one that differs is not offered to agents until a\n"
    "person has looked at it.\n"
    "\n"
    "  ls                  what is known, and what waits for a person\n"
    "  show TOOL           one tool's definitions\n"
    "  diff TOOL           what is new in the one that waits\n"
    "  approve TOOL        it is the one that holds from now on\n"
    "  reject TOOL         it stays refused\n"
    "  forget TOOL         nothing is known of it: the next one is the first\n"
    "\n"
    "TOOL is a name that `ls` shows, or SERVER.TOOL.\n"
    "\n"
    "example: paddock server diff notes.read\n";

static const char ls_help[] =
    "usage: paddock server ls [--waiting] [--server NAME] [--json]\n"
    "\n"
    "Lists tools of tool servers: whose, and whether what their servers say\n"
    "of them is accepted.\n"
    "\n"
    "  --waiting           only those that wait for a person\n"
    "  --server NAME       of this server of policies\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock server ls --waiting\n";

static const char show_help[] =
    "usage: paddock server show TOOL [--json]\n"
    "\n"
    "Shows what a tool was said to be: the definition that is accepted, and\n"
    "the newest other one, if there is one.\n"
    "\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock server show notes.read\n";

static const char diff_help[] =
    "usage: paddock server diff TOOL [--json]\n"
    "\n"
    "Shows where the newest definition of a tool differs from the one that is\n"
    "accepted. Exits with 1 when it does.\n"
    "\n"
    "  --json              both, as JSON\n" CLIENT_HELP "\n"
    "example: paddock server diff notes.read\n";

static const char decide_help[] =
    "usage: paddock server approve|reject|forget TOOL [--sha256 HASH]\n"
    "                                                 [--reason TEXT] "
    "[--json]\n"
    "\n"
    "Decides about the newest definition of a tool, or, where none waits, "
    "about\n"
    "the one that is accepted. It is shown before. Nothing is done when "
    "another\n"
    "person has decided, or another definition was seen, meanwhile.\n"
    "\n"
    "  --sha256 HASH       the definition that is meant; else nothing is done\n"
    "  --reason TEXT       why, for the trace\n"
    "  --json              the answer as JSON\n" CLIENT_HELP "\n"
    "example: paddock server approve notes.read --reason \"version 1.3\"\n";

static const struct option ls_options[] = {
	{ "waiting", no_argument, NULL, 'w' },
	{ "server", required_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const struct option show_options[] = {
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const struct option decide_options[] = {
	{ "sha256", required_argument, NULL, 'H' },
	{ "reason", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

struct wanted {
	const char *verdict; /* NULL: it is only looked at */
	const char *tool;
	const char *hash, *reason; /* or NULL */
	bool json;
	struct client_options where;
};

static int do_ls(int argc, char **argv);
static int do_show(int argc, char **argv);
static int do_diff(int argc, char **argv);
static int do_decide(int argc, char **argv);
static int ask_one(int argc, char **argv, const char *text, struct wanted *w,
    struct client_reply *r);
static int read_wanted(struct args *a, struct wanted *w);
static int get(const struct client *c, const struct wanted *w,
    struct client_reply *r, struct err *e);
static int find(const struct client *c, const char *tool,
    char out[static ID_BYTES], struct err *e);
static int decide(const struct client *c, const struct wanted *w,
    const struct json *pin, struct err *e);
static int write_json(const struct json *v, struct err *e);

int
cmd_server(int argc, char **argv)
{
	static const struct sub subs[] = {
		{ "ls", do_ls },
		{ "show", do_show },
		{ "diff", do_diff },
		{ "approve", do_decide },
		{ "reject", do_decide },
		{ "forget", do_decide },
		{},
	};

	return sub_main(argc, argv, help, subs);
}

static int
do_ls(int argc, char **argv)
{
	own_client struct client client = {};
	own_reply struct client_reply r = {};
	own_buf struct buf out = {}, target = {};
	struct client_request q = { .method = "GET" };
	struct client_options o = {};
	const char *server = NULL;
	const struct json *all;
	bool json = false, waiting = false;
	struct term t;
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, ls_help, ls_options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'w')
			waiting = true;
		else if (c == 'n')
			server = optarg;
		else if (c == 'j')
			json = true;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 0, 0, "");
	if (status != 0)
		return status;
	buf_add_c(&target, "/v1/pins");
	if (waiting)
		buf_add_c(&target, "?state=changed");
	if (server != NULL) {
		buf_add_c(&target, waiting ? "&server=" : "?server=");
		client_escape(&target, str_of(server));
	}
	q.target = buf_c(&target);
	if (client_init(&client, &o, &e) < 0 ||
	    client_ask(&client, &q, &r, &e) < 0)
		return out_fail(&e);
	all = json_get(r.json, STR("pins"));
	if (json)
		return out_json(all);
	if (json_first(all) == NULL) {
		out_note(waiting ? "nothing waits for a person"
				 : "no tool server has said anything yet");
		return EXIT_DONE;
	}
	term_init(&t, STDOUT_FILENO);
	if (server_table(&t, all, &out, &e) < 0)
		return out_fail(&e);
	return out_write(&out);
}

static int
do_show(int argc, char **argv)
{
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	struct wanted w = {};
	struct term t;
	int status = ask_one(argc, argv, show_help, &w, &r);

	if (status >= 0)
		return status;
	if (w.json)
		return out_json(r.json);
	term_init(&t, STDOUT_FILENO);
	server_show(&t, r.json, &out);
	return out_write(&out);
}

static int
do_diff(int argc, char **argv)
{
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	struct wanted w = {};
	struct term t;
	bool differs;
	int status = ask_one(argc, argv, diff_help, &w, &r);

	if (status >= 0)
		return status;
	term_init(&t, STDOUT_FILENO);
	differs = server_diff(&t, r.json, &out);
	status = w.json ? out_json(r.json) : out_write(&out);
	if (status == EXIT_DONE && !differs && !w.json)
		out_note("nothing else than what is accepted was seen");
	return status == EXIT_DONE && differs ? EXIT_FAILED : status;
}

/* What is known of one tool. -1 to go on, else the exit status. */
static int
ask_one(int argc, char **argv, const char *text, struct wanted *w,
    struct client_reply *r)
{
	own_client struct client client = {};
	struct args a;
	struct err e;
	int status;

	args_init(&a, argc, argv, text, show_options);
	status = read_wanted(&a, w);
	if (status >= 0)
		return status;
	if (client_init(&client, &w->where, &e) < 0 ||
	    get(&client, w, r, &e) < 0)
		return out_fail(&e);
	return -1;
}

/* approve, reject, forget: argv[0] says which. */
static int
do_decide(int argc, char **argv)
{
	own_client struct client client = {};
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	struct wanted w = { .verdict = argv[0] };
	struct term t;
	struct args a;
	struct err e;
	int status;

	args_init(&a, argc, argv, decide_help, decide_options);
	status = read_wanted(&a, &w);
	if (status >= 0)
		return status;
	if (client_init(&client, &w.where, &e) < 0 ||
	    get(&client, &w, &r, &e) < 0)
		return out_fail(&e);
	/* What is decided is shown, also when nobody is asked. */
	term_init(&t, STDOUT_FILENO);
	if (!w.json) {
		if (!server_diff(&t, r.json, &out))
			server_show(&t, r.json, &out);
		if (out_write(&out) != EXIT_DONE)
			return EXIT_FAILED;
	}
	return decide(&client, &w, r.json, &e) < 0 ? out_fail(&e) : EXIT_DONE;
}

/* -1 to go on, else the exit status. */
static int
read_wanted(struct args *a, struct wanted *w)
{
	int c, status;

	while ((c = args_next(a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a->exit;
		if (c == 'r' && strlen(optarg) > PIN_REASON_BYTES)
			return args_bad(
			    a, "--reason is over %d bytes", PIN_REASON_BYTES);
		if (c == 'r')
			w->reason = optarg;
		else if (c == 'H')
			w->hash = optarg;
		else if (c == 'j')
			w->json = true;
		else
			(void)client_option(&w->where, c, optarg);
	}
	status = args_need(a, 1, 1, "a tool, as `paddock server ls` shows it");
	if (status != 0)
		return status;
	w->tool = args_rest(a)[0];
	return -1;
}

static int
get(const struct client *c, const struct wanted *w, struct client_reply *r,
    struct err *e)
{
	char target[64], id[ID_BYTES];
	const struct client_request q = { .method = "GET", .target = target };

	if (find(c, w->tool, id, e) < 0)
		return -1;
	(void)snprintf(target, sizeof(target), "/v1/pins/%s", id);
	return client_ask(c, &q, r, e);
}

/* The name of what is meant: that itself, or the only one of SERVER.TOOL. */
static int
find(const struct client *c, const char *tool, char out[static ID_BYTES],
    struct err *e)
{
	own_reply struct client_reply r = {};
	const struct client_request q = { .method = "GET",
		.target = "/v1/pins" };
	const struct json *all;
	unsigned n = 0;
	uint64_t id;

	if (id_parse('p', str_of(tool), &id) == 0)
		return str_copy(str_of(tool), out, ID_BYTES);
	if (client_ask(c, &q, &r, e) < 0)
		return -1;
	all = json_get(r.json, STR("pins"));
	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x)) {
		own_buf struct buf name = {};

		buf_add_str(&name, json_str(json_get(x, STR("server"))));
		buf_add_byte(&name, '.');
		buf_add_str(&name, json_str(json_get(x, STR("tool"))));
		if (!str_eq_c(buf_str(&name), tool))
			continue;
		if (str_copy(json_str(json_get(x, STR("pin"))), out, ID_BYTES) <
		    0)
			return err_set(e, "the daemon's answer has no names");
		n++;
	}
	if (n == 0)
		return err_set(e,
		    "no tool server has said anything of %s: `paddock server "
		    "ls` lists what is known",
		    tool);
	if (n > 1)
		return err_set(e,
		    "%u tenants have a %s: name one as in p-7k3m9q2v5w1x; "
		    "`paddock server ls` has the names",
		    n, tool);
	return 0;
}

static int
decide(const struct client *c, const struct wanted *w, const struct json *pin,
    struct err *e)
{
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, out = {};
	char target[64];
	struct client_request q = { .method = "POST", .target = target };
	const struct json *seen = json_get(pin, STR("seen"));
	struct str id = json_str(json_get(pin, STR("pin"))), state;
	struct str hash = json_str(
	    json_get(seen != NULL ? seen : json_get(pin, STR("accepted")),
		STR("sha256")));
	uint64_t decisions = 0;
	struct term t;

	if (w->hash != NULL) {
		hash = str_of(w->hash);
		if (str_starts(hash, STR("sha256:")))
			hash = (struct str){ hash.p + 7, hash.n - 7 };
	}
	/* A number of the daemon's own: without it, it refuses. */
	(void)json_u64(json_get(pin, STR("decisions")), &decisions);
	buf_printf(&body,
	    "{\"decisions\":%llu,\"sha256\":", (unsigned long long)decisions);
	json_put_str(&body, hash);
	buf_add_c(&body, ",\"verdict\":");
	json_put_str(&body, str_of(w->verdict));
	if (w->reason != NULL) {
		buf_add_c(&body, ",\"reason\":");
		json_put_str(&body, str_of(w->reason));
	}
	buf_add_byte(&body, '}');
	(void)snprintf(
	    target, sizeof(target), "/v1/pins/%.*s/decide", STR_FMT(id));
	q.body = buf_str(&body);
	if (client_ask(c, &q, &r, e) < 0)
		return err_add(e, "%s %s", w->verdict, w->tool);
	if (w->json)
		return write_json(r.json, e);
	state = json_str(json_get(r.json, STR("state")));
	term_init(&t, STDOUT_FILENO);
	term_text(&out, str_of(w->tool));
	buf_add_byte(&out, ' ');
	term_put(&t, &out, term_style_of(state), state);
	buf_add_byte(&out, '\n');
	return out_write(&out) == EXIT_DONE
	    ? 0
	    : err_set(e, "it is decided, and could not be said");
}

static int
write_json(const struct json *v, struct err *e)
{
	return out_json(v) == EXIT_DONE
	    ? 0
	    : err_set(e, "the answer is not complete");
}
