#include "codec/sigv4.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"

/* What an Authorization field says. */
struct claim {
	struct str scope; /* date/region/service/aws4_request */
	struct str date, region, service;
	struct str fields; /* names, lower case, sorted, by ';' */
};

struct pair {
	struct str name, value; /* encoded */
};

static const char algorithm[] = "AWS4-HMAC-SHA256";

static int claim_parse(struct str value, struct claim *c, struct err *e);
static bool param_take(struct str *rest, struct str *name, struct str *value);
static bool cut(struct str *rest, char at, struct str *part);
static int add_path(struct buf *b, struct str path, bool plain, struct err *e);
static int add_query(
    struct buf *b, struct str query, struct arena *a, struct err *e);
static int pair_cmp(const void *a, const void *b);
static int add_fields(
    struct buf *b, const struct http1_head *h, struct str names, struct err *e);
static void encode(struct buf *b, struct str s, bool decode, bool slash);
static void add_hex(struct buf *b, const struct hash *h);

bool
sigv4_signed(const struct http1_head *h)
{
	const struct str *v = http1_get(h, STR("authorization"));

	return v != NULL && str_starts(*v, STR("AWS4-HMAC-SHA256 "));
}

bool
sigv4_needs_body(const struct http1_head *h)
{
	return http1_get(h, STR("x-amz-content-sha256")) == NULL;
}

int
sigv4_sign(const struct http1_head *h, struct str body_sha256,
    const struct sigv4_key *key, struct buf *out, struct err *e)
{
	const struct str *auth = http1_get(h, STR("authorization"));
	const struct str *digest = http1_get(h, STR("x-amz-content-sha256"));
	const struct str *when = http1_get(h, STR("x-amz-date"));
	size_t question = str_find(h->target, '?');
	struct str path = { h->target.p, question };
	struct str query = STR("");
	own_arena struct arena arena = { .max_bytes = SIGV4_MAX_BYTES };
	own_buf struct buf text = { .max = SIGV4_MAX_BYTES };
	own_buf struct buf first = { .max = SCAN_MAX_WORD_BYTES + 16 };
	struct claim c;
	struct hash k;

	if (question < h->target.n)
		query = (struct str){ h->target.p + question + 1,
			h->target.n - question - 1 };
	if (auth == NULL || claim_parse(*auth, &c, e) < 0)
		return auth == NULL ? err_set(e, "no Authorization") : -1;
	if (when == NULL)
		return err_set(e, "signed without X-Amz-Date");
	if (digest != NULL)
		body_sha256 = *digest;
	if (str_starts(body_sha256, STR("STREAMING-AWS4")))
		return err_set(e, "the chunks of the body are signed");

	/* The request as both sides write it. */
	buf_add_str(&text, h->method);
	buf_add_byte(&text, '\n');
	if (add_path(&text, path, str_eq_c(c.service, "s3"), e) < 0)
		return -1;
	buf_add_byte(&text, '\n');
	if (add_query(&text, query, &arena, e) < 0)
		return -1;
	buf_add_byte(&text, '\n');
	if (add_fields(&text, h, c.fields, e) < 0)
		return -1;
	buf_add_byte(&text, '\n');
	buf_add_str(&text, c.fields);
	buf_add_byte(&text, '\n');
	buf_add_str(&text, body_sha256);
	if (text.failed)
		return err_set(e, "the request is too long to be signed");
	k = hash_of(text.p, text.n);

	/* What is signed: its digest, the time and the scope. */
	buf_reset(&text);
	buf_printf(&text, "%s\n%.*s\n%.*s\n", algorithm, STR_FMT(*when),
	    STR_FMT(c.scope));
	add_hex(&text, &k);

	/* The key for this day, region and service. */
	buf_add_c(&first, "AWS4");
	buf_add_str(&first, key->secret);
	k = hash_hmac(buf_str(&first), c.date);
	if (first.p != NULL)
		explicit_bzero(first.p, first.n);
	k = hash_hmac((struct str){ (char *)k.b, HASH_BYTES }, c.region);
	k = hash_hmac((struct str){ (char *)k.b, HASH_BYTES }, c.service);
	k = hash_hmac(
	    (struct str){ (char *)k.b, HASH_BYTES }, STR("aws4_request"));
	k = hash_hmac((struct str){ (char *)k.b, HASH_BYTES }, buf_str(&text));

	buf_printf(out, "%s Credential=%.*s/%.*s, SignedHeaders=%.*s, ",
	    algorithm, STR_FMT(key->access_key), STR_FMT(c.scope),
	    STR_FMT(c.fields));
	buf_add_c(out, "Signature=");
	add_hex(out, &k);
	explicit_bzero(&k, sizeof(k));
	if (first.failed || text.failed || out->failed)
		return err_set(e, "no memory to sign");
	return 0;
}

