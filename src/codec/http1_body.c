#include "codec/http1.h"

#include "base/must.h"

/* Where the chunked decoder stands: what the next byte belongs to. */
enum body_state {
	AT_SIZE, /* a digit, or the CR behind the last one */
	AT_SIZE_LF,
	AT_DATA,
	AT_DATA_CR,
	AT_DATA_LF,
	AT_TRAILER, /* first byte of a trailer line, or the last CR */
	AT_TRAILER_NAME,
	AT_TRAILER_VALUE,
	AT_TRAILER_LF,
	AT_END_LF,
};

static ssize_t content_take(struct http1_body *b, const char *p, size_t n,
    struct buf *out, uint16_t *status, struct err *e);
static ssize_t chunked_feed(struct http1_body *b, const char *p, size_t n,
    struct buf *out, uint16_t *status, struct err *e);
static int frame_byte(
    struct http1_body *b, char c, uint16_t *status, struct err *e);
static int size_byte(
    struct http1_body *b, char c, uint16_t *status, struct err *e);
static int trailer_byte(
    struct http1_body *b, char c, uint16_t *status, struct err *e);
static int refuse(
    uint16_t *status, struct err *e, uint16_t value, const char *why);

void
http1_body_init(struct http1_body *b, const struct http1_head *h, uint64_t max)
{
	*b = (struct http1_body){ .kind = h->body, .max = max };
	if (b->kind == HTTP1_BODY_LENGTH)
		b->left = h->length;
	b->state = AT_SIZE;
	b->done = b->kind == HTTP1_BODY_NONE ||
	    (b->kind == HTTP1_BODY_LENGTH && b->left == 0);
}

ssize_t
http1_body_feed(struct http1_body *b, const char *p, size_t n, struct buf *out,
    uint16_t *status, struct err *e)
{
	if (b->done)
		return 0;
	switch (b->kind) {
	case HTTP1_BODY_NONE:
		return 0;
	case HTTP1_BODY_LENGTH:
		if (b->left > b->max - b->total)
			return refuse(status, e, 413, "body over the limit");
		n = n < b->left ? n : (size_t)b->left;
		if (content_take(b, p, n, out, status, e) < 0)
			return -1;
		b->left -= n;
		b->done = b->left == 0;
		return (ssize_t)n;
	case HTTP1_BODY_UNTIL_CLOSE:
		if (n > b->max - b->total)
			return refuse(status, e, 413, "body over the limit");
		return content_take(b, p, n, out, status, e);
	case HTTP1_BODY_CHUNKED:
		return chunked_feed(b, p, n, out, status, e);
	}
	must(false); /* every kind has returned */
	return -1;
}

void
http1_trailers(struct str lines, struct http1_head *h)
{
	h->n = 0;
	while (lines.n > 0 && h->n < HTTP_MAX_FIELDS) {
		struct str line = { lines.p, str_find(lines, '\n') };
		size_t colon = str_find(line, ':');

		/* trailer_byte has let through NAME ":" VALUE CR LF alone. */
		must(colon < line.n && line.n < lines.n);
		lines.p += line.n + 1;
		lines.n -= line.n + 1;
		h->field[h->n].name = (struct str){ line.p, colon };
		h->field[h->n].value = str_trim(
		    (struct str){ line.p + colon + 1, line.n - colon - 2 });
		h->n++;
	}
}

/* Appends content that is known to be within b->max. Returns n, or -1. */
static ssize_t
content_take(struct http1_body *b, const char *p, size_t n, struct buf *out,
    uint16_t *status, struct err *e)
{
	buf_add(out, p, n);
	if (out->failed)
		return refuse(status, e, 413, "body over its buffer");
	b->total += n;
	return (ssize_t)n;
}

static ssize_t
chunked_feed(struct http1_body *b, const char *p, size_t n, struct buf *out,
    uint16_t *status, struct err *e)
{
	size_t i = 0;

	while (i < n && !b->done) {
		if (b->state == AT_DATA) {
			size_t take = n - i < b->left ? n - i : (size_t)b->left;

			if (content_take(b, p + i, take, out, status, e) < 0)
				return -1;
			i += take;
			b->left -= take;
			if (b->left == 0)
				b->state = AT_DATA_CR;
		} else if (frame_byte(b, p[i++], status, e) < 0) {
			return -1;
		}
	}
	return (ssize_t)i;
}

