#include "cli/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/approval_show.h"
#include "cli/approvals_more.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/sub.h"
#include "cli/term.h"
#include "core/id.h"

static const char list_help[] =
    "usage: paddock approvals [[show] ID] [--all] [--json]\n"
    "       paddock approvals stats | link | answer | notify\n"
    "\n"
    "Lists the calls that wait for a person, or shows one of them: its\n"
    "arguments, where each comes from, and what the call would change, if the\n"
    "policy has it previewed. `stats` is\n"
    "how people decide, `link` makes a token for one person's answer,\n"
    "`answer` answers by a script, `notify` brings what waits to people\n"
    "elsewhere.\n"
    "\n"
    "  --all               also those that are decided\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock approvals\n";

static const struct option list_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const char approve_help[] =
    "usage: paddock approve ID [--edit JSON] [--reason TEXT] [--json]\n"
    "\n"
    "Shows the call with its arguments and lets it go ahead, once: exactly "
    "that\n"
    "call, or the one that --edit makes of it, which the policy judges again.\n"
    "\n"
    "  --edit JSON         arguments to change, such as '{\"amount\": 20}'; "
    "the\n"
    "                      policy says which ones may be\n"
    "  --reason TEXT       why, for the trace\n"
    "  --json              the answer as JSON\n" CLIENT_HELP "\n"
    "example: paddock approve a-7k3m9q2v5w1x --reason \"invoice checked\"\n";

