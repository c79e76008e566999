#include "cli/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/must.h"

/* A row, or with cells 0 a line of its own. Lies in the table's arena. */
struct term_row {
	struct term_row *next;
	uint32_t cells;
	uint32_t width[TERM_MAX_CELLS];
	struct term_cell cell[TERM_MAX_CELLS];
};

static const char *const styles[] = {
	[TERM_PLAIN] = "",
	[TERM_BOLD] = "\x1b[1m",
	[TERM_DIM] = "\x1b[2m",
	[TERM_RED] = "\x1b[31m",
	[TERM_GREEN] = "\x1b[32m",
	[TERM_YELLOW] = "\x1b[33m",
	[TERM_CYAN] = "\x1b[36m",
};

static size_t character(struct str s, uint32_t *code);
static bool unseen(uint32_t code);
static uint32_t width_of(struct str s);
static struct term_cell copy(struct term_table *tab, struct term_cell c);
static void append(struct term_table *tab, struct term_row *row);
static void styled(
    const struct term *t, struct buf *out, const struct term_cell *c);
static void spaces(struct buf *out, uint32_t n);

void
term_init(struct term *t, int fd)
{
	const char *no = getenv("NO_COLOR"), *kind = getenv("TERM");
	struct winsize size = {};

	*t = (struct term){};
	if (!isatty(fd))
		return;
	/* no-color.org: set and not empty, whatever it says. */
	t->colour = (no == NULL || *no == '\0') &&
	    (kind == NULL || strcmp(kind, "dumb") != 0);
	if (ioctl(fd, TIOCGWINSZ, &size) == 0)
		t->columns = size.ws_col;
}

void
term_text(struct buf *out, struct str s)
{
	while (s.n > 0) {
		uint32_t code;
		size_t n = character(s, &code);

		if (n == 0)
			buf_printf(out, "\\x%02x", (uint8_t)s.p[0]);
		else if (code == '\n')
			buf_add_c(out, "\\n");
		else if (code == '\t')
			buf_add_c(out, "\\t");
		else if (code == '\r')
			buf_add_c(out, "\\r");
		else if (code < 0x20 || code == 0x7f)
			buf_printf(out, "\\x%02x", code);
		else if (unseen(code))
			buf_printf(out, "\\u{%x}", code);
		else
			buf_add(out, s.p, n);
		if (n == 0)
			n = 1;
		s.p += n;
		s.n -= n;
	}
}

void
term_put(
    const struct term *t, struct buf *out, enum term_style style, struct str s)
{
	bool on = t->colour && style != TERM_PLAIN && s.n > 0;

	if (on)
		buf_add_c(out, styles[style]);
	term_text(out, s);
	if (on)
		buf_add_c(out, "\x1b[0m");
}

enum term_style
term_style_of(struct str word)
{
	static const struct {
		const char *word;
		enum term_style style;
	} words[] = {
		{ "allow", TERM_GREEN },
		{ "approved", TERM_GREEN },
		{ "closed", TERM_GREEN },
		{ "executed", TERM_GREEN },
		{ "ok", TERM_GREEN },
		{ "open", TERM_CYAN },
		{ "draft", TERM_CYAN },
		{ "drafted", TERM_CYAN },
		{ "simulate", TERM_CYAN },
		{ "simulated", TERM_CYAN },
		{ "approve", TERM_YELLOW },
		{ "changed", TERM_YELLOW },
		{ "edited", TERM_YELLOW },
		{ "pending", TERM_YELLOW },
		{ "unknown", TERM_YELLOW },
		{ "waiting", TERM_YELLOW },
		{ "block", TERM_RED },
		{ "blocked", TERM_RED },
		{ "cancelled", TERM_RED },
		{ "error", TERM_RED },
		{ "expired", TERM_RED },
		{ "failed", TERM_RED },
		{ "rejected", TERM_RED },
		{ "stopped", TERM_RED },
		{ "timeout", TERM_RED },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq_c(word, words[i].word))
			return words[i].style;
	return TERM_PLAIN;
}

void
term_table_fini(struct term_table *tab)
{
	arena_fini(&tab->memory);
	*tab = (struct term_table){};
}

