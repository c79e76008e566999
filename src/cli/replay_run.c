/*
 * `paddock replay RUN --strict|--lenient -- COMMAND`: a run that is answered
 * out of the record of an earlier one (broker/rerun.h), and what came of it,
 * which its own record says.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/out.h"
#include "cli/replay.h"
#include "cli/run_go.h"
#include "cli/term.h"
#include "codec/json.h"
#include "sys/fd.h"

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "env", required_argument, NULL, 'e' },
	{ "ignore", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, 'j' },
	{ "lenient", no_argument, NULL, 'l' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "report", required_argument, NULL, 'o' },
	{ "state", required_argument, NULL, 'S' },
	{ "strict", no_argument, NULL, 's' },
	ARGS_HELP,
	{},
};

struct replay_command {
	struct run_open open;
	struct run_go go;
	bool strict, lenient;
	const char *report;
	struct args_env env;
	const char *ignore[POLICY_LIST_MAX];
};

/* What the run's record says of it. */
struct report {
	struct buf divergences; /* objects, each behind a comma */
	struct buf text; /* the same for people */
	struct buf end; /* the object that sums up */
	uint32_t n;
	bool failed;
	struct err *e;
};

static int read_options(
    struct args *a, struct replay_command *r, int argc, char **argv);
static int find_run(
    const struct replay_command *r, char name[static ID_BYTES], struct err *e);
static int read_report(
    const struct replay_command *r, struct report *p, struct err *e);
static bool on_record(void *arg, const struct store_row *row);
static void put_divergence(struct buf *out, const struct json *body);
static void put_side(
    struct buf *out, const char *what, const struct json *side);
static void put_short(struct buf *out, const struct json *v);
static int tell(
    const struct replay_command *r, const struct report *p, struct err *e);
static void put_end(
    struct buf *out, const struct replay_command *r, const struct json *end);

int
replay_run(int argc, char **argv, const char *help)
{
	static struct replay_command r; /* too large for the stack */
	struct args a = { .help = help };
	own_buf struct buf body = {};
	struct run_folders folders;
	struct report p = {};
	static char name[ID_BYTES]; /* r keeps it */
	struct err e = {};
	size_t n_problems;
	int status = read_options(&a, &r, argc, argv);

	if (status >= 0)
		return status;
	if (run_go_stdio(&e) < 0 || find_run(&r, name, &e) < 0)
		return out_fail(&e);
	r.open.replay = name;
	if (run_open_body(&r.open, &body, &folders, &n_problems, &e) < 0)
		return out_fail(&e);
	status = run_go(&r.go, buf_str(&body), &folders);
	run_folders_fini(&folders);
	if (r.go.run[0] != '\0') {
		status = read_report(&r, &p, &e);
		if (status == 0)
			status = tell(&r, &p, &e);
		if (status < 0)
			status = out_fail(&e);
	}
	buf_fini(&p.divergences);
	buf_fini(&p.text);
	buf_fini(&p.end);
	return status;
}

