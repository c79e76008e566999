#include "cli/approval_show.h"

enum {
	MS_PER_S = 1000,
	NS_PER_MS = 1000000,
	BRIEF_BYTES = 32, /* of one argument */
};

static void put_left(struct buf *out, const struct json *a, int64_t now_ns);
static void put_field(const struct term *t, struct buf *out, const char *name,
    const struct json *v);
static void put_value(struct buf *out, const struct json *v);
static void put_lines(struct buf *out, const struct json *v);
static void put_changes(
    const struct term *t, struct buf *out, const struct json *preview);
static void put_body(
    const struct term *t, struct buf *out, const struct json *preview);
static void put_members(const struct term *t, struct buf *out,
    const struct json *row, const struct json *was);
static void put_preview(
    const struct term *t, struct buf *out, const struct json *preview);
static void put_origins(
    const struct term *t, struct buf *out, const struct json *list);
static void put_list(const struct term *t, struct buf *out, const char *name,
    const struct json *v);

int
approval_table(const struct term *t, const struct json *items, int64_t now_ns,
    struct buf *out, struct err *e)
{
	struct term_table tab = {};
	int status;

	term_row(&tab,
	    (const struct term_cell[]){
		{ STR("ID"), TERM_BOLD, false },
		{ STR("STATE"), TERM_BOLD, false },
		{ STR("RUN"), TERM_BOLD, false },
		{ STR("TOOL"), TERM_BOLD, false },
		{ STR("RISK"), TERM_BOLD, false },
		{ STR("LEFT"), TERM_BOLD, true },
	    },
	    6);
	for (const struct json *a = json_first(items); a != NULL;
	     a = json_next(items, a)) {
		const struct json *detail = json_get(a, STR("detail"));
		struct str state = json_str(json_get(a, STR("state")));
		own_buf struct buf left = {}, args = {};

		put_left(&left, a, now_ns);
		term_row(&tab,
		    (const struct term_cell[]){
			{ json_str(json_get(a, STR("approval"))), TERM_BOLD,
			    false },
			{ state, term_style_of(state), false },
			{ json_str(json_get(a, STR("run"))), TERM_PLAIN,
			    false },
			{ json_str(json_get(a, STR("tool"))), TERM_PLAIN,
			    false },
			{ json_str(json_get(detail, STR("risk"))), TERM_PLAIN,
			    false },
			{ buf_str(&left), TERM_DIM, true },
		    },
		    6);
		buf_add_c(&args, "  ");
		approval_brief(&args, json_get(a, STR("arguments")));
		term_note(&tab, TERM_PLAIN, buf_str(&args));
	}
	status = term_table_write(t, &tab, out, e);
	term_table_fini(&tab);
	return status;
}

void
approval_show(
    const struct term *t, const struct json *a, int64_t now_ns, struct buf *out)
{
	const struct json *args = json_get(a, STR("arguments"));
	const struct json *detail = json_get(a, STR("detail"));
	struct str state = json_str(json_get(a, STR("state")));
	own_buf struct buf left = {};

	term_put(t, out, TERM_BOLD, json_str(json_get(a, STR("tool"))));
	buf_add_c(out, "  ");
	term_put(t, out, term_style_of(state), state);
	put_left(&left, a, now_ns);
	if (left.n > 0) {
		buf_add_c(out, ", ");
		buf_add_str(out, buf_str(&left));
		buf_add_c(out, " left");
	}
	buf_add_byte(out, '\n');

	/* One argument per line: a long one must not hide the next. */
	if (json_is(args, JSON_OBJECT))
		for (const struct json *k = json_first(args); k != NULL;
		     k = json_next(args, k)) {
			buf_add_c(out, "    ");
			term_put(t, out, TERM_CYAN, json_str(k));
			buf_add_c(out, " = ");
			put_lines(out, json_value(k));
			buf_add_byte(out, '\n');
		}
	put_preview(t, out, json_get(detail, STR("preview")));
	put_changes(t, out, json_get(detail, STR("preview")));
	put_field(t, out, "run", json_get(a, STR("run")));
	put_field(t, out, "step", json_get(a, STR("step")));
	put_field(t, out, "risk", json_get(detail, STR("risk")));
	put_list(t, out, "why", json_get(detail, STR("reasons")));
	put_field(t, out, "rule", json_get(detail, STR("rule")));
	put_origins(t, out, json_get(detail, STR("provenance")));
	put_list(t, out, "label", json_get(detail, STR("labels")));
	put_list(t, out, "vote", json_get(detail, STR("votes")));
	put_field(t, out, "quorum", json_get(detail, STR("quorum")));
	put_field(t, out, "reason", json_get(detail, STR("reason")));
	put_field(t, out, "sha256", json_get(a, STR("call_sha256")));
}

