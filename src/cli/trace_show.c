#include "cli/trace_show.h"

#include <inttypes.h>
#include <string.h>

#include "cli/out.h"
#include "codec/json.h"
#include "core/id.h"

enum {
	NS_PER_MS = 1000 * 1000,
	/* Of arguments and results below a row. */
	SHOWN_BYTES = 160,
	POLICY_DIGITS = 12, /* enough to tell versions apart */
};

struct note {
	struct note *next;
	enum term_style style;
	struct str text;
};

/* Texts are in the view's arena. */
struct trace_row {
	struct trace_row *next;
	uint32_t step;
	bool call; /* made of a call's records */
	int64_t t_ns;
	struct str what, verdict, rule, status;
	int64_t ms; /* -1: not known */
	struct note *first, *last;
};

static struct trace_row *row_for(
    struct trace_view *v, const struct store_row *record);
static bool of_call(enum event_kind kind);
static void take(struct trace_view *v, struct str *out, const struct json *x);
static void note_of(struct trace_view *v, struct trace_row *row,
    const struct store_row *record, const struct json *j);
static void note_denied(
    struct trace_view *v, struct trace_row *row, const struct json *body);
static void note_captured(struct trace_view *v, struct trace_row *row,
    const struct json *j, const struct json *body);
static void note_decision(
    struct trace_view *v, struct trace_row *row, const struct json *j);
static void note_vote(
    struct trace_view *v, struct trace_row *row, const struct json *body);
static void note_end(
    struct trace_view *v, struct trace_row *row, const struct json *body);
static void note(struct trace_view *v, struct trace_row *row,
    enum term_style style, const char *label, struct str text);
static struct str cut(struct str s);
static void put_row(struct term_table *tab, const struct trace_view *v,
    const struct trace_row *row);

void
trace_view_fini(struct trace_view *v)
{
	arena_fini(&v->memory);
	*v = (struct trace_view){};
}

int
trace_view_add(
    struct trace_view *v, const struct store_row *record, struct err *e)
{
	own_arena struct arena arena = {};
	const struct json *j = json_parse(record->body, NULL, &arena, e, NULL);
	struct trace_row *row;
	uint64_t ms;

	if (j == NULL)
		return err_add(e, "record %" PRIu64, record->seq);
	row = row_for(v, record);
	if (row == NULL)
		return err_set(e, "too many records to show: use --limit");
	take(v, &row->verdict, json_at(j, "dec", "verdict", NULL));
	take(v, &row->rule, json_at(j, "dec", "rule", NULL));
	take(v, &row->status, json_at(j, "res", "status", NULL));
	if (json_u64(json_at(j, "use", "ms", NULL), &ms) == 0)
		row->ms = (int64_t)ms;
	note_of(v, row, record, j);
	if (v->memory.failed)
		return err_set(e, "too many records to show: use --limit");
	return 0;
}

int
trace_view_write(const struct term *t, const struct trace_view *v,
    struct buf *out, struct err *e)
{
	static const struct term_cell heads[] = {
		{ STR("STEP"), TERM_BOLD, true },
		{ STR("TIME"), TERM_BOLD, true },
		{ STR("WHAT"), TERM_BOLD, false },
		{ STR("VERDICT"), TERM_BOLD, false },
		{ STR("RULE"), TERM_BOLD, false },
		{ STR("STATUS"), TERM_BOLD, false },
		{ STR("MS"), TERM_BOLD, true },
	};
	struct term_table tab = {};
	int status;

	term_row(&tab, heads, sizeof(heads) / sizeof(heads[0]));
	for (const struct trace_row *r = v->first; r != NULL; r = r->next)
		put_row(&tab, v, r);
	status = term_table_write(t, &tab, out, e);
	term_table_fini(&tab);
	return status;
}

void
trace_run_write(
    const struct term *t, const struct store_run *r, struct buf *out)
{
	char id[ID_BYTES], policy[HASH_HEX_BYTES];

	id_text('r', r->id, id);
	hash_hex(&r->policy, policy);
	term_put(t, out, TERM_BOLD, str_of(id));
	buf_add_c(out, "  ");
	term_text(out, r->workflow);
	buf_add_c(out, "  ");
	term_put(t, out, term_style_of(r->status), r->status);
	if (r->stop_reason.n > 0) {
		buf_add_c(out, " (");
		term_text(out, r->stop_reason);
		buf_add_byte(out, ')');
	}
	buf_add_c(out, "\n  ");
	term_text(out, r->actor);
	if (r->role.n > 0) {
		buf_add_c(out, " as ");
		term_text(out, r->role);
	}
	if (r->tenant.n > 0) {
		buf_add_c(out, " of ");
		term_text(out, r->tenant);
	}
	buf_add_c(out, ", opened ");
	out_time(out, r->opened_ns);
	buf_printf(out, " UTC, policy %.*s\n", POLICY_DIGITS, policy);
	if (r->command.n > 0) {
		buf_add_c(out, "  $ ");
		term_text(out, r->command);
		buf_add_byte(out, '\n');
	}
	buf_add_byte(out, '\n');
}

