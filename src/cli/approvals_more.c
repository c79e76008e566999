/*
 * paddock approvals stats, link and answer: how people decide, a token for one
 * person's answer, and answers by a script.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/approvals_more.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/term.h"
#include "core/id.h"
#include "sys/fd.h"

static const char stats_help[] =
    "usage: paddock approvals stats [--days N] [--json]\n"
    "\n"
    "How people decide: how many yes, the median time, and how many within\n"
    "three seconds. Who approves everything at once does not read it.\n"
    "\n"
    "  --days N            of what was asked for within N days; 30 if not "
    "given\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock approvals stats --days 7\n";

static const char link_help[] =
    "usage: paddock approvals link ID --actor A [--roles R,...] [--json]\n"
    "\n"
    "Prints a token for one person's yes or no to one approval, for a mail or\n"
    "a chat: POST /v1/approvals/ID/decide takes it, once, until the deadline.\n"
    "\n"
    "  --actor A           who is asked\n"
    "  --roles R,...       what he is, for from_roles of the policy\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock approvals link a-7k3m9q2v5w1x --actor bea --roles "
    "finance\n";

static const char answer_help[] =
    "usage: paddock approvals answer SCRIPT [--count N] [--timeout S]\n"
    "\n"
    "Answers what waits by a script, for tests: a JSON list of objects with\n"
    "`tool` (may hold *), `verdict` and perhaps `reason`. The first that fits\n"
    "answers; what none fits waits on. Each answer is a line.\n"
    "\n"
    "  --count N           ends after N answers; 1 if not given\n"
    "  --timeout S         ends then, with status 1; 60 if not "
    "given\n" CLIENT_HELP "\n"
    "example: paddock approvals answer answers.json --count 3\n";

static const struct option stats_options[] = {
	{ "days", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const struct option link_options[] = {
	{ "actor", required_argument, NULL, 'a' },
	{ "roles", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const struct option answer_options[] = {
	{ "count", required_argument, NULL, 'n' },
	{ "timeout", required_argument, NULL, 't' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

enum { POLL_MS = 50, ANSWER_TIMEOUT_S = 60 };

static int stats(
    const struct client *c, uint64_t days, bool json, struct err *e);
static void put_figures(
    struct term_table *tab, struct str who, const struct json *v);
static int ask_link(const struct client *c, const char *id, const char *actor,
    const char *roles, bool json, struct err *e);
static int answer(const struct client *c, const char *file, uint64_t count,
    uint64_t timeout_s, struct err *e);
static int answer_waiting(const struct client *c, const struct json *script,
    uint64_t *left, struct err *e);
static int answer_one(const struct client *c, const struct json *rule,
    const struct json *approval, struct err *e);
static int number(const struct args *a, const char *what, uint64_t *out);

int
cmd_approvals_stats(int argc, char **argv)
{
	own_client struct client client = {};
	struct client_options o = {};
	uint64_t days = 30;
	bool json = false;
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, stats_help, stats_options);
	a.name = "approvals stats";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'j')
			json = true;
		else if (c == 'd' && number(&a, "--days", &days) != 0)
			return EXIT_USAGE;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 0, 0, "");
	if (status != 0)
		return status;
	if (client_init(&client, &o, &e) < 0 ||
	    stats(&client, days, json, &e) < 0)
		return out_fail(&e);
	return EXIT_DONE;
}

int
cmd_approvals_link(int argc, char **argv)
{
	own_client struct client client = {};
	struct client_options o = {};
	const char *actor = NULL, *roles = "";
	bool json = false;
	struct args a;
	struct err e;
	uint64_t id;
	int c, status;

	args_init(&a, argc, argv, link_help, link_options);
	a.name = "approvals link";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'a')
			actor = optarg;
		else if (c == 'r')
			roles = optarg;
		else if (c == 'j')
			json = true;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 1, 1, "the ID of an approval");
	if (status != 0)
		return status;
	if (id_parse('a', str_of(args_rest(&a)[0]), &id) < 0)
		return args_bad(
		    &a, "%s is not the name of an approval", args_rest(&a)[0]);
	if (actor == NULL)
		return args_bad(&a, "--actor is missing");
	if (client_init(&client, &o, &e) < 0 ||
	    ask_link(&client, args_rest(&a)[0], actor, roles, json, &e) < 0)
		return out_fail(&e);
	return EXIT_DONE;
}

int
cmd_approvals_answer(int argc, char **argv)
{
	own_client struct client client = {};
	struct client_options o = {};
	uint64_t count = 1, timeout_s = ANSWER_TIMEOUT_S;
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, answer_help, answer_options);
	a.name = "approvals answer";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if ((c == 'n' && number(&a, "--count", &count) != 0) ||
		    (c == 't' && number(&a, "--timeout", &timeout_s) != 0))
			return EXIT_USAGE;
		(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 1, 1, "SCRIPT");
	if (status != 0)
		return status;
	if (client_init(&client, &o, &e) < 0 ||
	    answer(&client, args_rest(&a)[0], count, timeout_s, &e) < 0)
		return out_fail(&e);
	return EXIT_DONE;
}

static int
stats(const struct client *c, uint64_t days, bool json, struct err *e)
{
	static const struct term_cell head[] = {
		{ STR("WHO"), TERM_BOLD, false },
		{ STR("DECIDED"), TERM_BOLD, true },
		{ STR("APPROVED"), TERM_BOLD, true },
		{ STR("MEDIAN"), TERM_BOLD, true },
		{ STR("UNDER 3 S"), TERM_BOLD, true },
	};
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	char target[64];
	const struct client_request q = { .method = "GET", .target = target };
	struct term_table tab = {};
	const struct json *by;
	struct term t;
	int rc;

	(void)snprintf(
	    target, sizeof(target), "/v1/approvals/stats?days=%" PRIu64, days);
	if (client_ask(c, &q, &r, e) < 0)
		return -1;
	if (json)
		return out_json(r.json) == EXIT_DONE
		    ? 0
		    : err_set(e, "the figures are not complete");
	term_init(&t, STDOUT_FILENO);
	term_row(&tab, head, sizeof(head) / sizeof(head[0]));
	by = json_get(r.json, STR("by"));
	for (const struct json *x = json_first(by); x != NULL;
	     x = json_next(by, x))
		put_figures(&tab, json_str(json_get(x, STR("who"))), x);
	put_figures(&tab, STR("together"), r.json);
	rc = term_table_write(&t, &tab, &out, e);
	term_table_fini(&tab);
	if (rc < 0)
		return -1;
	return out_write(&out) == EXIT_DONE
	    ? 0
	    : err_set(e, "the figures are not complete");
}

static void
put_figures(struct term_table *tab, struct str who, const struct json *v)
{
	uint64_t decided = 0, approved = 0, ms = 0, fast = 0;
	char text[4][32];

	/* A daemon's own numbers: one that is missing is shown as 0. */
	(void)json_u64(json_get(v, STR("decided")), &decided);
	(void)json_u64(json_get(v, STR("approved")), &approved);
	(void)json_u64(json_get(v, STR("median_ms")), &ms);
	(void)json_u64(json_get(v, STR("under_3s")), &fast);
	(void)snprintf(text[0], sizeof(text[0]), "%" PRIu64, decided);
	(void)snprintf(text[1], sizeof(text[1]), "%" PRIu64 " %%",
	    decided > 0 ? approved * 100 / decided : 0);
	(void)snprintf(text[2], sizeof(text[2]), "%" PRIu64 ".%" PRIu64 " s",
	    ms / 1000, ms % 1000 / 100);
	(void)snprintf(text[3], sizeof(text[3]), "%" PRIu64 " %%",
	    decided > 0 ? fast * 100 / decided : 0);
	term_row(tab,
	    (const struct term_cell[]){
		{ who, TERM_PLAIN, false },
		{ str_of(text[0]), TERM_PLAIN, true },
		{ str_of(text[1]), TERM_PLAIN, true },
		{ str_of(text[2]), TERM_PLAIN, true },
		{ str_of(text[3]), TERM_PLAIN, true },
	    },
	    5);
}

