/*
 * URLs as they are on the record: what may be a secret stands there as a
 * digest, so that equal ones can be seen to be equal and none can be read.
 */
#include "core/egress.h"

enum { DIGEST_CHARS = 12 }; /* of a value: enough to tell equal from not */

static bool hides(const struct egress_rule *r, uint32_t place, struct str part);
static struct str part_of(struct str path, uint32_t place);
static void put_digest(
    struct buf *out, struct str value, const struct hash *salt);

void
egress_url_write(struct buf *out, const struct policy *p,
    const struct egress_ask *ask, const struct hash *salt)
{
	bool v6 = ask->host_is_addr && ask->addr.v6;
	struct str rest = ask->query;

	buf_printf(out, "%s://%s%s%s", egress_proto_name(ask->proto),
	    v6 ? "[" : "", ask->host, v6 ? "]" : "");
	if ((ask->port != 443 ||
		(ask->proto != PROTO_HTTPS && ask->proto != PROTO_WSS)) &&
	    (ask->port != 80 ||
		(ask->proto != PROTO_HTTP && ask->proto != PROTO_WS)))
		buf_printf(out, ":%u", ask->port);
	egress_path_write(out, p, ask, salt);
	for (const char *sep = "?"; rest.n > 0; sep = "&") {
		size_t end = str_find(rest, '&');
		struct str one = { rest.p, end };
		size_t eq = str_find(one, '=');

		buf_add_c(out, sep);
		/* A lone word is a value as likely as it is a name. */
		if (eq == one.n) {
			put_digest(out, one, salt);
		} else {
			buf_add(out, one.p, eq + 1);
			put_digest(out,
			    (struct str){ one.p + eq + 1, one.n - eq - 1 },
			    salt);
		}
		rest.p += end + (end < rest.n);
		rest.n -= end + (end < rest.n);
	}
}

void
egress_path_write(struct buf *out, const struct policy *p,
    const struct egress_ask *ask, const struct hash *salt)
{
	struct str rest = ask->path;

	for (uint32_t place = 0;; place++) {
		size_t end = str_find(rest, '/');
		struct str part = { rest.p, end };
		bool hidden = false;

		for (uint32_t i = 0; i < p->n_egress && !hidden; i++)
			hidden = p->egress[i].redact_path &&
			    egress_host_match(
				p->egress[i].host, str_of(ask->host)) &&
			    hides(&p->egress[i], place, part);
		if (hidden)
			put_digest(out, part, salt);
		else
			buf_add_str(out, part);
		if (end == rest.n)
			return;
		buf_add_byte(out, '/');
		rest = (struct str){ rest.p + end + 1, rest.n - end - 1 };
	}
}

void
egress_key_write(struct buf *out, const struct egress_ask *ask)
{
	buf_add_str(out, ask->method);
	buf_printf(out, "\n%s\n%s\n%u\n", egress_proto_name(ask->proto),
	    ask->host, ask->port);
	buf_add_str(out, ask->path);
	buf_add_byte(out, '\n');
	if (ask->query.p != NULL) {
		buf_add_byte(out, '?');
		buf_add_str(out, ask->query);
	}
	buf_add_byte(out, '\n');
}

bool
egress_is_digest(struct str part)
{
	if (part.n != DIGEST_CHARS + 1 || part.p[0] != '~')
		return false;
	for (size_t i = 1; i < part.n; i++) {
		char c = part.p[i];

		if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
			return false;
	}
	return true;
}

/* Unless one of the rule's patterns spells the part out at this place. */
static bool
hides(const struct egress_rule *r, uint32_t place, struct str part)
{
	for (uint32_t i = 0; i < r->n_paths; i++) {
		struct str spelled = part_of(r->paths[i], place);

		if (spelled.p != NULL && str_eq(spelled, part) &&
		    str_find(part, '*') == part.n)
			return false;
	}
	return true;
}

/* p is NULL where the pattern has none, or a place is no longer certain. */
static struct str
part_of(struct str path, uint32_t place)
{
	for (;; place--) {
		size_t end = str_find(path, '/');
		struct str part = { path.p, end };

		if (place == 0)
			return part;
		for (size_t k = 0; k + 1 < part.n; k++) {
			if (part.p[k] == '*' && part.p[k + 1] == '*')
				return (struct str){};
		}
		if (end == path.n)
			return (struct str){};
		path = (struct str){ path.p + end + 1, path.n - end - 1 };
	}
}

static void
put_digest(struct buf *out, struct str value, const struct hash *salt)
{
	const struct str pieces[] = {
		{ (const char *)salt->b, sizeof(salt->b) },
		value,
	};
	char hex[HASH_HEX_BYTES];
	struct hash h;

	if (value.n == 0)
		return;
	h = hash_of_pieces(pieces, 2);
	hash_hex(&h, hex);
	buf_add_c(out, "~");
	buf_add(out, hex, DIGEST_CHARS);
}
