/*
 * cli/server_show.h: definitions of tools as a person reads them.
 *
 * Pure: the daemon's JSON in, text out. Definitions are a stranger's words:
 * nothing of them reaches a terminal as it is.
 */
#ifndef CLI_SERVER_SHOW_H
#define CLI_SERVER_SHOW_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/term.h"
#include "codec/json.h"

/* One line each. 0, or -1 with e. */
int server_table(const struct term *t, const struct json *pins, struct buf *out,
    struct err *e);
/* All of one, with its definitions. */
void server_show(const struct term *t, const struct json *pin, struct buf *out);
/* Old and new, place by place. False: there are no two that differ. */
bool server_diff(const struct term *t, const struct json *pin, struct buf *out);

#endif