/* Where each argument comes from; what says where it lands is marked. */
static void
put_origins(const struct term *t, struct buf *out, const struct json *list)
{
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		struct str origin = json_str(json_get(x, STR("origin")));
		bool known = json_bool(json_get(x, STR("trusted")), false);
		size_t colon = str_find(origin, ':');
		struct str step = { origin.p, 0 };
		uint64_t bytes = 0, found = 0;

		if (colon < origin.n)
			step = (struct str){ origin.p + colon + 1,
				origin.n - colon - 1 };
		(void)json_u64(json_get(x, STR("bytes")), &bytes);
		(void)json_u64(json_get(x, STR("found")), &found);
		buf_add_c(out, "  ");
		term_put(t, out, TERM_DIM, STR("origin "));
		term_put(t, out, TERM_CYAN, json_str(json_get(x, STR("path"))));
		buf_add_c(out, "  ");
		if (str_starts(origin, STR("tool:"))) {
			buf_printf(out, "%sthe result of step ",
			    found < bytes ? "in part " : "");
			term_text(out, step);
		} else if (str_starts(origin, STR("field:"))) {
			buf_add_c(out,
			    known ? "a trusted field of step "
				  : "one of the trusted fields of step ");
			term_text(out, step);
		} else if (str_eq(origin, STR("user"))) {
			buf_add_c(out, "the user's text");
		} else {
			term_text(out, origin);
		}
		if (json_bool(json_get(x, STR("destination")), false))
			term_put(t, out, known ? TERM_PLAIN : TERM_RED,
			    known ? STR("  (destination)")
				  : STR("  (destination, not known to be the "
					"user's)"));
		buf_add_byte(out, '\n');
	}
}

/* What would leave the sandbox: exactly these bytes. */
static void
put_preview(const struct term *t, struct buf *out, const struct json *preview)
{
	const struct json *files = json_get(preview, STR("files"));
	const struct json *left = json_get(preview, STR("left_out"));

	for (const struct json *f = json_first(files); f != NULL;
	     f = json_next(files, f)) {
		uint64_t size = 0;

		(void)json_u64(json_get(f, STR("size")), &size);
		buf_add_c(out, "    ");
		term_put(t, out, TERM_CYAN, json_str(json_get(f, STR("path"))));
		buf_printf(
		    out, "  %llu bytes  sha256 ", (unsigned long long)size);
		term_text(out, json_str(json_get(f, STR("sha256"))));
		buf_add_byte(out, '\n');
	}
	for (const struct json *f = json_first(left); f != NULL;
	     f = json_next(left, f)) {
		buf_add_c(out, "    ");
		term_put(t, out, TERM_CYAN, json_str(json_get(f, STR("path"))));
		buf_add_c(out, "  left out: ");
		term_text(out, json_str(json_get(f, STR("error"))));
		buf_add_byte(out, '\n');
	}
}

/* What the call would change, as it was tried in a copy. */
static void
put_changes(const struct term *t, struct buf *out, const struct json *preview)
{
	struct str status = json_str(json_get(preview, STR("status")));
	const struct json *why = json_get(preview, STR("why"));
	const struct json *rows = json_get(preview, STR("rows"));
	const struct json *mails = json_get(preview, STR("messages"));

	if (status.n == 0)
		return; /* of files.export, which is tried by nobody */
	if (json_get(preview, STR("body")) != NULL) {
		put_body(t, out, preview);
		return;
	}
	buf_add_c(out, "  ");
	term_put(t, out, TERM_DIM, STR("preview "));
	if (json_is(why, JSON_STRING))
		term_text(out, json_str(why));
	else if (str_eq(status, STR("refused")))
		term_put(t, out, TERM_RED, STR("the service would refuse it"));
	else if (!str_eq(status, STR("done")))
		term_text(out, status);
	else if (rows->n + mails->n == 0)
		buf_add_c(out, "it would change nothing");
	else
		buf_printf(out, "it would change %u rows and send %u messages",
		    rows->n, mails->n);
	if (json_bool(json_get(preview, STR("more")), false))
		buf_add_c(out, ", and more that are not shown");
	buf_add_byte(out, '\n');
	for (const struct json *m = json_first(mails); m != NULL;
	     m = json_next(mails, m)) {
		buf_add_c(out, "    ");
		term_put(t, out, TERM_BOLD, STR("sends"));
		put_members(t, out, m, NULL);
	}
	for (const struct json *x = json_first(rows); x != NULL;
	     x = json_next(rows, x)) {
		const struct json *before = json_get(x, STR("before"));
		const struct json *after = json_get(x, STR("after"));
		struct str change = json_str(json_get(x, STR("change")));

		buf_add_c(out, "    ");
		term_put(t, out,
		    str_eq(change, STR("removed")) ? TERM_RED : TERM_BOLD,
		    change);
		buf_add_c(out, " ");
		term_text(out, json_str(json_get(x, STR("table"))));
		put_members(t, out, after != NULL ? after : before,
		    after != NULL ? before : NULL);
	}
	if (json_get(preview, STR("answer")) != NULL) {
		buf_add_c(out, "    ");
		term_put(t, out, TERM_BOLD, STR("answers"));
		put_members(t, out, json_get(preview, STR("answer")), NULL);
	}
}

