#include <string.h>

#include "core/egress.h"

static int take_host(struct str s, struct egress_ask *out, struct err *e);
static int host_copy(struct str s, char out[static HOST_BYTES]);
static bool is_number(struct str label);
static int take_proto(struct str s, enum egress_proto *out);
static bool fits(enum egress_level level, enum egress_proto proto);

static const char *const protos[PROTOS] = { "tcp", "tls", "http", "https", "ws",
	"wss" };

int
egress_ask_parse(const struct json *v, enum egress_level level,
    struct egress_ask *out, struct err *e)
{
	const struct json *sni = json_get(v, STR("sni"));
	const struct json *query = json_get(v, STR("query"));
	const struct json *length = json_get(v, STR("content_length"));
	uint64_t port = 0;

	*out = (struct egress_ask){
		.level = level,
		.method = json_str(json_get(v, STR("method"))),
		.path = json_str(json_get(v, STR("path"))),
		.content_type = json_str(json_get(v, STR("content_type"))),
		.content_encoding =
		    json_str(json_get(v, STR("content_encoding"))),
		.content_length = UINT64_MAX,
		.body_sha256 = json_str(json_get(v, STR("body_sha256"))),
		.body_text = json_str(json_get(v, STR("body_text"))),
		.ech = json_is(json_get(v, STR("ech")), JSON_TRUE),
		.via = json_str(json_get(v, STR("via"))),
		.to = json_str(json_get(v, STR("to"))),
	};
	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "a question is an object");
	if (json_is(sni, JSON_STRING))
		out->sni = json_str(sni);
	if (json_is(query, JSON_STRING))
		out->query = json_str(query);
	if (json_u64(json_get(v, STR("port")), &port) < 0 || port == 0 ||
	    port > UINT16_MAX)
		return err_set(e, "no port from 1 to 65535");
	out->port = (uint16_t)port;
	if (length != NULL && json_u64(length, &out->content_length) < 0)
		return err_set(e, "content_length is no whole number");
	if (take_proto(json_str(json_get(v, STR("proto"))), &out->proto) < 0 ||
	    !fits(level, out->proto))
		return err_set(e, "proto does not fit the question");
	if (level == LEVEL_REQUEST && (out->method.n == 0 || out->path.n == 0))
		return err_set(e, "a request has a method and a path");
	return take_host(json_str(json_get(v, STR("host"))), out, e);
}

const char *
egress_proto_name(enum egress_proto p)
{
	return protos[p];
}

static int
take_host(struct str s, struct egress_ask *out, struct err *e)
{
	if (addr_parse(s, &out->addr) == 0) {
		char text[ADDR_TEXT_BYTES];

		/* One spelling of each address. */
		out->host_is_addr = true;
		addr_write(&out->addr, text);
		(void)str_copy(str_of(text), out->host, HOST_BYTES);
		return 0;
	}
	if (host_copy(s, out->host) < 0)
		return err_set(e, "the host is neither a name nor an address");
	return 0;
}

/*
 * Lower case, one dot at the end left out. Nothing that some resolver takes
 * for an address: such as "0x7f.1" or "2130706433".
 */
static int
host_copy(struct str s, char out[static HOST_BYTES])
{
	struct str label;
	size_t from = 0;

	if (str_ends(s, STR(".")))
		s.n--;
	if (s.n == 0 || s.n > HOST_BYTES - 3)
		return -1;
	for (size_t i = 0; i <= s.n; i++) {
		char c = i < s.n ? s.p[i] : '.';

		if (c == '.') {
			if (i == from || i - from > 63)
				return -1;
			if (i < s.n)
				from = i + 1;
		} else if (c >= 'A' && c <= 'Z') {
			c = (char)(c + 32);
		} else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			       c == '-' || c == '_')) {
			return -1;
		}
		out[i] = i < s.n ? c : '\0';
	}
	label = (struct str){ s.p + from, s.n - from };
	return is_number(label) ? -1 : 0;
}

static bool
is_number(struct str label)
{
	if (label.n > 1 && label.p[0] == '0' && (label.p[1] | 0x20) == 'x')
		return true;
	for (size_t i = 0; i < label.n; i++) {
		if (label.p[i] < '0' || label.p[i] > '9')
			return false;
	}
	return true;
}

static int
take_proto(struct str s, enum egress_proto *out)
{
	for (int i = 0; i < PROTOS; i++) {
		if (str_eq_c(s, protos[i])) {
			*out = (enum egress_proto)i;
			return 0;
		}
	}
	return -1;
}

static bool
fits(enum egress_level level, enum egress_proto proto)
{
	switch (level) {
	case LEVEL_CONNECT:
		return proto == PROTO_TCP;
	case LEVEL_TLS:
		return proto == PROTO_TLS;
	case LEVEL_REQUEST:
		return proto >= PROTO_HTTP;
	}
	return false;
}
