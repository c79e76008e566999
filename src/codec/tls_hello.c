#include "codec/tls_hello.h"

#include <string.h>

enum {
	RECORD_HEAD = 5,
	RECORD_HANDSHAKE = 22,
	RECORD_MAX = 16384, /* RFC 8446 section 5.1 */
	MESSAGE_HEAD = 4,
	CLIENT_HELLO = 1,
	RANDOM_BYTES = 32,
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
	EXT_ECH = 0xfe0d, /* encrypted_client_hello */
	NAME_DNS = 0,
};

/* What is left of a vector. A read past its end makes it bad for good. */
struct cursor {
	const unsigned char *p;
	size_t n;
	bool bad;
};

static enum tls_hello_result join_records(struct str bytes, unsigned char *out,
    size_t *n, size_t *promised, const char **why);
static bool is_whole(const unsigned char *message, size_t n);
static const char *read_hello(struct cursor *c, struct tls_hello *out);
static const char *read_extension(
    uint32_t type, struct cursor *c, struct tls_hello *out);
static const char *read_name(struct cursor *c, struct tls_hello *out);
static const char *read_alpn(struct cursor *c, struct tls_hello *out);
static uint32_t number(struct cursor *c, int bytes);
static struct cursor vector(struct cursor *c, int length_bytes);
static struct cursor take(struct cursor *c, size_t n);

enum tls_hello_result
tls_hello_parse(struct str bytes, struct tls_hello *out, const char **why)
{
	unsigned char message[TLS_HELLO_MAX_BYTES];
	struct cursor c = { .p = message };
	enum tls_hello_result got;
	uint32_t length;
	size_t promised;

	*out = (struct tls_hello){};
	*why = NULL;
	got = join_records(bytes, message, &c.n, &promised, why);
	if (got == TLS_HELLO_BAD)
		return got;
	if (c.n >= 1 && message[0] != CLIENT_HELLO) {
		*why = "the first message is no client hello";
		return TLS_HELLO_BAD;
	}
	if (c.n < MESSAGE_HEAD)
		return TLS_HELLO_MORE;
	(void)number(&c, 1);
	length = number(&c, 3);
	if (length > TLS_HELLO_MAX_BYTES - MESSAGE_HEAD) {
		*why = "the client hello is too long";
		return TLS_HELLO_BAD;
	}
	/* Known before it comes, so that what is done stays done. */
	if (promised > MESSAGE_HEAD + length) {
		*why = "something follows the client hello in its record";
		return TLS_HELLO_BAD;
	}
	if (c.n < length)
		return TLS_HELLO_MORE;
	*why = read_hello(&c, out);
	if (*why == NULL)
		return TLS_HELLO_DONE;
	*out = (struct tls_hello){};
	return TLS_HELLO_BAD;
}

/*
 * A message may be cut into records at any byte (RFC 8446 section 5.1). What
 * comes behind the hello, early data for one, is not looked at. promised is
 * what the records hold by their heads, n what of it is there.
 */
static enum tls_hello_result
join_records(struct str bytes, unsigned char *out, size_t *n, size_t *promised,
    const char **why)
{
	struct cursor in = { .p = (const unsigned char *)bytes.p,
		.n = bytes.n };

	*n = *promised = 0;
	while (in.n > 0 && !is_whole(out, *n)) {
		uint32_t version, length;
		size_t there;

		if (in.p[0] != RECORD_HANDSHAKE) {
			*why = "no TLS handshake record";
			return TLS_HELLO_BAD;
		}
		if (in.n >= 2 && in.p[1] != 3) {
			*why = "not a version of TLS";
			return TLS_HELLO_BAD;
		}
		if (in.n < RECORD_HEAD)
			break;
		(void)number(&in, 1);
		version = number(&in, 2);
		length = number(&in, 2);
		(void)version; /* frozen at 0x0301 to 0x0303: says nothing */
		if (length == 0 || length > RECORD_MAX) {
			*why = "a record of an impossible length";
			return TLS_HELLO_BAD;
		}
		there = in.n < length ? in.n : length;
		*promised += length;
		if (there > TLS_HELLO_MAX_BYTES - *n) {
			*why = "the client hello is too long";
			return TLS_HELLO_BAD;
		}
		memcpy(out + *n, in.p, there);
		*n += there;
		in.p += there;
		in.n -= there;
	}
	return TLS_HELLO_DONE;
}