static int
ask_link(const struct client *c, const char *id, const char *actor,
    const char *roles, bool json, struct err *e)
{
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, out = {};
	char target[64];
	struct client_request q = { .method = "POST", .target = target };

	(void)snprintf(target, sizeof(target), "/v1/approvals/%s/links", id);
	buf_add_c(&body, "{\"actor\":");
	json_put_str(&body, str_of(actor));
	buf_add_c(&body, ",\"roles\":");
	approvals_put_roles(&body, str_of(roles));
	buf_add_byte(&body, '}');
	q.body = buf_str(&body);
	if (client_ask(c, &q, &r, e) < 0)
		return -1;
	if (json)
		return out_json(r.json) == EXIT_DONE
		    ? 0
		    : err_set(e, "the link could not be shown");
	buf_add_str(&out, json_str(json_get(r.json, STR("secret"))));
	buf_add_byte(&out, '\n');
	return out_write(&out) == EXIT_DONE
	    ? 0
	    : err_set(e, "the link could not be shown");
}

void
approvals_put_roles(struct buf *out, struct str roles)
{
	buf_add_byte(out, '[');
	while (roles.n > 0) {
		struct str one = { roles.p, str_find(roles, ',') };
		size_t step = one.n + (one.n < roles.n);

		json_put_str(out, one);
		roles = (struct str){ roles.p + step, roles.n - step };
		if (roles.n > 0)
			buf_add_byte(out, ',');
	}
	buf_add_byte(out, ']');
}

