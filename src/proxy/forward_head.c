#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "proxy/authority.h"
#include "proxy/forward_int.h"

static bool lists(struct str value, struct str token);
static void put_default_host(const struct forward *f, struct buf *out);
static bool is_as_judged(const struct forward *f, struct str host);
static void put_text(struct buf *out, const char *name,
    const struct http1_head *h, const char *field);

uint16_t
head_route(struct forward *f, const char **why)
{
	const struct http1_head *h = &f->head;
	const struct str *named = http1_get(h, STR("Host"));
	struct str target = h->target;
	uint16_t usual = f->https ? 443 : 80;
	char host[FORWARD_HOST_BYTES];
	uint16_t port;

	f->to_port = f->port;
	memcpy(f->to_host, f->host, sizeof(f->to_host));
	if (f->host[0] == '\0') {
		size_t end;

		*why = "this is a proxy: the target must be a whole URL of "
		       "http, or HOST:PORT of CONNECT";
		if (target.n < 8 ||
		    !str_eq_nocase((struct str){ target.p, 7 }, STR("http://")))
			return 400;
		target = (struct str){ target.p + 7, target.n - 7 };
		for (end = 0; end < target.n && target.p[end] != '/' &&
		     target.p[end] != '?';
		     end++)
			;
		*why = "the target has no valid host and port";
		if (!authority_parse((struct str){ target.p, end }, 80,
			f->to_host, &f->to_port))
			return 400;
		target = (struct str){ target.p + end, target.n - end };
	} else if (target.n == 0 ||
	    (target.p[0] != '/' && target.p[0] != '*')) {
		*why = "the target must be a path: this is no proxy";
		return 400;
	}
	/* In origin-form, an empty path is written "/". RFC 9112, 3.2.1 */
	f->path = target;
	/* Whoever is asked for is who was dialled, on every request. */
	*why = "the Host is not the one that this connection leads to";
	if (named != NULL &&
	    (!authority_parse(*named, usual, host, &port) ||
		strcmp(host, f->to_host) != 0 || port != f->to_port))
		return 421;
	return 0;
}

void
head_ask(const struct forward *f, struct buf *out)
{
	const struct http1_head *h = &f->head;
	struct str path, query;

	head_split(f->path, &path, &query);
	buf_reset(out);
	buf_add_byte(out, '{');
	if (f->body_sha256[0] != '\0') {
		buf_printf(out, "\"body_sha256\":\"%s\",", f->body_sha256);
		held_show(f, out);
	}
	put_text(out, "content_encoding", h, "Content-Encoding");
	if (f->body_sha256[0] != '\0')
		buf_printf(out, "\"content_length\":%llu,",
		    (unsigned long long)f->gathered_bytes);
	else if (h->body == HTTP1_BODY_LENGTH)
		buf_printf(out, "\"content_length\":%llu,",
		    (unsigned long long)h->length);
	else if (h->body == HTTP1_BODY_NONE)
		buf_add_c(out, "\"content_length\":0,");
	put_text(out, "content_type", h, "Content-Type");
	buf_add_c(out, "\"host\":");
	json_put_str(out, str_of(f->to_host));
	buf_add_c(out, ",\"method\":");
	json_put_str(out, h->method);
	buf_add_c(out, ",\"path\":");
	json_put_str(out, path);
	buf_printf(out, ",\"port\":%u,\"proto\":\"%s\"", f->to_port,
	    f->upgrade ? (f->https ? "wss" : "ws")
		       : (f->https ? "https" : "http"));
	if (query.p != NULL) {
		buf_add_c(out, ",\"query\":");
		json_put_str(out, query);
	}
}

void
head_split(struct str target, struct str *path, struct str *query)
{
	size_t at = str_find(target, '?');

	*path = at > 0 ? (struct str){ target.p, at } : STR("/");
	*query = at < target.n
	    ? (struct str){ target.p + at + 1, target.n - at - 1 }
	    : (struct str){};
}

bool
head_is_upgrade(const struct http1_head *h)
{
	const struct str *to = http1_get(h, STR("Upgrade"));
	const struct str *by = http1_get(h, STR("Connection"));

	return to != NULL && by != NULL &&
	    http1_count(h, STR("Upgrade")) == 1 &&
	    str_eq_nocase(*to, STR("websocket")) &&
	    lists(*by, STR("upgrade")) &&
	    (h->status == 101 || str_eq(h->method, STR("GET")));
}

