#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/state.h"
#include "cli/sub.h"
#include "cli/term.h"
#include "cli/trace_cmd.h"
#include "cli/trace_show.h"
#include "codec/json.h"
#include "core/id.h"
#include "store/store.h"
#include "sys/fd.h"

static const char trace_help[] =
    "usage: paddock trace show RUN | verify [RUN] | ls | grep TEXT |\n"
    "       export RUN | import FILE... |\n"
    "       blob RUN HASH | recovery RUN | checkpoint | key [rotate] |\n"
    "       retain [TENANT] | gc\n"
    "\n"
    "Shows and verifies what runs did, also while a daemon runs.\n"
    "\n"
    "  show RUN            each step: what was asked, decided and done\n"
    "  verify [RUN]        that no record was changed, dropped or moved\n"
    "  ls                  the runs that have a trace\n"
    "  grep TEXT           where a text stands in what was recorded\n"
    "  export RUN          one run as a file that proves itself\n"
    "  import FILE...      runs that were recorded elsewhere\n"
    "  blob RUN HASH       what a record refers to, such as a picture of a "
    "page\n"
    "  recovery RUN        what it did about what failed\n"
    "  checkpoint          what was signed last, and the log's key\n"
    "  key                 all keys of the log; rotate: another one\n"
    "  retain [TENANT]     what is kept of content, and for how long\n"
    "  gc                  removes content that was kept before that was said\n"
    "\n"
    "RUN is a run's name or `last`.\n"
    "example: paddock trace show last\n";

static const char show_help[] =
    "usage: paddock trace show RUN [--from STEP] [--limit N] [--json]\n"
    "\n"
    "Shows what a run did, step by step. RUN is a run's name, `last`, or a "
    "file\n"
    "that `trace export` wrote.\n"
    "\n"
    "  --from STEP         from this step on\n"
    "  --limit N           at most N records; 1000 if not given\n"
    "  --json              the records as they are stored, one a line\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "example: paddock trace show last --from 5\n";

static const char ls_help[] =
    "usage: paddock trace ls [--limit N] [--json]\n"
    "\n"
    "Lists the runs that have a trace, newest first.\n"
    "\n"
    "  --limit N           at most N; 1000 if not given\n"
    "  --json              as JSON, one run a line\n"
    "  --state DIR         where the daemon keeps its "
    "state\n"
    "\n"
    "example: paddock trace ls\n";

