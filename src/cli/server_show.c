#include "cli/server_show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "codec/json_diff.h"

enum { NS_PER_MS = 1000 * 1000 };

struct showing {
	const struct term *t;
	struct buf *out;
};

static void put_head(
    const struct term *t, struct buf *out, const struct json *pin);
static void put_said(const struct term *t, struct buf *out, const char *what,
    const struct json *said);
static void put_when(struct buf *out, const struct json *said);
static bool on_place(
    void *arg, struct str path, const struct json *a, const struct json *b);
static void put_lines(const struct showing *s, enum term_style style,
    const char *mark, struct str text);
static struct str text_of(const struct json *v, struct buf *b);
static void cut_same(struct str *a, struct str *b);

int
server_table(const struct term *t, const struct json *pins, struct buf *out,
    struct err *e)
{
	struct term_table tab = {};
	const struct term_cell heads[] = { { STR("NAME"), TERM_DIM, false },
		{ STR("TENANT"), TERM_DIM, false },
		{ STR("TOOL"), TERM_DIM, false },
		{ STR("STATE"), TERM_DIM, false },
		{ STR("SEEN"), TERM_DIM, false },
		{ STR("BY"), TERM_DIM, false } };
	int rc;

	term_row(&tab, heads, sizeof(heads) / sizeof(heads[0]));
	for (const struct json *x = json_first(pins); x != NULL;
	     x = json_next(pins, x)) {
		const struct json *said = json_get(x, STR("seen"));
		struct str state = json_str(json_get(x, STR("state")));
		own_buf struct buf name = {}, when = {};

		if (said == NULL)
			said = json_get(x, STR("accepted"));
		buf_add_str(&name, json_str(json_get(x, STR("server"))));
		buf_add_byte(&name, '.');
		buf_add_str(&name, json_str(json_get(x, STR("tool"))));
		put_when(&when, said);
		term_row(&tab,
		    (struct term_cell[]){
			{ json_str(json_get(x, STR("pin"))), TERM_BOLD, false },
			{ json_str(json_get(x, STR("tenant"))), TERM_PLAIN,
			    false },
			{ buf_str(&name), TERM_PLAIN, false },
			{ state, term_style_of(state), false },
			{ buf_str(&when), TERM_PLAIN, false },
			{ json_str(json_get(said, STR("by"))), TERM_PLAIN,
			    false } },
		    6);
	}
	rc = term_table_write(t, &tab, out, e);
	term_table_fini(&tab);
	return rc;
}

void
server_show(const struct term *t, const struct json *pin, struct buf *out)
{
	put_head(t, out, pin);
	put_said(t, out, "accepted", json_get(pin, STR("accepted")));
	put_said(t, out, "seen", json_get(pin, STR("seen")));
}

bool
server_diff(const struct term *t, const struct json *pin, struct buf *out)
{
	const struct json *a = json_at(pin, "accepted", "definition", NULL);
	const struct json *b = json_at(pin, "seen", "definition", NULL);
	struct showing s = { t, out };

	if (a == NULL || b == NULL)
		return false;
	put_head(t, out, pin);
	buf_add_c(out, "--- accepted ");
	put_when(out, json_get(pin, STR("accepted")));
	buf_add_c(out, " ");
	term_text(out, json_str(json_at(pin, "accepted", "sha256", NULL)));
	buf_add_c(out, "\n+++ seen     ");
	put_when(out, json_get(pin, STR("seen")));
	buf_add_c(out, " ");
	term_text(out, json_str(json_at(pin, "seen", "sha256", NULL)));
	buf_add_byte(out, '\n');
	return json_diff(a, b, on_place, &s) > 0;
}

static void
put_head(const struct term *t, struct buf *out, const struct json *pin)
{
	struct str state = json_str(json_get(pin, STR("state")));

	term_put(t, out, TERM_BOLD, json_str(json_get(pin, STR("pin"))));
	buf_add_c(out, "  ");
	term_text(out, json_str(json_get(pin, STR("server"))));
	buf_add_byte(out, '.');
	term_text(out, json_str(json_get(pin, STR("tool"))));
	buf_add_c(out, " of ");
	term_text(out, json_str(json_get(pin, STR("tenant"))));
	buf_add_c(out, "  ");
	term_put(t, out, term_style_of(state), state);
	buf_add_byte(out, '\n');
}

static void
put_said(const struct term *t, struct buf *out, const char *what,
    const struct json *said)
{
	const struct json *definition = json_get(said, STR("definition"));
	struct str by = json_str(json_get(said, STR("by")));
	own_buf struct buf pretty = {};

	if (said == NULL)
		return;
	buf_add_byte(out, '\n');
	term_put(t, out, TERM_BOLD, str_of(what));
	buf_add_c(out, "  ");
	put_when(out, said);
	buf_add_c(out, "  in ");
	term_text(out, json_str(json_get(said, STR("run"))));
	if (by.n > 0) {
		buf_add_c(out, "  by ");
		term_text(out, by);
	}
	buf_add_c(out, "\nsha256:");
	term_text(out, json_str(json_get(said, STR("sha256"))));
	buf_add_byte(out, '\n');
	if (definition == NULL)
		return;
	json_write_pretty(&pretty, definition);
	out_json_text(out, buf_str(&pretty), STDOUT_FILENO);
	buf_add_byte(out, '\n');
}

static void
put_when(struct buf *out, const struct json *said)
{
	uint64_t ms = 0;

	/* A daemon's own number: one that is missing is shown as 0. */
	(void)json_u64(json_get(said, STR("seen_ms")), &ms);
	out_time(out, (int64_t)ms * NS_PER_MS);
}

static bool
on_place(void *arg, struct str path, const struct json *a, const struct json *b)
{
	const struct showing *s = arg;
	own_buf struct buf old = {}, new = {};
	struct str was = text_of(a, &old), is = text_of(b, &new);

	term_put(s->t, s->out, TERM_CYAN, path);
	buf_add_byte(s->out, '\n');
	cut_same(&was, &is);
	if (a != NULL)
		put_lines(s, TERM_RED, "- ", was);
	if (b != NULL)
		put_lines(s, TERM_GREEN, "+ ", is);
	return true;
}

/* A text is shown line by line, as a model reads it. */
static void
put_lines(const struct showing *s, enum term_style style, const char *mark,
    struct str text)
{
	for (;;) {
		size_t end = str_find(text, '\n');
		own_buf struct buf line = {};

		buf_add_c(&line, mark);
		buf_add(&line, text.p, end);
		term_put(s->t, s->out, style, buf_str(&line));
		buf_add_byte(s->out, '\n');
		if (end == text.n)
			return;
		text = (struct str){ text.p + end + 1, text.n - end - 1 };
	}
}

static struct str
text_of(const struct json *v, struct buf *b)
{
	if (v == NULL)
		return STR("");
	if (json_is(v, JSON_STRING))
		return json_str(v);
	json_write(b, v);
	return buf_str(b);
}

/* Whole lines that both begin with. */
static void
cut_same(struct str *a, struct str *b)
{
	for (;;) {
		size_t n = str_find(*a, '\n');

		if (n == a->n || n >= b->n || b->p[n] != '\n' ||
		    memcmp(a->p, b->p, n) != 0)
			return;
		*a = (struct str){ a->p + n + 1, a->n - n - 1 };
		*b = (struct str){ b->p + n + 1, b->n - n - 1 };
	}
}
