#include <string.h>

#include "proxy/h2_int.h"

static bool is_line(struct str s);
static bool is_of_connection(struct str name);
static void lower(struct buf *b, struct str s);
static void add_pseudo(struct h2_head *h, struct str name, struct str value);

/*
 * nghttp2 has checked names and values, and the parser of HTTP/1.1 reads what
 * is written here: what could end a line early is refused all the same.
 */
void
h2_head_add(struct h2_head *h, struct str name, struct str value)
{
	if (!is_line(name) || !is_line(value) || ++h->n > HTTP_MAX_FIELDS) {
		h->bad = true;
		return;
	}
	if (name.n > 0 && name.p[0] == ':') {
		add_pseudo(h, name, value);
		return;
	}
	if (!http1_is_token(name) ||
	    (is_of_connection(name) && !str_eq_nocase(name, STR("te")))) {
		h->bad = true;
		return;
	}
	if (str_eq_c(name, "host")) {
		/* Without :authority this is who is meant. */
		if (h->authority.n == 0)
			buf_add_str(&h->authority, value);
		else
			h->bad |= !str_eq(buf_str(&h->authority), value);
		return;
	}
	/* Crumbs of cookies are one field in HTTP/1.1. RFC 9113, 8.2.3 */
	if (str_eq_c(name, "cookie")) {
		if (h->cookie.n > 0)
			buf_add_c(&h->cookie, "; ");
		buf_add_str(&h->cookie, value);
		return;
	}
	if (str_eq_c(name, "content-length")) {
		h->bad |= h->has_length || str_to_u64(value, &h->length) < 0;
		h->has_length = true;
	}
	h->fields.max = h->cookie.max = HTTP_MAX_HEAD_BYTES;
	buf_add_str(&h->fields, name);
	buf_add_c(&h->fields, ": ");
	buf_add_str(&h->fields, value);
	buf_add_c(&h->fields, "\r\n");
	h->bad |= h->fields.failed || h->cookie.failed;
}

void
h2_head_reset(struct h2_head *h)
{
	buf_reset(&h->fields);
	buf_reset(&h->method);
	buf_reset(&h->path);
	buf_reset(&h->authority);
	buf_reset(&h->cookie);
	h->n = 0;
	h->status = 0;
	h->has_length = h->bad = false;
	h->length = 0;
}

void
h2_head_fini(struct h2_head *h)
{
	buf_fini(&h->fields);
	buf_fini(&h->method);
	buf_fini(&h->path);
	buf_fini(&h->authority);
	buf_fini(&h->cookie);
}

size_t
h2_fields(const struct http1_head *h, struct buf *b, nghttp2_nv *nv, size_t n,
    uint8_t flags)
{
	for (uint32_t i = 0; i < h->n && n < H2_FIELDS_MAX; i++) {
		if (is_of_connection(h->field[i].name) ||
		    str_eq_nocase(h->field[i].name, STR("host")))
			continue;
		lower(b, h->field[i].name);
		nv[n++] = h2_nv(h->field[i].name, h->field[i].value, flags);
	}
	return n;
}

nghttp2_nv
h2_nv(struct str name, struct str value, uint8_t flags)
{
	/* It copies both, and changes neither. */
	union {
		const char *from;
		uint8_t *to;
	} a = { .from = name.p }, b = { .from = value.p };

	return (nghttp2_nv){ .name = a.to,
		.namelen = name.n,
		.value = b.to,
		.valuelen = value.n,
		.flags = flags };
}

static void
add_pseudo(struct h2_head *h, struct str name, struct str value)
{
	uint64_t number;

	if (str_eq_c(name, ":method")) {
		buf_add_str(&h->method, value);
	} else if (str_eq_c(name, ":path")) {
		buf_add_str(&h->path, value);
	} else if (str_eq_c(name, ":authority")) {
		buf_add_str(&h->authority, value);
	} else if (str_eq_c(name, ":status")) {
		h->bad |= str_to_u64(value, &number) < 0 || number < 100 ||
		    number > 599;
		h->status = h->bad ? 0 : (uint16_t)number;
	} else if (!str_eq_c(name, ":scheme")) {
		h->bad = true;
	}
}

static bool
is_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool
is_of_connection(struct str name)
{
	static const char *const known[] = { "connection", "keep-alive",
		"proxy-connection", "transfer-encoding", "upgrade", "te" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq_nocase(name, str_of(known[i])))
			return true;
	return false;
}

static void
lower(struct buf *b, struct str s)
{
	char *p = b->p + (s.p - b->p);

	for (size_t i = 0; i < s.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] + 32);
}
