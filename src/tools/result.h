/*
 * tools/result.h: what a server answers to tools/call, checked and canonical,
 * and to the other things that it is asked for.
 *
 * Pure. {"content":[...],"isError":...,"structuredContent":{...}}: an answer
 * that has another form is none.
 */
#ifndef TOOLS_RESULT_H
#define TOOLS_RESULT_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"
#include "ipc/msg.h"

/*
 * Appends the answer. *is_error is what it says of itself. -1 with e: it is
 * not one that can be passed on, and out is of no use.
 */
int result_take(
    struct buf *out, const struct json *result, bool *is_error, struct err *e);

/* The same of resources/read, prompts/get and completion/complete. */
int result_take_other(struct buf *out, enum server_ask ask,
    const struct json *result, struct err *e);

/* Appends {"code","error","suggested_next_step"}. */
void result_failed(
    struct buf *out, const char *code, struct str error, const char *next_step);

#endif
