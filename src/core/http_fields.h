/*
 * core/http_fields.h: what the head of a request repeats of its message, so
 * that who stands between can tell one from another without reading it
 * (2026-07-28: Mcp-Method, Mcp-Name, Mcp-Param-*).
 *
 * Pure.
 */
#ifndef CORE_HTTP_FIELDS_H
#define CORE_HTTP_FIELDS_H

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
/*
 * Holds the fields Mcp-Param-* that a call came with against its arguments.
 * fields: their values, decoded, by what stands behind Mcp-Param- in lower
 * case. NULL: they say the same; else what is wrong, and *name whose field.
 * One that the schema does not know says nothing about an argument.
 */
const char *http_fields_differ(const struct json *schema,
    const struct json *args, const struct json *fields, struct str *name);
/* Appends a value as a field has it: as it is, or =?base64?...?= */
void http_field_put(struct buf *out, struct str value);

#endif