/* -1 to go on, else the exit status. */
static int
read_options(struct args *a, struct replay_command *r, int argc, char **argv)
{
	int c, status;

	args_init(a, argc, argv, a->help, options);
	a->name = "replay";
	r->open.env = &r->env;
	r->open.ignore = r->ignore;
	while ((c = args_next(a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a->exit;
		case 'd':
			r->open.dir = optarg;
			break;
		case 'e':
			status = args_env_add(a, &r->env);
			if (status != 0)
				return status;
			break;
		case 'i':
			if (r->open.n_ignore == POLICY_LIST_MAX)
				return args_bad(a, "more than %d --ignore",
				    POLICY_LIST_MAX);
			r->ignore[r->open.n_ignore++] = optarg;
			break;
		case 'j':
			r->go.json = true;
			break;
		case 'l':
			r->lenient = true;
			break;
		case 'q':
			r->go.quiet = true;
			break;
		case 'o':
			r->report = optarg;
			break;
		case 'S':
			r->go.where.state = optarg;
			break;
		case 's':
			r->strict = true;
			break;
		}
	}
	if (r->strict && r->lenient)
		return args_bad(a, "give --strict or --lenient, not both");
	r->open.strict = r->strict;
	if (a->command == NULL || a->command[0] == NULL)
		return args_bad(a, "no command; it stands behind --");
	r->open.command = a->command;
	a->command = NULL; /* taken */
	status = args_need(a, 1, 1, "RUN");
	if (status != 0)
		return status;
	r->open.replay = args_rest(a)[0];
	return -1;
}

static int
find_run(
    const struct replay_command *r, char name[static ID_BYTES], struct err *e)
{
	struct trace t = { .state = r->go.where.state };
	uint64_t run;
	int status = trace_open(&t, NULL, e);

	if (status == 0)
		status = trace_find(&t, r->open.replay, &run, e);
	if (status == 0)
		id_text('r', run, name);
	if (t.store != NULL)
		(void)store_close(t.store, &(struct err){}); /* only read */
	return status;
}

static int
read_report(const struct replay_command *r, struct report *p, struct err *e)
{
	struct trace t = { .state = r->go.where.state };
	uint64_t run = 0;
	int status;

	p->e = e;
	(void)id_parse('r', str_of(r->go.run), &run);
	status = trace_open(&t, NULL, e);
	if (status == 0)
		status = store_events(t.store, run, 0, 0, on_record, p, e);
	if (t.store != NULL)
		(void)store_close(t.store, &(struct err){}); /* only read */
	if (status < 0 || p->failed)
		return -1;
	if (p->end.n == 0)
		return err_set(e, "%s: its record does not say what came of it",
		    r->go.run);
	return 0;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct report *p = arg;
	own_arena struct arena a = {};
	const struct json *body;
	struct str note;

	if (row->kind != EVENT_NOTE)
		return true;
	body =
	    json_get(json_parse(row->body, NULL, &a, p->e, NULL), STR("body"));
	note = json_str(json_get(body, STR("note")));
	if (str_eq(note, STR("replay.finished"))) {
		json_write(&p->end, body);
	} else if (str_eq(note, STR("replay.diverged"))) {
		buf_add_c(&p->divergences, p->n++ > 0 ? "," : "");
		json_write(&p->divergences, body);
		put_divergence(&p->text, body);
	}
	p->failed = body == NULL;
	return !p->failed;
}

static void
put_divergence(struct buf *out, const struct json *body)
{
	const struct json *diff = json_get(body, STR("diff"));

	buf_add_c(out, "  ");
	term_text(out, json_str(json_get(body, STR("class"))));
	buf_add_byte(out, '\n');
	put_side(out, "then", json_get(body, STR("then")));
	put_side(out, "now", json_get(body, STR("now")));
	for (const struct json *x = json_is(diff, JSON_ARRAY) ? json_first(diff)
							      : NULL;
	     x != NULL; x = json_next(diff, x)) {
		buf_add_c(out, "    ");
		term_text(out, json_str(json_get(x, STR("path"))));
		buf_add_c(out, "  ");
		put_short(out, json_get(x, STR("then")));
		buf_add_c(out, " | ");
		put_short(out, json_get(x, STR("now")));
		buf_add_byte(out, '\n');
	}
}

static void
put_side(struct buf *out, const char *what, const struct json *side)
{
	const struct json *args = json_get(side, STR("args"));
	uint64_t step = 0;

	(void)json_u64(json_get(side, STR("step")), &step);
	if (side == NULL) {
		buf_printf(out, "    %-5s nothing like it\n", what);
		return;
	}
	buf_printf(out, "    %-5s step %" PRIu64 "  ", what, step);
	term_text(out, json_str(json_get(side, STR("tool"))));
	term_text(out, json_str(json_get(side, STR("method"))));
	if (json_get(side, STR("url")) != NULL) {
		buf_add_byte(out, ' ');
		term_text(out, json_str(json_get(side, STR("url"))));
	}
	if (args != NULL) {
		buf_add_byte(out, ' ');
		put_short(out, args);
	}
	buf_add_byte(out, '\n');
}

/* "-" for what was not there. */
static void
put_short(struct buf *out, const struct json *v)
{
	enum { SHOWN_BYTES = 120 };
	own_buf struct buf text = {};
	struct str s;

	if (v == NULL) {
		buf_add_byte(out, '-');
		return;
	}
	json_write(&text, v);
	s = buf_str(&text);
	if (s.n > SHOWN_BYTES)
		s.n = SHOWN_BYTES;
	term_text(out, s);
	buf_add_c(out, text.n > SHOWN_BYTES ? "..." : "");
}

/* The exit status, or -1 with e. */
static int
tell(const struct replay_command *r, const struct report *p, struct err *e)
{
	own_arena struct arena a = {};
	own_buf struct buf json = {}, text = {};
	own_fd int fd = -1;
	const struct json *end =
	    json_parse(buf_str(&p->end), NULL, &a, e, NULL);

	if (end == NULL)
		return -1;
	buf_add_c(&json, "{\"divergences\":[");
	buf_add_str(&json, buf_str(&p->divergences));
	buf_add_c(&json, "],\"replay\":");
	buf_add_str(&json, buf_str(&p->end));
	buf_printf(&json, ",\"run\":\"%s\"}\n", r->go.run);
	if (r->report != NULL) {
		fd = open(
		    r->report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (fd < 0 || fd_write_all(fd, json.p, json.n, e) < 0)
			return fd < 0 ? err_sys(e, "%s", r->report)
				      : err_add(e, "%s", r->report);
	}
	if (r->go.json) {
		if (fd_write_all(STDERR_FILENO, json.p, json.n, e) < 0)
			return err_add(e, "standard error");
	} else if (!r->go.quiet) {
		put_end(&text, r, end);
		buf_add_str(&text, buf_str(&p->text));
		if (fd_write_all(STDERR_FILENO, text.p, text.n, e) < 0)
			return err_add(e, "standard error");
	}
	return json_bool(json_get(end, STR("same")), false) && r->go.closed
	    ? EXIT_DONE
	    : EXIT_FAILED;
}

static void
put_end(struct buf *out, const struct replay_command *r, const struct json *end)
{
	const struct json *missing = json_get(end, STR("missing"));
	const struct json *requests = json_get(end, STR("requests"));
	uint64_t calls = 0, matched = 0, asked = 0, kept = 0, answered = 0;
	uint64_t redacted = 0, then = 0, now = 0;

	(void)json_u64(json_get(end, STR("calls")), &calls);
	(void)json_u64(json_get(end, STR("matched")), &matched);
	(void)json_u64(json_get(end, STR("asked")), &asked);
	(void)json_u64(json_get(requests, STR("kept")), &kept);
	(void)json_u64(json_get(requests, STR("answered")), &answered);
	(void)json_u64(json_get(end, STR("redacted")), &redacted);
	buf_printf(out,
	    "paddock: run %s, answered as %s: %" PRIu64 " of %" PRIu64
	    " calls and %" PRIu64 " of %" PRIu64
	    " requests as they were; it made %" PRIu64 " calls\n",
	    r->go.run, r->open.replay, matched, calls, answered, kept, asked);
	if (redacted > 0)
		buf_printf(out,
		    "  %" PRIu64 " answers were kept redacted, and given so\n",
		    redacted);
	if (json_u64(json_get(end, STR("exit_then")), &then) == 0 &&
	    json_u64(json_get(end, STR("exit_now")), &now) == 0 && then != now)
		buf_printf(out, "  exit status %" PRIu64 " | %" PRIu64 "\n",
		    then, now);
	for (const struct json *x =
		 json_is(missing, JSON_ARRAY) ? json_first(missing) : NULL;
	     x != NULL; x = json_next(missing, x)) {
		uint64_t step = 0;

		(void)json_u64(json_get(x, STR("step")), &step);
		buf_printf(out, "  not asked: step %" PRIu64 "  ", step);
		term_text(out, json_str(json_get(x, STR("tool"))));
		buf_add_byte(out, '\n');
	}
}