/* The row that a record belongs to, made when it is the first of it. */
static struct trace_row *
row_for(struct trace_view *v, const struct store_row *record)
{
	bool call = of_call(record->kind);
	struct trace_row *row;

	for (row = v->first; call && row != NULL; row = row->next)
		if (row->call && row->step == record->step)
			return row;
	row = arena_alloc(&v->memory, sizeof(*row));
	if (row == NULL)
		return NULL;
	*row = (struct trace_row){ .step = record->step,
		.call = call,
		.t_ns = record->t_ns,
		.ms = -1 };
	row->what = record->tool.n > 0 && call
	    ? record->tool
	    : str_of(event_kind_name(record->kind));
	row->what.p = arena_copy(&v->memory, row->what);
	if (row->what.p == NULL)
		return NULL;
	if (v->last != NULL)
		v->last->next = row;
	else
		v->first = row;
	v->last = row;
	return row;
}

static bool
of_call(enum event_kind kind)
{
	switch (kind) {
	case EVENT_TOOL_PROPOSED:
	case EVENT_POLICY_DECISION:
	case EVENT_APPROVAL_REQUESTED:
	case EVENT_APPROVAL_DECIDED:
	case EVENT_TOOL_STARTED:
	case EVENT_TOOL_FINISHED:
	case EVENT_DRAFT_CREATED:
		return true;
	case EVENT_RUN_OPENED:
	case EVENT_RUN_CLOSED:
	case EVENT_EGRESS_DECISION:
	case EVENT_EGRESS_DONE:
	case EVENT_EGRESS_LEAK:
	case EVENT_SECRET_REVOKED:
	case EVENT_FAULT_INJECTED:
	case EVENT_CONTEXT_INPUT:
	case EVENT_BUDGET_EXTENDED:
	case EVENT_TOOL_RETRIED:
	case EVENT_SNAPSHOT_TAKEN:
	case EVENT_FORK_OPENED:
	case EVENT_DRAFT_COMMITTED:
	case EVENT_PAGE_CAPTURED:
	case EVENT_BUDGET_STOP:
	case EVENT_KILL:
	case EVENT_NOTE:
	case EVENT_RUN_PAUSED:
	case EVENT_RUN_RESUMED:
	case EVENT_SANDBOX_DENIED:
	case EVENT_KINDS:
		break;
	}
	return false;
}

/* Copies x into the view when it is a text. */
static void
take(struct trace_view *v, struct str *out, const struct json *x)
{
	struct str s = json_str(x);
	char *p;

	if (s.n == 0)
		return;
	p = arena_copy(&v->memory, s);
	if (p != NULL)
		*out = (struct str){ p, s.n };
}

