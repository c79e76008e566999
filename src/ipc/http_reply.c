#include "base/must.h"
#include "ipc/http_server.h"

static void head_put(struct http_conn *c, struct buf *b, uint16_t status,
    struct str fields, struct str type);

void
http_reply(struct http_conn *c, uint16_t status, struct str fields,
    struct str type, struct str body)
{
	struct buf *b = &c->server->scratch;

	if (c->phase == HTTP_DEAD)
		return;
	must(c->phase == HTTP_ASKED);
	buf_reset(b);
	head_put(c, b, status, fields, type);
	if (status != 204) {
		buf_add_str(b, STR("Content-Length: "));
		buf_add_u64(b, body.n);
		buf_add_str(b, STR("\r\n"));
	}
	buf_add_str(b, STR("\r\n"));
	must(!b->failed);

	/* RFC 9110 section 9.3.2: the head of a GET, and nothing else. */
	if (str_eq(c->head.method, STR("HEAD")))
		body = STR("");
	http_conn_send(c, buf_str(b), body);
	http_conn_answered(c);
}

void
http_stream_begin(struct http_conn *c, struct str fields, struct str type)
{
	struct buf *b = &c->server->scratch;

	if (c->phase == HTTP_DEAD)
		return;
	must(c->phase == HTTP_ASKED);
	c->phase = HTTP_STREAM;
	c->chunked = c->head.minor == 1;
	if (!c->chunked)
		c->last = true;
	buf_reset(b);
	head_put(c, b, 200, fields, type);
	if (c->chunked)
		buf_add_str(b, STR("Transfer-Encoding: chunked\r\n"));
	buf_add_str(b, STR("\r\n"));
	must(!b->failed);
	http_conn_send(c, buf_str(b), STR(""));
}

void
http_stream_write(struct http_conn *c, struct str bytes)
{
	struct buf *b = &c->server->scratch;

	/* An empty chunk would be the last one. */
	if (c->phase == HTTP_DEAD || bytes.n == 0)
		return;
	must(c->phase == HTTP_STREAM);
	if (bytes.n > c->server->limits.out_bytes ||
	    c->out.n > c->server->limits.out_bytes - bytes.n) {
		http_conn_close(c);
		return;
	}
	if (!c->chunked) {
		http_conn_send(c, bytes, STR(""));
		return;
	}
	buf_reset(b);
	buf_printf(b, "%zx\r\n", bytes.n);
	buf_add_str(b, bytes);
	buf_add_str(b, STR("\r\n"));
	if (b->failed) {
		http_conn_close(c);
		return;
	}
	http_conn_send(c, buf_str(b), STR(""));
}

void
http_stream_end(struct http_conn *c)
{
	if (c->phase == HTTP_DEAD)
		return;
	must(c->phase == HTTP_STREAM);
	if (c->chunked)
		http_conn_send(c, STR("0\r\n\r\n"), STR(""));
	http_conn_answered(c);
}

static void
head_put(struct http_conn *c, struct buf *b, uint16_t status, struct str fields,
    struct str type)
{
	buf_add_str(b, STR("HTTP/1.1 "));
	buf_add_u64(b, status);
	buf_add_byte(b, ' ');
	buf_add_c(b, http1_reason(status));
	buf_add_str(b, STR("\r\n"));
	buf_add_str(b, fields);
	if (type.n > 0) {
		buf_add_str(b, STR("Content-Type: "));
		buf_add_str(b, type);
		buf_add_str(b, STR("\r\n"));
	}
	/* HTTP/1.0 closes unless told otherwise, 1.1 the reverse. */
	if (c->last)
		buf_add_str(b, STR("Connection: close\r\n"));
	else if (c->head.minor == 0)
		buf_add_str(b, STR("Connection: keep-alive\r\n"));
}