/* One byte that is not content. */
static int
frame_byte(struct http1_body *b, char c, uint16_t *status, struct err *e)
{
	switch ((enum body_state)b->state) {
	case AT_SIZE:
		return size_byte(b, c, status, e);
	case AT_SIZE_LF:
		if (c != '\n')
			return refuse(
			    status, e, 400, "chunk size: CR without LF");
		b->state = b->left > 0 ? AT_DATA : AT_TRAILER;
		b->line = 0;
		return 0;
	case AT_DATA_CR:
		if (c != '\r')
			return refuse(
			    status, e, 400, "chunk longer than its size");
		b->state = AT_DATA_LF;
		return 0;
	case AT_DATA_LF:
		if (c != '\n')
			return refuse(
			    status, e, 400, "chunk end: CR without LF");
		b->state = AT_SIZE;
		return 0;
	case AT_TRAILER:
	case AT_TRAILER_NAME:
	case AT_TRAILER_VALUE:
	case AT_TRAILER_LF:
		return trailer_byte(b, c, status, e);
	case AT_END_LF:
		if (c != '\n')
			return refuse(
			    status, e, 400, "body end: CR without LF");
		b->done = true;
		return 0;
	case AT_DATA:
		break; /* chunked_feed takes content as a whole */
	}
	must(false);
	return -1;
}

static int
size_byte(struct http1_body *b, char c, uint16_t *status, struct err *e)
{
	int digit = str_hex_digit(c);

	if (digit >= 0) {
		/* As many digits as 64 bits have: the shift cannot overflow. */
		if (b->line == HTTP_MAX_CHUNK_HEX)
			return refuse(
			    status, e, 400, "chunk size has too many digits");
		b->left = (b->left << 4) | (uint64_t)digit;
		b->line++;
		return 0;
	}
	if (b->line == 0)
		return refuse(status, e, 400, "chunk without a size");
	/* Extensions too: no client in use sends one, and proxies have
	 * disagreed about where theirs end. */
	if (c != '\r')
		return refuse(
		    status, e, 400, "chunk size is not followed by CRLF");
	if (b->left > b->max - b->total)
		return refuse(status, e, 413, "body over the limit");
	b->state = AT_SIZE_LF;
	return 0;
}

/* Trailers are checked like fields, and forgotten unless somebody asks. */
static int
trailer_byte(struct http1_body *b, char c, uint16_t *status, struct err *e)
{
	unsigned char u = (unsigned char)c;

	if (b->trailer == HTTP_MAX_TRAILER_BYTES)
		return refuse(status, e, 400, "trailers too long");
	b->trailer++;
	if (b->trailers != NULL && (b->state != AT_TRAILER || c != '\r'))
		buf_add_byte(b->trailers, c);
	if (b->state == AT_TRAILER_LF) {
		if (c != '\n')
			return refuse(status, e, 400, "trailer: CR without LF");
		b->state = AT_TRAILER;
	} else if (b->state == AT_TRAILER_VALUE) {
		if (c == '\r')
			b->state = AT_TRAILER_LF;
		else if ((u < ' ' && c != '\t') || u == 0x7f)
			return refuse(
			    status, e, 400, "control character in a trailer");
	} else if (b->state == AT_TRAILER && c == '\r') {
		b->state = AT_END_LF;
	} else if (b->state == AT_TRAILER_NAME && c == ':') {
		b->state = AT_TRAILER_VALUE;
	} else {
		if (!http1_is_token((struct str){ &c, 1 }))
			return refuse(
			    status, e, 400, "trailer name is not a token");
		b->state = AT_TRAILER_NAME;
	}
	return 0;
}

static int
refuse(uint16_t *status, struct err *e, uint16_t value, const char *why)
{
	*status = value;
	return err_set(e, "%s", why);
}
