/*
 * One run, frame by frame: a frame is all that was recorded of one step.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/out.h"
#include "cli/recorded.h"
#include "cli/replay.h"
#include "cli/replay_files.h"
#include "cli/trace_show.h"
#include "codec/json.h"
#include "core/id.h"

static const char keys[] =
    "Enter or n: next, b: back, a number: that step, /TEXT: the next step\n"
    "that has it, s: what the run had read and done by then, f: what it had\n"
    "changed of its files by the last snapshot, q: end\n";

enum {
	LINE_BYTES = 1024, /* of a command */
	NS_PER_MS = 1000 * 1000,
	/* Of one value on a terminal: --json has all of it. */
	SHOWN_BYTES = 16 * 1024,
};

struct steps {
	struct trace *t;
	uint64_t run;
	uint32_t last; /* the run's steps */
	int64_t opened_ns;
	struct buf head; /* of the run, as text */
	struct buf out;
};

/* One frame while its records pass by. */
struct frame {
	struct steps *s;
	struct buf *out;
	struct arena memory;
	struct err *e;
	uint32_t records;
	bool failed;
};

/* What had happened up to a step. */
struct past {
	uint32_t step; /* the last that counts */
	uint64_t calls, executed, drafts, refused, asked, requests, stopped;
	struct labels labels;
	struct arena memory;
	struct err *e;
	bool failed;
};

/* What is looked for, and where it is first. */
struct search {
	const struct steps *s;
	const char *text;
	uint32_t after, found; /* 0: nowhere */
};

static bool on_run(void *arg, const struct store_run *r);
static int talk(struct steps *s, uint32_t at, struct err *e);
static int show(struct steps *s, uint32_t at, struct err *e);
static int put_frame(
    struct steps *s, uint32_t at, struct buf *out, struct err *e);
static bool on_record(void *arg, const struct store_row *row);
static void put_record(
    struct frame *f, const struct store_row *row, const struct json *j);
static void put_value(struct frame *f, const char *what, const struct json *ref,
    enum term_style style);
static void put_line(
    struct frame *f, const char *what, enum term_style style, struct str text);
static void put_labels(struct frame *f, const struct json *list);
static int show_past(struct steps *s, uint32_t at, struct err *e);
static int show_files(struct steps *s, uint32_t at, struct err *e);
static bool on_past(void *arg, const struct store_row *row);
static int find(struct steps *s, const char *text, uint32_t after, uint32_t *at,
    struct err *e);
static bool on_searched(void *arg, const struct store_row *row);
static int all_json(struct steps *s, uint32_t at, struct err *e);
static bool on_json(void *arg, const struct store_row *row);
static int put_blob(
    const struct steps *s, const struct json *ref, struct buf *out);

int
replay_steps(struct trace *t, const char *name, uint32_t at, struct err *e)
{
	struct steps s = { .t = t };
	int status;

	if (trace_find(t, name, &s.run, e) < 0 ||
	    store_runs(t->store, s.run, false, 1, on_run, &s, e) < 0)
		return -1;
	if (at > s.last)
		status = err_set(e, "the run has %" PRIu32 " steps", s.last);
	else
		status = t->json ? all_json(&s, at, e) : talk(&s, at, e);
	buf_fini(&s.head);
	buf_fini(&s.out);
	return status;
}

static bool
on_run(void *arg, const struct store_run *r)
{
	struct steps *s = arg;

	s->last = r->steps;
	s->opened_ns = r->opened_ns;
	trace_run_write(&s->t->term, r, &s->head);
	return false;
}