static const struct option approve_options[] = {
	{ "edit", required_argument, NULL, 'e' },
	{ "reason", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const char reject_help[] =
    "usage: paddock reject ID [--reason TEXT] [--escalate | --terminate]\n"
    "\n"
    "Refuses a waiting call. The agent reads the reason and goes on.\n"
    "\n"
    "  --reason TEXT       what the agent and the trace are told\n"
    "  --escalate          do not decide: leave it to somebody with more say\n"
    "  --terminate         also stop the run\n"
    "  --json              the answer as JSON\n" CLIENT_HELP "\n"
    "example: paddock reject a-7k3m9q2v5w1x --reason \"wrong customer\"\n";

static const struct option reject_options[] = {
	{ "reason", required_argument, NULL, 'r' },
	{ "escalate", no_argument, NULL, 'x' },
	{ "terminate", no_argument, NULL, 't' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

enum { REASON_MAX = 255 }; /* bytes that the broker keeps */

struct decision {
	const char *id;
	const char *verdict;
	const char *edit; /* JSON text, or NULL */
	const char *reason; /* or NULL */
	bool json;
	struct client_options where;
};

static int list(
    const struct client_options *o, bool all, bool as_json, struct err *e);
static int show_one(const struct client_options *o, const char *id,
    bool as_json, struct err *e);
static int read_decision(struct args *a, struct decision *d);
static int decide(const struct decision *d, struct err *e);
static int edited(struct buf *body, const struct json *approval,
    const char *edit, struct err *e);
static int get_one(const struct client *c, const char *id,
    struct client_reply *r, struct err *e);
static int write_json(const struct json *v, struct err *e);

int
cmd_approvals(int argc, char **argv)
{
	static const struct sub subs[] = {
		{ "stats", cmd_approvals_stats },
		{ "link", cmd_approvals_link },
		{ "answer", cmd_approvals_answer },
		{ "notify", cmd_approvals_notify },
		{},
	};
	const struct sub *sub = sub_find(argc, argv, subs);
	struct client_options o = {};
	bool all = false, as_json = false;
	struct args a;
	struct err e;
	uint64_t id;
	int c, status;

	if (sub != NULL)
		return sub->run(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "show") == 0) {
		argc--;
		argv++;
	}
	args_init(&a, argc, argv, list_help, list_options);
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'a':
			all = true;
			break;
		case 'j':
			as_json = true;
			break;
		default:
			(void)client_option(&o, c, optarg);
		}
	}
	status = args_need(&a, 0, 1, "");
	if (status != 0)
		return status;
	if (args_count(&a) == 0)
		return list(&o, all, as_json, &e) < 0 ? out_fail(&e)
						      : EXIT_DONE;
	if (id_parse('a', str_of(args_rest(&a)[0]), &id) < 0)
		return args_bad(
		    &a, "%s is not the name of an approval", args_rest(&a)[0]);
	return show_one(&o, args_rest(&a)[0], as_json, &e) < 0 ? out_fail(&e)
							       : EXIT_DONE;
}

int
cmd_approve(int argc, char **argv)
{
	struct decision d = { .verdict = "approve" };
	struct args a;
	struct err e;
	int status;

	args_init(&a, argc, argv, approve_help, approve_options);
	status = read_decision(&a, &d);
	if (status >= 0)
		return status;
	return decide(&d, &e) < 0 ? out_fail(&e) : EXIT_DONE;
}

int
cmd_reject(int argc, char **argv)
{
	struct decision d = { .verdict = "reject" };
	struct args a;
	struct err e;
	int status;

	args_init(&a, argc, argv, reject_help, reject_options);
	status = read_decision(&a, &d);
	if (status >= 0)
		return status;
	return decide(&d, &e) < 0 ? out_fail(&e) : EXIT_DONE;
}

static int
list(const struct client_options *o, bool all, bool as_json, struct err *e)
{
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	const struct client_request q = {
		.method = "GET",
		.target = all ? "/v1/approvals?state=all"
			      : "/v1/approvals?state=pending",
	};
	const struct json *items;
	struct term t;

	if (client_init(&c, o, e) < 0)
		return -1;
	if (client_ask(&c, &q, &r, e) < 0)
		return -1;
	items = json_get(r.json, STR("approvals"));
	if (!json_is(items, JSON_ARRAY))
		return err_set(e, "the daemon's answer holds no approvals");
	if (as_json)
		return write_json(items, e);
	if (json_first(items) == NULL) {
		out_note(all ? "nothing has waited for a person yet"
			     : "nothing waits for a person");
		return 0;
	}
	term_init(&t, STDOUT_FILENO);
	if (approval_table(&t, items, clock_utc_ns(), &out, e) < 0)
		return -1;
	if (out_write(&out) != EXIT_DONE)
		return err_set(e, "the list is not complete");
	return 0;
}

static int
show_one(
    const struct client_options *o, const char *id, bool as_json, struct err *e)
{
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	struct term t;

	if (client_init(&c, o, e) < 0 || get_one(&c, id, &r, e) < 0)
		return -1;
	if (as_json)
		return write_json(r.json, e);
	term_init(&t, STDOUT_FILENO);
	approval_show(&t, r.json, clock_utc_ns(), &out);
	if (out_write(&out) != EXIT_DONE)
		return err_set(e, "not all of it was shown");
	return 0;
}

/* -1 to go on, else the exit status. */
static int
read_decision(struct args *a, struct decision *d)
{
	uint64_t id;
	int c, status;

	while ((c = args_next(a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a->exit;
		case 'e':
			d->edit = optarg;
			d->verdict = "approve_edited";
			break;
		case 'r':
			if (strlen(optarg) > REASON_MAX)
				return args_bad(
				    a, "--reason is over %d bytes", REASON_MAX);
			d->reason = optarg;
			break;
		case 'j':
			d->json = true;
			break;
		case 'x':
		case 't':
			if (strcmp(d->verdict, "reject") != 0)
				return args_bad(a,
				    "--escalate and --terminate exclude each "
				    "other");
			d->verdict = c == 'x' ? "escalate" : "terminate";
			break;
		default:
			(void)client_option(&d->where, c, optarg);
		}
	}
	status = args_need(a, 1, 1, "the ID of an approval");
	if (status != 0)
		return status;
	d->id = args_rest(a)[0];
	if (id_parse('a', str_of(d->id), &id) < 0)
		return args_bad(a, "%s is not the name of an approval", d->id);
	return -1;
}

static int
decide(const struct decision *d, struct err *e)
{
	own_client struct client c = {};
	own_reply struct client_reply before = {}, after = {};
	own_buf struct buf out = {}, body = {};
	char target[64];
	struct client_request q = { .method = "POST", .target = target };
	struct str state;
	struct term t;

	if (client_init(&c, &d->where, e) < 0 ||
	    get_one(&c, d->id, &before, e) < 0)
		return -1;
	/* What is decided is shown, also when nobody is asked. */
	term_init(&t, STDOUT_FILENO);
	if (!d->json) {
		approval_show(&t, before.json, clock_utc_ns(), &out);
		if (out_write(&out) != EXIT_DONE)
			return err_set(e,
			    "nothing is decided: it could not "
			    "be shown");
		buf_reset(&out);
	}
	buf_add_c(&body, "{\"verdict\":");
	json_put_str(&body, str_of(d->verdict));
	if (d->edit != NULL && edited(&body, before.json, d->edit, e) < 0)
		return -1;
	if (d->reason != NULL) {
		buf_add_c(&body, ",\"reason\":");
		json_put_str(&body, str_of(d->reason));
	}
	buf_add_byte(&body, '}');
	if (body.failed)
		return err_set(e, "out of memory");
	(void)snprintf(
	    target, sizeof(target), "/v1/approvals/%s/decide", d->id);
	q.body = buf_str(&body);
	if (client_ask(&c, &q, &after, e) < 0)
		return err_add(e, "%s %s", d->verdict, d->id);
	if (d->json)
		return write_json(after.json, e);
	state = json_str(json_get(after.json, STR("state")));
	buf_add_c(&out, d->id);
	buf_add_byte(&out, ' ');
	term_put(&t, &out, term_style_of(state), state);
	buf_add_byte(&out, '\n');
	return out_write(&out) == EXIT_DONE ? 0 : -1;
}

/* Appends the arguments as they are with the edit's members put over them. */
static int
edited(struct buf *body, const struct json *approval, const char *edit,
    struct err *e)
{
	own_arena struct arena a = {};
	const struct json *was = json_get(approval, STR("arguments"));
	const struct json *now = json_parse(str_of(edit), NULL, &a, e, NULL);
	bool first = true;

	if (now == NULL)
		return err_add(e, "--edit");
	if (!json_is(now, JSON_OBJECT))
		return err_set(e,
		    "--edit: an object such as '{\"amount\": "
		    "20}', not %s",
		    json_type_name((enum json_type)now->type));
	buf_add_c(body, ",\"arguments\":{");
	for (const struct json *k = json_first(now); k != NULL;
	     k = json_next(now, k)) {
		if (!first)
			buf_add_byte(body, ',');
		first = false;
		json_write(body, k);
		buf_add_byte(body, ':');
		json_write(body, json_value(k));
	}
	for (const struct json *k = json_first(was); k != NULL;
	     k = json_next(was, k)) {
		if (json_get(now, json_str(k)) != NULL)
			continue;
		if (!first)
			buf_add_byte(body, ',');
		first = false;
		json_write(body, k);
		buf_add_byte(body, ':');
		json_write(body, json_value(k));
	}
	buf_add_byte(body, '}');
	return 0;
}

static int
get_one(const struct client *c, const char *id, struct client_reply *r,
    struct err *e)
{
	char target[64];
	const struct client_request q = { .method = "GET", .target = target };

	(void)snprintf(target, sizeof(target), "/v1/approvals/%s", id);
	return client_ask(c, &q, r, e);
}

static int
write_json(const struct json *v, struct err *e)
{
	return out_json(v) == EXIT_DONE
	    ? 0
	    : err_set(e, "the answer is not complete");
}