static bool
is_whole(const unsigned char *message, size_t n)
{
	struct cursor c = { .p = message, .n = n };

	(void)number(&c, 1);
	return !c.bad && n - 1 >= 3 && number(&c, 3) + MESSAGE_HEAD <= n;
}

/* NULL, or what is wrong. */
static const char *
read_hello(struct cursor *c, struct tls_hello *out)
{
	static const char cut[] = "the client hello's lengths do not add up";
	struct cursor list, part;
	bool name = false, alpn = false;

	(void)number(c, 2); /* legacy_version */
	(void)take(c, RANDOM_BYTES);
	part = vector(c, 1); /* legacy_session_id */
	if (part.n > 32)
		return cut;
	part = vector(c, 2); /* cipher_suites */
	if (part.n < 2 || part.n % 2 != 0)
		return cut;
	part = vector(c, 1); /* legacy_compression_methods */
	if (part.n < 1 || c->bad)
		return cut;
	if (c->n == 0)
		return NULL; /* TLS 1.2 has hellos without extensions */
	list = vector(c, 2);
	if (c->bad || c->n != 0)
		return cut;
	while (list.n > 0) {
		uint32_t type = number(&list, 2);
		const char *why;

		part = vector(&list, 2);
		if (list.bad)
			return cut;
		/* Which of two would count is not the same everywhere. */
		if ((type == EXT_SERVER_NAME && name) ||
		    (type == EXT_ALPN && alpn))
			return "an extension is there twice";
		name |= type == EXT_SERVER_NAME;
		alpn |= type == EXT_ALPN;
		why = read_extension(type, &part, out);
		if (why != NULL)
			return why;
	}
	return NULL;
}

static const char *
read_extension(uint32_t type, struct cursor *c, struct tls_hello *out)
{
	if (type == EXT_SERVER_NAME)
		return read_name(c, out);
	if (type == EXT_ALPN)
		return read_alpn(c, out);
	out->hides_name |= type == EXT_ECH;
	return NULL;
}

static const char *
read_name(struct cursor *c, struct tls_hello *out)
{
	struct cursor list = vector(c, 2);
	uint32_t kind = number(&list, 1);
	struct cursor name = vector(&list, 2);

	if (c->bad || c->n != 0 || list.bad || list.n != 0 || kind != NAME_DNS)
		return "the server name is not one DNS name";
	if (name.n == 0 || name.n >= TLS_NAME_BYTES)
		return "the server name has an impossible length";
	for (size_t i = 0; i < name.n; i++) {
		unsigned char b = name.p[i];

		if (b >= 'A' && b <= 'Z')
			b = (unsigned char)(b + 32);
		if ((b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' &&
		    b != '.' && b != '_')
			return "the server name has characters that no DNS "
			       "name has";
		out->name[i] = (char)b;
	}
	if (out->name[0] == '.' || out->name[name.n - 1] == '.' ||
	    strstr(out->name, "..") != NULL)
		return "the server name has an empty label";
	return NULL;
}

static const char *
read_alpn(struct cursor *c, struct tls_hello *out)
{
	struct cursor list = vector(c, 2);

	if (c->bad || c->n != 0 || list.n == 0)
		return "the list of protocols is broken";
	while (list.n > 0) {
		struct cursor one = vector(&list, 1);

		if (list.bad || one.n == 0)
			return "the list of protocols is broken";
		out->offers_h2 |= one.n == 2 && memcmp(one.p, "h2", 2) == 0;
		out->offers_http11 |=
		    one.n == 8 && memcmp(one.p, "http/1.1", 8) == 0;
	}
	out->has_alpn = true;
	return NULL;
}

static uint32_t
number(struct cursor *c, int bytes)
{
	uint32_t v = 0;

	if (c->n < (size_t)bytes) {
		c->bad = true;
		c->n = 0;
		return 0;
	}
	for (int i = 0; i < bytes; i++)
		v = v << 8 | c->p[i];
	c->p += bytes;
	c->n -= (size_t)bytes;
	return v;
}

static struct cursor
vector(struct cursor *c, int length_bytes)
{
	return take(c, number(c, length_bytes));
}

static struct cursor
take(struct cursor *c, size_t n)
{
	struct cursor part = { .p = c->p, .n = n };

	if (c->bad || n > c->n) {
		c->bad = true;
		c->n = 0;
		return (struct cursor){ .bad = true };
	}
	c->p += n;
	c->n -= n;
	return part;
}