/* One command a line, from whatever standard input is. */
static int
talk(struct steps *s, uint32_t at, struct err *e)
{
	bool person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	char line[LINE_BYTES];

	buf_add_str(&s->out, buf_str(&s->head));
	if (person)
		buf_add_c(&s->out, keys);
	if (at == 0 && s->last > 0)
		at = 1;
	if (show(s, at, e) < 0)
		return -1;
	for (;;) {
		struct str c;
		uint64_t number = 0;
		uint32_t to = at;

		if (person) {
			buf_printf(&s->out, "step %" PRIu32 " of %" PRIu32 "> ",
			    at, s->last);
			if (out_write(&s->out) != EXIT_DONE)
				return EXIT_FAILED;
			buf_reset(&s->out);
		}
		if (fgets(line, sizeof(line), stdin) == NULL)
			return EXIT_DONE;
		line[strcspn(line, "\n")] = '\0';
		c = str_trim(str_of(line));
		if (str_eq(c, STR("q")))
			return EXIT_DONE;
		if (c.n == 0 || str_eq(c, STR("n"))) {
			to = at < s->last ? at + 1 : at;
		} else if (str_eq(c, STR("b"))) {
			to = at > 0 ? at - 1 : 0;
		} else if (str_eq(c, STR("s"))) {
			if (show_past(s, at, e) < 0)
				return -1;
			continue;
		} else if (str_eq(c, STR("f"))) {
			if (show_files(s, at, e) < 0)
				return -1;
			continue;
		} else if (c.p[0] == '/' && c.n > 1) {
			line[(size_t)(c.p - line) + c.n] = '\0';
			if (find(s, c.p + 1, at, &to, e) < 0)
				return -1;
			if (to == at)
				out_note("no later step has that");
		} else if (str_to_u64(c, &number) == 0 && number <= s->last) {
			to = (uint32_t)number;
		} else {
			(void)fputs(keys, stderr);
			continue;
		}
		if (to == at && c.n == 0)
			out_note("that was the last step");
		else if (show(s, to, e) < 0)
			return -1;
		at = to;
	}
}

static int
show(struct steps *s, uint32_t at, struct err *e)
{
	int status;

	if (put_frame(s, at, &s->out, e) < 0)
		return -1;
	status = out_write(&s->out);
	buf_reset(&s->out);
	return status == EXIT_DONE ? 0
				   : err_set(e, "the frame was not written");
}

static int
put_frame(struct steps *s, uint32_t at, struct buf *out, struct err *e)
{
	struct frame f = { .s = s, .out = out, .e = e };
	int status;

	buf_printf(out, "--- step %" PRIu32 " of %" PRIu32 "%s\n", at, s->last,
	    at == 0 ? ": the run itself" : "");
	status = store_step(s->t->store, s->run, at, on_record, &f, e);
	arena_fini(&f.memory);
	if (status == 0 && !f.failed && f.records == 0)
		buf_add_c(out, "nothing was recorded of it\n");
	return status < 0 || f.failed ? -1 : 0;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct frame *f = arg;
	const struct json *j;
	int64_t ms = (row->t_ns - f->s->opened_ns) / NS_PER_MS;

	f->records++;
	arena_reset(&f->memory);
	j = json_parse(row->body, NULL, &f->memory, f->e, NULL);
	if (j == NULL) {
		(void)err_add(f->e, "record %" PRIu64, row->seq);
		f->failed = true;
		return false;
	}
	buf_printf(f->out, "%8" PRId64 ".%03us  ", ms / 1000,
	    (unsigned)(ms >= 0 ? ms % 1000 : 0));
	term_put(&f->s->t->term, f->out, TERM_BOLD,
	    str_of(event_kind_name(row->kind)));
	if (row->tool.n > 0) {
		buf_add_c(f->out, "  ");
		term_text(f->out, row->tool);
	}
	buf_add_byte(f->out, '\n');
	put_record(f, row, j);
	return true;
}