/* "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=..." */
static int
claim_parse(struct str value, struct claim *c, struct err *e)
{
	struct str rest = value, name, v, id, last;

	*c = (struct claim){};
	if (!cut(&rest, ' ', &name) || !str_eq_c(name, algorithm))
		return err_set(e, "not signed with %s", algorithm);
	while (param_take(&rest, &name, &v)) {
		if (str_eq_c(name, "Credential"))
			c->scope = v;
		else if (str_eq_c(name, "SignedHeaders"))
			c->fields = v;
	}
	v = c->scope;
	if (!cut(&v, '/', &id))
		return err_set(e, "Authorization has no scope");
	c->scope = v;
	if (!cut(&v, '/', &c->date) || !cut(&v, '/', &c->region) ||
	    !cut(&v, '/', &c->service))
		return err_set(e, "Authorization has no scope");
	last = v;
	if (!str_eq_c(last, "aws4_request") || c->fields.n == 0)
		return err_set(e, "Authorization has no scope");
	return 0;
}

/* The next NAME=VALUE of a list by commas. */
static bool
param_take(struct str *rest, struct str *name, struct str *value)
{
	struct str one;
	size_t eq;

	if (rest->n == 0)
		return false;
	if (!cut(rest, ',', &one)) {
		one = *rest;
		*rest = STR("");
	}
	one = str_trim(one);
	eq = str_find(one, '=');
	*name = (struct str){ one.p, eq };
	*value = STR("");
	if (eq < one.n)
		*value = (struct str){ one.p + eq + 1, one.n - eq - 1 };
	return true;
}

/* What is before the first `at`; rest goes on behind it. */
static bool
cut(struct str *rest, char at, struct str *part)
{
	size_t i = str_find(*rest, at);

	if (i == rest->n)
		return false;
	*part = (struct str){ rest->p, i };
	*rest = (struct str){ rest->p + i + 1, rest->n - i - 1 };
	return true;
}

/*
 * S3's keys are any text, so its path is as sent; all others' is without dot
 * segments and doubled slashes, and what is encoded in it is encoded again.
 */
static int
add_path(struct buf *b, struct str path, bool plain, struct err *e)
{
	size_t start = b->n;

	if (path.n == 0 || path.p[0] != '/')
		return err_set(e, "a path that is signed begins with a slash");
	if (plain) {
		encode(b, path, true, true);
		return 0;
	}
	for (size_t i = 1; i <= path.n;) {
		size_t end = i;
		struct str part;

		while (end < path.n && path.p[end] != '/')
			end++;
		part = (struct str){ path.p + i, end - i };
		i = end + 1;
		if (str_eq_c(part, "..")) {
			while (b->n > start && b->p[b->n - 1] != '/')
				b->n--;
			if (b->n > start)
				b->n--;
		} else if (part.n > 0 && !str_eq_c(part, ".")) {
			buf_add_byte(b, '/');
			encode(b, part, false, false);
		}
	}
	/* Amazon's own signers: "/a/." is "/a", and "/a/./" is "/a/". */
	if (b->n == start || path.p[path.n - 1] == '/')
		buf_add_byte(b, '/');
	return 0;
}

