/*
 * gateway/answer.h: answers of REST /v1, and errors of anything but MCP:
 * {"error":{"code","message","suggested_next_step"}}.
 */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "gateway/gateway.h"

/* The status names the code, and what to do next. */
void answer_error(struct client *cl, uint16_t status, const char *message);
/* The same with header lines, each with its CRLF. */
void answer_error_fields(
    struct client *cl, uint16_t status, const char *message, struct str fields);
/* The error object alone, {"code":...}, appended to b. */
void answer_error_put(struct buf *b, uint16_t status, struct str message);
void answer_json(struct client *cl, uint16_t status, struct str body);

/* True when the client's Accept header names this media type. */
bool answer_accepts(const struct client *cl, struct str type);
/* Content-Type is application/json, with or without parameters. */
bool answer_is_json(const struct client *cl);

#endif