static void
put_record(struct frame *f, const struct store_row *row, const struct json *j)
{
	const struct json *body = json_get(j, STR("body"));
	const struct json *dec = json_get(j, STR("dec"));
	const struct json *reasons = json_get(body, STR("reasons"));
	struct str verdict = json_str(json_get(dec, STR("verdict")));
	struct str status = json_str(json_at(j, "res", "status", NULL));
	uint64_t ms;

	put_value(f, "asked", json_at(j, "tool", "args", NULL), TERM_PLAIN);
	put_line(f, "verdict", term_style_of(verdict), verdict);
	put_line(f, "rule", TERM_DIM, json_str(json_get(dec, STR("rule"))));
	if (!json_is(reasons, JSON_ARRAY))
		put_line(f, "because", TERM_PLAIN,
		    json_str(json_get(dec, STR("reason"))));
	else
		for (const struct json *x = json_first(reasons); x != NULL;
		     x = json_next(reasons, x))
			put_line(f, "because", TERM_PLAIN, json_str(x));
	put_labels(f, json_get(body, STR("labels")));
	put_line(f, "by", TERM_PLAIN, json_str(json_get(body, STR("by"))));
	put_line(f, "status", term_style_of(status), status);
	if (json_u64(json_at(j, "use", "ms", NULL), &ms) == 0)
		buf_printf(f->out, "    took      %" PRIu64 " ms\n", ms);
	put_value(f, "answered", json_at(j, "res", "out", NULL), TERM_PLAIN);
	/* What this does not know by name is shown as it stands. */
	if (row->kind != EVENT_TOOL_PROPOSED &&
	    row->kind != EVENT_POLICY_DECISION &&
	    row->kind != EVENT_TOOL_STARTED &&
	    row->kind != EVENT_TOOL_FINISHED && body != NULL && body->n > 0) {
		own_buf struct buf text = {};

		json_write(&text, body);
		put_line(f, "more", TERM_DIM, buf_str(&text));
	}
}

/* The whole of what a reference stands for, indented. */
static void
put_value(struct frame *f, const char *what, const struct json *ref,
    enum term_style style)
{
	own_buf struct buf text = {}, pretty = {};
	own_arena struct arena a = {};
	const struct json *v;
	struct err ignored;
	struct str all, line;
	size_t at = 0;

	if (ref == NULL)
		return;
	if (json_get(ref, STR("preview")) == NULL) {
		put_line(f, what, TERM_PLAIN,
		    STR("a picture: `paddock trace blob` writes it"));
		put_line(f, "", TERM_DIM, json_str(json_get(ref, STR("h"))));
		return;
	}
	if (put_blob(f->s, ref, &text) < 0) {
		put_line(f, what, TERM_YELLOW, STR("no longer kept"));
		return;
	}
	v = json_parse(buf_str(&text), NULL, &a, &ignored, NULL);
	if (v != NULL)
		json_write_pretty(&pretty, v);
	all = v != NULL ? buf_str(&pretty) : buf_str(&text);
	if (str_eq(json_str(json_get(ref, STR("kept"))), STR("redacted")))
		put_line(
		    f, what, TERM_DIM, STR("(redacted before it was kept)"));
	while (at < all.n && at < SHOWN_BYTES) {
		line = (struct str){ all.p + at, all.n - at };
		line.n = str_find(line, '\n') < line.n ? str_find(line, '\n')
						       : line.n;
		put_line(f, at == 0 ? what : "", style, line);
		at += line.n + 1;
	}
	if (at < all.n)
		put_line(f, "", TERM_DIM, STR("... and more: --json has it"));
}

static void
put_line(
    struct frame *f, const char *what, enum term_style style, struct str text)
{
	if (text.n == 0)
		return;
	buf_printf(f->out, "    %-9s ", what);
	term_put(&f->s->t->term, f->out, style, text);
	buf_add_byte(f->out, '\n');
}

static void
put_labels(struct frame *f, const struct json *list)
{
	own_buf struct buf text = {};

	if (!json_is(list, JSON_ARRAY))
		return;
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		buf_add_c(&text, text.n > 0 ? ", " : "");
		buf_add_str(&text, json_str(x));
	}
	put_line(f, "had read", TERM_YELLOW, buf_str(&text));
}