void
head_write_request(const struct forward *f, struct buf *out)
{
	const struct http1_head *h = &f->head;
	const struct str *named = http1_get(h, STR("Host"));

	buf_add_str(out, h->method);
	buf_add_byte(out, ' ');
	if (h->target.n == 0 || h->target.p[0] == '?')
		buf_add_byte(out, '/');
	buf_add_str(out, h->target);
	buf_add_c(out, " HTTP/1.1\r\n");
	if (named == NULL || !is_as_judged(f, *named))
		put_default_host(f, out);
	for (uint32_t i = 0; i < h->n; i++) {
		if (head_is_hop(h, h->field[i].name))
			continue;
		if (str_eq_nocase(h->field[i].name, STR("Host")) &&
		    !is_as_judged(f, h->field[i].value))
			continue;
		/* Of HTTP/1.0 it says nothing. RFC 9110 section 10.1.1 */
		if (h->minor == 0 &&
		    str_eq_nocase(h->field[i].name, STR("Expect")))
			continue;
		/* What is compressed cannot be searched on its way back. */
		if (f->upgrade && f->filter != NULL &&
		    str_eq_nocase(
			h->field[i].name, STR("Sec-WebSocket-Extensions")))
			continue;
		buf_add_str(out, h->field[i].name);
		buf_add_c(out, ": ");
		buf_add_str(out, h->field[i].value);
		buf_add_c(out, "\r\n");
	}
	if (f->upgrade)
		buf_add_c(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
	buf_add_c(out, "\r\n");
}

void
head_write_answer(const struct http1_head *h, const struct head_change *change,
    struct buf *out)
{
	buf_printf(
	    out, "HTTP/1.1 %u %s\r\n", h->status, http1_reason(h->status));
	for (uint32_t i = 0; i < h->n; i++) {
		struct str name = h->field[i].name;

		if (head_is_hop(h, name))
			continue;
		if ((change->unchunk || change->rechunk) &&
		    (str_eq_nocase(name, STR("Transfer-Encoding")) ||
			str_eq_nocase(name, STR("Content-Length"))))
			continue;
		buf_add_str(out, name);
		buf_add_c(out, ": ");
		buf_add_str(out, h->field[i].value);
		buf_add_c(out, "\r\n");
	}
	if (change->rechunk)
		buf_add_c(out, "Transfer-Encoding: chunked\r\n");
	if (change->upgrade)
		buf_add_c(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
	else if (change->close)
		buf_add_c(out, "Connection: close\r\n");
	buf_add_c(out, "\r\n");
}

void
head_write_own(uint16_t status, struct str fields, struct str type,
    struct str body, bool close, bool no_body, struct buf *out)
{
	buf_printf(out, "HTTP/1.1 %u %s\r\n", status, http1_reason(status));
	buf_add_str(out, fields);
	if (type.n > 0) {
		buf_add_c(out, "Content-Type: ");
		buf_add_str(out, type);
		buf_add_c(out, "\r\n");
	}
	if (status != 204 && status != 304)
		buf_printf(out, "Content-Length: %zu\r\n", body.n);
	if (close)
		buf_add_c(out, "Connection: close\r\n");
	buf_add_c(out, "\r\n");
	if (!no_body && status != 204 && status != 304)
		buf_add_str(out, body);
}

/* What is between two neighbours only, and what such a field names. */
bool
head_is_hop(const struct http1_head *h, struct str name)
{
	static const char *const known[] = { "Connection", "Keep-Alive",
		"Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate",
		"Proxy-Authentication-Info", "TE", "Upgrade" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq_nocase(name, str_of(known[i])))
			return true;
	/* Framing and the Host cannot be taken away by naming them. */
	if (str_eq_nocase(name, STR("Host")) ||
	    str_eq_nocase(name, STR("Content-Length")) ||
	    str_eq_nocase(name, STR("Transfer-Encoding")))
		return false;
	for (uint32_t i = 0; i < h->n; i++)
		if (str_eq_nocase(h->field[i].name, STR("Connection")) &&
		    lists(h->field[i].value, name))
			return true;
	return false;
}

/* True when a comma-separated list holds the token. */
static bool
lists(struct str value, struct str token)
{
	while (value.n > 0) {
		size_t comma = str_find(value, ',');

		if (str_eq_nocase(
			str_trim((struct str){ value.p, comma }), token))
			return true;
		if (comma == value.n)
			break;
		value.p += comma + 1;
		value.n -= comma + 1;
	}
	return false;
}

/*
 * Another spelling of the same place, such as with a dot at its end or zeros in
 * its port, is one that the server may read as another: it gets ours.
 */
static bool
is_as_judged(const struct forward *f, struct str host)
{
	const bool six = strchr(f->to_host, ':') != NULL;
	char with[FORWARD_HOST_BYTES + sizeof("[]:65535")];
	int n;

	n = snprintf(with, sizeof(with), "%s%s%s:%u", six ? "[" : "",
	    f->to_host, six ? "]" : "", f->to_port);
	if (n < 0 || (size_t)n >= sizeof(with))
		return false;
	if (str_eq_nocase(host, (struct str){ with, (size_t)n }))
		return true;
	*strrchr(with, ':') = '\0';
	return f->to_port == (f->https ? 443 : 80) &&
	    str_eq_nocase(host, str_of(with));
}

static void
put_default_host(const struct forward *f, struct buf *out)
{
	bool six = strchr(f->to_host, ':') != NULL;

	buf_printf(
	    out, "Host: %s%s%s", six ? "[" : "", f->to_host, six ? "]" : "");
	if (f->to_port != (f->https ? 443 : 80))
		buf_printf(out, ":%u", f->to_port);
	buf_add_c(out, "\r\n");
}

static void
put_text(struct buf *out, const char *name, const struct http1_head *h,
    const char *field)
{
	const struct str *value = http1_get(h, str_of(field));

	if (value == NULL)
		return;
	buf_printf(out, "\"%s\":", name);
	json_put_str(out, *value);
	buf_add_byte(out, ',');
}
