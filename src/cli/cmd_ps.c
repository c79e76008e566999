#include "cli/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/state.h"
#include "cli/term.h"
#include "core/id.h"
#include "store/store.h"

static const char help[] =
    "usage: paddock ps [--all] [--json]\n"
    "\n"
    "Lists the runs that are open, newest first. Without a daemon, what the\n"
    "store says.\n"
    "\n"
    "  --all               also those that have ended\n"
    "  --tag K=V           only runs with this tag; K alone: any value\n"
    "  --limit N           at most N runs; 50 if not given\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "example: paddock ps --all --limit 5\n";

static const struct option options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "tag", required_argument, NULL, 'g' },
	{ "limit", required_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 1000, NS_PER_MS = 1000000 };

struct ps {
	bool all, json;
	const char *tag; /* NULL: any */
	uint64_t limit;
	struct client_options where;
};

/* What a listing of the store is written with. */
struct stored {
	struct store *store;
	struct buf *list;
};

static int fetch(const struct ps *p, struct buf *list, struct err *e);
static int fetch_store(const struct ps *p, struct buf *list, struct err *e);
static bool on_run(void *arg, const struct store_run *r);
static bool on_opened(void *arg, const struct store_row *row);
static int show(const struct ps *p, struct str list, struct err *e);
static void put_member(struct buf *b, const char *name, struct str value);
static void put_tags(struct buf *b, const struct json *tags);
static void ago(struct buf *b, const struct json *opened);

int
cmd_ps(int argc, char **argv)
{
	own_buf struct buf list = {};
	struct ps p = { .limit = LIMIT_DEFAULT };
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'a':
			p.all = true;
			break;
		case 'j':
			p.json = true;
			break;
		case 'g':
			p.tag = optarg;
			break;
		case 'n':
			if (str_to_u64(str_of(optarg), &p.limit) < 0 ||
			    p.limit == 0 || p.limit > LIMIT_MAX)
				return args_bad(&a,
				    "--limit %s: not a number from 1 to %d",
				    optarg, LIMIT_MAX);
			break;
		default:
			(void)client_option(&p.where, c, optarg);
		}
	}
	status = args_need(&a, 0, 0, "");
	if (status != 0)
		return status;
	if (fetch(&p, &list, &e) < 0 || show(&p, buf_str(&list), &e) < 0)
		return out_fail(&e);
	return EXIT_DONE;
}

/* Appends {"runs":[...]} from the daemon or, when there is none, the store. */
static int
fetch(const struct ps *p, struct buf *list, struct err *e)
{
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf target = {};
	struct client_request q = { .method = "GET" };

	buf_printf(&target, "/v1/runs?limit=%u&all=%s", (unsigned)p->limit,
	    p->all ? "true" : "false");
	if (p->tag != NULL) {
		buf_add_c(&target, "&tag=");
		client_escape(&target, str_of(p->tag));
	}
	q.target = buf_c(&target);
	if (client_init(&c, &p->where, e) < 0)
		return -1;
	if (client_ask(&c, &q, &r, e) == 0) {
		buf_add_str(list, buf_str(&r.body));
		return 0;
	}
	if (p->where.url != NULL || !client_down(e))
		return -1;
	if (p->tag != NULL)
		return err_add(e, "tags are for a daemon to look at");
	return fetch_store(p, list, e);
}

/*
 * The store says "open" of a run whose daemon was killed, until the next one
 * starts: without a daemon nothing is open, so only --all has an answer.
 */
static int
fetch_store(const struct ps *p, struct buf *list, struct err *e)
{
	own_buf struct buf dir = {};
	struct err other;
	struct store *s;
	int status = 0;

	buf_add_c(list, "{\"runs\":[");
	if (p->all) {
		if (state_store(p->where.state, &dir, e) < 0)
			return -1;
		/* No store: nothing has ever run here. */
		if (access(buf_c(&dir), F_OK) == 0) {
			s = store_open_read(buf_c(&dir), e);
			if (s == NULL)
				return -1;
			struct stored all = { s, list };

			status = store_runs(
			    s, 0, false, (uint32_t)p->limit, on_run, &all, e);
			if (store_close(s, &other) < 0 && status == 0) {
				*e = other;
				status = -1;
			}
		}
	}
	buf_add_c(list, "]}");
	if (status == 0 && list->failed)
		return err_set(e, "out of memory");
	return status;
}

static bool
on_run(void *arg, const struct store_run *r)
{
	const struct stored *all = arg;
	struct buf *b = all->list;
	char id[ID_BYTES];
	struct err e = {};
	bool lost = str_eq_c(r->status, "open");

	if (b->p[b->n - 1] != '[')
		buf_add_byte(b, ',');
	id_text('r', r->id, id);
	buf_add_c(b, "{\"command\":");
	json_put_str(b, r->command);
	/* A record that cannot be read is verify's to complain about. */
	(void)store_events(all->store, r->id, 0, 1, on_opened, b, &e);
	put_member(b, "run", str_of(id));
	put_member(b, "status", lost ? STR("lost") : r->status);
	put_member(b, "stop_reason", r->stop_reason);
	put_member(b, "workflow", r->workflow);
	buf_printf(b, ",\"exit_status\":%u,\"opened_ms\":%lld,\"steps\":%u}",
	    r->exit_status, (long long)r->opened_ns / NS_PER_MS, r->steps);
	return !b->failed;
}