static int
show_past(struct steps *s, uint32_t at, struct err *e)
{
	static struct past p; /* large, and one at a time */
	struct frame f = { .s = s, .out = &s->out };
	int status;

	p = (struct past){ .step = at, .e = e };
	status = store_events(s->t->store, s->run, 0, 0, on_past, &p, e);
	arena_fini(&p.memory);
	if (status < 0 || p.failed)
		return -1;
	buf_printf(&s->out,
	    "up to step %" PRIu32 ": %" PRIu64 " calls asked for, %" PRIu64
	    " executed, %" PRIu64 " drafts, %" PRIu64 " refused, %" PRIu64
	    " asked a person, %" PRIu64 " connections and requests (%" PRIu64
	    " refused)\n",
	    at, p.calls, p.executed, p.drafts, p.refused, p.asked, p.requests,
	    p.stopped);
	for (uint32_t i = 0; i < p.labels.n; i++)
		put_line(&f, i == 0 ? "had read" : "", TERM_YELLOW,
		    str_of(p.labels.text[i]));
	status = out_write(&s->out);
	buf_reset(&s->out);
	return status == EXIT_DONE ? 0 : err_set(e, "it was not written");
}

static int
show_files(struct steps *s, uint32_t at, struct err *e)
{
	int status;

	if (replay_files(s->t->store, s->run, at, &s->out, e) < 0)
		return -1;
	status = out_write(&s->out);
	buf_reset(&s->out);
	return status == EXIT_DONE ? 0 : err_set(e, "it was not written");
}

static bool
on_past(void *arg, const struct store_row *row)
{
	struct past *p = arg;
	const struct json *j, *list;
	struct str verdict;

	if (row->step > p->step || row->step == 0)
		return true;
	switch (row->kind) {
	case EVENT_TOOL_PROPOSED:
		p->calls++;
		return true;
	case EVENT_TOOL_STARTED:
		p->executed++;
		return true;
	case EVENT_DRAFT_CREATED:
		p->drafts++;
		return true;
	case EVENT_APPROVAL_REQUESTED:
		p->asked++;
		return true;
	case EVENT_POLICY_DECISION:
	case EVENT_EGRESS_DECISION:
		break;
	case EVENT_RUN_OPENED:
	case EVENT_RUN_CLOSED:
	case EVENT_APPROVAL_DECIDED:
	case EVENT_TOOL_FINISHED:
	case EVENT_BUDGET_STOP:
	case EVENT_KILL:
	case EVENT_NOTE:
	case EVENT_RUN_PAUSED:
	case EVENT_RUN_RESUMED:
	case EVENT_SANDBOX_DENIED:
	case EVENT_EGRESS_DONE:
	case EVENT_EGRESS_LEAK:
	case EVENT_SECRET_REVOKED:
	case EVENT_FAULT_INJECTED:
	case EVENT_CONTEXT_INPUT:
	case EVENT_BUDGET_EXTENDED:
	case EVENT_DRAFT_COMMITTED:
	case EVENT_TOOL_RETRIED:
	case EVENT_SNAPSHOT_TAKEN:
	case EVENT_FORK_OPENED:
	case EVENT_PAGE_CAPTURED:
	case EVENT_KINDS:
		return true;
	}
	arena_reset(&p->memory);
	j = json_parse(row->body, NULL, &p->memory, p->e, NULL);
	if (j == NULL) {
		(void)err_add(p->e, "record %" PRIu64, row->seq);
		p->failed = true;
		return false;
	}
	verdict = json_str(json_at(j, "dec", "verdict", NULL));
	list = json_at(j, "body", "labels", NULL);
	if (row->kind == EVENT_POLICY_DECISION) {
		p->refused += str_eq(verdict, STR("block"));
	} else {
		p->requests++;
		p->stopped += str_eq(verdict, STR("block"));
	}
	for (const struct json *x = json_is(list, JSON_ARRAY) ? json_first(list)
							      : NULL;
	     x != NULL; x = json_next(list, x))
		labels_add(&p->labels, json_str(x));
	return true;
}