static int
answer(const struct client *c, const char *file, uint64_t count,
    uint64_t timeout_s, struct err *e)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int64_t end = clock_mono_ns() + (int64_t)timeout_s * 1000000000;
	own_buf struct buf text = { .max = JSON_MAX_BYTES + 1 };
	own_arena struct arena a = {};
	const struct json *script;

	if (file_read(file, &text, JSON_MAX_BYTES, e) < 0)
		return -1;
	script = json_parse(buf_str(&text), NULL, &a, e, NULL);
	if (script == NULL)
		return err_add(e, "%s", file);
	if (!json_is(script, JSON_ARRAY))
		return err_set(e, "%s: not a list of answers", file);
	for (;;) {
		if (answer_waiting(c, script, &count, e) < 0)
			return -1;
		if (count == 0)
			return 0;
		if (clock_mono_ns() >= end)
			return err_set(e,
			    "%" PRIu64 " more would have been answered, and "
			    "nothing that fits has waited",
			    count);
		(void)nanosleep(&pause, NULL); /* sooner is no harm */
	}
}

static int
answer_waiting(const struct client *c, const struct json *script,
    uint64_t *left, struct err *e)
{
	own_reply struct client_reply r = {};
	const struct client_request q = { .method = "GET",
		.target = "/v1/approvals?state=pending" };
	const struct json *all;

	if (client_ask(c, &q, &r, e) < 0)
		return -1;
	all = json_get(r.json, STR("approvals"));
	for (const struct json *x = json_first(all); x != NULL && *left > 0;
	     x = json_next(all, x)) {
		struct str tool = json_str(json_get(x, STR("tool")));

		for (const struct json *s = json_first(script); s != NULL;
		     s = json_next(script, s)) {
			if (!str_glob(json_str(json_get(s, STR("tool"))), tool))
				continue;
			if (answer_one(c, s, x, e) < 0)
				return -1;
			--*left;
			break;
		}
	}
	return 0;
}

static int
answer_one(const struct client *c, const struct json *rule,
    const struct json *approval, struct err *e)
{
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, out = {};
	struct str id = json_str(json_get(approval, STR("approval")));
	const struct json *reason = json_get(rule, STR("reason"));
	char target[64];
	struct client_request q = { .method = "POST", .target = target };

	(void)snprintf(
	    target, sizeof(target), "/v1/approvals/%.*s/decide", STR_FMT(id));
	buf_add_byte(&body, '{');
	if (reason != NULL) {
		buf_add_c(&body, "\"reason\":");
		json_write(&body, reason);
		buf_add_byte(&body, ',');
	}
	buf_add_c(&body, "\"verdict\":");
	json_put_str(&body, json_str(json_get(rule, STR("verdict"))));
	buf_add_byte(&body, '}');
	q.body = buf_str(&body);
	if (client_ask(c, &q, &r, e) < 0)
		return err_add(e, "%.*s", STR_FMT(id));
	buf_printf(&out, "%.*s %.*s\n", STR_FMT(id),
	    STR_FMT(json_str(json_get(r.json, STR("state")))));
	return out_write(&out) == EXIT_DONE
	    ? 0
	    : err_set(e, "the answer could not be shown");
}

/* 0, or the exit status of a complaint. */
static int
number(const struct args *a, const char *what, uint64_t *out)
{
	if (str_to_u64(str_of(optarg), out) < 0 || *out == 0 || *out > 100000)
		return args_bad(
		    a, "%s %s: not a number from 1 to 100000", what, optarg);
	return 0;
}