/* The beginning of what a request would send. */
static void
put_body(const struct term *t, struct buf *out, const struct json *preview)
{
	uint64_t hidden = 0;

	(void)json_u64(json_get(preview, STR("hidden")), &hidden);
	buf_add_c(out, "  ");
	term_put(t, out, TERM_DIM, STR("body "));
	put_lines(out, json_get(preview, STR("body")));
	if (json_bool(json_get(preview, STR("more")), false))
		term_put(t, out, TERM_DIM, STR(" ... and more"));
	if (hidden > 0)
		buf_printf(out, "  (%llu secrets are not shown)",
		    (unsigned long long)hidden);
	buf_add_byte(out, '\n');
}

/* A member a line; of those that were otherwise, what they were. */
static void
put_members(const struct term *t, struct buf *out, const struct json *row,
    const struct json *was)
{
	buf_add_byte(out, '\n');
	for (const struct json *k = json_first(row); k != NULL;
	     k = json_next(row, k)) {
		const struct json *old = json_get(was, json_str(k));

		if (json_is(json_value(k), JSON_NULL) ||
		    (was != NULL && json_equal(old, json_value(k))))
			continue;
		buf_add_c(out, "      ");
		term_put(t, out, TERM_CYAN, json_str(k));
		buf_add_c(out, " = ");
		put_lines(out, json_value(k));
		if (old != NULL && !json_is(old, JSON_NULL)) {
			buf_add_c(out, "  (was ");
			put_lines(out, old);
			buf_add_byte(out, ')');
		}
		buf_add_byte(out, '\n');
	}
}

void
approval_brief(struct buf *out, const struct json *args)
{
	bool first = true;

	for (const struct json *k = json_first(args); k != NULL;
	     k = json_next(args, k)) {
		const struct json *v = json_value(k);
		own_buf struct buf text = {};
		struct str cut;

		json_write(&text, v);
		cut = buf_str(&text);
		if (cut.n > BRIEF_BYTES) {
			cut.n = BRIEF_BYTES;
			/* Not in the middle of a character. */
			while ((cut.p[cut.n] & 0xc0) == 0x80)
				cut.n--;
		}
		if (!first)
			buf_add_byte(out, ' ');
		first = false;
		buf_add_str(out, json_str(k));
		buf_add_byte(out, '=');
		buf_add_str(out, cut);
		if (cut.n < text.n)
			buf_add_c(out, "...");
	}
}

/* Time until the deadline, while that matters; "" otherwise. */
static void
put_left(struct buf *out, const struct json *a, int64_t now_ns)
{
	uint64_t at_ms, now_ms = (uint64_t)now_ns / NS_PER_MS, s;

	if (!str_eq_c(json_str(json_get(a, STR("state"))), "pending") ||
	    json_u64(json_get(a, STR("deadline_ms")), &at_ms) < 0)
		return;
	s = at_ms > now_ms ? (at_ms - now_ms) / MS_PER_S : 0;
	if (s < 120)
		buf_printf(out, "%us", (unsigned)s);
	else if (s < 120 * 60)
		buf_printf(out, "%um", (unsigned)(s / 60));
	else
		buf_printf(out, "%uh", (unsigned)(s / 3600));
}

static void
put_field(const struct term *t, struct buf *out, const char *name,
    const struct json *v)
{
	if (v == NULL || v->type == JSON_NULL)
		return;
	buf_add_c(out, "  ");
	term_put(t, out, TERM_DIM, str_of(name));
	buf_add_byte(out, ' ');
	put_value(out, v);
	buf_add_byte(out, '\n');
}

/* Texts without quotes, everything else as JSON; safe for a terminal. */
static void
put_value(struct buf *out, const struct json *v)
{
	own_buf struct buf text = {};

	if (v->type == JSON_STRING) {
		term_text(out, json_str(v));
		return;
	}
	json_write(&text, v);
	term_text(out, buf_str(&text));
}

/* As put_value, but a text of several lines stays one of several lines. */
static void
put_lines(struct buf *out, const struct json *v)
{
	struct str rest = json_str(v);

	if (v->type != JSON_STRING || str_find(rest, '\n') == rest.n) {
		put_value(out, v);
		return;
	}
	while (rest.n > 0) {
		size_t end = str_find(rest, '\n');

		/* The bar tells the text's lines from ours. */
		buf_add_c(out, "\n        | ");
		term_text(out, (struct str){ rest.p, end });
		end = end < rest.n ? end + 1 : end;
		rest = (struct str){ rest.p + end, rest.n - end };
	}
}

static void
put_list(const struct term *t, struct buf *out, const char *name,
    const struct json *v)
{
	if (!json_is(v, JSON_ARRAY)) {
		put_field(t, out, name, v);
		return;
	}
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x))
		put_field(t, out, name, x);
}
