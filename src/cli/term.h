/*
 * cli/term.h: text for a person at a terminal.
 *
 * Everything is put together in a buffer and written once. Whatever comes
 * from the store, a policy or a daemon passes term_text(): control characters,
 * terminal escapes, bytes that are not UTF-8 and the invisible characters that
 * reorder a line are shown as escapes and never reach the terminal raw.
 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum term_style {
	TERM_PLAIN,
	TERM_BOLD,
	TERM_DIM,
	TERM_RED,
	TERM_GREEN,
	TERM_YELLOW,
	TERM_CYAN,
};

struct term {
	bool colour; /* a terminal, and NO_COLOR is unset or empty */
	uint32_t columns; /* of the terminal; 0 when it is none */
};

void term_init(struct term *t, int fd);

/* Appends s on one line, made safe: ESC becomes \x1b, a newline \n. */
void term_text(struct buf *out, struct str s);
/* The same in a style. */
void term_put(
    const struct term *t, struct buf *out, enum term_style style, struct str s);
/* Green for what went through, yellow for what waits, red for what did not:
 * "executed", "waiting", "blocked", "approved", "failed" and their like. */
enum term_style term_style_of(struct str word);

enum { TERM_MAX_CELLS = 12 };

struct term_cell {
	struct str text;
	enum term_style style;
	bool right; /* aligned to the right */
};

struct term_row;

/* Rows of cells; each column is as wide as its widest cell. */
struct term_table {
	struct arena memory; /* own: term_table_fini() */
	struct term_row *first, *last;
	uint32_t width[TERM_MAX_CELLS];
};

void term_table_fini(struct term_table *tab);
/* Adds a row; the texts are copied, and made safe. n <= TERM_MAX_CELLS. */
void term_row(struct term_table *tab, const struct term_cell *cells, size_t n);
/* Adds a line that no column bounds: a reason below its row. */
void term_note(struct term_table *tab, enum term_style style, struct str text);
/* Appends the table; -1 when memory ran out on the way. */
int term_table_write(const struct term *t, const struct term_table *tab,
    struct buf *out, struct err *e);

#endif
