/*
 * cli/trace_show.h: the records of a run as a person reads them.
 *
 * Pure: stored records in, text out. The records of one call become one row
 * with what was decided and what came of it, and notes below it; what belongs
 * to no call has a row of its own. Rows stand in the order in which they began.
 */
#ifndef CLI_TRACE_SHOW_H
#define CLI_TRACE_SHOW_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/term.h"
#include "store/store.h"

struct trace_row;

struct trace_view {
	int64_t opened_ns; /* times are shown from here */
	struct arena memory; /* own: trace_view_fini() */
	struct trace_row *first, *last;
};

void trace_view_fini(struct trace_view *v);
/* Takes in one record. -1 with e when it cannot be read. */
int trace_view_add(
    struct trace_view *v, const struct store_row *record, struct err *e);
/* Appends the table; -1 with e when memory ran out. */
int trace_view_write(const struct term *t, const struct trace_view *v,
    struct buf *out, struct err *e);

/* Appends what is known of the run itself, above its table. */
void trace_run_write(
    const struct term *t, const struct store_run *r, struct buf *out);

#endif