/* Sorted by name, then by value, both encoded one way. */
static int
add_query(struct buf *b, struct str query, struct arena *a, struct err *e)
{
	struct pair *pairs;
	struct str rest = query;
	size_t n = 1, at = 0;

	if (query.n == 0)
		return 0;
	for (size_t i = 0; i < query.n; i++)
		n += query.p[i] == '&';
	pairs = arena_alloc(a, n * sizeof(*pairs));
	if (pairs == NULL)
		return err_set(e, "the query is too long to be signed");
	while (at < n) {
		own_buf struct buf text = { .max = SIGV4_MAX_BYTES };
		struct str one;
		size_t eq, name;

		if (!cut(&rest, '&', &one)) {
			one = rest;
			rest = STR("");
		}
		eq = str_find(one, '=');
		encode(&text, (struct str){ one.p, eq }, true, false);
		name = text.n;
		if (eq < one.n)
			encode(&text,
			    (struct str){ one.p + eq + 1, one.n - eq - 1 },
			    true, false);
		pairs[at].name.p = arena_copy(a, buf_str(&text));
		if (pairs[at].name.p == NULL || text.failed)
			return err_set(e, "the query is too long to be signed");
		pairs[at].name.n = name;
		pairs[at].value.p = pairs[at].name.p + name;
		pairs[at].value.n = text.n - name;
		at++;
	}
	qsort(pairs, n, sizeof(*pairs), pair_cmp);
	for (size_t i = 0, sent = 0; i < n; i++) {
		/* "a&&b" has an empty part that nobody signs. */
		if (pairs[i].name.n == 0 && pairs[i].value.n == 0)
			continue;
		if (sent++ > 0)
			buf_add_byte(b, '&');
		buf_add_str(b, pairs[i].name);
		buf_add_byte(b, '=');
		buf_add_str(b, pairs[i].value);
	}
	return 0;
}

static int
pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int d = str_cmp(x->name, y->name);

	return d != 0 ? d : str_cmp(x->value, y->value);
}

/* A line per name; the values of one name in their order, by commas. */
static int
add_fields(
    struct buf *b, const struct http1_head *h, struct str names, struct err *e)
{
	struct str rest = names, name;
	bool more = true;

	while (more) {
		size_t found = 0;

		more = cut(&rest, ';', &name);
		if (!more)
			name = rest;
		buf_add_str(b, name);
		buf_add_byte(b, ':');
		for (uint32_t i = 0; i < h->n; i++) {
			struct str v = h->field[i].value;

			if (!str_eq_nocase(h->field[i].name, name))
				continue;
			if (found++ > 0)
				buf_add_byte(b, ',');
			for (size_t k = 0; k < v.n; k++) {
				if (v.p[k] != ' ' || k == 0 ||
				    v.p[k - 1] != ' ')
					buf_add_byte(b, v.p[k]);
			}
		}
		if (found == 0 || b->n > SIGV4_MAX_BYTES)
			return err_set(e, "a signed field is missing: %.*s",
			    STR_FMT(name));
		buf_add_byte(b, '\n');
	}
	return 0;
}

/* RFC 3986: all but the unreserved. decode: %XX in s is one byte; slash: a
 * '/' that is not encoded stays so. */
static void
encode(struct buf *b, struct str s, bool decode, bool slash)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char plain[] = "-._~";

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		bool stays = c == '/' && slash;

		if (decode && c == '%' && i + 2 < s.n &&
		    str_hex_digit(s.p[i + 1]) >= 0 &&
		    str_hex_digit(s.p[i + 2]) >= 0) {
			c = (uint8_t)(str_hex_digit(s.p[i + 1]) << 4 |
			    str_hex_digit(s.p[i + 2]));
			i += 2;
		}
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || stays ||
		    (c != '\0' && strchr(plain, c) != NULL)) {
			buf_add_byte(b, (char)c);
		} else {
			buf_add_byte(b, '%');
			buf_add_byte(b, digits[c >> 4]);
			buf_add_byte(b, digits[c & 15]);
		}
	}
}

static void
add_hex(struct buf *b, const struct hash *h)
{
	char hex[HASH_HEX_BYTES];

	hash_hex(h, hex);
	buf_add_c(b, hex);
}