static const struct option options[] = {
	{ "from", required_argument, NULL, 'f' },
	{ "json", no_argument, NULL, 'j' },
	{ "limit", required_argument, NULL, 'n' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

/* ls has no --from. */
static const struct option *const show_options = options;
static const struct option ls_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "limit", required_argument, NULL, 'n' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};
enum { LIMIT_DEFAULT = 1000, WRITE_BYTES = 64 * 1024 };

/* What the rows of a reading are put into. */
struct reading {
	struct trace *t;
	struct trace_view view;
	struct term_table table;
	struct store_run run; /* only its id and time stay valid */
	struct buf out;
	uint32_t count, most;
	bool cut, failed;
	struct err e;
};

static int cmd_show(int argc, char **argv);
static int cmd_ls(int argc, char **argv);
static int number(struct trace *t, const char *name, uint32_t *out);
static bool on_name(void *arg, const struct store_run *r);
static int show(struct trace *t, const char *name, struct err *e);
static bool on_head(void *arg, const struct store_run *r);
static bool on_record(void *arg, const struct store_row *row);
static int ls(struct trace *t, struct err *e);
static bool on_run(void *arg, const struct store_run *r);
static bool flush(struct reading *r);

int
cmd_trace(int argc, char **argv)
{
	static const struct sub subs[] = {
		{ "show", cmd_show },
		{ "verify", cmd_trace_verify },
		{ "ls", cmd_ls },
		{ "grep", cmd_trace_grep },
		{ "export", cmd_trace_export },
		{ "blob", cmd_trace_blob },
		{ "checkpoint", cmd_trace_checkpoint },
		{ "key", cmd_trace_key },
		{ "import", cmd_trace_import },
		{ "recovery", cmd_trace_recovery },
		{ "retain", cmd_trace_retain },
		{ "gc", cmd_trace_gc },
		{},
	};

	return sub_main(argc, argv, trace_help, subs);
}

static int
cmd_show(int argc, char **argv)
{
	struct trace t = { .args.name = "trace show" };
	struct err e;
	int status;

	if (!trace_options(&t, argc, argv, show_help, show_options))
		return t.args.exit;
	status = args_need(&t.args, 1, 1, "RUN");
	if (status != 0)
		return status;
	if (trace_open(&t, args_rest(&t.args)[0], &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, show(&t, args_rest(&t.args)[0], &e), &e);
}

static int
cmd_ls(int argc, char **argv)
{
	struct trace t = { .args.name = "trace ls" };
	struct err e;
	int status;

	if (!trace_options(&t, argc, argv, ls_help, ls_options))
		return t.args.exit;
	status = args_need(&t.args, 0, 0, "");
	if (status != 0)
		return status;
	if (trace_open(&t, NULL, &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, ls(&t, &e), &e);
}

/* False: t->args.exit is the exit status. */
bool
trace_options(struct trace *t, int argc, char **argv, const char *help,
    const struct option *table)
{
	const char *name = t->args.name, *shorts = t->args.shorts;
	int c;

	args_init(&t->args, argc, argv, help, table);
	t->args.name = name;
	t->args.shorts = shorts;
	while ((c = args_next(&t->args)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return false;
		case 'f':
			if (number(t, "--from", &t->from) != 0)
				return false;
			break;
		case 'n':
			if (number(t, "--limit", &t->limit) != 0)
				return false;
			break;
		case 'j':
			t->json = true;
			break;
		case 'S':
			t->state = optarg;
			break;
		case 'k':
			t->key = optarg;
			break;
		case 'o':
			t->out = optarg;
			break;
		case 'w':
			t->witness = optarg;
			break;
		case 'i':
			t->ignore_case = true;
			break;
		case 'K':
			t->kind = optarg;
			break;
		case 'T':
			t->tool = optarg;
			break;
		case 'F':
			t->format = optarg;
			break;
		case 'c':
			t->content = true;
			break;
		case 'P':
			t->policy = optarg;
			break;
		case 'W':
			t->workflow = optarg;
			break;
		}
	}
	return true;
}

static int
number(struct trace *t, const char *name, uint32_t *out)
{
	uint64_t v = 0;

	if (str_to_u64(str_of(optarg), &v) < 0 || v == 0 || v >= UINT32_MAX)
		return t->args.exit = args_bad(&t->args,
			   "%s %s: not a number from 1 on", name, optarg);
	*out = (uint32_t)v;
	return 0;
}

int
trace_open(struct trace *t, const char *name, struct err *e)
{
	own_buf struct buf dir = {};
	own_fd int fd = -1;
	struct note_key key;
	uint64_t id;

	term_init(&t->term, STDOUT_FILENO);
	if (name == NULL || strcmp(name, "last") == 0 ||
	    id_parse('r', str_of(name), &id) == 0 || access(name, F_OK) < 0) {
		if (state_store(t->state, &dir, e) < 0)
			return -1;
		t->store = store_open_read(buf_c(&dir), e);
		return t->store != NULL ? 0 : -1;
	}
	if (t->key != NULL && trace_key(t->key, &key, e) < 0)
		return -1;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", name);
	t->is_bundle = true;
	t->store = bundle_open(
	    fd, t->key != NULL ? &key : NULL, &t->bundle, &t->verdict, e);
	return t->store != NULL ? 0 : err_add(e, "%s", name);
}

/* status: an exit status, or -1 with e. */
int
trace_finish(struct trace *t, int status, const struct err *e)
{
	struct err other;

	if (status < 0)
		status = out_fail(e);
	if (store_close(t->store, &other) < 0)
		return out_fail(&other);
	return status;
}

int
trace_find(struct trace *t, const char *name, uint64_t *out, struct err *e)
{
	bool last = strcmp(name, "last") == 0;
	uint64_t id = 0;

	if (!last && !t->is_bundle && id_parse('r', str_of(name), &id) < 0)
		return err_set(e,
		    "%s is no run's name, such as r-7k3m9q2v5w1x, nor `last`: "
		    "paddock ps --all lists the runs",
		    name);
	*out = 0;
	if (t->is_bundle) {
		if (t->verdict.fault != STORE_SOUND)
			return err_set(e,
			    "%s is not sound: see paddock trace verify %s",
			    name, name);
		*out = t->bundle.run;
		return 0;
	}
	/* 0 is no run: the daemon's own records have that. */
	if ((last || id != 0) &&
	    store_runs(t->store, id, false, 1, on_name, out, e) < 0)
		return -1;
	if (*out == 0 && last)
		return err_set(e, "nothing has run here yet");
	if (*out == 0)
		return err_set(
		    e, "no run %s here: paddock ps --all lists the runs", name);
	return 0;
}

static bool
on_name(void *arg, const struct store_run *r)
{
	uint64_t *id = arg;

	*id = r->id;
	return false;
}

static int
show(struct trace *t, const char *name, struct err *e)
{
	struct reading r = { .t = t };
	uint64_t run = 0;
	int status;

	r.most = t->limit > 0 ? t->limit : t->json ? 0 : LIMIT_DEFAULT;
	if (trace_find(t, name, &run, e) < 0)
		return -1;
	status = store_runs(t->store, run, false, 1, on_head, &r, e);
	if (status == 0)
		status = store_events(t->store, run, t->from,
		    r.most > 0 ? r.most + 1 : 0, on_record, &r, e);
	if (status == 0 && r.failed) {
		*e = r.e;
		status = -1;
	}
	if (status == 0 && !t->json)
		status = trace_view_write(&t->term, &r.view, &r.out, e);
	if (status == 0)
		status = out_write(&r.out);
	if (status == 0 && r.cut)
		out_note("there is more: --limit N shows more records, "
			 "--from STEP the later ones");
	trace_view_fini(&r.view);
	buf_fini(&r.out);
	return status;
}

static bool
on_head(void *arg, const struct store_run *run)
{
	struct reading *r = arg;

	r->view.opened_ns = run->opened_ns;
	if (!r->t->json)
		trace_run_write(&r->t->term, run, &r->out);
	return false;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct reading *r = arg;

	if (r->most > 0 && r->count == r->most) {
		r->cut = true;
		return false;
	}
	r->count++;
	if (!r->t->json) {
		r->failed = trace_view_add(&r->view, row, &r->e) < 0;
		return !r->failed;
	}
	out_json_text(&r->out, row->body, STDOUT_FILENO);
	buf_add_byte(&r->out, '\n');
	return flush(r);
}

/* Writes what has come together, so that memory stays small. */
static bool
flush(struct reading *r)
{
	if (!r->out.failed && r->out.n < WRITE_BYTES)
		return true;
	if (out_write(&r->out) != EXIT_DONE) {
		r->failed = true;
		(void)err_set(&r->e, "the trace is not complete");
		return false;
	}
	buf_reset(&r->out);
	return true;
}

static int
ls(struct trace *t, struct err *e)
{
	struct reading r = { .t = t };
	int status;

	r.most = t->limit > 0 ? t->limit : LIMIT_DEFAULT;
	if (!t->json)
		term_row(&r.table,
		    (const struct term_cell[]){
			{ STR("RUN"), TERM_BOLD, false },
			{ STR("OPENED"), TERM_BOLD, false },
			{ STR("STATUS"), TERM_BOLD, false },
			{ STR("STEPS"), TERM_BOLD, true },
			{ STR("WORKFLOW"), TERM_BOLD, false },
			{ STR("COMMAND"), TERM_BOLD, false },
		    },
		    6);
	status = store_runs(t->store, 0, false, r.most + 1, on_run, &r, e);
	if (status == 0 && r.failed) {
		*e = r.e;
		status = -1;
	}
	if (status == 0 && !t->json && r.count > 0)
		status = term_table_write(&t->term, &r.table, &r.out, e);
	if (status == 0)
		status = out_write(&r.out);
	if (status == 0 && r.count == 0)
		out_note("nothing has run here yet");
	if (status == 0 && r.cut)
		out_note("there is more: --limit N shows more runs");
	term_table_fini(&r.table);
	buf_fini(&r.out);
	return status;
}

static bool
on_run(void *arg, const struct store_run *run)
{
	struct reading *r = arg;
	own_buf struct buf opened = {}, steps = {};
	char id[ID_BYTES];

	if (r->count == r->most) {
		r->cut = true;
		return false;
	}
	r->count++;
	if (r->t->json) {
		own_buf struct buf line = {};

		trace_run_json(&line, run);
		if (line.failed)
			r->out.failed = true;
		out_json_text(&r->out, buf_str(&line), STDOUT_FILENO);
		buf_add_byte(&r->out, '\n');
		return flush(r);
	}
	id_text('r', run->id, id);
	out_time(&opened, run->opened_ns);
	buf_add_u64(&steps, run->steps);
	term_row(&r->table,
	    (const struct term_cell[]){
		{ str_of(id), TERM_PLAIN, false },
		{ buf_str(&opened), TERM_DIM, false },
		{ run->status, term_style_of(run->status), false },
		{ buf_str(&steps), TERM_PLAIN, true },
		{ run->workflow, TERM_PLAIN, false },
		{ run->command, TERM_PLAIN, false },
	    },
	    6);
	return true;
}

void
trace_run_json(struct buf *out, const struct store_run *r)
{
	const struct {
		const char *name;
		struct str value;
	} texts[] = {
		{ "status", r->status },
		{ "stop_reason", r->stop_reason },
		{ "tenant", r->tenant },
		{ "workflow", r->workflow },
	};
	char id[ID_BYTES], hex[HASH_HEX_BYTES];
	static const struct hash none;

	id_text('r', r->id, id);
	buf_add_c(out, "{\"actor\":");
	json_put_str(out, r->actor);
	buf_add_c(out, ",\"command\":");
	json_put_str(out, r->command);
	if (!hash_eq(&r->head, &none)) {
		hash_hex(&r->head, hex);
		buf_printf(out, ",\"head\":\"%s\"", hex);
	}
	hash_hex(&r->policy, hex);
	buf_printf(out,
	    ",\"opened\":%" PRId64 ",\"policy\":\"%s\",\"run\":\"%s\","
	    "\"stage\":%" PRIu32,
	    r->opened_ns / 1000, hex, id, r->stage);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (i == 2)
			buf_printf(out, ",\"steps\":%" PRIu32, r->steps);
		buf_printf(out, ",\"%s\":", texts[i].name);
		json_put_str(out, texts[i].value);
	}
	buf_add_c(out, "}");
}
