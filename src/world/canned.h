/*
 * world/canned.h: tools whose answers the world document brings along: what
 * other services answered once, played again.
 *
 * Each answer is given once, to the first call whose arguments are those that
 * it names, in the order of the document. So a recorded run, whichever of its
 * calls a policy lets pass, gets for each call what that call got then.
 */
#ifndef WORLD_CANNED_H
#define WORLD_CANNED_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"

struct canned;
struct canned_tool;

/*
 * Checks and copies the member `tools` of a world document; NULL gives a
 * struct without tools. NULL with place and remedy in e.
 */
struct canned *canned_new(const struct json *rows, struct err *e);
void canned_free(struct canned *c); /* c may be NULL */

/* NULL when the document has no such tool. */
struct canned_tool *canned_find(struct canned *c, struct str name);

/*
 * Appends the tools as world_tools writes them, each with a comma in front
 * unless out ends with '['.
 */
void canned_list(const struct canned *c, struct buf *out);

/*
 * Appends the rows that canned_new makes it of again: what was given is not
 * among them.
 */
void canned_save(const struct canned *c, struct buf *out);

/*
 * The next answer for these arguments, in out. Returns 0, or 1 when it is an
 * error; -1 when none is left. *wrote is true when the tool is one that
 * writes, and has.
 */
int canned_call(struct canned_tool *t, const struct json *args, struct buf *out,
    bool *wrote);

#endif
