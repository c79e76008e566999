/*
 * world/tool.h: a tool of the fake services: one row of the table in tools.c.
 *
 * A handler gets arguments that were checked against its shape. It writes its
 * result, or calls tool_error; what it wrote to the database is committed or
 * rolled back by its caller accordingly.
 */
#ifndef WORLD_TOOL_H
#define WORLD_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/json.h"
#include "world/wdb.h"
#include "world/shape.h"

/* One call. All is borrowed. */
struct tool_call {
	struct wdb *db;
	const struct json *args;
	struct str now; /* the world's time, as stamp_text writes it */
	struct buf *out;
};

/* What a handler returns. With TOOL_FAILED, db->failed says why. */
enum tool_end { TOOL_OK, TOOL_ERROR, TOOL_FAILED };

struct tool {
	const char *name;
	const char *about;
	struct shape shape;
	bool writes; /* may change the world */
	enum tool_end (*run)(struct tool_call *c);
};

/* In the order of their names. */
extern const struct tool tools[];
extern const size_t tools_n;

const struct tool *tool_find(struct str name); /* may be NULL */

/*
 * Makes {"code","error","suggested_next_step"} the answer; error is fmt.
 * Returns TOOL_ERROR.
 */
enum tool_end tool_error(struct tool_call *c, const char *code,
    const char *next, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* An argument's text; p is NULL when it was left out. */
struct str tool_text(const struct tool_call *c, const char *name);
/* A count; otherwise when it was left out. */
int64_t tool_count(
    const struct tool_call *c, const char *name, int64_t otherwise);
/* Text of an agent that is shown back in an error: cut to 80 bytes. */
struct str tool_shown(struct str s);

/* The handlers. */
enum tool_end billing_invoices(struct tool_call *c);
enum tool_end billing_refund(struct tool_call *c);
enum tool_end customer_find(struct tool_call *c);
enum tool_end email_send(struct tool_call *c);
enum tool_end kb_search(struct tool_call *c);
enum tool_end ticket_list(struct tool_call *c);
enum tool_end ticket_read(struct tool_call *c);
enum tool_end ticket_reply_draft(struct tool_call *c);

#endif