/* The record of a run's opening names its image. */
static bool
on_opened(void *arg, const struct store_row *row)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v = json_parse(row->body, NULL, &a, &e, NULL);
	const struct json *image =
	    json_get(json_get(v, STR("body")), STR("image"));

	if (json_is(image, JSON_OBJECT)) {
		buf_add_c(arg, ",\"image\":");
		json_write(arg, image);
	}
	return false;
}

static int
show(const struct ps *p, struct str list, struct err *e)
{
	own_arena struct arena arena = {};
	own_buf struct buf out = {};
	struct term_table tab = {};
	const struct json *v = json_parse(list, NULL, &arena, e, NULL);
	const struct json *runs = json_get(v, STR("runs"));
	struct term t;
	int status = 0;

	if (!json_is(runs, JSON_ARRAY))
		return err_set(e, "the daemon's answer holds no runs");
	if (p->json) {
		own_buf struct buf text = {};

		json_write_pretty(&text, runs);
		out_json_text(&out, buf_str(&text), STDOUT_FILENO);
		buf_add_byte(&out, '\n');
		return out_write(&out) == EXIT_DONE ? 0 : -1;
	}
	term_init(&t, STDOUT_FILENO);
	term_row(&tab,
	    (const struct term_cell[]){
		{ STR("RUN"), TERM_BOLD, false },
		{ STR("STATUS"), TERM_BOLD, false },
		{ STR("WORKFLOW"), TERM_BOLD, false },
		{ STR("STEPS"), TERM_BOLD, true },
		{ STR("AGE"), TERM_BOLD, true },
		{ STR("REASON"), TERM_BOLD, false },
		{ STR("TAGS"), TERM_BOLD, false },
	    },
	    7);
	for (const struct json *r = json_first(runs); r != NULL;
	     r = json_next(runs, r)) {
		struct str state = json_str(json_get(r, STR("status")));
		own_buf struct buf steps = {}, age = {}, tags = {};

		json_write(&steps, json_get(r, STR("steps")));
		ago(&age, json_get(r, STR("opened_ms")));
		put_tags(&tags, json_get(r, STR("tags")));
		term_row(&tab,
		    (const struct term_cell[]){
			{ json_str(json_get(r, STR("run"))), TERM_PLAIN,
			    false },
			{ state, term_style_of(state), false },
			{ json_str(json_get(r, STR("workflow"))), TERM_PLAIN,
			    false },
			{ buf_str(&steps), TERM_PLAIN, true },
			{ buf_str(&age), TERM_DIM, true },
			{ json_str(json_get(r, STR("stop_reason"))), TERM_PLAIN,
			    false },
			{ buf_str(&tags), TERM_DIM, false },
		    },
		    7);
	}
	status = term_table_write(&t, &tab, &out, e);
	term_table_fini(&tab);
	if (status < 0)
		return -1;
	if (json_first(runs) == NULL)
		out_note(p->all ? "nothing has run here yet"
				: "nothing runs; paddock ps --all shows what "
				  "has ended");
	else if (out_write(&out) != EXIT_DONE)
		return err_set(e, "the list is not complete");
	return 0;
}

static void
put_member(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, ",\"%s\":", name);
	json_put_str(b, value);
}

/* "team=red,ticket=T-1041". */
static void
put_tags(struct buf *b, const struct json *tags)
{
	for (const struct json *k = json_first(tags); k != NULL;
	     k = json_next(tags, k)) {
		buf_add_c(b, b->n > 0 ? "," : "");
		buf_add_str(b, json_str(k));
		buf_add_byte(b, '=');
		buf_add_str(b, json_str(json_value(k)));
	}
}

/* How long since: the largest unit that is not 0, of seconds to days. */
static void
ago(struct buf *b, const struct json *opened)
{
	uint64_t at_ms, now_ms = (uint64_t)clock_utc_ns() / NS_PER_MS, s;

	if (json_u64(opened, &at_ms) < 0) {
		buf_add_byte(b, '-');
		return;
	}
	s = at_ms < now_ms ? (now_ms - at_ms) / 1000 : 0;
	if (s < 120)
		buf_printf(b, "%us", (unsigned)s);
	else if (s < 120 * 60)
		buf_printf(b, "%um", (unsigned)(s / 60));
	else if (s < 48 * 3600)
		buf_printf(b, "%uh", (unsigned)(s / 3600));
	else
		buf_printf(b, "%ud", (unsigned)(s / 86400));
}
