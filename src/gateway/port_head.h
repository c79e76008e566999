/*
 * gateway/port_head.h: what of an HTTP message crosses to a web server inside a
 * sandbox, and what of its answer crosses back.
 *
 * Pure. Both messages were parsed by the one parser there is; what is written
 * here says the same to whoever reads it, and nothing else: how a message is
 * framed is said anew, and what is meant for this server, or for the browser
 * of who asks (credentials, cookies, what changes a whole site), is left out.
 */
#ifndef GATEWAY_PORT_HEAD_H
#define GATEWAY_PORT_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/http1.h"

/* The path of h begins with this many parts that are ours, as in
 * /v1/sandboxes/RUN/ports/8000/, and with a slash behind them. */
enum { PORT_HEAD_PARTS = 5 };

/* In a request: it asks for a WebSocket; in an answer: that it is one now. */
bool port_head_websocket(const struct http1_head *h);

/* The head for the server at this port, with the body as it is framed. */
void port_head_request(struct buf *out, const struct http1_head *h,
    const struct http1_body *body, uint16_t port, bool websocket);

/* The head for the client, whose body is in chunks, or as it was framed. */
void port_head_answer(struct buf *out, const struct http1_head *h,
    const struct http1_body *body, bool chunked);

/*
 * Decodes bytes of a body and appends them, framed in chunks where asked, with
 * the end when it has come. 0; or -1 with an HTTP status and e.
 */
int port_content(struct http1_body *decoder, bool chunked, struct str bytes,
    struct buf *out, uint16_t *status, struct err *e);

#endif