void
term_row(struct term_table *tab, const struct term_cell *cells, size_t n)
{
	struct term_row *row = arena_alloc(&tab->memory, sizeof(*row));

	must(n > 0 && n <= TERM_MAX_CELLS);
	if (row == NULL)
		return;
	row->cells = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		row->cell[i] = copy(tab, cells[i]);
		row->width[i] = width_of(row->cell[i].text);
		if (row->width[i] > tab->width[i])
			tab->width[i] = row->width[i];
	}
	append(tab, row);
}

void
term_note(struct term_table *tab, enum term_style style, struct str text)
{
	struct term_row *row = arena_alloc(&tab->memory, sizeof(*row));

	if (row == NULL)
		return;
	row->cell[0] = copy(tab, (struct term_cell){ text, style, false });
	append(tab, row);
}

int
term_table_write(const struct term *t, const struct term_table *tab,
    struct buf *out, struct err *e)
{
	for (const struct term_row *r = tab->first; r != NULL; r = r->next) {
		uint32_t cells = r->cells;

		if (cells == 0)
			styled(t, out, &r->cell[0]);
		/* No spaces at the end of a line. */
		while (cells > 0 && r->width[cells - 1] == 0)
			cells--;
		for (uint32_t i = 0; i < cells; i++) {
			uint32_t pad = tab->width[i] - r->width[i];

			if (r->cell[i].right)
				spaces(out, pad);
			styled(t, out, &r->cell[i]);
			if (i + 1 == cells)
				break;
			if (!r->cell[i].right)
				spaces(out, pad);
			spaces(out, 2);
		}
		buf_add_byte(out, '\n');
	}
	if (tab->memory.failed || out->failed)
		return err_set(e, "the table is too long; ask for fewer rows");
	return 0;
}

/* Bytes of the character that s starts with, 0 when it is not UTF-8. */
static size_t
character(struct str s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t c = (uint8_t)s.p[0];
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

	if (n == 1) {
		*code = c;
		return 1;
	}
	if (c < 0xc2 || c > 0xf4 || s.n < n)
		return 0;
	*code = c & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if (((uint8_t)s.p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | ((uint8_t)s.p[i] & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff ||
	    (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return n;
}

/* C1 controls, and characters that hide or reorder what a person reads. */
static bool
unseen(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x80, 0x9f }, /* C1: 0x9b is as good as ESC [ */
		{ 0xad, 0xad }, /* soft hyphen */
		{ 0x61c, 0x61c }, /* Arabic letter mark */
		{ 0x180e, 0x180e },
		{ 0x200b, 0x200f }, /* zero width, direction marks */
		{ 0x2028, 0x202e }, /* line ends, embeddings, overrides */
		{ 0x2060, 0x206f }, /* joiners, isolates */
		{ 0xfe00, 0xfe0f }, /* variation selectors */
		{ 0xfeff, 0xfeff }, { 0xfff0, 0xfffb },
		{ 0xe0000, 0xe0fff }, /* tags: text that no font shows */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

/* Characters of a text that is UTF-8. Double width is not looked at. */
static uint32_t
width_of(struct str s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((uint8_t)s.p[i] & 0xc0) != 0x80;
	return n;
}

static struct term_cell
copy(struct term_table *tab, struct term_cell c)
{
	own_buf struct buf safe = {};
	char *p;

	term_text(&safe, c.text);
	p = arena_copy(&tab->memory, buf_str(&safe));
	c.text = p != NULL ? (struct str){ p, safe.n } : STR("");
	return c;
}

static void
append(struct term_table *tab, struct term_row *row)
{
	if (tab->last != NULL)
		tab->last->next = row;
	else
		tab->first = row;
	tab->last = row;
}

static void
styled(const struct term *t, struct buf *out, const struct term_cell *c)
{
	bool on = t->colour && c->style != TERM_PLAIN && c->text.n > 0;

	if (on)
		buf_add_c(out, styles[c->style]);
	buf_add_str(out, c->text);
	if (on)
		buf_add_c(out, "\x1b[0m");
}

static void
spaces(struct buf *out, uint32_t n)
{
	for (; n > 0; n--)
		buf_add_byte(out, ' ');
}
