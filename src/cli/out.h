/*
 * cli/out.h: what every subcommand says in the same way.
 *
 * Results go to standard output, all else to standard error in lines that
 * begin with "paddock: ". Foreign text passes term_text() on its way.
 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* One line on standard error, whatever the text holds. */
void out_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The error as such a line. Returns EXIT_FAILED. */
int out_fail(const struct err *e);
/* The whole buffer to standard output. EXIT_DONE, or EXIT_FAILED and says so:
 * a list cut short by a full disk is not a list. */
int out_write(struct buf *b);
/* Appends JSON text; for a terminal in ASCII, so that nothing in it can move
 * the cursor or reverse the line. It stays the same value. */
void out_json_text(struct buf *b, struct str json, int fd);
/* The value, indented, to standard output. Returns the exit status. */
int out_json(const struct json *v);
/* Appends UTC to the second: "2026-11-21 01:50:36". */
void out_time(struct buf *b, int64_t utc_ns);

#endif
