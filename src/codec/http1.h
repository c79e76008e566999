/*
 * codec/http1.h: strict HTTP/1.1 (RFC 9112), one parser for server, client
 * and proxy, so that no two of them can see different messages.
 *
 * Refused: CL together with TE, several or odd Content-Length, any
 * Transfer-Encoding but exactly "chunked", obs-fold, bare LF, bare CR, NUL,
 * white space before a colon, an empty line before the request line, chunk
 * extensions (no client in use sends one), a tab beside Content-Length or
 * Transfer-Encoding, a body with CONNECT, 1xx or 204, bad chunks, whatever is
 * over the limits, HTTP versions but 1.0 and 1.1 (1.0 may not use
 * Transfer-Encoding).
 *
 * Pure: bytes in, views into the same bytes out. The caller keeps them.
 */
#ifndef CODEC_HTTP1_H
#define CODEC_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

struct http1_field {
	struct str name; /* as sent; compare with str_eq_nocase */
	struct str value; /* trimmed */
};

enum http1_body_kind {
	HTTP1_BODY_NONE,
	HTTP1_BODY_LENGTH,
	HTTP1_BODY_CHUNKED,
	HTTP1_BODY_UNTIL_CLOSE, /* responses only */
};

struct http1_head {
	struct str method; /* request */
	struct str target; /* request: as sent, origin-form begins with / */
	uint16_t status; /* response: 100..599 */
	uint8_t minor; /* HTTP/1.minor */
	bool keep_alive; /* what version and Connection together say */
	bool expect_continue; /* Expect: 100-continue */
	enum http1_body_kind body;
	uint64_t length; /* with HTTP1_BODY_LENGTH */
	uint32_t n; /* fields */
	struct http1_field field[HTTP_MAX_FIELDS];
};

/*
 * Parses the head at the start of p. Returns its length in bytes, 0 when more
 * bytes are needed, or -1 with e filled in and *status the answer a server
 * gives (400, 413, 414, 417, 431, 501, 505). A request must have exactly one
 * Host when it is HTTP/1.1.
 */
ssize_t http1_request(const char *p, size_t n, struct http1_head *h,
    uint16_t *status, struct err *e);

/*
 * The same for a response. to_head: the request was HEAD (no body follows);
 * a 2xx answer to CONNECT has none either, the caller says true for it too.
 * 1xx, 204 and 304 have no body. *status is 502 on -1.
 */
ssize_t http1_response(const char *p, size_t n, bool to_head,
    struct http1_head *h, uint16_t *status, struct err *e);

/* The field's value, or NULL. More than one of a name: the first. */
const struct str *http1_get(const struct http1_head *h, struct str name);
/* How many fields of that name there are. */
uint32_t http1_count(const struct http1_head *h, struct str name);

/* Decodes a body. Zeroed by http1_body_init. */
struct http1_body {
	enum http1_body_kind kind;
	uint64_t left; /* of the length, or of the current chunk */
	uint64_t total; /* bytes of content so far */
	uint64_t max; /* content over this is refused with 413 */
	uint8_t state;
	uint16_t line; /* bytes of the current chunk or trailer line */
	uint32_t trailer; /* bytes of trailers so far */
	struct buf *trailers; /* the owner's: their lines, with CRLF, or NULL */
	bool done;
};

void http1_body_init(
    struct http1_body *b, const struct http1_head *h, uint64_t max);

/*
 * Takes up to n bytes at p and appends content to out. Returns the bytes
 * taken (fewer than n only when the body is done, b->done), or -1 with e and
 * *status (400 or 413). HTTP1_BODY_UNTIL_CLOSE is done when the caller says.
 */
ssize_t http1_body_feed(struct http1_body *b, const char *p, size_t n,
    struct buf *out, uint16_t *status, struct err *e);

/* The fields of `trailers` when the body is done, at most HTTP_MAX_FIELDS. */
void http1_trailers(struct str lines, struct http1_head *h);

/* The reason phrase of a status we send; "Unknown" for others. */
const char *http1_reason(uint16_t status);
/* True for a token of RFC 9110 section 5.6.2. */
bool http1_is_token(struct str s);

#endif