static void
note_of(struct trace_view *v, struct trace_row *row,
    const struct store_row *record, const struct json *j)
{
	const struct json *body = json_get(j, STR("body"));
	struct str status = json_str(json_at(j, "res", "status", NULL));

	switch (record->kind) {
	case EVENT_TOOL_PROPOSED:
		note(v, row, TERM_DIM, "",
		    cut(json_str(json_at(j, "tool", "args", "preview", NULL))));
		break;
	case EVENT_POLICY_DECISION:
		note_decision(v, row, j);
		break;
	case EVENT_APPROVAL_REQUESTED:
		note(v, row, TERM_YELLOW, "asks for approval ",
		    json_str(json_get(body, STR("approval"))));
		break;
	case EVENT_APPROVAL_DECIDED:
		note_vote(v, row, body);
		break;
	case EVENT_TOOL_STARTED:
	case EVENT_KINDS:
		break;
	case EVENT_TOOL_FINISHED:
		if (!str_eq(status, STR("ok")))
			note(v, row, TERM_DIM, "result ",
			    cut(json_str(
				json_at(j, "res", "out", "preview", NULL))));
		break;
	case EVENT_DRAFT_CREATED:
		if (row->status.n == 0)
			row->status = STR("drafted");
		note(v, row, TERM_CYAN, "draft ",
		    json_str(json_get(body, STR("draft_id"))));
		break;
	case EVENT_RUN_OPENED:
		note(v, row, TERM_DIM, "opened by ",
		    json_str(json_get(body, STR("opened_by"))));
		break;
	case EVENT_RUN_CLOSED:
		note_end(v, row, body);
		break;
	case EVENT_EGRESS_DECISION:
		note(v, row,
		    str_eq_c(
			json_str(json_at(j, "dec", "verdict", NULL)), "block")
			? TERM_RED
			: TERM_GREEN,
		    "to ", json_str(json_get(body, STR("host"))));
		break;
	case EVENT_EGRESS_DONE:
		note(v, row, TERM_GREEN, "done ",
		    json_str(json_get(body, STR("url"))));
		break;
	case EVENT_EGRESS_LEAK:
		note(v, row, TERM_RED,
		    "leak stopped: ", json_str(json_get(body, STR("name"))));
		break;
	case EVENT_FAULT_INJECTED:
		note(v, row, TERM_YELLOW, "failure on purpose: ",
		    json_str(json_get(body, STR("kind"))));
		break;
	case EVENT_SECRET_REVOKED:
		note(v, row, TERM_RED,
		    "secret revoked: ", json_str(json_get(body, STR("name"))));
		break;
	case EVENT_SNAPSHOT_TAKEN:
		note(v, row, TERM_CYAN, "snapshot ",
		    json_str(json_get(body, STR("snapshot"))));
		break;
	case EVENT_FORK_OPENED:
		note(v, row, TERM_CYAN, "fork of ",
		    json_str(json_get(body, STR("parent"))));
		break;
	case EVENT_CONTEXT_INPUT:
		note(v, row, TERM_GREEN, "the user says ",
		    json_str(json_at(j, "res", "out", "preview", NULL)));
		break;
	case EVENT_DRAFT_COMMITTED:
		note(v, row, TERM_GREEN,
		    "committed: ", json_str(json_get(body, STR("draft_id"))));
		break;
	case EVENT_TOOL_RETRIED:
		note(v, row, TERM_YELLOW, "asked again behind ",
		    json_str(json_get(body, STR("code"))));
		break;
	case EVENT_BUDGET_EXTENDED:
		note(v, row, TERM_YELLOW,
		    "more granted: ", json_str(json_get(body, STR("budget"))));
		break;
	case EVENT_PAGE_CAPTURED:
		note_captured(v, row, j, body);
		break;
	case EVENT_BUDGET_STOP:
		note(v, row, TERM_RED, "limit reached: ",
		    json_str(json_at(j, "dec", "code", NULL)));
		break;
	case EVENT_KILL:
		note(v, row, TERM_RED,
		    "stopped: ", json_str(json_get(body, STR("reason"))));
		break;
	case EVENT_RUN_PAUSED:
	case EVENT_RUN_RESUMED:
		note(v, row, TERM_DIM, "by ",
		    json_str(json_get(body, STR("by"))));
		break;
	case EVENT_SANDBOX_DENIED:
		note_denied(v, row, body);
		break;
	case EVENT_NOTE:
		note(v, row, TERM_PLAIN, "",
		    json_str(json_get(body, STR("note"))));
		note(v, row, TERM_PLAIN, "",
		    json_str(json_get(body, STR("why"))));
		break;
	}
}

/* "mount /tmp by seccomp, for python3" */
static void
note_denied(
    struct trace_view *v, struct trace_row *row, const struct json *body)
{
	own_buf struct buf text = {};
	struct str call = json_str(json_get(body, STR("call")));
	struct str about = json_str(json_get(body, STR("about")));
	struct str comm = json_str(json_get(body, STR("comm")));

	buf_add_str(&text, call);
	if (call.n > 0 && about.n > 0)
		buf_add_byte(&text, ' ');
	buf_add_str(&text, about);
	buf_add_c(&text, " by ");
	buf_add_str(&text, json_str(json_get(body, STR("wall"))));
	if (comm.n > 0)
		buf_add_c(&text, ", for ");
	buf_add_str(&text, comm);
	note(v, row, TERM_RED, "denied: ", cut(buf_str(&text)));
}

/* "before web.browser_click: image/png 1280x720, 23456 bytes, 6f1e..." */
static void
note_captured(struct trace_view *v, struct trace_row *row, const struct json *j,
    const struct json *body)
{
	const struct json *out = json_at(j, "res", "out", NULL);
	own_buf struct buf text = {};
	uint64_t n, w, h;

	buf_add_str(&text, json_str(json_get(body, STR("when"))));
	buf_add_byte(&text, ' ');
	buf_add_str(&text, json_str(json_at(j, "tool", "name", NULL)));
	buf_add_c(&text, ": ");
	if (out == NULL) {
		buf_add_c(&text, "none: ");
		buf_add_str(&text, json_str(json_at(j, "dec", "reason", NULL)));
		note(v, row, TERM_RED, "", buf_str(&text));
		return;
	}
	buf_add_str(&text, json_str(json_get(body, STR("type"))));
	if (json_u64(json_get(body, STR("width")), &w) == 0 &&
	    json_u64(json_get(body, STR("height")), &h) == 0)
		buf_printf(&text, " %" PRIu64 "x%" PRIu64, w, h);
	if (json_u64(json_get(out, STR("n")), &n) == 0)
		buf_printf(&text, ", %" PRIu64 " bytes, ", n);
	buf_add_str(&text, json_str(json_get(out, STR("h"))));
	note(v, row, TERM_DIM, "", buf_str(&text));
}