static int
find(struct steps *s, const char *text, uint32_t after, uint32_t *at,
    struct err *e)
{
	struct search look = { .s = s, .text = text, .after = after };

	if (store_events(
		s->t->store, s->run, after + 1, 0, on_searched, &look, e) < 0)
		return -1;
	if (look.found != 0)
		*at = look.found;
	return 0;
}

/* In the record and in what it refers to; records come by number, and a later
 * one may be of an earlier step. */
static bool
on_searched(void *arg, const struct store_row *row)
{
	static const char *const where[][2] = { { "tool", "args" },
		{ "res", "out" } };
	struct search *look = arg;
	own_arena struct arena a = {};
	const struct json *j;
	struct err ignored;
	bool has;

	if (look->found != 0 && row->step >= look->found)
		return true;
	has = memmem(row->body.p, row->body.n, look->text,
		  strlen(look->text)) != NULL;
	j = has ? NULL : json_parse(row->body, NULL, &a, &ignored, NULL);
	for (size_t i = 0; !has && j != NULL && i < 2; i++) {
		own_buf struct buf text = {};
		const struct json *ref =
		    json_at(j, where[i][0], where[i][1], NULL);

		has = ref != NULL && put_blob(look->s, ref, &text) == 0 &&
		    memmem(buf_str(&text).p, text.n, look->text,
			strlen(look->text)) != NULL;
	}
	if (has)
		look->found = row->step;
	return true;
}

/* A line for each step: its records, and what they refer to. */
static int
all_json(struct steps *s, uint32_t at, struct err *e)
{
	for (uint32_t i = at; i <= s->last; i++) {
		struct frame f = { .s = s, .out = &s->out, .e = e };
		int status;

		buf_printf(&s->out, "{\"records\":[");
		status = store_step(s->t->store, s->run, i, on_json, &f, e);
		arena_fini(&f.memory);
		buf_printf(&s->out, "],\"step\":%" PRIu32 "}\n", i);
		if (status < 0 || f.failed)
			return -1;
		status = out_write(&s->out);
		buf_reset(&s->out);
		if (status != EXIT_DONE)
			return status;
	}
	return EXIT_DONE;
}

static bool
on_json(void *arg, const struct store_row *row)
{
	static const char *const names[] = { "asked", "answered" };
	static const char *const where[][2] = { { "tool", "args" },
		{ "res", "out" } };
	struct frame *f = arg;
	const struct json *j;

	arena_reset(&f->memory);
	j = json_parse(row->body, NULL, &f->memory, f->e, NULL);
	if (j == NULL) {
		(void)err_add(f->e, "record %" PRIu64, row->seq);
		f->failed = true;
		return false;
	}
	buf_add_c(f->out, f->records++ > 0 ? ",{" : "{");
	for (size_t i = 0; i < 2; i++) {
		own_buf struct buf text = {};
		const struct json *ref =
		    json_at(j, where[i][0], where[i][1], NULL);
		own_arena struct arena a = {};
		struct err ignored;

		/* A picture is no text. */
		if (json_get(ref, STR("preview")) == NULL ||
		    put_blob(f->s, ref, &text) < 0)
			continue;
		buf_printf(f->out, "\"%s\":", names[i]);
		if (json_parse(buf_str(&text), NULL, &a, &ignored, NULL) !=
		    NULL)
			out_json_text(f->out, buf_str(&text), STDOUT_FILENO);
		else
			json_put_str(f->out, buf_str(&text));
		buf_add_byte(f->out, ',');
	}
	buf_add_c(f->out, "\"record\":");
	out_json_text(f->out, row->body, STDOUT_FILENO);
	buf_add_byte(f->out, '}');
	return true;
}

static int
put_blob(const struct steps *s, const struct json *ref, struct buf *out)
{
	struct err ignored;
	struct hash h;

	if (hash_from_hex(json_str(json_get(ref, STR("h"))), &h) < 0)
		return -1;
	return store_blob(s->t->store, &h, out, &ignored);
}
