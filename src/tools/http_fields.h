/*
 * tools/http_fields.h: what the head of a request repeats of its message, so
 * that who stands between can tell one from another without reading it
 * (2026-07-28: Mcp-Method, Mcp-Name, Mcp-Param-*).
 *
 * Pure.
 */
#ifndef TOOLS_HTTP_FIELDS_H
#define TOOLS_HTTP_FIELDS_H

#include "base/buf.h"
#include "codec/json.h"

/*
 * Appends lines for a message of that method. schema: the inputSchema of the
 * tool that is called, or NULL.
 */
void http_fields_write(struct buf *out, struct str method,
    const struct json *params, const struct json *schema);
/*
 * NULL, or what is wrong with the annotations "x-mcp-header" in a schema: such
 * a tool must not be offered.
 */
const char *http_fields_fault(const struct json *schema);
/* Appends a value as a field has it: as it is, or =?base64?...?= */
void http_field_put(struct buf *out, struct str value);

#endif
