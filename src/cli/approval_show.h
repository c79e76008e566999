/*
 * cli/approval_show.h: a waiting call as a person reads it before deciding.
 *
 * Pure: the daemon's JSON in, text out. Members that are not there are left
 * out, so that an older or newer daemon's answer can be shown.
 */
#ifndef CLI_APPROVAL_SHOW_H
#define CLI_APPROVAL_SHOW_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/term.h"
#include "codec/json.h"

/* One line each, what they would do below it. 0, or -1 with e. */
int approval_table(const struct term *t, const struct json *items,
    int64_t now_ns, struct buf *out, struct err *e);

/* All of one: arguments member by member, reasons, labels, votes. */
void approval_show(const struct term *t, const struct json *a, int64_t now_ns,
    struct buf *out);

/*
 * Appends all arguments on one line, each cut to a few words: a long text must
 * not push the recipient out of sight. Not yet safe for a terminal.
 */
void approval_brief(struct buf *out, const struct json *args);

#endif