/* What was allowed needs no reason. */
static void
note_decision(struct trace_view *v, struct trace_row *row, const struct json *j)
{
	const struct json *more = json_at(j, "body", "reasons", NULL);
	enum term_style style = term_style_of(row->verdict);

	if (str_eq(row->verdict, STR("block")) && row->status.n == 0)
		row->status = STR("blocked");
	if (str_eq(row->verdict, STR("allow")))
		return;
	if (!json_is(more, JSON_ARRAY)) {
		note(v, row, style, "",
		    json_str(json_at(j, "dec", "reason", NULL)));
		return;
	}
	for (const struct json *x = json_first(more); x != NULL;
	     x = json_next(more, x))
		note(v, row, style, "", json_str(x));
}

static void
note_vote(struct trace_view *v, struct trace_row *row, const struct json *body)
{
	own_buf struct buf text = {};
	struct str verdict = json_str(json_get(body, STR("verdict")));
	struct str reason = json_str(json_get(body, STR("reason")));
	bool edited = json_bool(json_get(body, STR("edited")), false);

	buf_add_str(&text, verdict);
	buf_add_c(&text, edited ? ", edited, by " : " by ");
	buf_add_str(&text, json_str(json_get(body, STR("by"))));
	if (reason.n > 0) {
		buf_add_c(&text, ": ");
		buf_add_str(&text, reason);
	}
	note(v, row, term_style_of(verdict), "", buf_str(&text));
}

static void
note_end(struct trace_view *v, struct trace_row *row, const struct json *body)
{
	own_buf struct buf text = {};
	uint64_t n;

	take(v, &row->status, json_get(body, STR("status")));
	note(v, row, TERM_RED, "reason ",
	    json_str(json_get(body, STR("stop_reason"))));
	if (json_u64(json_get(body, STR("exit_status")), &n) == 0)
		buf_printf(&text, "exit status %" PRIu64, n);
	if (json_u64(json_get(body, STR("tool_calls")), &n) == 0)
		buf_printf(&text, "%s%" PRIu64 " tool calls",
		    text.n > 0 ? ", " : "", n);
	note(v, row, TERM_DIM, "", buf_str(&text));
}

/* A line below a row; without text there is none. */
static void
note(struct trace_view *v, struct trace_row *row, enum term_style style,
    const char *label, struct str text)
{
	own_buf struct buf line = {};
	struct note *n;

	if (text.n == 0)
		return;
	n = arena_alloc(&v->memory, sizeof(*n));
	if (n == NULL)
		return;
	buf_add_c(&line, label);
	buf_add_str(&line, text);
	n->style = style;
	n->text =
	    (struct str){ arena_copy(&v->memory, buf_str(&line)), line.n };
	if (n->text.p == NULL)
		return;
	if (row->last != NULL)
		row->last->next = n;
	else
		row->first = n;
	row->last = n;
}

/* A long text loses its end; half a character is shown as an escape. */
static struct str
cut(struct str s)
{
	if (s.n > SHOWN_BYTES)
		s.n = SHOWN_BYTES;
	while (s.n == SHOWN_BYTES && s.n > 0 &&
	    ((uint8_t)s.p[s.n - 1] & 0xc0) == 0x80)
		s.n--;
	return s;
}

static void
put_row(struct term_table *tab, const struct trace_view *v,
    const struct trace_row *row)
{
	static const char indent[] = "             "; /* STEP and TIME */
	own_buf struct buf step = {}, at = {}, ms = {};
	int64_t since = (row->t_ns - v->opened_ns) / NS_PER_MS;

	if (row->step > 0)
		buf_add_u64(&step, row->step);
	if (v->opened_ns > 0 && since >= 0)
		buf_printf(&at, "%" PRId64 ".%03us", since / 1000,
		    (unsigned)(since % 1000));
	if (row->ms >= 0)
		buf_add_u64(&ms, (uint64_t)row->ms);
	term_row(tab,
	    (const struct term_cell[]){
		{ buf_str(&step), TERM_PLAIN, true },
		{ buf_str(&at), TERM_DIM, true },
		{ row->what, TERM_BOLD, false },
		{ row->verdict, term_style_of(row->verdict), false },
		{ row->rule, TERM_DIM, false },
		{ row->status, term_style_of(row->status), false },
		{ buf_str(&ms), TERM_DIM, true },
	    },
	    7);
	for (const struct note *n = row->first; n != NULL; n = n->next) {
		own_buf struct buf line = {};

		buf_add_c(&line, indent);
		buf_add_str(&line, n->text);
		term_note(tab, n->style, buf_str(&line));
	}
}
